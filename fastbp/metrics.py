"""Metrics: what a program counts of every batch, and the same numbers of plain arrays.

``compile(metrics=[...])`` takes the classes, or their names, such as "accuracy". Each adds kernels to the program; what
these yield of every batch (counts, sums of errors) or of every row (a class, a score) becomes one number at the end of
an epoch, in float64. So `fit` runs an epoch without Python, and its metrics are, as its loss, of each batch before
that batch's update: `AUC`, too, ranks every row by the score that it had then. The metrics of ``evaluate`` and of
validation data are of one set of parameters. A row is one of the last axis: outputs (batch, t, n) are batch * t rows.

The functions have scikit-learn's names and take arrays of targets and predictions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from . import kernels
from .checks import as_array, as_numbers, check_name
from .frames import object_numbers
from .kernels.dtypes import REALS
from .kernels.table import KERNELS
from .naming import elsewhere
from .registry import Registered, make, name_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from numpy.typing import ArrayLike

    from .losses import Loss
    from .program import Buffer, Program

    Emitted = tuple[list[Buffer], Callable[..., Any]]

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "ConfusionMatrix",
    "F1Score",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "R2Score",
    "Recall",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "accuracy_score",
    "confusion_matrix",
    "f1_score",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "precision_score",
    "r2_score",
    "recall_score",
    "roc_auc_score",
    "root_mean_squared_error",
    "top_k_accuracy_score",
]

AVERAGES = ("macro", "micro", "weighted")
#: Labels of as many classes are counted before anybody looks how many there are.
_FEW = 16


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


def _tallied(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Return the confusion matrix of the classes that occur in either array."""
    t, p = _label_pair(y_true, y_pred)
    if t.ndim != 1:
        raise ValueError(f"y_true has shape {t.shape}; classes must be one label a row (one-hot: argmax(axis=1))")
    counts = _counted(t, p, _FEW)
    if counts is None and {t.dtype.kind, p.dtype.kind} <= set("iu"):
        n = int(max(t.max(), p.max())) + 1
        # a matrix that is not much larger than the labels
        counts = _counted(t, p, n) if 0 < n * n <= 4 * t.size else None
    if counts is None:
        found, numbers = np.unique(np.concatenate([t, p]), return_inverse=True)
        n = len(found)
        return np.bincount(n * numbers[: len(t)] + numbers[len(t) :], minlength=n * n).reshape(n, n)
    occur = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1))
    return counts[np.ix_(occur, occur)]


def _columns(y: np.ndarray) -> np.ndarray:
    """Return an array as a matrix: the last axis are the columns; one axis is one column."""
    return y.reshape(-1, y.shape[-1] if y.ndim > 1 else 1)


def _binary(name: str, y: np.ndarray) -> np.ndarray:
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name} holds {y[~np.isin(y, (0, 1))].tolist()[0]!r}; it must hold 0 and 1 only")
    return y.astype(bool)


def _tallies(true: np.ndarray, predicted: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each of n classes, how many rows are rightly given it, are given it, and have it."""
    true_positives = np.bincount(true[true == predicted], minlength=n)
    return true_positives, np.bincount(predicted, minlength=n), np.bincount(true, minlength=n)


def _precision(true_positives: Any, n_predicted: Any, n_true: Any) -> Any:
    return true_positives / np.maximum(n_predicted, 1)


def _recall(true_positives: Any, n_predicted: Any, n_true: Any) -> Any:
    return true_positives / np.maximum(n_true, 1)


def _f1(true_positives: Any, n_predicted: Any, n_true: Any) -> Any:
    return 2 * true_positives / np.maximum(n_predicted + n_true, 1)


def _averaged(score: Callable[..., Any], tallies: tuple[np.ndarray, np.ndarray, np.ndarray], average: str) -> float:
    true_positives, n_predicted, n_true = tallies
    if average == "micro":
        return float(score(true_positives.sum(), n_predicted.sum(), n_true.sum()))
    # a class that neither occurs nor is predicted is ignored
    weights = n_true if average == "weighted" else (n_predicted + n_true > 0).astype(np.int64)
    return math.fsum((score(true_positives, n_predicted, n_true) * weights).tolist()) / int(weights.sum())


def _score_of(score: Callable[..., Any], y_true: ArrayLike, y_pred: ArrayLike, average: str) -> float:
    check_name("average", average, ("binary", *AVERAGES))
    if average != "binary":
        matrix = _tallied(y_true, y_pred)
        return _averaged(score, (matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)), average)
    t, p = _label_pair(y_true, y_pred)
    counts = _counted(t, p, 2)
    if counts is None:
        t, p = (_binary(f"average is 'binary' and {name}", y) for name, y in (("y_true", t), ("y_pred", p)))
        counts = np.bincount((2 * t + p).reshape(-1), minlength=4).reshape(2, 2)
    (_, false_positives), (false_negatives, true_positives) = counts.tolist()
    return float(score(true_positives, true_positives + false_positives, true_positives + false_negatives))


def accuracy_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of elements that are equal, ``(y_true == y_pred).mean()``.

    Parameters
    ----------
    y_true, y_pred : array_like
        Labels, whole numbers or text, of one shape.

    Returns
    -------
    float

    Examples
    --------
    >>> accuracy_score([0, 1, 2, 2], [0, 2, 2, 2])
    0.75
    """
    t, p = _label_pair(y_true, y_pred)
    return float(np.count_nonzero(t == p) / t.size)


def top_k_accuracy_score(y_true: ArrayLike, y_score: ArrayLike, k: int) -> float:
    """Return the share of rows whose label's score is among their k largest.

    Parameters
    ----------
    y_true : array_like, shape (rows,)
        Labels in 0 .. n - 1; of any shape, with an axis less than `y_score`.
    y_score : array_like, shape (rows, n)
        Of equal scores the first comes first, as in argmax; scikit-learn takes the last first.
    k : int

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
    return float(kernels.sparse_top_k_categorical_accuracy(rows, labels, k=float(min(_k(k), n))) / t.size)


def precision_score(y_true: ArrayLike, y_pred: ArrayLike, average: str = "binary") -> float:
    """Return the precision: of the rows that are given a class, the share that has it; 0 if there are none.

    Parameters
    ----------
    y_true, y_pred : array_like
        Labels (rows,), for "binary" 0 and 1 of any shape.
    average : {"binary", "macro", "micro", "weighted"}
        "binary": of class 1. "macro": the mean over the classes that occur in either array. "micro": of all classes
        together, which is the accuracy. "weighted": the mean over the rows' true classes.

    Returns
    -------
    float

    Examples
    --------
    >>> precision_score([0, 1, 1, 1], [1, 1, 1, 0]), precision_score([0, 1, 2], [0, 2, 2], average="macro")
    (0.6666666666666666, 0.5)
    """
    return _score_of(_precision, y_true, y_pred, average)


def recall_score(y_true: ArrayLike, y_pred: ArrayLike, average: str = "binary") -> float:
    """Return the recall: of the rows that have a class, the share that is given it; 0 if there are none.

    Parameters
    ----------
    y_true, y_pred : array_like
    average : {"binary", "macro", "micro", "weighted"}
        As for `precision_score`.

    Returns
    -------
    float

    Examples
    --------
    >>> recall_score([0, 1, 1, 1, 1], [1, 1, 1, 0, 1])
    0.75
    """
    return _score_of(_recall, y_true, y_pred, average)


def f1_score(y_true: ArrayLike, y_pred: ArrayLike, average: str = "binary") -> float:
    """Return the harmonic mean of precision and recall, ``2 * tp / (2 * tp + fp + fn)``; 0 if there is nothing.

    Parameters
    ----------
    y_true, y_pred : array_like
    average : {"binary", "macro", "micro", "weighted"}
        As for `precision_score`.

    Returns
    -------
    float

    Examples
    --------
    >>> f1_score([0, 1, 1], [1, 1, 0])
    0.5
    """
    return _score_of(_f1, y_true, y_pred, average)


def roc_auc_score(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the area under the ROC curve: how often a row of class 1 has a higher score than one of class 0 [1]_.

    Equal scores count half. Of two columns or more, which are the last axis, it is the mean of theirs. NaN where there
    is one class only, or a score is NaN.

    Parameters
    ----------
    y_true : array_like, shape (rows,) or (rows, n)
        0 and 1.
    y_score : array_like
        Likewise, any numbers.

    Returns
    -------
    float

    References
    ----------
    .. [1] Hanley & McNeil 1982, Radiology 143

    Examples
    --------
    >>> roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    t, scores = _pair("y_true", as_numbers("y_true", y_true), "y_score", as_numbers("y_score", y_score))
    t, scores = _columns(t), _columns(_ordered(scores))
    found = [_area(t[:, j], scores[:, j]) for j in range(t.shape[1])]
    return math.fsum(found) / len(found)


def _ordered(scores: np.ndarray) -> np.ndarray:
    """Return scores in a type of the kernels' and in the same order."""
    if scores.dtype.name in REALS or scores.dtype.itemsize < 8:
        return _real(scores)
    # whole numbers of 64 bits, or longer ones: which of all it is
    return np.unique(scores, return_inverse=True)[1].reshape(scores.shape).astype(np.float64)


def _area(labels: np.ndarray, scores: np.ndarray) -> float:
    if labels.dtype.kind not in "biu":
        labels = _binary("y_true", labels)
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


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike) -> np.ndarray:
    """Return how many rows of each class (a row of the matrix) are given each class (a column).

    Parameters
    ----------
    y_true, y_pred : array_like, shape (rows,)
        Labels. The classes are those that occur in either, in order.

    Returns
    -------
    ndarray of int64, shape (n, n)

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 0, 1])
    array([[1, 0],
           [1, 1]])
    """
    return _tallied(y_true, y_pred)


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return ``abs(y_true - y_pred).mean()`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like

    Returns
    -------
    float

    Examples
    --------
    >>> mean_absolute_error([1, 2], [1, 4])
    1.0
    """
    t, p = _number_pair(y_true, y_pred)
    return float(kernels.error_sums(t, p)[0] / t.size)


def mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return ``((y_true - y_pred)**2).mean()`` over all elements, in float64.

    Parameters
    ----------
    y_true, y_pred : array_like

    Returns
    -------
    float

    Examples
    --------
    >>> mean_squared_error([1, 2], [1, 4])
    2.0
    """
    t, p = _number_pair(y_true, y_pred)
    return float(kernels.error_sums(t, p)[1] / t.size)


def root_mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the square root of `mean_squared_error`; of several columns scikit-learn averages the roots.

    Parameters
    ----------
    y_true, y_pred : array_like

    Returns
    -------
    float

    Examples
    --------
    >>> root_mean_squared_error([1, 2], [1, 4])
    1.4142135623730951
    """
    return math.sqrt(mean_squared_error(y_true, y_pred))


def r2_score(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of the variance that is explained, ``1 - sum((y - p)**2) / sum((y - mean(y))**2)``.

    Of two columns or more, which are the last axis, it is the mean of theirs. Where y is constant it is 1 for exact
    predictions, else 0; of a single row, or where a number is NaN, it is NaN.

    Parameters
    ----------
    y_true, y_pred : array_like, shape (rows,) or (rows, n)

    Returns
    -------
    float

    Examples
    --------
    >>> r2_score([1, 2, 3], [1, 2, 4])
    0.5
    """
    t, p = map(_columns, _number_pair(y_true, y_pred))
    error, spread, _ = kernels.column_errors(t, p)
    return _explained(error, spread, len(t))


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


class _Hits(Metric):
    """The share of hits among what is counted."""

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
        kinds = (SparseCategoricalAccuracy(), CategoricalAccuracy(), BinaryAccuracy())
        return next(kind for kind in kinds if kind.suits(loss)).emit(program, loss, y_pred, y_true)


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

    After a binary cross-entropy an output above the threshold is class 1, and all outputs are counted together; after a
    categorical one a row's class is its largest output.

    Parameters
    ----------
    threshold : float
        A probability, for a binary cross-entropy; see `BinaryAccuracy`.
    average : {"macro", "micro", "weighted"}
        Over classes, for a categorical cross-entropy; see `precision_score`.
    name : str, optional

    Examples
    --------
    >>> Precision(threshold=0.25)
    Precision(name='precision', threshold=0.25, average='macro')
    """

    needs = "a cross-entropy loss"
    _score: Callable[..., Any] = staticmethod(_precision)

    def __init__(self, threshold: float = 0.5, average: str = "macro", name: str | None = None) -> None:
        super().__init__(name)
        check_name("average", average, AVERAGES)
        self.threshold, self.average = _threshold(threshold), average

    def suits(self, loss: Loss) -> bool:
        """Return whether the loss is a cross-entropy."""
        return loss.link is not None

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add what counts right and wrong classes."""
        score, average = self._score, self.average
        if loss.link == "sigmoid":
            counts = _result(program, "binary_confusion", y_pred, y_true, threshold=_cut(self.threshold, loss))

            def of_counts(rows, counts):
                (_, false_positives), (false_negatives, true_positives) = counts.sum(axis=0)
                return float(score(true_positives, true_positives + false_positives, true_positives + false_negatives))

            return [counts], of_counts
        n = y_pred.shape[-1]
        cells = _cells(program, loss, y_pred, y_true)
        return [cells], lambda rows, cells: _averaged(score, _tallies(cells // n, cells % n, n), average)


class Recall(Precision, names=("recall",)):
    """`recall_score` of the predicted classes: of the rows that have a class, the share that is given it.

    Parameters
    ----------
    threshold : float
    average : {"macro", "micro", "weighted"}
    name : str, optional
        As for `Precision`.

    Examples
    --------
    >>> Recall()
    Recall(name='recall', threshold=0.5, average='macro')
    """

    _score = staticmethod(_recall)


class F1Score(Precision, names=("f1_score",)):
    """`f1_score` of the predicted classes: the harmonic mean of precision and recall.

    Parameters
    ----------
    threshold : float
    average : {"macro", "micro", "weighted"}
    name : str, optional
        As for `Precision`.

    Examples
    --------
    >>> F1Score(average="micro")
    F1Score(name='f1_score', threshold=0.5, average='micro')
    """

    _score = staticmethod(_f1)


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


class AUC(Metric, names=("auc",)):
    """`roc_auc_score` of the outputs: the area under the ROC curve, exact and not, as in Keras, of some thresholds.

    It needs a copy of all outputs and targets. In `fit` each row has the score that it had in its batch.

    Parameters
    ----------
    name : str, optional

    Examples
    --------
    >>> AUC()
    AUC(name='auc')
    """

    needs = "the binary cross-entropy"

    def suits(self, loss: Loss) -> bool:
        """Return whether outputs are scores of class 1."""
        return loss.link == "sigmoid"

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add copies of outputs and targets."""
        kept = [_result(program, "identity_forward", buffer) for buffer in (y_true, y_pred)]
        return kept, lambda rows, y_true, y_pred: roc_auc_score(y_true > 0.5, y_pred)


class _Error(Metric):
    needs = "targets that are numbers, and outputs of their kind"

    def suits(self, loss: Loss) -> bool:
        """Return whether outputs are what targets are: no labels, no logits."""
        return loss.targets == "real" and not loss.from_logits


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

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of absolute errors."""
        n = math.prod(y_pred.shape[1:])
        total = _result(program, "mean_absolute_error_forward", y_pred, y_true, mean=0.0)
        return [total], lambda rows, total: math.fsum(total.tolist()) / (rows * n)


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

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of squared errors."""
        n = math.prod(y_pred.shape[1:])
        total = _result(program, "mean_squared_error_forward", y_pred, y_true, mean=0.0)
        return [total], lambda rows, total: math.fsum(total.tolist()) / (rows * n)


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

    def emit(self, program: Program, loss: Loss, y_pred: Buffer, y_true: Buffer) -> Emitted:
        """Add the sum of squared errors of each output, and a copy of the targets."""
        elements, _ = program.call("mean_squared_error_forward", y_pred, y_true, mean=0.0, layer="metric")
        totals = _result(program, "bias_backward", elements)
        y = _result(program, "identity_forward", y_true)
        return [totals, y], lambda rows, totals, y: _explained(
            totals.astype(np.float64).sum(axis=0), kernels.column_errors(y, y)[1], len(y)
        )


def get(metric: Metric | str | list[Any]) -> Metric:
    """Return a metric from an object, from its name, or from `Metric.get_config`.

    A name is also the metric's in the history, as it is written: "acc" is the accuracy, which ``history["acc"]`` holds.

    Parameters
    ----------
    metric : Metric, str or list

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
    found = make(Metric, metric)
    if isinstance(metric, str):
        # the history's key is what the user wrote
        found.name = metric
    return found


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
