/* Loops over the rows of a matrix. Rows are often short (class scores, a small layer): up to 16 columns the
 * length is a constant, and a row is a few vector instructions in place of loops that cost more than their work.
 */
#ifndef FASTBP_ROWS_H
#define FASTBP_ROWS_H

#include <math.h>
#include <string.h>

#include "../portable/real.h"

/* Around the body of a loop that is written in Cython */
#define FASTBP_EACH(i, start, stop) FASTBP_MANY for (*(i) = start; *(i) < stop; ++*(i)) {
#define FASTBP_END() }

/* The largest of n numbers. A NaN may be passed over, and either zero returned: neither changes what exp, its
 * sum and the loss make of a row from which it is subtracted. */
FASTBP_INLINE fastbp_real fastbp_larger(fastbp_real a, fastbp_real b) { return a > b ? a : b; }
#define FASTBP_T8(i) ((i) + 8 < n ? fastbp_larger(x[i], x[(i) + 8]) : x[i])
#define FASTBP_T4(i) ((i) + 4 < n ? fastbp_larger(FASTBP_T8(i), FASTBP_T8((i) + 4)) : FASTBP_T8(i))
#define FASTBP_T2(i) ((i) + 2 < n ? fastbp_larger(FASTBP_T4(i), FASTBP_T4((i) + 2)) : FASTBP_T4(i))
FASTBP_INLINE fastbp_real fastbp_short_max(const fastbp_real *x, const int n) {
    return 1 < n ? fastbp_larger(FASTBP_T2(0), FASTBP_T2(1)) : x[0];
}
#undef FASTBP_T8
#undef FASTBP_T4
#undef FASTBP_T2

static inline fastbp_real fastbp_long_max(const fastbp_real *x, intptr_t n) {
    fastbp_real lane[16];
    for (int l = 0; l < 16; l++) lane[l] = x[l];
    for (; n >= 16; n -= 16, x += 16)
        for (int l = 0; l < 16; l++) lane[l] = fastbp_larger(x[l], lane[l]);
    for (intptr_t l = 0; l < n; l++) lane[l] = fastbp_larger(x[l], lane[l]);
    return fastbp_short_max(lane, 16);
}

#define FASTBP_SUBTRACT_MAX(max, n, keep) \
    for (intptr_t i = 0; i < rows; i++, x += n, z += n) { \
        const fastbp_real largest = max(x, n); \
        FASTBP_INDEPENDENT for (intptr_t j = 0; j < n; j++) z[j] = x[j] - largest; \
        keep; \
    }
#define FASTBP_SUBTRACT_MAX_OF_ROWS(keep) \
    FASTBP_BY_LENGTH( \
        n, FASTBP_SUBTRACT_MAX(fastbp_short_max, N, keep), FASTBP_SUBTRACT_MAX(fastbp_long_max, n, keep) \
    )

/* z = x - max of each row; z is x or lies apart from it */
static void fastbp_subtract_max(const fastbp_real *x, fastbp_real *z, intptr_t rows, intptr_t n) {
    if (n > 0) FASTBP_SUBTRACT_MAX_OF_ROWS((void)0)
}

/* the same, and most = max of each row */
static void fastbp_subtract_and_keep_max(
    const fastbp_real *x, fastbp_real *z, fastbp_real *most, intptr_t rows, intptr_t n
) {
    if (n > 0) FASTBP_SUBTRACT_MAX_OF_ROWS(most[i] = largest)
}

/* largest = numpy.max of each row but for the sign of a zero: a NaN is passed on; of nothing it is -infinity */
static void fastbp_max_rows(const fastbp_real *x, fastbp_real *largest, intptr_t rows, intptr_t n) {
    for (intptr_t i = 0; i < rows; i++, x += n) {
        fastbp_real most = -(fastbp_real)INFINITY;
        for (intptr_t j = 0; j < n; j++) most = x[j] > most || x[j] != x[j] ? x[j] : most;
        largest[i] = most;
    }
}

FASTBP_INLINE void fastbp_divide_rows_n(fastbp_real *e, const fastbp_real *s, intptr_t rows, const intptr_t n) {
    for (intptr_t i = 0; i < rows; i++, e += n) {
        const fastbp_real divisor = s[i];
        for (intptr_t j = 0; j < n; j++) e[j] /= divisor;
    }
}

/* e[i, j] /= s[i] */
static void fastbp_divide_rows(fastbp_real *e, const fastbp_real *s, intptr_t rows, intptr_t n) {
    FASTBP_BY_LENGTH(n, fastbp_divide_rows_n(e, s, rows, N), fastbp_divide_rows_n(e, s, rows, n))
}

