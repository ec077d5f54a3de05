"""The elementary functions of portable numerics: their definition, for NumPy arrays and for compilers.

Every operation is exactly specified (+ - * / fma, integers, comparisons, selects), so the same input gives the
same bits everywhere. The functions at the end are written once, over a vocabulary that `load` puts into their
globals: with NumPy's they are the reference, with Numba's (numba_jit/elementary.py) they become LLVM's vectors;
elementary.h says the same in C. The methods are textbook ones, the coefficients Remez fits of our own.
Largest errors in ulp, by benchmarks/accuracy.py (expm1, log, log1p, tanh, sigmoid, sin, cos, arctan: all float32;
others: all float32 of sizes 2**-12 to 104; float64 and pow: millions of random ones):

========  =======  =======
function  float32  float64
========  =======  =======
exp       0.92     0.89
expm1     0.93     0.94
log       0.87     0.86
log1p     0.92     0.84
tanh      0.94     0.94
sigmoid   0.99     1.00
softplus  0.95     0.89
erf       0.87     0.88
pow       0.79     0.77
sin       0.89     0.87
cos       0.89     0.87
arctan    0.88     0.75
sinh      0.79     0.81
cosh      0.88     0.93
========  =======  =======
"""

# ruff: noqa: F821 -- the vocabulary
# mypy: ignore-errors

import functools
from types import FunctionType, SimpleNamespace

import numpy as np

from .fma import fma

