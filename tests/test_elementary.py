"""The elementary functions of portable numerics: bits against their definition, errors, special values."""

import functools
import math

import numpy as np
import pytest
from _arrays import assert_same_bits

from fastbp.kernels import cython_ext
from fastbp.kernels.operations import ELEMENTARY
from fastbp.kernels.portable import elementary
from fastbp.kernels.portable.fma import fma
from fastbp.kernels.primitives import evaluate

# overflows and NaN are what is tested
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

UNARY = [f.name for f in ELEMENTARY if f.operands == 1]
FUNCTIONS = [f.name for f in ELEMENTARY]
DTYPES = ("f4", "f8")
LEVELS = cython_ext.levels()


def loop(name, dtype, level):
    """Return a primitive as a function of arrays."""
    table = cython_ext.portable_address({"f4": "float32", "f8": "float64"}[dtype], at=level)
    return functools.partial(evaluate, table, name)


def edges(dtype):
    """Return special values and the neighbourhoods of all limits that the functions test for."""
    info, constants = np.finfo(dtype), elementary.load(int(dtype[1])).__dict__
    limits = [v for v in constants.values() if isinstance(v, np.floating) and np.isfinite(v)]
    values = [0, 1, 2, 3, 0.5, np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal, math.log(info.max)]
    values = np.array(
        [*values, *limits, *np.log(2) * np.arange(0.5, 4), *(2.0 ** np.arange(-60, 60, 7)), 99.5, 1e6 + 1], dtype
    )
    values = np.concatenate([values, np.nextafter(values, 0), np.nextafter(values, np.inf, dtype=dtype)])
    return np.unique(np.concatenate([values, -values]).view("u" + dtype[1])).view(dtype)


def sample(dtype, size, rng):
    """Return edges, numbers of all exponents and numbers of the usual sizes."""
    anywhere = rng.integers(0, 2 ** (8 * int(dtype[1])), size, dtype="u" + dtype[1]).view(dtype)
    top = 110 if dtype == "f4" else 760
    return np.concatenate(
        [edges(dtype), anywhere, rng.normal(0, 2, size).astype(dtype), rng.uniform(-top, top, size).astype(dtype)]
    )


