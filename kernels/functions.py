"""Kernels as ordinary functions of arrays.

The usual call is made in C (``entry.c``) and costs what a ufunc of NumPy's does. All else comes here: arrays are
converted, and what is wrong is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..checks import as_array, suggest
from .arrays import dtype_of
from .backend import BACKENDS, DEFAULT, NUMERICS, Given, check_numerics, choose_backend
from .operations import Status
from .threads import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from inspect import Signature
    from typing import Any

    from numpy.typing import ArrayLike

    from .table import Kernel, Operand

__all__ = ["entry_of", "function_of", "python_function"]

#: What an input may hold where anything else is an error (`Row.domain`).
_FALLIBLE = {"label", "index", "finite"}


def _arguments(
    kernel: Kernel, inputs: Sequence[ArrayLike], keywords: dict[str, Any]
) -> tuple[list[ArrayLike], dict[str, Any]]:
    """Return inputs and attributes, whichever way they were given."""
    names = [o.name for o in kernel.inputs]
    for name in keywords:
        if name not in names and name not in kernel.attributes:
            hint = suggest(name, [*names, *kernel.attributes])
            raise TypeError(f"{kernel.name} has no {'attribute' if kernel.attributes else 'operand'} {name!r}{hint}")
        if name in names[: len(inputs)]:
            raise TypeError(f"{kernel.name} got {name} twice, by its place and by its name")
    given = {**dict(zip(names, inputs, strict=False)), **{name: keywords[name] for name in names if name in keywords}}
    if len(inputs) > len(names) or len(given) < len(names):
        count = max(len(inputs), len(given))
        raise TypeError(f"{kernel.name} takes {len(names)} arrays ({', '.join(names)}), got {count}")
    return [given[name] for name in names], {k: v for k, v in keywords.items() if k not in given}


def _as_operand(kernel: Kernel, operand: Operand, array: np.ndarray, real: np.dtype) -> np.ndarray:
    dtype = dtype_of(operand.dtype, real)
    if dtype.kind in "iu" and array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{kernel.name}: {operand.name} must hold integers, got {array.dtype}")
    if operand.dtype == "u1" and array.dtype != dtype:
        # int64 holds whatever a label may be, but a byte would wrap
        strays = array[(array < 0) | (array > 255)]
        if strays.size:
            raise ValueError(f"{kernel.name}: {operand.name} holds {strays[0]}; it must hold integers from 0 to 255")
    return np.require(array, dtype, ["C", "A"]).reshape(array.shape)


def _real_dtype(kernel: Kernel, inputs: Sequence[np.ndarray]) -> np.dtype:
    dtypes = []
    for operand, array in zip(kernel.inputs, inputs, strict=True):
        dtype = array.dtype
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise TypeError(f"{kernel.name}: {operand.name} has dtype {dtype}; it must be float32 or float64")
        if operand.dtype == "real":
            dtypes.append(dtype)
    return np.dtype(np.float32 if dtypes and all(d.newbyteorder("=") == np.float32 for d in dtypes) else np.float64)


def _common_shape(kernel: Kernel, arrays: dict[str, np.ndarray]) -> tuple[int, ...]:
    shapes = {o.name: arrays[o.name].shape for o in kernel.inputs if o.dims == ("n",)}
    first = next(iter(shapes), "")
    for name, shape in shapes.items():
        if kernel.elementwise and shape != shapes[first]:
            raise ValueError(
                f"{kernel.name}: {name} has shape {shape}; {first} has {shapes[first]}, nothing is broadcast"
            )
    return shapes.get(first, ())


def _outputs(kernel: Kernel, out: Any) -> tuple[np.ndarray | None, ...]:
    """Return what a user gave for the outputs, one by one."""
    n = len(kernel.results)
    if out is None:
        return (None,) * n
    given = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    for array in given:
        if array is not None and not isinstance(array, np.ndarray):
            raise TypeError(f"{kernel.name}: out is {out!r}; it must be an array or a tuple of arrays")
    if len(given) != n:
        raise ValueError(f"{kernel.name}: out has {len(given)} arrays; it must have {n}")
    return given


def _attribute(kernel: Kernel, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{kernel.name}: {name} is {value!r}; it must be a number") from None
    except OverflowError:
        raise ValueError(f"{kernel.name}: {name} is {value!r}; it must be a number that a float holds") from None
    kernel.row.check(f"{kernel.name}: {name}", name, number)
    return number


def _call(
    kernel: Kernel,
    usual: Callable[..., Any] | None,
    inputs: Sequence[ArrayLike],
    out: np.ndarray | Sequence[np.ndarray | None] | None,
    backend: str | None,
    numerics: str,
    keywords: dict[str, Any],
) -> Any:
    inputs, attributes = _arguments(kernel, inputs, keywords)
    backend = choose_backend(backend)
    check_numerics(numerics)
    values = {**kernel.attributes, **{name: _attribute(kernel, name, value) for name, value in attributes.items()}}
    given = _outputs(kernel, out)
    found = [as_array(f"{kernel.name}: {o.name}", value) for o, value in zip(kernel.inputs, inputs, strict=True)]
    real = _real_dtype(kernel, found)
    arrays = {o.name: _as_operand(kernel, o, array, real) for o, array in zip(kernel.inputs, found, strict=True)}
    if usual is not None:
        made = usual(*arrays.values(), out=out, backend=backend, numerics=numerics, **values)
        if made is not NotImplemented:
            return made
    sizes = kernel.sizes([arrays[o.name].shape if o.name in arrays else None for o in kernel.operands], values)
    like = _common_shape(kernel, arrays)
    results = []
    for operand, target in zip(kernel.results, given, strict=True):
        shape = kernel.shape(operand, sizes, like)
        dtype = dtype_of(operand.dtype, real)
        if target is not None and (target.shape != shape or target.dtype != dtype or not target.flags.writeable):
            raise ValueError(
                f"{kernel.name}: out for {operand.name} must be a writeable {dtype} array of shape {shape}, "
                f"got {target.dtype} {target.shape}"
            )
        # computed apart and copied at the end: nothing is half-written, and `out` may overlap an input
        results.append(arrays[operand.name].copy() if operand.name in arrays else np.empty(shape, dtype))
    outputs = {o.name: result for o, result in zip(kernel.results, results, strict=True)}
    shapes = {o.name: kernel.shape(o, sizes, like) for o in kernel.outputs if o.name in kernel.work}
    BACKENDS[backend].call(kernel, Given(arrays, outputs, shapes, list(sizes.values()), values), real.name, numerics)
    for k, target in enumerate(given):
        if target is not None:
            target[...] = results[k]
            results[k] = target
        elif results[k].shape == ():
            results[k] = results[k][()]
    return results[0] if len(results) == 1 else tuple(results) or None


def _kind(operand: Operand) -> str:
    """Return the element type and the shape of an operand in the words of a docstring."""
    of = "" if operand.dtype == "real" else f" of {np.dtype(operand.dtype)}"
    shape = ", ".join(map(str, operand.dims)) + "," * (len(operand.dims) == 1)
    return f"{of}, shape ({shape})" if operand.dims else of


def _signature(kernel: Kernel) -> Signature:
    from inspect import Parameter, Signature

    return Signature(
        [
            *(Parameter(o.name, Parameter.POSITIONAL_OR_KEYWORD) for o in kernel.inputs),
            Parameter("out", Parameter.KEYWORD_ONLY, default=None),
            Parameter("backend", Parameter.KEYWORD_ONLY, default=None),
            Parameter("numerics", Parameter.KEYWORD_ONLY, default=NUMERICS[0]),
            *(Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in kernel.attributes.items()),
        ]
    )


def _doc(kernel: Kernel) -> str:
    row, names = kernel.row, [o.name for o in kernel.inputs]
    what = kernel.name.removeprefix(row.name).strip("_")
    lines = [f"{row.name}{', ' if what else ''}{what}: ``{kernel.signature.strip()}``.", ""]
    if source := kernel.source:
        lines += ["Defined as::", "", *("    " + line for line in source.splitlines()), ""]
    lines += [row.note[0].upper() + row.note[1:] + ".", ""] if row.note else []
    if "y_true" in names[1:]:
        lines += [f"{names[0]} comes first here; losses and metrics take ``(y_true, y_pred)``, as in Keras.", ""]
    lines += ["Parameters", "----------"]
    lines += [f"{o.name} : array_like{_kind(o)}" for o in kernel.inputs]
    lines += ["out : ndarray or tuple of ndarray, optional", "    Where to put the outputs; it may overlap inputs."]
    lines += ['backend : {"cython", "numba", "numpy"}, optional', 'numerics : {"numpy", "portable"}']
    lines += [f"{name} : float, default {default}" for name, default in kernel.attributes.items()]
    lines += ["", "Returns", "-------", *(() if kernel.results else ("None",))]
    lines += [f"{o.name} : {'ndarray' if o.dims else 'NumPy scalar'}{_kind(o)}" for o in kernel.results]
    lines += ["", "References", "----------", row.source] if row.source != "-" else []
    return "\n".join(lines)


def python_function(kernel: Kernel, usual: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return a kernel as a function of whatever can be made arrays; its errors say what cannot.

    Parameters
    ----------
    kernel : Kernel
    usual : callable, optional
        What `entry_of` returns, for arrays that were made such as it takes; without it all is done in Python.

    Returns
    -------
    callable
    """

    def function(*inputs, out=None, backend=None, numerics=NUMERICS[0], **keywords):
        return _call(kernel, usual, inputs, out, backend, numerics, keywords)

    function.__name__ = function.__qualname__ = kernel.name
    function.__module__ = __package__
    function.__doc__ = _doc(kernel)
    setattr(function, "__signature__", _signature(kernel))  # noqa: B010
    return function


