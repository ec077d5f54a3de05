# What weighs the samples of a loss; more of it is written from the table (kernels/codegen/).

cdef api int ignore_label(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *y_true = <const int64_t *>buffers[1]
    cdef int64_t *kept = <int64_t *>buffers[2]
    cdef real *weight = buffers[3]
    cdef int64_t ignored = <int64_t>attributes[1]
    cdef intptr_t i, count = 0, batch = sizes[0]
    cdef real share
    for i in range(batch):
        count += y_true[i] != ignored
    share = <real>(<double>batch / max(count, 1)) if attributes[0] != 0 else ONE
    for i in range(batch):
        kept[i] = y_true[i] if y_true[i] != ignored else 0
        weight[i] = share if y_true[i] != ignored else 0
    return FASTBP_OK


cdef api int ignore_label_rows(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *y_true = <const int64_t *>buffers[0]
    cdef int64_t ignored = <int64_t>attributes[1]
    cdef intptr_t i, count = 0
    for i in range(sizes[0]):
        count += y_true[i] == ignored
    (<double *>buffers[1])[0] -= <double>count
    return FASTBP_OK


cdef api int weighted_mean_rows(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    (<double *>buffers[1])[0] = <double>buffers[0][0]
    return FASTBP_OK
