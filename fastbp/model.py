"""Models: layers in a row, compiled to programs, trained and asked for predictions."""

from __future__ import annotations

import functools
import threading
import time
import warnings
import weakref
from collections.abc import Iterable
from itertools import takewhile
from math import prod
from typing import TYPE_CHECKING, cast

import numpy as np

from . import losses, optimizers
from .backends import aligned, make_executor
from .callbacks import Callback, History, ProgressBar, has_hook
from .compiler import Layout, compile_evaluation, compile_prediction, compile_training
from .data import (
    as_features,
    as_generator,
    as_list,
    as_numbers,
    as_rows,
    as_targets,
    as_weights,
    check_kind,
    integer,
    number,
)
from .kernels import check_numerics, choose_backend
from .kernels.table import suggest
from .kernels.threads import MISSING
from .layers import Layer, as_shape, from_config
from .metrics import Metric
from .metrics import get as get_metric
from .program import BATCH, CallError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any, TypeVar

    from numpy.typing import ArrayLike, DTypeLike

    from .backends import CompiledExecutor, Executor
    from .checkpoint import Checkpoint
    from .compiler import Network
    from .losses import Loss
    from .optimizers import Optimizer
    from .program import Buffer, Program

    Seed = int | np.random.Generator | None
    Method = TypeVar("Method", bound=Callable[..., Any])

__all__ = ["Sequential", "load_model"]

_DTYPES = ("float32", "float64")
_BLOCK = 512  # rows that evaluate and predict take at a time: activations stay in cache (measured)
_BUSY = "this model is running already; wait for it, or give each thread a model of its own"


def _exclusive(method: Method) -> Method:
    """Let one thread at a time use a model: another is refused before it touches anything."""

    @functools.wraps(method)
    def guarded(self, *args, **kwargs):
        if not self._lock.acquire(blocking=False):
            raise RuntimeError(_BUSY)
        try:
            return method(self, *args, **kwargs)
        finally:
            self._lock.release()

    return cast("Method", guarded)


def _dtype_name(dtype: Any) -> str:
    try:
        # numpy.dtype(None) would be float64
        name = dtype if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = dtype
    if name not in _DTYPES:
        raise ValueError(f"dtype is {dtype!r}; it must be 'float32' or 'float64'{suggest(name, _DTYPES)}")
    return name


def _activation(layer: Layer | None) -> str | None:
    """Return the activation that makes a layer's outputs, by its name."""
    found = getattr(layer, "activation", None)
    return getattr(found, "activation", found)


