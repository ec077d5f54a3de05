/* y = a b of portable numerics: the same bits from every CPU level, tile shape and sub-range.
 *
 * Each element is one chain, acc = fma(a[i, p], b[p, j], acc) for p = 0, 1, ... from +0; then one plain
 * addition of bias[j], then relu, then one plain addition of c[i, j]. So lanes and tiles run over i and j, never over p, and whoever cuts m or n
 * among threads changes nothing. A chain may rest in y between two blocks of k.
 *
 *                      panel: WIDTH = 2 vectors                The micro-kernel keeps one tile of y, ROWS x WIDTH,
 *                         +------+                             in registers. A step of p loads one row of the
 *                       b |  |   | p                           panel (2 vectors), broadcasts one element of each
 *                         |  v   |                             row of a, and does 2 * ROWS independent fmas: enough
 *                         +------+                             to hide their latency and two per broadcast.
 *              p
 *         +---------+     +------+                             for each panel of b                     (j)
 *    ROWS |  -->  a |     | tile |  y                              for each block of k, DEPTH rows     (p)
 *         +---------+     +------+                                     for each row tile of y          (i)
 *         |         |     |      |                                         micro-kernel
 *
 * The first tile reads b where it lies and stores the panel on its way, contiguous, for the tiles below; no
 * other pass packs b. Broadcasts take a where it lies, at any stride. Six cases differ:
 *
 *   small products      take b where it lies, no panel (multiply_direct); one to three rows take wider tiles.
 *   b by columns (nt)   the panel is transposed in registers, before the first tile (pack_columns).
 *   large a by columns (tn): each step of p touches another page, so blocks of a are packed (multiply_blocks).
 *   one row and b by columns: a vector of b serves once, so no panel (multiply_row).
 *   n narrow, or m much smaller than n in nt: lanes run over rows, y^T = b^T a^T is made strip by strip
 *                       and transposed into y (multiply_transposed).
 *   n of 4 at most      likewise, without panel and strip: a is transposed on its way into n chains (multiply_few).
 *
 * A long a is taken in bands that L2 holds, else each panel of b would fetch all of it from afar: of rows where b is small,
 * of k where y is. What a band has is read line after line before.
 */
#ifndef FASTBP_MATMUL_H
#define FASTBP_MATMUL_H

#include "scratch.h"
#include "vector.h"

typedef struct {
    const fastbp_real *bias; /* n elements, or NULL */
    int relu;
    const fastbp_real *c; /* what is added last, in rows like those of y, or NULL */
    fastbp_real *before;  /* then where to keep what it is added to, likewise; or y */
} fastbp_epilogue;

enum {
    FASTBP_WIDTH = 2 * FASTBP_LANES,
    FASTBP_DEPTH = 1024,      /* a panel is 128 KiB at most: L2 holds it */
    FASTBP_SHALLOW = 64,      /* rows of a panel that lies on the stack: 8 KiB */
    FASTBP_BLOCK_DEPTH = 384, /* a block of a is 384 KiB at most; a panel then 48 KiB */
    FASTBP_BLOCK_ROWS = 1024 / FASTBP_ITEM / FASTBP_ROWS * FASTBP_ROWS,
    /* pitch of its tiles: they start in different sets of L1 */
    FASTBP_BLOCK_TILE = FASTBP_BLOCK_DEPTH * FASTBP_ROWS + 64 / FASTBP_ITEM,
    FASTBP_DIRECT_LONG = 1 << 14, /* bytes of b up to which no panel is worth it (measured) ... */
    FASTBP_DIRECT = FASTBP_VECTOR == 64 ? 1 << 18 : FASTBP_DIRECT_LONG,
    FASTBP_LONG = 1024,     /* ... and from which bytes a row of it is long: they share few sets of L1 */
    FASTBP_BAND = 1 << 18,  /* bytes of a band */
    FASTBP_LARGE = 7 << 18, /* bytes of an operand: above, L2 cannot hold it (measured) */
    FASTBP_STRIP = 48       /* rows of y^T made at a time: with WIDTH columns they stay in L1 */
};

/* ---- the micro-kernel ---- */

typedef struct {
    const fastbp_real *a;
    intptr_t a_row, a_col;
    const fastbp_real *b;
    intptr_t b_row;
    fastbp_real *panel; /* where to copy the rows of b, or NULL */
    fastbp_real *y;
    intptr_t y_row, k;
    int lanes;  /* of the last vector that y has, 1 ... LANES */
    int resume; /* start from y, not from 0 */
    int relu;
    const fastbp_real *bias;
    intptr_t a_tile; /* a packed: from ROWS rows to the next ROWS rows; else 0 */
    const fastbp_real *next; /* the k rows of the panel to come, `next_row` apart, to fetch meanwhile; or NULL */
    intptr_t next_row;
    int far; /* fetch the next tile of y */
    int add; /* c of the epilogue, which lies `to_c` bytes behind y, and before: `to_before` */
    uintptr_t to_c, to_before;
} fastbp_tile;

