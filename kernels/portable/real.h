/* The element type of portable primitives, chosen by the compiler flag -DFASTBP_ITEM=4 or 8. */
#ifndef FASTBP_REAL_DEFINED
#define FASTBP_REAL_DEFINED

#include <stdint.h>

#if FASTBP_ITEM == 4
typedef float fastbp_real;
#else
typedef double fastbp_real;
#endif

#if defined(__GNUC__)
#define FASTBP_INLINE static inline __attribute__((always_inline))
#else
#define FASTBP_INLINE static inline
#endif

/* Before a loop: y may be x, so a compiler must be told that no element depends on another. MANY is for loops that are
 * mostly long: gcc would unroll what it leaves to the end, some third of a kernel's code. */
#if defined(__clang__)
#define FASTBP_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#define FASTBP_MANY FASTBP_INDEPENDENT
#else
#define FASTBP_INDEPENDENT _Pragma("GCC ivdep")
#define FASTBP_MANY FASTBP_INDEPENDENT _Pragma("GCC unroll 1")
#endif

/* A loop that is written out: i is a constant wherever n is one. */
#ifdef __clang__
#define FASTBP_UNROLL(i, n) _Pragma("unroll") for (int i = 0; i < (n); i++)
#else
#define FASTBP_UNROLL(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)
#endif

/* One number of each line of `rows` rows of n, `step` apart. What is far comes line after line much faster than in the parts
 * of rows that registers hold (measured: 32 GB/s in place of 10 to 20 on a Zen 4). */
static inline void fastbp_read(const fastbp_real *p, intptr_t step, intptr_t rows, intptr_t n) {
    for (intptr_t i = 0; i < rows; i++, p += step)
        for (intptr_t j = 0; j < n; j += 64 / FASTBP_ITEM) (void)*(const volatile fastbp_real *)(p + j);
}

/* Rows are often short: with a constant length each is a few instructions in place of a loop. */
#define FASTBP_CASE(n, call) case n: { enum { N = n }; call; break; }
/* `call` with N a constant from 1 to 16, or `other` for longer rows */
#define FASTBP_BY_LENGTH(n, call, other) \
    switch (n) { \
        FASTBP_CASE(1, call) FASTBP_CASE(2, call) FASTBP_CASE(3, call) FASTBP_CASE(4, call) FASTBP_CASE(5, call) \
        FASTBP_CASE(6, call) FASTBP_CASE(7, call) FASTBP_CASE(8, call) FASTBP_CASE(9, call) FASTBP_CASE(10, call) \
        FASTBP_CASE(11, call) FASTBP_CASE(12, call) FASTBP_CASE(13, call) FASTBP_CASE(14, call) \
        FASTBP_CASE(15, call) FASTBP_CASE(16, call) \
        default: other; \
    }

#endif
