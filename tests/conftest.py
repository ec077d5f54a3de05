"""Helpers for all tests; says in pytest's header which machine they ran on."""

import os
import sys

# of subprocesses: an installed package must not be hidden by a checkout in the current directory
os.environ["PYTHONSAFEPATH"] = "1"
# test modules are imported by their path, so their helpers need one
sys.path.append(os.path.dirname(os.path.abspath(__file__)))

import numpy as np
import pytest
from _arrays import BUILDS
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from fastbp import kernels
from fastbp.kernels import cython_ext
from fastbp.kernels.table import KERNELS, ROWS


def pytest_report_header(config):
    found = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    return [
        f"NumPy {np.__version__}, CPU features in use: {found or 'baseline'}",
        f"builds under test: {' '.join(BUILDS)}; level in use: {cython_ext.level()}",
    ]


@pytest.fixture(autouse=True)
def rows_of_users():
    """Forget at the end of a test what it added to the table: others count the rows."""
    before = dict(ROWS), dict(KERNELS)
    yield
    for known, rows in zip((ROWS, KERNELS), before, strict=True):
        for name in set(known) - set(rows):
            del known[name]
            vars(kernels).pop(name, None)
