"""A model's memory, and its programs by purpose with the executors that run them.

Whatever is made here is made aside and put in place by one assignment: a model that could not get its memory, or was
interrupted on the way, is as it was.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from .backends import Port, Turn, aligned, aligned_copy, make_executor, refuse
from .compiler import (
    Home,
    compile_evaluation,
    compile_prediction,
    compile_pull,
    compile_row_gradients,
    compile_training,
)
from .data import Bounds, Given, bounds_of
from .kernels import choose_backend
from .kernels.arrays import dtype_of
from .kernels.pcg64 import WORDS, pcg64_state
from .layers import Layer
from .turns import add_values, put_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .backends import Executor
    from .compiler import Entry, Head, Layout, Network
    from .metrics import Metric
    from .optimizers import Optimizer
    from .program import Program
    from .turns import Turns

    #: What batches bring for each head, see `Given`; None are targets for all.
    Kind = tuple[int, ...] | None

__all__ = ["NO_STEPS", "PULLED_AFTER", "Engine", "Memory", "Setup", "Steps", "new_state"]

#: The arrays of a `Home`.
_FLAT = ("parameters", "statistics")
#: The purposes that several threads may have at a time.
_SHARED = ("evaluate", "predict", "pull", "input gradient", "row gradients")
#: The steps by hand, of layers that train and of layers that predict.
_BY_HAND = ("steps", "inference steps")
#: After which of the steps by hand a gradient of the output may be given.
PULLED_AFTER = ("forward", "loss", "backward")


class Setup:
    """What `Model.compile` decided; before that, and in a model that only predicts, there is no optimizer."""

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        heads: tuple[Head, ...] = (),
        backend: str | None = None,  # None is chosen when it is needed: the choice may warn
        dtype: str = "float32",
        numerics: str = "numpy",
        rows_per_sample: int = 1,  # how many rows in succession neither batches nor shuffling part
        logged: tuple[str, ...] = ("loss",),  # the keys of what training logs
    ) -> None:
        self.optimizer, self.heads, self.backend, self.dtype, self.numerics = optimizer, heads, backend, dtype, numerics
        self.rows_per_sample, self.logged = rows_per_sample, logged

    def but(self, **changed: Any) -> Setup:
        """Return another one that differs in some."""
        return Setup(**{**vars(self), **changed})

    @property
    def metrics(self) -> list[Metric]:
        """Those of all heads."""
        return [metric for head in self.heads for metric in head.metrics]


class Memory:
    """The flat arrays of a built model.

    Parameters
    ----------
    layout : Layout
    dtype : {"float32", "float64"}
    homes : list of Home, optional
        By default those of the layout.

    Attributes
    ----------
    arrays : dict of str to ndarray
        "parameters" and "statistics" of the layers' homes, those of a second one "parameters:1" and so on, "gradients",
        of the dtype, and "streams": the state of PCG64, six integers, for each layer that draws random numbers.
    homes : list of Home
    """

    def __init__(self, layout: Layout, dtype: str, homes: Sequence[Home | None] | None = None) -> None:
        self.layout, self.dtype = layout, dtype
        homes = layout.homes if homes is None else homes
        self.homes = [self._home() if home is None else home for home in homes] or [self._home()]
        self.arrays: dict[str, np.ndarray] = {}
        for k, home in enumerate(self.homes):
            self.arrays.update((name if k == 0 else f"{name}:{k}", array) for name, array in home.arrays.items())
        self.arrays["gradients"] = aligned(layout.n, dtype)
        self.arrays["streams"] = aligned(WORDS * len(layout.random), np.int64)

    def _home(self) -> Home:
        layout, places = self.layout, {}
        for entry in (*layout.entries, *layout.statistics):
            if layout.homes[entry.home] is None:
                places[layout.layers[entry.layer], entry.name] = entry.at, entry.shape
        arrays = {name: aligned(n, self.dtype) for name, n in zip(_FLAT, layout.own, strict=True)}
        return Home(arrays, places)

    def settle(self) -> list[tuple[Any, str, Any]]:
        """Return what to set (`put_attributes`) so that layers have their parameters here."""
        return [(layer, "home", home) for home in self.homes for layer, _ in home.places if layer.home is not home]

    def _of(self, name: str) -> list[tuple[Entry, np.ndarray]]:
        """Return parameters, or statistics, as views of their homes."""
        entries = self.layout.entries if name == "parameters" else self.layout.statistics
        return [(entry, self.homes[entry.home].arrays[name][entry.place].reshape(entry.shape)) for entry in entries]

    def draw(self, rng: np.random.Generator) -> None:
        """Set the initial values; what layers bring along, as copies do, takes the place of what is drawn for it."""
        for name in _FLAT:
            for entry, array in self._of(name):
                # what another model has built stays
                if self.layout.homes[entry.home] is None:
                    array[...] = entry.initializer(entry.shape, rng).reshape(entry.shape)
        self.arrays["streams"][...] = self.seeded(rng, own=True)
        self.take()

    def take(self) -> None:
        """Set what layers bring along, see `Layer.initial`."""
        pairs = []
        for entry, array in self.weights:
            layer = self.layout.layers[entry.layer]
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

    def seeded(self, rng: np.random.Generator, own: bool = False) -> np.ndarray:
        """Return the streams begun anew: those of layers without a seed, and with `own` the others."""
        streams, random, layers = self.arrays["streams"].copy(), self.layout.random, self.layout.layers
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
        arrays = [(w, goal) for (_, w), (_, goal) in zip(self.weights, other.weights, strict=True)]
        pairs = [(w, goal.astype(w.dtype, copy=False)) for w, goal in arrays if w.size]
        if tau == 1:
            put_values(pairs)
        else:
            add_values([(w, tau * (goal - w)) for w, goal in pairs])

    def converted(self, dtype: str, homes: dict[Home, Home]) -> Memory:
        """Return the same numbers in another dtype, without gradients.

        Parameters
        ----------
        dtype : {"float32", "float64"}
        homes : dict of Home to Home
            Those that are converted already; the others are added.
        """
        for home in self.homes:
            if home not in homes:
                arrays = {name: aligned_copy(array, dtype) for name, array in home.arrays.items()}
                homes[home] = Home(arrays, home.places)
        other = Memory(self.layout, dtype, [homes[home] for home in self.homes])
        other.arrays["streams"][...] = self.arrays["streams"]
        return other

    def views(self) -> list[dict[str, np.ndarray]]:
        """Return the arrays of each layer by name; those of gradients begin with a d."""
        views: list[dict[str, np.ndarray]] = [{} for _ in self.layout.layers]
        for name in _FLAT:
            for entry, array in self._of(name):
                views[entry.layer][entry.name] = array
        for entry in self.layout.entries:
            views[entry.layer][f"d{entry.name}"] = self.arrays["gradients"][entry.part].reshape(entry.shape)
        return views

    @property
    def weights(self) -> list[tuple[Entry, np.ndarray]]:
        """Parameters and statistics as views, layer by layer: Keras' order."""
        return sorted([*self._of("parameters"), *self._of("statistics")], key=lambda pair: pair[0].layer)

    def flat(self, name: str) -> np.ndarray:
        """Return a copy of the "parameters", or the "statistics", in the order of the layout."""
        parts = [array.reshape(-1) for _, array in self._of(name)]
        return np.concatenate(parts) if parts else np.empty(0, self.dtype)

    def put(self, name: str, flat: np.ndarray) -> None:
        """Set the "parameters", or the "statistics", in the order of the layout."""
        put_values([(array, flat[entry.part].reshape(entry.shape)) for entry, array in self._of(name)])

    def weights_with(self, parameters: np.ndarray) -> list[tuple[Entry, np.ndarray]]:
        """Return `weights` with other parameters than the model's: views of a flat array in the order of the layout."""
        found = [(entry, parameters[entry.part].reshape(entry.shape)) for entry in self.layout.entries]
        return sorted([*found, *self._of("statistics")], key=lambda pair: pair[0].layer)

    def arrays_with(self, parameters: np.ndarray) -> dict[str, np.ndarray]:
        """Return the arrays of parameters by name, with others in place of them, flat in the order of the layout."""
        (first, *others), entries = self.homes, self.layout.entries
        if not others and parameters.size == first.arrays["parameters"].size and all(e.at == e.offset for e in entries):
            return {"parameters": parameters}
        found = [home.arrays["parameters"].copy() for home in self.homes]
        for entry in entries:
            found[entry.home][entry.place] = parameters[entry.part]
        return {"parameters" if k == 0 else f"parameters:{k}": array for k, array in enumerate(found)}

    @property
    def saved(self) -> dict[str, np.ndarray]:
        """Copies of what a file holds of the layers: parameters, and where there are any, statistics and streams."""
        others = {"statistics": self.flat("statistics"), "streams": self.arrays["streams"].copy()}
        return {"parameters": self.flat("parameters"), **{name: a for name, a in others.items() if a.size}}

    def load(self, saved: Mapping[str, np.ndarray]) -> None:
        """Set what `saved` returned."""
        pairs = [
            (array, saved[name][entry.part].reshape(entry.shape)) for name in _FLAT for entry, array in self._of(name)
        ]
        if self.arrays["streams"].size:
            pairs.append((self.arrays["streams"], saved["streams"]))
        put_values(pairs)


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
        program, dys = network.program, {dy.root for dy in network.dys.values()}
        self.training = program.training
        self.spans = {phase: program.span(phase) for phase in ("forward", "loss", "backward")}
        self.spans["update"] = program.span("update", "apply")
        first, last = self.spans["backward"]
        made = [i for i in range(first, last) if any(b.root in dys for b in program.calls[i].writes)]
        self.spans["pull"] = (made[-1] + 1 if made else first), last
        # of a layer that is used several times, those of the last use
        self._buffers = {(layer, "y"): buffer for _, layer, buffer in network.layers}
        self._buffers.update({(layer, "dy"): buffer for _, layer, buffer in reversed(network.gradients)})

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

    def __init__(self, memory: Memory, setup: Setup, turns: Turns) -> None:
        self.memory, self.setup, self.turns = memory, setup, turns
        self.layout = memory.layout
        self.layers = tuple(self.layout.layers)
        self.step: Callable[..., float | None] = refuse
        self.fits: Callable[..., bool | None] = refuse
        self.least_rows = 1
        self.changed = True
        self._networks: dict[tuple[str, Kind, frozenset[int] | None, tuple[int, ...]], Network] = {}
        self._kept: dict[tuple[str, Kind], tuple[Network, Executor]] = {}
        self._octets: dict[tuple[str, Kind], tuple[int, ...]] = {}  # of those
        self._steps: dict[str, Steps] = {}
        # executors that nobody uses now, of the purposes that several threads may have at a time
        self.predictors: list[Executor] = []
        self.evaluators: list[Executor] = []
        self.pullers: list[Executor] = []
        self.differentiators: list[Executor] = []
        self._idle: dict[tuple[str, Kind, frozenset[int] | None], list[Executor]] = {
            ("predict", None, None): self.predictors,
            ("evaluate", None, None): self.evaluators,
            ("pull", None, None): self.pullers,
            ("input gradient", None, None): self.differentiators,
        }

    @property
    def backend(self) -> str:
        """Who runs the kernels; chosen now where nobody chose."""
        chosen = self.setup.backend
        if chosen is None:
            chosen = choose_backend(None)
            self.setup = self.setup.but(backend=chosen)
        return chosen

    @property
    def trained(self) -> frozenset[int]:
        """The numbers of the layers that are trained."""
        return frozenset(k for k in range(len(self.layers)) if not self.layout.graph.frozen(k))

    def _follow(self) -> None:
        """Let train steps be made anew: layers were frozen, or have other learning rates, since they were made."""
        self.changed = False  # first: what changes from here on is seen the next time
        self._networks = {key: network for key, network in self._networks.items() if key[0] in _SHARED}
        self._kept, self._octets = {}, {}
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
        kept = self._kept.get(("train", None))
        return None if kept is None or self.changed else kept[0].program

    @property
    def shared(self) -> dict[str, np.ndarray]:
        """The arrays that outlive a program, by the names of its buffers."""
        optimizer = self.setup.optimizer
        return {**self.memory.arrays, **({} if optimizer is None else optimizer.arrays)}

    def compile(
        self,
        purpose: str,
        given: Kind = None,
        trained: frozenset[int] | None = None,
        octets: tuple[int, ...] = (),
    ) -> Network:
        """Return a new network.

        Parameters
        ----------
        purpose : str
            "train" or "train on": a train step, the second one goes on where the loss is not finite. "steps": the same,
            with all intermediate arrays kept and without what only `fit` reports; "inference steps", of layers that
            predict. "evaluate", "predict". "pull" and "input gradient": dLoss/dx from dLoss/dy_pred, and from targets.
            "row gradients": by all parameters, of one row.
        given : tuple of int, optional
            What batches bring for each head; by default targets.
        trained : frozenset of int, optional
            Where dLoss/dx is to be that of a train step: the layers that are trained in it.
        octets : tuple of int
            Of a train step: the inputs that are gathered from uint8.
        """
        setup, layout = self.setup, self.layout
        if purpose == "predict":
            return compile_prediction(layout, setup.dtype, setup.numerics)
        if purpose == "evaluate":
            return compile_evaluation(layout, setup.heads, setup.dtype, setup.numerics, given)
        if purpose in ("pull", "input gradient"):
            heads, training = () if purpose == "pull" else setup.heads, trained is not None
            return compile_pull(layout, heads, setup.dtype, setup.numerics, given, training)
        if purpose == "row gradients":
            return compile_row_gradients(layout, setup.heads, setup.dtype, setup.numerics, given)
        scalars = [head.but(metrics=tuple(m for m in head.metrics if m.scalar)) for head in setup.heads]
        return compile_training(
            layout,
            scalars,
            setup.optimizer,
            setup.dtype,
            setup.numerics,
            purpose == "train",
            given,
            self.trained,
            by_hand=purpose in _BY_HAND,
            training=purpose != "inference steps",
            octets=octets,
        )

    def network(
        self,
        purpose: str,
        given: Kind = None,
        trained: frozenset[int] | None = None,
        octets: tuple[int, ...] = (),
    ) -> Network:
        """Return the network of a purpose, made the first time."""
        key = purpose, given, trained, octets
        if key not in self._networks:
            # of two threads at the same time the first one's counts
            self._networks.setdefault(key, self.compile(purpose, given, trained, octets))
        return self._networks[key]

    def executor(
        self, purpose: str, batch: int, given: Kind = None, octets: tuple[int, ...] | None = None
    ) -> tuple[Network, Executor]:
        """Return network and executor of a purpose that one call has alone, for batches of up to `batch` rows.

        Parameters
        ----------
        purpose : {"train", "train on", "steps", "inference steps"}
        batch : int
        given : tuple of int, optional
        octets : tuple of int, optional
            The inputs that are gathered from uint8; by default nothing is gathered.

        Returns
        -------
        Network, Executor
        """
        if self.changed:
            self._follow()
        key = purpose, given
        kept, known = self._kept.get(key), self._octets.get(key, ())
        octets = known if octets is None else octets
        if kept is None or kept[1].plan.batch < batch or known != octets:
            # as large as the one whose place it takes
            batch = batch if kept is None else max(batch, kept[1].plan.batch)
            network, optimizer = self.network(purpose, given, octets=octets), self.setup.optimizer
            counts = (None, None) if optimizer is None else (optimizer.counter, optimizer.accumulated)
            executor = make_executor(
                network.program, self.backend, self.shared, batch, purpose in _BY_HAND, counts[0], self.turns, counts[1]
            )
            network.program.executor = executor
            if key == ("train", None):
                self.open_step(network, executor)
            self._kept[key] = kept = network, executor
            self._octets[key] = octets
        if given is not None and Given.NOTHING in given:
            # those of what it leaves alone are not of this batch, and would count in their norm
            self.memory.arrays["gradients"][...] = 0
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
        given: Kind = None,
        trained: frozenset[int] | None = None,
        averages: np.ndarray | None = None,
    ) -> tuple[Network, Executor]:
        """Return network and executor of a purpose that several threads may have; the executor is to be given back.

        Parameters
        ----------
        purpose : {"evaluate", "predict", "pull", "input gradient", "row gradients"}
        batch : int
        given : tuple of int, optional
        trained : frozenset of int, optional
            As of `compile`.
        averages : ndarray, optional
            What takes the place of the parameters; it is the same in all calls of an engine that give it.

        Returns
        -------
        Network, Executor
        """
        network, key = self.network(purpose, given, trained), self._key(purpose, given, trained, averages)
        idle = self._idle.setdefault(key, [])
        try:
            executor = idle.pop()
        except IndexError:
            executor = None
        if executor is None or executor.plan.batch < batch:
            shared = self.shared if averages is None else {**self.shared, **self.memory.arrays_with(averages)}
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
        given: Kind = None,
        trained: frozenset[int] | None = None,
        averages: np.ndarray | None = None,
    ) -> None:
        """Take an executor back that was lent; one that is lost on the way is made anew when it is needed."""
        if averages is None or averages is executor.shared["parameters"]:
            # of several homes averages are copied
            self._idle[self._key(purpose, given, trained, averages)].append(executor)

    @staticmethod
    def _key(
        purpose: str, given: Kind, trained: frozenset[int] | None, averages: np.ndarray | None
    ) -> tuple[str, Kind, frozenset[int] | None]:
        """Return under what idle executors are kept."""
        return purpose if averages is None else f"{purpose} with averages", given, trained

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

    def ports(self, network: Network, copied: bool = False) -> tuple[list[Port], list[Port]] | None:
        """Return the ports of a network's inputs and targets, or None where single elements do not say what will do."""
        xs, ys = self._features(network, self._finite, copied), []
        if xs is None or not network.objectives:
            return None
        for objective in network.objectives:
            if not objective.targeted:
                return None
            loss, shape = objective.head.loss, self.layout.graph.results[objective.head.output].shape
            if loss.targets == "one_hot" or loss.rows_per_sample > 1:
                return None
            bounds = bounds_of(loss, shape[-1])
            ys.append(Port(objective.y_true, bounds if bounds or loss.takes_integers else self._finite, copied))
        return xs, ys

    @property
    def _finite(self) -> Bounds:
        most = float(np.finfo(self.setup.dtype).max)
        return Bounds(-most, most)

    def _features(self, network: Network, bounds: Bounds | None, copied: bool = False) -> list[Port] | None:
        """Return the ports of the inputs, or None where a layer has to look at them first."""
        graph = self.layout.graph
        for tensor, port in zip(graph.inputs, graph.ports, strict=True):
            waiting = [tensor]
            while waiting:
                for use in graph.consumers(waiting.pop()):
                    check = type(self.layers[use.layer]).check_data
                    if check is Layer.check_data:
                        if port.integers:
                            return None
                        continue
                    from .layers import Embedding, Flatten

                    # the kernels of an embedding refuse what it would: early enough where no step before is needed
                    if check is Flatten.check_data:
                        waiting += use.outputs
                    elif copied or check is not Embedding.check_data:
                        return None
        return [Port(x, bounds, copied) for x in network.inputs]

    def open_step(self, network: Network, executor: Executor, span: tuple[int, int] | None = None) -> None:
        """Let `step` run a train step's program, or only some calls of it."""
        self.step = self.fits = refuse
        ports = self.ports(network)
        if ports is not None:
            turn = Turn(self.turns, "train_on_batch", self, self.setup.optimizer, after=[(self.turns, "hand", "")])
            self.step, self.fits = executor.entry(turn, [*ports[0], *ports[1]], network.loss, span)

    def _open_steps(self, steps: Steps) -> None:
        """Let the steps by hand go straight to the runner."""
        network, executor, turns = steps.network, steps.executor, self.turns

        def entry(
            name: str,
            ports: list[Port],
            result: Any = None,
            more: Any = (),
            rows: bool = False,
            hand: str = "",
            **options: Any,
        ) -> None:
            turn = Turn(turns, hand or name, after=[(turns, "hand", hand or name), *more], **options)
            setattr(steps, name, executor.entry(turn, ports, result, steps.spans[name], rows)[0])

        xs, ports = self._features(network, None, copied=True), self.ports(network, copied=True)
        # of a layer that several models have, arrays are those of the one that computes: the long way tells it
        shared = any(sum(model.built for model in layer.owners) > 1 for layer in self.layers)
        if xs is not None and network.drawn is None and not shared:
            before, more = [(turns, "hand", "")], [(steps, "has_dy", False)]
            entry("forward", xs, network.outputs, more, rows=True, engine=self, before=before)
        if ports is not None:
            entry("loss", ports[1], network.loss, hands=("forward", "loss", "backward", "update"))
        more, dys = [(steps, "has_dy", True)], [Port(dy, copied=True) for dy in network.dys.values()]
        entry("backward", [], more=more, hands=("loss",))
        entry("pull", dys, more=more, hand="backward", hands=PULLED_AFTER)
        if self.setup.optimizer is not None:
            entry("update", [], optimizer=self.setup.optimizer, hands=("backward",))

    def _open_map(self, network: Network, executor: Executor) -> None:
        xs = self._features(network, None)
        if xs is not None:
            executor.quick = executor.entry(Turn(self.turns), xs, network.outputs, rows=True)[0]

    def _open_pull(self, network: Network, executor: Executor) -> None:
        ports = self.ports(network)
        if not network.objectives:
            xs = self._features(network, None)
            ports = None if xs is None else (xs, [Port(dy) for dy in network.dys.values()])
        dxs = [dx for dx in network.dxs if dx is not None]
        if ports is not None and len(dxs) == len(network.dxs):
            executor.quick = executor.entry(Turn(self.turns), [*ports[0], *ports[1]], dxs, rows=True)[0]

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
