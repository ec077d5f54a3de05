"""Layers that make other images of images, by numbers that they draw in training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..checks import integer, number, suggest
from .base import Layer
from .shape import Cropping2D
from .windows import spatial

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..program import Buffer, Program
    from .base import Backward, ParameterSpec

__all__ = ["RandomCrop", "RandomFlip", "RandomTranslation"]


def _one_of(name: str, value: Any, names: Mapping[str, Any]) -> str:
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(names)}{suggest(value, names)}")
    return value


class _OfImages(Layer):
    """What draws two numbers for each image: the first for its height, the second for its width."""

    random = True

    def __init__(
        self, seed: int | None = None, input_shape: int | tuple[int, ...] | None = None, name: str | None = None
    ) -> None:
        super().__init__(input_shape, name)
        self.seed = None if seed is None else integer("seed", seed, 0)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape of the images that come out."""
        spatial(f"{self.name}: {type(self).__name__}", input_shape, 2)
        return [], input_shape

    def _drawn(self, program: Program, x: Buffer, weights: dict[str, Buffer]) -> Buffer:
        """Add the drawing of u[batch, 2]."""
        n, like = math.prod(x.shape[1:]), x.matrix(1)
        # an array of that shape, whose numbers are not read
        if n > 2:
            like = program.call("columns_forward", like, layer=self.name, before=0, after=n - 2)
        elif n == 1:
            like = program.call("repeat", like, layer=self.name, times=2)
        u, _ = program.call("uniform", like, weights["generator"], layer=self.name)
        return u.reshaped((x.shape[0], 2))

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"seed": self.seed, **super().get_config()}


#: Whether images are turned upside down, and whether they are mirrored.
_MODES = {"horizontal": (0, 1), "vertical": (1, 0), "horizontal_and_vertical": (1, 1)}


class RandomFlip(_OfImages):
    """Turns images around in training, half of them [1]_: mirrored, upside down or, each by itself, both.

    In evaluation and prediction y is x. What is drawn for a batch in turn is ``u = rng.random((len(x), 2), x.dtype)``,
    with ``rng`` as for `Dropout`: images with ``u[:, 0] < 0.5`` are turned upside down, those with ``u[:, 1] < 0.5``
    are mirrored, each where `mode` says so.

    Parameters
    ----------
    mode : {"horizontal_and_vertical", "horizontal", "vertical"}
        Horizontal: left becomes right.
    seed : int, optional
        As for `Dropout`.
    input_shape : tuple of int, optional
        (height, width, channels).
    name : str, optional

    References
    ----------
    .. [1] Krizhevsky, Sutskever & Hinton 2012, NIPS, section 4.1

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.arange(8).reshape(4, 1, 2, 1)
    >>> model = fastbp.Sequential([fastbp.RandomFlip("horizontal", seed=0)], input_shape=(1, 2, 1))
    >>> model.compile("sgd", "mse")
    >>> model.forward(x).reshape(4, 2)
    array([[0., 1.],
           [3., 2.],
           [5., 4.],
           [7., 6.]], dtype=float32)
    >>> np.random.default_rng(0).random((4, 2), "float32")[:, 1] < 0.5
    array([False,  True,  True,  True])
    >>> model.predict(x).reshape(4, 2)[1]
    array([2., 3.], dtype=float32)
    """

    passes_on = True

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: int | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, input_shape, name)
        self.mode = _one_of("mode", mode, _MODES)

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the drawing and the flips, in training."""
        vertical, horizontal = _MODES[self.mode]
        if not program.training:
            return x, lambda dy, need_dx: dy if need_dx else None
        u = self._drawn(program, x, weights)

        def flipped(z: Buffer) -> Buffer:
            return program.call("flip", z, u, layer=self.name, vertical=vertical, horizontal=horizontal)

        return flipped(x), lambda dy, need_dx: flipped(dy) if need_dx else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"mode": self.mode, **super().get_config()}


#: What comes in at an edge, as the row `translate` has it.
_FILLS = {"constant": 0, "nearest": 1, "reflect": 2, "wrap": 3}


def _range_of(name: str, factor: Any) -> tuple[float, float]:
    """Return the ends of a range of shifts as shares of an image's size."""
    if not isinstance(factor, (tuple, list)):
        most = number(name, factor, 0, 1, closed_high=True)
        return -most, most
    if len(factor) != 2:
        raise ValueError(f"{name} is {factor!r}; it must be a number or a pair of numbers")
    low, high = (number(f"{name}[{k}]", end, -1, 1, closed_high=True) for k, end in enumerate(factor))
    if low > high:
        raise ValueError(f"{name} is {factor!r}; the first number must not be above the second")
    return low, high


