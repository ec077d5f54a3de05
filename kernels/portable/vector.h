/* One vector of FASTBP_ITEM-byte reals, at the CPU level the flags chose: AVX-512, AVX2 with FMA, NEON or
 * none (then 16 bytes and the fma of fma.h).
 *
 * All names begin with fastbp_ or FASTBP_:
 *
 *   vec, LANES            the type (+ and <= work on it) and its length
 *   ROWS                  rows of a register tile of two vectors: as many as the registers hold
 *   broadcast(x)          x in all lanes; broadcast_pair(p): p[0] in the even ones, p[1] in the odd ones
 *   load, store           unaligned; load_part, store_part touch the first `lanes` elements only
 *   fused(a, b, c)        a * b + c rounded once
 *   magnitude, root       of each lane
 *   gather_quarters, split_quarters, store_quarter, transpose_quarters
 *                         16 bytes are a "quarter" of QUARTER reals; see fastbp_transpose in matmul.h
 *   load_columns, store_columns
 *                         a matrix of up to FEW columns, a vector for each
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

enum {
    FASTBP_LANES = FASTBP_VECTOR / FASTBP_ITEM,
    FASTBP_QUARTER = 16 / FASTBP_ITEM,
    FASTBP_FEW = 4 /* columns that rows may have for load_columns and store_columns */
};
typedef fastbp_real fastbp_vec __attribute__((vector_size(FASTBP_VECTOR)));
typedef fastbp_real fastbp_quarter __attribute__((vector_size(16)));
typedef fastbp_int fastbp_vec_bits __attribute__((vector_size(FASTBP_VECTOR)));

FASTBP_INLINE fastbp_vec fastbp_load(const fastbp_real *p) {
    fastbp_vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

FASTBP_INLINE void fastbp_store(fastbp_real *p, fastbp_vec v) { memcpy(p, &v, sizeof v); }

#if FASTBP_VECTOR < 64
FASTBP_INLINE void fastbp_store_quarter(fastbp_real *p, fastbp_quarter v, int lanes) {
    if (lanes == FASTBP_QUARTER) {
        memcpy(p, &v, sizeof v);
        return;
    }
    if (lanes & 2) memcpy(p, &v, 2 * FASTBP_ITEM);
    if (lanes & 1) p[lanes - 1] = lanes == 1 ? v[0] : v[2 % FASTBP_QUARTER];
}
#endif

#if FASTBP_VECTOR == 64
#include <immintrin.h>
#define FASTBP_OP(op) FASTBP_MM(_mm512_, op)

FASTBP_INLINE fastbp_vec fastbp_broadcast(fastbp_real x) { return FASTBP_OP(set1)(x); }
FASTBP_INLINE fastbp_vec fastbp_fused(fastbp_vec a, fastbp_vec b, fastbp_vec c) { return FASTBP_OP(fmadd)(a, b, c); }

FASTBP_INLINE fastbp_vec fastbp_broadcast_pair(const fastbp_real *p) {
#if FASTBP_ITEM == 4
    double pair;
    memcpy(&pair, p, sizeof pair);
    return (fastbp_vec)_mm512_set1_pd(pair);
#else
    return (fastbp_vec)_mm512_broadcast_f32x4(_mm_loadu_ps((const float *)p));
#endif
}

FASTBP_INLINE fastbp_vec fastbp_load_part(const fastbp_real *p, int lanes) {
    return FASTBP_OP(maskz_loadu)((1u << lanes) - 1, p);
}

FASTBP_INLINE void fastbp_store_part(fastbp_real *p, fastbp_vec v, int lanes) {
    FASTBP_OP(mask_storeu)(p, (1u << lanes) - 1, v);
}

FASTBP_INLINE void fastbp_store_quarter(fastbp_real *p, fastbp_quarter v, int lanes) {
    __asm__("" : "+v"(v)); /* gcc would merge a split with this store, into one that faults on lanes left out */
    FASTBP_MM(_mm_, mask_storeu)(p, (1u << lanes) - 1, v);
}

FASTBP_INLINE fastbp_vec fastbp_gather_quarters(const fastbp_real *const *line, intptr_t p) {
#define FASTBP_Q(i) _mm_loadu_ps((const float *)(line[FASTBP_QUARTER * i] + p))
    __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(FASTBP_Q(0)), FASTBP_Q(1), 1);
    __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(FASTBP_Q(2)), FASTBP_Q(3), 1);
    return (fastbp_vec)_mm512_insertf64x4(_mm512_castps_pd(_mm512_castps256_ps512(low)), _mm256_castps_pd(high), 1);
#undef FASTBP_Q
}

FASTBP_INLINE void fastbp_split_quarters(fastbp_vec v, fastbp_quarter *out) {
    out[0] = (fastbp_quarter)_mm512_castps512_ps128((__m512)v);
    out[1] = (fastbp_quarter)_mm512_extractf32x4_ps((__m512)v, 1);
    out[2] = (fastbp_quarter)_mm512_extractf32x4_ps((__m512)v, 2);
    out[3] = (fastbp_quarter)_mm512_extractf32x4_ps((__m512)v, 3);
}

