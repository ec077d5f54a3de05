# PYTHON_ARGCOMPLETE_OK
"""The command ``fastbp``: train a network on a table from a shell, use it, and see what it is."""

import sys

from ..table import TableError
from .output import Output
from .parser import parse

__all__ = ["main"]


def main(argv=None):
    """Run the command ``fastbp``.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; those of the process if None.

    Returns
    -------
    int
        The exit status: 0, also where nobody reads the output any more; 1 if a bit differed from NumPy's; 2 for bad
        input, which one line on stderr explains, and nothing is written then; 130 after Ctrl-C.

    Examples
    --------
    >>> main(["train", "--epochs", "many"])
    2
    """
    output = Output()
    try:
        args = parse(sys.argv[1:] if argv is None else argv)
        status = args.run(args, output)
        output.end()
        return status
    except SystemExit as end:  # argparse has shown the help or the version
        output.end()
        return end.code
    except KeyboardInterrupt:
        if "files" in output.facts:  # it was the comparison that was interrupted
            output.end()
        print("fastbp: interrupted", file=sys.stderr)
        return 130
    except TableError as error:
        print(f"fastbp: {error.in_shell()}", file=sys.stderr)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"fastbp: {error.strerror or error}{where}", file=sys.stderr)
    except (ArithmeticError, ImportError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        print(f"fastbp: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
    return 2
