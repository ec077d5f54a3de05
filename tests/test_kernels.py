"""Every compiled kernel returns the bits of its NumPy definition; `fastbp.kernels` as its users see it."""

import importlib
import inspect
import math
import pickle
import threading
import warnings
import zlib

import numpy as np
import pytest
from _arrays import (
    BACKENDS,
    BUILDS,
    DTYPES,
    KINDS,
    Guarded,
    address,
    assert_same_bits,
    cases,
    filled_sizes,
    guarded,
    kernels_with,
    operands,
    output_dtype,
    primitives,
    reference,
    run_both,
    run_builds,
    run_guarded,
)

import fastbp
from fastbp import kernels
from fastbp.kernels import cython_ext, load
from fastbp.kernels.primitives import capsule_address
from fastbp.kernels.table import KERNELS, TABLE

ALL_BACKENDS = ("numpy", *BACKENDS)
every_kernel = pytest.mark.parametrize("name", KERNELS)
every_build = pytest.mark.parametrize("build", BUILDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


# ---------------------------------------------------------------------- the measures themselves
@every_dtype
def test_comparison_sees_every_bit(dtype):
    x = np.array([0.0, 1.0, np.nan], dtype)
    assert_same_bits(x, x.copy())
    assert_same_bits(x, np.array([0.0, 1.0, -np.nan], dtype))
    for other in ([-0.0, 1.0, np.nan], [0.0, np.nextafter(x[1], x[0]), np.nan], [0.0, 1.0, 1.0], [np.nan, 1.0, np.nan]):
        with pytest.raises(AssertionError, match="1 of 3 differ"):
            assert_same_bits(np.array(other, dtype), x)
    with pytest.raises(AssertionError, match="shape"):
        assert_same_bits(x[:2], x)
    with pytest.raises(AssertionError, match="dtype"):
        assert_same_bits(x.astype(np.float16), x)


@pytest.mark.parametrize("at", [-1, 3])
def test_canaries_see_a_word_beside_the_buffer(at):
    buffer = Guarded(np.arange(3.0), offset=1)
    assert buffer.intact
    np.lib.stride_tricks.as_strided(buffer.array[2:], (1,), (8,))[...] = 0
    assert buffer.intact
    block = buffer._block[Guarded.BYTES + 8 + 8 * at :][:8]
    block[...] = 0
    assert not buffer.intact


# ------------------------------------------------------------------------------------- exactness
def takes_too_long(kernel, label, sizes, attributes):
    """Whether a definition with the exact fma needs it of many numbers at the ends of the range."""
    if kernel.row.lengths and kernel.cost(sizes):
        return kernel.cost(sizes, attributes) > (5000 if " ordinary " in label else 1500)
    return " ordinary " not in label and math.prod(sizes.values()) > (5000 if len(sizes) == 3 else 130)


@pytest.mark.matrix("dtype")
@every_kernel
@every_dtype
def test_bits_of_the_definition(name, dtype):
    kernel = KERNELS[name]
    functions = {build: address(build, dtype, name) for build in BUILDS}
    compared, exact_fma = 0, "erf(" in kernel.source
    for k, (label, sizes, inputs, attributes) in enumerate(cases(kernel, dtype)):
        if exact_fma and takes_too_long(kernel, label, sizes, attributes):
            continue
        for shared in (None, *kernel.inplace):
            what = f"{label} {dtype}" + (f", {shared[0]} in {shared[1]}" if shared else "")
            found = run_builds(functions, kernel, dtype, sizes, inputs, attributes, shared, offset=k)
            try:
                for build, (want_status, want), (status, got) in found:
                    assert status == want_status, build
                    if status == 0 and want is not None:
                        for output in kernel.results:
                            expected = want[output.name]
                            # a definition that widened float32 would not be the program's
                            assert expected.dtype == output_dtype(output, dtype), f"{output!r} is {expected.dtype}"
                            assert_same_bits(
                                got[output.name], expected.reshape(got[output.name].shape), f"{build} {output}"
                            )
                            compared += 1
            except AssertionError as error:
                raise AssertionError(f"{what}: {error}") from None
    assert compared >= len(KINDS) * len(kernel.results) * len(BUILDS)


@pytest.mark.matrix("dtype")
@every_kernel
@every_dtype
def test_portable_bits_of_the_definition(name, dtype):
    kernel = KERNELS[name]
    functions = {build: (address(build, dtype, name), primitives(build, dtype, "portable")) for build in BUILDS}
    for k, (label, sizes, inputs, attributes) in enumerate(cases(kernel, dtype)):
        if takes_too_long(kernel, label, sizes, attributes):
            continue
        status, want = reference(kernel, inputs, attributes, "portable")
        for build, (function, table) in functions.items():
            for shared in (None, *kernel.inplace):
                what = f"{label} {build} {dtype}" + (f", {shared[0]} in {shared[1]}" if shared else "")
                buffers = guarded(kernel, dtype, sizes, inputs, shared, k)
                try:
                    found, got = run_guarded(function, table, kernel, sizes, inputs, attributes, buffers, shared)
                except AssertionError as error:
                    raise AssertionError(f"{what}: {error}") from None
                assert found == status, what
                for output in kernel.results if status == 0 and want is not None else ():
                    expected = np.asarray(want[output.name])
                    assert expected.dtype == output_dtype(output, dtype), f"{what}: {output!r} is {expected.dtype}"
                    assert_same_bits(got[output.name], expected.reshape(got[output.name].shape), f"{what} {output}")


@pytest.mark.parametrize("stray", ["below", "above", "far below", "far above"])
@pytest.mark.parametrize(
    ("kernel", "operand"),
    [pytest.param(k, o, id=f"{k.name}-{o.name}") for k, o in kernels_with("label", "compared", "index")],
)
@every_dtype
@every_build
def test_labels_and_indexes_out_of_range(kernel, operand, stray, dtype, build):
    sizes = {**dict.fromkeys(kernel.dims, 5), "batch": 37}
    value = {"below": -1, "above": 5, "far below": -(2**63), "far above": 2**63 - 1}[stray]
    for at in (0, 17, 36):
        inputs = operands(kernel, sizes, dtype, "ordinary", np.random.default_rng(at))
        wrong = inputs[operand.name].copy()
        wrong[at] = value
        inputs[operand.name] = wrong
        (want_status, want), (status, got) = run_both(
            address(build, dtype, kernel.name), kernel, dtype, sizes, inputs, kernel.attributes
        )
        # a label that is only compared may be wrong: it is no hit
        assert status == want_status == (0 if kernel.row.domain[operand.name] == "compared" else 1)
        for name in want:
            assert_same_bits(got[name], np.asarray(want[name]), name)


@every_build
@every_dtype
def test_check_finite(build, dtype):
    kernel = KERNELS["check_finite"]
    function = address(build, dtype, "check_finite")
    for value in (0.0, 1.0, -np.finfo(dtype).max, np.inf, -np.inf, np.nan):
        loss = {"loss": np.array(value, dtype)}
        (want, _), (status, _) = run_both(function, kernel, dtype, {}, loss, {})
        assert status == want == (0 if np.isfinite(value) else 2)


@every_build
@every_dtype
def test_threads_do_not_disturb_each_other(build, dtype):
    # kernels run without the GIL: anything they share would show
    kernel, sizes = KERNELS["softmax_cross_entropy_forward"], {"batch": 300, "n": 10}
    function = address(build, dtype, kernel.name)
    failures = []

    def work(seed):
        try:
            inputs = operands(kernel, sizes, dtype, "ordinary", np.random.default_rng(seed))
            for _ in range(50):
                (_, want), (_, got) = run_both(function, kernel, dtype, sizes, inputs, kernel.attributes)
                for output, array in got.items():
                    assert_same_bits(array, want[output], output)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


# ------------------------------------------------------------------------------------ known values
KNOWN = {
    "matmul_nn": [([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], {}, [[[19, 22], [43, 50]]])],
    "matmul_nt": [([[[1, 2], [3, 4]], [[5, 7], [6, 8]]], {}, [[[19, 22], [43, 50]]])],
    "matmul_tn": [([[[1, 3], [2, 4]], [[5, 6], [7, 8]]], {}, [[[19, 22], [43, 50]]])],
    "bias_forward": [([[[1, 2], [3, 4]], [10, 20]], {}, [[[11, 22], [13, 24]]])],
    "bias_backward": [([[[1, 2], [3, 4]]], {}, [[4, 6]])],
    "sigmoid_forward": [([[0, np.inf, -np.inf, -1e5]], {}, [[0.5, 1, 0, 0]])],
    "relu_forward": [([[-1, -0.0, 0, 2, -np.inf, np.inf]], {}, [[0, 0, 0, 2, 0, np.inf]])],
    "tanh_forward": [([[0, -0.0, np.inf, -np.inf]], {}, [[0, -0.0, 1, -1]])],
    "softmax_forward": [([[[1e4, 1e4], [0, -np.inf]]], {}, [[[0.5, 0.5], [1, 0]]])],
    "mean_squared_error_forward": [
        ([[1, 2, 3, 4], [1, 0, 3, 0]], {}, [[0, 4, 0, 16], 5]),
        ([[1, 2, 3, 4], [1, 0, 3, 0]], {"mean": 0}, [[0, 4, 0, 16], 20]),
    ],
    "mean_squared_error_backward": [([[1, 2, 3, 4], [1, 0, 3, 0]], {}, [[0, 1, 0, 2]])],
    "sgd_update": [([[1, 2], [2, -4], [0.25]], {}, [[0.5, 3]])],
    "momentum_update": [
        ([[1], [1], [1], [0.25]], {"momentum": 0.5}, [[0.625], [1.5]]),
        ([[1], [1], [1], [0.25]], {"momentum": 0.5, "nesterov": 1}, [[0.5625], [1.5]]),
    ],
    "adam_advance": [([[0.5, 0.75]], {"beta1": 0.5, "beta2": 0.25}, [[0.25, 0.1875]])],
    # the first step: lr * dw / (|dw| + eps), as eps counts after the bias correction
    "adam_update": [
        (
            [[1, 1], [3, -7], [0, 0], [0, 0], [0.5, 0.75], [0.5]], {"beta1": 0.5, "beta2": 0.75, "eps": 1.0},
            [[0.625, 1.4375], [1.5, -3.5], [2.25, 12.25]],
        ),
    ],
    "gather": [([[[1, 2], [3, 4], [5, 6]], [2, 0, 2]], {}, [[[5, 6], [1, 2], [5, 6]]])],
    "gather_labels": [([[7, 8, 9], [2, 0, 2]], {}, [[9, 7, 9]])],
    "gather_label_rows": [([[[7, 8], [9, 1], [2, 3]], [2, 0, 2]], {}, [[[2, 3], [7, 8], [2, 3]]])],
    "embedding_forward": [
        ([[[2, 0], [-0.0, 2]], [[1, 2], [3, 4], [5, 6]]], {}, [[[[5, 6], [1, 2]], [[1, 2], [5, 6]]]]),
    ],
    # rows of dy that share a row of w are added one after the other
    "embedding_backward": [
        (
            [[[[1], [2]], [[4], [1e30]], [[-1e30], [8]]], [[2, 0], [2, 1], [1, 1]], [[0], [0], [0]]], {},
            [[[2], [8], [5]]],
        ),
    ],
    "prelu_forward": [([[[-2, 2, -0.0, 0]], [0.25, 9, 2, 2]], {}, [[[-0.5, 2, -0.0, 0]]])],
    "prelu_backward": [
        ([[[3, 5, 7], [1, 1, 1]], [[-2, 2, 0], [4, 4, -4]], [0.5, 9, 2]], {}, [[[1.5, 5, 14], [1, 1, 2]], [-6, 0, -4]]),
    ],
    "sparse_categorical_accuracy": [([[[0, 1, 1], [2, 1, 2], [0, 0, 5]], [1, 2, 2]], {}, [2])],
    "categorical_accuracy": [([[[0, 1, 1], [2, 1, 2]], [[0, 1, 0], [0, 0, 1]]], {}, [1])],
    "binary_accuracy": [
        ([[0.5, 0.75, 0.25, 1], [0, 1, 1, 1]], {}, [3]),
        ([[0.5, 0.75, -0.25, 1], [0, 1, 0, 1]], {"threshold": 0}, [3]),
    ],
    # of equals the first is ahead, NaN comes last
    "sparse_top_k_categorical_accuracy": [
        ([[[3, 1, 3, 2], [3, 1, 3, 2], [0, 0, 0, 0], [np.nan, 1, 2, 3]], [0, 2, 1, 0]], {"k": 1}, [1]),
        ([[[3, 1, 3, 2], [3, 1, 3, 2], [0, 0, 0, 0], [np.nan, 1, 2, 3]], [0, 2, 1, 0]], {"k": 2}, [3]),
        ([[[3, 1, 3, 2], [3, 1, 3, 2], [0, 0, 0, 0], [np.nan, 1, 2, 3]], [0, 2, 1, 0]], {}, [4]),
    ],
    "top_k_categorical_accuracy": [
        ([[[1, 2, 3], [1, 2, 3]], [[1, 0, 0], [0, 1, 0]]], {"k": 2}, [1]),
        ([[[1, 2, 3], [1, 2, 3]], [[1, 0, 0], [0, 1, 0]]], {"k": 3}, [2]),
    ],
    "binary_confusion": [
        ([[0.5, 0.75, 0.25, 1, 1, 0], [0, 0, 1, 1, 1, 0]], {}, [[[2, 1], [1, 2]]]),
        ([[-0.5, 0.75, 0, 0.25], [0, 0, 1, 1]], {"threshold": 0}, [[[1, 1], [1, 1]]]),
    ],
    "sparse_confusion": [([[[0, 1, 1], [2, 1, 2], [0, 0, 5]], [1, 2, 2]], {}, [[4, 6, 8]])],
    "categorical_confusion": [([[[0, 1, 1], [2, 1, 2]], [[0, 1, 0], [0, 0, 1]]], {}, [[4, 6]])],
    "batch_norm_forward": [
        ([[[1, 0], [3, 0]]], {"eps": 0.5625}, [[[-0.8, 0], [0.8, 0]], [0.8, 1 / 0.75], [2, 0], [1, 0]]),
    ],
    "normalize": [([[[1, 5], [3, 0]], [1, 1], [3, 0]], {"eps": 1}, [[[0, 4], [1, -1]], [0.5, 1]])],
    "moving_average": [([[8, 0], [4, -4]], {"momentum": 0.75}, [[7, -1]])],
    "mean_absolute_error_forward": [([[1, 2, 3, -4], [1, 4, -3, 0]], {"mean": 0}, [[0, 2, 6, 4], 12])],
    "subtract": [([[1, 2], [3, 5]], {}, [[-2, -3]])],
    "multiply": [([[1, 2], [3, 5]], {}, [[3, 10]])],
    "add_scaled": [([[1, 2], [3, 5]], {"factor": 2}, [[7, 12]])],
    "scale_by": [([[1, -2]], {"factor": -2}, [[-2, 4]])],
    "divide_by": [([[1, -2]], {"divisor": -2}, [[-0.5, 1]])],
    "shift_by": [([[1, -2]], {"offset": -2}, [[-1, -4]])],
    # of equals and of two NaN the first
    "maximum_forward": [
        ([[1, 5, 0.0, -0.0, np.nan, 1, np.inf], [2, 4, -0.0, 0.0, 1, np.nan, np.inf]], {},
         [[2, 5, 0.0, -0.0, np.nan, np.nan, np.inf]]),
    ],
    "maximum_backward": [
        ([[1, 2, 3, 4, 5, 6], [1, 5, 0.0, -0.0, np.nan, 1], [2, 4, -0.0, 0.0, np.nan, np.nan]], {},
         [[0, 2, 3, 4, 5, 0], [1, 0, 0, 0, 0, 6]]),
    ],
    "minimum_forward": [
        ([[1, 5, 0.0, -0.0, np.nan, 1, np.inf], [2, 4, -0.0, 0.0, 1, np.nan, np.inf]], {},
         [[1, 4, 0.0, -0.0, np.nan, np.nan, np.inf]]),
    ],
    "minimum_backward": [
        ([[1, 2, 3, 4, 5, 6], [1, 5, 0.0, -0.0, np.nan, 1], [2, 4, -0.0, 0.0, np.nan, np.nan]], {},
         [[1, 0, 3, 4, 5, 0], [0, 2, 0, 0, 0, 6]]),
    ],
    "concatenate_2": [([[[1], [2]], [[3, 4], [5, 6]]], {}, [[[1, 3, 4], [2, 5, 6]]])],
    "concatenate_3": [([[[1], [2]], [[3, 4], [5, 6]], [[7], [8]]], {}, [[[1, 3, 4, 7], [2, 5, 6, 8]]])],
    "concatenate_4": [([[[1]], [[2, 3]], [[4]], [[5]]], {}, [[[1, 2, 3, 4, 5]]])],
    "columns_forward": [([[[1, 2, 3, 4], [5, 6, 7, 8]]], {"before": 1, "after": 2}, [[[2], [6]]])],
    "columns_backward": [([[[2], [6]]], {"before": 1, "after": 2}, [[[0, 2, 0, 0], [0, 6, 0, 0]]])],
    "sum_axis": [([[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]], {}, [[[4, 6], [12, 14]]])],
    "repeat": [([[[1, 2], [3, 4]]], {"times": 2}, [[[[1, 2], [1, 2]], [[3, 4], [3, 4]]]])],
    "max_axis_forward": [
        ([[[[1, 0.0, np.nan, 1], [2, -0.0, 1, np.nan], [2, 0.0, 3, 5]]]], {}, [[[2, 0.0, np.nan, np.nan]]]),
    ],
    "max_axis_backward": [
        (
            [[[1, 2, 3, 4]], [[[1, -0.0, np.nan, 1], [2, 0.0, 1, np.nan], [2, 0.0, 3, 5]]], [[2, 0.0, np.nan, np.nan]]],
            {}, [[[[0, 2, 3, 0], [1, 0, 0, 4], [0, 0, 0, 0]]]],
        ),
    ],
    "swap_axes": [([[[[[1], [2], [3]], [[4], [5], [6]]]]], {}, [[[[[1], [4]], [[2], [5]], [[3], [6]]]]])],
    "interpolate_forward": [
        ([[[[0.0], [8.0]]]], {}, [[[[0.0], [2.0], [6.0], [8.0]]]]),
        # the middle of three, and what lies beyond the ends, are copies
        ([[[[np.inf], [1.0]]]], {"factor": 3.0}, [[[[np.inf]] * 4 + [[1.0]] * 2]]),
        ([[[[5.0, -0.0]]]], {"factor": 3.0}, [[[[5.0, -0.0]] * 3]]),
    ],
    "interpolate_backward": [([[[[1.0], [10.0], [100.0], [-0.0]]]], {}, [[[[33.5], [77.5]]]])],
    "flip": [
        (
            [[[[[1], [2]], [[3], [-0.0]]]] * 2, [[0.4, 0.5], [0.5, 0.4]]],
            {"vertical": 1.0}, [[[[[3], [-0.0]], [[1], [2]]], [[[2], [1]], [[-0.0], [3]]]]],
        ),
    ],
    "translate_forward": [
        # down by 0, 1 or 2, to the right by 1 .. 3
        (
            [[[[[1], [2]], [[3], [4]]]] * 2, [[0.0, 0.9], [0.4, 0.0]]],
            {"first_w": 1.0, "fill": 0.0, "value": 7.0}, [[[[[7], [7]], [[7], [7]]], [[[7], [7]], [[7], [1]]]]],
        ),
        *[
            ([[[[[1], [2], [3]]]], [[0.0, 0.4]]], {"first_w": 1.0, "fill": fill}, [[[[[a], [b], [c]]]]])
            for fill, a, b, c in [(0, 0, 0, 1), (1, 1, 1, 1), (2, 2, 1, 1), (3, 2, 3, 1)]
        ],
        ([[[[[1], [2], [3]]]], [[0.0, 0.0]]], {"first_w": -4.0, "count_w": 1.0}, [[[[[2], [1], [1]]]]]),
    ],
    "translate_backward": [
        *[
            ([[[[[1], [10], [100]]]], [[0.0, 0.4]]], {"first_w": 1.0, "fill": fill}, [[[[[a], [b], [c]]]]])
            for fill, a, b, c in [(0, 100, 0, 0), (1, 111, 0, 0), (2, 110, 1, 0), (3, 100, 1, 10)]
        ],
    ],
    "crop_forward": [
        ([[[[[1], [2], [3]], [[4], [5], [6]]]], [[0.6, 0.4]]], {"spare_h": 1.0, "spare_w": 2.0}, [[[[[5]]]]]),
    ],
    "crop_backward": [
        ([[[[[7]]]], [[0.6, 0.4]]], {"spare_h": 1.0, "spare_w": 2.0}, [[[[[0], [0], [0]], [[0], [7], [0]]]]]),
    ],
    "batched_nn": [([[[[1, 2]], [[3, 4]]], [[[5], [6]], [[7], [8]]]], {}, [[[[17]], [[53]]]])],
    "batched_nt": [([[[[1, 2]], [[3, 4]]], [[[5, 6]], [[7, 8]]]], {}, [[[[17]], [[53]]]])],
    "batched_tn": [([[[[1], [2]], [[3], [4]]], [[[5], [6]], [[7], [8]]]], {}, [[[[17]], [[53]]]])],
    # of 3x3 cells and a kernel of 2x2; then with a row of zeros above, every second row
    "convolve": [
        (
            [[[[[1], [2], [3]], [[4], [5], [6]], [[7], [8], [9]]]], [[[[1]], [[10]]], [[[100]], [[1000]]]]], {},
            [[[[[5421], [6532]], [[8754], [9865]]]]],
        ),
        (
            [[[[[1], [2], [3]], [[4], [5], [6]], [[7], [8], [9]]]], [[[[1]], [[10]]], [[[100]], [[1000]]]]],
            {"top": 1, "stride_h": 2}, [[[[[2100], [3200]], [[8754], [9865]]]]],
        ),
        # two channels, each with a filter of its own
        ([[[[[2, 3]]]], [[[[5, 7]]]]], {"groups": 2}, [[[[[10, 21]]]]]),
    ],
    "convolve_bias": [
        ([[[[[2, 3]]]], [[[[5, -7], [1, 1]]]], [0.5, 0.5]], {}, [[[[[13.5, -10.5]]]]]),
        ([[[[[2, 3]]]], [[[[5, -7], [1, 1]]]], [0.5, 0.5]], {"relu": 1}, [[[[[13.5, 0]]]]]),
    ],
    "convolve_dw": [
        (
            [[[[[1], [2], [3]], [[4], [5], [6]], [[7], [8], [9]]]], [[[[1], [10]], [[100], [1000]]]]], {},
            [[[[[5421]], [[6532]]], [[[8754]], [[9865]]]]],
        ),
    ],
    "convolve_dx": [
        (
            [[[[[1], [2]], [[3], [4]]]], [[[[1]], [[10]]], [[[100]], [[1000]]]]],
            {"input_height": 3, "input_width": 3},
            [[[[[1], [12], [20]], [[103], [1234], [2040]], [[300], [3400], [4000]]]]],
        ),
    ],
}  # fmt: skip


@every_backend
@every_dtype
@pytest.mark.parametrize("name", KNOWN)
def test_known_values(name, dtype, backend):
    kernel = KERNELS[name]
    for inputs, attributes, outputs in KNOWN[name]:
        arrays = [np.array(v, output_dtype(o, dtype)) for o, v in zip(kernel.inputs, inputs, strict=True)]
        got = getattr(kernels, name)(*arrays, backend=backend, **attributes)
        for operand, array, want in zip(kernel.results, got if len(outputs) > 1 else [got], outputs, strict=True):
            assert_same_bits(array, np.array(want, output_dtype(operand, dtype)), f"{name} {operand}")


# --------------------------------------------------------------------------------------- loading
@every_backend
@every_dtype
def test_a_backend_has_every_kernel(backend, dtype):
    found = load(backend, dtype)
    assert list(found) == list(KERNELS)
    if backend != "numpy":
        assert len(set(found.values())) == len(KERNELS)
        assert all(isinstance(value, int) and value for value in found.values())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["relu_forward", "softmax_forward"])