typedef void (*fastbp_micro_kernel)(const fastbp_tile *);

FASTBP_INLINE fastbp_vec fastbp_load_lanes(const fastbp_real *p, int lanes) {
    return lanes == FASTBP_LANES ? fastbp_load(p) : fastbp_load_part(p, lanes);
}

FASTBP_INLINE void fastbp_store_lanes(fastbp_real *p, fastbp_vec v, int lanes) {
    if (lanes == FASTBP_LANES)
        fastbp_store(p, v);
    else
        fastbp_store_part(p, v, lanes);
}

FASTBP_INLINE fastbp_vec fastbp_relu_of(fastbp_vec v) {
    return (fastbp_vec)((fastbp_vec_bits)v & ~(fastbp_vec_bits)(v <= (fastbp_vec){0}));
}

/* Which tiles add c themselves: the tall ones, which products of many rows are made of. To others it is added behind. */
FASTBP_INLINE int fastbp_adds(intptr_t rows, int edge) { return rows >= FASTBP_ROWS - 1 && !edge; }

/* c of some columns, where it is not added yet */
static void fastbp_add_c(fastbp_real *y, uintptr_t to_c, uintptr_t to_before, intptr_t y_row, intptr_t m, intptr_t n) {
    for (intptr_t i = 0; i < m; i++, y += y_row) {
        const fastbp_real *c = (const fastbp_real *)((uintptr_t)y + to_c);
        if (to_before) memcpy((fastbp_real *)((uintptr_t)y + to_before), y, (size_t)n * sizeof *y);
        FASTBP_MANY for (intptr_t j = 0; j < n; j++) y[j] += c[j];
    }
}

/* rows, vecs and edge are constants wherever this is inlined; edge: b too ends within the last vector */
FASTBP_INLINE void fastbp_run_tile(const fastbp_tile *t, const int rows, const int vecs, const int edge) {
    const intptr_t a_row = t->a_row;
    const uintptr_t a_step = FASTBP_ITEM * (uintptr_t)t->a_col, b_step = FASTBP_ITEM * (uintptr_t)t->b_row;
    intptr_t y_row = t->y_row;
    const int lanes = t->lanes, last = vecs - 1;
    /* Three addresses reach eight rows by the strides 0, 1 and 2, which x86 can address. They are integers, as they may
     * lie beyond their arrays where nothing is read from them: a tile of few rows, the step after the last. */
    uintptr_t a0 = (uintptr_t)t->a, a3 = a0 + 3 * FASTBP_ITEM * (uintptr_t)a_row,
              a6 = a3 + 3 * FASTBP_ITEM * (uintptr_t)a_row, b = (uintptr_t)t->b;
    fastbp_real *panel = t->panel, *y = t->y;
    fastbp_vec acc[8][8], row[8];

    FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] = (fastbp_vec){0};
    if (t->resume) {
        FASTBP_UNROLL(r, rows) {
            FASTBP_UNROLL(v, vecs) acc[r][v] = fastbp_load_lanes(y + v * FASTBP_LANES, v < last ? FASTBP_LANES : lanes);
            y += y_row;
        }
        y = t->y;
    }

    for (intptr_t p = t->k; p > 0; p--) {
        FASTBP_UNROLL(v, vecs) {
            const fastbp_real *from = (const fastbp_real *)b + v * FASTBP_LANES;
            row[v] = edge && v == last ? fastbp_load_part(from, lanes) : fastbp_load(from);
        }
        if (panel) { /* b is far: fetch lines ahead, fewer than a cache set holds */
            FASTBP_UNROLL(v, vecs) fastbp_store(panel + v * FASTBP_LANES, row[v]);
            panel += vecs * FASTBP_LANES;
            for (int line = 0; line < vecs * FASTBP_VECTOR; line += 64)
                __builtin_prefetch((const char *)(b + 7 * b_step + (uintptr_t)line));
        }
        FASTBP_UNROLL(r, rows) {
            const fastbp_real *row_of_a = (const fastbp_real *)(r < 3 ? a0 : r < 6 ? a3 : a6) + r % 3 * a_row;
            fastbp_vec x = fastbp_broadcast(*row_of_a);
            FASTBP_UNROLL(v, vecs) acc[r][v] = fastbp_fused(x, row[v], acc[r][v]);
        }
        a0 += a_step, a3 += a_step, a6 += a_step, b += b_step;
    }

    __asm__("" : "+r"(y_row)); /* or gcc keeps the addresses of all rows from the start, in memory */
    if (t->bias) {
        FASTBP_UNROLL(v, vecs) row[v] = fastbp_load_lanes(t->bias + v * FASTBP_LANES, v < last ? FASTBP_LANES : lanes);
        FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] += row[v];
    }
    if (t->relu) FASTBP_UNROLL(r, rows) FASTBP_UNROLL(v, vecs) acc[r][v] = fastbp_relu_of(acc[r][v]);
    if (t->add && fastbp_adds(rows, edge)) {
        uintptr_t c = (uintptr_t)y + t->to_c, before = (uintptr_t)y + t->to_before;
        FASTBP_UNROLL(r, rows) {
            FASTBP_UNROLL(v, vecs) {
                /* read first: where rows are a power of two, a read waits for a write 4 KiB apart */
                const int width = v < last ? FASTBP_LANES : lanes;
                const fastbp_vec sum = acc[r][v] + fastbp_load_lanes((const fastbp_real *)c + v * FASTBP_LANES, width);
                if (t->to_before) fastbp_store_lanes((fastbp_real *)before + v * FASTBP_LANES, acc[r][v], width);
                acc[r][v] = sum;
            }
            c += FASTBP_ITEM * (uintptr_t)y_row, before += FASTBP_ITEM * (uintptr_t)y_row;
        }
    }
    FASTBP_UNROLL(r, rows) {
        FASTBP_UNROLL(v, vecs) fastbp_store_lanes(y + v * FASTBP_LANES, acc[r][v], v < last ? FASTBP_LANES : lanes);
        y += y_row;
    }
}

