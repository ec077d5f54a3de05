"""The kernels compiled by Cython: one extension module for each dtype and CPU level."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from ..caller import warn
from ..dtypes import REALS
from ..pool import lend_pool
from ..primitives import address, capsule_address, check, cpu_level, lend_erf

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["capsules", "find", "level", "levels", "numpy_address", "portable_address"]

_checked = _warned = False


def levels() -> tuple[str, ...]:
    """Return the CPU levels that were built and that this CPU can run, lowest first.

    Returns
    -------
    tuple of str
        Of "v2", "v3" and "v4" on x86-64; ("base",) elsewhere.
    """
    return tuple(f"v{n}" for n in range(2, cpu_level() + 1)) or ("base",)


def level() -> str:
    """Return the level in use: the CPU's highest, or the one that ``FASTBP_LEVEL`` names.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If ``FASTBP_LEVEL`` names a level that this CPU does not have.
    """
    chosen = os.environ.get("FASTBP_LEVEL") or levels()[-1]
    if chosen not in levels():
        raise ValueError(f"FASTBP_LEVEL is {chosen!r}; this CPU can run {', '.join(levels())}")
    return chosen


def capsules(dtype: str, at: str | None = None) -> dict[str, Any]:
    """Return the kernels for one dtype as PyCapsules by name.

    Each capsule holds a ``fastbp_kernel`` (``abi.h``) for use from C or Cython; they are the module's
    ``__pyx_capi__``, but for the function that `portable_address` calls.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    at : str, optional
        The CPU level; by default that of `level`.

    Returns
    -------
    dict of str to PyCapsule
    """
    return {name: capsule for name, capsule in _exports(dtype, at).items() if name != "portable_primitives"}


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
    """
    global _warned
    if at is None and level() == "v2" and not _warned:
        _warned = True
        warn(
            "portable numerics runs without fused multiply-add at level v2: the same bits, some twenty times slower",
            RuntimeWarning,
        )
    return lend_pool(_exports(dtype, at)["portable_primitives"])


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
    """
    global _checked
    if not _checked:
        check()
        for name in REALS:
            # NumPy has no erf: it is the same in both numerics
            lend_erf(name, portable_address(name, level()))
        _checked = True
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
    """
    found = capsules(dtype)
    return {name: capsule_address(found[name]) for name in names if name in found}


def _exports(dtype: str, at: str | None) -> dict[str, Any]:
    return importlib.import_module(f"{__name__}._{REALS[dtype].code}_{at or level()}").__pyx_capi__
