/* Windows that walk over images, each channel by itself: depthwise convolution, pools and their gradients.
 *
 * Channels are in the lanes of vectors, and of a place's cells one after the other is added: the order of the
 * definitions. All sums begin at +0, so none is ever -0, and adding a zero of either sign changes nothing. That is why
 * cells outside of an image may be left out, or be zeros, unless a weight is infinite or NaN. */
#ifndef FASTBP_WINDOWS_H
#define FASTBP_WINDOWS_H

#include "../portable/primitives.h"
#include "helpers.h"

/* Images of height x width x c, and a window of kh x kw that has oh x ow places; m filters a channel */
typedef struct {
    intptr_t batch, height, width, c, kh, kw, m, oh, ow;
    intptr_t stride_h, stride_w, top, left, dilation_h, dilation_w;
} fastbp_walk;

/* The registers of a CPU, and how many sums of places they hold beside the cells of a row of windows */
#if FASTBP_VECTOR == 64 || defined(__aarch64__)
enum { FASTBP_PLACES = 8, FASTBP_ABREAST = 4 };
#else
enum { FASTBP_PLACES = 4, FASTBP_ABREAST = 2 };
#endif
enum { FASTBP_HELD = 1 << 15 }; /* elements of rows that stay in L2 */
enum { FASTBP_CELLS = 64, FASTBP_FEWEST = 4 }; /* that are told at a time; places whose sums are worth registers */

/* One cell of every place of a row: place t has it at x + t * step if first <= t < last; else it lies outside */
typedef struct {
    const fastbp_real *x, *w;
    intptr_t first, last;
} fastbp_cell;

/* The smallest t that is not negative and has t * step + at >= bound */
FASTBP_INLINE intptr_t fastbp_from(intptr_t bound, intptr_t at, intptr_t step) {
    return bound > at ? (bound - at + step - 1) / step : 0;
}

FASTBP_INLINE fastbp_vec fastbp_load_some(const fastbp_real *p, int lanes, const int whole) {
    return whole ? fastbp_load(p) : fastbp_load_part(p, lanes);
}

FASTBP_INLINE void fastbp_store_some(fastbp_real *p, fastbp_vec v, int lanes, const int whole) {
    if (whole) fastbp_store(p, v);
    else fastbp_store_part(p, v, lanes);
}

/* `call` for each vector of n channels from k on; the last of them may be a part */
#define FASTBP_CHANNELS(k, n, call) \
    do { \
        intptr_t k = 0; \
        for (; k + FASTBP_LANES <= (n); k += FASTBP_LANES) { enum { whole = 1, lanes = FASTBP_LANES }; call; } \
        if (k < (n)) { enum { whole = 0 }; const int lanes = (int)((n) - k); call; } \
    } while (0)
/* The same for n that a vector has at least: the last one begins earlier, and is computed twice */
#define FASTBP_WHOLE_CHANNELS(k, n, ...) \
    for (intptr_t k = 0;;) { \
        __VA_ARGS__; \
        if (k + FASTBP_LANES >= (n)) break; \
        k = fastbp_smaller(k + FASTBP_LANES, (n) - FASTBP_LANES); \
    }

/* ---- depthwise convolution: a list of cells, whatever they are */

FASTBP_INLINE void fastbp_add_cells(
    const fastbp_cell *cells, int count, fastbp_real *y, intptr_t t, intptr_t k, intptr_t step, intptr_t y_step,
    int more, int skip, int lanes, const int whole, const int places
) {
    fastbp_vec sum[FASTBP_PLACES];
    y += t * y_step + k;
    FASTBP_UNROLL(i, places) sum[i] = more ? fastbp_load_some(y + i * y_step, lanes, whole) : (fastbp_vec){0};
    for (const fastbp_cell *cell = cells; cell < cells + count; cell++) {
        const fastbp_real *x = cell->x + t * step + k;
        const fastbp_vec w = fastbp_load_some(cell->w + k, lanes, whole);
        FASTBP_UNROLL(i, places) {
            if (cell->first <= t + i && t + i < cell->last) sum[i] += fastbp_load_some(x + i * step, lanes, whole) * w;
            else if (!skip) sum[i] += (fastbp_vec){0} * w;
        }
    }
    FASTBP_UNROLL(i, places) fastbp_store_some(y + i * y_step, sum[i], lanes, whole);
}

/* y[t * y_step], or more of it, = the sum over cells of x * w, for all places of a row and all channels */
static void fastbp_add_listed(const fastbp_cell *cells, int count, fastbp_real *y, intptr_t places, intptr_t c,
                              intptr_t step, intptr_t y_step, int more, int skip) {
    intptr_t t = 0;
    for (; t + 4 <= places; t += 4)
        FASTBP_CHANNELS(k, c, fastbp_add_cells(cells, count, y, t, k, step, y_step, more, skip, lanes, whole, 4));
    for (; t < places; t++)
        FASTBP_CHANNELS(k, c, fastbp_add_cells(cells, count, y, t, k, step, y_step, more, skip, lanes, whole, 1));
}

/* ---- depthwise convolution: rows of up to five cells side by side, which places share in registers */

typedef struct {
    const fastbp_real *x, *w; /* a line of an image, and the first cell's weights */
} fastbp_line;

/* Places from t on of `lines` lines of n cells: place t begins at column t * stride + at of `width`. `back` turns the
 * cells of a line around. */
FASTBP_INLINE void fastbp_add_lines(
    const fastbp_line *lines, int count, fastbp_real *y, intptr_t t, intptr_t k, intptr_t at, intptr_t width,
    intptr_t c, intptr_t w_step, intptr_t y_step, const int n, const int stride, const int back, const int places
) {
    fastbp_vec sum[FASTBP_PLACES], x[12];
    const intptr_t column = t * stride + at;
    FASTBP_UNROLL(i, places) sum[i] = (fastbp_vec){0};
    for (const fastbp_line *line = lines; line < lines + count; line++) {
        const fastbp_real *from = line->x + column * c + k, *w = line->w + k;
        FASTBP_UNROLL(j, (places - 1) * stride + n)
            x[j] = (uintptr_t)(column + j) < (uintptr_t)width ? fastbp_load(from + j * c) : (fastbp_vec){0};
        FASTBP_UNROLL(q, n) {
            const fastbp_vec weight = fastbp_load(w + q * w_step);
            FASTBP_UNROLL(i, places) sum[i] += x[i * stride + (back ? n - 1 - q : q)] * weight;
        }
    }
    FASTBP_UNROLL(i, places) fastbp_store(y + (t + i) * y_step + k, sum[i]);
}

