"""The last axis are the features: rows of several dimensions are as many rows of one."""

import re

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits, told

import fastbp
from fastbp import GLU, Activation, BatchNorm, Dense, Flatten, LayerNorm, PReLU, Reshape, RMSNorm, Sequential, losses

every_backend = pytest.mark.parametrize("backend", ("numpy", *BACKENDS))
every_numerics = pytest.mark.parametrize("numerics", ("numpy", "portable"))
#: What stands before the features in one row.
POSITIONS = {"t": (3,), "one": (1,), "h, w": (2, 3)}
every_position = pytest.mark.parametrize("positions", POSITIONS.values(), ids=POSITIONS)
N = 4
#: Layers whose last axis are the features, by a name.
LAYERS = {
    "dense": lambda: [Dense(5)],
    "dense without bias": lambda: [Dense(5, use_bias=False)],
    "dense, relu": lambda: [Dense(5, "relu"), Dense(2)],
    "dense, softmax": lambda: [Dense(5, "softmax")],
    "softmax": lambda: [Dense(5), Activation("softmax")],
    "log_softmax": lambda: [Dense(5), Activation("log_softmax")],
    "tanh": lambda: [Dense(5), Activation("tanh")],
    "layer norm": lambda: [Dense(5), LayerNorm(), Dense(2)],
    "gated linear": lambda: [GLU(), Dense(4), GLU()],
    "rms norm": lambda: [RMSNorm(), Dense(2)],
    "batch norm": lambda: [Dense(5), BatchNorm(0.5), Dense(2)],
    "batch norm, shift": lambda: [Dense(5), BatchNorm(scale=False), Dense(2)],
    "batch norm, frozen": lambda: [Dense(5), frozen(BatchNorm()), Dense(2)],
    "deep": lambda: [Dense(5, "gelu"), LayerNorm(), BatchNorm(), Dense(3, "log_softmax")],
}


def frozen(layer):
    layer.trainable = False
    return layer


def batch_of(positions, n, rows=6, seed=0, dtype="float32"):
    return np.random.default_rng(seed).standard_normal((rows, *positions, n)).astype(dtype)


def trained(layers, shape, x, y, **options):
    """Return a model after three steps, by hand, by `train_on_batch` and by `fit`, and what they yielded."""
    model = Sequential(layers, input_shape=shape, seed=3)
    model.compile(fastbp.optimizers.Adam(0.1), "mse", **options)
    out = [model.forward(x)]
    model.loss(y)
    model.backward()
    out += [model.layers[0].y, model.layers[-1].dy]
    out += [array.copy() for name, array in sorted(model.layers[0].arrays.items()) if name.startswith("d")]
    model.update()
    out.append(np.float64(model.train_on_batch(x, y)))
    model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0)
    out += [model.predict(x), *model.get_weights()]
    return out


@every_numerics
@every_backend
@every_position
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_are_those_of_single_rows(kind, positions, backend, numerics):
    x = batch_of(positions, N)
    y = batch_of(positions, Sequential(LAYERS[kind](), input_shape=N).layout.output_shape[-1], seed=1)
    options = {"backend": backend, "numerics": numerics}
    found = trained(LAYERS[kind](), (*positions, N), x, y, **options)
    flat = trained(LAYERS[kind](), N, x.reshape(-1, N), y.reshape(-1, y.shape[-1]), **options)
    assert found[0].shape == y.shape
    for got, want in zip(found, flat, strict=True):
        assert_same_bits(got.reshape(want.shape), want)


def test_shapes():
    model = Sequential([Dense(5), LayerNorm(), RMSNorm(), BatchNorm(), PReLU(), Dense(2)], input_shape=(7, 3, N))
    assert model.layout.shapes == [(7, 3, 5)] * 5 + [(7, 3, 2)]
    shapes = {f"{layer.name}.{name}": getattr(layer, name).shape for layer in model.layers for name in layer.parameters}
    assert shapes == {
        "dense_1.w": (N, 5), "dense_1.b": (5,), "layernorm_1.gamma": (5,), "layernorm_1.beta": (5,),
        "rmsnorm_1.gamma": (5,), "batchnorm_1.gamma": (5,), "batchnorm_1.beta": (5,), "prelu_1.alpha": (7, 3, 5),
        "dense_2.w": (5, 2), "dense_2.b": (2,),
    }  # fmt: skip
    assert model.layers[3].moving_mean.shape == (5,)


