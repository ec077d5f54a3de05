"""What happens around the optimizer's step: penalties, clipping, constraints, rates of layers, frozen layers."""

import copy
import functools
import inspect
import itertools

import numpy as np
import pytest
from _arrays import BACKENDS, DTYPES, assert_same_bits

import fastbp
from fastbp import Dense, Sequential, constraints, losses, optimizers, regularizers
from fastbp.backends import make_executor
from fastbp.kernels.table import TABLE
from fastbp.layers import from_config
from fastbp.program import BATCH, Program

ALL = ("numpy", *BACKENDS)
OPTIMIZERS = [
    lambda **k: optimizers.SGD(0.05, **k),
    lambda **k: optimizers.SGD(0.01, 0.9, **k),
    lambda **k: optimizers.Adam(0.05, **k),
    lambda **k: optimizers.RMSprop(0.05, **k),
]


def data(n=30):
    rng = np.random.default_rng(4)
    return rng.standard_normal((n, 4)).astype("float32"), rng.standard_normal((n, 2)).astype("float32")


def model_of(optimizer="sgd", backend="cython", numerics="numpy", loss="mse", **options):
    layers = [Dense(5, "tanh", bias_initializer="ones", **options), Dense(3), Dense(2)]
    model = Sequential(layers, input_shape=4, seed=3)
    model.compile(optimizer, loss, backend=backend, numerics=numerics)
    return model


def by_hand(model, x, y):
    """Run the first three steps; return the gradients by layer."""
    model.forward(x)
    model.loss(y)
    model.backward()
    return {layer.name: (layer.dw.copy(), layer.db.copy()) for layer in model.layers}


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(
    "regularizer", [regularizers.L1(0.02), regularizers.L2(0.03), regularizers.L1L2(0.02, 0.03)], ids=repr
)
def test_penalties(regularizer, backend):
    x, y = data()
    model, plain = (
        model_of(backend=backend, **options)
        for options in ({"kernel_regularizer": regularizer, "bias_regularizer": "l2"}, {})
    )
    layer, f4 = model.layers[0], np.float32
    layer.w[0, 0], layer.w[1, 1] = 0, -0.0
    plain.set_weights(model.get_weights())
    w, b = layer.w, layer.b
    l1, l2 = regularizer.l1, regularizer.l2
    model.forward(x)
    plain.forward(x)
    want = f4(plain.loss(y)) + (l1 * np.abs(w) + l2 * (w * w)).sum() + (0.0 * np.abs(b) + 0.01 * (b * b)).sum()
    assert model.loss(y) == want
    model.backward()
    plain.backward()
    slope = np.where(w > 0, f4(l1), np.where(w < 0, f4(-l1), w * 0)) + f4(2 * l2) * w
    assert_same_bits(layer.dw, plain.layers[0].dw + slope)
    assert_same_bits(layer.db, plain.layers[0].db + (b * 0 + f4(0.02) * b))
    assert_same_bits(model.layers[1].dw, plain.layers[1].dw)
    assert model.evaluate(x, y)["loss"] == want
    assert fastbp.gradient_check(model, x, y).ok
    model.program.run(check="numpy")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (700,)])
