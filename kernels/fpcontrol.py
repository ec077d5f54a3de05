"""How this thread rounds, and whether it keeps subnormals: portable numerics does not depend on it."""

from __future__ import annotations

import sys

from .threads import MISSING

__all__ = ["USUAL", "floating_point", "ieee"]

if MISSING is None:
    from .pool import ieee
else:
    from contextlib import nullcontext as ieee  # type: ignore[assignment]


USUAL = "round to nearest, subnormals kept"


def floating_point() -> str:
    """Return in words how this thread rounds and whether it keeps subnormals; `USUAL` where it does both as usual.

    A library that was built with ``-ffast-math`` has the thread that loads it flush subnormals to zero, and every
    thread that is made after.

    Returns
    -------
    str
    """
    one, little = float(1), sys.float_info.epsilon / 8
    if one + little > one:
        rounding = "round upward"
    elif one - little == one:
        rounding = "round to nearest"
    else:
        rounding = "round downward" if -one - little < -one else "round toward zero"
    kept = sys.float_info.min / 2 != 0
    words = f"{rounding}, {'subnormals kept' if kept else 'flush to zero is set'}"
    if words == USUAL:
        return words
    return f"{words}: numerics 'numpy' has it too, portable {'sets it aside' if MISSING is None else 'as well'}"
