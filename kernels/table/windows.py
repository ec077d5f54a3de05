"""What rows of windows share, which walk over images: their attributes and the lengths that follow.

A dimension of an output is ``(size + padding - reach) // stride + 1`` with ``reach = dilation * (k - 1) + 1``, or 0
where the image is smaller than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .row import Bound

if TYPE_CHECKING:
    from collections.abc import Callable

#: Why their kernels are written by hand.
WALKS = "it walks over windows"

_COUNT = Bound("a whole number from 0 to 2**31 - 1", lambda value: 0 <= value < 2**31 and value == int(value))
_POSITIVE = Bound("a whole number from 1 to 2**31 - 1", lambda value: 1 <= value < 2**31 and value == int(value))

_PADDING = {"top": 0.0, "bottom": 0.0, "left": 0.0, "right": 0.0}
WINDOW = {"stride_h": 1.0, "stride_w": 1.0, **_PADDING, "dilation_h": 1.0, "dilation_w": 1.0}
POOL = {"pool_h": 2.0, "pool_w": 2.0, "stride_h": 2.0, "stride_w": 2.0, **_PADDING}
#: Where the input, or the weights, are what is made.
INPUT = {"input_height": 4.0, "input_width": 4.0}
KERNEL = {"kernel_height": 2.0, "kernel_width": 2.0}


def bounds_of(attributes: dict[str, float]) -> dict[str, Bound]:
    """Return what each attribute may be."""
    return {name: _COUNT if name in _PADDING or name in INPUT else _POSITIVE for name in attributes}


# in full: Numba compiles each of them by itself
OUTPUT = {
    "oh": lambda height, kh, top, bottom, stride_h, dilation_h: max(
        0, (height + int(top + bottom) - int(dilation_h) * (kh - 1) - 1) // int(stride_h) + 1
    ),
    "ow": lambda width, kw, left, right, stride_w, dilation_w: max(
        0, (width + int(left + right) - int(dilation_w) * (kw - 1) - 1) // int(stride_w) + 1
    ),
}
POOLED = {
    "oh": lambda height, pool_h, top, bottom, stride_h: max(
        0, (height + int(top + bottom) - int(pool_h)) // int(stride_h) + 1
    ),
    "ow": lambda width, pool_w, left, right, stride_w: max(
        0, (width + int(left + right) - int(pool_w)) // int(stride_w) + 1
    ),
}
#: A window has at most 256 cells, whose numbers are bytes: of more there is no length.
NUMBERED: dict[str, Callable[..., float]] = {
    **POOLED,
    "oh": lambda height, pool_h, pool_w, top, bottom, stride_h: (
        -1 if pool_h * pool_w > 256 else max(0, (height + int(top + bottom) - int(pool_h)) // int(stride_h) + 1)
    ),
}
OF_INPUT = {"height": lambda input_height: int(input_height), "width": lambda input_width: int(input_width)}
OF_KERNEL = {"kh": lambda kernel_height: int(kernel_height), "kw": lambda kernel_width: int(kernel_width)}
