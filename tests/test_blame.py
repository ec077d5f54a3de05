"""Seeing the gradients: the report's numbers, a finding for what is wrong and for nothing else, the gradient check."""

import itertools
import warnings

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Activation, BlameLog, Dense, Sequential, blame, gradient_check, initializers, losses, optimizers
from fastbp.datasets import load_digits, train_test_split
from fastbp.layers import ACTIVATIONS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 8)).astype("float32")
Y = RNG.integers(3, size=64)


class Constant(initializers.Initializer):
    def __init__(self, value):
        self.value = value

    def __call__(self, shape, rng):
        return np.full(shape, self.value)


class Wide(initializers.Initializer):
    def __init__(self, scale):
        self.scale = scale

    def __call__(self, shape, rng):
        return rng.normal(0, self.scale, shape)


def net(*layers, optimizer="sgd", loss="sparse_categorical_crossentropy", seed=0, **options):
    model = Sequential([*layers], seed=seed)
    model.compile(optimizer, loss, **options)
    return model


def plain(activation="relu", n=16, **options):
    return net(Dense(n, activation=activation), Dense(n, activation=activation), Dense(3), **options)


def kinds(report):
    return [finding.kind for finding in report.findings]


# ------------------------------------------------------------------------------------------ numbers
@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_numbers_are_those_of_the_four_steps(backend, dtype):
    model = plain("relu", optimizer=optimizers.Adam(lr=0.01), backend=backend, dtype=dtype)
    model.fit(X, Y, epochs=2, verbose=0)
    report = blame(model, X, Y)
    model.forward(X)
    assert report.loss == model.loss(Y) and report.rows == 64
    model.backward()
    before = [layer.w.astype("float64") for layer in model.layers]
    model.update()
    for layer, old, got in zip(model.layers, before, report.layers, strict=True):
        f8 = {name: getattr(layer, name).astype("float64") for name in ("dy", "dw", "db", "w", "b", "y")}
        f8["w"], step = old, layer.w - old
        assert report[layer.name] is got and got.units == len(layer.db)
        for name in ("dy", "dw", "w"):
            np.testing.assert_allclose(getattr(got, name), np.linalg.norm(f8[name]), rtol=1e-12)
            np.testing.assert_allclose(got.neurons[name], np.linalg.norm(f8[name], axis=0), rtol=1e-12)
        np.testing.assert_allclose(got.neurons["db"], abs(f8["db"]), rtol=1e-12)
        np.testing.assert_allclose(got.ratio, np.linalg.norm(step) / np.linalg.norm(old), rtol=1e-6)
        each = np.linalg.norm(step, axis=0) / np.linalg.norm(old, axis=0)
        np.testing.assert_allclose(got.neurons["ratio"], each, rtol=1e-5)
    for layer, got in zip(model.layers[:2], report.layers, strict=False):
        np.testing.assert_array_equal(got.neurons["dead"], (layer.y == 0).all(axis=0))
        assert got.dead == got.neurons["dead"].mean() and np.isnan(got.saturated)
    assert report.layers[2].columns == ["dy", "w", "dw", "update", "b", "db", "ratio"]
    with pytest.raises(KeyError, match="no layer 'dense_9'; there are dense_1, dense_2, dense_3"):
        report["dense_9"]


def test_nothing_of_the_model_changes():
    model, twin = (plain("tanh", optimizer=optimizers.SGD(lr=0.1, momentum=0.9)) for _ in range(2))
    for m in (model, twin):
        m.fit(X, Y, seed=1, verbose=0)
        m.forward(X[:5])
        m.loss(Y[:5])
        m.backward()
    views = [getattr(layer, name) for layer in model.layers for name in ("y", "dy", "dw", "db", "w", "b")]
    copies = [view.copy() for view in views]
    blame(model, X, Y)
    gradient_check(model, X[:4], Y[:4], sample=2)
    for view, copy in zip(views, copies, strict=True):
        assert_same_bits(view, copy)
    for m in (model, twin):
        m.update()  # the four steps go on where they were
        m.fit(X, Y, seed=2, verbose=0)
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(got, want)
    for name, state in model.optimizer.get_state().items():
        assert_same_bits(state, twin.optimizer.get_state()[name])


