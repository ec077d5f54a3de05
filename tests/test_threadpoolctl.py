"""threadpoolctl, where it is installed, lists fastbp's pool of threads and limits it."""

import ctypes
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from _arrays import assert_same_bits

import fastbp
from fastbp.kernels import pool


@pytest.fixture
def threadpoolctl():
    """Return the library; set three threads meanwhile."""
    if os.name == "nt":
        pytest.skip("there is no pool of threads")
    library = pytest.importorskip("threadpoolctl", minversion="3.3")
    before = fastbp.set_num_threads(3)
    yield library
    fastbp.set_num_threads(before)


def own(library):
    """Return the entry of fastbp in the listing."""
    (found,) = (info for info in library.threadpool_info() if info["user_api"] == "fastbp")
    return found


def test_the_listing_has_the_pool(threadpoolctl):
    found = own(threadpoolctl)
    assert found["num_threads"] == 3 and found["internal_api"] == "fastbp"
    assert found["version"] == fastbp.__version__
    assert found["filepath"].endswith(os.path.basename(pool.__file__))


def test_limits_hold_inside_and_end_outside(threadpoolctl):
    for limits, inside in ((1, 1), (2, 2), (0, 1), (10**6, 256), ({"fastbp": 2}, 2), ({"blas": 1}, 3), (None, 3)):
        with threadpoolctl.threadpool_limits(limits):
            assert fastbp.get_num_threads() == own(threadpoolctl)["num_threads"] == inside
            with threadpoolctl.threadpool_limits(5, user_api="fastbp"):
                assert fastbp.get_num_threads() == 5
            with threadpoolctl.threadpool_limits(4, user_api="blas"):
                assert fastbp.get_num_threads() == inside
            assert fastbp.get_num_threads() == inside
        assert fastbp.get_num_threads() == 3
    with pytest.raises(KeyError), threadpoolctl.threadpool_limits(1):
        fastbp.set_num_threads(7)
        raise KeyError
    assert fastbp.get_num_threads() == 3


def test_a_fit_under_a_limit_has_the_same_bits(threadpoolctl):
    x, y = np.random.default_rng(0).standard_normal((64, 300)), np.arange(64) % 10
    found = []
    for limits in (None, 1, 2):
        model = fastbp.Sequential([fastbp.Dense(400, activation="relu"), fastbp.Dense(10)], seed=1)
        model.compile("adam", "sparse_categorical_crossentropy", numerics="portable")
        with threadpoolctl.threadpool_limits(limits):
            model.fit(x, y, epochs=3, seed=0, verbose=0)
        found.append(model.get_weights())
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_same_bits(b, a)


def test_a_library_with_a_name_like_ours_is_not_taken(threadpoolctl, tmp_path):
    ours = os.path.basename(pool.__file__)
    other = shutil.copy(fastbp.kernels.primitives.__file__, tmp_path / ours)
    library = ctypes.CDLL(str(other))
    assert not hasattr(library, "fastbp_get_num_threads")
    assert own(threadpoolctl)["filepath"] != str(other)


@pytest.mark.parametrize("names", ["fastbp, threadpoolctl", "threadpoolctl, fastbp"])
def test_the_order_of_imports_is_free(threadpoolctl, names):
    code = (
        f"import {names}\n"
        "fastbp.set_num_threads(3)\n"
        "with threadpoolctl.threadpool_limits(2): print(fastbp.get_num_threads())\n"
        "print(fastbp.get_num_threads())"
    )
    assert run(code).split() == ["2", "3"]


def test_nobody_needs_it():
    """Nothing happens where it is not installed, or where it is too old to tell our library from others."""
    assert run("import sys; sys.modules['threadpoolctl'] = None; import fastbp; print('imported')") == "imported"
    old = "old = sys.modules['threadpoolctl'] = type(sys)('threadpoolctl'); old.__version__ = '3.2.0'"
    assert run(f"import sys; {old}; import fastbp; print('imported')") == "imported"


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
