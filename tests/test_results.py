"""What evaluations, single batches and predictions of classes return."""

import copy
import json
import math
import pickle
import re

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, needs_modules

import fastbp
from fastbp import Dense, Evaluation, Sequential, kernels, losses
from fastbp.layers import Dropout

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
RNG = np.random.default_rng(3)
X = RNG.normal(size=(70, 4)).astype(np.float32)
LABELS = RNG.integers(3, size=70)
BITS = (X[:, 0] > 0).astype(np.float32)

ALONE = Evaluation({"loss": 0.25})
SEVERAL = Evaluation({"loss": 0.25, "accuracy": 0.5, "confusion_matrix": np.eye(2), "top 3": 0.75, "keys": 1.0})


def model_of(loss="sparse_categorical_crossentropy", units=3, metrics=("accuracy",), activation=None, **options):
    model = Sequential([Dense(5, activation="tanh"), Dense(units, activation=activation)], seed=1)
    model.compile("adam", loss, metrics, **options)
    return model


# ------------------------------------------------------------------------------------------ an evaluation
def test_values_in_order_and_by_name():
    loss, accuracy, matrix, *others = SEVERAL
    assert (loss, accuracy, others) == (0.25, 0.5, [0.75, 1.0]) and (matrix == np.eye(2)).all()
    assert (SEVERAL.loss, SEVERAL.accuracy, SEVERAL["top 3"], SEVERAL["keys"]) == (0.25, 0.5, 0.75, 1.0)
    assert list(SEVERAL.keys()) == ["loss", "accuracy", "confusion_matrix", "top 3", "keys"]
    assert list(SEVERAL.items())[1] == ("accuracy", 0.5) and list(SEVERAL.values())[:2] == [0.25, 0.5]
    assert SEVERAL.get("accuracy") == 0.5 and SEVERAL.get("auc") is None and SEVERAL.get("auc", 3) == 3
    assert "accuracy" in SEVERAL and 0.5 not in SEVERAL and len(SEVERAL) == 5
    assert (SEVERAL[0], SEVERAL[-1], SEVERAL[np.int64(1)], SEVERAL[:2], SEVERAL[::-4]) == (
        0.25, 1.0, 0.5, [0.25, 0.5], [1.0, 0.25],
    )  # fmt: skip
    assert {"accuracy", "top 3", "get"} <= {*dir(SEVERAL)}


def test_what_is_not_there_is_named():
    for call, error in (
        (lambda: SEVERAL["acuracy"], KeyError),
        (lambda: SEVERAL.acuracy, AttributeError),
    ):
        with pytest.raises(error, match=r"'acuracy'; did you mean 'accuracy'\? There are loss, accuracy, conf"):
            call()
    with pytest.raises(IndexError):
        SEVERAL[5]
    with pytest.raises(TypeError, match=r"the index is 0\.5; it must be a name.* keys\(\) gives the names"):
        [SEVERAL[name] for name in SEVERAL if name == 0.5]
    # what Python asks an object for is no metric
    assert not hasattr(Evaluation({"loss": 1.0, "_x": 2.0}), "_x")
    with pytest.raises(AttributeError):
        SEVERAL.accuracy = 1.0
    with pytest.raises(TypeError):
        SEVERAL["accuracy"] = 1.0


def test_as_a_dict():
    plain = {"loss": 0.25, "accuracy": 0.5}
    found = Evaluation(dict(plain))
    assert dict(found) == {**found} == plain and found == plain and plain == found
    assert type(dict(found)) is dict and json.loads(json.dumps(dict(found))) == plain
    assert found == Evaluation({"accuracy": 0.5, "loss": 0.25}) and hash(found) == hash(ALONE)
    assert found not in ({"loss": 0.25}, {**plain, "accuracy": 0.6}, {**plain, "auc": 1.0}, ALONE, 0.25, [0.25, 0.5])
    assert found != {"loss": 0.25, "auc": 0.5}


