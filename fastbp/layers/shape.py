"""Layers that give rows another shape, or take a part of them."""

from __future__ import annotations

import operator
from math import prod
from typing import TYPE_CHECKING

from ..checks import as_shape, integer
from .base import Layer, features

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec

__all__ = ["Flatten", "Permute", "RepeatVector", "Reshape", "Slice"]


def as_axis(name: str, axis: Any) -> int:
    """Return an axis as an integer, or raise an error that names it: 0 is the batch.

    Examples
    --------
    >>> as_axis("axis", -1)
    -1
    """
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name} is {axis!r}; it must be an integer") from None
    if axis == 0:
        raise ValueError(f"{name} is 0, which is the batch; 1 is the first axis of a row, -1 the last")
    return axis


def place_of(name: str, axis: int, shape: tuple[int, ...]) -> int:
    """Return which axis of a row is meant, from 0, or raise an error that names it.

    Examples
    --------
    >>> place_of("axis", 1, (5, 8)), place_of("axis", -1, (5, 8))
    (0, 1)
    """
    if not 1 <= abs(axis) <= len(shape):
        raise ValueError(f"{name} is {axis}; rows of shape {shape} have 1 .. {len(shape)}, or -{len(shape)} .. -1")
    return axis - 1 if axis > 0 else axis + len(shape)


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


class Permute(Layer):
    """Each row with its axes in another order: ``y = x.transpose(0, *dims)``.

    Parameters
    ----------
    dims : tuple of int
        Which axis of a row comes first, second ...; as in Keras they count from 1, as the batch is 0.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Permute((2, 1))], input_shape=(2, 3))
    >>> model.predict([[[0, 1, 2], [3, 4, 5]]])
    array([[[0., 3.],
            [1., 4.],
            [2., 5.]]], dtype=float32)
    """

    def __init__(
        self, dims: tuple[int, ...], input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(input_shape, name)
        self.dims = as_shape(dims, "dims") or ()
        if sorted(self.dims) != [*range(1, len(self.dims) + 1)] or not self.dims:
            raise ValueError(f"dims is {dims!r}; it must hold each of 1, 2 ... once")

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the lengths in their new order."""
        if len(input_shape) != len(self.dims):
            raise ValueError(f"{self.name}: Permute({self.dims}) of rows of shape {input_shape}; both must be as long")
        return [], tuple(input_shape[d - 1] for d in self.dims)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add a call for each group of axes that comes before others: they are exchanged with these."""
        here, swaps, y = [*range(1, len(self.dims) + 1)], [], x
        for at in range(len(here)):
            if here[at] != self.dims[at]:
                start = here.index(self.dims[at])
                end = start + 1
                while end < len(here) and here[end] == self.dims[at + end - start]:
                    end += 1
                now = [x.shape[d] for d in here]
                p, q, n = prod(now[at:start]), prod(now[start:end]), prod(now[end:])
                swaps.append((x.shape[0] * prod(now[:at]), p, q, n))
                here[at:end] = here[start:end] + here[at:start]
        for lengths in swaps:
            y = program.call("swap_axes", y.reshaped(lengths), layer=self.name)

        def backward(dy, need_dx):
            if not need_dx:
                return None
            for m, p, q, n in swaps[::-1]:
                dy = program.call("swap_axes", dy.reshaped((m, q, p, n)), layer=self.name)
            return dy.reshaped(x.shape)

        return y.reshaped((x.shape[0], *(x.shape[d] for d in self.dims))), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"dims": list(self.dims), **super().get_config()}


class RepeatVector(Layer):
    """Each row of numbers n times: rows of shape (k,) become ones of shape (n, k).

    Parameters
    ----------
    n : int
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.RepeatVector(2)], input_shape=3)
    >>> model.predict([[0, 1, 2]])
    array([[[0., 1., 2.],
            [0., 1., 2.]]], dtype=float32)
    """

    def __init__(self, n: int, input_shape: int | tuple[int, ...] | None = None, name: str | None = None) -> None:
        super().__init__(input_shape, name)
        self.n = integer("n", n, 1)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape of n rows."""
        if len(input_shape) != 1:
            raise ValueError(f"{self.name}: RepeatVector takes rows of one dimension, got shape {input_shape}")
        return [], (self.n, *input_shape)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the repetition; the gradient is the sum over it."""
        y = program.call("repeat", x, layer=self.name, times=self.n)
        return y, lambda dy, need_dx: program.call("sum_axis", dy, layer=self.name) if need_dx else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"n": self.n, **super().get_config()}


class Slice(Layer):
    """A part of the last axis: ``y = x[..., start:stop]``. The gradient of what is left out is 0.

    Parameters
    ----------
    start, stop : int, optional
        As in Python: negative ones count from the end. At least one element must be left.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Slice(1, -1)], input_shape=4)
    >>> model.predict([[0, 1, 2, 3]])
    array([[1., 2.]], dtype=float32)
    """

    def __init__(
        self,
        start: int | None = None,
        stop: int | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        ends = []
        for argument, value in (("start", start), ("stop", stop)):
            try:
                ends.append(None if value is None else operator.index(value))
            except TypeError:
                raise TypeError(f"{argument} is {value!r}; it must be an integer or None") from None
        self.start, self.stop = ends

    def _part(self, n: int) -> range:
        return range(n)[self.start : self.stop]

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape with what is left of its last axis."""
        n = features(f"{self.name}: Slice", input_shape)
        if not self._part(n):
            raise ValueError(f"{self.name}: Slice({self.start}, {self.stop}) leaves nothing of rows of {input_shape}")
        return [], (*input_shape[:-1], len(self._part(n)))

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the copy of the columns, unless they are all."""
        rows, part = x.matrix(), self._part(x.shape[-1])
        edges: dict[str, Any] = {"before": part.start, "after": x.shape[-1] - part.stop}
        if not any(edges.values()):
            return x, lambda dy, need_dx: dy
        y = program.call("columns_forward", rows, layer=self.name, **edges)

        def backward(dy, need_dx):
            if not need_dx:
                return None
            return program.call("columns_backward", dy.matrix(), layer=self.name, **edges).reshaped(x.shape)

        return y.reshaped((*x.shape[:-1], len(part))), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"start": self.start, "stop": self.stop, **super().get_config()}
