"""Did a commit make anything slower? ``python -m benchmarks.gate BASE [HEAD]`` ends with 1 and the names if so.

Runs ``asv continuous`` on a selection of the suite, both commits in turns on one CPU, and compares the fastest samples.
What is slower by more than a factor is measured once more, longer; only what is slower again is a regression.
``--noise N`` compares a commit with itself, which is how the factor was chosen, and ``--plant KERNEL`` proves that the
gate sees a kernel that takes 1.3 times as long. `benchmarks/README.md` has the figures.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys

import numpy as np

from .history import ROOT, asv, git, name_machine
from .selection import SELECTIONS, exactly

#: Slower by more than this is suspicious: noise does not reach it twice, 1.3 does.
FACTOR = 1.15
#: Processes of each commit and point, in turns; the second time the double.
ROUNDS = 4
#: What is planted.
PLANTED = 1.3

_PLANT = """
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef inline long long nanoseconds_now() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * 1000000000LL + now.tv_nsec


cdef api int {kernel}(
    real **buffers, const intptr_t *sizes, const double *attributes, const fastbp_primitive *primitives
) noexcept nogil:
    cdef long long start = nanoseconds_now(), end
    cdef int status = {kernel}_as_it_was(buffers, sizes, attributes, primitives)
    end = nanoseconds_now()
    end += <long long>({factor} * (end - start))
    while nanoseconds_now() < end:
        pass
    return status
"""


def configuration(root=ROOT):
    """Write asv's configuration with results of its own, which are not published; return its path."""
    from asv.util import load_json

    found = load_json(str(root / "asv.conf.json"), js_comments=True)
    folder = root / ".asv" / "gate"
    folder.mkdir(parents=True, exist_ok=True)
    # asv reads paths from where the file lies; a twin has the environments of the clone it was made from
    for name, place in (("repo", root), ("benchmark_dir", root), ("env_dir", ROOT)):
        found[name] = str((place / found[name]).resolve())
    found["build_command"] = [line.replace("{conf_dir}", str(root)) for line in found["build_command"]]
    found["results_dir"], found["html_dir"] = str(folder / "results"), str(folder / "html")
    path = folder / "asv.conf.json"
    path.write_text(json.dumps(found, indent=4))
    return path


