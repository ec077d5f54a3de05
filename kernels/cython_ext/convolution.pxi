# Convolution made of patches and products: one row of the output, or one image, at a time.

cdef extern from "cython_ext/patches.h" nogil:
    ctypedef struct window "fastbp_window":
        intptr_t batch, height, width, c, kh, kw, n, o, oh, ow
        intptr_t stride_h, stride_w, top, left, dilation_h, dilation_w, groups, relu
    void patch_row "fastbp_patch_row"(const window *f, const real *x, intptr_t row, real *y)
    void fold "fastbp_fold"(const window *f, const real *columns, real *x)


cdef inline void take_attributes(window *f, const double *attributes) noexcept nogil:
    f.stride_h, f.stride_w = <intptr_t>attributes[0], <intptr_t>attributes[1]
    f.top, f.left = <intptr_t>attributes[2], <intptr_t>attributes[4]
    f.dilation_h, f.dilation_w = <intptr_t>attributes[6], <intptr_t>attributes[7]
    f.groups = <intptr_t>attributes[8]
    f.relu = 0


cdef inline bint convolution(
    int index, const window *f, real *first, real *second, real *third, real *fourth, const fastbp_primitive *primitives
) noexcept nogil:
    # whether the numerics makes all of it without patches, and did
    cdef int done = 0
    cdef char *args[5]
    if primitives[index].loop is NULL or f.kh * f.kw * f.n == 0:
        return False  # a product of nothing is one of patches
    args[0] = <char *>first
    args[1] = <char *>second
    args[2] = <char *>third
    args[3] = <char *>fourth if index == FASTBP_CONVOLVE else <char *>&done
    args[4] = <char *>&done
    primitives[index].loop(args, <const intptr_t *>f, NULL, primitives[index].data)
    return done


cdef inline int convolved(
    real **buffers, int arrays, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives,
) noexcept nogil:
    # of 2 arrays x and w, or of 3 with b
    cdef const real *x = buffers[0]
    cdef real *w = buffers[1]
    cdef real *b = buffers[2] if arrays == 3 else NULL
    cdef real *rows = buffers[arrays]
    cdef real *filters = w
    cdef real *line = w
    cdef real *y = buffers[arrays + 2]
    cdef real *to
    cdef intptr_t g, i, row, ow = sizes[8], taps = sizes[9], m = sizes[11]
    cdef window f
    f.batch, f.height, f.width, f.c = sizes[0], sizes[1], sizes[2], sizes[3]
    f.kh, f.kw, f.n, f.o = sizes[4], sizes[5], sizes[6], sizes[7]
    f.oh, f.ow = sizes[12], ow
    take_attributes(&f, attributes)
    f.relu = b is not NULL and attributes[9] != 0
    if convolution(FASTBP_CONVOLVE, &f, buffers[0], w, b, y, primitives):
        return FASTBP_OK
    for g in range(f.groups):
        if f.groups > 1:
            filters = buffers[arrays + 1]
            take_columns(w + g * m, filters, taps, m, f.o, m)
            line = filters + taps * m
        for i in range(f.batch):
            for row in range(f.oh):
                to = y + (i * f.oh + row) * ow * f.o
                patch_row(&f, x + i * f.height * f.width * f.c + g * f.n, row, rows)
                product(rows, filters, line if f.groups > 1 else to, ow, taps, m, taps, 1, m, 1, primitives)
                if f.groups > 1:
                    take_columns(line, to + g * m, ow, m, m, f.o)
                if b is not NULL and g == f.groups - 1:
                    add_bias(to, b, ow, f.o, f.relu)
    return FASTBP_OK


cdef api int convolve(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return convolved(buffers, 2, sizes, attributes, primitives)


cdef api int convolve_bias(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    return convolved(buffers, 3, sizes, attributes, primitives)


cdef api int convolve_dw(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t g, i, j, row, positions = sizes[7], taps = sizes[8], m = sizes[9]
    cdef const real *x = buffers[0]
    cdef real *columns = buffers[2]
    cdef real *share = buffers[3]
    cdef real *dw = buffers[5]
    cdef real *dy
    cdef window f
    f.batch, f.height, f.width, f.c = sizes[0], sizes[1], sizes[2], sizes[3]
    f.kh, f.kw, f.n, f.o = sizes[11], sizes[12], sizes[13], sizes[6]
    f.oh, f.ow = sizes[4], sizes[5]
    take_attributes(&f, attributes)
    if convolution(FASTBP_CONVOLVE_DW, &f, buffers[0], buffers[1], dw, NULL, primitives):
        return FASTBP_OK
    memset(dw, 0, taps * f.o * sizeof(real))
    for g in range(f.groups):
        for i in range(f.batch):
            for row in range(f.oh):
                patch_row(&f, x + i * f.height * f.width * f.c + g * f.n, row, columns + row * f.ow * taps)
            dy = buffers[1] + i * positions * f.o
            if f.groups > 1:
                take_columns(dy + g * m, buffers[4], positions, m, f.o, m)
                dy = buffers[4]
            product(columns, dy, share, taps, positions, m, 1, taps, m, 1, primitives)
            if f.groups == 1:
                added(dw, share, dw, taps * f.o)
            else:
                for j in range(taps):
                    added(dw + j * f.o + g * m, share + j * m, dw + j * f.o + g * m, m)
    return FASTBP_OK


cdef api int convolve_dx(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef intptr_t g, i, positions = sizes[7], taps = sizes[8], m = sizes[10]
    cdef real *w = buffers[1]
    cdef real *columns = buffers[2]
    cdef real *apart = buffers[3]
    cdef real *dx = buffers[4]
    cdef real *dy
    cdef window f
    f.batch, f.height, f.width, f.c = sizes[0], sizes[11], sizes[12], sizes[13]
    f.kh, f.kw, f.n, f.o = sizes[4], sizes[5], sizes[6], sizes[3]
    f.oh, f.ow = sizes[1], sizes[2]
    take_attributes(&f, attributes)
    if convolution(FASTBP_CONVOLVE_DX, &f, buffers[0], w, dx, NULL, primitives):
        return FASTBP_OK
    memset(dx, 0, f.batch * f.height * f.width * f.c * sizeof(real))
    for g in range(f.groups):
        if f.groups > 1:
            w = apart + positions * m
            take_columns(buffers[1] + g * m, w, taps, m, f.o, m)
        for i in range(f.batch):
            dy = buffers[0] + i * positions * f.o
            if f.groups > 1:
                take_columns(dy + g * m, apart, positions, m, f.o, m)
                dy = apart
            product(dy, w, columns, positions, m, taps, m, 1, 1, m, primitives)
            fold(&f, columns, dx + i * f.height * f.width * f.c + g * f.n)
    return FASTBP_OK
