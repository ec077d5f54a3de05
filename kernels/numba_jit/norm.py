"""Normalisation of rows and of columns, and the scale and shift that follow it; a slope for each column."""

from math import sqrt

from .common import OK, helper, offset, real, stack, total
from .matmul import add_first_columns, add_rows


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


COLUMNS = 128  # of a batch, that stay in the cache from one pass to the next


@helper
def mean_columns(primitives, x, s, batch, n, columns):
    add_first_columns(primitives, x, s, batch, n, columns)
    for j in range(columns):
        s[j] = s[j] / real(s, batch)


@helper
def inverse_roots(variance, eps, inverse, n):
    for j in range(n):
        inverse[j] = real(inverse, 1) / sqrt(variance[j] + real(inverse, eps))


@helper
def normalize_rows(x, mean, inverse, y, batch, n, columns):
    # the first `columns` of n columns
    for i in range(batch):
        at = i * n
        for j in range(columns):
            y[at + j] = (x[at + j] - mean[j]) * inverse[j]


def batch_norm_forward(buffers, sizes, attributes, primitives):
    batch, n = sizes[0], sizes[1]
    for start in range(0, n, COLUMNS):
        columns = min(n - start, COLUMNS)
        x, y, inverse = offset(buffers[0], start), offset(buffers[1], start), offset(buffers[2], start)
        mean, variance = offset(buffers[3], start), offset(buffers[4], start)
        mean_columns(primitives, x, mean, batch, n, columns)
        for i in range(batch):
            at = i * n
            for j in range(columns):
                d = x[at + j] - mean[j]
                y[at + j] = d * d
        mean_columns(primitives, y, variance, batch, n, columns)
        inverse_roots(variance, attributes[0], inverse, columns)
        normalize_rows(x, mean, inverse, y, batch, n, columns)
    return OK


def batch_norm_backward(buffers, sizes, attributes, primitives):
    batch, n = sizes[0], sizes[1]
    a, b = stack(buffers[3], COLUMNS), stack(buffers[3], COLUMNS)
    for start in range(0, n, COLUMNS):
        columns = min(n - start, COLUMNS)
        dy, y = offset(buffers[0], start), offset(buffers[1], start)
        inverse, dx = offset(buffers[2], start), offset(buffers[3], start)
        mean_columns(primitives, dy, a, batch, n, columns)
        for i in range(batch):
            at = i * n
            for j in range(columns):
                dx[at + j] = dy[at + j] * y[at + j]
        mean_columns(primitives, dx, b, batch, n, columns)
        for i in range(batch):
            at = i * n
            for j in range(columns):
                dx[at + j] = inverse[j] * ((dy[at + j] - a[j]) - y[at + j] * b[j])
    return OK


def normalize(buffers, sizes, attributes, primitives):
    inverse_roots(buffers[2], attributes[0], buffers[4], sizes[1])
    normalize_rows(buffers[0], buffers[1], buffers[4], buffers[3], sizes[0], sizes[1], sizes[1])
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


def prelu_forward(buffers, sizes, attributes, primitives):
    x, alpha, y = buffers[0], buffers[1], buffers[2]
    batch, n, zero = sizes[0], sizes[1], real(y, 0)
    for i in range(batch):
        at = i * n
        for j in range(n):
            slope = alpha[j] * x[at + j]
            y[at + j] = x[at + j] if x[at + j] > zero else slope
    return OK


def prelu_backward(buffers, sizes, attributes, primitives):
    batch, n = sizes[0], sizes[1]
    zero = real(buffers[3], 0)
    for start in range(0, n, COLUMNS):
        columns = min(n - start, COLUMNS)
        dy, x, alpha = offset(buffers[0], start), offset(buffers[1], start), offset(buffers[2], start)
        dx, dalpha = offset(buffers[3], start), offset(buffers[4], start)
        for i in range(batch):
            at = i * n
            for j in range(columns):
                down = dy[at + j] * x[at + j]
                dx[at + j] = zero if x[at + j] > zero else down
        add_first_columns(primitives, dx, dalpha, batch, n, columns)
        for i in range(batch):
            at = i * n
            for j in range(columns):
                down = alpha[j] * dy[at + j]
                dx[at + j] = dy[at + j] if x[at + j] > zero else down
    return OK
