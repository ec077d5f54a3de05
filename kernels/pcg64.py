"""The state of a `numpy.random.PCG64` as integers: what stochastic layers keep, and what the row `uniform` takes.

They are the upper and the lower half of the state and of the increment, then `has_uint32` and `uinteger`.
"""

import numpy as np

__all__ = ["WORDS", "pcg64", "pcg64_state"]

#: How many integers a state has.
WORDS = 6


def pcg64(state):
    """Return a PortableGenerator in a state that is given as integers."""
    from .draws import PortableGenerator  # numpy.random is loaded where somebody draws

    high, low, inc_high, inc_low, has_uint32, uinteger = (int(word) & (1 << 64) - 1 for word in state)
    bits = np.random.PCG64(0)
    bits.state = {
        "bit_generator": "PCG64",
        "state": {"state": high << 64 | low, "inc": inc_high << 64 | inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return PortableGenerator(bits)


def pcg64_state(rng):
    """Return the state of such a Generator as integers."""
    state = rng.bit_generator.state
    words = [word >> shift & (1 << 64) - 1 for word in state["state"].values() for shift in (64, 0)]
    return np.array([*words, state["has_uint32"], state["uinteger"]], np.uint64).view(np.int64)
