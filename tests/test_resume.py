"""An interrupted run goes on from its checkpoint and ends with the bits of one that was never interrupted."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
from _arrays import BACKENDS, SEED, assert_same_bits

from fastbp import (
    BatchNorm,
    Callback,
    Dense,
    Dropout,
    Flatten,
    RandomCrop,
    RandomFlip,
    RandomTranslation,
    Reshape,
    Sequential,
    checkpoint,
    load_model,
    optimizers,
)
from fastbp.callbacks import CSVLogger, EarlyStopping, LambdaCallback, ModelCheckpoint, ReduceLROnPlateau
from fastbp.io import FileFormatError, load_arrays, save_arrays
from fastbp.schedules import CosineDecayRestarts, ExponentialDecay, WarmUp

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
X = np.random.default_rng(0).normal(size=(70, 4)).astype("float32")
Y = np.random.default_rng(1).integers(3, size=70)


def model_of(backend="numpy", lr=0.05, optimizer=optimizers.Adam, units=6, hidden=list, **options):
    model = Sequential([Dense(units, activation="relu"), *hidden(), Dense(3)], input_shape=4, seed=0)
    model.compile(optimizer(lr=lr), "sparse_categorical_crossentropy", ["accuracy"], backend, **options)
    return model


def fit(model, path=None, callbacks=(), epochs=12, **options):
    options = {"batch_size": 16, "seed": 3, "verbose": 0, "validation_split": 0.3, **options}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, checkpoint=path, **options)


def assert_same_run(a, b):
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert_same_bits(x, y, "weights")
    one, other = a.optimizer.get_state(), b.optimizer.get_state()
    assert one.keys() == other.keys()
    for name in one:
        assert_same_bits(one[name], other[name], name)
    assert a.optimizer.lr == b.optimizer.lr and a.stop_training == b.stop_training
    assert a.history.epoch == b.history.epoch
    assert repr(a.history.history) == repr(b.history.history)


class Killed(BaseException):
    pass


def killing(epoch):
    """Return a callback that ends a run at the end of an epoch, before its checkpoint."""

    def kill(number, logs):
        if number == epoch:
            raise Killed

    return LambdaCallback(on_epoch_end=kill)


# ------------------------------------------------------------------------------------------ runs
RUNS = {
    "schedule": ({"lr": WarmUp(CosineDecayRestarts(0.1, 7), 5)}, lambda: [EarlyStopping(patience=50)], {}),
    "function": ({"lr": lambda step: 0.1 / (1 + step)}, list, {}),
    "early stop": ({"lr": 0.3}, lambda: [EarlyStopping(patience=2, restore_best_weights=True)], {}),
    "baseline": ({"lr": 0.3}, lambda: [EarlyStopping("loss", patience=3, baseline=0.01)], {}),
    "best weights": ({}, lambda: [EarlyStopping("loss", patience=50, restore_best_weights=True)], {}),
    "plateau": (
        {"optimizer": lambda lr: optimizers.SGD(lr, 0.9, True)},
        lambda: [ReduceLROnPlateau(factor=0.5, patience=2, min_delta=10, cooldown=2)], {},
    ),
    "averages": ({"optimizer": lambda lr: optimizers.ASGD(lr, t0=5)}, list, {}),
    "dampened": ({"optimizer": lambda lr: optimizers.SGD(lr, 0.9, dampening=0.5)}, list, {}),
    "rectified": ({"optimizer": optimizers.RAdam}, list, {}),
    "step sizes": ({"optimizer": optimizers.Rprop}, list, {}),
    "decay apart": ({"optimizer": lambda lr: optimizers.AMSGrad(lr, weight_decay=0.1, decay_biases=False)}, list, {}),
    "statistics and streams": ({"hidden": lambda: [BatchNorm(), Dropout(0.3), Dropout(0.3, seed=1)]}, list, {}),
    "images": (
        {"units": 12, "hidden": lambda: [
            Reshape((3, 2, 2)), RandomFlip(), RandomTranslation(0.4, 0.5), RandomCrop(2, 1, seed=1), Flatten(),
        ]}, list, {},
    ),
    "in order": ({}, list, {"shuffle": False, "validation_freq": 3}),
    "batch hooks": (
        {"lr": ExponentialDecay(0.1, 5, 0.9)},
        lambda: [LambdaCallback(on_train_batch_end=lambda batch, logs: None)], {},
    ),
}  # fmt: skip
EPOCHS = 12


@pytest.fixture
def every_epoch(monkeypatch):
    """Let every epoch be followed by a checkpoint, however short it is."""
    monkeypatch.setattr(checkpoint, "_SHARE", 1)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@every_backend
@pytest.mark.parametrize("run", RUNS)
def test_runs_interrupted_after_any_epoch(run, backend, tmp_path, every_epoch):
    options, callbacks, given = RUNS[run]
    whole = model_of(backend, **options)
    fit(whole, None, [*callbacks(), killing(-1)], **given)
    for epoch in range(EPOCHS):
        path = tmp_path / f"{epoch}.npz"
        interrupted, resumed = model_of(backend, **options), model_of(backend, **options)
        interrupted_by = pytest.raises(Killed) if epoch < len(whole.history.epoch) else _nothing()
        with interrupted_by:
            fit(interrupted, path, [*callbacks(), killing(epoch)], **given)
        if 0 < epoch < len(whole.history.epoch):
            assert load_arrays(path)[0]["training"]["done"] == epoch
        fit(resumed, path, [*callbacks(), killing(-1)], **given)
        assert_same_run(resumed, whole)
    # and a third time: nothing is left to do
    again = model_of(backend, **options)
    fit(again, path, [*callbacks(), killing(-1)], **given)
    assert_same_run(again, whole)
    assert again.batch_losses.size == 0


class _nothing:
    def __enter__(self):
        pass

    def __exit__(self, *error):
        pass


@every_backend
def test_the_same_model_goes_on(backend, tmp_path, every_epoch):
    """After Ctrl-C in a notebook the same call is made again, on a model that is further than the file."""
    whole, model = model_of(backend), model_of(backend)
    plateaus = [ReduceLROnPlateau("loss", 0.5, 1, min_delta=0.05) for _ in range(2)]
    fit(whole, None, [plateaus[0], killing(-1)])
    with pytest.raises(Killed):
        fit(model, tmp_path / "run.npz", [plateaus[1], killing(7)])
    assert model.optimizer.lr < 0.05
    fit(model, tmp_path / "run.npz", [plateaus[1], killing(-1)])
    assert_same_run(model, whole)


def test_more_epochs_go_on(tmp_path):
    whole, model = model_of(), model_of()
    fit(whole, epochs=9)
    fit(model, tmp_path / "run.npz", epochs=4)
    fit(model, tmp_path / "run.npz", epochs=9)
    assert_same_run(model, whole)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"])
def test_every_bit_generator(kind, tmp_path, every_epoch):
    """The caller's generator goes on too."""
    make = lambda: np.random.Generator(getattr(np.random, kind)(5))  # noqa: E731
    rngs = [make() for _ in range(3)]
    whole, cut, resumed = (model_of() for _ in range(3))
    fit(whole, seed=rngs[0])
    with pytest.raises(Killed):
        fit(cut, tmp_path / "run.npz", [killing(5)], seed=rngs[1])
    with pytest.raises(ValueError, match="callbacks"):
        fit(resumed, tmp_path / "run.npz", seed=rngs[2])
    fit(resumed, tmp_path / "run.npz", [killing(-1)], seed=rngs[2])
    assert_same_run(resumed, whole)
    assert rngs[0].integers(1 << 60, size=9).tolist() == rngs[2].integers(1 << 60, size=9).tolist()


