"""Kernels called on arrays: what is done in C has the bits, the errors and the side effects of what Python does."""

import copy
import ctypes
import functools
import gc
import inspect
import itertools
import pickle
import subprocess
import sys
import threading
import time
import types
import zlib

import numpy as np
import pytest
from _arrays import BACKENDS, DTYPES, assert_same_bits, bits, filled_sizes, operands, output_dtype

import fastbp
from fastbp import kernels
from fastbp.kernels.functions import entry_of, python_function
from fastbp.kernels.table import KERNELS, Kernel

NUMERICS = kernels.NUMERICS
every_kernel = pytest.mark.parametrize("name", KERNELS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
#: Words that the functions have besides operands and attributes.
WORDS = ("out", "backend", "numerics")
#: The outcome of a call that C leaves to Python.
UNUSUAL = ("unusual",)


@functools.cache
def usual(name):
    """Return the function in C without one to fall back on: what is not usual is NotImplemented."""
    return entry_of(KERNELS[name], KERNELS[name].attributes)


@functools.cache
def python(name):
    return python_function(KERNELS[name])


def arguments(kernel, dtype, lengths=(4, 3, 5, 2), seed=0):
    """Return ordinary inputs that can be written to."""
    sizes = filled_sizes(kernel, lengths)
    rng = np.random.default_rng([seed, zlib.crc32(kernel.name.encode())])
    return sizes, {name: array.copy() for name, array in operands(kernel, sizes, dtype, "ordinary", rng).items()}


def outputs(kernel, sizes, dtype):
    """Return arrays for the results that hold something else."""
    return [np.full(kernel.shape(o, sizes), 7, output_dtype(o, dtype)) for o in kernel.results]


def outcome(function, *args, **keywords):
    """Return what a call returns, as arrays, or the error that it raises."""
    try:
        got = function(*args, **keywords)
    except Exception as error:
        return type(error), str(error)
    if got is NotImplemented:
        return UNUSUAL
    return [None if one is None else np.asarray(one) for one in (got if isinstance(got, tuple) else (got,))]


def assert_same_outcome(got, want, what):
    if isinstance(want, tuple) or isinstance(got, tuple):
        assert got == want, what
        return
    assert len(got) == len(want), what
    for one, other in zip(got, want, strict=True):
        assert (one is None) == (other is None), what
        if one is not None:
            assert_same_bits(one, other, what)


# ------------------------------------------------------------------------------------- the usual call
@pytest.mark.matrix("dtype", "numerics")
@every_kernel
@every_dtype
@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_arrays_of_a_kernel_need_no_python(name, dtype, numerics, backend):
    kernel = KERNELS[name]
    choice = {"backend": backend, "numerics": numerics}
    for lengths in ((4, 3, 5, 2), (1, 1, 1, 1), (70, 40, 30, 20)):
        sizes, inputs = arguments(kernel, dtype, lengths)
        want = outcome(python(name), *inputs.values(), **choice)
        assert_same_outcome(outcome(usual(name), *inputs.values(), **choice), want, "new arrays")
        assert_same_outcome(outcome(usual(name), **choice, **inputs), want, "by their names")
        out = outputs(kernel, sizes, dtype)
        got = usual(name)(*inputs.values(), out=tuple(out), **choice)
        for one, given in zip((got if len(out) > 1 else (got,)) if out else (), out, strict=True):
            assert one is given
        assert_same_outcome(out or [None], want, "arrays that were given")
        # one of them
        for k, given in enumerate(outputs(kernel, sizes, dtype)):
            parts = tuple(given if i == k else None for i in range(len(out)))
            assert_same_outcome(outcome(usual(name), *inputs.values(), out=parts, **choice), want, f"array {k}")
            assert_same_bits(given, want[k])
        # what is updated is updated where it is
        if kernel.updates:
            mine = {key: array.copy() for key, array in inputs.items()}
            places = tuple(mine.get(o.name) for o in kernel.results)
            assert outcome(usual(name), **mine, out=places, **choice) != UNUSUAL
            for place, one in zip(places, want, strict=True):
                if place is not None:
                    assert_same_bits(place, one, "in its place")


@every_kernel
def test_the_functions_of_the_package_are_those_in_c(name):
    function = getattr(kernels, name)
    assert inspect.isbuiltin(function)
    assert function.__name__ == function.__qualname__ == name
    assert function.__module__ == "fastbp.kernels"
    assert repr(function) == f"<built-in function {name}>"
    assert copy.copy(function) is copy.deepcopy(function) is function
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(function, protocol)) is function
    assert inspect.signature(function) == inspect.signature(python(name))
    assert function.__doc__ == python(name).__doc__


