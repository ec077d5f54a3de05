# cython: language_level=3
"""How many threads share the work of one call in portable numerics; see ``pool.h``."""

import os

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport intptr_t

cdef extern from "pool.h":
    enum:
        FASTBP_MAX_THREADS
    ctypedef struct fastbp_pool:
        pass
    const fastbp_pool fastbp_pool_table
    int fastbp_get_num_threads()
    void fastbp_set_num_threads(int n)

ctypedef const void *(*portable_primitives)(const fastbp_pool *) noexcept


def available():
    """Return the number of CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def get_num_threads():
    """Return the number of threads that share the work of one call in portable numerics.

    It is the number of CPUs that the process may use unless ``FASTBP_NUM_THREADS`` or `set_num_threads` says
    otherwise. Results do not depend on it, and small work stays on one thread.

    Returns
    -------
    int
    """
    return fastbp_get_num_threads()


def set_num_threads(n):
    """Set the number of threads that share the work of one call in portable numerics.

    Numerics "numpy" uses NumPy's BLAS, which has threads of its own. Where threadpoolctl is installed,
    ``threadpool_limits(n)`` sets both numbers for a block of code that begins after ``import fastbp``.

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
    before = fastbp_get_num_threads()
    fastbp_set_num_threads(min(int(n), FASTBP_MAX_THREADS))
    return before


def pool_address():
    """Return the address of the pool, a ``fastbp_pool`` (``abi.h``)."""
    return <intptr_t>&fastbp_pool_table


def lend_pool(capsule):
    """Lend the pool to a module's portable primitives, given its function that takes one; return their address."""
    cdef portable_primitives function = <portable_primitives>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))
    return <intptr_t>function(&fastbp_pool_table)


def _initial():
    text = os.environ.get("FASTBP_NUM_THREADS", "").strip()
    if not text:
        return available()
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"FASTBP_NUM_THREADS is {text!r}; it must be a positive integer")
    return int(text)


set_num_threads(_initial())
