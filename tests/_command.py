"""What the tests of the command `fastbp` share: running it here and in processes of its own."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest

import fastbp
from fastbp import cli

QUICK = ["--quiet", "--layers", "8", "--epochs", "2"]

needs_pandas = pytest.mark.skipif(
    importlib.util.find_spec("pandas") is None, reason="the package pandas is not installed"
)


def run(capsys, *arguments):
    """Run a command that must succeed; return what it printed."""
    status = cli.main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    assert status == 0, output.err
    return output.out


def refuse(capsys, folder, message, *arguments):
    """Run a command that must fail with one line on stderr and without writing anything."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert cli.main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("fastbp: ")
    assert error.count("\n") == 1
    assert re.search(message, error), error
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def environment(**more):
    """Return that of a process that imports this fastbp."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(fastbp.__file__)))
    return {**os.environ, "PYTHONPATH": package, "PYTHONUNBUFFERED": "1", **more}


def in_a_process(*arguments, **options):
    """Run the command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "fastbp", *arguments], capture_output=True, text=True, timeout=300,
                          env=environment(), **options)  # fmt: skip
