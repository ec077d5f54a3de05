"""Programs: a train step or a prediction as a flat list of kernel calls over planned memory.

A `Program` is made of `Buffer` objects and `Call` objects; layers, losses and optimizers add to it with
`Program.call`. It says what is computed and where, never how: a backend's executor runs it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import prod
from typing import TYPE_CHECKING

from .kernels.table import KERNELS, STATUS, suggest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .backends import Executor, Profile
    from .kernels.table import Kernel

    Shape = Sequence[int | str]

__all__ = ["BATCH", "ROWS", "Buffer", "Call", "CallError", "Plan", "Program", "ProgramError"]

#: The dimension that is known only when a batch arrives.
BATCH = "batch"
#: The number of rows of the data set that batches are gathered from.
ROWS = "rows"

_ALIGNMENT = 64  # bytes: a cache line, and the widest vector
_PROBES = ((1009, 4001), (2003, 8009))  # lengths of two batches and their data sets that no width equals by accident
_ITEMSIZE = {"float32": 4, "float64": 8, "i8": 8, "f8": 8}


class ProgramError(ValueError):
    """A program breaks a rule; the message names the call."""


class CallError(RuntimeError):
    """A call stopped the program.

    Attributes
    ----------
    call : Call
    status : int
        Why, as in ``kernels.table.STATUS``.
    step : int
        Which batch of the run, from 0.
    """

    def __init__(self, call: Call, status: int, step: int = 0) -> None:
        super().__init__(f"{call.kernel.name} in step {step}: {STATUS[status]}")
        self.call, self.status, self.step = call, status, step


class Buffer:
    """A named piece of memory with a shape.

    Attributes
    ----------
    number : int
        Its place in ``program.buffers``.
    name : str
    shape : tuple of int or str
        `BATCH` and `ROWS` stand for lengths that a run decides.
    dtype : {"real", "i8", "f8"}
    role : {"input", "parameter", "gradient", "state", "temporary", "result"}
        Inputs are bound or gathered; parameters, gradients and state outlive the program; temporaries
        share the arena; results may be bound to arrays of the caller's.
    parent, offset : Buffer or None, int
        A view: where in its parent it begins, in elements.
    root : Buffer
        Itself, or the buffer of which this is another shape (`reshaped`).
    """

    __slots__ = ("_role", "dtype", "name", "number", "offset", "parent", "root", "shape")

    def __init__(
        self, number: int, name: str, shape: Shape, dtype: str, role: str, parent: Buffer | None = None, offset: int = 0
    ) -> None:
        self.number, self.name, self.dtype, self._role = number, name, dtype, role
        self.shape: tuple[Any, ...] = tuple(shape)
        self.parent, self.offset, self.root = parent, offset, self

    @property
    def role(self) -> str:
        """What the memory is for."""
        return self.root._role

    @role.setter
    def role(self, role: str) -> None:
        self.root._role = role

    def reshaped(self, shape: Shape) -> Buffer:
        """Return the same memory in another shape: a buffer of the same number, which no call needs to fill.

        Parameters
        ----------
        shape : tuple of int or str

        Returns
        -------
        Buffer

        Raises
        ------
        ProgramError
            If the shape has another number of elements.
        """
        other = Buffer(self.number, self.name, shape, self.dtype, self.role, self.parent, self.offset)
        other.root = self.root
        if any(other.size(*probe) != self.size(*probe) for probe in _PROBES):
            raise ProgramError(f"{self!r} cannot be {other!r}")
        return other

    def resolve(self, batch: int, rows: int = 0) -> tuple[int, ...]:
        """Return the shape for given lengths.

        Parameters
        ----------
        batch, rows : int
            The lengths that `BATCH` and `ROWS` stand for.

        Returns
        -------
        tuple of int
        """
        return tuple(batch if d == BATCH else rows if d == ROWS else d for d in self.shape)

    def size(self, batch: int, rows: int = 0) -> int:
        """Return the number of elements for given lengths.

        Parameters
        ----------
        batch, rows : int
            The lengths that `BATCH` and `ROWS` stand for.

        Returns
        -------
        int
        """
        return prod(self.resolve(batch, rows))

    def __repr__(self) -> str:
        return f"{self.name}[{', '.join(map(str, self.shape))}]"


class Call:
    """One kernel applied to buffers.

    Attributes
    ----------
    kernel : Kernel
    buffers : tuple of Buffer
        In the order of ``kernel.operands``.
    attributes : dict
    phase : {"gather", "forward", "loss", "backward", "update"}
    layer : str
        On whose behalf.
    """

    __slots__ = ("attributes", "buffers", "kernel", "layer", "phase")

    def __init__(
        self, kernel: Kernel, buffers: tuple[Buffer, ...], attributes: dict[str, float], phase: str, layer: str
    ) -> None:
        self.kernel, self.buffers, self.attributes = kernel, buffers, attributes
        self.phase, self.layer = phase, layer

    def named(self) -> dict[str, Buffer]:
        """Return the buffers by operand name.

        Returns
        -------
        dict of str to Buffer
        """
        return {o.name: b for o, b in zip(self.kernel.operands, self.buffers, strict=True)}

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """Buffers that are read, in the order of the kernel's inputs."""
        named = self.named()
        return tuple(named[o.name] for o in self.kernel.inputs)

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """Buffers that are written, in the order of the kernel's outputs."""
        named = self.named()
        return tuple(named[o.name] for o in self.kernel.outputs)

    def sizes(self, batch: int, rows: int = 0) -> dict[str, int]:
        """Return the kernel's sizes for given lengths.

        Parameters
        ----------
        batch, rows : int
            The lengths that `BATCH` and `ROWS` stand for.

        Returns
        -------
        dict of str to int
        """
        return self.kernel.sizes([b.resolve(batch, rows) for b in self.buffers])

    def affine_sizes(self, rows: int = 0) -> list[tuple[int, int]]:
        """Return each size as ``(fixed, per_row)``: fixed + per_row * batch.

        Parameters
        ----------
        rows : int
            The length that `ROWS` stands for.

        Returns
        -------
        list of (int, int)
        """
        (first, _), (second, _) = _PROBES
        low, high = self.sizes(first, rows).values(), self.sizes(second, rows).values()
        slopes = [(b - a) // (second - first) for a, b in zip(low, high, strict=True)]
        return [(a - slope * first, slope) for a, slope in zip(low, slopes, strict=True)]

    def work(self, batch: int, rows: int = 0) -> int:
        """Return a rough number of nanoseconds: what decides how often the runner looks at the clock.

        Parameters
        ----------
        batch, rows : int
            The lengths that `BATCH` and `ROWS` stand for.

        Returns
        -------
        int
        """
        moved = sum(b.size(batch, 1) for b in self.buffers if ROWS not in b.shape)
        sizes = self.sizes(batch, rows)
        multiplied = prod(sizes.values()) if len(sizes) == 3 else 0
        return 10 + moved // 8 + multiplied // 32

    def __repr__(self) -> str:
        operands = {o.name: repr(b) for o, b in zip(self.kernel.operands, self.buffers, strict=True)}
        inputs = ", ".join(operands[o.name] for o in self.kernel.inputs)
        return f"{self.kernel.name}({inputs}) -> {', '.join(operands[o.name] for o in self.kernel.outputs)}"


class Plan:
    """Where the temporaries of a program lie in its arena.

    Attributes
    ----------
    batch : int
        The largest batch that fits.
    offsets : dict of Buffer to int
        In bytes.
    nbytes : int
        Of the arena.
    unshared : int
        What the arena would take if no two buffers shared memory.
    """

    __slots__ = ("batch", "nbytes", "offsets", "unshared")

    def __init__(self, batch: int, offsets: dict[Buffer, int], nbytes: int, unshared: int) -> None:
        self.batch, self.offsets, self.nbytes, self.unshared = batch, offsets, nbytes, unshared


class Program:
    """A flat list of kernel calls.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        What "real" operands are.
    numerics : {"numpy", "portable"}
        Which bits the program promises.

    Attributes
    ----------
    buffers : list of Buffer
    calls : list of Call
    training : bool
        Whether this is a train step: what some layers compute depends on it.
    deferred : list of callable
        See `later`.
    executor
        Who runs it: an executor of ``fastbp.backends``.
    """

    def __init__(self, dtype: str, numerics: str = "numpy") -> None:
        self.dtype, self.numerics = dtype, numerics
        self.buffers: list[Buffer] = []
        self.calls: list[Call] = []
        self.phase = "forward"
        self.training = False
        self.deferred: list[Callable[[], None]] = []
        self.executor: Executor | None = None

    # ------------------------------------------------------------------ building

    def buffer(
        self,
        name: str,
        shape: Shape,
        dtype: str = "real",
        role: str = "temporary",
        parent: Buffer | None = None,
        offset: int = 0,
    ) -> Buffer:
        """Add a buffer.

        Parameters
        ----------
        name : str
            By convention the layer's and the array's, "dense_1.z".
        shape : tuple of int or str
        dtype : {"real", "i8", "f8"}
        role : str
            As of a `Buffer`.
        parent : Buffer, optional
            Of which this is a view.
        offset : int
            Where in `parent` it begins, in elements.

        Returns
        -------
        Buffer
        """
        made = Buffer(len(self.buffers), name, shape, dtype, role, parent, offset)
        self.buffers.append(made)
        return made

    def call(
        self, name: str, *inputs: Buffer, layer: str = "", into: dict[str, Buffer] | None = None, **attributes: float
    ) -> Any:
        """Add a call; outputs that are not given become temporaries.

        Parameters
        ----------
        name : str
            A kernel of the table.
        *inputs : Buffer
            In the order of the kernel's inputs.
        layer : str
            On whose behalf; also the first part of new buffers' names.
        into : dict of str to Buffer, optional
            Buffers for outputs, by operand name. Operands that are updated in place need none.
        **attributes
            The row's attributes, where not the defaults.

        Returns
        -------
        Buffer or tuple of Buffer
            The outputs.

        Raises
        ------
        ProgramError
            If the kernel has no such inputs, outputs or attributes.
        """
        kernel = KERNELS[name]
        if len(inputs) != len(kernel.inputs):
            raise ProgramError(f"{name} takes {len(kernel.inputs)} inputs, got {len(inputs)}")
        for attribute in attributes:
            if attribute not in kernel.attributes:
                raise ProgramError(f"{name} has no attribute {attribute!r}{suggest(attribute, kernel.attributes)}")
        given = {o.name: b for o, b in zip(kernel.inputs, inputs, strict=True)}
        made = [o.name for o in kernel.outputs if o.name not in given]
        for output in into or ():
            if output not in made:
                what = ", ".join(made) or "nothing"
                raise ProgramError(f"{name} makes no {output!r}, which into has; it makes {what}")
        given.update(into or {})
        known = [given.get(o.name) for o in kernel.operands]
        probes = [kernel.sizes([None if b is None else b.resolve(*p) for b in known]) for p in _PROBES]
        like = next((given[o.name].shape for o in kernel.inputs if o.dims == ("n",)), None)
        for operand in kernel.outputs:
            if operand.name not in given:
                low, high = (kernel.shape(operand, sizes, like) for sizes in probes)
                # a length that differs between the probes is that of the batch or of the data set
                varies = dict(zip(_PROBES[0], (BATCH, ROWS), strict=True))
                shape = [a if a == b else varies[a] for a, b in zip(low, high, strict=True)]
                given[operand.name] = self.buffer(f"{layer}.{operand.name}", shape, operand.dtype)
        buffers = tuple(given[o.name] for o in kernel.operands)
        self.calls.append(Call(kernel, buffers, {**kernel.attributes, **attributes}, self.phase, layer))
        outputs = tuple(given[o.name] for o in kernel.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def later(self, function: Callable[[], None]) -> None:
        """Let a function add calls to the update phase: what changes a layer's statistics.

        From there on a step runs to its end, so that statistics and parameters change together or not at all.

        Parameters
        ----------
        function : callable
            Without arguments.
        """
        self.deferred.append(function)

    def find(self, name: str) -> Buffer:
        """Return the buffer of that name.

        Parameters
        ----------
        name : str

        Returns
        -------
        Buffer

        Raises
        ------
        KeyError
            If there is none.
        """
        for buffer in self.buffers:
            if buffer.name == name:
                return buffer
        raise KeyError(f"no buffer {name!r}{suggest(name, [b.name for b in self.buffers])}")

    def span(self, first: str, last: str | None = None) -> tuple[int, int]:
        """Return the calls of phases `first` to `last` as a range (start, stop).

        Parameters
        ----------
        first : str
            A phase, see `Call`.
        last : str, optional
            By default `first`.

        Returns
        -------
        start, stop : int
            Both 0 where there are none.
        """
        at = [i for i, call in enumerate(self.calls) if call.phase in (first, last or first)]
        return (at[0], at[-1] + 1) if at else (0, 0)

    @property
    def commit(self) -> int:
        """The first call that writes parameters or state: from there on a step runs to its end."""
        return next((i for i, call in enumerate(self.calls) if call.phase == "update"), len(self.calls))

    # ------------------------------------------------------------------ memory

    def itemsize(self, buffer: Buffer) -> int:
        """Return the bytes of one element.

        Parameters
        ----------
        buffer : Buffer

        Returns
        -------
        int
        """
        return _ITEMSIZE[self.dtype if buffer.dtype == "real" else buffer.dtype]

    def nbytes(self, buffer: Buffer, batch: int, rows: int = 0) -> int:
        """Return the bytes of a buffer for given lengths.

        Parameters
        ----------
        buffer : Buffer
        batch, rows : int
            The lengths that `BATCH` and `ROWS` stand for.

        Returns
        -------
        int
        """
        return buffer.size(batch, rows) * self.itemsize(buffer)

    def role_bytes(self, role: str, batch: int) -> int:
        """Return the bytes of all buffers of one role, views not counted.

        Parameters
        ----------
        role : str
            As of a `Buffer`.
        batch : int
            The length that `BATCH` stands for.

        Returns
        -------
        int
        """
        return sum(self.nbytes(b, batch) for b in self.buffers if b.role == role and b.parent is None)

    def plan(self, batch: int, keep: bool = False) -> Plan:
        """Plan the arena for batches of up to `batch` rows.

        Two temporaries share memory if one is last read before the other is first written; an output
        takes its input's place where the kernel's row allows it and nobody reads the input later.

        Parameters
        ----------
        batch : int
        keep : bool
            Share nothing, so that every intermediate result can be looked at afterwards.

        Returns
        -------
        Plan
        """
        life: dict[Buffer, list[int]] = {}
        for i, call in enumerate(self.calls):
            for buffer in call.buffers:
                if buffer.role == "temporary":
                    life.setdefault(buffer.root, [i, i])[1] = i
        groups = {buffer: [buffer] for buffer in life}
        if not keep:
            for i, call in enumerate(self.calls):
                self._merge(i, call, life, groups, batch)
        unique = {id(g): g for g in groups.values()}.values()
        pieces = [(self.nbytes(g[0], batch), min(life[b][0] for b in g), max(life[b][1] for b in g), g) for g in unique]
        pieces.sort(key=lambda p: (-p[0], p[1]))
        placed: list[tuple[int, int, int, int]] = []
        offsets: dict[Buffer, int] = {}
        nbytes = unshared = 0
        for size, first, last, group in pieces:
            size = -(-size // _ALIGNMENT) * _ALIGNMENT
            at = 0
            for start, end, begin, finish in sorted(placed):
                if (keep or (begin <= last and first <= finish)) and start < at + size and at < end:
                    at = end
            placed.append((at, at + size, first, last))
            offsets.update((b, at) for b in group)
            nbytes = max(nbytes, at + size)
            unshared += size * len(group)
        return Plan(batch, offsets, nbytes, unshared)

    def _merge(
        self, i: int, call: Call, life: dict[Buffer, list[int]], groups: dict[Buffer, list[Buffer]], batch: int
    ) -> None:
        named = call.named()
        for output, operand in call.kernel.inplace:
            out, source = named[output].root, named[operand].root
            if out not in life or source not in life or groups[out] is groups[source]:
                continue
            dies_here = max(life[b][1] for b in groups[source]) == i
            born_here = min(life[b][0] for b in groups[out]) == i
            if dies_here and born_here and self.nbytes(out, batch) == self.nbytes(source, batch):
                merged = groups[source] + groups[out]
                groups.update((b, merged) for b in merged)
                return

    # ------------------------------------------------------------------ rules

    def verify(self, plan: Plan | None = None) -> None:
        """Check the program without running it.

        Every buffer is written before it is read, and no value is overwritten that nobody read; shapes and
        dtypes agree, no call writes a buffer that it also reads unless the kernel's row allows it, and (with
        `plan`) no two buffers that live at the same time share memory.

        Parameters
        ----------
        plan : Plan, optional

        Raises
        ------
        ProgramError
            The message names the call and the buffer.
        """
        written: dict[Buffer, int] = {}
        last_read: dict[Buffer, int] = {}
        unread: dict[Buffer, list[Buffer]] = {}  # values by the array in which they lie, in order
        for i, call in enumerate(self.calls):
            last_read.update((b.root, i) for b in call.reads)
        for i, call in enumerate(self.calls):
            where = f"call {i}, {call!r}"
            for operand, buffer in zip(call.kernel.operands, call.buffers, strict=True):
                if operand.dtype != buffer.dtype:
                    raise ProgramError(f"{where}: {operand!r} is given {buffer!r} of type {buffer.dtype}")
            try:
                for probe in _PROBES:
                    call.sizes(*probe)
            except ValueError as error:
                raise ProgramError(f"{where}: {error}") from None
            for buffer in call.reads:
                missing = self._unwritten(buffer.root, written)
                if missing:
                    raise ProgramError(f"{where}: {missing} is read before it is written")
                values = unread.get(buffer.parent or buffer.root, [])
                del values[self._overlapping(values, buffer)]
            self._verify_alias(where, call)
            for buffer in call.writes:
                if buffer.role == "input" and call.phase != "gather":
                    raise ProgramError(f"{where}: writes the input {buffer!r}")
                values = unread.setdefault(buffer.parent or buffer.root, [])
                at = self._overlapping(values, buffer)
                if values[at]:
                    raise ProgramError(f"{where}: {values[at][0]!r} is written again before its value was read")
                values.insert(at.start, buffer)
                written[buffer.root] = i
            if plan is not None:
                self._verify_memory(i, where, call, plan, written, last_read)

    def _unwritten(self, buffer: Buffer, written: dict[Buffer, int]) -> str | None:
        if buffer.role in ("input", "parameter", "state") or buffer in written:
            return None
        root, at, end = buffer.parent or buffer, buffer.offset, buffer.offset + buffer.size(1)
        parts = [b for b in self.buffers if b.parent is root and b is not buffer] if buffer.role == "gradient" else []
        # gradients are written parameter by parameter; those of layers that are not trained stay 0
        ready = {b.offset: b for b in parts if b in written or b.role == "state"}
        while at in ready and at < end:
            at += ready[at].size(1)
        if parts and at >= end:
            return None
        missing = next((b for b in parts if b.offset == at), None)
        return repr(buffer) if not parts else f"a part of {buffer!r}" if missing is None else repr(missing)

    @staticmethod
    def _overlapping(values: list[Buffer], buffer: Buffer) -> slice:
        """Return which of some values of one array, in order and apart, a buffer overlaps."""
        first = bisect_right(values, buffer.offset, key=lambda value: value.offset + value.size(1))
        return slice(first, bisect_left(values, buffer.offset + buffer.size(1), first, key=lambda value: value.offset))

    @staticmethod
    def _overlap(a: Buffer, b: Buffer) -> bool:
        if a is b:
            return True
        roots = [x.parent or x.root for x in (a, b)]
        if roots[0] is not roots[1]:
            return False
        spans = [(x.offset, x.offset + x.size(1)) for x in (a, b)]
        return spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]

    def _verify_alias(self, where: str, call: Call) -> None:
        named = call.named()
        allowed = {frozenset(pair) for pair in call.kernel.inplace}
        for operand in call.kernel.outputs:
            for other, buffer in named.items():
                clash = other != operand.name and self._overlap(named[operand.name], buffer)
                if clash and frozenset((operand.name, other)) not in allowed:
                    raise ProgramError(f"{where}: {operand.name} and {other} may not be one buffer")

    def _verify_memory(
        self, i: int, where: str, call: Call, plan: Plan, written: dict[Buffer, int], last_read: dict[Buffer, int]
    ) -> None:
        named = call.named()
        allowed = {frozenset(pair) for pair in call.kernel.inplace}
        for operand in call.kernel.outputs:
            out = named[operand.name].root
            if out not in plan.offsets:
                continue
            for other in plan.offsets:
                alive = other is not out and other in written and last_read.get(other, -1) >= i
                if not alive or not self._share(out, other, plan):
                    continue
                names = [name for name, buffer in named.items() if buffer.root is other]
                in_place = any(frozenset((operand.name, name)) in allowed for name in names)
                if not (in_place and last_read[other] == i):
                    raise ProgramError(f"{where}: {out!r} would overwrite {other!r}, which is still to be read")

    def _share(self, a: Buffer, b: Buffer, plan: Plan) -> bool:
        spans = [(plan.offsets[x], plan.offsets[x] + self.nbytes(x, plan.batch)) for x in (a, b)]
        return spans[0][0] < spans[1][1] and spans[1][0] < spans[0][1]

    # ------------------------------------------------------------------ looking and running

    def __str__(self) -> str:
        batch = self.executor.plan.batch if self.executor else 1
        plan = self.executor.plan if self.executor else self.plan(batch)
        rows = [("#", "phase", "layer", "call", "inputs", "outputs", "bytes")]
        for i, call in enumerate(self.calls):
            moved = sum(self.nbytes(b, batch, batch) for b in dict.fromkeys(call.reads + call.writes))
            rows.append(
                (
                    str(i),
                    call.phase,
                    call.layer,
                    call.kernel.name,
                    ", ".join(map(repr, call.reads)),
                    ", ".join(map(repr, call.writes)),
                    f"{moved:,}",
                )
            )
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row[:-1], widths, strict=False))
            + "  "
            + row[-1].rjust(widths[-1])
            for row in rows
        ]
        held = ", ".join(f"{role}s {self.role_bytes(role, batch):,}" for role in ("parameter", "gradient"))
        lines.append("")
        numerics = ", portable numerics" if self.numerics == "portable" else ""
        lines.append(
            f"{self.dtype}{numerics}, {len(self.calls)} calls, batch {batch}; bytes: {held}, "
            f"state {self.role_bytes('state', batch):,}, arena {plan.nbytes:,} "
            f"(unshared {plan.unshared:,})"
        )
        return "\n".join(lines)

    def run(self, check: str | None = None) -> None:
        """Run all calls after the gathering once, on the data that the executor holds.

        Parameters
        ----------
        check : {None, "numpy"}
            "numpy" runs every call on the reference as well and compares the bits.

        Raises
        ------
        AssertionError
            With ``check="numpy"``, at the first call whose bits differ; the message names it.
        """
        self._bound().run_program(check)

    def profile(self, repeat: int = 100) -> Profile:
        """Time each call; parameters and optimizer state are left as they were.

        Parameters
        ----------
        repeat : int
            Times are medians of so many runs.

        Returns
        -------
        Profile
            Its rows are ``(call, seconds, bytes)``; `print` shows a table.
        """
        return self._bound().profile(repeat)

    def _bound(self) -> Executor:
        if self.executor is None:
            raise RuntimeError("this program has no executor; compile a model, then use model.program")
        return self.executor
