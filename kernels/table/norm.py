"""Normalisation of rows and of columns, and the scale and shift that follow it; a slope for each column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

LAYER_NORM = Row(
    "layer_norm",
    "norm",
    attributes={"eps": 1e-5},
    domain={"inverse": "nonnegative"},
    saved=["y", "inverse"],
    note="each row less its mean, over its standard deviation (of n, not n - 1)",
    source="Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3",
)


@LAYER_NORM.kernel("x[batch,n] -> y[batch,n], inverse[batch]", split="batch")
def layer_norm_forward(x, eps):
    d = x - x.sum(axis=1, keepdims=True) / x.shape[1]
    s = 1 / np.sqrt((d * d).sum(axis=1, keepdims=True) / x.shape[1] + eps)
    y = d * s
    return y, s[:, 0]


@LAYER_NORM.kernel(
    "dy[batch,n], y[batch,n], inverse[batch] -> scratch[batch,n], dx[batch,n]",
    inplace=["dx=dy", "dx=y"],
    split="batch",
    work=["scratch"],
)
def layer_norm_backward(dy, y, inverse, eps):
    weighted = dy * y
    a = dy.sum(axis=1, keepdims=True) / y.shape[1]
    b = weighted.sum(axis=1, keepdims=True) / y.shape[1]
    return inverse[:, None] * (dy - a - y * b)


RMS_NORM = Row(
    "rms_norm",
    "norm",
    attributes={"eps": 1e-6},
    domain={"inverse": "nonnegative"},
    saved=["y", "inverse"],
    note="each row over the root of its mean square",
    source="Zhang & Sennrich 2019, NeurIPS, eq. 4",
)


@RMS_NORM.kernel("x[batch,n] -> y[batch,n], inverse[batch]", split="batch")
def rms_norm_forward(x, eps):
    s = 1 / np.sqrt((x * x).sum(axis=1, keepdims=True) / x.shape[1] + eps)
    y = x * s
    return y, s[:, 0]


@RMS_NORM.kernel(
    "dy[batch,n], y[batch,n], inverse[batch] -> scratch[batch,n], dx[batch,n]",
    inplace=["dx=dy", "dx=y"],
    split="batch",
    work=["scratch"],
)
def rms_norm_backward(dy, y, inverse, eps):
    weighted = dy * y
    b = weighted.sum(axis=1, keepdims=True) / y.shape[1]
    return inverse[:, None] * (dy - y * b)


BATCH_NORM = Row(
    "batch_norm",
    "norm",
    attributes={"eps": 1e-3},
    domain={"inverse": "nonnegative"},
    saved=["y", "inverse"],
    note=(
        "each column less its mean, over its standard deviation (of the batch, not one less). A single row becomes 0, "
        "and so does its gradient; of no rows mean, variance and inverse are NaN"
    ),
    source="Ioffe & Szegedy 2015, ICML, algorithm 1 and section 3",
)


@BATCH_NORM.kernel("x[batch,n] -> y[batch,n], inverse[n], mean[n], variance[n]")
def batch_norm_forward(x, eps):
    mean = x.sum(axis=0) / len(x)
    d = x - mean
    variance = (d * d).sum(axis=0) / len(x)
    inverse = 1 / np.sqrt(variance + eps)
    return d * inverse, inverse, mean, variance


@BATCH_NORM.kernel("dy[batch,n], y[batch,n], inverse[n] -> dx[batch,n]")
def batch_norm_backward(dy, y, inverse, eps):
    a = dy.sum(axis=0) / len(y)
    b = (dy * y).sum(axis=0) / len(y)
    return inverse * (dy - a - y * b)


_PASSES = "sums of columns are made as an array passes"

BATCH_NORM_AFFINE = Row(
    "batch_norm_affine",
    "norm",
    attributes={"eps": 1e-3, "relu": 0.0},
    domain={"inverse": "nonnegative"},
    saved=["x", "gamma", "beta", "inverse", "mean"],
    note=(
        "batch_norm, affine and relu in few passes, with their bits: the backward pass makes the normalised numbers "
        "again, which costs less than to keep them"
    ),
    source="Ioffe & Szegedy 2015, ICML, algorithm 1 and section 3",
)


@BATCH_NORM_AFFINE.kernel(
    "x[batch,n], gamma[n], beta[n] -> y[batch,n], inverse[n], mean[n], variance[n]", by_hand=_PASSES
)
def batch_norm_affine_forward(x, gamma, beta, eps, relu):
    mean = x.sum(axis=0) / len(x)
    d = x - mean
    variance = (d * d).sum(axis=0) / len(x)
    inverse = 1 / np.sqrt(variance + eps)
    z = d * inverse * gamma + beta
    return np.maximum(z, 0) if relu else z, inverse, mean, variance


@BATCH_NORM_AFFINE.kernel(
    "dy[batch,n], x[batch,n], gamma[n], beta[n], inverse[n], mean[n] "
    "-> column[batch], a[n], b[n], dx[batch,n], dgamma[n], dbeta[n]",
    inplace=["dx=dy"],
    work=["column", "a", "b"],
    by_hand=_PASSES,
)
def batch_norm_affine_backward(dy, x, gamma, beta, inverse, mean, eps, relu):
    normal = (x - mean) * inverse
    d = np.where(normal * gamma + beta > 0, dy, 0) if relu else dy
    e = d * gamma
    a = e.sum(axis=0) / len(x)
    b = (e * normal).sum(axis=0) / len(x)
    return inverse * (e - a - normal * b), (d * normal).sum(axis=0), d.sum(axis=0)


NORMALIZE = Row(
    "normalize",
    "norm",
    attributes={"eps": 1e-3},
    domain={"variance": "nonnegative"},
    note="batch_norm with a mean and a variance that are given, those of the training data; dx is dy * inverse",
    source="Ioffe & Szegedy 2015, ICML, algorithm 2",
)


@NORMALIZE.kernel("x[batch,n], mean[n], variance[n] -> y[batch,n], inverse[n]", inplace=["y=x"])
def normalize(x, mean, variance, eps):
    inverse = 1 / np.sqrt(variance + eps)
    return (x - mean) * inverse, inverse


NORMALIZE_AFFINE = Row(
    "normalize_affine",
    "norm",
    attributes={"eps": 1e-3, "relu": 0.0},
    domain={"variance": "nonnegative"},
    note="normalize, affine and relu in one pass, with their bits",
    source="Ioffe & Szegedy 2015, ICML, algorithm 2",
)


@NORMALIZE_AFFINE.kernel(
    "x[batch,n], mean[n], variance[n], gamma[n], beta[n] -> y[batch,n]", inplace=["y=x"], split="batch"
)
def normalize_affine(x, mean, variance, gamma, beta, eps, relu):
    inverse = 1 / np.sqrt(variance + eps)
    z = (x - mean) * inverse * gamma + beta
    return np.maximum(z, 0) if relu else z


MOVING_AVERAGE = Row(
    "moving_average",
    "norm",
    attributes={"momentum": 0.99},
    note=(
        "Keras' momentum and Keras' variance, that of the batch. PyTorch's momentum is 1 - 0.9, and its variance is "
        "multiplied by batch / (batch - 1) here"
    ),
    source="Keras' BatchNormalization",
)


@MOVING_AVERAGE.kernel("moving[n], value[n] -> moving[n]", split="n")
def moving_average(moving, value, momentum):
    return moving * momentum + value * (1 - momentum)


AFFINE = Row(
    "affine",
    "norm",
    saved=["x", "gamma"],
    note="a scale and a shift for each column",
    source="Ioffe & Szegedy 2015, ICML, algorithm 1",
)


@AFFINE.kernel("x[batch,n], gamma[n], beta[n] -> y[batch,n]", inplace=["y=x"], split="batch")
def affine_forward(x, gamma, beta):
    return x * gamma + beta


@AFFINE.kernel(
    "dy[batch,n], x[batch,n], gamma[n] -> scratch[batch,n], dx[batch,n], dgamma[n], dbeta[n]",
    inplace=["dx=dy", "dx=x"],
    work=["scratch"],
)
def affine_backward(dy, x, gamma):
    weighted = dy * x
    dgamma = weighted.sum(axis=0)
    dbeta = dy.sum(axis=0)
    return dy * gamma, dgamma, dbeta


SCALE = Row(
    "scale",
    "norm",
    saved=["x", "gamma"],
    note="a scale for each column",
    source="Zhang & Sennrich 2019, NeurIPS, eq. 4",
)


@SCALE.kernel("x[batch,n], gamma[n] -> y[batch,n]", inplace=["y=x"], split="batch")
def scale_forward(x, gamma):
    return x * gamma


@SCALE.kernel(
    "dy[batch,n], x[batch,n], gamma[n] -> scratch[batch,n], dx[batch,n], dgamma[n]",
    inplace=["dx=dy", "dx=x"],
    work=["scratch"],
)
def scale_backward(dy, x, gamma):
    weighted = dy * x
    dgamma = weighted.sum(axis=0)
    return dy * gamma, dgamma


PRELU = Row(
    "prelu",
    "norm",
    kinks=[0.0],
    saved=["x", "alpha"],
    note="leaky_relu with a slope for each column, which is learned; the derivative at 0 is alpha",
    source="He et al. 2015, ICCV, eq. 1 and 11",
)


@PRELU.kernel("x[batch,n], alpha[n] -> y[batch,n]", inplace=["y=x"], split="batch")
def prelu_forward(x, alpha):
    return np.where(x > 0, x, alpha * x)


@PRELU.kernel("dy[batch,n], x[batch,n], alpha[n] -> dx[batch,n], dalpha[n]")
def prelu_backward(dy, x, alpha):
    dalpha = np.where(x > 0, 0, dy * x).sum(axis=0)
    return np.where(x > 0, dy, alpha * dy), dalpha