@every_numerics
@every_backend
def test_gated_linear_units(backend, numerics, tmp_path):
    x, y = batch_of((), 5, dtype="float64"), batch_of((), 3, seed=1, dtype="float64")
    model = Sequential([Dense(6), GLU()], input_shape=5, seed=0)
    model.compile("adam", "mse", backend=backend, numerics=numerics, dtype="float64")
    z = x @ model.layers[0].w
    np.testing.assert_allclose(model.predict(x), z[:, :3] / (1 + np.exp(-z[:, 3:])), rtol=1e-13)
    assert fastbp.gradient_check(model, x, y).ok
    model.fit(x, y, verbose=0)
    model.program.run(check="numpy")
    model.save(tmp_path / "m.npz")
    assert_same_bits(fastbp.load_model(tmp_path / "m.npz").predict(x), model.predict(x))
    odd = "glu_1: the last axis of its input has length 5; it must be even"
    for shape, message in (((2, 5), odd), ((), "glu_1 takes rows of one dimension")):
        with pytest.raises(ValueError, match=message):
            GLU(name="glu_1").build(shape)


@every_position
def test_layers_against_plain_numpy(positions):
    x = batch_of(positions, N, dtype="float64")
    axes = tuple(range(x.ndim - 1))
    dense = Sequential([Dense(5, "softmax")], input_shape=(*positions, N), seed=0)
    dense.compile("sgd", "mse", dtype="float64")
    z = x @ dense.layers[0].w + 0.25
    dense.layers[0].b = np.full(5, 0.25)
    e = np.exp(z - z.max(-1, keepdims=True))
    np.testing.assert_allclose(dense.predict(x), e / e.sum(-1, keepdims=True), rtol=1e-13)
    for layer, mean, variance, eps in (
        (LayerNorm(), x.mean(-1, keepdims=True), x.var(-1, keepdims=True), 1e-5),
        (RMSNorm(), 0, (x * x).mean(-1, keepdims=True), 1e-6),
        (BatchNorm(0.75), x.mean(axes), x.var(axes), 1e-3),
    ):
        norm = Sequential([layer], input_shape=(*positions, N))
        norm.compile(fastbp.optimizers.SGD(0.0001), "mse", dtype="float64")
        np.testing.assert_allclose(norm.forward(x), (x - mean) / np.sqrt(variance + eps), rtol=1e-12, atol=1e-14)
        norm.train_on_batch(x, x)
        if isinstance(layer, BatchNorm):
            np.testing.assert_allclose(layer.moving_mean, 0.25 * mean, rtol=1e-12)
            np.testing.assert_allclose(layer.moving_variance, 0.75 + 0.25 * variance, rtol=1e-12)


@every_backend
@pytest.mark.parametrize("kind", LAYERS)
def test_gradients(kind, backend):
    model = Sequential(LAYERS[kind](), input_shape=(2, 3, N), seed=1)
    model.compile("sgd", "mse", dtype="float64", backend=backend)
    x, y = batch_of((2, 3), N), batch_of((2, 3), model.layout.output_shape[-1], seed=1)
    assert fastbp.gradient_check(model, x, y).ok
    assert fastbp.blame(model, x, y).layers[-1].units == y.shape[-1]


def test_a_net_changes_its_rows_on_the_way():
    """Positions become features and features positions: what stands between costs no call."""
    x = batch_of((6,), 2)
    model = Sequential([Dense(3, "relu"), Reshape((2, 9)), Dense(4), Flatten(), Dense(2)], input_shape=(6, 2), seed=0)
    model.compile("sgd", "mse")
    (w1, b1), (w2, b2), (w3, b3) = ((layer.w, layer.b) for layer in model.layers if isinstance(layer, Dense))
    hidden = np.maximum(x @ w1 + b1, 0).reshape(6, 2, 9) @ w2 + b2
    np.testing.assert_allclose(model.predict(x), hidden.reshape(6, 8) @ w3 + b3, rtol=1e-4, atol=1e-6)
    # relu is part of the product
    assert [call.kernel.name for call in model.program.calls if call.phase == "forward"] == ["dense"] * 3
    model.train_on_batch(x, np.zeros((6, 2)))
    model.program.run(check="numpy")


