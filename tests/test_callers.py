"""Kernels from a user's own compiled code: C through the capsules, Numba inside ``@njit``."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, filled_sizes, operands

import fastbp
from fastbp import kernels
from fastbp.kernels.cython_ext import capsules
from fastbp.kernels.table import KERNELS

GUIDE = Path(__file__).parent.parent / "docs" / "guide" / "kernels.rst"
FILES = GUIDE.with_suffix("")

needs_guide = pytest.mark.skipif(not FILES.is_dir(), reason="the tests lie outside a source tree")
needs_numba = pytest.mark.skipif("numba" not in BACKENDS, reason="runs where the numba backend is tested")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_c_calls_a_capsule(dtype):
    capsule = capsules(dtype)["relu_backward"]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    pointer = api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule))
    signature = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)
    dy, y, dx = (np.array(v, dtype) for v in ([1, 2, 3, 4], [0, -1, 5, np.nan], [9, 9, 9, 9]))
    buffers = (ctypes.c_void_p * 3)(dy.ctypes.data, y.ctypes.data, dx.ctypes.data)
    sizes = (ctypes.c_ssize_t * 1)(4)
    assert signature(pointer)(buffers, sizes, None, kernels.primitives_address(dtype)) == 0
    assert_same_bits(dx, np.array([0, 0, 3, 0], dtype))


def test_the_header_is_where_get_include_says():
    assert "typedef int (*fastbp_kernel)" in (Path(kernels.get_include()) / "abi.h").read_text()


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_njit_calls_kernels(dtype):
    from numba import njit

    import fastbp.kernels.numba_jit  # noqa: F401

    @njit
    def step(x, w, b, labels):
        y = kernels.relu_forward(kernels.bias_forward(kernels.matmul_nn(x, w), b))
        p, sample_loss, _ = kernels.sparse_softmax_cross_entropy_forward(y, labels)
        return y, p, sample_loss, kernels.sparse_softmax_cross_entropy_backward(p, labels)

    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(shape).astype(dtype) for shape in ((5, 3), (3, 4), (4,)))
    labels = rng.integers(0, 4, 5)
    for ours, numpys in zip(step(x, w, b, labels), step.py_func(x, w, b, labels), strict=True):
        assert_same_bits(ours, numpys)
    with pytest.raises(IndexError, match="out of range"):
        step(x, w, b, labels + 4)


@needs_numba
def test_njit_sees_every_length_of_an_operand():
    from numba import njit

    import fastbp.kernels.numba_jit  # noqa: F401

    @njit
    def gradient(y_pred, pull):
        return kernels.triplet_semi_hard_backward(y_pred, pull, np.int64(1))

    y_pred, pull = np.arange(6.0).reshape(3, 2), np.ones((3, 3))
    assert_same_bits(gradient(y_pred, pull), gradient.py_func(y_pred, pull))
    for shape in ((3, 2), (2, 3), (2, 2)):
        with pytest.raises(ValueError, match="the shape of pull does not fit"):
            gradient(y_pred, np.ones(shape))


@needs_numba
@pytest.mark.parametrize(
    "name", [name for name, k in KERNELS.items() if any(isinstance(d, int) for o in k.results for d in o.dims)]
)
def test_njit_knows_fixed_lengths_of_results(name):
    from numba import njit

    import fastbp.kernels.numba_jit  # noqa: F401

    kernel, function = KERNELS[name], getattr(kernels, name)
    sizes = dict(zip(kernel.dims, (4, 3), strict=False))
    inputs = operands(kernel, sizes, "float64", "ordinary", np.random.default_rng(0)).values()

    @njit
    def call(*arrays):
        return function(*arrays)

    got, want = call(*inputs), function(*inputs)
    for one, other in zip(*((x if isinstance(x, tuple) else (x,)) for x in (got, want)), strict=True):
        assert_same_bits(one, other)


@needs_numba
@pytest.mark.matrix("name")
@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.row.lengths])
def test_njit_knows_lengths_that_follow_from_others(name):
    from numba import njit

    import fastbp.kernels.numba_jit  # noqa: F401

    kernel, function = KERNELS[name], getattr(kernels, name)
    inputs = operands(kernel, filled_sizes(kernel, (4, 3, 5, 2, 1)), "float64", "ordinary", np.random.default_rng(0))

    @njit
    def call(*arrays):
        return function(*arrays)

    assert_same_bits(call(*inputs.values()), function(*inputs.values()))


@needs_numba
@pytest.mark.slow
def test_njit_refuses_lengths_that_do_not_follow():
    from numba import njit

    import fastbp.kernels.numba_jit  # noqa: F401

    @njit
    def call(x, w, stride, groups):
        return kernels.convolve(x, w, stride_h=stride, groups=groups)

    x, w = np.ones((2, 5, 5, 4)), np.ones((2, 2, 2, 6))
    assert_same_bits(call(x, w, 2.0, 2.0), kernels.convolve(x, w, stride_h=2, groups=2))
    with pytest.raises(ValueError, match="convolve: n does not follow from other lengths and attributes"):
        call(x, w, 1.0, 1.0)
    with pytest.raises(ValueError, match="convolve: o does not follow"):
        call(np.ones((2, 5, 5, 8)), w, 1.0, 4.0)
    with pytest.raises(ValueError, match="convolve: c does not follow"):
        call(np.ones((2, 5, 5, 5)), w, 1.0, 2.0)
    for wrong in (0.0, -1.0, 1.5, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"convolve: stride_h must be a whole number from 1 to 2\*\*31 - 1"):
            call(x, w, wrong, 2.0)


def run(folder, *command):
    """Run a script of the guide in its folder; return what it prints."""
    path = os.pathsep.join((str(folder), str(Path(fastbp.__file__).parent.parent)))
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(package):
    return pytest.importorskip(package, reason=f"the package {package} is not installed")


@needs_guide
@pytest.mark.parametrize("name", ["train_njit.py", "use_cython.py", "use_c.py"])
def test_the_guides_files_print_what_it_says(name, tmp_path):
    folder = shutil.copytree(FILES, tmp_path / "kernels")
    if name == "train_njit.py" and "numba" not in BACKENDS:
        pytest.skip("runs where the numba backend is tested")
    if name != "train_njit.py" and (os.name == "nt" or shutil.which("cc") is None):
        pytest.skip("needs a C compiler")
    if name == "use_cython.py":
        needs("Cython")
        needs("setuptools")
        run(folder, "setup.py", "-q", "build_ext", "--inplace")
    after = GUIDE.read_text().partition(f"literalinclude:: kernels/{name}\n")[2]
    said = re.search(r":class: output\n\n((?:   .*\n)+)", after)[1]
    assert run(folder, name) == textwrap.dedent(said)


@needs_guide
def test_the_guide_counts_lines():
    said = dict(re.findall(r"literalinclude:: kernels/(\S+)\n   :caption: (.*)", GUIDE.read_text()))
    assert said
    for name, caption in said.items():
        lines = sum(bool(line.strip()) for line in (FILES / name).read_text().splitlines())
        assert caption == f"{name}, {lines} lines"
