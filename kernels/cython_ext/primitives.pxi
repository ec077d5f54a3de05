# The primitives that this module has for its dtype and CPU level: kernels/portable/*.h and composed.h.

cdef extern from "cython_ext/composed.h" nogil:
    ctypedef struct fastbp_pool:
        pass
    const fastbp_primitive *fastbp_portable
    void fastbp_set_pool(const fastbp_pool *pool)
    void fastbp_complete(fastbp_primitive *numpy)


cdef api const fastbp_primitive *portable_primitives() noexcept nogil:
    # those of portable numerics
    return fastbp_portable


cdef api void set_pool(const fastbp_pool *pool) noexcept nogil:
    # whose threads share their long calls
    fastbp_set_pool(pool)


cdef api void complete_primitives(fastbp_primitive *numpy) noexcept nogil:
    # those of numerics "numpy" that are not NumPy's loops
    fastbp_complete(numpy)
