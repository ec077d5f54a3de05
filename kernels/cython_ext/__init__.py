"""The kernels compiled by Cython: one extension module for each dtype and CPU level."""

from __future__ import annotations

import functools
import importlib
import os
from typing import TYPE_CHECKING

from ..caller import warn
from ..dtypes import REALS
from ..pool import attach_pool
from ..primitives import address, capsule_address, check, complete, cpu_level
from ..primitives import portable_address as address_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["capsules", "find", "level", "levels", "numpy_address", "portable_address"]

#: What a module has besides kernels (``primitives.pxi``).
_OTHERS = {"portable_primitives", "set_pool", "complete_primitives"}

_warned = False
#: The dtypes whose NumPy loops are proven.
_proven: set[str] = set()
#: Asked for once: a virtual machine takes 16 us to tell.
_CPU_LEVEL = cpu_level()


@functools.cache  # of a process: asking the CPU may trap in a virtual machine
def levels() -> tuple[str, ...]:
    """Return the CPU levels that were built and that this CPU can run, lowest first.

    Returns
    -------
    tuple of str
        Of "v2", "v3" and "v4" on x86-64; ("base",) elsewhere.

    Examples
    --------
    >>> levels()[-1] in ("v2", "v3", "v4", "base")
    True
    """
    return tuple(f"v{n}" for n in range(2, _CPU_LEVEL + 1)) or ("base",)


def level() -> str:
    """Return the level in use: the CPU's highest, or the one that ``FASTBP_LEVEL`` names.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If ``FASTBP_LEVEL`` names a level that this CPU does not have.

    Examples
    --------
    >>> level() in levels()
    True
    """
    chosen = os.environ.get("FASTBP_LEVEL") or levels()[-1]
    if chosen not in levels():
        raise ValueError(f"FASTBP_LEVEL is {chosen!r}; this CPU can run {', '.join(levels())}")
    return chosen


def capsules(dtype: str, at: str | None = None) -> dict[str, Any]:
    """Return the kernels for one dtype as PyCapsules by name.

    Each capsule holds a ``fastbp_kernel`` (``abi.h``) for use from C or Cython; they are the module's
    ``__pyx_capi__``, but for the functions that `portable_address` and `complete` call.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    at : str, optional
        The CPU level; by default that of `level`.

    Returns
    -------
    dict of str to PyCapsule

    Examples
    --------
    >>> capsules("float32")["relu_forward"]
    <capsule object "int (... const *, fastbp_primitive const *)" at 0x...>
    """
    return dict(_kernels(dtype, at or level()))


def portable_address(dtype: str, at: str | None = None) -> int:
    """Return the address of the primitives of portable numerics for one dtype and CPU level.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    at : str, optional
        The CPU level; by default that of `level`.

    Returns
    -------
    int

    Examples
    --------
    >>> portable_address("float32") == portable_address("float32", at=level())
    True
    """
    global _warned
    if at is None and level() == "v2" and not _warned:
        _warned = True
        warn(
            "portable numerics runs without fused multiply-add at level v2: the same bits, some twenty times slower",
            RuntimeWarning,
        )
    exports = _exports(dtype, at)
    attach_pool(exports["set_pool"])
    return address_of(exports["portable_primitives"])


def numpy_address(dtype: str) -> int:
    """Return the address of the primitives of numerics "numpy": NumPy's own loops, proven the first time.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Returns
    -------
    int

    Raises
    ------
    RuntimeError
        If NumPy's loops do not return NumPy's bits when called from C.

    Examples
    --------
    >>> numpy_address("float32") == numpy_address("float64")
    False
    """
    if dtype not in _proven:
        check(dtype)
        # those that NumPy has no loop for
        complete(dtype, _exports(dtype, None)["complete_primitives"])
        _proven.add(dtype)
    return address(dtype)


def find(dtype: str, names: Iterable[str]) -> dict[str, int]:
    """Return the addresses of those kernels that were compiled, by name.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    names : iterable of str

    Returns
    -------
    dict of str to int

    Examples
    --------
    >>> [*find("float32", ["relu_forward", "no_kernel"])]
    ['relu_forward']
    """
    found = capsules(dtype)
    return {name: capsule_address(found[name]) for name in names if name in found}


@functools.cache
def _kernels(dtype: str, at: str) -> dict[str, Any]:
    return {name: capsule for name, capsule in _exports(dtype, at).items() if name not in _OTHERS}


def _exports(dtype: str, at: str | None) -> dict[str, Any]:
    return importlib.import_module(f"{__name__}._{REALS[dtype].code}_{at or level()}").__pyx_capi__
