"""Estimators: scikit-learn's own checks, its perceptrons step by step, and what its users put estimators into.

The campaign "scikit-learns" runs this file with the releases of scikit-learn of the last two years: 1.6 to 1.9.
"""

import copy
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from _arrays import assert_same_bits, needs_modules
from _benchmarks import ROOT, run_python

import fastbp
from fastbp import callbacks, losses, optimizers, schedules

pytestmark = needs_modules

pytest.importorskip("sklearn", "1.6", reason="scikit-learn 1.6 or newer is not installed")

# ruff: noqa: E402
import joblib
import sklearn
import threadpoolctl
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from fastbp.sklearn import MLPClassifier, MLPRegressor, ModelClassifier, ModelRegressor

THEIRS = {MLPClassifier: neural_network.MLPClassifier, MLPRegressor: neural_network.MLPRegressor}
#: Checks of what no perceptron of scikit-learn has either: arrays of other libraries, a decision function.
APART = {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}


@pytest.fixture(scope="module", autouse=True)
def one_thread_of_blas():
    """SciPy's L-BFGS-B takes twenty times as long where other processes want the cores that its BLAS spins on."""
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield


def build(n_features_in, n_outputs, units=32, dropout=0.0):
    layers = [fastbp.Dense(units, "relu"), *[fastbp.Dropout(dropout)] * bool(dropout), fastbp.Dense(n_outputs)]
    return fastbp.Sequential(layers, input_shape=n_features_in)


