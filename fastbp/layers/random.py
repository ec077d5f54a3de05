"""Layers that draw random numbers in training and pass their input on elsewhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..checks import integer, number
from .base import Layer
from .windows import spatial

if TYPE_CHECKING:
    from typing import Any

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec

__all__ = ["AlphaDropout", "Dropout", "GaussianNoise", "SpatialDropout1D", "SpatialDropout2D"]


class _Random(Layer):
    random = True
    passes_on = True
    #: The kernels forward and, unless dx is dy, backward; and their attribute, which is how much they do.
    kernels: tuple[str, str | None]
    amount: str

    def __init__(
        self, seed: int | None = None, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(input_shape, name)
        self.seed = None if seed is None else integer("seed", seed, 0)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        return [], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the drawing and what is made of it, in training."""
        forward_kernel, backward_kernel = self.kernels
        options = {self.amount: getattr(self, self.amount)}
        if not program.training or options[self.amount] == 0:
            return x, lambda dy, need_dx: dy if need_dx else None
        u = self._draw(program, x, weights["generator"])
        y = program.call(forward_kernel, x, u, layer=self.name, **options)

        def backward(dy, need_dx):
            if not need_dx or backward_kernel is None:
                return dy if need_dx else None
            return program.call(backward_kernel, dy, u, layer=self.name, **options)

        return y, backward

    def _draw(self, program: Program, x: Buffer, generator: Buffer) -> Buffer:
        """Add what makes a random number for each element."""
        u: Buffer
        u, _ = program.call("uniform", x, generator, layer=self.name)
        return u

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {self.amount: getattr(self, self.amount), "seed": self.seed, **super().get_config()}


class _Dropping(_Random):
    amount = "rate"

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, input_shape, name)
        self.rate = number("rate", rate, 0, 1)


class Dropout(_Dropping):
    """Sets a share of its inputs to 0 in training [1]_: ``y = np.where(keep, x / (1 - rate), 0)``.

    ``keep`` is ``rng.random(x.shape, x.dtype) >= rate`` for each batch in turn, where ``rng`` is a
    `numpy.random.Generator` of PCG64 that the model keeps and saves for the layer. In evaluation and prediction y is x.

    Parameters
    ----------
    rate : float
        The share that is dropped, in [0, 1).
    seed : int, optional
        Makes ``rng`` equal to ``np.random.Generator(np.random.PCG64(seed))`` when the model is built, whatever the
        seed of `fit`; by default it comes of that, anew for each `fit`.
    input_shape : int or tuple of int, optional
    name : str, optional

    References
    ----------
    .. [1] Srivastava et al. 2014, JMLR 15

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.Dropout(0.5, seed=0)], input_shape=6)
    >>> model.compile("sgd", "mse")
    >>> model.forward(np.ones((1, 6)))
    array([[2., 2., 2., 0., 0., 0.]], dtype=float32)
    >>> np.random.default_rng(0).random((1, 6), "float32") >= 0.5
    array([[ True,  True,  True, False, False, False]])
    >>> model.predict(np.ones((1, 6)))
    array([[1., 1., 1., 1., 1., 1.]], dtype=float32)
    """

    kernels = "dropout_forward", "dropout_backward"


class _SpatialDropout(_Dropping):
    kernels = "dropout_forward", "dropout_backward"
    axes = 2

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        spatial(f"{self.name}: {type(self).__name__}", input_shape, self.axes)
        return super().build(input_shape)

    def _draw(self, program: Program, x: Buffer, generator: Buffer) -> Buffer:
        channels, positions = x.shape[-1], math.prod(x.shape[1:-1])
        # an array of the shape of what is drawn, whose numbers are not read
        rest = (positions - 1) * channels
        first = program.call("columns_forward", x.matrix(1), layer=self.name, before=0, after=rest) if rest else x
        u = super()._draw(program, first.reshaped((x.shape[0], channels)), generator)
        repeated: Buffer = program.call("repeat", u, layer=self.name, times=positions)
        return repeated.reshaped(x.shape)


