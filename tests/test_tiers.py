"""What the short suite leaves out, and which skips fail a run."""

import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from _skips import ALLOWED
from conftest import ordered

import fastbp

HERE = os.path.dirname(os.path.abspath(__file__))
MATRIX = """
import pytest

@pytest.mark.matrix("dtype")
@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("backend", ["numba", "cython"])
def test_cell(name, dtype, backend):
    print("cell", name, backend)

@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_no_matrix(dtype):
    print("all", dtype)
"""
SKIPS = """
import pytest

def test_here():
    pass

def test_unlisted():
    pytest.skip("a reason")

@pytest.mark.xfail(reason="no skip", strict=True)
def test_expected_to_fail():
    assert False
"""


def run_pytest(folder, source, *options):
    """Run a test module with this folder's hooks; return what pytest prints."""
    (folder / "test_made_up.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "-s", *options, str(folder)]
    # where this very fastbp lies, as the test runs elsewhere
    path = os.pathsep.join([HERE, os.path.dirname(os.path.dirname(os.path.abspath(fastbp.__file__)))])
    return subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)


def test_the_short_suite_has_each_name_with_each_backend_once(tmp_path):
    short = run_pytest(tmp_path, MATRIX, "-m", "not slow").stdout
    assert sorted(re.findall(r"cell \w+ \w+", short)) == sorted(
        f"cell {name} {backend}" for name in "ab" for backend in ("cython", "numba")
    )
    assert "all f4" in short and "all f8" in short
    assert run_pytest(tmp_path, MATRIX).stdout.count("cell") == 8


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_each_worker_begins_with_tests_that_take_long(workers):
    item = namedtuple("item", "path name")
    items = [item(Path(f"test_{'abcd'[k % 4]}.py"), k) for k in range(40)]
    for modules in ("", "d", "bd", "abcd"):
        long = {i for i in items if i.path.stem[-1] in modules}
        found = ordered(items, long, workers)
        assert sorted(found) == sorted(items)
        begin, shares = 0, []
        for k in range(workers):  # as xdist divides them
            shares.append(found[begin : begin + (40 - begin) // (workers - k)])
            begin += len(shares[-1])
        firsts = [share[0] for share in shares]
        assert len(long.intersection(firsts)) == min(len(modules), workers)
        # a module's stay together, as do its fixtures; the others keep their order
        for module in modules:
            places = [k for k, i in enumerate(found) if i.path.stem[-1] == module]
            assert places == list(range(places[0], places[0] + 10))
        assert [i for i in found if i not in long] == [i for i in items if i not in long]


def test_the_longest_come_first(tmp_path):
    (tmp_path / "test_clone.py").write_text("import pytest\n@pytest.mark.slow\ndef test_a(): print('<longest>')\n")
    source = MATRIX + "@pytest.mark.slow\ndef test_b(): print('<long>')\n"
    found = re.findall(r"cell|<\w+>", run_pytest(tmp_path, source).stdout)
    assert found[:2] == ["<longest>", "<long>"] and found[2:] == ["cell"] * 8
    assert not re.findall(r"<\w+>", run_pytest(tmp_path, source, "-m", "not slow").stdout)


def test_a_skip_that_is_not_listed_is_a_failure(tmp_path):
    done = run_pytest(tmp_path, SKIPS)
    assert done.returncode == 0 and "1 passed, 1 skipped, 1 xfailed" in done.stdout
    done = run_pytest(tmp_path, SKIPS, "--no-skips")
    assert done.returncode == 1 and "1 failed, 1 passed, 1 xfailed" in done.stdout
    assert "skipped, and not on the list of tests/_skips.py: a reason" in done.stdout
    done = run_pytest(tmp_path, "import pytest\npytest.importorskip('no_such_module')\n", "--no-skips")
    assert done.returncode and "no_such_module" in done.stdout and "1 error" in done.stdout


def test_a_listed_skip_passes(tmp_path):
    name, reason, why = ALLOWED[0]
    test = name.partition("::")[2].partition("[")[0]
    source = f"import pytest\ndef {test}():\n    pytest.skip({reason!r})\n"
    (tmp_path / "test_cli.py").write_text(source)
    done = run_pytest(tmp_path, "", "--no-skips")
    assert name.startswith("test_cli.py") and why and "1 skipped" in done.stdout and done.returncode == 0, done.stdout


@pytest.mark.parametrize("seed", ["5", "1234567890"])
def test_the_header_says_the_seed(tmp_path, seed, monkeypatch):
    monkeypatch.setenv("FASTBP_TEST_SEED", seed)
    assert f"FASTBP_TEST_SEED={seed}\n" in run_pytest(tmp_path, "").stdout