def test_a_hole_raises(backend, name, monkeypatch):
    if backend == "cython":
        lacking = {k: v for k, v in cython_ext.capsules("float32").items() if k != name}
        monkeypatch.setattr(cython_ext, "capsules", lambda dtype: lacking)
    else:
        monkeypatch.delattr(importlib.import_module("fastbp.kernels.numba_jit.generated"), name)
    with pytest.raises(NotImplementedError, match=rf"{backend}.*{name}"):
        load(backend, "float32")
    assert list(load(backend, "float32", ["tanh_forward"])) == ["tanh_forward"]


@pytest.mark.skipif("cython" not in BACKENDS, reason="FASTBP_TEST_BACKENDS leaves cython out")
@every_dtype
def test_cython_loads_the_level_in_use(dtype, monkeypatch):
    for level in cython_ext.levels():
        monkeypatch.setenv("FASTBP_LEVEL", level)
        assert cython_ext.level() == level
        capsules = cython_ext.capsules(dtype, at=level)
        assert load("cython", dtype) == {name: capsule_address(capsules[name]) for name in KERNELS}
    monkeypatch.delenv("FASTBP_LEVEL")
    assert cython_ext.level() == cython_ext.levels()[-1]
    monkeypatch.setenv("FASTBP_LEVEL", "v9")
    with pytest.raises(ValueError, match=r"FASTBP_LEVEL is 'v9'.*can run"):
        load("cython", dtype)


