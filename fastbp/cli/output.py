"""What the command prints: lines of text, or one JSON document; a pipe that nobody reads any more ends neither."""

import contextlib
import math
import os
import sys

import numpy as np

__all__ = ["Output"]


class Output:
    """Standard output.

    Attributes
    ----------
    as_json : bool
        Whether `facts` are printed, once and at the end, in place of all lines.
    facts : dict
        What is told, as plain data.
    closed : bool
        Whether the reader has gone: nothing is printed any more.
    """

    def __init__(self):
        self.as_json, self.facts, self.closed = False, {}, False

    def say(self, text=""):
        """Print lines for people; what their screen cannot show is escaped."""
        if not self.as_json:
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            self.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")

    def write(self, text):
        """Write text as it is."""
        if self.closed or sys.stdout is None:  # there is none where the shell closed it: fastbp ... >&-
            return
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except UnicodeEncodeError as error:
            what = f"standard output is {error.encoding}, which has no {text[error.start]!r}"
            raise ValueError(f"{what}; the environment variable PYTHONIOENCODING=utf-8 makes it UTF-8") from None
        except BrokenPipeError:
            self.closed = True
            # the interpreter flushes once more at its end, and would complain
            with contextlib.suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, sys.stdout.fileno())
                os.close(null)

    def warn(self, text):
        """Print a line for people on standard error."""
        print(f"fastbp: {' '.join(text.split())}", file=sys.stderr)

    def end(self):
        """Print the document, and notice whether somebody reads what is printed."""
        if self.as_json:
            import json

            self.write(json.dumps(plain(self.facts), indent=1) + "\n")
        else:
            self.write("")


def plain(value):
    """Return a value as JSON has it: numbers that are not finite are null there."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
