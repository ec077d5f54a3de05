"""The rules of a program, checked in one walk over its calls.

A part of memory is an interval of elements whose ends grow evenly with the batch. Two such intervals are apart for
every length of batch if the same one is in front for one row and for the longest batch: hence an interval is written
as its ends at both.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import TYPE_CHECKING, NamedTuple

from .ir import Length, ProgramError, at, may_lie, places, sizes_of

if TYPE_CHECKING:
    from .ir import Buffer, Call, CallList
    from .plan import Plan

__all__ = ["verify"]

#: The longest batch where there is no plan.
_BATCH = 1 << 20
#: Whose memory holds something before the first call.
_LASTING = ("input", "parameter", "state")


class _Part(NamedTuple):
    """From where to where a buffer lies in its owner's memory, for one row and for the longest batch."""

    start: int
    far_start: int
    end: int
    far_end: int

    def before(self, other: _Part) -> bool:
        """Whether it ends where the other begins, or before."""
        return self.end <= other.start and self.far_end <= other.far_start

    def holds(self, other: _Part) -> bool:
        """Whether all of the other is in it."""
        starts = self.start <= other.start and self.far_start <= other.far_start
        return starts and other.end <= self.end and other.far_end <= self.far_end


class _Parts:
    """Parts of one buffer's memory in order; neighbours that touch are one."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts: list[_Part] = []

    def hold(self, part: _Part) -> bool:
        """Return whether all of `part` is there."""
        k = bisect_right(self.parts, part.start, key=lambda p: p.start)
        nothing = (part.start, part.far_start) == (part.end, part.far_end)
        return nothing or (k > 0 and self.parts[k - 1].holds(part))

    def touch(self, part: _Part) -> bool:
        """Return whether some of `part` is there."""
        # those in front end in order, for one row and for many: the neighbours decide
        k = bisect_left(self.parts, part)
        clear = (k == 0 or self.parts[k - 1].before(part)) and (k == len(self.parts) or part.before(self.parts[k]))
        return not clear

    def add(self, part: _Part) -> None:
        """Add a part, which may overlap others."""
        start, far_start, end, far_end = part
        k = bisect_left(self.parts, part)
        while k and self.parts[k - 1].end >= start and self.parts[k - 1].far_end >= far_start:
            k -= 1
            last = self.parts.pop(k)
            start, far_start = min(start, last.start), min(far_start, last.far_start)
            end, far_end = max(end, last.end), max(far_end, last.far_end)
        while k < len(self.parts) and self.parts[k].start <= end and self.parts[k].far_start <= far_end:
            following = self.parts.pop(k)
            end, far_end = max(end, following.end), max(far_end, following.far_end)
        self.parts.insert(k, _Part(start, far_start, end, far_end))


class _Memory:
    """The arena: which temporaries hold something now, in the order of their addresses."""

    def __init__(self, program: CallList, plan: Plan) -> None:
        self.spans = {b: (at, at + program.nbytes(b, plan.batch), b.number) for b, at in plan.offsets.items()}
        self.buffers = program.buffers
        self.alive: list[tuple[int, int, int]] = []
        self.last: dict[Buffer, int] = {}
        for i, call in enumerate(program.calls):
            for buffer in call.buffers:
                self.last[buffer.owner] = i
        self.dying: dict[int, list[Buffer]] = {}
        for buffer in self.spans:
            self.dying.setdefault(self.last.get(buffer, -1), []).append(buffer)

    def write(self, i: int, call: Call, where: int) -> None:
        """Let an operand of a call be written."""
        buffer = call.buffers[where].owner
        span = self.spans.get(buffer)
        if span is None:
            return
        k = bisect_left(self.alive, span)
        if self.alive[k : k + 1] == [span]:
            return
        start, end, _ = span
        while k and self.alive[k - 1][1] > start:
            k -= 1
        while k < len(self.alive) and self.alive[k][0] < end:
            other = self.buffers[self.alive[k][2]]
            # in place is all of it: a part would be overwritten before it is read
            same = self.alive[k][:2] == (start, end)
            output = call.kernel.operands[where].name
            if not (same and self.last[other] == i and may_lie(call.kernel, call.named(), output, other)):
                raise _error(i, call, f"{call.buffers[where]!r} would overwrite {other!r}, which is still to be read")
            del self.alive[k]  # it ends here
        insort(self.alive, span)

    def leave(self, i: int) -> None:
        """Let go of what no call after this one names."""
        for buffer in self.dying.get(i, ()):
            k = bisect_left(self.alive, self.spans[buffer])
            if self.alive[k : k + 1] == [self.spans[buffer]]:
                del self.alive[k]


def _error(i: int, call: Call, what: str) -> ProgramError:
    return ProgramError(f"call {i}, {call!r}: {what}")


def verify(program: CallList, plan: Plan | None = None) -> None:
    """Raise ProgramError where a rule is broken; see `Program.verify`."""
    _Walk(program, plan).calls()


class _Walk:
    def __init__(self, program: CallList, plan: Plan | None) -> None:
        self.program = program
        self.batch = _BATCH if plan is None else max(plan.batch, 1)
        self.memory = None if plan is None else _Memory(program, plan)
        self.parts: dict[Buffer, _Part] = {}
        self.sizes: dict[tuple[object, ...], tuple[int, int]] = {}  # of shapes, for one row and for the longest batch
        self.shapes: set[tuple[object, ...]] = set()  # whose lengths can be
        self.whole: set[Buffer] = set()  # written by one call, all of it
        self.ready: dict[Buffer, _Parts] = {}  # of each other owner what may be read
        self.written: dict[Buffer, _Parts] = {}  # and what calls wrote
        self.owned = set(program.buffers)
        for buffer in program.buffers:
            self.check_buffer(buffer)
            # the gradient of a layer that is not trained stays 0
            if buffer.parent is not None and buffer.role == "state" and buffer.parent.role == "gradient":
                self.ready.setdefault(buffer.parent, _Parts()).add(self.part(buffer))

    def calls(self) -> None:
        for i, call in enumerate(self.program.calls):
            self.check_operands(i, call)
            inputs, outputs = places(call.kernel)
            buffers = call.buffers
            for k in inputs:
                self.read(i, call, buffers[k])
            if len({b.owner for b in buffers}) < len(buffers):
                self.check_aliases(i, call)
            updated = {buffers[k].root for k in inputs}
            for k in outputs:
                self.write(i, call, buffers[k], buffers[k].root in updated)
            if self.memory is not None:
                for k in outputs:
                    self.memory.write(i, call, k)
                self.memory.leave(i)

    def part(self, buffer: Buffer) -> _Part:
        """Return where a buffer lies in its owner."""
        root = buffer.root
        found = self.parts.get(root)
        if found is None:
            size = self.sizes.get(root.shape)
            if size is None:
                size = self.sizes[root.shape] = root.size(1), root.size(self.batch, self.batch)
            offset = root.offset
            start, far = (0, 0) if offset == 0 else (at(offset, 1), at(offset, self.batch))
            found = self.parts[root] = _Part(start, far, start + size[0], far + size[1])
        return found

    def check_buffer(self, buffer: Buffer) -> None:
        """Raise ProgramError unless a buffer has lengths that can be, and lies inside of its parent."""
        wrong, parent = "", buffer.parent
        if buffer.shape not in self.shapes:
            for length in buffer.shape:
                if length.__class__ is int and length >= 0:
                    continue
                if isinstance(length, Length) and not (length.per_row > 0 and length.of in ("batch", "rows")):
                    wrong = f"{length!r} is no length"
                elif at(length, 1, 1) < 0:
                    wrong = f"{length!r} is negative"
            self.shapes.add(buffer.shape)
        if parent is not None and not wrong:
            if parent not in self.owned:
                wrong = f"its parent {parent!r} is no buffer of this program"
            elif parent.dtype != buffer.dtype:
                wrong = f"of type {buffer.dtype}, is a view of {parent!r} of type {parent.dtype}"
            else:
                part = self.part(buffer)
                if min(part.start, part.far_start) < 0 or not self.part(parent).holds(part):
                    wrong = f"it begins at {buffer.offset!r} and does not lie in {parent!r}"
        if wrong:
            raise ProgramError(f"buffer {buffer.number}, {buffer!r}: {wrong}")

    def check_operands(self, i: int, call: Call) -> None:
        if not self.owned.issuperset([b.root for b in call.buffers]):
            foreign = next(b for b in call.buffers if b.root not in self.owned)
            raise _error(i, call, f"{foreign!r} is no buffer of this program")
        for operand, buffer in zip(call.kernel.operands, call.buffers, strict=True):
            if operand.dtype != buffer.dtype:
                raise _error(i, call, f"{operand!r} is given {buffer!r} of type {buffer.dtype}")
        try:
            sizes_of(call.kernel, tuple([b.shape for b in call.buffers]), call.attributes)
        except ValueError as error:
            raise _error(i, call, str(error)) from None

    def read(self, i: int, call: Call, buffer: Buffer) -> None:
        owner = buffer.owner
        if owner in self.whole or owner.role in _LASTING or buffer.role in _LASTING:
            return
        ready = self.ready.get(owner) or _Parts()
        if not ready.hold(self.part(buffer)):
            raise _error(i, call, f"{self.missing(buffer, ready)} is read before it is written")

    def missing(self, buffer: Buffer, ready: _Parts) -> str:
        """Return what of a buffer was not written."""
        whole = self.part(buffer)
        views = [b for b in self.program.buffers if b.parent is buffer.owner and whole.holds(self.part(b))]
        lost = next((b for b in views if not ready.hold(self.part(b))), None)
        if lost is not None:
            return repr(lost)
        return f"a part of {buffer.root!r}" if ready.touch(whole) else repr(buffer.root)

    def write(self, i: int, call: Call, buffer: Buffer, updates: bool) -> None:
        owner = buffer.owner
        if call.phase != "gather" and "input" in (buffer.role, owner.role):
            raise _error(i, call, f"writes the input {buffer!r}")
        whole, written = owner in self.whole, self.written.get(owner)
        if not updates and (whole or (written is not None and written.touch(self.part(buffer)))):
            raise _error(i, call, f"{self.first(i, buffer)}; after that only calls that read it too may change it")
        if whole:
            return
        if written is None:
            if buffer.root is owner and owner not in self.ready:
                self.whole.add(owner)
                return
            written = self.written[owner] = _Parts()
        written.add(self.part(buffer))
        self.ready.setdefault(owner, _Parts()).add(self.part(buffer))

    def first(self, i: int, buffer: Buffer) -> str:
        """Return by which call a buffer, or some of it, was written before call `i`."""
        part = self.part(buffer)
        for j, call in enumerate(self.program.calls[:i]):
            for other in call.writes:
                there = self.part(other)
                if other.owner is buffer.owner and not (there.before(part) or part.before(there)):
                    return f"{buffer!r} is written again: call {j} wrote {other!r}"
        raise AssertionError("no call wrote it")

    def check_aliases(self, i: int, call: Call) -> None:
        named, allowed = call.named(), call.kernel.inplace
        for output in call.kernel.outputs:
            buffer = named[output.name]
            for name, other in named.items():
                if name == output.name or other.owner is not buffer.owner:
                    continue
                a, b = self.part(buffer), self.part(other)
                in_place = a == b and ((output.name, name) in allowed or (name, output.name) in allowed)
                if not (in_place or a.before(b) or b.before(a)):
                    raise _error(i, call, f"{output.name} and {name} may not be one buffer")