def measure(base, head, expressions, rounds, cpu=None, root=ROOT):
    """Run both commits in turns.

    Returns
    -------
    dict of str to tuple
        (seconds of base, seconds of head) by point: arrays of samples, or None where a commit failed. Points that
        either skips are left out.
    """
    from asv.results import iter_results

    config = configuration(root)
    log = config.with_name("asv.log")
    bench = [word for expression in expressions for word in ("--bench", expression)]
    affinity = [] if cpu is None else ["--cpu-affinity", str(cpu)]
    with log.open("w") as file:
        done = asv(
            "--config", str(config), "continuous", base, head, "--interleave-rounds", "--show-stderr",
            "--attribute", f"rounds={rounds}", "--factor", str(FACTOR), *affinity, *bench,
            root=root, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    # 1: something is slower, says asv; 2: something failed, as the results say
    if done.returncode not in (0, 1, 2):
        raise RuntimeError(f"asv ended with {done.returncode}; see {log}")
    found = {r.commit_hash: r for r in iter_results(str(config.parent / "results"))}
    if base not in found or head not in found:
        raise RuntimeError(f"asv recorded nothing; see {log}")
    return compare(found[base], found[head], expressions)


def compare(base, head, expressions):
    """Return samples as `measure` does, from two of asv's results."""
    from asv.commands.compare import unroll_result

    points = {}
    for name in base.get_all_result_keys():
        if name not in head.get_all_result_keys():
            continue
        parameters = base.get_result_params(name)
        both = [(r.get_result_value(name, parameters), r.get_result_samples(name, parameters)) for r in (base, head)]
        sides = [unroll_result(name, parameters, *values) for values in both]
        for (point, *one), (_, *other) in zip(*sides, strict=True):
            if any(re.search(expression, point) for expression in expressions):
                pair = [None if value is None else samples for value, samples in (one, other)]
                skipped = any(value is not None and math.isnan(value) for value, _ in (one, other))
                if not skipped and pair != [None, None]:
                    points[point] = tuple(None if s is None else np.array(s, float) for s in pair)
    return points


def ratios(points):
    """Return by point how much longer head takes: of the fastest samples; infinity where only head fails."""
    return {
        point: math.inf if head is None else 0.0 if base is None else float(head.min() / base.min())
        for point, (base, head) in points.items()
    }


def slower(found, factor):
    """Return the points whose ratio is above the factor, the slowest first."""
    return sorted((p for p in found if found[p] > factor), key=found.get, reverse=True)


def judge(first, again, factor):
    """Return the regressions: what was slower both times, with the smaller ratio.

    Examples
    --------
    >>> judge({"a": 1.4, "b": 1.3, "c": 1.0}, {"a": 1.3, "b": 1.05}, 1.15)
    {'a': 1.3}
    """
    both = {p: min(first[p], again.get(p, 0.0)) for p in slower(first, factor)}
    return {p: both[p] for p in slower(both, factor)}


def gate(base, head, expressions, factor=FACTOR, rounds=ROUNDS, cpu=None, root=ROOT, say=print):
    """Return the regressions of head against base as {point: ratio}, and all ratios of the first run."""
    name_machine(root)
    first = ratios(measure(base, head, expressions, rounds, cpu, root))
    suspects = slower(first, factor)
    say(f"{len(first)} points; {spread_of(list(first.values()))}; above {factor}: {len(suspects)}")
    if not suspects:
        return {}, first
    again = ratios(measure(base, head, [exactly(p) for p in suspects], 2 * rounds, cpu, root))
    for point in suspects:
        say(f"  {first[point]:.2f}, then {again.get(point, 0.0):.2f}  {point}")
    return judge(first, again, factor), first


def spread_of(values):
    """Return the quantiles of ratios in words."""
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return "nothing to compare"
    least, low, middle, high, most = np.quantile(finite, (0, 0.05, 0.5, 0.95, 1))
    return f"ratios {least:.3f} to {most:.3f}, 5 % {low:.3f}, median {middle:.3f}, 95 % {high:.3f}"


def twin(root=ROOT, plant=None):
    """Return a clone with a commit on top of HEAD that changes nothing, or only makes one kernel slower."""
    clone = root / ".asv" / "twin"
    if not clone.exists():
        git("clone", "--quiet", "--no-checkout", str(root), str(clone), root=root)
    git("fetch", "--quiet", str(root), "HEAD", root=clone)
    git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD", root=clone)
    git("clean", "--quiet", "-fd", root=clone)
    if plant:
        slow_down(clone, plant)
    author = ["-c", "user.name=gate", "-c", "user.email=gate@localhost"]
    git(*author, "commit", "--quiet", "--all", "--allow-empty", "-m", f"Planted: {plant}", root=clone)
    return clone


def slow_down(root, kernel, factor=PLANTED):
    """Change a checkout so that a kernel of backend cython takes longer by a factor.

    Raises
    ------
    ValueError
        If there is no such kernel in ``kernels/cython_ext/*.pxi``.
    """
    for path in sorted((root / "kernels" / "cython_ext").glob("*.pxi")):
        text, head = path.read_text(), f"cdef api int {kernel}("
        if head in text:
            text = text.replace(head, f"cdef int {kernel}_as_it_was(")
            path.write_text(text + "\n" + _PLANT.format(kernel=kernel, factor=factor - 1))
            return
    raise ValueError(f"--plant: there is no kernel {kernel!r} in kernels/cython_ext; those from definitions are not")


def arguments():
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__.split("\n")[0])
    parser.add_argument("base", nargs="?", default="HEAD~1", help="default: HEAD~1")
    parser.add_argument("head", nargs="?", default="HEAD", help="default: HEAD")
    parser.add_argument("--selection", choices=SELECTIONS, default="gate", help="default: gate")
    parser.add_argument("--bench", action="append", help="a regular expression in place of a selection; repeatable")
    parser.add_argument("--factor", type=float, default=FACTOR, help=f"default: {FACTOR}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"processes a point and commit, default: {ROUNDS}")
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)), help="to run on; default: the last")
    parser.add_argument("--noise", type=int, metavar="N", help="compare HEAD with itself, N times")
    parser.add_argument("--plant", metavar="KERNEL", help=f"the same, but KERNEL takes {PLANTED}x as long")
    return parser.parse_args()


def main():
    """Run what the command line says; exit with 1 where something is slower."""
    options = arguments()
    expressions = options.bench or SELECTIONS[options.selection]
    common = options.factor, options.rounds, options.cpu
    if options.noise or options.plant:
        root = twin(plant=options.plant)
        names, repeats = ("HEAD~1", "HEAD"), options.noise or 1
    else:
        root, names, repeats = ROOT, (options.base, options.head), 1
    base, head = (git("rev-parse", "--verify", f"{name}^{{commit}}", root=root)[0] for name in names)
    every, found = [], {}
    for _ in range(repeats):
        regressions, first = gate(base, head, expressions, *common, root=root)
        found |= regressions
        every += first.values()
    if options.noise:
        print(f"{repeats} times the same commit, {len(every)} ratios: {spread_of(every)}")
        print("largest:", " ".join(f"{v:.3f}" for v in sorted(every)[-10:]))
    for point, ratio in found.items():
        print(f"slower by {ratio:.2f}: {point}")
    if not found:
        print(f"nothing is slower by more than {options.factor}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
