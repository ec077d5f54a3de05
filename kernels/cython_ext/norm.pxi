# Normalisation of rows and of columns, and the scale and shift that follow it; a slope for each column.

cdef api int layer_norm_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef real *inverse = buffers[2]
    cdef real eps = <real>attributes[0], count = <real>sizes[1], mean, d
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        mean = total(primitives, x, n) / count
        for j in range(n):
            d = x[j] - mean
            y[j] = d * d
        inverse[i] = ONE / square_root(total(primitives, y, n) / count + eps)
        for j in range(n):
            y[j] = (x[j] - mean) * inverse[i]
        x += n
        y += n
    return FASTBP_OK


cdef api int layer_norm_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef const real *inverse = buffers[2]
    cdef real *scratch = buffers[3]
    cdef real *dx = buffers[4]
    cdef real count = <real>sizes[1], a, b, s
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        for j in range(n):
            scratch[j] = dy[j] * y[j]
        a = total(primitives, dy, n) / count
        b = total(primitives, scratch, n) / count
        s = inverse[i]
        for j in range(n):
            dx[j] = s * ((dy[j] - a) - y[j] * b)
        dy += n
        y += n
        scratch += n
        dx += n
    return FASTBP_OK


cdef api int rms_norm_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef real *inverse = buffers[2]
    cdef real eps = <real>attributes[0], count = <real>sizes[1]
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        for j in range(n):
            y[j] = x[j] * x[j]
        inverse[i] = ONE / square_root(total(primitives, y, n) / count + eps)
        for j in range(n):
            y[j] = x[j] * inverse[i]
        x += n
        y += n
    return FASTBP_OK


cdef api int rms_norm_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef const real *inverse = buffers[2]
    cdef real *scratch = buffers[3]
    cdef real *dx = buffers[4]
    cdef real count = <real>sizes[1], b, s
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        for j in range(n):
            scratch[j] = dy[j] * y[j]
        b = total(primitives, scratch, n) / count
        s = inverse[i]
        for j in range(n):
            dx[j] = s * (dy[j] - y[j] * b)
        dy += n
        y += n
        scratch += n
        dx += n
    return FASTBP_OK


cdef enum:
    COLUMNS = 128  # of a batch, that stay in the cache from one pass to the next


cdef void inverse_roots(const real *variance, real eps, real *inverse, intptr_t n) noexcept nogil:
    cdef intptr_t j
    for j in range(n):
        inverse[j] = ONE / square_root(variance[j] + eps)


cdef void normalize_rows(
    const real *x, const real *mean, const real *inverse, real *y, intptr_t batch, intptr_t n, intptr_t columns
) noexcept nogil:
    # the first `columns` of n columns
    cdef intptr_t i, j
    for i in range(batch):
        for j in range(columns):
            y[i * n + j] = (x[i * n + j] - mean[j]) * inverse[j]


cdef api int batch_norm_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef real *y = buffers[1]
    cdef real *inverse = buffers[2]
    cdef real *mean = buffers[3]
    cdef real *variance = buffers[4]
    cdef real count = <real>sizes[0], d
    cdef intptr_t i, j, batch = sizes[0], n = sizes[1], remaining = n, columns
    while remaining > 0:
        columns = min(remaining, COLUMNS)
        sum_first_columns(primitives, x, mean, batch, n, columns)
        for j in range(columns):
            mean[j] = mean[j] / count
        for i in range(batch):
            for j in range(columns):
                d = x[i * n + j] - mean[j]
                y[i * n + j] = d * d
        sum_first_columns(primitives, y, variance, batch, n, columns)
        for j in range(columns):
            variance[j] = variance[j] / count
        inverse_roots(variance, <real>attributes[0], inverse, columns)
        normalize_rows(x, mean, inverse, y, batch, n, columns)
        x += columns
        y += columns
        inverse += columns
        mean += columns
        variance += columns
        remaining -= columns
    return FASTBP_OK


