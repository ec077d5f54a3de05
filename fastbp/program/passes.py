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


def _own(buffer: Buffer) -> bool:
    """Whether a buffer is the program's: another one of the same contents does as well."""
    return buffer.root.parent is None and buffer.role in ("temporary", "result")


def fuse_relu(program: CallList, kept: Container[Buffer]) -> None:
    """Let `dense` apply the relu that follows it, where nobody else reads what lies between."""
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
        if following.kernel.name == "relu_forward" and not others and z not in kept and _own(z):
            y = following.buffers[-1].root
            if _own(y):
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
    changing = {b for b, n in writers.items() if n > 1 or b.role not in ("temporary", "result", "input")}
    known: dict[object, tuple[Buffer, ...]] = {}
    names: dict[Buffer, Buffer] = {}
    gone = set()
    for i, call in enumerate(program.calls):
        inputs, outputs = call.reads, call.writes
        steady = not call.kernel.updates and not any(b.owner in changing for b in inputs)
        if not (steady and outputs and all(map(_own, outputs))):
            continue
        operands = tuple([(names.get(b.root, b.root), b.shape) for b in inputs])
        first = known.setdefault((call.kernel, call.layer, operands, tuple(call.attributes.items())), outputs)
        if first is not outputs:
            names.update(zip(outputs, first, strict=True))
            gone.add(i)
    program.drop(gone, names)


#: In the order in which they run.
PASSES: tuple[Pass, ...] = (fuse_relu, share_calls)
