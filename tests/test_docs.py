"""The documentation: its examples run, every public name has its docstring and its page, the pages need no network."""

import html
import importlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path
from urllib.parse import unquote

import pytest

import fastbp
from fastbp.kernels.table import KERNELS, TABLE

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [
    path
    for path in sorted([*DOCS.rglob("*.rst"), *DOCS.rglob("*.md")])
    if "_build" not in path.parts and re.search(r"^ *>>> |^.. plot::", path.read_text(), re.MULTILINE)
]

pytestmark = pytest.mark.skipif(not (DOCS / "conf.py").exists(), reason="the tests lie outside a source tree")


def extension(name, monkeypatch):
    """Import a module of the pages' own."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module(name)


@pytest.fixture
def public(monkeypatch):
    pytest.importorskip("numpydoc", reason="the package numpydoc is not installed")
    return extension("public", monkeypatch)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_examples(path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    matplotlib.use("agg")
    if ">>> import pandas" in path.read_text():
        pytest.importorskip("pandas")
    examples, failures = extension("pages", monkeypatch).run(path)
    pyplot.close("all")
    assert failures == 0
    # nothing that looks like an example was left out
    assert examples >= len(re.findall(r"^ *>>> |^.. plot::\n(?:   :.*\n)*\n   (?!>>>)", path.read_text(), re.MULTILINE))


@pytest.mark.skipif(os.name != "posix", reason="the commands are a POSIX shell's")
def test_commands_of_the_page(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    page = DOCS / "guide" / "command_line.rst"
    shutil.copytree(page.with_suffix(""), tmp_path, dirs_exist_ok=True)
    pages = extension("pages", monkeypatch)
    # of this fastbp, which may be an installed one
    environment = {**os.environ, "PYTHONPATH": str(Path(fastbp.__file__).parent.parent)}
    assert pages.shell(page, tmp_path, environment) == []
    # what differs is found
    wrong = tmp_path / "page.rst"
    wrong.write_text(".. code-block:: console\n\n   $ echo one\n   one\n   $ echo two\n   three\n\nText.\n")
    assert pages.shell(wrong, tmp_path, environment) == [("echo two", "three\n\n", "two\n")]


def test_an_example_that_is_wrong_fails(tmp_path, monkeypatch, capsys):
    pages = extension("pages", monkeypatch)
    page = tmp_path / "page.rst"
    page.write_text(".. plot::\n   :context:\n\n   >>> x = 2\n\nText.\n\n>>> x\n3\n\n.. plot::\n\n   y = x / 0\n")
    with pytest.raises(ZeroDivisionError):
        pages.run(page)
    page.write_text(page.read_text().replace("/ 0", "/ 1"))
    assert pages.run(page) == (3, 1)
    assert "Expected:\n    3\nGot:\n    2" in capsys.readouterr().out
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> 1 + 1\n2\n```\n")
    assert pages.run(page) == (1, 0)


@pytest.mark.parametrize("page", ["docs/adding_an_op.rst", "ARCHITECTURE.md"])
def test_the_row_that_is_shown_is_one_of_the_table(page):
    root = DOCS.parent
    row = r"^ *SOFTSIGN = Row\(\n(?: *\S.*\n|\n)*? *return dy.*\n"
    (shown,) = re.findall(row, (root / page).read_text(), re.MULTILINE)
    assert textwrap.dedent(shown) in (root / "kernels" / "table" / "activation.py").read_text()


@pytest.mark.parametrize(("library", "page"), [("Keras", "from_keras"), ("PyTorch", "from_pytorch")])
def test_every_spelling_is_on_its_page(library, page, monkeypatch):
    pytest.importorskip("sphinx", reason="the package sphinx is not installed")
    pytest.importorskip("numpydoc", reason="the package numpydoc is not installed")
    spelling = extension("spelling", monkeypatch)
    text = (DOCS / "guide" / f"{page}.rst").read_text()
    parts = re.findall(rf"^\.\. spellings:: {library} (\w+)$", text, re.MULTILINE)
    assert sorted(parts) == sorted(spelling.PARTS)
    shown = "".join(part(library) for part in spelling.PARTS.values())
    for row in (*spelling.CLASSES, *spelling.ARGUMENTS, *spelling.STRINGS):
        assert library not in row.library or str(row.theirs) in shown, row


def test_every_public_name_is_documented(public):
    assert public.problems() == []
    found, second = public.names()
    # nothing is missed: what the package names, and every kernel
    names = {f"fastbp.{name}" for name in fastbp.__all__ if public.is_public(fastbp, name)}
    assert names <= found.keys() | second.keys()
    assert {f"fastbp.kernels.{name}" for name in KERNELS} <= found.keys()
    modules = {f"fastbp.{name}" for name in fastbp.__all__ if not public.is_public(fastbp, name)}
    assert modules <= set(public.MODULES)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("fastbp.blame", None, "fastbp.insight.blame: GL08"),
        ("fastbp.losses.Huber", "Without parameters.", "fastbp.losses.Huber: PR01"),
        ("fastbp.Model.predict", "Return outputs.", "fastbp.Model.predict: PR01"),
        ("fastbp.load_model", "Return it.\n\nParameters\n----------\npaths : str\n\nReturns\n-------\nx\n", "PR02"),
        ("fastbp.metrics.r2_score", "Return it.\n\nParameters\n----------\ny_true, y_pred : array\n", "RT01"),
        ("fastbp.optimizers.Optimizer.lr", "no period", "fastbp.optimizers.Optimizer.lr: SS03"),
        ("fastbp.Model.update", "Change the parameters.", "fastbp.Model.update: EX01"),
        ("fastbp.Dense", "A layer.", "fastbp.layers.Dense: EX01"),
    ],
)
def test_a_docstring_that_says_too_little_is_found(name, text, problem, public, monkeypatch):
    place, _, last = name.rpartition(".")
    owner = fastbp
    for part in place.split(".")[1:]:
        owner = getattr(owner, part)
    value = vars(owner).get(last) or getattr(owner, last)
    public.errors.cache_clear()
    if isinstance(value, property):
        monkeypatch.setattr(owner, last, property(value.fget, value.fset, doc=text))
    else:
        monkeypatch.setattr(value, "__doc__", text)
    try:
        assert any(problem in found for found in public.problems())
    finally:
        public.errors.cache_clear()


@pytest.fixture
def site(tmp_path):
    """Return the folder of the built pages."""
    for package in ("sphinx", "furo", "myst_parser", "numpydoc", "matplotlib"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "html", str(DOCS), str(tmp_path)]
    # a proxy that nobody answers: a build that asks another host fails
    offline = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(command, env={**os.environ, **offline}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
    return tmp_path


@pytest.mark.slow
def test_site(site, public):
    # one test: workers of pytest-xdist would each build the pages
    check_names(site, public)
    check_table(site)
    check_no_network(site)


def check_names(site, public):
    """Look up every public name in the index that other projects read."""
    # four lines of text, then compressed ones: name, kind, priority, page
    lines = zlib.decompress((site / "objects.inv").read_bytes().split(b"\n", 4)[4]).decode().splitlines()
    objects = {name: place for name, kind, _, place, *_ in map(str.split, lines) if kind.startswith("py:")}
    found, second = public.names()
    assert not {*public.everything(), *second} - objects.keys()
    for name in found.keys() | second.keys():
        page, _, anchor = unquote(objects[name]).partition("#")
        assert f'id="{anchor.replace("$", name)}"' in (site / page).read_text(), name


def check_table(site):
    """Look for every op with its formulas, attributes and source."""
    text = (site / "reference" / "ops.html").read_text()
    plain = html.unescape(re.sub(r"<[^>]*>", "", text))
    for row in TABLE.values():
        assert f'id="op-{row.name.replace("_", "-")}"' in text
        for kernel in row.kernels.values():
            assert kernel.signature.strip() in plain
            assert kernel.source in plain
        assert row.source in plain
        for name, default in row.attributes.items():
            assert f"{name}={default:.10g}" in plain


def check_no_network(site):
    """See that pages load what lies beside them, and nothing else."""
    loads = re.compile(r"<(?:script|link|img|iframe|source|object|embed)\b[^>]*(?:src|href|data)=\"([^\"]*)\"")
    for page in site.rglob("*.html"):
        for target in loads.findall(page.read_text()):
            assert not re.match(r"(https?:)?//", target), f"{page} loads {target}"
            if not target.startswith(("data:", "#")):
                assert (page.parent / unquote(re.split("[?#]", target)[0])).exists(), (page, target)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", sheet.read_text()), sheet
    assert len(list((site / "_images").glob("*.svg"))) >= 15