def test_layers_that_have_no_parameters_or_are_not_asked():
    model = net(Activation("tanh"), Dense(6), Activation("tanh"), Dense(3, use_bias=False))
    report = blame(model, X * 4, Y)
    first, second, third, last = report.layers
    assert np.isnan(first.dy) and np.isnan(first.w) and first.columns == ["saturated"]
    np.testing.assert_array_equal(first.neurons["saturated"], (abs(np.tanh(X * 4)) > np.sqrt(0.96)).mean(axis=0))
    assert second.activation == "identity" and third.activation == "tanh" and third.columns == ["dy", "saturated"]
    assert "b" not in last.columns and np.isnan(last.db)
    assert blame(net(Activation("tanh"), loss="mse"), X, X).findings == []


def test_saturated_is_where_the_slope_is_small():
    x = np.array([[-4.7, 4.7, -4.5, 4.5, 0.0]])
    for activation, scale in (("sigmoid", 1), ("tanh", 0.5)):
        model = net(Activation(activation), loss="mse", dtype="float64")
        np.testing.assert_array_equal(blame(model, x * scale, x).layers[0].neurons["saturated"], [1, 1, 0, 0, 0])
    for activation, scale in (("hard_sigmoid", 3), ("hard_tanh", 1)):
        model = net(Activation(activation), loss="mse", dtype="float64")
        x = np.array([[-1.0, 1.5, -0.9, 0.0]]) * scale
        np.testing.assert_array_equal(blame(model, x, x).layers[0].neurons["saturated"], [1, 1, 0, 0])


def test_the_table_is_aligned():
    report = blame(plain("relu", numerics="portable"), X, Y)
    lines = str(report).splitlines()
    assert lines[0].startswith("loss ") and lines[0].endswith(", 64 rows") and len(lines) == 5
    assert lines[1].split() == ["layer", "units", "||dy||", "||w||", "||dw||", "||db||", "update/w", "dead"]
    assert [line.split()[0] for line in lines[2:]] == ["dense_1", "dense_2", "dense_3"]
    assert len({len(line) for line in lines[1:4]}) == 1 and len(lines[4].split()) == 7
    assert repr(report) == "<Blame of 3 layers, 64 rows: no findings>"


def test_bad_input_is_named():
    with pytest.raises(RuntimeError, match="not compiled"):
        blame(Sequential([Dense(3)]), X, Y)
    with pytest.raises(ValueError, match=r"y has 3 rows and x has 64"):
        blame(plain(), X, Y[:3])
    for options in ({"eps": 0}, {"tolerance": -1.0}):
        with pytest.raises(ValueError, match=r"must be in \(0, inf\)"):
            gradient_check(plain(), X, Y, **options)
    with pytest.raises(ValueError, match="sample is 0; it must be at least 1"):
        gradient_check(plain(), X, Y, sample=0)


# ------------------------------------------------------------------------------------------ findings
@pytest.fixture(scope="module")
def digits():
    return train_test_split(*load_digits())


@pytest.mark.parametrize(
    ("sizes", "activation", "optimizer"),
    [
        ((256,), "relu", lambda: optimizers.Adam()),
        ((64, 32), "relu", lambda: optimizers.Adam(lr=0.01)),
        ((64, 32), "relu6", lambda: optimizers.SGD(lr=0.1, momentum=0.9)),
        ((64, 32), "tanh", lambda: optimizers.Adam(lr=0.01)),
        ((64, 32), "sigmoid", lambda: optimizers.Adam(lr=0.03)),
        ((64, 32), "hard_tanh", lambda: optimizers.SGD(lr=0.1, momentum=0.9)),
        ((32, 32, 32, 32), "softsign", lambda: optimizers.RMSprop()),
        ((128, 64, 32), "gelu", lambda: optimizers.Lion()),
    ],
)
def test_no_findings_in_health(digits, sizes, activation, optimizer):
    x, x_test, y, y_test = digits
    model = net(*(Dense(n, activation=activation) for n in sizes), Dense(10), optimizer=optimizer())
    log = BlameLog(x[:128], y[:128])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, y, epochs=20, seed=0, verbose=0, callbacks=[log])
    assert (model.predict(x_test).argmax(axis=1) == y_test).mean() > 0.93
    assert log.findings == []
    for rows in (1, 32, len(x_test)):
        assert blame(model, x_test[:rows], y_test[:rows]).findings == []


