"""Files survive interruptions; damaged and hostile ones are refused with a reason."""

import builtins
import contextlib
import copy
import io
import json
import os
import random
import stat
import struct
import zipfile

import numpy as np
import pytest
from _arrays import SEED

import fastbp.io
from fastbp.io import FileFormatError, load_arrays, load_history, save_arrays, save_history, save_json

CONFIG = {"layers": [{"units": 2, "name": "größe"}], "lr": 0.1, "none": None, "big": 2**70, "on": True}
ARRAYS = {"dense_1/w": np.arange(3, dtype=np.float32), "step": np.array(7)}
HISTORY = {"loss": [1.5, float("nan"), float("inf"), float("-inf")], "accuracy": [0.1, 1e-300, 3, 1]}

needs_modes = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


def same(got, want):
    """Whether two results of load_arrays are equal in names, order, dtypes, shapes and bits."""
    return (
        got[0] == want[0]
        and list(got[1]) == list(want[1])
        and all(
            a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
            for a, b in zip(got[1].values(), want[1].values(), strict=True)
        )
    )


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.npz"
    save_arrays(path, CONFIG, ARRAYS)
    return path


def litter(folder):
    return [name for name in os.listdir(folder) if name.startswith(".fastbp-")]


# ------------------------------------------------------------------------------------------ models

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3), (1,) * 32])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back(tmp_path, dtype, shape):
    values = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    save_arrays(tmp_path / "a", {}, {"x": values})
    config, arrays = load_arrays(tmp_path / "a")
    assert same((config, arrays), ({}, {"x": values}))
    assert arrays["x"].flags.writeable and arrays["x"].flags.c_contiguous and arrays["x"].flags.owndata


def test_every_layout_comes_back(tmp_path):
    x = np.array([[np.nan, -0.0, 1], [np.inf, 2, 3]])
    many = {"c": x, "f": np.asfortranarray(x), "strided": x[:, ::-2], "swapped": x.astype(">f8"), "readonly": x.copy()}
    many["long"] = np.zeros(2**18)
    many["readonly"].flags.writeable = False
    save_arrays(tmp_path / "a", CONFIG, many)
    config, arrays = load_arrays(tmp_path / "a")
    native = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("=")) for name, array in many.items()}
    assert same((config, arrays), (CONFIG, native))


def test_numpy_reads_the_file(model):
    with np.load(model, allow_pickle=False) as file:
        assert file.files == ["dense_1/w", "step", "config.json"]
        assert (file["dense_1/w"] == ARRAYS["dense_1/w"]).all() and file["step"] == 7
        envelope = json.loads(file["config.json"].tobytes())
    assert (envelope["format"], envelope["version"], envelope["config"]) == ("fastbp", 2, CONFIG)


def test_same_content_same_bytes(model, tmp_path):
    save_arrays(tmp_path / "again.npz", copy.deepcopy(CONFIG), copy.deepcopy(ARRAYS))
    assert (tmp_path / "again.npz").read_bytes() == model.read_bytes()


def test_path_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("name", b"bytes", tmp_path / "with space.tmp"):
        save_arrays(path, {}, {})
        assert load_arrays(path) == ({}, {})
    assert sorted(os.listdir()) == ["bytes", "name", "with space.tmp"]


@pytest.mark.parametrize(
    ("config", "arrays", "message"),
    [
        ([], {}, "config is list"),
        ({"lr": float("nan")}, {}, "config cannot be written as JSON"),
        ({"lr": np.float32(1)}, {}, "config cannot be written as JSON.*float32"),
        ({"a": [{1: 2}]}, {}, "the key 1 is not a str"),
        ({}, {"../x": np.ones(1)}, "name '../x'"),
        ({}, {"/x": np.ones(1)}, "name '/x'"),
        ({}, {"": np.ones(1)}, "name ''"),
        ({}, {"a//b": np.ones(1)}, "name 'a//b'"),
        ({}, {1: np.ones(1)}, "name 1"),
        ({}, {"config.json": np.ones(1)}, "name 'config.json'"),
        ({}, {"x": np.array([None])}, "dtype object"),
        ({}, {"x": np.array("text")}, "dtype <U4"),
        ({}, {"x": np.ones(1, complex)}, "dtype complex128"),
        ({}, {"x": np.ones(1, [("a", "f4")])}, "dtype"),
        ({}, {"x": np.ones(1, "M8[s]")}, "dtype"),
    ],
)
def test_what_cannot_be_stored_leaves_the_old_file(model, config, arrays, message):
    before = model.read_bytes()
    with pytest.raises(ValueError, match=message):
        save_arrays(model, config, arrays)
    assert model.read_bytes() == before and os.listdir(model.parent) == [model.name]


