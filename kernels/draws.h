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

/* A permutation of 0 .. n - 1, n at most 2**32; next32 returns half a word after half a word. */
static inline void fastbp_permutation(int64_t *order, intptr_t n, uint32_t (*next32)(void *), void *state) {
    uint32_t i = n > 0 ? (uint32_t)(n - 1) : 0;
    for (intptr_t k = 0; k < n; k++) order[k] = k;
    while (i > 0) {
        const uint32_t mask = fastbp_mask(i), last = mask >> 1; /* one mask for last + 1 .. i */
        while (i > last) i = fastbp_exchange(order, i, next32(state), mask);
    }
}

/* A PCG64 that is drawn from by halves of words, the lower first. */
typedef struct {
    fastbp_pcg64 g;
    int kept;
    uint32_t upper;
} fastbp_stream;

static inline uint32_t fastbp_next32(void *stream) {
    fastbp_stream *s = (fastbp_stream *)stream;
    if (!s->kept) {
        const uint64_t word = fastbp_next64(&s->g);
        s->upper = (uint32_t)(word >> 32);
        s->kept = 1;
        return (uint32_t)word;
    }
    s->kept = 0;
    return s->upper;
}

static inline uint32_t fastbp_scramble(uint32_t value, uint32_t *constant, uint32_t factor) {
    value ^= *constant;
    *constant *= factor;
    value *= *constant;
    return value ^ value >> 16;
}

static inline uint32_t fastbp_word(const unsigned char *bytes, intptr_t k) {
    bytes += 4 * k;
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Begin as numpy.random.PCG64(seed), of a seed of n words of 4 bytes, the lowest first: NumPy promises for good what its
 * SeedSequence makes of them (O'Neill 2015, "Developing a seed_seq alternative") and what PCG64 makes of that. */
static inline void fastbp_seed(fastbp_stream *s, const unsigned char *seed, intptr_t n) {
    uint32_t pool[4], constant = 0x43b0d7e5;
    uint64_t made[4] = {0};
    for (intptr_t k = 0; k < 4; k++) pool[k] = fastbp_scramble(k < n ? fastbp_word(seed, k) : 0, &constant, 0x931e8875);
    for (intptr_t k = 0; k < 4 || k < n; k++)
        for (intptr_t j = 0; j < 4; j++) {
            if (j == k) continue;
            const uint32_t other = fastbp_scramble(k < 4 ? pool[k] : fastbp_word(seed, k), &constant, 0x931e8875);
            const uint32_t mixed = 0xca01f9dd * pool[j] - 0x4973f715 * other;
            pool[j] = mixed ^ mixed >> 16;
        }
    constant = 0x8b51f9dd;
    for (int k = 0; k < 8; k++) made[k / 2] |= (uint64_t)fastbp_scramble(pool[k % 4], &constant, 0x58f38ded) << k % 2 * 32;
    s->g.inc_high = made[2] << 1 | made[3] >> 63;
    s->g.inc_low = made[3] << 1 | 1;
    s->g.low = s->g.inc_low + made[1];
    s->g.high = s->g.inc_high + made[0] + (s->g.low < made[1]);
    fastbp_next64(&s->g);
    s->kept = 0;
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
