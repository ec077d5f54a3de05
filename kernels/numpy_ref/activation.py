"""Activations of whole rows; the pointwise ones are their expressions in the table."""

import numpy as np


def softmax_forward(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_backward(dy, y):
    weighted = dy * y
    return weighted, y * (dy - weighted.sum(axis=1, keepdims=True))
