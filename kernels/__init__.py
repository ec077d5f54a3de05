"""Kernels by themselves: every row of the table as an ordinary function on arrays.

Each kernel of the table is a function of this module, for example

>>> import numpy as np
>>> from fastbp import kernels
>>> kernels.relu_forward(np.array([-1.0, 0.0, 2.0]))
array([0., 0., 2.])
>>> kernels.matmul_tn(np.ones((3, 2)), np.ones((3, 1)), backend="numpy")
array([[3.],
       [3.]])

`load` gives a backend's kernels as addresses for a program; `get_include` the directory of ``abi.h``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from ..checks import as_array, check_identifier, check_kind, suggest
from .arrays import dtype_of
from .backend import BACKENDS, DEFAULT, REFERENCE, Given
from .caller import warn
from .dtypes import REALS
from .table import KERNELS, TABLE, Kernel, Row
from .threads import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from numpy.typing import ArrayLike

    from .table import Operand

__all__ = ["BACKENDS", "NUMERICS", "add_foreign_row", "add_row", "get_include", "load", "primitives_address", *KERNELS]

#: Which bits: NumPy's in this process, or the same ones everywhere.
NUMERICS = ("numpy", "portable")

_told = False
#: What to do where the extension modules are missing.
_REMEDY = (
    "they are compiled when fastbp is installed: install a C compiler, then "
    "pip install --force-reinstall --no-deps --no-cache-dir fastbp"
)


def get_include() -> str:
    """Return the directory that holds ``abi.h``, the C signature of all kernels.

    Returns
    -------
    str
    """
    return os.path.dirname(os.path.abspath(__file__))


def primitives_address(dtype: str, numerics: str = "numpy", backend: str = "cython") -> int:
    """Return the address of the primitives that compiled kernels are given.

    Parameters
    ----------
    dtype : {"float32", "float64"}
    numerics : {"numpy", "portable"}
        "numpy": NumPy's own loops, proven on a few arrays the first time.
    backend : {"cython", "numba"}
        Who compiled the portable ones.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no such dtype, numerics or backend, or the backend takes no primitives.
    RuntimeError
        If NumPy's loops do not return NumPy's bits when called from C.
    """
    check_numerics(numerics)
    _check_dtype(dtype)
    return BACKENDS[choose_backend(backend)].primitives(dtype, numerics)


def load(
    backend: str, dtype: str = "float32", names: Iterable[str] | None = None, numerics: str = "numpy"
) -> dict[str, Any]:
    """Return the kernels of one backend.

    Parameters
    ----------
    backend : {"numpy", "numba", "cython"}
    dtype : {"float32", "float64"}
    names : iterable of str, optional
        The kernels that are needed; by default all of the table.
    numerics : {"numpy", "portable"}
        Compiled kernels are the same for both: `primitives_address` is what differs.

    Returns
    -------
    dict
        By name: for "numpy" the functions, for the others the addresses of ``fastbp_kernel`` functions.

    Raises
    ------
    ValueError
        If there is no such backend, numerics, dtype or kernel.
    ImportError
        If the backend cannot be imported here.
    NotImplementedError
        If the backend lacks a kernel of the table.
    """
    names = tuple(KERNELS) if names is None else tuple(names)
    choose_backend(backend)
    check_numerics(numerics)
    _check_dtype(dtype)
    for name in names:
        if name not in KERNELS:
            raise ValueError(f"there is no kernel {name!r}{suggest(name, KERNELS)}")
    return BACKENDS[backend].load(dtype, names, numerics)


#: Of rows that are added at run time: signatures of their kernels, over elements.
_SIGNATURES: dict[str, tuple[tuple[str, str], ...]] = {
    "activation": (("forward", "x[n] -> y[n]"), ("backward", "dy[n], x[n] -> dx[n]")),
    "loss": (
        ("forward", "y_pred[n], y_true[n] -> elements[n], loss[]"),
        ("backward", "y_pred[n], y_true[n] -> dy_pred[n]"),
    ),
}
#: The same where sums, means or maxima of rows are taken, and where the loss is one number for each row.
_OVER = {
    "elements": {},
    "rows": {"[n]": "[batch,n]"},
    "samples": {"elements[n]": "elements[batch]", "[n]": "[batch,n]"},
}


def _check_new(name: str, family: str) -> None:
    if not isinstance(family, str) or family not in _SIGNATURES:
        raise ValueError(f"family is {family!r}; it must be one of {', '.join(_SIGNATURES)}")
    if name in TABLE:
        raise ValueError(f"there is a row {name!r} already; give yours another name")


def _new_row(name: str, family: str, over: str = "elements") -> Row:
    counted = "rows" if over == "samples" else "elements"
    said: dict[str, Any] = {
        "activation": {"saved": ["x"]},
        "loss": {
            "attributes": {"mean": 1.0}, "saved": ["y_pred", "y_true"], "mean_over": counted, "sample": "elements",
        },
    }  # fmt: skip
    return Row(name, family, source="added at run time", **said[family])


def add_row(name: str, family: str, forward: str, backward: str) -> None:
    """Add an op to the table at run time, over elements or over elements and rows; every backend runs it.

    Parameters
    ----------
    name : str
        Its kernels are ``name_forward`` and ``name_backward``.
    family : {"activation", "loss"}
    forward, backward : str
        NumPy statements that assign every output, in the vocabulary of ``codegen/graph.py``. Nothing else is accepted,
        so that they may come from a file.

    Raises
    ------
    TypeError
        If name or an expression is no str.
    ValueError
        If an expression has another word or is too long, or there is another row of that name.
    """
    for which, expression in (("forward", forward), ("backward", backward)):
        check_kind(which, expression, str, "NumPy statements as a str")
        if not expression.strip():
            raise ValueError(f"{which} is {expression!r}; it must assign every output")
    check_identifier("the name of a row", name)
    if name in TABLE and [kernel.expression for kernel in TABLE[name].kernels.values()] == [forward, backward]:
        return
    _check_new(name, family)
    names, over = [f"{name}_{suffix}" for suffix, _ in _SIGNATURES[family]], "elements"
    for kernel, expression in zip(names, (forward, backward), strict=True):
        with _reading(kernel, expression):
            over = max(over, _over(expression), key=[*_OVER].index)
    row = _new_row(name, family, over)
    for kernel, (_, signature), expression in zip(names, _SIGNATURES[family], (forward, backward), strict=True):
        for old, new in _OVER[over].items():
            signature = signature.replace(old, new)
        with _reading(kernel, expression):
            row.kernels[kernel] = _kernel_of(kernel, row, signature, expression)
    TABLE[name] = row
    KERNELS.update(row.kernels)


@contextmanager
def _reading(name: str, expression: str) -> Iterator[None]:
    """Turn errors of Python's parser, which may be given anything, into a ValueError."""
    try:
        yield
    except (SyntaxError, RecursionError, MemoryError) as error:
        why = str(error) or "it is nested too deeply"
        said = f"{expression[:60]!r}{' ...' * (len(expression) > 60)}"
        raise ValueError(f"{name}: the expression {said} cannot be read: {why}") from error


