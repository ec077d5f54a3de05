"""What the command trains on and predicts: tables and arrays out of files, as rows that can be divided."""

import os

import numpy as np

from ..checks import suggest

__all__ = ["Data", "are_arrays", "arrays_of", "files_in", "finite", "hashes", "load", "load_digits", "weights_of",
           "without_missing_targets"]  # fmt: skip


class Data:
    """Rows with what is to be predicted of them.

    Attributes
    ----------
    table : DataFrame or ndarray, shape (rows, columns)
        With the target, if that is a column of it.
    y : ndarray or None
        The targets, if they are apart from the table.
    target : str or None
        The name of the column, if they are not.
    test : Data or None
        Rows that are there to test on.
    weights : ndarray of float64, shape (rows,) or None
        How much rows count.
    files : list of str or None
        Where each row has a file of its own, as images have.
    """

    files = None

    def __init__(self, table, y=None, target=None, test=None, weights=None):
        self.table, self.y, self.target, self.test, self.weights = table, y, target, test, weights

    def __len__(self):
        return len(self.table)

    def rows(self, places):
        """Return the rows at some places, or where an array of bool says so."""
        table = self.table.iloc if hasattr(self.table, "iloc") else self.table
        y, weights = (None if array is None else array[places] for array in (self.y, self.weights))
        return Data(table[places], y, self.target, weights=weights)

    @property
    def targets(self):
        """The targets as an array."""
        return self.y if self.target is None else np.asarray(self.table[self.target])

    def column(self, option, name):
        """Return a column that an option names, or say what is wrong with that."""
        if not hasattr(self.table, "columns"):
            raise ValueError(f"{option} is {name!r}; it is for tables, which have columns with names")
        if name not in self.table.columns:
            hint = suggest(name, map(str, self.table.columns))
            raise ValueError(f"{option} is {name!r}; the table has no such column{hint}")
        return self.table[name]

    def place(self, row):
        """Return what messages call a row: file and line, where it is from a file."""
        if self.target is None:
            return f"row {row}"
        from ..table import place

        return place(self.table, row)


def _kinds(paths):
    return [os.path.splitext(path)[1].lower() for path in paths]


def are_arrays(paths, labelled):
    """Whether files hold arrays: x, and where it must be known what is to be predicted y."""
    kinds = _kinds(paths)
    return kinds == [".npz"] or kinds == [".npy", ".npy"] or (kinds == [".npy"] and not labelled)


def load(args, labelled=True):
    """Return the rows of the files that are asked for.

    Parameters
    ----------
    args : argparse.Namespace
        With the options that say how files are read.
    labelled : bool
        Whether targets are needed.

    Returns
    -------
    Data
    """
    paths, kinds = args.data, _kinds(args.data)
    target = getattr(args, "target", None)
    if are_arrays(paths, labelled):
        if target is not None:
            raise ValueError(f"--target is {target!r}; it is for tables, and arrays have their targets in y")
        return _arrays(paths, labelled)
    for path in paths:
        if os.path.isdir(path):
            raise ValueError(f"{path} is a folder, and no table; of a folder of images --net lenet makes a model")
    if {".npz", ".npy"} & {*kinds}:
        raise ValueError(
            f"the files are {' '.join(paths)}; they must be one .npz file, two .npy files (x and y) or tables"
        )
    options = {name: getattr(args, name) for name in ("separator", "decimal", "thousands", "encoding", "header")}
    kinds_of = dict(args.columns or [])
    like = getattr(args, "like", None)
    frame, spared = _read(args, paths, kinds_of, missing=tuple(args.missing or ()), like=like, **options)
    target = _target(frame, target, args) if labelled else None
    if target in spared:
        raise spared[target]
    return Data(frame, target=target)