def test_no_findings_where_all_is_learned_or_begins_at_zero():
    # a loss that is exactly 0 has no slope, and needs none
    model = net(Dense(1, kernel_initializer="zeros"), loss="mse")
    assert blame(model, X, np.zeros(64)).findings == []
    # a first step is long beside weights of 0, not beside those of Glorot's rule
    model = net(Dense(1, kernel_initializer="zeros"), loss="mse", optimizer="adam")
    report = blame(model, X, np.ones(64))
    assert report.layers[0].ratio == np.inf and report.findings == []


def test_vanishing():
    model = net(*(Dense(32, activation="sigmoid") for _ in range(9)), Dense(3))
    (finding,) = blame(model, X, Y).findings
    assert finding.kind == "vanishing" and "dense_1" in finding.layers and "dense_8" not in finding.layers
    last, first = (blame(model, X, Y)[name].dy for name in ("dense_9", "dense_1"))
    factor = float(f"{last / first:.2g}")
    assert f"from {last:.2g} in dense_9 to {first:.2g} in dense_1, by a factor of {factor:g};" in finding
    assert "initialisation" in finding and "relu" in finding
    assert blame(net(*(Dense(32, activation="sigmoid") for _ in range(4)), Dense(3)), X, Y).findings == []


def test_exploding():
    layers = [Dense(32, activation="relu", kernel_initializer=Wide(1.0)) for _ in range(6)]
    model = net(*layers, Dense(3, kernel_initializer=Wide(1e-6)), optimizer=optimizers.SGD(lr=1e-9))
    (finding,) = blame(model, X, Y).findings
    assert finding.kind == "exploding" and "dense_1" in finding.layers and "from" in finding
    assert "clipped gradients" in finding


def test_a_step_that_is_too_long():
    report = blame(plain(optimizer=optimizers.Adam(lr=2.0)), X, Y)
    assert kinds(report) == ["step"] and "smaller learning rate" in report.findings[0]
    regression = net(Dense(16, activation="relu"), Dense(1), loss="mse")
    assert "step" in kinds(blame(regression, X, 1e5 * X[:, 0]))


def test_dead():
    model = net(Dense(16, activation="relu", bias_initializer=Constant(-2.5)), Dense(3))
    report = blame(model, X, Y)
    (finding,) = report.findings
    assert 0.8 < report["dense_1"].dead < 1 and finding.kind == "dead" and finding.layers == ["dense_1"]
    assert f"{report['dense_1'].dead:.0%} of dense_1" in finding and "leaky_relu" in finding
    assert blame(model, X[:31], Y[:31]).findings == []  # too few rows to say
    several = [Dense(16, activation="relu", bias_initializer=Constant(-2.5)) for _ in range(3)]
    (finding,) = (f for f in blame(net(*several, Dense(3)), X, Y).findings if f.kind == "dead")
    assert finding.layers == ["dense_1", "dense_2", "dense_3"] and "so do many in" in finding


def test_saturated():
    for activation in ("sigmoid", "tanh", "hard_sigmoid", "hard_tanh", "softsign"):
        report = blame(plain(activation), X * 1000, Y)
        assert "saturated" in kinds(report)
        (finding,) = (f for f in report.findings if f.kind == "saturated")
        assert finding.layers[0] == "dense_1" and activation in finding and "scaled inputs" in finding
    # an output that is sure is no fault
    sure = net(Dense(1, activation="sigmoid", kernel_initializer=Wide(100.0)), loss="binary_crossentropy")
    assert "saturated" not in kinds(blame(sure, X, Y > 0))


def test_zero_gradients():
    report = blame(net(Dense(16, activation="relu", bias_initializer=Constant(-100.0)), Dense(3)), X, Y)
    assert kinds(report) == ["zero gradients", "dead"]
    assert report.findings[0].layers == ["dense_1"]
    zeros = net(Dense(4, activation="tanh"), Dense(4), Dense(3, kernel_initializer="zeros"))
    assert [(f.kind, f.layers) for f in blame(zeros, X, Y).findings] == [("zero gradients", ["dense_1", "dense_2"])]


