/* What kernels share, those that setup.py writes and those in *.pxi. */
#ifndef FASTBP_HELPERS_H
#define FASTBP_HELPERS_H

#include <math.h>

#include "../abi.h"
#include "rows.h"

enum { FASTBP_BLOCK = 1024 }; /* elements that stay in the L1 cache from one pass to the next */

#if FASTBP_ITEM == 4
#define fastbp_square_root sqrtf
#else
#define fastbp_square_root sqrt
#endif

/* `call` with rows of a constant length N up to 16, or `other`: worth its code where vectors are wide (measured) */
#if defined(__AVX2__) || !defined(__x86_64__)
#define FASTBP_SHORT_ROWS(n, call, other) FASTBP_BY_LENGTH(n, call, other)
#else
#define FASTBP_SHORT_ROWS(n, call, other) other;
#endif

static inline void fastbp_unary(
    const fastbp_primitive *primitives, int index, const fastbp_real *x, fastbp_real *y, intptr_t n
) {
    char *args[2] = {(char *)x, (char *)y};
    const intptr_t steps[2] = {sizeof *x, sizeof *y};
    primitives[index].loop(args, &n, steps, primitives[index].data);
}

/* y[rows] = the sum of each row of x[rows, n] */
static inline void fastbp_sum_rows(
    const fastbp_primitive *primitives, const fastbp_real *x, fastbp_real *y, intptr_t rows, intptr_t n
) {
    char *args[2] = {(char *)x, (char *)y};
    const intptr_t dimensions[2] = {rows, n}, steps[2] = {n * (intptr_t)sizeof *x, sizeof *y};
    primitives[FASTBP_SUM].loop(args, dimensions, steps, primitives[FASTBP_SUM].data);
}

static inline fastbp_real fastbp_total(const fastbp_primitive *primitives, const fastbp_real *x, intptr_t n) {
    fastbp_real s;
    fastbp_sum_rows(primitives, x, &s, 1, n);
    return s;
}

/* s = the sum of all rows, for the first `columns` of n columns. A single column is contiguous: NumPy sums it pairwise. */
static inline void fastbp_sum_columns(
    const fastbp_primitive *primitives, const fastbp_real *x, fastbp_real *s, intptr_t rows, intptr_t n, intptr_t columns
) {
    if (n == 1)
        s[0] = fastbp_total(primitives, x, rows);
    else
        fastbp_add_rows(x, n, s, rows, columns);
}

/* How many rows pass together: all that stay in L1, and no more than a local array has numbers for. */
static inline intptr_t fastbp_rows_per_block(intptr_t rows, intptr_t n) {
    if (n > 0 && rows * n <= FASTBP_BLOCK) return rows;
    return n > FASTBP_BLOCK ? 1 : FASTBP_BLOCK / (n > 0 ? n : 1);
}

/* min(1 - eps, the number below 1) */
static inline fastbp_real fastbp_below_one(double eps) {
    const fastbp_real below = (fastbp_real)(1 - (sizeof below == 4 ? 0x1p-24 : 0x1p-53)), bound = (fastbp_real)(1 - eps);
    return bound < below ? bound : below;
}

FASTBP_INLINE fastbp_real fastbp_clip(fastbp_real p, fastbp_real lower, fastbp_real upper) {
    p = p <= lower ? lower : p; /* NaN stays */
    return p >= upper ? upper : p;
}

#endif
