# The primitives of portable numerics for this dtype and CPU level: kernels/portable/*.h.

cdef extern from "portable/primitives.h" nogil:
    ctypedef struct fastbp_pool:
        pass
    const fastbp_primitive *fastbp_lend(const fastbp_pool *pool)


cdef api const fastbp_primitive *portable_primitives(const fastbp_pool *pool) noexcept nogil:
    # they share long calls among the threads of the pool
    return fastbp_lend(pool)
