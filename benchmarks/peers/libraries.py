"""The libraries, each doing the same work in its own best plain way.

Each entry of `PEERS` makes from a `Task` and initial parameters ``[w, b, ...]`` an object with

- ``reset()``: back to the first step, so that every round repeats the same numbers;
- ``run()``: ``task.steps`` train steps; returns the loss of each step of the first epoch, or more.

``exact`` says that its losses must equal fastbp's in every bit. fastbp and NumPy shuffle and gather their
batches themselves; the others get the batches of the first epoch ready made and use them every epoch.
"""

import numpy as np

from ..common import make_model
from . import plain_numpy


class FastbpFit:
    """fastbp: one call of `fit`."""

    label, exact = "fastbp fit", True

    def __init__(self, task, parameters):
        self.task, self.model = task, make_model(task.widths, "cython")
        self.model.set_weights(parameters)
        self.parameters, self.state = parameters, self.model.optimizer.get_state()

    def reset(self):
        self.model.set_weights(self.parameters)
        self.model.optimizer.set_state(self.state)

    def run(self):
        task = self.task
        self.model.fit(task.x, task.y, batch_size=task.batch, epochs=task.epochs, seed=task.seed, verbose=0)
        return self.model.batch_losses


class FastbpTrainOnBatch(FastbpFit):
    """fastbp: one call of `train_on_batch` a step."""

    label = "fastbp train_on_batch"

    def __init__(self, task, parameters):
        super().__init__(task, parameters)
        self.batches = task.first_epoch()

    def run(self):
        train_on_batch = self.model.train_on_batch
        return [train_on_batch(x, y) for _ in range(self.task.epochs) for x, y in self.batches]


class PlainNumpy:
    """The plain NumPy script."""

    label, exact = "numpy", True

    def __init__(self, task, parameters):
        self.task, self.start = task, parameters
        self.reset()

    def reset(self):
        self.parameters = [p.copy() for p in self.start]
        self.optimizer = plain_numpy.Adam(self.parameters)

    def run(self):
        task, losses = self.task, []
        rng = np.random.default_rng(task.seed)
        for _ in range(task.epochs):
            losses += plain_numpy.train_epoch(self.parameters, self.optimizer, task.x, task.y, task.batch, rng)
        return losses


class PreallocatedNumpy:
    """NumPy as far as it goes: every result into memory made before, all parameters in one array."""

    label, exact = "numpy out=", True

    def __init__(self, task, parameters):
        self.task, self.start = task, np.concatenate([p.reshape(-1) for p in parameters])
        n, batch = self.start.size, task.batch
        self.flat, self.gradient, self.m, self.v, self.scratch = (np.empty(n, np.float32) for _ in range(5))
        self.w, self.b = self._split(self.flat, parameters)
        self.dw, self.db = self._split(self.gradient, parameters)
        self.y = [np.empty((batch, n), np.float32) for n in task.widths]
        self.dy = [np.empty((batch, n), np.float32) for n in task.widths]
        self.active = [np.empty((batch, n), bool) for n in task.widths]
        self.y_true, self.rows = np.empty(batch, np.int64), np.arange(batch)
        self.column = np.empty((batch, 1), np.float32)
        self.reset()

    @staticmethod
    def _split(flat, parameters):
        views, start = [], 0
        for p in parameters:
            views.append(flat[start : start + p.size].reshape(p.shape))
            start += p.size
        return views[::2], views[1::2]

    def reset(self):
        self.flat[...] = self.start
        self.m.fill(0)
        self.v.fill(0)
        self.power1 = self.power2 = 1.0

    def run(self):
        task, losses = self.task, []
        rng = np.random.default_rng(task.seed)
        for _ in range(task.epochs):
            order = rng.permutation(len(task.x))
            for start in range(0, len(order), task.batch):
                index = order[start : start + task.batch]
                # mode "clip" writes straight into out; "raise" would go through a copy
                task.x.take(index, axis=0, out=self.y[0], mode="clip")
                task.y.take(index, out=self.y_true, mode="clip")
                losses.append(self.step())
        return losses

    def step(self):
        y, dy, column, last = self.y, self.dy, self.column, len(self.w)
        for k, (w, b) in enumerate(zip(self.w, self.b, strict=True), 1):
            np.matmul(y[k - 1], w, out=y[k])
            np.add(y[k], b, out=y[k])
            if k < last:
                np.maximum(y[k], 0, out=y[k])
        z, d = y[last], dy[last]
        np.maximum.reduce(z, axis=1, keepdims=True, out=column)
        np.subtract(z, column, out=z)
        np.exp(z, out=d)
        np.add.reduce(d, axis=1, keepdims=True, out=column)
        np.divide(d, column, out=d)
        np.log(column, out=column)
        loss = (column[:, 0] - z[self.rows, self.y_true]).sum() / len(z)
        d[self.rows, self.y_true] -= 1
        np.multiply(d, 1 / len(z), out=d)
        for k in range(last, 0, -1):
            np.matmul(y[k - 1].T, dy[k], out=self.dw[k - 1])
            np.add.reduce(dy[k], axis=0, out=self.db[k - 1])
            if k > 1:
                np.matmul(dy[k], self.w[k - 1].T, out=dy[k - 1])
                np.greater(y[k - 1], 0, out=self.active[k - 1])
                np.multiply(dy[k - 1], self.active[k - 1], out=dy[k - 1])
        self.update()
        return loss

    def update(self, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        self.power1 *= beta1
        self.power2 *= beta2
        correction = (1 - self.power2) ** 0.5
        g, m, v, t = self.gradient, self.m, self.v, self.scratch
        np.multiply(m, beta1, out=m)
        np.multiply(g, 1 - beta1, out=t)
        np.add(m, t, out=m)
        np.multiply(v, beta2, out=v)
        np.multiply(g, g, out=t)
        np.multiply(t, 1 - beta2, out=t)
        np.add(v, t, out=v)
        np.sqrt(v, out=t)
        np.add(t, np.float32(eps * correction), out=t)
        np.divide(m, t, out=t)
        np.multiply(t, np.float32(lr * correction / (1 - self.power1)), out=t)
        np.subtract(self.flat, t, out=self.flat)


class Jax:
    """JAX: one jitted step a call, state donated, each step finished before the next begins."""

    label, exact = "jax", False

    def __init__(self, task, parameters):
        import jax
        import jax.numpy as jnp

        # every step is waited for, so handing it to another thread would only add time
        jax.config.update("jax_cpu_enable_async_dispatch", False)

        def loss_function(pairs, x, y_true):
            for w, b in pairs[:-1]:
                x = jax.nn.relu(x @ w + b)
            w, b = pairs[-1]
            log_p = jax.nn.log_softmax(x @ w + b)
            return -jnp.take_along_axis(log_p, y_true[:, None], axis=1).mean()

        def step(state, x, y_true):
            pairs, m, v, power1, power2 = state
            loss, gradients = jax.value_and_grad(loss_function)(pairs, x, y_true)
            power1, power2 = power1 * 0.9, power2 * 0.999
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * (g * g), v, gradients)
            correction = jnp.sqrt(1 - power2)
            rate, eps = 1e-3 * correction / (1 - power1), 1e-8 * correction
            pairs = jax.tree.map(lambda w, m, v: w - rate * (m / (jnp.sqrt(v) + eps)), pairs, m, v)
            return (pairs, m, v, power1, power2), loss

        self.task, self.jnp, self.tree_map = task, jnp, jax.tree.map
        self.step = jax.jit(step, donate_argnums=0)
        self.start = list(zip(parameters[::2], parameters[1::2], strict=True))
        self.batches = [(jnp.array(x), jnp.array(y)) for x, y in task.first_epoch()]
        self.reset()

    def reset(self):
        jnp = self.jnp
        pairs = self.tree_map(jnp.array, self.start)
        m, v = (self.tree_map(jnp.zeros_like, pairs) for _ in range(2))
        self.state = (pairs, m, v, jnp.float32(1), jnp.float32(1))

    def run(self):
        step, state, losses = self.step, self.state, []
        for _ in range(self.task.epochs):
            for x, y in self.batches:
                state, loss = step(state, x, y)
                losses.append(loss.block_until_ready())
        self.state = state
        return losses