/* All places of a row and all channels: the last places, and channels, may be computed twice */
#define FASTBP_ADD_LINES(name, n, stride, back) \
    static void fastbp_add_##name( \
        const fastbp_line *lines, int count, fastbp_real *y, intptr_t places, intptr_t at, intptr_t width, intptr_t c, \
        intptr_t w_step, intptr_t y_step \
    ) { \
        const int abreast = (stride) > 1 ? FASTBP_FEWEST : FASTBP_PLACES; \
        if (places >= abreast) { \
            FASTBP_AT_ONCE(n, stride, back, abreast) \
        } else if (abreast > FASTBP_FEWEST) { \
            FASTBP_AT_ONCE(n, stride, back, FASTBP_FEWEST) \
        } \
    }
#define FASTBP_AT_ONCE(n, stride, back, abreast) \
    for (intptr_t t = 0;; t = fastbp_smaller(t + (abreast), places - (abreast))) { \
        FASTBP_WHOLE_CHANNELS( \
            k, c, fastbp_add_lines(lines, count, y, t, k, at, width, c, w_step, y_step, n, stride, back, abreast) \
        ) \
        if (t + (abreast) >= places) break; \
    }
/* The same for three lines of three cells, side by side: all weights stay in registers, where there are enough */
FASTBP_INLINE void fastbp_add_nine(
    const fastbp_line *lines, const fastbp_vec *w, fastbp_real *y, intptr_t t, intptr_t k, intptr_t at, intptr_t width,
    intptr_t c, intptr_t y_step, const int back
) {
    fastbp_vec sum[FASTBP_PLACES], x[FASTBP_PLACES + 2];
    const intptr_t column = t + at;
    FASTBP_UNROLL(i, FASTBP_PLACES) sum[i] = (fastbp_vec){0};
    FASTBP_UNROLL(p, 3) {
        const fastbp_real *from = lines[p].x + column * c + k;
        FASTBP_UNROLL(j, FASTBP_PLACES + 2)
            x[j] = (uintptr_t)(column + j) < (uintptr_t)width ? fastbp_load(from + j * c) : (fastbp_vec){0};
        FASTBP_UNROLL(q, 3)
            FASTBP_UNROLL(i, FASTBP_PLACES) sum[i] += x[i + (back ? 2 - q : q)] * w[3 * p + q];
    }
    FASTBP_UNROLL(i, FASTBP_PLACES) fastbp_store(y + (t + i) * y_step + k, sum[i]);
}

#define FASTBP_ADD_NINES(name, back) \
    static void fastbp_add_##name( \
        const fastbp_line *lines, int count, fastbp_real *y, intptr_t places, intptr_t at, intptr_t width, intptr_t c, \
        intptr_t w_step, intptr_t y_step \
    ) { \
        if (count != 3 || places < FASTBP_PLACES) { \
            fastbp_add_##name##_of_lines(lines, count, y, places, at, width, c, w_step, y_step); \
            return; \
        } \
        FASTBP_WHOLE_CHANNELS(k, c, { \
            fastbp_vec w[9]; \
            FASTBP_UNROLL(p, 3) FASTBP_UNROLL(q, 3) w[3 * p + q] = fastbp_load(lines[p].w + q * w_step + k); \
            for (intptr_t t = 0;; t = fastbp_smaller(t + FASTBP_PLACES, places - FASTBP_PLACES)) { \
                fastbp_add_nine(lines, w, y, t, k, at, width, c, y_step, back); \
                if (t + FASTBP_PLACES >= places) break; \
            } \
        }) \
    }
FASTBP_ADD_LINES(3_cells_of_lines, 3, 1, 0)
FASTBP_ADD_LINES(3_cells_back_of_lines, 3, 1, 1)
FASTBP_ADD_NINES(3_cells, 0)
FASTBP_ADD_NINES(3_cells_back, 1)
FASTBP_ADD_LINES(3_cells_apart, 3, 2, 0)
FASTBP_ADD_LINES(5_cells, 5, 1, 0)
FASTBP_ADD_LINES(5_cells_apart, 5, 2, 0)
FASTBP_ADD_LINES(1_cell_back, 1, 1, 1)
FASTBP_ADD_LINES(2_cells_back, 2, 1, 1)
FASTBP_ADD_LINES(5_cells_back, 5, 1, 1)
typedef void (*fastbp_adder)(const fastbp_line *, int, fastbp_real *, intptr_t, intptr_t, intptr_t, intptr_t, intptr_t,
                           intptr_t);

static int fastbp_all_finite(const fastbp_real *x, intptr_t n) {
    fastbp_real sum = 0;
    FASTBP_MANY for (intptr_t i = 0; i < n; i++) sum += x[i] * 0;
    return sum == 0;
}

