"""A clone: what README and CONTRIBUTING tell to type works there, and an unbuilt one says how it is built."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import fastbp

ROOT = Path(__file__).parent.parent
PAGES = "README.md", "CONTRIBUTING.md"
#: What begins a command, in a line of its own or within a sentence.
_BEGINS = re.compile(r"([A-Z_]+=\S+ )*(\.venv/bin/\w+|python3?|pip|pytest|fastbp|bash|auditwheel|asv|sphinx-build) \S")
#: What the slow test types in place of what takes long, serves for ever or wants another machine.
SHORTER = {
    '.venv/bin/pytest -n auto --dist worksteal -m "not slow" tests':
        '.venv/bin/pytest -n 2 --dist worksteal -m "not slow" tests/test_datasets.py',
    '.venv/bin/python -m pytest -n auto --dist worksteal -m "not slow"':
        '.venv/bin/python -m pytest -n 2 --dist worksteal -m "not slow" tests/test_datasets.py',
    # as a job in the background; a claim may fail, which is status 1
    ".venv/bin/python -m benchmarks.peers --claims":
        "trap '' INT; .venv/bin/python -m benchmarks.peers --claims --rounds 1 --seconds 0.01 --nets '4-16-3 b32'"
        " --peers numpy --what train,own; test $? -le 1",
    ".venv/bin/python -m benchmarks.peers": ".venv/bin/python -m benchmarks.peers --help",
    ".venv/bin/python -m benchmarks.dashboard --serve 8000":
        ".venv/bin/python -m asv --version && .venv/bin/python -m benchmarks.dashboard --serve 8000 --help",
    ".venv/bin/python -m benchmarks.gate": ".venv/bin/python -m benchmarks.gate --help",
    "bash .ci/run": "bash -n .ci/run",
}  # fmt: skip

source_tree = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the tests lie outside a source tree")


def commands(page):
    """Return the commands of a page in Markdown: lines that are indented by four, and what stands in backticks."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"(?<=\n)    (\S.*)|`([^`\n]+)`", text)
    lines = [block or span for block, span in found]
    return [line.partition("  #")[0].strip() for line in lines if _BEGINS.match(line)]


def typed(command):
    """Return what the test types for a command."""
    return " && ".join(SHORTER.get(part, part) for part in command.split(" && "))


@source_tree
def test_every_command_of_the_pages_is_typed():
    found = {page: commands(page) for page in PAGES}
    assert found["README.md"][0].startswith("python3 -m venv .venv && .venv/bin/pip install -e ")
    parts = {part for page in PAGES for command in found[page] for part in command.split(" && ")}
    # nothing is shortened that is not there, and what is there names the clone's own Python
    assert parts >= SHORTER.keys()
    for part in parts:
        program = re.sub(r"^([A-Z_]+=\S+ )*", "", part).split()[0]
        assert program.startswith(".venv/bin/") or part in ("python3 -m venv .venv", "bash .ci/run"), part
    for page in PAGES:
        # no block of commands is overlooked
        blocks = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)
        for line in re.findall(r"^    (\S.*)", blocks, re.MULTILINE):
            assert line.partition("  #")[0].strip() in found[page], line


@source_tree
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the commands are a POSIX shell's")
def test_the_commands_of_the_pages(tmp_path):
    """In a fresh clone of what is committed and of what is not yet, in the order of the pages."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("there is no git clone to clone")
    clone = tmp_path / "a clone"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    changed = subprocess.run(["git", "ls-files", "-z", "-m", "-o", "--exclude-standard"], cwd=ROOT, check=True,
                             capture_output=True, text=True).stdout.split("\0")  # fmt: skip
    for name in filter(None, changed):
        if (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, clone / name)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FASTBP_", "VIRTUAL_ENV"))}

    def run(command, cwd=clone):
        done = subprocess.run(["bash", "-c", command], cwd=cwd, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-6000:]}"
        return done.stdout

    where = "import fastbp; print(fastbp.__file__, fastbp.kernels.choose_backend(None))"
    done = set()
    for page in PAGES:
        for command in commands(page):
            # what both pages say is typed once
            parts = [part for part in command.split(" && ") if part not in done]
            if not parts:
                continue
            done.update(parts)
            run(typed(" && ".join(parts)))
            # whatever was typed, what is imported is the clone, and built
            for folder in (clone, tmp_path):
                python = clone / ".venv" / "bin" / "python"
                assert run(f"'{python}' -c '{where}'", folder).split("\n")[0] == f"{clone}/fastbp/__init__.py cython"
    assert not run("git status --porcelain --untracked-files=no | grep -v api.txt || true").strip()


@source_tree
def test_no_message_sends_to_a_package_index():
    """fastbp is installed from its sources, and its extras from there: `-e ".[extra]"`."""
    files = [path for folder in ("benchmarks", "docs", "fastbp", "kernels") for path in (ROOT / folder).rglob("*")]
    files += [*ROOT.glob("*.md"), *ROOT.glob("*.py"), *ROOT.glob(".github/workflows/*")]
    kinds = (".c", ".h", ".md", ".pxi", ".py", ".pyx", ".rst", ".yml")
    for path in (path for path in files if path.suffix in kinds and "_build" not in path.parts):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            place = f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
            assert not re.search(r"\bfastbp\[\w+\]", line), place
            for command in re.findall(r"pip install ([^`'\")]*)", line):
                assert "fastbp" not in command.split() or "--no-index" in command.split(), place


