"""What data may be: frames, objects, streams of batches, memory-mapped files; and what comes of the rest."""

import datetime
import sys
import tracemalloc
from decimal import Decimal
from importlib.util import find_spec

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Callback, Dense, Dropout, Sequential, metrics
from fastbp.data import as_features

ROWS = 40
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype("float32")
Y = (X[:, 0] > 0).astype(int)
LABELS = "sparse_categorical_crossentropy"


def model_of(loss=LABELS, outputs=2, **options):
    model = Sequential([Dense(outputs)], seed=0)
    model.compile("adam", loss, **options)
    return model


def bits(model):
    return b"".join(array.tobytes() for array in model.get_weights())


def trained(x, y, **options):
    model = model_of()
    model.fit(x, y, epochs=2, seed=0, verbose=0, **options)
    return bits(model)


# ------------------------------------------------------------------------------------------ frames and objects
@pytest.fixture
def pd():
    return pytest.importorskip("pandas")


def frame_of(pd, **columns):
    """Return floats under an index that is in no order."""
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}, index=range(7, 7 + 2 * ROWS, 2)[::-1]).assign(**columns)


FRAMES = {
    "bool": lambda pd: Y.astype(bool),
    "integers": lambda pd: Y,
    "Int64": lambda pd: pd.array(Y, dtype="Int64"),
    "boolean": lambda pd: pd.array(Y.astype(bool), dtype="boolean"),
    "Float64": lambda pd: pd.array(Y, dtype="Float64"),
    "UInt8": lambda pd: pd.array(Y, dtype="UInt8"),
    "object": lambda pd: Y.astype(object),
    "objects of several types": lambda pd: np.array([bool(v) if v else 0.0 for v in Y], dtype=object),
    "category": lambda pd: pd.Categorical(Y),
    "sparse": lambda pd: pd.arrays.SparseArray(Y.astype(float)),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_that_hold_numbers(kind, pd):
    frame = frame_of(pd, c=FRAMES[kind](pd))
    right = trained(np.column_stack([X[:, :2], Y]), Y)
    assert trained(frame, Y) == right
    assert trained(frame.astype(object), Y) == right
    # rows by their position, whatever their index
    y = pd.Series(FRAMES[kind](pd), index=range(ROWS)[::-1])
    assert trained(frame, y) == right == trained(frame, y.to_frame("y"))
    assert trained(frame, Y, sample_weight=y) == trained(frame, Y, sample_weight=Y)
    model = model_of()
    model.fit(frame, y, verbose=0)
    assert_same_bits(model.predict(frame), model.predict(np.column_stack([X[:, :2], Y])))
    assert model.evaluate(frame, y)["loss"] == model.evaluate(np.column_stack([X[:, :2], Y]), Y)["loss"]
    assert metrics.accuracy_score(y, pd.Series(Y)) == metrics.f1_score(y, Y) == 1
    assert metrics.mean_absolute_error(y, Y) == 0


class Frame:
    """A data frame as polars has it: columns by number behind a comma, dtypes of its own."""

    def __init__(self, **columns):
        self._columns = columns

    columns = property(lambda self: list(self._columns))
    dtypes = property(lambda self: [type(column).__name__ for column in self._columns.values()])

    def __getitem__(self, at):
        return Series(list(self._columns.values())[at[1]])

    def __array__(self, *options, **more):
        raise AssertionError("a frame of several types is taken column by column")


class Series:
    def __init__(self, values):
        self.values, self.dtype = values, "String"

    def __array__(self, *options, **more):
        return np.asarray(self.values)


def test_frames_of_another_library():
    frame = Frame(a=X[:, 0], b=X[:, 1], c=Y.astype(bool).tolist())
    assert trained(frame, Y) == trained(np.column_stack([X[:, :2], Y]), Y)
    with pytest.raises(ValueError, match=r"^column 'b' of x, row 2, is nan"):
        model_of().fit(Frame(a=Y, b=[None if k == 2 else k for k in range(ROWS)], c=Y), Y, verbose=0)
    with pytest.raises(
        TypeError, match=r"^column 'c' of x has dtype String; .* row 0 is 'u'\. x\.to_dummies\(\) makes"
    ):
        model_of().fit(Frame(a=Y, b=Y, c=["u"] * ROWS), Y, verbose=0)


def test_columns_of_one_name(pd):
    frame = pd.DataFrame(np.column_stack([X[:, :2], Y]), columns=["a", "a", "b"]).astype({"b": bool})
    assert trained(frame, Y) == trained(np.column_stack([X[:, :2], Y]), Y)


def test_arrays_of_objects():
    assert trained(X.astype(object), Y.astype(object)) == trained(X, Y)
    decimals = [[Decimal("0.5"), 1, True], [Decimal(2), 0.25, False]]
    assert trained(decimals, [0, 1]) == trained([[0.5, 1, 1], [2, 0.25, 0]], [0, 1])


MISSING = {
    "NaN": lambda pd, c: c.where(np.arange(ROWS) != 3),
    "Int64": lambda pd, c: c.round().astype("Int64").where(np.arange(ROWS) != 3),
    "boolean": lambda pd, c: (c > 0).astype("boolean").where(np.arange(ROWS) != 3),
    "category": lambda pd, c: c.round().astype("category").where(np.arange(ROWS) != 3),
    "None": lambda pd, c: c.astype(object).where(np.arange(ROWS) != 3, None),
}


def calls(x, y):
    """Return every call that takes rows and targets, by its name, as functions of a model."""
    return {
        "fit": lambda m: m.fit(x, y, verbose=0),
        "evaluate": lambda m: m.evaluate(x, y),
        "train_on_batch": lambda m: m.train_on_batch(x, y),
        "validation": lambda m: m.fit(X, Y, validation_data=(x, y), verbose=0),
        "blame": lambda m: fastbp.blame(m, x, y),
        "gradient_check": lambda m: fastbp.gradient_check(m, x, y),
        **({"minimize": lambda m: fastbp.minimize(m, x, y)} if find_spec("scipy") else {}),
    }


@pytest.mark.parametrize("kind", MISSING)
def test_missing_values_are_named(kind, pd):
    frame = frame_of(pd, c=X[:, 2])
    frame["c"] = MISSING[kind](pd, frame.c)
    model = model_of()
    for name, call in calls(frame, Y).items():
        of = r"validation_data\[0\]" if name == "validation" else "x"
        with pytest.raises(ValueError, match=f"^column 'c' of {of}, row 3, is nan; {of} must be finite"):
            call(model)
    with pytest.raises(ValueError, match=r"^y\[3\] is nan; labels must be whole numbers"):
        model.fit(X, MISSING[kind](pd, frame_of(pd, c=Y.astype(float)).c), verbose=0)
    # as everywhere, NaN passes through predictions
    found = model_of().predict(frame)
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, 0)).all()


