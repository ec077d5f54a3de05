"""Convolutions against their definitions as bits: strides, padding, dilation, groups, threads, images alone."""

import ctypes
import itertools
import math

import numpy as np
import pytest
from _arrays import (
    BUILDS,
    DTYPES,
    KINDS,
    SEED,
    Primitive,
    address,
    assert_same_bits,
    guarded,
    operands,
    primitives,
    reference,
    run_builds,
    run_guarded,
)

import fastbp
from fastbp import kernels
from fastbp.kernels.operations import NUMBERS, PRIMITIVES
from fastbp.kernels.table import KERNELS

NAMES = ("convolve", "convolve_bias", "convolve_dw", "convolve_dx")
CHANNELS = (1, 3, 5, 16, 17, 64)
#: Padding at the top, the bottom, the left and the right.
PADDINGS = ((0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 0), (3, 2, 1, 3))
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


@pytest.fixture(autouse=True)
def threads():
    """Leave the number of threads as it was."""
    before = fastbp.get_num_threads()
    yield
    fastbp.set_num_threads(before)


def windows(count):
    """Yield `count` convolutions out of all: shapes by their dimensions, and attributes."""
    rng = np.random.default_rng(SEED)
    every = list(itertools.product(range(1, 8), (1, 2, 3), (1, 2, 3), PADDINGS, CHANNELS, CHANNELS))
    for k, stride, dilation, padding, c, o in map(every.__getitem__, rng.permutation(len(every))[:count]):
        # some kernels and strides are not square; some images are smaller than the kernel
        kh, kw = (k, k) if rng.integers(3) else (k, int(rng.integers(1, 8)))
        strides = (stride, stride) if rng.integers(3) else (stride, int(rng.integers(1, 4)))
        height, width = (int(dilation * (n - 1) + rng.integers(-2, 8)) for n in (kh, kw))
        groups = int(rng.choice([n for n in range(1, 18) if c % n == 0 and o % n == 0] + [1] * 3))
        attributes = dict(zip(("stride_h", "stride_w"), strides, strict=True))
        attributes |= dict(zip(("top", "bottom", "left", "right"), padding, strict=True))
        attributes |= {"dilation_h": dilation, "dilation_w": dilation, "groups": groups}
        yield (
            {"batch": int(rng.choice((0, 1, 1, 2, 3))), "height": max(height, 0), "width": max(width, 0), "c": c},
            {"kh": kh, "kw": kw, "n": c // groups, "o": o},
            {name: float(value) for name, value in attributes.items()},
        )


def call_of(name, image, weights, attributes, dtype, kind, rng):
    """Return sizes, inputs and attributes of one of the kernels."""
    kernel, extra = KERNELS[name], {}
    if "relu" in kernel.attributes:
        extra["relu"] = float(rng.integers(2))
    extra |= {"kernel_height": weights["kh"], "kernel_width": weights["kw"]} if name == "convolve_dw" else {}
    extra |= {"input_height": image["height"], "input_width": image["width"]} if name == "convolve_dx" else {}
    attributes = {**attributes, **{key: float(value) for key, value in extra.items()}}
    x, w = tuple(image.values()), tuple(weights.values())
    forward = KERNELS["convolve"].sizes([x, w, None, None, None], attributes)
    shapes = {"x": x, "w": w, "b": w[-1:], "dy": (x[0], forward["oh"], forward["ow"], w[-1])}
    sizes = kernel.sizes([shapes[o.name] if o in kernel.inputs else None for o in kernel.operands], attributes)
    return sizes, operands(kernel, sizes, dtype, kind, rng), attributes


def calls(count, most):
    """Yield what to call the kernels with, none of them of more than `most` multiplications."""
    rng = np.random.default_rng([SEED, count])
    for k, (image, weights, attributes) in enumerate(windows(count)):
        for name in NAMES:
            dtype, kind = DTYPES[k % 2], KINDS[k // 2 % len(KINDS)]
            found = call_of(name, image, weights, attributes, dtype, kind, rng)
            cost = KERNELS[name].cost(found[0], found[2])
            if cost <= (most if kind == "ordinary" else most // 4):
                yield name, dtype, f"{name} {kind} {dtype} {found[0]} {found[2]}", *found


def check_numpy(count, builds):
    found = 0
    for k, (name, dtype, label, sizes, inputs, attributes) in enumerate(calls(count, 1 << 22)):
        functions = {build: address(build, dtype, name) for build in builds}
        for build, want, got in run_builds(functions, KERNELS[name], dtype, sizes, inputs, attributes, None, k):
            assert got[0] == want[0] == 0
            for output, array in got[1].items():
                assert_same_bits(array, want[1][output], f"{build} {label} {output}")
                found += array.size
    assert found > 100 * count


def check_portable(count, builds, most):
    found = 0
    for k, (name, dtype, label, sizes, inputs, attributes) in enumerate(calls(count, most)):
        kernel = KERNELS[name]
        _, want = reference(kernel, inputs, attributes, "portable")
        for build in builds:
            fastbp.set_num_threads(1 + k % 4)
            table = primitives(build, dtype, "portable")
            buffers = guarded(kernel, dtype, sizes, inputs, offset=k)
            status, got = run_guarded(address(build, dtype, name), table, kernel, sizes, inputs, attributes, buffers)
            assert status == 0
            for output, array in got.items():
                assert_same_bits(array, np.asarray(want[output]), f"{build} {label} {output}")
                found += array.size
    assert found > 50 * count


CYTHON = tuple(build for build in BUILDS if build != "numba")


def test_numpys_bits():
    check_numpy(60, CYTHON)


def test_portable_bits():
    check_portable(60, CYTHON, 4000)


@pytest.mark.slow
def test_numpys_bits_of_many():
    check_numpy(4000, BUILDS)


@pytest.mark.slow
def test_portable_bits_of_many():
    check_portable(1500, BUILDS, 40000)


#: Images, kernels, filters, strides and padding for which portable numerics has ways of its own.
WAYS = (
    ((9, 28, 28, 1), (5, 5), 6, 1, 0), ((9, 12, 12, 6), (5, 5), 16, 1, 0), ((9, 15, 17, 3), (3, 3), 32, 1, 1),
    ((9, 16, 16, 16), (3, 3), 17, 2, 1), ((5, 9, 9, 64), (3, 3), 70, 1, 1), ((9, 8, 8, 20), (1, 1), 40, 1, 0),
    ((5, 40, 40, 5), (7, 2), 3, 3, 2), ((33, 5, 4, 8), (3, 3), 8, 1, 1),
)  # fmt: skip


def of_way(way, dtype):
    (batch, height, width, c), (kh, kw), o, stride, padding = way
    attributes = {"stride_h": stride, "stride_w": stride, "groups": 1, "dilation_h": 1, "dilation_w": 1}
    attributes |= dict.fromkeys(("top", "bottom", "left", "right"), padding)
    rng = np.random.default_rng(o)
    image, weights = {"batch": batch, "height": height, "width": width, "c": c}, {"kh": kh, "kw": kw, "n": c, "o": o}
    for name in NAMES:
        _, inputs, given = call_of(name, image, weights, attributes, dtype, "ordinary", rng)
        yield name, inputs, given


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_no_image_depends_on_those_beside_it(way):
    for name, inputs, attributes in of_way(way, "float32"):
        function = getattr(kernels, name)
        whole = function(*inputs.values(), numerics="portable", **attributes)
        parts = [
            {key: array[i : i + 1] if key in ("x", "dy") else array for key, array in inputs.items()}
            for i in range(way[0][0])
        ]
        alone = [function(*part.values(), numerics="portable", **attributes) for part in parts]
        if name == "convolve_dw":
            added = np.zeros_like(whole)
            for share in alone:  # in their order
                added += share
            assert_same_bits(added, whole, name)
        else:
            assert_same_bits(np.concatenate(alone), whole, name)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_threads_change_no_bit(way):
    for name, inputs, attributes in of_way(way, "float32"):
        # enough to be shared
        many = {key: np.tile(x, (4, 1, 1, 1)) if key in ("x", "dy") else x for key, x in inputs.items()}
        found = []
        for count in (1, 2, 3, 4):
            fastbp.set_num_threads(count)
            found.append(getattr(kernels, name)(*many.values(), numerics="portable", **attributes))
        for count, other in enumerate(found[1:], 2):
            assert_same_bits(other, found[0], f"{name}, {count} threads")


@every_dtype
def test_without_memory_a_product_of_patches_is_made_of_patches(dtype):
    build, seen = CYTHON[-1] if CYTHON else pytest.skip("FASTBP_TEST_BACKENDS leaves cython out"), []
    there = (Primitive * len(PRIMITIVES)).from_address(primitives(build, dtype, "portable"))
    if not there[NUMBERS["convolve"]].loop:
        pytest.skip("the level has no primitive for it")

    def fails(at):
        @ctypes.CFUNCTYPE(None, ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        def loop(args, dimensions, steps, data):
            seen.append(at)
            ctypes.c_int.from_address(args[at]).value = 0

        return loop

    table, loops = type(there).from_buffer_copy(there), []
    for name, at in (("convolve", 4), ("convolve_dw", 3), ("convolve_dx", 3)):
        loops.append(fails(at))
        table[NUMBERS[name]].loop = ctypes.cast(loops[-1], ctypes.c_void_p)
    for name, inputs, attributes in of_way(((2, 6, 5, 2), (3, 2), 3, 1, 1), dtype):
        kernel = KERNELS[name]
        attributes = {key: float(value) for key, value in attributes.items()}
        sizes = kernel.sizes([inputs[o.name].shape if o.name in inputs else None for o in kernel.operands], attributes)
        buffers = guarded(kernel, dtype, sizes, inputs)
        _, got = run_guarded(
            address(build, dtype, name), ctypes.addressof(table), kernel, sizes, inputs, attributes, buffers
        )
        _, want = reference(kernel, inputs, attributes, "portable")
        for output, array in got.items():
            assert_same_bits(array, want[output], f"{name} {output}")
    assert seen == [4, 4, 3, 3]


@pytest.mark.parametrize("backend", ["numpy", "cython"])
def test_gradients_are_those_of_the_convolution(backend):
    """It is linear in images and in weights: <dy, convolve(x, w)> = <dx, x> = <dw, w>."""
    for image, weights, attributes in windows(40):
        rng = np.random.default_rng(image["height"])
        x, w = rng.standard_normal(tuple(image.values())), rng.standard_normal(tuple(weights.values()))
        y = kernels.convolve(x, w, backend=backend, **attributes)
        dy = rng.standard_normal(y.shape)
        size = {"input_height": image["height"], "input_width": image["width"]}
        dx = kernels.convolve_dx(dy, w, backend=backend, **attributes, **size)
        size = {"kernel_height": weights["kh"], "kernel_width": weights["kw"]}
        dw = kernels.convolve_dw(x, dy, backend=backend, **attributes, **size)
        assert dx.shape == x.shape and dw.shape == w.shape
        want = np.vdot(dy, y)
        scale = 1 + math.sqrt(np.vdot(y, y) * np.vdot(dy, dy))
        assert abs(np.vdot(dx, x) - want) <= 1e-13 * scale and abs(np.vdot(dw, w) - want) <= 1e-13 * scale


@pytest.mark.parametrize(
    ("x", "w", "attributes", "message"),
    [
        ((2, 5, 5, 3), (3, 3, 2, 4), {}, "w says n is 2; it is 3, as c is 3, groups is 1"),
        ((2, 5, 5, 3), (3, 3, 1, 4), {"groups": 2}, "x says c is 3; it is 2, as n is 1, groups is 2"),
        ((2, 5, 5, 4), (3, 3, 2, 5), {"groups": 2}, "w says o is 5; it is 4, as m is 2, groups is 2"),
        ((2, 5, 5), (3, 3, 5, 4), {}, r"x has shape \(2, 5, 5\); it must be x\[batch,height,width,c\]"),
        ((2, 5, 5, 3), (3, 3, 3, 4), {"stride_h": 0}, "stride_h is 0.0; it must be a whole number from 1 to"),
        ((2, 5, 5, 3), (3, 3, 3, 4), {"left": 0.5}, "left is 0.5; it must be a whole number from 0 to"),
        ((2, 5, 5, 3), (3, 3, 3, 4), {"top": np.inf}, "top is inf; it must be a whole number from 0 to"),
        ((2, 5, 5, 3), (3, 3, 3, 4), {"dilation_w": np.nan}, "dilation_w is nan; it must be a whole number"),
    ],
)
def test_what_does_not_fit_is_named(x, w, attributes, message):
    for backend in ("numpy", "cython"):
        with pytest.raises(ValueError, match="convolve: " + message):
            kernels.convolve(np.ones(x), np.ones(w), backend=backend, **attributes)


def test_a_gradient_that_does_not_fit_is_named():
    x, dy = np.ones((2, 5, 5, 3)), np.ones((2, 4, 4, 6))
    with pytest.raises(ValueError, match="convolve_dw: dy says oh is 4; it is 3, as height is 5, kh is 3"):
        kernels.convolve_dw(x, dy, kernel_height=3, kernel_width=3)
    with pytest.raises(ValueError, match="convolve_dx: dy says oh is 4; it is 3, as height is 4, kh is 2"):
        kernels.convolve_dx(dy, np.ones((2, 2, 3, 6)))
