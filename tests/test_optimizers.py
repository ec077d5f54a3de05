"""Which weights decay, dampening, step sizes, averages: what optimizers do beside the formulas of their rows.

The formulas themselves are compared with PyTorch's in test_outsiders.py, and the kernels' bits in test_kernels.py.
"""

import copy
import pickle

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import BatchNorm, Dense, LayerNorm, PReLU, Sequential, kernels, optimizers
from fastbp.schedules import CosineDecay

every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
RNG = np.random.default_rng(7)
X, Y = RNG.standard_normal((30, 4)).astype("float32"), RNG.standard_normal((30, 2)).astype("float32")


def model_of(optimizer, backend="cython", numerics="numpy", layers=None, **options):
    layers = [Dense(5, "tanh", bias_initializer="ones"), Dense(3), Dense(2)] if layers is None else layers
    model = Sequential(layers, input_shape=4, seed=3)
    model.compile(optimizer, "mse", backend=backend, numerics=numerics, **options)
    return model


def normed():
    return [Dense(5), BatchNorm(), PReLU(), Dense(3, bias_initializer="ones"), LayerNorm(), Dense(2)]


def fit(model, epochs=3):
    return model.fit(X, Y, batch_size=8, epochs=epochs, seed=1, verbose=0)


def assert_same_model(one, other):
    for got, want in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_same_bits(got, want)
    state, wanted = one.optimizer.get_state(), other.optimizer.get_state()
    assert state.keys() == wanted.keys()
    for name, want in wanted.items():
        assert_same_bits(state[name], want, name)


# ---------------------------------------------------------------------------------- decay of weights
DECAYING = [
    lambda **k: optimizers.AdamW(0.05, weight_decay=0.5, **k),
    lambda **k: optimizers.AMSGrad(0.05, weight_decay=0.5, **k),
    lambda **k: optimizers.Lion(0.01, weight_decay=0.5, **k),
]


@every_backend
@every_numerics
@pytest.mark.parametrize("make", DECAYING)
def test_what_is_no_matrix_is_left_out_of_the_decay(make, backend, numerics):
    """A step's bits are those of the decay in the update for matrices, and of no decay for all else."""
    twins = [model_of(make(decay_biases=False), backend, numerics, normed())]
    twins += [model_of(make(), backend, numerics, normed()) for _ in range(2)]
    twins[2].optimizer.weight_decay = 0.0
    twins[2].compile(twins[2].optimizer, "mse", backend=backend, numerics=numerics)
    apart, decayed, plain = twins
    for _ in range(3):
        for model in (decayed, plain):
            model.set_weights(apart.get_weights())
            model.optimizer.set_state(apart.optimizer.get_state())
        for model in twins:
            model.train_on_batch(X, Y)
        differ = 0
        for layer, with_decay, without in zip(apart.layers, decayed.layers, plain.layers, strict=True):
            for name in layer.parameters:
                got, other, zero = (getattr(each, name) for each in (layer, with_decay, without))
                assert_same_bits(got, other if got.ndim > 1 else zero, f"{layer.name}.{name}")
                differ += (other != zero).any()
        # gamma, alpha and b are not 0, and would have decayed
        assert differ >= 6


def test_the_decay_apart_is_a_call_for_each_run_of_matrices_and_the_update_is_one():
    for make in DECAYING:
        model = model_of(make(decay_biases=False))
        names = [call.kernel.name for call in model.program.calls if call.layer == "optimizer"]
        row = model.optimizer.row
        assert names.count("decay_weights") == 3 and names.count(f"{row}_update") == 1
        assert names.index(f"{row}_update") > max(k for k, name in enumerate(names) if name == "decay_weights")
        whole = [call.kernel.name for call in model_of(make()).program.calls]
        assert "decay_weights" not in whole and len(whole) == len(model.program.calls) - 3
        # matrices side by side are one
        layers = [Dense(5, use_bias=False), Dense(3, use_bias=False), Dense(2)]
        names = [call.kernel.name for call in model_of(make(decay_biases=False), layers=layers).program.calls]
        assert names.count("decay_weights") == 1