def test_levels_are_different_builds():
    found = {address(f"cython-{level}", "float32", "relu_forward") for level in cython_ext.levels()}
    assert len(found) == len(cython_ext.levels())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nunba",), "did you mean 'numba'"),
        (("cython", "float16"), "'float32' or 'float64'"),
        (("cython", "float32", ["relu_forwards"]), "did you mean 'relu_forward'"),
    ],
)
def test_load_says_what_it_does_not_know(arguments, message):
    with pytest.raises(ValueError, match=message):
        load(*arguments)


def test_include_directory_holds_the_header():
    with open(kernels.get_include() + "/abi.h") as header:
        text = header.read()
    assert "fastbp_kernel" in text


def test_the_order_of_targets_and_predictions_is_told():
    told = "comes first here; losses and metrics take ``(y_true, y_pred)``"
    for name, kernel in KERNELS.items():
        first, *others = (o.name for o in kernel.inputs)
        assert (f"{first} {told}" in getattr(kernels, name).__doc__) == ("y_true" in others), name


# ------------------------------------------------------------------- kernels as ordinary functions
def layouts(array):
    """Yield the same values in other memory: a label and an array."""
    wide = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    wide[..., ::2] = array
    yield "strided", wide[..., ::2]
    yield "reversed", np.ascontiguousarray(array[::-1])[::-1]
    yield "Fortran", np.asfortranarray(array)
    yield "byte-swapped", array.astype(array.dtype.newbyteorder())
    yield "read-only", array
    unaligned = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    unaligned[...] = array
    yield "unaligned", unaligned


