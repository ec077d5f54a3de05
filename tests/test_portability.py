"""The exactness tests again as other CPUs and with other NumPy versions: the bits change, the promise holds."""

import os
import platform
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

import fastbp
from fastbp import kernels
from fastbp.kernels import cython_ext

pytestmark = pytest.mark.slow

HERE = os.path.dirname(os.path.abspath(__file__))
IN_USE = [name for name in __cpu_dispatch__ if __cpu_features__[name]]
X86 = platform.machine().lower() in ("x86_64", "amd64")
#: These would decide what a subprocess is to find out.
OURS = ("NPY_DISABLE_CPU_FEATURES", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "GLIBC_TUNABLES", "FASTBP_LEVEL")


#: OpenBLAS's names of CPUs with AVX2, with AVX, with neither.
CORES = ("Haswell", "Sandybridge", "Prescott")
#: The kernels that call the BLAS.
PRODUCTS = "(matmul or dense or triplet or convolve)"


def run_suite(python=sys.executable, which="test", whole=False, **settings):
    """Run the tests of kernels of some names and whole trainings in a process of its own; return pytest's output.

    Without `whole`, of portable numerics the hashes alone, which stand for every kernel, and one level of the modules;
    of the kernels' matrix what the short suite has of it.
    """
    environment = {key: value for key, value in os.environ.items() if key not in OURS}
    names = ("test_kernels.py", "test_primitives.py", "test_training_exact.py", "test_portable.py")
    files = [os.path.join(HERE, name) for name in names]
    chosen = ["-m", "not slow", "-k", f"(hash or not portable and not expression) and ({which} or not test_kernels)"]
    if not whole:
        # what another NumPy changes, one level shows; all levels are compared in this process
        settings = {"FASTBP_TEST_LEVELS": settings.get("FASTBP_LEVEL", cython_ext.level()), **settings}
    # -P: an installed package must not be hidden by a checkout in the current directory
    command = [python, "-P", "-m", "pytest", "-p", "no:cacheprovider", "--import-mode=importlib", *files]
    command += [] if whole else chosen
    done = subprocess.run(command, env={**environment, **settings}, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-8000:]
    assert number_passed(output) > 500, output[-8000:]
    return output


def number_passed(output):
    passed = re.search(r"(\d+) passed", output)
    return int(passed[1]) if passed else 0


def without_avx512():
    return [name for name in IN_USE if "AVX512" in name or name == "X86_V4"]


@pytest.mark.parametrize("disabled", [IN_USE, without_avx512()], ids=["baseline", "no-avx512"])
def test_numpy_of_another_cpu(disabled):
    if not disabled:
        pytest.skip("NumPy uses nothing on this CPU that could be disabled")
    output = run_suite(NPY_DISABLE_CPU_FEATURES=" ".join(disabled))
    left = [name for name in IN_USE if name not in disabled]
    assert f"CPU features in use: {' '.join(left) or 'baseline'}\n" in output


@pytest.mark.skipif(not X86, reason="the names are of x86 CPUs")
@pytest.mark.parametrize("core", CORES)
def test_blas_of_another_cpu(core):
    # OpenBLAS takes one set of kernels for all CPUs before AVX and calls it by the oldest's name
    names = {"Prescott": "(Prescott|Katmai)"}
    if "openblas" not in np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]:
        pytest.skip("this NumPy has another BLAS")
    environment = {**os.environ, "OPENBLAS_CORETYPE": core, "OPENBLAS_VERBOSE": "2"}
    found = subprocess.run([sys.executable, "-c", "import numpy"], env=environment, capture_output=True, text=True)
    assert re.search(f"Core: {names.get(core, core)}", found.stdout + found.stderr)
    # the products of CPUs before AVX depend on where operands lie, and patches lie elsewhere than in a stack of them
    run_suite(which=PRODUCTS + " and not convolve" * (core == "Prescott"), OPENBLAS_CORETYPE=core)


def test_two_blas_threads():
    run_suite(which=PRODUCTS, OPENBLAS_NUM_THREADS="2")


