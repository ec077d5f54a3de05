"""Windows that walk over images, each channel by itself: depthwise convolution, pools and their gradients."""

from .common import OK, helper, octets, offset, real, total


@helper
def window_of(attributes):
    # the numbers that say which cells of an image a place of a window covers
    stride_h, stride_w, top, left = attributes[0], attributes[1], attributes[2], attributes[4]
    return int(stride_h), int(stride_w), int(top), int(left), int(attributes[6]), int(attributes[7])


@helper
def pool_of(attributes):
    stride_h, stride_w, top, left = attributes[2], attributes[3], attributes[4], attributes[6]
    return int(attributes[0]), int(attributes[1]), int(stride_h), int(stride_w), int(top), int(left)


@helper
def clear(x, n):
    for i in range(n):
        x[i] = real(x, 0)


@helper
def add_cell(x, w, y, c, m):
    # y[c * m] += x[c] * w[c * m]
    if m == 1:
        for k in range(c):
            y[k] += x[k] * w[k]
        return
    for k in range(c):
        for f in range(k * m, k * m + m):
            y[f] += x[k] * w[f]


@helper
def add_outside(w, y, n):
    # the same for a cell that lies outside: zeros take part in products
    for k in range(n):
        y[k] += real(y, 0) * w[k]


def depthwise(buffers, sizes, attributes, primitives):
    x, w, y = buffers[0], buffers[1], buffers[2]
    batch, height, width, c, kh, kw, m = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    oh, ow, o = sizes[7], sizes[8], sizes[9]
    stride_h, stride_w, top, left, dilation_h, dilation_w = window_of(attributes)
    for b in range(batch):
        for i in range(oh):
            for j in range(ow):
                place = offset(y, ((b * oh + i) * ow + j) * o)
                clear(place, o)
                for p in range(kh):
                    row = i * stride_h - top + p * dilation_h
                    for q in range(kw):
                        column, weights = j * stride_w - left + q * dilation_w, offset(w, (p * kw + q) * o)
                        if 0 <= row < height and 0 <= column < width:
                            add_cell(offset(x, ((b * height + row) * width + column) * c), weights, place, c, m)
                        else:
                            add_outside(weights, place, o)
    return OK


def depthwise_dw(buffers, sizes, attributes, primitives):
    x, dy, products, image, dw = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    batch, height, width, c, oh, ow, o = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]
    kh, kw, m = sizes[7], sizes[8], sizes[9]
    stride_h, stride_w, top, left, dilation_h, dilation_w = window_of(attributes)
    clear(dw, kh * kw * c * m)
    for b in range(batch):
        for p in range(kh):
            for q in range(kw):
                sums, gradient = offset(image, (p * kw + q) * o), offset(dw, (p * kw + q) * o)
                clear(sums, o)
                for i in range(oh):
                    row = i * stride_h - top + p * dilation_h
                    for j in range(ow):
                        column, d = j * stride_w - left + q * dilation_w, offset(dy, ((b * oh + i) * ow + j) * o)
                        inside = 0 <= row < height and 0 <= column < width
                        cell = offset(x, ((b * height + row) * width + column) * c if inside else 0)
                        if o == 1:
                            products[i * ow + j] = (cell[0] if inside else real(x, 0)) * d[0]
                        elif inside:
                            add_cell(cell, d, sums, c, m)
                        else:
                            add_outside(d, sums, o)
                if o == 1:
                    # a single column is contiguous: NumPy sums it pairwise
                    sums[0] = total(primitives, products, oh * ow)
                for k in range(o):
                    gradient[k] += sums[k]
    return OK


@helper
def give_back(d, w, dx, c, m):
    # dx[c] += the sum of d[c, m] * w[c, m]
    for k in range(c):
        given = real(dx, 0)
        for f in range(k * m, k * m + m):
            given += d[f] * w[f]
        dx[k] += given


def depthwise_dx(buffers, sizes, attributes, primitives):
    dy, w, dx = buffers[0], buffers[1], buffers[2]
    batch, oh, ow, o, kh, kw, c, m = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6], sizes[7]
    height, width = sizes[8], sizes[9]
    stride_h, stride_w, top, left, dilation_h, dilation_w = window_of(attributes)
    clear(dx, batch * height * width * c)
    for b in range(batch):
        for p in range(kh):
            for q in range(kw):
                weights = offset(w, (p * kw + q) * o)
                for i in range(oh):
                    row = i * stride_h - top + p * dilation_h
                    for j in range(ow if 0 <= row < height else 0):
                        column = j * stride_w - left + q * dilation_w
                        if 0 <= column < width:
                            d = offset(dy, ((b * oh + i) * ow + j) * o)
                            give_back(d, weights, offset(dx, ((b * height + row) * width + column) * c), c, m)
    return OK