def function_of(kernel: Kernel) -> Callable[..., Any]:
    """Return a kernel as a function of arrays.

    Parameters
    ----------
    kernel : Kernel

    Returns
    -------
    callable
    """
    function = python_function(kernel, entry_of(kernel, kernel.attributes))
    return entry_of(kernel, kernel.attributes, function) or function


def entry_of(
    kernel: Kernel,
    attributes: Mapping[str, float],
    otherwise: Callable[..., Any] | None = None,
    wanted: Collection[str] | None = None,
) -> Callable[..., Any] | None:
    """Return a kernel as a function in C of arrays that it can take as they are, with the arguments of `function_of`.

    Parameters
    ----------
    kernel : Kernel
    attributes : dict of str to float
        What they are where a call does not say.
    otherwise : callable, optional
        `python_function`, which is called instead where an argument is anything else; by default NotImplemented is
        returned.
    wanted : collection of str, optional
        The results to return; by default all. What is updated always is one.

    Returns
    -------
    callable or None
        None where there is no C.
    """
    if MISSING is not None:
        return None
    from inspect import signature

    from .entry import make

    values = [*kernel.code, *map(float, {**kernel.attributes, **attributes}.values())]

    def find(backend: str, numerics: str, dtype: str) -> tuple[int, int, int]:
        found = BACKENDS[backend]
        address, primitives = found.load(dtype, [kernel.name], numerics)[kernel.name], found.primitives(dtype, numerics)
        return address, primitives, len(values) - len(found.attributes(kernel, kernel.attributes))

    def fail(status: int) -> None:
        raise Status(status).exception(f"{kernel.name}: {Status(status).message}")

    def lengths(sizes: tuple[int, ...], values: tuple[float, ...]) -> tuple[int, ...]:
        found = {dim: length for dim, length in zip(kernel.dims, sizes, strict=True) if length >= 0}
        found = kernel.completed(found, dict(zip(kernel.attributes, values, strict=True)))
        return tuple(found[dim] for dim in kernel.dims)

    names = [o.name for o in kernel.operands]
    results = [names.index(o.name) for o in kernel.results if wanted is None or o.name in {*wanted, *kernel.updates}]

    def description(k: int, o: Operand) -> tuple[int, tuple[int, ...], bool, bool, int]:
        shares = sum(1 << names.index(with_) for output, with_ in kernel.inplace if output == o.name)
        return (
            -1 if o.dtype == "real" else np.dtype(o.dtype).num,
            tuple(kernel.dims.index(d) if isinstance(d, str) else ~d for d in o.dims),
            kernel.elementwise and o.dims == ("n",),
            k not in results and k >= len(kernel.inputs),
            shares,
        )

    compiled = [backend.name for backend in BACKENDS.values() if backend.compiled]
    # as C functions tell their signatures
    told = f"{kernel.name}{signature(otherwise)}\n--\n\n{otherwise.__doc__}" if otherwise else ""
    return make(
        name=kernel.name.encode(),
        doc=told.encode(),
        operands=tuple(description(k, o) for k, o in enumerate(kernel.operands)),
        n_inputs=len(kernel.inputs),
        n_sizes=len(kernel.dims),
        results=tuple(results),
        values=tuple(values),
        names=(*names[: len(kernel.inputs)], "out", "backend", "numerics", *kernel.attributes),
        bounds=tuple(bound and bound.holds for bound in map(kernel.row.bounds.get, kernel.attributes)),
        backends=tuple(sorted(compiled, key=lambda name: name != DEFAULT)),
        numerics=NUMERICS,
        apart=any(kernel.row.domain.get(o.name) in _FALLIBLE for o in kernel.inputs),
        find=find,
        fail=fail,
        otherwise=otherwise,
        lengths=lengths if kernel.row.lengths else None,
    )
