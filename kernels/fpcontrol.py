"""How this thread rounds, and whether it keeps subnormals: portable numerics does not depend on it."""

from __future__ import annotations

import sys

from .threads import MISSING

__all__ = ["check", "floating_point", "ieee"]

if MISSING is None:
    from .pool import ieee
else:
    from contextlib import nullcontext as ieee  # type: ignore[assignment]

_USUAL = "round to nearest, subnormals kept"


def _found() -> str:
    one, little = float(1), sys.float_info.epsilon / 8
    if one + little > one:
        rounding = "round upward"
    elif one - little == one:
        rounding = "round to nearest"
    else:
        rounding = "round downward" if -one - little < -one else "round toward zero"
    kept = sys.float_info.min / 2 != 0
    return f"{rounding}, {'subnormals kept' if kept else 'flush to zero is set'}"


def floating_point() -> str:
    """Return in words how this thread rounds and whether it keeps subnormals.

    A library that was built with ``-ffast-math`` has the thread that loads it flush subnormals to zero, and every
    thread that is made after.

    Returns
    -------
    str
    """
    found = _found()
    if found == _USUAL:
        return found
    with ieee():
        aside = _found() == _USUAL
    return f"{found}: numerics 'numpy' has it too, portable {'sets it aside' if aside else 'as well'}"


def check() -> None:
    """Prove that portable numerics rounds to nearest and keeps subnormals in this thread.

    Raises
    ------
    RuntimeError
        Where something else was found that cannot be set aside here.
    """
    with ieee():
        found = _found()
    if found != _USUAL:
        raise RuntimeError(f"{found}; without the extension modules, or on this processor, it cannot be set aside")