def test_endless_config_is_refused(tmp_path):
    config = {}
    config["itself"] = config
    with pytest.raises(ValueError, match="config cannot be written"):
        save_arrays(tmp_path / "a", config, {})
    assert not os.listdir(tmp_path)


# ------------------------------------------------------------------------------------------ damage


def test_truncated_at_every_byte(model, tmp_path):
    data, path = model.read_bytes(), tmp_path / "cut"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError, match="cut"):
            load_arrays(path)


def flip(path, bit):
    """Yield the number of each byte of a file while that bit of it is flipped."""
    with open(path, "r+b", buffering=0) as file:
        for at, byte in enumerate(path.read_bytes()):
            for value in (byte ^ 1 << bit, byte):
                file.seek(at)
                file.write(bytes([value]))
                if value != byte:
                    yield at


@pytest.mark.parametrize("bit", range(8))
def test_every_bit_flipped(model, bit):
    want, size = load_arrays(model), model.stat().st_size
    refused = 0
    for at in flip(model, bit):
        try:
            assert same(load_arrays(model), want), at
        except FileFormatError:
            refused += 1
    # what is left are times, attributes and the headers' copies of the directory
    assert refused > 0.75 * size
    assert same(load_arrays(model), want)


def damaged_bytes(data, rng):
    """Return bytes with some of them replaced, and now and then a piece cut out or everything after it."""
    damaged = bytearray(data)
    for _ in range(rng.randrange(1, 20)):
        damaged[rng.randrange(len(data))] = rng.randrange(256)
    if rng.random() < 0.3:
        cut = rng.randrange(len(data))
        damaged = damaged[:cut] + (b"" if rng.random() < 0.2 else damaged[cut + rng.randrange(1, 40) :])
    return bytes(damaged)


def test_random_damage(model, tmp_path):
    want, data, path = load_arrays(model), model.read_bytes(), tmp_path / "random"
    rng = random.Random(SEED)
    for _ in range(1000):
        path.write_bytes(damaged_bytes(data, rng))
        with contextlib.suppress(FileFormatError):
            assert same(load_arrays(path), want)


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