@pytest.mark.parametrize(
    "regularizer", [regularizers.L1(0.02), regularizers.L2(0.03), regularizers.L1L2(0.02, 0.03)], ids=repr
)
def test_penalties_on_outputs(regularizer, shape, dtype):
    rng, l1, l2, real = np.random.default_rng(0), regularizer.l1, regularizer.l2, np.dtype(dtype).type
    for rows in (1, 7):
        y, dy = rng.standard_normal((2, rows, *shape)).astype(dtype)
        y.reshape(-1)[:2] = (0.0, -0.0)[: y.size]
        elements = real(l1) * np.abs(y) + real(l2) * (y * y)
        penalty = elements.reshape(-1).sum() / real(rows)
        slope = np.where(y > 0, real(l1), np.where(y < 0, real(-l1), y * 0)) + real(2 * l2) * y
        for backend in ALL:
            program = Program(dtype)
            buffers = [program.buffer(name, (BATCH, *shape), role="input") for name in ("y", "dy")]
            loss = program.buffer("data loss", (), role="input")
            total = regularizer.emit_activity(program, buffers[0], loss, "layer")
            gradient = regularizer.emit_activity_gradient(program, *buffers, "layer")
            alone = regularizer.emit_activity_gradient(program, buffers[0], None, "layer")
            program.verify(program.plan(rows))
            executor = make_executor(program, backend, {}, rows, keep=True)
            for buffer, array in zip((*buffers, loss), (y, dy, real(1.5)), strict=True):
                executor.view(buffer, rows)[...] = array
            executor.run((0, len(program.calls)), rows)
            look = functools.partial(executor.view, batch=rows)
            assert_same_bits(look(total)[()], real(1.5) + penalty, backend)
            assert_same_bits(look(gradient), dy + slope / real(rows), backend)
            assert_same_bits(look(alone), slope / real(rows), backend)
            assert_same_bits(look(buffers[1]), dy, backend)


@pytest.mark.parametrize("kind", [Dense, fastbp.Activation, fastbp.Embedding])
def test_layers_with_penalties_on_outputs(kind):
    args = {Dense: (3, "relu"), fastbp.Activation: ("tanh",), fastbp.Embedding: (5, 2)}[kind]
    make = functools.partial(kind, *args)
    assert "activity_regularizer" not in make().get_config() and make().activity_regularizer is None
    for given in ("l1", regularizers.L1(0.01), ["L1", {"l1": 0.01}]):
        layer = make(activity_regularizer=given)
        assert repr(layer.activity_regularizer) == "L1(l1=0.01)"
        config = layer.get_config()
        assert config["activity_regularizer"] == ["L1", {"l1": 0.01}]
        for twin in (from_config(type(layer).__name__, config), copy.deepcopy(layer)):
            assert twin.get_config() == config
    with pytest.raises(ValueError, match="there is no regularizer 'l3'"):
        make(activity_regularizer="l3")


def test_penalties_on_outputs_that_are_refused():
    bent = fastbp.Activation("tanh", activity_regularizer="l2")
    with pytest.raises(ValueError, match="its activity_regularizer must be None: it is an argument of the layer"):
        Dense(2, activation=bent)

    class Own(regularizers.Regularizer):
        def emit(self, program, w, loss, layer):
            return loss

    program = Program("float32")
    y, loss = program.buffer("y", (BATCH, 2), role="input"), program.buffer("loss", (), role="input")
    with pytest.raises(NotImplementedError, match="Own has no emit_activity: it is for parameters only"):
        Own().emit_activity(program, y, loss, "layer")