#define FASTBP_DEFINE_TILE(rows, vecs) \
    static void fastbp_tile_##rows##x##vecs(const fastbp_tile *t) { fastbp_run_tile(t, rows, vecs, 0); }
#define FASTBP_DEFINE(rows, vecs) \
    FASTBP_DEFINE_TILE(rows, vecs) \
    static void fastbp_edge_##rows##x##vecs(const fastbp_tile *t) { fastbp_run_tile(t, rows, vecs, 1); }
#define FASTBP_NAMES(rows, vecs) {fastbp_tile_##rows##x##vecs, fastbp_edge_##rows##x##vecs}
#define FASTBP_DEFINE_HEIGHT(rows) FASTBP_DEFINE(rows, 1) FASTBP_DEFINE(rows, 2)
#define FASTBP_NAMES_HEIGHT(rows) {FASTBP_NAMES(rows, 1), FASTBP_NAMES(rows, 2)},
#if FASTBP_ROWS == 8
#define FASTBP_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#elif FASTBP_ROWS == 6
#define FASTBP_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define FASTBP_HEIGHTS(X) X(1) X(2)
#endif

FASTBP_HEIGHTS(FASTBP_DEFINE_HEIGHT)
FASTBP_DEFINE(1, 8) FASTBP_DEFINE_TILE(1, 4) FASTBP_DEFINE_TILE(2, 4) FASTBP_DEFINE_TILE(3, 4)
/* [rows - 1][vecs - 1][edge] */
static const fastbp_micro_kernel fastbp_kernels[FASTBP_ROWS][2][2] = {FASTBP_HEIGHTS(FASTBP_NAMES_HEIGHT)};
static const fastbp_micro_kernel fastbp_wide_kernels[3] = {fastbp_tile_1x8, fastbp_tile_2x4, fastbp_tile_3x4};
enum { FASTBP_MAX_WIDE = 3 };
static const int fastbp_wide_vecs[FASTBP_MAX_WIDE] = {8, 4, 4};

/* ---- loops over tiles ---- */

typedef struct {
    const fastbp_real *a;
    intptr_t a_row, a_col;
    const fastbp_real *b;
    intptr_t b_row, b_col;
    fastbp_real *y;
    intptr_t y_row, m, k, n;
    const fastbp_real *bias;
    int relu, resume;
    intptr_t a_tile;
    int add;
    uintptr_t to_c, to_before;
    int far; /* y is of several bands */
} fastbp_operands;

FASTBP_INLINE intptr_t fastbp_smaller(intptr_t x, intptr_t y) { return x < y ? x : y; }

/* How many vectors the panel takes from the n columns left, and how many lanes of the last one. */
FASTBP_INLINE int fastbp_panel_vecs(intptr_t n, int *lanes) {
    int vecs = n > FASTBP_LANES ? 2 : 1;
    *lanes = (int)fastbp_smaller(n - (vecs - 1) * FASTBP_LANES, FASTBP_LANES);
    return vecs;
}

/* m rows of one panel, in tiles of nearly equal height unless a is packed. Only the first one copies b to the panel.
 * *t moves along: a copy of it, made while its fields are still on their way to memory, would wait for them. */
