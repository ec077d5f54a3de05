/* dx of convolve.h: for each tap in the order (kh, kw) a chain over the filters, which is added to what is there.
 *
 * A cell of dx meets some taps, each at another position. Cells that meet the same ones, at the same distances, are rows
 * of tiles: nine kinds with a kernel of 3 x 3, more at the edges of larger ones. A tile adds its taps in registers. Lanes
 * run over channels.
 *
 * Few channels fill few lanes. Then lanes run over (kw, c), contiguous in dx too, and each row of taps is added where it
 * falls: kh ascends outside of all, and positions of a row descend, so that a cell meets its leftmost tap first. A tile
 * has one column of several rows, whose cells are its own: no addition waits for another.
 */
#ifndef FASTBP_CONVOLVE_DX_H
#define FASTBP_CONVOLVE_DX_H

#include "patch_tiles.h"

/* ---- taps in registers ---- */

/* All cells of an axis, those with equal taps together. From one tap to the next one: `taps`, and `back` positions. */
static void fastbp_list_meetings(intptr_t size, intptr_t outputs, intptr_t k, intptr_t stride, intptr_t dilation,
                                 intptr_t before, intptr_t *taps, intptr_t *back, fastbp_meeting *to) {
    *taps = stride, *back = dilation;
    for (intptr_t d = 2; d <= *back; d++)
        while (*taps % d == 0 && *back % d == 0) *taps /= d, *back /= d;
    for (intptr_t cell = 0; cell < size; cell++) {
        fastbp_meeting m = {cell, 0, 0, 0};
        for (intptr_t tap = 0; tap < k; tap++) {
            const intptr_t at = cell + before - tap * dilation;
            if (at < 0 || at % stride || at / stride >= outputs) continue;
            if (m.count++ == 0) m.tap = tap, m.from = at / stride;
        }
        intptr_t place = cell;
        for (; place && (to[place - 1].count > m.count || (to[place - 1].count == m.count && to[place - 1].tap > m.tap));
             place--)
            to[place] = to[place - 1];
        to[place] = m;
    }
}

FASTBP_INLINE intptr_t fastbp_alike(const fastbp_meeting *all, intptr_t first, intptr_t size) {
    intptr_t end = first + 1;
    while (end < size && all[end].count == all[first].count && all[end].tap == all[first].tap) end++;
    return end;
}

static void fastbp_clear_rows(const fastbp_convolution *s, fastbp_real *dx, intptr_t images, intptr_t first,
                              intptr_t end) {
    const intptr_t row = s->w.width * s->w.c;
    for (intptr_t q = 0; q < images; q++)
        memset(dx + (q * s->w.height + first) * row, 0, (size_t)((end - first) * row) * sizeof *dx);
}

/* Cells of an image that meet the same taps: a tile of them adds those in its registers. */
static void fastbp_dx_of_cells(const fastbp_convolution *s, const fastbp_place *places, intptr_t count,
                               const fastbp_segment *segments, intptr_t taps, const fastbp_real *dy, fastbp_real *dx) {
    const fastbp_window *w = &s->w;
    const fastbp_real *panel = s->panel;
    for (intptr_t g = 0; g < w->groups; g++)
        for (intptr_t l = 0; l < w->n; l += FASTBP_WIDTH, panel += w->kh * w->kw * s->m * FASTBP_WIDTH) {
            fastbp_patch_tile t = {.a = (const char *)(dy + g * s->m), .b = (const char *)panel, .places = places,
                                   .y = (char *)(dx + g * w->n + l), .segments = segments, .count = taps, .run = s->m,
                                   .a_step = FASTBP_ITEM, .b_step = FASTBP_WIDTH * FASTBP_ITEM};
            if (fastbp_panel_vecs(w->n - l, &t.lanes) == 1) {
                fastbp_patch_tiles(&t, FASTBP_SUMS, 0, count);
                continue;
            }
            const intptr_t tiles = fastbp_divided(count, FASTBP_SUM_ROWS), low = count / tiles;
            for (intptr_t i = 0, taller = count - low * tiles; i < tiles; i++) {
                fastbp_sum_kernels[low + (i < taller) - 1](&t);
                t.places += low + (i < taller);
            }
        }
}

