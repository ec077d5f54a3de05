"""Gradients of several batches become one update: the bits of a plain NumPy script, however the batches come."""

import copy
import itertools
import pickle
import signal

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits
from plain_numpy import SGD, Adam

import fastbp
from fastbp import BatchNorm, Dense, Dropout, Sequential, losses, optimizers, schedules

ALL = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL)
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])


def data(n=23, dtype="float32"):
    rng = np.random.default_rng(4)
    return rng.standard_normal((n, 4)).astype(dtype), rng.standard_normal((n, 2)).astype(dtype)


def model_of(optimizer, backend="cython", numerics="numpy", loss="mse", dtype="float32", **options):
    layers = [Dense(5, "tanh", bias_initializer="ones", **options), Dense(2)]
    model = Sequential(layers, input_shape=4, seed=3)
    model.compile(optimizer, loss, backend=backend, numerics=numerics, dtype=dtype)
    return model


def batches_of(x, y, size):
    return [(x[k : k + size], y[k : k + size]) for k in range(0, len(x), size)]


class Batches:
    """What `fit` takes as an iterable."""

    def __init__(self, *args):
        self.batches = batches_of(*args)

    def __iter__(self):
        return iter(self.batches)


def gradients_of(model, weights, x, y):
    """Return the gradients of a batch, at some weights, of a model without penalties."""
    model.set_weights(weights)
    model.forward(x)
    model.loss(y)
    model.backward()
    return [array.copy() for layer in model.layers for array in (layer.dw, layer.db)]


class Script:
    """What accumulation does, in NumPy; `gradients` knows how one batch's are computed."""

    def __init__(self, weights, gradients, optimizer, k, mean=True, penalty=None, clip=None):
        self.weights, self.gradients, self.optimizer, self.k = weights, gradients, optimizer, k
        self.mean, self.penalty, self.clip = mean, penalty, clip
        self.waiting, self.rows, self.updates, self.total = 0, 0, 0, None

    def batch(self, x, y, rows=None):
        rows = (len(x) if rows is None else rows) if self.mean else 1
        parts = [dw.dtype.type(rows) * dw for dw in self.gradients(self.weights, x, y)]
        self.total = [t + p for t, p in zip(self.total, parts, strict=True)] if self.rows else parts
        self.rows += rows
        self.waiting += 1
        if self.waiting == self.k:
            self.update()

    def update(self):
        if not self.waiting:
            return
        total = self.total
        if self.mean:
            total = [t / t.dtype.type(max(self.rows, 1)) for t in total]
        if self.penalty is not None:
            total[0] = total[0] + self.penalty(self.weights[0])
        if self.clip is not None:
            total = self.clip(total)
        self.weights = self.optimizer.update(self.weights, total)
        self.waiting, self.rows, self.updates = 0, 0, self.updates + 1

    def epoch(self, x, y, size):
        for batch in batches_of(x, y, size):
            self.batch(*batch)
        self.update()


def script_for(model, optimizer, k, **options):
    """Return the script of a model, which has the gradients of a twin that does not accumulate."""
    loss = model.loss_function
    twin = model_of("sgd", model.backend, model.numerics, loss, model.dtype)
    return Script(model.get_weights(), lambda *args: gradients_of(twin, *args), optimizer, k, **options)


def assert_same(model, weights):
    for array, want in zip(model.get_weights(), weights, strict=True):
        assert_same_bits(array, want)


def state_of(model):
    """Return all bits that a training changes."""
    arrays = [*model.get_weights(), *(value for _, value in sorted(model.optimizer.get_state().items()))]
    return b"".join(array.tobytes() for array in arrays)


def by_norm(limit):
    def clip(gradients):
        kept = []
        for g in gradients:
            norm = np.sqrt((g * g).reshape(-1).sum())
            kept.append(g * (g.dtype.type(limit) / np.maximum(norm, g.dtype.type(limit))))
        return kept

    return clip


