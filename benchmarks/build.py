"""asv's build command: a wheel of any commit with what this machine runs, ``python build.py SOURCE FOLDER``.

A commit's ``setup.py`` builds each kernel for three CPU levels, one after another. Only the level that will be loaded
here is measured here, so the others are left out, and the rest is translated and compiled on all CPUs. Flags stay
the commit's own.
"""

import os
import re
import runpy
import sys
from pathlib import Path

# what a level has beyond the one below it, as far as Linux names it
_LEVELS = {
    "v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "v3": {"avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"},
}


def level_of(cpuinfo):
    """Return the CPU level that fastbp loads, from the text of ``/proc/cpuinfo``; None if it does not say."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    if not found:
        return None
    flags = set(found[1].split())
    if not flags >= _LEVELS["v3"]:
        return "v2"
    return "v4" if flags >= _LEVELS["v4"] else "v3"


def is_needed(name, level):
    """Return whether the extension module of that name is loaded on a CPU of that level."""
    found = re.search(r"\._f[48]_(v\d)$", name)
    return level is None or found is None or found[1] == level


def build(source, folder, level, jobs):
    """Run the ``setup.py`` of a checkout: it puts a wheel into the folder."""
    import Cython.Build

    every = Cython.Build.cythonize

    def cythonize(modules, **options):
        return every([m for m in modules if is_needed(m.name, level)], nthreads=jobs, **options)

    os.chdir(source)
    # the kernels' level is all that is changed, and all that can be: commits of the past stay as they are
    Cython.Build.cythonize = cythonize
    sys.path.insert(0, os.getcwd())
    sys.argv = ["setup.py", "--quiet", "build_ext", f"--parallel={jobs}", "bdist_wheel", f"--dist-dir={folder}"]
    runpy.run_path("setup.py", run_name="__main__")


def main():
    """Build what the command line says."""
    source, folder = sys.argv[1:]
    cpuinfo = Path("/proc/cpuinfo")
    level = level_of(cpuinfo.read_text()) if cpuinfo.exists() else None
    build(source, os.path.abspath(folder), os.environ.get("FASTBP_LEVEL") or level, len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    main()
