"""Graphs of models as text for Mermaid and graphviz, and as a picture that needs neither."""

from __future__ import annotations

import importlib.util
import shutil
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .checks import as_path, check_name, integer
from .graph import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from .graph import Graph

__all__ = ["Box", "Drawing", "Sketch", "as_dot", "as_mermaid", "as_svg", "draw"]

#: Who writes files of which endings; an SVG picture both can.
_WRITERS = {
    ".svg": ("graphviz", "mermaid"),
    ".png": ("graphviz",),
    ".pdf": ("graphviz",),
    ".mmd": ("mermaid",),
    ".md": ("mermaid",),
    ".gv": ("graphviz",),
    ".dot": ("graphviz",),
}


class Box(NamedTuple):
    """What is drawn as one box: a key, what it is ("input", "use", "group", "output"), lines, and the group around."""

    key: str
    what: str
    lines: tuple[str, ...]
    group: int


class Sketch:
    """What is drawn of a graph.

    Parameters
    ----------
    graph : Graph
    depth : int, optional
        How many levels of what is made of other layers are opened; by default all.

    Attributes
    ----------
    boxes : list of Box
        Inputs, uses of layers, closed groups and outputs; each stands behind those that lead to it.
    groups : dict of int to Box
        Those that are open, by number.
    edges : list of (str, str)
        Keys of boxes.
    """

    def __init__(self, graph: Graph, depth: int | None = None) -> None:
        self.boxes: list[Box] = []
        self.groups: dict[int, Box] = {}
        levels, shut = {-1: 0}, dict[int, int]()  # of the groups in closed ones: the outermost closed one
        for k, group in enumerate(graph.groups):
            levels[k] = levels[group.group] + 1
            lines: tuple[str, ...] = group.name, kind_of(group.layer), graph.batches(group.outputs)
            box = Box(f"g{k}", "group", lines, group.group)
            if group.group in shut:
                shut[k] = shut[group.group]
            elif depth is not None and levels[k] > depth:
                shut[k] = k
            else:
                self.groups[k] = box
        made: dict[int, str] = {}
        edges: dict[tuple[str, str], None] = {}
        for k, port in enumerate(graph.ports):
            self.boxes.append(Box(f"i{k}", "input", (port.name, "Input", graph.batches([k])), -1))
            made[k] = f"i{k}"
        for k, use in enumerate(graph.uses):
            key = f"u{k}"
            if use.group in shut:
                closed = shut[use.group]
                group = graph.groups[closed]
                key, lines = f"g{closed}", (group.name, kind_of(group.layer), graph.batches(group.outputs))
                box = Box(key, "group", lines, group.group)
            else:
                lines = use.name, kind_of(graph.layers[use.layer]), graph.batches(use.outputs)
                box = Box(key, "use", lines, use.group)
            if box not in self.boxes[-1:]:
                self.boxes.append(box)
            edges.update(((made[tensor], key), None) for tensor in use.inputs if made[tensor] != key)
            made.update((tensor, key) for tensor in use.outputs)
        ends = [(f"o{k}", graph.results[k].name, "Output", tensor) for k, tensor in enumerate(graph.outputs)]
        for k, (tensor, factor) in enumerate(graph.extras, 1):
            ends.append((f"l{k}", f"loss_{k}", f"Loss({factor:g})", tensor))
        for key, name, kind, tensor in ends:
            self.boxes.append(Box(key, "output", (name, kind, graph.batches([tensor])), -1))
            edges[made[tensor], key] = None
        self.edges = list(edges)

    def within(self, group: int = -1) -> Iterator[Box | int]:
        """Yield the boxes that lie in a group and in no other one within it, and the numbers of those others."""
        seen = set()
        for box in self.boxes:
            inner = box.group
            while inner not in (group, -1) and self.groups[inner].group != group:
                inner = self.groups[inner].group
            if inner == group:
                yield box
            elif inner != -1 and inner not in seen:
                seen.add(inner)
                yield inner


class Drawing(str):
    """A graph in Mermaid's words; a notebook shows the picture.

    Attributes
    ----------
    sketch : Sketch
        Of which that is made when it is asked for.
    """

    __slots__ = ("sketch",)

    sketch: Sketch

    def __new__(cls, text: str, sketch: Sketch) -> Drawing:
        self = super().__new__(cls, text)
        self.sketch = sketch
        return self

    def __reduce__(self) -> tuple[type[Drawing], tuple[str, Sketch]]:
        return Drawing, (str(self), self.sketch)

    def _repr_html_(self) -> str:
        return as_svg(self.sketch)


