"""What arithmetic with tensors, and slices of them, add to a graph: layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..tensor import Tensor, operators
from .arithmetic import Divide, Scale, Shift
from .merge import Add, Multiply, Subtract
from .shape import Slice

if TYPE_CHECKING:
    from typing import Any

__all__: list[str] = []


def _constant(other: Any) -> bool:
    """Whether an operand is a number or an array of numbers."""
    return isinstance(other, (int, float, np.number, list, tuple, np.ndarray)) and not isinstance(other, bool)


def _add(tensor: Tensor, other: Any) -> Any:
    if isinstance(other, Tensor):
        return Add()([tensor, other])
    return Shift(other)(tensor) if _constant(other) else NotImplemented


def _subtract(tensor: Tensor, other: Any) -> Any:
    if isinstance(other, Tensor):
        return Subtract()([tensor, other])
    return Shift(np.negative(other))(tensor) if _constant(other) else NotImplemented


def _subtract_from(tensor: Tensor, other: Any) -> Any:
    # the bits of the difference: a number and the negative of another
    return Shift(other)(_negative(tensor)) if _constant(other) else NotImplemented


def _multiply(tensor: Tensor, other: Any) -> Any:
    if isinstance(other, Tensor):
        return Multiply()([tensor, other])
    return Scale(other)(tensor) if _constant(other) else NotImplemented


def _divide(tensor: Tensor, other: Any) -> Any:
    if _constant(other) and np.ndim(other) == 0:
        return Divide(other)(tensor)
    what = "a tensor" if isinstance(other, Tensor) else f"a {type(other).__name__}"
    raise TypeError(
        f"a tensor is divided by {what}; there is division by a number. fastbp.custom.layer makes a layer of a quotient"
    )


def _negative(tensor: Tensor) -> Any:
    return Scale(-1)(tensor)


def _part(tensor: Tensor, key: Any) -> Any:
    keys = key if isinstance(key, tuple) else (key,)
    last = keys[-1]
    if len(keys) == 2 and keys[0] is Ellipsis and isinstance(last, slice) and last.step in (None, 1):
        return Slice(last.start, last.stop)(tensor)
    raise TypeError(f"a tensor is indexed by {key!r}; it takes t[..., start:stop], a part of its last axis")


operators.update(
    __add__=_add,
    __radd__=_add,
    __sub__=_subtract,
    __rsub__=_subtract_from,
    __mul__=_multiply,
    __rmul__=_multiply,
    __truediv__=_divide,
    __neg__=_negative,
    __getitem__=_part,
)
