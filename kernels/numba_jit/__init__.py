"""The kernels compiled by Numba, when first asked for and then from Numba's cache on disk.

A kernel is one plain Python function that reads like C over the arguments of abi.h. `address` compiles
it with `numba.cfunc` for float32 or float64. Importing this package also makes the functions of
`fastbp.kernels` usable inside a user's own ``@njit`` functions (see `extension`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import cfunc, types

from .common import cached, kernel_types
from .extension import register
from .functions import kernel_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["address", "find", "kernel_function", "portable_address", "register"]

_compiled = {}


def address(function: Callable[..., int], dtype: str) -> int:
    """Return the address of a kernel as a ``fastbp_kernel`` (abi.h).

    Parameters
    ----------
    function : function
        A kernel of one of this package's modules.
    dtype : {"float32", "float64"}
    """
    key = function, dtype
    if key not in _compiled:
        signature = types.int32(*kernel_types(getattr(types, dtype)))
        # setdefault: of two threads that compile at once, both return the one that is kept alive
        _compiled.setdefault(key, cached(cfunc, function, signature))
    return _compiled[key].address


def find(dtype: str, names: Iterable[str]) -> dict[str, int]:
    """Return the addresses of those kernels that Numba has, by name."""
    return {name: address(function, dtype) for name in names if (function := kernel_function(name)) is not None}


def portable_address(dtype: str) -> int:
    """Return the address of the primitives of portable numerics, compiled now if they are not."""
    from .portable import address as compiled

    return compiled(dtype)


register()