def test_an_l2_is_weight_decay_of_sgd():
    torch = pytest.importorskip("torch")
    x, y = (array.astype("float64") for array in data())
    model = Sequential([Dense(2, use_bias=False, kernel_regularizer=regularizers.L2(0.05))], input_shape=4, seed=0)
    model.compile(optimizers.SGD(0.1), "mse", dtype="float64")
    w = torch.tensor(model.layers[0].w.copy(), requires_grad=True)
    theirs = torch.optim.SGD([w], 0.1, weight_decay=0.1)
    for _ in range(5):
        model.train_on_batch(x, y)
        theirs.zero_grad()
        torch.nn.functional.mse_loss(torch.tensor(x) @ w, torch.tensor(y)).backward()
        theirs.step()
    np.testing.assert_allclose(model.layers[0].w, w.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("momentum_decay", [0, 0.004, 0.3, 1])
def test_momentum_decay_of_nadam(momentum_decay, backend):
    """Dozat's schedule of momenta, with powers and not with running products; 0.004 is PyTorch's, 1 is Keras'."""
    x, y = (array.astype("float64") for array in data())
    model = Sequential([Dense(2, use_bias=False)], input_shape=4, seed=0)
    optimizer = optimizers.Nadam(0.01, 0.8, 0.9, 1e-7, momentum_decay)
    model.compile(optimizer, "mse", dtype="float64", backend=backend)
    w, m, v, product = model.layers[0].w.copy(), 0.0, 0.0, 1.0
    for t in range(1, 40):
        model.train_on_batch(x, y)
        g = x.T @ (x @ w - y) / len(x)
        mu, after = (0.8 * (1 - 0.5 * 0.96 ** (momentum_decay * step)) for step in (t, t + 1))
        product *= mu
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        hat = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
        w -= 0.01 * hat / (np.sqrt(v / (1 - 0.9**t)) + 1e-7)
        np.testing.assert_allclose(model.layers[0].w, w, rtol=1e-9)


def test_momentum_decay_is_the_attribute_of_the_row():
    for momentum_decay, decay in ((0.004, TABLE["nadam"].attributes["decay"]), (1, 0.96), (0, 1.0), (1e9, 0.0)):
        attributes = optimizers.Nadam(momentum_decay=momentum_decay).attributes()
        assert attributes["decay"] == decay and attributes.keys() == TABLE["nadam"].attributes.keys()
    assert optimizers.Nadam().attributes() == TABLE["nadam"].attributes
    for bad, error in ((-0.1, ValueError), (np.inf, ValueError), ("a", TypeError)):
        with pytest.raises(error, match="momentum_decay is "):
            optimizers.Nadam(momentum_decay=bad)
    config = optimizers.to_config(optimizers.Nadam(momentum_decay=0.5))
    assert optimizers.from_config(*config).momentum_decay == 0.5


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("limit", [0.01, 0.3, 1e9])
@pytest.mark.parametrize("how", ["clipvalue", "clipnorm", "global_clipnorm"])
def test_clipping(how, limit, backend):
    x, y = data()
    model = model_of(optimizers.SGD(1.0, **{how: limit}), backend)
    before = by_hand(model, x, y)
    weights = {layer.name: (layer.w.copy(), layer.b.copy()) for layer in model.layers}
    model.update()
    flat = np.concatenate([g.reshape(-1) for pair in before.values() for g in pair])
    f4 = np.float32
    for layer in model.layers:
        for k, now in enumerate((layer.w, layer.b)):
            g = before[layer.name][k]
            if how == "clipvalue":
                g = np.minimum(np.maximum(g, f4(-limit)), f4(limit))
            else:
                of = flat if how == "global_clipnorm" else g.reshape(-1)
                norm = np.sqrt((of * of).sum())
                g = g * (f4(limit) / np.maximum(norm, f4(limit)))
            assert_same_bits(now, weights[layer.name][k] - g)
    if limit == 1e9:
        assert_same_bits(model.layers[0].dw, before["dense_1"][0])


def test_the_global_norm_is_pytorchs():
    torch = pytest.importorskip("torch")
    x, y = (array.astype("float64") for array in data())
    model = Sequential([Dense(3), Dense(2)], input_shape=4, seed=0)
    model.compile(optimizers.SGD(0.1, global_clipnorm=0.2), "mse", dtype="float64")
    arrays = [torch.tensor(a, requires_grad=True) for a in model.get_weights()]
    for _ in range(5):
        model.train_on_batch(x, y)
        for a in arrays:
            a.grad = None
        out = (torch.tensor(x) @ arrays[0] + arrays[1]) @ arrays[2] + arrays[3]
        torch.nn.functional.mse_loss(out, torch.tensor(y)).backward()
        torch.nn.utils.clip_grad_norm_(arrays, 0.2)
        torch.optim.SGD(arrays, 0.1).step()
    for got, want in zip(model.get_weights(), arrays, strict=True):
        np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-5)  # PyTorch adds 1e-6 to the norm


