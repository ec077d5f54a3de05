"""A dense classifier in plain NumPy: ReLU, softmax cross-entropy, Adam.

It knows nothing of fastbp, and is written as one writes it by hand: whole-array expressions, batches taken
with ``x[index]``, updates in place. Run as a script it trains one step of 64-128-10 on 32 rows.
"""

# ruff: noqa: B905  zip as a user writes it: what it checks would count against NumPy
import math
from itertools import pairwise

import numpy as np


def initial_parameters(widths, rng):
    """Return ``[w, b, w, b, ...]``: He's normal weights and zeros."""
    parameters = []
    for n_in, n_out in pairwise(widths):
        w = rng.standard_normal((n_in, n_out), dtype=np.float32) * np.float32(math.sqrt(2 / n_in))
        parameters += [w, np.zeros(n_out, np.float32)]
    return parameters


def loss_and_gradients(parameters, x, y_true):
    """Return the mean loss of a batch and its gradients, in the order of the parameters."""
    weights, biases = parameters[::2], parameters[1::2]
    inputs = [x]
    for w, b in zip(weights[:-1], biases[:-1]):
        inputs.append(np.maximum(inputs[-1] @ w + b, 0))
    logits = inputs[-1] @ weights[-1] + biases[-1]

    rows = np.arange(len(y_true))
    z = logits - logits.max(axis=1, keepdims=True)
    e = np.exp(z)
    s = e.sum(axis=1, keepdims=True)
    loss = (np.log(s)[:, 0] - z[rows, y_true]).sum() / len(y_true)

    dy = e / s
    dy[rows, y_true] -= 1
    dy *= 1 / len(y_true)
    gradients = []
    for k in range(len(weights) - 1, -1, -1):
        gradients = [inputs[k].T @ dy, dy.sum(axis=0), *gradients]
        if k > 0:
            dy = (dy @ weights[k].T) * (inputs[k] > 0)
    return loss, gradients


class Adam:
    """Adam in the order of its paper's section 2."""

    def __init__(self, parameters, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps
        self.m = [np.zeros_like(p) for p in parameters]
        self.v = [np.zeros_like(p) for p in parameters]
        self.power1 = self.power2 = 1.0

    def update(self, parameters, gradients):
        """Change the parameters in place."""
        self.power1 *= self.beta1
        self.power2 *= self.beta2
        correction = math.sqrt(1 - self.power2)
        rate, eps = np.float32(self.lr * correction / (1 - self.power1)), np.float32(self.eps * correction)
        for w, dw, m, v in zip(parameters, gradients, self.m, self.v):
            m *= self.beta1
            m += (1 - self.beta1) * dw
            v *= self.beta2
            v += (1 - self.beta2) * (dw * dw)
            w -= rate * (m / (np.sqrt(v) + eps))


def train_step(parameters, optimizer, x, y_true):
    """Train on one batch; return its loss."""
    loss, gradients = loss_and_gradients(parameters, x, y_true)
    optimizer.update(parameters, gradients)
    return loss


def train_epoch(parameters, optimizer, x, y_true, batch, rng):
    """Train on all rows in a random order; return the loss of each batch."""
    order = rng.permutation(len(x))
    losses = []
    for start in range(0, len(x), batch):
        index = order[start : start + batch]
        losses.append(train_step(parameters, optimizer, x[index], y_true[index]))
    return losses


def predict(parameters, x):
    """Return the logits."""
    *hidden, w, b = parameters
    for k in range(0, len(hidden), 2):
        x = np.maximum(x @ hidden[k] + hidden[k + 1], 0)
    return x @ w + b


def main():
    """Train the first step."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 64), dtype=np.float32)
    y_true = rng.integers(0, 10, 32)
    parameters = initial_parameters((64, 128, 10), rng)
    print(train_step(parameters, Adam(parameters), x, y_true))


if __name__ == "__main__":
    main()
