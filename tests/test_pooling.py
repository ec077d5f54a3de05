"""Depthwise convolution and pools: shapes around tiles and vectors, ties, NaN, orders of additions, bytes in programs.

The tests of the table draw shapes; these are those at which a kernel written by hand takes another way.
"""

import itertools

import numpy as np
import pytest
from _arrays import (
    BACKENDS,
    BUILDS,
    DTYPES,
    KINDS,
    address,
    assert_same_bits,
    guarded,
    operands,
    primitives,
    reference,
    run_builds,
    run_guarded,
    sizes_of,
)

import fastbp
from fastbp import kernels
from fastbp.backends import Port, Turn, make_executor
from fastbp.kernels.table import KERNELS
from fastbp.program import BATCH, Program
from fastbp.turns import Turns

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
CHANNELS = (1, 3, 5, 6, 16, 17, 64)


def geometry(image, c, window, stride=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), m=1, batch=2):
    """Return lengths and attributes by name, for any of the kernels."""
    words = ("stride_h", "stride_w", "top", "bottom", "left", "right", "dilation_h", "dilation_w")
    attributes = dict(zip(words, (*stride, *padding, *dilation), strict=True))
    for word, pair in ("pool_{:.1}", window), ("kernel_{}", window), ("input_{}", image):
        attributes |= {word.format(part): value for part, value in zip(("height", "width"), pair, strict=True)}
    lengths = {"batch": batch, "height": image[0], "width": image[1], "c": c, "kh": window[0], "kw": window[1], "m": m}
    return lengths, {name: float(value) for name, value in attributes.items()}


def same(pad):
    return (pad,) * 4


#: Lines of three and of five cells have loops of their own, for strides of one and two and from four places on.
DEPTHWISE = [
    *(geometry((6, 9), c, (3, 3), padding=same(1)) for c in CHANNELS),
    *(geometry((7, 9), c, (3, 3), (2, 2), same(1)) for c in CHANNELS),
    *(geometry((4, width), 17, (3, 3), padding=same(1)) for width in (1, 2, 3, 4, 5, 7, 8, 12, 16, 17)),
    *(geometry((5, width), 17, (3, 3), (1, 2)) for width in (3, 5, 7, 8, 9, 15, 17, 18)),
    *(geometry((9, 11), 16, (5, 5), stride, same(2)) for stride in itertools.product((1, 2, 3), repeat=2)),
    *(geometry((8, 10), 20, (3, 3), stride, (1, 0, 2, 1)) for stride in itertools.product((1, 2, 3), repeat=2)),
    *(geometry((9, 11), 16, w, padding=same(1)) for w in ((1, 1), (1, 3), (3, 1), (2, 2), (4, 4), (2, 7))),
    *(geometry((9, 13), 16, (3, 3), stride, same(2), (2, 2)) for stride in ((1, 1), (2, 2), (2, 3))),
    *(geometry((9, 13), 6, (3, 5), (1, 2), same(2), (2, d)) for d in (1, 2, 3)),
    *(geometry((6, 8), c, (3, 3), padding=same(1), m=m) for c, m in ((1, 2), (3, 2), (5, 3))),
    geometry((70, 5), 16, (66, 3), padding=(1, 1, 1, 1)),  # more lines, and more cells, than are told at a time
    geometry((12, 12), 17, (9, 9), padding=same(4)),
    geometry((2, 2), 16, (3, 3)),  # no place
    geometry((2, 3), 16, (3, 3), padding=same(1)),
    geometry((2, 3), 16, (5, 5), padding=same(3)),
    geometry((0, 4), 16, (3, 3), padding=same(1)),
    geometry((6, 9), 16, (3, 3), padding=same(1), batch=0),
    geometry((6, 9), 16, (3, 3), padding=same(1), batch=1),
    geometry((33, 20), 32, (3, 3), padding=same(1)),  # some rows of images after the other, in L2
    geometry((50, 40), 32, (3, 3), (2, 2), same(1)),
    geometry((50, 40), 17, (3, 5), padding=same(2)),
    geometry((40, 40), 1, (3, 3), padding=same(1)),  # a sum of one number a place: NumPy's is pairwise
]  # fmt: skip
#: Windows of 2 x 2 and 3 x 3 are constants; few channels reach into the next place, but not behind the last one.
POOLS = [
    *(geometry((6, 8), c, (2, 2), (2, 2)) for c in CHANNELS),
    *(geometry((7, 9), c, (2, 2), (2, 2)) for c in CHANNELS),
    *(geometry((7, 9), c, (3, 3), (2, 2), same(1)) for c in CHANNELS),
    *(geometry((7, 8), c, (3, 3), (1, 1), same(1)) for c in CHANNELS),
    *(geometry((6, 9), c, (3, 3), (3, 3)) for c in CHANNELS),
    *(geometry((8, 10), 6, (2, 2), stride, (1, 0, 0, 1)) for stride in ((1, 1), (2, 3), (4, 4))),
    *(geometry((8, 10), 6, (3, 4), stride, (1, 0, 0, 1)) for stride in ((1, 1), (2, 3), (4, 4))),
    *(geometry((5, width), 3, (2, 2), (2, 2), (1, 0, 1, 0)) for width in (1, 2, 3, 4, 5)),
    *(geometry((4, 6), 8, (1, 3), stride) for stride in ((1, 3), (2, 2), (1, 4))),
    geometry((20, 20), 5, (16, 16), (2, 2)),  # 256 cells
    geometry((1, 300), 5, (1, 256), (1, 3)),
    geometry((5, 6), 7, (5, 6), (1, 1)),
    geometry((2, 2), 6, (3, 3), (2, 2)),  # no place
    geometry((2, 3), 6, (3, 3), (2, 2), same(2)),
    geometry((6, 8), 6, (2, 2), (2, 2), batch=0),
    geometry((6, 8), 6, (2, 2), (2, 2), batch=1),
]  # fmt: skip
CASES = [
    (name, k)
    for names, found in (
        (("depthwise", "depthwise_dw", "depthwise_dx"), DEPTHWISE),
        (("max_pool", "max_pool_dx", "average_pool", "average_pool_dx"), POOLS),
    )
    for name in names
    for k in range(len(found))
]