def test_an_unseeded_run_keeps_its_shuffles(tmp_path, every_epoch):
    model, twin = model_of(), model_of()
    with pytest.raises(Killed):
        fit(model, tmp_path / "a.npz", [killing(3)], seed=None)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npz").read_bytes())
    for m, name in ((model, "a.npz"), (twin, "b.npz")):
        fit(m, tmp_path / name, [killing(-1)], seed=None)
    assert_same_run(model, twin)


def test_other_callbacks_of_the_run(tmp_path, every_epoch):
    class Count(Callback):
        def on_train_begin(self):
            self.epochs = 0

        def on_epoch_end(self, epoch, logs):
            self.epochs += 1

        def get_state(self):
            return {"epochs": self.epochs}

        def set_state(self, state):
            self.epochs = state["epochs"]

    def callbacks(folder, epoch):
        (tmp_path / folder).mkdir(exist_ok=True)
        best = ModelCheckpoint(tmp_path / folder / "best-{epoch}.npz", save_best_only=True)
        return [CSVLogger(tmp_path / folder / "log.csv"), best, Count(), killing(epoch)]

    def files(folder):
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    fit(model_of(lr=0.2), None, callbacks("whole", -1))
    model = model_of(lr=0.2)
    for epoch in (4, 5, 9):
        with pytest.raises(Killed):
            fit(model, tmp_path / "run.npz", callbacks("cut", epoch))
    with open(tmp_path / "cut" / "log.csv", "ab") as file:
        file.write(b"99,a line that")
    last = callbacks("cut", -1)
    fit(model, tmp_path / "run.npz", last)
    assert files("cut") == files("whole") and last[2].epochs == EPOCHS


