"""Layers that flip, move and cut images: what they draw, and that a run that goes on has the same bits."""

import copy
import pickle

import numpy as np
import pytest
from _arrays import BACKENDS, DTYPES, assert_same_bits

import fastbp
from fastbp import (
    Dense,
    Flatten,
    GaussianNoise,
    RandomCrop,
    RandomFlip,
    RandomTranslation,
    Rescaling,
    Sequential,
    kernels,
    load_model,
)

every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def flipped(x, u):
    y = np.where((u[:, 0] < 0.5)[:, None, None, None], x[:, ::-1], x)
    return np.where((u[:, 1] < 0.5)[:, None, None, None], y[:, :, ::-1], y)


def translated(x, u):
    # by up to 2 of 6 rows and 1 of 5 columns, reflected
    padded = np.pad(x, ((0, 0), (2, 2), (1, 1), (0, 0)), mode="symmetric")
    down, right = np.floor(u * np.array([5, 3], u.dtype)).astype(int).T - [[2], [1]]
    return np.stack([image[2 - d : 8 - d, 1 - r : 6 - r] for image, d, r in zip(padded, down, right, strict=True)])


def cropped(x, u):
    top, left = np.floor(u * np.array([3, 4], u.dtype)).astype(int).T
    return np.stack([image[t : t + 4, k : k + 2] for image, t, k in zip(x, top, left, strict=True)])


