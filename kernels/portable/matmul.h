/* y = a b of portable numerics: the same bits from every CPU level, tile shape and sub-range.
 *
 * Each element is one chain, acc = fma(a[i, p], b[p, j], acc) for p = 0, 1, ... from +0; then one plain
 * addition of bias[j], then relu. So lanes and tiles run over i and j, never over p, and whoever cuts m or n
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
 * other pass packs b. Broadcasts take a where it lies, at any stride. Five cases differ:
 *
 *   small products      take b where it lies, no panel (multiply_direct); one to three rows take wider tiles.
 *   b by columns (nt)   the panel is transposed in registers, before the first tile (pack_columns).
 *   large a by columns (tn): each step of p touches another page, so blocks of a are packed (multiply_blocks).
 *   one row and b by columns: a vector of b serves once, so no panel (multiply_row).
 *   n narrow, or m much smaller than n in nt: lanes run over rows, y^T = b^T a^T is made strip by strip
 *                       and transposed into y (multiply_transposed).
 */
#ifndef FASTBP_MATMUL_H
#define FASTBP_MATMUL_H

#include "scratch.h"
#include "vector.h"

typedef struct {
    const fastbp_real *bias; /* n elements, or NULL */
    int relu;
} fastbp_epilogue;

enum {
    ROWS = FASTBP_ROWS,
    WIDTH = 2 * LANES,
    DEPTH = 1024,                    /* a panel is 128 KiB at most: L2 holds it */
    SHALLOW = 64,                    /* rows of a panel that lies on the stack: 8 KiB */
    BLOCK_DEPTH = 384,               /* a block of a is 384 KiB at most; a panel then 48 KiB */
    BLOCK_ROWS = 1024 / FASTBP_ITEM / ROWS * ROWS,
    BLOCK_TILE = BLOCK_DEPTH * ROWS + 64 / FASTBP_ITEM, /* pitch of its tiles: they start in different sets of L1 */
    DIRECT_LONG = 1 << 14,           /* bytes of b up to which no panel is worth it (measured) ... */
    DIRECT = FASTBP_VECTOR == 64 ? 1 << 18 : DIRECT_LONG,
    LONG = 1024,                     /* ... and from which bytes a row of it is long: they share few sets of L1 */
    LARGE = 7 << 18,                 /* bytes of an operand: above, L2 cannot hold it (measured) */
    STRIP = 48                       /* rows of y^T made at a time: with WIDTH columns they stay in L1 */
};

#ifdef __clang__
#define EACH(i, n) _Pragma("unroll") for (int i = 0; i < (n); i++)
#else
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

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
} tile;

typedef void (*micro_kernel)(const tile *);

FASTBP_INLINE vec load_lanes(const fastbp_real *p, int lanes) { return lanes == LANES ? load(p) : load_part(p, lanes); }

FASTBP_INLINE void store_lanes(fastbp_real *p, vec v, int lanes) {
    if (lanes == LANES)
        store(p, v);
    else
        store_part(p, v, lanes);
}

FASTBP_INLINE vec relu_of(vec v) { return (vec)((vec_bits)v & ~(vec_bits)(v <= (vec){0})); }

/* rows, vecs and edge are constants wherever this is inlined; edge: b too ends within the last vector */
FASTBP_INLINE void run_tile(const tile *t, const int rows, const int vecs, const int edge) {
    const intptr_t a_row = t->a_row, a_col = t->a_col, b_row = t->b_row;
    intptr_t y_row = t->y_row;
    const int lanes = t->lanes, last = vecs - 1;
    /* three pointers reach eight rows by the strides 0, 1 and 2, which x86 can address */
    const fastbp_real *a0 = t->a, *a3 = a0 + 3 * a_row, *a6 = a3 + 3 * a_row, *b = t->b;
    fastbp_real *panel = t->panel, *y = t->y;
    vec acc[8][8], row[8];

    EACH(r, rows) EACH(v, vecs) acc[r][v] = (vec){0};
    if (t->resume) {
        EACH(r, rows) {
            EACH(v, vecs) acc[r][v] = load_lanes(y + v * LANES, v < last ? LANES : lanes);
            y += y_row;
        }
        y = t->y;
    }

    for (intptr_t p = t->k; p > 0; p--) {
        EACH(v, vecs) row[v] = edge && v == last ? load_part(b + v * LANES, lanes) : load(b + v * LANES);
        if (panel) { /* b is far: fetch lines ahead, fewer than a cache set holds */
            EACH(v, vecs) store(panel + v * LANES, row[v]);
            panel += vecs * LANES;
            for (int line = 0; line < vecs * FASTBP_VECTOR; line += 64)
                __builtin_prefetch((const char *)((uintptr_t)b + 7 * FASTBP_ITEM * (uintptr_t)b_row + line));
        }
        EACH(r, rows) {
            vec x = broadcast((r < 3 ? a0 : r < 6 ? a3 : a6)[r % 3 * a_row]);
            EACH(v, vecs) acc[r][v] = fused(x, row[v], acc[r][v]);
        }
        a0 += a_col, a3 += a_col, a6 += a_col, b += b_row;
    }

    __asm__("" : "+r"(y_row)); /* or gcc keeps the addresses of all rows from the start, in memory */
    if (t->bias) {
        EACH(v, vecs) row[v] = load_lanes(t->bias + v * LANES, v < last ? LANES : lanes);
        EACH(r, rows) EACH(v, vecs) acc[r][v] += row[v];
    }
    if (t->relu) EACH(r, rows) EACH(v, vecs) acc[r][v] = relu_of(acc[r][v]);
    EACH(r, rows) {
        EACH(v, vecs) store_lanes(y + v * LANES, acc[r][v], v < last ? LANES : lanes);
        y += y_row;
    }
}