/* y = x by w; one filter a channel */
static void fastbp_depthwise(const fastbp_walk *g, const fastbp_real *x, const fastbp_real *w, fastbp_real *y) {
    const int skip = fastbp_all_finite(w, g->kh * g->kw * g->c);
    const intptr_t line = g->width * g->c, step = g->stride_w * g->c;
    fastbp_adder add = NULL;
    if (skip && g->c >= FASTBP_LANES && g->ow >= FASTBP_FEWEST && g->dilation_w == 1 && g->kh <= FASTBP_CELLS) {
        const int apart = g->stride_w == 2;
        if (g->kw == 3 && g->stride_w <= 2) add = apart ? fastbp_add_3_cells_apart : fastbp_add_3_cells;
        if (g->kw == 5 && g->stride_w <= 2) add = apart ? fastbp_add_5_cells_apart : fastbp_add_5_cells;
    }
    for (intptr_t b = 0; b < g->batch; b++, x += g->height * line) {
        intptr_t seen = 0;
        for (intptr_t i = 0; i < g->oh; i++, y += g->ow * g->c) {
            fastbp_line lines[FASTBP_CELLS];
            fastbp_cell cells[FASTBP_CELLS];
            int count = 0, more = 0;
            const intptr_t wanted = i * g->stride_h - g->top + (g->kh - 1) * g->dilation_h + 1;
            for (; seen < fastbp_smaller(wanted, g->height); seen++) fastbp_read(x + seen * line, 0, 1, line);
            for (intptr_t p = 0; p < g->kh; p++) {
                const intptr_t row = i * g->stride_h - g->top + p * g->dilation_h;
                const int there = row >= 0 && row < g->height;
                if (skip && !there) continue;
                if (add) {
                    lines[count++] = (fastbp_line){x + row * line, w + p * g->kw * g->c};
                    continue;
                }
                for (intptr_t q = 0; q < g->kw; q++) {
                    const intptr_t at = q * g->dilation_w - g->left;
                    if (count == FASTBP_CELLS) {
                        fastbp_add_listed(cells, count, y, g->ow, g->c, step, g->c, more, skip);
                        count = 0;
                        more = 1;
                    }
                    cells[count++] = (fastbp_cell){
                        x + row * line + at * g->c, w + (p * g->kw + q) * g->c, fastbp_from(0, at, g->stride_w),
                        there ? fastbp_from(g->width, at, g->stride_w) : 0
                    };
                }
            }
            if (add) add(lines, count, y, g->ow, -g->left, g->width, g->c, g->c, g->c);
            else fastbp_add_listed(cells, count, y, g->ow, g->c, step, g->c, more, skip);
        }
    }
}

/* dx = what dy gives back by w; one filter a channel. A column has the places whose cells it may be: of those of a
 * stride every stride-th. */
static void fastbp_depthwise_dx(const fastbp_walk *g, const fastbp_real *dy, const fastbp_real *w, fastbp_real *dx) {
    const int finite = fastbp_all_finite(w, g->kh * g->kw * g->c);
    const intptr_t line = g->ow * g->c, stride = g->stride_w, y_step = stride * g->c;
    for (intptr_t b = 0; b < g->batch; b++, dy += g->oh * line) {
        intptr_t seen = 0;
        for (intptr_t i = 0; i < g->height; i++, dx += g->width * g->c) {
            const intptr_t wanted = (i + g->top) / g->stride_h + 1;
            for (; seen < fastbp_smaller(wanted, g->oh); seen++) fastbp_read(dy + seen * line, 0, 1, line);
            for (intptr_t phase = 0; phase < fastbp_smaller(stride, g->width); phase++) {
                const intptr_t places = (g->width - phase + stride - 1) / stride;
                fastbp_line lines[FASTBP_CELLS];
                fastbp_cell cells[FASTBP_CELLS];
                int count = 0, more = 0;
                /* without dilation, cells of a phase are `stride` apart: the first of them, and how many */
                const intptr_t first = (phase + g->left) % stride, n = (g->kw - first + stride - 1) / stride;
                fastbp_adder add = NULL;
                if (finite && g->c >= FASTBP_LANES && places >= FASTBP_FEWEST && g->dilation_w == 1 &&
                    g->kh <= FASTBP_CELLS && first < g->kw)
                    add = n == 1 ? fastbp_add_1_cell_back : n == 2 ? fastbp_add_2_cells_back
                        : n == 3 ? fastbp_add_3_cells_back : n == 5 ? fastbp_add_5_cells_back : NULL;
                for (intptr_t p = 0; p < g->kh; p++) {
                    const intptr_t row = i + g->top - p * g->dilation_h;
                    if (row < 0 || row % g->stride_h || row / g->stride_h >= g->oh) continue;
                    const fastbp_real *from = dy + row / g->stride_h * line;
                    if (add) {
                        lines[count++] = (fastbp_line){from, w + (p * g->kw + first) * g->c};
                        continue;
                    }
                    for (intptr_t q = 0; q < g->kw; q++) {
                        const intptr_t column = phase + g->left - q * g->dilation_w;
                        if (column % stride) continue;
                        if (count == FASTBP_CELLS) {
                            fastbp_add_listed(cells, count, dx + phase * g->c, places, g->c, g->c, y_step, more, 1);
                            count = 0;
                            more = 1;
                        }
                        const intptr_t at = column / stride;
                        cells[count++] = (fastbp_cell){
                            from + at * g->c, w + (p * g->kw + q) * g->c, fastbp_from(0, at, 1), g->ow - at
                        };
                    }
                }
                if (add)
                    add(lines, count, dx + phase * g->c, places, (phase + g->left - first) / stride - n + 1, g->ow,
                        g->c, stride * g->c, y_step);
                else
                    fastbp_add_listed(cells, count, dx + phase * g->c, places, g->c, g->c, y_step, more, 1);
            }
        }
    }
}

/* ---- the gradient of depthwise weights: sums over the places of an image */

/* image = the sums of x * dy for rows x n cells side by side of one channel vector, over an image's rows of places from
 * begin to end; it has those of the rows before */
