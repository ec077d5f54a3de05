"""Run fastbp beside other libraries: ``python -m benchmarks.peers``.

Prints microseconds per train step and how many times longer each peer takes, then which claims hold.
Losses are compared before anything is timed.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..common import FIRST_STEP, NETS, Task, alternate, make_model, run_python
from . import plain_numpy
from .claims import latency_claims, speed_claims
from .libraries import PEERS

_PACKAGES = {"jax": "jax", "torch": "torch", "sklearn": "scikit-learn"}
# single precision, other orders of summation: losses drift apart within an epoch
_TOLERANCE = 2e-3


def arguments():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--peers", default="numpy,numpy_out,jax", help=f"of {', '.join(list(PEERS)[2:])}")
    parser.add_argument("--nets", default=",".join(NETS), help=f"of {', '.join(NETS)}")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each job (default 15)")
    parser.add_argument("--cpu", type=int, help="the CPU to run on (default: the last one that is allowed)")
    parser.add_argument("--claims", action="store_true", help="exit with 1 if a claim fails or is not measured")
    parser.add_argument("--allowance", type=float, default=0.0, help="fraction of a limit to forgive (default 0)")
    parser.add_argument("--json", help="write everything to this file")
    options = parser.parse_args()
    options.peers, options.nets = options.peers.split(","), options.nets.split(",")
    for name, known in (("peers", list(PEERS)[2:]), ("nets", NETS)):
        if unknown := set(getattr(options, name)) - set(known):
            parser.error(f"--{name}: there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if absent := [_PACKAGES[p] for p in options.peers if p in _PACKAGES and find_spec(p) is None]:
        parser.error(f"--peers: {', '.join(absent)} is not installed: pip install it, or name other peers")
    return options


def one_thread(cpu):
    """Keep this process and its children on one CPU, before any library makes its threads."""
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    if hasattr(os, "sched_setaffinity"):
        cpu = max(os.sched_getaffinity(0)) if cpu is None else cpu
        os.sched_setaffinity(0, {cpu})
    return cpu


def machine(cpu, peers):
    """Return what the figures were measured on."""
    from fastbp._show_versions import versions

    wanted = ("fastbp", "python", "numpy", "cpu", "kernels", "blas", "advice")
    found = {name: value for name, value in versions().items() if name in wanted}
    found |= {package: importlib.metadata.version(package) for name, package in _PACKAGES.items() if name in peers}
    return {**found, "pinned to cpu": cpu, "load average": " ".join(f"{load:.1f}" for load in os.getloadavg())}


def validate(net, jobs, task):
    """Compare the losses of every job's first epoch with fastbp's.

    Raises
    ------
    SystemExit
        Where they are not equal in bits, or for another library not close.
    """
    losses = {name: np.array(job.run()[: task.batches], np.float32) for name, job in jobs.items()}
    ours = losses["fit"]
    for name, job in jobs.items():
        if job.exact and not np.array_equal(losses[name].view(np.uint32), ours.view(np.uint32)):
            at = int(np.flatnonzero(losses[name] != ours)[0])
            raise SystemExit(f"{net}: {job.label} and fastbp differ at step {at}: {losses[name][at]!r}, {ours[at]!r}")
        worst = float(np.max(np.abs(losses[name] / ours - 1)))
        if not worst <= _TOLERANCE:
            raise SystemExit(f"{net}: {job.label}'s losses differ from fastbp's by up to {worst:.1%}")


def overhead_of_train_on_batch(task, rounds):
    """Return the microseconds that `train_on_batch` takes beside its kernels, and those that `fit` gathers a batch in.

    What it adds to a step of `fit` is the difference of the two: too little to be seen as the difference of
    steps that take milliseconds.
    """
    model = make_model(task.widths, "cython")
    batches = task.first_epoch()
    model.train_on_batch(*batches[0])
    step, first, _, commit, capacity = model._train_step
    model._train_step = (step, first, first, commit, capacity)

    def calls():
        for x, y in batches:
            model.train_on_batch(x, y)

    program = model.program
    executor, runner = program.executor, program.executor.runner
    order = np.random.default_rng(task.seed).permutation(len(task.x))
    index, span = program.find("index").number, (*program.span("gather"), program.commit)
    addresses = [order[start:].ctypes.data for start in range(0, len(order), task.batch)]

    def gathers():
        for address in addresses:
            runner.bind(index, address)
            runner.run(*span)

    def before(_):
        for name, array in (("x", None), ("y_true", None), ("x_source", task.x), ("y_source", task.y)):
            executor.bind(program.find(name), array)
        runner.set_batch(task.batch)

    seconds = alternate({"calls": calls, "gathers": gathers}, rounds, before)
    return tuple(float(np.median(seconds[name]) / task.batches * 1e6) for name in ("calls", "gathers"))


def compare(net, peers, rounds):
    """Return one net's figures: per job the microseconds of a step and the ratios to `fit`."""
    task = Task(net)
    parameters = plain_numpy.initial_parameters(task.widths, np.random.default_rng(1))
    jobs = {name: PEERS[name](task, parameters) for name in ("fit", "train_on_batch", *peers)}
    validate(net, jobs, task)
    cpu, wall = time.process_time(), time.perf_counter()
    runs = {name: job.run for name, job in jobs.items()}
    seconds = alternate(runs, rounds, before=lambda name: jobs[name].reset())
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    figures = {}
    for name, job in jobs.items():
        ratios = seconds[name] / seconds["fit"]
        figures[name] = {
            "label": job.label,
            "us": float(np.median(seconds[name]) / task.steps * 1e6),
            "ratio": float(np.median(ratios)),
            "quartiles": [float(q) for q in np.percentile(ratios, (25, 75))],
        }
    beside, gather = overhead_of_train_on_batch(task, max(rounds, 50))
    return {
        "steps": task.steps, "cpu share": share, "jobs": figures,
        "train_on_batch": {"beside its kernels us": beside, "gather of fit us": gather},
    }  # fmt: skip


