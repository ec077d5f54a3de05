# Random numbers; what is made of them is written from the table (kernels/codegen/).

cdef extern from "cython_ext/pcg64.h" nogil:
    void fastbp_uniform(uint64_t *state, real *u, intptr_t n)


cdef api int uniform(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    fastbp_uniform(<uint64_t *>buffers[1], buffers[2], sizes[0])
    return FASTBP_OK


cdef api int keep_streams(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    memcpy(buffers[1], buffers[0], sizes[0] * sizeof(int64_t))
    return FASTBP_OK
