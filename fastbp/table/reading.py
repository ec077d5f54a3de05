"""Reads a table from files, whatever separators, encodings and marks these have."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import itertools
import numbers
import os
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..checks import check_kind, suggest
from .grammar import (
    KINDS,
    CellError,
    Grammar,
    TableError,
    Values,
    looks_like_a_number,
    marks,
    quoted,
    values_of,
    why_no_name,
    without_unit,
)
from .plain import plain_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    import pandas as pd

__all__ = ["place", "read"]

#: Separators that are looked for; where several would do, the first.
_SEPARATORS = {"\t": "a tab", ";": "a semicolon", "|": "a vertical bar", ",": "a comma"}
_WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": " ", "\\t": "\t"}
#: Text of so many characters may be read by pandas' own parser.
_LARGE = 1 << 20
#: Lines from which a separator is found.
_SAMPLE = 200
#: More changes between rows and lines than so many are not kept.
_MOST_RUNS = 1000
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
#: Behind the last line of a text: where it does not come out as a row, a quote was left open.
_END = "\x1cend\x1c"


def read(
    path: Any,
    *,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    missing: str | Iterable[str] = (),
    columns: Mapping[str, str] | None = None,
    like: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Read a table from a file, or from several with the same columns.

    Parameters
    ----------
    path : path-like, file object, or sequence of them
        Text with separators between cells, Parquet, or one of these compressed by gzip, bzip2, xz, zip or Zstandard;
        what a file is, is seen by its content. Rows of several files follow one another; their columns may come in
        any order.
    separator : str, optional
        Between cells: one character. If None, a comma, a semicolon, a tab or a vertical bar is found.
    decimal : str, optional
        The decimal mark. If None it is a point in files with commas between cells; elsewhere a comma where a cell
        shows that (``1,5``), and commas in ``1,234`` are decimal unless another cell shows that they mark thousands.
    thousands : str, optional
        The mark between groups of three digits: one of ``, . ' _`` or a blank. If None, the comma or the point that
        is not the decimal mark.
    encoding : str, optional
        If None, what a byte order mark says, and UTF-8 without one.
    header : bool, optional
        Whether the first line has the names of the columns. If None, it must look like it; with False columns are
        called column_1, column_2 and so on.
    missing : str or sequence of str
        Cells that are missing values, besides empty ones, NA, N/A, n/a, #N/A, <NA>, NaN, NULL, null, None and ?.
    columns : dict of str to str, optional
        What columns are read as, by name: "number", "text", "boolean", "date", "date:dmy" and "date:mdy" (which of days
        and months is first), or "drop", which leaves a column out. Others are what all their cells are. A column
        without a name is called column_1 here, by its place.
    like : dict, optional
        ``attrs["source"]`` of another table, such as that of a training: its decimal mark and its order of days and
        months are meant where this one allows several.

    Returns
    -------
    pandas.DataFrame
        Whole numbers are int64; others, and those with gaps, float64 with NaN; booleans bool, or with gaps objects
        True, False and None; dates datetime64; text objects of str with None for gaps. ``attrs["source"]`` says what
        was found: paths (without folders), separator, decimal, thousands, encoding, dates ("dmy" or "mdy") and units
        (such as %) by column, left_out (columns without a name that hold nothing, or nothing but the number of the
        row, as pandas writes its index) and lines, by which `place` knows lines.

    Raises
    ------
    TableError
        If the text is no table, or a cell is not what its column is; the message has file, line and column, and the
        option that helps.
    ImportError
        If pandas is not installed, or PyArrow for Parquet.
    OSError
        If a file cannot be read.

    Notes
    -----
    Blanks around cells do not count, nor do empty lines. Cells may be quoted (``"a, b"``, a quote inside doubled), and
    then hold separators and line ends. Lines end with LF, CR LF or CR. A first line ``sep=;`` names the separator.

    Examples
    --------
    >>> import io
    >>> from fastbp.table import read
    >>> table = read(io.StringIO("city;height;code\\nBern;1,5;007\\nRome;;011\\n"))
    >>> print(table)
       city  height code
    0  Bern     1.5  007
    1  Rome     NaN  011
    >>> table.attrs["source"]["separator"], table.attrs["source"]["decimal"]
    (';', ',')
    """
    pandas = _pandas()
    options = _Options(separator, decimal, thousands, encoding, header, missing, columns, like)
    several = isinstance(path, (list, tuple))
    if several and not path:
        raise ValueError("path is empty; it must be a file or several of them")
    tables = [_load(one, options, pandas, not several) for one in (path if several else [path])]
    first = tables[0]
    for other in tables[1:]:
        other.put_in_order_of(first)
    names = [name for name in first.names if options.kinds.get(name) != "drop"]
    options.check_names(first.names, first.name)
    typed = [table for table in tables if table.frame is not None]
    if typed and len(typed) < len(tables):
        raise TableError(
            f"{tables[0].name} and {tables[-1].name} are of two kinds; several files are all text or all Parquet"
        )
    found: dict[str, Any] = {"decimal": None, "thousands": None, "dates": {}, "units": {}}
    frame = _typed(typed, names, options, pandas) if typed else _parsed(tables, names, options, pandas, found)
    frame.attrs["source"] = {
        "paths": [os.path.basename(table.name) for table in tables],
        "separator": _one_or_all(table.separator for table in tables),
        **found,
        "encoding": _one_or_all(table.encoding for table in tables),
        "left_out": list(dict.fromkeys(name for table in tables for name in table.left_out)),
        "lines": _runs(tables),
    }
    return frame