/* Of rows [first, end) of one image, or of some images. */
static void fastbp_dx_collect(const fastbp_convolution *s, char *memory, intptr_t image, intptr_t images, intptr_t first,
                              intptr_t end) {
    const fastbp_window *w = &s->w;
    fastbp_place *places = (fastbp_place *)fastbp_take(&memory, fastbp_room_of_places(FASTBP_BLOCK_POSITIONS));
    fastbp_segment *segments = (fastbp_segment *)memory;
    const fastbp_real *dy = s->x + image * w->oh * w->ow * w->o;
    fastbp_real *dx = s->y + image * w->height * w->width * w->c;
    if (s->rows->count == 0 || s->columns->count == 0) fastbp_clear_rows(s, dx, images, first, end);
    for (intptr_t i = 0, i_end; i < w->height; i = i_end) {
        i_end = fastbp_alike(s->rows, i, w->height);
        for (intptr_t j = 0, j_end; j < w->width; j = j_end) {
            j_end = fastbp_alike(s->columns, j, w->width);
            if (s->rows[i].count * s->columns[j].count == 0) continue;
            intptr_t taps = 0, count = 0;
            for (intptr_t p = 0; p < s->rows[i].count; p++)
                for (intptr_t q = 0; q < s->columns[j].count; q++) {
                    const intptr_t tap = (s->rows[i].tap + p * s->taps_h) * w->kw + s->columns[j].tap + q * s->taps_w;
                    segments[taps++] = (fastbp_segment){-(p * s->back_h * w->ow + q * s->back_w) * w->o * FASTBP_ITEM,
                                                        tap * s->m * FASTBP_WIDTH * FASTBP_ITEM};
                }
            for (intptr_t q = 0; q < images; q++)
                for (intptr_t k = i; k < i_end; k++) {
                    if (s->rows[k].cell < first || s->rows[k].cell >= end) continue;
                    for (intptr_t l = j; l < j_end; l++) {
                        if (count == FASTBP_BLOCK_POSITIONS) {
                            fastbp_dx_of_cells(s, places, count, segments, taps, dy, dx);
                            count = 0;
                        }
                        places[count++] = (fastbp_place){
                            ((q * w->oh + s->rows[k].from) * w->ow + s->columns[l].from) * w->o * FASTBP_ITEM,
                            ((q * w->height + s->rows[k].cell) * w->width + s->columns[l].cell) * w->c * FASTBP_ITEM};
                    }
                }
            if (count) fastbp_dx_of_cells(s, places, count, segments, taps, dy, dx);
        }
    }
}

/* ---- a row of taps after the other ---- */

/* Of rows [first, end) of one image, or of some images; of one group, without dilation of columns. */
static void fastbp_dx_scatter(const fastbp_convolution *s, fastbp_place *places, intptr_t image, intptr_t images,
                              intptr_t first, intptr_t end) {
    const fastbp_window *w = &s->w;
    const intptr_t run = w->kw * w->c, row = w->width * w->c;
    const fastbp_segment whole = {0, 0};
    const fastbp_real *panel = s->panel, *dy = s->x + image * w->oh * w->ow * w->o;
    fastbp_real *dx = s->y + image * w->height * row;
    fastbp_clear_rows(s, dx, images, first, end);
    for (intptr_t p = 0; p < w->kh; p++) {
        /* the rows of dy whose taps p lie in those of dx */
        const intptr_t shift = p * w->dilation_h - w->top;
        const intptr_t low = first > shift ? fastbp_divided(first - shift, w->stride_h) : 0;
        const intptr_t high = end > shift ? fastbp_smaller(fastbp_divided(end - shift, w->stride_h), w->oh) : 0;
        intptr_t rows = 0;
        for (intptr_t q = 0; q < images; q++)
            for (intptr_t i = low; i < high; i++)
                places[rows++] = (fastbp_place){((q * w->oh + i) * w->ow * w->o) * FASTBP_ITEM,
                                                (q * w->height + i * w->stride_h + shift) * row * FASTBP_ITEM};
        for (intptr_t l = 0; l < run; l += FASTBP_WIDTH, panel += w->o * FASTBP_WIDTH) {
            fastbp_patch_tile t = {.places = places, .segments = &whole, .count = 1, .run = w->o, .a_step = FASTBP_ITEM,
                                   .b_step = FASTBP_WIDTH * FASTBP_ITEM, .add = 1};
            for (intptr_t i = 0, height; i < rows; i += height, t.places += height) {
                height = fastbp_divided(rows - i, fastbp_divided(rows - i, FASTBP_ROWS));
                for (intptr_t j = w->ow - 1; j >= 0; j--) {
                    /* those of this vector's lanes that lie inside the image */
                    const intptr_t pixel = j * w->stride_w - w->left;
                    const intptr_t from = fastbp_greater(l, -pixel * w->c);
                    const intptr_t to = fastbp_smaller(fastbp_smaller(l + FASTBP_WIDTH, run), (w->width - pixel) * w->c);
                    if (from >= to) continue;
                    const int vecs = fastbp_panel_vecs(to - from, &t.lanes);
                    t.a = (const char *)(dy + j * w->o);
                    t.b = (const char *)(panel + (from - l));
                    t.y = (char *)(dx + (pixel * w->c + from));
                    fastbp_patch_kernels[height - 1][vecs](&t);
                }
            }
        }
    }
}

