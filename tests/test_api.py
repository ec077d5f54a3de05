"""Public names and signatures are those of a list: none goes, and none changes, unnoticed."""

import re
from pathlib import Path

import api
import pytest
from _arrays import needs_modules

import fastbp

pytestmark = needs_modules


def test_nothing_public_changes_unnoticed():
    written, found = api.LIST.read_text(encoding="utf-8").splitlines(), api.lines()
    gone, new = [n for n in written if n not in set(found)], [n for n in found if n not in set(written)]
    assert (gone, new) == ([], []), "the public names changed; if they are to, run `python -m tests.api`"
    assert written == found


def test_the_list_sees_what_users_see(monkeypatch):
    lines = set(api.lines())
    assert "fastbp.Dense.get_config(self)" in lines and "fastbp.layers.Dense is fastbp.Dense" in lines
    assert "fastbp.Layer.trainable: property" in lines and "fastbp.losses.BinaryCrossentropy is" not in lines
    monkeypatch.delattr(fastbp.Dense, "get_config")
    monkeypatch.setattr(fastbp.Model, "predict", lambda self, x, rows=512: x)
    gone = lines - set(api.lines())
    predict = "fastbp.Model.predict(self, x, batch_size=512, verbose=0, *, weights=None)"
    assert gone == {"fastbp.Dense.get_config(self)", predict}


def test_what_is_documented_is_in_the_list():
    reference = Path(__file__).parent.parent / "docs" / "reference"
    if not reference.exists():
        pytest.skip("not in a checkout")
    documented = {name for page in reference.glob("*.rst") for name in re.findall(r"public:: (\S+)", page.read_text())}
    assert documented <= {module.__name__ for module in api.modules()}
