"""Layers that give rows another shape."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .base import Layer, as_shape

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec

__all__ = ["Flatten", "Reshape"]


class _Shape(Layer):
    passes_on = True

    def check_data(self, name: str, x: np.ndarray) -> bool:
        """Return True: the next layer takes the same numbers."""
        return True

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add no call: y is the memory of x in another shape."""
        _, shape = self.build(x.shape[1:])
        return x.reshaped((*x.shape[:1], *shape)), lambda dy, need_dx: dy.reshaped(x.shape) if need_dx else None


class Flatten(_Shape):
    """Each row as one dimension: ``y = x.reshape(len(x), -1)``. Nothing is computed or copied.

    Parameters
    ----------
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Flatten(), fastbp.Dense(10)], input_shape=(28, 28))
    >>> model.layers[1].w.shape
    (784, 10)
    """

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and one dimension."""
        return [], (prod(input_shape),)


class Reshape(_Shape):
    """Each row in another shape: ``y = x.reshape(len(x), *target_shape)``. Nothing is computed or copied.

    Parameters
    ----------
    target_shape : int or tuple of int
        Of one row. One length may be -1: whatever makes the number of elements the same.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.Reshape((-1, 2))], input_shape=6)
    >>> model.predict([[0, 1, 2, 3, 4, 5]])
    array([[[0., 1.],
            [2., 3.],
            [4., 5.]]], dtype=float32)
    """

    def __init__(
        self,
        target_shape: int | tuple[int, ...],
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        shape = as_shape(target_shape, "target_shape") or ()
        if not shape or min(shape) < -1 or 0 in shape or shape.count(-1) > 1:
            raise ValueError(f"target_shape is {target_shape!r}; it must hold positive integers, one may be -1")
        self.target_shape = shape

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the target shape."""
        n, known = prod(input_shape), prod(length for length in self.target_shape if length != -1)
        shape = tuple(n // known if length == -1 else length for length in self.target_shape)
        if prod(shape) != n:
            raise ValueError(f"{self.name}: a row of shape {input_shape} cannot be one of {self.target_shape}")
        return [], shape

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"target_shape": list(self.target_shape), **super().get_config()}
