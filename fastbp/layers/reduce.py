"""Layers that make one number of many, along axes of a row."""

from __future__ import annotations

from itertools import groupby
from math import prod
from typing import TYPE_CHECKING

from ..checks import as_list
from .base import Layer
from .shape import as_axis, place_of

if TYPE_CHECKING:
    from typing import Any

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec

__all__ = ["Max", "Mean", "Sum"]


class _Reduction(Layer):
    def __init__(
        self,
        axis: int | tuple[int, ...] = -1,
        keepdims: bool = False,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        several = isinstance(axis, (tuple, list))
        self.axis = [as_axis("axis", one) for one in (as_list("axis", axis, "axes") if several else [axis])]
        if not self.axis:
            raise ValueError("axis is empty; it must name an axis")
        self.keepdims = bool(keepdims)

    def _places(self, shape: tuple[int, ...]) -> list[int]:
        places = sorted(place_of(f"{self.name}: axis", axis, shape) for axis in self.axis)
        if len({*places}) < len(places):
            raise ValueError(f"{self.name}: axis is {tuple(self.axis)}; of rows of shape {shape} one is named twice")
        return places

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape without the axes, or with ones in their place."""
        places = self._places(input_shape)
        if 0 in (input_shape[k] for k in places):
            raise ValueError(f"{self.name}: {type(self).__name__} over an axis of length 0, of rows of {input_shape}")
        kept = [1 if k in places else n for k, n in enumerate(input_shape) if k not in places or self.keepdims]
        return [], tuple(kept)

    def _stacks(self, shape: tuple[Any, ...]) -> list[tuple[Any, int, int]]:
        """Return for each group of neighbouring axes, the last first, how it lies in what the one before left.

        Parameters
        ----------
        shape : tuple of int or Length
            Of the batch.

        Returns
        -------
        list of (length, int, int)
            What comes before the group, its own length, what comes after it.
        """
        places, lengths = [1 + k for k in self._places(shape[1:])], [*shape]
        groups = [[k for _, k in group] for _, group in groupby(enumerate(places), lambda pair: pair[1] - pair[0])]
        found = []
        for group in groups[::-1]:
            first, last = group[0], group[-1] + 1
            found.append((prod(lengths[:first]), prod(lengths[first:last]), prod(lengths[last:])))
            lengths[first:last] = []
        return found

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        axis = self.axis[0] if len(self.axis) == 1 else self.axis
        return {"axis": axis, "keepdims": self.keepdims, **super().get_config()}


class Sum(_Reduction):
    """The sum along an axis of each row, or along several: ``y = x.sum(axis)``.

    Parameters
    ----------
    axis : int or tuple of int
        As in Keras 0 is the batch, which there is no sum over, 1 the first axis of a row and -1 the last.
    keepdims : bool
        Whether the axes stay, with length 1.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Sum(axis=1)], input_shape=(2, 3))
    >>> model.predict([[[0, 1, 2], [3, 4, 5]]])
    array([[3., 5., 7.]], dtype=float32)
    """

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the sum over each group of axes; the gradient is repeated along them."""
        y, stacks = x, self._stacks(x.shape)
        for lengths in stacks:
            y = program.call("sum_axis", y.reshaped(lengths), layer=self.name)
        _, shape = self.build(x.shape[1:])

        def backward(dy, need_dx):
            if not need_dx:
                return None
            for m, k, n in stacks[::-1]:
                dy = program.call("repeat", dy.reshaped((m, n)), layer=self.name, times=k)
            return dy.reshaped(x.shape)

        return y.reshaped((x.shape[0], *shape)), backward


class Mean(Sum):
    """The mean along an axis of each row, or along several: the sum over how many there are.

    Parameters
    ----------
    axis : int or tuple of int
        As in Keras 0 is the batch, which there is no mean over, 1 the first axis of a row and -1 the last.
    keepdims : bool
        Whether the axes stay, with length 1.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Mean(axis=(1, 2))], input_shape=(2, 3))
    >>> model.predict([[[0, 1, 2], [3, 4, 5]]])
    array([2.5], dtype=float32)
    """

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the sum and its division."""
        total, of_sum = super().emit(program, x, weights, gradients)
        count = prod(k for _, k, _ in self._stacks(x.shape))
        y = program.call("divide_by", total, layer=self.name, divisor=count)

        def backward(dy, need_dx):
            if not need_dx:
                return None
            return of_sum(program.call("divide_by", dy, layer=self.name, divisor=count), True)

        return y, backward


class Max(_Reduction):
    """The maximum along an axis of each row, or along several: ``y = x.max(axis)``.

    Of equal numbers the first one takes all of the gradient. A NaN is passed on and takes the gradient.

    Parameters
    ----------
    axis : int or tuple of int
        As in Keras 0 is the batch, which there is no maximum over, 1 the first axis of a row and -1 the last.
    keepdims : bool
        Whether the axes stay, with length 1.
    input_shape : int or tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Max(axis=-1, keepdims=True)], input_shape=(2, 3))
    >>> model.predict([[[0, 1, 2], [5, 4, 3]]])
    array([[[2.],
            [5.]]], dtype=float32)
    """

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the maximum over each group of axes."""
        y, pairs = x, []
        for lengths in self._stacks(x.shape):
            whole = y.reshaped(lengths)
            y = program.call("max_axis_forward", whole, layer=self.name)
            pairs.append((whole, y))
        _, shape = self.build(x.shape[1:])

        def backward(dy, need_dx):
            if not need_dx:
                return None
            for whole, most in pairs[::-1]:
                dy = program.call("max_axis_backward", dy.reshaped(most.shape), whole, most, layer=self.name)
            return dy.reshaped(x.shape)

        return y.reshaped((x.shape[0], *shape)), backward
