"""Layers, and losses of several outputs, of users' own: the bits of their expression, in kernels and in programs."""

import copy
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest
from _arrays import BACKENDS, DTYPES, assert_same_bits, edge_values

import fastbp
from fastbp import Dense, Sequential, custom, kernels, load_model, losses
from fastbp.backends import make_executor
from fastbp.kernels.table import KERNELS, TABLE
from fastbp.layers import CustomLayer, from_config
from fastbp.program import BATCH, Program

ALL = ("numpy", *BACKENDS)
BOTH = ("numpy", "portable")
NUMBER = itertools.count()


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


OF_ELEMENTS = {
    "mix": lambda a, b: a * np.tanh(b),
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "first": lambda a, b: a,
    "none of the second": lambda a, b: np.sin(a),
    "the same twice": lambda a, b: a * a * b,
    "extremes": lambda a, b: np.maximum(a, b) - 2 * np.minimum(b, a),
    "three": lambda a, b, c: np.where(a > b, a * c, np.maximum(b, 0.5)) - c,
    "ratio": lambda a, b: a / (1 + np.abs(b)) ** 1.5,
    "one": lambda x: x * np.cos(x),
}
OVER_ROWS = {
    "attention": lambda a, b: a * softmax(b),
    "centred": lambda a, b: a - b.mean(axis=-1, keepdims=True) * a.max(axis=-1, keepdims=True),
    "distance": lambda a, b: np.sqrt(((a - b) ** 2).sum(axis=-1) + 0.5),
    "product": lambda a, b: (a * b).sum(axis=-1, keepdims=True),
    "worst": lambda a, b: np.max(np.abs(a - b), axis=-1),
    "mean": lambda x: x.mean(axis=-1),
    "of rows alone": lambda a, b: np.tanh(a.sum(axis=-1, keepdims=True)) * b.mean(axis=-1, keepdims=True),
    "unread": lambda a, b: (b * b).sum(axis=-1),
    "three rows": lambda a, b, c: (a * softmax(b)).sum(axis=-1, keepdims=True) - c,
}
SHAPES = (1, 1), (5, 3), (2, 31), (3, 130), (2, 700)


@pytest.fixture
def fresh():
    """Return names that are not taken."""
    return lambda: f"own_layer{next(NUMBER)}"


def count(function):
    return function.__code__.co_argcount


def called(kind, name):
    """Return a name that a function has in all tests: Numba compiles it once."""
    return f"{kind}_of_{name.replace(' ', '_')}"


def layer_of(name):
    return custom.layer({**OF_ELEMENTS, **OVER_ROWS}[name], called("layer", name))


def inputs(dtype, shape, seed=0):
    rng = np.random.default_rng([seed, *shape])
    values = np.concatenate([edge_values(dtype), np.array([np.inf, -np.inf, np.nan, -0.0], dtype)])
    return np.where(rng.random(shape) < 0.3, rng.choice(values, shape), 2 * rng.standard_normal(shape)).astype(dtype)


def in_order(kernel, given):
    return [given[o.name] for o in kernel.inputs]


def slopes(function, x):
    """Return the gradient of a number by central differences."""
    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        found[at] = (function(x + step) - function(x - step)) / 2e-6
    return found


