# What happens to gradients and parameters around the optimizer's step; more of it is made from the table.

cdef inline real clip_factor(real norm, real limit) noexcept nogil:
    # limit / numpy.maximum(norm, limit); NaN stays
    return limit / (limit if norm <= limit else norm)


cdef api int clip_norm_rescale(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *dw = buffers[0]
    cdef real factor = clip_factor(square_root(buffers[1][0]), <real>attributes[0])
    cdef intptr_t i
    for i in range(sizes[0]):
        dw[i] = dw[i] * factor
    return FASTBP_OK


cdef api int max_norm(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *w = buffers[0]
    cdef real *squares = buffers[1]
    cdef real *norm = buffers[2]
    cdef intptr_t i, j, m = sizes[0], n = sizes[1]
    cdef real limit = <real>attributes[0]
    for i in range(m * n):
        squares[i] = w[i] * w[i]
    sum_columns(primitives, squares, norm, m, n)
    for j in range(n):
        norm[j] = square_root(norm[j])
    for i in range(m):
        for j in range(n):
            w[j] = w[j] * clip_factor(norm[j], limit)
        w += n
    return FASTBP_OK


cdef api int scale_rate(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    (<double *>buffers[1])[0] = (<const double *>buffers[0])[0] * attributes[0]
    return FASTBP_OK
