"""C code of the kernels under the compiler's sanitizers."""

import os

import pytest
from _sanitizers import COMPILER, KERNELS, run_sanitized

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir(os.path.join(KERNELS, "portable")), reason="not in a checkout"),
    pytest.mark.skipif(COMPILER is None or os.name == "nt", reason="needs a compiler with sanitizers"),
]


@pytest.mark.parametrize("item", [4, 8])
def test_the_pool_has_no_data_race(tmp_path, item):
    done = run_sanitized(tmp_path, "pool_callers.c", "thread", f"-DFASTBP_ITEM={item}")
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
