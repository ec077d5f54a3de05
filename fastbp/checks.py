"""Checks of what users pass in that need no knowledge of models: every module of the package may use them.

An error names the argument, what it was and what is allowed.
"""

from __future__ import annotations

import keyword
import math
import operator
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from .frames import frame_numbers, is_frame, object_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from numpy.typing import ArrayLike

__all__ = [
    "as_array", "as_expressions", "as_generator", "as_list", "as_numbers", "as_path", "as_shape", "check_identifier",
    "check_kind", "check_name", "integer", "number", "retold", "saved_seed", "seeded", "source_of", "suggest",
    "takes_more", "weights_of",
]  # fmt: skip

_PLAIN = {bool, int, float}


def retold(error: Exception, text: str) -> Exception:
    """Return an error of the same kind with another message; one of a class that may want other arguments as it is.

    Examples
    --------
    >>> retold(ValueError("it is 3"), "x: it is 3"), retold(KeyError("k"), "x: k")
    (ValueError('x: it is 3'), KeyError('k'))
    """
    return type(error)(text) if type(error) in (TypeError, ValueError, IndexError) else error


def suggest(name: object, names: Iterable[str], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `names`, or an empty string.

    Parameters
    ----------
    name : object
        What was written.
    names : iterable of str
        What may be.
    others : mapping of str to str, optional
        Other spellings of these names, which are what is said.

    Returns
    -------
    str

    Examples
    --------
    >>> suggest("rellu", ["relu", "tanh"])
    "; did you mean 'relu'?"
    >>> suggest("learningrate", ["lr", "eps"], {"learning_rate": "lr"})
    "; did you mean 'lr'?"
    """
    import difflib  # only needed where something already went wrong

    text = str(name)
    # capitals count only where there are none: of "Adam" and "adam" the one that looks like it is meant
    fold = str.lower if text != text.lower() else str
    meant = {fold(written): own for written, own in (*others.items(), *((own, own) for own in [*names][::-1]))}
    near = difflib.get_close_matches(fold(text), meant, n=1, cutoff=0.5)
    return f"; did you mean {meant[near[0]]!r}?" if near else ""


def check_name(kind: str, name: object, names: Iterable[str], others: Mapping[str, str] = MappingProxyType({})) -> None:
    """Raise ValueError unless `name` is one of `names`; the message suggests the nearest and lists all."""
    names = tuple(names)
    if not isinstance(name, str) or name not in names:
        hint = suggest(name, names, others)
        raise ValueError(f"there is no {kind} {name!r}{f'{hint} There' if hint else '; there'} are {', '.join(names)}")


def check_identifier(name: str, value: Any, hint: str = "") -> None:
    """Raise an error that names a value unless it is an identifier of Python's; `hint` is said behind it."""
    check_kind(name, value, str, f"an identifier{hint}")
    if not value.isidentifier() or keyword.iskeyword(value):
        raise ValueError(f"{name} is {value!r}; it must be an identifier, and no keyword{hint}")


def as_expressions(value: Any) -> tuple[str, str]:
    """Return the two expressions of a custom function, or raise an error that names them."""
    if not isinstance(value, (list, tuple)) or len(value) != 2 or not all(isinstance(text, str) for text in value):
        raise TypeError(f"expressions is {value!r}; it must be two strings: of the value and of the gradient")
    return value[0], value[1]


def integer(name: str, value: Any, low: int, high: int | None = None) -> int:
    """Return an integer of at least `low`, and at most `high`, or raise an error that names it."""
    if value.__class__ is int and value >= low and high is None:
        return value
    try:
        n = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it must be an integer") from None
    if n < low:
        raise ValueError(f"{name} is {n}; it must be at least {low}")
    if high is not None and n > high:
        raise ValueError(f"{name} is {n}; it must be at most {high}")
    return n


def saved_seed(name: str, value: Any) -> int | None:
    """Return a seed of a file, an integer or None, or raise an error that names it."""
    return None if value is None else integer(name, value, 0)


def number(
    name: str,
    value: Any,
    low: float = -math.inf,
    high: float = math.inf,
    closed_low: bool = True,
    closed_high: bool = False,
) -> float:
    """Return a finite number between `low` and `high`, or raise an error that names it."""
    try:
        x = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}; it must be a number") from None
    except OverflowError:  # an integer beyond every float
        x = math.inf
    inside = (low <= x if closed_low else low < x) and (x <= high if closed_high else x < high)
    if not inside or not math.isfinite(x):
        bracket = "[" if closed_low else "(", "]" if closed_high else ")"
        bounded = math.isfinite(low) or math.isfinite(high)
        what = f"in {bracket[0]}{low:g}, {high:g}{bracket[1]}" if bounded else "finite"
        raise ValueError(f"{name} is {value!r}; it must be {what}")
    return x


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], what: str) -> None:
    """Raise an error that names a value unless it is of a kind; `what` is that in words."""
    if not isinstance(value, kind):
        text = repr(value)
        # an array would hide what is asked for
        text = text if len(text) <= 200 else f"an object of {type(value).__name__}"
        raise TypeError(f"{name} is {text}; it must be {what}")


