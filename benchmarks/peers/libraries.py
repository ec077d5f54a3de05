"""The libraries, each doing the same work in its own best plain way.

Each entry of `PEERS` makes from a `Task` and initial parameters ``[w, b, ...]`` an object with

- ``reset()``: back to the first step, so that every turn repeats the same numbers;
- ``run(steps)``: so many train steps, a multiple of ``unit``; returns the loss of each;
- ``predictor(rows)``: a function from an array of so many rows to outputs, or None.

fastbp and NumPy shuffle and gather their batches themselves; the others get the batches of the first epoch
ready made and use them every epoch. Nothing here is imported before its library is asked for.
"""

import os
from functools import cached_property
from itertools import cycle, islice, pairwise

import numpy as np

from . import plain_numpy


class Peer:
    """What the libraries share: the task, the parameters at the start, steps over ready-made batches.

    Attributes
    ----------
    label : str
        As tables show it.
    packages : tuple of str
        The modules that must be importable.
    unit : int
        The least number of steps of a run.
    probabilities : bool
        Whether predictions are probabilities, not logits.
    preload : bool
        Whether the process is to preload the two lines that make MKL use all of an AMD CPU.
    environment : dict of str to str
        Of the process, besides what all have.
    trains : bool
        Whether it can be trained.
    """

    label, packages, unit, probabilities, preload, trains = "", (), 1, False, False, True
    environment = {}

    def __init__(self, task, parameters):
        self.task, self.start = task, parameters
        self.prepare()
        self.reset()

    @cached_property
    def batches(self):
        """The first epoch's batches; made only where they are used, for memory is measured, too."""
        return [self.convert(x, y) for x, y in self.task.first_epoch()]

    def convert(self, x, y):
        """Return a batch as the library wants it."""
        return x, y

    def prepare(self):
        """Import the library and make what outlives a reset."""

    def run(self, steps):
        """Train; return the losses."""
        step = self.step
        return [step(x, y) for x, y in islice(cycle(self.batches), steps)]

    def predictor(self, rows):
        """Return a function that predicts, or None."""


class FastbpFit(Peer):
    """fastbp: one call of `fit`."""

    label, packages = "fastbp fit", ("fastbp",)

    def __init__(self, task, parameters, numerics="numpy"):
        self.numerics, self.unit = numerics, task.batches
        super().__init__(task, parameters)

    def prepare(self):
        self.model = self.task.make_model(f"cython {self.numerics}")
        self.first = self.task.weights(self.model, self.start)
        self.model.set_weights(self.first)
        self.state = self.model.optimizer.get_state()

    def reset(self):
        self.model.set_weights(self.first)
        self.model.optimizer.set_state(self.state)

    def run(self, steps):
        task = self.task
        epochs = steps // task.batches
        self.model.fit(task.x, task.y, batch_size=task.batch, epochs=epochs, seed=task.seed, verbose=0)
        return self.model.batch_losses

    def predictor(self, rows):
        return self.model.predict


class FastbpFitInOrder(FastbpFit):
    """fastbp: `fit` without shuffling, on rows that lie in order: the work that ready-made batches leave."""

    label = "fastbp fit, shuffle=False"

    def prepare(self):
        super().prepare()
        x, y = zip(*self.task.first_epoch(), strict=True)
        self.rows = np.concatenate(x), np.concatenate(y)

    def run(self, steps):
        task = self.task
        epochs = steps // task.batches
        self.model.fit(*self.rows, batch_size=task.batch, epochs=epochs, shuffle=False, verbose=0)
        return self.model.batch_losses

    def predictor(self, rows):
        return None  # fit's


class FastbpTrainOnBatch(FastbpFit):
    """fastbp: one call of `train_on_batch` a step."""

    label = "fastbp train_on_batch"

    def __init__(self, task, parameters, numerics="numpy"):
        super().__init__(task, parameters, numerics)
        self.unit, self.step = 1, self.model.train_on_batch

    run = Peer.run

    def predictor(self, rows):
        return None  # fit's