def scaled(load):
    X, y = load(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def cancer():
    return scaled(load_breast_cancer)


def iris():
    return scaled(load_iris)


def diabetes():
    X, y = scaled(load_diabetes)
    return X, (y - y.mean()) / y.std()


def several():
    return make_multilabel_classification(300, random_state=0)


def quietly(function, *args, **kwargs):
    """Call a function whose optimizer needs not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return function(*args, **kwargs)


def weights(model):
    return np.concatenate([w.ravel() for w in (*model.coefs_, *model.intercepts_)])


def same_model(one, other):
    assert_same_bits(weights(one), weights(other))


# ------------------------------------------------------------------------------- scikit-learn's own checks
@pytest.mark.parametrize(
    "make",
    [
        MLPClassifier,
        MLPRegressor,
        lambda: MLPRegressor(solver="lbfgs"),
        lambda: MLPClassifier(solver="sgd", learning_rate_init=0.1),
        lambda: ModelClassifier(build),
        lambda: ModelRegressor(build),
    ],
    ids=["MLPClassifier", "MLPRegressor", "lbfgs", "sgd", "ModelClassifier", "ModelRegressor"],
)
@pytest.mark.filterwarnings("ignore")
def test_all_checks_of_scikit_learn(make):
    found = check_estimator(make(), on_fail=None)
    assert len(found) > 50
    others = {one["check_name"]: one["exception"] for one in found if one["status"] != "passed"}
    assert others.keys() <= APART, others


# ------------------------------------------------------------------------- the definitions, against scikit-learn's
CASES = {
    "cancer": (MLPClassifier, cancer, {}),
    "weights": (MLPClassifier, cancer, {"alpha": 1.0, "sample_weight": True}),
    "invscaling": (MLPClassifier, cancer, {"learning_rate": "invscaling", "alpha": 1.0, "max_iter": 60}),
    "adaptive": (MLPClassifier, cancer, {
        "learning_rate": "adaptive", "tol": 1e-2, "n_iter_no_change": 3, "batch_size": 50, "max_iter": 60,
        "sample_weight": True,
    }),
    "no momentum": (MLPClassifier, cancer, {"momentum": 0.0, "learning_rate": "adaptive"}),
    "logistic": (MLPClassifier, cancer, {
        "activation": "logistic", "nesterovs_momentum": False, "hidden_layer_sizes": (10, 20),
    }),
    "three classes": (MLPClassifier, iris, {"activation": "tanh", "learning_rate_init": 0.01, "max_iter": 400}),
    "weights of three": (MLPClassifier, iris, {"alpha": 0.1, "sample_weight": True, "batch_size": 40}),
    "several labels": (MLPClassifier, several, {"activation": "identity", "alpha": 1.0}),
    "numbers": (MLPRegressor, diabetes, {"activation": "tanh", "alpha": 1.0}),
    "weights of numbers": (MLPRegressor, diabetes, {"sample_weight": True, "batch_size": 100}),
    "lbfgs": (MLPClassifier, cancer, {"solver": "lbfgs", "alpha": 0.1}),
    "lbfgs of numbers": (MLPRegressor, diabetes, {"solver": "lbfgs", "alpha": 1.0, "sample_weight": True}),
    "held out": (MLPRegressor, diabetes, {"early_stopping": True, "learning_rate_init": 0.02, "max_iter": 100}),
    "held out classes": (MLPClassifier, cancer, {
        "early_stopping": True, "validation_fraction": 0.2, "sample_weight": True, "max_iter": 100,
    }),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_perceptrons_of_scikit_learn_step_by_step(case):
    """The same initial weights, and without shuffles the same batches: the same numbers, but for rounding."""
    ours, data, options = CASES[case]
    options = {"solver": "sgd", "shuffle": False, "random_state": 3, "max_iter": 25, **options}
    X, y = data()
    given = [X, y]
    if options.pop("sample_weight", False):
        if sklearn.__version__.startswith("1.6"):
            pytest.skip("scikit-learn 1.6 has no weights in perceptrons")
        given.append(np.random.default_rng(0).random(len(X)))
    own, other = quietly(ours(**options).fit, *given), quietly(THEIRS[ours](**options).fit, *given)
    rounding = {"rtol": 1e-9, "atol": 1e-11} if options["solver"] == "sgd" else {"rtol": 1e-5, "atol": 1e-7}
    np.testing.assert_allclose(weights(own), weights(other), **rounding)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(own, name) == getattr(other, name), name
    if options["solver"] == "sgd":
        np.testing.assert_allclose(own.loss_curve_, other.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(own.loss_, other.loss_, rtol=1e-9)
    for name in ("best_loss_", "best_validation_score_", "validation_scores_"):
        found, wanted = getattr(own, name, None), getattr(other, name, None)
        assert (found is None) == (wanted is None), name
        if wanted is not None:
            np.testing.assert_allclose(found, wanted, rtol=1e-9)
    np.testing.assert_allclose(own.predict(X), other.predict(X), rtol=1e-6, atol=1e-6)
    if ours is MLPClassifier:
        np.testing.assert_array_equal(own.classes_, other.classes_)
        np.testing.assert_allclose(own.predict_proba(X), other.predict_proba(X), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(own.predict_log_proba(X), other.predict_log_proba(X), rtol=1e-2, atol=1e-6)


def test_adam_is_that_of_scikit_learn_but_for_its_epsilon():
    X, y = cancer()
    options = {"shuffle": False, "random_state": 0, "max_iter": 30, "epsilon": 1e-12}
    own, other = (quietly(c(**options).fit, X, y) for c in (MLPClassifier, neural_network.MLPClassifier))
    np.testing.assert_allclose(own.loss_curve_, other.loss_curve_, rtol=1e-6)
    np.testing.assert_allclose(own.predict_proba(X), other.predict_proba(X), rtol=1e-3, atol=1e-6)


def test_several_targets_a_row():
    """The gradient of half the sum of the squares; what is reported is half their mean, as scikit-learn has it."""
    X, y = diabetes()
    y = np.c_[y, y**2, 1 - y]
    options = {"shuffle": False, "random_state": 0, "max_iter": 30, "solver": "sgd"}
    own, other = (quietly(c(**options).fit, X, y) for c in (MLPRegressor, neural_network.MLPRegressor))
    np.testing.assert_allclose(weights(own), weights(other), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.loss_curve_, other.loss_curve_, rtol=1e-5)
    assert own.predict(X).shape == y.shape and own.score(X, y) == pytest.approx(other.score(X, y))


@pytest.mark.skipif("loss" not in neural_network.MLPRegressor().get_params(), reason="scikit-learn 1.6 has no poisson")
@pytest.mark.parametrize("weighted", [False, True])
def test_poisson(weighted):
    X, y = diabetes()
    y, weight = np.round(np.abs(y) * 3), np.random.default_rng(0).random(len(X)) if weighted else None
    options = {"loss": "poisson", "shuffle": False, "random_state": 0, "max_iter": 30, "solver": "sgd", "alpha": 0.1}
    options["batch_size"] = len(X)
    own, other = (quietly(c(**options).fit, X, y, weight) for c in (MLPRegressor, neural_network.MLPRegressor))
    np.testing.assert_allclose(weights(own), weights(other), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(own.loss_curve_, other.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(own.predict(X), other.predict(X), rtol=1e-9)
    assert own.out_activation_ == other.out_activation_ == "exp"


@pytest.mark.parametrize("ours", [MLPClassifier, MLPRegressor])
def test_partial_fit_and_warm_starts(ours):
    X, y = cancer() if ours is MLPClassifier else diabetes()
    options = {"solver": "sgd", "shuffle": False, "random_state": 1, "max_iter": 7, "warm_start": True}
    models = [c(**options) for c in (ours, THEIRS[ours])]
    more = {"classes": [0, 1]} if ours is MLPClassifier else {}
    for part in (slice(100), slice(100, 250), slice(250, None)):
        for model in models:
            model.partial_fit(X[part], y[part], **more)
        np.testing.assert_allclose(*map(weights, models), rtol=1e-9, atol=1e-12)
    assert models[0].t_ == models[1].t_ == len(X) and len(models[0].loss_curve_) == 3
    for _ in range(2):
        for model in models:
            quietly(model.fit, X, y)
        np.testing.assert_allclose(*map(weights, models), rtol=1e-9, atol=1e-12)
    assert models[0].t_ == models[1].t_ == 15 * len(X) and models[0].n_iter_ == 7
    # without a warm start it is a new model
    for model in models:
        quietly(model.set_params(warm_start=False).fit, X, y)
    np.testing.assert_allclose(*map(weights, models), rtol=1e-9, atol=1e-12)
    assert models[0].t_ == 7 * len(X)


def test_calls_of_partial_fit_shuffle_anew():
    X, y = cancer()
    one, other = MLPClassifier(random_state=0, batch_size=50), MLPClassifier(random_state=0, batch_size=50)
    for model in (one, other):
        for _ in range(2):
            model.partial_fit(X, y, classes=[0, 1])
    same_model(one, other)
    again = MLPClassifier(random_state=0, batch_size=50).partial_fit(X, y, classes=[0, 1])
    again.t_ = 0  # as if the first call were made once more
    again.partial_fit(X, y)
    assert (weights(again) != weights(one)).any()


def test_what_early_stopping_keeps_is_the_best():
    X, y = load_wine(return_X_y=True)
    scores, kept = [], []

    class Keep(callbacks.Callback):
        def on_epoch_end(self, epoch, logs):
            kept.append(self.model.get_weights())

    model = MLPClassifier(early_stopping=True, random_state=0, n_iter_no_change=5, callbacks=Keep(), max_iter=60)
    quietly(model.fit, X, y)
    scores = model.validation_scores_
    best = scores.index(max(scores))
    assert len(scores) == model.n_iter_ == len(model.loss_curve_) and best < model.n_iter_ - 1
    assert model.best_validation_score_ == scores[best] and model.best_loss_ is None
    for found, wanted in zip(model.model_.get_weights(), kept[best], strict=True):
        assert_same_bits(found, wanted)
    # and a warm start that finds nothing better keeps it
    kept_weights, wanted = weights(model), scores[best]
    quietly(model.set_params(warm_start=True, learning_rate_init=1e-12, callbacks=None).fit, X, y)
    assert model.best_validation_score_ == wanted and len(model.validation_scores_) > len(kept)
    assert_same_bits(weights(model), kept_weights)
    with pytest.raises(ValueError, match="partial_fit does not support early_stopping=True"):
        model.partial_fit(X, y)


def test_what_is_held_out_is_stratified():
    X = np.random.default_rng(0).random((100, 3))
    y = np.repeat(["a", "b", "c"], (50, 30, 20))
    seen = {}

    class Look(callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen["rows"] = self.params["rows"]

    counted = MLPClassifier(early_stopping=True, validation_fraction=0.2, callbacks=Look(), random_state=0, max_iter=2)
    spy = []
    counted._validation_score = lambda wanted, outputs, weight: spy.append(np.unique(wanted, return_counts=True)) or 0
    quietly(counted.fit, X, y)
    assert seen["rows"] == 80
    assert spy[0][0].tolist() == ["a", "b", "c"] and spy[0][1].tolist() == [10, 6, 4]


# ------------------------------------------------------------------------------------------ dtypes and bits
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_are_those_of_the_features(dtype):
    X, y = cancer()
    model = quietly(MLPClassifier(random_state=0, max_iter=5).fit, X.astype(dtype), y)
    assert model.coefs_[0].dtype == model.predict_proba(X.astype(dtype)).dtype == dtype
    for other in ("float32", "float64"):
        forced = quietly(MLPClassifier(random_state=0, max_iter=5, dtype=other).fit, X.astype(dtype), y)
        assert forced.coefs_[0].dtype == other
    assert quietly(MLPRegressor(max_iter=1).fit, (10 * X).astype(int), y).coefs_[0].dtype == np.float64


def test_bits_are_portable():
    """The same of both compiled backends' primitives, for every number of threads: numerics are portable by default."""
    X, y = iris()
    model = quietly(MLPClassifier(random_state=0, max_iter=3).fit, X, y)
    assert model.model_.numerics == "portable"
    threads = fastbp.get_num_threads()
    try:
        fastbp.set_num_threads(2)
        same_model(model, quietly(MLPClassifier(random_state=0, max_iter=3).fit, X, y))
    finally:
        fastbp.set_num_threads(threads)
    assert quietly(MLPClassifier(numerics="numpy", max_iter=1).fit, X, y).model_.numerics == "numpy"


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_features_give_the_bits_of_dense_ones(kind, weighted, monkeypatch):
    rng = np.random.default_rng(0)
    X, y = rng.random((330, 7)) * (rng.random((330, 7)) < 0.3), rng.integers(0, 3, 330)
    weight = rng.random(330) if weighted else None
    # blocks of two batches, and of one
    for size in (1, 2 * 50 * 7 * 8):
        monkeypatch.setattr("fastbp.sklearn.rows._BYTES", size)
        for options in ({}, {"shuffle": False}, {"early_stopping": True}, {"solver": "lbfgs"}):
            options = {"random_state": 0, "batch_size": 50, "max_iter": 4, **options}
            dense = quietly(MLPClassifier(**options).fit, X, y, weight)
            with pytest.warns(UserWarning, match="X is sparse: fastbp computes with dense rows") as told:
                wide = quietly(MLPClassifier(**options).fit, getattr(sparse, kind)(X), y, weight)
            assert len(told) == 1 and told[0].filename == __file__
            same_model(dense, wide)
            assert dense.validation_scores_ == wide.validation_scores_ if "early_stopping" in options else True
            assert_same_bits(dense.predict_proba(X), wide.predict_proba(getattr(sparse, kind)(X)))
    with pytest.warns(UserWarning, match="X is sparse"):
        model = ModelRegressor(build, epochs=2, batch_size=60, random_state=0).fit(sparse.csr_array(X), y)
    dense = ModelRegressor(build, epochs=2, batch_size=60, random_state=0).fit(X, y)
    for found, wanted in zip(model.model_.get_weights(), dense.model_.get_weights(), strict=True):
        assert_same_bits(found, wanted)
    with pytest.raises(ValueError, match=r"validation_split is 0.1 and X is sparse"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(validation_split=0.1).fit(sparse.csr_array(X), y)


# ------------------------------------------------------------------------- what scikit-learn's users were refused
def test_dropout_and_batch_norm():
    X, y = cancer()
    options = {"random_state": 0, "max_iter": 3, "hidden_layer_sizes": (16, 8)}
    models = {}
    added = {"plain": {}, "drop": {"dropout": 0.5}, "each": {"dropout": [0.5, 0]}, "bn": {"batch_norm": True}}
    for name, more in added.items():
        models[name] = quietly(MLPClassifier(**options, **more).fit, X, y)
        same_model(models[name], quietly(MLPClassifier(**options, **more).fit, X, y))
    kinds = {name: [type(layer).__name__ for layer in model.model_.layers] for name, model in models.items()}
    assert kinds["plain"] == ["Dense"] * 3
    assert kinds["drop"] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert kinds["each"] == ["Dense", "Dropout", "Dense", "Dense"]
    assert kinds["bn"] == ["Dense", "BatchNorm", "Activation", "Dense", "BatchNorm", "Activation", "Dense"]
    assert all(len(model.coefs_) == 3 and model.n_layers_ == 4 for model in models.values())
    assert (weights(models["plain"]) != weights(models["drop"])).any()
    assert quietly(MLPClassifier(batch_norm=True, random_state=0).fit, X, y).score(X, y) > 0.97
    with pytest.raises(ValueError, match="dropout has 3 rates; there are 2 hidden layers"):
        MLPClassifier((4, 4), dropout=[0.1, 0.1, 0.1]).fit(X, y)
    with pytest.raises(ValueError, match=r"dropout is 1.0; it must be in \[0, 1\)"):
        MLPClassifier(dropout=1.0).fit(X, y)


def test_weights_of_classes():
    """A class that weighs 3 is a class whose rows are there three times."""
    X, y = cancer()
    options = {"random_state": 0, "max_iter": 20, "solver": "sgd", "shuffle": False, "batch_size": 10**4}
    by_class = quietly(MLPClassifier(class_weight={0: 3, 1: 1}, **options).fit, X, y)
    times = np.where(y == 0, 3, 1)
    repeated = quietly(MLPClassifier(**options).fit, X.repeat(times, axis=0), y.repeat(times))
    np.testing.assert_allclose(weights(by_class), weights(repeated), rtol=1e-8, atol=1e-11)
    balanced = quietly(MLPClassifier(class_weight="balanced", **options).fit, X, y)
    counts = len(y) / (2 * np.bincount(y))
    given = quietly(MLPClassifier(**options).fit, X, y, counts[y])
    same_model(balanced, given)
    with pytest.raises(ValueError, match="class_weight is 'balanced', which counts all rows, and partial_fit has some"):
        balanced.partial_fit(X, y)
    assert quietly(MLPClassifier(class_weight=[{0: 1, 1: 2}] * 5, max_iter=2).fit, *several()).n_outputs_ == 5


@pytest.mark.parametrize("loss", [
    "hinge", losses.SquaredHinge(), "binary_focal_crossentropy", "categorical_crossentropy",
    "sparse_categorical_crossentropy", "categorical_hinge", losses.BinaryCrossEntropy(label_smoothing=0.1),
    losses.BinaryCrossEntropy(from_logits=False), "dice", "nll", "categorical_focal_crossentropy",
], ids=str)  # fmt: skip
def test_other_losses_of_classes(loss):
    X, y = cancer()
    names = np.array(["benign", "malign"])[y]
    model = quietly(MLPClassifier(loss=loss, random_state=0, learning_rate_init=0.01).fit, X, names)
    assert model.score(X, names) > 0.97 and set(model.predict(X)) == {"benign", "malign"}
    assert model.model_.loss_function.reduction == "mean_with_sample_weight"
    assert loss == model.loss and getattr(loss, "reduction", "mean") == "mean"
    if "hinge" not in str(loss).lower():
        assert model.predict_proba(X).shape == (len(X), 2)
        assert (model.classes_[model.predict_proba(X).argmax(axis=1)] == model.predict(X)).all()
    else:
        with pytest.raises(AttributeError, match="predict_proba"):
            model.predict_proba(X)
        assert not hasattr(MLPClassifier(loss=loss), "predict_proba")


def test_other_losses_of_numbers():
    X, y = diabetes()
    for loss in ("mae", "huber", losses.Huber(0.5), losses.GaussianNLL()):
        model = quietly(MLPRegressor(loss=loss, random_state=0, learning_rate_init=0.01).fit, X, y)
        assert model.score(X, y) > 0.5 and model.predict(X).shape == y.shape
    assert model.model_.layers[-1].units == 2
    model = quietly(MLPRegressor(loss=losses.GaussianNLL(), max_iter=2).fit, X, np.c_[y, y])
    assert model.model_.layers[-1].units == 4 and model.predict(X).shape == (len(X), 2)


def test_other_activations_solvers_and_rates():
    X, y = iris()
    for activation in ("gelu", fastbp.Activation("leaky_relu", alpha=0.2), "identity"):
        model = quietly(MLPClassifier((8, 8), activation=activation, max_iter=5, random_state=0).fit, X, y)
        name = getattr(activation, "activation", activation)
        assert [layer.activation.activation for layer in model.model_.layers] == [name, name, "identity"]
    for solver in ("adamw", optimizers.RMSprop(0.01)):
        model = quietly(MLPClassifier(solver=solver, learning_rate_init=0.02, random_state=0).fit, X, y)
        lr = 0.02 if solver == "adamw" else 0.01
        assert model.model_.optimizer.lr == lr and model.score(X, y) > 0.95
        assert model.model_.optimizer is not solver
    rate = schedules.CosineDecay(0.01, 20)
    for solver in ("adam", "sgd"):
        model = quietly(MLPClassifier(solver=solver, learning_rate=rate, max_iter=10, random_state=0).fit, X, y)
        assert model.model_.optimizer.lr == rate(10) and model.learning_rate is rate


def test_callbacks():
    X, y = iris()
    epochs, stop = [], callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs["loss"]))
    early = callbacks.EarlyStopping("loss", min_delta=1e9, patience=4)
    model = MLPClassifier(callbacks=[stop, early], random_state=0).fit(X, y)
    assert epochs == model.loss_curve_ and model.n_iter_ == 5
    single = quietly(MLPClassifier(callbacks=stop, max_iter=2, random_state=0).fit, X, y)
    assert single.n_iter_ == 2 and epochs[5:] == single.loss_curve_ == epochs[:2]
    clone(model)
    pickle.loads(pickle.dumps(MLPClassifier(callbacks=early)))


