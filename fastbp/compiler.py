"""The compiler: layers, a loss and an optimizer become a program."""

from __future__ import annotations

from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from .data import Given
from .kernels.pcg64 import WORDS
from .program import BATCH, ROWS, Program
from .program.passes import PASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence
    from typing import Any

    from .graph import Graph, Port, Use
    from .initializers import Initializer
    from .layers import Layer, ParameterSpec
    from .layers.base import Backward
    from .losses import JointLoss, Loss
    from .metrics import Metric
    from .optimizers import Optimizer
    from .program import Buffer, Length
    from .program.passes import Pass
    from .regularizers import Regularizer

    Views = dict[int, dict[str, Buffer]]

__all__ = [
    "Head", "Home", "Layout", "Network", "Objective", "compile_evaluation", "compile_prediction", "compile_pull",
    "compile_row_gradients",
    "compile_training",
]  # fmt: skip


class Home:
    """The memory of layers' parameters and statistics: all models that a layer is in have it there.

    Attributes
    ----------
    arrays : dict of str to ndarray
        "parameters" and "statistics", flat.
    places : dict of (Layer, str) to (int, tuple)
        Where each of them begins, by layer and name, and its shape.
    """

    def __init__(self, arrays: dict[str, Any], places: dict[tuple[Layer, str], tuple[int, tuple[int, ...]]]) -> None:
        self.arrays, self.places = arrays, places

    @property
    def dtype(self) -> str:
        """That of the numbers."""
        name: str = self.arrays["parameters"].dtype.name
        return name


class Entry:
    """A parameter or a statistic: of which layer, what it is called there, and where it lies in its flat array."""

    def __init__(
        self,
        layer: int,
        name: str,
        shape: tuple[int, ...],
        offset: int,
        initializer: Initializer,
        home: int,  # in which of the layout's homes it lies
        at: int,  # and where there
    ) -> None:
        self.layer, self.name, self.shape, self.offset, self.initializer = layer, name, shape, offset, initializer
        self.home, self.at = home, at

    @property
    def part(self) -> slice:
        """Its elements of the flat array."""
        return slice(self.offset, self.offset + prod(self.shape))

    @property
    def place(self) -> slice:
        """Its elements of its home's array."""
        return slice(self.at, self.at + prod(self.shape))


