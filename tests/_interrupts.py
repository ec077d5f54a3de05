"""Ctrl-C at random moments: after it a model is the one of a whole step, and of use to every thread.

`run` counts; each part of the trials runs in a process of its own, so that a crash or a hang is counted too.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

import numpy as np
from _arrays import BACKENDS
from test_runner import data_of, model_of, script

import fastbp

CALLS = ("fit", "feed", "predict", "evaluate", "train_on_batch", "compile")
#: Backend and numerics, in turn from part to part.
EXECUTORS = [(name, numerics) for numerics in ("portable", "numpy") for name in (*reversed(BACKENDS), "numpy")]
#: Trials in one process.
PART = 50
#: Seconds in which a call must take notice, and a thread must be let in.
PATIENCE = 10
ROWS, BATCH = 400, 16
X, Y = data_of(ROWS)


class Batches:
    """What `fit` takes for "feed"."""

    def __iter__(self):
        return ((X[k : k + BATCH], Y[k : k + BATCH]) for k in range(0, ROWS, BATCH))


def prepared(backend, numerics):
    model = model_of(backend)
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"], backend=backend, numerics=numerics)
    return model


def state(model):
    """Return the bits that a training changes, but for the number of steps."""
    arrays = [*model.get_weights(), *(v for k, v in sorted(model.optimizer.get_state().items()) if k != "step")]
    return b"".join(array.tobytes() for array in arrays)


def calls(model):
    """Return what is interrupted, by name."""
    return {
        "fit": lambda: model.fit(X, Y, batch_size=BATCH, epochs=10**6, seed=0, verbose=0),
        "feed": lambda: model.fit(Batches(), epochs=10**6, seed=0, verbose=0),
        "predict": lambda: model.predict(X, batch_size=BATCH),
        "evaluate": lambda: model.evaluate(X, Y, batch_size=BATCH),
        "train_on_batch": lambda: model.train_on_batch(X[:BATCH], Y[:BATCH]),
        "compile": lambda: model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"],
                                         backend=model.backend, numerics=model.numerics),
    }  # fmt: skip


class Steps:
    """The states that an undisturbed model goes through in one of the calls; as many as were asked for."""

    def __init__(self, call, backend, numerics):
        self.call, self.options, self.taken = call, (backend, numerics), 0
        self._go_on(1)

    def number(self, wanted, steps):
        """Return after how many steps a state is met, looking at the first `steps` at least; or None."""
        if self.call in ("fit", "feed", "train_on_batch") and self.taken < steps:
            self._go_on(2 * steps)
        return self.states.get(wanted)

    def _go_on(self, steps):
        model = prepared(*self.options)
        # the optimizer's arrays are there from the first step on
        self.states, self.taken = {state(model): 0}, 0

        def note(*_):
            self.states[state(model)] = self.taken
            self.taken += 1

        class Note(fastbp.Callback):
            on_train_begin = on_train_batch_end = note

        epochs = 1 + steps * BATCH // ROWS
        if self.call in ("fit", "feed"):
            data = (X, Y) if self.call == "fit" else (Batches(),)
            model.fit(*data, batch_size=BATCH, epochs=epochs, seed=0, verbose=0, callbacks=[Note()])
        else:
            x, y = np.tile(X[:BATCH], (steps, 1)), np.tile(Y[:BATCH], steps)
            model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[Note()])
        self.taken -= 1


def press_again(dropped):
    """Python drops an interrupt that falls into the callback of a weak reference: then it comes once more."""
    where = getattr(dropped.object, "__module__", None)
    if dropped.exc_type is KeyboardInterrupt and where in ("_weakrefset", "weakref"):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(dropped)


def interrupted(call, delay):
    """Call something again and again until a KeyboardInterrupt after `delay` seconds ends it; return whether it did."""
    until = time.monotonic() + delay + PATIENCE
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        while time.monotonic() < until:
            call()
    except KeyboardInterrupt:
        return True
    return False


def in_a_thread(function):
    """Return what a function returns in another thread, or its error; None if it does not end."""
    found = []

    def work():
        try:
            found.append(function())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return found[0] if found else None


def damage(model, steps, folder):
    """Return what is wrong with a model after an interrupt, in words, or None."""
    found, count = state(model), int(model.optimizer.iterations)
    if (number := steps.number(found, count)) != count:
        told = "of no step" if number is None else f"those after {number} steps"
        return f"the parameters and the optimizer's state are {told}; the optimizer says {count}"
    outputs = in_a_thread(lambda: model.predict(X))
    if not isinstance(outputs, np.ndarray):
        return f"another thread cannot predict: {outputs!r}"
    path = os.path.join(folder, "model.npz")
    model.save(path)
    loaded = fastbp.load_model(path)
    if state(loaded) != found:
        return "the saved model is another"
    for one in (model, loaded):
        if not np.isfinite([one.train_on_batch(X[:BATCH], Y[:BATCH]), one.evaluate(X, Y)["loss"]]).all():
            return "it trains to a loss that is not finite"
        one.fit(X, Y, batch_size=BATCH, seed=0, verbose=0)
    if state(model) != state(loaded):
        return "it and its saved copy train apart"
    return None


def part(call, backend, numerics, count, seed):
    """Run some trials; return the damages, and how many interrupts came to nothing."""
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    sys.unraisablehook = press_again
    rng, steps = random.Random(seed), Steps(call, backend, numerics)
    damages, lost = [], 0
    # how long it takes until a fresh model has built what it needs: half of the moments lie within
    fresh, begin = prepared(backend, numerics), time.monotonic()
    interrupted(calls(fresh)[call], 1e-6) if call in ("fit", "feed") else calls(fresh)[call]()
    first = time.monotonic() - begin
    with tempfile.TemporaryDirectory() as folder:
        for k in range(count):
            model = prepared(backend, numerics)
            delay = rng.uniform(1e-6, 2 * first if k % 2 else 0.03)
            try:
                lost += not interrupted(calls(model)[call], delay)
                wrong = damage(model, steps, folder)
            except Exception:
                wrong = traceback.format_exc(limit=-3)
            if wrong:
                damages.append(wrong)
    return damages, lost


def run(count, seed):
    """Interrupt each of the calls `count` times; return the counts and the faults."""
    counts, faults = {}, []
    numbers = random.Random(seed)
    for call in CALLS:
        done = damaged = lost = 0
        for k, start in enumerate(range(0, count, PART)):
            backend, numerics = EXECUTORS[k % len(EXECUTORS)]
            trials = min(PART, count - start)
            arguments = (call, backend, numerics, trials, numbers.getrandbits(64))
            what = f"{call}, {backend}, {numerics}, seed {arguments[-1]}"
            code = f"import _interrupts, json; print(json.dumps(_interrupts.part(*{arguments!r})))"
            try:
                damages, ignored = json.loads(script(code, timeout=120 + PATIENCE * trials).splitlines()[-1])
            except (AssertionError, subprocess.TimeoutExpired) as error:
                damages, ignored = [str(error)[-1000:]], 0
            done, damaged, lost = done + trials, damaged + len(damages), lost + ignored
            faults += [f"{what}: {wrong}" for wrong in damages]
        counts[call] = {"interrupts": done, "damaged": damaged, "lost": lost}
    return counts, faults