@pytest.mark.parametrize("numerics", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*OF_ELEMENTS, *OVER_ROWS])
def test_bits_of_the_expression_in_every_backend(name, dtype, numerics):
    function, row = {**OF_ELEMENTS, **OVER_ROWS}[name], layer_of(name).row
    forward, backward = row.kernels.values()
    names = [o.name for o in forward.inputs]
    for shape in SHAPES if name in OVER_ROWS else [(0,), (1,), (3, 5), (17,), (513,), (1600,)]:
        xs = [inputs(dtype, shape, seed) for seed in range(count(function))]
        with np.errstate(all="ignore"):
            want = function(*xs)
        given = {**dict(zip(names, xs, strict=True)), "dy": inputs(dtype, want.shape, 9)}
        # numba compiles each expression anew: one of two numerics will do
        for backend in ALL if numerics == "numpy" else ("numpy", "cython"):
            if backend not in ALL:
                continue
            how = {"backend": backend, "numerics": numerics}
            y = getattr(kernels, forward.name)(*in_order(forward, given), **how)
            dxs = getattr(kernels, backward.name)(*in_order(backward, given), **how)
            dxs = dxs if isinstance(dxs, tuple) else (dxs,)
            if backend == "numpy":
                first = y, dxs
                if numerics == "numpy" and len(shape) == 2:
                    # a sum of NaN and of infinities of both signs is NaN, whichever sign
                    assert_same_bits(np.where(np.isnan(y), 0, y), np.where(np.isnan(want), 0, want), name)
            assert_same_bits(y, first[0], f"{name} {shape} {backend}")
            for got, of_numpy, x in zip(dxs, first[1], xs, strict=True):
                assert got.shape == x.shape and got.dtype == x.dtype
                assert_same_bits(got, of_numpy, f"{name} {shape} {backend}")


@pytest.mark.parametrize("name", [*OF_ELEMENTS, *OVER_ROWS])
def test_derivatives_by_differences(name):
    function, row = {**OF_ELEMENTS, **OVER_ROWS}[name], layer_of(name).row
    forward, backward = row.kernels.values()
    rng = np.random.default_rng(1)
    xs = [rng.standard_normal((3, 4)) for _ in range(count(function))]
    dy = rng.standard_normal(function(*xs).shape)
    given = {**dict(zip([o.name for o in forward.inputs], xs, strict=True)), "dy": dy}
    dxs = getattr(kernels, backward.name)(*in_order(backward, given))
    for k, dx in enumerate(dxs if isinstance(dxs, tuple) else (dxs,)):

        def of_one(x, k=k):
            return (function(*xs[:k], x, *xs[k + 1 :]) * dy).sum()

        np.testing.assert_allclose(dx, slopes(of_one, xs[k]), rtol=1e-6, atol=1e-8)


def run(program, given, backend, batch):
    """Run a program on arrays; return a function that looks at a buffer."""
    executor = make_executor(program, backend, {}, batch, keep=True)
    for buffer, array in given.items():
        executor.view(buffer, batch)[...] = array
    executor.run((0, len(program.calls)), batch)
    return lambda buffer: executor.view(buffer, batch).copy()


@pytest.mark.parametrize("numerics", BOTH)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("mix", [(4,), (4,)]), ("mix", [(2, 3), (2, 3)]), ("mix", [(), ()]), ("mix", [(4,), (1,)]),
        ("mix", [(1,), (1,)]), ("mix", [(2, 1), (2, 5)]), ("three", [(7,), (1,), (7,)]), ("three", [(1,), (1,), (6,)]),
        ("one", [(5,)]), ("attention", [(6,), (6,)]), ("attention", [(1,), (6,)]), ("centred", [(2, 6), (2, 1)]),
        ("distance", [(3,), (3,)]), ("distance", [(2, 3), (2, 1)]), ("product", [(2, 2, 3), (2, 2, 3)]),
        ("mean", [(2, 5)]), ("unread", [(1,), (3,)]),
    ],
)  # fmt: skip
def test_in_programs(name, shapes, dtype, numerics):
    function, layer = {**OF_ELEMENTS, **OVER_ROWS}[name], layer_of(name)
    rng, batch, found = np.random.default_rng(0), 6, []
    arrays = [rng.standard_normal((batch, *shape)).astype(dtype) for shape in shapes]
    spread = np.broadcast_arrays(*arrays)
    want = function(*spread)
    dy = rng.standard_normal(want.shape).astype(dtype)
    for backend in ALL:
        program = Program(np.dtype(dtype).name, numerics)
        xs = [program.buffer(f"x{k}", (BATCH, *shape), role="input") for k, shape in enumerate(shapes)]
        several = len(xs) > 1
        y, backward = layer.emit(program, xs if several else xs[0], {}, {})
        top = program.buffer("dy", y.shape, role="input")
        dxs = backward(top, [True] * len(xs) if several else True)
        dxs = dxs if several else [dxs]
        program.verify(program.plan(batch))
        assert layer.build([*shapes] if several else shapes[0]) == ([], want.shape[1:])
        look = run(program, {**dict(zip(xs, arrays, strict=True)), top: dy}, backend, batch)
        found.append([look(buffer) for buffer in (y, *dxs)])
        for got, first in zip(found[-1], found[0], strict=True):
            assert_same_bits(got, first, backend)
    y, *dxs = found[0]
    assert y.shape == want.shape
    if numerics == "numpy":
        assert_same_bits(y, want)
    else:
        np.testing.assert_allclose(y, want, rtol=1e-5, atol=1e-6)
    for k, (dx, array) in enumerate(zip(dxs, arrays, strict=True)):
        assert dx.shape == array.shape
        wide = [x.astype("float64") for x in arrays]

        def of_one(x, k=k, wide=wide):
            return (function(*np.broadcast_arrays(*wide[:k], x, *wide[k + 1 :])) * dy).sum()

        np.testing.assert_allclose(dx, slopes(of_one, wide[k]), rtol=1e-4 if dtype == "float32" else 1e-6, atol=1e-5)


