"""The small API: building, compiling, training, looking at weights, saving."""

import gc
import json
import re
import tracemalloc

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, told

import fastbp
from fastbp import (
    Activation,
    Callback,
    Dense,
    Dropout,
    Flatten,
    Reshape,
    Sequential,
    initializers,
    load_model,
    losses,
    optimizers,
)
from fastbp.io import FileFormatError, load_arrays, load_history, save_arrays

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
X = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
Y = np.random.default_rng(1).integers(3, size=70)


def model_of(backend="numpy", optimizer="adam", loss="sparse_categorical_crossentropy", seed=0, **options):
    model = Sequential([Dense(6, activation="relu"), Dense(3)], input_shape=4, seed=seed)
    model.compile(optimizer, loss, backend=backend, **options)
    return model


def assert_same_state(a, b):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert_same_bits(x, y, "weights")
    states = a.optimizer.get_state(), b.optimizer.get_state()
    assert states[0].keys() == states[1].keys()
    for name in states[0]:
        assert_same_bits(states[0][name], states[1][name], name)


# ------------------------------------------------------------------------------------- structure
def test_names_and_shapes():
    model = Sequential([Dense(5), Activation("tanh"), Dense(2, name="out"), Dense(3), Activation("softmax")])
    assert [layer.name for layer in model.layers] == ["dense_1", "activation_1", "out", "dense_2", "activation_2"]
    assert model.input_shape is None
    model.build(7)
    assert model.input_shape == (7,) and model.layout.shapes == [(5,), (5,), (2,), (3,), (3,)]
    assert model.count_params() == 7 * 5 + 5 + 5 * 2 + 2 + 2 * 3 + 3
    assert repr(model) == "<Sequential: dense_1, activation_1, out, dense_2, activation_2>"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sequential([Dense(3)], input_shape=4),
        lambda: Sequential([Dense(3)], input_shape=(4,)),
        lambda: Sequential([Dense(3, input_shape=4)]),
        lambda: Sequential([Dense(3, input_shape=(4,))]),
        lambda: Sequential(input_shape=4),
    ],
)
def test_input_shape_is_said_in_many_ways(make):
    model = make()
    if not model.layers:
        model.add(Dense(3))
    assert [w.shape for w in model.get_weights()] == [(4, 3), (3,)]


def test_input_shape_comes_from_the_data():
    for use in ("fit", "train_on_batch", "forward", "predict", "evaluate"):
        model = Sequential([Dense(3)])
        model.compile("sgd", "sparse_categorical_crossentropy", backend="numpy")
        arguments = (X, Y) if use in ("fit", "train_on_batch", "evaluate") else (X,)
        getattr(model, use)(*arguments, **({"verbose": 0} if use == "fit" else {}))
        assert model.input_shape == (4,)


def test_structure_that_cannot_be():
    with pytest.raises(TypeError, match=r"layer 1 is 'relu'; it must be a Layer"):
        Sequential([Dense(3), "relu"])
    with pytest.raises(ValueError, match="two layers are called 'a'"):
        Sequential([Dense(3, name="a"), Dense(3, name="a")])
    layer = Dense(3)
    with pytest.raises(ValueError, match="is in the model already"):
        Sequential([layer, layer])
    compiled = Sequential([Dense(3)])
    compiled.compile("sgd", "mse")
    with pytest.raises(RuntimeError, match="the model is compiled; add layers before"):
        compiled.add(Dense(2))
    with pytest.raises(RuntimeError, match="the model is built; add layers before"):
        model_of().add(Dense(2))
    with pytest.raises(RuntimeError, match="no layers"):
        Sequential().build(3)
    with pytest.raises(RuntimeError, match="input shape is not known"):
        Sequential([Dense(3)]).summary()
    for bad in (0, -1, (0,)):
        with pytest.raises(ValueError, match=r"input_shape is .* must be positive integers"):
            Sequential([Dense(3)], input_shape=bad)
    model = Sequential([Dense(3)], input_shape=5)
    model.build((5,))
    with pytest.raises(ValueError, match=r"input_shape is \(3,\); the model takes rows of shape \(5,\)"):
        model.build(3)
    # what the loss cannot take is refused where the outputs are known
    with pytest.raises(ValueError, match=r"TripletSemiHard.* takes rows of one dimension, got .* shape \(4, 2\)"):
        Sequential([Dense(2)], input_shape=(4, 3)).compile("sgd", losses.TripletSemiHard())
    with pytest.raises(ValueError, match=r"dense_1: Dense takes rows of one dimension or more, got shape \(\)"):
        Sequential([Dense(3)]).predict([1.0, 2.0])


