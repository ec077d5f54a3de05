"""Proof on the user's machine of what fastbp promises; see `selfcheck`."""

from __future__ import annotations

import hashlib
import platform
from functools import partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from . import losses, optimizers
from ._version import __version__
from .kernels import fpcontrol
from .kernels.arrays import same_bits
from .kernels.backend import BACKENDS, REFERENCE
from .kernels.dtypes import REALS
from .kernels.operations import ELEMENTARY
from .kernels.threads import MISSING, available, get_num_threads, set_num_threads
from .layers import Conv2D, Dense, Flatten, MaxPooling2D
from .model import Sequential

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .layers import Layer

__all__ = ["TRIALS", "Certificate", "Trial", "selfcheck"]


def _numbers(n: int, seed: int) -> np.ndarray:
    """Return n numbers in [-0.5, 0.5) from integers alone, so that no version of NumPy can change them."""
    i = np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed * 1_000_003)
    for factor in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9):
        i = (i ^ (i >> np.uint64(29))) * np.uint64(factor)
    return (i >> np.uint64(40)).astype(np.float64) / 2**24 - 0.5


class Trial:
    """A small network with data and, after 200 steps of portable training, known parameters.

    Parameters
    ----------
    dtype, input_shape, layers, loss, optimizer, rows, batch
        The model, and how it is trained; the last batch of an epoch is a smaller one. The last layer is dense.
    sha256 : str
        Of the parameters after 200 steps, as little-endian bytes.
    """

    def __init__(
        self,
        dtype: str,
        input_shape: tuple[int, ...],
        layers: Callable[[], list[Layer]],
        loss: Callable[[], losses.Loss],
        optimizer: Callable[[], optimizers.Optimizer],
        rows: int,
        batch: int,
        sha256: str,
    ) -> None:
        self.dtype, self.input_shape, self.layers, self.rows, self.batch = dtype, input_shape, layers, rows, batch
        self.loss, self.optimizer, self.sha256 = loss, optimizer, sha256

    def data(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs, and targets for n outputs."""
        shape = (self.rows, *self.input_shape)
        x = _numbers(prod(shape), 1).reshape(shape).astype(self.dtype)
        if self.loss().targets == "labels":
            return x, np.arange(self.rows) * 7 % n
        y = np.arange(self.rows)[:, None] * 5 % (n + 2) == np.arange(n)
        return x, y.astype(self.dtype)

    def train(self, backend: str) -> str:
        """Train a fresh model for 200 steps in portable numerics; return the SHA-256 of its parameters."""
        model = Sequential(self.layers(), input_shape=self.input_shape, seed=0)
        model.compile(self.optimizer(), self.loss(), backend=backend, dtype=self.dtype, numerics="portable")
        shapes = [w.shape for w in model.get_weights()]
        model.set_weights([_numbers(prod(s), 2 + k).reshape(s) for k, s in enumerate(shapes)])
        steps = -(-self.rows // self.batch)
        model.fit(*self.data(shapes[-1][-1]), batch_size=self.batch, epochs=200 // steps, shuffle=False, verbose=0)
        flat = model.engine().memory.arrays["parameters"]
        return hashlib.sha256(flat.astype(flat.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _lenet() -> list[Layer]:
    """Return the layers of LeNet-5 (LeCun et al. 1998, Proc. IEEE 86(11)), with relu and the maxima of windows."""
    return [
        Conv2D(6, 5, activation="relu"), MaxPooling2D(), Conv2D(16, 5, activation="relu"), MaxPooling2D(), Flatten(),
        Dense(120, "relu"), Dense(84, "relu"), Dense(10),
    ]  # fmt: skip


#: The worked networks, whose parameters end with the same bits everywhere.
TRIALS = {
    "4-16-3 relu, softmax cross-entropy, Adam, float32": Trial(
        "float32", (4,), lambda: [Dense(16, "relu"), Dense(3)],
        lambda: losses.SparseCategoricalCrossEntropy(from_logits=True), lambda: optimizers.Adam(lr=0.01), 150, 32,
        "b5e0078e7cff3fddfc28b1d339defc9e8c101e732a2ce24e9ed401a8fd276fb9",
    ),
    "13-24-8-1 tanh and sigmoid, binary cross-entropy, Nesterov, float64": Trial(
        "float64", (13,), lambda: [Dense(24, "tanh"), Dense(8, "sigmoid"), Dense(1, "sigmoid")],
        lambda: losses.BinaryCrossEntropy(from_logits=False),
        lambda: optimizers.SGD(lr=0.1, momentum=0.9, nesterov=True), 90, 25,
        "4d0b687bc8d9c45e630176365278eedac9c1061750b7fc5d723b70e009e0e2b6",
    ),
    "64-128-10 relu, categorical cross-entropy, momentum, float32": Trial(
        "float32", (64,), lambda: [Dense(128, "relu"), Dense(10, "softmax")],
        lambda: losses.CategoricalCrossEntropy(from_logits=False),
        lambda: optimizers.SGD(lr=0.05, momentum=0.9), 300, 160,
        "ae0afd1cc14a5df3d67acb6bb7aee0a36b133cb55f9a578c9796ae3d38b895bf",
    ),
    "LeNet-5 on 28x28x1, softmax cross-entropy, Adam, float32": Trial(
        "float32", (28, 28, 1), _lenet, lambda: losses.SparseCategoricalCrossEntropy(from_logits=True),
        lambda: optimizers.Adam(lr=0.001), 30, 8,
        "c38c9953c01c1dc8ba7b6c698236dc528cd3e5fd3c276c3180350411ea2b16df",
    ),
}  # fmt: skip


class Certificate:
    """What `selfcheck` found.

    Attributes
    ----------
    lines : list of (str, str)
        What was checked, and "ok" or what is wrong.
    ok : bool
        Whether all of it holds.
    floating_point : str
        How the thread rounds that asked, and whether it keeps subnormals.
    """

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self.floating_point = fpcontrol.floating_point()

    @property
    def ok(self) -> bool:
        """Whether everything that was checked holds."""
        return all(verdict == "ok" for _, verdict in self.lines)

    def prove(self, what: str, run: Callable[[], Any]) -> None:
        """Run one check: an exception is a verdict too."""
        try:
            run()
            verdict = "ok"
        except Exception as error:
            verdict = f"FAILED: {error or type(error).__name__}"
        self.lines.append((what, verdict))

    def __str__(self) -> str:
        width = max(len(what) for what, _ in self.lines)
        head = f"fastbp {__version__}, NumPy {np.__version__}, {platform.machine()} {_level()}, {available()} CPUs"
        head += f", backends {' and '.join(_backends())}\nfloating point: {self.floating_point}"
        body = [f"{what:{width}}  {verdict}" for what, verdict in self.lines]
        tail = "Every promise holds on this machine." if self.ok else "A promise is broken; please report this."
        return "\n".join([head, *body, tail])


def _backends() -> list[str]:
    return [name for name, backend in BACKENDS.items() if backend.compiled and backend.available()] or [REFERENCE]


def _level() -> str:
    if MISSING is not None:
        return "without extension modules"
    from .kernels.cython_ext import level

    return f"level {level()}"


def _check_levels(dtype: str) -> None:
    """Compare the portable primitives of every level with their definition, on a few numbers."""
    from .kernels import cython_ext
    from .kernels.portable import array, elementary
    from .kernels.primitives import evaluate

    x = (_numbers(1024, 9) * 40).astype(dtype)
    a, b = x[: 21 * 19].reshape(21, 19), x[-19 * 37 :].reshape(19, 37)
    cases: dict[str, tuple[tuple[np.ndarray, ...], Any]]
    with fpcontrol.ieee():
        # large ones too: sin and cos go a longer way there
        operands = {1: (np.concatenate([x, x * 1e30]),), 2: (abs(x), x)}
        cases = {f.name: (operands[f.operands], getattr(elementary, f.name)(*operands[f.operands])) for f in ELEMENTARY}
        cases["sum"] = (x.reshape(8, -1),), array.sum_(x.reshape(8, -1), 1)
        cases["matmul"] = (a, b), array.matmul(a, b)
    for level in cython_ext.levels():
        table = cython_ext.portable_address(dtype, at=level)
        for name, (inputs, want) in cases.items():
            got = evaluate(table, name, *inputs)
            if not same_bits(got, want):
                raise AssertionError(f"{name} at level {level} differs from its definition")


def _check_trial(trial: Trial) -> None:
    """Train a network from each compiled backend, on one thread and on all; from NumPy where there is none."""
    before = get_num_threads()
    try:
        for backend, threads in product(_backends(), (1, max(2, before))):
            set_num_threads(threads)
            found = trial.train(backend)
            if found != trial.sha256:
                where = f"{backend} on {threads} thread{'s' * (threads > 1)}"
                raise AssertionError(f"{where} ends with SHA-256 {found[:16]}..., not {trial.sha256[:16]}...")
    finally:
        set_num_threads(before)


def selfcheck(verbose: bool = True) -> Certificate:
    """Prove on this machine what fastbp promises, and print a certificate.

    Checked are: NumPy's loops, called from compiled code, return NumPy's bits; the portable primitives
    return the bits of their definition at every CPU level that was built; four networks end, after 200
    steps of portable training, with the parameters that they have everywhere, from each compiled backend
    on one thread and on all; and portable numerics rounds to nearest and keeps subnormals. Where the extension modules
    are missing the last two alone are checked, from NumPy.

    Parameters
    ----------
    verbose : bool
        Whether to print.

    Returns
    -------
    Certificate

    Examples
    --------
    >>> import fastbp
    >>> fastbp.selfcheck(verbose=False).ok
    True
    """
    certificate = Certificate()
    if MISSING is None:
        from .kernels.cython_ext import levels
        from .kernels.primitives import check

        certificate.prove("NumPy's loops return NumPy's bits", lambda: [*map(check, REALS)])
        for dtype in REALS:
            what = f"portable primitives, {dtype}, levels {', '.join(levels())}"
            certificate.prove(what, partial(_check_levels, dtype))
    certificate.prove("portable numerics rounds to nearest and keeps subnormals", fpcontrol.check)
    for name, trial in TRIALS.items():
        certificate.prove(name, partial(_check_trial, trial))
    if verbose:
        print(certificate)
    return certificate
