# Losses: a value for the batch and the gradient of it. The attribute `mean` (1 or 0) comes first.

cdef inline real share(double numerator, const double *attributes, intptr_t count) noexcept nogil:
    # numerator / count for a mean, numerator for a sum: in double, then rounded once, as NumPy does
    return <real>(numerator / (<double>count if attributes[0] != 0 else 1.0))


cdef inline real reduced(real value, const double *attributes, intptr_t count) noexcept nogil:
    return value / <real>(<double>count if attributes[0] != 0 else 1.0)


cdef inline bint labels_ok(const int64_t *labels, intptr_t batch, intptr_t n) noexcept nogil:
    cdef intptr_t i
    cdef bint ok = True
    for i in range(batch):
        ok &= 0 <= labels[i] < n
    return ok


cdef api int sparse_categorical_cross_entropy_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *sample_loss = buffers[2]
    cdef real lower = <real>attributes[1], upper = below_one(attributes[1])
    cdef intptr_t i, batch = sizes[0], n = sizes[1]
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    for i in range(batch):
        sample_loss[i] = clip(y_pred[i * n + labels[i]], lower, upper)
    unary(primitives, FASTBP_LOG, sample_loss, sample_loss, batch)
    for i in range(batch):
        sample_loss[i] = -sample_loss[i]
    buffers[3][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return FASTBP_OK


cdef api int sparse_categorical_cross_entropy_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *dy_pred = buffers[2]
    cdef real lower = <real>attributes[1], upper = below_one(attributes[1])
    cdef real factor = share(-1, attributes, sizes[0])
    cdef intptr_t i, batch = sizes[0], n = sizes[1]
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    memset(dy_pred, 0, batch * n * sizeof(real))
    for i in range(batch):
        dy_pred[i * n + labels[i]] = factor / clip(y_pred[i * n + labels[i]], lower, upper)
    return FASTBP_OK


cdef api int softmax_cross_entropy_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *logits = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef real *p = buffers[2]
    cdef real *elements = buffers[3]
    cdef real *sample_loss = buffers[4]
    cdef real s[BLOCK]
    cdef real log_s[BLOCK]
    cdef intptr_t batch = sizes[0], n = sizes[1], i, j, start, rows, at, step = rows_per_block(n)
    start = 0
    while start < batch and n > 0:
        rows = min(step, batch - start)
        at = start * n
        fastbp_subtract_max(logits + at, elements + at, rows, n)
        unary(primitives, FASTBP_EXP, elements + at, p + at, rows * n)
        sum_rows(primitives, p + at, s, rows, n)
        unary(primitives, FASTBP_LOG, s, log_s, rows)
        fastbp_divide_rows(p + at, s, rows, n)
        for i in range(rows):
            for j in range(n):
                elements[at + j] = y_true[at + j] * (elements[at + j] - log_s[i])
            at += n
        start += step
    sum_rows(primitives, elements, sample_loss, batch, n)
    for i in range(batch):
        sample_loss[i] = -sample_loss[i]
    buffers[5][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return FASTBP_OK


cdef api int softmax_cross_entropy_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *p = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef real *dlogits = buffers[2]
    cdef real factor = share(1, attributes, sizes[0]), s
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[0]):
        s = total(primitives, y_true, n)
        for j in range(n):
            dlogits[j] = (p[j] * s - y_true[j]) * factor
        p += n
        y_true += n
        dlogits += n
    return FASTBP_OK


cdef api int sparse_softmax_cross_entropy_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *logits = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *p = buffers[2]
    cdef real *sample_loss = buffers[3]
    cdef real s[BLOCK]
    cdef real log_s[BLOCK]
    cdef intptr_t batch = sizes[0], n = sizes[1], i, start, rows, at, step = rows_per_block(n)
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    start = 0
    while start < batch:
        rows = min(step, batch - start)
        at = start * n
        fastbp_subtract_max(logits + at, p + at, rows, n)
        for i in range(rows):
            sample_loss[start + i] = p[at + i * n + labels[start + i]]
        unary(primitives, FASTBP_EXP, p + at, p + at, rows * n)
        sum_rows(primitives, p + at, s, rows, n)
        unary(primitives, FASTBP_LOG, s, log_s, rows)
        fastbp_divide_rows(p + at, s, rows, n)
        for i in range(rows):
            sample_loss[start + i] = log_s[i] - sample_loss[start + i]
        start += step
    buffers[4][0] = reduced(total(primitives, sample_loss, batch), attributes, batch)
    return FASTBP_OK


cdef api int sparse_softmax_cross_entropy_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *p = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef real *dlogits = buffers[2]
    cdef real factor = share(1, attributes, sizes[0])
    cdef real hit[BLOCK]
    cdef intptr_t i, start, rows, batch = sizes[0], n = sizes[1]
    if not labels_ok(labels, batch, n):
        return FASTBP_INDEX_ERROR
    start = 0
    while start < batch:
        rows = min(BLOCK, batch - start)
        for i in range(rows):
            hit[i] = p[i * n + labels[i]] - ONE  # read before it may be overwritten
        for i in range(rows * n):
            dlogits[i] = p[i] * factor
        for i in range(rows):
            dlogits[i * n + labels[i]] = hit[i] * factor
        labels += rows
        p += rows * n
        dlogits += rows * n
        start += rows
    return FASTBP_OK


cdef api int check_finite(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real loss = buffers[0][0]
    if attributes[0] != 0 and loss - loss != 0:
        return FASTBP_NOT_FINITE
    return FASTBP_OK
