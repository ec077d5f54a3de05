"""Data of uint8 stay bytes in `fit`, and have the bits of the same numbers as floats."""

import tracemalloc

import numpy as np
import pytest
from _arrays import BACKENDS, DTYPES, assert_same_bits

import fastbp
from fastbp import Dense, Embedding, Flatten, Input, Model, Rescaling, Reshape, Sequential
from fastbp.layers import Concatenate

every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])

X = np.random.default_rng(0).integers(0, 256, (90, 4, 3, 2), dtype=np.uint8)
Y = np.random.default_rng(1).integers(0, 5, 90)


def network(backend="cython" if BACKENDS else "numpy", dtype="float32", numerics="numpy"):
    model = Sequential([Flatten(), Rescaling(1 / 255), Dense(7, activation="relu"), Dense(5)], seed=0)
    model.compile(
        "adam", "sparse_categorical_crossentropy", ["accuracy"], backend=backend, dtype=dtype, numerics=numerics
    )
    return model


def outcome(model):
    weights = [w.copy() for w in model.get_weights()]
    return [*weights, model.batch_losses, *[np.array(v) for v in model.history.history.values()]]


def assert_same(ours, others):
    assert len(ours) == len(others)
    for got, want in zip(ours, others, strict=True):
        assert_same_bits(got, want)


def kernels_of(model):
    return [call.kernel.name for call in model.program.calls if call.phase == "gather"]


class EachBatch(fastbp.Callback):
    def on_train_batch_end(self, batch, logs):
        pass


FITS = {
    "plain": {},
    "in order": {"shuffle": False},
    "split": {"validation_split": 0.3},
    "validated": {"validation_data": (X[:33], Y[:33])},
    "weighted": {"sample_weight": np.linspace(0, 2, 90), "class_weight": {2: 3.0}},
    "batch by batch": {"callbacks": [EachBatch()], "shuffle": False},
    "all at once": {"batch_size": None},
}


@pytest.mark.matrix("dtype", "numerics")
@every_backend
@every_numerics
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", FITS)
def test_fit_has_the_bits_of_floats(kind, dtype, numerics, backend):
    found = []
    for x in (X, X.astype(dtype)):
        model = network(backend, dtype, numerics)
        given = {"batch_size": 16, "epochs": 3, "seed": 2, "verbose": 0, **FITS[kind]}
        if kind == "validated":
            given["validation_data"] = (x[:33], Y[:33])
        model.fit(x, Y, **given)
        if kind != "weighted":  # that program is another one
            assert ("gather_bytes" in kernels_of(model)) == (x is X)
        found.append(outcome(model))
    assert_same(*found)


@every_backend
def test_all_else_has_the_bits_of_floats(backend):
    found = []
    for x in (X, X.astype("float32")):
        model = network(backend)
        losses = [model.train_on_batch(x[k : k + 30], Y[k : k + 30]) for k in (0, 30, 60)]
        model.fit(((x[k : k + 20], Y[k : k + 20]) for k in (0, 20, 40)), epochs=1, verbose=0)
        found.append([
            np.array(losses), *outcome(model), model.predict(x), np.array(list(model.evaluate(x, Y))),
            model.forward(x), model.predict_on_batch(x), model.input_gradient(x, Y),
        ])  # fmt: skip
    assert_same(*found)


@every_backend
def test_bytes_and_floats_take_turns(backend):
    model, twin, x = network(backend), network(backend), X.astype("float32")
    for turn, (a, b) in enumerate([(X, x), (x, x), (X, X), (x, X)]):
        for one, data in ((model, a), (twin, b)):
            one.fit(data, Y, batch_size=16, epochs=2, seed=turn, verbose=0)
            assert ("gather_bytes" in kernels_of(one)) == (data is X)
            # what steps of other sizes find is the same memory
            one.train_on_batch(data[:50], Y[:50])
            one.train_on_batch(x[:3], Y[:3])
            assert ("gather_bytes" in kernels_of(one)) == (data is X)
        assert_same(outcome(model), outcome(twin))


@pytest.mark.parametrize("make", [np.asfortranarray, lambda x: np.repeat(x, 2, axis=0)[::2], lambda x: x[::-1][::-1]])
def test_any_memory_layout(make):
    model, twin = network(), network()
    model.fit(make(X), Y, epochs=2, seed=0, verbose=0)
    twin.fit(X, Y, epochs=2, seed=0, verbose=0)
    assert_same(outcome(model), outcome(twin))


def test_tables_of_bytes():
    x, found = X.reshape(90, -1), []
    for data in (x, x.astype("float32")):
        model = Sequential([Dense(5)], seed=0)
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(data, Y, epochs=3, seed=0, verbose=0)
        found.append(outcome(model))
    assert_same(*found)


def test_several_inputs():
    left, right, words = Input((4, 3, 2), name="left"), Input(6, name="right"), Input(2, dtype="int64", name="words")
    parts = [Flatten()(left), right, Flatten()(Embedding(256, 3)(words))]
    model = Model([left, right, words], Dense(5)(Concatenate()(parts)), seed=0)
    start, found = None, []
    numbers, ids = X[:, 0, :, 0].repeat(2, axis=1), X[:, 0, 0]
    for kinds in (("u1", "u1", "u1"), ("f4", "u1", "i8"), ("u1", "f8", "f4"), ("f4", "f4", "i4")):
        model.compile("sgd", "sparse_categorical_crossentropy")
        start = model.get_weights() if start is None else start
        model.set_weights(start)
        data = [array.astype(kind) for array, kind in zip((X, numbers, ids), kinds, strict=True)]
        model.fit(data, Y, epochs=2, batch_size=16, seed=0, verbose=0, validation_split=0.2)
        assert kernels_of(model).count("gather_bytes") == kinds[:2].count("u1")  # an embedding looks at its data first
        found.append(outcome(model))
    for other in found[1:]:
        assert_same(other, found[0])


def test_an_embedding_looks_at_bytes_first():
    model = Sequential([Reshape((3, 8)), Embedding(200, 2), Flatten(), Dense(5)], input_shape=(4, 3, 2), seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    for data in (X, X.astype("float32")):
        with pytest.raises(ValueError, match=r"x\[0, .* is 2\d\d.*embedding_1 takes .* 199") as error:
            model.fit(data, Y, verbose=0)
        message = str(error.value) if data is X else message  # noqa: F821
        assert str(error.value) == message


def test_a_batch_that_is_not_finite_is_explained():
    model = network()
    model.compile(fastbp.optimizers.SGD(1e30), "sparse_categorical_crossentropy")
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch \d+: layer dense_. is the first whose output"):
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0)


def test_the_wrong_shape_is_told():
    model = network()
    model.fit(X, Y, verbose=0)
    with pytest.raises(ValueError, match=r"x has shape \(90, 4, 3\); it must be \(rows, 4, 3, 2\)"):
        model.fit(X[..., 0], Y, verbose=0)


def test_no_floats_are_made_of_the_data():
    x = np.zeros((12000, 40, 40, 1), np.uint8)
    y = np.zeros(12000, np.int64)
    model = Sequential([Flatten(), Dense(2)], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x[:64], y[:64], batch_size=64, verbose=0)
    tracemalloc.start()
    try:
        model.fit(x, y, batch_size=64, epochs=1, verbose=0, validation_data=(x, y))
        model.predict(x)
        model.evaluate(x, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # blocks of the validation and of predictions, of 512 rows at most
    assert peak < x.nbytes