# by the size of an element; LN2 + LN2_LOW is log(2), so is LN2_SHORT + LN2_REST, whose first part has zeros at
# the end. EXP: (exp(r) - 1 - r) / r**2, LOG: (log1p(f) / s - 2) / s**2 in s**2 with s = f / (2 + f),
# ERF: erf(x) / x - 1 in x**2, ERFC: -log(erfc(3/4 + u)), POW: (atanh(s) / s - 1 - s**2 / 3) / s**4 in s**2,
# TANH: x**3 / (tanh(x) - x) in x**2, EXPM1: as EXP, but r from log(3/4) to log(3/2),
# GROWTH: exp(2 r - 3 LN2_LOW) - 1, for n = 3 where tanh's exp counts most
CONSTANTS = {
    4: {
        "LOG2E": "0x1.715476p+0",
        "MAGIC": "0x1.8p23",
        "LN2": "0x1.62e43p-1",
        "LN2_LOW": "-0x1.05c61p-29",
        "LN2_SHORT": "0x1.62e4p-1",
        "LN2_REST": "0x1.7f7d1cp-20",
        "EXP_MIN": "-104.0",
        "EXP_MAX": "89.0",
        "EXPM1_MIN": "-18.0",
        "EXPM1_SHIFT": "0x1.e27076p-5",
        "SIGMOID_UNIT": "0x1p-64",
        "SIGMOID_BIAS": "63.0",
        "TANH_MAX": "10.0",
        "TANH_NEAR": "1.0",
        "NEGLIGIBLE": "-30.0",
        "ERF_MAX": "4.0",
        "TINY": "0x1p-126",
        "SMALL": "0x1p-26",
        "UP": "0x1p24",
        "UP_LOG2": "24.0",
        "THIRD": "0x1.555556p-2",
        "THIRD_LOW": "-0x1.555556p-27",
        "POW_MAX": "120.0",
        "TWO_OVER_PI": "0x1.45f306p-1",
        "HALF_PI": "0x1.921fb6p+0",
        "HALF_PI_LOW": "-0x1.777a5cp-25",
        "HALF_PI_LEAST": "-0x1.ee59dap-50",
        "TURN": "0x1.921fb6p+2",
        "TURN_LOW": "-0x1.777a5cp-23",
        "SIN_MAX": "0x1p16",
        "ARCTAN_MAX": "0x1p30",
        "COSH_MAX": "90.0",
        "SEAM_ARCTAN": "0x1.f730bep-1",
        "SEAM_ARCTAN_LOW": "-0x1.afc12cp-26",
        "EXP": "0x1p-1 0x1.5554a4p-3 0x1.555688p-5 0x1.122f88p-7 0x1.6b6e4cp-10",
        "LOG": "0x1.55557ap-1 0x1.995e9ap-2 0x1.31e68ap-2",
        "ERF": "0x1.06eba8p-3 -0x1.81273ap-2 0x1.ce2ac6p-4 -0x1.b7a872p-6 0x1.4f2b4cp-8 -0x1.61d6ep-11",
        "ERFC": (
            "0x1.3deb04p+0 0x1.1ce96ep+1 0x1.9d9e5ap-1 0x1.b18792p-5 -0x1.a2d6cp-7 0x1.3d6164p-9 "
            "-0x1.3f84e4p-12 0x1.2c03b2p-16"
        ),
        "EXPM1": "0x1p-1 0x1.55555ap-3 0x1.555526p-5 0x1.11065p-7 0x1.6cde0cp-10 0x1.b74ap-13",
        "GROWTH": "0x1.88a918p-28 0x1p+1 0x1.fffffcp+0 0x1.555492p+0 0x1.5558fp-1 0x1.1239d4p-2 0x1.6a247ep-4",
        "TANH": "-0x1.800006p+1 -0x1.3332bap+0 0x1.75059p-8 -0x1.dad644p-13",
        "POW": "0x1.999998p-3 0x1.249374p-3 0x1.c658f8p-4 0x1.8eba8ep-4",
        "SIN": "-0x1.555544p-3 0x1.1106c6p-7 -0x1.991bf4p-13",
        "COS": "-0x1p-1 0x1.55554ap-5 -0x1.6c0c26p-10 0x1.99e706p-16",
        "SINH": "0x1.555556p-3 0x1.1110ep-7 0x1.a022bcp-13 0x1.756c1ep-19",
        "ARCTAN": "-0x1.555504p-2 0x1.997c88p-3 -0x1.22d20ap-3 0x1.ada142p-4 -0x1.1165e8p-4 0x1.8f17f4p-6",
    },
    8: {
        "LOG2E": "0x1.71547652b82fep+0",
        "MAGIC": "0x1.8p52",
        "LN2": "0x1.62e42fefa39efp-1",
        "LN2_LOW": "0x1.abc9e3b39803fp-56",
        "LN2_SHORT": "0x1.62e42fefa38p-1",
        "LN2_REST": "0x1.ef35793c7673p-45",
        "EXP_MIN": "-746.0",
        "EXP_MAX": "710.0",
        "EXPM1_MIN": "-38.0",
        "EXPM1_SHIFT": "0x1.e27076e2af2e6p-5",
        "SIGMOID_UNIT": "0x1p-512",
        "SIGMOID_BIAS": "511.0",
        "TANH_MAX": "20.0",
        "TANH_NEAR": "1.0",
        "NEGLIGIBLE": "-60.0",
        "ERF_MAX": "6.0",
        "TINY": "0x1p-1022",
        "SMALL": "0x1p-55",
        "UP": "0x1p54",
        "UP_LOG2": "54.0",
        "THIRD": "0x1.5555555555555p-2",
        "THIRD_LOW": "0x1.5555555555555p-56",
        "POW_MAX": "800.0",
        "TWO_OVER_PI": "0x1.45f306dc9c883p-1",
        "HALF_PI": "0x1.921fb54442d18p+0",
        "HALF_PI_LOW": "0x1.1a62633145c07p-54",
        "HALF_PI_LEAST": "-0x1.f1976b7ed8fbcp-110",
        "TURN": "0x1.921fb54442d18p+2",
        "TURN_LOW": "0x1.1a62633145c07p-52",
        "SIN_MAX": "0x1p30",
        "ARCTAN_MAX": "0x1p60",
        "COSH_MAX": "711.0",
        "SEAM_ARCTAN": "0x1.f730bd281f69bp-1",
        "SEAM_ARCTAN_LOW": "0x1.007887af0cbbdp-56",
        "EXP": (
            "0x1p-1 0x1.5555555555501p-3 0x1.5555555553208p-5 0x1.11111111288e6p-7 0x1.6c16c17cc324ap-10 "
            "0x1.a01a011bfa8b5p-13 0x1.a019ab2cf80d6p-16 0x1.71df559bb3027p-19 0x1.289f8b5a84551p-22 "
            "0x1.ad1f8e9d7928ap-26"
        ),
        "LOG": (
            "0x1.5555555555593p-1 0x1.999999997fb90p-2 0x1.2492494212958p-2 0x1.c71c51ebbb1bfp-3 "
            "0x1.7466457bdf518p-3 0x1.39a104ab9fbcep-3 0x1.2f0d052dc2bf9p-3"
        ),
        "ERF": (
            "0x1.06eba8214db69p-3 -0x1.812746b0379ep-2 0x1.ce2f21a04246bp-4 -0x1.b82ce312554c2p-6 "
            "0x1.565bcd030b0c1p-8 -0x1.c02db10f48aep-11 0x1.f9a2ad445fba3p-14 -0x1.f4c5af36bdb5dp-17 "
            "0x1.b90c8d847774fp-20 -0x1.56405b21f0c53p-23 0x1.89db1d358f3b2p-27"
        ),
        "ERFC": (
            "0x1.3deb034696c3ep+0 0x1.1ce96da88095bp+1 0x1.9d9eb7a123736p-1 0x1.b15b51a48d69ap-5 "
            "-0x1.a056821a9990ep-7 0x1.299786d46c681p-9 -0x1.0fd1e10040aap-13 -0x1.bc30620d57d8ep-14 "
            "0x1.c7a6317d257d3p-15 -0x1.e1b84c9c226ebp-17 0x1.81ff87983664ap-20 0x1.79df45efe124fp-21 "
            "-0x1.fa75b4bdb82bap-22 0x1.5cf0c92e38222p-23 -0x1.4be6e9a52d8fp-25 0x1.c272222216ad3p-28 "
            "-0x1.a394cbbf8263cp-31 0x1.e1e90d05ce08dp-35 -0x1.0123b8ad3626cp-39"
        ),
        "EXPM1": (
            "0x1p-1 0x1.5555555555554p-3 0x1.55555555555c9p-5 0x1.1111111111b2ep-7 0x1.6c16c16bc7d56p-10 "
            "0x1.a01a019b6e9b4p-13 0x1.a01a03edcf07dp-16 0x1.71de3f66291d1p-19 0x1.27ddc2247a96ap-22 "
            "0x1.aeb5eb9be4e97p-26 0x1.2f56f3c14af78p-29"
        ),
        "GROWTH": (
            "-0x1.40d76ac6b202fp-54 0x1p+1 0x1.000000000000ap+1 0x1.55555555554fap+0 0x1.555555555088bp-1 "
            "0x1.1111111127b77p-2 0x1.6c16c18426874p-4 0x1.a01a012a73b36p-6 0x1.a0199a1698f63p-8 0x1.71df252768968p-10 "
            "0x1.28ad68e98de0bp-12 0x1.ad7f94af5ccd2p-15"
        ),
        "TANH": (
            "-0x1.8000000000001p+1 -0x1.33333333332d4p+0 0x1.767dce42f0290p-8 -0x1.0a4e155c4ff17p-12 "
            "0x1.997ca41b0228cp-17 -0x1.4172b4bfefa5fp-21 0x1.fb5901722b5bcp-26 -0x1.89c9f2f9a0413p-30 "
            "0x1.f66354fda60eep-35"
        ),
        "POW": (
            "0x1.9999999999996p-3 0x1.2492492493043p-3 0x1.c71c71c57ea6cp-4 0x1.745d183338303p-4 "
            "0x1.3b136275c083p-4 0x1.1120bfaf1b4e6p-4 0x1.de31cb7c0af83p-5 0x1.eb1f2e9dad3ap-5"
        ),
        "SIN": (
            "-0x1.5555555555548p-3 0x1.111111110f73p-7 -0x1.a01a019be9223p-13 0x1.71de35552cf02p-19 "
            "-0x1.ae5e4b85f752dp-26 0x1.5d8b5668b11p-33"
        ),
        "COS": (
            "-0x1p-1 0x1.555555555554bp-5 -0x1.6c16c16c15015p-10 0x1.a01a019c8f245p-16 -0x1.27e4f7f18f8d1p-22 "
            "0x1.1ee9dbccf759ap-29 -0x1.8fa68307311b7p-37"
        ),
        "SINH": (
            "0x1.5555555555556p-3 0x1.111111111101ep-7 0x1.a01a01a037265p-13 0x1.71de3a3b072c6p-19 "
            "0x1.ae646ff483905p-26 0x1.6116f4e722bd9p-33 0x1.b5c87c8658ed1p-41"
        ),
        "ARCTAN": (
            "-0x1.555555555553fp-2 0x1.9999999997035p-3 -0x1.24924923bae7ep-3 0x1.c71c717ffb3ap-4 "
            "-0x1.745d104269fe9p-4 0x1.3b133d8458665p-4 -0x1.110be919fb915p-4 0x1.e18d898629195p-5 "
            "-0x1.ad2de276a168dp-5 0x1.7d3d511d6ec3p-5 -0x1.4662c7151d863p-5 0x1.f81c1a4ee68b3p-6 "
            "-0x1.3bf4df6a70684p-6 0x1.11964620af8bep-7 -0x1.da00318c12f33p-10"
        ),
    },
}

