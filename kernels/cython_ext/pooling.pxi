# Windows that walk over images, each channel by itself: windows.h does it.

cdef extern from "cython_ext/windows.h" nogil:
    ctypedef struct walk "fastbp_walk":
        intptr_t batch, height, width, c, kh, kw, m, oh, ow
        intptr_t stride_h, stride_w, top, left, dilation_h, dilation_w
    void walk_forward "fastbp_depthwise"(const walk *g, const real *x, const real *w, real *y)
    void walk_dx "fastbp_depthwise_dx"(const walk *g, const real *dy, const real *w, real *dx)
    void walk_dw "fastbp_depthwise_dw"(
        const walk *g, const real *x, const real *dy, real *image, real *dw, const fastbp_primitive *primitives
    )
    void several_forward "fastbp_depthwise_several"(const walk *g, const real *x, const real *w, real *y)
    void several_dx "fastbp_depthwise_dx_several"(const walk *g, const real *dy, const real *w, real *dx)
    void several_dw "fastbp_depthwise_dw_several"(
        const walk *g, const real *x, const real *dy, real *products, real *image, const fastbp_primitive *primitives
    )
    # of the largest, or without an index of the mean
    void pool_forward "fastbp_pool_forward"(const walk *g, const real *x, real *y, uint8_t *index)
    void pool_backward "fastbp_pool_backward"(const walk *g, const real *dy, uint8_t *index, real *dx)


cdef inline walk walk_of(const double *attributes) noexcept nogil:
    cdef walk g
    g.stride_h, g.stride_w = <intptr_t>attributes[0], <intptr_t>attributes[1]
    g.top, g.left = <intptr_t>attributes[2], <intptr_t>attributes[4]
    g.dilation_h, g.dilation_w = <intptr_t>attributes[6], <intptr_t>attributes[7]
    return g


cdef inline walk pool_of(const double *attributes) noexcept nogil:
    cdef walk g = walk_of(attributes + 2)
    g.kh, g.kw = <intptr_t>attributes[0], <intptr_t>attributes[1]
    g.dilation_h = g.dilation_w = g.m = 1
    return g


cdef api int depthwise(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = walk_of(attributes)
    g.batch, g.height, g.width, g.c = sizes[0], sizes[1], sizes[2], sizes[3]
    g.kh, g.kw, g.m, g.oh, g.ow = sizes[4], sizes[5], sizes[6], sizes[7], sizes[8]
    (walk_forward if g.m == 1 else several_forward)(&g, buffers[0], buffers[1], buffers[2])
    return FASTBP_OK


cdef api int depthwise_dw(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = walk_of(attributes)
    cdef const real *x = buffers[0]
    cdef const real *dy = buffers[1]
    cdef real *image = buffers[3]
    cdef real *dw = buffers[4]
    cdef intptr_t b, k, n
    g.batch, g.height, g.width, g.c = sizes[0], sizes[1], sizes[2], sizes[3]
    g.oh, g.ow, g.kh, g.kw, g.m = sizes[4], sizes[5], sizes[7], sizes[8], sizes[9]
    n = g.kh * g.kw * g.c * g.m
    memset(dw, 0, n * sizeof(real))
    if g.m == 1 and g.c > 1:
        walk_dw(&g, x, dy, image, dw, primitives)
        return FASTBP_OK
    for b in range(g.batch):
        several_dw(&g, x, dy, buffers[2], image, primitives)
        each(&k, 0, n)
        dw[k] = dw[k] + image[k]
        end()
        x += g.height * g.width * g.c
        dy += g.oh * g.ow * g.c * g.m
    return FASTBP_OK


cdef api int depthwise_dx(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = walk_of(attributes)
    g.batch, g.oh, g.ow, g.kh, g.kw = sizes[0], sizes[1], sizes[2], sizes[4], sizes[5]
    g.c, g.m, g.height, g.width = sizes[6], sizes[7], sizes[8], sizes[9]
    (walk_dx if g.m == 1 else several_dx)(&g, buffers[0], buffers[1], buffers[2])
    return FASTBP_OK


cdef api int max_pool(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = pool_of(attributes)
    g.batch, g.height, g.width, g.c, g.oh, g.ow = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_forward(&g, buffers[0], buffers[1], <uint8_t *>buffers[2])
    return FASTBP_OK


cdef api int max_pool_dx(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = pool_of(attributes)
    g.batch, g.oh, g.ow, g.c, g.height, g.width = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_backward(&g, buffers[0], <uint8_t *>buffers[1], buffers[2])
    return FASTBP_OK


cdef api int average_pool(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = pool_of(attributes)
    g.batch, g.height, g.width, g.c, g.oh, g.ow = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_forward(&g, buffers[0], buffers[1], NULL)
    return FASTBP_OK


cdef api int average_pool_dx(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef walk g = pool_of(attributes)
    g.batch, g.oh, g.ow, g.c, g.height, g.width = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]
    pool_backward(&g, buffers[0], NULL, buffers[1])
    return FASTBP_OK
