/* Convolutions of portable numerics, whose definitions are the rows of table/convolution.py: no buffer holds patches.
 *
 * The chains are those of matmul.h. One micro-kernel makes all products (patch_tiles.h): a tile of rows x vectors whose rows
 * of a lie anywhere (`places`), and whose chains run over pieces (`segments`) of a and b:
 *
 *         row of a tile             lanes     chain                                        a          b
 *   y     a position                filters   (kh, kw, c), a segment for each kh           image      weights
 *   dw    an element (kh, kw, c)    filters   positions, a segment for each row of them    image      dy
 *   dx    a cell                    c         filters, a segment and chain for each tap    dy         weights^T
 *
 * Images with padding are copied into the thread's memory with their zeros around them, some images or a band of rows at
 * a time. Weights are packed once a call into panels of WIDTH lanes. What would fill few lanes is made in other ways: here
 * y of few filters, in convolve_dw.h and convolve_dx.h what belongs there.
 *
 * Lanes of y then run over positions: the image is copied so that what a tap sees at neighbouring ones is contiguous, one
 * plane for each channel and remainder of the strides. Rows of a tile are filters, a is the weights, b the planes. All
 * pixels of a plane are positions; those where no patch begins are left out when filters become the last axis.
 */
#ifndef FASTBP_CONVOLVE_H
#define FASTBP_CONVOLVE_H

#include "patch_tiles.h"

/* ---- lanes over filters ---- */

/* Segments of the taps, and their length: one for each row of the kernel, or for each tap. */
static intptr_t fastbp_list_taps(const fastbp_convolution *s, intptr_t b_step, fastbp_segment *to) {
    const fastbp_window *w = &s->w;
    const intptr_t wide = s->merged ? 1 : w->kw, run = s->taps / fastbp_greater(w->kh * wide, 1);
    for (intptr_t p = 0, i = 0; p < w->kh; p++)
        for (intptr_t q = 0; q < wide; q++, i++)
            to[i] = (fastbp_segment){(p * w->dilation_h * s->pitch + q * w->dilation_w * w->c) * FASTBP_ITEM,
                                     i * run * b_step};
    return run;
}

static void fastbp_list_positions(const fastbp_convolution *s, intptr_t from_image, fastbp_place *places) {
    const fastbp_window *w = &s->w;
    for (intptr_t q = 0, at = 0; q < (s->by_rows ? 1 : s->block); q++)
        for (intptr_t i = 0; i < (s->by_rows ? s->block : w->oh); i++)
            for (intptr_t j = 0; j < w->ow; j++, at++)
                places[at] = (fastbp_place){
                    (q * from_image + i * w->stride_h * s->pitch + j * w->stride_w * w->c) * FASTBP_ITEM,
                    at * w->o * FASTBP_ITEM};
}

/* y of `count` positions */
static void fastbp_forward_wide(const fastbp_convolution *s, const fastbp_place *places, const fastbp_segment *segments,
                                intptr_t run, const fastbp_real *x, fastbp_real *y, intptr_t count) {
    const fastbp_window *w = &s->w;
    for (intptr_t g = 0; g < w->groups; g++)
        for (intptr_t p = 0; p < s->panels; p++) {
            const intptr_t j = g * s->m + p * FASTBP_WIDTH;
            fastbp_patch_tile t = {.a = (const char *)(x + g * w->n), .places = places, .segments = segments,
                                   .count = s->merged ? w->kh : w->kh * w->kw, .run = run, .a_step = FASTBP_ITEM,
                                   .b = (const char *)(s->panel + (g * s->panels + p) * s->taps * FASTBP_WIDTH),
                                   .b_step = (s->packed ? FASTBP_WIDTH : w->o) * FASTBP_ITEM, .y = (char *)(y + j),
                                   .bias = s->bias ? s->bias + j : NULL, .relu = (int)w->relu};
            const int vecs = fastbp_panel_vecs(s->m - p * FASTBP_WIDTH, &t.lanes);
            fastbp_patch_tiles(&t, vecs, 0, count);
        }
}

