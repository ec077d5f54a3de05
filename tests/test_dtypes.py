"""Element types are told once, and agree with NumPy's; equal bits are bits, but for NaN."""

import itertools

import numpy as np
import pytest
from _arrays import DTYPES

from fastbp.kernels.arrays import dtype_of, same_bits
from fastbp.kernels.dtypes import REALS, itemsize
from fastbp.kernels.table import KERNELS


def test_names_codes_and_sizes_are_numpys():
    assert list(REALS) == list(DTYPES)
    operands = {operand.dtype for kernel in KERNELS.values() for operand in kernel.operands}
    assert operands == {"real", "i8", "u1", "f8"}
    for real, dtype in itertools.product(REALS, operands):
        assert np.dtype(REALS[real].code).name == real
        assert itemsize(dtype, real) == dtype_of(dtype, np.dtype(real)).itemsize
        name = {"real": real, "i8": "int64", "u1": "uint8", "f8": "float64"}[dtype]
        assert dtype_of(dtype, np.dtype(real)).name == name


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits(dtype):
    x = np.array([0.0, -1.5, np.nan, np.inf], dtype)
    other = x.copy()
    payload = other[2:3].view(f"u{x.itemsize}")
    payload |= 1
    assert np.isnan(other[2]) and x.tobytes() != other.tobytes()
    assert same_bits(x, other) and same_bits(x[2], other[2])
    for k, value in enumerate((-0.0, np.nextafter(x[1], x[0]), 1, np.nan)):
        changed = x.copy()
        changed[k] = value
        assert not same_bits(x, changed) and not same_bits(changed, x)
    assert not same_bits(x[:1], np.zeros((1, 1), dtype))
    assert not same_bits(x[:1], np.zeros(2, dtype)) and not same_bits(x[:1], np.zeros(1, int))
    assert same_bits(np.arange(3), np.arange(3)) and not same_bits(np.arange(3), np.array([0, 1, 3]))
