"""What happens to gradients and parameters around the optimizer's step; more of it is made from the table."""

from math import sqrt

from .common import OK, doubles, helper, real
from .matmul import add_rows


@helper
def clip_factor(norm, limit):
    # limit / numpy.maximum(norm, limit); NaN stays
    return limit / (limit if norm <= limit else norm)


def clip_norm_rescale(buffers, sizes, attributes, primitives):
    dw, squares = buffers[0], buffers[1]
    factor = clip_factor(sqrt(squares[0]), real(dw, attributes[0]))
    for i in range(sizes[0]):
        dw[i] = dw[i] * factor
    return OK


def max_norm(buffers, sizes, attributes, primitives):
    w, squares, norm = buffers[0], buffers[1], buffers[2]
    m, n = sizes[0], sizes[1]
    limit = real(w, attributes[0])
    for i in range(m * n):
        squares[i] = w[i] * w[i]
    add_rows(primitives, squares, norm, m, n)
    for j in range(n):
        norm[j] = sqrt(norm[j])
    for i in range(m):
        at = i * n
        for j in range(n):
            w[at + j] = w[at + j] * clip_factor(norm[j], limit)
    return OK


def scale_rate(buffers, sizes, attributes, primitives):
    doubles(buffers[1])[0] = doubles(buffers[0])[0] * attributes[0]
    return OK
