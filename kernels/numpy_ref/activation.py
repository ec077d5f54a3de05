"""Activations and their derivatives."""

import numpy as np

from .common import sigmoid


def identity_forward(x):
    return x.copy()


def identity_backward(dy):
    return dy.copy()


def sigmoid_forward(x):
    return sigmoid(x)


def sigmoid_backward(dy, y):
    return dy * (y * (1 - y))


def relu_forward(x):
    return np.maximum(x, 0)


def relu_backward(dy, y):
    return np.where(y > 0, dy, 0)


def tanh_forward(x):
    return np.tanh(x)


def tanh_backward(dy, y):
    return dy * (1 - y * y)


def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, y):
    weighted = dy * y
    return weighted, y * (dy - weighted.sum(axis=1, keepdims=True))