#: Each with what NumPy makes of images (6, 5, c) and of what a Generator drew for them.
LAYERS = {
    "flip": (lambda **o: RandomFlip(**o), flipped),
    "translation": (lambda **o: RandomTranslation(0.4, 0.2, **o), translated),
    "crop": (lambda **o: RandomCrop(4, 2, **o), cropped),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def images(n=30, c=3, dtype="float32"):
    return np.random.default_rng(1).integers(0, 256, (n, 6, 5, c)).astype(dtype)


def network(*layers, backend=None, dtype="float32", numerics="portable", c=3, **options):
    model = Sequential([*layers, Flatten(), Dense(4)], input_shape=(6, 5, c), seed=0)
    model.compile(
        fastbp.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", backend=backend, dtype=dtype,
        numerics=numerics, **options,
    )  # fmt: skip
    return model


LABELS = np.random.default_rng(2).integers(0, 4, 30)


@pytest.mark.matrix("dtype", "numerics", "c")
@every_layer
@every_numerics
@every_dtype
@every_backend
@pytest.mark.parametrize("c", [1, 3])
def test_a_generator_of_numpys_says_what_was_drawn(name, c, backend, dtype, numerics):
    make, expected = LAYERS[name]
    model = network(make(seed=7), backend=backend, dtype=dtype, numerics=numerics, c=c)
    x, rng = images(c=c, dtype=dtype), np.random.Generator(np.random.PCG64(7))
    for rows in (30, 1, 7):
        model.forward(x[:rows])
        assert_same_bits(model.layers[0].y, expected(x[:rows], rng.random((rows, 2), dtype)))
    # nothing is drawn where nothing is trained
    want = x[:, 1:5, 1:3] if name == "crop" else x
    model.forward(x, training=False)
    assert_same_bits(model.layers[0].y, want)
    w, b = model.layers[-1].w, model.layers[-1].b
    plain = Sequential([Flatten(), Dense(4)], input_shape=want.shape[1:])
    plain.compile("sgd", "mse", backend=backend, dtype=dtype, numerics=numerics)
    plain.set_weights([w, b])
    assert_same_bits(model.predict(x), plain.predict(np.ascontiguousarray(want)))
    assert not {"uniform"} & {call.kernel.name for call in model.engine().network("predict").program.calls}
    model.forward(x[:2])
    assert_same_bits(model.layers[0].y, expected(x[:2], rng.random((2, 2), dtype)))


@pytest.mark.matrix("numerics")
@every_layer
@every_numerics
def test_gradients_go_back_to_where_pixels_came_from(name, numerics):
    make, expected = LAYERS[name]
    for backend in ("numpy", *BACKENDS):
        model = network(Dense(3), make(seed=3), backend=backend, dtype="float64", numerics=numerics)
        x = images(9, dtype="float64")
        model.forward(x)
        model.loss(LABELS[:9])
        model.backward()
        u = np.random.default_rng(3).random((9, 2))
        # each pixel by its number: where it went its gradient comes from
        numbers = np.arange(x[0].size, dtype="float64").reshape(1, *x.shape[1:]).repeat(9, axis=0)
        moved, want = expected(numbers, u).astype(int).reshape(9, -1), np.zeros((9, x[0].size))
        for k in range(9):
            np.add.at(want[k], moved[k], model.layers[1].dy[k].reshape(-1))
        assert_same_bits(model.layers[0].dy, want.reshape(x.shape), backend)
        assert fastbp.gradient_check(model, x, LABELS[:9]).ok


@pytest.mark.matrix("numerics")
@every_layer
@every_numerics
def test_training_has_the_same_bits_everywhere(name, numerics):
    found = []
    for backend in ("numpy", *BACKENDS):
        model = network(LAYERS[name][0](), GaussianNoise(0.1), backend=backend, numerics=numerics)
        model.fit(images(), LABELS, batch_size=8, epochs=3, seed=1, verbose=0)
        found.append(model.get_weights())
        model.train_on_batch(images(), LABELS)
        model.program.run(check="numpy")
    for other in found[1:]:
        for got, want in zip(other, found[0], strict=True):
            assert_same_bits(got, want)


def test_each_image_has_its_own_numbers():
    x = np.repeat(images(1), 3000, axis=0)
    model = network(RandomFlip("horizontal", seed=0), backend="numpy")
    model.forward(x)
    mirrored = (model.layers[0].y == x[:, :, ::-1]).all(axis=(1, 2, 3))
    assert ((model.layers[0].y == x).all(axis=(1, 2, 3)) ^ mirrored).all()
    assert mirrored.mean() == pytest.approx(0.5, abs=0.04)
    model = network(RandomFlip("vertical", seed=0), backend="numpy")
    model.forward(x)
    assert (model.layers[0].y == x[:, ::-1]).all(axis=(1, 2, 3)).mean() == pytest.approx(0.5, abs=0.04)
    model = network(RandomCrop(4, 2, seed=1))
    model.forward(x)
    places = {(t, k): x[0, t : t + 4, k : k + 2] for t in range(3) for k in range(4)}
    shares = [(model.layers[0].y == part).all(axis=(1, 2, 3)).mean() for part in places.values()]
    assert sum(shares) == pytest.approx(1) and shares == pytest.approx([1 / 12] * 12, abs=0.025)
    model = network(RandomTranslation((0, 0.5), (-0.2, 0.2), "constant", -1.0, seed=2))
    model.forward(x)
    # as many rows come in at the top, columns at either side
    rows = (model.layers[0].y == -1).all(axis=(2, 3)).sum(axis=1)
    assert np.bincount(rows) / 3000 == pytest.approx([0.25] * 4, abs=0.035)
    assert (model.layers[0].y[:, -1, 0, 0] == -1).mean() == pytest.approx(1 / 3, abs=0.035)


@every_layer
def test_seeds_files_and_copies(name, tmp_path):
    make = LAYERS[name][0]

    def trained(seed, layer):
        model = network(layer)
        model.fit(images(), LABELS, epochs=2, seed=seed, shuffle=False, verbose=0)
        return model.get_weights()[0]

    assert_same_bits(trained(1, make()), trained(1, make()))
    assert (trained(1, make()) != trained(2, make())).any()
    assert_same_bits(trained(1, make(seed=5)), trained(2, make(seed=5)))
    model = network(make(seed=4))
    model.fit(images(), LABELS, epochs=2, verbose=0)
    model.save(tmp_path / "model.npz")
    others = [load_model(tmp_path / "model.npz"), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    assert others[0].layers[0].get_config() == model.layers[0].get_config()
    for _ in range(3):
        loss = model.train_on_batch(images(), LABELS)
        assert [other.train_on_batch(images(), LABELS) for other in others] == [loss] * 3
    want = model.forward(images())
    for other in others:
        assert_same_bits(other.forward(images()), want)


def test_a_step_that_was_stopped_has_drawn_nothing():
    model = network(RandomFlip(seed=1), RandomTranslation(0.2, 0.2), RandomCrop(4, 2))
    model.train_on_batch(images(), LABELS)
    streams = model.snapshot()["streams"]
    with pytest.raises(FloatingPointError):
        model.train_on_batch(np.full_like(images(), 3e38), LABELS)
    assert_same_bits(model.snapshot()["streams"], streams)
    model.train_on_batch(images(), LABELS)
    assert (model.snapshot()["streams"] != streams).any()


@every_layer
def test_threads_have_the_same_bits(name):
    # so many that they are shared
    x, found = np.random.default_rng(3).standard_normal((300, 48, 40, 3)).astype("float32"), []
    model = Sequential([LAYERS[name][0](seed=2)], input_shape=x.shape[1:])
    model.compile("sgd", "mse", numerics="portable")
    before = fastbp.get_num_threads()
    try:
        for threads in (1, 2, 3, 4):
            fastbp.set_num_threads(threads)
            found.append(copy.deepcopy(model).forward(x).copy())
    finally:
        fastbp.set_num_threads(before)
    for got in found[1:]:
        assert_same_bits(got, found[0])


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_a_run_that_goes_on_has_the_same_bits(kind, tmp_path):
    def fitted(model, epochs, path=None):
        model.fit(images(dtype=kind), LABELS, batch_size=8, epochs=epochs, seed=3, verbose=0, checkpoint=path)
        return model

    layers = [
        lambda: Rescaling(1 / 255), RandomFlip, lambda: RandomTranslation(0.2, 0.4, "nearest"),
        lambda: RandomCrop(4, 3, seed=2), lambda: GaussianNoise(0.1),
    ]  # fmt: skip
    whole, begun, again = (network(*[make() for make in layers]) for _ in range(3))
    fitted(whole, 6)
    fitted(begun, 3, tmp_path / "run.npz")
    fitted(again, 6, tmp_path / "run.npz")
    assert again.history.history == whole.history.history
    for got, want in zip(again.get_weights(), whole.get_weights(), strict=True):
        assert_same_bits(got, want)
    assert_same_bits(again.snapshot()["streams"], whole.snapshot()["streams"])


def test_what_changes_nothing_draws_nothing():
    x = images()
    idle = network(RandomTranslation(0.1, 0), RandomCrop(6, 5))
    plain = network()
    for model in (idle, plain):
        model.fit(x, LABELS, epochs=2, seed=1, shuffle=False, verbose=0)
    assert [c.kernel.name for c in idle.program.calls] == [c.kernel.name for c in plain.program.calls]
    for got, want in zip(idle.get_weights(), plain.get_weights(), strict=True):
        assert_same_bits(got, want)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 1), (2, 1, 1), (1, 1, 2), (3, 1, 1)])
