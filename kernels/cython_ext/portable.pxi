# The primitives of portable numerics for this dtype and CPU level: kernels/portable/*.h.

cdef extern from "portable/primitives.h":
    ctypedef struct fastbp_pool:
        pass
    const fastbp_primitive fastbp_portable[1]
    const fastbp_pool *fastbp_portable_pool


cdef api const fastbp_primitive *portable_primitives(const fastbp_pool *pool) noexcept nogil:
    # they share long calls among the threads of the pool
    global fastbp_portable_pool
    fastbp_portable_pool = pool
    return &fastbp_portable[0]