#define DEFINE_TILE(rows, vecs) static void tile_##rows##x##vecs(const tile *t) { run_tile(t, rows, vecs, 0); }
#define DEFINE(rows, vecs) \
    DEFINE_TILE(rows, vecs) \
    static void edge_##rows##x##vecs(const tile *t) { run_tile(t, rows, vecs, 1); }
#define NAMES(rows, vecs) {tile_##rows##x##vecs, edge_##rows##x##vecs}
#define DEFINE_HEIGHT(rows) DEFINE(rows, 1) DEFINE(rows, 2)
#define NAMES_HEIGHT(rows) {NAMES(rows, 1), NAMES(rows, 2)},
#if FASTBP_ROWS == 8
#define HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
#elif FASTBP_ROWS == 6
#define HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#else
#define HEIGHTS(X) X(1) X(2)
#endif

HEIGHTS(DEFINE_HEIGHT)
DEFINE_TILE(1, 8) DEFINE_TILE(2, 4) DEFINE_TILE(3, 4)
static const micro_kernel kernels[ROWS][2][2] = {HEIGHTS(NAMES_HEIGHT)}; /* [rows - 1][vecs - 1][edge] */
static const micro_kernel wide_kernels[3] = {tile_1x8, tile_2x4, tile_3x4};
enum { MAX_WIDE = 3 };
static const int wide_vecs[MAX_WIDE] = {8, 4, 4};

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
} product;

FASTBP_INLINE intptr_t smaller(intptr_t x, intptr_t y) { return x < y ? x : y; }

/* How many vectors the panel takes from the n columns left, and how many lanes of the last one. */
FASTBP_INLINE int panel_vecs(intptr_t n, int *lanes) {
    int vecs = n > LANES ? 2 : 1;
    *lanes = (int)smaller(n - (vecs - 1) * LANES, LANES);
    return vecs;
}

/* m rows of one panel, in tiles of nearly equal height unless a is packed. Only the first one copies b to the panel.
 * *t moves along: a copy of it, made while its fields are still on their way to memory, would wait for them. */
FASTBP_INLINE void row_tiles(tile *t, int vecs, int edge, intptr_t m) {
    intptr_t tiles = (m + ROWS - 1) / ROWS, low = m / tiles, taller = m - low * tiles;
    for (intptr_t i = 0; i < tiles; i++) {
        intptr_t rows = t->a_tile ? smaller(ROWS, m - i * ROWS) : low + (i < taller);
        if (t->a_tile) /* the next tile of y may be far */
            for (intptr_t r = ROWS; r < smaller(2 * ROWS, m - i * ROWS); r++)
                for (int line = 0; line < vecs * FASTBP_VECTOR; line += 64)
                    __builtin_prefetch((const char *)(t->y + r * t->y_row) + line, 1);
        if (t->next)
            for (intptr_t p = t->k * i / tiles; p < t->k * (i + 1) / tiles; p++)
                for (int line = 0; line < WIDTH * FASTBP_ITEM; line += 64)
                    __builtin_prefetch((const char *)(t->next + p * t->next_row) + line, 0, 2);
        kernels[rows - 1][vecs - 1][edge](t);
        t->a += t->a_tile ? t->a_tile : rows * t->a_row;
        t->y += rows * t->y_row;
        if (t->panel) {
            t->b = t->panel;
            t->b_row = vecs * LANES;
            t->panel = NULL;
            edge = 0;
        }
    }
}

