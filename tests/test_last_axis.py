"""The last axis are the features: rows of several dimensions are as many rows of one."""

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, told

import fastbp
from fastbp import Activation, BatchNorm, Dense, Flatten, LayerNorm, PReLU, Reshape, RMSNorm, Sequential

every_backend = pytest.mark.parametrize("backend", ("numpy", *BACKENDS))
every_numerics = pytest.mark.parametrize("numerics", ("numpy", "portable"))
#: What stands before the features in one row.
PLACES = {"t": (3,), "one": (1,), "h, w": (2, 3)}
every_place = pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
N = 4
#: Layers whose last axis are the features, by a name.
LAYERS = {
    "dense": lambda: [Dense(5)],
    "dense without bias": lambda: [Dense(5, use_bias=False)],
    "dense, relu": lambda: [Dense(5, "relu"), Dense(2)],
    "dense, softmax": lambda: [Dense(5, "softmax")],
    "softmax": lambda: [Dense(5), Activation("softmax")],
    "log_softmax": lambda: [Dense(5), Activation("log_softmax")],
    "tanh": lambda: [Dense(5), Activation("tanh")],
    "layer norm": lambda: [Dense(5), LayerNorm(), Dense(2)],
    "rms norm": lambda: [RMSNorm(), Dense(2)],
    "batch norm": lambda: [Dense(5), BatchNorm(0.5), Dense(2)],
    "batch norm, shift": lambda: [Dense(5), BatchNorm(scale=False), Dense(2)],
    "batch norm, frozen": lambda: [Dense(5), frozen(BatchNorm()), Dense(2)],
    "deep": lambda: [Dense(5, "gelu"), LayerNorm(), BatchNorm(), Dense(3, "log_softmax")],
}


def frozen(layer):
    layer.trainable = False
    return layer


def batch_of(places, n, rows=6, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal((rows, *places, n)).astype(dtype)


def trained(layers, shape, x, y, **options):
    """Return a model after three steps, by hand, by `train_on_batch` and by `fit`, and what they yielded."""
    model = Sequential(layers, input_shape=shape, seed=3)
    model.compile(fastbp.optimizers.Adam(0.1), "mse", **options)
    out = [model.forward(x)]
    model.loss(y)
    model.backward()
    out += [model.layers[0].y, model.layers[-1].dy]
    out += [array.copy() for name, array in sorted(model.layers[0].arrays.items()) if name.startswith("d")]
    model.update()
    out.append(np.float64(model.train_on_batch(x, y)))
    model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0)
    out += [model.predict(x), *model.get_weights()]
    return out


@every_numerics
@every_backend
@every_place
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_are_those_of_single_rows(kind, places, backend, numerics):
    x = batch_of(places, N)
    y = batch_of(places, Sequential(LAYERS[kind](), input_shape=N).layout.output_shape[-1], seed=1)
    options = {"backend": backend, "numerics": numerics}
    found = trained(LAYERS[kind](), (*places, N), x, y, **options)
    flat = trained(LAYERS[kind](), N, x.reshape(-1, N), y.reshape(-1, y.shape[-1]), **options)
    assert found[0].shape == y.shape
    for got, want in zip(found, flat, strict=True):
        assert_same_bits(got.reshape(want.shape), want)


def test_shapes():
    model = Sequential([Dense(5), LayerNorm(), RMSNorm(), BatchNorm(), PReLU(), Dense(2)], input_shape=(7, 3, N))
    assert model.layout.shapes == [(7, 3, 5)] * 5 + [(7, 3, 2)]
    shapes = {f"{layer.name}.{name}": getattr(layer, name).shape for layer in model.layers for name in layer.parameters}
    assert shapes == {
        "dense_1.w": (N, 5), "dense_1.b": (5,), "layernorm_1.gamma": (5,), "layernorm_1.beta": (5,),
        "rmsnorm_1.gamma": (5,), "batchnorm_1.gamma": (5,), "batchnorm_1.beta": (5,), "prelu_1.alpha": (7, 3, 5),
        "dense_2.w": (5, 2), "dense_2.b": (2,),
    }  # fmt: skip
    assert model.layers[3].moving_mean.shape == (5,)


