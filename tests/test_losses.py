"""Losses as classes: their values beside plain formulas, their options, targets, errors and files."""

import copy
import pickle
import sys

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, needs_modules

import fastbp
from fastbp import Dense, Sequential, load_model, losses

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
X = np.random.default_rng(0).standard_normal((12, 4))
BITS = np.arange(36).reshape(12, 3) % 5 % 2


def model_of(loss, units=3, **options):
    model = Sequential([Dense(5, activation="tanh"), Dense(units)], input_shape=4, seed=0)
    model.compile("sgd", loss, dtype="float64", **options)
    return model


def at(array, where, value):
    array = array.copy()
    array[where] = value
    return array


# ---------------------------------------------------------------------------------------- values
@every_backend
def test_contrastive(backend):
    loss = losses.Contrastive(margin=2.0)
    y, d = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.5, 0.5, 3.0, 0.0])
    assert loss(y, d, backend=backend) == (0.25 + 1.5**2) / 4
    assert_same_bits(loss.gradient(y, d, backend=backend), np.array([0.25, -0.75, 0.0, 0.0]))
    assert losses.Contrastive(2.0, "sum")(y, d, backend=backend) == 0.25 + 1.5**2


@every_backend
def test_categorical_hinge(backend):
    # a rival at 0.5; all others below 0, where the true class counts with 0; far enough; a tie
    y_pred = np.array([[1.0, 0.5, -2.0], [0.25, -1.0, -3.0], [3.0, 1.0, 2.0], [2.0, 2.0, 0.0]])
    y = np.eye(3)[[0, 0, 0, 2]]
    loss = losses.CategoricalHinge("sum")
    assert loss(y, y_pred, backend=backend) == 0.5 + 0.75 + 0 + 3
    want = np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, -1.0]])
    assert np.array_equal(loss.gradient(y, y_pred, backend=backend), want)
    assert losses.CategoricalHinge()(y, y_pred, backend=backend) == 4.25 / 4


@every_backend
def test_cosine_similarity(backend):
    loss = losses.CosineSimilarity()
    y, p = np.array([[3.0, 4.0], [3.0, 4.0], [1.0, 0.0]]), np.array([[6.0, 8.0], [-3.0, -4.0], [0.0, 7.0]])
    assert loss(y[:1], p[:1], backend=backend) == -1
    np.testing.assert_allclose(loss(y, p, backend=backend), 0, atol=1e-16)
    # straight towards the target's direction, and none along itself
    gradient = loss.gradient(y, p, backend=backend)
    np.testing.assert_allclose(gradient, [[0, 0], [0, 0], [-1 / 21, 0]], atol=1e-16)
    # a zero vector has no direction: the loss is 0, and linear around it
    zero = np.zeros((1, 2))
    assert loss(y[:1], zero, backend=backend) == loss(zero, p[:1], backend=backend) == 0
    np.testing.assert_allclose(loss.gradient(y[:1], zero, backend=backend), [[-0.6e8, -0.8e8]], rtol=1e-15)
    wide = losses.CosineSimilarity(eps=10.0)
    np.testing.assert_allclose(wide.gradient(y[:1], zero, backend=backend), [[-0.03, -0.04]], rtol=1e-15)
    assert_same_bits(loss.gradient(zero, p[:1], backend=backend), np.array([[-0.0, -0.0]]))


@every_backend
def test_gaussian_nll(backend):
    rng = np.random.default_rng(1)
    mean, log_variance, y = rng.standard_normal((3, 5, 2))
    y_pred = np.concatenate([mean, log_variance], axis=1)
    densities = np.exp(-((y - mean) ** 2) / (2 * np.exp(log_variance))) / np.sqrt(2 * np.pi * np.exp(log_variance))
    loss = losses.GaussianNLL("sum")
    value = loss(y, y_pred, backend=backend)
    np.testing.assert_allclose(value, -np.log(densities).sum() - 10 * np.log(2 * np.pi) / 2, rtol=1e-14)
    np.testing.assert_allclose(losses.GaussianNLL()(y, y_pred, backend=backend), value / 10, rtol=1e-15)
    gradient = loss.gradient(y, y_pred, backend=backend)
    assert gradient.shape == (5, 4)
    np.testing.assert_allclose(gradient[:, :2], (mean - y) * np.exp(-log_variance), rtol=1e-14)
    # no variance would be better than the squared distance
    best = np.concatenate([mean, np.log((y - mean) ** 2)], axis=1)
    np.testing.assert_allclose(loss.gradient(y, best, backend=backend)[:, 2:], 0, atol=1e-15)


@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_means_and_log_variances_of_a_model(numerics, backend):
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (400, 1))
    y = np.concatenate([2 * x, -x], axis=1) + rng.standard_normal((400, 2)) * [0.1, 1.0]
    model = Sequential([Dense(8, activation="tanh"), Dense(4)], input_shape=1, seed=0)
    model.compile(fastbp.optimizers.Adam(0.02), "gaussian_nll", dtype="float64", backend=backend, numerics=numerics)
    model.fit(x, y, batch_size=50, epochs=60, seed=0, verbose=0)
    found = model.predict(x)
    assert abs(found[:, :2] - np.concatenate([2 * x, -x], axis=1)).max() < 0.5
    np.testing.assert_allclose(np.exp(found[:, 2:] / 2).mean(axis=0), [0.1, 1.0], rtol=0.2)
    # each way in gives the same
    loss = losses.GaussianNLL()(y, found)
    np.testing.assert_allclose(model.evaluate(x, y)["loss"], loss, rtol=1e-12)
    model.forward(x)
    np.testing.assert_allclose(model.loss(y), loss, rtol=1e-12)
    model.backward()
    np.testing.assert_allclose(model.layers[-1].dy, losses.GaussianNLL().gradient(y, found), rtol=1e-9, atol=1e-15)
    for _ in range(2):
        assert np.isfinite(model.train_on_batch(x, y))
    model.program.run(check="numpy")


def test_one_mean_takes_targets_of_one_dimension():
    weights = []
    for y in (X[:, 0], X[:, :1]):
        model = model_of("gaussian_nll", 2)
        model.fit(X, y, batch_size=5, seed=0, verbose=0)
        weights.append(model.get_weights())
    for got, want in zip(*weights, strict=True):
        assert_same_bits(got, want)


THREES = np.arange(12) % 3 // 2


def interleaved(*arrays):
    return np.stack(arrays, axis=1).reshape(-1, arrays[0].shape[1])