# the bits of 1 / (2 pi), behind 32 zeros: as many as the largest float64 needs
TURNS = (
    "0000000028be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef1586dc91b8e909374b801924bba827464873f877ac7"
    "2c4a69cfba208d7d4baed1213a671c09ad17df904e64758e60d4ce7d272117e2ef7e4a0ec7fe25fff7816603fbcbc462d6829b47db4d9fb3"
    "c9f2c26dd3d18fd9a797fa8b5d49eeb1faf97c5ecf41ce7de294a4ba9afed7ec47e357421580cc11bf1edaeafc33ef08"
)

DEFINITIONS = {}  # what `load` compiles: every function below


def load(itemsize, compiler=lambda function: function, **vocabulary):
    """Return all functions for one dtype, over a given vocabulary.

    Parameters
    ----------
    itemsize : int
        4 for float32, 8 for float64.
    compiler : callable, optional
        What every function goes through.
    **vocabulary
        ``fma(a, b, c)``, rounded once; ``where(condition, a, b)``; ``bits(x)``, the bits of a real number as an
        unsigned integer of its size, and ``real(i)`` back; ``take(table, i)``, elements of a constant array;
        ``rarely(condition, function, x, usual)``, the tuple `usual`, or what ``function(x)`` returns where a
        condition holds, which is seldom. It may replace a definition by an equal one.

    Returns
    -------
    SimpleNamespace
        The functions and constants by name.
    """
    float_type, int_type = {4: (np.float32, np.uint32), 8: (np.float64, np.uint64)}[itemsize]
    fraction_bits, bias = {4: (23, 127), 8: (52, 1023)}[itemsize]
    names = {}
    for name, text in CONSTANTS[itemsize].items():
        values = tuple(float_type(float.fromhex(item) if "x" in item else item) for item in text.split())
        names[name] = values if len(values) > 1 else values[0]
    names["EXP_CUBIC"], names["ERFC_SLOPE"] = names["EXP"][1:], names["ERFC"][1:]
    # typed constants: Numba makes a float64 of float32 and a Python number
    reals = {"ZERO": 0, "HALF": 0.5, "ONE": 1, "TWO": 2, "ERF_NEAR": 0.75, "SQRT2_M1": 0.4140625, "SEAM": 1.5,
             "ARCTAN_NEAR": 0.546875, "INF": np.inf,
             "NAN": np.nan, "BIAS": bias, "WHOLE": 2.0**fraction_bits, "OFFSET": 2.0**fraction_bits + bias,
             "QUARTER": 0.25, "ULP": 2.0**-fraction_bits}  # fmt: skip
    names |= {name: float_type(value) for name, value in reals.items()}
    one_bits = bias << fraction_bits
    sqrt_half = int(np.sqrt(float_type(0.5)).view(int_type))
    integers = {"FRACTION_BITS": fraction_bits, "ONE_BITS": one_bits, "SIGN": 1 << (8 * itemsize - 1), "UNIT": 1,
                "FRACTION": (1 << fraction_bits) - 1, "NOT_SIGN": (1 << (8 * itemsize - 1)) - 1,
                "SQRT_HALF": sqrt_half, "TO_SQRT_HALF": one_bits - sqrt_half,
                "OFFSET_BITS": int(float_type(2.0**fraction_bits).view(int_type)), "NONE": 0,
                "TO_FRACTION": 8 * itemsize - fraction_bits, "TO_SIGN": 8 * itemsize - 2, "LAST": 8 * itemsize - 1,
                "WORD": int(np.log2(8 * itemsize)), "TURNS_BIAS": bias + fraction_bits - 32}  # fmt: skip
    names |= {name: int_type(value) for name, value in integers.items()}
    names["TURNS"] = np.frombuffer(bytes.fromhex(TURNS), np.dtype(int_type).newbyteorder(">")).astype(int_type)
    for name, function in DEFINITIONS.items():
        names[name] = compiler(FunctionType(function.__code__, names, name))
    names |= vocabulary
    return SimpleNamespace(**names)