def header(descr="'<f4'", order="False", shape="(3,)"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def rewrite(model, path, changes=(), **options):
    """Copy a model's members to a new zip; `changes` maps member names to other bytes, or None to leave it out."""
    with zipfile.ZipFile(model) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members.update(changes)
    with zipfile.ZipFile(path, "w", **options) as new:
        for name, data in members.items():
            if data is not None:
                new.writestr(name, data)


CONFIG_MEMBER = "config.json.npy"


def envelope(model, **changes):
    """Return the config.json member with other values in its outer object."""
    with np.load(model) as file:
        content = {**json.loads(file["config.json"].tobytes()), **changes}
    return text_member(json.dumps(content))


def text_member(text):
    return npy(np.frombuffer(text.encode(), np.uint8))


def test_renamed_and_reordered_members(model, tmp_path):
    with zipfile.ZipFile(model) as old:
        step = old.read("step.npy")
    rewrite(model, tmp_path / "renamed", {"step.npy": None, "steps.npy": step})
    with zipfile.ZipFile(model) as old, zipfile.ZipFile(tmp_path / "reordered", "w") as new:
        for name in reversed(old.namelist()):
            new.writestr(name, old.read(name))
    for name in ("renamed", "reordered"):
        with pytest.raises(FileFormatError, match="SHA-256"):
            load_arrays(tmp_path / name)


def test_a_copied_zip_is_still_read(model, tmp_path):
    rewrite(model, tmp_path / "copy")
    assert same(load_arrays(tmp_path / "copy"), (CONFIG, ARRAYS))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("../evil.npy", npy(1.0), "unexpected member '../evil.npy'"),
        ("/etc/evil.npy", npy(1.0), "unexpected member"),
        ("a/../../evil.npy", npy(1.0), "unexpected member"),
        (".hidden.npy", npy(1.0), "unexpected member"),
        ("C:\\evil.npy", npy(1.0), "unexpected member"),
        ("evil.txt", b"text", "unexpected member 'evil.txt'"),
        ("folder/", b"", "unexpected member 'folder/'"),
        (".npy", npy(1.0), "unexpected member"),
        ("extra.npy", npy(1.0), "SHA-256"),
        ("step.npy", npy(8), "SHA-256"),
        ("step.npy", None, "SHA-256"),
        (CONFIG_MEMBER, None, "no config.json"),
        (CONFIG_MEMBER, npy(np.zeros((2, 2), np.uint8)), "no config.json of uint8"),
        (CONFIG_MEMBER, npy(np.zeros(3)), "no config.json of uint8"),
        ("step.npy", b"", "no .npy header"),
        ("step.npy", b"\x93NUMPY", "no .npy header"),
        ("step.npy", b"garbage" * 20, "no .npy header"),
        ("step.npy", npy(np.array(7, object), allow_pickle=True), "no .npy header"),
        ("step.npy", npy(np.array("text")), "no .npy header"),
        ("step.npy", npy(np.zeros(1, [("a", "f4")])), "no .npy header"),
        ("step.npy", npy(np.array(7), version=(2, 0)), "header"),
        ("step.npy", npy(np.asfortranarray(np.eye(2))), "no .npy header"),
        ("step.npy", header(descr="'|O'") + bytes(8), "no .npy header"),
        ("step.npy", header(descr="'>f4'") + bytes(12), "no .npy header"),
        ("step.npy", header(descr="'<f1'") + bytes(3), "no .npy header"),
        ("step.npy", header(descr="'<u1'") + bytes(3), "no .npy header"),
        ("step.npy", header(descr="__import__('os')"), "no .npy header"),
        ("step.npy", header() + bytes(11), "does not fit its size"),
        ("step.npy", header() + bytes(13), "does not fit its size"),
        ("step.npy", header(shape="(3, )") + bytes(12), "does not fit its size"),
        ("step.npy", header(shape="(99999999999999,)") + bytes(12), "does not fit its size"),
        ("step.npy", header(shape="(4611686018427387904, 4, )") + bytes(12), "does not fit its size"),
        ("step.npy", header(shape="(0, 99999999999999999999999)"), "."),
        ("step.npy", header(shape=f"({'9' * 5000},)"), "."),
        ("step.npy", header(shape=f"({'1, ' * 99}1)") + bytes(4), "."),
        ("step.npy", header(shape="(-3,)") + bytes(12), "no .npy header"),
        ("step.npy", header(shape="(" * 200 + ")" * 200), "no .npy header"),
    ],
)
def test_hostile_members(model, tmp_path, name, data, message):
    rewrite(model, tmp_path / "bad", {name: data})
    with pytest.raises(FileFormatError, match="bad.*" + message):
        load_arrays(tmp_path / "bad")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"a": 1, "a": 1}', "one key twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": NaN}', "NaN, which is not a finite number"),
        ('{"a": -Infinity}', "-Infinity, which"),
        ('{"a": 1e999}', "1e999, which"),
        ("1" * 5000, "."),
        ("[]", "not a fastbp file"),
        ("null", "not a fastbp file"),
        ('{"format": "other"}', "not a fastbp file"),
        ('{"format": "fastbp"}', "version None"),
        ('{"format": "fastbp", "version": 1}', "must have the keys"),
        ('{"format": "fastbp", "version": 1, "sha256": 1, "config": {}}', "SHA-256"),
    ],
)
def test_bad_json(model, tmp_path, text, message):
    rewrite(model, tmp_path / "bad", {CONFIG_MEMBER: text_member(text)})
    with pytest.raises(FileFormatError, match="bad.*" + message):
        load_arrays(tmp_path / "bad")


def test_json_that_is_not_utf8(model, tmp_path):
    rewrite(model, tmp_path / "bad", {CONFIG_MEMBER: npy(np.full(9, 0xFF, np.uint8))})
    with pytest.raises(FileFormatError, match="not UTF-8"):
        load_arrays(tmp_path / "bad")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "fastbp history"}, "not a fastbp file"),
        ({"version": 3}, "has version 3; this release reads versions up to 2"),
        ({"version": "1"}, "has version '1'"),
        ({"version": None}, "has version None"),
        ({"sha256": "0" * 64}, "SHA-256"),
        ({"config": {**CONFIG, "lr": 0.2}}, "SHA-256"),
        ({"config": []}, "SHA-256"),
        ({"surplus": 1}, "must have the keys"),
    ],
)
def test_changed_envelope(model, tmp_path, changes, message):
    rewrite(model, tmp_path / "bad", {CONFIG_MEMBER: envelope(model, **changes)})
    with pytest.raises(FileFormatError, match=message):
        load_arrays(tmp_path / "bad")