def test_small_images(shape):
    x = np.arange(1, 1 + 8 * np.prod(shape), dtype="float32").reshape(8, *shape)
    for backend in ("numpy", *BACKENDS):
        model = Sequential([RandomFlip(seed=0), RandomTranslation(1.0, 1.0, "constant", seed=1)], input_shape=shape)
        model.compile("sgd", "mse", backend=backend)
        y = model.forward(x)
        u = np.random.default_rng(0).random((8, 2), "float32")
        want = flipped(x, u)
        assert_same_bits(model.layers[0].y, want)
        u = np.random.default_rng(1).random((8, 2), "float32")
        height, width, _ = shape
        options = {"first_h": -height, "count_h": 2 * height + 1, "first_w": -width, "count_w": 2 * width + 1}
        assert_same_bits(y, kernels.translate_forward(want, u, fill=0.0, **{k: float(v) for k, v in options.items()}))


def test_shares_of_a_size_are_whole_pixels():
    for factor, size, first, count in (
        (0.29, 100, -29, 59), (0.1, 28, -2, 5), ((0.05, 0.1), 10, 1, 1), ((-1, -0.5), 4, -4, 3), (1, 3, -3, 7),
    ):  # fmt: skip
        model = Sequential([RandomTranslation(factor, factor), RandomFlip()], input_shape=(size, size, 1))
        model.compile("sgd", "mse", backend="numpy")
        model.build()
        for call in model.program.calls:
            if call.kernel.name == "translate_forward":
                assert [call.attributes[k] for k in ("first_h", "count_h", "first_w", "count_w")] == [first, count] * 2


def test_errors():
    for layer, shape, message in (
        (RandomFlip(name="f"), (4, 4), r"f: RandomFlip takes rows of shape \(height, width, channels\), got .*4, 4"),
        (RandomTranslation(0, 0), 5, r"RandomTranslation takes rows of .* got \(5,\)"),
        (RandomCrop(2, 5, name="c"), (4, 4, 1), r"c: RandomCrop\(2, 5\) of images of shape \(4, 4, 1\); a part must"),
        (RandomCrop(5, 2), (4, 4, 1), "must not be larger"),
        (RandomTranslation((0.1, 0.2), 0, name="t"), (4, 9, 1),
         r"t: height_factor is \(0.1, 0.2\); of images of height 4 no whole number of pixels lies in 0.4 .. 0.8"),
        (RandomTranslation(0, (0.01, 0.02)), (4, 9, 1), "width_factor is .*; of images of width 9 no whole number"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            Sequential([layer], input_shape=shape).build()


def test_rescaling():
    x = images()
    model = network(Rescaling(1 / 127.5, -1), dtype="float64", backend="numpy")
    model.forward(x)
    model.loss(LABELS)
    model.backward()
    assert_same_bits(model.layers[0].y, x.astype("float64") * (1 / 127.5) + -1.0)
    assert model.layers[0].get_config() == {"scale": 1 / 127.5, "offset": -1.0, "name": "rescaling_1"}
    calls = [call.kernel.name for call in network(Rescaling(0.5)).program.calls]
    # of the first layer no gradient is needed, of no offset no sum
    assert calls.count("scale_by") == 1 and "shift_by" not in calls
    assert fastbp.gradient_check(network(Dense(3), Rescaling(0.5, 2), dtype="float64"), x, LABELS).ok
