/* The x86-64 level of this CPU: 1 to 4, or 0 on other architectures. Asked of the CPU itself, because what compilers
 * offer for it (__builtin_cpu_supports) lacks its library on Windows. */
#ifndef FASTBP_CPU_H
#define FASTBP_CPU_H

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

static int fastbp_cpu_level(void) {
    const unsigned v2 = bit_SSE4_2 | bit_POPCNT, v3 = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    unsigned a, b, c, d, basic, extended = 0, saved = 0;
    if (!__get_cpuid(1, &a, &b, &basic, &d) || (basic & v2) != v2) return 1;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) extended = b;
    /* the registers must be saved by the system, too: bits 1 and 2 are SSE's and AVX', 5 to 7 those of AVX-512 */
    if (basic & bit_OSXSAVE) __asm__ __volatile__("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
    if ((saved & 6) != 6 || !(basic & bit_FMA) || (extended & v3) != v3) return 2;
#if defined(__APPLE__)
    saved |= 0xe0; /* macOS does not say so before they are first used */
#endif
    return (saved & 0xe0) == 0xe0 && (extended & v4) == v4 ? 4 : 3;
}
#else
static int fastbp_cpu_level(void) { return 0; }
#endif

#endif