def test_a_layer_belongs_to_one_model():
    layer = Dense(3)
    first = Sequential([layer], input_shape=2, seed=0)
    weights = first.get_weights()
    with pytest.raises(ValueError, match="another model"):
        Sequential([layer], input_shape=2, seed=1)
    for got, want in zip(first.get_weights(), weights, strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize("number", [np.int64(4), np.int32(4)])
def test_numpy_integers_are_integers(number):
    assert Sequential([Dense(number)], input_shape=number).count_params() == 20
    assert Sequential([Dense(3)], input_shape=(number,)).input_shape == (4,)
    assert Sequential([Dense(3, input_shape=number)]).input_shape == (4,)
    model_of().fit(X, Y, batch_size=number, epochs=number, verbose=0)


def test_summary(capsys):
    model = Sequential([Dense(6, activation="relu"), Activation("tanh"), Dense(3, use_bias=False)], input_shape=4)
    model.summary()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["layer", "kind", "output", "parameters"],
        ["dense_1", "Dense(relu)", "(None,", "6)", "30"],
        ["activation_1", "Activation(tanh)", "(None,", "6)", "0"],
        ["dense_2", "Dense(identity)", "(None,", "3)", "18"],
        ["48", "parameters,", "192", "bytes", "in", "float32"],
    ]


@every_backend
def test_without_bias(backend):
    model = Sequential([Dense(6, use_bias=False, activation="tanh"), Dense(2, use_bias=False)], input_shape=4, seed=0)
    model.compile("sgd", "mse", backend=backend)
    w, v = model.get_weights()
    assert_same_bits(model.predict(X), np.tanh(X @ w) @ v)
    model.fit(X, X[:, :2], verbose=0)
    with pytest.raises(AttributeError, match="has no b"):
        _ = model.layers[0].b


@every_backend
def test_activation_as_layer_equals_activation_of_layer(backend):
    for name in ("relu", "softmax"):
        inside = Sequential([Dense(6, activation=name), Dense(3)], input_shape=4, seed=0)
        after = Sequential([Dense(6), Activation(name), Dense(3)], input_shape=4, seed=0)
        given = Sequential([Dense(6, activation=Activation(name)), Dense(3)], input_shape=4, seed=0)
        for model in (inside, after, given):
            model.compile("adam", "sparse_categorical_crossentropy", backend=backend)
            model.fit(X, Y, seed=1, verbose=0)
        assert_same_state(inside, after)
        assert_same_state(inside, given)


@every_backend
def test_no_parameters_at_all(backend):
    model = Sequential([Activation("tanh")], input_shape=4)
    model.compile("adam", "mse", backend=backend)
    assert_same_bits(model.predict(X), np.tanh(X))
    assert model.get_weights() == [] and model.count_params() == 0
    d = np.tanh(X[:32]) - X[:32]
    assert model.train_on_batch(X[:32], X[:32]) == (d * d).sum() / d.size
    identity = Sequential([Activation("linear")], input_shape=4)
    assert_same_bits(identity.predict(X), X)


# --------------------------------------------------------------------------------------- weights
@every_backend
def test_weights_in_keras_order_and_their_views(backend):
    model = model_of(backend)
    weights = model.get_weights()
    assert [w.shape for w in weights] == [(4, 6), (6,), (6, 3), (3,)]
    assert all(w.dtype == "float32" for w in weights)
    weights[0][...] = 7
    assert (model.layers[0].w != 7).all(), "get_weights gives copies"
    new = [np.full(w.shape, k + 1.0) for k, w in enumerate(weights)]
    model.set_weights(new)
    for got, want in zip(model.get_weights(), new, strict=True):
        assert_same_bits(got, want.astype("float32"))
    # a view writes through, before and after programs were made
    for _ in range(2):
        first = model.layers[0]
        first.w[...] = 0.25
        first.b = np.arange(6)
        first.b[0] = -5
        model.layers[1].w *= 0
        hidden = np.maximum(X @ first.w + first.b, 0)
        assert first.b.tolist() == [-5, 1, 2, 3, 4, 5]
        assert_same_bits(model.predict(X), hidden @ np.zeros((6, 3), "float32") + model.layers[1].b)
        model.fit(X, Y, verbose=0)
        model.set_weights(new)


def test_weights_that_do_not_fit():
    model = model_of()
    weights = model.get_weights()
    bad = [
        (weights[:3], "weights has 3 arrays; the model has 4"),
        ([*weights[:3], np.zeros(4)], r"weights\[3\] has shape \(4,\); dense_2.b has \(3,\)"),
        ([np.full((4, 6), "a"), *weights[1:]], r"weights\[0\] has dtype <U1"),
        ([np.full((4, 6), 1j), *weights[1:]], r"weights\[0\] has dtype complex128"),
    ]
    for values, message in bad:
        with pytest.raises((TypeError, ValueError), match=message):
            model.set_weights([w + 1 if w.dtype.kind == "f" else w for w in values])
        for got, want in zip(model.get_weights(), weights, strict=True):
            assert_same_bits(got, want)
    with pytest.raises(ValueError, match=r"dense_1.w is given shape \(6, 4\); it must be \(4, 6\)"):
        model.layers[0].w = np.zeros((6, 4))