NO_NUMBERS = {
    "text": (lambda pd: "Rome", r"str|object", r"'Rome'\. pandas\.get_dummies\(x\) makes a column of 0 and 1"),
    "text of numbers": (lambda pd: "1.5", r"str|object", r"'1\.5'\. x\['c'\]\.astype\(float\) reads"),
    "category": (lambda pd: pd.Categorical(["u"] * ROWS), "category", r"'u'\. pandas\.get_dummies"),
    "dates": (lambda pd: pd.Timestamp("2020-02-03"), r"datetime64\[.*\]", r"'2020-02-03T.*\(x\['c'\] - .* makes days"),
    "zoned": (lambda pd: pd.Timestamp("2020-02-03", tz="UTC"), r"datetime64\[.*UTC\]", "Timestamp.* makes days"),
    "times": (lambda pd: pd.Timedelta("2D"), r"timedelta64\[.*\]", r".*\. x\['c'\] / np\.timedelta64\(1, 'D'\)"),
    "complex": (lambda pd: 1j, "complex128", r"1j\. np\.abs\(x\['c'\]\), np\.real\("),
}  # fmt: skip


@pytest.mark.parametrize("kind", NO_NUMBERS)
def test_what_is_no_number_is_named(kind, pd):
    make, dtype, message = NO_NUMBERS[kind]
    frame = frame_of(pd, c=make(pd))
    message = f"^column 'c' of x has dtype ({dtype}); it must hold real numbers: row 0 is {message}"
    for name, call in calls(frame, Y).items():
        said = message if name != "validation" else r"^column 'c' of validation_data\[0\] has dtype .*: row 0 is "
        with pytest.raises(TypeError, match=said):
            call(model_of())
    with pytest.raises(TypeError, match=message):
        model_of().predict(frame)
    with pytest.raises(TypeError, match=message):
        model = model_of()
        model.forward(frame)


def test_records_are_no_columns():
    records = np.zeros(4, [("a", "f4"), ("b", "f4")])
    with pytest.raises(TypeError, match=r"numpy\.lib\.recfunctions\.structured_to_unstructured\(x\) makes columns"):
        model_of().predict(records)


def test_the_first_value_of_several_types(pd):
    with pytest.raises(TypeError, match=r"^column 'c' of x has dtype object; .*: row 4 is 'x'"):
        model_of().fit(frame_of(pd, c=np.array([0.5] * 4 + ["x"] * (ROWS - 4), dtype=object)), Y, verbose=0)
    times = np.array([np.timedelta64(1, "D")] * ROWS, dtype=object)[:, None]  # NumPy counts them among the integers
    with pytest.raises(TypeError, match=r"^x has dtype object; .*: x\[0, 0\] is .*timedelta64.* makes days"):
        model_of().predict(times)
    x = X.astype(object)
    x[7, 1] = datetime.date(2020, 1, 1)
    with pytest.raises(TypeError, match=r"^x has dtype object; .*: x\[7, 1\] is datetime.*days"):
        model_of().fit(x, Y, verbose=0)


