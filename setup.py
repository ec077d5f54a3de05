"""Builds the extension modules; everything else about the package is in pyproject.toml."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import PlatformError
from setuptools.modified import newer_group

# after setuptools, which brings it
from distutils.ccompiler import new_compiler  # isort: skip
from distutils.sysconfig import customize_compiler  # isort: skip
from distutils.util import get_platform  # isort: skip

KERNELS = Path("kernels")
STUBS = Path("build") / "stubs"
TARGET = get_platform()  # what is built for, which need not be this machine: linux-x86_64, macosx-11.0-arm64 ...
X86 = TARGET.endswith(("x86_64", "amd64", "universal2"))
LEVELS = {f"v{n}": [f"-march=x86-64-v{n}"] for n in (2, 3, 4)} if X86 else {"base": []}
if X86:
    LEVELS["v4"].append("-mprefer-vector-width=512")
    # smaller: CPUs without AVX2 are few
    LEVELS["v2"] += ["-fno-peel-loops", "-fno-unswitch-loops"]
if TARGET.endswith("universal2"):
    # two machines in one file: each has the modules of the other too, and uses its own
    LEVELS = {name: ["-Xarch_x86_64", flags[0]] for name, flags in LEVELS.items()} | {"base": []}
# bits: no contraction of a * b + c. Then two that drop errno and exception flags, never a value: without them
# sqrt and comparisons do not vectorise. -O3 and unwind tables would make the wheel a quarter larger, and nothing faster
EXACT = ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"]
EXACT += ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-fpeel-loops", "-funswitch-loops"]
EXACT += ["-g0", "-fno-asynchronous-unwind-tables"]
if TARGET.endswith("-x86_64"):
    # smaller: these CPUs order instructions themselves. And a loop across two cache lines may run at half the speed
    EXACT += ["-fno-schedule-insns2", "-falign-loops=64"]
#: What clang does not know, or does not do.
GCC_ONLY = {"-fvect-cost-model=dynamic", "-fno-schedule-insns2"}
GCC_ONLY |= {f"-f{no}{what}-loops" for no in ("", "no-") for what in ("peel", "unswitch")}
# one wheel for all versions from 3.11 on; a free-threaded interpreter has no limited API
LIMITED = platform.python_implementation() == "CPython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
ABI = [("Py_LIMITED_API", "0x030B0000")] if LIMITED else []
LINK = ["-Wl,-s"] if TARGET.startswith("linux") else []
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


# imported without the package, which needs what is built here; these modules need the standard library only
package = sys.modules["kernels"] = ModuleType("kernels")
package.__path__ = [str(KERNELS)]
chain, languages, dtypes, operations, table = (
    import_module(f"kernels.{name}") for name in ("chain", "codegen.languages", "dtypes", "operations", "table")
)
ROWS = table.KERNELS.values()
#: What follows from lists: for Cython, for C, for Numba.
WRITTEN = {
    STUBS / "operations.pxi": operations.cython_source(),
    STUBS / "chain_cases.h": chain.c_source(),
    STUBS / "generated.h": languages.c_source(ROWS),
    STUBS / "generated.pxi": languages.cython_source(ROWS),
    KERNELS / "operations.h": operations.c_source(),
    KERNELS / "numba_jit" / "generated.py": languages.numba_source(ROWS),
}
for path, text in WRITTEN.items():
    write(path, text)
# the clone has no folder fastbp/kernels, where mypy looks for fastbp.kernels: pyproject.toml leads it to this one
TYPED = Path("build") / "typed" / "fastbp" / "kernels"
TYPED.parent.mkdir(parents=True, exist_ok=True)
with contextlib.suppress(OSError):  # it is there, or Windows forbids it
    TYPED.symlink_to(Path("..", "..", "..", KERNELS))
HEADERS = [str(path) for folder in (KERNELS, STUBS) for path in sorted(folder.rglob("*.h"))]
FAMILIES = [*(KERNELS / "cython_ext").glob("*.pxi"), *(path for path in WRITTEN if path.suffix == ".pxi")]
FAMILIES.sort(key=lambda path: (path.stem not in ("common", "operations"), path.stem))


def stub(real, level):
    """Write the few lines that include every family of kernels for one real type; the level is only flags."""
    lines = [f"ctypedef {real.c} real"]
    lines += [f'include "{path.name}"' for path in FAMILIES]
    path = STUBS / f"_{real.code}_{level}.pyx"
    write(path, "\n".join(lines) + "\n")
    return Extension(
        f"fastbp.kernels.cython_ext.{path.stem}",
        [str(path)],
        depends=["setup.py", str(path), *map(str, FAMILIES), *HEADERS],
        include_dirs=[str(KERNELS), str(STUBS)],
        define_macros=[("FASTBP_ITEM", real.code[1]), *ABI],
        extra_compile_args=EXACT + LEVELS[level],
        extra_link_args=LINK,
        py_limited_api=LIMITED,
    )


def extension(name, source, *flags):
    return Extension(
        name,
        [source],
        depends=["setup.py", source, *HEADERS],
        include_dirs=[str(KERNELS), numpy.get_include()],
        define_macros=ABI,
        extra_compile_args=[*EXACT, *flags],
        extra_link_args=LINK,
        py_limited_api=LIMITED,
    )


def clang_cl(compiler):
    """Return the path of clang-cl, which compiles what Microsoft's own compiler cannot: vector types. Or None."""
    visual_studio = Path(compiler.cc).parents[5] / "Llvm" / "x64" / "bin"
    folders = [os.environ["PATH"], visual_studio, Path(os.environ["PROGRAMFILES"]) / "LLVM" / "bin"]
    return shutil.which("clang-cl", path=os.pathsep.join(map(str, folders)))


