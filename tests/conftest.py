"""Helpers for all tests: what pytest's header says, what the short suite leaves out, the order, which skips pass."""

import fnmatch
import gc
import importlib.util
import os
import sys
import zlib

# of subprocesses: an installed package must not be hidden by a checkout in the current directory
os.environ["PYTHONSAFEPATH"] = "1"
# test modules are imported by their path, so their helpers need one
sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import numpy as np
import pytest
from _arrays import BUILDS, SEED
from _skips import ALLOWED
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from fastbp import kernels
from fastbp.kernels.table import KERNELS, TABLE
from fastbp.kernels.threads import MISSING

#: Where the extension modules are missing: what tests nothing else.
collect_ignore = [] if MISSING is None else [
    f"test_{name}.py"
    for name in (
        "callers", "elementary", "entry", "kernels", "numba_portable", "portability", "portable", "primitives",
        "runner", "threadpoolctl",
    )
]  # fmt: skip
#: Modules of tests that take long, the longest first.
LONGEST = ["test_clone", "test_portability", "test_packaging", "test_campaign", "test_aarch64", "test_dashboard"]
#: What a test may ask for that is not here; then it is skipped.
ABSENT = ["needs fastbp's extension modules", str(MISSING)] if MISSING is not None else []
if importlib.util.find_spec("numba") is None:
    ABSENT += ["No module named 'numba'", "backend 'numba' cannot be imported here"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except ImportError as error:
        for reason in ABSENT:
            if reason in str(error):
                pytest.skip(reason)
        raise


def pytest_addoption(parser):
    # an option and no variable, which tests that start pytest would hand down
    parser.addoption("--no-skips", action="store_true", help="a skip that tests/_skips.py does not list is a failure")


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config, items):
    """Leave in the short suite, of a matrix, each value of each other parameter with each backend once; then order."""
    groups, long = {}, {item for item in items if item.get_closest_marker("slow")}
    for item in items:
        if mark := item.get_closest_marker("matrix"):
            known = {k: v for k, v in item.callspec.params.items() if k not in mark.args}
            groups.setdefault((item.path, item.originalname, *known.items()), []).append(item)
    for group in groups.values():
        chosen = min(group, key=lambda item: zlib.crc32(item.name.encode()))
        for item in group:
            if item is not chosen:
                item.add_marker(pytest.mark.slow)
    result = yield
    # after pytest left out what -m and -k leave out
    items[:] = ordered(items, long, getattr(config, "workerinput", {}).get("workercount", 1))
    return result


def ordered(items, long, workers):
    """Return tests with those that take long at the front of each worker's share, of which the others steal the end.

    A long one that began last would leave all workers but one without work.
    """
    rank = lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST)  # noqa: E731
    modules = {}
    for item in items:
        if item in long:
            modules.setdefault(item.path.stem, []).append(item)
    modules = [modules[name] for name in sorted(modules, key=lambda name: (rank(name), name))]
    rest, shares = [item for item in items if item not in long], []
    for k in range(workers):
        # xdist's worksteal gives each worker as much of what is left
        first = [item for module in modules[k::workers] for item in module]
        size = max((len(items) - sum(map(len, shares))) // (workers - k), len(first))
        taken = size - len(first)
        shares.append(first + rest[:taken])
        rest = rest[taken:]
    return [item for share in shares for item in share]


def pytest_collection_finish():
    """Have the garbage collector leave out what is here for good, such as thousands of tests: some tests call it."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return judged((yield), item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return judged((yield), collector.config)


def judged(report, config):
    """Return a report; of a skip that is not on the list, under --no-skips, as a failure."""
    if config.getoption("--no-skips") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not any(fnmatch.fnmatch(report.nodeid, "*" + test) and text in reason for test, text, _ in ALLOWED):
            report.outcome, report.longrepr = "failed", f"skipped, and not on the list of tests/_skips.py: {reason}"
    return report


def pytest_report_header(config):
    found = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    level = f"no level: {MISSING}"
    if MISSING is None:
        from fastbp.kernels import cython_ext

        level = f"level in use: {cython_ext.level()}"
    return [
        f"NumPy {np.__version__}, CPU features in use: {found or 'baseline'}",
        f"builds under test: {' '.join(BUILDS) or 'none'}; {level}",
        f"random values follow from FASTBP_TEST_SEED={SEED}",
    ]


@pytest.fixture(autouse=True)
def rows_of_users():
    """Forget at the end of a test what it added to the table: others count the rows."""
    before = dict(TABLE), dict(KERNELS)
    yield
    for known, rows in zip((TABLE, KERNELS), before, strict=True):
        for name in set(known) - set(rows):
            del known[name]
            vars(kernels).pop(name, None)
