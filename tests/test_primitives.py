"""The loops that compiled kernels call in place of NumPy's functions return NumPy's bits."""

import ctypes
import inspect
import os
import platform
import re
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
from _arrays import DTYPES, LENGTHS, PAIRS, TRIPLES, Primitive, assert_same_bits, edge_values

from fastbp import kernels
from fastbp.kernels import cython_ext, primitives, words
from fastbp.kernels.operations import ELEMENTARY, NUMBERS, PRIMITIVES, Status, c_source
from fastbp.kernels.portable import elementary
from fastbp.kernels.table import KERNELS

#: Those of which NumPy has a loop, and what it calls them.
NUMPYS = {f.name: f.ufunc for f in ELEMENTARY if f.ufunc} | {"matmul": "matmul", "sum": "sum"}
#: What numerics "numpy" has for each function of one operand.
UNARY = {f.name: getattr(np, f.ufunc) if f.ufunc else vars(words)[f.name] for f in ELEMENTARY if f.operands == 1}
every_dtype = pytest.mark.parametrize("dtype", DTYPES)

LOOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def entry(dtype, name):
    """Return the memory of one primitive."""
    return (Primitive * len(PRIMITIVES)).from_address(kernels.primitives_address(dtype))[NUMBERS[name]]


def loop(dtype, name):
    """Return a primitive as a function of arrays, dimensions and steps."""
    primitive = entry(dtype, name)

    def function(arrays, dimensions, steps):
        args = (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))
        dimensions = (ctypes.c_ssize_t * len(dimensions))(*dimensions)
        steps = (ctypes.c_ssize_t * len(steps))(*steps)
        LOOP(primitive.loop)(*map(ctypes.addressof, (args, dimensions, steps)), primitive.data)

    return function


def check():
    """Prove the loops of both dtypes."""
    for dtype in DTYPES:
        primitives.check(dtype)


def mixed(rng, shape, dtype):
    """Return ordinary numbers with some edges among them, or only one or the other."""
    values = np.concatenate([edge_values(dtype), np.array([np.inf, -np.inf, np.nan], dtype)])
    edges = values[rng.integers(len(values), size=shape)]
    ordinary = (10 * rng.standard_normal(shape)).astype(dtype)
    return np.where(rng.random(shape) < rng.choice([0.0, 0.3, 1.0]), edges, ordinary)


@every_dtype
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, dtype):
    rng, function = np.random.default_rng(1), loop(dtype, name)
    with np.errstate(all="ignore"):
        for n in LENGTHS:
            for _ in range(3):
                x = mixed(rng, n, dtype)
                y = np.full(n, 7, dtype)
                function([x, y], [n], [x.itemsize, y.itemsize])
                assert_same_bits(y, UNARY[name](x), f"{name} {n}")
                function([x, x], [n], [x.itemsize, x.itemsize])
                assert_same_bits(x, y, f"{name} {n} in place")


@every_dtype
@pytest.mark.parametrize("name", [f.name for f in ELEMENTARY if f.ufunc and f.operands == 1])
def test_a_block_has_the_bits_of_the_whole(name, dtype):
    # numpy's loops have other ways for large numbers and for the last elements; kernels call them block by block
    rng, function, ufunc = np.random.default_rng(6), loop(dtype, name), UNARY[name]
    anywhere = rng.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), 20000, dtype=f"u{np.dtype(dtype).itemsize}")
    with np.errstate(all="ignore"):
        for share in (0.0, 0.01, 0.5, 1.0):
            x = np.where(rng.random(20000) < share, anywhere.view(dtype), mixed(rng, 20000, dtype))
            whole, y = ufunc(x), np.empty_like(x)
            for size in (1, 3, 7, 16, 17, 1024):
                for start in range(0, len(x) if size == 1024 else 40 * size, size):
                    parts = [a[start : start + size] for a in (x, y)]
                    function(parts, [len(parts[0])], [x.itemsize, x.itemsize])
                    assert_same_bits(parts[1], whole[start : start + size], f"{name} {share} {size} {start}")