def place(frame: pd.DataFrame, row: int) -> str:
    """Return where a row of a frame was in a file.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `read` returns it; rows may have been taken out of it or put into another order, with their index.
    row : int
        The row's place in this frame.

    Returns
    -------
    str
        The name of the file and the line, or the row where that is not known.

    Examples
    --------
    >>> import io
    >>> from fastbp.table import place, read
    >>> table = read(io.StringIO("a,b\\n1,2\\n\\n3,4\\n"))
    >>> place(table, 0), place(table[table["a"] > 2], 0)
    ('<table>, line 2', '<table>, line 4')
    """
    source = getattr(frame, "attrs", {}).get("source") or {}
    runs, labels = source.get("lines") or [], np.asarray(frame.index)
    # an index that counts fewer rows than were read may have been made since
    counts = np.array_equal(labels, np.arange(len(frame)))
    if not runs or labels.dtype.kind != "i" or (counts and len(frame) != runs[-1][0]):
        return f"row {row}"
    label = int(labels[row])
    for (begin, file, line), (end, *_) in itertools.pairwise(runs):
        if begin <= label < end and file is not None:
            name = source["paths"][file]
            return f"{name}, row {label}" if line is None else f"{name}, line {line + label - begin}"
    return f"row {row}"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        what = "tables are read with pandas, the extra 'table', which is not installed"
        raise ImportError(f"{what}: pip install pandas") from None
    return pandas


def _one_or_all(values: Iterable[Any]) -> Any:
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else distinct


class _Options:
    """The options of `read`, checked."""

    def __init__(
        self,
        separator: Any,
        decimal: Any,
        thousands: Any,
        encoding: Any,
        header: Any,
        missing: Any,
        columns: Any,
        like: Any,
    ):
        self.separator = _WORDS.get(separator, separator)
        if separator is not None and (not isinstance(separator, str) or len(self.separator) != 1):
            raise ValueError(f"separator is {separator!r}; it must be one character")
        if self.separator is not None and (self.separator in '"\r\n' or self.separator.isalnum()):
            raise ValueError(f"separator is {separator!r}; it must not be a letter, a digit, a quote or a line end")
        if decimal not in (None, ".", ","):
            raise ValueError(f"decimal is {decimal!r}; it must be '.' or ','")
        if thousands not in (None, *",.'_ "):
            raise ValueError(f"thousands is {thousands!r}; it must be one of , . ' _ or a blank")
        if thousands is not None and thousands == decimal:
            raise ValueError(f"thousands and decimal are both {decimal!r}; they must differ")
        if header not in (None, True, False):
            raise ValueError(f"header is {header!r}; it must be True, False or None")
        if encoding is not None and not isinstance(encoding, str):
            raise TypeError(f"encoding is {encoding!r}; it must be the name of an encoding, such as 'latin-1'")
        if not hasattr(missing, "__iter__"):
            raise TypeError(f"missing is {missing!r}; it must hold the text of cells, such as '-999'")
        self.missing = [missing] if isinstance(missing, str) else list(missing)
        for text in self.missing:
            if not isinstance(text, str):
                raise TypeError(f"missing holds {text!r}; it must hold the text of cells, such as '-999'")
        check_kind("columns", columns or {}, Mapping, "a dict of kinds by column")
        check_kind("like", like or {}, Mapping, "attrs['source'] of what was read")
        self.kinds = dict(columns or {})
        for name, kind in self.kinds.items():
            if kind not in KINDS:
                raise ValueError(
                    f"columns[{name!r}] is {kind!r}; it must be one of {', '.join(KINDS)}{suggest(kind, KINDS)}"
                )
        self.decimal, self.thousands, self.encoding, self.header = decimal, thousands, encoding, header
        self.like = like or {}

    def check_names(self, names: Sequence[str], file: str) -> None:
        for name in self.kinds:
            if name not in names:
                raise TableError(f"{file} has no column {name!r}{suggest(name, names)}; it has {_listed(names)}")

    def grammar(self) -> Grammar:
        """Return the one for first lines, before marks are known."""
        return Grammar(self.decimal or ".", missing=self.missing)


