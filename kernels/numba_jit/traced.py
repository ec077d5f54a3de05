"""Rows that were added at run time: the source that codegen writes for them is compiled like the table's."""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any

from ..codegen import languages
from . import generated

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..table import Kernel

__all__ = ["traced"]


@functools.cache
def traced(kernel: Kernel) -> Callable[..., int]:
    """Return the Python function of a kernel that was added at run time."""
    source = languages.numba_function(kernel)
    made: dict[str, Any] = {**vars(generated), "__name__": __name__}
    # Numba's cache on disk asks for a file, this one, and tells functions apart by their names: not by constants
    exec(compile(source, __file__, "exec"), made)
    function: Callable[..., int] = made[kernel.name]
    function.__name__ = function.__qualname__ = f"traced_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    return function
