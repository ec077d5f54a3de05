"""Layers that merge, take apart, reduce and turn around, alone: forward and backward, by their bits."""

import itertools

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, edge_values

import fastbp
from fastbp.backends import make_executor
from fastbp.kernels.portable.array import matmul, sum_
from fastbp.layers import (
    Add,
    Average,
    Concatenate,
    Divide,
    Dot,
    Max,
    Maximum,
    Mean,
    Minimum,
    Multiply,
    Permute,
    RepeatVector,
    Scale,
    Shift,
    Slice,
    StopGradient,
    Subtract,
    Sum,
)
from fastbp.layers.base import from_config
from fastbp.program import BATCH, Program

every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
ARRAY = np.linspace(-2, 3, 12).reshape(3, 4)


def several(layer):
    """Whether a layer takes a list."""
    return isinstance(layer, (Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract))


def program_of(layer, shapes, dtype, numerics, need):
    """Return a program that is a layer alone, its inputs, dy, and copies of y and of the gradients."""
    layer.name = "layer"
    program, many = Program(dtype, numerics), several(layer)
    xs = [program.buffer(f"x{k}", (BATCH, *shape), role="input") for k, shape in enumerate(shapes)]
    specs, shape = layer.build([*shapes] if many else shapes[0])
    y, backward = layer.emit(program, xs if many else xs[0], {}, {})
    assert not specs and y.shape == (BATCH, *shape)
    dy = program.buffer("dy", y.shape, role="input")
    program.phase = "backward"
    gradients = backward(dy, need) if many else [backward(dy, need[0])]
    for gradient, x in zip(gradients, xs, strict=True):
        assert gradient is None or gradient.shape == x.shape
    copies = [b and program.call("identity_forward", b) for b in (y, *gradients)]
    for copied in copies:
        if copied is not None:
            copied.role = "result"
    return program, xs, dy, copies


def run(layer, xs, dy, backend="cython", numerics="numpy", need=None):
    """Return y and the gradients by xs of a layer alone."""
    need = need or [True] * len(xs)
    dtype = xs[0].dtype.name
    program, inputs, upstream, copies = program_of(layer, [x.shape[1:] for x in xs], dtype, numerics, need)
    executor = make_executor(program, backend, {}, len(dy))
    for buffer, array in zip((*inputs, upstream), (*xs, dy), strict=True):
        executor.bind(buffer, array)
    executor.run((0, len(program.calls)), len(dy))
    return [None if b is None else executor.view(b).copy() for b in copies]


class NumPy:
    """What a numerics calls a sum and a product."""

    sum, matmul = staticmethod(np.sum), staticmethod(np.matmul)


class Portable:
    sum, matmul = staticmethod(sum_), staticmethod(matmul)


def spread(xs):
    return np.broadcast_arrays(*xs)


def gathered(dxs, xs, ops):
    found = []
    for dx, x in zip(dxs, xs, strict=True):
        same = dx.shape == x.shape
        found.append(dx if same else ops.sum(dx.reshape(-1, dx.shape[-1]), axis=1).reshape(x.shape))
    return found


def added(xs, dy, ops):
    y, *others = spread(xs)
    for x in others:
        y = y + x
    return y, gathered([dy] * len(xs), xs, ops)


def averaged(xs, dy, ops):
    n = dy.dtype.type(len(xs))
    return added(xs, dy, ops)[0] / n, gathered([dy / n] * len(xs), xs, ops)


def subtracted(xs, dy, ops):
    a, b = spread(xs)
    return a - b, gathered([dy, -dy], xs, ops)


def multiplied(xs, dy, ops):
    # the chain backwards: the last factor first
    factors = spread(xs)
    products = list(itertools.accumulate(factors, np.multiply))
    found = []
    for k in range(len(xs) - 1, 0, -1):
        found.insert(0, dy * products[k - 1])
        dy = dy * factors[k]
    return products[-1], gathered([dy, *found], xs, ops)