class RandomTranslation(_OfImages):
    """Moves each image by whole pixels in training [1]_: down or up, to the right or to the left.

    Each whole number of pixels in the range is as likely: ``down = first + floor(u[:, 0] * count)``, where ``first`` is
    the lowest and ``count`` is how many there are, and with ``u[:, 1]`` likewise to the right. What is drawn for a
    batch in turn is ``u = rng.random((len(x), 2), x.dtype)``, with ``rng`` as for `Dropout`. Keras draws real numbers
    and interpolates between pixels. In evaluation and prediction y is x.

    Parameters
    ----------
    height_factor : float or (float, float)
        How far down at most, as a share of the height: from -1 to 1, negative is up. One number f is ``(-f, f)``.
    width_factor : float or (float, float)
        How far to the right, as a share of the width.
    fill_mode : {"reflect", "wrap", "constant", "nearest"}
        What comes in where the image has gone, for pixels a b c d: "reflect" is ``c b a | a b c d``, "wrap" ``b c d | a
        b c d``, "nearest" ``a a a | a b c d``, "constant" `fill_value`.
    fill_value : float
        For "constant".
    seed : int, optional
        As for `Dropout`.
    input_shape : tuple of int, optional
        (height, width, channels).
    name : str, optional

    References
    ----------
    .. [1] LeCun et al. 1998, Proc. IEEE 86(11), section III.C

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.arange(1, 13).reshape(3, 1, 4, 1)
    >>> layer = fastbp.RandomTranslation(0, 0.5, fill_mode="constant", seed=0)  # -2 .. 2 pixels
    >>> model = fastbp.Sequential([layer], input_shape=(1, 4, 1))
    >>> model.compile("sgd", "mse")
    >>> model.forward(x).reshape(3, 4)
    array([[ 0.,  1.,  2.,  3.],
           [ 6.,  7.,  8.,  0.],
           [11., 12.,  0.,  0.]], dtype=float32)
    >>> -2 + np.floor(np.random.default_rng(0).random((3, 2), "float32")[:, 1] * 5)
    array([ 1., -1., -2.], dtype=float32)
    """

    passes_on = True

    def __init__(
        self,
        height_factor: float | tuple[float, float],
        width_factor: float | tuple[float, float],
        fill_mode: str = "reflect",
        fill_value: float = 0.0,
        seed: int | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, input_shape, name)
        self.height_factor = _range_of("height_factor", height_factor)
        self.width_factor = _range_of("width_factor", width_factor)
        self.fill_mode, self.fill_value = _one_of("fill_mode", fill_mode, _FILLS), number("fill_value", fill_value)

    def _pixels(self, which: str, size: int) -> tuple[int, int]:
        """Return the lowest whole number of pixels, and how many there are."""
        low, high = getattr(self, f"{which}_factor")
        # 0.29 * 100 is 28.999999999999996
        first, last = math.ceil(round(low * size, 6)), math.floor(round(high * size, 6))
        if first > last:
            what = f"no whole number of pixels lies in {low * size:g} .. {high * size:g}"
            raise ValueError(f"{self.name}: {which}_factor is {(low, high)}; of images of {which} {size} {what}")
        return first, last - first + 1

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the same shape."""
        built = super().build(input_shape)
        for which, size in zip(("height", "width"), input_shape, strict=False):
            self._pixels(which, size)
        return built

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the drawing and the shifts, in training."""
        (first_h, count_h), (first_w, count_w) = self._pixels("height", x.shape[1]), self._pixels("width", x.shape[2])
        if not program.training or (first_h, count_h, first_w, count_w) == (0, 1, 0, 1):
            return x, lambda dy, need_dx: dy if need_dx else None
        options: dict[str, Any] = {"first_h": first_h, "count_h": count_h, "first_w": first_w, "count_w": count_w}
        options.update(layer=self.name, fill=_FILLS[self.fill_mode], value=self.fill_value)
        u = self._drawn(program, x, weights)
        y = program.call("translate_forward", x, u, **options)
        return y, lambda dy, need_dx: program.call("translate_backward", dy, u, **options) if need_dx else None

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        own = {"height_factor": list(self.height_factor), "width_factor": list(self.width_factor)}
        return {**own, "fill_mode": self.fill_mode, "fill_value": self.fill_value, **super().get_config()}