@functools.cache
def _numpy(itemsize):
    float_type, int_type = {4: (np.float32, np.uint32), 8: (np.float64, np.uint64)}[itemsize]
    return load(
        itemsize,
        fma=fma,
        where=np.where,
        bits=lambda x: np.asarray(x).view(int_type),
        real=lambda i: np.asarray(i).view(float_type),
        take=lambda table, i: table[i],
        rarely=_rarely,
    )


def _rarely(condition, function, x, usual):
    if not condition.any():
        return usual
    return tuple(np.where(condition, *pair) for pair in zip(function(x), usual, strict=True))


def definition(function):
    """Register a function for `load` and return it for NumPy arrays of either dtype."""
    DEFINITIONS[function.__name__] = function

    @functools.wraps(function)
    def on_arrays(*args):
        args = [np.asarray(x) for x in args]
        with np.errstate(all="ignore"):
            return getattr(_numpy(args[0].dtype.itemsize), function.__name__)(*args)

    return on_arrays


@definition
def absolute(x):
    """Return x without its sign."""
    return real(bits(x) & NOT_SIGN)


@definition
def with_sign(x, sign):
    """Return x >= 0 with the sign of another number."""
    return real(bits(x) | (bits(sign) & SIGN))


@definition
def poly(c, x, square):
    """Return c[0] + c[1] x + ... in two interleaved Horner chains: half the latency, no more operations."""
    a, b = c[-1], c[-2]
    for k in range(len(c) - 3, -1, -1):
        a, b = b, fma(a, square, c[k])
    return fma(a, x, b)


