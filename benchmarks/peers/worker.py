"""The process in which one library works: ``python -m benchmarks.peers.worker NAME NUMERICS``.

It reads one JSON request a line and answers each with one line. With ``--once NET STEPS`` it trains so many steps
instead, prints the loss and the most memory that it ever held, and ends: a fresh process as a user starts one.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from ..images import task_of
from .image_libraries import IMAGE_PEERS
from .libraries import OWN, PEERS


def make(name, numerics, task):
    """Return the library's work on a task; every library starts from the same parameters."""
    parameters = task.initial_parameters(np.random.default_rng(1))
    if name in OWN:
        return OWN[name](task, parameters, numerics)
    return (PEERS.get(name) or IMAGE_PEERS[name])(task, parameters)


class Training:
    """Train steps."""

    def __init__(self, peer):
        self.unit, self.reset, self.run = peer.unit, peer.reset, peer.run
        steps = min(peer.task.batches, peer.task.validated)
        self.found = [float(loss) for loss in peer.run(-(-steps // peer.unit) * peer.unit)][:steps]


class Predictions:
    """Predictions of an array, again and again, or of one row after the other."""

    unit = 1

    def __init__(self, peer, rows):
        self.predict = peer.predictor(rows)
        self.inputs = inputs = peer.task.inputs(rows, 256)
        if self.predict is None:
            return
        # a jit may need several calls
        for x in inputs[:4]:
            self.predict(x)
        outputs = np.array(self.predict(inputs[0])[:8], np.float64)
        z = np.log(outputs) if peer.probabilities else outputs
        log_p = z - z.max(axis=1, keepdims=True)
        self.found = (log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))).ravel().tolist()

    def reset(self):
        pass

    def run(self, count):
        predict, inputs = self.predict, self.inputs
        for turn in range(0, count, len(inputs)):
            for x in inputs[: count - turn]:
                predict(x)


class Desk:
    """Answers requests."""

    def __init__(self, name, numerics):
        self.name, self.numerics, self.work, self.each = name, numerics, None, None

    def prepare(self, what, net):
        """Make a work ready; return what it found: losses, or log-probabilities, or None if it cannot do it."""
        self.work = None
        gc.collect()
        task = task_of(net)
        peer = make(self.name, self.numerics, task)
        if what == "train" and not peer.trains:
            return None
        work = Training(peer) if what == "train" else Predictions(peer, 1 if what == "row" else task.array_rows)
        if not hasattr(work, "found"):
            return None
        self.work, self.each = work, None
        return work.found

    def turn(self, seconds):
        """Work for about so many seconds; return (seconds of one step, share of a CPU that was had)."""
        work, unit = self.work, self.work.unit
        work.reset()
        gc.collect()
        gc.disable()
        try:
            # warm caches, and the first estimate of what a step takes
            while self.each is None or unit * self.each < 1e-7:
                work.run(unit)
                start = time.perf_counter()
                work.run(unit)
                self.each = (time.perf_counter() - start) / unit
            if unit * self.each < 10 * seconds:
                work.run(max(1, round(seconds / 10 / self.each / unit)) * unit)
            count = max(1, round(seconds / self.each / unit)) * unit
            start, cpu = time.perf_counter(), time.process_time()
            work.run(count)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - start
        finally:
            gc.enable()
        self.each = wall / count
        return self.each, cpu / wall


def peak_memory():
    """Return the most bytes that this process ever held in memory."""
    try:
        # not getrusage: its maximum survives exec, and would count the parent
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def once(name, numerics, net, steps):
    """Train some steps as a fresh process."""
    peer = make(name, numerics, task_of(net))
    losses = peer.run(-(-int(steps) // peer.unit) * peer.unit)
    return {"loss": float(losses[0]), "bytes": peak_memory()}


def main():
    """Serve."""
    # libraries may print: their words go to stderr
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, numerics, *rest = sys.argv[1:]
    if rest:
        print(json.dumps(once(name, numerics, *rest[1:])), file=answers)
        return
    desk = Desk(name, numerics)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(desk, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
