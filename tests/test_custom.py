"""Functions of users' own: the bits of their expression in every backend, and the derivative by the chain rule."""

import copy
import functools
import itertools
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from _arrays import (
    BACKENDS,
    BUILDS,
    DTYPES,
    address,
    assert_same_bits,
    edge_values,
    guarded,
    primitives,
    reference,
    run_guarded,
)

import fastbp
from fastbp import Dense, Sequential, custom, kernels, load_model
from fastbp.io import FileFormatError, load_arrays, save_arrays
from fastbp.kernels import chain
from fastbp.kernels.backend import BACKENDS as BACKENDS_BY_NAME
from fastbp.kernels.operations import ELEMENTARY
from fastbp.kernels.table import KERNELS, TABLE, Kernel

NUMBER = itertools.count()
ACTIVATIONS = {
    "identity": lambda x: x + 0,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: (x + 3).clip(0, 6) / 6,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * (x * x * x)))),
    "silu": lambda x: x * (1 / (1 + np.exp(-x))),
    "softplus": lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
}
OTHERS = {
    "square": lambda x: x**2 - np.square(x + 1),
    "root": lambda x: np.sqrt(x * x + 1) + (x * x + 2) ** 0.5 - 1,
    "logarithm": lambda x: np.log(2 + x * x) / 3 + np.reciprocal(2 + x * x),
    "constant": lambda x: 0 * x + 4,
    "steps": lambda x: np.where((x > -1) & (x <= 1), 1.0, np.where((x == 2) | (x != x), -1.0, x)),
    "zero_first": lambda x: np.maximum(0, x),
    "negative_zero_first": lambda x: np.maximum(-0.0, x),
    "zero_below": lambda x: np.clip(x, 0, 2),
    "zero_above": lambda x: x.clip(-2, -0.0),
    "conditions beside an array": lambda x: (x > 0) * x + x * (x > 1) - (x < 0.5) * x,
    "swapped": lambda x: np.maximum(0.5, np.minimum(2, x)) - (1 - x) / 2,
    "powers": lambda x: x**3 - np.power(x, 4) / 9 + (x * x + 1) ** -1.5 + (x + 7) ** -1 + x**1 * x**2,
    "extremes": lambda x: np.maximum(x, 1 - x * x) * np.minimum(3 * x, x * x - 2),
    "extremes of zeros": lambda x: np.maximum(x * 0, x) - np.minimum(x, -x * 0),
    "waves": lambda x: np.sin(x) * np.cos(3 * x) + np.arctan(2 * x),
    "hyperbolic": lambda x: np.log(np.cosh(x)) + np.sinh(x / 2),
    "erf": lambda x: 0.5 * x * (1 + custom.erf(x * 0.7071067811865476)),
}
#: Over the last axis.
OVER_ROWS = {
    "centred": lambda x: x - x.mean(axis=-1, keepdims=True),
    "normalized": lambda x: (
        (x - np.mean(x, axis=-1, keepdims=True))
        / np.sqrt(((x - x.mean(-1, keepdims=True)) ** 2).mean(-1, keepdims=True) + 1e-5)
    ),
    "softmax": lambda x: (
        np.exp(x - x.max(axis=-1, keepdims=True))
        / np.exp(x - x.max(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
    ),
    "log_softmax": lambda x: x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True)),
    "scaled by a power": lambda x: x * ((x * x).sum(axis=-1, keepdims=True) + 1) ** -0.25,
    "one for all": lambda x: 0 * x + x.max(axis=-1, keepdims=True),
    "steps": lambda x: np.where(x > x.mean(axis=-1, keepdims=True), x, x.mean(axis=-1, keepdims=True) / 2),
}
LOSSES = {
    "mean_squared_error": lambda y_true, y_pred: (y_pred - y_true) ** 2,
    "mean_absolute_error": lambda y_true, y_pred: np.abs(y_pred - y_true),
    "huber": lambda y_true, y_pred: np.where(
        np.abs(y_pred - y_true) <= 1, 0.5 * (y_pred - y_true) ** 2, np.abs(y_pred - y_true) - 0.5
    ),
    "hinge": lambda y_true, y_pred: np.maximum(1 - y_true * y_pred, 0),
}
LOSSES_OVER_ROWS = {
    "cosine": lambda y_true, y_pred: (
        1 - (y_true * y_pred).sum(axis=-1) / np.sqrt((y_true * y_true).sum(axis=-1) * (y_pred * y_pred).sum(axis=-1))
    ),
    "mean": lambda y_true, y_pred: ((y_true - y_pred) ** 2).mean(axis=-1, keepdims=True),
    "linear": lambda y_true, y_pred: np.mean(y_pred - y_true, axis=-1),
    "worst": lambda y_true, y_pred: np.max(np.abs(y_pred - y_true), axis=-1),
    "elements": lambda y_true, y_pred: (y_pred - y_pred.mean(axis=-1, keepdims=True) - y_true) ** 2,
}


@pytest.fixture
def fresh():
    """Return names that are not taken."""
    return lambda: f"own{next(NUMBER)}"


def inputs(dtype, n):
    rng = np.random.default_rng(n)
    values = np.concatenate([edge_values(dtype), np.array([np.inf, -np.inf, np.nan, -0.0], dtype)])
    return np.where(rng.random(n) < 0.5, rng.choice(values, n), 2 * rng.standard_normal(n)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*ACTIVATIONS, *OTHERS])
