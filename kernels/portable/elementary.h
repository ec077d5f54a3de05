/* The elementary functions of portable numerics; elementary.py beside this file is their definition and says
 * what the methods and their errors are.
 *
 * Line for line the same operations as there, each an exact IEEE one (+ - * / fma, integers, selects), so
 * the same bits from every compiler and CPU under -ffp-contract=off. Nothing branches, so a loop over
 * them becomes vector code; sin and cos of large numbers are computed apart, one by one. The includer sets
 * FASTBP_ITEM to 4 or 8.
 */
#ifndef FASTBP_ELEMENTARY_H
#define FASTBP_ELEMENTARY_H

#include "../operations.h"
#include "fma.h"
#include "real.h"

#define FASTBP_UNUSED __attribute__((unused))
#define FASTBP_CONSTANTS static const fastbp_real
#define FASTBP_INF ((fastbp_real)INFINITY)
#define FASTBP_NAN ((fastbp_real)NAN)

#if FASTBP_ITEM == 4
typedef uint32_t fastbp_bits_t;
typedef int32_t fastbp_signed_t;
enum { FASTBP_FRACTION_BITS = 23, FASTBP_BIAS = 127 };
#define FASTBP_SQRT_HALF 0x3f3504f3u
FASTBP_CONSTANTS
    FASTBP_LOG2E = 0x1.715476p+0f, FASTBP_MAGIC = 0x1.8p23f,
    FASTBP_LN2 = 0x1.62e43p-1f, FASTBP_LN2_LOW = -0x1.05c61p-29f,
    FASTBP_LN2_SHORT = 0x1.62e4p-1f, FASTBP_LN2_REST = 0x1.7f7d1cp-20f,
    FASTBP_EXP_MIN = -104.0f, FASTBP_EXP_MAX = 89.0f, FASTBP_EXPM1_MIN = -18.0f,
    FASTBP_EXPM1_SHIFT = 0x1.e27076p-5f, FASTBP_SIGMOID_UNIT = 0x1p-64f, FASTBP_SIGMOID_BIAS = 63.0f,
    FASTBP_TANH_MAX = 10.0f, FASTBP_TANH_NEAR = 1.0f, FASTBP_NEGLIGIBLE = -30.0f, FASTBP_ERF_MAX = 4.0f,
    FASTBP_TINY = 0x1p-126f, FASTBP_SMALL = 0x1p-26f,
    FASTBP_UP = 0x1p24f, FASTBP_UP_LOG2 = 24.0f, FASTBP_OFFSET = 0x1p23f + 127,
    FASTBP_THIRD = 0x1.555556p-2f, FASTBP_THIRD_LOW = -0x1.555556p-27f, FASTBP_POW_MAX = 120.0f,
    FASTBP_TWO_OVER_PI = 0x1.45f306p-1f,
    FASTBP_HALF_PI = 0x1.921fb6p+0f, FASTBP_HALF_PI_LOW = -0x1.777a5cp-25f, FASTBP_HALF_PI_LEAST = -0x1.ee59dap-50f,
    FASTBP_TURN = 0x1.921fb6p+2f, FASTBP_TURN_LOW = -0x1.777a5cp-23f, FASTBP_SIN_MAX = 0x1p16f,
    FASTBP_ARCTAN_MAX = 0x1p30f, FASTBP_COSH_MAX = 90.0f,
    FASTBP_SEAM_ARCTAN = 0x1.f730bep-1f, FASTBP_SEAM_ARCTAN_LOW = -0x1.afc12cp-26f;
FASTBP_CONSTANTS FASTBP_EXP_TERMS[] = {
    0x1p-1f, 0x1.5554a4p-3f, 0x1.555688p-5f, 0x1.122f88p-7f, 0x1.6b6e4cp-10f};
FASTBP_CONSTANTS FASTBP_LOG_TERMS[] = {0x1.55557ap-1f, 0x1.995e9ap-2f, 0x1.31e68ap-2f};
FASTBP_CONSTANTS FASTBP_ERF_TERMS[] = {
    0x1.06eba8p-3f, -0x1.81273ap-2f, 0x1.ce2ac6p-4f, -0x1.b7a872p-6f, 0x1.4f2b4cp-8f, -0x1.61d6ep-11f};
FASTBP_CONSTANTS FASTBP_ERFC_TERMS[] = {
    0x1.3deb04p+0f, 0x1.1ce96ep+1f, 0x1.9d9e5ap-1f, 0x1.b18792p-5f, -0x1.a2d6cp-7f, 0x1.3d6164p-9f, -0x1.3f84e4p-12f,
    0x1.2c03b2p-16f};
FASTBP_CONSTANTS FASTBP_EXPM1_TERMS[] = {
    0x1p-1f, 0x1.55555ap-3f, 0x1.555526p-5f, 0x1.11065p-7f, 0x1.6cde0cp-10f, 0x1.b74ap-13f};
FASTBP_CONSTANTS FASTBP_GROWTH_TERMS[] = {
    0x1.88a918p-28f, 0x1p+1f, 0x1.fffffcp+0f, 0x1.555492p+0f, 0x1.5558fp-1f, 0x1.1239d4p-2f, 0x1.6a247ep-4f};
FASTBP_CONSTANTS FASTBP_TANH_TERMS[] = {-0x1.800006p+1f, -0x1.3332bap+0f, 0x1.75059p-8f, -0x1.dad644p-13f};
FASTBP_CONSTANTS FASTBP_POW_TERMS[] = {
    0x1.999998p-3f, 0x1.249374p-3f, 0x1.c658f8p-4f, 0x1.8eba8ep-4f};
FASTBP_CONSTANTS FASTBP_SIN_TERMS[] = {-0x1.555544p-3f, 0x1.1106c6p-7f, -0x1.991bf4p-13f};
FASTBP_CONSTANTS FASTBP_COS_TERMS[] = {-0x1p-1f, 0x1.55554ap-5f, -0x1.6c0c26p-10f, 0x1.99e706p-16f};
FASTBP_CONSTANTS FASTBP_SINH_TERMS[] = {0x1.555556p-3f, 0x1.1110ep-7f, 0x1.a022bcp-13f, 0x1.756c1ep-19f};
FASTBP_CONSTANTS FASTBP_ARCTAN_TERMS[] = {
    -0x1.555504p-2f, 0x1.997c88p-3f, -0x1.22d20ap-3f, 0x1.ada142p-4f, -0x1.1165e8p-4f, 0x1.8f17f4p-6f};
