# Activations of whole rows; the pointwise ones are made from the table (kernels/pointwise.py).

cdef inline intptr_t rows_per_block(intptr_t n) noexcept nogil:
    # as many rows as stay in L1; also bounds the arrays of one number a row on the stack
    return max(1, min(BLOCK // max(n, 1), BLOCK))


cdef api int softmax_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef real s[BLOCK]
    cdef intptr_t batch = sizes[0], n = sizes[1], start, rows, step = rows_per_block(n)
    if n == 0:
        return FASTBP_OK
    start = 0
    while start < batch:
        rows = min(step, batch - start)
        fastbp_subtract_max(x + start * n, y + start * n, rows, n)
        unary(primitives, FASTBP_EXP, y + start * n, y + start * n, rows * n)
        sum_rows(primitives, y + start * n, s, rows, n)
        fastbp_divide_rows(y + start * n, s, rows, n)
        start += step
    return FASTBP_OK


cdef api int softmax_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef real *scratch = buffers[2]
    cdef real *dx = buffers[3]
    cdef real s
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        for j in range(n):
            scratch[j] = dy[j] * y[j]
        s = total(primitives, scratch, n)
        for j in range(n):
            dx[j] = y[j] * (dy[j] - s)
        dy += n
        y += n
        scratch += n
        dx += n
    return FASTBP_OK


cdef api int log_softmax_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef real s[BLOCK]
    cdef intptr_t batch = sizes[0], n = sizes[1], start = 0, rows, i, j, step = rows_per_block(n)
    cdef real *row
    if n == 0:
        return FASTBP_OK
    while start < batch:
        rows = min(step, batch - start)
        row = y + start * n
        fastbp_subtract_max(x + start * n, row, rows, n)
        unary(primitives, FASTBP_EXP, row, row, rows * n)
        sum_rows(primitives, row, s, rows, n)
        unary(primitives, FASTBP_LOG, s, s, rows)
        fastbp_subtract_max(x + start * n, row, rows, n)
        for i in range(rows):
            for j in range(n):
                row[j] = row[j] - s[i]
            row += n
        start += step
    return FASTBP_OK


cdef api int log_softmax_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef real *dx = buffers[2]
    cdef real s
    cdef intptr_t i, j, n = sizes[1]
    unary(primitives, FASTBP_EXP, buffers[1], dx, sizes[0] * n)
    for i in range(sizes[0]):
        s = total(primitives, dy, n)
        for j in range(n):
            dx[j] = dy[j] - dx[j] * s
        dy += n
        dx += n
    return FASTBP_OK
