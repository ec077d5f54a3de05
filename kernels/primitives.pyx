# cython: language_level=3
"""The primitives of numerics "numpy": NumPy's own inner loops, found through its public ufunc objects.

A compiled kernel obtains exp, log, tanh, matmul and long sums by calling the very loops that NumPy
calls, so that its bits are NumPy's in the same process. `check` proves that on a few arrays.
"""

from libc.stdint cimport intptr_t
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer

import numpy as np

from .arrays import same_bits
from .dtypes import REALS
from .operations import ELEMENTARY, NUMBERS

cdef extern from *:
    """
    #define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
    #define NPY_TARGET_VERSION NPY_2_0_API_VERSION
    #include <Python.h>
    #include "numpy/ndarraytypes.h"
    #include "numpy/ufuncobject.h"
    #include "abi.h"
    #include "cpu.h"
    """
    ctypedef void (*fastbp_loop)(char **, const intptr_t *, const intptr_t *, void *) noexcept nogil
    ctypedef struct fastbp_primitive:
        fastbp_loop loop
        void *data
    enum:
        FASTBP_MATMUL, FASTBP_SUM, FASTBP_PRIMITIVES
    ctypedef struct PyUFuncObject:
        int nin, nout, ntypes
        const char *types
        fastbp_loop *functions
        void **data
    ctypedef int (*fastbp_kernel)(void **, const intptr_t *, const double *, const fastbp_primitive *) noexcept nogil
    int fastbp_cpu_level() nogil

cdef extern from "fpcontrol.h" nogil:
    ctypedef unsigned long long fastbp_control
    enum:
        FASTBP_IEEE
    fastbp_control fastbp_set_control(fastbp_control control)


cdef struct reduction:
    fastbp_primitive inner
    intptr_t chunk


cdef fastbp_primitive _table[2][FASTBP_PRIMITIVES]
cdef reduction _sum[2]
_PLACES = {name: k for k, name in enumerate(REALS)}

ctypedef const fastbp_primitive *(*portable_primitives)() noexcept
ctypedef void (*complete_primitives)(fastbp_primitive *) noexcept


ctypedef fused real:
    float
    double


cdef inline real short_sum(const real *x, intptr_t n) noexcept nogil:
    cdef real s = x[0]
    cdef intptr_t j
    for j in range(1, n):
        s += x[j]
    return s


cdef void _sum_rows(char **args, const intptr_t *dimensions, const intptr_t *steps, void *data) noexcept nogil:
    # numpy.add.reduce over contiguous rows: from +0, in the portions in which NumPy feeds its loop
    cdef reduction *r = <reduction *>data
    cdef intptr_t i, start, n = dimensions[1]
    cdef bint single = r == &_sum[0]
    cdef intptr_t item = 4 if single else 8
    cdef intptr_t strides[3]
    cdef intptr_t count
    cdef char *operands[3]
    cdef char *row = args[0]
    cdef char *out = args[1]
    strides[0] = 0; strides[1] = item; strides[2] = 0
    for i in range(dimensions[0]):
        if 0 < n < 8:
            # too short for NumPy's pairwise sum to split: one element after the other, then + 0
            if single:
                (<float *>out)[0] = 0 + short_sum[float](<float *>row, n)
            else:
                (<double *>out)[0] = 0 + short_sum[double](<double *>row, n)
            row += steps[0]
            out += steps[1]
            continue
        if single:
            (<float *>out)[0] = 0
        else:
            (<double *>out)[0] = 0
        start = 0
        while start < n:
            count = n - start if n - start < r.chunk else r.chunk
            # anew each time: a loop may move its pointers
            operands[0] = out; operands[1] = row + start * item; operands[2] = out
            r.inner.loop(operands, &count, strides, r.inner.data)
            start += count
        row += steps[0]
        out += steps[1]


cdef fastbp_primitive _find(ufunc, int typenum) except *:
    """Return the loop of `ufunc` whose operands are all of one type."""
    if not isinstance(ufunc, np.ufunc):
        raise TypeError(f"{ufunc!r} is not a NumPy ufunc")
    cdef PyUFuncObject *u = <PyUFuncObject *><void *>ufunc
    cdef fastbp_primitive found
    cdef int i, j, nargs = u.nin + u.nout
    for i in range(u.ntypes):
        for j in range(nargs):
            if u.types[i * nargs + j] != typenum:
                break
        else:
            found.loop = u.functions[i]
            found.data = u.data[i] if u.data is not NULL else NULL
            return found
    raise RuntimeError(f"numpy.{ufunc.__name__} has no loop for type number {typenum} in NumPy {np.__version__}")


def _fill():
    cdef int k, typenum
    # before 2.3 NumPy feeds its reduction loops through a buffer of 8192 elements
    cdef intptr_t chunk = 8192 if np.lib.NumpyVersion(np.__version__) < "2.3.0" else <intptr_t>(<size_t>-1 >> 1)
    for name, k in _PLACES.items():
        typenum = np.dtype(name).num
        for f in ELEMENTARY:
            if f.ufunc:
                _table[k][<int>NUMBERS[f.name]] = _find(getattr(np, f.ufunc), typenum)
        _table[k][FASTBP_MATMUL] = _find(np.matmul, typenum)
        _sum[k].inner = _find(np.add, typenum)
        _sum[k].chunk = chunk
        _table[k][FASTBP_SUM].loop = _sum_rows
        _table[k][FASTBP_SUM].data = &_sum[k]


_fill()


def address(str dtype):
    """Return the address of the primitives for "float32" or "float64"."""
    return <intptr_t>&_table[<int>_PLACES[dtype]][0]


def complete(str dtype, capsule):
    """Fill in what NumPy has no loop for, by a module's function ``complete_primitives``."""
    (<complete_primitives>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)))(&_table[<int>_PLACES[dtype]][0])


