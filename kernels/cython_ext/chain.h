/* One operation of a chain (kernels/chain.py) on a block: y = op(a, b, c). y is none of the others. */
#ifndef FASTBP_CHAIN_H
#define FASTBP_CHAIN_H

#include <math.h>

#include "../portable/real.h"

enum { FASTBP_CHAIN_CALLS = 17 }; /* operations from here on are functions of a block, made by the caller */

static void fastbp_chain_step(int op, const fastbp_real *restrict a, const fastbp_real *restrict b,
                              const fastbp_real *restrict c, fastbp_real *restrict y, intptr_t n) {
    switch (op) {
#define STEP(number, value) \
    case number: \
        FASTBP_MANY for (intptr_t i = 0; i < n; i++) y[i] = (value); \
        break;
        STEP(0, a[i] + b[i])
        STEP(1, a[i] - b[i])
        STEP(2, a[i] * b[i])
        STEP(3, a[i] / b[i])
        STEP(4, -a[i])
        STEP(5, (fastbp_real)fabs(a[i]))
        STEP(6, (fastbp_real)(sizeof *a == 4 ? sqrtf((float)a[i]) : sqrt(a[i])))
        STEP(7, a[i] <= b[i] ? b[i] : a[i])
        STEP(8, a[i] >= b[i] ? b[i] : a[i])
        case 9:
            FASTBP_MANY for (intptr_t i = 0; i < n; i++) {
                const fastbp_real p = a[i] <= b[i] ? b[i] : a[i], top = c[i];
                y[i] = p >= top ? top : p;
            }
            break;
        case 10:
            FASTBP_MANY for (intptr_t i = 0; i < n; i++) {
                const fastbp_real yes = b[i], no = c[i]; /* a load under a condition does not vectorise */
                y[i] = a[i] != 0 ? yes : no;
            }
            break;
        STEP(11, (fastbp_real)(a[i] < b[i]))
        STEP(12, (fastbp_real)(a[i] <= b[i]))
        STEP(13, (fastbp_real)(a[i] > b[i]))
        STEP(14, (fastbp_real)(a[i] >= b[i]))
        STEP(15, (fastbp_real)(a[i] == b[i]))
        STEP(16, (fastbp_real)(a[i] != b[i]))
#undef STEP
    }
}

#endif
