"""Moving averages of the parameters: the bits of a plain NumPy script, and predictions with them."""

import copy
import pickle
import threading

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import BatchNorm, Dense, Sequential, optimizers

ALL = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL)
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


def data(n=24, dtype="float32"):
    rng = np.random.default_rng(4)
    return rng.standard_normal((n, 4)).astype(dtype), rng.standard_normal((n, 2)).astype(dtype)


def model_of(optimizer, backend="cython", numerics="numpy", dtype="float32", **options):
    layers = [Dense(5, "tanh", bias_initializer="ones", **options), Dense(3), Dense(2)]
    model = Sequential(layers, input_shape=4, seed=3)
    model.compile(optimizer, "mse", backend=backend, numerics=numerics, dtype=dtype)
    return model


def flat(model):
    """Return all parameters as the averages are: a flat array."""
    return np.concatenate([a.reshape(-1) for layer in model.layers for a in (layer.w, layer.b)])


def state_of(model):
    arrays = [*model.get_weights(), *(value for _, value in sorted(model.optimizer.get_state().items()))]
    return b"".join(array.tobytes() for array in arrays)


def with_averages(model):
    """Return a model that has the averages as its weights."""
    twin = model.clone()
    twin.set_weights(model.get_weights(weights="ema"))
    return twin


# --------------------------------------------------------------------------- bits
@every_backend
@every_numerics
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_averages_have_the_bits_of_an_expression(backend, numerics, dtype, momentum):
    x, y = data(dtype=dtype)
    model = model_of(optimizers.Adam(0.05, use_ema=True, ema_momentum=momentum), backend, numerics, dtype)
    plain = model_of(optimizers.Adam(0.05), backend, numerics, dtype)
    assert model.optimizer.averages is None
    want = np.zeros(flat(model).shape, dtype)
    for k in range(5):
        model.train_on_batch(x[4 * k : 4 * k + 4], y[4 * k : 4 * k + 4])
        plain.train_on_batch(x[4 * k : 4 * k + 4], y[4 * k : 4 * k + 4])
        m = momentum if k else 0.0
        want = m * want + (1 - m) * flat(plain)
        assert_same_bits(model.optimizer.averages, want)
        assert_same_bits(flat(model), flat(plain))
        if k == 0:
            assert (want == flat(plain)).all()


@every_backend
@every_numerics
@pytest.mark.parametrize("frequency", [1, 2, 3])
def test_they_take_the_place_of_the_parameters(backend, numerics, frequency):
    """By a script with the gradients of a twin, in `fit` and step by step."""
    x, y = data()
    given = {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": frequency}
    fitted, stepped = (model_of(optimizers.SGD(0.1, **given), backend, numerics) for _ in range(2))
    twin = model_of("sgd", backend, numerics)
    twin.set_weights(fitted.get_weights())
    average = 0 * flat(twin)
    for k in range(6):
        rows = slice(4 * k, 4 * k + 4)
        for model in (twin, stepped):
            model.forward(x[rows])
            model.loss(y[rows])
            model.backward()
        stepped.update()
        dw = np.concatenate([a.reshape(-1) for layer in twin.layers for a in (layer.dw, layer.db)])
        w = flat(twin) - np.float32(0.1) * dw
        m = 0.5 if k else 0.0
        average = m * average + (1 - m) * w
        w = average if (k + 1) % frequency == 0 else w
        at = 0
        for layer in twin.layers:
            for array in (layer.w, layer.b):
                array[...] = w[at : at + array.size].reshape(array.shape)
                at += array.size
        assert_same_bits(flat(stepped), w)
        assert_same_bits(stepped.optimizer.averages, average)
    fitted.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    assert state_of(fitted) == state_of(stepped)


@every_backend
def test_constraints_come_first_and_rates_of_layers_do_not_matter(backend):
    x, y = data()
    model = model_of(
        optimizers.SGD(0.5, use_ema=True, ema_momentum=0.8), backend, kernel_constraint="non_neg"
    )
    model.layers[1].lr_factor = 0.25
    want = None
    for k in range(4):
        model.train_on_batch(x, y)
        m = 0.8 if k else 0.0
        want = m * (0 * flat(model) if want is None else want) + (1 - m) * flat(model)
    assert_same_bits(model.optimizer.averages, want)
    assert (model.optimizer.averages[: model.layers[0].w.size] >= 0).all()


@every_backend
@pytest.mark.parametrize("frequency", [None, 2])
def test_layers_that_are_not_trained_stay_as_they_are(backend, frequency):
    x, y = data()
    model = model_of(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=frequency), backend)
    model.layers[1].trainable = False
    frozen = model.layers[1].w.copy()
    for _ in range(5):
        model.train_on_batch(x, y)
    start = model.layers[0].w.size + model.layers[0].b.size
    assert_same_bits(model.optimizer.averages[start : start + frozen.size].reshape(frozen.shape), frozen)
    assert_same_bits(model.layers[1].w, frozen)
    # what is frozen later keeps the average that it had
    average = model.optimizer.averages.copy()
    model.layers[0].trainable = False
    model.train_on_batch(x, y)
    assert_same_bits(model.optimizer.averages[:start], average[:start])
    assert not (model.optimizer.averages[start + 18 :] == average[start + 18 :]).all()