def test_verbose(capsys):
    X, y = iris()
    quietly(MLPClassifier(verbose=True, early_stopping=True, max_iter=2, random_state=0).fit, X, y)
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Iteration 1, loss = \d\.\d{8}", lines[0]) and lines[1].startswith("Validation score: 0.")
    MLPClassifier(verbose=True, tol=10, n_iter_no_change=1, random_state=0).fit(X, y)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Training loss did not improve more than tol=10.000000 for 1 consecutive epochs. Stopping."
    options = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 1e-5}
    model = MLPClassifier(verbose=True, tol=10, n_iter_no_change=1, **options).fit(X, y)
    text = capsys.readouterr().out
    assert "Setting learning rate to 0.000002" in text and text.rstrip().endswith("Stopping.")
    assert model.model_.optimizer.lr == pytest.approx(4e-7)


def test_interrupts_keep_what_was_learnt():
    X, y = iris()

    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    model = MLPClassifier(callbacks=callbacks.LambdaCallback(on_epoch_end=interrupt), random_state=0)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, y)
    assert model.n_iter_ == 2 and model.predict(X).shape == y.shape


def test_weights_may_be_written_to():
    X, y = iris()
    model = quietly(MLPClassifier(random_state=0, max_iter=2).fit, X, y)
    for array in (*model.coefs_, *model.intercepts_):
        array[...] = 0
    assert_same_bits(model.predict_proba(X), np.full((150, 3), 1 / 3))
    with pytest.raises(AttributeError, match="MLPClassifier has coefs_ once it is fitted"):
        MLPClassifier().coefs_  # noqa: B018
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)


