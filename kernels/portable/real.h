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

#endif