@helper
def cells_inside(place, stride, before, pool, size):
    # the cells of a window that are inside of an image: from which on, and before which
    return max(0, before - place * stride), min(pool, size + before - place * stride)


@helper
def take_most(x, y, index, number, first, c):
    # of equals the first stays, and so does the first NaN
    for k in range(c):
        most, value = y[k], x[k]
        above = first or (most == most and not value <= most)
        y[k] = value if above else most
        index[k] = number if above else index[k]


def max_pool(buffers, sizes, attributes, primitives):
    x, y, index = buffers[0], buffers[1], octets(buffers[2])
    batch, height, width, c, oh, ow = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_h, pool_w, stride_h, stride_w, top, left = pool_of(attributes)
    clear(y, batch * oh * ow * c)
    for k in range(batch * oh * ow * c):
        index[k] = 0
    for b in range(batch):
        for i in range(oh):
            above, below = cells_inside(i, stride_h, top, pool_h, height)
            for j in range(ow):
                start, stop = cells_inside(j, stride_w, left, pool_w, width)
                place, first = ((b * oh + i) * ow + j) * c, True
                for p in range(above, below):
                    for q in range(start, stop):
                        row, column = i * stride_h - top + p, j * stride_w - left + q
                        cell = offset(x, ((b * height + row) * width + column) * c)
                        take_most(cell, offset(y, place), offset(index, place), p * pool_w + q, first, c)
                        first = False
    return OK


def max_pool_dx(buffers, sizes, attributes, primitives):
    dy, index, dx = buffers[0], octets(buffers[1]), buffers[2]
    batch, oh, ow, c, height, width = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_h, pool_w, stride_h, stride_w, top, left = pool_of(attributes)
    clear(dx, batch * height * width * c)
    for b in range(batch):
        for i in range(oh):
            for j in range(ow):
                place = ((b * oh + i) * ow + j) * c
                for k in range(c):
                    p, q = index[place + k] // pool_w, index[place + k] % pool_w
                    row, column = i * stride_h - top + p, j * stride_w - left + q
                    if p < pool_h and 0 <= row < height and 0 <= column < width:
                        dx[((b * height + row) * width + column) * c + k] += dy[place + k]
    return OK


def average_pool(buffers, sizes, attributes, primitives):
    x, y = buffers[0], buffers[1]
    batch, height, width, c, oh, ow = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_h, pool_w, stride_h, stride_w, top, left = pool_of(attributes)
    clear(y, batch * oh * ow * c)
    for b in range(batch):
        for i in range(oh):
            above, below = cells_inside(i, stride_h, top, pool_h, height)
            for j in range(ow):
                start, stop = cells_inside(j, stride_w, left, pool_w, width)
                place = offset(y, ((b * oh + i) * ow + j) * c)
                for p in range(above, below):
                    for q in range(start, stop):
                        row, column = i * stride_h - top + p, j * stride_w - left + q
                        at = ((b * height + row) * width + column) * c
                        for k in range(c):
                            place[k] += x[at + k]
                count = real(y, max(0, below - above) * max(0, stop - start))
                for k in range(c):
                    place[k] = place[k] / count
    return OK


def average_pool_dx(buffers, sizes, attributes, primitives):
    dy, dx = buffers[0], buffers[1]
    batch, oh, ow, c, height, width = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_h, pool_w, stride_h, stride_w, top, left = pool_of(attributes)
    clear(dx, batch * height * width * c)
    for b in range(batch):
        for i in range(oh):
            above, below = cells_inside(i, stride_h, top, pool_h, height)
            for j in range(ow):
                start, stop = cells_inside(j, stride_w, left, pool_w, width)
                place, count = ((b * oh + i) * ow + j) * c, real(dy, max(0, below - above) * max(0, stop - start))
                for p in range(above, below):
                    for q in range(start, stop):
                        row, column = i * stride_h - top + p, j * stride_w - left + q
                        at = ((b * height + row) * width + column) * c
                        for k in range(c):
                            dx[at + k] += dy[place + k] / count
    return OK
