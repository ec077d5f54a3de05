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
from ..table import KERNELS, STATUS, NotFiniteError, OutOfRangeError

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
    function, checks = definition(kernel), _checks(kernel)
    if not checks:
        return function

    @functools.wraps(function)
    def checked(*inputs: np.ndarray, **attributes: float) -> Any:
        for check in checks:
            check(inputs)
        return function(*inputs, **attributes)

    return checked


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


def _checks(kernel: Kernel) -> list[Callable[[tuple[np.ndarray, ...]], None]]:
    found: list[Callable[[tuple[np.ndarray, ...]], None]] = []
    for k, operand in enumerate(kernel.inputs):
        domain = kernel.row.domain.get(operand.name, "")
        if domain == "finite":
            found.append(functools.partial(_check_finite, kernel, k))
        elif domain in _POSITIONS:
            dim = _POSITIONS[domain]
            which, axis = next((i, o.dims.index(dim)) for i, o in enumerate(kernel.inputs) if dim in o.dims)
            found.append(functools.partial(_check_positions, kernel, k, which, axis))
    return found


def _check_finite(kernel: Kernel, k: int, inputs: tuple[np.ndarray, ...]) -> None:
    if not np.isfinite(inputs[k]).all():
        raise NotFiniteError(f"{kernel.name}: {STATUS[NotFiniteError.status]}")


def _check_positions(kernel: Kernel, k: int, which: int, axis: int, inputs: tuple[np.ndarray, ...]) -> None:
    x, stop = inputs[k], inputs[which].shape[axis]
    # NumPy would take -1 for the last one
    if x.size and not (0 <= x.min() and x.max() < stop and (x.dtype.kind == "i" or (x == np.trunc(x)).all())):
        must = f"{kernel.inputs[k].name} must hold whole numbers in 0 .. {stop - 1}"
        raise OutOfRangeError(f"{kernel.name}: {STATUS[OutOfRangeError.status]}; {must}")
