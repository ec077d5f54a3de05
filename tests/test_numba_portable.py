"""The portable primitives that Numba compiles: the bits of those in C, and no access beside the operands."""

import ctypes
import itertools
import mmap
import sys

import numpy as np
import pytest
from _arrays import BACKENDS, DTYPES, Guarded, assert_same_bits, edge_values

from fastbp import kernels
from fastbp.kernels.operations import ELEMENTARY, NUMBERS
from fastbp.kernels.primitives import evaluate

pytestmark = pytest.mark.skipif("numba" not in BACKENDS, reason="FASTBP_TEST_BACKENDS leaves Numba out")
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

MATMUL, SUM, DENSE = (NUMBERS[name] for name in ("matmul", "sum", "dense"))
#: Around the edges of tiles (up to 8 rows, 1, 2, 4 or 8 vectors of 2 to 16 elements) and of panels.
ROWS = (0, 1, 2, 3, 4, 7, 8, 9, 17)
COLUMNS = (0, 1, 3, 7, 8, 9, 16, 17, 31, 33, 64, 65, 129)
DEPTHS = (0, 1, 2, 15, 17, 257, 513)
LAYOUTS = ("nn", "nt", "tn", "tt", "strided")


class Loop(ctypes.Structure):
    """``fastbp_primitive`` of abi.h."""

    _fields_ = (
        ("loop", ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)),
        ("data", ctypes.c_void_p),
    )


def tables(dtype):
    return [kernels.primitives_address(dtype, "portable", backend) for backend in ("numba", "cython")]


def call(table, index, arrays, dimensions, steps=()):
    """Call a primitive on arrays that the caller has prepared, outputs too."""
    primitive = ctypes.cast(table, ctypes.POINTER(Loop))[index]
    pointers = (ctypes.c_void_p * len(arrays))(*[x.ctypes.data for x in arrays])
    numbers = [(ctypes.c_ssize_t * max(1, len(items)))(*items) for items in (dimensions, steps)]
    primitive.loop(pointers, *numbers, primitive.data)


def same_bits(name, *arrays):
    got, want = (evaluate(table, name, *arrays) for table in tables(arrays[0].dtype.name))
    assert_same_bits(got, want, f"{name} of {[x.shape for x in arrays]}, strides {[x.strides for x in arrays]}")


def operands(rng, m, k, n, dtype, layout):
    a, b = rng.standard_normal((m, k)).astype(dtype), rng.standard_normal((k, n)).astype(dtype)
    if layout == "strided":
        return np.repeat(np.repeat(a, 3, 0), 2, 1)[::3, ::2], np.repeat(np.repeat(b, 2, 0), 3, 1)[::2, ::3]
    return [np.array(x, order="F" if by == "t" else "C") for x, by in zip((a, b), layout, strict=True)]


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_matmul(dtype, layout):
    rng = np.random.default_rng(0)
    for m, k, n in itertools.product(ROWS, DEPTHS, COLUMNS):
        same_bits("matmul", *operands(rng, m, k, n, dtype, layout))
    same_bits("matmul", *operands(rng, 130, 1100, 140, dtype, layout))


@every_dtype
@pytest.mark.parametrize("layout", LAYOUTS)
def test_matmul_of_special_values(dtype, layout):
    rng = np.random.default_rng(1)
    values = np.concatenate([edge_values(dtype), np.array([0, -0.0, 1, -1] * 9 + [np.inf, -np.inf, np.nan], dtype)])
    for _ in range(200):
        m, k, n = rng.integers(1, 40, 3)
        a, b = operands(rng, m, k, n, dtype, layout)
        for x in (a, b):
            x[...] = np.where(rng.random(x.shape) < 0.3, rng.choice(values, x.shape), x)
        same_bits("matmul", a, b)


