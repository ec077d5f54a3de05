"""Normalisation of rows, and the scale and shift that follow it."""

from math import sqrt

from .common import OK, helper, offset, real, total
from .matmul import add_rows


@helper
def inverse_root(like, squares, n, eps):
    return real(like, 1) / sqrt(squares / real(like, n) + real(like, eps))


def layer_norm_forward(buffers, sizes, attributes, primitives):
    x, y, inverse = buffers[0], buffers[1], buffers[2]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        mean = total(primitives, offset(x, at), n) / real(x, n)
        for j in range(n):
            d = x[at + j] - mean
            y[at + j] = d * d
        inverse[i] = inverse_root(y, total(primitives, offset(y, at), n), n, attributes[0])
        for j in range(n):
            y[at + j] = (x[at + j] - mean) * inverse[i]
    return OK


def layer_norm_backward(buffers, sizes, attributes, primitives):
    dy, y, inverse, scratch, dx = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        for j in range(n):
            scratch[at + j] = dy[at + j] * y[at + j]
        a = total(primitives, offset(dy, at), n) / real(dx, n)
        b = total(primitives, offset(scratch, at), n) / real(dx, n)
        for j in range(n):
            dx[at + j] = inverse[i] * ((dy[at + j] - a) - y[at + j] * b)
    return OK


def rms_norm_forward(buffers, sizes, attributes, primitives):
    x, y, inverse = buffers[0], buffers[1], buffers[2]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        for j in range(n):
            y[at + j] = x[at + j] * x[at + j]
        inverse[i] = inverse_root(y, total(primitives, offset(y, at), n), n, attributes[0])
        for j in range(n):
            y[at + j] = x[at + j] * inverse[i]
    return OK


def rms_norm_backward(buffers, sizes, attributes, primitives):
    dy, y, inverse, scratch, dx = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        for j in range(n):
            scratch[at + j] = dy[at + j] * y[at + j]
        b = total(primitives, offset(scratch, at), n) / real(dx, n)
        for j in range(n):
            dx[at + j] = inverse[i] * (dy[at + j] - y[at + j] * b)
    return OK


def affine_forward(buffers, sizes, attributes, primitives):
    x, gamma, beta, y = buffers[0], buffers[1], buffers[2], buffers[3]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        for j in range(n):
            y[at + j] = x[at + j] * gamma[j] + beta[j]
    return OK


@helper
def scale_back(primitives, dy, x, gamma, scratch, dx, dgamma, batch, n):
    for i in range(batch * n):
        scratch[i] = dy[i] * x[i]
    add_rows(primitives, scratch, dgamma, batch, n)
    for i in range(batch):
        at = i * n
        for j in range(n):
            dx[at + j] = dy[at + j] * gamma[j]


def affine_backward(buffers, sizes, attributes, primitives):
    # dbeta first: dx may take the place of dy
    add_rows(primitives, buffers[0], buffers[6], sizes[0], sizes[1])
    scale_back(primitives, buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5], sizes[0], sizes[1])
    return OK


def scale_forward(buffers, sizes, attributes, primitives):
    x, gamma, y = buffers[0], buffers[1], buffers[2]
    batch, n = sizes[0], sizes[1]
    for i in range(batch):
        at = i * n
        for j in range(n):
            y[at + j] = x[at + j] * gamma[j]
    return OK


def scale_backward(buffers, sizes, attributes, primitives):
    scale_back(primitives, buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5], sizes[0], sizes[1])
    return OK