FASTBP_INLINE void fastbp_row_tiles(fastbp_tile *t, int vecs, int edge, intptr_t m) {
    intptr_t tiles = (m + FASTBP_ROWS - 1) / FASTBP_ROWS, low = m / tiles, taller = m - low * tiles;
    for (intptr_t i = 0; i < tiles; i++) {
        intptr_t rows = t->a_tile ? fastbp_smaller(FASTBP_ROWS, m - i * FASTBP_ROWS) : low + (i < taller);
        if ((t->a_tile || t->far) && i + 1 < tiles)
            for (intptr_t r = rows; r < rows + low; r++)
                for (int line = 0; line < vecs * FASTBP_VECTOR; line += 64)
                    __builtin_prefetch((const char *)(t->y + r * t->y_row) + line, 1);
        if (t->next)
            for (intptr_t p = t->k * i / tiles; p < t->k * (i + 1) / tiles; p++)
                for (int line = 0; line < FASTBP_WIDTH * FASTBP_ITEM; line += 64)
                    __builtin_prefetch((const char *)(t->next + p * t->next_row) + line, 0, 2);
        fastbp_kernels[rows - 1][vecs - 1][edge](t);
        if (t->add && !fastbp_adds(rows, edge))
            fastbp_add_c(t->y, t->to_c, t->to_before, t->y_row, rows, (vecs - 1) * FASTBP_LANES + t->lanes);
        t->a += t->a_tile ? t->a_tile : rows * t->a_row;
        t->y += rows * t->y_row;
        if (t->panel) {
            t->b = t->panel;
            t->b_row = vecs * FASTBP_LANES;
            t->panel = NULL;
            edge = 0;
        }
    }
}

static void fastbp_multiply_direct(const fastbp_operands *o) {
    fastbp_tile t = {.a = o->a, .a_row = o->a_row, .a_col = o->a_col, .b = o->b, .b_row = o->b_row, .y = o->y,
              .y_row = o->y_row, .k = o->k, .lanes = FASTBP_LANES, .bias = o->bias, .relu = o->relu, .add = o->add,
              .to_c = o->to_c, .to_before = o->to_before, .far = o->far};
    for (intptr_t j = 0, width; j < o->n; j += width) {
        const intptr_t left = o->n - j;
        const int wide = o->m <= FASTBP_MAX_WIDE ? fastbp_wide_vecs[o->m - 1] * FASTBP_LANES : 0;
        fastbp_micro_kernel kernel = NULL;
        width = wide;
        if (wide && left >= wide)
            kernel = fastbp_wide_kernels[o->m - 1];
        else if (o->m == 1 && left > 7 * FASTBP_LANES) /* few chains of one row would wait for each other */
            kernel = fastbp_edge_1x8, t.lanes = (int)(left - 7 * FASTBP_LANES);
        else if (o->m == 1 && left >= 4 * FASTBP_LANES)
            kernel = fastbp_tile_1x4, width = 4 * FASTBP_LANES;
        if (kernel) {
            kernel(&t);
            if (t.add && !fastbp_adds(o->m, width > left))
                fastbp_add_c(t.y, t.to_c, t.to_before, t.y_row, o->m, fastbp_smaller(width, left));
        } else {
            int vecs = fastbp_panel_vecs(o->n - j, &t.lanes);
            width = vecs * FASTBP_LANES;
            fastbp_row_tiles(&t, vecs, t.lanes < FASTBP_LANES, o->m);
        }
        t.a = o->a;
        t.b += width;
        t.y = o->y + j + width;
        if (t.bias) t.bias += width;
    }
}

/* In bands of rows: y is made of a band of a and all of b before the next */
static void fastbp_multiply_bands(const fastbp_operands *o) {
    const intptr_t held = (FASTBP_BAND / FASTBP_ITEM / (o->k + o->n) / FASTBP_ROWS + 1) * FASTBP_ROWS;
    fastbp_operands band = *o;
    band.far = 1;
    for (intptr_t i = 0; i < o->m; i += held) {
        band.m = fastbp_smaller(held, o->m - i);
        if (o->a_col == 1) fastbp_read(band.a, o->a_row, band.m, o->k);
        fastbp_multiply_direct(&band);
        band.a += held * o->a_row;
        band.y += held * o->y_row;
    }
}

/* ---- b by columns ---- */

/* out[c], lane l = line[l][p + c]. A vector is made of 16-byte quarters, one from each QUARTER-th line; then
 * one small transposition serves all quarters at once. */
FASTBP_INLINE void fastbp_transpose(const fastbp_real *const *line, intptr_t p, fastbp_vec *out) {
    FASTBP_UNROLL(i, FASTBP_QUARTER) out[i] = fastbp_gather_quarters(line + i, p);
    fastbp_transpose_quarters(out);
}