def compare(name, k, dtype, kind, seed=0):
    """Compare all builds with the definition, in both numerics; return how many arrays were compared."""
    kernel = KERNELS[name]
    lengths, attributes = (DEPTHWISE if name.startswith("depthwise") else POOLS)[k]
    attributes = {word: attributes[word] for word in kernel.attributes}
    sizes = sizes_of(kernel, lengths, attributes)
    inputs = operands(kernel, sizes, dtype, kind, np.random.default_rng([seed, k]))
    functions = {build: address(build, dtype, name) for build in BUILDS}
    compared = 0
    for build, (_, want), (status, got) in run_builds(
        functions, kernel, dtype, sizes, inputs, attributes, offset=k
    ):
        assert status == 0
        for output in kernel.results:
            assert_same_bits(got[output.name], want[output.name], f"{build} {sizes} {attributes} {kind} {output}")
            compared += 1
    _, want = reference(kernel, inputs, attributes, "portable")
    for build, function in functions.items():
        buffers = guarded(kernel, dtype, sizes, inputs, offset=k + 1)
        table = primitives(build, dtype, "portable")
        status, got = run_guarded(function, table, kernel, sizes, inputs, attributes, buffers)
        assert status == 0
        for output in kernel.results:
            expected = np.asarray(want[output.name])
            assert_same_bits(got[output.name], expected, f"{build} portable {sizes} {attributes} {kind} {output}")
            compared += 1
    return compared


@pytest.mark.parametrize(("name", "k"), CASES, ids=[f"{name}-{k}" for name, k in CASES])
def test_bits_of_the_definition(name, k):
    # of types and kinds of values one each
    count = compare(name, k, DTYPES[k % 2], KINDS[k % len(KINDS)])
    assert count == 2 * len(BUILDS) * len(KERNELS[name].results)


@pytest.mark.slow
@every_dtype
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", dict.fromkeys(name for name, _ in CASES))
def test_bits_of_the_definition_of_all(name, kind, dtype):
    for other, k in CASES:
        if other == name:
            compare(name, k, dtype, kind, seed=1)


@every_backend
@every_dtype
@pytest.mark.parametrize("weight", [np.inf, -np.inf, np.nan])
def test_weights_meet_the_zeros_around_an_image(backend, dtype, weight):
    # of the sum of a place, not of what a cell gets back: there nothing lies outside
    x, w, dy = np.ones((1, 4, 8, 16), dtype), np.ones((3, 3, 16, 1), dtype), np.ones((1, 4, 8, 16), dtype)
    w[0, 0, 5] = weight
    options = {"top": 1, "bottom": 1, "left": 1, "right": 1, "backend": backend}
    y = kernels.depthwise(x, w, **options)
    assert np.isnan(y[0, 0, :, 5]).all() and np.isnan(y[0, :, 0, 5]).all()
    assert_same_bits(y[0, 1:, 1:, 5], np.full((3, 7), weight, dtype))
    assert np.isfinite(np.delete(y, 5, axis=3)).all()
    dx = kernels.depthwise_dx(dy, w, **options, input_height=4, input_width=8)
    assert np.isfinite(dx[0, 3, :, 5]).all() and np.isfinite(dx[0, :, 7, 5]).all()
    assert_same_bits(dx[0, :3, :7, 5], np.full((3, 7), weight, dtype))