class RandomCrop(_OfImages):
    """Cuts a part out of each image: at a random place in training [1]_, out of the middle elsewhere.

    Each place is as likely: ``top = floor(u[:, 0] * (x.shape[1] - height + 1))``, and with ``u[:, 1]`` likewise
    ``left``. What is drawn for a batch in turn is ``u = rng.random((len(x), 2), x.dtype)``, with ``rng`` as for
    `Dropout`. In evaluation and prediction top is ``(x.shape[1] - height) // 2``. Images that are smaller are refused;
    Keras makes them larger, and cuts all images of a batch at one place.

    Parameters
    ----------
    height, width : int
        Of the part.
    seed : int, optional
        As for `Dropout`.
    input_shape : tuple of int, optional
        (height, width, channels).
    name : str, optional

    References
    ----------
    .. [1] Krizhevsky, Sutskever & Hinton 2012, NIPS, section 4.1

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x = np.arange(15).reshape(3, 1, 5, 1)
    >>> model = fastbp.Sequential([fastbp.RandomCrop(1, 2, seed=0)], input_shape=(1, 5, 1))
    >>> model.compile("sgd", "mse")
    >>> model.forward(x).reshape(3, 2)
    array([[ 2.,  3.],
           [ 6.,  7.],
           [10., 11.]], dtype=float32)
    >>> np.floor(np.random.default_rng(0).random((3, 2), "float32")[:, 1] * 4)
    array([2., 1., 0.], dtype=float32)
    >>> model.predict(x).reshape(3, 2)[0]
    array([1., 2.], dtype=float32)
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: int | None = None,
        input_shape: int | tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, input_shape, name)
        self.height, self.width = integer("height", height, 1), integer("width", width, 1)

    def build(self, input_shape: tuple[int, ...]) -> tuple[list[ParameterSpec], tuple[int, ...]]:
        """Return no parameters and the shape of a part."""
        super().build(input_shape)
        if self.height > input_shape[0] or self.width > input_shape[1]:
            what = f"RandomCrop({self.height}, {self.width}) of images of shape {input_shape}"
            raise ValueError(f"{self.name}: {what}; a part must not be larger than they are")
        return [], (self.height, self.width, input_shape[2])

    def emit(
        self, program: Program, x: Buffer, weights: dict[str, Buffer], gradients: dict[str, Buffer]
    ) -> tuple[Buffer, Backward]:
        """Add the drawing and the cut in training, else the cut out of the middle."""
        spare_h, spare_w = x.shape[1] - self.height, x.shape[2] - self.width
        if not spare_h and not spare_w:
            return x, lambda dy, need_dx: dy if need_dx else None
        if program.training:
            options: dict[str, Any] = {"layer": self.name, "spare_h": spare_h, "spare_w": spare_w}
            u = self._drawn(program, x, weights)
            y = program.call("crop_forward", x, u, **options)
            return y, lambda dy, need_dx: program.call("crop_backward", dy, u, **options) if need_dx else None
        edges = tuple((spare // 2, spare - spare // 2) for spare in (spare_h, spare_w))
        return Cropping2D(edges, name=self.name).emit(program, x, weights, gradients)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments as plain data."""
        return {"height": self.height, "width": self.width, **super().get_config()}