def test_gradients_that_nobody_needs(fresh):
    layer = custom.layer(OF_ELEMENTS["mix"], fresh())
    program = Program("float32")
    a, b = program.buffer("a", (BATCH, 3), role="input"), program.buffer("b", (BATCH, 1), role="input")
    y, backward = layer.emit(program, [a, b], {}, {})
    dy, before = program.buffer("dy", y.shape, role="input"), len(program.calls)
    assert backward(dy, [False, False]) == [None, None] and len(program.calls) == before
    da, db = backward(dy, [True, False])
    assert da.shape == a.shape and db is None
    assert [call.kernel.name for call in program.calls[before:]] == [f"{layer.row.name}_backward"]
    da, db = backward(dy, [False, True])
    assert da is None and db.shape == b.shape
    assert program.calls[-1].kernel.name == "row_sums"
    one = custom.layer(OF_ELEMENTS["one"], fresh())
    _, backward = one.emit(program, a, {}, {})
    assert backward(dy, False) is None and backward(dy, True).shape == a.shape
    # a list of one is a list
    _, backward = one.emit(program, [a], {}, {})
    assert [dx.shape for dx in backward(dy, [True])] == [a.shape]


def test_files_copies_and_pickles(fresh):
    mix = custom.layer(OF_ELEMENTS["mix"], fresh())
    config = mix.get_config()
    assert config == {
        "function": mix.function, "expressions": [k.expression for k in mix.row.kernels.values()], "name": None,
    }  # fmt: skip
    twins = copy.deepcopy(mix), copy.copy(mix), pickle.loads(pickle.dumps(mix)), from_config("CustomLayer", config)
    for twin in twins:
        assert twin is not mix and twin.row is mix.row and twin.get_config() == config
    # another process knows neither the function nor the name
    code = (
        f"import pickle, numpy as np, fastbp\nlayer = pickle.loads(bytes.fromhex({pickle.dumps(mix).hex()!r}))\n"
        f"again = fastbp.layers.from_config('CustomLayer', {config!r})\n"
        "print(layer.inputs, again.row is layer.row, fastbp.kernels."
        f"{mix.function}_forward(np.ones(1), np.ones(1))[0] == np.tanh(1.0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "True", "True"], done.stderr


@pytest.mark.parametrize("name", ["one", "mean", "normed"])
def test_of_one_input_in_a_chain(name, fresh, tmp_path):
    functions = {**OF_ELEMENTS, **OVER_ROWS, "normed": lambda x: x - x.mean(axis=-1, keepdims=True)}
    rng, found, called = np.random.default_rng(0), [], fresh()
    x, y = rng.standard_normal((20, 3)), rng.standard_normal((20, 2))
    for backend in ALL:
        own = custom.layer(functions[name], called)
        layer = [own, fastbp.Reshape((1,))] if name == "mean" else [own]
        model = Sequential([Dense(4), *layer, Dense(2)], input_shape=3, seed=1)
        model.compile("adam", "mse", backend=backend, dtype="float64")
        model.fit(x, y, batch_size=8, epochs=3, seed=2, verbose=0)
        found.append(model)
        for got, want in zip(model.get_weights(), found[0].get_weights(), strict=True):
            assert_same_bits(got, want, backend)
    assert fastbp.gradient_check(model, x, y).ok
    model.save(tmp_path / "own.npz")
    row = own.row.name
    TABLE.pop(row)
    for part in ("forward", "backward"):
        KERNELS.pop(f"{row}_{part}")
    assert_same_bits(load_model(tmp_path / "own.npz").predict(x), model.predict(x))


def test_a_function_that_is_defined_again_keeps_what_was_made(fresh):
    name = fresh()
    older = custom.layer(lambda a, b: a * b, name)
    newer = custom.layer(lambda a, b: a * b - b, name)
    assert older.row is not newer.row and older.function == newer.function == name
    assert CustomLayer(name).row is newer.row
    for one in (older, newer):
        assert copy.deepcopy(one).row is one.row and from_config("CustomLayer", one.get_config()).row is one.row
    # with other inputs, too
    custom.layer(lambda a, b, c: a * b + c, name)
    assert CustomLayer(name).inputs == 3 and older.inputs == 2
    with pytest.raises(ValueError, match=f"there is a row '{name}' already"):
        custom.activation(lambda x: x * 5, name)
    with pytest.raises(ValueError, match="'relu' already"):
        custom.layer(lambda a, b: a * b, "relu")
    with pytest.raises(ValueError, match=f"there is no activation '{name}'"):
        fastbp.Activation(name)


def test_a_layer_of_ones_own_calls_the_kernels(fresh):
    made = custom.layer(OF_ELEMENTS["mix"], fresh())

    class Gated(fastbp.layers.Layer):
        def build(self, input_shape):
            return [], input_shape[0]

        def emit(self, program, xs, weights, gradients):
            a, b = xs
            y = program.call(f"{made.row.name}_forward", a, b, layer=self.name)
            return y, lambda dy, need: list(program.call(f"{made.row.name}_backward", dy, a, b, layer=self.name))

    rng = np.random.default_rng(0)
    a, b, dy = rng.standard_normal((3, 5, 4))
    for backend in ALL:
        program = Program("float64")
        xs = [program.buffer(name, (BATCH, 4), role="input") for name in "ab"]
        y, backward = Gated(name="gated").emit(program, xs, {}, {})
        top = program.buffer("dy", y.shape, role="input")
        dxs = backward(top, [True, True])
        look = run(program, {xs[0]: a, xs[1]: b, top: dy}, backend, 5)
        assert_same_bits(look(y), a * np.tanh(b))
        assert_same_bits(look(dxs[0]), dy * np.tanh(b))


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(3,), (4,)], r"inputs of one shape, or with a last axis of 1, got \(3,\) and \(4,\)"),
        ([(2, 3), (1, 3)], r"got \(2, 3\) and \(1, 3\)"),
        ([(3,), ()], r"got \(3,\) and \(\)"),
        ([(), (1,)], r"got \(\) and \(1,\)"),
        ([(3,), (3, 1)], r"got \(3,\) and \(3, 1\)"),
        ([(3,)], r"takes 2 inputs, got 1; call it with a list of tensors"),
        ((3,), r"takes 2 inputs, got 1; call it with a list of tensors"),
        ([(3,)] * 3, r"takes 2 inputs, got 3"),
    ],
)
def test_inputs_that_do_not_fit_are_named(shapes, message, fresh):
    layer = custom.layer(OF_ELEMENTS["mix"], fresh())
    layer.name = "mix_1"
    with pytest.raises(ValueError, match=f"mix_1: {layer.function} .*{message}"):
        layer.build(shapes)
    over_rows = custom.layer(OVER_ROWS["distance"], fresh())
    with pytest.raises(ValueError, match=r"takes rows of one dimension or more, got shape \(\)"):
        over_rows.build([(), ()])