# ---------------------------------------------------------------------------------------- what a pool takes
@every_backend
@every_dtype
@pytest.mark.parametrize(("pool", "stride"), [((2, 2), (2, 2)), ((3, 3), (2, 2)), ((2, 3), (1, 1)), ((16, 16), (3, 3))])
def test_a_pool_takes_what_argmax_does(backend, dtype, pool, stride):
    rng = np.random.default_rng(0)
    values = np.array([0.0, -0.0, 1, 1, -1, 2, 2, np.inf, -np.inf, np.nan], dtype)
    for c in (1, 6, 16):
        x = values[rng.integers(len(values) - 3 * (c == 6), size=(2, 18, 20, c))]
        options = dict(zip(("pool_h", "pool_w", "stride_h", "stride_w"), (*pool, *stride), strict=True))
        y, index = kernels.max_pool(x, **options, backend=backend)
        windows = np.lib.stride_tricks.sliding_window_view(x, pool, axis=(1, 2))[:, :: stride[0], :: stride[1]]
        windows = windows.reshape(*y.shape, -1)
        assert index.dtype == np.uint8
        assert_same_bits(index, windows.argmax(axis=-1).astype(np.uint8))
        assert_same_bits(y, np.take_along_axis(windows, index[..., None].astype(int), -1)[..., 0])


@every_backend
@every_dtype
def test_the_last_of_256_cells(backend, dtype):
    for pool, shape in (((16, 16), (1, 16, 16, 3)), ((1, 256), (1, 1, 256, 3)), ((256, 1), (1, 256, 1, 3))):
        x = np.arange(256 * 3, dtype=dtype).reshape(shape)
        options = {"pool_h": pool[0], "pool_w": pool[1], "stride_h": 1, "stride_w": 1, "backend": backend}
        y, index = kernels.max_pool(x, **options)
        assert_same_bits(y.ravel(), x.reshape(256, 3)[-1])
        assert_same_bits(index.ravel(), np.full(3, 255, np.uint8))
        dx = kernels.max_pool_dx(y, index, **options, input_height=shape[1], input_width=shape[2])
        assert_same_bits(dx.reshape(256, 3), np.concatenate([np.zeros((255, 3), dtype), y.reshape(1, 3)]))


@every_backend
@pytest.mark.parametrize("pool", [(17, 16), (1, 257), (128, 3)])
def test_more_cells_than_bytes_number_are_refused(backend, pool):
    x = np.zeros((1, 300, 300, 1))
    options = {"pool_h": pool[0], "pool_w": pool[1], "stride_h": 1, "stride_w": 1, "backend": backend}
    with pytest.raises(ValueError, match=f"max_pool: oh would be -1, .*pool_h is {pool[0]}, pool_w is {pool[1]}"):
        kernels.max_pool(x, **options)
    dy = np.zeros((1, 301 - pool[0], 301 - pool[1], 1))
    with pytest.raises(ValueError, match="max_pool_dx: oh would be -1"):
        kernels.max_pool_dx(dy, dy.astype(np.uint8), **options, input_height=300, input_width=300)
    kernels.average_pool(x, **options)


@every_backend
@pytest.mark.parametrize("c", [0, 3])
def test_no_filter_has_no_gradient(backend, c):
    x, dy = np.zeros((2, 4, 5, c)), np.zeros((2, 3, 4, 0))
    dw = kernels.depthwise_dw(x, dy, kernel_height=2, kernel_width=2, backend=backend)
    assert dw.shape == (2, 2, c, 0)


