"""Callbacks: what each does, when the hooks are called, and that none of it changes a bit of the training."""

import csv
import math
import os
import re
import sys
import warnings

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

from fastbp import Callback, Dense, Dropout, History, Sequential, load_model, optimizers
from fastbp.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from fastbp.io import load_history
from fastbp.schedules import CosineDecay, ExponentialDecay

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
X = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
Y = np.random.default_rng(1).integers(3, size=70)


def model_of(backend="numpy", lr=0.01, optimizer=optimizers.Adam, **options):
    model = Sequential([Dense(6, activation="relu"), Dense(3)], input_shape=4, seed=0)
    model.compile(optimizer(lr=lr), "sparse_categorical_crossentropy", backend=backend, **options)
    return model


def fit(model, *callbacks, epochs=4, **options):
    options = {"batch_size": 16, "seed": 0, "verbose": 0, **options}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **options)


def assert_same_state(a, b):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert_same_bits(x, y, "weights")
    one, other = a.optimizer.get_state(), b.optimizer.get_state()
    assert one.keys() == other.keys()
    for name in one:
        assert_same_bits(one[name], other[name], name)


class Say(Callback):
    """Makes a callback see given values, epoch by epoch, for "loss"."""

    def __init__(self, callback, values, name="loss"):
        self.callback, self.values, self.name = callback, values, name

    def on_train_begin(self):
        self.callback.model, self.callback.params = self.model, self.params
        self.callback.on_train_begin()

    def on_epoch_begin(self, epoch):
        self.callback.on_epoch_begin(epoch)

    def on_epoch_end(self, epoch, logs):
        logs = dict(logs)
        logs.pop(self.name)
        if self.values[epoch] is not None:
            logs[self.name] = self.values[epoch]
        self.callback.on_epoch_end(epoch, logs)

    def on_train_end(self):
        self.callback.on_train_end()

    def get_state(self):
        return self.callback.get_state()

    def set_state(self, state):
        self.callback.set_state(state)


