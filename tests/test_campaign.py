"""A sample of each campaign that is made of no other tests, and the page of their last results."""

import json
import os
import subprocess
import sys
from pathlib import Path

import campaign
import pytest
from _arrays import SEED

DOCS = campaign.ROOT / "docs"
FOUND = {"counts": {"a part": {"trials": 5, "damaged": 0}, "another": {"trials": 7}}, "faults": 1, "seed": 3,
         "commit": "0123456789", "date": "2026-01-01", "minutes": 2, "cpu": "a CPU", "versions": "NumPy 2"}  # fmt: skip

pytestmark = pytest.mark.skipif(not (DOCS / "conf.py").exists(), reason="the tests lie outside a source tree")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")
@pytest.mark.parametrize("name", ["interrupts", "fuzz", "sanitizers"])
def test_a_sample(name):
    counts, faults = campaign.CAMPAIGNS[name].run(campaign.CAMPAIGNS[name].sample, SEED)
    print(counts)
    assert not faults, "\n".join(faults[:20])


def test_the_command_lists_what_there_is():
    command = [sys.executable, "-m", "tests.campaign"]
    done = subprocess.run(
        command, cwd=campaign.ROOT, env={**os.environ, "PYTHONSAFEPATH": ""}, capture_output=True, text=True
    )
    assert done.returncode == 0 and all(name in done.stdout for name in campaign.CAMPAIGNS), done.stderr


def test_results_make_the_page(tmp_path):
    campaign.write({"kills": FOUND}, tmp_path)
    assert json.loads((tmp_path / campaign.RESULTS).read_text()) == {"kills": FOUND}
    text = (tmp_path / campaign.PAGE).read_text()
    assert "| a part | 5 | 0 |" in text and "| another | 7 |  |" in text
    assert "1 fault. 2026-01-01, commit 0123456789, seed 3, 2 minutes; a CPU; NumPy 2." in text
    assert text.count("Not run yet.") == len(campaign.CAMPAIGNS) - 1


def test_the_page_shows_the_last_results(tmp_path):
    results = DOCS / campaign.RESULTS
    if not results.exists():
        pytest.skip("an sdist has no results")
    campaign.write(json.loads(results.read_text()), tmp_path)
    for name in (campaign.RESULTS, campaign.PAGE):
        assert (tmp_path / name).read_text() == Path(DOCS, name).read_text()
