/* The pool from several callers at once, while another thread changes the limit and sets the pool anew. Every caller
 * compares its products with that of one thread. */
#include <stdio.h>
#include <stdlib.h>

#include "pool.h"
#include "portable/primitives.h"

enum { CALLERS = 3, CALLS = 60, M = 96, K = 130, N = 104, IMAGES = 4, SIDE = 16, C = 8, O = 16 };
enum { PIXELS = IMAGES * SIDE * SIDE, TAPS = 9 * C * O }; /* of a convolution with kernels of 3 x 3 */

static fastbp_real a[M * K], b[K * N], want[M * N];
static atomic_int finished;

typedef struct {
    fastbp_real y[PIXELS * O], dw[TAPS], dx[PIXELS * C];
} products;
static products want_of_patches;

/* x and w lie in a and b, which are long enough */
static int convolve(products *p) {
    const intptr_t window[18] = {IMAGES, SIDE, SIDE, C, 3, 3, C, O, SIDE, SIDE, 1, 1, 1, 1, 1, 1, 1, 0};
    int done[3];
    char *forward[5] = {(char *)a, (char *)b, (char *)b, (char *)p->y, (char *)&done[0]};
    char *of_weights[4] = {(char *)a, (char *)want_of_patches.y, (char *)p->dw, (char *)&done[1]};
    char *of_input[4] = {(char *)want_of_patches.y, (char *)b, (char *)p->dx, (char *)&done[2]};
    fastbp_convolve_loop(forward, window, NULL, NULL);
    fastbp_convolve_dw_loop(of_weights, window, NULL, NULL);
    fastbp_convolve_dx_loop(of_input, window, NULL, NULL);
    return done[0] && done[1] && done[2];
}

static void multiply(fastbp_real *y) {
    const intptr_t item = sizeof(fastbp_real);
    char *args[3] = {(char *)a, (char *)b, (char *)y};
    intptr_t dimensions[4] = {1, M, K, N}, steps[9] = {0, 0, 0, K * item, item, N * item, item, N * item, item};
    fastbp_portable[FASTBP_MATMUL].loop(args, dimensions, steps, NULL);
}

static void *caller(void *wrong) {
    fastbp_real *y = malloc(sizeof want);
    products *p = malloc(sizeof *p);
    for (int i = 0; i < CALLS; i++) {
        multiply(y);
        if (memcmp(y, want, sizeof want) != 0) ++*(int *)wrong;
        if (i % 10 == 0 && (!convolve(p) || memcmp(p, &want_of_patches, sizeof *p) != 0)) ++*(int *)wrong;
    }
    free(y), free(p);
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
    if (!convolve(&want_of_patches)) return 1;
    for (int i = 0; i < CALLERS; i++) pthread_create(&threads[i], NULL, caller, &wrong[i]);
    pthread_create(&threads[CALLERS], NULL, changer, NULL);
    for (int i = 0; i <= CALLERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < CALLERS; i++) sum += wrong[i];
    printf("%d wrong\n", sum);
    return sum != 0;
}
