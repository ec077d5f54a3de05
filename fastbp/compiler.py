"""The compiler: layers, a loss and an optimizer become a program."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .program import BATCH, ROWS, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .layers import Layer
    from .losses import Loss
    from .metrics import Metric
    from .optimizers import Optimizer
    from .program import Buffer

    Backward = Callable[[Buffer, bool], Buffer | None]
    Views = dict[int, dict[str, Buffer]]

__all__ = ["Layout", "Network", "compile_evaluation", "compile_prediction", "compile_training"]


class Layout:
    """Where each parameter lies in the flat arrays.

    Parameters
    ----------
    layers : list of Layer
        Named and built in order; a layer without a name is given one.
    input_shape : tuple of int
        The shape of one row.

    Attributes
    ----------
    entries : list of (layer number, name, shape, offset, initializer)
        Offsets in elements.
    n : int
        The number of parameters.
    shapes : list of tuple
        The output shape of each layer.
    """

    def __init__(self, layers: Sequence[Layer], input_shape: tuple[int, ...]) -> None:
        self.input_shape, self.entries, self.shapes, self.n = tuple(input_shape), [], [], 0
        shape = self.input_shape
        for k, layer in enumerate(layers):
            specs, shape = layer.build(shape)
            self.shapes.append(shape)
            for spec in specs:
                self.entries.append((k, spec.name, spec.shape, self.n, spec.initializer))
                self.n += prod(spec.shape)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one row of the output."""
        return self.shapes[-1]


class Network:
    """A program and the buffers that a model binds or reads.

    Attributes
    ----------
    program : Program
    x, y_true, y_pred, loss : Buffer or None
    metrics : list of (Metric, list of Buffer, callable)
        As `Metric.emit` returns them.
    x_source, y_source, index : Buffer or None
        Where batches are gathered from.
    lr : Buffer or None
        The learning rate.
    layers : list of (Layer, Buffer)
        Each layer's output.
    gradients : list of (Layer, Buffer)
        dLoss/d that output, in the order of the backward pass.
    """

    def __init__(self, dtype: str, numerics: str) -> None:
        self.program = Program(dtype, numerics)
        # buffers, for those that the compile function needs
        self.x: Any = None
        self.y_true: Any = None
        self.y_pred: Any = None
        self.loss: Any = None
        self.x_source: Any = None
        self.y_source: Any = None
        self.index: Any = None
        self.lr: Any = None
        self.metrics: list[tuple[Metric, list[Buffer], Callable[..., Any]]] = []
        self.layers: list[tuple[Layer, Buffer]] = []
        self.gradients: list[tuple[Layer, Buffer]] = []


def _views(program: Program, layers: Sequence[Layer], layout: Layout, name: str, role: str) -> tuple[Buffer, Views]:
    """Add a flat buffer and its views; return it and the views by layer number."""
    flat = program.buffer(name, (layout.n,), role=role)
    views: Views = {}
    for k, parameter, shape, offset, _ in layout.entries:
        prefix = "" if role == "parameter" else "d"
        view = program.buffer(f"{layers[k].name}.{prefix}{parameter}", shape, role=role, parent=flat, offset=offset)
        views.setdefault(k, {})[parameter] = view
    return flat, views


def _forward(
    network: Network, layers: Sequence[Layer], layout: Layout, gradients: Views
) -> tuple[Buffer, list[Backward]]:
    program = network.program
    network.x = network.x or program.buffer("x", (BATCH, *layout.input_shape), role="input")
    flat, weights = _views(program, layers, layout, "parameters", "parameter")
    y, steps = network.x, []
    for k, layer in enumerate(layers):
        y, backward = layer.emit(program, y, weights.get(k, {}), gradients.get(k, {}))
        network.layers.append((layer, y))
        steps.append(backward)
    if y is network.x:
        y = program.call("identity_forward", y, layer="output")
    network.y_pred = y
    return flat, steps


def _targets(program: Program, loss: Loss, layout: Layout, name: str, first: str) -> Buffer:
    shape: tuple[int | str, ...] = (first,) if loss.targets == "labels" else (first, *layout.output_shape)
    return program.buffer(name, shape, "i8" if loss.targets == "labels" else "real", role="input")


def _loss(network: Network, layout: Layout, loss: Loss, metrics: Sequence[Metric]) -> Callable[[], Buffer]:
    program = network.program
    program.phase = "loss"
    network.y_true = network.y_true or _targets(program, loss, layout, "y_true", BATCH)
    for metric in metrics:
        network.metrics.append((metric, *metric.emit(program, loss, network.y_pred, network.y_true)))
    network.loss, backward = loss.emit(program, network.y_pred, network.y_true)
    return backward


def compile_training(
    layers: Sequence[Layer],
    layout: Layout,
    loss: Loss,
    optimizer: Optimizer,
    metrics: Sequence[Metric],
    dtype: str,
    numerics: str = "numpy",
    stop_on_nan: bool = True,
) -> Network:
    """Return the network of one train step: gather, forward, loss, backward, update.

    Parameters
    ----------
    layers : list of Layer
    layout : Layout
    loss : Loss
    optimizer : Optimizer
    metrics : list of Metric
    dtype : {"float32", "float64"}
    numerics : {"numpy", "portable"}
    stop_on_nan : bool
        Whether a loss that is not finite stops the program before the update.

    Returns
    -------
    Network
    """
    network = Network(dtype, numerics)
    program = network.program
    program.phase = "gather"
    network.x_source = program.buffer("x_source", (ROWS, *layout.input_shape), role="input")
    network.y_source = _targets(program, loss, layout, "y_source", ROWS)
    network.index = program.buffer("index", (BATCH,), "i8", role="input")
    network.x = program.buffer("x", (BATCH, *layout.input_shape), role="input")
    network.y_true = _targets(program, loss, layout, "y_true", BATCH)
    gather = "gather_labels" if loss.targets == "labels" else "gather"
    program.call("gather", network.x_source, network.index, layer="data", into={"y": network.x})
    program.call(gather, network.y_source, network.index, layer="data", into={"y": network.y_true})
    program.phase = "forward"
    dw, gradients = _views(program, layers, layout, "gradients", "gradient")
    w, steps = _forward(network, layers, layout, gradients)
    backward = _loss(network, layout, loss, metrics)
    if stop_on_nan:
        program.call("check_finite", network.loss, layer="loss")
    program.phase = "backward"
    dy: Any = backward()
    first = min((k for k, *_ in layout.entries), default=0)
    for k in range(len(layers) - 1, -1, -1):
        network.gradients.append((layers[k], dy))
        dy = steps[k](dy, k > first)
        if dy is None:
            break
    program.phase = "update"
    state = {
        name: program.buffer(name, shape, kind, role="state")
        for name, (shape, kind, _) in optimizer.state(layout.n).items()
    }
    network.lr = program.buffer("lr", (1,), "f8", role="state")
    if layout.n:
        optimizer.emit(program, w, dw, state, network.lr)
    return network


def compile_evaluation(
    layers: Sequence[Layer], layout: Layout, loss: Loss, metrics: Sequence[Metric], dtype: str, numerics: str = "numpy"
) -> Network:
    """Return the network that computes loss and metrics of a batch."""
    network = Network(dtype, numerics)
    _forward(network, layers, layout, {})
    _loss(network, layout, loss, metrics)
    return network


def compile_prediction(layers: Sequence[Layer], layout: Layout, dtype: str, numerics: str = "numpy") -> Network:
    """Return the network that computes the output of a batch."""
    network = Network(dtype, numerics)
    _forward(network, layers, layout, {})
    network.y_pred.role = "result"
    return network
