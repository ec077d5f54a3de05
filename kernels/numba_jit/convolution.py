"""Convolution made of patches and products: one row of the output, or one image, at a time."""

from .common import OK, helper, offset, real
from .graph import take_columns
from .matmul import add_bias, added, product


@helper
def window_of(attributes):
    # the numbers that say which cells of an image a place of a kernel covers
    stride_h, stride_w, top, left = attributes[0], attributes[1], attributes[2], attributes[4]
    return int(stride_h), int(stride_w), int(top), int(left), int(attributes[6]), int(attributes[7])


@helper
def patch_row(x, y, row, height, width, c, kh, kw, n, ow, window):
    # y[ow, kh, kw, n] = the patches of a row of the output; x is an image from the first channel that is seen on
    stride_h, stride_w, top, left, dilation_h, dilation_w = window
    zero = real(y, 0)
    for i in range(kh):
        above = row * stride_h + i * dilation_h - top
        for j in range(kw):
            for place in range(ow):
                at = place * stride_w + j * dilation_w - left
                to = ((place * kh + i) * kw + j) * n
                if 0 <= above < height and 0 <= at < width:
                    start = (above * width + at) * c
                    for k in range(n):
                        y[to + k] = x[start + k]
                else:
                    for k in range(n):
                        y[to + k] = zero


@helper
def fold(columns, x, height, width, c, kh, kw, n, oh, ow, window):
    # x += what each place gives to the cells of its patch, columns[oh, ow, kh, kw, n], in the order (kh, kw)
    stride_h, stride_w, top, left, dilation_h, dilation_w = window
    for i in range(kh):
        for j in range(kw):
            for row in range(oh):
                above = row * stride_h + i * dilation_h - top
                for place in range(ow if 0 <= above < height else 0):
                    at = place * stride_w + j * dilation_w - left
                    if 0 <= at < width:
                        to, start = (above * width + at) * c, (((row * ow + place) * kh + i) * kw + j) * n
                        for k in range(n):
                            x[to + k] += columns[start + k]


@helper
def convolved(x, w, rows, apart, y, sizes, attributes, primitives):
    batch, height, width, c, kh, kw, n = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    o, ow, taps, m, oh = sizes[7], sizes[8], sizes[9], sizes[11], sizes[12]
    groups, window = int(attributes[8]), window_of(attributes)
    line = offset(apart, taps * m)
    for g in range(groups):
        if groups > 1:
            take_columns(offset(w, g * m), apart, taps, m, o, m)
        for i in range(batch):
            image = offset(x, i * height * width * c + g * n)
            for row in range(oh):
                to = offset(y, (i * oh + row) * ow * o)
                patch_row(image, rows, row, height, width, c, kh, kw, n, ow, window)
                if groups > 1:
                    product(rows, apart, line, ow, taps, m, taps, 1, m, 1, primitives)
                    take_columns(line, offset(to, g * m), ow, m, m, o)
                else:
                    product(rows, w, to, ow, taps, m, taps, 1, m, 1, primitives)


def convolve(buffers, sizes, attributes, primitives):
    convolved(buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], sizes, attributes, primitives)
    return OK


def convolve_bias(buffers, sizes, attributes, primitives):
    b, y, o = buffers[2], buffers[5], sizes[7]
    convolved(buffers[0], buffers[1], buffers[3], buffers[4], y, sizes, attributes, primitives)
    add_bias(y, b, sizes[0] * sizes[12] * sizes[8], o, attributes[9] != 0)
    return OK


def convolve_dw(buffers, sizes, attributes, primitives):
    x, columns, share, apart, dw = buffers[0], buffers[2], buffers[3], buffers[4], buffers[5]
    batch, height, width, c, oh, ow, o = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    positions, taps, m, kh, kw, n = sizes[7], sizes[8], sizes[9], sizes[11], sizes[12], sizes[13]
    groups, window = int(attributes[8]), window_of(attributes)
    for j in range(taps * o):
        dw[j] = real(dw, 0)
    for g in range(groups):
        for i in range(batch):
            image, dy = offset(x, i * height * width * c + g * n), offset(buffers[1], i * positions * o)
            for row in range(oh):
                to = offset(columns, row * ow * taps)
                patch_row(image, to, row, height, width, c, kh, kw, n, ow, window)
            if groups > 1:
                take_columns(offset(dy, g * m), apart, positions, m, o, m)
                dy = apart
            product(columns, dy, share, taps, positions, m, 1, taps, m, 1, primitives)
            for j in range(taps):
                to = offset(dw, j * o + g * m)
                added(to, offset(share, j * m), to, m)
    return OK


def convolve_dx(buffers, sizes, attributes, primitives):
    w, columns, apart, dx = buffers[1], buffers[2], buffers[3], buffers[4]
    batch, oh, ow, o, kh, kw, n = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    positions, taps, m, height, width, c = sizes[7], sizes[8], sizes[10], sizes[11], sizes[12], sizes[13]
    groups, window = int(attributes[8]), window_of(attributes)
    for j in range(batch * height * width * c):
        dx[j] = real(dx, 0)
    for g in range(groups):
        if groups > 1:
            w = offset(apart, positions * m)
            take_columns(offset(buffers[1], g * m), w, taps, m, o, m)
        for i in range(batch):
            dy, image = offset(buffers[0], i * positions * o), offset(dx, i * height * width * c + g * n)
            if groups > 1:
                take_columns(offset(dy, g * m), apart, positions, m, o, m)
                dy = apart
            product(dy, w, columns, positions, m, taps, m, 1, 1, m, primitives)
            fold(columns, image, height, width, c, kh, kw, n, oh, ow, window)
    return OK
