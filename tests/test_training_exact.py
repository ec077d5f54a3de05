"""Whole trainings: every backend returns the bits of a plain NumPy script."""

import functools

import numpy as np
import plain_numpy
import pytest
from _arrays import BACKENDS, DTYPES, assert_same_bits

import fastbp
from fastbp import Dense, Sequential, losses, optimizers

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES)
ROWS, BATCH, EPOCHS, SEED = 103, 32, 50, 7  # 200 steps, every fourth on 7 rows


class Net:
    """One network, once in fastbp's words and once in plain NumPy's."""

    def __init__(self, sizes, activations, loss, plain_loss, targets, optimizer, options):
        self.sizes, self.activations, self.loss, self.plain_loss = sizes, activations, loss, plain_loss
        self.targets, self.optimizer, self.options = targets, optimizer, options

    def model(self, backend, dtype):
        layers = [Dense(n, activation=a) for n, a in zip(self.sizes[1:], self.activations, strict=True)]
        model = Sequential(layers, input_shape=self.sizes[0], seed=SEED)
        optimizer = getattr(optimizers, self.optimizer)(**self.options)
        metrics = [] if isinstance(self.loss, losses.MeanSquaredError) else ["accuracy"]
        model.compile(optimizer, self.loss, metrics=metrics, backend=backend, dtype=dtype)
        return model

    def data(self, dtype):
        rng = np.random.default_rng(SEED)
        x, n = rng.normal(size=(ROWS, self.sizes[0])).astype(dtype), self.sizes[-1]
        y = {
            "labels": lambda: rng.integers(n, size=ROWS),
            "one_hot": lambda: np.eye(n, dtype=dtype)[rng.integers(n, size=ROWS)],
            "binary": lambda: rng.integers(2, size=(ROWS, n)).astype(dtype),
            "real": lambda: rng.random((ROWS, n)).astype(dtype),
        }[self.targets]()
        return x, y