@every_backend
@pytest.mark.parametrize("make", DECAYING)
def test_layers_decay_with_their_own_rate_or_not_at_all(make, backend):
    def changed():
        layers = [Dense(5, "tanh"), Dense(3), Dense(2)]
        layers[0].trainable, layers[1].lr_factor = False, 0.25
        return layers

    model, other = (model_of(make(decay_biases=apart), backend, layers=changed()) for apart in (False, True))
    before = model.get_weights()
    for each in (model, other):
        each.train_on_batch(X, Y)
    for k, (got, want) in enumerate(zip(model.get_weights(), other.get_weights(), strict=True)):
        assert_same_bits(got, before[k] if k < 2 else want if got.ndim > 1 or not before[k].any() else got)
        assert (got != before[k]).any() == (k >= 2)


@pytest.mark.parametrize("make", DECAYING)
def test_decay_is_saved_and_told(make, tmp_path):
    given, default = make(decay_biases=False, use_ema=True, gradient_accumulation_steps=2), make()
    assert "decay_biases" not in repr(default) and "decay_biases=False" in repr(given)
    model = model_of(given)
    fit(model)
    model.save(tmp_path / "m.npz")
    loaded = fastbp.load_model(tmp_path / "m.npz")
    assert repr(loaded.optimizer) == repr(given)
    for each in (model, loaded):
        fit(each)
    assert_same_model(model, loaded)


@every_backend
@every_numerics
def test_amsgrad_decays_as_adamw_does(backend, numerics):
    """Without a v that shrinks the two are one."""
    kinds = optimizers.AMSGrad, optimizers.AdamW
    models = [model_of(kind(0.05, weight_decay=0.5), backend, numerics) for kind in kinds]
    for model in models:
        model.train_on_batch(X, Y)
    for got, want in zip(*(model.get_weights() for model in models), strict=True):
        assert_same_bits(got, want)


# -------------------------------------------------------------------------------------- dampening
@every_backend
@every_numerics
def test_the_first_gradient_is_not_dampened(backend, numerics, tmp_path):
    def make():
        return model_of(optimizers.SGD(0.1, 0.5, dampening=0.75), backend, numerics)

    model, plain = make(), model_of(optimizers.SGD(0.1, 0.5), backend, numerics)
    for each in (model, plain):
        each.train_on_batch(X, Y)
    for got, want in zip(model.get_weights(), plain.get_weights(), strict=True):
        assert_same_bits(got, want)
    velocity = model.optimizer.get_state()["velocity"]
    model.forward(X)
    model.loss(Y)
    model.backward()
    dw = np.concatenate([getattr(layer, f"d{name}").reshape(-1) for layer in model.layers for name in "wb"])
    model.update()
    assert_same_bits(model.optimizer.get_state()["velocity"], np.float32(0.5) * velocity + np.float32(0.25) * dw)
    # and which update is the first one is known to copies, to files, and follows the number of updates
    model.save(tmp_path / "m.npz")
    others = [fastbp.load_model(tmp_path / "m.npz"), copy.deepcopy(model)]
    for each in (model, *others):
        fit(each)
    for other in others:
        assert_same_model(other, model)
    model.optimizer.iterations = 1
    assert model.optimizer.get_state()["first"].tolist() == [1, 0]
    model.optimizer.reset()
    assert model.optimizer.get_state()["first"].tolist() == [1, 1]


