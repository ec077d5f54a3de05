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

int main(void) {
    static const intptr_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {8, 64, 33}, {17, 100, 10}, {32, 16, 3}, {1, 300, 70},
                                         {65, 1100, 40}, {2, 0, 5}};
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
    for (intptr_t n = 0; n < 200; n += n < 40 ? 1 : 37) {
        fastbp_real *x = numbers(5 * n, 0), y[5];
        char *args[2] = {(char *)x, (char *)y};
        intptr_t dimensions[2] = {5, n}, steps[2] = {n * (intptr_t)sizeof *x, sizeof *y};
        fastbp_portable[FASTBP_SUM].loop(args, dimensions, steps, NULL);
        print("sum", (int)n, y, 5);
        free(x);
    }
    return 0;
}
