"""Damaged files and wrong calls: refused with a clear error, or taken for what they are; the model is as it was.

`run` counts; trials run in processes of their own, so that a crash or a hang is counted too.
"""

import copy
import hashlib
import inspect
import io as memory
import json
import os
import random
import re
import resource
import signal
import subprocess
import tempfile
import traceback
import warnings
from contextlib import contextmanager, redirect_stdout

import numpy as np
from _arrays import BACKENDS
from test_io import damaged_bytes
from test_runner import data_of, script

import fastbp
from fastbp import BatchNorm, Conv2D, Dense, Dropout, Flatten, Reshape, io, kernels, losses, metrics, optimizers
from fastbp.kernels.table import KERNELS

X, Y = data_of(40)
HOT = np.eye(3, dtype="float32")[Y]
#: What constructors need.
SOUND = {
    "units": 3, "activation": "relu", "rate": 0.5, "stddev": 0.1, "input_dim": 3, "output_dim": 2, "value": 1.0,
    "lr": 0.1, "max_lr": 0.1, "decay_steps": 10, "first_decay_steps": 10, "total_steps": 10, "step_size": 5,
    "milestones": [3, 5], "decay_rate": 0.9, "warmup_steps": 3, "schedule": fastbp.schedules.Constant(0.1),
    "filename": "log.csv", "filepath": "best.npz", "target_shape": (4, 2), "divisor": 2.0, "factor": 2.0, "offset": 1.0,
    "axes": 1, "dims": (2, 1), "n": 3, "boundaries": [3, 5], "values": [0.3, 0.2, 0.1], "delay_steps": 3,
    "schedules": [0.3, 0.2, 0.1], "scale": 0.5, "height": 2, "width": 3, "height_factor": 0.1,
    "width_factor": (-0.1, 0.2), "filters": 4, "kernel_size": 3,
}  # fmt: skip
#: How a wrong call is refused; others (AttributeError, IndexError, ...) are accidents.
REFUSALS = (
    ValueError,
    TypeError,
    RuntimeError,
    OverflowError,
    MemoryError,
    OSError,
    FloatingPointError,
    NotImplementedError,
)
#: Trials in one process; seconds that one may take (a wrong call may ask for much); memory.
PART, PATIENCE, MEMORY = 250, 5, 4 << 30


class Late(BaseException):
    """Raised in a trial that takes too long."""


class Changed(Exception):
    """A refusal that was none."""


@contextmanager
def limited():
    """Give a trial its time."""

    def late(*_):
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def odd(rng):
    """Return a value that hardly any argument and no field of a file should have."""
    return rng.choice((
        None, True, False, -1, 0, 1, 2.5, 1e39, -1e300, float("nan"), float("inf"), 2**31, 2**63, -(2**70), "",
        "no such", "adam", "é" * 9, b"bytes", [], [1, 2], [[]], [None], {}, {"a": 1}, {1: 2}, (), (3,), (-1, 2), {1},
        range(3), 1j, object(), int, len, lambda *arguments: None, iter([1]), np.float32(3), np.int64(-2),
        np.array(3), np.array([]), np.zeros((0, 8)), np.full((40, 8), np.nan), np.ones((40, 7)), np.ones((3, 40, 8)),
        np.ones(40), np.arange(40), np.full(40, 3), np.full(40, -1), np.ones((40, 8), complex), np.array(["a"] * 40),
        np.array([None, 1], object), np.zeros(40, "M8[s]"), np.ones((40, 8))[:, ::-1],
        np.ma.masked_array(np.ones((40, 8)), True), np.random.default_rng(0), np.float64, "float16", "float64",
        memoryview(b"ab"), losses.MeanSquaredError(), optimizers.SGD(), Dense(2), fastbp.Sequential(), ...,
    ))  # fmt: skip


def plain(rng):
    """Return an odd value that JSON can hold."""
    while True:
        value = odd(rng)
        if isinstance(value, (type(None), bool, int, str, list, dict)) or type(value) is float:
            try:
                io._dumps(value, "value")
            except (TypeError, ValueError):
                continue
            return copy.deepcopy(value)