def test_bits_of_the_expression_in_every_backend(name, dtype, fresh):
    function = {**ACTIVATIONS, **OTHERS}[name]
    row = custom.activation(function, fresh()).activation
    forward, backward = (getattr(kernels, f"{row}_{part}") for part in ("forward", "backward"))
    for n in (0, 1, 3, 17, 511, 512, 513, 1600):
        x, dy = inputs(dtype, n), inputs(dtype, n)[::-1]
        with np.errstate(all="ignore"):
            want = function(x).astype(dtype)  # numpy.where of two Python numbers makes float64
        for numerics in ("numpy", "portable") if n < 20 else ("numpy",):
            first = None
            for backend in ("numpy", *BACKENDS):
                how = {"backend": backend, "numerics": numerics}
                got = forward(x, **how), backward(dy, x, **how)
                assert got[1].dtype == np.dtype(dtype)
                first = first or got
                assert_same_bits(got[0], first[0], f"{name} {n} {backend}")
                assert_same_bits(got[1], first[1], f"{name} {n} {backend}")
            if numerics == "numpy":
                assert_same_bits(first[0], want, f"{name} {n}")


def statements(rng):
    """Return an expression of a backward kernel, made of operations at random."""
    values, tests, lines = ["dy", "x"], [], []
    numbers = ["-2.5", "-0.5", "0.25", "2.0", "3.0", "0.0"]
    if rng.random() < 0.3:
        lines, numbers = ["m = x.sum(axis=-1, keepdims=True)"], [*numbers, "m", "m", "m"]
    for k in range(rng.integers(1, 9)):
        # the last ones more often: each value read once is a chain of operations that nothing interrupts
        a, b, c = (values[-1 - min(int(rng.exponential(1.5)), len(values) - 1)] for _ in range(3))
        b = rng.choice(numbers) if rng.random() < 0.5 else b
        a, b = (b, a) if rng.random() < 0.5 else (a, b)
        kinds = {"arithmetic": 0.4, "unary": 0.12, "bound": 0.08, "test": 0.15, "join": 0.05, "where": 0.2}
        kind = rng.choice([*kinds], p=[*kinds.values()])
        if kind in ("join", "where") and not tests:
            kind = "test"
        name = f"t{k}"
        if kind == "test":
            lines.append(f"{name} = {a} {rng.choice(['<', '<=', '>', '>=', '==', '!='])} {b}")
            tests.append(name)
            continue
        if kind == "join":
            lines.append(f"{name} = {tests[-1]} {rng.choice(['&', '|'])} {rng.choice(tests)}")
            tests.append(name)
            continue
        lines.append(f"{name} = " + {
            "arithmetic": f"{a} {rng.choice(['+', '-', '*', '/'])} {b}",
            "unary": rng.choice(["-{0}", "np.abs({0})", "np.sqrt({0})", "{0} * {0}", "np.tanh({0})"]).format(c),
            "bound": rng.choice(["np.maximum({}, 0.25)", "np.minimum({}, 0.25)", "clip({}, -1.0, 0.5)"]).format(c),
            "where": f"np.where({tests[-1] if tests else ''}, {a if rng.random() < 0.8 else 'x.dtype.type(2)'}, {b})",
        }[kind])  # fmt: skip
        values.append(name)
    return "; ".join([*lines, f"dx = {values[-1]}"])


CASES = [(table, *case) for table in ("CASES", "STORED", "ALONE") for case in getattr(chain, table)]


def forms(code):
    """Return the operations of a chain with their forms, as its code has them, and whether a store is part of each."""
    found, in_segment = set(), False
    for number in code[1 + len(chain.HEAD) + int(code[1 + chain.HEAD.index("constants")]) :]:
        op = int(number) & 255
        if in_segment:
            found |= {CASES[op - chain.LAST - 1]} if op > chain.LAST else set()
            in_segment = op != chain.LAST and op not in chain.ALONE.values()
        else:
            in_segment = op in (chain.FULL, chain.ROW)
    return found


def of_a_build(build, kernel, dtype, given, numerics="numpy"):
    """Return what a chain of one build makes of arrays, and what its definition does."""
    sizes = dict(zip(kernel.dims, next(iter(given.values())).shape, strict=True))
    attributes = dict(enumerate([*kernel.code, *kernel.attributes.values()]))
    function, table = address(build, dtype, "chain"), primitives(build, dtype, numerics)
    status, got = run_guarded(
        function, table, kernel, sizes, given, attributes, guarded(kernel, dtype, sizes, given)
    )  # fmt: skip
    assert status == 0
    return got, reference(kernel, given, kernel.attributes, numerics)[1]


CHAINS = [build for build in BUILDS if build != "numba"]


def test_every_form_of_every_operation_of_a_chain(fresh):
    rng, row = np.random.default_rng(1), TABLE["relu"]
    missing = {*CASES}
    for _ in range(20000):
        if not missing:
            break
        expression = statements(rng)
        shape = "[batch,n]" if "axis" in expression else "[n]"
        kernel = Kernel("try_backward", row, f"dy{shape}, x{shape} -> dx{shape}", expression=expression)
        found = forms(chain.encode(kernel))
        if not missing & found:
            continue
        missing -= found
        name = fresh()
        kernels.add_row(name, "activation", "y = x", expression)
        for dtype, n in itertools.product(DTYPES, (1, 7, 40, 83, 160, 1100)):
            given = {"dy": inputs(dtype, n), "x": inputs(dtype, n + 1)[:n]}
            if "axis" in expression:
                given = {key: value[None] for key, value in given.items()}
            for build in CHAINS:
                got, want = of_a_build(build, KERNELS[f"{name}_backward"], dtype, given)
                assert_same_bits(got["dx"], want["dx"], f"{expression} {n} {build}")
    assert not missing


def rows_of(dtype, shape):
    return inputs(dtype, shape[0] * shape[1]).reshape(shape)