def _read(args, paths, kinds, **options):
    """Return a table, and errors about columns that are not needed: these are text then, whatever they hold."""
    from ..table import TableError, read

    spared: dict[str, TableError] = {}
    while True:
        try:
            return read(paths, columns={**dict.fromkeys(spared, "text"), **kinds} or None, **options), spared
        except TableError as error:
            # the advice about a column names it
            name = next((name for way, _ in error.ways for name in way.get("columns", ())), None)
            if name is None or name in {*spared, *kinds} or _needed(args, name):
                raise
            spared[name] = error


def _needed(args, name):
    given = vars(args)
    if name in (given.get("target"), given.get("split_by"), given.get("weights_column")):
        return True
    takes = given.get("takes")  # by a model that there is
    if takes is not None:
        return name in takes
    return name not in (given.get("drop") or ()) and (given.get("only") is None or name in given["only"])


def _target(frame, target, args):
    """Return the name of the target: the last column, if none is asked for."""
    names = [str(name) for name in frame.columns]
    if target is None:
        given = vars(args)
        apart = {given.get("split_by"), given.get("weights_column"), *(given.get("drop") or ())}
        left = [name for name in names if name not in apart]
        if len(left) < 2:
            raise _too_few(frame, names)
        return left[-1]
    if target not in names:
        raise ValueError(f"--target is {target!r}; the table has no such column{suggest(target, names)}")
    return target


def _too_few(frame, names):
    """Return the error about a table without a feature and a target: another separator may be meant."""
    from ..table import TableError

    source = frame.attrs["source"]
    has = f"{' '.join(source['paths'])} has the columns {', '.join(map(repr, names))}"
    what = f"{has}; it takes a feature and a target"
    if len(names) > 1 or source["separator"] is None:
        return TableError(what)
    way = {"separator": "blank" if " " in names[0] else "MARK"}, "takes another mark"
    return TableError(f"{what}, with {source['separator']!r} between cells", way)


def arrays_of(paths, labelled):
    """Return the arrays x, y, x_test and y_test of files, as far as they are there and asked for.

    The first two may be called x_train and y_train.

    Parameters
    ----------
    paths : list of str
        That `are_arrays`.
    labelled : bool
        Whether y is needed; without it x alone is taken.

    Returns
    -------
    dict of str to ndarray
    """
    if len(paths) == 2:
        arrays = {"x": _load_numpy(paths[0]), "y": _load_numpy(paths[1])}
    elif _kinds(paths) == [".npy"]:
        arrays = {"x": _load_numpy(paths[0])}
    else:
        arrays = _load_numpy(paths[0])
        if labelled and not {"x", "y"} & arrays.keys():
            # as in the files of Keras
            arrays = {{"x_train": "x", "y_train": "y"}.get(name, name): array for name, array in arrays.items()}
        wanted: tuple[str, ...] = ("x", "y") if labelled else ("x",)
        wanted += ("x_test", "y_test") if labelled and {"x_test", "y_test"} & arrays.keys() else ()
        for name in wanted:
            if name not in arrays:
                raise ValueError(f"{paths[0]} has no array {name!r}; it has {', '.join(arrays) or 'none'}")
        arrays = {name: arrays[name] for name in wanted}
    return arrays


def _arrays(paths, labelled):
    arrays = arrays_of(paths, labelled)
    data = _checked(arrays, "")
    if "x_test" in arrays:
        data.test = _checked(arrays, "_test")
        shapes = [(part.table.shape[1:], part.y.shape[1:]) for part in (data, data.test)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"x_test {arrays['x_test'].shape} and y_test {arrays['y_test'].shape} do not fit x "
                f"{arrays['x'].shape} and y {arrays['y'].shape}"
            )
    return data


def _load_numpy(path):
    """Return the array of a .npy file, or the dict of arrays of a .npz file."""
    with open(path, "rb") as file:
        what, way = "", "astype(str)"
        try:
            loaded = np.load(file, allow_pickle=False)
            if os.path.splitext(path)[1].lower() != ".npz":
                return np.asarray(loaded)
            arrays = {}
            for name in loaded.files:
                what, way = f"array {name!r} of ", f"{name}.astype(str)"
                arrays[name] = np.asarray(loaded[name])
            return arrays
        except Exception as error:  # damage makes NumPy and zipfile raise almost anything
            # NumPy pickles what is of dtype object, such as text labels from a data frame
            hint = f"; {way} makes text of objects, which needs no pickle" if "allow_pickle" in str(error) else ""
            raise ValueError(f"{what}{path} cannot be read as an array file: {error}{hint}") from error


