"""Metrics: what a program counts of every batch, and the same numbers of plain arrays.

``compile(metrics=[...])`` takes the classes, or their names, such as "accuracy". Each adds kernels to the program; what
these yield of every batch (counts, sums of errors) or of every row (a class, a score) becomes one number at the end of
an epoch, in float64. So `fit` runs an epoch without Python, and its metrics are, as its loss, of each batch before
that batch's update: `AUC`, too, ranks every row by the score that it had then. The metrics of ``evaluate`` and of
validation data are of one set of parameters. A row is one of the last axis: outputs (batch, t, n) are batch * t rows.

The functions have scikit-learn's names, arguments and results, and take arrays of targets and predictions.
"""

from __future__ import annotations

import math
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from . import kernels, losses
from .checks import as_array, as_numbers, check_name, number, weights_of
from .frames import object_numbers
from .kernels.dtypes import REALS
from .kernels.table import KERNELS
from .naming import elsewhere
from .registry import Registered, make, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from numpy.typing import ArrayLike

    from .losses import Loss
    from .program import Buffer, Program

    Emitted = tuple[list[Buffer], Callable[..., Any]]

__all__ = [
    "AUC",
    "Accuracy",
    "AveragePrecision",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "F1Score",
    "FBetaScore",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanLoss",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "Weighted",
    "accuracy_score",
    "average_precision_score",
    "balanced_accuracy_score",
    "confusion_matrix",
    "f1_score",
    "fbeta_score",
    "get",
    "log_loss",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "precision_recall_curve",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "roc_curve",
    "root_mean_squared_error",
    "top_k_accuracy_score",
]

AVERAGES = ("macro", "micro", "weighted")
#: Labels of as many classes are counted before anybody looks how many there are.
_FEW = 16
#: How many rows, or what they weigh: those that are rightly given a class, are given it, and have it.
if TYPE_CHECKING:
    Tallies = tuple[Any, Any, Any]


# ------------------------------------------------------------------------------------------ of arrays
def _pair(first: str, x: np.ndarray, second: str, y: np.ndarray, like: bool = True) -> tuple[np.ndarray, np.ndarray]:
    if (x.shape != y.shape if like else x.shape[:1] != y.shape[:1]) or x.ndim == 0 or x.size == 0:
        what = "shapes must be equal" if like else "they must have equally many rows"
        raise ValueError(f"{first} has shape {x.shape} and {second} has {y.shape}; {what}, with one row at least")
    return x, y


def _labels(name: str, y: ArrayLike) -> np.ndarray:
    """Return labels: text or whole numbers."""
    labels = as_array(name, y)
    if labels.dtype.kind == "O":  # a column of a data frame
        text = labels.size and all(isinstance(value, str) for value in labels.flat)
        labels = labels.astype(str) if text else object_numbers(name, labels, labels=True)
    if labels.dtype.kind in "fc":
        with np.errstate(invalid="ignore"):
            whole = labels.real.astype(np.int64)
        if (whole == labels).all():
            return whole
        bad = ~(np.isfinite(labels) & (labels == np.rint(labels)))
        if bad.any():
            at = tuple(int(i) for i in np.argwhere(bad)[0])
            hint = f"; of probabilities {name} > 0.5 or {name}.argmax(axis=1) makes some"
            raise ValueError(f"{name}[{', '.join(map(str, at))}] is {labels[at]}; labels must be whole numbers{hint}")
    return labels


def _label_pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    t, p = _pair("y_true", _labels("y_true", y_true), "y_pred", _labels("y_pred", y_pred))
    if len({array.dtype.kind in "US" for array in (t, p)}) > 1:
        raise ValueError(f"y_true holds {t.dtype} and y_pred {p.dtype}; both must be text or both numbers")
    return t, p


def _weights(sample_weight: ArrayLike | None, rows: int) -> np.ndarray | None:
    """Return a weight for each row in float64, or None where all are alike."""
    if sample_weight is None:
        return None
    weights = weights_of("sample_weight", sample_weight, (rows,)).astype(np.float64)
    bad = ~((weights >= 0) & (weights < np.inf))
    if bad.any():
        at = int(bad.argmax())
        raise ValueError(f"sample_weight[{at}] is {weights[at]}; weights must be finite and not negative")
    return weights


def _mean(values: np.ndarray, weights: np.ndarray | None) -> float:
    """Return the mean of rows of numbers, each row with its weight; NaN where nothing weighs."""
    if weights is None:
        return float(values.mean())
    with np.errstate(invalid="ignore"):
        return float(weights @ values.reshape(len(values), -1).mean(axis=1) / weights.sum())


def _class_pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    t, p = _label_pair(y_true, y_pred)
    if t.ndim != 1:
        raise ValueError(f"y_true has shape {t.shape}; classes must be one label a row (one-hot: argmax(axis=1))")
    return t, p


def _counted(t: np.ndarray, p: np.ndarray, n: int) -> np.ndarray | None:
    """Return how many elements of class i are given class j, or None where one is none of 0 to n - 1."""
    if t.dtype.kind not in "biu" or p.dtype.kind not in "biu":
        return None
    t, p = (labels.astype(np.int64, copy=False).reshape(-1) for labels in (t, p))
    try:
        counts: np.ndarray = kernels.confusion_counts(t, p, np.zeros((n, n), np.int64))
    except IndexError:
        return None
    return counts


def _tallied(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the confusion matrix of the classes that occur in either array."""
    counts = _counted(t, p, _FEW)
    if counts is None and {t.dtype.kind, p.dtype.kind} <= set("iu"):
        n = int(max(t.max(), p.max())) + 1
        # a matrix that is not much larger than the labels
        counts = _counted(t, p, n) if 0 < n * n <= 4 * t.size else None
    if counts is None:
        found, (t, p) = _numbered(t, p)
        n = len(found)
        return np.bincount(n * t + p, minlength=n * n).reshape(n, n)
    occur = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    return counts[np.ix_(occur, occur)]


def _numbered(t: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Return the classes that occur in either array, in order, and the number of each row's."""
    found, numbers = np.unique(np.concatenate([t, p]), return_inverse=True)
    return found, (numbers[: len(t)], numbers[len(t) :])


def _chosen(found: np.ndarray, labels: ArrayLike) -> np.ndarray:
    """Return the numbers of labels among those that occur; one that does not has the number after the last."""
    wanted = _labels("labels", labels)
    if wanted.ndim != 1 or not wanted.size:
        raise ValueError(f"labels has shape {wanted.shape}; it must be a list of labels, one at least")
    if (wanted.dtype.kind in "US") != (found.dtype.kind in "US"):
        raise ValueError(f"labels holds {wanted.dtype} and y_true {found.dtype}; both must be text or both numbers")
    place = {label: k for k, label in enumerate(found.tolist())}
    return np.array([place.get(label, len(found)) for label in wanted.tolist()])


def _columns(y: np.ndarray) -> np.ndarray:
    """Return an array as a matrix: the last axis are the columns; one axis is one column."""
    return y.reshape(-1, y.shape[-1] if y.ndim > 1 else 1)


def _binary(name: str, y: np.ndarray) -> np.ndarray:
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name} holds {y[~np.isin(y, (0, 1))].tolist()[0]!r}; it must hold 0 and 1 only")
    return y.astype(bool)


def _tallies(true: np.ndarray, predicted: np.ndarray, n: int, weights: np.ndarray | None = None) -> Tallies:
    """Return, for each of n classes, how many rows are rightly given it, are given it, and have it."""
    hits = true == predicted
    true_positives = np.bincount(true[hits], None if weights is None else weights[hits], n)
    return true_positives, np.bincount(predicted, weights, n), np.bincount(true, weights, n)


def _ratio(part: Any, whole: Any, zero: float) -> Any:
    """Return part / whole, or what is agreed on where there is nothing."""
    if not isinstance(whole, np.ndarray):
        return part / whole if whole else zero
    # where there is nothing, part is 0 as well
    share = part / (np.maximum(whole, 1) if whole.dtype.kind in "iu" else whole + (whole == 0))
    return np.where(whole == 0, zero, share) if zero != 0 else share


def _precision(tallies: Tallies, zero: float = 0.0) -> Any:
    true_positives, n_predicted, _ = tallies
    return _ratio(true_positives, n_predicted, zero)


def _recall(tallies: Tallies, zero: float = 0.0) -> Any:
    true_positives, _, n_true = tallies
    return _ratio(true_positives, n_true, zero)


def _f_beta(beta: float) -> Callable[..., Any]:
    """Return the harmonic mean of precision and recall, in which recall counts beta times as much."""
    square = beta * beta

    def score(tallies: Tallies, zero: float = 0.0) -> Any:
        true_positives, n_predicted, n_true = tallies
        return _ratio((1 + square) * true_positives, n_predicted + square * n_true, zero)

    return _recall if square == math.inf else score


def _f1(tallies: Tallies, zero: float = 0.0) -> Any:
    true_positives, n_predicted, n_true = tallies
    return _ratio(2 * true_positives, n_predicted + n_true, zero)


def _beta(beta: Any) -> float:
    return math.inf if beta == math.inf else number("beta", beta, 0, math.inf)


def _averaged(score: Callable[..., Any], tallies: Tallies, average: str) -> float:
    true_positives, n_predicted, n_true = tallies
    if average == "micro":
        return float(score((true_positives.sum(), n_predicted.sum(), n_true.sum())))
    # a class that neither occurs nor is predicted is ignored
    weights = n_true if average == "weighted" else (n_predicted + n_true > 0).astype(np.int64)
    return math.fsum((score(tallies) * weights).tolist()) / (weights.sum().item() or 1)


def _mean_of_classes(scores: np.ndarray, weights: np.ndarray | None) -> float:
    """Return the mean of scores that are numbers; where their weights are all 0 that of all alike."""
    there = ~np.isnan(scores)
    scores, weights = scores[there], None if weights is None else weights[there]
    if not scores.size:
        return math.nan
    return float(scores.mean() if weights is None or weights.sum() == 0 else weights @ scores / weights.sum())


def _zero(zero_division: Any) -> float:
    if zero_division is None or (isinstance(zero_division, str) and zero_division == "warn"):
        return 0.0
    if isinstance(zero_division, str) or not (zero_division in (0, 1) or zero_division != zero_division):
        raise ValueError(f"zero_division is {zero_division!r}; it must be 0, 1, nan or 'warn'")
    return float(zero_division)