SHAPES = (1, 1), (5, 3), (2, 31), (3, 130), (2, 2500)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OVER_ROWS)
def test_bits_over_rows(name, dtype, fresh):
    row = custom.activation(OVER_ROWS[name], fresh()).activation
    for shape, numerics in itertools.product(SHAPES, ("numpy", "portable")):
        x, dy = rows_of(dtype, shape), rows_of(dtype, shape)[:, ::-1].copy()
        for part, given in (("forward", {"x": x}), ("backward", {"dy": dy, "x": x})):
            for build in CHAINS:
                got, want = of_a_build(build, KERNELS[f"{row}_{part}"], dtype, given, numerics)
                for result in got:
                    assert_same_bits(got[result], want[result], f"{name} {part} {shape} {build} {numerics}")
            for backend in BACKENDS if shape[1] < 200 else ():
                function = functools.partial(getattr(kernels, f"{row}_{part}"), *given.values(), numerics=numerics)
                assert_same_bits(
                    function(backend=backend), function(backend="numpy"), f"{name} {part} {shape} {backend}"
                )
    assert getattr(kernels, f"{row}_forward")(np.empty((0, 3))).shape == (0, 3)
    x = np.random.default_rng(0).standard_normal((4, 9)).astype(dtype)
    assert_same_bits(getattr(kernels, f"{row}_forward")(x), OVER_ROWS[name](x), name)


def slopes(function, x):
    """Return the gradient of a number by central differences."""
    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[at] = 1e-6
        found[at] = (function(x + step) - function(x - step)) / 2e-6
    return found


@pytest.mark.parametrize("name", OVER_ROWS)
def test_derivative_over_rows_by_differences(name, fresh):
    row = custom.activation(OVER_ROWS[name], fresh()).activation
    rng = np.random.default_rng(3)
    x, dy = rng.standard_normal((3, 5)), rng.standard_normal((3, 5))
    got = getattr(kernels, f"{row}_backward")(dy, x)
    np.testing.assert_allclose(got, slopes(lambda x: (OVER_ROWS[name](x) * dy).sum(), x), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES_OVER_ROWS)
def test_losses_over_rows(name, reduction, fresh):
    function, mine = LOSSES_OVER_ROWS[name], custom.loss(LOSSES_OVER_ROWS[name], fresh(), reduction)
    for shape, dtype in itertools.product(((4, 1), (5, 3), (3, 40), (2, 700)), DTYPES):
        rng = np.random.default_rng(shape[1])
        y_true, y_pred = rng.standard_normal((2, *shape)).astype(dtype)
        want = getattr(function(y_true, y_pred), reduction)()
        for backend in ("numpy", *BACKENDS):
            value, gradient = (f(y_true, y_pred, backend=backend) for f in (mine, mine.gradient))
            assert_same_bits(value, mine(y_true, y_pred, backend="numpy"), f"{shape} {backend}")
            assert_same_bits(gradient, mine.gradient(y_true, y_pred, backend="numpy"), f"{shape} {backend}")
        np.testing.assert_allclose(value, want, rtol=1e-4, atol=1e-6)
        for part, result in (("forward", "elements"), ("backward", "dy_pred")):
            given = {"y_pred": y_pred, "y_true": y_true}
            for build, numerics in itertools.product(CHAINS, ("numpy", "portable")):
                got, want = of_a_build(build, KERNELS[f"{mine.row_name}_{part}"], dtype, given, numerics)
                assert_same_bits(got[result], want[result], f"{shape} {build} {numerics}")
    y_true, y_pred = np.random.default_rng(0).standard_normal((2, 3, 4))
    want = slopes(lambda y_pred: getattr(function(y_true, y_pred), reduction)(), y_pred)
    np.testing.assert_allclose(mine.gradient(y_true, y_pred), want, rtol=1e-6, atol=1e-8)


def test_largest_elements_share_a_slope(fresh):
    worst = custom.loss(LOSSES_OVER_ROWS["worst"], fresh(), "sum")
    gradient = worst.gradient(np.zeros((2, 3)), np.array([[2.0, -2.0, 1.0], [0.5, 1.0, 0.0]]))
    np.testing.assert_array_equal(gradient, [[0.5, -0.5, 0.0], [0.0, 1.0, 0.0]])


@pytest.mark.parametrize("slope", [1.0, -2.5, 0.0])
def test_a_loss_of_constant_slope(slope, fresh):
    loss = custom.loss(lambda y_true, y_pred: slope * y_pred - y_true, fresh())
    given = np.array([[1.0, 2.0], [np.nan, np.inf]])
    for backend in ("numpy", *BACKENDS):
        got = loss.gradient(given, given, backend=backend)
        np.testing.assert_array_equal(got, np.full((2, 2), slope / 4))


def test_scipys_error_function_is_taken_for_the_kernels(fresh):
    special = pytest.importorskip("scipy.special")
    row = custom.activation(lambda x: special.erf(x), fresh()).activation
    x = np.linspace(-3, 3, 13)
    assert_same_bits(getattr(kernels, f"{row}_forward")(x), custom.erf(x))
    np.testing.assert_allclose(custom.erf([0, 1]), special.erf([0, 1]), rtol=1e-15)


@pytest.mark.skipif("numba" not in BACKENDS, reason="functions compiled by Numba")
def test_numba_compiles_and_tells_constants_apart(fresh):
    # its cache on disk does not look at constants
    names = [custom.activation(lambda x, factor=factor: x * factor, fresh()).activation for factor in (2, 3)]
    for name, factor in zip(names, (2, 3), strict=True):
        kernel = KERNELS[f"{name}_forward"]
        given = {backend: BACKENDS_BY_NAME[backend].attributes(kernel, {}) for backend in ("numba", "cython")}
        assert given == {"numba": [], "cython": list(kernel.code)}
        assert getattr(kernels, kernel.name)(np.ones(3), backend="numba")[0] == factor


