"""What layers of windows share, which move over images or sequences: their arguments, and where windows lie."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from ..program import Buffer

__all__ = ["Pairs", "Window", "as_images", "as_pairs", "each", "resolved", "spatial"]

#: How much is added, or taken away, before and behind along each axis.
Pairs = tuple[tuple[int, int], ...]

#: What kernels count in, with room to add: no image is as large.
_MOST = 2**30

_AXES = {1: ("steps",), 2: ("height", "width")}
_EXAMPLES = {
    1: ("(100,) of rows are input_shape=(100, 1)", "(channels, steps)", "(0, 2, 1)"),
    2: ("(28, 28) of rows are input_shape=(28, 28, 1)", "(channels, height, width)", "(0, 2, 3, 1)"),
}


def _integer(value: Any) -> int | None:
    try:
        return operator.index(value)
    except TypeError:
        return None


def _integers(value: Any) -> tuple[Any, ...]:
    """Return the elements of a tuple as integers, None for each that is none; () for what is no tuple."""
    return tuple(_integer(one) for one in value) if isinstance(value, (tuple, list)) else ()


def each(name: str, value: Any, axes: int, low: int = 1) -> tuple[int, ...]:
    """Return a length for each axis of an image, which one integer may stand for, or raise an error that names it.

    Examples
    --------
    >>> each("kernel_size", 3, 2), each("kernel_size", (3, 5), 2)
    ((3, 3), (3, 5))
    >>> each("strides", (1, 0), 2)
    Traceback (most recent call last):
    ValueError: strides is (1, 0); it must be an integer of at least 1, or (height, width)
    """
    one = _integer(value)
    lengths = (one,) * axes if one is not None else _integers(value)
    if len(lengths) != axes or any(n is None or not low <= n <= _MOST for n in lengths):
        more = " or a tuple of it" if axes == 1 else f", or ({', '.join(_AXES[axes])})"
        kind = TypeError if not lengths or None in lengths else ValueError
        most = f" and at most {_MOST}" if max((n for n in lengths if n is not None), default=0) > _MOST else ""
        raise kind(f"{name} is {value!r}; it must be an integer of at least {low}{most}{more}")
    return lengths


def as_pairs(name: str, value: Any, axes: int, words: tuple[str, ...] = ()) -> str | Pairs:
    """Return a padding as one of `words`, or as how much is before and behind along each axis.

    Examples
    --------
    >>> as_pairs("padding", "same", 2, ("valid", "same")), as_pairs("padding", 1, 2)
    ('same', ((1, 1), (1, 1)))
    >>> as_pairs("padding", (1, 2), 2), as_pairs("padding", (1, 2), 1)
    (((1, 1), (2, 2)), ((1, 2),))
    """
    if isinstance(value, str) and value.lower() in words:
        return value.lower()
    one, found = _integer(value), _integers(value)
    pairs: Any
    if one is not None:
        pairs = ((one, one),) * axes
    elif axes == 1 and len(found) == 2 and None not in found:
        pairs = (found,)
    elif len(found) == axes and None not in found:
        pairs = tuple((n, n) for n in found)
    else:
        pairs = tuple(_integers(one) for one in value) if isinstance(value, (tuple, list)) else ()
    if len(pairs) != axes or any(
        len(pair) != 2 or None in pair or not 0 <= min(pair) <= max(pair) <= _MOST for pair in pairs
    ):
        of_axes = "(before, behind)" if axes == 1 else "(height, width) or ((top, bottom), (left, right))"
        allowed = "".join(f"{word!r}, " for word in words)
        hint = "" if name != "padding" or value != "causal" else "; 'causal' is for sequences: Conv1D"
        raise ValueError(f"{name} is {value!r}; it must be {allowed}an integer of at least 0, {of_axes}{hint}")
    return pairs


def resolved(padding: str | Pairs, sizes: tuple[int, ...], reaches: tuple[int, ...], strides: tuple[int, ...]) -> Pairs:
    """Return how much of zeros is around an image.

    Examples
    --------
    >>> resolved("same", (28, 28), (5, 5), (1, 1)), resolved("same", (28, 27), (3, 3), (2, 2))
    (((2, 2), (2, 2)), ((0, 1), (1, 1)))
    >>> resolved("causal", (100,), (5,), (1,))
    ((4, 0),)
    """
    if not isinstance(padding, str):
        return padding
    if padding == "causal":
        return tuple((reach - 1, 0) for reach in reaches)
    if padding == "valid":
        return ((0, 0),) * len(sizes)
    # as many positions as strides fit; of an odd number of zeros the smaller half is before, as in TensorFlow
    totals = [
        max((-(-size // stride) - 1) * stride + reach - size, 0)
        for size, reach, stride in zip(sizes, reaches, strides, strict=True)
    ]
    return tuple((total // 2, total - total // 2) for total in totals)


def spatial(what: str, shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """Return the lengths of an image without its channels, or raise an error with advice.

    Examples
    --------
    >>> spatial("conv2d_1: Conv2D", (28, 28, 1), 2)
    (28, 28)
    """
    if len(shape) != axes + 1:
        named = ", ".join((*_AXES[axes], "channels"))
        hint = ""
        if len(shape) == axes:
            hint = f"; a last axis of 1 channel may be missing: {_EXAMPLES[axes][0]}, and x[..., None] are the data"
        raise ValueError(f"{what} takes rows of shape ({named}), got {shape}{hint}")
    return shape[:-1]


def as_images(x: Buffer) -> Buffer:
    """Return a batch of images as it is, and one of sequences as one of images of height 1.

    Examples
    --------
    >>> from fastbp.program import BATCH, Program
    >>> as_images(Program("float32").buffer("x", (BATCH, 100, 3)))
    x[batch, 1, 100, 3]
    """
    return x if len(x.shape) == 4 else x.reshaped((x.shape[0], 1, *x.shape[1:]))


class Window(NamedTuple):
    """A window of a layer that is built: its size, and where it goes."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]

    @property
    def reaches(self) -> tuple[int, ...]:
        """How many cells of an image a window covers, with those between."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.size, self.dilation, strict=True))

    def positions(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Return how many positions there are along each axis of an image."""
        return tuple(
            (size + sum(pair) - reach) // stride + 1
            for size, pair, reach, stride in zip(sizes, self.padding, self.reaches, self.strides, strict=True)
        )

    def images(self) -> Window:
        """Return the window for images: one of sequences has height 1."""
        if len(self.size) == 2:
            return self
        return Window((1, *self.size), (1, *self.strides), ((0, 0), *self.padding), (1, *self.dilation))

    def attributes(self) -> dict[str, float]:
        """Return the attributes of a convolution's kernels."""
        window = self.images()
        return {**window._walk(), "dilation_h": window.dilation[0], "dilation_w": window.dilation[1]}

    def pool(self) -> dict[str, float]:
        """Return the attributes of a pool's kernels."""
        window = self.images()
        return {"pool_h": window.size[0], "pool_w": window.size[1], **window._walk()}

    def _walk(self) -> dict[str, float]:
        (top, bottom), (left, right) = self.padding
        edges = {"top": top, "bottom": bottom, "left": left, "right": right}
        return {"stride_h": self.strides[0], "stride_w": self.strides[1], **edges}

    def fitted(self, what: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return `positions`, or raise an error where an image of a shape is smaller than the window."""
        sizes, axes = shape[:-1], len(self.size)
        positions = self.positions(sizes)
        if min(positions) < 1:
            needed = " x ".join(str(max(n - sum(pair), 1)) for n, pair in zip(self.reaches, self.padding, strict=True))
            _, first, order = _EXAMPLES[axes]
            hint = ""
            if shape[0] in (1, 3, 4) and shape[-1] > 4:
                hint = f"; of channels first, {first}, x.transpose{order} are the data"
            raise ValueError(
                f"{what} of {' x '.join(map(str, self.size))} takes {('', 'sequences', 'images')[axes]} of at least "
                f"{needed}, got rows of shape {shape}; padding='same' takes smaller ones{hint}"
            )
        return positions