@every_backend
def test_windows_are_added_in_their_order(backend):
    # 2**24 + 1 - 2**24 is 0 in this order, and 1 in any other
    given = np.array([[2.0**24, 1.0], [-(2.0**24), 0.0]], np.float32)
    dy = np.repeat(given.reshape(1, 2, 2, 1), 17, axis=3)
    options = {"stride_h": 1, "stride_w": 1, "input_height": 3, "input_width": 3, "backend": backend}
    index = np.broadcast_to(np.array([[3, 2], [1, 0]], np.uint8).reshape(1, 2, 2, 1), dy.shape)
    want = np.zeros((1, 3, 3, 17), np.float32)
    assert_same_bits(kernels.max_pool_dx(dy, index, **options), want)
    dx = kernels.average_pool_dx(4 * dy, **options)
    assert_same_bits(dx[0, 1, 1], want[0, 1, 1])
    # what a cell gets from places is added in the order of the cells of a window: of the last place first
    w = np.ones((2, 2, 17, 1), np.float32)
    reverse = np.ascontiguousarray(dy[:, ::-1, ::-1])
    dx = kernels.depthwise_dx(reverse, w, input_height=3, input_width=3, backend=backend)
    assert_same_bits(dx[0, 1, 1], want[0, 1, 1])
    x = np.ones((1, 2, 2, 17), np.float32)
    dw = kernels.depthwise_dw(x, dy, kernel_height=1, kernel_width=1, backend=backend)
    assert_same_bits(dw, np.zeros((1, 1, 17, 1), np.float32))


@every_backend
@every_dtype
def test_no_gradient_is_minus_zero(backend, dtype):
    dy = np.full((1, 2, 2, 6), -0.0, dtype)
    index = np.zeros(dy.shape, np.uint8)
    for stride in (1, 2):
        options = {"stride_h": stride, "stride_w": stride, "input_height": 2 + stride, "input_width": 2 + stride}
        want = np.zeros((1, 2 + stride, 2 + stride, 6), dtype)
        assert_same_bits(kernels.max_pool_dx(dy, index, **options, backend=backend), want)
        assert_same_bits(kernels.average_pool_dx(dy, **options, backend=backend), want)


@every_backend
def test_an_index_of_no_cell_gives_nothing_back(backend):
    dy, index = np.ones((1, 1, 1, 8)), np.array([0, 1, 2, 3, 4, 5, 254, 255], np.uint8).reshape(1, 1, 1, 8)
    dx = kernels.max_pool_dx(dy, index, input_height=2, input_width=2, backend=backend)
    assert_same_bits(dx.reshape(4, 8), np.pad(np.eye(4), ((0, 0), (0, 4))))
    # the first cells lie outside
    options = {"top": 1, "left": 1, "input_height": 1, "input_width": 1}
    dx = kernels.max_pool_dx(dy, index, **options, backend=backend)
    assert_same_bits(dx.ravel(), np.eye(8)[3])


# ---------------------------------------------------------------------------------------- in programs
def program_of(dtype="float32", numerics="portable", c=6):
    """Return a program that pools and gives back, with its buffers by name."""
    program = Program(dtype, numerics)
    x = program.buffer("x", (BATCH, 8, 10, c), role="input")
    w = program.buffer("w", (3, 3, c, 1), role="parameter")
    pads = {"top": 1, "bottom": 1, "left": 1, "right": 1}
    z = program.call("depthwise", x, w, layer="one", **pads)
    y, index = program.call("max_pool", z, layer="two")
    mean = program.call("average_pool", y, layer="three")
    dy = program.call("average_pool_dx", mean, layer="three", input_height=4, input_width=5)
    dz = program.call("max_pool_dx", dy, index, layer="two", input_height=8, input_width=10)
    dw = program.call("depthwise_dw", x, dz, layer="one", **pads, kernel_height=3, kernel_width=3)
    dx = program.call("depthwise_dx", dz, w, layer="one", **pads, input_height=8, input_width=10)
    dw.role = dx.role = "result"
    return program, {"x": x, "w": w, "index": index, "dw": dw, "dx": dx}


def run(program, buffers, backend, x, w, keep=False):
    executor = make_executor(program, backend, {"w": w.ravel()}, len(x), keep=keep)
    executor.bind(buffers["x"], x)
    executor.run((0, len(program.calls)), len(x))
    return executor, {name: executor.view(buffers[name]).copy() for name in ("dw", "dx")}


@pytest.mark.parametrize("numerics", kernels.NUMERICS)
@every_dtype
def test_bytes_in_a_program(dtype, numerics):
    program, buffers = program_of(dtype, numerics)
    index, item = buffers["index"], np.dtype(dtype).itemsize
    assert index.dtype == "u1" and program.itemsize(index) == 1 and program.nbytes(index, 7) == 7 * 4 * 5 * 6
    assert repr(program.calls[1]).endswith("-> two.y[batch, 4, 5, 6], two.index[batch, 4, 5, 6]")
    plan = program.plan(7)
    program.verify(plan)
    assert all(offset % 64 == 0 for offset in plan.offsets.values())
    # the index waits for the gradient: what is read before does not lie there
    assert plan.nbytes < plan.unshared and plan.unshared % 64 == 0
    assert plan.unshared - program.nbytes(index, 7) >= item * 7 * (2 * 8 * 10 + 2 * 4 * 5) * 6
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((7, 8, 10, 6)).astype(dtype), rng.standard_normal((3, 3, 6, 1)).astype(dtype)
    _, want = run(program, buffers, "numpy", x, w)
    for backend, keep in itertools.product(BACKENDS, (False, True)):
        executor, got = run(program, buffers, backend, x, w, keep)
        for name in want:
            assert_same_bits(got[name], want[name], f"{backend} {name}")
        if keep:
            assert executor.view(index).dtype == np.uint8
            executor.run_program(check="numpy")


