"""Metrics: counts, and sums of errors."""

import numpy as np


def sparse_categorical_accuracy(y_pred, y_true):
    return np.count_nonzero(y_pred.argmax(axis=1) == y_true)


def categorical_accuracy(y_pred, y_true):
    return np.count_nonzero(y_pred.argmax(axis=1) == y_true.argmax(axis=1))


def binary_accuracy(y_pred, y_true, threshold=0.5):
    return np.count_nonzero((y_pred > threshold) == (y_true > 0.5))


def _in_top(y_pred, labels, k):
    order = (-y_pred).argsort(axis=1, kind="stable")[:, : int(k)]
    return np.count_nonzero((order == labels[:, None]).any(axis=1))


def sparse_top_k_categorical_accuracy(y_pred, y_true, k=5.0):
    return _in_top(y_pred, y_true, k)


def top_k_categorical_accuracy(y_pred, y_true, k=5.0):
    return _in_top(y_pred, y_true.argmax(axis=1), k)


def binary_confusion(y_pred, y_true, threshold=0.5):
    t, p = y_true > 0.5, y_pred > threshold
    return np.array([[np.count_nonzero(a & b) for b in (~p, p)] for a in (~t, t)])


def sparse_confusion(y_pred, y_true):
    return y_pred.shape[1] * y_true + y_pred.argmax(axis=1)


def categorical_confusion(y_pred, y_true):
    return y_pred.shape[1] * y_true.argmax(axis=1) + y_pred.argmax(axis=1)
