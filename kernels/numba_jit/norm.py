"""Batch normalisation in few passes; the other norms are written from the table (kernels/codegen/)."""

from math import sqrt

from .common import OK, helper, real, sum_columns, total


@helper
def gradient(dy, x, gamma, beta, inverse, mean, j, at, relu):
    # the normalised number, and dLoss by it before and after the scale
    normal = (x[at] - mean[j]) * inverse[j]
    z = normal * gamma[j] + beta[j]
    d = dy[at] if not relu or z > 0 else real(dy, 0)
    return normal, d, d * gamma[j]


def batch_norm_affine_forward(buffers, sizes, attributes, primitives):
    x, gamma, beta, y, inverse, mean, variance = (
        buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5], buffers[6],
    )  # fmt: skip
    rows, n, relu = sizes[0], sizes[1], attributes[1] != 0
    count, eps = real(x, rows), real(x, attributes[0])
    sum_columns(primitives, x, mean, rows, n, n)
    for j in range(n):
        mean[j] = mean[j] / count
    for i in range(rows):
        for j in range(n):
            d = x[i * n + j] - mean[j]
            y[i * n + j] = d * d
    sum_columns(primitives, y, variance, rows, n, n)
    for j in range(n):
        variance[j] = variance[j] / count
        inverse[j] = real(x, 1) / sqrt(variance[j] + eps)
    for i in range(rows):
        for j in range(n):
            z = (x[i * n + j] - mean[j]) * inverse[j] * gamma[j] + beta[j]
            y[i * n + j] = real(x, 0) if relu and z <= 0 else z
    return OK


def batch_norm_affine_backward(buffers, sizes, attributes, primitives):
    dy, x, gamma, beta, inverse, mean = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5]
    column, a, b, dx, dgamma, dbeta = buffers[6], buffers[7], buffers[8], buffers[9], buffers[10], buffers[11]
    rows, n, relu = sizes[0], sizes[1], attributes[1] != 0
    count = real(x, rows)
    if n == 1:
        # a single column is contiguous: NumPy sums it pairwise
        for k in range(4):
            for i in range(rows):
                normal, d, e = gradient(dy, x, gamma, beta, inverse, mean, 0, i, relu)
                part = d if k < 2 else e
                column[i] = part * normal if k in (0, 3) else part
            sums = dgamma if k == 0 else dbeta if k == 1 else a if k == 2 else b
            sums[0] = total(primitives, column, rows)
    else:
        for j in range(n):
            dgamma[j] = dbeta[j] = a[j] = b[j] = real(x, 0)
        for i in range(rows):
            for j in range(n):
                normal, d, e = gradient(dy, x, gamma, beta, inverse, mean, j, i * n + j, relu)
                dgamma[j] += d * normal
                dbeta[j] += d
                a[j] += e
                b[j] += e * normal
    for j in range(n):
        a[j] = a[j] / count
        b[j] = b[j] / count
    for i in range(rows):
        for j in range(n):
            normal, _, e = gradient(dy, x, gamma, beta, inverse, mean, j, i * n + j, relu)
            dx[i * n + j] = inverse[j] * (e - a[j] - normal * b[j])
    return OK
