"""What portable numerics draws is defined in `draws.py`, and is what NumPy draws today."""

import contextlib
import hashlib

import numpy as np
import pytest
from _arrays import assert_same_bits, needs_modules

from fastbp import Callback, Dense, Sequential, initializers
from fastbp.kernels import draws
from fastbp.kernels.draws import PortableGenerator, permuting
from fastbp.kernels.pcg64 import pcg64_state
from fastbp.kernels.ziggurat import TAIL

every_numerics = pytest.mark.parametrize("numerics", ["numpy", "portable"])
#: What is drawn, by name.
DRAWS = {
    "random": lambda rng, n: rng.random(n),
    "random of floats": lambda rng, n: rng.random(n, "float32"),
    "uniform": lambda rng, n: rng.uniform(-0.3, 2.0, n),
    "normal": lambda rng, n: rng.normal(1.0, 3.0, n),
    "permutation": lambda rng, n: rng.permutation(n),
}


def pcg(seed):
    return np.random.PCG64(seed)


def numpys(seed):
    return np.random.Generator(pcg(seed))


@pytest.fixture(params=["definition", pytest.param("compiled", marks=needs_modules)])
def twin(request, monkeypatch):
    """Let the definition draw, or its compiled twin."""
    if request.param == "definition":
        monkeypatch.setattr(draws, "MISSING", ImportError())


# ----------------------------------------------------------------------------------------------- bits
@pytest.mark.parametrize("name", DRAWS)
def test_numpy_draws_what_is_defined_here(name):
    # what fails here alone has moved in NumPy: numerics "numpy" follows, and the docs should say since when
    for seed in range(60):
        own, its = PortableGenerator(pcg(seed)), numpys(seed)
        for n in (1, 0, 3, 1, 256, 7, 3000, 2):
            got, want = DRAWS[name](own, n), DRAWS[name](its, n)
            assert got.dtype == want.dtype
            if name == "normal":
                # its log1p is libm's
                tail = np.abs(want - 1) / 3 > TAIL - 1e-9
                np.testing.assert_array_max_ulp(got[tail], want[tail], 2)
                got, want = got[~tail], want[~tail]
            assert_same_bits(got, want, f"seed {seed}, {n} numbers")
            assert own.bit_generator.state == its.bit_generator.state


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("random", "ae47dc6fda57b2eaeaa369013bd48af6a116ce385f785a58ac5f2a5806f675ea"),
        ("random of floats", "5ce37362c3a3f14dbb9364a84aa147054da934d56f41e5747536d6b3fd18731d"),
        ("uniform", "f004dd7d43f68550689b7c267faa0357234cc8522c35303bd9b54daf4ca5439a"),
        ("normal", "5fb975880c4c3952f71c8d5ee23d5000353162fac7e3a4a4b5d2cea820236cc7"),
        ("permutation", "c7a6f7285bc5947ff0d233fce3ffb3698f3e82d03bb019079edf7f96b5a3cf60"),
    ],
)
def test_bits_stay_whatever_numpy_does(name, digest, twin):
    rng, found = PortableGenerator(pcg(2026)), hashlib.sha256()
    for n in (20_000, 1, 7, 1000):
        found.update(DRAWS[name](rng, n).astype("<i8" if name == "permutation" else "<f8").tobytes())
    found.update(pcg64_state(rng).astype("<i8").tobytes())
    assert found.hexdigest() == digest


def test_normal_numbers_do_not_depend_on_how_many_are_drawn(twin):
    whole, parts = PortableGenerator(pcg(3)).standard_normal(30_000), PortableGenerator(pcg(3))
    sizes = [1, 2, 3, 500, 1, 9494, 10_000, 4999, 5000]
    assert_same_bits(np.concatenate([parts.standard_normal(n) for n in sizes]), whole)


@needs_modules
def test_compiled_permutations_are_the_defined_ones(monkeypatch):
    own, twin = PortableGenerator(pcg(5)), PortableGenerator(pcg(5))
    left_over = set()
    for n in (*range(70), 127, 128, 129, 1000, 4096, 4097, 65_537):
        got = twin.permutation(n)
        monkeypatch.setattr(draws, "MISSING", ImportError())
        assert_same_bits(got, own.permutation(n), f"{n} elements")
        monkeypatch.setattr(draws, "MISSING", None)
        assert own.bit_generator.state == twin.bit_generator.state
        left_over.add(own.bit_generator.state["has_uint32"])
    assert left_over == {0, 1}
    with pytest.raises(ValueError, match=r"n is 4294967297; it must be in 0 .. 2\*\*32"):
        twin.permutation(2**32 + 1)


