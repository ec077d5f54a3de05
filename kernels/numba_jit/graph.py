"""What moves and reduces parts of arrays for a graph, and products of stacks; more of it is written from the table
(kernels/codegen/).
"""

from .common import OK, helper, offset, real, sum_columns, sum_rows
from .matmul import product


@helper
def take_columns(x, y, rows, width, x_row, y_row):
    # a matrix of some columns of rows that lie x_row apart, and y_row in y
    for i in range(rows):
        for j in range(width):
            y[i * y_row + j] = x[i * x_row + j]


def concatenate_2(buffers, sizes, attributes, primitives):
    y, rows, p, q, n = buffers[2], sizes[0], sizes[1], sizes[2], sizes[3]
    take_columns(buffers[0], y, rows, p, p, n)
    take_columns(buffers[1], offset(y, p), rows, q, q, n)
    return OK


def concatenate_3(buffers, sizes, attributes, primitives):
    y, rows, p, q, r, n = buffers[3], sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    take_columns(buffers[0], y, rows, p, p, n)
    take_columns(buffers[1], offset(y, p), rows, q, q, n)
    take_columns(buffers[2], offset(y, p + q), rows, r, r, n)
    return OK


def concatenate_4(buffers, sizes, attributes, primitives):
    y, rows, p, q, r, s, n = buffers[4], sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    take_columns(buffers[0], y, rows, p, p, n)
    take_columns(buffers[1], offset(y, p), rows, q, q, n)
    take_columns(buffers[2], offset(y, p + q), rows, r, r, n)
    take_columns(buffers[3], offset(y, p + q + r), rows, s, s, n)
    return OK


def columns_forward(buffers, sizes, attributes, primitives):
    rows, n, k = sizes[0], sizes[1], sizes[2]
    take_columns(offset(buffers[0], int(attributes[0])), buffers[1], rows, k, n, k)
    return OK


def columns_backward(buffers, sizes, attributes, primitives):
    rows, k, n, before, dx = sizes[0], sizes[1], sizes[2], int(attributes[0]), buffers[1]
    for i in range(rows * n):
        dx[i] = real(dx, 0)
    take_columns(buffers[0], offset(dx, before), rows, k, k, n)
    return OK


def sum_axis(buffers, sizes, attributes, primitives):
    x, y, m, k, n = buffers[0], buffers[1], sizes[0], sizes[1], sizes[2]
    if n == 1:
        sum_rows(primitives, x, y, m, k)
        return OK
    for i in range(m):
        sum_columns(primitives, offset(x, i * k * n), offset(y, i * n), k, n, n)
    return OK


def repeat(buffers, sizes, attributes, primitives):
    x, y, m, n, k = buffers[0], buffers[1], sizes[0], sizes[1], sizes[2]
    for i in range(m):
        for p in range(k):
            for j in range(n):
                y[(i * k + p) * n + j] = x[i * n + j]
    return OK


def max_axis_forward(buffers, sizes, attributes, primitives):
    x, y, m, k, n = buffers[0], buffers[1], sizes[0], sizes[1], sizes[2]
    for i in range(m if k > 0 else 0):
        for p in range(k):
            for j in range(n):
                most, value = y[i * n + j], x[(i * k + p) * n + j]
                y[i * n + j] = most if p > 0 and (most >= value or most != most) else value
    return OK


def max_axis_backward(buffers, sizes, attributes, primitives):
    dy, x, y, dx, m, n, k = buffers[0], buffers[1], buffers[2], buffers[3], sizes[0], sizes[1], sizes[2]
    for i in range(m * k * n):
        dx[i] = real(dx, 0)
    for i in range(m if k > 0 else 0):
        for j in range(n):
            first = 0
            for p in range(k - 1, -1, -1):
                value = x[(i * k + p) * n + j]
                first = p if value == y[i * n + j] or value != value else first
            dx[(i * k + first) * n + j] = dy[i * n + j]
    return OK


def swap_axes(buffers, sizes, attributes, primitives):
    x, y, m, p, q, n = buffers[0], buffers[1], sizes[0], sizes[1], sizes[2], sizes[3]
    for i in range(m):
        for c in range(q):
            take_columns(offset(x, (i * p * q + c) * n), offset(y, (i * q + c) * p * n), p, n, q * n, n)
    return OK


def batched_nn(buffers, sizes, attributes, primitives):
    a, b, y, m, k, n = buffers[0], buffers[1], buffers[2], sizes[1], sizes[2], sizes[3]
    for i in range(sizes[0]):
        product(offset(a, i * m * k), offset(b, i * k * n), offset(y, i * m * n), m, k, n, k, 1, n, 1, primitives)
    return OK


def batched_nt(buffers, sizes, attributes, primitives):
    a, b, y, m, k, n = buffers[0], buffers[1], buffers[2], sizes[1], sizes[2], sizes[3]
    for i in range(sizes[0]):
        product(offset(a, i * m * k), offset(b, i * k * n), offset(y, i * m * n), m, k, n, k, 1, 1, k, primitives)
    return OK


def batched_tn(buffers, sizes, attributes, primitives):
    a, b, y, k, m, n = buffers[0], buffers[1], buffers[2], sizes[1], sizes[2], sizes[3]
    for i in range(sizes[0]):
        product(offset(a, i * m * k), offset(b, i * k * n), offset(y, i * m * n), m, k, n, 1, m, n, 1, primitives)
    return OK