@every_backend
def test_they_count_updates_where_gradients_accumulate(backend):
    x, y = data()
    given = {"use_ema": True, "ema_momentum": 0.6, "gradient_accumulation_steps": 3}
    model = model_of(optimizers.SGD(0.1, **given), backend)
    want, seen = 0 * flat(model), 0
    for k in range(0, 24, 4):
        model.train_on_batch(x[k : k + 4], y[k : k + 4])
        if k in (8, 20):
            m = 0.6 if seen else 0.0
            want, seen = m * want + (1 - m) * flat(model), seen + 1
            assert_same_bits(model.optimizer.averages, want)
        elif k < 8:
            assert model.optimizer.averages is None
    assert (model.optimizer.get_state()["ema_count"] == 2).all()


# --------------------------------------------------------------------------- predictions
@every_backend
@every_numerics
def test_predict_and_evaluate_with_averages(backend, numerics):
    x, y = data(60)
    model = model_of(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9), backend, numerics)
    assert_same_bits(model.predict(x, weights="ema"), model.predict(x))  # there are none yet
    model.fit(x, y, batch_size=8, epochs=3, seed=0, verbose=0)
    twin, before = with_averages(model), state_of(model)
    assert not (model.predict(x) == twin.predict(x)).any()
    for batch_size in (512, 7):
        assert_same_bits(model.predict(x, batch_size, weights="ema"), twin.predict(x, batch_size))
    assert_same_bits(model.predict(x.astype("float64"), weights="ema", verbose=0), twin.predict(x))
    assert_same_bits(model.predict(iter([x[:50], x[50:]]), weights="ema"), twin.predict(iter([x[:50], x[50:]])))
    for weight in (None, np.linspace(0, 2, 60)):
        found = model.evaluate(x, y, sample_weight=weight, weights="ema")
        assert float(found) == float(twin.evaluate(x, y, sample_weight=weight))
        assert float(found) != float(model.evaluate(x, y, sample_weight=weight))
    # again, after other calls took executors: these are apart
    assert_same_bits(model.predict(x, weights="ema"), twin.predict(x))
    assert state_of(model) == before
    model.train_on_batch(x, y)
    assert_same_bits(model.predict(x, weights="ema"), with_averages(model).predict(x))


def test_get_weights_returns_them():
    x, y = data()
    model = model_of(optimizers.Adam(0.05, use_ema=True))
    for array, want in zip(model.get_weights(weights="ema"), model.get_weights(), strict=True):
        assert_same_bits(array, want)
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    found = model.get_weights(weights="ema")
    assert_same_bits(np.concatenate([a.reshape(-1) for a in found]), model.optimizer.averages)
    found[0][...] = 0
    assert model.optimizer.averages[:20].all()
    with pytest.raises(ValueError, match="weights is 'ema' and there are no averages"):
        model_of("adam").get_weights(weights="ema")


def test_statistics_are_those_of_the_model():
    x, y = data()
    model = Sequential([Dense(3), BatchNorm(), Dense(2)], input_shape=4, seed=0)
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")
    model.fit(x, y, batch_size=8, epochs=2, verbose=0, seed=0)
    _, _, gamma, beta, _, _ = np.split(model.optimizer.averages, np.cumsum([12, 3, 3, 3, 6]))
    norm = model.layers[1]
    weights = model.get_weights(weights="ema")
    for k, array in ((2, gamma), (3, beta), (4, norm.moving_mean), (5, norm.moving_variance)):
        assert_same_bits(weights[k], array.copy())
    assert_same_bits(model.predict(x, weights="ema"), with_averages(model).predict(x))


