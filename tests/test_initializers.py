"""Initializers: the bits of the expressions that their docstrings state, their distributions, their way into files."""

import hashlib
import math

import numpy as np
import pytest
from _arrays import assert_same_bits

from fastbp import Dense, Sequential, initializers, load_model

SHAPES = [(1, 1), (7, 3), (3, 7), (64, 32), (5,), (3, 4, 6), (5, 3, 2, 4)]


def truncated(rng, shape, mean, std):
    z = rng.standard_normal(shape)
    while (far := np.abs(z) > 2).any():
        z[far] = rng.standard_normal(np.count_nonzero(far))
    return mean + std * z


def n_in(s):
    """Return how many numbers lead to one output, of a convolution's weights too, as in Keras."""
    return {1: lambda: s[0], 2: lambda: s[0], 3: lambda: s[0] * s[1], 4: lambda: s[0] * s[1] * s[2]}[len(s)]()


def both(s):
    """Return n_in + n_out."""
    return n_in(s) + {1: lambda: s[0], 2: lambda: s[1], 3: lambda: s[0] * s[2], 4: lambda: s[0] * s[1] * s[3]}[len(s)]()


#: Each initializer with the plain NumPy expression it stands for.
EXPRESSIONS = {
    "Zeros()": lambda rng, s: np.zeros(s),
    "Ones()": lambda rng, s: np.ones(s),
    "Constant()": lambda rng, s: np.full(s, 0.0),
    "Constant(value=-1.5)": lambda rng, s: np.full(s, -1.5),
    "RandomUniform()": lambda rng, s: rng.uniform(-0.05, 0.05, s),
    "RandomUniform(low=1.0, high=3.0)": lambda rng, s: rng.uniform(1, 3, s),
    "RandomNormal()": lambda rng, s: rng.normal(0, 0.05, s),
    "RandomNormal(mean=1.0, std=0.0)": lambda rng, s: np.ones(s),
    "RandomNormal(mean=1.0, std=3.0)": lambda rng, s: rng.normal(1, 3, s),
    "TruncatedNormal()": lambda rng, s: truncated(rng, s, 0.0, 0.05),
    "TruncatedNormal(mean=1.0, std=3.0)": lambda rng, s: truncated(rng, s, 1.0, 3.0),
    "GlorotUniform()": lambda rng, s: rng.uniform(-math.sqrt(6 / both(s)), math.sqrt(6 / both(s)), s),
    "GlorotNormal()": lambda rng, s: rng.normal(0, math.sqrt(2 / both(s)), s),
    "HeUniform()": lambda rng, s: rng.uniform(-math.sqrt(6 / n_in(s)), math.sqrt(6 / n_in(s)), s),
    "HeNormal()": lambda rng, s: rng.normal(0, math.sqrt(2 / n_in(s)), s),
    "LecunUniform()": lambda rng, s: rng.uniform(-math.sqrt(3 / n_in(s)), math.sqrt(3 / n_in(s)), s),
    "LecunNormal()": lambda rng, s: rng.normal(0, math.sqrt(1 / n_in(s)), s),
}
#: Two dimensions or more only.
ORTHOGONAL = ["Orthogonal()", "Orthogonal(gain=-2.5)"]
every_initializer = pytest.mark.parametrize("text", [*EXPRESSIONS, *ORTHOGONAL])


def make(text):
    return eval(text, vars(initializers))


# ------------------------------------------------------------------------------------------ values
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_bits_of_the_expression(text, shape):
    want = EXPRESSIONS[text](np.random.default_rng(3), shape)
    assert_same_bits(make(text)(shape, np.random.default_rng(3)), want)


@every_initializer
def test_a_model_draws_in_the_order_of_its_parameters(text):
    model = Sequential([Dense(5, kernel_initializer=make(text)), Dense(3, kernel_initializer=make(text))], 4, seed=7)
    rng = np.random.default_rng(7)
    for layer, shape in zip(model.layers, ((4, 5), (5, 3)), strict=True):
        assert_same_bits(layer.w, make(text)(shape, rng).astype("float32"))