cdef api int batch_norm_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *y = buffers[1]
    cdef const real *inverse = buffers[2]
    cdef real *dx = buffers[3]
    cdef real a[COLUMNS]
    cdef real b[COLUMNS]
    cdef real count = <real>sizes[0]
    cdef intptr_t i, j, batch = sizes[0], n = sizes[1], remaining = n, columns
    while remaining > 0:
        columns = min(remaining, COLUMNS)
        sum_first_columns(primitives, dy, a, batch, n, columns)
        for i in range(batch):
            for j in range(columns):
                dx[i * n + j] = dy[i * n + j] * y[i * n + j]
        sum_first_columns(primitives, dx, b, batch, n, columns)
        for j in range(columns):
            a[j] = a[j] / count
            b[j] = b[j] / count
        for i in range(batch):
            for j in range(columns):
                dx[i * n + j] = inverse[j] * ((dy[i * n + j] - a[j]) - y[i * n + j] * b[j])
        dy += columns
        y += columns
        inverse += columns
        dx += columns
        remaining -= columns
    return FASTBP_OK


cdef api int normalize(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    inverse_roots(buffers[2], <real>attributes[0], buffers[4], sizes[1])
    normalize_rows(buffers[0], buffers[1], buffers[4], buffers[3], sizes[0], sizes[1], sizes[1])
    return FASTBP_OK


cdef api int affine_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef const real *gamma = buffers[1]
    cdef const real *beta = buffers[2]
    cdef real *y = buffers[3]
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        each(&j, 0, n)
        y[j] = x[j] * gamma[j] + beta[j]
        end()
        x += n
        y += n
    return FASTBP_OK


cdef inline void scale_back(
    const fastbp_primitive *primitives, const real *dy, const real *x, const real *gamma, real *scratch, real *dx,
    real *dgamma, intptr_t batch, intptr_t n
) noexcept nogil:
    cdef intptr_t i, j
    for i in range(batch * n):
        scratch[i] = dy[i] * x[i]
    sum_columns(primitives, scratch, dgamma, batch, n)
    for i in range(batch):
        for j in range(n):
            dx[i * n + j] = dy[i * n + j] * gamma[j]


cdef api int affine_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    # dbeta first: dx may take the place of dy
    sum_columns(primitives, buffers[0], buffers[6], sizes[0], sizes[1])
    scale_back(primitives, buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5], sizes[0], sizes[1])
    return FASTBP_OK


cdef api int scale_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef const real *gamma = buffers[1]
    cdef real *y = buffers[2]
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        for j in range(n):
            y[j] = x[j] * gamma[j]
        x += n
        y += n
    return FASTBP_OK


cdef api int scale_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    scale_back(primitives, buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5], sizes[0], sizes[1])
    return FASTBP_OK


cdef api int prelu_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef const real *alpha = buffers[1]
    cdef real *y = buffers[2]
    cdef real slope
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        for j in range(n):
            slope = alpha[j] * x[j]
            y[j] = x[j] if x[j] > 0 else slope
        x += n
        y += n
    return FASTBP_OK


cdef api int prelu_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *x = buffers[1]
    cdef const real *alpha = buffers[2]
    cdef real *dx = buffers[3]
    cdef real *dalpha = buffers[4]
    cdef real down
    cdef intptr_t i, j, batch = sizes[0], n = sizes[1], remaining = n, columns
    while remaining > 0:
        columns = min(remaining, COLUMNS)
        for i in range(batch):
            for j in range(columns):
                down = dy[i * n + j] * x[i * n + j]
                dx[i * n + j] = 0 if x[i * n + j] > 0 else down
        sum_first_columns(primitives, dx, dalpha, batch, n, columns)
        for i in range(batch):
            for j in range(columns):
                down = alpha[j] * dy[i * n + j]
                dx[i * n + j] = dy[i * n + j] if x[i * n + j] > 0 else down
        dy += columns
        x += columns
        alpha += columns
        dx += columns
        dalpha += columns
        remaining -= columns
    return FASTBP_OK
