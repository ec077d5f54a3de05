"""Weights of samples and classes, labels that are ignored, and losses that are not reduced."""

import functools
import importlib.util

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, Sequential, kernels, losses
from fastbp.kernels.table import TABLE

ALL = ("numpy", *BACKENDS)
#: A loss of each kind: elements, elements on logits, rows of distributions, rows with a sum of their own, labels.
LOSSES = {
    "mse": (losses.MeanSquaredError, "real"),
    "huber": (losses.Huber, "real"),
    "contrastive": (losses.Contrastive, "binary"),
    "gaussian": (losses.GaussianNLL, "means"),
    "bce": (lambda **k: losses.BinaryCrossEntropy(True, **k), "binary"),
    "bce, positives weighed": (lambda **k: losses.BinaryCrossEntropy(False, pos_weight=3.0, **k), "binary"),
    "categorical hinge": (losses.CategoricalHinge, "one_hot"),
    "cosine": (losses.CosineSimilarity, "real"),
    "cce": (lambda **k: losses.CategoricalCrossEntropy(False, **k), "one_hot"),
    "cce on logits": (lambda **k: losses.CategoricalCrossEntropy(True, **k), "one_hot"),
    "kl": (losses.KLDivergence, "one_hot"),
    "scce": (lambda **k: losses.SparseCategoricalCrossEntropy(False, **k), "label"),
    "scce on logits": (lambda **k: losses.SparseCategoricalCrossEntropy(True, **k), "label"),
}


def data(kind, rows=13, n=3, dtype="float64"):
    rng = np.random.default_rng(5)
    y_pred = rng.dirichlet(np.ones(n), rows).astype(dtype)
    labels = rng.integers(n, size=rows)
    y_true = {
        "real": rng.standard_normal((rows, n)).astype(dtype),
        "binary": (rng.random((rows, n)) < 0.5).astype(dtype),
        "one_hot": np.eye(n, dtype=dtype)[labels],
        "label": labels,
        "means": rng.standard_normal((rows, n)).astype(dtype),
    }[kind]
    y_pred = np.concatenate([y_pred, rng.standard_normal((rows, n)).astype(dtype)], 1) if kind == "means" else y_pred
    return y_true, y_pred, rng.random(rows).astype(dtype)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("name", LOSSES)
def test_what_is_not_reduced_is_each_sample_alone(name, backend):
    make, kind = LOSSES[name]
    y_true, y_pred, weight = data(kind)
    each, mean = make(reduction="none"), make()
    got, gradient = each(y_true, y_pred, backend), each.gradient(y_true, y_pred, backend)
    weighed = each(y_true, y_pred, backend, weight)
    assert got.shape == (13,)
    for i in range(13):
        one = slice(i, i + 1)
        # the mean over one sample is that of its elements
        np.testing.assert_allclose(got[i], mean(y_true[one], y_pred[one], backend), rtol=1e-14)
        np.testing.assert_allclose(gradient[one], mean.gradient(y_true[one], y_pred[one], backend), rtol=1e-13)
        np.testing.assert_allclose(weighed[i], weight[i] * got[i], rtol=1e-15)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_weighted_losses_by_their_formula(name, reduction, backend):
    make, kind = LOSSES[name]
    y_true, y_pred, weight = data(kind)
    loss = make(reduction=reduction)
    forward = TABLE[loss.row.name].kernels[f"{loss.row.name}_forward"]
    as_it_is = y_pred.reshape(13, 2, 3) if kind == "means" else y_pred
    outputs = getattr(kernels, forward.name)(as_it_is, y_true, backend="numpy", **loss.attributes())
    known = dict(zip((o.name for o in forward.results), outputs, strict=True))
    if "sample_loss" in known:
        weighed = known["sample_loss"] * weight
        want = weighed.sum() / (13 if reduction == "mean" else 1)
    else:
        weighed = known["elements"] * weight[:, None]
        rows = name in ("cce", "kl")
        want = weighed.sum() / ((13 if rows else weighed.size) if reduction == "mean" else 1)
    assert_same_bits(loss(y_true, y_pred, backend, weight), want)
    plain = loss.gradient(y_true, y_pred, "numpy")
    assert_same_bits(loss.gradient(y_true, y_pred, backend, weight), plain * weight[:, None])
    # weights of 1 change no bit
    assert_same_bits(loss(y_true, y_pred, backend, np.ones(13)), loss(y_true, y_pred, backend))


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("name", LOSSES)
def test_models_train_on_what_the_loss_of_arrays_says(name, numerics, backend):
    make, kind = LOSSES[name]
    y_true, _, weight = data(kind)
    weight = weight.astype("float32")
    x = np.random.default_rng(1).standard_normal((13, 4)).astype("float32")
    last = "softmax" if kind in ("one_hot", "label") and "logits" not in name else None
    last = "sigmoid" if name == "bce, positives weighed" else last
    model = Sequential([Dense(6 if kind == "means" else 3, last)], input_shape=4, seed=0)
    model.compile(fastbp.optimizers.SGD(0.5), make(), backend=backend, numerics=numerics)
    y_pred = model.predict(x)
    before = model.layers[0].b.copy()
    value = model.train_on_batch(x, y_true, sample_weight=weight)
    if numerics == "numpy":
        assert value == make()(np.asarray(y_true, "f4" if kind != "label" else "i8"), y_pred, backend, weight)
    assert (model.layers[0].b != before).any()
    # what does not count does not move
    before = model.get_weights()
    model.train_on_batch(x, y_true, sample_weight=np.zeros(13))
    for got, want in zip(model.get_weights(), before, strict=True):
        assert_same_bits(got, want)