@definition
def horner(c, x):
    """Return c[0] + c[1] x + ... in one chain: it needs no square and rounds at the size of c[0] only once."""
    total = c[-1]
    for k in range(len(c) - 2, -1, -1):
        total = fma(total, x, c[k])
    return total


@definition
def reduce(x):
    """Return t, r, low: exp(x) = 2**n exp(r + low), |r + low| <= log(2) / 2; r is exact, n in the last bits of t."""
    t = fma(x, LOG2E, MAGIC)
    n = t - MAGIC
    return t, fma(n, -LN2, x), n * -LN2_LOW


@definition
def power(t):
    """Return 2**n for n in the last bits of an integer."""
    return real((t << FRACTION_BITS) + ONE_BITS)


@definition
def scale(p, t):
    """Return p 2**n for p about 1, in two steps: the first is exact, so a subnormal result is rounded once."""
    whole = bits(t)
    half = whole >> UNIT
    return real(bits(p) + (half << FRACTION_BITS)) * power(whole - half)


@definition
def exp_pair(x):
    """Return t, s, low: exp(x) = 2**n (1 + s + low), low being what rounding s lost."""
    t, r, low = reduce(x)
    square = r * r
    # r**2 / 2 apart: the rounding of a single polynomial would cost a quarter of an ulp
    bend = fma(square * r, poly(EXP_CUBIC, r, square), HALF * square)
    s = r + bend
    return t, s, fma(low, s, low) + ((r - s) + bend)


@definition
def split(x):
    """Return k, f: x = 2**(k - OFFSET) (1 + f), 1 + f from sqrt(1/2) to sqrt(2), f exact.

    k is put together as a number 2**FRACTION_BITS + exponent, for AVX2 cannot convert 64-bit integers.
    """
    u = bits(x) + TO_SQRT_HALF
    k = real((u >> FRACTION_BITS) | OFFSET_BITS)
    return k, real((u & FRACTION) + SQRT_HALF) - ONE


@definition
def log_pair(k, f):
    """Return high, low: log(2**k (1 + f)) = f - h + s (h + s**2 P(s**2)) + k log(2), h = f**2 / 2, s = f / (2 + f)."""
    s = f / (TWO + f)
    z = s * s
    h = HALF * f * f
    tail = fma(s, fma(z, poly(LOG, z, z * z), h), -h)
    high = fma(k, LN2_SHORT, f)
    rest = fma(k, LN2_SHORT, -high) + f
    return high, fma(k, LN2_REST, rest) + tail


@definition
def exp(x):
    """Return exp(x) = 2**n exp(r)."""
    t, r, low = reduce(x)
    full = r + low
    square = full * full
    tail = fma(square, poly(EXP, full, square), low)
    y = scale(ONE + (r + tail), t)
    y = where(x < EXP_MIN, ZERO, y)
    return where(x < EXP_MAX, y, x + INF)


