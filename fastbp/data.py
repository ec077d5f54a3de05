"""Data made ready for a program: arrays go in as they are wherever possible."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from .checks import as_numbers, integer, number, suggest, weights_of
from .frames import place, source
from .kernels.dtypes import REALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from numpy.typing import ArrayLike, DTypeLike

    from .losses import Loss

__all__ = [
    "Bounds", "Given", "Rows", "Structure", "as_features", "as_gradient", "as_rows", "as_targets", "as_weights",
    "as_whole", "bounds_of", "by_blocks", "check_rows", "dtype_name", "filling", "ready",
]  # fmt: skip


class Given:
    """What a batch brings for a head: nothing, targets, or targets and weights of samples."""

    # plain integers: they are parts of keys that every call looks up

    NOTHING = 0
    TARGETS = 1
    WEIGHTS = 2


class Rows:
    """Data made ready for a program: checked, contiguous, of its dtypes.

    Parameters
    ----------
    x : tuple of ndarray
        In the order of the model's inputs.
    y : tuple of ndarray or None
        In the order of the heads, as the rest; None where there are no targets.
    weight : tuple of ndarray or None
        Of each row, or position of a row, as a column; empty where there are none.
    counting : tuple of ndarray or None
        Which targets count in the loss, where not all do.

    Attributes
    ----------
    n : int
        The number of rows.
    given : tuple of Given or None
        What there is for each head; None where that are targets for all.
    octets : tuple of int
        The numbers of the inputs that are still uint8, which train steps gather as they are.
    """

    __slots__ = ("counting", "given", "n", "octets", "weight", "x", "y")

    def __init__(
        self,
        x: tuple[np.ndarray, ...],
        y: tuple[np.ndarray | None, ...] = (),
        weight: tuple[np.ndarray | None, ...] = (),
        counting: tuple[np.ndarray | None, ...] = (),
    ) -> None:
        self.x, self.y, self.weight, self.counting, self.n = x, y, weight, counting, len(x[0])
        self.octets = tuple([k for k, array in enumerate(x) if array.dtype.char == "B"])
        self.given: tuple[int, ...] | None = None
        missing = [one is None for one in y]
        weighted = [one is not None for one in weight] or [False] * len(y)
        if True in missing or True in weighted:
            pairs = zip(missing, weighted, strict=True)
            self.given = tuple(
                Given.NOTHING if away else Given.WEIGHTS if weighs else Given.TARGETS for away, weighs in pairs
            )

    def of(self, which: Any) -> Rows:
        """Return some of the rows, by a slice or their numbers."""
        arrays = self.x, self.y, self.weight, self.counting
        return Rows(*[tuple([None if a is None else a[which] for a in each]) for each in arrays])  # type: ignore[arg-type]

    def with_inputs(self, x: tuple[np.ndarray, ...]) -> Rows:
        """Return the same with other inputs."""
        return Rows(x, self.y, self.weight, self.counting)

    def as_reals(self, dtype: str) -> Rows:
        """Return the same with all inputs as numbers of a real dtype."""
        return self.with_inputs(tuple([x.astype(dtype, copy=False) for x in self.x])) if self.octets else self

    def blocks(self, dtype: str, rows: int) -> Iterator[Rows]:
        """Yield the rows with all inputs as numbers of a real dtype, see `by_blocks`."""
        if not self.octets:
            yield self
            return
        widest = max([self.x[k] for k in self.octets], key=np.size)
        for here in by_blocks(widest, dtype, rows):
            yield self.of(here).as_reals(dtype)

    def with_weights(self, weight: tuple[np.ndarray | None, ...]) -> Rows:
        """Return the same with other weights."""
        return Rows(self.x, self.y, weight, self.counting)


class Structure:
    """How several arrays are handed over: one, a list, or a dict by names.

    Parameters
    ----------
    what : str
        What messages call them: "inputs", "outputs".
    names : tuple of str
    kind : {"one", "list", "dict"}
    """

    def __init__(self, what: str, names: tuple[str, ...], kind: str) -> None:
        self.what, self.names, self.kind = what, names, kind

    def parts(self, name: str, given: Any, whole: bool = False, each: str = "arrays") -> list[tuple[str, Any]]:
        """Return (what messages call it, the array) of each; None for what a dict leaves out.

        Parameters
        ----------
        name : str
            What messages call `given`.
        given : array_like, or list or dict of array_like
        whole : bool
            Whether none may be missing.
        each : str
            What messages call what it holds.

        Returns
        -------
        list of (str, array_like)

        Raises
        ------
        TypeError, ValueError
            If it is not handed over as the model takes it.
        """
        names = self.names
        if self.kind == "one" and given.__class__ in (np.ndarray, list):
            return [(name, given)]
        if isinstance(given, Mapping) and not hasattr(given, "__array__") and (self.kind != "one" or _of(given, names)):
            for key in given:
                if key not in names:
                    hint = suggest(key, names)
                    raise ValueError(f"{name} has {key!r}; the {self.what} of the model are {', '.join(names)}{hint}")
            missing = [key for key in names if given.get(key) is None]
            if whole and missing:
                raise ValueError(f"{name} has no {missing[0]!r}; the {self.what} of the model are {', '.join(names)}")
            return [(f"{name}[{key!r}]", given.get(key)) for key in names]
        if self.kind == "one":
            return [(name, given)]
        if given is None and not whole:
            return [(name, None)] * len(names)
        if not isinstance(given, (list, tuple)):
            how = f"a {self.kind} of {len(names)} {each}"
            raise TypeError(f"{name} is a {type(given).__name__}; it must be {how}: {', '.join(names)}")
        if len(given) != len(names):
            what = f"the model has {len(names)} {self.what}: {', '.join(names)}"
            raise ValueError(f"{name} has {len(given)} {each}; {what}")
        if whole:
            for k, part in enumerate(given):
                if part is None:
                    raise ValueError(f"{name}[{k}] is None; there must be one of the {each} for {names[k]}")
        return [(f"{name}[{k}]", part) for k, part in enumerate(given)]

    def joined(self, arrays: Sequence[Any]) -> Any:
        """Return arrays as the model hands them over."""
        if self.kind == "one":
            return arrays[0]
        return dict(zip(self.names, arrays, strict=True)) if self.kind == "dict" else list(arrays)


def _of(given: Any, names: tuple[str, ...]) -> bool:
    """Whether a mapping is by these names, where it might be a table of columns."""
    return set(given) <= set(names)


class Bounds:
    """What each element of data must be: from `low` to `high`, or with `ends` one of the two, or else `other`."""

    def __init__(self, low: Any = None, high: Any = None, ends: bool = False, other: int | None = None) -> None:
        self.low, self.high, self.ends, self.other = low, high, ends, other


#: The two numbers that targets of a kind may be.
_PAIRS = {"signs": (-1, 1), "binary": (0, 1)}
_BLOCK = 1 << 18  # elements that are converted and looked at in one go
_IN_MEMORY = 1 << 18  # elements of data of another dtype, or in a file, that are in memory at a time


def bounds_of(loss: Loss, outputs: int) -> Bounds | None:
    """Return what each target must be, or None where it may be any integer, or any finite number."""
    if loss.targets == "labels":
        return Bounds(0, outputs - 1, other=loss.ignore_index)
    if loss.targets in _PAIRS:
        return Bounds(*_PAIRS[loss.targets], ends=True)
    return None if loss.link is None else Bounds(0, 1)


def ready(array: np.ndarray, dtype: DTypeLike) -> bool:
    """Whether programs can read an array where it lies."""
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


@cache
def filling() -> Callable[[np.ndarray, np.ndarray], bool]:
    """Return `convert_finite`, which is loaded when data come, or what does the same where it is missing."""
    try:
        from .runner import convert_finite
    except ImportError:

        def convert_finite(x: np.ndarray, y: np.ndarray) -> bool:
            if x is not y:
                y[...] = x
            return bool(np.isfinite(y).all())

    return convert_finite


def _real(name: str, array: np.ndarray, dtype: DTypeLike, finite: bool) -> np.ndarray:
    """Return an array as programs read it: itself if it is so, else converted and copied."""
    as_it_is = ready(array, dtype)
    if as_it_is and not finite:
        return array
    converted = array if as_it_is else np.empty(array.shape, dtype)
    step, fill = max(_BLOCK // max(math.prod(array.shape[1:]), 1), 1), filling()
    # block by block: no mask as large as the data, and Ctrl-C is answered in between
    with np.errstate(over="ignore"):
        for start in range(0, len(array), step):
            block = converted[start : start + step]
            given = block if as_it_is else array[start : start + step]
            if not finite:
                block[...] = given
            elif not fill(given, block):
                at = np.argwhere(~np.isfinite(block))[0]
                at[0] += start
                what = array[tuple(at)]
                why = "" if not np.isfinite(what) else f" (too large for {np.dtype(dtype)})"
                raise ValueError(f"{place(name, at)} is {what}{why}; {name} must be finite")
    return converted


def dtype_name(dtype: Any) -> str:
    """Return the name of a real type that models have, or raise an error."""
    if dtype.__class__ is str and dtype in REALS:
        return dtype
    try:
        # numpy.dtype(None) would be float64
        name = dtype if dtype is None else np.dtype(dtype).name
    except TypeError:
        name = dtype
    if not isinstance(name, str) or name not in REALS:
        raise ValueError(f"dtype is {dtype!r}; it must be 'float32' or 'float64'{suggest(name, REALS)}")
    return name


def as_rows(name: str, x: ArrayLike, labels: bool = False) -> np.ndarray:
    """Return `x` as an array of at least one row; its dtype is left alone. `labels` is as for `as_numbers`."""
    array = as_numbers(name, x, labels)
    if array.ndim == 0:
        raise ValueError(f"{name} is a single number; it must have a row for each sample")
    if len(array) == 0:
        raise ValueError(f"{name} is empty; it must have at least one row")
    return array


def as_features(name: str, x: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike, finite: bool = True) -> np.ndarray:
    """Return `x` as a C-contiguous array of rows.

    Parameters
    ----------
    name : str
        For error messages.
    x : array_like
    shape : tuple of int
        Of one row.
    dtype : dtype
        float32 or float64.
    finite : bool
        Whether NaN and inf are refused.

    Returns
    -------
    ndarray
        `x` itself where it already is one.

    Raises
    ------
    TypeError, ValueError
        The message names the argument, what it was and what is allowed.
    """
    array = as_rows(name, x)
    check_rows(name, array, shape)
    return _real(name, array, dtype, finite)


def check_rows(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless an array has rows of a shape."""
    if array.shape[1:] != tuple(shape):
        want = ", ".join(["rows", *map(str, shape)])
        hint = "; for a single sample pass x[None]" if array.shape == tuple(shape) else ""
        hint = hint or ("; for a single feature pass x[:, None]" if array.ndim == 1 and shape == (1,) else "")
        hint = hint or _hint_of_images(array.shape, tuple(shape))
        raise ValueError(f"{name} has shape {array.shape}; it must be ({want}){hint}")