def test_dampening_that_would_do_nothing_is_refused():
    for given, message in (
        ({"dampening": 0.5}, "dampening is 0.5 and momentum is 0; it needs a momentum"),
        ({"dampening": 0.5, "momentum": 0.9, "nesterov": True}, "dampening is 0.5 and nesterov is True; it needs"),
        ({"dampening": 1.5, "momentum": 0.9}, r"dampening is 1.5; it must be in \[0, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizers.SGD(**given)
    assert "dampening" not in repr(optimizers.SGD(0.1, 0.9))
    assert repr(optimizers.SGD(0.1, 0.9, dampening=0.5)).endswith("nesterov=False, dampening=0.5)")


# ------------------------------------------------------------------------------------------ Rprop
@every_backend
@every_numerics
def test_step_sizes_begin_with_the_learning_rate_of_their_layer(backend, numerics):
    layers = [Dense(5, "tanh"), Dense(3), Dense(2)]
    layers[1].lr_factor, layers[2].trainable = 0.5, False
    model = model_of(optimizers.Rprop(lr=0.25), backend, numerics, layers)
    model.optimizer.lr = 0.125
    before = model.get_weights()
    model.train_on_batch(X, Y)
    sizes = [np.abs(a - b).max() for a, b in zip(model.get_weights(), before, strict=True)]
    np.testing.assert_allclose(sizes, [0.125, 0.125, 0.0625, 0.0625, 0, 0], rtol=1e-6)
    # from now on only signs count, but for a layer that has not moved yet
    model.optimizer.lr = 1e-3
    layers[2].trainable = True
    for _ in range(2):
        model.train_on_batch(X, Y)
    n = model.layers[2].w.size + model.layers[2].b.size
    size = model.optimizer.get_state()["step_size"]
    assert size[:-n].min() > 0.01 and size[-n:].max() < 0.0013


def test_rprop_takes_no_rates_that_it_would_not_follow():
    for make in (lambda: optimizers.Rprop(lr=CosineDecay(0.1, 10)), lambda: optimizers.Rprop(lr=lambda step: 0.1)):
        with pytest.raises(TypeError, match=r"lr is .*; it must be a number: of Rprop it is the first step size alone"):
            make()
    optimizer = optimizers.Rprop(lr=0.1)
    with pytest.raises(TypeError, match="first step size alone"):
        optimizer.lr = CosineDecay(0.1, 10)
    assert optimizer.lr == 0.1
    for given, message in (
        ({"shrink": 1}, r"shrink is 1; it must be in \(0, 1\)"), ({"grow": 1}, r"grow is 1; it must be in \(1, inf\)"),
        ({"min_step": 0}, "min_step is 0"), ({"min_step": 2, "max_step": 1}, r"max_step is 1; it must be in \[2"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            optimizers.Rprop(**given)


# ------------------------------------------------------------------------------------------- ASGD
@every_backend
@every_numerics
def test_averages_are_means_of_the_weights(backend, numerics, tmp_path):
    layers = [Dense(5, "tanh"), Dense(3), Dense(2)]
    layers[1].trainable = False
    model = model_of(optimizers.ASGD(0.1, t0=4), backend, numerics, layers, dtype="float64")
    x, y, seen = X.astype("float64"), Y.astype("float64"), []
    for step in range(12):
        model.train_on_batch(x, y)
        seen.append(model.get_weights())
        averages = model.get_weights(weights="ema")
        # in PyTorch's count the first weight that is one of several is that of step t0 + 2
        for k, got in enumerate(averages):
            want = np.mean([weights[k] for weights in seen[5:]], axis=0) if step > 5 else seen[-1][k]
            np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-16)
            assert step <= 5 or k in (2, 3) or (got != seen[-1][k]).any()
    other = model_of("sgd", backend, numerics, dtype="float64")
    other.set_weights(averages)
    assert_same_bits(model.predict(x, weights="ema"), other.predict(x))
    model.save(tmp_path / "m.npz")
    loaded = fastbp.load_model(tmp_path / "m.npz")
    assert repr(loaded.optimizer) == repr(model.optimizer) == "ASGD(lr=0.1, lambd=0.0001, alpha=0.75, t0=4.0)"
    loaded.layers[1].trainable = False
    for each in (model, loaded):
        each.fit(x, y, seed=0, verbose=0)
    assert_same_model(loaded, model)


@every_backend
def test_rates_of_asgd_fall_in_every_way_of_training(backend):
    def make():
        return model_of(optimizers.ASGD(0.1, lambd=0.5, alpha=0.6), backend)

    def formula(lr, steps):
        return lr / (1 + 0.5 * lr * np.array(steps)) ** 0.6

    fitted, fed, by_hand = make(), make(), make()
    history = fitted.fit(X, Y, batch_size=10, epochs=2, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["lr"], formula(0.1, [2, 5]), rtol=1e-14)
    for step in range(6):
        x, y = X[step % 3 * 10 :][:10], Y[step % 3 * 10 :][:10]
        np.testing.assert_allclose(fed.optimizer.lr, formula(0.1, step), rtol=1e-14)
        fed.train_on_batch(x, y)
        by_hand.forward(x)
        by_hand.loss(y)
        by_hand.backward()
        by_hand.update()
    assert_same_model(fed, fitted)
    assert_same_model(by_hand, fitted)
    fitted.optimizer.lr = 0.2  # the number is what falls
    np.testing.assert_allclose(fitted.optimizer.lr, formula(0.2, 6), rtol=1e-14)
    assert fitted.optimizer.get_config()["lr"] == 0.2
    for way in (copy.deepcopy, lambda optimizer: pickle.loads(pickle.dumps(optimizer))):
        assert way(fitted.optimizer).get_config()["lr"] == 0.2
    fitted.optimizer.lr = CosineDecay(0.1, 12)
    assert fitted.optimizer.lr == 0.05 and fitted.optimizer.get_config()["lr"] is fitted.optimizer.schedule
    config = optimizers.to_config(fitted.optimizer)
    assert repr(optimizers.from_config(*config)) == repr(fitted.optimizer)


def test_what_asgd_refuses():
    for name in ("use_ema", "ema_momentum", "ema_overwrite_frequency"):
        with pytest.raises(TypeError, match=f"ASGD is given {name}; it has an average of its own"):
            optimizers.ASGD(**{name: True})
    for given, message in (
        ({"lambd": -1}, "lambd is -1"), ({"alpha": 0}, "alpha is 0"), ({"t0": -1}, "t0 is -1"), ({"lr": 0}, "lr is 0"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            optimizers.ASGD(**given)


# ------------------------------------------------------------------------------- all that are new
NEW = {
    "radam": lambda **k: optimizers.RAdam(0.05, **k),
    "rprop": lambda **k: optimizers.Rprop(0.05, **k),
    "dampened": lambda **k: optimizers.SGD(0.05, 0.9, dampening=0.5, **k),
    "asgd": lambda **k: optimizers.ASGD(0.05, t0=3, **{name: value for name, value in k.items() if "ema" not in name}),
    "decay apart": lambda **k: optimizers.AdamW(0.05, decay_biases=False, **k),
}


@every_backend
@every_numerics
@pytest.mark.parametrize("name", NEW)
def test_beside_accumulation_averages_and_clipping(name, backend, numerics):
    options = {"gradient_accumulation_steps": 3, "use_ema": True, "global_clipnorm": 0.5}
    model, plain = (model_of(NEW[name](**options), each, numerics) for each in (backend, "numpy"))
    for each in (model, plain):
        fit(each)
    assert_same_model(model, plain)
    assert_same_bits(model.predict(X, weights="ema"), plain.predict(X, weights="ema"))
    model.program.run(check="numpy")


@pytest.mark.parametrize("name", NEW)
def test_accumulated_batches_make_the_step_of_all_rows(name):
    whole, parts = (model_of(NEW[name](gradient_accumulation_steps=k), dtype="float64") for k in (None, 3))
    x, y = X.astype("float64"), Y.astype("float64")
    for _ in range(8):
        whole.train_on_batch(x, y)
        for start in range(0, 30, 10):
            parts.train_on_batch(x[start : start + 10], y[start : start + 10])
    assert parts.optimizer.iterations == whole.optimizer.iterations == 8
    for got, want in zip(parts.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_the_length_of_the_average_of_radam_is_exact():
    """The running number for it has the value of its formula after thousands of steps."""
    advance, power = kernels.radam_advance, np.ones(3)
    for step in range(1, 5001):
        power = advance(power, backend="numpy", beta2=0.999)
        if step in (1, 5, 6, 100, 5000):
            want = [0.9**step, 0.999**step, (step + 1) * 0.999**step]
            np.testing.assert_allclose(power, want, rtol=1e-12)