FASTBP_INLINE void fastbp_sum_places(
    const fastbp_walk *g, const fastbp_real *x, const fastbp_real *dy, fastbp_real *image, intptr_t p, intptr_t q,
    intptr_t begin, intptr_t end, intptr_t stride, int lanes, const int whole, const int rows, const int n,
    const int shared
) {
    static const fastbp_real outside[FASTBP_LANES];
    const intptr_t c = g->c, line = g->width * c;
    fastbp_vec sum[9];
    FASTBP_UNROLL(r, rows) FASTBP_UNROLL(k, n) {
        const fastbp_real *before = image + ((p + r) * g->kw + q + k) * c;
        sum[r * n + k] = begin ? fastbp_load_some(before, lanes, whole) : (fastbp_vec){0};
    }
    for (intptr_t i = begin; i < end; i++) {
        const fastbp_real *from[3], *d = dy + i * g->ow * c;
        intptr_t step[3];
        FASTBP_UNROLL(r, rows) {
            const intptr_t row = i * g->stride_h - g->top + (p + r) * g->dilation_h;
            const int there = row >= 0 && row < g->height;
            /* zeros that lie in one place */
            from[r] = there ? x + row * line : outside;
            step[r] = there ? c : 0;
        }
        intptr_t t = 0;
#define FASTBP_SOME_PLACES(places) \
        for (; t + (places) <= g->ow; t += (places)) { \
            const intptr_t column = t * stride - g->left + q * g->dilation_w; \
            fastbp_vec v[9], e[places]; \
            FASTBP_UNROLL(i, places) e[i] = fastbp_load_some(d + (t + i) * c, lanes, whole); \
            FASTBP_UNROLL(r, rows) { \
                FASTBP_UNROLL(j, ((places) - 1) * shared + n) { \
                    const intptr_t at = column + (n == 1 ? j * stride : j); \
                    const int there = (uintptr_t)at < (uintptr_t)g->width; \
                    v[j] = there ? fastbp_load_some(from[r] + at * step[r], lanes, whole) : (fastbp_vec){0}; \
                } \
                FASTBP_UNROLL(i, places) FASTBP_UNROLL(k, n) sum[r * n + k] += v[i * shared + k] * e[i]; \
            } \
        }
        FASTBP_SOME_PLACES(FASTBP_ABREAST)
        FASTBP_SOME_PLACES(1)
#undef FASTBP_SOME_PLACES
    }
    FASTBP_UNROLL(r, rows)
        FASTBP_UNROLL(k, n) fastbp_store_some(image + ((p + r) * g->kw + q + k) * c, sum[r * n + k], lanes, whole);
}

#define FASTBP_SUM_PLACES(name, rows, n, stride) \
    static void fastbp_sum_##name( \
        const fastbp_walk *g, const fastbp_real *x, const fastbp_real *dy, fastbp_real *image, intptr_t p, intptr_t q, \
        intptr_t begin, intptr_t end \
    ) { \
        FASTBP_WHOLE_CHANNELS( \
            k, g->c, \
            fastbp_sum_places(g, x + k, dy + k, image + k, p, q, begin, end, stride, FASTBP_LANES, 1, rows, n, stride) \
        ) \
    }
FASTBP_SUM_PLACES(3_by_3, 3, 3, 1)
FASTBP_SUM_PLACES(3_by_3_apart, 3, 3, 2)
FASTBP_SUM_PLACES(3, 1, 3, 1)
FASTBP_SUM_PLACES(3_apart, 1, 3, 2)
FASTBP_SUM_PLACES(2, 1, 2, 1)
FASTBP_SUM_PLACES(2_apart, 1, 2, 2)
static void fastbp_sum_1(
    const fastbp_walk *g, const fastbp_real *x, const fastbp_real *dy, fastbp_real *image, intptr_t p, intptr_t q,
    intptr_t begin, intptr_t end
) {
    FASTBP_CHANNELS(
        k, g->c,
        fastbp_sum_places(g, x + k, dy + k, image + k, p, q, begin, end, g->stride_w, lanes, whole, 1, 1, 1)
    );
}

/* image = the gradient of the weights by one image; one filter a channel */
static void fastbp_depthwise_dw_of_image(const fastbp_walk *g, const fastbp_real *x, const fastbp_real *dy,
                                         fastbp_real *image) {
    const int shared = g->c >= FASTBP_LANES && g->dilation_w == 1 && g->stride_w <= 2, apart = g->stride_w == 2;
    const intptr_t line = g->width * g->c, places = g->ow * g->c;
    /* rows of places that L2 holds with their cells; channels that are computed twice are so over the whole image */
    const intptr_t some = FASTBP_HELD / (places + g->stride_h * line) + 1, step = g->c % FASTBP_LANES ? g->oh : some;
    intptr_t begin = 0, end;
    do { /* once where there is no place too */
        end = fastbp_smaller(begin + step, g->oh);
        for (intptr_t p = 0; p < g->kh;) {
            const int three = shared && g->kw == 3 && p + 3 <= g->kh;
            if (three) {
                (apart ? fastbp_sum_3_by_3_apart : fastbp_sum_3_by_3)(g, x, dy, image, p, 0, begin, end);
                p += 3;
                continue;
            }
            for (intptr_t q = 0; q < g->kw;) {
                const intptr_t n = shared ? fastbp_smaller(3, g->kw - q) : 1;
                (n == 1 ? fastbp_sum_1 : n == 2 ? (apart ? fastbp_sum_2_apart : fastbp_sum_2)
                                                : (apart ? fastbp_sum_3_apart : fastbp_sum_3)
                )(g, x, dy, image, p, q, begin, end);
                q += n;
            }
            p++;
        }
        begin = end;
    } while (begin < g->oh);
}

typedef struct {
    const fastbp_walk *g;
    const fastbp_real *x, *dy;
    fastbp_real *images; /* one behind the other */
    intptr_t count;
} fastbp_some_images;

static void fastbp_depthwise_dw_part(void *context, int part, int parts) {
    const fastbp_some_images *s = (const fastbp_some_images *)context;
    const fastbp_walk *g = s->g;
    const intptr_t x = g->height * g->width * g->c, dy = g->oh * g->ow * g->c, image = g->kh * g->kw * g->c;
    for (intptr_t b = s->count * part / parts; b < s->count * (part + 1) / parts; b++)
        fastbp_depthwise_dw_of_image(g, s->x + b * x, s->dy + b * dy, s->images + b * image);
}

