"""Activations of whole rows; the pointwise ones are made from the table (kernels/pointwise.py)."""

from .common import BLOCK, EXP, LOG, OK, helper, offset, stack, sum_rows, total, unary


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


def log_softmax_forward(buffers, sizes, attributes, primitives):
    x, y = buffers[0], buffers[1]
    batch, n = sizes[0], sizes[1]
    if n == 0:
        return OK
    s = stack(y, BLOCK)
    step = rows_per_block(n)
    for start in range(0, batch, step):
        rows = min(step, batch - start)
        source, block = offset(x, start * n), offset(y, start * n)
        subtract_max(source, block, rows, n)
        unary(primitives, EXP, block, block, rows * n)
        sum_rows(primitives, block, s, rows, n)
        unary(primitives, LOG, s, s, rows)
        subtract_max(source, block, rows, n)
        for i in range(rows):
            for j in range(n):
                block[i * n + j] = block[i * n + j] - s[i]
    return OK


def log_softmax_backward(buffers, sizes, attributes, primitives):
    dy, dx = buffers[0], buffers[2]
    batch, n = sizes[0], sizes[1]
    unary(primitives, EXP, buffers[1], dx, batch * n)
    for i in range(batch):
        at = i * n
        s = total(primitives, offset(dy, at), n)
        for j in range(n):
            dx[at + j] = dy[at + j] - dx[at + j] * s
    return OK