# ----------------------------------------------------------------------------------- batch hooks
class Batches(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_begin(self, batch):
        self.seen.append(("begin", batch))

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(("end", batch, logs))


@every_backend
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("lr", [0.01, ExponentialDecay(0.01, 3, 0.5)])
def test_batch_hooks_see_every_batch_and_change_no_bit(backend, shuffle, lr):
    model, plain = (model_of(backend, lr, metrics=["accuracy"]) for _ in range(2))
    log = Batches()
    histories = [fit(model, log, shuffle=shuffle), fit(plain, shuffle=shuffle)]
    assert histories[0].history == histories[1].history
    assert_same_state(model, plain)
    assert_same_bits(model.batch_losses, plain.batch_losses)
    assert [s[:2] for s in log.seen] == [(when, k) for k in range(5) for when in ("begin", "end")] * 4
    logs = [s[2] for s in log.seen if s[0] == "end"]
    assert [entry["loss"] for entry in logs] == plain.batch_losses.astype(float).tolist()
    counts = np.array([16, 16, 16, 16, 6])
    by_epoch = np.reshape([entry["accuracy"] for entry in logs], (4, 5)) @ counts / 70
    np.testing.assert_allclose(by_epoch, plain.history.history["accuracy"])


@every_backend
@pytest.mark.parametrize("hook", ["on_train_batch_begin", "on_train_batch_end"])
def test_a_batch_hook_may_change_the_rate_and_stop(backend, hook):
    model, replay = model_of(backend), model_of(backend)

    def act(batch, logs=None):
        model.optimizer.lr = 0.01 / (1 + batch)
        model.stop_training = batch == 2

    history = fit(model, LambdaCallback(**{hook: act}), shuffle=False)
    rates = [0.01, 0.005, 0.01 / 3] if hook == "on_train_batch_begin" else [0.01, 0.01, 0.005]
    losses = []
    for k, rate in enumerate(rates):
        replay.optimizer.lr = rate
        losses.append(replay.train_on_batch(X[16 * k : 16 * k + 16], Y[16 * k : 16 * k + 16]))
    assert_same_state(model, replay)
    assert_same_bits(model.batch_losses, np.array(losses, "float32"))
    assert history.epoch == [0] and history.history["lr"] == [rates[-1]]
    assert history.history["loss"] == [float(np.mean(np.array(losses, float)))]


@every_backend
def test_a_loss_that_turns_nan_between_batch_hooks(backend):
    model, plain = (model_of(backend, 1e25, optimizers.SGD) for _ in range(2))
    said = []
    for m, hooks in ((model, [Batches()]), (plain, [])):
        with pytest.raises(FloatingPointError, match="epoch 1, batch ") as raised:
            fit(m, *hooks)
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert_same_state(model, plain)


def test_progress_between_batch_hooks():
    seen = []
    slow = LambdaCallback(on_train_batch_end=lambda batch, logs: __import__("time").sleep(0.06),
                          on_progress=lambda epoch, step: seen.append((epoch, step)))  # fmt: skip
    fit(model_of(), slow, epochs=1)
    assert seen and all(epoch == 0 and 1 < step < 5 for epoch, step in seen)


def test_test_hooks():
    seen = []
    log = LambdaCallback(on_test_begin=lambda: seen.append("begin"), on_test_end=lambda logs: seen.append(sorted(logs)))
    fit(model_of(), log, epochs=2, validation_split=0.2)
    assert seen == ["begin", ["loss"]] * 2


def test_lambda_callback():
    with pytest.raises(ValueError, match="no hook 'on_batch'; did you mean"):
        LambdaCallback(on_batch=print)
    with pytest.raises(TypeError, match="on_epoch_end is 5; it must be a function"):
        LambdaCallback(on_epoch_end=5)


# ------------------------------------------------------------------------- signatures of hooks, names
#: What each hook is given before `logs`; those of epochs and batches are counted.
COUNTED = {
    "on_train_begin": [()], "on_train_end": [()], "on_epoch_begin": [(0,), (1,)], "on_epoch_end": [(0,), (1,)],
    "on_train_batch_begin": [(0,), (1,)] * 2, "on_train_batch_end": [(0,), (1,)] * 2, "on_test_begin": [()] * 2,
    "on_test_end": [()] * 2,
}  # fmt: skip


@pytest.mark.parametrize("logs", ["logs=None", "logs", "*logs", "_=None, /", ""])
def test_hooks_with_and_without_logs(logs):
    """As Keras has them, as they were before, and as functions: the signature decides."""
    seen = {name: [] for name in COUNTED}

    def make(name, self=""):
        first = [self, "n"] if "epoch" in name or "batch" in name else [self]
        given = ", ".join(part for part in [*first, logs] if part)
        known = "()" if not logs else "(_,)" if logs[0] == "_" else logs if logs[0] == "*" else "(logs,)"
        values = f"(({'n,' * (len(first) - 1)}), {known.lstrip('*')})"
        return eval(f"lambda {given}: seen.append({values})", {"seen": seen[name]})

    kind = type("Own", (Callback,), {name: make(name, "self") for name in COUNTED})
    for callback in (kind(), LambdaCallback(**{name: make(name) for name in COUNTED})):
        fit(model_of(), callback, epochs=2, batch_size=35, validation_data=(X, Y))
        for name, calls in seen.items():
            assert [given for given, _ in calls] == COUNTED[name]
            there = {"on_epoch_end": ["loss", "val_loss"], "on_train_batch_end": ["loss"], "on_test_end": ["loss"]}
            # a default of another name is the function's own
            want = () if not logs else (None,) if logs[0] == "_" else (there.get(name, []),)
            assert [tuple(v if v is None else sorted(v) for v in known) for _, known in calls] == [want] * len(calls)
            calls.clear()


def test_hooks_call_those_of_the_base_classes_as_in_keras():
    class Own(EarlyStopping):
        def set_model(self, model):
            super().set_model(model)
            self.models = [model]

        def set_params(self, params):
            super().set_params(params)
            self.rows = params["rows"]

        def on_train_begin(self, logs=None):
            super().on_train_begin(logs)

        def on_epoch_begin(self, epoch, logs=None):
            super().on_epoch_begin(epoch, logs)

        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)

        def on_train_batch_begin(self, batch, logs=None):
            super().on_train_batch_begin(batch, logs)

        def on_batch_end(self, batch, logs=None):
            super().on_batch_end(batch, logs)
            self.last = batch, sorted(logs)

        def on_train_end(self, logs=None):
            super().on_train_end(logs)

    model, own = model_of(), Own("loss", patience=1, min_delta=10)
    assert len(fit(model, own).epoch) == 2
    assert own.models == [model] and own.model is model and own.rows == 70 and own.last == (4, ["loss"])


def test_what_a_function_has_bound_is_its_own():
    seen = []
    fit(model_of(), *(LambdaCallback(on_epoch_begin=lambda epoch, k=k: seen.append(k)) for k in range(3)), epochs=1)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("hook", "function", "signature"),
    [
        ("on_epoch_begin", lambda: None, "()"),
        ("on_train_end", lambda epoch, logs: None, "(epoch, logs)"),
        ("on_epoch_end", lambda epoch, *, text: None, "(epoch, *, text)"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused_before_training(hook, function, signature):
    model, twin = model_of(), model_of()
    with pytest.raises(
        TypeError, match=rf"LambdaCallback\.{hook} has the signature {re.escape(signature)}; it must take"
    ):
        fit(model, LambdaCallback(**{hook: function}))
    assert_same_state(model, twin)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("on_epoch_ends", "fit calls no hook on_epoch_ends, which Own has; did you mean 'on_epoch_end'"),
        ("on_test_batch_end", "fit calls no hook on_test_batch_end, which Own has; validation runs without Python"),
        ("on_predict_begin", None),
        ("on_batch_end", None),
    ],
)
def test_hooks_that_there_are_not(name, said):
    own = type("Own", (Callback,), {name: lambda self, *_: None})()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(model_of(), own)
    assert [str(w.message).startswith(said) and w.filename == __file__ for w in caught] == ([True] if said else [])