def _checked(arrays, suffix):
    """Return x of shape (rows, n_in) with y of shape (rows,) or (rows, n_out), or say what is wrong with them."""
    x, y = arrays["x" + suffix], arrays.get("y" + suffix)
    if x.dtype.kind not in "biuf" or x.ndim == 0 or x.size == 0:
        raise ValueError(f"x{suffix} is {x.dtype} of shape {x.shape}; it must hold numbers in rows")
    named = {"x": x}
    if y is not None:
        if y.dtype.kind not in "biufUS" or y.ndim not in (1, 2):
            must = "it must be labels (rows,) or numbers (rows, n)"
            raise ValueError(f"y{suffix} is {y.dtype} of shape {y.shape}; {must}")
        if len(x) != len(y):
            raise ValueError(f"x{suffix} has {len(x)} rows and y{suffix} has {len(y)}; they must have equally many")
        named["y"] = y = y[:, 0] if y.shape[1:] == (1,) else y
    for name, array in named.items():
        finite(f"{name}{suffix}", array)
    return Data(x.reshape(len(x), -1), y)


def finite(name, array):
    """Return an array, or say where it is not finite."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        at = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{name}{at} is {array[tuple(at)]}; it must be finite")
    return array


def load_digits():
    """Return the handwritten digits of the package."""
    from ..datasets import load_digits

    return Data(*load_digits())


def without_missing_targets(data, drop):
    """Return the rows that have a target, and how many were left out; or refuse those that have none.

    Parameters
    ----------
    data : Data
    drop : bool
        Whether they are left out.
    """
    if data.target is None:
        return data, 0
    missing = np.asarray(data.table[data.target].isna())
    n = int(missing.sum())
    if n and not drop:
        raise ValueError(
            f"{data.place(int(missing.argmax()))}: column {data.target!r}, the target, is missing, in {n} of "
            f"{len(data)} rows; --drop-missing-targets leaves them out"
        )
    if n == len(data):
        raise ValueError(f"column {data.target!r}, the target, has no values")
    return (data.rows(~missing), n) if n else (data, 0)


def weights_of(data, name):
    """Return the weights of rows that a column holds, or say which is none."""
    column = data.column("--weights-column", name)
    if column.dtype.kind not in "biuf":  # NumPy would make numbers of dates, and of text such as 1_0
        raise ValueError(f"--weights-column is {name!r}, which does not hold numbers")
    weights = np.asarray(column, np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        k = int(bad.argmax())
        raise ValueError(
            f"{data.place(k)}: column {name!r}, the weights, is {weights[k]}; it must be a number from 0 on"
        )
    return weights


def files_in(folder):
    """Return the files of a folder and of those in it, in the order of their names; not the hidden ones."""
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [os.path.join(path, name) for name in sorted(files) if not name.startswith(".")]
    return found


def hashes(paths):
    """Return what the files were, without their names: SHA-256 and length in bytes of each.

    Of a folder it is the SHA-256 of those of its files, as text, one after another.
    """
    import hashlib

    found = []
    for path in paths:
        if os.path.isdir(path):
            inside = hashes(files_in(path))
            text = "".join(one["sha256"] for one in inside)
            digest = hashlib.sha256(text.encode()).hexdigest()
            found.append({"sha256": digest, "bytes": sum(one["bytes"] for one in inside)})
            continue
        if not os.path.isfile(path):  # a pipe has been read
            what = f"{path} is no regular file, whose SHA-256 a model has"
            raise ValueError(f"{what}; --no-provenance leaves that out, and a file can be read again")
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            found.append({"sha256": digest, "bytes": file.tell()})
    return found