@every_backend
def test_many_threads_at_a_time(backend):
    x, y = data(40)
    model = model_of(optimizers.Adam(0.05, use_ema=True, ema_momentum=0.9), backend)
    model.fit(x, y, batch_size=8, epochs=3, seed=0, verbose=0)
    want = {None: model.predict(x), "ema": with_averages(model).predict(x)}
    wrong = []

    def work(weights):
        for _ in range(50):
            if not (model.predict(x, 16, weights=weights) == want[weights]).all():
                wrong.append(weights)

    threads = [threading.Thread(target=work, args=(weights,)) for weights in (None, "ema") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_within_fit():
    """A callback may ask for both after every epoch; what it asks changes nothing."""
    x, y = data(40)
    found = []

    class Both(fastbp.Callback):
        def on_epoch_end(self, epoch, logs=None):
            same = self.model.predict(x, weights="ema") == with_averages(self.model).predict(x)
            found.append(bool(same.all()))
            logs["ema_loss"] = float(self.model.evaluate(x, y, weights="ema"))

    model, plain = (model_of(optimizers.Adam(0.05, use_ema=True)) for _ in range(2))
    history = model.fit(x, y, batch_size=8, epochs=4, seed=0, verbose=0, callbacks=Both()).history
    plain.fit(x, y, batch_size=8, epochs=4, seed=0, verbose=0)
    assert found == [True] * 4 and len({*history["ema_loss"]}) == 4
    assert state_of(model) == state_of(plain)


def test_who_has_no_averages_says_so():
    x, y = data()
    for model, has in (
        (Sequential([Dense(2)], input_shape=4), "the model is not compiled"),
        (model_of("adam"), "Adam has use_ema=False"),
    ):
        before = model.get_weights()
        with pytest.raises(ValueError, match=f"weights is 'ema' and there are no averages: {has}; compile with Adam"):
            model.predict(x, weights="ema")
        for array, want in zip(model.get_weights(), before, strict=True):
            assert_same_bits(array, want)
    with pytest.raises(ValueError, match="there are no averages: Adam has use_ema=False"):
        model.evaluate(x, y, weights="ema")
    for call in (model.predict, lambda x, weights: model.evaluate(x, y, weights=weights)):
        with pytest.raises(ValueError, match="weights is 'EMA'; it must be None or 'ema'"):
            call(x, weights="EMA")


# --------------------------------------------------------------------------- copies, files, other runs
@every_backend
@pytest.mark.parametrize("frequency", [None, 4])
def test_copies_and_files_hold_them(backend, frequency, tmp_path):
    x, y = data()

    def go_on(model):
        for k in range(5):
            model.train_on_batch(x[k:], y[k:])
        return state_of(model), model.predict(x, weights="ema").tobytes()

    given = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": frequency}
    model = model_of(optimizers.Adam(0.05, **given), backend)
    model.fit(x, y, batch_size=5, epochs=2, seed=0, verbose=0)
    model.save(tmp_path / "model.npz")
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fastbp.load_model(tmp_path / "model.npz")]
    for twin in twins:
        assert_same_bits(twin.predict(x, weights="ema"), model.predict(x, weights="ema"))
    want = go_on(model)
    for twin in twins:
        assert go_on(twin) == want
    model.optimizer.reset()
    assert model.optimizer.averages is None
    assert_same_bits(model.predict(x, weights="ema"), model.predict(x))
    model.compile(model.optimizer, "mse", dtype="float64", backend=backend)
    model.train_on_batch(x, y)
    assert model.optimizer.averages.dtype == np.float64


@every_backend
def test_a_resumed_run_has_the_same_bits(backend, tmp_path):
    x, y = data(22)
    path = tmp_path / "run.npz"

    def run(epochs, checkpoint=None):
        given = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7}
        model = model_of(optimizers.Adam(0.05, **given), backend)
        model.fit(x, y, batch_size=4, epochs=epochs, seed=0, verbose=0, checkpoint=checkpoint)
        return model

    whole = run(6)
    run(2, path)
    assert state_of(run(6, path)) == state_of(whole)
    loaded = fastbp.load_model(path)
    assert_same_bits(loaded.predict(x, weights="ema"), whole.predict(x, weights="ema"))


@every_backend
def test_a_program_checks_itself(backend):
    x, y = data()
    given = {"use_ema": True, "ema_overwrite_frequency": 2, "clipnorm": 1.0}
    model = model_of(optimizers.Adam(0.05, **given), backend)
    model.layers[1].trainable = False
    model.train_on_batch(x, y)
    for _ in range(3):
        model.program.run(check="numpy")
    assert [call.kernel.name for call in model.program.calls].count("ema_overwrite") == 2
    assert {call.phase for call in model.program.calls} == {"gather", "forward", "loss", "backward", "update"}