@every_kernel
@every_backend
@every_dtype
def test_any_memory_layout(name, backend, dtype):
    kernel, function = KERNELS[name], getattr(kernels, name)
    sizes = filled_sizes(kernel, (7, 5, 6, 3, 4))
    inputs = operands(kernel, sizes, dtype, "ordinary", np.random.default_rng(1))
    before = {k: v.copy() for k, v in inputs.items()}
    status, want = reference(kernel, inputs, kernel.attributes)
    assert status == 0
    for operand in kernel.inputs:
        for label, array in layouts(inputs[operand.name]) if operand.dims else ():
            got = function(*{**inputs, operand.name: array}.values(), backend=backend)
            got = got if isinstance(got, tuple) else (got,)
            for output, value in zip(kernel.results, got, strict=True):
                assert_same_bits(value, np.asarray(want[output.name]), f"{name}, {operand.name} {label}: {output}")
    for key, array in inputs.items():
        assert array.tobytes() == before[key].tobytes()


@every_kernel
@every_backend
def test_lists(name, backend):
    kernel, function = KERNELS[name], getattr(kernels, name)
    sizes = filled_sizes(kernel, (4, 3, 2, 5, 2))
    inputs = operands(kernel, sizes, "float64", "ordinary", np.random.default_rng(2))
    _, want = reference(kernel, inputs, kernel.attributes)
    got = function(*(array.tolist() for array in inputs.values()), backend=backend)
    for output, value in zip(kernel.results, got if isinstance(got, tuple) else (got,) * bool(want), strict=True):
        assert_same_bits(value, np.asarray(want[output.name]), f"{name} {output}")


