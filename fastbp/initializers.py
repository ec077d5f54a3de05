"""Initial values of parameters: each an expression on a `numpy.random.Generator`.

Every initializer returns exactly the NumPy expression in its docstring. Of a matrix ``n_in`` is ``shape[0]`` and
``n_out`` is ``shape[1]``; of a bias both are its length; of a convolution's weights, (kh, kw, channels, filters), they
are ``kh * kw * channels`` and ``kh * kw * filters``, as in Keras. Names of classes are Keras', distributions PyTorch's:
`GlorotNormal`, `HeNormal` and `LecunNormal` draw from the normal distribution of the papers. Keras draws theirs from a
normal distribution that is cut at two standard deviations, and divides the standard deviation by 0.87962566 so that
the variance is the same.

The arithmetic of all of them is elementwise IEEE arithmetic in a written order, `Orthogonal` included. So the values
are as portable as the numbers that the Generator draws. A model gives them one of ``kernels/draws.py``: its uniform and
normal numbers are today's NumPy's (of normal ones, one in 1.5 million may differ in its last bit), and stay them
whatever NumPy makes of its own in a new release (NEP 19).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .checks import number
from .naming import elsewhere
from .registry import Registered, make, name_of

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "Zeros",
    "get",
]


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return n_in and n_out: what stands before the last two axes is the window of a convolution."""
    window = math.prod(shape[:-2])
    return window * shape[-2 if len(shape) > 1 else 0], window * shape[-1]


class Initializer(Registered, kind="initializer"):
    """Draws the initial values of a parameter.

    Call it with a shape ``(n_in, n_out)`` and a `numpy.random.Generator`; it returns a float64 array. Its attributes
    are its constructor's arguments.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> class Diagonal(fastbp.initializers.Initializer):
    ...     def __init__(self, value=1.0):
    ...         self.value = value
    ...
    ...     def __call__(self, shape, rng):
    ...         return self.value * np.eye(*shape)
    >>> layer = fastbp.Dense(2, kernel_initializer=Diagonal(0.5))
    >>> model = fastbp.Sequential([layer], input_shape=2)
    >>> layer.w
    array([[0.5, 0. ],
           [0. , 0.5]], dtype=float32)
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape.

        Parameters
        ----------
        shape : tuple of int
            Of a layer's weights ``(n_in, n_out)``.
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of float64

        Examples
        --------
        >>> import numpy as np
        >>> w = HeNormal()((64, 32), np.random.default_rng(0))
        >>> w.shape, w.dtype
        ((64, 32), dtype('float64'))
        """
        raise NotImplementedError

    def get_config(self) -> str | list[Any]:
        """Return what `get` needs to make the same object again: its name, or its name and its arguments.

        Returns
        -------
        str or list

        Examples
        --------
        >>> HeNormal().get_config(), RandomNormal(std=0.1).get_config()
        ('HeNormal', ['RandomNormal', {'mean': 0.0, 'std': 0.1}])
        """
        name = name_of(type(self))
        return [name, dict(vars(self))] if vars(self) else name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class Zeros(Initializer, names=("zeros",)):
    """``np.zeros(shape)``, as biases begin.

    Examples
    --------
    >>> Zeros()((2,), np.random.default_rng(0))
    array([0., 0.])
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return np.zeros(shape)


class Ones(Initializer, names=("ones",)):
    """``np.ones(shape)``.

    Examples
    --------
    >>> Ones()((2,), np.random.default_rng(0))
    array([1., 1.])
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return np.ones(shape)