def extreme(sign):
    def of(xs, dy, ops):
        stacked = np.array(spread(xs))
        # argmax takes the first of equals, and the first NaN
        first = np.argmax(sign * stacked, axis=0)
        y = np.take_along_axis(stacked, first[None], 0)[0]
        return y, gathered([np.where(first == k, dy, 0).astype(dy.dtype) for k in range(len(xs))], xs, ops)

    return of


def concatenated(axis):
    def of(xs, dy, ops):
        ends = np.cumsum([x.shape[axis] for x in xs])[:-1]
        return np.concatenate(xs, axis), np.split(dy, ends, axis)

    return of


def transposed(dims):
    def of(xs, dy, ops):
        order = (0, *dims)
        return xs[0].transpose(order), [dy.transpose(np.argsort(order))]

    return of


def total(x, axes, ops):
    """Return the sum over groups of neighbouring axes, the last group first, with the axes kept."""
    for group in axes[::-1]:
        before, after = x.shape[: group[0]], x.shape[group[-1] + 1 :]
        stack = x.reshape(int(np.prod(before)), -1, int(np.prod(after)))
        one = stack.shape[2] == 1
        made = ops.sum(stack[:, :, 0], axis=1) if one else ops.sum(stack, axis=1)
        x = made.reshape(*before, *[1] * len(group), *after)
    return x


def summed(*axes, count=1):
    def of(xs, dy, ops):
        (x,) = xs
        n = x.dtype.type(count)
        y = total(x, axes, ops).reshape(dy.shape)
        kept = [1 if any(k in group for group in axes) else n for k, n in enumerate(x.shape)]
        dy = dy.reshape(kept)
        return (y if count == 1 else y / n), [np.broadcast_to(dy if count == 1 else dy / n, x.shape).copy()]

    return of


def largest(axis):
    def of(xs, dy, ops):
        (x,) = xs
        first = x.argmax(axis)
        dx = np.zeros_like(x)
        np.put_along_axis(dx, np.expand_dims(first, axis), dy.reshape(np.expand_dims(first, axis).shape), axis)
        return np.take_along_axis(x, np.expand_dims(first, axis), axis).reshape(dy.shape), [dx]

    return of


def part(start, stop):
    def of(xs, dy, ops):
        dx = np.zeros_like(xs[0])
        dx[..., start:stop] = dy
        return xs[0][..., start:stop], [dx]

    return of


def product(forward, of_a, of_b):
    """Return what a product of stacks makes, from what it makes of two matrices and dy."""

    def of(xs, dy, ops):
        rows = [[f(ops.matmul, a, b, d) for f in (forward, of_a, of_b)] for a, b, d in zip(*xs, dy, strict=True)]
        y, da, db = (np.array(found) for found in zip(*rows, strict=True))
        return y, [da, db]

    return of


NT = product(lambda mm, a, b, d: mm(a, b.T), lambda mm, a, b, d: mm(d, b), lambda mm, a, b, d: mm(d.T, a))
NN = product(lambda mm, a, b, d: mm(a, b), lambda mm, a, b, d: mm(d, b.T), lambda mm, a, b, d: mm(a.T, d))
TN = product(lambda mm, a, b, d: mm(a.T, b), lambda mm, a, b, d: mm(b, d.T), lambda mm, a, b, d: mm(a, d))


def vectors(xs, dy, ops):
    stacks = [x[:, None] for x in xs]
    y, (da, db) = NT(stacks, dy.reshape(-1, 1, 1), ops)
    return y[:, 0], [da[:, 0], db[:, 0]]


def turned(xs, dy, ops):
    a, b = xs
    y, (da, db) = NT([np.ascontiguousarray(a.swapaxes(1, 2)), b], dy, ops)
    return y, [da.swapaxes(1, 2), db]