@every_kernel
def test_no_word_stands_for_two_arguments(name):
    kernel = KERNELS[name]
    words = [*(o.name for o in kernel.inputs), *WORDS, *kernel.attributes]
    assert len({*words}) == len(words)


def test_scalars_of_numpy_are_numbers():
    y, count = np.ones((4, 3)), np.int64(2)
    pull = np.ones((4, 4))
    want = python("triplet_semi_hard_backward")(y, pull, count)
    assert_same_bits(usual("triplet_semi_hard_backward")(y, pull, count), want)
    for kind in (np.float32, np.float64):
        assert usual("check_finite")(kind(1)) is None
    for wrong in (1.0, np.float16(1), np.int64(1), np.ones(())[None]):
        assert usual("check_finite")(wrong) is NotImplemented


def test_bytes_are_operands_work_and_results(monkeypatch):
    # a kernel of its own: y = w = x + k
    pointers, lengths, ignored = ctypes.POINTER(ctypes.c_void_p), ctypes.POINTER(ctypes.c_ssize_t), ctypes.c_void_p

    @ctypes.CFUNCTYPE(ctypes.c_int, pointers, lengths, ignored, ignored)
    def add(buffers, sizes, attributes, primitives):
        x, k, w, y = ((ctypes.c_uint8 * sizes[0]).from_address(buffers[i]) for i in range(4))
        for i in range(sizes[0]):
            y[i] = w[i] = x[i] + k[0]
        return 0

    address = ctypes.cast(add, ctypes.c_void_p).value
    backend = types.SimpleNamespace(
        name="cython", compiled=True, load=lambda dtype, names, numerics: dict.fromkeys(names, address),
        primitives=lambda dtype, numerics: 1, attributes=lambda kernel, attributes: [],
    )  # fmt: skip
    monkeypatch.setattr(fastbp.kernels.functions, "BACKENDS", {"cython": backend})
    kernel = Kernel("try", kernels.TABLE["relu"], "x[n]:u1, k[]:u1 -> w[n]:u1, y[n]:u1", work=["w"])
    function = entry_of(kernel, {})
    x, k, out = np.array([0, 3, 250], np.uint8), np.uint8(5), np.zeros(3, np.uint8)
    want = np.array([5, 8, 255], np.uint8)
    assert_same_bits(function(x, k), want)
    assert_same_bits(function(x, np.array(k)), want)
    assert function(x, k, out=out) is out
    assert_same_bits(out, want)
    for wrong in (x.astype(np.int64), x.astype(np.int8), x.astype(bool), x.astype(np.float32), x.tolist()):
        assert function(wrong, k) is NotImplemented
    assert function(x, np.int64(5)) is function(x, 5) is function(x, k, out=np.zeros(3)) is NotImplemented


# --------------------------------------------------------------------------------------- whatever comes
class Subclass(np.ndarray):
    pass


