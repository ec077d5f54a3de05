# Parameter updates: plain IEEE arithmetic, one pass over the flat arrays.

cdef api int sgd_update(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *w = buffers[0]
    cdef const real *dw = buffers[1]
    cdef real lr = <real>(<const double *>buffers[2])[0]
    cdef intptr_t i
    for i in range(sizes[0]):
        w[i] = w[i] - lr * dw[i]
    return FASTBP_OK


cdef api int momentum_update(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *w = buffers[0]
    cdef const real *dw = buffers[1]
    cdef real *velocity = buffers[2]
    cdef real lr = <real>(<const double *>buffers[3])[0], momentum = <real>attributes[0], u
    cdef intptr_t i
    if attributes[1] != 0:
        for i in range(sizes[0]):
            u = momentum * velocity[i] + dw[i]
            w[i] = w[i] - lr * (dw[i] + momentum * u)
            velocity[i] = u
    else:
        for i in range(sizes[0]):
            u = momentum * velocity[i] + dw[i]
            w[i] = w[i] - lr * u
            velocity[i] = u
    return FASTBP_OK


cdef api int adam_advance(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef double *power = <double *>buffers[0]
    power[0] = power[0] * attributes[0]
    power[1] = power[1] * attributes[1]
    return FASTBP_OK


cdef api int adam_update(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real *w = buffers[0]
    cdef const real *dw = buffers[1]
    cdef real *m = buffers[2]
    cdef real *v = buffers[3]
    cdef const double *power = <const double *>buffers[4]
    cdef double lr = (<const double *>buffers[5])[0], c = sqrt(1 - power[1])
    cdef real rate = <real>(lr * c / (1 - power[0])), eps = <real>(attributes[2] * c)
    cdef real beta1 = <real>attributes[0], rest1 = <real>(1 - attributes[0])
    cdef real beta2 = <real>attributes[1], rest2 = <real>(1 - attributes[1])
    cdef real mi, vi
    cdef intptr_t i
    for i in range(sizes[0]):
        mi = beta1 * m[i] + rest1 * dw[i]
        vi = beta2 * v[i] + rest2 * (dw[i] * dw[i])
        w[i] = w[i] - rate * (mi / (square_root(vi) + eps))
        m[i] = mi
        v[i] = vi
    return FASTBP_OK
