"""A model's memory, and its programs by purpose with the executors that run them.

Whatever is made here is made aside and put in place by one assignment: a model that could not get its memory, or was
interrupted on the way, is as it was.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .backends import Port, Turn, aligned, aligned_copy, make_executor, refuse
from .compiler import (
    compile_evaluation,
    compile_prediction,
    compile_pull,
    compile_row_gradients,
    compile_training,
)
from .data import Bounds, bounds_of
from .kernels import choose_backend
from .kernels.arrays import dtype_of
from .kernels.pcg64 import WORDS, pcg64_state
from .layers import Embedding, Flatten, Layer
from .turns import add_values, put_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .backends import Executor
    from .compiler import Entry, Layout, Network
    from .losses import Loss
    from .metrics import Metric
    from .optimizers import Optimizer
    from .program import Buffer, Program
    from .turns import Turns

__all__ = ["NO_STEPS", "PULLED_AFTER", "Engine", "Memory", "Setup", "Steps", "new_state"]

#: The purposes that several threads may have at a time.
_SHARED = ("evaluate", "predict", "pull", "input gradient", "row gradients")
#: The steps by hand, of layers that train and of layers that predict.
_BY_HAND = ("steps", "inference steps")
#: After which of the steps by hand a gradient of the output may be given.
PULLED_AFTER = ("forward", "loss", "backward")


class Setup(NamedTuple):
    """What `Sequential.compile` decided; before that, and in a model that only predicts, there is no optimizer."""

    optimizer: Optimizer | None = None
    loss: Loss | None = None
    metrics: tuple[Metric, ...] = ()
    backend: str | None = None  # None is chosen when it is needed: the choice may warn
    dtype: str = "float32"
    numerics: str = "numpy"


class Memory:
    """The flat arrays of a built model.

    Parameters
    ----------
    layout : Layout
    dtype : {"float32", "float64"}

    Attributes
    ----------
    arrays : dict of str to ndarray
        "parameters", "gradients" and "statistics", of the dtype, and "streams": the state of PCG64, six integers, for
        each layer that draws random numbers.
    """

    def __init__(self, layout: Layout, dtype: str) -> None:
        self.layout, self.dtype = layout, dtype
        self.arrays = {
            "parameters": aligned(layout.n, dtype),
            "gradients": aligned(layout.n, dtype),
            "statistics": aligned(layout.n_statistics, dtype),
            "streams": aligned(WORDS * len(layout.random), np.int64),
        }

    def draw(self, layers: Sequence[Layer], rng: np.random.Generator) -> None:
        """Set the initial values; what layers bring along, as copies do, takes the place of what is drawn for it."""
        layout = self.layout
        for name, entries in (("parameters", layout.entries), ("statistics", layout.statistics)):
            for entry in entries:
                self.arrays[name][entry.part] = entry.initializer(entry.shape, rng).reshape(-1)
        self.arrays["streams"][...] = self.seeded(layers, rng, own=True)
        self.take(layers)

    def take(self, layers: Sequence[Layer]) -> None:
        """Set what layers bring along, see `Layer.initial`."""
        pairs = []
        for entry, array in self.weights:
            layer = layers[entry.layer]
            value = layer.initial.get(entry.name)
            if value is None:
                continue
            if value.shape != array.shape:
                raise ValueError(
                    f"layer {layer.name} is a copy whose {entry.name} has shape {value.shape}; here it would have "
                    f"{array.shape}. Make a new layer of that kind, or give the model rows of the same shape"
                )
            pairs.append((array, value.astype(self.dtype)))
        put_values(pairs)

    def seeded(self, layers: Sequence[Layer], rng: np.random.Generator, own: bool = False) -> np.ndarray:
        """Return the streams begun anew: those of layers without a seed, and with `own` the others."""
        streams, random = self.arrays["streams"].copy(), self.layout.random
        chosen = [i for i, k in enumerate(random) if own or layers[k].seed is None]
        if not chosen:
            return streams
        try:
            children = rng.spawn(len(chosen))
        except TypeError as error:  # one without a numpy.random.SeedSequence, such as a RandomState's
            why = f"seed is {rng!r}; for layers that draw random numbers it must be able to spawn others"
            raise TypeError(f"{why}, as numpy.random.default_rng(0) is") from error
        for i, child in zip(chosen, children, strict=True):
            seed = layers[random[i]].seed
            bits: Any = child.bit_generator.seed_seq if seed is None else seed
            # PCG64 whatever the caller's generator is: it is what the kernels know
            streams[WORDS * i : WORDS * (i + 1)] = pcg64_state(np.random.Generator(np.random.PCG64(bits)))
        return streams

    def move(self, other: Memory, tau: float) -> None:
        """Take a part of the way to another one of the same layout: all of it if `tau` is 1."""
        arrays = [(self.arrays[name], other.arrays[name]) for name in ("parameters", "statistics")]
        pairs = [(w, goal.astype(w.dtype, copy=False)) for w, goal in arrays if w.size]
        if tau == 1:
            put_values(pairs)
        else:
            add_values([(w, tau * (goal - w)) for w, goal in pairs])

    def converted(self, dtype: str) -> Memory:
        """Return the same numbers in another dtype, without gradients."""
        other = Memory(self.layout, dtype)
        for name in ("parameters", "statistics", "streams"):
            other.arrays[name][...] = self.arrays[name]
        return other

    def views(self, n_layers: int) -> list[dict[str, np.ndarray]]:
        """Return the arrays of each layer by name; those of gradients begin with a d."""
        views: list[dict[str, np.ndarray]] = [{} for _ in range(n_layers)]
        for prefix, name, entries in (
            ("", "parameters", self.layout.entries),
            ("d", "gradients", self.layout.entries),
            ("", "statistics", self.layout.statistics),
        ):
            for entry in entries:
                views[entry.layer][prefix + entry.name] = self.arrays[name][entry.part].reshape(entry.shape)
        return views

    @property
    def weights(self) -> list[tuple[Entry, np.ndarray]]:
        """Parameters and statistics as views, layer by layer: Keras' order."""
        return self.weights_with(self.arrays["parameters"])

    def weights_with(self, parameters: np.ndarray) -> list[tuple[Entry, np.ndarray]]:
        """Return `weights` with other parameters than the model's: views of a flat array."""
        found = [
            (entry, flat[entry.part].reshape(entry.shape))
            for flat, entries in (
                (parameters, self.layout.entries),
                (self.arrays["statistics"], self.layout.statistics),
            )
            for entry in entries
        ]
        return sorted(found, key=lambda pair: pair[0].layer)

    @property
    def saved(self) -> dict[str, np.ndarray]:
        """What a file holds of the layers: parameters, and where there are any, statistics and streams."""
        others = {name: self.arrays[name] for name in ("statistics", "streams")}
        return {"parameters": self.arrays["parameters"], **{name: a for name, a in others.items() if a.size}}


