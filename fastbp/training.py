"""The loop of `fit`, what steps yield and what is made of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .backends import Turn, make_executor, refuse
from .checks import as_generator, as_list, check_kind, integer, number, source_of
from .data import Rows
from .feeds import Feed, is_feed, parts_of
from .kernels.caller import warn
from .kernels.operations import Status
from .program import CallError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Container, Iterator, Sequence
    from typing import Any, Protocol

    from numpy.typing import ArrayLike

    from .backends import Executor
    from .callbacks import Callback, History, Hooks
    from .checkpoint import Checkpoint
    from .compiler import Head, Network
    from .engine import Engine
    from .program import Buffer
    from .progress import Progress

    #: What a run advances along, an element or a row at a time.
    Cursors = dict[Buffer, np.ndarray]
    #: A batch that is to run: what runs it, the calls, what they read, how many rows it has and how many count.
    Batch = tuple[Network, Executor, tuple[int, int], Cursors, np.ndarray, tuple[np.ndarray, ...]]
    #: What the steps of an epoch yielded, as `logs_of` takes it: network, rows, results, counts and counting.
    Done = tuple[Network, int, Cursors, np.ndarray, tuple[np.ndarray, ...]]
    #: How many rows or positions of each step count, for each objective.
    Counting = tuple[np.ndarray, ...]

    class Trained(Protocol):
        """What the loop reads and sets of a model."""

        batch_losses: np.ndarray
        stop_training: bool


__all__ = [
    "BLOCK", "Job", "batch_logs", "evaluate", "explain", "feed_of", "inputs", "job_of", "logged_names", "results_of",
    "takes_feed",
    "train", "warn_of_few_rows",
]  # fmt: skip

_PARTS = 1 << 10  # runs whose arrays, of a few bytes each, become one: that takes less memory
BLOCK = 512  # rows that evaluate and predict take at a time: activations stay in cache (measured)


class Job:
    """What `fit` was asked for, checked."""

    data: Rows | Feed
    first: Rows  # the first batch of a feed; else all rows
    validation: Rows | Feed | None
    validates: Container[int]  # the epochs, counted from 1, after which the validation data are evaluated
    batch: int
    source: np.random.Generator | int  # what is drawn from, see `checks.source_of`
    shuffle: bool
    history: History
    hooks: list[Hooks]  # of all callbacks but the history, which comes last
    by_batches: bool  # whether one of them has a hook of batches
    params: dict[str, Any]  # of the callbacks
    purpose: str  # of the train step, as of `Engine.executor`
    first_epoch: int
    last_epoch: int
    checkpoint: Checkpoint | None

    def __init__(self, **asked: Any) -> None:
        vars(self).update(asked)


def job_of(
    model: Any,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    class_weight: Any,
    batch_size: int | None,
    epochs: int,
    initial_epoch: int,
    shuffle: bool,
    seed: Any,
    verbose: int | str,
    callbacks: Callback | Iterable[Callback] | None,
    stop_on_nan: bool,
    validation_data: tuple[ArrayLike, ...] | None,
    validation_split: float,
    validation_freq: int | Iterable[int],
    checkpoint: str | os.PathLike[str] | None,
    steps_per_epoch: int | None,
    validation_steps: int | None,
) -> Job:
    """Return what `Model.fit` is given, checked; the model, which is compiled, is as it was."""
    known = _callbacks()
    epochs = integer("epochs", epochs, 1)
    initial_epoch = integer("initial_epoch", initial_epoch, 0)
    if initial_epoch > epochs:
        raise ValueError(f"initial_epoch is {initial_epoch}; it must be at most epochs, {epochs}")
    if batch_size is not None:
        batch_size = integer("batch_size", batch_size, 1)
    if not hasattr(validation_freq, "__iter__"):
        every = integer("validation_freq", validation_freq, 1)
        validates: Container[int] = range(every, epochs + 1, every)
    else:
        validates = {integer("validation_freq", epoch, 1) for epoch in validation_freq}
    split = number("validation_split", validation_split, 0, 1)
    if split and validation_data is not None:
        raise ValueError(f"validation_split is {split} and there are validation_data; give one of them")
    source = source_of(seed)
    given = [callbacks] if isinstance(callbacks, (known.Callback, type)) else () if callbacks is None else callbacks
    given = as_list("callbacks", given, "fastbp.Callback objects")
    for callback in given:
        if not isinstance(callback, known.Callback):
            made = isinstance(callback, type) and issubclass(callback, known.Callback)
            hint = f": make one, {callback.__name__}(...)" if made else ""
            raise TypeError(f"callbacks holds {callback!r}; each must be a fastbp.Callback{hint}")
    history, hooks, by_batches, more = known.History(), [], False, False
    for callback in given + known.shown(verbose):
        hook = known.Hooks(callback)
        hooks.append(hook)
        by_batches |= bool(hook.batch)
        more |= hook.more
    data: Any
    validation: Any = None
    if takes_feed(x, y, sample_weight, "steps_per_epoch", steps_per_epoch):
        # last of all: an iterator does not get its first batch back
        refuse_beside_feed(class_weight, split, checkpoint)
        data = feed_of(model, "x", x, steps_per_epoch, epochs - initial_epoch, class_weight)
        first, rows, batch, steps = data.first, None, data.first.n, data.length
    else:
        first = data = model.prepare(x, y, sample_weight, None if split else class_weight, octets=True)
        per_sample = model.rows_per_sample
        if split:
            rows = int(data.n * (1 - split)) // per_sample * per_sample
            if not 0 < rows < data.n:
                raise ValueError(f"validation_split is {split}; of {data.n} rows that leaves {rows} to train on")
            validation, first = data.of(slice(rows, None)), data.of(slice(rows))
            if class_weight is not None:
                # of the rows that are trained on: they are what is balanced
                layout = model.layout_for([x.shape[1:] for x in first.x])
                weights = model.weights_of(sample_weight, class_weight, first.y, layout, rows=rows)
                first = first.with_weights(weights)
            data = first
        rows = data.n
        batch = rows if batch_size is None else min(batch_size, rows)
        steps = -(-rows // batch)
        if batch % per_sample:
            what = f"{model.loss_function!r} takes {per_sample} rows together"
            raise ValueError(f"batch_size is {batch_size}; {what}, so it must be a multiple of {per_sample}")
    if validation_data is not None:
        times = sum(epoch in validates for epoch in range(initial_epoch + 1, epochs + 1))
        validation = _validation(model, validation_data, validation_steps, times)
    logged = list(model.logged)
    params: dict[str, Any] = {
        "initial_epoch": initial_epoch,
        "epochs": epochs,
        "steps": steps,
        "rows": rows,
        "batch_size": None if rows is None else batch,
        "seed": source if isinstance(source, int) else None,
        "metrics": logged if validation is None else logged + [f"val_{name}" for name in logged],
        "more": more,
    }
    resumed = None
    if checkpoint is not None:
        from .checkpoint import Checkpoint

        layout = model.layout_for([x.shape[1:] for x in first.x])
        rng = as_generator("seed", source) if shuffle else None
        resumed = Checkpoint(checkpoint, model, layout, rng, [history, *given], params)
    return Job(
        data=data,
        first=first,
        validation=validation,
        validates=validates,
        batch=batch,
        source=source,
        shuffle=bool(shuffle),
        history=history,
        hooks=hooks,
        by_batches=by_batches,
        params=params,
        purpose="train" if stop_on_nan else "train on",
        first_epoch=initial_epoch,
        last_epoch=epochs,
        checkpoint=resumed,
    )


def takes_feed(x: Any, y: Any, sample_weight: Any, name: str, steps: int | None) -> bool:
    """Whether data are an iterable of batches; raise ValueError where other arguments do not go with what they are.

    Parameters
    ----------
    x, y, sample_weight : object
        As given.
    name : str
        What messages call `steps`.
    steps : int or None
        How many batches are taken.

    Returns
    -------
    bool
    """
    if is_feed(x, sequences=y is None):
        for other, value in (("y", y), ("sample_weight", sample_weight)):
            if value is not None:
                what = f"a {type(x).__name__}, which yields batches (x, y) or (x, y, sample_weight)"
                raise ValueError(f"{other} is given beside x, {what}")
        if steps is not None:
            integer(name, steps, 1)
        return True
    if steps is not None:
        raise ValueError(f"{name} is {steps!r}; it is for iterables of batches, and x is none")
    return False


def refuse_beside_feed(class_weight: Any, split: float, checkpoint: Any) -> None:
    """Raise ValueError for arguments of `fit` that need all rows, or the place in them."""
    if isinstance(class_weight, str):
        what = "which counts all rows, and x yields batches"
        raise ValueError(f"class_weight is {class_weight!r}, {what}; give a dict of weights")
    if split:
        raise ValueError(f"validation_split is {split} and x yields batches; give validation_data")
    if checkpoint is not None:
        what = "where an iterable stands cannot be stored"
        raise ValueError(f"checkpoint is {checkpoint!r} and x yields batches: {what}; ModelCheckpoint saves models")


def feed_of(model: Any, name: str, x: Any, steps: int | None = None, epochs: int = 1, class_weight: Any = None) -> Feed:
    """Return the batches (x, y) or (x, y, sample_weight) of an iterable, each made ready as it comes.

    Parameters
    ----------
    model : Sequential
    name : str
        What messages call the iterable.
    x : iterable
    steps, epochs : int
        As for `Feed`.
    class_weight : dict of int to float, optional

    Returns
    -------
    Feed
    """

    def make(item: Any) -> Rows:
        rows: Rows = model.prepare(*parts_of(item), class_weight)
        return rows

    return Feed(name, x, make, steps, epochs)


def _validation(model: Any, given: Any, steps: int | None, times: int) -> Rows | Feed:
    if is_feed(given):
        steps = None if steps is None else integer("validation_steps", steps, 1)
        return feed_of(model, "validation_data", given, steps, times)
    if steps is not None:
        raise ValueError(f"validation_steps is {steps!r}; it is for iterables of batches, and validation_data is none")
    check_kind("validation_data", given, (tuple, list), "(x, y) or (x, y, sample_weight)")
    if len(given) not in (2, 3):
        what = "it must be (x, y) or (x, y, sample_weight)"
        raise ValueError(f"validation_data has {len(given)} elements; {what}")
    names = [f"validation_data[{k}]" for k in range(3)]
    rows: Rows = model.prepare(*given[:2], given[2] if len(given) == 3 else None, names=names, octets=True)
    return rows


@cache
def draws() -> Any:
    """Return the module of random numbers, which needs numpy.random: imported where somebody draws, once."""
    from .kernels import draws

    return draws


@cache
def _callbacks() -> Any:
    """Return the module of callbacks, once: an import statement takes 3 us each time."""
    from . import callbacks

    return callbacks


@lru_cache(maxsize=64)
def counts_of(rows: int, batch: int) -> np.ndarray:
    """Return how many rows each batch has; nobody writes into it."""
    counts = np.full(-(-rows // batch), batch)
    counts[-1] = rows - batch * (len(counts) - 1)
    counts.flags.writeable = False
    return counts


def inputs(network: Network, data: Rows) -> Cursors:
    """Return the arrays of a batch, or of an epoch in its own order, by the buffers that read them."""
    found: Cursors = dict(zip(network.inputs, data.x, strict=True))
    for objective in network.objectives:
        if not objective.targeted:
            continue
        found[objective.y_true] = data.y[objective.number]  # type: ignore[assignment]
        if objective.weight is not None:
            found[objective.weight] = data.weight[objective.number]  # type: ignore[assignment]
    return found


def sources(network: Network, data: Rows, order: np.ndarray) -> Cursors:
    """Return the arrays that an epoch gathers its batches from, in another order, by the buffers that read them."""
    found: Cursors = dict(zip(network.sources, data.x, strict=True))
    for objective in network.objectives:
        if not objective.targeted:
            continue
        found[objective.y_source] = data.y[objective.number]  # type: ignore[assignment]
        if objective.weight_source is not None:
            found[objective.weight_source] = data.weight[objective.number]  # type: ignore[assignment]
    found[network.index] = order
    return found


def results_of(executor: Executor, rows: int, steps: int) -> Cursors:
    """Return room for what every step, or every row, yields."""
    return {
        b: np.empty(b.resolve(rows) if with_rows else (steps, *b.shape), dtype)
        for b, with_rows, dtype in executor.results
    }


def part(cursors: Cursors, first: int, last: int, start: int, stop: int) -> Cursors:
    """Return what steps `first` to `last` - 1 have of each cursor: an element a step, or what belongs to their rows."""
    found = {}
    for b, a in cursors.items():
        each = b.shape[0].per_row if b.with_rows else 0
        found[b] = a if b.of_data_set else a[each * start : each * stop] if each else a[first:last]
    return found


def which(order: np.ndarray | None, start: int, stop: int) -> Any:
    """Return which rows of the data are those from `start` to `stop` - 1 of an epoch, in its order or their own."""
    return slice(start, stop) if order is None else order[start:stop]


def counted(
    network: Network, data: Rows, counts: np.ndarray, order: np.ndarray | None, start: int, stop: int
) -> Counting:
    """Return how many positions of each step count in each objective's loss: of rows as for `which`."""
    return tuple([
        _counted(data.counting[objective.number], counts, order, start, stop) for objective in network.objectives
    ])


