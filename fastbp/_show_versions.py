"""What fastbp runs on: CPU, BLAS, backends, threads."""

import ctypes
import os
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ._version import __version__
from .kernels.backend import BACKENDS
from .kernels.fpcontrol import floating_point
from .kernels.threads import get_num_threads

__all__ = ["show_versions", "versions"]

#: The widest vectors that an OpenBLAS kernel uses, as an x86-64 level.
_KERNEL_LEVELS = {
    "prescott": 1,
    "core2": 1,
    "penryn": 1,
    "dunnington": 1,
    "atom": 1,
    "barcelona": 1,
    "bobcat": 1,
    "nehalem": 2,
    "sandybridge": 2,
    "bulldozer": 2,
    "piledriver": 2,
    "steamroller": 2,
    "haswell": 3,
    "zen": 3,
    "excavator": 3,
    "skylakex": 4,
    "cooperlake": 4,
    "sapphirerapids": 4,
}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _openblas() -> tuple[str | None, int | None]:
    """Return (kernel, threads) of the OpenBLAS that NumPy's wheel brings, or (None, None)."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs", package / ".libs"):
        for path in folder.glob("*openblas*"):
            try:
                library = ctypes.CDLL(str(path))
            except OSError:
                continue
            for prefix in ("scipy_openblas", "openblas"):
                for suffix in ("64_", "_64", ""):
                    name = getattr(library, f"{prefix}_get_corename{suffix}", None)
                    threads = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                    if name is not None and threads is not None:
                        name.restype = ctypes.c_char_p
                        return name().decode(), threads()
    return None, None


def _cpu() -> tuple[int | None, str, tuple[str, ...]]:
    try:
        from .kernels.cython_ext import level, levels
        from .kernels.primitives import cpu_level
    except ImportError:
        return None, "no extension modules", ()
    return cpu_level(), level(), levels()


def versions() -> dict[str, str]:
    """Return what `show_versions` prints.

    Returns
    -------
    dict of str to str
        The key "advice" is there only where there is some.
    """
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    kernel, threads = _openblas()
    cpu_level, level, built = _cpu()
    found = {
        "fastbp": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": platform.platform(),
        "cpu": _cpu_name() + (f", x86-64-v{cpu_level}" if cpu_level else ""),
        "kernels": f"{level} of {', '.join(built)}" if built else level,
        "blas": f"{blas.get('name')} {blas.get('version')}" + (f", kernel {kernel}" if kernel else ""),
        "blas threads": str(threads if threads is not None else "unknown"),
        "fastbp threads": f"{get_num_threads()}, in portable numerics",
        "floating point": floating_point(),
    }
    for name, backend in BACKENDS.items():
        try:
            if backend.missing is not None:
                raise backend.missing
            if backend.needs is None:
                backend.load("float32", [], "numpy")
            # what a backend needs is not imported, which would take long
            found[f"backend {name}"] = f"{backend.needs} {version(backend.needs)}" if backend.needs else "yes"
        except ImportError as error:
            found[f"backend {name}"] = f"no: {error}"
    advice = _advice(kernel, cpu_level)
    if advice:
        found["advice"] = advice
    return found


def _advice(kernel: str | None, cpu_level: int | None) -> str | None:
    chosen = os.environ.get("OPENBLAS_CORETYPE")
    have = _KERNEL_LEVELS.get((kernel or "").lower())
    if have is None or not cpu_level or have >= cpu_level:
        return None
    cause = (
        f"the environment sets OPENBLAS_CORETYPE={chosen}: unset it"
        if chosen
        else "a newer NumPy may bring an OpenBLAS that knows this CPU"
    )
    return f"NumPy's BLAS runs its {kernel} kernel, made for x86-64-v{have}; this CPU can do v{cpu_level}: {cause}"


def show_versions() -> None:
    """Print the CPU and its level, the BLAS and its kernel, the backends and the threads.

    Where NumPy's BLAS runs below what the CPU can do, advice follows.

    Examples
    --------
    >>> import fastbp
    >>> fastbp.show_versions()
    fastbp ...
    python ...
    numpy ...
    system ...
    cpu ...
    kernels ...
    blas ...
    blas threads ...
    fastbp threads ...
    floating point ...
    backend numpy ...
    """
    rows = versions()
    width = max(map(len, rows))
    for name, value in rows.items():
        print(f"{name.ljust(width)}  {value}")