@every_backend
def test_triplet_margin(backend):
    anchor, positive, negative = np.random.default_rng(3).standard_normal((3, 7, 4))
    anchor[2], negative[2], negative[5] = positive[2], positive[2] + 0.1, 100
    near, far = (np.sqrt(((anchor - other) ** 2).sum(axis=1)) for other in (positive, negative))
    hinge = np.maximum(near - far + 2, 0)
    assert hinge[5] == near[2] == 0 and hinge[2] > 0 and (hinge > 0).sum() > 4
    loss = losses.TripletMargin(margin=2, eps=0)
    arrays = anchor, positive, negative
    np.testing.assert_allclose(loss(*arrays, backend=backend), hinge.mean(), rtol=1e-14)
    total = losses.TripletMargin(margin=2, eps=0, reduction="sum")
    np.testing.assert_allclose(total(*arrays, backend=backend), hinge.sum(), rtol=1e-14)
    found = loss.gradient(*arrays, backend=backend)
    assert [part.shape for part in found] == [(7, 4)] * 3
    np.testing.assert_allclose(found[0] + found[1] + found[2], 0, atol=1e-16)
    # the anchor is the positive: a distance of 0 has the derivative 0
    assert (found[1][2] == 0).all() and (found[2][2] != 0).all()
    assert not any(part[5].any() for part in found)
    for part, d, length in ((found[1], positive - anchor, near), (found[2], anchor - negative, far)):
        for k in (0, 1, 3, 4, 6):
            np.testing.assert_allclose(part[k], d[k] / length[k] / 7 if hinge[k] else 0, rtol=1e-13)
    # eps is in each difference
    shifted = losses.TripletMargin(margin=2, eps=0.5)
    np.testing.assert_allclose(
        shifted(*arrays, backend=backend), loss(anchor, positive - 0.5, negative - 0.5, backend=backend), rtol=1e-14
    )


@every_backend
def test_rows_after_the_last_three_have_no_loss(backend):
    rows = np.random.default_rng(3).standard_normal((8, 4))
    options = {"margin": 3.0, "backend": backend}
    values = [fastbp.kernels.triplet_margin_forward(rows[:n], **options) for n in (6, 7, 8, 2, 0)]
    assert values[0][-1] == values[1][-1] == values[2][-1] > 0 == values[3][-1] == values[4][-1]
    for n, (length, sample_loss, _) in zip((7, 8), values[1:3], strict=True):
        found = fastbp.kernels.triplet_margin_backward(rows[:n], length, sample_loss, **options)
        want = fastbp.kernels.triplet_margin_backward(rows[:6], *values[0][:2], **options)
        assert_same_bits(found, np.concatenate([want, np.zeros((n - 6, 4))]))


@every_backend
@pytest.mark.parametrize("shuffle", [True, False])
def test_triplets_stay_together_in_a_model(shuffle, backend):
    rng = np.random.default_rng(4)
    x = rng.standard_normal((21, 4))
    y = np.array([5, 5, -2] * 7)
    model = model_of(losses.TripletMargin(margin=3.0), backend=backend)
    twin = model_of(losses.TripletMargin(margin=3.0), backend=backend)
    model.fit(x, y, batch_size=6, epochs=3, shuffle=shuffle, seed=7, verbose=0)
    order = np.random.default_rng(7)
    for _ in range(3):
        triplets = order.permutation(7) if shuffle else np.arange(7)
        for start in range(0, 7, 2):
            which = np.concatenate([[3 * t, 3 * t + 1, 3 * t + 2] for t in triplets[start : start + 2]])
            twin.train_on_batch(x[which], y[which])
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(got, want)
    # the value is that of three arrays, and does not depend on the batches
    rows = model.predict(x)
    want = losses.TripletMargin(margin=3.0)(rows[::3], rows[1::3], rows[2::3])
    for size in (1, 4, 7, 21, 512):
        np.testing.assert_allclose(model.evaluate(x, y, batch_size=size)["loss"], want, rtol=1e-13)
    model.fit(x, y, batch_size=3, epochs=60, validation_split=0.3, seed=0, verbose=0)
    assert model.evaluate(x[:12], y[:12])["loss"] < 0.5 * want
    assert model.history.params["rows"] == 12


def semi_hard(y_true, y_pred, margin, squared):
    """Return the sum of the loss, its gradient and the number of triplets, triplet by triplet."""
    total, gradient, count = 0.0, np.zeros_like(y_pred), 0

    def distance(a, b):
        square = float(((y_pred[a] - y_pred[b]) ** 2).sum())
        return square if squared else np.sqrt(square)

    def draw(a, b, sign):
        d = y_pred[a] - y_pred[b]
        slope = 2 * d if squared else d / distance(a, b) if distance(a, b) else 0 * d
        gradient[a] += sign * slope
        gradient[b] -= sign * slope

    rows = range(len(y_true))
    for a in rows:
        negatives = [n for n in rows if y_true[n] != y_true[a]]
        for p in rows:
            if p == a or y_true[p] != y_true[a] or not negatives:
                continue
            beyond = [n for n in negatives if distance(a, n) > distance(a, p)]
            # min and max return the first of equals
            n = min(beyond, key=lambda n: distance(a, n)) if beyond else max(negatives, key=lambda n: distance(a, n))
            hinge = distance(a, p) - distance(a, n) + margin
            count += 1
            if hinge > 0:
                total += hinge
                draw(a, p, 1)
                draw(a, n, -1)
    return total, gradient, count


@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("squared", [True, False])
def test_semi_hard_triplets_beside_a_plain_loop(squared, numerics, backend):
    names = np.array([-(2**63), -3, 0, 2**40, 2**63 - 1])
    forward, backward = fastbp.kernels.triplet_semi_hard_forward, fastbp.kernels.triplet_semi_hard_backward
    triplets = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        rows, n = rng.integers(1, 24), rng.integers(1, 4)
        # a grid of few points: equal rows, and many equal distances
        y_pred = rng.integers(0, 3, (rows, n)).astype(float) if seed % 2 else rng.standard_normal((rows, n))
        y_true = names[rng.integers(rng.integers(1, 6), size=rows)]
        margin = float(rng.choice([0.25, 1.0, 3.0]))
        want, gradient, count = semi_hard(y_true, y_pred, margin, squared)
        options = {"margin": margin, "squared": float(squared), "mean": 0.0, "backend": backend, "numerics": numerics}
        pull, found, loss = forward(y_pred, y_true, **options)
        assert found == count and pull.shape == (rows, rows)
        np.testing.assert_allclose(loss, want, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(backward(y_pred, pull, found, **options), gradient, rtol=1e-11, atol=1e-11)
        triplets += count
    assert triplets > 1000


@every_backend
def test_semi_hard_triplets(backend):
    loss = losses.TripletSemiHard()
    y_true, y_pred = np.array([3, 3, -1]), np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 5.5]])
    far = np.sqrt(9 + 2.25)
    np.testing.assert_allclose(loss(y_true, y_pred, backend=backend), (0.5 + (5 - far + 1)) / 2, rtol=1e-14)
    square = losses.TripletSemiHard(squared=True, reduction="sum")
    assert square(y_true, y_pred, backend=backend) == 25 - 11.25 + 1
    # no positives, no negatives, nothing at all to tell apart: no triplets, and nothing to learn
    for labels in ([1, 2, 3], [4, 4, 4]):
        assert loss(labels, y_pred, backend=backend) == 0
        assert not loss.gradient(labels, y_pred, backend=backend).any()
    # equal rows: distances of 0 are drawn nowhere
    assert loss([1, 1, 2, 2], np.ones((4, 2)), backend=backend) == 1
    assert not loss.gradient([1, 1, 2, 2], np.ones((4, 2)), backend=backend).any()
    # a row that is NaN is not hidden, whether it is drawn or the others are
    for k in range(3):
        assert np.isnan(loss(y_true, at(y_pred, (k, 0), np.nan), backend=backend))