def missing_compiler():
    """Return the name of the compiler that would be used and cannot be found, or None."""
    if "CC" in os.environ:
        return None  # whoever names one wants it, or an error
    compiler = new_compiler()
    customize_compiler(compiler)
    if compiler.compiler_type != "msvc":
        return None if shutil.which(compiler.compiler[0]) else compiler.compiler[0]
    try:
        compiler.initialize()
    except PlatformError:
        return "Visual Studio with its component 'C++ Clang tools for Windows'"
    return None if clang_cl(compiler) else "clang-cl, of Visual Studio's component 'C++ Clang tools for Windows'"


def is_gcc(compiler):
    """Return whether a compiler is gcc itself: clang says so too, and refuses what it does not know."""
    command = [*compiler.compiler, "-dM", "-E", "-xc", os.devnull]
    macros = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "__GNUC__" in macros and "__clang__" not in macros


class BuildExt(build_ext):
    """build_ext that has clang-cl compile where setuptools would take Microsoft's, and tells clang what it knows."""

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc" or not is_gcc(self.compiler):
            for ext in self.extensions:
                ext.extra_compile_args = [flag for flag in ext.extra_compile_args if flag not in GCC_ONLY]
        if self.compiler.compiler_type == "msvc":
            if not self.compiler.initialized:
                self.compiler.initialize(self.plat_name)
            self.compiler.cc = clang_cl(self.compiler) or "clang-cl"
            machine = {"win-arm64": "aarch64", "win32": "i686"}.get(self.plat_name, "x86_64")
            for ext in self.extensions:
                flags = [f"/clang:{flag}" for flag in ext.extra_compile_args]
                ext.extra_compile_args = [f"--target={machine}-pc-windows-msvc", *flags]
        # before threads share the work
        inplace, self.inplace = self.inplace, True
        self.in_place = {ext.name: self.get_ext_fullpath(ext.name) for ext in self.extensions}
        self.inplace = inplace
        super().build_extensions()

    def build_extension(self, ext):
        """Compile; an editable install takes what lies in place, if that is newer than all that it is made of."""
        place = self.in_place[ext.name]
        if self.editable_mode and not self.force and not newer_group(ext.depends, place):
            self.mkpath(os.path.dirname(self.get_ext_fullpath(ext.name)))
            self.copy_file(place, self.get_ext_fullpath(ext.name))
        else:
            super().build_extension(ext)


missing = missing_compiler()
modules = [
    # small: they only call what was compiled for speed
    extension("fastbp.kernels.primitives", "kernels/primitives.pyx", "-Os"),
    extension("fastbp.kernels.pool", "kernels/pool.pyx", "-Os"),
    extension("fastbp.kernels.entry", "kernels/entry.c"),
    extension("fastbp.kernels.compiled_draws", "kernels/compiled_draws.pyx"),
    extension("fastbp.runner", "fastbp/runner.pyx"),
    *(stub(real, level) for real in dtypes.REALS.values() for level in LEVELS),
]
if missing:
    print(
        f"fastbp: no C compiler ({missing}): installed without extension modules, with backend='numpy' alone",
        file=sys.stderr,
    )

setup(
    ext_modules=[]
    if missing
    else cythonize(
        modules,
        build_dir="build/cython",
        include_path=[str(KERNELS / "cython_ext"), str(STUBS)],
        compiler_directives=DIRECTIVES,
    ),
    cmdclass={"build_ext": BuildExt},
    # compiled on all CPUs
    options={"build_ext": {"parallel": True}, **({"bdist_wheel": {"py_limited_api": "cp311"}} if LIMITED else {})},
)
