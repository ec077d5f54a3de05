"""What all layers share: a name, parameters as views of the model's flat arrays, and `emit`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

from ..checks import as_numbers, as_shape
from ..registry import Registered, restore
from ..tensor import Node, Part, Tensor, as_tensors, check_called, nodes_between

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import numpy as np

    from ..constraints import Constraint
    from ..initializers import Initializer
    from ..program import Buffer, Program
    from ..regularizers import Regularizer

    #: ``backward(dy, need_dx)`` of `Layer.emit`: it adds the backward calls and returns dx, or None.
    Backward = Callable[[Buffer, bool], Buffer | None]

__all__ = ["Layer", "ParameterSpec", "features"]

#: The layers whose `call` is being asked, from outside to inside, of each thread.
_composing = threading.local()

def features(what: str, shape: tuple[int, ...]) -> int:
    """Return the length of the last axis of a row's shape: what a layer of features works on.

    Parameters
    ----------
    what : str
        What the message of an error calls the layer.
    shape : tuple of int

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no axis.

    Examples
    --------
    >>> features("dense_1", (5, 8))
    8
    """
    if not shape:
        raise ValueError(f"{what} takes rows of one dimension or more, got shape ()")
    return shape[-1]


def default_name(cls: type[Layer]) -> str:
    """Return what layers of a class are called, before a number: its name in lower case, of what names may hold.

    Examples
    --------
    >>> import fastbp
    >>> default_name(fastbp.LayerNorm)
    'layernorm'
    """
    name = "".join(c for c in cls.__name__.lower() if c == "_" or (c.isascii() and c.isalnum()))
    return name.lstrip("_0123456789") or "layer"


class ParameterSpec:
    """A parameter that a layer wants.

    Parameters
    ----------
    name : str
        In the layer.
    shape : tuple of int
    initializer : Initializer
    trainable : bool
        False for a statistic: kept and saved like a parameter, but changed by the layer's own calls.
    regularizer : Regularizer, optional
    constraint : Constraint, optional

    Examples
    --------
    >>> import fastbp
    >>> w = ParameterSpec("w", (4, 3), fastbp.initializers.HeNormal(), regularizer=fastbp.regularizers.L2(1e-4))
    >>> w.name, w.shape, w.trainable
    ('w', (4, 3), True)
    """

    __slots__ = ("constraint", "initializer", "name", "regularizer", "shape", "trainable")

    def __init__(
        self,
        name: str,
        shape: tuple[int, ...],
        initializer: Initializer,
        trainable: bool = True,
        regularizer: Regularizer | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self.name, self.shape, self.initializer, self.trainable = name, shape, initializer, trainable
        self.regularizer, self.constraint = regularizer, constraint


def _view(name: str) -> property:
    # w, b: assigning copies into the flat array, so that the compiled program sees it
    def getter(self):
        return self._array(name)

    def setter(self, value):
        array, value = self._array(name), as_numbers(f"{self.name}.{name}", value)
        if value.shape != array.shape:
            raise ValueError(f"{self.name}.{name} is given shape {value.shape}; it must be {array.shape}")
        array[...] = value

    return property(getter, setter, doc=f"{name} as a view of the model's flat array.")


class Layer(Registered, Part, kind="layer"):
    """A part of a model: it knows its shapes and its parameters and adds its calls to a program.

    Parameters
    ----------
    input_shape : int or tuple of int, optional
        The shape of one row, for the first layer of a model.
    name : str, optional
        By default the class name in lower case and a number; of the class name what names may hold.

    Attributes
    ----------
    trainable : bool
        Whether training changes the parameters. Like `lr_factor` it is set on the object, at any time: it takes
        effect with the next epoch of `Model.fit`, or the next call of `train_on_batch` or `forward`. The
        optimizer's state stays.
    lr_factor : float
        The learning rate of this layer's parameters over the optimizer's.
    initial : dict of str to ndarray
        What parameters and statistics begin with in place of what their initializers give; of a copy.

    Notes
    -----
    A layer that several models share has one set of parameters and statistics. Its gradients, `y` and `dy` are those of
    the model that ran `forward` last; of a layer that is used several times in one model, `y` and `dy` are those of the
    last use.

    A copy of a layer (``copy.deepcopy``, ``pickle``) is in no model. It brings along what the layer's parameters and
    statistics are then, and a model that it is put into begins with these.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(8), fastbp.Dense(3)], input_shape=4)
    >>> model.layers[0].trainable = False
    >>> model.layers[1].lr_factor = 0.1
    >>> model.compile("adam", "mse")
    """

    #: Names of the parameters, in Keras' order.
    parameters: tuple[str, ...] = ()
    #: Names of what the layer keeps besides, without a gradient.
    statistics: tuple[str, ...] = ()
    #: Whether the layer draws random numbers in training. A model gives it a stream as the parameter "generator":
    #: one of the layer's own where `seed` is not None, else one that comes of the seed of `fit`.
    random = False
    seed: int | None = None

    @property
    def least_rows(self) -> int:
        """How many rows a batch must have for the layer to learn from it: of fewer, training warns."""
        return 1

    @property
    def passes_on(self) -> bool:
        """Whether predictions of the layer are the numbers that it is given: what these are, its outputs are."""
        return False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in cls.parameters:
            setattr(cls, name, _view(name))
            setattr(cls, "d" + name, _view("d" + name))
        for name in cls.statistics:
            setattr(cls, name, _view(name))

    def __init__(self, input_shape: int | tuple[int, ...] | None = None, name: str | None = None) -> None:
        if name is not None:
            check_called(name)
        Part.__init__(self)
        self.input_shape = as_shape(input_shape)
        self.name: Any = name  # a model gives a name to a layer without one
        self.named = name is not None  # else another model may give it another one
        # parameters, statistics and gradients by name: the model puts them here
        self.arrays: dict[str, np.ndarray] = {}
        self.initial: dict[str, np.ndarray] = {}
        self.computed: Callable[[Layer, str], np.ndarray | None] | None = None  # what knows y and dy
        self.home: Any = None  # where its parameters lie, once a model is built

    def _array(self, name: str) -> np.ndarray:
        array = self.arrays.get(name, self.initial.get(name))
        if array is None and (name in self.parameters or name in self.statistics):
            for model in tuple(self.owners):
                if not model.built and model.input_shape is not None:
                    model.build()
                    array = self.arrays.get(name)
        if array is None and self.computed is not None:
            array = self.computed(self, name)
        if array is None:
            way = {"y": "model.forward(x) keeps it", "dy": "model.backward() computes it"}.get(name)
            what = f"layer {self.name or type(self).__name__} has no {name} yet"
            raise AttributeError(f"{what}; {way or 'give the model an input_shape or data'}")
        return array

    @property
    def y(self) -> np.ndarray:
        """The output of the last `Model.forward`."""
        return self._array("y")

    @property
    def dy(self) -> np.ndarray:
        """dLoss/dy of the last `Model.backward`: the gradient of each output."""
        return self._array("dy")

    #: What a layer that is made of others computes: ``call(self, x)`` returns a tensor, made of the tensor `x` (or of a
    #: list of tensors) by calls of other layers, which are attributes of this one. Then there is nothing else to write.
    call: Callable[..., Any] | None = None
    #: Whether no gradient goes through the layer.
    stops_gradient = False

    def __call__(self, inputs: Tensor | Sequence[Tensor]) -> Any:
        """Return the tensor that the layer makes of a tensor, or of a list of them.

        Parameters
        ----------
        inputs : Tensor or list of Tensor

        Returns
        -------
        Tensor

        Raises
        ------
        TypeError, ValueError
            If these are no tensors, or the layer does not take their shapes.

        Examples
        --------
        >>> import fastbp
        >>> x = fastbp.Input(4)
        >>> layer = fastbp.Dense(4)
        >>> model = fastbp.Model(x, layer(layer(x)))  # twice, with the same weights
        >>> model.count_params()
        20
        """
        node = self.node_of(inputs)
        self.nodes.append(node)
        return node.result

    def node_of(self, inputs: Tensor | Sequence[Tensor]) -> Node:
        """Return a use of the layer that it does not remember; `__call__` makes one that it does.

        Parameters
        ----------
        inputs : Tensor or list of Tensor

        Returns
        -------
        Node

        Examples
        --------
        >>> import fastbp
        >>> layer = fastbp.Dense(2)
        >>> layer.node_of(fastbp.Input(3)).outputs, layer.nodes
        ((<Tensor (2,) of dense>,), [])
        """
        many = not isinstance(inputs, Tensor)
        tensors = as_tensors(self.name or type(self).__name__, inputs)
        if self.name is None:
            self.name = default_name(type(self))  # a model adds a number
        if self.call is not None:
            return self._composed(tensors, many)
        if many and not self._takes_lists:
            what = f"is given a list of {len(tensors)}" if len(tensors) > 1 else "is given a list of it"
            raise TypeError(f"{self.name} takes one tensor; it {what}")
        shapes = [tensor.shape for tensor in tensors]
        _, shape = self.build(shapes if many else shapes[0])  # type: ignore[arg-type]
        several = isinstance(shape, list)
        return Node(self, tensors, shape if several else [shape], many, several)  # type: ignore[arg-type]

    @property
    def _takes_lists(self) -> bool:
        """Whether it may be called with a list of tensors: of a user's class, `build` will say."""
        return not type(self).build.__module__.startswith(__package__)

    def _composed(self, tensors: list[Tensor], many: bool) -> Node:
        own = set()
        for attribute, value in vars(self).items():
            several = value.values() if isinstance(value, dict) else value
            parts = several if isinstance(value, (list, tuple, dict)) else [value]
            for k, part in enumerate(parts):
                own.add(id(part))
                if isinstance(part, Layer) and part.name is None:
                    part.name = attribute if part is value else f"{attribute}_{k + 1}"
        inside = tuple(Tensor(tensor.shape, tensor.dtype, f"{self.name}'s") for tensor in tensors)
        outer = _composing.__dict__.setdefault("layers", [])
        if self in outer:
            others = ", ".join(layer.name for layer in outer[outer.index(self) + 1 :])
            way = f", through {others}" if others else ""
            raise ValueError(f"{self.name}.call calls {self.name}{way}: there is no end to it")
        outer.append(self)
        try:
            made = self.call(list(inside) if many else inside[0])  # type: ignore[misc]
        finally:
            outer.pop()
        several = isinstance(made, (list, tuple))
        outputs = tuple(as_tensors(f"{self.name}.call returned", made))
        for node in nodes_between(inside, outputs, f"{self.name}.call"):
            layer = node.layer
            layer.nodes.remove(node)
            keeps = node.inner is not None or layer.parameters or layer.statistics or layer.random
            if keeps and id(layer) not in own:
                what = f"{self.name}.call makes or takes {layer.name}, a {type(layer).__name__}"
                raise ValueError(f"{what}; what keeps something must be an attribute, or in a list that is one")
        return Node(self, tensors, [t.shape for t in outputs], many, several, (inside, outputs))

    @property
    def output(self) -> Any:
        """The tensor that the layer returned when it was called: of a layer that is used several times the last one."""
        return self._node.result

    @property
    def input(self) -> Any:
        """The tensor that the layer was called with: of a layer that is used several times, the last time."""
        node = self._node
        return list(node.inputs) if node.many else node.inputs[0]

    @property
    def _node(self) -> Node:
        if not self.nodes:
            for model in tuple(self.owners):
                model.trace()
        if not self.nodes:
            raise AttributeError(f"layer {self.name or type(self).__name__} was not called with a tensor yet")
        return self.nodes[-1]

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return the layer's parameters and its output shape.

        Parameters
        ----------
        input_shape : tuple of int
            The shape of one row; a list of them for a layer that is called with a list of tensors.

        Returns
        -------
        specs : list of ParameterSpec
        output_shape : tuple of int

        Examples
        --------
        >>> import fastbp
        >>> specs, output_shape = fastbp.Dense(3).build((4,))
        >>> [(spec.name, spec.shape) for spec in specs], output_shape
        ([('w', (4, 3)), ('b', (3,))], (3,))
        """
        raise NotImplementedError

    def check_data(self, name: str, x: np.ndarray) -> bool:
        """Raise ValueError where the layer cannot take the data `x` of a model, which is called `name`.

        Parameters
        ----------
        name : str
            What messages call the data.
        x : ndarray
            Rows, as the layer before, if there is one, hands them on.

        Returns
        -------
        bool
            Whether the next layer takes the same numbers, and is to be asked too.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> fastbp.Dense(3).check_data("x", np.array([[0.5]]))
        False
        >>> fastbp.Embedding(10, 2, name="words").check_data("x", np.array([[0.5]]))
        Traceback (most recent call last):
        ValueError: x[0, 0] is 0.5; words takes whole numbers in 0 .. 9
        """
        return False

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the forward calls to a program.

        Parameters
        ----------
        program : Program
        x : Buffer
            The input, shape (batch, ...). Kernels of rows take ``x.matrix()``, where each row is one of the last axis.
            A list of them for a layer that is called with a list of tensors.
        weights, gradients : dict of str to Buffer
            By the names of `parameters`; statistics and the generator are among the weights. There are no gradients of
            a layer that is not trained. A parameter may be used as often as is needed: what a second call is to
            write into its gradient is added, so that the gradient is the sum of all uses, from the last one on.

        Returns
        -------
        y : Buffer
        backward : callable
            ``backward(dy, need_dx)`` adds the backward calls and returns dx, or None without need. With a list of
            inputs `need_dx` is a list, and so is what is returned.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> x = program.buffer("x", (BATCH, 4), role="input")
        >>> y, backward = fastbp.Activation("tanh", name="tanh").emit(program, x, {}, {})
        >>> dx = backward(program.buffer("dy", y.shape), need_dx=True)
        >>> print(*program.calls, sep="\\n")
        tanh_forward(x[batch, 4]) -> tanh.y[batch, 4]
        tanh_backward(dy[batch, 4], tanh.y[batch, 4]) -> tanh.dx[batch, 4]
        """
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        engines = [model.current_engine for model in self.owners]
        engine = next((engine for engine in engines if engine is not None and self in engine.layers), None)
        if engine is None:
            # of a model that is gone, or of none
            own = {k: v for k, v in self.arrays.items() if not (k[0] == "d" and k[1:] in self.arrays)}
            initial: Any = {**self.initial, **own}
        else:
            initial = engine, next(k for k, layer in enumerate(engine.layers) if layer is self)
        own_state = {k: v for k, v in vars(self).items() if k not in ("owners", "nodes", "home")}
        return {**own_state, "computed": None, "arrays": {}, "initial": initial}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, owners=WeakSet(), nodes=[], home=None)
        if isinstance(self.initial, tuple):
            values, k = self.initial
            self.initial = values["layers"][k]

    def __copy__(self) -> Layer:
        from copy import deepcopy

        return deepcopy(self)  # arrays that two layers share would be a model's

    def __repr__(self) -> str:
        own = {k: v for k, v in self.get_config().items() if v is not None}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in own.items())})"

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments, and changes of `trainable` and `lr_factor`, as plain data.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> import fastbp
        >>> layer = fastbp.LayerNorm(name="norm")
        >>> layer.trainable = False
        >>> layer.get_config()
        {'eps': 1e-05, 'name': 'norm', 'trainable': False}
        """
        own = {"trainable": bool(self.trainable), "lr_factor": self.lr_factor}
        return {"name": self.name, **{k: v for k, v in own.items() if v != 1}}


def from_config(kind: str, config: dict[str, Any]) -> Layer:
    """Return a layer from the name of its class and `Layer.get_config`.

    Parameters
    ----------
    kind : str
        The name of the class; a user's has its module's before it.
    config : dict of str to object

    Returns
    -------
    Layer

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> import fastbp
    >>> from_config("Dense", {"units": 3, "activation": "relu"}).units
    3
    """
    later = {name: config[name] for name in ("trainable", "lr_factor") if name in config}
    layer: Layer = restore(Layer, kind, {name: value for name, value in config.items() if name not in later})
    for name, value in later.items():
        setattr(layer, name, value)
    return layer
