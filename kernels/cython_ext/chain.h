/* Pointwise kernels that are data: the operations of a user's own function, run by an accumulator machine. What the
 * numbers in `attributes` mean is said in kernels/chain.py, which writes them.
 *
 * The accumulator is a strip of eight vectors that stay in registers. So an instruction is a few cycles and the
 * arithmetic of a strip, where a loop over a block for each operation would load and store all of the block. */
#ifndef FASTBP_CHAIN_H
#define FASTBP_CHAIN_H

#include "chain_cases.h"

#include "../abi.h"
#include "../portable/matmul.h"

enum { FASTBP_CHAIN_STRIP = 8, FASTBP_CHAIN_SHORT = 2 }; /* vectors of a strip, and of what is too short for one */

#define FASTBP_FIELD(number) (instruction >> (8 * (number) + 8) & 255)
#define FASTBP_MEMORY(number) fastbp_load(at[FASTBP_FIELD(number)] + start + k * FASTBP_LANES)
#define FASTBP_CONSTANT(number) fastbp_broadcast(constant[FASTBP_FIELD(number)])
#define FASTBP_CHAIN_1(value, A) \
    FASTBP_UNROLL(k, vectors) { const fastbp_vec a = A; v[k] = value; }
#define FASTBP_CHAIN_2(value, A, B) \
    FASTBP_UNROLL(k, vectors) { const fastbp_vec a = A, b = B; v[k] = value; }
#define FASTBP_CHAIN_3(value, A, B, C) \
    FASTBP_UNROLL(k, vectors) { const fastbp_vec a = A, b = B, c = C; v[k] = value; }
#define FASTBP_CHAIN_4(value, A, B, C, D) \
    FASTBP_UNROLL(k, vectors) { const fastbp_vec a = A, b = B, c = C, d = D; v[k] = value; }
#define FASTBP_ALONE_1(value, A) \
    for (; start < stop; start += FASTBP_CHAIN_SHORT * FASTBP_LANES) \
        FASTBP_UNROLL(k, FASTBP_CHAIN_SHORT) { const fastbp_vec a = A; FASTBP_TO(1, value) }
#define FASTBP_ALONE_2(value, A, B) \
    for (; start < stop; start += FASTBP_CHAIN_SHORT * FASTBP_LANES) \
        FASTBP_UNROLL(k, FASTBP_CHAIN_SHORT) { const fastbp_vec a = A, b = B; FASTBP_TO(2, value) }
#define FASTBP_TO(number, value) fastbp_store(at[FASTBP_FIELD(number)] + start + k * FASTBP_LANES, value);

/* Run a segment on some vectors from element `start` on; return where the code goes on. */
FASTBP_INLINE const double *fastbp_chain_strip(const double *code, fastbp_real *const *at, const fastbp_real *constant,
                                               intptr_t start, const int vectors) {
    fastbp_vec v[FASTBP_CHAIN_STRIP];
    FASTBP_UNROLL(k, vectors) v[k] = (fastbp_vec){0};
    for (;;) {
        const uint32_t instruction = (uint32_t)(int64_t)*code++;
        switch (instruction & 255) {
        case FASTBP_CHAIN_END: return code;
        case FASTBP_CHAIN_LAST:
            FASTBP_UNROLL(k, vectors) FASTBP_TO(0, v[k])
            return code;
        case FASTBP_CHAIN_STORE:
            FASTBP_UNROLL(k, vectors) FASTBP_TO(0, v[k])
            break;
        FASTBP_CHAIN_CASES
        default: __builtin_unreachable();
        }
    }
}

typedef const double *(*fastbp_chain_run)(const double *, fastbp_real *const *, const fastbp_real *, intptr_t, intptr_t);

#define FASTBP_CHAIN_STRIPS(name, vectors) \
    static __attribute__((noinline)) const double *fastbp_chain_##name( \
        const double *code, fastbp_real *const *at, const fastbp_real *constant, intptr_t start, intptr_t stop \
    ) { \
        const double *end = code; \
        for (; start < stop; start += (vectors) * FASTBP_LANES) \
            end = fastbp_chain_strip(code, at, constant, start, vectors); \
        return end; \
    }
FASTBP_CHAIN_STRIPS(strips, FASTBP_CHAIN_STRIP)
FASTBP_CHAIN_STRIPS(short_strips, FASTBP_CHAIN_SHORT)

