"""The layers of a model as a table."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .compiler import Layout
    from .layers import Layer

__all__ = ["as_html", "as_text"]


def _table(layers: Sequence[Layer], layout: Layout | None, dtype: str) -> tuple[list[tuple[str, str, str, str]], str]:
    """Return a row for each layer, below the names of the columns, and how many parameters there are."""
    rows = [("layer", "kind", "output", "parameters")]
    for k, layer in enumerate(layers):
        activation = getattr(layer, "activation", "")
        kind = f"{type(layer).__name__}({getattr(activation, 'activation', activation)})"
        shape, n = "?", "?"
        if layout is not None:
            shape = str((None, *layout.shapes[k]))
            n = f"{sum(prod(entry.shape) for entry in layout.entries if entry.layer == k):,}"
        rows.append((layer.name or "", kind, shape, n))
    if layout is None:
        return rows, ""
    itemsize = {"float32": 4, "float64": 8}[dtype]
    return rows, f"{layout.n:,} parameters, {layout.n * itemsize:,} bytes in {dtype}"


def as_text(layers: Sequence[Layer], layout: Layout, dtype: str) -> str:
    """Return what `Sequential.summary` prints.

    Parameters
    ----------
    layers : sequence of Layer
    layout : Layout
    dtype : {"float32", "float64"}

    Returns
    -------
    str
    """
    rows, total = _table(layers, layout, dtype)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=False)), row[3].rjust(widths[3])])
        for row in rows
    ]
    return "\n".join([*lines, total])


def as_html(layers: Sequence[Layer], layout: Layout | None, dtype: str, why: str = "") -> str:
    """Return the same for a notebook; without a layout shapes are left open.

    Parameters
    ----------
    layers : sequence of Layer
    layout : Layout or None
    dtype : {"float32", "float64"}
    why : str
        Why there is no layout.

    Returns
    -------
    str
    """
    from .html import table

    rows, total = _table(layers, layout, dtype)
    return table(rows, total or why)