# --------------------------------------------------------------------------- bits
@every_backend
@every_numerics
@pytest.mark.parametrize("k", [2, 3, 5, 100])
def test_fit_has_the_bits_of_a_script(backend, numerics, k):
    """Five batches an epoch, the last one smaller: with every k the end of the epoch comes elsewhere."""
    x, y = data()
    model = model_of(optimizers.SGD(0.1, 0.9, gradient_accumulation_steps=k), backend, numerics)
    script = script_for(model, SGD(0.1, 0.9), k)
    for _ in range(2):
        model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
        script.epoch(x, y, 5)
        assert_same(model, script.weights)
        assert model.optimizer.iterations == script.updates
    state = model.optimizer.get_state()
    assert state["accumulated_batches"] == 0 and state["accumulated_rows"] == 0
    assert_same_bits(state["velocity"], np.concatenate([v.reshape(-1) for v in script.optimizer.velocity]))


@every_backend
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_powers_of_adam_count_updates(backend, dtype):
    x, y = data(dtype=dtype)
    model = model_of(optimizers.Adam(0.01, gradient_accumulation_steps=2), backend, dtype=dtype)
    script = script_for(model, Adam(0.01), 2)
    for _ in range(3):
        model.fit(x, y, batch_size=7, shuffle=False, verbose=0)
        script.epoch(x, y, 7)
    assert_same(model, script.weights)
    assert model.optimizer.iterations == script.updates == 6
    assert_same_bits(model.optimizer.get_state()["power"], script.optimizer.state()["power"][0])


@every_backend
@every_numerics
def test_a_sum_is_not_divided_and_a_penalty_counts_once(backend, numerics):
    x, y = data()
    for reduction in ("sum", "mean"):
        loss = losses.MeanSquaredError(reduction)
        optimizer = optimizers.SGD(0.01, gradient_accumulation_steps=3)
        model = model_of(optimizer, backend, numerics, loss, kernel_regularizer="l2")
        script = script_for(
            model, SGD(0.01), 3, mean=reduction == "mean", penalty=lambda w: w * 0 + w.dtype.type(2 * 0.01) * w
        )
        for _ in range(2):
            model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
            script.epoch(x, y, 4)
        assert_same(model, script.weights)
    # by hand the penalty is in the gradient of each batch, which a look at it wants
    x, y = (array.astype("float64") for array in data(5))
    optimizer = optimizers.SGD(0.01, gradient_accumulation_steps=3)
    model = model_of(optimizer, backend, numerics, dtype="float64", kernel_regularizer="l2")
    assert fastbp.gradient_check(model, x, y).ok


@every_backend
@pytest.mark.parametrize("limit", [0.05, 0.3])
def test_what_is_clipped_is_the_accumulated_gradient(backend, limit):
    x, y = data()
    model = model_of(optimizers.SGD(0.5, gradient_accumulation_steps=3, clipnorm=limit), backend)
    script = script_for(model, SGD(0.5), 3, clip=by_norm(limit))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    script.epoch(x, y, 4)
    assert_same(model, script.weights)


@pytest.mark.parametrize("how", ["clipvalue", "global_clipnorm"])
def test_the_other_clippings(how):
    x, y = data()
    limit = 0.05
    model = model_of(optimizers.SGD(0.5, gradient_accumulation_steps=2, **{how: limit}))

    def clip(gradients):
        if how == "clipvalue":
            return [np.minimum(np.maximum(g, np.float32(-limit)), np.float32(limit)) for g in gradients]
        flat = np.concatenate([g.reshape(-1) for g in gradients])
        norm = np.sqrt((flat * flat).sum())
        return [g * (np.float32(limit) / np.maximum(norm, np.float32(limit))) for g in gradients]

    script = script_for(model, SGD(0.5), 2, clip=clip)
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    script.epoch(x, y, 4)
    assert_same(model, script.weights)


@every_backend
def test_ignored_labels_do_not_count(backend):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((22, 4)).astype("float32"), rng.integers(0, 2, 22)
    y[[0, 1, 2, 7, 9, 21]] = 7
    y[10:15] = 7  # all of a batch
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True, ignore_index=7)
    model = model_of(optimizers.SGD(0.2, gradient_accumulation_steps=2), backend, loss=loss)
    script = script_for(model, SGD(0.2), 2)
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    for batch in batches_of(x, y, 5):
        script.batch(*batch, rows=int((batch[1] != 7).sum()))
    script.update()
    assert_same(model, script.weights)
    # by hand the labels count where there are some, else the batch
    looped = model_of(optimizers.SGD(0.2, gradient_accumulation_steps=2), backend, loss=loss)
    looped.forward(x[:5])
    looped.loss(y[:5])
    looped.backward()
    looped.update()
    assert looped.optimizer.get_state()["accumulated_rows"] == 2
    y_pred = looped.forward(x[:5])
    looped.backward(np.zeros_like(y_pred))
    looped.update()
    assert looped.optimizer.iterations == 1


