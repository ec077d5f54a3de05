"""Which rows are apart: for the test and for the folds, the same on every machine."""

import numpy as np

from ..checks import integer, number
from ..datasets import row_keys, train_test_split

__all__ = ["divide", "folds"]


def _groups(values):
    """Return the number of each row's group, in the order in which groups first occur; a missing value is one each."""
    numbers: dict[object, int] = {}
    named = ((k,) if value is None or value != value else value for k, value in enumerate(values))
    return np.array([numbers.setdefault(name, len(numbers)) for name in named], np.int64)


def _named_groups(groups, option):
    groups = _groups(groups)
    if not groups.any():
        raise ValueError(f"{option}: all rows have one value in that column; there is nothing to divide")
    return groups


def divide(rows, labels, test_size, seed, groups=None, last=False):
    """Return the places of the rows to train on and of those to test on.

    Parameters
    ----------
    rows : int
    labels : array_like, shape (rows,) or None
        Of classes, which are then in both parts in the same proportions.
    test_size : float
    seed : int
    groups : sequence or None
        A value for each row: rows of one value are in one part.
    last : bool
        Whether the test rows are the last ones.

    Returns
    -------
    train, test : ndarray of int64
    """
    if groups is not None:
        share, groups = number("test_size", test_size, 0, 1, closed_low=False), _named_groups(groups, "--split-by")
        counts = np.bincount(groups)
        order = np.argsort(row_keys(len(counts), seed), kind="stable")
        # whole groups until there are enough rows, but never all of them
        enough = int(np.searchsorted(np.cumsum(counts[order]), share * rows)) + 1
        test = np.isin(groups, order[: min(enough, len(counts) - 1)])
        return np.flatnonzero(~test), np.flatnonzero(test)
    places = np.arange(rows)
    if last:
        share = number("test_size", test_size, 0, 1, closed_low=False)
        n = min(max(1, int(rows * share + 0.5)), rows - 1)
        if rows < 2:
            raise ValueError(f"there are {rows} rows; there is nothing to divide")
        return places[: rows - n], places[rows - n :]
    stratify = labels is not None
    train, test, _, _ = train_test_split(places, labels if stratify else places, test_size, seed, stratify=stratify)
    return train, test


def folds(rows, labels, n, seed, groups=None, last=False):
    """Yield the places of the rows to train on and of those to test on, for each of n folds.

    Parameters
    ----------
    rows : int
    labels : array_like, shape (rows,) or None
        Of classes, of which each fold has its share; a single row of a class is in no test.
    n : int
    seed : int
    groups : sequence or None
        A value for each row: rows of one value are in one fold.
    last : bool
        Whether rows are in the order of time: a fold is tested on what follows the rows it is trained on.

    Yields
    ------
    train, test : ndarray of int64
    """
    integer("folds", n, 2)
    places = np.arange(rows)
    if last:
        parts = np.array_split(places, n + 1)
        if not all(map(len, parts)):
            raise ValueError(f"folds is {n}; of {rows} rows in the order of time there are at most {rows - 1}")
        for k in range(1, n + 1):
            yield np.concatenate(parts[:k]), parts[k]
        return
    if groups is not None:
        groups = _named_groups(groups, "--split-by")
        counts, fold_of = np.bincount(groups), {}
        sizes = np.zeros(n, np.int64)
        for group in np.argsort(row_keys(len(counts), seed), kind="stable"):
            fold_of[group] = k = int(sizes.argmin())
            sizes[k] += counts[group]
        fold = np.array([fold_of[group] for group in groups])
    else:
        classes = _groups(labels) if labels is not None else np.zeros(rows, np.int64)
        order = np.lexsort((row_keys(rows, seed), classes))
        fold = np.empty(rows, np.int64)
        fold[order] = places % n
        if labels is not None:
            fold[np.bincount(classes)[classes] == 1] = -1
    if len(np.unique(fold[fold >= 0])) < n:
        what = "rows" if groups is None else "groups of rows"
        raise ValueError(f"folds is {n}; there are {rows if groups is None else len(counts)} {what}")
    for k in range(n):
        yield places[fold != k], places[fold == k]
