/* The table of primitives of numerics "portable" for one element type and CPU level. */
#ifndef FASTBP_PORTABLE_PRIMITIVES_H
#define FASTBP_PORTABLE_PRIMITIVES_H

#include <stdatomic.h>

#include "../abi.h"
#include "convolve.h"
#include "convolve_dw.h"
#include "convolve_dx.h"
#include "cross_entropy.h"
#include "elementary.h"
#include "matmul.h"
#include "sum.h"
#include "sweep.h"

enum { FASTBP_MIN_THREADED_FMAS = 1 << 20 }; /* multiply-adds of a product from which threads pay */

/* Whose threads share long products; set after others may have begun to use these primitives. */
static const fastbp_pool *_Atomic fastbp_portable_pool;

static void fastbp_set_pool(const fastbp_pool *pool) { atomic_store(&fastbp_portable_pool, pool); }

/* How many threads there are for work that is `enough` for several, and to run a task in as many parts */
static int fastbp_threads(int enough) {
    const fastbp_pool *pool = enough ? atomic_load(&fastbp_portable_pool) : NULL;
    return pool ? pool->threads() : 1;
}

static void fastbp_run_task(void (*task)(void *, int, int), void *context, int parts) {
    if (parts > 1)
        atomic_load(&fastbp_portable_pool)->run(task, context, parts);
    else
        task(context, 0, 1);
}

typedef struct {
    const fastbp_real *a, *b;
    intptr_t a_row, a_col, b_row, b_col;
    fastbp_real *y;
    intptr_t m, k, n;
    fastbp_epilogue epilogue;
    int by_rows;
} fastbp_product;

/* A part of a product is some rows or some columns of y: every element keeps its whole chain. */
static void fastbp_product_part(void *context, int part, int parts) {
    const fastbp_product *p = (const fastbp_product *)context;
    const intptr_t unit = p->by_rows ? 8 : 64 / (intptr_t)sizeof(fastbp_real) * 2;
    const intptr_t length = p->by_rows ? p->m : p->n, units = (length + unit - 1) / unit;
    const intptr_t first = units * part / parts * unit, end = units * (part + 1) / parts * unit;
    const intptr_t count = (end < length ? end : length) - first;
    fastbp_epilogue epilogue = p->epilogue;
    if (p->by_rows) {
        if (epilogue.c) epilogue.c += first * p->n, epilogue.before += first * p->n;
        fastbp_matmul(p->a + first * p->a_row, p->a_row, p->a_col, p->b, p->b_row, p->b_col,
                      p->y + first * p->n, p->n, count, p->k, p->n, &epilogue);
    } else {
        if (epilogue.bias) epilogue.bias += first;
        if (epilogue.c) epilogue.c += first, epilogue.before += first;
        fastbp_matmul(p->a, p->a_row, p->a_col, p->b + first * p->b_col, p->b_row, p->b_col,
                      p->y + first, p->n, p->m, p->k, count, &epilogue);
    }
}

/* One part for each thread, where a pointwise call has four to even out what else the cores do (runner.pyx): a part packs
 * panels of its own. */
static void fastbp_run_product(fastbp_product *p) {
    const int parts = fastbp_threads(p->m * p->k * p->n >= FASTBP_MIN_THREADED_FMAS);
    if (parts == 1) {
        fastbp_matmul(p->a, p->a_row, p->a_col, p->b, p->b_row, p->b_col, p->y, p->n, p->m, p->k, p->n, &p->epilogue);
        return;
    }
    p->by_rows = p->m > p->n;
    fastbp_run_task(fastbp_product_part, p, parts);
}

static void fastbp_matmul_loop(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    const intptr_t item = sizeof(fastbp_real);
    fastbp_product p = {(const fastbp_real *)args[0], (const fastbp_real *)args[1], steps[3] / item, steps[4] / item,
                        steps[5] / item, steps[6] / item, (fastbp_real *)args[2], dimensions[1], dimensions[2],
                        dimensions[3], {NULL, 0, NULL, NULL}, 0};
    (void)data;
    fastbp_run_product(&p);
}

static void fastbp_dense_loop(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    const intptr_t m = dimensions[0], k = dimensions[1], n = dimensions[2];
    fastbp_product p = {(const fastbp_real *)args[0], (const fastbp_real *)args[1], k, 1, n, 1, (fastbp_real *)args[3],
                        m, k, n, {(const fastbp_real *)args[2], (int)dimensions[3], NULL, NULL}, 0};
    (void)steps;
    (void)data;
    fastbp_run_product(&p);
}

FASTBP_UNUSED static void fastbp_product_add_loop(char **args, const intptr_t *dimensions, const intptr_t *steps,
                                                  void *data) {
    const intptr_t m = dimensions[0], k = dimensions[1], n = dimensions[2], by_columns = dimensions[4];
    fastbp_real *y = (fastbp_real *)args[4], *before = args[5] ? (fastbp_real *)args[5] : y;
    fastbp_product p = {(const fastbp_real *)args[0], (const fastbp_real *)args[1], k, 1, by_columns ? 1 : n,
                        by_columns ? k : 1, y, m, k, n,
                        {(const fastbp_real *)args[2], (int)dimensions[3], (const fastbp_real *)args[3], before}, 0};
    (void)steps;
    (void)data;
    fastbp_run_product(&p);
}