def test_a_config_that_is_no_object(tmp_path, monkeypatch):
    import hashlib

    path = tmp_path / "bad"
    digest = hashlib.sha256(b"[]").hexdigest()
    text = json.dumps({"format": "fastbp", "version": 1, "sha256": digest, "config": []})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(CONFIG_MEMBER, text_member(text))
    with pytest.raises(FileFormatError, match="config is list"):
        load_arrays(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_members_are_not_unpacked(model, tmp_path, method):
    bomb = header(descr="'|u1'", shape="(10000000,)") + bytes(10**7)
    rewrite(model, tmp_path / "bomb", {"bomb.npy": bomb}, compression=method, compresslevel=1)
    assert (tmp_path / "bomb").stat().st_size < 10**5
    with pytest.raises(FileFormatError, match=r"compressed|larger than the file"):
        load_arrays(tmp_path / "bomb")
    rewrite(model, tmp_path / "small", compression=method)
    with pytest.raises(FileFormatError, match=r"compressed|larger than the file"):
        load_arrays(tmp_path / "small")


def test_duplicate_members(model, tmp_path):
    rewrite(model, tmp_path / "bad")
    with zipfile.ZipFile(tmp_path / "bad", "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("step.npy", npy(7))
    with pytest.raises(FileFormatError, match=r"two members 'step.npy'"):
        load_arrays(tmp_path / "bad")


def test_members_inside_members(tmp_path):
    """Members that share their bytes would multiply the size of the file in memory."""
    path = tmp_path / "bad"
    directory, inner = b"", b""
    for depth in range(10):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(f"m{depth}.npy", npy(np.frombuffer(inner or bytes(1000), np.uint8)))
            start = file.start_dir
        data = path.read_bytes()
        directory += data[start:-22]
        inner = data[:start]
    # each local header lies within the data of the next member: only now is it known where
    at, entries = 0, b""
    for entry in directory.split(b"PK\1\2")[1:]:
        name = entry[42:]
        at = next(i for i in range(len(inner)) if inner.startswith(b"PK\3\4", i) and inner[i + 30 :].startswith(name))
        entries += b"PK\1\2" + entry[:38] + struct.pack("<L", at) + entry[42:]
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 10, 10, len(entries), len(inner), 0)
    path.write_bytes(inner + entries + tail)
    with zipfile.ZipFile(path) as file:
        assert len(file.namelist()) == 10
    with pytest.raises(FileFormatError, match="larger than the file"):
        load_arrays(path)


def test_encrypted_members(model, tmp_path):
    data = bytearray(model.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(signature) + offset] |= 1
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(FileFormatError, match="encrypted"):
        load_arrays(tmp_path / "bad")


def test_name_with_a_zero_byte(model, tmp_path):
    (tmp_path / "bad").write_bytes(model.read_bytes().replace(b"step.npy", b"st\0p.npy"))
    with pytest.raises(FileFormatError, match="bad"):
        load_arrays(tmp_path / "bad")


def test_files_of_others(tmp_path):
    path = tmp_path / "bad"
    for write in (
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(b"\x80\x04\x95pickle"),
        lambda: path.write_text("{}"),
        lambda: np.savez(tmp_path / "other.npz", x=np.ones(3)) or os.replace(tmp_path / "other.npz", path),
        lambda: zipfile.ZipFile(path, "w").close(),
    ):
        write()
        with pytest.raises(FileFormatError, match="bad"):
            load_arrays(path)


@pytest.mark.parametrize("load", [load_arrays, load_history])
def test_what_is_no_file(load, tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing")
    with pytest.raises(FileFormatError, match="not a regular file"):
        load(tmp_path)
    if os.path.exists("/dev/zero"):
        with pytest.raises(FileFormatError, match="not a regular file"):
            load("/dev/zero")


# ----------------------------------------------------------------------------------- interruptions


class Interrupted(BaseException):
    """Not an Exception, as KeyboardInterrupt."""


def interrupt(monkeypatch, owner, name, at):
    """Let the call number `at` of a function raise; return the list of its calls."""
    calls, function = [], getattr(owner, name)

    def wrapped(*args, **kwargs):
        calls.append(args)
        if len(calls) == at:
            raise Interrupted
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)
    return calls


WRITERS = {
    "model": lambda path: save_arrays(path, CONFIG, ARRAYS),
    "history": lambda path: save_history(path, HISTORY),
    "json": lambda path: save_json(path, {"a": 1}),
}


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["replace", "fsync", "chmod", "open", "close"])
def test_interrupted_system_call(tmp_path, monkeypatch, writer, name, existing):
    path = tmp_path / "file"
    WRITERS[writer](path)
    new = path.read_bytes()
    for at in range(1, 10):
        path.unlink()
        if existing:
            path.write_bytes(b"old")
        with monkeypatch.context() as patch:
            calls = interrupt(patch, os, name, at)
            if name == "open":  # the one that opens the temporary file
                interrupt(patch, builtins, name, at)
            try:
                WRITERS[writer](path)
                interrupted = False
            except Interrupted:
                interrupted = True
        assert not litter(tmp_path)
        left = path.read_bytes() if path.exists() else None
        assert left in (b"old" if existing else None, new)
        if not interrupted:
            assert left == new and len(calls) < at
            return
        if left is None:
            path.write_bytes(b"")
    raise AssertionError("never ran to the end")


