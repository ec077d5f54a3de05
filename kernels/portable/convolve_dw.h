/* dw of convolve.h: for each image a chain over its positions, which is added to what is there.
 *
 *   lanes      row of a tile              where
 *   filters    an element (kh, kw, c)     in general
 *   pairs      likewise, of two images    filters fill half a vector at most: two images share it, filter by filter,
 *                                         and pixels are broadcast in pairs; then the one is added, then the other
 *   taps       a filter                   there are very few: lanes run over (kw, c), which is long
 *
 * Images are added in their order, so threads share dw and not images.
 */
#ifndef FASTBP_CONVOLVE_DW_H
#define FASTBP_CONVOLVE_DW_H

#include "patch_tiles.h"

enum { FASTBP_OF_FILTERS, FASTBP_OF_PAIRS, FASTBP_OF_TAPS };

/* to[2 i] = x[i], to[2 i + 1] = z[i] */
static void fastbp_interleave(const fastbp_real *x, const fastbp_real *z, intptr_t n, fastbp_real *to) {
    FASTBP_INDEPENDENT for (intptr_t i = 0; i < n; i++) {
        to[2 * i] = x[i];
        to[2 * i + 1] = z[i];
    }
}

typedef struct {
    fastbp_place *places; /* of all taps, or filters */
    fastbp_segment *segments;
    fastbp_real *panel, *frame, *product;
} fastbp_dw_memory;

/* What an image adds to some rows of tiles of some panels of filters. */
static void fastbp_dw_of_filters(const fastbp_convolution *s, const fastbp_dw_memory *memory, const fastbp_real *x,
                                 const fastbp_real *dy, intptr_t begin, intptr_t end) {
    const fastbp_window *w = &s->w;
    const intptr_t tiles = fastbp_divided(s->taps, FASTBP_ROWS), step = s->packed ? FASTBP_WIDTH : w->o;
    for (intptr_t unit = begin, count; unit < end; unit += count) {
        const intptr_t g = unit / tiles / s->panels, p = unit / tiles % s->panels, first = unit % tiles;
        const intptr_t j = g * s->m + p * FASTBP_WIDTH;
        count = fastbp_smaller(tiles - first, end - unit);
        fastbp_patch_tile t = {.a = (const char *)(x + g * w->n), .b = (const char *)(dy + j), .places = memory->places,
                               .segments = memory->segments, .count = w->oh, .run = w->ow,
                               .a_step = w->stride_w * w->c * FASTBP_ITEM, .b_step = step * FASTBP_ITEM,
                               .y = (char *)(s->y + j), .add = 1};
        const int vecs = fastbp_panel_vecs(s->m - p * FASTBP_WIDTH, &t.lanes);
        if (s->packed) {
            fastbp_pack_panel(dy + j, w->o, w->oh * w->ow, (vecs - 1) * FASTBP_LANES + t.lanes, memory->panel);
            t.b = (const char *)memory->panel;
        }
        const intptr_t row = s->taps * first / tiles;
        fastbp_patch_tiles(&t, vecs, row, s->taps * (first + count) / tiles - row);
    }
}

/* What two images add, whose pixels and dy lie in turn, or one of them. */
static void fastbp_dw_of_pairs(const fastbp_convolution *s, const fastbp_dw_memory *memory, int images, intptr_t begin,
                               intptr_t end) {
    const fastbp_window *w = &s->w;
    const intptr_t tiles = fastbp_divided(s->taps, FASTBP_ROWS), o = w->o, m = s->m;
    for (intptr_t unit = begin, count; unit < end; unit += count) {
        const intptr_t g = unit / tiles, first = unit % tiles, row = s->taps * first / tiles;
        count = fastbp_smaller(tiles - first, end - unit);
        fastbp_patch_tile t = {.a = (const char *)(memory->frame + 2 * g * w->n), .places = memory->places,
                               .b = (const char *)(memory->panel + 2 * g * m), .segments = memory->segments,
                               .count = w->oh, .run = w->ow, .a_step = 2 * w->stride_w * w->c * FASTBP_ITEM,
                               .b_step = 2 * o * FASTBP_ITEM, .y = (char *)memory->product, .lanes = FASTBP_LANES};
        const intptr_t below = s->taps * (first + count) / tiles;
        fastbp_patch_tiles(&t, FASTBP_PAIRS, row, below - row);
        for (intptr_t p = row; p < below; p++) {
            const fastbp_real *product = memory->product + p * FASTBP_LANES;
            fastbp_real *dw = s->y + p * o + g * m;
            for (intptr_t j = 0; j < m; j++) {
                const fastbp_real sum = dw[j] + product[2 * j];
                dw[j] = images > 1 ? sum + product[2 * j + 1] : sum;
            }
        }
    }
}

