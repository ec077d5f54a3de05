/* The backward pass of a dense layer of few outputs, in one sweep over the rows of a batch.
 *
 * For each vector of the layer's inputs, the units h of the layer before, every chain stays in a register from the
 * first row to the last:
 *
 *     dw[p, j] = fma(h[i, p], dy[i, j], dw[p, j])      a vector for each of n <= 4 outputs
 *     dh[i, p] = fma(dy[i, j], w[p, j], dh[i, p])      a chain over j; then 0 where a relu made h, and not above 0
 *
 * and where the layer before is the first and has m <= 4 inputs x, its gradients too, so that dh needs no memory:
 *
 *     db_before[p] += dh[i, p]
 *     dw_before[q, p] = fma(x[i, q], dh[i, p], dw_before[q, p])
 *
 * The chains are those of matmul.h, the sums those over a batch. Lanes run over p.
 */
#ifndef FASTBP_SWEEP_H
#define FASTBP_SWEEP_H

#include "matmul.h"
#include "sum.h"

enum { FASTBP_SWEEP_INPUTS = 4 };

typedef struct {
    const fastbp_real *x, *h, *dy, *w; /* x: NULL where dh is to be stored, and the last two are not */
    fastbp_real *db, *dw, *dh, *db_before, *dw_before;
    intptr_t batch, m, k, n;
    int relu;
    intptr_t first, end; /* which units; of a part that begins with another than the first, without db */
} fastbp_sweep;

/* Whether it can be, and pays: wider rows share few sets of L1, and the sum over a single unit is another one. */
static inline int fastbp_can_sweep(intptr_t m, intptr_t k, intptr_t n) {
    const int few = 0 < m && m <= FASTBP_SWEEP_INPUTS && 0 < n && n <= FASTBP_FEW;
    return few && 1 < k && k * FASTBP_ITEM <= 512;
}

#if FASTBP_VECTOR > 16 /* a mask costs nothing: one loop for whole vectors and others */
#define FASTBP_LOAD_UNITS fastbp_load_part
#else
#define FASTBP_LOAD_UNITS fastbp_load_lanes
#endif

/* One vector of units, whose columns of w become those of dw; n is a constant, and m: s->m or more, or 0. */
FASTBP_INLINE void fastbp_sweep_units(const fastbp_sweep *s, intptr_t p, int lanes, fastbp_vec *columns, const int n,
                                      const int m) {
    const fastbp_real *h = s->h + p, *dy = s->dy, *x = s->x;
    const fastbp_vec_bits all = (fastbp_vec_bits){0} - !s->relu;
    fastbp_real *dh = s->dh + p;
    fastbp_vec w[FASTBP_FEW], sum[FASTBP_FEW], before[FASTBP_SWEEP_INPUTS], bias = {0};
    intptr_t input[FASTBP_SWEEP_INPUTS];
    FASTBP_UNROLL(j, n) w[j] = columns[j], sum[j] = (fastbp_vec){0};
    FASTBP_UNROLL(q, m) input[q] = q < s->m ? q : 0, before[q] = (fastbp_vec){0}; /* past the end: the first again */
    for (intptr_t i = 0; i < s->batch; i++, h += s->k, dy += n, dh += s->k) {
        const fastbp_vec unit = FASTBP_LOAD_UNITS(h, lanes);
        fastbp_vec d = {0};
        FASTBP_UNROLL(j, n) {
            const fastbp_vec g = fastbp_broadcast(dy[j]);
            sum[j] = fastbp_fused(unit, g, sum[j]);
            d = fastbp_fused(g, w[j], d);
        }
        d = (fastbp_vec)((fastbp_vec_bits)d & ((fastbp_vec_bits)(unit > (fastbp_vec){0}) | all));
        if (m == 0)
            fastbp_store_lanes(dh, d, lanes);
        else {
            bias += d;
            FASTBP_UNROLL(q, m) before[q] = fastbp_fused(fastbp_broadcast(x[input[q]]), d, before[q]);
            x += s->m;
        }
    }
    FASTBP_UNROLL(j, n) columns[j] = sum[j];
    if (m == 0) return;
    fastbp_store_lanes(s->db_before + p, bias, lanes);
    FASTBP_UNROLL(q, m) if (q < s->m) fastbp_store_lanes(s->dw_before + q * s->k + p, before[q], lanes);
}

FASTBP_INLINE void fastbp_sweep_outputs(const fastbp_sweep *s, const int n) {
    fastbp_vec columns[FASTBP_FEW];
    if (s->first == 0 && n == 1)
        s->db[0] = fastbp_sum(s->dy, s->batch); /* a single column is contiguous */
    else if (s->first == 0) {
        fastbp_real sum[FASTBP_FEW] = {0};
        for (intptr_t i = 0; i < s->batch; i++) FASTBP_UNROLL(j, n) sum[j] += s->dy[i * n + j];
        FASTBP_UNROLL(j, n) s->db[j] = sum[j];
    }
    for (intptr_t p = s->first; p < s->end; p += FASTBP_LANES) {
        const int lanes = (int)fastbp_smaller(s->end - p, FASTBP_LANES);
        fastbp_load_columns(s->w + p * n, lanes, columns, n);
        if (s->x)
            fastbp_sweep_units(s, p, lanes, columns, n, FASTBP_SWEEP_INPUTS);
        else
            fastbp_sweep_units(s, p, lanes, columns, n, 0);
        fastbp_store_columns(columns, s->dw + p * n, lanes, n);
    }
}

#define FASTBP_DEFINE(n) static void fastbp_sweep_##n(const fastbp_sweep *s) { fastbp_sweep_outputs(s, n); }
FASTBP_DEFINE(1) FASTBP_DEFINE(2) FASTBP_DEFINE(3) FASTBP_DEFINE(4)
#undef FASTBP_DEFINE

static void fastbp_run_sweep(const fastbp_sweep *s) {
    static void (*const sweeps[])(const fastbp_sweep *) = {fastbp_sweep_1, fastbp_sweep_2, fastbp_sweep_3,
                                                           fastbp_sweep_4};
    sweeps[s->n - 1](s);
}

#undef FASTBP_LOAD_UNITS
#endif
