/* The one C signature of every fastbp kernel.
 *
 * A kernel reads and writes `buffers` (one pointer an operand, in the order of its row in table/),
 * takes its lengths from `sizes` (one number a dimension letter, in order of first appearance) and its
 * hyper-parameters from `attributes` (in the order of the row). Whatever is not plain IEEE arithmetic
 * (exp, long sums, matmul ...) it calls through `primitives`: the choice of that array is the choice of
 * numerics. It returns FASTBP_OK or why it stopped, allocates nothing and never needs the GIL.
 */
#ifndef FASTBP_ABI_H
#define FASTBP_ABI_H

#include <stdint.h>

/* The inner-loop signature of NumPy's ufuncs (NEP 43 "strided loop" without context). */
typedef void (*fastbp_loop)(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data);

typedef struct {
    fastbp_loop loop;
    void *data;
} fastbp_primitive;

/* The primitives by the numbers of operations.h, which has the statuses too:
 *
 * MATMUL:  NumPy's gufunc (m,k),(k,n)->(m,n): args a, b, y; dimensions 1, m, k, n;
 *          steps 3 outer, then rows and columns of a, b, y.
 * SUM:     args x, y; dimensions rows, n; steps rows of x, elements of y; each row contiguous.
 * DENSE:   args x, w, b, y, all contiguous; dimensions batch, n_in, n_out, relu;
 *          y = x @ w + b, then max(y, 0) if relu. Numerics "numpy" has no loop for it: a kernel makes it of MATMUL.
 * SWEEP:   the backward pass of a narrow dense layer and of the one before it: args x, h, dy, w, db, dw, dh, db_before,
 *          dw_before, all contiguous; dimensions batch, m, k, n, relu; see portable/sweep.h. Where there is none a kernel
 *          makes it of MATMUL and SUM.
 * CROSS_ENTROPY: softmax cross-entropy with labels and its gradient: args logits, y_true (int64, checked), sample_loss,
 *          dlogits, a factor of the gradient; dimensions batch, n from 2 to 4. Likewise.
 * PRODUCT_ADD: y = a @ w + b, then max(y, 0) if relu, then y + c: args a, w, b or NULL, c, y and where to keep what c is
 *          added to, or NULL, all contiguous; dimensions m, k, n, relu, and whether w lies by columns. Likewise.
 * CONVOLVE, CONVOLVE_DW, CONVOLVE_DX: products of patches, see portable/convolve.h: args x, w, b or NULL, y, done; x, dy,
 *          dw, done; dy, w, dx, done; all contiguous; done: an int, 0 where there was no memory and so no result.
 *          Dimensions of all three: batch, height, width, c of x; kh, kw, n, o of w; oh, ow of y; stride_h, stride_w,
 *          top, left, dilation_h, dilation_w, groups, relu. Likewise.
 * EXP ...: an elementary function, args x, y, both contiguous, or the same; dimensions n; steps of x and y.
 * POW:     args x, y, z, likewise. */
#include "operations.h"

/* Threads that share the work of one call. `run` calls task(context, part, parts) for every part, one of them
 * on the calling thread, and returns when all are done. Only portable numerics splits: its bits do not change. The other
 * threads round to nearest and keep subnormals. */
typedef struct {
    int (*threads)(void);
    void (*run)(void (*task)(void *context, int part, int parts), void *context, int parts);
} fastbp_pool;

enum { FASTBP_SHARED = 1 << 15 }; /* elements from which threads pay */

typedef int (*fastbp_kernel)(void **buffers, const intptr_t *sizes, const double *attributes,
                             const fastbp_primitive *primitives);

#endif
