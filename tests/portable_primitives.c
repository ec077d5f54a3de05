/* Runs every portable primitive on numbers made from integers and prints a hash of each result. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "portable/primitives.h"

static uint64_t state = 1;

static uint64_t draw(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 16;
}

/* a number of the usual sizes, or of any bits at all */
static fastbp_real number(int any) {
    union { uint64_t bits; float f; double d; } u;
    if (!any) return ((fastbp_real)(draw() & 0xffffff) / 0x800000 - 1) * 8;
    u.bits = FASTBP_ITEM == 4 ? draw() & 0xffffffff : draw() << 32 | (draw() & 0xffffffff);
    return FASTBP_ITEM == 4 ? (fastbp_real)u.f : (fastbp_real)u.d;
}

static fastbp_real *numbers(intptr_t n, int any) {
    fastbp_real *x = malloc((n + 1) * sizeof *x);
    for (intptr_t i = 0; i < n; i++) x[i] = number(any);
    return x;
}

static void print(const char *name, int index, const fastbp_real *y, intptr_t n) {
    uint64_t hash = 14695981039346656037u;
    for (intptr_t i = 0; i < n; i++) {
        fastbp_real value = y[i] != y[i] ? (fastbp_real)12345 : y[i]; /* NaN is one value */
        unsigned char bytes[sizeof value];
        memcpy(bytes, &value, sizeof value);
        for (size_t k = 0; k < sizeof value; k++) hash = (hash ^ bytes[k]) * 1099511628211u;
    }
    printf("%s %d %016" PRIx64 "\n", name, index, hash);
}

/* Products of patches by their definition, which holds without memory too; an element of w is a tap of one filter. */
typedef struct {
    fastbp_window w;
    const fastbp_real *x, *weights, *bias, *dy;
    fastbp_real *y, *dw, *dx;
} convolution;

/* Where a tap of a position lies in x, or -1 for one of the zeros around it. */
static intptr_t cell(const fastbp_window *w, intptr_t image, intptr_t position, intptr_t tap, intptr_t group) {
    const intptr_t i = position / w->ow * w->stride_h + tap / w->n / w->kw * w->dilation_h - w->top;
    const intptr_t j = position % w->ow * w->stride_w + tap / w->n % w->kw * w->dilation_w - w->left;
    if (i < 0 || i >= w->height || j < 0 || j >= w->width) return -1;
    return ((image * w->height + i) * w->width + j) * w->c + group * w->n + tap % w->n;
}

static void define(const convolution *s) {
    const fastbp_window *w = &s->w;
    const intptr_t taps = w->kh * w->kw * w->n, positions = w->oh * w->ow, m = w->o / w->groups;
    for (intptr_t e = 0; e < taps * w->o; e++) s->dw[e] = 0;
    for (intptr_t e = 0; e < w->batch * w->height * w->width * w->c; e++) s->dx[e] = 0;
    for (intptr_t q = 0; q < w->batch; q++) {
        for (intptr_t e = 0; e < positions * w->o; e++) {
            fastbp_real y = 0;
            for (intptr_t t = 0; t < taps; t++) {
                const intptr_t at = cell(w, q, e / w->o, t, e % w->o / m);
                y = FASTBP_FMA(at < 0 ? 0 : s->x[at], s->weights[t * w->o + e % w->o], y);
            }
            if (s->bias) y += s->bias[e % w->o];
            s->y[q * positions * w->o + e] = w->relu && y <= 0 ? 0 : y;
        }
        for (intptr_t e = 0; e < taps * w->o; e++) {
            fastbp_real dw = 0;
            for (intptr_t p = 0; p < positions; p++) {
                const intptr_t at = cell(w, q, p, e / w->o, e % w->o / m);
                dw = FASTBP_FMA(at < 0 ? 0 : s->x[at], s->dy[(q * positions + p) * w->o + e % w->o], dw);
            }
            s->dw[e] += dw;
        }
        for (intptr_t t = 0; t < taps; t++)
            for (intptr_t p = 0; p < positions; p++)
                for (intptr_t g = 0; g < w->groups; g++) {
                    const intptr_t at = cell(w, q, p, t, g);
                    fastbp_real dx = 0;
                    for (intptr_t j = g * m; j < (g + 1) * m; j++)
                        dx = FASTBP_FMA(s->dy[(q * positions + p) * w->o + j], s->weights[t * w->o + j], dx);
                    if (at >= 0) s->dx[at] += dx;
                }
    }
}