def model_of(loss="sparse_categorical_crossentropy", backend="cython", units=3, **options):
    model = Sequential([Dense(6, activation="tanh"), Dense(units)], input_shape=4, seed=3)
    model.compile(fastbp.optimizers.SGD(0.1, momentum=0.9), loss, backend=backend, **options)
    return model


def rows_of(n=50):
    rng = np.random.default_rng(2)
    return rng.standard_normal((n, 4)).astype("float32"), rng.integers(3, size=n), rng.random(n)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_is_train_on_batch_in_its_order(backend, shuffle):
    x, y, weight = rows_of()
    first, second = model_of(backend=backend), model_of(backend=backend)
    first.fit(x, y, 16, 3, shuffle, seed=7, verbose=0, sample_weight=weight, class_weight={1: 3.0})
    rng, values = np.random.default_rng(7), []
    for _ in range(3):
        order = rng.permutation(50) if shuffle else np.arange(50)
        for start in range(0, 50, 16):
            at = order[start : start + 16]
            values.append(second.train_on_batch(x[at], y[at], weight[at], {1: 3.0}))
    assert_same_bits(first.batch_losses, np.array(values, "float32"))
    for got, want in zip(first.get_weights(), second.get_weights(), strict=True):
        assert_same_bits(got, want)


def test_classes_weigh_as_their_samples():
    x, y, weight = rows_of()
    table = {0: 2.0, 2: 0.5}
    each = np.array([2.0, 1.0, 0.5])[y]
    counts = np.bincount(y)
    balanced = (50 / (3 * counts))[y]
    one_hot = np.eye(3)[y]
    of_rows = [(one_hot, "categorical_crossentropy"), (one_hot, "categorical_hinge")]
    for targets, loss in ((y, "sparse_categorical_crossentropy"), *of_rows):
        for given, want in ((table, each), ("balanced", balanced)):
            models = model_of(loss), model_of(loss)
            models[0].fit(x, targets, epochs=2, seed=0, verbose=0, class_weight=given, sample_weight=weight)
            models[1].fit(x, targets, epochs=2, seed=0, verbose=0, sample_weight=weight * want)
            assert_same_bits(models[0].get_weights()[0], models[1].get_weights()[0])
    bits = (y == 1) * 1.0
    for loss, targets in (("binary_crossentropy", bits), ("contrastive", bits), ("hinge", 2 * bits - 1)):
        low = targets.min()
        models = model_of(loss, units=1), model_of(loss, units=1)
        models[0].fit(x, targets, epochs=2, seed=0, verbose=0, class_weight={int(low): 0.25, 1: 4})
        models[1].fit(x, targets, epochs=2, seed=0, verbose=0, sample_weight=np.where(targets == 1, 4, 0.25))
        assert_same_bits(models[0].get_weights()[0], models[1].get_weights()[0])


def test_balanced_is_scikit_learns():
    utils = pytest.importorskip("sklearn.utils")
    from fastbp.data import as_weights

    y = np.array([0, 0, 0, 2, 2, 5])
    want = utils.class_weight.compute_sample_weight("balanced", y)
    got = as_weights(None, "balanced", y, losses.SparseCategoricalCrossEntropy(), "float64")
    np.testing.assert_allclose(got[:, 0], want, rtol=1e-15)


