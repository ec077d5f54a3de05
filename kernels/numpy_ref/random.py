"""Random numbers; what is made of them are expressions in the table."""

from .common import pcg64, pcg64_state


def uniform(x, generator):
    rng = pcg64(generator)
    return rng.random(x.shape, x.dtype), pcg64_state(rng)


def keep_streams(streams):
    return streams
