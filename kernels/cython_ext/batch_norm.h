/* Batch normalisation with the scale, the shift and perhaps the relu behind it. An array is as large as a batch of images,
 * so what takes time is its way from memory: sums of columns are made in registers while it passes, and the normalised
 * numbers are made again in the backward pass rather than kept.
 */
#ifndef FASTBP_BATCH_NORM_H
#define FASTBP_BATCH_NORM_H

#include "../portable/primitives.h"
#include "helpers.h"

enum { FASTBP_CHUNK = 1024 }; /* elements of two arrays that stay in L1 */

typedef struct {
    const fastbp_real *x, *gamma, *beta;
    fastbp_real *inverse, *mean, *variance, *y; /* of the forward pass */
    const fastbp_real *dy;
    fastbp_real *dx, *dgamma, *dbeta, *a, *b; /* of the backward pass; a and b: sums of what is subtracted, then their means */
    fastbp_real *column;
    intptr_t rows, n, first, end; /* some rows, those from first to end, are taken at a time */
    int relu;
} fastbp_batch;

/* Some columns of a matrix, as vectors; `lanes` is a constant but in the last of them. */
FASTBP_INLINE fastbp_vec fastbp_columns_at(const fastbp_real *p, int v, int last, int lanes) {
    return v < last || lanes == FASTBP_LANES ? fastbp_load(p + v * FASTBP_LANES)
                                             : fastbp_load_part(p + v * FASTBP_LANES, lanes);
}

FASTBP_INLINE void fastbp_set_columns(fastbp_real *p, fastbp_vec x, int v, int last, int lanes) {
    if (v < last || lanes == FASTBP_LANES)
        fastbp_store(p + v * FASTBP_LANES, x);
    else
        fastbp_store_part(p + v * FASTBP_LANES, x, lanes);
}

#define FASTBP_AT(p, v) fastbp_columns_at(p, v, vecs - 1, lanes)
#define FASTBP_SET(p, x, v) fastbp_set_columns(p, x, v, vecs - 1, lanes)
#define FASTBP_OF_COLUMNS(name, from) \
    fastbp_vec name[8]; \
    FASTBP_UNROLL(v, vecs) name[v] = FASTBP_AT(from + j, v)
#define FASTBP_ROWS_OF_PASS(i) intptr_t i = s->first; i < s->end; i++

/* the sum of each column, which begins at what is there already */
FASTBP_INLINE void fastbp_sums(const fastbp_batch *s, intptr_t j, const int vecs, const int lanes) {
    const fastbp_real *x = s->x + s->first * s->n + j;
    FASTBP_OF_COLUMNS(sum, s->mean);
    for (FASTBP_ROWS_OF_PASS(i), x += s->n) FASTBP_UNROLL(v, vecs) sum[v] += FASTBP_AT(x, v);
    FASTBP_UNROLL(v, vecs) FASTBP_SET(s->mean + j, sum[v], v);
}

/* likewise, that of squares of what is left of each column without its mean */
FASTBP_INLINE void fastbp_squares(const fastbp_batch *s, intptr_t j, const int vecs, const int lanes) {
    const fastbp_real *x = s->x + s->first * s->n + j;
    FASTBP_OF_COLUMNS(mean, s->mean);
    FASTBP_OF_COLUMNS(sum, s->variance);
    for (FASTBP_ROWS_OF_PASS(i), x += s->n)
        FASTBP_UNROLL(v, vecs) {
            const fastbp_vec d = FASTBP_AT(x, v) - mean[v];
            sum[v] += d * d;
        }
    FASTBP_UNROLL(v, vecs) FASTBP_SET(s->variance + j, sum[v], v);
}

FASTBP_INLINE void fastbp_normal(const fastbp_batch *s, intptr_t j, const int vecs, const int lanes) {
    const fastbp_real *x = s->x + s->first * s->n + j;
    const fastbp_vec zero = {0};
    fastbp_real *y = s->y + s->first * s->n + j;
    FASTBP_OF_COLUMNS(mean, s->mean);
    FASTBP_OF_COLUMNS(inverse, s->inverse);
    FASTBP_OF_COLUMNS(gamma, s->gamma);
    FASTBP_OF_COLUMNS(beta, s->beta);
    for (FASTBP_ROWS_OF_PASS(i), x += s->n, y += s->n)
        FASTBP_UNROLL(v, vecs) {
            const fastbp_vec z = (FASTBP_AT(x, v) - mean[v]) * inverse[v] * gamma[v] + beta[v];
            FASTBP_SET(y, s->relu ? fastbp_pick_most(z, zero, zero, z) : z, v);
        }
}

