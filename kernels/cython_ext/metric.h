/* What the functions of fastbp.metrics count and add up, each in one pass over its arrays. */
#ifndef FASTBP_METRIC_H
#define FASTBP_METRIC_H

#include <math.h>

#include "../abi.h"
#include "../portable/real.h"

enum { FASTBP_LANES_OF_SUM = 32 };

/* The end of a sum as portable/sum.h makes it, here of doubles whatever the type of the elements. */
static inline double fastbp_sum_of_lanes(double *lane) {
    for (int half = FASTBP_LANES_OF_SUM / 2; half; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* `body` for every i below n, with l the lane of i. */
#define FASTBP_BY_LANES(n, body) \
    { \
        intptr_t first = 0; \
        for (; first + FASTBP_LANES_OF_SUM <= n; first += FASTBP_LANES_OF_SUM) \
            for (int l = 0; l < FASTBP_LANES_OF_SUM; l++) { \
                const intptr_t i = first + l; \
                body \
            } \
        for (intptr_t i = first; i < n; i++) { \
            const intptr_t l = i - first; \
            body \
        } \
    }

static inline void fastbp_error_sums(const fastbp_real *t, const fastbp_real *p, double *absolute, double *squared,
                                     intptr_t n) {
    double a[FASTBP_LANES_OF_SUM] = {0}, s[FASTBP_LANES_OF_SUM] = {0};
    FASTBP_BY_LANES(n, {
        const double d = (double)t[i] - (double)p[i];
        a[l] += fabs(d);
        s[l] += d * d;
    })
    *absolute = fastbp_sum_of_lanes(a);
    *squared = fastbp_sum_of_lanes(s);
}

/* A single column is summed by lanes, several are row by row. */
static inline void fastbp_column_errors(const fastbp_real *t, const fastbp_real *p, double *squared, double *spread,
                                        double *mean, intptr_t rows, intptr_t n) {
    if (n == 1) {
        double m[FASTBP_LANES_OF_SUM] = {0}, s[FASTBP_LANES_OF_SUM] = {0};
        FASTBP_BY_LANES(rows, {
            const double d = (double)t[i] - (double)p[i];
            m[l] += t[i];
            s[l] += d * d;
        })
        *squared = fastbp_sum_of_lanes(s);
        const double center = *mean = fastbp_sum_of_lanes(m) / (double)rows;
        for (int l = 0; l < FASTBP_LANES_OF_SUM; l++) s[l] = 0;
        FASTBP_BY_LANES(rows, {
            const double d = (double)t[i] - center;
            s[l] += d * d;
        })
        *spread = fastbp_sum_of_lanes(s);
        return;
    }
    for (intptr_t j = 0; j < n; j++) squared[j] = spread[j] = mean[j] = 0;
    for (intptr_t i = 0; i < rows; i++)
        for (intptr_t j = 0; j < n; j++) {
            const double d = (double)t[i * n + j] - (double)p[i * n + j];
            mean[j] += t[i * n + j];
            squared[j] += d * d;
        }
    for (intptr_t j = 0; j < n; j++) mean[j] /= (double)rows;
    for (intptr_t i = 0; i < rows; i++)
        for (intptr_t j = 0; j < n; j++) {
            const double d = (double)t[i * n + j] - mean[j];
            spread[j] += d * d;
        }
}

static inline int fastbp_confusion_counts(const int64_t *t, const int64_t *p, int64_t *counts, intptr_t n,
                                          intptr_t classes) {
    if (classes == 2) { /* sums, which vectorise */
        uint64_t trues = 0, predicted = 0, both = 0, all = 0;
        for (intptr_t i = 0; i < n; i++) {
            const uint64_t a = (uint64_t)t[i], b = (uint64_t)p[i];
            all |= a | b;
            trues += a;
            predicted += b;
            both += a & b;
        }
        if (all > 1) return FASTBP_INDEX_ERROR;
        counts[0] += (int64_t)((uint64_t)n - trues - predicted + both);
        counts[1] += (int64_t)(predicted - both);
        counts[2] += (int64_t)(trues - both);
        counts[3] += (int64_t)both;
        return FASTBP_OK;
    }
    for (intptr_t i = 0; i < n; i++) {
        if ((uint64_t)t[i] >= (uint64_t)classes || (uint64_t)p[i] >= (uint64_t)classes) return FASTBP_INDEX_ERROR;
        counts[t[i] * classes + p[i]]++;
    }
    return FASTBP_OK;
}

/* Without a branch: each element is written to both ends of what is free, and one of these moves. */
static inline void fastbp_part_by_label(const fastbp_real *x, const int64_t *labels, fastbp_real *parted,
                                        int64_t *counts, intptr_t n) {
    intptr_t front = 0, back = n - 1;
    int64_t others = 0;
    for (intptr_t i = 0; i < n; i++) {
        const intptr_t positive = labels[i] > 0;
        others += (uint64_t)labels[i] > 1;
        parted[front] = parted[back] = x[i];
        front += positive;
        back -= !positive;
    }
    counts[0] = front;
    counts[1] = others;
}

static inline int fastbp_is_sorted(const fastbp_real *x, intptr_t n) {
    int wrong = 0;
    for (intptr_t i = 1; i < n; i++) wrong |= !(x[i - 1] <= x[i]);
    return !wrong;
}

/* Sorted p and n are passed on the one way on which the smaller element comes first, that of p where both are equal. So
 * all elements of n that were passed are below the element of p that is passed next. Where that is after d steps: */
static inline intptr_t fastbp_on_way(const fastbp_real *p, intptr_t n_p, const fastbp_real *n, intptr_t n_n,
                                     intptr_t d) {
    intptr_t low = d > n_n ? d - n_n : 0, high = d < n_p ? d : n_p;
    while (low < high) {
        const intptr_t i = low + (high - low) / 2;
        if (p[i] <= n[d - 1 - i])
            low = i + 1;
        else
            high = i;
    }
    return low;
}

/* A piece of the way: what of p and n is next, how many steps are left, and how many elements of n are `value`. */
typedef struct {
    const fastbp_real *p, *n;
    intptr_t left, equal;
    fastbp_real value;
} fastbp_piece;

/* One step, without a branch that nobody can predict. Where an element of p is passed it returns twice its place in n,
 * and how many of n are equal. */
FASTBP_INLINE intptr_t fastbp_pass(fastbp_piece *piece, const fastbp_real *start, const fastbp_real *end) {
    const fastbp_real a = *piece->p, b = *piece->n;
    const intptr_t passes = a <= b, place = piece->n - start;
    intptr_t equal = 0;
    if (a == b) {
        if (a != piece->value) {
            piece->value = a;
            for (piece->equal = 0; piece->n + piece->equal < end && piece->n[piece->equal] == a;) piece->equal++;
        }
        equal = piece->equal;
    }
    piece->p += passes;
    piece->n += 1 - passes;
    return (2 * place & -passes) + equal;
}

/* Twice the pairs in which the element of p is larger, and once those in which both are equal. A step waits for the one
 * before, so four pieces of the way are gone in turn. */
static int64_t fastbp_count_wins(const fastbp_real *p, intptr_t n_p, const fastbp_real *n, intptr_t n_n) {
    enum { PIECES = 4 };
    const fastbp_real *p_end = p + n_p, *n_end = n + n_n;
    fastbp_piece pieces[PIECES];
    int64_t wins = 0;
    if (!fastbp_is_sorted(p, n_p) || !fastbp_is_sorted(n, n_n)) { /* whatever it counts, within the arrays */
        for (intptr_t i = 0, below = 0, above = 0; i < n_p; i++) {
            while (below < n_n && n[below] < p[i]) below++;
            while (above < n_n && n[above] <= p[i]) above++;
            wins += below + above;
        }
        return wins;
    }
    for (int w = 0; w < PIECES; w++) {
        const intptr_t d = (n_p + n_n) / PIECES * w, end = w + 1 < PIECES ? d + (n_p + n_n) / PIECES : n_p + n_n;
        const intptr_t i = fastbp_on_way(p, n_p, n, n_n, d);
        pieces[w] = (fastbp_piece){p + i, n + (d - i), end - d, 0, NAN};
    }
    for (;;) { /* as many steps as surely end before a piece, or an array, does */
        intptr_t sure = n_p + n_n;
        for (int w = 0; w < PIECES; w++) {
            sure = pieces[w].left < sure ? pieces[w].left : sure;
            sure = p_end - pieces[w].p < sure ? p_end - pieces[w].p : sure;
            sure = n_end - pieces[w].n < sure ? n_end - pieces[w].n : sure;
        }
        if (sure == 0) break;
        fastbp_piece a = pieces[0], b = pieces[1], c = pieces[2], d = pieces[3];
        for (intptr_t k = 0; k < sure; k++) {
            wins += fastbp_pass(&a, n, n_end) + fastbp_pass(&b, n, n_end);
            wins += fastbp_pass(&c, n, n_end) + fastbp_pass(&d, n, n_end);
        }
        pieces[0] = a, pieces[1] = b, pieces[2] = c, pieces[3] = d;
        for (int w = 0; w < PIECES; w++) pieces[w].left -= sure;
    }
    for (int w = 0; w < PIECES; w++) {
        fastbp_piece piece = pieces[w];
        for (; piece.left > 0 && piece.p < p_end && piece.n < n_end; piece.left--)
            wins += fastbp_pass(&piece, n, n_end);
        /* all of n is passed, or nothing is left of p */
        if (piece.p < p_end) wins += 2 * (int64_t)piece.left * (piece.n - n);
    }
    return wins;
}

#endif
