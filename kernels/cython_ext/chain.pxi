# A pointwise kernel that is data: the operations of a user's own function, one block after the other. What the
# numbers in `attributes` mean is said in kernels/chain.py, which writes them.

cdef enum:
    CHAIN_REGISTERS = 48
    CHAIN_BLOCK = 512
    CHAIN_ROOM = 6144  # elements of all registers: they stay in L1, and on a small stack


cdef extern from "cython_ext/chain.h" nogil:
    void fastbp_chain_step(int op, const real *a, const real *b, const real *c, real *y, intptr_t n)
    enum:
        FASTBP_CHAIN_CALLS


cdef inline void chain_call(
    const fastbp_primitive *primitives, int op, const real *x, real *y, intptr_t n
) noexcept nogil:
    if op == 0:
        unary(primitives, FASTBP_EXP, x, y, n)
    elif op == 1:
        unary(primitives, FASTBP_EXPM1, x, y, n)
    elif op == 2:
        unary(primitives, FASTBP_LOG, x, y, n)
    elif op == 3:
        unary(primitives, FASTBP_LOG1P, x, y, n)
    elif op == 4:
        unary(primitives, FASTBP_TANH, x, y, n)
    elif op == 5:
        sigmoid(primitives, x, y, n)
    elif op == 6:
        softplus(primitives, x, y, n)
    else:
        unary(primitives, FASTBP_ERF, x, y, n)


cdef api int chain(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef real memory[CHAIN_ROOM]
    cdef real *at[CHAIN_REGISTERS]
    cdef intptr_t n = sizes[0], start = 0, count, i, block = CHAIN_ROOM // <int>attributes[7] // 64 * 64
    cdef int inputs = <int>attributes[1], outputs = <int>attributes[2], constants = <int>attributes[3]
    cdef int steps = <int>attributes[4], share = <int>attributes[6], k, op
    cdef real *x
    cdef real *y
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
            op = <int>step[5 * k]
            y = at[<int>step[5 * k + 1]]
            x = at[<int>step[5 * k + 2]]
            if op < FASTBP_CHAIN_CALLS:
                fastbp_chain_step(op, x, at[<int>step[5 * k + 3]], at[<int>step[5 * k + 4]], y, count)
            else:
                chain_call(primitives, op - FASTBP_CHAIN_CALLS, x, y, count)
        for k in range(outputs):
            if results[k] < inputs + constants:
                memcpy(buffers[inputs + k] + start, at[<int>results[k]], count * sizeof(real))
        start += block
    if attributes[5] == 2:
        buffers[inputs + outputs][0] = total(primitives, buffers[inputs], n) / <real>divisor
    return FASTBP_OK
