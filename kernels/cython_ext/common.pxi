# What every family of kernels shares. `real` comes from the stub that includes this file: setup.py makes one extension
# module for each dtype and CPU level, all from the same source.

from libc.math cimport INFINITY
from libc.stdint cimport int64_t, intptr_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "abi.h":
    ctypedef void (*fastbp_loop)(char **, const intptr_t *, const intptr_t *, void *) noexcept nogil
    ctypedef struct fastbp_primitive:
        fastbp_loop loop
        void *data

cdef extern from "cython_ext/helpers.h" nogil:
    enum:
        BLOCK "FASTBP_BLOCK"
    real square_root "fastbp_square_root"(real x)
    void unary "fastbp_unary"(const fastbp_primitive *primitives, int index, const real *x, real *y, intptr_t n)
    void sum_rows "fastbp_sum_rows"(const fastbp_primitive *primitives, const real *x, real *y, intptr_t rows, intptr_t n)
    real total "fastbp_total"(const fastbp_primitive *primitives, const real *x, intptr_t n)
    void sum_columns "fastbp_sum_columns"(
        const fastbp_primitive *primitives, const real *x, real *s, intptr_t rows, intptr_t n, intptr_t columns
    )
    intptr_t rows_per_block "fastbp_rows_per_block"(intptr_t rows, intptr_t n)
    real below_one "fastbp_below_one"(double eps)
    real clip "fastbp_clip"(real p, real lower, real upper)
    void subtract_max "fastbp_subtract_max"(const real *x, real *z, intptr_t rows, intptr_t n)
    void divide_rows "fastbp_divide_rows"(real *e, const real *s, intptr_t rows, intptr_t n)
    void add_bias "fastbp_add_bias"(real *y, const real *b, intptr_t rows, intptr_t n, bint relu)
    bint gather_rows "fastbp_gather_rows"(
        const real *x, const int64_t *index, real *y, intptr_t rows, intptr_t n, intptr_t batch
    )
    real fastbp_next_above(const real *x, real bound, intptr_t n)
    # around the body of a loop over elements: of Cython's own nobody can say that no element depends on another
    void each "FASTBP_EACH"(intptr_t *i, intptr_t start, intptr_t stop)
    void end "FASTBP_END"()

cdef extern from *:
    # a bare 1 would become the double 1.0 and widen float32 arithmetic
    """
    #define ONE 1.0f
    """
    const float ONE
