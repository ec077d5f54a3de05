# What moves and reduces parts of arrays for a graph, and products of stacks; more of it is written from the table
# (kernels/codegen/).

cdef inline void take_columns(
    const real *x, real *y, intptr_t rows, intptr_t width, intptr_t x_row, intptr_t y_row
) noexcept nogil:
    # a matrix of some columns of rows that lie x_row apart, and y_row in y
    cdef intptr_t i
    for i in range(rows):
        memcpy(y + i * y_row, x + i * x_row, width * sizeof(real))


cdef inline int side_by_side(real **buffers, const intptr_t *sizes, int count) noexcept nogil:
    cdef intptr_t k, rows = sizes[0], n = sizes[count + 1]
    cdef real *y = buffers[count]
    for k in range(count):
        take_columns(buffers[k], y, rows, sizes[1 + k], sizes[1 + k], n)
        y += sizes[1 + k]
    return FASTBP_OK


cdef api int concatenate_2(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return side_by_side(buffers, sizes, 2)


cdef api int concatenate_3(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return side_by_side(buffers, sizes, 3)


cdef api int concatenate_4(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return side_by_side(buffers, sizes, 4)


cdef api int columns_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t rows = sizes[0], n = sizes[1], k = sizes[2]
    take_columns(buffers[0] + <intptr_t>attributes[0], buffers[1], rows, k, n, k)
    return FASTBP_OK


cdef api int columns_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, k = sizes[1], n = sizes[2], before = <intptr_t>attributes[0]
    cdef real *dx = buffers[1]
    for i in range(sizes[0]):
        memset(dx, 0, before * sizeof(real))
        memcpy(dx + before, buffers[0] + i * k, k * sizeof(real))
        memset(dx + before + k, 0, (n - k - before) * sizeof(real))
        dx += n
    return FASTBP_OK


cdef api int sum_axis(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, m = sizes[0], k = sizes[1], n = sizes[2]
    if n == 1:
        sum_rows(primitives, buffers[0], buffers[1], m, k)
        return FASTBP_OK
    for i in range(m):
        sum_columns(primitives, buffers[0] + i * k * n, buffers[1] + i * n, k, n, n)
    return FASTBP_OK


cdef api int repeat(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, j, m = sizes[0], n = sizes[1], k = sizes[2]
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef real value
    for i in range(m):
        if n == 1:
            value = x[0]
            each(&j, 0, k)
            y[j] = value
            end()
        else:
            for j in range(k):
                memcpy(y + j * n, x, n * sizeof(real))
        x += n
        y += k * n
    return FASTBP_OK


cdef api int max_axis_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, j, p, m = sizes[0], k = sizes[1], n = sizes[2]
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    for i in range(m if k > 0 else 0):
        memcpy(y, x, n * sizeof(real))
        x += n
        for p in range(1, k):
            each(&j, 0, n)
            y[j] = y[j] if (y[j] >= x[j]) | (y[j] != y[j]) else x[j]
            end()
            x += n
        y += n
    return FASTBP_OK


cdef api int max_axis_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, j, p, m = sizes[0], n = sizes[1], k = sizes[2]
    cdef const real *dy = buffers[0]
    cdef const real *x = buffers[1]
    cdef const real *y = buffers[2]
    cdef real *dx = buffers[3]
    memset(dx, 0, m * k * n * sizeof(real))
    for i in range(m if k > 0 else 0):
        for j in range(n):
            for p in range(k):
                if x[p * n + j] == y[j] or x[p * n + j] != x[p * n + j]:
                    dx[p * n + j] = dy[j]
                    break
            else:
                dx[j] = dy[j]
        dy += n
        y += n
        x += k * n
        dx += k * n
    return FASTBP_OK


cdef api int swap_axes(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, b, c, m = sizes[0], p = sizes[1], q = sizes[2], n = sizes[3]
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    for i in range(m):
        for c in range(q):
            if n == 1:
                for b in range(p):
                    y[b] = x[b * q + c]
            else:
                take_columns(x + c * n, y, p, n, q * n, n)
            y += p * n
        x += p * q * n
    return FASTBP_OK


cdef api int batched_nn(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, m = sizes[1], k = sizes[2], n = sizes[3]
    for i in range(sizes[0]):
        product(buffers[0] + i * m * k, buffers[1] + i * k * n, buffers[2] + i * m * n, m, k, n, k, 1, n, 1, primitives)
    return FASTBP_OK


cdef api int batched_nt(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, m = sizes[1], k = sizes[2], n = sizes[3]
    for i in range(sizes[0]):
        product(buffers[0] + i * m * k, buffers[1] + i * k * n, buffers[2] + i * m * n, m, k, n, k, 1, 1, k, primitives)
    return FASTBP_OK


cdef api int batched_tn(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, k = sizes[1], m = sizes[2], n = sizes[3]
    for i in range(sizes[0]):
        product(buffers[0] + i * m * k, buffers[1] + i * k * n, buffers[2] + i * m * n, m, k, n, 1, m, n, 1, primitives)
    return FASTBP_OK
