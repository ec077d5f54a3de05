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

from ..checks import check_identifier, check_kind, suggest
from .backend import BACKENDS, NUMERICS, check_numerics, choose_backend
from .dtypes import REALS
from .table import KERNELS, TABLE, Kernel, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from .added import AddedOperands

__all__ = ["BACKENDS", "NUMERICS", "add_foreign_row", "add_row", "get_include", "load", "primitives_address", *KERNELS]


def get_include() -> str:
    """Return the directory that holds ``abi.h``, the C signature of all kernels.

    Returns
    -------
    str

    Examples
    --------
    >>> import os
    >>> os.path.exists(os.path.join(get_include(), "abi.h"))
    True
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

    Examples
    --------
    >>> primitives_address("float32") == primitives_address("float32", numerics="portable")
    False
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

    Examples
    --------
    >>> import numpy as np
    >>> kernels = load("numpy", names=["relu_forward"])
    >>> kernels["relu_forward"](np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    names = tuple(KERNELS) if names is None else tuple(names)
    choose_backend(backend)
    check_numerics(numerics)
    _check_dtype(dtype)
    for name in names:
        if name not in KERNELS:
            raise ValueError(f"there is no kernel {name!r}{suggest(name, KERNELS)}")
    return BACKENDS[backend].load(dtype, names, numerics)


#: Families of rows that may be added at run time.
_ADDED = ("activation", "layer", "loss")
#: How many buffers a kernel may have: as entry.c and the runner have it.
_MOST = 16


#: Of the names of rows that were made at run time, the row that each stands for: the newest.
_NEWEST: dict[str, Row] = {}


def row_called(name: str) -> Row | None:
    """Return the row that users call so: the newest, where a function of that name was defined again.

    The older ones stay in the table, each under a name of its own, for what was made with them.
    """
    newest = _NEWEST.get(name)
    return TABLE.get(name if newest is None else newest.name)


def names_called(family: str) -> list[str]:
    """Return what users call the rows of a family."""
    return list(dict.fromkeys(row.called for row in TABLE.values() if row.family == family))


def _put(row: Row, newest: bool) -> Row:
    """Put a row into the table, if it is not there; let its name stand for it if it is the newest, or the first."""
    TABLE[row.name] = row
    KERNELS.update(row.kernels)
    if newest or row_called(row.called) is None:
        _NEWEST[row.called] = row
    for suffix in ("forward", "backward"):
        globals().pop(f"{row.called}_{suffix}", None)  # a function of the older row
    return row


def _free_name(name: str, family: str) -> str:
    """Return the name in the table of a new row that is to be called so."""
    if not isinstance(family, str) or family not in _ADDED:
        raise ValueError(f"family is {family!r}; it must be one of {', '.join(_ADDED)}")
    if name in TABLE and (name not in _NEWEST or _NEWEST[name].family != family):
        raise ValueError(f"there is a row {name!r} already; give yours another name")
    numbered = (f"{name}__{k}" for k in range(2, len(TABLE) + 2))
    return name if name not in TABLE else next(other for other in numbered if other not in TABLE)


def _new_row(name: str, called: str, family: str, read: AddedOperands) -> Row:
    counted = "elements" if read.result == "n" else "rows"
    of_loss: dict[str, Any] = {"attributes": {"mean": 1.0}, "mean_over": counted, "sample": "elements"}
    more = of_loss if family == "loss" else {}
    return Row(name, family, source="added at run time", called=called, saved=read.inputs, **more)


def add_row(name: str, family: str, forward: str, backward: str, newest: bool = False) -> Row:
    """Add an op to the table at run time, over elements or over elements and rows; every backend runs it.

    Parameters
    ----------
    name : str
        What it is called; its kernels are ``name_forward`` and ``name_backward``. Where another row is called so, both
        are in the table.
    family : {"activation", "layer", "loss"}
    forward, backward : str
        NumPy statements that assign every output, in the vocabulary of ``codegen/graph.py``. Nothing else is accepted,
        so that they may come from a file. An activation makes ``y`` of ``x``, and ``dx`` of ``dy`` and ``x``. A layer
        may have several inputs, ``x1``, ``x2`` ..., and makes ``dx1``, ``dx2`` ...; where its y is ``s[:, 0]`` it has
        one number for each row, as has dy; of ``s[:, 0][:, None]`` both have a last axis of 1. A loss makes
        ``elements`` and ``loss`` of ``y_pred`` and ``y_true``, and ``dy_pred``. Those of several outputs are numbered
        ``y_pred1``, ``y_true1``, ``dy_pred1`` ...; such as ``y_pred2_row`` have a last axis of 1.
    newest : bool
        Whether the name is to stand for this row, where there are others of that name.

    Returns
    -------
    Row
        The one of these expressions, which may have been there.

    Raises
    ------
    TypeError
        If name or an expression is no str.
    ValueError
        If an expression has another word or is too long, or needs more than 16 arrays, or the name is that of one of
        fastbp's own rows, or of another family's.

    Examples
    --------
    >>> import numpy as np
    >>> from fastbp import kernels
    >>> row = kernels.add_row("my_cube", "activation", "y = x * x * x", "dx = dy * (3 * x * x)")
    >>> kernels.my_cube_forward(np.array([-1.0, 2.0]))
    array([-1.,  8.])
    """
    for which, expression in (("forward", forward), ("backward", backward)):
        check_kind(which, expression, str, "NumPy statements as a str")
        if not expression.strip():
            raise ValueError(f"{which} is {expression!r}; it must assign every output")
    check_identifier("the name of a row", name)
    for row in [row for row in TABLE.values() if row.called == name and row.family == family]:
        if [kernel.expression for kernel in row.kernels.values()] == [forward, backward]:
            return _put(row, newest)
    import ast

    from .added import operands_of

    own = _free_name(name, family)
    names = [f"{own}_forward", f"{own}_backward"]
    for kernel, expression in zip(names, (forward, backward), strict=True):
        with _reading(kernel, expression):
            ast.parse(expression)
    with _reading(own, f"{forward}; {backward}"):
        read = operands_of(family, forward, backward)
    row = _new_row(own, name, family, read)
    for kernel, signature, expression in zip(names, read.signatures(family), (forward, backward), strict=True):
        with _reading(kernel, expression):
            row.kernels[kernel] = _kernel_of(kernel, row, signature, expression)
    return _put(row, newest)


@contextmanager
def _reading(name: str, expression: str) -> Iterator[None]:
    """Turn errors of Python's parser, which may be given anything, into a ValueError."""
    try:
        yield
    except (SyntaxError, RecursionError, MemoryError) as error:
        why = str(error) or "it is nested too deeply"
        said = f"{expression[:60]!r}{' ...' * (len(expression) > 60)}"
        raise ValueError(f"{name}: the expression {said} cannot be read: {why}") from error


