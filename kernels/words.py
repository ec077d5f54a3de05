"""What a definition of the table may name besides NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .operations import ELEMENTARY
from .pcg64 import pcg64, pcg64_state  # noqa: F401

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .operations import Elementary

    def __getattr__(name: str) -> Any: ...

def _not_numpys(function: Elementary) -> Callable[[np.ndarray], np.ndarray]:
    """Return an elementary function that NumPy lacks: its formula, or on portable arrays the portable one."""
    composed = eval(f"lambda x: {function.formula}", {"np": np}) if function.formula else None

    def of(x):
        if hasattr(x, "elementary"):
            return x.elementary(function.name)
        if composed:
            return composed(x)
        from .portable import elementary

        return getattr(elementary, function.name)(x)

    of.__name__ = of.__qualname__ = function.name
    return of


# sigmoid, softplus ...: a definition names them
globals().update({function.name: _not_numpys(function) for function in ELEMENTARY if not function.ufunc})


def clip(x, low, high):
    # numpy.clip by another name: which zero it makes of -0 at a bound of 0 depends on NumPy's version
    return np.minimum(np.maximum(x, low), high)


def below_one(x, eps):
    """Return 1 - eps, or the number of the type of x below 1 where that is smaller."""
    one = x.dtype.type(1)
    return min(x.dtype.type(1 - eps), np.nextafter(one, one - one))


def polynomial(x, coefficients):
    """Return ``c[0] + c[1] * x + ...`` in Horner's form."""
    y = coefficients[-1]
    for c in coefficients[-2::-1]:
        y = y * x + c
    return y


def sum_in_order(x, axis=None):
    """Return a sum in the order that portable numerics gives it, in both."""
    from .portable.array import sum_

    return sum_(np.asarray(x), axis)


def semi_hard(pairwise, y_true, margin):
    """Return the hinge of each pair (anchor, positive), how often each pair is one less a negative one, and a count.

    The row `triplet_semi_hard` says which negative an anchor and a positive have.
    """
    # comparisons and single operations, which are exact: plain arrays will do
    kind, pairwise, y_true = type(pairwise), np.asarray(pairwise), np.asarray(y_true)
    other = y_true[:, None] != y_true
    farthest = np.where(other, pairwise, -1).argmax(axis=1)
    key = np.where(np.isnan(pairwise), -1, pairwise)
    elements, weights, count = np.zeros_like(pairwise), np.zeros_like(pairwise), 0
    for a in np.flatnonzero(other.any(axis=1)):
        distances = pairwise[a]
        positives, order = np.flatnonzero(~other[a]), np.flatnonzero(other[a])
        positives = positives[positives != a]
        order = order[key[a, order].argsort(kind="stable")]
        fits = ~(distances[order] <= distances[positives, None])
        negatives = np.where(fits.any(axis=1), order[fits.argmax(axis=1)], farthest[a])
        elements[a, positives] = np.maximum(distances[positives] - distances[negatives] + margin, 0)
        active = elements[a, positives] > 0
        weights[a, positives[active]] = 1
        np.subtract.at(weights[a], negatives[active], 1)
        count += len(positives)
    return elements.view(kind), weights.view(kind), count