static void convolve(int index, fastbp_window w) {
    const intptr_t inputs = w.batch * w.height * w.width * w.c, taps = w.kh * w.kw * w.n * w.o;
    const intptr_t outputs = w.batch * w.oh * w.ow * w.o;
    fastbp_real *x = numbers(inputs, 0), *weights = numbers(taps, 0), *bias = numbers(w.o, 0), *dy = numbers(outputs, 0);
    fastbp_real *y = numbers(outputs, 0), *dw = numbers(taps, 0), *dx = numbers(inputs, 0);
    const convolution s = {w, x, weights, index % 2 ? bias : NULL, dy, y, dw, dx};
    int done[3];
    char *forward[] = {(char *)x, (char *)weights, (char *)s.bias, (char *)y, (char *)&done[0]};
    char *of_weights[] = {(char *)x, (char *)dy, (char *)dw, (char *)&done[1]};
    char *of_input[] = {(char *)dy, (char *)weights, (char *)dx, (char *)&done[2]};
    fastbp_convolve_loop(forward, (const intptr_t *)&w, NULL, NULL);
    fastbp_convolve_dw_loop(of_weights, (const intptr_t *)&w, NULL, NULL);
    fastbp_convolve_dx_loop(of_input, (const intptr_t *)&w, NULL, NULL);
    if (!done[0] || !done[1] || !done[2]) define(&s);
    print("convolution", index, y, outputs);
    print("dw", index, dw, taps);
    print("dx", index, dx, inputs);
    free(x), free(weights), free(bias), free(dy), free(y), free(dw), free(dx);
}

