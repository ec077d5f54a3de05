/* Seconds that some calls of one kernel take: see twins.py. */
#include <stdint.h>
#include <time.h>

double time_calls(
    int (*kernel)(void **, const intptr_t *, const double *, const void *), void **buffers, const intptr_t *sizes,
    const double *attributes, const void *primitives, int calls
) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int k = 0; k < calls; k++) kernel(buffers, sizes, attributes, primitives);
    clock_gettime(CLOCK_MONOTONIC, &end);
    return (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
}
