"""Processes for the libraries: their environment, their threads and CPUs, and talking to them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .image_libraries import IMAGE_PEERS
from .libraries import OWN, PEERS

_ROOT = Path(__file__).parents[2]


@cache
def _scratch():
    # it goes when the process ends
    return tempfile.TemporaryDirectory(prefix="fastbp-peers-")


@cache
def mkl_preload():
    """Return a shared object that lets MKL use all of an AMD CPU, or (None, why not).

    MKL asks whether the CPU is Intel's, and picks slower code where it is not.
    """
    cpuinfo = Path("/proc/cpuinfo")
    if not (cpuinfo.exists() and "AuthenticAMD" in cpuinfo.read_text()):
        return None, "the CPU is not AMD's"
    source, shared = (Path(_scratch().name) / f"mkl_preload{suffix}" for suffix in (".c", ".so"))
    source.write_text("int mkl_serv_intel_cpu_true(void);\nint mkl_serv_intel_cpu_true(void) { return 1; }\n")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shared, source], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None, "no C compiler for the preload"
    return str(shared), ""


def kind_of(name):
    """Return the class of a library."""
    return {**OWN, **PEERS, **IMAGE_PEERS}[name]


def missing(name):
    """Return why a peer cannot be measured here, or ''."""
    kind = kind_of(name)
    if absent := [package for package in kind.packages if find_spec(package) is None]:
        return f"{', '.join(absent)} is not installed"
    return mkl_preload()[1] if kind.preload else ""


def environment(name, threads):
    """Return the environment of a library's process: clean of what steers BLAS, so many threads."""
    # importing benchmarks removed what steers OpenBLAS, MKL and NumPy
    env = dict(os.environ)
    env.update({variable: str(threads) for variable in env if variable.endswith("_NUM_THREADS")})
    env["BENCHMARKS_THREADS"] = str(threads)
    env["PYTHONPATH"] = os.pathsep.join([str(_ROOT), *filter(None, [env.get("PYTHONPATH")])])
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    scratch = Path(_scratch().name)
    # caches of compiled code outlive a process, as a user's do, but not the run
    env |= {
        "PYTHONPYCACHEPREFIX": str(scratch / "bytecode"), "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "TORCHINDUCTOR_COMPILE_THREADS": "1", "CACHEDB": str(scratch / "tinygrad.db"), "DEV": "CPU",
    }  # fmt: skip
    if threads == 1:
        env["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    kind = kind_of(name)
    if kind.preload:
        env["LD_PRELOAD"] = mkl_preload()[0]
    return env | kind.environment


def pin(cpus):
    """Keep this process, and those that it starts, on some CPUs; returns those it ran on before."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    before = os.sched_getaffinity(0)
    if cpus is not None:
        os.sched_setaffinity(0, cpus)
    return before


def _start(arguments, name, threads, cpus, **pipes):
    before = pin(cpus)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.worker", *arguments],
            env=environment(name, threads), text=True, **pipes,
        )  # fmt: skip
    finally:
        pin(before)


class Worker:
    """A library in a process of its own.

    Parameters
    ----------
    name : str
        Of `PEERS` or `OWN`.
    threads : int
    cpus : set of int or None
        Where it may run.
    numerics : str
        fastbp's.
    """

    def __init__(self, name, threads, cpus, numerics="numpy"):
        self.name, self.threads, self.numerics = name, threads, numerics
        self.words = tempfile.TemporaryFile("w+")  # noqa: SIM115  closed with the worker
        self.process = _start(
            [name, numerics], name, threads, cpus,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words,
        )  # fmt: skip

    def ask(self, do, **request):
        """Return the worker's answer.

        Raises
        ------
        RuntimeError
            If the worker died; with its last words.
        """
        try:
            print(json.dumps({"do": do, **request}), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.words.seek(0)
            lines = [text for text in self.words.read().splitlines() if text.strip()]
            raise RuntimeError(f"{self.name}: {lines[-1][:300] if lines else self.process.returncode}")
        return json.loads(line)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.words.close()


def fresh(name, net, steps, threads, cpus, numerics="numpy"):
    """Train some steps in a fresh process.

    Returns
    -------
    dict
        "loss" of the first step, "bytes" held at most, "seconds" from the process's start to its end.
    """
    start = time.perf_counter()
    process = _start(
        [name, numerics, "--once", net, str(steps)], name, threads, cpus,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, words = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{name}: {(words.strip().splitlines() or [process.returncode])[-1]}")
    return {**json.loads(out), "seconds": seconds}