#elif FASTBP_VECTOR == 32
#include <immintrin.h>
#define FASTBP_OP(op) FASTBP_MM(_mm256_, op)

FASTBP_INLINE fastbp_vec fastbp_broadcast(fastbp_real x) { return FASTBP_OP(set1)(x); }
FASTBP_INLINE fastbp_vec fastbp_fused(fastbp_vec a, fastbp_vec b, fastbp_vec c) { return FASTBP_OP(fmadd)(a, b, c); }

FASTBP_INLINE fastbp_vec fastbp_broadcast_pair(const fastbp_real *p) {
#if FASTBP_ITEM == 4
    double pair;
    memcpy(&pair, p, sizeof pair);
    return (fastbp_vec)_mm256_set1_pd(pair);
#else
    return (fastbp_vec)_mm256_broadcast_ps((const __m128 *)p);
#endif
}

FASTBP_INLINE fastbp_vec fastbp_load_part(const fastbp_real *p, int lanes) {
    static const fastbp_int window[2 * FASTBP_LANES] = {[0 ... FASTBP_LANES - 1] = -1};
    return FASTBP_OP(maskload)(p, _mm256_loadu_si256((const __m256i *)(window + FASTBP_LANES - lanes)));
}

FASTBP_INLINE void fastbp_split_quarters(fastbp_vec v, fastbp_quarter *out) {
    out[0] = (fastbp_quarter)_mm256_castps256_ps128((__m256)v);
    out[1] = (fastbp_quarter)_mm256_extractf128_ps((__m256)v, 1);
}

FASTBP_INLINE void fastbp_store_part(fastbp_real *p, fastbp_vec v, int lanes) { /* not maskstore: microcode on AMD */
    fastbp_quarter half[2];
    fastbp_split_quarters(v, half);
    if (lanes & FASTBP_QUARTER) fastbp_store_quarter(p, half[0], FASTBP_QUARTER);
    fastbp_store_quarter(p + (lanes & FASTBP_QUARTER), half[lanes / FASTBP_QUARTER % 2], lanes % FASTBP_QUARTER);
}

FASTBP_INLINE fastbp_vec fastbp_gather_quarters(const fastbp_real *const *line, intptr_t p) {
    __m256 v = _mm256_castps128_ps256(_mm_loadu_ps((const float *)(line[0] + p)));
    return (fastbp_vec)_mm256_insertf128_ps(v, _mm_loadu_ps((const float *)(line[FASTBP_QUARTER] + p)), 1);
}

#else
#ifdef __SSE2__
#include <immintrin.h>
#endif

/* a scalar meets a vector in all lanes, and minus +0 changes nothing: not -0, not NaN */
FASTBP_INLINE fastbp_vec fastbp_broadcast(fastbp_real x) { return x - (fastbp_vec){0}; }

#if FASTBP_HARDWARE_FMA
FASTBP_INLINE
#else
static __attribute__((noinline))
#endif
fastbp_vec fastbp_fused(fastbp_vec a, fastbp_vec b, fastbp_vec c) {
    for (int l = 0; l < FASTBP_LANES; l++) c[l] = FASTBP_FMA(a[l], b[l], c[l]);
    return c;
}

FASTBP_INLINE fastbp_vec fastbp_broadcast_pair(const fastbp_real *p) {
    fastbp_vec v = {0};
    for (int l = 0; l < FASTBP_LANES; l += 2) memcpy((fastbp_real *)&v + l, p, 2 * FASTBP_ITEM);
    return v;
}

FASTBP_INLINE fastbp_vec fastbp_load_part(const fastbp_real *p, int lanes) {
    fastbp_vec v = {0};
    for (int l = 0; l < lanes; l++) v[l] = p[l];
    return v;
}

FASTBP_INLINE void fastbp_store_part(fastbp_real *p, fastbp_vec v, int lanes) {
    for (int l = 0; l < lanes; l++) p[l] = v[l];
}

FASTBP_INLINE fastbp_vec fastbp_gather_quarters(const fastbp_real *const *line, intptr_t p) {
    return fastbp_load(line[0] + p);
}

FASTBP_INLINE void fastbp_split_quarters(fastbp_vec v, fastbp_quarter *out) { *out = v; }
#endif

/* x where the bits of a lane are ones, y where they are zeros */
FASTBP_INLINE fastbp_vec fastbp_select(fastbp_vec_bits test, fastbp_vec x, fastbp_vec y) {
    return (fastbp_vec)((test & (fastbp_vec_bits)x) | (~test & (fastbp_vec_bits)y));
}

