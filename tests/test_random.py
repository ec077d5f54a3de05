"""Random numbers are those of `draws.py`, draw after draw; what is made of them has the distribution it should."""

import ctypes
import os
import shutil
import subprocess

import numpy as np
import pytest
from _arrays import BACKENDS, BUILDS, DTYPES, address, assert_same_bits, guarded, primitives, run_guarded

import fastbp
from fastbp import AlphaDropout, Dense, Dropout, GaussianNoise, Sequential, kernels, load_model
from fastbp.kernels.draws import PortableGenerator
from fastbp.kernels.pcg64 import pcg64, pcg64_state
from fastbp.kernels.table import KERNELS

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = os.path.join(os.path.dirname(HERE), "kernels", "cython_ext", "pcg64.h")
UNIFORM = KERNELS["uniform"]
every_backend = pytest.mark.parametrize("backend", ["numpy", *BACKENDS])
every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
every_dtype = pytest.mark.parametrize("dtype", DTYPES)


def draw(build, numerics, dtype, n, state):
    """Return u[n] and the state afterwards."""
    inputs = {"x": np.full(n, np.nan, dtype), "generator": state}
    buffers = guarded(UNIFORM, dtype, {"n": n}, inputs, offset=n)
    function, table = address(build, dtype, "uniform"), primitives(build, dtype, numerics)
    status, got = run_guarded(function, table, UNIFORM, {"n": n}, inputs, {}, buffers)
    assert status == 0
    return got["u"], got["generator"]


@every_numerics
@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_a_chain_of_draws_is_the_generators(build, dtype, numerics):
    rng = PortableGenerator(np.random.PCG64(7))
    state = pcg64_state(rng)
    left_over = set()
    for n in (1, 0, 1, 1, 2, 0, 3, 5, 1, 1024, 1, 7, 4096, 1, 2):
        u, state = draw(build, numerics, dtype, n, state)
        assert_same_bits(u, rng.random(n, dtype), f"{n} numbers")
        assert_same_bits(state, pcg64_state(rng), f"the state after {n} numbers")
        left_over.add(int(state[4]))
    # a half word is left over now and then; a double leaves none
    assert left_over == ({0, 1} if dtype == "float32" else {0})


@every_dtype
@pytest.mark.parametrize("build", BUILDS)
def test_draws_of_both_widths_take_turns(build, dtype):
    # a half word that float32 left over waits while float64 draws
    rng = PortableGenerator(np.random.PCG64(8))
    state = pcg64_state(rng)
    for n in (3, 2, 1, 1, 4, 0, 5):
        for width in DTYPES if dtype == "float32" else DTYPES[::-1]:
            u, state = draw(build, "numpy", width, n, state)
            assert_same_bits(u, rng.random(n, width))
            assert_same_bits(state, pcg64_state(rng))


def test_a_state_is_the_generators_own():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        rng.random(seed, "float32")
        again = pcg64(pcg64_state(rng))
        assert again.bit_generator.state == rng.bit_generator.state
        assert_same_bits(again.random(9, "float32"), rng.random(9, "float32"))


@pytest.mark.skipif(not (shutil.which("cc") and os.path.exists(HEADER)), reason="needs a C compiler and the sources")
@pytest.mark.parametrize("item", [4, 8])
def test_without_a_type_of_128_bits(tmp_path, item):
    # as compilers without one multiply
    source, library = tmp_path / "pcg64.c", tmp_path / "pcg64.so"
    wrapper = "void draw(uint64_t *state, fastbp_real *u, intptr_t n) { fastbp_uniform(state, u, n); }"
    source.write_text(f'#include "{HEADER}"\n{wrapper}\n')
    flags = [f"-DFASTBP_ITEM={item}", "-DFASTBP_NO_INT128", "-O2", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, str(source), "-o", str(library)], check=True)
    function = ctypes.CDLL(str(library)).draw
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_ssize_t]
    for rng in map(PortableGenerator, map(np.random.PCG64, range(20))):
        state = pcg64_state(rng)
        for n in (1001, 0, 1, 3, 500):
            u = np.empty(n, f"f{item}")
            function(state.ctypes.data, u.ctypes.data, n)
            assert_same_bits(u, rng.random(n, u.dtype))
            assert_same_bits(state, pcg64_state(rng))