@every_backend
def test_semi_hard_triplets_in_a_model(backend):
    rng = np.random.default_rng(5)
    labels = np.repeat([10, -4, 7], 20)
    x = rng.standard_normal((60, 4)) + 1.5 * np.eye(4)[labels % 3]
    model = Sequential([Dense(8, activation="tanh"), Dense(2)], input_shape=4, seed=0)
    model.compile(fastbp.optimizers.Adam(0.02), "triplet_semi_hard", dtype="float64", backend=backend)
    before = model.evaluate(x, labels)["loss"]
    model.fit(x, labels, batch_size=25, epochs=40, seed=0, verbose=0)
    found = model.evaluate(x, labels)["loss"]
    assert found < 0.6 * before
    np.testing.assert_allclose(found, losses.TripletSemiHard()(labels, model.predict(x)), rtol=1e-12)
    for form in (labels[:, None], labels.astype(float), labels.astype("i2"), labels.tolist()):
        assert model.evaluate(x, form)["loss"] == found
    for _ in range(2):
        assert model.train_on_batch(x, labels) > 0
    model.program.run(check="numpy")


@every_backend
def test_a_weight_of_positives(backend):
    z = np.linspace(-4, 4, 9)
    p, y = 1 / (1 + np.exp(-z)), np.arange(9) % 2.0
    for from_logits, y_pred in ((True, z), (False, p)):
        ones, heavy = (losses.BinaryCrossEntropy(from_logits, pos_weight=w, reduction="sum") for w in (1.0, 4.0))
        want = 4 * ones(y[y == 1], y_pred[y == 1]) + ones(y[y == 0], y_pred[y == 0])
        np.testing.assert_allclose(heavy(y, y_pred, backend=backend), want, rtol=1e-14)
        want = ones.gradient(y, y_pred) * np.where(y == 1, 4, 1)
        np.testing.assert_allclose(heavy.gradient(y, y_pred, backend=backend), want, rtol=1e-13)


def test_without_a_weight_the_kernels_are_those_of_before():
    for from_logits, name in ((True, "sigmoid_cross_entropy"), (False, "binary_cross_entropy")):
        assert losses.BinaryCrossEntropy(from_logits).row.name == name
        assert losses.BinaryCrossEntropy(from_logits, pos_weight=2).row.name == f"weighted_{name}"


LABELS = np.array([2, 0, 1, 1])
ROWS = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.6, 0.2, 0.2]])
SMOOTH = [
    (losses.BinaryCrossEntropy, np.eye(3)[LABELS], 0.5),
    (losses.CategoricalCrossEntropy, np.eye(3)[LABELS], 1 / 3),
    (losses.SparseCategoricalCrossEntropy, LABELS, 1 / 3),
]


@every_backend
@pytest.mark.parametrize("from_logits", [True, False])
@pytest.mark.parametrize(("cls", "y", "share"), SMOOTH)
def test_label_smoothing_is_the_loss_of_smoothed_targets(cls, y, share, from_logits, backend):
    for dtype in ("float32", "float64"):
        y_pred = ROWS.astype(dtype)
        sure = np.eye(3, dtype=dtype)[LABELS]
        smoothed = sure * (1 - 0.3) + 0.3 * share
        assert smoothed.dtype == dtype
        plain = losses.CategoricalCrossEntropy if cls is losses.SparseCategoricalCrossEntropy else cls
        y_true = y.astype(dtype) if y.ndim == 2 else y
        for function in ("__call__", "gradient"):
            got = getattr(cls(from_logits, 0.3), function)(y_true, y_pred, backend=backend)
            want = getattr(plain(from_logits), function)(smoothed, y_pred, backend=backend)
            assert_same_bits(got, want, f"{cls} {function}")
            assert (got != getattr(plain(from_logits), function)(sure, y_pred, backend=backend)).any()
            # weights of samples, and losses that are not reduced
            for weight in (None, [1, 0, 0.25, 3]):
                each = cls(from_logits, 0.3, reduction="none")
                got = getattr(each, function)(y_true, y_pred, backend, weight)
                want = getattr(plain(from_logits, reduction="none"), function)(smoothed, y_pred, backend, weight)
                assert_same_bits(got, want, f"{cls} {function} {weight}")
        # none is none
        assert cls(from_logits, 0).row is cls(from_logits).row
        assert_same_bits(cls(from_logits, 0)(y_true, y_pred, backend=backend), cls(from_logits)(y_true, y_pred))


@every_backend
def test_smoothing_has_the_precision_of_both_arrays(backend):
    loss = losses.BinaryCrossEntropy(label_smoothing=0.3)
    y = np.eye(3)[LABELS]
    for function in (loss, loss.gradient):
        assert_same_bits(function(y.astype("f4"), ROWS, backend=backend), function(y, ROWS, backend=backend))
        assert function(y.astype("f4"), ROWS.astype("f4"), backend=backend).dtype == np.float32


