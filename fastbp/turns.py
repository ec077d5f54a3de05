"""Who may use a model at a time, and changes that a signal cannot part.

Python runs the handlers of signals, Ctrl-C among them, between bytecodes: after a call and at the start of a function.
What must be whole or not at all is therefore one call of a C function, or bytecodes without a call in between.
"""

from __future__ import annotations

import os
import time
from collections import deque
from itertools import repeat, starmap
from threading import get_ident
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

__all__ = ["Turns", "add_values", "put_attributes", "put_values"]

_PAUSE = 1e-4  # seconds between two looks at readers that are to end


def put_values(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Copy into arrays from others of their shapes and dtypes: all of them, or none if a signal comes before."""
    targets, values = _columns(pairs)
    deque(map(np.ndarray.__setitem__, targets, repeat(...), values), maxlen=0)


def add_values(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Add to arrays others of their shapes and dtypes: all of them, or none if a signal comes before."""
    targets, values = _columns(pairs)
    deque(map(np.add, targets, values, targets), maxlen=0)


def _columns(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[Any, Any]:
    return tuple(zip(*found, strict=True)) if (found := list(pairs)) else ((), ())


def put_attributes(triples: list[tuple[Any, str, Any]]) -> None:
    """Set attributes, given as (object, name, value): all of them, or none if a signal comes before."""
    deque(starmap(setattr, triples), maxlen=0)


class Turns:
    """The calls that use one model now.

    A call that changes the model has the turn alone: it waits for reading calls of other threads to end, while new ones
    are refused. Calls that only read are let in beside each other, and within a changing call of their own thread: from
    its callbacks and from handlers of signals. Everything else is refused before it touches anything.

    Attributes
    ----------
    turn : dict of str to (int, str)
        Under "turn" the changing call's thread and its name; empty if there is none.
    readers : dict of object to int
        The threads of the reading calls, by a token of each.
    stage : {"", "step", "update"}
        What a handler of a signal finds the changing call in the middle of; the executors say so.
    hand : {"", "forward", "loss", "backward", "update"}
        The last of the four steps by hand; "" again once anything else has changed what the next one needs.
    """

    __slots__ = ("_process", "hand", "readers", "stage", "turn")

    def __init__(self) -> None:
        self.turn: dict[str, tuple[int, str]] = {}
        self.readers: dict[Any, int] = {}
        self.stage = self.hand = ""
        self._process = os.getpid()

    def take(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that changes the model.

        Parameters
        ----------
        what : str
            How messages call it.
        function : callable
        *args
            Its arguments.

        Returns
        -------
        object
            What the function returns.

        Raises
        ------
        RuntimeError
            If the model is in use.
        """
        if self._process != os.getpid():
            self._forget_others()
        turn, mine = self.turn, (get_ident(), what)
        try:
            owner = turn.setdefault("turn", mine)
            if owner is not mine:
                raise RuntimeError(_refusal(what, owner))
            while self.readers:
                if mine[0] in self.readers.values():
                    raise RuntimeError(_refusal(what, (mine[0], "a call that reads this model")))
                time.sleep(_PAUSE)
            return function(*args)
        finally:
            # no call before the turn is given back: Ctrl-C would come in between, and it would be taken for ever
            if "turn" in turn and turn["turn"] is mine:
                del turn["turn"]

    def read(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that only reads the model; see `take`."""
        if self._process != os.getpid():
            self._forget_others()
        token = object()
        try:
            self.readers[token] = get_ident()
            owner = self.turn.get("turn")
            if owner is not None and (owner[0] != get_ident() or self.stage == "update"):
                raise RuntimeError(_refusal(what, owner))
            return function(*args)
        finally:
            self.readers.pop(token, None)

    def _forget_others(self) -> None:
        """Forget, in a forked child, the calls of threads that it does not have."""
        mine, self._process = get_ident(), os.getpid()
        if self.turn.get("turn", (mine, ""))[0] != mine:
            self.turn.clear()
        for token in [token for token, thread in self.readers.items() if thread != mine]:
            del self.readers[token]

    def between(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function that changes the model, also within `fit` in this thread, but not in the middle of a step."""
        owner = self.turn.get("turn")
        if owner is None or owner[0] != get_ident():
            return self.take(what, function, *args)
        if owner[1] != "fit":
            raise RuntimeError(_refusal(what, owner))
        # a step, or an evaluation
        if self.stage or get_ident() in self.readers.values():
            raise RuntimeError(f"{owner[1]} is in the middle of a step; {what} must wait for its end")
        return function(*args)


def _refusal(what: str, owner: tuple[int, str]) -> str:
    thread, running = owner
    if thread == get_ident():
        return f"{running} is running; within it this model may predict, evaluate and save, not {what}"
    return f"{running} is running on this model in another thread; wait for it, or give each thread a model of its own"