def variants(array):
    """Yield a label and something like an array in its place, made anew each time."""
    dtype, shape = array.dtype, array.shape
    wide = np.zeros((*shape, 2), dtype)
    wide[..., 0] = array
    unaligned = np.zeros(array.nbytes + 1, np.uint8)[1:].view(dtype).reshape(shape)
    unaligned[...] = array
    other = {"f": np.float32 if dtype == np.float64 else np.float64}.get(dtype.kind, np.int32)
    yield "strided", wide[..., 0]
    yield "reversed", array[::-1].copy()[::-1] if shape else array
    yield "Fortran", np.asfortranarray(array)
    yield "byte-swapped", array.astype(dtype.newbyteorder())
    yield "unaligned", unaligned
    yield "subclass", array.view(Subclass)
    yield "masked", np.ma.masked_array(array, np.ones(shape, bool))
    yield "list", array.tolist()
    yield "another float or integer", array.astype(other)
    for kind in (np.int64, np.longlong, np.uint8, bool, np.float16, complex, object, str, np.longdouble):
        yield f"of {kind}", array.astype(kind)
    yield "more axes", array[None]
    yield "flat", array.ravel()
    yield "longer", np.concatenate([np.atleast_1d(array)] * 2)
    yield "shorter", np.atleast_1d(array)[:-1]
    yield "empty", np.zeros((0,) * array.ndim, dtype)
    yield "0-d", np.zeros((), dtype)
    yield "a scalar", dtype.type(1)
    yield "a number", 1.0
    yield "None", None
    yield "text", "text"
    yield "rows of unlike lengths", [[1.0], [1.0, 2.0]]


@pytest.mark.matrix("dtype")
@every_kernel
@every_dtype
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning", "ignore:overflow:RuntimeWarning")
def test_whatever_comes_for_an_input(name, dtype):
    kernel, function = KERNELS[name], getattr(kernels, name)
    _, inputs = arguments(kernel, dtype)
    for key, array in inputs.items():
        for label, value in variants(array):
            given = {**inputs, key: value}
            got, want = outcome(function, *given.values()), outcome(python(name), *given.values())
            assert_same_outcome(got, want, f"{name}, {key} {label}")


@pytest.mark.matrix("dtype")
@every_kernel
@every_dtype
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning", "ignore:overflow:RuntimeWarning")
def test_whatever_comes_for_out(name, dtype):
    kernel, function = KERNELS[name], getattr(kernels, name)
    sizes, inputs = arguments(kernel, dtype)
    whole = outputs(kernel, sizes, dtype)
    for k, array in enumerate(whole):
        readonly = array.copy()
        readonly.flags.writeable = False
        for label, value in (*variants(array), ("read-only", readonly)):
            found = []
            for way in (function, python(name)):
                one = copy.deepcopy(value)
                parts = [*(a.copy() for a in whole[:k]), one, *(a.copy() for a in whole[k + 1 :])]
                found.append((outcome(way, *inputs.values(), out=tuple(parts)), parts))
            (got, mine), (want, theirs) = found
            assert_same_outcome(got, want, f"{name}, out[{k}] {label}")
            for a, b in zip(mine, theirs, strict=True):
                assert np.asarray(a, object).tolist() == np.asarray(b, object).tolist() or np.isnan(b).any()
    for out in (whole, whole[:-1], [*whole, None], (), [], None, "text", 1, {}, iter(whole), [None] * len(whole)):
        mine, theirs = copy.deepcopy(out) if isinstance(out, list) else out, out
        got, want = outcome(function, *inputs.values(), out=mine), outcome(python(name), *inputs.values(), out=theirs)
        assert_same_outcome(got, want, f"{name}, out {out!r}")


def placed(items, array, at):
    """Return a copy of an array that begins at an item of a block of memory."""
    place = items[at : at + array.size].reshape(array.shape)
    place[...] = array
    return place