#: A layer, the shapes of its rows, and what it and its gradients are in NumPy.
CASES = {
    "add": (Add, [(4,), (4,)], added),
    "add five": (Add, [(2, 3)] * 5, added),
    "add a last axis of 1": (Add, [(3, 1), (3, 5), (3, 1)], added),
    "average": (Average, [(5,)] * 3, averaged),
    "average of a last axis of 1": (Average, [(5,), (1,)], averaged),
    "subtract": (Subtract, [(2, 3), (2, 3)], subtracted),
    "subtract from a last axis of 1": (Subtract, [(1,), (7,)], subtracted),
    "multiply": (Multiply, [(6,), (6,)], multiplied),
    "multiply four": (Multiply, [(6,), (1,), (6,), (6,)], multiplied),
    "maximum": (Maximum, [(40,), (40,)], extreme(1)),
    "maximum of three": (Maximum, [(9, 4), (9, 1), (9, 4)], extreme(1)),
    "minimum": (Minimum, [(40,), (40,)], extreme(-1)),
    "minimum of four": (Minimum, [(30,)] * 4, extreme(-1)),
    "concatenate": (Concatenate, [(3,), (5,)], concatenated(-1)),
    "concatenate nine": (Concatenate, [(k,) for k in (1, 5, 2, 3, 1, 4, 2, 2, 1)], concatenated(-1)),
    "concatenate first": (lambda: Concatenate(1), [(3, 2), (1, 2), (2, 2)], concatenated(1)),
    "concatenate middle": (lambda: Concatenate(-2), [(2, 3, 4), (2, 1, 4), (2, 2, 4), (2, 5, 4)], concatenated(2)),
    "dot": (lambda: Dot(1), [(6,), (6,)], vectors),
    "dot nt": (lambda: Dot(2), [(3, 5), (4, 5)], NT),
    "dot nn": (lambda: Dot((2, 1)), [(3, 5), (5, 4)], NN),
    "dot tn": (lambda: Dot((-2, 1)), [(5, 3), (5, 4)], TN),
    "dot tt": (lambda: Dot((1, 2)), [(5, 3), (4, 5)], turned),
    "sum": (Sum, [(3, 5)], summed([2])),
    "sum first": (lambda: Sum(1, keepdims=True), [(3, 5)], summed([1])),
    "sum of a vector": (Sum, [(70,)], summed([1])),
    "sum of two": (lambda: Sum((1, 2)), [(3, 5, 2)], summed([1, 2])),
    "sum of two apart": (lambda: Sum((3, 1), keepdims=True), [(3, 5, 2)], summed([1], [3])),
    "mean": (lambda: Mean((1, 3)), [(3, 5, 2)], summed([1], [3], count=6)),
    "mean of all": (lambda: Mean((-1, -2)), [(3, 5)], summed([1, 2], count=15)),
    "max": (Max, [(3, 5)], largest(2)),
    "max first": (lambda: Max(1, keepdims=True), [(4, 3)], largest(1)),
    "permute": (lambda: Permute((2, 1)), [(3, 5)], transposed((2, 1))),
    "repeat": (lambda: RepeatVector(4), [(3,)], lambda xs, dy, ops: (
        np.repeat(xs[0][:, None], 4, 1), [total(dy, [[1]], ops)[:, 0]])),
    "slice": (lambda: Slice(1, -2), [(2, 7)], part(1, -2)),
    "slice to the end": (lambda: Slice(3), [(7,)], part(3, None)),
    "slice all": (Slice, [(7,)], part(0, None)),
    "scale": (lambda: Scale(-0.3), [(2, 3)], lambda xs, dy, ops: (
        xs[0] * dy.dtype.type(-0.3), [dy * dy.dtype.type(-0.3)])),
    "scale by an array": (lambda: Scale(ARRAY), [(3, 4)], lambda xs, dy, ops: (
        xs[0] * ARRAY.astype(dy.dtype), [dy * ARRAY.astype(dy.dtype)])),
    "scale the last axis": (lambda: Scale(ARRAY[0]), [(3, 4)], lambda xs, dy, ops: (
        xs[0] * ARRAY[0].astype(dy.dtype), [dy * ARRAY[0].astype(dy.dtype)])),
    "shift": (lambda: Shift(0.7), [(5,)], lambda xs, dy, ops: (xs[0] + dy.dtype.type(0.7), [dy])),
    "shift by an array": (lambda: Shift(ARRAY), [(3, 4)], lambda xs, dy, ops: (
        xs[0] + ARRAY.astype(dy.dtype), [dy])),
    "shift the last axis": (lambda: Shift(ARRAY[1]), [(4,)], lambda xs, dy, ops: (
        xs[0] + ARRAY[1].astype(dy.dtype), [dy])),
    "divide": (lambda: Divide(3), [(2, 3)], lambda xs, dy, ops: (xs[0] / dy.dtype.type(3), [dy / dy.dtype.type(3)])),
}  # fmt: skip


