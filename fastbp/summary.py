"""The layers of a model as a table."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .graph import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .compiler import Layout
    from .graph import Graph, Group, Use

__all__ = ["as_html", "as_text"]

#: So many uses of layers a notebook draws, at most: more would be no picture any more.
_MOST = 150


def _namer(graph: Graph) -> Callable[[int, int], str]:
    """Return what says how the table calls a tensor where it stands in a group.

    An input goes by its name, all else by what makes it, and where that is in another group by the name of that.
    """
    around: dict[int, list[int]] = {-1: []}  # from outside to inside
    for k, group in enumerate(graph.groups):
        around[k] = [*around[group.group], k]
    makers = {tensor: use for use in graph.uses for tensor in use.outputs}

    def name(tensor: int, group: int) -> str:
        if tensor not in makers:
            return graph.ports[graph.inputs.index(tensor)].name
        use = makers[tensor]
        found: Use | Group = use
        for k in around[use.group]:
            if k not in around[group]:
                found = graph.groups[k]
                break
        several = len(found.outputs) > 1
        return f"{found.name}[{found.outputs.index(tensor)}]" if several else found.name

    return name


def _table(layout: Layout, dtype: str) -> tuple[list[tuple[str, ...]], str]:
    """Return a row for each use of a layer, below the names of the columns, and how many parameters there are.

    What it takes is told where that is not the output of the row before. Of a group there is a row, too, and what is in
    it stands below, further right. A layer's parameters are counted where it is used first.
    """
    graph = layout.graph
    name, chain = _namer(graph), graph.chain
    rows: list[tuple[str, ...]] = []
    before: tuple[int, ...] = graph.inputs
    if not chain:
        rows += [(port.name, "Input", graph.batches([k]), "", "") for k, port in enumerate(graph.ports)]
        before = graph.inputs[-1:]
    begun, seen, depths = 0, set[int](), {-1: 0}

    def told(inputs: tuple[int, ...], group: int) -> str:
        return "" if inputs == before else ", ".join(name(tensor, group) for tensor in inputs)

    for use in graph.uses:
        # the groups that begin here
        while begun < len(graph.groups) and use.group >= begun:
            group = graph.groups[begun]
            row = "  " * depths[group.group] + group.name, kind_of(group.layer), graph.batches(group.outputs), ""
            rows.append((*row, told(group.inputs, group.group)))
            depths[begun] = depths[group.group] + 1
            before, begun = group.inputs, begun + 1
        n = "" if use.layer in seen else f"{sum(prod(e.shape) for e in layout.entries if e.layer == use.layer):,}"
        seen.add(use.layer)
        row = "  " * depths[use.group] + use.name, kind_of(graph.layers[use.layer]), graph.batches(use.outputs), n
        rows.append((*row, told(use.inputs, use.group)))
        before = use.outputs
    if len(graph.outputs) > 1 or graph.extras:
        ends = [(port.name, "Output", tensor) for port, tensor in zip(graph.results, graph.outputs, strict=True)]
        ends += [(f"loss_{k}", f"Loss({factor:g})", tensor) for k, (tensor, factor) in enumerate(graph.extras, 1)]
        rows += [(called, kind, graph.batches([tensor]), "", name(tensor, -1)) for called, kind, tensor in ends]
    columns = ("layer", "kind", "output", "parameters", "takes")
    width = 4 if chain else 5
    itemsize = {"float32": 4, "float64": 8}[dtype]
    total = f"{layout.n:,} parameters, {layout.n * itemsize:,} bytes in {dtype}"
    return [row[:width] for row in (columns, *rows)], total


def as_text(layout: Layout, dtype: str) -> str:
    """Return what `Model.summary` prints.

    Parameters
    ----------
    layout : Layout
    dtype : {"float32", "float64"}

    Returns
    -------
    str
    """
    rows, total = _table(layout, dtype)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [*(cell.ljust(w) for cell, w in zip(row[:3], widths, strict=False)), row[3].rjust(widths[3]), *row[4:]]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([*lines, total])


def as_html(layers: Sequence[Any], layout: Layout | None, dtype: str, why: str = "") -> str:
    """Return the same for a notebook, with a drawing below where it is no chain; without a layout shapes are left open.

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
    from .drawing import Sketch, as_svg
    from .html import table

    if layout is None:
        rows = [
            ("layer", "kind", "output", "parameters"),
            *[(layer.name, kind_of(layer), "?", "?") for layer in layers],
        ]
        return table(rows, why)
    drawn = not layout.graph.chain and len(layout.graph.uses) <= _MOST
    return table(*_table(layout, dtype)) + (as_svg(Sketch(layout.graph)) if drawn else "")
