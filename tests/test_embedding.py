"""Embedding and PReLU as layers: values, training, files, and what they refuse."""

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, Embedding, Flatten, PReLU, Reshape, Sequential, load_model
from fastbp.program import BATCH, Program

every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


def words(rows=40):
    """Return sentences of five words, and whether word 7 is among them."""
    x = np.random.default_rng(0).integers(20, size=(rows, 5))
    return x, (x == 7).any(axis=1)[:, None].astype(float)


def reader(backend="cython", dtype="float64", **options):
    model = Sequential([Embedding(20, 3), Flatten(), Dense(1)], input_shape=5, seed=0)
    loss = fastbp.losses.BinaryCrossEntropy(from_logits=True)
    model.compile(fastbp.optimizers.Adam(lr=0.05), loss, backend=backend, dtype=dtype, **options)
    return model


@every_numerics
@every_backend
def test_embedding_is_a_lookup(backend, numerics):
    model = Sequential([Embedding(20, 3)], input_shape=5, seed=0)
    model.compile("sgd", "mse", backend=backend, numerics=numerics)
    x, _ = words()
    for dtype in (np.int64, np.uint8, np.float32, np.float64):
        assert_same_bits(model.predict(x.astype(dtype)), model.layers[0].w[x])
    assert np.abs(model.layers[0].w).max() <= 0.05
    # rows of several dimensions, and rows that come in another shape
    for layers, shape in (([Embedding(20, 3)], (2, 2)), ([Reshape((2, 2)), Embedding(20, 3)], (4,))):
        model = Sequential(layers, input_shape=shape, seed=0)
        model.compile("sgd", "mse", backend=backend, numerics=numerics)
        assert_same_bits(model.predict(x[:, :4].reshape(-1, *shape)), model.layers[-1].w[x[:, :4].reshape(-1, 2, 2)])


@every_backend
def test_embedding_learns_and_is_saved(backend, tmp_path):
    x, y = words()
    model = reader(backend)
    before = model.get_weights()[0]
    loss = model.fit(x, y, batch_size=16, epochs=60, seed=0, verbose=0).history["loss"]
    assert loss[-1] < 0.1 < loss[0]
    assert np.abs(model.layers[0].w - before).max() > 0.1
    model.program.run(check="numpy")
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert_same_bits(again.predict(x), model.predict(x))
    assert fastbp.gradient_check(model, x, y).ok
    # what no row names has no gradient
    model.forward(x[:1])
    model.loss(y[:1])
    model.backward()
    named = np.isin(np.arange(20), x[0])
    assert (model.layers[0].dw[~named] == 0).all() and (model.layers[0].dw[named] != 0).any(axis=1).all()


def test_a_frozen_embedding_stays():
    x, y = words()
    model = reader()
    model.layers[0].trainable = False
    model.compile("sgd", "mse")
    before = model.layers[0].w.copy()
    model.fit(x, y, verbose=0)
    assert_same_bits(model.layers[0].w, before)
    assert "embedding_backward" not in {call.kernel.name for call in model.program.calls}


@every_backend
@pytest.mark.parametrize("value", [-1, 20, 2.5, 1e30])
def test_what_is_no_row_number_is_named_before_anything_changes(backend, value):
    x, y = words()
    x = x.astype(float)
    model = reader(backend)
    model.fit(x, y, epochs=2, verbose=0)
    model.predict(x)
    weights = model.get_weights()
    x[39, 4] = value
    message = r"x\[39, 4\] is .*; embedding_1 takes whole numbers in 0 \.\. 19"
    for run in (
        lambda: model.fit(x, y, batch_size=8, verbose=0), lambda: model.train_on_batch(x, y), lambda: model.predict(x),
        lambda: model.evaluate(x, y), lambda: model.forward(x), lambda: fastbp.blame(model, x, y),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            run()
    for got, want in zip(model.get_weights(), weights, strict=True):
        assert_same_bits(got, want)
    with pytest.raises(ValueError, match=r"embedding_1 takes whole"):
        model.fit(words()[0], y, validation_data=(x, y), verbose=0)
    # NaN, which predict lets pass elsewhere
    x[39, 4] = np.nan
    with pytest.raises(ValueError, match=r"x\[39, 4\] is nan; embedding_1 takes"):
        model.predict(x)
    shaped = Sequential([Flatten(), Reshape((5, 1)), Embedding(20, 3)], input_shape=5)
    shaped.compile("sgd", "mse", backend=backend)
    with pytest.raises(ValueError, match=r"x\[39, 4\] is nan; embedding_1 takes"):
        shaped.predict(x)
    # between layers, where no data are looked at, the kernel does it
    model = Sequential([fastbp.Activation("identity"), Embedding(20, 3)], input_shape=5)
    model.compile("sgd", "mse", backend=backend)
    with pytest.raises((IndexError, RuntimeError), match=r"embedding_forward.*out of range"):
        model.train_on_batch(np.full((2, 5), 20), np.zeros((2, 5, 3)))


def test_errors_of_embeddings():
    for name, arguments in (("input_dim", (0, 3)), ("output_dim", (3, 0))):
        with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
            Embedding(*arguments)
    with pytest.raises(TypeError, match=r"input_dim is 2\.5; it must be an integer"):
        Embedding(2.5, 1)
    model = Sequential([Dense(4), Embedding(20, 3)], input_shape=5)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="embedding_1: row numbers have no gradient; no layer before it may have"):
        model.train_on_batch(np.zeros((2, 5)), np.zeros((2, 4, 3)))


