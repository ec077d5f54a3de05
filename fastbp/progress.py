"""Bars and lines that say how far a call is, and what it found."""

from __future__ import annotations

import sys
import time
import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Progress", "as_text", "check_verbose", "open_bar"]


def check_verbose(verbose: Any, line: str = "a line at the end") -> int:
    """Return how much is shown: 0 nothing, 1 a bar ("auto", too), 2 `line`; or raise an error."""
    if not isinstance(verbose, str) and verbose in (0, 1, 2):
        return int(verbose)
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    raise ValueError(f'verbose is {verbose!r}; it must be 0 (nothing), 1 or "auto" (a bar) or 2 ({line})')


def as_text(logs: Mapping[str, Any]) -> str:
    """Return losses and metrics on one line; what is no single number is left out."""
    return "  ".join(f"{name} {_shown(name, value)}" for name, value in logs.items() if np.ndim(value) == 0)


def _shown(name: str, value: float) -> str:
    # four decimals would be 300 digits of what callbacks have added, or zeros
    decimals = name != "lr" and (not value or 1e-3 <= abs(value) < 1e6)
    return f"{value:.4f}" if decimals else f"{value:.4g}"


def open_bar(total: int | None, unit: str, done: int = 0) -> Any:
    """Return a bar of tqdm: a widget in a notebook that has them, else on standard error; None without tqdm."""
    if sys.stderr is None:  # of a program without a console
        return None
    try:
        if "IPython" not in sys.modules:
            # tqdm.auto imports asyncio: 15 ms that are for notebooks only
            from tqdm import tqdm
        else:
            with warnings.catch_warnings():
                # that ipywidgets are missing: a bar of text does as well
                warnings.simplefilter("ignore")
                from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=total, initial=done, unit=unit, file=sys.stderr, mininterval=0.1)


class Progress:
    """How many rows a call has done, shown while it runs: a context manager.

    Parameters
    ----------
    what : str
        How the call is called.
    verbose : {0, 1, 2}
        What `check_verbose` returned.
    rows : int or None
        Of the call, where that is known.
    """

    def __init__(self, what: str, verbose: int, rows: int | None) -> None:
        self.what, self.verbose, self.done = what, verbose, 0
        self._began = time.perf_counter()
        self._bar = open_bar(rows, "row") if verbose == 1 else None

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.set_description(self.what, refresh=False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def pause(self, rows: int, batch: int) -> Callable[[int], None] | None:
        """Return what a run of rows, so many a step, calls with the number of steps done, if anybody looks."""
        return None if self._bar is None else lambda step: self._show(self.done + min(step * batch, rows))

    def add(self, rows: int) -> None:
        """Note that a run of so many rows has ended."""
        self.done += rows
        self._show(self.done)

    def end(self, logs: Mapping[str, Any]) -> None:
        """Show what was found."""
        text = as_text(logs)
        if self._bar is not None:
            self._bar.set_postfix_str(text, refresh=True)
        elif self.verbose:
            rows, seconds = f"{self.done} row{'s' * (self.done != 1)}", time.perf_counter() - self._began
            # a line that was asked for is output, one that stands for a bar is none
            file = sys.stdout if self.verbose == 2 else sys.stderr
            print(f"{self.what}  {rows}  {seconds:.1f} s  {text}".rstrip(), file=file, flush=True)

    def _show(self, rows: int) -> None:
        if self._bar is not None:
            self._bar.update(rows - self._bar.n)
