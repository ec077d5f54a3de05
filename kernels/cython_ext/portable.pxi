# The primitives of portable numerics for this dtype and CPU level: kernels/portable/*.h.

cdef extern from "portable/primitives.h":
    ctypedef struct fastbp_pool:
        pass
    const fastbp_primitive fastbp_portable[1]
    const fastbp_pool *fastbp_portable_pool


def portable_address(pool):
    """Return the address of the primitives, which share long calls among the threads of the pool at an address."""
    global fastbp_portable_pool
    fastbp_portable_pool = <const fastbp_pool *><intptr_t>pool
    return <intptr_t>&fastbp_portable[0]
