"""fastbp by itself: ``python -m benchmarks.peers.own ROUNDS SECONDS`` prints its figures as JSON.

What `train_on_batch` adds to its kernels, imports, the first step of a process, Ctrl-C, and the matmul kernels
beside NumPy's matmul and the peak.
"""

import inspect
import json
import statistics
import sys
from functools import partial
from pathlib import Path

import numpy as np

from ..common import FIRST_STEP, NETS, Task, alternate, make_model, numerics, run_python

#: (m, k, n) of the squares and of the products in training; the sum runs over k.
MATMULS = ((8, 8, 8), (16, 16, 16), (32, 32, 32), (64, 64, 64), (64, 784, 256), (256, 1024, 1024), (1024, 1024, 1024))


def overhead_of_train_on_batch(task, rounds):
    """Return the microseconds that `train_on_batch` takes beside its kernels, and those that `fit` gathers a batch in.

    What it adds to a step of `fit` is the difference of the two: too little to be seen as the difference of
    steps that take milliseconds.
    """
    model = make_model(task.widths, "cython")
    batches = task.first_epoch()
    model.train_on_batch(*batches[0])

    def calls():
        for x, y in batches:
            model.train_on_batch(x, y)

    program = model.program
    executor, runner = program.executor, program.executor.runner
    engine = model.engine()
    engine.open_step(*engine.executor("train", 1), span=(0, 0))
    order = np.random.default_rng(task.seed).permutation(len(task.x))
    index, span = program.find("index").number, (*program.span("gather"), program.commit)
    parts = [order[start:] for start in range(0, len(order), task.batch)]

    def gathers():
        for part in parts:
            runner.bind(index, part)
            runner.run(*span)

    def before(_):
        for name, array in (("x", None), ("y_true", None), ("x_source", task.x), ("y_source", task.y)):
            executor.bind(program.find(name), array)
        runner.set_batch(task.batch)

    seconds = alternate({"calls": calls, "gathers": gathers}, rounds, before)
    calls, gathers = (float(np.median(seconds[name]) / task.batches * 1e6) for name in ("calls", "gathers"))
    return {"beside its kernels us": calls, "gather of fit us": gathers}


def startup(rounds):
    """Return the milliseconds of ``import fastbp`` and how a first step's whole process compares with NumPy's."""
    jobs = {name: partial(run_python, script) for name, script in FIRST_STEP.items()}
    for job in jobs.values():
        job()  # byte code is written once
    seconds = alternate(jobs, rounds)
    stopwatch = "import time, numpy; t = time.perf_counter(); import fastbp; print(time.perf_counter() - t)"
    imports = [float(run_python("-c", stopwatch)) for _ in range(rounds)]
    return {
        "import ms": statistics.median(imports) * 1e3,
        "first step ms": {name: float(np.median(values)) * 1e3 for name, values in seconds.items()},
        "first step ratio": float(np.median(seconds["fastbp"] / seconds["numpy"])),
    }


def interrupts(trials=8):
    """Return the milliseconds in which `fit` answered Ctrl-C, on the smallest and on the largest net."""
    script = str(Path(__file__).with_name("interrupt.py"))
    nets = (("4-16-3", "4096", "32"), ("784-1024-1024-10", "4096", "256"))
    return [s * 1e3 for net in nets for s in json.loads(run_python(script, *net, str(trials)))]


def matmuls(rounds):
    """Return the seconds of each matmul kernel and how it compares with `np.matmul` on the same operands.

    Returns
    -------
    list of dict
        "form" (nn, nt, tn), "sizes", "dtype", "numerics", "seconds", "ratio": the median of `np.matmul`'s time
        over the kernel's in the same round.
    """
    from fastbp import kernels
    from fastbp.kernels.primitives import call

    found, rng = [], np.random.default_rng(0)
    knows = "numerics" in inspect.signature(kernels.primitives_address).parameters
    for name in numerics() if knows else ("numpy",):
        for dtype in ("float32", "float64"):
            primitives = kernels.primitives_address(dtype, **({"numerics": name} if knows else {}))
            for form in ("nn", "nt", "tn"):
                function = kernels.load("cython", dtype, [f"matmul_{form}"])[f"matmul_{form}"]
                for m, k, n in MATMULS:
                    a = rng.standard_normal((k, m) if form[0] == "t" else (m, k)).astype(dtype)
                    b = rng.standard_normal((n, k) if form[1] == "t" else (k, n)).astype(dtype)
                    y = np.empty((m, n), dtype)
                    lengths = _lengths(kernels.KERNELS[f"matmul_{form}"], (a, b, y))
                    addresses = [x.ctypes.data for x in (a, b, y)]
                    ours = partial(call, function, primitives, addresses, lengths, [])
                    at, bt = (a.T if form[0] == "t" else a), (b.T if form[1] == "t" else b)
                    theirs = partial(np.matmul, at, bt, out=np.empty_like(y))
                    if ours() != 0 or not np.allclose(y, theirs(), 1e-3, 1e-3):
                        raise RuntimeError(f"matmul_{form} is not a matmul")
                    count = max(1, int(2e-3 / (2 * m * n * k / 5e10 + 4e-7)))
                    jobs = {"ours": partial(_repeat, ours, count), "numpy": partial(_repeat, theirs, count)}
                    taken = {key: seconds / count for key, seconds in alternate(jobs, rounds).items()}
                    record = {"form": form, "sizes": [m, k, n], "dtype": dtype, "numerics": name}
                    record["ratio"] = float(np.median(taken["numpy"] / taken["ours"]))
                    found.append({**record, "seconds": float(np.median(taken["ours"]))})
    return found


def _lengths(kernel, arrays):
    # by name: the table knows in which order the kernel takes them
    known = {}
    for operand, array in zip(kernel.operands, arrays, strict=True):
        known |= dict(zip(operand.dims, array.shape, strict=True))
    return [known[dim] for dim in kernel.dims]


def _repeat(job, count):
    for _ in range(count):
        job()


def main():
    """Measure all of it."""
    rounds = int(sys.argv[1])
    print(json.dumps({
        "startup": startup(rounds), "interrupt ms": interrupts(), "matmuls": matmuls(rounds),
        "train_on_batch": {net: overhead_of_train_on_batch(Task(net), max(rounds, 50)) for net in NETS},
    }))  # fmt: skip


if __name__ == "__main__":
    main()
