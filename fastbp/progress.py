"""Bars and lines that say how far a call is, and what it found."""

from __future__ import annotations

import sys
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

__all__ = ["as_text", "check_verbose", "open_bar", "progress"]


def check_verbose(verbose: Any) -> int:
    """Return how much is shown: 0 nothing, 1 a bar ("auto", too), 2 a line at the end; or raise an error."""
    if not isinstance(verbose, str) and verbose in (0, 1, 2):
        return int(verbose)
    if isinstance(verbose, str) and verbose == "auto":
        return 1
    raise ValueError(f'verbose is {verbose!r}; it must be 0 (nothing), 1 or "auto" (a bar) or 2 (a line at the end)')


def as_text(logs: Mapping[str, Any]) -> str:
    """Return losses and metrics on one line; what is no single number is left out."""
    return "  ".join(
        f"{name} {value:.4g}" if name == "lr" else f"{name} {value:.4f}"
        for name, value in logs.items()
        if np.ndim(value) == 0
    )


def open_bar(total: int, unit: str, done: int = 0) -> Any:
    """Return a bar of tqdm: a widget in a notebook that has them, else on standard error; None without tqdm."""
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


@contextmanager
def progress(what: str, verbose: int, rows: int, batch: int) -> Iterator[tuple[Any, Callable[[Mapping], None]]]:
    """Show how many rows a call has done, while it runs.

    Parameters
    ----------
    what : str
        How the call is called.
    verbose : {0, 1, 2}
        What `check_verbose` returned.
    rows, batch : int
        Of the call, and of each of its steps.

    Yields
    ------
    on_pause : callable or None
        To be called with the number of steps done, now and then.
    end : callable
        To be called at the end, with what was found.
    """
    began = time.perf_counter()
    bar: Any = open_bar(rows, "row") if verbose == 1 else None

    def on_pause(step: int) -> None:
        bar.update(min(step * batch, rows) - bar.n)

    def end(logs: Mapping[str, Any]) -> None:
        text = as_text(logs)
        if bar is not None:
            bar.set_postfix_str(text, refresh=False)
            bar.update(rows - bar.n)
        elif verbose:
            line = f"{what}  {rows} row{'s' * (rows != 1)}  {time.perf_counter() - began:.1f} s  {text}".rstrip()
            # a line that was asked for is output, one that stands for a bar is none
            print(line, file=sys.stdout if verbose == 2 else sys.stderr, flush=True)

    try:
        if bar is not None:
            bar.set_description(what, refresh=False)
        yield (None if bar is None else on_pause), end
    finally:
        if bar is not None:
            bar.close()