def test_callbacks_in_any_form():
    plain = fit(model_of()).history
    for callbacks in (None, (), History(), [History()], (c for c in [History()])):
        model = model_of()
        assert model.fit(X, Y, 16, 4, seed=0, verbose=0, callbacks=callbacks).history == plain
    for wrong, said in (
        (5, "callbacks is 5; it must be a list"),
        ([EarlyStopping], r"make one, EarlyStopping\(\.\.\.\)"),
        (EarlyStopping, r"make one, EarlyStopping\(\.\.\.\)"),
    ):
        with pytest.raises(TypeError, match=said):
            model_of().fit(X, Y, callbacks=wrong)


# ------------------------------------------------------------------------------- what hooks add to logs
class Adds(Callback):
    """Puts what a function of the epoch says into `logs`, None for nothing."""

    def __init__(self, value_of, name="mine", hook="on_epoch_end"):
        self.value_of, self.name, self.epoch, self.hook = value_of, name, -1, hook

    def on_epoch_begin(self, epoch):
        self.epoch = epoch

    def add(self, hook, logs):
        if hook == self.hook and self.value_of(self.epoch) is not None:
            logs[self.name] = self.value_of(self.epoch)

    def on_epoch_end(self, epoch, logs):
        self.add("on_epoch_end", logs)

    def on_test_end(self, logs):
        self.add("on_test_end", logs)


def odd(epoch):
    return 10.0 - epoch if epoch % 2 else None


def test_what_a_hook_adds_is_kept(tmp_path, capsys):
    path = tmp_path / "log.csv"
    stop, csv = EarlyStopping("mine", patience=2, mode="max"), CSVLogger(path)
    history = fit(model_of(), Adds(lambda epoch: np.float32(5 - epoch)), stop, csv, epochs=9, verbose=2)
    assert history.history["mine"] == [5.0, 4.0, 3.0] and stop.best == 5
    assert all(type(value) is float for value in history.history["mine"])
    assert path.read_text().splitlines()[0] == "epoch,loss,lr,mine"
    assert [line.split(",")[3] for line in path.read_text().splitlines()[1:]] == ["5.0", "4.0", "3.0"]
    assert [line.rpartition("  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "mine 5.0000", "mine 4.0000", "mine 3.0000"
    ]  # fmt: skip
    history.save(tmp_path / "h.json")
    assert load_history(tmp_path / "h.json") == history.history


def test_epochs_in_which_nothing_is_added_are_nan(tmp_path):
    for name, hook in (("mine", "on_epoch_end"), ("val_mine", "on_test_end")):
        history = fit(model_of(), Adds(odd, hook=hook), validation_data=(X, Y)).history
        np.testing.assert_array_equal(history[name], [math.nan, 9, math.nan, 7])
    # what is taken out, or put there by one that fails, does not matter
    taking = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.pop("loss"))
    model = model_of()
    assert fit(model, taking).history["loss"] == fit(model_of()).history["loss"]

    def fails(epoch, logs):
        logs["mine"] = 5.0
        raise KeyError

    with pytest.raises(KeyError):
        fit(model, LambdaCallback(on_epoch_end=fails))
    assert model.history.epoch == [0] and list(model.history.history) == ["loss"]


def test_a_run_that_goes_on_keeps_what_was_added(tmp_path):
    def hooks(name):
        return [Adds(lambda epoch: 10.0 - epoch), EarlyStopping("mine", mode="max", patience=9), CSVLogger(name)]

    whole, parts = tmp_path / "whole.csv", tmp_path / "parts.csv"
    history = fit(model_of(), *hooks(whole), epochs=4)
    for epochs in (2, 4):
        again = fit(model_of(), *hooks(parts), epochs=epochs, checkpoint=tmp_path / "run.npz")
    assert again.history == history.history and parts.read_text() == whole.read_text()


@pytest.mark.parametrize("value", ["0.5", None, [1.0], np.ones(2), 1j, b"1", {}], ids=repr)
@pytest.mark.parametrize("hook", ["on_epoch_end", "on_test_end"])
def test_what_is_added_must_be_a_number(value, hook):
    add = LambdaCallback(**{hook: lambda *given: given[-1].update(mine=value)})
    model = model_of()
    with pytest.raises(TypeError, match=rf"LambdaCallback\.{hook} has put .* into logs as 'mine'; it must be a number"):
        fit(model, add, validation_data=(X, Y))
    if hook == "on_epoch_end":
        assert list(model.history.history) == ["loss", "val_loss"]