@every_backend
@pytest.mark.parametrize(("cls", "y", "share"), SMOOTH)
def test_label_smoothing_in_a_model(cls, y, share, backend):
    smooth = model_of(cls(label_smoothing=0.3), metrics=["accuracy"], backend=backend)
    plain = losses.CategoricalCrossEntropy if cls is losses.SparseCategoricalCrossEntropy else cls
    other = model_of(plain(), backend=backend)
    smoothed = np.eye(3)[LABELS] * (1 - 0.3) + 0.3 * share
    found = smooth.evaluate(X[:4], y)
    assert found["loss"] == other.evaluate(X[:4], smoothed)["loss"]
    # metrics see the targets as they were given
    assert found["accuracy"] == model_of(cls(), metrics=["accuracy"], backend=backend).evaluate(X[:4], y)["accuracy"]
    smooth.fit(X[:4], y, batch_size=2, epochs=3, seed=0, verbose=0)
    other.fit(X[:4], smoothed, batch_size=2, epochs=3, seed=0, verbose=0)
    for got, want in zip(smooth.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(got, want)
    names = {call.kernel.name for call in other.program.calls}
    assert not names & {"smooth_labels", "smooth_one_hot"}
    smooth.program.run(check="numpy")


# ------------------------------------------------------------------------------- weights of classes
WEIGHTS = {0: 4.0, 2: 0.5}


def weighted(kind, **options):
    """Return a loss whose classes weigh, its targets, what each row weighs, and the same loss without."""
    y = np.arange(12) % 3
    each = np.array([4.0, 1.0, 0.5])[y]
    if kind == "labels":
        return losses.SparseCategoricalCrossEntropy(class_weight=WEIGHTS, **options), y, each
    if kind == "bits":
        # each element has its own: what a row weighs is their sum
        return losses.BinaryCrossEntropy(class_weight=[0.5, 4.0], **options), BITS.astype(float), 0.5 + 3.5 * BITS
    if kind == "rows":
        return losses.CategoricalCrossEntropy(class_weight=WEIGHTS, **options), np.eye(3)[y], each
    options["ignore_index"] = 1
    return losses.SparseCategoricalCrossEntropy(class_weight=WEIGHTS, **options), y, each * (y != 1)


def without(loss):
    """Return a loss without its class weights."""
    config = {name: value for name, value in loss.get_config().items() if name not in ("class_weight", "ignore_index")}
    return type(loss)(**config)


every_kind = pytest.mark.parametrize("kind", ["labels", "rows", "ignored"])


@every_backend
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("units", [1, 3])
def test_zeros_and_ones_that_weigh(units, reduction, backend):
    loss, y, each = weighted("bits", reduction=reduction)
    y, each = y[:, :units], each[:, :units]
    model, twin = model_of(loss, units, backend=backend), model_of(without(loss), units, backend=backend)
    z = model.predict(X)
    elements = np.logaddexp(0, z) - y * z

    def mean(rows, weights=1.0):
        return (weights * each * elements)[rows].sum() / (each[rows].sum() if reduction == "mean" else 1)

    for size in (1, 5, 12):
        np.testing.assert_allclose(model.evaluate(X, y, batch_size=size)["loss"], mean(slice(12)), rtol=1e-12)
    given = np.arange(12) / 4
    found = model.evaluate(X, y, sample_weight=given, batch_size=5)["loss"]
    np.testing.assert_allclose(found, mean(slice(12), given[:, None]), rtol=1e-12)
    own = model.loss_function
    for rows in (slice(0, 4), slice(3, 10)):
        np.testing.assert_allclose(own(y[rows], z[rows]), mean(rows), rtol=1e-12)
        # where all targets of a row are alike, a row weighs as its elements do
        alike = np.broadcast_to(y[rows, :1], y[rows].shape)
        weight = 0.5 + 3.5 * alike[:, 0]
        weight = weight / weight.mean() if reduction == "mean" else weight
        plain = without(own).gradient(alike, z[rows], sample_weight=weight)
        np.testing.assert_allclose(own.gradient(alike, z[rows]), plain, rtol=1e-12, atol=1e-16)
    # without a last axis each element is a row
    np.testing.assert_allclose(own(y[:, 0], z[:, 0]), own(y[:, :1], z[:, :1]), rtol=1e-14)
    assert type(own)(own.from_logits, class_weight=loss.class_weight, reduction="none")(y, z).shape == (12,)
    for each_of in (model, twin):
        assert np.isfinite(each_of.train_on_batch(X, y))
    model.program.run(check="numpy")
    history = model.fit(X, y, batch_size=5, epochs=1, shuffle=False, seed=0, verbose=0).history
    sums = np.array([each[start : start + 5].sum() for start in (0, 5, 10)])
    losses_of = model.batch_losses[-3:]
    want = losses_of @ sums / sums.sum() if reduction == "mean" else losses_of.sum()
    np.testing.assert_allclose(history["loss"][-1], want, rtol=1e-12)


@every_backend
@every_kind
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_mean_is_over_the_weights_of_the_classes(kind, reduction, backend):
    loss, y, each = weighted(kind, reduction=reduction)
    model = model_of(loss, backend=backend)
    rows = without(model.loss_function)
    rows.reduction = "none"
    losses_of_rows = rows(y, model.predict(X))
    want = (each * losses_of_rows).sum() / (each.sum() if reduction == "mean" else 1)
    for size in (1, 5, 12):
        np.testing.assert_allclose(model.evaluate(X, y, batch_size=size)["loss"], want, rtol=1e-13)
    # of a sample that weighs besides, the mean is still over the classes
    given = np.arange(12) / 4
    want = (given * each * losses_of_rows).sum() / (each.sum() if reduction == "mean" else 1)
    np.testing.assert_allclose(model.evaluate(X, y, sample_weight=given, batch_size=5)["loss"], want, rtol=1e-13)
    # a batch has its own sum
    for part in (slice(0, 4), slice(3, 10)):
        want = (each * losses_of_rows)[part].sum() / (each[part].sum() if reduction == "mean" else 1)
        np.testing.assert_allclose(model.loss_function(y[part], model.predict(X[part])), want, rtol=1e-13)


@every_backend
@every_kind
def test_training_with_weights_of_classes(kind, backend):
    loss, y, each = weighted(kind)
    model, twin = model_of(loss, backend=backend), model_of(without(loss), backend=backend)
    # over all rows the step is that of rows that weigh as much, over their mean weight
    for _ in range(3):
        first = model.train_on_batch(X, y)
        np.testing.assert_allclose(first, twin.train_on_batch(X, y, sample_weight=each / each.mean()), rtol=1e-12)
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-13)
    model.program.run(check="numpy")
    history = model.fit(X, y, batch_size=5, epochs=2, shuffle=False, seed=0, verbose=0).history
    sums = np.array([each[start : start + 5].sum() for start in (0, 5, 10)])
    np.testing.assert_allclose(history["loss"][-1], model.batch_losses[-3:] @ sums / sums.sum(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:NLL takes logarithms")
def test_rows_of_no_weight_have_no_loss():
    for loss in (losses.SparseCategoricalCrossEntropy(True, class_weight=[0, 1]), losses.NLL(class_weight=[0, 1])):
        assert loss([0, 0], [[1.0, 2.0], [0.5, 0.0]]) == 0
        assert not loss.gradient([0, 0], [[1.0, 2.0], [0.5, 0.0]]).any()
        assert model_of(loss, 2).evaluate(X, np.zeros(12, int))["loss"] == 0


@pytest.mark.filterwarnings("ignore:NLL takes logarithms")
def test_weights_of_classes_that_do_not_fit():
    for given, message in (({3: 1.0}, "a weight for class 3; the classes are 0 .. 2"), ([1, 2], "2 weights; the out")):
        with pytest.raises(ValueError, match=f"class_weight has {message}"):
            model_of(losses.SparseCategoricalCrossEntropy(class_weight=given))
    model = Sequential([Dense(3)], input_shape=4)
    for loss in (losses.SparseCategoricalCrossEntropy(class_weight=WEIGHTS), losses.NLL(class_weight=WEIGHTS)):
        model.compile(fastbp.optimizers.SGD(gradient_accumulation_steps=2), loss)
        with pytest.raises(ValueError, match="gradient_accumulation_steps is 2; a mean over the weights of classes is"):
            model.fit(X, np.zeros(12, int), verbose=0)


@every_backend
def test_logarithms_of_probabilities(backend):
    ends = {"log_softmax": losses.NLL(), None: losses.SparseCategoricalCrossEntropy()}
    models = [Sequential([Dense(5), Dense(3, activation=end)], input_shape=4, seed=0) for end in ends]
    y = np.arange(12) % 3
    for model, loss in zip(models, ends.values(), strict=True):
        model.compile("sgd", loss, ["accuracy", "f1_score"], backend, "float64")
    for _ in range(3):
        got, want = (model.train_on_batch(X, y) for model in models)
        np.testing.assert_allclose(got, want, rtol=1e-12)
    np.testing.assert_allclose(models[0].predict_proba(X), models[1].predict_proba(X), rtol=1e-12)
    assert models[0].evaluate(X, y)["f1_score"] == models[1].evaluate(X, y)["f1_score"]
    # what other classes have may be -inf
    loss = losses.NLL()([0], [[-0.5, -np.inf]], backend=backend)
    assert loss == 0.5
    message = r"NLL takes logarithms of probabilities, but the outputs are (linear|a softmax's): end the model with"
    for end in (None, "softmax"):
        with pytest.warns(UserWarning, match=message):
            Sequential([Dense(3, activation=end)], input_shape=4).compile("sgd", losses.NLL())


@every_backend
def test_dice(backend):
    y = np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    p = np.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    loss = losses.Dice(reduction="none")
    np.testing.assert_allclose(loss(y, p, backend=backend), [1 / 3, 0, 0], atol=1e-7)
    np.testing.assert_allclose(losses.Dice()(y, p, backend=backend), 1 / 9, atol=1e-7)
    model = Sequential([Dense(4, activation="sigmoid")], input_shape=4, seed=0)
    model.compile(fastbp.optimizers.Adam(0.1), "dice", ["accuracy"], backend)
    masks = (X > 0) * 1.0
    before = model.evaluate(X, masks)["loss"]
    model.fit(X, masks, epochs=60, verbose=0, seed=0)
    assert model.evaluate(X, masks)["loss"] < 0.3 * before
    with pytest.warns(UserWarning, match="Dice takes probabilities, but the outputs are linear: end the"):
        model_of("dice")


@every_backend
def test_labels_beside_a_margin(backend):
    z = np.array([[0.5, 0.0, 2.0, -3.0], [1.0, 0.0, 0.0, 0.0]])
    assert losses.MultiMargin()([0, 0], z, backend=backend) == (0.5 + 2.5) / 4 / 2
    assert losses.MultiMargin(p=2, reduction="sum")([0, 0], z, backend=backend) == (0.25 + 6.25) / 4
    want = np.array([[-2, 1, 1, 0], [0.0, 0, 0, 0]]) / 8
    assert np.array_equal(losses.MultiMargin().gradient([0, 0], z, backend=backend), want)
    bits = np.array([[1.0, 0, 1, 0], [0, 0, 0, 0]])
    assert losses.MultiLabelMargin()(bits, z, backend=backend) == (0.5 + 0 + 0 + 0) / 4 / 2
    found = losses.MultiLabelMargin().gradient(bits, z, backend=backend)
    np.testing.assert_array_equal(found, [[-1 / 8, 1 / 8, 0, 0], [0, 0, 0, 0]])


@every_backend
def test_pairs(backend):
    y, d = np.array([1.0, -1.0, -1.0, 1.0]), np.array([0.5, 0.25, 0.75, -0.5])
    for loss, want, slopes in (
        (losses.MarginRanking(0.5), [0, 0.75, 1.25, 1], [0, 1, 1, -1]),
        (losses.HingeEmbedding(0.5), [0.5, 0.25, 0, -0.5], [1, -1, 0, 1]),
        (losses.CosineEmbedding(0.5), [0.5, 0, 0.25, 1.5], [-1, 0, 1, -1]),
    ):
        assert loss(y, d, backend=backend) == sum(want) / 4
        assert np.array_equal(loss.gradient(y, d, backend=backend), np.array(slopes) / 4)
        with pytest.raises(ValueError, match=r"predict_classes needs .* model.predict\(x\) returns the outputs"):
            loss.link_of("predict_classes")
    # in a model the layers make what the loss is of
    a, b = fastbp.Input(4), fastbp.Input(4)
    dense = Dense(5, activation="tanh")
    model = fastbp.Model([a, b], fastbp.layers.Dot(-1, normalize=True)([dense(a), dense(b)]), seed=0)
    model.compile(fastbp.optimizers.Adam(0.05), losses.CosineEmbedding(), backend=backend)
    signs = np.where(np.minimum(np.arange(12), np.arange(12)[::-1]) % 2, 1.0, -1.0)
    before = model.evaluate([X, X[::-1]], signs)["loss"]
    model.fit([X, X[::-1]], signs, epochs=60, verbose=0, seed=0)
    assert model.evaluate([X, X[::-1]], signs)["loss"] < 0.7 * before


# ------------------------------------------------------------------------------------------ options
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: losses.Contrastive(margin=0), ValueError, r"margin is 0; it must be in \(0, inf\)"),
        (lambda: losses.CosineSimilarity(eps=0), ValueError, r"eps is 0; it must be in \(0, inf\)"),
        (lambda: losses.TripletMargin(margin=-1), ValueError, r"margin is -1; it must be in \(0, inf\)"),
        (lambda: losses.TripletMargin(eps=-1e-9), ValueError, r"eps is -1e-09; it must be in \[0, inf\)"),
        (lambda: losses.TripletSemiHard(margin=np.inf), ValueError, "margin is inf"),
        (lambda: losses.Contrastive(margin="1 m"), TypeError, "margin is '1 m'; it must be a number"),
        (lambda: losses.BinaryCrossEntropy(pos_weight=0), ValueError, r"pos_weight is 0; it must be in \(0, inf\)"),
        (lambda: losses.BinaryCrossEntropy(pos_weight=np.nan), ValueError, "pos_weight is nan"),
        (lambda: losses.SmoothL1(beta=0), ValueError, r"beta is 0; it must be in \(0, inf\)"),
        (lambda: losses.MultiMargin(p=3), ValueError, "p is 3; it must be "),
        (lambda: losses.CosineEmbedding(margin=2), ValueError, r"margin is 2; it must be in \[-1, 1\]"),
        (lambda: losses.Dice(eps=0), ValueError, r"eps is 0; it must be in \(0, inf\)"),
        (lambda: losses.CategoricalFocalCrossEntropy(alpha=[1, -1]), ValueError, r"alpha\[1\] is -1; it must be in"),
        (lambda: losses.NLL(class_weight="balanced"), ValueError, r"class_weight is 'balanced'; a loss does not know"),
        (lambda: losses.NLL(class_weight={-1: 2.0}), ValueError, "a class of class_weight is -1; it must be"),
        (lambda: losses.NLL(class_weight={0: -2.0}), ValueError, r"class_weight\[0\] is -2.0; it must be in \[0, inf"),
        (lambda: losses.NLL(class_weight=[]), ValueError, r"class_weight is \[\]; it must be a dict"),
        (lambda: losses.NLL(class_weight=2.0), ValueError, "class_weight is 2.0; it must be a dict"),
        (lambda: losses.NLL(class_weight=[1.0])([0], [[0.1, 0.2]]), ValueError, "class_weight has 1 weights; the out"),
        *(
            (lambda cls=cls, s=s: cls(None, s), ValueError, rf"label_smoothing is {s}; it must be in \[0, 1\]")
            for cls, *_ in SMOOTH for s in (-0.1, 1.5)
        ),
    ],
)
def test_bad_options(make, error, message):
    with pytest.raises(error, match=message):
        make()


