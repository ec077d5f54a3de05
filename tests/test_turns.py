"""Which call may meet which, what Ctrl-C and a lack of memory leave behind, and many threads with one model."""

import copy
import os
import pickle
import re
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import BatchNorm, Callback, Dense, Dropout, Sequential, load_model, optimizers
from fastbp.turns import Turns, put_attributes, put_values

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(600, 8)).astype("float32"), RNG.integers(3, size=600)
PAGE = Path(__file__).resolve().parents[1] / "docs" / "threads.rst"

WORKS, REFUSED, WAITS = "works", "refused", "waits"
PLACES = "callback", "handler", "thread beside fit", "thread beside evaluate"
READS, CHANGES = (WORKS, WORKS, REFUSED, WORKS), (REFUSED, REFUSED, REFUSED, WAITS)
#: What happens to a call in each of the places.
TABLE = {
    **dict.fromkeys(
        (
            "predict", "evaluate", "input_gradient", "row_gradients", "get_weights", "save", "save_weights",
            "copy.deepcopy", "pickle.dumps", "clone",
            "blame",
        ),
        READS,
    ),
    **dict.fromkeys(("set_weights", "load_weights", "copy_weights_from"), (WORKS, REFUSED, REFUSED, WAITS)),
    **dict.fromkeys(
        (
            "fit", "train_on_batch", "forward", "loss", "backward", "update", "compile", "minimize", "program.run",
            "program.profile",
        ),
        CHANGES,
    ),
}  # fmt: skip


def model_of(backend=None, width=16, **options):
    layers = [Dense(width, activation="tanh"), BatchNorm(), Dropout(0.3), Dense(3)]
    model = Sequential(layers, input_shape=8, seed=0)
    model.compile(optimizers.Adam(lr=0.01), "sparse_categorical_crossentropy", backend=backend, **options)
    return model


def plain(backend=None):
    model = Sequential([Dense(16, activation="tanh"), Dense(3)], input_shape=8, seed=0)
    model.compile(optimizers.Adam(lr=0.01), "sparse_categorical_crossentropy", backend=backend)
    return model


def calls(model, folder):
    """Return every call of the table, ready to be made on a model that is in use when it is made."""
    # a program that is at hand already, weights that are another model's
    program, weights = model.program, plain(model.backend).get_weights()
    return {
        "predict": lambda: model.predict(X),
        "evaluate": lambda: model.evaluate(X, Y),
        "input_gradient": lambda: model.input_gradient(X[:50], Y[:50]),
        "row_gradients": lambda: model.row_gradients(X[:50], Y[:50]),
        "get_weights": model.get_weights,
        "save": lambda: model.save(folder / "model.npz"),
        "save_weights": lambda: model.save_weights(folder / "weights.npz"),
        "load_weights": lambda: (model.save_weights(folder / "own.npz"), model.load_weights(folder / "own.npz")),
        "copy_weights_from": lambda: model.copy_weights_from(model),
        "copy.deepcopy": lambda: copy.deepcopy(model),
        "pickle.dumps": lambda: pickle.dumps(model),
        "clone": model.clone,
        "blame": lambda: fastbp.blame(model, X[:50], Y[:50]),
        "set_weights": lambda: model.set_weights(weights),
        "fit": lambda: model.fit(X, Y, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(X[:32], Y[:32]),
        "forward": lambda: model.forward(X),
        "loss": lambda: model.loss(Y),
        "backward": model.backward,
        "update": model.update,
        "compile": lambda: model.compile("sgd", "sparse_categorical_crossentropy", backend=model.backend),
        "minimize": lambda: fastbp.minimize(model, X, Y, options={"maxiter": 2}),
        "program.run": program.run,
        "program.profile": lambda: program.profile(2),
    }


def outcome(call):
    """Return what became of a call, and the error if there was one."""
    try:
        call()
    except RuntimeError as error:
        # the four steps in the wrong order are another refusal: they had their turn
        return (WORKS if "call forward" in str(error) or "call that first" in str(error) else REFUSED), str(error)
    return WORKS, ""


def state(model):
    return [*model.get_weights(), *model.optimizer.get_state().values(), model.engine().memory.arrays["streams"].copy()]


def bits(arrays):
    return b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)


def test_the_page_has_this_table():
    if not PAGE.exists():
        pytest.skip("not in a checkout")
    rows = re.findall(r"   \* - ``(\S+)``\n((?:     - \S+\n){4})", PAGE.read_text())
    assert {name: tuple(re.findall(r"- (\S+)", cells)) for name, cells in rows} == TABLE


