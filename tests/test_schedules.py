"""Schedules: their formulas, bits that no machine changes, and the same rates by every way of training."""

import hashlib
import math
from functools import partial

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

from fastbp import Callback, Dense, Sequential, load_model, optimizers, schedules
from fastbp.io import FileFormatError, load_arrays, save_arrays
from fastbp.schedules import (
    Constant,
    CosineDecay,
    CosineDecayRestarts,
    Cyclic,
    Delayed,
    ExponentialDecay,
    InverseTimeDecay,
    Joined,
    MultiStepDecay,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Schedule,
    StepDecay,
    WarmUp,
)

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
X = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
Y = np.random.default_rng(1).integers(3, size=70)
PI, NEVER = math.pi, 10**9


def network(optimizer, backend="numpy"):
    model = Sequential([Dense(6, activation="tanh"), Dense(3)], input_shape=4, seed=0)
    model.compile(optimizer, "sparse_categorical_crossentropy", backend=backend)
    return model


def one_cycle(s, total=100, pct=0.3, low=0.02, top=0.5, end=0.02 / 1e4):
    # PyTorch's form, which interpolates from the start of each phase
    first, last = pct * total - 1, total - 1
    a, b, t = (low, top, s / first) if s <= first else (top, end, min((s - first) / (last - first), 1))
    return b + (a - b) / 2 * (1 + math.cos(PI * t))


def restarts(s, first=10, t_mul=1.5, m_mul=0.7, lr=0.2, alpha=0.1):
    length, i = first, 0
    while s >= length:
        s, length, i = s - length, length * t_mul, i + 1
    top = lr * m_mul**i
    return top * (alpha + (1 - alpha) * (1 + math.cos(PI * s / length)) / 2)


def up_and_down(s, up=12, down=12, scale=lambda s, cycle: 1):
    # PyTorch's form
    cycle = math.floor(1 + s / (up + down))
    x, ratio = 1 + s / (up + down) - cycle, up / (up + down)
    return 0.02 + 0.28 * (x / ratio if x <= ratio else (x - 1) / (ratio - 1)) * scale(s, cycle)


def joined(s):
    return 0.3 if s < 20 else 0.2 * 0.6 ** ((s - 20) / 30) if s < 90 else 0.1 + 0.2 * (s - 90) / 20 if s < 110 else 0.3


def cyclic(s):
    length = 30 * max(math.ceil(s / 30), 1)
    return 0.01 + 0.19 * (1 - s / length) ** 0.5