static const fastbp_bits_t FASTBP_TURNS[] = {
    0x00000000, 0x28be60db, 0x9391054a, 0x7f09d5f4, 0x7d4d3770, 0x36d8a566, 0x4f10e410, 0x7f9458ea};
#else
typedef uint64_t fastbp_bits_t;
typedef int64_t fastbp_signed_t;
enum { FASTBP_FRACTION_BITS = 52, FASTBP_BIAS = 1023 };
#define FASTBP_SQRT_HALF 0x3fe6a09e667f3bcdu
FASTBP_CONSTANTS
    FASTBP_LOG2E = 0x1.71547652b82fep+0, FASTBP_MAGIC = 0x1.8p52,
    FASTBP_LN2 = 0x1.62e42fefa39efp-1, FASTBP_LN2_LOW = 0x1.abc9e3b39803fp-56,
    FASTBP_LN2_SHORT = 0x1.62e42fefa38p-1, FASTBP_LN2_REST = 0x1.ef35793c7673p-45,
    FASTBP_EXP_MIN = -746.0, FASTBP_EXP_MAX = 710.0, FASTBP_EXPM1_MIN = -38.0,
    FASTBP_EXPM1_SHIFT = 0x1.e27076e2af2e6p-5, FASTBP_SIGMOID_UNIT = 0x1p-512, FASTBP_SIGMOID_BIAS = 511.0,
    FASTBP_TANH_MAX = 20.0, FASTBP_TANH_NEAR = 1.0, FASTBP_NEGLIGIBLE = -60.0, FASTBP_ERF_MAX = 6.0,
    FASTBP_TINY = 0x1p-1022, FASTBP_SMALL = 0x1p-55,
    FASTBP_UP = 0x1p54, FASTBP_UP_LOG2 = 54.0, FASTBP_OFFSET = 0x1p52 + 1023,
    FASTBP_THIRD = 0x1.5555555555555p-2, FASTBP_THIRD_LOW = 0x1.5555555555555p-56, FASTBP_POW_MAX = 800.0,
    FASTBP_TWO_OVER_PI = 0x1.45f306dc9c883p-1, FASTBP_HALF_PI = 0x1.921fb54442d18p+0,
    FASTBP_HALF_PI_LOW = 0x1.1a62633145c07p-54, FASTBP_HALF_PI_LEAST = -0x1.f1976b7ed8fbcp-110,
    FASTBP_TURN = 0x1.921fb54442d18p+2, FASTBP_TURN_LOW = 0x1.1a62633145c07p-52, FASTBP_SIN_MAX = 0x1p30,
    FASTBP_ARCTAN_MAX = 0x1p60, FASTBP_COSH_MAX = 711.0,
    FASTBP_SEAM_ARCTAN = 0x1.f730bd281f69bp-1, FASTBP_SEAM_ARCTAN_LOW = 0x1.007887af0cbbdp-56;
FASTBP_CONSTANTS FASTBP_EXP_TERMS[] = {
    0x1p-1, 0x1.5555555555501p-3, 0x1.5555555553208p-5, 0x1.11111111288e6p-7, 0x1.6c16c17cc324ap-10,
    0x1.a01a011bfa8b5p-13, 0x1.a019ab2cf80d6p-16, 0x1.71df559bb3027p-19, 0x1.289f8b5a84551p-22, 0x1.ad1f8e9d7928ap-26};
FASTBP_CONSTANTS FASTBP_LOG_TERMS[] = {
    0x1.5555555555593p-1, 0x1.999999997fb90p-2, 0x1.2492494212958p-2, 0x1.c71c51ebbb1bfp-3, 0x1.7466457bdf518p-3,
    0x1.39a104ab9fbcep-3, 0x1.2f0d052dc2bf9p-3};
FASTBP_CONSTANTS FASTBP_ERF_TERMS[] = {
    0x1.06eba8214db69p-3, -0x1.812746b0379ep-2, 0x1.ce2f21a04246bp-4, -0x1.b82ce312554c2p-6, 0x1.565bcd030b0c1p-8,
    -0x1.c02db10f48aep-11, 0x1.f9a2ad445fba3p-14, -0x1.f4c5af36bdb5dp-17, 0x1.b90c8d847774fp-20,
    -0x1.56405b21f0c53p-23, 0x1.89db1d358f3b2p-27};
FASTBP_CONSTANTS FASTBP_ERFC_TERMS[] = {
    0x1.3deb034696c3ep+0, 0x1.1ce96da88095bp+1, 0x1.9d9eb7a123736p-1, 0x1.b15b51a48d69ap-5, -0x1.a056821a9990ep-7,
    0x1.299786d46c681p-9, -0x1.0fd1e10040aap-13, -0x1.bc30620d57d8ep-14, 0x1.c7a6317d257d3p-15,
    -0x1.e1b84c9c226ebp-17, 0x1.81ff87983664ap-20, 0x1.79df45efe124fp-21, -0x1.fa75b4bdb82bap-22,
    0x1.5cf0c92e38222p-23, -0x1.4be6e9a52d8fp-25, 0x1.c272222216ad3p-28, -0x1.a394cbbf8263cp-31,
    0x1.e1e90d05ce08dp-35, -0x1.0123b8ad3626cp-39};
FASTBP_CONSTANTS FASTBP_EXPM1_TERMS[] = {
    0x1p-1, 0x1.5555555555554p-3, 0x1.55555555555c9p-5, 0x1.1111111111b2ep-7, 0x1.6c16c16bc7d56p-10,
    0x1.a01a019b6e9b4p-13, 0x1.a01a03edcf07dp-16, 0x1.71de3f66291d1p-19, 0x1.27ddc2247a96ap-22, 0x1.aeb5eb9be4e97p-26,
    0x1.2f56f3c14af78p-29};
