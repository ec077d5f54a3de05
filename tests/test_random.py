"""Random numbers are numpy.random.Generator's, draw after draw; what is made of them has the distribution it should."""

import ctypes
import os
import shutil
import subprocess

import numpy as np
import pytest
from _arrays import BUILDS, DTYPES, address, assert_same_bits, guarded, primitives, run_guarded

from fastbp import kernels
from fastbp.kernels.numpy_ref.common import pcg64, pcg64_state
from fastbp.kernels.table import KERNELS

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(os.path.dirname(HERE), "kernels", "cython_ext", "pcg64.h")
UNIFORM = KERNELS["uniform"]
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def draw(build, numerics, dtype, n, state):
    """Return u[n] and the state afterwards."""
    inputs = {"x": np.full(n, np.nan, dtype), "generator": state}
    buffers = guarded(UNIFORM, dtype, {"n": n}, inputs, offset=n)
    function, table = address(build, dtype, "uniform"), primitives(build, dtype, numerics)
    status, got = run_guarded(function, table, UNIFORM, {"n": n}, inputs, {}, buffers)
    assert status == 0
    return got["u"], got["generator"]


@every_numerics
@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_a_chain_of_draws_is_the_generators(build, dtype, numerics):
    rng = np.random.Generator(np.random.PCG64(7))
    state = pcg64_state(rng)
    left_over = set()
    for n in (1, 0, 1, 1, 2, 0, 3, 5, 1, 1024, 1, 7, 4096, 1, 2):
        u, state = draw(build, numerics, dtype, n, state)
        assert_same_bits(u, rng.random(n, dtype), f"{n} numbers")
        assert_same_bits(state, pcg64_state(rng), f"the state after {n} numbers")
        left_over.add(int(state[4]))
    # a half word is left over now and then; a double leaves none
    assert left_over == ({0, 1} if dtype == "float32" else {0})


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_draws_of_both_widths_take_turns(build, dtype):
    # a half word that float32 left over waits while float64 draws
    rng = np.random.Generator(np.random.PCG64(8))
    state = pcg64_state(rng)
    for n in (3, 2, 1, 1, 4, 0, 5):
        for width in DTYPES if dtype == "float32" else DTYPES[::-1]:
            u, state = draw(build, "numpy", width, n, state)
            assert_same_bits(u, rng.random(n, width))
            assert_same_bits(state, pcg64_state(rng))


def test_a_state_is_the_generators_own():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rng.random(seed, "float32")
        again = pcg64(pcg64_state(rng))
        assert again.bit_generator.state == rng.bit_generator.state
        assert_same_bits(again.random(9, "float32"), rng.random(9, "float32"))


@pytest.mark.skipif(not (shutil.which("cc") and os.path.exists(HEADER)), reason="needs a C compiler and the sources")
@pytest.mark.parametrize("item", [4, 8])
def test_without_a_type_of_128_bits(tmp_path, item):
    # as compilers without one multiply
    source, library = tmp_path / "pcg64.c", tmp_path / "pcg64.so"
    wrapper = "void draw(uint64_t *state, fastbp_real *u, intptr_t n) { fastbp_uniform(state, u, n); }"
    source.write_text(f'#include "{HEADER}"\n{wrapper}\n')
    flags = [f"-DFASTBP_ITEM={item}", "-DFASTBP_NO_INT128", "-O2", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, str(source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).draw
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t]
    for rng in map(np.random.default_rng, range(20)):
        state = pcg64_state(rng)
        for n in (1001, 0, 1, 3, 500):
            u = np.empty(n, f"f{item}")
            function(state.ctypes.data, u.ctypes.data, n)
            assert_same_bits(u, rng.random(n, u.dtype))
            assert_same_bits(state, pcg64_state(rng))


