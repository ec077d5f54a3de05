"""Layers that make one cell of each window of an image, (height, width, channels), or of a sequence (steps, channels).

Rules that differ between libraries, and which of them holds here:

- ties of a maximum: the first of equal cells is taken, row by row, and has all of the gradient, as in PyTorch and
  TensorFlow. -0 and 0 are equal, so that the first of them is the value.
- NaN: a maximum of a window with a NaN is NaN, and of several the first has the gradient, as `numpy.argmax` has it.
  Libraries disagree here (PyTorch takes the last NaN, TensorFlow returns the largest number), and a NaN should be seen.
- windows that overlap: a cell gets the gradients of its windows added in their order, row by row.
- borders: cells outside of an image are no cells. A maximum never takes one, also where all others are negative, and
  an average is divided by the number of cells inside, as in Keras. PyTorch's averages count them unless it is told
  ``count_include_pad=False``.
- padding is Keras', see `fastbp.Conv2D`, and less than the window, so that no window is empty. By default windows do
  not overlap: ``strides`` are ``pool_size``.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .base import Layer
from .reduce import Max, Mean
from .windows import Window, as_images, as_pairs, each, resolved, spatial

if TYPE_CHECKING:
    from typing import Any

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec

__all__ = [
    "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D",
    "GlobalMaxPooling2D", "MaxPooling1D", "MaxPooling2D",
]  # fmt: skip

#: So many cells a window may have whose index is one byte.
_MOST = 256


class _Pool(Layer):
    axes = 2
    row: str

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        strides: int | tuple[int, ...] | None = None,
        padding: str | int | tuple[Any, ...] = "valid",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(input_shape, name)
        self.pool_size = each("pool_size", pool_size, self.axes)
        self.strides = self.pool_size if strides is None else each("strides", strides, self.axes)
        self.padding = as_pairs("padding", padding, self.axes, ("valid", "same"))
        if not isinstance(self.padding, str):
            for pair, size in zip(self.padding, self.pool_size, strict=True):
                if max(pair) >= size:
                    raise ValueError(f"padding is {padding!r}; it must be less than pool_size, {pool_size!r}")

    def _window(self, sizes: tuple[int, ...]) -> Window:
        around = resolved(self.padding, sizes, self.pool_size, self.strides)
        return Window(self.pool_size, self.strides, around, (1,) * self.axes)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape of an image of windows."""
        what = f"{self.name}: {type(self).__name__}"
        sizes = spatial(what, input_shape, self.axes)
        return [], (*self._window(sizes).fitted(what, input_shape), input_shape[-1])

    def _steps(self, window: Window) -> list[Window]:
        """Return the windows of which one is made: several, one after the other, have the same results."""
        return [window.images()]

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the pool."""
        _, shape = self.build(x.shape[1:])
        y, made = as_images(x), []
        for window in self._steps(self._window(x.shape[1:-1])):
            options: dict[str, Any] = {"layer": self.name, **window.pool()}
            size = {"input_height": y.shape[1], "input_width": y.shape[2]}
            found = program.call(self.row, y, **options)
            y, *saved = found if isinstance(found, tuple) else (found,)
            made.append((saved, {**options, **size}))

        def backward(dy, need_dx):
            if not need_dx:
                return None
            dy = dy.reshaped(y.shape)
            for saved, options in made[::-1]:
                dy = program.call(f"{self.row}_dx", dy, *saved, **options)
            return dy.reshaped(x.shape)

        return y.reshaped((x.shape[0], *shape)), backward

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        padding: Any = self.padding
        if not isinstance(padding, str):
            padding = [list(pair) for pair in padding] if self.axes > 1 else list(padding[0])
        own = {"pool_size": list(self.pool_size), "strides": list(self.strides), "padding": padding}
        return {**own, **super().get_config()}


class _MaxPool(_Pool):
    row = "max_pool"

    def __init__(
        self,
        pool_size: int | tuple[int, ...] = 2,
        strides: int | tuple[int, ...] | None = None,
        padding: str | int | tuple[Any, ...] = "valid",
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(pool_size, strides, padding, input_shape, name)
        if max(self.pool_size) > _MOST:
            what = f"of at most {_MOST} along an axis, or GlobalMaxPooling{self.axes}D"
            raise ValueError(f"pool_size is {pool_size!r}; it must be {what}")

    def _steps(self, window: Window) -> list[Window]:
        whole = window.images()
        if prod(whole.size) <= _MOST:
            return [whole]
        # of the first maxima of rows the first is that of the window
        (kh, kw), (sh, sw), (of_h, of_w), _ = whole
        return [
            Window((1, kw), (1, sw), ((0, 0), of_w), (1, 1)),
            Window((kh, 1), (sh, 1), (of_h, (0, 0)), (1, 1)),
        ]


class MaxPooling2D(_MaxPool):
    """The largest cell of each window of an image, channel by channel [1]_.

    Of equal cells the first is taken, row by row, and has the gradient; -0 and 0 are equal. A NaN is taken, of several
    the first, as `numpy.argmax` does: the maximum is NaN then. Cells outside of the image are never taken.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window, at most 256 each.
    strides : int or (int, int), optional
        How far it moves; by default `pool_size`, so that windows lie side by side. A cell of several windows gets their
        gradients added, row by row.
    padding : {"valid", "same"}, int, (int, int) or ((int, int), (int, int))
        As of `Conv2D`; less than the window.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional

    References
    ----------
    .. [1] LeCun et al. 1998, Proc. IEEE 86(11); Jarrett et al. 2009, ICCV

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.MaxPooling2D()], input_shape=(2, 4, 1))
    >>> model.predict(np.reshape([[1, 2, 3, 4], [8, 7, 6, 5]], (1, 2, 4, 1))).ravel()
    array([8., 6.], dtype=float32)
    """


class MaxPooling1D(_MaxPool):
    """The largest of each window of steps, channel by channel; see `MaxPooling2D` for ties, NaN and borders.

    Parameters
    ----------
    pool_size : int
        The length of the window, at most 256.
    strides : int, optional
        How far it moves; by default `pool_size`.
    padding : {"valid", "same"}, int or (int, int)
        As of `Conv1D`; less than the window.
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.MaxPooling1D(3, strides=1)], input_shape=(5, 1))
    >>> model.predict(np.reshape([3, 1, 2, 5, 4], (1, 5, 1))).ravel()
    array([3., 5., 5.], dtype=float32)
    """

    axes = 1


class AveragePooling2D(_Pool):
    """The mean of each window of an image, channel by channel.

    It is the sum of the window's cells, row by row, over how many lie inside the image: zeros outside do not count, as
    in Keras. PyTorch counts them unless ``count_include_pad=False``.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the window.
    strides : int or (int, int), optional
        How far it moves; by default `pool_size`.
    padding : {"valid", "same"}, int, (int, int) or ((int, int), (int, int))
        As of `Conv2D`; less than the window.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.AveragePooling2D(2, padding="same")], input_shape=(2, 3, 1))
    >>> model.predict(np.reshape([[1, 2, 3], [3, 2, 5]], (1, 2, 3, 1))).ravel()  # the second window has two cells
    array([2., 4.], dtype=float32)
    """

    row = "average_pool"


class AveragePooling1D(_Pool):
    """The mean of each window of steps, channel by channel; what lies outside does not count, see `AveragePooling2D`.

    Parameters
    ----------
    pool_size : int
        The length of the window.
    strides : int, optional
        How far it moves; by default `pool_size`.
    padding : {"valid", "same"}, int or (int, int)
        As of `Conv1D`; less than the window.
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.AveragePooling1D(2)], input_shape=(4, 1))
    >>> model.predict(np.reshape([1, 3, 2, 6], (1, 4, 1))).ravel()
    array([2., 4.], dtype=float32)
    """

    axes, row = 1, "average_pool"


class _Global(Layer):
    """A reduction over all axes but the last; the class that reduces comes behind this one."""

    axes = 2

    def __init__(
        self, keepdims: bool = False, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        over: Any = {"axis": tuple(range(1, self.axes + 1)), "keepdims": keepdims}
        super().__init__(input_shape=input_shape, name=name, **over)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the channels, with ones before them where axes are kept."""
        spatial(f"{self.name}: {type(self).__name__}", input_shape, self.axes)
        return super().build(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {name: value for name, value in super().get_config().items() if name != "axis"}


class GlobalAveragePooling2D(_Global, Mean):
    """The mean of each channel over an image [1]_: its cells are added row by row.

    Parameters
    ----------
    keepdims : bool
        Whether height and width stay, with length 1.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional

    References
    ----------
    .. [1] Lin, Chen & Yan 2014, ICLR, section 3.2

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.GlobalAveragePooling2D()], input_shape=(2, 2, 1))
    >>> model.predict(np.reshape([1, 2, 3, 6], (1, 2, 2, 1)))
    array([[3.]], dtype=float32)
    """


class GlobalAveragePooling1D(_Global, Mean):
    """The mean of each channel over a sequence.

    Parameters
    ----------
    keepdims : bool
        Whether the axis of steps stays, with length 1.
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.GlobalAveragePooling1D()], input_shape=(3, 2))
    >>> model.predict([[[1, 2], [3, 4], [5, 9]]])
    array([[3., 5.]], dtype=float32)
    """

    axes = 1


class GlobalMaxPooling2D(_Global, Max):
    """The largest of each channel over an image; the first of equal ones has the gradient, and a NaN is taken.

    Parameters
    ----------
    keepdims : bool
        Whether height and width stay, with length 1.
    input_shape : tuple of int, optional
        (height, width, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> model = fastbp.Sequential([fastbp.layers.GlobalMaxPooling2D(keepdims=True)], input_shape=(2, 2, 1))
    >>> model.predict(np.reshape([1, 2, 6, 3], (1, 2, 2, 1)))
    array([[[[6.]]]], dtype=float32)
    """


class GlobalMaxPooling1D(_Global, Max):
    """The largest of each channel over a sequence; the first of equal ones has the gradient, and a NaN is taken.

    Parameters
    ----------
    keepdims : bool
        Whether the axis of steps stays, with length 1.
    input_shape : tuple of int, optional
        (steps, channels), for the first layer of a model.
    name : str, optional

    Examples
    --------
    >>> import fastbp
    >>> model = fastbp.Sequential([fastbp.layers.GlobalMaxPooling1D()], input_shape=(3, 2))
    >>> model.predict([[[1, 2], [9, 4], [5, 3]]])
    array([[9., 4.]], dtype=float32)
    """

    axes = 1
