"""The look of the package's pictures, which is that of its documentation, too."""

from __future__ import annotations

import textwrap
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["ALARM", "STYLE", "canvas", "depth_colours", "write_below"]

#: Width and height of a picture in inches.
SIZE = (7.2, 3.2)
#: Settings of matplotlib for pictures that the package makes itself; axes that are given keep their own.
STYLE: dict[Any, Any] = {
    "figure.figsize": SIZE,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "font.size": 9,
}
#: The colour of what is wrong.
ALARM = "#c0392b"


@contextmanager
def canvas(what: str, ax: Any = None, panels: int = 1) -> Iterator[Any]:
    """Draw on axes that are given, or on new ones in this package's style.

    Parameters
    ----------
    what : str
        Who draws, for the message where matplotlib is missing.
    ax : matplotlib axes, optional
    panels : int
        How many new axes, side by side.

    Yields
    ------
    matplotlib axes, or ndarray of them if there are several panels
    """
    if ax is not None:
        yield ax
        return
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError(f"{what} needs matplotlib: pip install matplotlib") from error
    width, height = SIZE
    with plt.rc_context(STYLE):
        yield plt.subplots(1, panels, figsize=(width * max(1, panels / 2), height))[1]


def depth_colours(n: int) -> list[Any]:
    """Return colours for layers, from the first, dark, to the last, light.

    Parameters
    ----------
    n : int

    Returns
    -------
    list of tuple
    """
    from matplotlib import colormaps

    return [colormaps["viridis"](0.9 * k / max(n - 1, 1)) for k in range(n)]


def write_below(ax: Any, sentences: Sequence[str], grow: bool) -> None:
    """Write what is wrong below axes, in lines of their width.

    Parameters
    ----------
    ax : matplotlib axes
    sentences : sequence of str
    grow : bool
        Whether the figure becomes higher by these lines.
    """
    size = 7.5
    # a letter is about half as wide as it is high
    room = int(ax.get_position().width * ax.figure.get_figwidth() * 72 / (0.46 * size))
    lines = [line for one in sentences for line in textwrap.wrap(one, room, subsequent_indent="   ")]
    ax.set_xlabel("\n".join(lines), loc="left", fontsize=size, color=ALARM)
    if grow:
        ax.figure.set_figheight(ax.figure.get_figheight() + 1.3 * size / 72 * len(lines))
