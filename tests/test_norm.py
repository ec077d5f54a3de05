"""Layers that normalise: their values, gradients, errors and files."""

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, LayerNorm, RMSNorm, Sequential, kernels, load_model

every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])


def network(norm, **options):
    model = Sequential([Dense(5), norm, Dense(2)], input_shape=3, seed=0)
    model.compile(fastbp.optimizers.Adam(lr=0.05), "mse", dtype="float64", **options)
    return model


@every_numerics
@every_backend
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


# --------------------------------------------------------------------------------------- the batch
@every_numerics
@every_backend
@pytest.mark.parametrize("n", [1, 2, 130])
def test_a_batch_of_one_row_and_of_none(backend, numerics, n):
    options = {"backend": backend, "numerics": numerics}
    x = np.linspace(-3, 5, n)[None]
    y, inverse, mean, variance = kernels.batch_norm_forward(x, eps=0.25, **options)
    assert_same_bits(y, np.zeros((1, n)))
    assert_same_bits(inverse, np.full(n, 2.0))
    assert_same_bits(mean, x[0])
    assert_same_bits(variance, np.zeros(n))
    # a constant has no derivative
    assert_same_bits(kernels.batch_norm_backward(x, y, inverse, **options), np.zeros((1, n)))
    y, *statistics = kernels.batch_norm_forward(x[:0], **options)
    assert y.shape == (0, n)
    assert all(np.isnan(s).all() and s.shape == (n,) for s in statistics)
    assert kernels.batch_norm_backward(x[:0], y, statistics[0], **options).shape == (0, n)


@every_backend
def test_columns_are_normalised(backend):
    x = np.random.default_rng(5).standard_normal((50, 300)) * np.linspace(0.1, 10, 300) + np.arange(300)
    y, _, mean, variance = kernels.batch_norm_forward(x, eps=1e-3, backend=backend)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-13)
    np.testing.assert_allclose(variance, x.var(0), rtol=1e-12)
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), rtol=1e-11, atol=1e-12)
    # the evaluation's kernel has the bits of the training's, given the same mean and variance
    assert_same_bits(kernels.normalize(x, mean, variance, eps=1e-3, backend=backend)[0], y)