@pytest.mark.parametrize("n", [5, 1000])
def test_any_number_says_that_half_a_word_is_left_over(n, twin):
    for draw in (lambda rng: rng.random(n, "float32"), lambda rng: rng.permutation(n)):
        bits = pcg(1), pcg(1)
        for bit_generator in bits:
            bit_generator.state = {**bit_generator.state, "has_uint32": 2, "uinteger": 7}
        got, want = draw(PortableGenerator(bits[0])), draw(np.random.Generator(bits[1]))
        assert_same_bits(got, want)
        assert bits[0].state == bits[1].state


@needs_modules
def test_streams_are_seeded_as_numpy_seeds_a_bit_generator():
    # of no word, of up to the four of a pool, and of more
    edges = [n + k for bits in (0, 32, 64, 96, 128, 160, 1000) for n in [1 << bits] for k in (-1, 0, 1)]
    for seed in [*edges, *(int.from_bytes(numpys(k).bytes(16)) for k in range(50))]:
        own, its = draws.Stream(seed), numpys(seed)
        for n in (1, 0, 9, 2, 1000, 6):
            assert_same_bits(own.permutation(n), its.permutation(n), f"seed {seed}, {n} elements")
    with pytest.raises(ValueError, match=r"n is -1; it must be in 0 .. 2\*\*32"):
        own.permutation(-1)


def test_shapes_and_types_are_numpys():
    own, its = PortableGenerator(pcg(0)), numpys(0)
    for draw in (
        lambda rng: rng.random(),
        lambda rng: rng.random((2, 3), np.float32),
        lambda rng: rng.random(dtype="f4"),
        lambda rng: rng.uniform([0.0, 1.0], 2.0),
        lambda rng: rng.uniform(1, 2),
        lambda rng: rng.normal(1.0, np.array([[1.0], [2.0]])),
        lambda rng: rng.normal(0, [1.0, 2.0], (3, 2)),
        lambda rng: rng.standard_normal(),
        # NumPy's own
        lambda rng: rng.standard_normal((2, 2), "float32"),
        lambda rng: rng.permutation([3, 1, 2]),
        lambda rng: rng.integers(9, size=4),
    ):
        got, want = draw(own), draw(its)
        assert np.shape(got) == np.shape(want)
        assert_same_bits(np.asarray(got), np.asarray(want))
    assert own.bit_generator.state == its.bit_generator.state


def test_what_numpy_refuses_to_draw_is_refused():
    own = PortableGenerator(pcg(0))
    before = own.bit_generator.state
    with pytest.raises(TypeError, match=r"Unsupported dtype dtype\('int64'\)"):
        own.random(3, dtype=np.int64)
    for low, high in ((1, 0), ([0, 1], [1, 0])):
        with pytest.raises(ValueError, match="high - low < 0"):
            own.uniform(low, high)
    for high in (np.inf, np.nan):
        with pytest.raises(OverflowError):
            own.uniform(0, high, 3)
    for scale in (-1, [1.0, -1.0]):
        with pytest.raises(ValueError, match="scale < 0"):
            own.normal(0, scale)
    assert own.bit_generator.state == before


# ----------------------------------------------------------------------------------------------- shuffles
class Others(np.random.Generator):
    """A Generator of a NumPy that draws otherwise."""

    def permutation(self, x, axis=0):
        return super().permutation(x, axis)[::-1].copy()

    def uniform(self, *arguments):
        return -super().uniform(*arguments)

    def normal(self, *arguments):
        return -super().normal(*arguments)


@every_numerics
@pytest.mark.parametrize("n", [5, 1000])
def test_who_permutes(numerics, n, twin, monkeypatch):
    def orders(rng):
        return [permuting(rng, numerics)(n).tolist() for _ in range(3)]

    want = orders(numpys(1))
    its = permuting(1, numerics)
    assert want == [its(n).tolist() for _ in range(3)]
    assert want == [rng.permutation(n).tolist() for rng in [numpys(1)] for _ in range(3)]
    # of another bit generator, or by a method of the user's: theirs
    for rng in (np.random.Generator(np.random.MT19937(1)), np.random.Generator(np.random.PCG64DXSM(1))):
        state = rng.bit_generator.state
        got = orders(rng)
        rng.bit_generator.state = state
        assert got == [rng.permutation(n).tolist() for _ in range(3)]
    its = [rng.permutation(n).tolist() for rng in [Others(pcg(1))] for _ in range(3)]
    assert its != want and orders(Others(pcg(1))) == (its if numerics == "numpy" else want)
    # a NumPy that has moved
    monkeypatch.setattr(np.random, "Generator", Others)
    draws._agrees.cache_clear()
    try:
        assert orders(Others(pcg(1))) == (its if numerics == "numpy" else want)
        seeded = permuting(1, numerics)
        assert [seeded(n).tolist() for _ in range(3)] == (its if numerics == "numpy" else want)
    finally:
        draws._agrees.cache_clear()


