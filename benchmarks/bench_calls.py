"""What a call of one piece by itself costs, beside the NumPy code that does the same: float32, arrays that fit."""

from timeit import Timer

import numpy as np

from .common import BACKENDS, Benchmark, alternate, choice


def plain_adam(w, dw, m, v):
    """Update in place, as a plain script does."""
    m[:] = 0.9 * m + 0.1 * dw
    v[:] = 0.999 * v + 0.001 * dw * dw
    w[:] -= 1e-3 * m / 0.1 / (np.sqrt(v / 0.001) + 1e-8)


def plain_cross_entropy(y_true, logits):
    """Return the mean loss."""
    z = logits - logits.max(axis=1, keepdims=True)
    return (y_true * (np.log(np.exp(z).sum(axis=1, keepdims=True)) - z)).sum(axis=1).mean()


def plain_gradient(y_true, logits):
    """Return its gradient."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True) - y_true) / len(logits)


#: What is called, and NumPy's beside it, by name: append only.
CALLS = {
    "relu 16": ("kernels.relu_forward(x, out=y{})", "np.maximum(x, 0, out=y)"),
    "matmul 4x4": ("kernels.matmul_nn(a, b{})", "a @ b"),
    "tanh 2**20": ("kernels.tanh_forward(long, out=y_long{})", "np.tanh(long, out=y_long)"),
    "adam 64": ("kernels.adam_update(w, dw, m, v, power, lr, out=(w, m, v){})", "plain_adam(w, dw, m, v)"),
    "squared error (32, 3)": ("squares(y_true, logits{})", "np.square(logits - y_true).mean()"),
    "cross-entropy (32, 3)": ("cross_entropy(y_true, logits{})", "plain_cross_entropy(y_true, logits)"),
    "cross-entropy gradient (32, 3)": ("cross_entropy.gradient(y_true, logits{})", "plain_gradient(y_true, logits)"),
    "relu 16, 100 times in njit": ("relu_100(x)", "for _ in range(100): np.maximum(x, 0)"),
}


def namespace():
    """Return the arrays and functions by the names that they have in `CALLS`."""
    from fastbp import kernels, losses

    rng = np.random.default_rng(0)
    logits, y_true = rng.standard_normal((32, 3), np.float32), np.eye(3, dtype=np.float32)[rng.integers(0, 3, 32)]
    x, long = np.linspace(-1, 1, 16, dtype=np.float32), np.linspace(-5, 5, 2**20, dtype=np.float32)
    w, dw, m, v = np.ones((4, 64), np.float32)
    return {
        **globals(), "kernels": kernels, "logits": logits, "y_true": y_true, "x": x, "y": np.empty_like(x),
        "long": long, "y_long": np.empty_like(long), "a": np.ones((4, 4), np.float32), "b": np.ones((4, 4), np.float32),
        "w": w, "dw": dw, "m": m, "v": v, "power": np.array([0.9, 0.999]), "lr": np.array([1e-3]),
        "squares": losses.MeanSquaredError(), "cross_entropy": losses.CategoricalCrossEntropy(from_logits=True),
    }  # fmt: skip


def jitted(kernels):
    """Return a compiled function that calls a kernel 100 times."""
    from numba import njit

    @njit
    def relu_100(x):
        s = np.float32(0)
        for _ in range(100):
            s += kernels.relu_forward(x)[0]
        return s

    return relu_100


class Calls(Benchmark):
    """One call on arrays; inside a compiled function of the user's, whose numerics is NumPy's, a hundred."""

    params = [list(CALLS), [backend for backend in BACKENDS if backend != "numpy"]]
    param_names = ["call", "backend"]

    def prepare(self, call, backend):
        name, options = choice(backend)
        statement, plain = CALLS[call]
        names = namespace()
        if "njit" in call and backend != "numba":
            raise NotImplementedError("it is Numba's")
        try:
            if "njit" in call:
                names["relu_100"] = jitted(names["kernels"])
            words = "".join(f", {key}={value!r}" for key, value in {"backend": name, **options}.items())
            self.jobs = {"call": Timer(statement.format(words), globals=names), "numpy": Timer(plain, globals=names)}
            self.jobs["call"].timeit(1)
        except (ImportError, TypeError, ValueError) as error:
            raise NotImplementedError(str(error)) from error

    def track_call(self, call, backend):
        return min(self.jobs["call"].repeat(50, self.times(call))) / self.times(call)

    track_call.unit = "seconds"

    def track_ratio_to_numpy(self, call, backend):
        """The call's time over that of NumPy's beside it, in alternation: below 1 is faster, and less is better."""
        times = self.times(call)
        jobs = {name: lambda timer=timer: timer.timeit(times) for name, timer in self.jobs.items()}
        seconds = alternate(jobs, 100)
        return float(seconds["call"].min() / seconds["numpy"].min())

    track_ratio_to_numpy.unit = "ratio"

    @staticmethod
    def times(call):
        """Return how many calls are short beside a slice of the CPU, and long beside a clock."""
        return 1 if "2**20" in call else 5 if "100" in call else 200