# ------------------------------------------------------------------------------------------ kill
SCRIPT = """
import sys, time
import numpy as np
from fastbp import Dense, Sequential, optimizers
from fastbp.callbacks import CSVLogger, EarlyStopping, LambdaCallback, ReduceLROnPlateau
from fastbp.schedules import CosineDecayRestarts, WarmUp

folder, kind, numerics = sys.argv[1:]
rng = np.random.default_rng(0)
x = rng.normal(size=(500, 8)).astype("float32")
y = ((x @ rng.normal(size=(8, 3)) + rng.normal(size=(500, 3))).argmax(axis=1))
model = Sequential([Dense(24, activation="tanh"), Dense(3)], seed=1)
lr = WarmUp(CosineDecayRestarts(0.02, 300), 100) if kind == "schedule" else 0.02
model.compile(optimizers.Adam(lr=lr), "sparse_categorical_crossentropy", ["accuracy"], numerics=numerics)
callbacks = [
    CSVLogger(f"{folder}/log.csv"),
    EarlyStopping(patience=70, restore_best_weights=True),
    LambdaCallback(on_epoch_end=lambda epoch, logs: time.sleep(0.004)),
    *([ReduceLROnPlateau("loss", 0.7, 5, min_delta=0.01)] if kind == "plateau" else []),
]
print("ready", flush=True)
model.fit(x, y, 32, epochs=400, seed=2, verbose=0, validation_split=0.2, callbacks=callbacks,
          checkpoint=f"{folder}/run.npz")
model.save(f"{folder}/model.npz")
model.history.save(f"{folder}/history.json")
print("stopped", callbacks[1].stopped_epoch)
"""


def start(folder, *arguments):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, str(folder), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_run(folder, kind, numerics, rng, most):
    """Kill a run at random moments, at most so often, and let it end; return the number of kills and what it says."""
    file, kills = folder / "run.npz", 0
    while kills < most:
        process = start(folder, kind, numerics)
        assert process.stdout.readline() == "ready\n"
        before = modified(file)
        # most go on to the next checkpoint, so that the run gets somewhere
        while rng.random() < 0.9 and modified(file) == before and process.poll() is None:
            time.sleep(0.001)
        # within an epoch, a callback, a write of the file
        time.sleep(rng.random() * 0.12)
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        if process.wait() == 0:
            break
        kills += 1
    process = start(folder, kind, numerics)
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    return kills, said


KINDS = (("schedule", "numpy"), ("plateau", "portable"), ("schedule", "portable"))
RESULTS = ("model.npz", "history.json", "log.csv")