def as_mermaid(sketch: Sketch, direction: str = "TB") -> str:
    """Return a graph in Mermaid's words.

    Parameters
    ----------
    sketch : Sketch
    direction : {"TB", "LR"}

    Returns
    -------
    str
    """
    ends = {"input": ("([", "])"), "output": ("([", "])"), "use": ("[", "]"), "group": ("[[", "]]")}

    def quoted(lines: Sequence[str]) -> str:
        # a # begins an entity in Mermaid
        text = "<br>".join(escape(line.replace("#", "#35;"), quote=False) for line in lines)
        return '"' + text.replace('"', "#quot;") + '"'

    def lines(group: int, margin: str) -> Iterator[str]:
        for item in sketch.within(group):
            if isinstance(item, Box):
                left, right = ends[item.what]
                yield f"{margin}{item.key}{left}{quoted(item.lines)}{right}"
            else:
                box = sketch.groups[item]
                yield f"{margin}subgraph {box.key} [{quoted([': '.join(box.lines[:2])])}]"
                yield from lines(item, margin + "    ")
                yield f"{margin}end"

    edges = [f"    {one} --> {other}" for one, other in sketch.edges]
    return "\n".join([f"flowchart {direction}", *lines(-1, "    "), *edges, ""])


def as_dot(sketch: Sketch, direction: str = "TB") -> str:
    """Return a graph in the language of graphviz.

    Parameters
    ----------
    sketch : Sketch
    direction : {"TB", "LR"}

    Returns
    -------
    str
    """

    def quoted(lines: Sequence[str]) -> str:
        text = "\\n".join(line.replace("\\", "\\\\") for line in lines)
        return '"' + text.replace('"', '\\"') + '"'

    looks = {"input": ', style="rounded"', "output": ', style="rounded"', "use": "", "group": ", peripheries=2"}

    def lines(group: int, margin: str) -> Iterator[str]:
        for item in sketch.within(group):
            if isinstance(item, Box):
                yield f"{margin}{item.key} [label={quoted(item.lines)}{looks[item.what]}]"
            else:
                box = sketch.groups[item]
                yield f"{margin}subgraph cluster_{box.key} {{"
                yield f'{margin}    label={quoted([": ".join(box.lines[:2])])}; style="rounded,dashed"'
                yield from lines(item, margin + "    ")
                yield f"{margin}}}"

    font = 'fontname="Helvetica", fontsize=11'
    head = [
        "digraph model {",
        f"    graph [rankdir={direction}, {font}]",
        f"    node [shape=box, {font}]",
    ]
    edges = [f"    {one} -> {other}" for one, other in sketch.edges]
    return "\n".join([*head, *lines(-1, "    "), *edges, "}", ""])


#: Pixels: the height of a line, from row to row, from box to box, and around what is in a group.
_LINE, _DOWN, _BESIDE, _MARGIN = 14, 26, 18, 10


class _Item:
    """A box, or a group and the level within; x is its middle and y its upper edge, on the level that it is on."""

    def __init__(self, lines: Sequence[str], level: _Level | None = None) -> None:
        wide = max((6.9 if k == 0 else 6.3) * len(line) for k, line in enumerate(lines)) if lines else 0.0
        self.lines, self.level, self.x, self.y, self.rank = lines, level, 0.0, 0.0, 0
        self.width = self.height = 0.0  # without lines: the place of an edge that goes on
        if lines:
            self.width, self.height = wide + 16, _LINE * len(lines) + 8.0
        if level is not None:
            self.width = max(wide, level.width) + 2 * _MARGIN
            self.height = level.height + 2 * _MARGIN + _LINE