#: Losses with options that are not the defaults, the number of outputs and targets.
MADE = [
    (losses.Contrastive(margin=0.5, reduction="sum"), 3, BITS),
    (losses.BinaryCrossEntropy(pos_weight=3, label_smoothing=0.1), 3, BITS),
    (losses.CategoricalHinge("sum"), 3, np.eye(3)[np.arange(12) % 3]),
    (losses.CosineSimilarity(eps=0.5), 3, X[:, :3]),
    (losses.GaussianNLL("sum"), 6, X[:, :3]),
    (losses.TripletMargin(margin=2.5, eps=0.01, reduction="sum"), 3, THREES),
    (losses.TripletSemiHard(margin=0.2, squared=True), 3, np.arange(12) % 5 - 2),
    (losses.CategoricalCrossEntropy(label_smoothing=0.1, reduction="sum"), 3, BITS),
    (losses.SparseCategoricalCrossEntropy(label_smoothing=0.1), 3, np.arange(12) % 3),
    (losses.SparseCategoricalCrossEntropy(class_weight={0: 2, 2: 0.5}, ignore_index=1), 3, np.arange(12) % 3),
    (losses.CategoricalCrossEntropy(class_weight=[1, 2, 3], label_smoothing=0.1), 3, np.eye(3)[np.arange(12) % 3]),
    (losses.BinaryCrossEntropy(class_weight={1: 4}, label_smoothing=0.1, pos_weight=0.5), 3, BITS),
    (losses.NLL(ignore_index=-1, class_weight={1: 3}, reduction="sum"), 3, np.arange(12) % 4 - 1),
    (losses.CategoricalFocalCrossEntropy(None, 0.1, alpha=[1, 2, 0], gamma=1), 3, np.eye(3)[np.arange(12) % 3]),
    (losses.MultiMargin(margin=0.5, p=2), 3, np.arange(12) % 3),
    (losses.MultiLabelMargin("sum"), 3, BITS),
    (losses.MarginRanking(margin=0.5), 3, 2 * BITS - 1),
    (losses.HingeEmbedding(margin=0.5), 3, 2 * BITS - 1),
    (losses.CosineEmbedding(margin=0.5), 3, 2 * BITS - 1),
    (losses.SoftMargin("sum"), 3, 2 * BITS - 1),
    (losses.SmoothL1(beta=0.5), 3, X[:, :3]),
    (losses.MeanAbsolutePercentageError(eps=0.5), 3, X[:, :3]),
    (losses.MeanSquaredLogarithmicError(eps=0.5), 3, np.abs(X[:, :3])),
]


