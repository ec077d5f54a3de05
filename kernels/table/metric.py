"""Metrics: counts, and which cell of a confusion matrix a sample is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

_COUNTS = "it counts: integers"

SPARSE_CATEGORICAL_ACCURACY = Row(
    "sparse_categorical_accuracy",
    "metric",
    domain={"y_true": "compared"},
    note="how many rows have their largest output at the label; of equals the first counts",
    source="-",
)


@SPARSE_CATEGORICAL_ACCURACY.kernel("y_pred[batch,n], y_true[batch]:i8 -> hits[]:i8", by_hand=_COUNTS)
def sparse_categorical_accuracy(y_pred, y_true):
    return np.count_nonzero(y_pred.argmax(axis=1) == y_true)


CATEGORICAL_ACCURACY = Row(
    "categorical_accuracy",
    "metric",
    domain={"y_true": "one_hot"},
    source="-",
)


@CATEGORICAL_ACCURACY.kernel("y_pred[batch,n], y_true[batch,n] -> hits[]:i8", by_hand=_COUNTS)
def categorical_accuracy(y_pred, y_true):
    return np.count_nonzero(y_pred.argmax(axis=1) == y_true.argmax(axis=1))


BINARY_ACCURACY = Row(
    "binary_accuracy",
    "metric",
    attributes={"threshold": 0.5},
    domain={"y_true": "binary"},
    note="threshold 0.5 for probabilities, 0 for logits",
    source="-",
)


@BINARY_ACCURACY.kernel("y_pred[n], y_true[n] -> hits[]:i8", by_hand=_COUNTS)
def binary_accuracy(y_pred, y_true, threshold):
    return np.count_nonzero((y_pred > threshold) == (y_true > 0.5))


SPARSE_TOP_K_CATEGORICAL_ACCURACY = Row(
    "sparse_top_k_categorical_accuracy",
    "metric",
    attributes={"k": 5.0},
    domain={"y_true": "compared"},
    note="how many rows have the label's output among their k largest; of equals the first comes first, NaN comes last",
    source="-",
)


@SPARSE_TOP_K_CATEGORICAL_ACCURACY.kernel("y_pred[batch,n], y_true[batch]:i8 -> hits[]:i8", by_hand=_COUNTS)
def sparse_top_k_categorical_accuracy(y_pred, y_true, k):
    order = (-y_pred).argsort(axis=1, kind="stable")[:, : int(k)]
    return np.count_nonzero((order == y_true[:, None]).any(axis=1))


TOP_K_CATEGORICAL_ACCURACY = Row(
    "top_k_categorical_accuracy",
    "metric",
    attributes={"k": 5.0},
    domain={"y_true": "one_hot"},
    source="-",
)


@TOP_K_CATEGORICAL_ACCURACY.kernel("y_pred[batch,n], y_true[batch,n] -> hits[]:i8", by_hand=_COUNTS)
def top_k_categorical_accuracy(y_pred, y_true, k):
    order = (-y_pred).argsort(axis=1, kind="stable")[:, : int(k)]
    return np.count_nonzero((order == y_true.argmax(axis=1)[:, None]).any(axis=1))


BINARY_CONFUSION = Row(
    "binary_confusion",
    "metric",
    attributes={"threshold": 0.5},
    domain={"y_true": "binary"},
    note="true negatives and false positives, false negatives and true positives",
    source="-",
)


@BINARY_CONFUSION.kernel("y_pred[n], y_true[n] -> counts[2,2]:i8", by_hand=_COUNTS)
def binary_confusion(y_pred, y_true, threshold):
    t = y_true > 0.5
    p = y_pred > threshold
    return np.array(
        [[np.count_nonzero(~t & ~p), np.count_nonzero(~t & p)], [np.count_nonzero(t & ~p), np.count_nonzero(t & p)]]
    )


SPARSE_CONFUSION = Row(
    "sparse_confusion",
    "metric",
    domain={"y_true": "compared"},
    note=(
        "in which cell of the confusion matrix, counted row by row, each sample falls: a matrix of each batch would "
        "take n * n numbers"
    ),
    source="-",
)


@SPARSE_CONFUSION.kernel("y_pred[batch,n], y_true[batch]:i8 -> cell[batch]:i8", split="batch", by_hand=_COUNTS)
def sparse_confusion(y_pred, y_true):
    return y_pred.shape[1] * y_true + y_pred.argmax(axis=1)


CATEGORICAL_CONFUSION = Row(
    "categorical_confusion",
    "metric",
    domain={"y_true": "one_hot"},
    source="-",
)


@CATEGORICAL_CONFUSION.kernel("y_pred[batch,n], y_true[batch,n] -> cell[batch]:i8", split="batch", by_hand=_COUNTS)
def categorical_confusion(y_pred, y_true):
    return y_pred.shape[1] * y_true.argmax(axis=1) + y_pred.argmax(axis=1)