def _two_classes(t: np.ndarray, p: np.ndarray, pos_label: Any, weights: np.ndarray | None) -> Tallies:
    """Return the tallies of one of two classes, of arrays of any shape."""
    counts = _counted(t, p, 2) if weights is None and isinstance(pos_label, int) and pos_label == 1 else None
    if counts is not None:
        (_, false_positives), (false_negatives, true_positives) = counts.tolist()
        return true_positives, true_positives + false_positives, true_positives + false_negatives
    found = np.unique([*np.unique(t), *np.unique(p)])
    if len(found) > 2 or (pos_label not in found.tolist() and len(found) == 2):
        if pos_label == 1 and t.dtype.kind not in "US":
            for name, y in (("y_true", t), ("y_pred", p)):
                _binary(f"average is 'binary' and {name}", y)
        classes = ", ".join(map(repr, found[:5].tolist()))
        what = f"average is 'binary' and pos_label is {pos_label!r}"
        raise ValueError(f"{what}; the classes are {classes}, not it and one other")
    t, p = (y == pos_label for y in (t, p))
    parts = (t & p, p, t)
    if weights is None:
        return tuple(int(np.count_nonzero(part)) for part in parts)  # type: ignore[return-value]
    return tuple(float((weights @ part.reshape(len(t), -1)).sum()) for part in parts)  # type: ignore[return-value]


def _indicators(t: np.ndarray, p: np.ndarray, average: str | None, labels: ArrayLike | None, w: Any) -> Tallies:
    """Return the tallies of columns of 0 and 1, each of which is a class, or of their rows."""
    t, p = _binary("y_true", t), _binary("y_pred", p)
    if labels is not None:
        chosen, n = _labels("labels", labels), t.shape[1]
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or not ((chosen >= 0) & (chosen < n)).all():
            raise ValueError(f"labels is {labels!r}; of {n} columns it must be a list of numbers in 0 .. {n - 1}")
        t, p = t[:, chosen], p[:, chosen]
    parts = (t & p, p, t)
    if average == "samples":
        return tuple(part.sum(axis=1) for part in parts)
    return tuple(part.sum(axis=0) if w is None else w @ part for part in parts)


def _score_of(
    score: Callable[..., Any],
    y_true: ArrayLike,
    y_pred: ArrayLike,
    average: str | None,
    labels: ArrayLike | None = None,
    pos_label: Any = 1,
    sample_weight: ArrayLike | None = None,
    zero_division: Any = None,
) -> Any:
    if average is not None:
        check_name("average", average, ("binary", *AVERAGES, "samples"))
    zero = _zero(zero_division)
    t, p = _label_pair(y_true, y_pred)
    weights = _weights(sample_weight, len(t))
    if average == "binary":
        return float(score(_two_classes(t, p, pos_label, weights), zero))
    several = t.ndim == 2 and t.shape[1] > 1
    if not several:
        if average == "samples":
            raise ValueError(f"average is 'samples' and y_true has shape {t.shape}; it must be (rows, n) of 0 and 1")
        t, p = _class_pair(t.reshape(-1) if t.ndim == 2 else t, p.reshape(-1) if p.ndim == 2 else p)
        if average is not None and labels is None and weights is None and not zero:
            matrix = _tallied(t, p)
            return _averaged(score, (matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)), average)
        found, numbers = _numbered(t, p)
        tallies = _tallies(*numbers, len(found) + 1, weights)
        chosen = np.arange(len(found)) if labels is None else _chosen(found, labels)
        tallies = tuple(tally[chosen] for tally in tallies)
    else:
        tallies = _indicators(t, p, average, labels, weights)
    if average == "micro":
        return float(score(tuple(tally.sum() for tally in tallies), zero))
    scores = np.asarray(score(tallies, zero), np.float64)
    if average is None:
        return scores
    return _mean_of_classes(scores, {"weighted": tallies[2], "samples": weights}.get(average))


def accuracy_score(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None, normalize: bool = True
) -> float:
    """Return the share of elements that are equal, ``(y_true == y_pred).mean()``.

    Parameters
    ----------
    y_true, y_pred : array_like
        Labels, whole numbers or text, of one shape. Of rows of several labels each label counts; scikit-learn counts
        the rows in which all are right.
    sample_weight : array_like, shape (rows,), optional
        What each row counts; the mean is over their sum, as in all functions here.
    normalize : bool
        Whether it is the share of the elements, or their number.

    Returns
    -------
    float

    Examples
    --------
    >>> accuracy_score([0, 1, 2, 2], [0, 2, 2, 2]), accuracy_score([0, 1, 2, 2], [0, 2, 2, 2], [1, 4, 1, 2])
    (0.75, 0.5)
    """
    t, p = _label_pair(y_true, y_pred)
    if sample_weight is not None:
        weights = _weights(sample_weight, len(t))
        return _mean(t == p, weights) if normalize else float(weights @ (t == p).reshape(len(t), -1).sum(axis=1))
    return float(np.count_nonzero(t == p) / (t.size if normalize else 1))


def balanced_accuracy_score(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None, adjusted: bool = False
) -> float:
    """Return the mean of the recalls of all classes that occur in y_true [1]_.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (rows,)
    sample_weight : array_like, shape (rows,), optional
    adjusted : bool
        Whether to shift and scale it, so that chance is 0.

    Returns
    -------
    float

    References
    ----------
    .. [1] Brodersen, Ong, Stephan & Buhmann 2010, ICPR

    Examples
    --------
    >>> balanced_accuracy_score([0, 0, 0, 1], [0, 0, 1, 1])
    0.8333333333333333
    """
    found, (t, p) = _numbered(*_class_pair(y_true, y_pred))
    tallies = _tallies(t, p, len(found), _weights(sample_weight, len(t)))
    occurs = tallies[2] > 0
    recall = float(_recall(tallies)[occurs].mean()) if occurs.any() else math.nan
    chance = 1 / max(int(np.count_nonzero(occurs)), 1)
    return (recall - chance) / (1 - chance) if adjusted and chance < 1 else recall


def top_k_accuracy_score(
    y_true: ArrayLike, y_score: ArrayLike, k: int = 2, sample_weight: ArrayLike | None = None
) -> float:
    """Return the share of rows whose label's score is among their k largest.

    Parameters
    ----------
    y_true : array_like, shape (rows,)
        Labels in 0 .. n - 1; of any shape, with an axis less than `y_score`.
    y_score : array_like, shape (rows, n)
        Of equal scores the first comes first, as in argmax; scikit-learn takes the last first.
    k : int
    sample_weight : array_like, shape (rows,), optional

    Returns
    -------
    float

    Examples
    --------
    >>> top_k_accuracy_score([0, 1], [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], k=2)
    0.5
    """
    t, scores = _labels("y_true", as_numbers("y_true", y_true)), as_numbers("y_score", y_score)
    _pair("y_true", t, "y_score", scores, like=False)
    if t.shape != scores.shape[:-1]:
        raise ValueError(f"y_true has shape {t.shape} and y_score {scores.shape}; they must be (rows,) and (rows, n)")
    n = scores.shape[-1]
    if t.min() < 0 or t.max() >= n:
        bad = (t < 0) | (t >= n)
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"y_true[{', '.join(map(str, at))}] is {t[at]}"
        raise ValueError(f"{where}; labels must be in 0 .. {n - 1}, y_score has {n} columns")
    labels, rows = t.astype(np.int64, copy=False).reshape(-1), _real(scores).reshape(-1, n)
    k = min(_k(k), n)
    if sample_weight is not None:
        return _mean(_in_first(rows, labels, k).reshape(t.shape), _weights(sample_weight, len(t)))
    return float(kernels.sparse_top_k_categorical_accuracy(rows, labels, k=float(k)) / t.size)


def _in_first(scores: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Return of each row whether its label's score is among the k largest."""
    order = (-scores).argsort(axis=1, kind="stable")[:, :k]
    found: np.ndarray = (order == labels[:, None]).any(axis=1)
    return found


def precision_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    average: str | None = "binary",
    *,
    labels: ArrayLike | None = None,
    pos_label: Any = 1,
    sample_weight: ArrayLike | None = None,
    zero_division: Any = None,
) -> Any:
    """Return the precision: of the rows that are given a class, the share that has it; 0 if there are none.

    Parameters
    ----------
    y_true, y_pred : array_like
        Labels (rows,), or of several labels a row 0 and 1, (rows, n): then each column is a class. For "binary" two
        labels in arrays of any shape.
    average : {"binary", "macro", "micro", "weighted", "samples", None}
        "binary": of the class `pos_label`. "macro": the mean over the classes that occur in either array. "micro": of
        all classes together, which is the accuracy where rows have one label and all count. "weighted": the mean
        over the rows' true classes. "samples": of several labels a row the mean of the rows' scores. None: an array,
        a number for each class.
    labels : array_like, shape (k,), optional
        The classes that count, in this order; of several labels a row the columns. By default all that occur.
    pos_label : int or str
        The class that "binary" is of.
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    zero_division : {0, 1, nan}, optional
        The score where nothing is divided; nan leaves it out of a mean. By default, and for scikit-learn's "warn", 0.

    Returns
    -------
    float, or ndarray of float64, shape (k,), with ``average=None``

    Examples
    --------
    >>> precision_score([0, 1, 1, 1], [1, 1, 1, 0]), precision_score([0, 1, 2], [0, 2, 2], average="macro")
    (0.6666666666666666, 0.5)
    >>> precision_score([0, 1, 2], [0, 2, 2], average=None, labels=[2, 0])
    array([0.5, 1. ])
    >>> precision_score([[1, 0, 1], [0, 1, 1]], [[1, 1, 0], [0, 1, 1]], average="samples")
    0.75
    """
    return _score_of(_precision, y_true, y_pred, average, labels, pos_label, sample_weight, zero_division)


def recall_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    average: str | None = "binary",
    *,
    labels: ArrayLike | None = None,
    pos_label: Any = 1,
    sample_weight: ArrayLike | None = None,
    zero_division: Any = None,
) -> Any:
    """Return the recall: of the rows that have a class, the share that is given it; 0 if there are none.

    Parameters
    ----------
    y_true, y_pred : array_like
    average : {"binary", "macro", "micro", "weighted", "samples", None}
    labels, pos_label, sample_weight, zero_division : object
        As for `precision_score`.

    Returns
    -------
    float or ndarray
        As for `precision_score`.

    Examples
    --------
    >>> recall_score([0, 1, 1, 1, 1], [1, 1, 1, 0, 1])
    0.75
    """
    return _score_of(_recall, y_true, y_pred, average, labels, pos_label, sample_weight, zero_division)


def f1_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    average: str | None = "binary",
    *,
    labels: ArrayLike | None = None,
    pos_label: Any = 1,
    sample_weight: ArrayLike | None = None,
    zero_division: Any = None,
) -> Any:
    """Return the harmonic mean of precision and recall, ``2 * tp / (2 * tp + fp + fn)``; 0 if there is nothing.

    Parameters
    ----------
    y_true, y_pred : array_like
    average : {"binary", "macro", "micro", "weighted", "samples", None}
    labels, pos_label, sample_weight, zero_division : object
        As for `precision_score`.

    Returns
    -------
    float or ndarray
        As for `precision_score`.

    Examples
    --------
    >>> f1_score([0, 1, 1], [1, 1, 0])
    0.5
    """
    return _score_of(_f1, y_true, y_pred, average, labels, pos_label, sample_weight, zero_division)


