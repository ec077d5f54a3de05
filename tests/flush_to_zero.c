/* What gcc's crtfastmath.o does to a process: as this library is loaded, the thread that loads it flushes subnormals. And
 * questions to the control word. */
#include <fenv.h>
#include <stdint.h>

#if defined(__x86_64__)
enum { FLUSH = 1 << 15 | 1 << 6, UPWARD = 2 << 13, FLAGS = 63 };
static uint64_t read_control(void) { return __builtin_ia32_stmxcsr(); }
static void write_control(uint64_t word) { __builtin_ia32_ldmxcsr((unsigned)word); }
#elif defined(__aarch64__)
enum { FLUSH = 1 << 24, UPWARD = 1 << 22, FLAGS = 0 };
static uint64_t read_control(void) {
    uint64_t word;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(word));
    return word;
}
static void write_control(uint64_t word) { __asm__ __volatile__("msr fpcr, %0" : : "r"(word)); }
#else
#error "this architecture has no control word that fastbp knows"
#endif

__attribute__((constructor)) static void flush(void) { write_control(read_control() | FLUSH); }

uint64_t control(void) { return read_control() & ~(uint64_t)FLAGS; }
void round_upward(void) { write_control(read_control() | UPWARD); }
void raise_flag(void) { feraiseexcept(FE_OVERFLOW); }
int has_flag(void) { return fetestexcept(FE_OVERFLOW) != 0; }