@pytest.mark.parametrize("error", [Interrupted, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("writer", WRITERS)
def test_interrupted_at_every_write(tmp_path, monkeypatch, writer, error):
    path = tmp_path / "file"
    real = builtins.open
    done = False

    class Failing(io.FileIO):
        """A file on which the write number `at` and all later ones fail, as on a full disk."""

        left = 0

        def write(self, data):
            Failing.left -= 1
            if Failing.left < 0:
                super().write(bytes(data)[: len(data) // 2])
                raise error("no space left")
            return super().write(data)

    def opened(file, mode="r", *args, **kwargs):
        return Failing(file, mode) if "x" in mode else real(file, mode, *args, **kwargs)

    for at in range(100):
        path.write_bytes(b"old")
        Failing.left = at
        with monkeypatch.context() as patch:
            patch.setattr(builtins, "open", opened)
            try:
                WRITERS[writer](path)
                done = True
            except error:
                pass
        assert not litter(tmp_path)
        if done:
            assert path.read_bytes() != b"old" and at > 0
            return
        assert path.read_bytes() == b"old"
    raise AssertionError("never ran to the end")


@pytest.mark.skipif(os.name != "posix", reason="directories can be synced")
@pytest.mark.parametrize("writer", WRITERS)
def test_all_is_on_the_disk_before_the_old_file_goes(tmp_path, monkeypatch, writer):
    path, events = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        fsync(descriptor)
        state = os.fstat(descriptor)
        events.append("directory" if stat.S_ISDIR(state.st_mode) else state.st_size)

    def noted_replace(*names):
        replace(*names)
        events.append("replace")

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    WRITERS[writer](path)
    assert events == [path.stat().st_size, "replace", "directory"]


def test_a_directory_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError("not supported")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    save_json(tmp_path / "a", 1)
    assert (tmp_path / "a").read_text() == "1\n"


# ------------------------------------------------------------------------------- places and modes


@needs_modes
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_permissions_of_new_and_old_files(tmp_path, mask):
    before = os.umask(mask)
    try:
        save_json(tmp_path / "new", 1)
        (tmp_path / "old").touch()
        (tmp_path / "old").chmod(0o640)
        save_json(tmp_path / "old", 1)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o640


@needs_modes
def test_a_read_only_file_stays(tmp_path, monkeypatch):
    path = tmp_path / "old"
    path.write_text("old")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everything
    with pytest.raises(PermissionError, match="read-only"):
        save_json(path, 1)
    assert path.read_text() == "old"


@needs_modes
def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for value in (1, 2):
        save_json(tmp_path / "link", value)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "file").read_text() == f"{value}\n"


@pytest.mark.parametrize("writer", WRITERS)
def test_places_that_take_no_file(tmp_path, writer):
    with pytest.raises(FileNotFoundError, match=r"no such directory.*missing"):
        WRITERS[writer](tmp_path / "missing" / "file")
    with pytest.raises(ValueError, match="not a regular file"):
        WRITERS[writer](tmp_path)
    if os.path.exists("/dev/null"):
        with pytest.raises(ValueError, match="'/dev/null', which is not a regular file"):
            WRITERS[writer]("/dev/null")
    assert not os.listdir(tmp_path)


# --------------------------------------------------------------------------------------- histories


def test_history_comes_back(tmp_path):
    path = tmp_path / "history.json"
    save_history(path, HISTORY)
    got = load_history(path)
    assert repr(got) == repr({name: [float(value) for value in values] for name, values in HISTORY.items()})
    content = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert content["history"]["loss"] == [1.5, "NaN", "Infinity", "-Infinity"]


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"loss": np.float32([0.5])}, {"loss": (1, np.int64(2), True)}])
def test_histories_of_any_numbers(tmp_path, history):
    save_history(tmp_path / "a", history)
    assert load_history(tmp_path / "a") == {name: list(map(float, values)) for name, values in history.items()}


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([], "must be a dict"),
        ({1: [1.0]}, "must be a dict of str"),
        ({"loss": 1.0}, r"history\['loss'\] is 1.0"),
        ({"loss": "123"}, r"history\['loss'\] is '123'"),
        ({"loss": ["1"]}, r"history\['loss'\]"),
        ({"loss": [[1.0]]}, r"history\['loss'\]"),
        ({"loss": [1j]}, r"history\['loss'\]"),
        ({"loss": [1.0], "accuracy": [1.0, 2.0]}, "unequal length"),
    ],
)
def test_bad_histories_leave_the_old_file(tmp_path, history, message):
    path = tmp_path / "history.json"
    save_history(path, HISTORY)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message):
        save_history(path, history)
    assert path.read_bytes() == before