def mutated(tree, rng):
    """Change one place of a tree of lists and dictionaries: another value, none, or one too many."""
    places = []

    def walk(node):
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                walk(node[key])

    walk(tree)
    if not places:
        return
    node, key = rng.choice(places)
    what = rng.random()
    if what < 0.2:
        del node[key]
    elif what < 0.3:
        node.update({"unknown": plain(rng)}) if isinstance(node, dict) else node.insert(key, plain(rng))
    elif what < 0.4 and isinstance(node[key], (int, float)) and not isinstance(node[key], bool):
        node[key] = rng.choice((-node[key], node[key] + 1, float(node[key]), str(node[key])))
    else:
        node[key] = plain(rng)


def mutated_arrays(arrays, rng):
    """Change one array: none, another name, dtype, shape, or values that are not finite."""
    name = rng.choice(list(arrays))
    array = arrays.pop(name)
    what = rng.randrange(6)
    if what == 1:
        arrays[rng.choice(("unknown", "training/0/best", "training/x/y", name + "s", "optimizer.v"))] = array
    elif what == 2:
        arrays[name] = array.astype(rng.choice(("f4", "f8", "i8", "u1", "?")))
    elif what == 3:
        arrays[name] = array.reshape(-1)[: rng.randrange(array.size + 1)]
    elif what == 4:
        arrays[name] = array[None]
    elif what == 5:
        value = rng.choice((np.nan, np.inf, -1)) if array.dtype.kind == "f" else -1
        arrays[name] = np.full_like(array, np.array(value).astype(array.dtype))


# ------------------------------------------------------------------------------------------ files
def fresh():
    """Return a compiled model that has every kind of state."""
    images = [Reshape((2, 4, 1)), Conv2D(2, (2, 3), (1, 2), "same", "tanh"), Flatten()]
    model = fastbp.Sequential([*images, BatchNorm(), Dropout(0.2), Dense(3)], input_shape=8, seed=0)
    model.compile(
        "adam", "sparse_categorical_crossentropy", ["accuracy"], backend=BACKENDS[-1] if BACKENDS else "numpy"
    )
    return model


def fitted(model, path=None):
    """Fit a model, with that checkpoint; return it."""
    callbacks = [fastbp.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True)]
    model.fit(X, Y, batch_size=16, epochs=2, seed=0, verbose=0, callbacks=callbacks, checkpoint=path)
    return model


def everything(model):
    """Return all that a refused call must leave alone: what a file would hold."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.npz")
        try:
            model.save(path)
        except ValueError as error:
            # of a learning rate that is a function
            return str(error), [w.tobytes() for w in model.get_weights()]
        with open(path, "rb") as file:
            return file.read()


class Files:
    """Sound files of each kind, damaged ones made of them, and what reads them."""

    def __init__(self, folder):
        self.sound = {name: os.path.join(folder, name) for name in ("model", "checkpoint", "history")}
        self.path = os.path.join(folder, "damaged")
        model = fitted(fresh(), self.sound["checkpoint"])
        model.save(self.sound["model"])
        model.history.save(self.sound["history"])
        self.want = {name: self.read(name, path) for name, path in self.sound.items()}

    def damage(self, name, rng):
        """Write a file with other bytes than the sound one."""
        with open(self.sound[name], "rb") as file:
            data = damaged_bytes(file.read(), rng)
        with open(self.path, "wb") as file:
            file.write(data)

    def reseal(self, name, rng):
        """Write a file of wrong content with the right hash of that."""
        history = name == "history"
        tree, arrays = (io.load_history(self.sound[name]), {}) if history else io.load_arrays(self.sound[name])
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            if arrays and rng.random() < 0.3:
                mutated_arrays(arrays, rng)
            else:
                mutated(tree, rng)
        if history:
            io.save_json(self.path, io._sealed(io.HISTORY_FORMAT, "history", tree, hashlib.sha256()))
        else:
            io.save_arrays(self.path, tree, arrays)

    def read(self, name, path):
        """Return what a file holds, in the model's own terms."""
        if name == "history":
            return io.load_history(path)
        if name == "model":
            model = fastbp.load_model(path)
            model.predict(X)
            return everything(model)
        model = fresh()
        before = everything(model)
        try:
            return everything(fitted(model, path))
        except Exception as error:
            if everything(model) != before:
                raise Changed(f"refused ({told(error)}), but the model has changed") from error
            raise

    def trial(self, kind, name, rng):
        """Return what is wrong with how a file is read, or None."""
        getattr(self, kind)(name, rng)
        try:
            found = self.read(name, self.path)
        except io.FileFormatError:
            return None
        except ValueError as error:
            # the checkpoint of another run is no wrong file
            return None if name == "checkpoint" and str(error).startswith("checkpoint is ") else told(error)
        except Exception as error:
            return told(error)
        return "damaged, and taken for another" if kind == "damage" and found != self.want[name] else None