def _listed(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


class _Table(NamedTuple):
    """What a file holds: names and columns, of text or proven to be numbers; or a frame of typed columns."""

    name: str
    names: list[str]
    columns: list[Any]
    rows: int
    #: Pairs of a row and its line: from there on lines and rows go together.
    runs: list[tuple[int, int]] | None
    separator: str | None
    encoding: str | None
    left_out: list[str]
    frame: Any = None

    def put_in_order_of(self, first: _Table) -> None:
        lacking = [name for name in first.names if name not in self.names]
        if lacking:
            raise TableError(
                f"{self.name} has no column {lacking[0]!r}, which {first.name} has; it has {_listed(self.names)}"
            )
        more = [name for name in self.names if name not in first.names]
        if more:
            raise TableError(f"{self.name} has a column {more[0]!r}, which {first.name} has not")
        order = [self.names.index(name) for name in first.names]
        self.columns[:] = [self.columns[k] for k in order] if self.columns else []
        self.names[:] = first.names

    def where(self, row: int) -> str:
        line = (
            None if self.runs is None else next(line + row - begin for begin, line in self.runs[::-1] if begin <= row)
        )
        return f"{self.name}, row {row}" if line is None else f"{self.name}, line {line}"


def _runs(tables: Sequence[_Table]) -> list[list[int | None]]:
    """Return where rows are in files: the first row, the file's number, the line; the last one is the end."""
    found: list[list[int | None]] = []
    start = 0
    for k, table in enumerate(tables):
        runs: Sequence[tuple[int, int | None]] = table.runs or [(0, None)]
        found += [[start + row, k, line] for row, line in runs[:_MOST_RUNS]]
        if len(runs) > _MOST_RUNS:
            found.append([start + runs[_MOST_RUNS][0], None, None])
        start += table.rows
    return [*found, [start, None, None]]


# ------------------------------------------------------------------------------------------- files


def _load(path: Any, options: _Options, pandas: Any, alone: bool) -> _Table:
    """Return what a file holds."""
    if hasattr(path, "read"):
        name, data = getattr(path, "name", "<table>"), path.read()
        name = name if isinstance(name, str) else "<table>"
        if isinstance(data, str):
            return _table_of(name, data, None, options, pandas if alone else None)
    elif isinstance(path, (str, os.PathLike)):
        name = os.fspath(path)
        with open(path, "rb") as file:
            data = file.read()
    else:
        raise TypeError(f"path is {path!r}; it must be the path of a file, or several of them")
    # a message is one line, whatever a file is called
    name = str(name) if str(name).isprintable() else repr(name)
    data = _unpacked(name, data)
    if data[:4] == b"PAR1":
        return _parquet(name, data, pandas)
    for magic, what in (
        (b"\x93NUMPY", "an array of NumPy's"),
        (b"\xd0\xcf\x11\xe0", "a spreadsheet"),
        (b"%PDF", "a PDF"),
    ):
        if data.startswith(magic):
            raise TableError(f"{name} is {what}, and no table of text; save it as CSV")
    text, encoding = _decoded(name, data, options)
    return _table_of(name, text, encoding, options, pandas if alone else None)


def _unpacked(name: str, data: bytes) -> bytes:
    """Return what is in a compressed file; any other as it is."""
    try:
        if data[:2] == b"\x1f\x8b":
            import gzip

            return gzip.decompress(data)
        if data[:3] == b"BZh":
            import bz2

            return bz2.decompress(data)
        if data[:6] == b"\xfd7zXZ\0":
            import lzma

            return lzma.decompress(data)
        if data[:4] == b"\x28\xb5\x2f\xfd":
            return _zstandard(name, data)
        if data[:4] == b"PK\x03\x04":
            return _unzipped(name, data)
    except (ImportError, MemoryError, TableError):
        raise
    except Exception as error:  # damage makes them raise almost anything
        raise TableError(f"{name} is compressed and cannot be unpacked: {' '.join(str(error).split())}") from None
    return data


def _zstandard(name: str, data: bytes) -> bytes:
    with contextlib.suppress(ImportError):
        from compression import zstd  # of Python 3.14

        return zstd.decompress(data)
    try:
        import zstandard
    except ImportError:
        raise ImportError(f"{name} needs zstandard, which is not installed: pip install zstandard") from None
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def _unzipped(name: str, data: bytes) -> bytes:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [m for m in archive.namelist() if not m.endswith("/") and not m.startswith("__MACOSX/")]
        if any(m.startswith("xl/") for m in members) or "content.xml" in members:
            raise TableError(f"{name} is a spreadsheet, and no table of text; save it as CSV")
        if len(members) != 1:
            raise TableError(f"{name} holds {len(members)} files ({_listed(members, 5)}); it must hold one")
        return archive.read(members[0])


def _decoded(name: str, data: bytes, options: _Options) -> tuple[str, str]:
    """Return the text of a file, without a byte order mark, and its encoding."""
    encoding = options.encoding
    if encoding is None:
        encoding = next((e for mark, e in _BOMS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except LookupError:
        raise ValueError(
            f"encoding is {encoding!r}, which there is not; it is one of Python's, such as 'latin-1'"
        ) from None
    except UnicodeDecodeError as error:
        raise _wrong_byte(name, data, error, encoding, options) from None
    except (UnicodeError, ValueError) as error:
        raise TableError(f"{name} is no text in {encoding}: {' '.join(str(error).split())}") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise TableError(
            f"{name}, line {line}: there is a zero byte, which no text has",
            *([({"encoding": "utf-16"}, "reads two bytes for each character")] if options.encoding is None else []),
        )
    return text, encoding


def _wrong_byte(name: str, data: bytes, error: UnicodeDecodeError, encoding: str, options: _Options) -> TableError:
    """Return the error about a byte that is none of the encoding's, with its line and column."""
    before = data[: error.start].decode("latin-1") + "?"
    lines = io.StringIO(before, newline=None).readlines()
    where = f"{name}, line {len(lines)}"
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        rows += _records(lines, options.separator or _separator(lines[:_SAMPLE]))
    if rows and "\0" not in before:
        at = len(rows[-1]) - 1
        known = len(rows) > 1 and at < len(rows[0]) and rows[0][at].strip()
        where += f", column {repr(known) if known else at + 1}"
    what = f"{where}: byte 0x{data[error.start]:02x} is no text in {encoding.upper()}"
    if 3 * data.count(0) > len(data):
        return TableError(what, ({"encoding": "utf-16"}, "reads two bytes for each character"))
    # bytes from 0x80 to 0x9f are letters on Windows, and control characters in latin-1
    other = "cp1252" if any(0x80 <= byte <= 0x9F for byte in set(data)) else "latin-1"
    with contextlib.suppress(UnicodeError):
        data.decode(other)
        return TableError(what, ({"encoding": other}, "reads files of western Europe and America"))
    return TableError(what, ({"encoding": "latin-1"}, "takes any byte for a character"))


def _parquet(name: str, data: bytes, pandas: Any) -> _Table:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ImportError(f"{name} needs PyArrow, which is not installed: pip install pyarrow") from None
    try:
        frame = pandas.read_parquet(io.BytesIO(data))
    except Exception as error:  # damage makes it raise almost anything
        raise TableError(f"{name} cannot be read as Parquet: {' '.join(str(error).split())}") from None
    if any(label is not None for label in frame.index.names):
        frame = frame.reset_index()
    names = [str(label).strip() for label in frame.columns]
    _check_names(names, name)
    frame.columns = names
    if not len(frame):
        raise TableError(f"{name} has no rows")
    return _Table(name, names, [], len(frame), None, None, None, [], frame)


# ------------------------------------------------------------------------------------------- text


def _records(lines: Iterable[str], separator: str) -> Any:
    """Return an iterator over the cells of lines, a list each; what is inside quotes may go over several lines."""
    if separator == " ":  # any number of blanks is one separator
        lines = (" ".join(line.split()) for line in lines)
    return csv.reader(lines, delimiter=separator, skipinitialspace=separator != " ")


def _separator(lines: Sequence[str]) -> str:
    """Return the separator by which most lines have as many cells as the first one; blanks if that holds for all."""

    def fit(separator: str) -> float:
        counts = []
        with contextlib.suppress(csv.Error):
            counts += [len(cells) for cells in _records(lines, separator) if cells]
        return counts.count(counts[0]) / len(counts) if counts and counts[0] > 1 else 0.0

    fits = {separator: fit(separator) for separator in _SEPARATORS}
    best = max(fits, key=lambda separator: fits[separator])
    if fits[best]:
        return best
    return " " if fit(" ") == 1 else ","


def _table_of(name: str, text: str, encoding: str | None, options: _Options, pandas: Any) -> _Table:
    """Return the columns of a text; with pandas, those of much plain text by its parser."""
    text = text.removeprefix("\ufeff")
    plain = _plain(text, options, pandas) if pandas is not None and len(text) >= _LARGE else None
    names, columns, places, separator = plain or _cell_by_cell(name, text, options)
    left_out: list[str] = []
    if options.header is not False:
        where = f"{name}, line {places[0]}"
        if options.header is None:
            _check_header(where, names, columns, options)
        names, columns, left_out = _named(where, names, columns, options)
        _check_names(names, where)
        places = places[1:]
        if not len(places):
            raise TableError(f"{name} has a header and no rows")
    return _Table(name, names, columns, len(places), _runs_of(places), separator, encoding, left_out)


def _cell_by_cell(name: str, text: str, options: _Options) -> tuple[list[str], list[Any], Sequence[int], str]:
    """Return the names in the first line, the columns, the lines of all rows, and the separator."""
    lines = io.StringIO(text, newline=None).readlines()
    separator, skipped = options.separator, 0
    if lines and lines[0].startswith("sep=") and len(lines[0].rstrip("\n")) == 5:  # as spreadsheets have it
        separator, skipped = separator or lines[0][4], 1
    if separator is None:
        separator = _separator(lines[:_SAMPLE])
    rows, places = _rows(name, lines, separator, skipped)
    if not rows:
        raise TableError(f"{name} is empty; its first line must be a header, the names of the columns")
    if options.header is not False:
        rows = _with_one_more(rows, options)
    width = len(rows[0])
    if set(map(len, rows)) != {width}:
        raise _ragged(name, rows, places, separator, lines)
    if options.header is False:
        return _numbered(width), _transposed(rows, width), places, separator
    return [cell.strip() for cell in rows[0]], _transposed(rows[1:], width), places, separator


def _plain(text: str, options: _Options, pandas: Any) -> tuple[list[str], list[Any], Sequence[int], str] | None:
    """Return what `_cell_by_cell` does, numbers as such; None where the text is not plain enough."""
    if options.decimal == "," or options.thousands or options.like.get("decimal") == ",":
        return None
    if any(map(looks_like_a_number, options.missing)):  # which pandas takes by its value
        return None
    if any(mark in text for mark in '"\0') or text.startswith(("\n", "\r", "sep=")):
        return None
    text = text.replace("\r\n", "\n").rstrip("\n") + "\n"
    if "\r" in text or "\n\n" in text:
        return None
    lines = [line + "\n" for line in text.split("\n", _SAMPLE)[:-1]]
    separator = options.separator or _separator(lines)
    rows = list(_records(lines, separator))
    skipped, width = int(options.header is not False), len(rows[0])
    if separator not in _SEPARATORS or width < 2 or len(rows) <= skipped or set(map(len, rows)) != {width}:
        return None
    names = [cell.strip() for cell in rows[0]] if skipped else _numbered(width)
    grammar = Grammar(missing=options.missing)
    are_numbers = []
    for k, (name, cells) in enumerate(zip(names, _transposed(rows[skipped:], width), strict=True)):
        number = _is_name(name, k) and options.kinds.get(name, "number") == "number"
        are_numbers.append(number and grammar.are_numbers([cell for cell in cells if cell not in grammar.missing]))
    columns = plain_columns(text, separator, skipped, grammar, are_numbers, pandas) if any(are_numbers) else None
    if columns is None:
        return None
    if separator != "," and options.decimal is None:
        # a decimal comma in one column concerns the others
        rest = [without_unit(cells, grammar.missing)[0] for cells in columns if isinstance(cells, list)]
        chosen, proofs = marks(rest, [(".", ","), (",", ".")], options.missing)
        if chosen or len(proofs) > 1:
            return None
    return names, columns, range(1, 1 + skipped + len(columns[0])), separator


def _numbered(width: int) -> list[str]:
    """Return names of columns that have none."""
    return [f"column_{k + 1}" for k in range(width)]


def _with_one_more(rows: list[list[str]], options: _Options) -> list[list[str]]:
    """Return rows of which all have one cell more than the header, and the header, with equally many."""
    width = len(rows[0])
    if width > 1 and len(rows) > 2 and all(len(cells) == width + 1 for cells in rows[1:]):
        if not any(cells[-1].strip() for cells in rows[1:]):  # lines that end with a separator
            return [rows[0], *(cells[:-1] for cells in rows[1:])]
        # R names the rows, and not the column of their names
        if "column_1" in options.kinds or _counts([cells[0].strip() for cells in rows[1:]]):
            return [["", *rows[0]], *rows[1:]]
    return rows


def _counts(cells: Sequence[str]) -> bool:
    """Whether cells count the rows, from 0 or 1 on."""
    return cells[0] in ("0", "1") and list(cells) == [str(int(cells[0]) + k) for k in range(len(cells))]


def _transposed(rows: Sequence[Sequence[str]], width: int) -> list[Sequence[str]]:
    """Return the columns of rows, without blanks around cells."""
    return [list(map(str.strip, column)) for column in zip(*rows, strict=True)] or [[]] * width


def _rows(name: str, lines: list[str], separator: str, skipped: int) -> tuple[list[list[str]], Sequence[int]]:
    """Return the cells of each row that is not empty, the header too, and the lines in which the rows begin."""
    reader = _records(itertools.chain(lines[skipped:], [_END]), separator)
    try:
        rows = list(reader)
    except csv.Error:
        limit = csv.field_size_limit()
        raise TableError(
            f"{name}, line {reader.line_num + skipped}: a cell has more than {limit} characters; is a quote left open?"
        ) from None
    if len(rows) == len(lines) - skipped + 1 and all(rows) and not _blank(rows, separator):
        return rows[:-1], range(1 + skipped, 1 + len(lines))
    kept: list[list[str]] = []
    places: list[int] = []
    begin = 0
    reader = _records(itertools.chain(lines[skipped:], [_END]), separator)
    for cells in reader:
        if cells and not (len(cells) == 1 and (not kept or len(kept[0]) > 1) and not cells[0].strip()):
            kept.append(cells)
            places.append(begin + 1 + skipped)
        begin = reader.line_num
    if kept.pop() != next(_records([_END], separator)):
        raise TableError(f"{name}, line {places[-1]}: a quote is opened and never closed")
    return kept, places[:-1]


def _blank(rows: Sequence[Sequence[str]], separator: str) -> bool:
    """Whether a line of several columns has nothing but blanks."""
    return len(rows[0]) > 1 and any(len(cells) == 1 and not cells[0].strip() for cells in rows)


def _runs_of(places: Sequence[int]) -> list[tuple[int, int]]:
    """Return the rows at which the difference of lines and rows changes, with their lines."""
    if isinstance(places, range):
        return [(0, places.start)]
    ahead = np.asarray(places) - np.arange(len(places))
    changes = np.flatnonzero(np.diff(ahead, prepend=-1))
    return [(row, places[row]) for row in changes.tolist()]


def _ragged(
    name: str, rows: Sequence[Sequence[str]], places: Sequence[int], separator: str, lines: Sequence[str]
) -> TableError:
    """Return the error about the first row that has more or fewer cells than the first line."""
    width = len(rows[0])
    row = next(k for k, cells in enumerate(rows) if len(cells) != width)
    cells = rows[row]
    first, last = places[row], places[row] + sum(cell.count("\n") for cell in cells)
    where = f"line {first}" if first == last else f"lines {first} to {last}, which a quote joins,"
    has = f"{len(cells)} cell{'s' * (len(cells) != 1)}"
    found = _SEPARATORS.get(separator, repr(separator))
    ways: list[tuple[dict[str, Any], str]] = []
    words = {len(line.split()) for line in lines if line.strip()}
    if len(words) == 1 and words != {1}:
        ways.append(({"separator": "blank"}, "takes blanks for separators"))
    elif width == 1 and separator == ",":
        ways.append(({"separator": ";"}, "takes lines without it for one cell"))
    elif all(len(cells) == width + 1 for cells in rows[1:]):
        ways.append(({"columns": {"column_1": "drop"}}, "leaves out a first column without a name"))
    return TableError(
        f"{name}, {where} has {has} and line {places[0]} has {width}, with {found} for the separator; "
        "cells that hold one stand in quotes",
        *ways,
    )


def _check_header(where: str, names: Sequence[str], columns: Sequence[Sequence[str]], options: _Options) -> None:
    """Raise an error if the first line is one of data."""
    ways = (
        ({"header": False}, "calls the columns column_1, column_2 and so on"),
        ({"header": True}, "takes the line for names"),
    )
    grammar = options.grammar()
    for cell in names:
        why = cell and why_no_name(cell, grammar)
        if why:
            raise TableError(f"{where} holds {why} such as {quoted(cell)} and no names: the file has no header", *ways)
    if not any(names):
        raise TableError(f"{where} has separators and no names; it must be a header, the names of the columns", *ways)
    below = (not isinstance(column, np.ndarray) and cell in column for cell, column in zip(names, columns, strict=True))
    if len(names) > 1 and all(below):
        raise TableError(
            f"{where} holds what is in the columns below too: the file has no header, or has it twice", *ways
        )


def _named(
    where: str, names: Sequence[str], columns: Sequence[Sequence[str]], options: _Options
) -> tuple[list[str], list[Sequence[str]], list[str]]:
    """Return names and columns without those that have no name and say nothing, and what these are called."""
    kept, values, left_out = [], [], []
    for k, (name, cells) in enumerate(zip(names, columns, strict=True)):
        called = name or _numbered(k + 1)[k]
        if _is_name(name, k) or called in options.kinds:
            kept.append(called)
            values.append(cells)
        elif not any(cells) or _counts(cells):
            left_out.append(called)
        else:
            ways = ({"columns": {called: "drop"}}, "leaves it out"), ({"columns": {called: "text"}}, "takes it")
            raise TableError(f"{where}: column {k + 1} has no name and does not count the rows", *ways)
    return kept, values, left_out


def _is_name(name: str, k: int) -> bool:
    """Whether a name is one, and not what pandas calls a column without."""
    return name not in ("", f"Unnamed: {k}")


def _check_names(names: Sequence[str], where: str) -> None:
    if len(set(names)) < len(names):
        double = next(name for k, name in enumerate(names) if name in names[:k])
        raise TableError(f"{where}: two columns have one name, {quoted(double)}; names must differ")
    if not names:
        raise TableError(f"{where}: no column has a name")


# ------------------------------------------------------------------------------------------ columns


def _parsed(
    tables: Sequence[_Table], names: Sequence[str], options: _Options, pandas: Any, told: dict[str, Any]
) -> Any:
    """Return the frame of tables of text, and tell their marks, the orders of dates and the units of numbers."""
    cells = {name: _joined([t.columns[t.names.index(name)] for t in tables]) for name in names}
    missing = options.grammar().missing
    for name in names:
        if options.kinds.get(name, "number") == "number" and not isinstance(cells[name], np.ndarray):
            cells[name], unit = without_unit(cells[name], missing)
            meant = (options.like.get("units") or {}).get(name, unit)
            if unit and unit != meant:
                what = f"column {name!r} has {unit} at its numbers, and that of the training {meant}"
                raise TableError(f"{tables[0].name}: {what}", ({"columns": {name: "text"}}, "takes the column as text"))
            if unit:
                told["units"][name] = unit
    told["decimal"], told["thousands"] = decided = _marks_of(tables, cells, options)
    grammar = Grammar(*decided, missing=options.missing)
    arrays = {}
    for name in names:
        kind, order = options.kinds.get(name), (options.like.get("dates") or {}).get(name)
        if kind == "date" and order:
            kind = f"date:{order}"
        column = cells.pop(name)
        try:
            values = (
                Values("number", column) if isinstance(column, np.ndarray) else values_of(column, name, grammar, kind)
            )
        except CellError as error:
            raise TableError(f"{_where(tables, error.row)}, column {name!r}: {error.what}", *error.ways) from None
        arrays[name] = pandas.Series(values.array, dtype=values.array.dtype, copy=False)
        if values.order:
            told["dates"][name] = values.order
    return pandas.DataFrame(arrays, index=pandas.RangeIndex(sum(t.rows for t in tables)), copy=False)


def _where(tables: Sequence[_Table], row: int) -> str:
    """Return what messages call a row of several tables."""
    for table in tables[:-1]:
        if row < table.rows:
            return table.where(row)
        row -= table.rows
    return tables[-1].where(row)


def _joined(parts: Sequence[Sequence[str]]) -> Sequence[str]:
    return parts[0] if len(parts) == 1 else [cell for part in parts for cell in part]


def _marks_of(tables: Sequence[_Table], cells: Mapping[str, Sequence[str]], options: _Options) -> tuple[str, str]:
    """Return decimal mark and thousands mark: those that are given, else those that cells prove."""
    other = {".": ",", ",": "."}
    thousands = options.thousands
    decimal = options.decimal or other.get(thousands or "")
    if decimal is not None:
        return decimal, thousands or other[decimal]
    commas = any(table.separator == "," for table in tables)
    free = [
        name
        for name, column in cells.items()
        if options.kinds.get(name, "number") == "number" and not isinstance(column, np.ndarray)
    ]
    if commas:  # of which cells have some in quotes only
        free = [name for name in free if "," in "".join(cells[name])]
    choices = [(mark, thousands or other[mark]) for mark in ".,"]
    meant = ".,".find(options.like.get("decimal") or " ")
    preferred = 0 if commas else None if meant < 0 else meant
    chosen, proofs = marks([cells[name] for name in free], choices, options.missing, preferred)
    if len(proofs) > 1 or (commas and chosen == 1):
        told = [
            f"{_where(tables, p.row)}, column {free[p.column]!r}: {quoted(p.cell)} has a decimal {_MARKS[p.decimal]}"
            for p in proofs
        ]
        ways: list[tuple[dict[str, Any], str]] = [
            ({"decimal": p.decimal}, f"reads decimal {_MARKS[p.decimal]}s") for p in proofs
        ]
        if len(proofs) == 1:
            told.append("cells have commas between them")
            ways.append(({"columns": {free[proofs[0].column]: "text"}}, "takes the column as text"))
        raise TableError(", and ".join(told), *ways)
    return choices[chosen]


_MARKS = {".": "point", ",": "comma"}


def _typed(tables: Sequence[_Table], names: Sequence[str], options: _Options, pandas: Any) -> Any:
    """Return the frame of tables whose columns have types."""
    frame = pandas.concat([table.frame[list(names)] for table in tables], ignore_index=True)
    grammar = Grammar(missing=options.missing)
    arrays = {}
    for name in names:
        try:
            array = _typed_values(frame[name], name, grammar, options.kinds.get(name), pandas)
        except CellError as error:
            raise TableError(f"{_where(tables, error.row)}, column {name!r}: {error.what}", *error.ways) from None
        arrays[name] = pandas.Series(array, dtype=array.dtype)
    return pandas.DataFrame(arrays, index=pandas.RangeIndex(len(frame)))


def _typed_values(column: Any, name: str, grammar: Grammar, kind: str | None, pandas: Any) -> np.ndarray:
    """Return the values of a column that has a type as `read` has them."""
    types, gaps = pandas.api.types, column.isna().to_numpy()
    if types.is_datetime64_any_dtype(column.dtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None) if column.dt.tz is not None else column
        if kind is None:
            return column.to_numpy("datetime64[us]")
    elif kind is None and types.is_bool_dtype(column.dtype):
        return column.to_numpy(object, na_value=None) if gaps.any() else column.to_numpy(bool)
    elif kind is None and types.is_numeric_dtype(column.dtype):
        if types.is_integer_dtype(column.dtype) and not gaps.any() and column.max() <= np.iinfo(np.int64).max:
            return column.to_numpy(np.int64)
        values = column.to_numpy(np.float64, na_value=np.nan)
        if np.isinf(values).any():
            raise CellError(int(np.flatnonzero(np.isinf(values))[0]), "a number is not finite")
        return values
    values = column.tolist()
    present = [value for value, gap in zip(values, gaps, strict=True) if not gap]
    if kind is None and present and all(isinstance(value, (datetime.date, Decimal)) for value in present):
        kind = "date" if isinstance(present[0], datetime.date) else "number"
    for row, (value, gap) in enumerate(zip(values, gaps, strict=True)):
        if not gap and not isinstance(value, (str, bool, numbers.Real, datetime.date, Decimal)):
            raise CellError(row, f"a value of type {type(value).__name__} is no number, text or date")
    cells = ["" if gap else str(value).strip() for value, gap in zip(values, gaps, strict=True)]
    return values_of(cells, name, grammar, kind or "text").array