# ---------------------------------------------------------------------- what is made of the numbers
@every_dtype
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_what_the_generator_says(rate, dtype):
    rng = np.random.default_rng(3)
    state = pcg64_state(rng)
    x = np.linspace(-2, 2, 777).astype(dtype)
    x[::50] = np.nan
    for _ in range(3):
        u, state = kernels.uniform(x, state)
        kept = rng.random(x.shape, dtype) >= rate
        scale = x.dtype.type(1 / (1 - rate))
        # even NaN is dropped
        assert_same_bits(kernels.dropout_forward(x, u, rate=rate), np.where(kept, x * scale, x.dtype.type(0)))
        assert_same_bits(kernels.dropout_backward(x, u, rate=rate), np.where(kept, x * scale, x.dtype.type(0)))
        assert kept.mean() == pytest.approx(1 - rate, abs=0.06)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    shift, one, dropped = kernels.alpha_dropout_forward([0.0, 1.0, 1.0], [rate, rate, 0.0], rate=rate)
    scale = one - shift
    if rate:
        # of selu's limit, scaled and shifted like all that is kept
        assert dropped == pytest.approx(-1.0507009873554805 * 1.6732632423543772 * scale + shift, rel=1e-14)
    else:
        dropped = 0.0
    assert (1 - rate) * shift + rate * dropped == pytest.approx(0, abs=1e-15)
    assert (1 - rate) * (scale**2 + shift**2) + rate * dropped**2 == pytest.approx(1, rel=1e-14)
    dx = kernels.alpha_dropout_backward([2.0, 2.0], [rate, rate - 1e-9], rate=rate)
    assert dx.tolist() == [pytest.approx(2 * scale, rel=1e-14), 0]


def normal(u, numerics="numpy"):
    return kernels.gaussian_noise(np.zeros_like(u), u, numerics=numerics)


def ulps(got, want):
    """Return the errors of `got` in spacings of its dtype at `want`, a float64 array without zeros."""
    return np.abs(got.astype(float) - want) / np.spacing(np.abs(want).astype(got.dtype))


@every_numerics
def test_the_normal_quantile_of_doubles(numerics):
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(4)
    u = np.concatenate([rng.random(400), rng.uniform(0.07, 0.08, 50), np.exp(-rng.uniform(24, 26, 50))])
    u = np.concatenate([u, 2.0 ** -rng.uniform(1, 53, 500), [2.0**-53, 0.075, np.exp(-25)]])
    u = np.floor(u * 2**53) / 2**53
    u = np.concatenate([u, 1 - u])
    with mpmath.workdps(40):
        want = [float(mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(float(p)) - 1)) for p in u]
    # measured on 27000 points: 4
    assert ulps(normal(u, numerics), np.array(want)).max() <= 5


@every_numerics
def test_the_normal_quantile_of_floats(numerics):
    steps = np.concatenate([np.arange(1, 1 << 12), np.arange(1 << 12, 1 << 24, 101)])
    u = np.concatenate([steps, (1 << 24) - steps]).astype(np.float32) * np.float32(2.0**-24)
    u = u[u != 0.5]
    # measured on all of them: 6.1
    assert ulps(normal(u, numerics), normal(u.astype(float))).max() <= 7


@every_dtype
def test_the_normal_quantile_has_two_like_halves(dtype):
    u = np.random.default_rng(5).random(1000, dtype)
    u = u[u > 0]
    assert_same_bits(normal(1 - u), -normal(u))
    half, least = np.array([0.5, 0], dtype), np.finfo(dtype).eps / 2
    middle, lowest = normal(half)
    assert middle == 0
    assert lowest == pytest.approx({"float32": -5.41998, "float64": -8.29236}[dtype], rel=1e-5)
    assert lowest < normal(np.array([least], dtype))[0]


@every_dtype
def test_gaussian_noise_is_normal(dtype):
    x = np.full(200_000, 3, dtype)
    u = np.random.default_rng(6).random(x.size, dtype)
    noise = kernels.gaussian_noise(x, u, stddev=0.5).astype(float) - 3
    assert noise.mean() == pytest.approx(0, abs=4 * 0.5 / x.size**0.5)
    assert noise.std() == pytest.approx(0.5, rel=0.01)
    assert (np.abs(noise) < 0.5).mean() == pytest.approx(0.6827, abs=0.005)
    assert (np.abs(noise) > 1.5).mean() == pytest.approx(0.0027, abs=0.0005)
