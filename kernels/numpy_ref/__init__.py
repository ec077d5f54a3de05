"""The reference: every kernel as a plain NumPy function. These are the definitions.

A function takes the inputs of its row in order, the attributes by name, and returns the outputs
in order (one array, or a tuple). It changes none of its inputs. A pointwise kernel has no function here: the
expression in its row is the definition, and `get` makes a function of it.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING

import numpy as np

from .. import pointwise
from ..table import KERNELS
from . import common

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["get"]


@functools.cache
def get(name: str) -> Callable[..., Any] | None:
    """Return the definition of a kernel, or None if it has none."""
    kernel = KERNELS[name]
    if pointwise.is_pointwise(kernel):
        return pointwise.definition(kernel, {"np": np, **vars(common)})
    return getattr(importlib.import_module(f"{__name__}.{kernel.row.family}"), name, None)