def one_row(rounds):
    """Return the microseconds of predicting one row of 64-128-10, by fastbp and by plain NumPy."""
    task = Task(NETS[1])
    model = make_model(task.widths, "cython")
    parameters = model.get_weights()
    rows = [task.x[i : i + 1] for i in range(1000)]
    assert np.array_equal(model.predict(rows[0]), plain_numpy.predict(parameters, rows[0]))

    def ours():
        for row in rows:
            model.predict(row)

    def numpys():
        for row in rows:
            plain_numpy.predict(parameters, row)

    seconds = alternate({"fastbp": ours, "numpy": numpys}, rounds)
    return {name: float(np.median(values) / len(rows) * 1e6) for name, values in seconds.items()}


def startup(rounds):
    """Return the milliseconds of imports and of whole processes that train one step."""
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


def show(net, figures):
    """Print one net's table."""
    print(f"\n{net}: {figures['steps']} steps a round, CPU share {figures['cpu share']:.2f}")
    for job in figures["jobs"].values():
        low, high = job["quartiles"]
        print(f"  {job['label']:<22} {job['us']:>10.2f} us  {job['ratio']:>7.2f}x  ({low:.2f} .. {high:.2f})")
    beside, gather = figures["train_on_batch"].values()
    print(f"  train_on_batch beside its kernels {beside:.2f} us, the gather of a fit step {gather:.2f} us")


def main():
    """Measure, print, and judge."""
    options = arguments()
    cpu = one_thread(options.cpu)
    report = {"machine": machine(cpu, options.peers), "rounds": options.rounds, "nets": {}}
    for name, value in report["machine"].items():
        print(f"{name:<14} {value}")
    # fresh processes first, while this one holds no other library
    report["startup"], report["interrupt ms"] = startup(options.rounds), interrupts()
    report["predict us"] = one_row(options.rounds)
    print("\nA step: float32, Adam, softmax cross-entropy, one thread. Medians of alternating rounds; the ratio is")
    print(f"the peer's time over that of fastbp's fit in the same round, with its quartiles. {options.rounds} rounds.")
    claims = []
    for net in options.nets:
        figures = report["nets"][net] = compare(net, options.peers, options.rounds)
        show(net, figures)
        ratios = {name: job["ratio"] for name, job in figures["jobs"].items()}
        claims += speed_claims(net, ratios, *figures["train_on_batch"].values())
    first, predict = report["startup"]["first step ms"], report["predict us"]
    print(f"\nfirst step of a fresh process: fastbp {first['fastbp']:.0f} ms, plain NumPy {first['numpy']:.0f} ms")
    print(f"one row of 64-128-10: fastbp {predict['fastbp']:.2f} us, plain NumPy {predict['numpy']:.2f} us")
    claims += latency_claims(
        predict["fastbp"], report["startup"]["import ms"], report["startup"]["first step ratio"],
        max(report["interrupt ms"]),
    )  # fmt: skip
    missing = {"numpy", "jax"} - set(options.peers) or set(NETS) - set(options.nets)
    print(f"\nClaims (allowance {options.allowance:.0%})")
    for claim in claims:
        print(f"  {claim.line(options.allowance)}")
    if missing:
        print(f"  not measured: {', '.join(sorted(missing))}")
    report["claims"] = [claim.as_dict(options.allowance) for claim in claims]
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=2) + "\n")
    return int(options.claims and bool(missing or not all(claim.holds(options.allowance) for claim in claims)))


if __name__ == "__main__":
    sys.exit(main())