@every_kernel
@every_backend
@every_dtype
def test_out(name, backend, dtype):
    kernel, function = KERNELS[name], getattr(kernels, name)
    if not kernel.results:
        assert function(*operands(kernel, {}, dtype, "ordinary", np.random.default_rng(3)).values(), out=()) is None
        return
    sizes = filled_sizes(kernel, (4, 3, 2, 5, 2))
    inputs = operands(kernel, sizes, dtype, "ordinary", np.random.default_rng(3))
    _, want = reference(kernel, inputs, kernel.attributes)
    out = tuple(np.full(kernel.shape(o, sizes), 7, output_dtype(o, dtype)) for o in kernel.results)
    got = function(*inputs.values(), out=out if len(out) > 1 else out[0], backend=backend)
    for output, value, given in zip(kernel.results, got if len(out) > 1 else (got,), out, strict=True):
        assert value is given
        assert_same_bits(value, np.asarray(want[output.name]).reshape(given.shape), f"{name} {output}")
    for k, output in enumerate(kernel.results):
        readonly = out[k].copy()
        readonly.flags.writeable = False
        other = np.float64 if out[k].dtype == np.float32 else np.float32
        for wrong in (np.zeros((*out[k].shape, 2), out[k].dtype), out[k].astype(other), readonly):
            with pytest.raises(ValueError, match=f"{name}: out for {output.name} must be a writeable {out[k].dtype}"):
                function(*inputs.values(), out=(*out[:k], wrong, *out[k + 1 :]), backend=backend)
    with pytest.raises(ValueError, match=f"{name}: out has {len(out) + 1} arrays"):
        function(*inputs.values(), out=(*out, out[0]), backend=backend)