def test_views_of_bytes():
    program = Program("float32")
    both = program.buffer("both", (2, BATCH, 1, 1, 3), "u1")
    parts = [program.buffer(f"part_{k}", (BATCH, 1, 1, 3), "u1", parent=both, offset=3 * k * BATCH) for k in range(2)]
    x = program.buffer("x", (BATCH, 2, 2, 3), role="input")
    for k, part in enumerate(parts):
        program.call("max_pool", x, layer=f"pool_{k}", into={"index": part})
    dxs = [
        program.call("max_pool_dx", y, part, layer="back", input_height=2, input_width=2)
        for y, part in zip([call.buffers[1] for call in program.calls[:2]], parts, strict=True)
    ]
    for dx in dxs:
        dx.role = "result"
    program.verify(program.plan(5))
    for backend, batch in itertools.product(ALL_BACKENDS, (5, 3)):
        values = np.random.default_rng(batch).standard_normal((batch, 2, 2, 3)).astype(np.float32)
        executor = make_executor(program, backend, {}, 5)
        executor.bind(x, values)
        executor.run((0, 4), batch)
        index = values.reshape(batch, 4, 3).argmax(axis=1)
        assert_same_bits(executor.view(both)[:, :, 0, 0], np.stack([index.astype(np.uint8)] * 2))
        for dx in dxs:
            largest = values.reshape(batch, 4, 3).max(axis=1)[:, None]
            want = np.where(np.arange(4)[:, None] == index[:, None], largest, np.float32(0))
            assert_same_bits(executor.view(dx).reshape(batch, 4, 3), want)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_port_takes_bytes_as_they_are(backend):
    program = Program("float32")
    dy = program.buffer("dy", (BATCH, 1, 1, 3), role="input")
    index = program.buffer("index", (BATCH, 1, 1, 3), "u1", "input")
    dx = program.call("max_pool_dx", dy, index, input_height=2, input_width=2)
    dx.role = "result"
    executor = make_executor(program, backend, {}, 4)
    ports = [Port(dy), Port(index, copied=True)]
    call, fits = executor.entry(Turn(Turns()), ports, dx, (0, 1), rows=True)
    values = np.arange(12, dtype=np.float32).reshape(4, 1, 1, 3)
    numbers = (np.arange(12) % 5).astype(np.uint8).reshape(values.shape)
    want = kernels.max_pool_dx(values, numbers, input_height=2, input_width=2, backend="numpy")
    assert fits(values, numbers)
    assert_same_bits(call(values, numbers, 512), want)
    assert_same_bits(call(values, numbers, 3), want)  # in blocks
    others = [numbers.astype(kind) for kind in (np.int64, np.int8, np.float32, bool)]
    for other in (*others, numbers.tolist()):
        # converted elsewhere, where what does not fit is told
        assert not fits(values, other) and call(values, other, 512) is None


@pytest.mark.skipif("cython" not in BACKENDS, reason="FASTBP_TEST_BACKENDS leaves cython out")
@every_dtype
def test_images_are_shared_among_threads(dtype):
    program, buffers = program_of(dtype, c=17)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((203, 8, 10, 17)).astype(dtype), rng.standard_normal((3, 3, 17, 1)).astype(dtype)
    found, before = [], fastbp.get_num_threads()
    try:
        for count in (1, 2, 3, 4):
            fastbp.set_num_threads(count)
            executor, got = run(program, buffers, "cython", x, w)
            found.append(got)
    finally:
        fastbp.set_num_threads(before)
    item = np.dtype(dtype).itemsize
    assert executor.cut(program.calls[1]) == (0, [1360 * item, 340 * item, 340], 1360)
    for other in found[1:]:
        for name, array in other.items():
            assert_same_bits(array, found[0][name], name)
    for rows in (slice(0, 1), slice(100, 107)):
        alone = run(program, buffers, "cython", np.ascontiguousarray(x[rows]), w)[1]["dx"]
        assert_same_bits(alone, found[0]["dx"][rows])
