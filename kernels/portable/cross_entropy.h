/* Softmax cross-entropy with labels, of few classes, and its gradient in one pass. Lanes run over the rows of a batch,
 * so that maxima, sums and the choice of a class are operations of whole vectors. Each row's are those of the kernels
 * that make them one after the other, the sum over classes in the order of sum.h.
 */
#ifndef FASTBP_CROSS_ENTROPY_H
#define FASTBP_CROSS_ENTROPY_H

#include "elementary.h"
#include "matmul.h"

enum { FASTBP_LOGIT_VECTORS = 4 }; /* of rows: an elementary function is given so many for each class */

/* where mask a, else b */
FASTBP_INLINE fastbp_vec fastbp_choose(fastbp_vec_bits mask, fastbp_vec a, fastbp_vec b) {
    return (fastbp_vec)(((fastbp_vec_bits)a & mask) | ((fastbp_vec_bits)b & ~mask));
}

FASTBP_INLINE void fastbp_of_vectors(void (*loop)(char **, const intptr_t *, const intptr_t *, void *), fastbp_vec *x,
                                     fastbp_vec *y, intptr_t vectors) {
    char *args[2] = {(char *)x, (char *)y};
    const intptr_t n = vectors * FASTBP_LANES, steps[2] = {FASTBP_ITEM, FASTBP_ITEM};
    loop(args, &n, steps, NULL);
}

/* Up to FASTBP_LOGIT_VECTORS vectors of rows; n is a constant, 2 to FASTBP_FEW. */
FASTBP_INLINE void fastbp_cross_entropy_rows(const fastbp_real *logits, const int64_t *labels, fastbp_real *sample_loss,
                                             fastbp_real *dlogits, int rows, fastbp_real factor, const int n) {
    fastbp_vec logit[FASTBP_LOGIT_VECTORS * FASTBP_FEW], power[FASTBP_LOGIT_VECTORS * FASTBP_FEW];
    fastbp_vec sum[FASTBP_LOGIT_VECTORS], log_sum[FASTBP_LOGIT_VECTORS], *z = logit, *e = power;
    const int vectors = (rows + FASTBP_LANES - 1) / FASTBP_LANES;
    for (int v = 0; v < vectors; v++, z += n) {
        fastbp_load_columns(logits + v * FASTBP_LANES * n, rows - v * FASTBP_LANES, z, n);
        fastbp_vec largest = z[0];
        FASTBP_UNROLL(j, n) largest = fastbp_choose(z[j] > largest, z[j], largest);
        FASTBP_UNROLL(j, n) z[j] -= largest;
    }
    fastbp_of_vectors(fastbp_exp_loop, logit, power, vectors * n);
    for (int v = 0; v < vectors; v++, e += n)
        sum[v] = (n > 2 ? e[0] + e[2 % n] : e[0]) + (n > 3 ? e[1] + e[3 % n] : e[1]);
    fastbp_of_vectors(fastbp_log_loop, sum, log_sum, vectors);
    z = logit, e = power;
    for (int v = 0; v < vectors; v++, z += n, e += n, labels += FASTBP_LANES) {
        const int count = rows - v * FASTBP_LANES < FASTBP_LANES ? rows - v * FASTBP_LANES : FASTBP_LANES;
        fastbp_vec own = z[0];
        fastbp_vec_bits label = {0};
        if (count == FASTBP_LANES)
            for (int l = 0; l < FASTBP_LANES; l++) label[l] = (fastbp_int)labels[l];
        else
            for (int l = 0; l < count; l++) label[l] = (fastbp_int)labels[l];
        FASTBP_UNROLL(j, n) {
            const fastbp_vec_bits hit = label == (fastbp_vec_bits){0} + j;
            const fastbp_vec p = e[j] / sum[v];
            own = fastbp_choose(hit, z[j], own);
            e[j] = fastbp_choose(hit, p - 1, p) * factor;
        }
        fastbp_store_lanes(sample_loss + v * FASTBP_LANES, log_sum[v] - own, count);
        fastbp_store_columns(e, dlogits + v * FASTBP_LANES * n, count, n);
    }
}

#define FASTBP_DEFINE(n) \
    static void fastbp_cross_entropy_##n(const fastbp_real *logits, const int64_t *labels, fastbp_real *sample_loss, \
                                         fastbp_real *dlogits, int rows, fastbp_real factor) { \
        fastbp_cross_entropy_rows(logits, labels, sample_loss, dlogits, rows, factor, n); \
    }
FASTBP_DEFINE(2) FASTBP_DEFINE(3) FASTBP_DEFINE(4)
#undef FASTBP_DEFINE

FASTBP_UNUSED static void fastbp_cross_entropy_loop(char **args, const intptr_t *dimensions, const intptr_t *steps,
                                                    void *data) {
    static void (*const of[])(const fastbp_real *, const int64_t *, fastbp_real *, fastbp_real *, int, fastbp_real) = {
        fastbp_cross_entropy_2, fastbp_cross_entropy_3, fastbp_cross_entropy_4};
    enum { ROWS = FASTBP_LOGIT_VECTORS * FASTBP_LANES };
    const intptr_t batch = dimensions[0], n = dimensions[1];
    const fastbp_real *logits = (const fastbp_real *)args[0], factor = *(const fastbp_real *)args[4];
    const int64_t *labels = (const int64_t *)args[1];
    fastbp_real *sample_loss = (fastbp_real *)args[2], *dlogits = (fastbp_real *)args[3];
    (void)steps;
    (void)data;
    for (intptr_t i = 0; i < batch; i += ROWS)
        of[n - 2](logits + i * n, labels + i, sample_loss + i, dlogits + i * n,
                  (int)(batch - i < ROWS ? batch - i : ROWS), factor);
}

#endif