def cpu_level():
    """Return the x86-64 level of this CPU (1 to 4), or 0 on other architectures."""
    return fastbp_cpu_level()


def capsule_address(capsule):
    """Return the address of the kernel that a capsule holds."""
    return <intptr_t>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


def portable_address(capsule):
    """Return the address of a module's portable primitives, by its function ``portable_primitives``."""
    return <intptr_t>(<portable_primitives>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule)))()


cdef bint _is_portable(const fastbp_primitive *table) noexcept nogil:
    # for other primitives than NumPy's a call rounds to nearest and keeps subnormals, whatever is found
    return table != &_table[0][0] and table != &_table[1][0]


def call(kernel, primitives, addresses, sizes, attributes):
    """Call one kernel, without the GIL; return its status.

    Parameters
    ----------
    kernel, primitives : int
        Addresses.
    addresses, sizes, attributes : sequence of int, of int, of float
        As in ``abi.h``.
    """
    cdef void *buffers[16]
    cdef intptr_t lengths[16]
    cdef double values[1024]
    cdef fastbp_kernel function = <fastbp_kernel><intptr_t>kernel
    cdef const fastbp_primitive *table = <const fastbp_primitive *><intptr_t>primitives
    cdef fastbp_control found = FASTBP_IEEE
    cdef int i, status
    if max(len(addresses), len(sizes)) > 16 or len(attributes) > 1024:
        raise ValueError("a kernel has at most 16 buffers, 16 sizes and 1024 attributes")
    for i, value in enumerate(addresses):
        buffers[i] = <void *><intptr_t>value
    for i, value in enumerate(sizes):
        lengths[i] = value
    for i, value in enumerate(attributes):
        values[i] = value
    with nogil:
        if _is_portable(table):
            found = fastbp_set_control(FASTBP_IEEE)
        status = function(buffers, lengths, values, table)
        if _is_portable(table):
            fastbp_set_control(found)
    return status


def evaluate(table, name, *inputs, out=None):
    """Call one primitive on arrays; return the result.

    Parameters
    ----------
    table : int
        The address of primitives for the arrays' dtype.
    name : str
        An elementary function of an array, "pow" of two of one length; "sum" of the rows of a matrix, "matmul" of two.
    *inputs : ndarray
        Of one dtype; contiguous, but for the operands of a matmul.
    out : ndarray, optional
        Where to put it; for an elementary function it may be an input.

    Returns
    -------
    ndarray
    """
    cdef const fastbp_primitive *primitives = <const fastbp_primitive *><intptr_t>table
    cdef char *args[3]
    cdef intptr_t n[4]
    cdef intptr_t steps[9]
    cdef fastbp_control found = FASTBP_IEEE
    cdef int i, index = NUMBERS[name]
    x = inputs[0]
    if index == FASTBP_SUM:
        y = np.empty(len(x), x.dtype) if out is None else out
        n[0], n[1] = x.shape
        steps[0], steps[1] = x.strides[0], x.itemsize
    elif index == FASTBP_MATMUL:
        y = np.empty((x.shape[0], inputs[1].shape[1]), x.dtype) if out is None else out
        n[0], n[1], n[2], n[3] = 1, x.shape[0], x.shape[1], inputs[1].shape[1]
        for i, operand in enumerate((*inputs, y)):
            steps[i] = 0
            steps[3 + 2 * i], steps[4 + 2 * i] = operand.strides
    else:
        y = np.empty_like(x) if out is None else out
        n[0] = x.size
        steps[0] = steps[1] = steps[2] = x.itemsize
    if primitives[index].loop is NULL:
        raise NotImplementedError(f"these primitives have no {name}")
    for i, operand in enumerate((*inputs, y)):
        args[i] = <char *><intptr_t>operand.ctypes.data
    with nogil:
        if _is_portable(primitives):
            found = fastbp_set_control(FASTBP_IEEE)
        primitives[index].loop(args, n, steps, primitives[index].data)
        if _is_portable(primitives):
            fastbp_set_control(found)
    return y


def check(str dtype):
    """Prove on a few arrays of "float32" or "float64" that the primitives return NumPy's bits.

    Raises
    ------
    RuntimeError
        Where one does not: it names the function, the dtype and the NumPy version.
    """
    table = address(dtype)
    # no numpy.random here: its import alone would cost more than the check
    ramp = np.arange(8500, dtype=dtype)
    with np.errstate(all="ignore"):
        x = (ramp * 37 % 1009 - 503) / 29
        for f in ELEMENTARY:
            if f.ufunc:
                for n in (1, 1013):
                    parts = [x[k * n:(k + 1) * n] for k in range(f.operands)]
                    _same(f.ufunc, evaluate(table, f.name, *parts), getattr(np, f.ufunc)(*parts))
        for rows, n in ((7, 3), (9, 7), (5, 200), (1, 8500)):
            part = np.ascontiguousarray(x[:rows * n].reshape(rows, n))
            _same("sum", evaluate(table, "sum", part), part.sum(axis=1))
        for m, j, n in ((1, 5, 3), (8, 19, 6)):
            a, b = x[:m * j].reshape(m, j), x[j:j + j * n].reshape(j, n)
            _same("matmul", evaluate(table, "matmul", a, b), a @ b)
            a, b = x[:m * j].reshape(j, m).T, x[j:j + j * n].reshape(n, j).T
            _same("matmul", evaluate(table, "matmul", a, b), a @ b)


def _same(name, ours, numpys):
    if not same_bits(ours, numpys):
        raise RuntimeError(
            f"fastbp's call of NumPy's {name} loop does not return NumPy's bits ({ours.dtype}, NumPy {np.__version__}); "
            "backend='numpy' works all the same, please report this"
        )