@every_numerics
@pytest.mark.parametrize("initializer", ["glorot_uniform", "he_normal", "truncated_normal", "orthogonal"])
def test_initial_weights_are_drawn_as_defined_here(initializer, numerics):
    def weights(seed, shape=None):
        model = Sequential([Dense(5, kernel_initializer=initializer)], shape, seed=seed)
        model.compile("sgd", "mse", numerics=numerics)
        model.build(4)
        return model.get_weights()[0]

    want = initializers.get(initializer)((4, 5), PortableGenerator(pcg(1))).astype("float32")
    # before a model is compiled, or after: it need not know its numerics
    for seed in (1, numpys(1), Others(pcg(1))):
        assert_same_bits(weights(seed), want)
    assert_same_bits(weights(1, 4), want)


def test_a_seed_is_one_of_pcg64(monkeypatch):
    # which bit generator default_rng takes is another thing that NumPy may change
    want, default = Sequential([Dense(5)], 4, seed=1).get_weights()[0], np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda s: default(np.random.SFC64(s) if isinstance(s, int) else s))
    assert_same_bits(Sequential([Dense(5)], 4, seed=1).get_weights()[0], want)


ROWS = 1500  # enough that the compiled permutation draws
X = np.random.default_rng(0).standard_normal((ROWS, 3)).astype("float32")
Y = X[:, :1]


def model_of(numerics="numpy", backend=None):
    model = Sequential([Dense(2, activation="tanh"), Dense(1)], input_shape=3, seed=0)
    model.compile("sgd", "mse", numerics=numerics, backend=backend)
    return model


class Stop(Callback):
    """Ends a fit in some way in its third epoch."""

    def __init__(self, how, when):
        self.how, self.when = how, when

    def on_epoch_end(self, epoch, logs):
        if epoch == 2 and self.when == "end":
            self.end()

    def on_train_batch_end(self, batch, logs):
        if self.when == "batch" and len(self.model.history.epoch) == 2 and batch == 5:
            self.end()

    def end(self):
        if self.how is None:
            self.model.stop_training = True
        else:
            raise self.how


@needs_modules
@every_numerics
@pytest.mark.parametrize("when", ["end", "batch"])
@pytest.mark.parametrize("how", [None, KeyboardInterrupt(), RuntimeError("ours")], ids=repr)
def test_a_generator_stands_behind_the_epochs_that_began(numerics, how, when):
    rng, its = numpys(7), numpys(7)
    with pytest.raises(type(how)) if how else contextlib.nullcontext():
        model_of(numerics).fit(X, Y, batch_size=64, epochs=9, seed=rng, verbose=0, callbacks=[Stop(how, when)])
    for _ in range(3):
        its.permutation(ROWS)
    assert rng.bit_generator.state == its.bit_generator.state


@needs_modules
@every_numerics
def test_orders_of_epochs_are_the_generators(numerics):
    rng, its = numpys(3) if numerics == "numpy" else Others(pcg(3)), numpys(3)

    class Draws(Callback):
        """Draws from the generator in between, now and then."""

        def on_epoch_end(self, epoch, logs):
            if epoch % 3 == 1:
                rng.random(5, "float32")

    model = model_of(numerics)
    model.fit(X, Y, batch_size=ROWS // 2, epochs=12, seed=rng, verbose=0, callbacks=[Draws()])
    twin = model_of(numerics, "numpy")
    for epoch in range(12):
        order = its.permutation(ROWS)
        for half in np.split(order, 2):
            twin.train_on_batch(X[half], Y[half])
        if epoch % 3 == 1:
            its.random(5, "float32")
    assert rng.bit_generator.state == its.bit_generator.state
    for got, want in zip(model.get_weights(), twin.get_weights(), strict=True):
        assert_same_bits(got, want)
