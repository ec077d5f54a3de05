"""Initial values of parameters: each an expression on a `numpy.random.Generator`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .names import named

if TYPE_CHECKING:
    import numpy as np

__all__ = ["GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Initializer", "Zeros", "get"]


class Initializer:
    """Draws the initial values of a parameter.

    Call it with a shape ``(n_in, n_out)`` and a `numpy.random.Generator`; it returns a float64 array.
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        raise NotImplementedError

    def get_config(self) -> str:
        """Return what `get` needs to make the same object again."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Zeros(Initializer):
    """All zeros, as biases begin."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        import numpy as np

        return np.zeros(shape)


class GlorotUniform(Initializer):
    """``rng.uniform(-limit, limit)`` with ``limit = sqrt(6 / (n_in + n_out))`` [1]_.

    References
    ----------
    .. [1] Glorot & Bengio 2010, AISTATS, eq. 16

    Examples
    --------
    >>> import numpy as np
    >>> float(abs(GlorotUniform()((3, 3), np.random.default_rng(0))).max()) <= 1.0
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        limit = math.sqrt(6 / (shape[0] + shape[-1]))
        return rng.uniform(-limit, limit, shape)


class GlorotNormal(Initializer):
    """``rng.normal(0, sqrt(2 / (n_in + n_out)))``; Glorot & Bengio 2010, eq. 12."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.normal(0.0, math.sqrt(2 / (shape[0] + shape[-1])), shape)


class HeUniform(Initializer):
    """``rng.uniform(-limit, limit)`` with ``limit = sqrt(6 / n_in)``; He et al. 2015, ICCV, eq. 10."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        limit = math.sqrt(6 / shape[0])
        return rng.uniform(-limit, limit, shape)


class HeNormal(Initializer):
    """``rng.normal(0, sqrt(2 / n_in))``; He et al. 2015, ICCV, eq. 10."""

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.normal(0.0, math.sqrt(2 / shape[0]), shape)


_CLASSES = {
    "zeros": Zeros,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
}


def get(initializer: Initializer | str) -> Initializer:
    """Return an initializer from an object, or from its name in Keras' spelling.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    return named("initializer", initializer, Initializer, _CLASSES)