/* A part has some vectors of units. */
static void fastbp_sweep_part(void *context, int part, int parts) {
    fastbp_sweep s = *(const fastbp_sweep *)context;
    const intptr_t vectors = (s.k + FASTBP_LANES - 1) / FASTBP_LANES, end = vectors * (part + 1) / parts * FASTBP_LANES;
    s.first = vectors * part / parts * FASTBP_LANES;
    s.end = fastbp_smaller(end, s.k);
    if (s.first < s.end) fastbp_run_sweep(&s);
}

FASTBP_UNUSED static void fastbp_sweep_loop(char **args, const intptr_t *dimensions, const intptr_t *steps,
                                            void *data) {
    fastbp_real **a = (fastbp_real **)args;
    const fastbp_sweep s = {.x = a[0], .h = a[1], .dy = a[2], .w = a[3], .db = a[4], .dw = a[5], .dh = a[6],
                            .db_before = a[7], .dw_before = a[8], .batch = dimensions[0], .m = dimensions[1],
                            .k = dimensions[2], .n = dimensions[3], .relu = (int)dimensions[4], .end = dimensions[2]};
    (void)steps;
    (void)data;
    fastbp_run_task(fastbp_sweep_part, (void *)&s, fastbp_threads(s.batch * s.k * s.n >= FASTBP_MIN_THREADED_FMAS));
}

static void fastbp_run_convolution(char **args, const intptr_t *dimensions, int result,
                                   fastbp_convolution_part (*begin)(fastbp_convolution *, int)) {
    const fastbp_real *bias = result == 3 ? (const fastbp_real *)args[2] : NULL;
    fastbp_convolution s = {.x = (const fastbp_real *)args[0], .weights = (const fastbp_real *)args[1], .bias = bias,
                            .y = (fastbp_real *)args[result]};
    memcpy(&s.w, dimensions, sizeof s.w);
    const intptr_t fmas = s.w.batch * s.w.oh * s.w.ow * s.w.kh * s.w.kw * s.w.n * s.w.o;
    const int parts = fastbp_threads(fmas >= FASTBP_MIN_THREADED_FMAS);
    const fastbp_convolution_part part = begin(&s, parts);
    if (part) fastbp_run_task(part, &s, parts);
    *(int *)args[result + 1] = !s.failed;
}

FASTBP_UNUSED static void fastbp_convolve_loop(char **args, const intptr_t *dimensions, const intptr_t *steps,
                                               void *data) {
    (void)steps;
    (void)data;
    fastbp_run_convolution(args, dimensions, 3, fastbp_begin_forward);
}

FASTBP_UNUSED static void fastbp_convolve_dw_loop(char **args, const intptr_t *dimensions, const intptr_t *steps,
                                                  void *data) {
    (void)steps;
    (void)data;
    fastbp_run_convolution(args, dimensions, 2, fastbp_begin_dw);
}

FASTBP_UNUSED static void fastbp_convolve_dx_loop(char **args, const intptr_t *dimensions, const intptr_t *steps,
                                                  void *data) {
    (void)steps;
    (void)data;
    fastbp_run_convolution(args, dimensions, 2, fastbp_begin_dx);
}

#define FASTBP_ENTRY(name, NAME) [FASTBP_##NAME] = {fastbp_##name##_loop, NULL},
static const fastbp_primitive fastbp_portable[FASTBP_PRIMITIVES] = {
    FASTBP_ENTRY(matmul, MATMUL) FASTBP_ENTRY(sum, SUM) FASTBP_ENTRY(dense, DENSE)
#if FASTBP_HARDWARE_FMA /* elsewhere they would save nothing */
    FASTBP_ENTRY(sweep, SWEEP) FASTBP_ENTRY(cross_entropy, CROSS_ENTROPY) FASTBP_ENTRY(product_add, PRODUCT_ADD)
    FASTBP_ENTRY(convolve, CONVOLVE) FASTBP_ENTRY(convolve_dw, CONVOLVE_DW) FASTBP_ENTRY(convolve_dx, CONVOLVE_DX)
#endif
    FASTBP_UNARY(FASTBP_ENTRY) FASTBP_FAR(FASTBP_ENTRY) FASTBP_BINARY(FASTBP_ENTRY)
};
#undef FASTBP_ENTRY

/* Parts of a kernel's own work, `most` at most, among the threads; in portable numerics, and where it has enough elements */
FASTBP_UNUSED static void fastbp_run_parts(const fastbp_primitive *primitives, void (*task)(void *, int, int),
                                           void *context, intptr_t elements, intptr_t most) {
    const int threads = fastbp_threads(primitives == fastbp_portable && elements >= FASTBP_SHARED);
    fastbp_run_task(task, context, (int)fastbp_smaller(threads, most));
}

#endif
