"""Normal numbers from words of a bit generator: the definition of the ziggurat; draws.h says the same in C."""

from __future__ import annotations

import numpy as np

from .portable.elementary import exp, log1p
from .ziggurat import HEIGHTS, INVERSE, LIMITS, TAIL, WIDTHS

__all__ = ["normal"]


def normal(words: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the normal numbers that are made of words, and the words at the end that make no whole one.

    `u` holds the words as numbers in [0, 1).
    """
    strip, point = words & np.uint64(0xFF), words >> np.uint64(9) & np.uint64((1 << 52) - 1)
    x = point * WIDTHS[strip]
    x = np.where(words & np.uint64(0x100), -x, x)
    numbers, end = point < LIMITS[strip], len(words)
    others = np.flatnonzero(~numbers)
    # what is decided by further words, as if no number before had taken these
    near = others[(strip[others] > 0) & (others + 1 < end)]
    under = dict(zip(near.tolist(), _under(x[near], u[near + 1], strip[near]).tolist(), strict=True))
    tail = others[(strip[others] == 0) & (others + 2 < end)]
    behind = dict(zip(tail.tolist(), _behind(u[tail + 1], u[tail + 2]), strict=True))
    free = 0  # the first word that no number before takes
    for k in others.tolist():
        if k < free:
            continue
        if k in under:
            numbers[k], free = under[k], k + 2
        elif k in behind:
            distance, free = behind[k], k + 3
            while distance is None and free + 1 < end:
                (distance,), free = _behind(u[free : free + 1], u[free + 1 : free + 2]), free + 2
            if distance is None:
                free = end + 1
            else:
                numbers[k], x[k] = True, TAIL + distance if words[k] & np.uint64(1 << 17) == 0 else -TAIL - distance
        else:
            free = end + 1
        if free > end:
            end = k
            break
        numbers[k + 1 : free] = False
    return x[:end][numbers[:end]], words[end:]


def _under(x: np.ndarray, u: np.ndarray, strip: np.ndarray) -> np.ndarray:
    """Return whether points at x in the upper part of their strips are under the curve."""
    low, high = HEIGHTS[strip], HEIGHTS[strip - np.uint64(1)]
    return (high - low) * u + low < exp(-0.5 * x * x)


def _behind(u: np.ndarray, v: np.ndarray) -> list[float | None]:
    """Return how far behind TAIL numbers lie, None for those that are to be drawn again."""
    distance, height = INVERSE * -log1p(-u), -log1p(-v)
    found = 2 * height > distance * distance
    return [d if inside else None for d, inside in zip(distance.tolist(), found.tolist(), strict=True)]
