"""fma(a, b, c): a * b + c rounded once, from NumPy's own operations; the definition behind fma.h.

A NumPy sum or product is rounded once, so a * b + c is rounded twice. What the first rounding lost is itself
a number that can be computed exactly (TwoSum, Dekker's product), and Boldo and Melquiond (2008, IEEE Trans.
Computers 57) show how to add it so that the second rounding is the only one: round it to odd.
"""

from fractions import Fraction
from typing import Any

import numpy as np

BLOCK = 8192  # elements whose temporaries stay in the cache


def fma(a, b, c):
    """Return ``a * b + c`` with a single rounding, the same bits as the fma instruction.

    Parameters
    ----------
    a, b, c : array_like of float32 or float64
        Operands of one dtype; shapes are broadcast.

    Returns
    -------
    ndarray or scalar
        The result, of the dtype of the operands. A NaN is any NaN.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.float64(1 + 2**-52)
    >>> float(fma(x, x, -(x * x))) == 2**-104  # what x * x lost
    True
    """
    a, b, c = np.asarray(a), np.asarray(b), np.asarray(c)
    dtype = np.result_type(a, b, c)
    kernel = {"f4": _fma_f4, "f8": _fma_f8}[dtype.str[1:]]
    with np.errstate(all="ignore"):
        if max(a.size, b.size, c.size) <= BLOCK:
            y = kernel(*(v.astype(np.float64, copy=False) for v in (a, b, c)))
            return y.astype(dtype, copy=False)[()]
        options: dict[str, Any] = {
            "flags": ["external_loop", "buffered", "zerosize_ok"],
            "op_flags": [["readonly"]] * 3 + [["writeonly", "allocate"]],
            "op_dtypes": [np.float64] * 3 + [dtype],
        }
        blocks = np.nditer([a, b, c, None], casting="same_kind", buffersize=BLOCK, **options)
        with blocks:
            for x, y, z, out in blocks:
                out[...] = kernel(x, y, z)
            return blocks.operands[3]


def two_sum(a, b):
    """Return the rounded sum and what rounding lost; both together are the exact sum."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def to_odd(s, error):
    """Return s, or where s is even and not exact its neighbour on the side of the error, which is odd."""
    bits = np.asarray(s).view(np.int64)
    move = (error != 0) & (bits & 1 == 0) & np.isfinite(s)
    return (bits + move * np.where((error > 0) == (s > 0), 1, -1)).view(np.float64)


def _fma_f4(a, b, c):
    """Return the float64 that rounds to the float32 result; the operands are float32 values in float64."""
    product = a * b  # exact: 48 bits
    s = np.asarray(product + c)
    # a second rounding differs only if s lies half-way between two float32 (closer together below 2**-126)
    doubtful = (s.view(np.int64) & 0x1FFFFFFF == 0x10000000) | (np.abs(s) < 2.0**-126)
    if doubtful.any():
        product, c, _ = np.broadcast_arrays(product, c, s)
        s[doubtful] = to_odd(*two_sum(product[doubtful], c[doubtful]))
    return s


def _fma_f8(a, b, c):
    a, b, c = np.broadcast_arrays(a, b, c)
    product = a * b
    size = np.abs(product)
    tame = (size > 2.0**-900) & (size < 2.0**1000)
    for operand in (a, b, c):
        tame &= np.abs(operand) < 2.0**990
    # the exact product is high + low, that plus c is v + (v_low + t_low)
    low = _product_error(a, b, product)
    t, t_low = two_sum(c, low)
    v, v_low = two_sum(product, t)
    y = np.asarray(v + to_odd(*two_sum(t_low, v_low)))
    rest = ~tame
    if rest.any():
        y[rest] = [_exact(*operands) for operands in zip(*(v[rest].tolist() for v in (a, b, c)), strict=True)]
    return y


def _product_error(a, b, product):
    """Return a * b - product exactly (Dekker): every partial product of 26-bit halves is exact."""
    a_high, b_high = _upper_half(a), _upper_half(b)
    a_low, b_low = a - a_high, b - b_high
    return a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _upper_half(a):
    """Return a rounded to 26 bits (Veltkamp)."""
    t = a * (2.0**27 + 1)
    return t - (t - a)


def _exact(a, b, c):
    """Return the fma of three Python floats in exact integers."""
    if not np.isfinite([a, b]).all() or a == 0 or b == 0:
        return float(np.float64(a) * b + c)  # the product is exact
    if not np.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        return float(exact)  # a division of integers, correctly rounded
    except OverflowError:
        return np.inf if exact > 0 else -np.inf