def takes_more(name: str, function: Any, count: int, names: tuple[str, ...]) -> bool:
    """Return whether a function is to be called with an argument more than `count`, or raise an error that names it.

    Parameters
    ----------
    name : str
    function : callable
    count : int
        How many positional arguments it must take.
    names : tuple of str
        What the other one may be called. With another name it is one only if it has no default: what a function has
        bound for itself stays as it is.

    Returns
    -------
    bool
    """
    import inspect  # where users have functions, only

    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function in C that does not say
        return True
    kinds = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = signature.parameters.values()
    here = [p for p in parameters if p.kind in kinds][count : count + 1]
    more = any(p.name in names or p.default is p.empty for p in here)
    more = more or (not here and any(p.kind is p.VAR_POSITIONAL for p in parameters))
    try:
        signature.bind(*range(count + more))
    except TypeError as error:
        what = f"{count} argument{'s' * (count != 1)}, or one more, {names[0]}"
        raise TypeError(f"{name} has the signature {signature}; it must take {what} ({error})") from None
    return more


def as_shape(shape: Any, name: str = "input_shape") -> tuple[int, ...] | None:
    """Return the shape of one row, given as an integer, a tuple or None, as a tuple or None; `name` is for errors.

    Parameters
    ----------
    shape : int, iterable of int or None
    name : str
        What the message of an error calls it.

    Returns
    -------
    tuple of int or None

    Raises
    ------
    TypeError
        If it is neither.
    """
    if shape is None:
        return None
    try:
        return (operator.index(shape),)
    except TypeError:
        pass
    try:
        return tuple(operator.index(n) for n in shape)
    except TypeError:
        raise TypeError(f"{name} is {shape!r}; it must be an integer or a tuple of integers") from None


def as_list(name: str, values: Any, what: str) -> list[Any]:
    """Return what can be iterated over as a list, or raise an error that names it; `what` is its elements in words."""
    try:
        return list(values)
    except TypeError:
        raise TypeError(f"{name} is {values!r}; it must be a list of {what}") from None


def as_generator(name: str, seed: Any) -> np.random.Generator:
    """Return a generator of random numbers from a seed, or raise an error that names it."""
    made = np.random.Generator, np.random.BitGenerator, np.random.RandomState
    try:
        # PCG64, as default_rng has it today: which numbers come of a seed is NumPy's promise for the bit generator only
        return np.random.default_rng(seed if isinstance(seed, made) else np.random.PCG64(seed))
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        what = "an integer of at least 0, a numpy.random.Generator or None"
        raise kind(f"{name} is {seed!r}; it must be {what}") from None


#: What draws the seeds of those that have none, while `seeded` is entered.
_SEEDS: ContextVar[Callable[[], int] | None] = ContextVar("seeds", default=None)


@contextmanager
def seeded(draw: Callable[[], int]) -> Iterator[None]:
    """Let whatever has no seed of its own meanwhile have one that is drawn.

    Parameters
    ----------
    draw : callable
        Returns an integer of at least 0.

    Examples
    --------
    >>> with seeded(lambda: 3):
    ...     source_of(None), source_of(5)
    (3, 5)
    """
    token = _SEEDS.set(draw)
    try:
        yield
    finally:
        _SEEDS.reset(token)


