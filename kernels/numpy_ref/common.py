"""What an expression of the table may name besides NumPy."""

import numpy as np

# a portable array has sigmoid and softplus as methods: each is one function there


def sigmoid(x):
    return x.sigmoid() if hasattr(x, "sigmoid") else 1 / (1 + np.exp(-x))


def softplus(x):
    return x.softplus() if hasattr(x, "softplus") else np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def erf(x):
    # NumPy has none: the same one in both numerics
    from ..portable import elementary

    return elementary.erf(x)


def clip(x, low, high):
    # numpy.clip by another name: which zero it makes of -0 at a bound of 0 depends on NumPy's version
    return np.minimum(np.maximum(x, low), high)


def below_one(x, eps):
    """Return 1 - eps, or the number of the type of x below 1 where that is smaller."""
    one = x.dtype.type(1)
    return min(x.dtype.type(1 - eps), np.nextafter(one, one - one))