@every_dtype
def test_sums_of_rows(dtype):
    rng, function = np.random.default_rng(2), loop(dtype, "sum")
    with np.errstate(all="ignore"):
        for rows, n in (*PAIRS, (1, 8191), (1, 8192), (3, 16385), (1, 40000)):
            x = mixed(rng, (rows, n), dtype)
            signs = np.where(rng.random((rows, n)) < 0.5, -0.0, 0.0).astype(dtype)
            ordinary = rng.standard_normal((rows, n)).astype(dtype)
            for values in (x, ordinary, signs, -np.abs(signs)):
                y = np.full(2 * rows, 7, dtype)
                # results may lie apart
                function([values, y], [rows, n], [n * y.itemsize, 2 * y.itemsize])
                assert_same_bits(y[::2], values.sum(axis=1), f"sum {rows} {n}")
                assert (y[1::2] == 7).all()


@every_dtype
def test_matmul(dtype):
    rng, function = np.random.default_rng(3), loop(dtype, "matmul")
    for m, k, n in TRIPLES:
        for a_shape, b_shape in (((m, k), (k, n)), ((m, k), (n, k)), ((k, m), (k, n))):
            a, b = (rng.standard_normal(s).astype(dtype) for s in (a_shape, b_shape))
            # the transposed operand is the same memory with other steps
            a, b = (x if x.shape == shape else x.T for x, shape in ((a, (m, k)), (b, (k, n))))
            y = np.full((m, n), 7, dtype)
            function([a, b, y], [1, m, k, n], [0, 0, 0, *a.strides, *b.strides, *y.strides])
            assert_same_bits(y, a @ b, f"matmul {m} {k} {n}")


def test_what_is_installed_was_written_from_this_list():
    with open(os.path.join(kernels.get_include(), "operations.h")) as header:
        assert header.read() == c_source()
    assert [Status(number).name for number in range(len(Status))] == list(Status.__members__)


@pytest.mark.skipif(shutil.which("cc") is None or os.name == "nt", reason="needs a C compiler")
def test_a_user_of_the_header_finds_every_number(tmp_path):
    names = [f"FASTBP_{name.upper()}" for name in (*PRIMITIVES, *Status.__members__)]
    source = tmp_path / "user.c"
    lines = ["#include <stdio.h>", "#include <abi.h>", "int main(void) {"]
    source.write_text("\n".join([*lines, *(f'    printf("%d ", {name});' for name in names), "    return 0;", "}"]))
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{kernels.get_include()}", source]
    subprocess.run([*command, "-o", tmp_path / "user"], check=True)
    found = subprocess.run([tmp_path / "user"], capture_output=True, text=True, check=True).stdout.split()
    assert [int(number) for number in found] == [*NUMBERS.values(), *map(int, Status)]


def test_every_function_has_its_definition_and_its_code():
    # one that is not in the list, or one of the list that is not there
    described = set(re.findall(r"^(\w+) +[\d.]+ +[\d.]+$", elementary.__doc__, re.MULTILINE))
    assert described == {f.name for f in ELEMENTARY} <= set(elementary.DEFINITIONS)
    for f in ELEMENTARY:
        assert len(inspect.signature(elementary.DEFINITIONS[f.name]).parameters) == f.operands


@pytest.fixture
def wrong_loop():
    """Exchange a primitive for one whose results differ in the last bit."""
    changed = []

    def exchange(dtype, name):
        memory = entry(dtype, name)
        original, operands = memory.loop, 3 if name in ("matmul", "pow") else 2

        @LOOP
        def wrong(args, dimensions, steps, data):
            # a loop may move its pointers
            out = (ctypes.c_void_p * operands).from_address(args)[operands - 1]
            LOOP(original)(args, dimensions, steps, data)
            count = 1 if name == "matmul" else ctypes.c_ssize_t.from_address(dimensions).value
            item = np.dtype(dtype).itemsize
            for start in range(out, out + count * item, item):
                ctypes.c_ubyte.from_address(start if sys.byteorder == "little" else start + item - 1).value ^= 1

        changed.append((memory, original, wrong))
        memory.loop = ctypes.cast(wrong, ctypes.c_void_p).value

    yield exchange
    for memory, original, _ in changed:
        memory.loop = original
    check()


@every_dtype
@pytest.mark.parametrize("name", NUMPYS)
def test_check_sees_one_wrong_bit(name, dtype, wrong_loop, monkeypatch):
    check()
    wrong_loop(dtype, name)
    message = rf"NumPy's {NUMPYS[name]} loop does not return NumPy's bits \({dtype}, NumPy {np.__version__}"
    with pytest.raises(RuntimeError, match=message):
        primitives.check(dtype)
    # the first program of a process runs the check
    monkeypatch.setattr(cython_ext, "_proven", set())
    with pytest.raises(RuntimeError, match=message):
        kernels.primitives_address(dtype)


