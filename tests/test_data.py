"""What data may be: frames, objects, streams of batches, memory-mapped files; and what comes of the rest."""

import datetime
from decimal import Decimal

import numpy as np
import pytest
from _arrays import assert_same_bits

import fastbp
from fastbp import Dense, Sequential, metrics

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
    "complex": (lambda pd: 1j, "complex128", r"1j\. np\.abs\(x\)"),
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


def test_the_first_value_of_several_types(pd):
    with pytest.raises(TypeError, match=r"^column 'c' of x has dtype object; .*: row 4 is 'x'"):
        model_of().fit(frame_of(pd, c=np.array([0.5] * 4 + ["x"] * (ROWS - 4), dtype=object)), Y, verbose=0)
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