FASTBP_CONSTANTS FASTBP_GROWTH_TERMS[] = {
    -0x1.40d76ac6b202fp-54, 0x1p+1, 0x1.000000000000ap+1, 0x1.55555555554fap+0, 0x1.555555555088bp-1,
    0x1.1111111127b77p-2, 0x1.6c16c18426874p-4, 0x1.a01a012a73b36p-6, 0x1.a0199a1698f63p-8, 0x1.71df252768968p-10,
    0x1.28ad68e98de0bp-12, 0x1.ad7f94af5ccd2p-15};
FASTBP_CONSTANTS FASTBP_TANH_TERMS[] = {
    -0x1.8000000000001p+1, -0x1.33333333332d4p+0, 0x1.767dce42f0290p-8, -0x1.0a4e155c4ff17p-12, 0x1.997ca41b0228cp-17,
    -0x1.4172b4bfefa5fp-21, 0x1.fb5901722b5bcp-26, -0x1.89c9f2f9a0413p-30, 0x1.f66354fda60eep-35};
FASTBP_CONSTANTS FASTBP_POW_TERMS[] = {
    0x1.9999999999996p-3, 0x1.2492492493043p-3, 0x1.c71c71c57ea6cp-4, 0x1.745d183338303p-4, 0x1.3b136275c083p-4,
    0x1.1120bfaf1b4e6p-4, 0x1.de31cb7c0af83p-5, 0x1.eb1f2e9dad3ap-5};
FASTBP_CONSTANTS FASTBP_SIN_TERMS[] = {
    -0x1.5555555555548p-3, 0x1.111111110f73p-7, -0x1.a01a019be9223p-13, 0x1.71de35552cf02p-19, -0x1.ae5e4b85f752dp-26,
    0x1.5d8b5668b11p-33};
FASTBP_CONSTANTS FASTBP_COS_TERMS[] = {
    -0x1p-1, 0x1.555555555554bp-5, -0x1.6c16c16c15015p-10, 0x1.a01a019c8f245p-16, -0x1.27e4f7f18f8d1p-22,
    0x1.1ee9dbccf759ap-29, -0x1.8fa68307311b7p-37};
FASTBP_CONSTANTS FASTBP_SINH_TERMS[] = {
    0x1.5555555555556p-3, 0x1.111111111101ep-7, 0x1.a01a01a037265p-13, 0x1.71de3a3b072c6p-19, 0x1.ae646ff483905p-26,
    0x1.6116f4e722bd9p-33, 0x1.b5c87c8658ed1p-41};
FASTBP_CONSTANTS FASTBP_ARCTAN_TERMS[] = {
    -0x1.555555555553fp-2, 0x1.9999999997035p-3, -0x1.24924923bae7ep-3, 0x1.c71c717ffb3ap-4, -0x1.745d104269fe9p-4,
    0x1.3b133d8458665p-4, -0x1.110be919fb915p-4, 0x1.e18d898629195p-5, -0x1.ad2de276a168dp-5, 0x1.7d3d511d6ec3p-5,
    -0x1.4662c7151d863p-5, 0x1.f81c1a4ee68b3p-6, -0x1.3bf4df6a70684p-6, 0x1.11964620af8bep-7, -0x1.da00318c12f33p-10};
static const fastbp_bits_t FASTBP_TURNS[] = {
    0x0000000028be60db, 0x9391054a7f09d5f4, 0x7d4d377036d8a566, 0x4f10e4107f9458ea, 0xf7aef1586dc91b8e,
    0x909374b801924bba, 0x827464873f877ac7, 0x2c4a69cfba208d7d, 0x4baed1213a671c09, 0xad17df904e64758e,
    0x60d4ce7d272117e2, 0xef7e4a0ec7fe25ff, 0xf7816603fbcbc462, 0xd6829b47db4d9fb3, 0xc9f2c26dd3d18fd9,
    0xa797fa8b5d49eeb1, 0xfaf97c5ecf41ce7d, 0xe294a4ba9afed7ec, 0x47e357421580cc11, 0xbf1edaeafc33ef08};
#endif

FASTBP_CONSTANTS FASTBP_HALF = 0.5, FASTBP_ERF_NEAR = 0.75, FASTBP_SQRT2_M1 = 0.4140625, FASTBP_ARCTAN_NEAR = 0.546875,
    FASTBP_SEAM = 1.5;
#define FASTBP_ONE_BITS ((fastbp_bits_t)FASTBP_BIAS << FASTBP_FRACTION_BITS)
#define FASTBP_SIGN ((fastbp_bits_t)1 << (8 * FASTBP_ITEM - 1))

FASTBP_INLINE fastbp_bits_t fastbp_bits(fastbp_real x) {
    fastbp_bits_t i;
    memcpy(&i, &x, FASTBP_ITEM);
    return i;
}

FASTBP_INLINE fastbp_real fastbp_real_of(fastbp_bits_t i) {
    fastbp_real x;
    memcpy(&x, &i, FASTBP_ITEM);
    return x;
}

FASTBP_INLINE fastbp_real fastbp_abs(fastbp_real x) { return fastbp_real_of(fastbp_bits(x) & ~FASTBP_SIGN); }

FASTBP_INLINE fastbp_real fastbp_with_sign(fastbp_real x, fastbp_real sign) {
    return fastbp_real_of(fastbp_bits(x) | (fastbp_bits(sign) & FASTBP_SIGN));
}

/* two interleaved Horner chains: half the latency at the same number of operations */
#define FASTBP_LENGTH(c) (int)(sizeof(c) / sizeof(c[0]))
#define FASTBP_POLY(c, x, square) fastbp_poly(c, FASTBP_LENGTH(c), x, square)
FASTBP_INLINE fastbp_real fastbp_poly(const fastbp_real *c, int n, fastbp_real x, fastbp_real square) {
    fastbp_real a = c[n - 1], b = c[n - 2];
#pragma GCC unroll 32
    for (int k = n - 3; k >= 0; k--) {
        fastbp_real next = FASTBP_FMA(a, square, c[k]);
        a = b;
        b = next;
    }
    return FASTBP_FMA(a, x, b);
}