def _counts(rows: int, batch: int) -> np.ndarray:
    """Return how many rows each batch has."""
    counts = np.full(-(-rows // batch), float(batch))
    counts[-1] = rows - batch * (len(counts) - 1)
    return counts


def _part(streams: dict[Buffer, np.ndarray], first: int, last: int, start: int, stop: int) -> dict[Buffer, np.ndarray]:
    """Return what steps `first` to `last` - 1 have of streams: one thing a step, or their rows."""
    return {b: a[start:stop] if BATCH in b.shape else a[first:last] for b, a in streams.items()}


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
    optimizer : Optimizer
    history : History
        Of the last `fit`.
    batch_losses : ndarray
        The loss of every batch of the last `fit`, in order.
    program : Program
        The train step, made by the first step: print it, `profile` it, run it with ``check="numpy"``.

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
        self.layers: list[Layer] = []
        self.seed = seed
        # without compile the backend is chosen when it is needed: the choice may warn
        self.backend: Any = None
        self.dtype, self.numerics = "float32", "numpy"
        # set by compile, by build and by fit
        self.optimizer: Any = None
        self.loss_function: Any = None
        self.metrics: list[Metric] = []
        self.layout: Any = None
        self.history: Any = None
        self.batch_losses: Any = None
        self.stop_training = False
        self._input_shape = as_shape(input_shape)
        self._arrays: dict[str, np.ndarray] = {}
        self._streams = np.empty(0, np.int64)  # of random numbers, a row of six for each layer that draws some
        self._trained: set[int] = set()
        self._least_rows = 1  # of a batch that all layers learn from
        self._stale = False  # whether layers were frozen, or their learning rates changed, since programs were made
        self._state: Any = None
        # reentrant: a callback may predict and evaluate
        self._lock = threading.RLock()
        self._fitting = False
        self._forget()
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
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"layer {len(self.layers)} is {layer!r}; it must be a Layer, such as fastbp.Dense(10)")
        if self.layout is not None:
            raise RuntimeError("the model is built; add layers before it sees data or an input_shape")
        if self.loss_function is not None:
            raise RuntimeError("the model is compiled; add layers before, the loss depends on the last one")
        if any(layer is other for other in self.layers):
            raise ValueError(f"layer {layer.name or type(layer).__name__} is in the model already")
        if layer.owner is not None and layer.owner() is not None:
            raise ValueError(f"layer {layer.name} belongs to another model; make one for each model")
        names = [other.name for other in self.layers]
        if layer.name is None:
            kind = type(layer).__name__.lower()
            numbers = range(1, len(names) + 2)
            layer.name = next(f"{kind}_{n}" for n in numbers if f"{kind}_{n}" not in names)
        elif layer.name in names:
            raise ValueError(f"two layers are called {layer.name!r}; names must differ")
        layer.owner = weakref.ref(self)
        self.layers.append(layer)

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one row, or None while it is not known."""
        if self.layout is not None:
            return self.layout.input_shape
        given = self._input_shape or (self.layers[0].input_shape if self.layers else None)
        return None if given is None else tuple(given)

    def _plan(self, input_shape: tuple[int, ...] | None = None) -> Layout:
        """Return the layout for rows of a shape, without changing the model."""
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

    @_exclusive
    def build(self, input_shape: int | tuple[int, ...] | None = None, seed: Seed = None) -> None:
        """Allocate the parameters and draw their initial values.

        Parameters
        ----------
        input_shape : int or tuple of int, optional
            The shape of one row, where the model does not know it.
        seed : int or Generator, optional
            Where the model has none of its own.
        """
        if self.layout is not None:
            return
        layout = self._plan(as_shape(input_shape))
        for doubt in [] if self.loss_function is None else self._doubts_of_number(self.loss_function, layout):
            warnings.warn(doubt, stacklevel=3)
        rng = as_generator("seed", seed if self.seed is None else self.seed)
        values = [initializer(shape, rng) for *_, shape, _, initializer in layout.entries]
        self.layout = layout
        self._arrays = {name: aligned(layout.n, self.dtype) for name in ("parameters", "gradients")}
        self._arrays["statistics"] = aligned(layout.n_statistics, self.dtype)
        for (_, _, _, offset, _), value in zip(layout.entries, values, strict=True):
            self._arrays["parameters"][offset : offset + value.size] = value.reshape(-1)
        for _, _, shape, offset, initializer in layout.statistics:
            self._arrays["statistics"][offset : offset + prod(shape)] = initializer(shape, rng).reshape(-1)
        self._streams = aligned(6 * len(layout.random), np.int64)
        self._seed_streams(rng, own=True)
        self._make_views()

    def _seed_streams(self, rng: np.random.Generator, own: bool = False) -> None:
        """Begin the streams of random numbers anew: those of layers without a seed, and with `own` the others."""
        chosen = [i for i, k in enumerate(self.layout.random) if own or self.layers[k].seed is None]
        if not chosen:
            return
        from .kernels.numpy_ref.common import pcg64_state

        for i, child in zip(chosen, rng.spawn(len(chosen)), strict=True):
            seed = self.layers[self.layout.random[i]].seed
            bits: Any = child.bit_generator.seed_seq if seed is None else seed
            # PCG64 whatever the caller's generator is: it is what the kernels know
            stream = np.random.Generator(np.random.PCG64(bits))
            self._streams[6 * i : 6 * i + 6] = pcg64_state(stream)

    def _make_views(self) -> None:
        for layer in self.layers:
            layer._arrays = {}
        parameters, statistics = self.layout.entries, self.layout.statistics
        for prefix, flat, entries in (
            ("", "parameters", parameters), ("d", "gradients", parameters), ("", "statistics", statistics),
        ):  # fmt: skip
            for k, name, shape, offset, _ in entries:
                view = self._arrays[flat][offset : offset + prod(shape)].reshape(shape)
                self.layers[k]._arrays[prefix + name] = view

    def _forget(self) -> None:
        # executors hold addresses: they go when anything they were made from goes
        self._train: dict[bool, Network] = {}  # by whether samples have weights
        self._evaluate: dict[bool, Network] = {}
        self._steps: Any = None
        self._predict: Any = None
        self._train_step: Any = None
        self._map: Any = None
        self._stage = ""

    def _layers_changed(self) -> None:
        """Note that a layer was frozen or not, or has another learning rate: the next step follows."""
        self._stale = True
        self._train_step = None  # the short way does not look

    def _follow_layers(self) -> None:
        """Let programs be made anew from what layers say now; what is saved says it, too."""
        self._stale = False
        self._trained = {k for k, layer in enumerate(self.layers) if layer.trainable}
        self._least_rows = max((layer.least_rows for layer in self.layers), default=1)
        if self.layout is not None:
            self._arrays["gradients"][...] = 0  # of a layer that is not trained any more they stay so
        self._forget()

    @_exclusive
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
        loss : Loss or str
            A name in Keras' spelling. For cross-entropies by name the model's last activation decides
            whether they take logits; layers behind it whose predictions are their inputs do not count. One
            warning says if the outputs are not what the loss takes, here or when their number is known.
        metrics : list of Metric or str
            A name in Keras' spelling, such as "accuracy", "f1_score" or "mae", is also its key in the history.
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
        """
        self._require_idle()
        dtype = _dtype_name(dtype)
        check_numerics(numerics)
        backend = choose_backend(backend)
        if loss is None:
            raise ValueError("loss is missing; for example loss='sparse_categorical_crossentropy' or 'mse'")
        if not self.layers:
            raise RuntimeError("the model has no layers")
        optimizer = optimizers.get(optimizer)
        loss = losses.get(loss).resolve(self._last_activation())
        if loss.reduction == "none":
            raise ValueError("loss has the reduction 'none'; to be minimised it must be one number: 'mean' or 'sum'")
        given = [metrics] if isinstance(metrics, (str, Metric)) else () if metrics is None else metrics
        found = [get_metric(metric) for metric in as_list("metrics", given, "names and metrics")]
        for metric in found:
            metric.check(loss)
        names = [metric.name for metric in found]
        if len({"loss", *names}) != len(names) + 1:
            raise ValueError(f"metrics is {names}; each may stand there once, and none may be called 'loss'")
        doubts = [] if self.layout is None else self._doubts_of_number(loss, self.layout)
        for doubt in self._doubts_of_outputs(loss) + doubts:
            warnings.warn(doubt, stacklevel=3)
        optimizer.attach(self, {})
        if dtype != self.dtype and self.layout is not None:
            for name, array in self._arrays.items():
                self._arrays[name] = aligned(array.size, dtype)
                self._arrays[name][...] = array
            self._make_views()
        self.dtype, self.backend, self.numerics = dtype, backend, numerics
        self.optimizer, self.loss_function, self.metrics = optimizer, loss, found
        self._state = None
        self._follow_layers()

    def _make_state(self) -> None:
        state = {}
        for name, (shape, kind, value) in self.optimizer.state(self.layout.n).items():
            state[name] = aligned(int(np.prod(shape)), self.dtype if kind == "real" else np.float64).reshape(shape)
            state[name][...] = value
        self.optimizer.attach(self, state)
        self._state = state

    def _last_activation(self) -> str | None:
        """Return the activation that makes the outputs, as far as predictions go."""
        return _activation(next((layer for layer in reversed(self.layers) if not layer.passes_on), None))

    def _doubts_of_outputs(self, loss: Loss) -> list[str]:
        """Return what to warn of: outputs that are not what the loss takes."""
        doubt = loss.doubt(self._last_activation())
        if doubt is not None:
            return [doubt]
        last = takewhile(lambda layer: layer.passes_on, reversed(self.layers))
        return [
            f"layer {layer.name} comes after the last activation: in training the outputs are no probabilities, "
            f"which {type(loss).__name__} takes; put it before the layer with the activation"
            for layer in last
            if layer.random and loss.link is not None and not loss.from_logits
        ]

    def _doubts_of_number(self, loss: Loss, layout: Layout) -> list[str]:
        """Return what to warn of in the number of outputs, and of units of a softmax: classes of which there is one."""
        found = [
            f"layer {layer.name} is a {_activation(layer)} of one unit, which is always the same: "
            "use activation='sigmoid', or a unit for each class"
            for layer, shape in zip(self.layers, layout.shapes, strict=True)
            if _activation(layer) in ("softmax", "log_softmax") and shape[-1:] == (1,)
        ]
        if not found and (loss.link == "softmax" or loss.targets == "one_hot") and layout.output_shape[-1:] == (1,):
            found.append(
                f"the model has one output, and {type(loss).__name__} wants one for each class: "
                "for two classes take a loss on one output, such as 'binary_crossentropy'"
            )
        return found

    def _warn_of_few_rows(self, rows: int, batch: int) -> None:
        """Warn where a layer learns nothing from batches as small as these, or as the last one."""
        least = rows % batch or batch
        if least < self._least_rows:
            which = "all batches have" if batch < self._least_rows else "the last batch of an epoch has"
            names = ", ".join(layer.name for layer in self.layers if layer.least_rows > least)
            what = f"{which} {least} row{'s' * (least > 1)}; {names} must have {self._least_rows} to learn from"
            warnings.warn(f"{what}: choose another batch size", stacklevel=4)

    def _require_idle(self) -> None:
        if self._fitting:
            raise RuntimeError("fit is running; callbacks may predict and evaluate, not train")

    def _require_compiled(self) -> None:
        if self.loss_function is None:
            raise RuntimeError("the model is not compiled; call model.compile(optimizer=..., loss=...) first")

    # ------------------------------------------------------------------ executors

    def _shared(self) -> dict[str, np.ndarray]:
        return {**self._arrays, **self._state, "lr": self.optimizer._lr, "streams": self._streams}

    @property
    def metric_names(self) -> list[str]:
        """The keys of the metrics in the history and in what `evaluate` returns."""
        return [metric.name for metric in self.metrics]

    def _training(self, keep: bool = False, weighted: bool = False) -> Network:
        return compile_training(
            self.layers,
            self.layout,
            self.loss_function,
            self.optimizer,
            [metric for metric in self.metrics if metric.scalar],
            self.dtype,
            self.numerics,
            not keep,
            weighted,
            self._trained,
        )

    def _train_executor(self, batch: int, weighted: bool = False) -> tuple[Network, Executor]:
        if weighted not in self._train:
            network = self._train[weighted] = self._training(weighted=weighted)
            make_executor(network.program, self.backend, self._shared(), batch)
            self._set_ports(network)
        network = self._train[weighted]
        executor: Any = network.program.executor
        if batch > executor.plan.batch:
            executor.reserve(batch)
            self._set_ports(network)
        return network, executor

    def _set_ports(self, network: Network) -> None:
        """Let train_on_batch hand arrays that need no conversion straight to the runner."""
        if self.backend == "numpy" or network.weight is not None:
            return
        executor: Any = network.program.executor
        real = np.dtype(self.dtype).num
        loss = self.loss_function
        y = (network.y_true.number, np.dtype(np.int64).num, 1, 0, False)
        if not loss.takes_integers:
            y = (network.y_true.number, real, 2, network.y_true.shape[1], True)
        # targets of which only some numbers will do are checked on the long way only
        any_will_do = loss.targets in ("real", "means") and loss.link is None
        if len(self.layout.input_shape) == len(self.layout.output_shape) == 1 and (
            any_will_do or (loss.takes_integers and loss.rows_per_sample == 1)
        ):
            x = (network.x.number, real, 2, self.layout.input_shape[0], True)
            executor.runner.set_ports([x, y], (network.loss.number, real, 0))
            first, last = executor.program.span("forward", "forward")[0], len(executor.program.calls)
            executor.runner.set_span(first, last, executor.program.commit, executor.plan.batch)
            self._train_step = executor.runner.step

    @property
    def program(self) -> Program:
        """The program of a train step, as `fit` and `train_on_batch` run it."""
        self._require_compiled()
        self._ready()
        self.optimizer.prepare()
        return self._train_executor(1)[0].program

    def _ready(self, shape: tuple[int, ...] | None = None, seed: Seed = None) -> None:
        if self.layout is None:
            self.build(shape, seed)
        if self.backend is None:
            self.backend = choose_backend(None)
        if self.optimizer is not None and self._state is None:
            self._make_state()
        if self._stale and not self._fitting:
            self._follow_layers()

    # ------------------------------------------------------------------ training

    @_exclusive
    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int | None = 32,
        epochs: int = 1,
        shuffle: bool = True,
        seed: Seed = None,
        verbose: int = 1,
        validation_data: tuple[ArrayLike, ...] | None = None,
        callbacks: Iterable[Callback] = (),
        stop_on_nan: bool = True,
        validation_split: float = 0.0,
        validation_freq: int | Iterable[int] = 1,
        initial_epoch: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
    ) -> History:
        """Train for some epochs.

        Called again it goes on: parameters, the optimizer's state and its number of steps, and so the place in a
        schedule of learning rates, are those that the last call left. The shuffles are those of `seed` again, unless
        that is a Generator, and the history is a new one.

        Parameters
        ----------
        x : array_like, shape (rows, n_in)
        y : array_like
            Integer labels (rows,) or numbers (rows, n_out), as the loss takes them.
        batch_size : int or None
            1 is stochastic gradient descent, None takes all rows at once. The last batch of an epoch may be
            smaller; more than there are rows means all rows.
        epochs : int
            The last epoch, counted from 1: there are ``epochs - initial_epoch``.
        shuffle : bool
            Every epoch takes the rows in the order of ``rng.permutation(rows)``, else in their own. Rows that are one
            sample of the loss (`TripletMargin`) stay together.
        seed : int or numpy.random.Generator, optional
            ``rng = numpy.random.default_rng(seed)``. Also for the initial weights if the model is not
            built yet and has no seed of its own, and, through ``rng.spawn``, for layers that draw random numbers.
        verbose : {0, 1}
            1 shows a progress bar.
        validation_data : (x, y) or (x, y, sample_weight), optional
            Evaluated after an epoch.
        callbacks : iterable of Callback
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
            number of rows as in Keras, not by the sum of the weights. Metrics take no weights.
        class_weight : dict of int to float or "balanced", optional
            Weights by class, for labels, one-hot targets and a single output of 0 and 1; classes that are left out
            weigh 1. "balanced" is scikit-learn's ``rows / (classes * count of the class)``, where only classes that
            occur count, and only rows that are trained on and whose label is not ignored. With `sample_weight` both
            are multiplied. Validation is not weighed by class.

        Returns
        -------
        History
            ``history.history`` holds a list per epoch of "loss", metrics, "val_loss" ..., and "lr", the learning
            rate of an epoch's last step, where that is scheduled or was changed.

        Raises
        ------
        FloatingPointError
            If the loss is not finite: the message names epoch, batch and the first layer that went wrong.
        TypeError, ValueError, RuntimeError
            For bad input, before anything changes.

        Notes
        -----
        A checkpoint is a model file, which `load_model` reads too, and holds besides: epochs done, the shuffling
        generator's state, the learning rate, the history, and what the callbacks' ``get_state`` return. A run that is
        finished is not trained again; with more `epochs` it goes on, unless a callback had stopped it. The file of a
        run with other layers, loss, optimizer, schedule, batch size, number of rows or callbacks is refused; data and
        constant learning rates are not compared, and the file's rate counts. It is written after the first and the last
        epoch, and in between as often as takes at most a twentieth of the time. ``batch_losses`` are those since the
        start of the process. A kill in the midst of a write leaves a file ``.fastbp-*.tmp`` behind.
        """
        self._require_compiled()
        self._require_idle()
        epochs = integer("epochs", epochs, 1)
        initial_epoch = integer("initial_epoch", initial_epoch, 0)
        if initial_epoch > epochs:
            raise ValueError(f"initial_epoch is {initial_epoch}; it must be at most epochs, {epochs}")
        if batch_size is not None:
            batch_size = integer("batch_size", batch_size, 1)
        if not isinstance(validation_freq, Iterable):
            every = integer("validation_freq", validation_freq, 1)
            validates: Container[int] = range(every, epochs + 1, every)
        else:
            validates = {integer("validation_freq", epoch, 1) for epoch in validation_freq}
        x_rows = as_rows("x", x)
        layout = self._plan(x_rows.shape[1:])
        x, y = self._checked("x", "y", x_rows, y, layout)
        split, together = number("validation_split", validation_split, 0, 1), self.loss_function.rows_per_sample
        validation: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None
        if validation_data is not None:
            check_kind("validation_data", validation_data, (tuple, list), "(x, y) or (x, y, sample_weight)")
            if len(validation_data) not in (2, 3):
                what = "it must be (x, y) or (x, y, sample_weight)"
                raise ValueError(f"validation_data has {len(validation_data)} elements; {what}")
            if split:
                raise ValueError(f"validation_split is {split} and there are validation_data; give one of them")
            names = [f"validation_data[{k}]" for k in range(3)]
            x_val, y_val = self._checked(names[0], names[1], validation_data[0], validation_data[1], layout)
            given = validation_data[2] if len(validation_data) == 3 else None
            validation = x_val, y_val, as_weights(given, None, y_val, self.loss_function, self.dtype, names[2])
        elif split:
            rows = int(len(x) * (1 - split)) // together * together
            if not 0 < rows < len(x):
                raise ValueError(f"validation_split is {split}; of {len(x)} rows that leaves {rows} to train on")
            own = as_weights(sample_weight, None, y, self.loss_function, self.dtype)
            validation = x[rows:], y[rows:], None if own is None else own[rows:]
            x, y = x[:rows], y[:rows]
            if sample_weight is not None:
                sample_weight = as_numbers("sample_weight", sample_weight)[:rows]
        weight = as_weights(
            sample_weight, class_weight, y, self.loss_function, self.dtype, outputs=layout.output_shape[-1]
        )
        rng = as_generator("seed", seed)
        callbacks = as_list("callbacks", callbacks, "fastbp.Callback objects")
        for callback in callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks holds {callback!r}; each must be a fastbp.Callback")
        batch = len(x) if batch_size is None else min(batch_size, len(x))
        if batch % together:
            what = f"{self.loss_function!r} takes {together} rows together"
            raise ValueError(f"batch_size is {batch_size}; {what}, so it must be a multiple of {together}")
        logged = ["loss", *(metric.name for metric in self.metrics if metric.scalar)]
        hooks = [History(), *([ProgressBar()] if verbose else []), *callbacks]
        for hook in hooks:
            hook.model = self
            hook.params = {
                "initial_epoch": initial_epoch,
                "epochs": epochs,
                "steps": -(-len(x) // batch),
                "rows": len(x),
                "batch_size": batch,
                "metrics": logged + [f"val_{name}" for name in logged if validation is not None],
            }
        self._ready(x.shape[1:], seed)
        self._warn_of_few_rows(len(x), batch)
        self._seed_streams(rng)
        order = rng if shuffle else None
        run = None
        if checkpoint is not None:
            from .checkpoint import Checkpoint

            run = Checkpoint(checkpoint, self, order, hooks)
        return self._fit(x, y, weight, batch, order, hooks, validation, validates, stop_on_nan, run)

    def _fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray | None,
        batch: int,
        rng: np.random.Generator | None,
        hooks: list[Any],
        validation: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None,
        validates: Container[int],
        stop_on_nan: bool,
        run: Checkpoint | None,
    ) -> History:
        network, executor = self._train_executor(batch, weight is not None)
        program, rows = network.program, len(x)
        history = self.history = hooks[0]
        checks = [i for i, call in enumerate(program.calls) if call.kernel.name == "check_finite"]
        by_batch = any(
            has_hook(hook, name) for hook in hooks for name in ("on_train_batch_begin", "on_train_batch_end")
        )
        run_epoch = self._run_batches if by_batch else self._run_epoch
        self.stop_training = False
        all_losses = []
        for i in checks:
            executor.set_attribute(i, "enabled", float(bool(stop_on_nan)))
        executor.unbind()
        executor.bind(network.x_source, x)
        executor.bind(network.y_source, y)
        if weight is not None:
            executor.bind(network.weight_source, weight)
        order, counts, together = np.arange(rows), _counts(rows, batch), self.loss_function.rows_per_sample
        start = 0 if rng is not None else program.span("gather")[1]
        started = []
        first_lr, first, last = self.optimizer.lr, history.params["initial_epoch"], history.params["epochs"]
        if run is not None:
            first_lr, first, self.stop_training = run.first_lr, run.done, run.stopped
        self._fitting = True
        try:
            for hook in hooks:
                hook.on_train_begin()
                started.append(hook)
            if run is not None:
                run.begin()
            # a run that was stopped is finished
            for epoch in range(first, first if run is not None and run.stopped else last):
                for hook in hooks:
                    hook.on_epoch_begin(epoch)
                if rng is not None:
                    order = rng.permutation(rows // together)
                    if together > 1:
                        order = (together * order[:, None] + np.arange(together)).reshape(-1)
                results = self._results(network, rows, len(counts))
                # in their own order the rows are read where they lie, else gathered
                streams = self._inputs(network, x, y, weight) if rng is None else {network.index: order}
                streams.update(results)
                try:
                    steps, lr = run_epoch(network, start, counts, streams, results, hooks, epoch)
                except CallError as error:
                    which = order[error.step * batch : (error.step + 1) * batch]
                    where = f"epoch {epoch + 1}, batch {error.step + 1}"
                    raise self._explain(error, x[which], y[which], where) from None
                done = counts[:steps]
                known = _part(results, 0, steps, 0, int(done.sum()))
                all_losses.append(known[network.loss])
                logs = self._logs(network, known, done, int(done.sum()))
                if validation is not None and epoch + 1 in validates:
                    logs.update(self._validate(*validation, hooks))
                if self.optimizer.schedule is not None or lr != first_lr or "lr" in history.history:
                    logs["lr"] = lr
                    if history.epoch and "lr" not in history.history:
                        # the first change: the epochs before had the rate of the beginning
                        history.history["lr"] = [first_lr] * len(history.epoch)
                for hook in hooks:
                    hook.on_epoch_end(epoch, logs)
                if run is not None:
                    run.save(epoch + 1, last=self.stop_training or epoch + 1 == last)
                if self.stop_training:
                    break
        finally:
            self._fitting = False
            for i in checks:
                executor.set_attribute(i, "enabled", 1.0)
            executor.unbind()
            self.batch_losses = np.concatenate(all_losses) if all_losses else np.empty(0, self.dtype)
            for hook in started:
                hook.on_train_end()
        return history

    def _run_epoch(
        self,
        network: Network,
        start: int,
        counts: np.ndarray,
        streams: dict[Buffer, np.ndarray],
        results: dict[Buffer, np.ndarray],
        hooks: list[Any],
        epoch: int,
    ) -> tuple[int, float]:
        """Run the batches of an epoch in one go; return their number and the last learning rate."""
        executor: Any = network.program.executor
        taken = self.optimizer.step
        rates = self.optimizer.rates(len(counts))
        if rates is not None:
            streams[network.lr] = rates

        def pause(step):
            self.optimizer.step = taken + step
            for hook in hooks:
                hook.on_progress(epoch, step)

        span = (start, len(network.program.calls))
        try:
            executor.run_steps(span, int(counts.sum()), int(counts[0]), streams, pause)
        finally:
            self.optimizer.step = taken + executor.steps
        return len(counts), self.optimizer.lr if rates is None else float(rates[-1])

    def _run_batches(
        self,
        network: Network,
        start: int,
        counts: np.ndarray,
        streams: dict[Buffer, np.ndarray],
        results: dict[Buffer, np.ndarray],
        hooks: list[Any],
        epoch: int,
    ) -> tuple[int, float]:
        """Run the batches of an epoch with the hooks of each in between; return as `_run_epoch`."""
        begins, ends = (
            [hook for hook in hooks if has_hook(hook, f"on_train_batch_{when}")] for when in ("begin", "end")
        )
        executor: Any = network.program.executor
        row = 0
        span = (start, len(network.program.calls))
        shown, lr = time.monotonic(), self.optimizer.lr
        for k, count in enumerate(counts.astype(int).tolist()):
            for hook in begins:
                hook.on_train_batch_begin(k)
            lr = self.optimizer.lr
            parts = _part(streams, k, k + 1, row, row + count)
            try:
                executor.run_steps(span, count, count, parts)
            except CallError as error:
                error.step = k
                raise
            finally:
                self.optimizer.step += executor.steps
            row += count
            if ends:
                logs = self._logs(network, _part(results, k, k + 1, row - count, row), counts[k : k + 1], count)
                for hook in ends:
                    hook.on_train_batch_end(k, logs)
            if self.stop_training:
                return k + 1, lr
            if time.monotonic() - shown > 0.1:
                for hook in hooks:
                    hook.on_progress(epoch, k + 1)
                shown = time.monotonic()
        return len(counts), lr

    @staticmethod
    def _inputs(network: Network, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> dict[Buffer, np.ndarray]:
        return {network.x: x, network.y_true: y, **({} if weight is None else {network.weight: weight})}

    def _validate(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, hooks: list[Any]) -> dict[str, float]:
        for hook in hooks:
            hook.on_test_begin()
        logs = self._evaluate_arrays(x, y, weight, _BLOCK)
        for hook in hooks:
            hook.on_test_end(logs)
        return {f"val_{name}": value for name, value in logs.items() if np.ndim(value) == 0}

    def _features(self, name: str, x: ArrayLike, layout: Layout, finite: bool = True) -> np.ndarray:
        """Return inputs as the program and the first layers take them."""
        x = as_features(name, x, layout.input_shape, self.dtype, finite)
        for layer in self.layers:
            if not layer.check(name, x):
                break
        return x

    def _checked(
        self, x_name: str, y_name: str, x: ArrayLike, y: ArrayLike, layout: Layout
    ) -> tuple[np.ndarray, np.ndarray]:
        x = self._features(x_name, x, layout)
        return x, as_targets(y_name, y, self.loss_function, layout.output_shape, self.dtype, len(x))

    def _results(self, network: Network, rows: int, steps: int) -> dict[Buffer, np.ndarray]:
        """Return room for what every step, or every row, yields: streams of a run."""
        buffers = [network.loss, *(buffer for _, found, _ in network.metrics for buffer in found)]
        arrays = {}
        for b in buffers:
            shape = b.resolve(rows) if BATCH in b.shape else (steps, *b.shape)
            arrays[b] = np.empty(shape, self.dtype if b.dtype == "real" else np.int64)
        return arrays

    def _logs(
        self, network: Network, results: dict[Buffer, np.ndarray], counts: np.ndarray, rows: int
    ) -> dict[str, Any]:
        values = results[network.loss].astype(np.float64)
        mean = self.loss_function.reduction == "mean"
        logs = {"loss": float(values @ counts / rows if mean else values.sum())}
        for metric, buffers, value in network.metrics:
            logs[metric.name] = value(rows, *(results[b] for b in buffers))
        return logs

    def _explain(self, error: CallError, x: np.ndarray, y: np.ndarray, where: str) -> Exception:
        """Return the exception for a call that stopped: run the batch again and look at every layer."""
        if error.status == 1:
            return IndexError(f"{error.call.kernel.name}: a label or row number is out of range ({where})")
        y_pred = self.forward(x)
        value = self.loss(y)
        for layer in self.layers:
            for name in layer.parameters:
                if name in layer._arrays and not np.isfinite(layer._arrays[name]).all():
                    culprit = f"{layer.name}.{name} holds values that are not finite"
                    break
            else:
                if np.isfinite(layer.y).all():
                    continue
                culprit = f"layer {layer.name} is the first whose output is not finite"
            break
        else:
            overflow = "every layer's output is finite, the loss itself overflowed"
            culprit = self.loss_function.complain(y_pred) or overflow
        return FloatingPointError(
            f"the loss is {value} in {where}: {culprit}. The parameters are as they were before that batch. "
            "A smaller learning rate, scaled inputs or dtype='float64' usually help; stop_on_nan=False goes on"
        )

    @_exclusive
    def train_on_batch(
        self,
        x: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        class_weight: Mapping[int, float] | str | None = None,
    ) -> float:
        """Run one train step on one batch; return its loss.

        Parameters
        ----------
        x : array_like, shape (batch, n_in)
        y, sample_weight : array_like
            As for `fit`.
        class_weight : dict of int to float or "balanced", optional
            As for `fit`.

        Returns
        -------
        float
        """
        weighted = sample_weight is not None or class_weight is not None
        if self._train_step is not None and not weighted and not self._fitting:
            optimizer = self.optimizer
            if optimizer._schedule is not None:
                optimizer.prepare()
            loss = self._train_step(x, y)
            if loss is not None:
                optimizer._step += 1
                if self._least_rows > 1:
                    n = np.shape(x)[0]
                    self._warn_of_few_rows(n, n)
                return loss
        self._require_compiled()
        self._require_idle()
        rows = as_rows("x", x)
        layout = self._plan(rows.shape[1:])
        x, y = self._checked("x", "y", rows, y, layout)
        weight = as_weights(
            sample_weight, class_weight, y, self.loss_function, self.dtype, outputs=layout.output_shape[-1]
        )
        self._ready(x.shape[1:])
        self._warn_of_few_rows(len(x), len(x))
        network, executor = self._train_executor(len(x), weighted)
        for buffer, array in self._inputs(network, x, y, weight).items():
            executor.bind(buffer, array)
        executor.bind(network.loss)
        program = network.program
        self.optimizer.prepare()
        try:
            executor.run((program.span("gather")[1], len(program.calls)), len(x))
        except CallError as error:
            raise self._explain(error, x, y, "this batch") from None
        self.optimizer.step += 1
        return float(executor.view(network.loss))

    # ------------------------------------------------------------------ the four steps by hand

    @_exclusive
    def forward(self, x: ArrayLike) -> np.ndarray:
        """Step 1: compute the output of a batch and keep every layer's for `backward`.

        Parameters
        ----------
        x : array_like, shape (batch, n_in)

        Returns
        -------
        ndarray, shape (batch, n_out)
        """
        self._require_compiled()
        rows = as_rows("x", x)
        x = self._features("x", rows, self._plan(rows.shape[1:]), finite=False)
        self._ready(x.shape[1:])
        if self._steps is None:
            self._steps = self._training(keep=True)
            make_executor(self._steps.program, self.backend, self._shared(), len(x), keep=True)
        network, executor = self._steps, self._steps.program.executor
        executor.reserve(len(x))
        executor.bind(network.x, x)
        executor.bind(network.y_true)
        executor.run(network.program.span("forward"), len(x))
        for layer, buffer in network.layers:
            layer._arrays["y"] = executor.view(buffer)
            layer._arrays.pop("dy", None)
        self._stage = "forward"
        return executor.view(network.y_pred).copy()

    @_exclusive
    def loss(self, y_true: ArrayLike) -> float:
        """Step 2: compare the output of `forward` with the targets.

        Parameters
        ----------
        y_true : array_like
            As for `fit`.

        Returns
        -------
        float
        """
        self._require_compiled()
        if self._stage == "":
            raise RuntimeError("loss() needs the output of forward(x); call that first")
        network, executor = self._steps, self._steps.program.executor
        y = as_targets("y_true", y_true, self.loss_function, self.layout.output_shape, self.dtype, executor.batch)
        executor.bind(network.y_true, y)
        executor.run(network.program.span("loss"), executor.batch)
        self._stage = "loss"
        return float(executor.view(network.loss))

    @_exclusive
    def backward(self) -> None:
        """Step 3: compute ``layer.dw`` and ``layer.db``, and ``layer.dy``, the gradient of each layer's output."""
        self._require_compiled()
        if self._stage != "loss":
            raise RuntimeError("backward() needs a loss; call forward(x) and loss(y_true) first")
        network, executor = self._steps, self._steps.program.executor
        executor.run(network.program.span("backward"), executor.batch)
        for layer, buffer in network.gradients:
            layer._arrays["dy"] = executor.view(buffer)
        self._stage = "backward"

    @_exclusive
    def update(self) -> None:
        """Step 4: let the optimizer change the parameters."""
        self._require_compiled()
        if self._stage != "backward":
            raise RuntimeError("update() needs gradients; call forward(x), loss(y_true) and backward() first")
        network, executor = self._steps, self._steps.program.executor
        self.optimizer.prepare()
        executor.run(network.program.span("update"), executor.batch)
        self.optimizer.step += 1
        self._stage = "update"

    # ------------------------------------------------------------------ using

    def predict(self, x: ArrayLike, batch_size: int = _BLOCK) -> np.ndarray:
        """Return the output for every row.

        Parameters
        ----------
        x : array_like, shape (rows, n_in)
            NaN and inf pass through as in NumPy.
        batch_size : int
            Rows that are computed at a time. The bits are those of NumPy's expression on such a block.

        Returns
        -------
        ndarray, shape (rows, n_out)
        """
        # one row takes a microsecond: no wrapper around the usual case
        if self._map is not None and batch_size.__class__ is int and batch_size > 0 and self._lock.acquire(False):
            try:
                y = self._map(x, batch_size)
            finally:
                self._lock.release()
            if y is not None:
                return y
        return self._predict_arrays(x, batch_size)

    @_exclusive
    def _predict_arrays(self, x: ArrayLike, batch_size: int) -> np.ndarray:
        batch_size = integer("batch_size", batch_size, 1)
        rows = as_rows("x", x)
        x = self._features("x", rows, self._plan(rows.shape[1:]), finite=False)
        self._ready(x.shape[1:])
        batch = min(batch_size, len(x))
        if self._predict is None:
            self._predict = compile_prediction(self.layers, self.layout, self.dtype, self.numerics)
            make_executor(self._predict.program, self.backend, dict(self._arrays), batch)
        network, executor = self._predict, self._predict.program.executor
        executor.reserve(batch)
        y = np.empty((len(x), *self.layout.output_shape), self.dtype)
        executor.run_steps((0, len(network.program.calls)), len(x), batch, {network.x: x, network.y_pred: y})
        executor.unbind()
        self._set_map(network, executor)
        return y

    def _set_map(self, network: Network, executor: Executor) -> None:
        if self.backend == "numpy" or len(self.layout.input_shape) != 1 or len(self.layout.output_shape) != 1:
            return
        real = np.dtype(self.dtype).num
        x = (network.x.number, real, 2, self.layout.input_shape[0], False)
        runner = cast("CompiledExecutor", executor).runner
        runner.set_ports([x], (network.y_pred.number, real, self.layout.output_shape[0]))
        runner.set_span(0, len(network.program.calls), 0, executor.plan.batch)
        self._map = runner.map

    @_exclusive
    def evaluate(
        self, x: ArrayLike, y: ArrayLike, batch_size: int = _BLOCK, sample_weight: ArrayLike | None = None
    ) -> dict[str, Any]:
        """Return the loss and the metrics of data.

        Parameters
        ----------
        x, y : array_like
            As for `fit`.
        batch_size : int
            Rows that are computed at a time; fewer, where that would part rows that are one sample of the loss.
        sample_weight : array_like, shape (rows,), optional
            As for `fit`; metrics take no weights.

        Returns
        -------
        dict of str to float
            A `ConfusionMatrix` is an array.
        """
        self._require_compiled()
        batch_size = integer("batch_size", batch_size, 1)
        rows = as_rows("x", x)
        x, y = self._checked("x", "y", rows, y, self._plan(rows.shape[1:]))
        weight = as_weights(sample_weight, None, y, self.loss_function, self.dtype)
        self._ready(x.shape[1:])
        return self._evaluate_arrays(x, y, weight, batch_size)

    def _evaluate_arrays(
        self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, batch_size: int
    ) -> dict[str, Any]:
        rows, together, weighted = len(x), self.loss_function.rows_per_sample, weight is not None
        batch = min(max(batch_size // together, 1) * together, rows)
        if weighted not in self._evaluate:
            network = self._evaluate[weighted] = compile_evaluation(
                self.layers, self.layout, self.loss_function, self.metrics, self.dtype, self.numerics, weighted
            )
            make_executor(network.program, self.backend, self._shared(), batch)
        network = self._evaluate[weighted]
        executor: Any = network.program.executor
        executor.reserve(batch)
        steps = -(-rows // batch)
        results = self._results(network, rows, steps)
        streams = {**self._inputs(network, x, y, weight), **results}
        try:
            executor.run_steps((0, len(network.program.calls)), rows, batch, streams)
        finally:
            executor.unbind()
        return self._logs(network, results, _counts(rows, batch), rows)

    # ------------------------------------------------------------------ weights and files

    def get_weights(self) -> list[np.ndarray]:
        """Return copies of all parameters and statistics, layer by layer ``[w, b, ...]``: Keras' order.

        Returns
        -------
        list of ndarray
        """
        self._ready()
        return [self.layers[k]._arrays[name].copy() for k, name, *_ in self._kept()]

    def _kept(self) -> list[Any]:
        """Return the entries of the layout, those of a layer's statistics behind its parameters."""
        return sorted([*self.layout.entries, *self.layout.statistics], key=lambda entry: entry[0])

    @_exclusive
    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Set all parameters and statistics.

        Parameters
        ----------
        weights : list of array_like
            In the order and shapes of `get_weights`.
        """
        self._ready()
        entries = self._kept()
        weights = as_list("weights", weights, "arrays")
        if len(weights) != len(entries):
            raise ValueError(f"weights has {len(weights)} arrays; the model has {len(entries)}")
        arrays: list[np.ndarray] = []
        for (k, name, shape, *_), value in zip(entries, weights, strict=True):
            value = as_numbers(f"weights[{len(arrays)}]", value)
            if value.shape != shape:
                what = f"{self.layers[k].name}.{name} has {shape}"
                raise ValueError(f"weights[{len(arrays)}] has shape {value.shape}; {what}")
            arrays.append(value)
        for (k, name, *_), value in zip(entries, arrays, strict=True):
            self.layers[k]._arrays[name][...] = value

    def count_params(self) -> int:
        """Return the number of parameters; statistics are none.

        Returns
        -------
        int
        """
        return self._plan().n

    def summary(self) -> None:
        """Print the layers with their output shapes and numbers of parameters."""
        layout = self._plan()
        rows = [("layer", "kind", "output", "parameters")]
        for k, layer in enumerate(self.layers):
            n = sum(int(np.prod(shape)) for j, _, shape, *_ in layout.entries if j == k)
            activation = getattr(layer, "activation", "")
            kind = f"{type(layer).__name__}({getattr(activation, 'activation', activation)})"
            rows.append((layer.name, kind, str((None, *layout.shapes[k])), f"{n:,}"))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        for row in rows:
            print("  ".join(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=False)), row[3].rjust(widths[3]))
        print(f"{layout.n:,} parameters, {layout.n * np.dtype(self.dtype).itemsize:,} bytes in {self.dtype}")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model, and the optimizer's state if it is compiled, to one ``.npz`` file, atomically.

        A write that is interrupted leaves an old file of that name whole. Nothing is pickled.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        ValueError
            If the learning rate is a function of the user's; nothing is written then.
        """
        from .io import save_arrays

        config = self.get_config()
        arrays = self._saved()
        if self.loss_function is not None:
            arrays.update((f"optimizer.{name}", array) for name, array in self.optimizer.get_state().items())
        save_arrays(path, config, arrays)

    def _saved(self) -> dict[str, np.ndarray]:
        """Return what a file holds of the layers: parameters, and where there are any, statistics and streams."""
        own = {"statistics": self._arrays["statistics"], "streams": self._streams}
        return {"parameters": self._arrays["parameters"], **{name: a for name, a in own.items() if a.size}}

    def _restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Set what `_saved` returned; `Layout.check_saved` comes before."""
        for name, array in self._saved().items():
            array[...] = arrays[name]

    def get_config(self) -> dict[str, Any]:
        """Return layers, loss, optimizer and options as plain data: what `save` writes beside the arrays.

        Returns
        -------
        dict of str to object

        Raises
        ------
        ValueError
            If the learning rate is a function of the user's.
        """
        return self._config(None if self.loss_function is None else optimizers.to_config(self.optimizer))

    def _config(self, optimizer: list[Any] | None) -> dict[str, Any]:
        self._ready()
        config: dict[str, Any] = {
            "input_shape": list(self.layout.input_shape),
            "dtype": self.dtype,
            "layers": [[type(layer).__name__, layer.get_config()] for layer in self.layers],
        }
        if self.loss_function is not None:
            config["backend"], config["numerics"] = self.backend, self.numerics
            config["loss"] = [type(self.loss_function).__name__, self.loss_function.get_config()]
            config["optimizer"] = optimizer
            config["metrics"] = [metric.get_config() for metric in self.metrics]
        return config

    def __repr__(self) -> str:
        inner = ", ".join(layer.name for layer in self.layers)
        return f"<Sequential: {inner}>"


def load_model(path: str | os.PathLike[str]) -> Sequential:
    """Return the model that `Sequential.save` wrote, with its optimizer's state.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Sequential

    Raises
    ------
    fastbp.io.FileFormatError
        If the file is damaged or is not such a model; the message says why.
    """
    from .io import FileFormatError, load_arrays

    config, arrays = load_arrays(path)
    # a checkpoint of fit's is a model with more
    arrays = {name: array for name, array in arrays.items() if "training" not in config or "/" not in name}
    try:
        model = Sequential([from_config(kind, options) for kind, options in config["layers"]])
        shape = tuple(int(n) for n in config["input_shape"])
        layout = model._plan(shape)
        dtype = _dtype_name(config["dtype"])
        # before any memory is taken: a damaged file may ask for much
        known = layout.check_saved(arrays, dtype)
        for name in arrays:
            if name not in known and not ("loss" in config and name.startswith("optimizer.")):
                raise ValueError(f"nothing is known of the array {name!r}")
        model.dtype = dtype
        model.build(shape, seed=0)
        model._restore(arrays)
        if "loss" in config:
            loss = losses.from_config(*config["loss"])
            optimizer = optimizers.from_config(*config["optimizer"])
            state = {k.removeprefix("optimizer."): array for k, array in arrays.items() if k.startswith("optimizer.")}
            want = {name: shape for name, (shape, _, _) in optimizer.state(layout.n).items()}
            if {name: array.shape for name, array in state.items() if name != "step"} != want:
                raise ValueError(f"the optimizer's state does not fit {layout.n} parameters")
            backend = config["backend"]
            if MISSING is not None and backend in ("cython", "numba"):
                backend = None  # the default, which warns: the bits are the same
            model.compile(optimizer, loss, config["metrics"], backend, dtype, config.get("numerics", "numpy"))
            model._ready()
            optimizer.set_state(state)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise FileFormatError(f"{path}: not a model of this version of fastbp: {error}") from error
    return model