# ---------------------------------------------------------------------- what is made of the numbers
@every_dtype
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_what_the_generator_says(rate, dtype):
    rng = np.random.default_rng(3)
    state = pcg64_state(rng)
    x = np.linspace(-2, 2, 777).astype(dtype)
    x[::50] = np.nan
    for _ in range(3):
        u, state = kernels.uniform(x, state)
        kept = rng.random(x.shape, dtype) >= rate
        scale = x.dtype.type(1 / (1 - rate))
        # even NaN is dropped
        assert_same_bits(kernels.dropout_forward(x, u, rate=rate), np.where(kept, x * scale, x.dtype.type(0)))
        assert_same_bits(kernels.dropout_backward(x, u, rate=rate), np.where(kept, x * scale, x.dtype.type(0)))
        assert kept.mean() == pytest.approx(1 - rate, abs=0.06)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.5, 0.9])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    shift, one, dropped = kernels.alpha_dropout_forward([0.0, 1.0, 1.0], [rate, rate, 0.0], rate=rate)
    scale = one - shift
    if rate:
        # of selu's limit, scaled and shifted like all that is kept
        assert dropped == pytest.approx(-1.0507009873554805 * 1.6732632423543772 * scale + shift, rel=1e-14)
    else:
        dropped = 0.0
    assert (1 - rate) * shift + rate * dropped == pytest.approx(0, abs=1e-15)
    assert (1 - rate) * (scale**2 + shift**2) + rate * dropped**2 == pytest.approx(1, rel=1e-14)
    dx = kernels.alpha_dropout_backward([2.0, 2.0], [rate, rate - 1e-9], rate=rate)
    assert dx.tolist() == [pytest.approx(2 * scale, rel=1e-14), 0]


def normal(u, numerics="numpy"):
    return kernels.gaussian_noise(np.zeros_like(u), u, numerics=numerics)


def ulps(got, want):
    """Return the errors of `got` in spacings of its dtype at `want`, a float64 array without zeros."""
    return np.abs(got.astype(float) - want) / np.spacing(np.abs(want).astype(got.dtype))


@every_numerics
def test_the_normal_quantile_of_doubles(numerics):
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(4)
    u = np.concatenate([rng.random(400), rng.uniform(0.07, 0.08, 50), np.exp(-rng.uniform(24, 26, 50))])
    u = np.concatenate([u, 2.0 ** -rng.uniform(1, 53, 500), [2.0**-53, 0.075, np.exp(-25)]])
    u = np.floor(u * 2**53) / 2**53
    u = np.concatenate([u, 1 - u])
    with mpmath.workdps(40):
        want = [float(mpmath.sqrt(2) * mpmath.erfinv(2 * mpmath.mpf(float(p)) - 1)) for p in u]
    # measured on 27000 points: 4
    assert ulps(normal(u, numerics), np.array(want)).max() <= 5


@every_numerics
def test_the_normal_quantile_of_floats(numerics):
    steps = np.concatenate([np.arange(1, 1 << 12), np.arange(1 << 12, 1 << 24, 101)])
    u = np.concatenate([steps, (1 << 24) - steps]).astype(np.float32) * np.float32(2.0**-24)
    u = u[u != 0.5]
    # measured on all of them: 6.1
    assert ulps(normal(u, numerics), normal(u.astype(float))).max() <= 7


@every_dtype
def test_the_normal_quantile_has_two_like_halves(dtype):
    u = np.random.default_rng(5).random(1000, dtype)
    u = u[u > 0]
    assert_same_bits(normal(1 - u), -normal(u))
    half, least = np.array([0.5, 0], dtype), np.finfo(dtype).eps / 2
    middle, lowest = normal(half)
    assert middle == 0
    assert lowest == pytest.approx({"float32": -5.41998, "float64": -8.29236}[dtype], rel=1e-5)
    assert lowest < normal(np.array([least], dtype))[0]