@pytest.mark.parametrize("make", [np.array, list, lambda v: np.array(v, object), "series", "frame"])
def test_text_labels(make, pd):
    text = ["cat", "dog"] * (ROWS // 2)
    y = pd.Series(text) if make == "series" else pd.DataFrame({"kind": text}) if make == "frame" else make(text)
    which = r"y\['kind'\]" if make == "frame" else "y"
    where = "row 0" if make == "frame" else r"y\[0\]"
    message = rf": {where} is 'cat'\. np\.unique\({which}, return_inverse=True\)\[1\] makes numbers of text labels"
    for name, call in calls(X, y).items():
        if name != "validation":
            with pytest.raises(TypeError, match=message):
                call(model_of())
    model = model_of()
    model.forward(X)
    with pytest.raises(TypeError, match=r"^(column 'kind' of )?y_true has dtype .*np\.unique\(y_true"):
        model.loss(y)
    # the advice works
    labels = np.unique(y["kind"] if make == "frame" else y, return_inverse=True)[1]
    assert trained(X, labels) == trained(X, [0, 1] * (ROWS // 2))


def test_labels_of_metrics(pd):
    names = pd.Series(["a", "b", "b"])
    assert metrics.accuracy_score(names, np.array(["a", "b", "c"])) == metrics.accuracy_score([1, 2, 2], [1, 2, 3])
    assert metrics.accuracy_score(pd.Series([1, 0], dtype=object), [True, False]) == 1
    with pytest.raises(ValueError, match=r"^y_true\[1\] is nan; labels must be whole numbers"):
        metrics.accuracy_score(pd.Series([1, None], dtype="Int64"), [1, 0])
    with pytest.raises(TypeError, match=r"^y_pred has dtype object; .*: y_pred\[0\] is 'a'"):
        metrics.accuracy_score([1, 0], pd.Series(["a", 1], dtype=object))


class Tensor:
    """What a tensor with gradients does when NumPy asks for its array."""

    def __array__(self, *options, **more):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


def test_tensors_that_are_no_arrays():
    for call in calls(Tensor(), Y).values():
        with pytest.raises(TypeError, match=r" is a Tensor of which NumPy makes no array: .*detach\(\)"):
            call(model_of())


def test_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse")
    for x in (sparse.csr_matrix(X), sparse.coo_array(X)):
        for call in calls(x, Y).values():
            with pytest.raises(TypeError, match=r"(x|validation_data\[0\]) is a sparse .*\.toarray\(\) makes an array"):
                call(model_of())


def test_numbers_beyond_every_float():
    with pytest.raises(ValueError, match=r"^x holds integers that are too large for float64"):
        model_of().fit([[10**400, 1, 2]], [0], verbose=0)


# ------------------------------------------------------------------------------------------ feeds
every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
WEIGHTS = np.linspace(0.5, 2, ROWS)
SIZES = (7, 1, 16, 12, 4)
ENDS = np.cumsum(SIZES)


def batches(weighted=False, x=X, y=Y):
    """Return batches of several sizes that have all rows in their order."""
    pairs = [(x[end - n : end], y[end - n : end]) for n, end in zip(SIZES, ENDS, strict=True)]
    return (
        [(*pair, WEIGHTS[end - len(pair[0]) : end]) for pair, end in zip(pairs, ENDS, strict=True)]
        if weighted
        else pairs
    )


class Loader:
    """What can be iterated over again and again, and says how many batches it has."""

    def __init__(self, items):
        self.items, self.begun = items, 0

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        self.begun += 1
        return iter([list(item) for item in self.items])


class Numbered:
    """Batches by number, as Keras has them."""

    def __init__(self, items):
        self.items, self.ended = items, 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, k):
        return self.items[k]

    def on_epoch_end(self):
        self.ended += 1


def net(backend=None, loss=LABELS, outputs=2, **options):
    model = Sequential([Dense(8, activation="tanh"), Dropout(0.2), Dense(outputs)], input_shape=3, seed=0)
    model.compile("adam", loss, backend=backend, **options)
    return model


@every_backend
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["loader", "by number", "generator", "generator that goes on"])
def test_the_bits_of_train_on_batch(kind, weighted, backend):
    items, model, twin = batches(weighted), net(backend), net(backend)
    given, steps = {
        "loader": (Loader(items), None),
        "by number": (Numbered(items), None),
        "generator": ((item for item in items * 3), 5),
        "generator that goes on": ((item for item in items * 9), 5),
    }[kind]
    history = model.fit(given, epochs=3, steps_per_epoch=steps, seed=3, verbose=0).history
    # the same streams for dropout, and nothing trained
    twin.fit(X, Y, initial_epoch=1, epochs=1, seed=3, verbose=0)
    losses = [twin.train_on_batch(*item) for item in items * 3]
    assert bits(model) == bits(twin)
    assert_same_bits(model.batch_losses, np.array(losses, "float32"))
    assert model.optimizer.iterations == 15
    assert_same_bits(np.array(history["loss"]), [np.dot(losses[k : k + 5], SIZES) / ROWS for k in (0, 5, 10)])


@every_backend
def test_an_epoch_of_arrays_and_of_their_batches(backend):
    options = {"metrics": ["accuracy", metrics.SparseTopKCategoricalAccuracy(2)], "backend": backend}
    model, twin = net(**options), net(**options)
    pairs = [(X[k : k + 16], Y[k : k + 16]) for k in range(0, ROWS, 16)]
    one = model.fit(Loader(pairs), epochs=3, seed=3, verbose=0, validation_data=Loader(pairs), class_weight={1: 3.0})
    other = twin.fit(X, Y, 16, 3, shuffle=False, seed=3, verbose=0, validation_data=(X, Y), class_weight={1: 3.0})
    assert bits(model) == bits(twin)
    for name in ("loss", "accuracy", "sparse_top_k_categorical_accuracy"):
        assert one.history[name] == other.history[name]
        # evaluated block by block, as they come
        assert one.history[f"val_{name}"] == pytest.approx(other.history[f"val_{name}"], rel=1e-6)


def test_thousands_of_batches():
    x, y = np.tile(X, (55, 1)), np.tile(Y, 55)
    model, twin = net(metrics=["accuracy"]), net(metrics=["accuracy"])
    pairs = [(x[k : k + 1], y[k : k + 1]) for k in range(len(x))]
    fed = model.fit(iter(pairs), seed=3, verbose=0)
    rows = twin.fit(x, y, 1, shuffle=False, seed=3, verbose=0)
    assert fed.history == rows.history and bits(model) == bits(twin)
    assert_same_bits(model.batch_losses, twin.batch_losses)
    assert model.evaluate(iter(pairs)) == twin.evaluate(x, y, batch_size=1)


def test_a_loader_of_torch():
    torch = pytest.importorskip("torch")
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=16)
    model, twin = net(), net()
    fed = model.fit(loader, epochs=2, seed=3, verbose=0, validation_data=loader)
    rows = twin.fit(X, Y, 16, 2, False, seed=3, verbose=0, validation_data=(x, y))
    assert fed.history["loss"] == rows.history["loss"] and bits(model) == bits(twin)
    right = np.concatenate([twin.predict(X[k : k + 16]) for k in range(0, ROWS, 16)])
    assert_same_bits(model.predict(loader), right)
    only = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), batch_size=16)
    assert_same_bits(model.predict(only), right)
    with pytest.raises(TypeError, match=r"^x is a Parameter of which NumPy makes no array: .*detach"):
        model.train_on_batch(torch.nn.Parameter(x), y)
    with pytest.raises(ValueError, match=r"^batch 1 of x: x has shape \(3,\); it must be \(rows, 3\)"):
        model.fit(data, verbose=0)