def _hint_of_images(given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Return what makes images or sequences of an array that has them in another form."""
    if len(shape) < 2:
        return ""
    if (*given[1:], 1) == shape:
        return "; for the axis of one channel pass x[..., None]"
    if given[1:] == (shape[-1], *shape[:-1]):
        return f"; channels are last: pass x.transpose({', '.join(map(str, (0, *range(2, len(given)), 1)))})"
    if len(given) == 2 and given[1] == math.prod(shape):
        return f"; for flat rows pass x.reshape({', '.join(map(str, (-1, *shape)))})"
    return ""


def by_blocks(x: np.ndarray, dtype: DTypeLike, rows: int) -> Iterator[slice]:
    """Yield slices of an array to convert one after another: all of it where programs can read it as it is.

    Parameters
    ----------
    x : ndarray
    dtype : dtype
    rows : int
        Each slice but the last is a multiple of so many.

    Yields
    ------
    slice
    """
    most = max(_IN_MEMORY // max(math.prod(x.shape[1:]), 1) // rows, 1) * rows
    step = len(x) if ready(x, dtype) else most
    yield from (slice(start, start + step) for start in range(0, len(x), step))


def as_gradient(dy: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike, name: str = "dy") -> np.ndarray:
    """Return a gradient of a model's output, finite or not, as a C-contiguous array of the dtype and of `shape`."""
    array = as_numbers(name, dy)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; it must be that of the output, {shape}")
    return _real(name, array, dtype, False)


def as_whole(name: str, x: np.ndarray) -> None:
    """Raise ValueError unless numbers are whole."""
    wrong = x != np.trunc(x)
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        raise ValueError(f"{place(name, at)} is {x[at]}; this input takes whole numbers")


def as_targets(name: str, y: ArrayLike, loss: Loss, shape: tuple[int, ...], dtype: DTypeLike, rows: int) -> np.ndarray:
    """Return targets as the loss takes them.

    Parameters
    ----------
    name : str
    y : array_like
        Each row of the loss's `target_shape`: for labels or groups integers (or whole numbers), one for each row of
        the last axis, which may be kept as an axis of length 1; else real numbers, mostly of the output's shape, whose
        last axis may be left away where its length is 1.
    loss : Loss
    shape : tuple of int
        Of one row of the output.
    dtype : dtype
    rows : int
        How many rows there must be.

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError, ValueError
        The message names the argument, what it was and what is allowed.
    """
    name = source(name, y)
    array = as_rows(name, y, labels=True)
    if len(array) != rows:
        raise ValueError(f"{name} has {len(array)} rows and x has {rows}; they must be equal")
    wanted = (rows, *loss.target_shape(shape))
    if loss.takes_integers:
        return _integers(name, array, loss, wanted, shape[-1])
    if array.shape == wanted[:-1] and wanted[-1] == 1:
        array = array[..., None]
    if array.shape != wanted:
        hint, labels = "", array.shape == wanted[:-1]
        if loss.link == "softmax" and labels:
            hint = "; for integer labels use the sparse categorical cross-entropy"
        elif loss.targets == "one_hot" and labels:
            hint = f"; np.eye({wanted[-1]})[{name}] makes one-hot rows of labels"
        raise ValueError(f"{name} has shape {array.shape}; it must be {wanted}{hint}")
    converted = _real(name, array, dtype, True)
    bounds = bounds_of(loss, shape[-1])
    if bounds is not None:
        low, high, ends = bounds.low, bounds.high, bounds.ends
        bad = (converted != low) & (converted != high) if ends else ~((converted >= low) & (converted <= high))
        if bad.any():
            at = tuple(np.argwhere(bad)[0])
            hint = "; 2 * y - 1 makes signs of 0 and 1" if low < 0 and np.isin(converted, (0, 1)).all() else ""
            what = f"{low} or {high}{hint}" if ends else f"in {low} .. {high}"
            raise ValueError(f"{place(name, at)} is {array[at]}; targets of {loss!r} must be {what}")
    if loss.targets == "one_hot":
        bad = ((converted != 0) & (converted != 1)).any(axis=-1) | (converted.sum(axis=-1) != 1)
        if bad.any():
            at = tuple(np.argwhere(bad)[0])
            what = f"targets of {loss!r} must be rows of 0 with a single 1"
            raise ValueError(f"{place(name, at)} is {array[at]}; {what}")
    return converted


def as_weights(
    sample_weight: ArrayLike | None,
    class_weight: Any,
    y: np.ndarray,
    loss: Loss,
    dtype: DTypeLike,
    name: str = "sample_weight",
    outputs: int | None = None,
) -> np.ndarray | None:
    """Return weights for the rows of `y`, targets as the loss takes them, or None where there are none.

    Parameters
    ----------
    sample_weight : array_like, optional
        Not negative, of a shape as for `weights_of`: a position of a row is what has a target, or label, of its own.
    class_weight : dict of int to float or "balanced", optional
        Classes that are left out weigh 1; "balanced" is ``rows / (classes * count of the class)``, where rows whose
        label is ignored are none and have no class.
    y : ndarray
        All rows that are trained on: what is balanced.
    loss : Loss
    dtype : dtype
    name : str
        For error messages.
    outputs : int, optional
        How many the model has: so many classes labels have.

    Returns
    -------
    ndarray, shape (rows, ..., 1), or None

    Raises
    ------
    TypeError, ValueError
        The message names the argument, what it was and what is allowed.
    """
    if sample_weight is None and class_weight is None:
        return None
    if not loss.of_samples:
        which = name if class_weight is None else "class_weight"
        raise ValueError(f"{which} is given; {loss!r} does not support weights of samples, as it is no sum over them")
    samples = y.shape if loss.takes_integers else y.shape[:-1]
    given = np.ones(len(y)) if sample_weight is None else as_numbers(name, sample_weight)
    weights = weights_of(name, given, samples)
    # what is wrong has its place in the array that was given
    _real(name, given, dtype, True)
    if (given < 0).any():
        at = tuple(np.argwhere(given < 0)[0])
        raise ValueError(
            f"{place(name, at)} is {given[at]}; weights must not be negative. For signed ones, as the advantages of "
            "a policy gradient, call forward(x) and backward(dy) with dy = advantage * (p - onehot) / rows"
        )
    if class_weight is not None:
        weights = weights * _class_weights(class_weight, y, loss, outputs)
    return _real(name, weights, dtype, True)[..., None]


def _class_weights(class_weight: Any, y: np.ndarray, loss: Loss, outputs: int | None) -> np.ndarray:
    pair = _PAIRS.get(loss.targets, (0, 1) if loss.link else (-1, 1))
    known: Sequence[int]
    if loss.targets == "labels":
        classes, known = y, range(int(y.max()) + 1 if outputs is None else outputs)
    elif loss.link == "softmax" or loss.targets == "one_hot":
        classes, known = y.argmax(axis=-1), range(y.shape[-1])
    elif y.shape[-1] == 1 and np.isin(y, pair).all():
        classes, known = y[..., 0].astype(np.int64), pair
    else:
        raise ValueError(f"class_weight is given; targets of {loss!r} and shape {y.shape} have no classes")
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(f"class_weight is {class_weight!r}; it must be a dict of weights by class or 'balanced'")
        found, counts = np.unique(classes[classes != loss.ignore_index], return_counts=True)
        table = dict(zip(found.tolist(), counts.sum() / (len(found) * counts), strict=True))
    elif isinstance(class_weight, Mapping):
        table = {}
        for key, value in class_weight.items():
            label = integer("a class of class_weight", key, -1)
            if label not in known:
                allowed = f"0 .. {len(known) - 1}" if isinstance(known, range) else f"{known[0]} and {known[1]}"
                raise ValueError(f"class_weight has a weight for class {label}; the classes are {allowed}")
            table[label] = number(f"class_weight[{label}]", value, 0, math.inf)
    else:
        raise TypeError(f"class_weight is {class_weight!r}; it must be a dict of weights by class or 'balanced'")
    weights = np.ones(classes.shape)
    for label, value in table.items():
        weights[classes == label] = value
    return weights


def _integers(name: str, array: np.ndarray, loss: Loss, wanted: tuple[int, ...], n: int) -> np.ndarray:
    if array.shape == (*wanted, 1):
        array = array[..., 0]
    if array.shape != wanted:
        one_hot = array.ndim == len(wanted) + 1 and loss.link
        hint = "; for one-hot targets use the categorical cross-entropy" if one_hot else ""
        raise ValueError(f"{name} has shape {array.shape}; labels must be {wanted}{hint}")
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.trunc(array))
        if not whole.all():
            at = tuple(np.argwhere(~whole)[0])
            raise ValueError(f"{place(name, at)} is {array[at]}; labels must be whole numbers")
    with np.errstate(invalid="ignore"):
        labels = np.require(array, np.int64, ["C", "A"])
    bounds = bounds_of(loss, n)
    bad = labels != array if bounds is None else (array < bounds.low) | (array > bounds.high)
    if loss.ignore_index is not None:
        bad &= array != loss.ignore_index
    if bad.any():
        at = tuple(np.argwhere(bad)[0])
        what = f"labels must be in 0 .. {n - 1}, the model has {n} outputs" if bounds else "groups must fit int64"
        raise ValueError(f"{place(name, at)} is {array[at]}; {what}")
    if bounds is None:
        loss.check_groups(name, labels)
    return labels