def test_the_default_backend_loads_no_numba():
    code = (
        "import sys; import numpy as np; import fastbp; own = fastbp.custom.activation(lambda x: x * x, 'own'); "
        "fastbp.kernels.own_forward(np.ones(3)); print('numba' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_a_model_over_rows_trains_saves_and_loads(numerics, fresh, tmp_path):
    centred = custom.activation(lambda x: np.sin(x - x.mean(axis=-1, keepdims=True)), fresh())
    cosine = custom.loss(LOSSES_OVER_ROWS["cosine"], fresh())
    rng, found = np.random.default_rng(0), []
    x, y = rng.standard_normal((40, 2, 3)), rng.standard_normal((40, 2, 4))
    for backend in ("numpy", *BACKENDS):
        model = Sequential([Dense(5, activation=centred), Dense(4)], input_shape=(2, 3), seed=1)
        model.compile("adam", cosine, backend=backend, numerics=numerics, dtype="float64")
        model.fit(x, y, batch_size=16, epochs=4, seed=2, verbose=0, sample_weight=np.ones(40))
        found.append(model)
        for got, want in zip(model.get_weights(), found[0].get_weights(), strict=True):
            assert_same_bits(got, want, backend)
    losses = found[0].history.history["loss"]
    assert losses[-1] < losses[0]
    assert fastbp.gradient_check(model, x, y).ok
    model.save(tmp_path / "own.npz")
    for name in (centred.activation, cosine.row_name):
        TABLE.pop(name)
        for part in ("forward", "backward"):
            KERNELS.pop(f"{name}_{part}")
    assert_same_bits(load_model(tmp_path / "own.npz").predict(x), model.predict(x))


@pytest.mark.parametrize("name", [f.name for f in ELEMENTARY if f.operands == 1])
def test_every_function_of_a_chain(name, fresh):
    row, call = fresh(), next(f.call for f in ELEMENTARY if f.name == name)
    kernels.add_row(row, "activation", f"y = {call}(x * 0.5)", "dx = dy")
    for dtype, numerics in itertools.product(DTYPES, ("numpy", "portable")):
        forward = functools.partial(getattr(kernels, f"{row}_forward"), inputs(dtype, 600), numerics=numerics)
        for backend in BACKENDS:
            assert_same_bits(forward(backend=backend), forward(backend="numpy"), f"{name} {numerics} {backend}")


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_is_that_of_the_row_by_hand(name, fresh):
    row = custom.activation(ACTIVATIONS[name], fresh()).activation
    x = np.concatenate([np.linspace(-7, 7, 57) + 0.01, [0.0, -0.0, -1, 1, 3, -3, 6, 50, -50]])
    if name == "softplus":
        x = x[x != 0]  # made of two kinks, each with slope 0 there: as the documentation says
    dy = np.random.default_rng(0).standard_normal(len(x))
    known = {"dy": dy, "x": x, "y": getattr(kernels, f"{name}_forward")(x)}
    want = getattr(kernels, f"{name}_backward")(*(known[o.name] for o in KERNELS[f"{name}_backward"].inputs))
    got = getattr(kernels, f"{row}_backward")(dy, x)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", OTHERS)
def test_derivative_by_differences(name, fresh):
    row = custom.activation(OTHERS[name], fresh()).activation
    x = np.linspace(-3, 3, 41) + 0.003
    got = getattr(kernels, f"{row}_backward")(np.ones_like(x), x)
    want = (OTHERS[name](x + 1e-6) - OTHERS[name](x - 1e-6)) / 2e-6
    np.testing.assert_allclose(got, want, rtol=1e-7, atol=1e-8)


def test_a_branch_that_is_not_taken_gives_no_nan(fresh):
    row = custom.activation(lambda x: np.where(x > 0, np.sqrt(x), np.exp(x)), fresh()).activation
    x = np.array([-4.0, -0.0, 4.0, 1000.0])
    got = getattr(kernels, f"{row}_backward")(np.ones(4), x)
    np.testing.assert_allclose(got, [np.exp(-4), 1, 0.25, 0.5 / np.sqrt(1000)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, dtype, fresh):
    for reduction in ("mean", "sum"):
        mine = custom.loss(LOSSES[name], fresh(), reduction)
        theirs = fastbp.losses.get(name)
        theirs.reduction = reduction
        for n in (1, 2, 17, 600, 1025):
            rng = np.random.default_rng(n)
            y_true, y_pred = np.sign(rng.standard_normal(n)).astype(dtype), rng.standard_normal(n).astype(dtype)
            for backend in ("numpy", *BACKENDS):
                assert_same_bits(mine(y_true, y_pred, backend=backend), mine(y_true, y_pred, backend="numpy"))
                gradient = mine.gradient(y_true, y_pred, backend=backend)
                assert_same_bits(gradient, mine.gradient(y_true, y_pred, backend="numpy"))
                assert gradient.dtype == np.dtype(dtype)
            np.testing.assert_allclose(mine(y_true, y_pred), theirs(y_true, y_pred), rtol=1e-5)
            np.testing.assert_allclose(mine.gradient(y_true, y_pred), theirs.gradient(y_true, y_pred), rtol=1e-5)


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_a_model_with_both_trains_saves_and_loads(numerics, fresh, tmp_path):
    bent = custom.activation(lambda x: (np.sqrt(x * x + 1) - 1) / 2 + x, fresh())
    quartic = custom.loss(lambda y_true, y_pred: (y_pred - y_true) ** 2 * (y_pred - y_true) ** 2, fresh())
    rng = np.random.default_rng(0)
    x, y, found = rng.standard_normal((40, 3)), rng.standard_normal((40, 2)), []
    for backend in ("numpy", *BACKENDS):
        layers = [Dense(5, activation=bent), Dense(4), fastbp.Activation(bent.activation), Dense(2)]
        model = Sequential(layers, input_shape=3, seed=1)
        model.compile("adam", quartic, backend=backend, numerics=numerics, dtype="float64")
        model.fit(x, y, batch_size=16, epochs=4, seed=2, verbose=0)
        found.append(model)
        for got, want in zip(model.get_weights(), found[0].get_weights(), strict=True):
            assert_same_bits(got, want, backend)
    assert found[0].history.history["loss"][-1] < found[0].history.history["loss"][0]
    model.save(tmp_path / "own.npz")
    for name in (bent.activation, quartic.row_name):
        TABLE.pop(name)
        for part in ("forward", "backward"):
            KERNELS.pop(f"{name}_{part}")
    again = load_model(tmp_path / "own.npz")
    assert_same_bits(again.predict(x), model.predict(x))
    model.fit(x, y, epochs=2, seed=3, verbose=0)
    again.fit(x, y, epochs=2, seed=3, verbose=0)
    assert_same_bits(again.get_weights()[0], model.get_weights()[0])


def test_names(fresh):
    name = fresh()
    first = custom.activation(lambda x: x * 2, name)
    assert custom.activation(lambda y: y * 2, name).activation == first.activation == name
    with pytest.raises(ValueError, match=f"there is a row '{name}' already"):
        custom.loss(lambda t, y: (y - t) * 3, name)
    with pytest.raises(ValueError, match="'relu' already"):
        custom.activation(lambda x: x * 3, "relu")
    with pytest.raises(ValueError, match="name is '<lambda>'"):
        custom.activation(lambda x: x)

    def tripled(x):
        return x * 3

    assert custom.activation(tripled).activation == "tripled"


def own(bend, cube, activation, loss):
    """Return a model of functions of one's own, as a cell of a notebook that may be changed and run again."""
    bent = custom.activation(bend, activation)
    cubes = custom.loss(cube, loss)
    model = Sequential([Dense(4, activation=bent), Dense(2)], seed=0)
    model.compile("adam", cubes)
    return model


@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
def test_a_function_that_is_defined_again(fresh, tmp_path, backend):
    names = fresh(), fresh()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)).astype("f4"), rng.standard_normal((12, 2)).astype("f4")
    makes = {
        "older": (lambda x: x * x + x, lambda t, y: (y - t) ** 2),
        "newer": (lambda x: x * x - 3 * x, lambda t, y: np.abs(y - t) ** 3),
    }
    alone = {}
    for key, (bend, cube) in makes.items():
        model = own(bend, cube, fresh(), fresh())
        model.compile("adam", model.loss_function, backend=backend)
        model.fit(x, y, epochs=3, seed=0, verbose=0)
        alone[key] = model.predict(x)
    models = {"older": own(*makes["older"], *names)}
    models["unchanged"] = own(*makes["older"], *names)
    models["newer"] = own(*makes["newer"], *names)
    # what the older function made keeps it, wherever it is compiled anew
    for key, model in models.items():
        model.compile("adam", model.loss_function, backend=backend)
        model.fit(x, y, epochs=3, seed=0, verbose=0)
        assert_same_bits(model.predict(x), alone["newer" if key == "newer" else "older"])
        model.save(tmp_path / f"{key}.npz")
        for twin in (load_model(tmp_path / f"{key}.npz"), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert_same_bits(twin.predict(x), model.predict(x))
            assert twin.get_config() == model.get_config()
            assert twin.layers[0].activation.activation == names[0]
    # the name stands for the newest
    assert_same_bits(getattr(kernels, f"{names[0]}_forward")(x, backend=backend), makes["newer"][0](x))
    again = Sequential([Dense(2, names[0])], input_shape=3, seed=1)
    assert_same_bits(
        again.predict(x),
        kernels.load("numpy")[f"{again.layers[0].activation.row.name}_forward"](
            x @ again.layers[0].w + again.layers[0].b
        ),
    )
    # also where another process, which knows the newer one, reads the older one's file
    code = (
        "import numpy as np, fastbp\n"
        f"newest = fastbp.custom.activation(lambda x: x * x - 3 * x, {names[0]!r})\n"
        f"x = np.array({x.tolist()}, 'f4')\nmodel = fastbp.load_model({str(tmp_path / 'older.npz')!r})\n"
        f"print(model.predict(x).tobytes().hex())\nprint(fastbp.Dense(2, {names[0]!r}).activation.row is newest.row)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == [models["older"].predict(x).tobytes().hex(), "True"], done.stderr
    # what is given by name for a file that has the expression is no mistake
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_model(tmp_path / "newer.npz", custom_objects={names[0]: again.layers[0].activation, names[1]: abs})
    # and the older one again
    models["older again"] = own(*makes["older"], *names)
    assert models["older again"].layers[0].activation.row is models["older"].layers[0].activation.row
    assert Dense(2, names[0]).activation.row is models["older"].layers[0].activation.row
    assert_same_bits(getattr(kernels, f"{names[0]}_forward")(x, backend=backend), makes["older"][0](x))


@pytest.mark.skipif("numba" not in BACKENDS, reason="functions compiled by Numba")
def test_numba_functions_that_are_defined_again(fresh, tmp_path):
    numba, name = pytest.importorskip("numba"), fresh()
    x = np.array([[-2.0, 1.0]])

    def cell(source):
        space = {"njit": numba.njit}
        exec(f"@njit\ndef function(x):\n    return {source}\n@njit\ndef derivative(x):\n    return 1.0\n", space)
        bent = custom.activation(space["function"], name, derivative=space["derivative"])
        return Sequential([fastbp.Activation("relu"), bent], input_shape=2)

    older, same, newer = cell("x + 1"), cell("x + 1"), cell("x + 2")
    assert [model.predict(x).tolist() for model in (older, same, newer)] == [[[1, 2]], [[1, 2]], [[2, 3]]]
    newer.save(tmp_path / "newer.npz")
    assert load_model(tmp_path / "newer.npz").predict(x).tolist() == [[2, 3]]
    for model in (older, same):
        with pytest.raises(ValueError, match=f"the activation '{name}' is made of Numba functions, and is not the one"):
            model.save(tmp_path / "older.npz")
        assert copy.deepcopy(model).predict(x).tolist() == [[1, 2]]
        dense = Dense(2, activation=model.layers[1], use_bias=False, kernel_initializer="ones")
        assert Sequential([dense], input_shape=2).predict(x).tolist() == [[0, 0]]
    last = cell("x + 2")
    newer.save(tmp_path / "newer.npz")
    assert load_model(tmp_path / "newer.npz").layers[1].row is last.layers[1].row
    code = f"import pickle, sys; pickle.loads(bytes.fromhex({pickle.dumps(newer).hex()!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert f"call fastbp.custom.activation(..., '{name}', derivative=...) first" in done.stderr


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.tan(x), "numpy.tan cannot be traced"),
        (lambda x: x**x, "the exponent of \\*\\* is an array; it must be a number"),
        (lambda x: 2**x, "2 \\*\\* of an array cannot be traced"),
        (lambda x: np.power(2.0, x), "2.0 \\*\\* of an array cannot be traced"),
        (lambda x: x if x > 0 else 0 * x, "branches on values; write numpy.where"),
        (lambda x: x.sum(), "sum is over axis=None; it must be over axis=-1"),
        (lambda x: np.mean(x, axis=0), "mean is over axis=0; it must be over axis=-1"),
        (lambda x: x.mean(axis=-1, keepdims=True).max(axis=-1), "max is over one number for each row"),
        (lambda x: x - x.mean(axis=-1), "it must be taken with keepdims=True"),
        (lambda x: x.mean(axis=-1, keepdims=True), "the function returned one number for each row"),
        (lambda x: x.std(axis=-1), "the attribute 'std' .* cannot be traced"),
        (lambda x: x.sum(axis=-1, keepdims=True) / x.shape[-1], "the attribute 'shape' .* cannot be traced"),
        (lambda x: np.add.reduce(x), "numpy.add cannot be traced"),
        (lambda x: np.concatenate([x, x]), "numpy.concatenate cannot be traced"),
        (lambda x: x[:, 0], "slice.* of an argument cannot be traced"),
        (lambda x: x * np.float64(2), "a constant of the function is a float64"),
        (lambda x: x * np.ones(3), "a constant of the function is a ndarray"),
        (lambda x: x * True, "a constant of the function is a bool"),
        (lambda x: np.where(True, x, 0), "the condition of numpy.where"),
        (lambda x: np.where(x, x, 0), "the condition of numpy.where must be a comparison"),
        (lambda x: np.where(x > 0, x > 1, x), "a comparison is used as a number; write numpy.where"),
        (lambda x: x & x, "the condition of numpy.bitwise_and must be a comparison"),
        (lambda x: np.where((x > 0) | 1, x, 0), "the condition of numpy.bitwise_or must be a comparison"),
        (lambda x: np.where(np.logical_and(x > 0, x), x, 0), "the condition of numpy.logical_and must be"),
        (lambda x: x * ((x > 0) + (x < 1)), "a comparison is used as a number"),
        (lambda x: -(x > 0) * x, "a comparison is used as a number"),
        (lambda x: np.exp(x > 0) * x, "a comparison is used as a number"),
        (lambda x: x > 0, "a comparison is used as a number"),
        (lambda x: np.clip(x, -x, 1), "takes numbers as bounds"),
        (lambda x: 3.0, "the function returned 3.0"),
    ],
)
def test_what_cannot_be_traced_is_said(function, message, fresh):
    before = dict(TABLE)
    with pytest.raises(TypeError, match=message):
        custom.activation(function, fresh())
    assert before == TABLE


