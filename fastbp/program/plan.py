"""Where the temporaries of a program lie: memory is shared by those that are not needed at the same time."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from .ir import may_lie

if TYPE_CHECKING:
    from .ir import Buffer, Call, CallList

__all__ = ["LINE", "Plan", "plan_arena"]

LINE = 64  # bytes: a cache line, and the widest vector
#: Up to so many groups the largest is placed first, in quadratic time (some 15 ms): of few it takes less memory.
_LARGEST_FIRST = 1000


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


class _Group:
    """Buffers that lie in the same place one after the other, from the call that first writes to the last use."""

    __slots__ = ("buffers", "first", "last", "nbytes", "size")

    def __init__(self, buffer: Buffer, call: int, nbytes: int) -> None:
        self.buffers, self.first, self.last, self.nbytes = [buffer], call, call, nbytes
        self.size = -(-nbytes // LINE) * LINE


def plan_arena(program: CallList, batch: int, keep: bool = False) -> Plan:
    """Return a plan; see `Program.plan`."""
    groups: dict[Buffer, _Group] = {}
    for i, call in enumerate(program.calls):
        for buffer in call.buffers:
            owner = buffer.owner
            group = groups.get(owner)
            if group is not None:
                group.last = i
            elif owner.role == "temporary":
                groups[owner] = _Group(owner, i, program.nbytes(owner, batch))
    if not keep:
        for i, call in enumerate(program.calls):
            _take_place(i, call, groups)
    unique = list(dict.fromkeys(groups.values()))
    places = _apart(unique) if keep else _largest_first(unique) if len(unique) <= _LARGEST_FIRST else _in_order(unique)
    offsets = {b: places[group] for b, group in groups.items()}
    nbytes = max((at + group.size for group, at in places.items()), default=0)
    return Plan(batch, offsets, nbytes, sum(group.size * len(group.buffers) for group in unique))


def _take_place(i: int, call: Call, groups: dict[Buffer, _Group]) -> None:
    """Let an output of a call lie where one of its inputs does, if the kernel allows it and nobody reads that later."""
    if not call.kernel.inplace:
        return
    named = call.named()
    for output, operand in call.kernel.inplace:
        if not may_lie(call.kernel, named, output, named[operand].root):
            continue
        out, source = groups.get(named[output].root), groups.get(named[operand].root)
        if out is None or source is None or out is source:
            continue
        if source.last == i and out.first == i and out.nbytes == source.nbytes:
            source.buffers += out.buffers
            source.last = max(source.last, out.last)
            groups.update((buffer, source) for buffer in out.buffers)
            return


def _apart(groups: list[_Group]) -> dict[_Group, int]:
    places, at = {}, 0
    for group in sorted(groups, key=lambda g: (-g.nbytes, g.first)):
        places[group] = at
        at += group.size
    return places


def _largest_first(groups: list[_Group]) -> dict[_Group, int]:
    """Return the lowest place for each group, the largest first."""
    placed: list[tuple[int, int, int, int]] = []  # start, end, first, last
    places = {}
    for group in sorted(groups, key=lambda g: (-g.nbytes, g.first)):
        at = 0
        for start, end, first, last in placed:
            if first <= group.last and group.first <= last and start < at + group.size and at < end:
                at = end
        # in the order of their starts
        place = at, at + group.size, group.first, group.last
        placed.insert(bisect_left(placed, place), place)
        places[group] = at
    return places


def _in_order(groups: list[_Group]) -> dict[_Group, int]:
    """Return the lowest hole that fits for each group, as the calls come: in linear time but for the holes."""
    born: dict[int, list[_Group]] = {}
    gone: dict[int, list[_Group]] = {}
    for group in groups:
        born.setdefault(group.first, []).append(group)
        gone.setdefault(group.last, []).append(group)
    holes: list[tuple[int, int]] = []  # start and end, in order and apart
    places, top = {}, 0
    for i in sorted(born.keys() | gone.keys()):
        for group in born.get(i, ()):
            at = next((k for k, (start, end) in enumerate(holes) if end - start >= group.size), None)
            if at is not None:
                start, end = holes[at]
                holes[at : at + 1] = [(start + group.size, end)] if end - start > group.size else []
            else:
                # the last hole grows where it reaches the end
                start = holes.pop()[0] if holes and holes[-1][1] == top else top
                top = start + group.size
            places[group] = start
        for group in gone.get(i, ()):
            start, end = places[group], places[group] + group.size
            at = bisect_left(holes, (start, end))
            if at < len(holes) and holes[at][0] == end:
                end = holes.pop(at)[1]
            if at and holes[at - 1][1] == start:
                at -= 1
                start = holes.pop(at)[0]
            holes.insert(at, (start, end))
    return places
