"""Objectives of one's own: models without a loss, forward as predict has it, gradients by inputs and of single rows."""

import threading

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Dense, Sequential, layers, load_model, losses, optimizers

ROWS, INPUTS, OUTPUTS = 9, 6, 3
every_backend = pytest.mark.parametrize("backend", ("numpy", *BACKENDS))
every_numerics = pytest.mark.parametrize("numerics", ("numpy", "portable"))
in_both_modes = pytest.mark.parametrize("training", (True, False))
rng = np.random.default_rng(1)
X, DY = rng.normal(size=(ROWS, INPUTS)), rng.normal(size=(ROWS, OUTPUTS))
Y, LABELS = rng.normal(size=(ROWS, OUTPUTS)), rng.integers(OUTPUTS, size=ROWS)
WEIGHTS, TRIPLETS = rng.random(ROWS), np.array([0, 0, 1] * (ROWS // 3))


def chain(first=()):
    """Layers of every kind that computes something else in training, gives rows another shape, or learns."""
    return [
        *first,
        Dense(8, activation="tanh", kernel_regularizer=fastbp.regularizers.L2(0.01)),
        layers.BatchNorm(),
        layers.Dropout(0.4),
        layers.PReLU(),
        layers.Reshape((2, 4)),
        layers.LayerNorm(),
        layers.GaussianNoise(0.2),
        Dense(3, activation="gelu"),
        layers.Flatten(),
        layers.RMSNorm(),
        layers.AlphaDropout(0.1),
        Dense(OUTPUTS, use_bias=False),
    ]


def model_of(loss=None, first=(), **options):
    """Return a compiled model whose statistics are no longer those that it begins with."""
    model = Sequential(chain(first), input_shape=INPUTS, seed=3)
    options = {"dtype": "float64", "numerics": "portable"} | options
    model.compile(optimizers.Adam(lr=0.01, clipnorm=1.0), loss, **options)
    norm = model.layers[1 + len(first)]
    norm.moving_mean, norm.moving_variance = np.linspace(-0.3, 0.4, 8), np.linspace(0.5, 2.0, 8)
    return model


def gradients(model):
    """Return dLoss by each parameter and by each layer's output, by name."""
    found = {f"{k}.d{p}": getattr(layer, f"d{p}") for k, layer in enumerate(model.layers) for p in layer.parameters
             if hasattr(layer, f"d{p}")}  # fmt: skip
    return {**found, **{f"{k}.dy": layer.dy for k, layer in enumerate(model.layers)}}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert_same_bits(np.asarray(found[name]), np.asarray(array), name)


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def differences(function, array, h=1e-6):
    """Return the derivative of a function of nothing by each element of an array that it reads."""
    flat, slopes = array.reshape(-1), []
    for i in range(flat.size):
        before = flat[i]
        flat[i] = before + h
        above = function()
        flat[i] = before - h
        slopes.append((above - function()) / (2 * h))
        flat[i] = before
    return np.reshape(slopes, array.shape)


# --------------------------------------------------------------------------------------- forward
@every_backend
@every_numerics
@pytest.mark.parametrize("loss", (None, "mse"))
def test_forward_as_predict_has_it(backend, numerics, loss):
    model = model_of(loss, backend=backend, numerics=numerics, dtype="float32")
    before = model.snapshot()
    predicted = model.predict(X)
    for rows in (ROWS, 2, ROWS):
        assert_same_bits(model.forward(X[:rows], training=False), model.predict(X[:rows]))
        assert_same_bits(model.layers[-1].y, model.predict(X[:rows]))
    assert_same_bits(model.layers[2].y, model.layers[1].y, "nothing is dropped")
    assert_same(model.snapshot(), before)
    noisy = model.forward(X)
    assert not np.array_equal(noisy, predicted)
    assert_same_bits(model.layers[-1].y, noisy)
    assert not np.array_equal(model.forward(X), noisy)
    assert_same_bits(model.forward(X.tolist(), training=np.False_), predicted)
    assert_same_bits(model.layers[-1].y, predicted)


@every_backend
def test_forward_and_backward_uncompiled(backend, monkeypatch):
    monkeypatch.setattr("fastbp.engine.choose_backend", lambda given: backend)
    model, twin = Sequential(chain(), seed=3), model_of(backend=backend, dtype="float32", numerics="numpy")
    model.build(INPUTS)
    model.set_weights(twin.get_weights())
    for training in (True, False, True):
        assert_same_bits(model.forward(X, training), twin.forward(X, training))
        for m in (model, twin):
            m.backward(DY)
        assert_same(gradients(model), gradients(twin))
    with pytest.raises(RuntimeError, match=r"the model is not compiled; call model.compile\("):
        model.update()
    unbuilt = Sequential([Dense(2)], seed=0)
    assert unbuilt.forward(X).shape == (ROWS, 2)


def test_training_is_true_or_false():
    model = model_of()
    for call in (lambda: model.forward(X, Y), lambda: model.input_gradient(X, dy=DY, training="no")):
        with pytest.raises(TypeError, match=r"(?s)training is .*; it must be True or False"):
            call()


# ------------------------------------------------------------------------------- backward from dy
@every_backend
@every_numerics
@in_both_modes
def test_backward_from_dy_is_backward_from_the_loss(backend, numerics, training):
    options = {"backend": backend, "numerics": numerics}
    model, without, beside = model_of("mse", **options), model_of(**options), model_of("mse", **options)
    for step in range(3):
        x, y = X[step:], Y[step:]
        model.forward(x, training)
        model.loss(y)
        model.backward()
        dy = model.layers[-1].dy.copy()
        for other in (without, beside):
            other.forward(x, training)
            if other is beside:
                other.loss(y + 1)
                other.backward()
            other.backward(dy.astype("float32").tolist() if other is beside else -dy)
            other.backward(dy)
            assert_same(gradients(other), gradients(model))
        for m in (model, without, beside):
            m.update()
        assert_same(without.snapshot(), model.snapshot())
        assert_same(beside.snapshot(), model.snapshot())
    assert without.optimizer.iterations == 3
    statistics = model.layers[1].moving_mean
    assert np.array_equal(statistics, np.linspace(-0.3, 0.4, 8)) is not training


def test_backward_from_dy_against_differences():
    model = model_of()
    model.layers[0].kernel_regularizer.l2 = 0.0
    model.forward(X, training=False)
    model.backward(DY)
    found = [getattr(layer, f"d{p}").copy() for layer in model.layers for p in layer.parameters if p in layer.arrays]

    def objective():
        return (DY * model.predict(X)).sum()

    parameters = [layer.arrays[p] for layer in model.layers for p in layer.parameters if p in layer.arrays]
    assert len(found) == len(parameters) == 11
    for gradient, array in zip(found, parameters, strict=True):
        np.testing.assert_allclose(gradient, differences(objective, array), rtol=2e-6, atol=1e-8)


def test_penalties_are_part_of_the_gradients():
    model = model_of()
    model.forward(X)
    model.backward(np.zeros_like(DY))
    layer = model.layers[0]
    np.testing.assert_allclose(layer.dw, 0.02 * layer.w, rtol=1e-12)
    assert not layer.db.any()


@every_backend
def test_frozen_layers_have_no_gradient_from_dy_either(backend):
    model = model_of(backend=backend)
    model.layers[0].trainable = model.layers[1].trainable = False
    model.forward(X)
    model.backward(DY)
    assert not model.layers[0].dw.any() and not model.layers[1].dgamma.any()
    assert model.layers[3].dalpha.any()


@every_backend
def test_what_backward_refuses(backend):
    model = model_of(backend=backend)
    for dy, message in ((None, "without a loss"), (DY, r"backward\(dy\) needs the output of forward\(x\)")):
        with pytest.raises(RuntimeError, match=message):
            model.backward(dy)
    model.forward(X)
    for dy, message in (
        (DY[:2], r"dy has shape \(2, 3\); it must be that of the output, \(9, 3\)"),
        (DY[:, 0], r"dy has shape \(9,\); it must be that of the output, \(9, 3\)"),
        (1.0, r"dy has shape \(\); it must be"),
    ):
        with pytest.raises(ValueError, match=message):
            model.backward(dy)
    with pytest.raises((TypeError, ValueError), match="dy"):
        model.backward("up")
    with pytest.raises(AttributeError, match="has no dy yet"):
        _ = model.layers[-1].dy
    model.backward(DY)
    model.update()
    with pytest.raises(RuntimeError, match=r"backward\(dy\) needs the output of forward\(x\)"):
        model.backward(DY)
    with pytest.raises(RuntimeError, match="update"):
        model.update()


@every_backend
def test_numbers_that_are_not_finite_pass_as_in_numpy(backend):
    model = model_of(backend=backend)
    model.forward(X, training=False)
    dy = DY.copy()
    dy[2, 1] = np.nan
    model.backward(dy)
    assert np.isnan(model.layers[-1].dw).any()
    dx = model.input_gradient(X, dy=dy)
    assert np.isnan(dx).all(axis=1).tolist() == [k == 2 for k in range(ROWS)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_quick_way_is_taken(backend):
    """What every call tries first: it has arrays, and lists, that need no explanation."""
    model = Sequential([Dense(4, activation="tanh"), Dense(OUTPUTS)], input_shape=INPUTS, seed=0)
    model.compile("sgd", "mse", backend=backend)
    slow = Sequential([Dense(4, activation="tanh"), Dense(OUTPUTS)], input_shape=INPUTS, seed=0)
    slow.compile("sgd", "mse", backend="numpy")
    for m in (model, slow):
        for training in (True, False):
            m.forward(X, training)
        m.input_gradient(X, Y)
        m.input_gradient(X, dy=DY)
    engine, steps = model.engine(), model._by_hand
    for given in (np.asarray, np.float32, np.ndarray.tolist):
        x, y, dy = map(given, (X, Y, DY))
        assert_same_bits(steps.forward(x), slow.forward(x, training=False))
        assert steps.pull(dy) is True
        slow.backward(dy)
        assert_same_bits(model.layers[0].dw, slow.layers[0].dw)
        assert_same_bits(engine.ask(engine.differentiators, x, y, 1 << 62), slow.input_gradient(x, y))
        assert_same_bits(engine.ask(engine.pullers, x, dy, 1 << 62), slow.input_gradient(x, dy=dy))
    assert steps.pull(DY[:3]) is None and steps.pull(DY[:, :2]) is None
    model.layers[1].trainable = False
    assert steps.forward(X) is None, "a layer changed"
    model.forward(X)
    assert steps.forward(X) is None, "it has other programs now"


# --------------------------------------------------------------------------------- without a loss
def test_what_needs_a_loss_says_so():
    model = model_of()
    model.forward(X)
    for call in (
        lambda: model.fit(X, Y), lambda: model.train_on_batch(X, Y), lambda: model.evaluate(X, Y),
        lambda: model.loss(Y), lambda: model.program, lambda: model.input_gradient(X, Y),
        lambda: model.row_gradients(X, Y), lambda: fastbp.blame(model, X, Y), lambda: model.backward(),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=r"compiled without a loss; call model.compile\(.*backward\(dy\)"):
            call()
    model.backward(DY)  # the steps by hand go on
    with pytest.raises(ValueError, match=r"metrics is \['accuracy'\] and loss is missing"):
        model.compile("sgd", metrics="accuracy")


@every_backend
def test_files_of_models_without_a_loss(backend, tmp_path):
    def train(m):
        for _ in range(3):
            m.forward(X)
            m.backward(DY)
            m.update()

    model = model_of(backend=backend)
    train(model)
    model.save(tmp_path / "m.npz")
    loaded = load_model(tmp_path / "m.npz")
    assert (loaded.loss_function, loaded.backend, loaded.numerics) == (None, backend, "portable")
    assert loaded.get_config() == model.get_config() and loaded.optimizer.iterations == 3
    for m in (model, loaded):
        train(m)
    assert loaded.optimizer.iterations == 6
    before, after = model.snapshot(), loaded.snapshot()
    assert_same(after, before)


def test_layers_may_still_come():
    model = Sequential([Dense(4)], seed=0)
    model.compile("sgd", dtype="float64")
    model.add(Dense(OUTPUTS))
    model.forward(X)
    model.backward(DY)
    model.update()
    assert model.optimizer.iterations == 1 and model.layers[1].w.dtype == np.float64


def test_a_loss_may_come_later():
    model = model_of()
    model.forward(X)
    model.backward(DY)
    model.update()
    model.compile("sgd", "mse")
    assert np.isfinite(model.train_on_batch(X, Y))


def test_signed_weights_are_sent_to_backward():
    model = model_of("mse")
    with pytest.raises(ValueError, match=r"sample_weight\[1\] is -2.0; weights must not be negative\..*backward\(dy\)"):
        model.train_on_batch(X, Y, sample_weight=[1, -2.0] + [0] * 7)


# ------------------------------------------------------------------------------ by the inputs
LOSSES = {
    "mse": ("mse", Y), "labels": (losses.SparseCategoricalCrossEntropy(from_logits=True), LABELS),
    "sum": (losses.MeanAbsoluteError(reduction="sum"), Y), "triplets": (losses.TripletMargin(), TRIPLETS),
}  # fmt: skip


@every_backend
@every_numerics
@in_both_modes
@pytest.mark.parametrize("loss", LOSSES)
def test_input_gradient_is_what_the_steps_hand_on(backend, numerics, training, loss):
    loss, y = LOSSES[loss]
    options = {"backend": backend, "numerics": numerics, "dtype": "float32"}
    # a layer in front that changes nothing: the gradient of its output is that of the inputs
    front = Dense(INPUTS, use_bias=False, name="front")
    model, steps = model_of(loss, **options), model_of(loss, first=(front,), **options)
    steps.set_weights([np.eye(INPUTS), *model.get_weights()])
    steps.engine().memory.arrays["streams"][...] = model.engine().memory.arrays["streams"]
    before = model.snapshot()
    steps.forward(X, training)
    steps.loss(y)
    steps.backward()
    dy, dx = steps.layers[-1].dy.copy(), front.dy.copy()
    for rows in (X, X.astype("float32"), X.astype("float32")):
        assert_same_bits(model.input_gradient(rows, y, training=training), dx)
        assert_same_bits(model.input_gradient(rows, dy=dy, training=training), dx)
    assert_same(model.snapshot(), before)


@pytest.mark.parametrize("weight", (None, WEIGHTS))
def test_input_gradient_against_differences(weight):
    model, x = model_of(LOSSES["labels"][0]), X.copy()
    model.layers[0].kernel_regularizer.l2 = 0.0
    found = model.input_gradient(x, LABELS, sample_weight=weight)
    slopes = differences(lambda: model.evaluate(x, LABELS, sample_weight=weight)["loss"], x)
    np.testing.assert_allclose(found, slopes, rtol=2e-6, atol=1e-9)
    found = model.input_gradient(x, dy=DY)
    np.testing.assert_allclose(found, differences(lambda: (DY * model.predict(x)).sum(), x), rtol=2e-6, atol=1e-9)


@every_backend
def test_input_gradient_leaves_the_steps_alone(backend):
    model, twin = model_of("mse", backend=backend), model_of("mse", backend=backend)
    for m in (model, twin):
        for step in (lambda m: m.forward(X), lambda m: m.loss(Y), lambda m: m.backward(), lambda m: m.update()):
            step(m)
            if m is model:
                m.input_gradient(X[:4], Y[:4], training=True)
                m.input_gradient(X[:4], dy=DY[:4])
                m.row_gradients(X[:4], Y[:4])
        m.forward(X)
    assert_same(model.snapshot(), twin.snapshot())
    assert_same_bits(model.layers[-1].y, twin.layers[-1].y)


@every_backend
def test_input_gradient_of_any_number_of_rows(backend):
    model = model_of("mse", backend=backend)
    x, y = np.tile(X, (200, 1)), np.tile(Y, (200, 1))
    some = model.input_gradient(X, Y)
    for _ in range(2):
        # more than were asked for before, in one pass: a mean is over all of them
        np.testing.assert_allclose(model.input_gradient(x, y)[:ROWS], some / 200, rtol=1e-12)
        assert_same_bits(model.input_gradient(x, dy=np.tile(DY, (200, 1)))[-ROWS:], model.input_gradient(X, dy=DY))


@pytest.mark.parametrize("layer", (layers.Flatten, layers.Dropout, layers.Activation, layers.Reshape))
@every_backend
def test_layers_that_pass_gradients_on(layer, backend):
    given = {layers.Dropout: (0.5,), layers.Activation: (None,), layers.Reshape: ((3, 2),)}.get(layer, ())
    model = Sequential([layer(*given)], input_shape=INPUTS)
    model.compile("sgd", backend=backend, dtype="float64")
    assert_same_bits(model.input_gradient(X, dy=X.reshape(ROWS, *model.layout.output_shape)), X)
    assert_same_bits(model.forward(X, training=False).reshape(X.shape), X)
    model.backward(X.reshape(ROWS, *model.layout.output_shape))
    model.compile("sgd", "mse", backend=backend, dtype="float64")
    y = np.zeros((ROWS, *model.layout.output_shape))
    np.testing.assert_allclose(model.input_gradient(X, y), 2 * X / X.size, rtol=1e-12)
    assert model.row_gradients(X, y).shape == (ROWS, 0)


@every_backend
def test_a_frozen_batch_norm_in_training(backend):
    model = model_of("mse", backend=backend)
    free = model.input_gradient(X, Y, training=True)
    model.layers[1].trainable = False
    frozen = model.input_gradient(X, Y, training=True)
    assert not np.array_equal(free, frozen)
    model.layers[1].trainable = True
    assert_same_bits(model.input_gradient(X, Y, training=True), free)


def test_what_input_gradient_refuses():
    model = model_of("mse")
    for call, message in (
        (lambda: model.input_gradient(X), "neither y nor dy is given"),
        (lambda: model.input_gradient(X, Y, dy=DY), "y and dy are both given"),
        (lambda: model.input_gradient(X, dy=DY, sample_weight=WEIGHTS), "sample_weight is given without y; multiply"),
        (lambda: model.input_gradient(X, dy=DY[:, 0]), r"dy has shape \(9,\); it must be that of the output, \(9, 3\)"),
        (lambda: model.input_gradient(X[:, :2], dy=DY), r"x has shape \(9, 2\); it must be \(rows, 6\)"),
        (lambda: model.input_gradient(X, Y[:2]), "y has 2 rows and x has 9"),
        (lambda: model.input_gradient(X, Y, sample_weight=-WEIGHTS), "weights must not be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(RuntimeError, match="not compiled"):
        Sequential([Dense(3)], input_shape=INPUTS).input_gradient(X, Y)


def test_a_refused_model_is_not_built():
    model = Sequential([Dense(OUTPUTS)])
    for call, error in (
        (lambda: model.input_gradient(X, Y), RuntimeError), (lambda: model.input_gradient(X, dy=DY[:2]), ValueError),
        (lambda: model.row_gradients(X, Y), RuntimeError), (lambda: model.backward(DY), RuntimeError),
    ):  # fmt: skip
        with pytest.raises(error):
            call()
        assert model.layout is None
    assert model.input_gradient(X, dy=DY).shape == X.shape


@pytest.mark.parametrize("first", ((), (layers.Flatten(),)))
def test_row_numbers_have_no_gradient(first):
    model = Sequential([*first, layers.Embedding(5, 2, name="words"), layers.Flatten(), Dense(3)], input_shape=4)
    model.compile("sgd", "mse")
    x = np.ones((2, 4))
    for call in (lambda: model.input_gradient(x, Y[:2]), lambda: model.input_gradient(x, dy=DY[:2], training=True)):
        with pytest.raises(ValueError, match=r"words: row numbers have no gradient; .*input_gradient. words.dy is"):
            call()
    model.forward(x)
    model.backward(DY[:2])
    assert model.layers[len(first)].dy.shape == (2, 4, 2)


def test_many_threads_ask_for_gradients():
    model = model_of("mse", numerics="portable")
    wanted = model.input_gradient(X, Y), model.input_gradient(X, dy=DY), model.row_gradients(X, Y)
    found, failed = [], []

    def ask():
        try:
            for _ in range(50):
                found.append((model.input_gradient(X, Y), model.input_gradient(X, dy=DY), model.row_gradients(X, Y)))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(found) == 200
    assert all(np.array_equal(a, b) for three in found for a, b in zip(three, wanted, strict=True))


# ----------------------------------------------------------------------------------- of single rows
@every_backend
@every_numerics
@pytest.mark.parametrize("loss", ("mse", "labels", "sum"))
def test_row_gradients_are_those_of_batches_of_one(backend, numerics, loss):
    loss, y = LOSSES[loss]
    model = model_of(loss, backend=backend, numerics=numerics)
    model.layers[0].kernel_regularizer.l2 = 0.0
    twin = model_of(loss, backend=backend, numerics=numerics)
    twin.layers[0].kernel_regularizer.l2 = 0.0
    model.layers[-1].trainable = False  # its columns are there all the same
    before = model.snapshot()
    found = model.row_gradients(X, y)
    assert found.shape == (ROWS, model.count_params()) and found.dtype == np.float64
    for k in range(ROWS):
        twin.forward(X[k : k + 1], training=False)
        twin.loss(y[k : k + 1])
        twin.backward()
        assert_same_bits(found[k], twin.engine().memory.arrays["gradients"])
    assert_same(model.snapshot(), before)


def test_row_gradients_of_labels_that_do_not_count():
    model = model_of(losses.SparseCategoricalCrossEntropy(from_logits=True, ignore_index=-1))
    labels = LABELS.copy()
    labels[3] = -1
    found = model.row_gradients(X, labels)
    assert not found[3].any() and found[4].any()


def test_row_gradients_add_up_to_the_gradient():
    model = model_of("mse", dtype="float64")
    model.layers[0].kernel_regularizer.l2 = 0.0
    model.forward(X, training=False)
    model.loss(Y)
    model.backward()
    np.testing.assert_allclose(
        model.row_gradients(X, Y).mean(axis=0), model.engine().memory.arrays["gradients"], rtol=1e-10, atol=1e-14
    )


def test_losses_of_several_rows_have_no_row_gradients():
    model = model_of(losses.TripletMargin())
    with pytest.raises(ValueError, match=r"TripletMargin.* is no sum over rows; row_gradients needs a loss that is"):
        model.row_gradients(X, TRIPLETS)


# ------------------------------------------------------------------------------------------ PyTorch
def test_gradients_are_those_of_torch_in_eval():
    torch = pytest.importorskip("torch")
    model = Sequential([Dense(8), layers.BatchNorm(eps=1e-5), Dense(OUTPUTS)], input_shape=INPUTS, seed=0)
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True)
    model.compile("sgd", loss, dtype="float64")
    first, norm, last = model.layers
    norm.moving_mean, norm.moving_variance = np.linspace(-0.3, 0.4, 8), np.linspace(0.5, 2.0, 8)
    net = torch.nn.Sequential(torch.nn.Linear(INPUTS, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, OUTPUTS)).double()
    state = (first.w.T, first.b, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, 0, last.w.T, last.b)
    net.load_state_dict(dict(zip(net.state_dict(), map(torch.tensor, state), strict=True)))
    net.eval()
    x, labels, entropy = torch.tensor(X, requires_grad=True), torch.tensor(LABELS), torch.nn.functional.cross_entropy

    def ours(gradients):
        # their order, and weights as (units, inputs)
        return np.concatenate([(g.T if k in (0, 4) else g).reshape(-1) for k, g in enumerate(gradients)])

    def close(found, wanted):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-14)

    close(model.input_gradient(X, LABELS), torch.autograd.grad(entropy(net(x), labels), x)[0])
    close(model.input_gradient(X, dy=DY), torch.autograd.grad(net(x), x, torch.tensor(DY))[0])
    for k, row in enumerate(model.row_gradients(X, LABELS)):
        close(row, ours(torch.autograd.grad(entropy(net(x[k : k + 1]), labels[k : k + 1]), list(net.parameters()))))
    model.forward(X, training=False)
    model.backward(DY)
    found = model.engine().memory.arrays["gradients"]
    close(found, ours(torch.autograd.grad(net(x), list(net.parameters()), torch.tensor(DY))))


# ------------------------------------------------------------------------------ second derivatives
def test_a_loss_that_asks_the_model_is_told_why_not():
    model = model_of("mse")

    def penalised(y_true, y_pred):
        return (y_true - y_pred) ** 2 + model.input_gradient(y_pred, dy=DY) ** 2

    with pytest.raises(TypeError, match="second derivative"):
        fastbp.custom.loss(penalised)