def values(rng, shape, dtype, kind):
    if kind == "ordinary":
        return rng.standard_normal(shape).astype(dtype)
    edges = [0.0, -0.0, 1, -1, 1, -1, np.inf, -np.inf, np.nan] if kind == "ties" else edge_values(dtype)
    return np.array(edges, dtype)[rng.integers(len(edges), size=shape)]


@every_backend
@every_numerics
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
@np.errstate(all="ignore")
def test_bits_of_numpy(case, dtype, numerics, backend):
    make, shapes, expected = CASES[case]
    ops = {"numpy": NumPy, "portable": Portable}[numerics]
    rng = np.random.default_rng(0)
    for rows, kind in itertools.product((1, 7), ("ordinary", "ties", "edges")):
        layer = make()
        layer.name = "layer"
        _, shape = layer.build([*shapes] if several(layer) else shapes[0])
        xs = [values(rng, (rows, *s), dtype, kind) for s in shapes]
        dy = values(rng, (rows, *shape), dtype, kind)
        y, dxs = expected(xs, dy, ops)
        got = run(layer, xs, dy, backend, numerics)
        for what, one, other in zip(("y", *(f"dx{k}" for k in range(len(xs)))), got, (y, *dxs), strict=True):
            assert_same_bits(one, np.asarray(other, dtype), f"{case} {kind} {what}")


@pytest.mark.parametrize("case", [name for name in CASES if len(CASES[name][1]) > 1])
def test_gradients_that_nobody_needs_are_not_made(case):
    make, shapes, _ = CASES[case]
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((3, *shape)) for shape in shapes]
    layer = make()
    layer.name = "layer"
    dy = rng.standard_normal((3, *layer.build([*shapes])[1]))
    all_, calls = run(layer, xs, dy), len(program_of(make(), shapes, "float64", "numpy", [True] * len(xs))[0].calls)
    for need in itertools.product((False, True), repeat=min(len(xs), 4)):
        need = [*need, *[False] * (len(xs) - len(need))]
        got = run(make(), xs, dy, need=need)
        for one, other, needed in zip(got[1:], all_[1:], need, strict=True):
            assert (one is not None) == needed
            if needed:
                assert_same_bits(one, other)
        program, *_ = program_of(make(), shapes, "float64", "numpy", need)
        assert len(program.calls) < calls or all(need)
    program, *_ = program_of(make(), shapes, "float64", "numpy", [False] * len(xs))
    assert "backward" not in {call.phase for call in program.calls if call.kernel.name != "identity_forward"}


@pytest.mark.parametrize("dims", [d for n in (1, 2, 3, 4) for d in itertools.permutations(range(1, n + 1))], ids=str)
def test_every_permutation_in_few_calls(dims):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((3, *(2, 3, 4, 5)[: len(dims)]))
    y, dxs = transposed(dims)([x], dy := rng.standard_normal((3, *(x.shape[d] for d in dims))), NumPy)
    got = run(Permute(dims), [x], dy)
    assert_same_bits(got[0], y)
    assert_same_bits(got[1], dxs[0])
    program, *_ = program_of(Permute(dims), [x.shape[1:]], "float64", "numpy", [False])
    assert [call.kernel.name for call in program.calls[:-1]].count("swap_axes") <= max(len(dims) - 1, 0)
    if dims in ((2, 3, 4, 1), (4, 1, 2, 3), (3, 4, 1, 2), (2, 1)):
        assert len(program.calls) == 2


