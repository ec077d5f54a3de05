"""Every example in a docstring and in the README runs and prints what it says."""

import doctest
import importlib
from pathlib import Path

import pytest

import fastbp
import fastbp.kernels

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
README = Path(__file__).parent.parent / "README.md"


def modules():
    found = set()
    for package in (fastbp, fastbp.kernels):
        # in a checkout the kernels lie beside the package, in an installed one inside it
        root = Path(package.__file__).parent
        for path in root.rglob("*.py"):
            parts = path.relative_to(root).with_suffix("").parts
            found.add(".".join((package.__name__, *parts)).removesuffix(".__init__"))
    return sorted(found - {"fastbp.__main__"})


@pytest.mark.parametrize("name", modules())
def test_docstrings(name):
    needed = {"fastbp._minimize": "scipy", "fastbp.table.plain": "pandas", "fastbp.table.reading": "pandas"}.get(name)
    if needed:
        pytest.importorskip(needed)
    # a class that an example defines is its reader's, not one of fastbp's own
    main = {"__name__": "__main__"}
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS, extraglobs=main).failed == 0


@pytest.mark.skipif(not README.exists(), reason="the tests lie outside a source tree")
def test_readme():
    test = doctest.DocTestParser().get_doctest(README.read_text(), {}, "README.md", str(README), 0)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test)
    assert runner.failures == 0
