"""Where the Python function of each kernel is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..table import KERNELS
from .chain import chain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["kernel_function"]


def kernel_function(name: str) -> Callable[..., int] | None:
    """Return the Python function of a kernel, or None if there is none. "chain" runs rows that are data."""
    if name == "chain":
        return chain
    modules = (importlib.import_module(f"{__package__}.{module}") for module in ("pointwise", KERNELS[name].row.family))
    # what is not made from the table is written by hand
    return next((getattr(module, name) for module in modules if hasattr(module, name)), None)
