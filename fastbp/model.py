"""Models: layers in a row, compiled to programs, trained and asked for predictions."""

from __future__ import annotations

import copy
import sys
import weakref
from collections.abc import Iterable, Mapping
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from . import losses, optimizers
from .callbacks import History
from .checks import as_generator, as_list, as_numbers, check_kind, check_name, integer, number, source_of
from .compiler import Layout
from .data import (
    Rows,
    as_features,
    as_gradient,
    as_rows,
    as_targets,
    as_weights,
    by_blocks,
    check_rows,
    dtype_name,
    ready,
)
from .doubts import doubts_of_number, doubts_of_outputs, last_activation
from .engine import NO_STEPS, PULLED_AFTER, Engine, Memory, Setup, Steps, new_state
from .feeds import Feed, inputs_of, is_feed
from .frames import behind, source
from .kernels import check_numerics, choose_backend
from .kernels.caller import warn
from .layers import Layer, as_shape, default_name
from .metrics import Metric
from .metrics import get as get_metric
from .naming import foreign, spelled, spelled_methods
from .objectives import gradient_of_loss, pulled_back, row_gradients
from .program import CallError
from .progress import Progress, check_verbose
from .registry import custom_classes
from .results import Evaluation
from .saving import (
    config_of,
    contents,
    fitting,
    names_of,
    restored,
    usable,
    weights_config,
    weights_of_file,
)
from .training import (
    BLOCK,
    batch_logs,
    evaluate,
    explain,
    feed_of,
    inputs,
    job_of,
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

    from .callbacks import Callback
    from .losses import Loss
    from .optimizers import Optimizer
    from .program import Program

    Seed = int | np.random.Generator | None

__all__ = ["Sequential", "load_model"]

#: A batch size that takes all rows at once.
WHOLE = sys.maxsize


@spelled_methods(
    "alone", "backward", "engine", "evaluate", "forward", "loss", "place", "predict", "predict_on_batch", "prepare",
    "read", "test_on_batch", "train_on_batch", "update",
)  # fmt: skip
class Sequential:
    """Layers in a row.

    Parameters
    ----------
    layers : iterable of Layer
    input_shape : int or tuple of int, optional
        The shape of one row. Without it (and without one in the first layer) the first data decide.
    seed : int or numpy.random.Generator, optional
        For the initial weights. Without it `fit`'s seed counts if `fit` builds the model.

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
        self, layers: Iterable[Layer] = (), input_shape: int | tuple[int, ...] | None = None, seed: Seed = None
    ) -> None:
        if isinstance(layers, Layer):
            raise TypeError(f"layers is {layers!r}; it must be a list of layers: Sequential([a, b])")
        self.layers: list[Layer] = []
        self.seed: Any = seed
        self.fit_seed: int | None = None
        self.history: Any = None
        self.batch_losses: Any = None
        self.stop_training = False
        self._input_shape = as_shape(input_shape)
        self._turns, self._building = Turns(), RLock()
        # what compile and build made; never changed, only replaced
        self._setup = Setup()
        self._memory: Memory | None = None
        self._engine: Engine | None = None
        self._by_hand: Steps = NO_STEPS
        for layer in as_list("layers", layers, "layers, such as fastbp.Dense(10)"):
            self.add(layer)
        if self.input_shape is not None and self.layers:
            self.build()

    # ------------------------------------------------------------------ structure

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
        if not isinstance(layer, Layer):
            hint = foreign("layer", layer) or ", such as fastbp.Dense(10)"
            raise TypeError(f"layer {len(self.layers)} is {layer!r}; it must be a Layer{hint}")
        if self.layout is not None:
            raise RuntimeError("the model is built; add layers before it sees data or an input_shape")
        if self.loss_function is not None:
            raise RuntimeError("the model is compiled; add layers before, the loss depends on the last one")
        if any(layer is other for other in self.layers):
            raise ValueError(f"layer {layer.name or type(layer).__name__} is in the model already")
        if layer.owner is not None and layer.owner() is not None:
            raise ValueError(f"layer {layer.name} belongs to another model; make one for each model")
        names = [other.name for other in self.layers]
        name = layer.name
        if name is None or (name in names and not layer.named):
            kind = default_name(type(layer))
            numbers = range(1, len(names) + 2)
            name = next(f"{kind}_{n}" for n in numbers if f"{kind}_{n}" not in names)
        elif name in names:
            raise ValueError(f"two layers are called {name!r}; names must differ")
        owner = weakref.ref(self)
        layer.name, layer.owner = name, owner
        self.layers.append(layer)

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
        if self.layout is not None or self.loss_function is not None:
            done = "built" if self.layout is not None else "compiled"
            raise RuntimeError(
                f"the model is {done}, and its layers stay; make a new one of copies, which bring their weights along: "
                "fastbp.Sequential(copy.deepcopy(model.layers[:-1]))"
            )
        layer = self.layers.pop()
        layer.owner = None
        return layer

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
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one row, or None while it is not known."""
        if self.layout is not None:
            return self.layout.input_shape
        given = self._input_shape or (self.layers[0].input_shape if self.layers else None)
        return None if given is None else tuple(given)

    def layout_for(self, input_shape: tuple[int, ...] | None = None) -> Layout:
        """Return the layout that the model has, or will have, without changing it.

        Parameters
        ----------
        input_shape : tuple of int, optional
            Of one row, where the model does not know it.

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
        if self.layout is not None:
            return self.layout
        if not self.layers:
            raise RuntimeError("the model has no layers")
        shape = self.input_shape or input_shape
        if shape is None:
            raise RuntimeError("the input shape is not known yet; give input_shape= or data")
        if not all(isinstance(n, int) and n > 0 for n in shape):
            raise ValueError(f"input_shape is {shape!r}; it must be positive integers")
        return Layout(self.layers, shape)

    def build(self, input_shape: int | tuple[int, ...] | None = None, seed: Seed = None) -> None:
        """Allocate the parameters and draw their initial values.

        Parameters
        ----------
        input_shape : int or tuple of int, optional
            The shape of one row, where the model does not know it.
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
            shape, known = as_shape(input_shape), self.input_shape
            if None not in (shape, known) and shape != known:
                raise ValueError(f"input_shape is {shape}; the model takes rows of shape {known}")
            if self._memory is None:
                self._turns.take("build", self._build, shape, seed)

    def _build(self, input_shape: tuple[int, ...] | None, seed: Seed) -> None:
        layout = self.layout_for(input_shape)
        if self.loss_function is not None:
            for doubt in doubts_of_number(self.layers, layout.shapes, self.loss_function):
                warn(doubt)
        source = source_of(seed if self.seed is None else self.seed)
        from .kernels.draws import portable_generator  # which needs numpy.random

        memory = Memory(layout, self._setup.dtype)
        memory.draw(self.layers, portable_generator(as_generator("seed", source)))
        drawn_from = source if isinstance(source, int) else self.seed
        put_attributes([*self._placed(self._setup, memory), (self, "seed", drawn_from)])

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

    def _placed(self, setup: Setup, memory: Memory | None) -> list[tuple[Any, str, Any]]:
        """Return what to set (`put_attributes`) so that the model is compiled and built in this way."""
        triples: list[tuple[Any, str, Any]] = [(self, "_setup", setup), (self, "_memory", memory)]
        if setup.optimizer is not None:
            triples += setup.optimizer.attached(self, {} if memory is None else new_state(setup.optimizer, memory))
        views = [{} for _ in self.layers] if memory is None else memory.views(len(self.layers))
        for layer, arrays in zip(self.layers, views, strict=True):
            initial = layer.initial if memory is None else {}
            triples += [(layer, "arrays", arrays), (layer, "initial", initial), (layer, "computed", None)]
        engine = None if memory is None else Engine(self.layers, memory, setup, self._turns)
        return [*triples, (self, "_engine", engine), (self._turns, "hand", ""), (self, "_by_hand", NO_STEPS)]

    # ------------------------------------------------------------------ copies

    @property
    def current_engine(self) -> Engine | None:
        """What computes for this model, or None before it is built."""
        return self._engine

    def __getstate__(self) -> dict[str, Any]:
        made = ("_turns", "_building", "_memory", "_by_hand")  # a copy makes its own
        state = {name: value for name, value in vars(self).items() if name not in made}
        return {**state, "_memory": None if self._memory is None else self._memory.layout.input_shape}

    def __setstate__(self, state: dict[str, Any]) -> None:
        values, shape = state["_engine"], state["_memory"]
        vars(self).update(state)
        self._turns, self._building = Turns(), RLock()
        self._memory, self._engine, self._by_hand = None, None, NO_STEPS
        self._setup = self._setup._replace(backend=usable(self._setup.backend))
        for layer in self.layers:
            layer.owner = weakref.ref(self)
        if isinstance(self.history, History):
            self.history.model = self
        memory = None
        if shape is not None:
            memory = Memory(Layout(self.layers, shape), self.dtype)
            memory.take(self.layers)
            memory.arrays["streams"][...] = values["streams"]
        self.place(self._setup, memory)

    def __copy__(self) -> Sequential:
        return copy.deepcopy(self)  # layers and arrays belong to one model

    def clone(self) -> Sequential:
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
        twin = copy.deepcopy(self, {id(self.history): None, id(self.batch_losses): None})
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
    def loss_function(self) -> Any:
        """The loss that the model was compiled with, or None."""
        return self._setup.loss

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that the model was compiled with."""
        return list(self._setup.metrics)

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
        loss: Loss | str | None = None,
        metrics: str | Metric | Iterable[str | Metric] = (),
        backend: str | None = None,
        dtype: DTypeLike = "float32",
        numerics: str = "numpy",
    ) -> None:
        """Choose how to train.

        Parameters
        ----------
        optimizer : Optimizer or str
        loss : Loss or str, optional
            Without one, a gradient of the output of your own trains the model: `forward`, ``backward(dy)``, `update`.
            A name, such as "mse". For cross-entropies by name the model's last activation decides
            whether they take logits; layers behind it whose predictions are their inputs do not count. One
            warning says if the outputs are not what the loss takes, here or when their number is known.
        metrics : list of Metric or str
            A name, such as "accuracy", "f1_score" or "mae", is also its key in the history, as it is written.
        backend : {"cython", "numba", "numpy"}, optional
            By default "cython"; "numpy", with one warning, where fastbp was installed without a C compiler.
        dtype : {"float32", "float64"}
            Of parameters and data. A model that is built already has its parameters converted.
        numerics : {"numpy", "portable"}
            "numpy": the bits of the NumPy expressions in this process. "portable": the same bits on every CPU,
            for every backend, number of threads and composition of a batch; also the faster one.

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
        self._turns.take("compile", self._compile, optimizer, loss, metrics, backend, dtype, numerics)

    def _compile(
        self, optimizer: Any, loss: Any, metrics: Any, backend: str | None, dtype: DTypeLike, numerics: str
    ) -> None:
        dtype = dtype_name(dtype)
        check_numerics(numerics)
        backend = choose_backend(backend)
        if not self.layers:
            raise RuntimeError("the model has no layers")
        optimizer = optimizers.get(optimizer)
        given = [metrics] if isinstance(metrics, (str, Metric)) else () if metrics is None else metrics
        given = as_list("metrics", given, "names and metrics")
        if loss is not None:
            loss = losses.get(loss).for_activation(last_activation(self.layers))
        elif given:
            raise ValueError(f"metrics is {given!r} and loss is missing; metrics go with a loss, for example 'mse'")
        found = self._agreed(loss, [get_metric(metric) for metric in given])
        setup, memory = Setup(optimizer, loss, tuple(found), backend, dtype, numerics), self._memory
        if memory is not None and dtype != memory.dtype:
            memory = memory.converted(dtype)
        self.place(setup, memory)

    def _agreed(self, loss: Loss | None, metrics: list[Metric]) -> list[Metric]:
        """Return the metrics if they, the loss and the layers go together; warn of doubts."""
        if loss is None:
            return metrics
        if loss.reduction == "none":
            raise ValueError("loss has the reduction 'none'; to be minimised it must be one number: 'mean' or 'sum'")
        for metric in metrics:
            metric.check_loss(loss)
        names = [metric.name for metric in metrics]
        if len({"loss", *names}) != len(names) + 1:
            raise ValueError(f"metrics is {names}; their names must be unique, and none may be 'loss'")
        doubts = []
        if self.layout is not None:
            loss.target_shape(self.layout.output_shape)
            doubts = doubts_of_number(self.layers, self.layout.shapes, loss)
        for doubt in doubts_of_outputs(self.layers, loss) + doubts:
            warn(doubt)
        return metrics

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
        if self._setup.loss is None:
            raise RuntimeError(
                "the model was compiled without a loss; call model.compile(optimizer=..., loss=...), or train it by "
                "forward(x), backward(dy) with a gradient of your own, and update()"
            )

    # ------------------------------------------------------------------ data and programs

    @property
    def metric_names(self) -> list[str]:
        """The keys of the metrics in the history and in what `evaluate` returns."""
        return [metric.name for metric in self._setup.metrics]

    @property
    def program(self) -> Program:
        """The train step as `fit` and `train_on_batch` run it: print, `profile` or run it with ``check="numpy"``."""
        self._require_loss()
        self.optimizer.prepare()
        made = None if self._engine is None else self._engine.train_program
        return made or self._turns.take("program", lambda: self.engine().executor("train", 1)[0].program)

    def engine(self, shape: tuple[int, ...] | None = None) -> Engine:
        """Return what computes for this model, which is built if it was not; for calls that have their turn.

        Parameters
        ----------
        shape : tuple of int, optional
            Of one row.

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
            self._build(as_shape(shape), None)
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

    def read(self, what: str, function: Callable[..., Any], x: ArrayLike, *args: Any) -> Any:
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
            self.build((x.first if isinstance(x, Feed) else self.prepare(x, args[0])).x.shape[1:])
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
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        class_weight: Any = None,
        names: Sequence[str] = ("x", "y", "sample_weight"),
        dtype: str | None = None,
        converted: bool = True,
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
        >>> rows.x.dtype, rows.x.shape, rows.y.shape
        (dtype('float32'), (2, 2), (2, 1))
        """
        self._require_loss()
        setup, engine, unweighted = self._setup, self._engine, sample_weight is None and class_weight is None
        quick = engine is not None and unweighted and dtype in (None, setup.dtype)
        if quick and engine.fits(x, y):  # type: ignore[union-attr]
            return self._as_they_are(names[0], x, y)
        name, target = source(names[0], x), source(names[1], y)
        rows = as_rows(name, x)
        layout, loss, dtype = self.layout_for(rows.shape[1:]), self.loss_function, dtype or self.dtype
        check_rows(name, rows, layout.input_shape)
        given = as_rows(target, y, labels=True)
        if quick and engine.fits(rows, given):  # type: ignore[union-attr]
            return self._as_they_are(name, rows, given)
        features = self._features(name, rows, layout, dtype=dtype) if converted or ready(rows, dtype) else rows
        targets = as_targets(target, given, loss, layout.output_shape, dtype, len(features))
        weight = as_weights(
            sample_weight, class_weight, targets, loss, dtype, names[2], outputs=layout.output_shape[-1]
        )
        return Rows(features, targets, weight, loss.counting(targets))

    def _as_they_are(self, name: str, x: Any, y: Any) -> Rows:
        """Return data that programs can read where they lie."""
        self._look(name, x)
        return Rows(x, y, counting=self.loss_function.counting(y))

    def _features(
        self, name: str, x: ArrayLike, layout: Layout, finite: bool = True, dtype: str | None = None
    ) -> np.ndarray:
        """Return inputs as the program and the first layers take them."""
        x = as_features(name, x, layout.input_shape, dtype or self.dtype, finite)
        self._look(name, x)
        return x

    def _look(self, name: str, x: Any) -> None:
        """Let the first layers look at inputs."""
        for layer in self.layers:
            if not layer.check_data(name, x):
                break

    # ------------------------------------------------------------------ training

    def fit(
        self,
        x: ArrayLike | Iterable[Any],
        y: ArrayLike | None = None,
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
        sample_weight: ArrayLike | None = None,
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
            Or (rows, ..., n_in), as the layers take it. Without `y`, an iterable of batches ``(x, y)`` or ``(x, y,
            sample_weight)``: see Notes.
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
            number of rows as in Keras, not by the sum of the weights. Metrics take no weights. Of outputs (rows, t,
            n_out) it may be a weight for each position, (rows, t); else all positions of a row have the row's.
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
                undo.append(partial(put_attributes, self._placed(self._setup, None)))
                self._build(job.first.x.shape[1:], job.source)
            engine = self.engine()
            if engine.layout.random:
                streams = engine.memory.arrays["streams"]
                undo.append(partial(put_values, [(streams, streams.copy())]))
                put_values([(streams, engine.memory.seeded(self.layers, as_generator("seed", job.source)))])
            if job.checkpoint is not None:
                undo.append(job.checkpoint.undo)
                job.checkpoint.restore(engine)
            for callback in (*[hook.callback for hook in job.hooks], job.history):
                callback.set_params(dict(job.params))
                callback.set_model(self)
            self.history, self.fit_seed = job.history, job.params["seed"]
            train(self, engine, job, undo.clear)
        finally:
            for function in reversed(undo):
                function()
        return self.history

    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
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
            loss = engine.step(x, y)
            if loss is not None:
                if engine.least_rows > 1:
                    rows = np.shape(x)[0]
                    warn_of_few_rows(engine, rows, rows)
                return loss
        given = x, y, sample_weight, class_weight
        return self._turns.take("train_on_batch", self._train_on_batch, return_metrics, *given)

    def _train_on_batch(self, return_metrics: bool, *given: Any) -> Any:
        data = self.prepare(*given)
        engine = self.engine(data.x.shape[1:])
        network, executor = engine.executor("train", len(data.x), data.weight is not None)
        warn_of_few_rows(engine, len(data.x), len(data.x))
        self._turns.hand = ""
        rows, results = len(data.x), results_of(executor, len(data.x), 1)
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

    def forward(self, x: ArrayLike, training: bool = True) -> np.ndarray:
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
        y = steps.forward(x) if training is steps.training else None
        return self._turns.take("forward", self._forward, x, training) if y is None else y

    def _forward(self, x: ArrayLike, training: bool) -> np.ndarray:
        check_kind("training", training, (bool, np.bool_), "True or False")
        features = self._inputs(x)
        engine = self.engine(features.shape[1:])
        steps = engine.steps(len(features), bool(training))
        network, executor = steps.network, steps.executor
        self._turns.hand = ""
        executor.fill(network.x, features)
        executor.batch = len(features)
        steps.run("forward")
        if network.drawn is not None:
            put_values([(engine.memory.arrays["streams"], executor.view(network.drawn))])
        for layer in self.layers:
            layer.computed = steps.array
        steps.has_dy = False
        self._by_hand, self._turns.hand = steps, "forward"
        return executor.view(network.y_pred).copy()

    def loss(self, y_true: ArrayLike) -> float:
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
        loss = self._by_hand.loss(y_true)
        return self._turns.take("loss", self._loss, y_true) if loss is None else loss

    def _loss(self, y_true: ArrayLike) -> float:
        self._require_loss()
        if self._turns.hand == "":
            raise RuntimeError("loss() needs the output of forward(x); call that first")
        steps, shape = self._by_hand, self.engine().layout.output_shape
        network, executor = steps.network, steps.executor
        y = as_targets("y_true", y_true, self.loss_function, shape, self.dtype, executor.batch)
        executor.fill(network.y_true, y)
        steps.run("loss")
        self._turns.hand = "loss"
        return float(executor.view(network.loss))

    def backward(self, dy: ArrayLike | None = None) -> None:
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
        if (steps.backward() if dy is None else steps.pull(dy)) is None:
            self._turns.take("backward", self._backward, dy)

    def _backward(self, dy: ArrayLike | None) -> None:
        steps, hand = self._by_hand, self._turns.hand
        if dy is None:
            self._require_loss()
            if hand != "loss":
                raise RuntimeError("backward() needs a loss; call forward(x) and loss(y_true) first, or give it dy")
            steps.run("backward")
        else:
            if hand not in PULLED_AFTER:
                raise RuntimeError("backward(dy) needs the output of forward(x); call that first")
            network, executor = steps.network, steps.executor
            shape = (executor.batch, *self.engine().layout.output_shape)
            executor.fill(network.dy, as_gradient(dy, shape, self.dtype))
            steps.run("pull")
        steps.has_dy, self._turns.hand = True, "backward"

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
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        dy: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        training: bool = False,
    ) -> np.ndarray:
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
            dx = engine.ask(idle, x, target, WHOLE)
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
            self.build(self._pulled(x, dy)[0].shape[1:])
        return self._turns.read("input_gradient", self._pulled_back, x, dy, training)

    def _gradient_of_loss(self, x: ArrayLike, y: ArrayLike, sample_weight: Any, training: bool) -> np.ndarray:
        engine = self.engine()
        return gradient_of_loss(engine, self.prepare(x, y, sample_weight), engine.trained if training else None)

    def _pulled_back(self, x: ArrayLike, dy: Any, training: bool) -> np.ndarray:
        engine = self.engine()
        return pulled_back(engine, *self._pulled(x, dy), engine.trained if training else None)

    def _pulled(self, x: ArrayLike, dy: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and a gradient of their outputs as the program takes them."""
        rows = self._inputs(x)
        return rows, as_gradient(dy, (len(rows), *self.layout_for(rows.shape[1:]).output_shape), self.dtype)

    def row_gradients(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
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

    def _row_gradients(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        data = self.prepare(x, y)
        if not self.loss_function.of_samples:
            raise ValueError(f"{self.loss_function!r} is no sum over rows; row_gradients needs a loss that is")
        return row_gradients(self.engine(), data)

    # ------------------------------------------------------------------ using

    def predict(
        self,
        x: ArrayLike | Iterable[Any],
        batch_size: int = BLOCK,
        verbose: int | str = 0,
        *,
        weights: str | None = None,
    ) -> np.ndarray:
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
            y = engine.ask(engine.predictors, x, batch_size)
            if y is not None:
                return y
        batch_size, verbose = integer("batch_size", batch_size, 1), check_verbose(verbose)
        self._check_weights(weights)
        fed = is_feed(x, sequences=False)
        given: Any = Feed("x", x, self._inputs_of) if fed else x
        if self._memory is None:
            rows = given.first if fed else self._inputs(given)
            self.build(rows.shape[1:])
        return self._turns.read("predict", self._predict, given, batch_size, verbose, weights)

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

    def _inputs(self, x: ArrayLike) -> np.ndarray:
        """Return inputs as the first layer takes them, finite or not."""
        rows = as_rows("x", x)
        return self._features("x", rows, self.layout_for(rows.shape[1:]), finite=False)

    def _inputs_of(self, item: Any) -> np.ndarray:
        """Return the inputs of a batch of an iterable."""
        return self._inputs(inputs_of(item, self.input_shape))

    def _predict(self, x: Any, batch_size: int, verbose: int, weights: str | None) -> np.ndarray:
        # within the turn: until then another thread may compile for another dtype
        engine, averages = self.engine(), self._averages(weights)
        if isinstance(x, Feed):
            with Progress("predict", verbose, None) as progress:
                outputs = [
                    self._outputs(engine, x, min(batch_size, len(x)), progress, averages=averages) for x in x.epoch()
                ]
                progress.end({})
            return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)
        rows, layout, name = as_rows("x", x), engine.layout, source("x", x)
        check_rows(name, rows, layout.input_shape)
        batch = min(batch_size, len(rows))
        y = np.empty((len(rows), *layout.output_shape), self.dtype)
        with Progress("predict", verbose, len(rows)) as progress:
            for here in by_blocks(rows, self.dtype, batch):
                features = self._features(behind(name, here.start), rows[here], layout, finite=False)
                self._outputs(engine, features, batch, progress, y[here], averages)
            progress.end({})
        return y

    def _outputs(
        self,
        engine: Engine,
        x: np.ndarray,
        batch: int,
        progress: Progress,
        y: np.ndarray | None = None,
        averages: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the outputs of rows, in `y` if that is given."""
        if y is None:
            y = np.empty((len(x), *engine.layout.output_shape), self.dtype)
        network, executor = engine.lend("predict", batch, averages=averages)
        arrays = {network.x: x, network.y_pred: y}
        try:
            executor.run_steps((0, len(network.program.calls)), len(x), batch, arrays, progress.pause(len(x), batch))
        finally:
            engine.give_back("predict", executor, averages=averages)
        progress.add(len(x))
        return y

    def predict_on_batch(self, x: ArrayLike) -> np.ndarray:
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

    def predict_proba(self, x: ArrayLike, batch_size: int = BLOCK) -> np.ndarray:
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

    def predict_classes(self, x: ArrayLike, batch_size: int = BLOCK) -> np.ndarray:
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
        loss: Loss = self.loss_function
        loss.link_of(what)
        return loss

    def evaluate(
        self,
        x: ArrayLike | Iterable[Any],
        y: ArrayLike | None = None,
        batch_size: int = BLOCK,
        sample_weight: ArrayLike | None = None,
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
            As for `fit`; metrics take no weights.
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
            logs = engine.ask(engine.evaluators, x, y, batch_size)
            if logs is not None:
                return logs if return_dict else Evaluation(logs)
        batch_size, verbose = integer("batch_size", batch_size, 1), check_verbose(verbose)
        self._check_weights(weights)
        fed = takes_feed(x, y, sample_weight, "steps", steps)
        given: Any = feed_of(self, "x", x, steps) if fed else x
        logs = self.read("evaluate", self._evaluate, given, y, batch_size, sample_weight, verbose, weights)
        return logs if return_dict else Evaluation(logs)

    def _evaluate(
        self, x: Any, y: Any, batch_size: int, sample_weight: ArrayLike | None, verbose: int, weights: str | None
    ) -> dict[str, Any]:
        self._require_loss()
        averages = self._averages(weights)
        rows: int | None = None
        if isinstance(x, Feed):
            parts = x.epoch()
        else:
            data = self.prepare(x, y, sample_weight, converted=False)
            parts, rows = self._converted(data, source("x", x), batch_size), len(data.x)
        with Progress("evaluate", verbose, rows) as progress:
            logs = evaluate(self.engine(), parts, batch_size, progress, averages)
            progress.end(logs)
        return logs

    def _converted(self, data: Rows, name: str, block: int) -> Iterator[Rows]:
        """Yield data whose inputs are of any dtype as programs read them: so many rows that they need little memory."""
        together = self.loss_function.rows_per_sample
        if ready(data.x, self.dtype):
            yield data
            return
        for here in by_blocks(data.x, self.dtype, max(block // together, 1) * together):
            features = self._features(behind(name, here.start), data.x[here], self.engine().layout)
            yield data.of(here)._replace(x=features)

    def test_on_batch(
        self, x: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, return_dict: bool = False
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
                what = f"{self.layers[entry.layer].name}.{entry.name} has {entry.shape}"
                raise ValueError(f"weights[{len(pairs)}] has shape {value.shape}; {what}")
            pairs.append((array, value.astype(array.dtype)))
        put_values(pairs)

    def copy_weights_from(self, other: Sequential, tau: float = 1.0) -> None:
        """Set all parameters and statistics to those of another model, or move them towards these.

        Parameters
        ----------
        other : Sequential
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
        check_kind("other", other, Sequential, "a fastbp.Sequential")
        tau = number("tau", tau, 0, 1, closed_high=True)
        if other._memory is None:
            other.build()
        memory: Any = other._memory
        layout = self.layout_for(memory.layout.input_shape)
        if layout.weights != memory.layout.weights:
            layouts = memory.layout, layout
            fitting("other", *({f"layers[{k}].{name}": shape for k, name, shape in its.weights} for its in layouts))
        if self._memory is None:
            self.build(layout.input_shape)
        self._turns.between("copy_weights_from", other._turns.read, "copy_weights_from", self._move, other, tau)

    def _move(self, other: Sequential, tau: float) -> None:
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
        shape, arrays = weights_of_file(path, Sequential)
        layout = self.layout_for(shape)
        fitting("path", {name: a.shape for name, a in arrays.items()}, names_of(self.layers, layout), path)
        self.build(layout.input_shape)
        self._turns.between("load_weights", self._load_weights, arrays)

    def _load_weights(self, arrays: dict[str, np.ndarray]) -> None:
        memory: Any = self._memory
        found = [(array, arrays[f"{self.layers[entry.layer].name}/{entry.name}"]) for entry, array in memory.weights]
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
        """Print the layers with their output shapes and numbers of parameters.

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
        """
        from .summary import as_text

        print(as_text(self.layers, self.layout_for(), self.dtype))

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

        self.build()
        if type(self) is not Sequential:
            warn(f"the file holds a Sequential, which load_model returns; what {type(self).__name__} adds is not in it")
        save_arrays(path, *self._turns.read("save", contents, self))

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
        optimizer = None if self.optimizer is None else optimizers.to_config(self.optimizer)
        return config_of(self, self.layout_for(), optimizer)

    def __repr__(self) -> str:
        inner = ", ".join(layer.name for layer in self.layers)
        return f"<Sequential: {inner}>"

    def _repr_html_(self) -> str:
        from .summary import as_html

        layout, why = None, ""
        try:
            layout = self.layout_for()
        except (RuntimeError, ValueError) as error:  # no layers, no shape yet, or one that they refuse
            why = str(error)
        return as_html(self.layers, layout, self.dtype, why)


@spelled
def load_model(path: str | os.PathLike[str], custom_objects: Mapping[str, type] | None = None) -> Sequential:
    """Return the model that `Sequential.save` wrote, with its optimizer's state.

    Parameters
    ----------
    path : path-like
    custom_objects : dict of str to type, optional
        Your own classes by their names, ``{"Scale": Scale}``, or by those of the file, ``{"__main__.Scale": Scale}``,
        where these have changed. A class that has been imported or defined is found by itself; nothing is imported
        because a file says so. A warning says what the file does not name.

    Returns
    -------
    Sequential

    Raises
    ------
    fastbp.io.FileFormatError
        If the file is damaged or is not such a model, or a class of yours is not defined here; the message says why.

    Examples
    --------
    >>> import os, tempfile, fastbp
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> model = fastbp.Sequential([fastbp.Dense(3)], input_shape=4, seed=0)
    >>> model.compile("adam", "mse")
    >>> loss = model.train_on_batch([[1, 2, 3, 4]], [[0, 0, 1]])
    >>> model.save(path)
    >>> loaded = fastbp.load_model(path)
    >>> loaded, loaded.optimizer.iterations
    (<Sequential: dense_1>, 1)
    """
    custom_objects = {} if custom_objects is None else custom_objects
    check_kind("custom_objects", custom_objects, Mapping, "a dict of classes by name")
    with custom_classes(custom_objects) as given:
        model: Sequential = restored(path, Sequential)
    if given.unused:
        unused, others = (", ".join(map(repr, names)) for names in (given.unused, given.others))
        warn(f"custom_objects has {unused}, which the file does not name{f'; it names {others}' * bool(others)}")
    return model