def _over(expression: str) -> str:
    """Return what an expression is over: see `_OVER`."""
    import ast

    nodes = [*ast.walk(ast.parse(expression))]
    if any(isinstance(node, ast.Call) and ast.unparse(node.func) == "len" for node in nodes):
        return "samples"
    return "rows" if any(isinstance(node, ast.keyword) and node.arg == "axis" for node in nodes) else "elements"


def _kernel_of(name: str, row: Row, signature: str, expression: str) -> Kernel:
    """Return the kernel of an expression, with as many arrays to work in as backends need."""
    from .chain import encode, registers_of
    from .codegen.graph import Graph
    from .codegen.plan import Plan, RoomError

    split = ("n" if "[n]" in signature else "batch") if row.family == "activation" else None
    work: list[str] = []
    while True:
        operands = "".join(f", {array}[batch,n]" for array in work)
        kernel = Kernel(name, row, signature + operands, split=split, work=work, expression=expression)
        kernel.code = encode(kernel)
        if kernel.elementwise:
            return kernel
        try:
            Plan(Graph(kernel, {}))
            if registers_of(kernel.code) <= len(work):
                return kernel
        except RoomError:
            pass
        work = [*work, f"work{len(work) + 1}"]


def add_foreign_row(name: str, family: str, function: Any, derivative: Any) -> None:
    """Add a pointwise op to the table at run time, made of scalar functions that ``numba.njit`` compiled.

    Parameters
    ----------
    name : str
        Its kernels are ``name_forward`` and ``name_backward``.
    family : {"activation", "loss"}
    function, derivative : Dispatcher
        Of x for an activation; of y_true and y_pred for a loss, and the derivative by y_pred.

    Raises
    ------
    ImportError
        Without Numba or the extension modules.
    TypeError
        If one is not compiled by Numba.
    ValueError
        If there is a row of that name.
    """
    check_identifier("the name of a row", name)
    _check_new(name, family)
    row = _new_row(name, family)
    foreign = BACKENDS[choose_backend("numba")].importable("foreign")
    made = {"activation": foreign.activation, "loss": foreign.loss}[family](function, derivative)
    split = "n" if family == "activation" else None
    for (suffix, signature), kernel_of, python in zip(_SIGNATURES[family], made, (function, derivative), strict=True):
        kernel = Kernel(f"{name}_{suffix}", row, signature, python.py_func, split=split)
        kernel.foreign = kernel_of
        row.kernels[kernel.name] = kernel
    TABLE[name] = row
    KERNELS.update(row.kernels)


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
                f"but slower; {_REMEDY}",
                RuntimeWarning,
            )
        return DEFAULT if MISSING is None else REFERENCE
    if backend not in tuple(BACKENDS):  # it may be what no dict can look up
        raise ValueError(f"backend is {backend!r}; it must be one of {', '.join(BACKENDS)}{suggest(backend, BACKENDS)}")
    missing = BACKENDS[backend].missing
    if missing is not None:
        raise ImportError(
            f"backend={backend!r} needs fastbp's extension modules, which are missing ({missing}); {_REMEDY}. "
            f"backend={REFERENCE!r} works without them"
        ) from missing
    return backend


