"""Metrics: counts of hits."""

import numpy as np


def sparse_categorical_accuracy(y_pred, y_true):
    return np.count_nonzero(y_pred.argmax(axis=1) == y_true)


def categorical_accuracy(y_pred, y_true):
    return np.count_nonzero(y_pred.argmax(axis=1) == y_true.argmax(axis=1))


def binary_accuracy(y_pred, y_true, threshold=0.5):
    return np.count_nonzero((y_pred > threshold) == (y_true > 0.5))