@pytest.fixture
def refill():
    """Look NumPy's loops up again when the test is over."""
    yield primitives._fill
    primitives._fill()
    check()


def test_check_tells_how_this_numpy_feeds_its_sums(monkeypatch, refill):
    # before 2.3 in portions of 8192, then whole: taking one for the other must show
    old = np.lib.NumpyVersion(np.__version__) < "2.3.0"
    with monkeypatch.context() as patch:
        patch.setattr(np, "__version__", "2.3.0" if old else "2.2.6")
        refill()
    with pytest.raises(RuntimeError, match="NumPy's sum loop"):
        check()


def test_a_function_without_the_loop(monkeypatch, refill):
    with monkeypatch.context() as patch:
        patch.setattr(np, "exp", np.bitwise_and)
        with pytest.raises(RuntimeError, match=r"numpy\.bitwise_and has no loop"):
            refill()
        patch.setattr(np, "exp", np.sum)
        with pytest.raises(TypeError, match="not a NumPy ufunc"):
            refill()


def test_call_passes_everything_on():
    x, y = np.arange(3.0), np.zeros(3)
    scale = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_ssize_t),
        ctypes.POINTER(ctypes.c_double), ctypes.c_void_p,
    )  # fmt: skip
    seen = []

    @scale
    def function(buffers, sizes, attributes, table):
        seen.append((buffers[0], buffers[1], sizes[0], sizes[1], attributes[0], attributes[1], table))
        return 2

    kernel = ctypes.cast(function, ctypes.c_void_p).value
    status = primitives.call(kernel, 4096, [x.ctypes.data, y.ctypes.data], [3, -5], [0.1, np.inf])
    assert status == 2
    assert seen == [(x.ctypes.data, y.ctypes.data, 3, -5, 0.1, np.inf, 4096)]
    for too_many in ([[0] * 17, [], []], [[], [0] * 17, []], [[], [], [0.0] * 1025]):
        with pytest.raises(ValueError, match="at most 16"):
            primitives.call(kernel, 0, *too_many)
    assert len(seen) == 1


@every_dtype
def test_numpy_lacks_nothing_but_what_a_kernel_makes_of_others(dtype):
    lacking = [name for name in PRIMITIVES if entry(dtype, name).loop is None]
    assert lacking == ["dense", "sweep", "cross_entropy", "product_add", "convolve", "convolve_dw", "convolve_dx"]
    with pytest.raises(NotImplementedError, match="dense"):
        primitives.evaluate(kernels.primitives_address(dtype), "dense", np.ones(3, dtype))
    # NumPy has no erf: it is the portable one in both numerics
    x = np.linspace(-5, 5, 101, dtype=dtype)
    assert_same_bits(primitives.evaluate(kernels.primitives_address(dtype), "erf", x), elementary.erf(x))


def test_capsule_address():
    capsules = cython_ext.capsules("float32")
    assert primitives.capsule_address(capsules["relu_forward"]) != primitives.capsule_address(capsules["relu_backward"])
    with pytest.raises(ValueError):
        primitives.capsule_address("relu_forward")
    assert set(capsules) == {*KERNELS, "chain"}  # all of them are kernels


def test_addresses_are_one_table_a_dtype():
    first, second = (kernels.primitives_address(dtype) for dtype in DTYPES)
    assert first != second
    assert (first, second) == tuple(primitives.address(dtype) for dtype in DTYPES)


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="the kernel's own list is what to compare with")
def test_cpu_level():
    level = primitives.cpu_level()
    if platform.machine() not in ("x86_64", "i686"):
        assert level == 0
        assert cython_ext.levels() == ("base",)
        return
    with open("/proc/cpuinfo") as file:
        flags = set(next(line for line in file if line.startswith("flags")).split())
    needed = [
        {"sse4_2", "popcnt"},
        {"avx2", "fma", "bmi1", "bmi2"},
        {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    ]
    want = 1
    while want < 4 and needed[want - 1] <= flags:
        want += 1
    assert level == want
    assert cython_ext.levels() == ("v2", "v3", "v4")[: level - 1]


def test_primitives_run_in_many_threads():
    x = np.random.default_rng(4).standard_normal(40000)
    function, want, wrong = loop("float64", "sum"), x.sum(), []

    def work():
        for _ in range(100):
            y = np.empty(1)
            function([x, y], [1, len(x)], [x.nbytes, 8])
            wrong.extend(y[y != want])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
