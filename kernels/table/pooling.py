"""Depthwise convolution and pooling: a window walks over an image of (height, width, channels), each channel by itself.

Around an image lie zeros, which take part in all products; to a pool the cells outside are not there. No bit of an
image depends on the others, and a gradient of weights adds images in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row
from .windows import INPUT, KERNEL, NUMBERED, OF_INPUT, OF_KERNEL, OUTPUT, POOL, POOLED, WALKS, WINDOW, bounds_of

if TYPE_CHECKING:
    import numpy as np

    from ..words import cells, folded, patches


def _cost(batch, oh, ow, kh, kw, o):
    return batch * oh * ow * kh * kw * o


DEPTHWISE = Row(
    "depthwise",
    "pooling",
    attributes=WINDOW,
    bounds=bounds_of(WINDOW),
    lengths={**OUTPUT, "o": lambda c, m: c * m},
    note=(
        "m filters for each channel, which see that channel alone; output c * m + k is filter k of channel c. The "
        "terms are added in the order (kh, kw): few terms, so no product of matrices, and the same bits in both "
        "numerics"
    ),
    source="Sifre 2014, PhD thesis, section 6.2; Chollet 2017, CVPR",
)


@DEPTHWISE.kernel(
    "x[batch,height,width,c], w[kh,kw,c,m] -> y[batch,oh,ow,o]", split="batch", cost=_cost, by_hand=WALKS
)
def depthwise(x, w, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w):
    kh, kw, c, m = w.shape
    p = patches(x, (kh, kw), (stride_h, stride_w), ((top, bottom), (left, right)), (dilation_h, dilation_w))
    y = np.zeros((*p.shape[:3], c, m), x.dtype)
    for i in range(kh):
        for j in range(kw):
            y = y + p[:, :, :, i, j, :, None] * w[i, j]
    return y.reshape(*p.shape[:3], c * m)


DEPTHWISE_DW = Row(
    "depthwise_dw",
    "pooling",
    attributes={**WINDOW, **KERNEL},
    bounds=bounds_of({**WINDOW, **KERNEL}),
    lengths={**OF_KERNEL, **OUTPUT, "m": lambda c, o: o // c if c else 0, "o": lambda c, m: c * m},
    note=(
        "the gradient of a depthwise convolution's weights: positions of an image are added, then images, in their "
        "order"
    ),
    source="Sifre 2014, PhD thesis, section 6.2",
)


@DEPTHWISE_DW.kernel(
    "x[batch,height,width,c], dy[batch,oh,ow,o] -> products[oh,ow], image[kh,kw,c,m], dw[kh,kw,c,m]",
    work=["products", "image"],
    cost=_cost,
    by_hand=WALKS,
)
def depthwise_dw(
    x, dy, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w, kernel_height, kernel_width
):  # fmt: skip
    kh, kw, c, o = int(kernel_height), int(kernel_width), x.shape[3], dy.shape[3]
    m = o // c if c else 0
    dw = np.zeros((kh, kw, c, m), dy.dtype)
    for k in range(dy.shape[0]):
        p = patches(
            x[k : k + 1], (kh, kw), (stride_h, stride_w), ((top, bottom), (left, right)), (dilation_h, dilation_w)
        )[0]
        d = dy[k].reshape(*p.shape[:2], c, m)
        for i in range(kh):
            for j in range(kw):
                products = (p[:, :, i, j, :, None] * d).reshape(p.shape[0] * p.shape[1], c * m)
                dw[i, j] += products.sum(axis=0).reshape(c, m)
    return dw


DEPTHWISE_DX = Row(
    "depthwise_dx",
    "pooling",
    attributes={**WINDOW, **INPUT},
    bounds=bounds_of({**WINDOW, **INPUT}),
    lengths={**OF_INPUT, **OUTPUT, "o": lambda c, m: c * m},
    note="the gradient of a depthwise convolution's input; the cells of a patch are added in the order (kh, kw)",
    source="Sifre 2014, PhD thesis, section 6.2",
)


@DEPTHWISE_DX.kernel(
    "dy[batch,oh,ow,o], w[kh,kw,c,m] -> dx[batch,height,width,c]", split="batch", cost=_cost, by_hand=WALKS
)
def depthwise_dx(
    dy, w, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w, input_height, input_width
):  # fmt: skip
    (batch, oh, ow, _), (kh, kw, c, m) = dy.shape, w.shape
    d = dy.reshape(batch, oh, ow, 1, 1, c, m)
    columns = np.zeros((batch, oh, ow, kh, kw, c), dy.dtype)
    for k in range(m):
        columns = columns + d[..., k] * w[..., k]
    return folded(columns, (input_height, input_width), (stride_h, stride_w), (top, left), (dilation_h, dilation_w))


MAX_POOL = Row(
    "max_pool",
    "pooling",
    attributes=POOL,
    bounds=bounds_of(POOL),
    lengths=NUMBERED,
    note=(
        "of equal numbers the first of a window, row by row, is taken; -0 and 0 are equal. A NaN is taken, of several "
        "the first: numpy.argmax. Cells outside the image are never taken. `index` counts the cells of a window, at "
        "most 256, and padding is less than the window"
    ),
    source="numpy.argmax; LeCun et al. 1998, Proc. IEEE 86(11), for subsampling",
)


@MAX_POOL.kernel(
    "x[batch,height,width,c] -> y[batch,oh,ow,c], index[batch,oh,ow,c]:u1", split="batch", by_hand=WALKS
)
def max_pool(x, pool_h, pool_w, stride_h, stride_w, top, bottom, left, right):
    window = (pool_h, pool_w), (stride_h, stride_w), ((top, bottom), (left, right))
    found = patches(x, *window)
    inside = patches(np.ones(x.shape, bool), *window)
    y = np.zeros((*found.shape[:3], found.shape[5]), x.dtype)
    index, any_yet = np.zeros(y.shape, np.uint8), np.zeros(y.shape, bool)
    for i in range(int(pool_h)):
        for j in range(int(pool_w)):
            cell, there = found[:, :, :, i, j], inside[:, :, :, i, j]
            take = there & (~any_yet | ((y == y) & ~(cell <= y)))
            y = np.where(take, cell, y)
            index = np.where(take, np.uint8(i * int(pool_w) + j), index)
            any_yet = any_yet | there
    return y, index


MAX_POOL_DX = Row(
    "max_pool_dx",
    "pooling",
    attributes={**POOL, **INPUT},
    bounds=bounds_of({**POOL, **INPUT}),
    domain={"index": "cell"},
    lengths={**OF_INPUT, **NUMBERED},
    note="the gradient goes to the cell that was taken; what a cell gets from several windows is added row by row",
    source="numpy.argmax",
)


@MAX_POOL_DX.kernel(
    "dy[batch,oh,ow,c], index[batch,oh,ow,c]:u1 -> dx[batch,height,width,c]", split="batch", by_hand=WALKS
)
def max_pool_dx(
    dy, index, pool_h, pool_w, stride_h, stride_w, top, bottom, left, right, input_height, input_width
):  # fmt: skip
    batch, oh, ow, c = dy.shape
    columns = np.zeros((batch, oh, ow, int(pool_h), int(pool_w), c), dy.dtype)
    for i in range(int(pool_h)):
        for j in range(int(pool_w)):
            columns[:, :, :, i, j] = np.where(index == i * int(pool_w) + j, dy, 0)
    return folded(columns, (input_height, input_width), (stride_h, stride_w), (top, left), windows_in_order=True)


AVERAGE_POOL = Row(
    "average_pool",
    "pooling",
    attributes=POOL,
    bounds=bounds_of(POOL),
    lengths=POOLED,
    note=(
        "the sum of a window, row by row, over the count of its cells inside the image, as in Keras; PyTorch counts "
        "all cells unless count_include_pad is False"
    ),
    source="LeCun et al. 1998, Proc. IEEE 86(11), section II.B",
)


@AVERAGE_POOL.kernel("x[batch,height,width,c] -> y[batch,oh,ow,c]", split="batch", by_hand=WALKS)
def average_pool(x, pool_h, pool_w, stride_h, stride_w, top, bottom, left, right):
    window = (pool_h, pool_w), (stride_h, stride_w), ((top, bottom), (left, right))
    found = patches(x, *window)
    y = np.zeros((*found.shape[:3], found.shape[5]), x.dtype)
    for i in range(int(pool_h)):
        for j in range(int(pool_w)):
            y = y + found[:, :, :, i, j]
    return y / cells(x.shape, x.dtype, *window)


AVERAGE_POOL_DX = Row(
    "average_pool_dx",
    "pooling",
    attributes={**POOL, **INPUT},
    bounds=bounds_of({**POOL, **INPUT}),
    lengths={**OF_INPUT, **POOLED},
    note="each cell gets its share of dy; what it gets from several windows is added row by row",
    source="LeCun et al. 1998, Proc. IEEE 86(11), section II.B",
)


@AVERAGE_POOL_DX.kernel("dy[batch,oh,ow,c] -> dx[batch,height,width,c]", split="batch", by_hand=WALKS)
def average_pool_dx(
    dy, pool_h, pool_w, stride_h, stride_w, top, bottom, left, right, input_height, input_width
):  # fmt: skip
    batch, oh, ow, c = dy.shape
    shape = batch, int(input_height), int(input_width), c
    share = dy / cells(shape, dy.dtype, (pool_h, pool_w), (stride_h, stride_w), ((top, bottom), (left, right)))
    columns = np.zeros((batch, oh, ow, int(pool_h), int(pool_w), c), dy.dtype)
    columns[...] = share[:, :, :, None, None]
    return folded(columns, (input_height, input_width), (stride_h, stride_w), (top, left), windows_in_order=True)