def fbeta_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    beta: float,
    average: str | None = "binary",
    *,
    labels: ArrayLike | None = None,
    pos_label: Any = 1,
    sample_weight: ArrayLike | None = None,
    zero_division: Any = None,
) -> Any:
    """Return ``(1 + b**2) * tp / ((1 + b**2) * tp + fp + b**2 * fn)``: recall counts b times as much as precision [1]_.

    Parameters
    ----------
    y_true, y_pred : array_like
    beta : float
        Not negative: 0 is the precision, 1 `f1_score`, infinity the recall.
    average : {"binary", "macro", "micro", "weighted", "samples", None}
    labels, pos_label, sample_weight, zero_division : object
        As for `precision_score`.

    Returns
    -------
    float or ndarray
        As for `precision_score`.

    References
    ----------
    .. [1] van Rijsbergen 1979, Information Retrieval, chapter 7

    Examples
    --------
    >>> fbeta_score([0, 1, 1, 1], [1, 1, 1, 0], beta=2)
    0.6666666666666666
    >>> fbeta_score([0, 1, 2], [0, 2, 2], beta=0.5, average=None)
    array([1.        , 0.        , 0.55555556])
    """
    score = _f_beta(_beta(beta))
    return _score_of(score, y_true, y_pred, average, labels, pos_label, sample_weight, zero_division)


def roc_auc_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    average: str | None = "macro",
    *,
    sample_weight: ArrayLike | None = None,
    multi_class: str = "raise",
    labels: ArrayLike | None = None,
) -> Any:
    """Return the area under the ROC curve: how often a row of class 1 has a higher score than one of class 0 [1]_.

    Equal scores count half. Of two columns or more, which are the last axis, it is the mean of theirs. NaN where there
    is one class only, or a score is NaN.

    Parameters
    ----------
    y_true : array_like, shape (rows,) or (rows, n)
        0 and 1; labels (rows,) of n classes where `multi_class` says how.
    y_score : array_like, shape (rows,) or (rows, n)
        Any numbers.
    average : {"macro", "micro", "weighted", "samples", None}
        Over columns or classes: "macro", their mean; "weighted", the mean with how often each is 1; "micro", of all
        elements together; "samples", the mean over rows; None, an array.
    sample_weight : array_like, shape (rows,), optional
        What each row counts; the weight of a pair is the product of both.
    multi_class : {"raise", "ovr", "ovo"}
        Of more than two classes: "ovr", each against all others; "ovo", each against each other [2]_, for which a mean
        may be "macro" or "weighted" and rows weigh alike.
    labels : array_like, shape (n,), optional
        The classes, in the order of the columns of y_score. By default those that occur, in order.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with ``average=None``

    References
    ----------
    .. [1] Hanley & McNeil 1982, Radiology 143
    .. [2] Hand & Till 2001, Machine Learning 45

    Examples
    --------
    >>> roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    >>> scores = [[0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.3, 0.1, 0.6]]
    >>> roc_auc_score([0, 1, 2, 1], scores, multi_class="ovr", average=None)
    array([1.        , 0.625     , 0.83333333])
    """
    if average is not None:
        check_name("average", average, (*AVERAGES, "samples"))
    check_name("multi_class", multi_class, ("raise", "ovr", "ovo"))
    scores = as_numbers("y_score", y_score)
    if scores.ndim == 2 and scores.shape[1] > 2 and np.ndim(y_true) == 1:
        return _area_of_classes(y_true, scores, average, sample_weight, multi_class, labels)
    t, scores = _pair("y_true", as_numbers("y_true", y_true), "y_score", scores)
    return _by_columns(_area, _columns(t), _columns(_ordered(scores)), average, _weights(sample_weight, len(t)))