/* What an image adds to some vectors of some runs of taps. */
static void fastbp_dw_of_taps(const fastbp_convolution *s, const fastbp_dw_memory *memory, const fastbp_real *x,
                              const fastbp_real *dy, intptr_t begin, intptr_t end) {
    const fastbp_window *w = &s->w;
    const intptr_t wide = s->merged ? 1 : w->kw, run = s->taps / (w->kh * wide), m = s->m;
    const intptr_t panels = fastbp_divided(run, FASTBP_WIDTH);
    for (intptr_t unit = begin; unit < end; unit++) {
        const intptr_t l = unit % panels * FASTBP_WIDTH, tap = unit / panels % (w->kh * wide);
        const intptr_t g = unit / panels / (w->kh * wide), count = fastbp_smaller(run - l, FASTBP_WIDTH);
        fastbp_patch_tile t = {.a = (const char *)(dy + g * m), .places = memory->places, .segments = memory->segments,
                               .count = w->oh, .run = w->ow, .a_step = w->o * FASTBP_ITEM,
                               .b_step = w->stride_w * w->c * FASTBP_ITEM, .y = (char *)memory->product,
                               .lanes = FASTBP_LANES};
        t.b = (const char *)(x + tap / wide * w->dilation_h * s->pitch + tap % wide * w->dilation_w * w->c + g * w->n
                             + l);
        fastbp_patch_tiles(&t, count > FASTBP_LANES ? 2 : 1, 0, m);
        for (intptr_t j = 0; j < m; j++) {
            const fastbp_real *product = memory->product + j * FASTBP_WIDTH;
            fastbp_real *dw = s->y + (tap * run + l) * w->o + g * m + j;
            for (intptr_t q = 0; q < count; q++) dw[q * w->o] += product[q];
        }
    }
}

static void fastbp_dw_part(void *context, int part, int parts) {
    fastbp_convolution *s = (fastbp_convolution *)context;
    const fastbp_window *w = &s->w;
    const int pairs = s->lanes == FASTBP_OF_PAIRS, of_taps = s->lanes == FASTBP_OF_TAPS;
    const intptr_t begin = s->block * part / parts, end = s->block * (part + 1) / parts, positions = w->oh * w->ow;
    const intptr_t image = w->height * w->width * w->c, frame = s->frame_h * s->pitch;
    const intptr_t position = (of_taps || !s->packed ? w->o : FASTBP_WIDTH) * (1 + pairs) * FASTBP_ITEM;
    const intptr_t pixel = w->c * (1 + pairs) * FASTBP_ITEM;
    char *memory = (char *)fastbp_scratch(s->own);
    if (!memory) {
        s->failed = 1;
        return;
    }
    fastbp_dw_memory mine;
    mine.places = (fastbp_place *)fastbp_take(&memory, fastbp_room_of_places(s->taps + s->m));
    mine.segments = (fastbp_segment *)fastbp_take(&memory, fastbp_room_of_places(w->oh));
    mine.product = (fastbp_real *)fastbp_take(&memory, s->product);
    mine.panel = (fastbp_real *)fastbp_take(&memory, s->part_panel);
    mine.frame = (fastbp_real *)memory;
    for (intptr_t i = 0; i < w->oh; i++) {
        const intptr_t row = i * w->stride_h * s->pitch * (1 + pairs) * FASTBP_ITEM, line = i * w->ow * position;
        mine.segments[i] = of_taps ? (fastbp_segment){line, row} : (fastbp_segment){row, line};
    }
    if (of_taps)
        for (intptr_t j = 0; j < s->m; j++)
            mine.places[j] = (fastbp_place){j * FASTBP_ITEM, j * FASTBP_WIDTH * FASTBP_ITEM};
    else
        for (intptr_t p = 0, at = 0; p < w->kh; p++)
            for (intptr_t q = 0; q < w->kw; q++)
                for (intptr_t k = 0; k < w->n; k++, at++)
                    mine.places[at] = (fastbp_place){
                        p * w->dilation_h * s->pitch * (1 + pairs) * FASTBP_ITEM
                            + q * w->dilation_w * pixel + k * (1 + pairs) * FASTBP_ITEM,
                        at * (pairs ? FASTBP_LANES : w->o) * FASTBP_ITEM};
    for (intptr_t q = 0; q < w->batch; q += 1 + pairs) {
        const intptr_t second = pairs && q + 1 < w->batch; /* or the first once more */
        const fastbp_real *x = s->x + q * image, *z = x + second * image, *dy = s->weights + q * positions * w->o;
        if (s->padded) {
            fastbp_real *copy = mine.frame + (pairs ? 2 * frame : 0);
            fastbp_copy_frame(s, x, 0, s->frame_h, copy);
            x = copy;
            if (pairs) fastbp_copy_frame(s, z, 0, s->frame_h, copy + frame), z = copy + frame;
        } else if (of_taps)
            x = (const fastbp_real *)memcpy(mine.frame, x, (size_t)frame * sizeof *x); /* vectors read behind it */
        if (pairs) {
            fastbp_interleave(x, z, frame, mine.frame);
            fastbp_interleave(dy, dy + second * positions * w->o, positions * w->o, mine.panel);
            fastbp_dw_of_pairs(s, &mine, (int)second + 1, begin, end);
        } else if (of_taps)
            fastbp_dw_of_taps(s, &mine, x, dy, begin, end);
        else
            fastbp_dw_of_filters(s, &mine, x, dy, begin, end);
    }
}