static void multiply_direct(const product *o) {
    tile t = {.a = o->a, .a_row = o->a_row, .a_col = o->a_col, .b = o->b, .b_row = o->b_row, .y = o->y,
              .y_row = o->y_row, .k = o->k, .lanes = LANES, .bias = o->bias, .relu = o->relu};
    for (intptr_t j = 0, width; j < o->n; j += width) {
        int wide = o->m <= MAX_WIDE ? wide_vecs[o->m - 1] * LANES : 0;
        if (wide && o->n - j >= wide) {
            width = wide;
            wide_kernels[o->m - 1](&t);
        } else {
            int vecs = panel_vecs(o->n - j, &t.lanes);
            width = vecs * LANES;
            row_tiles(&t, vecs, t.lanes < LANES, o->m);
        }
        t.a = o->a;
        t.b += width;
        t.y = o->y + j + width;
        if (t.bias) t.bias += width;
    }
}

/* ---- b by columns ---- */

/* out[c], lane l = line[l][p + c]. A vector is made of 16-byte quarters, one from each QUARTER-th line; then
 * one small transposition serves all quarters at once. */
FASTBP_INLINE void transpose(const fastbp_real *const *line, intptr_t p, vec *out) {
    EACH(i, QUARTER) out[i] = gather_quarters(line + i, p);
    transpose_quarters(out);
}

FASTBP_INLINE void set_lines(const fastbp_real **line, const fastbp_real *x, intptr_t row, intptr_t rows) {
    for (int l = 0; l < LANES; l++) line[l] = x + smaller(l, rows - 1) * row; /* past the end: the last again */
}

/* panel[p, j] = b[p, j] for k rows and n <= WIDTH columns */
static void pack_columns(const fastbp_real *b, intptr_t b_row, intptr_t b_col, intptr_t k, intptr_t n, int vecs,
                         fastbp_real *panel) {
    intptr_t width = vecs * LANES;
    if (b_row != 1 || k < QUARTER) {
        for (intptr_t p = 0, j; p < k; p++, b += b_row, panel += width) {
            for (j = 0; j < n; j++) panel[j] = b[j * b_col];
            for (; j < width; j++) panel[j] = 0;
        }
        return;
    }
    for (intptr_t j = 0; j < width; j += LANES) {
        const fastbp_real *line[LANES];
        vec out[QUARTER];
        set_lines(line, b + j * b_col, b_col, n - j);
        for (intptr_t p = 0; p < k; p += QUARTER) {
            intptr_t q = smaller(p, k - QUARTER); /* the last step goes back over rows already there */
            transpose(line, q, out);
            EACH(c, QUARTER) store(panel + (q + c) * width + j, out[c]);
        }
    }
}

/* The panel of b at t->b: packed now if b lies by columns, else left to the first tile. Returns edge. */
FASTBP_INLINE int set_panel(tile *t, intptr_t b_col, int vecs, fastbp_real *panel) {
    t->panel = panel;
    if (b_col == 1) return t->lanes < LANES;
    pack_columns(t->b, t->b_row, b_col, t->k, (vecs - 1) * LANES + t->lanes, vecs, panel);
    t->b = panel;
    t->b_row = vecs * LANES;
    t->panel = NULL;
    return 0;
}

/* depth: the rows that the panel has */
static void multiply_panels(const product *o, fastbp_real *panel, intptr_t depth) {
    for (intptr_t j = 0; j < o->n; j += WIDTH) {
        intptr_t p = 0;
        do { /* once for k = 0 too */
            tile t = {.a = o->a + p * o->a_col, .a_row = o->a_row, .a_col = o->a_col, .a_tile = o->a_tile};
            int vecs = panel_vecs(o->n - j, &t.lanes);
            t.b = o->b + p * o->b_row + j * o->b_col;
            t.b_row = o->b_row;
            t.y = o->y + j;
            t.y_row = o->y_row;
            t.k = smaller(o->k - p, depth);
            t.resume = o->resume || p > 0;
            p += t.k;
            if (p == o->k) {
                t.bias = o->bias ? o->bias + j : NULL;
                t.relu = o->relu;
            }
            if (o->b_col == 1 && j + 2 * WIDTH <= o->n && o->k * o->b_row > LARGE / FASTBP_ITEM)
                t.next = t.b + WIDTH, t.next_row = o->b_row;
            int edge = set_panel(&t, o->b_col, vecs, panel);
            row_tiles(&t, vecs, edge, o->m);
        } while (p < o->k);
    }
}