def test_before_there_are_weights():
    layer = Dense(3)
    for name in ("w", "b", "dw", "db", "y", "dy"):
        with pytest.raises(AttributeError, match=f"layer Dense has no {name} yet"):
            getattr(layer, name)
    assert not hasattr(model_of().layers[0], "y")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("glorot_uniform", lambda r: r.uniform(-((6 / 10) ** 0.5), (6 / 10) ** 0.5, (4, 6))),
        ("glorot_normal", lambda r: r.normal(0, (2 / 10) ** 0.5, (4, 6))),
        ("he_uniform", lambda r: r.uniform(-((6 / 4) ** 0.5), (6 / 4) ** 0.5, (4, 6))),
        ("he_normal", lambda r: r.normal(0, (2 / 4) ** 0.5, (4, 6))),
        ("zeros", lambda r: np.zeros((4, 6))),
    ],
)
def test_initial_weights(name, expected):
    model = Sequential([Dense(6, kernel_initializer=name)], input_shape=4, seed=3)
    assert_same_bits(model.layers[0].w, expected(np.random.default_rng(3)).astype("float32"))
    assert not model.layers[0].b.any()
    assert initializers.get(initializers.get(name)) is not None


def test_initial_weights_by_seed():
    a, b, c = (model_of(seed=s).get_weights()[0] for s in (5, 5, 6))
    assert_same_bits(a, b)
    assert (a != c).any()
    assert_same_bits(model_of(seed=np.random.default_rng(5)).get_weights()[0], a)
    assert (model_of(seed=None).get_weights()[0] != model_of(seed=None).get_weights()[0]).any()


# --------------------------------------------------------------------------------------- compile
@pytest.mark.parametrize(
    ("alias", "kind"),
    [
        ("mse", losses.MeanSquaredError), ("mean_squared_error", losses.MeanSquaredError),
        ("binary_crossentropy", losses.BinaryCrossEntropy),
        ("categorical_crossentropy", losses.CategoricalCrossEntropy),
        ("sparse_categorical_crossentropy", losses.SparseCategoricalCrossEntropy),
        ("SparseCategoricalCrossEntropy", losses.SparseCategoricalCrossEntropy),
    ],
)  # fmt: skip
def test_aliases(alias, kind):
    model = model_of(optimizer="sgd", loss=alias)
    assert type(model.loss_function) is kind and type(model.optimizer) is optimizers.SGD
    assert repr(model_of(optimizer="adam").optimizer) == "Adam(lr=0.001, beta1=0.9, beta2=0.999, eps=1e-08)"
    assert repr(model_of(optimizer="SGD").optimizer) == "SGD(lr=0.01, momentum=0.0, nesterov=False)"


