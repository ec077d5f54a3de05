"""What rows of a table become before a net sees them, and what its outputs mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..checks import check_kind, check_name, integer, suggest
from ..frames import is_frame
from ..kernels.caller import warn
from .columns import (
    KINDS,
    BooleanColumn,
    Column,
    DateColumn,
    LeftOut,
    NumberColumn,
    TextColumn,
    column_of,
    gaps_of,
    is_missing,
    kind_of,
    moments,
    scaled,
    standardised,
    values_of,
)  # fmt: skip
from .grammar import TableError
from .leaks import leaks_of
from .reading import place

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["Preparation"]

#: Of more different values there are no classes, unless somebody says so.
_MOST_CLASSES = 100
#: More classes than these want some rows each.
_FEW_CLASSES, _ROWS_A_CLASS = 10, 5


class _Table(NamedTuple):
    """Columns of what was given as a table."""

    what: str
    names: list[str]
    arrays: list[np.ndarray]
    dtypes: list[Any]
    named: bool  # whether columns go by their names
    rows: int
    where: Callable[[int], str]  # what messages call a row


def _as_table(what: str, given: Any) -> _Table:
    """Return the columns of a data frame, of a dict of columns or of rows."""
    where: Callable[[int], str] = "row {}".format
    if is_frame(given):
        names = [str(name) for name in given.columns]
        columns = [column for _, column in given.items()] if hasattr(given, "items") else list(given)
        dtypes = [column.dtype for column in columns]
        arrays = [np.asarray(column) for column in columns]
        rows = len(given)
        if getattr(given, "attrs", None):  # rows of a file
            where = partial(place, given)
    elif isinstance(given, Mapping):
        names = [str(name) for name in given]
        arrays = [_as_column(f"column {name!r} of {what}", values) for name, values in given.items()]
        dtypes = [array.dtype for array in arrays]
        rows = len(arrays[0]) if arrays else 0
        for name, array in zip(names, arrays, strict=True):
            if len(array) != rows:
                raise ValueError(f"column {name!r} of {what} has {len(array)} rows; {names[0]!r} has {rows}")
    else:
        if hasattr(given, "toarray"):
            raise TypeError(f"{what} is sparse; {what}.toarray() makes an array of it")
        # of numbers and text NumPy would make text
        array = np.asarray(given, None if hasattr(given, "dtype") else object)
        if array.ndim != 2 or array.dtype.names:
            must = "a data frame, a dict of columns, or rows (rows, columns)"
            raise ValueError(f"{what} has shape {array.shape}; it must be {must}")
        rows, n = array.shape
        names, arrays = [f"x{k}" for k in range(n)], [array[:, k] for k in range(n)]
        dtypes = [array.dtype] * n
        return _Table(what, names, arrays, dtypes, False, rows, where)
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} has two columns {name!r}; names must differ")
    return _Table(what, names, arrays, dtypes, True, rows, where)


def _as_column(what: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf" and not hasattr(values, "dtype"):
        array = np.asarray(values, object)
    if array.ndim != 1:
        raise ValueError(f"{what} has shape {array.shape}; it must be (rows,)")
    return array


class Preparation:
    """What rows of a table become before a net sees them, and what the net's outputs mean.

    It is learnt from the rows of the training alone: means and scales, medians, categories, classes. Then it makes
    numbers of any rows of that kind, and of outputs numbers in the target's unit or names of classes. With a net it
    makes a model that takes such rows everywhere, a `PreparedModel`.

    ======== ======================================================== =====================================
    kind     features                                                 a value that is missing
    ======== ======================================================== =====================================
    number   standardised: ``(x - mean) / std``; a constant by 1      the median
    text     0 or 1 for each category; any other text has only zeros  only zeros
    boolean  0 or 1                                                   the more frequent one
    date     days, standardised; sine and cosine of year, week, day   the median
    ======== ======================================================== =====================================

    A column that has gaps in the training also has a feature of 0 and 1 that says where. The kind follows from the
    type of a column, never from its values: `read` has looked at those of a file.

    Parameters
    ----------
    target : str or int, optional
        The column to predict; without one the targets are given apart.
    task : {"auto", "classification", "regression"}
        "auto" takes text, booleans and integers of at most 100 values for classes.
    columns : dict of str to str, optional
        The kind of columns where it is another one: ``{"zip": "text"}`` makes categories of numbers.
    drop : sequence of str, optional
        Columns that the net is not to be given.
    only : sequence of str, optional
        The columns that it is given; all but the target by default.
    max_categories : int
        Of a column of text with more categories the most frequent ones are taken, if these are half of the rows; else
        the column is left out, and `warnings` says so.
    standardize : bool
        Whether numbers, and the target of a regression, are scaled to mean 0 and variance 1.

    Attributes
    ----------
    task : {"classification", "regression"}
        What it is, once it is learnt.
    target : str or None
    classes : list or None
        The labels, sorted; the order of probabilities.
    columns : list of Column
        In the order of the table, with those that are left out.
    features : list of str
    n_features, n_outputs : int
        What the net is given, and what it returns: a class each, or a number.
    warnings : list of str
        Columns that are left out, and those that determine the target.
    unseen : dict of str to dict
        What the last rows had that the training had not: ``{"city": {"other": 2, "missing": 1}}``.

    Notes
    -----
    Columns of a data frame or of a dict are found by their names: one that is missing is an error, others are left
    alone and named once. Columns of an array go by their place, and their number is checked.

    Examples
    --------
    >>> import fastbp
    >>> table = {"size": [1.0, 3.0, None, 5.0], "city": ["Rome", "Bern", "Rome", "Rome"]}
    >>> preparation = fastbp.table.Preparation().fit(table, [False, True, True, True])
    >>> preparation
    <Preparation: 2 columns, 4 features, classification of 2 classes>
    >>> preparation.features
    ['size', 'size is missing', 'city=Bern', 'city=Rome']
    >>> preparation.transform({"city": ["Bern"], "size": [3.0]})
    array([[0., 0., 1., 0.]])
    """

    def __init__(
        self,
        target: str | int | None = None,
        task: str = "auto",
        columns: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        only: Sequence[str] | None = None,
        max_categories: int = 50,
        standardize: bool = True,
    ) -> None:
        check_name("task", task, ("auto", "classification", "regression"))
        check_kind("columns", columns or {}, Mapping, "a dict of kinds by column")
        check_kind("standardize", standardize, (bool, np.bool_), "True or False")
        kinds = {_called(name): kind for name, kind in (columns or {}).items()}
        for name, kind in kinds.items():
            known = [k for k in KINDS if k != LeftOut.kind]
            if str(kind).partition(":")[0] not in known:  # "date:dmy" says how text is read
                some = f"kinds are {', '.join(known)}{suggest(kind, known)}"
                raise ValueError(f"columns has {kind!r} for {name!r}; {some}")
        self._options: dict[str, Any] = {
            "target": None if target is None else _called(target),
            "task": task,
            "columns": kinds,
            "drop": _names("drop", drop),
            "only": None if only is None else _names("only", only),
            "max_categories": integer("max_categories", max_categories, 1),
            "standardize": bool(standardize),
        }
        self._columns: list[Column] | None = None
        #: Means, scales and the places of the features where all columns are numbers.
        self._plain: tuple[np.ndarray, np.ndarray, np.ndarray | None] | None = None
        self._goal: _Classes | _Numbers | None = None
        self._named = True
        self._ignored: list[str] = []  # known, and left alone without a word
        self._told: set[str] = set()
        self.warnings: list[str] = []
        self.unseen: dict[str, dict[str, int]] = {}

    # ------------------------------------------------------------------ what is learnt

    def fit(self, table: Any, y: Any = None) -> Preparation:
        """Learn from the rows of a training.

        Parameters
        ----------
        table : data frame, dict of columns or array_like, shape (rows, columns)
        y : array_like, shape (rows,) or (rows, n), optional
            The targets, where `target` is no column of the table.

        Returns
        -------
        Preparation
            Itself.

        Raises
        ------
        TypeError, ValueError
            The message names the column, the row and what helps; nothing is learnt then.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([["a", 1], ["b", 2], ["a", 3]], [0.5, 1.5, 1.0])
        >>> preparation.task, preparation.features
        ('regression', ['x0=a', 'x0=b', 'x1'])
        """
        given = _as_table("table", table)
        options = self._options
        target = options["target"]
        if given.rows == 0:
            raise ValueError("table has no rows; there is nothing to learn from")
        for argument in ("columns", "drop", "only"):
            for name in options[argument] or ():
                _known(f"{argument} has", name, given)
        if y is None:
            if target is None:
                raise ValueError("there is no target: give y, or the name of its column as target")
            _known("target is", target, given)
            k = given.names.index(target)
            what, targets, dtype = f"column {target!r} of table", given.arrays[k], given.dtypes[k]
        else:
            what, targets, dtype = "y", _target_array(y), getattr(y, "dtype", None)
            if targets.ndim == 0 or len(targets) != given.rows:
                rows = f"table has {given.rows} rows; each must have a target"
                raise ValueError(f"y has shape {targets.shape} and {rows}")
        goal = _goal(options, what, targets, dtype, given.where)
        only = given.names if options["only"] is None else options["only"]
        dropped = {*options["drop"], *([target] if y is None else [])}
        columns, warnings, seen = [], [], {}
        for k, name in enumerate(given.names):
            if name not in only or name in dropped:
                continue
            column, values = self._learnt(given, k)
            columns.append(column)
            if column.kind == LeftOut.kind:
                warnings.append(f"column {name!r} is left out: {column.note}")
            else:
                seen[name] = column.kind, values
        if not any(column.features for column in columns):
            raise ValueError("table has no column that a net could be given; all are left out")
        leaks = leaks_of(seen, goal.transform(what, targets, given.where))
        warnings += [f"{leak}; if that is not known beforehand, drop it" for leak in leaks]
        self._columns, self._goal, self._named, self.warnings = columns, goal, given.named, warnings
        self._plain = _plain_of(columns)
        self._ignored = [name for name in given.names if name not in {c.name for c in columns}]
        self._told, self.unseen = set(), {}
        return self

    def _learnt(self, given: _Table, k: int) -> tuple[Column, np.ndarray]:
        """Return a column with what is learnt of it, and its values."""
        name, array, options = given.names[k], given.arrays[k], self._options
        what = f"column {name!r} of {given.what}"
        kind = options["columns"].get(name, "").partition(":")[0] or kind_of(what, array, given.dtypes[k])
        values = array if kind is None else values_of(kind, what, array, given.where)
        if kind is None or gaps_of(values).all():
            return LeftOut(name, "it has no values"), values
        column: Column
        if kind == "number":
            column = NumberColumn.learnt(name, values, options["standardize"])
        elif kind == "text":
            column = TextColumn.learnt(name, values, options["max_categories"])
        elif kind == "boolean":
            column = BooleanColumn.learnt(name, values)
        else:
            column = DateColumn.learnt(name, values)
        return column, values

    @property
    def fitted(self) -> bool:
        """Whether something has been learnt."""
        return self._goal is not None

    def _learning(self) -> _Classes | _Numbers:
        if self._goal is None:
            raise RuntimeError("the preparation has learnt nothing yet; call its fit with the rows of the training")
        return self._goal

    @property
    def task(self) -> str:
        """What it is: before anything is learnt what was asked for."""
        return self._options["task"] if self._goal is None else self._goal.task

    @property
    def target(self) -> str | None:
        """The column that is predicted, or None."""
        found: str | None = self._options["target"]
        return found

    @property
    def classes(self) -> list[Any] | None:
        """The labels in the order of probabilities, or None of a regression."""
        return getattr(self._learning(), "classes", None)

    @property
    def columns(self) -> list[Column]:
        """The columns in the order of the table, with those that are left out."""
        self._learning()
        return list(self._columns or ())

    @property
    def features(self) -> list[str]:
        """The names of what the net is given."""
        return [feature for column in self.columns for feature in column.features]

    @property
    def n_features(self) -> int:
        """How many numbers the net is given for a row."""
        return len(self.features)

    @property
    def n_outputs(self) -> int:
        """How many outputs a net has: a class or a number each."""
        return self._learning().n_outputs

    @property
    def baseline(self) -> Any:
        """What is predicted without a look at the columns: the label of most rows of the training, or their mean.

        Returns
        -------
        object
            A label, or an array of float64, shape (n_outputs,), in the target's unit.

        Examples
        --------
        >>> import fastbp
        >>> fastbp.table.Preparation().fit([[1], [2], [3]], ["no", "yes", "no"]).baseline
        'no'
        """
        return self._learning().baseline

    # ------------------------------------------------------------------ rows

    def transform(self, table: Any) -> np.ndarray:
        """Return what the net is given for rows.

        Parameters
        ----------
        table : data frame, dict of columns or array_like, shape (rows, columns)

        Returns
        -------
        ndarray of float64, shape (rows, n_features)

        Raises
        ------
        TypeError, ValueError
            If a column is missing, or holds what it did not in the training; the message names column and row.

        Warns
        -----
        UserWarning
            Of categories and gaps that the training had not, and once of columns that it had not.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[0.0], [4.0]], [1.0, 2.0])
        >>> preparation.transform([[2.0], [6.0]])
        array([[0.],
               [2.]])
        """
        self._learning()
        quick = self._numbers_of(table)
        if quick is not None:
            self.unseen = {}
            return quick
        given = _as_table("x", table)
        arrays = self._matched(given)
        out = np.empty((given.rows, self.n_features))
        first, unseen = 0, {}
        for column, array in arrays:
            n = len(column.features)
            what = f"column {column.name!r} of {given.what}"
            if column.kind == LeftOut.kind or array is None:
                continue
            values = values_of(column.kind, what, array, given.where)
            other, missing = column.write(values, out[:, first : first + n])
            if not np.isfinite(out[:, first : first + n]).all():
                row = int(np.flatnonzero(~np.isfinite(out[:, first : first + n]).all(axis=1))[0])
                raise ValueError(f"{what}, {given.where(row)}, is {values[row]!s}; that is too far from the training's")
            if other or missing:
                unseen[column.name] = {"other": other, "missing": missing}
            first += n
        self.unseen = unseen
        if unseen:
            warn("x has what the training had not: " + "; ".join(_met(*item, given.rows) for item in unseen.items()))
        return out

    def _numbers_of(self, table: Any) -> np.ndarray | None:
        """Return the features of a matrix of finite numbers where all columns are such, else None: one expression."""
        plain = self._plain
        if plain is None or type(table) is not np.ndarray or table.dtype.kind not in "iuf":
            return None
        mean, scale, places = plain
        if table.shape[1:] != mean.shape:
            return None
        found = scaled(table.astype(np.float64), mean, scale)
        if not np.isfinite(found).all():
            return None
        if places is None:
            return found
        out = np.zeros((len(table), self.n_features))
        out[:, places] = found
        return out

    def _matched(self, given: _Table) -> list[tuple[Column, np.ndarray | None]]:
        """Return the columns with the arrays of a table."""
        columns = self._columns or []
        if not (given.named and self._named):
            if len(given.names) != len(columns):
                names = ", ".join(column.name for column in columns)
                are = f"they are {names}" if self._named else "as in the training"
                raise ValueError(f"x has {len(given.names)} columns; it must have {len(columns)}: {are}")
            return list(zip(columns, given.arrays, strict=True))
        places = {name: k for k, name in enumerate(given.names)}
        lacking = [c.name for c in columns if c.kind != LeftOut.kind and c.name not in places]
        if lacking:
            hint = suggest(lacking[0], [name for name in given.names if name not in {c.name for c in columns}])
            what = f"the column {lacking[0]!r}" if len(lacking) == 1 else f"the columns {', '.join(map(repr, lacking))}"
            raise ValueError(f"x lacks {what}, which the model takes{hint}")
        known = {column.name for column in columns}
        extra = [n for n in given.names if n not in known and n not in self._ignored and n not in self._told]
        if extra:
            self._told.update(extra)
            warn(f"x has columns that the training had not, which are left alone: {', '.join(map(repr, extra))}")
        return [(c, given.arrays[places[c.name]] if c.name in places else None) for c in columns]

    def split_off(self, table: Any) -> Any:
        """Return the column of the target of a table, or raise ValueError if there is none.

        Parameters
        ----------
        table : data frame or dict of columns

        Returns
        -------
        ndarray, shape (rows,)

        Examples
        --------
        >>> import fastbp
        >>> table = {"a": [1, 2], "y": [0.5, 1.5]}
        >>> fastbp.table.Preparation(target="y").fit(table).split_off(table).tolist()
        [0.5, 1.5]
        """
        if self.target is None:
            raise ValueError("y is missing: the model has targets that are no column of the table")
        given = _as_table("x", table)
        _known("target is", self.target, given)
        return given.arrays[given.names.index(self.target)]

    # ------------------------------------------------------------------ targets and outputs

    def transform_target(self, y: Any) -> np.ndarray:
        """Return targets as the net's loss takes them.

        Parameters
        ----------
        y : array_like, shape (rows,) or (rows, n_outputs)
            Labels, or numbers in the target's unit.

        Returns
        -------
        ndarray
            Of classes their numbers, int64, shape (rows,); else standardised float64, shape (rows, n_outputs).

        Raises
        ------
        TypeError, ValueError
            If a target is missing, is a label that the training had not, or no number.

        Examples
        --------
        >>> import fastbp
        >>> fastbp.table.Preparation().fit([[1], [2]], ["no", "yes"]).transform_target(["yes", "no"])
        array([1, 0])
        """
        return self._learning().transform("y", _target_array(y), "row {}".format)

    def inverse_target(self, outputs: Any) -> np.ndarray:
        """Return what standardised outputs are in the target's unit, or the labels of numbers of classes.

        Parameters
        ----------
        outputs : array_like, shape (rows, n_outputs), or of classes (rows,)

        Returns
        -------
        ndarray
            Of float64 in the shape of the outputs, or of labels.

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1], [2]], [10.0, 30.0])
        >>> preparation.inverse_target([[-1.0], [0.0]]).tolist()
        [[10.0], [20.0]]
        """
        return self._learning().inverse(np.asarray(outputs))

    # ------------------------------------------------------------------ files and looks

    def get_config(self) -> dict[str, Any]:
        """Return all that is learnt as plain data, from which `from_config` makes another one.

        Returns
        -------
        dict of str to object

        Examples
        --------
        >>> import fastbp
        >>> config = fastbp.table.Preparation().fit([[1.0], [3.0]], [0.5, 1.5]).get_config()
        >>> config["columns"]
        [{'kind': 'number', 'name': 'x0', 'gaps': 0, 'mean': 2.0, 'scale': 1.0, 'fill': 2.0, 'note': ''}]
        """
        config: dict[str, Any] = {"options": dict(self._options)}
        if self._goal is not None:
            config["named"], config["ignored"] = self._named, list(self._ignored)
            config["columns"] = [column.get_config() for column in self.columns]
            config["goal"] = self._goal.get_config()
            config["warnings"] = list(self.warnings)
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preparation:
        """Return a preparation from what `get_config` returned.

        Parameters
        ----------
        config : dict of str to object

        Returns
        -------
        Preparation

        Examples
        --------
        >>> import fastbp
        >>> preparation = fastbp.table.Preparation().fit([[1.0], [3.0]], [0.5, 1.5])
        >>> fastbp.table.Preparation.from_config(preparation.get_config()).transform([[3.0]])
        array([[1.]])
        """
        made = cls(**config["options"])
        if "goal" in config:
            made._named, made._ignored = bool(config["named"]), list(config["ignored"])
            made._columns = [column_of(one) for one in config["columns"]]
            made._plain = _plain_of(made._columns)
            made.warnings = list(config["warnings"])
            goal = dict(config["goal"])
            made._goal = (_Classes if goal.pop("task") == _Classes.task else _Numbers)(**goal)
        return made

    @property
    def table(self) -> list[tuple[str, ...]]:
        """What becomes of each column, below the names of what is said: column, kind, rule, features, gaps, notes.

        Returns
        -------
        list of tuple of str
        """
        rows: list[tuple[str, ...]] = [("column", "kind", "becomes", "features", "gaps", "note")]
        for column in self.columns:
            n = len(column.features)
            rows.append((column.name, column.kind, column.rule, str(n), str(column.gaps or ""), column.note))
        return rows

    def __str__(self) -> str:
        if not self.fitted:
            return repr(self)
        rows = self.table
        widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if k in (3, 4) else cell.ljust(width)
                for k, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, self._learning().told(self.target)])

    def _repr_html_(self) -> str:
        from ..html import table

        if not self.fitted:
            return repr(self).replace("<", "&lt;")
        return table(self.table, self._learning().told(self.target))

    def __repr__(self) -> str:
        if self._goal is None:
            plain = Preparation()._options
            asked = ", ".join(f"{name}={value!r}" for name, value in self._options.items() if value != plain[name])
            return f"<Preparation({asked}): it has learnt nothing yet>"
        n = sum(column.kind != LeftOut.kind for column in self.columns)
        return f"<Preparation: {n} column{'s' * (n != 1)}, {self.n_features} features, {self._goal.said}>"


def _plain_of(columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    if len(numbers) < len(columns):
        return None
    places = np.cumsum([0, *(len(column.features) for column in numbers)])
    mean, scale = np.array([column.mean for column in numbers]), np.array([column.scale for column in numbers])
    return mean, scale, None if places[-1] == len(numbers) else places[:-1]


def _called(name: Any) -> str:
    """Return the name of a column; those of an array go by their place."""
    return f"x{name}" if isinstance(name, (int, np.integer)) and not isinstance(name, bool) else str(name)


def _names(argument: str, given: Any) -> list[str]:
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{argument} is {given!r}; it must be a list of names of columns")
    return [_called(name) for name in given]


def _known(what: str, name: str, given: _Table) -> None:
    if name not in given.names:
        hint = suggest(name, given.names)
        raise ValueError(f"{what} {name!r}; {given.what} has no such column{hint}")


def _met(name: str, counts: Mapping[str, int], rows: int) -> str:
    of = f"of {rows} row{'s' * (rows != 1)}"
    said = []
    if counts["other"]:
        said.append(f'{counts["other"]} {of} of column {name!r} have another category, and count as "other"')
    if counts["missing"]:
        said.append(f"{counts['missing']} {of} of column {name!r} have no value")
    return ", ".join(said)


# ------------------------------------------------------------------------------------------- targets


def _target_array(y: Any) -> np.ndarray:
    """Return an array of targets; of a list of numbers and text NumPy would make text."""
    if hasattr(y, "dtype") or is_frame(y):
        return np.asarray(y)
    array = np.asarray(y, object)
    return np.asarray(y) if all(type(v) in (int, float, bool) for v in array.ravel().tolist()) else array


def _goal(
    options: Mapping[str, Any], what: str, y: np.ndarray, dtype: Any, where: Callable[[int], str]
) -> _Classes | _Numbers:
    """Return what targets of the training are."""
    if y.ndim not in (1, 2) or y.dtype.names:
        raise ValueError(f"{what} has shape {y.shape}; it must be labels (rows,) or numbers (rows, n)")
    y = y[:, 0] if y.shape[1:] == (1,) else y
    task = options["task"]
    if y.ndim == 2:
        if task == "classification":
            one = "classes are one label a row (of a one-hot y, y.argmax(axis=1))"
            raise ValueError(f"{what} has shape {y.shape}; {one}")
        return _Numbers.learnt(what, y, where, options["standardize"])
    kind = kind_of(what, y, dtype)
    if kind is None:
        raise ValueError(f"{what} has no values")
    if kind == "date":
        raise ValueError(f"{what} holds dates; a target is a label or a number")
    if task == "regression" and kind == "text":
        first = next(v for v in y if v is not None)
        raise ValueError(f"task is 'regression' and {what} is text ({first!r}); a regression takes numbers")
    if task == "regression" or (task == "auto" and y.dtype.kind == "f"):
        return _Numbers.learnt(what, y, where, options["standardize"])
    labels = _labels(what, y, where)
    numbers = Counter(labels)
    classes = sorted(numbers)
    whole = all(isinstance(label, int) for label in classes)
    if task == "auto":
        few = len(classes) <= _MOST_CLASSES and (
            len(classes) <= _FEW_CLASSES or len(classes) * _ROWS_A_CLASS <= len(labels)
        )
        if kind == "number" and not (whole and few and 2 * len(classes) <= len(labels)):
            return _Numbers.learnt(what, y, where, options["standardize"])
        if kind == "text" and not few:
            many = f"{what} has {len(classes)} different texts in {len(labels)} rows"
            raise TableError(
                f"{many}, {len(labels) / len(classes):.1f} rows a class: names of rows cannot be predicted",
                ({"target": "NAME"}, "takes another column"),
                ({"task": "classification"}, "takes them for classes"),
            )
    if len(classes) < 2:
        raise ValueError(f"{what} has one class only, {classes[0]!r}; there is nothing to learn")
    return _Classes(classes, [numbers[label] for label in classes])


def _labels(what: str, y: np.ndarray, where: Callable[[int], str]) -> list[Any]:
    """Return labels that can be sorted; refuse those that are missing."""
    values = y.tolist()
    for k, value in enumerate(values):
        if is_missing(value):
            raise ValueError(f"{what}, {where(k)}, is missing; a row without a target teaches nothing: leave it out")
    if y.dtype.kind == "S":
        values = [value.decode() for value in values]
    if y.dtype.kind == "O":
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
    kinds = {type(value) for value in values}
    if not _of_one_kind(kinds):
        some = " and ".join(repr(next(v for v in values if type(v) is kind)) for kind in list(kinds)[:2])
        raise TypeError(f"{what} holds {some}; labels are text, whole numbers or booleans, all of one kind")
    return values


def _of_one_kind(kinds: set[type]) -> bool:
    """Whether labels of some types can be classes together."""
    return any(kinds <= known for known in ({str}, {bool}, {int, float}))


class _Classes:
    """Labels of classes."""

    task = "classification"

    def __init__(self, classes: Sequence[Any], counts: Sequence[int]) -> None:
        self.classes, self.counts = list(classes), [int(n) for n in counts]
        if len(self.classes) != len(self.counts):
            raise ValueError(f"there are {len(self.classes)} classes and {len(self.counts)} counts of them")
        if not _of_one_kind({type(label) for label in self.classes}):
            raise TypeError(f"classes are {self.classes!r}; they must be text, numbers or booleans, all of one kind")
        self._places = {label: k for k, label in enumerate(self.classes)}
        if len(self._places) < max(len(self.classes), 2):
            raise ValueError(f"classes are {self.classes!r}; they must be two at least, and differ")

    @property
    def n_outputs(self) -> int:
        """How many outputs a net has: a class or a number each."""
        return len(self.classes)

    @property
    def said(self) -> str:
        return f"classification of {len(self.classes)} classes"

    @property
    def baseline(self) -> Any:
        return self.classes[int(np.argmax(self.counts))]

    def told(self, target: str | None) -> str:
        shown = ", ".join(map(str, self.classes[:10])) + ", ..." * (len(self.classes) > 10)
        return f"target: {target or 'y'}, {len(self.classes)} classes: {shown}"

    def transform(self, what: str, y: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.ndim != 1:
            raise ValueError(f"{what} has shape {y.shape}; it must be labels (rows,)")
        labels = _labels(what, y, where)
        found = np.empty(len(labels), np.int64)
        for k, label in enumerate(labels):
            place = self._places.get(label)
            if place is None:
                shown = ", ".join(map(repr, self.classes[:10])) + ", ..." * (len(self.classes) > 10)
                raise ValueError(f"{what}, {where(k)}, is the label {label!r}, which the training has not: {shown}")
            found[k] = place
        return found

    def inverse(self, numbers: np.ndarray) -> np.ndarray:
        labels = np.array(self.classes, object if isinstance(self.classes[0], str) else None)
        return labels[numbers]

    def get_config(self) -> dict[str, Any]:
        return {"task": self.task, "classes": self.classes, "counts": self.counts}


class _Numbers:
    """Numbers in the target's unit."""

    task = "regression"

    def __init__(self, mean: Sequence[float], scale: Sequence[float], center: Sequence[float]) -> None:
        self.mean, self.scale, self.center = (np.array(values, np.float64) for values in (mean, scale, center))
        if not self.mean.shape == self.scale.shape == self.center.shape == (len(self.mean),):
            raise ValueError("the means and scales of the target do not fit together")
        if not (np.isfinite([self.mean, self.scale, self.center]).all() and (self.scale > 0).all()):
            raise ValueError(f"the target has means {mean} and scales {scale}; they must be finite, scales positive")

    @classmethod
    def learnt(cls, what: str, y: np.ndarray, where: Callable[[int], str], standardize: bool) -> _Numbers:
        values = _finite(what, y, where)
        found = [moments(column)[:2] for column in values.T]
        center = [mean for mean, _ in found]
        if not standardize:
            found = [(0.0, 1.0)] * len(found)
        return cls([mean for mean, _ in found], [scale for _, scale in found], center)

    @property
    def n_outputs(self) -> int:
        """How many outputs a net has: a class or a number each."""
        return len(self.mean)

    @property
    def said(self) -> str:
        n = self.n_outputs
        return "regression" + (f" of {n} numbers" if n > 1 else "")

    @property
    def baseline(self) -> np.ndarray:
        return self.center.copy()

    def told(self, target: str | None) -> str:
        rules = ", ".join(standardised("y", m, s) for m, s in zip(self.mean, self.scale, strict=True))
        return f"target: {target or 'y'}, a number: {rules}"

    def transform(self, what: str, y: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
        values = _finite(what, y, where)
        if values.shape[1] != self.n_outputs:
            raise ValueError(f"{what} has shape {y.shape}; it must be (rows, {self.n_outputs})")
        columns = [scaled(column, m, s) for column, m, s in zip(values.T, self.mean, self.scale, strict=True)]
        return np.stack(columns, axis=1)

    def inverse(self, outputs: np.ndarray) -> np.ndarray:
        return outputs.astype(np.float64) * self.scale + self.mean

    def get_config(self) -> dict[str, Any]:
        numbers = {"mean": self.mean, "scale": self.scale, "center": self.center}
        return {"task": self.task, **{name: array.tolist() for name, array in numbers.items()}}


def _finite(what: str, y: np.ndarray, where: Callable[[int], str]) -> np.ndarray:
    """Return numbers (rows, n) of float64, all of them finite."""
    columns = [y] if y.ndim == 1 else list(y.T)
    found = [values_of("number", what, column, where) for column in columns]
    for column in found:
        gaps = np.flatnonzero(np.isnan(column))
        if len(gaps):
            place = where(int(gaps[0]))
            raise ValueError(f"{what}, {place}, is missing; a row without a target teaches nothing: leave it out")
    return np.stack(found, axis=1) if found else np.empty((len(y), 0))