DISTRIBUTIONS = {
    "RandomUniform(-2.0, 3.0)": ("uniform", -2.0, 5.0),
    "RandomNormal(1.0, 3.0)": ("norm", 1.0, 3.0),
    "TruncatedNormal(1.0, 3.0)": ("truncnorm", -2, 2, 1.0, 3.0),
    "GlorotUniform()": ("uniform", -math.sqrt(6 / 350), 2 * math.sqrt(6 / 350)),
    "GlorotNormal()": ("norm", 0, math.sqrt(2 / 350)),
    "HeUniform()": ("uniform", -math.sqrt(6 / 200), 2 * math.sqrt(6 / 200)),
    "HeNormal()": ("norm", 0, math.sqrt(2 / 200)),
    "LecunUniform()": ("uniform", -math.sqrt(3 / 200), 2 * math.sqrt(3 / 200)),
    "LecunNormal()": ("norm", 0, math.sqrt(1 / 200)),
}


@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_distribution(text):
    stats = pytest.importorskip("scipy.stats")
    name, *parameters = DISTRIBUTIONS[text]
    values = make(text)((200, 150), np.random.default_rng(11)).ravel()
    assert stats.kstest(values, name, parameters).pvalue > 1e-3


@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_moments(text):
    name, *parameters = DISTRIBUTIONS[text]
    location, scale = parameters[-2:]
    mean, std = {
        "uniform": (location + scale / 2, scale / math.sqrt(12)),
        "norm": (location, scale),
        "truncnorm": (location, 0.87962566 * scale),
    }[name]
    values = make(text)((200, 150), np.random.default_rng(11))
    n = values.size
    # five standard errors; the fourth moment of a normal distribution is the largest of the three
    assert abs(values.mean() - mean) < 5 * std / math.sqrt(n)
    assert abs(values.var() / std**2 - 1) < 5 * math.sqrt(2 / n)
    if name == "truncnorm":
        assert np.abs(values - location).max() <= 2 * scale


# -------------------------------------------------------------------------------------- orthogonal
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (9, 4), (4, 9), (33, 32), (1, 6), (6, 1), (3, 4, 6), (2, 2, 20)])
def test_orthogonal_is_the_factor_of_a_normal_matrix(shape):
    got = initializers.Orthogonal(gain=0.5)(shape, np.random.default_rng(5))
    assert got.shape == shape and got.dtype == np.float64 and got.flags.c_contiguous
    n_in, n_out = math.prod(shape[:-1]), shape[-1]
    z = np.random.default_rng(5).standard_normal((max(n_in, n_out), min(n_in, n_out)))
    q, r = np.linalg.qr(z)
    q = q * np.sign(np.diag(r))
    want = 0.5 * (q if n_in >= n_out else q.T).reshape(shape)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)
    flat = got.reshape(n_in, n_out)
    gram = flat.T @ flat if n_in >= n_out else flat @ flat.T
    np.testing.assert_allclose(gram, 0.25 * np.eye(len(gram)), rtol=0, atol=1e-14)


class Numbers:
    """Stands for a Generator whose numbers no version of NumPy changes."""

    def standard_normal(self, shape):
        return np.cumsum(np.arange(math.prod(shape)) * 37 % 101 - 50).reshape(shape) / 64.0


def by_scalars(a):
    """Return q as `Orthogonal` defines it, one floating-point operation after the other."""

    def total(x):
        while len(x) > 1:
            half = (len(x) + 1) // 2
            x = [x[i] + x[half + i] if half + i < len(x) else x[i] for i in range(half)]
        return x[0]

    def reflect(b, v, j, columns):
        for c in columns:
            s = total([v[i] * b[j + i][c] for i in range(len(v))])
            for i in range(len(v)):
                b[j + i][c] -= 2 * v[i] * s

    a = a.tolist()
    rows, columns = len(a), len(a[0])
    q, kept = np.eye(rows, columns).tolist(), []
    for j in range(columns):
        v = [a[i][j] for i in range(j, rows)]
        q[j][j] = -math.copysign(1.0, v[0])
        v[0] += math.copysign(math.sqrt(total([x * x for x in v])), v[0])
        length = math.sqrt(total([x * x for x in v]))
        kept.append([x / length for x in v])
        reflect(a, kept[j], j, range(j + 1, columns))
    for j in reversed(range(columns)):
        reflect(q, kept[j], j, range(j, columns))
    return np.array(q)


