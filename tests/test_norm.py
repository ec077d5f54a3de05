"""Layers that normalise rows: their values, gradients, errors and files."""

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, LayerNorm, RMSNorm, Sequential, load_model


def network(norm, **options):
    model = Sequential([Dense(5), norm, Dense(2)], input_shape=3, seed=0)
    model.compile(fastbp.optimizers.Adam(lr=0.05), "mse", dtype="float64", **options)
    return model


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
def test_values(backend, numerics):
    x = np.random.default_rng(0).standard_normal((7, 6))
    gamma, beta = np.linspace(0.5, 2, 6), np.linspace(-1, 1, 6)
    for layer, normal in (
        (LayerNorm(input_shape=6), (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)),
        (RMSNorm(input_shape=6), x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-6)),
    ):
        model = Sequential([layer])
        model.compile("sgd", "mse", dtype="float64", backend=backend, numerics=numerics)
        np.testing.assert_allclose(model.predict(x), normal, rtol=1e-12, atol=1e-13)
        layer.gamma = gamma
        if "beta" in layer.parameters:
            layer.beta = beta
        shift = beta if "beta" in layer.parameters else 0
        np.testing.assert_allclose(model.predict(x), normal * gamma + shift, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("norm", [LayerNorm, RMSNorm])
def test_gradients(norm):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    model = network(norm())
    model.layers[1].gamma = rng.uniform(0.5, 2, 5)
    report = fastbp.gradient_check(model, x, y)
    assert report.ok, report


@pytest.mark.parametrize("norm", [LayerNorm(eps=1e-3), RMSNorm()])
def test_training_files_and_the_first_layer(norm, tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((30, 3)), rng.standard_normal((30, 2))
    model = network(norm)
    losses = model.fit(x, y, epochs=20, seed=0, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert not np.array_equal(norm.gamma, np.ones(5))
    model.save(tmp_path / "norm.npz")
    again = load_model(tmp_path / "norm.npz")
    assert again.layers[1].eps == norm.eps
    assert_same_bits(again.predict(x), model.predict(x))
    # as the first layer it has gradients of its own and passes none on
    first = Sequential([type(norm)(), Dense(2)], input_shape=3, seed=0)
    first.compile("sgd", "mse", dtype="float64")
    first.fit(x, y, epochs=1, verbose=0)
    assert np.abs(first.layers[0].dgamma).max() > 0


def test_errors():
    for norm in (LayerNorm, RMSNorm):
        for eps in (0, -1, np.inf, np.nan):
            with pytest.raises(ValueError, match=r"eps is .*; it must be in"):
                norm(eps=eps)
        with pytest.raises(ValueError, match="takes rows of one dimension"):
            Sequential([norm()], input_shape=(2, 3)).build()
    with pytest.raises(ValueError, match="log_softmax takes rows of one dimension"):
        Sequential([fastbp.Activation("log_softmax")], input_shape=(2, 3)).build()