@pytest.mark.filterwarnings("ignore:NLL takes logarithms")
@pytest.mark.parametrize(("loss", "units", "y"), MADE, ids=[repr(loss) for loss, *_ in MADE])
def test_options_come_back_from_a_file(loss, units, y, tmp_path):
    model = model_of(loss, units)
    model.fit(X, y, batch_size=6, epochs=2, seed=1, verbose=0)
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert again.loss_function.get_config() == model.loss_function.get_config()
    assert repr(again.loss_function) == repr(model.loss_function)
    assert again.evaluate(X, y) == model.evaluate(X, y)
    config = {**loss.get_config(), "class_weight": loss.class_weight}
    assert all(value == getattr(again.loss_function, name) for name, value in config.items() if value)
    for each in (model, again):
        each.fit(X, y, batch_size=6, epochs=2, seed=2, verbose=0)
    for got, want in zip(again.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(got, want)


def test_the_model_decides_about_logits_and_nothing_else():
    config = {"pos_weight": 3.0, "label_smoothing": 0.1, "reduction": "sum"}
    assert model_of(losses.BinaryCrossEntropy(**config)).loss_function.get_config() == {**config, "from_logits": True}


# ------------------------------------------------------------------------------------------ targets
@every_backend
@pytest.mark.parametrize(
    ("loss", "value", "message"),
    [
        ("contrastive", 0.5, r"y\[4, 1\] is 0.5; targets of Contrastive\(.*\) must be 0 or 1$"),
        ("contrastive", -1, r"y\[4, 1\] is -1.0; targets of Contrastive\(.*\) must be 0 or 1$"),
        ("hinge", 0.5, r"y\[4, 1\] is 0.5; targets of Hinge\(.*\) must be -1 or 1$"),
    ],
)
def test_targets_of_two_values(loss, value, message, backend):
    y = 2 * BITS - 1.0 if loss == "hinge" else BITS.astype(float)
    model = model_of(loss, backend=backend)
    for _ in range(2):  # the second time the compiled backends take the arrays as they are, if they may
        model.train_on_batch(X, y)
    weights = model.get_weights()
    y[4, 1] = value
    for call in (lambda: model.fit(X, y, verbose=0), lambda: model.train_on_batch(X, y), lambda: model.evaluate(X, y)):
        with pytest.raises(ValueError, match=message):
            call()
    for got, want in zip(model.get_weights(), weights, strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: at(y, (4, 1), 0.5), r"y\[4\] is \[.*\]; targets of CategoricalHinge\(.*\) must be rows of 0 with a"),
        (lambda y: at(y, (4, 0), 1), r"y\[4\] is \[1. 1. 0.\]; .* with a single 1$"),
        (lambda y: at(y, (4, 1), 0), r"y\[4\] is \[0. 0. 0.\]; .* with a single 1$"),
        (lambda y: y.argmax(axis=1), r"y has shape \(12,\); it must be \(12, 3\); np.eye\(3\)\[y\] makes one-hot rows"),
    ],
)
def test_targets_that_are_not_one_hot(change, message):
    y = np.eye(3)[np.arange(12) % 3]
    model = model_of("categorical_hinge", metrics=["categorical_accuracy"])
    model.fit(X, y, epochs=2, verbose=0)
    model.train_on_batch(X, y)
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=message):
            call(X, change(y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: y[:-1], r"y has 11 rows; TripletMargin\(.*\) takes rows in threes: anchor, positive, negative"),
        (lambda y: at(y, 4, 7), r"y\[3:6\] is \[0 7 1\]; .* in threes: .*, and the first two of them must be equal"),
        (lambda y: at(y, 8, 0), r"y\[6:9\] is \[0 0 0\]; .* the first two of them must be equal, the third another"),
        (lambda y: y + 0.5, r"y\[0\] is 0.5; labels must be whole numbers"),
        (lambda y: np.eye(3)[y], r"y has shape \(12, 3\); labels must be \(12,\)$"),
    ],
)
def test_targets_that_are_no_triplets(change, message):
    model = model_of(losses.TripletMargin())
    model.fit(X, THREES, batch_size=3, epochs=2, verbose=0)
    model.train_on_batch(X, THREES)
    before = model.get_weights()
    y = change(THREES)
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=message):
            call(X[: len(y)], y)
    for got, want in zip(model.get_weights(), before, strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize("size", [1, 4, 11])
def test_batches_that_would_part_triplets(size):
    model = model_of(losses.TripletMargin())
    with pytest.raises(ValueError, match=rf"batch_size is {size}; TripletMargin\(.* 3 rows together, .* multiple of 3"):
        model.fit(X, THREES, batch_size=size)
    assert model.history is None
    model.fit(X, THREES, batch_size=13, epochs=1, verbose=0)
    with pytest.raises(ValueError, match=r"validation_split is 0.9; of 12 rows that leaves 0 to train on"):
        model.fit(X, THREES, validation_split=0.9)


@pytest.mark.parametrize(
    ("arrays", "shapes"),
    [
        ((X, X[1:], X), r"anchor \(12, 4\), positive \(11, 4\), negative \(12, 4\)"),
        ((X[0], X[0], X[0]), r"anchor \(4,\), positive \(4,\), negative \(4,\)"),
    ],
)
def test_arrays_that_are_no_triplets(arrays, shapes):
    loss = losses.TripletMargin()
    for function in (loss, loss.gradient):
        with pytest.raises(ValueError, match=rf"the shapes are {shapes}; they must be one and the same \(triplets, "):
            function(*arrays)


def test_triplets_take_no_weights_of_rows():
    for loss in (losses.TripletMargin(), losses.TripletSemiHard()):
        model = model_of(loss)
        before = model.get_weights()
        for call in (model.fit, model.evaluate, model.train_on_batch):
            with pytest.raises(ValueError, match=r"sample_weight is given; Triplet.* does not support weights"):
                call(X, THREES, sample_weight=np.ones(12))
        with pytest.raises(ValueError, match=r"class_weight is given; Triplet.* does not support weights"):
            model.fit(X, THREES, class_weight={0: 2.0})
        with pytest.raises(ValueError, match=r"validation_data\[2\] is given; Triplet.* does not support weights"):
            model.fit(X, THREES, validation_data=(X, THREES, np.ones(12)))
        for got, want in zip(model.get_weights(), before, strict=True):
            assert_same_bits(got, want)
    for options in ({"sample_weight": np.ones(12)}, {}):
        loss = losses.TripletSemiHard(reduction="mean" if options else "none")
        with pytest.raises(ValueError, match="it supports neither weights nor the reduction 'none'"):
            loss(THREES, X, **options)


@pytest.mark.parametrize("value", [2**64 - 1, 1e30])
def test_groups_that_are_too_large(value):
    y = np.array([value] * 12, np.uint64 if isinstance(value, int) else float)
    with pytest.raises(ValueError, match=r"y\[0\] is .*; groups must fit int64"):
        model_of("triplet_semi_hard").fit(X, y)


def test_embeddings_are_no_classes():
    for metric in ("accuracy", "sparse_categorical_accuracy", "mae"):
        with pytest.raises(ValueError, match="needs"):
            model_of("triplet_semi_hard", metrics=[metric])


def test_outputs_that_have_no_halves():
    odd = "the model has 3 outputs; GaussianNLL takes 2 n in a row, n means"
    with pytest.raises(ValueError, match=odd):
        model_of("gaussian_nll", 3)
    # where the number of outputs is not known yet, with the first data
    model = Sequential([Dense(3)])
    model.compile("sgd", "gaussian_nll")
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(ValueError, match=odd):
            call(X, X[:, :3])
    assert model.layout is None
    with pytest.raises(ValueError, match=r"y has shape \(12, 4\); it must be \(12, 2\)"):
        model_of("gaussian_nll", 4).fit(X, X)
    deep = Sequential([fastbp.Activation("tanh")], input_shape=(2, 3))
    with pytest.raises(ValueError, match=r"the model has outputs of shape \(2, 3\); GaussianNLL takes"):
        deep.compile("sgd", "gaussian_nll")
    loss = losses.GaussianNLL()
    for y_pred in (np.ones((4, 3)), np.ones(4)):
        for function in (loss, loss.gradient):
            with pytest.raises(ValueError, match=r"y_pred has shape .*; it must be \(rows, 2 n\): n means, then n log"):
                function(np.ones((4, 1)), y_pred)
    with pytest.raises(ValueError, match=r"y_true has shape \(4, 2\); it must be \(4, 1\)"):
        loss(np.ones((4, 2)), np.ones((4, 2)))


@pytest.mark.parametrize("metric", ["mae", "mse", "r2_score", "binary_accuracy", "categorical_accuracy"])
def test_means_and_log_variances_are_no_predictions(metric):
    with pytest.raises(ValueError, match=r"metric .* needs .*, got GaussianNLL"):
        model_of("gaussian_nll", 4, metrics=[metric])


def test_a_distance_is_no_prediction_of_its_target():
    for metric in ("mae", "accuracy"):
        with pytest.raises(ValueError, match="needs"):
            model_of("contrastive", metrics=[metric])
    assert fastbp.losses.get("contrastive").margin == 1


# ------------------------------------------------------------------------------------ calls on arrays
#: Losses of two arrays, most of whose options are not the default ones.
ON_ARRAYS = [
    losses.MeanSquaredError(), losses.MeanSquaredError("sum"), losses.MeanAbsoluteError(), losses.Huber(0.5),
    losses.LogCosh(), losses.Hinge(), losses.SquaredHinge(), losses.CategoricalHinge(), losses.CosineSimilarity(0.5),
    losses.Contrastive(2.0), losses.TripletSemiHard(0.5, squared=True), losses.Poisson(eps=0.5),
    losses.Poisson(log_input=True), losses.BinaryFocalCrossEntropy(1.5, 0.5), losses.BinaryCrossEntropy(),
    losses.BinaryCrossEntropy(True, pos_weight=3.0), losses.CategoricalCrossEntropy(),
    losses.CategoricalCrossEntropy(True), losses.SparseCategoricalCrossEntropy(),
    losses.SparseCategoricalCrossEntropy(True, reduction="sum"), losses.KLDivergence(),
]  # fmt: skip
#: Those that make more calls than one each way.
LONGER = [
    losses.GaussianNLL(), losses.BinaryCrossEntropy(True, 0.25), losses.CategoricalCrossEntropy(True, 0.25),
    losses.SparseCategoricalCrossEntropy(True, 0.25), losses.SparseCategoricalCrossEntropy(ignore_index=1),
    losses.MeanSquaredError("none"), losses.KLDivergence("none"),
    losses.SparseCategoricalCrossEntropy(reduction="none"),
]  # fmt: skip


def arrays_for(loss, dtype, rows=32, n=4):
    """Return targets and predictions as a loss takes them."""
    rng = np.random.default_rng(rows)
    labels = rng.integers(n, size=rows)
    y_pred = rng.random((rows, n)).astype(dtype)
    targets = {
        "labels": labels, "groups": labels, "one_hot": np.eye(n)[labels], "binary": rng.integers(0, 2, (rows, n)),
        "signs": 2 * rng.integers(0, 2, (rows, n)) - 1, "means": rng.random((rows, n // 2)),
        "real": rng.random((rows, n)),
    }[loss.targets]  # fmt: skip
    return targets if loss.takes_integers else targets.astype(dtype), y_pred


def strided(array):
    return np.repeat(array, 2, axis=0)[::2]


@pytest.mark.parametrize("loss", [*ON_ARRAYS, *LONGER], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@every_backend
def test_arrays_as_they_are_and_others_give_the_same_bits(loss, dtype, numerics, backend):
    y_true, y_pred = arrays_for(loss, dtype)
    choice = {"backend": backend, "numerics": numerics}
    for function in (loss, loss.gradient):
        got = function(y_true, y_pred, **choice)
        assert got.dtype == dtype
        assert_same_bits(got, function(strided(y_true), strided(y_pred), **choice))
        if numerics == "portable":
            assert_same_bits(got, function(y_true, y_pred, numerics="portable"), "one pattern for all backends")


@needs_modules
@pytest.mark.parametrize("loss", ON_ARRAYS, ids=repr)
def test_one_call_each_way_needs_no_conversion(loss, monkeypatch):
    y_true, y_pred = arrays_for(loss, "float32")
    want = loss(strided(y_true), strided(y_pred)), loss.gradient(strided(y_true), strided(y_pred))
    monkeypatch.setattr(losses.Loss, "_of_arrays", None)
    assert_same_bits(loss(y_true, y_pred), want[0])
    assert_same_bits(loss.gradient(y_true, y_pred), want[1])


@pytest.mark.parametrize("loss", [*ON_ARRAYS, losses.TripletMargin(), *LONGER], ids=repr)
def test_a_loss_keeps_nothing_of_its_arrays_and_says_the_same_when_copied(loss):
    arrays = [*arrays_for(loss, "float64")] if loss.rows_per_sample == 1 else [np.ones((2, 3)) * k for k in (1, 2, 4)]
    want = loss(*arrays), loss.gradient(*arrays)
    for made in (pickle.loads(pickle.dumps(loss)), copy.copy(loss), copy.deepcopy(loss)):
        assert repr(made) == repr(loss)
        assert vars(made).keys() <= vars(loss).keys()
        assert_same_bits(made(*arrays), want[0])
        assert_same_bits(np.asarray(made.gradient(*arrays)), np.asarray(want[1]))
    before = [sys.getrefcount(array) for array in arrays]
    for _ in range(10):
        loss(*arrays), loss.gradient(*arrays)
    assert [sys.getrefcount(array) for array in arrays] == before


def test_a_loss_on_arrays_goes_by_what_it_is_now():
    y, y_pred = np.zeros(2), np.array([0.5, 3.0])
    loss = losses.Huber()
    assert loss(y, y_pred) == 1.3125
    loss.delta = 2.0
    assert loss(y, y_pred) == (0.125 + 2 * (3 - 1)) / 2
    assert_same_bits(loss.gradient(y, y_pred), np.array([0.25, 1.0]))
    loss.reduction = "sum"
    assert loss(y, y_pred) == 0.125 + 2 * (3 - 1)
    loss.reduction = "none"
    assert_same_bits(loss(y, y_pred), np.array([0.125, 4.0]))


def test_a_class_of_the_users_is_asked_at_each_call():
    class Sharpening(losses.Huber):
        temperature = 1.0

        def attributes(self):
            return {**super().attributes(), "delta": Sharpening.temperature}

    loss, y, y_pred = Sharpening(), np.zeros(2), np.array([0.5, 3.0])
    assert loss(y, y_pred) == 1.3125
    Sharpening.temperature = 2.0
    assert loss(y, y_pred) == losses.Huber(2.0)(y, y_pred)
    assert_same_bits(loss.gradient(y, y_pred), losses.Huber(2.0).gradient(y, y_pred))


@pytest.mark.parametrize("function", ["__call__", "gradient"])
def test_wrong_arguments_of_a_call_on_arrays(function):
    y_true, y_pred = arrays_for(losses.SparseCategoricalCrossEntropy(), "float32")
    call = getattr(losses.SparseCategoricalCrossEntropy(), function)
    with pytest.raises(ValueError, match="numerics is 'exact'; it must be 'numpy' or 'portable'"):
        call(y_true, y_pred, numerics="exact")
    with pytest.raises(ValueError, match="did you mean 'cython'"):
        call(y_true, y_pred, backend="cyton")
    for wrong in (y_true + 1, y_true - 1):
        with pytest.raises(IndexError, match="out of range"):
            call(wrong, y_pred)
    with pytest.raises(ValueError, match="y_true"):
        call(y_true[:-1], y_pred)
    # the orders of the two
    for text in (losses.Loss.__call__.__doc__, losses.Loss.gradient.__doc__):
        assert "y_pred" in text and "kernels" in text and "Keras'" in text


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_losses_of_single_numbers_and_of_no_rows(numerics):
    for call in (losses.MeanSquaredError("none"), losses.MeanSquaredError()):
        assert call(1.0, 3.0, numerics=numerics) == 4
        assert call.gradient(1.0, 3.0, numerics=numerics) == 4
    none = losses.SparseCategoricalCrossEntropy(from_logits=True, reduction="sum")
    for backend in ("numpy", *BACKENDS):
        assert none(np.zeros(0, np.int64), np.zeros((0, 3)), backend, numerics=numerics) == 0


def test_sums_of_samples_are_portable():
    rng = np.random.default_rng(1)
    y_true, y_pred = (rng.random((3, 1000), np.float32) for _ in range(2))
    got = losses.MeanSquaredError("none")(y_true, y_pred, numerics="portable")
    mean = losses.MeanSquaredError()
    assert_same_bits(got, np.array([mean(t, p, numerics="portable") for t, p in zip(y_true, y_pred, strict=True)]))


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("loss", [losses.MeanSquaredError, losses.Huber, losses.SparseCategoricalCrossEntropy])
def test_mean_over_the_sum_of_the_weights(loss, numerics):
    """``numpy.average``: a weight counts as often as a row that is there so often."""
    rng = np.random.default_rng(3)
    y = rng.random((6, 3))
    t = rng.integers(0, 3, 6) if loss is losses.SparseCategoricalCrossEntropy else rng.random((6, 3))
    plain, own = loss(), loss(reduction="mean_with_sample_weight")
    assert own.averages and plain.averages and not loss(reduction="sum").averages
    for weight in (np.array([2.0, 0, 1, 3, 0, 1]), np.ones(6)):
        times = weight.astype(int)
        want = plain(t.repeat(times, axis=0), y.repeat(times, axis=0))
        np.testing.assert_allclose(own(t, y, sample_weight=weight, numerics=numerics), want, rtol=1e-14)
        slope = own.gradient(t, y, sample_weight=weight, numerics=numerics)
        np.testing.assert_allclose(slope, plain.gradient(t, y) * (6 * weight / weight.sum())[:, None], rtol=1e-14)
    # without weights, and where all are 0
    assert own(t, y) == plain(t, y)
    assert own(t, y, sample_weight=np.zeros(6), numerics=numerics) == 0
    with pytest.raises(ValueError, match="'none' or 'mean_with_sample_weight'; did you mean 'mean'"):
        loss(reduction="means")