FASTBP_INLINE void fastbp_add_bias_n(fastbp_real *y, const fastbp_real *b, intptr_t rows, const intptr_t n) {
    for (intptr_t i = 0; i < rows; i++, y += n)
        FASTBP_INDEPENDENT for (intptr_t j = 0; j < n; j++) y[j] = y[j] + b[j];
}

FASTBP_INLINE void fastbp_add_bias_and_relu_n(fastbp_real *y, const fastbp_real *b, intptr_t rows, const intptr_t n) {
    for (intptr_t i = 0; i < rows; i++, y += n)
        FASTBP_INDEPENDENT for (intptr_t j = 0; j < n; j++) {
            const fastbp_real z = y[j] + b[j];
            y[j] = z <= 0 ? 0 : z; /* NaN stays: numpy.maximum(z, 0) */
        }
}

/* y = y + b in each row, then max(y, 0) if relu */
static void fastbp_add_bias(fastbp_real *y, const fastbp_real *b, intptr_t rows, intptr_t n, int relu) {
    if (relu)
        FASTBP_BY_LENGTH(n, fastbp_add_bias_and_relu_n(y, b, rows, N), fastbp_add_bias_and_relu_n(y, b, rows, n))
    else
        FASTBP_BY_LENGTH(n, fastbp_add_bias_n(y, b, rows, N), fastbp_add_bias_n(y, b, rows, n))
}

#define FASTBP_GATHER(n) \
    for (intptr_t i = 0; i < batch; i++, y += n) { \
        if (index[i] < 0 || index[i] >= rows) return 0; \
        memcpy(y, x + index[i] * (n), (n) * sizeof *y); \
    }

/* Rows of x by their numbers; 0 at one that there is not. A short row of a constant length is moved without a call. */
static int fastbp_gather_rows(const fastbp_real *x, const int64_t *index, fastbp_real *y, intptr_t rows, intptr_t n,
                              intptr_t batch) {
    FASTBP_BY_LENGTH(n, FASTBP_GATHER(N), FASTBP_GATHER(n))
    return 1;
}

/* The smallest of n numbers that are above a bound, or infinity. */
static fastbp_real fastbp_next_above(const fastbp_real *x, fastbp_real bound, intptr_t n) {
    const fastbp_real none = (fastbp_real)INFINITY;
    fastbp_real lane[16], next = none;
#define FASTBP_NEXT(l) \
    do { \
        const fastbp_real value = x[l] > bound ? x[l] : none; \
        lane[l] = value < lane[l] ? value : lane[l]; \
    } while (0)
    for (int l = 0; l < 16; l++) lane[l] = none;
    for (; n >= 16; n -= 16, x += 16)
        for (int l = 0; l < 16; l++) FASTBP_NEXT(l);
    for (intptr_t l = 0; l < n; l++) FASTBP_NEXT(l);
#undef FASTBP_NEXT
    for (int l = 0; l < 16; l++) next = lane[l] < next ? lane[l] : next;
    return next;
}

/* s = the sum of n columns of rows that lie `stride` apart; n is a constant: the sums stay in registers */
#define FASTBP_ADD_COLUMNS(most) \
    FASTBP_INLINE void fastbp_add_##most##_columns( \
        const fastbp_real *x, intptr_t stride, fastbp_real *s, intptr_t rows, const int n \
    ) { \
        fastbp_real sum[most] = {0}; \
        for (intptr_t i = 0; i < rows; i++, x += stride) \
            _Pragma("GCC unroll 64") for (int j = 0; j < n; j++) sum[j] += x[j]; \
        _Pragma("GCC unroll 64") for (int j = 0; j < n; j++) s[j] = sum[j]; \
    }
FASTBP_ADD_COLUMNS(16)
FASTBP_ADD_COLUMNS(64)

/* s = the sum of n columns of all rows, which lie `stride` apart, one after the other, from +0 */
static void fastbp_add_rows(const fastbp_real *x, intptr_t stride, fastbp_real *s, intptr_t rows, intptr_t n) {
    if (n > 256) {
        /* wide rows are read as they lie (measured) */
        for (intptr_t j = 0; j < n; j++) s[j] = 0;
        for (intptr_t i = 0; i < rows; i++, x += stride)
            for (intptr_t j = 0; j < n; j++) s[j] += x[j];
        return;
    }
    for (; n >= 64; n -= 64, x += 64, s += 64) fastbp_add_64_columns(x, stride, s, rows, 64);
    for (; n > 16; n -= 16, x += 16, s += 16) fastbp_add_16_columns(x, stride, s, rows, 16);
    FASTBP_BY_LENGTH(n, fastbp_add_16_columns(x, stride, s, rows, N), (void)0)
}

#endif