def _by_columns(
    score: Callable[..., float], t: np.ndarray, scores: np.ndarray, average: str | None, weights: np.ndarray | None
) -> Any:
    """Return a score of columns of 0 and 1, averaged over them, over rows or over all elements."""
    if weights is not None and len(weights) != len(t):  # of several positions a row
        weights = np.repeat(weights, len(t) // len(weights))
    n = t.shape[1]
    if n > 1 and average == "micro":
        each = None if weights is None else np.repeat(weights, n)
        return score(np.ascontiguousarray(t).reshape(-1), scores.reshape(-1), each)
    if n > 1 and average == "samples":
        return _mean(np.array([score(a, b, None) for a, b in zip(t, scores, strict=True)]), weights)
    found = [score(t[:, j], scores[:, j], weights) for j in range(n)]
    if n > 1 and average is None:
        return np.array(found)
    if n > 1 and average == "weighted":
        share = (np.ones(len(t)) if weights is None else weights) @ (t > 0)
        return float(share @ np.array(found) / share.sum()) if share.sum() else 0.0
    return math.fsum(found) / len(found)


def _one_of(y_true: ArrayLike, n: int, labels: ArrayLike | None) -> np.ndarray:
    """Return the class of each row as a number in 0 .. n - 1, the column of its score."""
    t = _labels("y_true", y_true)
    known = np.unique(t if labels is None else _labels("labels", labels))
    if labels is not None and not np.array_equal(known, _labels("labels", labels)):
        raise ValueError(f"labels is {labels!r}; the classes must be in order, each once")
    if len(known) != n:
        what = "classes in y_true" if labels is None else "labels"
        hint = "; labels=range(n) names those that do not occur" if labels is None else ""
        raise ValueError(f"there are {n} columns of scores and {len(known)} {what}{hint}")
    numbers = _chosen(known, t)
    if (numbers == n).any():
        at = int((numbers == n).argmax())
        raise ValueError(f"y_true[{at}] is {t[at].item()!r}; it must be one of labels, {known.tolist()!r}")
    return numbers


def _area_of_classes(
    y_true: ArrayLike,
    scores: np.ndarray,
    average: str | None,
    sample_weight: ArrayLike | None,
    multi_class: str,
    labels: ArrayLike | None,
) -> Any:
    n = scores.shape[1]
    if multi_class == "raise":
        what = f"y_score has {n} columns and y_true one label a row"
        raise ValueError(f"multi_class is 'raise'; {what}: it must be 'ovr' or 'ovo'")
    _pair("y_true", np.asarray(y_true), "y_score", scores, like=False)
    t, scores, weights = _one_of(y_true, n, labels), _ordered(scores), _weights(sample_weight, len(scores))
    if multi_class == "ovr":
        return _by_columns(_area, (t[:, None] == np.arange(n)).astype(np.int64), scores, average, weights)
    if average not in ("macro", "weighted"):
        raise ValueError(f"average is {average!r}; for multi_class='ovo' it must be 'macro' or 'weighted'")
    if weights is not None:
        raise ValueError("sample_weight is given; with multi_class='ovo' rows weigh alike")
    return _of_each_two(t, scores, average)


def _of_each_two(t: np.ndarray, scores: np.ndarray, average: str | None) -> float:
    """Return the mean of the areas of each two classes, plain or with how many rows have one of them."""
    areas, shares = [], []
    for a in range(scores.shape[1]):
        for b in range(a + 1, scores.shape[1]):
            both = (t == a) | (t == b)
            first = t[both] == a
            areas.append((_area(first, scores[both, a]) + _area(~first, scores[both, b])) / 2)
            shares.append(np.count_nonzero(both))
    if average == "macro":
        return math.fsum(areas) / len(areas)
    return float(np.dot(shares, areas) / sum(shares))


def _ordered(scores: np.ndarray) -> np.ndarray:
    """Return scores in a type of the kernels' and in the same order."""
    if scores.dtype.name in REALS or scores.dtype.itemsize < 8:
        return _real(scores)
    # whole numbers of 64 bits, or longer ones: which of all it is
    return np.unique(scores, return_inverse=True)[1].reshape(scores.shape).astype(np.float64)


def _area(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    if labels.dtype.kind not in "biu" or weights is not None:
        labels = _binary("y_true", labels)
    if weights is not None:
        return _weighted_area(labels, scores, weights)
    parted, (n, others) = kernels.part_by_label(scores, labels.astype(np.int64, copy=False))
    if others:
        _binary("y_true", labels)
    positive, negative = parted[:n], parted[n:]
    positive.sort()
    negative.sort()
    # NaN is last
    if not len(positive) or not len(negative) or math.isnan(positive[-1]) or math.isnan(negative[-1]):
        return math.nan
    return int(kernels.count_wins(positive, negative)) / (2 * len(positive) * len(negative))


def _weighted_area(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    if np.isnan(scores).any():
        return math.nan
    _, place = np.unique(scores, return_inverse=True)
    up, down = (np.bincount(place, weights * which) for which in (labels, ~labels))
    whole = up.sum() * down.sum()
    below = np.cumsum(down) - down
    return float(up @ (below + down / 2) / whole) if whole else math.nan


def _ranks(
    y_true: ArrayLike, y_score: ArrayLike, pos_label: Any, sample_weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the scores that occur, highest first, and how many rows of either class have one as high at least."""
    t, scores = _pair("y_true", _labels("y_true", y_true), "y_score", as_numbers("y_score", y_score))
    if t.ndim != 1:
        raise ValueError(f"y_true has shape {t.shape}; it must be (rows,), one label a row")
    if np.isnan(scores).any():
        at = int(np.isnan(scores).argmax())
        raise ValueError(f"y_score[{at}] is nan; scores must be numbers")
    if pos_label is None:
        found = set(np.unique(t).tolist())
        if not (found <= {0, 1} or found <= {-1, 1}):
            raise ValueError(f"y_true holds {sorted(found)[:5]}; pos_label must say which class is the positive one")
        pos_label = 1
    positive, weights = t == pos_label, _weights(sample_weight, len(t))
    if weights is not None:  # a row that does not count makes no point
        scores, positive, weights = scores[weights > 0], positive[weights > 0], weights[weights > 0]
    order = scores.argsort(kind="stable")[::-1]
    scores, positive = scores[order], positive[order]
    each = np.ones(len(order)) if weights is None else weights[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1) if len(scores) else np.zeros(0, int)
    return scores[last], np.cumsum(each * positive)[last], np.cumsum(each * ~positive)[last]


def roc_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    drop_intermediate: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ROC curve: the shares of both classes with a score of at least each threshold [1]_.

    Parameters
    ----------
    y_true : array_like, shape (rows,)
        Labels: 0 and 1, -1 and 1, or any where `pos_label` says which is the positive class.
    y_score : array_like, shape (rows,)
    pos_label : int or str, optional
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    drop_intermediate : bool
        Whether points on a straight line between their neighbours are left out.

    Returns
    -------
    fpr, tpr : ndarray of float64, shape (k,)
        The share of the others, and of the positive class; NaN where there is none of it. Both begin at 0.
    thresholds : ndarray of float64, shape (k,)
        From infinity down.

    References
    ----------
    .. [1] Fawcett 2006, Pattern Recognition Letters 27

    Examples
    --------
    >>> fpr, tpr, thresholds = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> fpr, tpr
    (array([0. , 0. , 0.5, 0.5, 1. ]), array([0. , 0.5, 0.5, 1. , 1. ]))
    >>> thresholds
    array([ inf, 0.8 , 0.4 , 0.35, 0.1 ])
    """
    thresholds, up, down = _ranks(y_true, y_score, pos_label, sample_weight)
    if drop_intermediate and len(up) > 2:
        corner = np.concatenate([[True], (np.diff(up, 2) != 0) | (np.diff(down, 2) != 0), [True]])
        thresholds, up, down = thresholds[corner], up[corner], down[corner]
    first = np.zeros(1)
    up, down = np.append(first, up), np.append(first, down)
    with np.errstate(invalid="ignore"):
        return down / down[-1], up / up[-1], np.append(np.inf, thresholds)


def precision_recall_curve(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    drop_intermediate: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall of the rows with a score of at least each threshold.

    Parameters
    ----------
    y_true, y_score : array_like, shape (rows,)
    pos_label : int or str, optional
    sample_weight : array_like, shape (rows,), optional
        As for `roc_curve`.
    drop_intermediate : bool
        Whether thresholds are left out at which the recall is that of both neighbours.

    Returns
    -------
    precision, recall : ndarray of float64, shape (k + 1,)
        Of each threshold; the last ones, without a threshold, are 1 and 0. Without a positive row recall is 1.
    thresholds : ndarray, shape (k,)
        The scores that occur, ascending.

    Examples
    --------
    >>> precision, recall, thresholds = precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> precision, recall
    (array([0.5       , 0.66666667, 0.5       , 1.        , 1.        ]), array([1. , 1. , 0.5, 0.5, 0. ]))
    >>> thresholds
    array([0.1 , 0.35, 0.4 , 0.8 ])
    """
    thresholds, up, down = _ranks(y_true, y_score, pos_label, sample_weight)
    if drop_intermediate and len(up) > 2:
        corner = np.concatenate([[True], (np.diff(up[:-1]) != 0) | (np.diff(up[1:]) != 0), [True]])
        thresholds, up, down = thresholds[corner], up[corner], down[corner]
    precision, recall = _precisions(up, down)
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


def _precisions(up: np.ndarray, down: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    recall = up / up[-1] if len(up) and up[-1] > 0 else np.ones(len(up))
    return _ratio(up, up + down, 0.0), recall


def _average_precision(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    if np.isnan(scores).any():
        return math.nan
    _, up, down = _ranks(labels, scores, 1, weights)
    precision, recall = _precisions(up, down)
    return max(0.0, float(np.diff(recall, prepend=0.0) @ precision))


def average_precision_score(
    y_true: ArrayLike,
    y_score: ArrayLike,
    average: str | None = "macro",
    *,
    pos_label: Any = 1,
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Return the mean of the precisions at all thresholds, each weighing as much as the recall grows there [1]_.

    Parameters
    ----------
    y_true : array_like, shape (rows,) or (rows, n)
        Labels of two classes; of several labels a row, 0 and 1; or labels of n classes, each against all others.
    y_score : array_like, shape (rows,) or (rows, n)
        Any numbers. NaN makes NaN.
    average : {"macro", "micro", "weighted", "samples", None}
        Over columns or classes, as for `roc_auc_score`.
    pos_label : int or str
        The positive one of two classes.
    sample_weight : array_like, shape (rows,), optional
        What each row counts.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with ``average=None``

    References
    ----------
    .. [1] Zhu 2004, Recall, precision and average precision, University of Waterloo

    Examples
    --------
    >>> average_precision_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.8333333333333333
    """
    if average is not None:
        check_name("average", average, (*AVERAGES, "samples"))
    scores, t = as_numbers("y_score", y_score), _labels("y_true", y_true)
    if scores.ndim == 2 and scores.shape[1] > 1 and t.ndim == 1:
        _pair("y_true", t, "y_score", scores, like=False)
        n = scores.shape[1]
        t = (_one_of(t, n, None)[:, None] == np.arange(n)).astype(np.int64)
    _pair("y_true", t, "y_score", scores)
    weights = _weights(sample_weight, len(t))
    if t.ndim > 1 and t.shape[1] > 1:
        return _by_columns(_average_precision, _binary("y_true", t).astype(np.int64), scores, average, weights)
    found = np.unique(t)
    if len(found) > 2 or (len(found) == 2 and pos_label not in found.tolist()):
        classes = ", ".join(map(repr, found[:5].tolist()))
        raise ValueError(f"pos_label is {pos_label!r}; the classes are {classes}, not it and one other")
    return _average_precision((t.reshape(-1) == pos_label).astype(np.int64), scores.reshape(-1), weights)


def log_loss(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    normalize: bool = True,
    sample_weight: ArrayLike | None = None,
    labels: ArrayLike | None = None,
) -> float:
    """Return the mean of ``-log(p)``, p being the probability that is given to a row's class.

    Parameters
    ----------
    y_true : array_like, shape (rows,)
        Labels; or 0 and 1, (rows, n), one-hot.
    y_pred : array_like, shape (rows,) or (rows, n)
        Of two classes the probability of the second one, of n the probabilities in the order of the labels. They are
        clipped to [eps, 1 - eps], eps that of their dtype, and not divided by their sum.
    normalize : bool
        Whether it is the mean, or the sum.
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    labels : array_like, shape (n,), optional
        The classes, in order; by default those that occur.

    Returns
    -------
    float

    Examples
    --------
    >>> round(log_loss([0, 1], [0.2, 0.8]), 6), round(log_loss(["b", "a"], [[0.5, 0.5], [0.8, 0.2]]), 6)
    (0.223144, 0.458145)
    """
    p, t = as_numbers("y_pred", y_pred), as_array("y_true", y_true)
    _pair("y_true", t, "y_pred", p, like=False)
    p = p if p.dtype.kind == "f" else p.astype(np.float64)
    bad = ~((p >= 0) & (p <= 1))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        where = f"y_pred[{', '.join(map(str, at))}] is {p[at]}"
        raise ValueError(f"{where}; probabilities must be in 0 .. 1")
    eps = np.finfo(p.dtype).eps
    p = p.reshape(len(p), -1)
    p = (np.hstack([1 - p, p]) if p.shape[1] == 1 else p).clip(eps, 1 - eps)
    if t.ndim == 2 and t.shape[1] > 1:
        _pair("y_true", t, "y_pred", p)
        own = (_binary("y_true", t) * p).sum(axis=1)
    else:
        own = p[np.arange(len(p)), _one_of(t.reshape(-1), p.shape[1], labels)]
    each, weights = -np.log(own.astype(np.float64)), _weights(sample_weight, len(p))
    if normalize:
        return _mean(each, weights)
    return float(each.sum() if weights is None else weights @ each)


def confusion_matrix(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalize: str | None = None,
) -> np.ndarray:
    """Return how many rows of each class (a row of the matrix) are given each class (a column).

    Parameters
    ----------
    y_true, y_pred : array_like, shape (rows,)
        Labels. The classes are those that occur in either, in order.
    labels : array_like, shape (n,), optional
        The classes instead, in this order; rows of others are left out.
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    normalize : {"true", "pred", "all"}, optional
        What the counts are divided by: the sum of each row, of each column, or of all; 0 where that is 0.

    Returns
    -------
    ndarray of int64, shape (n, n), or of float64 where rows weigh or counts are divided

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 0, 1])
    array([[1, 0],
           [1, 1]])
    >>> confusion_matrix([0, 1, 1], [0, 0, 1], normalize="true")
    array([[1. , 0. ],
           [0.5, 0.5]])
    """
    t, p = _class_pair(y_true, y_pred)
    weights = _weights(sample_weight, len(t))
    if labels is None and weights is None:
        counts = _tallied(t, p)
    else:
        found, numbers = _numbered(t, p)
        chosen = np.arange(len(found)) if labels is None else _chosen(found, labels)
        n = len(found) + 1
        whole = np.bincount(n * numbers[0] + numbers[1], weights, n * n).reshape(n, n)
        counts = whole[np.ix_(chosen, chosen)]
    if normalize is None:
        return counts
    check_name("normalize", normalize, ("true", "pred", "all"))
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    shares: np.ndarray = _ratio(counts, np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape), 0.0)
    return shares


def mean_absolute_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Return ``abs(y_true - y_pred).mean()`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    multioutput : {"uniform_average", "raw_values"} or array_like, shape (n,)
        Of several columns, which are the last axis: the mean of theirs, an array of theirs, or a mean with weights.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with "raw_values"

    Examples
    --------
    >>> mean_absolute_error([1, 2], [1, 4]), mean_absolute_error([1, 2], [1, 4], [3, 1])
    (1.0, 0.5)
    """
    t, p = _number_pair(y_true, y_pred)
    if sample_weight is not None or not _is_mean(multioutput):
        return _over_columns(np.abs(_error(t, p)), sample_weight, multioutput)
    return float(kernels.error_sums(t, p)[0] / t.size)


def mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Return ``((y_true - y_pred)**2).mean()`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    multioutput : {"uniform_average", "raw_values"} or array_like, shape (n,)
        Of several columns, which are the last axis: the mean of theirs, an array of theirs, or a mean with weights.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with "raw_values"

    Examples
    --------
    >>> mean_squared_error([1, 2], [1, 4])
    2.0
    """
    t, p = _number_pair(y_true, y_pred)
    if sample_weight is not None or not _is_mean(multioutput):
        return _over_columns(_error(t, p) ** 2, sample_weight, multioutput)
    return float(kernels.error_sums(t, p)[1] / t.size)


def root_mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Return the square root of `mean_squared_error`; of several columns scikit-learn's mean is that of the roots.

    Parameters
    ----------
    y_true, y_pred : array_like
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    multioutput : {"uniform_average", "raw_values"} or array_like, shape (n,)
        Of several columns, which are the last axis: the mean of theirs, an array of theirs, or a mean with weights.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with "raw_values"

    Examples
    --------
    >>> root_mean_squared_error([1, 2], [1, 4])
    1.4142135623730951
    """
    if _is_mean(multioutput):
        return math.sqrt(mean_squared_error(y_true, y_pred, sample_weight))
    return _of_outputs(np.sqrt(mean_squared_error(y_true, y_pred, sample_weight, "raw_values")), multioutput)


def mean_absolute_percentage_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Return the mean of ``abs(y_true - y_pred) / max(abs(y_true), 2**-52)``, a share and not in percent.

    Parameters
    ----------
    y_true, y_pred : array_like
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    multioutput : {"uniform_average", "raw_values"} or array_like, shape (n,)
        Of several columns, which are the last axis: the mean of theirs, an array of theirs, or a mean with weights.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with "raw_values"

    Examples
    --------
    >>> mean_absolute_percentage_error([2, 4], [1, 5])
    0.375
    """
    t, p = _number_pair(y_true, y_pred)
    share = np.abs(_error(t, p)) / np.maximum(np.abs(t.astype(np.float64)), 2.0**-52)
    return _over_columns(share, sample_weight, multioutput)


def mean_squared_log_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Return ``((log(1 + y_true) - log(1 + y_pred))**2).mean()`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like
        Greater than -1.
    sample_weight : array_like, shape (rows,), optional
        What each row counts.
    multioutput : {"uniform_average", "raw_values"} or array_like, shape (n,)
        Of several columns, which are the last axis: the mean of theirs, an array of theirs, or a mean with weights.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with "raw_values"

    Examples
    --------
    >>> round(mean_squared_log_error([0, 3], [1, 3]), 6)
    0.240227
    """
    t, p = (y.astype(np.float64) for y in _number_pair(y_true, y_pred))
    for name, y in (("y_true", t), ("y_pred", p)):
        if (y <= -1).any():
            at = tuple(int(i) for i in np.argwhere(y <= -1)[0])
            raise ValueError(f"{name}[{', '.join(map(str, at))}] is {y[at]}; it must be greater than -1")
    return _over_columns((np.log1p(t) - np.log1p(p)) ** 2, sample_weight, multioutput)


def r2_score(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None = None,
    multioutput: Any = "uniform_average",
) -> Any:
    """Return the share of the variance that is explained, ``1 - sum((y - p)**2) / sum((y - mean(y))**2)``.

    Of two columns or more, which are the last axis, it is the mean of theirs. Where y is constant it is 1 for exact
    predictions, else 0; of a single row, or where a number is NaN, it is NaN.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (rows,) or (rows, n)
    sample_weight : array_like, shape (rows,), optional
        What each row counts in both sums and in the mean.
    multioutput : {"uniform_average", "raw_values", "variance_weighted"} or array_like, shape (n,)
        Of several columns: the mean of theirs, an array of theirs, or a mean with their variances or other weights.

    Returns
    -------
    float, or ndarray of float64, shape (n,), with "raw_values"

    Examples
    --------
    >>> r2_score([1, 2, 3], [1, 2, 4])
    0.5
    """
    t, p = _number_pair(y_true, y_pred)
    weights = _weights(sample_weight, len(t))
    t, p = _columns(t), _columns(p)
    if weights is None:
        error, spread, _ = kernels.column_errors(t, p)
    else:
        error, spread = _weighted_errors(t, p, np.repeat(weights, len(t) // len(weights)))
    if _is_mean(multioutput):
        return _explained(error, spread, len(t))
    if isinstance(multioutput, str) and multioutput == "variance_weighted":
        multioutput = spread if spread.any() else np.ones_like(spread)
    shares = np.array([_explained(error[k : k + 1], spread[k : k + 1], len(t)) for k in range(len(error))])
    return _of_outputs(shares, multioutput)


def _is_mean(multioutput: Any) -> bool:
    return isinstance(multioutput, str) and multioutput == "uniform_average"


def _of_outputs(raw: np.ndarray, multioutput: Any) -> Any:
    """Return a score of each column as it is, or the mean of all with weights."""
    if isinstance(multioutput, str):
        check_name("multioutput", multioutput, ("uniform_average", "raw_values"))
        return raw if multioutput == "raw_values" else float(raw.mean())
    weights = as_numbers("multioutput", multioutput).astype(np.float64)
    if weights.shape != raw.shape or not (weights >= 0).all() or not weights.sum() > 0:
        raise ValueError(f"multioutput is {multioutput!r}; it must be {len(raw)} weights, not negative and not all 0")
    return float(weights @ raw / weights.sum())


def _over_columns(errors: np.ndarray, sample_weight: ArrayLike | None, multioutput: Any) -> Any:
    """Return the mean of errors over rows, and over columns as `multioutput` says."""
    weights = _weights(sample_weight, len(errors))
    if _is_mean(multioutput):
        return _mean(errors, weights)
    columns = _columns(errors)
    if weights is None:
        return _of_outputs(columns.mean(axis=0), multioutput)
    weights = np.repeat(weights, len(columns) // len(weights))
    with np.errstate(invalid="ignore"):
        return _of_outputs(weights @ columns / weights.sum(), multioutput)


def _weighted_errors(t: np.ndarray, p: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each column sums of squares: of the errors, and of the targets less their mean."""
    t = t.astype(np.float64)
    with np.errstate(invalid="ignore"):
        center = weights @ t / weights.sum()
    return weights @ _error(t, p) ** 2, weights @ (t - center) ** 2


def _error(t: np.ndarray, p: np.ndarray) -> np.ndarray:
    return t.astype(np.float64) - p.astype(np.float64)


def _real(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as kernels take them: in their type where it is a real one of theirs, else in float64."""
    return numbers if numbers.dtype.name in REALS else numbers.astype(np.float64)


def _number_pair(y_true: ArrayLike, y_pred: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    t, p = _pair("y_true", as_numbers("y_true", y_true), "y_pred", as_numbers("y_pred", y_pred))
    return _real(t), _real(p)


def _explained(error: np.ndarray, spread: np.ndarray, rows: int) -> float:
    if rows < 2:
        return math.nan
    share = 1 - error / np.where(spread == 0, 1, spread)
    return math.fsum(np.where((spread == 0) & (error > 0), 0.0, share).tolist()) / len(share)


# --------------------------------------------------------------------------------------- of a program
def _result(program: Program, kernel: str, *inputs: Buffer, **attributes: float) -> Buffer:
    """Return the last output of a kernel, which becomes a result of the program."""
    options: dict[str, Any] = attributes
    outputs = program.call(kernel, *inputs, layer="metric", **options)
    buffer: Buffer = outputs[-1] if isinstance(outputs, tuple) else outputs
    buffer.role = "result"
    return buffer


def _k(k: Any) -> int:
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k is {k!r}; it must be an integer of at least 1")
    return int(k)


def _threshold(threshold: Any) -> float:
    if not isinstance(threshold, (int, float, np.number)) or not 0 < threshold < 1:
        raise ValueError(f"threshold is {threshold!r}; it must be a probability between 0 and 1")
    return float(threshold)


def _cut(threshold: float, loss: Loss) -> float:
    """Return the threshold on the scale of the outputs: that of logits, where the loss takes those."""
    return math.log(threshold / (1 - threshold)) if loss.from_logits else threshold


class Metric(Registered, kind="metric"):
    """A number that tells how good predictions are.

    Parameters
    ----------
    name : str, optional
        In the history. By default the class's, such as "mean_squared_error".

    Attributes
    ----------
    scalar : bool
        Whether it is one number; others are in what `evaluate` returns, not in a history.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
    >>> model.compile("sgd", "mse", metrics=["mae", fastbp.metrics.R2Score(name="r2")])
    >>> model.metric_names
    ['mae', 'r2']
    """

    scalar = True
    #: What its loss must be, for the error message.
    needs = ""

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not (isinstance(name, str) and name):
            raise ValueError(f"name is {name!r}; it must be a non-empty string")
        self.name = name or self.names[0]

    def suits(self, loss: Loss) -> bool:
        """Return whether the metric makes sense for the outputs and targets of a loss.

        Parameters
        ----------
        loss : Loss

        Returns
        -------
        bool

        Examples
        --------
        >>> from fastbp import losses
        >>> [Accuracy().suits(loss) for loss in (losses.BinaryCrossEntropy(), losses.MeanSquaredError())]
        [True, False]
        """
        raise NotImplementedError

    def check_loss(self, loss: Loss) -> None:
        """Raise ValueError unless the metric `suits` a loss.

        Parameters
        ----------
        loss : Loss

        Examples
        --------
        >>> from fastbp import losses
        >>> Accuracy().check_loss(losses.MeanSquaredError())
        Traceback (most recent call last):
        ValueError: metric 'accuracy' needs a cross-entropy loss, got MeanSquaredError(reduction='mean')
        """
        if loss.ignore_index is not None:
            raise ValueError(f"metric {self.name!r} counts all rows; the loss ignores the label {loss.ignore_index}")
        if not self.suits(loss):
            raise ValueError(f"metric {self.name!r} needs {self.needs}, got {loss!r}")

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add to a program what the metric is made of.

        Parameters
        ----------
        program : Program
        loss : Loss
        y_pred, y_true : Buffer
            As for `Loss.emit`: each row of the last axis is a row.

        Returns
        -------
        results : list of Buffer
            What is kept of every batch, or of every row where the buffer has the batch's dimension.
        value : callable
            ``value(rows, *arrays)``: what the metric is, from the number of rows and an array for each buffer with
            batches or rows first.

        Examples
        --------
        >>> from fastbp import losses
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y_pred, y_true = program.buffer("y_pred", (BATCH, 3)), program.buffer("y_true", (BATCH, 3))
        >>> results, value = MeanAbsoluteError().emit(program, losses.MeanSquaredError(), y_pred, y_true)
        >>> value(4, np.array([2.0, 4.0]))  # two batches, 4 rows of 3 in all, sums of errors 2 and 4
        0.5
        """
        raise NotImplementedError

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> Any:
        """Return what the metric is of arrays; what `emit_weighted` makes of the rows that it keeps.

        Parameters
        ----------
        loss : Loss
        y_true : ndarray, shape (rows, n) or (rows,)
            As the loss takes them.
        y_pred : ndarray, shape (rows, n)
        sample_weight : ndarray of float64, shape (rows,), or None

        Returns
        -------
        float or ndarray

        Examples
        --------
        >>> from fastbp import losses
        >>> labels, outputs = np.array([0, 1]), np.array([[2.0, 1.0], [3.0, 0.0]])
        >>> Accuracy().measure(losses.SparseCategoricalCrossEntropy(True), labels, outputs, np.array([3.0, 1.0]))
        0.75
        """
        raise NotImplementedError

    def emit_weighted(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer, weight: Buffer) -> Emitted:
        """Add to a program what the metric is made of where rows weigh: copies of them, which `measure` takes.

        Parameters
        ----------
        program : Program
        loss : Loss
        y_pred, y_true : Buffer
            As for `emit`.
        weight : Buffer, shape (rows, 1)

        Returns
        -------
        results, value
            As for `emit`.

        Examples
        --------
        >>> from fastbp import losses
        >>> from fastbp.program import BATCH, Program
        >>> program = Program("float32")
        >>> y_pred, y_true, weight = (program.buffer(name, (BATCH, n)) for name, n in (("p", 3), ("t", 3), ("w", 1)))
        >>> results, value = MeanAbsoluteError().emit_weighted(program, losses.Huber(), y_pred, y_true, weight)
        >>> value(2, np.ones((2, 3)), np.array([[1.0] * 3, [3.0] * 3]), np.array([[3.0], [1.0]]))
        0.5
        """
        kept, arrays_of = _kept(program, loss, y_pred, y_true)
        weights = _result(program, "identity_forward", weight)

        def value(rows: int, *arrays: np.ndarray) -> Any:
            y_true, y_pred = arrays_of(*arrays[:-1])
            return self.measure(loss, y_true, y_pred, arrays[-1].reshape(-1).astype(np.float64))

        return [*kept, weights], value

    def get_config(self) -> str | list[Any]:
        """Return what `get` needs to make the same object again: its name, or its class and its arguments.

        Returns
        -------
        str or list

        Examples
        --------
        >>> Accuracy().get_config(), R2Score(name="r2").get_config()
        ('accuracy', ['R2Score', {'name': 'r2'}])
        """
        kind = self.registry.named.get(self.name)
        if kind is type(self) and name_of(kind) == kind.__name__ and vars(kind(name=self.name)) == vars(self):
            return self.name
        return [name_of(type(self)), dict(vars(self))]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


def _kept(
    program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer
) -> tuple[list[Buffer], Callable[..., tuple[np.ndarray, np.ndarray]]]:
    """Return copies of targets and outputs of every row, and what makes y_true and y_pred of their arrays."""
    outputs = _result(program, "identity_forward", y_pred)
    if not loss.takes_integers:
        return [_result(program, "identity_forward", y_true), outputs], lambda t, y: (t, y)
    n = y_pred.shape[-1]
    # the cell of the confusion matrix tells the label
    return [_cells(program, loss, y_pred, y_true), outputs], lambda cells, y: (cells // n, y)


class _Hits(Metric):
    """The share of hits among what is counted."""

    def _hits(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        """Return of each row, or element, whether it is a hit."""
        raise NotImplementedError

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """Return the share of hits of arrays."""
        return _mean(self._hits(loss, y_true, y_pred), sample_weight)

    def _emit(self, program: Program, kernel: str, y_pred: Buffer, y_true: Buffer, **attributes: float) -> Emitted:
        per_row = math.prod(y_pred.shape[1:]) if KERNELS[kernel].elementwise else 1
        hits = _result(program, kernel, y_pred, y_true, **attributes)
        return [hits], lambda rows, hits: (hits.item() if hits.size == 1 else hits.sum().item()) / (rows * per_row)


class BinaryAccuracy(_Hits, names=("binary_accuracy",)):
    """The share of outputs on the right side of a threshold, ``((y_pred > threshold) == (y_true > 0.5)).mean()``.

    Parameters
    ----------
    threshold : float
        A probability. Of a loss on logits the logits are compared with ``log(threshold / (1 - threshold))``.
    name : str, optional

    Examples
    --------
    >>> BinaryAccuracy(threshold=0.75)
    BinaryAccuracy(name='binary_accuracy', threshold=0.75)
    """

    needs = "targets of 0 and 1 for each output"

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        super().__init__(name)
        self.threshold = _threshold(threshold)

    def suits(self, loss: Loss) -> bool:
        """Return whether targets are numbers and not one-hot."""
        return loss.targets == "real" and loss.link != "softmax"

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the count of hits."""
        return self._emit(program, "binary_accuracy", y_pred, y_true, threshold=_cut(self.threshold, loss))

    def _hits(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        hits: np.ndarray = (y_pred > _cut(self.threshold, loss)) == (y_true > 0.5)
        return hits


class CategoricalAccuracy(_Hits, names=("categorical_accuracy",)):
    """The share of rows with the largest output where the one-hot target is, ``argmax`` against ``argmax``.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> CategoricalAccuracy()
    CategoricalAccuracy(name='categorical_accuracy')
    """

    needs = "one-hot targets"

    def suits(self, loss: Loss) -> bool:
        """Return whether targets may be one-hot."""
        return loss.targets in ("real", "one_hot") and loss.link != "sigmoid"

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the count of hits."""
        return self._emit(program, "categorical_accuracy", y_pred, y_true)

    def _hits(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return _in_first(y_pred, y_true.argmax(axis=1), getattr(self, "k", 1))


class SparseCategoricalAccuracy(_Hits, names=("sparse_categorical_accuracy",)):
    """The share of rows with the largest output at the label, ``(y_pred.argmax(axis=1) == y_true).mean()``.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> SparseCategoricalAccuracy()
    SparseCategoricalAccuracy(name='sparse_categorical_accuracy')
    """

    needs = "a loss on integer labels"

    def suits(self, loss: Loss) -> bool:
        """Return whether targets are labels."""
        return loss.targets == "labels"

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the count of hits."""
        return self._emit(program, "sparse_categorical_accuracy", y_pred, y_true)

    def _hits(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return _in_first(y_pred, y_true, getattr(self, "k", 1))


class Accuracy(_Hits, names=("accuracy",)):
    """The accuracy that belongs to a cross-entropy: sparse categorical, categorical or binary.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> Accuracy()
    Accuracy(name='accuracy')
    """

    needs = "a cross-entropy loss"

    def suits(self, loss: Loss) -> bool:
        """Return whether the loss is a cross-entropy."""
        return loss.link is not None

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the count of hits."""
        return self._kind(loss).emit(program, loss, y_pred, y_true)

    def _hits(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return self._kind(loss)._hits(loss, y_true, y_pred)

    @staticmethod
    def _kind(loss: Loss) -> _Hits:
        kinds = (SparseCategoricalAccuracy(), CategoricalAccuracy(), BinaryAccuracy())
        return next(kind for kind in kinds if kind.suits(loss))


class TopKCategoricalAccuracy(CategoricalAccuracy, names=("top_k_categorical_accuracy",)):
    """The share of rows with the output of the one-hot target among the k largest.

    Of equal outputs the first comes first, so that for k = 1 it is the accuracy; Keras counts all of them.

    Parameters
    ----------
    k : int
    name : str, optional

    Examples
    --------
    >>> TopKCategoricalAccuracy(k=3)
    TopKCategoricalAccuracy(name='top_k_categorical_accuracy', k=3)
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = _k(k)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the count of hits."""
        return self._emit(program, "top_k_categorical_accuracy", y_pred, y_true, k=float(min(self.k, y_pred.shape[-1])))


class SparseTopKCategoricalAccuracy(SparseCategoricalAccuracy, names=("sparse_top_k_categorical_accuracy",)):
    """The share of rows with the label's output among the k largest.

    Of equal outputs the first comes first, so that for k = 1 it is the accuracy; Keras counts all of them.

    Parameters
    ----------
    k : int
    name : str, optional

    Examples
    --------
    >>> SparseTopKCategoricalAccuracy(k=3, name="top3")
    SparseTopKCategoricalAccuracy(name='top3', k=3)
    """

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        self.k = _k(k)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the count of hits."""
        return self._emit(
            program, "sparse_top_k_categorical_accuracy", y_pred, y_true, k=float(min(self.k, y_pred.shape[-1]))
        )


def _cells(program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Buffer:
    """Return the buffer of the cells of the confusion matrix in which rows of classes fall."""
    kernel = "sparse_confusion" if loss.targets == "labels" else "categorical_confusion"
    return _result(program, kernel, y_pred, y_true)


class Precision(Metric, names=("precision",)):
    """`precision_score` of the predicted classes: of the rows that are given a class, the share that has it.

    After a binary cross-entropy an output above the threshold is class 1; after a categorical one a row's class is its
    largest output.

    Parameters
    ----------
    threshold : float
        A probability, for a binary cross-entropy; see `BinaryAccuracy`.
    average : {"macro", "micro", "weighted", "samples", None}
        Over classes; see `precision_score`. A class that neither occurs nor is predicted is ignored. "samples" is of
        several labels a row. None is an array, a number for each class, which only `evaluate` returns.
    name : str, optional
    labels : list of int, optional
        The classes that count, in this order; by default all.
    multi_label : bool
        After a binary cross-entropy, whether each output is a class of its own, which are averaged: so it is for
        ``average=None`` and "samples". By default all outputs are counted together. It keeps a copy of all of them.

    Examples
    --------
    >>> Precision(threshold=0.25)
    Precision(name='precision', threshold=0.25, average='macro', labels=None, multi_label=False)
    """

    needs = "a cross-entropy loss"

    def __init__(
        self,
        threshold: float = 0.5,
        average: str | None = "macro",
        name: str | None = None,
        labels: Sequence[int] | None = None,
        multi_label: bool = False,
    ) -> None:
        super().__init__(name)
        if average is not None:
            check_name("average", average, (*AVERAGES, "samples"))
        self.threshold, self.average = _threshold(threshold), average
        self.labels = None if labels is None else _class_numbers(labels)
        self.multi_label = bool(multi_label)

    @property
    def scalar(self) -> bool:  # type: ignore[override]
        """Whether it is one number."""
        return self.average is not None

    def _score(self, tallies: Tallies) -> Any:
        return _precision(tallies)

    def suits(self, loss: Loss) -> bool:
        """Return whether the loss is a cross-entropy."""
        return loss.link is not None

    def check_loss(self, loss: Loss) -> None:
        """Raise ValueError unless the metric `suits` a loss, and its average does."""
        super().check_loss(loss)
        if self.average == "samples" and loss.link == "softmax":
            raise ValueError(f"metric {self.name!r} has the average 'samples', of several labels a row; got {loss!r}")

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add what counts right and wrong classes."""
        if loss.link == "sigmoid" and self._by_output:
            kept, arrays_of = _kept(program, loss, y_pred, y_true)
            return kept, lambda rows, *arrays: self.measure(loss, *arrays_of(*arrays), None)
        if loss.link == "sigmoid":
            counts = _result(program, "binary_confusion", y_pred, y_true, threshold=_cut(self.threshold, loss))

            def of_counts(rows, counts):
                (_, false_positives), (false_negatives, true_positives) = counts.sum(axis=0)
                tallies = true_positives, true_positives + false_positives, true_positives + false_negatives
                return float(self._score(tallies))

            return [counts], of_counts
        n = y_pred.shape[-1]
        cells = _cells(program, loss, y_pred, y_true)
        return [cells], lambda rows, cells: self._of(_tallies(cells // n, cells % n, n))

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> Any:
        """Return the score of arrays."""
        w, n = sample_weight, y_pred.shape[-1]
        if loss.link == "softmax":
            true = y_true if loss.takes_integers else y_true.argmax(axis=1)
            return self._of(_tallies(true, y_pred.argmax(axis=1), n, w))
        t, p = y_true > 0.5, y_pred > _cut(self.threshold, loss)
        if not self._by_output:
            weights = None if w is None else np.repeat(w, n)
            tallies = _tallies(t.reshape(-1).astype(int), p.reshape(-1).astype(int), 2, weights)
            return float(self._score(tuple(tally[1] for tally in tallies)))
        tallies = _indicators(t, p, self.average, self.labels, w)
        if self.average == "samples":
            return _mean(np.asarray(self._score(tallies)), w)
        return self._of(tallies, chosen=True)

    @property
    def _by_output(self) -> bool:
        return self.multi_label or self.average in (None, "samples")

    def _of(self, tallies: Tallies, chosen: bool = False) -> Any:
        """Return the score of the tallies of classes, of which `labels` are chosen here or were before."""
        if self.labels is not None and not chosen:
            tallies = tuple(tally[self.labels] for tally in tallies)
        if self.average is None:
            return np.asarray(self._score(tallies), np.float64)
        return _averaged(self._score, tallies, self.average)


def _class_numbers(labels: Sequence[int]) -> list[int]:
    given = _labels("labels", labels)
    if given.ndim != 1 or not given.size or given.dtype.kind not in "iu" or given.min() < 0:
        raise ValueError(f"labels is {labels!r}; it must be a list of numbers of classes, one at least")
    found: list[int] = given.tolist()
    return found


class Recall(Precision, names=("recall",)):
    """`recall_score` of the predicted classes: of the rows that have a class, the share that is given it.

    Parameters
    ----------
    threshold : float
    average : {"macro", "micro", "weighted", "samples", None}
    name : str, optional
    labels : list of int, optional
    multi_label : bool
        As for `Precision`.

    Examples
    --------
    >>> Recall()
    Recall(name='recall', threshold=0.5, average='macro', labels=None, multi_label=False)
    """

    def _score(self, tallies: Tallies) -> Any:
        return _recall(tallies)


class F1Score(Precision, names=("f1_score",)):
    """`f1_score` of the predicted classes: the harmonic mean of precision and recall.

    Parameters
    ----------
    threshold : float
    average : {"macro", "micro", "weighted", "samples", None}
    name : str, optional
    labels : list of int, optional
    multi_label : bool
        As for `Precision`.

    Examples
    --------
    >>> F1Score(average="micro")
    F1Score(name='f1_score', threshold=0.5, average='micro', labels=None, multi_label=False)
    """

    def _score(self, tallies: Tallies) -> Any:
        return _f1(tallies)


class FBetaScore(Precision, names=("fbeta_score",)):
    """`fbeta_score` of the predicted classes: recall counts beta times as much as precision.

    Parameters
    ----------
    beta : float
        Not negative.
    threshold : float
    average : {"macro", "micro", "weighted", "samples", None}
    name : str, optional
    labels : list of int, optional
    multi_label : bool
        As for `Precision`.

    Examples
    --------
    >>> FBetaScore(beta=2, average=None).scalar
    False
    """

    def __init__(
        self,
        beta: float = 1.0,
        threshold: float = 0.5,
        average: str | None = "macro",
        name: str | None = None,
        labels: Sequence[int] | None = None,
        multi_label: bool = False,
    ) -> None:
        super().__init__(threshold, average, name, labels, multi_label)
        self.beta = number("beta", beta, 0, math.inf)

    def _score(self, tallies: Tallies) -> Any:
        return _f_beta(self.beta)(tallies)


class ConfusionMatrix(Metric, names=("confusion_matrix",)):
    """How many rows of each class (a row of the matrix) are given each class (a column); only `evaluate` returns it.

    Parameters
    ----------
    threshold : float
        A probability, for a binary cross-entropy; see `Precision`.
    name : str, optional

    Examples
    --------
    >>> ConfusionMatrix()
    ConfusionMatrix(name='confusion_matrix', threshold=0.5)
    """

    scalar = False
    needs = "a cross-entropy loss"

    def __init__(self, threshold: float = 0.5, name: str | None = None) -> None:
        super().__init__(name)
        self.threshold = _threshold(threshold)

    def suits(self, loss: Loss) -> bool:
        """Return whether the loss is a cross-entropy."""
        return loss.link is not None

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the counts, or for classes the cell of each row."""
        if loss.link == "sigmoid":
            counts = _result(program, "binary_confusion", y_pred, y_true, threshold=_cut(self.threshold, loss))
            return [counts], lambda rows, counts: counts.sum(axis=0)
        n = y_pred.shape[-1]
        cells = _cells(program, loss, y_pred, y_true)
        return [cells], lambda rows, cells: np.bincount(cells, minlength=n * n).reshape(n, n)

    def measure(
        self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None
    ) -> np.ndarray:
        """Return the counts of arrays, or the sums of their weights."""
        if loss.link == "sigmoid":
            n, true, predicted = 2, y_true > 0.5, y_pred > _cut(self.threshold, loss)
            if sample_weight is not None:
                sample_weight = np.repeat(sample_weight, y_pred.shape[-1])
        else:
            n, true = y_pred.shape[-1], y_true if loss.takes_integers else y_true.argmax(axis=1)
            predicted = y_pred.argmax(axis=1)
        return np.bincount((n * true + predicted).reshape(-1), sample_weight, n * n).reshape(n, n)


class AUC(Metric, names=("auc",)):
    """`roc_auc_score` of the outputs: the area under the ROC curve, exact and not, as in Keras, of some thresholds.

    It needs a copy of all outputs and targets. In `fit` each row has the score that it had in its batch. Of several
    outputs of a binary cross-entropy, and of classes, it is averaged.

    Parameters
    ----------
    name : str, optional
    average : {"macro", "micro", "weighted", "samples", None}
        As for `roc_auc_score`; None is an array, which only `evaluate` returns. Of classes a mean is over those that
        occur and are not all there is, and there is no "samples".
    multi_class : {"ovr", "ovo"}
        After a categorical cross-entropy: each class against all others, or each against each other.

    Examples
    --------
    >>> AUC()
    AUC(name='auc', average='macro', multi_class='ovr')
    """

    needs = "a cross-entropy loss"

    def __init__(self, name: str | None = None, average: str | None = "macro", multi_class: str = "ovr") -> None:
        super().__init__(name)
        if average is not None:
            check_name("average", average, (*AVERAGES, "samples"))
        check_name("multi_class", multi_class, ("ovr", "ovo"))
        if multi_class == "ovo" and average not in ("macro", "weighted"):
            raise ValueError(f"average is {average!r}; for multi_class='ovo' it must be 'macro' or 'weighted'")
        self.average, self.multi_class = average, multi_class

    @property
    def scalar(self) -> bool:  # type: ignore[override]
        """Whether it is one number."""
        return self.average is not None

    def suits(self, loss: Loss) -> bool:
        """Return whether outputs are scores of classes."""
        return loss.link is not None and not (loss.link == "softmax" and self.average == "samples")

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add copies of outputs and targets."""
        kept, arrays_of = _kept(program, loss, y_pred, y_true)
        return kept, lambda rows, *arrays: self.measure(loss, *arrays_of(*arrays), None)

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> Any:
        """Return the area of arrays."""
        if loss.link == "sigmoid":
            return roc_auc_score(y_true > 0.5, y_pred, self.average, sample_weight=sample_weight)
        true = y_true if loss.takes_integers else y_true.argmax(axis=1)
        count = np.bincount(true, minlength=y_pred.shape[1])
        there = np.flatnonzero((count > 0) & (count < len(true)))
        if self.multi_class == "ovo":
            if sample_weight is not None:
                raise ValueError("multi_class is 'ovo' and rows weigh; it takes no weights")
            known = np.zeros(y_pred.shape[1], np.int64)
            known[there] = np.arange(len(there))
            return _of_each_two(known[true], y_pred[:, there], self.average) if len(there) else math.nan
        return _one_against_rest(_area, true, _ordered(y_pred), there, self.average, sample_weight)


def _one_against_rest(
    score: Callable[..., float],
    true: np.ndarray,
    scores: np.ndarray,
    there: np.ndarray,
    average: str | None,
    weights: np.ndarray | None,
) -> Any:
    """Return a score of each class against all others, of those that are there."""
    n = scores.shape[1]
    hot = (true[:, None] == np.arange(n)).astype(np.int64)
    if average == "micro":
        return _by_columns(score, hot, scores, average, weights)
    found = np.full(n, math.nan)
    if len(there):
        # of one column alone there is no array
        found[there] = [score(hot[:, k], np.ascontiguousarray(scores[:, k]), weights) for k in there]
    if average is None:
        return found
    share = hot.T @ (np.ones(len(true)) if weights is None else weights)
    return _mean_of_classes(found, share if average == "weighted" else None)


class AveragePrecision(Metric, names=("average_precision",)):
    """`average_precision_score` of the outputs: the area under the steps of the precision-recall curve.

    It needs a copy of all outputs and targets. Of several outputs of a binary cross-entropy, and of classes, it is
    averaged.

    Parameters
    ----------
    name : str, optional
    average : {"macro", "micro", "weighted", "samples", None}
        As for `average_precision_score`; None is an array, which only `evaluate` returns. Of classes a mean is over
        those that occur, and there is no "samples".

    Examples
    --------
    >>> AveragePrecision(average="micro")
    AveragePrecision(name='average_precision', average='micro')
    """

    needs = "a cross-entropy loss"

    def __init__(self, name: str | None = None, average: str | None = "macro") -> None:
        super().__init__(name)
        if average is not None:
            check_name("average", average, (*AVERAGES, "samples"))
        self.average = average

    @property
    def scalar(self) -> bool:  # type: ignore[override]
        """Whether it is one number."""
        return self.average is not None

    def suits(self, loss: Loss) -> bool:
        """Return whether outputs are scores of classes."""
        return loss.link is not None and not (loss.link == "softmax" and self.average == "samples")

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add copies of outputs and targets."""
        kept, arrays_of = _kept(program, loss, y_pred, y_true)
        return kept, lambda rows, *arrays: self.measure(loss, *arrays_of(*arrays), None)

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> Any:
        """Return the score of arrays."""
        if loss.link == "sigmoid":
            bits = (y_true > 0.5).astype(np.int64)
            return average_precision_score(bits, y_pred, self.average, sample_weight=sample_weight)
        true = y_true if loss.takes_integers else y_true.argmax(axis=1)
        there = np.unique(true)
        return _one_against_rest(_average_precision, true, y_pred, there, self.average, sample_weight)


class _Error(Metric):
    needs = "targets that are numbers, and outputs of their kind"

    def suits(self, loss: Loss) -> bool:
        """Return whether outputs are what targets are: no labels, no logits."""
        return loss.targets == "real" and not loss.from_logits

    #: The function of arrays.
    _of_pair: Callable[..., float]

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """Return the error of arrays."""
        return self._of_pair(y_true, y_pred, sample_weight)

    def _mean_of(self, program: Program, kernel: str, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add a sum of errors; what is made of it is their mean."""
        n = math.prod(y_pred.shape[1:])
        total = _result(program, kernel, y_pred, y_true, mean=0.0)
        return [total], lambda rows, total: math.fsum(total.tolist()) / (rows * n)


class MeanAbsoluteError(_Error, names=("mean_absolute_error", "mae")):
    """`mean_absolute_error`, ``abs(y_pred - y_true).mean()`` over all elements.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> MeanAbsoluteError()
    MeanAbsoluteError(name='mean_absolute_error')
    """

    _of_pair = staticmethod(mean_absolute_error)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of absolute errors."""
        return self._mean_of(program, "mean_absolute_error_forward", y_pred, y_true)


class MeanSquaredError(_Error, names=("mean_squared_error", "mse")):
    """`mean_squared_error`, ``((y_pred - y_true)**2).mean()`` over all elements.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> MeanSquaredError(name="mse")
    MeanSquaredError(name='mse')
    """

    _of_pair = staticmethod(mean_squared_error)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of squared errors."""
        return self._mean_of(program, "mean_squared_error_forward", y_pred, y_true)


class RootMeanSquaredError(MeanSquaredError, names=("root_mean_squared_error", "rmse")):
    """`root_mean_squared_error`, the square root of the mean squared error.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> RootMeanSquaredError()
    RootMeanSquaredError(name='root_mean_squared_error')
    """

    _of_pair = staticmethod(root_mean_squared_error)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of squared errors."""
        results, mean = super().emit(program, loss, y_pred, y_true)
        return results, lambda rows, total: math.sqrt(mean(rows, total))


class R2Score(_Error, names=("r2_score",)):
    """`r2_score`: the share of the targets' variance that is explained, the mean over outputs.

    It needs a copy of all targets: from sums of squares the variance of large targets would be lost in rounding.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> R2Score()
    R2Score(name='r2_score')
    """

    _of_pair = staticmethod(r2_score)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of squared errors of each output, and a copy of the targets."""
        elements, _ = program.call("mean_squared_error_forward", y_pred, y_true, mean=0.0, layer="metric")
        totals = _result(program, "bias_backward", elements)
        y = _result(program, "identity_forward", y_true)
        return [totals, y], lambda rows, totals, y: _explained(
            totals.astype(np.float64).sum(axis=0), kernels.column_errors(y, y)[1], len(y)
        )


class _ErrorOfLoss(_Error):
    """The mean of a loss over elements, with the options that it has by default."""

    _loss: type[Loss]

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of errors."""
        return self._mean_of(program, f"{self._loss.row_name}_forward", y_pred, y_true)

    def measure(self, loss: Loss, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None) -> float:
        """Return the error of arrays."""
        return _mean(self._loss(reduction="none")(y_true, y_pred), sample_weight)


class MeanAbsolutePercentageError(_ErrorOfLoss, names=("mean_absolute_percentage_error", "mape")):
    """The mean of ``100 * abs(y_pred - y_true) / max(abs(y_true), 1e-7)``: in percent, as the loss of that name.

    `mean_absolute_percentage_error`, the function, is scikit-learn's: a share.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> MeanAbsolutePercentageError(name="mape")
    MeanAbsolutePercentageError(name='mape')
    """

    _loss = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(_ErrorOfLoss, names=("mean_squared_logarithmic_error", "msle")):
    """The mean of ``(log(1 + y_pred) - log(1 + y_true))**2``, as the loss of that name.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> MeanSquaredLogarithmicError(name="msle")
    MeanSquaredLogarithmicError(name='msle')
    """

    _loss = losses.MeanSquaredLogarithmicError


class MeanLoss(Metric):
    """The mean of a loss: what `get` makes of a loss, or of the name of one that no metric has.

    Parameters
    ----------
    loss : Loss or str
        Of one output; it must take targets as the model's loss does. A cross-entropy takes logits where that does,
        unless it says.
    name : str, optional
        By default the loss's.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
    >>> model.compile("sgd", "mse", metrics=["huber", fastbp.losses.Huber(delta=2.0, reduction="sum"), "log_cosh"])
    Traceback (most recent call last):
    ValueError: metrics is ['huber', 'huber', 'log_cosh']; their names must be unique, and none may be 'loss'
    >>> model.compile("sgd", "mse", metrics=["huber", MeanLoss(fastbp.losses.Huber(delta=2.0), name="wide")])
    >>> model.metric_names
    ['huber', 'wide']
    """

    needs = "a loss with such targets and outputs"

    def __init__(self, loss: Loss | str | list[Any], name: str | None = None) -> None:
        made = losses.from_config(*loss) if isinstance(loss, list) else losses.get(loss)
        if made.outputs is not None or not made.of_samples:
            what = "it is of several outputs" if made.outputs is not None else "it is no sum over samples"
            raise ValueError(f"the metric is the loss {made!r}; {what}")
        if not made.counts_all:
            raise ValueError(f"the metric is the loss {made!r}; a metric counts all rows alike")
        super().__init__(name or (made.row.called if isinstance(made, losses.CustomLoss) else made.names[0]))
        self.loss = copy(made)
        # the mean is made of the sums of all batches
        self.loss.reduction = "sum"

    def _resolved(self, loss: Loss) -> Loss | None:
        """Return the loss for outputs and targets of another one, or None where it takes no such ones."""
        own, known = self.loss, ("real", "signs", "binary", "one_hot")
        if own.from_logits is None and loss.from_logits is not None:
            own = own.for_activation("softmax" if not loss.from_logits else None)
        fits = own.targets == loss.targets or (own.targets == "real" and loss.targets in known)
        fits |= loss.targets == "real" and (own.targets, loss.link) in (("one_hot", "softmax"), ("binary", "sigmoid"))
        # margins are of numbers on any scale
        scale = bool(own.from_logits) == bool(loss.from_logits) or (own.link is None and own.targets != "real")
        return own if fits and scale else None

    def suits(self, loss: Loss) -> bool:
        """Return whether the loss takes such outputs and targets."""
        return self._resolved(loss) is not None

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the loss."""
        return self._emitted(program, loss, y_pred, y_true, None)

    def emit_weighted(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer, weight: Buffer) -> Emitted:
        """Add the loss of rows that weigh."""
        return self._emitted(program, loss, y_pred, y_true, weight)

    def _emitted(
        self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer, weight: Buffer | None
    ) -> Emitted:
        own: Any = self._resolved(loss)
        n = math.prod(y_true.shape[1:]) if own.row.mean_over == "elements" else 1
        total, _ = own.emit(program, y_pred, y_true, weight)
        total.role = "result"
        if weight is None:
            return [total], lambda rows, total: math.fsum(total.tolist()) / (rows * n)
        weights = _result(program, "identity_forward", weight)

        def of_weighted(rows: int, total: np.ndarray, weights: np.ndarray) -> float:
            whole = math.fsum(weights.reshape(-1).tolist()) * n
            return math.fsum(total.tolist()) / whole if whole else math.nan

        return [total, weights], of_weighted

    def get_config(self) -> list[Any]:
        """Return its class and its arguments."""
        return [name_of(type(self)), {"name": self.name, "loss": [name_of(type(self.loss)), self.loss.get_config()]}]

    def _check_readable(self) -> None:
        super()._check_readable()
        self.loss._check_readable()


class Weighted(Metric):
    """A metric in which rows count as much as they weigh in the loss: by `sample_weight` and `class_weight`.

    ``compile(weighted_metrics=[...])`` makes them. A mean is over the sum of the weights, as in Keras. Where a call
    has no weights it is the metric itself. But for losses it keeps a copy of all outputs, targets and weights.

    Parameters
    ----------
    metric : Metric, Loss or str
    name : str, optional
        By default the metric's.

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
    >>> model.compile("sgd", "mse", metrics=["mae"], weighted_metrics=["mae", "r2_score"])
    >>> model.metric_names
    ['mae', 'weighted_mae', 'r2_score']
    """

    def __init__(self, metric: Any, name: str | None = None) -> None:
        self.metric = get(metric)
        super().__init__(name or self.metric.name)

    @property
    def scalar(self) -> bool:  # type: ignore[override]
        """Whether it is one number."""
        return self.metric.scalar

    def check_loss(self, loss: Loss) -> None:
        """Raise ValueError unless the metric `suits` a loss, and takes weights."""
        kind = type(self.metric)
        if kind.measure is Metric.measure and kind.emit_weighted is Metric.emit_weighted:
            raise ValueError(f"weighted metric {self.name!r} takes no weights; {kind.__name__} has no measure()")
        if isinstance(self.metric, AUC) and self.metric.multi_class == "ovo":
            raise ValueError(f"weighted metric {self.name!r} takes no weights, with multi_class='ovo'")
        self.metric.check_loss(loss)

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the metric without weights."""
        return self.metric.emit(program, loss, y_pred, y_true)

    def emit_weighted(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer, weight: Buffer) -> Emitted:
        """Add the metric of rows that weigh."""
        return self.metric.emit_weighted(program, loss, y_pred, y_true, weight)

    def get_config(self) -> list[Any]:
        """Return its class and its arguments."""
        return [name_of(type(self)), {"metric": self.metric.get_config(), "name": self.name}]

    def _check_readable(self) -> None:
        super()._check_readable()
        self.metric._check_readable()


def get(metric: Metric | Loss | str | list[Any]) -> Metric:
    """Return a metric from an object, from its name, or from `Metric.get_config`.

    A name is also the metric's in the history, as it is written: "acc" is the accuracy, which ``history["acc"]`` holds.
    A loss, or a name of one that no metric has, is a `MeanLoss`.

    Parameters
    ----------
    metric : Metric, Loss, str or list

    Returns
    -------
    Metric

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get("mae")
    MeanAbsoluteError(name='mae')
    """
    if isinstance(metric, losses.Loss):
        return MeanLoss(metric)
    try:
        found = make(Metric, metric)
    except ValueError:
        of = _loss_called(metric)
        if of is None:
            raise
        found = MeanLoss(of)
    if isinstance(metric, str):
        # the history's key is what the user wrote
        found.name = metric
    return found


def _loss_called(name: Any) -> Loss | None:
    """Return the loss of a name, or None where there is none."""
    try:
        return losses.get(name) if isinstance(name, str) else None
    except ValueError:
        return None


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