# the highest is the one that every other test uses
@pytest.mark.parametrize("level", cython_ext.levels()[:-1])
def test_kernels_of_another_cpu(level):
    assert f"level in use: {level}\n" in run_suite(FASTBP_LEVEL=level)


#: The C library without vectors and fused multiply-adds.
OLD_LIBM = {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4"}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or not X86, reason="a setting of glibc for x86")
def test_libm_of_another_cpu():
    run_suite(**OLD_LIBM)
    # no fused multiply-add at all, not even inside the C library's fma
    run_suite(**OLD_LIBM, FASTBP_LEVEL=cython_ext.levels()[0])


#: The first NumPy with wheels for this Python, the last that fed its sums in portions, the newest.
OLDEST = {(3, 11): "2.0", (3, 12): "2.0", (3, 13): "2.1"}.get(sys.version_info[:2], "2.3")
VERSIONS = [f"=={OLDEST}.*", *(["==2.2.*"] if OLDEST < "2.2" else []), ""]


def run_with_numpy(version, folder, **options):
    """Run the suite with another NumPy, which is installed in a folder; return pytest's output."""
    home, place = folder / "venv", folder / "package"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "-q", "--only-binary=:all:", f"numpy{version}", "pytest>=8"]
    subprocess.run(install, check=True)
    # the package alone, built against another NumPy: beside it may lie the NumPy of this process
    place.mkdir()
    parts = [os.path.dirname(os.path.abspath(module.__file__)) for module in (fastbp, kernels)]
    for part in parts if parts[1] != os.path.join(parts[0], "kernels") else parts[:1]:
        (place / os.path.basename(part)).symlink_to(part)
    return run_suite(python, PYTHONPATH=str(place), FASTBP_TEST_BACKENDS="cython", **options)


@pytest.mark.parametrize("version", VERSIONS, ids=[v.strip("=.*") or "newest" for v in VERSIONS])
def test_another_numpy(version, tmp_path):
    output = run_with_numpy(version, tmp_path)
    found = re.search(r"NumPy (\d+\.\d+)\.\S+, CPU", output)[1]
    assert version in ("", f"=={found}.*")
    assert "builds under test: cython" in output


# -------------------------------------------------------------------------------------- campaigns
def replays(runs, seed):
    """Run suites, which are functions of options; return the counts and the faults."""
    counts, faults = {}, []
    for name, run in runs.items():
        try:
            output = run(FASTBP_TEST_SEED=str(seed))
        except (AssertionError, subprocess.CalledProcessError) as error:
            output = ""
            faults.append(f"{name}: {error}")
        counts[name] = {"passed": number_passed(output)}
    return counts, faults


def cpus(which, seed):
    """Replay other CPUs: of the tests, all or those of the short suite."""
    settings = {"NumPy's baseline": {"NPY_DISABLE_CPU_FEATURES": " ".join(IN_USE)}}
    settings["NumPy without AVX-512"] = {"NPY_DISABLE_CPU_FEATURES": " ".join(without_avx512())}
    settings |= {f"OpenBLAS {core}": {"OPENBLAS_CORETYPE": core} for core in CORES}
    settings["two threads of OpenBLAS"] = {"OPENBLAS_NUM_THREADS": "2"}
    settings |= {f"fastbp {level}": {"FASTBP_LEVEL": level} for level in cython_ext.levels()}
    settings["an old C library"] = OLD_LIBM
    settings["an old C library, no FMA"] = {**OLD_LIBM, "FASTBP_LEVEL": cython_ext.levels()[0]}
    return replays({name: partial(run_suite, whole=not which, **given) for name, given in settings.items()}, seed)


def numpys(which, seed):
    """Replay other versions of NumPy, likewise."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {}
        for version in VERSIONS:
            name = version.strip("=.*") or "newest"
            place = Path(folder, name)
            place.mkdir()
            runs[name] = partial(run_with_numpy, version, place, whole=not which)
        return replays(runs, seed)
