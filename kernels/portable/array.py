"""Arrays whose arithmetic is portable: what turns a NumPy definition into the portable one.

The references in `numpy_ref` are plain NumPy expressions. On a `PortableArray` the very same expressions
call the primitives of this package instead of NumPy's exp, matmul or sum, whose bits depend on the CPU.
What IEEE 754 defines exactly stays NumPy's; anything else is an error, never a silent fallback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..fpcontrol import ieee
from ..operations import ELEMENTARY
from . import elementary
from .fma import fma

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["PortableArray", "matmul", "portable", "sum_"]

#: Partial sums that a sum is made of: element i goes to lane i % LANES.
LANES = 32

_OF_UFUNC = {getattr(np, f.ufunc): getattr(elementary, f.name) for f in ELEMENTARY if f.ufunc}
# one rounding at most, and that the same on every CPU
_EXACT = {
    "add", "subtract", "multiply", "divide", "negative", "positive", "absolute", "sign", "sqrt", "square",
    "reciprocal", "maximum", "minimum", "fmax", "fmin", "equal", "not_equal", "less", "less_equal",
    "greater", "greater_equal", "isfinite", "isnan", "isinf", "signbit", "copysign", "nextafter", "floor",
    "ceil", "trunc", "rint", "logical_and", "logical_or", "logical_not", "logical_xor", "bitwise_and",
    "bitwise_or", "bitwise_xor", "invert",
}  # fmt: skip
_REDUCIBLE = {"maximum", "minimum", "fmax", "fmin", "logical_and", "logical_or"}
# `at` does one operation after the other
_METHODS = {"__call__": _EXACT, "at": _EXACT, "reduce": _REDUCIBLE}
_FUNCTIONS = {
    "where", "copy", "copyto", "count_nonzero", "zeros_like", "ones_like", "empty_like", "full_like",
    "broadcast_to", "concatenate", "stack", "argmax", "argmin", "argsort", "amax", "amin", "max", "min", "take",
    "take_along_axis", "expand_dims", "squeeze", "reshape", "moveaxis", "swapaxes", "isscalar", "ndim", "shape",
    "size", "array_equal", "all", "any", "sum", "mean", "bincount", "searchsorted",
}  # fmt: skip


def sum_(x: np.ndarray, axis: int | None = None, keepdims: bool = False) -> np.ndarray:
    """Return the sum of an array in the one order that portable numerics has.

    Over contiguous elements 32 partial sums take turns, then halves are added: 16 + 16, 8 + 8 ... Over the
    first of two axes rows are added one after the other. Both begin with +0.
    """
    if axis is None:
        total = sum_(x.reshape(1, -1), 1)[0]
        return total.reshape((1,) * x.ndim) if keepdims else total
    axis = axis % x.ndim
    if axis == x.ndim - 1 or x.size == len(x):
        rows = np.moveaxis(x, axis, -1)
        n = rows.shape[-1]
        lanes = np.zeros((*rows.shape[:-1], -(-n // LANES) * LANES or LANES), x.dtype)
        lanes[..., :n] = rows
        lanes = _in_order(lanes.reshape(*rows.shape[:-1], lanes.shape[-1] // LANES, LANES), -2)
        while lanes.shape[-1] > 1:
            half = lanes.shape[-1] // 2
            lanes = lanes[..., :half] + lanes[..., half:]
        total = lanes[..., 0]
    else:
        total = _in_order(x, axis)
    return np.expand_dims(total, axis) if keepdims else total


def _in_order(x: np.ndarray, axis: int) -> np.ndarray:
    # accumulate is sequential by definition; add.reduce may not be
    shape = list(x.shape)
    shape[axis] = 1
    x = np.concatenate([np.zeros(shape, x.dtype), x], axis)
    return np.add.accumulate(x, axis).take(-1, axis)


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b, also of stacks: each element the chain ``acc = fma(a[i, p], b[p, j], acc)`` over p, from +0."""
    y = np.zeros((*a.shape[:-1], b.shape[-1]), a.dtype)
    for p in range(a.shape[-1]):
        y = fma(a[..., p, None], b[..., p, None, :], y)
    return y


class PortableArray(np.ndarray):
    """An array on which NumPy expressions have portable bits.

    Raises
    ------
    TypeError
        By an operation whose bits would depend on the CPU and that has no portable form.
    """

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple[Any, ...] | None = None, **options: Any
    ) -> Any:
        inputs = tuple(_plain(x) for x in inputs)
        real = any(np.asarray(x).dtype.kind == "f" for x in inputs)
        name = ufunc.__name__
        if ufunc in _OF_UFUNC and method == "__call__":
            # a number beside an array takes its type
            result = _OF_UFUNC[ufunc](*(np.asarray(x, np.result_type(*inputs)) for x in inputs))
        elif ufunc is np.matmul and method == "__call__":
            result = matmul(*inputs)
        elif ufunc is np.add and method == "reduce" and real:
            result = sum_(inputs[0], options.get("axis", 0), bool(options.get("keepdims")))
        elif not real or name in _METHODS.get(method, ()):
            if out is not None:
                options["out"] = tuple(_plain(x) for x in out)
            return _wrapped(getattr(ufunc, method)(*inputs, **options))
        else:
            raise TypeError(f"numpy.{name}{'' if method == '__call__' else '.' + method} has no portable definition")
        if out is not None:
            out[0][...] = result
            return out[0]
        return _wrapped(result)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ not in _FUNCTIONS:
            raise TypeError(f"numpy.{function.__name__} has no portable definition")
        return _wrapped(super().__array_function__(function, types, args, kwargs))

    def elementary(self, name: str) -> PortableArray:
        """Return a function that NumPy lacks, by its name: one function, where numerics "numpy" may compose it."""
        return _wrapped(getattr(elementary, name)(_plain(self)))

    def dot(self, *args: Any, **options: Any) -> Any:
        """Refuse: the method would call BLAS; write ``a @ b``."""
        raise TypeError("dot has no portable definition; write a @ b")


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, PortableArray) else x


def _wrapped(x: Any) -> Any:
    # also of scalars: the next operation on a sum must be portable too
    return np.asarray(x).view(PortableArray) if isinstance(x, (np.ndarray, np.floating)) else x


def portable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a reference of `numpy_ref` with portable arithmetic: same arguments, plain arrays in and out."""

    def reference(*inputs: np.ndarray, **attributes: float) -> Any:
        with ieee():
            returned = function(*(np.asarray(x).view(PortableArray) for x in inputs), **attributes)
        return tuple(map(_plain, returned)) if isinstance(returned, tuple) else _plain(returned)

    reference.__name__ = function.__name__
    return reference