@pytest.mark.parametrize(
    ("last", "loss", "from_logits"),
    [
        ("softmax", "sparse_categorical_crossentropy", False), (None, "sparse_categorical_crossentropy", True),
        ("softmax", "categorical_crossentropy", False), ("relu", "categorical_crossentropy", True),
        ("sigmoid", "binary_crossentropy", False), (None, "binary_crossentropy", True),
        ("softmax", "binary_crossentropy", False), ("hard_sigmoid", "binary_crossentropy", False),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.* takes")
def test_the_last_activation_decides_what_the_loss_takes(last, loss, from_logits):
    inside = Sequential([Dense(3, activation=last)], input_shape=4)
    after = Sequential([Dense(3), Activation(last)], input_shape=4)
    within = [Flatten(), Activation(None), Dropout(0.5), Reshape(3)]
    between = Sequential([Dense(3, activation=last), *within], input_shape=4)
    for model in (inside, after, between):
        model.compile("sgd", loss, backend="numpy")
        assert model.loss_function.from_logits is from_logits
    # said is said
    said = type(losses.get(loss))(from_logits=not from_logits)
    inside.compile("sgd", said, backend="numpy")
    assert inside.loss_function.from_logits is not from_logits


@pytest.mark.parametrize(
    ("last", "loss", "message"),
    [
        ("softmax", losses.SparseCategoricalCrossEntropy(True),
         "SparseCategoricalCrossEntropy takes logits, but the outputs are a softmax's: leave away from_logits=True"),
        ("sigmoid", losses.BinaryCrossEntropy(True), "leave away from_logits=True or the sigmoid$"),
        ("softmax", losses.BinaryCrossEntropy(True), "leave away from_logits=True or the softmax$"),
        ("sigmoid", losses.CategoricalCrossEntropy(), "a sigmoid's: end the model with activation='softmax' or None$"),
        (None, losses.CategoricalCrossEntropy(False), "takes probabilities, but the outputs are linear: leave away"),
        ("sigmoid", losses.SparseCategoricalCrossEntropy(False), "a sigmoid's: leave away from_logits=False or end"),
        ("tanh", losses.BinaryCrossEntropy(False), "a tanh's: .* or end the model with activation='sigmoid'$"),
        ("log_softmax", losses.KLDivergence(), "a log_softmax's: end the model with activation='softmax'$"),
        ("sigmoid", losses.KLDivergence(), None),
        ("relu", losses.CategoricalCrossEntropy(), None),
        ("tanh", losses.BinaryCrossEntropy(True), None),
        ("sigmoid", losses.MeanSquaredError(), None),
        (None, losses.Poisson(), None),
        ("half", losses.BinaryCrossEntropy(False), None),  # of which nothing is known
        ("half", losses.BinaryCrossEntropy(True), None),
    ],
)  # fmt: skip
def test_outputs_that_are_not_what_the_loss_takes(last, loss, message):
    fastbp.custom.activation(lambda x: 0.5 + 0 * x, name="half")
    for tail in ([], [Flatten(), Activation("linear")]):
        model = Sequential([Dense(3, activation=last), *tail])
        said = told(lambda model=model: model.compile("sgd", loss, backend="numpy"))
        assert len(said) == (message is not None)
        assert message is None or re.search(message, said[0])
        # once: nothing more is known when the model is built
        assert not told(lambda model=model: model.build(4))


def test_dropout_of_probabilities():
    model = Sequential([Dense(3, activation="softmax"), Dropout(0.5), Flatten()], input_shape=4)
    said = told(lambda: model.compile("sgd", "sparse_categorical_crossentropy"))
    assert len(said) == 1 and said[0].startswith("layer dropout_1 comes after the last activation: in training the out")
    for loss in ("mse", losses.SparseCategoricalCrossEntropy(True)):
        assert not any("dropout" in message for message in told(lambda loss=loss: model.compile("sgd", loss)))


@pytest.mark.parametrize("built", [False, True])
def test_one_output_for_many_classes(built):
    softmax = "layer dense_1 is a softmax of one unit, which is always the same: use activation='sigmoid', or a unit"
    one = "the model has one output, and CategoricalCrossEntropy wants one for each class: for two classes take a loss"
    for layers, loss, message in (
        ([Dense(1, "softmax")], "mse", softmax),
        ([Dense(1), Activation("softmax")], "binary_crossentropy", softmax.replace("dense", "activation")),
        ([Dense(1, "softmax"), Dense(3)], "mse", softmax),
        ([Dense(1, "softmax")], "categorical_crossentropy", softmax),
        ([Dense(1)], "categorical_crossentropy", one),
        ([Dense(1)], "sparse_categorical_crossentropy", one.replace("Cat", "SparseCat")),
        ([Dense(1)], "categorical_hinge", one.replace("CrossEntropy", "Hinge")),
        ([Dense(1)], "binary_crossentropy", None),
        ([Dense(2, "softmax"), Dense(1, "sigmoid")], "binary_crossentropy", None),
    ):
        model = Sequential(layers, input_shape=4 if built else None)
        said = told(lambda model=model, loss=loss: model.compile("sgd", loss, backend="numpy"))
        later = told(lambda model=model: model.build(4))
        assert len(said) == (built and message is not None) and not (built and later)
        assert message is None or (said + later)[0].startswith(message)


@every_backend
def test_dtype(backend):
    for dtype in ("float32", "float64", np.float32, np.dtype("f8"), float):
        model = model_of(backend, dtype=dtype)
        name = np.dtype(dtype).name
        assert model.dtype == name and model.predict(X).dtype == name
        assert {w.dtype.name for w in model.get_weights()} == {name}
    # built before it was compiled: converted, and the layers see the new arrays
    model = Sequential([Dense(3)], input_shape=4, seed=0)
    narrow = model.get_weights()
    model.compile("adam", "mse", backend=backend, dtype="float64")
    assert_same_bits(model.get_weights()[0], narrow[0].astype("float64"))
    model.layers[0].w[...] = 0
    assert not model.predict(X).any()


def test_compile_again_forgets_the_state_and_keeps_the_weights():
    model = model_of()
    model.fit(X, Y, verbose=0)
    weights = model.get_weights()
    model.compile(optimizers.SGD(lr=0.1, momentum=0.9), "sparse_categorical_crossentropy", backend="numpy")
    for got, want in zip(model.get_weights(), weights, strict=True):
        assert_same_bits(got, want)
    model.fit(X, Y, verbose=0)
    assert set(model.optimizer.get_state()) == {"velocity", "step"}


@every_backend
def test_the_learning_rate_may_change_between_steps(backend):
    model, other = model_of(backend, "sgd"), model_of(backend, "sgd")
    before = model.get_weights()
    model.train_on_batch(X, Y)
    dw = model.layers[0].dw.copy()
    assert_same_bits(model.layers[0].w, before[0] - np.float32(0.01) * dw)
    before = model.get_weights()
    model.optimizer.lr = 0.5
    model.train_on_batch(X, Y)
    assert_same_bits(model.layers[0].w, before[0] - np.float32(0.5) * model.layers[0].dw)
    assert other.optimizer.lr == 0.01


# ------------------------------------------------------------------------------------------- fit
@every_backend
def test_fit_is_reproducible_and_shuffles_by_permutation(backend):
    first, second, other = model_of(backend), model_of(backend), model_of(backend)
    for model, seed in ((first, 3), (second, np.random.default_rng(3)), (other, 4)):
        model.fit(X, Y, batch_size=16, epochs=3, seed=seed, verbose=0)
    assert_same_state(first, second)
    assert_same_bits(first.batch_losses, second.batch_losses)
    assert (first.batch_losses != other.batch_losses).any()
    replay, rng, got = model_of(backend), np.random.default_rng(3), []
    for _ in range(3):
        order = rng.permutation(70)
        got += [replay.train_on_batch(X[order[s : s + 16]], Y[order[s : s + 16]]) for s in range(0, 70, 16)]
    assert_same_bits(first.batch_losses, np.array(got, "float32"))
    assert_same_state(first, replay)


def test_the_seed_of_fit_draws_the_weights_of_a_model_without():
    models = []
    for _ in range(2):
        model = Sequential([Dense(6), Dense(3)])
        model.compile("adam", "sparse_categorical_crossentropy", backend="numpy")
        model.fit(X, Y, seed=11, verbose=0)
        models.append(model)
    assert_same_state(*models)
    own = Sequential([Dense(6), Dense(3)], seed=1)
    own.compile("adam", "sparse_categorical_crossentropy", backend="numpy")
    own.fit(X, Y, seed=11, verbose=0)
    assert (own.get_weights()[0] != models[0].get_weights()[0]).any()


@every_backend
def test_fit_again_continues(backend):
    once, twice = model_of(backend), model_of(backend)
    rng = np.random.default_rng(0)
    once.fit(X, Y, batch_size=16, epochs=5, seed=np.random.default_rng(0), verbose=0)
    twice.fit(X, Y, batch_size=16, epochs=2, seed=rng, verbose=0)
    twice.predict(X)
    twice.evaluate(X[:9], Y[:9])
    twice.fit(X, Y, batch_size=16, epochs=3, seed=rng, verbose=0)
    assert_same_state(once, twice)


@every_backend
def test_sizes_of_batches_and_data_may_change(backend):
    """Larger and smaller, by every way in; a model that did each alone knows the bits."""
    model, replay = model_of(backend), model_of("numpy")
    for rows, batch in ((10, 4), (70, 70), (70, 1000), (7, 2), (70, 33), (1, 1)):
        for m in (model, replay):
            m.fit(X[:rows], Y[:rows], batch_size=batch, seed=rows, verbose=0)
        assert_same_state(model, replay)
        for m in (model, replay):
            m.train_on_batch(X[: batch % 60 + 1], Y[: batch % 60 + 1])
            m.forward(X[:rows])
            m.loss(Y[:rows])
            m.backward()
            m.update()
        assert_same_state(model, replay)
        assert_same_bits(model.predict(X[:rows]), replay.predict(X[:rows]))
        assert model.evaluate(X[:rows], Y[:rows], batch_size=batch) == replay.evaluate(X[:rows], Y[:rows], batch)


def test_history():
    model = model_of(metrics=["accuracy"])
    history = model.fit(X, Y, epochs=4, verbose=0, validation_data=(X[:9], Y[:9]))
    assert history is model.history and history.epoch == [0, 1, 2, 3]
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert all(len(v) == 4 and all(type(n) is float for n in v) for v in history.history.values())
    result = model.evaluate(X[:9], Y[:9])
    assert result == {"loss": history.history["val_loss"][-1], "accuracy": history.history["val_accuracy"][-1]}
    assert model.batch_losses.shape == (4 * 3,)
    again = model.fit(X, Y, verbose=0)
    assert again is not history and len(again.history["loss"]) == 1 and len(history.history["loss"]) == 4


@every_backend
def test_validation_changes_nothing(backend):
    with_it, without = model_of(backend), model_of(backend)
    with_it.fit(X, Y, epochs=3, seed=0, verbose=0, validation_data=(X[:50], Y[:50]))
    without.fit(X, Y, epochs=3, seed=0, verbose=0)
    assert_same_state(with_it, without)


def test_history_on_disk(tmp_path):
    history = model_of().fit(X, Y, epochs=2, verbose=0)
    history.save(tmp_path / "h.json")
    assert load_history(tmp_path / "h.json") == history.history


def test_sum_and_mean():
    mean, total = (model_of(loss=losses.SparseCategoricalCrossEntropy(reduction=r)) for r in ("mean", "sum"))
    # both are float32 numbers, which the history holds as doubles
    assert mean.evaluate(X, Y)["loss"] == float(np.float32(total.evaluate(X, Y)["loss"]) / 70)
    parts = [total.evaluate(X[s : s + 16], Y[s : s + 16])["loss"] for s in range(0, 70, 16)]
    assert total.evaluate(X, Y, batch_size=16)["loss"] == float(np.array(parts).sum())


class Log(Callback):
    """Notes every hook; stops where it is told."""

    def __init__(self, stop_after=None, fail_in=None):
        self.seen, self.stop_after, self.fail_in = [], stop_after, fail_in

    def note(self, hook, *values):
        self.seen.append((hook, *values))
        if hook == self.fail_in:
            raise ZeroDivisionError(hook)

    def on_train_begin(self):
        self.note("on_train_begin")

    def on_epoch_begin(self, epoch):
        self.note("on_epoch_begin", epoch)

    def on_epoch_end(self, epoch, logs):
        self.note("on_epoch_end", epoch, sorted(logs))
        if epoch == self.stop_after:
            self.model.stop_training = True

    def on_train_end(self):
        self.note("on_train_end")


@every_backend
def test_callbacks(backend):
    log, model = Log(), model_of(backend)
    model.fit(X, Y, batch_size=16, epochs=2, seed=5, verbose=0, callbacks=[log], validation_data=(X, Y))
    end = ["loss", "val_loss"]
    assert log.seen == [
        ("on_train_begin",), ("on_epoch_begin", 0), ("on_epoch_end", 0, end), ("on_epoch_begin", 1),
        ("on_epoch_end", 1, end), ("on_train_end",),
    ]  # fmt: skip
    metrics = ["loss", "val_loss"]
    want = {"initial_epoch": 0, "epochs": 2, "steps": 5, "rows": 70, "batch_size": 16, "seed": 5, "metrics": metrics}
    want["more"] = True
    assert log.model is model and log.params == want


@every_backend
def test_stop_training(backend):
    model, short = model_of(backend), model_of(backend)
    history = model.fit(X, Y, epochs=50, seed=0, verbose=0, callbacks=[Log(stop_after=2)])
    assert history.epoch == [0, 1, 2]
    short.fit(X, Y, epochs=3, seed=0, verbose=0)
    assert_same_state(model, short)
    assert len(model.fit(X, Y, epochs=4, verbose=0).epoch) == 4, "the wish to stop is gone with the next fit"


@every_backend
@pytest.mark.parametrize("hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end"])
def test_a_callback_that_raises(backend, hook):
    model, log, other = model_of(backend), Log(fail_in=hook), Log()
    with pytest.raises(ZeroDivisionError, match=hook):
        model.fit(X, Y, epochs=2, seed=0, verbose=0, callbacks=[other, log])
    assert other.seen[-1] == ("on_train_end",)
    model.fit(X, Y, epochs=2, seed=0, verbose=0)
    assert np.isfinite(model.evaluate(X, Y)["loss"])


@pytest.mark.parametrize("without_tqdm", [False, True])
def test_progress_bar(capsys, monkeypatch, without_tqdm):
    if without_tqdm:
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm")
    model_of(metrics=["accuracy"]).fit(X, Y, epochs=2, verbose=1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "epoch 2/2" in captured.err and "loss" in captured.err and "accuracy" in captured.err
    model_of().fit(X, Y, verbose=0)
    assert capsys.readouterr() == ("", "")


# ------------------------------------------------------------------------------ the steps by hand
@every_backend
def test_steps_by_hand_in_the_wrong_order(backend):
    model = model_of(backend)
    with pytest.raises(RuntimeError, match=r"loss\(\) needs the output of forward\(x\)"):
        model.loss(Y)
    with pytest.raises(RuntimeError, match=r"backward\(\) needs a loss"):
        model.backward()
    model.forward(X)
    with pytest.raises(RuntimeError, match=r"backward\(\) needs a loss"):
        model.backward()
    model.loss(Y)
    with pytest.raises(RuntimeError, match=r"update\(\) needs gradients"):
        model.update()
    model.backward()
    model.update()
    with pytest.raises(RuntimeError, match=r"update\(\) needs gradients"):
        model.update()
    with pytest.raises(ValueError, match="y_true has 9 rows and x has 70"):
        model.forward(X)
        model.loss(Y[:9])


@every_backend
def test_what_forward_returns_is_the_users(backend):
    model = model_of(backend)
    y = model.forward(X)
    kept = y.copy()
    y[...] = 0
    assert_same_bits(model.layers[-1].y, kept)
    model.forward(X[:5])
    assert y.shape == (70, 3) and not y.any()
    first = model.predict(X)
    kept = first.copy()
    model.predict(X + 1)
    assert_same_bits(first, kept, "a later prediction writes elsewhere")


# ----------------------------------------------------------------------------------------- files
@every_backend
@pytest.mark.parametrize(
    "optimizer", [lambda: optimizers.Adam(lr=0.01), lambda: optimizers.SGD(0.1, 0.9, True), lambda: optimizers.SGD(0.1)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_training_goes_on_after_load_as_if_uninterrupted(backend, optimizer, dtype, tmp_path):
    path = tmp_path / "model.npz"
    model = model_of(backend, optimizer(), metrics=["accuracy"], dtype=dtype)
    model.fit(X, Y, batch_size=16, epochs=3, seed=1, verbose=0)
    model.save(path)
    loaded = load_model(path)
    assert_same_state(model, loaded)
    assert (loaded.dtype, loaded.backend, loaded.metric_names) == (dtype, backend, ["accuracy"])
    assert repr(loaded.optimizer) == repr(model.optimizer)
    assert repr(loaded.loss_function) == repr(model.loss_function)
    assert_same_bits(loaded.predict(X), model.predict(X))
    histories = [m.fit(X, Y, batch_size=16, epochs=3, seed=2, verbose=0).history for m in (model, loaded)]
    assert histories[0] == histories[1]
    assert_same_state(model, loaded)
    # the same content gives the same bytes
    loaded.save(tmp_path / "again.npz")
    model.save(path)
    assert path.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_every_layer_and_option_survives(tmp_path):
    layers = [
        Dense(5, activation="tanh", kernel_initializer="he_normal", name="first"), Activation("sigmoid"),
        Dense(3, use_bias=False), Activation("softmax", name="last"),
    ]  # fmt: skip
    model = Sequential(layers, input_shape=4, seed=0)
    model.save(tmp_path / "m.npz")
    loaded = load_model(tmp_path / "m.npz")
    assert [layer.get_config() for layer in loaded.layers] == [layer.get_config() for layer in layers]
    assert loaded.input_shape == (4,)
    assert_same_bits(loaded.predict(X), model.predict(X))
    with pytest.raises(RuntimeError, match="not compiled"):
        loaded.fit(X, Y)
    model.compile("adam", losses.CategoricalCrossEntropy(reduction="sum"), backend="numpy")
    model.save(tmp_path / "m.npz")
    assert repr(load_model(tmp_path / "m.npz").loss_function) == repr(model.loss_function)


def put(config, **changes):
    return {**config, **changes}


def layer_with(config, **changes):
    kind, options = config["layers"][0]
    return put(config, layers=[[kind, {**options, **changes}], *config["layers"][1:]])


HOSTILE = {
    "units of 10**12": lambda c, a: (layer_with(c, units=10**12), a),
    "units of 10**30": lambda c, a: (layer_with(c, units=10**30), a),
    "negative units": lambda c, a: (layer_with(c, units=-6), a),
    "units as text": lambda c, a: (layer_with(c, units="6"), a),
    "other units": lambda c, a: (layer_with(c, units=7), a),
    "unknown option": lambda c, a: (layer_with(c, run="rm"), a),
    "unknown activation": lambda c, a: (layer_with(c, activation="rellu"), a),
    "activation as list": lambda c, a: (layer_with(c, activation=["relu"]), a),
    "unknown initializer": lambda c, a: (layer_with(c, kernel_initializer="os.system"), a),
    "initializer as list": lambda c, a: (layer_with(c, kernel_initializer=[]), a),
    "name of another kind": lambda c, a: (layer_with(c, name=["x"]), a),
    "unknown layer": lambda c, a: (put(c, layers=[["Lambda", {}]]), a),
    "layer of another kind": lambda c, a: (put(c, layers=[[["Dense"], {}]]), a),
    "layers as number": lambda c, a: (put(c, layers=5), a),
    "layers as text": lambda c, a: (put(c, layers="ab"), a),
    "no layers": lambda c, a: (put(c, layers=[]), a),
    "layers missing": lambda c, a: ({k: v for k, v in c.items() if k != "layers"}, a),
    "names twice": lambda c, a: (put(c, layers=[["Dense", {"units": 3, "name": "a"}]] * 2), a),
    "input of 10**15": lambda c, a: (put(c, input_shape=[10**15]), a),
    "input of 0": lambda c, a: (put(c, input_shape=[0]), a),
    "input of text": lambda c, a: (put(c, input_shape=["four"]), a),
    "input of other features": lambda c, a: (put(c, input_shape=[4, 5]), a),
    "input as number": lambda c, a: (put(c, input_shape=4), a),
    "input missing": lambda c, a: ({k: v for k, v in c.items() if k != "input_shape"}, a),
    "dtype int8": lambda c, a: (put(c, dtype="int8"), a),
    "dtype object": lambda c, a: (put(c, dtype="O"), a),
    "dtype as list": lambda c, a: (put(c, dtype=["float32"]), a),
    "other dtype": lambda c, a: (put(c, dtype="float64"), a),
    "unknown loss": lambda c, a: (put(c, loss=["Loss9", {}]), a),
    "loss as text": lambda c, a: (put(c, loss="mse"), a),
    "loss with options": lambda c, a: (put(c, loss=["MeanSquaredError", {"reduction": "none"}]), a),
    "unknown optimizer": lambda c, a: (put(c, optimizer=["Lion", {}]), a),
    "negative lr": lambda c, a: (put(c, optimizer=["Adam", {"lr": -1}]), a),
    "optimizer missing": lambda c, a: ({k: v for k, v in c.items() if k != "optimizer"}, a),
    "other optimizer": lambda c, a: (put(c, optimizer=["SGD", {"lr": 0.1}]), a),
    "unknown metric": lambda c, a: (put(c, metrics=["f1"]), a),
    "metrics as number": lambda c, a: (put(c, metrics=5), a),
    "metrics of lists": lambda c, a: (put(c, metrics=[["accuracy"]]), a),
    "unknown backend": lambda c, a: (put(c, backend="cuda"), a),
    "backend as list": lambda c, a: (put(c, backend=["numpy"]), a),
    "no parameters": lambda c, a: (c, {k: v for k, v in a.items() if k != "parameters"}),
    "too few parameters": lambda c, a: (c, {**a, "parameters": a["parameters"][:-1]}),
    "parameters of two dimensions": lambda c, a: (c, {**a, "parameters": a["parameters"][None]}),
    "parameters of int": lambda c, a: (c, {**a, "parameters": a["parameters"].astype("int32")}),
    "state too short": lambda c, a: (c, {**a, "optimizer.m": a["optimizer.m"][:-1]}),
    "state of other dtype": lambda c, a: (c, {**a, "optimizer.m": a["optimizer.m"].astype("float64")}),
    "state missing": lambda c, a: (c, {k: v for k, v in a.items() if k != "optimizer.v"}),
    "state too much": lambda c, a: (c, {**a, "optimizer.z": a["optimizer.m"]}),
    "array too much": lambda c, a: (c, {**a, "extra": a["parameters"]}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_models_are_refused(case, tmp_path):
    path = tmp_path / "m.npz"
    model = model_of()
    model.fit(X, Y, verbose=0)
    model.save(path)
    config, arrays = load_arrays(path)
    load_model(path)
    config, arrays = HOSTILE[case](json.loads(json.dumps(config)), arrays)
    save_arrays(path, config, arrays)
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=r"m\.npz"):
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6, "memory was taken for what the file only claims"
    finally:
        tracemalloc.stop()


def test_a_refusal_says_why(tmp_path):
    path = tmp_path / "m.npz"
    model_of().save(path)
    config, arrays = load_arrays(path)
    save_arrays(path, layer_with(config, units=10**12), arrays)
    with pytest.raises(FileFormatError, match=r"parameters are float32 \(51,\)"):
        load_model(path)
    save_arrays(path, put(config, layers=[["Lambda", {}]]), arrays)
    with pytest.raises(FileFormatError, match="no layer 'Lambda'"):
        load_model(path)
    path.write_bytes(b"PK not a zip")
    with pytest.raises(FileFormatError, match=r"m\.npz"):
        load_model(path)
    with pytest.raises(FileNotFoundError):
        load_model(tmp_path / "nowhere.npz")


def test_version_is_a_string():
    assert fastbp.__version__.count(".") >= 1


def test_layers_do_not_share_an_activation_object():
    relu = Activation("relu")
    model = Sequential([Dense(3, activation=relu), Dense(2, activation=relu)], input_shape=4)
    assert [layer.activation.name for layer in model.layers] == ["dense_1.relu", "dense_2.relu"]


# ------------------------------------------------------------------------------------------- seeds
def dropping(**options):
    layers = [Dense(6, activation="relu"), fastbp.Dropout(0.5), Dense(3)]
    model = Sequential(layers, **options)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_a_run_without_a_seed_can_be_repeated(tmp_path):
    one = dropping()
    history = one.fit(X, Y, epochs=3, verbose=0, checkpoint=tmp_path / "run.npz")
    seed = history.params["seed"]
    assert isinstance(seed, int) and one.fit_seed == one.seed == seed
    two, three = dropping(), dropping()
    two.fit(X, Y, epochs=3, verbose=0, seed=seed)
    assert_same_state(one, two)
    three.fit(X, Y, epochs=3, verbose=0)
    assert three.fit_seed != seed and (three.get_weights()[0] != one.get_weights()[0]).any()
    # weights that were drawn before fit have a seed of their own
    built = dropping(input_shape=4)
    assert isinstance(built.seed, int)
    assert_same_bits(built.get_weights()[0], dropping(input_shape=4, seed=built.seed).get_weights()[0])
    # a file says both, and a run that goes on keeps its own
    one.save(tmp_path / "model.npz")
    for name in ("model.npz", "run.npz"):
        loaded = load_model(tmp_path / name)
        assert (loaded.seed, loaded.fit_seed) == (seed, seed)
    again = dropping()
    assert again.fit(X, Y, epochs=4, verbose=0, checkpoint=tmp_path / "run.npz").params["seed"] == seed
    assert again.seed == again.fit_seed == seed
    two.fit(X, Y, epochs=4, initial_epoch=3, seed=5, verbose=0)
    assert two.fit_seed == 5


def test_a_generator_of_the_callers_is_no_seed(tmp_path):
    model = dropping(seed=np.random.default_rng(0))
    assert model.fit(X, Y, verbose=0, seed=np.random.default_rng(1)).params["seed"] is None
    model.save(tmp_path / "m.npz")
    assert load_model(tmp_path / "m.npz").fit_seed is None


# ------------------------------------------------------------------------------ what may not be set
@pytest.mark.parametrize(
    "name",
    ["dtype", "backend", "numerics", "optimizer", "loss_function", "metrics", "layout", "program", "input_shape"],
)
def test_what_compile_decides_is_not_set(name):
    model = model_of()
    want = model.predict(X)
    with pytest.raises(AttributeError, match=name):
        setattr(model, name, "float64")
    assert_same_bits(model.predict(X), want)
    model.metrics.append("accuracy")
    assert model.metrics == []


@every_backend
def test_forward_keeps_what_it_was_given(backend):
    model, x = model_of(backend), X[:32].copy()
    found = []
    for spoil in (False, True):
        model.forward(x)
        if spoil:
            x[:] = 0
        model.loss(Y[:32])
        model.backward()
        found.append([layer.dw.copy() for layer in model.layers])
    for a, b in zip(*found, strict=True):
        assert_same_bits(a, b)


def test_training_in_between_ends_the_four_steps():
    model = model_of()
    for train in (lambda: model.train_on_batch(X, Y), lambda: model.fit(X, Y, verbose=0)):
        model.forward(X)
        model.loss(Y)
        model.backward()
        train()
        with pytest.raises(RuntimeError, match=r"update\(\) needs gradients"):
            model.update()