@every_dtype
def test_gaussian_noise_is_normal(dtype):
    x = np.full(200_000, 3, dtype)
    u = np.random.default_rng(6).random(x.size, dtype)
    noise = kernels.gaussian_noise(x, u, stddev=0.5).astype(float) - 3
    assert noise.mean() == pytest.approx(0, abs=4 * 0.5 / x.size**0.5)
    assert noise.std() == pytest.approx(0.5, rel=0.01)
    assert (np.abs(noise) < 0.5).mean() == pytest.approx(0.6827, abs=0.005)
    assert (np.abs(noise) > 1.5).mean() == pytest.approx(0.0027, abs=0.0005)


# ------------------------------------------------------------------------------------------ layers
#: Each with what its kernels take of x and u.
LAYERS = {
    "dropout": (lambda **o: Dropout(0.4, **o), lambda x, u: kernels.dropout_forward(x, u, rate=0.4)),
    "alpha": (lambda **o: AlphaDropout(0.2, **o), lambda x, u: kernels.alpha_dropout_forward(x, u, rate=0.2)),
    "noise": (lambda **o: GaussianNoise(0.3, **o), lambda x, u: kernels.gaussian_noise(x, u, stddev=0.3)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def network(*hidden, backend="cython", dtype="float64", seed=0, **options):
    model = Sequential([Dense(6, activation="tanh"), *hidden, Dense(2)], input_shape=4, seed=seed)
    model.compile(fastbp.optimizers.Adam(0.05), "mse", backend=backend, dtype=dtype, **options)
    return model


def data(rows=30, dtype="float64"):
    rng = np.random.default_rng(9)
    return rng.standard_normal((rows, 4)).astype(dtype), rng.standard_normal((rows, 2)).astype(dtype)


@every_layer
@every_dtype
@every_backend
def test_a_layer_draws_from_its_own_generator(name, dtype, backend):
    make, expected = LAYERS[name]
    model = network(make(seed=7), backend=backend, dtype=dtype)
    rng = np.random.Generator(np.random.PCG64(7))
    first, layer, _ = model.layers
    for rows in (3, 30, 1):
        x, y = data(rows, dtype)
        model.forward(x)
        u = rng.random((rows, 6), dtype)
        assert_same_bits(layer.y, expected(first.y, u))
        model.loss(y)
        model.backward()
        if name == "dropout":
            assert_same_bits(first.dy, kernels.dropout_backward(layer.dy, u, rate=0.4))
        elif name == "alpha":
            assert_same_bits(first.dy, kernels.alpha_dropout_backward(layer.dy, u, rate=0.2))
        else:
            assert_same_bits(first.dy, layer.dy)
    # nothing is drawn where nothing is trained
    w, b = model.layers[2].w, model.layers[2].b
    want = model.predict(x)
    np.testing.assert_allclose(want, np.tanh(x @ first.w + first.b) @ w + b, rtol=1e-5)
    assert model.evaluate(x, y)["loss"] == pytest.approx(((want - y) ** 2).mean(), rel=1e-5)
    assert "uniform" not in {call.kernel.name for call in model.engine().network("predict").program.calls}
    model.forward(x)
    assert_same_bits(layer.y, expected(first.y, rng.random((1, 6), dtype)))


@every_layer
@every_numerics
def test_training_has_the_same_bits_in_every_backend(name, numerics):
    x, y = data()
    found = []
    for backend in ("numpy", *BACKENDS):
        model = network(LAYERS[name][0](), backend=backend, dtype="float32", numerics=numerics)
        losses = model.fit(x, y, batch_size=8, epochs=5, seed=1, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        found.append(model.get_weights())
        model.train_on_batch(x, y)
        model.program.run(check="numpy")
    for other in found[1:]:
        for got, want in zip(other, found[0], strict=True):
            assert_same_bits(got, want)


@every_layer
@every_backend
def test_gradients(name, backend):
    x, y = data(8)
    model = network(LAYERS[name][0](), LAYERS[name][0](seed=3), backend=backend)
    model.fit(x, y, epochs=1, verbose=0)
    assert fastbp.gradient_check(model, x, y).ok


def test_seeds():
    x, y = data()

    def trained(seed, *hidden):
        model = network(*hidden)
        model.fit(x, y, epochs=2, seed=seed, shuffle=False, verbose=0)
        return model.get_weights()[0]

    assert_same_bits(trained(1, Dropout(0.5)), trained(1, Dropout(0.5)))
    assert (trained(1, Dropout(0.5)) != trained(2, Dropout(0.5))).any()
    # two layers have two streams
    model = network(Dropout(0.5), Dropout(0.5))
    model.forward(np.ones((50, 4)))
    assert ((model.layers[1].y == 0) & (model.layers[2].y != 0)).any() == 0
    assert (model.layers[2].y[model.layers[1].y != 0] == 0).any()
    # a layer's own seed is its own
    assert_same_bits(trained(1, Dropout(0.5, seed=5)), trained(2, Dropout(0.5, seed=5)))
    assert (trained(1, Dropout(0.5, seed=5)) != trained(1, Dropout(0.5, seed=6))).any()


@every_layer
def test_a_file_keeps_the_stream(name, tmp_path):
    x, y = data()
    model = network(LAYERS[name][0](seed=4))
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.npz")
    again = load_model(tmp_path / "model.npz")
    assert again.layers[1].get_config() == model.layers[1].get_config()
    for _ in range(3):
        assert model.train_on_batch(x, y) == again.train_on_batch(x, y)
    assert_same_bits(again.forward(x), model.forward(x))


@every_layer
@every_backend
def test_first_last_and_rows_of_several_dimensions(name, backend):
    make, expected = LAYERS[name]
    rng, x = np.random.default_rng(10), data(5)[0].reshape(5, 2, 2)
    model = Sequential([make(seed=2)], input_shape=(2, 2))
    model.compile("sgd", "mse", backend=backend, dtype="float64")
    assert_same_bits(model.forward(x), expected(x, np.random.default_rng(2).random(x.shape)))
    assert_same_bits(model.predict(x), x)
    model.fit(x, x, verbose=0)
    model = Sequential([make(), Dense(4), make()], input_shape=4, seed=0)
    model.compile("sgd", "mse", backend=backend, dtype="float64")
    model.fit(*[rng.standard_normal((9, 4))] * 2, epochs=2, verbose=0)
    names = [call.kernel.name for call in model.program.calls]
    assert names.count("uniform") == 2
    # before the first parameters no gradient is needed
    assert sum("dropout_backward" in name for name in names) == (name != "noise")


def test_nothing_to_drop_costs_nothing():
    x, y = data()
    plain, idle = network(), network(Dropout(0), AlphaDropout(0.0), GaussianNoise(0))
    for model in (plain, idle):
        model.fit(x, y, epochs=2, seed=1, shuffle=False, verbose=0)
    assert [c.kernel.name for c in idle.program.calls] == [c.kernel.name for c in plain.program.calls]
    streams = idle.snapshot()["streams"]
    idle.forward(x)
    assert_same_bits(idle.snapshot()["streams"], streams)
    for got, want in zip(idle.get_weights(), plain.get_weights(), strict=True):
        assert_same_bits(got, want)


def test_errors():
    for cls, amount, wrong in (
        (Dropout, "rate", (-0.1, 1, 1.5, np.nan)), (AlphaDropout, "rate", (-0.1, 1, np.nan)),
        (GaussianNoise, "stddev", (-1, np.inf, np.nan)),
    ):  # fmt: skip
        for value in wrong:
            with pytest.raises(ValueError, match=rf"{amount} is .*; it must be in \[0, "):
                cls(value)
        with pytest.raises(TypeError, match=f"{amount} is None; it must be a number"):
            cls(None)
        with pytest.raises(ValueError, match="seed is -1; it must be at least 0"):
            cls(0.5, seed=-1)
        with pytest.raises(TypeError, match=r"seed is 1\.5; it must be an integer"):
            cls(0.5, seed=1.5)


def test_a_generator_that_spawns_no_others_is_named():
    model = Sequential([Dense(2), Dropout(0.5)], input_shape=3, seed=0)
    model.compile("sgd", "mse")
    for seed in (np.random.RandomState(3), np.random.Generator(np.random.RandomState(3)._bit_generator)):
        with pytest.raises(TypeError, match=r"seed is .*MT19937.*it must be able to spawn others"):
            model.fit(np.ones((4, 3)), np.ones((4, 2)), seed=seed, verbose=0)