static void convolve_all(void) {
    /* batch, height, width, n, kh, kw, filters of a group, strides, top, bottom, left, right, dilations, groups */
    static const intptr_t shapes[][16] = {
        {2, 9, 8, 1, 5, 5, 6, 1, 1, 0, 0, 0, 0, 1, 1, 1}, {3, 7, 7, 3, 3, 3, 16, 1, 1, 1, 1, 1, 1, 1, 1, 1},
        {2, 8, 9, 16, 3, 3, 16, 2, 2, 0, 1, 0, 1, 1, 1, 1}, {1, 6, 6, 17, 3, 2, 33, 1, 1, 1, 1, 1, 0, 1, 1, 1},
        {2, 6, 7, 6, 5, 5, 16, 1, 1, 0, 0, 0, 0, 1, 1, 1}, {3, 5, 8, 4, 1, 1, 64, 2, 2, 0, 0, 0, 0, 1, 1, 1},
        {2, 9, 10, 5, 3, 3, 2, 1, 2, 2, 2, 1, 1, 2, 2, 1}, {2, 6, 5, 3, 3, 3, 5, 1, 1, 1, 1, 1, 1, 1, 1, 3},
        {2, 2, 2, 3, 4, 5, 3, 1, 3, 2, 2, 2, 2, 1, 1, 1}, {1, 1, 40, 20, 1, 7, 3, 1, 1, 0, 0, 6, 0, 1, 1, 1},
        {2, 12, 30, 2, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {0, 4, 4, 2, 2, 2, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1},
        {2, 2, 2, 2, 3, 3, 3, 1, 1, 0, 0, 0, 0, 1, 1, 1}, {19, 3, 3, 2, 3, 3, 7, 3, 1, 1, 2, 1, 1, 1, 1, 1},
    };
    for (int i = 0; i < (int)(sizeof shapes / sizeof *shapes); i++) {
        const intptr_t *s = shapes[i];
        const intptr_t rows = s[1] + s[9] + s[10] - s[13] * (s[4] - 1) - 1;
        const intptr_t columns = s[2] + s[11] + s[12] - s[14] * (s[5] - 1) - 1;
        const fastbp_window w = {s[0], s[1], s[2], s[3] * s[15], s[4], s[5], s[3], s[6] * s[15],
                                 rows < 0 ? 0 : rows / s[7] + 1, columns < 0 ? 0 : columns / s[8] + 1, s[7], s[8], s[9],
                                 s[11], s[13], s[14], s[15], i % 3 == 0};
        convolve(i, w);
    }
}

int main(void) {
    static const intptr_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {8, 64, 33}, {17, 100, 10}, {32, 16, 3}, {1, 300, 70},
                                         {65, 1100, 40}, {2, 0, 5}, {40, 19, 1}, {33, 8, 2}, {24, 5, 4}};
    for (int index = FASTBP_EXP; index < FASTBP_PRIMITIVES; index++)
        for (int any = 0; any < 2; any++) {
            intptr_t n = 3001, steps[3] = {sizeof(fastbp_real), sizeof(fastbp_real), sizeof(fastbp_real)};
            fastbp_real *x = numbers(n, any), *z = numbers(n, any), *y = numbers(n, 0);
            char *args[3] = {(char *)x, (char *)(index == FASTBP_POW ? z : y), (char *)y};
            fastbp_portable[index].loop(args, &n, steps, NULL);
            print("function", 2 * (index - FASTBP_EXP) + any, y, n);
            free(x), free(y), free(z);
        }
    for (int s = 0; s < (int)(sizeof shapes / sizeof *shapes); s++)
        for (int form = 0; form < 4; form++) { /* nn, nt, tn, dense with relu */
            const intptr_t m = shapes[s][0], k = shapes[s][1], n = shapes[s][2], item = sizeof(fastbp_real);
            fastbp_real *a = numbers(m * k, 0), *b = numbers(k * n, 0), *bias = numbers(n, 0), *y = numbers(m * n, 0);
            if (form == 3) {
                char *args[4] = {(char *)a, (char *)b, (char *)bias, (char *)y};
                intptr_t dimensions[4] = {m, k, n, 1};
                fastbp_portable[FASTBP_DENSE].loop(args, dimensions, NULL, NULL);
            } else {
                char *args[3] = {(char *)a, (char *)b, (char *)y};
                intptr_t dimensions[4] = {1, m, k, n};
                intptr_t steps[9] = {0, 0, 0, form == 2 ? item : k * item, form == 2 ? m * item : item,
                                     form == 1 ? item : n * item, form == 1 ? k * item : item, n * item, item};
                fastbp_portable[FASTBP_MATMUL].loop(args, dimensions, steps, NULL);
            }
            print("product", 4 * s + form, y, m * n);
            free(a), free(b), free(bias), free(y);
        }
    for (int s = 0; s < (int)(sizeof shapes / sizeof *shapes); s++)
        for (int form = 0; form < 3; form++) { /* dense with relu and what is added to, dense, nt */
            const intptr_t m = shapes[s][0], k = shapes[s][1], n = shapes[s][2];
            fastbp_real *a = numbers(m * k, 0), *b = numbers(k * n, 0), *bias = numbers(n, 0), *c = numbers(m * n, 0);
            fastbp_real *y = numbers(m * n, 0), *before = numbers(m * n, 0);
            char *args[6] = {(char *)a, (char *)b, form < 2 ? (char *)bias : NULL, (char *)c, (char *)y,
                             form == 0 ? (char *)before : NULL};
            const intptr_t dimensions[5] = {m, k, n, form == 0, form == 2};
            fastbp_product_add_loop(args, dimensions, NULL, NULL);
            print("added", 3 * s + form, y, m * n);
            if (form == 0) print("before", s, before, m * n);
            free(a), free(b), free(bias), free(c), free(y), free(before);
        }
    for (intptr_t n = 0; n < 200; n += n < 40 ? 1 : 37) {
        fastbp_real *x = numbers(5 * n, 0), y[5];
        char *args[2] = {(char *)x, (char *)y};
        intptr_t dimensions[2] = {5, n}, steps[2] = {n * (intptr_t)sizeof *x, sizeof *y};
        fastbp_portable[FASTBP_SUM].loop(args, dimensions, steps, NULL);
        print("sum", (int)n, y, 5);
        free(x);
    }
    for (intptr_t k = 2; k < 40; k += 7) /* by name: a level without fma has them in no table */
        for (intptr_t n = 1; n <= 4; n++)
            for (int pair = 0; pair < 2; pair++) {
                const intptr_t batch = 21, m = 3, dimensions[5] = {batch, m, k, n, !pair || n % 2};
                const intptr_t sizes[9] = {batch * m, batch * k, batch * n, k * n, n, k * n, batch * k, k, m * k};
                fastbp_real *operands[9];
                for (int i = 0; i < 9; i++) operands[i] = numbers(sizes[i], 0);
                fastbp_real *args[9];
                memcpy(args, operands, sizeof args);
                if (!pair) args[0] = args[7] = args[8] = NULL;
                fastbp_sweep_loop((char **)args, dimensions, NULL, NULL);
                for (int i = 4; i < 9; i++)
                    if (pair ? i != 6 : i < 7) print("sweep", (int)(k * 100 + n * 10 + pair), args[i], sizes[i]);
                for (int i = 0; i < 9; i++) free(operands[i]);
            }
    for (intptr_t batch = 1; batch < 100; batch += 23)
        for (intptr_t n = 2; n <= 4; n++) {
            fastbp_real *logits = numbers(batch * n, 0), *loss = numbers(batch, 0), *dlogits = numbers(batch * n, 0);
            fastbp_real factor = (fastbp_real)(1.0 / batch);
            int64_t *labels = malloc(batch * sizeof *labels);
            for (intptr_t i = 0; i < batch; i++) labels[i] = (int64_t)(draw() % n);
            char *args[5] = {(char *)logits, (char *)labels, (char *)loss, (char *)dlogits, (char *)&factor};
            const intptr_t dimensions[2] = {batch, n};
            fastbp_cross_entropy_loop(args, dimensions, NULL, NULL);
            print("loss", (int)(batch * 10 + n), loss, batch);
            print("gradient", (int)(batch * 10 + n), dlogits, batch * n);
            free(logits), free(loss), free(dlogits), free(labels);
        }
    convolve_all();
    return 0;
}