def test_damaged_history(tmp_path):
    path = tmp_path / "history.json"
    save_history(path, HISTORY)
    want, data = repr(load_history(path)), path.read_bytes()
    for length in range(len(data.rstrip())):
        path.write_bytes(data[:length])
        with pytest.raises(FileFormatError, match=r"history\.json"):
            load_history(path)
    path.write_bytes(data)
    for bit in range(8):
        for at in flip(path, bit):
            with contextlib.suppress(FileFormatError):
                assert repr(load_history(path)) == want, at


def sealed(history):
    """Return a history file with a right checksum, whatever it holds."""
    import hashlib

    digest = hashlib.sha256(json.dumps(history, separators=(",", ":")).encode()).hexdigest()
    return json.dumps({"format": "fastbp history", "version": 1, "sha256": digest, "history": history})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 10**6, "nested too deeply"),
        ('{"a":' * 10**5, "nested too deeply"),
        ("{}", "not a fastbp history file"),
        ('{"format": "fastbp", "version": 1}', "not a fastbp history file"),
        ('{"format": "fastbp history", "version": 9}', "version 9"),
        (sealed([]), "object of lists"),
        (sealed({"loss": 1}), "object of lists"),
        (sealed({"loss": [1], "accuracy": []}), "unequal length"),
        (sealed({"loss": [[1]]}), "contains"),
        (sealed({"loss": [None]}), "contains None"),
        (sealed({"loss": [True]}), "contains True"),
        (sealed({"loss": ["nan"]}), "contains 'nan'"),
        (sealed({"loss": [10**400]}), "too large"),
        (sealed({"loss": [1]}).replace("[1]", "[NaN]"), "NaN, which is not a finite number"),
    ],
)
def test_hostile_history(tmp_path, text, message):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(FileFormatError, match="bad.json.*" + message):
        load_history(tmp_path / "bad.json")


def test_json_says_why(tmp_path):
    for bad in (float("nan"), {1, 2}, {1: 2}, b"bytes"):
        with pytest.raises(ValueError, match="obj cannot be written as JSON"):
            save_json(tmp_path / "a", bad)
    assert not os.listdir(tmp_path)


def test_nothing_here_can_run_a_pickle():
    with open(fastbp.io.__file__, encoding="utf-8") as file:
        assert "import pickle" not in file.read()


def test_an_interrupted_write_raises_what_interrupted_it(tmp_path, monkeypatch):
    """And not what the half-written archive makes of it; the old file stays."""
    path = tmp_path / "m.npz"
    save_arrays(path, {}, {"a": np.zeros(3)})
    before = path.read_bytes()

    class Interrupted:
        def __init__(self, member):
            raise KeyboardInterrupt

    monkeypatch.setattr("zipfile._ZipWriteFile", lambda *args: Interrupted(args))
    with pytest.raises(KeyboardInterrupt):
        save_arrays(path, {}, {"a": np.ones(3)})
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m.npz"]


def test_a_subclass_of_models_is_said_to_be_none_in_a_file(tmp_path):
    class Mine(fastbp.Sequential):
        pass

    model = Mine([fastbp.Dense(1)], input_shape=2)
    with pytest.warns(UserWarning, match="the file holds a Sequential, .* what Mine adds is not in it"):
        model.save(tmp_path / "m.npz")
    assert type(fastbp.load_model(tmp_path / "m.npz")) is fastbp.Sequential