FASTBP_INLINE void fastbp_set_lines(const fastbp_real **line, const fastbp_real *x, intptr_t row, intptr_t rows) {
    /* past the end: the last again */
    for (int l = 0; l < FASTBP_LANES; l++) line[l] = x + fastbp_smaller(l, rows - 1) * row;
}

/* panel[p, j] = b[p, j] for k rows and n <= WIDTH columns */
static void fastbp_pack_columns(const fastbp_real *b, intptr_t b_row, intptr_t b_col, intptr_t k, intptr_t n, int vecs,
                         fastbp_real *panel) {
    intptr_t width = vecs * FASTBP_LANES;
    if (b_row != 1 || k < FASTBP_QUARTER) {
        for (intptr_t p = 0, j; p < k; p++, b += b_row, panel += width) {
            for (j = 0; j < n; j++) panel[j] = b[j * b_col];
            for (; j < width; j++) panel[j] = 0;
        }
        return;
    }
    for (intptr_t j = 0; j < width; j += FASTBP_LANES) {
        const fastbp_real *line[FASTBP_LANES];
        fastbp_vec out[FASTBP_QUARTER];
        fastbp_set_lines(line, b + j * b_col, b_col, n - j);
        for (intptr_t p = 0; p < k; p += FASTBP_QUARTER) {
            intptr_t q = fastbp_smaller(p, k - FASTBP_QUARTER); /* the last step goes back over rows already there */
            fastbp_transpose(line, q, out);
            FASTBP_UNROLL(c, FASTBP_QUARTER) fastbp_store(panel + (q + c) * width + j, out[c]);
        }
    }
}

/* The panel of b at t->b: packed now if b lies by columns, else left to the first tile. Returns edge. */
FASTBP_INLINE int fastbp_set_panel(fastbp_tile *t, intptr_t b_col, int vecs, fastbp_real *panel) {
    t->panel = panel;
    if (b_col == 1) return t->lanes < FASTBP_LANES;
    fastbp_pack_columns(t->b, t->b_row, b_col, t->k, (vecs - 1) * FASTBP_LANES + t->lanes, vecs, panel);
    t->b = panel;
    t->b_row = vecs * FASTBP_LANES;
    t->panel = NULL;
    return 0;
}

/* depth: the rows that the panel has */
static void fastbp_multiply_panels(const fastbp_operands *o, fastbp_real *panel, intptr_t depth) {
    /* a by columns, and y is small: bands of k */
    const intptr_t held = FASTBP_BAND / FASTBP_ITEM / (o->m + o->n);
    if (o->a_row == 1 && !o->a_tile && o->b_col == 1 && held >= FASTBP_SHALLOW && o->k > held) {
        fastbp_operands band = *o;
        for (intptr_t p = 0; p < o->k; p += held) {
            const int last = p + held >= o->k;
            band.k = fastbp_smaller(held, o->k - p);
            band.resume = o->resume || p > 0;
            band.bias = last ? o->bias : NULL, band.relu = last && o->relu, band.add = last && o->add;
            fastbp_read(band.a, o->a_col, band.k, o->m);
            fastbp_read(band.b, o->b_row, band.k, o->n);
            fastbp_multiply_panels(&band, panel, depth);
            band.a += held * o->a_col;
            band.b += held * o->b_row;
        }
        return;
    }
    for (intptr_t j = 0; j < o->n; j += FASTBP_WIDTH) {
        intptr_t p = 0;
        do { /* once for k = 0 too */
            fastbp_tile t = {.a = o->a + p * o->a_col, .a_row = o->a_row, .a_col = o->a_col, .a_tile = o->a_tile};
            int vecs = fastbp_panel_vecs(o->n - j, &t.lanes);
            t.b = o->b + p * o->b_row + j * o->b_col;
            t.b_row = o->b_row;
            t.y = o->y + j;
            t.y_row = o->y_row;
            t.k = fastbp_smaller(o->k - p, depth);
            t.resume = o->resume || p > 0;
            p += t.k;
            if (p == o->k) {
                t.bias = o->bias ? o->bias + j : NULL;
                t.relu = o->relu;
                t.add = o->add, t.to_c = o->to_c, t.to_before = o->to_before;
            }
            if (o->b_col == 1 && j + 2 * FASTBP_WIDTH <= o->n && o->k * o->b_row > FASTBP_LARGE / FASTBP_ITEM)
                t.next = t.b + FASTBP_WIDTH, t.next_row = o->b_row;
            int edge = fastbp_set_panel(&t, o->b_col, vecs, panel);
            fastbp_row_tiles(&t, vecs, edge, o->m);
        } while (p < o->k);
    }
}

