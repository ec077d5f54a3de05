"""The portable primitives on another architecture: the same hashes, under an emulator."""

import os
import platform
import shutil
import subprocess

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