def _counted(
    counting: np.ndarray | None, counts: np.ndarray, order: np.ndarray | None, start: int, stop: int
) -> np.ndarray:
    if counting is None:
        return counts
    kind = np.int64 if counting.dtype == bool else np.float64
    sums = np.add.reduceat(counting[which(order, start, stop)], np.cumsum(counts) - counts, dtype=kind)
    return sums.reshape(len(counts), -1).sum(axis=1)


def _times(values: np.ndarray, counts: np.ndarray) -> float:
    """Return the sum of values, each times its count, in float64."""
    if len(values) == 1:
        # the same number, in less time than a step of a small net
        return 0.0 + values.item() * counts.item()
    return float(values.astype(np.float64).dot(counts))


def logged_names(heads: Sequence[Head]) -> tuple[str, ...]:
    """Return the keys of what training logs: the loss, those of several heads, and metrics that are numbers."""
    names = ["loss"]
    for head in heads:
        if len(heads) > 1 and head.joint is None:
            names.append(head.key("loss"))
        names += [head.key(metric.name) for metric in head.metrics if metric.scalar]
    return tuple(names)


def logs_of(
    engine: Engine, network: Network, rows: int, results: Cursors, counts: np.ndarray, counting: Counting
) -> dict[str, Any]:
    """Return losses and metrics of some steps.

    A step's loss is a sum over its rows, or the mean over those that count. What is returned is the sum, or the mean,
    over all of them, and so does not depend on how they fell into batches. Penalties are added once: their mean. The
    loss of several heads is the sum of theirs, each times its factor; without targets one is 0.

    Parameters
    ----------
    engine : Engine
    network : Network
    rows : int
        Of all steps.
    results : dict of Buffer to ndarray
        What each step yielded.
    counts : ndarray
        How many rows each step had.
    counting : tuple of ndarray
        How many of them, or of their positions, count, for each objective.

    Returns
    -------
    dict of str to float
        What metrics are may be arrays.
    """
    heads = engine.setup.heads
    several = len(heads) > 1 and heads[0].joint is None
    logs: dict[str, Any] = {"loss": 0.0}
    if several:
        logs.update((head.key("loss"), 0.0) for head in heads)
    total: Any = 0.0
    together: Any = 0.0
    for k, objective in enumerate(network.objectives):
        if objective.loss is None:
            continue
        head, data, counted_ones = objective.head, results[objective.loss], counting[k]
        if head.loss.averages:
            n = rows if counted_ones is counts else counted_ones.sum().item() or 1
            value = _times(data, counted_ones) / n
        else:
            value = float(data.astype(np.float64).sum())
        if several:
            logs[head.key("loss")] = value
        total = _plus(total, head.weight, value) if k else _plus(None, head.weight, value)
        if network.penalized:
            together = _plus(together if k else None, head.weight, data.astype(np.float64))
    if network.penalized:
        total += _times(results[network.loss] - together, counts) / rows
    logs["loss"] = total
    for objective in network.objectives:
        if objective.metrics:
            positions = objective.positions
            for metric, buffers, value_of in objective.metrics:
                name = objective.head.prefix + metric.name
                logs[name] = value_of(rows * positions, *[results[b] for b in buffers])
    return logs