class Constant(Initializer, names=("constant",)):
    """``np.full(shape, value)``.

    Parameters
    ----------
    value : float

    Examples
    --------
    >>> Constant(0.1)((2,), np.random.default_rng(0))
    array([0.1, 0.1])
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = number("value", value)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return np.full(shape, self.value)


class RandomUniform(Initializer, names=("random_uniform", "uniform")):
    """``rng.uniform(low, high, shape)``.

    Parameters
    ----------
    low, high : float
        `low` may not be above `high`. Keras calls them minval and maxval and has the same defaults.

    Examples
    --------
    >>> RandomUniform(-1, 1)((2,), np.random.default_rng(0))
    array([ 0.27392337, -0.46042657])
    """

    def __init__(self, low: float = -0.05, high: float = 0.05) -> None:
        self.low, self.high = number("low", low), number("high", high)
        if self.low > self.high or not math.isfinite(self.high - self.low):
            raise ValueError(f"low is {low!r} and high is {high!r}; low may not be above high, nor infinitely below it")

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.uniform(self.low, self.high, shape)


class RandomNormal(Initializer, names=("random_normal", "normal")):
    """``rng.normal(mean, std, shape)``.

    Parameters
    ----------
    mean : float
    std : float
        The standard deviation, at least 0. Keras calls it stddev and has the same default.

    Examples
    --------
    >>> RandomNormal(std=1)((2,), np.random.default_rng(0))
    array([ 0.12573022, -0.13210486])
    """

    def __init__(self, mean: float = 0.0, std: float = 0.05) -> None:
        self.mean, self.std = number("mean", mean), number("std", std, 0)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.normal(self.mean, self.std, shape)


class TruncatedNormal(Initializer, names=("truncated_normal",)):
    """Normal numbers of which none is farther than two standard deviations from the mean: others are drawn again.

    Exactly::

        z = rng.standard_normal(shape)
        while (far := np.abs(z) > 2).any():
            z[far] = rng.standard_normal(np.count_nonzero(far))
        return mean + std * z

    Parameters
    ----------
    mean : float
    std : float
        The standard deviation before the ends are cut off, at least 0; the numbers' own is 0.87962566 times as large,
        as in Keras, which calls it stddev and has the same default. PyTorch cuts at -2 and 2 whatever `std` is.

    Examples
    --------
    >>> values = TruncatedNormal(std=1)((1000,), np.random.default_rng(0))
    >>> bool(abs(values).max() <= 2), round(float(values.std()), 2)
    (True, 0.86)
    """

    def __init__(self, mean: float = 0.0, std: float = 0.05) -> None:
        self.mean, self.std = number("mean", mean), number("std", std, 0)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        z = rng.standard_normal(shape)
        while (far := np.abs(z) > 2).any():
            z[far] = rng.standard_normal(np.count_nonzero(far))
        return self.mean + self.std * z


class GlorotUniform(Initializer, names=("glorot_uniform",)):
    """``rng.uniform(-limit, limit, shape)`` with ``limit = sqrt(6 / (n_in + n_out))`` [1]_.

    References
    ----------
    .. [1] Glorot & Bengio 2010, AISTATS, eq. 16

    Examples
    --------
    >>> float(abs(GlorotUniform()((3, 3), np.random.default_rng(0))).max()) <= 1.0
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        limit = math.sqrt(6 / sum(_fans(shape)))
        return rng.uniform(-limit, limit, shape)


class GlorotNormal(Initializer, names=("glorot_normal",)):
    """``rng.normal(0.0, sqrt(2 / (n_in + n_out)), shape)`` [1]_; Keras cuts the ends off.

    References
    ----------
    .. [1] Glorot & Bengio 2010, AISTATS, eq. 12

    Examples
    --------
    >>> round(float(GlorotNormal()((50, 30), np.random.default_rng(0)).std()), 2)  # sqrt(2 / 80) is 0.16
    0.16
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.normal(0.0, math.sqrt(2 / sum(_fans(shape))), shape)


class HeUniform(Initializer, names=("he_uniform",)):
    """``rng.uniform(-limit, limit, shape)`` with ``limit = sqrt(6 / n_in)`` [1]_.

    References
    ----------
    .. [1] He et al. 2015, ICCV, eq. 10

    Examples
    --------
    >>> float(abs(HeUniform()((6, 3), np.random.default_rng(0))).max()) <= 1.0
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        limit = math.sqrt(6 / _fans(shape)[0])
        return rng.uniform(-limit, limit, shape)


class HeNormal(Initializer, names=("he_normal",)):
    """``rng.normal(0.0, sqrt(2 / n_in), shape)`` [1]_; Keras cuts the ends off.

    References
    ----------
    .. [1] He et al. 2015, ICCV, eq. 10

    Examples
    --------
    >>> round(float(HeNormal()((50, 30), np.random.default_rng(0)).std()), 2)  # sqrt(2 / 50) is 0.2
    0.2
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.normal(0.0, math.sqrt(2 / _fans(shape)[0]), shape)


class LecunUniform(Initializer, names=("lecun_uniform",)):
    """``rng.uniform(-limit, limit, shape)`` with ``limit = sqrt(3 / n_in)`` [1]_.

    References
    ----------
    .. [1] LeCun et al. 1998, Efficient BackProp, eq. 16

    Examples
    --------
    >>> float(abs(LecunUniform()((3, 3), np.random.default_rng(0))).max()) <= 1.0
    True
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        limit = math.sqrt(3 / _fans(shape)[0])
        return rng.uniform(-limit, limit, shape)