class Layout:
    """Where each parameter and each statistic lies in the flat arrays.

    Parameters
    ----------
    graph : Graph
        Of layers that have names.

    Attributes
    ----------
    graph : Graph
    layers : list of Layer
    names : list of str
        Of the layers, as the model has them.
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
    homes : list of Home or None
        Where parameters and statistics lie, see `Home`; None stands for one of the model's own.
    shapes : list of tuple
        The output shape of each layer, where it is used first.

    Raises
    ------
    ValueError
        If a layer that is used twice would have parameters of two shapes.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.layers, self.names = graph, graph.layers, graph.names
        self.specs: dict[tuple[int, str], ParameterSpec] = {}
        self.entries: list[Entry] = []
        self.statistics: list[Entry] = []
        self.n = self.n_statistics = 0
        self.random = [k for k, layer in enumerate(self.layers) if layer.random]
        self.homes: list[Home | None] = []
        own, own_statistics = [0], [0]  # how many elements there are of the model's own home
        first: dict[int, Any] = {}
        for use in graph.uses:
            k = use.layer
            given = [graph.shapes[tensor] for tensor in use.inputs]
            specs, _ = self.layers[k].build(given if use.many else given[0])  # type: ignore[arg-type]
            if k in first:
                self._agree(k, specs, given, first[k])
                continue
            first[k] = given
            for spec in specs:
                self.specs[k, spec.name] = spec
                if spec.trainable:
                    self.entries.append(self._entry(k, spec, self.n, own))
                    self.n += prod(spec.shape)
                else:
                    self.statistics.append(self._entry(k, spec, self.n_statistics, own_statistics))
                    self.n_statistics += prod(spec.shape)
        self.own = own[0], own_statistics[0]

    def _entry(self, k: int, spec: ParameterSpec, offset: int, own: list[int]) -> Entry:
        layer = self.layers[k]
        if layer.home not in self.homes:
            self.homes.append(layer.home)
        home = self.homes.index(layer.home)
        if layer.home is None:
            at = own[0]
            own[0] += prod(spec.shape)
        else:
            at, shape = layer.home.places[layer, spec.name]
            if shape != spec.shape:
                raise ValueError(
                    f"layer {layer.name} has {spec.name} of shape {shape}, in another model; here it would have "
                    f"{spec.shape}: give it rows of the same shape, or make another layer"
                )
        return Entry(k, spec.name, spec.shape, offset, spec.initializer, home, at)

    def _agree(self, k: int, specs: Sequence[ParameterSpec], given: Any, before: Any) -> None:
        for spec in specs:
            shape = self.specs[k, spec.name].shape
            if spec.shape != shape:
                one, other = (str(shapes[0] if len(shapes) == 1 else shapes) for shapes in (before, given))
                raise ValueError(
                    f"layer {self.names[k]} is used twice: for rows of shape {one} its {spec.name} has shape {shape}, "
                    f"for rows of shape {other} it would have {spec.shape}; they must be the same, or make two layers"
                )

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """The output shape of each layer, where it is used first."""
        found: dict[int, tuple[int, ...]] = {}
        for use in self.graph.uses:
            found.setdefault(use.layer, self.graph.shapes[use.outputs[0]])
        return [found[k] for k in range(len(self.layers))]

    def sizes(self, name: str) -> list[int]:
        """Return how many elements of "parameters" or "statistics" each home has."""
        own = self.own[name == "statistics"]
        return [own if home is None else home.arrays[name].size for home in self.homes]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row of the input, of several the first one's."""
        return self.graph.ports[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of one row of the output, of several the first one's."""
        return self.graph.results[0].shape

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


class Head:
    """A loss of a model: on which output, with what factor it counts in the sum, and what is measured beside it."""

    def __init__(
        self,
        output: int,
        loss: Loss,
        weight: float = 1.0,
        metrics: tuple[Metric, ...] = (),
        prefix: str = "",  # of what it has in the history
        joint: JointLoss | None = None,  # a loss of several outputs: `loss` then says what the target of this one is
        of: tuple[int, ...] = (),  # the outputs that it takes, in its order
    ) -> None:
        self.output, self.loss, self.weight, self.metrics = output, loss, weight, metrics
        self.prefix, self.joint, self.of = prefix, joint, of

    def but(self, **changed: Any) -> Head:
        """Return another one that differs in some."""
        return Head(**{**vars(self), **changed})

    def key(self, name: str) -> str:
        """Return the key of its loss, or of a metric, in the history."""
        return self.prefix + name


class Objective:
    """What a network has of a head.

    Attributes
    ----------
    number : int
        Of the head.
    head : Head
    y_true, weight : Buffer
        Targets, and the weights of the samples or None.
    y_source, weight_source : Buffer or None
        Where batches are gathered from.
    y_pred : Buffer
    positions : int
        How many rows of the last axis one row of that has.
    loss : Buffer
        Without penalties and without the head's factor.
    metrics : list of (Metric, list of Buffer, callable)
        As `Metric.emit` returns them.
    """

    def __init__(self, number: int, head: Head, given: int) -> None:
        self.number, self.head = number, head
        self.targeted, self.weighted = given != Given.NOTHING, given == Given.WEIGHTS
        # buffers, for those that the compile function needs
        self.y_true: Any = None
        self.weight: Any = None
        self.y_source: Any = None
        self.weight_source: Any = None
        self.y_pred: Any = None
        self.loss: Any = None
        self.positions = 1
        self.metrics: list[tuple[Metric, list[Buffer], Callable[..., Any]]] = []


class Penalty:
    """What is added to the loss for the values of a tensor: an `activity_regularizer`, or by `Model.add_loss`.

    `emit` adds the calls that add it to a loss; `emit_gradient` those that add its gradient to that of the tensor,
    which may be None.
    """

    def __init__(
        self,
        tensor: int,
        added: bool,
        emit: Callable[[Buffer | None], Buffer],
        emit_gradient: Callable[[Buffer | None], Buffer],
    ) -> None:
        self.tensor, self.added, self.emit, self.emit_gradient = tensor, added, emit, emit_gradient


class Network:
    """A program and the buffers that a model binds or reads.

    Attributes
    ----------
    program : Program
    inputs, sources : list of Buffer
        The inputs, and where batches of them are gathered from.
    outputs : list of Buffer
    objectives : list of Objective
        Of the heads that have targets.
    loss : Buffer or None
        The sum of all, with penalties.
    index : Buffer or None
        Which rows are gathered.
    lr : Buffer or None
        The learning rate.
    drawn : Buffer or None
        The streams of random numbers as the step leaves them.
    layers : list of (Use, Layer, Buffer)
        The output of each use of a layer.
    gradients : list of (Use, Layer, Buffer)
        dLoss/d that output, in the order of the backward pass.
    dys : dict of int to Buffer
        By output: dLoss/d of it, which is an input where there is no loss.
    dxs : list of Buffer or None
        dLoss/d the inputs.
    row_gradient : Buffer or None
        dLoss by all parameters, of a batch of one row.
    """

    def __init__(self, dtype: str, numerics: str) -> None:
        self.program = Program(dtype, numerics)
        self.inputs: list[Buffer] = []
        self.sources: list[Buffer] = []
        self.outputs: list[Buffer] = []
        self.objectives: list[Objective] = []
        self.parameters: Views = {}
        self.layers: list[tuple[Use, Layer, Buffer]] = []
        self.gradients: list[tuple[Use, Layer, Buffer]] = []
        self.dys: dict[int, Buffer] = {}
        self.dxs: list[Buffer | None] = []
        # buffers, for those that the compile function needs
        self.loss: Any = None
        self.penalized = False  # whether that is more than the sum of the objectives'
        self.penalties: list[Penalty] = []
        self.weighed: list[Buffer] = []  # the sums of weights that losses were divided by
        self.index: Any = None
        self.lr: Any = None
        self.drawn: Any = None
        self.row_gradient: Any = None


def _views(program: Program, layout: Layout, role: str) -> tuple[list[Buffer], Views]:
    """Add the parameters, or the statistics, and views of them; return the flat buffers and the views by layer."""
    entries, name = (layout.statistics, "statistics") if role == "state" else (layout.entries, "parameters")
    flats: list[Any] = [None] * len(layout.homes)
    for home, n in enumerate(layout.sizes(name)):
        if n or len(flats) == 1:
            flats[home] = program.buffer(name if home == 0 else f"{name}:{home}", (n,), role=role)
    views: Views = {}
    for entry in entries:
        k, parent = entry.layer, flats[entry.home]
        view = program.buffer(f"{layout.names[k]}.{entry.name}", entry.shape, role=role, parent=parent, offset=entry.at)
        views.setdefault(k, {})[entry.name] = view
    return flats, views


def _gradients(program: Program, layout: Layout, name: str, trained: Container[int]) -> tuple[Buffer, Views]:
    """Add the gradients, and views of those of the layers that are trained; return both."""
    flat = program.buffer(name, (layout.n,), role="gradient")
    views: Views = {}
    for entry in layout.entries:
        k, name = entry.layer, f"{layout.names[entry.layer]}.d{entry.name}"
        # the gradient of a layer that is not trained stays 0
        role = "gradient" if k in trained else "state"
        view = program.buffer(name, entry.shape, role=role, parent=flat, offset=entry.offset)
        if k in trained:
            views.setdefault(k, {})[entry.name] = view
    return flat, views


def _called(kind: str, name: str, ports: Sequence[Port]) -> str:
    """Return what a buffer of an input or output is called: where there are several, by its name."""
    return kind if len(ports) == 1 else f"{kind}.{name}"


def _forward(network: Network, layout: Layout, gradients: Views) -> tuple[list[Buffer], list[Backward]]:
    program, graph = network.program, layout.graph
    if not network.inputs:
        network.inputs = [
            program.buffer(_called("x", port.name, graph.ports), (BATCH, *port.shape), role="input")
            for port in graph.ports
        ]
    flats, network.parameters = _views(program, layout, "parameter")
    weights = {k: dict(network.parameters.get(k, {})) for k in range(len(layout.layers))}
    if layout.statistics:
        for k, views in _views(program, layout, "state")[1].items():
            weights[k].update(views)
    if layout.random and program.training:
        streams = program.buffer("streams", (WORDS * len(layout.random),), "i8", role="state")
        drawn = network.drawn = program.buffer("drawn", streams.shape, "i8", role="state")
        for i, k in enumerate(layout.random):
            name = f"{layout.names[k]}.generator"
            weights[k]["generator"] = program.buffer(name, (WORDS,), "i8", "state", parent=drawn, offset=WORDS * i)
    tensors: list[Any] = [*network.inputs]
    steps = []
    for use in graph.uses:
        layer = graph.layers[use.layer]
        xs = [tensors[tensor] for tensor in use.inputs]
        with program.renaming(layer.name, use.name):
            y, backward = layer.emit(
                program, xs if use.many else xs[0], weights[use.layer], gradients.get(use.layer, {})  # type: ignore[arg-type]
            )
        made: Any = y if use.several else [y]
        tensors += made
        network.layers.append((use, layer, tensors[-1]))
        steps.append(backward)
        regularizer = getattr(layer, "activity_regularizer", None)
        if regularizer is not None:
            first = use.outputs[0]
            network.penalties.append(_of_activity(program, regularizer, first, tensors[first], use.name))
    for tensor, factor in graph.extras:
        network.penalties.append(_of_tensor(program, tensor, tensors[tensor], factor))
    taken = {x.root for x in network.inputs}
    for tensor, port in zip(graph.outputs, graph.results, strict=True):
        y = tensors[tensor]
        if y.root in taken:
            y = program.call("identity_forward", y, layer=_called("output", port.name, graph.results))
        taken.add(y.root)
        network.outputs.append(y)
    return flats, steps


def _of_activity(program: Program, regularizer: Regularizer, tensor: int, y: Buffer, name: str) -> Penalty:
    return Penalty(
        tensor,
        False,
        lambda loss: regularizer.emit_activity(program, y, loss, name),  # type: ignore[arg-type]
        lambda dy: regularizer.emit_activity_gradient(program, y, dy, name),
    )


def _of_tensor(program: Program, tensor: int, y: Buffer, factor: float) -> Penalty:
    options: dict[str, Any] = {"layer": "added", "factor": factor}

    def emit(loss: Buffer | None) -> Buffer:
        own: Buffer = program.call("added_loss", y, **options)
        return own if loss is None else program.call("add", loss, own, layer="added")

    def emit_gradient(dy: Buffer | None) -> Buffer:
        own: Buffer = program.call("added_loss_gradient", y, **options)
        return own if dy is None else program.call("add", dy, own, layer="added").reshaped(y.shape)

    return Penalty(tensor, True, emit, emit_gradient)


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
    found = [(e.layer, e.name, layout.specs[e.layer, e.name].regularizer) for e in layout.entries]
    return [(k, name, regularizer) for k, name, regularizer in found if regularizer is not None]


def _count_rows(network: Network, layout: Layout) -> None:
    """Add what penalties by the row are divided by, where there are any: the rows, or the sum of their weights."""
    program = network.program
    if program.rows is not None or not any(regularizer.per_row for *_, regularizer in _regularized(layout)):
        return
    if network.weighed:
        program.rows = program.call("weighted_mean_rows", network.weighed[0], layer="loss")
    else:
        # in the phase forward: a gradient of the output may come from outside
        phase, program.phase = program.phase, "forward"
        program.rows = program.call("accumulate_rows", network.inputs[0].matrix(1), layer="loss", fixed=0.0, each=1.0)
        program.phase, call = phase, program.calls.pop()
        program.calls.insert(program.span("forward")[1], call)


def _shares(network: Network, loss: Loss, weight: Buffer) -> Buffer:
    """Return the weights of samples as a loss takes them, and note what they were divided by."""
    weight, total = loss.shares(network.program, weight.matrix())
    if total is not None:
        network.weighed.append(total)
    return weight


def _gather(program: Program, source: Buffer, index: Buffer, batch: Buffer) -> None:
    """Add the gathering of a batch: a row may have any shape where it is only moved."""
    kernel, more = "gather", []
    if source.dtype == "i8":
        kernel = "gather_labels" if len(source.shape) == 1 else "gather_label_rows"
    elif source.dtype == "u1":
        kernel, more = "gather_bytes", [program.constant(f"{batch.name}.like", np.zeros(()))]
    if len(source.shape) > 1:
        source, batch = source.matrix(1), batch.matrix(1)
    program.call(kernel, source, index, *more, layer="data", into={"y": batch})


def _objectives(network: Network, layout: Layout, heads: Sequence[Head], given: Sequence[int] | None) -> None:
    """Note which heads have targets, and which of these weights."""
    for k, head in enumerate(heads):
        what = Given.TARGETS if given is None else given[k]
        if what or head.joint is not None:
            network.objectives.append(Objective(k, head, what))


def _targets(network: Network, layout: Layout, objective: Objective, name: str, first: Length) -> Buffer:
    port = layout.graph.results[objective.head.output]
    loss = objective.head.loss
    return network.program.buffer(
        _called(name, port.name, layout.graph.results),
        (first, *loss.target_shape(port.shape)),
        "i8" if loss.takes_integers else "real",
        role="input",
    )


def _weights(network: Network, layout: Layout, objective: Objective, name: str, first: Length) -> Buffer:
    port = layout.graph.results[objective.head.output]
    name = _called(name, port.name, layout.graph.results)
    return network.program.buffer(name, (first, *port.shape[:-1], 1), role="input")


def _bound(network: Network, layout: Layout, objective: Objective, metrics: bool) -> tuple[Any, Any]:
    """Add targets, weights and metrics of an objective; return its outputs and targets as losses take them."""
    program, loss = network.program, objective.head.loss
    output = objective.y_pred = network.outputs[objective.head.output]
    objective.positions = prod(output.shape[1:-1])
    # each position of a row is a row of its own
    y_pred = output.matrix()
    if not objective.targeted:
        return y_pred, None
    objective.y_true = objective.y_true or _targets(network, layout, objective, "y_true", BATCH)
    if objective.weighted and objective.weight is None:
        objective.weight = _weights(network, layout, objective, "sample_weight", BATCH)
    y_true = objective.y_true.reshaped(y_pred.shape[:1]) if loss.takes_integers else objective.y_true.matrix()
    weight = None if objective.weight is None else objective.weight.matrix()
    for metric in objective.head.metrics if metrics else ():
        from .metrics import Weighted

        if isinstance(metric, Weighted) and weight is not None:
            emitted = metric.emit_weighted(program, loss, y_pred, y_true, weight)
        else:
            emitted = metric.emit(program, loss, y_pred, y_true)
        objective.metrics.append((metric, *emitted))
    return y_pred, y_true


def _joint_loss(network: Network, layout: Layout, metrics: bool) -> dict[int, Callable[[], Buffer]]:
    """Add a loss of several outputs; return by output what adds dLoss/d of it."""
    program = network.program
    program.phase = "loss"
    pairs = {objective.head.output: _bound(network, layout, objective, metrics) for objective in network.objectives}
    first = network.objectives[0]
    joint: Any = first.head.joint
    order, factor = first.head.of, first.head.weight
    weights = [objective.weight for objective in network.objectives if objective.weight is not None]
    weight = _shares(network, joint, weights[0]) if weights else None
    first.loss, backward = joint.emit(program, [pairs[k][0] for k in order], [pairs[k][1] for k in order], weight)
    made: dict[int, Buffer] = {}

    def gradient(output: int) -> Buffer:
        if not made:
            made.update(zip(order, backward(), strict=True))
        dy: Buffer = made[output].reshaped(network.outputs[output].shape)
        return dy if factor == 1 else program.call("scale_by", dy, layer="loss", factor=factor)

    return {output: partial(gradient, output) for output in order}


def _data_loss(network: Network, layout: Layout, objective: Objective, metrics: bool) -> Callable[[], Buffer]:
    """Add metrics and a loss without penalties; return what adds dLoss/dy_pred."""
    program, loss = network.program, objective.head.loss
    program.phase = "loss"
    output = network.outputs[objective.head.output]
    y_pred, y_true = _bound(network, layout, objective, metrics)
    weight = None if objective.weight is None else _shares(network, loss, objective.weight)
    objective.loss, backward = loss.emit(program, y_pred, y_true, weight)

    def gradient() -> Buffer:
        dy: Buffer = backward().reshaped(output.shape)
        if objective.head.weight != 1:
            dy = program.call("scale_by", dy, layer="loss", factor=objective.head.weight)
        return dy

    return gradient


def _losses(network: Network, layout: Layout, metrics: bool = True) -> dict[int, Callable[[], Buffer]]:
    """Add what the heads have; return by output what adds dLoss/d of it."""
    if network.objectives and network.objectives[0].head.joint is not None:
        return _joint_loss(network, layout, metrics)
    found: dict[int, Callable[[], Buffer]] = {}
    for objective in network.objectives:
        found[objective.head.output] = _data_loss(network, layout, objective, metrics)
    return found


def _total(network: Network, layout: Layout) -> None:
    """Add the sum of the losses, each times its factor, in the order of the outputs, and the penalties."""
    program = network.program
    total: Any = None
    for objective in network.objectives:
        factor = objective.head.weight
        if objective.loss is None:
            continue  # that of the first one is of all
        if total is None:
            total = objective.loss
            if factor != 1:
                total = program.call("scale_by", total, layer="loss", factor=factor)
        else:
            total = program.call("add_scaled", total, objective.loss, layer="loss", factor=factor)
    # those of tensors first: there may be no other loss
    for penalty in sorted(network.penalties, key=lambda penalty: total is None and not penalty.added):
        total = penalty.emit(total)
        network.penalized = True
    _count_rows(network, layout)
    for k, name, regularizer in _regularized(layout):
        total = regularizer.emit(program, network.parameters[k][name], total, layout.names[k])
        network.penalized = True
    network.loss = total
    total.name, total.role = "loss", "result"
    for objective in network.objectives:
        if objective.loss is not None and objective.loss is not total:
            port = layout.graph.results[objective.head.output]
            several = len(layout.graph.results) > 1
            objective.loss.name = f"{port.name} loss" if several else "data loss"
            objective.loss.role = "result"


def _given(network: Network, layout: Layout) -> dict[int, Callable[[], Buffer]]:
    """Return by output what makes dLoss/d of it where it is of somebody else's loss: an input."""

    def given(k: int) -> Callable[[], Buffer]:
        name = _called("dy", layout.graph.results[k].name, layout.graph.results)
        return lambda: network.program.buffer(name, network.outputs[k].shape, role="input")

    return {k: given(k) for k in range(len(network.outputs))}


def _penalized(layout: Layout) -> list[int]:
    """Return the numbers of the tensors with a `Penalty`."""
    graph = layout.graph
    active = [use for use in graph.uses if getattr(graph.layers[use.layer], "activity_regularizer", None) is not None]
    return [*[use.outputs[0] for use in active], *[tensor for tensor, _ in graph.extras]]


def _connected(layout: Layout, outputs: Iterable[int], penalties: bool = True) -> set[int]:
    """Return the numbers of the layers that outputs, and penalties, depend on, as far as gradients go."""
    graph = layout.graph
    more = _penalized(layout) if penalties else []
    uses = graph.leading([*[graph.outputs[output] for output in outputs], *more])
    return {graph.uses[k].layer for k in uses}


def _backward(
    network: Network,
    layout: Layout,
    steps: Sequence[Backward],
    gradients: dict[int, Callable[[], Buffer]],
    trained: Container[int],
    by_inputs: bool = False,
) -> None:
    """Add the backward pass, from what makes dLoss/d of the outputs to where nobody needs a gradient any more.

    What several uses contribute to the gradient of a tensor is added in reverse order of use: the losses count as the
    last ones, in the order of the outputs.

    Parameters
    ----------
    network : Network
    layout : Layout
    steps : list of callable
        What each use of a layer returned.
    gradients : dict of int to callable
        By output.
    trained : container of int
        The layers whose parameters need gradients; where none has parameters, all outputs do.
    by_inputs : bool
        Whether gradients by the inputs are needed, too, and so by the outputs of all layers.
    """
    program, graph = network.program, layout.graph
    program.phase = "backward"
    leads = graph.leading([*[graph.outputs[output] for output in gradients], *[p.tensor for p in network.penalties]])
    penalties: dict[int, list[Penalty]] = {}
    for penalty in network.penalties:
        penalties.setdefault(penalty.tensor, []).append(penalty)
    parameters = {entry.layer for entry in layout.entries if entry.layer in trained}
    anyway = by_inputs or not parameters
    # of which tensors a gradient is needed
    needed = {tensor for tensor, port in zip(graph.inputs, graph.ports, strict=True) if by_inputs and not port.integers}
    for use in graph.uses:
        trains = use.layer in parameters or not needed.isdisjoint(use.inputs)
        if (anyway or trains) and not graph.layers[use.layer].stops_gradient:
            needed.update(use.outputs)
    dys: dict[int, Buffer] = {}

    def add(tensor: int, dy: Buffer) -> None:
        before = dys.get(tensor)
        dys[tensor] = dy if before is None else program.call("add", before, dy, layer="backward").reshaped(dy.shape)

    for output in sorted(gradients, reverse=True):
        dy = network.dys[output] = gradients[output]()
        if graph.outputs[output] in needed:
            add(graph.outputs[output], dy)
    network.dys = dict(sorted(network.dys.items()))
    for k in range(len(graph.uses) - 1, -1, -1):
        use = graph.uses[k]
        layer = graph.layers[use.layer]
        own = [dys.pop(tensor, None) for tensor in use.outputs]
        for i, tensor in enumerate(use.outputs):
            for penalty in penalties.get(tensor, ()) if tensor in needed else ():
                own[i] = penalty.emit_gradient(own[i])
        there = [dy for dy in own if dy is not None]
        if k not in leads or not there:
            continue
        network.gradients.append((use, layer, there[0]))
        need = [tensor in needed for tensor in use.inputs]
        with program.renaming(layer.name, use.name):
            made: Any = steps[k](own if use.several else own[0], need if use.many else need[0])  # type: ignore[arg-type]
        # of a tensor that is there twice the last one comes first
        for tensor, dx in reversed([*zip(use.inputs, made if use.many else [made], strict=True)]):
            if dx is not None and tensor in needed:
                add(tensor, dx)
    network.dxs = [dys.get(tensor) for tensor in graph.inputs]


def _shortened(network: Network, passes: Sequence[Pass], by_hand: bool = False) -> Network:
    """Return the network after the passes."""
    kept = {buffer.root for *_, buffer in (*network.layers, *network.gradients)} if by_hand else set()
    for shorten in passes:
        shorten(network.program, kept)
    for objective in network.objectives:
        objective.metrics = [(metric, [b.root for b in found], value) for metric, found, value in objective.metrics]
    return network


def _spans(
    program: Program,
    layout: Layout,
    chosen: Container[int],
    w: Sequence[Buffer],
    arrays: Sequence[Buffer],
    dims: int = 0,
) -> list[tuple[list[Buffer], float]]:
    """Return the parameters of some layers that lie side by side and share a learning rate.

    Of each that has `dims` dimensions or more the parts of the parameters and of other flat arrays that are as long as
    all parameters of the model, and the factor of the learning rate.
    """
    spans: list[list[Any]] = []
    for entry in layout.entries:
        k, size = entry.layer, prod(entry.shape)
        if k not in chosen or len(entry.shape) < dims:
            continue
        # as long as both the parameters and the rest go on
        key = layout.graph.lr_factor(k), entry.home, entry.at - entry.offset
        if spans and spans[-1][1:] == [entry.offset, key]:
            spans[-1][1] += size
        else:
            spans.append([entry.offset, entry.offset + size, key])

    def part(array: Buffer, start: int, end: int) -> Buffer:
        if array.shape == (end - start,):
            return array
        name = f"{array.name}[{start}:{end}]"
        return program.buffer(name, (end - start,), role=array.role, parent=array, offset=start)

    return [
        ([part(w[home], start + away, end + away), *[part(array, start, end) for array in arrays]], factor)
        for start, end, (factor, home, away) in spans
    ]


def _groups(
    network: Network,
    layout: Layout,
    trained: Container[int],
    w: Sequence[Buffer],
    arrays: Sequence[Buffer],
    dims: int = 0,
) -> list[Any]:
    """Return the parameters that share a learning rate and lie side by side: (their parts of all arrays, the rate)."""
    program = network.program
    groups = []
    for parts, factor in _spans(program, layout, trained, w, arrays, dims):
        lr = network.lr if factor == 1 else program.call("scale_rate", network.lr, layer="optimizer", factor=factor)
        groups.append((parts, lr))
    return groups


def compile_training(
    layout: Layout,
    heads: Sequence[Head],
    optimizer: Optimizer | None,
    dtype: str,
    numerics: str = "numpy",
    stop_on_nan: bool = True,
    given: Sequence[int] | None = None,
    trained: Container[int] | None = None,
    by_hand: bool = False,
    metrics: bool = True,
    passes: Sequence[Pass] = PASSES,
    training: bool = True,
    octets: Container[int] = (),
) -> Network:
    """Return the network of one train step: gather, forward, loss, backward, update.

    Parameters
    ----------
    layout : Layout
    heads : list of Head
        Without any, and without losses of the graph, nothing is gathered, and the gradients of the outputs are inputs.
    optimizer : Optimizer or None
        Without one there is no update.
    dtype : {"float32", "float64"}
    numerics : {"numpy", "portable"}
    stop_on_nan : bool
        Whether a loss that is not finite stops the program before the update.
    given : list of int, optional
        What there is for each head, see `Given`; by default targets.
    trained : container of int, optional
        The numbers of the layers whose parameters change; by default all.
    by_hand : bool
        Whether somebody looks at each layer's output and its gradient.
    metrics : bool
        Whether the heads' metrics are computed.
    passes : sequence of callable
        What shortens the program, in this order.
    training : bool
        Whether layers compute what they do in training, or in predictions.
    octets : container of int
        The numbers of the inputs that are gathered from uint8.

    Returns
    -------
    Network
    """
    network = Network(dtype, numerics)
    program = network.program
    program.training = training
    _objectives(network, layout, heads, given)
    minimises = bool(heads) or bool(layout.graph.extras)
    if minimises:
        _gather_all(network, layout, octets)
    program.phase = "forward"
    start = len(program.calls)
    outputs = [objective.head.output for objective in network.objectives]
    if not minimises:
        outputs = [*range(len(layout.graph.outputs))]
    connected = _connected(layout, outputs)
    # what a batch without some targets leaves alone may have gradients of another one that wait for the update
    others = _connected(layout, [head.output for head in heads]) - connected
    waiting = {k for k in others if trained is None or k in trained}
    trained = {k for k in connected if trained is None or k in trained}
    dw, gradients = _gradients(program, layout, "gradients", trained)
    w, steps = _forward(network, layout, gradients)
    if minimises:
        sources = _losses(network, layout, metrics)
        _total(network, layout)
    else:
        sources = _given(network, layout)
    if stop_on_nan and minimises:
        program.call("check_finite", network.loss, layer="loss")
    _backward(network, layout, steps, sources, trained)
    accumulated = _of_data(network, layout, optimizer, heads, trained, dw)
    _count_rows(network, layout)
    for k, name, regularizer in _regularized(layout):
        if k in trained:
            regularizer.emit_gradient(program, network.parameters[k][name], gradients[k][name], layout.names[k])
    _keep_streams(network, start)
    program.phase = "update"
    for function in program.deferred:
        function()
    if optimizer is not None:
        _update(network, layout, optimizer, trained, waiting, w, dw, gradients, accumulated)
    return _shortened(network, passes, by_hand)


def _gather_all(network: Network, layout: Layout, octets: Container[int]) -> None:
    """Add the gathering of a batch of the data set."""
    program, ports = network.program, layout.graph.ports
    program.phase = "gather"
    for k, port in enumerate(ports):
        name, kind = _called("x_source", port.name, ports), "u1" if k in octets else "real"
        network.sources.append(program.buffer(name, (ROWS, *port.shape), kind, role="input"))
    targeted = [objective for objective in network.objectives if objective.targeted]
    for objective in targeted:
        objective.y_source = _targets(network, layout, objective, "y_source", ROWS)
    network.index = program.buffer("index", (BATCH,), "i8", role="input")
    for port in ports:
        network.inputs.append(program.buffer(_called("x", port.name, ports), (BATCH, *port.shape), role="input"))
    for objective in targeted:
        objective.y_true = _targets(network, layout, objective, "y_true", BATCH)
    for source, x in zip(network.sources, network.inputs, strict=True):
        _gather(program, source, network.index, x)
    for objective in targeted:
        _gather(program, objective.y_source, network.index, objective.y_true)
    for objective in network.objectives:
        if objective.weighted:
            objective.weight_source = _weights(network, layout, objective, "weight_source", ROWS)
            objective.weight = _weights(network, layout, objective, "sample_weight", BATCH)
            _gather(program, objective.weight_source, network.index, objective.weight)


class _Accumulated:
    """What a batch adds to the gradients that an update waits for: the gradient of its data, and what it counts for.

    `mean` says whether the sum is divided by what all of them count for.
    """

    def __init__(self, dw: Buffer, rows: Buffer, mean: bool) -> None:
        self.dw, self.rows, self.mean = dw, rows, mean


def _of_data(
    network: Network,
    layout: Layout,
    optimizer: Optimizer | None,
    heads: Sequence[Head],
    trained: Container[int],
    dw: Buffer,
) -> _Accumulated | None:
    """Add what accumulation needs of a batch, before penalties are added to its gradient; None where there is none."""
    if optimizer is None or optimizer.gradient_accumulation_steps == 1:
        return None
    program, losses = network.program, [head.loss for head in heads]
    of_sum = any(loss.reduction == "sum" for loss in losses)
    of_rows = all(loss.counts_all and loss.reduction != "mean_with_sample_weight" for loss in losses)
    alike = len({loss.reduction for loss in losses}) == 1 and of_rows
    what = ""
    if len(losses) > 1 and not alike:
        what = "of several losses all must be sums, or all means over all rows: without ignore_index and class_weight"
    elif not of_sum and any(loss.class_weight is not None for loss in losses):
        what = "a mean over the weights of classes is one of a batch: give fit(class_weight=...), or reduction='sum'"
    elif of_sum and any(regularizer.per_row for *_, regularizer in _regularized(layout)):
        what = "a penalty by the row goes with a loss that is a mean"
    if what:
        raise ValueError(f"gradient_accumulation_steps is {optimizer.gradient_accumulation_steps}; {what}")

    def insert(phase: str, name: str, *inputs: Buffer, **options: Any) -> Buffer:
        program.phase = phase
        made: Buffer = program.call(name, *inputs, layer="optimizer", **options)
        program.phase, call = "backward", program.calls.pop()
        program.calls.insert(program.span(phase)[1], call)
        return made

    # of a gradient that is given by hand nothing but the batch is known
    counts = {"fixed": 1.0, "each": 0.0} if of_sum else {"each": float(layout.positions)}
    rows = insert("forward", "accumulate_rows", network.inputs[0].matrix(1), **counts)
    if len(losses) == 1 and losses[0].ignore_index is not None and not of_sum:
        (objective,) = network.objectives
        labels = objective.y_true.reshaped((prod(objective.y_true.shape),))
        rows = insert("loss", "ignore_label_rows", labels, rows, ignored=float(losses[0].ignore_index))
    elif network.weighed:
        rows = insert("loss", "weighted_mean_rows", network.weighed[0])
    if any(k in trained for k, *_ in _regularized(layout)):
        dw = program.call("identity_forward", dw, layer="optimizer")
    return _Accumulated(dw, rows, not of_sum)


def _update(
    network: Network,
    layout: Layout,
    optimizer: Optimizer,
    trained: set[int],
    waiting: set[int],
    w: Sequence[Buffer],
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
        views = _accumulate(network, layout, trained, waiting, w, accumulated, dw, state["accumulated_rows"])
        trained = trained | waiting
    optimizer.emit_clipping(program, views, dw)
    if optimizer.decay_apart:
        decaying = _groups(network, layout, trained, w, [], dims=2)
        optimizer.emit_decay(program, [(part, lr) for (part,), lr in decaying])
    slots = [state[name] for name in optimizer.slots]
    groups = _groups(network, layout, trained, w, [dw, *slots])
    own = {name: state[name] for name in optimizer.state(layout.n)}
    optimizer.emit(program, [(*parts[:2], parts[2:], lr) for parts, lr in groups], own)
    for entry in layout.entries:
        k, name = entry.layer, entry.name
        constraint = layout.specs[k, name].constraint
        if constraint is not None and k in trained:
            constraint.emit(program, network.parameters[k][name], layout.names[k])
    if optimizer.use_ema:
        others = [k for k in range(len(layout.layers)) if k not in trained]
        spans: list[Any] = [
            (*parts, known)
            for chosen, known in ((trained, True), (others, False))
            for parts, _ in _spans(program, layout, chosen, w, [state["ema"]])
        ]
        optimizer.emit_averages(program, spans, state["ema_count"])
    if accumulated is not None:
        program.call("accumulate_restart", state["accumulated_rows"], layer="optimizer")


def _accumulate(
    network: Network,
    layout: Layout,
    trained: set[int],
    waiting: set[int],
    w: Sequence[Buffer],
    batch: _Accumulated,
    total: Buffer,
    seen: Buffer,
) -> list[Buffer]:
    """Add a batch to the gradients that an update waits for, and begin that; return its gradient by parameter."""
    program = network.program
    if not waiting:
        program.call("accumulate_gradient", batch.dw, total, batch.rows, seen, layer="optimizer")
    else:
        # their gradient is 0 here, whatever lies there of an earlier batch
        none = program.call("accumulate_rows", network.inputs[0].matrix(1), layer="optimizer", fixed=0.0, each=0.0)
        for chosen, rows in ((trained, batch.rows), (waiting, none)):
            for (_, part, sum_of_part), _ in _spans(program, layout, chosen, w, [batch.dw, total]):
                program.call("accumulate_gradient", part, sum_of_part, rows, seen, layer="optimizer")
        trained = trained | waiting
    program.call("accumulate_seen", batch.rows, seen, layer="optimizer")
    program.phase = "apply"
    if batch.mean:
        program.call("accumulate_mean", total, seen, layer="optimizer")
    views = {
        (entry.layer, entry.name): program.buffer(
            f"{layout.names[entry.layer]}.d{entry.name} accumulated",
            entry.shape,
            role="state",
            parent=total,
            offset=entry.offset,
        )
        for entry in layout.entries
        if entry.layer in trained
    }
    if program.rows is not None:
        program.rows = seen
    for k, name, regularizer in _regularized(layout):
        if k in trained:
            regularizer.emit_gradient(program, network.parameters[k][name], views[k, name], layout.names[k])
    return list(views.values())


def compile_pull(
    layout: Layout,
    heads: Sequence[Head],
    dtype: str,
    numerics: str = "numpy",
    given: Sequence[int] | None = None,
    training: bool = False,
    passes: Sequence[Pass] = PASSES,
) -> Network:
    """Return the network that computes dLoss/dx of a batch and nothing else that lasts.

    Parameters
    ----------
    layout : Layout
    heads : list of Head
        Without any the gradients of the outputs are inputs.
    dtype : {"float32", "float64"}
    numerics : {"numpy", "portable"}
    given : list of int, optional
        What there is for each head, see `Given`; by default targets.
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
    _, steps = _forward(network, layout, {})
    _objectives(network, layout, heads, given)
    sources = _losses(network, layout, metrics=False) if heads else _given(network, layout)
    if not heads:
        network.penalties = []
    _backward(network, layout, steps, sources, (), by_inputs=True)
    taken: set[Buffer] = set()
    for i, (x, dx) in enumerate(zip(network.inputs, network.dxs, strict=True)):
        if dx is None:
            continue
        if dx.role != "temporary" or dx.root.parent is not None or dx.root in taken:
            dx = program.call("identity_forward", dx, layer="input")
        taken.add(dx.root)
        dx = network.dxs[i] = dx.reshaped(x.shape)
        dx.role = "result"
    if training:
        _keep_streams(network, 0)
    return _shortened(network, passes)


def compile_row_gradients(
    layout: Layout,
    heads: Sequence[Head],
    dtype: str,
    numerics: str = "numpy",
    given: Sequence[int] | None = None,
    passes: Sequence[Pass] = PASSES,
) -> Network:
    """Return the network that computes the gradient of the loss of one row, by the parameters of all layers."""
    network = Network(dtype, numerics)
    program = network.program
    _objectives(network, layout, heads, given)
    connected = _connected(layout, [objective.head.output for objective in network.objectives], penalties=False)
    # in memory of the program's own
    flat, gradients = _gradients(program, layout, "gradient", connected)
    _, steps = _forward(network, layout, gradients)
    network.penalties = []
    _backward(network, layout, steps, _losses(network, layout, metrics=False), connected)
    network.row_gradient = program.call("identity_forward", flat, layer="row")
    network.row_gradient.role = "result"
    return _shortened(network, passes)


def compile_evaluation(
    layout: Layout,
    heads: Sequence[Head],
    dtype: str,
    numerics: str = "numpy",
    given: Sequence[int] | None = None,
    passes: Sequence[Pass] = PASSES,
) -> Network:
    """Return the network that computes loss and metrics of a batch."""
    network = Network(dtype, numerics)
    _forward(network, layout, {})
    _objectives(network, layout, heads, given)
    _losses(network, layout)
    _total(network, layout)
    return _shortened(network, passes)


def compile_prediction(
    layout: Layout, dtype: str, numerics: str = "numpy", passes: Sequence[Pass] = PASSES
) -> Network:
    """Return the network that computes the outputs of a batch."""
    network = Network(dtype, numerics)
    _forward(network, layout, {})
    for y in network.outputs:
        y.role = "result"
    return _shortened(network, passes)
