# The three products of a dense layer, and its backward pass.

cdef extern from "portable/sweep.h" nogil:
    bint fastbp_can_sweep(intptr_t m, intptr_t k, intptr_t n)


cdef inline int product(
    real *a, real *b, real *y, intptr_t m, intptr_t k, intptr_t n,
    intptr_t a_row, intptr_t a_column, intptr_t b_row, intptr_t b_column,
    const fastbp_primitive *primitives,
) noexcept nogil:
    # strides in elements: a transposed operand is the same buffer with its strides exchanged
    cdef char *args[3]
    cdef intptr_t dimensions[4]
    cdef intptr_t steps[9]
    args[0] = <char *>a
    args[1] = <char *>b
    args[2] = <char *>y
    dimensions[0] = 1
    dimensions[1] = m
    dimensions[2] = k
    dimensions[3] = n
    steps[0] = steps[1] = steps[2] = 0
    steps[3] = a_row * sizeof(real)
    steps[4] = a_column * sizeof(real)
    steps[5] = b_row * sizeof(real)
    steps[6] = b_column * sizeof(real)
    steps[7] = n * sizeof(real)
    steps[8] = sizeof(real)
    primitives[FASTBP_MATMUL].loop(args, dimensions, steps, primitives[FASTBP_MATMUL].data)
    return FASTBP_OK


