"""The compiler: layers, a loss and an optimizer become a program."""

from __future__ import annotations

from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from .kernels.pcg64 import WORDS
from .program import BATCH, ROWS, Program
from .program.passes import PASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from typing import Any

    from .initializers import Initializer
    from .layers import Layer
    from .layers.base import Backward
    from .losses import Loss
    from .metrics import Metric
    from .optimizers import Optimizer
    from .program import Buffer, Length
    from .program.passes import Pass
    from .regularizers import Regularizer

    Views = dict[int, dict[str, Buffer]]

__all__ = [
    "Layout", "Network", "compile_evaluation", "compile_prediction", "compile_pull", "compile_row_gradients",
    "compile_training",
]  # fmt: skip


class Entry(NamedTuple):
    """A parameter or a statistic: of which layer, what it is called there, and where it lies in its flat array."""

    layer: int
    name: str
    shape: tuple[int, ...]
    offset: int
    initializer: Initializer

    @property
    def part(self) -> slice:
        """Its elements of the flat array."""
        return slice(self.offset, self.offset + prod(self.shape))


class Layout:
    """Where each parameter and each statistic lies in the flat arrays.

    Parameters
    ----------
    layers : list of Layer
        Named and built in order; a layer without a name is given one.
    input_shape : tuple of int
        The shape of one row.

    Attributes
    ----------
    entries : list of Entry
        Of the parameters; offsets in elements.
    n : int
        The number of parameters.
    statistics : list of Entry
        What layers keep besides parameters, in an array of its own.
    n_statistics : int
    specs : dict of (layer number, name) to ParameterSpec
    random : list of int
        The numbers of the layers that have a stream of random numbers.
    shapes : list of tuple
        The output shape of each layer.
    """

    def __init__(self, layers: Sequence[Layer], input_shape: tuple[int, ...]) -> None:
        self.input_shape, self.shapes, self.specs = tuple(input_shape), [], {}
        self.entries: list[Entry] = []
        self.statistics: list[Entry] = []
        self.n = self.n_statistics = 0
        self.random = [k for k, layer in enumerate(layers) if layer.random]
        shape = self.input_shape
        for k, layer in enumerate(layers):
            specs, shape = layer.build(shape)
            self.shapes.append(shape)
            for spec in specs:
                self.specs[k, spec.name] = spec
                if spec.trainable:
                    self.entries.append(Entry(k, spec.name, spec.shape, self.n, spec.initializer))
                    self.n += prod(spec.shape)
                else:
                    self.statistics.append(Entry(k, spec.name, spec.shape, self.n_statistics, spec.initializer))
                    self.n_statistics += prod(spec.shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one row of the output."""
        return self.shapes[-1]

    @property
    def positions(self) -> int:
        """How many rows of the last axis one row of the output has: what losses and metrics count."""
        return prod(self.output_shape[:-1])

    @cached_property
    def weights(self) -> tuple[tuple[int, str, tuple[int, ...]], ...]:
        """Of all parameters and statistics: of which layer, name and shape."""
        return tuple((entry.layer, entry.name, entry.shape) for entry in (*self.entries, *self.statistics))

    def check_saved(self, arrays: dict[str, Any], dtype: str) -> tuple[str, ...]:
        """Raise ValueError unless `arrays` have what a file holds of the layers; return the names of that."""
        wanted = {
            "parameters": (self.n, dtype),
            "statistics": (self.n_statistics, dtype),
            "streams": (WORDS * len(self.random), "int64"),
        }
        for name, (n, kind) in wanted.items():
            shape, found = (arrays[name].shape, arrays[name].dtype) if name in arrays else ((0,), kind)
            if shape != (n,) or found != kind:
                raise ValueError(f"{name} are {found} {shape}, the layers have {n} of {kind}")
        return tuple(wanted)


class Network:
    """A program and the buffers that a model binds or reads.

    Attributes
    ----------
    program : Program
    x, y_true, y_pred, loss, weight : Buffer or None
        `weight` are those of the samples.
    metrics : list of (Metric, list of Buffer, callable)
        As `Metric.emit` returns them.
    x_source, y_source, weight_source, index : Buffer or None
        Where batches are gathered from.
    lr : Buffer or None
        The learning rate.
    drawn : Buffer or None
        The streams of random numbers as the step leaves them.
    data_loss : Buffer or None
        The loss without penalties.
    layers : list of (Layer, Buffer)
        Each layer's output.
    gradients : list of (Layer, Buffer)
        dLoss/d that output, in the order of the backward pass.
    dy, dx : Buffer or None
        dLoss/dy_pred, which is an input where there is no loss; dLoss/dx.
    row_gradient : Buffer or None
        dLoss by all parameters, of a batch of one row.
    """

    def __init__(self, dtype: str, numerics: str) -> None:
        self.program = Program(dtype, numerics)
        # buffers, for those that the compile function needs
        self.x: Any = None
        self.weight: Any = None
        self.weight_source: Any = None
        self.parameters: Views = {}
        self.y_true: Any = None
        self.y_pred: Any = None
        self.loss: Any = None
        self.x_source: Any = None
        self.y_source: Any = None
        self.index: Any = None
        self.lr: Any = None
        self.drawn: Any = None
        self.data_loss: Any = None
        self.metrics: list[tuple[Metric, list[Buffer], Callable[..., Any]]] = []
        self.layers: list[tuple[Layer, Buffer]] = []
        self.gradients: list[tuple[Layer, Buffer]] = []
        self.dy: Any = None
        self.dx: Any = None
        self.row_gradient: Any = None


def _views(
    program: Program, layers: Sequence[Layer], layout: Layout, name: str, role: str, trained: Container[int] = ()
) -> tuple[Buffer, Views]:
    """Add a flat buffer and its views; return it and the views by layer number."""
    entries, n = (layout.statistics, layout.n_statistics) if role == "state" else (layout.entries, layout.n)
    flat = program.buffer(name, (n,), role=role)
    views: Views = {}
    for k, parameter, shape, offset, _ in entries:
        prefix = "d" if role == "gradient" else ""
        # the gradient of a layer that is not trained stays 0
        own = "state" if role == "gradient" and k not in trained else role
        view = program.buffer(f"{layers[k].name}.{prefix}{parameter}", shape, role=own, parent=flat, offset=offset)
        if own == role:
            views.setdefault(k, {})[parameter] = view
    return flat, views


def _forward(
    network: Network, layers: Sequence[Layer], layout: Layout, gradients: Views
) -> tuple[Buffer, list[Backward]]:
    program = network.program
    network.x = network.x or program.buffer("x", (BATCH, *layout.input_shape), role="input")
    flat, network.parameters = _views(program, layers, layout, "parameters", "parameter")
    weights = {k: dict(network.parameters.get(k, {})) for k in range(len(layers))}
    if layout.statistics:
        for k, views in _views(program, layers, layout, "statistics", "state")[1].items():
            weights[k].update(views)
    if layout.random and program.training:
        streams = program.buffer("streams", (WORDS * len(layout.random),), "i8", role="state")
        drawn = network.drawn = program.buffer("drawn", streams.shape, "i8", role="state")
        for i, k in enumerate(layout.random):
            name = f"{layers[k].name}.generator"
            weights[k]["generator"] = program.buffer(name, (WORDS,), "i8", "state", parent=drawn, offset=WORDS * i)
    y, steps = network.x, []
    for k, layer in enumerate(layers):
        y, backward = layer.emit(program, y, weights[k], gradients.get(k, {}))
        network.layers.append((layer, y))
        steps.append(backward)
    if y.root is network.x:
        y = program.call("identity_forward", y, layer="output")
    network.y_pred = y
    return flat, steps


def _keep_streams(network: Network, start: int) -> None:
    """Let layers draw from a copy that becomes the state with the update: a step that has none has drawn nothing."""
    program, drawn = network.program, network.drawn
    if not any(b.parent is drawn for call in program.calls for b in call.buffers if b.parent is not None):
        network.drawn = None  # nobody draws
        return
    streams = program.find("streams")
    program.phase = "forward"
    program.call("keep_streams", streams, layer="random", into={"kept": drawn})
    # before the first of them draws
    program.calls.insert(start, program.calls.pop())
    program.later(lambda: program.call("keep_streams", drawn, layer="random", into={"kept": streams}))


def _regularized(layout: Layout) -> list[tuple[int, str, Regularizer]]:
    return [(k, name, r) for k, name, *_ in layout.entries if (r := layout.specs[k, name].regularizer) is not None]


def _targets(program: Program, loss: Loss, layout: Layout, name: str, first: Length) -> Buffer:
    shape: tuple[int | Length, ...] = (first, *loss.target_shape(layout.output_shape))
    return program.buffer(name, shape, "i8" if loss.takes_integers else "real", role="input")


def _gather(program: Program, source: Buffer, index: Buffer, batch: Buffer) -> None:
    """Add the gathering of a batch: a row may have any shape where it is only moved."""
    kernel = "gather"
    if source.dtype == "i8":
        kernel = "gather_labels" if len(source.shape) == 1 else "gather_label_rows"
    if len(source.shape) > 1:
        source, batch = source.matrix(1), batch.matrix(1)
    program.call(kernel, source, index, layer="data", into={"y": batch})


def _weights(program: Program, layout: Layout, name: str, first: Length) -> Buffer:
    return program.buffer(name, (first, *layout.output_shape[:-1], 1), role="input")


def _data_loss(network: Network, layout: Layout, loss: Loss, metrics: Sequence[Metric] = ()) -> Callable[[], Buffer]:
    """Add metrics and the loss without penalties; return what adds dLoss/dy_pred."""
    program = network.program
    program.phase = "loss"
    network.y_true = network.y_true or _targets(program, loss, layout, "y_true", BATCH)
    # each position of a row is a row of its own
    y_pred = network.y_pred.matrix()
    y_true = network.y_true.reshaped(y_pred.shape[:1]) if loss.takes_integers else network.y_true.matrix()
    for metric in metrics:
        network.metrics.append((metric, *metric.emit(program, loss, y_pred, y_true)))
    weight = None if network.weight is None else network.weight.matrix()
    network.data_loss, backward = loss.emit(program, y_pred, y_true, weight)
    return lambda: backward().reshaped(network.y_pred.shape)


def _loss(
    network: Network, layers: Sequence[Layer], layout: Layout, loss: Loss, metrics: Sequence[Metric]
) -> Callable[[], Buffer]:
    program, names = network.program, [layer.name for layer in layers]
    backward = _data_loss(network, layout, loss, metrics)
    network.loss = network.data_loss
    for k, name, regularizer in _regularized(layout):
        network.loss = regularizer.emit(program, network.parameters[k][name], network.loss, names[k])
    network.loss.name, network.loss.role = "loss", "result"
    if network.data_loss is not network.loss:
        network.data_loss.name, network.data_loss.role = "data loss", "result"
    return backward


def _given(network: Network) -> Buffer:
    """Return dLoss/dy_pred where it is of somebody else's loss: an input."""
    return network.program.buffer("dy", network.y_pred.shape, role="input")


def _backward(
    network: Network, layers: Sequence[Layer], steps: Sequence[Backward], backward: Callable[[], Buffer], first: int
) -> Any:
    """Add the backward pass from what makes dLoss/dy_pred to layer `first`, by whose input nobody needs a gradient."""
    network.program.phase = "backward"
    dy: Any = backward()
    network.dy = dy
    for k in range(len(layers) - 1, -1, -1):
        network.gradients.append((layers[k], dy))
        dy = steps[k](dy, k > first)
        if dy is None:
            break
    return dy


def _shortened(network: Network, passes: Sequence[Pass], by_hand: bool = False) -> Network:
    """Return the network after the passes."""
    kept = {buffer.root for _, buffer in (*network.layers, *network.gradients)} if by_hand else set()
    for shorten in passes:
        shorten(network.program, kept)
    network.metrics = [(metric, [b.root for b in found], value) for metric, found, value in network.metrics]
    return network


def _spans(layers: Sequence[Layer], layout: Layout, chosen: Container[int]) -> list[Any]:
    """Return where parameters of some layers lie side by side that share a learning rate: begin, end, its factor."""
    spans: list[list[Any]] = []
    for k, _, shape, offset, _ in layout.entries:
        factor, end = layers[k].lr_factor, offset + prod(shape)
        if k in chosen:
            if spans and spans[-1][1:] == [offset, factor]:
                spans[-1][1] = end
            else:
                spans.append([offset, end, factor])
    return spans


def _parts(program: Program, arrays: Sequence[Buffer], n: int, start: int, end: int) -> list[Buffer]:
    """Return what lies from `start` to `end` in each of some flat arrays of n elements: themselves if that is all."""
    if end - start == n:
        return list(arrays)
    return [
        program.buffer(f"{array.name}[{start}:{end}]", (end - start,), role=array.role, parent=array, offset=start)
        for array in arrays
    ]


def _groups(
    network: Network, layers: Sequence[Layer], layout: Layout, trained: Container[int], arrays: Sequence[Buffer]
) -> list[Any]:
    """Return the parameters that share a learning rate and lie side by side: (their parts of `arrays`, the rate)."""
    program = network.program
    groups = []
    for start, end, factor in _spans(layers, layout, trained):
        parts = _parts(program, arrays, layout.n, start, end)
        lr = network.lr if factor == 1 else program.call("scale_rate", network.lr, layer="optimizer", factor=factor)
        groups.append((parts, lr))
    return groups


def compile_training(
    layers: Sequence[Layer],
    layout: Layout,
    loss: Loss | None,
    optimizer: Optimizer | None,
    metrics: Sequence[Metric],
    dtype: str,
    numerics: str = "numpy",
    stop_on_nan: bool = True,
    weighted: bool = False,
    trained: Container[int] | None = None,
    by_hand: bool = False,
    passes: Sequence[Pass] = PASSES,
    training: bool = True,
) -> Network:
    """Return the network of one train step: gather, forward, loss, backward, update.

    Parameters
    ----------
    layers : list of Layer
    layout : Layout
    loss : Loss or None
        Without one nothing is gathered, and the gradient of the output is an input.
    optimizer : Optimizer or None
        Without one there is no update.
    metrics : list of Metric
    dtype : {"float32", "float64"}
    numerics : {"numpy", "portable"}
    stop_on_nan : bool
        Whether a loss that is not finite stops the program before the update.
    weighted : bool
        Whether samples have weights.
    trained : container of int, optional
        The numbers of the layers whose parameters change; by default all.
    by_hand : bool
        Whether somebody looks at each layer's output and its gradient.
    passes : sequence of callable
        What shortens the program, in this order.
    training : bool
        Whether layers compute what they do in training, or in predictions.

    Returns
    -------
    Network
    """
    network = Network(dtype, numerics)
    program = network.program
    program.training = training
    trained = range(len(layers)) if trained is None else trained
    if loss is not None:
        _gather_all(network, layout, loss, weighted)
    program.phase = "forward"
    start = len(program.calls)
    dw, gradients = _views(program, layers, layout, "gradients", "gradient", trained)
    w, steps = _forward(network, layers, layout, gradients)
    backward = partial(_given, network) if loss is None else _loss(network, layers, layout, loss, metrics)
    if stop_on_nan and loss is not None:
        program.call("check_finite", network.loss, layer="loss")
    first = min((k for k, *_ in layout.entries if k in trained), default=0)
    _backward(network, layers, steps, backward, first)
    accumulated = _of_data(network, layout, optimizer, loss, trained, dw)
    for k, name, regularizer in _regularized(layout):
        if k in trained:
            regularizer.emit_gradient(program, network.parameters[k][name], gradients[k][name], layers[k].name)
    _keep_streams(network, start)
    program.phase = "update"
    for function in program.deferred:
        function()
    if optimizer is not None:
        _update(network, layers, layout, optimizer, trained, w, dw, gradients, accumulated)
    return _shortened(network, passes, by_hand)


def _gather_all(network: Network, layout: Layout, loss: Loss, weighted: bool) -> None:
    """Add the gathering of a batch of the data set."""
    program = network.program
    program.phase = "gather"
    network.x_source = program.buffer("x_source", (ROWS, *layout.input_shape), role="input")
    network.y_source = _targets(program, loss, layout, "y_source", ROWS)
    network.index = program.buffer("index", (BATCH,), "i8", role="input")
    network.x = program.buffer("x", (BATCH, *layout.input_shape), role="input")
    network.y_true = _targets(program, loss, layout, "y_true", BATCH)
    _gather(program, network.x_source, network.index, network.x)
    _gather(program, network.y_source, network.index, network.y_true)
    if weighted:
        network.weight_source = _weights(program, layout, "weight_source", ROWS)
        network.weight = _weights(program, layout, "sample_weight", BATCH)
        _gather(program, network.weight_source, network.index, network.weight)


class _Accumulated(NamedTuple):
    """What a batch adds to the gradients that an update waits for: the gradient of its data, and what it counts for.

    `mean` says whether the sum is divided by what all of them count for.
    """

    dw: Buffer
    rows: Buffer
    mean: bool


def _of_data(
    network: Network,
    layout: Layout,
    optimizer: Optimizer | None,
    loss: Loss | None,
    trained: Container[int],
    dw: Buffer,
) -> _Accumulated | None:
    """Add what accumulation needs of a batch, before penalties are added to its gradient; None where there is none."""
    if optimizer is None or optimizer.gradient_accumulation_steps == 1:
        return None
    program, of_sum = network.program, loss is not None and loss.reduction == "sum"

    def insert(phase: str, name: str, *inputs: Buffer, **options: Any) -> Buffer:
        program.phase = phase
        made: Buffer = program.call(name, *inputs, layer="optimizer", **options)
        program.phase, call = "backward", program.calls.pop()
        program.calls.insert(program.span(phase)[1], call)
        return made

    # of a gradient that is given by hand nothing but the batch is known
    counts = {"fixed": 1.0, "each": 0.0} if of_sum else {"each": float(layout.positions)}
    rows = insert("forward", "accumulate_rows", network.x.matrix(1), **counts)
    if loss is not None and loss.ignore_index is not None and not of_sum:
        labels = network.y_true.reshaped((prod(network.y_true.shape),))
        rows = insert("loss", "ignore_label_rows", labels, rows, ignored=float(loss.ignore_index))
    if any(k in trained for k, *_ in _regularized(layout)):
        dw = program.call("identity_forward", dw, layer="optimizer")
    return _Accumulated(dw, rows, not of_sum)


def _update(
    network: Network,
    layers: Sequence[Layer],
    layout: Layout,
    optimizer: Optimizer,
    trained: Container[int],
    w: Buffer,
    dw: Buffer,
    gradients: Views,
    accumulated: _Accumulated | None,
) -> None:
    """Add what changes the parameters."""
    program = network.program
    state = {
        name: program.buffer(name, shape, kind, role="state")
        for name, (shape, kind, _) in optimizer.whole_state(layout.n).items()
    }
    network.lr = program.buffer("lr", (1,), "f8", role="state")
    if not gradients:
        return
    views = [view for views in gradients.values() for view in views.values()]
    if accumulated is not None:
        dw = state["accumulated"]
        views = _accumulate(network, layers, layout, trained, accumulated, dw, state["accumulated_rows"])
    optimizer.emit_clipping(program, views, dw)
    slots = [state[name] for name in optimizer.slots]
    groups = _groups(network, layers, layout, trained, [w, dw, *slots])
    own = {name: state[name] for name in optimizer.state(layout.n)}
    optimizer.emit(program, [(*parts[:2], parts[2:], lr) for parts, lr in groups], own)
    for k, name, *_ in layout.entries:
        constraint = layout.specs[k, name].constraint
        if constraint is not None and k in trained:
            constraint.emit(program, network.parameters[k][name], layers[k].name)
    if optimizer.use_ema:
        others = [k for k in range(len(layers)) if k not in trained]
        spans: list[Any] = [
            (*_parts(program, [w, state["ema"]], layout.n, start, end), known)
            for chosen, known in ((trained, True), (others, False))
            for start, end, _ in _spans(layers, layout, chosen)
        ]
        optimizer.emit_averages(program, spans, state["ema_count"])
    if accumulated is not None:
        program.call("accumulate_restart", state["accumulated_rows"], layer="optimizer")


def _accumulate(
    network: Network,
    layers: Sequence[Layer],
    layout: Layout,
    trained: Container[int],
    batch: _Accumulated,
    total: Buffer,
    seen: Buffer,
) -> list[Buffer]:
    """Add a batch to the gradients that an update waits for, and begin that; return its gradient by parameter."""
    program = network.program
    program.call("accumulate_gradient", batch.dw, total, batch.rows, seen, layer="optimizer")
    program.call("accumulate_seen", batch.rows, seen, layer="optimizer")
    program.phase = "apply"
    if batch.mean:
        program.call("accumulate_mean", total, seen, layer="optimizer")
    views = {
        entry[:2]: program.buffer(
            f"{layers[entry.layer].name}.d{entry.name} accumulated",
            entry.shape,
            role="state",
            parent=total,
            offset=entry.offset,
        )
        for entry in layout.entries
        if entry.layer in trained
    }
    for k, name, regularizer in _regularized(layout):
        if k in trained:
            regularizer.emit_gradient(program, network.parameters[k][name], views[k, name], layers[k].name)
    return list(views.values())


def compile_pull(
    layers: Sequence[Layer],
    layout: Layout,
    loss: Loss | None,
    dtype: str,
    numerics: str = "numpy",
    weighted: bool = False,
    training: bool = False,
    passes: Sequence[Pass] = PASSES,
) -> Network:
    """Return the network that computes dLoss/dx of a batch and nothing else that lasts.

    Parameters
    ----------
    layers : list of Layer
    layout : Layout
    loss : Loss or None
        Without one the gradient of the output is an input.
    dtype : {"float32", "float64"}
    numerics : {"numpy", "portable"}
    weighted : bool
        Whether samples have weights.
    training : bool
        Whether layers compute what they do in training.
    passes : sequence of callable

    Returns
    -------
    Network
    """
    network = Network(dtype, numerics)
    program = network.program
    program.training = training
    _, steps = _forward(network, layers, layout, {})
    if weighted:
        network.weight = _weights(program, layout, "sample_weight", BATCH)
    backward = partial(_given, network) if loss is None else _data_loss(network, layout, loss)
    dx = _backward(network, layers, steps, backward, -1)
    if dx.role != "temporary" or dx.root.parent is not None:
        dx = program.call("identity_forward", dx, layer="input")
    network.dx = dx.reshaped(network.x.shape)
    network.dx.role = "result"
    if training:
        _keep_streams(network, 0)
    return _shortened(network, passes)


def compile_row_gradients(
    layers: Sequence[Layer],
    layout: Layout,
    loss: Loss,
    dtype: str,
    numerics: str = "numpy",
    passes: Sequence[Pass] = PASSES,
) -> Network:
    """Return the network that computes the gradient of the loss of one row, by the parameters of all layers."""
    network = Network(dtype, numerics)
    program = network.program
    # in memory of the program's own
    flat, gradients = _views(program, layers, layout, "gradient", "gradient", range(len(layers)))
    _, steps = _forward(network, layers, layout, gradients)
    first = min((k for k, *_ in layout.entries), default=0)
    _backward(network, layers, steps, _data_loss(network, layout, loss), first)
    network.row_gradient = program.call("identity_forward", flat, layer="row")
    network.row_gradient.role = "result"
    return _shortened(network, passes)


def compile_evaluation(
    layers: Sequence[Layer],
    layout: Layout,
    loss: Loss,
    metrics: Sequence[Metric],
    dtype: str,
    numerics: str = "numpy",
    weighted: bool = False,
    passes: Sequence[Pass] = PASSES,
) -> Network:
    """Return the network that computes loss and metrics of a batch."""
    network = Network(dtype, numerics)
    _forward(network, layers, layout, {})
    if weighted:
        network.weight = _weights(network.program, layout, "sample_weight", BATCH)
    _loss(network, layers, layout, loss, metrics)
    return _shortened(network, passes)


def compile_prediction(
    layers: Sequence[Layer], layout: Layout, dtype: str, numerics: str = "numpy", passes: Sequence[Pass] = PASSES
) -> Network:
    """Return the network that computes the output of a batch."""
    network = Network(dtype, numerics)
    _forward(network, layers, layout, {})
    network.y_pred.role = "result"
    return _shortened(network, passes)