@every_backend
def test_out_may_be_strided_and_may_overlap_an_input(backend):
    x = np.array([-1.0, 2.0, -3.0, 4.0, 5.0])
    wide = np.full(10, 7.0)
    got = kernels.relu_forward(x, out=wide[::2], backend=backend)
    assert_same_bits(got, np.array([0.0, 2.0, 0.0, 4.0, 5.0]))
    assert_same_bits(wide[1::2], np.full(5, 7.0))
    # out runs one element behind the input
    memory = np.concatenate([[0.0], x])
    kernels.relu_forward(memory[1:], out=memory[:-1], backend=backend)
    assert_same_bits(memory, np.array([0.0, 2.0, 0.0, 4.0, 5.0, 5.0]))


@every_backend
def test_out_is_left_alone_by_an_error(backend):
    source, index = np.arange(6.0).reshape(3, 2), np.array([0, 1, 3])
    out = np.full((3, 2), 7.0)
    with pytest.raises(IndexError):
        kernels.gather(source, index, out=out, backend=backend)
    assert_same_bits(out, np.full((3, 2), 7.0))


@every_backend
def test_dtypes(backend):
    relu = kernels.relu_forward
    single = np.array([-1, 2], np.float32)
    assert_same_bits(relu(single, backend=backend), np.array([0, 2], np.float32))
    for dtype in (bool, np.int8, np.uint64, np.int64, np.float16, np.float64):
        x = np.array([0, 1], dtype)
        assert_same_bits(relu(x, backend=backend), np.array([0.0, 1.0]))
    # one operand of float64 decides; the rate and the labels do not
    assert kernels.bias_forward(single.reshape(1, 2), np.ones(2), backend=backend).dtype == np.float64
    assert kernels.sgd_update(single, single, np.array([0.5]), backend=backend).dtype == np.float32
    labels = kernels.gather_labels([3, 4], [1], backend=backend)
    assert_same_bits(labels, np.array([4], np.int64))
    for dtype in (np.uint8, np.int32):
        assert_same_bits(kernels.gather_labels(np.array([3, 4], dtype), np.array([1], dtype), backend=backend), labels)
    assert kernels.gather(np.ones((3, 2)), [], backend=backend).shape == (0, 2)