class LecunNormal(Initializer, names=("lecun_normal",)):
    """``rng.normal(0.0, sqrt(1 / n_in), shape)`` [1]_; Keras cuts the ends off.

    References
    ----------
    .. [1] LeCun et al. 1998, Efficient BackProp, eq. 16

    Examples
    --------
    >>> round(float(LecunNormal()((100, 30), np.random.default_rng(0)).std()), 2)  # sqrt(1 / 100) is 0.1
    0.1
    """

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        return rng.normal(0.0, math.sqrt(1 / _fans(shape)[0]), shape)


def _sum(x: np.ndarray) -> np.ndarray:
    """Return the sum over the first axis in an order that no CPU and no version of NumPy changes.

    The second half of the rows is added to the first, ``x[i] + x[i + ceil(n / 2)]``, until one row is left.
    """
    while len(x) > 1:
        half = (len(x) + 1) // 2
        # x[:half] alone would be a view of the caller's
        x, rest = x[:half].copy(), x[half:]
        x[: len(rest)] += rest
    return x[0]


class Orthogonal(Initializer, names=("orthogonal",)):
    """`gain` times a random matrix whose columns are orthonormal (whose rows are, where it is wider than high) [1]_.

    It is the factor q of ``rng.standard_normal((long, short)) = q @ r`` with a positive diagonal of r, or its
    transpose, for ``long, short = max(n_in, n_out), min(n_in, n_out)``. That makes every such matrix equally likely
    [2]_. n_in is ``prod(shape[:-1])`` here. As in Keras and PyTorch, but for the bits: LAPACK's differ between
    machines, so here q is made with Householder reflections, in elementwise operations and sums by halves, in float64.
    It has the same bits everywhere, at a price: 3 ms for 64 x 64, 40 ms for 256 x 256 and 2.3 s for 1024 x 1024.

    Parameters
    ----------
    gain : float

    References
    ----------
    .. [1] Saxe, McClelland & Ganguli 2014, ICLR
    .. [2] Mezzadri 2007, Notices of the AMS 54; Golub & Van Loan 2013, Matrix Computations, algorithm 5.2.1

    Examples
    --------
    >>> q = Orthogonal()((4, 3), np.random.default_rng(0))
    >>> bool(np.allclose(q.T @ q, np.eye(3)))
    True
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("gain", gain)

    def __call__(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Return an array of that shape."""
        if len(shape) < 2:
            raise ValueError(f"shape is {tuple(shape)}; an orthogonal initializer needs two dimensions or more")
        n_in, n_out = math.prod(shape[:-1]), shape[-1]
        a = rng.standard_normal((max(n_in, n_out), min(n_in, n_out)))
        q = np.eye(*a.shape)
        reflections = []
        for j in range(a.shape[1]):
            v = a[j:, j].copy()
            first, norm = v[0], np.sqrt(_sum(v * v))
            # away from zero: nothing cancels
            v[0] += np.copysign(norm, first)
            # r[j, j] is -copysign(norm, first)
            q[j, j] = -np.copysign(1.0, first)
            v = (v / np.sqrt(_sum(v * v)))[:, None]
            reflections.append(v)
            a[j:, j + 1 :] -= 2 * v * _sum(v * a[j:, j + 1 :])
        for j in reversed(range(a.shape[1])):
            v = reflections[j]
            q[j:, j:] -= 2 * v * _sum(v * q[j:, j:])
        return self.gain * np.ascontiguousarray(q if n_in >= n_out else q.T).reshape(shape)


def get(initializer: Initializer | str | list[Any]) -> Initializer:
    """Return an initializer from an object, from its name, or from `Initializer.get_config`.

    Parameters
    ----------
    initializer : Initializer, str or list

    Returns
    -------
    Initializer

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> get("he_normal")
    HeNormal()
    >>> get(["Constant", {"value": 2.0}])
    Constant(value=2.0)
    """
    return make(Initializer, initializer)


def __getattr__(name: str) -> Any:
    return elsewhere(__name__, name)
