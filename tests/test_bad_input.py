"""Bad input is a clear error before anything changed; odd but sound input gives the right result."""

import gc

import numpy as np
import pytest
from _arrays import BACKENDS, assert_same_bits

import fastbp
from fastbp import Activation, Callback, Dense, Dropout, Sequential, kernels, layers, losses, optimizers, schedules
from fastbp.io import save_arrays

ALL_BACKENDS = ("numpy", *BACKENDS)
every_backend = pytest.mark.parametrize("backend", ALL_BACKENDS)
ROWS = 40
X = np.random.default_rng(0).normal(size=(ROWS, 4)).astype("float32")
Y = np.random.default_rng(1).integers(3, size=ROWS)
REAL = np.random.default_rng(2).random((ROWS, 3)).astype("float32")
HOT = np.eye(3, dtype="float32")[Y]
Labels = losses.SparseCategoricalCrossEntropy
LABELS, MSE = "sparse_categorical_crossentropy", "mse"


def model_of(backend="numpy", loss=LABELS, trained=True, optimizer=None, **options):
    model = Sequential([Dense(6, activation="tanh"), Dense(3)], input_shape=4, seed=0)
    model.compile(optimizer or optimizers.Adam(lr=0.01), loss, backend=backend, **options)
    if trained:
        y = Y if model.loss_function.targets == "labels" else HOT
        model.fit(X, y, batch_size=16, seed=0, verbose=0)
        model.predict(X)
        model.train_on_batch(X[:16], y[:16])
    return model


def everything(model):
    """Return all that a refused call must leave alone, as bits and texts."""
    arrays = {} if model.layout is None else model.snapshot()
    return (
        {name: (array.dtype.str, array.tobytes()) for name, array in arrays.items() if name != "gradients"},
        repr(model.optimizer), repr(model.loss_function), list(model.metric_names), model.backend, model.dtype,
        model.layout is not None,
    )  # fmt: skip


def refused(model, call, error, message):
    """Assert that a call is refused and leaves no trace."""
    before = everything(model)
    with pytest.raises(error, match=message):
        call(model)
    assert everything(model) == before


def both(model, x, y):
    """Return the calls that take x and y."""
    return {
        "fit": lambda m: m.fit(x, y, verbose=0),
        "evaluate": lambda m: m.evaluate(x, y),
        "train_on_batch": lambda m: m.train_on_batch(x, y),
        "validation": lambda m: m.fit(X, Y if m.loss_function.targets == "labels" else HOT,
                                      validation_data=(x, y), verbose=0),
    }  # fmt: skip


def at(array, place, value):
    array = array.copy()
    array[place] = value
    return array


