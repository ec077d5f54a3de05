"""Who can run kernels: an object for each backend. A new one is a package beside this module, and an object here."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

import numpy as np

from ..checks import suggest
from .arrays import dtype_of
from .caller import warn
from .operations import Status
from .table import KERNELS
from .threads import MISSING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType
    from typing import Any

    from .table import Kernel

__all__ = [
    "BACKENDS", "DEFAULT", "NUMERICS", "REFERENCE", "Backend", "Compiled", "Functions", "Given", "check_numerics",
    "choose_backend",
]  # fmt: skip

#: Which bits: NumPy's in this process, or the same ones everywhere.
NUMERICS = ("numpy", "portable")


class Given:
    """What one kernel is called with."""

    def __init__(
        self,
        inputs: dict[str, np.ndarray],  # in the order of the row
        outputs: dict[str, np.ndarray],  # what is updated in place has its value already
        work: dict[str, tuple[int, ...]],  # the shapes of memory to work in
        sizes: list[int],
        attributes: dict[str, float],
    ) -> None:
        self.inputs, self.outputs, self.work, self.sizes, self.attributes = inputs, outputs, work, sizes, attributes


class Backend:
    """Who runs kernels.

    Parameters
    ----------
    name : str
    package : str
        Where its kernels are, beside this module; it is imported when first used. Its ``find(dtype, names)`` returns
        a dict of what it has of the kernels of those names.
    executor : str
        The class that runs programs, as an entry point is written: ``"module:name"``.
    needs : str, optional
        The distribution that has to be installed for it. An extra of fastbp's has the same name.
    chain : str, optional
        The kernel that runs rows added at run time, from their code (``chain.py``), where they are not compiled.
    """

    #: Whether kernels are addresses of ``fastbp_kernel`` functions (``abi.h``), which need the extension modules.
    compiled: bool

    def __init__(
        self, name: str, package: str, executor: str, needs: str | None = None, chain: str | None = None
    ) -> None:
        self.name, self.package, self.executor, self.needs, self.chain = name, package, executor, needs, chain

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def missing(self) -> ImportError | None:
        """Why there are no extension modules, if the backend needs them and there are none."""
        return MISSING if self.compiled else None

    def available(self) -> bool:
        """Return whether the backend can run here; nothing is imported for it."""
        from importlib.util import find_spec

        return self.missing is None and (self.needs is None or find_spec(self.needs) is not None)

    def module(self, name: str = "") -> ModuleType:
        """Return the package, or a module of it."""
        return importlib.import_module(f"{__package__}.{self.package}" + (f".{name}" if name else ""))

    def importable(self, name: str) -> ModuleType:
        """Return a module of the package, or raise an error that says what to install."""
        try:
            return self.module(name)
        except ImportError as error:
            raise self._remedied(error) from error

    def _remedied(self, error: ImportError) -> ImportError:
        remedy = f"; pip install {self.needs}" if self.needs else ""
        return ImportError(f"backend {self.name!r} cannot be imported here ({error}){remedy}")

    def executor_class(self) -> Any:
        """Return the class that runs programs."""
        module, _, name = self.executor.partition(":")
        return getattr(importlib.import_module(module), name)

    def load(self, dtype: str, names: Iterable[str], numerics: str) -> dict[str, Any]:
        """Return kernels by name; see `fastbp.kernels.load`."""
        names = tuple(names)
        if numerics == "portable" and (foreign := [name for name in names if KERNELS[name].foreign]):
            raise ValueError(
                f"{foreign[0]} is made of Numba functions, whose bits may differ between machines; "
                "numerics must be 'numpy'"
            )
        try:
            found = self._found(dtype, names)
        except ImportError as error:
            raise self._remedied(error) from error
        for name, kernel in found.items():
            # a hole is an error, never a fallback to another backend
            if kernel is None:
                raise NotImplementedError(f"backend {self.name!r} lacks the kernel {name!r} of the table")
        return found

    def _found(self, dtype: str, names: tuple[str, ...]) -> dict[str, Any]:
        raise NotImplementedError

    def primitives(self, dtype: str, numerics: str) -> int:
        """Return the address of the primitives; see `fastbp.kernels.primitives_address`."""
        raise ValueError(f"backend is {self.name!r}; its kernels are not compiled, and take no primitives")

    def attributes(self, kernel: Kernel, attributes: Mapping[str, float]) -> list[float]:
        """Return the numbers that a kernel is given: its attributes, and before them the code that is run for it."""
        return [*(kernel.code if self.chain else ()), *attributes.values()]

    def call(self, kernel: Kernel, given: Given, dtype: str, numerics: str) -> None:
        """Run one kernel.

        Parameters
        ----------
        kernel : Kernel
        given : Given
        dtype, numerics : str
        """
        raise NotImplementedError


class Functions(Backend):
    """Kernels are functions that take arrays and return them."""

    compiled = False

    def load(self, dtype: str, names: Iterable[str], numerics: str) -> dict[str, Any]:
        """Return kernels by name; for portable numerics they run on arrays that compute in that way."""
        found = super().load(dtype, names, numerics)
        if numerics == "portable":
            from .portable.array import portable

            return {name: portable(function) for name, function in found.items()}
        return found

    def _found(self, dtype: str, names: tuple[str, ...]) -> dict[str, Any]:
        own = {name: foreign.reference for name in names if (foreign := KERNELS[name].foreign)}
        found = {**self.module().find(dtype, [name for name in names if name not in own]), **own}
        return {name: found.get(name) for name in names}

    def call(self, kernel: Kernel, given: Given, dtype: str, numerics: str) -> None:
        """Run one kernel."""
        function = self.load(dtype, [kernel.name], numerics)[kernel.name]
        with np.errstate(all="ignore"):
            returned = function(*given.inputs.values(), **given.attributes)
        values = returned if isinstance(returned, tuple) else (returned,)
        for output, value in zip(given.outputs.values(), values, strict=True):
            output[...] = value


class Compiled(Backend):
    """Kernels are addresses of C functions. The package has ``portable_address(dtype)``, its portable primitives."""

    compiled = True

    def _found(self, dtype: str, names: tuple[str, ...]) -> dict[str, Any]:
        own = {name: foreign.address(dtype) for name in names if (foreign := KERNELS[name].foreign)}
        runs = {name: self.chain if self.chain and KERNELS[name].code else name for name in names if name not in own}
        found = self.module().find(dtype, set(runs.values()))
        return {name: own[name] if name in own else found.get(runs[name]) for name in names}

    def primitives(self, dtype: str, numerics: str) -> int:
        """Return the address of the primitives; see `fastbp.kernels.primitives_address`."""
        if numerics == "portable":
            address: int = self.module().portable_address(dtype)
            return address
        from .cython_ext import numpy_address

        return numpy_address(dtype)

    def call(self, kernel: Kernel, given: Given, dtype: str, numerics: str) -> None:
        """Run one kernel."""
        from .primitives import call

        real, shapes = np.dtype(dtype), given.work
        work = {o.name: np.empty(shapes[o.name], dtype_of(o.dtype, real)) for o in kernel.outputs if o.name in shapes}
        buffers = {**given.inputs, **given.outputs, **work}
        status = call(
            self.load(dtype, [kernel.name], numerics)[kernel.name],
            self.primitives(dtype, numerics),
            [buffers[o.name].__array_interface__["data"][0] for o in kernel.operands],
            given.sizes,
            self.attributes(kernel, given.attributes),
        )
        if status:
            raise Status(status).exception(f"{kernel.name}: {Status(status).message}")


#: Who is asked where nobody is named, and whose functions are the definitions.
DEFAULT, REFERENCE = "cython", "numpy"
#: All backends by name.
BACKENDS: dict[str, Backend] = {
    backend.name: backend
    for backend in (
        Functions("numpy", "numpy_ref", "fastbp.backends:NumpyExecutor"),
        Compiled("numba", "numba_jit", "fastbp.backends:CompiledExecutor", needs="numba"),
        Compiled("cython", "cython_ext", "fastbp.backends:CompiledExecutor", chain="chain"),
    )
}

_told = False


def _remedy() -> str:
    """Return what to do where the extension modules are missing."""
    from subprocess import list2cmdline  # quotes where it must

    folder = os.path.dirname(os.path.abspath(__file__))
    clone = os.path.dirname(folder)
    if not os.path.exists(os.path.join(clone, "setup.py")):
        return (
            "they are compiled when fastbp is installed: install a C compiler, then run, where its sources are, "
            "pip install --force-reinstall --no-deps --no-cache-dir ."
        )
    built = {name for name in os.listdir(folder) if name.startswith("pool.") and name.endswith((".so", ".pyd"))}
    state = "is built for another Python" if built else "is not built"
    if built & {f"pool{suffix}" for suffix in EXTENSION_SUFFIXES}:
        state = "is built, but that does not load"
    command = list2cmdline([sys.executable or "python", "-m", "pip", "install", "-e", clone])
    return f"the clone {clone} {state}: {command} builds it, with a C compiler"


def choose_backend(backend: str | None) -> str:
    """Return the backend that is asked for, or the default for None.

    The default is "cython". Where the extension modules are missing it is "numpy", with one warning in a process.

    Raises
    ------
    ValueError
        If there is no such backend.
    ImportError
        If it needs the extension modules and they are missing.
    """
    global _told
    if backend is None:
        if MISSING is not None and not _told:
            _told = True
            warn(
                f"fastbp's extension modules are missing ({MISSING}), so backend={REFERENCE!r} is used: the same bits, "
                f"but slower; {_remedy()}",
                RuntimeWarning,
            )
        return DEFAULT if MISSING is None else REFERENCE
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; it must be one of {', '.join(BACKENDS)}{suggest(backend, BACKENDS)}")
    missing = BACKENDS[backend].missing
    if missing is not None:
        raise ImportError(
            f"backend={backend!r} needs fastbp's extension modules, which are missing ({missing}); {_remedy()}. "
            f"backend={REFERENCE!r} works without them"
        ) from missing
    return backend


def check_numerics(numerics: str) -> None:
    """Raise ValueError unless there is such a numerics."""
    if not isinstance(numerics, str) or numerics not in NUMERICS:
        hint = suggest(numerics, NUMERICS)
        raise ValueError(f"numerics is {numerics!r}; it must be 'numpy' or 'portable'{hint}")
