"""Normalisation of rows and of columns, and the scale and shift that follow it; a slope for each column."""

import numpy as np


def layer_norm_forward(x, eps=1e-5):
    n = x.shape[1]
    d = x - x.sum(axis=1, keepdims=True) / n
    inverse = 1 / np.sqrt((d * d).sum(axis=1, keepdims=True) / n + eps)
    return d * inverse, inverse[:, 0]


def layer_norm_backward(dy, y, inverse, eps=1e-5):
    n = y.shape[1]
    weighted = dy * y
    a, b = dy.sum(axis=1, keepdims=True) / n, weighted.sum(axis=1, keepdims=True) / n
    return weighted, inverse[:, None] * ((dy - a) - y * b)


def rms_norm_forward(x, eps=1e-6):
    inverse = 1 / np.sqrt((x * x).sum(axis=1, keepdims=True) / x.shape[1] + eps)
    return x * inverse, inverse[:, 0]


def rms_norm_backward(dy, y, inverse, eps=1e-6):
    weighted = dy * y
    b = weighted.sum(axis=1, keepdims=True) / y.shape[1]
    return weighted, inverse[:, None] * (dy - y * b)


def batch_norm_forward(x, eps=1e-3):
    mean = x.sum(axis=0) / len(x)
    d = x - mean
    variance = (d * d).sum(axis=0) / len(x)
    inverse = 1 / np.sqrt(variance + eps)
    return d * inverse, inverse, mean, variance


def batch_norm_backward(dy, y, inverse, eps=1e-3):
    a, b = dy.sum(axis=0) / len(y), (dy * y).sum(axis=0) / len(y)
    return inverse * ((dy - a) - y * b)


def normalize(x, mean, variance, eps=1e-3):
    inverse = 1 / np.sqrt(variance + eps)
    return (x - mean) * inverse, inverse


def affine_forward(x, gamma, beta):
    return x * gamma + beta


def affine_backward(dy, x, gamma):
    weighted = dy * x
    return weighted, dy * gamma, weighted.sum(axis=0), dy.sum(axis=0)


def scale_forward(x, gamma):
    return x * gamma


def scale_backward(dy, x, gamma):
    weighted = dy * x
    return weighted, dy * gamma, weighted.sum(axis=0)


def prelu_forward(x, alpha):
    return np.where(x > 0, x, alpha * x)


def prelu_backward(dy, x, alpha):
    return np.where(x > 0, dy, alpha * dy), np.where(x > 0, 0, dy * x).sum(axis=0)
