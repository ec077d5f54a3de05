"""How a train step grows with the width, the batch, the depth and the threads: float32, Adam, cross-entropy."""

import numpy as np

from .common import NETS, SCRIPT, SWEEPS, Benchmark, NumpyScript, Task, alternate, cpus, make_model, net_of

#: Backends as in `BACKENDS`, and the script of NumPy. Append only.
CONTENDERS = (SCRIPT, "numpy", "cython", "cython portable")
#: Append only; more than the machine has are skipped.
THREADS = (1, 2, 4, 8, 16)


class _Sweep(Benchmark):
    # the name of a sweep
    sweep = None
    timeout = 120

    def prepare(self, value, backend):
        task = Task(net_of(self.sweep, value))
        self.model = NumpyScript(task) if backend == SCRIPT else make_model(task.widths, backend)
        self.x, self.y = task.first_epoch()[0]
        self.model.train_on_batch(self.x, self.y)

    def time_train_step(self, value, backend):
        self.timer.run(lambda: self.model.train_on_batch(self.x, self.y))

    # the column that the dashboard's ratios are to
    time_train_step.beside = SCRIPT


class Width(_Sweep):
    """64-N-N-10, 64 rows."""

    sweep = "width"
    params = [list(SWEEPS[sweep][0]), list(CONTENDERS)]
    param_names = ["width", "backend"]


class Batch(_Sweep):
    """64-128-128-10, N rows."""

    sweep = "batch"
    params = [list(SWEEPS[sweep][0]), list(CONTENDERS)]
    param_names = ["batch", "backend"]


class Depth(_Sweep):
    """64-64-...-10 of N hidden layers, 32 rows."""

    sweep = "depth"
    params = [list(SWEEPS[sweep][0]), list(CONTENDERS)]
    param_names = ["depth", "backend"]


class Threads(Benchmark):
    """A step by threads of fastbp's own, which portable numerics has; the other has those of its BLAS."""

    params = [list(THREADS), list(NETS), ["cython portable"]]
    param_names = ["threads", "net", "backend"]

    def prepare(self, threads, net, backend):
        import fastbp

        if threads > cpus():
            raise NotImplementedError(f"{threads} threads on {cpus()} CPUs")
        if not hasattr(fastbp, "set_num_threads"):
            raise NotImplementedError("the installed fastbp has no set_num_threads")
        task = Task(net)
        self.model = make_model(task.widths, backend)
        self.x, self.y = task.first_epoch()[0]
        fastbp.set_num_threads(threads)
        self.model.train_on_batch(self.x, self.y)

    def time_train_step(self, threads, net, backend):
        self.timer.run(lambda: self.model.train_on_batch(self.x, self.y))

    def track_ratio_to_one_thread(self, threads, net, backend):
        """In alternation: 1 is no gain, and less is better."""
        import fastbp

        def step():
            self.model.train_on_batch(self.x, self.y)

        jobs = {"many": step, "one": step}
        counts = {"many": threads, "one": 1}
        seconds = alternate(jobs, 51, before=lambda name: fastbp.set_num_threads(counts[name]))
        return float(np.median(seconds["many"]) / np.median(seconds["one"]))

    track_ratio_to_one_thread.unit = "ratio"