def test_batch_norm_has_a_mean_of_one_row_where_that_has_positions():
    x = batch_of((3,), 2, rows=1)
    model = Sequential([BatchNorm()], input_shape=(3, 2))
    model.compile("sgd", "mse")
    assert not told(lambda: model.train_on_batch(x, x))
    assert not told(lambda: model.fit(np.repeat(x, 3, 0), np.repeat(x, 3, 0), batch_size=2, verbose=0))
    single = Sequential([BatchNorm()], input_shape=(1, 2))
    single.compile("sgd", "mse")
    assert "batchnorm_1 must have 2" in told(lambda: single.train_on_batch(x[:, :1], x[:, :1]))[0]


def test_files(tmp_path):
    x, y = batch_of((3,), N), batch_of((3,), 2, seed=1)
    model = Sequential([Dense(5), BatchNorm(), PReLU(), Dense(2)], input_shape=(3, N), seed=0)
    model.compile("adam", "mse")
    model.fit(x, y, batch_size=4, verbose=0)
    model.save(tmp_path / "m.npz")
    again = fastbp.load_model(tmp_path / "m.npz")
    assert_same_bits(again.predict(x), model.predict(x))
    assert again.train_on_batch(x, y) == model.train_on_batch(x, y)


# ------------------------------------------------------------------------------ losses, weights, metrics
def one_hot(labels, n):
    return np.eye(n)[labels]


def targets(kind, positions, n, rows=7, seed=2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n, size=(rows, *positions))
    return {
        "real": lambda: rng.standard_normal((rows, *positions, n)),
        "binary": lambda: (rng.random((rows, *positions, n)) < 0.5) * 1.0,
        "signs": lambda: np.where(rng.random((rows, *positions, n)) < 0.5, -1.0, 1.0),
        "counts": lambda: rng.poisson(2, (rows, *positions, n)) * 1.0,
        "one_hot": lambda: one_hot(labels, n),
        "labels": lambda: labels,
        "ignored": lambda: np.where(rng.random(labels.shape) < 0.3, -1, labels),
    }[kind]()


