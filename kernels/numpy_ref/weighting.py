"""What weighs the samples of a loss; most of it is expressions in the table."""

import numpy as np


def weigh_samples(x, weight):
    return x * weight[:, 0]


def weigh_rows(x, weight):
    return x * weight


def ignore_label(y_pred, y_true, mean=1.0, ignored=255.0):
    counted = y_true != int(ignored)
    count = max(int(np.count_nonzero(counted)), 1)
    weight = y_pred.dtype.type(len(y_true) / count if mean else 1)
    return np.where(counted, y_true, 0), counted[:, None].astype(y_pred.dtype) * weight