/* The same where the segment is one operation, whose loop is here. */
static __attribute__((noinline)) const double *fastbp_chain_alone(
    const double *code, fastbp_real *const *restrict at, const fastbp_real *restrict constant, intptr_t start, intptr_t stop
) {
    const uint32_t instruction = (uint32_t)(int64_t)*code++;
    switch (instruction & 255) {
    FASTBP_ALONE_CASES
    default: __builtin_unreachable();
    }
    return code;
}

/* Run a segment on n elements, at least a short strip; the last strip begins where it ends with them. */
static const double *fastbp_chain_segment(const double *code, fastbp_real *const *at, const fastbp_real *constant,
                                          intptr_t n) {
    const int alone = ((int64_t)*code & 255) >= FASTBP_CHAIN_ALONE, few = n < FASTBP_CHAIN_STRIP * FASTBP_LANES;
    const intptr_t strip = (alone || few ? FASTBP_CHAIN_SHORT : FASTBP_CHAIN_STRIP) * FASTBP_LANES;
    const fastbp_chain_run run = alone ? fastbp_chain_alone : few ? fastbp_chain_short_strips : fastbp_chain_strips;
    if (n & (strip - 1)) run(code, at, constant, n - strip, n);
    return run(code, at, constant, 0, n & -strip);
}

/* how many of `left` elements a vector has */
FASTBP_INLINE int fastbp_chain_lanes(intptr_t left) { return left < 0 ? 0 : left < FASTBP_LANES ? left : FASTBP_LANES; }

static int fastbp_chain(fastbp_real *const *buffers, const intptr_t *sizes, const double *attributes,
                        const fastbp_primitive *primitives) {
    const int inputs = (int)attributes[1], outputs = (int)attributes[2], constants = (int)attributes[3];
    const int registers = (int)attributes[4], counts = (int)attributes[6], share = (int)attributes[7];
    const double *code = attributes + 8 + constants, *own = attributes + (intptr_t)attributes[0];
    const intptr_t n = sizes[0], block = (intptr_t)attributes[5], least = FASTBP_CHAIN_SHORT * FASTBP_LANES;
    const double divisor = counts && own[0] != 0 ? (double)n : 1;
    fastbp_real memory[FASTBP_CHAIN_ROOM], few[FASTBP_CHAIN_REGISTERS][FASTBP_CHAIN_SHORT * FASTBP_LANES];
    fastbp_real *at[FASTBP_CHAIN_REGISTERS], constant[FASTBP_CHAIN_CONSTANTS];
    const intptr_t steps[] = {sizeof(fastbp_real), sizeof(fastbp_real)};
    for (int k = 0; k < constants; k++) constant[k] = (fastbp_real)(k == share ? 1 / divisor : attributes[8 + k]);
    for (int k = 0; k < registers; k++) at[inputs + outputs + k] = memory + k * block;
    for (intptr_t start = 0; start < n; start += block) {
        const intptr_t count = n - start < block ? n - start : block;
        for (int k = 0; k < inputs + outputs; k++) at[k] = buffers[k] + start;
        if (count < least) /* a strip would read and write beyond them */
            for (int k = 0; k < inputs + outputs; k++) {
                for (int l = 0; l < least && k < inputs; l += FASTBP_LANES)
                    fastbp_store(few[k] + l, fastbp_load_lanes(at[k] + l, fastbp_chain_lanes(count - l)));
                at[k] = few[k];
            }
        for (const double *next = code;;) {
            next = fastbp_chain_segment(next, at, constant, count < least ? least : count);
            const uint32_t instruction = (uint32_t)(int64_t)*next++;
            if (!instruction) break;
            const fastbp_primitive *function = primitives + (instruction & 255);
            char *args[] = {(char *)at[FASTBP_FIELD(0)], (char *)at[FASTBP_FIELD(1)]};
            function->loop(args, &count, steps, function->data);
        }
        if (count < least)
            for (int k = inputs; k < inputs + outputs; k++)
                for (int l = 0; l < count; l += FASTBP_LANES)
                    fastbp_store_lanes(buffers[k] + start + l, fastbp_load(few[k] + l), fastbp_chain_lanes(count - l));
    }
    if (counts == 2) {
        char *args[] = {(char *)buffers[inputs], (char *)buffers[inputs + outputs]};
        const intptr_t dimensions[] = {1, n};
        primitives[FASTBP_SUM].loop(args, dimensions, steps, primitives[FASTBP_SUM].data);
        *buffers[inputs + outputs] /= (fastbp_real)divisor;
    }
    return FASTBP_OK;
}

#endif