def test_float32_cannot_count_all_rows():
    for n, dtype in ((2**24, "float32"), (2**24 + 1, "float64"), (2**24 + 1, "float32")):
        program = Program(dtype)
        x, w = program.buffer("x", (BATCH, 1), role="input"), program.buffer("w", (n, 2), role="parameter")
        layer = Embedding(n, 2, name="words")
        if n > 2**24 and dtype == "float32":
            with pytest.raises(ValueError, match="words: input_dim is 16777217; float32 cannot count"):
                layer.emit(program, x, {"w": w}, {})
        else:
            assert layer.emit(program, x, {"w": w}, {})[0].shape == (BATCH, 1, 2)


# ------------------------------------------------------------------------------------------- PReLU
@every_numerics
@every_backend
def test_prelu(backend, numerics):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((9, 2, 3))
    model = Sequential([PReLU("uniform")], input_shape=(2, 3), seed=0)
    model.compile("sgd", "mse", backend=backend, numerics=numerics, dtype="float64")
    alpha = model.get_weights()[0]
    assert alpha.shape == (2, 3) and len(np.unique(alpha)) == 6
    assert_same_bits(model.predict(x), np.where(x > 0, x, alpha * x))
    model.forward(x)
    model.loss(np.zeros_like(x))
    model.backward()
    layer = model.layers[0]
    np.testing.assert_allclose(layer.dalpha, (layer.dy * np.where(x > 0, 0, x)).sum(0), rtol=1e-13)
    model = Sequential([Dense(6), Reshape((2, 3)), PReLU()], input_shape=4, seed=0)
    model.compile("sgd", "mse", backend=backend, numerics=numerics, dtype="float64")
    model.forward(x.reshape(-1, 6)[:, :4])
    model.loss(x)
    model.backward()
    assert [layer.dy.shape for layer in model.layers] == [(9, 6), (9, 2, 3), (9, 2, 3)]
    shape, prelu = model.layers[1:]
    assert_same_bits(shape.dy, np.where(shape.y > 0, prelu.dy, 0.25 * prelu.dy))


@pytest.mark.parametrize("initializer", [0.1, 0, "ones", fastbp.initializers.Constant(-2.0)])
def test_prelu_learns_and_is_saved(initializer, tmp_path):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((30, 3)), rng.standard_normal((30, 2))
    model = Sequential([Dense(5), PReLU(initializer), Dense(2)], input_shape=3, seed=0)
    model.compile(fastbp.optimizers.Adam(lr=0.05), "mse", dtype="float64")
    begin = model.layers[1].alpha.copy()
    assert len(set(begin)) == 1
    assert fastbp.gradient_check(model, x, y).ok
    losses = model.fit(x, y, epochs=20, seed=0, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and (model.layers[1].alpha != begin).all()
    model.save(tmp_path / "model.npz")
    assert_same_bits(load_model(tmp_path / "model.npz").predict(x), model.predict(x))
    model.layers[1].trainable = False
    model.compile("sgd", "mse", dtype="float64")
    alpha, w = model.layers[1].alpha.copy(), model.layers[0].w.copy()
    model.fit(x, y, verbose=0)
    assert_same_bits(model.layers[1].alpha, alpha)
    assert (model.layers[0].w != w).all()