/* one chain: it needs no square and rounds at the size of c[0] only once */
#define FASTBP_HORNER(c, x) fastbp_horner(c, FASTBP_LENGTH(c), x)
FASTBP_INLINE fastbp_real fastbp_horner(const fastbp_real *c, int n, fastbp_real x) {
    fastbp_real sum = c[n - 1];
#pragma GCC unroll 32
    for (int k = n - 2; k >= 0; k--) sum = FASTBP_FMA(sum, x, c[k]);
    return sum;
}

/* exp(x) = 2^n exp(r + low), |r + low| <= ln(2) / 2; r is exact, n is in the last bits of *t */
FASTBP_INLINE fastbp_real fastbp_reduce(fastbp_real x, fastbp_real *t, fastbp_real *low) {
    *t = FASTBP_FMA(x, FASTBP_LOG2E, FASTBP_MAGIC);
    fastbp_real n = *t - FASTBP_MAGIC;
    *low = n * -FASTBP_LN2_LOW;
    return FASTBP_FMA(n, -FASTBP_LN2, x);
}

/* exp(x) = 2^n (1 + s + *low) */
FASTBP_INLINE fastbp_real fastbp_exp_pair(fastbp_real x, fastbp_real *t, fastbp_real *low) {
    fastbp_real r = fastbp_reduce(x, t, low), square = r * r;
    /* the first term apart: its rounding is what the rest would have to share */
    fastbp_real cubic = fastbp_poly(FASTBP_EXP_TERMS + 1, FASTBP_LENGTH(FASTBP_EXP_TERMS) - 1, r, square);
    fastbp_real bend = FASTBP_FMA(square * r, cubic, FASTBP_HALF * square);
    fastbp_real s = r + bend;
    *low = FASTBP_FMA(*low, s, *low) + ((r - s) + bend);
    return s;
}

FASTBP_INLINE fastbp_real fastbp_power(fastbp_bits_t t) {
    return fastbp_real_of((t << FASTBP_FRACTION_BITS) + FASTBP_ONE_BITS);
}

/* p 2^n in two steps, p about 1: the first one exact, so that a subnormal result is rounded once */
FASTBP_INLINE fastbp_real fastbp_scale(fastbp_real p, fastbp_real t) {
    fastbp_bits_t whole = fastbp_bits(t), half = whole >> 1;
    return fastbp_real_of(fastbp_bits(p) + (half << FASTBP_FRACTION_BITS)) * fastbp_power(whole - half);
}

/* min(x, limit) for limit > 0, as integers: one instruction, for no compiler would reorder reals; NaN may be lost */
FASTBP_INLINE fastbp_real fastbp_at_most(fastbp_real x, fastbp_real limit) {
    fastbp_signed_t i = (fastbp_signed_t)fastbp_bits(x), top = (fastbp_signed_t)fastbp_bits(limit);
    return fastbp_real_of((fastbp_bits_t)(i < top ? i : top));
}

/* max(x, limit) for limit < 0: as unsigned integers, what lies below it is larger */
FASTBP_INLINE fastbp_real fastbp_at_least(fastbp_real x, fastbp_real limit) {
    fastbp_bits_t i = fastbp_bits(x), bottom = fastbp_bits(limit);
    return fastbp_real_of(i < bottom ? i : bottom);
}

FASTBP_INLINE fastbp_real fastbp_exp(fastbp_real x) {
    fastbp_real t, low, r = fastbp_reduce(x, &t, &low);
    fastbp_real full = r + low, square = full * full;
    fastbp_real tail = FASTBP_FMA(square, FASTBP_POLY(FASTBP_EXP_TERMS, full, square), low);
    fastbp_real y = fastbp_scale(1 + (r + tail), t);
    y = x < FASTBP_EXP_MIN ? 0 : y;
    return x < FASTBP_EXP_MAX ? y : x + FASTBP_INF;
}

/* here and below magic holds the bias too, so t ends with the exponent of a power of two */
FASTBP_INLINE fastbp_real fastbp_expm1(fastbp_real x) {
    const fastbp_real magic = FASTBP_MAGIC + (FASTBP_BIAS - 1);
    fastbp_real a = fastbp_at_most(fastbp_at_least(x, FASTBP_EXPM1_MIN), FASTBP_EXP_MAX);
    fastbp_real t = FASTBP_FMA(a - FASTBP_EXPM1_SHIFT, FASTBP_LOG2E, magic), n = t - magic;
    fastbp_real r = FASTBP_FMA(n, -FASTBP_LN2, a), low = n * -FASTBP_LN2_LOW, full = r + low;
    fastbp_real s = r + FASTBP_FMA(full * full, FASTBP_HORNER(FASTBP_EXPM1_TERMS, full), low);
    fastbp_real y = fastbp_real_of(fastbp_bits(t) << FASTBP_FRACTION_BITS);
    fastbp_real c = y - FASTBP_HALF;
    fastbp_real half = FASTBP_FMA(y, s, (y - c) - FASTBP_HALF) + c;
    return fastbp_abs(x) >= FASTBP_SMALL ? half + half : x;
}

FASTBP_INLINE fastbp_real fastbp_tanh(fastbp_real x) {
    const fastbp_real magic = FASTBP_MAGIC + FASTBP_BIAS;
    fastbp_real a = fastbp_abs(x), z = x * x, b = fastbp_at_most(a, FASTBP_TANH_MAX);
    fastbp_real t = FASTBP_FMA(b, 2 * FASTBP_LOG2E, magic), r = FASTBP_FMA(t - magic, -FASTBP_HALF * FASTBP_LN2, b);
    fastbp_real s = FASTBP_HORNER(FASTBP_GROWTH_TERMS, r);
    fastbp_real y = fastbp_real_of(fastbp_bits(t) << FASTBP_FRACTION_BITS);
    int near = !(a >= FASTBP_TANH_NEAR); /* NaN too */
    fastbp_real u = near ? a : 1, top = near ? z : -2;
    fastbp_real bottom = near ? FASTBP_HORNER(FASTBP_TANH_TERMS, z) : FASTBP_FMA(y, s, y + 1);
    return fastbp_with_sign(FASTBP_FMA(u, top / bottom, u), x);
}

