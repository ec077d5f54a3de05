"""The three products of a dense layer, and its backward pass."""

from .common import DENSE, MATMUL, OK, call, has, helper, itemsize, real, sum_columns


@helper
def product(a, b, y, m, k, n, a_row, a_column, b_row, b_column, primitives):
    # strides in elements: a transposed operand is the same buffer with its strides exchanged
    size = itemsize(y)
    steps = (0, 0, 0, a_row * size, a_column * size, b_row * size, b_column * size, n * size, size)
    call(primitives, MATMUL, (a, b, y), (1, m, k, n), steps)


def matmul_nn(buffers, sizes, attributes, primitives):
    m, k, n = sizes[0], sizes[1], sizes[2]
    product(buffers[0], buffers[1], buffers[2], m, k, n, k, 1, n, 1, primitives)
    return OK


def matmul_nt(buffers, sizes, attributes, primitives):
    m, k, n = sizes[0], sizes[1], sizes[2]
    product(buffers[0], buffers[1], buffers[2], m, k, n, k, 1, 1, k, primitives)
    return OK


def matmul_tn(buffers, sizes, attributes, primitives):
    k, m, n = sizes[0], sizes[1], sizes[2]
    product(buffers[0], buffers[1], buffers[2], m, k, n, 1, m, n, 1, primitives)
    return OK


@helper
def add_bias(y, b, rows, n, relu):
    zero = real(y, 0)
    for i in range(rows):
        at = i * n
        if relu:
            for j in range(n):
                z = y[at + j] + b[j]
                y[at + j] = zero if z <= zero else z  # NaN stays: numpy.maximum(z, 0)
        else:
            for j in range(n):
                y[at + j] = y[at + j] + b[j]


@helper
def dense_layer(x, w, b, y, batch, k, n, relu, primitives):
    if has(primitives, DENSE):
        call(primitives, DENSE, (x, w, b, y), (batch, k, n, relu), ())
        return
    product(x, w, y, batch, k, n, k, 1, n, 1, primitives)
    add_bias(y, b, batch, n, relu)


@helper
def added(x, c, y, n):
    for i in range(n):
        y[i] = x[i] + c[i]


def dense(buffers, sizes, attributes, primitives):
    x, w, b, y = buffers[0], buffers[1], buffers[2], buffers[3]
    dense_layer(x, w, b, y, sizes[0], sizes[1], sizes[2], attributes[0] != 0, primitives)
    return OK


def dense_add(buffers, sizes, attributes, primitives):
    x, w, b, c, y = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    dense_layer(x, w, b, y, sizes[0], sizes[1], sizes[2], attributes[0] != 0, primitives)
    added(y, c, y, sizes[0] * sizes[2])
    return OK


def dense_add_both(buffers, sizes, attributes, primitives):
    x, w, b, c, h, y = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5]
    dense_layer(x, w, b, h, sizes[0], sizes[1], sizes[2], attributes[0] != 0, primitives)
    added(h, c, y, sizes[0] * sizes[2])
    return OK


def matmul_nt_add(buffers, sizes, attributes, primitives):
    m, k, n, y = sizes[0], sizes[1], sizes[2], buffers[3]
    product(buffers[0], buffers[1], y, m, k, n, k, 1, 1, k, primitives)
    added(y, buffers[2], y, m * n)
    return OK


@helper
def gradients(x, dy, w, db, dw, dx, batch, k, n, relu, primitives):
    sum_columns(primitives, dy, db, batch, n, n)
    product(x, dy, dw, k, batch, n, 1, k, n, 1, primitives)
    product(dy, w, dx, batch, n, k, n, 1, 1, n, primitives)
    if relu:
        zero = real(dx, 0)
        for i in range(batch * k):
            dx[i] = dx[i] if x[i] > zero else zero


def dense_backward(buffers, sizes, attributes, primitives):
    x, dy, w, db, dw, dx = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5]
    gradients(x, dy, w, db, dw, dx, sizes[0], sizes[1], sizes[2], attributes[0] != 0, primitives)
    return OK


def dense_pair_backward(buffers, sizes, attributes, primitives):
    x, h, dy, w = buffers[0], buffers[1], buffers[2], buffers[3]
    db, dw, dh, db_before, dw_before = buffers[4], buffers[5], buffers[6], buffers[7], buffers[8]
    batch, m, k, n = sizes[0], sizes[1], sizes[2], sizes[3]
    gradients(h, dy, w, db, dw, dh, batch, k, n, True, primitives)
    sum_columns(primitives, dh, db_before, batch, k, k)
    product(x, dh, dw_before, m, batch, k, 1, m, k, 1, primitives)
    return OK