#: Losses with what their targets are, the last activation of the model and the number of its outputs.
LOSSES = {
    "mse": (losses.MeanSquaredError, "real", None, 4),
    "mae": (losses.MeanAbsoluteError, "real", None, 4),
    "huber": (losses.Huber, "real", None, 4),
    "log cosh": (losses.LogCosh, "real", None, 4),
    "hinge": (losses.Hinge, "signs", None, 4),
    "squared hinge": (losses.SquaredHinge, "signs", None, 4),
    "contrastive": (losses.Contrastive, "binary", "softplus", 4),
    "poisson": (losses.Poisson, "counts", "softplus", 4),
    "gaussian": (losses.GaussianNLL, "real", None, 8),
    "focal": (losses.BinaryFocalCrossEntropy, "binary", None, 4),
    "bce": (lambda **k: losses.BinaryCrossEntropy(label_smoothing=0.1, **k), "binary", "sigmoid", 4),
    "bce, logits": (lambda **k: losses.BinaryCrossEntropy(True, pos_weight=3.0, **k), "binary", None, 4),
    "bce, one": (lambda **k: losses.BinaryCrossEntropy(True, **k), "binary", None, 1),
    "categorical hinge": (losses.CategoricalHinge, "one_hot", None, 4),
    "cosine": (losses.CosineSimilarity, "real", None, 4),
    "kl": (losses.KLDivergence, "one_hot", "softmax", 4),
    "cce": (lambda **k: losses.CategoricalCrossEntropy(False, **k), "one_hot", "softmax", 4),
    "cce, logits": (lambda **k: losses.CategoricalCrossEntropy(True, 0.1, **k), "one_hot", None, 4),
    "scce": (lambda **k: losses.SparseCategoricalCrossEntropy(False, **k), "labels", "softmax", 4),
    "scce, logits": (lambda **k: losses.SparseCategoricalCrossEntropy(True, **k), "labels", None, 4),
    "scce, smoothed": (lambda **k: losses.SparseCategoricalCrossEntropy(True, 0.2, **k), "labels", None, 4),
    "scce, ignored": (lambda **k: losses.SparseCategoricalCrossEntropy(True, ignore_index=-1, **k), "ignored", None, 4),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def case_of(name, positions, rows=7):
    """Return a loss's class, x, y, and weights of rows and of positions."""
    make, kind, last, n = LOSSES[name]
    x = batch_of(positions, N, rows)
    y = targets(kind, positions, n // 2 if name == "gaussian" else n, rows)
    rng = np.random.default_rng(9)
    return make, last, n, x, y, rng.uniform(0, 2, rows), rng.uniform(0, 2, (rows, *positions))


def model_of(shape, n, last, loss, metrics=(), seed=4, **options):
    model = Sequential([Dense(5, "tanh"), Dense(n, last)], input_shape=shape, seed=seed)
    model.compile(fastbp.optimizers.SGD(0.1, momentum=0.9), loss, metrics, **options)
    return model


def flattened(array, positions):
    return array.reshape(-1, *array.shape[1 + len(positions) :])


@every_backend
@every_position
@every_loss
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_arrays_are_those_of_single_rows(name, positions, reduction, backend):
    make, _, n, x, y, of_rows, of_positions = case_of(name, positions)
    y_pred = np.random.default_rng(3).uniform(0.05, 0.9, (*x.shape[:-1], n))
    loss, flat = make(reduction=reduction), (flattened(y, positions), y_pred.reshape(-1, n))
    every = of_rows.reshape(-1, *[1] * len(positions)) * np.ones(positions)
    for given, single in ((None, None), (of_positions, of_positions), (of_rows, every), (of_rows[:, None], every)):
        weight = None if single is None else single.reshape(-1)
        found, want = loss(y, y_pred, backend, given), loss(*flat, backend, weight)
        assert np.shape(found) == (of_positions.shape if reduction == "none" else ())
        assert_same_bits(np.ravel(found), np.ravel(want))
        gradient = loss.gradient(y, y_pred, backend, given)
        assert gradient.shape == y_pred.shape
        assert_same_bits(gradient.reshape(-1, n), loss.gradient(*flat, backend, weight))


@every_numerics
@every_backend
@pytest.mark.parametrize("positions", [(3,), (2, 3)], ids=["t", "h, w"])
@every_loss
def test_models_are_those_of_single_rows(name, positions, backend, numerics):
    """Steps, epochs with a smaller last batch, evaluation: bit for bit."""
    make, last, n, x, y, of_rows, of_positions = case_of(name, positions)
    each, options = int(np.prod(positions)), {"backend": backend, "numerics": numerics}
    flat = flattened(x, positions), flattened(y, positions)
    repeated = np.repeat(of_rows, each)
    for given, single in ((None, None), (of_rows, repeated), (of_positions, of_positions.reshape(-1))):
        model = model_of((*positions, N), n, last, make(), **options)
        other = model_of(N, n, last, make(), **options)
        assert model.train_on_batch(x, y, given) == other.train_on_batch(*flat, single)
        for again, data, weight, factor in ((model, (x, y), given, 1), (other, flat, single, each)):
            again.fit(*data, 3 * factor, 2, False, verbose=0, sample_weight=weight, validation_split=2 / 7)
        assert_same_bits(model.batch_losses, other.batch_losses)
        assert_same_bits(model.predict(x).reshape(-1, n), other.predict(flat[0]))
        for got, want in zip(model.get_weights(), other.get_weights(), strict=True):
            assert_same_bits(got, want)
        # float32 losses times whole numbers are exact in float64, and so are sums of three
        for key in ("loss", "val_loss"):
            assert model.history.history[key] == other.history.history[key]
        evaluated = model.evaluate(x, y, 3, given)["loss"], other.evaluate(*flat, 3 * each, single)["loss"]
        assert evaluated[0] == evaluated[1]


@every_backend
@every_loss
def test_shuffled_rows_take_their_targets_and_weights_along(name, backend):
    make, last, n, x, y, _, of_positions = case_of(name, (3,))
    model, other = (model_of((3, N), n, last, make(), backend=backend) for _ in range(2))
    model.fit(x, y, 3, 2, seed=1, verbose=0, sample_weight=of_positions)
    rng = np.random.default_rng(1)
    for _ in range(2):
        order = rng.permutation(7)
        for at in (order[:3], order[3:6], order[6:]):
            other.train_on_batch(x[at], y[at], of_positions[at])
    for got, want in zip(model.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(got, want)


@every_backend
@every_loss
def test_the_four_steps_and_gradient_check(name, backend):
    make, last, n, x, y, _, _ = case_of(name, (2, 3), rows=3)
    model = model_of((2, 3, N), n, last, make(), backend=backend, dtype="float64")
    y_pred = model.forward(x)
    value = model.loss(y)
    np.testing.assert_allclose(value, make()(y, y_pred, backend), rtol=1e-12)
    model.backward()
    assert model.layers[-1].dy.shape == y_pred.shape
    if last is None:
        np.testing.assert_allclose(model.layers[-1].dy, make().gradient(y, y_pred, backend), rtol=1e-12, atol=1e-15)
    assert fastbp.gradient_check(model, x, y).ok
    model.update()
    assert fastbp.blame(model, x, y).rows == 3


def test_losses_against_plain_numpy():
    rng = np.random.default_rng(0)
    y_pred, y = rng.standard_normal((5, 3, 4)), rng.standard_normal((5, 3, 4))
    labels, weight, each = rng.integers(4, size=(5, 3)), rng.uniform(0, 2, (5, 3)), rng.uniform(0, 2, 5)
    none = {"reduction": "none"}
    square = ((y - y_pred) ** 2).mean(-1)
    np.testing.assert_allclose(losses.MeanSquaredError("none")(y, y_pred), square, rtol=1e-14)
    np.testing.assert_allclose(losses.MeanSquaredError()(y, y_pred, sample_weight=weight), (square * weight).mean())
    got = losses.MeanSquaredError()(y, y_pred, sample_weight=each)
    np.testing.assert_allclose(got, (square * each[:, None]).mean())
    log_p = y_pred - np.log(np.exp(y_pred).sum(-1, keepdims=True))
    cross = -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    scce = losses.SparseCategoricalCrossEntropy
    np.testing.assert_allclose(scce(True, **none)(labels, y_pred), cross, rtol=1e-13)
    np.testing.assert_allclose(losses.CategoricalCrossEntropy(True)(one_hot(labels, 4), y_pred), cross.mean())
    np.testing.assert_allclose(scce(True)(labels, y_pred, sample_weight=weight), (cross * weight).mean())
    counted = labels != 2
    np.testing.assert_allclose(scce(True, ignore_index=2)(labels, y_pred), cross[counted].mean())
    np.testing.assert_allclose(scce(True, ignore_index=2, **none)(labels, y_pred), np.where(counted, cross, 0))
    cosine = (y * y_pred).sum(-1) / np.linalg.norm(y, axis=-1) / np.linalg.norm(y_pred, axis=-1)
    np.testing.assert_allclose(losses.CosineSimilarity(**none)(y, y_pred), -cosine)
    means, log_variances = y_pred[..., :2], y_pred[..., 2:]
    nll = 0.5 * (log_variances + (y[..., :2] - means) ** 2 / np.exp(log_variances))
    np.testing.assert_allclose(losses.GaussianNLL(**none)(y[..., :2], y_pred), nll.mean(-1))


@every_backend
def test_epochs_are_means_over_positions_that_count(backend):
    """Some rows have no label that counts, some batches neither: the mean is over labels, not over batches."""
    rng = np.random.default_rng(0)
    x, y = batch_of((3,), N, 12), rng.integers(4, size=(12, 3))
    y[rng.random(y.shape) < 0.5] = -1
    y[:5] = -1
    loss = losses.SparseCategoricalCrossEntropy(True, ignore_index=-1)
    model = Sequential([Dense(4)], input_shape=(3, N), seed=0)
    model.compile(fastbp.optimizers.SGD(1e-300), loss, backend=backend, dtype="float64")
    seen = []
    note = fastbp.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    for batch in (1, 5, 12):
        for shuffle in (False, True):
            history = model.fit(x, y, batch, shuffle=shuffle, verbose=0, validation_data=(x, y), callbacks=[note])
            for value in (*history.history["loss"], *history.history["val_loss"]):
                assert value == pytest.approx(float(loss(y, model.predict(x))), rel=1e-12), (batch, shuffle)
    assert seen[0] == 0 and seen[-1] == pytest.approx(history.history["loss"][0])
    assert model.evaluate(x, y, 5)["loss"] == pytest.approx(float(loss(y, model.predict(x))), rel=1e-12)


@every_backend
def test_classes_weigh_in_each_position(backend):
    x, labels = batch_of((3,), N, 10), np.random.default_rng(0).integers(3, size=(10, 3))
    weight, table = np.random.default_rng(1).uniform(0, 2, (10, 3)), {0: 2.0, 2: 0.5}
    each = np.array([2.0, 1.0, 0.5])[labels]
    bits = (labels[..., None] == 1) * 1.0
    for loss, y, n in (
        ("sparse_categorical_crossentropy", labels, 3),
        ("categorical_crossentropy", one_hot(labels, 3), 3),
        ("categorical_hinge", one_hot(labels, 3), 3),
        ("binary_crossentropy", bits, 1),
        ("binary_crossentropy", bits[..., 0], 1),
    ):
        classes = labels if n == 3 else bits[..., 0].astype(int)
        counts = np.bincount(classes[:8].ravel())
        weights = {0: 2.0, 1: 0.5} if n == 1 else table
        of_classes = each if n == 3 else np.array([2.0, 0.5])[classes]
        for given, want in ((weights, of_classes), ("balanced", (24 / (len(counts) * counts))[classes])):
            first, second = (model_of((3, N), n, None, loss, backend=backend) for _ in range(2))
            common = {"batch_size": 3, "epochs": 2, "seed": 0, "verbose": 0}
            first.fit(x, y, **common, class_weight=given, sample_weight=weight, validation_split=0.2)
            second.fit(x[:8], y[:8], **common, sample_weight=weight[:8] * want[:8])
            assert_same_bits(first.get_weights()[0], second.get_weights()[0])


@every_backend
@pytest.mark.parametrize("positions", [(3,), (2, 3)], ids=["t", "h, w"])
def test_metrics_are_those_of_single_rows(positions, backend):
    each = int(np.prod(positions))
    top = [fastbp.metrics.SparseTopKCategoricalAccuracy(2)]
    of_classes = ["accuracy", "precision", "recall", "f1_score", "confusion_matrix"]
    for kind, loss, last, n, names in (
        ("labels", "sparse_categorical_crossentropy", None, 4, [*of_classes, *top]),
        ("one_hot", "categorical_crossentropy", "softmax", 4, [*of_classes, fastbp.metrics.TopKCategoricalAccuracy(2)]),
        ("binary", "binary_crossentropy", "sigmoid", 2, [*of_classes, "auc", "binary_accuracy"]),
        ("real", "mse", None, 2, ["mae", "mse", "rmse", "r2_score"]),
    ):
        x, y = batch_of(positions, N, 11), targets(kind, positions, n, 11)
        flat = flattened(x, positions), flattened(y, positions)
        model = model_of((*positions, N), n, last, loss, names, backend=backend)
        other = model_of(N, n, last, loss, names, backend=backend)
        for batch in (4, 11):
            found, want = model.evaluate(x, y, batch), other.evaluate(*flat, batch * each)
            for key, value in found.items():
                np.testing.assert_allclose(value, want[key], rtol=1e-14, err_msg=key)
        for by_batch in (False, True):
            hooks = [fastbp.callbacks.LambdaCallback(on_train_batch_end=lambda *_: None)] if by_batch else []
            pair = [
                again.fit(*data, 4 * k, 2, False, verbose=0, callbacks=hooks, validation_data=data).history
                for again, data, k in ((model, (x, y), 1), (other, flat, each))
            ]
            for key in pair[0]:
                np.testing.assert_allclose(pair[0][key], pair[1][key], rtol=1e-14, err_msg=key)


def test_metrics_of_arrays_have_columns_in_the_last_axis():
    rng = np.random.default_rng(0)
    y, p, bits = rng.standard_normal((5, 3, 2)), rng.standard_normal((5, 3, 2)), rng.random((5, 3, 2)) < 0.5
    labels = rng.integers(2, size=(5, 3))
    m = fastbp.metrics
    assert m.r2_score(y, p) == m.r2_score(y.reshape(-1, 2), p.reshape(-1, 2)) != m.r2_score(y.ravel(), p.ravel())
    assert m.roc_auc_score(bits, p) == m.roc_auc_score(bits.reshape(-1, 2), p.reshape(-1, 2))
    p = rng.standard_normal((5, 3, 4))
    assert m.top_k_accuracy_score(labels, p, 2) == m.top_k_accuracy_score(labels.ravel(), p.reshape(-1, 4), 2)
    with pytest.raises(ValueError, match=r"y_true\[4, 2\] is 7; labels must be in 0 .. 3, y_score has 4 columns"):
        m.top_k_accuracy_score(np.where(np.arange(15).reshape(5, 3) == 14, 7, labels), p, 2)


def test_a_last_axis_of_one_may_be_left_away():
    x, y = batch_of((3,), N), np.random.default_rng(0).random((6, 3))
    model = model_of((3, N), 1, None, "mse")
    assert model.evaluate(x, y) == model.evaluate(x, y[..., None])
    labels = np.random.default_rng(0).integers(4, size=(6, 3))
    model = model_of((3, N), 4, None, "sparse_categorical_crossentropy")
    assert model.evaluate(x, labels) == model.evaluate(x, labels[..., None]) == model.evaluate(x, labels * 1.0)


def test_what_is_refused():
    x, weight = batch_of((3,), N), np.ones((6, 3))
    labels = np.zeros((6, 3), int)
    of_labels = model_of((3, N), 4, None, "sparse_categorical_crossentropy")
    of_rows = model_of((3, N), 4, "softmax", "categorical_crossentropy")
    of_hinge = model_of((3, N), 4, None, "categorical_hinge")
    of_means = model_of((3, N), 4, None, losses.GaussianNLL())

    def refused(model, message, y, **options):
        before = model.get_weights()
        calls = [
            lambda: model.fit(x, y, verbose=0, **options), lambda: model.train_on_batch(x, y, **options),
            lambda: model.fit(x, y, verbose=0, validation_split=0.5, **options),
        ]  # fmt: skip
        if "class_weight" not in options:
            calls.append(lambda: model.evaluate(x, y, **options))
        for call in calls:
            with pytest.raises(ValueError, match=message):
                call()
        for got, want in zip(model.get_weights(), before, strict=True):
            assert_same_bits(got, want)

    refused(of_labels, r"y has shape \(6,\); labels must be \(6, 3\)", labels[:, 0])
    refused(of_labels, r"y has shape \(6, 3, 4\); labels must be \(6, 3\); for one-hot targets use", one_hot(labels, 4))
    refused(
        of_labels,
        r"y\[2, 1\] is 4; labels must be in 0 \.\. 3, the model has 4",
        np.where(weight.cumsum().reshape(6, 3) == 8, 4, 0),
    )
    refused(of_labels, r"y\[0, 0\] is 0.5; labels must be whole numbers", labels + 0.5)
    refused(of_rows, r"y has shape \(6, 3\); it must be \(6, 3, 4\); for integer labels use the sparse", labels)
    refused(of_hinge, r"y has shape \(6, 3\); it must be \(6, 3, 4\); np\.eye\(4\)\[y\] makes", labels)
    refused(of_hinge, r"y\[0, 0\] is .*; targets of .* must be rows of 0 with a single 1", np.zeros((6, 3, 4)))
    refused(of_means, r"y has shape \(6, 3, 4\); it must be \(6, 3, 2\)", np.zeros((6, 3, 4)))
    for shape in ((6, 2), (6, 1, 1), (3, 6), (18,), (6, 3, 4), (6, 3, 1, 1), ()):
        message = r"sample_weight has shape .*; it must be \(6,\) or \(6, 3\), with or without a last axis of length 1"
        refused(of_labels, message, labels, sample_weight=np.ones(shape))
    refused(
        of_labels,
        r"sample_weight\[1, 2\] is -1.0; weights must not be",
        labels,
        sample_weight=np.where(np.arange(18).reshape(6, 3) == 5, -1.0, 1),
    )
    refused(of_labels, r"sample_weight\[.*\] is nan", labels, sample_weight=weight * np.nan)
    refused(of_labels, "class_weight has a weight for class 4; the classes are", labels, class_weight={4: 1.0})
    with pytest.raises(ValueError, match=r"validation_data\[2\] has shape \(5,\); it must be \(6,\) or \(6, 3\)"):
        of_labels.fit(x, labels, validation_data=(x, labels, np.ones(5)), verbose=0)
    with pytest.raises(ValueError, match=r"the model has outputs of shape \(3, 3\); GaussianNLL takes 2 n"):
        model_of((3, N), 3, None, losses.GaussianNLL())
    for loss in (losses.TripletMargin(), losses.TripletSemiHard()):
        with pytest.raises(ValueError, match=r"Triplet.* takes rows of one dimension, got outputs of shape \(3, 4\)"):
            model_of((3, N), 4, None, loss)
    scores = np.zeros((6, 3, 4))
    with pytest.raises(ValueError, match=r"y_true has shape \(3, 6\), y_pred \(6, 3, 4\); y_true must be \(6, 3\)"):
        losses.SparseCategoricalCrossEntropy(True)(labels.T, scores)
    with pytest.raises(ValueError, match=r"y_true has shape \(18, 4\), y_pred \(6, 3, 4\); y_true must be \(6, 3, 4\)"):
        losses.MeanSquaredError()(scores.reshape(18, 4), scores)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\); it must be \(6,\) or \(6, 3\)"):
        losses.MeanSquaredError()(scores, scores, sample_weight=np.ones(3))


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 3), (6, 3, 1)])
def test_weights_have_each_of_the_shapes_and_are_named_by_their_own(shape):
    rng = np.random.default_rng(4)
    x, labels, weight = batch_of((3,), N), rng.integers(4, size=(6, 3)), rng.random(shape)
    each = np.broadcast_to(weight.reshape((6, -1)), (6, 3))
    model, other = (model_of((3, N), 4, None, "sparse_categorical_crossentropy") for _ in range(2))
    assert_same_bits(model.train_on_batch(x, labels, weight), other.train_on_batch(x, labels, each))
    loss, scores = losses.SparseCategoricalCrossEntropy(True), rng.normal(size=(6, 3, 4))
    assert_same_bits(loss(labels, scores, sample_weight=weight), loss(labels, scores, sample_weight=each))
    at = (4, 2, 0)[: len(shape)] if 3 in shape else (4, 0)[: len(shape)]
    place = re.escape(f"sample_weight[{', '.join(map(str, at))}]")
    before = model.get_weights()
    for value, message in ((np.nan, "is nan; sample_weight must be finite"), (-2.5, "is -2.5; weights must not be")):
        wrong = weight.copy()
        wrong[at] = value
        for options in ({}, {"class_weight": {1: 3.0}}):
            with pytest.raises(ValueError, match=f"{place} {message}"):
                model.fit(x, labels, sample_weight=wrong, verbose=0, **options)
    for got, want in zip(model.get_weights(), before, strict=True):
        assert_same_bits(got, want)


