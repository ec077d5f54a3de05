"""Runs the benchmarks, which must be imported before NumPy, in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_python(folder, *arguments):
    """Run Python in a folder that gets the benchmarks; return the completed process.

    They lie there alone: beside them in a checkout lies a fastbp that may not be built.
    """
    if not (folder / "benchmarks").exists():
        (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    paths = filter(None, [str(folder), os.environ.get("PYTHONPATH")])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
