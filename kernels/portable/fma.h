/* fma(a, b, c): a * b + c rounded once, the operation that portable numerics is made of.
 *
 * Where the CPU level has it, one instruction. Elsewhere the same bits from software, some twenty times
 * slower: float32 through a double that is rounded to odd, which a second rounding cannot hurt
 * (Boldo & Melquiond 2008, IEEE Trans. Computers 57), float64 by the C library.
 */
#ifndef FASTBP_FMA_H
#define FASTBP_FMA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__FMA__) || defined(__aarch64__) || defined(_M_ARM64)
#define FASTBP_HARDWARE_FMA 1
#else
#define FASTBP_HARDWARE_FMA 0
#endif

static inline float fastbp_fma_f4(float a, float b, float c) {
#if FASTBP_HARDWARE_FMA
    return fmaf(a, b, c);
#else
    double p = (double)a * (double)b, s = p + c, t = s - p, error = (p - (s - t)) + (c - t);
    int64_t bits;
    memcpy(&bits, &s, 8);
    /* the exact sum lies beside s: of the two doubles around it take the odd one */
    if (error != 0 && s - s == 0 && !(bits & 1)) bits += (error > 0) == (s > 0) ? 1 : -1;
    memcpy(&s, &bits, 8);
    return (float)s;
#endif
}

static inline double fastbp_fma_f8(double a, double b, double c) { return fma(a, b, c); }

/* of the includer's element type */
#if FASTBP_ITEM == 4
#define FASTBP_FMA fastbp_fma_f4
#else
#define FASTBP_FMA fastbp_fma_f8
#endif

#endif
