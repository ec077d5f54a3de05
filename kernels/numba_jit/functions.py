"""Where the Python function of each kernel is."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ..table import KERNELS
from .traced import traced

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["kernel_function"]


def kernel_function(name: str) -> Callable[..., int] | None:
    """Return the Python function of a kernel, or None if there is none."""
    kernel = KERNELS[name]
    if kernel.expression:
        return traced(kernel)
    module = importlib.import_module(f"{__package__}.{kernel.row.family if kernel.by_hand else 'generated'}")
    return getattr(module, name, None)