/* block[i / ROWS, p, i % ROWS] = a[i, p] for m rows, a by columns */
static void fastbp_pack_block(const fastbp_real *a, intptr_t a_col, intptr_t m, intptr_t k, fastbp_real *block) {
    for (intptr_t p = 0; p < k; p++, a += a_col, block += FASTBP_ROWS) {
        intptr_t i = 0;
        fastbp_real *out = block;
        for (intptr_t line = 0; line < m; line += 64 / FASTBP_ITEM)
            __builtin_prefetch((const char *)((uintptr_t)a + FASTBP_ITEM * (4 * (uintptr_t)a_col + (uintptr_t)line)));
        for (; i + FASTBP_ROWS <= m; i += FASTBP_ROWS, out += FASTBP_BLOCK_TILE)
            memcpy(out, a + i, FASTBP_ROWS * sizeof *out);
        for (; i < m; i++) *out++ = a[i];
    }
}

/* a by columns and too large for L2: blocks of it are packed and multiplied with all of b's panels */
static void fastbp_multiply_blocks(const fastbp_operands *o, fastbp_real *panel, fastbp_real *block) {
    intptr_t blocks = (o->m + FASTBP_BLOCK_ROWS - 1) / FASTBP_BLOCK_ROWS;
    intptr_t rows = ((o->m - 1) / blocks + FASTBP_ROWS) / FASTBP_ROWS * FASTBP_ROWS;
    for (intptr_t p = 0; p < o->k; p += FASTBP_BLOCK_DEPTH)
        for (intptr_t i = 0; i < o->m; i += rows) {
            fastbp_operands part = *o;
            part.a = block;
            part.a_col = FASTBP_ROWS;
            part.a_tile = FASTBP_BLOCK_TILE;
            part.b += p * o->b_row;
            part.y += i * o->y_row;
            part.m = fastbp_smaller(o->m - i, rows);
            part.k = fastbp_smaller(o->k - p, FASTBP_BLOCK_DEPTH);
            part.resume = p > 0;
            if (p + part.k < o->k) part.bias = NULL, part.relu = part.add = 0;
            fastbp_pack_block(o->a + i + p * o->a_col, o->a_col, part.m, part.k, block);
            fastbp_multiply_panels(&part, panel, FASTBP_BLOCK_DEPTH);
        }
}

/* one row of a, b by columns: each vector of b is used once, so it stays in registers (k >= QUARTER) */
static void fastbp_multiply_row(const fastbp_operands *o) {
    enum { VECS = 2 };
    for (intptr_t j = 0; j < o->n; j += VECS * FASTBP_LANES) {
        const fastbp_real *line[VECS * FASTBP_LANES];
        fastbp_vec acc[VECS], row[FASTBP_QUARTER];
        for (int l = 0; l < VECS * FASTBP_LANES; l++) line[l] = o->b + fastbp_smaller(j + l, o->n - 1) * o->b_col;
        FASTBP_UNROLL(v, VECS) acc[v] = (fastbp_vec){0};
        for (intptr_t p = 0; p < o->k; p += FASTBP_QUARTER) {
            intptr_t q = fastbp_smaller(p, o->k - FASTBP_QUARTER); /* the last step skips what has been added */
            FASTBP_UNROLL(v, VECS) {
                fastbp_transpose(line + v * FASTBP_LANES, q, row);
                FASTBP_UNROLL(c, FASTBP_QUARTER)
                if (q + c >= p) acc[v] = fastbp_fused(fastbp_broadcast(o->a[(q + c) * o->a_col]), row[c], acc[v]);
            }
        }
        for (intptr_t v = 0, at = j; v < VECS && at < o->n; v++, at += FASTBP_LANES) {
            int lanes = (int)fastbp_smaller(o->n - at, FASTBP_LANES);
            if (o->bias) acc[v] += fastbp_load_lanes(o->bias + at, lanes);
            fastbp_store_lanes(o->y + at, o->relu ? fastbp_relu_of(acc[v]) : acc[v], lanes);
        }
    }
}

/* ---- lanes over the rows of y ---- */

/* y[i, j] = strip[j, i], after bias and relu, for m columns and n rows of the strip */
static void fastbp_store_transposed(const fastbp_real *strip, intptr_t width, fastbp_real *y, intptr_t y_row,
                                    intptr_t m, intptr_t n, const fastbp_real *bias, int relu) {
    for (intptr_t j = 0; j < n; j += FASTBP_QUARTER) {
        int lanes = (int)fastbp_smaller(n - j, FASTBP_QUARTER);
        for (intptr_t i = 0; i < m; i += FASTBP_LANES, y += FASTBP_LANES * y_row) {
            fastbp_vec v[FASTBP_QUARTER];
            FASTBP_UNROLL(c, FASTBP_QUARTER) {
                intptr_t from = j + fastbp_smaller(c, lanes - 1);
                v[c] = fastbp_load(strip + from * width + i);
                if (bias) v[c] += fastbp_broadcast(bias[from]);
                if (relu) v[c] = fastbp_relu_of(v[c]);
            }
            fastbp_transpose_quarters(v);
            FASTBP_UNROLL(c, FASTBP_QUARTER) {
                fastbp_quarter part[FASTBP_LANES / FASTBP_QUARTER];
                fastbp_split_quarters(v[c], part);
                FASTBP_UNROLL(q, FASTBP_LANES / FASTBP_QUARTER)
                if (i + q * FASTBP_QUARTER + c < m)
                    fastbp_store_quarter(y + (q * FASTBP_QUARTER + c) * y_row + j, part[q], lanes);
            }
        }
        y -= (m + FASTBP_LANES - 1) / FASTBP_LANES * FASTBP_LANES * y_row;
    }
}