def files(count, seed):
    """Read some files of each kind and damage; return the faults, how many trials took too long, and 0."""
    rng, faults, late = random.Random(seed), [], 0
    with tempfile.TemporaryDirectory() as folder:
        every = Files(folder)
        for _ in range(count):
            kind, name = rng.choice(("damage", "reseal")), rng.choice(list(every.sound))
            try:
                with limited():
                    wrong = every.trial(kind, name, rng)
            except Late:
                late += 1
                continue
            faults += [f"{kind} {name}: {wrong}"] if wrong else []
    return faults, late, 0


def told(error):
    """Return an error that is none of the clear ones as text, with the line that led to it."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:200]} ({os.path.basename(place.filename)}: {place.line})"


# ------------------------------------------------------------------------------------------ calls
def wrong_calls():
    """Return sound calls: a name, a function of a model and keyword arguments, and these."""
    shaped = {"x": X, "y": Y}
    tensor = fastbp.Input(4)
    calls = [
        ("Input", lambda m, **k: fastbp.Input(**k), {"shape": 4, "dtype": "int64", "name": "x"}),
        ("Model", lambda m, **k: fastbp.Model(**k), {
            "inputs": tensor, "outputs": Dense(2)(tensor), "seed": 0, "name": "model",
        }),
        ("a layer", lambda m, inputs: Dense(2)(inputs), {"inputs": tensor}),
        ("Add", lambda m, inputs: fastbp.layers.Add()(inputs), {"inputs": [tensor, tensor]}),
        ("Sequential", lambda m, **k: fastbp.Sequential(**k), {
            "layers": [Dense(2)], "input_shape": 4, "seed": 0,
        }),
        ("compile", lambda m, **k: m.compile(**k), {
            "optimizer": "adam", "loss": "mse", "metrics": [], "backend": "numpy", "dtype": "float32",
            "numerics": "numpy",
        }),
        ("fit", lambda m, **k: m.fit(**k), {
            **shaped, "batch_size": 16, "epochs": 1, "shuffle": True, "seed": 0, "verbose": 0, "callbacks": [],
            "validation_data": (X, Y), "validation_freq": 1, "sample_weight": np.ones(40), "class_weight": None,
            "initial_epoch": 0, "checkpoint": None, "stop_on_nan": True,
        }),
        ("fit, split", lambda m, **k: m.fit(verbose=0, **shaped, **k), {
            "validation_split": 0.3, "class_weight": {0: 2.0},
        }),
        ("predict", lambda m, **k: m.predict(**k), {"x": X, "batch_size": 16}),
        ("evaluate", lambda m, **k: m.evaluate(**k), {**shaped, "batch_size": 16, "sample_weight": np.ones(40)}),
        ("train_on_batch", lambda m, **k: m.train_on_batch(**k), {**shaped, "sample_weight": np.ones(40)}),
        ("forward", lambda m, **k: m.forward(**k), {"x": X, "training": True}),
        ("input_gradient", lambda m, **k: m.input_gradient(**k), {
            **shaped, "sample_weight": np.ones(40), "training": False,
        }),
        ("input_gradient, dy", lambda m, **k: m.input_gradient(**k), {"x": X, "dy": np.ones((40, 6))}),
        ("row_gradients", lambda m, **k: m.row_gradients(**k), shaped),
        ("set_weights", lambda m, **k: m.set_weights(**k), {"weights": [np.ones((8, 6)), np.ones(6)]}),
        ("save", lambda m, **k: m.save(**k), {"path": "model.npz"}),
        ("load_model", lambda m, **k: fastbp.load_model(**k), {"path": "model.npz"}),
        ("lr", lambda m, lr: setattr(m.optimizer, "lr", lr), {"lr": 0.1}),
        ("blame", lambda m, **k: fastbp.blame(m, **k), shaped),
        ("gradient_check", lambda m, **k: fastbp.gradient_check(m, **k), {"x": X[:4], "y": Y[:4]}),
        ("train_test_split", lambda m, **k: fastbp.datasets.train_test_split(**k), {
            **shaped, "test_size": 0.2, "seed": 0, "stratify": None,
        }),
        ("set_num_threads", lambda m, **k: fastbp.set_num_threads(**k), {"n": 1}),
    ]  # fmt: skip
    for place in (fastbp.layers, losses, optimizers, fastbp.schedules, fastbp.initializers, fastbp.callbacks,
                  fastbp.regularizers, fastbp.constraints):  # fmt: skip
        for name in sorted(set(place.__all__) - {"CustomLayer", "CustomLoss", "JointLoss", "ParameterSpec"}):
            made = getattr(place, name)
            parameters = inspect.signature(made).parameters if inspect.isclass(made) else ()
            names = [p for p in parameters if parameters[p].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
            if names:
                needed = {p: SOUND[p] for p in names if parameters[p].default is inspect.Parameter.empty}
                calls.append((name, lambda m, made=made, **k: made(**k), {**dict.fromkeys(names), **needed}))
    for name in (
        "relu_forward",
        "softmax_forward",
        "matmul_nn",
        "mean_squared_error_forward",
        "adam_advance",
        "gather",
        "convolve",
        "max_pool",
    ):
        inputs = {o.name: np.ones((3,) * max(len(o.dims), 1)) for o in KERNELS[name].inputs}
        # larger ones make no larger array
        inputs |= {k: v for k, v in KERNELS[name].attributes.items() if k.startswith(("stride", "dilation", "groups"))}

        def positional(m, name=name, names=tuple(o.name for o in KERNELS[name].inputs), **given):
            return getattr(kernels, name)(*[given.pop(n) for n in names], **given)

        calls.append((name, positional, {**inputs, "out": None, "backend": "numpy", "numerics": "numpy"}))
    for name in metrics.__all__:
        if name.endswith(("_score", "_error", "_matrix")):
            score = getattr(metrics, name)
            arguments = {k: Y for k in list(inspect.signature(score).parameters)[:2]}
            calls.append((name, lambda m, score=score, **k: score(**k), arguments))
    return calls


def calls(count, seed):
    """Make some sound calls with one or two odd arguments.

    Returns the faults, how many took too long, and how many were refused by an error that names no argument.
    """
    rng, faults, late, unclear, sound = random.Random(seed), [], 0, 0, wrong_calls()
    model = fitted(fresh())
    before = everything(model)
    for _ in range(count):
        name, function, arguments = rng.choice(sound)
        changed = rng.sample(list(arguments), min(len(arguments), rng.choice((1, 1, 2))))
        values = {k: odd(rng) for k in changed}
        given = {k: v for k, v in {**arguments, **values}.items() if v is not None or k in values}
        text = f"{name}({', '.join(f'{k}={v!r:.40}' for k, v in values.items())})"
        try:
            with limited(), warnings.catch_warnings(), redirect_stdout(memory.StringIO()):
                warnings.simplefilter("ignore")
                function(model, **given)
        except Late:
            late += 1
        except REFUSALS as error:
            # an error of Python's own says nothing of the argument
            unclear += not set(changed) & set(re.findall(r"\w+", str(error)))
            if everything(model) != before:
                faults.append(f"{text}: refused ({error}), but the model has changed")
        except Exception as error:
            # one that says what must be is meant
            if " must " not in str(error):
                faults.append(f"{text}: {told(error)}")
        if everything(model) != before:
            model = fitted(fresh())
            before = everything(model)
    return faults, late, unclear


def child(kind, count, seed):
    """Run one part in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with np.errstate(all="ignore"):
            found = {"files": files, "calls": calls}[kind](count, seed)
        os.chdir("/")
    print(json.dumps(found))


def run(count, seed):
    """Read `count` damaged files and make as many wrong calls; return the counts and the faults."""
    counts, faults, numbers = {}, [], random.Random(seed)
    for kind in ("files", "calls"):
        found = counts[kind] = {"trials": count, "faults": 0, "too long": 0, "unclear": 0}
        for start in range(0, count, PART):
            arguments = (kind, min(PART, count - start), numbers.getrandbits(64))
            try:
                printed = script(f"import _fuzz; _fuzz.child(*{arguments!r})", timeout=60 + PATIENCE * PART)
                wrong, late, unclear = json.loads(printed.splitlines()[-1])
            except (AssertionError, subprocess.TimeoutExpired) as error:
                wrong, late, unclear = [str(error)[-1000:]], 0, 0
            faults += [f"{kind}, seed {arguments[-1]}: {fault}" for fault in wrong]
            for name, number in {"faults": len(wrong), "too long": late, "unclear": unclear}.items():
                found[name] += number
    return counts, faults