FASTBP_INLINE fastbp_real fastbp_sigmoid(fastbp_real x) {
    const fastbp_real magic = FASTBP_MAGIC + FASTBP_SIGMOID_BIAS;
    fastbp_real a = fastbp_abs(x), t = FASTBP_FMA(a, FASTBP_LOG2E, magic), n = t - magic;
    fastbp_real r = FASTBP_FMA(n, -FASTBP_LN2_LOW, FASTBP_FMA(n, -FASTBP_LN2, a));
    fastbp_real s = FASTBP_FMA(r * r, FASTBP_HORNER(FASTBP_EXP_TERMS, r), r);
    fastbp_real y = fastbp_real_of(fastbp_bits(t) << FASTBP_FRACTION_BITS);
    fastbp_real d = y + FASTBP_FMA(y, s, FASTBP_SIGMOID_UNIT);
    fastbp_real d_low = FASTBP_FMA(y, s, (y - d) + FASTBP_SIGMOID_UNIT);
    fastbp_real q = 1 / d;
    q = FASTBP_FMA(q, FASTBP_FMA(-q, d_low, FASTBP_FMA(-q, d, 1)), q) * FASTBP_SIGMOID_UNIT;
    q = a > -FASTBP_EXP_MIN ? 0 : q;
    return x > 0 ? 1 - q : q;
}

/* x = 2^(k - offset) (1 + f), 1 + f from sqrt(1/2) to sqrt(2); f is exact. k is put together as the
 * float 2^FRACTION_BITS + exponent, for AVX2 cannot convert 64-bit integers */
FASTBP_INLINE fastbp_real fastbp_split(fastbp_real x, fastbp_real *k) {
    fastbp_bits_t u = fastbp_bits(x) + (FASTBP_ONE_BITS - FASTBP_SQRT_HALF);
    fastbp_bits_t fraction = ((fastbp_bits_t)1 << FASTBP_FRACTION_BITS) - 1;
    *k = fastbp_real_of((u >> FASTBP_FRACTION_BITS) | fastbp_bits(FASTBP_OFFSET - FASTBP_BIAS));
    return fastbp_real_of((u & fraction) + FASTBP_SQRT_HALF) - 1;
}

FASTBP_INLINE fastbp_real fastbp_log_sum(fastbp_real k, fastbp_real f, fastbp_real *low) {
    fastbp_real s = f / (2 + f);
    fastbp_real z = s * s, h = FASTBP_HALF * f * f;
    fastbp_real tail = FASTBP_FMA(s, FASTBP_FMA(z, FASTBP_POLY(FASTBP_LOG_TERMS, z, z * z), h), -h);
    fastbp_real high = FASTBP_FMA(k, FASTBP_LN2_SHORT, f);
    fastbp_real rest = FASTBP_FMA(k, FASTBP_LN2_SHORT, -high) + f;
    *low = FASTBP_FMA(k, FASTBP_LN2_REST, rest) + tail;
    return high;
}

FASTBP_INLINE fastbp_real fastbp_log(fastbp_real x) {
    fastbp_real k, low, offset = x < FASTBP_TINY ? FASTBP_OFFSET + FASTBP_UP_LOG2 : FASTBP_OFFSET;
    fastbp_real f = fastbp_split(x < FASTBP_TINY ? x * FASTBP_UP : x, &k);
    fastbp_real high = fastbp_log_sum(k - offset, f, &low);
    fastbp_real y = x < FASTBP_INF ? high + low : x;
    fastbp_real bad = x == 0 ? -FASTBP_INF : FASTBP_NAN;
    return x > 0 ? y : bad;
}

FASTBP_INLINE fastbp_real fastbp_log1p(fastbp_real x) {
    fastbp_real u = 1 + x, v = u - 1;
    fastbp_real error = (1 - (u - v)) + (x - v);
    fastbp_real k, low, f = fastbp_split(u, &k);
    fastbp_real high = fastbp_log_sum(k - FASTBP_OFFSET, f, &low);
    fastbp_real y = x < FASTBP_INF ? high + (low + error / u) : x;
    fastbp_real bad = x == -1 ? -FASTBP_INF : FASTBP_NAN;
    y = x > -1 ? y : bad;
    return fastbp_abs(x) < FASTBP_SMALL ? x : y;
}

FASTBP_INLINE fastbp_real fastbp_softplus(fastbp_real x) {
    fastbp_real t, s_low, s = fastbp_exp_pair(-fastbp_abs(x), &t, &s_low);
    fastbp_real y = fastbp_power(fastbp_bits(t));
    int large = FASTBP_FMA(y, s, y) > FASTBP_SQRT2_M1;
    y = large ? FASTBP_HALF * y : y;
    fastbp_real c = y - (large ? FASTBP_HALF : 0);
    fastbp_real f = FASTBP_FMA(y, s, c);
    fastbp_real f_low = FASTBP_FMA(y, s_low, FASTBP_FMA(y, s, c - f));
    fastbp_real low, high = fastbp_log_sum(large ? 1 : 0, f, &low);
    low = FASTBP_FMA(f_low, FASTBP_FMA(f, f, 1 - f), low);
    fastbp_real positive = x > 0 ? x : 0;
    fastbp_real sum = positive + high, v = sum - positive;
    fastbp_real error = (positive - (sum - v)) + (high - v);
    fastbp_real result = x < FASTBP_NEGLIGIBLE ? fastbp_scale(1 + (s + s_low), t) : sum + (error + low);
    result = x < FASTBP_EXP_MIN ? 0 : result;
    return x > -FASTBP_NEGLIGIBLE ? x : result;
}