@every_dtype
def test_dense(dtype):
    rng = np.random.default_rng(2)
    for m, k, n, relu in itertools.product(ROWS, (0, 1, 16, 600), COLUMNS, (0, 1)):
        x, w = operands(rng, m, k, n, dtype, "nn")
        b = rng.choice(np.array([0, -0.0, 1.5, -2, np.nan, -np.inf, np.inf], dtype), n)
        got, want = Guarded(None, (m, n), dtype, offset=m % 3), Guarded(None, (m, n), dtype)
        for table, y in zip(tables(dtype), (got, want), strict=True):
            call(table, DENSE, (x, w, b, y.array), (m, k, n, relu))
        assert_same_bits(got.array, want.array, f"dense {m, k, n}, relu {relu}")
        assert got.intact


def before_a_hole(x):
    """Return a copy of an array that ends where memory does."""
    libc = ctypes.CDLL(None, use_errno=True)
    size = -(-max(x.nbytes, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
    block = mmap.mmap(-1, size + mmap.PAGESIZE)
    whole = np.frombuffer(block, np.uint8)
    assert libc.mprotect(ctypes.c_void_p(whole.ctypes.data + size), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    flat = whole[size - x.nbytes : size].view(x.dtype)
    copy = np.lib.stride_tricks.as_strided(flat, x.shape, x.strides)
    copy[...] = x
    return copy


@pytest.mark.skipif(sys.platform == "win32", reason="needs mprotect")
@every_dtype
def test_nothing_beside_the_operands_is_touched(dtype):
    rng = np.random.default_rng(3)
    table = tables(dtype)[0]
    for layout in ("nn", "nt", "tn", "tt"):
        for m, k, n in itertools.product((1, 3, 9), (1, 17, 513), (1, 9, 33, 70)):
            a, b = (before_a_hole(x) for x in operands(rng, m, k, n, dtype, layout))
            y = Guarded(None, (m, n), dtype)
            call(table, MATMUL, (a, b, y.array), (1, m, k, n), (0, 0, 0, *a.strides, *b.strides, *y.array.strides))
            assert y.intact
    for n in (0, 1, 7, 31, 33, 64, 70):
        x, y = before_a_hole(rng.standard_normal(n).astype(dtype)), Guarded(None, (n,), dtype)
        total = Guarded(None, (1,), dtype)
        call(table, SUM, (x, total.array), (1, n), (x.nbytes, x.itemsize))
        assert total.intact
        for f in ELEMENTARY:
            call(table, NUMBERS[f.name], (*[x] * f.operands, y.array), (n,))
        assert y.intact


@every_dtype
def test_sum(dtype):
    rng = np.random.default_rng(4)
    values = np.concatenate([edge_values(dtype), np.array([np.inf, -np.inf, np.nan], dtype)])
    for n in (*range(100), 1000, 8193):
        same_bits("sum", rng.standard_normal((3, n)).astype(dtype))
        same_bits("sum", rng.standard_normal((3, n + 5)).astype(dtype)[:, :n])
        same_bits("sum", np.full((2, n), -0.0, dtype))
        same_bits("sum", rng.choice(values, (5, n)))
    same_bits("sum", np.empty((0, 4), dtype))


@every_dtype
def test_elementary(dtype):
    rng = np.random.default_rng(5)
    spread = rng.standard_normal(20000) * np.exp(4 * rng.standard_normal(20000))
    values = np.concatenate([edge_values(dtype), np.array([np.inf, -np.inf, np.nan], dtype), spread.astype(dtype)])
    x, y = (pair.ravel() for pair in np.meshgrid(values[:80], values[:80]))
    for f in ELEMENTARY:
        same_bits(f.name, *(values, values[::-1].copy())[: f.operands])
        same_bits(f.name, *(x, y)[: f.operands])
        for n in range(71):
            same_bits(f.name, *(values[n : 2 * n], values[3 * n : 4 * n])[: f.operands])


@every_dtype
def test_elementary_in_place(dtype):
    x = np.linspace(0.1, 3, 77).astype(dtype)
    table = tables(dtype)[0]
    for f in ELEMENTARY:
        y = x.copy()
        call(table, NUMBERS[f.name], [y] * (f.operands + 1), (y.size,))
        assert_same_bits(y, evaluate(table, f.name, *[x] * f.operands), f.name)


def test_each_backend_has_primitives_of_its_own():
    for dtype in DTYPES:
        ours, c = tables(dtype)
        assert ours != c and ours == kernels.primitives_address(dtype, "portable", "numba")