def test_balanced_counts_the_rows_that_count():
    """Neither ignored labels nor validation data are rows of a class; so the weights are those of the rest alone."""
    x, y, weight = rows_of(60)
    y = np.where(np.arange(60) % 4 == 0, -1, np.minimum(y, 1))
    y[48:] = 2
    loss = losses.SparseCategoricalCrossEntropy(True, ignore_index=-1, reduction="sum")
    first, second, third = model_of(loss), model_of(loss), model_of(loss)
    common = {"batch_size": None, "epochs": 2, "seed": 0, "verbose": 0}
    first.fit(x, y, **common, class_weight="balanced", sample_weight=weight, validation_split=0.2)
    second.fit(x[:48], y[:48], **common, class_weight="balanced", sample_weight=weight[:48])
    counts = np.bincount(y[:48][y[:48] != -1])
    table = dict(enumerate(36 / (2 * counts)))
    third.fit(x[:48], y[:48], **common, class_weight=table, sample_weight=weight[:48])
    for got, want, again in zip(*(model.get_weights() for model in (first, second, third)), strict=True):
        assert_same_bits(got, want)
        assert_same_bits(got, again)
    # where nothing counts there is nothing to balance
    assert first.train_on_batch(x, np.full(60, -1), class_weight="balanced") == 0


@pytest.mark.parametrize(
    ("loss", "units", "targets", "label", "allowed"),
    [
        ("sparse_categorical_crossentropy", 3, np.arange(12) % 2, 3, "0 .. 2"),
        ("sparse_categorical_crossentropy", 3, np.arange(12) % 3, -1, "0 .. 2"),
        ("categorical_crossentropy", 3, np.eye(3)[np.arange(12) % 3], 3, "0 .. 2"),
        ("categorical_hinge", 2, np.eye(2)[np.arange(12) % 2], 2, "0 .. 1"),
        ("binary_crossentropy", 1, np.arange(12) % 2, 2, "0 and 1"),
        ("hinge", 1, np.arange(12) % 2 * 2 - 1, 0, "-1 and 1"),
    ],
)
def test_a_weight_of_a_class_that_there_is_not(loss, units, targets, label, allowed):
    x = rows_of(12)[0]
    model = model_of(loss, units=units)
    message = rf"class_weight has a weight for class {label}; the classes are {allowed}$"
    calls = [model.fit, model.train_on_batch, functools.partial(fastbp.minimize, model)]
    for call in calls[: 2 if importlib.util.find_spec("scipy") is None else 3]:
        with pytest.raises(ValueError, match=message):
            call(x, targets, class_weight={1: 2.0, label: 3.0})
    # a class that the model has may be missing in the data
    model.train_on_batch(x[:2], targets[1:3], class_weight={1: 2.0})


def test_evaluation_and_validation():
    x, y, weight = rows_of()
    model = model_of(metrics=["accuracy"])
    each = losses.SparseCategoricalCrossEntropy(True, reduction="none")(y, model.predict(x))
    got = model.evaluate(x, y, sample_weight=weight)
    np.testing.assert_allclose(got["loss"], (each * weight).mean(), rtol=1e-5)
    assert got["accuracy"] == model.evaluate(x, y)["accuracy"]
    history = model.fit(x, y, 25, 2, seed=0, verbose=0, validation_data=(x, y, weight)).history
    assert history["val_loss"][-1] == model.evaluate(x, y, sample_weight=weight)["loss"]
    history = model.fit(
        x, y, 25, 1, seed=0, verbose=0, validation_split=0.2, sample_weight=weight, class_weight={0: 9.0}
    ).history
    # the class weights are for training
    assert history["val_loss"][-1] == model.evaluate(x[40:], y[40:], sample_weight=weight[40:])["loss"]


