# What every family of kernels shares. `real` and `square_root` come from the stub that includes this
# file: setup.py makes one extension module for each dtype and CPU level, all from the same source.

from libc.math cimport INFINITY, fabs
from libc.stdint cimport int64_t, intptr_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "abi.h":
    ctypedef void (*fastbp_loop)(char **, const intptr_t *, const intptr_t *, void *) noexcept nogil
    ctypedef struct fastbp_primitive:
        fastbp_loop loop
        void *data

cdef extern from "cython_ext/rows.h" nogil:
    void fastbp_subtract_max(const real *x, real *z, intptr_t rows, intptr_t n)
    void fastbp_divide_rows(real *e, const real *s, intptr_t rows, intptr_t n)
    void fastbp_add_rows(const real *x, intptr_t stride, real *s, intptr_t rows, intptr_t n)
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

cdef enum:
    BLOCK = 1024  # elements that stay in the L1 cache from one pass to the next


cdef inline void unary(
    const fastbp_primitive *primitives, int index, const real *x, real *y, intptr_t n
) noexcept nogil:
    cdef char *args[2]
    cdef intptr_t steps[2]
    args[0] = <char *>x
    args[1] = <char *>y
    steps[0] = steps[1] = sizeof(real)
    primitives[index].loop(args, &n, steps, primitives[index].data)


cdef inline void sum_rows(
    const fastbp_primitive *primitives, const real *x, real *y, intptr_t rows, intptr_t n
) noexcept nogil:
    # y[rows] = the sum of each row of x[rows, n]
    cdef char *args[2]
    cdef intptr_t dimensions[2]
    cdef intptr_t steps[2]
    args[0] = <char *>x
    args[1] = <char *>y
    dimensions[0] = rows
    dimensions[1] = n
    steps[0] = n * sizeof(real)
    steps[1] = sizeof(real)
    primitives[FASTBP_SUM].loop(args, dimensions, steps, primitives[FASTBP_SUM].data)


cdef inline real total(const fastbp_primitive *primitives, const real *x, intptr_t n) noexcept nogil:
    cdef real s
    sum_rows(primitives, x, &s, 1, n)
    return s


cdef inline void sum_first_columns(
    const fastbp_primitive *primitives, const real *x, real *s, intptr_t rows, intptr_t n, intptr_t columns
) noexcept nogil:
    # s = the sum of all rows, for the first `columns` of n columns
    if n == 1:
        # a single column is contiguous: NumPy sums it pairwise
        s[0] = total(primitives, x, rows)
    else:
        fastbp_add_rows(x, n, s, rows, columns)


cdef inline void sum_columns(
    const fastbp_primitive *primitives, const real *x, real *s, intptr_t rows, intptr_t n
) noexcept nogil:
    # s[n] = the sum of all rows
    sum_first_columns(primitives, x, s, rows, n, n)


cdef inline real below_one(double eps) noexcept nogil:
    # min(1 - eps, the number below 1)
    cdef real below = 1 - (5.9604644775390625e-08 if sizeof(real) == 4 else 1.1102230246251565e-16)
    cdef real bound = <real>(1 - eps)
    return bound if bound < below else below


cdef inline real clip(real p, real lower, real upper) noexcept nogil:
    p = lower if p <= lower else p  # NaN stays
    return upper if p >= upper else p