/* a^T is the b of the tiles, b^T their a. The panel has k rows: chains do not rest here. */
static __attribute__((noinline)) void fastbp_multiply_transposed(const fastbp_operands *o, fastbp_real *panel) {
    fastbp_real strip[FASTBP_STRIP * FASTBP_WIDTH] __attribute__((aligned(64)));
    for (intptr_t i = 0; i < o->m; i += FASTBP_WIDTH) {
        fastbp_tile t = {.a = o->b, .a_row = o->b_col, .a_col = o->b_row, .b = o->a + i * o->a_row, .b_row = o->a_col,
                  .y = strip, .k = o->k};
        int vecs = fastbp_panel_vecs(o->m - i, &t.lanes), edge = fastbp_set_panel(&t, o->a_row, vecs, panel);
        intptr_t columns = fastbp_smaller(o->m - i, FASTBP_WIDTH);
        t.y_row = vecs * FASTBP_LANES;
        for (intptr_t j = 0; j < o->n; j += FASTBP_STRIP) {
            intptr_t n = fastbp_smaller(o->n - j, FASTBP_STRIP);
            t.y = strip;
            fastbp_row_tiles(&t, vecs, edge, n);
            fastbp_store_transposed(strip, t.y_row, o->y + i * o->y_row + j, o->y_row, columns, n,
                             o->bias ? o->bias + j : NULL, o->relu);
            edge = 0; /* the panel is whole */
        }
    }
}

/* n <= FEW is a constant; rows of a and y are contiguous, k >= QUARTER */
FASTBP_INLINE void fastbp_multiply_few(const fastbp_operands *o, const int n) {
    for (intptr_t i = 0; i < o->m; i += FASTBP_LANES) {
        const int rows = (int)fastbp_smaller(o->m - i, FASTBP_LANES);
        const fastbp_real *line[FASTBP_LANES], *b = o->b;
        fastbp_vec acc[FASTBP_FEW], out[FASTBP_QUARTER];
        fastbp_set_lines(line, o->a + i * o->a_row, o->a_row, rows);
        FASTBP_UNROLL(j, n) acc[j] = (fastbp_vec){0};
        for (intptr_t p = 0; p < o->k; p += FASTBP_QUARTER) {
            const intptr_t q = fastbp_smaller(p, o->k - FASTBP_QUARTER); /* the last step skips what has been added */
            fastbp_transpose(line, q, out);
            FASTBP_UNROLL(c, FASTBP_QUARTER) if (q + c >= p) {
                FASTBP_UNROLL(j, n) acc[j] = fastbp_fused(out[c], fastbp_broadcast(b[j]), acc[j]);
                b += o->b_row;
            }
        }
        FASTBP_UNROLL(j, n) {
            if (o->bias) acc[j] += fastbp_broadcast(o->bias[j]);
            if (o->relu) acc[j] = fastbp_relu_of(acc[j]);
        }
        fastbp_store_columns(acc, o->y + i * n, rows, n);
    }
}

#define FASTBP_FEW_COLUMNS(n) \
    static void fastbp_multiply_few_##n(const fastbp_operands *o) { fastbp_multiply_few(o, n); }
FASTBP_FEW_COLUMNS(1) FASTBP_FEW_COLUMNS(2) FASTBP_FEW_COLUMNS(3) FASTBP_FEW_COLUMNS(4)
#undef FASTBP_FEW_COLUMNS
static void (*const fastbp_few_columns[FASTBP_FEW])(const fastbp_operands *) = {
    fastbp_multiply_few_1, fastbp_multiply_few_2, fastbp_multiply_few_3, fastbp_multiply_few_4};

/* In fmas of a vector; to transpose an element costs about half of one. */
FASTBP_INLINE int fastbp_transposed_is_cheaper(const fastbp_operands *o) {
    intptr_t m = o->m, k = o->k, n = o->n;
    intptr_t direct = 2 * m * k * ((n + FASTBP_LANES - 1) / FASTBP_LANES) + (o->b_col == 1 ? 0 : k * n);
    intptr_t transposed = 2 * n * k * ((m + FASTBP_LANES - 1) / FASTBP_LANES) + (o->a_row == 1 ? 0 : m * k) + m * n;
    return k > 0 && k <= FASTBP_DEPTH && transposed < direct;
}

