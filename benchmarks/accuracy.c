/* Largest error in ulp of each function of elementary.h; see accuracy.py. FASTBP_ITEM 4: every STRIDE-th of all
 * floats against double libm. FASTBP_ITEM 8: random doubles against libquadmath. */
#include <quadmath.h>
#include <stdio.h>
#include <stdlib.h>
#include "elementary.h"

#if FASTBP_ITEM == 4
typedef double wide;
#define W(f) f
enum { DIGITS = 24, LOWEST = -149 };
#else
typedef __float128 wide;
#define W(f) f##q
enum { DIGITS = 53, LOWEST = -1074 };
#endif

static wide exact_exp(wide x) { return W(exp)(x); }
static wide exact_expm1(wide x) { return W(expm1)(x); }
static wide exact_log(wide x) { return W(log)(x); }
static wide exact_log1p(wide x) { return W(log1p)(x); }
static wide exact_tanh(wide x) { return W(tanh)(x); }
static wide exact_erf(wide x) { return W(erf)(x); }
static wide exact_sin(wide x) { return W(sin)(x); }
static wide exact_cos(wide x) { return W(cos)(x); }
static wide exact_arctan(wide x) { return W(atan)(x); }
static wide exact_sinh(wide x) { return W(sinh)(x); }
static wide exact_cosh(wide x) { return W(cosh)(x); }
static wide exact_sigmoid(wide x) { return x < 0 ? W(exp)(x) / (1 + W(exp)(x)) : 1 / (1 + W(exp)(-x)); }
static wide exact_softplus(wide x) { return x > 0 ? x + W(log1p)(W(exp)(-x)) : W(log1p)(W(exp)(x)); }

static double ulps(fastbp_real y, wide exact) {
    if (y != y || exact != exact) return (y != y) == (exact != exact) ? 0 : 1e30;
    fastbp_real rounded = (fastbp_real)exact;
    if (rounded - rounded != 0 || y - y != 0) return y == rounded ? 0 : 1e29;
    if (y == 0 && exact == 0) return !!signbit(y) != (exact < 0 || 1 / (double)exact < 0) ? 1e28 : 0;
    int e;
    e = ilogb((double)exact);
    if (FASTBP_ITEM == 8 && (double)exact == 0) e = LOWEST;
    e -= DIGITS - 1;
    if (e < LOWEST) e = LOWEST;
    wide error = (wide)y - exact;
    if (FASTBP_ITEM == 8) return fabs((double)scalbnq(error, -e));
    return fabs(scalbn((double)error, -e));
}

static uint64_t state = 88172645463325252u;
static uint64_t draw(void) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return state * 2685821657736338717u; }

#define RUN(name, lo, hi)                                                                              \
    if (!strcmp(argv[1], #name)) {                                                                     \
        for (uint64_t i = 0; i < count; i += B) {                                                      \
            for (int j = 0; j < B; j++) x[j] = point((i + j) * stride + first, lo, hi);                      \
            char *args[] = {(char *)x, (char *)y};                                                     \
            fastbp_##name##_loop(args, &(intptr_t){B}, 0, 0);                                          \
            for (int j = 0; j < B; j++) {                                                              \
                double e = ulps(y[j], exact_##name(x[j]));                                             \
                wrong += e > 0.5 + 1e-6;                                                               \
                if (e > worst) worst = e, at = x[j];                                                   \
            }                                                                                          \
        }                                                                                              \
    }

static fastbp_real point(uint64_t i, double lo, double hi) {
#if FASTBP_ITEM == 4
    (void)lo, (void)hi;
    uint32_t bits = i;
    float x;
    memcpy(&x, &bits, 4);
    return x;
#else
    uint64_t r = draw();
    double x;
    if (i % 8 == 0) { memcpy(&x, &r, 8); return x; } /* all exponents */
    if (i % 8 < 3) { x = ldexp(1 + (r >> 12) * 0x1p-52, -(int)(draw() % 60)); return (draw() & 1) && lo < 0 ? -x : x; }
    if (i % 8 < 5) return -3 + 6 * ((r >> 11) * 0x1p-53) < lo ? 1.5 * (r >> 11) * 0x1p-53 : -3 + 6 * ((r >> 11) * 0x1p-53);
    return lo + (hi - lo) * ((r >> 11) * 0x1p-53);
#endif
}

int main(int argc, char **argv) {
    enum { B = 256 };
    fastbp_real x[B], y[B];
    uint64_t stride = argc > 3 ? strtoull(argv[3], 0, 0) : 1, count = strtoull(argv[2], 0, 0), wrong = 0;
    uint64_t first = argc > 4 ? strtoull(argv[4], 0, 0) : 0;
    double worst = 0, at = 0;
    if (!strcmp(argv[1], "pow"))
        for (uint64_t i = 0; i < count; i += B) {
            fastbp_real z[B];
            for (int j = 0; j < B; j++) {
                double u = (draw() >> 11) * 0x1p-53, w = (draw() >> 11) * 0x1p-53, top = FASTBP_ITEM == 4 ? 104 : 745;
                /* x of all sizes or near 1, y so that the result has any exponent */
                x[j] = j % 2 ? exp((2 * u - 1) * top) : 1 + (u - 0.4) * pow(2, -(int)(draw() % 20));
                z[j] = j % 4 < 3 ? (2 * w - 1) * top / log(x[j]) : 20 * w - 10;
            }
            char *args[] = {(char *)x, (char *)z, (char *)y};
            fastbp_pow_loop(args, &(intptr_t){B}, 0, 0);
            for (int j = 0; j < B; j++) {
                double e = ulps(y[j], W(pow)(x[j], z[j]));
                wrong += e > 0.5 + 1e-6;
                if (e > worst) worst = e, at = x[j];
            }
        }
    RUN(exp, -745, 709.8) RUN(expm1, -40, 709.8) RUN(log, 0, 3) RUN(log1p, -1, 3) RUN(tanh, -20, 20)
    RUN(sigmoid, -745, 40) RUN(erf, -6, 6) RUN(softplus, -745, 45)
    RUN(sin, -1e6, 1e6) RUN(cos, -1e6, 1e6) RUN(arctan, -30, 30)
    RUN(sinh, -711, 711) RUN(cosh, -711, 711)
    printf("%-8s f%d max %.4f ulp at %a (%.9g); %.3f %% not nearest\n", argv[1], FASTBP_ITEM, worst, at, at, 100.0 * wrong / count);
}
