# Moving rows: the batches of an epoch are gathered by index.

cdef api int gather(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *source = buffers[0]
    cdef const int64_t *index = <const int64_t *>buffers[1]
    cdef real *y = buffers[2]
    cdef intptr_t i, rows = sizes[0], n = sizes[1], batch = sizes[2]
    for i in range(batch):
        if not 0 <= index[i] < rows:
            return FASTBP_INDEX_ERROR
        memcpy(y + i * n, source + index[i] * n, n * sizeof(real))
    return FASTBP_OK


cdef api int gather_labels(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *source = <const int64_t *>buffers[0]
    cdef const int64_t *index = <const int64_t *>buffers[1]
    cdef int64_t *y = <int64_t *>buffers[2]
    cdef intptr_t i
    for i in range(sizes[1]):
        if not 0 <= index[i] < sizes[0]:
            return FASTBP_INDEX_ERROR
        y[i] = source[index[i]]
    return FASTBP_OK
