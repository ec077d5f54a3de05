"""The reference: every kernel as a plain NumPy function, the definition that its row holds.

A function takes the inputs of its row in order, the attributes by name, and returns the results in order (one array,
or a tuple). It changes none of its inputs. Where the row's domain says that anything else is an error, it is one here.
"""

from __future__ import annotations

import functools
from types import FunctionType
from typing import TYPE_CHECKING

import numpy as np

from .. import words
from ..operations import NotFiniteError, OutOfRangeError, Status
from ..table import KERNELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..table import Kernel

__all__ = ["definition", "find", "get"]

#: By domain: of which dimension an operand holds positions.
_POSITIONS = {"label": "n", "index": "rows"}


@functools.cache
def get(name: str) -> Callable[..., Any]:
    """Return the definition of a kernel, with the checks that follow from the domains of its inputs."""
    kernel = KERNELS[name]
    function = definition(kernel)
    for k, operand in enumerate(kernel.inputs):
        domain = kernel.row.domain.get(operand.name, "")
        if domain == "finite":
            function = _finite(kernel, k, function)
        elif domain in _POSITIONS:
            function = _in_range(kernel, k, _POSITIONS[domain], function)
    return function


def find(dtype: str, names: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """Return the definitions of kernels by name; they are the same for each dtype."""
    return {name: get(name) for name in names}


def definition(kernel: Kernel) -> Callable[..., Any]:
    """Return what a row says of a kernel as a function of inputs and attributes."""
    function = kernel.function
    if function is None:
        made: dict[str, Any] = {}
        exec(compile(kernel.source, f"<{kernel.name}>", "exec"), made)
        function = made[kernel.name]
    # what it names is found in its module, where linters look, and here
    namespace = {**function.__globals__, **vars(words)}
    return FunctionType(function.__code__, namespace, kernel.name, tuple(kernel.attributes.values()))


def _finite(kernel: Kernel, k: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a check that input k, a number, is finite."""

    @functools.wraps(function)
    def checked(*inputs: np.ndarray, **attributes: float) -> Any:
        if not np.isfinite(inputs[k]):
            raise NotFiniteError(f"{kernel.name}: {Status.NOT_FINITE.message}")
        return function(*inputs, **attributes)

    return checked


def _in_range(kernel: Kernel, k: int, dim: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with a check that input k holds positions along a dimension of another input."""
    which, axis = next((i, o.dims.index(dim)) for i, o in enumerate(kernel.inputs) if dim in o.dims)
    reals = kernel.inputs[k].dtype == "real"

    @functools.wraps(function)
    def checked(*inputs: np.ndarray, **attributes: float) -> Any:
        x, stop = inputs[k], inputs[which].shape[axis]
        # NumPy would take -1 for the last one
        if x.size and not (0 <= x.min() and x.max() < stop and (not reals or (x == np.trunc(x)).all())):
            must = f"{kernel.inputs[k].name} must hold whole numbers in 0 .. {stop - 1}"
            raise OutOfRangeError(f"{kernel.name}: {Status.INDEX_ERROR.message}; {must}")
        return function(*inputs, **attributes)

    return checked
