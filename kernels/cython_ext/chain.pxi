# A pointwise kernel that is data: the operations of a user's own function, one block after the other. What the
# numbers in `attributes` mean is said in kernels/chain.py, which writes them.

cdef api int chain(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real memory[CHAIN_ROOM]
    cdef real *at[CHAIN_REGISTERS]
    cdef intptr_t n = sizes[0], start = 0, count, i, block = CHAIN_ROOM // <int>attributes[7] // 64 * 64
    cdef int inputs = <int>attributes[1], outputs = <int>attributes[2], constants = <int>attributes[3]
    cdef int steps = <int>attributes[4], share = <int>attributes[6], k
    cdef const double *constant = attributes + 8
    cdef const double *step = constant + constants
    cdef const double *results = step + 5 * steps
    cdef const double *own = attributes + <intptr_t>attributes[0]
    cdef double divisor = <double>n if attributes[5] != 0 and own[0] != 0 else 1.0
    if block > CHAIN_BLOCK:
        block = CHAIN_BLOCK
    for k in range(<int>attributes[7]):
        at[inputs + k] = memory + k * block
    for k in range(constants):
        for i in range(block):
            memory[k * block + i] = <real>(1 / divisor if k == share else constant[k])
    while start < n:
        count = min(n - start, block)
        for k in range(inputs):
            at[k] = buffers[k] + start
        for k in range(outputs):
            if results[k] >= inputs + constants:
                at[<int>results[k]] = buffers[inputs + k] + start
        for k in range(steps):
            chain_step(primitives, <int>step[5 * k], at[<int>step[5 * k + 2]], at[<int>step[5 * k + 3]],
                       at[<int>step[5 * k + 4]], at[<int>step[5 * k + 1]], count)
        for k in range(outputs):
            if results[k] < inputs + constants:
                memcpy(buffers[inputs + k] + start, at[<int>results[k]], count * sizeof(real))
        start += block
    if attributes[5] == 2:
        buffers[inputs + outputs][0] = total(primitives, buffers[inputs], n) / <real>divisor
    return FASTBP_OK
