"""A pointwise kernel that is data: the operations of a user's own function, one block after the other.

What the numbers in `attributes` mean is said in kernels/chain.py, which writes them.
"""

from .chain_step import BLOCK, ROOM, chain_step
from .common import OK, helper, offset, real, stack, total


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
