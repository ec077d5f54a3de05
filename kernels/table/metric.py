"""Metrics: counts, and which cell of a confusion matrix a sample is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import sum_in_order

_COUNTS = "it counts: integers"
_WIDE = "it sums in float64, whatever the arrays are"

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


# ------------------------------------------------------------------------ of the functions of arrays
ERROR_SUMS = Row(
    "error_sums",
    "metric",
    note=(
        "of abs(y_true - y_pred) and of its square, in float64 and, in both numerics, in the order of portable sums: "
        "over 32 partial sums in turn"
    ),
    source="-",
)


@ERROR_SUMS.kernel("y_true[n], y_pred[n] -> absolute[]:f8, squared[]:f8", by_hand=_WIDE)
def error_sums(y_true, y_pred):
    d = y_true.astype(np.float64) - y_pred.astype(np.float64)
    return sum_in_order(np.abs(d)), sum_in_order(d * d)


COLUMN_ERRORS = Row(
    "column_errors",
    "metric",
    note="for each column sums of squares: of the errors, and of y_true less its mean; in float64, as for error_sums",
    source="-",
)


@COLUMN_ERRORS.kernel("y_true[batch,n], y_pred[batch,n] -> squared[n]:f8, spread[n]:f8, mean[n]:f8", by_hand=_WIDE)
def column_errors(y_true, y_pred):
    t = y_true.astype(np.float64)
    d = t - y_pred.astype(np.float64)
    mean = sum_in_order(t, 0) / len(t)
    return sum_in_order(d * d, 0), sum_in_order((t - mean) * (t - mean), 0), mean


CONFUSION_COUNTS = Row(
    "confusion_counts",
    "metric",
    domain={"y_true": "index", "y_pred": "index"},
    note="counts[i, j] grows by the number of samples of class i that are given class j",
    source="-",
)


@CONFUSION_COUNTS.kernel(
    "y_true[batch]:i8, y_pred[batch]:i8, counts[rows,rows]:i8 -> counts[rows,rows]:i8", by_hand=_COUNTS
)
def confusion_counts(y_true, y_pred, counts):
    n = len(counts)
    return counts + np.bincount(n * y_true + y_pred, minlength=n * n)[: n * n].reshape(n, n)


PART_BY_LABEL = Row(
    "part_by_label",
    "metric",
    note=(
        "x where y_true is above 0, then the others from the last to the first; counts has how many are above 0, and "
        "how many are neither 0 nor 1"
    ),
    source="-",
)


@PART_BY_LABEL.kernel("x[batch], y_true[batch]:i8 -> parted[batch], counts[2]:i8", by_hand="it moves elements")
def part_by_label(x, y_true):
    above = y_true > 0
    others = (y_true != 0) & (y_true != 1)
    return np.concatenate([x[above], x[~above][::-1]]), [np.count_nonzero(above), np.count_nonzero(others)]


COUNT_WINS = Row(
    "count_wins",
    "metric",
    domain={"positive": "sorted", "negative": "sorted"},
    note="of all pairs of both arrays, twice those in which that of positive is larger, and once those of equals",
    source="Hanley & McNeil 1982, Radiology 143",
)


@COUNT_WINS.kernel("positive[m], negative[n] -> twice[]:i8", by_hand=_COUNTS)
def count_wins(positive, negative):
    below, with_equals = (np.searchsorted(negative, positive, side) for side in ("left", "right"))
    return below.sum() + with_equals.sum()