@pytest.mark.parametrize("backend", ALL)
def test_ignored_labels_are_as_if_they_were_not_there(backend):
    x, y, weight = rows_of(12)
    y = np.where(np.arange(12) % 3 == 0, -1, y)
    kept = y != -1
    for reduction in ("mean", "sum"):
        loss = losses.SparseCategoricalCrossEntropy(True, reduction=reduction, ignore_index=-1)
        plain = losses.SparseCategoricalCrossEntropy(True, reduction=reduction)
        scores = np.random.default_rng(0).standard_normal((12, 3))
        np.testing.assert_allclose(loss(y, scores, backend), plain(y[kept], scores[kept], backend), rtol=1e-14)
        gradient = loss.gradient(y, scores, backend)
        assert (gradient[~kept] == 0).all()
        np.testing.assert_allclose(gradient[kept], plain.gradient(y[kept], scores[kept], backend), rtol=1e-14)
        models = model_of(loss, backend), model_of(plain, backend)
        values = models[0].train_on_batch(x, y), models[1].train_on_batch(x[kept], y[kept])
        np.testing.assert_allclose(*values, rtol=1e-5)
        np.testing.assert_allclose(models[0].get_weights()[0], models[1].get_weights()[0], rtol=1e-5, atol=1e-7)
        models[0].fit(x, y, epochs=2, verbose=0, sample_weight=weight)
    model = model_of(losses.SparseCategoricalCrossEntropy(ignore_index=-1), backend)
    before = model.get_weights()[0]
    assert model.train_on_batch(x, np.full(12, -1)) == 0
    assert_same_bits(model.get_weights()[0], before)


def test_ignore_index_is_saved(tmp_path):
    model = model_of(losses.SparseCategoricalCrossEntropy(ignore_index=255))
    model.save(tmp_path / "m.npz")
    assert fastbp.load_model(tmp_path / "m.npz").loss_function.ignore_index == 255
    assert "ignore_index" not in losses.SparseCategoricalCrossEntropy().get_config()


def test_what_is_refused():
    x, y, weight = rows_of()
    model = model_of()
    before = model.get_weights()

    def refused(kind, message, **options):
        with pytest.raises(kind, match=message):
            model.fit(x, y, verbose=0, **options)

    refused(ValueError, r"sample_weight has shape \(49,\); it must be \(50,\)", sample_weight=weight[1:])
    refused(ValueError, r"sample_weight\[3\] is -1.0; weights must not be", sample_weight=[*[1.0] * 3, -1, *[1.0] * 46])
    refused(ValueError, r"sample_weight\[0\] is nan", sample_weight=[np.nan] * 50)
    refused(TypeError, "sample_weight has dtype <U1", sample_weight=["a"] * 50)
    refused(ValueError, "class_weight is 'equal'; it must be", class_weight="equal")
    refused(TypeError, r"class_weight is \[1\]", class_weight=[1])
    refused(ValueError, r"class_weight\[1\] is -2", class_weight={1: -2})
    refused(TypeError, "a class of class_weight is 'a'", class_weight={"a": 2})
    refused(ValueError, r"validation_data\[2\] has shape", validation_data=(x, y, weight[1:]))
    with pytest.raises(ValueError, match="class_weight is given; targets of MeanSquaredError"):
        model_of("mse").fit(x, np.zeros((50, 3)), verbose=0, class_weight={1: 2})
    with pytest.raises(ValueError, match="reduction 'none'; to be minimised"):
        model.compile("sgd", losses.MeanSquaredError("none"))
    with pytest.raises(ValueError, match=r"reduction is 'nine'.*did you mean 'none'"):
        losses.MeanSquaredError("nine")
    with pytest.raises(ValueError, match=r"sample_weight has shape \(2,\); it must be \(3,\)"):
        losses.MeanSquaredError()([1.0, 2, 3], [1.0, 2, 3], sample_weight=[1, 2])
    with pytest.raises(ValueError, match="metric 'accuracy' counts all rows; the loss ignores the label -1"):
        model.compile("sgd", losses.SparseCategoricalCrossEntropy(ignore_index=-1), ["accuracy"])
    with pytest.raises(TypeError, match=r"ignore_index is 0\.5; it must be an integer"):
        losses.SparseCategoricalCrossEntropy(ignore_index=0.5)
    for got, want in zip(model.get_weights(), before, strict=True):
        assert_same_bits(got, want)


def test_ordinary_steps_after_weighted_ones():
    x, y, weight = rows_of()
    first, second = model_of(), model_of()
    first.train_on_batch(x, y, weight)
    second.train_on_batch(x, y, weight)
    assert first.train_on_batch(x, y) == second.train_on_batch(x, y, np.ones(50))
    first.train_on_batch(x, y, weight)
    second.train_on_batch(x, y, weight)
    assert_same_bits(first.get_weights()[0], second.get_weights()[0])
