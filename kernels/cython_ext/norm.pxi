# Batch normalisation in few passes; the other norms are written from the table (kernels/codegen/).

cdef extern from "cython_ext/batch_norm.h" nogil:
    ctypedef struct fastbp_batch:
        const real *x
        const real *gamma
        const real *beta
        real *inverse
        real *mean
        real *variance
        real *y
        const real *dy
        real *dx
        real *dgamma
        real *dbeta
        real *a
        real *b
        real *column
        intptr_t rows
        intptr_t n
        int relu
    void fastbp_batch_norm_affine(fastbp_batch *s, const fastbp_primitive *primitives, double eps)
    void fastbp_batch_norm_affine_gradients(fastbp_batch *s, const fastbp_primitive *primitives)


cdef api int batch_norm_affine_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef fastbp_batch s
    s.x, s.gamma, s.beta, s.y = buffers[0], buffers[1], buffers[2], buffers[3]
    s.inverse, s.mean, s.variance = buffers[4], buffers[5], buffers[6]
    s.rows, s.n, s.relu = sizes[0], sizes[1], attributes[1] != 0
    fastbp_batch_norm_affine(&s, primitives, attributes[0])
    return FASTBP_OK


cdef api int batch_norm_affine_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef fastbp_batch s
    s.dy, s.x, s.gamma, s.beta = buffers[0], buffers[1], buffers[2], buffers[3]
    s.inverse, s.mean = buffers[4], buffers[5]
    s.column, s.a, s.b, s.dx, s.dgamma, s.dbeta = buffers[6], buffers[7], buffers[8], buffers[9], buffers[10], buffers[11]
    s.rows, s.n, s.relu = sizes[0], sizes[1], attributes[1] != 0
    fastbp_batch_norm_affine_gradients(&s, primitives)
    return FASTBP_OK