def test_what_cannot_be_made_a_layer(fresh):
    before = dict(TABLE)
    for function, error, message in (
        (lambda *x: x[0], TypeError, "does not say how many arrays it takes; give inputs="),
        (lambda: 3.0, TypeError, "does not say how many arrays it takes"),
        (lambda a, b: a if a > b else b, TypeError, "branches on values"),
        (lambda a, b: 3.0, TypeError, "the function returned 3.0"),
        (lambda a, b: (a, b), TypeError, r"the function returned \("),
        (lambda a, b: a @ b, TypeError, "numpy.matmul cannot be traced"),
        (lambda a, b: a * b.sum(axis=-1), TypeError, "it must be taken with keepdims=True"),
        (lambda a, b: a**b, TypeError, "the exponent of"),
    ):
        with pytest.raises(error, match=message):
            custom.layer(function, fresh())
    with pytest.raises(ValueError, match="inputs is 0; it must be at least 1"):
        custom.layer(lambda *x: x[0], fresh(), inputs=0)
    with pytest.raises(ValueError, match="the expression needs 17 arrays; there may be 16"):
        custom.layer(lambda *x: sum(x), fresh(), inputs=8)
    with pytest.raises(ValueError, match="name is '<lambda>'"):
        custom.layer(lambda a, b: a * b)
    assert before == TABLE
    with pytest.raises(ValueError, match=r"there is no layer 'no_such' .*: fastbp.custom.layer\(function, 'no_such'\)"):
        CustomLayer("no_such")
    with pytest.raises(TypeError, match="function is 3; it must be a function of arrays"):
        custom.layer(3, fresh())
    assert custom.layer(lambda *x: sum(x), fresh(), inputs=7).inputs == 7
    assert custom.layer(lambda a, b, scale=2.0: a * b * scale, fresh()).inputs == 2
    for expressions in (["y = x1", "dx1 = dy; dx3 = x2"], ["y = x1 @ x2", "dx1 = dy; dx2 = dy"], ["y", "dx1"]):
        with pytest.raises(ValueError, match=r"not in the vocabulary|cannot be read"):
            CustomLayer(fresh(), expressions)


