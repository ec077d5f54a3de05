"""Executors: a program bound to memory and to the kernels of one backend.

The numpy backend runs the calls from Python and defines what they return; the compiled backends hand
addresses to the runner. Both offer the same methods, so that a model does not know which one it has.
"""

from __future__ import annotations

import time
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from .checks import integer
from .data import Bounds
from .kernels import BACKENDS, choose_backend, load, primitives_address
from .kernels.arrays import dtype_of, same_bits
from .kernels.operations import NotFiniteError, OutOfRangeError, Status
from .program import Buffer, CallError
from .program.ir import affine, at
from .program.plan import LINE
from .turns import Turns, put_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import DTypeLike

    from .program import Call, Program

__all__ = ["Executor", "Port", "Profile", "Turn", "aligned", "aligned_copy", "make_executor", "refuse"]


def aligned(n: int, dtype: DTypeLike) -> np.ndarray:
    """Return n zeros that begin at a cache line."""
    dtype = np.dtype(dtype)
    raw = np.zeros(n * dtype.itemsize + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + n * dtype.itemsize].view(dtype)


def aligned_copy(array: np.ndarray, dtype: DTypeLike | None = None) -> np.ndarray:
    """Return a copy that begins at a cache line, of the same dtype or another."""
    copy = aligned(array.size, array.dtype if dtype is None else dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Port:
    """A buffer for which an entry takes an array: what each element must be, and whether the array is copied."""

    def __init__(self, buffer: Buffer, bounds: Bounds | None = None, copied: bool = False) -> None:
        self.buffer, self.bounds, self.copied = buffer, bounds, copied


class Turn:
    """When an entry of a model begins, and what it sets; see `fastbp.runner.Entry`."""

    def __init__(
        self,
        turns: Turns,
        name: str | None = None,
        engine: Any = None,
        optimizer: Any = None,
        hands: tuple[str, ...] | None = None,
        before: Sequence[tuple[Any, str, Any]] = (),
        after: Sequence[tuple[Any, str, Any]] = (),
    ) -> None:
        self.parts = turns, name, engine, optimizer, hands, [*before], [*after]


def refuse(*arguments: Any) -> Any:
    """Return None: what an entry does with arguments that are not for it."""


class Profile:
    """The time of each call of a program.

    Attributes
    ----------
    rows : list of (Call, float, int)
        The call, the median of its seconds, and the bytes of its operands.
    batch : int
    """

    def __init__(self, rows: list[tuple[Call, float, int]], batch: int) -> None:
        self.rows, self.batch = rows, batch

    @property
    def total(self) -> float:
        """Seconds of all calls together."""
        return sum(seconds for _, seconds, _ in self.rows)

    def __str__(self) -> str:
        total = self.total or 1
        lines = [f"{'us':>10}  {'share':>6}  {'GB/s':>6}  call"]
        for call, seconds, nbytes in self.rows:
            speed = f"{nbytes / seconds / 1e9:6.1f}" if seconds else "      "
            lines.append(f"{seconds * 1e6:10.2f}  {seconds / total:6.1%}  {speed}  {call!r}")
        lines.append(f"{self.total * 1e6:10.2f}  100.0%          {len(self.rows)} calls, batch {self.batch}")
        return "\n".join(lines)


class Executor:
    """What the executors of all backends share: memory, binding and views.

    Parameters
    ----------
    program : Program
    backend : {"numpy", "numba", "cython"}
    shared : dict of str to ndarray
        The arrays of parameters, gradients, state and whatever else outlives the program, by buffer name.
    batch : int
        The largest batch.
    keep : bool
        Plan the arena without sharing, so that intermediate results stay.
    counter : ndarray of int64, shape (1,), optional
        Counts the updates that are made, where anybody wants to know.
    turns : Turns, optional
        Of the model, for a program that changes it.
    accumulated : (ndarray of int64, shape (1,), int), optional
        As of an optimizer, where several steps make an update.

    Notes
    -----
    An executor is made whole or not at all and keeps its size: one for larger batches is another executor.
    """

    def __init__(
        self,
        program: Program,
        backend: str,
        shared: dict[str, np.ndarray],
        batch: int,
        keep: bool = False,
        counter: np.ndarray | None = None,
        turns: Turns | None = None,
        accumulated: tuple[np.ndarray, int] | None = None,
    ) -> None:
        self.program, self.backend, self.shared = program, backend, shared
        self.counter = np.zeros(1, np.int64) if counter is None else counter
        self.turns = Turns() if turns is None else turns
        self.steps = 0  # that the last run_steps completed
        self.rows = 0
        self.start, self.commit, self.apply = program.start, program.commit, program.apply
        self.accumulated = accumulated
        self.real = np.dtype(program.dtype)
        self.kernels = load(
            backend, program.dtype, dict.fromkeys(c.kernel.name for c in program.calls), program.numerics
        )
        self.plan = program.plan(batch, keep)
        program.verify(self.plan)
        self.own = self._memory()
        self.arrays = list(self.own)
        self._callers = [buffer for buffer in program.buffers if buffer.role in ("input", "result")]
        # what is kept of every step, or where it has a length of the batch of every row
        self.results = [(b, b.with_rows, self.dtype(b)) for b in self._callers if b.role == "result"]
        self._prepare()
        self.batch = batch  # of the last run

    def _memory(self) -> list[Any]:
        """Return an array for each buffer, by number; None for a view, and where one is bound or no call uses it."""
        program, batch = self.program, self.plan.batch
        own: list[Any] = [None] * len(program.buffers)
        # one piece of memory: the arena, and behind it what has memory of its own
        places, end = dict(self.plan.offsets), self.plan.nbytes
        for buffer in program.buffers:
            if buffer.parent is not None or buffer in places:
                continue
            if buffer.name in self.shared:
                own[buffer.number] = self.shared[buffer.name].reshape(-1)
            elif not buffer.of_data_set and buffer.role != "temporary":
                places[buffer] = end
                end += -(-program.nbytes(buffer, batch) // LINE) * LINE
        memory = aligned(end, np.uint8)
        for buffer, start in places.items():
            stop = start + program.nbytes(buffer, batch)
            own[buffer.number] = memory[start:stop].view(self.dtype(buffer))
        for buffer, array in program.constants:
            own[buffer.number][...] = array.reshape(-1)
        return own

    def _prepare(self) -> None:
        """Make ready what runs the calls, once there is memory."""

    #: What is tried first of those who share the executor: an entry, or a function that has one.
    quick: Callable[..., Any] = staticmethod(refuse)

    def entry(
        self,
        turn: Turn,
        ports: list[Port],
        result: Buffer | Sequence[Buffer] | None = None,
        span: tuple[int, int] | None = None,
        rows: bool = False,
    ) -> tuple[Callable[..., Any], Callable[..., bool | None]]:
        """Return `run` and `fits` of an entry for some calls; where there is no runner both refuse everything.

        Parameters
        ----------
        turn : Turn
        ports : list of Port
            Of what is given.
        result : Buffer or list of Buffer, optional
            What is returned: its first element, or with `rows` all of it, of several a list; without it True.
        span : (int, int), optional
            The calls; by default those after the gathering.
        rows : bool

        Returns
        -------
        run, fits : callable
        """
        return refuse, refuse

    def dtype(self, buffer: Buffer) -> np.dtype:
        """Return the dtype of a buffer's elements."""
        return dtype_of(buffer.dtype, self.real)

    def bind(self, buffer: Buffer, array: np.ndarray | None = None) -> None:
        """Let a buffer be `array` (contiguous, of its dtype), or its own memory again."""
        self.arrays[buffer.number] = self.own[buffer.number] if array is None else array.reshape(-1)
        if array is not None and buffer.of_data_set:
            self.rows = len(array)

    def fill(self, buffer: Buffer, array: np.ndarray) -> None:
        """Copy an array into the buffer's own memory."""
        self.own[buffer.number][: array.size] = array.reshape(-1)

    def view(self, buffer: Buffer, batch: int | None = None) -> np.ndarray:
        """Return a buffer as an array of its shape."""
        batch = self.batch if batch is None else batch
        shape = buffer.resolve(batch, self.rows)
        n = 1
        for length in shape:
            n *= length
        root = buffer.root
        if root.parent is None:
            return self.arrays[root.number][:n].reshape(shape)
        start = at(root.offset, batch)
        return self.arrays[root.parent.number][start : start + n].reshape(shape)

    @staticmethod
    def _stride(buffer: Buffer) -> tuple[int, int]:
        # elements that a stream moves on per step and per row
        return (0, 0) if buffer.of_data_set else affine(buffer.elements)

    def check_batch(self, batch: int) -> None:
        """Raise ValueError for more rows than there is memory for."""
        if batch > self.plan.batch:
            raise ValueError(f"batch is {batch}; this executor has memory for {self.plan.batch} rows")

    def run(self, span: tuple[int, int], batch: int, counted: bool = False) -> None:
        """Run the calls of a range once; `counted` says that this makes a step."""
        raise NotImplementedError

    def run_steps(
        self,
        span: tuple[int, int],
        rows: int,
        batch: int,
        streams: dict[Buffer, np.ndarray],
        on_pause: Callable[[int], None] | None = None,
    ) -> None:
        """Run the calls of a range for each batch of `rows`.

        Parameters
        ----------
        span : (int, int)
        rows, batch : int
            The last batch may be smaller than `batch`.
        streams : dict of Buffer to ndarray
            Arrays that the buffers walk through: by rows where the buffer has a batch dimension, else one
            element a step. One that holds the data set, from which batches are gathered, stays where it is.
        on_pause : callable, optional
            Called with the number of finished steps about ten times a second.

        Raises
        ------
        CallError
            If a call stops the program; its `step` says in which batch.
        """
        raise NotImplementedError

    def waits(self, first: int) -> bool:
        """Whether a step from a call on only adds its gradient to those that an update waits for."""
        if self.accumulated is None:
            return False
        waiting, together = self.accumulated
        return first < self.apply and waiting.item() + 1 < together

    def flush(self) -> None:
        """Make an update of the gradients that are accumulated, if there are any."""
        if self.accumulated is not None and self.accumulated[0].item():
            self.run((self.apply, len(self.program.calls)), self.batch, counted=True)

    def run_program(self, check: str | None = None) -> None:
        """Run what follows the gathering once, on the data that is bound."""
        if check not in (None, "numpy"):
            raise ValueError(f"check is {check!r}; it must be None or 'numpy'")
        self.turns.take("program.run", self._run_program, check)

    def _run_program(self, check: str | None) -> None:
        self.turns.hand = ""
        start = self.program.start
        stop = len(self.program.calls)
        self.unbind()
        if check is None:
            self.run((start, stop), self.batch, counted=True)
            return
        waits = self.waits(start)
        stop = self.apply if waits else stop
        reference = load("numpy", self.program.dtype, self.kernels, self.program.numerics)
        for i in range(start, stop):
            call = self.program.calls[i]
            inputs = [self.view(b).copy() for b in call.reads]
            with np.errstate(all="ignore"):
                expected = reference[call.kernel.name](*inputs, **call.attributes)
            self.run((i, i + 1), self.batch)
            expected = expected if isinstance(expected, tuple) else (expected,)
            for buffer, value in zip(call.results, expected, strict=True):
                got = self.view(buffer)
                value = np.asarray(value, got.dtype).reshape(got.shape)
                if not same_bits(got, value):
                    at = np.flatnonzero((got != value).reshape(-1))
                    raise AssertionError(
                        f"call {i}, {call!r}: {buffer!r} differs from NumPy's bits in {at.size} of {got.size} elements"
                    )
        self.count(waits)

    def count(self, waits: bool) -> None:
        """Count a step, which made an update if it does not wait for others."""
        self.counter += not waits
        if self.accumulated is not None:
            waiting = self.accumulated[0]
            waiting[0] = waiting[0] + 1 if waits else 0

    def unbind(self) -> None:
        """Return arrays of callers': inputs and results are the program's own memory again, at full length."""
        self.batch = self.plan.batch
        for buffer in self._callers:
            self.bind(buffer)

    def profile(self, repeat: int = 100) -> Profile:
        """Time each call; see `Program.profile`."""
        return self.turns.take("program.profile", self._profile, integer("repeat", repeat, 1))

    def _profile(self, repeat: int) -> Profile:
        program = self.program
        self.unbind()
        start, stop = program.start, len(program.calls)
        roles = "parameter", "gradient", "state"
        kept = [b for b in program.buffers if b.role in roles and b.parent is None]
        lasting = [self.arrays[b.number] for b in kept]
        saved = [a.copy() for a in lasting]
        samples: list[list[float]] = [[] for _ in range(start, stop)]
        idle = []
        clock = time.perf_counter
        try:
            for _ in range(repeat):
                t = clock()
                self.run((start, start), self.batch)
                idle.append(clock() - t)
                for i in range(start, stop):
                    t = clock()
                    self.run((i, i + 1), self.batch)
                    samples[i - start].append(clock() - t)
        finally:
            put_values(zip(lasting, saved, strict=True))
        overhead = min(idle)
        rows = []
        for call, seconds in zip(program.calls[start:], samples, strict=True):
            nbytes = sum(program.nbytes(b, self.batch) for b in dict.fromkeys(call.reads + call.writes))
            rows.append((call, max(float(np.median(seconds)) - overhead, 0.0), nbytes))
        return Profile(rows, self.batch)


class NumpyExecutor(Executor):
    """The reference: each call is a NumPy function, called from Python."""

    def _prepare(self) -> None:
        self._bound: dict[int, list[Any]] = {}

    def bind(self, buffer: Buffer, array: np.ndarray | None = None) -> None:
        """Let a buffer be `array`, or its own memory again."""
        if self.arrays[buffer.number] is not array:
            self._bound = {}
        super().bind(buffer, array)

    def _views(self, batch: int) -> list[Any]:
        if batch not in self._bound:
            self.batch = batch
            # the views of one batch length, so that a step does not make them again
            views = {
                b: None if self.arrays[b.owner.number] is None else self.view(b)
                for call in self.program.calls
                for b in call.buffers
            }
            self._bound[batch] = [
                (
                    self.kernels[call.kernel.name],
                    [views[b] for b in call.reads],
                    call.attributes,
                    [views[b] for b in call.results],
                )
                for call in self.program.calls
            ]
        return self._bound[batch]

    def run(self, span: tuple[int, int], batch: int, counted: bool = False) -> None:
        """Run the calls of a range once."""
        self.check_batch(batch)
        self._execute(span, batch, 0, counted)

    def _execute(self, span: tuple[int, int], batch: int, step: int, counted: bool) -> None:
        self.batch = batch
        views, (first, last) = self._views(batch), span
        waits = counted and self.waits(first)
        last = min(self.apply, last) if waits else last
        commit = min(max(self.commit, first), last)
        self.turns.stage = "step"
        try:
            with np.errstate(all="ignore"):
                self._call(views[first:commit], first, step)
                self._update(views[commit:last], commit, step, counted, waits)
        finally:
            self.turns.stage = ""

    def _update(self, views: list[Any], commit: int, step: int, counted: bool, waits: bool) -> None:
        """Run the calls that change what lasts, and count: all of it, or nothing where something interrupts it."""
        counts = [self.counter] if self.accumulated is None else [self.counter, self.accumulated[0]]
        lasting = {id(a): a for a in (*counts, *(a for *_, outputs in views for a in outputs))}
        saved = [(a, a.copy()) for a in lasting.values()]
        self.turns.stage = "update"
        try:
            self._call(views, commit, step)
            if counted:
                self.count(waits)
        except BaseException:
            put_values(saved)
            raise

    def _call(self, views: list[Any], first: int, step: int) -> None:
        for i, (function, inputs, attributes, outputs) in enumerate(views, first):
            try:
                values = function(*inputs, **attributes)
            except (OutOfRangeError, NotFiniteError) as error:
                raise CallError(self.program.calls[i], Status.of(error), step) from error
            if len(outputs) == 1:
                outputs[0][...] = values
            else:
                for out, value in zip(outputs, values, strict=True):
                    out[...] = value

    def run_steps(
        self,
        span: tuple[int, int],
        rows: int,
        batch: int,
        streams: dict[Buffer, np.ndarray],
        on_pause: Callable[[int], None] | None = None,
    ) -> None:
        """Run the calls of a range for each batch of `rows`."""
        self.check_batch(batch)
        for buffer, array in streams.items():
            self.bind(buffer, array if buffer.of_data_set else None)
        flat = {b: a.reshape(-1) for b, a in streams.items() if not b.of_data_set}
        try:
            self._run_steps(span, rows, batch, flat, on_pause)
        finally:
            for buffer in streams.keys() - flat.keys():
                self.bind(buffer)

    def _run_steps(
        self,
        span: tuple[int, int],
        rows: int,
        batch: int,
        flat: dict[Buffer, np.ndarray],
        on_pause: Callable[[int], None] | None,
    ) -> None:
        strides = {b: self._stride(b) for b in flat}
        at = dict.fromkeys(flat, 0)
        paused = time.monotonic()
        self.steps = 0
        for step, start in enumerate(range(0, rows, batch)):
            count = min(batch, rows - start)
            moved = {b: strides[b][0] + strides[b][1] * count for b in flat}
            for buffer, n in moved.items():
                if buffer.role != "result":
                    self.arrays[buffer.number][:n] = flat[buffer][at[buffer] : at[buffer] + n]
            self._execute(span, count, step, True)
            for buffer, n in moved.items():
                if buffer.role == "result":
                    flat[buffer][at[buffer] : at[buffer] + n] = self.arrays[buffer.number][:n]
                at[buffer] += n
            self.steps = step + 1
            if on_pause is not None and time.monotonic() - paused > 0.1:
                paused = time.monotonic()
                on_pause(step + 1)


#: The bounds of a port that takes any number.
_ANYTHING = Bounds()


class CompiledExecutor(Executor):
    """Kernels by address, run by the C loop."""

    def _prepare(self) -> None:
        from .kernels.pool import pool_address
        from .runner import Runner

        program, backend = self.program, BACKENDS[self.backend]
        self._sized = self.rows  # the rows of the data set that the runner's sizes are for
        primitives = primitives_address(program.dtype, program.numerics, self.backend)
        # threads may share an array where that cannot change a bit
        portable = program.numerics == "portable"
        pool = pool_address() if portable else 0
        calls = []
        for call in program.calls:
            calls.append(
                (
                    self.kernels[call.kernel.name],
                    primitives,
                    [b.number for b in call.buffers],
                    call.affine_sizes(self.rows),
                    backend.attributes(call.kernel, call.attributes),
                    call.cost,
                    self.cut(call) if pool else None,
                )
            )
        # of the streams of a run: number, bytes per step and per row of each, and one that is the data set
        self._cursors: dict[tuple[Buffer, ...], tuple[list[tuple[int, int, int]], Buffer | None]] = {}
        views = [
            (b.number, b.parent.number, fixed * program.itemsize(b), per_row * program.itemsize(b))
            for b in program.buffers
            if b.parent is not None
            for fixed, per_row in [affine(b.offset)]
        ]
        accumulated = None if self.accumulated is None else (*self.accumulated, self.apply)
        self.runner = Runner(calls, len(program.buffers), pool, portable, self.counter, self.turns, views, accumulated)
        self.runner.keep = self.own
        for buffer, array in zip(program.buffers, self.arrays, strict=True):
            if buffer.parent is None:
                self.runner.bind(buffer.number, array)

    @property
    def batch(self) -> int:
        """The rows of the last run."""
        return self.runner.batch

    @batch.setter
    def batch(self, batch: int) -> None:
        self.runner.set_batch(batch)

    def entry(
        self,
        turn: Turn,
        ports: list[Port],
        result: Buffer | Sequence[Buffer] | None = None,
        span: tuple[int, int] | None = None,
        rows: bool = False,
    ) -> tuple[Callable[..., Any], Callable[..., bool | None]]:
        """Return `run` and `fits` of an entry for some calls."""
        from .runner import Entry

        taken = []
        for port in ports:
            number, shape, bounds = port.buffer.number, port.buffer.shape[1:], port.bounds or _ANYTHING
            own = self.own[number]
            room = aligned(own.size, own.dtype) if port.copied else own
            what = bounds.low, bounds.high, bounds.ends, bounds.other
            taken.append((number, room, own if port.copied else None, shape, *what))
        first, last = span or (self.start, len(self.program.calls))
        results = [] if result is None else [result] if isinstance(result, Buffer) else result
        returned = [(b.number, self.dtype(b), b.shape[1:] if rows else None) for b in results]
        made = Entry(self.runner, taken, returned, (first, last, self.commit), self.plan.batch, turn.parts)
        return made.run, made.fits

    def cut(self, call: Call) -> tuple[int, list[int], int] | None:
        """Return what threads may share of a call, as `Runner` takes it."""
        kernel, dim = call.kernel, call.kernel.split
        if dim is None:
            return None
        items, widths = [], [1]
        for operand, buffer in zip(kernel.operands, call.buffers, strict=True):
            width = 0
            if dim in operand.dims:
                # of an elementwise kernel all elements are one length; of others the first is cut
                width = 1 if kernel.elementwise else prod(buffer.shape[1:])
            items.append(width * self.program.itemsize(buffer))
            widths.append(width)
        return kernel.dims.index(dim), items, max(widths)

    def bind(self, buffer: Buffer, array: np.ndarray | None = None) -> None:
        """Let a buffer be `array`, or its own memory again."""
        super().bind(buffer, array)
        self.runner.bind(buffer.number, self.arrays[buffer.number])
        if self.rows != self._sized:
            self._resize()

    def _resize(self) -> None:
        """Let calls on the data set follow its number of rows."""
        for i, call in enumerate(self.program.calls):
            if any(b.of_data_set for b in call.buffers):
                self.runner.set_sizes(i, call.affine_sizes(self.rows))
        self._sized = self.rows  # last: where Ctrl-C came in between it is done again

    def run(self, span: tuple[int, int], batch: int, counted: bool = False) -> None:
        """Run the calls of a range once."""
        self.check_batch(batch)
        self.batch = batch
        status = self.runner.run(*span, self.commit, counted)
        if status:
            raise self._error(status)

    def run_steps(
        self,
        span: tuple[int, int],
        rows: int,
        batch: int,
        streams: dict[Buffer, np.ndarray],
        on_pause: Callable[[int], None] | None = None,
    ) -> None:
        """Run the calls of a range for each batch of `rows`."""
        self.check_batch(batch)
        buffers = tuple(streams)
        cursors, source = self._cursors.get(buffers) or self._add_cursors(buffers)
        if source is not None:
            self.rows = len(streams[source])
        if self.rows != self._sized:
            self._resize()
        try:
            status = self.runner.run_steps(*span, self.commit, rows, batch, cursors, list(streams.values()), on_pause)
        finally:
            self.steps = self.runner.steps
        if status:
            raise self._error(status, self.steps)

    def _add_cursors(self, buffers: tuple[Buffer, ...]) -> tuple[list[tuple[int, int, int]], Buffer | None]:
        cursors = []
        for buffer in buffers:
            item, (per_step, per_row) = self.program.itemsize(buffer), self._stride(buffer)
            cursors.append((buffer.number, per_step * item, per_row * item))
        self._cursors[buffers] = found = cursors, next((b for b in buffers if b.of_data_set), None)
        return found

    def _error(self, status: int, step: int = 0) -> CallError:
        return CallError(self.program.calls[self.runner.failed], status, step)


def make_executor(
    program: Program,
    backend: str,
    shared: dict[str, np.ndarray],
    batch: int,
    keep: bool = False,
    counter: np.ndarray | None = None,
    turns: Turns | None = None,
    accumulated: tuple[np.ndarray, int] | None = None,
) -> Executor:
    """Return an executor for one backend; see `Executor`.

    Raises
    ------
    ValueError
        If there is no such backend.
    ImportError
        If it needs the extension modules and they are missing.
    """
    backend = choose_backend(backend)
    made: Executor = BACKENDS[backend].executor_class()(
        program, backend, shared, batch, keep, counter, turns, accumulated
    )
    return made