FASTBP_INLINE fastbp_real fastbp_erf(fastbp_real x) {
    fastbp_real z = x * x;
    fastbp_real near = FASTBP_FMA(x, FASTBP_POLY(FASTBP_ERF_TERMS, z, z * z), x);
    fastbp_real a = fastbp_abs(x);
    fastbp_real u = (a > FASTBP_ERF_MAX ? FASTBP_ERF_MAX : a) - FASTBP_ERF_NEAR;
    fastbp_real slope = fastbp_poly(FASTBP_ERFC_TERMS + 1, FASTBP_LENGTH(FASTBP_ERFC_TERMS) - 1, u, u * u);
    fastbp_real g = FASTBP_FMA(-u, slope, -FASTBP_ERFC_TERMS[0]);
    fastbp_real g_low = FASTBP_FMA(-u, slope, -FASTBP_ERFC_TERMS[0] - g);
    fastbp_real t, s_low, s = fastbp_exp_pair(g, &t, &s_low);
    s_low += FASTBP_FMA(g_low, s, g_low);
    fastbp_real y = fastbp_power(fastbp_bits(t));
    fastbp_real c = 1 - y;
    fastbp_real high = FASTBP_FMA(-y, s, c);
    fastbp_real low = FASTBP_FMA(-y, s_low, FASTBP_FMA(-y, s, c - high));
    return a < FASTBP_ERF_NEAR ? near : fastbp_with_sign(high + low, x);
}

FASTBP_INLINE fastbp_real fastbp_log_exact(fastbp_real k, fastbp_real f, fastbp_real *low) {
    fastbp_real d = 2 + f;
    fastbp_real inverse = 1 / d;
    fastbp_real s = f * inverse;
    fastbp_real s_low = inverse * FASTBP_FMA(-s, (2 - d) + f, FASTBP_FMA(-s, d, f));
    fastbp_real z = s * s;
    fastbp_real z_low = FASTBP_FMA(s + s, s_low, FASTBP_FMA(s, s, -z));
    fastbp_real third = z * FASTBP_THIRD;
    fastbp_real third_low = FASTBP_FMA(z, FASTBP_THIRD, -third) + FASTBP_FMA(z, FASTBP_THIRD_LOW, z_low * FASTBP_THIRD);
    fastbp_real square = FASTBP_FMA(z + z, z_low, z * z);
    fastbp_real rest = square * FASTBP_POLY(FASTBP_POW_TERMS, z, square);
    fastbp_real c = third + rest;
    fastbp_real c_low = ((third - c) + rest) + third_low;
    s = s + s, s_low = s_low + s_low;
    fastbp_real more = s * c;
    fastbp_real more_low = FASTBP_FMA(s, c, -more) + FASTBP_FMA(s, c_low, s_low * c);
    fastbp_real m = s + more;
    fastbp_real m_low = ((s - m) + more) + (more_low + s_low);
    fastbp_real shift = k * FASTBP_LN2_SHORT;
    fastbp_real high = shift + m;
    *low = ((shift - high) + m) + FASTBP_FMA(k, FASTBP_LN2_REST, m_low);
    return high;
}

FASTBP_INLINE fastbp_real fastbp_pow(fastbp_real x, fastbp_real y) {
    fastbp_real a = fastbp_abs(x), b = fastbp_abs(y), k, low;
    fastbp_real offset = a < FASTBP_TINY ? FASTBP_OFFSET + FASTBP_UP_LOG2 : FASTBP_OFFSET;
    fastbp_real f = fastbp_split(a < FASTBP_TINY ? a * FASTBP_UP : a, &k);
    fastbp_real high = fastbp_log_exact(k - offset, f, &low);
    fastbp_real e = y * high;
    fastbp_real e_low = FASTBP_FMA(y, high, -e) + y * low;
    fastbp_real g = e + e_low;
    fastbp_real g_low = (e - g) + e_low;
    int beyond = fastbp_abs(e) > FASTBP_POW_MAX;
    g = beyond ? (e > 0 ? FASTBP_POW_MAX : -FASTBP_POW_MAX) : g;
    fastbp_real t, s_low, s = fastbp_exp_pair(g, &t, &s_low);
    s_low += beyond ? 0 : FASTBP_FMA(g_low, s, g_low);
    fastbp_real p = 1 + s;
    fastbp_real r = fastbp_scale(p + (((1 - p) + s) + s_low), t);
    const fastbp_real whole = FASTBP_OFFSET - FASTBP_BIAS;
    fastbp_real half = FASTBP_HALF * b;
    int integer = (b >= whole) | ((b + whole) - whole == b);
    int odd = integer & (b < whole + whole) & ((half + whole) - whole != half);
    int extreme = (a == 0) | (a == FASTBP_INF) | (b == FASTBP_INF);
    fastbp_real limit = (a > 1) == (y > 0) ? FASTBP_INF : 0;
    r = extreme ? (a == 1 ? 1 : limit) : r;
    r = odd ? fastbp_with_sign(r, x) : r;
    r = (x < 0) & (a < FASTBP_INF) & !integer ? FASTBP_NAN : r;
    r = (x != x) | (y != y) ? FASTBP_NAN : r;
    return (x == 1) | (y == 0) ? 1 : r;
}

/* a + b, and what rounding lost */
FASTBP_INLINE fastbp_real fastbp_two_sum(fastbp_real a, fastbp_real b, fastbp_real *low) {
    fastbp_real s = a + b, t = s - a;
    *low = (a - (s - t)) + (b - t);
    return s;
}

/* a * b, and what rounding lost */
FASTBP_INLINE fastbp_real fastbp_two_product(fastbp_real a, fastbp_real b, fastbp_real *low) {
    fastbp_real p = a * b;
    *low = FASTBP_FMA(a, b, -p);
    return p;
}

/* a = n pi / 2 + r + *low, n in the last bits of *t */
FASTBP_INLINE fastbp_real fastbp_near_angle(fastbp_real a, fastbp_real *t, fastbp_real *low) {
    *t = FASTBP_FMA(a, FASTBP_TWO_OVER_PI, FASTBP_MAGIC);
    fastbp_real n = *t - FASTBP_MAGIC;
    fastbp_real exact = FASTBP_FMA(n, -FASTBP_HALF_PI, a);
    fastbp_real lost, second = fastbp_two_product(n, FASTBP_HALF_PI_LOW, &lost);
    fastbp_real r = exact - second;
    *low = ((exact - r) - second) - FASTBP_FMA(n, FASTBP_HALF_PI_LEAST, lost);
    return r;
}

