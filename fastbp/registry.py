"""Classes that users and files name: a subclass of a registered base class is found once it is defined.

fastbp's own classes have their plain names in files; a user's has its module's before it, so that it never stands for
another. Files are read with the classes that the process has: no name of a file is ever imported.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from .checks import check_name
from .naming import Spelled, foreign, is_own, others_of, own_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, ClassVar, TypeVar

    T = TypeVar("T", bound="Registered")

__all__ = ["NotDefinedError", "Registered", "check_readable", "custom_classes", "make", "name_of", "restore"]

#: The classes of `load_model(custom_objects=)` by the names of the file that is read.
_CUSTOM: ContextVar[Mapping[str, type]] = ContextVar("custom_objects")


class NotDefinedError(ValueError):
    """A class of a user's that a file names is not there."""


def name_of(cls: type) -> str:
    """Return the name by which files know a class: fastbp's own by its name alone, others with their module.

    Examples
    --------
    >>> import fastbp
    >>> name_of(fastbp.Dense)
    'Dense'
    >>> class Plain(fastbp.Dense):
    ...     __module__ = "mine"
    >>> name_of(Plain)
    'mine.Plain'
    """
    return cls.__name__ if is_own(cls) else f"{cls.__module__}.{cls.__qualname__}"


class Registry:
    """The subclasses of one base class.

    Attributes
    ----------
    kind : str
        What they are, for messages.
    named : dict of str to type
        By the names for users to write.
    classes : dict of str to type
        By `name_of`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.named: dict[str, type[Any]] = {}
        self.classes: dict[str, type[Any]] = {}

    def add(self, cls: type[Any], names: tuple[str, ...]) -> None:
        """Add a class; one that is defined again, as in a notebook, takes the older one's place.

        Raises
        ------
        ValueError
            If another class has one of the names.
        """
        whose = name_of(cls)
        for name in names:
            other = self.find(name)
            if other is not None and name_of(other) != whose:
                taken = f"the {self.kind} {name!r} is {other.__module__}.{other.__qualname__}"
                raise ValueError(f"{taken}; {cls.__module__}.{cls.__qualname__} must have another name")
        if whose in self.classes:
            self.named = {name: other for name, other in self.named.items() if other is not self.classes[whose]}
        self.named.update(dict.fromkeys(names, cls))
        self.classes[whose] = cls

    def find(self, name: str) -> type[Any] | None:
        """Return the class of a name of either kind, or None."""
        return self.named.get(name) or self.classes.get(name)


class Registered(Spelled, base=True):
    """What base classes with a registry share.

    A subclass may have names for users to write, ``class Mine(Loss, names=("mine",))``; the first is its own.
    """

    registry: ClassVar[Registry]
    names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, kind: str | None = None, names: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init_subclass__(base=kind is not None, **kwargs)
        if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
            raise TypeError(f"names of {cls.__qualname__} is {names!r}; it must be a tuple of names, such as ('mine',)")
        cls.names = tuple(names) or (cls.__name__,)
        if kind is not None:
            cls.registry = Registry(kind)
        elif not (is_own(cls) and cls.__name__.startswith("_")):  # what some of fastbp's classes share is none itself
            cls.registry.add(cls, names)


def check_readable(*parts: Any) -> None:
    """Raise ValueError where a file would stand for another class than an object's, or one that it has.

    Classes of one function, or of a cell of a notebook that ran again, have one name: files mean the newest.
    """
    seen: set[int] = set()
    waiting = [*parts]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Registered):
            cls = type(part)
            if cls.registry.classes.get(name_of(cls)) is not cls:
                raise ValueError(
                    f"the class of {cls.registry.kind} {name_of(cls)!r} is not the one that a file would stand for: "
                    "another one of that name was defined after it. Make the model with the newer class, or define the "
                    "two with different names"
                )
            waiting += vars(part).values()
        elif isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()


@contextmanager
def custom_classes(classes: Mapping[str, type]) -> Iterator[None]:
    """Let names of a file stand for these classes, in this thread, within a with statement."""
    token = _CUSTOM.set(classes)
    try:
        yield
    finally:
        _CUSTOM.reset(token)


def _class(base: type[T], name: Any) -> type[T]:
    registry = base.registry
    known = {**registry.named, **registry.classes, **_CUSTOM.get({})}
    if isinstance(name, str) and "." in name and name not in known:
        raise NotDefinedError(
            f"the {registry.kind} {name!r} is not defined here: import or define its class first, or say which it is, "
            f"load_model(custom_objects={{{name!r}: ...}})"
        )
    check_name(registry.kind, name, known, others_of(registry.kind))
    found = known[name]
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"custom_objects[{name!r}] is {found!r}; it must be a subclass of {base.__name__}")
    return found


def restore(base: type[T], name: Any, config: Mapping[str, Any]) -> T:
    """Return an object from the name of its class and its arguments, as files have them.

    Raises
    ------
    ValueError
        If there is no such class; a `NotDefinedError` if it is one of a user's.
    """
    return _class(base, name)(**config)


def make(base: type[T], value: Any) -> T:
    """Return an object as it is, a new one of the class that it names, or what a list ``[name, arguments]`` describes.

    Parameters
    ----------
    base : type
    value : base, str or list

    Raises
    ------
    TypeError
        If it is a function, a class or an object of another library; the message says what to write.
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> from fastbp.optimizers import Optimizer
    >>> make(Optimizer, "sgd")
    SGD(lr=0.01, momentum=0.0, nesterov=False)
    """
    if isinstance(value, base):
        return value
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], dict):
        return restore(base, *value)
    kind, registry = base.registry.kind, base.registry
    given: Mapping[str, Any] = {}
    if not isinstance(value, str):
        hint = foreign(kind, value, {**registry.named, **registry.classes})
        if hint:
            raise TypeError(f"{kind} is {value!r}; it must be a name or an object of {base.__name__}{hint}")
    elif registry.find(value) is None:
        value, given = own_name(kind, value, {**registry.named, **registry.classes})
    found = _class(base, value)
    try:
        return found(**given)
    except TypeError as error:
        raise TypeError(f"{kind} {value!r} has arguments; give an object: {error}") from error
