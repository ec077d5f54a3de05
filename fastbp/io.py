"""Files: models as plain ``.npz``, histories as JSON; written atomically, read with suspicion, never pickled.

A model file is an uncompressed zip of ``.npy`` arrays that `numpy.load` opens. Its last member, ``config.json``, is
a JSON text as an array of uint8::

    {"format": "fastbp", "version": 2, "sha256": "...", "config": {...}}

The SHA-256 runs over the name, a zero byte and the ``.npy`` bytes of each array in the order of the file, then over
the config as ASCII JSON without spaces. A history file is a JSON object of the same keys, with ``"fastbp history"``
for the format and ``"history"`` for ``"config"``.
"""

import contextlib
import errno
import math
import numbers
import os
import re
import stat
from collections.abc import Mapping

import numpy as np

from .checks import as_array, as_path, check_kind

__all__ = ["FileFormatError", "load_arrays", "load_history", "replacing", "save_arrays", "save_history", "save_json"]

FORMAT = "fastbp"
HISTORY_FORMAT = "fastbp history"
VERSION = 2
#: Those of older files, which are read too.
_READ = (1, VERSION)

_CONFIG = "config.json"
_CHUNK = 1 << 20
#: Parts of names and slashes: nothing absolute, nothing that starts with a dot.
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*")
_HEADER = re.compile(
    rb"{'descr': '(\|[bui]1|<[ui][248]|<f[248])', 'fortran_order': False, 'shape': \(([\d, ]*)\), } *\n"
)
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class FileFormatError(ValueError):
    """A file is damaged, truncated, hostile or of another format.

    Examples
    --------
    >>> from fastbp.io import FileFormatError
    >>> issubclass(FileFormatError, ValueError)
    True
    """


@contextlib.contextmanager
def replacing(path):
    """Open a binary file that takes the place of `path` in one step when the block ends without an error.

    Whatever interrupts the block, `path` holds the old content or the new one. Permissions of an existing
    file are kept, a new one has those of any new file; a symbolic link stays one.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    binary file

    Raises
    ------
    ValueError
        If `path` is there and is not a regular file.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastbp.io import replacing
    >>> path = os.path.join(tempfile.mkdtemp(), "loss.png")
    >>> with replacing(path) as file:
    ...     _ = file.write(b"picture")
    """
    path = os.path.realpath(as_path("path", path))  # through a symbolic link to the file itself
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "there is no such directory", folder)
    mode = os.stat(path).st_mode if os.path.exists(path) else None
    if mode is not None and not stat.S_ISREG(mode):
        raise ValueError(f"path is {path!r}, which is not a regular file")
    if mode is not None and not os.access(path, os.W_OK):  # a rename would not ask
        raise PermissionError(errno.EACCES, "the file is read-only", path)
    temporary = os.path.join(folder, f".fastbp-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        with contextlib.suppress(OSError):  # the new file is whole; some file systems cannot sync a directory
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def _opened(path):
    """Open a regular file for reading; name it in a `FileFormatError` for whatever is wrong in it."""
    import struct
    import zipfile

    path = as_path("path", path)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device could be read for ever
        raise FileFormatError(f"{path!r} is not a regular file")
    with open(path, "rb") as file:
        try:
            yield file
        except RecursionError:
            raise FileFormatError(f"{path!r}: its JSON is nested too deeply") from None
        # bad bytes make zipfile and json raise all of these, OSError for a seek to a negative offset
        except (zipfile.BadZipFile, struct.error, EOFError, OSError, OverflowError, RuntimeError, ValueError) as why:
            raise FileFormatError(f"{path!r}: {why}") from why


def _dumps(obj, argument, **options):
    """Return `obj` as strict JSON in ASCII, or raise a ValueError that names the argument."""
    import json

    def check_keys(obj):
        """Refuse the keys that JSON would turn into strings."""
        if isinstance(obj, dict):
            for key, item in obj.items():
                if not isinstance(key, str):
                    raise TypeError(f"the key {key!r} is not a str")
                check_keys(item)
        elif isinstance(obj, (list, tuple)):
            for item in obj:
                check_keys(item)

    try:
        check_keys(obj)
        return json.dumps(obj, allow_nan=False, **options)
    except (TypeError, ValueError, RecursionError) as why:
        raise ValueError(f"{argument} cannot be written as JSON: {why}") from None


def _loads(text):
    """Read strict JSON: no NaN or infinity, no key twice."""
    import json

    def finite(text):
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"its JSON contains {text}, which is not a finite number")
        return value

    def pairs(items):
        if len(dict(items)) < len(items):
            raise ValueError("its JSON contains an object with one key twice")
        return dict(items)

    try:
        return json.loads(text, parse_float=finite, parse_constant=finite, object_pairs_hook=pairs)
    except json.JSONDecodeError as why:
        raise ValueError(f"it is not JSON ({why})") from None
    except UnicodeDecodeError:
        raise ValueError("its JSON is not UTF-8") from None


