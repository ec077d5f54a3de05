"""What users may give by name: one lookup, and one message where nothing has that name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .checks import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    T = TypeVar("T")

__all__ = ["configured", "named"]


def named(kind: str, value: Any, base: type[T], classes: Mapping[str, type[T]]) -> T:
    """Return an object as it is, or a new one of the class that it names.

    Parameters
    ----------
    kind : str
        For the error message.
    value : base or str
    base : type
    classes : dict of str to type
        By the names of the user's choice. A class's own name counts as well: model files have it.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> from fastbp.optimizers import SGD, Optimizer
    >>> named("optimizer", "sgd", Optimizer, {"sgd": SGD})
    SGD(lr=0.01, momentum=0.0, nesterov=False)
    """
    if isinstance(value, base):
        return value
    known = {**classes, **{cls.__name__: cls for cls in classes.values()}}
    check_name(kind, value, known)
    return known[value]()


def configured(kind: str, value: Any, base: type[T], classes: Mapping[str, type[T]]) -> T:
    """Return what `named` does, or the object that a list ``[name, arguments]``, as files have it, stands for."""
    if isinstance(value, list) and len(value) == 2:
        return type(named(kind, value[0], base, classes))(**value[1])
    return named(kind, value, base, classes)
