"""The examples of the pages, as the test-suite runs them: every doctest, and the code of every picture."""

import doctest
import re
import textwrap

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
