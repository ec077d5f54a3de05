"""The kernel that draws numbers is numpy.random.Generator: draw after draw, and its state in between."""

import ctypes
import os
import shutil
import subprocess

import numpy as np
import pytest
from _arrays import BUILDS, DTYPES, address, assert_same_bits, guarded, primitives, run_guarded

from fastbp.kernels.numpy_ref.common import pcg64, pcg64_state
from fastbp.kernels.table import KERNELS

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(os.path.dirname(HERE), "kernels", "cython_ext", "pcg64.h")
UNIFORM = KERNELS["uniform"]
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def draw(build, numerics, dtype, n, state):
    """Return u[n] and the state afterwards."""
    inputs = {"x": np.full(n, np.nan, dtype), "generator": state}
    buffers = guarded(UNIFORM, dtype, {"n": n}, inputs, offset=n)
    function, table = address(build, dtype, "uniform"), primitives(build, dtype, numerics)
    status, got = run_guarded(function, table, UNIFORM, {"n": n}, inputs, {}, buffers)
    assert status == 0
    return got["u"], got["generator"]


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
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