/* dw = the gradient of the weights; images are shared among threads, some at a time, and added in their order */
static void fastbp_depthwise_dw(const fastbp_walk *g, const fastbp_real *x, const fastbp_real *dy, fastbp_real *image,
                                fastbp_real *dw, const fastbp_primitive *primitives) {
    enum { TOGETHER = 16 };
    const intptr_t n = g->kh * g->kw * g->c, size = g->height * g->width * g->c;
    fastbp_real *room = (fastbp_real *)fastbp_scratch(TOGETHER * n * sizeof *room);
    for (intptr_t b = 0, count; b < g->batch; b += count) {
        count = fastbp_smaller(room ? TOGETHER : 1, g->batch - b);
        fastbp_some_images s = {g, x + b * size, dy + b * g->oh * g->ow * g->c, room ? room : image, count};
        fastbp_run_parts(primitives, fastbp_depthwise_dw_part, &s, count * size, count);
        for (intptr_t i = 0; i < count; i++) FASTBP_MANY for (intptr_t k = 0; k < n; k++) dw[k] += s.images[i * n + k];
    }
}

/* ---- depthwise convolution of several filters a channel, or of one number a place: rarely, and as it is defined */

/* The cell of a place, or NULL where it lies outside */
FASTBP_INLINE const fastbp_real *fastbp_cell_of(
    const fastbp_walk *g, const fastbp_real *x, intptr_t i, intptr_t j, intptr_t p, intptr_t q
) {
    const intptr_t row = i * g->stride_h - g->top + p * g->dilation_h;
    const intptr_t column = j * g->stride_w - g->left + q * g->dilation_w;
    const int there = row >= 0 && row < g->height && column >= 0 && column < g->width;
    return there ? x + (row * g->width + column) * g->c : NULL;
}

#define FASTBP_EACH_CELL(g, p, q) \
    for (intptr_t p = 0; p < (g)->kh; p++) for (intptr_t q = 0; q < (g)->kw; q++)
#define FASTBP_EACH_PLACE(g, i, j) \
    for (intptr_t i = 0; i < (g)->oh; i++) for (intptr_t j = 0; j < (g)->ow; j++)

static void fastbp_depthwise_several(const fastbp_walk *g, const fastbp_real *x, const fastbp_real *w, fastbp_real *y) {
    const intptr_t c = g->c, m = g->m;
    for (intptr_t b = 0; b < g->batch; b++, x += g->height * g->width * c)
        FASTBP_EACH_PLACE(g, i, j) {
            for (intptr_t k = 0; k < c * m; k++) y[k] = 0;
            FASTBP_EACH_CELL(g, p, q) {
                const fastbp_real *cell = fastbp_cell_of(g, x, i, j, p, q), *weights = w + (p * g->kw + q) * c * m;
                for (intptr_t k = 0; k < c; k++) {
                    const fastbp_real v = cell ? cell[k] : 0;
                    for (intptr_t l = k * m; l < k * m + m; l++) y[l] += v * weights[l];
                }
            }
            y += c * m;
        }
}

static void fastbp_depthwise_dx_several(
    const fastbp_walk *g, const fastbp_real *dy, const fastbp_real *w, fastbp_real *dx
) {
    const intptr_t c = g->c, m = g->m;
    memset(dx, 0, g->batch * g->height * g->width * c * sizeof *dx);
    for (intptr_t b = 0; b < g->batch; b++, dx += g->height * g->width * c, dy += g->oh * g->ow * c * m)
        FASTBP_EACH_CELL(g, p, q)
            FASTBP_EACH_PLACE(g, i, j) {
                const fastbp_real *d = dy + (i * g->ow + j) * c * m, *weights = w + (p * g->kw + q) * c * m;
                fastbp_real *cell = (fastbp_real *)fastbp_cell_of(g, dx, i, j, p, q);
                for (intptr_t k = 0; cell && k < c; k++) {
                    fastbp_real sum = 0;
                    for (intptr_t l = k * m; l < k * m + m; l++) sum += d[l] * weights[l];
                    cell[k] += sum;
                }
            }
}

/* image = the gradient of the weights by one image; of a single number a place NumPy adds in another order, and all
 * products are made first */
static void fastbp_depthwise_dw_several(
    const fastbp_walk *g, const fastbp_real *x, const fastbp_real *dy, fastbp_real *products, fastbp_real *image,
    const fastbp_primitive *primitives
) {
    const intptr_t c = g->c, m = g->m;
    FASTBP_EACH_CELL(g, p, q) {
        for (intptr_t k = 0; k < c * m; k++) image[k] = 0;
        FASTBP_EACH_PLACE(g, i, j) {
            const fastbp_real *cell = fastbp_cell_of(g, x, i, j, p, q), *d = dy + (i * g->ow + j) * c * m;
            if (c * m == 1) {
                products[i * g->ow + j] = (cell ? *cell : 0) * *d;
                continue;
            }
            for (intptr_t k = 0; k < c; k++) {
                const fastbp_real v = cell ? cell[k] : 0;
                for (intptr_t l = k * m; l < k * m + m; l++) image[l] += v * d[l];
            }
        }
        if (c * m == 1) *image = fastbp_total(primitives, products, g->oh * g->ow);
        image += c * m;
    }
}

/* ---- pools */

/* Pools move more than they compute, and channels are often few: their vectors are of 32 bytes at most. One that is
 * wider than the channels that are left reaches into the next place, where there is one that is written later. */
#define FASTBP_STRIP_SIZE (FASTBP_VECTOR < 32 ? FASTBP_VECTOR : 32)
enum { FASTBP_WIDE = FASTBP_STRIP_SIZE / FASTBP_ITEM };
typedef fastbp_real fastbp_strip __attribute__((vector_size(FASTBP_STRIP_SIZE)));
typedef fastbp_int fastbp_strip_bits __attribute__((vector_size(FASTBP_STRIP_SIZE)));
typedef uint8_t fastbp_strip_bytes __attribute__((vector_size(FASTBP_WIDE)));
#ifdef __AVX2__
typedef int32_t fastbp_quarter_bytes __attribute__((vector_size(16)));
#endif

FASTBP_INLINE fastbp_strip fastbp_strip_at(const fastbp_real *p, intptr_t lanes) {
    fastbp_strip v = {0};
    if (lanes >= FASTBP_WIDE) memcpy(&v, p, sizeof v);
    else for (intptr_t l = 0; l < lanes; l++) v[l] = p[l];
    return v;
}