/* x where a < b, or a <= b, and else y */
#if FASTBP_VECTOR == 64
#if FASTBP_ITEM == 4
#define FASTBP_COMPARED _mm512_cmp_ps_mask
#else
#define FASTBP_COMPARED _mm512_cmp_pd_mask
#endif
FASTBP_INLINE fastbp_vec fastbp_pick_below(fastbp_vec a, fastbp_vec b, fastbp_vec x, fastbp_vec y) {
    return FASTBP_OP(mask_blend)(FASTBP_COMPARED(a, b, _CMP_LT_OQ), y, x);
}

FASTBP_INLINE fastbp_vec fastbp_pick_most(fastbp_vec a, fastbp_vec b, fastbp_vec x, fastbp_vec y) {
    return FASTBP_OP(mask_blend)(FASTBP_COMPARED(a, b, _CMP_LE_OQ), y, x);
}
#undef FASTBP_COMPARED
#else
FASTBP_INLINE fastbp_vec fastbp_pick_below(fastbp_vec a, fastbp_vec b, fastbp_vec x, fastbp_vec y) {
    return fastbp_select(a < b, x, y);
}

FASTBP_INLINE fastbp_vec fastbp_pick_most(fastbp_vec a, fastbp_vec b, fastbp_vec x, fastbp_vec y) {
    return fastbp_select(a <= b, x, y);
}
#endif

FASTBP_INLINE fastbp_vec fastbp_magnitude(fastbp_vec v) {
    const fastbp_int sign = (fastbp_int)1 << (8 * FASTBP_ITEM - 1);
    return (fastbp_vec)((fastbp_vec_bits)v & ~sign);
}

FASTBP_INLINE fastbp_vec fastbp_root(fastbp_vec v) {
#if defined(FASTBP_OP)
    return FASTBP_OP(sqrt)(v);
#elif defined(__SSE2__)
    return FASTBP_MM(_mm_, sqrt)(v);
#else
    for (int l = 0; l < FASTBP_LANES; l++) v[l] = FASTBP_ITEM == 4 ? sqrtf(v[l]) : sqrt(v[l]);
    return v;
#endif
}

/* v[i] lane l  <->  v[l] lane i, within each quarter */
FASTBP_INLINE void fastbp_transpose_quarters(fastbp_vec *v) {
#ifndef FASTBP_OP
    for (int i = 1; i < FASTBP_LANES; i++)
        for (int l = 0; l < i; l++) {
            fastbp_real x = v[i][l];
            v[i][l] = v[l][i];
            v[l][i] = x;
        }
#elif FASTBP_ITEM == 8
    fastbp_vec low = FASTBP_OP(unpacklo)(v[0], v[1]);
    v[1] = FASTBP_OP(unpackhi)(v[0], v[1]);
    v[0] = low;
#else
#if FASTBP_VECTOR == 64
#define FASTBP_PAIRS(op, a, b) (fastbp_vec)_mm512_##op##_pd((__m512d)a, (__m512d)b)
#else
#define FASTBP_PAIRS(op, a, b) (fastbp_vec)_mm256_##op##_pd((__m256d)a, (__m256d)b)
#endif
    fastbp_vec a = FASTBP_OP(unpacklo)(v[0], v[1]), b = FASTBP_OP(unpacklo)(v[2], v[3]);
    fastbp_vec c = FASTBP_OP(unpackhi)(v[0], v[1]), d = FASTBP_OP(unpackhi)(v[2], v[3]);
    v[0] = FASTBP_PAIRS(unpacklo, a, b);
    v[1] = FASTBP_PAIRS(unpackhi, a, b);
    v[2] = FASTBP_PAIRS(unpacklo, c, d);
    v[3] = FASTBP_PAIRS(unpackhi, c, d);
#undef FASTBP_PAIRS
#endif
}

/* columns[j], lane l = rows[l, j] for up to LANES rows of n elements, which is a constant; then 0 */
FASTBP_INLINE void fastbp_load_columns(const fastbp_real *rows, int count, fastbp_vec *columns, const int n) {
    fastbp_real part[FASTBP_FEW * FASTBP_LANES] = {0}, *to = (fastbp_real *)columns;
    if (count < FASTBP_LANES) rows = (const fastbp_real *)memcpy(part, rows, (size_t)(count * n) * sizeof *part);
    for (int l = 0; l < FASTBP_LANES; l++) FASTBP_UNROLL(j, n) to[j * FASTBP_LANES + l] = rows[l * n + j];
}

FASTBP_INLINE void fastbp_store_columns(const fastbp_vec *columns, fastbp_real *rows, int count, const int n) {
    fastbp_real part[FASTBP_FEW * FASTBP_LANES], *to = count < FASTBP_LANES ? part : rows;
    const fastbp_real *from = (const fastbp_real *)columns;
    for (int l = 0; l < FASTBP_LANES; l++) FASTBP_UNROLL(j, n) to[l * n + j] = from[j * FASTBP_LANES + l];
    if (count < FASTBP_LANES) memcpy(rows, part, (size_t)(count * n) * sizeof *part);
}

#undef FASTBP_MM
#undef FASTBP_OP
#endif
