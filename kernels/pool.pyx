# cython: language_level=3
"""The pool of threads and the floating-point control word, which others than compiled kernels need too.

See ``pool.h`` and ``fpcontrol.h``, and ``threads.py`` and ``fpcontrol.py`` for what Python makes of them.
"""

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

cdef extern from "fpcontrol.h":
    ctypedef unsigned long long fastbp_control
    enum:
        FASTBP_IEEE
    fastbp_control fastbp_set_control(fastbp_control control)

ctypedef void (*set_pool)(const fastbp_pool *) noexcept


def get_limit():
    """Return how many threads may share the work of one call."""
    return fastbp_get_num_threads()


def set_limit(n):
    """Set how many threads may share the work of one call: `n`, or as many as there may be at all."""
    fastbp_set_num_threads(min(n, FASTBP_MAX_THREADS))


def pool_address():
    """Return the address of the pool, a ``fastbp_pool`` (``abi.h``)."""
    return <intptr_t>&fastbp_pool_table


def attach_pool(capsule):
    """Give the pool to a module's portable primitives by its function ``set_pool``."""
    (<set_pool>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)))(&fastbp_pool_table)


cdef class ieee:
    """Within a block this thread rounds to nearest and keeps subnormals, whatever was found; then that again."""

    cdef fastbp_control found

    def __enter__(self):
        self.found = fastbp_set_control(FASTBP_IEEE)

    def __exit__(self, kind, error, traceback):
        fastbp_set_control(self.found)