def test_equal_batches_are_one_large_one():
    """And with a smaller last one, too, which counts for its rows: the loss over all rows has that gradient."""
    for n, loss in ((20, "mse"), (18, "mse"), (18, losses.MeanSquaredError("sum"))):
        x, y = data(n, "float64")
        weights = np.random.default_rng(0).random(n)
        parts = model_of(optimizers.SGD(0.1, gradient_accumulation_steps=4), loss=loss, dtype="float64")
        whole = model_of(optimizers.SGD(0.1), loss=loss, dtype="float64")
        parts.fit(x, y, batch_size=5, epochs=3, shuffle=False, verbose=0, sample_weight=weights)
        whole.fit(x, y, batch_size=n, epochs=3, shuffle=False, verbose=0, sample_weight=weights)
        for a, b in zip(parts.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        assert parts.optimizer.iterations == whole.optimizer.iterations == 3


# --------------------------------------------------------------------------- however batches come
class Counted(fastbp.Callback):
    """Notes how many updates there were after each batch."""

    def __init__(self):
        self.iterations = []

    def on_train_batch_end(self, batch, logs=None):
        self.iterations.append(self.model.optimizer.iterations)


@every_backend
@every_numerics
def test_all_ways_have_the_same_bits(backend, numerics):
    x, y = data(24)
    k, size = 3, 4  # six batches

    def made():
        return model_of(optimizers.Adam(0.01, gradient_accumulation_steps=k), backend, numerics)

    fitted = made()
    fitted.fit(x, y, batch_size=size, epochs=2, shuffle=False, verbose=0)
    counted = Counted()
    by_batches = made()
    by_batches.fit(x, y, batch_size=size, epochs=2, shuffle=False, verbose=0, callbacks=counted)
    assert counted.iterations == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
    fed = made()
    fed.fit(Batches(x, y, size), epochs=2, verbose=0)
    looped, stepped, listed = made(), made(), made()
    for batch in 2 * batches_of(x, y, size):
        looped.train_on_batch(*batch)
        listed.train_on_batch(batch[0].tolist(), batch[1].tolist(), sample_weight=np.ones(size))
        stepped.forward(batch[0])
        stepped.loss(batch[1])
        stepped.backward()
        stepped.update()
    for model in (by_batches, fed, looped, stepped, listed):
        assert state_of(model) == state_of(fitted)


@every_backend
def test_an_epoch_ends_with_an_update_in_every_way(backend):
    x, y = data(22)

    def made():
        return model_of(optimizers.SGD(0.1, gradient_accumulation_steps=4), backend)

    class Stop(fastbp.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 4

    fitted, by_batches, fed, stopped, script = made(), made(), made(), made(), None
    script = script_for(fitted, SGD(0.1), 4)
    script.epoch(x, y, 4)
    fitted.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    by_batches.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=Counted())
    fed.fit(Batches(x, y, 4), verbose=0)
    for model in (fitted, by_batches, fed):
        assert_same(model, script.weights)
        assert model.optimizer.iterations == 2
    stopped.fit(x, y, batch_size=4, shuffle=False, verbose=0, callbacks=Stop())
    script = script_for(stopped, SGD(0.1), 4)
    script.weights = made().get_weights()
    script.epoch(x[:20], y[:20], 4)
    assert_same(stopped, script.weights)


@every_backend
def test_batches_of_any_length(backend):
    """A feed whose batches grow, some with weights: other programs and executors, the same gradients that wait."""
    x, y = data(26)
    model = model_of(optimizers.SGD(0.1, gradient_accumulation_steps=3), backend)
    twin = model_of("sgd", backend)
    ends, weight = [0, 1, 4, 11, 13, 26], np.linspace(0.5, 2, 26).astype("float32")
    parts = [slice(*pair) for pair in itertools.pairwise(ends)]
    targets = [(y[p], weight[p]) if p.start % 2 else (y[p],) for p in parts]

    class Feed:
        def __iter__(self):
            return ((x[p], *t) for p, t in zip(parts, targets, strict=True))

    def gradients(weights, x, targets):
        twin.set_weights(weights)
        twin.train_on_batch(x, *targets)
        return [array.copy() for layer in twin.layers for array in (layer.dw, layer.db)]

    script = Script(model.get_weights(), gradients, SGD(0.1), 3)
    for _ in range(2):
        model.fit(Feed(), verbose=0)
        for p, t in zip(parts, targets, strict=True):
            script.batch(x[p], t)
        script.update()
        assert_same(model, script.weights)
    assert model.optimizer.iterations == 4


@every_backend
def test_train_on_batch_waits_and_fit_goes_on(backend):
    x, y = data(22)
    model = model_of(optimizers.SGD(0.1, gradient_accumulation_steps=4), backend)
    script = script_for(model, SGD(0.1), 4)
    before = model.get_weights()
    for start in (0, 3, 6):
        model.train_on_batch(x[start : start + 3], y[start : start + 3])
        script.batch(x[start : start + 3], y[start : start + 3])
        assert_same(model, before)
    state = model.optimizer.get_state()
    assert (state["accumulated_batches"], state["accumulated_rows"], state["step"]) == (3, 9, 0)
    assert_same_bits(state["accumulated"], np.concatenate([t.reshape(-1) for t in script.total]))
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)
    script.epoch(x, y, 5)
    assert_same(model, script.weights)
    assert model.optimizer.iterations == script.updates == 2