def test_integers_that_are_bytes():
    dy, index = np.ones((1, 1, 1, 3)), np.array([0, 3, 255]).reshape(1, 1, 1, 3)
    options = {"backend": "numpy", "input_height": 2, "input_width": 2}
    want = kernels.max_pool_dx(dy, index.astype(np.uint8), **options)
    for given in (index, index.astype(np.uint16), index.tolist()):
        assert_same_bits(kernels.max_pool_dx(dy, given, **options), want)
    for stray, dtype in ((-1, np.int8), (-1, np.int64), (256, np.uint16), (2**64 - 1, np.uint64)):
        with pytest.raises(ValueError, match=f"max_pool_dx: index holds {stray}; it must hold integers from 0 to 255"):
            kernels.max_pool_dx(dy, np.array([0, stray, 1], dtype).reshape(dy.shape), **options)
    for wrong in (bool, np.float32):
        with pytest.raises(TypeError, match=f"max_pool_dx: index must hold integers, got {np.dtype(wrong)}"):
            kernels.max_pool_dx(dy, index.astype(wrong), **options)


@every_backend
@pytest.mark.parametrize("dtype", [complex, object, "U1", "M8[s]", np.longdouble, [("a", float)]])
def test_dtypes_that_are_no_real_numbers(dtype, backend):
    if np.dtype(dtype) == np.float64:
        pytest.skip("long double is double here")
    with pytest.raises(TypeError, match=r"relu_backward: y has dtype .*float32 or float64"):
        kernels.relu_backward([1.0, 2.0], np.zeros(2, dtype), backend=backend)


@every_backend
@pytest.mark.parametrize(
    ("kernel", "operand"),
    [pytest.param(k, o, id=f"{k.name}-{o.name}") for k, o in kernels_with("label", "compared", "index")],
)
def test_labels_and_indexes_must_be_valid_integers(kernel, operand, backend):
    function = getattr(kernels, kernel.name)
    inputs = operands(kernel, dict.fromkeys(kernel.dims, 3), "float64", "ordinary", np.random.default_rng(4))
    if operand.dtype == "i8":
        with pytest.raises(TypeError, match=f"{kernel.name}: {operand.name} must hold integers"):
            function(*{**inputs, operand.name: np.zeros(3)}.values(), backend=backend)
    for stray in () if kernel.row.family == "metric" else (-1, 3) if operand.dtype == "i8" else (-1, 3, 0.5, np.nan):
        wrong = np.array(inputs[operand.name])
        wrong[-1] = stray
        with pytest.raises(IndexError):
            function(*{**inputs, operand.name: wrong}.values(), backend=backend)


@every_backend
def test_not_finite(backend):
    assert kernels.check_finite(1.0, backend=backend) is None
    with pytest.raises(FloatingPointError, match="not finite"):
        kernels.check_finite(np.nan, backend=backend)


