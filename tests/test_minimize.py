"""Training by scipy.optimize.minimize."""

import builtins

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, Sequential, regularizers

scipy_optimize = pytest.importorskip("scipy.optimize")
RNG = np.random.default_rng(3)
X = RNG.standard_normal((60, 4))
Y = (X @ RNG.standard_normal((4, 3))).argmax(axis=1)


def model_of(backend="cython", dtype="float64", loss="sparse_categorical_crossentropy", numerics="numpy", **options):
    model = Sequential([Dense(6, "tanh", **options), Dense(3)], input_shape=4, seed=1)
    model.compile(loss=loss, dtype=dtype, backend=backend, numerics=numerics)
    return model


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_every_backend_takes_the_same_way(numerics):
    found = []
    for backend in ("numpy", *BACKENDS):
        model = model_of(backend, numerics=numerics)
        result = fastbp.minimize(model, X, Y, options={"maxiter": 15})
        found.append([result.fun, *model.get_weights()])
        assert result.nit == 15 and result.fun == model.evaluate(X, Y)["loss"]
    for other in found[1:]:
        for got, want in zip(other, found[0], strict=True):
            assert_same_bits(got, want)


def test_a_convex_problem_has_scikit_learns_solution():
    linear_model = pytest.importorskip("sklearn.linear_model")
    theirs = linear_model.LogisticRegression(C=1 / (2 * 0.01 * 60), tol=1e-10, max_iter=10000).fit(X, Y)
    model = Sequential([Dense(3, kernel_regularizer=regularizers.L2(0.01))], input_shape=4, seed=0)
    model.compile(loss="sparse_categorical_crossentropy", dtype="float64")
    fastbp.minimize(model, X, Y, tol=1e-14, options={"maxiter": 10000})
    np.testing.assert_allclose(model.layers[0].w, theirs.coef_.T, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG"])
def test_methods(method):
    model = model_of()
    before = model.evaluate(X, Y)["loss"]
    result = fastbp.minimize(model, X, Y, method, options={"maxiter": 60})
    assert result.fun < before / 10 and result.fun == model.evaluate(X, Y)["loss"]
    model = model_of(dtype="float32")
    fastbp.minimize(model, X, Y, method, options={"maxiter": 60})
    assert model.layers[0].w.dtype == np.float32 and model.evaluate(X, Y)["loss"] < before / 5


def test_weights_and_frozen_layers():
    weight = np.where(np.arange(60) < 40, 1.5, 0.0)  # a mean over 60 of which 40 count
    first, second = model_of(), model_of()
    first.layers[0].trainable = second.layers[0].trainable = False
    for model in (first, second):
        model.compile(loss="sparse_categorical_crossentropy", dtype="float64")
    before = first.layers[0].w.copy()
    fastbp.minimize(first, X, Y, sample_weight=weight, tol=1e-12, options={"maxiter": 1000})
    fastbp.minimize(second, X[:40], Y[:40], tol=1e-12, options={"maxiter": 1000})
    assert_same_bits(first.layers[0].w, before)
    np.testing.assert_allclose(
        first.evaluate(X[:40], Y[:40])["loss"], second.evaluate(X[:40], Y[:40])["loss"], atol=1e-6
    )
    assert (first.layers[1].w != model_of().layers[1].w).any()


def test_a_callback_that_raises_leaves_the_best_parameters():
    model = model_of()
    values = [model.evaluate(X, Y)["loss"]]

    def callback(_):
        values.append(model.evaluate(X, Y)["loss"])
        if len(values) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastbp.minimize(model, X, Y, callback=callback)
    assert model.evaluate(X, Y)["loss"] <= min(values) < values[0]
    # and training goes on as usual
    model.fit(X, Y, verbose=0)


def test_what_is_refused(monkeypatch):
    model = model_of()
    before = model.get_weights()
    for call, kind, message in (
        (lambda: fastbp.minimize(model, X[:, 1:], Y), ValueError, r"x has shape \(60, 3\)"),
        (lambda: fastbp.minimize(model, X, Y[1:]), ValueError, "y has 59 rows and x has 60"),
        (lambda: fastbp.minimize(model, X, Y, sample_weight=[1]), ValueError, "sample_weight has shape"),
        (lambda: fastbp.minimize(model, X, Y, "no such method"), ValueError, "no such method"),
        (lambda: fastbp.minimize(Sequential([Dense(2)]), X, Y), RuntimeError, "not compiled"),
        (
            lambda: fastbp.minimize(model_of(kernel_constraint="non_neg"), X, Y), ValueError,
            r"dense_1\.w has the constraint NonNeg\(\), which only fit keeps",
        ),
    ):  # fmt: skip
        with pytest.raises(kind, match=message):
            call()
    for got, want in zip(model.get_weights(), before, strict=True):
        assert_same_bits(got, want)
    imported = builtins.__import__

    def without_scipy(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError("no SciPy")
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_scipy)
    with pytest.raises(ImportError, match=r"pip install scipy"):
        fastbp.minimize(model, X, Y)
