# cython: language_level=3
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdint cimport intptr_t

from fastbp.kernels import primitives_address
from fastbp.kernels.cython_ext import capsules

cdef extern from "abi.h" nogil:
    ctypedef struct fastbp_primitive:
        pass
    ctypedef int (*fastbp_kernel)(void **, const intptr_t *, const double *, const fastbp_primitive *)

cdef fastbp_kernel kernel(name):
    capsule = capsules("float32")[name]
    return <fastbp_kernel>PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))

cdef fastbp_kernel dense = kernel("dense"), softmax = kernel("softmax_forward")
cdef const fastbp_primitive *primitives = <const fastbp_primitive *><intptr_t>primitives_address("float32")


def forward(float[:, ::1] x, float[:, ::1] w, float[::1] b, float[:, ::1] y):
    """Write softmax(x @ w + b) into y."""
    cdef intptr_t batch = x.shape[0], k = x.shape[1], n = w.shape[1]
    if 0 in (batch, k, n) or (w.shape[0], b.shape[0], y.shape[0], y.shape[1]) != (k, n, batch, n):
        raise ValueError("the shapes do not fit")
    cdef void **operands = [&x[0, 0], &w[0, 0], &b[0], &y[0, 0]]
    cdef void **in_place = [&y[0, 0], &y[0, 0]]
    with nogil:
        dense(operands, [batch, k, n], [0.0], primitives)  # [0.0]: its attribute relu
        softmax(in_place, [batch, n], NULL, primitives)