class _Level:
    """Places for what is in a group, in rows below one another, and for the edges from row to row.

    A box stands a row below the lowest one that leads to it. An edge over several rows has a place in each between.
    """

    def __init__(self, sketch: Sketch, group: int) -> None:
        self.items: dict[str, _Item] = {}
        for one in sketch.within(group):
            if isinstance(one, Box):
                self.items[one.key] = _Item(one.lines)
            else:
                self.items[f"g{one}"] = _Item([": ".join(sketch.groups[one].lines[:2])], _Level(sketch, one))
        # which of these a box is, or is in
        inside: dict[str, str] = {}
        for box in sketch.boxes:
            key, around = box.key, box.group
            while around not in (group, -1):
                key, around = f"g{around}", sketch.groups[around].group
            if around == group:
                inside[box.key] = key
        # from what on this level to what, None for what is outside
        ends = {(a, b): (inside.get(a), inside.get(b)) for a, b in sketch.edges}
        self.edges = {edge: (a, b) for edge, (a, b) in ends.items() if a != b}
        pairs = list(dict.fromkeys(self.edges.values()))
        for key, item in self.items.items():
            item.rank = max((self.items[a].rank + 1 for a, b in pairs if b == key and a is not None), default=0)
        rows: list[list[_Item]] = [[] for _ in range(1 + max(item.rank for item in self.items.values()))]
        for item in self.items.values():
            rows[item.rank].append(item)
        before: dict[_Item, list[_Item]] = {item: [] for item in self.items.values()}
        self.chains: dict[tuple[str | None, str | None], list[_Item]] = {}
        for a, b in pairs:
            last = None if a is None else self.items[a]
            chain = self.chains[a, b] = []
            for row in rows[0 if last is None else last.rank + 1 : len(rows) if b is None else self.items[b].rank]:
                chain.append(_Item([]))
                row.append(chain[-1])
                before[chain[-1]], last = ([] if last is None else [last]), chain[-1]
            if b is not None and last is not None:
                before[self.items[b]].append(last)
        self.rows: list[tuple[float, float]] = []  # where they begin and end
        y = 0.0
        for row in rows:
            _arrange(row, before)
            high = max(item.height for item in row)
            for item in row:
                item.y = y + (high - item.height) / 2
            self.rows.append((y, y + high))
            y += high + _DOWN
        everything = [item for row in rows for item in row]
        left = min(item.x - item.width / 2 for item in everything)
        for item in everything:
            item.x -= left
        self.width, self.height = max(item.x + item.width / 2 for item in everything), y - _DOWN


def _arrange(row: list[_Item], before: dict[_Item, list[_Item]]) -> None:
    """Put the items of a row side by side, each as near as may be to the place below what leads to it."""
    wanted = {item: sum(b.x for b in before[item]) / len(before[item]) if before[item] else 0.0 for item in row}
    if any(before[item] for item in row):
        row.sort(key=wanted.__getitem__)
    x = 0.0
    for item in row:
        item.x = x + item.width / 2
        x += item.width + _BESIDE
    away = sum(wanted[item] - item.x for item in row) / len(row)
    for item in row:
        item.x += away


def as_svg(sketch: Sketch) -> str:
    """Return a graph as an SVG picture, from above to below, that has the page's colours, light or dark.

    Parameters
    ----------
    sketch : Sketch

    Returns
    -------
    str
    """
    whole = _Level(sketch, -1)
    looks = {box.key: box.what for box in sketch.boxes}
    places: dict[str, tuple[float, float, float]] = {}  # the middle of a box, its upper and its lower edge
    boxes, levels = list[str](), list[tuple[_Level, float, float]]()

    def walk(level: _Level, x: float, y: float) -> None:
        levels.append((level, x, y))
        for key, item in level.items.items():
            middle, top = x + item.x, y + item.y
            places[key] = middle, top, top + item.height
            what = looks.get(key, "open")
            look = ' stroke-dasharray="4 3" stroke-opacity="0.5"' if what == "open" else ""
            look += (
                f' fill-opacity="{0.04 if what == "open" else 0.08}" rx="{12 if what in ("input", "output") else 3}"'
            )
            size = f'width="{item.width:.1f}" height="{item.height:.1f}"'
            boxes.append(f'<rect x="{middle - item.width / 2:.1f}" y="{top:.1f}" {size} stroke="currentColor"{look}/>')
            at, anchor = (middle, "middle") if item.level is None else (middle - item.width / 2 + _MARGIN, "start")
            for k, line in enumerate(item.lines):
                look = f'text-anchor="{anchor}"' + ("" if k else ' font-weight="bold"')
                boxes.append(f'<text x="{at:.1f}" y="{top + 4 + _LINE * (k + 0.75):.1f}" {look}>{escape(line)}</text>')
            if item.level is not None:
                walk(item.level, middle - item.level.width / 2, top + _MARGIN + _LINE)

    walk(whole, 1, 1)
    ways: dict[tuple[str, str], list[tuple[_Level, float, float]]] = {}
    for place in levels:
        for edge, (_, to) in place[0].edges.items():
            # out of groups from the innermost one, then into others from the outermost one
            ways.setdefault(edge, []).insert(0 if to is None else len(ways.get(edge, ())), place)
    edges = []
    for one, other in sketch.edges:
        path, x, y = _way((one, other), ways[one, other], places)
        edges.append(f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.6"/>')
        edges.append(f'<path d="M{x - 3:.1f} {y - 6:.1f}h6L{x:.1f} {y:.1f}z" stroke="none"/>')
    width, height = whole.width + 2, whole.height + 2
    label = escape(", ".join(f"{a} to {b}" for a, b in _named(sketch)))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" aria-label="{label}" font-family="sans-serif" font-size="11" '
        f'fill="currentColor">{"".join(edges)}{"".join(boxes)}</svg>'
    )


