"""The trials that take long: ``python -m tests.campaign NAME`` runs one in full, without a name it lists them.

A campaign finds faults by numbers: interrupts at random moments, damaged files, kills, other CPUs and NumPys. .ci/run
runs a sample of each with a new seed (`test_campaign.py`, and the tests that the others are made of). What was found
last, by which commit and on what machine, goes into ``docs/campaigns.json`` and from there onto a page of the docs.
"""

import argparse
import datetime
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS, PAGE = "campaigns.json", "campaigns.md"
_INTRODUCTION = """\
# Campaigns

Some faults are found by numbers only. Each campaign below was run in full by the command

    python -m tests.campaign NAME

in a clone, with what `pip install -e ".[dev]"` installs; `.ci/run` runs a sample of each with a new seed. What they
found last:
"""


@dataclass(frozen=True)
class Campaign:
    """One kind of trial.

    `module`.`function` takes an amount and a seed, and returns counts by name and a list of faults; what an amount
    is, is the function's own: a number of trials, or which tests pytest chooses.
    """

    about: str
    module: str
    function: str
    full: int | str
    sample: int | str

    def run(self, amount, seed):
        return getattr(import_module(self.module), self.function)(amount, seed)


CAMPAIGNS = {
    "interrupts": Campaign(
        "Ctrl-C at random moments of fit, predict, evaluate, train_on_batch and compile: afterwards the model is the "
        "one of a whole step, and every thread can use, train and save it",
        "_interrupts", "run", 1000, 30,
    ),
    "fuzz": Campaign(
        "Damaged model, checkpoint and history files, some with the right hash of wrong content, and calls with odd "
        "arguments: a clear error before anything changed, or the right result",
        "_fuzz", "run", 20_000, 500,
    ),
    "kills": Campaign(
        "SIGKILL at random moments of a run with a checkpoint, which then goes on: the files are those of a run that "
        "was not killed, byte for byte",
        "test_resume", "kills", 1000, 4,
    ),
    "sanitizers": Campaign(
        "Kernels, programs, the runner, bad input and files with extension modules built with gcc's sanitizers of "
        "addresses and of undefined behaviour: no report",
        "_watched", "run", "", "not slow",
    ),
    "cpus": Campaign(
        "Every kernel and whole trainings as other CPUs, by the settings of NumPy, OpenBLAS, the C library and fastbp: "
        "NumPy's bits, and one hash in portable numerics",
        "test_portability", "cpus", "", "not slow",
    ),
    "numpys": Campaign(
        "The same with other versions of NumPy, the oldest and the newest among them",
        "test_portability", "numpys", "", "not slow",
    ),
    "scikit-learns": Campaign(
        "Estimators with the releases of scikit-learn of the last two years, its own checks of estimators among the "
        "tests",
        "_sklearns", "run", "", "",
    ),
}  # fmt: skip


def commit():
    """Return the hash of HEAD, and whether the clone differs from it."""
    git = lambda *words: subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()  # noqa: E731
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs")
    return git("rev-parse", "--short=10", "HEAD") + (" and changes" if changed else "")


def machine():
    """Return what the results depend on."""
    import numpy as np

    from fastbp.kernels import cython_ext

    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    return {
        "cpu": f"{cpu or 'unknown'}, level {cython_ext.level()}, {os.cpu_count()} CPUs",
        "versions": f"Python {sys.version.split()[0]}, NumPy {np.__version__}",
    }


def _lines(path):
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def page(results):
    """Return the page about all results as text."""
    lines = [_INTRODUCTION]
    for name in CAMPAIGNS:
        lines += [f"## {name}", "", f"{CAMPAIGNS[name].about}.", ""]
        if (found := results.get(name)) is None:
            lines += ["Not run yet.", ""]
            continue
        parts = found["counts"]
        columns = list(dict.fromkeys(column for counts in parts.values() for column in counts))
        lines += [f"| | {' | '.join(columns)} |", "| --- |" + " ---: |" * len(columns)]
        lines += [
            f"| {part} | {' | '.join(str(counts.get(c, '')) for c in columns)} |" for part, counts in parts.items()
        ]
        lines += ["", f"{found['faults'] or 'No'} fault{'s' * (found['faults'] != 1)}. "
                  f"{found['date']}, commit {found['commit']}, seed {found['seed']}, {found['minutes']} minutes; "
                  f"{found['cpu']}; {found['versions']}.", ""]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def write(results, docs):
    (docs / RESULTS).write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (docs / PAGE).write_text(page(results))


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m tests.campaign", description=__doc__.partition("\n")[0])
    parser.add_argument("name", nargs="?", choices=CAMPAIGNS, help="which; without it they are listed")
    parser.add_argument("--sample", action="store_true", help="as little as .ci/run does; the page stays as it is")
    parser.add_argument("--seed", type=int, help="the seed of an earlier run; default: a new one")
    options = parser.parse_args(arguments)
    if options.name is None:
        for name, campaign in CAMPAIGNS.items():
            print(f"{name:15}{campaign.about}.")
        return 0
    campaign, begin = CAMPAIGNS[options.name], time.monotonic()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"{options.name}: seed {seed}", flush=True)
    counts, faults = campaign.run(campaign.sample if options.sample else campaign.full, seed)
    for part, found in counts.items():
        print(f"{part}: " + ", ".join(f"{number} {what}" for what, number in found.items()))
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults")
    if not options.sample:
        results = json.loads((ROOT / "docs" / RESULTS).read_text()) if (ROOT / "docs" / RESULTS).exists() else {}
        results[options.name] = {
            "counts": counts, "faults": len(faults), "seed": seed, "commit": commit(),
            "date": datetime.date.today().isoformat(), "minutes": round((time.monotonic() - begin) / 60), **machine(),
        }  # fmt: skip
        write(results, ROOT / "docs")
    return bool(faults)


if __name__ == "__main__":
    # the installed package comes first: beside this folder lies one whose modules may not be built
    sys.path.append(sys.path.pop(0))
    sys.path.append(str(HERE))
    os.environ["PYTHONSAFEPATH"] = "1"
    sys.exit(main())