# ------------------------------------------------------------------------------------------ models of one's own
def test_parameters_of_build_are_parameters_of_the_estimator():
    assert ModelClassifier(build).get_params()["units"] == 32
    assert ModelClassifier(build).set_params(units=4).fit(*iris()).model_.layers[0].units == 4
    model = ModelClassifier(build, units=5, dropout=0.1, epochs=3)
    parameters = model.get_params()
    assert parameters["units"] == 5 and parameters["dropout"] == 0.1 and parameters["epochs"] == 3
    assert list(parameters) == sorted(parameters)
    twin = clone(model.set_params(units=6))
    assert twin.units == 6 and "units=6" in repr(twin) and twin.get_params() == model.get_params()
    X, y = iris()
    twin.fit(X, y)
    assert twin.model_.layers[0].units == 6 and twin.get_params() == model.get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'unit' for estimator"):
        model.set_params(unit=3)
    for name in ("_units", "units_", "a__b", "fit"):
        with pytest.raises(ValueError, match=f"build has the parameter '{name}'"):
            ModelClassifier(build, **{name: 1})
    with pytest.raises(TypeError, match="unexpected keyword argument 'width'"):
        ModelClassifier(build, width=3).fit(X, y)


def test_models_of_ones_own_are_trained_as_asked():
    X, y = iris()
    own = np.array(["setosa", "versicolor", "virginica"])[y]
    options = {"epochs": 4, "batch_size": 16, "optimizer": optimizers.Adam(0.02), "metrics": ["accuracy"]}
    options |= {"validation_split": 0.2, "random_state": 7, "units": 8}
    model = ModelClassifier(build, **options).fit(X, own)
    assert sorted(model.history_) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(model.history_["loss"]) == 4 and model.n_outputs_ == 3 and model.model_.optimizer.lr == 0.02
    assert set(model.predict(X)) <= set(own) and model.predict_proba(X).shape == (150, 3)
    again = ModelClassifier(build, **options).fit(X, own)
    for found, wanted in zip(model.model_.get_weights(), again.model_.get_weights(), strict=True):
        assert_same_bits(found, wanted)
    assert model.history_ == again.history_ and options["optimizer"].iterations == 0
    weights_before = again.model_.get_weights()
    again.set_params(warm_start=True).fit(X, own)
    assert len(again.history_["loss"]) == 8
    assert (again.model_.get_weights()[0] != weights_before[0]).any()
    binary = ModelClassifier(build, epochs=2, random_state=0).fit(X, y == 1)
    assert binary.n_outputs_ == 1 and binary.predict(X).dtype == bool and binary.predict_proba(X).shape == (150, 2)
    labels = ModelClassifier(build, epochs=2).fit(*several())
    assert labels.n_outputs_ == 5 and set(np.unique(labels.predict(several()[0]))) <= {0, 1}
    assert ModelRegressor(build, loss=losses.GaussianNLL(), epochs=2).fit(X, y).model_.layers[-1].units == 2
    graph = ModelRegressor(graph_of, epochs=2).fit(X, np.c_[y, y])
    assert graph.predict(X).shape == (150, 2)


