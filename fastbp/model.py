"""Models: graphs of layers, and chains of them; compiled to programs, trained and asked for predictions."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from . import losses, optimizers
from .checks import as_generator, as_list, as_numbers, as_shape, check_kind, check_name, integer, number, source_of
from .compiler import Head, Home, Layout
from .data import (
    Rows,
    Structure,
    as_features,
    as_gradient,
    as_rows,
    as_targets,
    as_weights,
    as_whole,
    by_blocks,
    check_rows,
    dtype_name,
    ready,
)
from .doubts import doubts_of_number, doubts_of_outputs, last_activation
from .engine import NO_STEPS, PULLED_AFTER, Engine, Memory, Setup, Steps, new_state
from .feeds import Feed, inputs_of, is_feed
from .frames import behind, source
from .graph import Graph
from .kernels import check_numerics, choose_backend
from .kernels.caller import warn
from .layers import Layer, default_name
from .naming import foreign, spelled_methods
from .objectives import gradient_of_loss, pulled_back, row_gradients
from .program import CallError
from .progress import Progress, check_verbose
from .results import Evaluation
from .tensor import Node, Part, Tensor, as_tensors, check_called, described, nodes_between, rebuilt
from .training import (
    BLOCK,
    batch_logs,
    evaluate,
    explain,
    feed_of,
    inputs,
    job_of,
    logged_names,
    results_of,
    takes_feed,
    train,
    warn_of_few_rows,
)
from .turns import Turns, put_attributes, put_values

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import ArrayLike, DTypeLike

    from .callbacks import Callback, History
    from .compiler import Network
    from .losses import Loss
    from .metrics import Metric
    from .optimizers import Optimizer
    from .program import Buffer, Program

    Seed = int | np.random.Generator | None
    #: An array, or of a model with several inputs or outputs a list or a dict of them; None where there are no targets.
    Data = ArrayLike | Sequence[ArrayLike | None] | Mapping[str, ArrayLike | None]
    #: Of a row of the input, or of each of several.
    Shapes = tuple[int, ...] | list[tuple[int, ...]]

__all__ = ["Model", "Sequential", "makers"]

#: A batch size that takes all rows at once.
WHOLE = sys.maxsize


def _structure(what: str, given: Any, tensors: Sequence[Tensor]) -> Structure:
    """Return how tensors are handed over: one, a list, or a dict."""
    names: list[str] = []
    if isinstance(given, Mapping):
        names = list(given)
        for name in names:
            check_called(name, f"{what} has the name")
        return Structure(what, tuple(names), "dict")
    for k, tensor in enumerate(tensors):
        own = tensor.name if tensor.node is None else tensor.node.layer.name
        kind = what[:-1]
        name = own if own is not None and own not in names else f"{kind}_{k + 1}"
        names.append(name)
    return Structure(what, tuple(names), "one" if isinstance(given, Tensor) else "list")


def makers() -> dict[str, type[Model]]:
    """Return the classes of models by their names in files."""
    return {"Model": Model, "Sequential": Sequential}


def _widest(arrays: Sequence[np.ndarray], dtype: str) -> np.ndarray:
    """Return the array of most elements among those that must be converted, if any must."""
    return max(arrays, key=lambda array: (not ready(array, dtype), array.size))


def _labels(layers: Sequence[Any]) -> list[str]:
    """Return the names of layers, with a number where an earlier one has the same: of layers of several models."""
    found: list[str] = []
    for layer in layers:
        name = layer.name
        found.append(name if name not in found else next(f"{name}#{n}" for n in count(2) if f"{name}#{n}" not in found))
    return found


def _as_shapes(shape: Any) -> list[tuple[int, ...]] | None:
    """Return the shape of a row, or those of several inputs, as a list."""
    if isinstance(shape, list) and any(isinstance(one, (tuple, list)) for one in shape):
        return [as_shape(one) or () for one in shape]
    found = as_shape(shape)
    return None if found is None else [found]


def _listed(name: str, given: Any) -> list[Any]:
    """Return what `compile` is given as the metrics of an output: a list."""
    if given is None or (isinstance(given, (list, tuple)) and not given):
        return []
    from .metrics import Metric

    return as_list(name, [given] if isinstance(given, (str, Metric, losses.Loss)) else given, "names and metrics")


_numbers = count()  # of models in the order in which they were made


def _name(given: str | None, default: str) -> str:
    if given is None:
        return default
    check_called(given)
    return given


@spelled_methods(
    "alone", "backward", "engine", "evaluate", "forward", "layout_for", "learn", "loss", "node_of", "place", "predict",
    "predict_on_batch", "prepare", "read", "test_on_batch", "trace", "train_on_batch", "update", "weights_of",
)  # fmt: skip
class Model(Part):
    """A graph of layers, with one input and output or several.

    Parameters
    ----------
    inputs, outputs : Tensor, or list or dict of Tensor
        As `Input` and calls of layers return them. In the same way data, targets and gradients are handed over, and
        outputs returned: one array, a list, or a dict by names; where it is a list, a dict by names will do, too.
    seed : int or numpy.random.Generator, optional
        For the initial weights. Without it `fit`'s seed counts if `fit` builds the model.
    name : str, optional

    Attributes
    ----------
    inputs, outputs : Tensor, or list or dict of Tensor
    layers : list of Layer
        In the order in which they are used. What is made of others, as a model that is called is, is one of them.
    seed : int, numpy.random.Generator or None
        What the initial weights were drawn from, once the model is built.
    fit_seed : int or None
        What the last `fit` drew from; None for a generator of the caller's.
    history : History
        Of the last `fit`.
    batch_losses : ndarray
        The loss of every batch of the last `fit`, in order.
    trainable : bool
        Whether training changes the parameters of the layers, in this model and in one that this is a part of.
    lr_factor : float
        The learning rate of all layers over the optimizer's.

    Raises
    ------
    TypeError, ValueError
        If an output does not depend on the inputs, or on a tensor that is none of them, or an input leads nowhere.

    Notes
    -----
    Calls run in the order in which the graph was written down: the layer that was called first computes first. What
    several uses contribute to the gradient of a tensor is added in reverse order of use, the losses counting as the
    last ones, in the order of the outputs; so are the contributions to the gradient of a parameter of a layer that is
    called several times.

    A layer may be in several models: all have its weights, and each its own optimizer and gradients. A model can be
    called with tensors as a layer is. Names of layers within it begin with its own, ``"encoder.dense_1"``; a second use
    of a layer is ``"dense_1:2"`` in listings.

    One call at a time may change a model. `predict`, `evaluate`, `input_gradient`, `row_gradients`, `get_weights`,
    `save` and what copies or pickles it only read it: many threads may do so at a time, and so may the callbacks of a
    `fit` and handlers of signals, which find the model as it was after the last whole step. All else is refused with a
    RuntimeError before it touches anything. Ctrl-C at any moment, a MemoryError or an error in a callback leave the
    model as it was after the last whole step.

    ``copy.deepcopy``, ``copy.copy`` and ``pickle`` give a model of its own that goes on with the same bits: parameters,
    the optimizer's state, streams of random numbers, history. Gradients are not copied, and steps by hand begin anew.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = fastbp.Input(8)
    >>> h = fastbp.Dense(8, activation="relu")(x)
    >>> model = fastbp.Model(x, fastbp.Dense(3)(h + x), seed=0)
    >>> model.compile("adam", "sparse_categorical_crossentropy")
    >>> history = model.fit(np.eye(8), np.arange(8) % 3, epochs=100, seed=0, verbose=0)
    >>> model.predict(np.eye(8)).shape
    (8, 3)

    Two inputs, a list, and two outputs by names:

    >>> words, numbers = fastbp.Input(5, dtype="int64"), fastbp.Input(2)
    >>> h = fastbp.layers.Concatenate()([fastbp.Flatten()(fastbp.Embedding(100, 4)(words)), numbers])
    >>> outputs = {"kind": fastbp.Dense(3)(h), "price": fastbp.Dense(1)(h)}
    >>> model = fastbp.Model([words, numbers], outputs)
    >>> model.compile("adam", {"kind": "sparse_categorical_crossentropy", "price": "mse"}, loss_weights={"price": 0.5})
    >>> x = [np.ones((4, 5)), np.zeros((4, 2))]
    >>> loss = model.train_on_batch(x, {"kind": [0, 1, 2, 0], "price": np.zeros(4)})
    >>> {name: y.shape for name, y in model.predict(x).items()}
    {'kind': (4, 3), 'price': (4, 1)}
    """

    _tensors: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
    _graph: Graph | None

    def __init__(self, inputs: Any, outputs: Any, seed: Seed = None, name: str | None = None) -> None:
        self._begin(seed, _name(name, "model"), name is not None)
        xs, ys = (
            as_tensors(what, list(given.values()) if isinstance(given, Mapping) else given)
            for what, given in (("inputs", inputs), ("outputs", outputs))
        )
        for k, tensor in enumerate(xs):
            if any(tensor is other for other in xs[:k]):
                raise ValueError(f"inputs has {tensor!r} twice")
        self._tensors = tuple(xs), tuple(ys)
        self._adopt(nodes_between(xs, ys, "the model"))
        self._take_in, self._put_out = _structure("inputs", inputs, xs), _structure("outputs", outputs, ys)
        self._single = self._take_in.kind == self._put_out.kind == "one"
        self._graph = Graph(xs, ys, [*self._take_in.names, *self._put_out.names], whole=self)
        Layout(self._graph)  # which refuses parameters of two shapes
        self._own(self._graph)

    def _begin(self, seed: Seed, name: str, named: bool) -> None:
        Part.__init__(self)
        self.name, self.named, self.number = name, named, next(_numbers)
        self.layers: list[Any] = []
        self.seed: Any = seed
        self.fit_seed: int | None = None
        self.history: Any = None
        self.batch_losses: Any = None
        self.stop_training = False
        self._turns, self._building = Turns(), RLock()
        # what compile and build made; never changed, only replaced
        self._setup = Setup()
        self._memory: Memory | None = None
        self._engine: Engine | None = None
        self._by_hand: Steps = NO_STEPS
        self._take_in = self._put_out = Structure("data", ("",), "one")
        self._single = True  # whether there are one input and one output, which are arrays
        self._tensors = (), ()
        self._graph = None
        self._extras: list[tuple[Tensor, float]] = []
        #: Plain data that files keep with the model, such as what it was trained on.
        self.metadata: dict[str, Any] = {}
        #: The model with a preparation whose net this one is, or None.
        self.prepared: Any = None

    def _adopt(self, nodes: Iterable[Node]) -> None:
        """Take the layers of nodes, and give names to those that have none of their own yet."""
        found = list(dict.fromkeys(node.layer for node in nodes))
        taken = [layer.name for layer in found if layer.named or layer.owners]
        for layer in found:
            if not layer.named and not layer.owners:
                kind = default_name(type(layer))
                layer.name = next(f"{kind}_{n}" for n in count(1) if f"{kind}_{n}" not in taken)
                taken.append(layer.name)
        named = [layer.name for layer in found if layer.named]
        for name in named:
            if named.count(name) > 1:
                raise ValueError(f"two layers are called {name!r}; names must differ")
        self.layers = found

    def add_loss(self, tensor: Tensor, weight: float = 1.0) -> None:
        """Add to the loss: the mean of a tensor over all of its elements, and so over the rows of a batch.

        It counts in training and in `evaluate`, also without any other loss: data are ``fit(x)`` then. That of a model
        which is called as a layer counts in the model around it, too, once for each use.

        Parameters
        ----------
        tensor : Tensor
            Made of the inputs of the model, as outputs are.
        weight : float
            By which the mean is multiplied.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If it is no tensor, or none of this model's; if the model is built.

        Examples
        --------
        >>> import fastbp
        >>> x = fastbp.Input(4)
        >>> h = fastbp.Dense(3, activation="tanh")(x)
        >>> model = fastbp.Model(x, fastbp.Dense(1)(h))
        >>> model.add_loss(h * h, weight=0.01)
        >>> model.compile("sgd", "mse")
        >>> loss = model.train_on_batch([[1, 2, 3, 4]], [[1]])
        """
        tensors = as_tensors("add_loss", tensor)
        weight = number("weight", weight)
        if self.built or self._setup.optimizer is not None:
            done = "built" if self.built else "compiled"
            raise RuntimeError(f"the model is {done}; add losses before")
        if self._graph is None:
            what = "the layers of a Sequential take activity_regularizer"
            raise RuntimeError(f"losses are added to a fastbp.Model; {what}")
        extras = [*self._extras, *[(one, weight) for one in tensors]]
        xs, ys = self._tensors
        nodes = nodes_between(xs, [*ys, *[one for one, _ in extras]], "the model with its losses")
        self._extras = extras
        self._adopt(nodes)
        self._graph = Graph(xs, ys, [*self._take_in.names, *self._put_out.names], extras, self)
        self._own(self._graph)

    def _own(self, graph: Graph) -> None:
        for part in (*self.layers, *graph.layers, *(outer for around in graph.around for outer in around)):
            if part is not self:
                part.owners.add(self)

    def __call__(self, inputs: Any) -> Any:
        """Return what the model makes of tensors: it is a layer of other models, and shares its weights with them.

        Parameters
        ----------
        inputs : Tensor, or list or dict of Tensor
            As the model takes data.

        Returns
        -------
        Tensor, or list or dict of Tensor

        Raises
        ------
        TypeError, ValueError
            If these are no tensors, or have other shapes. Arrays are for `predict` and `forward`.

        Examples
        --------
        >>> import fastbp
        >>> tower = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(4)])
        >>> left, right = fastbp.Input(16), fastbp.Input(16)
        >>> model = fastbp.Model([left, right], fastbp.layers.Dot(axes=-1)([tower(left), tower(right)]))
        >>> model.count_params()  # of one tower
        172
        """
        node = self.node_of(inputs)
        self.learn([tensor.shape for tensor in node.inputs])
        self.nodes.append(node)
        return self._put_out.joined(node.outputs)

    def learn(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Take the shapes of the inputs, where the model does not know them yet: a graph does.

        Parameters
        ----------
        shapes : list of tuple of int
            Of a row of each input.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(2)])
        >>> model.learn([(3,)])
        >>> model.input_shape
        (3,)
        """

    def node_of(self, inputs: Any) -> Node:
        """Return a use of the model as a layer that it does not remember; `__call__` makes one that it does.

        Parameters
        ----------
        inputs : Tensor, or list or dict of Tensor

        Returns
        -------
        Node

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(2)])
        >>> model.node_of(fastbp.Input(3)).outputs, model.nodes
        ((<Tensor (2,) of sequential>,), [])
        """
        if self._take_in.kind == "one":
            tensors = as_tensors(self.name, inputs)
        else:
            parts = self._take_in.parts(f"the call of {self.name}", inputs, whole=True)
            tensors = as_tensors(self.name, [part for _, part in parts])
        wanted = len(self._take_in.names)
        if len(tensors) != wanted:
            raise ValueError(f"{self.name} is given {len(tensors)} tensors; it takes {wanted}")
        xs, ys = self._traced([tensor.shape for tensor in tensors])
        for tensor, x in zip(tensors, xs, strict=True):
            if tensor.shape != x.shape:
                raise ValueError(f"{self.name} is given {tensor!r}; it takes rows of shape {x.shape}")
        return Node(self, tensors, [y.shape for y in ys], True, True, (xs, ys), self._extras)

    def _traced(self, shapes: Sequence[tuple[int, ...]]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the tensors from which the graph leads to which others."""
        return self._tensors

    def trace(self) -> None:
        """Let layers know the tensors that they take and make, where these are known: in a graph they do.

        Examples
        --------
        >>> import fastbp
        >>> x = fastbp.Input(3)
        >>> model = fastbp.Model(x, fastbp.Dense(2, name="h")(x))
        >>> model.trace()
        >>> model.get_layer("h").output
        <Tensor (2,) of h>
        """

    @property
    def inputs(self) -> Any:
        """The tensors that stand for the data."""
        return self._take_in.joined(self._ends[0])

    @property
    def outputs(self) -> Any:
        """The tensors that the model returns."""
        return self._put_out.joined(self._ends[1])

    input, output = inputs, outputs

    @property
    def _ends(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        self.trace()
        if not self._tensors[0]:
            raise AttributeError("the model has no tensors yet; give it layers and an input_shape")
        return self._tensors

    @property
    def _concerned(self) -> tuple[Any, ...]:
        """The models whose train steps depend on what this says: itself, and those that it is in."""
        return (self, *self.owners)

    # ------------------------------------------------------------------ structure

    def holds(self, part: Any) -> bool:
        """Return whether a layer or a model is this one, or inside it.

        Parameters
        ----------
        part : Layer or Model

        Returns
        -------
        bool

        Examples
        --------
        >>> import fastbp
        >>> inner = fastbp.Sequential([fastbp.Dense(3)])
        >>> fastbp.Sequential([inner]).holds(inner.layers[0])
        True
        """
        return part is self or any(
            part is layer or (isinstance(layer, Model) and layer.holds(part)) for layer in self.layers
        )

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Return a layer by its name or its place.

        Parameters
        ----------
        name : str, optional
        index : int, optional
            Negative ones count from the end. Give one of the two.

        Returns
        -------
        Layer

        Raises
        ------
        ValueError, IndexError
            If there is no such layer; the message has the nearest name, and all.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8, name="hidden"), fastbp.Dense(3)])
        >>> model.get_layer("hidden").units, model.get_layer(index=-1).name
        (8, 'dense_1')
        """
        if (name is None) == (index is None):
            raise ValueError(f"name is {name!r} and index is {index!r}; give one of them")
        if index is not None:
            n = len(self.layers)
            k = integer("index", index, -sys.maxsize)
            if not -n <= k < n:
                raise IndexError(f"index is {k}; the model has {n} layers")
            return self.layers[k]
        check_name("layer", name, [layer.name for layer in self.layers])
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def input_shape(self) -> Any:
        """The shape of one row, or None while it is not known; of several inputs a list or dict of shapes."""
        shapes = self._shapes
        return None if shapes is None else self._take_in.joined(shapes)

    @property
    def _shapes(self) -> list[tuple[int, ...]] | None:
        """Those of a row of each input, or None while they are not known."""
        return [tensor.shape for tensor in self._tensors[0]]

    def layout_for(self, input_shape: Shapes | None = None) -> Layout:
        """Return the layout that the model has, or will have, without changing it.

        Parameters
        ----------
        input_shape : tuple of int, or list of tuple of int, optional
            Of one row, or of one of each input, where the model does not know it.

        Returns
        -------
        Layout

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8), fastbp.Dense(3)])
        >>> layout = model.layout_for((4,))
        >>> layout.shapes, layout.n, model.layout
        ([(8,), (3,)], 67, None)
        """
        return self.layout or Layout(self._graph_for(_as_shapes(input_shape)))

    def _graph_for(self, shapes: list[tuple[int, ...]] | None) -> Graph:
        """Return the graph for rows of these shapes."""
        graph: Any = self._graph
        return graph

    def build(self, input_shape: Shapes | int | None = None, seed: Seed = None) -> None:
        """Allocate the parameters and draw their initial values.

        Parameters
        ----------
        input_shape : int, tuple of int or list of tuple of int, optional
            The shape of one row, or of one of each input, where the model does not know it.
        seed : int or Generator, optional
            Where the model has none of its own.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(3)], seed=0)
        >>> model.build(input_shape=4)
        >>> [w.shape for w in model.get_weights()]
        [(4, 8), (8,), (8, 3), (3,)]
        """
        # threads that see an unbuilt model first, at the same time, wait for one of them to build it
        with self._building:
            shapes, known = _as_shapes(input_shape), self._shapes
            if None not in (shapes, known) and shapes != known:
                one, other = (str(found[0] if len(found) == 1 else found) for found in (shapes, known))  # type: ignore[arg-type, index]
                raise ValueError(f"input_shape is {one}; the model takes rows of shape {other}")
            if self._memory is None:
                self._turns.take("build", self._build, shapes, seed)

    def _build(self, shapes: list[tuple[int, ...]] | None, seed: Seed) -> None:
        layout = self.layout_for(shapes)
        for layer in layout.layers:
            for other in tuple(layer.owners) if layer.home is None else ():
                # what was made before and has a seed of its own begins with it
                earlier = other.number < self.number and other.seed is not None
                if earlier and not other.built and other.input_shape is not None:
                    other.build()
                    layout = self.layout_for(shapes)
        for doubt in self._doubts_of_number(layout, self._setup.heads):
            warn(doubt)
        source = source_of(seed if self.seed is None else self.seed)
        from .kernels.draws import portable_generator  # which needs numpy.random

        if self._setup.optimizer is not None and self._dtype_with(layout) != self.dtype:
            # models that nobody compiled follow
            put_attributes(self._converted_others(layout.layers, self.dtype, {}))
            layout = self.layout_for(shapes)
        memory = Memory(layout, self._dtype_with(layout))
        setup = self._setup.but(dtype=memory.dtype)
        memory.draw(portable_generator(as_generator("seed", source)))
        drawn_from = source if isinstance(source, int) else self.seed
        for node in nodes_between(*self._traced([port.shape for port in layout.graph.ports]), "the model"):
            if isinstance(node.layer, Model):
                node.layer.learn([tensor.shape for tensor in node.inputs])
        triples = [*self._placed(setup, memory), (self, "seed", drawn_from)]
        for other in self._family(memory.layout.layers):
            if other._turns is not self._turns:
                # one turn for all that share memory, from the next call on
                other._turns.take("build", lambda: None)
                engine = Engine(other._memory, other._setup, self._turns)
                triples += [(other, "_turns", self._turns), (other, "_engine", engine), (other, "_by_hand", NO_STEPS)]
        put_attributes(triples)

    def _dtype_with(self, layout: Layout) -> str:
        """Return the dtype of the model, which is that of layers that it shares with others."""
        for home in layout.homes:
            if home is not None and home.dtype != self.dtype:
                return home.dtype
        return self.dtype

    def place(self, setup: Setup, memory: Memory | None) -> None:
        """Let the model be compiled and built in this way.

        Parameters
        ----------
        setup : Setup
        memory : Memory or None
            None before the model is built.

        Examples
        --------
        >>> import fastbp
        >>> from fastbp.engine import Setup
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4)
        >>> model.place(Setup(), None)
        >>> model.layout is None, model.input_shape
        (True, (4,))
        """
        put_attributes(self._placed(setup, memory))

    def _placed(self, setup: Setup, memory: Memory | None, layers: Sequence[Any] = ()) -> list[tuple[Any, str, Any]]:
        """Return what to set (`put_attributes`) so that the model is compiled and built in this way."""
        triples: list[tuple[Any, str, Any]] = [(self, "_setup", setup), (self, "_memory", memory)]
        if setup.optimizer is not None:
            triples += setup.optimizer.attached(self, {} if memory is None else new_state(setup.optimizer, memory))
        if memory is None:
            views: list[dict[str, np.ndarray]] = []
            for layer in layers or self.layers:
                if isinstance(layer, Layer) and not any(other.built for other in layer.owners if other is not self):
                    triples += [(layer, "arrays", {}), (layer, "initial", layer.initial), (layer, "home", None)]
                    triples.append((layer, "computed", None))
        else:
            layers, views = memory.layout.layers, memory.views()
            triples += memory.settle()
        for layer, arrays in zip(layers, views, strict=False):
            triples += [(layer, "arrays", arrays), (layer, "initial", {}), (layer, "computed", None)]
        engine = None if memory is None else Engine(memory, setup, self._turns)
        return [*triples, (self, "_engine", engine), (self._turns, "hand", ""), (self, "_by_hand", NO_STEPS)]

    @property
    def built(self) -> bool:
        """Whether the parameters are there."""
        return self._memory is not None

    # ------------------------------------------------------------------ copies

    @property
    def current_engine(self) -> Engine | None:
        """What computes for this model, or None before it is built."""
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        # a copy makes its own
        made = ("_turns", "_building", "_memory", "_by_hand", "_graph", "_extras", "owners", "nodes", "prepared")
        state = {name: value for name, value in vars(self).items() if name not in made}
        shapes = None if self._memory is None else self._shapes
        nodes = None if self._graph is None else self._described()
        return {**state, "_memory": shapes, "_tensors": nodes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from .saving import usable

        values, shapes, nodes = state["_engine"], state["_memory"], state["_tensors"]
        vars(self).update(state)
        self._turns, self._building, self.owners, self.nodes = Turns(), RLock(), WeakSet(), []
        self.number, self._extras, self.prepared = next(_numbers), [], None
        self._memory, self._engine, self._by_hand, self._graph = None, None, NO_STEPS, None
        self._setup = self._setup.but(backend=usable(self._setup.backend))
        self._tensors = (), ()
        if nodes is not None:
            self._rebuild(nodes, self.layers)
            self._own(self._graph)  # type: ignore[arg-type]
        for layer in self.layers:
            layer.owners.add(self)
        if self.history is not None:
            from .callbacks import History

            if isinstance(self.history, History):
                self.history.model = self
        memory = None
        if shapes is not None:
            memory = Memory(self.layout_for(shapes), self.dtype)
            memory.take()
            memory.arrays["streams"][...] = values["streams"]
        self.place(self._setup, memory)

    def __copy__(self) -> Model:
        from copy import deepcopy

        return deepcopy(self)  # layers and arrays belong to one model

    def clone(self) -> Any:
        """Return a new model that is like this one, with the same weights, to be trained from here on by itself.

        Layers, loss, metrics and the optimizer's settings are copies; the optimizer's state, the history and what else
        a training leaves behind begin anew. Keras' ``clone_model`` draws new weights, which here is
        ``Sequential([type(layer)(**layer.get_config()) for layer in model.layers])``; ``copy.deepcopy(model)`` goes on
        with the training, too.

        Returns
        -------
        Sequential
            Built and compiled where this one is.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=2)
        >>> target = model.clone()
        >>> bool((target.layers[0].w == model.layers[0].w).all()), target.layers[0] is model.layers[0]
        (True, False)
        """
        from copy import deepcopy

        twin = deepcopy(self, {id(self.history): None, id(self.batch_losses): None})
        twin.fit_seed, twin.stop_training = None, False
        if twin.optimizer is not None:
            twin.optimizer.reset()
        return twin

    @property
    def layout(self) -> Layout | None:
        """Where the parameters lie, or None before the model is built."""
        return None if self._memory is None else self._memory.layout

    @property
    def optimizer(self) -> Any:
        """The optimizer that the model was compiled with, or None."""
        return self._setup.optimizer

    @property
    def heads(self) -> tuple[Head, ...]:
        """The losses that the model was compiled with, each with its output, factor and metrics."""
        return self._setup.heads

    @property
    def single(self) -> bool:
        """Whether there are one input and one output, which are arrays."""
        return self._single

    @property
    def rows_per_sample(self) -> int:
        """How many rows in succession neither batches nor shuffling part."""
        return self._setup.rows_per_sample

    @property
    def logged(self) -> tuple[str, ...]:
        """The keys of what training logs: losses, and metrics that are numbers."""
        return self._setup.logged

    @property
    def loss_function(self) -> Any:
        """The loss that the model was compiled with, or None; of several outputs a list or dict of these."""
        if self._setup.heads and self._setup.heads[0].joint is not None:
            return self._setup.heads[0].joint
        found: list[Loss | None] = [None] * len(self._put_out.names)
        for head in self._setup.heads:
            found[head.output] = head.loss
        return self._put_out.joined(found) if self._setup.heads else None

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that the model was compiled with, of all outputs."""
        return self._setup.metrics

    @property
    def dtype(self) -> str:
        """The dtype of parameters and data, "float32" or "float64"; `compile` changes it."""
        return self._setup.dtype

    @property
    def numerics(self) -> str:
        """Which bits, "numpy" or "portable"; `compile` changes it."""
        return self._setup.numerics

    @property
    def backend(self) -> str | None:
        """Who runs the kernels, or None while nobody has chosen; `compile` changes it."""
        return (self._setup if self._engine is None else self._engine.setup).backend

    def compile(
        self,
        optimizer: Optimizer | str = "adam",
        loss: Any = None,
        metrics: Any = (),
        backend: str | None = None,
        dtype: DTypeLike = "float32",
        numerics: str = "numpy",
        loss_weights: Any = None,
        weighted_metrics: Any = (),
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : Optimizer or str
        loss : Loss or str, or list or dict of these, optional
            Without one, a gradient of the output of your own trains the model: `forward`, ``backward(dy)``, `update`.
            A name, such as "mse". For cross-entropies by name the model's last activation decides
            whether they take logits; layers behind it whose predictions are their inputs do not count. One
            warning says if the outputs are not what the loss takes, here or when their number is known. Of several
            outputs each has its own, and those without one, or with None, do not train; a single one is for all.
        metrics : list of Metric or str, or list or dict of these
            A name, such as "accuracy", "f1_score" or "mae", is also its key in the history, as it is written. Of
            several outputs each has its own, and keys begin with its name: "policy_accuracy", beside its "policy_loss".
            Losses are metrics, too.
        backend : {"cython", "numba", "numpy"}, optional
            By default "cython"; "numpy", with one warning, where fastbp was installed without a C compiler.
        dtype : {"float32", "float64"}
            Of parameters and data. A model that is built already has its parameters converted.
        numerics : {"numpy", "portable"}
            "numpy": the bits of the NumPy expressions in this process. "portable": the same bits on every CPU,
            for every backend, number of threads and composition of a batch; also the faster one.
        loss_weights : float, or list or dict of float, optional
            By which the losses count in their sum, ``loss_1 * weight_1 + loss_2 * weight_2 + ...`` in the order of the
            outputs; by default 1.
        weighted_metrics : list of Metric or str, or list or dict of these
            Metrics in which rows count as much as they weigh in the loss, see `fastbp.metrics.Weighted`; those of
            `metrics` count all rows alike. One of a name that is taken has ``weighted_`` before it.

        Raises
        ------
        ValueError, TypeError
            The message names the argument; the model is as it was.
        ImportError
            If the backend needs the extension modules and they are missing.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(3)])
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.optimizer.lr, model.loss_function.from_logits
        (0.001, True)

        Objects have options, and the bits may be those of every machine:

        >>> model.compile(fastbp.optimizers.SGD(lr=0.1, momentum=0.9), fastbp.losses.CategoricalCrossEntropy(),
        ...               numerics="portable")
        """
        measured = metrics, weighted_metrics
        self._turns.take("compile", self._compile, optimizer, loss, measured, backend, dtype, numerics, loss_weights)

    def _compile(
        self,
        optimizer: Any,
        loss: Any,
        measured: tuple[Any, Any],
        backend: str | None,
        dtype: DTypeLike,
        numerics: str,
        loss_weights: Any,
    ) -> None:
        dtype = dtype_name(dtype)
        check_numerics(numerics)
        backend = choose_backend(backend)
        if not self.layers:
            raise RuntimeError("the model has no layers")
        optimizer = optimizers.get(optimizer)
        heads = self._heads(loss, *measured, loss_weights)
        together = math.lcm(*[head.loss.rows_per_sample for head in heads])
        setup = Setup(optimizer, heads, backend, dtype, numerics, together, logged_names(heads))
        memory = self._memory
        if memory is None or dtype == memory.dtype:
            self.place(setup, memory)
            return
        homes: dict[Home, Home] = {}
        triples = self._placed(setup, memory.converted(dtype, homes))
        put_attributes(triples + self._converted_others(memory.layout.layers, dtype, homes))

    def _converted_others(
        self, layers: Iterable[Layer], dtype: str, homes: dict[Home, Home]
    ) -> list[tuple[Any, str, Any]]:
        """Return what to set so that the other models with some of these layers have another dtype."""
        triples: list[tuple[Any, str, Any]] = []
        for other in self._family(layers):
            if other._setup.optimizer is not None:
                what = f"dtype is {dtype!r}, and a model with some of the layers is compiled for {other.dtype!r}"
                raise ValueError(f"{what}: compile all of them for one")
            triples += other._placed(other._setup.but(dtype=dtype), other._memory.converted(dtype, homes))
        return triples

    def _family(self, layers: Iterable[Layer]) -> list[Any]:
        """Return the other built models that have some of these layers, or share some with one that does."""
        found: list[Any] = []
        waiting = [*layers]
        while waiting:
            for model in waiting.pop().owners:
                if model is not self and model.built and model not in found:
                    found.append(model)
                    waiting += model.layout.layers
        return found

    def _measured(self, name: str, metrics: Any, each: bool) -> list[list[Any]]:
        """Return for each output what `compile` is given as its metrics; `each` says that one list is not for all."""
        n = len(self._put_out.names)
        if self._put_out.kind == "one" and not each:
            found = [metrics]
        elif each or (isinstance(metrics, (list, tuple, Mapping)) and metrics):
            found = [part for _, part in self._put_out.parts(name, metrics or None, each="lists of metrics")]
        else:
            found = [metrics or ()] * n
        return [_listed(name, own) for own in found]

    @staticmethod
    def _metrics_of(given: list[Any], weighted: list[Any]) -> tuple[Metric, ...]:
        """Return the metrics of an output: those in which rows weigh behind the others."""
        if not (given or weighted):
            return ()
        from .metrics import Weighted, get

        found = [get(metric) for metric in given]
        for metric in weighted:
            own = Weighted(metric)
            if own.name in [other.name for other in found]:
                own.name = f"weighted_{own.name}"
            found.append(own)
        return tuple(found)

    def _heads(self, loss: Any, metrics: Any, weighted_metrics: Any, loss_weights: Any) -> tuple[Head, ...]:
        """Return the losses if they, the metrics and the outputs go together; warn of doubts."""
        n, names = len(self._put_out.names), self._put_out.names
        if getattr(loss, "outputs", None) is not None:
            return self._joint_heads(loss, metrics, weighted_metrics, loss_weights)
        if self._put_out.kind == "one":
            wanted, factors = [loss], [loss_weights]
        else:
            each = isinstance(loss, (list, tuple, Mapping))
            wanted = [part for _, part in self._put_out.parts("loss", loss, each="losses")] if each else [loss] * n
            factors = [None] * n
            if loss_weights is not None:
                factors = [part for _, part in self._put_out.parts("loss_weights", loss_weights, each="numbers")]
        both = ("metrics", metrics), ("weighted_metrics", weighted_metrics)
        measured = [self._measured(name, given, False) for name, given in both]
        heads, doubts = [], []
        for k, (one, given, weighted, factor) in enumerate(zip(wanted, *measured, factors, strict=True)):
            of = "" if n == 1 else f" of output {names[k]!r}"
            if one is None:
                if given or weighted:
                    what = f"metrics{of} is {[*given, *weighted]!r} and loss is missing"
                    raise ValueError(f"{what}; metrics go with a loss, for example 'mse'")
                if factor is not None:
                    raise ValueError(f"loss_weights{of} is {factor!r} and loss is missing; they go together")
                continue
            layers = self._path(k)
            own = losses.get(one).for_activation(last_activation(layers))
            if own.reduction == "none":
                what = "to be minimised it must be one number"
                raise ValueError(f"loss{of} has the reduction 'none'; {what}: 'mean' or 'sum'")
            if not isinstance(factor, (int, float, np.number, type(None))) or isinstance(factor, bool):
                raise TypeError(f"loss_weights{of} is {factor!r}; it must be a number")
            weight = 1.0 if factor is None else number(f"loss_weights{of}", factor, 0, math.inf)
            found = self._metrics_of(given, weighted)
            for metric in found:
                metric.check_loss(own)
            called = [metric.name for metric in found]
            if len({"loss", *called}) != len(called) + 1:
                raise ValueError(f"metrics{of} is {called}; their names must be unique, and none may be 'loss'")
            heads.append(Head(k, own, weight, found, "" if n == 1 else f"{names[k]}_"))
            doubts += doubts_of_outputs(layers, own)
        layout = self.layout if self._graph is None else self.layout_for()
        if layout is not None:
            for head in heads:
                head.loss.target_shape(layout.graph.results[head.output].shape)
            doubts += self._doubts_of_number(layout, heads)
        for doubt in doubts:
            warn(doubt)
        return tuple(heads)

    def _joint_heads(self, loss: Any, metrics: Any, weighted_metrics: Any, loss_weights: Any) -> tuple[Head, ...]:
        """Return what a loss of several outputs asks of each."""
        names = self._put_out.names
        order = list(range(len(names)))
        if isinstance(loss.outputs, dict):
            for name in loss.outputs:
                check_name("output", name, names)
            order = [names.index(name) for name in loss.outputs]
        if loss.reduction == "none":
            raise ValueError("loss has the reduction 'none'; to be minimised it must be one number: 'mean' or 'sum'")
        weight = 1.0 if loss_weights is None else number("loss_weights", loss_weights, 0, math.inf)
        # of a Sequential that knows no shape yet there is one output, which is too few
        known = self._shapes
        shapes: list[Any] = [None] if known is None else [self._graph_for(known).results[k].shape for k in order]
        loss.target_shape(dict(zip(loss.outputs, shapes, strict=True)) if isinstance(loss.outputs, dict) else shapes)
        targets = losses.MeanSquaredError(loss.reduction)
        both = ("metrics", metrics), ("weighted_metrics", weighted_metrics)
        measured = [self._measured(name, given, True) for name, given in both]
        heads = []
        for k, (given, weighted) in enumerate(zip(*measured, strict=True)):
            found = self._metrics_of(given, weighted)
            for metric in found:
                metric.check_loss(targets)
            heads.append(Head(k, targets, weight, found, f"{names[k]}_", loss, tuple(order)))
        return tuple(heads)

    def _path(self, output: int) -> list[Layer]:
        """Return the layers that lead to an output where each has one input, in their order."""
        shapes = self._shapes
        if shapes is not None:
            graph = self._graph_for(shapes)
            return [graph.layers[use.layer] for use in graph.path(output)]
        # their shapes are not known yet: those of models within stand for themselves
        found: list[Layer] = []
        for layer in self.layers:
            found += layer._path(0) if isinstance(layer, Model) else [layer]
        return found

    @staticmethod
    def _doubts_of_number(layout: Layout, heads: Iterable[Head]) -> list[str]:
        graph, found = layout.graph, dict[str, None]()
        for head in heads:
            uses = graph.path(head.output)
            layers, shapes = [graph.layers[use.layer] for use in uses], [graph.shapes[use.outputs[0]] for use in uses]
            found.update(dict.fromkeys(doubts_of_number(layers, shapes, head.loss)))
        return list(found)

    def layers_changed(self) -> None:
        """Note that a layer was frozen or not, or has another learning rate: the next train step follows.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8), fastbp.Dense(3)], input_shape=4)
        >>> model.layers[0].trainable = False  # calls it
        """
        if self._engine is not None:
            self._engine.changed = True

    def _require_compiled(self) -> None:
        if self._setup.optimizer is None:
            raise RuntimeError("the model is not compiled; call model.compile(optimizer=..., loss=...) first")

    def _require_loss(self) -> None:
        self._require_compiled()
        if not self._setup.heads and not self._adds:
            raise RuntimeError(
                "the model was compiled without a loss; call model.compile(optimizer=..., loss=...), or train it by "
                "forward(x), backward(dy) with a gradient of your own, and update()"
            )

    # ------------------------------------------------------------------ data and programs

    @property
    def metric_names(self) -> list[str]:
        """The keys of the metrics in the history and in what `evaluate` returns."""
        return [head.key(metric.name) for head in self._setup.heads for metric in head.metrics]

    @property
    def program(self) -> Program:
        """The train step as `fit` and `train_on_batch` run it: print, `profile` or run it with ``check="numpy"``."""
        self._require_loss()
        self.optimizer.prepare()
        made = None if self._engine is None else self._engine.train_program
        return made or self._turns.take("program", lambda: self.engine().executor("train", 1)[0].program)

    def engine(self, shape: Shapes | None = None) -> Engine:
        """Return what computes for this model, which is built if it was not; for calls that have their turn.

        Parameters
        ----------
        shape : tuple of int or list of tuple of int, optional
            Of one row, or of one of each input.

        Returns
        -------
        Engine

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3)])
        >>> engine = model.engine((4,))
        >>> engine.layout.n, engine.memory.arrays["parameters"].shape
        (15, (15,))
        """
        if self._engine is None:
            self._build(_as_shapes(shape), None)
        engine: Any = self._engine
        return engine

    def alone(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that changes the model, and that nothing else may meet.

        Parameters
        ----------
        what : str
            How messages call it.
        function : callable
        *args
            Its arguments.

        Returns
        -------
        object
            What the function returns.

        Raises
        ------
        RuntimeError
            If the model is in use.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> def halve(factor):
        ...     for layer in model.layers:
        ...         layer.w *= factor
        >>> model.alone("halve", halve, 0.5)
        """
        return self._turns.take(what, function, *args)

    def read(self, what: str, function: Callable[..., Any], x: Data, *args: Any) -> Any:
        """Call a function that reads the compiled model, which is built first if `x` says how.

        Parameters
        ----------
        what : str
            How messages call it.
        function : callable
        x : array_like or Feed
            Its first argument: inputs of the model, or batches of all.
        *args
            The others; the first of them are targets.

        Returns
        -------
        object
            What the function returns.

        Raises
        ------
        RuntimeError
            If another thread is changing the model.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> x, y = [[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0]
        >>> model.read("count", lambda x, y: len(x), x, y), model.input_shape
        (2, (2,))
        """
        if self._memory is None:
            first = x.first if isinstance(x, Feed) else self.prepare(x, args[0])
            self.build([part.shape[1:] for part in first.x])
        return self._turns.read(what, function, x, *args)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return copies of all arrays that a train step reads and writes, by name.

        Returns
        -------
        dict of str to ndarray

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> model.compile("adam", "mse")
        >>> before = model.snapshot()
        >>> loss = model.train_on_batch([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
        >>> [name for name, array in model.snapshot().items() if (array != before[name]).any()]
        ['parameters', 'gradients', 'm', 'v', 'power']
        """
        return self._turns.read("snapshot", lambda: self.engine().copy())

    def prepare(
        self,
        x: Data,
        y: Data,
        sample_weight: Data | None = None,
        class_weight: Any = None,
        names: Sequence[str] = ("x", "y", "sample_weight"),
        dtype: str | None = None,
        converted: bool = True,
        octets: bool = False,
    ) -> Rows:
        """Return data as the compiled model's programs read them; the model is as it was.

        Parameters
        ----------
        x, y, sample_weight : array_like
            As for `fit`.
        class_weight : dict of int to float or "balanced", optional
            As for `fit`.
        names : sequence of str
            What messages call x, y and sample_weight.
        dtype : {"float32", "float64"}, optional
            By default the model's.
        converted : bool
            Whether inputs of another dtype or layout are converted; else only their shape is looked at.
        octets : bool
            Whether inputs of uint8 are converted only where a layer has to look at them first.

        Returns
        -------
        Rows

        Raises
        ------
        TypeError, ValueError, RuntimeError
            The message names the argument, what it was and what is allowed.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)])
        >>> model.compile("adam", "mse")
        >>> rows = model.prepare([[0, 1], [1, 0]], [0, 1])
        >>> rows.x[0].dtype, rows.x[0].shape, rows.y[0].shape
        (dtype('float32'), (2, 2), (2, 1))
        """
        self._require_loss()
        setup, engine, unweighted = self._setup, self._engine, sample_weight is None and class_weight is None
        xs, ys = self._take_in.parts(names[0], x, whole=True), self._targets(names[1], y)
        quick = engine is not None and unweighted and dtype in (None, setup.dtype)
        quick = quick and all(y is not None for _, y in ys)
        if quick and engine.fits(*[x for _, x in xs], *[y for _, y in ys]):  # type: ignore[union-attr]
            return self._as_they_are(xs, ys)
        rows = self._as_rows(xs)
        layout, dtype = self.layout_for([array.shape[1:] for _, array in rows]), dtype or self.dtype
        for (name, array), port in zip(rows, layout.graph.ports, strict=True):
            check_rows(name, array, port.shape)
        given = [
            (name, None if target is None else as_rows(name, target, labels=True))
            for name, target in [(source(name, target), target) for name, target in ys]
        ]
        if quick and engine.fits(*[x for _, x in rows], *[y for _, y in given]):  # type: ignore[union-attr]
            return self._as_they_are(rows, given)
        features = tuple([
            np.ascontiguousarray(array)
            if octets and array.dtype.char == "B" and array.ndim > 1 and layout.graph.takes_octets(k)
            else self._features(k, name, array, layout, dtype=dtype) if converted or ready(array, dtype)
            else array
            for k, (name, array) in enumerate(rows)
        ])
        targets = tuple([
            None if target is None else as_targets(
                name, target, head.loss, layout.graph.results[head.output].shape, dtype, len(features[0])
            )
            for head, (name, target) in zip(setup.heads, given, strict=True)
        ])
        joint = bool(setup.heads) and setup.heads[0].joint is not None
        if all(target is None for target in targets) and not self._adds and not joint:
            if self._single:
                as_rows(*ys[0], labels=True)  # which says what it must be
            raise ValueError(f"{names[1]} has no targets; outputs with a loss are {', '.join(self._targeted)}")
        weight = self.weights_of(sample_weight, class_weight, targets, layout, dtype, names[2])
        return Rows(features, targets, weight, self._counting(targets))

    @staticmethod
    def _loose(structure: Structure, name: str, given: Any) -> list[Any]:
        """Return what is given as the entries of the engine take it; None, which they refuse, for what does not fit."""
        try:
            return [part for _, part in structure.parts(name, given)]
        except (TypeError, ValueError):
            # the long way says what is wrong
            return [None] * len(structure.names)

    def _parts(self, x: Any, *y: Any) -> list[Any]:
        """Return inputs, or these and targets, all arrays in a row."""
        found = self._loose(self._take_in, "x", x)
        return found + self._target_parts(*y) if y else found

    def _target_parts(self, y: Any) -> list[Any]:
        try:
            return [part for _, part in self._targets("y", y)]
        except (TypeError, ValueError):
            return [None] * len(self._setup.heads)

    def _dy_parts(self, dy: Any, steps: Steps) -> list[Any]:
        parts = self._loose(self._put_out, "dy", dy)
        # one without a loss takes none: the long way says so
        known = steps.network.dys if steps is not NO_STEPS else {}
        stray = any(part is not None for k, part in enumerate(parts) if k not in known)
        return [None if stray else parts[k] for k in known]

    def _joined(self, ys: Any) -> Any:
        """Return outputs, of which the only one is no list, as the model hands them over."""
        return None if ys is None else self._put_out.joined(ys if isinstance(ys, list) else [ys])

    @property
    def _adds(self) -> bool:
        """Whether there are losses besides those of outputs."""
        return self._graph is not None and bool(self._graph.extras)

    @property
    def _targeted(self) -> list[str]:
        """The names of the outputs that have a loss."""
        return [self._put_out.names[head.output] for head in self._setup.heads]

    def _targets(self, name: str, y: Any) -> list[tuple[str, Any]]:
        """Return what messages call the targets of each head, and these; None where there are none."""
        heads = self._setup.heads
        if len(heads) == 1 and (self._single or not isinstance(y, (list, tuple, Mapping))):
            return [(name, y)]
        if y is None:
            return [(name, None)] * len(heads)
        parts = self._put_out.parts(name, y)
        targeted = {head.output for head in heads}
        for k, (called, part) in enumerate(parts):
            if part is not None and k not in targeted:
                what = f"{called} is given, and the model was compiled without a loss for {self._put_out.names[k]!r}"
                raise ValueError(f"{what}; outputs with a loss are {', '.join(self._targeted)}")
        return [parts[head.output] for head in heads]

    def weights_of(
        self,
        sample_weight: Any,
        class_weight: Any,
        targets: Sequence[np.ndarray | None],
        layout: Layout,
        dtype: str | None = None,
        name: str = "sample_weight",
        rows: int | None = None,
    ) -> tuple[np.ndarray | None, ...]:
        """Return the weights of the samples for each head, as programs read them; empty where there are none.

        Parameters
        ----------
        sample_weight, class_weight : object
            As for `fit`.
        targets : sequence of ndarray or None
            Of each head.
        layout : Layout
        dtype : {"float32", "float64"}, optional
            By default the model's.
        name : str
            What messages call `sample_weight`.
        rows : int, optional
            How many of the samples count, from the first on; by default all.

        Returns
        -------
        tuple of ndarray or None

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> model.compile("adam", "mse")
        >>> (weights,) = model.weights_of([1.0, 3.0], None, [np.zeros((2, 1))], model.layout)
        >>> weights.tolist()
        [[1.0], [3.0]]
        """
        if sample_weight is None and class_weight is None:
            return ()
        single, heads = self._put_out.kind == "one", self._setup.heads
        of_samples, of_classes = [(name, sample_weight)] * len(heads), [class_weight] * len(heads)
        if not single and isinstance(sample_weight, (list, tuple, Mapping)):
            parts = self._put_out.parts(name, sample_weight)
            of_samples = [parts[head.output] for head in heads]
        if not single and class_weight is not None:
            if not isinstance(class_weight, Mapping) or not set(class_weight) <= set(self._put_out.names):
                what = "of a model with several outputs it must be a dict by their names"
                raise ValueError(f"class_weight is {class_weight!r}; {what}: {', '.join(self._put_out.names)}")
            of_classes = [class_weight.get(self._put_out.names[head.output]) for head in heads]
        found: list[np.ndarray | None] = []
        for head, y, (called, own), classes in zip(heads, targets, of_samples, of_classes, strict=True):
            if rows is not None and own is not None:
                own = as_numbers(called, own)[:rows]
            outputs = layout.graph.results[head.output].shape[-1]
            if y is None:
                found.append(None)
            else:
                found.append(as_weights(own, classes, y, head.loss, dtype or self.dtype, called, outputs=outputs))
        return tuple(found)

    def _counting(self, targets: Sequence[Any]) -> tuple[np.ndarray | None, ...]:
        heads = self._setup.heads
        return tuple([
            None if y is None else head.loss.counting(y) for head, y in zip(heads, targets, strict=True)
        ])

    def _as_rows(self, parts: Sequence[tuple[str, Any]]) -> list[tuple[str, np.ndarray]]:
        """Return inputs as arrays of equally many rows."""
        found = [(name, as_rows(name, x)) for name, x in [(source(name, x), x) for name, x in parts]]
        if len(found) > 1:
            (first, one), *others = found
            for name, array in others:
                if len(array) != len(one):
                    raise ValueError(f"{name} has {len(array)} rows and {first} has {len(one)}; they must be equal")
        return found

    def _as_they_are(self, xs: Sequence[tuple[str, Any]], ys: Sequence[tuple[str, Any]]) -> Rows:
        """Return data that programs can read where they lie."""
        layout: Any = self.layout
        for k, (name, x) in enumerate(xs):
            self._look(k, name, x, layout)
        targets = tuple([y for _, y in ys])
        return Rows(tuple([x for _, x in xs]), targets, counting=self._counting(targets))

    def _features(
        self, k: int, name: str, x: ArrayLike, layout: Layout, finite: bool = True, dtype: str | None = None
    ) -> np.ndarray:
        """Return an input as the program and the first layers take it."""
        x = as_features(name, x, layout.graph.ports[k].shape, dtype or self.dtype, finite)
        self._look(k, name, x, layout)
        return x

    @staticmethod
    def _look(k: int, name: str, x: Any, layout: Layout) -> None:
        """Let the first layers look at an input."""
        graph = layout.graph
        if graph.looked_at[k]:
            if graph.ports[k].integers:
                as_whole(name, x)
            graph.look(k, name, x)

    # ------------------------------------------------------------------ training

    def fit(
        self,
        x: Data | Iterable[Any],
        y: Data | None = None,
        batch_size: int | None = 32,
        epochs: int = 1,
        shuffle: bool = True,
        seed: Seed = None,
        verbose: int | str = 1,
        validation_data: tuple[ArrayLike, ...] | Iterable[Any] | None = None,
        callbacks: Callback | Iterable[Callback] | None = None,
        stop_on_nan: bool = True,
        validation_split: float = 0.0,
        validation_freq: int | Iterable[int] = 1,
        initial_epoch: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        sample_weight: Data | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
    ) -> History:
        """Train for some epochs.

        Called again it goes on: parameters, the optimizer's state and its number of steps, and so the place in a
        schedule of learning rates, are those that the last call left. The shuffles are those of `seed` again, unless
        that is a Generator, and the history is a new one.

        Parameters
        ----------
        x : array_like, shape (rows, n_in), or iterable
            Or (rows, ..., n_in), as the layers take it. Arrays of uint8, such as images, are not converted: each step
            gathers its rows of the bytes. Without `y`, an iterable of batches ``(x, y)`` or ``(x, y, sample_weight)``:
            see Notes.
        y : array_like
            Integer labels (rows,) or numbers (rows, n_out), as the loss takes them. Outputs (rows, t, n_out) have
            labels (rows, t) or numbers (rows, t, n_out): each of the t positions of a row counts by itself.
        batch_size : int or None
            1 is stochastic gradient descent, None takes all rows at once. The last batch of an epoch may be
            smaller; more than there are rows means all rows.
        epochs : int
            The last epoch, counted from 1: there are ``epochs - initial_epoch``.
        shuffle : bool
            Every epoch takes the rows in the order of ``rng.permutation(rows)``, else in their own. Rows that are one
            sample of the loss (`TripletMargin`) stay together.
        seed : int or numpy.random.Generator, optional
            ``rng = numpy.random.Generator(numpy.random.PCG64(seed))``, today's ``default_rng(seed)``. Also for the
            initial weights if the model is not built yet and has no seed of its own, and, through ``rng.spawn``, for
            layers that draw random numbers.
        verbose : {0, 1, 2, "auto"}
            1, or "auto", shows a progress bar on standard error, 2 prints a line an epoch on standard output.
        validation_data : (x, y) or (x, y, sample_weight), or iterable of such batches, optional
            Evaluated after an epoch.
        callbacks : Callback or iterable of Callback, optional
            Called in their order, then what `verbose` shows, then the history.
        stop_on_nan : bool
            Whether a loss that is NaN or infinite stops before that batch's update.
        validation_split : float
            The part of the rows, taken from the end before any shuffling, that is validation data.
        validation_freq : int or iterable of int
            Validate after every so many epochs, or after these, counted from 1.
        initial_epoch : int
            The number of the first epoch, for callbacks and the history; nothing else depends on it.
        checkpoint : path-like, optional
            A file that is written after an epoch, atomically, and from which training goes on if it is there: a run
            that was killed at any moment and is started again by the same script ends with the same bits as one that
            was not, in parameters, optimizer, history and callbacks. See Notes.
        sample_weight : array_like, shape (rows,), optional
            How much each row's loss counts: not negative. The loss is ``mean(weight * loss of a row)``, divided by the
            number of rows as in Keras, not by the sum of the weights. ``compile(weighted_metrics=...)`` weigh the rows,
            over that sum; other metrics count all alike. Of outputs (rows, t, n_out) it may be a weight for each
            position, (rows, t); else all positions of a row have the row's.
        class_weight : dict of int to float or "balanced", optional
            Weights by class, for labels, one-hot targets and a single output of 0 and 1; classes that are left out
            weigh 1. Each position of a row weighs as its own class. "balanced" is scikit-learn's ``rows / (classes *
            count of the class)``, where only classes that occur count, and only rows that are trained on and whose
            label is not ignored. With `sample_weight` both are multiplied. Validation is not weighed by class.
        steps_per_epoch, validation_steps : int, optional
            How many batches of an iterable are an epoch, or are evaluated; by default all there are.

        Returns
        -------
        History
            ``history.history`` holds a list per epoch of "loss", metrics, "val_loss" ..., "lr", the learning rate of
            an epoch's last step, where that is scheduled or was changed, and what callbacks put into `logs`.

        Raises
        ------
        FloatingPointError
            If the loss is not finite: the message names epoch, batch and the first layer that went wrong.
        TypeError, ValueError, RuntimeError
            For bad input, before anything changes.

        Notes
        -----
        An iterable is anything that yields batches and is no array_like: a generator, a ``DataLoader``, a sequence of
        batches as Keras has it. Batches may differ in size and are taken in their order, with the bits of
        `train_on_batch`; `batch_size` and `shuffle` do not count. One that can be iterated over again is begun anew at
        its end: at the end of an epoch, or within one where `steps_per_epoch` says how long that is. An iterator goes
        on from epoch to epoch; where it ends too early, training ends with a warning. An error that the iterable raises
        comes out of `fit`, and the model is as after the last whole step. `validation_split`, `checkpoint`,
        `sample_weight` and ``class_weight="balanced"`` need all rows, and are refused beside an iterable.

        A checkpoint is a model file, which `load_model` reads too, and holds besides: epochs done, the shuffling
        generator's state, the learning rate, the history, and what the callbacks' ``get_state`` return. A run that is
        finished is not trained again; with more `epochs` it goes on, unless a callback had stopped it. The file of a
        run with other layers, loss, optimizer, schedule, batch size, number of rows or callbacks is refused. Data are
        not compared, nor constant learning rates and whether layers are trained: there the file counts. It is written
        after the first and the last epoch, and in between as often as takes at most a twentieth of the time.
        ``batch_losses`` are those since the start of the process. A kill in the midst of a write leaves a file
        ``.fastbp-*.tmp`` behind.

        Examples
        --------
        >>> import fastbp
        >>> x, y = fastbp.datasets.load_digits()
        >>> model = fastbp.Sequential([fastbp.Dense(32, activation="relu"), fastbp.Dense(10)], seed=0)
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], numerics="portable")
        >>> history = model.fit(x, y, batch_size=64, epochs=3, validation_split=0.2, seed=0, verbose=0)
        >>> [round(loss, 3) for loss in history.history["loss"]], sorted(history.history)
        ([2.238, 2.016, 1.802], ['accuracy', 'loss', 'val_accuracy', 'val_loss'])
        """

        return self._turns.take(
            "fit", self._fit, x, y, sample_weight, class_weight, batch_size, epochs, initial_epoch, shuffle, seed,
            verbose, callbacks, stop_on_nan, validation_data, validation_split, validation_freq, checkpoint,
            steps_per_epoch, validation_steps,
        )  # fmt: skip

    def _fit(self, *given: Any) -> History:
        job = job_of(self, *given)
        # until the first epoch begins a refusal, or Ctrl-C, leaves the model as it was
        kept = [(self, "history", self.history), (self, "fit_seed", self.fit_seed), (self, "seed", self.seed)]
        undo: list[Callable[[], Any]] = [partial(put_attributes, kept)]
        try:
            if self._memory is None:
                for generator in (job.source, self.seed):
                    if isinstance(generator, np.random.Generator):
                        bits = generator.bit_generator
                        undo.append(partial(setattr, bits, "state", bits.state))
                shapes = [x.shape[1:] for x in job.first.x]
                undo.append(partial(put_attributes, self._placed(self._setup, None, self.layout_for(shapes).layers)))
                self._build(shapes, job.source)
            engine = self.engine()
            if engine.layout.random:
                streams = engine.memory.arrays["streams"]
                undo.append(partial(put_values, [(streams, streams.copy())]))
                put_values([(streams, engine.memory.seeded(as_generator("seed", job.source)))])
            if job.checkpoint is not None:
                undo.append(job.checkpoint.undo)
                job.checkpoint.restore(engine)
            for callback in (*[hook.callback for hook in job.hooks], job.history):
                callback.set_params(dict(job.params))
                callback.set_model(self.prepared or self)
            self.history, self.fit_seed = job.history, job.params["seed"]
            train(self, engine, job, undo.clear)
        finally:
            for function in reversed(undo):
                function()
        return self.history

    def train_on_batch(
        self,
        x: Data,
        y: Data,
        sample_weight: Data | None = None,
        class_weight: Mapping[int, float] | str | None = None,
        return_metrics: bool = False,
    ) -> Any:
        """Run one train step on one batch; return its loss, or its loss and metrics.

        Parameters
        ----------
        x : array_like, shape (batch, n_in)
        y, sample_weight : array_like
            As for `fit`.
        class_weight : dict of int to float or "balanced", optional
            As for `fit`.
        return_metrics : bool
            Whether metrics are returned, too: those of the batch before the update, as `Callback.on_train_batch_end`
            has them. The step is the same.

        Returns
        -------
        float, or Evaluation with `return_metrics`

        Examples
        --------
        >>> import fastbp
        >>> x, y = fastbp.datasets.load_digits()
        >>> model = fastbp.Sequential([fastbp.Dense(10)], seed=0)
        >>> model.compile("adam", "sparse_categorical_crossentropy", numerics="portable")
        >>> losses = [model.train_on_batch(x[k : k + 32], y[k : k + 32]) for k in range(0, len(x), 32)]
        >>> losses[-1] < losses[0], model.optimizer.iterations
        (True, 57)
        """
        engine = self._engine
        if engine is not None and sample_weight is None and class_weight is None and not return_metrics:
            loss = engine.step(x, y) if self._single else engine.step(*self._parts(x, y))
            if loss is not None:
                if engine.least_rows > 1:
                    first: Any = x if self._single else self._parts(x)[0]
                    rows = np.shape(first)[0]
                    warn_of_few_rows(engine, rows, rows)
                return loss
        given = x, y, sample_weight, class_weight
        return self._turns.take("train_on_batch", self._train_on_batch, return_metrics, *given)

    def _train_on_batch(self, return_metrics: bool, *given: Any) -> Any:
        data = self.prepare(*given)
        engine = self.engine([x.shape[1:] for x in data.x])
        network, executor = engine.executor("train", data.n, data.given)
        warn_of_few_rows(engine, data.n, data.n)
        self._turns.hand = ""
        rows, results = data.n, results_of(executor, data.n, 1)
        self.optimizer.prepare()
        try:
            executor.run_steps(
                (executor.start, len(network.program.calls)), rows, rows, {**inputs(network, data), **results}
            )
        except CallError as error:
            raise explain(engine, error, data, "this batch") from None
        if return_metrics:
            return Evaluation(batch_logs(engine, network, results, data))
        return float(results[network.loss][0])

    # ------------------------------------------------------------------ the four steps by hand

    def forward(self, x: Data, training: bool = True) -> Any:
        """Step 1: compute the output of a batch and keep every layer's for `backward`.

        The model need not be compiled.

        Parameters
        ----------
        x : array_like, shape (batch, n_in)
            It is copied: what becomes of it later does not matter.
        training : bool
            False computes what `predict` does with the batch as one block, bit for bit: nothing is dropped, and the
            moving averages of `BatchNorm` are constants. So they are in the steps that follow, which may train the
            parameters all the same.

        Returns
        -------
        ndarray, shape (batch, n_out)

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3, activation="tanh"), fastbp.Dropout(0.5)], input_shape=2, seed=0)
        >>> x = np.ones((4, 2))
        >>> np.array_equal(model.forward(x, training=False), model.predict(x))
        True
        >>> model.layers[0].y.shape
        (4, 3)
        """
        steps = self._by_hand
        y = None
        if training is steps.training:
            y = steps.forward(x) if self._single else self._joined(steps.forward(*self._parts(x)))
        return self._turns.take("forward", self._forward, x, training) if y is None else y

    def _forward(self, x: Data, training: bool) -> Any:
        check_kind("training", training, (bool, np.bool_), "True or False")
        features = self._inputs(x)
        engine, rows = self.engine([array.shape[1:] for array in features]), len(features[0])
        steps = engine.steps(rows, bool(training))
        network, executor = steps.network, steps.executor
        self._turns.hand = ""
        for buffer, array in zip(network.inputs, features, strict=True):
            executor.fill(buffer, array)
        executor.batch = rows
        steps.run("forward")
        if network.drawn is not None:
            put_values([(engine.memory.arrays["streams"], executor.view(network.drawn))])
        for layer, arrays in zip(engine.layers, engine.memory.views(), strict=True):
            layer.computed = steps.array
            if len(layer.owners) > 1:
                # gradients are those of the model that computes
                layer.arrays = arrays
        steps.has_dy = False
        self._by_hand, self._turns.hand = steps, "forward"
        return self._put_out.joined([executor.view(y).copy() for y in network.outputs])

    def loss(self, y_true: Data) -> float:
        """Step 2: compare the output of `forward` with the targets.

        Parameters
        ----------
        y_true : array_like
            As for `fit`.

        Returns
        -------
        float

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2, seed=0)
        >>> model.compile("sgd", "mse", dtype="float64")
        >>> y_pred, y_true = model.forward(np.ones((4, 2))), np.zeros((4, 1))
        >>> bool(model.loss(y_true) == ((y_pred - y_true) ** 2).mean())
        True
        """
        loss = self._by_hand.loss(y_true) if self._single else self._by_hand.loss(*self._target_parts(y_true))
        return self._turns.take("loss", self._loss, y_true) if loss is None else loss

    def _loss(self, y_true: Data) -> float:
        self._require_loss()
        if self._turns.hand == "":
            raise RuntimeError("loss() needs the output of forward(x); call that first")
        steps, results = self._by_hand, self.engine().layout.graph.results
        network, executor = steps.network, steps.executor
        targets = []
        for head, (name, y) in zip(self._setup.heads, self._targets("y_true", y_true), strict=True):
            if y is None and not self._single:
                raise ValueError(f"{name} is missing; the steps by hand need targets for all outputs that have a loss")
            shape = results[head.output].shape
            targets.append(as_targets(name, y, head.loss, shape, self.dtype, executor.batch))
        for objective, y in zip(network.objectives, targets, strict=True):
            executor.fill(objective.y_true, y)
        steps.run("loss")
        self._turns.hand = "loss"
        return float(executor.view(network.loss))

    def backward(self, dy: Data | None = None) -> None:
        """Step 3: compute ``layer.dw`` and ``layer.db``, and ``layer.dy``, the gradient of each layer's output.

        Parameters
        ----------
        dy : array_like, optional
            The gradient of an objective of your own by the output of `forward`, of its shape: neither a loss nor
            `compile` is needed then. By default that of the loss of step 2. Penalties of the layers add to the
            gradients in both cases.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2, seed=0)
        >>> model.compile(fastbp.optimizers.SGD(lr=0.1))
        >>> x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0], [2.0]])
        >>> for _ in range(300):  # half the mean of squares
        ...     model.backward((model.forward(x) - y) / len(x))
        ...     model.update()
        >>> model.predict(x).round(2)
        array([[1.],
               [2.]], dtype=float32)
        """
        steps = self._by_hand
        if dy is None:
            done = steps.backward()
        else:
            done = steps.pull(dy) if self._single else steps.pull(*self._dy_parts(dy, steps))
        if done is None:
            self._turns.take("backward", self._backward, dy)

    def _backward(self, dy: Data | None) -> None:
        steps, hand = self._by_hand, self._turns.hand
        if dy is None:
            self._require_loss()
            if hand != "loss":
                raise RuntimeError("backward() needs a loss; call forward(x) and loss(y_true) first, or give it dy")
            steps.run("backward")
        else:
            if hand not in PULLED_AFTER:
                raise RuntimeError("backward(dy) needs the output of forward(x); call that first")
            for buffer, array in self._dys(dy, steps.network, steps.executor.batch):
                steps.executor.fill(buffer, array)
            steps.run("pull")
        steps.has_dy, self._turns.hand = True, "backward"

    def _dys(self, dy: Any, network: Network, rows: int) -> list[tuple[Buffer, np.ndarray]]:
        """Return gradients of the outputs by the buffers that they go to; what is left out is 0."""
        for k, (name, part) in enumerate(self._put_out.parts("dy", dy)):
            if k not in network.dys and part is not None:
                what = f"the model was compiled without a loss for {self._put_out.names[k]!r}"
                raise ValueError(f"{name} is given, and {what}; compile it without any to train it by gradients")
        arrays = self._gradients(dy, rows, self.engine().layout.graph)
        return [(network.dys[k], array) for k, array in enumerate(arrays) if k in network.dys]

    def update(self) -> None:
        """Step 4: let the optimizer change the parameters; where it accumulates gradients, the k-th call does.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2, seed=0)
        >>> model.compile(fastbp.optimizers.SGD(lr=0.5), "mse")
        >>> for _ in range(100):
        ...     y_pred = model.forward([[0, 1], [1, 0]])
        ...     loss = model.loss([2, 3])
        ...     model.backward()
        ...     model.update()
        >>> model.predict([[0, 1], [1, 0]]).round(3)
        array([[2.],
               [3.]], dtype=float32)
        """
        if self._by_hand.update() is None:
            self._turns.take("update", self._update)

    def _update(self) -> None:
        self._require_compiled()
        if self._turns.hand != "backward":
            raise RuntimeError("update() needs gradients; call forward(x), loss(y_true) and backward() first")
        self.optimizer.prepare()
        self._by_hand.run("update", counted=True)
        self._turns.hand = "update"

    # ------------------------------------------------------------------ gradients that change nothing

    def input_gradient(
        self,
        x: Data,
        y: Data | None = None,
        *,
        dy: Data | None = None,
        sample_weight: Data | None = None,
        training: bool = False,
    ) -> Any:
        """Return the gradient of the loss, or of an objective of your own, by the inputs.

        The model stays as it is: parameters, statistics, streams of random numbers, ``layer.dw`` and the steps by hand.

        Parameters
        ----------
        x : array_like, shape (rows, n_in)
            They are computed in one pass, as one batch.
        y : array_like, optional
            Targets of the compiled loss, as for `fit`. A mean is over all rows: a row's gradient is that of its own
            loss over their number.
        dy : array_like, optional
            In place of `y`: the gradient of an objective by the output, of its shape. The model need not be compiled.
        sample_weight : array_like, optional
            As for `fit`, with `y`.
        training : bool
            Whether layers compute what they do in training: then `BatchNorm` takes the statistics of the batch, and
            what is dropped is what the next `forward` would drop.

        Returns
        -------
        ndarray, shape of x
            Of several inputs as these are given; of one of whole numbers it is 0.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If not exactly one of `y` and `dy` is given; if the inputs are row numbers of an `Embedding`, which have no
            gradient.

        Notes
        -----
        The gradient is numbers: nothing remembers how they came about, and the gradient of a gradient is not there.
        What needs one (the gradient penalty of a WGAN, double backpropagation, Hessians) can be approximated by
        differences: ``(input_gradient(x + h * v, y) - input_gradient(x - h * v, y)) / (2 * h)`` in float64.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="ones")], input_shape=3)
        >>> model.input_gradient([[1, 2, 3], [4, 5, 6]], dy=[[1], [2]])
        array([[1., 1., 1.],
               [2., 2., 2.]], dtype=float32)
        >>> model.compile("sgd", "mse")
        >>> model.input_gradient([[1, 2, 3], [4, 5, 6]], [[5], [15]])
        array([[1., 1., 1.],
               [0., 0., 0.]], dtype=float32)
        """
        engine = self._engine
        if engine is not None and sample_weight is None and training is False and (y is None) != (dy is None):
            idle, target = (engine.pullers, dy) if y is None else (engine.differentiators, y)
            if self._single:
                dx = engine.ask(idle, x, target, WHOLE)
            else:
                more = self._target_parts(y) if dy is None else self._loose(self._put_out, "dy", dy)
                dxs = engine.ask(idle, *self._parts(x), *more, WHOLE)
                dx = None if dxs is None else self._take_in.joined(dxs if isinstance(dxs, list) else [dxs])
            if dx is not None:
                return dx
        if (y is None) == (dy is None):
            what = "neither y nor dy is" if y is None else "y and dy are both"
            raise ValueError(f"{what} given; input_gradient takes targets y or a gradient dy of the output")
        if y is None and sample_weight is not None:
            raise ValueError("sample_weight is given without y; multiply the rows of dy by it")
        check_kind("training", training, (bool, np.bool_), "True or False")
        if y is not None:
            return self.read("input_gradient", self._gradient_of_loss, x, y, sample_weight, training)
        if self._memory is None:
            self.build([part.shape[1:] for part in self._pulled(x, dy)[0].x])
        return self._turns.read("input_gradient", self._pulled_back, x, dy, training)

    def _gradient_of_loss(self, x: Data, y: Data, sample_weight: Any, training: bool) -> Any:
        engine = self.engine()
        data = self.prepare(x, y, sample_weight)
        return self._take_in.joined(gradient_of_loss(engine, data, engine.trained if training else None))

    def _pulled_back(self, x: Data, dy: Any, training: bool) -> Any:
        engine = self.engine()
        return self._take_in.joined(
            pulled_back(engine, *self._pulled(x, dy), engine.trained if training else None)
        )

    def _pulled(self, x: Data, dy: Any) -> tuple[Rows, list[np.ndarray]]:
        """Return inputs and gradients of their outputs as the program takes them."""
        data = Rows(tuple(self._inputs(x)))
        graph = self.layout_for([array.shape[1:] for array in data.x]).graph
        return data, self._gradients(dy, data.n, graph)

    def _gradients(self, dy: Any, rows: int, graph: Graph) -> list[np.ndarray]:
        """Return a gradient of each output, zeros where none is given."""
        shapes = [(rows, *port.shape) for port in graph.results]
        return [
            np.zeros(shape, self.dtype) if part is None else as_gradient(part, shape, self.dtype, name)
            for (name, part), shape in zip(self._put_out.parts("dy", dy), shapes, strict=True)
        ]

    def row_gradients(self, x: Data, y: Data) -> np.ndarray:
        """Return the gradient of each row's own loss by all parameters.

        A row is computed as a batch of its own, bit for bit, by layers that predict: nothing is dropped, and the moving
        averages of `BatchNorm` are constants. The model stays as it is.

        Parameters
        ----------
        x, y : array_like
            As for `fit`.

        Returns
        -------
        ndarray, shape (rows, parameters)
            The parameters in the order of `get_weights` without statistics, each flattened, also those of layers that
            are not trained. It is what a batch of this row alone would give: not divided by the number of rows, and
            without penalties. Besides this array the memory taken is that of one row.

        Raises
        ------
        ValueError
            If the loss is none of single rows, such as `TripletMargin`.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="ones")], input_shape=3)
        >>> model.compile("sgd", "mse")
        >>> model.row_gradients([[1, 2, 3], [4, 5, 6]], [[5], [14]])
        array([[ 2.,  4.,  6.,  2.],
               [ 8., 10., 12.,  2.]], dtype=float32)
        """
        return self.read("row_gradients", self._row_gradients, x, y)

    def _row_gradients(self, x: Data, y: Data) -> np.ndarray:
        data = self.prepare(x, y)
        for head in self._setup.heads:
            if not head.loss.of_samples:
                raise ValueError(f"{head.loss!r} is no sum over rows; row_gradients needs a loss that is")
        return row_gradients(self.engine(), data)

    # ------------------------------------------------------------------ using

    def predict(
        self,
        x: Data | Iterable[Any],
        batch_size: int = BLOCK,
        verbose: int | str = 0,
        *,
        weights: str | None = None,
    ) -> Any:
        """Return the output for every row.

        Parameters
        ----------
        x : array_like, shape (rows, n_in), or iterable
            NaN and inf pass through as in NumPy. An iterable yields batches x, or tuples of which x is the first.
        batch_size : int
            Rows that are computed at a time. The bits are those of NumPy's expression on such a block.
        verbose : {0, 1, 2, "auto"}
            1 or "auto" shows a progress bar on standard error, 2 prints a line at the end.
        weights : {None, "ema"}
            "ema" computes with the moving averages that an optimizer with ``use_ema=True`` keeps of the parameters;
            before its first update, and for statistics such as those of `BatchNorm`, with what the model has.

        Returns
        -------
        ndarray, shape (rows, n_out)

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> model.set_weights([[[1], [10]], [0.5]])
        >>> model.predict([[1, 2], [3, 4]])
        array([[21.5],
               [43.5]], dtype=float32)
        >>> model.compile(fastbp.optimizers.SGD(lr=0.0625, use_ema=True, ema_momentum=0.5), "mse")
        >>> for _ in range(2):
        ...     loss = model.train_on_batch([[1, 0]], [2.5])
        >>> model.predict([[1, 0]]), model.predict([[1, 0]], weights="ema")
        (array([[1.9375]], dtype=float32), array([[1.84375]], dtype=float32))
        """
        engine = self._engine
        if engine is not None and batch_size.__class__ is int and not verbose and weights is None:
            if self._single:
                y = engine.ask(engine.predictors, x, batch_size)
            else:
                y = self._joined(engine.ask(engine.predictors, *self._parts(x), batch_size))
            if y is not None:
                return y
        batch_size, verbose = integer("batch_size", batch_size, 1), check_verbose(verbose)
        self._check_weights(weights)
        fed = is_feed(x, sequences=False)
        data: Any = Feed("x", x, self._inputs_of) if fed else x
        if self._memory is None:
            rows = data.first if fed else self._inputs(data)
            self.build([array.shape[1:] for array in rows])
        return self._turns.read("predict", self._predict, data, batch_size, verbose, weights)

    def _check_weights(self, weights: str | None) -> None:
        """Raise ValueError where somebody asks for averages that the optimizer does not keep."""
        if weights is None:
            return
        if weights != "ema":
            raise ValueError(f"weights is {weights!r}; it must be None or 'ema'")
        optimizer = self.optimizer
        if optimizer is None or not optimizer.use_ema:
            has = "the model is not compiled" if optimizer is None else f"{type(optimizer).__name__} has use_ema=False"
            raise ValueError(f"weights is 'ema' and there are no averages: {has}; compile with Adam(use_ema=True)")

    def _averages(self, weights: str | None) -> np.ndarray | None:
        """Return what takes the place of the parameters: the averages of the optimizer, or None."""
        self._check_weights(weights)
        return None if weights is None else self.optimizer.averages

    def _inputs(self, x: Any) -> list[np.ndarray]:
        """Return inputs as the first layers take them, finite or not."""
        rows = self._as_rows(self._take_in.parts("x", x, whole=True))
        layout = self.layout_for([array.shape[1:] for _, array in rows])
        return [self._features(k, name, array, layout, finite=False) for k, (name, array) in enumerate(rows)]

    def _inputs_of(self, item: Any) -> list[np.ndarray]:
        """Return the inputs of a batch of an iterable."""
        if self._take_in.kind == "one":
            return self._inputs(inputs_of(item, self.input_shape))
        nested = isinstance(item, (list, tuple)) and isinstance(item[0], (list, tuple, Mapping))
        return self._inputs(item[0] if nested and np.ndim(item[0]) != 1 else item)

    def _predict(self, x: Any, batch_size: int, verbose: int, weights: str | None) -> Any:
        # within the turn: until then another thread may compile for another dtype
        engine, averages = self.engine(), self._averages(weights)
        if isinstance(x, Feed):
            with Progress("predict", verbose, None) as progress:
                outputs = [
                    self._outputs(engine, xs, min(batch_size, len(xs[0])), progress, averages=averages)
                    for xs in x.epoch()
                ]
                progress.end({})
            ys = [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*outputs, strict=True)]
            return self._put_out.joined(ys)
        given, layout = self._as_rows(self._take_in.parts("x", x, whole=True)), engine.layout
        for (name, array), port in zip(given, layout.graph.ports, strict=True):
            check_rows(name, array, port.shape)
        rows = len(given[0][1])
        batch = min(batch_size, rows)
        ys = [np.empty((rows, *port.shape), self.dtype) for port in layout.graph.results]
        with Progress("predict", verbose, rows) as progress:
            for here in by_blocks(_widest([array for _, array in given], self.dtype), self.dtype, batch):
                features = [
                    self._features(k, behind(name, here.start), array[here], layout, finite=False)
                    for k, (name, array) in enumerate(given)
                ]
                self._outputs(engine, features, batch, progress, [y[here] for y in ys], averages)
            progress.end({})
        return self._put_out.joined(ys)

    def _outputs(
        self,
        engine: Engine,
        xs: Sequence[np.ndarray],
        batch: int,
        progress: Progress,
        ys: Sequence[np.ndarray] | None = None,
        averages: np.ndarray | None = None,
    ) -> Sequence[np.ndarray]:
        """Return the outputs of rows, in `ys` if these are given."""
        rows = len(xs[0])
        if ys is None:
            ys = [np.empty((rows, *port.shape), self.dtype) for port in engine.layout.graph.results]
        network, executor = engine.lend("predict", batch, averages=averages)
        arrays = {**dict(zip(network.inputs, xs, strict=True)), **dict(zip(network.outputs, ys, strict=True))}
        try:
            executor.run_steps((0, len(network.program.calls)), rows, batch, arrays, progress.pause(rows, batch))
        finally:
            engine.give_back("predict", executor, averages=averages)
        progress.add(rows)
        return ys

    def predict_on_batch(self, x: Data) -> Any:
        """Return the output for every row, computed as one batch.

        Parameters
        ----------
        x : array_like, shape (batch, n_in)

        Returns
        -------
        ndarray, shape (batch, n_out)

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="ones")])
        >>> model.predict_on_batch(np.ones((600, 2))).shape
        (600, 1)
        """
        return self.predict(x, WHOLE)

    def predict_proba(self, x: Data, batch_size: int = BLOCK) -> Any:
        """Return the probability of every class, for every row.

        The loss of the compiled model says how outputs become probabilities: by nothing, a sigmoid or a softmax.

        Parameters
        ----------
        x : array_like, shape (rows, n_in)
        batch_size : int
            As for `predict`.

        Returns
        -------
        ndarray, shape (rows, classes)
            As scikit-learn has it: the single output of a binary cross-entropy is the probability of class 1, and
            makes two columns, those of class 0 and class 1. Several outputs of a binary cross-entropy are as many
            questions of yes or no, and each has the probability of yes, (rows, outputs). Outputs (rows, t, n) have
            the classes on the last axis.

        Raises
        ------
        ValueError
            If the loss knows no probabilities, as the mean squared error and the hinge losses.
        RuntimeError
            If the model is not compiled.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="ones")])
        >>> model.compile("sgd", "binary_crossentropy")
        >>> model.predict_proba([[0.0, 0.0], [1.0, 2.0]]).round(3)
        array([[0.5  , 0.5  ],
               [0.047, 0.953]], dtype=float32)
        >>> model.predict_classes([[0.0, 0.0], [1.0, 2.0]])
        array([0, 1])
        """
        loss = self._loss_on_probabilities("predict_proba")
        y: np.ndarray = loss.probabilities(self.predict(x, batch_size), self.backend, self.numerics)
        return y

    def predict_classes(self, x: Data, batch_size: int = BLOCK) -> Any:
        """Return the class of every row, as the metric "accuracy" counts it.

        Parameters
        ----------
        x : array_like, shape (rows, n_in)
        batch_size : int
            As for `predict`.

        Returns
        -------
        ndarray of int64, shape (rows,)
            The number of the class: the largest output, the first of equal ones. Of the single output of a binary
            cross-entropy 1 where the probability is over 0.5, else 0; of several outputs of one that for each,
            (rows, outputs). Outputs (rows, t, n) have a class for each position, (rows, t).

        Raises
        ------
        ValueError
            If the loss knows no probabilities; the message says what makes classes then.
        RuntimeError
            If the model is not compiled.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3, kernel_initializer="ones", bias_initializer="zeros")])
        >>> model.compile("sgd", "sparse_categorical_crossentropy")
        >>> model.predict_classes(np.ones((2, 5)))
        array([0, 0])
        """
        loss = self._loss_on_probabilities("predict_classes")
        classes: np.ndarray = loss.classes(self.predict(x, batch_size))
        return classes

    def _loss_on_probabilities(self, what: str) -> Loss:
        self._require_loss()
        if self._put_out.kind != "one":
            raise ValueError(f"{what} is for models with one output; this one has {', '.join(self._put_out.names)}")
        loss: Loss = self.loss_function
        loss.link_of(what)
        return loss

    def evaluate(
        self,
        x: Data | Iterable[Any],
        y: Data | None = None,
        batch_size: int = BLOCK,
        sample_weight: Data | None = None,
        verbose: int | str = 0,
        steps: int | None = None,
        return_dict: bool = False,
        *,
        weights: str | None = None,
    ) -> Evaluation | Any:
        """Return the loss and the metrics of data.

        Parameters
        ----------
        x, y : array_like
            As for `fit`; without `y`, x is an iterable of batches.
        batch_size : int
            Rows that are computed at a time; fewer, where that would part rows that are one sample of the loss.
        sample_weight : array_like, optional
            As for `fit`; of metrics the weighted ones take them.
        verbose : {0, 1, 2, "auto"}
            1 or "auto" shows a progress bar, 2 writes a line at the end.
        steps : int, optional
            How many batches of an iterable are taken; by default all there are.
        return_dict : bool
            Whether a plain dict is returned, which iterates over names.
        weights : {None, "ema"}
            As for `predict`.

        Returns
        -------
        Evaluation
            Iterates over values, the loss first; ``["accuracy"]`` is one by its name. A `ConfusionMatrix` is an array.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> x, y = np.eye(4), np.array([0, 1, 0, 1])
        >>> model = fastbp.Sequential([fastbp.Dense(2, kernel_initializer="zeros")])
        >>> model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> loss, accuracy = model.evaluate(x, y)
        >>> round(loss, 3), accuracy
        (0.693, 0.5)
        >>> model.evaluate(x, y).accuracy, sorted(model.evaluate(x, y, return_dict=True))
        (0.5, ['accuracy', 'loss'])
        """
        engine = self._engine
        plain = sample_weight is None and steps is None and not verbose and weights is None
        if engine is not None and plain and batch_size.__class__ is int:
            if self._single:
                logs = engine.ask(engine.evaluators, x, y, batch_size)
            else:
                logs = engine.ask(engine.evaluators, *self._parts(x, y), batch_size)
            if logs is not None:
                return logs if return_dict else Evaluation(logs)
        batch_size, verbose = integer("batch_size", batch_size, 1), check_verbose(verbose)
        self._check_weights(weights)
        fed = takes_feed(x, y, sample_weight, "steps", steps)
        given: Any = feed_of(self, "x", x, steps) if fed else x
        logs = self.read("evaluate", self._evaluate, given, y, batch_size, sample_weight, verbose, weights)
        return logs if return_dict else Evaluation(logs)

    def _evaluate(
        self, x: Any, y: Any, batch_size: int, sample_weight: Data | None, verbose: int, weights: str | None
    ) -> dict[str, Any]:
        self._require_loss()
        averages = self._averages(weights)
        rows: int | None = None
        if isinstance(x, Feed):
            parts = x.epoch()
        else:
            data = self.prepare(x, y, sample_weight, converted=False)
            names = [source(name, part) for name, part in self._take_in.parts("x", x)]
            parts, rows = self._converted(data, names, batch_size), data.n
        with Progress("evaluate", verbose, rows) as progress:
            logs = evaluate(self.engine(), parts, batch_size, progress, averages)
            progress.end(logs)
        return logs

    def _converted(self, data: Rows, names: Sequence[str], block: int) -> Iterator[Rows]:
        """Yield data whose inputs are of any dtype as programs read them: so many rows that they need little memory."""
        together = self.rows_per_sample
        if all(ready(x, self.dtype) for x in data.x):
            yield data
            return
        layout = self.engine().layout
        for here in by_blocks(_widest(data.x, self.dtype), self.dtype, max(block // together, 1) * together):
            rows = data.of(here)
            features = [
                self._features(k, behind(name, here.start), x, layout)
                for k, (name, x) in enumerate(zip(names, rows.x, strict=True))
            ]
            yield rows.with_inputs(tuple(features))

    def test_on_batch(
        self, x: Data, y: Data, sample_weight: Data | None = None, return_dict: bool = False
    ) -> Evaluation | Any:
        """Return the loss and the metrics of data that are computed as one batch.

        Parameters
        ----------
        x, y, sample_weight : array_like
            As for `evaluate`.
        return_dict : bool
            Whether a plain dict is returned, which iterates over names.

        Returns
        -------
        Evaluation

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1, kernel_initializer="zeros")])
        >>> model.compile("sgd", "mse")
        >>> float(model.test_on_batch(np.eye(2), [1.0, 3.0]))
        5.0
        """
        return self.evaluate(x, y, WHOLE, sample_weight, return_dict=return_dict)

    # ------------------------------------------------------------------ weights and files

    def get_weights(self, *, weights: str | None = None) -> list[np.ndarray]:
        """Return copies of all parameters and statistics, layer by layer ``[w, b, ...]``: Keras' order.

        Parameters
        ----------
        weights : {None, "ema"}
            As for `predict`: ``model.set_weights(model.get_weights(weights="ema"))`` takes the averages over.

        Returns
        -------
        list of ndarray

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8, activation="relu"), fastbp.Dense(3)], input_shape=4)
        >>> w1, b1, w2, b2 = model.get_weights()
        >>> w1.shape, b1.shape, w2.shape, b2.shape
        ((4, 8), (8,), (8, 3), (3,))
        """
        self.build()
        return self._turns.read("get_weights", self._get_weights, weights)

    def _get_weights(self, weights: str | None) -> list[np.ndarray]:
        memory, averages = self.engine().memory, self._averages(weights)
        found = memory.weights if averages is None else memory.weights_with(averages)
        return [array.copy() for _, array in found]

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all parameters and statistics.

        Parameters
        ----------
        weights : list of array_like
            In the order and shapes of `get_weights`.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
        >>> model.set_weights([[[1], [10]], [0.5]])
        >>> model.layers[0].w.tolist(), model.layers[0].b.tolist()
        ([[1.0], [10.0]], [0.5])
        """
        self.build()
        self._turns.between("set_weights", self._set_weights, weights)

    def _set_weights(self, weights: Sequence[ArrayLike]) -> None:
        wanted, weights = self.engine().memory.weights, as_list("weights", weights, "arrays")
        if len(weights) != len(wanted):
            raise ValueError(f"weights has {len(weights)} arrays; the model has {len(wanted)}")
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for (entry, array), given in zip(wanted, weights, strict=True):
            value = as_numbers(f"weights[{len(pairs)}]", given)
            if value.shape != entry.shape:
                what = f"{self.engine().layout.names[entry.layer]}.{entry.name} has {entry.shape}"
                raise ValueError(f"weights[{len(pairs)}] has shape {value.shape}; {what}")
            pairs.append((array, value.astype(array.dtype)))
        put_values(pairs)

    def copy_weights_from(self, other: Model, tau: float = 1.0) -> None:
        """Set all parameters and statistics to those of another model, or move them towards these.

        Parameters
        ----------
        other : Model
            Its layers have weights of the same shapes, as those of a `clone` do.
        tau : float
            In [0, 1]: each array becomes ``w + tau * (other's w - w)``, the bits of that expression in this model's
            dtype; with 1 it becomes the other's.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            For another kind of model; this one is as it was then. If one of the two is being changed.

        Notes
        -----
        In reinforcement learning the other one is the model that is trained, and this one its target network. A
        callback, or a loop of `train_on_batch`, may do it at each step.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(1, name="q")], input_shape=2, seed=0)
        >>> target = model.clone()
        >>> model.layers[0].b = [1.0]
        >>> target.copy_weights_from(model, tau=0.25)
        >>> target.layers[0].b
        array([0.25], dtype=float32)
        >>> target.copy_weights_from(model)
        >>> target.layers[0].b
        array([1.], dtype=float32)
        """
        check_kind("other", other, Model, "a fastbp.Model or fastbp.Sequential")
        tau = number("tau", tau, 0, 1, closed_high=True)
        if other._memory is None:
            other.build()
        memory: Any = other._memory
        layout = self.layout_for([port.shape for port in memory.layout.graph.ports])
        if layout.weights != memory.layout.weights:
            from .saving import fitting

            layouts = memory.layout, layout
            fitting("other", *({f"layers[{k}].{name}": shape for k, name, shape in its.weights} for its in layouts))
        if self._memory is None:
            self.build([port.shape for port in layout.graph.ports])
        self._turns.between("copy_weights_from", other._turns.read, "copy_weights_from", self._move, other, tau)

    def _move(self, other: Model, tau: float) -> None:
        memory: Any = self._memory
        memory.move(other._memory, tau)

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write all parameters and statistics, by layer and name, to one ``.npz`` file, atomically.

        Parameters
        ----------
        path : path-like

        See Also
        --------
        save : Writes the model itself, too, and the optimizer's state.

        Examples
        --------
        >>> import os, tempfile, fastbp
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.npz")
        >>> fastbp.Sequential([fastbp.Dense(3)], input_shape=2).save_weights(path)
        >>> sorted(fastbp.io.load_arrays(path)[1])
        ['dense_1/b', 'dense_1/w']
        """
        from .io import save_arrays
        from .saving import weights_config

        self.build()
        save_arrays(path, *self._turns.read("save_weights", weights_config, self))

    def load_weights(self, path: str | os.PathLike[str]) -> None:
        """Set all parameters and statistics to those of a file.

        Parameters
        ----------
        path : path-like
            What `save_weights`, `save` or a checkpoint wrote, of a model whose layers have the same names, and weights
            of the same shapes. It says the input shape where the model does not know it.

        Raises
        ------
        fastbp.io.FileFormatError
            If the file is damaged, or is no such file.
        ValueError
            If it is of another model; the message names the array. This one is as it was then.

        Examples
        --------
        >>> import os, tempfile, fastbp
        >>> path = os.path.join(tempfile.mkdtemp(), "weights.npz")
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=2)
        >>> model.save_weights(path)
        >>> other = fastbp.Sequential([fastbp.Dense(3)])
        >>> other.load_weights(path)
        >>> bool((other.layers[0].w == model.layers[0].w).all())
        True
        """
        from .saving import fitting, names_of, weights_of_file

        shapes, arrays = weights_of_file(path, makers())
        layout = self.layout_for(shapes)
        fitting("path", {name: a.shape for name, a in arrays.items()}, names_of(layout), path)
        self.build([port.shape for port in layout.graph.ports])
        self._turns.between("load_weights", self._load_weights, arrays)

    def _load_weights(self, arrays: dict[str, np.ndarray]) -> None:
        memory: Any = self._memory
        found = [(array, arrays[f"{memory.layout.names[entry.layer]}/{entry.name}"]) for entry, array in memory.weights]
        put_values([(array, value.astype(array.dtype)) for array, value in found])

    def count_params(self) -> int:
        """Return the number of parameters; statistics are none.

        Returns
        -------
        int

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8), fastbp.BatchNorm(), fastbp.Dense(3)], input_shape=4)
        >>> model.count_params()  # 4 * 8 + 8, then 8 + 8, then 8 * 3 + 3
        83
        """
        return self.layout_for().n

    def summary(self) -> None:
        """Print the uses of layers with their output shapes and numbers of parameters, as ``print(model)`` does.

        In a graph what a layer takes is told where that is not the output of the row before. What is made of other
        layers, as a model that is called is, has a row, too, above those. Of a layer that is used several times the
        parameters stand where it is used first.

        Examples
        --------
        >>> import fastbp
        >>> layers = [fastbp.Dense(8, activation="relu"), fastbp.Dropout(0.2), fastbp.Dense(3)]
        >>> model = fastbp.Sequential(layers, input_shape=4)
        >>> model.summary()
        layer      kind             output    parameters
        dense_1    Dense(relu)      (None, 8)         40
        dropout_1  Dropout()        (None, 8)          0
        dense_2    Dense(identity)  (None, 3)         27
        67 parameters, 268 bytes in float32

        >>> tower = fastbp.Sequential([fastbp.Dense(4, activation="relu")], name="tower")
        >>> left, right = fastbp.Input(8, name="left"), fastbp.Input(8, name="right")
        >>> both = fastbp.layers.Concatenate()([tower(left), tower(right)])
        >>> fastbp.Model([left, right], fastbp.Dense(1)(both)).summary()
        layer              kind             output     parameters  takes
        left               Input            (None, 8)
        right              Input            (None, 8)
        tower              Sequential       (None, 4)              left
          tower.dense_1    Dense(relu)      (None, 4)          36
        tower:2            Sequential       (None, 4)              right
          tower.dense_1:2  Dense(relu)      (None, 4)
        concatenate_1      Concatenate()    (None, 8)           0  tower, tower:2
        dense_1            Dense(identity)  (None, 1)           9
        45 parameters, 180 bytes in float32
        """
        from .summary import as_text

        print(as_text(self.layout_for(), self.dtype))

    def plot(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        format: str | None = None,
        direction: str = "TB",
        depth: int | None = None,
    ) -> Any:
        """Draw the graph: inputs, uses of layers with their output shapes, what they are within, and outputs.

        Parameters
        ----------
        path : path-like, optional
            A file to write. Its ending says what: ``.mmd`` and ``.md`` are Mermaid's text, ``.gv`` and ``.dot`` that of
            graphviz, ``.svg``, ``.png`` and ``.pdf`` pictures, of which graphviz draws the latter two.
        format : {"graphviz", "mermaid"}, optional
            By default what the path's ending says; else graphviz where the package of that name and its program
            ``dot`` are installed, and Mermaid where they are not.
        direction : {"TB", "LR"}
            From above to below, or from left to right; a picture that is drawn without graphviz goes down.
        depth : int, optional
            How many levels of models and layers that are made of others are opened: with 0 each is one box. By default
            all.

        Returns
        -------
        graphviz.Source or str
            Notebooks show either as a picture. The string is Mermaid's text, which GitHub, JupyterLab and
            https://mermaid.live draw as well.

        Raises
        ------
        ValueError
            If the path has another ending, or one that the format does not write.
        ImportError, RuntimeError
            If graphviz, or its program, is needed and missing.

        Examples
        --------
        >>> import fastbp
        >>> x = fastbp.Input(4)
        >>> model = fastbp.Model(x, fastbp.layers.Add()([fastbp.Dense(4, name="h")(x), x]))
        >>> print(model.plot(format="mermaid"))
        flowchart TB
            i0(["input_1<br>Input<br>(None, 4)"])
            u0["h<br>Dense(identity)<br>(None, 4)"]
            u1["add_1<br>Add()<br>(None, 4)"]
            o0(["add_1<br>Output<br>(None, 4)"])
            i0 --> u0
            u0 --> u1
            i0 --> u1
            u1 --> o0
        <BLANKLINE>
        """
        from .drawing import draw

        return draw(self.layout_for().graph, path, format, direction, depth)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, and the optimizer's state if it is compiled, to one ``.npz`` file, atomically.

        A write that is interrupted leaves an old file of that name whole. Nothing is pickled.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ValueError
            If the learning rate is a function of the user's, or another class was defined by the name of one of the
            model's; nothing is written then.

        Examples
        --------
        >>> import os, tempfile, fastbp
        >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
        >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4, seed=0)
        >>> model.compile("adam", "mse")
        >>> model.save(path)
        >>> (fastbp.load_model(path).predict([[1, 2, 3, 4]]) == model.predict([[1, 2, 3, 4]])).all()
        np.True_
        """
        from .io import save_arrays

        save_arrays(path, *self.contents())

    def contents(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what `save` writes: `get_config`, and copies of the arrays by name.

        Returns
        -------
        dict of str to object, dict of str to ndarray

        Examples
        --------
        >>> import fastbp
        >>> config, arrays = fastbp.Sequential([fastbp.Dense(3)], input_shape=4).contents()
        >>> sorted(arrays), config["input_shape"]
        (['parameters'], [4])
        """
        from .saving import contents

        self.build()
        kind = "Sequential" if isinstance(self, Sequential) else "Model"
        if type(self) not in (Sequential, Model):
            warn(f"the file holds a {kind}, which load_model returns; what {type(self).__name__} adds is not in it")
        found: tuple[dict[str, Any], dict[str, np.ndarray]] = self._turns.read("save", contents, self)
        return found

    def get_config(self) -> dict[str, Any]:
        """Return layers, loss, optimizer and options as plain data: what `save` writes beside the arrays.

        Returns
        -------
        dict of str to object

        Raises
        ------
        ValueError
            If the learning rate is a function of the user's, or another class was defined by the name of one of the
            model's.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(3, activation="tanh")], input_shape=4)
        >>> kind, arguments = model.get_config()["layers"][0]
        >>> kind, arguments["units"], arguments["activation"]
        ('Dense', 3, 'tanh')
        """
        from .saving import config_of

        optimizer = None if self.optimizer is None else optimizers.to_config(self.optimizer)
        return config_of(self, self.layout_for(), optimizer)

    def described(self) -> dict[str, Any]:
        """Return how the layers are put together as plain data; of a `Sequential` that is nothing.

        Returns
        -------
        dict of str to object
            Tensors are numbers: the inputs, then what each node makes.

        Examples
        --------
        >>> import fastbp
        >>> x = fastbp.Input(4)
        >>> model = fastbp.Model(x, fastbp.Dense(4)(x) + x)
        >>> model.described()["nodes"]
        [['dense_1', [0], False], ['add_1', [1, 0], True]]
        """
        graph, labels = self._described(), _labels(self.layers)
        return {
            "inputs": {"kind": self._take_in.kind, "names": list(self._take_in.names), "tensors": graph["inputs"]},
            "outputs": {"kind": self._put_out.kind, "names": list(self._put_out.names), "tensors": graph["outputs"]},
            "nodes": [[labels[k], taken, many] for k, taken, many in graph["nodes"]],
            **({"losses": graph["losses"]} if graph["losses"] else {}),
        }

    def _described(self) -> dict[str, Any]:
        xs, ys = self._tensors
        graph = described(xs, [*ys, *[tensor for tensor, _ in self._extras]], self.layers)
        n = len(ys)
        weights = [weight for _, weight in self._extras]
        losses = [list(pair) for pair in zip(graph["outputs"][n:], weights, strict=True)]
        return {**graph, "outputs": graph["outputs"][:n], "losses": losses}

    def _rebuild(self, graph: dict[str, Any], layers: Sequence[Any]) -> None:
        losses = graph.get("losses", [])
        n = len(graph["outputs"])
        xs, ys = rebuilt({**graph, "outputs": [*graph["outputs"], *[tensor for tensor, _ in losses]]}, layers)
        self._tensors = xs, ys[:n]
        self._extras = [(tensor, weight) for tensor, (_, weight) in zip(ys[n:], losses, strict=True)]
        self._graph = Graph(xs, ys[:n], [*self._take_in.names, *self._put_out.names], self._extras, self)

    @classmethod
    def from_structure(cls, layers: Sequence[Any], config: Mapping[str, Any]) -> Any:
        """Return a model of layers that are put together as `described` says.

        Parameters
        ----------
        layers : list of Layer
        config : dict of str to object

        Returns
        -------
        Model

        Examples
        --------
        >>> import fastbp
        >>> x = fastbp.Input(4)
        >>> model = fastbp.Model(x, fastbp.Dense(4)(x))
        >>> fastbp.Model.from_structure([fastbp.Dense(2, name="dense_1")], model.described())
        <Model: dense_1>
        """
        places = {label: k for k, label in enumerate(_labels(layers))}
        nodes = [[places[label], taken, many] for label, taken, many in config["nodes"]]
        losses = config.get("losses", [])
        outputs = [*config["outputs"]["tensors"], *[tensor for tensor, _ in losses]]
        xs, ys = rebuilt({"inputs": config["inputs"]["tensors"], "nodes": nodes, "outputs": outputs}, layers)
        n = len(ys) - len(losses)
        inputs, outputs = [
            Structure(which, tuple(config[which]["names"]), config[which]["kind"]).joined(tensors)
            for which, tensors in (("inputs", xs), ("outputs", ys[:n]))
        ]
        model = cls(inputs, outputs, name=config.get("name"))
        for tensor, (_, weight) in zip(ys[n:], losses, strict=True):
            model.add_loss(tensor, weight)
        return model

    def __repr__(self) -> str:
        inner = ", ".join(layer.name for layer in self.layers)
        return f"<{type(self).__name__}: {inner}>"

    def __str__(self) -> str:
        from .summary import as_text

        layout, _ = self._layout_or_why()
        return repr(self) if layout is None else as_text(layout, self.dtype)

    def _repr_html_(self) -> str:
        from .summary import as_html

        layout, why = self._layout_or_why()
        return as_html(self.layers, layout, self.dtype, why)

    def _layout_or_why(self) -> tuple[Layout | None, str]:
        """Return the layout, or why there is none: no layers, no shape yet, or one that they refuse."""
        try:
            return self.layout_for(), ""
        except (RuntimeError, ValueError) as error:
            return None, str(error)


@spelled_methods()
class Sequential(Model):
    """Layers in a row.

    Parameters
    ----------
    layers : iterable of Layer
    input_shape : int or tuple of int, optional
        The shape of one row. Without it (and without one in the first layer) the first data decide.
    seed : int or numpy.random.Generator, optional
        For the initial weights. Without it `fit`'s seed counts if `fit` builds the model.
    name : str, optional
        What it goes by where it is a layer of another model.

    Attributes
    ----------
    layers : list of Layer
    seed : int, numpy.random.Generator or None
        What the initial weights were drawn from, once the model is built.
    fit_seed : int or None
        What the last `fit` drew from; None for a generator of the caller's.
    history : History
        Of the last `fit`.
    batch_losses : ndarray
        The loss of every batch of the last `fit`, in order.

    Notes
    -----
    What may run at the same time, and what copies take along, stands in the notes of `Model`.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype="float32")
    >>> y = np.array([0, 1, 1, 0])
    >>> model = fastbp.Sequential([fastbp.Dense(8, activation="tanh"), fastbp.Dense(2)], seed=0)
    >>> model.compile(optimizer=fastbp.optimizers.Adam(lr=0.05), loss="sparse_categorical_crossentropy",
    ...               metrics=["accuracy"])
    >>> history = model.fit(x, y, batch_size=4, epochs=200, seed=0, verbose=0)
    >>> history.history["accuracy"][-1]
    1.0
    >>> model.predict(x).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        layers: Iterable[Layer] = (),
        input_shape: int | tuple[int, ...] | None = None,
        seed: Seed = None,
        name: str | None = None,
    ) -> None:
        if isinstance(layers, Layer):
            raise TypeError(f"layers is {layers!r}; it must be a list of layers: Sequential([a, b])")
        self._begin(seed, _name(name, "sequential"), name is not None)
        self._input_shape = as_shape(input_shape)
        for layer in as_list("layers", layers, "layers, such as fastbp.Dense(10)"):
            self.add(layer)
        if self.input_shape is not None and self.layers:
            self.build()

    def learn(self, shapes: Sequence[tuple[int, ...]]) -> None:
        """Take the shape of a row, where the model does not know it yet.

        Parameters
        ----------
        shapes : list of tuple of int
            One.
        """
        if self._shapes is None:
            (self._input_shape,) = shapes

    def described(self) -> dict[str, Any]:
        """Return nothing: each layer takes what the one before it makes."""
        return {}

    @classmethod
    def from_structure(cls, layers: Sequence[Any], config: Mapping[str, Any]) -> Sequential:
        """Return a model of layers that follow one another.

        Parameters
        ----------
        layers : list of Layer
        config : dict of str to object
            Of it the name counts.

        Returns
        -------
        Sequential

        Examples
        --------
        >>> import fastbp
        >>> fastbp.Sequential.from_structure([fastbp.Dense(2)], {})
        <Sequential: dense_1>
        """
        return cls(layers, name=config.get("name"))

    @property
    def _shapes(self) -> list[tuple[int, ...]] | None:
        if self.layout is not None:
            return [self.layout.input_shape]
        given = self._input_shape
        if given is None and self.layers:
            first = self.layers[0]
            given = first.input_shape if isinstance(first, (Layer, Sequential)) else first.inputs.shape
        return None if given is None else [tuple(given)]

    def _traced(self, shapes: Sequence[tuple[int, ...]]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        (shape,) = shapes
        if self._tensors[0] and self._tensors[0][0].shape == shape:
            return self._tensors
        if not self.layers:
            raise RuntimeError("the model has no layers")
        x = y = Tensor(shape, name="input")
        for layer in self.layers:
            (y,) = layer.node_of(y).outputs
        self._tensors = (x,), (y,)
        return self._tensors

    def _graph_for(self, shapes: list[tuple[int, ...]] | None) -> Graph:
        if not self.layers:
            raise RuntimeError("the model has no layers")
        found = self._shapes or shapes
        if found is None:
            raise RuntimeError("the input shape is not known yet; give input_shape= or data")
        (shape,) = found
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(f"input_shape is {shape!r}; it must be positive integers")
        graph = Graph(*self._traced([shape]), ["input", "output"], whole=self)
        self._own(graph)
        return graph

    def trace(self) -> None:
        """Let layers know the tensors that they take and make, where the shape of a row is known.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8, name="hidden"), fastbp.Dense(3)], input_shape=4)
        >>> features = fastbp.Model(model.inputs, model.get_layer("hidden").output)
        >>> features.predict([[1, 2, 3, 4]]).shape
        (1, 8)
        """
        shapes = self._shapes
        if shapes is not None and self.layers:
            for node in nodes_between(*self._traced(shapes), "the model"):
                if not node.layer.nodes:
                    node.layer.nodes.append(node)

    def add(self, layer: Layer) -> None:
        """Append a layer to a model that is not built yet.

        Parameters
        ----------
        layer : Layer

        Raises
        ------
        TypeError, ValueError, RuntimeError
            If it is no layer, is in a model already or has a name that is taken; if the model is built or compiled.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential()
        >>> model.add(fastbp.Dense(8, activation="relu"))
        >>> model.add(fastbp.Dense(3, name="output"))
        >>> model
        <Sequential: dense_1, output>
        """
        if not isinstance(layer, (Layer, Model)):
            hint = foreign("layer", layer) or ", such as fastbp.Dense(10)"
            if isinstance(layer, Tensor):
                hint = "; in a Sequential the shape of a row is the argument input_shape"
            raise TypeError(f"layer {len(self.layers)} is {layer!r}; it must be a Layer{hint}")
        if self.layout is not None:
            raise RuntimeError("the model is built; add layers before it sees data or an input_shape")
        if self.loss_function is not None:
            raise RuntimeError("the model is compiled; add layers before, the loss depends on the last one")
        if self.nodes or self.owners:
            raise RuntimeError("the model is a part of another one, or was called with a tensor; add layers before")
        if any(layer is other for other in self.layers):
            raise ValueError(f"layer {layer.name or type(layer).__name__} is in the model already")
        if isinstance(layer, Model) and layer.holds(self):
            raise ValueError(f"layer {layer.name} is the model itself, or has it inside; that would have no end")
        if isinstance(layer, Layer) and layer.owners:
            what = "make one for each model, or call it in a fastbp.Model, where models share layers"
            raise ValueError(f"layer {layer.name} belongs to another model; {what}")
        if isinstance(layer, Model) and len(layer._put_out.names) > 1:
            raise ValueError(f"{layer.name} has several outputs; call it in a fastbp.Model")
        names = [other.name for other in self.layers]
        name = layer.name
        if name is None or (name in names and not layer.named):
            kind = default_name(type(layer))
            numbers = range(1, len(names) + 2)
            name = next(f"{kind}_{n}" for n in numbers if f"{kind}_{n}" not in names)
        elif name in names:
            raise ValueError(f"two layers are called {name!r}; names must differ")
        layer.name = name
        layer.owners.add(self)
        self.layers.append(layer)
        self._tensors = (), ()

    def pop(self) -> Layer:
        """Take the last layer away from a model that is not built yet.

        Returns
        -------
        Layer
            It is free again: another model may have it.

        Raises
        ------
        RuntimeError
            If there is none, or the model is built or compiled. A new model of copies has the weights of a trained
            one: see the examples.

        Examples
        --------
        >>> import fastbp
        >>> model = fastbp.Sequential([fastbp.Dense(8), fastbp.Dense(3)])
        >>> model.pop().name
        'dense_2'
        >>> model
        <Sequential: dense_1>

        Another head for a trained model:

        >>> import copy
        >>> trained = fastbp.Sequential([fastbp.Dense(8, "relu"), fastbp.Dense(3)], input_shape=4)
        >>> model = fastbp.Sequential([*copy.deepcopy(trained.layers[:-1]), fastbp.Dense(5)], input_shape=4)
        >>> bool((model.layers[0].w == trained.layers[0].w).all())
        True
        """
        if not self.layers:
            raise RuntimeError("the model has no layers")
        if self.layout is not None or self.loss_function is not None or self.nodes or self.owners:
            others = "compiled" if self.loss_function is not None else "called, or a part of another one"
            done = "built" if self.layout is not None else others
            raise RuntimeError(
                f"the model is {done}, and its layers stay; make a new one of copies, which bring their weights along: "
                "fastbp.Sequential(copy.deepcopy(model.layers[:-1]))"
            )
        layer = self.layers.pop()
        layer.owners.discard(self)
        self._tensors = (), ()
        return layer
