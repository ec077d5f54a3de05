"""The suite with extension modules that watch their memory and their arithmetic: a report of theirs is a fault.

The modules are built from a copy of the sources with gcc's sanitizers of addresses and of undefined behaviour. Python
is not built so: the sanitizers are loaded before it, and what arrays ask for goes to malloc, which is watched.
"""

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from fastbp.kernels import cython_ext

ROOT = Path(__file__).parents[1]
FLAGS = "-fsanitize=address,undefined -fno-omit-frame-pointer"
#: Tests by what Python takes its memory from. Kernels see that of arrays alone, which is malloc's with any; the others
#: see that of objects, and take twice as long where it is watched.
FILES = {"pymalloc": ("kernels",), "malloc": ("program", "runner", "bad_input", "io")}
LEVELS = ("v3", "v4")
#: These count what is allocated, which the sanitizers do too, or hit moments that are elsewhere in slower modules, or
#: need every level.
LEFT_OUT = "not memory_does_not_grow and not no_allocation_per_step and not ctrl_c and not level"
#: One item beyond the end of an array is read, and seen.
PLANTED = """
import numpy as np
from fastbp.kernels import load, primitives_address
from fastbp.kernels.primitives import call
x, y = np.ones(5000, "f"), np.ones(5001, "f")
arrays = [x.ctypes.data, y.ctypes.data]
call(load("cython", "float32")["relu_forward"], primitives_address("float32"), arrays, [5001], [])
"""


class Watched:
    """A copy of the package whose extension modules are watched.

    Parameters
    ----------
    folder : path-like
        Where to build it.
    levels : sequence of str
        CPU levels to build it for.
    """

    def __init__(self, folder, levels):
        self.folder, self.reports = Path(folder) / "package", Path(folder) / "reports"
        self.reports.mkdir()
        for part in ("fastbp", "kernels", "tests"):
            shutil.copytree(ROOT / part, self.folder / part, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", self.folder)
        # names of functions in the reports; a third of the time that -O2 takes, with the same checks
        text, wanted = (ROOT / "setup.py").read_text(), f"LEVELS = {{level: LEVELS[level] for level in {levels}}}\n"
        changes = ('["-Wl,-s"]', "[]"), ('"-g0"', '"-g1"'), ('"-O2"', '"-O1"'), ("missing =", f"{wanted}missing =")
        for said, instead in changes:
            assert said in text, said
            text = text.replace(said, instead)
        (self.folder / "setup.py").write_text(text)
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", f"-j{os.cpu_count()}"]
        environment = {**os.environ, "CFLAGS": FLAGS, "LDFLAGS": FLAGS}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-4000:]

    def run(self, level, malloc, *arguments):
        """Run Python with the watched package; return the completed process and the reports, which are then gone."""
        libraries = [
            subprocess.run(
                ["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
            ).stdout.strip()
            for name in ("libasan.so", "libubsan.so")
        ]
        log = self.reports / "report"
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(libraries),
            "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:log_path={log}",
            "UBSAN_OPTIONS": f"print_stacktrace=1:log_path={log}",
            "PYTHONMALLOC": malloc,
            "PYTHONPATH": str(self.folder),
            "FASTBP_TEST_BACKENDS": "cython",
            "FASTBP_TEST_LEVELS": level,
            "FASTBP_LEVEL": level,
        }
        command = [sys.executable, "-P", *map(str, arguments)]
        done = subprocess.run(command, cwd=self.reports.parent, env=environment, capture_output=True, text=True)
        texts = []
        for path in sorted(self.reports.iterdir()):
            texts.append(path.read_text())
            path.unlink()
        return done, texts


def run(which, seed):
    """Run the tests that pytest's ``-m`` chooses, a part of them at one level; return the counts and the reports."""
    counts, faults = {}, []
    levels = [level for level in LEVELS if level in cython_ext.levels()]
    with tempfile.TemporaryDirectory() as folder:
        levels = random.Random(seed).sample(levels, 1) if which else levels
        watched = Watched(folder, levels)
        options = ["-q", "--import-mode=importlib", "-p", "no:cacheprovider", "-m", which, "-k", LEFT_OUT]
        for level in levels:
            counts[level] = {"passed": 0, "reports": 0}
            for malloc, names in FILES.items():
                done, texts = watched.run(level, malloc, "-c", PLANTED)
                assert done.returncode and "heap-buffer-overflow" in "".join(texts), f"blind: {done.stderr}{texts}"
                files = [watched.folder / "tests" / f"test_{name}.py" for name in names]
                done, texts = watched.run(level, malloc, "-m", "pytest", *options, *files)
                passed = re.search(r"(\d+) passed", done.stdout)
                counts[level]["passed"] += int(passed[1]) if passed else 0
                counts[level]["reports"] += len(texts)
                faults += texts
                if done.returncode:
                    faults.append(done.stdout[-4000:] + done.stderr[-2000:])
    return counts, faults