@pytest.mark.parametrize("backend", ALL)
def test_constraints(backend):
    x, y = data()
    options = {"kernel_constraint": constraints.MaxNorm(0.9), "bias_constraint": "max_norm"}
    model, plain = model_of(optimizers.SGD(0.3), backend, **options), model_of(optimizers.SGD(0.3), backend)
    w = model.layers[0].w
    w[:, 0] = 0.01
    w[:, 1] = 5
    plain.layers[0].w = w
    model.train_on_batch(x, y)
    plain.train_on_batch(x, y)
    f4 = np.float32
    for got, want, limit in (
        (model.layers[0].w, plain.layers[0].w, 0.9), (model.layers[0].b[:, None], plain.layers[0].b[:, None], 2.0)
    ):  # fmt: skip
        norm = np.sqrt((want * want).sum(axis=0))
        assert_same_bits(got, want * (f4(limit) / np.maximum(norm, f4(limit))))
        assert np.linalg.norm(got, axis=0).max() < limit * 1.000001
    assert_same_bits(model.layers[0].w[:, 0], plain.layers[0].w[:, 0])
    model, plain = (
        model_of(optimizers.SGD(0.3), backend, **options)
        for options in ({"kernel_constraint": "non_neg", "bias_constraint": constraints.NonNeg()}, {})
    )
    for _ in range(2):
        plain.set_weights(model.get_weights())
        model.train_on_batch(x, y)
        plain.train_on_batch(x, y)
        assert_same_bits(model.layers[0].w, np.maximum(plain.layers[0].w, 0))
        assert_same_bits(model.layers[0].b, np.maximum(plain.layers[0].b, 0))
        assert_same_bits(model.layers[1].w, plain.layers[1].w)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("make", OPTIMIZERS)
