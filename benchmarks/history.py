"""The suite over the commits of main, unattended: ``python -m benchmarks.history``.

Runs asv for every commit since the first that had a suite, HEAD first and the others in an order that spreads, so that
a run that is broken off has seen all of history in coarse steps; started again it goes on. Commits are built by
`benchmarks/build.py`. Ends with a table of what each commit gave.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .selection import SELECTIONS

ROOT = Path(__file__).resolve().parents[1]


def environment():
    """Return the environment for asv: without what would choose another fastbp, or another level of it."""
    # importing benchmarks removed what steers BLAS and NumPy
    return {name: value for name, value in os.environ.items() if not name.startswith(("FASTBP_", "PYTHON"))}


def asv(*arguments, root=ROOT, **options):
    """Run asv in a clone, as a child process; return what `subprocess.run` returns."""
    return subprocess.run([sys.executable, "-m", "asv", *arguments], cwd=root, env=environment(), **options)


def name_machine(root=ROOT):
    """Let asv know the machine, with its own answers, unless it does: it would ask."""
    from asv.machine import Machine, MachineCollection

    known = Path(MachineCollection.get_machine_file_path())
    if not known.exists() or Machine.get_unique_machine_name() not in json.loads(known.read_text()):
        asv("machine", "--yes", root=root, check=True)


def git(*arguments, root=ROOT):
    """Return the lines that git prints."""
    done = subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.split("\n")[:-1]


def commits(root=ROOT):
    """Return the hashes of main's commits since the first with a suite, newest first."""
    first = git("log", "--first-parent", "--diff-filter=A", "--format=%H", "--", "asv.conf.json", root=root)[-1]
    return [*git("log", "--first-parent", "--format=%H", f"{first}..HEAD", root=root), first]


def spread(items):
    """Return the items in an order whose every beginning is spread over them: both ends, the middle, the quarters.

    Examples
    --------
    >>> spread("abcdefghi")
    ['a', 'i', 'e', 'c', 'g', 'b', 'd', 'f', 'h']
    """
    last = max(1, len(items) - 1)
    halvings = range(math.ceil(math.log2(last)) + 1) if items else ()
    order = [round(last * k / 2**n) for n in halvings for k in range(2**n + 1)]
    return [items[k] for k in dict.fromkeys(k for k in order if k < len(items))]


def run(selection="history", hashes=None, most=None, root=ROOT, options=()):
    """Run a selection over commits; return asv's exit status: 0, or 2 where a benchmark failed.

    Prints what asv does, without benchmarks; all of it is in ``.asv/history.log``.

    Parameters
    ----------
    selection : str
        Of `SELECTIONS`.
    hashes : list of str, optional
        By default all of `commits`.
    most : int, optional
        How many of them, spread over all.
    root : Path
        A clone; ``.asv/`` in it takes environments and results.
    options : sequence of str
        More for ``asv run``.
    """
    hashes = spread(commits(root) if hashes is None else hashes)[:most]
    name_machine(root)
    expressions = [word for expression in SELECTIONS[selection] for word in ("--bench", expression)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(hashes) + "\n")
        file.flush()
        # existing results of a commit stay as they are: a second run does what the first did not
        words = ["run", f"HASHFILE:{file.name}", "--skip-existing", "--show-stderr", *expressions, *options]
        command = [sys.executable, "-m", "asv", *words]
        return follow(command, root, root / ".asv" / "history.log")


def follow(command, root, log):
    """Run asv and print its lines as they come, down to commits and builds, not to benchmarks; return its status."""
    log.parent.mkdir(exist_ok=True)
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "bufsize": 1}
    options |= {"cwd": root, "env": environment()}
    with log.open("w", encoding="utf-8") as file, subprocess.Popen(command, **options) as process:
        for line in process.stdout:
            file.write(line)
            if line.strip() and "···" not in line and not line.startswith("  "):
                print(line, end="", flush=True)
    return process.returncode


def results(root=ROOT):
    """Return what asv recorded, as a dict of `asv.results.Results` by the commit's hash."""
    from asv.results import iter_results

    return {result.commit_hash: result for result in iter_results(str(root / ".asv" / "results"))}


def outcome(result):
    """Return how many points of a result were measured, skipped and failed, and where any failed.

    Points outside a selection count as skipped, too: asv records them alike.
    """
    measured = skipped = 0
    failed = []
    for name in result.get_all_result_keys():
        values = result.get_result_value(name, result.get_result_params(name))
        for value in values:
            if value is None:
                failed.append(name)
            elif math.isnan(value):
                skipped += 1
            else:
                measured += 1
    return measured, skipped, len(failed), sorted(set(failed))


def report(root=ROOT, out=sys.stdout):
    """Print a line for each commit with results, oldest first; return the number of failures."""
    found, failures = results(root), 0
    print("commit    build s  measured  skipped  failed", file=out)
    for commit in reversed(commits(root)):
        if commit in found:
            measured, skipped, failed, names = outcome(found[commit])
            failures += failed
            build = found[commit].duration.get("<build>", math.nan)
            line = f"{commit[:8]}  {build:7.1f}  {measured:8}  {skipped:7}  {failed:6}  {' '.join(names)}"
            print(line.rstrip(), file=out)
    return failures


def main():
    """Run what the command line says, then report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__.split("\n")[0])
    parser.add_argument("--selection", choices=SELECTIONS, default="history", help="default: history")
    parser.add_argument("--most", type=int, help="commits, spread over all (default: all)")
    parser.add_argument("--report", action="store_true", help="only print the table of what was run before")
    options = parser.parse_args()
    status = 0
    if not options.report:
        status = run(options.selection, most=options.most)
    sys.exit(1 if report() else status)


if __name__ == "__main__":
    main()
