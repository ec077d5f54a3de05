"""Parameter updates."""

import numpy as np


def sgd_update(w, dw, lr):
    return w - w.dtype.type(lr[0]) * dw


def momentum_update(w, dw, velocity, lr, momentum=0.9, nesterov=0.0):
    velocity = momentum * velocity + dw
    step = dw + momentum * velocity if nesterov else velocity
    return w - w.dtype.type(lr[0]) * step, velocity


def adam_advance(power, beta1=0.9, beta2=0.999, eps=1e-8):
    return power * np.array([beta1, beta2])


def adam_update(w, dw, m, v, power, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    correction = np.sqrt(1 - power[1])
    rate = w.dtype.type(lr[0] * correction / (1 - power[0]))
    m = beta1 * m + (1 - beta1) * dw
    v = beta2 * v + (1 - beta2) * (dw * dw)
    return w - rate * (m / (np.sqrt(v) + w.dtype.type(eps * correction))), m, v