def _check_dtype(dtype: str) -> None:
    if dtype not in tuple(REALS):
        raise ValueError(f"dtype is {dtype!r}; it must be 'float32' or 'float64'{suggest(dtype, REALS)}")


def check_numerics(numerics: str) -> None:
    """Raise ValueError unless there is such a numerics."""
    if numerics not in NUMERICS:
        hint = suggest(numerics, NUMERICS)
        raise ValueError(f"numerics is {numerics!r}; it must be 'numpy' or 'portable'{hint}")


def _as_operand(kernel: Kernel, operand: Operand, array: np.ndarray, real: np.dtype) -> np.ndarray:
    dtype = dtype_of(operand.dtype, real)
    if operand.dtype == "i8" and array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{kernel.name}: {operand.name} must hold integers, got {array.dtype}")
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
    if name not in kernel.attributes:
        raise TypeError(f"{kernel.name} has no attribute {name!r}{suggest(name, kernel.attributes)}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{kernel.name}: {name} is {value!r}; it must be a number") from None
    kernel.row.check(f"{kernel.name}: {name}", name, number)
    return number


def _call(
    kernel: Kernel,
    inputs: Sequence[ArrayLike],
    out: np.ndarray | Sequence[np.ndarray | None] | None,
    backend: str | None,
    numerics: str,
    attributes: dict[str, float],
) -> Any:
    backend = choose_backend(backend)
    check_numerics(numerics)
    values = {**kernel.attributes, **{name: _attribute(kernel, name, value) for name, value in attributes.items()}}
    given = _outputs(kernel, out)
    found = [as_array(f"{kernel.name}: {o.name}", value) for o, value in zip(kernel.inputs, inputs, strict=True)]
    real = _real_dtype(kernel, found)
    arrays = {o.name: _as_operand(kernel, o, array, real) for o, array in zip(kernel.inputs, found, strict=True)}
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


def _function(kernel: Kernel) -> Callable[..., Any]:
    from inspect import Parameter, Signature

    names = [o.name for o in kernel.inputs]

    def function(*inputs, out=None, backend=None, numerics="numpy", **attributes):
        if len(inputs) != len(names):
            raise TypeError(f"{kernel.name} takes {len(names)} arrays ({', '.join(names)}), got {len(inputs)}")
        return _call(kernel, inputs, out, backend, numerics, attributes)

    function.__name__ = function.__qualname__ = kernel.name
    function.__module__ = __name__
    row = kernel.row
    what = kernel.name.removeprefix(row.name).strip("_")
    lines = [f"{row.name}{', ' if what else ''}{what}: ``{kernel.signature.strip()}``.", ""]
    if source := kernel.source:
        lines += ["Defined as::", "", *("    " + line for line in source.splitlines()), ""]
    lines += [row.note[0].upper() + row.note[1:] + ".", ""] if row.note else []
    if names[:2] == ["y_pred", "y_true"]:
        lines += ["y_pred comes first here; losses and metrics take ``(y_true, y_pred)``, as in Keras.", ""]
    lines += ["Parameters", "----------"]
    lines += [f"{o.name} : array_like{_kind(o)}" for o in kernel.inputs]
    lines += ["out : ndarray or tuple of ndarray, optional", "    Where to put the outputs."]
    lines += ['backend : {"cython", "numba", "numpy"}, optional', 'numerics : {"numpy", "portable"}']
    lines += [f"{name} : float, default {default}" for name, default in kernel.attributes.items()]
    lines += ["", "Returns", "-------", *(() if kernel.results else ("None",))]
    lines += [f"{o.name} : {'ndarray' if o.dims else 'NumPy scalar'}{_kind(o)}" for o in kernel.results]
    lines += ["", "References", "----------", row.source] if row.source != "-" else []
    function.__doc__ = "\n".join(lines)
    kinds = [Parameter(n, Parameter.POSITIONAL_ONLY) for n in names]
    kinds += [Parameter("out", Parameter.KEYWORD_ONLY, default=None)]
    kinds += [Parameter("backend", Parameter.KEYWORD_ONLY, default=None)]
    kinds += [Parameter("numerics", Parameter.KEYWORD_ONLY, default="numpy")]
    kinds += [Parameter(n, Parameter.KEYWORD_ONLY, default=d) for n, d in kernel.attributes.items()]
    setattr(function, "__signature__", Signature(kinds))  # noqa: B010
    return function


def __getattr__(name: str) -> Any:
    # functions are made when first asked for: importing the package makes none
    if name in KERNELS:
        function = globals()[name] = _function(KERNELS[name])
        return function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{suggest(name, KERNELS)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *KERNELS})
