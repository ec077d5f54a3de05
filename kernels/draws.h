/* Permutations and normal numbers from a PCG64: draws.py and normal.py beside this file are their definitions.
 * The includer sets FASTBP_ITEM to 8. `state` is as in pcg64.h.
 */
#ifndef FASTBP_DRAWS_H
#define FASTBP_DRAWS_H

#include "cython_ext/pcg64.h"
#include "portable/elementary.h"

/* The smallest 2**k - 1 that is not below i > 0. */
static inline uint32_t fastbp_mask(uint32_t i) {
    for (int shift = 1; shift < 32; shift *= 2) i |= i >> shift;
    return i;
}

/* order[i] changes places with the element at bits & mask, and i becomes the one before; an index above i was drawn in
 * vain. That is one in four, which no CPU predicts: so there is no branch, the element then stays where it is. */
static inline uint32_t fastbp_exchange(int64_t *order, uint32_t i, uint32_t bits, uint32_t mask) {
    const uint32_t index = bits & mask, fits = index <= i, j = fits ? index : i;
    const int64_t own = order[i], other = order[j];
    order[j] = own;
    order[i] = other;
    return i - fits;
}

/* A permutation of 0 .. n - 1, n at most 2**32. */
static void fastbp_permutation(uint64_t *state, int64_t *order, intptr_t n) {
    fastbp_pcg64 g = {state[0], state[1], state[2], state[3]};
    uint64_t word = state[5] << 32;
    int half = (int)state[4];
    uint32_t i = n > 0 ? (uint32_t)(n - 1) : 0;
    for (intptr_t k = 0; k < n; k++) order[k] = k;
    while (i > 0) {
        const uint32_t mask = fastbp_mask(i), last = mask >> 1; /* one mask for last + 1 .. i */
        if (half) {
            i = fastbp_exchange(order, i, (uint32_t)(word >> 32), mask);
            half = 0;
        }
        while (i > last) {
            word = fastbp_next64(&g);
            i = fastbp_exchange(order, i, (uint32_t)word, mask);
            half = i <= last;
            if (!half) i = fastbp_exchange(order, i, (uint32_t)(word >> 32), mask);
        }
    }
    state[0] = g.high;
    state[1] = g.low;
    state[4] = (uint64_t)half;
    state[5] = word >> 32;
}

/* The tables of ziggurat.py. */
typedef struct {
    double tail, inverse;
    const double *widths, *heights;
    const uint64_t *limits;
} fastbp_ziggurat;

static inline double fastbp_fraction(fastbp_pcg64 *g) { return (double)(int64_t)(fastbp_next64(g) >> 11) * 0x1p-53; }

/* One normal number. */
static inline double fastbp_normal(fastbp_pcg64 *g, const fastbp_ziggurat *t) {
    for (;;) {
        const uint64_t word = fastbp_next64(g), strip = word & 0xff, point = word >> 9 & 0xfffffffffffffu;
        const double width = (double)(int64_t)point * t->widths[strip], x = word & 0x100 ? -width : width;
        if (point < t->limits[strip]) return x;
        if (strip) {
            const double low = t->heights[strip], high = t->heights[strip - 1];
            if ((high - low) * fastbp_fraction(g) + low < fastbp_exp(-0.5 * x * x)) return x;
            continue;
        }
        for (;;) {
            const double distance = t->inverse * -fastbp_log1p(-fastbp_fraction(g));
            const double height = -fastbp_log1p(-fastbp_fraction(g));
            if (2 * height > distance * distance) return word >> 17 & 1 ? -(t->tail + distance) : t->tail + distance;
        }
    }
}

static void fastbp_normals(uint64_t *state, double *z, intptr_t n, const fastbp_ziggurat *tables) {
    fastbp_pcg64 g = {state[0], state[1], state[2], state[3]};
    for (intptr_t i = 0; i < n; i++) z[i] = fastbp_normal(&g, tables);
    state[0] = g.high;
    state[1] = g.low;
}

#endif
