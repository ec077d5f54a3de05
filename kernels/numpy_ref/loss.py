"""Losses: a value for the batch and the gradient of it."""

import numpy as np

from .common import below_one, clip


def _bounded(p, eps):
    return clip(p, eps, below_one(p, eps))


def _count(n, mean):
    return n if mean else 1


def _check_labels(labels, n):
    # NumPy would take -1 for the last class
    if labels.size and not (0 <= labels.min() and labels.max() < n):
        raise IndexError(f"labels must be in 0 .. {n - 1}")


def sparse_categorical_cross_entropy_forward(y_pred, y_true, mean=1.0, eps=1e-15):
    _check_labels(y_true, y_pred.shape[1])
    sample_loss = -np.log(_bounded(y_pred[np.arange(len(y_true)), y_true], eps))
    return sample_loss, sample_loss.sum() / _count(len(y_true), mean)


def sparse_categorical_cross_entropy_backward(y_pred, y_true, mean=1.0, eps=1e-15):
    _check_labels(y_true, y_pred.shape[1])
    i = np.arange(len(y_true))
    dy_pred = np.zeros_like(y_pred)
    dy_pred[i, y_true] = (-1 / _count(len(y_true), mean)) / _bounded(y_pred[i, y_true], eps)
    return dy_pred


def _softmax_parts(logits):
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    return z, e / s, np.log(s)


def softmax_cross_entropy_forward(logits, y_true, mean=1.0):
    z, probabilities, log_s = _softmax_parts(logits)
    elements = y_true * (z - log_s)
    sample_loss = -elements.sum(axis=1)
    return probabilities, elements, sample_loss, sample_loss.sum() / _count(len(z), mean)


def softmax_cross_entropy_backward(probabilities, y_true, mean=1.0):
    return (probabilities * y_true.sum(axis=1, keepdims=True) - y_true) * (1 / _count(len(y_true), mean))


def sparse_softmax_cross_entropy_forward(logits, y_true, mean=1.0):
    _check_labels(y_true, logits.shape[1])
    z, probabilities, log_s = _softmax_parts(logits)
    sample_loss = log_s[:, 0] - z[np.arange(len(z)), y_true]
    return probabilities, sample_loss, sample_loss.sum() / _count(len(z), mean)


def sparse_softmax_cross_entropy_backward(probabilities, y_true, mean=1.0):
    _check_labels(y_true, probabilities.shape[1])
    dlogits = probabilities.copy()
    dlogits[np.arange(len(y_true)), y_true] -= 1
    dlogits *= 1 / _count(len(y_true), mean)
    return dlogits


def check_finite(loss, enabled=1.0):
    if enabled and not np.isfinite(loss):
        raise FloatingPointError("the loss is not finite")
    return ()
