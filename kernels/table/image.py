"""Images are (height, width, channels): larger ones between their pixels, and flipped, moved and cut out at random.

What is drawn for an image are two numbers in [0, 1), u: the first for its height, the second for its width. Whole
pixels are moved and none is computed, so that what an image becomes depends on no other one, and has the same bits in
both numerics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Bound, Row

if TYPE_CHECKING:
    import numpy as np

    from ..words import drawn, moved

_PIXELS = "it moves pixels"
_COUNT = Bound("a whole number, 0 .. 2**24", lambda value: 0 <= value <= 1 << 24 and value == int(value))
_POSITIVE = Bound("a whole number, 1 .. 2**24", lambda value: 1 <= value <= 1 << 24 and value == int(value))
_WHOLE = Bound("a whole number, -2**24 .. 2**24", lambda value: abs(value) <= 1 << 24 and value == int(value))
_FLAG = Bound("0 or 1", lambda value: value in (0, 1))

INTERPOLATE = Row(
    "interpolate",
    "image",
    attributes={"factor": 2.0},
    bounds={"factor": _POSITIVE},
    lengths={
        "k": lambda oh, factor: oh // int(factor) if factor >= 1 else 0,
        "oh": lambda k, factor: k * int(factor),
    },
    note=(
        "linear, along one axis: element i lies at (i + 0.5) / factor - 0.5 between those of x, as in Keras and in "
        "PyTorch without align_corners. What lies beyond the first or the last is a copy of it, as is what lies on "
        "one. dx adds what the elements of dy give in their order"
    ),
    source="Keys 1981, IEEE Trans. ASSP 29(6), section I, for linear interpolation",
)


@INTERPOLATE.kernel("x[m,k,n] -> y[m,oh,n]", split="m", by_hand="it has three dimensions")
def interpolate_forward(x, factor):
    f = int(factor)
    y = np.zeros((x.shape[0], x.shape[1] * f, x.shape[2]), x.dtype)
    for i in range(y.shape[1]):
        below, part = divmod(max(2 * i + 1 - f, 0), 2 * f)
        y[:, i] = x[:, below]
        if part and below + 1 < x.shape[1]:
            y[:, i] = x[:, below] * ((2 * f - part) / (2 * f)) + x[:, below + 1] * (part / (2 * f))
    return y


@INTERPOLATE.kernel("dy[m,oh,n] -> dx[m,k,n]", split="m", by_hand="it has three dimensions")
def interpolate_backward(dy, factor):
    f = max(int(factor), 1)
    dx = np.zeros((dy.shape[0], dy.shape[1] // f if factor >= 1 else 0, dy.shape[2]), dy.dtype)
    for i in range(dx.shape[1] * f):
        below, part = divmod(max(2 * i + 1 - f, 0), 2 * f)
        if part and below + 1 < dx.shape[1]:
            dx[:, below] += dy[:, i] * ((2 * f - part) / (2 * f))
            dx[:, below + 1] += dy[:, i] * (part / (2 * f))
        else:
            dx[:, below] += dy[:, i]
    return dx


FLIP = Row(
    "flip",
    "image",
    attributes={"vertical": 0.0, "horizontal": 1.0},
    domain={"u": "uniform"},
    bounds={"vertical": _FLAG, "horizontal": _FLAG},
    note=(
        "where vertical is 1, images whose first u is less than 0.5 are turned upside down, where horizontal is 1 "
        "those whose second u is are mirrored. Also its own gradient"
    ),
    source="Krizhevsky, Sutskever & Hinton 2012, NIPS, section 4.1",
)


@FLIP.kernel("x[batch,height,width,c], u[batch,2] -> y[batch,height,width,c]", split="batch", by_hand=_PIXELS)
def flip(x, u, vertical, horizontal):
    upside_down, mirrored = (u < 0.5).T[:, :, None, None, None]
    y = np.where(upside_down, x[:, ::-1], x) if vertical else x
    return np.where(mirrored, y[:, :, ::-1], y) if horizontal else y


TRANSLATE = Row(
    "translate",
    "image",
    attributes={"first_h": 0.0, "count_h": 3.0, "first_w": 0.0, "count_w": 3.0, "fill": 2.0, "value": 0.0},
    domain={"u": "uniform"},
    bounds={
        "first_h": _WHOLE,
        "count_h": _POSITIVE,
        "first_w": _WHOLE,
        "count_w": _POSITIVE,
        "fill": Bound("0, 1, 2 or 3", lambda value: value in (0, 1, 2, 3)),
    },
    saved=["u"],
    note=(
        "down by one of count_h whole numbers of pixels, first_h and those that follow, and to the right likewise. "
        "What comes in is the value (fill 0), the nearest pixel (1), the image reflected about its edges, with the "
        "pixels there twice (2), or the image again (3). dx adds what the pixels of dy give row by row"
    ),
    source="LeCun et al. 1998, Proc. IEEE 86(11), section III.C, for shifted images",
)


@TRANSLATE.kernel("x[batch,height,width,c], u[batch,2] -> y[batch,height,width,c]", split="batch", by_hand=_PIXELS)
def translate_forward(x, u, first_h, count_h, first_w, count_w, fill, value):
    down, right = int(first_h) + drawn(u[:, 0], count_h), int(first_w) + drawn(u[:, 1], count_w)
    y = np.zeros_like(x)
    for i in range(x.shape[0]):
        rows, columns = moved(x.shape[1], down[i], fill)[:, None], moved(x.shape[2], right[i], fill)
        y[i] = np.where(((rows >= 0) & (columns >= 0))[:, :, None], x[i][rows, columns], x.dtype.type(value))
    return y


@TRANSLATE.kernel("dy[batch,height,width,c], u[batch,2] -> dx[batch,height,width,c]", split="batch", by_hand=_PIXELS)
def translate_backward(dy, u, first_h, count_h, first_w, count_w, fill, value):
    down, right = int(first_h) + drawn(u[:, 0], count_h), int(first_w) + drawn(u[:, 1], count_w)
    dx = np.zeros_like(dy)
    for i in range(dy.shape[0]):
        rows, columns = moved(dy.shape[1], down[i], fill)[:, None], moved(dy.shape[2], right[i], fill)
        here = ((rows >= 0) & (columns >= 0)).nonzero()
        np.add.at(dx[i], (rows[here[0], 0], columns[here[1]]), dy[i][here])
    return dx


CROP = Row(
    "crop",
    "image",
    attributes={"spare_h": 2.0, "spare_w": 2.0},
    domain={"u": "uniform"},
    bounds={"spare_h": _COUNT, "spare_w": _COUNT},
    lengths={
        "oh": lambda height, spare_h: height - int(spare_h),
        "ow": lambda width, spare_w: width - int(spare_w),
        "height": lambda oh, spare_h: oh + int(spare_h),
        "width": lambda ow, spare_w: ow + int(spare_w),
    },
    saved=["u"],
    note="spare_h and spare_w are how many rows and columns are left out; each place of what is left is as likely",
    source="Krizhevsky, Sutskever & Hinton 2012, NIPS, section 4.1",
)


@CROP.kernel("x[batch,height,width,c], u[batch,2] -> y[batch,oh,ow,c]", split="batch", by_hand=_PIXELS)
def crop_forward(x, u, spare_h, spare_w):
    top, left = drawn(u[:, 0], int(spare_h) + 1), drawn(u[:, 1], int(spare_w) + 1)
    oh, ow = x.shape[1] - int(spare_h), x.shape[2] - int(spare_w)
    y = np.zeros((x.shape[0], oh, ow, x.shape[3]), x.dtype)
    for i in range(x.shape[0]):
        y[i] = x[i, top[i] : top[i] + oh, left[i] : left[i] + ow]
    return y


@CROP.kernel("dy[batch,oh,ow,c], u[batch,2] -> dx[batch,height,width,c]", split="batch", by_hand=_PIXELS)
def crop_backward(dy, u, spare_h, spare_w):
    top, left = drawn(u[:, 0], int(spare_h) + 1), drawn(u[:, 1], int(spare_w) + 1)
    batch, oh, ow, c = dy.shape
    dx = np.zeros((batch, oh + int(spare_h), ow + int(spare_w), c), dy.dtype)
    for i in range(batch):
        dx[i, top[i] : top[i] + oh, left[i] : left[i] + ow] = dy[i]
    return dx