/* What the gradients are made of, in one pass; with a scale, `e` is the gradient of the normalised numbers. */
#define FASTBP_GRADIENTS \
    const fastbp_vec normal = (FASTBP_AT(x, v) - mean[v]) * inverse[v], z = normal * gamma[v] + beta[v]; \
    const fastbp_vec passed = FASTBP_AT(dy, v), d = s->relu ? fastbp_pick_below(zero, z, passed, zero) : passed; \
    const fastbp_vec e = d * gamma[v]
#define FASTBP_BACKWARD \
    const fastbp_real *x = s->x + s->first * s->n + j, *dy = s->dy + s->first * s->n + j; \
    const fastbp_vec zero = {0}; \
    FASTBP_OF_COLUMNS(mean, s->mean); \
    FASTBP_OF_COLUMNS(inverse, s->inverse); \
    FASTBP_OF_COLUMNS(gamma, s->gamma); \
    FASTBP_OF_COLUMNS(beta, s->beta)

FASTBP_INLINE void fastbp_gradient_sums(const fastbp_batch *s, intptr_t j, const int vecs, const int lanes) {
    FASTBP_BACKWARD;
    FASTBP_OF_COLUMNS(dgamma, s->dgamma);
    FASTBP_OF_COLUMNS(dbeta, s->dbeta);
    FASTBP_OF_COLUMNS(a, s->a);
    FASTBP_OF_COLUMNS(b, s->b);
    for (FASTBP_ROWS_OF_PASS(i), x += s->n, dy += s->n)
        FASTBP_UNROLL(v, vecs) {
            FASTBP_GRADIENTS;
            dgamma[v] += d * normal, dbeta[v] += d, a[v] += e, b[v] += e * normal;
        }
    FASTBP_UNROLL(v, vecs) {
        FASTBP_SET(s->dgamma + j, dgamma[v], v);
        FASTBP_SET(s->dbeta + j, dbeta[v], v);
        FASTBP_SET(s->a + j, a[v], v);
        FASTBP_SET(s->b + j, b[v], v);
    }
}

FASTBP_INLINE void fastbp_input_gradient(const fastbp_batch *s, intptr_t j, const int vecs, const int lanes) {
    fastbp_real *dx = s->dx + s->first * s->n + j;
    FASTBP_BACKWARD;
    FASTBP_OF_COLUMNS(a, s->a);
    FASTBP_OF_COLUMNS(b, s->b);
    for (FASTBP_ROWS_OF_PASS(i), x += s->n, dy += s->n, dx += s->n)
        FASTBP_UNROLL(v, vecs) {
            FASTBP_GRADIENTS;
            FASTBP_SET(dx, inverse[v] * (e - a[v] - normal * b[v]), v);
        }
}

/* Memory is fast where it is read line after line: so a pass takes row by row. Sums of 1, 2, 4 or, where `most` is 8, 8
 * vectors are in registers, those of wider rows in memory; `apart`: these are so many that a few rows, fetched before, are
 * taken by columns. */
#define FASTBP_OF_ROWS(pass, most, apart) \
    static void pass##_of_rows(fastbp_batch *s, intptr_t begin, intptr_t last) { \
        const intptr_t n = s->n, vecs = n / FASTBP_LANES; \
        const int alone = n <= FASTBP_LANES || (n % FASTBP_LANES == 0 && (vecs == 2 || vecs == 4 || vecs == (most))); \
        const intptr_t step = alone ? s->rows : (apart) ? FASTBP_CHUNK / n + 1 : 1; \
        for (s->first = begin; s->first < last; s->first = s->end) { \
            intptr_t j = 0; \
            s->end = fastbp_smaller(s->first + step, last); \
            if ((apart) && !alone) { \
                fastbp_read(s->x + s->first * n, n, s->end - s->first, n); \
                fastbp_read(s->dy + s->first * n, n, s->end - s->first, n); \
            } \
            for (; j + (most) * FASTBP_LANES <= n; j += (most) * FASTBP_LANES) pass(s, j, most, FASTBP_LANES); \
            if ((most) > 4 && j + 4 * FASTBP_LANES <= n) pass(s, j, 4, FASTBP_LANES), j += 4 * FASTBP_LANES; \
            if (j + 2 * FASTBP_LANES <= n) pass(s, j, 2, FASTBP_LANES), j += 2 * FASTBP_LANES; \
            if (j + FASTBP_LANES <= n) pass(s, j, 1, FASTBP_LANES), j += FASTBP_LANES; \
            if (j < n) pass(s, j, 1, (int)(n - j)); \
        } \
    }