def _way(
    edge: tuple[str, str], levels: list[tuple[_Level, float, float]], places: dict[str, tuple[float, float, float]]
) -> tuple[str, float, float]:
    """Return the path of an edge, and where it ends: down through rows, and over between them."""
    (x, _, y), (goal, end, _) = (places[key] for key in edge)
    stops: list[list[float]] = [[x, y, y]]  # x, and where the way is straight
    top: float | None = None
    for level, dx, dy in levels:
        a, b = level.edges[edge]
        row = 0
        if a is not None:
            row = level.items[a].rank + 1
            stops[-1][2] = dy + level.rows[row - 1][1]
        for item in level.chains[a, b]:
            upper, lower = level.rows[row]
            stops.append([dx + item.x, dy + upper if top is None else top, dy + lower])
            top, row = None, row + 1
        if b is not None and top is None:
            top = dy + level.rows[level.items[b].rank][0]
    path = f"M{x:.1f} {y:.1f}V{stops[0][2]:.1f}"
    for (x, _, y), (to, upper, lower) in pairwise([*stops, [goal, end if top is None else top, end]]):
        middle = (y + upper) / 2
        path += f"C{x:.1f} {middle:.1f} {to:.1f} {middle:.1f} {to:.1f} {upper:.1f}V{lower:.1f}"
    return path, goal, end


def _named(sketch: Sketch) -> list[tuple[str, str]]:
    names = {box.key: box.lines[0] for box in sketch.boxes}
    return [(names[a], names[b]) for a, b in sketch.edges]


def draw(graph: Graph, path: Any, format: str | None, direction: str, depth: int | None) -> Any:
    """Return what `Model.plot` does, and write it to a file.

    Parameters
    ----------
    graph : Graph
    path : path-like or None
    format : {None, "graphviz", "mermaid"}
    direction : {"TB", "LR"}
    depth : int or None

    Returns
    -------
    Drawing or graphviz.Source
    """
    check_name("direction", direction, ("TB", "LR"))
    depth = None if depth is None else integer("depth", depth, 0)
    if format is not None:
        check_name("format", format, ("graphviz", "mermaid"))
    writers: tuple[str, ...] = ("graphviz", "mermaid")
    ending = ""
    if path is not None:
        path = as_path("path", path)
        ending = Path(path).suffix.lower()
        writers = _WRITERS.get(ending, ())
        if not writers:
            raise ValueError(f"path is {path!r}; it must end with one of {', '.join(_WRITERS)}")
        if format not in (None, *writers):
            able = ", ".join(e for e, who in _WRITERS.items() if format in who)
            raise ValueError(f"path is {path!r} and format is {format!r}; that writes {able}")
    sketch = Sketch(graph, depth)
    if format is None:
        installed = importlib.util.find_spec("graphviz") is not None and shutil.which("dot") is not None
        format = "graphviz" if writers == ("graphviz",) or (installed and writers[0] == "graphviz") else "mermaid"
    if format == "mermaid":
        text = as_mermaid(sketch, direction)
        if ending == ".svg":
            Path(path).write_text(as_svg(sketch), encoding="utf-8")
        elif path is not None:
            Path(path).write_text(f"```mermaid\n{text}```\n" if ending == ".md" else text, encoding="utf-8")
        return Drawing(text, sketch)
    text = as_dot(sketch, direction)
    if ending in (".gv", ".dot"):
        Path(path).write_text(text, encoding="utf-8")
    return _graphviz(text, path, ending)


def _graphviz(text: str, path: Any, ending: str) -> Any:
    """Return graphviz' object of a text, and let graphviz write a picture."""
    else_way = "a path that ends with .svg or .mmd, or format='mermaid', needs neither"
    try:
        import graphviz
    except ImportError as error:
        raise ImportError(
            f"plot needs the package graphviz (pip install graphviz) and graphviz itself, the program dot; {else_way}"
        ) from error
    source = graphviz.Source(text)
    if ending not in ("", ".gv", ".dot"):
        try:
            picture = source.pipe(format=ending[1:])
        except graphviz.ExecutableNotFound as error:
            raise RuntimeError(
                "plot does not find graphviz' program dot, which the package does not bring along: apt install "
                f"graphviz, brew install graphviz, or https://graphviz.org/download; {else_way}"
            ) from error
        Path(path).write_bytes(picture)
    return source
