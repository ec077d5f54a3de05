# cython: language_level=3
"""Draws of `draws.py`, compiled."""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int64_t, intptr_t, uint32_t, uint64_t

cimport numpy as cnp

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #define FASTBP_ITEM 8
    """

cdef extern from "numpy/random/bitgen.h":
    ctypedef struct bitgen_t:
        void *state
        uint32_t (*next_uint32)(void *) noexcept nogil

cdef extern from "draws.h" nogil:
    ctypedef struct fastbp_stream:
        pass
    ctypedef struct fastbp_ziggurat:
        double tail, inverse
        const double *widths
        const double *heights
        const uint64_t *limits
    void fastbp_uniform(uint64_t *state, double *u, intptr_t n)
    uint32_t fastbp_next32(void *stream) noexcept
    void fastbp_permutation(int64_t *order, intptr_t n, uint32_t (*next32)(void *) noexcept nogil, void *state)
    void fastbp_seed(fastbp_stream *stream, const unsigned char *seed, intptr_t n)
    void fastbp_normals(uint64_t *state, double *z, intptr_t n, const fastbp_ziggurat *tables)

cdef extern from "fpcontrol.h" nogil:
    ctypedef uint64_t fastbp_control
    enum:
        FASTBP_IEEE
    fastbp_control fastbp_set_control(fastbp_control control)

cdef enum:
    WORDS = 6


cdef int read_state(bits, uint64_t *words) except -1:
    state = bits.state
    numbers = state["state"]
    s, inc = numbers["state"], numbers["inc"]
    words[0], words[1] = s >> 64, s & 0xffffffffffffffff
    words[2], words[3] = inc >> 64, inc & 0xffffffffffffffff
    words[4], words[5] = state["has_uint32"], state["uinteger"]
    return 0


cdef int write_state(bits, const uint64_t *words) except -1:
    numbers = {"state": <object>words[0] << 64 | words[1], "inc": <object>words[2] << 64 | words[3]}
    bits.state = {"bit_generator": "PCG64", "state": numbers, "has_uint32": words[4], "uinteger": words[5]}
    return 0


def random(bits, intptr_t n):
    """Return n numbers in [0, 1) from a `numpy.random.PCG64`."""
    cdef uint64_t state[WORDS]
    cdef cnp.ndarray u = np.empty(n)
    with bits.lock:
        read_state(bits, state)
        with nogil:
            fastbp_uniform(state, <double *>cnp.PyArray_DATA(u), n)
        write_state(bits, state)
    return u


cdef cnp.ndarray order_of(n):
    if not 0 <= n <= 1 << 32:
        raise ValueError(f"n is {n}; it must be in 0 .. 2**32")
    cdef cnp.npy_intp length = n
    return cnp.PyArray_EMPTY(1, &length, cnp.NPY_INT64, 0)


def permutation(bits, n):
    """Return a permutation of 0 .. n - 1 from a `numpy.random.PCG64`; n is at most 2**32."""
    cdef cnp.ndarray order = order_of(n)
    cdef bitgen_t *g = <bitgen_t *>PyCapsule_GetPointer(bits.capsule, "BitGenerator")
    with bits.lock, nogil:
        fastbp_permutation(<int64_t *>cnp.PyArray_DATA(order), cnp.PyArray_SIZE(order), g.next_uint32, g.state)
    return order


cdef class Stream:
    """The permutations of ``PortableGenerator(numpy.random.PCG64(seed))``, which takes ten times as long to make.

    Parameters
    ----------
    seed : int
        At least 0.
    """

    cdef fastbp_stream stream

    def __init__(self, seed):
        cdef bytes words = seed.to_bytes((seed.bit_length() + 31) // 32 * 4, "little")
        fastbp_seed(&self.stream, words, len(words) // 4)

    def permutation(self, n):
        """Return the next permutation of 0 .. n - 1; n is at most 2**32. One thread at a time may draw."""
        cdef cnp.ndarray order = order_of(n)
        with nogil:
            fastbp_permutation(
                <int64_t *>cnp.PyArray_DATA(order), cnp.PyArray_SIZE(order), fastbp_next32, &self.stream)
        return order


def standard_normal(bits, intptr_t n):
    """Return n normal numbers from a `numpy.random.PCG64`."""
    from . import ziggurat as t
    cdef uint64_t state[WORDS]
    cdef fastbp_ziggurat tables
    cdef fastbp_control found
    cdef cnp.ndarray widths = t.WIDTHS, heights = t.HEIGHTS, limits = t.LIMITS, z = np.empty(n)
    tables.tail, tables.inverse = t.TAIL, t.INVERSE
    tables.widths, tables.heights = <double *>cnp.PyArray_DATA(widths), <double *>cnp.PyArray_DATA(heights)
    tables.limits = <uint64_t *>cnp.PyArray_DATA(limits)
    with bits.lock:
        read_state(bits, state)
        with nogil:
            found = fastbp_set_control(FASTBP_IEEE)
            fastbp_normals(state, <double *>cnp.PyArray_DATA(z), n, &tables)
            fastbp_set_control(found)
        write_state(bits, state)
    return z
