/* One vector of FASTBP_ITEM-byte reals, at the CPU level the flags chose: AVX-512, AVX2 with FMA, NEON or
 * none (then 16 bytes and the fma of fma.h).
 *
 *   vec, LANES            the type (+ and <= work on it) and its length
 *   FASTBP_ROWS           rows of a register tile of two vectors: as many as the registers hold
 *   broadcast(x)          x in all lanes
 *   load, store           unaligned; load_part, store_part touch the first `lanes` elements only
 *   fused(a, b, c)        a * b + c rounded once
 *   gather_quarters, split_quarters, store_quarter, transpose_quarters
 *                         16 bytes are a "quarter" of QUARTER reals; see transpose() in matmul.h
 */
#ifndef FASTBP_VECTOR_H
#define FASTBP_VECTOR_H

#include "fma.h"
#include "real.h"

#if FASTBP_ITEM == 4
typedef int32_t fastbp_int;
#define FASTBP_MM(prefix, op) prefix##op##_ps
#else
typedef int64_t fastbp_int;
#define FASTBP_MM(prefix, op) prefix##op##_pd
#endif

#if defined(__AVX512F__)
#define FASTBP_VECTOR 64
#define FASTBP_ROWS 8
#elif defined(__AVX2__) && defined(__FMA__)
#define FASTBP_VECTOR 32
#define FASTBP_ROWS 6
#elif defined(__aarch64__)
#define FASTBP_VECTOR 16
#define FASTBP_ROWS 8
#else /* fma is slow and much code: what larger tiles gain is less than noise */
#define FASTBP_VECTOR 16
#define FASTBP_ROWS 2
#endif

enum { LANES = FASTBP_VECTOR / FASTBP_ITEM, QUARTER = 16 / FASTBP_ITEM };
typedef fastbp_real vec __attribute__((vector_size(FASTBP_VECTOR)));
typedef fastbp_real quarter __attribute__((vector_size(16)));
typedef fastbp_int vec_bits __attribute__((vector_size(FASTBP_VECTOR)));

FASTBP_INLINE vec load(const fastbp_real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

FASTBP_INLINE void store(fastbp_real *p, vec v) { memcpy(p, &v, sizeof v); }

#if FASTBP_VECTOR < 64
FASTBP_INLINE void store_quarter(fastbp_real *p, quarter v, int lanes) {
    if (lanes == QUARTER) {
        memcpy(p, &v, sizeof v);
        return;
    }
    if (lanes & 2) memcpy(p, &v, 2 * FASTBP_ITEM);
    if (lanes & 1) p[lanes - 1] = lanes == 1 ? v[0] : v[2 % QUARTER];
}
#endif

#if FASTBP_VECTOR == 64
#include <immintrin.h>
#define MM(op) FASTBP_MM(_mm512_, op)

FASTBP_INLINE vec broadcast(fastbp_real x) { return MM(set1)(x); }
FASTBP_INLINE vec fused(vec a, vec b, vec c) { return MM(fmadd)(a, b, c); }
FASTBP_INLINE vec load_part(const fastbp_real *p, int lanes) { return MM(maskz_loadu)((1u << lanes) - 1, p); }
FASTBP_INLINE void store_part(fastbp_real *p, vec v, int lanes) { MM(mask_storeu)(p, (1u << lanes) - 1, v); }

FASTBP_INLINE void store_quarter(fastbp_real *p, quarter v, int lanes) {
    __asm__("" : "+v"(v)); /* gcc would merge a split with this store, into one that faults on lanes left out */
    FASTBP_MM(_mm_, mask_storeu)(p, (1u << lanes) - 1, v);
}

FASTBP_INLINE vec gather_quarters(const fastbp_real *const *line, intptr_t p) {
#define Q(i) _mm_loadu_ps((const float *)(line[QUARTER * i] + p))
    __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(Q(0)), Q(1), 1);
    __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(Q(2)), Q(3), 1);
    return (vec)_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(low)), _mm256_castps_pd(high), 1);
#undef Q
}

FASTBP_INLINE void split_quarters(vec v, quarter *out) {
    out[0] = (quarter)_mm512_castps512_ps128((__m512)v);
    out[1] = (quarter)_mm512_extractf32x4_ps((__m512)v, 1);
    out[2] = (quarter)_mm512_extractf32x4_ps((__m512)v, 2);
    out[3] = (quarter)_mm512_extractf32x4_ps((__m512)v, 3);
}

