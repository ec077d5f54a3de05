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


def drawn(u, count):
    """Return whole numbers 0 .. count - 1, each as likely, of numbers that are drawn in [0, 1): ``floor(u * count)``.

    Rounding never makes `count` of that. Of other numbers it is the nearest, of NaN 0.
    """
    count, u = max(int(count), 1), np.asarray(u)
    product = u * u.dtype.type(count)
    return np.where(product >= count, count - 1, np.where(product >= 0, product, 0)).astype(np.int64)


def moved(size, by, fill):
    """Return which elements those of an axis are of when it is moved on; -1 is none.

    Parameters
    ----------
    size, by : int
    fill : {0, 1, 2, 3}
        What comes in: none, the nearest, the reflected ones, those that go out; see `translate`.

    Returns
    -------
    ndarray of int, shape (size,)
    """
    at, fill = np.arange(size) - by, int(fill)
    if fill == 1:
        return np.clip(at, 0, size - 1)
    if fill == 2:
        at %= max(2 * size, 1)
        return np.where(at < size, at, 2 * size - 1 - at)
    return at % max(size, 1) if fill == 3 else np.where((at >= 0) & (at < size), at, -1)


def _whole(pair):
    return int(pair[0]), int(pair[1])


def patches(x, window, stride, padding, dilation=(1, 1)):
    """Return the cells of images that each position of a window covers, with zeros around the images.

    Parameters
    ----------
    x : ndarray, shape (batch, height, width, c)
    window, stride, dilation : (h, w)
    padding : ((top, bottom), (left, right))

    Returns
    -------
    ndarray, shape (batch, oh, ow, kh, kw, c)
    """
    kind, x = type(x), np.asarray(x)
    batch, height, width, c = x.shape
    (kh, kw), (sh, sw), (dh, dw) = _whole(window), _whole(stride), _whole(dilation)
    (top, bottom), (left, right) = _whole(padding[0]), _whole(padding[1])
    padded = np.zeros((batch, top + height + bottom, left + width + right, c), x.dtype)
    padded[:, top : top + height, left : left + width] = x
    oh = max(0, (padded.shape[1] - dh * (kh - 1) - 1) // sh + 1)
    ow = max(0, (padded.shape[2] - dw * (kw - 1) - 1) // sw + 1)
    found = np.empty((batch, oh, ow, kh, kw, c), x.dtype)
    for i in range(kh):
        for j in range(kw):
            found[:, :, :, i, j] = padded[:, i * dh :: sh, j * dw :: sw][:, :oh, :ow]
    return found.view(kind)


def convolved(x, w, stride, padding, dilation, groups):
    """Return the products of patches with filters; those of a group see its part of the channels.

    Parameters
    ----------
    x : ndarray, shape (batch, height, width, c)
    w : ndarray, shape (kh, kw, c / groups, o)
    stride, dilation : (h, w)
    padding : ((top, bottom), (left, right))
    groups : int

    Returns
    -------
    ndarray, shape (batch, oh, ow, o)
    """
    kh, kw, n, o = w.shape
    p = patches(x, (kh, kw), stride, padding, dilation)
    parts, m = [], o // int(groups)
    for g in range(int(groups)):
        a = np.copy(p[..., g * n : (g + 1) * n]).reshape(*p.shape[:3], kh * kw * n)
        parts.append(a @ np.copy(w[..., g * m : (g + 1) * m]).reshape(kh * kw * n, m))
    return np.concatenate(parts, axis=3)


def cells(shape, dtype, window, stride, padding):
    """Return how many cells of each window lie inside of images of a shape; shape (oh, ow, 1)."""
    inside = patches(np.ones((1, *shape[1:3], 1), dtype), window, stride, padding)
    return inside.sum(axis=(3, 4))[0]


def folded(columns, size, stride, before, dilation=(1, 1), windows_in_order=False):
    """Return images to whose cells the windows that cover them are added, the reverse of `patches`.

    Parameters
    ----------
    columns : ndarray, shape (batch, oh, ow, kh, kw, c)
    size : (height, width)
    stride, dilation : (h, w)
    before : (top, left)
    windows_in_order : bool
        Whether what a cell gets is added in the order of windows; else in that of the cells of a window, which is the
        other way round.

    Returns
    -------
    ndarray, shape (batch, height, width, c)
    """
    kind, columns = type(columns), np.asarray(columns)
    batch, oh, ow, kh, kw, c = columns.shape
    (height, width), (sh, sw), (top, left), (dh, dw) = map(_whole, (size, stride, before, dilation))
    rows = max(top + height, (oh - 1) * sh + (kh - 1) * dh + 1)
    across = max(left + width, (ow - 1) * sw + (kw - 1) * dw + 1)
    padded = np.zeros((batch, rows, across, c), columns.dtype)
    taps = [(i, j) for i in range(kh) for j in range(kw)]
    for i, j in reversed(taps) if windows_in_order else taps:
        covered = padded[:, i * dh :: sh, j * dw :: sw]
        covered[:, :oh, :ow] += columns[:, :, :, i, j]
    return padded[:, top : top + height, left : left + width].copy().view(kind)
