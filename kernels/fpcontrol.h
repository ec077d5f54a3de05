/* The thread's floating-point control word. Portable numerics rounds to nearest and keeps subnormals whatever is found: a
 * library that was built with -ffast-math has the thread that loads it flush them, and every thread that is made after. */
#ifndef FASTBP_FPCONTROL_H
#define FASTBP_FPCONTROL_H

#include <stdint.h>

typedef uint64_t fastbp_control;

/* Arithmetic must not move across: the compiler takes every memory for read and written there. */
#if defined(__x86_64__) || defined(_M_X64)
enum { FASTBP_CONTROL = 1 << 15 | 3 << 13 | 1 << 6 /* MXCSR: flush to zero, rounding, subnormal inputs are zero */ };

static inline fastbp_control fastbp_read_control(void) {
    uint32_t word;
    __asm__ __volatile__("stmxcsr %0" : "=m"(word) : : "memory");
    return word;
}

static inline void fastbp_write_control(fastbp_control control) {
    uint32_t word = (uint32_t)control;
    __asm__ __volatile__("ldmxcsr %0" : : "m"(word) : "memory");
}
#elif defined(__aarch64__)
enum { FASTBP_CONTROL = 1 << 24 | 3 << 22 | 1 << 19 /* FPCR: flush to zero, rounding, flush half precision */ };

static inline fastbp_control fastbp_read_control(void) {
    uint64_t word;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(word) : : "memory");
    return word;
}

static inline void fastbp_write_control(fastbp_control control) {
    __asm__ __volatile__("msr fpcr, %0" : : "r"(control) : "memory");
}
#else
enum { FASTBP_CONTROL = 0 };
static inline fastbp_control fastbp_read_control(void) { return 0; }
static inline void fastbp_write_control(fastbp_control control) { (void)control; }
#endif

/* Change the bits above to those of `control`, no others: exception masks and flags stay. Returns what they were. */
static inline fastbp_control fastbp_set_control(fastbp_control control) {
    const fastbp_control found = fastbp_read_control();
    /* writing takes several times as long as reading */
    if ((found ^ control) & FASTBP_CONTROL)
        fastbp_write_control((found & ~(fastbp_control)FASTBP_CONTROL) | (control & FASTBP_CONTROL));
    return found & FASTBP_CONTROL;
}

enum { FASTBP_IEEE = 0 /* round to nearest, keep subnormals */ };

#endif
