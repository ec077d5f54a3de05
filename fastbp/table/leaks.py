"""Columns that determine the target: what is known only afterwards, and makes a score too good to be true."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .columns import gaps_of, moments, scaled

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["leaks_of"]

#: With fewer rows chance may do it.
_ROWS = 20
#: Of classes a column of so many values may be a threshold's honest side; of fewer it is another name for them.
_VALUES = 10
#: The share of a target's variance that a sum of columns may leave unexplained, for rounding.
_ROUNDING = 1e-9
#: Multiply-adds that looking for such a sum may take.
_WORK = 10**9
#: Rows that are looked at before all are: what does not hold for them does not hold.
_FIRST = 2000


def leaks_of(columns: Mapping[str, tuple[str, np.ndarray]], y: np.ndarray) -> list[str]:
    """Return a sentence for each column, or sum of columns, that determines the target.

    A column does if its values come back and each has one target, or if the target is a straight line over it; several
    columns do if the target is a sum of multiples of them.

    Parameters
    ----------
    columns : dict of str to (str, ndarray)
        Kind and values of each, as from `columns.values_of`.
    y : ndarray
        Numbers of classes, int64, shape (rows,), or numbers (rows, n).

    Returns
    -------
    list of str
    """
    if len(y) < _ROWS or (y.ndim == 2 and y.shape[1] != 1):
        return []
    target = y.reshape(len(y))
    classes = len(np.unique(target)) if target.dtype.kind == "i" else None
    found = [name for name, (_, values) in columns.items() if _determines(values, target, classes)]
    said = [f"column {name!r} determines the target in every row" for name in found]
    if classes is None and not found:
        together = _sum_of(columns, target)
        if together:
            names = " and ".join(map(repr, together))
            one = len(together) == 1
            said = [f"column{'s' * (not one)} {names} determine{'s' * one} the target in every row"]
    return said


def _maps(values: np.ndarray, target: np.ndarray) -> dict[object, object] | None:
    """Return the target of each value that there is, or None if one has several."""
    there = ~gaps_of(values)
    found: dict[object, object] = {}
    for value, one in zip(values[there].tolist(), target[there].tolist(), strict=True):
        if found.setdefault(value, one) != one:
            return None
    return found


def _determines(values: np.ndarray, target: np.ndarray, classes: int | None) -> bool:
    rows = len(values) - int(gaps_of(values).sum())
    most = rows // 2 if classes is None else min(rows // 2, max(_VALUES, 2 * classes))
    found: dict[object, object] = {}
    for some in dict.fromkeys((min(len(values), _FIRST), len(values))):
        known = _maps(values[:some], target[:some])
        if known is None or len(known) > most or rows < _ROWS:
            return False
        if values.dtype.kind == "f" and some < len(values) and len(np.unique(values)) > most:
            return False
        found = known
    return len(set(found.values())) > 1


def _sum_of(columns: Mapping[str, tuple[str, np.ndarray]], target: np.ndarray) -> list[str]:
    """Return the columns of numbers of which the target is a sum of multiples."""
    names = [name for name, (kind, values) in columns.items() if kind == "number" and not np.isnan(values).any()]
    if not names or len(target) <= 2 * len(names) or len(target) * len(names) ** 2 > _WORK:
        return []
    weights: np.ndarray = np.empty(0)
    for rows in dict.fromkeys((min(len(target), max(_FIRST, 4 * len(names))), len(target))):
        matrix = np.stack([_standardised(columns[name][1][:rows]) for name in names], axis=1)
        line = _standardised(target[:rows])
        try:
            weights, *_ = np.linalg.lstsq(matrix, line, rcond=None)
        except np.linalg.LinAlgError:
            return []
        rest = line - matrix @ weights
        if not line.any() or (rest * rest).sum() > _ROUNDING * (line * line).sum():
            return []
    return [name for name, weight in zip(names, weights, strict=True) if abs(weight) > _ROUNDING**0.5]


def _standardised(values: np.ndarray) -> np.ndarray:
    return scaled(values, *moments(values)[:2])