FASTBP_INLINE fastbp_real fastbp_turn_bits(fastbp_bits_t k) {
    const fastbp_bits_t *word = FASTBP_TURNS + k / (8 * FASTBP_ITEM), last = 8 * FASTBP_ITEM - 1, shift = k & last;
    fastbp_bits_t bits_from_k = (word[0] << shift) | ((word[1] >> 1) >> (last - shift));
    return fastbp_real_of((bits_from_k >> (8 * FASTBP_ITEM - FASTBP_FRACTION_BITS)) | FASTBP_ONE_BITS) - 1;
}

/* the same for a > SIN_MAX */
FASTBP_INLINE fastbp_real fastbp_far_angle(fastbp_real a, fastbp_real *t, fastbp_real *low) {
    const fastbp_real whole = FASTBP_OFFSET - FASTBP_BIAS, ulp = 1 / whole, magic = FASTBP_MAGIC / 4;
    const fastbp_bits_t fraction = ((fastbp_bits_t)1 << FASTBP_FRACTION_BITS) - 1;
    fastbp_bits_t k = (fastbp_bits(a) >> FASTBP_FRACTION_BITS) - (FASTBP_BIAS + FASTBP_FRACTION_BITS - 32);
    fastbp_real m = fastbp_real_of((fastbp_bits(a) & fraction) | FASTBP_ONE_BITS);
    fastbp_real p_low, p = fastbp_two_product(m * whole, fastbp_turn_bits(k), &p_low);
    fastbp_real q_low, q = fastbp_two_product(m, fastbp_turn_bits(k + FASTBP_FRACTION_BITS), &q_low);
    fastbp_real u_low, u = fastbp_two_product(m * ulp, fastbp_turn_bits(k + 2 * FASTBP_FRACTION_BITS), &u_low);
    fastbp_real tail = FASTBP_FMA(m * ulp * ulp, fastbp_turn_bits(k + 3 * FASTBP_FRACTION_BITS), u_low);
    fastbp_real s_low, s = fastbp_two_sum((p - ((p + FASTBP_MAGIC) - FASTBP_MAGIC)) + p_low, q, &s_low);
    *t = s + magic;
    fastbp_real lost_u, lost_s, lost_q;
    s = fastbp_two_sum(s - (*t - magic), u, &lost_u);
    s = fastbp_two_sum(s, s_low, &lost_s);
    s = fastbp_two_sum(s, q_low, &lost_q);
    fastbp_real rest = ((lost_u + lost_s) + lost_q) + tail;
    fastbp_real turn = s + rest;
    fastbp_real r_low, r = fastbp_two_product(turn, FASTBP_TURN, &r_low);
    *low = (r_low + FASTBP_FMA(turn, FASTBP_TURN_LOW, ((s - turn) + rest) * FASTBP_TURN)) + (a - a);
    return r;
}

/* sin(x) for quarters = 0, cos(x) for 1; of |x| = n pi / 2 + r + low, n in the last bits of t */
FASTBP_INLINE fastbp_real fastbp_wave(fastbp_real x, fastbp_bits_t quarters, fastbp_real t, fastbp_real r,
                                      fastbp_real low) {
    fastbp_real z = FASTBP_FMA(r, r, (r + r) * low);
    fastbp_real sine = r + FASTBP_FMA(r * z, FASTBP_HORNER(FASTBP_SIN_TERMS, z), low);
    fastbp_real cosine = FASTBP_FMA(z, FASTBP_HORNER(FASTBP_COS_TERMS, z), 1);
    fastbp_bits_t n = fastbp_bits(t) + quarters, sign_of_x = fastbp_bits(x) & (quarters - 1);
    fastbp_bits_t sign = (n << (8 * FASTBP_ITEM - 2)) ^ sign_of_x;
    return fastbp_real_of(fastbp_bits((n & 1) == 0 ? sine : cosine) ^ (sign & FASTBP_SIGN));
}

FASTBP_INLINE fastbp_real fastbp_near_wave(fastbp_real x, fastbp_bits_t quarters) {
    fastbp_real t, low, r = fastbp_near_angle(fastbp_abs(x), &t, &low);
    return fastbp_wave(x, quarters, t, r, low);
}

static fastbp_real fastbp_far_wave(fastbp_real x, fastbp_bits_t quarters) {
    fastbp_real t, low, r = fastbp_far_angle(fastbp_abs(x), &t, &low);
    return fastbp_wave(x, quarters, t, r, low);
}

FASTBP_INLINE fastbp_real fastbp_arctan(fastbp_real x) {
    fastbp_real a = fastbp_abs(x);
    a = a > FASTBP_ARCTAN_MAX ? FASTBP_ARCTAN_MAX : a;
    int near = a < FASTBP_ARCTAN_NEAR;
    fastbp_real c = near ? 0 : FASTBP_SEAM, base = near ? 0 : FASTBP_SEAM_ARCTAN;
    fastbp_real base_low = near ? 0 : FASTBP_SEAM_ARCTAN_LOW;
    fastbp_real top = a - c, bottom = FASTBP_FMA(a, c, 1), lost = FASTBP_FMA(a, c, 1 - bottom);
    fastbp_real inverse = 1 / bottom, u = top * inverse, z = u * u;
    fastbp_real u_low = FASTBP_FMA(-u, lost, FASTBP_FMA(-u, bottom, top)) * inverse;
    fastbp_real s = base + u, low = ((base - s) + u) + FASTBP_FMA(u_low, 1 - z, base_low);
    return fastbp_with_sign(s + FASTBP_FMA(u * z, FASTBP_HORNER(FASTBP_ARCTAN_TERMS, z), low), x);
}