@pytest.mark.skipif("numba" not in BACKENDS, reason="functions compiled by Numba")
def test_numba_functions_of_several_numbers(fresh):
    numba = pytest.importorskip("numba")

    @numba.njit
    def larger(a, b):
        return a * b if a > b else b * b

    @numba.njit
    def of_larger(a, b):
        return (b, a) if a > b else (0.0, 2 * b)

    made, one = (
        custom.layer(larger, fresh(), of_larger),
        custom.layer(numba.njit(lambda x: x * x), fresh(), numba.njit(lambda x: 2 * x)),
    )
    assert (made.inputs, one.inputs) == (2, 1)
    for dtype in DTYPES:
        a, b, dy = np.random.default_rng(0).standard_normal((3, 5, 7)).astype(dtype)
        forward, backward = made.row.kernels
        for backend in ALL:
            assert_same_bits(getattr(kernels, forward)(a, b, backend=backend), np.where(a > b, a * b, b * b))
            da, db = getattr(kernels, backward)(dy, a, b, backend=backend)
            assert_same_bits(da, dy * np.where(a > b, b, 0).astype(dtype))
            assert_same_bits(db, dy * np.where(a > b, a, 2 * b))
            assert_same_bits(getattr(kernels, f"{one.function}_backward")(dy, a, backend=backend), dy * (2 * a))
    assert made.get_config() == {"function": made.function, "name": None}
    assert copy.deepcopy(made).row is made.row and from_config("CustomLayer", made.get_config()).row is made.row
    with pytest.raises(TypeError, match=r"derivative is .*it must be a function compiled by numba\.njit"):
        custom.layer(larger, fresh(), np.sin)
    with pytest.raises(ValueError, match="the function needs 17 arrays; there may be 16"):
        custom.layer(larger, fresh(), of_larger, inputs=8)
    code = f"import pickle, sys; pickle.loads(bytes.fromhex({pickle.dumps(made).hex()!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"call fastbp.custom.layer(..., '{made.function}', derivative=...) first" in done.stderr


