"""Models with several inputs and outputs: how data are handed over; all ways of training have the same bits."""

import copy
import pickle

import numpy as np
import pytest

import fastbp
from fastbp import layers

RNG = np.random.default_rng(7)
ROWS = 40
WORDS = RNG.integers(0, 50, (ROWS, 5))
NUMBERS = RNG.normal(size=(ROWS, 2)).astype("f4")
KINDS = RNG.integers(0, 3, ROWS)
PRICES = RNG.normal(size=(ROWS, 1)).astype("f4")


def model_of(inputs="list", outputs="dict", seed=0, compiled=True, **options):
    """Return words and numbers -> kind and price, through a tower that both share."""
    words, numbers = fastbp.Input(5, dtype="int64", name="words"), fastbp.Input(2, name="numbers")
    tower = fastbp.Sequential([fastbp.Dense(8, "relu"), fastbp.Dense(8, "tanh")], name="tower")
    h = tower(layers.Concatenate()([fastbp.Flatten()(fastbp.Embedding(50, 4)(words)), numbers]))
    kind, price = fastbp.Dense(3, name="kind")(h), fastbp.Dense(1, name="price")(h)
    xs = [words, numbers] if inputs == "list" else {"words": words, "numbers": numbers}
    ys = [kind, price] if outputs == "list" else {"kind": kind, "price": price}
    model = fastbp.Model(xs, ys, seed=seed)
    if compiled:
        loss = {"kind": "sparse_categorical_crossentropy", "price": "mse"}
        options = {"metrics": {"kind": ["accuracy"], "price": "mae"}, "loss_weights": {"price": 0.5}, **options}
        model.compile("adam", loss, **options)
    return model


def x_of(kind="list", rows=slice(None)):
    return [WORDS[rows], NUMBERS[rows]] if kind == "list" else {"numbers": NUMBERS[rows], "words": WORDS[rows]}


def y_of(kind="dict", rows=slice(None)):
    return [KINDS[rows], PRICES[rows]] if kind == "list" else {"price": PRICES[rows], "kind": KINDS[rows]}


def same(a, b):
    return all((v.view("u1") == w.view("u1")).all() for v, w in zip(a.get_weights(), b.get_weights(), strict=True))


@pytest.mark.parametrize("inputs", ["list", "dict"])
@pytest.mark.parametrize("outputs", ["list", "dict"])
def test_data_come_as_the_tensors_did(inputs, outputs):
    model, wanted = model_of(inputs, outputs), model_of()
    history = model.fit(x_of(inputs), y_of(outputs), epochs=2, seed=0, verbose=0).history
    assert history == wanted.fit(x_of(), y_of(), epochs=2, seed=0, verbose=0).history and same(model, wanted)
    assert list(history) == ["loss", "kind_loss", "price_loss", "kind_accuracy", "price_mae"]
    predicted, (kind, price) = model.predict(x_of(inputs)), wanted.predict(x_of()).values()
    values = predicted if outputs == "list" else predicted.values()
    assert type(predicted) is (list if outputs == "list" else dict)
    for got, value in zip(values, (kind, price), strict=True):
        assert np.array_equal(got, value)


def test_a_list_may_be_a_dict():
    model, wanted = model_of("list", "list"), model_of()
    assert model.train_on_batch(x_of("dict"), y_of("dict")) == wanted.train_on_batch(x_of(), y_of())
    assert same(model, wanted)


def test_the_loss_is_the_weighted_sum():
    model = model_of(dtype="float64")
    result = model.evaluate(x_of(), y_of())
    assert list(result.keys()) == ["loss", "kind_loss", "price_loss", "kind_accuracy", "price_mae"]
    assert result["loss"] == result["kind_loss"] + 0.5 * result["price_loss"]
    price = model.predict(x_of())["price"]
    # as the means of batches are put together
    assert result["price_loss"] == ((price - PRICES) ** 2).mean() * ROWS / ROWS
    assert result.price_mae == abs(price - PRICES).sum() / ROWS


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_all_ways_to_train_agree(numerics):
    fitted, batches, hand, fed = (model_of(numerics=numerics) for _ in range(4))
    parts = [slice(start, start + 16) for start in range(0, ROWS, 16)]
    fitted.fit(x_of(), y_of(), batch_size=16, epochs=2, shuffle=False, verbose=0)
    feed = [(x_of("dict", part), y_of("list", part)) for part in parts]
    fed.fit(iter(feed * 2), steps_per_epoch=3, epochs=2, verbose=0)
    for _ in range(2):
        for part in parts:
            batches.train_on_batch(x_of("list", part), y_of("dict", part))
            outputs = hand.forward(x_of("dict", part))
            assert outputs["kind"].shape == (len(KINDS[part]), 3)
            hand.loss(y_of("list", part))
            hand.backward()
            hand.update()
    assert same(fitted, batches) and same(fitted, hand) and same(fitted, fed)


