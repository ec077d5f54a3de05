"""Layers that give rows another shape, and models whose rows have several dimensions."""

import functools

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Activation, Dense, Flatten, Reshape, Sequential, load_model

every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
LOSS = fastbp.losses.SparseCategoricalCrossEntropy()


def trained(layers, x, y, backend, loss="mse"):
    model = Sequential(layers, seed=0)
    model.compile(fastbp.optimizers.Adam(lr=0.01), loss, backend=backend, dtype="float64")
    model.fit(x, y, batch_size=7, epochs=3, seed=1, verbose=0)
    model.train_on_batch(x[:5], y[:5])
    return model


@every_backend
def test_a_shape_changes_no_bit(backend):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 4, 6)), rng.standard_normal((30, 3))
    flat = x.reshape(30, -1)
    plain = trained([Dense(12, activation="tanh"), Dense(3)], flat, y, backend)
    shaped = trained([Flatten(), Dense(12, activation="tanh"), Reshape((2, -1, 3)), Flatten(), Dense(3)], x, y, backend)
    for got, want in zip(shaped.get_weights(), plain.get_weights(), strict=True):
        assert_same_bits(got, want)
    assert_same_bits(shaped.batch_losses, plain.batch_losses)
    for rows in (1, 7, 30):
        assert_same_bits(shaped.predict(x, batch_size=rows), plain.predict(flat, batch_size=rows))
    assert shaped.evaluate(x, y) == plain.evaluate(flat, y)
    names = [[call.kernel.name for call in model.program.calls] for model in (shaped, plain)]
    assert names[0] == names[1]
    shaped.program.run(check="numpy")


@every_backend
def test_each_layer_shows_its_own_shape(backend):
    model = Sequential([Reshape((3, 2)), Activation("tanh"), Flatten(), Dense(4)], input_shape=6, seed=0)
    model.compile("sgd", "mse", backend=backend)
    x = np.linspace(-1, 1, 18).reshape(3, 6).astype("float32")
    model.forward(x)
    assert [layer.y.shape for layer in model.layers] == [(3, 3, 2), (3, 3, 2), (3, 6), (3, 4)]
    assert_same_bits(model.layers[0].y, x.reshape(3, 3, 2))
    model.loss(np.zeros((3, 4)))
    model.backward()
    assert model.layers[3].dy.shape == (3, 4)
    # between layers with parameters the gradient takes the shape back
    model = Sequential([Dense(6), Reshape((3, 2)), Activation("tanh"), Flatten(), Dense(4)], input_shape=6, seed=0)
    model.compile("sgd", "mse", backend=backend, dtype="float64")
    model.forward(x)
    model.loss(np.zeros((3, 4)))
    model.backward()
    assert [layer.dy.shape for layer in model.layers] == [(3, 6), (3, 3, 2), (3, 3, 2), (3, 6), (3, 4)]
    assert fastbp.gradient_check(model, x, np.zeros((3, 4))).ok


@every_backend
@pytest.mark.parametrize("first", [None, functools.partial(Dense, 6), Flatten])
def test_outputs_of_several_dimensions(backend, first):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((20, 2, 3))
    model = trained([*([first()] if first else []), Reshape((2, 3))], x, y, backend)
    for _ in range(2):
        out = model.predict(x)
        assert out.shape == (20, 2, 3)
        assert model.predict(x[:1]).shape == (1, 2, 3)
    if len(model.get_weights()) == 0:
        assert_same_bits(out, x.reshape(20, 2, 3))
    assert model.evaluate(x, y)["loss"] == pytest.approx(((out - y) ** 2).mean())
    assert_same_bits(model.forward(x), out)


def test_files(tmp_path):
    model = Sequential([Flatten(), Reshape((-1, 2)), Flatten(), Dense(3)], input_shape=(2, 4), seed=0)
    model.compile("sgd", LOSS)
    x = np.random.default_rng(2).standard_normal((9, 2, 4))
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert again.layers[1].target_shape == (-1, 2)
    assert_same_bits(again.predict(x), model.predict(x))


def test_errors():
    for shape in ((), (0,), (2, -1, -1), (-2, 3), None, -3):
        with pytest.raises(ValueError, match=r"target_shape is .*; it must hold positive integers, one may be -1"):
            Reshape(shape)
    for shape in ("ab", (1.5,), 2.0):
        with pytest.raises(TypeError, match=r"target_shape is .*; it must be an integer or a tuple of integers"):
            Reshape(shape)
    for shape in ((2, 3), (-1, 4), (7, -1), 5):
        with pytest.raises(ValueError, match=r"reshape.*: a row of shape \(5, 2\) cannot be one of"):
            Sequential([Reshape(shape)], input_shape=(5, 2)).build()