@pytest.mark.matrix("dtype")
@every_kernel
@every_dtype
@pytest.mark.parametrize("numerics", NUMERICS)
def test_arrays_that_overlap(name, dtype, numerics):
    kernel = KERNELS[name]
    sizes, inputs = arguments(kernel, dtype, (4, 3, 5, 2))
    ways = (usual(name), python(name))
    # a result in the memory of an input, before it, on it, behind it
    for k, result in enumerate(kernel.results):
        target = outputs(kernel, sizes, dtype)[k]
        for key, array in inputs.items():
            if array.dtype != target.dtype:
                continue
            for shift in sorted({-target.size + 1, -1, 0, 1, array.size - 1}):
                found = []
                for way in ways:
                    memory = np.zeros(array.size + 2 * target.size + 1, array.dtype)
                    mine = placed(memory, array, target.size)
                    place = memory[target.size + shift :][: target.size].reshape(target.shape)
                    out = tuple(place if i == k else None for i in range(len(kernel.results)))
                    found.append((outcome(way, *{**inputs, key: mine}.values(), out=out, numerics=numerics), memory))
                (got, mine), (want, theirs) = found
                what = f"{result!r} {shift} items behind {key}"
                assert got != UNUSUAL, what
                assert_same_outcome(got, want, what)
                assert_same_bits(mine, theirs, what)
    # one result in the memory of another
    for j, k in itertools.combinations(range(len(kernel.results)), 2):
        a, b = (outputs(kernel, sizes, dtype)[i] for i in (k, j))
        if a.dtype != b.dtype:
            continue
        found = []
        for way in ways:
            memory = np.zeros(a.size + b.size, a.dtype)
            out = [None] * len(kernel.results)
            out[k], out[j] = placed(memory, a, 0), placed(memory, b, a.size // 2)
            found.append((outcome(way, *inputs.values(), out=tuple(out), numerics=numerics), memory))
        assert_same_outcome(found[0][0], found[1][0], f"results {k} and {j}")
        assert_same_bits(found[0][1], found[1][1], f"results {k} and {j}")
    # all inputs of a shape are one array, and a result is it, too
    first = next(iter(inputs.values()), None)
    for k, result in enumerate(kernel.results):
        if first is None or kernel.shape(result, sizes) != first.shape or output_dtype(result, dtype) != first.dtype:
            continue
        found = []
        for way in ways:
            mine = first.copy()
            same = [mine if a.shape == mine.shape and a.dtype == mine.dtype else a for a in inputs.values()]
            out = tuple(mine if i == k else None for i in range(len(kernel.results)))
            found.append(outcome(way, *same, out=out, numerics=numerics))
        assert_same_outcome(*found, "one array for all")


# -------------------------------------------------------------------------------------------- arguments
@every_kernel
def test_arguments_that_do_not_fit(name):
    kernel, function = KERNELS[name], getattr(kernels, name)
    _, inputs = arguments(kernel, "float64")
    first, *others = inputs
    values = [inputs[key] for key in inputs]
    calls = [
        (values[:-1], {}), ([*values, values[-1]], {}), ([], {}), (values, {first: values[0]}),
        (values[:1], dict.fromkeys(others[1:], 1.0)) if others else (values, {"out": 1}),
        (values, {"nothing_like_it": 1}), ([], {**inputs, "extra": 1}),
        (values, {"backend": "cythn"}), (values, {"backend": 3}), (values, {"backend": ["cython"]}),
        (values, {"numerics": "portabl"}), (values, {"numerics": None}), (values, {"numerics": 1}),
    ]  # fmt: skip
    for args, keywords in calls:
        got = outcome(function, *args, **keywords)
        assert isinstance(got, tuple), keywords
        assert issubclass(got[0], (TypeError, ValueError))
        assert_same_outcome(got, outcome(python(name), *args, **keywords), f"{keywords}")


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.attributes])
def test_whatever_comes_for_an_attribute(name):
    kernel, function = KERNELS[name], getattr(kernels, name)
    _, inputs = arguments(kernel, "float64")
    usual_ones = (0.25, 1, True, np.float64(0.5), 0, False, 2.0, -1.0, np.nan)
    for key in kernel.attributes:
        for value in (*usual_ones, np.float32(0.25), np.array(0.5), "0.5", "half", None, [1.0], 10**400, 1j):
            call = {key: value}
            assert_same_outcome(
                outcome(function, *inputs.values(), **call), outcome(python(name), *inputs.values(), **call), f"{call}"
            )
        for value in usual_ones:
            bound = kernel.row.bounds.get(key)
            inside = bound is None or bound.holds(float(value))
            if kernel.row.lengths:  # with it the inputs may fit no more
                inside = not isinstance(outcome(python(name), *inputs.values(), **{key: value}), tuple)
            assert (outcome(usual(name), *inputs.values(), **{key: value}) == UNUSUAL) == (not inside)