cdef api int matmul_nn(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t m = sizes[0], k = sizes[1], n = sizes[2]
    return product(buffers[0], buffers[1], buffers[2], m, k, n, k, 1, n, 1, primitives)


cdef api int matmul_nt(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t m = sizes[0], k = sizes[1], n = sizes[2]
    return product(buffers[0], buffers[1], buffers[2], m, k, n, k, 1, 1, k, primitives)


cdef api int matmul_tn(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t k = sizes[0], m = sizes[1], n = sizes[2]
    return product(buffers[0], buffers[1], buffers[2], m, k, n, 1, m, n, 1, primitives)


cdef inline void dense_layer(
    real **operands, real *y, intptr_t batch, intptr_t k, intptr_t n, bint relu, const fastbp_primitive *primitives
) noexcept nogil:
    # of the operands x, w and b
    cdef intptr_t i
    cdef intptr_t dimensions[4]
    cdef char *args[4]
    if primitives[FASTBP_DENSE].loop is not NULL:
        for i in range(3):
            args[i] = <char *>operands[i]
        args[3] = <char *>y
        dimensions[0] = batch
        dimensions[1] = k
        dimensions[2] = n
        dimensions[3] = relu
        primitives[FASTBP_DENSE].loop(args, dimensions, NULL, primitives[FASTBP_DENSE].data)
        return
    product(operands[0], operands[1], y, batch, k, n, k, 1, n, 1, primitives)
    add_bias(y, operands[2], batch, n, relu)


cdef api int dense(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    dense_layer(buffers, buffers[3], sizes[0], sizes[1], sizes[2], attributes[0] != 0, primitives)
    return FASTBP_OK


cdef inline bint product_add(
    real *a, real *b, real *bias, real *c, real *y, real *before, intptr_t m, intptr_t k, intptr_t n, bint relu,
    bint by_columns, const fastbp_primitive *primitives,
) noexcept nogil:
    # whether the numerics adds c to a product on its way, and did
    cdef char *args[6]
    cdef intptr_t dimensions[5]
    if primitives[FASTBP_PRODUCT_ADD].loop is NULL:
        return False
    args[0] = <char *>a
    args[1] = <char *>b
    args[2] = <char *>bias
    args[3] = <char *>c
    args[4] = <char *>y
    args[5] = <char *>before
    dimensions[0] = m
    dimensions[1] = k
    dimensions[2] = n
    dimensions[3] = relu
    dimensions[4] = by_columns
    primitives[FASTBP_PRODUCT_ADD].loop(args, dimensions, NULL, primitives[FASTBP_PRODUCT_ADD].data)
    return True


cdef inline void added(const real *x, const real *c, real *y, intptr_t n) noexcept nogil:
    cdef intptr_t i
    each(&i, 0, n)
    y[i] = x[i] + c[i]
    end()


cdef inline int dense_and_c(
    real **buffers, real *h, real *y, const intptr_t *sizes, bint relu, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t batch = sizes[0], k = sizes[1], n = sizes[2]
    if not product_add(buffers[0], buffers[1], buffers[2], buffers[3], y, h, batch, k, n, relu, False, primitives):
        dense_layer(buffers, h, batch, k, n, relu, primitives)
        added(h, buffers[3], y, batch * n)
    return FASTBP_OK


cdef api int dense_add(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return dense_and_c(buffers, buffers[4], buffers[4], sizes, attributes[0] != 0, primitives)


cdef api int dense_add_both(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return dense_and_c(buffers, buffers[4], buffers[5], sizes, attributes[0] != 0, primitives)


cdef api int matmul_nt_add(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t m = sizes[0], k = sizes[1], n = sizes[2]
    cdef real *y = buffers[3]
    if not product_add(buffers[0], buffers[1], NULL, buffers[2], y, y, m, k, n, False, True, primitives):
        product(buffers[0], buffers[1], y, m, k, n, k, 1, 1, k, primitives)
        added(y, buffers[2], y, m * n)
    return FASTBP_OK


cdef inline bint sweep(
    real **operands, intptr_t batch, intptr_t m, intptr_t k, intptr_t n, bint relu, const fastbp_primitive *primitives
) noexcept nogil:
    # whether the numerics makes all of it in one pass over the rows, and did
    cdef intptr_t dimensions[5]
    if primitives[FASTBP_SWEEP].loop is NULL or not fastbp_can_sweep(m, k, n):
        return False
    dimensions[0] = batch
    dimensions[1] = m
    dimensions[2] = k
    dimensions[3] = n
    dimensions[4] = relu
    primitives[FASTBP_SWEEP].loop(<char **>operands, dimensions, NULL, primitives[FASTBP_SWEEP].data)
    return True


cdef inline void behind_relu(real *dy, const real *y, intptr_t n) noexcept nogil:
    cdef intptr_t i
    each(&i, 0, n)
    dy[i] = dy[i] if y[i] > 0 else 0
    end()


cdef api int dense_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, batch = sizes[0], k = sizes[1], n = sizes[2]
    cdef real *x = buffers[0]
    cdef real *dy = buffers[1]
    cdef real *w = buffers[2]
    cdef real *dx = buffers[5]
    cdef real *operands[9]
    operands[0] = operands[7] = operands[8] = NULL  # of no layer before
    for i in range(6):
        operands[1 + i] = buffers[i]
    if sweep(operands, batch, 1, k, n, attributes[0] != 0, primitives):
        return FASTBP_OK
    sum_columns(primitives, dy, buffers[3], batch, n, n)
    product(x, dy, buffers[4], k, batch, n, 1, k, n, 1, primitives)
    product(dy, w, dx, batch, n, k, n, 1, 1, n, primitives)
    if attributes[0] != 0:
        behind_relu(dx, x, batch * k)
    return FASTBP_OK


cdef api int dense_pair_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t batch = sizes[0], m = sizes[1], k = sizes[2], n = sizes[3]
    cdef real *x = buffers[0]
    cdef real *h = buffers[1]
    cdef real *dy = buffers[2]
    cdef real *w = buffers[3]
    cdef real *dh = buffers[6]
    if sweep(buffers, batch, m, k, n, True, primitives):
        return FASTBP_OK
    sum_columns(primitives, dy, buffers[4], batch, n, n)
    product(h, dy, buffers[5], k, batch, n, 1, k, n, 1, primitives)
    product(dy, w, dh, batch, n, k, n, 1, 1, n, primitives)
    behind_relu(dh, h, batch * k)
    sum_columns(primitives, dh, buffers[7], batch, k, k)
    product(x, dh, buffers[8], m, batch, k, 1, m, k, 1, primitives)
    return FASTBP_OK