@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
def test_not_finite(backend):
    model = plain(backend=backend)
    model.build(8)
    weights = model.get_weights()
    weights[2][0, 0] = np.nan
    model.set_weights(weights)
    (finding,) = blame(model, X, Y).findings
    assert finding.kind == "not finite" and finding.layers == ["dense_2"]
    assert "the parameters of dense_2" in finding
    model.set_weights([w * 0 + 1e30 for w in weights[:2]] + [np.full_like(w, 1e30) for w in weights[2:]])
    (finding,) = blame(model, abs(X), Y).findings
    assert "the output of dense_2" in finding
    linear = net(Dense(2), loss="mse", backend=backend)
    (finding,) = blame(linear, X, np.full((64, 2), 1e30)).findings
    assert "the loss is inf" in finding and finding.layers == []
    # nothing is infinite but a gradient
    steep = net(Dense(4), Dense(4), Dense(2), loss=losses.MeanAbsoluteError("sum"), backend=backend)
    steep.build(8)
    steep.set_weights([*(np.zeros(s) for s in ((8, 4), 4, (4, 4), 4)), np.full((4, 2), 3e38), np.zeros(2)])
    (finding,) = blame(steep, X, np.ones((64, 2))).findings
    assert "dLoss/dy of dense_2" in finding


def test_many_layers_are_not_listed():
    model = net(*(Dense(8, activation="sigmoid") for _ in range(16)), Dense(3))
    assert "layers from dense_1 to dense_" in blame(model, X, Y).findings[0]


# ------------------------------------------------------------------------------------------ the callback
def test_the_log_changes_no_bit_of_training():
    models = [plain("relu", optimizer="adam") for _ in range(2)]
    log = BlameLog(X[:40], Y[:40])
    histories = [
        m.fit(X, Y, epochs=4, seed=3, verbose=0, callbacks=c) for m, c in zip(models, ([log], []), strict=True)
    ]
    assert histories[0].history == histories[1].history
    for got, want in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        assert_same_bits(got, want)
    assert log.epoch == [0, 1, 2, 3, 4]
    columns = {"dy", "w", "b", "dw", "db", "update", "ratio", "dead"}
    assert {name for name in log.history if name.startswith("dense_1.")} == {f"dense_1.{c}" for c in columns}
    assert all(len(values) == 5 for values in log.history.values())
    # the last entry is the model as it is now
    report = blame(models[0], X[:40], Y[:40])
    assert log.history["dense_2.dy"][-1] == report["dense_2"].dy and str(log.last) == str(report)
    models[0].fit(X, Y, epochs=1, verbose=0, callbacks=[log])
    assert log.epoch == [0, 1] and log.history["dense_2.dy"][0] == report["dense_2"].dy


def test_the_log_warns_once():
    model = net(*(Dense(16, activation="sigmoid") for _ in range(9)), Dense(3))
    log = BlameLog(X, Y)
    with pytest.warns(RuntimeWarning, match="before training: Vanishing") as caught:
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[log])
    assert len(caught) == 1 and caught[0].filename == __file__
    assert [(epoch, finding.kind) for epoch, finding in log.findings] == [(0, "vanishing")]