#elif FASTBP_VECTOR == 32
#include <immintrin.h>
#define MM(op) FASTBP_MM(_mm256_, op)

FASTBP_INLINE vec broadcast(fastbp_real x) { return MM(set1)(x); }
FASTBP_INLINE vec fused(vec a, vec b, vec c) { return MM(fmadd)(a, b, c); }

FASTBP_INLINE vec load_part(const fastbp_real *p, int lanes) {
    static const fastbp_int window[2 * LANES] = {[0 ... LANES - 1] = -1};
    return MM(maskload)(p, _mm256_loadu_si256((const __m256i *)(window + LANES - lanes)));
}

FASTBP_INLINE void split_quarters(vec v, quarter *out) {
    out[0] = (quarter)_mm256_castps256_ps128((__m256)v);
    out[1] = (quarter)_mm256_extractf128_ps((__m256)v, 1);
}

FASTBP_INLINE void store_part(fastbp_real *p, vec v, int lanes) { /* not maskstore: microcode on AMD */
    quarter half[2];
    split_quarters(v, half);
    if (lanes & QUARTER) store_quarter(p, half[0], QUARTER);
    store_quarter(p + (lanes & QUARTER), half[lanes / QUARTER % 2], lanes % QUARTER);
}

FASTBP_INLINE vec gather_quarters(const fastbp_real *const *line, intptr_t p) {
    __m256 v = _mm256_castps128_ps256(_mm_loadu_ps((const float *)(line[0] + p)));
    return (vec)_mm256_insertf128_ps(v, _mm_loadu_ps((const float *)(line[QUARTER] + p)), 1);
}

#else

FASTBP_INLINE vec broadcast(fastbp_real x) { return x - (vec){0}; }

#if FASTBP_HARDWARE_FMA
FASTBP_INLINE
#else
static __attribute__((noinline))
#endif
vec fused(vec a, vec b, vec c) {
    for (int l = 0; l < LANES; l++) c[l] = FASTBP_FMA(a[l], b[l], c[l]);
    return c;
}

FASTBP_INLINE vec load_part(const fastbp_real *p, int lanes) {
    vec v = {0};
    for (int l = 0; l < lanes; l++) v[l] = p[l];
    return v;
}

FASTBP_INLINE void store_part(fastbp_real *p, vec v, int lanes) {
    for (int l = 0; l < lanes; l++) p[l] = v[l];
}

FASTBP_INLINE vec gather_quarters(const fastbp_real *const *line, intptr_t p) { return load(line[0] + p); }
FASTBP_INLINE void split_quarters(vec v, quarter *out) { *out = v; }
#endif

/* v[i] lane l  <->  v[l] lane i, within each quarter */
FASTBP_INLINE void transpose_quarters(vec *v) {
#ifndef MM
    for (int i = 1; i < LANES; i++)
        for (int l = 0; l < i; l++) {
            fastbp_real x = v[i][l];
            v[i][l] = v[l][i];
            v[l][i] = x;
        }
#elif FASTBP_ITEM == 8
    vec low = MM(unpacklo)(v[0], v[1]);
    v[1] = MM(unpackhi)(v[0], v[1]);
    v[0] = low;
#else
#define PAIRS(op, a, b) (vec) FASTBP_PAIRS(op)((FASTBP_PAIR)a, (FASTBP_PAIR)b)
#if FASTBP_VECTOR == 64
#define FASTBP_PAIR __m512d
#define FASTBP_PAIRS(op) _mm512_##op##_pd
#else
#define FASTBP_PAIR __m256d
#define FASTBP_PAIRS(op) _mm256_##op##_pd
#endif
    vec a = MM(unpacklo)(v[0], v[1]), b = MM(unpacklo)(v[2], v[3]);
    vec c = MM(unpackhi)(v[0], v[1]), d = MM(unpackhi)(v[2], v[3]);
    v[0] = PAIRS(unpacklo, a, b);
    v[1] = PAIRS(unpackhi, a, b);
    v[2] = PAIRS(unpacklo, c, d);
    v[3] = PAIRS(unpackhi, c, d);
#endif
}

#endif
