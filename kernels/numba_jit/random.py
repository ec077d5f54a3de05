"""Random numbers; what is made of them is written from the table (kernels/codegen/)."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .common import OK, helper, itemsize, real, words

HIGH, LOW = np.uint64(0x2360ED051FC65DA4), np.uint64(0x4385DF649FCCF645)


@intrinsic
def multiply_high(typingctx, a, b):
    """Return the upper half of the product of two words."""

    def codegen(context, builder, signature, values):
        wide = ir.IntType(128)
        a, b = (builder.zext(value, wide) for value in values)
        return builder.trunc(builder.lshr(builder.mul(a, b), ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), codegen


@helper
def next64(high, low, inc_high, inc_low):
    # PCG64: the word, and the two halves of the next state
    product = low * LOW
    high = multiply_high(low, LOW) + high * LOW + low * HIGH + inc_high
    low = product + inc_low
    high += np.uint64(low < product)
    mixed, turn = high ^ low, high >> np.uint64(58)
    return mixed >> turn | mixed << ((np.uint64(64) - turn) & np.uint64(63)), high, low


@helper
def fraction(like, word, bits, scale):
    # its upper bits as a number in [0, 1)
    return real(like, np.int64(word >> np.uint64(64 - bits))) * real(like, scale)


def uniform(buffers, sizes, attributes, primitives):
    state, u, n = words(buffers[1]), buffers[2], sizes[0]
    high, low, inc_high, inc_low = state[0], state[1], state[2], state[3]
    i = 0
    if itemsize(u) == 4:
        word = state[5] << np.uint64(32)
        if n > 0 and state[4] != 0:
            u[0] = fraction(u, word, 24, 2.0**-24)
            state[4] = 0
            i = 1
        while i < n:
            word, high, low = next64(high, low, inc_high, inc_low)
            u[i] = fraction(u, word << np.uint64(32), 24, 2.0**-24)
            if i + 1 < n:
                u[i + 1] = fraction(u, word, 24, 2.0**-24)
            else:
                state[4] = 1
            i += 2
        state[5] = word >> np.uint64(32)
    else:
        while i < n:
            word, high, low = next64(high, low, inc_high, inc_low)
            u[i] = fraction(u, word, 53, 2.0**-53)
            i += 1
    state[0], state[1] = high, low
    return OK


def keep_streams(buffers, sizes, attributes, primitives):
    streams, kept = words(buffers[0]), words(buffers[1])
    for i in range(sizes[0]):
        kept[i] = streams[i]
    return OK
