/* Kernels that are data: the operations of a user's own function, run by an accumulator machine. What the
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
#define FASTBP_STORED_1(value, A) FASTBP_CHAIN_1(value, A) FASTBP_UNROLL(k, vectors) FASTBP_TO(1, v[k])
#define FASTBP_STORED_2(value, A, B) FASTBP_CHAIN_2(value, A, B) FASTBP_UNROLL(k, vectors) FASTBP_TO(2, v[k])
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
        case FASTBP_CHAIN_LAST:
            FASTBP_UNROLL(k, vectors) FASTBP_TO(0, v[k])
            return code;
        case FASTBP_CHAIN_STORE:
            FASTBP_UNROLL(k, vectors) FASTBP_TO(0, v[k])
            break;
        FASTBP_CHAIN_CASES
        FASTBP_STORED_CASES
        default: __builtin_unreachable();
        }
    }
}

typedef const double *(*fastbp_chain_run)(const double *, fastbp_real *const *, const fastbp_real *, intptr_t,
                                          intptr_t);

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
    const double *code, fastbp_real *const *restrict at, const fastbp_real *restrict constant, intptr_t start,
    intptr_t stop
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

static void fastbp_chain_sum(const fastbp_primitive *primitives, fastbp_real *x, fastbp_real *y, intptr_t n) {
    char *args[] = {(char *)x, (char *)y};
    const intptr_t dimensions[] = {1, n}, steps[] = {n * FASTBP_ITEM, FASTBP_ITEM};
    primitives[FASTBP_SUM].loop(args, dimensions, steps, primitives[FASTBP_SUM].data);
}

/* but for the sign of a zero numpy.max, which has no value for nothing */
static fastbp_real fastbp_chain_max(const fastbp_real *x, intptr_t n) {
    fastbp_real most = -(fastbp_real)INFINITY;
    for (intptr_t i = 0; i < n; i++) most = x[i] > most || x[i] != x[i] ? x[i] : most;
    return most;
}

/* A loop over a few registers: of one that it sees through gcc makes vector code, which costs more than the work. */
#define FASTBP_FEW(k, first, stop) for (intptr_t k = first; k < (stop); k = fastbp_chain_after(k))
FASTBP_INLINE intptr_t fastbp_chain_after(intptr_t k) {
    k++;
    __asm__("" : "+r"(k));
    return k;
}

/* how many of `left` elements a vector has */
FASTBP_INLINE int fastbp_chain_lanes(intptr_t left) { return left < 0 ? 0 : left < FASTBP_LANES ? left : FASTBP_LANES; }

typedef struct {
    const fastbp_primitive *primitives;
    fastbp_real *at[FASTBP_CHAIN_REGISTERS], *row_at[FASTBP_CHAIN_ROWS];
    fastbp_real row[FASTBP_CHAIN_ROWS][FASTBP_CHAIN_SHORT * FASTBP_LANES]; /* the first of each counts */
    fastbp_real constant[FASTBP_CHAIN_CONSTANTS], *of_rows;                /* these stand behind the constants */
    intptr_t row_registers;
} fastbp_chain_state;

/* Run all code on a block, or a row, of n elements; at least a short strip of them can be read and written. */
static void fastbp_chain_block(fastbp_chain_state *s, const double *code, intptr_t n) {
    const intptr_t least = FASTBP_CHAIN_SHORT * FASTBP_LANES, steps[] = {FASTBP_ITEM, FASTBP_ITEM, FASTBP_ITEM};
    for (;;) {
        const uint32_t instruction = (uint32_t)(int64_t)*code++, call = instruction & (FASTBP_CHAIN_OF_ROW - 1);
        fastbp_real *const *at = instruction & FASTBP_CHAIN_OF_ROW ? s->row_at : s->at;
        fastbp_real *const x = at[FASTBP_FIELD(0)];
        switch (call) {
        case 0: return;
        case FASTBP_CHAIN_FULL:
            code = fastbp_chain_segment(code, s->at, s->constant, n < least ? least : n);
            continue;
        case FASTBP_CHAIN_ROW: code = fastbp_chain_short_strips(code, s->row_at, s->constant, 0, least); break;
        case FASTBP_CHAIN_ROW_MAX: *s->row[FASTBP_FIELD(1)] = fastbp_chain_max(x, n); break;
        case FASTBP_SUM: fastbp_chain_sum(s->primitives, x, s->row[FASTBP_FIELD(1)], n); break;
        default: {
            char *args[] = {(char *)x, (char *)at[FASTBP_FIELD(1)], (char *)at[FASTBP_FIELD(2)]};
            const intptr_t length = at == s->row_at ? 1 : n;
            s->primitives[call].loop(args, &length, steps, s->primitives[call].data);
        }
        }
        FASTBP_FEW(k, 0, s->row_registers) s->of_rows[k] = s->row[k][0];
    }
}