@pytest.mark.parametrize("backend", ["numpy", "numba", "cython"])
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_backends_agree(backend, numerics):
    model, wanted = model_of(numerics=numerics, backend=backend), model_of(numerics=numerics)
    for each in (model, wanted):
        each.fit(x_of(), y_of(), batch_size=7, epochs=2, seed=1, verbose=0)
    assert same(model, wanted)
    assert model.evaluate(x_of(), y_of()) == wanted.evaluate(x_of(), y_of())


def test_targets_that_are_missing():
    model, wanted = model_of(), model_of()
    both, alone = model.evaluate(x_of(), y_of()), model.evaluate(x_of(), {"kind": KINDS})
    assert (alone["loss"], alone["price_loss"]) == (both["kind_loss"], 0)
    assert "price_mae" not in list(alone.keys())
    before = model.get_layer("price").w.copy()
    model.train_on_batch(x_of(), {"kind": KINDS, "price": None})
    assert (model.get_layer("price").w == before).all()
    # without the head there is the same step
    other = fastbp.Model(wanted.inputs, {"kind": wanted.outputs["kind"]})
    other.compile("adam", {"kind": "sparse_categorical_crossentropy"})
    other.train_on_batch(x_of(), {"kind": KINDS})
    for a, b in zip(model.get_layer("tower").get_weights(), wanted.get_layer("tower").get_weights(), strict=True):
        assert (a.view("u1") == b.view("u1")).all()
    with pytest.raises(ValueError, match="y has no targets; outputs with a loss are kind, price"):
        model.train_on_batch(x_of(), {"kind": None})


def test_validation_weights_and_feeds():
    model = model_of()
    weight = np.arange(ROWS) / ROWS
    history = model.fit(
        x_of(), y_of(), validation_data=(x_of("dict"), y_of("list")), sample_weight={"price": weight},
        class_weight={"kind": {0: 2.0}}, epochs=2, verbose=0, seed=0,
    )  # fmt: skip
    assert {"val_loss", "val_kind_loss", "val_price_mae"} <= set(history.history)
    found = model.predict(x_of(rows=slice(start, start + 8)) for start in range(0, ROWS, 8))
    assert np.array_equal(found["kind"], model.predict(x_of(), batch_size=8)["kind"])
    result = model.evaluate([(x_of(), y_of())].__iter__())
    assert result == model.evaluate(x_of(), y_of(), batch_size=ROWS)
    assert model.evaluate(x_of(), y_of(), sample_weight=np.ones(ROWS)) == model.evaluate(x_of(), y_of())


