"""Kernels of images beside their definitions where it matters, and beside PyTorch."""

import itertools

import numpy as np
import pytest
from _arrays import (
    BUILDS,
    DTYPES,
    KINDS,
    address,
    assert_same_bits,
    guarded,
    operands,
    primitives,
    reference,
    run_guarded,
)

from fastbp.kernels import words
from fastbp.kernels.table import KERNELS

every_build = pytest.mark.parametrize("build", BUILDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def compare(build, dtype, name, sizes, inputs, attributes):
    kernel = KERNELS[name]
    for numerics in ("numpy", "portable"):
        status, want = reference(kernel, inputs, attributes, numerics)
        buffers = guarded(kernel, dtype, sizes, inputs, offset=len(inputs))
        function, table = address(build, dtype, name), primitives(build, dtype, numerics)
        got = run_guarded(function, table, kernel, sizes, inputs, attributes, buffers)
        assert got[0] == status == 0
        for output, array in got[1].items():
            assert_same_bits(array, np.asarray(want[output]), f"{name} {numerics} {sizes} {attributes}")


@pytest.mark.matrix("dtype")
@every_build
@every_dtype
def test_between_pixels(build, dtype):
    rng = np.random.default_rng(1)
    for (m, k, n), factor, kind in itertools.product([(1, 1, 1), (2, 3, 5), (3, 8, 48), (9, 2, 3)], range(1, 6), KINDS):
        sizes, attributes = {"m": m, "k": k, "n": n, "oh": k * factor}, {"factor": float(factor)}
        for name in ("interpolate_forward", "interpolate_backward"):
            kernel = KERNELS[name]
            ordered = {d: sizes[d] for d in kernel.dims}
            compare(build, dtype, name, ordered, operands(kernel, ordered, dtype, kind, rng), attributes)


@pytest.mark.matrix("dtype")
@every_build
@every_dtype
@pytest.mark.parametrize("fill", [0.0, 1.0, 2.0, 3.0])
def test_shifts_beyond_the_image(build, dtype, fill):
    rng = np.random.default_rng(2)
    shapes = [(1, 1, 1), (1, 4, 3), (5, 1, 16), (3, 2, 5), (6, 7, 1)]
    for (height, width, c), first, kind in itertools.product(shapes, (-20.0, -5.0, -1.0), KINDS):
        attributes = {"first_h": first, "count_h": 1 - 2 * first, "first_w": first, "count_w": 1 - 2 * first}
        attributes |= {"fill": fill, "value": -0.1}
        sizes = {"batch": 9, "height": height, "width": width, "c": c}
        for name in ("translate_forward", "translate_backward"):
            compare(build, dtype, name, sizes, operands(KERNELS[name], sizes, dtype, kind, rng), attributes)


@pytest.mark.matrix("dtype")
@every_build
@every_dtype
def test_flips_and_crops(build, dtype):
    rng = np.random.default_rng(3)
    for height, width, c, kind in itertools.product((1, 2, 9), (1, 4, 7), (1, 3, 5, 16), KINDS):
        sizes = {"batch": 6, "height": height, "width": width, "c": c}
        inputs = operands(KERNELS["flip"], sizes, dtype, kind, rng)
        for vertical, horizontal in itertools.product((0.0, 1.0), repeat=2):
            compare(build, dtype, "flip", sizes, inputs, {"vertical": vertical, "horizontal": horizontal})
        for spare_h, spare_w in itertools.product({0, 1, height - 1} - {height}, {0, 1, width - 1} - {width}):
            attributes = {"spare_h": float(spare_h), "spare_w": float(spare_w)}
            whole = {**sizes, "oh": height - spare_h, "ow": width - spare_w}
            for name in ("crop_forward", "crop_backward"):
                ordered = {d: whole[d] for d in KERNELS[name].dims}
                compare(build, dtype, name, ordered, operands(KERNELS[name], ordered, dtype, kind, rng), attributes)


@pytest.mark.matrix("dtype")
@every_build
@every_dtype
def test_what_is_drawn_last_is_the_last_place(build, dtype):
    # of no count is the product with 1 - eps / 2 rounded to the count itself
    for count in (1, 2, 3, 7, 25, 1000, 1023):
        u = np.array([[np.nextafter(np.ones((), dtype), np.zeros((), dtype)), 0], [0, 0]], dtype)
        assert words.drawn(u[:, 0], count).tolist() == [count - 1, 0]
        inputs = {"x": np.arange(2 * count, dtype=dtype).reshape(2, count, 1, 1), "u": u}
        sizes = {"batch": 2, "height": count, "width": 1, "c": 1, "oh": 1, "ow": 1}
        compare(build, dtype, "crop_forward", sizes, inputs, {"spare_h": count - 1.0, "spare_w": 0.0})
