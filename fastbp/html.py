"""Tables and curves in HTML, for notebooks: plain elements that have the page's colours, light or dark."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    #: A name, the places and the values of its points, and whether the line is dashed.
    Curve = tuple[str, Sequence[float], Sequence[float], bool]

__all__ = ["chart", "listed", "table"]

#: Of curves: each is legible on white and on black.
COLOURS = ("#3b8ede", "#d9702b", "#35a165", "#b072d6")
#: As many points as a curve is drawn with, at most: twice the pixels of its width.
_POINTS = 800


def table(rows: Sequence[Sequence[str]], note: str = "") -> str:
    """Return a table; what is in its cells is text.

    Parameters
    ----------
    rows : sequence of sequences of str
        The first is the head. The first column is aligned left, as are all that hold no numbers.
    note : str
        A line below.

    Returns
    -------
    str
    """
    head, *body = rows
    numbers = [all(_is_number(row[k]) for row in body) for k in range(len(head))]

    def line(row: Sequence[str], tag: str) -> str:
        aligned = ("right" if k and number else "left" for k, number in enumerate(numbers))
        cells = (
            f'<{tag} style="text-align:{side};padding:0.1em 0.6em;white-space:pre'
            # what has lines of its own is an array
            f'{";font-family:monospace" if chr(10) in cell else ""}">{escape(cell)}</{tag}>'
            for side, cell in zip(aligned, row, strict=True)
        )
        return f"<tr>{''.join(cells)}</tr>"

    lines = "".join(line(row, "td") for row in body)
    below = f"<div>{escape(note)}</div>" if note else ""
    rows = f"<table><thead>{line(head, 'th')}</thead><tbody>{lines}</tbody></table>"
    return f'<div style="overflow:auto;max-height:40em">{rows}{below}</div>'


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%") or "0")
    except ValueError:
        return False
    return True


def listed(sentences: Sequence[str]) -> str:
    """Return sentences as a list, "" for none.

    Parameters
    ----------
    sentences : sequence of str

    Returns
    -------
    str
    """
    return f"<ul>{''.join(f'<li>{escape(one)}</li>' for one in sentences)}</ul>" if sentences else ""


def chart(curves: Sequence[Curve], across: str, width: int = 400, height: int = 170) -> str:
    """Return curves as an SVG picture with the names above it, "" where there are no points.

    Parameters
    ----------
    curves : sequence of (name, places, values, dashed)
        Those of a name with and without ``val_`` have one colour. Values that are not finite are left out.
    across : str
        What the places are.
    width, height : int

    Returns
    -------
    str
    """
    drawn = []
    for name, xs, ys, dashed in curves:
        points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        if points:
            drawn.append((name, _thinned(points), dashed))
    if not drawn:
        return ""
    places = [x for _, points, _ in drawn for x, _ in points]
    x0, x1 = _ends(places)
    y0, y1 = _ends([y for _, points, _ in drawn for _, y in points])
    left, right, top, bottom = 58, width - 10, 24, height - 22

    def at(x: float, y: float) -> str:
        across = left + (right - left) * (x - x0) / (x1 - x0)
        # halves first: the range of finite values may be infinite
        up = (y / 2 - y0 / 2) / (y1 / 2 - y0 / 2)
        return f"{across:.1f},{bottom - (bottom - top) * up:.1f}"

    colour = {base: COLOURS[k % len(COLOURS)] for k, base in enumerate(dict.fromkeys(_base(n) for n, _, _ in drawn))}
    names, lines = [], []
    for name, points, dashed in drawn:
        look = f'stroke="{colour[_base(name)]}"' + (' stroke-dasharray="5 3"' if dashed else "")
        path = " ".join(at(x, y) for x, y in points)
        # a single point would be no line
        path += f" {path}" if len(points) == 1 else ""
        lines.append(f'<polyline fill="none" stroke-width="1.6" stroke-linecap="round" {look} points="{path}"/>')
        mark = "- -" if dashed else "—"
        names.append(f'<tspan fill="{colour[_base(name)]}">{mark}</tspan> {escape(name)}')
    low, high = (f"{y:.4g}" for y in (y0, y1))
    texts = [
        (left, 13, "start", "&#160;&#160; ".join(names)),
        (left - 6, top + 8, "end", high),
        (left - 6, bottom, "end", low),
        (left, height - 6, "start", f"{escape(across)} {min(places):g}"),
        (right, height - 6, "end", f"{max(places):g}"),
    ]
    shown = "".join(
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="currentColor">{t}</text>' for x, y, anchor, t in texts
    )
    label = escape(", ".join(name for name, _, _ in drawn))
    frame = f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{label}" font-family="sans-serif" font-size="11">{frame}{"".join(lines)}{shown}</svg>'
    )


def _base(name: str) -> str:
    return name.removeprefix("val_")


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis that has all values on it."""
    low, high = min(values), max(values)
    return (low, high) if low < high else (low - (abs(low) or 1) / 10, low + (abs(low) or 1) / 10)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return so many points that a picture has room for them: of each stretch the lowest and the highest."""
    if len(points) <= _POINTS:
        return points
    stretch, kept = -(-len(points) // (_POINTS // 2)), []
    for start in range(0, len(points), stretch):
        part = points[start : start + stretch]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept
