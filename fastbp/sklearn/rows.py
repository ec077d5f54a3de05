"""What estimators make of features, labels and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from ..checks import weights_of
from ..kernels import draws
from ..kernels.caller import warn
from ..training import BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ..losses import Loss

__all__ = ["Labels", "SparseBatches", "is_sparse", "outputs_of", "sample_weights", "say_sparse", "strata", "taken_by"]

_BYTES = 1 << 22  # of dense rows that are made of sparse ones at a time


def is_sparse(X: Any) -> bool:
    """Whether features are a sparse matrix or array of SciPy."""
    return hasattr(X, "toarray")


def say_sparse() -> None:
    """Warn that sparse features become dense; once for each line of the user's, as Python has it."""
    warn("X is sparse: fastbp computes with dense rows, which are made of a block of it at a time")


def _rows_at_once(X: Any, multiple: int) -> int:
    """Return how many rows are made dense at a time, a multiple of some number."""
    return multiple * max(_BYTES // (multiple * X.shape[1] * X.dtype.itemsize), 1)


class SparseBatches:
    """The batches of one epoch after another of sparse features: those that `Model.fit` takes of the dense ones.

    Parameters
    ----------
    X : sparse matrix, CSR
    y : ndarray
    weight : ndarray or None
    batch : int
    seed : int or None
        Of the shuffles; None takes the rows in their order.
    numerics : {"numpy", "portable"}
    """

    def __init__(self, X: Any, y: np.ndarray, weight: np.ndarray | None, batch: int, seed: int | None, numerics: str):
        self.X, self.y, self.weight, self.batch = X, y, weight, batch
        self.order: Callable[[int], np.ndarray] = np.arange if seed is None else draws.permuting(seed, numerics)

    def __len__(self) -> int:
        return int(-(-self.X.shape[0] // self.batch))

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        order, block = self.order(self.X.shape[0]), _rows_at_once(self.X, self.batch)
        for first in range(0, len(order), block):
            rows = order[first : first + block]
            dense = self.X[rows].toarray()
            given = [dense, self.y[rows]] if self.weight is None else [dense, self.y[rows], self.weight[rows]]
            for start in range(0, len(rows), self.batch):
                yield tuple([array[start : start + self.batch] for array in given])


def outputs_of(model: Any, X: Any) -> np.ndarray:
    """Return the outputs of a model for features that may be sparse."""
    if not is_sparse(X):
        outputs: np.ndarray = model.predict(X)
        return outputs
    block = _rows_at_once(X, BLOCK)
    parts = [model.predict(X[start : start + block].toarray()) for start in range(0, X.shape[0], block)]
    return np.concatenate(parts)


def sample_weights(sample_weight: Any, class_weight: Any, y: np.ndarray, rows: int) -> np.ndarray | None:
    """Return the product of both weights of each row, or None where there are none."""
    weight = None if sample_weight is None else weights_of("sample_weight", sample_weight, (rows,))
    if weight is not None and not weight.any():
        raise ValueError("sample_weight is zero for all rows; one weight at least must be positive")
    if class_weight is None:
        return weight
    from sklearn.utils.class_weight import compute_sample_weight

    of_classes: np.ndarray = compute_sample_weight(class_weight, y)
    return of_classes if weight is None else weight * of_classes


def taken_by(loss: Loss) -> str | None:
    """Return what a loss takes for classes: "labels", "one_hot" rows, "signs" or "bits"; None where it takes none."""
    if loss.targets in ("labels", "one_hot", "signs"):
        return loss.targets
    return {"softmax": "one_hot", "sigmoid": "bits"}.get(loss.link or "")


def strata(labels: Labels, y: np.ndarray, rows: int) -> np.ndarray | None:
    """Return what is stratified by: the classes, where each is there twice and the smaller part has `rows` for all."""
    if labels.several:
        return None
    found = y if y.ndim == 1 else y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0).astype(np.int64)
    counts = np.unique(found, return_counts=True)[1]
    return found if counts.min() > 1 and len(counts) <= rows else None


class Labels(NamedTuple):
    """What the labels of a classifier are.

    Attributes
    ----------
    classes : ndarray
        Sorted; of several labels a row the numbers of the columns.
    several : bool
        Whether each row has a 0 or 1 for each of them.
    """

    classes: np.ndarray
    several: bool

    @classmethod
    def of(cls, y: Any, known: Any = None) -> Labels:
        """Return those of targets, or of all classes if these are known."""
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            several = "several labels a row are 0 and 1, and of several classes a row each wants an estimator"
            raise ValueError(f"y has shape {y.shape} and more than 0 and 1; {several} (MultiOutputClassifier)")
        if kind.startswith("multilabel"):
            return cls(np.arange(y.shape[1]), True)
        return cls(np.unique(np.asarray(y if known is None else known)), False)

    def outputs(self, loss: Loss) -> int:
        """Return how many outputs a loss wants: one for two classes where it takes a yes or no for each output."""
        n, takes = len(self.classes), taken_by(loss)
        if takes is None:
            raise ValueError(f"loss is {loss!r}, which takes no classes; it must be a cross-entropy or a hinge loss")
        if takes in ("labels", "one_hot"):
            if self.several:
                raise ValueError(f"loss is {loss!r}, and y has several labels a row; it must be a loss of yes and no")
            return max(n, 2)
        if n > 2 and not self.several:
            raise ValueError(f"loss is {loss!r}, which is for two classes, and y has {n}")
        return n if self.several else 1

    def encoded(self, y: Any, loss: Loss, dtype: Any) -> np.ndarray:
        """Return targets as a loss takes them."""
        takes = taken_by(loss)
        if self.several:
            wide = np.asarray(y.toarray() if hasattr(y, "toarray") else y) != 0
        else:
            at = np.searchsorted(self.classes, y)
            if takes == "labels":
                return at.astype(np.int64)
            wide = at[:, None] == np.arange(max(len(self.classes), 2)) if takes == "one_hot" else at[:, None] != 0
        found: np.ndarray = wide.astype(dtype)
        return 2 * found - 1 if takes == "signs" else found

    def decoded(self, y: np.ndarray) -> np.ndarray:
        """Return the labels that targets were made of."""
        if self.several:
            return (y > 0).astype(np.int64)
        at = y if y.ndim == 1 else y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0).astype(np.int64)
        return self.classes[at]

    def predicted(self, outputs: np.ndarray, loss: Loss) -> np.ndarray:
        """Return the classes that outputs stand for."""
        if outputs.shape[1] > 1 and not self.several:
            return self.classes[np.minimum(outputs.argmax(axis=1), len(self.classes) - 1)]
        yes = outputs > (0 if loss.from_logits or loss.link is None else 0.5)
        if self.several:
            return yes.astype(np.int64)
        return self.classes[np.minimum(yes[:, 0], len(self.classes) - 1)]

    def probabilities(self, outputs: np.ndarray, model: Any) -> np.ndarray:
        """Return a column for each class."""
        found: np.ndarray = model.loss_function.probabilities(outputs, model.backend, model.numerics)
        if len(self.classes) == 1 and not self.several:
            return np.ones((len(found), 1), found.dtype)
        return found