def _plus(total: Any, weight: float, value: Any) -> Any:
    """Return a weighted sum with one value more."""
    own = value if weight == 1 else weight * value
    return own if total is None else total + own


def batch_logs(engine: Engine, network: Network, results: Cursors, data: Rows) -> dict[str, Any]:
    """Return loss and metrics of one train step on data."""
    rows = data.n
    counts = counts_of(rows, rows)
    return logs_of(engine, network, rows, results, counts, counted(network, data, counts, None, 0, rows))


class Yield:
    """What several runs yielded, put together."""

    def __init__(self) -> None:
        self._network: Network | None = None
        self._rows = self._whole = 0
        self._parts: list[tuple[Cursors, np.ndarray, Counting]] = []

    def add(self, network: Network, rows: int, results: Cursors, counts: np.ndarray, counting: Counting) -> None:
        """Note what a run yielded, as `logs_of` takes it."""
        # networks that are made one after another have the same results in the same order
        if self._network is not None and len(self._network.objectives) != len(network.objectives):
            raise ValueError("of one batch there are targets that another one lacks; all must have the same")
        if self._parts and len(self._parts[-1][0]) != len(results):
            raise ValueError("of one batch there are weights that another one lacks; weighted metrics need all of them")
        self._network = network
        self._rows += rows
        self._parts.append((results, counts, counting))
        if len(self._parts) - self._whole == _PARTS:
            self._parts[self._whole :] = [_joined(self._parts[self._whole :])]
            self._whole += 1

    def all(self) -> Done | None:
        """Return what all runs yielded; None if there was none, as of an iterable that ran out."""
        return None if self._network is None else (self._network, self._rows, *_joined(self._parts))


