"""What an optimizer counts; the updates themselves are made from the table (kernels/pointwise.py)."""

from .common import OK, doubles


def adam_advance(buffers, sizes, attributes, primitives):
    power = doubles(buffers[0])
    power[0] = power[0] * attributes[0]
    power[1] = power[1] * attributes[1]
    return OK


def nadam_advance(buffers, sizes, attributes, primitives):
    power = doubles(buffers[0])
    power[2] = power[2] * attributes[3]
    power[0] = power[0] * (attributes[0] * (1 - 0.5 * power[2]))
    power[1] = power[1] * attributes[1]
    return OK
