"""Convolution of images: images are (height, width, channels), weights (kh, kw, channels, filters).

What a kernel sees at one position is a patch of (kh, kw, channels), in this order, of an image with zeros around it:
the zeros take part in all products.

One product makes a row of an output (`convolve`), one an image's share of a gradient (`convolve_dw`, `convolve_dx`): no
bit of an image depends on the others, and a gradient of weights adds images in their order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Row
from .windows import INPUT, KERNEL, OF_INPUT, OF_KERNEL, OUTPUT, WINDOW, bounds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from ..words import convolved, folded, patches

_PRODUCTS = "products of patches"
_SOURCE = "LeCun et al. 1989, Neural Computation 1(4), section 3"
_GROUPS = {"groups": 1.0}
_TAPS: dict[str, Callable[..., float]] = {"taps": lambda kh, kw, n: kh * kw * n, "positions": lambda oh, ow: oh * ow}
#: The channels and the filters of a group: there are `groups` times as many.
_PARTS: dict[str, Callable[..., float]] = {
    "n": lambda c, groups: c // int(groups),
    "c": lambda n, groups: n * int(groups),
    "m": lambda o, groups: o // int(groups),
    "o": lambda m, groups: m * int(groups),
}
_FORWARD: dict[str, Callable[..., float]] = {
    **_PARTS, **OUTPUT, **_TAPS, "room": lambda taps, ow, groups: taps + ow if groups > 1 else 0
}  # fmt: skip


def _cost(batch, oh, ow, kh, kw, n, o):
    return batch * oh * ow * kh * kw * n * o


CONVOLVE = Row(
    "convolve",
    "convolution",
    attributes={**WINDOW, **_GROUPS},
    bounds=bounds_of({**WINDOW, **_GROUPS}),
    lengths=_FORWARD,
    note=(
        "y[i, j] = sum of w[p, q] x[i s + p d - top, j s + q d - left]: no kernel is turned around, as in all "
        "libraries of neural nets. Of several groups the channels and the filters are cut into as many parts, each its "
        "own layer"
    ),
    source=_SOURCE,
)


@CONVOLVE.kernel(
    "x[batch,height,width,c], w[kh,kw,n,o] -> rows[ow,taps], apart[room,m], y[batch,oh,ow,o]",
    work=["rows", "apart"],
    cost=_cost,
    by_hand=_PRODUCTS,
)
def convolve(
    x, w, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w, groups
):  # fmt: skip
    return convolved(x, w, (stride_h, stride_w), ((top, bottom), (left, right)), (dilation_h, dilation_w), groups)


CONVOLVE_BIAS = Row(
    "convolve_bias",
    "convolution",
    attributes={**WINDOW, **_GROUPS, "relu": 0.0},
    bounds=bounds_of({**WINDOW, **_GROUPS}),
    lengths=_FORWARD,
    note="convolution, bias and relu in one pass: in portable numerics at the end of each tile of the product",
    source=_SOURCE,
)


@CONVOLVE_BIAS.kernel(
    "x[batch,height,width,c], w[kh,kw,n,o], b[o] -> rows[ow,taps], apart[room,m], y[batch,oh,ow,o]",
    work=["rows", "apart"],
    cost=_cost,
    by_hand=_PRODUCTS,
)
def convolve_bias(
    x, w, b, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w, groups, relu
):  # fmt: skip
    y = convolved(x, w, (stride_h, stride_w), ((top, bottom), (left, right)), (dilation_h, dilation_w), groups) + b
    return np.maximum(y, 0) if relu else y


CONVOLVE_DW = Row(
    "convolve_dw",
    "convolution",
    attributes={**WINDOW, **_GROUPS, **KERNEL},
    bounds=bounds_of({**WINDOW, **_GROUPS, **KERNEL}),
    lengths={
        **OF_KERNEL, **_PARTS, **OUTPUT, **_TAPS, "room": lambda positions, groups: positions if groups > 1 else 0
    },
    note="the gradient of a convolution's weights: one product an image, added in the order of images",
    source=_SOURCE,
)


@CONVOLVE_DW.kernel(
    "x[batch,height,width,c], dy[batch,oh,ow,o] "
    "-> columns[positions,taps], product[taps,m], apart[room,m], dw[kh,kw,n,o]",
    work=["columns", "product", "apart"],
    cost=_cost,
    by_hand=_PRODUCTS,
)
def convolve_dw(
    x, dy, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w, groups, kernel_height, kernel_width
):  # fmt: skip
    kh, kw, (batch, oh, ow, o) = int(kernel_height), int(kernel_width), dy.shape
    n, m = x.shape[3] // int(groups), o // int(groups)
    dw = np.zeros((kh * kw * n, o), dy.dtype)
    for i in range(batch):
        p = patches(
            x[i : i + 1], (kh, kw), (stride_h, stride_w), ((top, bottom), (left, right)), (dilation_h, dilation_w)
        )[0]
        for g in range(int(groups)):
            a = np.copy(p[..., g * n : (g + 1) * n]).reshape(oh * ow, kh * kw * n)
            d = np.copy(dy[i, :, :, g * m : (g + 1) * m]).reshape(oh * ow, m)
            dw[:, g * m : (g + 1) * m] += a.T @ d
    return dw.reshape(kh, kw, n, o)


CONVOLVE_DX = Row(
    "convolve_dx",
    "convolution",
    attributes={**WINDOW, **_GROUPS, **INPUT},
    bounds=bounds_of({**WINDOW, **_GROUPS, **INPUT}),
    lengths={
        **OF_INPUT, **_PARTS, **OUTPUT, **_TAPS,
        "room": lambda taps, positions, groups: taps + positions if groups > 1 else 0,
    },
    note=(
        "the gradient of a convolution's input, and a transposed convolution: one product an image makes what each "
        "position gives to its patch, and the cells of a patch are added in the order (kh, kw)"
    ),
    source="Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4",
)


@CONVOLVE_DX.kernel(
    "dy[batch,oh,ow,o], w[kh,kw,n,o] -> columns[positions,taps], apart[room,m], dx[batch,height,width,c]",
    work=["columns", "apart"],
    cost=_cost,
    by_hand=_PRODUCTS,
)
def convolve_dx(
    dy, w, stride_h, stride_w, top, bottom, left, right, dilation_h, dilation_w, groups, input_height, input_width
):  # fmt: skip
    (batch, oh, ow, o), (kh, kw, n, _) = dy.shape, w.shape
    m, parts = o // int(groups), []
    for g in range(int(groups)):
        d = np.copy(dy[..., g * m : (g + 1) * m]).reshape(batch, oh * ow, m)
        columns = d @ np.copy(w[..., g * m : (g + 1) * m]).reshape(kh * kw * n, m).T
        parts.append(columns.reshape(batch, oh, ow, kh, kw, n))
    columns = np.concatenate(parts, axis=5)
    return folded(columns, (input_height, input_width), (stride_h, stride_w), (top, left), (dilation_h, dilation_w))
