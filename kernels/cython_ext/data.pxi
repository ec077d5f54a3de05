# Moving rows: the batches of an epoch are gathered by index, and so is an embedding.

cdef api int gather(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *index = <const int64_t *>buffers[1]
    if gather_rows(buffers[0], index, buffers[2], sizes[0], sizes[1], sizes[2]):
        return FASTBP_OK
    return FASTBP_INDEX_ERROR


cdef api int gather_bytes(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const uint8_t *source = <const uint8_t *>buffers[0]
    cdef const int64_t *index = <const int64_t *>buffers[1]
    cdef const uint8_t *x
    cdef real *y = buffers[3]
    cdef intptr_t i, j, n = sizes[1]
    for i in range(sizes[2]):
        if not 0 <= index[i] < sizes[0]:
            return FASTBP_INDEX_ERROR
        x = source + index[i] * n
        each(&j, 0, n)
        y[j] = <real>x[j]
        end()
        y += n
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


cdef api int gather_label_rows(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const int64_t *index = <const int64_t *>buffers[1]
    # as rows of reals: they are only moved
    cdef intptr_t n = sizes[1] * (sizeof(int64_t) // sizeof(real))
    if gather_rows(buffers[0], index, buffers[2], sizes[0], n, sizes[2]):
        return FASTBP_OK
    return FASTBP_INDEX_ERROR


cdef inline intptr_t row_number(real x, intptr_t rows) noexcept nogil:
    # -1 if it is none; compared before the cast, which is undefined for what does not fit
    cdef intptr_t k
    if not (x >= 0 and x < <real>rows):
        return -1
    k = <intptr_t>x
    return k if <real>k == x else -1


cdef api int embedding_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *x = buffers[0]
    cdef const real *w = buffers[1]
    cdef real *y = buffers[2]
    cdef intptr_t i, k, width = sizes[3]
    for i in range(sizes[0] * sizes[1]):
        k = row_number(x[i], sizes[2])
        if k < 0:
            return FASTBP_INDEX_ERROR
        memcpy(y + i * width, w + k * width, width * sizeof(real))
    return FASTBP_OK


cdef api int embedding_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef const real *dy = buffers[0]
    cdef const real *x = buffers[1]
    cdef real *dw = buffers[3]
    cdef real *row
    cdef intptr_t i, j, k, width = sizes[2], rows = sizes[3]
    memset(dw, 0, rows * width * sizeof(real))
    for i in range(sizes[0] * sizes[1]):
        k = row_number(x[i], rows)
        if k < 0:
            return FASTBP_INDEX_ERROR
        row = dw + k * width
        for j in range(width):
            row[j] = row[j] + dy[j]
        dy += width
    return FASTBP_OK
