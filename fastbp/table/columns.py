"""What each kind of column of a table becomes: a number, categories, a boolean, a date; what is learnt for that."""

from __future__ import annotations

import datetime
import math
import sys
from abc import abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..checks import check_kind, integer, number
from ..frames import object_numbers
from ..kernels.portable import elementary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

__all__ = [
    "KINDS", "BooleanColumn", "Column", "DateColumn", "LeftOut", "NumberColumn", "TextColumn", "column_of", "gaps_of",
    "is_missing", "kind_of", "moments", "scaled", "standardised", "values_of",
]  # fmt: skip

_DAY = np.timedelta64(1, "D").astype("timedelta64[us]").astype(int)
_LAST_DAY = float((2**63 - 1) // int(_DAY))  # as microseconds count them
_YEAR = 365.2425  # days, of the Gregorian calendar on average
#: Of a column of more categories the most frequent ones are taken if they are those of at least this share of the rows.
_COVERED = 0.5


# ------------------------------------------------------------------------------------------- values


def is_missing(value: Any) -> bool:
    """Whether an object stands for no value: None, NaN, NaT, pandas' NA."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating, np.datetime64)):
        return bool(value != value)
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NA or value is pandas.NaT)


def kind_of(what: str, array: np.ndarray, dtype: Any = None) -> str | None:
    """Return the kind of a column's values by their type; nothing is read into text.

    Parameters
    ----------
    what : str
        What messages call the column.
    array : ndarray, shape (rows,)
    dtype : object, optional
        That of the data frame, which may say more than the array's.

    Returns
    -------
    {"number", "text", "boolean", "date"} or None
        None if there is no value.

    Raises
    ------
    TypeError
        If values are of several kinds, or of one that is no kind of column.
    """
    if str(dtype) == "category":
        return "text" if any(not is_missing(v) for v in array.tolist()) else None
    if array.dtype.kind in "biuf":
        if array.dtype.kind == "f" and np.isnan(array).all():
            return None
        return "boolean" if array.dtype.kind == "b" else "number"
    if array.dtype.kind in "USM":
        if array.dtype.kind == "M":
            return None if np.isnat(array).all() else "date"
        return "text" if array.size else None
    if array.dtype.kind != "O":
        raise TypeError(f"{what} has dtype {array.dtype}; a column holds numbers, text, booleans or dates")
    found: dict[str, Any] = {}
    for kind in set(map(type, array.tolist())):
        value = next(v for v in array if type(v) is kind)
        if issubclass(kind, (float, np.floating)):
            value = next((v for v in array if type(v) is kind and v == v), value)
        if not is_missing(value):
            found.setdefault(_kind_of_value(what, value), value)
    if len(found) > 1:
        one, other = list(found.items())[:2]
        raise TypeError(
            f"{what} holds {one[0]}s and {other[0]}s, such as {one[1]!r} and {other[1]!r}; "
            "columns={...: 'text'} takes all of them as categories"
        )
    return next(iter(found), None)


def _kind_of_value(what: str, value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "boolean"
    if isinstance(value, (str, bytes)):
        return "text"
    if isinstance(value, (np.datetime64, datetime.date)):
        return "date"
    alone = np.empty(1, object)
    alone[0] = value
    try:
        object_numbers(what, alone)
    except (TypeError, ValueError):
        raise TypeError(f"{what} holds {value!r}; a column holds numbers, text, booleans or dates") from None
    return "number"


def values_of(kind: str, what: str, array: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    """Return the values of a column as its kind takes them.

    Parameters
    ----------
    kind : {"number", "text", "boolean", "date"}
    what : str
        What messages call the column.
    array : ndarray, shape (rows,)
    where : callable
        What messages call a row.

    Returns
    -------
    ndarray
        Of text an array of str, None where it is missing; else float64, NaN where it is missing. False is 0 and True
        1, a date its days since 1970, with a fraction for the time of the day.

    Raises
    ------
    TypeError, ValueError
        The message names the column, the row and the value.
    """
    return _READ[kind](what, array, where)


def _number(what: str, array: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        if array.dtype.kind != "O":
            array = array.astype(object)
        for k, value in enumerate(array.tolist()):
            if not is_missing(value) and isinstance(value, (str, bytes, datetime.date)):
                raise TypeError(f"{what}, {where(k)}, is {value!r}; the column holds numbers")
        array = object_numbers(what, np.array([None if is_missing(v) else v for v in array.tolist()], object))
    values = array.astype(np.float64)
    if np.isinf(values).any():
        k = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(f"{what}, {where(k)}, is {values[k]}; it must be finite, or missing (NaN)")
    return values


def _boolean(what: str, array: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    if array.dtype.kind == "b":
        return array.astype(np.float64)
    values = np.full(len(array), np.nan)
    for k, value in enumerate(array.tolist()):
        if is_missing(value):
            continue
        if not isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)) or value not in (0, 1):
            raise TypeError(f"{what}, {where(k)}, is {value!r}; the column holds True and False")
        values[k] = value
    return values


def _text(what: str, array: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    values = np.empty(len(array), object)
    values[:] = [
        value if type(value) is str else None if is_missing(value) else as_text(value) for value in array.tolist()
    ]
    return values


def as_text(value: Any) -> str:
    """Return what a category is called: 7 and 7.0 are "7", so that gaps, which make floats, change no name."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (float, np.floating)) and value.is_integer():
        return str(int(value))
    return str(value)


def _date(what: str, array: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    if array.dtype.kind != "M":
        found = np.full(len(array), "NaT", "datetime64[us]")
        for k, value in enumerate(array.tolist()):
            if is_missing(value):
                continue
            if not isinstance(value, (np.datetime64, datetime.date)):
                raise TypeError(f"{what}, {where(k)}, is {value!r}; the column holds dates")
            if isinstance(value, datetime.datetime) and value.tzinfo is not None:
                value = value.astimezone(datetime.UTC).replace(tzinfo=None)
            found[k] = np.datetime64(value)
        array = found
    missing = np.isnat(array)
    microseconds = array.astype("datetime64[us]").astype(np.int64)
    days = microseconds // _DAY + (microseconds % _DAY) / _DAY
    return np.where(missing, np.nan, days)


_READ: dict[str, Callable[[str, np.ndarray, Callable[[int], str]], np.ndarray]] = {
    "number": _number,
    "text": _text,
    "boolean": _boolean,
    "date": _date,
}


# ------------------------------------------------------------------------------------------- numbers


def moments(values: np.ndarray) -> tuple[float, float, float]:
    """Return mean, standard deviation and median of finite numbers; the deviation is 1 if all are equal.

    Sums are exact and rounded once (`math.fsum`), so that the bits are the same on every machine; neither numbers far
    from zero nor those near the limits of float64 lose digits or overflow.

    Parameters
    ----------
    values : ndarray of float64, shape (n,), n at least 1

    Returns
    -------
    mean, scale, median : float

    Examples
    --------
    >>> import numpy as np
    >>> moments(np.array([1e9, 1e9 + 2])), moments(np.array([3.0, 3.0]))
    ((1000000001.0, 1.0, 1000000001.0), (3.0, 1.0, 3.0))
    >>> moments(np.array([1e308, -1e308]))[:2] == (0, 1e308)
    True
    """
    first = float(values[0])
    if (values == first).all():
        return first, 1.0, first
    # in units of a power of two: exact, and no sum overflows
    exponent = int(np.frexp(np.abs(values).max())[1]) + 1
    units = np.ldexp(values, -exponent)
    around = float(units[0])
    apart = units - around  # exact where the numbers lie close together
    mean = math.fsum(apart) / len(apart)
    rest = apart - mean
    scale = math.ldexp(math.sqrt(math.fsum(rest * rest) / len(rest)), exponent)
    low, high = np.sort(values)[(len(values) - 1) // 2 : len(values) // 2 + 1][[0, -1]].tolist()
    median = low if low == high else low / 2 + high / 2
    return math.ldexp(around + mean, exponent), max(scale, math.ulp(0.0)), median


def scaled(values: np.ndarray, mean: float | np.ndarray, scale: float | np.ndarray) -> np.ndarray:
    """Return ``(values - mean) / scale`` without overflow on the way."""
    with np.errstate(over="ignore"):
        apart = values - mean
        found = apart / scale
        if not np.isfinite(found).all():
            found = np.where(np.isinf(apart), (values / 2 - mean / 2) / (scale / 2), found)
    return found


def standardised(name: str, mean: float, scale: float) -> str:
    """Return what `scaled` does to numbers of that name, in words."""
    sign, apart = ("-", mean) if mean >= 0 else ("+", -mean)
    return f"({name} {sign} {apart:.6g}) / {scale:.6g}"


# ------------------------------------------------------------------------------------------- columns


class Column:
    """A column of a table, and what has been learnt of it from the rows of the training.

    Attributes
    ----------
    name : str
    kind : {"number", "text", "boolean", "date", "left out"}
    gaps : int
        How many rows of the training had no value.
    features : tuple of str
        The names of what the net is given.
    rule : str
        What becomes of a value, in words.
    note : str
        What else there is to say.

    Examples
    --------
    >>> import fastbp
    >>> preparation = fastbp.table.Preparation(target="y").fit({"a": [1.0, 3.0, None], "y": [0.0, 1.0, 0.5]})
    >>> column = preparation.columns[0]
    >>> column.kind, column.rule, column.features
    ('number', '(a - 2) / 1, a gap is 2', ('a', 'a is missing'))
    """

    kind: ClassVar[str] = ""
    note = ""

    def __init__(self, name: str, gaps: int = 0) -> None:
        self.name, self.gaps = name, gaps

    @property
    def features(self) -> tuple[str, ...]:
        """The names of what the net is given."""
        return (*self._own, f"{self.name} is missing") if self.gaps else self._own

    @property
    @abstractmethod
    def _own(self) -> tuple[str, ...]:
        """The features but the indicator of gaps."""

    @property
    @abstractmethod
    def rule(self) -> str:
        """What becomes of a value, in words."""

    def write(self, values: np.ndarray, out: np.ndarray) -> tuple[int, int]:
        """Write the features of rows.

        Parameters
        ----------
        values : ndarray, shape (rows,)
            Of text objects, None where it is missing; else float64, NaN where it is missing.
        out : ndarray of float64, shape (rows, features)

        Returns
        -------
        unknown, missing : int
            In how many rows the value is a category that the training had not, and missing where there was no gap.

        Examples
        --------
        >>> import numpy as np, fastbp
        >>> column = fastbp.table.Preparation().fit({"city": ["Rome", "Bern"]}, [1.0, 2.0]).columns[0]
        >>> out = np.empty((2, 2))
        >>> column.write(np.array(["Rome", "Oslo"], object), out), out.tolist()
        ((1, 0), [[0.0, 1.0], [0.0, 0.0]])
        """
        missing = gaps_of(values)
        if self.gaps:
            out[:, -1] = missing
        unknown = self._write(values, missing, out[:, : len(self._own)])
        return unknown, 0 if self.gaps else int(missing.sum())

    def _write(self, values: np.ndarray, missing: np.ndarray, out: np.ndarray) -> int:
        """Write the features but the indicator of gaps; return in how many rows the value is unknown."""
        raise NotImplementedError

    def _check(self) -> None:
        """Raise ValueError or TypeError if what a file said of the column cannot be."""
        for what in ("name", "note"):
            check_kind(f"the {what} of a column", getattr(self, what), str, "text")
        integer(f"gaps of column {self.name!r}", self.gaps, 0)
        for what in {"mean", "fill"} & vars(self).keys():
            number(f"{what} of column {self.name!r}", getattr(self, what))

    def get_config(self) -> dict[str, Any]:
        """Return what another one is made of, as plain data.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> import fastbp
        >>> fastbp.table.Preparation().fit({"city": ["Rome", "Bern"]}, [1.0, 2.0]).columns[0].get_config()
        {'kind': 'text', 'name': 'city', 'gaps': 0, 'categories': ['Bern', 'Rome'], 'note': '', 'others': 0}
        """
        return {"kind": self.kind, **vars(self)}

    def __repr__(self) -> str:
        return f"<{self.kind} column {self.name!r}: {self.rule}>"


def gaps_of(values: np.ndarray) -> np.ndarray:
    """Return where the values of a column, as from `values_of`, are missing."""
    if values.dtype.kind == "O":
        return np.array([value is None for value in values], bool)
    return np.isnan(values)


def _check_scale(name: str, scale: float) -> None:
    number(f"scale of column {name!r}", scale, 0, math.inf, closed_low=False)


class NumberColumn(Column):
    """A number, standardised: mean 0 and variance 1 over the rows of the training; a gap is the median."""

    kind = "number"

    def __init__(self, name: str, mean: float, scale: float, fill: float, gaps: int = 0, note: str = "") -> None:
        super().__init__(name, gaps)
        self.mean, self.scale, self.fill, self.note = float(mean), float(scale), float(fill), note

    @classmethod
    def learnt(cls, name: str, values: np.ndarray, standardize: bool) -> NumberColumn:
        there = values[~np.isnan(values)]
        mean, scale, median = moments(there)
        note = "constant" if (there == there[0]).all() else ""
        if not standardize:
            mean, scale = 0.0, 1.0
        return cls(name, mean, scale, median, len(values) - len(there), note)

    def _check(self) -> None:
        """Raise an error, too, if the scale is not positive."""
        super()._check()
        _check_scale(self.name, self.scale)

    @property
    def _own(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def rule(self) -> str:
        plain = self.mean == 0 and self.scale == 1
        shown = self.name if self.name.isidentifier() else "x"
        text = "as it is" if plain else standardised(shown, self.mean, self.scale)
        return text + (f", a gap is {self.fill:.6g}" if self.gaps else "")

    def _write(self, values: np.ndarray, missing: np.ndarray, out: np.ndarray) -> int:
        out[:, 0] = scaled(np.where(missing, self.fill, values), self.mean, self.scale)
        return 0


class BooleanColumn(Column):
    """0 for False, 1 for True; a gap is what most rows have."""

    kind = "boolean"

    def __init__(self, name: str, fill: float, gaps: int = 0) -> None:
        super().__init__(name, gaps)
        self.fill = float(fill)

    @classmethod
    def learnt(cls, name: str, values: np.ndarray) -> BooleanColumn:
        there = values[~np.isnan(values)]
        return cls(name, float(2 * there.sum() > len(there)), len(values) - len(there))

    @property
    def _own(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def rule(self) -> str:
        return "0 for false, 1 for true" + (f", a gap is {self.fill:.0f}" if self.gaps else "")

    def _write(self, values: np.ndarray, missing: np.ndarray, out: np.ndarray) -> int:
        out[:, 0] = np.where(missing, self.fill, values)
        return 0


class TextColumn(Column):
    """A feature of 0 and 1 for each category, all of them 0 for any other text."""

    kind = "text"

    def __init__(self, name: str, categories: Sequence[str], gaps: int = 0, others: int = 0, note: str = "") -> None:
        super().__init__(name, gaps)
        self.categories, self.note = list(categories), note
        self.others = int(others)  # rows of the training that have none of them

    @classmethod
    def learnt(cls, name: str, values: np.ndarray, most: int) -> Column:
        counts = Counter(values.tolist())
        gaps = counts.pop(None, 0)
        rows, others, note = len(values) - gaps, 0, ""
        if (n := len(counts)) > most:
            # of equally frequent ones the first in the order of texts
            frequent = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most])
            if sum(frequent.values()) < _COVERED * rows:
                return LeftOut(name, f"{n} different texts in {rows} rows, more than max_categories={most}")
            note = f"the {most} most frequent of {n} texts; more by max_categories={n}"
            counts, others = Counter(frequent), rows - sum(frequent.values())
        return cls(name, sorted(counts), gaps, others, note)

    def _check(self) -> None:
        """Raise an error, too, if categories are no text, or not different."""
        super()._check()
        if not all(isinstance(one, str) for one in self.categories) or len({*self.categories}) < len(self.categories):
            what = f"categories of column {self.name!r} are {self.categories!r}"
            raise ValueError(f"{what}; they must be texts that differ")

    @property
    def _own(self) -> tuple[str, ...]:
        return tuple(f"{self.name}={category}" for category in self.categories)

    @property
    def rule(self) -> str:
        n = len(self.categories)
        return f"0 or 1 for each of {n} categor{'y' if n == 1 else 'ies'}"

    def _write(self, values: np.ndarray, missing: np.ndarray, out: np.ndarray) -> int:
        places = {category: k for k, category in enumerate(self.categories)}
        at = np.array([places.get(value, -1) for value in values], np.intp)
        out[...] = 0
        known = np.flatnonzero(at >= 0)
        out[known, at[known]] = 1
        return 0 if self.others else len(values) - len(known) - int(missing.sum())


class DateColumn(Column):
    """Days, standardised, and the place in the year, in the week and, where there are times, in the day."""

    kind = "date"

    def __init__(self, name: str, mean: float, scale: float, fill: float, times: bool, gaps: int = 0) -> None:
        super().__init__(name, gaps)
        self.mean, self.scale, self.fill, self.times = float(mean), float(scale), float(fill), bool(times)

    @classmethod
    def learnt(cls, name: str, values: np.ndarray) -> DateColumn:
        there = values[~np.isnan(values)]
        return cls(name, *moments(there), bool((there % 1 != 0).any()), len(values) - len(there))

    def _check(self) -> None:
        """Raise an error, too, if the scale is not positive, or a day is none of NumPy's calendar."""
        super()._check()
        _check_scale(self.name, self.scale)
        for what in ("mean", "fill"):
            number(f"{what} of column {self.name!r}", getattr(self, what), -_LAST_DAY, _LAST_DAY)

    @property
    def _cycles(self) -> dict[str, float]:
        return {"year": _YEAR, "week": 7.0, **({"day": 1.0} if self.times else {})}

    @property
    def _own(self) -> tuple[str, ...]:
        waves = [f"{self.name} ({wave} of the {cycle})" for cycle in self._cycles for wave in ("sine", "cosine")]
        return (f"{self.name} (days)", *waves)

    @property
    def rule(self) -> str:
        first = np.datetime64("1970-01-01") + np.timedelta64(math.floor(self.mean), "D")
        cycles = " and ".join(self._cycles)
        gap = np.datetime64("1970-01-01") + np.timedelta64(math.floor(self.fill), "D")
        text = f"days since {first} / {self.scale:.6g}, sine and cosine of {cycles}"
        return text + (f", a gap is {gap}" if self.gaps else "")

    def _write(self, values: np.ndarray, missing: np.ndarray, out: np.ndarray) -> int:
        days = np.where(missing, self.fill, values)
        out[:, 0] = scaled(days, self.mean, self.scale)
        for k, length in enumerate(self._cycles.values()):
            angle = days % length / length * (2 * math.pi)
            # the portable ones: NumPy's sine differs between CPUs
            out[:, 1 + 2 * k], out[:, 2 + 2 * k] = elementary.sin(angle), elementary.cos(angle)
        return 0


class LeftOut(Column):
    """A column that the net is not given, and why."""

    kind = "left out"

    def __init__(self, name: str, note: str, gaps: int = 0) -> None:
        super().__init__(name, 0)
        self.note = note

    @property
    def _own(self) -> tuple[str, ...]:
        return ()

    @property
    def rule(self) -> str:
        return ""

    def write(self, values: np.ndarray, out: np.ndarray) -> tuple[int, int]:
        return 0, 0


KINDS: dict[str, type[Column]] = {
    cls.kind: cls for cls in (NumberColumn, TextColumn, BooleanColumn, DateColumn, LeftOut)
}


def column_of(config: Mapping[str, Any]) -> Column:
    """Return the column that `Column.get_config` describes; raise an error if there can be no such column."""
    options = dict(config)
    made = KINDS[options.pop("kind")](**options)
    made._check()
    return made