def _joined(parts: list[tuple[Cursors, np.ndarray, Counting]]) -> tuple[Cursors, np.ndarray, Counting]:
    if len(parts) == 1:
        return parts[0]
    found, counts, counting = zip(*parts, strict=True)
    values = zip(*(results.values() for results in found), strict=True)
    results = {b: np.concatenate(arrays) for b, arrays in zip(found[-1], values, strict=True)}
    rows = np.concatenate(counts)
    of_heads = [
        rows if all(a is b for a, b in zip(counts, ones, strict=True)) else np.concatenate(ones)
        for ones in zip(*counting, strict=True)
    ]
    return results, rows, tuple(of_heads)


def evaluate(
    engine: Engine,
    parts: Iterable[Rows],
    block: int,
    progress: Progress | None = None,
    averages: np.ndarray | None = None,
) -> dict[str, Any]:
    """Return loss and metrics of data that come in one or several parts, at most `block` rows at a time."""
    together, found = engine.setup.rows_per_sample, Yield()
    for data in parts:
        rows, given = data.n, data.given
        batch = min(max(block // together, 1) * together, rows)
        network, executor = engine.lend("evaluate", batch, given, averages=averages)
        if executor.quick is refuse and given is None and averages is None:
            executor.quick = quick_evaluation(engine, network, executor)
        results = results_of(executor, rows, -(-rows // batch))
        try:
            cursors = {**inputs(network, data), **results}
            pause = None if progress is None else progress.pause(rows, batch)
            executor.run_steps((0, len(network.program.calls)), rows, batch, cursors, pause)
        finally:
            engine.give_back("evaluate", executor, given, averages=averages)
        if progress is not None:
            progress.add(rows)
        counts = counts_of(rows, batch)
        found.add(network, rows, results, counts, counted(network, data, counts, None, 0, rows))
    done = found.all()
    return {} if done is None else logs_of(engine, *done)


def quick_evaluation(engine: Engine, network: Network, executor: Executor) -> Callable[..., dict[str, Any] | None]:
    """Return a function of inputs, targets and a block: loss and metrics where these are one block, or None."""
    ports = engine.ports(network)
    if ports is None or not all(head.loss.counts_all for head in engine.setup.heads):
        return refuse
    run = executor.entry(Turn(engine.turns), [*ports[0], *ports[1]], network.loss)[0]
    # results stay where the executor has memory for them
    own = {b: executor.own[b.number].reshape(-1, *b.shape[with_rows:]) for b, with_rows, _ in executor.results}
    by_rows = any(with_rows for _, with_rows, _ in executor.results)

    def quick(x: Any, *rest: Any) -> dict[str, Any] | None:
        if run(x, *rest) is None:
            return None
        rows = len(x)
        counts = counts_of(rows, rows)
        results = part(own, 0, 1, 0, rows) if by_rows else own
        return logs_of(engine, network, rows, results, counts, (counts,) * len(network.objectives))

    return quick


def warn_of_few_rows(engine: Engine, rows: int, batch: int) -> None:
    """Warn where a layer learns nothing from batches as small as these, or as the last one."""
    least = rows % batch or batch
    if least < engine.least_rows:
        which = "all batches have" if batch < engine.least_rows else "the last batch of an epoch has"
        names = ", ".join(layer.name for layer in engine.layers if layer.least_rows > least)
        what = f"{which} {least} row{'s' * (least > 1)}; {names} must have {engine.least_rows} to learn from"
        warn(f"{what}: choose another batch size")


def explain(engine: Engine, error: CallError, data: Rows, where: str) -> Exception:
    """Return the exception for a call that stopped: run the batch once more and look at every layer."""
    if error.status == Status.INDEX_ERROR:
        return IndexError(f"{error.call.kernel.name}: a label or row number is out of range ({where})")
    network, data = engine.compile("steps", data.given), data.as_reals(engine.setup.dtype)
    executor = make_executor(network.program, engine.backend, engine.copy(), data.n, keep=True)
    for buffer, array in inputs(network, data).items():
        executor.bind(buffer, array)
    executor.run(network.program.span("forward", "loss"), data.n)
    value = float(executor.view(network.loss))
    names = engine.layout.names
    named = [(f"{names[entry.layer]}.{entry.name}", array) for entry, array in engine.memory.weights]
    spoilt = next((name for name, array in named if not np.isfinite(array).all()), None)
    dead = next((use.name for use, _, buffer in network.layers if not np.isfinite(executor.view(buffer)).all()), None)
    if spoilt is not None:
        culprit = f"{spoilt} holds values that are not finite, and did so before that batch; set_weights mends it. "
    else:
        culprit = f"layer {dead} is the first whose output is not finite"
        if dead is None:
            overflow = "every layer's output is finite, the loss itself overflowed"
            complaints = [o.head.loss.complain(executor.view(o.y_pred)) for o in network.objectives]
            culprit = next(filter(None, complaints), overflow)
        culprit += ". The parameters are as they were before that batch. "
    return FloatingPointError(
        f"the loss is {value} in {where}: {culprit}"
        "A smaller learning rate, scaled inputs or dtype='float64' usually help; stop_on_nan=False goes on"
    )


def train(model: Trained, engine: Engine, job: Job, begun: Callable[[], Any]) -> None:
    """Run the epochs of a `fit` between its callbacks' beginnings and ends.

    Every callback that has begun comes to its end, whatever the others do; the first error is the one that comes out.

    Parameters
    ----------
    model : Trained
        A `Sequential`.
    engine : Engine
    job : Job
    begun : callable
        Called without arguments when nothing can be refused any more, before the first epoch.
    """
    # before anybody is told that training begins: there may be no memory for it
    _, executor = engine.executor(job.purpose, job.batch, job.first.given, job.first.octets)
    warn_of_few_rows(engine, job.first.n, job.batch)
    errors: list[BaseException] = []
    losses: list[np.ndarray] = []
    started = []
    try:
        for hook in job.hooks:
            hook.on_train_begin({})
            started.append(hook)
        if job.checkpoint is not None:
            job.checkpoint.begin()
        begun()
        model.batch_losses, engine.turns.hand = np.empty(0, executor.real), ""
        _epochs(model, engine, job, losses)
    except BaseException as error:
        errors.append(error)
    if losses:
        model.batch_losses = losses[0] if len(losses) == 1 else np.concatenate(losses)
    for hook in started:
        try:
            hook.on_train_end({})
        except BaseException as error:
            errors.append(error)
    if errors:
        try:
            raise errors[0]
        finally:
            del errors  # it holds this frame, by way of the traceback


class _Rows:
    """The batches of an epoch of rows, which are read where they lie or gathered in another order."""

    def __init__(self, engine: Engine, job: Job, order: np.ndarray | None) -> None:
        if order is None and job.first.octets:
            order = np.arange(job.first.n)  # only what is gathered may be uint8
        self.data, self.batch, self.order = job.first, job.batch, order
        self.counts = counts_of(self.data.n, job.batch)
        # as the layers want it now
        self.network, self.executor = engine.executor(job.purpose, job.batch, self.data.given, self.data.octets)
        self.cursors = inputs(self.network, self.data) if order is None else sources(self.network, self.data, order)
        self.span = (self.executor.start if order is None else 0, len(self.network.program.calls))

    def __iter__(self) -> Iterator[Batch]:
        row = 0
        for k, count in enumerate(self.counts.tolist()):
            cursors = part(self.cursors, k, k + 1, row, row + count)
            counts = self.counts[k : k + 1]
            counting = counted(self.network, self.data, counts, self.order, row, row + count)
            yield self.network, self.executor, self.span, cursors, counts, counting
            row += count

    def of_step(self, step: int) -> Rows:
        """Return the rows of a batch."""
        return self.data.of(which(self.order, step * self.batch, (step + 1) * self.batch))


class _Fed:
    """The batches of an epoch that a feed yields."""

    def __init__(self, engine: Engine, job: Job) -> None:
        self.engine, self.job = engine, job

    def __iter__(self) -> Iterator[Batch]:
        feed: Any = self.job.data
        for data in feed.epoch():
            self.data, rows = data, data.n
            network, executor = self.engine.executor(self.job.purpose, rows, data.given)
            span, counts = (executor.start, len(network.program.calls)), counts_of(rows, rows)
            counting = counted(network, data, counts, None, 0, rows)
            yield network, executor, span, inputs(network, data), counts, counting

    def of_step(self, step: int) -> Rows:
        """Return the rows of the last batch."""
        return self.data


def _epochs(model: Trained, engine: Engine, job: Job, losses: list[np.ndarray]) -> None:
    setup: Any = engine.setup
    history, checkpoint, together = job.history, job.checkpoint, setup.rows_per_sample
    permutation, order, feed = None, None, job.data if isinstance(job.data, Feed) else None
    if job.shuffle and feed is None:
        # a checkpoint goes on with the generator that it stores
        permutation = draws().permuting(job.source if checkpoint is None else checkpoint.rng, setup.numerics)
    first_lr, first, stopped = setup.optimizer.lr, job.first_epoch, False
    if checkpoint is not None:
        first_lr, first, stopped = checkpoint.first_lr, checkpoint.done, checkpoint.stopped
    model.stop_training = stopped
    # a run that was stopped is finished
    for epoch in range(first, first if stopped else job.last_epoch):
        for hook in job.hooks:
            hook.on_epoch_begin(epoch, {})
        if permutation is not None:
            order = permutation(job.first.n // together)
            if together > 1:
                order = (together * order[:, None] + np.arange(together)).reshape(-1)
        batches = _Rows(engine, job, order) if feed is None else _Fed(engine, job)
        try:
            if isinstance(batches, _Rows) and not job.by_batches:
                done, lr = at_once(engine, job, epoch, batches)
            else:
                done, lr = one_by_one(model, engine, job, epoch, batches)
        except CallError as error:
            spoilt = batches.of_step(error.step)
            raise explain(engine, error, spoilt, f"epoch {epoch + 1}, batch {error.step + 1}") from None
        if done is None:
            break
        network, _, results, counts, _ = done
        if feed is not None:
            model.stop_training |= feed.ran_out
            for hook in job.hooks:
                # where nobody said how many there are, it is known now
                hook.on_progress(epoch, len(counts))
        losses.append(results[network.loss])
        logs = logs_of(engine, *done)
        if job.validation is not None and epoch + 1 in job.validates:
            logs.update(_validate(engine, job))
        if setup.optimizer.schedule is not None or lr != first_lr or "lr" in history.history:
            logs["lr"] = lr
            if history.epoch and "lr" not in history.history:
                # the first change: earlier epochs used the initial rate
                history.history["lr"] = [first_lr] * len(history.epoch)
        kept = dict(logs)
        try:
            for hook in job.hooks:
                hook.on_epoch_end(epoch, logs)
                if hook.more:
                    # what a hook takes out stays in the history
                    kept |= _callbacks().take_in(logs, f"{type(hook.callback).__name__}.on_epoch_end")
        finally:
            history.on_epoch_end(epoch, kept)
        if checkpoint is not None:
            checkpoint.save(epoch + 1, last=model.stop_training or epoch + 1 == job.last_epoch)
        if model.stop_training:
            break


def _validate(engine: Engine, job: Job) -> dict[str, float]:
    data: Any = job.validation
    for hook in job.hooks:
        hook.on_test_begin({})
    setup = engine.setup
    together = max(BLOCK // setup.rows_per_sample, 1) * setup.rows_per_sample
    parts = data.epoch() if isinstance(data, Feed) else data.blocks(setup.dtype, together)
    logs = engine.turns.read("evaluate", evaluate, engine, parts, BLOCK)
    # what metrics are may be arrays, which are no history
    arrays = {head.key(m.name) for head in engine.setup.heads for m in head.metrics if not m.scalar}
    kept = dict(logs)
    for hook in job.hooks:
        hook.on_test_end(logs)
        if hook.more:
            kept |= _callbacks().take_in(logs, f"{type(hook.callback).__name__}.on_test_end", arrays)
    return {f"val_{name}": value for name, value in kept.items() if name not in arrays}


def at_once(engine: Engine, job: Job, epoch: int, batches: _Rows) -> tuple[Done | None, float]:
    """Run the batches of an epoch without Python in between; return what they yielded and the last learning rate."""
    network, executor, counts, rows = batches.network, batches.executor, batches.counts, batches.data.n
    optimizer: Any = engine.setup.optimizer
    results, rates = results_of(executor, rows, len(counts)), optimizer.rates(len(counts))
    cursors = batches.cursors | results
    if rates is not None:
        cursors[network.lr] = rates

    def pause(step: int) -> None:
        for hook in job.hooks:
            hook.on_progress(epoch, step)

    executor.run_steps(batches.span, rows, batches.batch, cursors, pause)
    _flush(optimizer, executor)
    lr = optimizer.lr if rates is None else float(rates[-1])
    counting = counted(network, batches.data, counts, batches.order, 0, rows)
    return (network, rows, results, counts, counting), lr


def one_by_one(
    model: Trained, engine: Engine, job: Job, epoch: int, batches: Iterable[Batch]
) -> tuple[Done | None, float]:
    """Run them with the hooks of each batch, and what yields it, in between; return as `at_once`, None if none came."""
    optimizer: Any = engine.setup.optimizer
    begins = [hook.on_train_batch_begin for hook in job.hooks if "on_train_batch_begin" in hook.batch]
    ends = [hook.on_train_batch_end for hook in job.hooks if "on_train_batch_end" in hook.batch]
    shown, lr, found = time.monotonic(), optimizer.lr, Yield()
    executor: Executor | None = None
    for k, (network, executor, span, cursors, counts, counting) in enumerate(batches):
        for begin in begins:
            begin(k, {})
        lr, count = optimizer.lr, counts.item()
        results = results_of(executor, count, 1)
        try:
            executor.run_steps(span, count, count, cursors | results)
        except CallError as error:
            error.step = k
            raise
        found.add(network, count, results, counts, counting)
        if ends:
            logs = logs_of(engine, network, count, results, counts, counting)
            for end in ends:
                end(k, logs)
        if model.stop_training:
            break
        if time.monotonic() - shown > 0.1:
            for hook in job.hooks:
                hook.on_progress(epoch, k + 1)
            shown = time.monotonic()
    if executor is not None:
        _flush(optimizer, executor)
    return found.all(), lr


def _flush(optimizer: Any, executor: Executor) -> None:
    """Let the end of an epoch make an update of the gradients that wait for one."""
    if optimizer.accumulated is not None:
        optimizer.prepare()
        executor.flush()