static int fastbp_chain(fastbp_real *const *buffers, const intptr_t *sizes, const double *attributes,
                        const fastbp_primitive *primitives) {
#define FASTBP_AT(name) (intptr_t)attributes[FASTBP_CHAIN_AT_##name]
    const intptr_t inputs = FASTBP_AT(INPUTS), operands = inputs + FASTBP_AT(OUTPUTS), by_rows = FASTBP_AT(BY_ROWS);
    const intptr_t constants = FASTBP_AT(CONSTANTS), registers = operands + FASTBP_AT(REGISTERS);
    const intptr_t row_inputs = FASTBP_AT(ROW_INPUTS), row_outputs = FASTBP_AT(ROW_OUTPUTS);
    const intptr_t counted = FASTBP_AT(COUNTED), total = FASTBP_AT(TOTAL);
    const intptr_t share = FASTBP_AT(SHARE), columns = FASTBP_AT(COLUMNS), least = FASTBP_CHAIN_SHORT * FASTBP_LANES;
    const intptr_t n = by_rows ? sizes[1] : sizes[0], block = by_rows ? n : FASTBP_AT(BLOCK) * (8 / FASTBP_ITEM);
    const double *values = attributes + FASTBP_CHAIN_HEAD, *own = attributes + (intptr_t)attributes[0];
    const intptr_t summed = counted == 1 && by_rows ? sizes[0] * n : sizes[0];
    const double divisor = counted && own[0] != 0 ? (double)summed : 1;
    fastbp_real memory[FASTBP_CHAIN_ROOM * (8 / FASTBP_ITEM)];
    fastbp_real few[FASTBP_CHAIN_REGISTERS][FASTBP_CHAIN_SHORT * FASTBP_LANES];
    fastbp_real *const *const made = buffers + row_inputs; /* by these numbers what stands behind all inputs */
    fastbp_chain_state s;
    s.primitives = primitives;
    s.of_rows = s.constant + constants;
    s.row_registers = FASTBP_AT(ROW_REGISTERS);
#undef FASTBP_AT
    FASTBP_FEW(k, 0, constants)
        s.constant[k] = (fastbp_real)(k == share ? 1 / divisor : k == columns ? (double)n : values[k]);
    FASTBP_FEW(k, 0, s.row_registers) s.row_at[k] = memset(s.row[k], 0, sizeof s.row[k]);
    if (!by_rows) FASTBP_FEW(k, operands, registers) s.at[k] = memory + (k - operands) * block;
    for (intptr_t i = 0, start = 0; by_rows ? i < sizes[0] : start < n; i++, start += block) {
        const intptr_t count = by_rows || n - start > block ? block : n - start;
        FASTBP_FEW(k, 0, inputs) s.at[k] = buffers[k] + start;
        FASTBP_FEW(k, inputs, operands) s.at[k] = made[k] + start;
        if (by_rows) FASTBP_FEW(k, operands, registers) s.at[k] = made[k + row_outputs + total] + start;
        FASTBP_FEW(k, 0, row_inputs) s.of_rows[k] = s.row[k][0] = buffers[inputs + k][i];
        if (count < least) /* a strip would read and write beyond them */
            FASTBP_FEW(k, 0, registers) {
                for (int l = 0; l < least && k < inputs; l += FASTBP_LANES)
                    fastbp_store(few[k] + l, fastbp_load_lanes(s.at[k] + l, fastbp_chain_lanes(count - l)));
                s.at[k] = few[k];
            }
        fastbp_chain_block(&s, values + constants, count);
        if (count < least)
            FASTBP_FEW(k, inputs, operands)
                for (int l = 0; l < count; l += FASTBP_LANES)
                    fastbp_store_lanes(made[k] + start + l, fastbp_load(few[k] + l), fastbp_chain_lanes(count - l));
        FASTBP_FEW(k, 0, row_outputs) made[operands + k][i] = s.row[row_inputs + k][0];
    }
    if (total) {
        fastbp_real *const loss = made[operands + row_outputs];
        fastbp_chain_sum(primitives, made[inputs], loss, summed);
        *loss /= (fastbp_real)divisor;
    }
    return FASTBP_OK;
}

#endif
