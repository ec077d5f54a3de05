"""Activations and their derivatives. Each may run in place, as its row says."""

from .common import BLOCK, EXP, OK, SIGMOID, TANH, has, helper, offset, real, stack, sum_rows, total, unary


def identity_forward(buffers, sizes, attributes, primitives):
    x, y = buffers[0], buffers[1]
    for i in range(sizes[0]):
        y[i] = x[i]
    return OK


def identity_backward(buffers, sizes, attributes, primitives):
    dy, dx = buffers[0], buffers[1]
    for i in range(sizes[0]):
        dx[i] = dy[i]
    return OK


@helper
def logistic(primitives, x, y, n):
    if has(primitives, SIGMOID):
        unary(primitives, SIGMOID, x, y, n)
        return
    one = real(y, 1)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        block = offset(y, start)
        for i in range(start, stop):
            y[i] = -x[i]
        unary(primitives, EXP, block, block, stop - start)
        for i in range(start, stop):
            y[i] = one / (one + y[i])


def sigmoid_forward(buffers, sizes, attributes, primitives):
    logistic(primitives, buffers[0], buffers[1], sizes[0])
    return OK


def sigmoid_backward(buffers, sizes, attributes, primitives):
    dy, y, dx = buffers[0], buffers[1], buffers[2]
    one = real(dx, 1)
    for i in range(sizes[0]):
        dx[i] = dy[i] * (y[i] * (one - y[i]))
    return OK


def relu_forward(buffers, sizes, attributes, primitives):
    x, y = buffers[0], buffers[1]
    zero = real(y, 0)
    for i in range(sizes[0]):
        y[i] = zero if x[i] <= zero else x[i]  # NaN stays, -0 becomes +0: numpy.maximum(x, 0)
    return OK


def relu_backward(buffers, sizes, attributes, primitives):
    dy, y, dx = buffers[0], buffers[1], buffers[2]
    zero = real(dx, 0)
    for i in range(sizes[0]):
        upstream = dy[i]  # read in any case: a load under a condition does not vectorise
        dx[i] = upstream if y[i] > zero else zero
    return OK


def tanh_forward(buffers, sizes, attributes, primitives):
    unary(primitives, TANH, buffers[0], buffers[1], sizes[0])
    return OK


def tanh_backward(buffers, sizes, attributes, primitives):
    dy, y, dx = buffers[0], buffers[1], buffers[2]
    one = real(dx, 1)
    for i in range(sizes[0]):
        dx[i] = dy[i] * (one - y[i] * y[i])
    return OK


@helper
def subtract_max(x, z, rows, n):
    # z = x - max of each row; z may be x. A NaN that is passed over and a zero of the other sign than
    # numpy.max would choose change nothing in what exp, its sum and the loss make of z
    for i in range(rows):
        at = i * n
        largest = x[at]
        for j in range(1, n):
            largest = x[at + j] if x[at + j] > largest else largest
        for j in range(n):
            z[at + j] = x[at + j] - largest


@helper
def divide_rows(e, s, rows, n):
    for i in range(rows):
        at = i * n
        for j in range(n):
            e[at + j] = e[at + j] / s[i]


@helper
def rows_per_block(n):
    # as many rows as stay in L1; also bounds the arrays of one number a row on the stack
    return max(1, min(BLOCK // max(n, 1), BLOCK))


def softmax_forward(buffers, sizes, attributes, primitives):
    x, y = buffers[0], buffers[1]
    batch, n = sizes[0], sizes[1]
    if n == 0:
        return OK
    s = stack(y, BLOCK)
    step = rows_per_block(n)
    for start in range(0, batch, step):
        rows = min(step, batch - start)
        block = offset(y, start * n)
        subtract_max(offset(x, start * n), block, rows, n)
        unary(primitives, EXP, block, block, rows * n)
        sum_rows(primitives, block, s, rows, n)
        divide_rows(block, s, rows, n)
    return OK


def softmax_backward(buffers, sizes, attributes, primitives):
    dy, y, scratch, dx = buffers[0], buffers[1], buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        for j in range(n):
            scratch[at + j] = dy[at + j] * y[at + j]
        s = total(primitives, offset(scratch, at), n)
        for j in range(n):
            dx[at + j] = y[at + j] * (dy[at + j] - s)
    return OK