def _sealed(name, key, content, digest):
    """Return the JSON object that carries `content` under `key`, and the SHA-256 begun in `digest`."""
    digest.update(_dumps(content, key, separators=(",", ":")).encode())
    return {"format": name, "version": VERSION, "sha256": digest.hexdigest(), key: content}


def _unsealed(envelope, name, key, digest):
    """Return what `_sealed` put in, or raise a ValueError."""
    if not isinstance(envelope, dict) or envelope.get("format") != name:
        raise ValueError(f"it is not a {name} file")
    if envelope.get("version") not in _READ:
        raise ValueError(f"it has version {envelope.get('version')!r}; this release reads versions up to {VERSION}")
    if envelope.keys() != {"format", "version", "sha256", key}:
        raise ValueError(f"its JSON must have the keys format, version, sha256 and {key}")
    if envelope["sha256"] != _sealed(name, key, envelope[key], digest)["sha256"]:
        raise ValueError("its SHA-256 does not match its contents")
    return envelope[key]


def _header(dtype, shape):
    """Return the header of a ``.npy`` file (version 1.0) for an array in C order."""
    text = f"{{'descr': '{dtype.newbyteorder('<').str}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"  # the data starts at a multiple of 64
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def save_arrays(path, config, arrays):
    """Write a dictionary and arrays to a new file that replaces `path` in one step (see `replacing`).

    The same content gives the same bytes.

    Parameters
    ----------
    path : path-like
        The file to write; its name is taken as it is.
    config : dict
        What JSON can say: str keys, and values of dict, list, str, bool, None, int and finite float.
    arrays : dict of str to ndarray
        Any shape; bool, integers or floats of at most 64 bits. Names consist of letters, digits,
        ``_``, ``-``, ``.`` and ``/``.

    Raises
    ------
    ValueError
        If a name, a dtype or the config cannot be stored; nothing is written then.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from fastbp.io import load_arrays, save_arrays
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> save_arrays(path, {"layers": 1}, {"dense/w": np.eye(2)})
    >>> load_arrays(path)
    ({'layers': 1}, {'dense/w': array([[1., 0.],
           [0., 1.]])})
    """
    import hashlib
    import zipfile

    if not isinstance(config, dict):
        raise ValueError(f"config is {type(config).__name__}; it must be a dict")
    _dumps(config, "config")
    check_kind("arrays", arrays, Mapping, "a dict of arrays")
    arrays = {name: as_array(f"arrays[{name!r}]", array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name == _CONFIG:
            raise ValueError(f"arrays has the name {name!r}; letters, digits and _ - . / are allowed, not {_CONFIG!r}")
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise ValueError(f"arrays[{name!r}] has dtype {array.dtype}; bool, integers and floats are allowed")

    def write(name, array, digest):
        info = zipfile.ZipInfo(f"{name}.npy")  # carries no time, so the same content gives the same bytes
        info.create_system, info.external_attr = 3, 0o600 << 16
        header = _header(array.dtype, array.shape)
        info.file_size = len(header) + array.nbytes
        data = np.asarray(array, array.dtype.newbyteorder("<"), order="C").reshape(-1).view(np.uint8)
        with archive.open(info, "w") as member:
            digest.update(f"{name}\0".encode() + header)
            member.write(header)
            for start in range(0, data.size, _CHUNK):
                digest.update(data[start : start + _CHUNK])
                member.write(data[start : start + _CHUNK].data)

    digest = hashlib.sha256()
    with replacing(path) as file:
        archive = zipfile.ZipFile(file, "w")
        try:
            for name, array in arrays.items():
                write(name, array, digest)
            text = _dumps(_sealed(FORMAT, "config", config, digest), "config")
            write(_CONFIG, np.frombuffer(text.encode(), np.uint8), hashlib.sha256())
            archive.close()
        except BaseException:
            archive.fp = None  # else it closes itself, with an error of its own in place of Ctrl-C
            raise


def load_arrays(path):
    """Read what `save_arrays` wrote, or refuse the file.

    Nothing in the file is executed, and no more memory is taken than the file is long.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    config : dict
    arrays : dict of str to ndarray
        In the order of the file: new, writable, contiguous arrays in native byte order.

    Raises
    ------
    FileFormatError
        If the file is damaged, truncated, hostile, of another format or of another version; the
        message names the file and the reason.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastbp.io import load_arrays, save_arrays
    >>> path = os.path.join(tempfile.mkdtemp(), "model.npz")
    >>> save_arrays(path, {"epochs": 3}, {})
    >>> load_arrays(path)
    ({'epochs': 3}, {})
    """
    import hashlib
    import zipfile

    digest, arrays = hashlib.sha256(), {}
    with _opened(path) as file, zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if sum(info.file_size for info in members) > os.fstat(file.fileno()).st_size:
            raise ValueError("its members are larger than the file")
        for info in members:
            name = info.filename.removesuffix(".npy")
            if info.orig_filename != f"{name}.npy" or not _NAME.fullmatch(name):
                raise ValueError(f"it has an unexpected member {info.orig_filename!r}")
            if name in arrays:
                raise ValueError(f"it has two members {info.filename!r}")
            if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                raise ValueError(f"its member {info.filename!r} is compressed")
            with archive.open(info) as member:
                arrays[name] = _read(member, info, f"{name}\0", digest if name != _CONFIG else hashlib.sha256())
        text = arrays.pop(_CONFIG, None)
        if text is None or text.dtype != np.uint8 or text.ndim != 1:
            raise ValueError(f"it is not a {FORMAT} file: it has no {_CONFIG} of uint8")
        config = _unsealed(_loads(text.tobytes()), FORMAT, "config", digest)
        if not isinstance(config, dict):
            raise ValueError(f"its config is {type(config).__name__}; it must be an object")
    return config, arrays


def _read(member, info, label, digest):
    """Read one ``.npy`` member into a new array, after its header was compared with its size."""
    prefix = member.read(10)
    text = member.read(int.from_bytes(prefix[8:], "little"))
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ValueError(f"its member {info.filename!r} has no .npy header of bool, integers or floats")
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(length) for length in match[2].split(b",") if length.strip())
    header = _header(dtype, shape)
    if prefix + text != header or len(header) + math.prod(shape) * dtype.itemsize != info.file_size:
        raise ValueError(f"its member {info.filename!r} has a header for {shape} that does not fit its size")
    digest.update(label.encode() + header)
    array = np.empty(shape, dtype)
    data = array.reshape(-1).view(np.uint8)
    for start in range(0, data.size, _CHUNK):
        piece = member.read(min(_CHUNK, data.size - start))
        digest.update(piece)
        data[start : start + len(piece)] = np.frombuffer(piece, np.uint8)
    return array.astype(dtype.newbyteorder("="), copy=False)


def save_json(path, obj):
    """Write an object as JSON to a new file that replaces `path` in one step (see `replacing`).

    Parameters
    ----------
    path : path-like
    obj : dict, list, str, bool, int, float or None
        Every float must be finite.

    Raises
    ------
    ValueError
        If `obj` cannot be written as JSON; nothing is written then.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastbp.io import save_json
    >>> path = os.path.join(tempfile.mkdtemp(), "classes.json")
    >>> save_json(path, {"classes": ["cat", "dog"]})
    """
    text = _dumps(obj, "obj", indent=1)
    with replacing(path) as file:
        file.write(text.encode() + b"\n")


def save_history(path, history):
    """Write the history of a training as JSON, in one step.

    Parameters
    ----------
    path : path-like
    history : dict of str to sequence of float
        One list a quantity, all of one length. Not finite numbers are written as the strings ``"NaN"``, ``"Infinity"``
        and ``"-Infinity"``, for JSON has no numbers for them.

    Raises
    ------
    ValueError
        If `history` is anything else; nothing is written then.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from fastbp.io import load_history, save_history
    >>> path = os.path.join(tempfile.mkdtemp(), "history.json")
    >>> save_history(path, {"loss": [0.5, float("nan")], "accuracy": [0.75, 0.5]})
    >>> load_history(path)
    {'loss': [0.5, nan], 'accuracy': [0.75, 0.5]}
    """
    import hashlib

    if not isinstance(history, dict) or not all(isinstance(name, str) for name in history):
        raise ValueError("history must be a dict of str to lists of float")
    lists = {}
    for name, values in history.items():
        if not isinstance(values, (list, tuple, np.ndarray)) or not all(isinstance(v, numbers.Real) for v in values):
            raise ValueError(f"history[{name!r}] is {values!r}; it must be a list of float")
        lists[name] = [float(value) if math.isfinite(value) else _spelled(value) for value in values]
    if len({len(values) for values in lists.values()}) > 1:
        lengths = {name: len(values) for name, values in lists.items()}
        raise ValueError(f"history has lists of unequal length: {lengths}")
    save_json(path, _sealed(HISTORY_FORMAT, "history", lists, hashlib.sha256()))


def _spelled(value):
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def load_history(path):
    """Read what `save_history` wrote, or refuse the file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict of str to list of float

    Raises
    ------
    FileFormatError
        If the file is damaged, truncated, hostile, of another format or of another version; the
        message names the file and the reason.
    OSError
        If the file cannot be opened.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "history.json")
    >>> save_history(path, {"loss": [0.5, 0.25]})
    >>> load_history(path)
    {'loss': [0.5, 0.25]}
    """
    import hashlib

    with _opened(path) as file:
        history = _unsealed(_loads(file.read()), HISTORY_FORMAT, "history", hashlib.sha256())
        if not isinstance(history, dict) or not all(isinstance(values, list) for values in history.values()):
            raise ValueError("its history must be an object of lists")
        if len({len(values) for values in history.values()}) > 1:
            raise ValueError("its lists are of unequal length")
        return {name: [_decoded(value, name) for value in values] for name, values in history.items()}


def _decoded(value, name):
    if isinstance(value, str) and value in _NON_FINITE:
        return _NON_FINITE[value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"its list {name!r} contains {value!r}, which is not a number")