@pytest.mark.parametrize(
    "hook", ["on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_batch_end", "on_test_end"]
)
@every_backend
def test_in_a_callback(backend, hook, tmp_path):
    """What works there leaves the training as it is without it; what is refused does so too."""
    found = {}

    class Meddle(Callback):
        pass

    def meddle(self, *_):
        for name, call in made.items():
            # the weights that it has: the training is not to see it
            call = call if name != "set_weights" else partial(model.set_weights, model.get_weights())
            found[name] = outcome(call)

    setattr(Meddle, hook, meddle)
    pytest.importorskip("scipy")
    model, alone = plain(backend), plain(backend)
    made = calls(model, tmp_path)
    options = {"batch_size": 50, "epochs": 2, "seed": 1, "verbose": 0, "validation_data": (X, Y)}
    model.fit(X, Y, callbacks=[Meddle()], **options)
    assert {name: what for name, (what, _) in found.items()} == {name: row[0] for name, row in TABLE.items()}
    assert all("fit is running; within it" in text for what, text in found.values() if what == REFUSED)
    alone.fit(X, Y, **options)
    assert bits(state(model)) == bits(state(alone))


def test_in_a_handler_of_a_signal(tmp_path):
    """It is called within a step, before the update: what it reads is the state after the last whole one."""
    pytest.importorskip("scipy")
    found, seen, busy = {}, [], []
    layers = [Dense(400, activation="tanh"), BatchNorm(), Dropout(0.3), Dense(3)]

    def make():
        model = Sequential(layers_of(), input_shape=8, seed=0)
        model.compile(optimizers.Adam(lr=0.01), "sparse_categorical_crossentropy")
        return model

    def layers_of():
        return [type(layer)(**{k: v for k, v in layer.get_config().items() if k != "name"}) for layer in layers]

    def ring(*_):
        if model._turns.stage != "step" or not made or len(busy) == 3:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)  # what follows may take longer than the timer does
        seen.append(bits(state(model)))
        if not found:
            found.update((name, outcome(call)) for name, call in made.items())
        model.save(tmp_path / "saved.npz")
        seen.append(bits(state(load_model(tmp_path / "saved.npz"))))
        busy.append(model.optimizer.iterations)
        signal.setitimer(signal.ITIMER_REAL, 0.03, 0.03)

    x, y = np.resize(X, (40_000, 8)), np.resize(Y, 40_000)
    model, made = make(), {}
    made.update(calls(model, tmp_path))
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.03)
        while len(busy) < 3:
            model.fit(x, y, batch_size=400, seed=1, verbose=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert {name: what for name, (what, _) in found.items()} == {name: row[1] for name, row in TABLE.items()}
    # the whole steps of that run, one after the other
    whole = {}

    class Note(Callback):
        def on_train_batch_begin(self, batch):
            whole[self.model.optimizer.iterations] = bits(state(self.model))

    replay = make()
    for _ in range(-(-model.optimizer.iterations // 100)):
        replay.fit(x, y, batch_size=400, seed=1, verbose=0, callbacks=[Note()])
    for k, (live, saved) in zip(busy, zip(seen[::2], seen[1::2], strict=True), strict=True):
        assert live == saved == whole[k], f"the state at {k} updates is that of no whole step"
    assert bits(state(replay)) == bits(state(model))


def test_within_an_update_of_the_reference_nothing_is_read():
    """There a handler may come in the middle of an update, which is Python: no state is whole then."""
    model, found = plain("numpy"), []
    model.train_on_batch(X, Y)
    executor = model.program.executor
    update = executor.kernels["adam_update"]

    def interrupted(*args, **kwargs):
        found.extend(outcome(call)[0] for call in (lambda: model.predict(X), model.get_weights))
        return update(*args, **kwargs)

    executor.kernels["adam_update"] = interrupted
    executor._prepare()
    model.train_on_batch(X, Y)
    assert found == [REFUSED, REFUSED] and outcome(model.get_weights)[0] == WORKS


@every_backend
def test_in_another_thread_while_fit_runs(backend, tmp_path):
    pytest.importorskip("scipy")
    inside, go = threading.Event(), threading.Event()

    class Hold(Callback):
        def on_epoch_end(self, epoch, logs):
            inside.set()
            go.wait(60)

    model, alone = plain(backend), plain(backend)
    made = calls(model, tmp_path)
    thread = threading.Thread(target=lambda: model.fit(X, Y, epochs=2, seed=1, verbose=0, callbacks=[Hold()]))
    thread.start()
    assert inside.wait(60)
    found = {name: outcome(call) for name, call in made.items()}
    go.set()
    thread.join()
    assert {name: what for name, (what, _) in found.items()} == {name: row[2] for name, row in TABLE.items()}
    assert all("in another thread" in text for _, text in found.values())
    alone.fit(X, Y, epochs=2, seed=1, verbose=0)
    assert bits(state(model)) == bits(state(alone))
    assert not os.path.exists(tmp_path / "model.npz")


@pytest.mark.parametrize("name", TABLE)
def test_in_another_thread_while_evaluate_runs(name, tmp_path):
    if name == "minimize":
        pytest.importorskip("scipy")
    model, inside, go, done = plain(), threading.Event(), threading.Event(), threading.Event()
    call = calls(model, tmp_path)[name]

    def long():
        inside.set()
        assert go.wait(60)

    reader = threading.Thread(target=lambda: model._turns.read("evaluate", long))
    reader.start()
    assert inside.wait(60)
    found = []
    caller = threading.Thread(target=lambda: (found.append(outcome(call)), done.set()))
    caller.start()
    if TABLE[name][3] == WAITS:
        while not model._turns.turn:
            assert caller.is_alive()
            time.sleep(0.001)
        # who waits goes first: no other reader is let in
        assert not done.wait(0.05) and outcome(lambda: model.predict(X))[0] == REFUSED
    else:
        assert done.wait(60)
    go.set()
    reader.join()
    caller.join()
    assert found[0][0] == WORKS


@every_backend
@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_many_threads_predict_and_evaluate_with_one_model(backend, numerics):
    model = plain(backend)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend, numerics=numerics)
    inputs = [X[:1], X[:7].astype(float), X, X[:100].tolist()]
    want = [model.predict(x) for x in inputs]
    loss = model.evaluate(X, Y)
    wrong = []

    def work(k):
        for i in range(60):
            x = inputs[(i + k) % 4]
            y = model.predict(x, batch_size=512 if i % 2 else 64) if numerics == "portable" else model.predict(x)
            if (y != want[(i + k) % 4]).any() or (i % 10 == 0 and model.evaluate(X, Y) != loss):
                wrong.append((k, i))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    # memory for as many as were at work at a time, and no more
    assert 1 <= len(model.engine().predictors) <= 4


def test_threads_that_see_an_unbuilt_model_first():
    for _ in range(20):
        model, found = Sequential([Dense(5)]), []
        barrier = threading.Barrier(4)

        def ask(model=model, found=found, barrier=barrier):
            barrier.wait()
            found.append(model.predict(X[:3]))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4 and all((y == found[0]).all() for y in found)


# ------------------------------------------------------------------------------------------ memory
def wide(backend, numerics="numpy"):
    model = Sequential([Dense(10_000, activation="relu"), Dense(1)], input_shape=1, seed=0)
    model.compile("sgd", "mse", backend=backend, numerics=numerics)
    return model


#: Rows of which nobody has the memory for the wide layer: they are one row, seen again and again.
MANY = np.broadcast_to(np.ones((1, 1), "float32"), (20_000_000, 1))
BIG = {
    "predict": lambda m, x: m.predict(x, batch_size=len(x)),
    "evaluate": lambda m, x: m.evaluate(x, x, batch_size=len(x)),
    "train_on_batch": lambda m, x: m.train_on_batch(x, x),
    "fit": lambda m, x: m.fit(x, x, batch_size=len(x), seed=0, verbose=0).history["loss"],
    "forward": lambda m, x: m.forward(x),
    "forward, predicting": lambda m, x: m.forward(x, training=False),
    "input_gradient": lambda m, x: m.input_gradient(x, x),
}


@every_backend
@pytest.mark.parametrize("name", BIG)
@pytest.mark.parametrize("first", [True, False])
def test_memory_that_cannot_be_had(backend, name, first):
    """The call is refused; the model is as it was, for smaller batches and for larger ones."""
    call = BIG[name]
    model, twin = wide(backend), wide(backend)
    if not first:
        assert np.array_equal(call(model, np.array(MANY[:2])), call(twin, np.array(MANY[:2])))
    with pytest.raises(MemoryError):
        call(model, MANY)
    for rows in (1, 2, 300):
        x = np.array(MANY[:rows])
        assert np.array_equal(call(model, x), call(twin, x))
    assert bits(state_of_sgd(model)) == bits(state_of_sgd(twin))


def state_of_sgd(model):
    return [*model.get_weights(), *model.optimizer.get_state().values()]


# -------------------------------------------------------------------------------------------- the turns
def test_a_turn_is_given_back_whatever_happens():
    turns, ran = Turns(), []
    with pytest.raises(ZeroDivisionError):
        turns.take("a", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        turns.read("b", lambda: 1 / 0)
    turns.take("c", ran.append, 1)
    assert ran == [1] and not turns.turn and not turns.readers
    # within itself, in one thread: only what reads, and what may come between two steps
    turns.take("fit", lambda: (turns.read("predict", ran.append, 2), turns.between("set", ran.append, 3)))
    assert ran == [1, 2, 3]
    for inner in (lambda: turns.take("fit", ran.append, 4), lambda: turns.read("x", turns.take, "fit", ran.append, 4)):
        with pytest.raises(RuntimeError, match="outer is running; within it this model may predict"):
            turns.take("outer", inner)
    with pytest.raises(RuntimeError, match="a call that reads this model is running"):
        turns.read("x", turns.take, "fit", ran.append, 4)
    turns.stage = "update"
    with pytest.raises(RuntimeError, match="outer is running"):
        turns.take("outer", turns.read, "predict", ran.append, 4)
    with pytest.raises(RuntimeError, match="in the middle of a step"):
        turns.take("fit", turns.between, "set", ran.append, 4)
    turns.stage = ""
    with pytest.raises(RuntimeError, match="in the middle of a step"):
        turns.take("fit", turns.read, "evaluate", turns.between, "set", ran.append, 4)
    with pytest.raises(RuntimeError, match="compile is running"):
        turns.take("compile", turns.between, "set", ran.append, 4)
    assert ran == [1, 2, 3] and not turns.turn and not turns.readers


def test_putting_in_place():
    a, b = np.zeros(3), np.zeros(2, int)
    put_values([(a, np.arange(3.0)), (b, np.ones(2))])
    put_values([])
    assert a.tolist() == [0, 1, 2] and b.tolist() == [1, 1]
    layer = Dense(1)
    put_attributes([(layer, "one", 1), (layer, "two", 2)])
    assert (layer.one, layer.two) == (1, 2)


@pytest.mark.skipif(os.name != "posix", reason="needs timers that send signals")
@every_backend
def test_a_reference_step_is_not_left_in_the_middle_of_its_update(backend):
    """Also where the update is Python: it is undone, with the count of updates."""
    model = Sequential([Dense(2000)], input_shape=500, seed=0)
    model.compile(optimizers.Adam(lr=0.01), "mse", backend=backend)
    x, y = np.ones((4, 500), "float32"), np.ones((4, 2000), "float32")
    states = {}

    class Note(Callback):
        def on_train_batch_begin(self, batch):
            states[self.model.optimizer.iterations] = bits(state_of_sgd(self.model))

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for k in range(12):
            with pytest.raises(KeyboardInterrupt):
                # again and again: Python ignores what is raised where nobody could catch it
                signal.setitimer(signal.ITIMER_REAL, 0.003 + 0.0037 * k, 0.1)
                while True:
                    model.train_on_batch(x, y)
            signal.setitimer(signal.ITIMER_REAL, 0)
            states[model.optimizer.iterations] = bits(state_of_sgd(model))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    replay = Sequential([Dense(2000)], input_shape=500, seed=0)
    replay.compile(optimizers.Adam(lr=0.01), "mse", backend=backend)
    for k in range(model.optimizer.iterations + 1):
        if k in states:
            assert states[k] == bits(state_of_sgd(replay)), f"not the state after {k} updates"
        replay.train_on_batch(x, y)


def test_a_lost_executor_is_made_anew():
    model = plain()
    want = model.predict(X)
    model.engine().predictors.clear()
    assert_same_bits(model.predict(X), want)
    assert len(model.engine().predictors) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_no_thread_that_it_lacks():
    model, inside, go = plain(), threading.Event(), threading.Event()
    model.train_on_batch(X, Y)
    for call in (lambda f: model._turns.read("predict", f), lambda f: model._turns.take("fit", f)):
        inside.clear(), go.clear()
        thread = threading.Thread(target=call, args=(lambda: (inside.set(), go.wait(60)),))
        thread.start()
        assert inside.wait(60)
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            model.predict(X)
            model.train_on_batch(X, Y)
            model.fit(X, Y, verbose=0)
            os._exit(0)
        go.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0
    assert np.isfinite(model.train_on_batch(X, Y))


# ------------------------------------------------------------------------- what a fresh look found
def test_data_are_converted_for_the_model_that_reads_them():
    """Another thread may compile for another dtype, or another loss, just before."""
    x, y = X.astype(float), np.eye(3)[Y]
    model = plain()
    want = {}
    for dtype in ("float32", "float64"):
        model.compile("sgd", "sparse_categorical_crossentropy", dtype=dtype)
        want[dtype] = model.predict(x), model.evaluate(x, Y)["loss"]
    read = model._turns.read

    def late(what, function, *args):
        model._turns = turns
        model.compile("sgd", "sparse_categorical_crossentropy", dtype="float32")
        return read(what, function, *args)

    turns = model._turns
    for call, check in (
        (lambda: model.predict(x), lambda got: assert_same_bits(got, want["float32"][0])),
        (lambda: model.evaluate(x, Y), lambda got: got["loss"] == want["float32"][1] or pytest.fail(str(got))),
        (lambda: fastbp.blame(model, x, Y), lambda got: None),
        (lambda: fastbp.gradient_check(model, x[:4], Y[:4], sample=2), lambda got: got.ok or pytest.fail(str(got))),
    ):
        model.compile("sgd", "sparse_categorical_crossentropy", dtype="float64")
        late_turns = Turns()
        late_turns_read = late

        class Late:
            turn, readers = late_turns.turn, late_turns.readers
            read = staticmethod(late_turns_read)

        model._turns = Late()
        check(call())
    model._turns = turns
    with pytest.raises(ValueError, match="y has shape"):
        model.evaluate(x, y)


def test_an_optimizer_whose_model_is_gone_begins_anew():
    import gc

    optimizer = optimizers.Adam(lr=0.01)
    for units in (16, 16, 7):
        model = Sequential([Dense(units, activation="tanh"), Dense(3)], input_shape=8, seed=0)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        fresh = Sequential([Dense(units, activation="tanh"), Dense(3)], input_shape=8, seed=0)
        fresh.compile(optimizers.Adam(lr=0.01), "sparse_categorical_crossentropy")
        for m in (model, fresh):
            m.fit(X, Y, seed=0, verbose=0)
        assert bits(state(model)) == bits(state(fresh))
        del model
        gc.collect()


@pytest.mark.parametrize("change", ["freeze", "program.run", "minimize"])
def test_what_comes_between_backward_and_update_ends_the_steps(change):
    model = plain()
    model.forward(X)
    model.loss(Y)
    model.backward()
    if change == "freeze":
        model.layers[0].trainable = False
        _ = model.program
    elif change == "minimize":
        pytest.importorskip("scipy")
        fastbp.minimize(model, X, Y, options={"maxiter": 1})
    else:
        model.program.run()
    with pytest.raises(RuntimeError, match=r"update\(\) needs gradients"):
        model.update()


@every_backend
def test_steps_of_a_frozen_model_count(backend):
    model = plain(backend)
    for layer in model.layers:
        layer.trainable = False
    model.fit(X, Y, batch_size=200, verbose=0)
    model.train_on_batch(X, Y)
    model.forward(X)
    model.loss(Y)
    model.backward()
    model.update()
    assert model.optimizer.iterations == 3 + 1 + 1


def test_the_rate_may_be_read_while_others_train():
    schedule = fastbp.schedules.CosineDecay(0.01, 10**6)
    model = Sequential([Dense(4)], input_shape=8, seed=0)
    model.compile(optimizers.SGD(lr=schedule), "mse")
    x, y, stop, errors = X[:4], np.zeros((4, 4), "float32"), threading.Event(), []

    def read():
        while not stop.is_set():
            try:
                _ = model.optimizer.lr
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    model.fit(np.resize(x, (400_000, 8)), np.resize(y, (400_000, 4)), batch_size=4, verbose=0)
    stop.set()
    thread.join()
    assert not errors


def test_a_freeze_that_comes_while_a_step_is_made_is_not_lost(monkeypatch):
    from fastbp import engine

    model, make = plain(), engine.make_executor

    def late(*args, **kwargs):
        made = make(*args, **kwargs)
        model.layers[0].trainable = False
        return made

    monkeypatch.setattr(engine, "make_executor", late)
    model.train_on_batch(X, Y)
    monkeypatch.undo()
    before = model.layers[0].w.copy()
    model.train_on_batch(X, Y)
    assert_same_bits(model.layers[0].w, before)


def test_weights_are_not_set_in_the_midst_of_an_evaluation():
    model, refused = plain(), []

    class Meddle(Callback):
        def on_test_begin(self):
            # as a handler would that comes while the validation data are evaluated
            call = partial(self.model.set_weights, self.model.get_weights())
            refused.append(self.model._turns.read("evaluate", outcome, call)[0])

    model.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[Meddle()])
    assert refused == [REFUSED]
    with np.errstate(over="raise"):
        weights = [w.astype(float) for w in model.get_weights()]
        weights[-1][:] = 1e300
        before = bits(model.get_weights())
        with pytest.raises(FloatingPointError):
            model.set_weights(weights)
        assert bits(model.get_weights()) == before
