# Metrics: counts, exact by nature, and sums of errors.

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


cdef bint in_top(const real *x, intptr_t n, int64_t label, intptr_t k) noexcept nogil:
    # whether fewer than k come before x[label] in a stable descending order with NaN at its end
    cdef intptr_t j, ahead = 0
    cdef real p
    if not 0 <= label < n:
        return False
    p = x[label]
    if p != p:
        ahead = label
        for j in range(label, n):
            ahead += x[j] == x[j]
    else:
        for j in range(label):
            ahead += x[j] >= p
        for j in range(label, n):
            ahead += x[j] > p
    return ahead < k


cdef api int sparse_top_k_categorical_accuracy(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef int64_t hits = 0
    cdef intptr_t i, n = sizes[1], k = <intptr_t>attributes[0]
    for i in range(sizes[0]):
        hits += in_top(y_pred + i * n, n, labels[i], k)
    (<int64_t *>buffers[2])[0] = hits
    return FASTBP_OK


cdef api int top_k_categorical_accuracy(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef int64_t hits = 0
    cdef intptr_t i, n = sizes[1], k = <intptr_t>attributes[0]
    for i in range(sizes[0]):
        hits += in_top(y_pred + i * n, n, argmax(y_true + i * n, n), k)
    (<int64_t *>buffers[2])[0] = hits
    return FASTBP_OK


cdef api int binary_confusion(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef int64_t *counts = <int64_t *>buffers[2]
    cdef real threshold = <real>attributes[0]
    cdef int64_t positive = 0, actual = 0, both = 0
    cdef bint p, t
    cdef intptr_t i
    for i in range(sizes[0]):
        p = y_pred[i] > threshold
        t = y_true[i] > <real>0.5
        positive += p
        actual += t
        both += p & t
    counts[0] = sizes[0] - positive - actual + both
    counts[1] = positive - both
    counts[2] = actual - both
    counts[3] = both
    return FASTBP_OK


cdef api int sparse_confusion(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const int64_t *labels = <const int64_t *>buffers[1]
    cdef int64_t *cell = <int64_t *>buffers[2]
    cdef intptr_t i, n = sizes[1]
    for i in range(sizes[0]):
        # unsigned: a label out of range wraps around as in NumPy
        cell[i] = <int64_t>(<uint64_t>n * <uint64_t>labels[i] + <uint64_t>argmax(y_pred + i * n, n))
    return FASTBP_OK


cdef api int categorical_confusion(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *y_pred = buffers[0]
    cdef const real *y_true = buffers[1]
    cdef int64_t *cell = <int64_t *>buffers[2]
    cdef intptr_t i, n = sizes[1]
    for i in range(sizes[0]):
        cell[i] = n * argmax(y_true + i * n, n) + argmax(y_pred + i * n, n)
    return FASTBP_OK

cdef extern from "cython_ext/metric.h" nogil:
    void fastbp_error_sums(const real *t, const real *p, double *absolute, double *squared, intptr_t n)
    void fastbp_column_errors(
        const real *t, const real *p, double *squared, double *spread, double *mean, intptr_t rows, intptr_t n)
    int fastbp_confusion_counts(const int64_t *t, const int64_t *p, int64_t *counts, intptr_t n, intptr_t classes)
    void fastbp_part_by_label(const real *x, const int64_t *labels, real *parted, int64_t *counts, intptr_t n)
    int64_t fastbp_count_wins(const real *p, intptr_t n_p, const real *n, intptr_t n_n)


cdef api int error_sums(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    fastbp_error_sums(buffers[0], buffers[1], <double *>buffers[2], <double *>buffers[3], sizes[0])
    return FASTBP_OK


cdef api int column_errors(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    fastbp_column_errors(buffers[0], buffers[1], <double *>buffers[2], <double *>buffers[3], <double *>buffers[4],
                         sizes[0], sizes[1])
    return FASTBP_OK


cdef api int confusion_counts(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return fastbp_confusion_counts(
        <int64_t *>buffers[0], <int64_t *>buffers[1], <int64_t *>buffers[2], sizes[0], sizes[1])


cdef api int part_by_label(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    fastbp_part_by_label(buffers[0], <int64_t *>buffers[1], buffers[2], <int64_t *>buffers[3], sizes[0])
    return FASTBP_OK


cdef api int count_wins(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    (<int64_t *>buffers[2])[0] = fastbp_count_wins(buffers[0], sizes[0], buffers[1], sizes[1])
    return FASTBP_OK
