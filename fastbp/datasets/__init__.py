"""Data sets that ship inside the package, and a split that is the same on every machine."""

import numpy as np

from ..checks import as_array, integer, number

__all__ = ["load_digits", "train_test_split"]


def load_digits(split=False):
    """Return the 1,797 handwritten digits of the UCI Machine Learning Repository.

    Parameters
    ----------
    split : bool, default False
        Whether to divide the digits by `train_test_split` with its defaults, and to return
        ``x_train, x_test, y_train, y_test`` of 1438 and 359 rows.

    Returns
    -------
    x : ndarray of float32, shape (1797, 64)
        Images of 8 x 8 pixels, row by row, from 0 (paper) to 1 (ink) in steps of 1/16.
    y : ndarray of int64, shape (1797,)
        The digit, 0 to 9.

    Notes
    -----
    E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning
    Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0; see ``digits.txt`` beside the data.

    Examples
    --------
    >>> from fastbp.datasets import load_digits
    >>> x, y = load_digits()
    >>> x.shape, y[:10]
    ((1797, 64), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    """
    from importlib.resources import files

    with files(__name__).joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        x = arrays["x"].astype(np.float32) / np.float32(16)
        y = arrays["y"].astype(np.int64)
    return train_test_split(x, y) if split else (x, y)


def _splitmix64(state):
    """Return the SplitMix64 output for each state: ndarray of uint64 to ndarray of uint64."""
    z = state + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def row_keys(n, seed):
    """Return the keys by which `train_test_split` chooses among n rows: ndarray of uint64."""
    return _splitmix64(_splitmix64(np.array([seed], np.uint64)) + np.arange(n, dtype=np.uint64))


def _first_fraction(y):
    """Return the place of the first element that is no class since it is no whole number, or None."""
    if y.dtype.kind not in "fc":
        return None
    bad = np.flatnonzero(~(np.isfinite(y) & (y == np.rint(y))))
    return int(bad[0]) if len(bad) else None


def train_test_split(x, y, test_size=0.2, seed=0, stratify="auto"):
    """Divide rows into a training and a test part, the same on every machine and with every NumPy.

    Parameters
    ----------
    x : array_like, shape (n, ...)
    y : array_like, shape (n, ...)
        Labels, of any dtype that sorts, or numbers.
    test_size : float, default 0.2
        The share of the test part, between 0 and 1.
    seed : int, default 0
        From 0 to 2**64 - 1.
    stratify : bool or "auto", default "auto"
        Whether each class is divided by itself, so that both parts have the classes in the same
        proportions. A class of two rows or more is then in both parts, a single row in training.
        "auto": where `y` has one value a row, five rows or more for each different value on average, and no
        numbers but whole ones. The targets of a regression are no classes of a row or two each.

    Returns
    -------
    x_train, x_test, y_train, y_test : ndarray
        Copies; rows keep their order and dtype.

    Raises
    ------
    ValueError
        If lengths differ, a part would be empty, or an argument is out of range; if `stratify` is True and `y`
        has no classes.
    TypeError
        If `seed` is not an integer or `test_size` is no number.

    Notes
    -----
    The key of row ``i`` is ``splitmix64(splitmix64(seed) + i)``, with sums modulo 2**64 [1]_. Of the ``n`` rows of a
    class, or of all where there are no classes, the ``floor(n * test_size + 0.5)`` rows of the smallest keys, but at
    least one and at most ``n - 1``, are the test part.

    References
    ----------
    .. [1] G. L. Steele, D. Lea, C. H. Flood (2014), Fast splittable pseudorandom number generators, OOPSLA.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp.datasets import train_test_split
    >>> x_train, x_test, y_train, y_test = train_test_split(np.arange(10), np.arange(10) % 2)
    >>> x_test, y_test
    (array([4, 5]), array([0, 1]))
    """
    x, y = as_array("x", x), as_array("y", y)
    test_size, seed = number("test_size", test_size, 0, 1, closed_low=False), integer("seed", seed, 0)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"x has shape {x.shape} and y has shape {y.shape}; they must have equally many rows")
    if seed >= 2**64:
        raise ValueError(f"seed is {seed}; it must be from 0 to 2**64 - 1")
    if not isinstance(stratify, (bool, np.bool_)) and stratify != "auto":
        raise ValueError(f"stratify is {stratify!r}; it must be True, False or 'auto'")
    if stratify == "auto":
        stratify = y.ndim == 1 and _first_fraction(y) is None and 5 * len(np.unique(y)) <= len(y)
    elif stratify and y.ndim != 1:
        raise ValueError(f"y has shape {y.shape}; to stratify it must be (n,), stratify=False takes any")
    elif stratify and (at := _first_fraction(y)) is not None:
        raise ValueError(f"y[{at}] is {y[at]}; classes must be whole numbers or text, stratify=False takes any")

    key = row_keys(len(x), seed)
    classes = np.unique(y, return_inverse=True)[1] if stratify else np.zeros(len(x), np.int64)
    order = np.lexsort((key, classes))
    test = np.zeros(len(x), bool)
    for rows in np.split(order, np.cumsum(np.bincount(classes))[:-1]):
        test[rows[: min(max(1, int(len(rows) * test_size + 0.5)), len(rows) - 1)]] = True
    if not 0 < test.sum() < len(x):
        what = " and no class with two of them (stratify=False needs none)" if stratify else ""
        raise ValueError(f"y has {len(y)} rows{what}; there is nothing to divide")
    return x[~test], x[test], y[~test], y[test]