@pytest.mark.parametrize("name", [1, None, ("a",)], ids=repr)
@pytest.mark.parametrize("hook", ["on_epoch_end", "on_test_end"])
def test_the_name_of_what_is_added_must_be_text(name, hook):
    add = LambdaCallback(**{hook: lambda *given: given[-1].update({name: 0.5})})
    with pytest.raises(TypeError, match=rf"{hook} has put 0\.5 into logs as .*; it must be .*, and its name text"):
        fit(model_of(), add, validation_data=(X, Y))


def test_a_value_to_monitor_that_nobody_adds(tmp_path):
    seen = []
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    for late in (EarlyStopping("los"), ReduceLROnPlateau("los"), ModelCheckpoint(tmp_path / "m", "los", True)):
        kind = type(late).__name__
        with pytest.warns(UserWarning, match=f"{kind} monitors 'los', which no callback before it .* mean 'loss'") as w:
            fit(model_of(), note, late)
        assert len(w) == 1 and not os.path.exists(tmp_path / "m")
    with pytest.warns(UserWarning, match=r"CSVLogger: .* has no column for 'mine', which the first epoch did not log"):
        fit(model_of(), Adds(odd), CSVLogger(tmp_path / "log.csv"))


def test_files_of_models_are_named_after_what_was_added(tmp_path):
    fit(model_of(), Adds(lambda epoch: epoch / 4), ModelCheckpoint(tmp_path / "{epoch}-{mine:.2f}"), epochs=2)
    assert sorted(os.listdir(tmp_path)) == ["1-0.00", "2-0.25"]


@pytest.mark.parametrize("separator", [",", ";"])
def test_csv_files_hold_names_of_any_text(separator, tmp_path):
    name, path = 'a,"b";\nc', tmp_path / "log.csv"
    add = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update({name: epoch}))
    for epochs in (1, 2):  # a checkpoint does so, too
        history = fit(model_of(), add, epochs=epochs, checkpoint=tmp_path / "run")
    assert history.history[name] == [0, 1]
    for _ in range(2):
        fit(model_of(), add, CSVLogger(path, separator, append=True), epochs=2)
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter=separator))
    assert rows[0] == ["epoch", "loss", "lr", name] and [row[3] for row in rows[1:]] == ["0.0", "1.0", "0.0", "1.0"]