@every_numerics
@pytest.mark.parametrize("case", ["dot", "dot nt", "dot nn", "dot tn", "dot tt"])
def test_cosines(case, numerics):
    make, shapes, _ = CASES[case]
    rng = np.random.default_rng(3)
    xs = [rng.standard_normal((4, *shape)) for shape in shapes]
    axes = [a if a > 0 else 3 + a for a in make().axes]
    unit = [x / np.sqrt((x * x).sum(axis=a, keepdims=True) + 1e-12) for x, a in zip(xs, axes, strict=True)]
    dy = rng.standard_normal((4, *program_of(make(), shapes, "float64", "numpy", [True] * 2)[2].shape[1:]))
    want, *_ = run(make(), unit, dy)
    layer = Dot(make().axes, normalize=True)
    got, *gradients = run(layer, xs, dy, numerics=numerics)
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-14)
    assert (np.abs(got) <= 1 + 1e-12).all()
    assert_differences(lambda *xs: run(layer, [*xs], dy, numerics=numerics)[0], xs, dy, gradients)


def assert_differences(forward, xs, dy, gradients):
    """Compare gradients with central differences."""
    for k, (x, dx) in enumerate(zip(xs, gradients, strict=True)):
        want, step = np.empty_like(x), 1e-6
        for at in np.ndindex(x.shape):
            ends = []
            for sign in (1, -1):
                moved = [other.copy() for other in xs]
                moved[k][at] += sign * step
                ends.append((forward(*moved) * dy).sum())
            want[at] = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(dx, want, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("case", [name for name in CASES if name != "concatenate nine"])
def test_gradients_are_differences(case):
    make, shapes, _ = CASES[case]
    rng = np.random.default_rng(4)
    xs = [rng.standard_normal((2, *shape)) for shape in shapes]
    layer = make()
    layer.name = "layer"
    dy = rng.standard_normal((2, *layer.build([*shapes] if several(layer) else shapes[0])[1]))
    program, inputs, upstream, copies = program_of(layer, shapes, "float64", "numpy", [True] * len(xs))
    executor = make_executor(program, "cython", {}, 2)
    executor.bind(upstream, dy)

    def forward(*arrays):
        for buffer, array in zip(inputs, arrays, strict=True):
            executor.bind(buffer, array)
        executor.run((0, len(program.calls)), 2)
        return executor.view(copies[0]).copy()

    forward(*xs)
    assert_differences(forward, xs, dy, [executor.view(b).copy() for b in copies[1:]])


def test_one_input_twice():
    rng = np.random.default_rng(5)
    for layer, y, dx in ((Multiply(), lambda x: x * x, lambda x, dy: dy * x), (Subtract(), np.zeros_like, None)):
        program = Program("float64")
        x = program.buffer("x", (BATCH, 4), role="input")
        layer.name = "layer"
        made, backward = layer.emit(program, [x, x], {}, {})
        dy = program.buffer("dy", made.shape, role="input")
        found = backward(dy, [True, True])
        made.role = "result"
        executor = make_executor(program, "cython", {}, 3)
        arrays = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
        for buffer, array in zip((x, dy), arrays, strict=True):
            executor.bind(buffer, array)
        executor.run((0, len(program.calls)), 3)
        assert_same_bits(executor.view(made), y(arrays[0]))
        if dx:
            for one in found:
                assert_same_bits(executor.view(one), dx(*arrays))


def test_no_gradient_goes_through():
    program = Program("float32")
    x = program.buffer("x", (BATCH, 4))
    y, backward = StopGradient().emit(program, x, {}, {})
    assert y is x and backward(program.buffer("dy", (BATCH, 4)), True) is None and not program.calls
    model = fastbp.Sequential([StopGradient(), fastbp.Dense(2)], input_shape=3, seed=0)
    model.compile("sgd", "mse")
    assert model.train_on_batch(np.ones((2, 3)), np.ones((2, 2))) > 0


# ---------------------------------------------------------------------------------- models and files
SINGLE = [name for name in CASES if len(CASES[name][1]) == 1]


@pytest.mark.parametrize("case", SINGLE)
def test_in_a_model_and_its_file(case, tmp_path):
    make, (shape,), expected = CASES[case]
    x = np.random.default_rng(6).standard_normal((5, *shape))
    model = fastbp.Sequential([make()], input_shape=shape, seed=0)
    model.compile("sgd", "mse", dtype="float64")
    dy = np.ones((5, *model.layout.output_shape))
    assert_same_bits(model.predict(x), expected([x], dy, NumPy)[0])
    model.save(tmp_path / "model.npz")
    again = fastbp.load_model(tmp_path / "model.npz")
    assert_same_bits(again.predict(x), model.predict(x))
    tail = [fastbp.Flatten(), fastbp.Dense(1)] if model.layout.output_shape else [fastbp.Reshape(1), fastbp.Dense(1)]
    model = fastbp.Sequential([fastbp.Dense(shape[-1]), make(), *tail], input_shape=shape, seed=0)
    model.compile("sgd", "mse", dtype="float64")
    assert fastbp.gradient_check(model, x, np.zeros((5, 1))).ok


@pytest.mark.parametrize("case", CASES)
def test_configurations(case):
    import json

    layer = CASES[case][0]()
    config = json.loads(json.dumps(layer.get_config()))
    again = from_config(type(layer).__name__, config)
    assert again.get_config() == layer.get_config()
    assert repr(again) == repr(layer)


def test_an_array_stays_as_it_is():
    array = np.array([1.0, 2.0])
    layer = Scale(array)
    array[:] = 7
    model = fastbp.Sequential([layer, fastbp.Dense(2)], input_shape=2, seed=0)
    x = np.ones((4, 2))
    for dtype in ("float32", "float64", "float32"):
        model.compile("sgd", "mse", dtype=dtype)
        model.fit(x, x, epochs=3, verbose=0)
        model.forward(x)
        assert_same_bits(layer.y, np.array([[1, 2]] * 4, dtype))
    assert model.count_params() == 6
    assert repr(layer) == "Scale(factor=<array of shape (2,)>, name='scale_1')"


# ------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("kind", [Add, Average, Subtract, Multiply, Maximum, Minimum])
def test_shapes_that_do_not_merge(kind):
    layer = kind(name="both")
    for a, b in (((4,), (5,)), ((2, 4), (4,)), ((1, 4), (2, 4)), ((3, 4), (4, 3)), ((2, 1), (3, 4)), ((), (4,))):
        with pytest.raises(ValueError) as error:
            layer.build([a, b])
        text = f"both: {kind.__name__} of rows of {a} and {b}; the shapes must be equal, but for a last axis of 1"
        assert str(error.value) == text
    assert layer.build([(3, 1), (3, 4)]) == layer.build([(3, 4), (3, 1)]) == ([], (3, 4))
    assert layer.build([(), ()]) == ([], ())
    inputs = "two inputs" if kind is Subtract else "two inputs or more"
    with pytest.raises(ValueError, match=f"^both: {kind.__name__} takes a list of {inputs}; it is given one, of shape"):
        layer.build((4,))
    for shapes in ([], [(4,)], *([[(4,)] * 3] if kind is Subtract else [])):
        with pytest.raises(ValueError, match=f"{kind.__name__} takes a list of {inputs}; it is given {len(shapes)}$"):
            layer.build(shapes)
    with pytest.raises(ValueError, match="takes a list of two inputs"):
        fastbp.Sequential([kind()], input_shape=4).build()


@pytest.mark.parametrize(
    ("make", "shapes", "message"),
    [
        (lambda: Concatenate(0), None, "^axis is 0, which is the batch; 1 is the first axis of a row, -1 the last$"),
        (lambda: Concatenate(1.5), None, r"^axis is 1.5; it must be an integer$"),
        (lambda: Concatenate(2), [(4,), (4,)], r"x: axis is 2; rows of shape \(4,\) have 1 .. 1, or -1 .. -1$"),
        (Concatenate, [(3, 4), (2, 4)], r"x: Concatenate of rows of \(3, 4\) and \(2, 4\); the shapes must be equal, "
         "but for axis -1$"),
        (Concatenate, [(3, 4), (4,)], r"x: Concatenate of rows of \(3, 4\) and \(4,\)"),
        (Concatenate, [(4,)], "takes a list of two inputs or more; it is given 1"),
        (lambda: Dot(0), None, "^axes is 0, which is the batch"),
        (lambda: Dot((1, 2, 1)), None, r"^axes is \(1, 2, 1\); it must be an axis, or one for each of two inputs$"),
        (lambda: Dot("ab"), None, "^axes is 'ab'; it must be an integer$"),
        (lambda: Dot(1), [(4,), (5,)], r"x: Dot of rows of \(4,\) and \(5,\); axes \(1, 1\) must be of one length$"),
        (lambda: Dot(1), [(4,), (4, 2, 2)], r"x: Dot takes rows of one or two dimensions, got shape \(4, 2, 2\)$"),
        (lambda: Dot(2), [(4,), (4,)], r"x: axes is 2; rows of shape \(4,\) have 1 .. 1"),
        (lambda: Dot(1), [(4,)] * 3, "x: Dot takes a list of two inputs; it is given 3$"),
        (lambda: Sum(0), None, "^axis is 0, which is the batch"),
        (lambda: Sum(()), None, "^axis is empty; it must name an axis$"),
        (lambda: Sum((1, None)), None, "^axis is None; it must be an integer$"),
        (lambda: Mean((1, -1)), (4,), r"x: axis is \(1, -1\); of rows of shape \(4,\) one is named twice$"),
        (lambda: Max(3), (4, 2), r"x: axis is 3; rows of shape \(4, 2\) have 1 .. 2, or -2 .. -1$"),
        (Max, (4, 0), r"x: Max over an axis of length 0, of rows of \(4, 0\)$"),
        (lambda: Permute((1, 3)), None, r"^dims is \(1, 3\); it must hold each of 1, 2 ... once$"),
        (lambda: Permute(()), None, r"^dims is \(\); it must hold each of 1, 2 ... once$"),
        (lambda: Permute((2, 1)), (4,), r"x: Permute\(\(2, 1\)\) of rows of shape \(4,\); both must be as long$"),
        (lambda: RepeatVector(0), None, "^n is 0; it must be at least 1$"),
        (lambda: RepeatVector(2), (3, 4), r"x: RepeatVector takes rows of one dimension, got shape \(3, 4\)$"),
        (lambda: Slice(1.0), None, "^start is 1.0; it must be an integer or None$"),
        (lambda: Slice(stop="a"), None, "^stop is 'a'; it must be an integer or None$"),
        (lambda: Slice(3, 3), (4,), r"x: Slice\(3, 3\) leaves nothing of rows of \(4,\)$"),
        (Slice, (), r"x: Slice takes rows of one dimension or more, got shape \(\)$"),
        (lambda: Scale("a"), None, "^factor is 'a'; it must be a number$"),
        (lambda: Scale(np.inf), None, "^factor is inf; it must be finite$"),
        (lambda: Shift([1, np.nan]), None, "^offset has NaN or infinity in it; all of its numbers must be finite$"),
        (lambda: Shift([1, 2]), (4,), r"x: offset of shape \(2,\) and rows of shape \(4,\); it must have that shape, "
         "or that of their last axis$"),
        (lambda: Scale(np.ones((1, 4))), (2, 4), r"x: factor of shape \(1, 4\) and rows of shape \(2, 4\)"),
        (lambda: Divide(0), None, "^divisor is 0; it must be other than 0$"),
    ],
)  # fmt: skip
def test_errors(make, shapes, message):
    if shapes is None:
        with pytest.raises((TypeError, ValueError), match=message):
            make()
        return
    layer = make()
    layer.name = "x"
    with pytest.raises(ValueError, match=message):
        layer.build(shapes)