def test_files_copies_and_checkpoints(tmp_path):
    model = model_of()
    model.fit(x_of(), y_of(), epochs=1, verbose=0, seed=0)
    model.save(tmp_path / "model.npz")
    model.save_weights(tmp_path / "weights.npz")
    twins = [fastbp.load_model(tmp_path / "model.npz"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    fresh = model_of(seed=1)
    fresh.load_weights(tmp_path / "weights.npz")
    assert same(fresh, model)
    losses = [each.train_on_batch(x_of(), y_of()) for each in (model, *twins)]
    assert len(set(losses)) == 1 and all(same(model, twin) for twin in twins)
    assert [layer.name for layer in twins[0].layers] == [layer.name for layer in model.layers]
    # killed after the first epoch, and started again
    whole, part, again = model_of(), model_of(), model_of()
    whole.fit(x_of(), y_of(), epochs=3, batch_size=8, seed=0, verbose=0, checkpoint=tmp_path / "whole.npz")
    part.fit(x_of(), y_of(), epochs=1, batch_size=8, seed=0, verbose=0, checkpoint=tmp_path / "part.npz")
    again.fit(x_of(), y_of(), epochs=3, batch_size=8, seed=0, verbose=0, checkpoint=tmp_path / "part.npz")
    assert same(whole, again) and whole.history.history == again.history.history
    assert fastbp.load_model(tmp_path / "part.npz").get_layer("tower").layers[0].units == 8


def test_gradients_of_several():
    model = model_of(compiled=False, seed=3)
    model.compile("sgd", dtype="float64")
    dy = {"kind": RNG.normal(size=(ROWS, 3)), "price": RNG.normal(size=(ROWS, 1))}
    words, numbers = model.input_gradient(x_of(), dy=dy)
    assert words.shape == WORDS.shape and not words.any() and numbers.shape == NUMBERS.shape
    eps, x = 1e-6, NUMBERS.astype(float)
    ends = []
    for sign in (1, -1):
        moved = x.copy()
        moved[3, 1] += sign * eps
        y = model.predict([WORDS, moved])
        ends.append(sum((dy[name] * y[name]).sum() for name in dy))
    assert numbers[3, 1] == pytest.approx((ends[0] - ends[1]) / (2 * eps), rel=1e-6)
    model.forward(x_of())
    model.backward({"price": dy["price"]})
    assert not model.get_layer("kind").dw.any() and model.get_layer("price").dw.any()
    model.update()


def test_models_share_layers():
    model = model_of()
    features = fastbp.Model(model.inputs, model.get_layer("kind").input)
    before = features.predict(x_of())
    model.train_on_batch(x_of(), y_of())
    after = features.predict(x_of())
    assert (before != after).any()
    # each has an optimizer of its own
    features.compile("sgd", "mse")
    features.train_on_batch(x_of(), np.zeros((ROWS, 8)))
    assert (features.predict(x_of()) != after).any() and model.optimizer.iterations == 1
    twin = copy.deepcopy(model)
    assert same(twin, model) and twin.get_layer("tower").layers[0].w is not model.get_layer("tower").layers[0].w
    tower = model.get_layer("tower")
    assert np.array_equal(tower.predict(np.ones((3, 22))), tower.predict(np.ones((3, 22))))
    tower.trainable = False
    weights = tower.get_weights()
    model.train_on_batch(x_of(), y_of())
    for a, b in zip(weights, tower.get_weights(), strict=True):
        assert (a == b).all()


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (WORDS, y_of(), ValueError, "x has 40 arrays"),
        (WORDS[0].tolist(), y_of(), ValueError, r"x has 5 arrays; the model has 2 inputs: words, numbers"),
        ({"words": WORDS}, y_of(), ValueError, r"x has no 'numbers'; the inputs of the model are words, numbers"),
        ({"words": WORDS, "number": NUMBERS}, y_of(), ValueError, "x has 'number'.*did you mean 'numbers'"),
        ([WORDS, NUMBERS[:-1]], y_of(), ValueError, r"x\[1\] has 39 rows and x\[0\] has 40; they must be equal"),
        ([WORDS + 0.5, NUMBERS], y_of(), ValueError, r"x\[0\]\[0, 0\] is .*; this input takes whole numbers"),
        ([WORDS, NUMBERS[:, :1]], y_of(), ValueError, r"x\[1\] has shape \(40, 1\); it must be \(rows, 2\)"),
        (x_of(), {"kinds": KINDS}, ValueError, "y has 'kinds'.*did you mean 'kind'"),
        (x_of(), [KINDS], ValueError, "y has 1 arrays; the model has 2 outputs: kind, price"),
        (x_of(), {"kind": KINDS[:-1], "price": PRICES}, ValueError, r"y\['kind'\] has 39 rows and x has 40"),
    ],
)
def test_what_does_not_fit_is_refused(x, y, error, message):
    model = model_of()
    if isinstance(x, np.ndarray):
        error, message = TypeError, "x is a ndarray; it must be a list of 2 arrays: words, numbers"
    for call in (model.train_on_batch, model.evaluate, lambda x, y: model.fit(x, y, verbose=0)):
        with pytest.raises(error, match=message):
            call(x, y)
    assert model.optimizer.iterations == 0


def test_losses_of_a_model_within_another_count():
    x = fastbp.Input(4)
    h = fastbp.Dense(3, "tanh", name="h")(x)
    part = fastbp.Model(x, h, seed=0, name="part")
    part.add_loss(h * h, 0.25)
    data = RNG.normal(size=(ROWS, 4))
    a, b = fastbp.Input(4), fastbp.Input(4)
    model = fastbp.Model([a, b], fastbp.Dense(1)(layers.Add()([part(a), part(b)])), seed=1)
    model.compile("sgd", "mse", dtype="float64")
    pair = [data, data[::-1]]
    wanted = ((model.forward(pair, training=False) - PRICES) ** 2).sum() / ROWS
    for given in pair:
        h = part.predict(given)
        wanted += (0.25 * (h * h)).sum() / h.size
    assert model.loss(PRICES) == wanted
    loss = model.evaluate(pair, PRICES)["loss"]
    assert fastbp.gradient_check(model, [data, data[::-1]], PRICES).ok
    twin = pickle.loads(pickle.dumps(model))
    assert twin.evaluate([data, data[::-1]], PRICES)["loss"] == loss
    alone = fastbp.Model(a, part(a))
    alone.compile("sgd", dtype="float64")
    assert alone.fit(data, epochs=2, verbose=0).history["loss"][1] < 0.25
