"""The learning-rate range test: what it notes, when it ends, what it suggests, and that the model stays as it is."""

import copy

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import BatchNorm, Dense, Dropout, Sequential, optimizers

# of short tests it says little that the loss was still falling
pytestmark = pytest.mark.filterwarnings("ignore:The loss (was still falling|never fell)")
every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
RNG = np.random.default_rng(5)
X = RNG.standard_normal((70, 4))
Y = np.tanh(X @ RNG.standard_normal((4, 2)))


def model_of(optimizer=None, backend="cython", layers=None, built=True, **options):
    layers = [Dense(8, "tanh"), Dense(2)] if layers is None else layers
    model = Sequential(layers, input_shape=4 if built else None, seed=0)
    model.compile(optimizer or optimizers.Adam(), "mse", backend=backend, numerics="portable", **options)
    return model


def state_of(model):
    arrays = [*model.get_weights(), *model.optimizer.get_state().values(), model.engine().copy()["streams"]]
    return arrays, repr(model.optimizer), model.fit_seed, model.stop_training, dict(model.history.history)


@every_backend
def test_the_model_stays_as_it_is(backend):
    layers = [Dense(8, "tanh"), BatchNorm(), Dropout(0.2), Dense(2)]
    model = model_of(optimizers.Adam(use_ema=True), backend, layers)
    model.fit(X, Y, epochs=2, seed=1, verbose=0)
    twin, before = copy.deepcopy(model), copy.deepcopy(state_of(model))
    fastbp.lr_range_test(model, X, Y, end_lr=1.0)
    after = state_of(model)
    for got, want in zip(after[0], before[0], strict=True):
        assert_same_bits(got, want)
    assert after[1:] == before[1:]
    for each in (model, twin):
        each.fit(X, Y, epochs=2, seed=2, verbose=0)
    for got, want in zip(state_of(model)[0], state_of(twin)[0], strict=True):
        assert_same_bits(got, want)


@every_backend
def test_losses_are_those_of_training_with_these_rates(backend):
    model = model_of(backend=backend)
    found = fastbp.lr_range_test(model, X, Y, 1e-4, 0.1, steps=12, batch_size=20, seed=3)
    np.testing.assert_allclose(found.rates, 1e-4 * 1000 ** (np.arange(12) / 11), rtol=1e-12)
    other = model_of(backend=backend)
    rates = iter(found.rates)

    class Assign(fastbp.Callback):
        losses = []

        def on_train_batch_begin(self, batch):
            self.model.optimizer.lr = next(rates)

        def on_train_batch_end(self, batch, logs):
            self.losses.append(logs["loss"])

    assign = Assign()
    other.fit(X, Y, batch_size=20, epochs=3, seed=3, verbose=0, callbacks=assign)
    assert_same_bits(found.losses, np.array(assign.losses))
    # and of a model that was trained before the optimizer begins anew
    again = fastbp.lr_range_test(model, X, Y, 1e-4, 0.1, 12, 20, seed=3)
    assert_same_bits(again.losses, found.losses)


def test_the_mean_of_neighbours_and_the_suggestion():
    found = fastbp.insight.RangeTest(10.0 ** np.arange(-5, 1), np.array([5, 4, 3, 1, 2, 9.0]), 2, False)
    assert found.smoothed.tolist() == [4.5, 4, 8 / 3, 2, 4, 5.5]
    assert found.least == 1e-2 and found.suggestion == pytest.approx(1e-3)
    spoilt = fastbp.insight.RangeTest(10.0 ** np.arange(-5, -1), np.array([5, 4, 3, np.nan]), 1, True)
    assert spoilt.smoothed[:3].tolist() == [5, 4, 3] and np.isnan(spoilt.smoothed[3]) and spoilt.least == 1e-3
    # no rate is suggested that was not tried
    near = fastbp.insight.RangeTest(np.array([0.1, 0.2, 0.3]), np.array([3, 2, 5.0]), 1, False)
    assert near.suggestion == 0.1


@pytest.mark.parametrize("stops_by", ["size", "infinity"])
def test_it_ends_where_the_loss_diverges(stops_by):
    options = {"steps": 200, "end_lr": 1e3} if stops_by == "size" else {"steps": 4, "end_lr": 1e38}
    model = model_of(optimizers.SGD())
    found = fastbp.lr_range_test(model, 10 * X, Y, 1e-5 if stops_by == "size" else 1e37, **options)
    assert found.diverged and len(found.rates) == len(found.losses) < options["steps"]
    assert np.isfinite(found.losses[:-1]).all() and np.isfinite(found.losses[-1]) == (stops_by == "size")
    assert "where the loss diverged" in str(found)
    if stops_by == "size":
        assert found.losses[-1] > 3 * found.losses.min() and 1e-4 < found.suggestion < 0.1
        assert found.advice == ""


