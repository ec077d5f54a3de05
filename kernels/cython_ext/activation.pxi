# Activations. Each may run in place, as its row says.

cdef api int identity_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    memmove(buffers[1], buffers[0], sizes[0] * sizeof(real))
    return FASTBP_OK


cdef api int identity_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    memmove(buffers[1], buffers[0], sizes[0] * sizeof(real))
    return FASTBP_OK


cdef inline void logistic(const fastbp_primitive *primitives, const real *x, real *y, intptr_t n) noexcept nogil:
    cdef intptr_t i, start, count
    if primitives[FASTBP_SIGMOID].loop is not NULL:
        unary(primitives, FASTBP_SIGMOID, x, y, n)
        return
    start = 0
    while start < n:
        count = min(n - start, BLOCK)
        for i in range(start, start + count):
            y[i] = -x[i]
        unary(primitives, FASTBP_EXP, y + start, y + start, count)
        for i in range(start, start + count):
            y[i] = ONE / (ONE + y[i])
        start += BLOCK


cdef api int sigmoid_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    logistic(primitives, buffers[0], buffers[1], sizes[0])
    return FASTBP_OK


cdef api int sigmoid_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef real *dx = buffers[2]
    cdef intptr_t i
    for i in range(sizes[0]):
        dx[i] = dy[i] * (y[i] * (ONE - y[i]))
    return FASTBP_OK


cdef api int relu_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef intptr_t i
    for i in range(sizes[0]):
        y[i] = 0 if x[i] <= 0 else x[i]  # NaN stays, -0 becomes +0: numpy.maximum(x, 0)
    return FASTBP_OK


cdef api int relu_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef real *dx = buffers[2]
    cdef real upstream
    cdef intptr_t i
    for i in range(sizes[0]):
        upstream = dy[i]
        dx[i] = upstream if y[i] > 0 else 0
    return FASTBP_OK


cdef api int tanh_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    unary(primitives, FASTBP_TANH, buffers[0], buffers[1], sizes[0])
    return FASTBP_OK


cdef api int tanh_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef real *dx = buffers[2]
    cdef intptr_t i
    for i in range(sizes[0]):
        dx[i] = dy[i] * (ONE - y[i] * y[i])
    return FASTBP_OK


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