def test_a_step_that_is_not_finite_names_the_layer():
    x, y = batch_of((3,), N), np.zeros((6, 3), int)
    model = model_of((3, N), 4, None, "sparse_categorical_crossentropy")
    model.layers[1].w = np.full((5, 4), np.nan)
    with pytest.raises(FloatingPointError, match=r"dense_2\.w holds values that are not finite"):
        model.fit(x, y, 4, verbose=0, sample_weight=np.ones((6, 3)))


def test_minimize_and_checkpoints(tmp_path):
    x, y = batch_of((3,), N), np.random.default_rng(0).integers(4, size=(6, 3))
    weight = np.random.default_rng(0).uniform(0, 2, (6, 3))
    pytest.importorskip("scipy")
    model = model_of((3, N), 4, None, "sparse_categorical_crossentropy", dtype="float64")
    before = model.evaluate(x, y, sample_weight=weight)["loss"]
    result = fastbp.minimize(model, x, y, sample_weight=weight, options={"maxiter": 20})
    assert result.fun < before / 2
    np.testing.assert_allclose(model.evaluate(x, y, sample_weight=weight)["loss"], result.fun, rtol=1e-12)
    first, second = (model_of((3, N), 4, None, "sparse_categorical_crossentropy", ["accuracy"]) for _ in range(2))
    common = {"batch_size": 4, "seed": 1, "verbose": 0, "sample_weight": weight}
    first.fit(x, y, epochs=4, **common)
    second.fit(x, y, epochs=2, checkpoint=tmp_path / "run.npz", **common)
    third = model_of((3, N), 4, None, "sparse_categorical_crossentropy", ["accuracy"])
    third.fit(x, y, epochs=4, checkpoint=tmp_path / "run.npz", **common)
    for got, want in zip(third.get_weights(), first.get_weights(), strict=True):
        assert_same_bits(got, want)
    assert third.history.history == first.history.history