@every_backend
def test_steps_by_hand_with_a_gradient_of_ones_own(backend):
    """The rows of a batch count as those of a loss that is a mean; without a loss, too."""
    x, y = data(10)
    model = Sequential([Dense(2)], input_shape=4, seed=0)
    model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=2), backend=backend)
    w, b = model.get_weights()
    total = [0, 0]
    for rows in (slice(0, 7), slice(7, 10)):
        d = (model.forward(x[rows]) - y[rows]) / np.float32(len(x[rows]))
        model.backward(d)
        n, layer = np.float32(len(d)), model.layers[0]
        total = [t + n * g for t, g in zip(total, (layer.dw.copy(), layer.db.copy()), strict=True)]
        model.update()
    lr, n = np.float32(0.1), np.float32(10)
    assert_same(model, [w - lr * (total[0] / n), b - lr * (total[1] / n)])


# --------------------------------------------------------------------------- what counts updates, what batches
@every_backend
def test_schedules_count_updates(backend):
    x, y = data(22)
    asked = []

    def rate(step):
        asked.append(step)
        return 0.1 / (1 + step)

    def made(lr):
        return model_of(optimizers.SGD(lr, gradient_accumulation_steps=4), backend)

    models = [made(rate), made(schedules.InverseTimeDecay(0.1, 1, 1.0))]
    asked.clear()
    script = script_for(models[0], SGD(0.1), 4)
    history = models[0].fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0).history
    assert max(asked) == 3 and sorted({*asked}) == [0, 1, 2, 3]
    models[1].fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=Counted())
    for epoch in range(2):
        for i, batch in enumerate(batches_of(x, y, 4)):
            script.optimizer.lr = 0.1 / (1 + 2 * epoch + i // 4)
            script.batch(*batch)
        script.update()
    assert history["lr"] == [0.05, 0.025]
    for model in models:
        assert_same(model, script.weights)
    optimizer = made(rate).optimizer
    assert (optimizer.rates(6) == [0.1, 0.1, 0.1, 0.1, 0.05, 0.05]).all() and len(optimizer.rates(0)) == 0
    unbuilt = optimizers.SGD(rate, gradient_accumulation_steps=2)
    assert (unbuilt.rates(3) == [0.1, 0.1, 0.05]).all()
    # one that waits already has the first rate
    model = models[0]
    model.train_on_batch(x[:4], y[:4])
    script.optimizer.lr = 0.1 / 5
    script.batch(x[:4], y[:4])
    assert (model.optimizer.rates(5) == [0.1 / 5, 0.1 / 5, 0.1 / 5, 0.1 / 6, 0.1 / 6]).all()
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    for i, batch in enumerate(batches_of(x, y, 4), 1):
        script.optimizer.lr = 0.1 / (5 + i // 4)
        script.batch(*batch)
    script.update()
    assert_same(model, script.weights)


@every_backend
def test_statistics_and_draws_change_with_every_batch(backend):
    x, y = data(24)

    def made(k):
        layers = [Dense(6), BatchNorm(), Dropout(0.5, seed=1), Dense(2)]
        model = Sequential(layers, input_shape=4, seed=0)
        # a rate of nothing: what is left are the batches
        model.compile(optimizers.SGD(1e-30, gradient_accumulation_steps=k), "mse", backend=backend)
        model.fit(x, y, batch_size=6, epochs=2, shuffle=False, verbose=0)
        return model

    waiting, plain = made(3), made(None)
    norms = [model.layers[1] for model in (waiting, plain)]
    assert_same_bits(norms[0].moving_mean, norms[1].moving_mean)
    assert_same_bits(norms[0].moving_variance, norms[1].moving_variance)
    assert not (norms[0].moving_mean == 0).any()
    streams = [model.snapshot()["streams"] for model in (waiting, plain)]
    assert (streams[0] == streams[1]).all()
    assert (waiting.optimizer.iterations, plain.optimizer.iterations) == (4, 8)


# --------------------------------------------------------------------------- copies, files, other runs
def waiting_model(backend="cython", **options):
    """Return a model with two of three batches accumulated, and what comes next."""
    x, y = data(24)
    model = model_of(optimizers.Adam(0.01, gradient_accumulation_steps=3, **options), backend)
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    for batch in batches_of(x, y, 4)[:2]:
        model.train_on_batch(*batch)
    return model, batches_of(x, y, 4)[2:]


def go_on(model, rest):
    for batch in rest:
        model.train_on_batch(*batch)
    return state_of(model)


@every_backend
def test_copies_and_files_hold_what_waits(backend, tmp_path):
    model, rest = waiting_model(backend)
    model.save(tmp_path / "model.npz")
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), fastbp.load_model(tmp_path / "model.npz")]
    cloned = model.clone()
    assert cloned.optimizer.gradient_accumulation_steps == 3
    other = model_of(copy.deepcopy(model.optimizer), backend)
    other.set_weights(model.get_weights())
    want = go_on(model, rest)
    assert model.optimizer.iterations == 4
    for twin in (*twins, other):
        assert twin.optimizer.iterations == 2
        assert go_on(twin, rest) == want


