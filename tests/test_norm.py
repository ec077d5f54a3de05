"""Layers that normalise: their values, gradients, errors and files."""

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, told

import fastbp
from fastbp import BatchNorm, Dense, LayerNorm, RMSNorm, Sequential, kernels, load_model

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
        with pytest.raises(ValueError, match="takes rows of one dimension or more"):
            Sequential([norm()]).predict([1.0, 2.0])
    with pytest.raises(ValueError, match="log_softmax takes rows of one dimension or more"):
        Sequential([fastbp.Activation("log_softmax")]).predict([1.0, 2.0])


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


@pytest.mark.filterwarnings("ignore:.*batchnorm_1 must have 2")
@every_numerics
@every_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm_in_training_and_evaluation(backend, numerics, dtype):
    rng = np.random.default_rng(6)
    model = Sequential([BatchNorm(momentum=0.75, eps=0.01)], input_shape=4)
    model.compile("sgd", "mse", dtype=dtype, backend=backend, numerics=numerics)
    layer = model.layers[0]
    layer.gamma, layer.beta = rng.uniform(0.5, 2, 4), rng.standard_normal(4)
    options = {"backend": "numpy", "numerics": numerics}
    moving = [np.zeros(4, dtype), np.ones(4, dtype)]
    for rows in (10, 7, 1):
        x, y = (rng.standard_normal((rows, 4)).astype(dtype) for _ in range(2))
        normal, _, *values = kernels.batch_norm_forward(x, eps=0.01, **options)
        assert_same_bits(model.forward(x), kernels.affine_forward(normal, layer.gamma, layer.beta, **options))
        # a forward pass alone changes nothing
        assert_same_bits(layer.moving_mean, moving[0])
        moving = [
            kernels.moving_average(m, v, momentum=0.75, **options) for m, v in zip(moving, values, strict=True)
        ]
        model.train_on_batch(x, y)
        assert_same_bits(layer.moving_mean, moving[0])
        assert_same_bits(layer.moving_variance, moving[1])
        normal, _ = kernels.normalize(x, *moving, eps=0.01, **options)
        want = kernels.affine_forward(normal, layer.gamma, layer.beta, **options)
        for size in (1, 3, 10):
            assert_same_bits(model.predict(x, batch_size=size), want)
        assert model.evaluate(x, y)["loss"] == pytest.approx(float(((want - y) ** 2).mean()), rel=1e-5)
    assert [a.shape for a in model.get_weights()] == [(4,)] * 4 and model.count_params() == 8
    model.program.run(check="numpy")


@pytest.mark.filterwarnings("ignore:.*batchnorm_1 must have 2")
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("scale", [True, False])
@every_backend
def test_batch_norm_gradients_and_files(backend, center, scale, tmp_path):
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((9, 3)), rng.standard_normal((9, 2))
    norm = BatchNorm(momentum=0.9, eps=1e-4, center=center, scale=scale)
    model = network(norm, backend=backend)
    losses = model.fit(x, y, batch_size=4, epochs=20, seed=0, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert fastbp.gradient_check(model, x, y).ok
    for name, there in (("gamma", scale), ("beta", center)):
        if there:
            assert (getattr(norm, name) != {"gamma": 1, "beta": 0}[name]).all()
        else:
            with pytest.raises(AttributeError, match=f"has no {name} yet"):
                getattr(norm, name)
    assert (norm.moving_mean != 0).all() and (norm.moving_variance != 1).all()
    model.save(tmp_path / "norm.npz")
    again = load_model(tmp_path / "norm.npz")
    assert again.layers[1].get_config() == norm.get_config()
    assert_same_bits(again.predict(x), model.predict(x))
    for one, other in zip(again.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(one, other)
    # as the first layer
    first = Sequential([BatchNorm(center=center, scale=scale), Dense(2)], input_shape=3, seed=0)
    first.compile("sgd", "mse", dtype="float64", backend=backend)
    first.fit(x, y, epochs=1, verbose=0)
    assert (first.layers[0].moving_mean != 0).all()
    assert not scale or np.abs(first.layers[0].dgamma).max() > 0
    assert "batch_norm_backward" not in {call.kernel.name for call in first.program.calls}


@pytest.mark.parametrize("options", [{}, {"center": False}, {"center": False, "scale": False}])
@every_backend
def test_a_frozen_batch_norm_is_a_fixed_scale_and_shift(backend, options):
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((40, 3)) + 1, rng.standard_normal((40, 2))
    norm = BatchNorm(momentum=0.5, **options)
    model = network(norm, backend=backend)
    model.fit(x, y, epochs=5, seed=0, verbose=0)
    norm.trainable = False
    model.compile(fastbp.optimizers.SGD(0.01), "mse", dtype="float64", backend=backend)
    before = {name: array.copy() for name, array in norm.arrays.items() if name[0] != "d"}
    dense = model.layers[0].w.copy()
    # in training as in evaluation
    assert_same_bits(model.forward(x), model.predict(x))
    model.loss(y)
    model.backward()
    slope = before.get("gamma", 1) / np.sqrt(norm.moving_variance + norm.eps)
    np.testing.assert_allclose(model.layers[0].dy, norm.dy * slope, rtol=1e-13)
    model.fit(x, y, epochs=2, seed=0, verbose=0)
    for name, array in before.items():
        assert_same_bits(getattr(norm, name), array)
    assert (model.layers[0].w != dense).all()
    assert {"batch_norm_forward", "moving_average"}.isdisjoint(call.kernel.name for call in model.program.calls)
    model.program.run(check="numpy")


@every_backend
def test_batches_of_which_batch_norm_learns_nothing(backend):
    """One warning a call says so, of a batch size or of what the rows leave."""
    rng = np.random.default_rng(9)
    x, y = rng.standard_normal((41, 3)), rng.standard_normal((41, 2))
    norm = BatchNorm()
    model = network(norm, backend=backend)
    every = "all batches have 1 row; batchnorm_1 must have 2 to learn from: choose another batch size"
    last = every.replace("all batches have", "the last batch of an epoch has")
    calls = {
        lambda: model.fit(x, y, batch_size=1, epochs=3, verbose=0): [every],
        lambda: model.fit(x, y, batch_size=10, verbose=0): [last],
        lambda: model.fit(x, y, batch_size=None, verbose=0): [],
        lambda: model.fit(x, y, batch_size=39, verbose=0): [],
        lambda: model.fit(x[:1], y[:1], verbose=0): [every],
        lambda: model.train_on_batch(x[:1], y[:1]): [every],
        lambda: model.train_on_batch(x[:1].tolist(), y[:1].tolist()): [every],
        lambda: model.train_on_batch(x[:2], y[:2]): [],
        lambda: (model.predict(x[:1]), model.evaluate(x[:1], y[:1])): [],
    }
    for call, want in calls.items():
        assert told(call) == want
    norm.trainable = False
    assert not any(map(told, calls))


def test_errors_of_batch_norm():
    for eps in (0, -1, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"eps is .*; it must be in"):
            BatchNorm(eps=eps)
    for momentum in (-0.1, 1, 1.5, np.nan):
        with pytest.raises(ValueError, match=r"momentum is .*; it must be in \[0, 1\)"):
            BatchNorm(momentum)
    with pytest.raises(TypeError, match="momentum is 'a'; it must be a number"):
        BatchNorm("a")
    with pytest.raises(ValueError, match="BatchNorm takes rows of one dimension or more"):
        Sequential([BatchNorm()]).predict([1.0, 2.0])