/* Threads share the rows. Sums are made by one: to share columns took as long (measured), as they come in parts then. */
#define FASTBP_SHARED(pass) \
    static void pass##_of_part(void *context, int part, int parts) { \
        fastbp_batch own = *(const fastbp_batch *)context; \
        pass##_of_rows(&own, own.rows * part / parts, own.rows * (part + 1) / parts); \
    }
FASTBP_OF_ROWS(fastbp_sums, 8, 0)
FASTBP_OF_ROWS(fastbp_squares, 8, 0)
FASTBP_OF_ROWS(fastbp_normal, 8, 0)
FASTBP_OF_ROWS(fastbp_gradient_sums, 8, 1)
FASTBP_OF_ROWS(fastbp_input_gradient, 8, 0)
FASTBP_SHARED(fastbp_normal)
FASTBP_SHARED(fastbp_input_gradient)

static void fastbp_batch_norm_affine(fastbp_batch *s, const fastbp_primitive *primitives, double eps) {
    const fastbp_real count = (fastbp_real)s->rows, shift = (fastbp_real)eps;
    if (s->n == 0) return;
    if (s->n == 1) { /* NumPy sums what is contiguous pairwise */
        *s->mean = fastbp_total(primitives, s->x, s->rows) / count;
        for (intptr_t i = 0; i < s->rows; i++) s->y[i] = (s->x[i] - *s->mean) * (s->x[i] - *s->mean);
        *s->variance = fastbp_total(primitives, s->y, s->rows);
    } else {
        for (intptr_t j = 0; j < s->n; j++) s->mean[j] = s->variance[j] = 0;
        fastbp_sums_of_rows(s, 0, s->rows);
        for (intptr_t j = 0; j < s->n; j++) s->mean[j] /= count;
        fastbp_squares_of_rows(s, 0, s->rows);
    }
    for (intptr_t j = 0; j < s->n; j++) {
        s->variance[j] /= count;
        s->inverse[j] = 1 / fastbp_square_root(s->variance[j] + shift);
    }
    fastbp_run_parts(primitives, fastbp_normal_of_part, s, s->rows * s->n, s->rows);
}

/* the sums of a single column, each of an array that is contiguous */
static void fastbp_gradient_sums_of_one(const fastbp_batch *s, const fastbp_primitive *primitives) {
    fastbp_real *sums[4] = {s->dgamma, s->dbeta, s->a, s->b};
    for (int k = 0; k < 4; k++) {
        for (intptr_t i = 0; i < s->rows; i++) {
            const fastbp_real normal = (s->x[i] - *s->mean) * *s->inverse, z = normal * *s->gamma + *s->beta;
            const fastbp_real d = !s->relu || z > 0 ? s->dy[i] : 0, e = k < 2 ? d : d * *s->gamma;
            s->column[i] = k == 0 || k == 3 ? e * normal : e;
        }
        *sums[k] = fastbp_total(primitives, s->column, s->rows);
    }
}

static void fastbp_batch_norm_affine_gradients(fastbp_batch *s, const fastbp_primitive *primitives) {
    const fastbp_real count = (fastbp_real)s->rows;
    if (s->n == 0) return;
    if (s->n == 1) {
        fastbp_gradient_sums_of_one(s, primitives);
    } else {
        for (intptr_t j = 0; j < s->n; j++) s->dgamma[j] = s->dbeta[j] = s->a[j] = s->b[j] = 0;
        fastbp_gradient_sums_of_rows(s, 0, s->rows);
    }
    for (intptr_t j = 0; j < s->n; j++) s->a[j] /= count, s->b[j] /= count;
    fastbp_run_parts(primitives, fastbp_input_gradient_of_part, s, s->rows * s->n, s->rows);
}

#undef FASTBP_AT
#undef FASTBP_SET
#undef FASTBP_OF_COLUMNS
#undef FASTBP_ROWS_OF_PASS
#undef FASTBP_GRADIENTS
#undef FASTBP_BACKWARD
#undef FASTBP_OF_ROWS
#undef FASTBP_SHARED
#endif