def test_compiled_again_it_goes_on():
    (model, rest), (twin, _) = waiting_model(), waiting_model()
    twin.compile(twin.optimizer, "mse", backend="numpy")
    assert go_on(twin, rest) == go_on(model, rest)
    model.compile(model.optimizer, "mse", dtype="float64")
    assert model.optimizer.get_state()["accumulated"].dtype == "float64"
    model.optimizer.reset()
    state = model.optimizer.get_state()
    assert not any(array.any() for name, array in state.items() if name != "power")


@every_backend
def test_a_resumed_run_has_the_same_bits(backend, tmp_path):
    x, y = data(22)
    path = tmp_path / "run.npz"

    def run(epochs, checkpoint=None):
        model = model_of(optimizers.Adam(0.01, gradient_accumulation_steps=4), backend)
        for batch in batches_of(x, y, 4)[:2]:
            model.train_on_batch(*batch)
        model.fit(x, y, batch_size=4, epochs=epochs, seed=0, verbose=0, checkpoint=checkpoint)
        return model

    whole = run(5)
    run(2, path)
    assert state_of(run(5, path)) == state_of(whole)
    other = model_of(optimizers.Adam(0.01, gradient_accumulation_steps=2), backend)
    with pytest.raises(ValueError, match=r"whose optimizer is .*'gradient_accumulation_steps': 4"):
        other.fit(x, y, batch_size=4, epochs=5, seed=0, verbose=0, checkpoint=path)