@pytest.mark.parametrize("frozen", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_layers_that_are_not_trained(frozen, make, numerics, backend):
    x, y = data()
    model, plain = model_of(make(), backend, numerics), model_of(make(), backend, numerics)
    for k in frozen:
        model.layers[k].trainable = False
    model.compile(make(), "mse", backend=backend, numerics=numerics)
    before = plain.get_weights()
    for _ in range(3):
        # their own gradients are the same as long as the others are
        model.fit(x, y, 8, 1, seed=0, verbose=0)
        plain.fit(x, y, 8, 1, seed=0, verbose=0)
        for k in frozen:
            assert_same_bits(model.layers[k].w, before[2 * k])
            assert (model.layers[k].dw == 0).all()
            plain.layers[k].w, plain.layers[k].b = before[2 * k], before[2 * k + 1]
    moved = [k for k in range(3) if k not in frozen]
    for k in moved:
        assert (model.layers[k].w != before[2 * k]).any()
    # one step from the same weights: what is trained moves as it would
    model, plain = model_of(make(), backend, numerics), model_of(make(), backend, numerics)
    for k in frozen:
        model.layers[k].trainable = False
    model.compile(make(), "mse", backend=backend, numerics=numerics)
    model.train_on_batch(x, y)
    plain.train_on_batch(x, y)
    for k in moved:
        assert_same_bits(model.layers[k].w, plain.layers[k].w)
        assert_same_bits(model.layers[k].b, plain.layers[k].b)


def test_a_layer_that_is_frozen_later_leaves_no_gradient_behind():
    x, y = data()
    model = model_of(optimizers.SGD(1.0, global_clipnorm=0.1))
    model.train_on_batch(x, y)
    model.layers[0].trainable = False
    model.compile(optimizers.SGD(1.0, global_clipnorm=0.1), "mse")
    before = model.get_weights()
    model.train_on_batch(x, y)
    step = np.concatenate([(a - b).reshape(-1) for a, b in zip(model.get_weights(), before, strict=True)])
    np.testing.assert_allclose(np.linalg.norm(step), 0.1, rtol=1e-5)
    assert not step[: model.layers[0].w.size].any()


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(
    ("attribute", "value", "name"),
    [
        *itertools.product(["trainable"], [False], ["fit", "train_on_batch", "steps", "minimize"]),
        *itertools.product(["lr_factor"], [0.25], ["fit", "train_on_batch", "steps"]),
    ],
)
def test_layers_that_change_after_compile(attribute, value, name, backend, tmp_path):
    """The next step follows; and so the model, the copy on disk and one that is compiled again go on alike."""
    if name == "minimize":
        pytest.importorskip("scipy")
    x, y = data()

    go_on = {
        "fit": lambda model: model.fit(x, y, 8, 2, seed=0, verbose=0),
        "train_on_batch": lambda model: model.train_on_batch(x, y),
        "steps": lambda model: (by_hand(model, x, y), model.update()),
        "minimize": lambda model: fastbp.minimize(model, x, y, options={"maxiter": 3}),
    }[name]
    model = model_of(optimizers.SGD(0.1, global_clipnorm=1.0), backend)
    go_on(model)
    before = model.get_weights()
    setattr(model.layers[0], attribute, value)
    model.save(tmp_path / "m.npz")
    twin, again = fastbp.load_model(tmp_path / "m.npz"), fastbp.load_model(tmp_path / "m.npz")
    again.compile(optimizers.SGD(0.1, global_clipnorm=1.0), "mse", backend=backend)
    for one in (model, twin, again):
        go_on(one)
    assert (model.layers[1].w != before[2]).any()
    assert (model.layers[0].w == before[0]).all() == (value is False)
    for got, want, other in zip(model.get_weights(), twin.get_weights(), again.get_weights(), strict=True):
        assert_same_bits(got, want)
        assert_same_bits(got, other)
    # and back again
    setattr(model.layers[0], attribute, type(value)(1))
    frozen = model.layers[0].w.copy()
    go_on(model)
    assert (model.layers[0].w != frozen).any()


def test_a_layer_that_is_frozen_by_a_callback():
    """A fit that runs follows with its next epoch, and so does one that is resumed."""
    x, y = data()
    model, plain = model_of("sgd"), model_of("sgd")

    def freeze(epoch, logs):
        model.layers[0].trainable = False
        model.evaluate(x, y)

    model.fit(x, y, 8, 3, seed=0, verbose=0, callbacks=[fastbp.callbacks.LambdaCallback(on_epoch_end=freeze)])
    rng = np.random.default_rng(0)
    plain.fit(x, y, 8, 1, seed=rng, verbose=0)
    plain.layers[0].trainable = False
    plain.fit(x, y, 8, 2, seed=rng, verbose=0)
    for got, want in zip(model.get_weights(), plain.get_weights(), strict=True):
        assert_same_bits(got, want)
    before = model.layers[0].w.copy()
    model.train_on_batch(x, y)
    assert_same_bits(model.layers[0].w, before)


def test_a_run_that_froze_a_layer_is_resumed(tmp_path):
    x, y = data()
    models = [model_of("sgd") for _ in range(3)]

    def run(model, epochs):
        def freeze(epoch, logs):
            if epoch == 1:
                model.layers[0].trainable = False
                model.layers[1].lr_factor = 0.5

        path = tmp_path / f"{id(models[0]) if model is not models[2] else 'whole'}.npz"
        hooks = [fastbp.callbacks.LambdaCallback(on_epoch_end=freeze)]
        model.fit(x, y, 8, epochs, seed=0, verbose=0, callbacks=hooks, checkpoint=path)

    run(models[0], 3)
    run(models[1], 5)
    run(models[2], 5)
    assert not models[1].layers[0].trainable and models[1].layers[1].lr_factor == 0.5
    for got, want in zip(models[1].get_weights(), models[2].get_weights(), strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize("make", OPTIMIZERS)
def test_rates_of_layers(make, backend):
    x, y = data()
    model = model_of(make(), backend)
    model.layers[1].lr_factor = 0.25
    model.compile(make(), "mse", backend=backend)
    slow = make()
    slow.lr = slow.lr * 0.25
    others = model_of(make(), backend), model_of(slow, backend)
    for _ in range(4):
        for other in others:
            other.set_weights(model.get_weights())
        model.train_on_batch(x, y)
        for other in others:
            other.train_on_batch(x, y)
        for k in range(3):
            assert_same_bits(model.layers[k].w, others[k == 1].layers[k].w)
            assert_same_bits(model.layers[k].b, others[k == 1].layers[k].b)


def test_rates_of_layers_follow_a_schedule():
    x, y = data()
    rate = fastbp.schedules.ExponentialDecay(0.5, 1, 0.5)
    models = model_of(optimizers.SGD(rate)), model_of(optimizers.SGD(rate))
    models[0].layers[0].lr_factor = 0.5
    models[0].compile(optimizers.SGD(rate), "mse")
    halves = model_of(optimizers.SGD(fastbp.schedules.ExponentialDecay(0.25, 1, 0.5)))
    models[0].fit(x, y, 30, 1, verbose=0, shuffle=False)
    halves.fit(x, y, 30, 1, verbose=0, shuffle=False)
    assert_same_bits(models[0].layers[0].w, halves.layers[0].w)


def test_all_of_it_is_saved(tmp_path):
    options = {
        "kernel_regularizer": "l1_l2", "bias_regularizer": regularizers.L1(0.5), "kernel_constraint": "non_neg",
        "bias_constraint": constraints.MaxNorm(7),
    }  # fmt: skip
    model = model_of("adam", **options)
    model.layers[0].trainable, model.layers[1].lr_factor = False, 0.125
    model.compile(optimizers.Adam(0.01, clipnorm=2.5), "mse")
    x, y = data()
    model.fit(x, y, 8, 2, seed=0, verbose=0)
    model.save(tmp_path / "m.npz")
    again = fastbp.load_model(tmp_path / "m.npz")
    assert again.get_config() == model.get_config()
    assert repr(again.optimizer) == "Adam(lr=0.01, clipnorm=2.5, beta1=0.9, beta2=0.999, eps=1e-08)"
    for one in (model, again):
        one.fit(x, y, 8, 2, seed=1, verbose=0)
    for got, want in zip(again.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(got, want)


def test_what_is_refused():
    for kind in (regularizers.L1, regularizers.L2):
        with pytest.raises(ValueError, match=r"l[12] is -1; it must be in \[0, inf\)"):
            kind(-1)
    with pytest.raises(ValueError, match=r"max_value is 0; it must be in \(0, inf\)"):
        constraints.MaxNorm(0)
    with pytest.raises(ValueError, match="there is no regularizer 'l3'; did you mean 'l"):
        Dense(2, kernel_regularizer="l3")
    with pytest.raises(ValueError, match="there is no constraint 'maxnorm'; did you mean 'max_norm'"):
        Dense(2, bias_constraint="maxnorm")
    with pytest.raises(ValueError, match=r"clipnorm is 0; it must be in \(0, inf\)"):
        optimizers.Adam(clipnorm=0)
    with pytest.raises(ValueError, match="clipvalue and clipnorm are given; give one of them"):
        optimizers.SGD(clipvalue=1, clipnorm=1)
    with pytest.raises(TypeError, match="clipnrom"):
        optimizers.Lion(clipnrom=1)
    layer = Dense(2)
    with pytest.raises(ValueError, match=r"lr_factor is -1; it must be in \(0, inf\)"):
        layer.lr_factor = -1
    assert layer.lr_factor == 1


CHOOSERS = [cls(**options) for cls, options in (
    *((cls, {}) for base in (losses.Loss, optimizers.Optimizer) for cls in base.registry.classes.values()
      if cls.__module__ == base.__module__ and not issubclass(cls, losses.CustomLoss)),
    (optimizers.SGD, {"momentum": 0.5}), (losses.Poisson, {"log_input": True}),
    (losses.BinaryCrossEntropy, {"pos_weight": 2.0}), (losses.BinaryCrossEntropy, {"label_smoothing": 0.1}),
)]  # fmt: skip


@pytest.mark.parametrize("chooser", CHOOSERS, ids=repr)
def test_the_options_are_all_that_the_row_is_given(chooser):
    row = chooser.row if isinstance(chooser, losses.Loss) else TABLE[chooser.row]
    config, attributes = chooser.get_config(), chooser.attributes()
    # none is missing, and none is what the row has not
    wanted = set(inspect.signature(type(chooser)).parameters) & set(row.attributes)
    assert set(chooser.options) <= wanted <= set(attributes)
    assert {name: attributes[name] for name in chooser.options} == {name: config[name] for name in chooser.options}
    assert set(attributes) <= set(row.attributes)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("backend", ALL)
def test_penalty_by_the_row(weighted, backend):
    x, y = data(23)
    f4, l2 = np.float32, 0.3
    weight = np.random.default_rng(1).random(23).astype(f4) if weighted else None
    loss = losses.MeanSquaredError("mean_with_sample_weight")
    model, plain = (
        model_of(backend=backend, loss=loss, **options)
        for options in ({"kernel_regularizer": regularizers.L2PerRow(l2)}, {})
    )
    plain.set_weights(model.get_weights())
    w = model.layers[0].w.copy()
    for rows in (slice(None), slice(7)):
        own = None if weight is None else weight[rows]
        rows_of = len(x[rows]) if own is None else np.float64(own.sum())
        before = model.get_weights()
        assert_same_bits(before[0], model.layers[0].w)
        want = f4(plain.test_on_batch(x[rows], y[rows])) + (f4(l2 / len(x[rows])) * (w * w)).sum()
        assert f4(model.test_on_batch(x[rows], y[rows])) == want
        model.train_on_batch(x[rows], y[rows], sample_weight=own)
        plain.train_on_batch(x[rows], y[rows], sample_weight=own)
        slope = f4(2 * l2 / rows_of) * w
        assert_same_bits(model.layers[0].dw, plain.layers[0].dw + slope)
        assert_same_bits(model.layers[0].db, plain.layers[0].db)
        for one in (model, plain):
            one.set_weights(before)
    model.forward(x)
    model.backward(np.zeros((23, 2), f4))
    assert_same_bits(model.layers[0].dw, f4(2 * l2 / 23) * w)
    assert weighted or fastbp.gradient_check(model, x, y).ok
    model.program.run(check="numpy")


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_penalty_by_the_row_of_accumulated_batches(weighted):
    """Once, divided by the rows of all of them; batches count by the sum of their weights."""
    x, y = data(30)
    x, y = x.astype(float), y.astype(float)
    weight = np.random.default_rng(1).random(30) if weighted else None
    loss, found = losses.MeanSquaredError("mean_with_sample_weight"), []
    for batch, steps in ((30, None), (10, 3)):
        model = Sequential([Dense(2, kernel_regularizer=regularizers.L2PerRow(0.3))], input_shape=4, seed=0)
        model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=steps), loss, dtype="float64")
        model.fit(x, y, sample_weight=weight, batch_size=batch, shuffle=False, verbose=0)
        found.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-13, atol=1e-15)
    model = Sequential([Dense(2, kernel_regularizer=regularizers.L2PerRow(0.3))], input_shape=4, seed=0)
    model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=3), losses.MeanSquaredError("sum"))
    with pytest.raises(ValueError, match="a penalty by the row goes with a loss that is a mean"):
        model.fit(x, y, verbose=0)


def test_penalty_by_the_row_in_a_file(tmp_path):
    layer = Dense(2, kernel_regularizer=regularizers.L2PerRow(0.3))
    assert layer.get_config()["kernel_regularizer"] == ["L2PerRow", {"l2": 0.3}]
    model = Sequential([layer], input_shape=3, seed=0)
    model.compile("adam", losses.Huber(0.5, "mean_with_sample_weight"))
    model.save(tmp_path / "model.npz")
    twin = fastbp.load_model(tmp_path / "model.npz")
    x, y = np.ones((5, 3)), np.zeros((5, 2))
    assert twin.loss_function.reduction == "mean_with_sample_weight"
    assert twin.train_on_batch(x, y, [1, 2, 0, 0, 1]) == model.train_on_batch(x, y, [1, 2, 0, 0, 1])
    assert_same_bits(twin.layers[0].w, model.layers[0].w)
    with pytest.raises(NotImplementedError, match="L2PerRow has no emit_activity"):
        program = Program("float32")
        y, loss = program.buffer("y", (BATCH, 2), role="input"), program.buffer("loss", (), role="input")
        regularizers.L2PerRow().emit_activity(program, y, loss, "layer")