@every_backend
def test_batches_that_wait_count_as_one(backend):
    model = model_of(optimizers.Adam(gradient_accumulation_steps=3), backend)
    # 7 batches an epoch: two updates of three, and one of what is left at its end
    found = fastbp.lr_range_test(model, X, Y, 1e-4, 1e-3, steps=7, batch_size=10, seed=3)
    other, losses = model_of(optimizers.Adam(gradient_accumulation_steps=3), backend), []
    rates = found.rates.tolist()
    other.optimizer.lr = lambda step: rates[min(step, 6)]
    keep = fastbp.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: losses.append(logs["loss"]))
    other.fit(X, Y, batch_size=10, epochs=3, seed=3, verbose=0, callbacks=keep)
    wanted, of_epoch = [], [slice(0, 3), slice(3, 6), slice(6, 7)]
    for epoch in range(3):
        wanted += [np.mean(losses[7 * epoch :][part]) for part in of_epoch]
    np.testing.assert_allclose(found.losses, wanted[:7], rtol=1e-12)


def test_what_says_little_is_told():
    constant = Sequential([Dense(2)], input_shape=4, seed=0)
    constant.layers[0].trainable = False
    constant.compile("sgd", "mse")
    with pytest.warns(UserWarning, match="never fell, from a learning rate of 1e-07 on: test with a smaller start_lr"):
        found = fastbp.lr_range_test(constant, X, Y, batch_size=None)
    assert found.suggestion is None and "suggestion none" in repr(found) and "never fell" in str(found)
    with pytest.warns(UserWarning, match="The loss was still falling at 0.001: test with a larger end_lr"):
        found = fastbp.lr_range_test(model_of(), X, Y, 1e-4, 1e-3, batch_size=None)
    assert not found.diverged and found.suggestion == pytest.approx(found.least / 10, rel=0.9)


def test_kinds_of_data_and_models():
    unbuilt = model_of(built=False)
    assert fastbp.lr_range_test(unbuilt, X, Y).suggestion and not unbuilt.built

    class Batches:
        def __iter__(self):
            return ((X[k : k + 10], Y[k : k + 10]) for k in range(0, 70, 10))

    assert len(fastbp.lr_range_test(model_of(), Batches(), steps=30, end_lr=0.1).losses) == 30
    weights = np.ones(70)
    weights[:5] = 0
    plain, weighted = (
        fastbp.lr_range_test(model_of(), X, Y, sample_weight=given, batch_size=None) for given in (None, weights)
    )
    assert plain.losses[0] != weighted.losses[0]
    for optimizer in (optimizers.ASGD(), optimizers.Adam(fastbp.schedules.CosineDecay(0.1, 5))):
        assert fastbp.lr_range_test(model_of(optimizer), X, Y).suggestion


def test_what_is_refused():
    model = model_of()
    for given, error, message in (
        ({"start_lr": 0}, ValueError, r"start_lr is 0; it must be in \(0, inf\)"),
        ({"start_lr": 1.0, "end_lr": 1.0}, ValueError, r"end_lr is 1.0; it must be in \(1, inf\)"),
        ({"steps": 1}, ValueError, "steps is 1; it must be at least 2"),
        ({"batch": 1}, TypeError, "has no argument 'batch'; did you mean 'batch_size'"),
    ):
        with pytest.raises(error, match=message):
            fastbp.lr_range_test(model, X, Y, **given)
    with pytest.raises(TypeError, match=r"compiled with Rprop, whose lr is its first step size alone"):
        fastbp.lr_range_test(model_of(optimizers.Rprop()), X, Y)
    with pytest.raises(TypeError, match=r"model is 3; it must be a fastbp\.Model"):
        fastbp.lr_range_test(3, X, Y)
    with pytest.raises(RuntimeError, match="the model is not compiled"):
        fastbp.lr_range_test(Sequential([Dense(2)], input_shape=4), X, Y)


def test_how_it_looks():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    found = fastbp.lr_range_test(model_of(), X, Y)
    assert str(found).startswith(f"{len(found.rates)} learning rates from 1e-07 to ")
    assert f"suggestion: {found.suggestion:.3g}." in str(found) and f"{found.suggestion:.3g}" in repr(found)
    assert f"suggestion: {found.suggestion:.3g}" in found._repr_html_()
    axes = found.plot()
    assert axes.get_xscale() == "log" and len(axes.lines) == 3
    assert_same_bits(axes.lines[0].get_ydata(), found.losses)
    assert axes.lines[2].get_xdata()[0] == found.suggestion
    own = pyplot.figure().add_subplot()
    assert found.plot(own) is own
    pyplot.close("all")