/* block[i / ROWS, p, i % ROWS] = a[i, p] for m rows, a by columns */
static void pack_block(const fastbp_real *a, intptr_t a_col, intptr_t m, intptr_t k, fastbp_real *block) {
    for (intptr_t p = 0; p < k; p++, a += a_col, block += ROWS) {
        intptr_t i = 0;
        fastbp_real *out = block;
        for (intptr_t line = 0; line < m; line += 64 / FASTBP_ITEM)
            __builtin_prefetch((const char *)((uintptr_t)a + FASTBP_ITEM * (4 * (uintptr_t)a_col + (uintptr_t)line)));
        for (; i + ROWS <= m; i += ROWS, out += BLOCK_TILE) memcpy(out, a + i, ROWS * sizeof *out);
        for (; i < m; i++) *out++ = a[i];
    }
}

/* a by columns and too large for L2: blocks of it are packed and multiplied with all of b's panels */
static void multiply_blocks(const product *o, fastbp_real *panel, fastbp_real *block) {
    intptr_t blocks = (o->m + BLOCK_ROWS - 1) / BLOCK_ROWS, rows = ((o->m - 1) / blocks + ROWS) / ROWS * ROWS;
    for (intptr_t p = 0; p < o->k; p += BLOCK_DEPTH)
        for (intptr_t i = 0; i < o->m; i += rows) {
            product part = *o;
            part.a = block;
            part.a_col = ROWS;
            part.a_tile = BLOCK_TILE;
            part.b += p * o->b_row;
            part.y += i * o->y_row;
            part.m = smaller(o->m - i, rows);
            part.k = smaller(o->k - p, BLOCK_DEPTH);
            part.resume = p > 0;
            if (p + part.k < o->k) part.bias = NULL, part.relu = 0;
            pack_block(o->a + i + p * o->a_col, o->a_col, part.m, part.k, block);
            multiply_panels(&part, panel, BLOCK_DEPTH);
        }
}

/* one row of a, b by columns: each vector of b is used once, so it stays in registers (k >= QUARTER) */
static void multiply_row(const product *o) {
    enum { VECS = 2 };
    for (intptr_t j = 0; j < o->n; j += VECS * LANES) {
        const fastbp_real *line[VECS * LANES];
        vec acc[VECS], row[QUARTER];
        for (int l = 0; l < VECS * LANES; l++) line[l] = o->b + smaller(j + l, o->n - 1) * o->b_col;
        EACH(v, VECS) acc[v] = (vec){0};
        for (intptr_t p = 0; p < o->k; p += QUARTER) {
            intptr_t q = smaller(p, o->k - QUARTER); /* the last step skips what has been added */
            EACH(v, VECS) {
                transpose(line + v * LANES, q, row);
                EACH(c, QUARTER) if (q + c >= p) acc[v] = fused(broadcast(o->a[(q + c) * o->a_col]), row[c], acc[v]);
            }
        }
        for (intptr_t v = 0, at = j; v < VECS && at < o->n; v++, at += LANES) {
            int lanes = (int)smaller(o->n - at, LANES);
            if (o->bias) acc[v] += load_lanes(o->bias + at, lanes);
            store_lanes(o->y + at, o->relu ? relu_of(acc[v]) : acc[v], lanes);
        }
    }
}

/* ---- lanes over the rows of y ---- */

/* y[i, j] = strip[j, i], after bias and relu, for m columns and n rows of the strip */
static void store_transposed(const fastbp_real *strip, intptr_t width, fastbp_real *y, intptr_t y_row, intptr_t m,
                             intptr_t n, const fastbp_real *bias, int relu) {
    for (intptr_t j = 0; j < n; j += QUARTER) {
        int lanes = (int)smaller(n - j, QUARTER);
        for (intptr_t i = 0; i < m; i += LANES, y += LANES * y_row) {
            vec v[QUARTER];
            EACH(c, QUARTER) {
                intptr_t from = j + smaller(c, lanes - 1);
                v[c] = load(strip + from * width + i);
                if (bias) v[c] += broadcast(bias[from]);
                if (relu) v[c] = relu_of(v[c]);
            }
            transpose_quarters(v);
            EACH(c, QUARTER) {
                quarter part[LANES / QUARTER];
                split_quarters(v[c], part);
                EACH(q, LANES / QUARTER)
                if (i + q * QUARTER + c < m) store_quarter(y + (q * QUARTER + c) * y_row + j, part[q], lanes);
            }
        }
        y -= (m + LANES - 1) / LANES * LANES * y_row;
    }
}

