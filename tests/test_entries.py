"""Entries, which a model's calls try first: what needs no explanation is taken as ever, and all else is refused."""

import gc
import threading
import warnings
import weakref

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

from fastbp import Dense, Dropout, Embedding, Flatten, Sequential, losses, optimizers
from fastbp.data import Rows
from fastbp.runner import Entry
from fastbp.training import _times

ALL_BACKENDS = ("numpy", *BACKENDS)
compiled = pytest.mark.parametrize("backend", BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
NUMERICS = ("numpy", "portable")

RNG = np.random.default_rng(0)
#: Small whole numbers: every type holds them.
WHOLE = RNG.integers(0, 100, (7, 4))
LABELS = np.arange(7) % 3


def model_of(backend="cython", loss="sparse_categorical_crossentropy", optimizer="adam", layers=None, **options):
    layers = layers or [Dense(5, activation="tanh"), Dense(3)]
    model = Sequential(layers, input_shape=options.pop("input_shape", 4), seed=0)
    model.compile(optimizer, loss, backend=backend, **options)
    return model


def warm(model, x=None, y=None):
    """Let a model make all of its entries."""
    x = WHOLE.astype(model.dtype) if x is None else x
    y = LABELS if y is None else y
    model.train_on_batch(x, y)
    model.predict(x)
    model.evaluate(x, y)
    for _ in range(2):
        steps(model, x, y)
    return model


def steps(model, x, y):
    out = model.forward(x), model.loss(y)
    model.backward()
    model.update()
    return out


def predicts(model, x):
    """Return what the entry of `predict` makes of `x`, None where that is not for it."""
    return model.engine().predictors[0].quick(x, 512)


def bits(model):
    return [w.tobytes() for w in model.get_weights()], model.optimizer.iterations


class Scalar(float):
    """A number that is no float itself."""


TAKEN = {
    "exact": lambda x, dtype: x.astype(dtype),
    "read only": lambda x, dtype: np.frombuffer(x.astype(dtype).tobytes(), dtype).reshape(x.shape),
    "float32": lambda x, dtype: x.astype("f4"),
    "float64": lambda x, dtype: x / 7,
    **{kind: lambda x, dtype, kind=kind: x.astype(kind) for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4")},
    "longlong": lambda x, dtype: x.astype(np.longlong),
    "list": lambda x, dtype: (x / 7).tolist(),
    "list of integers": lambda x, dtype: x.tolist(),
    "tuples": lambda x, dtype: tuple(map(tuple, (x / 7).tolist())),
    "mixed": lambda x, dtype: [[2**53 - 1, -1, *row[2:]] for row in (x / 3).tolist()],
    "tiny and huge": lambda x, dtype: np.where(x > 50, 1e-42, 3e38),
}
REFUSED = {
    "strided": lambda x: np.repeat(x / 7, 2, axis=1)[:, ::2],
    "reversed": lambda x: (x / 7)[::-1],
    "columns": lambda x: np.asfortranarray(x / 7),
    "swapped": lambda x: (x / 7).astype(">f8"),
    "unaligned": lambda x: np.frombuffer(b"." + (x / 7).tobytes(), np.uint8)[1:].view("f8").reshape(x.shape),
    "bool": lambda x: x > 50,
    "float16": lambda x: x.astype("f2"),
    "uint64": lambda x: x.astype("u8"),
    "matrix": lambda x: (x / 7).view(type("Own", (np.ndarray,), {})),
    "a list of arrays": lambda x: list(x / 7),
    "a list of bool": lambda x: (x > 50).tolist(),
    "NumPy's numbers": lambda x: [[np.float32(v) for v in row] for row in x],
    "a subclass of float": lambda x: [[Scalar(v) for v in row] for row in x],
    "large integers": lambda x: [[2**60 + 2**30 + 1, *row[1:]] for row in x.tolist()],
}


@pytest.mark.parametrize("numerics", NUMERICS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", [*TAKEN, *REFUSED])
def test_what_is_taken_is_what_numpy_makes_of_it(kind, dtype, numerics):
    given = TAKEN[kind](WHOLE, dtype) if kind in TAKEN else REFUSED[kind](WHOLE)
    x = np.ascontiguousarray(np.asarray(given), dtype)
    model, other = (warm(model_of(dtype=dtype, numerics=numerics)) for _ in range(2))
    assert (predicts(model, given) is None) == (kind in REFUSED)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_bits(model.predict(given), other.predict(x), "predict")
        assert model.evaluate(given, LABELS) == other.evaluate(x, LABELS)
        got, want = steps(model, given, LABELS), steps(other, x, LABELS)
        assert_same_bits(got[0], want[0], "forward")
        assert got[1] == want[1]
        assert model.train_on_batch(given, LABELS) == other.train_on_batch(x, LABELS)
        assert model.train_on_batch(given, LABELS.tolist()) == other.train_on_batch(x, LABELS)
        assert model.train_on_batch(given, LABELS.astype("u1")) == other.train_on_batch(x, LABELS)
    assert bits(model) == bits(other)


@compiled
def test_values_beyond_the_dtype_are_infinite_in_predict_and_refused_in_training(backend):
    model, x = warm(model_of(backend)), WHOLE / 7
    x[2, 1], x[3, 0] = 1e300, np.nan
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        want = model.predict(x.astype("f4"))
        warnings.simplefilter("error")
        for given in (x, x.tolist()):
            assert_same_bits(model.predict(given), want)
            for call in (model.train_on_batch, model.evaluate):
                with pytest.raises(ValueError, match=r"x\[2, 1\] is 1e\+300 \(too large for float32\); x must be"):
                    call(given, LABELS)


BAD = {
    "shape": (WHOLE[:, :3], LABELS),
    "a row": (WHOLE[0], LABELS),
    "a number": (3, LABELS),
    "text": ("abc", LABELS),
    "texts": ([["1", "2", "3", "4"]], [0]),
    "nothing": (None, LABELS),
    "ragged": ([[1, 2, 3, 4], [1, 2, 3]], [0, 1]),
    "ragged end": ([*WHOLE.tolist()[:6], [1, 2, 3]], LABELS),
    "deeper": ([[[1], [2], [3], [4]]], [0]),
    "empty": ([], []),
    "no rows": (np.empty((0, 4), "f4"), np.empty(0, int)),
    "complex": (WHOLE + 1j, LABELS),
    "NaN": (np.where(WHOLE == WHOLE.max(), np.nan, WHOLE).astype("f4"), LABELS),
    "inf": ([[1.0, 2.0, 3.0, float("inf")]], [0]),
    "fewer labels": (WHOLE, LABELS[:-1]),
    "a label that is none": (WHOLE, LABELS + 1),
    "a negative label": (WHOLE.tolist(), (LABELS - 1).tolist()),
    "half a label": (WHOLE, LABELS + 0.5),
    "a label beyond int64": (WHOLE[:1].tolist(), [2**70]),
    "one-hot": (WHOLE, np.eye(3)[LABELS]),
    "masked": (np.ma.masked_less(WHOLE / 7, 3), LABELS),
}


def complaint(call, *arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(*arguments) is None
        except Exception as error:
            return type(error), str(error)


@pytest.mark.parametrize("kind", BAD)
def test_what_is_refused_is_explained_as_ever(kind):
    x, y = BAD[kind]
    # the numpy backend has no entries: all of its calls go the long way
    model, slow = warm(model_of()), warm(model_of("numpy"))
    before = bits(model)
    for name in ("train_on_batch", "evaluate", "input_gradient", "predict", "forward"):
        arguments = (x,) if name in ("predict", "forward") else (x, y)
        told = [complaint(getattr(m, name), *arguments) for m in (model, slow)]
        assert told[0] == told[1], name
        assert name in ("predict", "forward") or told[0] is not False, name
    good = WHOLE.astype("f4")[: max(np.size(y), 1)]
    for m in (model, slow):
        m.forward(good)
    assert complaint(model.loss, y) == complaint(slow.loss, y)
    assert bits(model) == before
    assert not model._turns.turn and not model._turns.readers


@compiled
@pytest.mark.parametrize("loss, good, bad", [
    ("hinge", [-1.0, 1.0], 0.0),
    ("squared_hinge", [-1.0, 1.0], 0.5),
    ("binary_crossentropy", [0.0, 0.25, 1.0], 1.5),
    ("binary_crossentropy", [0.0, 0.25, 1.0], float("nan")),
    ("contrastive", [0.0, 1.0], 0.5),
    ("mse", [-1e10, 0.0, 1e10], float("inf")),
    ("mae", [0.0, 2.0], float("nan")),
])  # fmt: skip
def test_targets_are_those_that_the_loss_takes(backend, loss, good, bad):
    targets = np.resize(good, (7, 3)).astype("f4")
    model, other = (warm(model_of(backend, loss, "sgd"), y=targets * 0 + good[-1]) for _ in range(2))
    assert model.engine().ports(model.engine().network("train")) is not None
    x = WHOLE.astype("f4") / 1e20
    assert model.engine().step(x, targets) is not None
    other.train_on_batch(x, targets.astype("f8"))
    assert bits(model) == bits(other)
    targets[4, 2] = bad
    assert model.engine().step(x, targets) is None and bits(model) == bits(other)
    with pytest.raises(ValueError, match=r"y\[4, 2\] is "):
        model.train_on_batch(x, targets)


@compiled
def test_ignored_labels(backend):
    loss = losses.SparseCategoricalCrossEntropy(from_logits=True, ignore_index=-9)
    model, slow = (warm(model_of(b, loss)) for b in (backend, "numpy"))
    y = np.where(LABELS == 1, -9, LABELS)
    assert model.engine().step(WHOLE.astype("f4"), y) is not None
    slow.train_on_batch(WHOLE, y)
    assert model.evaluate(WHOLE, y) == slow.evaluate(WHOLE, y)
    with pytest.raises(ValueError, match=r"is -1; labels must be in 0 \.\. 2"):
        model.train_on_batch(WHOLE, np.where(LABELS == 1, -1, LABELS))


@compiled
@pytest.mark.parametrize("block", [1, 3, 7, 512])
@pytest.mark.parametrize("kind", ["exact", "float64", "list"])
def test_blocks(backend, kind, block):
    model, slow = (warm(model_of(b), WHOLE.astype("f4")) for b in (backend, "numpy"))
    x = TAKEN[kind](WHOLE, "f4")
    for m in (model, slow):
        m.predict(x, block)  # whoever sees a larger one first makes room
    assert_same_bits(model.predict(x, block), slow.predict(x, block))
    assert model.evaluate(x, LABELS, block) == slow.evaluate(x, LABELS, block)
    assert_same_bits(model.predict(x, 10**30), slow.predict(x, 10**30))
    assert model.evaluate(x, LABELS, 10**30) == slow.evaluate(x, LABELS, 10**30)
    for wrong in (0, -1, -(10**30), 2.5, "all"):
        told = [complaint(m.predict, x, wrong) for m in (model, slow)]
        assert told[0] == told[1] and "batch_size is" in told[0][1]


def test_a_ragged_row_in_a_later_block():
    model = warm(model_of())
    rows = WHOLE.tolist()
    rows[5] = rows[5][:2]
    with pytest.raises(ValueError, match="x is not a rectangular array"):
        model.predict(rows, 2)


class Positive(Dense):
    """A layer that looks at its inputs."""

    def check_data(self, name, x):
        if (x < 0).any():
            raise ValueError(f"{name} has negative numbers")
        return False


@every_backend
@pytest.mark.parametrize("first, bad, message, quick", [
    (lambda: [Embedding(100, 2), Flatten()], 100, r"x\[3, 2\] is 100\.0; embedding_1 takes whole numbers", True),
    (lambda: [Embedding(100, 2), Flatten()], 1.5, r"x\[3, 2\] is 1\.5; embedding_1 takes whole numbers", True),
    (lambda: [Positive(3)], -1, "x has negative numbers", False),
])  # fmt: skip
def test_inputs_that_a_layer_refuses(backend, first, bad, message, quick):
    model = warm(model_of(backend, layers=[*first(), Dense(3)]))
    x, spoilt = WHOLE.astype("f4"), WHOLE.astype("f4")
    spoilt[3, 2] = bad
    assert (model.engine().step(x, LABELS) is not None) == (quick and backend != "numpy")
    model.forward(x)
    before = bits(model)
    calls = {
        "train_on_batch": (spoilt, LABELS), "evaluate": (spoilt, LABELS), "fit": (spoilt, LABELS), "forward": (spoilt,),
        "predict": (spoilt,),
    }  # fmt: skip
    for name, arguments in calls.items():
        for given in (arguments, (spoilt.tolist(), *arguments[1:])):
            with pytest.raises(ValueError, match=message):
                getattr(model, name)(*given)
    assert bits(model) == before
    assert model.loss(LABELS) == model.evaluate(x, LABELS)["loss"]  # of the forward before


# ------------------------------------------------------------------------------------ steps by hand
@every_backend
def test_what_becomes_of_arrays_after_a_step_does_not_matter(backend):
    model, other = (warm(model_of(backend)) for _ in range(2))
    for x, y in ((WHOLE.astype("f4"), LABELS.copy()), (WHOLE / 7, LABELS.astype("i4"))):
        steps(other, x, y)
        model.forward(x)
        x[:] = -1
        model.loss(y)
        y[:] = 0
        model.backward()
        model.update()
        assert bits(model) == bits(other)


@every_backend
@pytest.mark.parametrize("y", [np.full(7, 3), np.full(7, -1).tolist(), LABELS[:-1], np.full(7, np.nan)])
def test_a_refused_loss_leaves_the_one_before(backend, y):
    model, other = (warm(model_of(backend)) for _ in range(2))
    for m in (model, other):
        m.forward(WHOLE)
        m.loss(LABELS)
    with pytest.raises(ValueError, match="y_true"):
        model.loss(y)
    for m in (model, other):
        m.backward()
        m.update()
    assert bits(model) == bits(other)


@every_backend
def test_outputs_and_their_gradients_of_layers(backend):
    model = model_of(backend)
    layer = model.layers[0]
    for name, call in (("y", "forward"), ("dy", "backward")):
        with pytest.raises(AttributeError, match=rf"layer dense_1 has no {name} yet; model\.{call}\("):
            getattr(layer, name)
    warm(model)
    for rows in (7, 3, 5):
        want = model.forward(WHOLE[:rows])
        assert layer.y.shape == (rows, 5)
        assert_same_bits(model.layers[1].y, want)
        with pytest.raises(AttributeError, match="has no dy yet"):
            _ = layer.dy
        model.loss(LABELS[:rows])
        model.backward()
        assert layer.dy.shape == (rows, 5) and layer.dy.any()
        model.train_on_batch(WHOLE, LABELS)  # another program
        assert_same_bits(model.layers[1].y, want)
        assert layer.dy.shape == (rows, 5)
    model.compile("sgd", "sparse_categorical_crossentropy", backend=backend)
    for name in ("y", "dy"):
        with pytest.raises(AttributeError):
            getattr(layer, name)


@every_backend
def test_steps_by_hand_with_random_numbers_and_other_batches(backend):
    def make():
        return model_of(backend, layers=[Dense(6, activation="relu"), Dropout(0.5), Dense(3)])

    model, other = make(), make()
    for rows in (3, 7, 3, 5):
        x, y = WHOLE[:rows].astype("f4"), LABELS[:rows]
        _, loss = steps(model, x, y)
        assert loss == other.train_on_batch(x, y)
    assert bits(model) == bits(other)


@compiled
def test_frozen_layers_are_followed(backend):
    calls = {
        "forward": lambda m: steps(m, WHOLE.astype("f4"), LABELS),
        "train_on_batch": lambda m: m.train_on_batch(WHOLE.astype("f4"), LABELS),
    }
    model, slow = (warm(model_of(b)) for b in (backend, "numpy"))
    for first, second in (calls, reversed(calls), calls):
        for m in (model, slow):
            m.layers[0].trainable = not m.layers[0].trainable
            m.layers[1].lr_factor /= 2
            calls[first](m)
            calls[second](m)
        assert bits(model) == bits(slow)


# ------------------------------------------------------------------------------------- who may begin
@compiled
def test_an_entry_waits_for_nobody_and_gives_its_turn_back(backend):
    model = warm(model_of(backend))
    x, engine, hand = WHOLE.astype("f4"), model.engine(), model._by_hand
    model.forward(x)
    for held in ("turn", "readers"):
        getattr(model._turns, held)["held"] = (0, "fit")
        assert engine.step(x, LABELS) is hand.forward(x) is hand.loss(LABELS) is hand.update() is None
        assert (predicts(model, x) is None) == (held == "turn")
        del getattr(model._turns, held)["held"]
    assert engine.step(x, LABELS) is not None and model._turns.hand == ""
    assert hand.loss(LABELS) is hand.backward() is hand.update() is None
    assert not model._turns.turn and not model._turns.readers


@compiled
def test_a_schedule_that_fails_or_calls_the_model(backend):
    def rate(step):
        if step == 3:
            raise KeyError("no rate")
        if step == 4:
            for call in (lambda: model.train_on_batch(WHOLE, LABELS), lambda: model.forward(WHOLE)):
                with pytest.raises(RuntimeError, match="train_on_batch is running; within it"):
                    call()
        return 0.1

    model = model_of(backend, optimizer=optimizers.SGD(lr=rate))
    for _ in range(3):
        model.train_on_batch(WHOLE.astype("f4"), LABELS)
    before = bits(model)
    with pytest.raises(KeyError, match="no rate"):
        model.train_on_batch(WHOLE.astype("f4"), LABELS)
    assert bits(model) == before and not model._turns.turn
    model.optimizer.iterations = 4
    model.train_on_batch(WHOLE.astype("f4"), LABELS)


@compiled
def test_lists_that_another_thread_changes(backend):
    model, stop = warm(model_of(backend)), threading.Event()
    rows = WHOLE.tolist()

    def change():
        while not stop.is_set():
            rows.append([1, 2, 3, 4])
            rows.pop()
            rows[3] = rows[3][::-1]

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(3000):
            assert model.predict(rows).shape[1:] == (3,)
    finally:
        stop.set()
        thread.join()


# ---------------------------------------------------------------------------------------- fit, evaluate
def test_arrays_that_fit_are_used_as_they_are():
    model = warm(model_of())
    x, y = WHOLE.astype("f4"), LABELS.astype(np.int64)
    data = model.prepare(x, y)
    assert isinstance(data, Rows) and data.x[0] is x and data.y[0] is y
    fits = model.engine().fits
    assert fits(x, y) and not fits(x.astype("f8"), y) and not fits(x.tolist(), y) and not fits(x, y.astype("i4"))
    assert not fits(x, y[:-1]) and not fits(np.full_like(x, np.inf), y) and not fits(x, y + 1)
    assert model.prepare(x, y, dtype="float64").x[0].dtype == np.float64
    assert model.prepare(x, y, np.ones(7)).weight[0] is not None
    # what takes long to look at is looked at where Ctrl-C is answered
    large = np.zeros((2**18 + 1, 4), "f4")
    assert not fits(large, np.zeros(len(large), np.int64))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_sum_of_one_number_is_numpys(dtype):
    values = np.concatenate([RNG.standard_normal(200) * 10.0 ** RNG.integers(-30, 30, 200), [0, -0.0, np.inf, np.nan]])
    for value in values.astype(dtype):
        for count in (1, 7, 33, 1000):
            array, counts = np.array([value]), np.array([count])
            assert_same_bits(np.array(_times(array, counts)), np.array(float(array.astype("f8") @ counts)))


@every_backend
@pytest.mark.parametrize("layers", [
    [Dense(5), Dense(3)],
    [Dense(5, kernel_regularizer="l2"), Dense(3)],
    [Flatten(), Dense(3)],
], ids=["plain", "penalty", "flatten"])  # fmt: skip
def test_one_block_is_evaluated_as_many_are(backend, layers):
    shape = (2, 2) if isinstance(layers[0], Flatten) else 4
    layers = [type(layer)(**{k: v for k, v in layer.get_config().items() if k != "name"}) for layer in layers]
    model = model_of(backend, layers=layers, input_shape=shape, metrics=["accuracy", "confusion_matrix"])
    x = (WHOLE / 7).reshape(7, *np.atleast_1d(shape)).astype("f4")
    long = model.evaluate(x, LABELS, sample_weight=np.ones(7))
    for _ in range(2):
        got = model.evaluate(x, LABELS)
        assert got["loss"] == long["loss"] and got["accuracy"] == long["accuracy"]
        assert (got["confusion_matrix"] == long["confusion_matrix"]).all()
    assert model.fit(x, LABELS, shuffle=False, verbose=0).history["loss"] == [got["loss"]]


@every_backend
@pytest.mark.parametrize("shuffle", [True, False])
def test_data_sets_of_other_lengths_in_turn(backend, shuffle):
    model, other = model_of(backend), model_of(backend)
    for rows in (7, 5, 7, 3):
        x, y = WHOLE[:rows].astype("f4"), LABELS[:rows]
        model.fit(x, y, batch_size=2, epochs=2, seed=1, shuffle=shuffle, verbose=0)
        rng = np.random.default_rng(1)
        for _ in range(2):
            order = rng.permutation(rows) if shuffle else np.arange(rows)
            for start in range(0, rows, 2):
                other.train_on_batch(x[order[start : start + 2]], y[order[start : start + 2]])
        assert bits(model) == bits(other)


@every_backend
@pytest.mark.parametrize("shuffle", [True, False])
def test_no_call_keeps_arrays(backend, shuffle):
    model = warm(model_of(backend))
    calls = (
        lambda x, y: model.fit(x, y, batch_size=2, shuffle=shuffle, verbose=0), model.train_on_batch, model.evaluate,
        lambda x, y: steps(model, x, y),
    )  # fmt: skip
    for call in calls:
        x, y = WHOLE.astype("f4"), LABELS.copy()
        gone = [weakref.ref(array) for array in (x, y)]
        call(x, y)
        del x, y
        gc.collect()
        assert [ref() for ref in gone] == [None, None]


@compiled
def test_a_step_leaves_no_address_behind(backend):
    model, x, y = warm(model_of(backend)), WHOLE.astype("f4"), LABELS.copy()
    model.train_on_batch(x, y)
    # batches are gathered where the step had its arrays
    model.fit(-WHOLE, 2 - LABELS, verbose=0)
    assert (x == WHOLE).all() and (y == LABELS).all()
    model.program.run(check="numpy")


def test_the_seed_of_a_fit_without_one_repeats_it():
    runs = []
    for seed in (None, None, "last"):
        model = model_of()
        history = model.fit(WHOLE, LABELS, batch_size=2, seed=runs[-1][0] if seed else None, verbose=0)
        runs.append((model.fit_seed, history.history["loss"], bits(model)))
    assert runs[0][0] != runs[1][0] and runs[0][0].bit_length() > 64
    assert runs[1] == runs[2]


# -------------------------------------------------------------------------------------------- the entry
def test_an_entry_by_itself():
    model = warm(model_of())
    x = WHOLE.astype("f4")
    for call in (model.engine().step, model.engine().fits, model._by_hand.forward):
        with pytest.raises(TypeError, match=r"arguments are taken for \d ports, got 5"):
            call(x, LABELS, 1, 2, 3)
    turn = (model._turns, None, None, None, None, [], [])
    port = (0, np.zeros(4), None, (1,), None, None, False, None)
    runner = model.program.executor.runner
    with pytest.raises(ValueError, match="at most 16 ports, got 17"):
        Entry(runner, [port] * 17, None, (0, 0, 0), 1, turn)
    with pytest.raises(ValueError, match="at most 6 dimensions of a row, got 7"):
        Entry(runner, [(*port[:3], (1,) * 7, *port[4:])], None, (0, 0, 0), 1, turn)
    with pytest.raises(ValueError, match="a port of bytes takes any of them; it has bounds"):
        Entry(runner, [(0, np.zeros(4, np.uint8), None, (1,), 0, 9, False, None)], [], (0, 0, 0), 1, turn)