# ------------------------------------------------------------------------------------------ data
BAD_X = {
    "one dimension": (X[0], ValueError, r"x has shape \(4,\); it must be \(rows, 4\); .* pass x\[None\]"),
    "three dimensions": (X[None], ValueError, r"x has shape \(1, 40, 4\)"),
    "too wide": (np.zeros((ROWS, 5)), ValueError, r"x has shape \(40, 5\); it must be \(rows, 4\)"),
    "transposed": (X.T, ValueError, r"x has shape \(4, 40\)"),
    "a number": (3.0, ValueError, "x is a single number"),
    "nothing": (None, TypeError, "x is None; it must be an array of real numbers"),
    "empty": (X[:0], ValueError, "x is empty"),
    "an empty list": ([], ValueError, "x is empty"),
    "no columns": (np.zeros((ROWS, 0)), ValueError, r"x has shape \(40, 0\)"),
    "ragged": ([[1, 2, 3, 4], [1, 2]], ValueError, "x is not a rectangular array"),
    "objects": (at(X.astype(object), (3, 1), object), TypeError, r"x has dtype object; .*: x\[3, 1\] is <class"),
    "text": (X.astype(str), TypeError, "x has dtype <U"),
    "bytes": (X.astype("S"), TypeError, "x has dtype [|]S"),
    "complex": (X.astype(complex), TypeError, "x has dtype complex128"),
    "dates": (np.zeros((ROWS, 4), "M8[s]"), TypeError, "x has dtype datetime64"),
    "records": (np.zeros(ROWS, "f4,f4"), TypeError, "x has dtype "),
    "NaN": (at(X, (17, 2), np.nan), ValueError, r"x\[17, 2\] is nan; x must be finite"),
    "inf": (at(X, (0, 0), np.inf), ValueError, r"x\[0, 0\] is inf"),
    "-inf at the end": (at(X, (-1, -1), -np.inf), ValueError, r"x\[39, 3\] is -inf"),
    "NaN of double": (at(X.astype(float), (5, 1), np.nan), ValueError, r"x\[5, 1\] is nan"),
    "too large": (at(X.astype(float), (3, 0), 1e39), ValueError, r"x\[3, 0\] is 1e\+39 \(too large for float32\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_X)
@pytest.mark.parametrize("backend", ["numpy", *BACKENDS[-1:]])
def test_bad_x(case, backend):
    x, error, message = BAD_X[case]
    for loss, y in ((LABELS, Y), (MSE, REAL)):
        model = model_of(backend, loss)
        for name, call in both(model, x, y).items():
            refused(model, call, error, r"^validation_data\[0\]( has| is|\[)" if name == "validation" else message)
        if not case.startswith(("inf", "-inf", "NaN", "too large")):
            refused(model, lambda m: m.predict(x), error, message)
            refused(model, lambda m: m.forward(x), error, message)


def test_hints_about_images():
    model = Sequential([layers.Conv2D(2, 3), layers.GlobalAveragePooling2D()], input_shape=(6, 5, 3), seed=0)
    model.compile("sgd", MSE, backend="numpy")
    x = np.zeros((4, 6, 5, 3))
    for bad, message in (
        (x.transpose(0, 3, 1, 2), r"\(4, 3, 6, 5\); it .* channels are last: pass x.transpose\(0, 2, 3, 1\)$"),
        (x.reshape(4, -1), r"\(4, 90\); it must be .*; for flat rows pass x.reshape\(-1, 6, 5, 3\)$"),
        (x[0], r"; for a single sample pass x\[None\]$"),
        (x[..., 0], r"\(4, 6, 5\); it must be \(rows, 6, 5, 3\)$"),
    ):
        refused(model, lambda m: m.fit(bad, np.zeros((4, 2)), verbose=0), ValueError, message)  # noqa: B023
        refused(model, lambda m: m.predict(bad), ValueError, message)  # noqa: B023
    grey = Sequential([layers.Conv1D(2, 3), layers.GlobalAveragePooling1D()], input_shape=(6, 1), seed=0)
    grey.compile("sgd", MSE, backend="numpy")
    with pytest.raises(ValueError, match=r"; for the axis of one channel pass x\[..., None\]$"):
        grey.predict(np.zeros((4, 6)))


BAD_LABELS = {
    "too large": (at(Y, 7, 3), ValueError, r"y\[7\] is 3; labels must be in 0 .. 2, the model has 3 outputs"),
    "far too large": (at(Y, 0, 2**62), ValueError, r"y\[0\] is 4611686018427387904"),
    "negative": (at(Y, 39, -1), ValueError, r"y\[39\] is -1; labels must be in 0 .. 2"),
    "unsigned beyond int64": (at(Y.astype("u8"), 1, 2**64 - 1), ValueError, r"y\[1\] is 18446744073709551615"),
    "halves": (Y + 0.5, ValueError, r"y\[0\] is .*\.5; labels must be whole numbers"),
    "NaN": (at(Y.astype(float), 3, np.nan), ValueError, r"y\[3\] is nan; labels must be whole numbers"),
    "inf": (at(Y.astype(float), 3, np.inf), ValueError, r"y\[3\] is inf"),
    "huge float": (at(Y.astype(float), 3, 1e300), ValueError, r"y\[3\] is 1e\+300; labels must be in 0 .. 2"),
    "one-hot": (HOT, ValueError, r"y has shape \(40, 3\).*for one-hot targets use the categorical cross-entropy"),
    "too few": (Y[:-1], ValueError, "y has 39 rows and x has 40; they must be equal"),
    "too many": (np.append(Y, 0), ValueError, "y has 41 rows and x has 40"),
    "none": (Y[:0], ValueError, "y is empty"),
    "a number": (1, ValueError, "y is a single number"),
    "text": (Y.astype(str), TypeError, "y has dtype <U"),
    "objects": (Y.astype(str).astype(object), TypeError, r"y has dtype object; .* is '\d'\. np\.unique\(y"),
    "complex": (Y.astype(complex), TypeError, "y has dtype complex128"),
    "nothing": (None, TypeError, "y is None"),
}
BAD_REAL = {
    "labels": (Y, ValueError, r"y has shape \(40,\); it must be \(40, 3\)"),
    "too wide": (np.zeros((ROWS, 4)), ValueError, r"y has shape \(40, 4\)"),
    "too few": (REAL[:-1], ValueError, "y has 39 rows and x has 40"),
    "NaN": (at(REAL, (9, 2), np.nan), ValueError, r"y\[9, 2\] is nan; y must be finite"),
    "inf": (at(REAL, (9, 2), -np.inf), ValueError, r"y\[9, 2\] is -inf"),
    "complex": (REAL.astype(complex), TypeError, "y has dtype complex128"),
}


@pytest.mark.parametrize(("loss", "case"), [(LABELS, c) for c in BAD_LABELS] + [(MSE, c) for c in BAD_REAL])
@pytest.mark.parametrize("backend", ["numpy", *BACKENDS[-1:]])
def test_bad_y(loss, case, backend):
    y, error, message = (BAD_LABELS if loss == LABELS else BAD_REAL)[case]
    model = model_of(backend, loss)
    for name, call in both(model, X, y).items():
        said = r"validation_data\[1\]" if name == "validation" else message
        refused(model, call, error, said)
    model.forward(X)
    refused(model, lambda m: m.loss(y), error, message.replace("y ", "y_true ", 1).replace(r"y\[", r"y_true\["))


@pytest.mark.parametrize("loss", ["binary_crossentropy", "categorical_crossentropy"])
def test_targets_that_are_no_probabilities(loss):
    for value in (-0.5, 1.5, 2):
        model = model_of(ALL_BACKENDS[-1], loss)
        for name, call in both(model, X, at(HOT, (4, 1), value)).items():
            who = r"validation_data\[1\]" if name == "validation" else "y"
            refused(model, call, ValueError, rf"{who}\[4, 1\] is .*must be in 0 .. 1")
    refused(model_of(loss="categorical_crossentropy"), lambda m: m.fit(X, Y, verbose=0), ValueError,
            "for integer labels use the sparse categorical cross-entropy")  # fmt: skip


def test_validation_data_that_is_no_pair():
    for bad in ((X,), (X, Y, Y, Y)):
        call = lambda m, bad=bad: m.fit(X, Y, validation_data=bad, verbose=0)  # noqa: E731
        refused(model_of(), call, ValueError, r"must be \(x, y\) or")
    call = lambda m: m.fit(X, Y, validation_data=np.zeros((50, 64)), verbose=0)  # noqa: E731
    refused(model_of(), call, TypeError, r"^validation_data is an object of ndarray; it must be \(x, y\) or \(x, y, s")


def masked(array):
    """Return the array with its first entry masked, below which another number lies."""
    mask = np.zeros(np.shape(array), bool)
    mask.flat[0] = True
    return np.ma.masked_array(array, mask)


TAKE_ARRAYS = {
    **{f"x, {name}": ("x|validation_data.0.", call) for name, call in both(None, masked(X), Y).items()},
    **{f"y, {name}": ("y|validation_data.1.", call) for name, call in both(None, X, masked(Y)).items()},
    "weights, fit": ("sample_weight", lambda m: m.fit(X, Y, sample_weight=masked(np.ones(ROWS)), verbose=0)),
    "weights, evaluate": ("sample_weight", lambda m: m.evaluate(X, Y, sample_weight=masked(np.ones(ROWS)))),
    "weights, train_on_batch": ("sample_weight", lambda m: m.train_on_batch(X, Y, masked(np.ones(ROWS)))),
    "predict": ("x", lambda m: m.predict(masked(X))),
    "forward": ("x", lambda m: m.forward(masked(X))),
    "loss": ("y_true", lambda m: (m.forward(X), m.loss(masked(Y)))),
    "set_weights": (
        r"weights\[1\]",
        lambda m: m.set_weights([w if w.ndim > 1 else masked(w) for w in m.get_weights()]),
    ),
    "a layer's": (r"dense_1\.w", lambda m: setattr(m.layers[0], "w", masked(m.layers[0].w))),
    "optimizer": (
        "state .m.",
        lambda m: m.optimizer.set_state({k: masked(v) for k, v in m.optimizer.get_state().items()}),
    ),
    "blame": ("x", lambda m: fastbp.blame(m, masked(X), Y)),
    "gradient_check": ("y", lambda m: fastbp.gradient_check(m, X, masked(Y))),
    "kernel": ("relu_forward: x", lambda m: kernels.relu_forward(masked(X))),
    "loss of arrays": ("y_true", lambda m: losses.MeanSquaredError()(masked(X), X)),
    "gradient of arrays": ("y_pred", lambda m: losses.MeanSquaredError().gradient(X, masked(X))),
    "weights of arrays": ("sample_weight", lambda m: losses.Huber()(X, X, sample_weight=masked(np.ones(ROWS)))),
    "triplets": ("positive", lambda m: losses.TripletMargin()(X, masked(X), X)),
    "schedule": ("step", lambda m: schedules.CosineDecay(0.1, 10)(masked([1, 2]))),
    "file": (r"arrays\['w'\]", lambda m: save_arrays("never.npz", {}, {"w": masked(X)})),
}


@pytest.mark.parametrize("name", TAKE_ARRAYS)
def test_masked_entries(name):
    argument, call = TAKE_ARRAYS[name]
    refused(model_of(), call, TypeError, f"^({argument}) has masked entries; it must have none: fill them")


def test_masked_arrays_of_which_nothing_is_masked():
    """They are their data, however they came; in a list entries may be masked as well."""
    model = model_of()
    want = model.predict(X)
    unmasked = np.ma.masked_array(X, mask=np.zeros(X.shape, bool))
    for x in (np.ma.masked_array(X), unmasked, list(unmasked)):
        assert_same_bits(model.predict(x), want)
    for x in ([*X[:3], masked(X[3])], [[1.0, 2.0, np.ma.masked, 4.0]]):
        refused(model, lambda m, x=x: m.predict(x), TypeError, "x has masked entries")


@every_backend
def test_predict_lets_nan_through(backend):
    model = model_of(backend)
    x = at(at(X, (3, 1), np.nan), (5, 0), np.inf)
    for _ in range(2):
        y = model.predict(x)
        assert np.isnan(y[3]).all() and np.isfinite(y[5]).all() and np.isfinite(y[[0, 1, 2, 4]]).all()
    assert np.isnan(model.forward(x)[3]).all()


@every_backend
def test_a_refusal_is_the_same_when_arrays_went_in_before(backend):
    """The short ways of train_on_batch and predict must not keep or skip anything."""
    model = model_of(backend)
    for bad_x, bad_y in ((at(X, (1, 1), np.nan), Y), (X, at(Y, 2, 3)), (X, at(Y, 2, -1)), (X[:, :3], Y), (X[:0], Y[:0]),
                         (X, Y[:5]), (None, Y), (5, Y), ("x", Y), (X, None)):  # fmt: skip
        for _ in range(2):
            refused(model, lambda m, x=bad_x, y=bad_y: m.train_on_batch(x, y), (ValueError, TypeError), r"x|y")
    for bad in (5, None, "text", X[0], X[:, :3], X[:0], object(), iter([])):
        for _ in range(2):
            refused(model, lambda m, x=bad: m.predict(x), (ValueError, TypeError), r"^x (is|has)")
    del bad_x, bad_y
    twin = model_of(backend)
    assert model.train_on_batch(X, Y) == twin.train_on_batch(X, Y)
    assert everything(model) == everything(twin)


# ----------------------------------------------------------------------------- odd but sound data
def forms(array):
    """Return the same numbers in every form that NumPy users pass around, with a name."""
    wide = np.zeros((array.shape[0] * 2, *array.shape[1:]), array.dtype)
    wide[::2] = array
    read_only = array.copy()
    read_only.flags.writeable = False
    moved = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return {
        "list": array.tolist(),
        "tuple": tuple(map(tuple, array.tolist())) if array.ndim > 1 else tuple(array.tolist()),
        "Fortran order": np.asfortranarray(array),
        "every second row": wide[::2],
        "reversed twice": array[::-1].copy()[::-1],
        "read-only": read_only,
        "byte-swapped": array.astype(array.dtype.newbyteorder()),
        "unaligned": moved,
        "subclass": array.view(type("Mine", (np.ndarray,), {})),
    }


X_FORMS = {**forms(X), "double": X.astype(float), "rows of arrays": list(X)}
Y_FORMS = {
    **forms(Y), "int8": Y.astype("i1"), "uint64": Y.astype("u8"), "int32": Y.astype("i4"),
    "whole floats": Y.astype(float), "column": Y[:, None], "list of int": [int(v) for v in Y],
}  # fmt: skip


@pytest.mark.parametrize("form", X_FORMS)
@every_backend
def test_forms_of_x(form, backend):
    x = X_FORMS[form]
    check_same_result(backend, x, Y, LABELS, Y)


@pytest.mark.parametrize("form", Y_FORMS)
@every_backend
def test_forms_of_labels(form, backend):
    check_same_result(backend, X, Y_FORMS[form], LABELS, Y)


@pytest.mark.parametrize("form", forms(REAL))
@every_backend
def test_forms_of_real_targets(form, backend):
    check_same_result(backend, X, forms(REAL)[form], MSE, REAL)


def check_same_result(backend, x, y, loss, plain_y):
    odd, plain = model_of(backend, loss, trained=False), model_of(backend, loss, trained=False)
    before = [np.array(a, copy=True) for a in (x, y)]
    for shuffle in (True, False):
        odd.fit(x, y, batch_size=16, seed=0, shuffle=shuffle, verbose=0, validation_data=(x, y))
        plain.fit(X, plain_y, batch_size=16, seed=0, shuffle=shuffle, verbose=0, validation_data=(X, plain_y))
        assert odd.train_on_batch(x, y) == plain.train_on_batch(X, plain_y)
        assert_same_bits(odd.predict(x), plain.predict(X))
        assert odd.evaluate(x, y) == plain.evaluate(X, plain_y)
        assert_same_bits(odd.forward(x), plain.forward(X))
        assert odd.loss(y) == plain.loss(plain_y)
        assert everything(odd) == everything(plain)
    for array, copy in zip((x, y), before, strict=True):
        assert_same_bits(array, copy, "the data are left alone")


@pytest.mark.parametrize("dtype", ["bool", "i1", "u2", "i4", "i8", "u8", "f2", "f4", "f8", "g"])
@every_backend
def test_dtypes_of_x(dtype, backend):
    whole = np.random.default_rng(0).integers(0, 2, (ROWS, 4))
    check = model_of(backend)
    want = check.predict(whole.astype("float32"))
    assert_same_bits(check.predict(whole.astype(dtype)), want)
    twin = model_of(backend)
    assert check.train_on_batch(whole.astype(dtype), Y) == twin.train_on_batch(whole.astype("float32"), Y)


@every_backend
def test_memory_mapped_data(backend, tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    check_same_result(backend, np.load(tmp_path / "x.npy", mmap_mode="r"), np.load(tmp_path / "y.npy", mmap_mode="r"),
                      LABELS, Y)  # fmt: skip


def test_one_output_takes_targets_of_one_dimension():
    for backend in ALL_BACKENDS:
        models = []
        for y in (REAL[:, 0], REAL[:, :1]):
            model = Sequential([Dense(1)], input_shape=4, seed=0)
            model.compile("sgd", "mse", backend=backend)
            model.fit(X, y, seed=0, verbose=0)
            models.append(model)
        assert everything(models[0])[0] == everything(models[1])[0]


# --------------------------------------------------------------------------------------- numbers
@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("batch_size", 0, ValueError, "batch_size is 0; it must be at least 1"),
        ("batch_size", -3, ValueError, "batch_size is -3"),
        ("batch_size", 16.0, TypeError, "batch_size is 16.0; it must be an integer"),
        ("batch_size", "16", TypeError, "batch_size is '16'"),
        ("validation_freq", 0, ValueError, "validation_freq is 0; it must be at least 1"),
        ("validation_freq", 1.5, TypeError, "validation_freq is 1.5; it must be an integer"),
        ("validation_freq", [1, 0], ValueError, "validation_freq is 0"),
        ("validation_split", 1, ValueError, r"validation_split is 1; it must be in \[0, 1\)"),
        ("validation_split", "some", TypeError, "validation_split is 'some'; it must be a number"),
        ("validation_split", 0.99, ValueError, "validation_split is 0.99; of 40 rows that leaves 0 to train on"),
        ("initial_epoch", 2, ValueError, "initial_epoch is 2; it must be at most epochs, 1"),
        ("initial_epoch", -1, ValueError, "initial_epoch is -1"),
        ("epochs", 0, ValueError, "epochs is 0; it must be at least 1"),
        ("epochs", -1, ValueError, "epochs is -1"),
        ("epochs", 1.5, TypeError, "epochs is 1.5; it must be an integer"),
        ("seed", -1, ValueError, "seed is -1; it must be an integer of at least 0"),
        ("seed", "zero", (TypeError, ValueError), "seed|SeedSequence"),
        ("callbacks", [print], TypeError, "must be a fastbp.Callback"),
        ("callbacks", [Callback], TypeError, "must be a fastbp.Callback"),
    ],
)
def test_bad_options_of_fit(option, value, error, message):
    for loss, y in ((LABELS, Y), (MSE, REAL)):
        refused(model_of(loss=loss), lambda m, y=y: m.fit(X, y, **{"verbose": 0, option: value}), error, message)
    fresh = Sequential([Dense(3)])
    fresh.compile("sgd", LABELS, backend="numpy")
    refused(fresh, lambda m: m.fit(X, Y, **{"verbose": 0, option: value}), error, message)


WRONG_KINDS = {
    "layers": lambda bad: Sequential(bad),
    "metrics": lambda bad: model_of(trained=False).compile("sgd", MSE, metrics=bad),
    "callbacks": lambda bad: model_of().fit(X, Y, verbose=0, callbacks=bad),
    "validation_data": lambda bad: model_of().fit(X, Y, verbose=0, validation_data=bad),
    "seed": lambda bad: model_of().fit(X, Y, verbose=0, seed=bad),
    "weights": lambda bad: model_of().set_weights(bad),
    "model": lambda bad: fastbp.blame(bad, X, Y),
    "model of gradient_check": lambda bad: fastbp.gradient_check(bad, X, Y),
    "eps": lambda bad: fastbp.gradient_check(model_of(), X, Y, eps=bad),
    "tolerance": lambda bad: fastbp.gradient_check(model_of(), X, Y, tolerance=bad),
    "seed of gradient_check": lambda bad: fastbp.gradient_check(model_of(), X, Y, seed=bad),
    "repeat": lambda bad: model_of().program.profile(bad),
    "state": lambda bad: model_of().optimizer.set_state(bad),
    "arrays": lambda bad: save_arrays("never.npz", {}, bad),
    "relu_forward: out": lambda bad: kernels.relu_forward(X, out=bad),
    "leaky_relu_forward: alpha": lambda bad: kernels.leaky_relu_forward(X, alpha=bad),
    "activation": lambda bad: Dense(3, activation={}) if bad is not None else Dense(3, activation=5),
}


@pytest.mark.parametrize("bad", [5.5j, object(), None], ids=["complex", "object", "None"])
@pytest.mark.parametrize("name", WRONG_KINDS)
def test_arguments_of_the_wrong_kind(name, bad):
    if bad is None and name in (
        "metrics", "callbacks", "validation_data", "seed", "seed of gradient_check", "relu_forward: out"
    ):  # fmt: skip
        WRONG_KINDS[name](None)
        return
    with pytest.raises(TypeError, match=rf"^{name.partition(' of ')[0]} is .*; it must be "):
        WRONG_KINDS[name](bad)


def test_losses_of_what_is_no_array():
    for loss in (losses.MeanSquaredError(), losses.CategoricalCrossEntropy(), losses.GaussianNLL()):
        with pytest.raises((TypeError, ValueError), match=r"^y_(pred|true) (is|has) "):
            loss(None, None)


def test_minimize_of_the_wrong_kind():
    pytest.importorskip("scipy")
    with pytest.raises(TypeError, match=r"^model is 5; it must be a fastbp\.Sequential"):
        fastbp.minimize(5, X, Y)
    with pytest.raises(TypeError, match=r"^method is 5; it must be the name of one"):
        fastbp.minimize(model_of(), X, Y, method=5)


@pytest.mark.parametrize("value", [0, -1, 2.0, "3", None])
def test_bad_batch_size_of_predict_and_evaluate(value):
    for backend in ALL_BACKENDS:
        model = model_of(backend)
        for call in (lambda m: m.predict(X, batch_size=value), lambda m: m.evaluate(X, Y, batch_size=value)):
            refused(model, call, (TypeError, ValueError), "batch_size is ")


@every_backend
def test_batch_size_larger_than_the_data(backend):
    whole, more = model_of(backend), model_of(backend)
    whole.fit(X, Y, batch_size=ROWS, seed=1, epochs=3, verbose=0)
    more.fit(X, Y, batch_size=10**12, seed=1, epochs=3, verbose=0)
    assert everything(whole) == everything(more)
    assert_same_bits(more.predict(X, batch_size=10**12), whole.predict(X))
    assert more.evaluate(X, Y, batch_size=10**12) == whole.evaluate(X, Y)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(0), ValueError, "units is 0; it must be at least 1"),
        (lambda: Dense(-2), ValueError, "units is -2"),
        (lambda: Dense(2.5), TypeError, "units is 2.5; it must be an integer"),
        (lambda: Dense("2"), TypeError, "units is '2'"),
        (lambda: Dense(2, name="0 a"), ValueError, "name is '0 a'"),
        (lambda: optimizers.SGD(lr=0), ValueError, r"lr is 0; it must be in \(0, inf\)"),
        (lambda: optimizers.SGD(lr=-1), ValueError, "lr is -1"),
        (lambda: optimizers.SGD(lr=np.nan), ValueError, "lr is nan"),
        (lambda: optimizers.SGD(lr=np.inf), ValueError, "lr is inf"),
        (lambda: optimizers.SGD(lr="fast"), TypeError, "lr is 'fast'; it must be a number"),
        (lambda: optimizers.SGD(momentum=1), ValueError, r"momentum is 1; it must be in \[0, 1\)"),
        (lambda: optimizers.SGD(nesterov=True), ValueError, "nesterov is True and momentum is 0"),
        (lambda: optimizers.Adam(beta1=1.0), ValueError, "beta1 is 1.0"),
        (lambda: optimizers.Adam(beta2=-0.1), ValueError, "beta2 is -0.1"),
        (lambda: optimizers.Adam(eps=0), ValueError, "eps is 0"),
        (lambda: losses.MeanSquaredError(reduction="man"), ValueError, "reduction is 'man'.*did you mean 'mean'"),
        (lambda: losses.BinaryCrossEntropy(from_logits="yes"), ValueError, "from_logits is 'yes'"),
        (lambda: layers.Rescaling(np.nan), ValueError, "scale is nan; it must be finite"),
        (lambda: layers.Rescaling(1, offset="one"), TypeError, "offset is 'one'; it must be a number"),
        (lambda: layers.RandomFlip("sideways"), ValueError, "mode is 'sideways'; it must be one of horizontal,"),
        (lambda: layers.RandomFlip("horizontl"), ValueError, "did you mean 'horizontal'"),
        (lambda: layers.RandomFlip(seed=-1), ValueError, "seed is -1; it must be at least 0"),
        (lambda: layers.RandomCrop(0, 2), ValueError, "height is 0; it must be at least 1"),
        (lambda: layers.RandomCrop(2, 1.5), TypeError, "width is 1.5; it must be an integer"),
        (lambda: layers.RandomTranslation(1.5, 0), ValueError, r"height_factor is 1.5; it must be in \[0, 1\]"),
        (lambda: layers.RandomTranslation(-0.1, 0), ValueError, "height_factor is -0.1"),
        (lambda: layers.RandomTranslation(0, (0.1, -0.1)), ValueError, r"width_factor is \(0.1, -0.1\); the first"),
        (lambda: layers.RandomTranslation(0, (0, 1, 2)), ValueError, r"width_factor is \(0, 1, 2\); it must be a num"),
        (lambda: layers.RandomTranslation((-2, 0), 0), ValueError, r"height_factor\[0\] is -2; it must be in \[-1, "),
        (lambda: layers.RandomTranslation("far", 0), TypeError, "height_factor is 'far'; it must be a number"),
        (lambda: layers.RandomTranslation(0, 0, "mirror"), ValueError, "fill_mode is 'mirror'; it must be one of"),
        (lambda: layers.RandomTranslation(0, 0, fill_value=np.inf), ValueError, "fill_value is inf; it must be finite"),
        # integers beyond what floats hold, or hold exactly
        (lambda: optimizers.SGD(lr=10**400), ValueError, r"lr is 10*; it must be in \(0, inf\)"),
        (lambda: layers.Activation("leaky_relu", alpha=10**400), ValueError, "alpha is 10*; it must be a finite"),
        (lambda: kernels.leaky_relu_forward([1.0], alpha=10**400), ValueError, "alpha is 10*; it must be a number"),
        (lambda: Labels(ignore_index=2**53 + 1), ValueError, "ignore_index is 9007199254740993; it must be at most"),
        (lambda: Labels(ignore_index=-(2**53) - 1), ValueError, "ignore_index is -9007199254740993; it must be"),
    ],
)
def test_bad_numbers(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_bad_learning_rate_later():
    model = model_of()
    refused(model, lambda m: setattr(m.optimizer, "lr", -1), ValueError, "lr is -1")
    refused(model, lambda m: setattr(m.optimizer, "lr", np.nan), ValueError, "lr is nan")


# ----------------------------------------------------------------------------------------- names
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"loss": "sparse_categorical_crossentrop"}, ValueError, "did you mean 'sparse_categorical_crossentropy'"),
        ({"loss": "MSEE"}, ValueError, "no loss 'MSEE'; did you mean 'mse'"),
        ({"loss": 5}, ValueError, "no loss 5; there are mean_squared_error, mse, .*, MeanSquaredError, "),
        ({"loss": None, "metrics": ["mse"]}, ValueError, r"metrics is \[.mse.\] and loss is missing"),
        ({"loss": losses.MeanSquaredError}, (TypeError, ValueError), "loss"),
        ({"optimizer": "adm"}, ValueError, "no optimizer 'adm'; did you mean 'adam'"),
        ({"optimizer": optimizers.Adam}, (TypeError, ValueError), "optimizer"),
        ({"optimizer": None}, ValueError, "no optimizer None"),
        ({"backend": "cyton"}, ValueError, "backend is 'cyton'; it must be one of .*did you mean 'cython'"),
        ({"backend": 3}, ValueError, "backend is 3"),
        ({"metrics": ["acuracy"]}, ValueError, "no metric 'acuracy'; did you mean 'accuracy'"),
        ({"metrics": "acuracy"}, ValueError, "no metric 'acuracy'"),
        ({"metrics": ["accuracy", "accuracy"]}, ValueError, "their names must be unique"),
        ({"metrics": [len]}, ValueError, "no metric"),
        ({"metrics": ["accuracy"], "loss": "mse"}, ValueError, "metric 'accuracy' needs a cross-entropy loss"),
        ({"dtype": "flaot32"}, ValueError, "dtype is 'flaot32'; .*did you mean 'float32'"),
        ({"dtype": "float16"}, ValueError, "dtype is 'float16'; it must be 'float32' or 'float64'"),
        ({"dtype": int}, ValueError, "dtype is <class 'int'>"),
        ({"dtype": None}, (TypeError, ValueError), "dtype is None"),
    ],
)
def test_unknown_names_in_compile(options, error, message):
    # all else is sound and new, so that whatever was taken over before the refusal shows
    options = {"optimizer": "sgd", "loss": LABELS, "backend": ALL_BACKENDS[-1], "dtype": "float64", **options}
    model, twin = model_of(metrics=["accuracy"]), model_of(metrics=["accuracy"])
    for m in (model, Sequential([Dense(3)])):
        refused(m, lambda m: m.compile(**options), error, message)
    for m in (model, twin):
        m.fit(X, Y, seed=5, verbose=0)
    assert everything(model) == everything(twin), "training goes on as if nothing had been asked"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Dense(2, activation="rellu"), ValueError, "no activation 'rellu'; .*did you mean 'relu'"),
        (lambda: Activation("Sigmoid"), ValueError, "no activation 'Sigmoid'; .*did you mean 'sigmoid'"),
        (lambda: Dense(2, activation=np.tanh), TypeError, "activation is .* it must be a name"),
        (lambda: Dense(2, kernel_initializer="glorot"), ValueError, "no initializer 'glorot'; did you mean 'glorot_"),
        (lambda: Dense(2, bias_initializer="zeroes"), ValueError, "no initializer 'zeroes'; did you mean 'zeros'"),
        (lambda: Dense(2, bias_initializer=[0.0]), ValueError, r"no initializer \[0.0\]; there are zeros, "),
        (lambda: layers.from_config("Densee", {}), ValueError, r"no layer 'Densee'; did you mean 'Dense'\? There are"),
        (lambda: kernels.rellu_forward, AttributeError, "did you mean 'relu_forward'"),
        (lambda: kernels.relu_forward(X, backend="cytho"), ValueError, "did you mean 'cython'"),
    ],
)
def test_unknown_names(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------------------------- wrong moments
def test_not_compiled():
    for model in (Sequential([Dense(3)], input_shape=4), Sequential([Dense(3)])):
        for call in (
            lambda m: m.fit(X, Y), lambda m: m.evaluate(X, Y), lambda m: m.train_on_batch(X, Y),
            lambda m: m.loss(Y), lambda m: m.backward(), lambda m: m.update(), lambda m: m.program,
        ):  # fmt: skip
            refused(model, call, RuntimeError, r"the model is not compiled; call model.compile\(")


def test_not_built():
    model = Sequential([Dense(3)])
    model.compile("sgd", LABELS, backend="numpy")
    for call in (lambda m: m.get_weights(), lambda m: m.set_weights([]), lambda m: m.count_params(),
                 lambda m: m.summary(), lambda m: m.program, lambda m: m.save("nowhere.npz")):  # fmt: skip
        refused(model, call, RuntimeError, "the input shape is not known yet")
    with pytest.raises(RuntimeError, match="no layers"):
        Sequential().compile("sgd", "mse")


def test_refused_data_do_not_build_the_model():
    for x, y in ((at(X, (0, 0), np.nan), Y), (X, at(Y, 0, 3)), (X, Y[:3])):
        model = Sequential([Dense(3)], seed=0)
        model.compile("sgd", LABELS, backend="numpy")
        for call in both(model, x, y).values():
            refused(model, call, ValueError, r"^(x|y|validation_data)\b")
        assert model.input_shape is None
        model.fit(X[:, :2], Y, verbose=0)


def test_one_optimizer_for_two_models():
    optimizer = optimizers.Adam()
    first = model_of(optimizer=optimizer)
    second = model_of()
    other = {"loss": "mse", "backend": ALL_BACKENDS[-1], "dtype": "float64"}
    refused(second, lambda m: m.compile(optimizer, **other), ValueError, "this optimizer belongs to another model")
    before = everything(first)
    fresh = Sequential([Dense(3)])
    with pytest.raises(ValueError, match="another model"):
        fresh.compile(optimizer, LABELS)
    assert everything(first) == before
    # its own model may be compiled with it again; one that outlives its model is free
    first.compile(optimizer, LABELS, backend="numpy")
    del first
    gc.collect()
    fresh.compile(optimizer, LABELS, backend="numpy")


# ------------------------------------------------------------------------------------------- NaN
def diverging(backend, dtype="float32"):
    model = Sequential([Dense(6), Dense(5), Dense(3)], input_shape=4, seed=0)
    model.compile(optimizers.SGD(lr=1e6), "mse", backend=backend, dtype=dtype)
    return model


@every_backend
@pytest.mark.parametrize("shuffle", [True, False])
def test_a_loss_that_turns_nan(backend, shuffle):
    model, twin = diverging(backend), diverging("numpy")
    with pytest.raises(FloatingPointError) as raised:
        model.fit(X, REAL, batch_size=8, epochs=9, seed=0, shuffle=shuffle, verbose=0)
    message = str(raised.value)
    epoch, batch = (int(message.partition(word)[2].split()[0].strip(":,")) for word in ("epoch ", "batch "))
    assert 1 <= epoch <= 9 and 1 <= batch <= 5
    assert "the loss is " in message and ("layer dense_" in message or "the loss itself overflowed" in message)
    # the parameters are those before that batch: so many good steps, done by hand
    rng, steps = np.random.default_rng(0), (epoch - 1) * 5 + batch - 1
    orders = [rng.permutation(ROWS) if shuffle else np.arange(ROWS) for _ in range(epoch)]
    rows = np.concatenate(orders).reshape(-1, 8)
    for k in range(steps):
        assert np.isfinite(twin.train_on_batch(X[rows[k]], REAL[rows[k]]))
    assert everything(model)[0] == everything(twin)[0]
    with pytest.raises(FloatingPointError, match="in this batch"):
        twin.train_on_batch(X[rows[steps]], REAL[rows[steps]])
    assert everything(model)[0] == everything(twin)[0]
    # and it goes on with a learning rate that is sound
    assert len(model.batch_losses) == 5 * (epoch - 1)
    for layer in model.layers:
        layer.w[...] = 0.1
        layer.b[...] = 0
    model.optimizer.lr = 1e-3
    assert np.isfinite(model.fit(X, REAL, verbose=0).history["loss"]).all()


@every_backend
def test_the_first_layer_that_went_wrong(backend):
    for layer in (0, 1, 2):
        for value, text in ((3e38, "layer {} is the first whose output is not finite"), (np.nan, "{}.w holds values")):
            model = diverging(backend)
            model.layers[layer].w[...] = value
            name = model.layers[layer].name
            before = everything(model)
            x = np.abs(X) + 1
            for earlier in model.layers[:layer]:
                earlier.w[...] = 1
            before = everything(model)
            with pytest.raises(FloatingPointError, match="epoch 1, batch 1: " + text.format(name)):
                model.fit(x, REAL, batch_size=8, verbose=0)
            assert everything(model) == before
    model = diverging(backend)
    model.layers[2].b[...] = 1e30
    with pytest.raises(FloatingPointError, match="the loss itself overflowed"):
        model.fit(X, REAL, verbose=0)


@every_backend
def test_predictions_that_a_loss_is_not_defined_for(backend):
    """A Poisson loss of negative rates is NaN: the message names the first, and what to do."""

    def poisson(last=None, loss=None):
        model = Sequential([Dense(3, last, kernel_initializer="zeros", bias_initializer="zeros")], input_shape=4)
        model.compile(optimizers.SGD(0.01), loss or losses.Poisson(), backend=backend)
        model.layers[0].b[...] = [1, -0.5, 2]
        return model

    message = r"y_pred\[0, 1\] is -0.5, Poisson takes numbers from 0 on: end with activation='softplus' or"
    refused(poisson(), lambda m: m.fit(X, REAL, verbose=0), FloatingPointError, f"epoch 1, batch 1: {message}")
    refused(poisson(), lambda m: m.train_on_batch(X, REAL), FloatingPointError, f"this batch: {message}")
    for model in (poisson("softplus"), poisson(loss=losses.Poisson(log_input=True))):
        model.fit(X, REAL, verbose=0)
    assert losses.Poisson().complain(np.zeros((2, 2))) is None
    for loss in (losses.Poisson(log_input=True), losses.MeanSquaredError(), losses.BinaryCrossEntropy(True)):
        assert loss.complain(np.array([-1.0, 2.0])) is None
    found = losses.KLDivergence().complain(np.array([0.5, 1.5]))
    assert found.startswith("y_pred[1] is 1.5, KLDivergence takes numbers in 0 .. 1")


@every_backend
def test_going_on_regardless(backend):
    model = diverging(backend)
    history = model.fit(X, REAL, batch_size=8, epochs=9, seed=0, verbose=0, stop_on_nan=False)
    assert len(history.history["loss"]) == 9 and not np.isfinite(history.history["loss"][-1])
    assert not np.isfinite(model.batch_losses[-1]) and np.isfinite(model.batch_losses[0])
    assert np.isnan(model.get_weights()[0]).any()
    # the wish was that call's alone
    with pytest.raises(FloatingPointError):
        model.train_on_batch(X, REAL)
    with pytest.raises(FloatingPointError):
        model.fit(X, REAL, verbose=0)
    # by hand nothing stops: every step is there to look at
    model.forward(X)
    assert np.isnan(model.loss(REAL))
    model.backward()
    assert np.isnan(model.layers[0].dw).any()


# --------------------------------------------------------------------------- the message about NaN
@every_backend
def test_the_batch_is_explained_with_its_own_mask_and_weights(backend):
    # what is not dropped overflows: only the mask of that very step shows it
    layers = [Dense(2, kernel_initializer="zeros"), Dropout(0.97, seed=0), Dense(3)]
    model = Sequential(layers, input_shape=4, seed=0)
    model.compile("sgd", "mse", backend=backend)
    model.set_weights([w if k != 1 else w + 1e30 for k, w in enumerate(model.get_weights())])
    model.layers[2].w[...] = 1e10
    before = model.snapshot()
    with pytest.raises(FloatingPointError, match="dense_2 is the first whose output is not finite"):
        model.fit(np.ones((1, 4)), np.zeros((1, 3)), batch_size=1, epochs=300, seed=0, verbose=0)
    assert_same_bits(model.snapshot()["parameters"], before["parameters"])
    # a loss that is finite but for the weights of samples
    model = Sequential([Dense(3)], input_shape=4, seed=0)
    model.compile("sgd", "mse", backend=backend)
    for train in (model.fit, model.train_on_batch):
        with pytest.raises(FloatingPointError, match=r"the loss is inf in .* itself overflowed\. The parameters"):
            train(np.ones((32, 4)), np.full((32, 3), 1e4), sample_weight=np.full(32, 1e38))
    model.layers[0].b[...] = np.inf
    with pytest.raises(FloatingPointError, match=r"dense_1\.b holds values .* did so before") as raised:
        model.train_on_batch(np.ones((2, 4)), np.ones((2, 3)))
    assert "as they were before" not in str(raised.value)
