"""How many threads share the work of one call in portable numerics."""

from __future__ import annotations

import operator
import os

__all__ = ["MISSING", "available", "get_num_threads", "set_num_threads"]

#: Why the extension modules, which the compiled backends need, cannot be imported; None where they can.
MISSING: ImportError | None = None

try:
    from .pool import get_limit, set_limit
except ImportError as error:
    MISSING = error

    def get_limit() -> int:
        """Return 1: without a pool the caller works alone."""
        return 1

    def set_limit(n: int) -> None:
        """Do nothing."""


def available() -> int:
    """Return the number of CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def get_num_threads() -> int:
    """Return the number of threads that share the work of one call in portable numerics.

    It is the number of CPUs that the process may use unless ``FASTBP_NUM_THREADS`` or `set_num_threads` says
    otherwise. It is 1 on Windows, where there is no pool of threads, and where the extension modules are missing.
    Results do not depend on it, and small work stays on one thread.

    Returns
    -------
    int

    Examples
    --------
    >>> import fastbp
    >>> fastbp.get_num_threads() >= 1
    True
    """
    return get_limit()


def set_num_threads(n: int) -> int:
    """Set the number of threads that share the work of one call in portable numerics.

    Numerics "numpy" uses NumPy's BLAS, which has threads of its own. Where threadpoolctl is installed,
    ``threadpool_limits(n)`` sets both numbers for a block of code that begins after ``import fastbp``. On Windows,
    and where the extension modules are missing, the number stays 1.

    Parameters
    ----------
    n : int
        At least 1.

    Returns
    -------
    int
        The number before.

    Examples
    --------
    >>> import fastbp
    >>> before = fastbp.set_num_threads(1)
    >>> fastbp.get_num_threads()
    1
    >>> fastbp.set_num_threads(before)
    1
    """
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(f"n is {n!r}; it must be an integer")
    if n < 1:
        raise ValueError(f"n is {n!r}; it must be at least 1")
    before = get_limit()
    set_limit(operator.index(n))
    return before


def _initial() -> int:
    text = os.environ.get("FASTBP_NUM_THREADS", "").strip()
    if not text:
        return available()
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"FASTBP_NUM_THREADS is {text!r}; it must be a positive integer")
    return int(text)


set_num_threads(_initial())