def _kernel_of(name: str, row: Row, signature: str, expression: str) -> Kernel:
    """Return the kernel of an expression, with as many arrays to work in as backends need."""
    from .chain import encode, registers_of
    from .codegen.graph import Graph
    from .codegen.plan import Plan, RoomError

    split = None if row.family == "loss" else "n" if "[n]" in signature else "batch"
    work: list[str] = []
    while True:
        operands = "".join(f", {array}[batch,n]" for array in work)
        kernel = Kernel(name, row, signature + operands, split=split, work=work, expression=expression)
        if len(kernel.operands) > _MOST:
            raise ValueError(f"{name}: the expression needs {len(kernel.operands)} arrays; there may be {_MOST}")
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


def add_foreign_row(name: str, family: str, function: Any, derivative: Any, inputs: Sequence[str] = ("x",)) -> Row:
    """Add a pointwise op to the table at run time, made of scalar functions that ``numba.njit`` compiled.

    The name stands for it from then on, see `add_row`.

    Parameters
    ----------
    name : str
        Its kernels are ``name_forward`` and ``name_backward``.
    family : {"activation", "layer", "loss"}
    function, derivative : Dispatcher
        Of x for an activation; of y_true and y_pred for a loss, and the derivative by y_pred. Of the inputs for a
        layer; where there are several, the derivative returns a tuple of slopes.
    inputs : sequence of str
        What a layer's are called.

    Returns
    -------
    Row

    Raises
    ------
    ImportError
        Without Numba or the extension modules.
    TypeError
        If one is not compiled by Numba.
    ValueError
        If one of fastbp's own rows, or one of another family, has that name.

    Examples
    --------
    >>> from importlib.util import find_spec
    >>> import numpy as np
    >>> from fastbp import kernels
    >>> if find_spec("numba"):
    ...     from numba import njit
    ...     row = kernels.add_foreign_row("half_square", "activation", njit(lambda x: x * x / 2), njit(lambda x: x))
    ...     assert kernels.half_square_forward(np.array([3.0])) == 4.5
    """
    from .added import AddedOperands

    check_identifier("the name of a row", name)
    own = _free_name(name, family)
    foreign = BACKENDS[choose_backend("numba")].importable("foreign")
    read = AddedOperands(inputs=("y_pred", "y_true"), by=("y_pred",)) if family == "loss" else AddedOperands()
    if family == "layer":
        read = AddedOperands(inputs=tuple(inputs), by=tuple(inputs))
        if 2 * len(inputs) + 1 > _MOST:
            raise ValueError(f"{name}: the function needs {2 * len(inputs) + 1} arrays; there may be {_MOST}")
        made = foreign.layer(function, derivative, len(inputs))
    else:
        made = {"activation": foreign.activation, "loss": foreign.loss}[family](function, derivative)
    row = _new_row(own, name, family, read)
    split = None if family == "loss" else "n"
    parts = zip(("forward", "backward"), read.signatures(family), made, (function, derivative), strict=True)
    for suffix, signature, kernel_of, python in parts:
        kernel = Kernel(f"{own}_{suffix}", row, signature, python.py_func, split=split)
        kernel.foreign = kernel_of
        row.kernels[kernel.name] = kernel
    return _put(row, newest=True)


def _check_dtype(dtype: str) -> None:
    if not isinstance(dtype, str) or dtype not in REALS:
        raise ValueError(f"dtype is {dtype!r}; it must be 'float32' or 'float64'{suggest(dtype, REALS)}")


def __getattr__(name: str) -> Any:
    # functions are made when first asked for: importing the package makes none
    if name in KERNELS:
        from .functions import function_of

        row = KERNELS[name].row
        newest = row_called(row.name) or row
        function = globals()[name] = function_of(newest.kernels[newest.name + name.removeprefix(row.name)])
        return function
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{suggest(name, KERNELS)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *KERNELS})