def test_a_function_in_the_place_of_a_layer_is_told_how():
    with pytest.raises(TypeError, match=r"made a layer by fastbp\.custom\.layer\(lambda x: x \* np\.tanh\(x\), "):
        Sequential([lambda x: x * 2])


JOINT = {
    "two": (lambda t, y: (y[0] - t[0]) ** 2 + 3 * np.abs(y[1] - y[0]), [None, None]),
    "of rows": (lambda t, y: ((y[0] - t[0]) ** 2).sum(axis=-1) + ((y[1] - y[0]) ** 2).mean(axis=-1), 2),
    "actor": (
        lambda t, y: (
            (t["value"] - y["value"]) ** 2
            - (t["policy"] * np.log(softmax(y["policy"]))).sum(axis=-1, keepdims=True) * (t["value"] - y["value"])
        ),
        {"policy": None, "value": 1},
    ),
    "a row first": (lambda t, y: y[0] * (y[1] - t[1]) ** 2 + y[0] ** 2, [1, None]),
    "all of one": (lambda t, y: (y[0] - t[0]) ** 2 * y[1], [1, 1]),
    "three": (lambda t, y: np.where(y[0] > y[2], y[0] * y[1], y[2] - t[1]), [None, 1, None]),
    "no target": (lambda t, y: (y[0] - y[1]) ** 2, 2),
}


def joint_data(outputs, dtype, rows=7, n=4, seed=0):
    """Return targets and outputs in the form of the outputs."""
    rng = np.random.default_rng(seed)
    widths = [None] * outputs if isinstance(outputs, int) else outputs
    keys = list(widths) if isinstance(widths, dict) else range(len(widths))
    widths = list(widths.values()) if isinstance(widths, dict) else widths
    made = []
    for _ in range(2):
        arrays = [rng.standard_normal((rows, width or n)).astype(dtype) for width in widths]
        made.append(dict(zip(keys, arrays, strict=True)) if isinstance(outputs, dict) else arrays)
    return made


def listed(values):
    return list(values.values()) if isinstance(values, dict) else list(values)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", JOINT)
