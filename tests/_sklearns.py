"""Estimators with the releases of scikit-learn of the last two years: the campaign "scikit-learns"."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import fastbp
from fastbp import kernels

#: Those that are installed one after another; the last is the newest there is.
RELEASES = ("==1.6.*", "==1.7.*", "==1.8.*", "")


def run(_, seed):
    """Run test_sklearn.py with each release, in an environment of its own; return the counts and the faults."""
    counts, faults = {}, []
    for release in RELEASES:
        name = release.strip("=.*") or "newest"
        with tempfile.TemporaryDirectory() as folder:
            home, place = Path(folder, "venv"), Path(folder, "package")
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
            wanted = [f"scikit-learn{release}", "pytest>=8", "pandas>=2", "dask", "distributed"]
            subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary=:all:", *wanted], check=True)
            # the package alone: beside it may lie the scikit-learn of this process
            place.mkdir()
            parts = [os.path.dirname(os.path.abspath(module.__file__)) for module in (fastbp, kernels)]
            for part in parts if parts[1] != os.path.join(parts[0], "kernels") else parts[:1]:
                (place / os.path.basename(part)).symlink_to(part)
            test = Path(__file__).with_name("test_sklearn.py")
            command = [python, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", test]
            environment = {**os.environ, "PYTHONPATH": str(place), "FASTBP_TEST_SEED": str(seed)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
        found = {what: int(n) for n, what in re.findall(r"(\d+) (passed|failed|skipped)", done.stdout)}
        counts[name] = {what: found.get(what, 0) for what in ("passed", "failed", "skipped")}
        if done.returncode:
            faults.append(f"{name}: {(done.stdout + done.stderr)[-4000:]}")
    return counts, faults
