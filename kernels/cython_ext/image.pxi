# Images that become larger between their pixels, and that are flipped, moved and cut out by numbers that were drawn.

cdef inline intptr_t drawn(real u, double count) noexcept nogil:
    # 0 .. count - 1; of what is no number in [0, 1) the nearest, of NaN 0
    cdef intptr_t last = <intptr_t>count - 1
    cdef real most = <real>(last + 1), product = u * most
    if last <= 0 or not product >= 0:
        return 0
    return last if product >= most else <intptr_t>product


cdef inline intptr_t remainder(intptr_t at, intptr_t size) noexcept nogil:
    at = at % size
    return at + size if at < 0 else at


cdef inline intptr_t moved(intptr_t at, intptr_t size, int fill) noexcept nogil:
    # which element of an axis lies at a place that may be outside of it; -1 is none
    if 0 <= at < size:
        return at
    if fill == 1:
        return 0 if at < 0 else size - 1
    if fill == 2:
        at = remainder(at, 2 * size)
        return at if at < size else 2 * size - 1 - at
    return remainder(at, size) if fill == 3 else -1


cdef api int interpolate_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t a, i, j, below, part, m = sizes[0], k = sizes[1], n = sizes[2], oh = sizes[3]
    cdef intptr_t f = <intptr_t>attributes[0]
    cdef const real *x = buffers[0]
    cdef const real *p
    cdef real *y = buffers[1]
    cdef real near, far
    for a in range(m):
        for i in range(oh):
            below = max(2 * i + 1 - f, 0) // (2 * f)
            part = max(2 * i + 1 - f, 0) - below * 2 * f
            p = x + below * n
            if part == 0 or below + 1 >= k:
                memcpy(y, p, n * sizeof(real))
            else:
                near = <real>(<double>(2 * f - part) / <double>(2 * f))
                far = <real>(<double>part / <double>(2 * f))
                each(&j, 0, n)
                y[j] = p[j] * near + p[n + j] * far
                end()
            y += n
        x += k * n
    return FASTBP_OK


cdef api int interpolate_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t a, i, j, below, part, m = sizes[0], oh = sizes[1], n = sizes[2], k = sizes[3]
    cdef intptr_t f = <intptr_t>attributes[0]
    cdef const real *dy = buffers[0]
    cdef real *dx = buffers[1]
    cdef real *p
    cdef real near, far
    memset(dx, 0, m * k * n * sizeof(real))
    for a in range(m):
        for i in range(k * f):
            below = max(2 * i + 1 - f, 0) // (2 * f)
            part = max(2 * i + 1 - f, 0) - below * 2 * f
            p = dx + below * n
            if part == 0 or below + 1 >= k:
                each(&j, 0, n)
                p[j] = p[j] + dy[i * n + j]
                end()
            else:
                near = <real>(<double>(2 * f - part) / <double>(2 * f))
                far = <real>(<double>part / <double>(2 * f))
                each(&j, 0, n)
                p[j] = p[j] + dy[i * n + j] * near
                p[n + j] = p[n + j] + dy[i * n + j] * far
                end()
        dy += oh * n
        dx += k * n
    return FASTBP_OK


cdef inline void mirror(const real *x, real *y, intptr_t width, intptr_t c) noexcept nogil:
    cdef intptr_t column, j
    if c == 1:
        each(&column, 0, width)
        y[column] = x[width - 1 - column]
        end()
    elif c == 3:
        for column in range(width):
            y[3 * column] = x[3 * (width - 1 - column)]
            y[3 * column + 1] = x[3 * (width - 1 - column) + 1]
            y[3 * column + 2] = x[3 * (width - 1 - column) + 2]
    else:
        for column in range(width):
            for j in range(c):
                y[column * c + j] = x[(width - 1 - column) * c + j]


