"""The training of small dense networks as a plain NumPy script; it knows nothing of fastbp.

This is what a careful user would write from a textbook: arrays, expressions, a loop over batches. The tests
demand its bits of every backend.
"""

import math

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_derivative(dy, y):
    return y * (dy - (dy * y).sum(axis=1, keepdims=True))


#: name: (function, dLoss/dz from dLoss/dy and y)
ACTIVATIONS = {
    "identity": (lambda z: z, lambda dy, y: dy),
    "relu": (lambda z: np.maximum(z, 0), lambda dy, y: np.where(y > 0, dy, 0)),
    "tanh": (np.tanh, lambda dy, y: dy * (1 - y * y)),
    "sigmoid": (sigmoid, lambda dy, y: dy * (y * (1 - y))),
    "softmax": (softmax, softmax_derivative),
}


def clip(p):
    # the largest number below one where 1 - 1e-15 rounds to one
    one = p.dtype.type(1)
    return np.clip(p, 1e-15, min(p.dtype.type(1 - 1e-15), np.nextafter(one, 0 * one)))


def mean_squared_error(y, t):
    d = y - t
    return (d * d).sum() / d.size, d * (2 / d.size)


def binary_cross_entropy(y, t):
    q = clip(y)
    loss = -(t * np.log(q) + (1 - t) * np.log(1 - q)).sum() / q.size
    return loss, (q - t) / (q * (1 - q)) * (1 / q.size)


def binary_cross_entropy_of_logits(z, t):
    elements = np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))
    return elements.sum() / z.size, (sigmoid(z) - t) * (1 / z.size)


def cross_entropy(y, t):
    q = clip(y)
    return -(t * np.log(q)).sum() / len(t), t / q * (-1 / len(t))


def cross_entropy_of_labels(y, t):
    rows = np.arange(len(t))
    q = clip(y[rows, t])
    dy = np.zeros_like(y)
    dy[rows, t] = (-1 / len(t)) / q
    return (-np.log(q)).sum() / len(t), dy


def shifted(z):
    z = z - z.max(axis=1, keepdims=True)
    e = np.exp(z)
    return z, e, e.sum(axis=1, keepdims=True)


def cross_entropy_of_logits(z, t):
    z, e, s = shifted(z)
    sample = -(t * (z - np.log(s))).sum(axis=1)
    return sample.sum() / len(t), (e / s * t.sum(axis=1, keepdims=True) - t) * (1 / len(t))


def cross_entropy_of_logits_and_labels(z, t):
    z, e, s = shifted(z)
    rows = np.arange(len(t))
    sample = np.log(s)[:, 0] - z[rows, t]
    dz = e / s
    dz[rows, t] -= 1
    return sample.sum() / len(t), dz * (1 / len(t))


class SGD:
    def __init__(self, lr, momentum=0.0, nesterov=False):
        self.lr, self.momentum, self.nesterov = lr, momentum, nesterov
        self.velocity = None

    def update(self, weights, gradients):
        if not self.momentum:
            return [w - self.lr * dw for w, dw in zip(weights, gradients, strict=True)]
        old = self.velocity or [np.zeros_like(w) for w in weights]
        self.velocity = [self.momentum * v + dw for v, dw in zip(old, gradients, strict=True)]
        steps = self.velocity
        if self.nesterov:
            steps = [dw + self.momentum * v for v, dw in zip(self.velocity, gradients, strict=True)]
        return [w - self.lr * step for w, step in zip(weights, steps, strict=True)]

    def state(self):
        return {"velocity": self.velocity} if self.momentum else {}


class Adam:
    def __init__(self, lr, beta1=0.9, beta2=0.999, eps=1e-8):
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.power1 = self.power2 = 1.0
        self.m = self.v = None

    def update(self, weights, gradients):
        if self.m is None:
            self.m, self.v = ([np.zeros_like(w) for w in weights] for _ in range(2))
        self.power1 *= self.beta1
        self.power2 *= self.beta2
        c = math.sqrt(1 - self.power2)
        rate = self.lr * c / (1 - self.power1)
        self.m = [self.beta1 * m + (1 - self.beta1) * dw for m, dw in zip(self.m, gradients, strict=True)]
        self.v = [self.beta2 * v + (1 - self.beta2) * (dw * dw) for v, dw in zip(self.v, gradients, strict=True)]
        return [
            w - rate * (m / (np.sqrt(v) + self.eps * c)) for w, m, v in zip(weights, self.m, self.v, strict=True)
        ]

    def state(self):
        return {"m": self.m, "v": self.v, "power": [np.array([self.power1, self.power2])]}


def forward(weights, activations, x):
    """Return the input and the output of every layer."""
    outputs = [x]
    for w, b, name in zip(weights[::2], weights[1::2], activations, strict=True):
        outputs.append(ACTIVATIONS[name][0](outputs[-1] @ w + b))
    return outputs


def backward(weights, activations, outputs, dy):
    """Return the gradients of all weights, in their order."""
    gradients = []
    for k in reversed(range(len(activations))):
        dz = ACTIVATIONS[activations[k]][1](dy, outputs[k + 1])
        gradients += [dz.sum(axis=0), outputs[k].T @ dz]
        dy = dz @ weights[2 * k].T
    return gradients[::-1]


def train(weights, activations, loss, optimizer, x, y, batch, orders):
    """Train on each order of the rows in batches; return weights, losses and the last gradients."""
    losses, gradients = [], None
    for order in orders:
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            outputs = forward(weights, activations, x[rows])
            value, dy = loss(outputs[-1], y[rows])
            losses.append(value)
            gradients = backward(weights, activations, outputs, dy)
            weights = optimizer.update(weights, gradients)
    return weights, np.array(losses), gradients
