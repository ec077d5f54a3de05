/* The micro-kernels of convolve.h, and what its products have in common. */
#ifndef FASTBP_PATCH_TILES_H
#define FASTBP_PATCH_TILES_H

#include "matmul.h"

/* ---- the micro-kernel ---- */

typedef struct {
    intptr_t a, y; /* of a row of a tile, in bytes */
} fastbp_place;

typedef struct {
    intptr_t a, b; /* where a piece of all chains begins, in bytes */
} fastbp_segment;

typedef struct {
    const char *a, *b;
    char *y;
    const fastbp_place *places;
    const fastbp_segment *segments;
    intptr_t count, run, a_step, b_step; /* segments; elements of one; bytes from an element to the next */
    const fastbp_real *bias;
    int relu, add, lanes; /* add: to y; lanes: of the last vector that y has */
} fastbp_patch_tile;

/* All but t are constants wherever this is inlined; b has whole vectors. pair: lanes belong to two images in turn.
 * sums: each segment is a chain of its own, and y their sum. */
FASTBP_INLINE void fastbp_run_patches(const fastbp_patch_tile *t, const int rows, const int vecs, const int pair,
                                      const int sums) {
    const fastbp_place *places = t->places;
    const fastbp_segment *segment = t->segments;
    const intptr_t a_step = t->a_step, b_step = t->b_step, run = t->run;
    const int lanes = t->lanes, last = vecs - 1, plain = pair || sums; /* nothing is added behind */
    const char *row[8];
    fastbp_vec acc[8][2], sum[8][2], b_row[2];

    FASTBP_UNROLL(r, rows) row[r] = t->a + places[r].a;
    FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] = sum[r][v] = (fastbp_vec){0};
    for (intptr_t s = t->count; s > 0; s--, segment++) {
        intptr_t at = segment->a;
        const char *b = t->b + segment->b;
        for (intptr_t p = run; p > 0; p--) {
            FASTBP_UNROLL(v, vecs) b_row[v] = fastbp_load((const fastbp_real *)b + v * FASTBP_LANES);
            FASTBP_UNROLL(r, rows) {
                const fastbp_real *from = (const fastbp_real *)(row[r] + at);
                const fastbp_vec x = pair ? fastbp_broadcast_pair(from) : fastbp_broadcast(*from);
                FASTBP_UNROLL(v, vecs) acc[r][v] = fastbp_fused(x, b_row[v], acc[r][v]);
            }
            at += a_step, b += b_step;
        }
        if (sums) FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) sum[r][v] += acc[r][v], acc[r][v] = (fastbp_vec){0};
    }
    if (sums) FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] = sum[r][v];
    if (!plain && t->bias) {
        FASTBP_UNROLL(v, vecs)
        b_row[v] = fastbp_load_lanes(t->bias + v * FASTBP_LANES, v < last ? FASTBP_LANES : lanes);
        FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] += b_row[v];
    }
    if (!plain && t->relu) FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] = fastbp_relu_of(acc[r][v]);
    if (!plain && t->add)
        FASTBP_UNROLL(r, rows) {
            const fastbp_real *y = (const fastbp_real *)(t->y + places[r].y);
            FASTBP_UNROLL(v, vecs)
            acc[r][v] += fastbp_load_lanes(y + v * FASTBP_LANES, v < last ? FASTBP_LANES : lanes);
        }
    FASTBP_UNROLL(r, rows) {
        fastbp_real *y = (fastbp_real *)(t->y + places[r].y);
        FASTBP_UNROLL(v, vecs) fastbp_store_lanes(y + v * FASTBP_LANES, acc[r][v], v < last ? FASTBP_LANES : lanes);
    }
}

/* The same where rows are neighbouring filters of the weights, and b has a place of its own for each step. */
FASTBP_INLINE void fastbp_run_filters(const fastbp_patch_tile *t, const int rows) {
    const fastbp_segment *segment = t->segments;
    const char *a = t->a + t->places->a;
    fastbp_vec acc[8][2], b_row[2];

    FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, 2) acc[r][v] = (fastbp_vec){0};
    for (intptr_t s = t->count; s > 0; s--, segment++, a += t->a_step) {
        const fastbp_real *b = (const fastbp_real *)(t->b + segment->b);
        FASTBP_UNROLL(v, 2) b_row[v] = fastbp_load(b + v * FASTBP_LANES);
        FASTBP_UNROLL(r, rows) {
            const fastbp_vec x = fastbp_broadcast(((const fastbp_real *)a)[r]);
            FASTBP_UNROLL(v, 2) acc[r][v] = fastbp_fused(x, b_row[v], acc[r][v]);
        }
    }
    FASTBP_UNROLL(r, rows) {
        fastbp_real *y = (fastbp_real *)(t->y + t->places[r].y);
        FASTBP_UNROLL(v, 2) fastbp_store(y + v * FASTBP_LANES, acc[r][v]);
    }
}

