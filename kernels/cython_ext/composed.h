/* Elementary functions of numerics "numpy" that NumPy has no loop for, made of those it has: the formulas of
 * operations.py as loops of abi.h, whose `data` is the table with NumPy's; y may be x. */
#ifndef FASTBP_COMPOSED_H
#define FASTBP_COMPOSED_H

#include <math.h>

#include "../portable/primitives.h"

enum { FASTBP_COMPOSED_BLOCK = 1024 }; /* elements that stay in the L1 cache from one pass to the next */

static void fastbp_apply(const fastbp_primitive *table, int index, const fastbp_real *x, fastbp_real *y, intptr_t n) {
    char *args[2] = {(char *)x, (char *)y};
    const intptr_t steps[2] = {sizeof *x, sizeof *y};
    table[index].loop(args, &n, steps, table[index].data);
}

static void fastbp_composed_sigmoid(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    const fastbp_primitive *numpy = (const fastbp_primitive *)data;
    const fastbp_real *x = (const fastbp_real *)args[0];
    fastbp_real *y = (fastbp_real *)args[1];
    const intptr_t n = dimensions[0];
    (void)steps;
    FASTBP_MANY for (intptr_t i = 0; i < n; i++) y[i] = -x[i];
    fastbp_apply(numpy, FASTBP_EXP, y, y, n);
    FASTBP_MANY for (intptr_t i = 0; i < n; i++) y[i] = 1 / (1 + y[i]);
}

static void fastbp_composed_softplus(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) {
    const fastbp_primitive *numpy = (const fastbp_primitive *)data;
    const fastbp_real *x = (const fastbp_real *)args[0];
    fastbp_real *y = (fastbp_real *)args[1], t[FASTBP_COMPOSED_BLOCK];
    (void)steps;
    for (intptr_t left = dimensions[0], n; left > 0; left -= n, x += n, y += n) {
        n = left < FASTBP_COMPOSED_BLOCK ? left : FASTBP_COMPOSED_BLOCK;
        FASTBP_MANY for (intptr_t i = 0; i < n; i++) t[i] = -(fastbp_real)fabs(x[i]);
        fastbp_apply(numpy, FASTBP_EXP, t, t, n);
        fastbp_apply(numpy, FASTBP_LOG1P, t, t, n);
        FASTBP_MANY for (intptr_t i = 0; i < n; i++) y[i] = (x[i] <= 0 ? 0 : x[i]) + t[i];
    }
}

/* Fill in what NumPy has no loop for. */
static void fastbp_complete(fastbp_primitive *numpy) {
#define FASTBP_ENTRY(name, NAME) numpy[FASTBP_##NAME] = (fastbp_primitive){fastbp_composed_##name, numpy};
    FASTBP_COMPOSED(FASTBP_ENTRY)
#undef FASTBP_ENTRY
#define FASTBP_ENTRY(name, NAME) numpy[FASTBP_##NAME] = fastbp_portable[FASTBP_##NAME];
    FASTBP_PORTABLE_ONLY(FASTBP_ENTRY)
#undef FASTBP_ENTRY
}

#endif
