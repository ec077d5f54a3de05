"""Kernels made of a user's own scalar functions, compiled when first asked for.

A `Foreign` is what such a kernel is in every backend: an address, or for the numpy backend the same loop over arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import cfunc, njit, types
from numba.core.dispatcher import Dispatcher

from .common import OK, OPTIONS, kernel_types, real, total

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Foreign", "activation", "layer", "loss"]


class Foreign:
    """One kernel.

    Parameters
    ----------
    kernel : function
        Over the arguments of abi.h.
    reference : function
        Over arrays.
    """

    def __init__(self, kernel: Callable[..., int], reference: Callable[..., Any]) -> None:
        self.kernel, self.reference = kernel, reference
        self._compiled: dict[str, Any] = {}

    def address(self, dtype: str) -> int:
        """Return the address of the kernel as a ``fastbp_kernel`` (abi.h)."""
        if dtype not in self._compiled:
            signature = types.int32(*kernel_types(getattr(types, dtype)))
            self._compiled.setdefault(dtype, cfunc(signature, **OPTIONS)(self.kernel))
        found: int = self._compiled[dtype].address
        return found


def _jitted(name: str, function: Any) -> Any:
    if not isinstance(function, Dispatcher):
        raise TypeError(f"{name} is {function!r}; it must be a function compiled by numba.njit")
    return function


def _over_arrays(scalar: Any) -> Callable[..., np.ndarray]:
    # the loop that the kernel has: the same machine code for an element
    @njit(**OPTIONS)
    def loop(a, b, y):
        for i in range(y.size):
            y[i] = scalar(a[i], b[i])

    def whole(a, b):
        a, b = np.asarray(a), np.asarray(b)
        y = np.empty_like(a)
        loop(a.reshape(-1), b.reshape(-1), y.reshape(-1))
        return y

    return whole


def activation(function: Any, derivative: Any) -> tuple[Foreign, Foreign]:
    """Return forward and backward kernel of ``y = function(x)``, ``dx = dy * derivative(x)``."""
    function, derivative = _jitted("function", function), _jitted("derivative", derivative)

    def forward(buffers, sizes, attributes, primitives):
        x, y = buffers[0], buffers[1]
        for i in range(sizes[0]):
            y[i] = real(y, function(x[i]))
        return OK

    def backward(buffers, sizes, attributes, primitives):
        dy, x, dx = buffers[0], buffers[1], buffers[2]
        for i in range(sizes[0]):
            dx[i] = dy[i] * real(dx, derivative(x[i]))
        return OK

    @njit(**OPTIONS)
    def first(x, _):
        return function(x)

    @njit(**OPTIONS)
    def slope(x, _):
        return derivative(x)

    values, slopes = _over_arrays(first), _over_arrays(slope)
    return Foreign(forward, lambda x: values(x, x)), Foreign(backward, lambda dy, x: dy * slopes(x, x))


#: Kernels of several inputs, and the same loops over arrays: Numba unrolls no arguments.
_LAYER = """
def forward(buffers, sizes, attributes, primitives):
    {xs}, y = {places}
    for i in range(sizes[0]):
        y[i] = real(y, function({each}))
    return OK

def backward(buffers, sizes, attributes, primitives):
    dy, {xs}, {dxs} = {all_places}
    for i in range(sizes[0]):
        {slopes}, = derivative({each})
        {assigned}
    return OK

@njit(**OPTIONS)
def values({xs}, y):
    for i in range(y.size):
        y[i] = function({each})

@njit(**OPTIONS)
def gradients({xs}, {dxs}):
    for i in range(x1.size):
        {stored}, = derivative({each})
"""


def layer(function: Any, derivative: Any, count: int) -> tuple[Foreign, Foreign]:
    """Return forward and backward kernel of ``y = function(x1, x2, ...)``, of which `derivative` returns the slopes.

    Of one input that is a number, else a tuple.
    """
    function, derivative = _jitted("function", function), _jitted("derivative", derivative)
    if count == 1:
        return activation(function, derivative)
    numbers = range(1, count + 1)

    def joined(pattern: str, separator: str = ", ") -> str:
        return separator.join(pattern.format(k=k) for k in numbers)

    source = _LAYER.format(
        xs=joined("x{k}"),
        dxs=joined("dx{k}"),
        each=joined("x{k}[i]"),
        slopes=joined("s{k}"),
        stored=joined("dx{k}[i]"),
        assigned=joined("dx{k}[i] = dy[i] * real(dx{k}, s{k})", "; "),
        places=", ".join(f"buffers[{k}]" for k in range(count + 1)),
        all_places=", ".join(f"buffers[{k}]" for k in range(2 * count + 1)),
    )
    made: dict[str, Any] = {
        "function": function, "derivative": derivative, "real": real, "OK": OK, "njit": njit, "OPTIONS": OPTIONS,
    }  # fmt: skip
    exec(source, made)

    def forward_of_arrays(*xs):
        y = np.empty_like(xs[0])
        made["values"](*(np.asarray(x).reshape(-1) for x in xs), y.reshape(-1))
        return y

    def backward_of_arrays(dy, *xs):
        dxs = [np.empty_like(x) for x in xs]
        made["gradients"](*(np.asarray(x).reshape(-1) for x in xs), *(dx.reshape(-1) for dx in dxs))
        return tuple(dy * dx for dx in dxs)

    return Foreign(made["forward"], forward_of_arrays), Foreign(made["backward"], backward_of_arrays)


def loss(function: Any, derivative: Any) -> tuple[Foreign, Foreign]:
    """Return forward and backward kernel of ``elements = function(y_true, y_pred)``, reduced, and its derivative."""
    function, derivative = _jitted("function", function), _jitted("derivative", derivative)

    def forward(buffers, sizes, attributes, primitives):
        y_pred, y_true, elements = buffers[0], buffers[1], buffers[2]
        n = sizes[0]
        for i in range(n):
            elements[i] = real(elements, function(y_true[i], y_pred[i]))
        count = float(n) if attributes[0] != 0 else 1.0
        buffers[3][0] = total(primitives, elements, n) / real(elements, count)
        return OK

    def backward(buffers, sizes, attributes, primitives):
        y_pred, y_true, dy_pred = buffers[0], buffers[1], buffers[2]
        share = real(dy_pred, 1 / (float(sizes[0]) if attributes[0] != 0 else 1.0))
        for i in range(sizes[0]):
            dy_pred[i] = real(dy_pred, derivative(y_true[i], y_pred[i])) * share
        return OK

    values, slopes = _over_arrays(function), _over_arrays(derivative)

    def forward_of_arrays(y_pred, y_true, mean=1.0):
        elements = values(y_true, y_pred)
        return elements, elements.sum() / (y_pred.size if mean else 1)

    def backward_of_arrays(y_pred, y_true, mean=1.0):
        return slopes(y_true, y_pred) * (1 / (y_pred.size if mean else 1))

    return Foreign(forward, forward_of_arrays), Foreign(backward, backward_of_arrays)