#: schedule, its formula in Python's floats, SHA-256 of its first 150 rates
CASES = {
    "constant": (Constant(0.3), lambda s: 0.3),
    "step": (StepDecay(0.2, 40, gamma=0.3), lambda s: 0.2 * 0.3 ** (s // 40)),
    "multi-step": (MultiStepDecay(0.2, [10, 11, 90]), lambda s: 0.2 * 0.1 ** ((s >= 10) + (s >= 11) + (s >= 90))),
    "exponential": (ExponentialDecay(0.2, 30, 0.6), lambda s: 0.2 * 0.6 ** (s / 30)),
    "exponential staircase": (ExponentialDecay(0.2, 30, 0.6, staircase=True), lambda s: 0.2 * 0.6 ** (s // 30)),
    "inverse time": (InverseTimeDecay(0.2, 30, 0.7), lambda s: 0.2 / (1 + 0.7 * s / 30)),
    "inverse staircase": (InverseTimeDecay(0.2, 30, 0.7, True), lambda s: 0.2 / (1 + 0.7 * (s // 30))),
    "line": (PolynomialDecay(0.2, 60, 0.05), lambda s: 0.05 + 0.15 * (1 - min(s, 60) / 60)),
    "polynomial": (PolynomialDecay(0.2, 60, 0, power=2.3), lambda s: 0.2 * (1 - min(s, 60) / 60) ** 2.3),
    "polynomial cycle": (PolynomialDecay(0.2, 30, 0.01, 0.5, cycle=True), cyclic),
    "cosine": (
        CosineDecay(0.2, 80, alpha=0.25), lambda s: 0.05 + 0.15 * (1 + math.cos(PI * min(s, 80) / 80)) / 2,
    ),
    "restarts": (CosineDecayRestarts(0.2, 10, 1.5, 0.7, 0.1), restarts),
    "equal restarts": (CosineDecayRestarts(0.2, 7, 1, 0.7, 0.1), lambda s: restarts(s, 7, 1)),
    "warm-up": (
        WarmUp(ExponentialDecay(0.2, 30, 0.6), 20, 0.1),
        lambda s: 0.1 + 0.1 * s / 20 if s < 20 else 0.2 * 0.6 ** ((s - 20) / 30),
    ),
    "one cycle": (OneCycle(0.5, 100), one_cycle),
    "one cycle of lines": (
        OneCycle(0.5, 100, 0.2, "linear", 5, 10),
        lambda s: 0.1 + 0.4 * s / 19 if s < 19 else 0.5 - 0.49 * min((s - 19) / 80, 1),
    ),
    "inverse power": (InverseTimeDecay(0.2, 30, 0.7, power=0.75), lambda s: 0.2 / (1 + 0.7 * s / 30) ** 0.75),
    "piecewise": (PiecewiseConstantDecay([0, 40], [0.2, 0, 0.7]), lambda s: (0.2, 0, 0.7)[(s > 0) + (s > 40)]),
    "delayed": (Delayed(ExponentialDecay(0.2, 30, 0.6), 20), lambda s: 0.2 * 0.6 ** (max(s - 20, 0) / 30)),
    "held": (Delayed(CosineDecay(0.2, 80), 7, 0), lambda s: 0.1 * (1 + math.cos(PI * min(s - 7, 80) / 80)) * (s >= 7)),
    "joined": (Joined([0.3, ExponentialDecay(0.2, 30, 0.6), WarmUp(0.3, 20, 0.1)], [20, 90]), joined),
    "triangular": (Cyclic(0.02, 0.3, 12), up_and_down),
    "triangular2": (
        Cyclic(0.02, 0.3, 12, 31, "triangular2"), lambda s: up_and_down(s, 12, 31, lambda s, cycle: 0.5 ** (cycle - 1)),
    ),
    "exp range": (
        Cyclic(0.02, 0.3, 9, 4, "exp_range", 0.97), lambda s: up_and_down(s, 9, 4, lambda s, cycle: 0.97**s),
    ),
}  # fmt: skip


def model_of(lr, backend="numpy", optimizer=optimizers.Adam, **options):
    model = Sequential([Dense(6, activation="relu"), Dense(3)], input_shape=4, seed=0)
    model.compile(optimizer(lr=lr), "sparse_categorical_crossentropy", backend=backend, **options)
    return model


def assert_same_state(a, b):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert_same_bits(x, y, "weights")
    one, other = a.optimizer.get_state(), b.optimizer.get_state()
    assert one.keys() == other.keys()
    for name in one:
        assert_same_bits(one[name], other[name], name)


# -------------------------------------------------------------------------------------- formulas
@pytest.mark.parametrize("case", CASES)
def test_formulas(case):
    schedule, formula = CASES[case]
    steps = np.arange(200)
    rates = schedule(steps)
    assert rates.dtype == np.float64 and rates.shape == (200,)
    np.testing.assert_allclose(rates, [formula(int(s)) for s in steps], rtol=2e-14, atol=2e-16)
    assert (rates >= 0).all()


@pytest.mark.parametrize("case", CASES)
def test_a_rate_does_not_depend_on_its_company(case):
    schedule = CASES[case][0]
    rates = schedule(np.arange(150))
    alone = [schedule(s) for s in range(150)]
    assert all(type(rate) is float for rate in alone)
    assert_same_bits(np.array(alone), rates)
    assert_same_bits(schedule(np.arange(150)[::-1].reshape(10, 15)), rates[::-1].reshape(10, 15))
    assert_same_bits(schedule([3.0, 77.0]), rates[[3, 77]])


def test_the_same_bits_on_every_machine():
    """Made of + - * / and sqrt alone, so the number below is that of every machine."""
    digest = hashlib.sha256()
    for schedule, _ in CASES.values():
        digest.update(schedule(np.arange(200)).astype("<f8").tobytes())
    assert digest.hexdigest() == "73f81c314c4fa591961ae7dec7d88c344bcad79c06564ca25350cf52ae8299cf"


def test_the_source_calls_no_function_whose_bits_a_cpu_chooses():
    with open(schedules.__file__, encoding="utf-8") as file:
        called = {word for word in ("np.cos(", "np.sin(", "np.exp(", "np.log(", "np.power(", "math.cos(", "** (")
                  if word in file.read().split('"""')[-1]}  # fmt: skip
    assert not called


def test_cosine_and_powers_are_as_accurate_as_documented():
    mp = pytest.importorskip("mpmath")
    rng = np.random.default_rng(0)
    with mp.workprec(200):
        t = np.concatenate([rng.random(2000), np.arange(65) / 64, [1e-300, 1 - 2**-53]])
        error = [abs(mp.mpf(float(y)) - mp.cospi(float(u))) for u, y in zip(t, schedules._cospi(t), strict=True)]
        assert max(error) < 1e-15
        base, exponent = rng.random(2000), rng.random(2000) * rng.choice([1, 10], 2000)
        exact = [mp.mpf(float(b)) ** mp.mpf(float(e)) for b, e in zip(base, exponent, strict=True)]
        got = schedules._power(base, exponent)
        assert max(abs(mp.mpf(float(y)) / x - 1) for x, y in zip(exact, got, strict=True)) < 1e-14
    assert_same_bits(schedules._cospi(np.array([0, 0.5, 1])), np.array([1.0, 0, -1]))
    assert_same_bits(schedules._power(np.array([0, 0, 1, 0.5, 0.25]), np.array([0, 2, 99.5, 3, 1.5])),
                     np.array([1.0, 0, 1, 0.125, 0.125]))  # fmt: skip


def test_ends_are_exact():
    for schedule, first, last in (
        (CosineDecay(0.3, 7), 0.3, 0.0), (CosineDecay(0.3, 7, 0.5), 0.3, 0.15),
        (PolynomialDecay(0.3, 7, 0.1, 1.7), 0.3, 0.1), (OneCycle(0.3, 10, div_factor=3), 0.3 / 3, 0.3 / 3 / 1e4),
        (ExponentialDecay(0.3, 7, 0.1), 0.3, None), (WarmUp(0.3, 7), 0.0, 0.3), (Delayed(0.3, 7, 0.1), 0.1, 0.3),
        (Cyclic(0.1, 0.3, 50), 0.1, 0.1), (Cyclic(0.1, 0.3, 20), 0.1, 0.3),
    ):  # fmt: skip
        assert schedule(0) == first and (last is None or schedule(100) == last)
    assert OneCycle(0.3, 11, pct_start=6 / 11)(5) == 0.3
    assert ExponentialDecay(0.3, 7, 0.1)(7) == 0.3 * 0.1
    assert CosineDecayRestarts(0.3, 7)([7, 21, 49]).tolist() == [0.3, 0.3, 0.3]
    # far beyond any end
    assert np.isfinite([case[0](NEVER) for case in CASES.values()]).all()
    # no room to go up
    assert OneCycle(0.3, 3, pct_start=0.1)(0) < 0.3 and OneCycle(0.3, 3, pct_start=0.1)(2) == 0.3 / 25 / 1e4


# -------------------------------------------------------------------------------------- training
class Rates(Schedule):
    def rates(self, steps):
        return 0.1 / (1 + steps)


@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
@pytest.mark.parametrize("kind", ["schedule", "function", "numbers"])
def test_every_way_of_training_takes_the_same_rates(backend, numerics, kind):
    """`fit`, `train_on_batch` and the four steps, beside a rate that is assigned before every step."""
    lr = {"schedule": Rates(), "function": lambda step: 0.1 / (1 + step), "numbers": 1.0}[kind]
    fitted, fed, by_hand = (model_of(lr, backend, numerics=numerics) for _ in range(3))
    plain = model_of(1.0, numerics=numerics)
    if kind != "numbers":
        fitted.fit(X, Y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for step in range(10):
        x, y = X[step % 5 * 16 :][:16], Y[step % 5 * 16 :][:16]
        for model in (plain, *([fed, by_hand] if kind == "numbers" else [])):
            model.optimizer.lr = 0.1 / (1 + step)
        fed.train_on_batch(x, y)
        by_hand.forward(x)
        by_hand.loss(y)
        by_hand.backward()
        by_hand.update()
        plain.train_on_batch(x, y)
    for model in [fed, by_hand, *([fitted] if kind != "numbers" else [])]:
        assert model.optimizer.iterations == 10
        assert_same_state(model, plain)


@every_backend
@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.SGD, lambda lr: optimizers.SGD(lr, 0.9, True)])
def test_every_optimizer_takes_a_schedule(backend, make):
    model, replay = (model_of(ExponentialDecay(0.1, 3, 0.5), b, make) for b in (backend, "numpy"))
    rng = np.random.default_rng(5)
    history = model.fit(X, Y, batch_size=16, epochs=3, seed=5, verbose=0).history
    for _ in range(3):
        order = rng.permutation(70)
        for start in range(0, 70, 16):
            replay.train_on_batch(X[order[start : start + 16]], Y[order[start : start + 16]])
    assert_same_state(model, replay)
    assert history["lr"] == [model.optimizer.schedule(s) for s in (4, 9, 14)]
    assert model.optimizer.lr == model.optimizer.schedule(15)


def test_lr_is_that_of_the_next_step_and_step_may_be_set():
    optimizer = optimizers.Adam(lr=CosineDecay(0.1, 10))
    assert (optimizer.lr, optimizer.iterations) == (0.1, 0)
    optimizer.iterations = 5
    assert optimizer.lr == 0.05
    optimizer.iterations = 1000
    assert optimizer.lr == 0
    optimizer.lr = 0.25
    assert (optimizer.lr, optimizer.schedule, optimizer.iterations) == (0.25, None, 1000)
    optimizer.lr = Rates()
    assert optimizer.lr == 0.1 / 1001


def test_a_function_is_asked_for_no_step_beyond_the_last():
    table = [0.1] * 10
    model = model_of(lambda step: table[step])
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)
    for _ in range(5):
        model.train_on_batch(X, Y)
    with pytest.raises(IndexError):
        model.train_on_batch(X, Y)


class Assign(Callback):
    def __init__(self, epoch, lr):
        self.epoch, self.lr = epoch, lr

    def on_epoch_begin(self, epoch):
        if epoch == self.epoch:
            self.model.optimizer.lr = self.lr


@every_backend
def test_history_of_the_rate(backend):
    def history(lr, *changes):
        return model_of(lr, backend).fit(X, Y, batch_size=16, epochs=4, verbose=0, callbacks=changes).history.get("lr")

    assert history(0.1) is None
    assert history(0.1, Assign(2, 0.05)) == [0.1, 0.1, 0.05, 0.05]
    assert history(0.1, Assign(1, 0.05), Assign(2, 0.1)) == [0.1, 0.05, 0.1, 0.1]
    assert history(0.1, Assign(2, Rates())) == [0.1, 0.1, 0.1 / 15, 0.1 / 20]
    assert history(Rates(), Assign(2, 0.3)) == [0.1 / 5, 0.1 / 10, 0.3, 0.3]


@every_backend
def test_steps_are_counted_up_to_the_error(backend):
    model = model_of(lambda step: 0.01 if step < 7 else 1e30, backend, optimizers.SGD)
    with pytest.raises(FloatingPointError, match="epoch 2, batch 4"):
        model.fit(X, Y, batch_size=16, epochs=3, verbose=0)
    assert model.optimizer.iterations == 8


# ----------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("case", CASES)
def test_a_model_file_holds_the_schedule_and_its_place(case, tmp_path):
    model = model_of(CASES[case][0])
    model.fit(X, Y, batch_size=16, epochs=2, seed=0, verbose=0)
    model.save(tmp_path / "m.npz")
    loaded = load_model(tmp_path / "m.npz")
    assert repr(loaded.optimizer) == repr(model.optimizer) and loaded.optimizer.iterations == 10
    for m in (model, loaded):
        m.fit(X, Y, batch_size=16, epochs=2, seed=1, verbose=0)
    assert_same_state(model, loaded)


def test_files_of_old_have_no_step(tmp_path):
    model = model_of(0.1)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.npz")
    config, arrays = load_arrays(tmp_path / "m.npz")
    assert arrays.pop("optimizer.step") == 3
    save_arrays(tmp_path / "m.npz", config, arrays)
    assert load_model(tmp_path / "m.npz").optimizer.iterations == 0


@pytest.mark.parametrize("lr", [["Constant"], ["Constant", {"lr": -1}], ["Halves", {}], ["WarmUp", {"schedule": 3}],
                                [["Constant"], {}], {"lr": 1}, [], ["Constant", {"lr": 0.1, "run": "rm"}]])  # fmt: skip
def test_hostile_schedules_are_refused(lr, tmp_path):
    model_of(Constant(0.1)).save(tmp_path / "m.npz")
    config, arrays = load_arrays(tmp_path / "m.npz")
    config["optimizer"][1]["lr"] = lr
    save_arrays(tmp_path / "m.npz", config, arrays)
    with pytest.raises(FileFormatError, match=r"m\.npz"):
        load_model(tmp_path / "m.npz")


@pytest.mark.parametrize("step", [np.array(-1), np.array([1]), np.array(1.0)])
def test_hostile_steps_are_refused(step, tmp_path):
    model_of(0.1).save(tmp_path / "m.npz")
    config, arrays = load_arrays(tmp_path / "m.npz")
    save_arrays(tmp_path / "m.npz", config, {**arrays, "optimizer.step": step})
    with pytest.raises(FileFormatError, match="'step'"):
        load_model(tmp_path / "m.npz")


@pytest.mark.parametrize("lr", [lambda step: 0.1, WarmUp(lambda step: 0.1, 5)])
def test_what_a_file_cannot_hold(lr, tmp_path):
    with pytest.raises(ValueError, match=r"lr is .* a file holds numbers and objects of Schedule only"):
        model_of(lr).save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Constant(0), ValueError, r"lr is 0; it must be in \(0, inf\)"),
        (lambda: Constant("fast"), TypeError, "lr is 'fast'; it must be a number"),
        (lambda: StepDecay(0.1, 0), ValueError, "step_size is 0; it must be at least 1"),
        (lambda: StepDecay(0.1, 2.5), TypeError, "step_size is 2.5; it must be an integer"),
        (lambda: StepDecay(0.1, 5, gamma=1.5), ValueError, r"gamma is 1.5; it must be in \(0, 1\]"),
        (lambda: MultiStepDecay(0.1, 5), TypeError, "milestones is 5"),
        (lambda: MultiStepDecay(0.1, []), ValueError, r"milestones is \[\]; it must be increasing"),
        (lambda: MultiStepDecay(0.1, [5, 5]), ValueError, r"milestones is \[5, 5\]"),
        (lambda: MultiStepDecay(0.1, [5, 1.5]), TypeError, "milestones is"),
        (lambda: ExponentialDecay(0.1, 5, 0), ValueError, "decay_rate is 0"),
        (lambda: InverseTimeDecay(0.1, 5, -1), ValueError, r"decay_rate is -1; it must be in \[0, inf\)"),
        (lambda: PolynomialDecay(0.1, 5, end_lr=-0.1), ValueError, "end_lr is -0.1"),
        (lambda: PolynomialDecay(0.1, 5, power=0), ValueError, "power is 0"),
        (lambda: CosineDecay(0.1, 5, alpha=2), ValueError, r"alpha is 2; it must be in \[0, 1\]"),
        (lambda: CosineDecayRestarts(0.1, 5, t_mul=0.5), ValueError, r"t_mul is 0.5; it must be in \[1, inf\)"),
        (lambda: WarmUp("cosine", 5), TypeError, "schedule is 'cosine'; it must be a number"),
        (lambda: WarmUp(lambda step: "a", 5), TypeError, "schedule is .* step 0 is 'a'; it must be a number"),
        (lambda: OneCycle(0.1, 1), ValueError, "total_steps is 1; it must be at least 2"),
        (lambda: OneCycle(0.1, 9, pct_start=1), ValueError, r"pct_start is 1; it must be in \(0, 1\)"),
        (lambda: OneCycle(0.1, 9, anneal_strategy="cosine"), ValueError, "no anneal_strategy 'cosine'.*'cos'"),
        (lambda: InverseTimeDecay(0.1, 5, 1, power=0), ValueError, "power is 0"),
        (lambda: PiecewiseConstantDecay([], [0.1]), ValueError, r"boundaries is \[\]; it must be increasing"),
        (lambda: PiecewiseConstantDecay([5, 5], [1, 2, 3]), ValueError, r"boundaries is \[5, 5\]"),
        (lambda: PiecewiseConstantDecay([5], [1.0]), ValueError, r"values is \[1.0\], of 1; of 1 boundaries there m"),
        (lambda: PiecewiseConstantDecay([5], 0.1), TypeError, "values is 0.1; it must be rates"),
        (lambda: PiecewiseConstantDecay([5], [1, -1]), ValueError, r"values\[1\] is -1"),
        (lambda: Delayed("cosine", 5), TypeError, "schedule is 'cosine'; it must be a number"),
        (lambda: Delayed(0.1, 0), ValueError, "delay_steps is 0; it must be at least 1"),
        (lambda: Delayed(0.1, 5, -1), ValueError, "start_lr is -1"),
        (lambda: Joined([0.1, 0.2], []), ValueError, r"milestones is \[\]; it must be increasing"),
        (lambda: Joined([0.1, 0.2], [3, 5]), ValueError, r"milestones is \[3, 5\], of 2; of 2 schedules there"),
        (lambda: Joined([0.1, "fast"], [3]), TypeError, r"schedules is .*schedules\[1\] is 'fast'; it must be"),
        (lambda: Joined(0.1, [3]), TypeError, "schedules is 0.1; it must be rates or schedules"),
        (lambda: Cyclic(0.1, 0.05), ValueError, r"max_lr is 0.05; it must be in \[0.1, inf\)"),
        (lambda: Cyclic(0.1, 0.5, 0), ValueError, "step_size_up is 0"),
        (lambda: Cyclic(0.1, 0.5, 5, 0), ValueError, "step_size_down is 0"),
        (lambda: Cyclic(0.1, 0.5, mode="square"), ValueError, "no mode 'square'; there are triangular, triangular2"),
        (lambda: Cyclic(0.1, 0.5, gamma=2), ValueError, r"gamma is 2; it must be in \(0, 1\]"),
        (lambda: CosineDecay(0.1, 5)(-1), ValueError, "step is -1; it must be whole numbers from 0"),
        (lambda: CosineDecay(0.1, 5)([0, 1.5]), ValueError, r"step is \[0, 1.5\]"),
        (lambda: CosineDecay(0.1, 5)(np.inf), ValueError, "step is inf"),
        (lambda: CosineDecay(0.1, 5)("a"), ValueError, "step is 'a'"),
        (lambda: optimizers.Adam(lr=lambda step: -1), ValueError, "lr is .* the learning rate of step 0 is -1"),
        (lambda: optimizers.Adam(lr=lambda step: None), TypeError, "lr is .* step 0 is None; it must be a number"),
        (lambda: setattr(optimizers.Adam(), "iterations", 2**63), ValueError, "iterations is 9.*; it must be at most"),
        (lambda: setattr(optimizers.Adam(), "iterations", -1), ValueError, "iterations is -1; it must be at least 0"),
    ],
)
def test_bad_numbers(make, error, message):
    with pytest.raises(error, match=message):
        make()


@every_backend
def test_a_bad_rate_later_stops_before_its_epoch(backend):
    class Late(Schedule):
        def rates(self, steps):
            return np.where(steps < 7, 0.1, np.nan)

    for lr in (Late(), lambda step: 0.1 if step < 7 else float("nan")):
        model, twin = model_of(lr, backend), model_of(0.1, backend)
        with pytest.raises(ValueError, match="the learning rate of step 7 is nan"):
            model.fit(X, Y, batch_size=16, epochs=2, seed=0, verbose=0)
        twin.fit(X, Y, batch_size=16, epochs=1, seed=0, verbose=0)
        assert_same_state(model, twin)
    optimizer = optimizers.Adam(lr=0.5)
    with pytest.raises(ValueError):
        optimizer.lr = lambda step: -1
    assert optimizer.lr == 0.5 and optimizer.schedule is None


@every_backend
@pytest.mark.parametrize("kind", [optimizers.Adam, optimizers.Nadam, optimizers.RAdam, optimizers.SGD])
def test_the_number_of_updates_is_one_number(backend, kind):
    """Setting it sets what follows from it: the powers of Adam's betas are those of so many updates."""
    # after few updates the powers are zero
    options = {kind: {"beta2": 0.9} for kind in (optimizers.Adam, optimizers.RAdam)}
    options[optimizers.Nadam] = {"beta2": 0.9, "momentum_decay": 1}
    make = partial(kind, lr=CosineDecay(0.1, 50), **options.get(kind, {}))
    model, other = (network(make(), backend=backend) for _ in range(2))
    model.fit(X, Y, batch_size=16, epochs=3, seed=0, verbose=0)
    model.train_on_batch(X, Y)
    model.forward(X)
    model.loss(Y)
    model.backward()
    model.update()
    model.program.run()
    model.program.run(check="numpy")
    model.program.profile(3)
    assert model.optimizer.iterations == 3 * -(-len(X) // 16) + 4
    optimizer = other.optimizer
    optimizer.iterations = model.optimizer.iterations
    for name in {"power", "step"} & set(optimizer.get_state()):
        assert_same_bits(optimizer.get_state()[name], model.optimizer.get_state()[name], name)
    # before there is a model as well
    early = make()
    early.iterations = model.optimizer.iterations
    late = network(early, backend=backend)
    for name, array in optimizer.get_state().items():
        assert_same_bits(late.optimizer.get_state()[name], array, name)
    optimizer.iterations = 0
    assert optimizer.lr == 0.1 and (optimizer.get_state().get("power", np.ones(1)) == 1).all()
    optimizer.iterations = 10**12
    assert (optimizer.get_state().get("power", np.zeros(1))[1:] < 1e-300).all()


def test_an_optimizer_goes_on_when_its_model_is_compiled_again():
    model, other = (network(optimizers.Adam(lr=0.01)) for _ in range(2))
    for m in (model, other):
        m.fit(X, Y, seed=0, verbose=0)
    model.compile(model.optimizer, model.loss_function)
    for m in (model, other):
        m.fit(X, Y, seed=1, verbose=0)
    assert_same_state(model, other)