/* ---- a call ---- */

static void fastbp_dx_part(void *context, int part, int parts) {
    fastbp_convolution *s = (fastbp_convolution *)context;
    const fastbp_window *w = &s->w;
    const intptr_t units = s->by_rows ? w->batch * w->height : w->batch, end = units * (part + 1) / parts;
    char *memory = (char *)fastbp_scratch(s->shared + s->own);
    if (!memory) {
        s->failed = 1;
        return;
    }
    memory += s->shared;
    for (intptr_t unit = units * part / parts, count; unit < end; unit += count) {
        const intptr_t image = s->by_rows ? unit / w->height : unit, row = s->by_rows ? unit % w->height : 0;
        count = fastbp_smaller(s->block, end - unit);
        if (s->by_rows) count = fastbp_smaller(count, w->height - row);
        const intptr_t images = s->by_rows ? 1 : count, below = s->by_rows ? row + count : w->height;
        if (s->rows)
            fastbp_dx_collect(s, memory, image, images, row, below);
        else
            fastbp_dx_scatter(s, (fastbp_place *)memory, image, images, row, below);
    }
}

/* Whether lanes over the channels of a cell do hardly more than those over a row of taps. */
FASTBP_INLINE int fastbp_collecting_is_cheaper(const fastbp_convolution *s) {
    const intptr_t vectors = fastbp_divided(s->w.n, FASTBP_LANES) * s->w.kw;
    return !s->merged || 8 * vectors <= 9 * fastbp_divided(s->w.kw * s->w.n, FASTBP_LANES);
}

static fastbp_convolution_part fastbp_begin_dx(fastbp_convolution *s, int parts) {
    const fastbp_window *w = &s->w;
    fastbp_describe(s);
    if (w->batch * w->height * w->width * w->c == 0) return NULL;
    const int collect = fastbp_collecting_is_cheaper(s);
    const intptr_t taps = collect ? w->kh * w->kw : w->kh, run = collect ? w->n : w->kw * w->c;
    const intptr_t panels = fastbp_divided(run, FASTBP_WIDTH), bytes = (w->width * w->c + w->ow * w->o) * FASTBP_ITEM;
    const size_t axes = ((size_t)(w->height + w->width) * sizeof(fastbp_meeting) + 63) / 64 * 64;
    fastbp_choose_block(s, w->height, fastbp_greater(4 * FASTBP_BLOCK_BYTES / bytes, 32), 8 * FASTBP_ROWS, bytes, parts);
    if (collect) /* many images: some cells meet taps as no other of their image does */
        s->block = s->by_rows ? w->height
                              : fastbp_smaller(w->batch, fastbp_greater(8 * FASTBP_BLOCK_BYTES / bytes / w->height, 1));
    /* tiles at an edge read from the middle of a panel on, so behind the last one */
    s->shared = axes + fastbp_room((w->groups * taps * panels * s->m + 1) * FASTBP_WIDTH);
    s->own = collect ? fastbp_room_of_places(FASTBP_BLOCK_POSITIONS) + fastbp_room_of_places(w->kh * w->kw)
                     : fastbp_room_of_places((s->by_rows ? 1 : s->block) * w->oh);
    char *memory = (char *)fastbp_scratch(s->shared + s->own);
    s->failed = !memory;
    if (!memory) return NULL;
    fastbp_meeting *rows = (fastbp_meeting *)fastbp_take(&memory, axes), *columns = rows + w->height;
    fastbp_real *panel = (fastbp_real *)memory;
    s->panel = panel;
    if (collect) {
        s->rows = rows, s->columns = columns;
        fastbp_list_meetings(w->height, w->oh, w->kh, w->stride_h, w->dilation_h, w->top, &s->taps_h, &s->back_h, rows);
        fastbp_list_meetings(w->width, w->ow, w->kw, w->stride_w, w->dilation_w, w->left, &s->taps_w, &s->back_w,
                             columns);
    }
    for (intptr_t g = 0; g < w->groups; g++) /* the taps of a panel of channels, or the panels of a row of taps */
        for (intptr_t i = 0; i < taps * panels; i++, panel += s->m * FASTBP_WIDTH) {
            const intptr_t tap = collect ? i % taps : i / panels, l = (collect ? i / taps : i % panels) * FASTBP_WIDTH;
            fastbp_pack_columns(s->weights + (tap * run + l) * w->o + g * s->m, 1, w->o, s->m,
                                fastbp_smaller(run - l, FASTBP_WIDTH), 2, panel);
        }
    memset(panel, 0, FASTBP_WIDTH * sizeof *panel);
    return fastbp_dx_part;
}

#endif