@definition
def expm1(x):
    """Return exp(x) - 1 = 2 (2**(n-1) (1 + s) - 1/2), s = exp(r) - 1 from -1/4 to 1/2.

    In this range of s its rounding costs no more than a quarter of an ulp where 1/2 cancels.
    """
    a = where(x < EXPM1_MIN, EXPM1_MIN, x)
    a = where(a > EXP_MAX, EXP_MAX, a)
    magic = MAGIC + (BIAS - ONE)  # so t ends with the exponent of 2**(n-1)
    t = fma(a - EXPM1_SHIFT, LOG2E, magic)
    n = t - magic
    r, low = fma(n, -LN2, a), n * -LN2_LOW
    full = r + low
    s = r + fma(full * full, horner(EXPM1, full), low)
    y = real(bits(t) << FRACTION_BITS)
    c = y - HALF
    half = fma(y, s, (y - c) - HALF) + c
    return where(absolute(x) >= SMALL, half + half, x)


@definition
def log(x):
    """Return log(x) = k log(2) + log(1 + f)."""
    k, f = split(where(x < TINY, x * UP, x))
    high, low = log_pair(k - where(x < TINY, OFFSET + UP_LOG2, OFFSET), f)
    y = where(x < INF, high + low, x)
    return where(x > ZERO, y, where(x == ZERO, -INF, NAN))


@definition
def log1p(x):
    """Return log(1 + x) = log(u) + error / u, u the rounded 1 + x."""
    u = ONE + x
    v = u - ONE
    error = (ONE - (u - v)) + (x - v)
    k, f = split(u)
    high, low = log_pair(k - OFFSET, f)
    y = where(x < INF, high + (low + error / u), x)
    y = where(x > -ONE, y, where(x == -ONE, -INF, NAN))
    return where(absolute(x) < SMALL, x, y)


@definition
def tanh(x):
    """Return tanh(x) = 1 - 2 / (exp(2 x) + 1), near zero x + x x**2 / P(x**2): one division for both."""
    a, z = absolute(x), x * x
    b = where(a < TANH_MAX, a, TANH_MAX)
    magic = MAGIC + BIAS
    t = fma(b, TWO * LOG2E, magic)
    r = fma(t - magic, -HALF * LN2, b)
    s = horner(GROWTH, r)
    y = real(bits(t) << FRACTION_BITS)
    far = a >= TANH_NEAR
    u, top = where(far, ONE, a), where(far, -TWO, z)
    bottom = where(far, fma(y, s, y + ONE), horner(TANH, z))
    return with_sign(fma(u, top / bottom, u), x)


@definition
def sigmoid(x):
    """Return q = 1 / (1 + exp(|x|)) or 1 - q; the residual corrects the quotient.

    Numerator and denominator come in a small unit, so that neither overflows.
    """
    a = absolute(x)
    magic = MAGIC + SIGMOID_BIAS
    t = fma(a, LOG2E, magic)
    n = t - magic
    r = fma(n, -LN2_LOW, fma(n, -LN2, a))
    s = fma(r * r, horner(EXP, r), r)
    y = real(bits(t) << FRACTION_BITS)
    d = y + fma(y, s, SIGMOID_UNIT)
    d_low = fma(y, s, (y - d) + SIGMOID_UNIT)
    q = ONE / d
    q = fma(q, fma(-q, d_low, fma(-q, d, ONE)), q) * SIGMOID_UNIT
    q = where(a > -EXP_MIN, ZERO, q)
    return where(x > ZERO, ONE - q, q)


@definition
def softplus(x):
    """Return log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|) in two parts."""
    t, s, s_low = exp_pair(-absolute(x))
    y = power(bits(t))
    large = fma(y, s, y) > SQRT2_M1
    y = where(large, HALF * y, y)
    c = y - where(large, HALF, ZERO)
    f = fma(y, s, c)
    f_low = fma(y, s_low, fma(y, s, c - f))
    high, low = log_pair(where(large, ONE, ZERO), f)
    low = fma(f_low, fma(f, f, ONE - f), low)
    positive = where(x > ZERO, x, ZERO)
    total = positive + high
    v = total - positive
    error = (positive - (total - v)) + (high - v)
    y = where(x < NEGLIGIBLE, scale(ONE + (s + s_low), t), total + (error + low))
    y = where(x < EXP_MIN, ZERO, y)
    return where(x > -NEGLIGIBLE, x, y)


