"""Layers that give rows another shape, take a part of them, or make them longer."""

from __future__ import annotations

import operator
from math import prod
from typing import TYPE_CHECKING

from ..checks import as_shape, check_name, integer
from .base import Layer, features
from .windows import as_pairs, each, spatial

if TYPE_CHECKING:
    from typing import Any

    import numpy as np

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec
    from .windows import Pairs

__all__ = [
    "Cropping1D", "Cropping2D", "Flatten", "Permute", "RepeatVector", "Reshape", "Slice", "UpSampling1D",
    "UpSampling2D", "ZeroPadding1D", "ZeroPadding2D",
]  # fmt: skip


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


class _Edges(Layer):
    """What adds to or takes from the ends of the axes of an image."""

    axes = 2
    #: What is given, and the kernels that do it and undo it.
    argument: str
    kernels: tuple[str, str]

    def __init__(self, edges: Any, input_shape: int | tuple[int, ...] | None, name: str | None) -> None:
        super().__init__(input_shape, name)
        setattr(self, self.argument, as_pairs(self.argument, edges, self.axes))

    @property
    def _pairs(self) -> Pairs:
        pairs: Pairs = getattr(self, self.argument)
        return pairs

    def _copies(self, shape: tuple[Any, ...]) -> list[tuple[Any, int, dict[str, Any]]]:
        """Return for each axis with edges, the last first, how it lies in what was left: rows and columns."""
        lengths, found = [*shape], []
        for k in range(self.axes, 0, -1):
            before, after = self._pairs[k - 1]
            n = prod(lengths[k + 1 :])
            if before or after:
                found.append((prod(lengths[:k]), lengths[k] * n, {"before": before * n, "after": after * n}))
            lengths[k] = self._length(lengths[k], before + after)
        return found

    def _length(self, n: int, edges: int) -> int:
        raise NotImplementedError

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape with its other lengths."""
        what = f"{self.name}: {type(self).__name__}"
        sizes = spatial(what, input_shape, self.axes)
        lengths = [self._length(n, sum(pair)) for n, pair in zip(sizes, self._pairs, strict=True)]
        if min(lengths) < 1:
            raise ValueError(f"{what}: {self.argument} is {self._pairs}; it leaves nothing of rows of {input_shape}")
        return [], (*lengths, input_shape[-1])

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add a copy for each axis that has edges."""
        _, shape = self.build(x.shape[1:])
        forward, reverse = self.kernels
        copies, y, made = self._copies(x.shape), x, []
        for rows, columns, edges in copies:
            y = program.call(forward, y.reshaped((rows, columns)), layer=self.name, **edges)
            made.append(y.shape)

        def backward(dy, need_dx):
            if not need_dx:
                return None
            for lengths, (_, _, edges) in zip(made[::-1], copies[::-1], strict=True):
                dy = program.call(reverse, dy.reshaped(lengths), layer=self.name, **edges)
            return dy.reshaped(x.shape)

        return y.reshaped((x.shape[0], *shape)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        pairs = [list(pair) for pair in self._pairs]
        return {self.argument: pairs if self.axes > 1 else pairs[0], **super().get_config()}


class _ZeroPadding(_Edges):
    argument, kernels = "padding", ("columns_backward", "columns_forward")

    def _length(self, n: int, edges: int) -> int:
        return n + edges


class _Cropping(_Edges):
    argument, kernels = "cropping", ("columns_forward", "columns_backward")

    def _length(self, n: int, edges: int) -> int:
        return n - edges


class ZeroPadding2D(_ZeroPadding):
    """Zeros around an image (height, width, channels).

    Parameters
    ----------
    padding : int, (int, int) or ((int, int), (int, int))
        How many on all sides; for height and width; or ((top, bottom), (left, right)).
    input_shape : tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.ZeroPadding2D(((0, 1), (2, 0)))], input_shape=(1, 2, 1))
    >>> model.predict(np.ones((1, 1, 2, 1)))[0, :, :, 0]
    array([[0., 0., 1., 1.],
           [0., 0., 0., 0.]], dtype=float32)
    """

    def __init__(
        self,
        padding: int | tuple[Any, ...] = 1,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(padding, input_shape, name)


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and behind a sequence (steps, channels).

    Parameters
    ----------
    padding : int or (int, int)
        How many at both ends, or (before, behind).
    input_shape : tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.ZeroPadding1D((2, 1))], input_shape=(2, 1))
    >>> model.predict(np.ones((1, 2, 1))).ravel()
    array([0., 0., 1., 1., 0.], dtype=float32)
    """

    axes = 1

    def __init__(
        self,
        padding: int | tuple[int, int] = 1,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(padding, input_shape, name)


class Cropping2D(_Cropping):
    """An image (height, width, channels) without its edges, whose gradient is 0.

    Parameters
    ----------
    cropping : int, (int, int) or ((int, int), (int, int))
        How many cells are cut off on all sides; for height and width; or ((top, bottom), (left, right)).
    input_shape : tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Cropping2D(((1, 0), (0, 2)))], input_shape=(2, 4, 1))
    >>> model.predict(np.arange(8).reshape(1, 2, 4, 1)).ravel()
    array([4., 5.], dtype=float32)
    """

    def __init__(
        self,
        cropping: int | tuple[Any, ...] = 0,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(cropping, input_shape, name)


class Cropping1D(_Cropping):
    """A sequence (steps, channels) without its ends, whose gradient is 0.

    Parameters
    ----------
    cropping : int or (int, int)
        How many steps are cut off at both ends, or (before, behind).
    input_shape : tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.Cropping1D((1, 0))], input_shape=(3, 1))
    >>> model.predict(np.reshape([1, 2, 3], (1, 3, 1))).ravel()
    array([2., 3.], dtype=float32)
    """

    axes = 1

    def __init__(
        self,
        cropping: int | tuple[int, int] = 1,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(cropping, input_shape, name)


class _UpSampling(Layer):
    axes = 2
    interpolation = "nearest"

    def __init__(
        self,
        size: int | tuple[int, ...] = 2,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        self.size = each("size", size, self.axes)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape with its other lengths."""
        sizes = spatial(f"{self.name}: {type(self).__name__}", input_shape, self.axes)
        return [], (*(n * times for n, times in zip(sizes, self.size, strict=True)), input_shape[-1])

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add a call for each axis: a repetition, whose gradient is the sum over it, or what makes cells between."""
        _, shape = self.build(x.shape[1:])
        nearest, (forward, reverse) = self.interpolation == "nearest", _ENLARGING[self.interpolation]
        y, made, lengths = x, [], [*x.shape]
        options: dict[str, Any]
        for k in range(self.axes, 0, -1):
            times = self.size[k - 1]
            if times > 1:
                before, n = prod(lengths[:k]), prod(lengths[k + 1 :])
                there = (before * lengths[k], n) if nearest else (before, lengths[k], n)
                options = {"times" if nearest else "factor": times}
                y = program.call(forward, y.reshaped(there), layer=self.name, **options)
                made.append((y.shape, {} if nearest else options))
            lengths[k] *= times

        def backward(dy, need_dx):
            if not need_dx:
                return None
            for there, options in made[::-1]:
                dy = program.call(reverse, dy.reshaped(there), layer=self.name, **options)
            return dy.reshaped(x.shape)

        return y.reshaped((x.shape[0], *shape)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"size": list(self.size), **super().get_config()}


#: What enlarges an axis, and its gradient.
_ENLARGING = {"nearest": ("repeat", "sum_axis"), "bilinear": ("interpolate_forward", "interpolate_backward")}


class UpSampling2D(_UpSampling):
    """An image (height, width, channels) several times as large: each cell as a block, or with cells between.

    Parameters
    ----------
    size : int or (int, int)
        How many times as high and wide the image becomes.
    interpolation : {"nearest", "bilinear"}
        Whether cells are repeated, or cells between them lie between their values too, first along the width. As in
        Keras, and in PyTorch without ``align_corners``, a cell is as wide as what becomes of it: cell i of the output
        is at ``(i + 0.5) / size - 0.5``, and what is beyond the first and the last cell has their values.
    input_shape : tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.UpSampling2D((1, 2))], input_shape=(2, 2, 1))
    >>> model.predict(np.reshape([1, 2, 3, 4], (1, 2, 2, 1)))[0, :, :, 0]
    array([[1., 1., 2., 2.],
           [3., 3., 4., 4.]], dtype=float32)
    >>> smooth = fastbp.layers.UpSampling2D((1, 2), interpolation="bilinear")
    >>> fastbp.Sequential([smooth], input_shape=(1, 2, 1)).predict(np.reshape([1, 2], (1, 1, 2, 1))).ravel()
    array([1.  , 1.25, 1.75, 2.  ], dtype=float32)
    """

    def __init__(
        self,
        size: int | tuple[int, ...] = 2,
        interpolation: str = "nearest",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(size, input_shape, name)
        check_name("interpolation", interpolation, _ENLARGING)
        self.interpolation = interpolation

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        config = super().get_config()
        return {"size": config.pop("size"), "interpolation": self.interpolation, **config}


class UpSampling1D(_UpSampling):
    """Each step of a sequence (steps, channels) several times.

    Parameters
    ----------
    size : int
        How many times as long the sequence becomes.
    input_shape : tuple of int, optional
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.UpSampling1D(3)], input_shape=(2, 1))
    >>> model.predict(np.reshape([1, 2], (1, 2, 1))).ravel()
    array([1., 1., 1., 2., 2., 2.], dtype=float32)
    """

    axes = 1
