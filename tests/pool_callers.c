/* The pool from several callers at once, while another thread changes the limit and sets the pool anew. Every caller
 * compares its products with that of one thread. */
#include <stdio.h>
#include <stdlib.h>

#include "pool.h"
#include "portable/primitives.h"

enum { CALLERS = 3, CALLS = 60, M = 96, K = 130, N = 104 };

static fastbp_real a[M * K], b[K * N], want[M * N];
static atomic_int finished;

static void multiply(fastbp_real *y) {
    const intptr_t item = sizeof(fastbp_real);
    char *args[3] = {(char *)a, (char *)b, (char *)y};
    intptr_t dimensions[4] = {1, M, K, N}, steps[9] = {0, 0, 0, K * item, item, N * item, item, N * item, item};
    fastbp_portable[FASTBP_MATMUL].loop(args, dimensions, steps, NULL);
}

static void *caller(void *wrong) {
    fastbp_real *y = malloc(sizeof want);
    for (int i = 0; i < CALLS; i++) {
        multiply(y);
        if (memcmp(y, want, sizeof want) != 0) ++*(int *)wrong;
    }
    free(y);
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void *changer(void *unused) {
    for (int i = 0; atomic_load(&finished) < CALLERS; i++) {
        fastbp_set_num_threads(1 + i % 4);
        fastbp_set_pool(i % 16 ? &fastbp_pool_table : NULL);
        if (fastbp_get_num_threads() < 1) return &finished;
        sched_yield();
    }
    return unused;
}

int main(void) {
    pthread_t threads[CALLERS + 1];
    int wrong[CALLERS] = {0}, sum = 0;
    for (int i = 0; i < M * K; i++) a[i] = (fastbp_real)(i % 17) - 8;
    for (int i = 0; i < K * N; i++) b[i] = (fastbp_real)(i % 23) / 7;
    multiply(want);
    for (int i = 0; i < CALLERS; i++) pthread_create(&threads[i], NULL, caller, &wrong[i]);
    pthread_create(&threads[CALLERS], NULL, changer, NULL);
    for (int i = 0; i <= CALLERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < CALLERS; i++) sum += wrong[i];
    printf("%d wrong\n", sum);
    return sum != 0;
}