FASTBP_INLINE void fastbp_store_strip(fastbp_real *p, fastbp_strip v, intptr_t lanes) {
    if (lanes >= FASTBP_WIDE) memcpy(p, &v, sizeof v);
    else for (intptr_t l = 0; l < lanes; l++) p[l] = v[l];
}

/* numbers below 256 as bytes, which compilers would move one by one */
FASTBP_INLINE fastbp_strip_bits fastbp_load_bytes(const uint8_t *p, intptr_t lanes) {
    fastbp_strip_bytes v = {0};
    if (lanes >= FASTBP_WIDE) memcpy(&v, p, sizeof v);
    else for (intptr_t l = 0; l < lanes; l++) v[l] = p[l];
#if defined(__AVX2__) && FASTBP_ITEM == 4
    return (fastbp_strip_bits)_mm256_cvtepu8_epi32((__m128i){(int64_t)v});
#elif defined(__AVX2__)
    return (fastbp_strip_bits)_mm256_cvtepu8_epi64((__m128i)(fastbp_quarter_bytes){(int32_t)v});
#else
    return __builtin_convertvector(v, fastbp_strip_bits);
#endif
}

FASTBP_INLINE void fastbp_store_bytes(uint8_t *p, fastbp_strip_bits numbers, intptr_t lanes) {
#if defined(__AVX512VL__) && FASTBP_ITEM == 4
    const __m128i v = _mm256_cvtepi32_epi8((__m256i)numbers);
#elif defined(__AVX512VL__)
    const __m128i v = _mm256_cvtepi64_epi8((__m256i)numbers);
#elif defined(__AVX2__)
    const __m256i whole = FASTBP_ITEM == 4 ? (__m256i)numbers
                        : _mm256_permutevar8x32_epi32((__m256i)numbers, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
    const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    const __m128i v = _mm_packus_epi16(pairs, pairs);
#elif defined(__SSE2__) && FASTBP_ITEM == 4
    const __m128i pairs = _mm_packs_epi32((__m128i)numbers, (__m128i)numbers), v = _mm_packus_epi16(pairs, pairs);
#else
    const fastbp_strip_bytes v = __builtin_convertvector(numbers, fastbp_strip_bytes);
#endif
    if (lanes >= FASTBP_WIDE) {
        memcpy(p, &v, FASTBP_WIDE);
    } else {
        uint8_t part[sizeof v];
        memcpy(part, &v, sizeof v);
        for (intptr_t l = 0; l < lanes; l++) p[l] = part[l];
    }
}

FASTBP_INLINE fastbp_strip fastbp_pick_strip(fastbp_strip_bits test, fastbp_strip x, fastbp_strip y) {
    return (fastbp_strip)((test & (fastbp_strip_bits)x) | (~test & (fastbp_strip_bits)y));
}

/* Which cells of a window are inside of an image: from `first` to before `last`, of those that begin at `at` */
typedef struct {
    intptr_t at, first, last;
} fastbp_span;

FASTBP_INLINE fastbp_span fastbp_inside(intptr_t place, intptr_t stride, intptr_t before, intptr_t k, intptr_t size) {
    const intptr_t at = place * stride - before;
    return (fastbp_span){at, fastbp_greater(0, -at), fastbp_smaller(k, size - at)};
}

FASTBP_INLINE intptr_t fastbp_length(fastbp_span s) { return fastbp_greater(0, s.last - s.first); }

/* The places of a row whose windows have all their columns inside of an image */
FASTBP_INLINE fastbp_span fastbp_whole(const fastbp_walk *g) {
    const intptr_t first = fastbp_smaller(g->ow, fastbp_from(0, -g->left, g->stride_w));
    const intptr_t last = fastbp_smaller(g->ow, fastbp_from(g->width + 1, g->kw - g->left, g->stride_w));
    return (fastbp_span){0, first, fastbp_greater(first, last)};
}

/* Places of a row side by side. Of the window of each, high x wide cells are inside of an image; the first of these has
 * the number `first` in a window that is kw wide. x and y (dy and dx of a gradient) are those of the first place. */
typedef struct {
    const fastbp_real *x;
    fastbp_real *y;
    uint8_t *index;
    intptr_t count, x_step, y_step, line, c, first, kw, high, wide, cells;
    int reaches; /* whether a vector that is wider than c may be stored: what is behind is stored later */
} fastbp_row;

/* A function that does `name` to each place of a row. What may be done twice needs no parts of vectors, mostly. Windows
 * whose size is a constant are a few instructions. */
#define FASTBP_ROW_OF(name, suffix, numbered, twice, first, kw, high, wide, cells) \
    static __attribute__((noinline)) void fastbp_##name##suffix(const fastbp_row *r) { \
        const fastbp_real *x = r->x; \
        fastbp_real *y = r->y; \
        uint8_t *index = r->index; \
        const intptr_t c = r->c, line = r->line, x_step = r->x_step, y_step = r->y_step; \
        if ((twice) && c < FASTBP_WIDE && r->reaches) { \
            for (intptr_t t = r->count; t > 0; t--, x += x_step, y += y_step, index += (numbered) ? c : 0) \
                FASTBP_DO(name, numbered, 0, FASTBP_WIDE, first, kw, high, wide, cells); \
            return; \
        } \
        for (intptr_t t = r->count; t > 0; t--, x += x_step, y += y_step, index += (numbered) ? c : 0) { \
            intptr_t k = 0; \
            for (; k + FASTBP_WIDE <= c; k += FASTBP_WIDE) \
                FASTBP_DO(name, numbered, k, FASTBP_WIDE, first, kw, high, wide, cells); \
            if (k == c) continue; \
            if ((twice) && k) FASTBP_DO(name, numbered, c - FASTBP_WIDE, FASTBP_WIDE, first, kw, high, wide, cells); \
            else FASTBP_DO(name, numbered, k, c - k, first, kw, high, wide, cells); \
        } \
    }