def test_too_large_and_not_finite(fresh):
    def long(x):
        # each term is needed twice, and the second time when all are there
        terms = [x * float(k) for k in range(2, 60)]
        return sum(terms) * functools.reduce(np.multiply, terms[::-1])

    with pytest.raises(ValueError, match="more than 48 intermediate results"):
        custom.activation(long, fresh())
    for function in (lambda x: x + np.inf, lambda x: x * 10**400, lambda x: x * 1e200 * 1e200):
        with pytest.raises(ValueError, match=r"a constant of the function is .*; it must be finite"):
            custom.activation(function, fresh())
    for zero in (0, -0.0):
        with pytest.raises(ValueError, match=rf"the function divides by {float(zero)}; a constant divisor must not"):
            custom.activation(lambda x, zero=zero: np.where(x > 0, x / zero, x), fresh())


@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
def test_the_loss_of_an_element_may_be_an_argument(backend, fresh):
    y_true, y_pred = np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]])
    for numerics in ("numpy", "portable"):
        critic = custom.loss(lambda y_true, y_pred: y_pred, fresh())
        assert critic(y_true, y_pred, backend, numerics=numerics) == 4
        assert_same_bits(critic.gradient(y_true, y_pred, backend, numerics=numerics), np.full((1, 2), 0.5))


