"""Another architecture, under an emulator: the portable primitives have the same hashes, the wheel keeps its promises.

The wheel is cross-compiled and run where FASTBP_AARCH64_ROOT names a folder with a Python of that architecture: the
packages python3.11, libpython3.11-dev, libstdc++6 and what they depend on, unpacked from Debian's arm64 by ``dpkg -x``,
as .ci/run does.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = os.path.join(os.path.dirname(HERE), "kernels")
NATIVE, CROSS, EMULATOR = shutil.which("cc"), shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64")
EXACT = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir(os.path.join(KERNELS, "portable")), reason="not in a checkout"),
    pytest.mark.skipif(not (NATIVE and CROSS and EMULATOR), reason="needs a cross compiler for aarch64 and qemu-user"),
]


def output(folder, item, compiler, *flags, run=()):
    program = folder / f"primitives_{item}_{os.path.basename(compiler)}"
    source = os.path.join(HERE, "portable_primitives.c")
    command = [compiler, *EXACT, *flags, f"-DFASTBP_ITEM={item}", f"-I{KERNELS}", source, "-o", program, "-lm"]
    subprocess.run(command, check=True)
    return subprocess.run([*run, program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("item", [4, 8])
def test_aarch64_has_the_same_bits(tmp_path, item):
    level = ["-march=x86-64-v2"] if platform.machine() == "x86_64" else []
    want = output(tmp_path, item, NATIVE, *level)
    assert len(want.splitlines()) > 80
    assert output(tmp_path, item, CROSS, "-static", run=[EMULATOR]) == want


ROOT = Path(os.environ.get("FASTBP_AARCH64_ROOT", "/nowhere"))
FILES = ("primitives", "worked_examples", "io")


@pytest.mark.skipif(not ROOT.is_dir(), reason="needs FASTBP_AARCH64_ROOT, a folder with Python 3.11 for arm64")
def test_the_wheel_on_aarch64(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    ignored = shutil.ignore_patterns("build", "*.so", ".git", ".asv", "__pycache__", "*.egg-info")
    shutil.copytree(os.path.dirname(KERNELS), source, ignore=ignored)
    include = ROOT / "usr" / "include"
    target = {
        "_PYTHON_HOST_PLATFORM": "linux-aarch64",
        "CC": CROSS,
        "LDSHARED": f"{CROSS} -shared",
        "CFLAGS": f"-I{include / 'python3.11'} -I{include}",
    }
    # tools of this machine: an isolated build would fetch those of the target
    build = [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", tmp_path]
    done = subprocess.run(build, cwd=source, env={**os.environ, **target}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    (wheel,) = tmp_path.glob("fastbp-*-cp311-abi3-linux_aarch64.whl")
    install = [sys.executable, "-m", "pip", "install", "-q", "--target", site, "--python-version", "3.11"]
    platforms = ["--platform", "manylinux_2_28_aarch64", "--platform", "manylinux_2_27_aarch64"]
    subprocess.run([*install, *platforms, "--only-binary", ":all:", "numpy", "pytest"], check=True)
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, site], check=True)
    # tests that start Python again need a command that does: the emulator is no part of sys.executable
    python = tmp_path / "python"
    interpreter = ROOT / "usr" / "bin" / "python3.11"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {EMULATOR} -L {ROOT} {interpreter} -B "$@"\n')
    python.chmod(0o755)
    (site / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(python)!r}\n")
    done = subprocess.run([python, "-c", "import fastbp; print(fastbp.selfcheck())"], capture_output=True, text=True)
    assert "aarch64 level base" in done.stdout and "Every promise holds" in done.stdout, done.stdout + done.stderr
    tests = [os.path.join(HERE, f"test_{name}.py") for name in FILES]
    options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-m", "not slow"]
    done = subprocess.run([python, "-m", "pytest", *options, *tests], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
