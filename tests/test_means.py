"""The loss of an epoch, of `evaluate` and of validation data is one of all rows: batches do not show in it."""

import numpy as np
import pytest
from _arrays import BACKENDS

from fastbp import Dense, Sequential, losses, optimizers, regularizers

every_backend = pytest.mark.parametrize("backend", ("numpy", *BACKENDS))
RNG = np.random.default_rng(0)
X, LABELS, REAL = RNG.normal(size=(50, 3)), RNG.integers(3, size=50), RNG.normal(size=(50, 3))
WEIGHTS = RNG.uniform(0, 2, 50)
#: Half of the rows do not count, and they lie together: some batches have none that do.
SOME = np.where(np.arange(50) < 25, -1, LABELS)
FORMS = {
    "mean": (losses.MeanSquaredError(), REAL),
    "sum": (losses.MeanSquaredError(reduction="sum"), REAL),
    "mean over rows": (losses.SparseCategoricalCrossEntropy(from_logits=True), LABELS),
    "ignored": (losses.SparseCategoricalCrossEntropy(from_logits=True, ignore_index=-1), SOME),
    "ignored, smoothed": (losses.SparseCategoricalCrossEntropy(True, 0.1, ignore_index=-1), SOME),
    "ignored, sum": (losses.SparseCategoricalCrossEntropy(True, reduction="sum", ignore_index=-1), SOME),
}


def model_of(loss, backend=None, penalty=False):
    regularizer = regularizers.L2(0.1) if penalty else None
    model = Sequential([Dense(4, "tanh", kernel_regularizer=regularizer), Dense(3)], input_shape=3, seed=0)
    # a rate at which the parameters stay what they are
    model.compile(optimizers.SGD(lr=1e-300), loss, backend=backend, dtype="float64")
    return model


def expected(loss, y, weight, penalty):
    """Return the loss of all rows at once, by the class on arrays."""
    model = model_of(loss, "numpy", penalty)
    value = loss(y, model.predict(X), sample_weight=weight)
    return value + (0.1 * np.square(model.layers[0].w).sum() if penalty else 0)


@every_backend
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [False, True])
def test_batches_do_not_show(backend, form, weighted, penalty):
    loss, y = FORMS[form]
    weight = WEIGHTS if weighted else None
    want = expected(loss, y, weight, penalty)
    model = model_of(loss, backend, penalty)
    for batch in (1, 7, 25, 49, 50):
        assert model.evaluate(X, y, batch_size=batch, sample_weight=weight)["loss"] == pytest.approx(want, rel=1e-12)
        for shuffle in (False, True):
            history = model.fit(
                X, y, batch_size=batch, shuffle=shuffle, sample_weight=weight, verbose=0,
                validation_data=(X, y, weight) if weighted else (X, y),
            ).history  # fmt: skip
            assert history["loss"][0] == pytest.approx(want, rel=1e-12), (batch, shuffle)
            assert history["val_loss"][0] == pytest.approx(want, rel=1e-12)


def test_hooks_of_batches_see_the_loss_of_a_batch():
    from fastbp.callbacks import LambdaCallback

    loss, y = FORMS["ignored"]
    seen = []
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    model = model_of(loss)
    history = model.fit(X, y, batch_size=20, shuffle=False, verbose=0, callbacks=[note])
    want = [float(loss(y[k : k + 20], model.predict(X[k : k + 20]))) for k in (0, 20, 40)]
    # nothing counts in the first
    assert seen == pytest.approx(want, rel=1e-12) and seen[0] == 0
    assert history.history["loss"][0] == pytest.approx(expected(loss, y, None, False), rel=1e-12)


def test_nothing_counts():
    loss = FORMS["ignored"][0]
    assert model_of(loss).evaluate(X, np.full(50, -1), batch_size=9) == {"loss": 0.0}