/* ---- where panels lie ---- */

static __attribute__((noinline)) void fastbp_multiply_shallow(const fastbp_operands *o, int transposed) {
    fastbp_real panel[FASTBP_SHALLOW * FASTBP_WIDTH] __attribute__((aligned(64)));
    if (transposed && o->k <= FASTBP_SHALLOW)
        fastbp_multiply_transposed(o, panel);
    else
        fastbp_multiply_panels(o, panel, FASTBP_SHALLOW);
}

typedef struct {
    fastbp_real panel[FASTBP_DEPTH * FASTBP_WIDTH] __attribute__((aligned(64)));
    fastbp_real block[FASTBP_BLOCK_ROWS / FASTBP_ROWS * FASTBP_BLOCK_TILE] __attribute__((aligned(64)));
} fastbp_workspace;

/* Returns 0, and does nothing, where there is no memory. */
static __attribute__((noinline)) int fastbp_multiply_deep(const fastbp_operands *o, int transposed, int blocks) {
#if defined(_WIN32)
    fastbp_workspace local, *w = &local;
#else
    fastbp_workspace *w = (fastbp_workspace *)fastbp_scratch(sizeof *w);
    if (!w) return 0;
#endif
    if (transposed)
        fastbp_multiply_transposed(o, w->panel);
    else if (blocks)
        fastbp_multiply_blocks(o, w->panel, w->block);
    else
        fastbp_multiply_panels(o, w->panel, FASTBP_DEPTH);
    return 1;
}

static void fastbp_matmul(const fastbp_real *a, intptr_t a_row, intptr_t a_col, const fastbp_real *b, intptr_t b_row,
                          intptr_t b_col, fastbp_real *y, intptr_t y_row, intptr_t m, intptr_t k, intptr_t n,
                          const fastbp_epilogue *epilogue) {
    fastbp_operands o = {a, a_row, a_col, b, b_row, b_col, y, y_row, m, k, n, NULL, 0, 0, 0, 0, 0, 0, 0};
    if (m <= 0 || n <= 0) return;
    if (m == 1) o.a_row = 1; /* the stride of one element is any: take what is fast */
    if (n == 1) o.b_col = 1;
    if (epilogue) o.bias = epilogue->bias, o.relu = epilogue->relu;
    const intptr_t direct = b_row * FASTBP_ITEM <= FASTBP_LONG ? FASTBP_DIRECT : FASTBP_DIRECT_LONG;
    const int transposed = fastbp_transposed_is_cheaper(&o);
    const int blocks = o.a_row == 1 && n > 4 * FASTBP_WIDTH && k * a_col > FASTBP_LARGE / FASTBP_ITEM;
    /* measured: not where a row fills most of a vector, or a third of the lanes would be idle */
    const intptr_t lanes = (m + FASTBP_LANES - 1) / FASTBP_LANES * FASTBP_LANES;
    const int few = FASTBP_HARDWARE_FMA && n <= FASTBP_FEW && 2 * n <= FASTBP_LANES && 2 * lanes <= 3 * m;
    const int of_few = few && a_col == 1 && o.b_col == 1 && y_row == n && k >= FASTBP_QUARTER;
    const int of_row = !of_few && m == 1 && o.b_col != 1 && b_row == 1 && k >= FASTBP_QUARTER;
    const int add = epilogue && epilogue->c;
    o.add = add && !of_few && !of_row && !transposed;
    if (add) o.to_c = (uintptr_t)epilogue->c - (uintptr_t)y, o.to_before = (uintptr_t)epilogue->before - (uintptr_t)y;
    if (of_few)
        fastbp_few_columns[n - 1](&o);
    else if (of_row)
        fastbp_multiply_row(&o);
    else if (!transposed && o.b_col == 1 && (m <= FASTBP_ROWS || k * n * FASTBP_ITEM <= direct))
        (m > FASTBP_ROWS && m * (k + n) > FASTBP_BAND / FASTBP_ITEM ? fastbp_multiply_bands : fastbp_multiply_direct)(&o);
    else if ((k <= FASTBP_SHALLOW && !blocks) || !fastbp_multiply_deep(&o, transposed, blocks))
        fastbp_multiply_shallow(&o, transposed);
    if (add && !o.add) fastbp_add_c(y, o.to_c, o.to_before, y_row, m, n);
}

#undef FASTBP_DEFINE
#undef FASTBP_DEFINE_TILE
#undef FASTBP_NAMES
#undef FASTBP_DEFINE_HEIGHT
#undef FASTBP_NAMES_HEIGHT
#endif