cdef api int flip(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, row, height = sizes[1], width = sizes[2], c = sizes[3]
    cdef const real *x = buffers[0]
    cdef const real *u = buffers[1]
    cdef const real *p
    cdef real *y = buffers[2]
    for i in range(sizes[0]):
        for row in range(height):
            p = x + (height - 1 - row if attributes[0] != 0 and u[0] < 0.5 else row) * width * c
            if not (attributes[1] != 0 and u[1] < 0.5):
                memcpy(y, p, width * c * sizeof(real))
            else:
                mirror(p, y, width, c)
            y += width * c
        x += height * width * c
        u += 2
    return FASTBP_OK


cdef inline void take_moved(
    const real *x, real *y, intptr_t start, intptr_t stop, intptr_t right, intptr_t width, intptr_t c, int fill, real value
) noexcept nogil:
    # pixels of a row that come in from beyond its ends
    cdef intptr_t j, column, at
    for column in range(start, stop):
        at = moved(column - right, width, fill)
        for j in range(c):
            y[column * c + j] = value if at < 0 else x[at * c + j]


cdef inline void give_moved(
    const real *dy, real *dx, intptr_t start, intptr_t stop, intptr_t right, intptr_t width, intptr_t c, int fill
) noexcept nogil:
    # the reverse
    cdef intptr_t j, column, at
    for column in range(start, stop):
        at = moved(column - right, width, fill)
        for j in range(c if at >= 0 else 0):
            dx[at * c + j] = dx[at * c + j] + dy[column * c + j]


cdef inline void inner_columns(intptr_t right, intptr_t width, intptr_t *first, intptr_t *last) noexcept nogil:
    # those whose pixels are neither left nor right of the image
    first[0] = min(max(right, 0), width)
    last[0] = max(min(width + right, width), first[0])


cdef api int translate_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, j, row, source, down, right, first, last
    cdef intptr_t height = sizes[1], width = sizes[2], c = sizes[3]
    cdef int fill = <int>attributes[4]
    cdef const real *x = buffers[0]
    cdef const real *u = buffers[1]
    cdef real *y = buffers[2]
    cdef real value = <real>attributes[5]
    for i in range(sizes[0]):
        down = <intptr_t>attributes[0] + drawn(u[0], attributes[1])
        right = <intptr_t>attributes[2] + drawn(u[1], attributes[3])
        inner_columns(right, width, &first, &last)
        for row in range(height):
            source = moved(row - down, height, fill)
            if source < 0:
                each(&j, 0, width * c)
                y[j] = value
                end()
                y += width * c
                continue
            source *= width
            memcpy(y + first * c, x + (source + first - right) * c, (last - first) * c * sizeof(real))
            take_moved(x + source * c, y, 0, first, right, width, c, fill, value)
            take_moved(x + source * c, y, last, width, right, width, c, fill, value)
            y += width * c
        x += height * width * c
        u += 2
    return FASTBP_OK


cdef api int translate_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, j, row, source, down, right, first, last
    cdef intptr_t height = sizes[1], width = sizes[2], c = sizes[3]
    cdef int fill = <int>attributes[4]
    cdef const real *dy = buffers[0]
    cdef const real *u = buffers[1]
    cdef real *dx = buffers[2]
    cdef const real *r
    cdef real *p
    cdef real *q
    memset(dx, 0, sizes[0] * height * width * c * sizeof(real))
    for i in range(sizes[0]):
        down = <intptr_t>attributes[0] + drawn(u[0], attributes[1])
        right = <intptr_t>attributes[2] + drawn(u[1], attributes[3])
        inner_columns(right, width, &first, &last)
        for row in range(height):
            source = moved(row - down, height, fill)
            if source >= 0:
                p = dx + source * width * c
                give_moved(dy, p, 0, first, right, width, c, fill)
                q = p + (first - right) * c
                r = dy + first * c
                each(&j, 0, (last - first) * c)
                q[j] = q[j] + r[j]
                end()
                give_moved(dy, p, last, width, right, width, c, fill)
            dy += width * c
        dx += height * width * c
        u += 2
    return FASTBP_OK


cdef api int crop_forward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, row, top, left, height = sizes[1], width = sizes[2], c = sizes[3], oh = sizes[4], ow = sizes[5]
    cdef const real *x = buffers[0]
    cdef const real *u = buffers[1]
    cdef real *y = buffers[2]
    for i in range(sizes[0]):
        top, left = drawn(u[0], attributes[0] + 1), drawn(u[1], attributes[1] + 1)
        for row in range(oh):
            memcpy(y, x + ((top + row) * width + left) * c, ow * c * sizeof(real))
            y += ow * c
        x += height * width * c
        u += 2
    return FASTBP_OK


cdef api int crop_backward(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t i, row, top, left, oh = sizes[1], ow = sizes[2], c = sizes[3], height = sizes[4], width = sizes[5]
    cdef const real *dy = buffers[0]
    cdef const real *u = buffers[1]
    cdef real *dx = buffers[2]
    memset(dx, 0, sizes[0] * height * width * c * sizeof(real))
    for i in range(sizes[0]):
        top, left = drawn(u[0], attributes[0] + 1), drawn(u[1], attributes[1] + 1)
        for row in range(oh):
            memcpy(dx + ((top + row) * width + left) * c, dy, ow * c * sizeof(real))
            dy += ow * c
        dx += height * width * c
        u += 2
    return FASTBP_OK