def test_ignored_labels_of_batches():
    loss = fastbp.losses.SparseCategoricalCrossEntropy(from_logits=True, ignore_index=-1)
    y = np.where(np.arange(ROWS) % 7 < 3, -1, Y)
    pairs = [(X[k : k + 16], y[k : k + 16]) for k in range(0, ROWS, 16)]
    model, twin = net(loss=loss), net(loss=loss)
    fed, rows = model.fit(Loader(pairs), epochs=2, seed=3, verbose=0), twin.fit(X, y, 16, 2, False, seed=3, verbose=0)
    assert fed.history == rows.history
    assert model.evaluate(Loader(pairs))["loss"] == pytest.approx(twin.evaluate(X, y)["loss"], rel=1e-6)
    assert model.evaluate(X.astype(float), y) == twin.evaluate(X, y)


def test_an_iterable_that_is_begun_anew():
    loader, numbered, model = Loader(batches()), Numbered(batches()), net()
    model.fit(loader, epochs=3, verbose=0)
    assert loader.begun == 3
    model.fit(numbered, epochs=3, verbose=0)
    assert numbered.ended == 3 and model.history.params["steps"] == 5
    # epochs of another length go on where the last one stopped
    seen = []
    watched = Loader(batches())
    model.fit(watched, epochs=4, steps_per_epoch=2, verbose=0, callbacks=[fastbp.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(batch))])  # fmt: skip
    assert seen == [0, 1] * 4 and watched.begun == 2 and model.history.params["steps"] == 2


def test_an_iterator_keeps_what_is_not_taken():
    items = iter(batches())
    net().fit(items, steps_per_epoch=2, verbose=0)
    assert next(items)[0] is not None and len(list(items)) == 2


@pytest.mark.parametrize(
    ("length", "epochs", "after"), [(7, 2, "epoch 2, after 2 of 5"), (5, 1, "epoch 2, after 0 of 5")]
)
def test_an_iterator_that_runs_out(length, epochs, after):
    model = net()
    with pytest.warns(UserWarning) as caught:
        history = model.fit(iter((batches() * 2)[:length]), epochs=4, steps_per_epoch=5, verbose=0)
    assert [str(warning.message) for warning in caught] == [f"x ran out of batches in {after}"]
    assert len(history.epoch) == epochs and len(model.batch_losses) == length
    assert model.optimizer.iterations == length
    with pytest.warns(UserWarning) as caught:
        history = model.fit(X, Y, epochs=3, validation_data=iter(batches()), validation_steps=4, verbose=0)
    said = [str(warning.message) for warning in caught]
    assert said == [f"validation_data ran out of batches in epoch {k}, after {n} of 4" for k, n in ((2, 1), (3, 0))]
    assert np.isfinite(history.history["val_loss"]).tolist() == [True, True, False]


