"""Feeds: batches that come one after another, from generators, loaders and other iterables of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .checks import retold
from .kernels.caller import warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["Feed", "inputs_of", "is_feed", "parts_of"]

_END: Any = object()


def is_feed(x: Any, sequences: bool = True) -> bool:
    """Whether data are an iterable of batches: what can be iterated over and is no array_like.

    An array, a list, a tuple, a dict and whatever has ``__array__``, as data frames and tensors have, never is one.

    Parameters
    ----------
    x : object
    sequences : bool
        Whether other objects that have a length and items by number are iterables of batches too. NumPy makes arrays
        of them, so that they may be rows.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_feed(batch for batch in []), is_feed([[1.0, 2.0]]), is_feed(range(3), sequences=False)
    (True, False, False)
    """
    if isinstance(x, (np.ndarray, list, tuple, str, bytes, Mapping)) or hasattr(x, "__array__"):
        return False
    kind = type(x)
    if hasattr(kind, "__getitem__") and hasattr(kind, "__len__"):
        return sequences
    return hasattr(kind, "__iter__") and not hasattr(kind, "toarray")  # sparse matrices


def parts_of(item: Any) -> tuple[Any, Any, Any]:
    """Return x, y and sample_weight or None of a batch for training, or raise an error that says what it is."""
    if not isinstance(item, (tuple, list)):
        raise TypeError(f"it is a {type(item).__name__}; it must be (x, y) or (x, y, sample_weight)")
    if len(item) not in (2, 3):
        raise ValueError(f"it is a {type(item).__name__} of {len(item)}; it must be (x, y) or (x, y, sample_weight)")
    return item[0], item[1], item[2] if len(item) == 3 else None


def _own(item: Any) -> Any:
    """Return a batch whose arrays nobody else writes into."""
    if isinstance(item, np.ndarray):
        return item.copy()
    if isinstance(item, Mapping):
        return {name: _own(part) for name, part in item.items()} if type(item) is dict else item
    if not isinstance(item, (tuple, list)):
        return item
    parts = [_own(part) if isinstance(part, (np.ndarray, tuple, list, Mapping)) else part for part in item]
    return tuple(parts) if isinstance(item, tuple) else parts


def inputs_of(item: Any, shape: tuple[int, ...] | None) -> Any:
    """Return x of a batch for predictions: it, or the first part of (x, y) and the like.

    Parameters
    ----------
    item : array_like or tuple or list of array_like
    shape : tuple of int or None
        Of one row, where it is known: it tells a list of arrays from a list of rows.

    Returns
    -------
    array_like
    """
    if not isinstance(item, (tuple, list)) or len(item) not in (1, 2, 3):
        return item
    several = isinstance(item, tuple) if shape is None else np.ndim(item[0]) == 1 + len(shape)
    return item[0] if several else item


class Feed:
    """The batches of an iterable, made ready for a model, one epoch after another.

    Parameters
    ----------
    name : str
        What messages call the iterable.
    given : iterable
        What can be iterated over again, or has items by number, is begun anew at its end; an iterator is not.
    make : callable
        Makes of an item what is yielded.
    steps : int, optional
        The batches of an epoch; by default all there are.
    epochs : int
        How many there will be.

    Attributes
    ----------
    first : object
        The first batch, made ready.
    steps : int or None
    ran_out : bool
        Whether an epoch ended before its last step because there were no more batches.

    Raises
    ------
    ValueError
        If there is no batch, or there must be several epochs of an iterator and nothing says where one ends.
    """

    def __init__(
        self, name: str, given: Any, make: Callable[[Any], Any], steps: int | None = None, epochs: int = 1
    ) -> None:
        self.name, self.steps, self.ran_out = name, steps, False
        self._given, self._make, self._once = given, make, hasattr(type(given), "__next__")
        if self._once and steps is None and epochs > 1:
            which = "validation_steps" if name == "validation_data" else "steps_per_epoch"
            what = f"{name} is a {type(given).__name__}, which can be iterated over once, and there are {epochs} epochs"
            raise ValueError(f"{what}; give {which}, or an iterable that can be begun anew")
        self._batches: Iterator[Any] | None = None
        self._ahead = _END
        self._epoch = self._taken = self._step = 0
        item = self._next()
        if item is _END:
            raise ValueError(f"{name} has no batches; it must yield one at least")
        # until its turn comes others may draw from what it comes from, such as a validation
        self.first, self._ahead = self._made(item), _own(item)

    @property
    def length(self) -> int | None:
        """The number of batches of an epoch, where it is known."""
        if self.steps is not None:
            return self.steps
        try:
            return len(self._given)
        except TypeError:
            return None

    def _next(self) -> Any:
        """Return the next item, or _END where the iterable is at its end; behind that it begins anew."""
        if self._batches is None:
            # items by number: a sequence of batches as Keras has it
            by_number = not hasattr(type(self._given), "__iter__")
            items = map(self._given.__getitem__, range(len(self._given))) if by_number else iter(self._given)
            self._batches, self._taken = items, 0
        item = next(self._batches, _END)
        if item is not _END:
            self._taken += 1
        elif not self._once:
            self._batches = None
            at_end = getattr(self._given, "on_epoch_end", None)  # Keras' sequences shuffle there
            if at_end is not None:
                at_end()
        return item

    def _made(self, item: Any) -> Any:
        try:
            return self._make(item)
        except (TypeError, ValueError, IndexError) as error:
            where = f"batch {self._step + 1} of {self.name}" + f" in epoch {self._epoch}" * (self._epoch > 1)
            raise retold(error, f"{where}: {error}") from None

    def epoch(self) -> Iterator[Any]:
        """Yield the batches of the next epoch.

        Yields
        ------
        object
        """
        self._epoch += 1
        self._step = 0
        while self._step != self.steps:
            item, self._ahead = self._ahead, _END
            if item is _END:
                item = self._next()
            if item is not _END:
                batch = self._made(item)
                self._step += 1
                yield batch
            elif self.steps is None and self._step:
                return
            elif self._once or not self._taken:
                self.ran_out = True
                wanted = "" if self.steps is None else f" of {self.steps}"
                warn(f"{self.name} ran out of batches in epoch {self._epoch}, after {self._step}{wanted}")
                return