/* a^T is the b of the tiles, b^T their a. The panel has k rows: chains do not rest here. */
static __attribute__((noinline)) void multiply_transposed(const product *o, fastbp_real *panel) {
    fastbp_real strip[STRIP * WIDTH] __attribute__((aligned(64)));
    for (intptr_t i = 0; i < o->m; i += WIDTH) {
        tile t = {.a = o->b, .a_row = o->b_col, .a_col = o->b_row, .b = o->a + i * o->a_row, .b_row = o->a_col,
                  .y = strip, .k = o->k};
        int vecs = panel_vecs(o->m - i, &t.lanes), edge = set_panel(&t, o->a_row, vecs, panel);
        intptr_t columns = smaller(o->m - i, WIDTH);
        t.y_row = vecs * LANES;
        for (intptr_t j = 0; j < o->n; j += STRIP) {
            intptr_t n = smaller(o->n - j, STRIP);
            t.y = strip;
            row_tiles(&t, vecs, edge, n);
            store_transposed(strip, t.y_row, o->y + i * o->y_row + j, o->y_row, columns, n,
                             o->bias ? o->bias + j : NULL, o->relu);
            edge = 0; /* the panel is whole */
        }
    }
}

/* In fmas of a vector; to transpose an element costs about half of one. */
FASTBP_INLINE int transposed_is_cheaper(const product *o) {
    intptr_t m = o->m, k = o->k, n = o->n;
    intptr_t direct = 2 * m * k * ((n + LANES - 1) / LANES) + (o->b_col == 1 ? 0 : k * n);
    intptr_t transposed = 2 * n * k * ((m + LANES - 1) / LANES) + (o->a_row == 1 ? 0 : m * k) + m * n;
    return k > 0 && k <= DEPTH && transposed < direct;
}

/* ---- where panels lie ---- */

static __attribute__((noinline)) void multiply_shallow(const product *o, int transposed) {
    fastbp_real panel[SHALLOW * WIDTH] __attribute__((aligned(64)));
    if (transposed && o->k <= SHALLOW)
        multiply_transposed(o, panel);
    else
        multiply_panels(o, panel, SHALLOW);
}

typedef struct {
    fastbp_real panel[DEPTH * WIDTH] __attribute__((aligned(64)));
    fastbp_real block[BLOCK_ROWS / ROWS * BLOCK_TILE] __attribute__((aligned(64)));
} workspace;

/* Returns 0, and does nothing, where there is no memory. */
static __attribute__((noinline)) int multiply_deep(const product *o, int transposed, int blocks) {
#if defined(_WIN32)
    workspace local, *w = &local;
#else
    workspace *w = (workspace *)fastbp_scratch(sizeof *w);
    if (!w) return 0;
#endif
    if (transposed)
        multiply_transposed(o, w->panel);
    else if (blocks)
        multiply_blocks(o, w->panel, w->block);
    else
        multiply_panels(o, w->panel, DEPTH);
    return 1;
}

static void fastbp_matmul(const fastbp_real *a, intptr_t a_row, intptr_t a_col, const fastbp_real *b, intptr_t b_row,
                          intptr_t b_col, fastbp_real *y, intptr_t y_row, intptr_t m, intptr_t k, intptr_t n,
                          const fastbp_epilogue *epilogue) {
    product o = {a, a_row, a_col, b, b_row, b_col, y, y_row, m, k, n, NULL, 0, 0, 0};
    if (m <= 0 || n <= 0) return;
    if (m == 1) o.a_row = 1; /* the stride of one element is any: take what is fast */
    if (n == 1) o.b_col = 1;
    if (epilogue) o.bias = epilogue->bias, o.relu = epilogue->relu;
    const int transposed = transposed_is_cheaper(&o);
    const int blocks = o.a_row == 1 && n > 4 * WIDTH && k * a_col > LARGE / FASTBP_ITEM;
    if (m == 1 && o.b_col != 1 && b_row == 1 && k >= QUARTER)
        multiply_row(&o);
    else if (!transposed && o.b_col == 1 &&
             (m <= ROWS || k * n * FASTBP_ITEM <= (b_row * FASTBP_ITEM <= LONG ? DIRECT : DIRECT_LONG)))
        multiply_direct(&o);
    else if ((k <= SHALLOW && !blocks) || !multiply_deep(&o, transposed, blocks))
        multiply_shallow(&o, transposed);
}

#undef EACH
#undef DEFINE
#undef DEFINE_TILE
#undef NAMES
#undef DEFINE_HEIGHT
#undef NAMES_HEIGHT
#undef HEIGHTS
#endif