typedef void (*fastbp_patch_kernel)(const fastbp_patch_tile *);

#define FASTBP_DEFINE(rows, form, vecs, pair, sums) \
    static void fastbp_patch_##rows##form(const fastbp_patch_tile *t) { fastbp_run_patches(t, rows, vecs, pair, sums); }
#define FASTBP_DEFINE_HEIGHT(rows) \
    FASTBP_DEFINE(rows, _pairs, 1, 1, 0) FASTBP_DEFINE(rows, x1, 1, 0, 0) FASTBP_DEFINE(rows, x2, 2, 0, 0) \
    FASTBP_DEFINE(rows, x1_sums, 1, 0, 1) \
    static void fastbp_patch_##rows##_filters(const fastbp_patch_tile *t) { fastbp_run_filters(t, rows); }
#define FASTBP_DEFINE_SUMS(rows) FASTBP_DEFINE(rows, x2_sums, 2, 0, 1)
#define FASTBP_NAMES_HEIGHT(rows) \
    {fastbp_patch_##rows##_pairs, fastbp_patch_##rows##x1, fastbp_patch_##rows##x2, fastbp_patch_##rows##x1_sums, \
     fastbp_patch_##rows##_filters},
#define FASTBP_NAMES_SUMS(rows) fastbp_patch_##rows##x2_sums,
#if FASTBP_ROWS >= 6
#define FASTBP_SUM_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define FASTBP_SUM_HEIGHTS(X) X(1) X(2)
#endif
FASTBP_HEIGHTS(FASTBP_DEFINE_HEIGHT) FASTBP_SUM_HEIGHTS(FASTBP_DEFINE_SUMS)
/* [rows - 1][form]; form 1 and 2: the number of vectors */
enum { FASTBP_PAIRS, FASTBP_SUMS = 3, FASTBP_FILTERS, FASTBP_FORMS };
static const fastbp_patch_kernel fastbp_patch_kernels[FASTBP_ROWS][FASTBP_FORMS] = {FASTBP_HEIGHTS(FASTBP_NAMES_HEIGHT)};
/* sums of two vectors leave room for fewer rows: [rows - 1] */
enum { FASTBP_SUM_ROWS = FASTBP_ROWS < 6 ? FASTBP_ROWS : 6 };
static const fastbp_patch_kernel fastbp_sum_kernels[FASTBP_SUM_ROWS] = {FASTBP_SUM_HEIGHTS(FASTBP_NAMES_SUMS)};
#undef FASTBP_DEFINE_SUMS
#undef FASTBP_NAMES_SUMS
#undef FASTBP_SUM_HEIGHTS
#undef FASTBP_DEFINE
#undef FASTBP_DEFINE_HEIGHT
#undef FASTBP_NAMES_HEIGHT

/* ---- what a call is about ---- */

typedef struct {
    intptr_t batch, height, width, c, kh, kw, n, o, oh, ow, stride_h, stride_w, top, left, dilation_h, dilation_w, groups,
        relu; /* in the order of abi.h */
} fastbp_window;

/* Which taps of a kernel's column (or row) meet a cell: `count` from `tap` on, the first at position `from`. */
typedef struct {
    intptr_t cell, tap, count, from;
} fastbp_meeting;

typedef struct {
    fastbp_window w;
    const fastbp_real *x, *weights, *bias; /* of dw: x, dy; of dx: dy, w */
    fastbp_real *y;
    intptr_t m, taps, panels;         /* filters of a group, elements of a chain of y, panels of a group */
    intptr_t frame_h, frame_w, pitch; /* of an image with its zeros; reals from one row to the next */
    int padded, merged;               /* merged: the taps of a kernel's row are contiguous */
    int packed;                       /* whether b of the tiles is a copy */
    int by_rows;                      /* whether a block is rows of an image, not images */
    intptr_t block;                   /* rows or images at a time; of dw: tiles that parts share */
    size_t shared, own;               /* bytes: what all parts read in the caller's memory; what each has behind it */
    const fastbp_real *panel;
    _Atomic int failed; /* a part had no memory */

    int narrow;                              /* of y: lanes run over positions */
    intptr_t plane_h, plane_w, plane, strip; /* rows of an image in a plane, their pitch; of planes, of filters of y */

    int lanes;                  /* of dw: what lanes are */
    size_t part_panel, product; /* bytes of dy as tiles read it, of what an image adds */

    const fastbp_meeting *rows, *columns;    /* of dx; NULL where taps are added one after the other */
    intptr_t taps_h, taps_w, back_h, back_w; /* from a tap of a meeting to the next, and positions back */
} fastbp_convolution;

enum {
    FASTBP_BLOCK_POSITIONS = 1024, /* positions whose places are listed at a time ... */
    FASTBP_FEW_POSITIONS = 256,    /* ... and with fewer, another image is taken along */
    FASTBP_BLOCK_BYTES = 1 << 18   /* of images that are copied at a time */
};

FASTBP_INLINE intptr_t fastbp_greater(intptr_t x, intptr_t y) { return x > y ? x : y; }
FASTBP_INLINE intptr_t fastbp_divided(intptr_t x, intptr_t y) { return (x + y - 1) / y; }
FASTBP_INLINE size_t fastbp_room(intptr_t reals) { return ((size_t)reals * FASTBP_ITEM + 63) / 64 * 64; }
FASTBP_INLINE size_t fastbp_room_of_places(intptr_t n) { return ((size_t)n * sizeof(fastbp_place) + 63) / 64 * 64; }

/* The next `room` bytes of the thread's memory. */
FASTBP_INLINE void *fastbp_take(char **memory, size_t room) {
    char *taken = *memory;
    *memory += room;
    return taken;
}

/* rows of an image with its zeros, from `first` on, which counts those on top */
static void fastbp_copy_frame(const fastbp_convolution *s, const fastbp_real *image, intptr_t first, intptr_t rows,
                              fastbp_real *to) {
    const fastbp_window *w = &s->w;
    const intptr_t left = fastbp_smaller(w->left, s->frame_w), middle = fastbp_smaller(w->width, s->frame_w - left);
    for (intptr_t r = first - w->top; r < first - w->top + rows; r++, to += s->pitch) {
        if (r < 0 || r >= w->height) {
            memset(to, 0, (size_t)s->pitch * sizeof *to);
            continue;
        }
        memset(to, 0, (size_t)(left * w->c) * sizeof *to);
        memcpy(to + left * w->c, image + r * w->width * w->c, (size_t)(middle * w->c) * sizeof *to);
        memset(to + (left + middle) * w->c, 0, (size_t)((s->frame_w - left - middle) * w->c) * sizeof *to);
    }
}

/* panel[p, 0 ... WIDTH) = rows[p, 0 ... n), then zeros */
static void fastbp_pack_panel(const fastbp_real *rows, intptr_t pitch, intptr_t count, intptr_t n, fastbp_real *panel) {
    for (intptr_t p = 0; p < count; p++, rows += pitch, panel += FASTBP_WIDTH) {
        memcpy(panel, rows, (size_t)n * sizeof *panel);
        memset(panel + n, 0, (size_t)(FASTBP_WIDTH - n) * sizeof *panel);
    }
}

/* count rows in tiles of nearly equal height */
FASTBP_INLINE void fastbp_patch_tiles(fastbp_patch_tile *t, int form, intptr_t first, intptr_t count) {
    const intptr_t tiles = fastbp_divided(count, FASTBP_ROWS), low = tiles ? count / tiles : 0;
    const intptr_t taller = count - low * tiles;
    t->places += first;
    for (intptr_t i = 0; i < tiles; i++) {
        const intptr_t rows = low + (i < taller);
        fastbp_patch_kernels[rows - 1][form](t);
        t->places += rows;
    }
}

static void fastbp_describe(fastbp_convolution *s) {
    const fastbp_window *w = &s->w;
    s->m = w->o / w->groups, s->taps = w->kh * w->kw * w->n, s->panels = fastbp_divided(s->m, FASTBP_WIDTH);
    s->frame_h = (w->oh - 1) * w->stride_h + w->dilation_h * (w->kh - 1) + 1;
    s->frame_w = (w->ow - 1) * w->stride_w + w->dilation_w * (w->kw - 1) + 1;
    s->padded = w->top || w->left || s->frame_w > w->width || s->frame_h > w->height;
    s->pitch = (s->padded ? s->frame_w : w->width) * w->c;
    s->merged = w->n == w->c && w->dilation_w == 1;
}

/* How many images or rows at a time: `rows` in an image, of `bytes` each. */
static void fastbp_choose_block(fastbp_convolution *s, intptr_t rows, intptr_t most, intptr_t few, intptr_t bytes,
                                int parts) {
    const intptr_t fitting = fastbp_greater(FASTBP_BLOCK_BYTES / fastbp_greater(bytes, 1), 1);
    s->by_rows = rows > most || (parts > 1 && s->w.batch < 4 * parts);
    if (s->by_rows)
        s->block = fastbp_smaller(rows, fastbp_greater(fastbp_smaller(most, fitting), 1));
    else
        s->block = fastbp_smaller(s->w.batch,
                                  fastbp_greater(fastbp_smaller(fastbp_divided(few, rows), fitting / rows), 1));
}

/* A part of a call. Functions `begin` make the caller's memory ready and return it, or NULL where nothing is left to do,
 * or there is no memory, and then `failed` is set. */
typedef void (*fastbp_convolution_part)(void *context, int part, int parts);

#endif