def test_losses_of_several_outputs(name, dtype, reduction):
    function, outputs = JOINT[name]
    loss = custom.loss(function, called("loss", name), reduction, outputs=outputs)
    for n, numerics in itertools.product((1, 4, 40, 700), BOTH):
        y_true, y_pred = joint_data(outputs, dtype, n=n)
        want = getattr(function(y_true, y_pred), reduction)()
        first = None
        for backend in ALL if n < 100 else ("numpy", "cython"):
            if backend not in ALL:
                continue
            how = {"backend": backend, "numerics": numerics}
            value, gradient = loss(y_true, y_pred, **how), loss.gradient(y_true, y_pred, **how)
            assert type(gradient) is type(y_pred)
            first = first or (value, listed(gradient))
            assert_same_bits(value, first[0], f"{n} {backend}")
            for got, of_numpy, y in zip(listed(gradient), first[1], listed(y_pred), strict=True):
                assert got.shape == y.shape
                assert_same_bits(got, of_numpy, f"{n} {backend}")
        if numerics == "numpy":
            assert_same_bits(value, want)
        np.testing.assert_allclose(value, want, rtol=1e-3, atol=1e-4)
    y_true, y_pred = joint_data(outputs, "float64")
    gradient, keys = loss.gradient(y_true, y_pred), list(y_pred) if isinstance(y_pred, dict) else range(len(y_pred))
    for key in keys:

        def of_one(y, key=key):
            changed = dict(y_pred) if isinstance(y_pred, dict) else [*y_pred]
            changed[key] = y
            return getattr(function(y_true, changed), reduction)()

        np.testing.assert_allclose(gradient[key], slopes(of_one, y_pred[key]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("numerics", BOTH)
@pytest.mark.parametrize("name", JOINT)
def test_losses_of_several_outputs_in_programs(name, numerics, weighted):
    function, outputs = JOINT[name]
    loss = custom.loss(function, called("loss", name), outputs=outputs)
    y_true, y_pred = joint_data(outputs, "float64")
    weight = np.random.default_rng(5).random(7)
    how = {"numerics": numerics, "sample_weight": weight if weighted else None}
    want, gradient = loss(y_true, y_pred, **how), listed(loss.gradient(y_true, y_pred, **how))
    for backend in ALL:
        program = Program("float64", numerics)
        arrays = {"y_pred": listed(y_pred), "y_true": listed(y_true)}
        buffers = {
            what: [program.buffer(f"{what}{k}", (BATCH, y.shape[1]), role="input") for k, y in enumerate(of)]
            for what, of in arrays.items()
        }
        given = {b: a for what in arrays for b, a in zip(buffers[what], arrays[what], strict=True)}
        weights = program.buffer("weight", (BATCH, 1), role="input") if weighted else None
        if weighted:
            given[weights] = weight[:, None]
        value, backward = loss.emit(program, buffers["y_pred"], buffers["y_true"], weights)
        dys = backward()
        program.verify(program.plan(7))
        look = run(program, given, backend, 7)
        assert_same_bits(look(value), want)
        for dy, of_arrays in zip(dys, gradient, strict=True):
            assert_same_bits(look(dy), of_arrays)
    if weighted:
        each = custom.loss(function, loss.row.called, "none", outputs=outputs)(y_true, y_pred)
        np.testing.assert_allclose(want, (each * weight).mean(), rtol=1e-12)
        for got, alone in zip(gradient, listed(loss.gradient(y_true, y_pred, numerics=numerics)), strict=True):
            np.testing.assert_allclose(got, alone * weight[:, None], rtol=1e-12)


@pytest.mark.parametrize("name", JOINT)
def test_the_loss_of_each_sample(name):
    function, outputs = JOINT[name]
    loss = custom.loss(function, called("loss", name), "none", outputs=outputs)
    y_true, y_pred = joint_data(outputs, "float64")
    want = function(y_true, y_pred).reshape(7, -1)
    np.testing.assert_allclose(loss(y_true, y_pred), want.mean(axis=1), rtol=1e-13)
    total = custom.loss(function, loss.row.called, "mean", outputs=outputs).gradient(y_true, y_pred)
    for got, of_mean in zip(listed(loss.gradient(y_true, y_pred)), listed(total), strict=True):
        np.testing.assert_allclose(got, of_mean * 7, rtol=1e-12)
    # rows of several dimensions are as many rows
    y_true, y_pred = joint_data(outputs, "float64", rows=6)
    mean = custom.loss(function, loss.row.called, outputs=outputs)
    flat = mean(y_true, y_pred)

    def deep(values):
        shaped = [y.reshape(2, 3, -1) for y in listed(values)]
        return dict(zip(values, shaped, strict=True)) if isinstance(values, dict) else shaped

    assert_same_bits(mean(deep(y_true), deep(y_pred)), flat)
    assert [d.shape for d in listed(mean.gradient(deep(y_true), deep(y_pred)))] == [
        y.shape for y in listed(deep(y_pred))
    ]
    assert loss(deep(y_true), deep(y_pred)).shape == (2, 3)


def test_files_of_losses_of_several_outputs(fresh):
    for function, outputs in JOINT.values():
        loss = custom.loss(function, fresh(), outputs=outputs)
        y_true, y_pred = joint_data(outputs, "float64")
        twins = (
            copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)),
            losses.from_config("JointLoss", loss.get_config()),
        )  # fmt: skip
        for twin in twins:
            assert twin.row is loss.row and twin.get_config() == loss.get_config()
            assert_same_bits(twin(y_true, y_pred), loss(y_true, y_pred))
    config = loss.get_config()
    for outputs in (3, [None, 1], [1]):
        with pytest.raises(ValueError, match=r"outputs is .*; the expressions of .* are of others"):
            losses.from_config("JointLoss", {**config, "outputs": outputs})
    others = (
        ("two", TypeError), ({1: None}, TypeError), ([2], ValueError), ({}, ValueError), (0, ValueError),
        ([True], ValueError),
    )  # fmt: skip
    for outputs, error in others:
        with pytest.raises(error, match="outputs is "):
            losses.from_config("JointLoss", {**config, "outputs": outputs})