@every_place
def test_layers_against_plain_numpy(places):
    x = batch_of(places, N, dtype="float64")
    axes = tuple(range(x.ndim - 1))
    dense = Sequential([Dense(5, "softmax")], input_shape=(*places, N), seed=0)
    dense.compile("sgd", "mse", dtype="float64")
    z = x @ dense.layers[0].w + 0.25
    dense.layers[0].b = np.full(5, 0.25)
    e = np.exp(z - z.max(-1, keepdims=True))
    np.testing.assert_allclose(dense.predict(x), e / e.sum(-1, keepdims=True), rtol=1e-13)
    for layer, mean, variance, eps in (
        (LayerNorm(), x.mean(-1, keepdims=True), x.var(-1, keepdims=True), 1e-5),
        (RMSNorm(), 0, (x * x).mean(-1, keepdims=True), 1e-6),
        (BatchNorm(0.75), x.mean(axes), x.var(axes), 1e-3),
    ):
        norm = Sequential([layer], input_shape=(*places, N))
        norm.compile(fastbp.optimizers.SGD(0.0001), "mse", dtype="float64")
        np.testing.assert_allclose(norm.forward(x), (x - mean) / np.sqrt(variance + eps), rtol=1e-12, atol=1e-14)
        norm.train_on_batch(x, x)
        if isinstance(layer, BatchNorm):
            np.testing.assert_allclose(layer.moving_mean, 0.25 * mean, rtol=1e-12)
            np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-12)


@every_backend
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients(kind, backend):
    model = Sequential(LAYERS[kind](), input_shape=(2, 3, N), seed=1)
    model.compile("sgd", "mse", dtype="float64", backend=backend)
    x, y = batch_of((2, 3), N), batch_of((2, 3), model.layout.output_shape[-1], seed=1)
    assert fastbp.gradient_check(model, x, y).ok
    assert fastbp.blame(model, x, y).layers[-1].units == y.shape[-1]


def test_a_net_changes_its_rows_on_the_way():
    """Places become features and features places: what stands between costs no call."""
    x = batch_of((6,), 2)
    model = Sequential([Dense(3, "relu"), Reshape((2, 9)), Dense(4), Flatten(), Dense(2)], input_shape=(6, 2), seed=0)
    model.compile("sgd", "mse")
    (w1, b1), (w2, b2), (w3, b3) = ((layer.w, layer.b) for layer in model.layers if isinstance(layer, Dense))
    hidden = np.maximum(x @ w1 + b1, 0).reshape(6, 2, 9) @ w2 + b2
    np.testing.assert_allclose(model.predict(x), hidden.reshape(6, 8) @ w3 + b3, rtol=1e-4, atol=1e-6)
    # relu is part of the product
    assert [call.kernel.name for call in model.program.calls if call.phase == "forward"] == ["dense"] * 3
    model.train_on_batch(x, np.zeros((6, 2)))
    model.program.run(check="numpy")


def test_batch_norm_has_a_mean_of_one_row_where_that_has_places():
    x = batch_of((3,), 2, rows=1)
    model = Sequential([BatchNorm()], input_shape=(3, 2))
    model.compile("sgd", "mse")
    assert not told(lambda: model.train_on_batch(x, x))
    assert not told(lambda: model.fit(np.repeat(x, 3, 0), np.repeat(x, 3, 0), batch_size=2, verbose=0))
    single = Sequential([BatchNorm()], input_shape=(1, 2))
    single.compile("sgd", "mse")
    assert "batchnorm_1 must have 2" in told(lambda: single.train_on_batch(x[:, :1], x[:, :1]))[0]


def test_files(tmp_path):
    x, y = batch_of((3,), N), batch_of((3,), 2, seed=1)
    model = Sequential([Dense(5), BatchNorm(), PReLU(), Dense(2)], input_shape=(3, N), seed=0)
    model.compile("adam", "mse")
    model.fit(x, y, batch_size=4, verbose=0)
    model.save(tmp_path / "m.npz")
    again = fastbp.load_model(tmp_path / "m.npz")
    assert_same_bits(again.predict(x), model.predict(x))
    assert again.train_on_batch(x, y) == model.train_on_batch(x, y)
