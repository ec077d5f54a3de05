"""Parameter updates: plain IEEE arithmetic, one pass over the flat arrays."""

from math import sqrt

from .common import OK, doubles, real


def sgd_update(buffers, sizes, attributes, primitives):
    w, dw = buffers[0], buffers[1]
    lr = real(w, doubles(buffers[2])[0])
    for i in range(sizes[0]):
        w[i] = w[i] - lr * dw[i]
    return OK


def momentum_update(buffers, sizes, attributes, primitives):
    w, dw, velocity = buffers[0], buffers[1], buffers[2]
    lr, momentum = real(w, doubles(buffers[3])[0]), real(w, attributes[0])
    if attributes[1] != 0:
        for i in range(sizes[0]):
            u = momentum * velocity[i] + dw[i]
            w[i] = w[i] - lr * (dw[i] + momentum * u)
            velocity[i] = u
    else:
        for i in range(sizes[0]):
            u = momentum * velocity[i] + dw[i]
            w[i] = w[i] - lr * u
            velocity[i] = u
    return OK


def adam_advance(buffers, sizes, attributes, primitives):
    power = doubles(buffers[0])
    power[0] = power[0] * attributes[0]
    power[1] = power[1] * attributes[1]
    return OK


def adam_update(buffers, sizes, attributes, primitives):
    w, dw, m, v = buffers[0], buffers[1], buffers[2], buffers[3]
    power, lr = doubles(buffers[4]), doubles(buffers[5])[0]
    c = sqrt(1 - power[1])
    rate, eps = real(w, lr * c / (1 - power[0])), real(w, attributes[2] * c)
    beta1, rest1 = real(w, attributes[0]), real(w, 1 - attributes[0])
    beta2, rest2 = real(w, attributes[1]), real(w, 1 - attributes[1])
    for i in range(sizes[0]):
        mi = beta1 * m[i] + rest1 * dw[i]
        vi = beta2 * v[i] + rest2 * (dw[i] * dw[i])
        w[i] = w[i] - rate * (mi / (sqrt(vi) + eps))
        m[i] = mi
        v[i] = vi
    return OK
