/* NumPy's PCG64: a linear congruential generator of 128 bits with the output XSL-RR (O'Neill 2014, HMC-CS-2014-0905),
 * and numbers in [0, 1) as draws.py defines them.
 */
#ifndef FASTBP_PCG64_H
#define FASTBP_PCG64_H

#include "../portable/real.h"

#if defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64))
#include <intrin.h>
#endif

/* The upper half of a product. */
static inline uint64_t fastbp_multiply_high(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__) && !defined(FASTBP_NO_INT128)
    return (uint64_t)((unsigned __int128)a * b >> 64);
#elif defined(_MSC_VER) && (defined(_M_X64) || defined(_M_ARM64))
    return __umulh(a, b);
#else
    const uint64_t half = 0xffffffff, a0 = a & half, a1 = a >> 32, b0 = b & half, b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & half);
    return a1 * b1 + (middle >> 32) + (other >> 32);
#endif
}

typedef struct {
    uint64_t high, low, inc_high, inc_low;
} fastbp_pcg64;

static inline uint64_t fastbp_next64(fastbp_pcg64 *g) {
    const uint64_t high = 0x2360ed051fc65da4u, low = 0x4385df649fccf645u, product = g->low * low;
    g->high = fastbp_multiply_high(g->low, low) + g->high * low + g->low * high + g->inc_high;
    g->low = product + g->inc_low;
    g->high += g->low < product;
    const uint64_t mixed = g->high ^ g->low;
    const int turn = (int)(g->high >> 58);
    return mixed >> turn | mixed << (-turn & 63);
}

/* u[n] in [0, 1); `state` is state, inc (upper word first), has_uint32, uinteger. A float takes
 * 32 bits, the lower half of a word first; a half that is left over is kept, even after its use. */
static inline void fastbp_uniform(uint64_t *state, fastbp_real *u, intptr_t n) {
    fastbp_pcg64 g = {state[0], state[1], state[2], state[3]};
    intptr_t i = 0;
#if FASTBP_ITEM == 4
    uint64_t word = state[5] << 32;
    if (n > 0 && state[4]) {
        u[i++] = (float)(int32_t)(word >> 40) * 0x1p-24f;
        state[4] = 0;
    }
    for (; i + 1 < n; i += 2) {
        word = fastbp_next64(&g);
        u[i] = (float)(int32_t)((uint32_t)word >> 8) * 0x1p-24f;
        u[i + 1] = (float)(int32_t)(word >> 40) * 0x1p-24f;
    }
    if (i < n) {
        word = fastbp_next64(&g);
        u[i] = (float)(int32_t)((uint32_t)word >> 8) * 0x1p-24f;
        state[4] = 1;
    }
    state[5] = word >> 32;
#else
    for (; i < n; i++) u[i] = (double)(int64_t)(fastbp_next64(&g) >> 11) * 0x1p-53;
#endif
    state[0] = g.high;
    state[1] = g.low;
}

#endif