def graph_of(n_features_in, n_outputs):
    x = fastbp.Input(n_features_in)
    h = fastbp.Dense(n_features_in, "tanh")(x)
    return fastbp.Model(x, fastbp.Dense(n_outputs)(h + x))


def test_seeds_of_ones_own_stay():
    X, y = iris()

    def seeded(n_features_in, n_outputs):
        return fastbp.Sequential([fastbp.Dense(n_outputs)], input_shape=n_features_in, seed=5)

    def late(n_features_in, n_outputs):
        return fastbp.Sequential([fastbp.Dense(n_outputs)])

    first = [ModelClassifier(seeded, epochs=1, shuffle=False, random_state=s).fit(X, y) for s in (0, 1)]
    assert_same_bits(*[model.model_.layers[0].w for model in first])
    for made in (build, late):
        one, two, three = (ModelClassifier(made, epochs=1, shuffle=False, random_state=s).fit(X, y) for s in (0, 0, 1))
        assert_same_bits(one.model_.layers[0].w, two.model_.layers[0].w)
        assert (one.model_.layers[0].w != three.model_.layers[0].w).any()


def test_models_that_cannot_be():
    X, y = iris()

    def wrong(n_features_in, n_outputs):
        return fastbp.Sequential([fastbp.Dense(n_outputs + 1)])

    def compiled(n_features_in, n_outputs):
        model = build(n_features_in, n_outputs)
        model.compile("sgd", "mse")
        return model

    for made, error, text in (
        (wrong, ValueError, r"build returned a model with outputs of shape \(4,\); they must be \(3,\)"),
        (compiled, ValueError, "build returned a compiled model; the estimator compiles it"),
        (lambda a, b: 3, TypeError, "what build returned is 3; it must be a fastbp.Model"),
        (3, TypeError, "build is 3; it must be a function that returns a model"),
    ):
        model = ModelClassifier(build, epochs=1).fit(X, y)
        before = model.model_
        with pytest.raises(error, match=text):
            model.set_params(build=made).fit(X, y)
        assert model.model_ is before


