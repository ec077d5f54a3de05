"""The digits and the split are the same everywhere."""

import hashlib
from importlib.resources import files

import numpy as np
import pytest

from fastbp.datasets import load_digits, train_test_split

DIGITS = "ae588ca009782c75b562002379a6fbba9c29fb60a403ae26522407f0af4022ae"
FILE = "f10b077e7e3037d11006b85b6b71a63e15b2bf746d91c4e4122e42d304e5e54b"
SPLIT = "4e0a606e731af808d60bbbefa5f03f40b880429e56ae86f773d8cf96a810c9f3"


def sha256(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def test_digits_are_the_published_ones():
    x, y = load_digits()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((1797, 64), np.float32, (1797,), np.int64)
    assert (x.min(), x.max()) == (0, 1)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # the first line of the source, optdigits.tes
    source = (
        "0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,"
        "0,5,8,0,0,9,8,0,0,4,11,0,1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,0,0,0"
    )
    assert (x[0] * 16).tolist() == [int(value) for value in source.split(",")]
    assert sha256((x * 16).astype(np.uint8), y.astype(np.uint8)) == DIGITS


def test_digits_are_copies():
    x, y = load_digits()
    x[:] = y[:] = 0
    assert load_digits()[0].any() and load_digits()[1].any()


def test_data_file_holds_numbers_only_and_names_its_source():
    folder = files("fastbp.datasets")
    assert hashlib.sha256(folder.joinpath("digits.npz").read_bytes()).hexdigest() == FILE
    text = folder.joinpath("digits.txt").read_text(encoding="utf-8")
    for word in ("Alpaydin", "Kaynak", "UCI", "CC BY 4.0"):
        assert word in text


def test_split_of_the_digits_is_pinned():
    parts = load_digits(split=True)
    assert [len(part) for part in parts] == [1438, 359, 1438, 359]
    assert sha256(*parts) == SPLIT
    assert [part.dtype for part in parts] == [np.float32, np.float32, np.int64, np.int64]


@pytest.mark.parametrize("test_size", [0.01, 0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
def test_split_is_a_stratified_partition(test_size, seed):
    y = np.repeat([3, 5, 9, 11], [1, 2, 50, 101])
    rows = np.arange(len(y))
    train, test, y_train, y_test = train_test_split(rows, y, test_size, seed)
    assert sorted([*train, *test]) == rows.tolist()
    assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()
    assert (y[train] == y_train).all() and (y[test] == y_test).all()
    for label, count in zip(*np.unique(y, return_counts=True), strict=True):
        expected = min(max(1, int(count * test_size + 0.5)), count - 1)
        assert (y_test == label).sum() == expected


def test_split_depends_on_the_seed_and_not_on_the_labels_type():
    x, y = np.arange(60), np.arange(60) % 3
    first = train_test_split(x, y)[1]
    assert (first == train_test_split(x, np.array(["a", "b", "c"])[y])[1]).all()
    assert (first != train_test_split(x, y, seed=1)[1]).any()


def test_split_by_the_written_rule():
    def splitmix64(state):
        z = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return z ^ z >> 31

    assert splitmix64(0) == 0xE220A8397B1DCDAF  # the generator's first number from seed 0
    keys = [splitmix64((splitmix64(2**64 - 1) + i) % 2**64) for i in range(100)]
    test = sorted(sorted(range(100), key=keys.__getitem__)[:20])
    assert train_test_split(np.arange(100), np.zeros(100), seed=2**64 - 1)[1].tolist() == test


def test_split_without_classes():
    x_train, x_test, y_train, y_test = train_test_split(np.arange(10.0), np.arange(20.0).reshape(10, 2), stratify=False)
    assert (len(x_train), len(x_test), y_train.shape, y_test.shape) == (8, 2, (8, 2), (2, 2))


@pytest.mark.parametrize("test_size", [0.1, 0.2, 0.5])
@pytest.mark.parametrize("kind", ["fractions", "rounded", "counts", "columns", "two rows each", "missing"])
def test_split_of_numbers_has_the_share_that_was_asked_for(kind, test_size):
    rng = np.random.default_rng(0)
    y = {
        "fractions": rng.normal(size=400),
        "rounded": rng.normal(20, 8, size=400).round(1),
        "counts": rng.integers(200, size=400),
        "columns": rng.integers(2, size=(400, 2)),
        "two rows each": np.repeat(np.arange(200.0), 2),
        "missing": np.where(rng.random(400) < 0.1, np.nan, 1.0),
    }[kind]
    train, test, _, y_test = train_test_split(np.arange(400), y, test_size)
    assert (len(train), len(test)) == (400 - 400 * test_size, 400 * test_size)
    np.testing.assert_array_equal(y[test], y_test)
    np.testing.assert_array_equal(test, train_test_split(np.arange(400), y, test_size, stratify=False)[1])


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "<U3", "object"])
def test_split_of_whole_numbers_and_text_is_stratified(dtype):
    y = np.repeat([0, 1], [90, 10]).astype(dtype)
    y_test = train_test_split(np.arange(100), y)[3]
    assert len(y_test) == 20 and (y_test == y[-1]).sum() == 2
    # also where numbers are few and must be told to be classes
    assert len(train_test_split(np.arange(6), [0, 0, 1, 1, 2, 2], stratify=True)[1]) == 3
    assert len(train_test_split(np.arange(6), [0, 0, 1, 1, 2, 2])[1]) == 1


def test_split_refuses_masked_entries():
    masked = np.ma.masked_array([0, 1, 0, 1], mask=[False, True, False, False])
    with pytest.raises(TypeError, match="y has masked entries"):
        train_test_split(np.arange(4), masked)
    with pytest.raises(TypeError, match="x has masked entries"):
        train_test_split(masked, np.arange(4))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], [1]), ValueError, "equally many rows"),
        ((1, 1), ValueError, "equally many rows"),
        (([1, 1], [1, 1], 0), ValueError, "test_size is 0"),
        (([1, 1], [1, 1], 1), ValueError, "test_size is 1"),
        (([1, 1], [1, 1], float("nan")), ValueError, "test_size is nan"),
        (([1, 1], [1, 1], 0.2, -1), ValueError, "seed is -1"),
        (([1, 1], [1, 1], 0.2, 2**64), ValueError, "seed is 18446744073709551616"),
        (([1, 1], [1, 1], 0.2, 0.5), TypeError, "integer"),
        (([1, 1], [1, 1], "a"), TypeError, "test_size is 'a'; it must be a number"),
        (([1, 2], [[1], [2]], 0.5, 0, True), ValueError, "to stratify it must be .n,., stratify=False takes any"),
        (([1, 2], [1, 2], 0.5, 0, True), ValueError, "no class with two of them .stratify=False needs none"),
        (([1, 2], [1, 1.5], 0.5, 0, True), ValueError, r"y\[1\] is 1.5; classes must be whole.*stratify=False"),
        (([1, 2], [1, float("nan")], 0.5, 0, True), ValueError, r"y\[1\] is nan; classes must be whole"),
        (([1, 2], [1, 1], 0.5, 0, "yes"), ValueError, "stratify is 'yes'; it must be True, False or 'auto'"),
        (([], []), ValueError, "nothing to divide"),
        (([1], [1], 0.2, 0, False), ValueError, "nothing to divide"),
    ],
)
def test_split_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        train_test_split(*arguments)
