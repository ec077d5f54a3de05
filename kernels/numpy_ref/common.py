"""What an expression of the table may name besides NumPy."""

import numpy as np

# a portable array has sigmoid and softplus as methods: each is one function there


def sigmoid(x):
    return x.sigmoid() if hasattr(x, "sigmoid") else 1 / (1 + np.exp(-x))


def softplus(x):
    return x.softplus() if hasattr(x, "softplus") else np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def erf(x):
    # NumPy has none: the same one in both numerics
    from ..portable import elementary

    return elementary.erf(x)


def clip(x, low, high):
    # numpy.clip by another name: which zero it makes of -0 at a bound of 0 depends on NumPy's version
    return np.minimum(np.maximum(x, low), high)


def below_one(x, eps):
    """Return 1 - eps, or the number of the type of x below 1 where that is smaller."""
    one = x.dtype.type(1)
    return min(x.dtype.type(1 - eps), np.nextafter(one, one - one))


def indexes(x, rows):
    """Return whole numbers from 0 to rows - 1, which are held as reals, as integers."""
    if not ((x >= 0) & (x < rows) & (x == np.trunc(x))).all():
        raise IndexError(f"row numbers must be whole and in 0 .. {rows - 1}")
    return x.astype(np.int64)


def pcg64(state):
    """Return a numpy.random.Generator in a state of PCG64 that is given as six integers (row `uniform`)."""
    high, low, inc_high, inc_low, has_uint32, uinteger = (int(word) & (1 << 64) - 1 for word in state)
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return np.random.Generator(bits)


def pcg64_state(rng):
    """Return the state of such a Generator as six integers."""
    state = rng.bit_generator.state
    words = [word >> shift & (1 << 64) - 1 for word in state["state"].values() for shift in (64, 0)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64).view(np.int64)
