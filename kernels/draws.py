"""Random numbers of portable numerics, defined over the words of a `numpy.random.PCG64`.

NumPy promises for good which words a bit generator makes of a seed, and only for one release what a Generator draws
from them (NEP 19). Portable numerics promises its bits for every version, so what it draws is defined here. Today that
is what NumPy draws, as `tests/test_draws.py` shows, but for the tail of the normal distribution: one number in 4000
lies there, has its log1p from libm in NumPy, and is the neighbour of the number here in one case of 400.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from .dtypes import REALS
from .threads import MISSING

if MISSING is None:
    from .compiled_draws import Stream, permutation, random, standard_normal

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["PortableGenerator", "permuting", "portable_generator"]


def _fractions(words: np.ndarray) -> np.ndarray:
    """Return numbers in [0, 1), one of each word."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _halves(words: np.ndarray) -> np.ndarray:
    """Return the lower and the upper half of each word in turn."""
    return np.stack([words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)], axis=1).reshape(-1)


def _scaled(x: Any, shift: Any, scale: Any) -> Any:
    """Return ``shift + scale * x``, in the place of x if that is an array."""
    out = x if isinstance(x, np.ndarray) else None
    return np.add(np.multiply(x, scale, out=out), shift, out=out)


class PortableGenerator(np.random.Generator):
    """A Generator whose `random`, `uniform`, `standard_normal`, `normal` and `permutation` are defined here.

    Of these, too, what is not documented here is NumPy's: normal numbers in float32, permutations of arrays.

    Parameters
    ----------
    bit_generator : numpy.random.PCG64
        Its state is the Generator's: others that draw from it go on from there.
    """

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Return numbers in [0, 1): the upper 53 bits of a word, or in float32 24 of half a word, the lower first.

        A half that is left over is kept for the next number in float32, or the next permutation.
        """
        if out is not None or np.dtype(dtype).name not in REALS:
            return super().random(size, dtype, out)
        n = int(np.prod(() if size is None else size))
        if np.dtype(dtype) != np.float64:
            u = (self._next32(n) >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
        elif MISSING is None:
            u = random(self.bit_generator, n)
        else:
            u = _fractions(self.bit_generator.random_raw(n))
        return float(u[0]) if size is None else u.reshape(size)

    def _next32(self, n: int) -> np.ndarray:
        state: Any = self.bit_generator.state
        kept = np.array([state["uinteger"]] * bool(state["has_uint32"]), np.uint64)
        words = self.bit_generator.random_raw((max(n - len(kept), 0) + 1) // 2)
        halves = np.concatenate([kept, _halves(words)])
        self._keep(halves[-1] if len(words) else state["uinteger"], len(halves) > n)
        return halves[:n]

    def _keep(self, upper: Any, unused: bool) -> None:
        """Set the upper half of the word that was drawn last, and whether it is still to be used."""
        state: Any = self.bit_generator.state
        self.bit_generator.state = {**state, "uinteger": int(upper), "has_uint32": int(unused)}

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Return ``low + (high - low) * random(size)``, two roundings a number."""
        with np.errstate(over="ignore", invalid="ignore"):
            width = np.subtract(high, low)
        if not np.all((width >= 0) & (width < np.inf)):
            return super().uniform(low, high, size)  # an error
        size = np.broadcast(low, high).shape or None if size is None else size
        return _scaled(self.random(size), low, width)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """Return ``loc + scale * standard_normal(size)``, two roundings a number."""
        if np.any(np.less(scale, 0)):
            return super().normal(loc, scale, size)  # an error
        size = np.broadcast(loc, scale).shape or None if size is None else size
        return _scaled(self.standard_normal(size), loc, scale)

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Return normal numbers in float64 by the ziggurat of Marsaglia & Tsang 2000, J. Stat. Softw. 5(8).

        Of a word, the lowest 8 bits are the strip, the next one the sign, the next 52 the point in the strip. Where
        that is not below its limit, the next word decides with exp; in the tail two words are a try, with log1p.
        """
        if out is not None or np.dtype(dtype) != np.float64:
            return super().standard_normal(size, dtype, out)
        n = int(np.prod(() if size is None else size))
        z = standard_normal(self.bit_generator, n) if MISSING is None else self._normal(n)
        return float(z[0]) if size is None else z.reshape(size)

    def _normal(self, n: int) -> np.ndarray:
        from .normal import normal

        found, words = [], np.empty(0, np.uint64)
        while n:
            # a number takes one word or more: none is drawn in vain
            words = np.concatenate([words, self.bit_generator.random_raw(n)])
            z, words = normal(words, _fractions(words))
            found.append(z)
            n -= len(z)
        return np.concatenate([*found, np.empty(0)])

    def permutation(self, x: Any, axis: int = 0) -> Any:
        """Return 0 .. x - 1 in random order: from the last on, each changes places with one that is not behind it.

        Which one is half a word under the smallest mask ``2**k - 1`` that will do, drawn again while it is too large.
        """
        if not isinstance(x, (int, np.integer)):
            return super().permutation(x, axis)
        if MISSING is None:
            return permutation(self.bit_generator, int(x))
        state: Any = self.bit_generator.state
        order, halves, upper = list(range(x)), [state["uinteger"]] * bool(state["has_uint32"]), state["uinteger"]
        for i in range(x - 1, 0, -1):
            mask, j = (1 << i.bit_length()) - 1, x
            while j > i:
                if not halves:
                    # every element takes one or more
                    halves = _halves(self.bit_generator.random_raw((i + 1) // 2)).tolist()[::-1]
                    upper = halves[0]
                j = halves.pop() & mask
            order[i], order[j] = order[j], order[i]
        self._keep(upper, bool(halves))
        return np.array(order, np.int64)


def portable_generator(rng: np.random.Generator) -> np.random.Generator:
    """Return a Generator that draws what is defined here from the same PCG64; others than that stay as they are."""
    return PortableGenerator(rng.bit_generator) if type(rng.bit_generator) is np.random.PCG64 else rng


@functools.cache
def _agrees() -> bool:
    """Return whether NumPy's permutations are those of this module still: they, and the states that they leave."""
    numpys = np.random.Generator(np.random.PCG64(0))
    own = PortableGenerator(np.random.PCG64(0))
    # with and without half a word left over
    same = all(np.array_equal(own.permutation(n), numpys.permutation(n)) for n in (300, 2, 2, 5))
    return same and own.bit_generator.state == numpys.bit_generator.state


def permuting(source: np.random.Generator | int, numerics: str) -> Callable[[int], np.ndarray]:
    """Return a function of n that draws permutations of 0 .. n - 1 from a Generator, or a seed, for a numerics.

    For portable numerics they are those that are defined here, for "numpy" those of the Generator: the compiled ones
    while they are the same.

    Parameters
    ----------
    source : numpy.random.Generator or int
        A Generator goes on; a seed begins.
    numerics : {"numpy", "portable"}

    Returns
    -------
    callable
    """
    defined = numerics == "portable" or (MISSING is None and _agrees())
    if not isinstance(source, np.random.Generator):
        if defined and MISSING is None:
            return Stream(source).permutation
        source = np.random.Generator(np.random.PCG64(source))
    elif numerics == "numpy" and type(source) is not np.random.Generator:
        return source.permutation  # which may be a method of the user's
    if defined and MISSING is None and type(source.bit_generator) is np.random.PCG64:
        return functools.partial(permutation, source.bit_generator)
    return (portable_generator(source) if defined else source).permutation
