"""Layers that normalise each row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import initializers
from ..data import number
from .base import Layer, ParameterSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..program import Buffer, Program

    Backward = Callable[[Buffer, bool], Buffer | None]

__all__ = ["LayerNorm", "RMSNorm"]


class _RowNorm(Layer):
    row: str
    scale: str

    def __init__(self, eps: float, input_shape: int | tuple[int, ...] | None = None, name: str | None = None) -> None:
        super().__init__(input_shape, name)
        self.eps = number("eps", eps, 0, math.inf, closed_low=False)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return the parameters and the same shape."""
        if len(input_shape) != 1:
            raise ValueError(f"{self.name}: {type(self).__name__} takes rows of one dimension, got shape {input_shape}")
        begins = {"gamma": initializers.Ones(), "beta": initializers.Zeros()}
        return [ParameterSpec(name, input_shape, begins[name]) for name in self.parameters], input_shape

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the normalisation, and the scale and shift."""
        normal, inverse = program.call(f"{self.row}_forward", x, layer=self.name, eps=self.eps)
        y = program.call(f"{self.scale}_forward", normal, *weights.values(), layer=self.name)

        def backward(dy, need_dx):
            if not gradients and not need_dx:
                return None
            into = {f"d{name}": gradient for name, gradient in gradients.items()}
            _, dnormal, *_ = program.call(
                f"{self.scale}_backward", dy, normal, weights["gamma"], layer=self.name, into=into
            )
            if not need_dx:
                return None
            _, dx = program.call(f"{self.row}_backward", dnormal, normal, inverse, layer=self.name, eps=self.eps)
            return dx

        return y, backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"eps": self.eps, **super().get_config()}


class LayerNorm(_RowNorm):
    """Each row less its mean, over its standard deviation, then scaled and shifted [1]_.

    ``y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta``, mean and variance (of n, not n - 1) over the row.

    Parameters
    ----------
    eps : float
        Positive. PyTorch's 1e-5; Keras has 1e-3.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    gamma, beta : ndarray, shape (n,)
        They begin as ones and zeros. `dgamma` and `dbeta` are their gradients.

    References
    ----------
    .. [1] Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 3 and 4

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.LayerNorm(input_shape=2)])
    >>> model.predict([[1.0, 3.0]]).round(3)
    array([[-1.,  1.]], dtype=float32)
    """

    parameters = ("gamma", "beta")
    row, scale = "layer_norm", "affine"

    def __init__(
        self, eps: float = 1e-5, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(eps, input_shape, name)


class RMSNorm(_RowNorm):
    """Each row over the root of its mean square, then scaled [1]_: ``y = x / sqrt(mean(x**2) + eps) * gamma``.

    Parameters
    ----------
    eps : float
        Positive.
    input_shape : int or tuple of int, optional
    name : str, optional

    Attributes
    ----------
    gamma : ndarray, shape (n,)
        It begins as ones. `dgamma` is its gradient.

    References
    ----------
    .. [1] Zhang & Sennrich 2019, NeurIPS, eq. 4

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.RMSNorm(input_shape=2)])
    >>> model.predict([[3.0, 4.0]]).round(3)
    array([[0.849, 1.131]], dtype=float32)
    """

    parameters = ("gamma",)
    row, scale = "rms_norm", "scale"

    def __init__(
        self, eps: float = 1e-6, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(eps, input_shape, name)
