"""The floor under a figure: its FLOPs at the core's peak, its bytes at the memory's speed.

The peak comes from a few lines of C where a compiler is there, else from large NumPy matmuls, which stay some
percent below it. The memory's speed is measured on as many bytes as the work has: small nets live in cache.
"""

import ctypes
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np

from ..images import task_of

_REPEATS, _SECONDS = 15, 0.004


def _best(job, threads, times=1):
    """Return the seconds of one of the `times` that ``job(thread, times)`` does its work."""
    # the fastest of many short runs: a floor is what the machine can do, not what it did at the time
    with ThreadPoolExecutor(threads) as pool:
        seconds = [float("inf")]
        while len(seconds) <= _REPEATS:
            start = time.perf_counter()
            if threads == 1:
                job(0, times)
            else:
                list(pool.map(partial(job, times=times), range(threads)))
            taken = time.perf_counter() - start
            if taken < _SECONDS / 2:
                times *= 2
            else:
                seconds.append(taken / times)
    return min(seconds)


def _repeat(job, times):
    for _ in range(times):
        job()


class Machine:
    """What so many cores can do at most.

    Parameters
    ----------
    threads : int

    Attributes
    ----------
    source : str
        Where the figures are from.
    peak : float
        FLOPs a second, float32, of all threads together.
    """

    def __init__(self, threads=1):
        self.threads, self.library, self.source = threads, None, "large NumPy matmuls (no C compiler)"
        with tempfile.TemporaryDirectory(prefix="fastbp-floor-") as folder:
            shared = Path(folder) / "floor.so"
            flags = ("-O2", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")
            try:
                source = Path(__file__).with_name("floor.c")
                subprocess.run(["cc", *flags, "-o", shared, source], check=True, capture_output=True)
                self.library = ctypes.CDLL(str(shared))
            except (OSError, subprocess.CalledProcessError):
                pass
        if self.library is not None:
            self.source = "fma chains in C"
            self.library.fma_rounds.argtypes = [ctypes.c_long, ctypes.c_float]
            self.library.read_passes.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long]
            self.library.update_passes.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_long, ctypes.c_long]
        self.peak = self._peak()
        self.seconds_of_reading, self.seconds_of_updating = cache(self._reading), cache(self._updating)

    def _peak(self):
        if self.library is not None:
            seconds = _best(lambda k, times: self.library.fma_rounds(times, 0.5), self.threads, 1000)
            return self.threads * self.library.fma_lanes() / seconds
        a, out = (np.ones((1024, 1024), np.float32) for _ in range(2))
        # BLAS has threads of its own
        return 2 * 1024**3 / _best(lambda k, times: _repeat(partial(np.matmul, a, a.copy(), out=out), times), 1)

    def _arrays(self, count, size):
        share = -(-size // self.threads)
        return share, [[np.ones(share, np.float32) for _ in range(count)] for _ in range(self.threads)]

    def _reading(self, size):
        share, arrays = self._arrays(1, size)
        if self.library is None:
            return _best(lambda k, times: _repeat(arrays[k][0].max, times), self.threads)
        addresses = [x.ctypes.data for (x,) in arrays]
        return _best(lambda k, times: self.library.read_passes(addresses[k], share, times), self.threads)

    def _updating(self, size):
        share, arrays = self._arrays(3, size)
        if self.library is None:
            jobs = [lambda three=three: [np.multiply(x, np.float32(1), out=x) for x in three] for three in arrays]
            return _best(lambda k, times: _repeat(jobs[k], times), self.threads)
        addresses = [[x.ctypes.data for x in three] for three in arrays]
        return _best(lambda k, times: self.library.update_passes(*addresses[k], share, times), self.threads)


def flops(what, net):
    """Return the floating-point operations of the matrix products of a step or a prediction."""
    task = task_of(net)
    sizes = task.products
    if what == "train":
        # forward, weight gradients, input gradients but the first layer's
        return 2 * task.batch * (3 * sum(sizes) - sizes[0])
    return 2 * sum(sizes) * (1 if what == "row" else task.array_rows)


def floors(what, net, machine):
    """Return the seconds that a step or a prediction takes at least.

    Parameters
    ----------
    what : {"train", "row", "array"}
    net : str
    machine : Machine

    Returns
    -------
    dict
        "flops": at the peak. "bytes": for "train" reading and writing parameters and both moments once; for
        "row" reading the weights once; for "array" reading it once. At the speed of memory, or of the cache that
        holds as much.
    """
    task = task_of(net)
    count = sum(p.size for p in task.initial_parameters(np.random.default_rng(1)))
    at_memory = {
        "train": lambda: machine.seconds_of_updating(count),
        "row": lambda: machine.seconds_of_reading(count),
        "array": lambda: machine.seconds_of_reading(task.array_rows * task.x[0].size),
    }[what]
    return {"flops": flops(what, net) / machine.peak, "bytes": at_memory()}
