"""The examples of the pages, as the test-suite runs them: every doctest, and the code of every picture."""

import doctest
import re
import subprocess
import sys
import textwrap

#: What is typed in a shell, with what that prints.
_CONSOLE = re.compile(r"^\.\. code-block:: console\n\n((?:   .*\n|\n)+)", re.MULTILINE)
#: The directive of matplotlib with its options, and what it holds.
_PLOT = re.compile(r"^\.\. plot::\n(?:   :.*\n)*((?:   .*\n|\n)+)", re.MULTILINE)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def parts(text):
    """Yield the parts of a page that may hold code, as (line, text, whether it is the code of a picture)."""
    at = 0
    for match in _PLOT.finditer(text):
        yield text.count("\n", 0, at), text[at : match.start()], False
        code = textwrap.dedent(match[1])
        yield text.count("\n", 0, match.start(1)), code, ">>>" not in code
        at = match.end()
    yield text.count("\n", 0, at), text[at:], False


def run(path):
    """Run all examples of a page in one namespace; return how many there are and how many failed.

    Parameters
    ----------
    path : pathlib.Path
        In reStructuredText or Markdown.

    Returns
    -------
    examples, failures : int
    """
    text = path.read_text()
    if path.suffix == ".md":
        # a fence would be taken for output
        text = re.sub(r"^ *(```|:::).*$", "", text, flags=re.MULTILINE)
    names, examples, runner = {}, 0, doctest.DocTestRunner(optionflags=FLAGS)
    for line, part, picture in parts(text):
        if picture:
            exec(compile("\n" * line + part, str(path), "exec"), names)
            examples += 1
            continue
        test = doctest.DocTestParser().get_doctest(part, names, path.name, str(path), line)
        examples += len(test.examples)
        runner.run(test, clear_globs=False)
        names = test.globs
    return examples, runner.failures


def shell(path, folder, environment):
    """Type the commands of a page, one after the other; return those that print something else.

    Parameters
    ----------
    path : pathlib.Path
        In reStructuredText. Commands are lines of its blocks "console" that begin with ``$``; what they print, errors
        too, follows.
    folder : path-like
        To type them in.
    environment : dict of str to str
        Of a Python that imports fastbp.

    Returns
    -------
    list of (str, str, str)
        The command, what the page shows and what was printed.
    """
    checker, different = doctest.OutputChecker(), []
    here = 'python() { "$PYTHON" "$@"; }; fastbp() { python -m fastbp "$@"; }; '
    for block in _CONSOLE.findall(path.read_text()):
        for typed in re.split(r"^\$ ", textwrap.dedent(block), flags=re.MULTILINE)[1:]:
            command, _, shown = typed.partition("\n")
            done = subprocess.run(
                ["sh", "-c", here + command],
                cwd=folder,
                env={**environment, "PYTHON": sys.executable},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            if not checker.check_output(shown, done.stdout, FLAGS):
                different.append((command, shown, done.stdout))
    return different