#define FASTBP_DO(name, numbered, k, lanes, first, kw, high, wide, cells) \
    fastbp_##name(x + (k), y + (k), index + ((numbered) ? (k) : 0), line, c, first, kw, high, wide, cells, lanes)

/* The same for windows of any size, and for whole ones of 2 x 2 and 3 x 3 */
#define FASTBP_ROWS_OF(name, numbered, twice) \
    FASTBP_ROW_OF(name, _any, numbered, twice, r->first, r->kw, r->high, r->wide, r->cells) \
    FASTBP_ROW_OF(name, _2_by_2, numbered, twice, 0, 2, 2, 2, 4) \
    FASTBP_ROW_OF(name, _3_by_3, numbered, twice, 0, 3, 3, 3, 9) \
    FASTBP_INLINE void fastbp_##name##_row(const fastbp_row *r) { \
        if (r->kw == 2 && r->high == 2 && r->wide == 2 && r->first == 0) fastbp_##name##_2_by_2(r); \
        else if (r->kw == 3 && r->high == 3 && r->wide == 3 && r->first == 0) fastbp_##name##_3_by_3(r); \
        else fastbp_##name##_any(r); \
    }
/* compilers write it out where n is a constant */
#define FASTBP_CELLS_OF(i, n) for (intptr_t i = 0; i < (n); i++)
#define FASTBP_PLACE \
    const fastbp_real *x, fastbp_real *y, uint8_t *index, intptr_t line, intptr_t c, intptr_t first, intptr_t kw, \
        intptr_t high, intptr_t wide, intptr_t cells, intptr_t lanes

/* most and at = v and its number where that is above, or a NaN and most is none: of equals the first stays */
FASTBP_INLINE void fastbp_take_most(
    fastbp_strip *most, fastbp_strip_bits *at, fastbp_strip v, fastbp_strip_bits number
) {
#ifdef __AVX512VL__
#if FASTBP_ITEM == 4
    const __mmask8 known = _mm256_cmp_ps_mask(*most, *most, _CMP_ORD_Q);
    const __mmask8 above = _mm256_mask_cmp_ps_mask(known, v, *most, _CMP_NLE_UQ);
    *most = _mm256_mask_mov_ps(*most, above, v);
    *at = (fastbp_strip_bits)_mm256_mask_mov_epi32((__m256i)*at, above, (__m256i)number);
#else
    const __mmask8 known = _mm256_cmp_pd_mask(*most, *most, _CMP_ORD_Q);
    const __mmask8 above = _mm256_mask_cmp_pd_mask(known, v, *most, _CMP_NLE_UQ);
    *most = _mm256_mask_mov_pd(*most, above, v);
    *at = (fastbp_strip_bits)_mm256_mask_mov_epi64((__m256i)*at, above, (__m256i)number);
#endif
#else
    const fastbp_strip_bits above = (*most == *most) & ~(v <= *most);
    *most = fastbp_pick_strip(above, v, *most);
    *at = (above & number) | (~above & *at);
#endif
}

/* The largest of each line of a window, and then of these */
FASTBP_INLINE void fastbp_most(FASTBP_PLACE) {
    const fastbp_strip_bits zero = {0};
    fastbp_strip most = {0};
    fastbp_strip_bits at = zero;
    (void)cells;
    FASTBP_CELLS_OF(p, high) {
        fastbp_strip here = fastbp_strip_at(x + p * line, lanes);
        fastbp_strip_bits number = zero + (fastbp_int)(first + p * kw);
        FASTBP_CELLS_OF(q, wide - 1)
            fastbp_take_most(&here, &number, fastbp_strip_at(x + p * line + (q + 1) * c, lanes),
                             zero + (fastbp_int)(first + p * kw + q + 1));
        if (p) {
            fastbp_take_most(&most, &at, here, number);
        } else {
            most = here;
            at = number;
        }
    }
    fastbp_store_strip(y, most, lanes);
    fastbp_store_bytes(index, at, lanes);
}
FASTBP_ROWS_OF(most, 1, 1)

/* v / count: by the reciprocal where that is exact */
FASTBP_INLINE fastbp_strip fastbp_shared(fastbp_strip v, intptr_t count) {
    return count & (count - 1) || !count ? v / (fastbp_real)count : v * (1 / (fastbp_real)count);
}

FASTBP_INLINE void fastbp_mean(FASTBP_PLACE) {
    fastbp_strip sum = {0};
    (void)index, (void)first, (void)kw;
    FASTBP_CELLS_OF(p, high) {
        FASTBP_CELLS_OF(q, wide) sum += fastbp_strip_at(x + p * line + q * c, lanes);
    }
    fastbp_store_strip(y, fastbp_shared(sum, cells), lanes);
}
FASTBP_ROWS_OF(mean, 0, 1)

/* What a place gives to a cell by its number: all to one of them, or a share to each. No sum is -0. */
FASTBP_INLINE fastbp_strip fastbp_part(fastbp_strip v, fastbp_strip_bits at, intptr_t number) {
    return (fastbp_strip)((at == (fastbp_int)number) & (fastbp_strip_bits)v);
}

FASTBP_INLINE void fastbp_write_most(FASTBP_PLACE) {
    const fastbp_strip v = fastbp_strip_at(x, lanes) + (fastbp_strip){0};
    const fastbp_strip_bits at = fastbp_load_bytes(index, lanes);
    (void)line, (void)kw, (void)high, (void)cells;
    FASTBP_CELLS_OF(q, wide) fastbp_store_strip(y + q * c, fastbp_part(v, at, first + q), lanes);
}
FASTBP_ROW_OF(write_most, _any, 1, 1, r->first, 0, 1, r->wide, 0)
FASTBP_ROW_OF(write_most, _2, 1, 1, r->first, 0, 1, 2, 0)