# --------------------------------------------------------------------------------------------------- raw rows
def raw_rows(n=200):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({
        "size": 1000 * rng.random(n), "city": rng.choice(["Rome", "Bern", "Oslo"], n), "open": rng.random(n) > 0.5,
    })
    frame.loc[::7, "size"] = np.nan
    return frame, np.where((frame["city"] == "Rome") & frame["open"], "yes", "no")


def prepared(estimator, *args, **options):
    return estimator(*args, random_state=0, preparation=fastbp.table.Preparation(), **options)


def test_raw_rows_of_classes():
    frame, y = raw_rows()
    for make in (
        lambda: prepared(MLPClassifier, learning_rate_init=0.02, max_iter=100),
        lambda: prepared(ModelClassifier, build, optimizer=optimizers.Adam(0.02), epochs=50),
    ):
        model = quietly(make().fit, frame[:150], y[:150])
        assert model.score(frame[150:], y[150:]) > 0.9
        assert model.feature_names_in_.tolist() == ["size", "city", "open"] and model.n_features_in_ == 3
        assert model.model_.input_shape == (6,) and model.preparation.fitted is False
        # columns go by their names, and nothing but the rows of the training counts
        assert_same_bits(model.predict_proba(frame[["open", "size", "city"]]), model.predict_proba(frame))
        by_hand = fastbp.table.Preparation(task="classification").fit(frame[:150], y[:150])
        assert model.preparation_.get_config() == by_hand.get_config()
        assert model.preparation_.columns[0].mean == pytest.approx(frame["size"][:150].mean())
        with pytest.raises(ValueError, match="x lacks the column 'city'"):
            model.predict(frame[["size", "open"]])
        twin = pickle.loads(pickle.dumps(model))
        assert_same_bits(twin.predict_proba(frame), model.predict_proba(frame))
        scores = quietly(cross_val_score, clone(model), frame, y, cv=2)
        assert scores.min() > 0.85
    several_labels = np.c_[y == "yes", frame["open"]].astype(int)
    labels = quietly(prepared(MLPClassifier, max_iter=2).fit, frame, several_labels)
    assert labels.predict(frame).shape == (200, 2)
    rows = frame[["city", "open"]].to_numpy(object)
    assert quietly(prepared(MLPClassifier, max_iter=2).fit, rows, y).n_features_in_ == 2
    columns = {"city": list(frame["city"]), "open": list(frame["open"])}
    assert quietly(prepared(MLPClassifier, max_iter=2).fit, columns, y).n_features_in_ == 2


def test_raw_rows_of_numbers_are_predicted_in_their_unit():
    frame, _ = raw_rows()
    y = 5e5 + 1e5 * (frame["city"] == "Rome") + 100 * frame["size"].fillna(500)
    for make in (
        lambda **options: prepared(MLPRegressor, learning_rate_init=0.02, **options),
        lambda **options: prepared(ModelRegressor, build, optimizer=optimizers.Adam(0.02)),
    ):
        model = quietly(make().fit, frame[:150], y[:150])
        assert model.score(frame[150:], y[150:]) > 0.95 and model.predict(frame[:3]).shape == (3,)
        both = quietly(make(early_stopping=True).fit, frame, np.c_[y, -y])
        assert both.score(frame, np.c_[y, -y]) > 0.9
    counts = np.arange(200) % 5
    model = quietly(prepared(MLPRegressor, loss="poisson", max_iter=50).fit, frame, counts)
    assert model.predict(frame).min() > 0 and abs(model.predict(frame).mean() - 2) < 1


def test_raw_rows_that_are_refused():
    frame, y = raw_rows()
    with pytest.raises(TypeError, match=r"preparation is 'auto'; it must be a fastbp.table.Preparation"):
        MLPClassifier(preparation="auto").fit(frame, y)
    with pytest.raises(ValueError, match="preparation has the target 'city'; an estimator has y apart"):
        MLPClassifier(preparation=fastbp.table.Preparation(target="city")).fit(frame, y)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples|table has 200 rows"):
        prepared(MLPClassifier).fit(frame, y[:100])
    with pytest.warns(UserWarning, match="column 'name' is left out"):
        quietly(prepared(MLPClassifier, max_iter=2).fit, frame.assign(name=[f"n{k}" for k in range(200)]), y)


# ------------------------------------------------------------------------------- where estimators are put into
ESTIMATORS = {
    "MLPClassifier": lambda: MLPClassifier((8,), max_iter=20, random_state=0, learning_rate_init=0.02),
    "ModelClassifier": lambda: ModelClassifier(
        build, optimizer=optimizers.Adam(0.05), epochs=20, batch_size=32, random_state=0, units=8
    ),
}
each = pytest.mark.parametrize("make", ESTIMATORS.values(), ids=ESTIMATORS)


@each
def test_pipelines_and_columns(make):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({
        "size": rng.random(200), "colour": rng.choice(["red", "green", "blue"], 200), "weight": 10 + rng.random(200),
    })
    y = np.where((frame["colour"] == "red") ^ (frame["size"] > 0.5), "yes", "no")
    columns = ColumnTransformer([
        ("numbers", StandardScaler(), ["size", "weight"]), ("names", OneHotEncoder(sparse_output=False), ["colour"]),
    ])
    model = quietly(make_pipeline(columns, make()).fit, frame, y)
    assert model.score(frame, y) > 0.7 and model.predict_proba(frame).shape == (200, 2)
    alone = quietly(make().fit, frame[["size", "weight"]], y)
    assert alone.feature_names_in_.tolist() == ["size", "weight"] and alone.n_features_in_ == 2
    with pytest.raises(ValueError, match="feature names"):
        alone.predict(frame[["weight", "size"]])