class Spent(Loader):
    """What can be iterated over once, and does not say so."""

    def __iter__(self):
        return super().__iter__() if not self.begun else iter([])


def test_an_iterable_that_is_empty_when_it_is_begun_anew():
    for steps, after in ((None, "epoch 2, after 0"), (4, "epoch 2, after 1 of 4")):
        with pytest.warns(UserWarning, match=f"^x ran out of batches in {after}$"):
            history = net().fit(Spent(batches()), epochs=3, steps_per_epoch=steps, verbose=0)
        assert len(history.epoch) == (1 if steps is None else 2)


REFUSED = {
    "an iterator and epochs": (lambda m: m.fit(iter(batches()), epochs=2), r"over once, .* 2 epochs; give steps_per_"),
    "y": (lambda m: m.fit(iter(batches()), Y), "^y is given beside x, a list_iterator, which yields batches"),
    "weights": (lambda m: m.fit(Loader(batches()), sample_weight=WEIGHTS), "^sample_weight is given beside x, a Load"),
    "balanced": (lambda m: m.fit(Loader(batches()), class_weight="balanced"), "^class_weight is 'balanced', which"),
    "a split": (lambda m: m.fit(Loader(batches()), validation_split=0.5), "^validation_split is 0.5 and x yields"),
    "a checkpoint": (lambda m: m.fit(Loader(batches()), checkpoint="a"), "^checkpoint is 'a' and x yields batches"),
    "no batches": (lambda m: m.fit(iter([])), "^x has no batches; it must yield one at least"),
    "steps of arrays": (lambda m: m.fit(X, Y, steps_per_epoch=2), "^steps_per_epoch is 2; it is for iterables"),
    "validation": (lambda m: m.fit(X, Y, epochs=2, validation_data=iter(batches())), "2 epochs; give validation_steps"),
    "validation steps": (lambda m: m.fit(X, Y, validation_data=(X, Y), validation_steps=2), "^validation_steps is 2"),
    "steps": (lambda m: m.evaluate(X, Y, steps=2), "^steps is 2; it is for iterables of batches, and x is none"),
    "rows": (lambda m: m.fit(iter([(X[0], Y[0])])), r"^batch 1 of x: x has shape \(3,\); .*x\[None\]"),
    "four parts": (lambda m: m.fit(iter([(X, Y, Y, Y)])), r"^batch 1 of x: it is a tuple of 4; it must be \(x, y\) or"),
    "NaN": (lambda m: m.fit(iter([(X, Y), (X * np.nan, Y)])), r"^batch 2 of x: x\[0, 0\] is nan"),
    "a label": (lambda m: m.fit(Loader([(X, Y + 1)])), r"^batch 1 of x: y\[\d+\] is 2; labels must be in 0 .. 1"),
    "no steps": (lambda m: m.fit(iter(batches()), steps_per_epoch=0), "^steps_per_epoch is 0; it must be at least 1"),
    "nothing to evaluate": (lambda m: m.evaluate(iter([])), "^x has no batches"),
    "evaluated labels": (lambda m: m.evaluate(iter([(X, Y), (X, Y + 1)])), r"^batch 2 of x: y\[\d+\] is 2"),
    "nothing to predict": (lambda m: m.predict(iter([])), "^x has no batches"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_feed_cannot_be(case):
    call, message = REFUSED[case]
    model = net()
    model.evaluate(X, Y)
    before = bits(model)
    with pytest.raises(ValueError, match=message):
        call(model)
    assert (bits(model) == before) == (case != "NaN")
    model.fit(X, Y, verbose=0)


def test_items_that_are_no_batches():
    for item, what in ((X, "ndarray"), ({"x": X, "y": Y}, "dict"), (3, "int")):
        with pytest.raises(TypeError, match=rf"^batch 1 of x: it is a {what}; it must be \(x, y\) or \(x, y, sample_w"):
            net().fit(iter([item]), verbose=0)


def test_lists_and_tuples_are_data():
    """They never are feeds, whatever lies in them."""
    for x in ([X[:20], X[20:]], (X[:20], X[20:]), [(X, Y)], batches()):
        with pytest.raises((TypeError, ValueError), match=r"^x (has shape|is not a rectangular array)"):
            net().fit(x, Y, verbose=0)
        with pytest.raises((TypeError, ValueError), match=r"^(x|y) (has shape|is not a rectangular array|is None)"):
            net().fit(x, verbose=0)
    # other sequences, too, where there are targets
    from collections import UserList

    assert trained(UserList(X.tolist()), Y) == trained(X, Y)


def test_a_feed_builds_the_model():
    model = Sequential([Dense(4), Dense(2)], seed=0)
    model.compile("adam", LABELS)
    with pytest.raises(ValueError, match=r"^batch 1 of x: y has 39 rows"):
        model.fit(iter([(X, Y[:-1])]), verbose=0)
    assert model.layout is None
    for call in (
        lambda m, pairs: m.fit(pairs, verbose=0),
        lambda m, pairs: m.evaluate(pairs),
        lambda m, pairs: m.predict(pairs),
    ):
        model = Sequential([Dense(4), Dense(2)], seed=0)
        model.compile("adam", LABELS)
        call(model, iter([(X, Y)]))
        assert model.input_shape == (3,)


class Broken(Exception):
    pass


class Two(ValueError):
    def __init__(self, one, other):
        super().__init__(one, other)


def test_an_error_of_the_users_is_not_made_anew():
    class Picky(Dense):
        def check_data(self, name, x):
            raise Two(name, 1)

    model = fastbp.Sequential([Picky(3)])
    model.compile("sgd", LABELS)
    with pytest.raises(Two):
        model.fit(Loader(batches()), verbose=0)

    def rates(step):
        raise Two("lr", 1)

    with pytest.raises(Two):
        fastbp.optimizers.SGD(lr=rates)


@every_backend
@pytest.mark.parametrize("error", [Broken, KeyboardInterrupt, MemoryError])
def test_an_error_of_the_iterable_comes_out(error, backend):
    def items():
        yield from batches()[:3]
        raise error

    model, twin, ends = net(backend), net(backend), []

    class Watch(Callback):
        def on_train_end(self):
            ends.append(len(self.model.batch_losses))

    with pytest.raises(error):
        model.fit(items(), seed=3, verbose=0, callbacks=[Watch()])
    twin.fit(iter(batches()[:3]), seed=3, verbose=0)
    assert bits(model) == bits(twin) and len(ends) == 1
    assert model.optimizer.iterations == 3
    # nobody uses the model any more
    model.fit(Loader(batches()), verbose=0)
    with pytest.raises(error):
        model.evaluate(items())
    with pytest.raises(error):
        model.fit(X, Y, validation_data=items(), verbose=0)
    model.train_on_batch(X, Y)


@every_backend
def test_an_iterable_that_uses_the_model(backend):
    seen = []

    def items(change=None):
        for x, y in batches():
            seen.append(model.predict(x))
            if change is not None:
                change()
            yield x, y

    model, twin = net(backend), net(backend)
    model.fit(items(), seed=3, verbose=0)
    twin.fit(X, Y, initial_epoch=1, epochs=1, seed=3, verbose=0)
    for (x, y), found in zip(batches(), seen, strict=True):
        assert_same_bits(found, twin.predict(x))
        twin.train_on_batch(x, y)
    assert model.evaluate(items())["loss"] == model.evaluate(Loader(batches()))["loss"]
    with pytest.raises(RuntimeError, match="fit is running; within it this model may predict"):
        model.fit(items(lambda: model.train_on_batch(X, Y)), verbose=0)
    with pytest.raises(RuntimeError, match="a call that reads this model"):
        model.evaluate(items(lambda: model.train_on_batch(X, Y)))
    model.train_on_batch(X, Y)


def test_callbacks_of_a_feed():
    seen = []

    class Watch(Callback):
        def on_train_begin(self):
            seen.append({name: self.params[name] for name in ("steps", "rows", "batch_size")})

        def on_train_batch_begin(self, batch):
            seen.append(batch)

        def on_train_batch_end(self, batch, logs):
            seen.append((batch, sorted(logs)))
            self.model.stop_training = batch == 2

        def on_epoch_end(self, epoch, logs):
            seen.append((epoch, logs["loss"]))

    model = net(metrics=["accuracy"])
    model.fit((item for item in batches()), verbose=0, callbacks=[Watch()])
    names = ["accuracy", "loss"]
    assert seen[:-1] == [{"steps": None, "rows": None, "batch_size": None},
                         0, (0, names), 1, (1, names), 2, (2, names)]  # fmt: skip
    # what was trained counts
    assert seen[-1][1] == np.dot(model.batch_losses.astype(float), SIZES[:3]) / sum(SIZES[:3])
    assert model.optimizer.iterations == 3


@pytest.mark.parametrize("given", [lambda: Loader(batches()), lambda: (item for item in batches() * 2)])
def test_the_bar_of_a_feed(given, capsys):
    pytest.importorskip("tqdm")
    net().fit(given(), epochs=2, steps_per_epoch=5, verbose=1)
    assert "10/10" in capsys.readouterr().err
    net().fit((item for item in batches()), verbose=1)
    assert "5batch [" in capsys.readouterr().err

    class Unknown(Loader):
        __len__ = None

    net().fit(Unknown(batches()), epochs=3, verbose=1)
    assert "15batch [" in capsys.readouterr().err


@every_backend
def test_a_loss_that_is_not_finite_names_the_batch(backend):
    model = net(backend, "mse", 1)
    items = [(X, Y), (X[:5], np.full(5, 3e38)), (X, Y)]
    with pytest.raises(FloatingPointError, match=r"^the loss is inf in epoch 2, batch 1: "):
        model.fit(iter([(X, Y), (X, Y), *items[1:]]), epochs=2, steps_per_epoch=2, verbose=0)
    assert model.optimizer.iterations == 2
    model.fit(iter(items), stop_on_nan=False, verbose=0)
    assert np.isinf(model.batch_losses[1])


@pytest.mark.parametrize("numerics", ["numpy", "portable"])
def test_evaluate_and_predict_of_a_feed(numerics):
    model = net(loss="binary_crossentropy", outputs=1, numerics=numerics, metrics=["accuracy", "auc", "f1_score"])
    model.fit(X, Y, verbose=0)
    known = model.evaluate(X, Y)
    for given in (Loader(batches()), Numbered(batches()), iter(batches())):
        found = model.evaluate(given)
        assert found.keys() == known.keys()
        assert list(found) == pytest.approx(list(known), rel=1e-6)
    weighted = model.evaluate(X, Y, sample_weight=WEIGHTS)
    assert model.evaluate(Loader(batches(True)))["loss"] == pytest.approx(weighted["loss"], rel=1e-6)
    assert model.evaluate(Loader(batches()), steps=1) == model.evaluate(X[:7], Y[:7])
    right = np.concatenate([model.predict(x) for x, _ in batches()])
    for items in (
        batches(),
        [x for x, _ in batches()],
        [[x] for x, _ in batches()],
        [x.tolist() for x, _ in batches()],
    ):
        assert_same_bits(model.predict(iter(items)), right)
    assert_same_bits(model.predict(Loader(batches(True))), right)


def test_a_schedule_moves_with_the_batches_of_a_feed():
    rates = fastbp.schedules.ExponentialDecay(0.1, 2, 0.5)
    model, twin = net(), net()
    for other in (model, twin):
        other.compile(fastbp.optimizers.SGD(lr=rates), LABELS)
    history = model.fit(Loader(batches()), epochs=2, seed=3, verbose=0).history
    twin.fit(X, Y, initial_epoch=1, epochs=1, seed=3, verbose=0)
    for item in batches() * 2:
        twin.train_on_batch(*item)
    assert bits(model) == bits(twin)
    assert history["lr"] == [rates(4), rates(9)]


def test_rows_that_a_generator_writes_anew():
    """A generator may hand out one buffer again and again."""

    def items():
        x, y = np.empty((10, 3), "float32"), np.empty(10, int)
        for k in range(0, ROWS, 10):
            x[...], y[...] = X[k : k + 10], Y[k : k + 10]
            yield x, y

    model, twin = net(), net()
    model.fit(items(), seed=3, verbose=0)
    twin.fit(X, Y, 10, shuffle=False, seed=3, verbose=0)
    assert bits(model) == bits(twin)


def test_a_buffer_of_training_and_validation():
    x, y = np.empty_like(X), np.empty_like(Y)

    class Shared:
        def __init__(self, given, kind):
            self.given, self.kind = given, kind

        def __iter__(self):
            for item in self.given:
                n = len(item[1])
                x[:n], y[:n] = item
                yield self.kind((x[:n], y[:n]))

    others = [(-item[0], item[1]) for item in batches()]
    model, twin = net(), net()
    found = model.fit(Shared(batches(), tuple), epochs=2, seed=3, verbose=0, validation_data=Shared(others, list))
    wanted = twin.fit(Loader(batches()), epochs=2, seed=3, verbose=0, validation_data=Loader(others))
    assert bits(model) == bits(twin) and found.history == wanted.history


# ------------------------------------------------------------------------------------------ conversion
KINDS = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">f8", ">i4", "g")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_bits_of_astype(kind, dtype):
    rng = np.random.default_rng(5)
    rows = 1 + (1 << 18) // 3  # more than one block
    for x in (rng.integers(0, 2, (9, 3)), rng.normal(size=(rows, 3)) * 100, rng.normal(size=(2, 5, 3))):
        with np.errstate(invalid="ignore"):
            x = x.astype(kind)
        for form in (x, np.asfortranarray(x), x[::-1], x[:, ::2] if x.ndim < 3 else x):
            found = as_features("x", form, form.shape[1:], dtype)
            assert_same_bits(found, np.ascontiguousarray(form).astype(dtype))
            assert found.flags.c_contiguous
            assert_same_bits(as_features("x", form, form.shape[1:], dtype, finite=False), found)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8", "g"])
def test_what_is_not_finite_is_found_anywhere(kind, order):
    rows = 100_000
    for row, column in ((0, 0), (0, 2), (4095, 1), (50_000, 2), (rows - 1, 2)):
        for value in (np.nan, np.inf, -np.inf, *([1e39, -1e300] if kind in ("f8", ">f8", "g") else [])):
            x = np.zeros((rows, 3), kind, order=order)
            x[row, column] = value
            x[row + 1 :, 0] = np.nan  # the first one is named
            big = r" \(too large for float32\)" if np.isfinite(value) else ""
            with pytest.raises(
                ValueError, match=rf"^x\[{row}, {column}\] is {value}{big}; x must be finite".replace("+", ".")
            ):
                as_features("x", x, (3,), "float32")


def test_the_largest_numbers_are_finite():
    for dtype in ("float32", "float64"):
        most = np.finfo(dtype).max
        for x in (np.full((5000, 3), most), np.full((5000, 3), -most, dtype)):
            assert_same_bits(as_features("x", x, (3,), dtype), x.astype(dtype))


def test_conversion_without_compiled_code(monkeypatch):
    import fastbp.data

    compiled = fastbp.data.filling()
    monkeypatch.setitem(sys.modules, "fastbp.runner", None)
    fastbp.data.filling.cache_clear()
    try:
        fill = fastbp.data.filling()
        assert fill is not compiled or compiled.__module__ == "fastbp.data"
        for value in (1.5, np.nan, 1e39):
            x, y = np.full((7, 3), value), np.empty((7, 3), "float32")
            with np.errstate(over="ignore"):
                assert fill(x, y) == compiled(x, y.copy()) == fill(y, y) == (value == 1.5)
    finally:
        fastbp.data.filling.cache_clear()


# ------------------------------------------------------------------------------------------ mapped files
def mapped(path, array):
    np.save(path, array)
    return np.load(path, mmap_mode="r")


def peak(call):
    """Return the most bytes that were allocated at a time; pages of a mapped file are not."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def large():
    """Return rows of 16 MB as float32: many times what a model allocates."""
    return np.random.default_rng(2).integers(0, 100, (1 << 14, 256)).astype("float32") / 64


@pytest.mark.parametrize("kind", ["f4", "u1", "f8", "i2", ">f4", "F"])
def test_mapped_files_stay_where_they_are(kind, large, tmp_path):
    array = np.asfortranarray(large) if kind == "F" else large.astype(kind)
    x = mapped(tmp_path / "x.npy", array)
    y = mapped(tmp_path / "y.npy", np.arange(len(x)) % 2)
    plain, labels = np.ascontiguousarray(array, "float32"), np.array(y)
    model, twin = (Sequential([Dense(2)], input_shape=256, seed=0) for _ in range(2))
    for other in (model, twin):
        other.compile("adam", LABELS, metrics=["accuracy"])
        other.train_on_batch(plain[:64], labels[:64])
    data = model.prepare(x, y)
    assert np.shares_memory(data.x[0], x) == (kind == "f4") and np.shares_memory(data.y[0], y)
    # block by block: what is converted is never there at once
    small = large.nbytes / 2
    assert peak(lambda: model.predict(x)) < small and peak(lambda: model.evaluate(x, y)) < small
    assert_same_bits(model.predict(x), model.predict(plain))
    for size in (512, 100, 1 << 14):
        assert model.evaluate(x, y, batch_size=size) == model.evaluate(plain, labels, batch_size=size)
    # trained on where they lie, bytes too, else as one converted copy
    taken = peak(lambda: model.fit(x, y, batch_size=256, seed=0, verbose=0))
    assert taken < small if kind in ("f4", "u1") else large.nbytes < taken < 2 * large.nbytes
    twin.fit(plain, labels, batch_size=256, seed=0, verbose=0)
    assert bits(model) == bits(twin)


def test_blocks_name_rows_by_their_place_in_the_file(large, tmp_path):
    array = large.astype(float)
    array[10_000, 7] = np.inf
    x, y = mapped(tmp_path / "x.npy", array), np.arange(len(large)) % 2
    model = Sequential([Dense(2)], input_shape=256, seed=0)
    model.compile("adam", LABELS)
    with pytest.raises(ValueError, match=r"^x\[10000, 7\] is inf; x must be finite"):
        model.evaluate(x, y)
    with pytest.raises(ValueError, match=r"^x has shape \(16384, 255\); it must be \(rows, 256\)"):
        model.evaluate(x[:, 1:], y)
    with pytest.raises(ValueError, match=r"^x has shape \(16384, 255\); it must be \(rows, 256\)"):
        model.predict(x[:, 1:])
    words = Sequential([fastbp.layers.Embedding(100, 2), fastbp.layers.Flatten(), Dense(2)], input_shape=256, seed=0)
    words.compile("adam", LABELS)
    numbers = np.zeros(large.shape, "i2")
    words.train_on_batch(numbers[:8], y[:8])
    numbers[12_345, 6] = 100
    for call in (lambda: words.predict(numbers[:, ::1][:, :]), lambda: words.evaluate(numbers, y)):
        with pytest.raises(ValueError, match=r"^x\[12345, 6\] is 100"):
            call()


def test_blocks_do_not_part_what_is_one_sample(large):
    rows = 16_383
    model = Sequential([Dense(4)], input_shape=256, seed=0)
    model.compile("sgd", "triplet_margin")
    x, y = large[:rows], np.arange(rows) % 3 // 2 + 2 * (np.arange(rows) // 3)
    model.train_on_batch(x[:6], y[:6])
    assert model.evaluate(x.astype(float), y) == model.evaluate(x, y)
    assert model.evaluate(x.astype(float), y, sample_weight=None, batch_size=3 << 12) == model.evaluate(x, y, 3 << 12)
