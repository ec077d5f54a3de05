"""Images that become larger between their pixels, and that are flipped, moved and cut out by numbers that are drawn."""

from .common import OK, helper, real


@helper
def drawn(u, count):
    # 0 .. count - 1; of what is no number in [0, 1) the nearest, of NaN 0
    last = int(count) - 1
    most = real(u, last + 1)
    product = u * most
    if last <= 0 or not product >= real(u, 0):
        return 0
    return last if product >= most else int(product)


@helper
def moved(at, size, fill):
    # which element of an axis lies at a place that may be outside of it; -1 is none
    if 0 <= at < size:
        return at
    if fill == 1:
        return 0 if at < 0 else size - 1
    if fill == 2:
        at = at % (2 * size)
        return at if at < size else 2 * size - 1 - at
    return at % size if fill == 3 else -1


@helper
def below_of(i, factor):
    # the element before one of those between, and how far behind it lies that, in parts of 2 * factor
    at = max(2 * i + 1 - factor, 0)
    return at // (2 * factor), at % (2 * factor)


def interpolate_forward(buffers, sizes, attributes, primitives):
    x, y, m, k, n, oh, f = buffers[0], buffers[1], sizes[0], sizes[1], sizes[2], sizes[3], int(attributes[0])
    for a in range(m):
        for i in range(oh):
            below, part = below_of(i, f)
            at, to = (a * k + below) * n, (a * oh + i) * n
            if part == 0 or below + 1 >= k:
                for j in range(n):
                    y[to + j] = x[at + j]
            else:
                near, far = real(x, (2 * f - part) / (2 * f)), real(x, part / (2 * f))
                for j in range(n):
                    y[to + j] = x[at + j] * near + x[at + n + j] * far
    return OK


def interpolate_backward(buffers, sizes, attributes, primitives):
    dy, dx, m, oh, n, k, f = buffers[0], buffers[1], sizes[0], sizes[1], sizes[2], sizes[3], int(attributes[0])
    for i in range(m * k * n):
        dx[i] = real(dx, 0)
    for a in range(m):
        for i in range(k * f):
            below, part = below_of(i, f)
            at, of = (a * k + below) * n, (a * oh + i) * n
            if part == 0 or below + 1 >= k:
                for j in range(n):
                    dx[at + j] = dx[at + j] + dy[of + j]
            else:
                near, far = real(dx, (2 * f - part) / (2 * f)), real(dx, part / (2 * f))
                for j in range(n):
                    dx[at + j] = dx[at + j] + dy[of + j] * near
                    dx[at + n + j] = dx[at + n + j] + dy[of + j] * far
    return OK


def flip(buffers, sizes, attributes, primitives):
    x, u, y = buffers[0], buffers[1], buffers[2]
    height, width, c = sizes[1], sizes[2], sizes[3]
    for i in range(sizes[0]):
        upside_down = attributes[0] != 0 and u[2 * i] < 0.5
        mirrored = attributes[1] != 0 and u[2 * i + 1] < 0.5
        for row in range(height):
            at = (i * height + (height - 1 - row if upside_down else row)) * width
            for column in range(width):
                source = at + (width - 1 - column if mirrored else column)
                for j in range(c):
                    y[((i * height + row) * width + column) * c + j] = x[source * c + j]
    return OK


def translate_forward(buffers, sizes, attributes, primitives):
    x, u, y = buffers[0], buffers[1], buffers[2]
    height, width, c, fill, value = sizes[1], sizes[2], sizes[3], int(attributes[4]), real(buffers[0], attributes[5])
    for i in range(sizes[0]):
        down = int(attributes[0]) + drawn(u[2 * i], attributes[1])
        right = int(attributes[2]) + drawn(u[2 * i + 1], attributes[3])
        for row in range(height):
            source = moved(row - down, height, fill)
            for column in range(width):
                at = moved(column - right, width, fill)
                to, of = ((i * height + row) * width + column) * c, ((i * height + source) * width + at) * c
                for j in range(c):
                    y[to + j] = value if source < 0 or at < 0 else x[of + j]
    return OK


def translate_backward(buffers, sizes, attributes, primitives):
    dy, u, dx = buffers[0], buffers[1], buffers[2]
    height, width, c, fill = sizes[1], sizes[2], sizes[3], int(attributes[4])
    for i in range(sizes[0] * height * width * c):
        dx[i] = real(dx, 0)
    for i in range(sizes[0]):
        down = int(attributes[0]) + drawn(u[2 * i], attributes[1])
        right = int(attributes[2]) + drawn(u[2 * i + 1], attributes[3])
        for row in range(height):
            source = moved(row - down, height, fill)
            for column in range(width):
                at = moved(column - right, width, fill)
                of, to = ((i * height + row) * width + column) * c, ((i * height + source) * width + at) * c
                for j in range(c if source >= 0 and at >= 0 else 0):
                    dx[to + j] = dx[to + j] + dy[of + j]
    return OK


def crop_forward(buffers, sizes, attributes, primitives):
    x, u, y = buffers[0], buffers[1], buffers[2]
    height, width, c, oh, ow = sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    for i in range(sizes[0]):
        top, left = drawn(u[2 * i], attributes[0] + 1), drawn(u[2 * i + 1], attributes[1] + 1)
        for row in range(oh):
            of, to = ((i * height + top + row) * width + left) * c, (i * oh + row) * ow * c
            for j in range(ow * c):
                y[to + j] = x[of + j]
    return OK


def crop_backward(buffers, sizes, attributes, primitives):
    dy, u, dx = buffers[0], buffers[1], buffers[2]
    oh, ow, c, height, width = sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    for i in range(sizes[0] * height * width * c):
        dx[i] = real(dx, 0)
    for i in range(sizes[0]):
        top, left = drawn(u[2 * i], attributes[0] + 1), drawn(u[2 * i + 1], attributes[1] + 1)
        for row in range(oh):
            of, to = (i * oh + row) * ow * c, ((i * height + top + row) * width + left) * c
            for j in range(ow * c):
                dx[to + j] = dy[of + j]
    return OK