@pytest.fixture
def jitted():
    """Return Numba functions that branch and loop: an activation and a loss, each with its derivative."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def series(x):
        # exp by its series, as long as its terms count
        term, total, k = 1.0, 1.0, 1
        while abs(term) > 1e-9 * abs(total) and k < 200:
            term *= x / k
            total += term
            k += 1
        return total - 1 if x < 0 else x

    @numba.njit
    def slope(x):
        return np.exp(x) if x < 0 else 1.0

    @numba.njit
    def lopsided(y_true, y_pred):
        d = y_pred - y_true
        return 3 * d * d if d > 0 else -d

    @numba.njit
    def slant(y_true, y_pred):
        d = y_pred - y_true
        return 6 * d if d > 0 else -1.0

    return (series, slope), (lopsided, slant)


@pytest.mark.skipif("numba" not in BACKENDS, reason="functions compiled by Numba")
@pytest.mark.parametrize("dtype", DTYPES)
def test_numba_functions_are_rows_in_every_backend(dtype, jitted, fresh):
    (function, derivative), (loss, slant) = jitted
    activation = custom.activation(function, fresh(), derivative=derivative).activation
    lopsided = custom.loss(loss, fresh(), derivative=slant)
    for n in (0, 1, 7, 1000):
        rng = np.random.default_rng(n)
        x, dy = (3 * rng.standard_normal((2, n))).astype(dtype)
        found = {}
        for backend in ("numpy", *BACKENDS):
            y = getattr(kernels, f"{activation}_forward")(x, backend=backend)
            dx = getattr(kernels, f"{activation}_backward")(dy, x, backend=backend)
            found[backend] = [y, dx]
            if n:
                found[backend] += [lopsided(dy, x, backend=backend), lopsided.gradient(dy, x, backend=backend)]
        for backend in BACKENDS:
            for got, want in zip(found[backend], found["numpy"], strict=True):
                assert_same_bits(got, want, backend)
        y, dx, *_ = found["numpy"]
        assert_same_bits(y, np.array([function(v) for v in x], dtype))
        assert_same_bits(dx, dy * np.array([derivative(v) for v in x], dtype))
        np.testing.assert_allclose(y, np.where(x < 0, np.expm1(x), x), rtol=1e-4, atol=1e-6)


@pytest.mark.skipif("numba" not in BACKENDS, reason="functions compiled by Numba")
def test_a_model_with_numba_functions(jitted, fresh, tmp_path):
    (function, derivative), (loss, slant) = jitted
    bent, lopsided = custom.activation(function, fresh(), derivative=derivative), fresh()
    objective = custom.loss(loss, lopsided, derivative=slant)
    rng = np.random.default_rng(0)
    x, y, found = rng.standard_normal((40, 3)), rng.standard_normal((40, 2)), []
    for backend in ("numpy", *BACKENDS):
        model = Sequential([Dense(5, activation=bent), Dense(2)], input_shape=3, seed=1)
        model.compile("adam", objective, backend=backend, dtype="float64")
        model.fit(x, y, batch_size=16, epochs=4, seed=2, verbose=0, sample_weight=np.ones(40))
        found.append(model)
        for got, want in zip(model.get_weights(), found[0].get_weights(), strict=True):
            assert_same_bits(got, want, backend)
    assert fastbp.gradient_check(model, x, y).ok
    model.save(tmp_path / "own.npz")
    assert_same_bits(load_model(tmp_path / "own.npz").predict(x), model.predict(x))
    for name in (bent.activation, lopsided):
        TABLE.pop(name)
        for part in ("forward", "backward"):
            KERNELS.pop(f"{name}_{part}")
    with pytest.raises(ValueError, match=f"there is no activation {bent.activation!r}"):
        load_model(tmp_path / "own.npz")


@pytest.mark.skipif("numba" not in BACKENDS, reason="functions compiled by Numba")
def test_what_numba_functions_may_not_be(jitted, fresh):
    (function, derivative), (loss, _) = jitted
    before = dict(TABLE)
    with pytest.raises(TypeError, match=r"derivative is .*it must be a function compiled by numba\.njit"):
        custom.activation(function, fresh(), derivative=np.exp)
    with pytest.raises(TypeError, match=r"function is .*it must be a function compiled by numba\.njit"):
        custom.loss(np.subtract, fresh(), derivative=loss)
    with pytest.raises(ValueError, match="there is a row 'relu' already"):
        custom.activation(function, "relu", derivative=derivative)
    assert before == TABLE
    model = Sequential([Dense(5, activation=custom.activation(function, fresh(), derivative=derivative))])
    model.compile("adam", "mse", numerics="portable")
    with pytest.raises(ValueError, match="whose bits may differ between machines; numerics must be 'numpy'"):
        model.fit(np.ones((4, 3)), np.ones((4, 5)), verbose=0)


OTHERS_THAN_NUMPYS = {
    "y = x & x": "'x' is no comparison; & and",
    "y = np.where((x > 0) | x, x, 0)": "'x' is no comparison",
    "y = np.where(x, x, 0)": "'x' is no comparison",
    "y = np.where(x > 0, x > 1, x)": "'x > 1' is a comparison; only & and",
    "y = x > 0": "'y' is a comparison",
    "y = True": "'True' is not in the vocabulary",
    "y = x * True": "'True' is not in the vocabulary",
    "y = -(x > 0)": "'x > 0' is a comparison",
    "t = x > 0; y = x * (t + t)": "'t' is a comparison",
    "t = x > 0; y = x * np.exp(t)": "'t' is a comparison",
    "y = (x > 0) < x": "'x > 0' is a comparison",
    "y = x * np.where(x > 0, 1, 2)": "of two numbers would be float64; one of them must be d?[xy].dtype.type",
    "y = x * np.exp(1.0)": "not in the vocabulary",
    "y = clip(x, x, 1.0)": "not in the vocabulary",
    "np = x; y = np.exp(np)": "'np = x' is not in the vocabulary",
    "y = np.power(x, 2.0)": r"numpy\.power is 2\.0; .*, and not -1, 0\.5, 1 or 2: write 1 / x, np\.sqrt or x \* x",
    "y = np.power(x, 1)": "the exponent of .* is 1",
    "y = np.power(x, -1.0)": "the exponent of .* is -1",
    "y = np.power(x, 0.5)": "the exponent of .* is 0.5",
    "y = np.power(x - x.sum(axis=1, keepdims=True), x.shape[-1])": "the exponent of .* is columns; it must be a number",
    "y = x - x.sum(axis=0)": "over axis=0; it must be over axis=-1",
    "y = x - x.mean(axis=0, keepdims=True)": "over axis=0; it must be over axis=-1",
    "y = x - x.sum(axis=True, keepdims=True)": "not in the vocabulary",
    "y = x - x.sum(axis=1.0, keepdims=True)": "not in the vocabulary",
    "y = x - x.sum(axis=1, keepdims='no')": "not in the vocabulary",
    "y = x - x.sum(axis=1, axis=1, keepdims=True)": "not in the vocabulary",
    "y = x if 1 else -x": "arrays are chosen by if",
    "y = x * 1e999": "a constant is inf; it must be finite",
    f"y = x * {10**400}": "a constant is 1000*; it must be finite",
    "y = (": r"the expression 'd?[xy] = \(' cannot be read",
    "y = x\0": "cannot be read",
    "  y = x": "cannot be read",
    f"y = {'(' * 300}x{')' * 300}": "cannot be read",
    f"y = {'-' * 100000}x": "cannot be read",
    f"y = {' + '.join('x' * 5000)}": "cannot be read",
    " ": "forward is ' '; it must assign every output",
    "# y = x": "'y' is not in the vocabulary",
}


@pytest.mark.parametrize("expression", OTHERS_THAN_NUMPYS)
def test_an_expression_that_numpy_or_python_reads_otherwise_is_refused(expression, fresh):
    before, message = dict(TABLE), OTHERS_THAN_NUMPYS[expression]
    with pytest.raises(ValueError, match=message):
        kernels.add_row(fresh(), "activation", expression, "dx = dy")
    with pytest.raises(ValueError, match=message.replace("forward is", "backward is").replace("'y'", "'(y|dx)'")):
        kernels.add_row(fresh(), "activation", "y = x", expression.replace("y =", "dx ="))
    assert before == TABLE


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((3, "activation", "y = x", "dx = dy"), TypeError, "the name of a row is 3; it must be an identifier"),
        ((["a"], "activation", "y = x", "dx = dy"), TypeError, "the name of a row is"),
        (("class", "activation", "y = x", "dx = dy"), ValueError, "it must be an identifier, and no keyword"),
        (("own", "bogus", "y = x", "dx = dy"), ValueError, "family is 'bogus'; it must be .*activation, layer, loss"),
        (("own", ["loss"], "y = x", "dx = dy"), ValueError, "family is "),
        (("own", "activation", b"y = x", "dx = dy"), TypeError, "forward is b'y = x'; it must be NumPy statements"),
        (("own", "activation", "y = x", None), TypeError, "backward is None; it must be"),
        (("own", "activation", "y = x", ""), ValueError, "backward is ''; it must assign every output"),
    ],
)
def test_arguments_of_a_row_are_named(arguments, error, message):
    before = dict(TABLE)
    with pytest.raises(error, match=message):
        kernels.add_row(*arguments)
    assert before == TABLE


def test_names_and_expressions_of_functions_are_named(fresh):
    for name in (3, "", "a b", "class"):
        with pytest.raises((TypeError, ValueError), match=r"name is .*; it must be an identifier"):
            custom.activation(lambda x: x + 1, name)
    with pytest.raises(ValueError, match=r"name is ''; .* Functions without a name of their own need one"):
        custom.activation(functools.partial(np.add, 1))
    for expressions in (["y = x"], "yy", {"a": 1}, [1, 2], 5):
        with pytest.raises(TypeError, match=r"expressions is .*; it must be two strings"):
            fastbp.Activation(fresh(), expressions=expressions)
        with pytest.raises(TypeError, match=r"expressions is .*; it must be two strings"):
            fastbp.losses.CustomLoss(fresh(), expressions)


@pytest.mark.parametrize(
    "expressions", [["y = (", "dx"], ["y = x\0", "dx"], [f"y = {'(' * 300}", "dx"], ["y"], "yy", [1, 2]]
)
def test_a_file_with_a_damaged_expression_is_refused_as_one(expressions, fresh, tmp_path):
    model = Sequential([Dense(2, activation=custom.activation(lambda x: x * x, fresh()))], input_shape=3, seed=0)
    model.compile("sgd", custom.loss(LOSSES["huber"], fresh()))
    model.save(tmp_path / "model.npz")
    config, arrays = load_arrays(tmp_path / "model.npz")
    activation, loss = config["layers"][0][1]["activation"], config["loss"][1]
    for options, key in ((activation, "activation"), (loss, "name")):
        known = dict(options)
        options.update({"expressions": expressions, key: fresh()})
        save_arrays(tmp_path / "damaged.npz", config, arrays)
        with pytest.raises(FileFormatError, match=r"damaged\.npz: not a model of this version of fastbp: .*expression"):
            load_model(tmp_path / "damaged.npz")
        options.update(known)


def test_an_expression_from_a_file_is_data(fresh):
    for expression in (
        "y = __import__('os').getcwd()", "y = x.__class__", "y = [x for x in ()]", "import os; y = x",
        "y = x * print().size", "y = x * len(print())", "y = x * below_one(print(), 0)", "y = x * (x.sum()).size",
        "y = x * print().dtype.type(1)", "y = np.pi = x", "y = np.exp(x, out=x)", "y = np.exp(*x)", "y = np.exp()",
        "y = np.exp(x, 1)", "y = np.maximum(x)", "y = np.where(x > 0)", "y = clip(x, 0)",
        "y = (x := x)", "y = x if print() else x", "y = x; return print()", "global np; y = x", "y: print() = x",
    ):  # fmt: skip
        with pytest.raises(ValueError, match="not in the vocabulary"):
            fastbp.Activation(fresh(), expressions=(expression, "dx = dy"))
    for name in ("f(x, a=print(1)): return x\ndef g", "a b", "", "1"):
        with pytest.raises(ValueError, match=r"the name of a row is .*; it must be an identifier"):
            fastbp.Activation(name, expressions=("y = x", "dx = dy"))
        assert name not in TABLE
    # the one sum that compiled kernels know is that of what they return
    for value in ("loss = y_pred.sum() / (y_pred.size if mean else 1)", "loss = elements.sum() / y_pred.size"):
        with pytest.raises(ValueError, match=r"the loss must be elements\.sum"):
            fastbp.losses.CustomLoss(fresh(), (f"elements = y_pred * y_true; {value}", "dy_pred = y_true"))