def test_words_need_not_be_interned():
    x = np.ones(3)
    words = {
        "".join(list(key)): "".join(list(value)) for key, value in {"numerics": "portable", "backend": "cython"}.items()
    }
    assert all(sys.intern(word) is not word for word in words)
    assert_same_bits(usual("leaky_relu_forward")(x, **words, **{"".join(["al", "pha"]): 0.5}), x)


def test_a_call_keeps_its_values_to_itself():
    x = np.array([-1.0])
    for alpha in (0.5, 0.25):
        assert kernels.leaky_relu_forward(x, alpha=alpha) == -alpha
    assert kernels.leaky_relu_forward(x) == -0.01
    assert entry_of(KERNELS["leaky_relu_forward"], {"alpha": 0.125})(x) == -0.125


def test_rows_that_are_added_are_called_likewise():
    if "entry_row" not in kernels.TABLE:
        kernels.add_row("entry_row", "activation", "y = np.tanh(x) * 2", "dx = dy * (2 - x)")
    x, y = np.linspace(-1, 1, 5), np.zeros(5)
    function, plain = kernels.entry_row_forward, python_function(KERNELS["entry_row_forward"])
    for numerics in NUMERICS:
        assert function(x, out=y, numerics=numerics) is y
        assert_same_bits(y, plain(x, numerics=numerics))
    assert pickle.loads(pickle.dumps(function)) is function
    assert entry_of(KERNELS["entry_row_backward"], {})(x, dy=x) is NotImplemented
    assert_same_bits(entry_of(KERNELS["entry_row_backward"], {})(x, x=x), x * (2 - x))


def test_a_backend_may_do_without_the_code_of_a_row(monkeypatch):
    plain = KERNELS["leaky_relu_forward"]
    kernel = Kernel(plain.name, plain.row, plain.signature)
    kernel.code = (3.0, 4.0)
    for backend in BACKENDS:
        monkeypatch.setattr(kernels.BACKENDS[backend], "attributes", lambda kernel, attributes: [*attributes.values()])
        function, x = entry_of(kernel, kernel.attributes), np.array([-1.0])
        assert function(x, backend=backend) == -0.01
        assert function(x, backend=backend, alpha=0.5) == -0.5


# ---------------------------------------------------------------------------------- errors of a kernel
@pytest.mark.parametrize("name", ["gather", "embedding_forward", "sparse_softmax_cross_entropy_forward"])
def test_an_error_leaves_out_alone(name):
    kernel = KERNELS[name]
    sizes, inputs = arguments(kernel, "float64")
    stray = next(o.name for o in kernel.inputs if kernel.row.domain.get(o.name) in ("index", "label"))
    inputs[stray].flat[-1] = 99
    out = outputs(kernel, sizes, "float64")
    with pytest.raises(IndexError, match=f"{name}: an index or label is out of range"):
        usual(name)(*inputs.values(), out=tuple(out))
    assert all((array == 7).all() for array in out)


# -------------------------------------------------------------------------- references, memory, threads
def left_behind(calls, held, times=30):
    """Return how many objects calls leave behind, and how many more references to those that are held."""
    for _ in range(3):
        calls()
    gc.freeze()  # what there is need not be looked through
    try:
        gc.collect()  # which also empties the lists of free objects
        before, blocks = [sys.getrefcount(one) for one in held], sys.getallocatedblocks()
        for _ in range(times):
            calls()
        gc.collect()
        grown = sys.getallocatedblocks() - blocks
        return grown // times, sum(sys.getrefcount(one) for one in held) - sum(before)
    finally:
        gc.unfreeze()