def test_state_is_looked_at():
    model, _ = waiting_model()
    state = model.optimizer.get_state()
    assert state["accumulated_batches"].dtype == np.int64
    for name, wrong in (
        ("accumulated", np.zeros(3, "float32")),
        ("accumulated_batches", np.zeros(1)),
        ("accumulated_batches", np.array([-1])),
        ("accumulated_rows", np.zeros(1, "float32")),
    ):
        with pytest.raises(ValueError, match=f"state '{name}' is "):
            model.optimizer.set_state({**state, name: wrong})
    with pytest.raises(ValueError, match="state has"):
        model.optimizer.set_state({"m": state["m"], "v": state["v"], "power": state["power"]})


# --------------------------------------------------------------------------- layers that are not trained
@every_backend
def test_a_frozen_layer_takes_no_part(backend):
    x, y = data(12)
    model = model_of(optimizers.SGD(0.1, gradient_accumulation_steps=2, global_clipnorm=0.01), backend)
    twin = model_of(optimizers.SGD(0.1, gradient_accumulation_steps=2, global_clipnorm=0.01), backend)
    w = model.layers[0].w.copy()
    # what it had accumulated is forgotten
    model.train_on_batch(x[:6], y[:6])
    model.layers[0].trainable = False
    twin.layers[0].trainable = False
    twin.train_on_batch(x[:6], y[:6])
    for each in (model, twin):
        each.train_on_batch(x[6:], y[6:])
    assert_same_bits(model.layers[0].w, w)
    assert_same(model, twin.get_weights())
    assert not (twin.layers[1].w == model_of("sgd").layers[1].w).all()


@every_backend
def test_updates_count_where_nothing_is_trained(backend):
    x, y = data(12)
    model = model_of(optimizers.SGD(0.1, gradient_accumulation_steps=3), backend)
    for layer in model.layers:
        layer.trainable = False
    before = model.get_weights()
    model.fit(x, y, batch_size=3, verbose=0)
    assert_same(model, before)
    assert model.optimizer.iterations == 2 and model.optimizer.get_state()["accumulated_batches"] == 0


# --------------------------------------------------------------------------- whole or not at all
@every_backend
def test_a_nan_leaves_what_waits(backend):
    model, rest = waiting_model(backend)
    before = state_of(model)
    x, y = rest[0]
    bad = np.full_like(x, 1e38)
    with pytest.raises(FloatingPointError):
        model.train_on_batch(bad, np.full_like(y, 1e38))
    with pytest.raises(FloatingPointError):
        model.fit(bad, np.full_like(y, 1e38), verbose=0)
    assert state_of(model) == before