def operands(name, dtype, size, rng):
    x = sample(dtype, size, rng)
    if name != "pow":
        return (x,)
    special, (x, y) = edges(dtype), (x, rng.permutation(x))
    a, b = (v.ravel() for v in np.meshgrid(special[:: 1 + len(special) // 60], special[:: 1 + len(special) // 60]))
    whole = np.round(rng.normal(0, 20, x.size)).astype(dtype)
    return np.concatenate([a, x, x, np.abs(x)]), np.concatenate([b, y, whole, whole / 4])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_c_has_the_bits_of_the_definition(name, dtype, level):
    inputs = operands(name, dtype, 5000 if dtype == "f4" else 1000, np.random.default_rng(1))
    assert_same_bits(loop(name, dtype, level)(*inputs), getattr(elementary, name)(*inputs))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits_at_every_length_and_in_place(name, dtype, level):
    rng = np.random.default_rng(2)
    call = loop(name, dtype, level)
    inputs = tuple(rng.permuted(x)[:71] for x in operands(name, dtype, 100, rng))
    expected = call(*inputs)
    for n in range(71):
        padded = np.full(n + 40, 7, dtype)
        call(*(x[:n] for x in inputs), out=padded[:n])
        assert_same_bits(padded[:n], expected[:n])
        assert (padded[n:] == 7).all()
        in_place = inputs[0][:n].copy()
        call(in_place, *(x[:n] for x in inputs[1:]), out=in_place)
        assert_same_bits(in_place, expected[:n])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_fma_is_rounded_once(dtype, level):
    rng = np.random.default_rng(3)
    special, digits = edges(dtype), np.finfo(dtype).nmant
    a, b, c = (rng.choice(special, 3000) for _ in range(3))
    x, y = rng.normal(size=(2, 20000)).astype(dtype)
    with np.errstate(all="ignore"):
        nearly = -(x * y) * (1 + rng.integers(-3, 4, x.size).astype(dtype) * dtype_type(dtype)(2.0**-digits))
    # odd short factors: the product ends half-way between two neighbours of c
    short = (rng.integers(1, 2 ** (digits // 2), (2, 20000)) | 1).astype(dtype)
    large = np.ldexp(1 + rng.random(20000), rng.integers(-2, digits + 4, 20000)).astype(dtype)
    a, b = np.concatenate([a, x, x, short[0]]), np.concatenate([b, y, y, short[1]])
    c = np.concatenate([c, nearly, rng.permutation(x), large]) + 0  # a chain from +0 passes no -0 on
    # a product of [1, a] and [c, b] is fma(a, b, fma(1, c, +0))
    left, right = (np.stack(pair, axis=1) for pair in ((np.ones_like(a), a), (c, b)))
    matmul, got = loop("matmul", dtype, level), np.empty_like(a)
    for i in range(len(a)):
        matmul(left[i : i + 1], right[i][:, None], out=got[i : i + 1, None])
    assert_same_bits(got, fma(a, b, c))


def dtype_type(dtype):
    return np.dtype(dtype).type


def test_fma_broadcasts_and_keeps_the_dtype():
    for dtype in DTYPES:
        x = np.arange(200, dtype=dtype)
        y = fma(x[:, None], x[None, :], np.ones((), dtype))
        assert y.dtype == dtype
        assert np.array_equal(y, x[:, None] * x + 1)
        assert fma(x[3], x[4], x[5]) == 17
        assert fma(x[:0], x[:0], x[:0]).shape == (0,)


INF, NAN = math.inf, math.nan
SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (1e4, INF), (-1e4, 0)],
    "expm1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -1), (1e4, INF), (-1e4, -1), (1e-42, 1e-42)],
    "log": [(0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-1, NAN), (-INF, NAN), (-1e-42, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-2, NAN), (-INF, NAN), (1e-42, 1e-42)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (50, 1), (-50, -1), (1e-42, 1e-42)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (50, 1), (-1e4, 0)],
    "softplus": [(INF, INF), (-INF, 0), (-1e4, 0), (1e4, 1e4)],
    "erf": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (50, 1), (-50, -1)],
    "sin": [(0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN), (1e-42, 1e-42), (-1e-42, -1e-42)],
    "cos": [(0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (1e-42, 1)],
    "sinh": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e4, INF), (-1e4, -INF), (1e-42, 1e-42)],
    "cosh": [(0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (1e4, INF), (-1e4, INF), (1e-42, 1)],
    "arctan": [(0, 0), (-0.0, -0.0), (INF, math.pi / 2), (-INF, -math.pi / 2), (1e30, math.pi / 2), (1e-42, 1e-42)],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_special_values(name, dtype):
    x, y = np.array(SPECIAL[name]).T.astype(dtype)
    assert_same_bits(getattr(elementary, name)(x), y)
    assert np.isnan(getattr(elementary, name)(np.array([NAN, -NAN], dtype))).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values_of_pow(dtype):
    values = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 1e30, 2.0**24 - 1, 2.0**24, 2.0**53 - 1, INF], dtype)
    values = np.concatenate([values, -values, np.array([NAN], dtype)])
    x, y = (v.ravel() for v in np.meshgrid(values, values))
    z = elementary.pow(x, y)
    for a, b, c in zip(x.tolist(), y.tolist(), z, strict=True):
        try:
            expected = math.pow(a, b)
        except OverflowError:
            expected = -INF if a < 0 and b % 2 == 1 else INF
        except ValueError:  # what C says instead
            expected = NAN if a else math.copysign(INF, a) if b % 2 == 1 else INF
        with np.errstate(all="ignore"):
            expected = dtype_type(dtype)(expected)
        if np.isfinite(expected) and expected not in (0, 1):
            assert abs(c - expected) <= abs(np.spacing(expected)), (a, b)
        else:
            assert_same_bits(c, expected, f"{a} ** {b}")


def ulps(y, exact):
    """Return the errors in units of the last place of the exact results (float64 for float32)."""
    info = np.finfo(y.dtype)
    exponent = np.maximum(np.frexp(exact)[1] - 1, info.minexp)
    return np.abs(y.astype(exact.dtype) - exact) / np.ldexp(1.0, exponent - info.nmant)


def in_float64(name, *inputs):
    """Return what a float32 result should be, to float64 precision."""
    x = inputs[0].astype(float)
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            return np.where(x < 0, np.exp(x), 1) / (1 + np.exp(-np.abs(x)))
        if name == "softplus":
            return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
        if name == "erf":
            return np.array([math.erf(v) for v in x])
        return getattr(np, {"pow": "power"}.get(name, name))(x, *(v.astype(float) for v in inputs[1:]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_errors_stay_below_one_ulp(name):
    inputs = operands(name, "f4", 30000, np.random.default_rng(4))
    y, exact = getattr(elementary, name)(*inputs), in_float64(name, *inputs)
    assert np.array_equal(np.isnan(y), np.isnan(exact))
    with np.errstate(all="ignore"):
        finite = np.isfinite(exact.astype("f4"))
        assert np.array_equal(y[~finite & ~np.isnan(y)], exact[~finite & ~np.isnan(y)].astype("f4"))
    assert ulps(y[finite], exact[finite]).max() < 0.95


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_errors_stay_below_one_ulp(name):
    mpmath = pytest.importorskip("mpmath")
    exact = {
        "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
        "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
        "pow": mpmath.power,
        "arctan": mpmath.atan,
    }.get(name) or getattr(mpmath, name)
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(0, 1.5, 1500), rng.uniform(-750, 720, 200), 2.0 ** rng.uniform(-1070, 0, 100)])
    y = rng.normal(0, 50, x.size)
    x = np.abs(x) if name in ("log", "pow") else np.maximum(x, -0.999) if name == "log1p" else x
    inputs = (x, y) if name == "pow" else (x,)
    with mpmath.workprec(1200 if name in ("expm1", "tanh", "sigmoid") else 200):
        worst = 0
        for *values, z in zip(*inputs, getattr(elementary, name)(*inputs), strict=True):
            z, e = float(z), exact(*map(mpmath.mpf, map(float, values)))
            if np.isfinite(z) and z:
                exponent = max(math.frexp(float(e))[1] - 1, -1022) - 52
                worst = max(worst, float(abs(mpmath.mpf(z) - e) * mpmath.mpf(2) ** -exponent))
    assert worst < 0.95


def next_to_quarter_turns(dtype):
    """Return, of every size, numbers that lie closer to a multiple of pi / 2 than others do."""
    mpmath = pytest.importorskip("mpmath")
    info = np.finfo(dtype)
    found = []
    with mpmath.workprec(2 * info.maxexp + 200):
        for k in range(-info.nmant, info.maxexp - info.nmant):
            # denominators of the convergents of 2**k / (pi / 2), which m 2**k is then a multiple of, nearly
            rest, m, last = mpmath.mpf(2) ** (k + 1) / mpmath.pi, 1, 0
            while True:
                rest = 1 / (rest - mpmath.floor(rest))
                m, last = int(mpmath.floor(rest)) * m + last, m
                if m >> (info.nmant + 1):
                    break
                found.append(math.ldexp(m, k))
    return np.array(found, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_angles_and_those_next_to_quarter_turns(name, dtype):
    mpmath = pytest.importorskip("mpmath")
    x = next_to_quarter_turns(dtype)
    rng, digits = np.random.default_rng(7), np.finfo(dtype).nmant
    smallest = np.abs(getattr(np, name)(x.astype("f8"))).argsort()[:400]
    x = np.concatenate([x[smallest], rng.choice(x, 800)])
    with mpmath.workprec(1200):
        for value, y in zip(x.tolist(), getattr(elementary, name)(x).tolist(), strict=True):
            exact = getattr(mpmath, name)(mpmath.mpf(value))
            unit = mpmath.mpf(2) ** (int(mpmath.floor(mpmath.log(abs(exact), 2))) - digits)
            assert abs(y - exact) < 0.95 * unit, value


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_bits_of_a_turn(dtype):
    mpmath = pytest.importorskip("mpmath")
    item = int(dtype[1])
    words = elementary.load(item).TURNS
    with mpmath.workprec(1400):
        bits = int(mpmath.floor(mpmath.mpf(2) ** (len(words) * item * 8 - 32) / (2 * mpmath.pi)))
    assert sum(int(word) << (item * 8 * k) for k, word in enumerate(words[::-1])) == bits


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_angles_among_small_ones(name, dtype, level):
    rng, call = np.random.default_rng(8), loop(name, dtype, level)
    small, large = rng.normal(0, 9, 2000).astype(dtype), next_to_quarter_turns(dtype)
    for share in (0.001, 0.1, 1):
        x = np.where(rng.random(2000) < share, rng.choice(large, 2000), small)
        expected = np.concatenate([call(x[i : i + 1]) for i in range(2000)])
        assert_same_bits(call(x), expected)
        call(x, out=x)
        assert_same_bits(x, expected)