@each
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_searches_scores_and_calibration(make):
    X, y = iris()
    name = "hidden_layer_sizes" if isinstance(make(), MLPClassifier) else "units"
    grid = {name: [(4,), (12,)] if name != "units" else [4, 12], "batch_size": [16, 150]}

    def local(n_features_in, n_outputs, units):  # which joblib sends along: the other processes may lack this module
        return fastbp.Sequential([fastbp.Dense(units, "relu"), fastbp.Dense(n_outputs)], input_shape=n_features_in)

    model = make().set_params(build=local) if name == "units" else make()
    serial = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert serial.best_score_ > 0.8 and len(serial.cv_results_["params"]) == 4
    parallel = GridSearchCV(model, grid, cv=3, n_jobs=2).fit(X, y)
    for key in ("mean_test_score", "std_test_score", "split2_test_score"):
        assert_same_bits(serial.cv_results_[key], parallel.cv_results_[key])
    assert_same_bits(serial.predict_proba(X), parallel.predict_proba(X))
    scores = cross_val_score(make_pipeline(StandardScaler(), make()), X, y, cv=3)
    assert scores.shape == (3,) and scores.min() > 0.5
    calibrated = CalibratedClassifierCV(make(), cv=3).fit(X, y)
    assert calibrated.score(X, y) > 0.8 and calibrated.predict_proba(X).shape == (150, 3)


@each
def test_copies_pickles_and_dumps(make, tmp_path):
    X, y = iris()
    model = quietly(make().fit, X, y)
    joblib.dump(model, tmp_path / "model.joblib", compress=3)
    twins = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), joblib.load(tmp_path / "model.joblib")]
    for twin in twins:
        assert_same_bits(twin.predict_proba(X), model.predict_proba(X))
        assert repr(twin) == repr(model)
        # and they go on as the first one does
        twin.partial_fit(X, y)
    model.partial_fit(X, y)
    for twin in twins:
        assert_same_bits(twin.predict_proba(X), model.predict_proba(X))
    fresh = clone(model)
    assert not hasattr(fresh, "model_") and repr(fresh) == repr(model)


def test_several_labels_and_targets():
    X, y = several()
    model = quietly(MLPClassifier(random_state=0, max_iter=50).fit, X, y)
    assert model.out_activation_ == "logistic" and model.classes_.tolist() == [0, 1, 2, 3, 4]
    assert model.predict(X).shape == y.shape and model.score(X, y) > 0.3
    assert ((model.predict_proba(X) > 0.5) == model.predict(X)).all()
    same_model(model, quietly(MLPClassifier(random_state=0, max_iter=50).fit, X, sparse.csr_array(y)))
    more = MLPClassifier(random_state=0).partial_fit(X, y).partial_fit(X[:20], y[:20])
    assert more.t_ == 320
    with pytest.raises(ValueError, match=r"y has shape \(300, 4\); it must have 5 columns"):
        more.partial_fit(X, y[:, :4])
    two = quietly(MLPRegressor(random_state=0, max_iter=5).fit, X, y[:, :2])
    assert two.predict(X).shape == (300, 2)
    with pytest.raises(ValueError, match=r"y has 3 targets a row; it must have 2"):
        two.partial_fit(X, y[:, :3])


def test_classes_that_come_later():
    X, y = iris()
    model = MLPClassifier(random_state=0)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        model.partial_fit(X, y)
    model.partial_fit(X[:50], y[:50], classes=[2, 1, 0])
    assert model.classes_.tolist() == [0, 1, 2] and model.predict_proba(X).shape == (150, 3)
    with pytest.raises(ValueError, match="it is not the same as on last call to partial_fit"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"`y` has classes not in `self.classes_`"):
        model.partial_fit(X, y + 1)
    model.set_params(warm_start=True)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        model.fit(X[:50], y[:50])
    single = quietly(MLPClassifier(max_iter=2).fit, X, np.full(150, "only"))
    assert set(single.predict(X)) == {"only"} and single.predict_proba(X).tolist() == [[1.0]] * 150


@pytest.mark.slow
def test_a_search_of_many_processes_has_the_bits_of_a_serial_one():
    """By joblib's "dask": on as many machines as there are, here with a cluster of two processes."""
    pytest.importorskip("distributed", reason="the package distributed is not installed")
    example = Path(__file__).parent.parent / "docs" / "examples" / "dask_search.py"
    if not example.exists():
        pytest.skip("the tests lie outside a source tree")
    done = subprocess.run(
        [sys.executable, example, "--epochs", "4"], capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the bits are those of the serial search" in done.stdout


# -------------------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(("options", "text"), [
    ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes is 0; it must be at least 1"),
    ({"solver": "adm"}, "there is no optimizer 'adm'; did you mean 'adam'"),
    ({"solver": 3}, "solver is 3; it must be a name or a fastbp optimizer"),
    ({"alpha": -1}, r"alpha is -1; it must be in \[0, inf\)"),
    ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
    ({"learning_rate": "linear"}, "there is no learning_rate 'linear'"),
    ({"learning_rate_init": 0}, r"learning_rate_init is 0; it must be in \(0, inf\)"),
    ({"max_iter": 0}, "max_iter is 0; it must be at least 1"),
    ({"tol": -1}, "tol is -1; it must be in"),
    ({"validation_fraction": 1.0}, "validation_fraction is 1.0; it must be in"),
    ({"n_iter_no_change": 0}, "n_iter_no_change is 0; it must be at least 1"),
    ({"activation": "rellu"}, "there is no activation 'rellu'; did you mean 'relu'"),
    ({"numerics": "fast"}, "numerics"),
    ({"dtype": "int32"}, "dtype"),
    ({"loss": "mse"}, "loss is MeanSquaredError.*, which takes no classes"),
    ({"loss": "hinge"}, "loss is Hinge.*, which is for two classes, and y has 3"),
    ({"early_stopping": True, "validation_fraction": 0.005}, "validation set is too small"),
    ({"beta_1": 1.0}, "beta_1 is 1.0"),
])  # fmt: skip
def test_what_is_refused(options, text):
    X, y = iris()
    model = MLPClassifier(**options)
    with pytest.raises((TypeError, ValueError), match=text):
        model.fit(X, y)


