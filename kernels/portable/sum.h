/* The portable sum: element i is added to partial sum i % 32, all from +0; then halves are added,
 * 16 + 16, 8 + 8, 4 + 4, 2 + 2, 1 + 1. So it is two (float32) or four (float64) AVX-512 additions a
 * step, and the same bits with narrower vectors or none.
 */
#ifndef FASTBP_SUM_H
#define FASTBP_SUM_H

#include "real.h"

enum { FASTBP_SUM_LANES = 32 };

/* The same for n <= 32, without a loop: n is a constant where this is inlined. Partial sums of nothing
 * are left out, which changes nothing but the sign of a zero; the last addition mends that. */
#define FASTBP_T16(i) ((i) + 16 < n ? x[i] + x[(i) + 16] : x[i])
#define FASTBP_T8(i) ((i) + 8 < n ? FASTBP_T16(i) + FASTBP_T16((i) + 8) : FASTBP_T16(i))
#define FASTBP_T4(i) ((i) + 4 < n ? FASTBP_T8(i) + FASTBP_T8((i) + 4) : FASTBP_T8(i))
#define FASTBP_T2(i) ((i) + 2 < n ? FASTBP_T4(i) + FASTBP_T4((i) + 2) : FASTBP_T4(i))
FASTBP_INLINE fastbp_real fastbp_short_sum(const fastbp_real *x, const int n) {
    return (1 < n ? FASTBP_T2(0) + FASTBP_T2(1) : FASTBP_T2(0)) + 0;
}
#undef FASTBP_T16
#undef FASTBP_T8
#undef FASTBP_T4
#undef FASTBP_T2

static inline fastbp_real fastbp_sum(const fastbp_real *x, intptr_t n) {
    fastbp_real lane[FASTBP_SUM_LANES] = {0};
    for (; n >= FASTBP_SUM_LANES; n -= FASTBP_SUM_LANES, x += FASTBP_SUM_LANES)
        for (int i = 0; i < FASTBP_SUM_LANES; i++) lane[i] += x[i];
    for (intptr_t i = 0; i < n; i++) lane[i] += x[i];
    return fastbp_short_sum(lane, FASTBP_SUM_LANES);
}

/* The primitive SUM of abi.h; rows of a softmax are often this short. */
static void fastbp_sum_loop(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    const char *x = args[0];
    char *y = args[1];
    intptr_t rows = dimensions[0], n = dimensions[1], i;
    (void)data;
#define FASTBP_SUM_ROWS(sum, n) \
    for (i = 0; i < rows; i++, x += steps[0], y += steps[1]) *(fastbp_real *)y = sum((const fastbp_real *)x, n)
    FASTBP_BY_LENGTH(n, FASTBP_SUM_ROWS(fastbp_short_sum, N), FASTBP_SUM_ROWS(fastbp_sum, n))
#undef FASTBP_SUM_ROWS
}

#endif
