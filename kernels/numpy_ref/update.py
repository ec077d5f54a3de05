"""What happens to gradients and parameters around the optimizer's step; most of it is expressions in the table."""

import numpy as np


def clip_norm_rescale(dw, squares, limit=0.5):
    return dw * (limit / np.maximum(np.sqrt(squares), limit))


def max_norm(w, limit=2.0):
    squares = w * w
    norm = np.sqrt(squares.sum(axis=0))
    return squares, norm, w * (limit / np.maximum(norm, limit))


def scale_rate(lr, factor=0.5):
    return lr * factor