class SpatialDropout2D(_SpatialDropout):
    """Sets a share of the channels of an image to 0 in training [1]_, all cells of a channel together.

    ``y = np.where(keep[:, None, None], x / (1 - rate), 0)`` with ``keep = rng.random((len(x), channels), x.dtype) >=
    rate`` for each batch in turn, of which `Dropout` says more. In evaluation and prediction y is x.

    Parameters
    ----------
    rate : float
        The share that is dropped, in [0, 1).
    seed : int, optional
        As for `Dropout`.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional

    References
    ----------
    .. [1] Tompson et al. 2015, CVPR, section 3.2

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.SpatialDropout2D(0.5, seed=0)], input_shape=(1, 2, 4))
    >>> model.compile("sgd", "mse")
    >>> model.forward(np.ones((1, 1, 2, 4)))
    array([[[[2., 2., 2., 0.],
             [2., 2., 2., 0.]]]], dtype=float32)
    """


class SpatialDropout1D(_SpatialDropout):
    """Sets a share of the channels of a sequence to 0 in training, all steps of a channel together.

    As `SpatialDropout2D`.

    Parameters
    ----------
    rate : float
        The share that is dropped, in [0, 1).
    seed : int, optional
        As for `Dropout`.
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.SpatialDropout1D(0.5, seed=0)], input_shape=(2, 4))
    >>> model.compile("sgd", "mse")
    >>> model.forward(np.ones((1, 2, 4)))
    array([[[2., 2., 2., 0.],
            [2., 2., 2., 0.]]], dtype=float32)
    """

    axes = 1


class AlphaDropout(_Dropping):
    """Dropout for layers of selu, in training [1]_: what is dropped becomes selu's limit at minus infinity.

    ``y = a * np.where(keep, x, -1.7580993408473766) + b``, where a and b give inputs of mean 0 and variance 1 their
    mean and variance back: ``a = 1 / sqrt((1 - rate) * (1 + rate * 1.758...**2))`` and ``b = a * rate * 1.758...``.
    ``keep`` is as for `Dropout`. In evaluation and prediction y is x.

    Parameters
    ----------
    rate : float
        The share that is dropped, in [0, 1).
    seed : int, optional
        As for `Dropout`.
    input_shape : int or tuple of int, optional
    name : str, optional

    References
    ----------
    .. [1] Klambauer et al. 2017, NeurIPS, section 2

    Examples
    --------
    >>> import fastbp
    >>> hidden = [fastbp.Dense(64, "selu", kernel_initializer="lecun_normal"), fastbp.AlphaDropout(0.1)]
    >>> model = fastbp.Sequential([*hidden, fastbp.Dense(3)], input_shape=8)
    """

    kernels = "alpha_dropout_forward", "alpha_dropout_backward"


class GaussianNoise(_Random):
    """Adds normal noise in training: ``y = x + stddev * quantile(rng.random(x.shape, x.dtype))``.

    ``rng`` is as for `Dropout`; ``quantile`` is that of the standard normal distribution [1]_, within 7 units in the
    last place in float32 and 5 in float64. The largest noise is 5.42 stddev in float32, 8.3 in float64, where ``rng``
    draws 0. In evaluation and prediction y is x.

    Parameters
    ----------
    stddev : float
        Not negative.
    seed : int, optional
        As for `Dropout`.
    input_shape : int or tuple of int, optional
    name : str, optional

    References
    ----------
    .. [1] Wichura 1988, Applied Statistics 37, algorithm AS 241

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.GaussianNoise(0.1, seed=0)], input_shape=1000)
    >>> model.compile("sgd", "mse")
    >>> model.forward(np.zeros((1, 1000))).std().round(2)
    np.float32(0.1)
    """

    kernels, amount = ("gaussian_noise", None), "stddev"

    def __init__(
        self,
        stddev: float,
        seed: int | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, input_shape, name)
        self.stddev = number("stddev", stddev, 0, math.inf)
