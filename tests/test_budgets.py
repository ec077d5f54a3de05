"""What fastbp may cost before it trains: its import, the first step of a process. `test_packaging.py` has its size.

Timings live in the benchmarks; these two are promises. What counts is the CPU's time and not the clock's, of processes
that take turns, and the best of each: other work on the machine moves that least. If it is too long, there are more.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource", reason="needs a system of POSIX")

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "peers"
ROUNDS, TRIES = 5, 12
#: Optional packages. threadpoolctl is one, too, and imported where it is installed: it must learn of the pool.
OPTIONAL = ("graphviz", "numba", "llvmlite", "matplotlib", "tqdm", "scipy", "sklearn", "pandas", "torch")


def run(*arguments):
    """Run Python; return what it prints and the CPU's seconds of its process."""
    # bytecode is written once, as at a user's
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def lowest(measure, budget):
    """Return the lowest figure of some tries; the first within the budget ends them."""
    figures = []
    while len(figures) < TRIES and not any(figure <= budget for figure in figures):
        figures.append(measure())
        print(figures)
    return min(figures)


@pytest.mark.slow
def test_import_takes_two_thirds_of_numpys():
    # of this thread: NumPy's BLAS has others that wait busily; a slow machine makes both longer
    program = (
        "from time import thread_time as now; a = now(); import numpy; b = now(); import fastbp; "
        "print((now() - b) / (b - a))"
    )
    run("-c", program)
    assert lowest(lambda: min(float(run("-c", program)[0]) for _ in range(ROUNDS)), 0.67) <= 0.67


@pytest.mark.slow
@pytest.mark.skipif(not SCRIPTS.is_dir(), reason="the tests lie outside a source tree")
def test_the_first_step_takes_1_3_times_a_numpy_script():
    pair = [SCRIPTS / f"{name}.py" for name in ("first_step", "plain_numpy")]

    def measure():
        seconds = [[run(script)[1] for script in pair] for _ in range(ROUNDS)]
        ours, numpys = map(min, zip(*seconds, strict=True))
        return ours / numpys

    losses = [float(run(script)[0]) for script in pair]
    assert all(0 < loss < 10 for loss in losses)
    assert lowest(measure, 1.3) <= 1.3


def test_import_takes_along_no_optional_package():
    loaded = run("-c", "import sys, fastbp; print(' '.join(sys.modules))")[0].split()
    assert "fastbp.model" in loaded and not {name.partition(".")[0] for name in loaded} & set(OPTIONAL)