# ------------------------------------------------------------------------------------------------ not built
ASK = """
import warnings
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import fastbp
    model = fastbp.Sequential([fastbp.Dense(1)], input_shape=2)
    model.compile("sgd", "mse")
    assert model.predict([[1.0, 2.0]]).shape == (1, 1)
    print(seen[0].message)
try:
    model.compile("sgd", "mse", backend="cython")
except ImportError as error:
    print(error)
"""


@pytest.fixture
def unbuilt(tmp_path):
    """Return a folder with fastbp's modules, without what was compiled."""
    place, no_modules = tmp_path / "my clone", shutil.ignore_patterns("*.so", "*.pyd", "__pycache__", "kernels")
    shutil.copytree(Path(fastbp.__file__).parent, place / "fastbp", ignore=no_modules)
    kernels = Path(fastbp.kernels.__file__).parent
    shutil.copytree(kernels, place / "kernels", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    return place


@pytest.mark.parametrize(
    ("file", "state"),
    [
        (None, "is not built"),
        ("pool.cpython-37m-x.so", "is built for another Python"),
        (f"pool{EXTENSION_SUFFIXES[0]}", "is built, but that does not load"),
    ],
)
def test_a_clone_that_is_not_built_says_how(unbuilt, file, state):
    (unbuilt / "setup.py").write_text("")
    if file:
        (unbuilt / "kernels" / file).write_text("")
    lines = said(unbuilt)
    for line in lines:
        assert state in line and f'{sys.executable} -m pip install -e "{unbuilt}" builds it' in line, line
        assert "install a C compiler" not in line
    assert "so backend='numpy' is used" in lines[0] and "backend='cython' needs" in lines[1]


def test_an_installation_without_a_compiler_says_so(unbuilt):
    shutil.move(unbuilt / "kernels", unbuilt / "fastbp" / "kernels")
    for line in said(unbuilt):
        assert "install a C compiler, then run, where its sources are, pip install --force-reinstall" in line, line


def said(place):
    done = subprocess.run([sys.executable, "-c", ASK], cwd=place, env={**os.environ, "PYTHONPATH": str(place)},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2, lines
    return lines


# --------------------------------------------------------------------------------------- in the background
@source_tree
@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_the_measurement_of_ctrl_c_in_the_background():
    """A shell's job there has SIGINT ignored, and so have its children: it must not wait for ever."""
    script = ROOT / "benchmarks" / "peers" / "interrupt.py"
    package = Path(fastbp.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, script, "4-16-3", "640", "32", "1"], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(package)}, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (seconds,) = json.loads(done.stdout)
    assert seconds > 0