def test_arrays_are_compared():
    same = {**SEVERAL, "confusion_matrix": np.eye(2)}
    assert SEVERAL == same and SEVERAL != {**same, "confusion_matrix": np.ones((2, 2))}
    assert SEVERAL != {**same, "confusion_matrix": np.eye(3)}


@pytest.mark.parametrize("found", [ALONE, SEVERAL], ids=["alone", "several"])
def test_copies(found):
    twins = [copy.copy(found), copy.deepcopy(found)]
    twins += [pickle.loads(pickle.dumps(found, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
    for twin in twins:
        assert type(twin) is Evaluation and twin == found and list(twin.keys()) == list(found.keys())


def test_without_metrics_it_is_a_number():
    e = ALONE
    assert e == 0.25 and e == 0.25 and e != 0.3 and hash(e) == hash(0.25)
    assert e < 0.3 and e <= 0.25 and e > 0.2 and e >= 0.25 and not e < 0.1 and 0.1 < e
    assert (e + 1, 1 + e, e - 1, 1 - e, e * 2, 2 * e, e / 2, 1 / e, e**2, 4**e) == (
        1.25, 1.25, -0.75, 0.75, 0.5, 0.5, 0.125, 4.0, 0.0625, math.sqrt(2),
    )  # fmt: skip
    assert (-e, abs(e), round(e, 1), round(e), float(e), math.sqrt(e)) == (-0.25, 0.25, 0.2, 0, 0.25, 0.5)
    assert (+e, int(e), e // 0.2, 1 // e, e % 0.2, 1.1 % e) == (0.25, 0, 1.0, 4.0, 0.25 % 0.2, 1.1 % 0.25)
    assert (divmod(e, 0.2), divmod(1, e), f"{int(Evaluation({'loss': 7.9}))}") == (divmod(0.25, 0.2), (4.0, 0.0), "7")
    assert (f"{e}", f"{e:.3f}", str(e), repr(e)) == ("0.25", "0.250", "0.25", "Evaluation({'loss': 0.25})")
    assert min(1, e) is e and max([e, Evaluation({"loss": 0.5})]) == 0.5 and sum([e, e]) == 0.5
    assert np.isclose(e, 0.25) and np.asarray(e).shape == () and np.mean([e, e]) == 0.25
    assert type(np.float64(1) + e) is np.float64 and (np.arange(3) * e == [0, 0.25, 0.5]).all()
    with pytest.raises(TypeError):
        e + "a"


def test_with_metrics_the_loss_is_what_float_gives_and_nothing_else_guesses():
    two = Evaluation({"loss": 0.25, "accuracy": 0.5})
    assert float(two) == 0.25 and f"{two:.3f}" == "loss 0.250, accuracy 0.500" and str(two) == "loss 0.25, accuracy 0.5"
    assert f"{SEVERAL:.1f}".startswith("loss 0.2, accuracy 0.5, confusion_matrix [[1. 0.]")
    assert np.asarray(two).tolist() == [0.25, 0.5] and np.asarray(two, "float32").dtype == np.float32
    for call in (lambda: two < 0.3, lambda: two + 1, lambda: 1 - two, lambda: round(two, 2), lambda: max(two, two)):
        with pytest.raises(TypeError, match=r"several values, loss, accuracy; take one of them, such as e\['loss'\]"):
            call()
    with pytest.raises(ValueError, match="without a copy"):
        np.array(two, copy=False)


# ------------------------------------------------------------------------------------------ evaluate and its kin
@every_backend
def test_evaluate(backend):
    model = model_of(metrics=["accuracy", "confusion_matrix"], backend=backend)
    first = model.evaluate(X, LABELS)  # the long way; then the quick one
    loss, accuracy, matrix = second = model.evaluate(X, LABELS)
    assert first == second and type(first) is type(second) is Evaluation
    assert (loss, accuracy) == (second["loss"], second.accuracy) and matrix.sum() == 70
    plain = model.evaluate(X, LABELS, return_dict=True)
    assert type(plain) is dict and plain.keys() == {"loss", "accuracy", "confusion_matrix"} and first == plain
    weighted = model.evaluate(X, LABELS, sample_weight=np.ones(70), return_dict=True)
    assert type(weighted) is dict and type(model.evaluate(X, LABELS, sample_weight=np.ones(70))) is Evaluation


def test_logs_stay_plain_dicts():
    seen = []
    end = {"on_epoch_end": lambda epoch, logs: seen.append(logs), "on_test_end": lambda logs: seen.append(logs)}
    hooks = fastbp.callbacks.LambdaCallback(**end, on_train_batch_end=lambda batch, logs: seen.append(logs))
    model_of().fit(X, LABELS, verbose=0, validation_data=(X, LABELS), callbacks=[hooks])
    assert len(seen) == 5 and {*map(type, seen)} == {dict}


@every_backend
def test_single_batches(backend):
    x, y = np.tile(X, (9, 1)), np.tile(LABELS, 9)  # more rows than evaluate and predict take at a time
    model = model_of(backend=backend)
    outputs = model.predict_on_batch(x)
    assert [executor.plan.batch for executor in model.engine().predictors] == [630]  # and not 512
    assert_same_bits(outputs, model.predict(x, batch_size=630))
    assert model.test_on_batch(x, y) == model.evaluate(x, y, batch_size=630)
    assert type(model.test_on_batch(x, y, return_dict=True)) is dict
    weight = np.arange(630.0)
    assert model.test_on_batch(x, y, weight) == model.evaluate(x, y, 630, weight)
    triplets = Sequential([Dense(3)], seed=0)
    triplets.compile("sgd", losses.TripletMargin())
    groups = np.tile([0, 0, 1], 20)
    assert triplets.test_on_batch(X[:60], groups) == triplets.evaluate(X[:60], groups, 60)


@every_backend
@pytest.mark.parametrize("weight", [None, np.linspace(0, 2, 32)], ids=["plain", "weighted"])
def test_train_on_batch_returns_metrics(backend, weight):
    regularized = {"kernel_regularizer": fastbp.regularizers.L2(0.1)}
    models = []
    for _ in range(2):
        model = Sequential([Dense(5, activation="relu", **regularized), Dropout(0.5, seed=3), Dense(3)], seed=1)
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy", "confusion_matrix"], backend)
        models.append(model)
    for start in (0, 32):
        x, y = X[start : start + 32], LABELS[start : start + 32]
        found = models[0].train_on_batch(x, y, weight, return_metrics=True)
        assert type(found) is Evaluation and list(found.keys()) == ["loss", "accuracy"]
        assert float(found) == models[1].train_on_batch(x, y, weight)
        for one, other in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
            assert_same_bits(one, other)


@every_backend
def test_metrics_of_a_batch_are_those_of_fit(backend):
    seen = []
    log = fastbp.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    model_of(backend=backend).fit(X[:32], LABELS[:32], verbose=0, shuffle=False, callbacks=[log])
    assert model_of(backend=backend).train_on_batch(X[:32], LABELS[:32], return_metrics=True) == seen[0]


def test_an_ignored_label_does_not_count_in_a_batch():
    loss = losses.SparseCategoricalCrossEntropy(ignore_index=-1)
    y = np.where(np.arange(70) < 20, -1, LABELS)
    found = model_of(loss, metrics=()).train_on_batch(X, y, return_metrics=True)
    assert float(found) == pytest.approx(float(model_of(loss, metrics=()).evaluate(X[20:], y[20:])), rel=1e-6)


# ------------------------------------------------------------------------------------------ how much is shown
@pytest.mark.parametrize("without_tqdm", [False, True])
def test_verbose(capsys, monkeypatch, without_tqdm):
    if without_tqdm:
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm")
    model = model_of()
    want = model.predict(X), model.evaluate(X, LABELS), model.evaluate(X, LABELS, verbose=0)
    assert capsys.readouterr() == ("", "")
    for verbose in (1, "auto", True, 2):
        bar = not without_tqdm and verbose != 2
        assert_same_bits(model.predict(X, 7, verbose=verbose), model.predict(X, 7))
        other, text = capsys.readouterr()[:: 1 if verbose != 2 else -1]
        assert other == "" and ("70/70" in text if bar else re.fullmatch(r"predict  70 rows  0\.\d s\n", text))
        assert model.evaluate(X, LABELS, verbose=verbose) == want[1]
        other, text = capsys.readouterr()[:: 1 if verbose != 2 else -1]
        assert other == "" and f"accuracy {want[1].accuracy:.4f}" in text
        assert "70/70" in text if bar else re.match(r"evaluate  70 rows  0\.\d s  loss", text)


@pytest.mark.parametrize("verbose", [3, -1, "yes", None, 0.5])
def test_bad_verbose(verbose):
    model = model_of()
    for call in (lambda: model.predict(X, verbose=verbose), lambda: model.evaluate(X, LABELS, verbose=verbose)):
        with pytest.raises(ValueError, match=r'verbose is .*; it must be 0 \(nothing\), 1 or "auto" \(a bar\) or 2'):
            call()
    assert model.layout is None


@every_backend
def test_the_bar_moves_while_it_runs(backend, monkeypatch):
    from fastbp import progress

    class Bar:
        def __init__(self, total, unit):
            self.total, self.n, self.moves, self.closed = total, 0, [], False
            bars.append(self)

        def update(self, by):
            self.n += by
            self.moves.append(self.n)

        def set_description(self, text, refresh):
            self.text = text

        def set_postfix_str(self, text, refresh):
            self.found = text

        def close(self):
            self.closed = True

    bars = []
    monkeypatch.setattr(progress, "open_bar", Bar)
    model = Sequential([Dense(400, activation="tanh"), Dense(400, activation="tanh"), Dense(3)], seed=0)
    model.compile("sgd", "sparse_categorical_crossentropy", ["accuracy"], backend)
    x = np.ones((100, 300), np.float32)
    for _ in range(12):  # until it takes some tenths of a second
        model.predict(x, 3, verbose=1)
        model.evaluate(x, np.zeros(len(x), int), 3, verbose=1)
        if all(len(bar.moves) > 2 for bar in bars[-2:]):
            break
        x = np.tile(x, (2, 1))
    assert all(len(bar.moves) > 2 for bar in bars[-2:])
    for bar in bars:
        assert bar.n == bar.total and bar.moves == sorted(bar.moves) and bar.closed
    with pytest.raises(ValueError, match="y"):
        model.evaluate(x, np.full(len(x), 9), verbose=1)


# ------------------------------------------------------------------------------------------ probabilities and classes
@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_probabilities_of_logits_are_the_definitions(backend, numerics, dtype):
    options = {"backend": backend, "numerics": numerics, "dtype": dtype, "metrics": ()}
    model = model_of(**options)
    y = model.predict(X)
    want = kernels.softmax_forward(y, backend="numpy", numerics=numerics)
    assert_same_bits(model.predict_proba(X), want)
    by_nine = kernels.softmax_forward(model.predict(X, 9), backend="numpy", numerics=numerics)
    assert_same_bits(model.predict_proba(X, batch_size=9), by_nine)
    assert_same_bits(model.predict_classes(X), y.argmax(axis=1))
    model = model_of("binary_crossentropy", 1, **options)
    y = model.predict(X)
    p = kernels.sigmoid_forward(y, backend="numpy", numerics=numerics)
    assert_same_bits(model.predict_proba(X), np.concatenate([1 - p, p], axis=1))
    assert_same_bits(model.predict_classes(X), (y[:, 0] > 0).astype(int))


def test_probabilities_of_outputs_that_are_some():
    model = model_of(activation="softmax")
    assert_same_bits(model.predict_proba(X), model.predict(X))
    model = model_of("binary_crossentropy", 1, activation="sigmoid")
    p = model.predict(X)
    assert_same_bits(model.predict_proba(X), np.hstack([1 - p, p]))
    assert_same_bits(model.predict_classes(X), (p[:, 0] > 0.5).astype(int))
    model = model_of("kl_divergence", metrics=(), activation="softmax")
    assert_same_bits(model.predict_proba(X), model.predict(X))
    model = model_of(losses.BinaryFocalCrossEntropy(), 1)
    assert_same_bits(model.predict_proba(X)[:, 1:], kernels.sigmoid_forward(model.predict(X)))


def test_several_questions_of_yes_or_no():
    model = model_of("binary_crossentropy", 4)
    p = model.predict_proba(X)
    assert_same_bits(p, kernels.sigmoid_forward(model.predict(X)))
    classes = model.predict_classes(X)
    assert_same_bits(classes, (p > 0.5).astype(int))
    assert classes.shape == (70, 4) and classes.dtype == np.int64


def test_classes_are_those_that_accuracy_counts():
    for model, y in ((model_of(), LABELS), (model_of("binary_crossentropy", 1), BITS)):
        model.fit(X, y, epochs=3, seed=0, verbose=0)
        assert (model.predict_classes(X) == y).mean() == model.evaluate(X, y).accuracy
    # sure of itself: the probabilities are equal, the logits not
    loss = losses.CategoricalCrossEntropy(from_logits=True)
    y = np.array([[200.0, 200.0000001, 0.0]])
    assert loss.classes(y).tolist() == [1]


def test_positions():
    x = RNG.normal(size=(6, 5, 4)).astype(np.float32)
    for loss, units, proba, classes in (
        ("sparse_categorical_crossentropy", 3, (6, 5, 3), (6, 5)),
        ("binary_crossentropy", 1, (6, 5, 2), (6, 5)),
        ("binary_crossentropy", 2, (6, 5, 2), (6, 5, 2)),
    ):
        model = model_of(loss, units)
        p, c = model.predict_proba(x), model.predict_classes(x)
        assert p.shape == proba and c.shape == classes and c.dtype == np.int64
        flat, rows = model_of(loss, units), x.reshape(30, 4)
        assert_same_bits(p.reshape(30, -1), flat.predict_proba(rows))
        assert_same_bits(c.reshape(30, -1), flat.predict_classes(rows).reshape(30, -1))


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        ("mse", r"of MeanSquaredError model\.predict\(x\) returns the outputs"),
        ("hinge", r"of Hinge the outputs are margins: np\.sign\(model\.predict\(x\)\)"),
        ("categorical_hinge", r"of CategoricalHinge the outputs are scores: model\.predict\(x\)\.argmax\(axis=-1\)"),
        ("poisson", "of Poisson"),
        ("triplet_semi_hard", "of TripletSemiHard"),
    ],
)
@pytest.mark.parametrize("method", ["predict_proba", "predict_classes"])
def test_losses_without_probabilities_are_refused(loss, why, method):
    model = model_of(loss, metrics=())
    with pytest.raises(ValueError, match=f"^{method} needs a loss on probabilities, such as a cross-entropy; {why}"):
        getattr(model, method)(X)
    assert model.layout is None


@pytest.mark.parametrize("method", ["predict_proba", "predict_classes"])
def test_a_model_that_is_not_compiled_is_refused(method):
    with pytest.raises(RuntimeError, match="the model is not compiled"):
        getattr(Sequential([Dense(3)]), method)(X)
    model = Sequential([Dense(3)])
    model.compile("sgd")
    with pytest.raises(RuntimeError, match="the model was compiled without a loss"):
        getattr(model, method)(X)


@needs_modules
def test_a_custom_loss_is_refused():
    loss = fastbp.custom.loss(lambda y_pred, y_true: (y_pred - y_true) ** 2, "results_square")
    with pytest.raises(ValueError, match="predict_proba needs a loss on probabilities"):
        model_of(loss, 1, ()).predict_proba(X)