def test_the_log_says_when():
    model = plain("relu", optimizer=optimizers.SGD(lr=1e4))
    log = BlameLog(X, Y)
    with pytest.warns(RuntimeWarning) as caught:
        model.fit(X, Y, epochs=2, batch_size=64, verbose=0, callbacks=[log], stop_on_nan=False)
    found = [(epoch, finding.kind) for epoch, finding in log.findings]
    assert found[0] == (0, "step") and len(found) > 1 and len(caught) == len(found)
    assert str(caught[0].message).startswith("before training: Too long a step")
    assert str(caught[-1].message).startswith(f"after epoch {found[-1][0]}: ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, verbose=0, callbacks=[BlameLog(X, Y, warn=False)], stop_on_nan=False)


def test_plots():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    model = net(Activation("tanh"), Dense(6, activation="relu"), Dense(1), loss="mse")
    log = BlameLog(X, X[:, :1])
    model.fit(X, X[:, :1], epochs=2, verbose=0, callbacks=[log])
    ax = log.plot()
    assert [line.get_label() for line in ax.lines] == ["dense_1", "dense_2"]
    assert list(ax.lines[0].get_xdata()) == [0, 1, 2]
    ax = log.last.plot()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["dLoss/dy of a neuron", "dLoss/dy of a layer", "dLoss/dw of a layer"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["activation_1", "dense_1", "dense_2"]
    assert log.last.plot(ax) is ax
    plt.close("all")


# ------------------------------------------------------------------------------------------ the gradient check
#: Each loss, the activation of the output that it takes, and its kind of targets.
LOSSES = [
    (losses.MeanSquaredError(), "identity", "real"),
    (losses.MeanAbsoluteError(), "identity", "real"),
    (losses.Huber(), "identity", "real"),
    (losses.LogCosh(reduction="sum"), "identity", "real"),
    (losses.Hinge(), "identity", "signs"),
    (losses.SquaredHinge(), "identity", "signs"),
    (losses.CategoricalHinge(), "identity", "one_hot"),
    (losses.Contrastive(margin=0.7), "softplus", "binary"),
    (losses.CosineSimilarity(), "identity", "real"),
    (losses.TripletMargin(margin=3.0), "identity", "triplets"),
    (losses.TripletSemiHard(margin=3.0, squared=True), "identity", "labels"),
    (losses.GaussianNLL(), "identity", "real"),
    (losses.Poisson(), "softplus", "counts"),
    (losses.Poisson(log_input=True), "identity", "counts"),
    (losses.KLDivergence(), "softmax", "shares"),
    (losses.BinaryFocalCrossEntropy(), "identity", "binary"),
    (losses.BinaryCrossEntropy(from_logits=False), "sigmoid", "binary"),
    (losses.BinaryCrossEntropy(from_logits=True), "identity", "binary"),
    (losses.BinaryCrossEntropy(from_logits=False, pos_weight=3.0), "sigmoid", "binary"),
    (losses.BinaryCrossEntropy(from_logits=True, pos_weight=0.3), "identity", "binary"),
    (losses.BinaryCrossEntropy(from_logits=True, label_smoothing=0.3), "identity", "binary"),
    (losses.CategoricalCrossEntropy(from_logits=False), "softmax", "one_hot"),
    (losses.CategoricalCrossEntropy(from_logits=False, label_smoothing=0.3), "softmax", "one_hot"),
    (losses.SparseCategoricalCrossEntropy(from_logits=True, label_smoothing=0.3), "identity", "labels"),
    (losses.CategoricalCrossEntropy(from_logits=True), "identity", "one_hot"),
    (losses.SparseCategoricalCrossEntropy(from_logits=False), "softmax", "labels"),
    (losses.SparseCategoricalCrossEntropy(from_logits=True, reduction="sum"), "identity", "labels"),
    (losses.SparseCategoricalCrossEntropy(class_weight={1: 3.0}), "identity", "labels"),
    (losses.CategoricalCrossEntropy(class_weight=[1, 3, 0.5], label_smoothing=0.3), "identity", "one_hot"),
    (losses.BinaryCrossEntropy(class_weight=[1, 3]), "identity", "one_hot"),
    (losses.NLL(), "log_softmax", "labels"),
    (losses.NLL(class_weight=[1, 3, 0.5], ignore_index=1), "log_softmax", "labels"),
    (losses.CategoricalFocalCrossEntropy(), "identity", "one_hot"),
    (losses.CategoricalFocalCrossEntropy(from_logits=False, alpha=[1, 3, 0.5], gamma=1.5), "softmax", "shares"),
    (losses.Dice(), "sigmoid", "one_hot"),
    (losses.MultiMargin(), "identity", "labels"),
    (losses.MultiMargin(p=2), "identity", "labels"),
    (losses.MultiLabelMargin(), "identity", "one_hot"),
    (losses.SoftMargin(), "identity", "signs"),
    (losses.MarginRanking(0.7), "identity", "signs"),
    (losses.HingeEmbedding(0.7), "softplus", "signs"),
    (losses.CosineEmbedding(), "tanh", "signs"),
    (losses.SmoothL1(0.7), "identity", "real"),
    (losses.MeanAbsolutePercentageError(), "identity", "real"),
    (losses.MeanSquaredLogarithmicError(), "softplus", "counts"),
]


def targets(kind, rows, n=3):
    labels = np.arange(rows) % n
    one_hot = np.eye(n)[labels]
    real = np.random.default_rng(5).normal(size=(rows, n))
    shares = (one_hot + 1) / (n + 1)
    known = {"real": real, "shares": shares, "signs": 2 * one_hot - 1, "counts": 2 * one_hot, "labels": labels}
    known["triplets"] = np.arange(rows) % 3 // 2
    return known.get(kind, one_hot)


def test_every_loss_is_checked():
    known = {getattr(losses, name) for name in losses.__all__ if name not in ("get", "Loss", "CustomLoss", "JointLoss")}
    assert {type(loss) for loss, _, _ in LOSSES} == known


@pytest.mark.parametrize(("loss", "last", "kind"), LOSSES, ids=[repr(loss) for loss, *_ in LOSSES])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gradients_of_the_package_are_right(activation, loss, last, kind):
    n = 6 if loss.targets == "means" else 3
    model = net(Dense(5, activation=activation), Dense(n, activation=last), loss=type(loss)(**loss.get_config()))
    # a row whose relus are all silent must not put out zeros: they are equal, and have no direction
    model.build(4)
    model.layers[1].b = [0.1, -0.2, 0.3, -0.4, 0.5, -0.6][:n]
    rows = 6 if kind == "triplets" else 7
    x = np.random.default_rng(3).normal(size=(rows, 4))
    check = gradient_check(model, x, targets(kind, rows), sample=None)
    assert check.ok, str(check)
    assert list(check.errors) == ["dense_1.w", "dense_1.b", "dense_2.w", "dense_2.b"]
    assert [check.compared[name] + check.kinks[name] for name in check.errors] == [20, 5, 5 * n, n]
    assert sum(check.kinks.values()) == 0
    assert max(check.errors.values()) <= 1e-5 == check.tolerance


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_the_gradients_of_compiled_backends_are_right(backend, numerics):
    model = plain("tanh", backend=backend, numerics=numerics, optimizer="adam")
    model.fit(X, Y, epochs=30, verbose=0)
    assert gradient_check(model, X[:9], Y[:9], sample=30).ok


def test_gradients_of_a_deep_and_a_trained_net_are_right():
    deep = net(*(Dense(8, activation="sigmoid") for _ in range(10)), Dense(3))
    assert gradient_check(deep, X[:9], Y[:9]).ok  # they are near rounding
    trained = net(Dense(8, activation="relu"), Dense(1), loss="mse", optimizer="adam")
    trained.fit(X, X[:, 0], epochs=300, verbose=0)
    check = gradient_check(trained, X, X[:, 0])
    assert check.ok, str(check)
    assert gradient_check(trained, 100 * X, X[:, 0]).ok
    # 1 - y has few digits where a sigmoid is sure
    sure = net(Dense(5, activation="relu"), Dense(3, activation="sigmoid"), loss="binary_crossentropy", seed=3)
    x = 10 * np.random.default_rng(3).normal(size=(7, 4))
    assert gradient_check(sure, x, targets("binary", 7)).ok
    # a loss that clips keeps its slope on purpose
    check = gradient_check(sure, 10 * x, targets("binary", 7))
    assert not check.ok and "the loss clips them: check a loss on logits" in str(check).splitlines()[-1]


class Broken(Activation):
    """A tanh whose backward is that of a sigmoid, or is wrong by a factor."""

    def __init__(self, factor=None):
        super().__init__("tanh")
        self.factor = factor

    def emit(self, program, x, weights, gradients, done=False):
        y, backward = super().emit(program, x, weights, gradients)

        def broken(dy, need_dx):
            if self.factor is None:
                return program.call("sigmoid_backward", dy, y, layer=self.name)
            return program.call("leaky_relu_backward", backward(dy, need_dx), x, layer=self.name, alpha=self.factor)

        return y, broken


@pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
@pytest.mark.parametrize("factor", [None, 1.01, 1.0001, 0.0, -1.0])
def test_a_broken_backward_is_found(backend, factor):
    model = net(Dense(6), Broken(factor), Dense(3), backend=backend)
    check = gradient_check(model, X[:8], Y[:8], sample=None)
    assert not check.ok and sum(check.kinks.values()) == 0
    wrong = [name for name, error in check.errors.items() if error > check.tolerance]
    assert wrong == ["dense_1.w", "dense_1.b"]
    if factor is None:
        assert check.errors["dense_1.w"] > 0.01
    lines = str(check).splitlines()
    assert len(lines) == 6 and lines[-1] == "The backward pass is WRONG."
    where, got, want = check.worst["dense_1.w"]
    at = ", ".join(map(str, where))
    assert lines[1].endswith(f"WRONG at [{at}]: {got:.6g}, should be {want:.6g}")
    model.forward(X[:8])
    model.loss(Y[:8])
    model.backward()
    np.testing.assert_allclose(got, model.layers[0].dw[where], rtol=1e-4, atol=1e-7)
    # the same layer, whole
    assert gradient_check(net(Dense(6), Broken(1.0), Dense(3), backend=backend), X[:8], Y[:8]).ok


def test_a_broken_backward_is_found_near_a_minimum():
    # small gradients beside much curvature: one-sided quotients are far apart here as well
    model = net(Dense(6), Broken(0.0), Dense(1), loss="mse", optimizer=optimizers.Adam(lr=0.01))
    model.build(8)
    y = model.predict(X) + 1e-6
    assert not gradient_check(model, X, y).ok


def test_a_broken_backward_is_found_where_gradients_are_small():
    # so small that a hundredth of the step would drown them in rounding
    model = net(Dense(6), Broken(0.0), Dense(3, kernel_initializer=Wide(1e-8)))
    check = gradient_check(model, X[:8], Y[:8])
    assert 0 < abs(check.worst["dense_1.w"][2]) < 1e-7 and not check.ok and sum(check.kinks.values()) == 0


def test_a_broken_relu_is_found():
    class Leaky(Activation):
        def emit(self, program, x, weights, gradients, done=False):
            y, _ = super().emit(program, x, weights, gradients)
            return y, lambda dy, need_dx: program.call("leaky_relu_backward", dy, x, layer=self.name)

    check = gradient_check(net(Dense(6), Leaky("relu"), Dense(3)), X, Y, sample=None)
    assert not check.ok and sum(check.kinks.values()) == 0


def test_kinks_are_left_out():
    # with a bias of 0 an input of zeros puts every unit at its kink, where no bias can be compared
    model = net(Dense(6, activation="relu"), Dense(3))
    check = gradient_check(model, np.zeros((2, 8)), Y[:2])
    assert check.ok and check.kinks == {"dense_1.w": 0, "dense_1.b": 6, "dense_2.w": 0, "dense_2.b": 0}
    assert str(check).splitlines()[-1] == (
        "6 parameters were left out: the loss has a kink there, such as a ReLU at 0."
    )
    assert "0 of 6" in str(check) and np.isnan(check.errors["dense_1.b"])
    # a kink within the step, on either side of it
    for shift in (4e-6, -4e-6, 5e-8):
        model.layers[0].b = np.full(6, shift)
        check = gradient_check(model, np.zeros((2, 8)), Y[:2])
        assert check.ok and check.kinks["dense_1.b"] == 6, str(check)
        assert gradient_check(model, np.zeros((2, 8)), Y[:2], eps=1e-8, tolerance=1e-2).compared["dense_1.b"] == 6 or (
            abs(shift) < 1e-7
        )
    one = net(Dense(1, use_bias=False, kernel_initializer="zeros"), loss="mae")
    check = gradient_check(one, [[1.0], [2.0]], [[1.0], [2.0]])
    assert check.ok and check.kinks == {"dense_1.w": 0}


def test_nothing_to_compare():
    check = gradient_check(net(Activation("tanh"), loss="mse"), X, X)
    assert not check.ok and str(check).splitlines()[-1] == "Nothing could be compared."
    assert repr(check) == "<GradientCheck: not right>"
    model = plain()
    model.build(8)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(FloatingPointError, match=r"the loss of this batch is nan; fastbp.blame"):
        gradient_check(model, X, Y)


def test_the_sample_is_seeded():
    model = plain("tanh", n=30)
    checks = [gradient_check(model, X[:5], Y[:5], sample=7, seed=seed) for seed in (0, 0, 1)]
    assert checks[0].compared == dict.fromkeys(checks[0].errors, 7) | {"dense_3.b": 3}
    assert checks[0].sizes["dense_2.w"] == 900 and "7 of 900" in str(checks[0])
    assert checks[0].worst == checks[1].worst != checks[2].worst
    assert str(checks[0]).splitlines()[-1] == "The backward pass is right: 38 derivatives agree to 1e-05."
    assert repr(checks[0]) == "<GradientCheck: right>"


def test_names_are_public():
    for name, module in itertools.product(("blame", "BlameLog", "gradient_check"), (fastbp, fastbp.insight)):
        assert getattr(module, name) is getattr(fastbp.insight, name) and name in module.__all__
