"""The kernels compiled by Numba, when first asked for and then from Numba's cache on disk.

A kernel is one plain Python function that reads like C over the arguments of abi.h. `address` compiles
it with `numba.cfunc` for float32 or float64. Importing this package also makes the functions of
`fastbp.kernels` usable inside a user's own ``@njit`` functions (see `extension`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from numba import cfunc, types

from ..table import KERNELS
from .chain import chain
from .common import cached, kernel_types
from .extension import register

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["address", "kernel_function", "register"]

_compiled = {}


def kernel_function(name: str) -> Callable[..., int] | None:
    """Return the Python function of a kernel, or None if there is none. "chain" runs rows that are data."""
    if name == "chain":
        return chain
    modules = (importlib.import_module(f"{__name__}.{module}") for module in ("pointwise", KERNELS[name].row.family))
    # what is not made from the table is written by hand
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)


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


register()
