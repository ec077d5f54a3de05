"""Builds the extension modules; everything else about the package is in pyproject.toml."""

import platform
import runpy
import sys
import sysconfig
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("kernels")
STUBS = Path("build") / "stubs"
POINTWISE = STUBS / "pointwise.pxi"
HEADERS = [str(path) for path in sorted(KERNELS.rglob("*.h"))]
DTYPES = {"f4": ("float", "sqrtf"), "f8": ("double", "sqrt")}
X86 = platform.machine().lower() in ("x86_64", "amd64")
LEVELS = {f"v{n}": [f"-march=x86-64-v{n}"] for n in (2, 3, 4)} if X86 else {"base": []}
if X86:
    LEVELS["v4"].append("-mprefer-vector-width=512")
    # smaller: CPUs without AVX2 are few
    LEVELS["v2"] += ["-fno-peel-loops", "-fno-unswitch-loops"]
# bits: no contraction of a * b + c. Then two that drop errno and exception flags, never a value: without them
# sqrt and comparisons do not vectorise. -O3 and unwind tables would make the wheel a quarter larger, and nothing faster
EXACT = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"]
EXACT += ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-fpeel-loops", "-funswitch-loops"]
EXACT += ["-g0", "-fno-asynchronous-unwind-tables"]
if X86:
    # smaller: these CPUs order instructions themselves. And a loop across two cache lines may run at half the speed
    EXACT += ["-fno-schedule-insns2", "-falign-loops=64"]
# one wheel for all versions from 3.11 on; a free-threaded interpreter has no limited API
LIMITED = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
ABI = [("Py_LIMITED_API", "0x030B0000")] if LIMITED else []
LINK = ["-Wl,-s"] if sys.platform == "linux" else []
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    # functions as C has them, with signatures in their docstrings: Cython's own kind are 6 kB of the wheel a module
    "binding": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
}


def write(path, text):
    """Write a file, unless it says so already: what depends on it would be built again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def stub(dtype, level):
    """Write the few lines that include every family of kernels for one dtype; the level is only flags."""
    real, square_root = DTYPES[dtype]
    families = sorted((KERNELS / "cython_ext").glob("*.pxi"), key=lambda p: (p.stem != "common", p.stem))
    families.append(POINTWISE)
    lines = [f"ctypedef {real} real", f"from libc.math cimport sqrt, {square_root} as square_root"]
    lines += [f'include "{path.name}"' for path in families]
    path = STUBS / f"_{dtype}_{level}.pyx"
    write(path, "\n".join(lines) + "\n")
    return Extension(
        f"fastbp.kernels.cython_ext.{path.stem}",
        [str(path)],
        depends=[str(p) for p in families] + HEADERS,
        include_dirs=[str(KERNELS)],
        define_macros=[("FASTBP_ITEM", dtype[1]), *ABI],
        extra_compile_args=EXACT + LEVELS[level],
        extra_link_args=LINK,
        py_limited_api=LIMITED,
    )


def extension(name, source, *flags):
    return Extension(
        name,
        [source],
        depends=HEADERS,
        include_dirs=[str(KERNELS), numpy.get_include()],
        define_macros=ABI,
        extra_compile_args=[*EXACT, *flags],
        extra_link_args=LINK,
        py_limited_api=LIMITED,
    )


class BuildExt(build_ext):
    """build_ext that leaves gcc's and clang's flags away where the compiler is another one."""

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            for ext in self.extensions:
                ext.extra_compile_args = ["/O2", "/fp:precise"]
        super().build_extensions()


# run and not imported: the package needs what is built here
rows = runpy.run_path(str(KERNELS / "table.py"))["KERNELS"].values()
sources = runpy.run_path(str(KERNELS / "pointwise.py"))
write(POINTWISE, sources["cython_source"](rows))
write(KERNELS / "numba_jit" / "pointwise.py", sources["numba_source"](rows))

setup(
    ext_modules=cythonize(
        [
            # small: they only call what was compiled for speed
            extension("fastbp.kernels.primitives", "kernels/primitives.pyx", "-Os"),
            extension("fastbp.kernels.threads", "kernels/threads.pyx", "-Os"),
            extension("fastbp.runner", "fastbp/runner.pyx"),
            *(stub(dtype, level) for dtype in DTYPES for level in LEVELS),
        ],
        build_dir="build/cython",
        include_path=[str(KERNELS / "cython_ext"), str(STUBS)],
        compiler_directives=DIRECTIVES,
    ),
    cmdclass={"build_ext": BuildExt},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {},
)