def kills(count, seed):
    """Kill runs so often, a third of each kind; return the counts and the faults."""
    counts, faults, rng = {}, [], random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        for kind, numerics in KINDS:
            name = f"{kind} {numerics}"
            whole, done, runs, wrong = pathlib.Path(place, name), 0, 0, 0
            _, want = killed_run(whole, kind, numerics, rng, 0)
            while done < count / len(KINDS):
                cut = pathlib.Path(place, f"{name} {runs}")
                try:
                    times, said = killed_run(cut, kind, numerics, rng, 12)
                    differ = [file for file in RESULTS if (cut / file).read_bytes() != (whole / file).read_bytes()]
                    problem = f"{', '.join(differ)} differ" if differ else "" if said == want else f"it said {said!r}"
                except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                    times, problem = 1, f"{type(error).__name__}: {error}"
                faults += [f"{name}, run {runs}: {problem}"] if problem else []
                done, runs, wrong = done + times, runs + 1, wrong + bool(problem)
                shutil.rmtree(cut)
            counts[name] = {"kills": done, "runs": runs, "damaged": wrong}
    return counts, faults


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize(("kind", "numerics"), KINDS)
def test_killed_at_random_times(kind, numerics, tmp_path):
    rng = random.Random(f"{SEED} {kind} {numerics}")
    _, want = killed_run(tmp_path / "whole", kind, numerics, rng, 0)
    assert 70 < int(want.split()[-1]) < 399, want
    times, said = killed_run(tmp_path / "cut", kind, numerics, rng, 6)
    assert said == want and times >= 3
    for name in RESULTS:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    ends = [load_model(tmp_path / "cut" / name).optimizer.iterations for name in ("run.npz", "model.npz")]
    assert ends[0] == ends[1]


def modified(path: pathlib.Path):
    return path.stat().st_mtime_ns if path.exists() else 0


# ----------------------------------------------------------------------------------------- files
def test_a_checkpoint_is_a_model(tmp_path):
    model = model_of(lr=ExponentialDecay(0.1, 5, 0.9))
    fit(model, tmp_path / "run.npz")
    loaded = load_model(tmp_path / "run.npz")
    for got, want in zip(loaded.get_weights(), model.get_weights(), strict=True):
        assert_same_bits(got, want)
    assert loaded.optimizer.iterations == model.optimizer.iterations and repr(loaded.optimizer) == repr(model.optimizer)
    fit(model_of(lr=lambda step: 0.1), tmp_path / "function.npz")
    with pytest.raises(FileFormatError, match="lr is None"):
        load_model(tmp_path / "function.npz")


def test_writing_takes_a_small_part_of_the_time(tmp_path):
    written = []
    note = LambdaCallback(on_epoch_begin=lambda epoch: written.append(modified(tmp_path / "run.npz")))
    fit(model_of(("numpy", *BACKENDS)[-1]), tmp_path / "run.npz", [note], epochs=400)
    assert written[0] == 0 < written[1] and len(set(written)) < 100
    assert load_model(tmp_path / "run.npz").optimizer.iterations == 400 * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 8}, r"batch_size is 16; here it is 8\. Remove the file"),
        ({"shuffle": False}, "shuffle is True; here it is False"),
        ({"validation_split": 0.2}, "rows is 49; here it is 56"),
        ({"initial_epoch": 1}, "initial_epoch is 0; here it is 1"),
        ({"callbacks": [EarlyStopping()]}, r"callbacks is \['History'\]; here it is \['History', 'EarlyStopping'\]"),
        ({"validation_split": 0, "validation_data": (X, Y)}, "rows is 49; here it is 70"),
        ({"seed": np.random.Generator(np.random.MT19937(0))}, "bit generator is 'PCG64'; here it is 'MT19937'"),
        ({"units": 7}, "layers is"),
        ({"dtype": "float64"}, "dtype is 'float32'; here it is 'float64'"),
        ({"numerics": "portable"}, "numerics is 'numpy'; here it is 'portable'"),
        ({"optimizer": optimizers.SGD}, r"optimizer is \['Adam'"),
        ({"lr": ExponentialDecay(0.1, 5, 0.9)}, r"lr is 0\.05; here it is \['ExponentialDecay'"),
        ({"lr": lambda step: 0.1}, r"lr is 0\.05; here it is None"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(change, message, tmp_path):
    path = tmp_path / "run.npz"
    fit(model_of(), path, epochs=2)
    before = path.read_bytes()
    of_model = {k: v for k, v in change.items() if k in ("units", "dtype", "numerics", "optimizer", "lr")}
    model, twin = model_of(**of_model), model_of(**of_model)
    with pytest.raises(ValueError, match=f"run.npz', of a run whose {message}"):
        fit(model, path, **{k: v for k, v in change.items() if k not in of_model})
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(got, want)
    assert model.optimizer.iterations == 0 and path.read_bytes() == before


def test_what_is_no_checkpoint_is_refused(tmp_path):
    model = model_of()
    model.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match=r"m\.npz', which is a model and no checkpoint"):
        fit(model, tmp_path / "m.npz")
    (tmp_path / "text").write_text("PK not a zip")
    with pytest.raises(FileFormatError, match="text"):
        fit(model, tmp_path / "text")
    with pytest.raises(FileNotFoundError, match=r"checkpoint is .*nowhere.run\.npz'; there is no directory"):
        fit(model, tmp_path / "nowhere" / "run.npz")
    with pytest.raises(TypeError):
        fit(model, 5)
    assert model.optimizer.iterations == 0