/* exp(a) = 2^n (p + *low), exp(-a) = 2^n *q, a >= 0; n is in the last bits of *t */
FASTBP_INLINE fastbp_real fastbp_exp_both(fastbp_real a, fastbp_real *t, fastbp_real *low, fastbp_real *q) {
    fastbp_real s_low, s = fastbp_exp_pair(a, t, &s_low), p = 1 + s;
    fastbp_real inverse = fastbp_real_of(FASTBP_ONE_BITS - (fastbp_bits(*t) << (FASTBP_FRACTION_BITS + 1))) / p;
    *q = a > FASTBP_TANH_MAX ? 0 : inverse;
    *low = ((1 - p) + s) + s_low;
    return p;
}

FASTBP_INLINE fastbp_real fastbp_sinh(fastbp_real x) {
    fastbp_real a = fastbp_abs(x), z = x * x, t, low, q, p = fastbp_exp_both(a, &t, &low, &q);
    fastbp_real near = FASTBP_FMA(a * z, FASTBP_HORNER(FASTBP_SINH_TERMS, z), a);
    fastbp_real y = fastbp_scale(p + (low - q), t - 1);
    y = a < FASTBP_COSH_MAX ? y : a + FASTBP_INF;
    return fastbp_with_sign(a < 1 ? near : y, x);
}

FASTBP_INLINE fastbp_real fastbp_cosh(fastbp_real x) {
    fastbp_real a = fastbp_abs(x), t, low, q, p = fastbp_exp_both(a, &t, &low, &q);
    fastbp_real y = fastbp_scale(p + (low + q), t - 1);
    return a < FASTBP_COSH_MAX ? y : a + FASTBP_INF;
}

/* ufunc inner loops (abi.h) over contiguous data; y may be x itself. The last, incomplete vector is a loop of
 * fixed length whose condition becomes a mask: a few elements one by one would cost more than all the rest. */
#if defined(__AVX512F__)
#define FASTBP_LOOP_LANES (64 / FASTBP_ITEM)
#elif defined(__AVX2__)
#define FASTBP_LOOP_LANES (32 / FASTBP_ITEM)
#else
#define FASTBP_LOOP_LANES (16 / FASTBP_ITEM)
#endif

#if FASTBP_HARDWARE_FMA
#define FASTBP_REST(name, inputs, ...) \
    FASTBP_INDEPENDENT for (int i = 0; i < FASTBP_LOOP_LANES; i++) \
        if (i < rest) y[i] = fastbp_##name(__VA_ARGS__);
#else /* an fma is much code: it is there once, for whole vectors */
#define FASTBP_REST(name, inputs, ...) \
    fastbp_real part[2][FASTBP_LOOP_LANES] = {{0}}; \
    char *again[3] = {(char *)part[0], (char *)part[inputs - 1], (char *)part[0]}; \
    const intptr_t lanes = FASTBP_LOOP_LANES; \
    memcpy(part[1], z, rest * sizeof *z); \
    memcpy(part[0], x, rest * sizeof *x); \
    fastbp_##name##_loop(again, &lanes, steps, data); \
    memcpy(y, part[0], rest * sizeof *y);
#endif

/* the arguments of the function are x[i] and, of two inputs, z[i] */
#define FASTBP_LOOP(name, inputs, ...) \
    FASTBP_UNUSED static void fastbp_##name##_loop(char **args, const intptr_t *dimensions, const intptr_t *steps, \
                                                   void *data) { \
        intptr_t n = dimensions[0], whole = n & -FASTBP_LOOP_LANES, rest = n - whole; \
        const fastbp_real *x = (const fastbp_real *)args[0], *z = (const fastbp_real *)args[inputs - 1]; \
        fastbp_real *y = (fastbp_real *)args[inputs]; \
        (void)steps, (void)data; \
        FASTBP_INDEPENDENT for (intptr_t i = 0; i < whole; i++) y[i] = fastbp_##name(__VA_ARGS__); \
        if (rest) { \
            x += whole, z += whole, y += whole; \
            FASTBP_REST(name, inputs, __VA_ARGS__) \
        } \
    }

#define FASTBP_UNARY_LOOP(name, NAME) FASTBP_LOOP(name, 1, x[i])
#define FASTBP_BINARY_LOOP(name, NAME) FASTBP_LOOP(name, 2, x[i], z[i])
FASTBP_UNARY(FASTBP_UNARY_LOOP)
FASTBP_BINARY(FASTBP_BINARY_LOOP)

/* Angles up to SIN_MAX are a loop over vectors; then the larger ones of a block, if there are any, are put right one by
 * one. x is kept for them, for y may be x. */
FASTBP_LOOP(near_wave, 1, x[i], (fastbp_bits_t)(intptr_t)data)

enum { FASTBP_WAVE_BLOCK = 256 };
FASTBP_UNUSED static void fastbp_waves(char **args, intptr_t left, fastbp_bits_t quarters) {
    const fastbp_real *x = (const fastbp_real *)args[0];
    fastbp_real *y = (fastbp_real *)args[1], kept[FASTBP_WAVE_BLOCK];
    for (intptr_t n; left > 0; left -= n, x += n, y += n) {
        n = left < FASTBP_WAVE_BLOCK ? left : FASTBP_WAVE_BLOCK;
        char *block[2] = {(char *)x, (char *)y};
        fastbp_bits_t large = 0;
        FASTBP_MANY for (intptr_t i = 0; i < n; i++) large |= fastbp_abs(x[i]) > FASTBP_SIN_MAX;
        if (large) memcpy(kept, x, n * sizeof *x);
        fastbp_near_wave_loop(block, &n, NULL, (void *)(intptr_t)quarters);
        for (intptr_t i = 0; large && i < n; i++)
            if (fastbp_abs(kept[i]) > FASTBP_SIN_MAX) y[i] = fastbp_far_wave(kept[i], quarters);
    }
}

FASTBP_UNUSED static void fastbp_sin_loop(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    (void)steps, (void)data;
    fastbp_waves(args, dimensions[0], 0);
}

FASTBP_UNUSED static void fastbp_cos_loop(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    (void)steps, (void)data;
    fastbp_waves(args, dimensions[0], 1);
}

#endif