/* The vectors of fmas of a position decide what lanes are. */
static void fastbp_choose_lanes(fastbp_convolution *s, intptr_t runs, intptr_t run) {
    const fastbp_window *w = &s->w;
    const intptr_t filters = w->groups * s->taps * fastbp_divided(s->m, FASTBP_LANES), m = s->m;
    /* a tile has at least four chains, or it waits for each */
    const intptr_t taps = w->groups * runs * (run / FASTBP_WIDTH * fastbp_greater(2 * m, 4)
        + (run % FASTBP_WIDTH > FASTBP_LANES ? fastbp_greater(2 * m, 4) : run % FASTBP_WIDTH ? fastbp_greater(m, 4) : 0))
        + fastbp_divided(w->c, FASTBP_LANES);
    const intptr_t pairs = w->groups * s->taps / 2 + fastbp_divided(4 * (w->c + w->o), FASTBP_LANES);
    s->lanes = FASTBP_OF_FILTERS;
    if (2 * m <= FASTBP_LANES && w->batch > 1 && pairs < filters) s->lanes = FASTBP_OF_PAIRS;
    if (taps < (s->lanes == FASTBP_OF_PAIRS ? pairs : filters)) s->lanes = FASTBP_OF_TAPS;
}

static fastbp_convolution_part fastbp_begin_dw(fastbp_convolution *s, int parts) {
    const fastbp_window *w = &s->w;
    (void)parts;
    fastbp_describe(s);
    memset(s->y, 0, (size_t)(s->taps * w->o) * sizeof *s->y);
    if (w->batch * w->oh * w->ow * s->taps * s->m == 0) return NULL;
    const intptr_t runs = w->kh * (s->merged ? 1 : w->kw), frame = s->frame_h * s->pitch, positions = w->oh * w->ow;
    fastbp_choose_lanes(s, runs, s->taps / runs);
    s->block = w->groups * s->panels * fastbp_divided(s->taps, FASTBP_ROWS);
    s->own = s->padded ? fastbp_room(frame) : 0;
    if (s->lanes == FASTBP_OF_PAIRS) {
        s->product = fastbp_room(s->taps * FASTBP_LANES);
        s->part_panel = fastbp_room(2 * positions * w->o + FASTBP_LANES);
        s->own = fastbp_room(s->padded ? 4 * frame : 2 * frame);
    } else if (s->lanes == FASTBP_OF_TAPS) {
        s->block = w->groups * runs * fastbp_divided(s->taps / runs, FASTBP_WIDTH);
        s->product = fastbp_room(s->m * FASTBP_WIDTH);
        s->own = fastbp_room(frame + FASTBP_WIDTH);
    } else if ((s->packed = w->groups > 1 || s->m % FASTBP_LANES))
        s->part_panel = fastbp_room(positions * FASTBP_WIDTH);
    s->own += fastbp_room_of_places(s->taps + s->m) + fastbp_room_of_places(w->oh) + s->product + s->part_panel;
    s->failed = !fastbp_scratch(s->own);
    return s->failed ? NULL : fastbp_dw_part;
}

#endif