class PlainNumpy(Peer):
    """The plain NumPy script."""

    label = "NumPy, plain"

    def __init__(self, task, parameters):
        self.unit = task.batches
        super().__init__(task, parameters)

    def reset(self):
        self.parameters = [p.copy() for p in self.start]
        self.optimizer = plain_numpy.Adam(self.parameters)

    def run(self, steps):
        task, losses = self.task, []
        rng = np.random.default_rng(task.seed)
        for _ in range(steps // task.batches):
            losses += plain_numpy.train_epoch(self.parameters, self.optimizer, task.x, task.y, task.batch, rng)
        return losses

    def predictor(self, rows):
        return lambda x: plain_numpy.predict(self.parameters, x)


class PreallocatedNumpy(PlainNumpy):
    """NumPy as far as it goes: every result into memory made before, all parameters in one array."""

    label = "NumPy, out="

    def prepare(self):
        task, self.flat_start = self.task, np.concatenate([p.reshape(-1) for p in self.start])
        n, batch = self.flat_start.size, task.batch
        self.flat, self.gradient, self.m, self.v, self.scratch = (np.empty(n, np.float32) for _ in range(5))
        self.w, self.b = self._split(self.flat)
        self.dw, self.db = self._split(self.gradient)
        self.y = [np.empty((batch, n), np.float32) for n in task.widths]
        self.dy = [np.empty((batch, n), np.float32) for n in task.widths]
        self.active = [np.empty((batch, n), bool) for n in task.widths]
        self.y_true, self.rows = np.empty(batch, np.int64), np.arange(batch)
        self.column = np.empty((batch, 1), np.float32)

    def _split(self, flat):
        views, start = [], 0
        for p in self.start:
            views.append(flat[start : start + p.size].reshape(p.shape))
            start += p.size
        return views[::2], views[1::2]

    def reset(self):
        self.flat[...] = self.flat_start
        self.m.fill(0)
        self.v.fill(0)
        self.power1 = self.power2 = 1.0

    def run(self, steps):
        task, losses = self.task, []
        rng = np.random.default_rng(task.seed)
        for _ in range(steps // task.batches):
            order = rng.permutation(len(task.x))
            for start in range(0, len(order), task.batch):
                index = order[start : start + task.batch]
                # mode "clip" writes straight into out; "raise" would go through a copy
                task.x.take(index, axis=0, out=self.y[0], mode="clip")
                task.y.take(index, out=self.y_true, mode="clip")
                losses.append(self.step())
        return losses

    def forward(self, y):
        last = len(self.w)
        for k, (w, b) in enumerate(zip(self.w, self.b, strict=True), 1):
            np.matmul(y[k - 1], w, out=y[k])
            np.add(y[k], b, out=y[k])
            if k < last:
                np.maximum(y[k], 0, out=y[k])
        return y[last]

    def step(self):
        y, dy, column, last = self.y, self.dy, self.column, len(self.w)
        z, d = self.forward(y), dy[last]
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

    def predictor(self, rows):
        y = [np.empty((rows, n), np.float32) for n in self.task.widths]

        def predict(x):
            y[0] = x
            return self.forward(y)

        return predict


class Jax(Peer):
    """JAX: one jitted step a call, state donated, each step finished before the next begins."""

    label, packages = "JAX, one step a call", ("jax",)

    def convert(self, x, y):
        import jax.numpy as jnp

        return jnp.array(x), jnp.array(y)

    def prepare(self):
        import jax
        import jax.numpy as jnp

        # every step is waited for, so handing it to another thread would only add time
        jax.config.update("jax_cpu_enable_async_dispatch", False)

        def loss_function(pairs, statistics, x, y_true):
            z, statistics = self.model(pairs, statistics, x)
            log_p = jax.nn.log_softmax(z)
            return -jnp.take_along_axis(log_p, y_true[:, None], axis=1).mean(), statistics

        def train_step(state, x, y_true):
            pairs, m, v, power1, power2, statistics = state
            gradients_of = jax.value_and_grad(loss_function, has_aux=True)
            (loss, statistics), gradients = gradients_of(pairs, statistics, x, y_true)
            power1, power2 = power1 * 0.9, power2 * 0.999
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * (g * g), v, gradients)
            correction = jnp.sqrt(1 - power2)
            rate, eps = 1e-3 * correction / (1 - power1), 1e-8 * correction
            pairs = jax.tree.map(lambda w, m, v: w - rate * (m / (jnp.sqrt(v) + eps)), pairs, m, v)
            return (pairs, m, v, power1, power2, statistics), loss

        self.jax, self.jnp, self.train_step = jax, jnp, train_step
        self.compiled = jax.jit(train_step, donate_argnums=0)
        self.forward = jax.jit(lambda pairs, statistics, x: self.model(pairs, statistics, x)[0])

    def grouped(self):
        """Return the initial parameters as `model` takes them."""
        return list(zip(self.start[::2], self.start[1::2], strict=True))

    def model(self, pairs, statistics, x):
        """Return the logits, and the statistics after them."""
        for w, b in pairs[:-1]:
            x = self.jax.nn.relu(x @ w + b)
        w, b = pairs[-1]
        return x @ w + b, statistics

    def reset(self):
        jnp, tree_map = self.jnp, self.jax.tree.map
        pairs = tree_map(jnp.array, self.grouped())
        m, v = (tree_map(jnp.zeros_like, pairs) for _ in range(2))
        self.state = (pairs, m, v, jnp.float32(1), jnp.float32(1), [])

    def step(self, x, y):
        self.state, loss = self.compiled(self.state, x, y)
        return loss.block_until_ready()

    def predictor(self, rows):
        pairs, *_, statistics = self.state
        return lambda x: np.asarray(self.forward(pairs, statistics, x))


class JaxScan(Jax):
    """JAX: 100 steps a call by `lax.scan`, the batches picked from arrays that JAX holds."""

    label, unit = "JAX, lax.scan over 100 steps", 100

    def prepare(self):
        super().prepare()
        jax, jnp = self.jax, self.jnp
        xs, ys = (jnp.stack(arrays) for arrays in zip(*self.batches, strict=True))
        self.order = jnp.arange(self.unit) % len(self.batches)

        def train_steps(state, xs, ys, order):
            return jax.lax.scan(lambda state, i: self.train_step(state, xs[i], ys[i]), state, order)

        compiled = jax.jit(train_steps, donate_argnums=0)
        self.scan = lambda state: compiled(state, xs, ys, self.order)

    def run(self, steps):
        losses = []
        for _ in range(steps // self.unit):
            self.state, found = self.scan(self.state)
            losses.append(np.asarray(found))
        return np.concatenate(losses)

    def predictor(self, rows):
        return None  # a prediction is no loop


class Torch(Peer):
    """PyTorch: eager, fused Adam."""

    label, packages = "torch, eager, fused Adam", ("torch",)

    def convert(self, x, y):
        import torch

        return torch.from_numpy(x), torch.from_numpy(y)

    def prepare(self):
        import torch

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.torch = torch

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

    def step(self, x, y):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def predictor(self, rows):
        net, torch = self.net.eval(), self.torch

        def predict(x):
            with torch.inference_mode():
                return net(torch.from_numpy(x)).numpy()

        return predict


class TorchCompile(Torch):
    """PyTorch: the whole step, gradients and Adam included, one compiled graph behind a C++ wrapper."""

    label = "torch.compile, C++ wrapper"

    def prepare(self):
        super().prepare()
        torch = self.torch
        functional = torch.nn.functional
        torch._dynamo.reset()
        names = ("w", "m", "v")

        def forward(w, x):
            for k in range(0, len(w) - 2, 2):
                x = functional.relu(functional.linear(x, w[k], w[k + 1]))
            return functional.linear(x, w[-2], w[-1])

        gradients_of = torch.func.grad_and_value(lambda w, x, y: functional.cross_entropy(forward(w, x), y))

        def train_step(w, m, v, powers, x, y):
            gradients, loss = gradients_of(w, x, y)
            powers.mul_(self.betas)
            correction = (1 - powers[1]).sqrt()
            rate, eps = 1e-3 * correction / (1 - powers[0]), 1e-8 * correction
            for wk, mk, vk, g in zip(w, m, v, gradients, strict=True):
                mk.lerp_(g, 0.1)
                vk.mul_(0.999).addcmul_(g, g, value=0.001)
                wk.sub_(rate * (mk / (vk.sqrt() + eps)))
            return loss

        self.betas = torch.tensor([0.9, 0.999])
        self.powers = torch.ones(2)
        self.first = [torch.from_numpy(p.T.copy()) for p in self.start]
        self.state = {name: [torch.empty_like(p) for p in self.first] for name in names}
        options = {"options": {"cpp_wrapper": True}, "fullgraph": True, "dynamic": False}
        self.compiled, self.forward = torch.compile(train_step, **options), torch.compile(forward, **options)

    def reset(self):
        self.powers.fill_(1)
        for k, p in enumerate(self.first):
            self.state["w"][k].copy_(p)
            self.state["m"][k].zero_()
            self.state["v"][k].zero_()

    def step(self, x, y):
        with self.torch.no_grad():
            return self.compiled(self.state["w"], self.state["m"], self.state["v"], self.powers, x, y).item()

    def predictor(self, rows):
        torch, w = self.torch, self.state["w"]

        def predict(x):
            with torch.no_grad():
                return self.forward(w, torch.from_numpy(x)).numpy()

        return predict


class TorchMkl(Torch):
    """PyTorch eager, MKL told that the CPU is one of its own."""

    label, preload = "torch, eager, MKL at full speed", True


class TorchCompileMkl(TorchCompile):
    """PyTorch compiled, MKL told that the CPU is one of its own."""

    label, preload = "torch.compile, MKL at full speed", True


class Sklearn(Peer):
    """scikit-learn: MLPClassifier.partial_fit."""

    label, packages, probabilities = "scikit-learn partial_fit", ("sklearn",), True

    def reset(self):
        from sklearn.neural_network import MLPClassifier

        widths = self.task.widths
        net = MLPClassifier(widths[1:-1], solver="adam", alpha=0.0, batch_size=self.task.batch, shuffle=False)
        # parameters exist only after a first step; it is undone, and its optimizer goes
        net.partial_fit(*self.batches[0], classes=np.arange(widths[-1]))
        for own, given in zip(net.coefs_ + net.intercepts_, self.start[::2] + self.start[1::2], strict=True):
            own[...] = given
        del net._optimizer
        self.net = net

    def step(self, x, y):
        self.net.partial_fit(x, y)
        return self.net.loss_

    def predictor(self, rows):
        return self.net.predict_proba


class Tinygrad(Peer):
    """tinygrad: the step under TinyJit."""

    label, packages = "tinygrad, TinyJit", ("tinygrad",)

    def convert(self, x, y):
        from tinygrad import Tensor

        return Tensor(x).contiguous().realize(), Tensor(y.astype(np.int32)).contiguous().realize()

    def prepare(self):
        from tinygrad import Tensor, TinyJit, nn

        self.tensor = Tensor
        self.weights = [Tensor(p).contiguous().realize() for p in self.start]
        self.optimizer = nn.optim.Adam(self.weights, lr=1e-3, eps=1e-8)
        self.zeros = [np.zeros(s.shape, np.float32) for s in self._state()]

        def forward(x):
            w = self.weights
            for k in range(0, len(w) - 2, 2):
                x = (x @ w[k] + w[k + 1]).relu()
            return x @ w[-2] + w[-1]

        @TinyJit
        def train_step(x, y):
            with _training():
                self.optimizer.zero_grad()
                loss = forward(x).sparse_categorical_crossentropy(y).backward()
                return loss.realize(*self.optimizer.schedule_step())

        self.train_step, self.forward = train_step, TinyJit(lambda x: forward(x).realize())

    def _state(self):
        return [*self.optimizer.m, *self.optimizer.v]

    def reset(self):
        optimizer = self.optimizer
        for own, given in zip(self.weights + self._state(), self.start + self.zeros, strict=True):
            own.assign(self.tensor(given)).realize()
        for power in (optimizer.b1_t, optimizer.b2_t):
            power.assign(self.tensor(np.ones(power.shape, np.float32))).realize()

    def step(self, x, y):
        return self.train_step(x, y).item()

    def predictor(self, rows):
        return lambda x: self.forward(self.tensor(x).contiguous().realize()).numpy()


def _training():
    from tinygrad import Tensor

    if hasattr(Tensor, "train"):
        return Tensor.train()
    from tinygrad.helpers import Context

    return Context(TRAINING=1)


class Thinc(Peer):
    """Thinc: begin_update, the gradient of the loss, finish_update."""

    label, packages, probabilities = "Thinc", ("thinc",), True

    def reset(self):
        from thinc.api import Adam, Relu, Softmax_v2, chain

        widths = self.task.widths
        hidden = [Relu(nO=n_out, nI=n_in) for n_in, n_out in pairwise(widths[:-1])]
        layers = [*hidden, Softmax_v2(nO=widths[-1], nI=widths[-2])]
        self.net = chain(*layers)
        self.net.initialize(X=self.batches[0][0])
        for layer, w, b in zip(layers, self.start[::2], self.start[1::2], strict=True):
            layer.set_param("W", np.ascontiguousarray(w.T))
            layer.set_param("b", b.copy())
        self.optimizer = Adam(1e-3, L2=0.0, grad_clip=0.0, use_averages=False)
        self.rows = np.arange(self.task.batch)

    def step(self, x, y):
        p, backpropagate = self.net.begin_update(x)
        loss = -np.log(p[self.rows, y]).mean()
        d = p.copy()
        d[self.rows, y] -= 1
        d *= 1 / len(y)
        backpropagate(d)
        self.net.finish_update(self.optimizer)
        return loss

    def predictor(self, rows):
        return self.net.predict


class Autograd(Peer):
    """autograd: gradients of NumPy code, the update in NumPy."""

    label, packages = "autograd", ("autograd",)

    def prepare(self):
        import autograd.numpy as anp
        from autograd import value_and_grad

        rows = np.arange(self.task.batch)

        def loss_function(parameters, x, y):
            for k in range(0, len(parameters) - 2, 2):
                x = anp.maximum(anp.dot(x, parameters[k]) + parameters[k + 1], 0)
            z = anp.dot(x, parameters[-2]) + parameters[-1]
            z = z - anp.max(z, axis=1, keepdims=True)
            return anp.mean(anp.log(anp.sum(anp.exp(z), axis=1)) - z[rows, y])

        self.gradients_of = value_and_grad(loss_function)

    reset = PlainNumpy.reset

    def step(self, x, y):
        loss, gradients = self.gradients_of(self.parameters, x, y)
        self.optimizer.update(self.parameters, gradients)
        return loss


#: fastbp's own ways, by name.
OWN = {"fit": FastbpFit, "fit_in_order": FastbpFitInOrder, "train_on_batch": FastbpTrainOnBatch}

#: The others, by the name that ``--peers`` takes, the fastest forms first.
PEERS = {
    "jax_scan": JaxScan,
    "jax": Jax,
    "numpy_out": PreallocatedNumpy,
    "numpy": PlainNumpy,
    "torch": Torch,
    "torch_mkl": TorchMkl,
    "torch_compile": TorchCompile,
    "torch_compile_mkl": TorchCompileMkl,
    "sklearn": Sklearn,
    "tinygrad": Tinygrad,
    "thinc": Thinc,
    "autograd": Autograd,
}