/* ---- lanes over positions ---- */

/* `count` pixels, `step` reals apart, into a row of one plane of each channel, `channel` reals apart. */
static void fastbp_copy_pixels(const fastbp_real *from, const fastbp_real *end, intptr_t step, intptr_t count, intptr_t c,
                               fastbp_real *to, intptr_t channel) {
    if (step == 1) {
        memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    for (intptr_t j = 0, next; j < count; j = next) {
        const intptr_t first = fastbp_smaller(j, count - FASTBP_LANES); /* the last vector goes back over some */
        next = first + FASTBP_LANES;
        if (first < 0 || (c < FASTBP_QUARTER && end - from < (next - 1) * step + FASTBP_QUARTER)) {
            next = fastbp_smaller(j + FASTBP_LANES, count); /* a vector would read or write behind the end */
            for (; j < next; j++)
                for (intptr_t k = 0; k < c; k++) to[k * channel + j] = from[j * step + k];
            continue;
        }
        const fastbp_real *line[FASTBP_LANES];
        fastbp_vec out[FASTBP_QUARTER];
        fastbp_set_lines(line, from + first * step, step, FASTBP_LANES);
        for (intptr_t k = 0; k < c; k += FASTBP_QUARTER) {
            const intptr_t at = c < FASTBP_QUARTER ? 0 : fastbp_smaller(k, c - FASTBP_QUARTER);
            fastbp_transpose(line, at, out);
            FASTBP_UNROLL(q, FASTBP_QUARTER)
            if (at + q < c) fastbp_store(to + (at + q) * channel + first, out[q]);
        }
    }
}

/* Rows of an image with its zeros into its planes, from their row `down` on; left and right of it they are zero. */
static __attribute__((noinline)) void fastbp_copy_planes(const fastbp_convolution *s, const fastbp_real *image,
                                                         intptr_t first, intptr_t rows, intptr_t down,
                                                         fastbp_real *planes) {
    const fastbp_window *w = &s->w;
    const intptr_t left = fastbp_smaller(w->left, s->frame_w), middle = fastbp_smaller(w->width, s->frame_w - left);
    for (intptr_t u = 0; u < w->stride_h; u++)
        for (intptr_t v = 0; v < w->stride_w; v++) {
            /* the columns of the image with remainder v, and where they begin in the plane */
            const intptr_t skip = (v + w->stride_w * left - left) % w->stride_w;
            const intptr_t count = middle > skip ? fastbp_divided(middle - skip, w->stride_w) : 0;
            const intptr_t before = count ? (left + skip) / w->stride_w : 0;
            const intptr_t channel = w->stride_h * w->stride_w * s->plane;
            fastbp_real *to = planes + (u * w->stride_w + v) * s->plane + down * s->plane_w;
            for (intptr_t i = first + u - w->top; i < first - w->top + rows; i += w->stride_h, to += s->plane_w)
                if (count > 0 && i >= 0 && i < w->height)
                    fastbp_copy_pixels(image + (i * w->width + skip) * w->c, image + w->height * w->width * w->c,
                                       w->stride_w * w->c, count, w->c, to + before, channel);
                else
                    for (intptr_t k = 0; k < w->c; k++) memset(to + k * channel, 0, (size_t)s->plane_w * sizeof *to);
        }
}

/* `count` rows of a strip, from filter `first` on (past the end: the last again), after bias and relu, by quarters */
FASTBP_INLINE void fastbp_load_filters(const fastbp_real *strip, intptr_t pitch, intptr_t first, intptr_t m,
                                       const fastbp_real *bias, int relu, fastbp_vec *v, const int count) {
    FASTBP_UNROLL(c, count) {
        const intptr_t from = fastbp_smaller(first + c, m - 1);
        v[c] = fastbp_load(strip + from * pitch);
        if (bias) v[c] += fastbp_broadcast(bias[from]);
        if (relu) v[c] = fastbp_relu_of(v[c]);
    }
    FASTBP_UNROLL(q, count / FASTBP_QUARTER) fastbp_transpose_quarters(v + q * FASTBP_QUARTER);
}

#if FASTBP_VECTOR == 64
/* The next LANES positions of more than QUARTER filters and 2 QUARTER at most: half as many stores as by quarters. */
FASTBP_INLINE void fastbp_store_halves(fastbp_vec *v, fastbp_real *y, intptr_t m) {
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    FASTBP_UNROLL(c, FASTBP_QUARTER) {
        const __m512d a = (__m512d)v[c], b = (__m512d)v[FASTBP_QUARTER + c];
        v[c] = (fastbp_vec)_mm512_permutex2var_pd(a, low, b);
        v[FASTBP_QUARTER + c] = (fastbp_vec)_mm512_permutex2var_pd(a, high, b);
    }
    FASTBP_UNROLL(i, FASTBP_LANES) {
        const int half = i / FASTBP_QUARTER;
        const __m512d pair = (__m512d)v[i % FASTBP_QUARTER + half / 2 * FASTBP_QUARTER];
        _mm256_storeu_pd((double *)y, half % 2 ? _mm512_extractf64x4_pd(pair, 1) : _mm512_castpd512_pd256(pair));
        y += m;
        __asm__("" : "+r"(y)); /* or gcc keeps all addresses from the start, in memory */
    }
}
#endif

/* The next LANES positions of m filters: up to QUARTER - 1 reals behind them are written too. */
FASTBP_INLINE void fastbp_store_positions(const fastbp_real *strip, intptr_t pitch, fastbp_real *y, intptr_t m,
                                          const fastbp_real *bias, int relu) {
    fastbp_vec v[2 * FASTBP_QUARTER];
#if FASTBP_VECTOR == 64
    if (m > FASTBP_QUARTER && m <= 2 * FASTBP_QUARTER) {
        fastbp_load_filters(strip, pitch, 0, m, bias, relu, v, 2 * FASTBP_QUARTER);
        fastbp_store_halves(v, y, m);
        return;
    }
#endif
    for (intptr_t j = (m - 1) / FASTBP_QUARTER * FASTBP_QUARTER; j >= 0; j -= FASTBP_QUARTER) {
        fastbp_quarter part[FASTBP_QUARTER][FASTBP_LANES / FASTBP_QUARTER];
        fastbp_real *to = y + j;
        fastbp_load_filters(strip, pitch, j, m, bias, relu, v, FASTBP_QUARTER);
        FASTBP_UNROLL(c, FASTBP_QUARTER) fastbp_split_quarters(v[c], part[c]);
        FASTBP_UNROLL(i, FASTBP_LANES) {
            memcpy(to, &part[i % FASTBP_QUARTER][i / FASTBP_QUARTER], sizeof(fastbp_quarter));
            to += m;
            __asm__("" : "+r"(to));
        }
    }
}

/* Rows of tiles are filters, and each element of a chain has its place in the planes. */
static void fastbp_list_steps(const fastbp_convolution *s, fastbp_place *places, fastbp_segment *segments) {
    const fastbp_window *w = &s->w;
    for (intptr_t j = 0; j < s->m; j++) places[j] = (fastbp_place){j * FASTBP_ITEM, j * s->strip * FASTBP_ITEM};
    for (intptr_t p = 0, at = 0; p < w->kh; p++)
        for (intptr_t q = 0; q < w->kw; q++)
            for (intptr_t k = 0; k < w->n; k++, at++) {
                const intptr_t i = p * w->dilation_h, j = q * w->dilation_w;
                const intptr_t plane = (k * w->stride_h + i % w->stride_h) * w->stride_w + j % w->stride_w;
                const intptr_t place = plane * s->plane + i / w->stride_h * s->plane_w + j / w->stride_w;
                segments[at] = (fastbp_segment){0, place * FASTBP_ITEM};
            }
}

/* y of some rows of some images, whose planes lie one below the other */
static __attribute__((noinline)) void fastbp_forward_narrow(const fastbp_convolution *s, const fastbp_place *places,
                                                            const fastbp_segment *segments, const fastbp_real *planes,
                                                            fastbp_real *strip, fastbp_real *y, intptr_t images,
                                                            intptr_t rows) {
    const fastbp_window *w = &s->w;
    const intptr_t positions = ((images - 1) * s->plane_h + rows - 1) * s->plane_w + w->ow;
    const intptr_t group = w->n * w->stride_h * w->stride_w * s->plane;
    const fastbp_real *end = y + images * rows * w->ow * w->o;
    for (intptr_t g = 0; g < w->groups; g++) {
        const fastbp_real *bias = s->bias ? s->bias + g * s->m : NULL;
        fastbp_real *to = y + g * s->m;
        for (intptr_t p = 0; p < positions; p += FASTBP_WIDTH) {
            fastbp_patch_tile t = {.a = (const char *)(s->weights + g * s->m), .a_step = w->o * FASTBP_ITEM,
                                   .b = (const char *)(planes + g * group + p), .places = places, .segments = segments,
                                   .count = s->taps, .y = (char *)(strip + p)};
            fastbp_patch_tiles(&t, FASTBP_FILTERS, 0, s->m);
        }
        for (intptr_t q = 0; q < images; q++)
            for (intptr_t i = 0; i < rows; i++, to += w->ow * w->o) {
                const fastbp_real *from = strip + (q * s->plane_h + i) * s->plane_w;
                intptr_t j = 0;
                if (w->groups == 1) /* what is written too much is written again, by the rows below */
                    for (; j < w->ow && end - to > (j + FASTBP_LANES) * s->m + FASTBP_QUARTER; j += FASTBP_LANES)
                        fastbp_store_positions(from + j, s->strip, to + j * s->m, s->m, bias, (int)w->relu);
                if (j < w->ow)
                    fastbp_store_transposed(from + j, s->strip, to + j * w->o, w->o, w->ow - j, s->m, bias, (int)w->relu);
            }
    }
}

/* ---- a call ---- */

static void fastbp_forward_part(void *context, int part, int parts) {
    fastbp_convolution *s = (fastbp_convolution *)context;
    const fastbp_window *w = &s->w;
    const intptr_t units = s->by_rows ? w->batch * w->oh : w->batch, positions = s->by_rows ? w->ow : w->oh * w->ow;
    const intptr_t end = units * (part + 1) / parts, image = w->height * w->width * w->c;
    const intptr_t from_image = s->padded ? s->frame_h * s->pitch : image; /* from one to the next of a block */
    char *memory = (char *)fastbp_scratch(s->shared + s->own);
    if (!memory) {
        s->failed = 1;
        return;
    }
    memory += s->shared;
    fastbp_place *places = (fastbp_place *)fastbp_take(&memory, fastbp_room_of_places(s->block * positions + s->m));
    fastbp_segment *segments = (fastbp_segment *)fastbp_take(&memory, fastbp_room_of_places(s->taps + w->kh * w->kw));
    fastbp_real *strip = (fastbp_real *)fastbp_take(&memory, s->narrow ? fastbp_room(s->m * s->strip) : 0);
    fastbp_real *frame = (fastbp_real *)memory;
    intptr_t run = 1;
    if (s->narrow) {
        fastbp_list_steps(s, places, segments);
        memset(frame, 0, fastbp_room(w->c * w->stride_h * w->stride_w * s->plane + FASTBP_WIDTH));
    } else {
        run = fastbp_list_taps(s, (s->packed ? FASTBP_WIDTH : w->o) * FASTBP_ITEM, segments);
        fastbp_list_positions(s, from_image, places);
    }
    for (intptr_t unit = units * part / parts, count; unit < end; unit += count) {
        const intptr_t first = s->by_rows ? unit / w->oh : unit, row = s->by_rows ? unit % w->oh : 0;
        count = fastbp_smaller(s->block, end - unit);
        if (s->by_rows) count = fastbp_smaller(count, w->oh - row);
        const intptr_t images = s->by_rows ? 1 : count, rows = s->by_rows ? count : w->oh;
        const intptr_t frame_h = s->frame_h - (w->oh - rows) * w->stride_h;
        const fastbp_real *x = s->x + first * image;
        fastbp_real *y = s->y + unit * positions * w->o;
        if (s->narrow) {
            for (intptr_t q = 0; q < images; q++)
                fastbp_copy_planes(s, x + q * image, row * w->stride_h, frame_h, q * s->plane_h, frame);
            fastbp_forward_narrow(s, places, segments, frame, strip, y, images, rows);
            continue;
        }
        for (intptr_t q = 0; s->padded && q < images; q++)
            fastbp_copy_frame(s, x + q * image, row * w->stride_h, frame_h, frame + q * from_image);
        x = s->padded ? frame : x + row * w->stride_h * s->pitch;
        fastbp_forward_wide(s, places, segments, run, x, y, count * positions);
    }
}

/* Whether lanes over positions cost less, in fmas of a vector: to copy or to transpose an element costs about one. */
static int fastbp_narrow_is_cheaper(const fastbp_convolution *s, intptr_t images, intptr_t rows, intptr_t frame_h) {
    const intptr_t positions = images * rows * s->w.ow, pixels = images * frame_h * s->pitch, m = s->m;
    const intptr_t wide = s->w.groups * s->taps * fastbp_divided(m, FASTBP_LANES) * positions;
    const intptr_t narrow = s->w.groups * (s->taps * m * s->strip / FASTBP_LANES + m * positions) + pixels;
    return s->taps > 0 && narrow < wide;
}

static fastbp_convolution_part fastbp_begin_forward(fastbp_convolution *s, int parts) {
    const fastbp_window *w = &s->w;
    fastbp_describe(s);
    if (w->batch * w->oh * w->ow * s->m == 0) return NULL;
    fastbp_choose_block(s, w->oh, fastbp_greater(FASTBP_BLOCK_POSITIONS / w->ow, 1),
                        fastbp_divided(FASTBP_FEW_POSITIONS, w->ow), w->stride_h * s->pitch * FASTBP_ITEM, parts);
    const intptr_t images = s->by_rows ? 1 : s->block, rows = s->by_rows ? s->block : w->oh;
    const intptr_t frame_h = s->frame_h - (w->oh - rows) * w->stride_h;
    s->plane_h = fastbp_divided(frame_h, w->stride_h), s->plane_w = fastbp_divided(s->frame_w, w->stride_w);
    s->plane = images * s->plane_h * s->plane_w + FASTBP_LANES;
    s->strip = fastbp_divided(images * s->plane_h * s->plane_w, FASTBP_WIDTH) * FASTBP_WIDTH;
    s->narrow = fastbp_narrow_is_cheaper(s, images, rows, frame_h);
    s->packed = !s->narrow && (w->groups > 1 || (s->m != FASTBP_LANES && s->m != FASTBP_WIDTH));
    s->shared = s->packed ? fastbp_room(w->groups * s->panels * s->taps * FASTBP_WIDTH) : 0;
    s->own = fastbp_room_of_places(images * rows * w->ow + s->m) + fastbp_room_of_places(s->taps + w->kh * w->kw);
    if (s->narrow)
        s->own += fastbp_room(s->m * s->strip) + fastbp_room(w->c * w->stride_h * w->stride_w * s->plane + FASTBP_WIDTH);
    else if (s->padded)
        s->own += fastbp_room(images * frame_h * s->pitch);
    fastbp_real *panel = (fastbp_real *)fastbp_scratch(s->shared + s->own);
    s->panel = s->packed ? panel : s->weights;
    s->failed = !panel;
    if (!panel) return NULL;
    for (intptr_t g = 0; s->packed && g < w->groups; g++)
        for (intptr_t p = 0; p < s->panels; p++, panel += s->taps * FASTBP_WIDTH)
            fastbp_pack_panel(s->weights + g * s->m + p * FASTBP_WIDTH, w->o, s->taps,
                              fastbp_smaller(s->m - p * FASTBP_WIDTH, FASTBP_WIDTH), panel);
    return fastbp_forward_part;
}

#endif
