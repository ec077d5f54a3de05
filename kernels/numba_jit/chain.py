"""A pointwise kernel that is data: the operations of a user's own function, one block after the other.

What the numbers in `attributes` mean is said in kernels/chain.py, which writes them.
"""

from math import sqrt

from .common import (
    ERF,
    EXP,
    EXPM1,
    LOG,
    LOG1P,
    OK,
    TANH,
    clip,
    helper,
    offset,
    real,
    sigmoid,
    softplus,
    stack,
    total,
    unary,
)

BLOCK, ROOM = 512, 6144  # elements of a register, and of all: they stay in L1, and on a small stack


@helper
def chain_step(primitives, op, a, b, c, y, n):
    one, zero = real(y, 1), real(y, 0)
    if op == 0:
        for i in range(n):
            y[i] = a[i] + b[i]
    elif op == 1:
        for i in range(n):
            y[i] = a[i] - b[i]
    elif op == 2:
        for i in range(n):
            y[i] = a[i] * b[i]
    elif op == 3:
        for i in range(n):
            y[i] = a[i] / b[i]
    elif op == 4:
        for i in range(n):
            y[i] = -a[i]
    elif op == 5:
        for i in range(n):
            y[i] = abs(a[i])
    elif op == 6:
        for i in range(n):
            y[i] = sqrt(a[i])
    elif op == 7:
        for i in range(n):
            y[i] = b[i] if a[i] <= b[i] else a[i]
    elif op == 8:
        for i in range(n):
            y[i] = b[i] if a[i] >= b[i] else a[i]
    elif op == 9:
        for i in range(n):
            y[i] = clip(a[i], b[i], c[i])
    elif op == 10:
        for i in range(n):
            y[i] = b[i] if a[i] != zero else c[i]
    elif op == 11:
        for i in range(n):
            y[i] = one if a[i] < b[i] else zero
    elif op == 12:
        for i in range(n):
            y[i] = one if a[i] <= b[i] else zero
    elif op == 13:
        for i in range(n):
            y[i] = one if a[i] > b[i] else zero
    elif op == 14:
        for i in range(n):
            y[i] = one if a[i] >= b[i] else zero
    elif op == 15:
        for i in range(n):
            y[i] = one if a[i] == b[i] else zero
    elif op == 16:
        for i in range(n):
            y[i] = one if a[i] != b[i] else zero
    elif op == 17:
        unary(primitives, EXP, a, y, n)
    elif op == 18:
        unary(primitives, EXPM1, a, y, n)
    elif op == 19:
        unary(primitives, LOG, a, y, n)
    elif op == 20:
        unary(primitives, LOG1P, a, y, n)
    elif op == 21:
        unary(primitives, TANH, a, y, n)
    elif op == 22:
        sigmoid(primitives, a, y, n)
    elif op == 23:
        softplus(primitives, a, y, n)
    elif op == 24:
        unary(primitives, ERF, a, y, n)


@helper
def place(buffers, memory, block, inputs, register, start):
    # inputs are read where they lie
    k = int(register)
    return offset(buffers[k], start) if k < inputs else offset(memory, (k - inputs) * block)


def chain(buffers, sizes, attributes, primitives):
    n = sizes[0]
    inputs, outputs, constants = int(attributes[1]), int(attributes[2]), int(attributes[3])
    steps, share = int(attributes[4]), int(attributes[6])
    first = 8 + constants
    results, own = first + 5 * steps, int(attributes[0])
    divisor = float(n) if attributes[5] != 0 and attributes[own] != 0 else 1.0
    memory = stack(buffers[0], ROOM)
    block = min(BLOCK, ROOM // int(attributes[7]) // 64 * 64)
    for k in range(constants):
        value = real(memory, 1 / divisor if k == share else attributes[8 + k])
        for i in range(block):
            memory[k * block + i] = value
    for start in range(0, n, block):
        count = min(n - start, block)
        for k in range(steps):
            s = first + 5 * k
            chain_step(
                primitives,
                int(attributes[s]),
                place(buffers, memory, block, inputs, attributes[s + 2], start),
                place(buffers, memory, block, inputs, attributes[s + 3], start),
                place(buffers, memory, block, inputs, attributes[s + 4], start),
                place(buffers, memory, block, inputs, attributes[s + 1], start),
                count,
            )
        for k in range(outputs):
            result = place(buffers, memory, block, inputs, attributes[results + k], start)
            target = offset(buffers[inputs + k], start)
            for i in range(count):
                target[i] = result[i]
    if attributes[5] == 2:
        buffers[inputs + outputs][0] = total(primitives, buffers[inputs], n) / real(memory, divisor)
    return OK