HOSTILE = {
    "epoch before the first": lambda t, a: t.update(done=-5),
    "half an epoch": lambda t, a: t.update(done=1.7),
    "stopped as text": lambda t, a: t.update(stopped="no"),
    "negative first rate": lambda t, a: t.update(first_lr=-1.0),
    "negative seed": lambda t, a: t.update(seed=-4),
    "history of two dimensions": lambda t, a: a.update({"training/0/epoch": np.zeros((2, 2), int)}),
    "history without losses": lambda t, a: t["states"][0]["names"].__setitem__(0, "lass"),
    "history without a name": lambda t, a: t["states"][0]["names"].pop(),
    "history without values": lambda t, a: a.pop("training/0/values"),
    "no history": lambda t, a: a.pop("training/0/epoch"),
    "one state too few": lambda t, a: t.update(states=[]),
    "seed as text": lambda t, a: t.update(seed="x"),
    "setup as a list": lambda t, a: t.update(setup=[]),
    "no epoch": lambda t, a: t.pop("done"),
    "epoch as text": lambda t, a: t.update(done="three"),
    "no states": lambda t, a: t.update(states=None),
    "states of numbers": lambda t, a: t.update(states=[1]),
    "no generator": lambda t, a: t.update(generator=None),
    "generator of another kind": lambda t, a: t["generator"].update(bit_generator="MT19937"),
    "generator without a state": lambda t, a: t["generator"].pop("state"),
    "negative rate": lambda t, a: t.update(lr=-1.0),
    "rate as text": lambda t, a: t.update(lr="fast"),
    "unknown schedule": lambda t, a: t.update(lr=["Sudden", {}]),
    "no optimizer state": lambda t, a: a.pop("optimizer.m"),
    "optimizer state too short": lambda t, a: a.update({"optimizer.m": a["optimizer.m"][1:]}),
    "parameters too short": lambda t, a: a.update(parameters=a["parameters"][1:]),
    "array of no callback": lambda t, a: a.update({"training/9/best": a["parameters"]}),
    "array without a number": lambda t, a: a.update({"training/x/best": a["parameters"]}),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_checkpoints_are_refused(case, tmp_path):
    path = tmp_path / "run.npz"
    fit(model_of(), path, epochs=2)
    config, arrays = load_arrays(path)
    HOSTILE[case](config["training"], arrays)
    save_arrays(path, config, arrays)
    model, twin, rng, fresh = model_of(), model_of(), np.random.default_rng(3), np.random.default_rng(3)
    with pytest.raises(FileFormatError, match=r"run\.npz: not a checkpoint"):
        fit(model, path, seed=rng)
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(got, want)
    assert model.optimizer.iterations == 0 and model.optimizer.lr == 0.05
    assert rng.bit_generator.state == fresh.bit_generator.state


def test_a_function_that_replaces_the_rate_cannot_be_held(tmp_path):
    def replace(epoch):
        model.optimizer.lr = lambda step: 0.1

    model = model_of()
    with pytest.raises(ValueError, match=r"the learning rate became .* which a checkpoint cannot hold"):
        fit(model, tmp_path / "run.npz", [LambdaCallback(on_epoch_begin=replace)])


class Fragile(Callback):
    """Has a state that it does not take back."""

    def get_state(self):
        return {"value": 1}

    def set_state(self, state):
        raise {"key": KeyError("gone"), "attribute": AttributeError("no such")}[self.how]


@pytest.mark.parametrize("how", ["key", "attribute"])
def test_callback_states_are_taken_before_anything_changes(how, tmp_path):
    path, callback = tmp_path / "run.npz", Fragile()
    callback.how = how
    fit(model_of(), path, [callback], epochs=2)
    model, rng = model_of(), np.random.default_rng(3)
    model.fit(X, Y, seed=4, verbose=0)
    before, state, lr = model.snapshot(), model.optimizer.get_state(), model.optimizer.lr
    with pytest.raises(FileFormatError, match=r"run\.npz: not a checkpoint"):
        fit(model, path, [callback], epochs=3, seed=rng)
    for name, array in model.snapshot().items():
        assert_same_bits(array, before[name], name)
    for name, array in model.optimizer.get_state().items():
        assert_same_bits(array, state[name], name)
    assert model.optimizer.lr == lr and rng.bit_generator.state == np.random.default_rng(3).bit_generator.state


def test_a_refused_checkpoint_leaves_streams_and_an_unbuilt_model(tmp_path):
    def make(units, **options):
        model = Sequential([Dense(units), Dropout(0.5), Dense(3)], **options)
        model.compile("adam", "sparse_categorical_crossentropy")
        return model

    path = tmp_path / "run.npz"
    make(9).fit(X, Y, verbose=0, checkpoint=path)
    model, unbuilt = make(8, input_shape=4, seed=0), make(8)
    before = model.snapshot()
    for m in (model, unbuilt):
        with pytest.raises(ValueError, match="of a run whose layers is"):
            m.fit(X, Y, seed=5, verbose=0, checkpoint=path)
    for name, array in model.snapshot().items():
        assert_same_bits(array, before[name], name)
    assert unbuilt.layout is None and unbuilt.seed is None


@pytest.mark.parametrize(
    "change", [lambda a: a.pop("training/1/weights/0"), lambda a: a.update({"training/1/weights/0": X})]
)
def test_best_weights_that_do_not_fit_are_refused(change, tmp_path):
    path, stop = tmp_path / "run.npz", lambda: EarlyStopping("loss", patience=9, restore_best_weights=True)
    fit(model_of(), path, [stop()], epochs=2)
    config, arrays = load_arrays(path)
    change(arrays)
    save_arrays(path, config, arrays)
    model, twin = model_of(), model_of()
    with pytest.raises(FileFormatError, match="the best weights do not fit the model"):
        fit(model, path, [stop()], epochs=3)
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize(
    ("callback", "state"),
    [
        (EarlyStopping("loss"), {"best": np.array(1.0), "wait": "x", "best_epoch": 0, "stopped_epoch": None}),
        (EarlyStopping("loss"), {"best": np.array(1.0), "wait": -1, "best_epoch": 0, "stopped_epoch": None}),
        (EarlyStopping("loss"), {"best": np.array(1.0), "wait": 0, "best_epoch": [1], "stopped_epoch": None}),
        (ReduceLROnPlateau("loss"), {"best": np.array(1.0), "wait": 0, "rest": "x"}),
        (CSVLogger("log.csv"), {"end": -1}),
        (CSVLogger("log.csv"), {"end": None}),
    ],
)
def test_states_of_the_wrong_kind_are_refused(callback, state):
    with pytest.raises((TypeError, ValueError), match="; it must be"):
        callback.set_state(state)