@definition
def erf(x):
    """Return erf(x) = x + x P(x**2) near zero, elsewhere 1 - exp(g), g = log(erfc(|x|)) a polynomial in two parts."""
    z = x * x
    near = fma(x, poly(ERF, z, z * z), x)
    a = absolute(x)
    u = where(a > ERF_MAX, ERF_MAX, a) - ERF_NEAR
    slope = poly(ERFC_SLOPE, u, u * u)
    g = fma(-u, slope, -ERFC[0])
    g_low = fma(-u, slope, -ERFC[0] - g)
    t, s, s_low = exp_pair(g)
    s_low = s_low + fma(g_low, s, g_low)
    y = power(bits(t))
    c = ONE - y
    high = fma(-y, s, c)
    low = fma(-y, s_low, fma(-y, s, c - high))
    return where(a < ERF_NEAR, near, with_sign(high + low, x))


@definition
def log_exact(k, f):
    """Return high, low: log(2**k (1 + f)) to twice the precision, as 2 s (1 + s**2 / 3 + s**4 P(s**2)) + k log(2)."""
    d = TWO + f
    inverse = ONE / d
    s = f * inverse
    s_low = inverse * fma(-s, (TWO - d) + f, fma(-s, d, f))
    z = s * s
    z_low = fma(s + s, s_low, fma(s, s, -z))
    third = z * THIRD
    third_low = fma(z, THIRD, -third) + fma(z, THIRD_LOW, z_low * THIRD)
    square = fma(z + z, z_low, z * z)
    rest = square * poly(POW, z, square)
    c = third + rest
    c_low = ((third - c) + rest) + third_low
    s, s_low = s + s, s_low + s_low
    more = s * c
    more_low = fma(s, c, -more) + fma(s, c_low, s_low * c)
    m = s + more
    m_low = ((s - m) + more) + (more_low + s_low)
    shift = k * LN2_SHORT
    high = shift + m
    return high, ((shift - high) + m) + fma(k, LN2_REST, m_low)


@definition
def pow(x, y):
    """Return x**y = exp(y log(x)), log(x) in two parts; special cases as in C99."""
    a, b = absolute(x), absolute(y)
    k, f = split(where(a < TINY, a * UP, a))
    high, low = log_exact(k - where(a < TINY, OFFSET + UP_LOG2, OFFSET), f)
    e = y * high
    e_low = fma(y, high, -e) + y * low
    g = e + e_low
    g_low = (e - g) + e_low
    beyond = absolute(e) > POW_MAX
    g = where(beyond, where(e > ZERO, POW_MAX, -POW_MAX), g)
    t, s, s_low = exp_pair(g)
    s_low = s_low + where(beyond, ZERO, fma(g_low, s, g_low))
    p = ONE + s
    power_of_a = scale(p + (((ONE - p) + s) + s_low), t)
    # the rounding of b + WHOLE finds integers, of b / 2 + WHOLE odd ones
    half = HALF * b
    integer = (b >= WHOLE) | ((b + WHOLE) - WHOLE == b)
    odd = integer & (b < WHOLE + WHOLE) & ((half + WHOLE) - WHOLE != half)
    extreme = (a == ZERO) | (a == INF) | (b == INF)
    limit = where((a > ONE) == (y > ZERO), INF, ZERO)
    r = where(extreme, where(a == ONE, ONE, limit), power_of_a)
    r = where(odd, with_sign(r, x), r)
    r = where((x < ZERO) & (a < INF) & (integer == (x > ZERO)), NAN, r)
    r = where((x != x) | (y != y), NAN, r)
    return where((x == ONE) | (y == ZERO), ONE, r)


