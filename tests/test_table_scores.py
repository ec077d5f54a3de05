"""Tables as packages ship them: the command learns of them what scikit-learn's nets learn."""

import json

import numpy as np
import pytest
from _arrays import needs_modules
from _benchmarks import ROOT, run_python

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="not a checkout")

#: Points by which a mean of three splits may be behind: of classes, of which a row of some tables is two, and of R2.
BEHIND = {"penguins": 3, "weather": 2, "wine": 3, "breast cancer": 2, "diabetes": 6}


@needs_modules
@pytest.mark.slow
def test_five_tables(tmp_path):
    for package in ("pandas", "sklearn", "palmerpenguins", "vega_datasets"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    file = tmp_path / "found.json"
    done = run_python(tmp_path, "-m", "benchmarks.tables", *BEHIND, "--seeds", "3", "--json", str(file))
    assert done.returncode == 0, done.stderr
    found = {one["table"]: one for one in json.loads(file.read_text())["tables"]}
    assert found.keys() == BEHIND.keys()
    for name, one in found.items():
        own, theirs, trivial = (100 * np.mean(one[key]) for key in ("fastbp", "scikit-learn", "baseline"))
        assert own > theirs - BEHIND[name], (name, own, theirs)
        assert own > trivial + 20, (name, own, trivial)
    assert (found["penguins"]["rows"], found["penguins"]["classes"]) == (344, 3)


def test_the_page_shows_what_was_measured(tmp_path):
    """No figure on it was typed, and there are twenty tables or more."""
    pytest.importorskip("pandas", reason="the package pandas is not installed")
    measured, page = ROOT / "docs" / "tables.json", tmp_path / "tables.md"
    done = run_python(tmp_path, "-m", "benchmarks.tables", "--from-json", str(measured), "--page", str(page))
    assert done.returncode == 0, done.stderr
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert len(json.loads(measured.read_text())["tables"]) >= 20