FASTBP_INLINE void fastbp_write_mean(FASTBP_PLACE) {
    const fastbp_strip v = fastbp_shared(fastbp_strip_at(x, lanes), cells) + (fastbp_strip){0};
    (void)index, (void)first, (void)line, (void)kw, (void)high;
    FASTBP_CELLS_OF(q, wide) fastbp_store_strip(y + q * c, v, lanes);
}
FASTBP_ROW_OF(write_mean, _any, 0, 1, 0, 0, 1, r->wide, r->cells)
FASTBP_ROW_OF(write_mean, _2, 0, 1, 0, 0, 1, 2, r->cells)

FASTBP_INLINE void fastbp_add_most(FASTBP_PLACE) {
    const fastbp_strip v = fastbp_strip_at(x, lanes);
    const fastbp_strip_bits at = fastbp_load_bytes(index, lanes);
    (void)cells;
    FASTBP_CELLS_OF(p, high) {
        FASTBP_CELLS_OF(q, wide) {
            fastbp_real *to = y + p * line + q * c;
            fastbp_store_strip(to, fastbp_strip_at(to, lanes) + fastbp_part(v, at, first + p * kw + q), lanes);
        }
    }
}
FASTBP_ROWS_OF(add_most, 1, 0)

FASTBP_INLINE void fastbp_add_mean(FASTBP_PLACE) {
    const fastbp_strip v = fastbp_shared(fastbp_strip_at(x, lanes), cells);
    (void)index, (void)first, (void)kw;
    FASTBP_CELLS_OF(p, high) {
        FASTBP_CELLS_OF(q, wide) {
            fastbp_real *to = y + p * line + q * c;
            fastbp_store_strip(to, fastbp_strip_at(to, lanes) + v, lanes);
        }
    }
}
FASTBP_ROWS_OF(add_mean, 0, 0)

/* The places of a row of a pool from j on that are alike */
FASTBP_INLINE fastbp_row fastbp_places_from(const fastbp_walk *g, fastbp_span rows, fastbp_span whole, intptr_t j) {
    const fastbp_span columns = fastbp_inside(j, g->stride_w, g->left, g->kw, g->width);
    const intptr_t wide = fastbp_length(columns), high = wide ? fastbp_length(rows) : 0;
    return (fastbp_row){
        .count = j == whole.first && j < whole.last ? whole.last - j : 1, .line = g->width * g->c, .c = g->c,
        .first = rows.first * g->kw + columns.first, .kw = g->kw, .high = high, .wide = wide, .cells = high * wide
    };
}

/* y = of each window the largest, and index which it is; or without an index the mean */
static void fastbp_pool_forward(const fastbp_walk *g, const fastbp_real *x, fastbp_real *y, uint8_t *index) {
    const intptr_t c = g->c, line = g->width * c;
    const fastbp_real *x_end = x + g->batch * g->height * line, *y_end = y + g->batch * g->oh * g->ow * c;
    const fastbp_span whole = fastbp_whole(g);
    for (intptr_t b = 0; b < g->batch; b++, x += g->height * line)
        for (intptr_t i = 0; i < g->oh; i++) {
            const fastbp_span rows = fastbp_inside(i, g->stride_h, g->top, g->kh, g->height);
            const int reaches = y_end - y >= g->ow * c + FASTBP_WIDE &&
                                x_end - x >= (rows.at + rows.last) * line + FASTBP_WIDE;
            for (intptr_t j = 0; j < g->ow;) {
                fastbp_row row = fastbp_places_from(g, rows, whole, j);
                const intptr_t column = fastbp_greater(0, j * g->stride_w - g->left);
                row.x = x + (rows.at + rows.first) * line + column * c;
                row.y = y;
                row.index = index;
                row.x_step = g->stride_w * c;
                row.y_step = c;
                row.reaches = reaches;
                if (index) fastbp_most_row(&row);
                else fastbp_mean_row(&row);
                y += row.count * c;
                index += index ? row.count * c : 0;
                j += row.count;
            }
        }
}

/* dx = what each window gives back: to the cell that an index names, or to all of them. Windows that cover an image
 * side by side are written line by line, each number once; others add to what is there. */
static void fastbp_pool_backward(const fastbp_walk *g, const fastbp_real *dy, uint8_t *index, fastbp_real *dx) {
    const intptr_t c = g->c, line = g->width * c;
    const int apart = g->stride_h == g->kh && g->stride_w == g->kw && g->oh * g->kh - g->top >= g->height &&
                      g->ow * g->kw - g->left >= g->width;
    const fastbp_real *dy_end = dy + g->batch * g->oh * g->ow * c, *dx_end = dx + g->batch * g->height * line;
    const fastbp_span whole = fastbp_whole(g);
    if (!apart) memset(dx, 0, g->batch * g->height * line * sizeof *dx);
    for (intptr_t b = 0; b < g->batch; b++, dx += g->height * line)
        for (intptr_t i = 0; i < g->oh; i++, dy += g->ow * c, index += index ? g->ow * c : 0) {
            const fastbp_span rows = fastbp_inside(i, g->stride_h, g->top, g->kh, g->height);
            const intptr_t lines = apart ? fastbp_length(rows) : 1;
            for (intptr_t p = 0; p < lines; p++)
                for (intptr_t j = 0; j < g->ow;) {
                    fastbp_row row = fastbp_places_from(g, rows, whole, j);
                    const intptr_t column = fastbp_greater(0, j * g->stride_w - g->left);
                    row.x = dy + j * c;
                    row.y = dx + (rows.at + rows.first + p) * line + column * c;
                    row.index = index ? index + j * c : index;
                    row.x_step = c;
                    row.y_step = g->stride_w * c;
                    row.first += p * g->kw;
                    row.reaches = dy_end - dy >= g->ow * c + FASTBP_WIDE &&
                                  dx_end - dx >= (rows.at + rows.first + p + 1) * line + FASTBP_WIDE;
                    if (!apart) (index ? fastbp_add_most_row : fastbp_add_mean_row)(&row);
                    else if (row.wide == 2) (index ? fastbp_write_most_2 : fastbp_write_mean_2)(&row);
                    else (index ? fastbp_write_most_any : fastbp_write_mean_any)(&row);
                    j += row.count;
                }
        }
}
#endif
