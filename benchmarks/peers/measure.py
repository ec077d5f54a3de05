"""Rounds: fastbp and a peer take turns, each in its own process; the figure is the ratio of a round."""

import time
from contextlib import ExitStack

import numpy as np

from ..images import IMAGE_NETS
from .libraries import OWN
from .processes import Worker, fresh, missing

#: Single precision, other orders of summation: losses drift apart with the steps.
LOSS_TOLERANCE, OUTPUT_TOLERANCE = 2e-3, 2e-3
#: Of the few steps of nets of images.
IMAGE_LOSS_TOLERANCE = 3e-4


class Disagreement(Exception):
    """Two libraries did not compute the same: nothing of it is timed."""


def spread(values):
    """Return the median and the quartiles as a dict."""
    low, median, high = np.percentile(values, (25, 50, 75))
    return {"median": float(median), "quartiles": [float(low), float(high)]}


def agree(what, net, found):
    """Compare what the libraries found before timing: losses of the first steps, or log-probabilities.

    Parameters
    ----------
    what, net : str
    found : dict of str to list of float
        By library; the first is the yardstick.

    Returns
    -------
    dict of str to bool
        By library, whether its numbers are the first's, bit for bit.

    Raises
    ------
    Disagreement
        If one is not close.
    """
    of_losses = IMAGE_LOSS_TOLERANCE if net in IMAGE_NETS else LOSS_TOLERANCE
    tolerance = of_losses if what == "train" else OUTPUT_TOLERANCE
    (first, ours), *_ = arrays = [(name, np.array(values)) for name, values in found.items()]
    for name, values in arrays:
        off = np.abs(values / ours - 1) if what == "train" else np.abs(values - ours)
        worst = float(off.max()) if values.shape == ours.shape else float("inf")
        if not worst <= tolerance:
            raise Disagreement(f"{net}, {what}: {name} differs from {first} by up to {worst:.2g}")
    return {name: bool(np.array_equal(values, ours)) for name, values in arrays}


def rounds(workers, count, seconds, pause=0.0, exclusive=True):
    """Let prepared workers take turns.

    Parameters
    ----------
    workers : dict of str to Worker
    count : int
        Rounds; each begins with another worker, so that nobody always follows the same neighbour.
    seconds : float
        Of a turn.
    pause : float
        Seconds between turns, in which the threads of the last one stop looking for work.
    exclusive : bool
        Whether each has one CPU: then it is the CPU's time that counts, which other processes do not lengthen.

    Returns
    -------
    dict of str to ndarray
        Seconds of a step, by round.
    """
    names = list(workers)
    taken = {name: [] for name in names}
    for turn in range(count):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            time.sleep(pause)
            wall, share = workers[name].ask("turn", seconds=seconds)
            taken[name].append(wall * share if exclusive else wall)
    return {name: np.array(found) for name, found in taken.items()}


class Session:
    """How everything is measured.

    Parameters
    ----------
    numerics : tuple of str
        fastbp's, each measured.
    threads : int
    cpus : set of int or None
    rounds : int
    seconds : float
        Of a turn.
    """

    def __init__(self, numerics, threads, cpus, rounds, seconds):
        self.numerics, self.threads, self.cpus = numerics, threads, cpus
        self.rounds, self.seconds = rounds, seconds
        self.pause = 0.0 if threads == 1 else 0.05

    def worker(self, name, numerics="numpy"):
        """Start a library's process."""
        return Worker(name, self.threads, self.cpus, numerics)

    def compare(self, name, tasks, tell=lambda text: None):
        """Measure one peer beside `fit` in all numerics.

        Parameters
        ----------
        name : str
        tasks : list of (what, net)
        tell : callable
            Called with a line where something could not be measured.

        Yields
        ------
        dict
            "what", "net", "peer", "us", "own": {numerics: {"us", "ratio", "same bits"}}.
        """
        with ExitStack() as stack:
            own = {f"fastbp {n}": stack.enter_context(self.worker("fit", n)) for n in self.numerics}
            # fastbp's other ways are measured in each numerics
            kinds = self.numerics if name in OWN else ("",)
            others = {
                f"{name} {n}".strip(): stack.enter_context(self.worker(name, n or "numpy")) for n in kinds
            }  # fmt: skip
            for what, net in tasks:
                workers = {**own, **others}
                try:
                    found = {key: worker.ask("prepare", what=what, net=net) for key, worker in workers.items()}
                    if any(found[key] is None for key in others):
                        continue
                    same = agree(what, net, found)
                    taken = rounds(workers, self.rounds, self.seconds, self.pause, self.threads == 1)
                except (RuntimeError, Disagreement) as error:
                    tell(f"{net}, {what}: {error}")
                    if isinstance(error, RuntimeError):
                        return
                    continue
                for key in others:
                    mine = [key.split()[1]] if name in OWN else self.numerics
                    yield {
                        "what": what, "net": net, "peer": key, "us": float(np.median(taken[key])) * 1e6,
                        "same bits": same[key],
                        "own": {
                            n: {"us": float(np.median(ours)) * 1e6, "ratio": spread(taken[key] / ours)}
                            for n, ours in ((n, taken[f"fastbp {n}"]) for n in mine)
                        },
                    }  # fmt: skip

    def fresh(self, jobs, net, steps, count):
        """Train the first steps in fresh processes, in alternation.

        Parameters
        ----------
        jobs : list of (name, numerics)
        net : str
        steps, count : int
            Steps of a process (as many more as the library takes at once), processes of each job.

        Returns
        -------
        list of dict
            "peer", "numerics", "ms" (median and quartiles), "mb".
        """
        found = {job: [] for job in jobs}
        # the first of each only fills caches of compiled code
        for turn in range(count + 1):
            for name, numerics in jobs:
                taken = fresh(name, net, steps, self.threads, self.cpus, numerics)
                if turn or count == 0:
                    found[name, numerics].append(taken)
        return [
            {
                "peer": name, "numerics": numerics, "ms": spread([1e3 * one["seconds"] for one in taken]),
                "mb": float(np.median([one["bytes"] for one in taken])) / 1e6,
            }
            for (name, numerics), taken in found.items()
        ]  # fmt: skip

    def threads_pay(self, nets, cpus, tell=lambda text: None):
        """Measure `fit` on all CPUs beside `fit` on one.

        Parameters
        ----------
        nets : list of str
        cpus : set of int
        tell : callable

        Yields
        ------
        dict
            "net", "numerics", "ratio": how many times faster on all.
        """
        for numerics in self.numerics:
            with Worker("fit", 1, cpus, numerics) as one, Worker("fit", len(cpus), cpus, numerics) as all_:
                for net in nets:
                    workers = {"one": one, "all": all_}
                    try:
                        for worker in workers.values():
                            worker.ask("prepare", what="train", net=net)
                        taken = rounds(workers, self.rounds, self.seconds, 0.05, exclusive=False)
                    except RuntimeError as error:
                        tell(f"{net}, threads: {error}")
                        break
                    yield {"net": net, "numerics": numerics, "ratio": spread(taken["one"] / taken["all"])}


def measurable(names, tell):
    """Return the peers that can be measured here; names the others and why."""
    found = []
    for name in names:
        if why := missing(name):
            tell(f"skipped {name}: {why}")
        else:
            found.append(name)
    return found