def test_orthogonal_has_the_same_bits_everywhere():
    got = initializers.Orthogonal()((13, 9), Numbers())
    assert_same_bits(got, by_scalars(Numbers().standard_normal((13, 9))))
    digest = hashlib.sha256(got.astype("<f8").tobytes()).hexdigest()
    assert digest == "581cef3c9e47c45f839a83cbcab3676bdfebf7703f7bcdf707df9cd44a677964"


# ------------------------------------------------------------------------------- names and arguments
NAMES = {
    "zeros": "Zeros()",
    "ones": "Ones()",
    "constant": "Constant(value=0.0)",
    "random_uniform": "RandomUniform(low=-0.05, high=0.05)",
    "uniform": "RandomUniform(low=-0.05, high=0.05)",
    "random_normal": "RandomNormal(mean=0.0, std=0.05)",
    "normal": "RandomNormal(mean=0.0, std=0.05)",
    "truncated_normal": "TruncatedNormal(mean=0.0, std=0.05)",
    "glorot_uniform": "GlorotUniform()",
    "glorot_normal": "GlorotNormal()",
    "he_uniform": "HeUniform()",
    "he_normal": "HeNormal()",
    "lecun_uniform": "LecunUniform()",
    "lecun_normal": "LecunNormal()",
    "orthogonal": "Orthogonal(gain=1.0)",
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    found = initializers.get(name)
    assert repr(found) == NAMES[name]
    assert initializers.get(found) is found
    assert type(initializers.get(type(found).__name__)) is type(found)
    assert repr(Dense(2, kernel_initializer=name).kernel_initializer) == NAMES[name]


def test_every_class_has_a_name():
    classes = {c for c in vars(initializers).values() if isinstance(c, type) and c.__module__ == initializers.__name__}
    named = {type(initializers.get(name)) for name in NAMES}
    assert classes - {initializers.Initializer} == named
    assert {c.__name__ for c in classes} | {"get"} == set(initializers.__all__)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: initializers.Constant("one"), TypeError, "value is 'one'; it must be a number"),
        (lambda: initializers.Constant(math.nan), ValueError, "value is nan; it must be finite"),
        (lambda: initializers.RandomUniform(2, 1), ValueError, "low is 2 and high is 1; low may not be above high"),
        (lambda: initializers.RandomUniform(-1e308, 1e308), ValueError, "nor infinitely below"),
        (lambda: initializers.RandomUniform(high=math.inf), ValueError, "high is inf; it must be finite"),
        (lambda: initializers.RandomNormal(mean=None), TypeError, "mean is None; it must be a number"),
        (lambda: initializers.RandomNormal(std=-1), ValueError, r"std is -1; it must be in \[0, inf\)"),
        (lambda: initializers.TruncatedNormal(std=-1), ValueError, r"std is -1; it must be in \[0, inf\)"),
        (lambda: initializers.Orthogonal([]), TypeError, r"gain is \[\]; it must be a number"),
        (
            lambda: Sequential([Dense(3, bias_initializer="orthogonal")], 2),
            ValueError,
            r"shape is \(3,\); an orthogonal initializer needs two dimensions",
        ),
        (
            lambda: initializers.get("lecun_norml"),
            ValueError,
            "no initializer 'lecun_norml'; did you mean 'lecun_normal'",
        ),
        (lambda: initializers.get(["Konstant", {}]), ValueError, "no initializer 'Konstant'; did you mean 'constant'"),
    ],
)
def test_wrong_arguments_are_named(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


# ------------------------------------------------------------------------------------------- files
@every_initializer
def test_way_into_a_file_and_back(text, tmp_path):
    initializer = make(text)
    again = initializers.get(initializer.get_config())
    assert type(again) is type(initializer) and repr(again) == repr(initializer)
    model = Sequential([Dense(3, kernel_initializer=initializer, bias_initializer=make("Constant(0.25)"))], 2, seed=1)
    model.save(tmp_path / "m.npz")
    layer = load_model(tmp_path / "m.npz").layers[0]
    assert repr(layer.kernel_initializer) == repr(initializer)
    assert repr(layer.bias_initializer) == "Constant(value=0.25)"
    assert_same_bits(layer.b, np.full(3, 0.25, "float32"))


def test_files_of_before_hold_names():
    # without arguments a config is the name alone, as it was when no initializer had any
    assert initializers.HeNormal().get_config() == "HeNormal"
    assert initializers.Constant(2).get_config() == ["Constant", {"value": 2.0}]