NETS = {
    "relu-softmax-adam": Net(
        (64, 32, 10), ("relu", "identity"), losses.SparseCategoricalCrossEntropy(from_logits=True),
        plain_numpy.cross_entropy_of_logits_and_labels, "labels", "Adam", {"lr": 0.01},
    ),
    "tanh-sigmoid-nesterov": Net(
        (13, 16, 8, 1), ("tanh", "tanh", "sigmoid"), losses.BinaryCrossEntropy(from_logits=False),
        plain_numpy.binary_cross_entropy, "binary", "SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    ),
    "sigmoid-squares-sgd": Net(
        (8, 12, 3), ("sigmoid", "sigmoid"), losses.MeanSquaredError(),
        plain_numpy.mean_squared_error, "real", "SGD", {"lr": 0.5},
    ),
    "one-hot-momentum": Net(
        (20, 15, 4), ("tanh", "softmax"), losses.CategoricalCrossEntropy(from_logits=False),
        plain_numpy.cross_entropy, "one_hot", "SGD", {"lr": 0.05, "momentum": 0.8},
    ),
    "one-hot-logits-adam": Net(
        (5, 33, 4), ("relu", "identity"), losses.CategoricalCrossEntropy(from_logits=True),
        plain_numpy.cross_entropy_of_logits, "one_hot", "Adam", {"lr": 0.02, "beta1": 0.8, "beta2": 0.99, "eps": 1e-5},
    ),
    "labels-of-softmax": Net(
        (7, 9, 5), ("sigmoid", "softmax"), losses.SparseCategoricalCrossEntropy(from_logits=False),
        plain_numpy.cross_entropy_of_labels, "labels", "Adam", {"lr": 0.01},
    ),
    "binary-logits": Net(
        (6, 17, 2), ("tanh", "identity"), losses.BinaryCrossEntropy(from_logits=True),
        plain_numpy.binary_cross_entropy_of_logits, "binary", "SGD", {"lr": 0.3},
    ),
}  # fmt: skip
every_net = pytest.mark.parametrize("name", NETS)


def orders(shuffle=True, epochs=EPOCHS):
    rng = np.random.default_rng(SEED)
    return [rng.permutation(ROWS) if shuffle else np.arange(ROWS) for _ in range(epochs)]


def flat(arrays):
    return np.concatenate([a.reshape(-1) for a in arrays])


@functools.cache
def plain(name, dtype, shuffle=True, **changes):
    """Return weights, losses, gradients and optimizer state of the plain script."""
    net = NETS[name]
    x, y = net.data(dtype)
    optimizer = getattr(plain_numpy, net.optimizer)(**{**net.options, **changes})
    weights = net.model("numpy", dtype).get_weights()
    trained = plain_numpy.train(weights, net.activations, net.plain_loss, optimizer, x, y, BATCH, orders(shuffle))
    return *trained, {k: flat(v) for k, v in optimizer.state().items()}


def assert_trained_as(model, want, what=""):
    """Compare everything that a training leaves behind."""
    weights, _, gradients, state = want
    parameters = [(layer, p) for layer in model.layers for p in layer.parameters]
    for (layer, p), w, dw in zip(parameters, weights, gradients, strict=True):
        assert_same_bits(getattr(layer, p), w, f"{what} {layer.name}.{p}")
        assert_same_bits(getattr(layer, "d" + p), dw, f"{what} {layer.name}.d{p}")
    found = model.optimizer.get_state()
    del found["step"]
    assert found.keys() == state.keys()
    for key in state:
        assert_same_bits(found[key], state[key], f"{what} {key}")


@every_net
@every_dtype
@every_backend
def test_200_steps(name, dtype, backend):
    model = NETS[name].model(backend, dtype)
    history = model.fit(*NETS[name].data(dtype), batch_size=BATCH, epochs=EPOCHS, seed=SEED, verbose=0)
    want = plain(name, dtype)
    assert len(want[1]) == 200 and np.isfinite(want[1]).all()
    assert_same_bits(model.batch_losses, want[1], "losses")
    assert_trained_as(model, want)
    by_epoch = want[1].astype(np.float64).reshape(EPOCHS, -1)
    counts = np.array([BATCH] * 3 + [ROWS - 3 * BATCH], float)
    assert history.history["loss"] == [float(v @ counts / ROWS) for v in by_epoch]


@every_net
@every_dtype
def test_the_script_learns_and_the_comparison_sees_one_ulp(name, dtype):
    first, last = plain(name, dtype)[1][:4], plain(name, dtype)[1][-4:]
    assert last.mean() < first.mean()
    # a learning rate one step of this dtype away must show, or the test above could not fail
    lr = float(np.nextafter(np.dtype(dtype).type(NETS[name].options["lr"]), np.dtype(dtype).type(1)))
    other = plain(name, dtype, lr=lr)
    assert (flat(other[0]) != flat(plain(name, dtype)[0])).any()
    assert (other[1] != plain(name, dtype)[1]).any()


@every_net
@every_backend
def test_batches_by_hand_equal_fit(name, backend):
    net, dtype = NETS[name], "float32"
    x, y = net.data(dtype)
    want = plain(name, dtype, shuffle=False)
    fused = net.model(backend, dtype)
    fused.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    assert_same_bits(fused.batch_losses, want[1], "fit")
    assert_trained_as(fused, want, "fit")
    # as they are, and in forms that must be converted first
    for form in ("as it is", "lists and doubles"):
        model, got = net.model(backend, dtype), []
        for order in orders(False):
            for start in range(0, ROWS, BATCH):
                rows = order[start : start + BATCH]
                batch = (x[rows], y[rows]) if form == "as it is" else (x[rows].astype(float), y[rows].tolist())
                got.append(model.train_on_batch(*batch))
        assert all(type(loss) is float for loss in got)
        assert_same_bits(np.array(got, dtype), want[1], form)
        assert_trained_as(model, want, form)


@every_net
@every_dtype
@every_backend
def test_four_steps_by_hand_equal_the_fused_step(name, dtype, backend):
    net = NETS[name]
    x, y = net.data(dtype)
    fused, manual = net.model(backend, dtype), net.model(backend, dtype)
    for start in (0, 32, 64, 96, 0, 32):
        rows = slice(start, start + BATCH)
        loss = fused.train_on_batch(x[rows], y[rows])
        weights = manual.get_weights()
        outputs = plain_numpy.forward(weights, net.activations, x[rows])
        assert_same_bits(manual.forward(x[rows]), outputs[-1], "forward")
        for layer, output in zip(manual.layers, outputs[1:], strict=True):
            assert_same_bits(layer.y, output, f"{layer.name}.y")
        assert manual.loss(y[rows]) == loss
        value, dy = net.plain_loss(outputs[-1], y[rows])
        assert loss == value
        manual.backward()
        assert_same_bits(manual.layers[-1].dy, dy, "dy of the loss")
        found = [getattr(layer, "d" + p) for layer in manual.layers for p in layer.parameters]
        for got, want in zip(found, plain_numpy.backward(weights, net.activations, outputs, dy), strict=True):
            assert_same_bits(got, want, "gradient")
        for got, want in zip(manual.get_weights(), weights, strict=True):
            assert_same_bits(got, want, "nothing moves before update()")
        manual.update()
        for got, want in zip(manual.get_weights(), fused.get_weights(), strict=True):
            assert_same_bits(got, want, "weights")
        for key, array in fused.optimizer.get_state().items():
            assert_same_bits(manual.optimizer.get_state()[key], array, key)


@every_net
@every_dtype
@every_backend
def test_predict_and_evaluate(name, dtype, backend):
    net = NETS[name]
    model, (x, y) = net.model(backend, dtype), net.data(dtype)
    weights = model.get_weights()

    def expected(block):
        starts = range(0, ROWS, block)
        return np.concatenate([plain_numpy.forward(weights, net.activations, x[s : s + block])[-1] for s in starts])

    # each size twice: the second call takes the short way
    for block in (1024, 1024, 1, 1, 50, 50, 102, ROWS):
        assert_same_bits(model.predict(x, batch_size=block), expected(block), f"block {block}")
    assert_same_bits(model.predict(x), expected(1024), "default")
    assert_same_bits(model.predict(x[:1]), plain_numpy.forward(weights, net.activations, x[:1])[-1], "one row")
    for block in (1024, 40, 1):
        y_pred = expected(block)
        starts = range(0, ROWS, block)
        values = np.array([net.plain_loss(y_pred[s : s + block], y[s : s + block])[0] for s in starts]).astype(float)
        counts = np.array([min(block, ROWS - s) for s in starts], float)
        result = model.evaluate(x, y, batch_size=block)
        assert result["loss"] == float(values @ counts / ROWS)
        if "accuracy" in result:
            assert result["accuracy"] == accuracy(net, y_pred, y)
    for got, want in zip(model.get_weights(), weights, strict=True):
        assert_same_bits(got, want, "predict and evaluate leave the weights alone")


def accuracy(net, y_pred, y):
    if net.targets == "labels":
        return float((y_pred.argmax(axis=1) == y).sum() / ROWS)
    if net.targets == "one_hot":
        return float((y_pred.argmax(axis=1) == y.argmax(axis=1)).sum() / ROWS)
    return float(((y_pred > (0 if net.activations[-1] == "identity" else 0.5)) == (y > 0.5)).sum() / y.size)


@pytest.mark.parametrize("name", ["relu-softmax-adam", "tanh-sigmoid-nesterov", "one-hot-logits-adam"])
@every_backend
def test_metrics_of_fit_are_counted_before_each_update(name, backend):
    net, dtype = NETS[name], "float32"
    x, y = net.data(dtype)
    model, replay = net.model(backend, dtype), net.model("numpy", dtype)
    history = model.fit(x, y, batch_size=BATCH, epochs=2, seed=SEED, verbose=0)
    for epoch, order in enumerate(orders(epochs=2)):
        hits = 0.0
        for start in range(0, ROWS, BATCH):
            rows = order[start : start + BATCH]
            hits += replay.evaluate(x[rows], y[rows])["accuracy"] * len(rows)
            replay.train_on_batch(x[rows], y[rows])
        assert history.history["accuracy"][epoch] == round(hits * net.sizes[-1]) / net.sizes[-1] / ROWS


def test_the_script_knows_nothing_of_fastbp():
    with open(plain_numpy.__file__) as file:
        imports = [line for line in file if line.startswith(("import", "from"))]
    assert imports == ["import math\n", "import numpy as np\n"]


@every_backend
def test_any_batch_size(backend):
    net = NETS["relu-softmax-adam"]
    x, y = net.data("float32")
    weights = net.model("numpy", "float32").get_weights()
    for batch in (1, 2, 31, 102, 103, 500):
        model = net.model(backend, "float32")
        model.fit(x, y, batch_size=batch, epochs=2, shuffle=False, verbose=0)
        optimizer = plain_numpy.Adam(**net.options)
        want = plain_numpy.train(
            weights, net.activations, net.plain_loss, optimizer, x, y, batch, [np.arange(ROWS)] * 2)
        assert_same_bits(model.batch_losses, want[1], f"batch {batch}")
        assert_trained_as(model, (*want, {k: flat(v) for k, v in optimizer.state().items()}), f"batch {batch}")


def test_loss_objects_and_kernels_agree_with_the_script():
    rng = np.random.default_rng(0)
    for name, net in NETS.items():
        y_pred = rng.uniform(0.01, 0.99, (9, net.sizes[-1]))
        y = net.data("float64")[1][:9]
        for backend in ALL_BACKENDS:
            value, dy = net.plain_loss(y_pred, y)
            assert_same_bits(net.loss(y, y_pred, backend=backend), value, name)
            assert_same_bits(net.loss.gradient(y, y_pred, backend=backend), dy, name)


# ------------------------------------------------------------- all that the table has, against the reference
CLASSES = [cls for cls in vars(losses).values() if isinstance(cls, type) and issubclass(cls, losses.Loss)]
LOSSES = [
    cls for cls in CLASSES
    if cls.__name__[0] != "_" and cls is not losses.Loss and not issubclass(cls, losses.CustomLoss)
]  # fmt: skip
CLASSES = [cls for cls in vars(optimizers).values() if isinstance(cls, type) and issubclass(cls, optimizers.Optimizer)]
OPTIMIZERS = [cls for cls in CLASSES if cls is not optimizers.Optimizer and cls.__name__[0] != "_"]
DECAYING = optimizers.AdamW, optimizers.AMSGrad, optimizers.Lion


#: What must come last where the loss takes no other outputs.
LAST = {losses.Poisson: "softplus", losses.KLDivergence: "softmax", losses.NLL: "log_softmax", losses.Dice: "sigmoid"}
SOFTMAX = [cls for cls in LOSSES if "label_smoothing" in cls().get_config() and cls.link == "softmax"]


def trained(backend, numerics, dtype, activation="tanh", loss="mse", optimizer="sgd", last=None, norm=None):
    """Return parameters, optimizer state and losses after some steps, the last batch of an epoch being smaller."""
    rng = np.random.default_rng(3)
    loss = losses.get(loss)
    x = rng.standard_normal((21, 5)).astype(dtype)
    labels = rng.integers(3, size=21)
    together = loss.rows_per_sample
    groups = labels if together == 1 else np.arange(21) % 3 // 2
    kinds = {"labels": lambda: labels, "groups": lambda: groups, "one_hot": lambda: np.eye(3, dtype=dtype)[labels]}
    y = kinds.get(loss.targets, lambda: rng.integers(2, size=(21, 3)).astype(dtype))()
    units = 6 if loss.targets == "means" else 3
    layers = [Dense(6, activation=activation), *(() if norm is None else (norm(),)), Dense(units, activation=last)]
    model = Sequential(layers, seed=1)
    optimizer = optimizers.get(optimizer)
    model.compile(optimizer, loss, backend=backend, numerics=numerics, dtype=dtype)
    y = 2 * y - 1 if loss.targets == "signs" else y
    model.fit(x, y, batch_size=8 // together * together, epochs=3, seed=2, verbose=0)
    return [*model.get_weights(), *optimizer.get_state().values(), model.batch_losses]


@every_dtype
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize(
    "what",
    [{"activation": name} for name in fastbp.layers.ACTIVATIONS]
    + [{"loss": cls(), "last": LAST.get(cls)} for cls in LOSSES]
    + [{"loss": losses.Poisson(log_input=True)}, {"loss": losses.Huber(0.3, reduction="sum")}]
    + [{"loss": losses.BinaryCrossEntropy(from_logits=False), "last": "sigmoid"}]
    + [{"loss": losses.BinaryCrossEntropy(from_logits=False, pos_weight=3.0), "last": "sigmoid"}]
    + [{"loss": losses.BinaryCrossEntropy(pos_weight=0.5, label_smoothing=0.1)}]
    + [{"loss": losses.TripletSemiHard(0.2, squared=True)}]
    + [{"loss": cls(label_smoothing=0.3)} for cls in SOFTMAX]
    + [{"loss": cls(from_logits=False), "last": "softmax"} for cls in SOFTMAX]
    + [{"loss": losses.SparseCategoricalCrossEntropy(class_weight={0: 2.5, 2: 0.5}, ignore_index=1)}]
    + [{"loss": losses.CategoricalCrossEntropy(class_weight=[2.5, 0, 1], label_smoothing=0.1)}]
    + [{"loss": losses.NLL(class_weight=[2.5, 0, 1]), "last": "log_softmax"}]
    + [{"loss": losses.BinaryCrossEntropy(class_weight=[0.5, 3])}]
    + [{"loss": losses.CategoricalFocalCrossEntropy(alpha=[0.5, 1, 2])}, {"loss": losses.MultiMargin(0.5, p=2)}]
    + [{"activation": fastbp.Activation("leaky_relu", alpha=0.2)}, {"activation": fastbp.Activation("elu", alpha=0.5)}]
    + [{"activation": fastbp.Activation("softplus", beta=2.5)}, {"norm": fastbp.GLU}]
    + [{"norm": functools.partial(fastbp.Dropout, 0.4)}, {"norm": functools.partial(fastbp.AlphaDropout, 0.1)}]
    + [{"norm": functools.partial(fastbp.GaussianNoise, 0.5)}]
    + [{"norm": functools.partial(fastbp.BatchNorm, center=c, scale=s)} for c in (True, False) for s in (True, False)]
    + [{"norm": fastbp.PReLU}, {"norm": fastbp.LayerNorm}, {"norm": functools.partial(fastbp.RMSNorm, eps=1e-3)}]
    + [{"optimizer": cls} for cls in OPTIMIZERS]
    + [{"optimizer": functools.partial(optimizers.RMSprop, momentum=0.9, centered=True)}]
    + [{"optimizer": functools.partial(optimizers.SGD, momentum=0.9)}]
    + [{"optimizer": functools.partial(optimizers.SGD, momentum=0.9, dampening=0.3)}]
    + [{"optimizer": functools.partial(optimizers.ASGD, t0=2)}]
    + [{"optimizer": functools.partial(cls, weight_decay=0.1, decay_biases=False)} for cls in DECAYING]
    + [{"optimizer": functools.partial(optimizers.AMSGrad, weight_decay=0.1)}],
    ids=repr,
)
def test_all_backends_train_with_the_bits_of_the_reference(what, numerics, dtype):
    made = {name: value() if callable(value) and name == "optimizer" else value for name, value in what.items()}
    want = trained("numpy", numerics, dtype, **made)
    assert all(np.isfinite(array).all() for array in want)
    for backend in BACKENDS:
        made = {name: value() if callable(value) and name == "optimizer" else value for name, value in what.items()}
        for got, expected in zip(trained(backend, numerics, dtype, **made), want, strict=True):
            assert_same_bits(got, expected, f"{backend} {what}")


def test_every_row_is_trained_here():
    used = {a for net in NETS.values() for a in net.activations} | set(fastbp.layers.ACTIVATIONS)
    assert used == set(fastbp.layers.ACTIVATIONS)
    kinds = {cls().row.name for cls in LOSSES} | {net.loss.row.name for net in NETS.values()}
    kinds |= {losses.Poisson(log_input=True).row.name, losses.CategoricalFocalCrossEntropy(True).row.name}
    kinds |= {losses.BinaryCrossEntropy(from_logits=logits, pos_weight=3.0).row.name for logits in (False, True)}
    assert kinds == {r.name for r in fastbp.kernels.table.TABLE.values() if r.family == "loss" and r.differentiable}
    updates = {cls().row for cls in OPTIMIZERS} | {"momentum", "dampened"}
    assert updates == {r.name for r in fastbp.kernels.table.TABLE.values() if r.family == "optimizer"}
