"""What `evaluate` returns: a loss and metrics, by name and in order."""

from __future__ import annotations

import operator
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING

import numpy as np

from .checks import suggest

if TYPE_CHECKING:
    from typing import Any

__all__ = ["Evaluation"]


def _of_loss(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that applies a function of a number, and of another one, to the loss."""

    def method(self: Evaluation, *others: Any) -> Any:
        return function(self._number(), *others)

    return method


def _from_right(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return the method for an evaluation that is the second of two numbers."""

    def method(self: Evaluation, other: Any) -> Any:
        return function(other, self._number())

    return method


class Evaluation:
    """A loss and metrics, as `Model.evaluate` returns them; nothing changes it.

    Its order is that of `Model.compile`: the loss, then the metrics. It iterates over the **values**, so that it
    can be unpacked and indexed like Keras' list; everything else goes by name.

    Parameters
    ----------
    values : dict of str to float
        "loss" and the metrics by name; a `ConfusionMatrix` is an array. The dict is kept, not copied.

    Notes
    -----
    - ``e["accuracy"]``, ``e.accuracy``, ``e.get("accuracy")``: a value by its name. The attributes ``get``, ``items``,
      ``keys`` and ``values`` are methods: a metric of such a name, of one that is no identifier or begins with an
      underscore, is there in brackets only. ``"accuracy" in e`` asks for a name.
    - ``e[0]``, ``e[-1]``, ``e[1:]``: values by their place; ``len(e)`` is how many there are.
    - ``dict(e)``, ``{**e}``: a dict, for ``json.dumps`` and all else that wants one. ``e == {...}`` compares with one,
      or with another evaluation; arrays are equal where all their elements are.
    - ``float(e)`` is the loss. Where there are **no metrics**, Keras returns a bare number, and so an evaluation is
      one: it computes, compares, rounds and prints like its loss. With metrics ``e < 0.1`` would not say which value
      is meant, and is a TypeError; ``f"{e:.3f}"`` then shows all values in that format.
    - ``numpy.asarray(e)`` is an array of the values; of no metrics it is the loss, without an axis.

    Examples
    --------
    >>> import numpy as np, fastbp
    >>> x, y = np.eye(4), np.array([0, 1, 0, 1])
    >>> model = fastbp.Sequential([fastbp.Dense(2, kernel_initializer="zeros")])
    >>> model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> found = model.evaluate(x, y)
    >>> loss, accuracy = found
    >>> found.accuracy, found["accuracy"], found[1], accuracy
    (0.5, 0.5, 0.5, 0.5)
    >>> print(f"{found:.3f}")
    loss 0.693, accuracy 0.500
    >>> sorted(found.keys()), dict(found) == found
    (['accuracy', 'loss'], True)
    """

    __slots__ = ("_values",)

    _values: dict[str, Any]

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    # ------------------------------------------------------------------ by name

    def keys(self) -> KeysView[str]:
        """Return the names, "loss" first.

        Returns
        -------
        dict_keys

        Examples
        --------
        >>> [*Evaluation({"loss": 0.5, "mae": 0.25}).keys()]
        ['loss', 'mae']
        """
        return self._values.keys()

    def values(self) -> ValuesView[Any]:
        """Return the values, the loss first.

        Returns
        -------
        dict_values

        Examples
        --------
        >>> [*Evaluation({"loss": 0.5, "mae": 0.25}).values()]
        [0.5, 0.25]
        """
        return self._values.values()

    def items(self) -> ItemsView[str, Any]:
        """Return the pairs of a name and its value.

        Returns
        -------
        dict_items

        Examples
        --------
        >>> for name, value in Evaluation({"loss": 0.5, "mae": 0.25}).items():
        ...     print(name, value)
        loss 0.5
        mae 0.25
        """
        return self._values.items()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name.

        Parameters
        ----------
        name : str
        default : object
            What is returned where there is no such name.

        Returns
        -------
        float, ndarray or `default`

        Examples
        --------
        >>> found = Evaluation({"loss": 0.5, "mae": 0.25})
        >>> found.get("mae"), found.get("mse"), found.get("mse", 0.0)
        (0.25, None, 0.0)
        """
        return self._values.get(name, default)

    def __getattr__(self, name: str) -> Any:
        # what Python and notebooks ask every object for is no metric, and comes before there are any
        if name.startswith("_"):
            raise AttributeError(f"an Evaluation has no {name!r}")
        if name not in self._values:
            raise AttributeError(f"an Evaluation has no {name!r}{self._known(name)}")
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def _known(self, name: object) -> str:
        hint = suggest(name, self._values)
        return f"{f'{hint} There' if hint else '; there'} are {', '.join(self._values)}"

    # ------------------------------------------------------------------ by place

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            try:
                return self._values[key]
            except KeyError:
                raise KeyError(f"there is no {key!r}{self._known(key)}") from None
        try:
            return list(self._values.values())[key]
        except TypeError:
            what = "a name, a place or a slice; iterating gives values, and keys() gives the names"
            raise TypeError(f"the index is {key!r}; it must be {what}") from None

    # ------------------------------------------------------------------ as a number

    def __float__(self) -> float:
        return float(self._values["loss"])

    def _number(self) -> float:
        """Return the loss, where it is all there is."""
        if len(self._values) > 1:
            names = ", ".join(self._values)
            raise TypeError(f"this Evaluation has several values, {names}; take one of them, such as e['loss'] or e[0]")
        return float(self)

    __lt__, __le__ = _of_loss(operator.lt), _of_loss(operator.le)
    __gt__, __ge__ = _of_loss(operator.gt), _of_loss(operator.ge)
    __add__, __radd__ = _of_loss(operator.add), _from_right(operator.add)
    __sub__, __rsub__ = _of_loss(operator.sub), _from_right(operator.sub)
    __mul__, __rmul__ = _of_loss(operator.mul), _from_right(operator.mul)
    __truediv__, __rtruediv__ = _of_loss(operator.truediv), _from_right(operator.truediv)
    __floordiv__, __rfloordiv__ = _of_loss(operator.floordiv), _from_right(operator.floordiv)
    __mod__, __rmod__ = _of_loss(operator.mod), _from_right(operator.mod)
    __divmod__, __rdivmod__ = _of_loss(divmod), _from_right(divmod)
    __pow__, __rpow__ = _of_loss(operator.pow), _from_right(operator.pow)
    __pos__, __neg__, __abs__ = _of_loss(operator.pos), _of_loss(operator.neg), _of_loss(abs)
    __round__, __int__ = _of_loss(round), _of_loss(int)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("an Evaluation is no array: one cannot be made of it without a copy")
        return np.array(self[0] if len(self) == 1 else list(self), dtype)

    # ------------------------------------------------------------------ beside others

    def __eq__(self, other: object) -> Any:
        if isinstance(other, (Evaluation, Mapping)):
            return self.keys() == other.keys() and all(
                value is other[name] or np.array_equal(value, other[name]) for name, value in self.items()
            )
        return float(self) == other if len(self) == 1 else NotImplemented

    def __hash__(self) -> int:
        # of equal evaluations, and of an equal number, the loss is the same
        return hash(float(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._values,)

    # ------------------------------------------------------------------ to be read

    def __repr__(self) -> str:
        return f"Evaluation({self._values!r})"

    def __str__(self) -> str:
        return format(self, "")

    def __format__(self, spec: str) -> str:
        shown = {name: format(v, spec) if np.ndim(v) == 0 else str(v) for name, v in self.items()}
        return shown["loss"] if len(shown) == 1 else ", ".join(f"{name} {text}" for name, text in shown.items())

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._values]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._values)

    def _repr_html_(self) -> str:
        from .html import table

        return table([("", "value"), *((name, f"{v:.6g}" if np.ndim(v) == 0 else str(v)) for name, v in self.items())])