@every_backend
@pytest.mark.parametrize(
    ("name", "shapes", "message"),
    [
        ("matmul_nn", [(2, 3), (4, 5)], r"matmul_nn: b\[k,n\] has shape \(4, 5\); a says k is 3"),
        ("matmul_nt", [(2, 3), (4, 5)], r"matmul_nt: b\[n,k\] has shape \(4, 5\); a says k is 3"),
        ("matmul_tn", [(2, 3), (4, 5)], r"matmul_tn: b\[k,n\] has shape \(4, 5\); a says k is 2"),
        ("matmul_nn", [(2, 3), (3,)], r"matmul_nn: b has shape \(3,\); it must be b\[k,n\]"),
        ("bias_forward", [(2, 3), (2,)], r"bias_forward: b\[n\] has shape \(2,\); x says n is 3"),
        ("bias_forward", [(3, 3), (3, 1)], r"bias_forward: b has shape \(3, 1\); it must be b\[n\]"),
        ("relu_backward", [(4,), (5,)], r"relu_backward: y\[n\] has shape \(5,\); dy says n is 4"),
        ("softmax_forward", [(4,)], r"softmax_forward: x has shape \(4,\); it must be x\[batch,n\]"),
        ("adam_advance", [(3,)], r"adam_advance: power\[2\].* has shape \(3,\)"),
        ("check_finite", [(1,)], r"check_finite: loss has shape \(1,\); it must be loss\[\]"),
    ],
)
def test_wrong_shapes_name_the_operand(name, shapes, message, backend):
    with pytest.raises(ValueError, match=message):
        getattr(kernels, name)(*map(np.ones, shapes), backend=backend)


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 5), (), (1,)])
@every_backend
def test_n_is_an_array_of_any_shape(shape, backend):
    x = np.full(shape, 2.0)
    assert_same_bits(kernels.relu_forward(x, backend=backend), x)
    assert_same_bits(kernels.tanh_backward(x, np.zeros(shape), backend=backend), x)


@pytest.mark.parametrize(
    "name", [k for k, v in KERNELS.items() if v.elementwise and [o.dims for o in v.inputs].count(("n",)) > 1]
)
@every_backend
def test_arrays_of_unlike_shapes_are_refused(name, backend):
    # of (6, 1) and (6,) broadcasting would make (6, 6): a loss over pairs that nobody meant
    kernel = KERNELS[name]
    inputs = operands(kernel, {"n": 6}, "float64", "ordinary", np.random.default_rng(5))
    first, second, *_ = (o.name for o in kernel.inputs if o.dims == ("n",))
    for one, other in (((6, 1), (6,)), ((6,), (6, 1)), ((2, 3), (3, 2))):
        unlike = {**inputs, first: inputs[first].reshape(one), second: inputs[second].reshape(other)}
        with pytest.raises(ValueError, match=f"{name}: {second}"):
            getattr(kernels, name)(*unlike.values(), backend=backend)


@every_kernel
@every_backend
def test_no_warnings(name, backend):
    kernel = KERNELS[name]
    sizes = filled_sizes(kernel, (9, 8, 7, 6, 5))
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for inputs in [operands(kernel, sizes, "float32", kind, rng) for kind in KINDS]:
        with warnings.catch_warnings(), np.errstate(all="warn"):
            warnings.simplefilter("error")
            try:
                getattr(kernels, name)(*inputs.values(), backend=backend)
            except (FloatingPointError, IndexError):
                assert name in ("check_finite", "embedding_forward", "embedding_backward")


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'relu_forwrd'; did you mean 'relu_forward'"):
        kernels.relu_forwrd  # noqa: B018
    with pytest.raises(ImportError):
        from fastbp.kernels import relu_sideways  # noqa: F401
    with pytest.raises(TypeError, match="mean_squared_error_forward has no attribute 'meen'; did you mean 'mean'"):
        kernels.mean_squared_error_forward([1.0], [1.0], meen=0)
    with pytest.raises(TypeError, match=r"relu_backward takes 2 arrays \(dy, y\), got 1"):
        kernels.relu_backward([1.0])
    with pytest.raises(ValueError, match="did you mean 'cython'"):
        kernels.relu_forward([1.0], backend="cyton")


@every_kernel
def test_functions_describe_themselves(name):
    kernel, function = KERNELS[name], getattr(kernels, name)
    assert getattr(kernels, name) is function
    assert name in dir(kernels)
    assert name in kernels.__all__
    assert pickle.loads(pickle.dumps(function)) is function
    parameters = inspect.signature(function).parameters
    assert list(parameters) == [*(o.name for o in kernel.inputs), "out", "backend", "numerics", *kernel.attributes]
    assert {k: parameters[k].default for k in kernel.attributes} == dict(kernel.attributes)
    for part in (kernel.signature.strip(), *map(str.strip, kernel.source.splitlines()), TABLE[kernel.row.name].source):
        assert part in function.__doc__


@pytest.mark.skipif("cython" not in BACKENDS, reason="FASTBP_TEST_BACKENDS leaves cython out")
def test_the_cpu_is_asked_for_its_level_once(monkeypatch):
    kernels.relu_forward([1.0])
    monkeypatch.setattr(cython_ext, "cpu_level", None)
    assert cython_ext.level() in cython_ext.levels()
    for numerics in kernels.NUMERICS:
        assert kernels.tanh_forward([0.0], numerics=numerics, backend="cython") == 0
    fastbp.Sequential([fastbp.Dense(2)], input_shape=2).compile("sgd", "mse", backend="cython")
