"""What compiled kernels call and return, listed once: the primitives and the statuses.

From these lists follow the numbers in C (``operations.h``, which setup.py writes beside ``abi.h``) and in Numba, the
order of every table of primitives, which functions an expression may call, and which loops are NumPy's. The module
needs the standard library only.

To add an elementary function: a line at the end of `ELEMENTARY`, its definition in ``portable/elementary.py``, its C in
``portable/elementary.h``; one with a formula has a second C function in ``cython_ext/composed.h``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ELEMENTARY", "NUMBERS", "PRIMITIVES", "Elementary", "NotFiniteError", "OutOfRangeError", "Status", "c_source",
    "cython_source",
]  # fmt: skip


class Elementary:
    """An elementary function.

    Parameters
    ----------
    name : str
        In portable numerics, whose definition is ``portable/elementary.py``.
    ufunc : str
        NumPy's own, which is that of numerics "numpy"; empty where NumPy has none.
    formula : str
        What it is in numerics "numpy" then, made of functions that NumPy has; empty if it is the portable one.
    operands : int
    far : bool
        Whether large operands, which are few, go a longer way; its loop in C is then no plain one over vectors.
    """

    def __init__(self, name: str, ufunc: str = "", formula: str = "", operands: int = 1, far: bool = False) -> None:
        self.name, self.ufunc, self.formula, self.operands, self.far = name, ufunc, formula, operands, far

    @property
    def call(self) -> str:
        """How an expression calls it: ``np.exp``, ``sigmoid``."""
        return f"np.{self.ufunc}" if self.ufunc else self.name


#: A new one comes last: compiled code knows the others by their numbers.
ELEMENTARY = (
    Elementary("exp", ufunc="exp"),
    Elementary("expm1", ufunc="expm1"),
    Elementary("log", ufunc="log"),
    Elementary("log1p", ufunc="log1p"),
    Elementary("tanh", ufunc="tanh"),
    Elementary("sigmoid", formula="1 / (1 + np.exp(-x))"),
    Elementary("softplus", formula="np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))"),
    Elementary("erf"),
    Elementary("pow", ufunc="power", operands=2),
    Elementary("sin", ufunc="sin", far=True),
    Elementary("cos", ufunc="cos", far=True),
    Elementary("arctan", ufunc="arctan"),
    Elementary("sinh", ufunc="sinh"),
    Elementary("cosh", ufunc="cosh"),
)
#: All primitives, in the order of their numbers; abi.h says what each takes.
PRIMITIVES = (
    "matmul", "sum", "dense", "sweep", "cross_entropy", "product_add", "convolve", "convolve_dw", "convolve_dx",
    *(f.name for f in ELEMENTARY),
)  # fmt: skip
NUMBERS = {name: number for number, name in enumerate(PRIMITIVES)}


class OutOfRangeError(IndexError):
    """An input holds a label or an index that there is not."""


class NotFiniteError(FloatingPointError):
    """An input that must be finite is not."""


class Status(IntEnum):
    """What a kernel returns.

    Attributes
    ----------
    exception : type
        What Python raises for it.
    message : str
        What it says.
    """

    exception: type[Exception]
    message: str

    def __new__(cls, number: int, exception: type[Exception] = Exception, message: str = "") -> Status:
        status = int.__new__(cls, number)
        status._value_ = number
        status.exception, status.message = exception, message
        return status

    OK = 0
    INDEX_ERROR = 1, OutOfRangeError, "an index or label is out of range"
    NOT_FINITE = 2, NotFiniteError, "the loss is not finite"

    @classmethod
    def of(cls, error: Exception) -> Status:
        """Return the status that an exception of a definition stands for."""
        return next(status for status in cls if status and isinstance(error, status.exception))


def _constants(names: Iterable[str]) -> list[str]:
    return [f"FASTBP_{name.upper()}" for name in names]


def c_source() -> str:
    """Return ``operations.h``: the numbers, and for each kind of function a macro that calls another for each."""
    kinds = {
        "UNARY": [f for f in ELEMENTARY if f.operands == 1 and not f.far],
        "FAR": [f for f in ELEMENTARY if f.far],
        "BINARY": [f for f in ELEMENTARY if f.operands == 2],
        "COMPOSED": [f for f in ELEMENTARY if f.formula],
        "PORTABLE_ONLY": [f for f in ELEMENTARY if not f.ufunc and not f.formula],
    }
    lines = [
        "/* Written by setup.py from kernels/operations.py. */",
        "#ifndef FASTBP_OPERATIONS_H",
        "#define FASTBP_OPERATIONS_H",
        "",
        *_enum([*_constants(PRIMITIVES), "FASTBP_PRIMITIVES"]),
        "",
        *_enum(f"{name} = {status.value}" for name, status in zip(_constants(Status.__members__), Status, strict=True)),
        "",
        "/* X(name, NAME) for each elementary function of one operand, for those of which large operands go a",
        ' * longer way, and for each of two; for those that numerics "numpy" makes of others, and for those that it',
        " * takes from the portable ones */",
        *(
            " \\\n    ".join([f"#define FASTBP_{kind}(X)", *(f"X({f.name}, {f.name.upper()})" for f in functions)])
            for kind, functions in kinds.items()
        ),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _enum(constants: Iterable[str]) -> list[str]:
    return ["enum {", *(f"    {constant}," for constant in constants), "};"]


def cython_source() -> str:
    """Return the declarations of the numbers for Cython."""
    names = [*_constants(PRIMITIVES), *_constants(Status.__members__)]
    return "\n".join(['cdef extern from "abi.h":', "    enum:", *(f"        {name}" for name in names)]) + "\n"
