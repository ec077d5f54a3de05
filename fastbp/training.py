"""The loop of `fit`, what steps yield and what is made of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from .backends import make_executor
from .callbacks import Callback, History, ProgressBar, has_hook
from .checks import as_list, as_numbers, check_kind, generator_of, integer, number
from .data import as_weights
from .kernels.caller import warn
from .kernels.operations import Status
from .program import CallError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Container
    from typing import Any

    from numpy.typing import ArrayLike

    from .backends import Executor
    from .checkpoint import Checkpoint
    from .compiler import Network
    from .data import Rows
    from .engine import Engine
    from .program import Buffer

    #: What a run advances along, an element or a row at a time.
    Cursors = dict[Buffer, np.ndarray]

__all__ = ["BLOCK", "Job", "evaluate", "explain", "inputs", "job_of", "train", "warn_of_few_rows"]

BLOCK = 512  # rows that evaluate and predict take at a time: activations stay in cache (measured)


class Job(NamedTuple):
    """What `fit` was asked for, checked."""

    data: Rows
    validation: Rows | None
    validates: Container[int]  # the epochs, counted from 1, after which the validation data are evaluated
    batch: int
    generator: np.random.Generator
    seed: int | None  # from which NumPy makes the generator again, where there is one
    shuffle: bool
    hooks: list[Any]  # the history is the first of them
    params: dict[str, Any]  # of the hooks
    stop_on_nan: bool
    first: int
    last: int
    checkpoint: Checkpoint | None


class Trained(Protocol):
    """What the loop reads and sets of a model."""

    batch_losses: np.ndarray
    stop_training: bool


def job_of(
    model: Any,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    class_weight: Any,
    *,
    batch_size: int | None,
    epochs: int,
    initial_epoch: int,
    shuffle: bool,
    seed: Any,
    verbose: int,
    callbacks: Iterable[Callback],
    stop_on_nan: bool,
    validation_data: tuple[ArrayLike, ...] | None,
    validation_split: float,
    validation_freq: int | Iterable[int],
    checkpoint: str | os.PathLike[str] | None,
) -> Job:
    """Return what `Sequential.fit` is given, checked; the model, which is compiled, is as it was."""
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
    split, per_sample = number("validation_split", validation_split, 0, 1), model.loss_function.rows_per_sample
    data = model.prepare(x, y, sample_weight, None if split else class_weight)
    validation = None
    if validation_data is not None:
        if split:
            raise ValueError(f"validation_split is {split} and there are validation_data; give one of them")
        validation = _validation(model, validation_data)
    elif split:
        rows = int(len(data.x) * (1 - split)) // per_sample * per_sample
        if not 0 < rows < len(data.x):
            raise ValueError(f"validation_split is {split}; of {len(data.x)} rows that leaves {rows} to train on")
        validation, data = data.of(slice(rows, None)), data.of(slice(rows))
        if class_weight is not None:
            # of the rows that are trained on: they are what is balanced
            own = None if sample_weight is None else as_numbers("sample_weight", sample_weight)[:rows]
            outputs = model.layout_for(data.x.shape[1:]).output_shape[-1]
            weight = as_weights(own, class_weight, data.y, model.loss_function, model.dtype, outputs=outputs)
            data = data._replace(weight=weight)
    generator, known_seed = generator_of(seed)
    callbacks = as_list("callbacks", callbacks, "fastbp.Callback objects")
    for callback in callbacks:
        if not isinstance(callback, Callback):
            raise TypeError(f"callbacks holds {callback!r}; each must be a fastbp.Callback")
    rows = len(data.x)
    batch = rows if batch_size is None else min(batch_size, rows)
    if batch % per_sample:
        what = f"{model.loss_function!r} takes {per_sample} rows together"
        raise ValueError(f"batch_size is {batch_size}; {what}, so it must be a multiple of {per_sample}")
    logged = ["loss", *(metric.name for metric in model.metrics if metric.scalar)]
    hooks = [History(), *([ProgressBar()] if verbose else []), *callbacks]
    params: dict[str, Any] = {
        "initial_epoch": initial_epoch,
        "epochs": epochs,
        "steps": -(-rows // batch),
        "rows": rows,
        "batch_size": batch,
        "seed": known_seed,
        "metrics": logged + [f"val_{name}" for name in logged if validation is not None],
    }
    resumed = None
    if checkpoint is not None:
        from .checkpoint import Checkpoint

        layout = model.layout_for(data.x.shape[1:])
        resumed = Checkpoint(checkpoint, model, layout, generator if shuffle else None, hooks, params)
    return Job(
        data,
        validation,
        validates,
        batch,
        generator,
        known_seed,
        bool(shuffle),
        hooks,
        params,
        bool(stop_on_nan),
        initial_epoch,
        epochs,
        resumed,
    )


def _validation(model: Any, given: Any) -> Rows:
    check_kind("validation_data", given, (tuple, list), "(x, y) or (x, y, sample_weight)")
    if len(given) not in (2, 3):
        what = "it must be (x, y) or (x, y, sample_weight)"
        raise ValueError(f"validation_data has {len(given)} elements; {what}")
    names = [f"validation_data[{k}]" for k in range(3)]
    rows: Rows = model.prepare(*given[:2], given[2] if len(given) == 3 else None, names=names)
    return rows


def counts_of(rows: int, batch: int) -> np.ndarray:
    """Return how many rows each batch has."""
    counts = np.full(-(-rows // batch), batch)
    counts[-1] = rows - batch * (len(counts) - 1)
    return counts


def inputs(network: Network, data: Rows) -> Cursors:
    """Return the arrays of a batch, or of an epoch in its own order, by the buffers that read them."""
    found = {network.x: data.x, network.y_true: data.y}
    return found if data.weight is None else {**found, network.weight: data.weight}


def results_of(network: Network, rows: int, steps: int, dtype: str) -> Cursors:
    """Return room for what every step, or every row, yields."""
    buffers = [network.loss, network.data_loss, *(buffer for _, found, _ in network.metrics for buffer in found)]
    arrays = {}
    for b in dict.fromkeys(buffers):
        shape = b.resolve(rows) if b.with_rows else (steps, *b.shape)
        arrays[b] = np.empty(shape, dtype if b.dtype == "real" else np.int64)
    return arrays


def part(cursors: Cursors, first: int, last: int, start: int, stop: int) -> Cursors:
    """Return what steps `first` to `last` - 1 have of each cursor: an element a step, or what belongs to their rows."""
    found = {}
    for b, a in cursors.items():
        each = b.shape[0].per_row if b.with_rows else 0
        found[b] = a[each * start : each * stop] if each else a[first:last]
    return found


def counted(data: Rows, counts: np.ndarray, which: Any = slice(None)) -> np.ndarray:
    """Return how many positions of each step count in its loss: of the rows `which`, in their order."""
    if data.counting is None:
        return counts
    sums = np.add.reduceat(data.counting[which], np.cumsum(counts) - counts, dtype=np.int64)
    return sums.reshape(len(counts), -1).sum(axis=1)


def logs_of(
    engine: Engine, network: Network, results: Cursors, rows: int, counts: np.ndarray, counting: np.ndarray
) -> dict[str, Any]:
    """Return loss and metrics of some steps.

    A step's loss is a sum over its rows, or the mean over those that count. What is returned is the sum, or the mean,
    over all of them, and so does not depend on how they fell into batches. Penalties are added once: their mean.

    Parameters
    ----------
    engine : Engine
    network : Network
    results : dict of Buffer to ndarray
        What each step yielded.
    rows : int
        Of all steps.
    counts, counting : ndarray
        How many rows each step had, and how many of them, or of their positions, count.

    Returns
    -------
    dict of str to float
        What metrics are may be arrays.
    """
    setup: Any = engine.setup
    data = results[network.data_loss].astype(np.float64)
    if setup.loss.reduction == "mean":
        value = data @ counting / (rows if counting is counts else max(int(counting.sum()), 1))
    else:
        value = data.sum()
    if network.data_loss is not network.loss:
        value += (results[network.loss] - data) @ counts / rows
    logs: dict[str, Any] = {"loss": float(value)}
    for metric, buffers, value_of in network.metrics:
        logs[metric.name] = value_of(rows * engine.layout.positions, *(results[b] for b in buffers))
    return logs


def evaluate(engine: Engine, data: Rows, block: int) -> dict[str, Any]:
    """Return loss and metrics of data, at most `block` rows at a time."""
    setup: Any = engine.setup
    rows, together, weighted = len(data.x), setup.loss.rows_per_sample, data.weight is not None
    batch = min(max(block // together, 1) * together, rows)
    network, executor = engine.lend("evaluate", batch, weighted)
    results = results_of(network, rows, -(-rows // batch), setup.dtype)
    try:
        executor.run_steps((0, len(network.program.calls)), rows, batch, {**inputs(network, data), **results})
    finally:
        engine.give_back("evaluate", executor, weighted)
    counts = counts_of(rows, batch)
    return logs_of(engine, network, results, rows, counts, counted(data, counts))


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
    setup: Any = engine.setup
    network = engine.compile("steps", data.weight is not None)
    executor = make_executor(network.program, engine.backend, engine.copy(), len(data.x), keep=True)
    for buffer, array in inputs(network, data).items():
        executor.bind(buffer, array)
    executor.run(network.program.span("forward", "loss"), len(data.x))
    value = float(executor.view(network.loss))
    named = [(f"{engine.layers[entry.layer].name}.{entry.name}", array) for entry, array in engine.memory.weights]
    spoilt = next((name for name, array in named if not np.isfinite(array).all()), None)
    dead = next((layer.name for layer, buffer in network.layers if not np.isfinite(executor.view(buffer)).all()), None)
    if spoilt is not None:
        culprit = f"{spoilt} holds values that are not finite, and did so before that batch; set_weights mends it. "
    else:
        culprit = f"layer {dead} is the first whose output is not finite"
        if dead is None:
            overflow = "every layer's output is finite, the loss itself overflowed"
            culprit = setup.loss.complain(executor.view(network.y_pred)) or overflow
        culprit += ". The parameters are as they were before that batch. "
    return FloatingPointError(
        f"the loss is {value} in {where}: {culprit}"
        "A smaller learning rate, scaled inputs or dtype='float64' usually help; stop_on_nan=False goes on"
    )


def executor_of(engine: Engine, job: Job) -> tuple[Network, Executor]:
    """Return the train step that a fit runs, as the layers want it now."""
    purpose = "train" if job.stop_on_nan else "train on"
    return engine.executor(purpose, job.batch, job.data.weight is not None)


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
    executor_of(engine, job)  # before anybody is told that training begins: there may be no memory for it
    warn_of_few_rows(engine, len(job.data.x), job.batch)
    errors: list[BaseException] = []
    losses: list[np.ndarray] = []
    started = []
    try:
        for hook in job.hooks:
            hook.on_train_begin()
            started.append(hook)
        if job.checkpoint is not None:
            job.checkpoint.begin()
        begun()
        model.batch_losses, engine.turns.hand = np.empty(0, engine.setup.dtype), ""
        _epochs(model, engine, job, losses)
    except BaseException as error:
        errors.append(error)
    if losses:
        model.batch_losses = np.concatenate(losses)
    for hook in started:
        try:
            hook.on_train_end()
        except BaseException as error:
            errors.append(error)
    if errors:
        try:
            raise errors[0]
        finally:
            del errors  # it holds this frame, by way of the traceback


def _epochs(model: Trained, engine: Engine, job: Job, losses: list[np.ndarray]) -> None:
    setup: Any = engine.setup
    data, rng, history = job.data, job.generator if job.shuffle else None, job.hooks[0]
    rows, together = len(data.x), setup.loss.rows_per_sample
    by_batch = any(has_hook(h, name) for h in job.hooks for name in ("on_train_batch_begin", "on_train_batch_end"))
    counts = counts_of(rows, job.batch)
    order, first_lr, first = np.arange(rows), setup.optimizer.lr, job.first
    stopped, checkpoint = False, job.checkpoint
    if checkpoint is not None:
        first_lr, first, stopped = checkpoint.first_lr, checkpoint.done, checkpoint.stopped
    model.stop_training = stopped
    # a run that was stopped is finished
    for epoch in range(first, first if stopped else job.last):
        for hook in job.hooks:
            hook.on_epoch_begin(epoch)
        if rng is not None:
            order = rng.permutation(rows // together)
            if together > 1:
                order = (together * order[:, None] + np.arange(together)).reshape(-1)
        with _Epoch(model, engine, job, counts) as run_epoch:
            network = run_epoch.network
            results = results_of(network, rows, len(counts), setup.dtype)
            # in their own order the rows are read where they lie, else gathered
            cursors = inputs(network, data) if rng is None else {network.index: order}
            try:
                steps, lr = (run_epoch.by_batches if by_batch else run_epoch.at_once)(epoch, cursors, results)
            except CallError as error:
                which = order[error.step * job.batch : (error.step + 1) * job.batch]
                raise explain(engine, error, data.of(which), f"epoch {epoch + 1}, batch {error.step + 1}") from None
        done, here = int(counts[:steps].sum()), counts[:steps]
        known = part(results, 0, steps, 0, done)
        losses.append(known[network.loss])
        logs = logs_of(engine, network, known, done, here, counted(data, here, order[:done]))
        if job.validation is not None and epoch + 1 in job.validates:
            logs.update(_validate(engine, job))
        if setup.optimizer.schedule is not None or lr != first_lr or "lr" in history.history:
            logs["lr"] = lr
            if history.epoch and "lr" not in history.history:
                # the first change: earlier epochs used the initial rate
                history.history["lr"] = [first_lr] * len(history.epoch)
        for hook in job.hooks:
            hook.on_epoch_end(epoch, logs)
        if checkpoint is not None:
            checkpoint.save(epoch + 1, last=model.stop_training or epoch + 1 == job.last)
        if model.stop_training:
            break


def _validate(engine: Engine, job: Job) -> dict[str, float]:
    data: Any = job.validation
    for hook in job.hooks:
        hook.on_test_begin()
    logs = engine.turns.read("evaluate", evaluate, engine, data, BLOCK)
    for hook in job.hooks:
        hook.on_test_end(logs)
    return {f"val_{name}": value for name, value in logs.items() if np.ndim(value) == 0}


class _Epoch:
    """Runs the batches of an epoch, by the program that the layers ask for now; within `with` it reads the data."""

    def __init__(self, model: Trained, engine: Engine, job: Job, counts: np.ndarray) -> None:
        self.model, self.engine, self.job, self.counts = model, engine, job, counts
        self.optimizer: Any = engine.setup.optimizer
        self.network, self.executor = executor_of(engine, job)
        program = self.network.program
        self.span = (0 if job.shuffle else program.start, len(program.calls))

    def __enter__(self) -> _Epoch:
        network, data = self.network, self.job.data
        for buffer in (network.x, network.y_true, network.weight):
            if buffer is not None:
                self.executor.bind(buffer)
        self._bind(data.x, data.y, data.weight)
        return self

    def __exit__(self, *error: object) -> None:
        self._bind(None, None, None)

    def _bind(self, *arrays: np.ndarray | None) -> None:
        network = self.network
        sources = network.x_source, network.y_source, network.weight_source
        for buffer, array in zip(sources, arrays, strict=True):
            if buffer is not None:
                self.executor.bind(buffer, array)

    def at_once(self, epoch: int, cursors: Cursors, results: Cursors) -> tuple[int, float]:
        """Run them without Python in between; return their number and the last learning rate."""
        rates = self.optimizer.rates(len(self.counts))
        if rates is not None:
            cursors[self.network.lr] = rates

        def pause(step):
            for hook in self.job.hooks:
                hook.on_progress(epoch, step)

        rows, batch = int(self.counts.sum()), int(self.counts[0])
        self.executor.run_steps(self.span, rows, batch, {**cursors, **results}, pause)
        return len(self.counts), self.optimizer.lr if rates is None else float(rates[-1])

    def by_batches(self, epoch: int, cursors: Cursors, results: Cursors) -> tuple[int, float]:
        """Run them with the hooks of each batch in between; return as `at_once`."""
        begins, ends = (
            [hook for hook in self.job.hooks if has_hook(hook, f"on_train_batch_{when}")] for when in ("begin", "end")
        )
        order = cursors.get(self.network.index)
        row, shown, lr = 0, time.monotonic(), self.optimizer.lr
        for k, count in enumerate(self.counts.tolist()):
            for hook in begins:
                hook.on_train_batch_begin(k)
            lr = self.optimizer.lr
            try:
                here = part({**cursors, **results}, k, k + 1, row, row + count)
                self.executor.run_steps(self.span, count, count, here)
            except CallError as error:
                error.step = k
                raise
            row += count
            if ends:
                known, counts = part(results, k, k + 1, row - count, row), self.counts[k : k + 1]
                which = slice(row - count, row) if order is None else order[row - count : row]
                counting = counted(self.job.data, counts, which)
                logs = logs_of(self.engine, self.network, known, count, counts, counting)
                for hook in ends:
                    hook.on_train_batch_end(k, logs)
            if self.model.stop_training:
                return k + 1, lr
            if time.monotonic() - shown > 0.1:
                for hook in self.job.hooks:
                    hook.on_progress(epoch, k + 1)
                shown = time.monotonic()
        return len(self.counts), lr