@definition
def two_sum(a, b):
    """Return the rounded sum and what rounding lost."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@definition
def product(a, b):
    """Return the rounded product and what rounding lost."""
    p = a * b
    return p, fma(a, b, -p)


@definition
def near_angle(a):
    """Return t, r, low: a = n pi / 2 + r + low, |r + low| about pi / 4 at most, n in the last bits of t.

    a - n HALF_PI is exact and a multiple of the last bit of n HALF_PI_LOW, so that two sums lose nothing more.
    """
    t = fma(a, TWO_OVER_PI, MAGIC)
    n = t - MAGIC
    exact = fma(n, -HALF_PI, a)
    second, lost = product(n, HALF_PI_LOW)
    r = exact - second
    return t, r, ((exact - r) - second) - fma(n, HALF_PI_LEAST, lost)


@definition
def turn_bits(k):
    """Return FRACTION_BITS bits of TURNS from bit k on, as a number from 0 to 1."""
    word, shift = k >> WORD, k & LAST
    bits_from_k = (take(TURNS, word) << shift) | ((take(TURNS, word + UNIT) >> UNIT) >> (LAST - shift))
    return real((bits_from_k >> TO_FRACTION) | ONE_BITS) - ONE


@definition
def far_angle(a):
    """Return what near_angle does, for a > SIN_MAX; of infinity NaN.

    Payne & Hanek's way: only those bits of 1 / (2 pi) are multiplied whose products with the last bit of a are no whole
    turns. The result is exact to twice the precision even next to a multiple of pi / 2.
    """
    b = bits(where(a > SIN_MAX, a, SIN_MAX))
    k = (b >> FRACTION_BITS) - TURNS_BIAS
    m = real((b & FRACTION) | ONE_BITS)
    p, p_low = product(m * WHOLE, turn_bits(k))
    q, q_low = product(m, turn_bits(k + FRACTION_BITS))
    u, u_low = product(m * ULP, turn_bits(k + FRACTION_BITS + FRACTION_BITS))
    tail = fma(m * ULP * ULP, turn_bits(k + FRACTION_BITS + FRACTION_BITS + FRACTION_BITS), u_low)
    s, s_low = two_sum((p - ((p + MAGIC) - MAGIC)) + p_low, q)
    t = s + QUARTER * MAGIC
    s, lost_u = two_sum(s - (t - QUARTER * MAGIC), u)
    s, lost_s = two_sum(s, s_low)
    s, lost_q = two_sum(s, q_low)
    low = ((lost_u + lost_s) + lost_q) + tail
    turn = s + low
    r, r_low = product(turn, TURN)
    return t, r, (r_low + fma(turn, TURN_LOW, ((s - turn) + low) * TURN)) + (a - a)


@definition
def wave(x, quarters, sign):
    """Return sin(|x| + quarters pi / 2), its sign changed where `sign` and that of x are set."""
    a = absolute(x)
    t, r, low = rarely(a > SIN_MAX, far_angle, a, near_angle(a))
    z = fma(r, r, (r + r) * low)
    sine = r + fma(r * z, horner(SIN, z), low)
    cosine = fma(z, horner(COS, z), ONE)
    n = bits(t) + quarters
    y = where((n & UNIT) == NONE, sine, cosine)
    return real(bits(y) ^ ((n << TO_SIGN) & SIGN) ^ (bits(x) & sign))


@definition
def sin(x):
    """Return sin(x) by quadrants."""
    return wave(x, NONE, SIGN)


@definition
def cos(x):
    """Return cos(x) = sin(|x| + pi / 2)."""
    return wave(x, UNIT, NONE)


@definition
def arctan(x):
    """Return arctan(x) = arctan(c) + u + u**3 P(u**2), u = (|x| - c) / (1 + c |x|); c is 0, or 3/2 where |x| is larger.

    What the division and the rounding of its divisor lost corrects the quotient.
    """
    a = absolute(x)
    a = where(a > ARCTAN_MAX, ARCTAN_MAX, a)
    near = a < ARCTAN_NEAR
    c, base, base_low = where(near, ZERO, SEAM), where(near, ZERO, SEAM_ARCTAN), where(near, ZERO, SEAM_ARCTAN_LOW)
    top, bottom = a - c, fma(a, c, ONE)
    lost = fma(a, c, ONE - bottom)
    inverse = ONE / bottom
    u = top * inverse
    z = u * u
    u_low = fma(-u, lost, fma(-u, bottom, top)) * inverse
    s = base + u
    low = ((base - s) + u) + fma(u_low, ONE - z, base_low)
    return with_sign(s + fma(u * z, horner(ARCTAN, z), low), x)


@definition
def exp_both(a):
    """Return t, p, low, q: exp(a) = 2**n (p + low), exp(-a) = 2**n q, for a >= 0."""
    t, s, s_low = exp_pair(a)
    p = ONE + s
    q = real(ONE_BITS - (bits(t) << (FRACTION_BITS + UNIT))) / p
    return t, p, ((ONE - p) + s) + s_low, where(a > TANH_MAX, ZERO, q)


@definition
def sinh(x):
    """Return sinh(x) = 2**(n - 1) (p - q), near zero x + x**3 P(x**2)."""
    a, z = absolute(x), x * x
    t, p, low, q = exp_both(a)
    y = where(a < COSH_MAX, scale(p + (low - q), t - ONE), a + INF)
    return with_sign(where(a < ONE, fma(a * z, horner(SINH, z), a), y), x)


@definition
def cosh(x):
    """Return cosh(x) = 2**(n - 1) (p + q)."""
    a = absolute(x)
    t, p, low, q = exp_both(a)
    return where(a < COSH_MAX, scale(p + (low + q), t - ONE), a + INF)
