/* What a core can do at most: fused multiply-adds, and passes over memory. Compiled when a benchmark runs. */
#if defined(__AVX512F__)
#define LANES 16
#define CHAINS 24
#define ANY_REGISTER "+v"
#else
#define LANES 8
#define CHAINS 12
#define ANY_REGISTER "+x"
#endif
/* all loops over chains are unrolled: an array that is indexed by a variable lives in memory */
#define EACH_CHAIN _Pragma("GCC unroll 32") for (int k = 0; k < CHAINS; k++)
typedef float vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* CHAINS independent fma chains: latency times throughput of the cores of today is 8 to 10 */
long fma_lanes(void) { return 2L * LANES * CHAINS; }
float fma_rounds(long rounds, float seed)
{
    vector sum[CHAINS], a = {0}, b = {0};
    for (int i = 0; i < LANES; i++) a[i] = 1.0f - seed, b[i] = seed;
    EACH_CHAIN sum[k] = b + (float)k;
    for (long r = 0; r < rounds; r++)
        EACH_CHAIN {
            sum[k] = sum[k] * a + b;
            __asm__ volatile("" : ANY_REGISTER(sum[k])); /* neither folded nor moved */
        }
    EACH_CHAIN b += sum[k];
    return b[0];
}

/* reads n floats, so many times */
float read_passes(const float *x, long n, long times)
{
    vector sum[8] = {{0}};
    while (times--) {
        for (long i = 0; i + 8 * LANES <= n; i += 8 * LANES)
            _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) sum[k] += *(const vector *)(x + i + k * LANES);
        __asm__ volatile("" ::: "memory");
    }
    _Pragma("GCC unroll 8") for (int k = 1; k < 8; k++) sum[0] += sum[k];
    return sum[0][0];
}

/* reads and writes three arrays of n floats, as the parameters and the two moments of Adam are, so many times */
void update_passes(float *w, float *m, float *v, long n, long times)
{
    while (times--) {
        for (long i = 0; i + LANES <= n; i += LANES) {
            *(vector *)(w + i) *= 0.999f;
            *(vector *)(m + i) *= 0.999f;
            *(vector *)(v + i) *= 0.999f;
        }
        __asm__ volatile("" ::: "memory");
    }
}