@every_backend
@every_numerics
def test_ctrl_c_leaves_whole_steps(backend, numerics):
    """What is counted says how many batches there were: as many have the same bits in a run without Ctrl-C."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 30)).astype("float32"), rng.standard_normal((60, 2)).astype("float32")
    batches = batches_of(x, y, 7)  # 9 of them: updates after 4, 8 and 9

    def made():
        model = Sequential([Dense(40, "tanh"), Dense(2)], input_shape=30, seed=0)
        optimizer = optimizers.SGD(0.01, 0.9, gradient_accumulation_steps=4, use_ema=True)
        model.compile(optimizer, "mse", backend=backend, numerics=numerics)
        model.fit(x, y, batch_size=7, shuffle=False, verbose=0)  # made ready
        return model

    old = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for trial in range(4):
            model, twin = made(), made()
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.01 + 0.003 * trial)
                model.fit(x, y, batch_size=7, epochs=10**6, shuffle=False, verbose=0)
            optimizer = model.optimizer
            epochs, updates = divmod(optimizer.iterations - 3, 3)
            if epochs:
                twin.fit(x, y, batch_size=7, epochs=epochs, shuffle=False, verbose=0)
            for batch in batches[: 4 * updates + int(optimizer.get_state()["accumulated_batches"][0])]:
                twin.train_on_batch(*batch)
            assert state_of(model) == state_of(twin)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


# --------------------------------------------------------------------------- looking, arguments
@every_backend
def test_a_program_is_run_as_a_step(backend):
    model, rest = waiting_model(backend)
    twin, _ = waiting_model(backend)
    for each in (model, twin):
        each.train_on_batch(*rest[0])
    for check in (None, "numpy"):
        for waiting in (1, 2, 0):
            weights = model.get_weights()
            model.program.run(check=check)
            assert model.optimizer.get_state()["accumulated_batches"] == waiting
            assert (model.get_weights()[0] == weights[0]).all() == (waiting > 0)
    assert model.optimizer.iterations == 5
    before = state_of(model)
    model.program.profile(repeat=2)
    fastbp.blame(model, *rest[0])
    assert state_of(model) == before


def test_without_accumulation_the_program_is_what_it_was():
    plain, one = (model_of(optimizers.Adam(**given)) for given in ({}, {"gradient_accumulation_steps": 1}))
    assert str(plain.program) == str(one.program)
    assert one.program.apply == len(one.program.calls) and one.optimizer.accumulated is None
    assert set(one.optimizer.get_state()) == {"m", "v", "power", "step"}
    waiting = model_of(optimizers.Adam(gradient_accumulation_steps=2)).program
    phases = [call.phase for call in waiting.calls]
    assert phases == sorted(phases, key=("gather", "forward", "loss", "backward", "update", "apply").index)
    assert waiting.commit == phases.index("update") and waiting.apply == phases.index("apply")
    assert [call.kernel.name for call in waiting.calls if call.phase == "update"] == [
        "accumulate_gradient", "accumulate_seen",
    ]  # fmt: skip


# of ASGD the average is its own
@pytest.mark.parametrize("kind", [name for name in optimizers.__all__ if name not in ("Optimizer", "get", "ASGD")])
def test_every_optimizer_takes_them(kind):
    made = getattr(optimizers, kind)
    default = made()
    names = ("gradient_accumulation_steps", "use_ema", "ema_momentum", "ema_overwrite_frequency")
    assert not any(name in default.get_config() or name in repr(default) for name in names)
    assert [getattr(default, name) for name in names] == [1, False, 0.99, None]
    given = dict(zip(names, (4, True, 0.5, 7), strict=True))
    optimizer = made(**given)
    assert given.items() <= optimizer.get_config().items()
    other = optimizers.from_config(*optimizers.to_config(optimizer))
    assert repr(other) == repr(optimizer) and "gradient_accumulation_steps=4, use_ema=True" in repr(optimizer)
    x, y = data()
    model = model_of(optimizer)
    model.fit(x, y, batch_size=3, epochs=2, verbose=0)
    assert model.optimizer.iterations == 4 and np.isfinite(model.predict(x, weights="ema")).all()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"gradient_accumulation_steps": 0}, ValueError, "gradient_accumulation_steps is 0; it must be at least 1"),
        ({"gradient_accumulation_steps": 1.5}, TypeError, "gradient_accumulation_steps is 1.5; it must be an integer"),
        ({"gradient_accumulation_steps": 2**63}, ValueError, "gradient_accumulation_steps is .* at most 92"),
        ({"use_ema": True, "ema_overwrite_frequency": 2**53 + 1}, ValueError, "it must be at most 9007199254740992"),
        ({"use_ema": 1}, TypeError, "use_ema is 1; it must be True or False"),
        ({"use_ema": True, "ema_momentum": 1.0}, ValueError, "ema_momentum is 1.0; it must be in"),
        ({"use_ema": True, "ema_momentum": -0.1}, ValueError, "ema_momentum is -0.1; it must be in"),
        ({"use_ema": True, "ema_overwrite_frequency": 0}, ValueError, "ema_overwrite_frequency is 0; it must"),
        ({"ema_overwrite_frequency": 3}, ValueError, "ema_overwrite_frequency is 3 and use_ema is False"),
        ({"accumulation_steps": 3}, TypeError, "accumulation_steps"),
    ],
)  # fmt: skip
def test_bad_arguments(given, error, message):
    with pytest.raises(error, match=message):
        optimizers.Adam(**given)


def test_they_are_decided_once():
    optimizer = optimizers.Adam(gradient_accumulation_steps=2)
    for name in ("gradient_accumulation_steps", "use_ema", "ema_momentum", "ema_overwrite_frequency"):
        with pytest.raises(AttributeError):
            setattr(optimizer, name, 3)
