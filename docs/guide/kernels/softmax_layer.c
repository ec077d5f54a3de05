#include <abi.h>
#include <stddef.h>

/* Write softmax(x @ w + b) into y; the kernels are dense and softmax_forward. */
int softmax_layer(const fastbp_kernel *kernels, const fastbp_primitive *primitives,
                  float *x, float *w, float *b, float *y, intptr_t batch, intptr_t k, intptr_t n)
{
    void *operands[] = {x, w, b, y}, *in_place[] = {y, y};
    intptr_t sizes[] = {batch, k, n}, rows[] = {batch, n};
    double relu[] = {0.0};
    int status = kernels[0](operands, sizes, relu, primitives);
    return status ? status : kernels[1](in_place, rows, NULL, primitives);
}
