"""Columns of large plain text by pandas' own parser, which does not know the grammar: it is proven beforehand.

What is proven are numbers: pandas would take others too, such as 007. Everything else it leaves as text. Text with
quotes, lines of another number of cells, numbers that are none after all: where anything is not plain there is no
result, and text is read cell by cell, which also finds what is wrong.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .grammar import Grammar

__all__ = ["plain_columns"]


def plain_columns(
    text: str, separator: str, skipped: int, grammar: Grammar, are_numbers: Sequence[bool], pandas: Any
) -> list[Any] | None:
    """Return the columns of plain text.

    Parameters
    ----------
    text : str
        Lines that end with LF, none of which is empty; no quotes, no CR, no zero bytes.
    separator : str
    skipped : int
        Lines that are left out at the beginning: 0 or 1.
    grammar : Grammar
        With a decimal point, and without a mark of thousands.
    are_numbers : sequence of bool
        Which columns seem to hold numbers.
    pandas : module

    Returns
    -------
    list or None
        Of int64 and float64, or cells as text; None where the text is not so plain, or a column does not hold numbers.

    Examples
    --------
    >>> import pandas
    >>> from fastbp.table.grammar import Grammar
    >>> plain_columns("1,a\\n2,b\\n", ",", 0, Grammar(), [True, False], pandas)
    [array([1, 2]), ['a', 'b']]
    >>> plain_columns("007,a\\n2,b\\n", ",", 0, Grammar(), [True, False], pandas) is None
    True
    """
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return None
    codes = np.frombuffer(data, np.uint8)
    before = np.searchsorted(np.flatnonzero(codes == ord(separator)), np.flatnonzero(codes == ord("\n")))
    if (np.diff(before, prepend=0) != len(are_numbers) - 1).any():
        return None
    found = grammar.lines(are_numbers, separator).match(text, text.index("\n") + 1 if skipped else 0)
    if found is None or found.end() != len(text):
        return None
    missing = sorted(grammar.missing)
    # by default the nearest number, from pandas 3.1 on
    exact = {} if _version(pandas) >= (3, 1) else {"float_precision": "round_trip"}
    frame = pandas.read_csv(
        io.BytesIO(data),
        sep=separator,
        header=None,
        skiprows=skipped,
        dtype={k: object for k, number in enumerate(are_numbers) if not number},
        keep_default_na=False,
        na_values={k: missing for k, number in enumerate(are_numbers) if number},
        skipinitialspace=True,
        skip_blank_lines=False,
        quoting=3,
        low_memory=False,
        **exact,
    )
    columns: list[Any] = []
    for k, number in enumerate(are_numbers):
        values = frame[k].to_numpy()
        if number and values.dtype not in (np.int64, np.float64):
            return None
        if number and values.dtype.kind == "f" and np.isinf(values).any():
            return None
        columns.append(values if number else list(map(str.strip, values.tolist())))
    return columns


def _version(module: Any) -> tuple[int, ...]:
    return tuple(map(int, module.__version__.split(".")[:2]))
