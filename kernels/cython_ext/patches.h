/* Patches of images, and what they give back: the memory that the products of a convolution read and write. */
#ifndef FASTBP_PATCHES_H
#define FASTBP_PATCHES_H

#include <string.h>

#include "../portable/convolve.h"

FASTBP_INLINE intptr_t fastbp_between(intptr_t low, intptr_t value, intptr_t high) {
    return value < low ? low : value > high ? high : value;
}

/* How many places, from the first on, have their cell `shift` before `bound`; at most `most` */
FASTBP_INLINE intptr_t fastbp_count_places(intptr_t bound, intptr_t shift, intptr_t stride, intptr_t most) {
    return bound <= shift ? 0 : fastbp_between(0, (bound - shift - 1) / stride + 1, most);
}

/* More than 16 numbers: the last of them are moved twice rather than one by one */
FASTBP_INLINE void fastbp_copy_many(fastbp_real *y, const fastbp_real *x, intptr_t n) {
    intptr_t k = 0;
    for (; k + 16 <= n; k += 16) memcpy(y + k, x + k, 16 * sizeof *y);
    if (k < n) memcpy(y + n - 16, x + n - 16, 16 * sizeof *y);
}

/* `count` runs of n numbers, which lie `x_step` and `y_step` apart */
static void fastbp_copy_runs(
    const fastbp_real *x, fastbp_real *y, intptr_t count, intptr_t n, intptr_t x_step, intptr_t y_step
) {
#define FASTBP_RUNS(copy) for (intptr_t k = 0; k < count; k++, x += x_step, y += y_step) copy
    if (n > 0) FASTBP_BY_LENGTH(n, FASTBP_RUNS(memcpy(y, x, N * sizeof *y)), FASTBP_RUNS(fastbp_copy_many(y, x, n)))
#undef FASTBP_RUNS
}

static void fastbp_zero_runs(fastbp_real *y, intptr_t count, intptr_t n, intptr_t y_step) {
    for (intptr_t k = 0; k < count; k++, y += y_step)
        for (intptr_t l = 0; l < n; l++) y[l] = 0;
}

static void fastbp_add_runs(
    const fastbp_real *x, fastbp_real *y, intptr_t count, intptr_t n, intptr_t x_step, intptr_t y_step
) {
#define FASTBP_RUNS(n) \
    for (intptr_t k = 0; k < count; k++, x += x_step, y += y_step) \
        FASTBP_INDEPENDENT for (intptr_t l = 0; l < (n); l++) y[l] += x[l]
    FASTBP_BY_LENGTH(n, FASTBP_RUNS(N), FASTBP_RUNS(n))
#undef FASTBP_RUNS
}

/* One run of an image's row into all patches of a row: cells that lie outside are 0.
 * A run begins `shift` cells right of a place, and has `cells` of them side by side. */
FASTBP_INLINE void fastbp_patch_runs(
    const fastbp_window *w, const fastbp_real *line, fastbp_real *y, intptr_t shift, intptr_t cells, intptr_t taps
) {
    const intptr_t run = cells * w->n, step = w->stride_w * w->c;
    /* places before `first` lack cells on the left, those from `last` on lack some on the right */
    const intptr_t first = fastbp_count_places(0, shift, w->stride_w, w->ow);
    const intptr_t last = fastbp_between(first, fastbp_count_places(w->width, shift + cells - 1, w->stride_w, w->ow), w->ow);
    fastbp_copy_runs(line + (first * w->stride_w + shift) * w->c, y + first * taps, last - first, run, step, taps);
    for (intptr_t j = 0; j < w->ow; j++) {
        if (j == first) j = last;
        if (j >= w->ow) break;
        const intptr_t at = j * w->stride_w + shift;
        const intptr_t start = fastbp_between(0, -at, cells), stop = fastbp_between(start, w->width - at, cells);
        fastbp_real *to = y + j * taps;
        fastbp_zero_runs(to, 1, start * w->n, 0);
        memcpy(to + start * w->n, line + (at + start) * w->c, (stop - start) * w->n * sizeof *to);
        fastbp_zero_runs(to + stop * w->n, 1, (cells - stop) * w->n, 0);
    }
}

/* y[ow, kh, kw, n] = the patches of row `row` of the output; x is an image from the first channel that is seen on */
static void fastbp_patch_row(const fastbp_window *w, const fastbp_real *x, intptr_t row, fastbp_real *y) {
    const intptr_t taps = w->kh * w->kw * w->n;
    /* cells beside one another are copied at once */
    const intptr_t side_by_side = w->dilation_w == 1 && w->n == w->c ? w->kw : 1;
    for (intptr_t i = 0; i < w->kh; i++) {
        const intptr_t from = row * w->stride_h + i * w->dilation_h - w->top;
        for (intptr_t j = 0; j < w->kw; j += side_by_side) {
            fastbp_real *to = y + (i * w->kw + j) * w->n;
            if (from < 0 || from >= w->height)
                fastbp_zero_runs(to, w->ow, side_by_side * w->n, taps);
            else
                fastbp_patch_runs(
                    w, x + from * w->width * w->c, to, j * w->dilation_w - w->left, side_by_side, taps
                );
        }
    }
}

/* x += what each place gives to the cells of its patch, x[oh, ow, kh, kw, n]; a cell gets it in the order (kh, kw) */
static void fastbp_fold(const fastbp_window *w, const fastbp_real *columns, fastbp_real *x) {
    const intptr_t taps = w->kh * w->kw * w->n;
    for (intptr_t line = 0; line < w->height; line++, x += w->width * w->c)
        for (intptr_t i = 0; i < w->kh; i++) {
            const intptr_t at = line + w->top - i * w->dilation_h, row = at / w->stride_h;
            if (at < 0 || at % w->stride_h != 0 || row >= w->oh) continue;
            for (intptr_t j = 0; j < w->kw; j++) {
                const intptr_t shift = j * w->dilation_w - w->left;
                const intptr_t first = fastbp_count_places(0, shift, w->stride_w, w->ow);
                const intptr_t last = fastbp_count_places(w->width, shift, w->stride_w, w->ow);
                fastbp_add_runs(
                    columns + (row * w->ow + first) * taps + (i * w->kw + j) * w->n,
                    x + (first * w->stride_w + shift) * w->c, last - first, w->n, taps, w->stride_w * w->c
                );
            }
        }
}

#endif
