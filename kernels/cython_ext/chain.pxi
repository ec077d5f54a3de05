# A pointwise kernel that is data: chain.h.

cdef extern from "cython_ext/chain.h" nogil:
    int fastbp_chain(real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives)


cdef api int chain(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return fastbp_chain(buffers, sizes, attributes, primitives)
