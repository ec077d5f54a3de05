# What an optimizer counts; the updates themselves are made from the table (kernels/pointwise.py).

cdef api int adam_advance(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef double *power = <double *>buffers[0]
    power[0] = power[0] * attributes[0]
    power[1] = power[1] * attributes[1]
    return FASTBP_OK


cdef api int nadam_advance(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef double *power = <double *>buffers[0]
    power[2] = power[2] * attributes[3]
    power[0] = power[0] * (attributes[0] * (1 - 0.5 * power[2]))
    power[1] = power[1] * attributes[1]
    return FASTBP_OK
