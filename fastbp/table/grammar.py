"""What the text of a cell means: a missing value, a number, a boolean, a date, or just text.

There is one grammar for all columns, features and targets, for training and for rows to predict.

- Blanks around a cell do not count.
- A missing value is an empty cell, or one of `MISSING`, or what the user says.
- A number is one of JSON, or has a plus in front, or nothing before or behind its mark (``.5``, ``5.``). With
  leading zeros, underscores or other bases it is text: ``007`` is a code, which differs from ``7``. Thousands are
  marked in whole groups. One sign of a currency or of a share may stand at all numbers of a column, as in ``12 %``;
  it changes no value. ``nan``, ``inf`` and ``infinity``, however spelled, are numbers that are not finite, which
  no table may hold.
- A boolean is ``true`` or ``false``.
- A date is one of ISO 8601, or three numbers with the year behind, where one order of days and months fits all cells
  of the column and another does not. Times with an offset become UTC.

A column is of one kind, the first that all its cells are of; what is of none is text. Where a few cells keep a column
from being of numbers or dates, they are an error rather than a silent change of kind.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = [
    "KINDS", "MISSING", "CellError", "Grammar", "TableError", "Values", "looks_like_a_number", "marks", "quoted",
    "values_of", "why_no_name", "without_unit",
]  # fmt: skip

#: What a column can be read as; "drop" leaves it out.
KINDS = ("number", "text", "boolean", "date", "date:dmy", "date:mdy", "drop")
#: The cells that are missing values, besides those that the user names.
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "NULL", "null", "None", "?")

#: Where so large a share of a column's cells is of one kind, the others are errors.
_MOST = 0.9
#: Characters of a cell that a message shows.
_SHOWN = 40

#: The signs of currencies and of shares, one of which may stand before or behind all numbers of a column.
_MONEY = "$\u20ac\u00a3\u00a5"
_BARE = f"[0-9.][^{_MONEY}%\u2030A-Za-z]*"
_UNITS = re.compile(
    f"(?P<sign>[+\u2212-]?)(?P<before>[{_MONEY}]) ?(?P<number>[+\u2212-]?{_BARE})"
    f"|(?P<other>[+\u2212-]?{_BARE}?)[ \u00a0\u202f]?(?P<behind>[{_MONEY}%\u2030])"
)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9]+")
_WHOLE = re.compile(r"(?:[+-]?[0-9]{1,19}\n)*+")
_BOOLEANS = {"true": True, "false": False}
#: What is taken for one besides, where the user says that a column is boolean.
_MORE_BOOLEANS = _BOOLEANS | dict.fromkeys(("yes", "y", "t", "1"), True) | dict.fromkeys(("no", "n", "f", "0"), False)
_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?)?"
_PLAIN_DATES = re.compile(
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?\n)*+"
)
_ISO = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<alone>[0-9]{2})|(?P<mark>[-/])(?P<month>[0-9]{2})(?P=mark)(?P<day>[0-9]{2})"
    rf"(?:(?:T| +){_CLOCK} ?(?P<zone>Z|[+-][0-9]{{2}}(?::?[0-9]{{2}})?)?)?)"
)
_YEAR_LAST = re.compile(
    r"(?P<first>[0-9]{1,2})(?P<mark>[/.-])(?P<second_part>[0-9]{1,2})(?P=mark)(?P<year>[0-9]{4}|[0-9]{2})"
    rf"(?:(?:T| +){_CLOCK}(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?)?"
)
#: The orders of dates whose year is last.
_ORDERS = {"dmy": "takes the day first", "mdy": "takes the month first"}


class TableError(ValueError):
    """A table cannot be taken as it is.

    The message is one line: the file, the line and the column as far as they are known, what is there, and which
    options help.

    Parameters
    ----------
    what : str
        What is wrong, and where.
    *ways : (dict, str)
        The ways out: options by name, and what they do.

    Attributes
    ----------
    what : str
    ways : tuple
    options : dict
        The options of the first way; empty if there is none.

    Examples
    --------
    >>> from fastbp.table import TableError
    >>> error = TableError("prices.csv, line 5, column 'price': 'inf' is not finite",
    ...                    ({"missing": ["inf"]}, "counts it as missing"))
    >>> print(error)
    prices.csv, line 5, column 'price': 'inf' is not finite; missing=['inf'] counts it as missing
    >>> print(error.in_shell())
    prices.csv, line 5, column 'price': 'inf' is not finite; --missing inf counts it as missing
    """

    def __init__(self, what: str, *ways: tuple[dict[str, Any], str]):
        super().__init__(what, *ways)
        self.what, self.ways = what, ways
        self.options = dict(ways[0][0]) if ways else {}

    def __str__(self) -> str:
        return self._with(lambda name, value: f"{name}={value!r}")

    def in_shell(self) -> str:
        """Return the message with the options as the command ``fastbp`` spells them.

        Returns
        -------
        str

        Examples
        --------
        >>> from fastbp.table import TableError
        >>> TableError("a column is gone", ({"columns": {"x": "text"}, "header": False}, "helps")).in_shell()
        'a column is gone; --columns x:text --no-header helps'
        """
        return self._with(_option)

    def _with(self, spelled: Any) -> str:
        said = [f"{' '.join(spelled(*item) for item in options.items())} {does}" for options, does in self.ways]
        return f"{self.what}; {', '.join(said)}" if said else self.what


def _option(name: str, value: Any) -> str:
    """Return an option as it is typed in a shell."""
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    if isinstance(value, dict):
        value = [f"{key}:{kind}" for key, kind in value.items()]
    values = [value] if isinstance(value, str) or not hasattr(value, "__iter__") else value
    return f"--{flag} {' '.join(shlex.quote(str(v)) for v in values)}"


class CellError(Exception):
    """A cell of a column is wrong: `row` counts from 0, `what` and `ways` are those of a TableError.

    Examples
    --------
    >>> from fastbp.table.grammar import CellError
    >>> CellError(3, "'inf' is not finite").row
    3
    """

    def __init__(self, row: int, what: str, *ways: tuple[dict[str, Any], str]):
        super().__init__(row, what, *ways)
        self.row, self.what, self.ways = row, what, ways


def quoted(cell: str) -> str:
    """Return a cell as messages show it: quoted, in one line, cut if it is long.

    Examples
    --------
    >>> from fastbp.table.grammar import quoted
    >>> print(quoted("two\\nlines"), quoted("x" * 50))
    'two\\nlines' 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'
    """
    return repr(cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}...")


def looks_like_a_number(text: str) -> bool:
    """Whether a text would be a number to Python.

    Examples
    --------
    >>> from fastbp.table.grammar import looks_like_a_number
    >>> looks_like_a_number("-999"), looks_like_a_number("inf"), looks_like_a_number("none")
    (True, True, False)
    """
    try:
        float(text)
    except ValueError:
        return False
    return True


class Grammar:
    """How the cells of a file are read: its marks in numbers, and what is missing.

    Parameters
    ----------
    decimal : str
        The decimal mark.
    thousands : str
        The mark between groups of three digits; "" for none.
    missing : iterable of str
        Missing values besides `MISSING`.

    Examples
    --------
    >>> from fastbp.table.grammar import Grammar
    >>> grammar = Grammar(decimal=",", thousands=".")
    >>> [grammar.is_number(cell) for cell in ("1.234,5", "1,5", "1.5", "007")]
    [True, True, False, False]
    """

    def __init__(self, decimal: str = ".", thousands: str = "", missing: Iterable[str] = ()):
        self.decimal, self.thousands = decimal, thousands
        self.missing = frozenset(MISSING) | {text.strip() for text in missing}
        digits, mark = "0|[1-9][0-9]*", re.escape(decimal)
        # all blanks that are printed between groups are one mark
        self._between = "[ \u00a0\u2009\u202f]" if thousands == " " else re.escape(thousands)
        if thousands:
            digits += f"|[1-9][0-9]{{0,2}}(?:{self._between}[0-9]{{3}})+"
        number = f"[+\u2212-]?(?:(?:{digits})(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+\u2212-]?[0-9]+)?"
        self._number, self._numbers = re.compile(number), re.compile(f"(?:{number}\n)*+")

    def is_number(self, cell: str) -> bool:
        """Whether a cell, without blanks around it, is a number."""
        return self._number.fullmatch(cell) is not None

    def are_numbers(self, cells: Sequence[str]) -> bool:
        """Whether all cells are numbers."""
        return _all(self._numbers, cells)

    def lines(self, are_numbers: Sequence[bool], separator: str) -> re.Pattern[str]:
        """Return the pattern of lines whose cells are numbers or missing in some columns, and anything in others."""
        blanks = "[ \t]*+" if separator != "\t" else " *+"
        missing = "|".join(re.escape(text) for text in sorted(self.missing, key=len, reverse=True))
        number = f"{blanks}(?:{self._number.pattern}|{missing}){blanks}"
        between = re.escape(separator)
        cell = {True: number, False: f"[^{between}\n]*+"}
        # cell by cell a wide table would be a pattern of a megabyte
        runs = [f"(?:{between}{cell[kind]}){{{len([*run])}}}" for kind, run in itertools.groupby(are_numbers[1:])]
        return re.compile(f"(?:{cell[are_numbers[0]]}{''.join(runs)}\n)*+")

    def plain(self, cells: Sequence[str]) -> Sequence[str]:
        """Return cells, which are numbers, as Python writes numbers."""
        text = "\n".join(cells)
        bare = re.sub(self._between, "", text) if self.thousands else text
        bare = bare.replace(self.decimal, ".").replace("\u2212", "-")
        return cells if bare == text else bare.split("\n")


def _all(pattern: re.Pattern[str], cells: Sequence[str]) -> bool:
    """Whether a pattern of lines fits each cell; one match of all of them together is the quickest."""
    text = "\n".join(cells) + "\n" if cells else ""
    found = pattern.match(text)
    return found is not None and found.end() == len(text) and text.count("\n") == len(cells)


def without_unit(cells: Sequence[str], missing: Iterable[str]) -> tuple[Sequence[str], str]:
    """Return cells without the sign of a currency or of a share, ``%``, that all of them have, and that sign.

    Examples
    --------
    >>> from fastbp.table.grammar import without_unit
    >>> without_unit(["12.5 %", "", "3 %"], [""]), without_unit(["-$1,200", "5"], [])
    ((['12.5', '', '3'], '%'), (['-$1,200', '5'], ''))
    """
    missing = frozenset(missing)
    first = next((cell for cell in cells if cell not in missing), "")
    found = _UNITS.fullmatch(first)
    if found is None:
        return cells, ""
    unit, place = found["before"] or found["behind"], "before" if found["before"] else "behind"
    bare = []
    for cell in cells:
        if cell in missing:
            bare.append(cell)
            continue
        found = _UNITS.fullmatch(cell)
        if found is None or found[place] != unit:
            return cells, ""
        bare.append(f"{found['sign']}{found['number']}" if place == "before" else found["other"])
    return bare, unit


def why_no_name(cell: str, grammar: Grammar) -> str:
    """Return why a cell of line 1 is no name of a column, or an empty string.

    Examples
    --------
    >>> from fastbp.table.grammar import Grammar, why_no_name
    >>> why_no_name("price", Grammar()), why_no_name("5.1", Grammar()), why_no_name("2024-01-31", Grammar())
    ('', 'numbers', 'dates')
    """
    if grammar.is_number(cell) or _DIGITS.fullmatch(cell):
        return "numbers"
    if cell in grammar.missing:
        return "missing values"
    if cell.lower() in _BOOLEANS:
        return "booleans"
    return "dates" if _ISO.fullmatch(cell) or _YEAR_LAST.fullmatch(cell) else ""


class _Mark(NamedTuple):
    """A cell that is a number with one decimal mark only: where it is, and which one."""

    row: int
    column: int
    cell: str
    decimal: str


def marks(
    columns: Sequence[Sequence[str]],
    choices: Sequence[tuple[str, str]],
    missing: Iterable[str],
    preferred: int | None = None,
) -> tuple[int, list[_Mark]]:
    """Find which of two marks, a point or a comma, is the decimal one in all columns of a file.

    Parameters
    ----------
    columns : sequence of sequence of str
        Cells without blanks around them.
    choices : sequence of (str, str)
        Two pairs of decimal mark and thousands mark: of the point, of the comma.
    missing : iterable of str
        Missing values besides `MISSING`.
    preferred : int, optional
        Which of the two is meant where cells are numbers with either; if None, commas are decimal, and points.

    Returns
    -------
    chosen : int
        Which of the choices.
    proofs : list
        For each choice that cells prove, the first of these: tuples of row, column, cell and decimal mark. Two of them
        contradict each other.

    Examples
    --------
    >>> from fastbp.table.grammar import marks
    >>> marks([["1,5", "2"]], [(".", ","), (",", ".")], ())
    (1, [_Mark(row=0, column=0, cell='1,5', decimal=',')])
    """
    grammars = [Grammar(*choice, missing=missing) for choice in choices]
    found: dict[int, _Mark] = {}
    commas = False
    for k, cells in enumerate(columns):
        distinct = [cell for cell in dict.fromkeys(cells) if cell not in grammars[0].missing]
        joined = "".join(distinct)
        if not any(mark in joined for mark in ".,"):
            continue
        fits = [
            [True] * len(distinct) if g.are_numbers(distinct) else list(map(g.is_number, distinct)) for g in grammars
        ]
        either = np.logical_or(fits[0], fits[1])
        if either.mean() < _MOST:
            continue
        for which in (0, 1):
            alone = np.flatnonzero(np.array(fits[which]) & ~np.array(fits[1 - which]))
            if len(alone) and which not in found:
                cell = distinct[alone[0]]
                found[which] = _Mark(list(cells).index(cell), k, cell, choices[which][0])
        commas = commas or (all(map(all, fits)) and "," in joined)
    proofs = list(found.values())
    if found:
        return next(iter(found)), proofs
    return int(commas) if preferred is None else preferred, proofs


class Values(NamedTuple):
    """The values of a column and their kind: "number", "text", "boolean" or "date"; of dates also their order."""

    kind: str
    array: np.ndarray
    order: str = ""


def values_of(cells: Sequence[str], name: str, grammar: Grammar, kind: str | None = None) -> Values:
    """Read the cells of a column.

    Parameters
    ----------
    cells : sequence of str
        Without blanks around them.
    name : str
        The column's, for messages.
    grammar : Grammar
    kind : str, optional
        One of `KINDS` but "drop"; found if None.

    Returns
    -------
    Values
        The kind and an array: of int64 or float64 with NaN for gaps, of datetime64[us] with NaT, of bool, or of
        objects with None for gaps.

    Raises
    ------
    CellError
        If a cell is not of the kind.

    Examples
    --------
    >>> from fastbp.table.grammar import Grammar, values_of
    >>> values_of(["1", "2"], "n", Grammar())
    Values(kind='number', array=array([1, 2]), order='')
    >>> values_of(["true", "NA", "False"], "b", Grammar())
    Values(kind='boolean', array=array([True, None, False], dtype=object), order='')
    """
    found = dict.fromkeys(cells)
    gaps = [cell for cell in grammar.missing if cell in found]
    for cell in gaps:
        del found[cell]
    distinct = list(found)
    column = _Column(cells, distinct, gaps, name, grammar)
    for attempt in (kind,) if kind else ("boolean", "number", "date"):
        values = column.read_as(attempt, kind is not None)
        if values is not None:
            return values
    return Values("text", column.spread(np.array([*distinct, None], object)[:-1], None))


class _Column:
    """The cells of a column: all of them, and the different ones with those that are missing apart."""

    def __init__(self, cells: Sequence[str], distinct: list[str], gaps: list[str], name: str, grammar: Grammar):
        self.cells, self.distinct, self.gaps, self.name, self.grammar = cells, distinct, gaps, name, grammar

    def read_as(self, kind: str, forced: bool) -> Values | None:
        if kind == "number":
            return self.as_numbers(forced)
        if kind == "boolean":
            return self.as_booleans(forced)
        return None if kind == "text" else self.as_dates(kind.partition(":")[2], forced)

    def spread(self, values: np.ndarray, gap: Any) -> np.ndarray:
        """Return the values of all cells, given those of the different ones."""
        if len(self.distinct) == len(self.cells):
            return values
        if not self.gaps and len(self.distinct) == 1:
            return np.full(len(self.cells), values[0], values.dtype)
        at = dict(zip(self.distinct, range(len(self.distinct)), strict=True))
        at.update(dict.fromkeys(self.gaps, len(self.distinct)))
        padded = np.empty(len(self.distinct) + 1, values.dtype)
        padded[:-1] = values
        if self.gaps:
            padded[-1] = gap
        return padded[np.fromiter(map(at.__getitem__, self.cells), np.intp, len(self.cells))]

    def error(self, cell: str, what: str, *more: tuple[dict[str, Any], str], text: bool = True) -> CellError:
        """Return the error about the first cell of a text, with the ways that always help."""
        ways = [*more, ({"missing": [cell]}, "counts it as missing")]
        if text:
            ways.append(({"columns": {self.name: "text"}}, "takes the column as text"))
        return CellError(list(self.cells).index(cell), f"{quoted(cell)} {what}", *ways)

    def refuse_few(self, fit: Sequence[bool], what: str, forced: bool) -> None:
        """Raise an error about the first cell that does not fit, if nearly all others do or the kind is given."""
        counts = Counter(self.cells)
        fitting = sum(counts[cell] for cell, good in zip(self.distinct, fit, strict=True) if good)
        total = sum(counts[cell] for cell in self.distinct)
        if forced or fitting >= _MOST * total:
            bad = next(cell for cell, good in zip(self.distinct, fit, strict=True) if not good)
            cause = "as the column must be" if forced else f"as {fitting} of the column's {total} cells are"
            raise self.error(bad, f"is {what}, {cause}", *self.other_marks(bad))

    def other_marks(self, cell: str) -> list[tuple[dict[str, Any], str]]:
        """Return the options with which a cell would be a number."""
        found = []
        for decimal, thousands, says in ((",", ".", "reads decimal commas"), (".", ",", "reads decimal points")):
            if decimal != self.grammar.decimal and Grammar(decimal, thousands).is_number(cell):
                found.append(({"decimal": decimal}, says))
        for thousands in " '":
            if not self.grammar.thousands.strip(".,") and Grammar(self.grammar.decimal, thousands).is_number(cell):
                found.append(({"thousands": thousands}, "reads groups of thousands"))
        return found

    def as_numbers(self, forced: bool) -> Values | None:
        grammar, distinct = self.grammar, self.distinct
        if not grammar.are_numbers(distinct):
            fit = list(map(grammar.is_number, distinct))
            others = [cell for cell, good in zip(distinct, fit, strict=True) if not good]
            if all(map(_NOT_FINITE.fullmatch, others)):
                raise self.error(others[0], "is not finite")
            if not forced and all(map(_DIGITS.fullmatch, distinct)):
                return None  # codes: some have leading zeros
            self.refuse_few(fit, "no number", forced)
            return None
        plain = grammar.plain(distinct)
        if plain and not self.gaps and _all(_WHOLE, plain):
            try:
                return Values("number", self.spread(np.array(list(map(int, plain)), np.int64), 0))
            except OverflowError:  # beyond int64: the nearest float64
                pass
        values = np.fromiter(map(float, plain), np.float64, len(plain))
        beyond = np.flatnonzero(~np.isfinite(values))
        if len(beyond):
            raise self.error(distinct[beyond[0]], "is beyond the numbers of float64")
        return Values("number", self.spread(values, np.nan))

    def as_booleans(self, forced: bool) -> Values | None:
        names = _MORE_BOOLEANS if forced else _BOOLEANS
        if not forced and (len(self.distinct) > 2**5 or not self.distinct):  # true has 16 spellings, false 32
            return None
        fit = [cell.lower() in names for cell in self.distinct]
        if not all(fit):
            if forced:
                self.refuse_few(fit, "neither true nor false", forced)
            return None
        values = np.array([names[cell.lower()] for cell in self.distinct], object if self.gaps else bool)
        return Values("boolean", self.spread(values, None))

    def as_dates(self, order: str, forced: bool) -> Values | None:
        if self.distinct and _all(_PLAIN_DATES, self.distinct):  # which is quick
            days = _days(self.distinct)
            if days is not None:
                return Values("date", self.spread(days, np.datetime64("NaT")))
        fits: list[Any] = list(map(_ISO.fullmatch, self.distinct))
        what = "no date such as 2024-01-31"
        if order or not any(fits):
            fits = [found or _YEAR_LAST.fullmatch(cell) for found, cell in zip(fits, self.distinct, strict=True)]
            what = "no date"
        if not all(fits):
            if any(fits) or forced:
                self.refuse_few(list(map(bool, fits)), what, forced)
            return None
        if not order and fits and "first" in fits[0].groupdict():
            order = _order(fits)
            if not order and forced:
                ways = [({"columns": {self.name: f"date:{order}"}}, does) for order, does in _ORDERS.items()]
                what = "and the others do not say whether the day is first or the month"
                raise CellError(list(self.cells).index(self.distinct[0]), f"{quoted(self.distinct[0])} {what}", *ways)
            if not order:
                return None
        moments, shifts = [], np.zeros(len(fits), "timedelta64[m]")
        for k, found in enumerate(fits):
            moment, shift = _moment(found.groupdict(), order)
            moments.append(moment)
            if shift:
                shifts[k] = np.timedelta64(shift, "m")
        days = _days(moments)
        if days is None:
            wrong = next(k for k, moment in enumerate(moments) if _days([moment]) is None)
            if fits[wrong].groupdict().get("alone") and not forced:
                return None  # a season such as 2023-24
            raise self.error(self.distinct[wrong], "is no day of the calendar, or no time of the day")
        return Values("date", self.spread(days - shifts, np.datetime64("NaT")), order)


def _order(fits: Sequence[re.Match[str]]) -> str:
    """Return the order that all dates have, "dmy" or "mdy"; an empty string where both could be or none is."""
    if len({found["mark"] for found in fits}) != 1 or any(len(found["year"]) != 4 for found in fits):
        return ""
    first, second = (max(int(found[part]) for found in fits) for part in ("first", "second_part"))
    return "dmy" if first > 12 >= second else "mdy" if second > 12 >= first else ""


def _moment(parts: dict[str, str], order: str) -> tuple[str, int]:
    """Return a date as NumPy reads it, and its offset from UTC in minutes."""
    year, hour, half = parts["year"], parts["hour"], parts.get("half")
    if "first" in parts:
        day, month = (parts["first"], parts["second_part"])[:: 1 if order == "dmy" else -1]
    else:
        day, month = parts["day"] or "1", parts["month"] or parts["alone"]
    if len(year) == 2:  # as POSIX has it
        year = ("19" if int(year) >= 69 else "20") + year
    moment = f"{year}-{int(month):02d}-{int(day):02d}"
    if hour is None:
        return moment, 0
    clock = int(hour)
    if half:
        clock = clock % 12 + (12 if half in "pP" else 0) if 1 <= clock <= 12 else 24
    moment += f"T{clock:02d}:{parts['minute']}:{parts['second'] or '00'}.{(parts['fraction'] or '0')[:6]}"
    zone = (parts.get("zone") or "Z").replace(":", "").replace("Z", "+00")
    return moment, int(zone[0] + "1") * (60 * int(zone[1:3]) + int(zone[3:] or 0))


def _days(moments: Sequence[str]) -> np.ndarray | None:
    """Return dates as NumPy has them, or None if one is not of the calendar."""
    if any(moment.startswith("0000") for moment in moments):
        return None
    with contextlib.suppress(ValueError):
        return np.array(moments, "datetime64[us]")
    return None
