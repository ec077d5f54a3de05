"""Numbers made of what is no array of numbers: data frames, and arrays of objects.

No library of data frames is imported: a frame is known by what it has, and pandas' missing value and the class of
decimal numbers are looked up where somebody has imported their modules.
"""

from __future__ import annotations

import math
import sys
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any

__all__ = ["behind", "frame_numbers", "is_frame", "object_numbers", "place", "source"]


class _Source(str):
    """What messages call data: a name that knows the columns of a frame, and which row of all the first one is."""

    columns: Any = None
    first = 0


def source(name: str, data: Any) -> str:
    """Return what messages call data that are called `name`."""
    if not is_frame(data):
        return name
    found = _Source(name)
    found.columns = list(data.columns)
    return found


def behind(name: str, rows: int) -> _Source:
    """Return what messages call the rows of data behind so many."""
    found = _Source(name)
    found.columns, found.first = getattr(name, "columns", None), rows
    return found


def place(name: str, at: Any) -> str:
    """Return what messages call an element of data: by its indices, or by the column of a frame and the row.

    Parameters
    ----------
    name : str
    at : sequence of int

    Returns
    -------
    str

    Examples
    --------
    >>> place("x", (3, 1)), place(behind("x", 40), (3, 1))
    ('x[3, 1]', 'x[43, 1]')
    """
    row, *others = map(int, at)
    columns, row = getattr(name, "columns", None), row + getattr(name, "first", 0)
    if columns is not None and len(others) == 1:
        return f"column {columns[others[0]]!r} of {name}, row {row},"
    return f"{name}[{', '.join(map(str, (row, *others)))}]"


class Column:
    """Which column of which frame an array was."""

    def __init__(self, frame: Any, label: Any, dtype: Any) -> None:
        self.frame, self.label, self.dtype = frame, label, dtype


def is_frame(values: Any) -> bool:
    """Whether a value has columns with names and dtypes, as the data frames of pandas and polars have."""
    kind = type(values)
    return kind is not np.ndarray and hasattr(kind, "columns") and hasattr(kind, "dtypes")


def frame_numbers(name: str, frame: Any, labels: bool = False) -> np.ndarray:
    """Return the numbers of a frame, rows by their position; what is missing becomes NaN.

    Parameters
    ----------
    name : str
        For error messages.
    frame : data frame
    labels : bool
        Whether they are targets, for which the advice about text is another one.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If a column holds what is no number; the message has its name, the first such value and its row.
    """
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "O" for dtype in frame.dtypes}
    if kinds <= {"i", "f"} or kinds in ({"u"}, {"b"}):
        # mostly one block of memory, which is not copied; with other kinds it would become one of objects
        return np.asarray(frame)
    columns = []
    for k, label in enumerate(frame.columns):
        # by place: names need not be unique
        column = frame.iloc[:, k] if hasattr(frame, "iloc") else frame[:, k]
        array = np.asarray(column)
        if array.dtype.kind not in "biuf":
            array = object_numbers(name, array, labels, Column(frame, label, column.dtype))
        columns.append(array)
    return np.stack(columns, axis=1)


def object_numbers(name: str, array: np.ndarray, labels: bool = False, column: Column | None = None) -> np.ndarray:
    """Return the numbers that an array of another dtype holds, or raise an error that says what it holds.

    Parameters
    ----------
    name : str
        For error messages.
    array : ndarray
    labels : bool
        As for `frame_numbers`.
    column : Column, optional
        Where it is one.

    Returns
    -------
    ndarray
        Of bool or integers where all values are such, else of float64; None and pandas' NA become NaN.

    Raises
    ------
    TypeError, ValueError
    """
    if array.dtype.kind != "O":
        raise _refusal(name, array, 0, labels, column)
    values = array.reshape(-1).tolist()
    kinds = {kind: _kind_of(kind) for kind in set(map(type, values))}
    if array.ndim == 0 and not set(kinds.values()) <= {"bool", "int", "float"}:
        (value,) = values
        if hasattr(value, "toarray"):
            raise TypeError(f"{name} is a sparse {type(value).__name__}; {name}.toarray() makes an array of it")
        raise TypeError(f"{name} is {value!r}; it must be an array of real numbers")
    if None in kinds.values():
        first = next(k for k, value in enumerate(values) if kinds[type(value)] is None)
        raise _refusal(name, array, first, labels, column)
    found = set(kinds.values())
    try:
        if found <= {"bool", "int"}:
            whole = np.array(values)
            if whole.dtype.kind in "biu":
                return whole.reshape(array.shape)
        if "missing" in found:
            values = [math.nan if kinds[type(value)] == "missing" else value for value in values]
        return np.array(values, np.float64).reshape(array.shape)
    except OverflowError:
        raise ValueError(f"{name} holds integers that are too large for float64") from None


def _kind_of(kind: type) -> str | None:
    """Return what values of a type are: "bool", "int", "float", "missing", or None for what is no number."""
    if issubclass(kind, (bool, np.bool_)):
        return "bool"
    if issubclass(kind, np.timedelta64):  # which NumPy counts among the integers
        return None
    if issubclass(kind, Integral):
        return "int"
    if issubclass(kind, (Real, getattr(sys.modules.get("decimal"), "Decimal", Real))):
        return "float"
    missing = type(None), type(getattr(sys.modules.get("pandas"), "NA", None))
    return "missing" if kind in missing else None


def _refusal(name: str, array: np.ndarray, first: int, labels: bool, column: Column | None) -> TypeError:
    """Return the error for an array that holds what is no number, from element `first` on."""
    subject, dtype = (name, array.dtype) if column is None else (f"column {column.label!r} of {name}", column.dtype)
    what = f"{subject} has dtype {dtype}; it must hold real numbers"
    if array.size == 0:
        return TypeError(what)
    at = np.unravel_index(first, array.shape)
    value: Any = array[at]
    where = f"row {first}" if column is not None else place(name, at) if array.ndim else "it"
    shown = repr(value.item() if array.dtype.kind in "SUc" else str(value) if array.dtype.kind in "mM" else value)
    way = _way(name, value, array, labels, column)
    return TypeError(f"{what}: {where} is {shown}{way and f'. {way}'}")


def _way(name: str, value: Any, array: np.ndarray, labels: bool, column: Column | None) -> str:
    """Return the way out for a value that is no number."""
    whose = name if column is None else f"{name}[{column.label!r}]"
    if isinstance(value, (str, bytes)):
        if labels:
            return f"np.unique({whose}, return_inverse=True)[1] makes numbers of text labels"
        if _reads_as_number(value):
            return f"{whose}.astype(float) reads numbers that are written as text"
        if column is None:
            return "One column of 0 and 1 for each text makes numbers of it, as pandas.get_dummies does"
        maker = f"pandas.get_dummies({name})" if hasattr(column.frame, "iloc") else f"{name}.to_dummies()"
        return f"{maker} makes a column of 0 and 1 for each text"
    if isinstance(value, (np.datetime64, np.timedelta64)) or hasattr(value, "toordinal"):
        times = whose if isinstance(value, np.timedelta64) else f"({whose} - {whose}.min())"
        return f"{times} / np.timedelta64(1, 'D') makes days of it"
    if array.dtype.kind == "c":
        return f"np.abs({whose}), np.real({whose}) and np.imag({whose}) are real"
    if array.dtype.names:
        return f"numpy.lib.recfunctions.structured_to_unstructured({name}) makes columns of its fields"
    return ""


def _reads_as_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