class Torch:
    """PyTorch: eager, fused Adam."""

    label, exact = "torch", False

    def __init__(self, task, parameters):
        import torch

        torch.set_num_threads(1)
        self.task, self.torch, self.start = task, torch, parameters
        self.batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in task.first_epoch()]
        self.reset()

    def reset(self):
        torch, layers = self.torch, []
        for w, b in zip(self.start[::2], self.start[1::2], strict=True):
            linear = torch.nn.Linear(*w.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(w.T.copy()))
                linear.bias.copy_(torch.from_numpy(b))
            layers += [linear, torch.nn.ReLU()]
        self.net = torch.nn.Sequential(*layers[:-1])
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, fused=True)

    def run(self):
        net, optimizer, losses = self.net, self.optimizer, []
        loss_function = self.torch.nn.functional.cross_entropy
        for _ in range(self.task.epochs):
            for x, y in self.batches:
                optimizer.zero_grad(set_to_none=True)
                loss = loss_function(net(x), y)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses


class Sklearn:
    """scikit-learn: MLPClassifier.partial_fit."""

    label, exact = "sklearn", False

    def __init__(self, task, parameters):
        from sklearn.neural_network import MLPClassifier

        self.task, self.start, self.make = task, parameters, MLPClassifier
        self.batches = task.first_epoch()
        self.reset()

    def reset(self):
        widths = self.task.widths
        self.net = self.make(widths[1:-1], solver="adam", alpha=0.0, batch_size=self.task.batch, shuffle=False)
        # parameters exist only after a first step; it is undone, and its optimizer goes
        self.net.partial_fit(*self.batches[0], classes=np.arange(widths[-1]))
        for own, given in zip(self.net.coefs_ + self.net.intercepts_, self.start[::2] + self.start[1::2], strict=True):
            own[...] = given
        del self.net._optimizer

    def run(self):
        losses = []
        for _ in range(self.task.epochs):
            for x, y in self.batches:
                self.net.partial_fit(x, y)
                losses.append(self.net.loss_)
        return losses


#: By the name that ``--peers`` takes.
PEERS = {
    "fit": FastbpFit,
    "train_on_batch": FastbpTrainOnBatch,
    "numpy": PlainNumpy,
    "numpy_out": PreallocatedNumpy,
    "jax": Jax,
    "torch": Torch,
    "sklearn": Sklearn,
}