def test_csv_files_that_are_gone_on_with_have_the_same_columns(tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        fit(model_of(), Adds(lambda epoch: 1), CSVLogger(path, append=True), epochs=1)
    assert [line[0] for line in path.read_text().splitlines()] == ["e", "0", "0"]
    with pytest.raises(ValueError, match="has the columns 'epoch,loss,lr,mine'; they must be"):
        fit(model_of(), CSVLogger(path, append=True))


# -------------------------------------------------------------------------------- early stopping
@pytest.mark.parametrize(
    ("options", "values", "epochs", "best"),
    [
        ({"patience": 2}, [5, 4, 4, 4, 4], 4, 1),
        ({"patience": 0}, [5, 4, 4, 4, 4], 3, 1),
        ({"patience": 1}, [5, 4, 4, 4, 4], 3, 1),
        ({"patience": 2}, [5, 4, 6, 3, 6, 6, 1], 6, 3),
        ({"patience": 2, "min_delta": 1}, [5, 4.5, 3.9, 9, 9, 9], 5, 2),
        ({"patience": 2, "mode": "max"}, [1, 2, 2, 1, 9], 4, 1),
        ({"patience": 1, "start_from_epoch": 3}, [1, 2, 3, 4, 5, 0], 5, 3),
        ({"patience": 2}, [math.nan, math.nan, math.nan, 0], 3, 0),
        ({"patience": 2}, [math.nan, 5, 4, math.nan, 4, 0], 5, 2),
        ({"patience": 2}, [3, None, 4, None, 5, 0], 5, 0),
        ({"patience": 9}, [3, 2, 1], 3, 2),
        # what is not reached: epochs wait from the first one, those that are the best so far stop nothing
        ({"patience": 3, "baseline": 1}, [5, 4, 3, 2, 2, 0], 5, 3),
        ({"patience": 2, "baseline": 1}, [5, 6, 4, 0], 2, 0),
        # what is reached later, and again is not better
        ({"patience": 3, "baseline": 3.5}, [5, 4, 3, 4, 4, 4, 0], 6, 2),
        ({"patience": 2, "baseline": 3, "min_delta": 1}, [5, 2.5, 2.2, 0], 3, 1),
        ({"patience": 2, "baseline": 0.5, "mode": "max"}, [0.1, 0.2, 0.2, 0.9], 3, 1),
        ({"patience": 2, "baseline": 2, "start_from_epoch": 1}, [0, 5, 4, 4, 0], 4, 2),
        ({"patience": 1, "baseline": 9}, [5, math.nan, 0], 2, 0),
    ],
)
@pytest.mark.parametrize("restore", [True, False])
def test_early_stopping(options, values, epochs, best, restore):
    stop = EarlyStopping("loss", restore_best_weights=restore, **options)
    weights = []
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    model = model_of()
    history = fit(model, Say(stop, values), keep, epochs=len(values))
    assert len(history.epoch) == epochs and stop.best_epoch == best
    assert stop.stopped_epoch == (None if epochs == len(values) and options["patience"] == 9 else epochs - 1)
    for got, want in zip(model.get_weights(), weights[best if restore else -1], strict=True):
        assert_same_bits(got, want)


def test_early_stopping_starts_anew_with_every_fit():
    stop, model = EarlyStopping("loss", patience=1, min_delta=10), model_of()
    assert [len(fit(model, stop).epoch) for _ in range(2)] == [2, 2]


@every_backend
def test_weights_stay_where_an_epoch_failed(backend):
    stop = EarlyStopping("loss", patience=5, restore_best_weights=True)

    def fail(epoch):
        if epoch == 2:
            raise ZeroDivisionError

    model, twin = model_of(backend), model_of(backend)
    with pytest.raises(ZeroDivisionError):
        fit(model, stop, LambdaCallback(on_epoch_begin=fail))
    fit(twin, epochs=2)
    assert_same_state(model, twin)


def test_auto_mode():
    for name, larger in (
        ("loss", False),
        ("val_accuracy", True),
        ("val_loss", False),
        ("val_auc", True),
        ("mae", False),
    ):
        assert (EarlyStopping(name)._sign < 0) is larger


# --------------------------------------------------------------------------------------- plateau
@pytest.mark.parametrize(
    ("options", "values", "rates"),
    [
        ({"patience": 2}, [5, 5, 5, 5, 5, 5], [1, 1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 2, "cooldown": 2}, [5] * 8, [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        ({"patience": 1, "min_lr": 0.3}, [5] * 5, [1, 1, 0.5, 0.3, 0.3]),
        ({"patience": 1, "min_delta": 1}, [5, 4.5, 3, 2.5, 2], [1, 1, 0.5, 0.5, 0.25]),
        ({"patience": 1, "mode": "max"}, [5, 6, 5, 7], [1, 1, 1, 0.5]),
        ({"patience": 1}, [5, None, 5, None, 5], [1, 1, 1, 0.5, 0.5]),
        ({"patience": 1}, [5, 4, 3, 2], None),
    ],
)
def test_plateau(options, values, rates):
    plateau = ReduceLROnPlateau("loss", factor=0.5, **options)
    history = fit(
        model_of(lr=1.0, optimizer=optimizers.SGD), Say(plateau, values), epochs=len(values), stop_on_nan=False
    )
    assert history.history.get("lr") == rates


def test_plateau_refuses_a_schedule():
    model = model_of(lr=CosineDecay(0.1, 50))
    with pytest.raises(ValueError, match="ReduceLROnPlateau needs a learning rate that is a number; it is CosineDecay"):
        fit(model, ReduceLROnPlateau("loss"))
    assert model.optimizer.iterations == 0


def test_learning_rate_scheduler():
    history = fit(model_of(lr=0.1), LearningRateScheduler(lambda epoch, lr: 0.1 / (1 + epoch)))
    assert history.history["lr"] == [0.1, 0.05, 0.1 / 3, 0.025]
    assert list(history.history) == ["loss", "lr"] or list(history.history) == ["lr", "loss"]
    for schedule in (lambda epoch: 0.5**epoch, lambda epoch, base=0.5: base**epoch, lambda *epoch: 0.5 ** epoch[0],
                     lambda epoch, learning_rate=None: learning_rate / (2 if epoch else 1)):  # fmt: skip
        assert fit(model_of(lr=1.0), LearningRateScheduler(schedule)).history.get("lr") == [1, 0.5, 0.25, 0.125]
    with pytest.raises(TypeError, match=r"schedule has the signature \(\); it must take 1 argument, or one more, lr"):
        LearningRateScheduler(lambda: 0.1)
    with pytest.raises(ValueError, match=r"the learning rate of epoch 0 is -1; it must be in \(0, inf\)"):
        fit(model_of(), LearningRateScheduler(lambda epoch, lr: -1))


# ----------------------------------------------------------------------------------------- files
@every_backend
def test_model_checkpoint(backend, tmp_path):
    model = model_of(backend)
    fit(model, ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.3f}.npz"), epochs=3, validation_split=0.2)
    losses = model.history.history["val_loss"]
    assert sorted(os.listdir(tmp_path)) == [f"{k + 1}-{loss:.3f}.npz" for k, loss in enumerate(losses)]
    assert_same_state(load_model(tmp_path / f"3-{losses[2]:.3f}.npz"), model)
    earlier, twin = load_model(tmp_path / f"2-{losses[1]:.3f}.npz"), model_of(backend)
    fit(twin, epochs=2, validation_split=0.2)
    assert_same_state(earlier, twin)


def test_model_checkpoint_of_the_best(tmp_path):
    save = ModelCheckpoint(tmp_path / "{epoch}.npz", "loss", save_best_only=True)
    fit(model_of(), Say(save, [3, 4, math.nan, 2, None, 2]), epochs=6)
    assert sorted(os.listdir(tmp_path)) == ["1.npz", "4.npz"]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_model_checkpoint_keeps_its_best(mode, tmp_path):
    """From call to call of fit, as Keras 3 does, and through a checkpoint of fit's."""
    sign = 1 if mode == "min" else -1
    save = ModelCheckpoint(tmp_path / "best.npz", "loss", save_best_only=True, mode=mode)
    model = model_of()

    def written(values, **options):
        if os.path.exists(tmp_path / "best.npz"):
            os.remove(tmp_path / "best.npz")
        fit(model, Say(save, [sign * value for value in values]), epochs=len(values), **options)
        return os.path.exists(tmp_path / "best.npz")

    assert written([3, 5]) and save.best == sign * 3
    assert not written([4, 3]) and save.best == sign * 3
    assert written([4, 2], checkpoint=tmp_path / "run.npz") and save.best == sign * 2
    # a new process has it from the file
    save, model = ModelCheckpoint(tmp_path / "best.npz", "loss", save_best_only=True, mode=mode), model_of()
    assert not written([9, 9, 2.5], checkpoint=tmp_path / "run.npz") and save.best == sign * 2
    # the others start anew
    for other in (EarlyStopping("loss", patience=9, mode=mode), ReduceLROnPlateau("loss", mode=mode)):
        for values in ([1, 2], [5, 6]):
            fit(model_of(), Say(other, [sign * value for value in values]), epochs=2)
            assert other.best == sign * values[0]


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    history = fit(model_of(lr=ExponentialDecay(0.1, 5, 0.5)), CSVLogger(path), validation_split=0.2, validation_freq=2)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0] == ["epoch", "loss", "val_loss", "lr"]
    for epoch, (number, loss, val_loss, lr) in enumerate(lines[1:]):
        assert int(number) == epoch and float(loss) == history.history["loss"][epoch]
        assert float(lr) == history.history["lr"][epoch]
        assert (val_loss == "") == math.isnan(history.history["val_loss"][epoch]) == (epoch % 2 == 0)
    fit(model_of(), CSVLogger(path, ";"), epochs=2)
    assert [line.split(";")[::2] for line in path.read_text().splitlines()] == [
        ["epoch", "lr"],
        ["0", "0.01"],
        ["1", "0.01"],
    ]
    fit(model_of(), CSVLogger(path, ";", append=True), epochs=1)
    assert [line[0] for line in path.read_text().splitlines()] == ["e", "0", "1", "0"]
    before = path.read_bytes()
    with pytest.raises(ValueError, match="has the columns 'epoch;loss;lr'; they must be"):
        fit(model_of(), CSVLogger(path, append=True))
    assert path.read_bytes() == before


@every_backend
def test_the_rate_in_a_csv_file_is_that_of_the_epoch(backend, tmp_path):
    path = tmp_path / "log.csv"
    plateau = ReduceLROnPlateau("loss", 0.5, 1, min_delta=10)
    for order in ([CSVLogger(path), plateau], [plateau, CSVLogger(path)]):
        history = fit(model_of(backend, lr=0.25), *order)
        assert [float(line.split(",")[-1]) for line in path.read_text().splitlines()[1:]] == history.history["lr"]


# --------------------------------------------------------------------------------------- history
def test_epochs_without_validation_are_nan_in_the_history(tmp_path):
    history = fit(model_of(), validation_data=(X, Y), validation_freq=3, epochs=7)
    assert [math.isnan(v) for v in history.history["val_loss"]] == [True, True, False, True, True, False, True]
    history.save(tmp_path / "h.json")
    assert repr(load_history(tmp_path / "h.json")) == repr(history.history)
    listed = fit(model_of(), validation_data=(X, Y), validation_freq=[3, 6, 100], epochs=7)
    assert repr(listed.history) == repr(history.history)
    assert "val_loss" not in fit(model_of(), validation_data=(X, Y), validation_freq=9).history


def test_plot():
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    history = fit(model_of(lr=CosineDecay(0.1, 20)), validation_data=(X, Y), validation_freq=2)
    axes = history.plot()
    assert [line.get_label() for line in axes.lines] == ["loss", "val_loss"]
    assert axes.lines[1].get_xdata().tolist() == [2, 4]
    rate = history.plot(metric="lr", ax=plt.subplots()[1])
    assert rate.lines[0].get_ydata().tolist() == history.history["lr"] and rate.get_ylabel() == "lr"
    with pytest.raises(ValueError, match="no value in the history 'accuracy'; there are"):
        history.plot(metric="accuracy")
    plt.close("all")
    assert History().plot().lines[:] == []
    plt.close("all")


# ------------------------------------------------------------------------------------------- fit
@every_backend
def test_validation_split_takes_the_last_rows(backend):
    model, apart = model_of(backend), model_of(backend)
    histories = [fit(model, validation_split=0.3)]
    histories.append(apart.fit(X[:49], Y[:49], 16, 4, seed=0, verbose=0, validation_data=(X[49:], Y[49:])))
    assert histories[0].history == histories[1].history
    assert_same_state(model, apart)
    with pytest.raises(ValueError, match=r"validation_split is 0\.2 and there are validation_data"):
        fit(model, validation_split=0.2, validation_data=(X, Y))


@every_backend
def test_batch_stochastic_and_mini_batch_descent(backend):
    for given, rows in ((None, 70), (1, 1), (7, 7)):
        model, replay = model_of(backend), model_of(backend)
        fit(model, batch_size=given, epochs=2, shuffle=False)
        for start in [*range(0, 70, rows)] * 2:
            replay.train_on_batch(X[start : start + rows], Y[start : start + rows])
        assert_same_state(model, replay)
        assert model.optimizer.iterations == 2 * 70 // rows


def test_initial_epoch():
    seen = []
    log = LambdaCallback(on_epoch_begin=seen.append)
    history = fit(model_of(), log, initial_epoch=3, epochs=5)
    assert history.epoch == seen == [3, 4] and len(history.history["loss"]) == 2
    assert fit(model_of(), initial_epoch=4, epochs=4).epoch == []


@pytest.mark.parametrize("without_tqdm", [False, True])
def test_progress_bar_with_an_initial_epoch(capsys, monkeypatch, without_tqdm):
    if without_tqdm:
        monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    else:
        pytest.importorskip("tqdm")
    fit(model_of(lr=CosineDecay(0.1, 50)), initial_epoch=1, epochs=2, verbose=1)
    shown = capsys.readouterr().err
    assert "epoch 2/2" in shown and "lr 0.0" in shown and (without_tqdm or "10/10" in shown)


def test_a_line_an_epoch(capsys):
    fit(model_of(lr=CosineDecay(0.1, 20)), epochs=2, verbose=2, validation_data=(X, Y))
    out, err = capsys.readouterr()
    assert err == ""
    line = r"epoch {}/2  \d+\.\d s  loss \d\.\d{{4}}  val_loss \d\.\d{{4}}  lr 0\.\d+"
    for number, text in enumerate(out.splitlines(), 1):
        assert re.fullmatch(line.format(number), text)
    assert number == 2


def test_numbers_of_any_size_fit_on_a_line(capsys):
    add = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(a=1e300, b=-2e-5, c=0, d=math.nan, e=-1234.5))
    fit(model_of(), add, epochs=1, verbose=2)
    assert capsys.readouterr().out.endswith("  a 1e+300  b -2e-05  c 0.0000  d nan  e -1234.5000\n")


def test_without_a_console(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    for verbose in (1, 2):
        fit(model_of(), epochs=1, verbose=verbose)
        model_of().evaluate(X, Y, verbose=verbose)


def test_verbose(capsys):
    for verbose in (1, True, "auto", np.int64(1)):
        fit(model_of(), epochs=1, verbose=verbose)
        out, err = capsys.readouterr()
        assert out == "" and "epoch 1/1" in err
    model, twin = model_of(), model_of()
    for verbose in (3, -1, None, "2", [1], 0.5):
        with pytest.raises(ValueError, match=rf"verbose is {re.escape(repr(verbose))}; it must be 0 \(nothing\), 1 or"):
            fit(model, verbose=verbose)
    assert_same_state(model, twin)


# ------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: EarlyStopping(patience=-1), ValueError, "patience is -1; it must be at least 0"),
        (lambda: EarlyStopping(min_delta=-1), ValueError, r"min_delta is -1; it must be in \[0, inf\)"),
        (lambda: EarlyStopping(mode="less"), ValueError, "no mode 'less'; there are auto, min, max"),
        (lambda: EarlyStopping(baseline="best"), TypeError, "baseline is 'best'; it must be a number"),
        (lambda: EarlyStopping(baseline=math.nan), ValueError, "baseline is nan"),
        (lambda: EarlyStopping(start_from_epoch=1.5), TypeError, "start_from_epoch is 1.5"),
        (lambda: ReduceLROnPlateau(factor=1), ValueError, r"factor is 1; it must be in \(0, 1\)"),
        (lambda: ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown is -1"),
        (lambda: ReduceLROnPlateau(min_lr=-1), ValueError, "min_lr is -1"),
        (lambda: LearningRateScheduler(0.1), TypeError, "schedule is 0.1; it must be a function"),
        (lambda: CSVLogger("log.csv", separator='"'), ValueError, "it must be one character, no quote and no end of"),
        (lambda: CSVLogger("log.csv", separator=", "), ValueError, "separator is ', '; it must be one character"),
        (lambda: ModelCheckpoint(5), TypeError, "filepath is 5; it must be text or a path-like object"),
        (lambda: ModelCheckpoint(b"{epoch}"), TypeError, "filepath is b'{epoch}'; it must be text or a path-like"),
        (lambda: CSVLogger(5), TypeError, "filename is 5; it must be a path"),
        (lambda: History().save(5), TypeError, "path is 5; it must be a path"),
        (lambda: load_model(5.0), TypeError, "path is 5.0; it must be a path"),
        (lambda: fit(model_of(), checkpoint=5), TypeError, "checkpoint is 5; it must be a path"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("callback", "error", "message"),
    [
        (EarlyStopping(), ValueError, "no value to monitor 'val_loss'; did you mean 'loss'.*There are loss"),
        (EarlyStopping("los"), ValueError, "no value to monitor 'los'; did you mean 'loss'"),
        (ReduceLROnPlateau("accuracy"), ValueError, "no value to monitor 'accuracy'"),
        (ModelCheckpoint("m.npz", save_best_only=True), ValueError, "no value to monitor 'val_loss'"),
        (ModelCheckpoint("nowhere/m.npz"), FileNotFoundError, "filepath is 'nowhere/m.npz'; there is no directory"),
        (ModelCheckpoint("{val_loss}.npz"), ValueError, "filepath is '{val_loss}.npz' .* it may name epoch, loss in"),
        (ModelCheckpoint("{epoch:x.npz"), ValueError, "filepath is '{epoch:x.npz'"),
        (CSVLogger("nowhere/log.csv"), FileNotFoundError, "filename is 'nowhere/log.csv'; there is no directory"),
    ],
)
def test_what_cannot_be_is_refused_before_training(callback, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, twin = model_of(), model_of()
    with pytest.raises(error, match=message):
        fit(model, callback)
    assert not os.listdir(tmp_path)
    assert_same_state(model, twin)


def test_a_function_for_a_rate_cannot_be_saved():
    model = model_of(lr=lambda step: 0.1)
    with pytest.raises(ValueError, match=r"lr is .*; a file holds numbers"):
        fit(model, ModelCheckpoint("m.npz"))
    assert model.optimizer.iterations == 0


@pytest.mark.parametrize("early", [False, True])
def test_every_callback_comes_to_its_end(early):
    """Whatever the others do; the first error is the one that comes out."""
    ended = []

    class Ends(Callback):
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def on_epoch_end(self, epoch, logs):
            if early and self.name == "b":
                raise KeyError("in the epoch")

        def on_train_end(self):
            ended.append(self.name)
            if self.error is not None:
                raise self.error

    hooks = [Ends("a", ValueError("a's")), Ends("b"), Ends("c", OSError("c's")), Ends("d")]
    with pytest.raises(KeyError if early else ValueError, match="in the epoch" if early else "a's"):
        fit(model_of(), *hooks)
    assert ended == ["a", "b", "c", "d"]


def test_a_refusal_of_a_callback_changes_nothing():
    """Neither the model, which need not be built before, nor its streams of random numbers."""

    class Refuses(Callback):
        def on_train_begin(self):
            raise ValueError("not I")

    model = Sequential([Dense(4), Dropout(0.5), Dense(3)])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="not I"):
        model.fit(X, Y, seed=1, verbose=0, callbacks=[Refuses()])
    assert model.layout is None and model.seed is None and model.fit_seed is None and model.history is None
    with pytest.raises(AttributeError, match="has no w yet"):
        _ = model.layers[0].w
    rng = np.random.default_rng(3)
    with pytest.raises(ValueError, match="not I"):
        model.fit(X, Y, seed=rng, verbose=0, callbacks=[Refuses()])
    assert rng.bit_generator.state == np.random.default_rng(3).bit_generator.state
    model.fit(X, Y, seed=2, verbose=0)
    losses = model.batch_losses
    before, history = model.snapshot(), model.history
    with pytest.raises(ValueError, match="not I"):
        model.fit(X, Y, seed=1, verbose=0, callbacks=[Refuses()])
    for name, array in model.snapshot().items():
        assert_same_bits(array, before[name], name)
    assert model.history is history and model.fit_seed == 2 and model.batch_losses is losses


def test_a_folder_that_is_read_only_is_told_before_training(tmp_path, monkeypatch):
    # root may write everywhere, but for file systems that nobody may write to
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    for callback, name in ((ModelCheckpoint(tmp_path / "m.npz"), "filepath"), (CSVLogger(tmp_path / "l"), "filename")):
        with pytest.raises(PermissionError, match=f"{name} is .*; .* is read-only"):
            fit(model_of(), callback)


def test_a_path_of_no_file_is_told_before_training(tmp_path):
    for options in ({"checkpoint": ""}, {"checkpoint": f"{tmp_path}/"}):
        model, twin = model_of(), model_of()
        with pytest.raises(ValueError, match=r"checkpoint is .*; it must be the name of a file"):
            fit(model, **options)
        assert_same_state(model, twin)


def test_a_file_that_is_a_folder_is_told_before_training(tmp_path):
    for callback, name in ((ModelCheckpoint(tmp_path), "filepath"), (CSVLogger(tmp_path), "filename")):
        model, twin = model_of(), model_of()
        with pytest.raises(ValueError, match=f"{name} is .*, which is not a regular file"):
            fit(model, callback)
        assert_same_state(model, twin)