def new_state(optimizer: Optimizer, memory: Memory) -> dict[str, np.ndarray]:
    """Return the arrays of an optimizer's state with their initial values."""
    state = {}
    for name, (shape, kind, value) in optimizer.whole_state(memory.layout.n).items():
        state[name] = aligned(prod(shape), dtype_of(kind, np.dtype(memory.dtype))).reshape(shape)
        state[name][...] = value
    return state


class Steps:
    """The four steps by hand: the program that keeps all arrays, and what is asked of it at each step.

    Attributes
    ----------
    network, executor : Network, Executor
    spans : dict of str to (int, int)
        The calls of each step.
    forward, loss, backward, pull, update : callable
        What each step tries first: `Entry.run` of its calls. "pull" is the backward pass from a gradient of the output
        that is given.
    training : bool
        Whether layers compute what they do in training.
    has_dy : bool
        Whether `backward` has run since the last `forward`.
    """

    forward = loss = backward = pull = update = staticmethod(refuse)
    training = True

    def __init__(self, network: Network, executor: Executor) -> None:
        self.network, self.executor, self.has_dy = network, executor, False
        program, dy = network.program, network.dy.root
        self.training = program.training
        self.spans = {phase: program.span(phase) for phase in ("forward", "loss", "backward")}
        self.spans["update"] = program.span("update", "apply")
        first, last = self.spans["backward"]
        made = [i for i in range(first, last) if any(b.root is dy for b in program.calls[i].writes)]
        self.spans["pull"] = (made[-1] + 1 if made else first), last
        self._buffers = {(layer, "y"): buffer for layer, buffer in network.layers}
        self._buffers.update({(layer, "dy"): buffer for layer, buffer in network.gradients})

    def array(self, layer: Layer, name: str) -> np.ndarray | None:
        """Return the output of a layer, "y", or the gradient of that, "dy"; None before there is one."""
        buffer = self._buffers.get((layer, name)) if name == "y" or self.has_dy else None
        return None if buffer is None else self.executor.view(buffer)

    def run(self, phase: str, counted: bool = False) -> None:
        """Run the calls of a step on the batch that `forward` was given."""
        self.executor.run(self.spans[phase], self.executor.batch, counted)