def test_more_that_is_refused():
    X, y = iris()
    with pytest.raises(ValueError, match="several labels a row; it must be a loss of yes and no"):
        MLPClassifier(loss="categorical_hinge").fit(*several())
    with pytest.raises(ValueError, match="which takes classes; it must be one of numbers"):
        MLPRegressor(loss="binary_crossentropy").fit(X, y)
    with pytest.raises(ValueError, match="it must be one of an output and its target"):
        MLPRegressor(loss="triplet_margin").fit(X, y)
    with pytest.raises(ValueError, match="it must be one of an output and its target"):
        MLPClassifier(loss="margin_ranking").fit(X, y)
    for make, text in ((MLPRegressor, "which takes classes"), (MLPClassifier, "which takes no classes")):
        with pytest.raises(ValueError, match=text):
            make(loss="contrastive").fit(X, y)
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPRegressor(solver="lbfgs").partial_fit(X, y)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        quietly(MLPRegressor(solver="sgd", learning_rate_init=1e10).fit, X, y)
    with pytest.warns(UserWarning, match="Got `batch_size` less than 1 or larger than sample size"):
        quietly(MLPClassifier(batch_size=1000, max_iter=1).fit, X, y)
    for make in (lambda: MLPClassifier(max_iter=1), lambda: MLPClassifier(max_iter=1, solver="lbfgs")):
        with pytest.warns(ConvergenceWarning) as told:
            make().fit(X, y)
        assert told[0].filename == __file__


def test_import_says_what_is_missing():
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import fastbp\n"
        "try: import fastbp.sklearn\n"
        "except ImportError as error: print(error)\n"
        "try: fastbp.sklearn\n"
        "except ImportError as error: print('again')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("fastbp.sklearn needs scikit-learn 1.6 or newer") and "pip install scikit-learn" in first
    assert second == "again"


# ------------------------------------------------------------------------------------------ how well they learn
@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="not a checkout")
def test_accuracy_beside_scikit_learn(tmp_path):
    """A small part of the benchmark whose table the guide has: within one point."""
    names = ["iris", "wine", "moons", "friedman1"]
    done = run_python(tmp_path, "-m", "benchmarks.sklearn_accuracy", *names, "--seeds", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 6


@pytest.mark.parametrize(
    ("loss", "several"),
    [
        ("nll", False),
        (losses.BinaryCrossEntropy(from_logits=False), True),
        (losses.SparseCategoricalCrossEntropy(from_logits=False), False),
    ],
)
def test_losses_of_probabilities_get_them(loss, several):
    X = np.random.default_rng(0).normal(size=(200, 3))
    y = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    y = y if several else y.sum(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPClassifier((16,), loss=loss, learning_rate_init=0.02, random_state=0).fit(X, y)
    found = model.predict_proba(X)
    assert model.score(X, y) > 0.9 and found.min() >= 0
    assert several or np.allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_goes_on_keeps_its_sizes(method):
    X, y = iris()
    model = quietly(MLPClassifier((5,), warm_start=True, max_iter=2, random_state=0).fit, X, y)
    before = model.predict_proba(X)
    model.set_params(hidden_layer_sizes=(7, 3))
    with pytest.raises(ValueError, match=r"hidden_layer_sizes is \(7, 3\); .* goes on with the model, whose are \[5\]"):
        getattr(model, method)(X, y)
    assert_same_bits(model.predict_proba(X), before)


def test_a_loss_of_distances_takes_no_classes():
    with pytest.raises(ValueError, match=r"hinge_embedding.*it must be one of an output and its target"):
        MLPClassifier(loss="hinge_embedding").fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"beta_1": 1.0}, "beta_1 is 1.0"),
        ({"beta_2": -0.1}, "beta_2 is -0.1"),
        ({"epsilon": 0}, "epsilon is 0"),
        ({"early_stopping": True, "validation_fraction": 0.0}, "validation_fraction is 0.0"),
    ],
)
def test_errors_name_the_argument_of_the_estimator(options, match):
    with pytest.raises(ValueError, match=match):
        MLPRegressor(**options).fit([[0.0], [1.0]], [0.0, 1.0])


def test_several_classes_a_row_are_refused():
    with pytest.raises(ValueError, match=r"y has shape \(3, 2\) and more than 0 and 1.*MultiOutputClassifier"):
        MLPClassifier().fit([[0.0], [1.0], [2.0]], [[0, 1], [1, 2], [2, 0]])


def test_weights_are_missed_by_the_name_that_was_typed():
    for name in ("coefs_", "intercepts_"):
        with pytest.raises(AttributeError, match=f"MLPClassifier has {name} once it is fitted"):
            getattr(MLPClassifier(), name)


@pytest.mark.parametrize("make", [MLPClassifier, lambda **options: ModelClassifier(build, epochs=1, **options)])
def test_first_raw_rows_may_be_of_one_class(make):
    rows = {"size": [1.0, 2.0, 3.0, 4.0] * 10, "city": ["Rome", "Bern"] * 20}
    model = make(preparation=fastbp.table.Preparation(), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(rows, ["no"] * 40, classes=["no", "yes"])
        model.partial_fit(rows, ["no", "yes"] * 20)
    assert model.predict_proba(rows).shape == (40, 2) and model.preparation_.n_features == 3
    only = make(preparation=fastbp.table.Preparation(), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert {*only.fit(rows, ["no"] * 40).predict(rows)} == {"no"}
