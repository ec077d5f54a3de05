"""Random numbers, and what is made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Bound, Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import below_one, pcg64, pcg64_state, polynomial

# of PPND16: numerators and denominators for |u - 0.5| <= 0.425, for the tails, for the tails below exp(-25)
_A = (
    3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
    67265.7709270087, 33430.57558358813, 2509.0809287301227,
)  # fmt: skip
_B = (
    1.0, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271,
    28729.085735721943, 5226.495278852854,
)  # fmt: skip
_C = (
    1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
    0.2417807251774506, 0.022723844989269184, 0.0007745450142783414,
)  # fmt: skip
_D = (
    1.0, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457,
    0.0005475938084995345, 1.0507500716444169e-09,
)  # fmt: skip
_E = (
    6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124,
    0.0012426609473880784, 2.7115555687434876e-05, 2.0103343992922881e-07,
)  # fmt: skip
_F = (
    1.0, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133,
    1.8463183175100548e-05, 1.421511758316446e-07, 2.0442631033899397e-15,
)  # fmt: skip

_SHARE = Bound("in [0, 1)", lambda rate: 0 <= rate < 1)

UNIFORM = Row(
    "uniform",
    "random",
    domain={"generator": "generator"},
    note=(
        "u has the shape and dtype of x, whose numbers are not read. generator is the state of a numpy.random.PCG64 "
        "as the bits of six integers: the upper and lower half of state and of inc, has_uint32 and uinteger. u is "
        "(next64 >> 11) * 2**-53 in float64 and (next32 >> 8) * 2**-24 in float32, where next32 is the lower, then the "
        "upper half of a next64. So u and the state afterwards are today those of numpy.random.Generator.random"
    ),
    source="O'Neill 2014, HMC-CS-2014-0905 (PCG-XSL-RR-128/64)",
)


@UNIFORM.kernel("x[n], generator[6]:i8 -> u[n], generator[6]:i8", by_hand="it draws")
def uniform(x, generator):
    rng = pcg64(generator)
    return rng.random(x.shape, x.dtype), pcg64_state(rng)


KEEP_STREAMS = Row(
    "keep_streams",
    "random",
    note="a step draws from a copy, which becomes the state with its update: an unfinished one has drawn nothing",
    source="kept = streams",
)


@KEEP_STREAMS.kernel("streams[n]:i8 -> kept[n]:i8", split="n", by_hand="integers")
def keep_streams(streams):
    return streams


DROPOUT = Row(
    "dropout",
    "random",
    attributes={"rate": 0.5},
    domain={"u": "uniform"},
    bounds={"rate": _SHARE},
    saved=["u"],
    note="what is dropped is 0, whatever x is; the rest is scaled, so that the expected value is x",
    source="Srivastava et al. 2014, JMLR 15, section 10 (the scale at training time)",
)


@DROPOUT.kernel("x[n], u[n] -> y[n]", inplace=["y=x", "y=u"], split="n")
def dropout_forward(x, u, rate):
    return np.where(u >= rate, x * (1 / (1 - rate)), 0)


@DROPOUT.kernel("dy[n], u[n] -> dx[n]", inplace=["dx=dy", "dx=u"], split="n")
def dropout_backward(dy, u, rate):
    return np.where(u >= rate, dy * (1 / (1 - rate)), 0)


ALPHA_DROPOUT = Row(
    "alpha_dropout",
    "random",
    attributes={"rate": 0.5},
    domain={"u": "uniform"},
    bounds={"rate": _SHARE},
    saved=["u"],
    note=(
        "what is dropped becomes -1.7580993408473766, the limit of selu at -inf; then a scale and a shift give inputs "
        "of mean 0 and variance 1 back their mean and variance. 3.09091329228798 is the square of that limit"
    ),
    source="Klambauer et al. 2017, NeurIPS, section 2",
)


@ALPHA_DROPOUT.kernel("x[n], u[n] -> y[n]", inplace=["y=x", "y=u"], split="n")
def alpha_dropout_forward(x, u, rate):
    a = 1 / np.sqrt((1 - rate) * (1 + 3.09091329228798 * rate))
    return np.where(
        u >= rate,
        x * x.dtype.type(a) + x.dtype.type(1.7580993408473766 * rate * a),
        x.dtype.type(-1.7580993408473766 * (1 - rate) * a),
    )


@ALPHA_DROPOUT.kernel("dy[n], u[n] -> dx[n]", inplace=["dx=dy", "dx=u"], split="n")
def alpha_dropout_backward(dy, u, rate):
    a = 1 / np.sqrt((1 - rate) * (1 + 3.09091329228798 * rate))
    return np.where(u >= rate, dy * dy.dtype.type(a), 0)


GAUSSIAN_NOISE = Row(
    "gaussian_noise",
    "random",
    attributes={"stddev": 1.0},
    domain={"u": "uniform"},
    note=(
        "with z = the standard normal quantile of u, within 7 ulp in float32 and 5 in float64. u = 0 counts as half "
        "of the smallest other u, so that abs(z) is at most 5.42 in float32 and 8.3 in float64. dx is dy"
    ),
    source="Wichura 1988, Applied Statistics 37, algorithm AS 241 (PPND16)",
)


@GAUSSIAN_NOISE.kernel("x[n], u[n] -> y[n]", inplace=["y=x", "y=u"], split="n")
def gaussian_noise(x, u, stddev):
    q = u - 0.5
    t = np.maximum(0.5 - np.abs(q), 0.5 * (1 - below_one(u, 0)))
    r = np.sqrt(-np.log(t))
    s = 0.180625 - q * q
    m = r - 1.6
    f = r - 5
    a = np.where(r <= 5, polynomial(m, _C), polynomial(f, _E))
    b = np.where(r <= 5, polynomial(m, _D), polynomial(f, _F))
    a = np.where(np.abs(q) <= 0.425, q * polynomial(s, _A), np.where(q < 0, -a, a))
    b = np.where(np.abs(q) <= 0.425, polynomial(s, _B), b)
    return x + stddev * (a / b)
