"""Element types: those that a program may compute in, and what an operand of the table has.

An operand's is "real", the program's own, or a code that NumPy knows too: ``i8``, ``u1``, ``f8``. The module needs the
standard library only.
"""

from __future__ import annotations

__all__ = ["REALS", "Real", "itemsize"]


class Real:
    """A real type: its code and its name in C."""

    def __init__(self, code: str, c: str) -> None:
        self.code, self.c = code, c


#: By the names that users give.
REALS = {"float32": Real("f4", "float"), "float64": Real("f8", "double")}


def itemsize(dtype: str, real: str) -> int:
    """Return the bytes of an element of an operand's type, in a program of a real type."""
    return int((REALS[real].code if dtype == "real" else dtype)[1])