def source_of(seed: Any) -> np.random.Generator | int:
    """Return what a seed stands for: the integer from which `as_generator` makes a generator, or a generator."""
    if seed is None:
        if (draw := _SEEDS.get()) is not None:
            return draw()
        return int.from_bytes(os.urandom(16))  # as `numpy.random.SeedSequence` does, in an eighth of its time
    if isinstance(seed, np.random.Generator):
        return seed
    # int is an Integral, found in a quarter of the time
    whole: Any = seed if isinstance(seed, (int, Integral)) else -1
    return int(whole) if whole >= 0 else as_generator("seed", seed)


def as_path(name: str, value: Any) -> str:
    """Return a path as text, or raise an error that names it."""
    try:
        return os.fsdecode(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; it must be a path") from None


def _masked(values: Any, levels: int) -> bool:
    """Whether entries are masked, of an array or of what nested lists hold down to so many levels."""
    if isinstance(values, (list, tuple)):
        # types alone tell most, in less time than conversion takes
        kinds = set(map(type, values))
        plain = kinds <= _PLAIN or (levels == 1 and kinds <= {list, tuple})
        return levels > 0 and not plain and any(_masked(value, levels - 1) for value in values)
    return isinstance(values, np.ndarray) and type(values) is not np.ndarray and np.ma.is_masked(values)


def _has_gaps(values: Any, array: np.ndarray) -> bool:
    """Whether nested lists may hold masked numbers, which have become NaN or objects in their array."""
    kind = array.dtype.kind
    return isinstance(values, (list, tuple)) and (kind == "O" or (kind == "f" and bool(np.isnan(array).any())))


def as_array(name: str, values: ArrayLike) -> np.ndarray:
    """Return an array of what a user gave, or raise an error that names it.

    Parameters
    ----------
    name : str
        For error messages.
    values : array_like
        A masked array where nothing is masked is its data.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If entries are masked: they have no value. If the value says that it cannot be an array.
    ValueError
        If nested lists are of different lengths.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array: {error}") from None
    except (TypeError, RuntimeError) as error:  # of a tensor that lies on another device, or has gradients
        raise TypeError(f"{name} is a {type(values).__name__} of which NumPy makes no array: {error}") from None
    # where nobody has imported it, nothing is masked
    if "numpy.ma" in sys.modules and _masked(values, array.ndim - (not _has_gaps(values, array))):
        way = "fill them (numpy.ma.filled) or leave their rows out"
        raise TypeError(f"{name} has masked entries; it must have none: {way}")
    return array


def as_numbers(name: str, values: ArrayLike, labels: bool = False) -> np.ndarray:
    """Return an array of real numbers, of whatever dtype, or raise an error that names it.

    Parameters
    ----------
    name : str
        For error messages.
    values : array_like
        Or a data frame, or an array of objects that are numbers or missing, which become NaN.
    labels : bool
        Whether they are targets, for which the advice about text is another one.

    Returns
    -------
    ndarray
    """
    if is_frame(values):
        return frame_numbers(name, values, labels)
    array = as_array(name, values)
    return array if array.dtype.kind in "biuf" else object_numbers(name, array, labels)


def weights_of(name: str, values: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    """Return weights of samples as an array of their shape, or raise an error that names them.

    Parameters
    ----------
    name : str
    values : array_like
        A number for each row, or one for each position of a row; both may have a last axis of length 1 besides.
    shape : tuple of int
        Of the samples: rows, and the positions that each of them has.

    Returns
    -------
    ndarray
    """
    array = as_numbers(name, values)
    fitting = dict.fromkeys((shape[:1], shape))
    of = next((of for of in fitting if array.shape in (of, (*of, 1))), None)
    if of is None:
        allowed = " or ".join(map(str, fitting))
        raise ValueError(
            f"{name} has shape {array.shape}; it must be {allowed}, with or without a last axis of length 1"
        )
    return np.broadcast_to(array.reshape(of + (1,) * (len(shape) - len(of))), shape)
