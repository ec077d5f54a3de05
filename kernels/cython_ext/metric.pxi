# Metrics: counts of hits, exact by nature.

cdef inline intptr_t argmax(const real *x, intptr_t n) noexcept nogil:
    # the first of equals; the first NaN wins, as in numpy.argmax
    cdef intptr_t j, best = 0
    for j in range(1, n):
        if x[best] != x[best]:
            break
        if x[j] > x[best] or x[j] != x[j]:
            best = j
    return best


cdef api int sparse_categorical_accuracy(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef int64_t hits = 0
    cdef intptr_t i, n = sizes[1]
    for i in range(sizes[0]):
        hits += argmax(y_pred + i * n, n) == labels[i]
    (<int64_t *>buffers[2])[0] = hits
    return FASTBP_OK


cdef api int categorical_accuracy(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef int64_t hits = 0
    cdef intptr_t i, n = sizes[1]
    for i in range(sizes[0]):
        hits += argmax(y_pred + i * n, n) == argmax(y_true + i * n, n)
    (<int64_t *>buffers[2])[0] = hits
    return FASTBP_OK


cdef api int binary_accuracy(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef real threshold = <real>attributes[0]
    cdef int64_t hits = 0
    cdef intptr_t i
    for i in range(sizes[0]):
        hits += (y_pred[i] > threshold) == (y_true[i] > <real>0.5)
    (<int64_t *>buffers[2])[0] = hits
    return FASTBP_OK