@every_kernel
def test_a_call_keeps_nothing(name):
    kernel, function = KERNELS[name], getattr(kernels, name)
    sizes, inputs = arguments(kernel, "float64")
    out = tuple(outputs(kernel, sizes, "float64"))
    in_place = tuple(inputs.get(o.name) for o in kernel.results)
    wrong = {**inputs, [*inputs][-1]: inputs[[*inputs][-1]][..., None]}
    attributes = {key: value * 1.5 for key, value in kernel.attributes.items()}

    def calls():
        for keywords in (
            {},
            {"out": out},
            {"out": in_place},
            attributes,
            {"backend": "nothing"},
            {"out": (*out, None)},
        ):
            outcome(function, *inputs.values(), **keywords)
        outcome(function, **inputs)
        outcome(usual(name), **wrong)

    held = [*inputs.values(), *out, *attributes.values(), *map(np.dtype, ("f4", "f8", "i8")), NotImplemented]
    assert left_behind(calls, held) == (0, 0)


def test_a_function_that_is_gone_leaves_nothing():
    kernel = KERNELS["adam_update"]
    otherwise = python(kernel.name)
    assert left_behind(lambda: entry_of(kernel, kernel.attributes, otherwise), [otherwise]) == (0, 0)


def test_others_run_while_a_large_call_does():
    a, calls, seen, over = np.ones((1500, 1500), np.float32), [], [], threading.Event()

    def work():
        for _ in range(5):
            start = time.perf_counter()
            kernels.matmul_nn(a, a, numerics="portable")
            calls.append((start, time.perf_counter()))
        over.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not over.wait(0.0005):
        seen.append(time.perf_counter())
    thread.join()
    # not just at its ends, where threads take turns anyway
    assert any(start + (end - start) / 3 < at < end - (end - start) / 3 for start, end in calls for at in seen)


@pytest.mark.parametrize("name", ["matmul_nn", "dense", "tanh_forward"])
def test_threads_share_a_large_call_and_move_no_bit(name):
    _, inputs = arguments(KERNELS[name], "float32", (400, 300, 350))
    found = []
    before = fastbp.get_num_threads()
    try:
        for n in (1, 2, 4):
            fastbp.set_num_threads(n)
            found.append(usual(name)(*inputs.values(), numerics="portable"))
    finally:
        fastbp.set_num_threads(before)
    for one in found[1:]:
        assert_same_bits(one, found[0])


@every_dtype
@pytest.mark.parametrize("numerics", NUMERICS)
def test_threads_do_not_disturb_each_other(dtype, numerics):
    kernel, failures = KERNELS["softmax_cross_entropy_forward"], []

    def work(seed):
        _, inputs = arguments(kernel, dtype, (300, 10), seed)
        want = [bits(one) for one in python(kernel.name)(*inputs.values(), numerics=numerics)]
        for _ in range(200):
            got = usual(kernel.name)(*inputs.values(), numerics=numerics)
            failures.extend(seed for one, other in zip(got, want, strict=True) if not (bits(one) == other).all())

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_labels_that_another_thread_changes_are_looked_at_where_they_are_used():
    code = """
import threading, time
import numpy as np
from fastbp import kernels

y_pred, labels, done = np.full((20_000, 5), 0.2), np.zeros(20_000, np.int64), threading.Event()

def change():
    while not done.is_set():
        labels[:] = 10**9
        labels[:] = 0

other = threading.Thread(target=change)
other.start()
end = time.monotonic() + 1
while time.monotonic() < end:
    for name in ("sparse_softmax_cross_entropy_forward", "sparse_categorical_cross_entropy_backward"):
        try:
            getattr(kernels, name)(y_pred, labels)
        except IndexError:
            pass
done.set()
other.join()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