def test_outputs_that_do_not_fit_are_named(fresh):
    function, outputs = JOINT["actor"]
    loss = custom.loss(function, fresh(), outputs=outputs)
    assert loss.outputs == outputs and losses.MeanSquaredError().outputs is None
    y_true, y_pred = joint_data(outputs, "float64")
    assert loss.target_shape({"policy": (5, 4), "value": (5, 1)}) == {"policy": (5, 4), "value": (5, 1)}
    with pytest.raises(ValueError, match=r"y_pred\['value'\] has rows of shape \(4,\); it must be \(1,\)"):
        loss.target_shape({"policy": (4,), "value": (4,)})
    with pytest.raises(ValueError, match=r"y_pred\['value'\] has rows of shape \(1,\), y_pred\['policy'\] of \(5, 4\)"):
        loss.target_shape({"policy": (5, 4), "value": (1,)})
    with pytest.raises(ValueError, match="y_pred is a ndarray; it must be a dict of policy, value"):
        loss(y_true, y_pred["policy"])
    with pytest.raises(ValueError, match="y_pred is of policy, more; it must be a dict of policy, value"):
        loss(y_true, {"policy": 1, "more": 2})
    with pytest.raises(ValueError, match=r"y_true\['value'\] is None; .* reads it"):
        loss({"policy": y_true["policy"]}, y_pred)
    with pytest.raises(ValueError, match=r"y_true\['value'\] has shape \(7, 2\); it must be \(7, 1\)"):
        loss({**y_true, "value": np.ones((7, 2))}, y_pred)
    with pytest.raises(ValueError, match=r"y_pred\['value'\] has shape \(6, 1\), y_pred\['policy'\] \(7, 4\)"):
        loss(y_true, {**y_pred, "value": np.ones((6, 1))})
    function, outputs = JOINT["two"]
    loss = custom.loss(function, fresh(), outputs=outputs)
    y_true, y_pred = joint_data(outputs, "float64")
    assert loss.target_shape([(4,), (4,)]) == [(4,), None]
    with pytest.raises(ValueError, match="y_true is 1 of them; it must be a list of 2, one for each output"):
        loss(y_true[:1], y_pred)
    with pytest.raises(ValueError, match=r"y_pred\[1\] has shape \(7,\); all must be \(rows, n\) or \(rows, 1\)"):
        loss(y_true, [y_pred[0], np.ones(7)])
    model = Sequential([Dense(2)], input_shape=2)
    with pytest.raises(ValueError, match="it must be a list of 2, one for each output"):
        model.compile("sgd", loss)
    before = dict(TABLE)
    with pytest.raises(TypeError, match="derivative must be None"):
        custom.loss(function, fresh(), derivative=abs, outputs=2)
    with pytest.raises(TypeError, match="sum is over one number for each row"):
        custom.loss(lambda t, y: y[0] - y[1].sum(axis=-1, keepdims=True), fresh(), outputs=[None, 1])
    assert before == TABLE
