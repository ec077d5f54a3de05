"""The listing of a program: what `print` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ir import CallList
    from .plan import Plan

__all__ = ["as_html", "listing"]


def _table(program: CallList, plan: Plan) -> tuple[list[tuple[str, ...]], str]:
    """Return a row for each call, below the names of the columns, and what memory they take."""
    batch = plan.batch
    rows: list[tuple[str, ...]] = [("#", "phase", "layer", "call", "inputs", "outputs", "bytes")]
    for i, call in enumerate(program.calls):
        reads, writes = call.reads, call.writes
        moved = sum(program.nbytes(b, batch, batch) for b in dict.fromkeys(reads + writes))
        operands = ", ".join(map(repr, reads)), ", ".join(map(repr, writes))
        rows.append((str(i), call.phase, call.layer, call.kernel.name, *operands, f"{moved:,}"))
    held = ", ".join(f"{role}s {program.role_bytes(role, batch):,}" for role in ("parameter", "gradient"))
    numerics = ", portable numerics" if program.numerics == "portable" else ""
    return rows, (
        f"{program.dtype}{numerics}, {len(program.calls)} calls, batch {batch}; bytes: {held}, "
        f"state {program.role_bytes('state', batch):,}, arena {plan.nbytes:,} (unshared {plan.unshared:,})"
    )


def listing(program: CallList, plan: Plan) -> str:
    """Return a table of the calls, and what memory they take, for batches of the plan's length."""
    rows, memory = _table(program, plan)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([cell.ljust(w) for cell, w in zip(row[:-1], widths[:-1], strict=True)] + [row[-1].rjust(widths[-1])])
        for row in rows
    ]
    return "\n".join([*lines, "", memory])


def as_html(program: CallList, plan: Plan) -> str:
    """Return the same for a notebook."""
    from ..html import table

    return table(*_table(program, plan))
