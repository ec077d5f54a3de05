"""Passes: they make a program shorter and move no bit.

A pass takes a program and the buffers that somebody looks at from outside; the compiler runs those it is given, by
default `PASSES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from .ir import Buffer, CallList

    Pass = Callable[[CallList, Container[Buffer]], None]

__all__ = ["PASSES", "fuse_relu", "share_calls"]


def _replaceable(program: CallList) -> Callable[[Buffer], bool]:
    """Return whether another buffer of the same contents does as well: the program's own, all of it, and no view."""
    viewed = {buffer.parent for buffer in program.buffers}
    return lambda b: b.root.parent is None and b.root not in viewed and b.role in ("temporary", "result")


def fuse_relu(program: CallList, kept: Container[Buffer]) -> None:
    """Let `dense` apply the relu that follows it, where nobody else reads what lies between."""
    own = _replaceable(program)
    uses: dict[Buffer, list[int]] = {}
    for i, call in enumerate(program.calls):
        for buffer in call.buffers:
            uses.setdefault(buffer.root, []).append(i)
    names: dict[Buffer, Buffer] = {}
    gone = set()
    for i, call in enumerate(program.calls):
        if call.kernel.name != "dense" or call.attributes["relu"]:
            continue
        z = call.buffers[-1].root
        at, *others = uses[z][1:] or [i]
        following = program.calls[at]
        inside = z.role == "temporary" and own(z) and z not in kept and not others
        if inside and following.kernel.name == "relu_forward" and own(y := following.buffers[-1].root):
            call.attributes["relu"] = 1.0
            names[y] = z
            gone.add(at)
    program.drop(gone, names)


def share_calls(program: CallList, kept: Container[Buffer]) -> None:
    """Make what several metrics, or groups of parameters, need of one kernel and the same operands only once."""
    writers: dict[Buffer, int] = {}
    for call in program.calls:
        for buffer in call.writes:
            writers[buffer.owner] = writers.get(buffer.owner, 0) + 1
    own = _replaceable(program)
    changing = {b for b, n in writers.items() if n > 1 or b.role not in ("temporary", "result", "input")}
    known: dict[object, tuple[Buffer, ...]] = {}
    names: dict[Buffer, Buffer] = {}
    gone = set()
    for i, call in enumerate(program.calls):
        inputs, outputs = call.reads, call.writes
        steady = not any(b.owner in changing for b in call.buffers)
        if not (steady and outputs and all(map(own, outputs))):
            continue
        operands = tuple([(names.get(b.root, b.root), b.shape) for b in inputs])
        first = known.setdefault((call.kernel, call.layer, operands, tuple(call.attributes.items())), outputs)
        if first is not outputs:
            names.update(zip(outputs, first, strict=True))
            gone.add(i)
    program.drop(gone, names)


#: In the order in which they run.
PASSES: tuple[Pass, ...] = (fuse_relu, share_calls)
