"""Compiles a C program with sanitizers of the compiler and runs it."""

import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
KERNELS = os.path.join(os.path.dirname(HERE), "kernels")
COMPILER = shutil.which("cc")
#: As setup.py has it, with what a report needs to name lines.
FLAGS = ["-O1", "-g", "-ffp-contract=off", "-fno-strict-aliasing", "-fno-omit-frame-pointer"]


def run_sanitized(folder, source, sanitizers, *flags):
    """Compile a C file of this directory and run it; return the finished process.

    Parameters
    ----------
    folder : Path
        Where the program goes.
    source : str
    sanitizers : str
        As after ``-fsanitize=``: "thread", "address,undefined".
    *flags : str
        For the compiler.

    Returns
    -------
    subprocess.CompletedProcess
        Its `returncode` is 0 where nothing was reported; `stderr` has the report.
    """
    program = os.path.join(folder, f"{os.path.splitext(source)[0]}_{sanitizers.replace(',', '_')}")
    command = [COMPILER, *FLAGS, f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", f"-I{KERNELS}", *flags]
    subprocess.run([*command, os.path.join(HERE, source), "-o", program, "-lm", "-pthread"], check=True)
    # without random addresses: a sanitizer's shadow memory has its place
    fixed = [shutil.which("setarch"), "-R"] if shutil.which("setarch") else []
    return subprocess.run([*fixed, program], capture_output=True, text=True, timeout=300)