#: Of a model that has made none.
NO_STEPS: Any = Steps.__new__(Steps)


class Engine:
    """The programs of a built model by purpose, with their executors: what a model asks to compute.

    A copy of a model, or of a part of it, makes programs of its own: all that it takes from here are `values`. They are
    read once for all parts that are copied, or pickled, together, and so are those of one moment.

    Parameters
    ----------
    layers : list of Layer
    memory : Memory
    setup : Setup
    turns : Turns
        Of the model.

    Attributes
    ----------
    step, fits : callable
        `Entry.run` and `Entry.fits` of the train step without weights, once that is made ready.
    least_rows : int
        Of a batch from which all layers learn.
    changed : bool
        Whether a layer was frozen or not, or has another learning rate, since the train steps were made.
    predictors, evaluators, pullers, differentiators : list of Executor
        Those of predictions, of evaluations without weights, of gradients of the input from one of the output, and from
        targets, that nobody uses now; see `ask`.
    """

    def __init__(self, layers: Sequence[Layer], memory: Memory, setup: Setup, turns: Turns) -> None:
        self.layers, self.memory, self.setup, self.turns = tuple(layers), memory, setup, turns
        self.layout = memory.layout
        self.step: Callable[..., float | None] = refuse
        self.fits: Callable[..., bool | None] = refuse
        self.least_rows = 1
        self.changed = True
        self._networks: dict[tuple[str, bool, frozenset[int] | None], Network] = {}
        self._kept: dict[tuple[str, bool], tuple[Network, Executor]] = {}
        self._steps: dict[str, Steps] = {}
        # executors that nobody uses now, of the purposes that several threads may have at a time
        self.predictors: list[Executor] = []
        self.evaluators: list[Executor] = []
        self.pullers: list[Executor] = []
        self.differentiators: list[Executor] = []
        self._idle: dict[tuple[str, bool, frozenset[int] | None], list[Executor]] = {
            ("predict", False, None): self.predictors,
            ("evaluate", False, None): self.evaluators,
            ("pull", False, None): self.pullers,
            ("input gradient", False, None): self.differentiators,
        }

    @property
    def backend(self) -> str:
        """Who runs the kernels; chosen now where nobody chose."""
        chosen = self.setup.backend
        if chosen is None:
            chosen = choose_backend(None)
            self.setup = self.setup._replace(backend=chosen)
        return chosen

    @property
    def trained(self) -> frozenset[int]:
        """The numbers of the layers that are trained."""
        return frozenset(k for k, layer in enumerate(self.layers) if layer.trainable)

    def _follow(self) -> None:
        """Let train steps be made anew: layers were frozen, or have other learning rates, since they were made."""
        self.changed = False  # first: what changes from here on is seen the next time
        self._networks = {key: network for key, network in self._networks.items() if key[0] in _SHARED}
        self._kept = {}
        # entries of what was made for other layers
        for steps in self._steps.values():
            steps.forward = refuse
        self.step, self._steps = refuse, {}
        self.memory.arrays["gradients"][...] = 0  # of a layer that is not trained any more they stay so
        optimizer = self.setup.optimizer
        if optimizer is not None and optimizer.accumulated is not None:
            for entry in self.layout.entries:
                if not self.layers[entry.layer].trainable:
                    optimizer.arrays["accumulated"][entry.part] = 0
        self.turns.hand = ""
        self.least_rows = max((layer.least_rows for layer in self.layers), default=1)

    @property
    def train_program(self) -> Program | None:
        """The train step, where it is made and what the layers say now."""
        kept = self._kept.get(("train", False))
        return None if kept is None or self.changed else kept[0].program

    @property
    def shared(self) -> dict[str, np.ndarray]:
        """The arrays that outlive a program, by the names of its buffers."""
        optimizer = self.setup.optimizer
        return {**self.memory.arrays, **({} if optimizer is None else optimizer.arrays)}

    def compile(self, purpose: str, weighted: bool = False, trained: frozenset[int] | None = None) -> Network:
        """Return a new network.

        Parameters
        ----------
        purpose : str
            "train" or "train on": a train step, the second one goes on where the loss is not finite. "steps": the same,
            with all intermediate arrays kept and without what only `fit` reports; "inference steps", of layers that
            predict. "evaluate", "predict". "pull" and "input gradient": dLoss/dx from dLoss/dy_pred, and from targets.
            "row gradients": by all parameters, of one row.
        weighted : bool
            Whether samples have weights.
        trained : frozenset of int, optional
            Where dLoss/dx is to be that of a train step: the layers that are trained in it.
        """
        setup: Any = self.setup
        if purpose == "predict":
            return compile_prediction(self.layers, self.layout, setup.dtype, setup.numerics)
        if purpose == "evaluate":
            return compile_evaluation(
                self.layers, self.layout, setup.loss, setup.metrics, setup.dtype, setup.numerics, weighted
            )
        if purpose in ("pull", "input gradient"):
            loss, training = None if purpose == "pull" else setup.loss, trained is not None
            return compile_pull(self.layers, self.layout, loss, setup.dtype, setup.numerics, weighted, training)
        if purpose == "row gradients":
            return compile_row_gradients(self.layers, self.layout, setup.loss, setup.dtype, setup.numerics)
        return compile_training(
            self.layers,
            self.layout,
            setup.loss,
            setup.optimizer,
            [metric for metric in setup.metrics if metric.scalar],
            setup.dtype,
            setup.numerics,
            purpose == "train",
            weighted,
            self.trained,
            by_hand=purpose in _BY_HAND,
            training=purpose != "inference steps",
        )

    def network(self, purpose: str, weighted: bool = False, trained: frozenset[int] | None = None) -> Network:
        """Return the network of a purpose, made the first time."""
        key = purpose, weighted, trained
        if key not in self._networks:
            # of two threads at the same time the first one's counts
            self._networks.setdefault(key, self.compile(purpose, weighted, trained))
        return self._networks[key]

    def executor(self, purpose: str, batch: int, weighted: bool = False) -> tuple[Network, Executor]:
        """Return network and executor of a purpose that one call has alone, for batches of up to `batch` rows.

        Parameters
        ----------
        purpose : {"train", "train on", "steps", "inference steps"}
        batch : int
        weighted : bool

        Returns
        -------
        Network, Executor
        """
        if self.changed:
            self._follow()
        key = purpose, weighted
        kept = self._kept.get(key)
        if kept is None or kept[1].plan.batch < batch:
            network, optimizer = self.network(purpose, weighted), self.setup.optimizer
            counts = (None, None) if optimizer is None else (optimizer.counter, optimizer.accumulated)
            executor = make_executor(
                network.program, self.backend, self.shared, batch, purpose in _BY_HAND, counts[0], self.turns, counts[1]
            )
            network.program.executor = executor
            if key == ("train", False):
                self.open_step(network, executor)
            self._kept[key] = kept = network, executor
        return kept

    def steps(self, batch: int, training: bool = True) -> Steps:
        """Return the four steps by hand, of layers that train or predict, for batches of up to `batch` rows."""
        purpose = "steps" if training else "inference steps"
        network, executor = self.executor(purpose, batch)
        steps = self._steps.get(purpose)
        if steps is None or steps.executor is not executor:
            steps = Steps(network, executor)
            self._open_steps(steps)
            self._steps[purpose] = steps
        return steps

    def lend(
        self,
        purpose: str,
        batch: int,
        weighted: bool = False,
        trained: frozenset[int] | None = None,
        averages: np.ndarray | None = None,
    ) -> tuple[Network, Executor]:
        """Return network and executor of a purpose that several threads may have; the executor is to be given back.

        Parameters
        ----------
        purpose : {"evaluate", "predict", "pull", "input gradient", "row gradients"}
        batch : int
        weighted : bool
        trained : frozenset of int, optional
            As of `compile`.
        averages : ndarray, optional
            What takes the place of the parameters; it is the same in all calls of an engine that give it.

        Returns
        -------
        Network, Executor
        """
        network, key = self.network(purpose, weighted, trained), self._key(purpose, weighted, trained, averages)
        idle = self._idle.setdefault(key, [])
        try:
            executor = idle.pop()
        except IndexError:
            executor = None
        if executor is None or executor.plan.batch < batch:
            shared = self.shared if averages is None else {**self.shared, "parameters": averages}
            executor = make_executor(network.program, self.backend, shared, batch)
            if idle is self.predictors:
                self._open_map(network, executor)
            elif idle is self.pullers or idle is self.differentiators:
                self._open_pull(network, executor)
        return network, executor

    def give_back(
        self,
        purpose: str,
        executor: Executor,
        weighted: bool = False,
        trained: frozenset[int] | None = None,
        averages: np.ndarray | None = None,
    ) -> None:
        """Take an executor back that was lent; one that is lost on the way is made anew when it is needed."""
        self._idle[self._key(purpose, weighted, trained, averages)].append(executor)

    @staticmethod
    def _key(
        purpose: str, weighted: bool, trained: frozenset[int] | None, averages: np.ndarray | None
    ) -> tuple[str, bool, frozenset[int] | None]:
        """Return under what idle executors are kept."""
        return purpose if averages is None else f"{purpose} with averages", weighted, trained

    def ask(self, idle: list[Executor], *arguments: Any) -> Any:
        """Return what an executor that nobody uses, of `predictors` and its like, makes of arguments; or None."""
        try:
            executor = idle.pop()
        except IndexError:
            return None  # all are in use, or there is none yet
        try:
            return executor.quick(*arguments)
        finally:
            idle.append(executor)

    def ports(self, network: Network, copied: bool = False) -> list[Port] | None:
        """Return the ports of a network's inputs and targets, or None where single elements do not say what will do."""
        loss, x = self.setup.loss, self._features(network, self._finite, copied)
        if x is None or loss is None or network.y_true is None or loss.targets == "one_hot" or loss.rows_per_sample > 1:
            return None
        bounds = bounds_of(loss, self.layout.output_shape[-1])
        return [x, Port(network.y_true, bounds if bounds or loss.takes_integers else self._finite, copied)]

    @property
    def _finite(self) -> Bounds:
        most = float(np.finfo(self.setup.dtype).max)
        return Bounds(-most, most)

    def _features(self, network: Network, bounds: Bounds | None, copied: bool = False) -> Port | None:
        """Return the port of the inputs, or None where a layer has to look at them first."""
        for layer in self.layers:
            check = type(layer).check_data
            # the kernels of an embedding refuse what it would: early enough where no step before is needed any more
            if check is Layer.check_data or (check is Embedding.check_data and not copied):
                break
            if check is not Flatten.check_data:
                return None
        return Port(network.x, bounds, copied)

    def open_step(self, network: Network, executor: Executor, span: tuple[int, int] | None = None) -> None:
        """Let `step` run a train step's program, or only some calls of it."""
        self.step = self.fits = refuse
        ports = self.ports(network)
        if ports is not None:
            turn = Turn(self.turns, "train_on_batch", self, self.setup.optimizer, after=[(self.turns, "hand", "")])
            self.step, self.fits = executor.entry(turn, ports, network.loss, span)

    def _open_steps(self, steps: Steps) -> None:
        """Let the steps by hand go straight to the runner."""
        network, executor, turns = steps.network, steps.executor, self.turns

        def entry(
            name: str,
            ports: list[Port],
            result: Buffer | None = None,
            more: Any = (),
            rows: bool = False,
            hand: str = "",
            **options: Any,
        ) -> None:
            turn = Turn(turns, hand or name, after=[(turns, "hand", hand or name), *more], **options)
            setattr(steps, name, executor.entry(turn, ports, result, steps.spans[name], rows)[0])

        x, ports = self._features(network, None, copied=True), self.ports(network, copied=True)
        if x is not None and network.drawn is None:
            before, more = [(turns, "hand", "")], [(steps, "has_dy", False)]
            entry("forward", [x], network.y_pred, more, rows=True, engine=self, before=before)
        if ports is not None:
            entry("loss", ports[1:], network.loss, hands=("forward", "loss", "backward", "update"))
        more, dy = [(steps, "has_dy", True)], Port(network.dy, copied=True)
        entry("backward", [], more=more, hands=("loss",))
        entry("pull", [dy], more=more, hand="backward", hands=PULLED_AFTER)
        if self.setup.optimizer is not None:
            entry("update", [], optimizer=self.setup.optimizer, hands=("backward",))

    def _open_map(self, network: Network, executor: Executor) -> None:
        x = self._features(network, None)
        if x is not None:
            executor.quick = executor.entry(Turn(self.turns), [x], network.y_pred, rows=True)[0]

    def _open_pull(self, network: Network, executor: Executor) -> None:
        ports = self.ports(network)
        if network.y_true is None:
            x = self._features(network, None)
            ports = None if x is None else [x, Port(network.dy)]
        if ports is not None:
            executor.quick = executor.entry(Turn(self.turns), ports, network.dx, rows=True)[0]

    def copy(self) -> dict[str, np.ndarray]:
        """Return copies of all that a train step reads and writes."""
        return {name: aligned_copy(array) for name, array in self.shared.items()}

    def values(self) -> dict[str, Any]:
        """Return copies of all that outlives programs: parameters and statistics by layer, streams, optimizer."""
        layers: list[dict[str, np.ndarray]] = [{} for _ in self.layers]
        for entry, array in self.memory.weights:
            layers[entry.layer][entry.name] = array.copy()
        optimizer = self.setup.optimizer
        state = {} if optimizer is None else optimizer.get_state()
        return {"layers": layers, "streams": self.memory.arrays["streams"].copy(), "optimizer": state}

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.turns.read("copy", self.values)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.turns.read("pickle", self.values),)

    def restore(self, copies: dict[str, np.ndarray]) -> None:
        """Set what `copy` returned."""
        put_values([(array, copies[name]) for name, array in self.shared.items()])
