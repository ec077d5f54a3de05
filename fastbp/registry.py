"""Classes that users and files name: a subclass of a registered base class is found once it is defined.

fastbp's own classes have their plain names in files; a user's has its module's before it, so that it never stands for
another. Files are read with the classes that the process has: no name of a file is ever imported.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from types import FunctionType
from typing import TYPE_CHECKING

from .checks import as_expressions, check_name
from .kernels import add_row, names_called, row_called
from .kernels.table import TABLE
from .naming import Spelled, complete, foreign, is_own, others_of, own_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, ClassVar, TypeVar

    from .kernels.table import Row

    T = TypeVar("T", bound="Registered")

__all__ = [
    "NotDefinedError", "Registered", "check_readable", "check_row", "custom_classes", "make", "name_of", "restore",
    "row_of",
]  # fmt: skip

#: What `load_model(custom_objects=)` was given, while a file is read.
_GIVEN: ContextVar[Given] = ContextVar("custom_objects")


class Given:
    """The classes that a reader of a file was given.

    Parameters
    ----------
    classes : dict of str to type
        By the names that a file has for them, or by their own alone.

    Attributes
    ----------
    unused : list of str
        The names that the file did not ask for.
    others : list of str
        Those of users' classes for which it asked.
    """

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self.classes, self.unused, self.others = classes, list(classes), list[str]()

    def asked(self, name: str) -> str | None:
        """Note that the file names a class; return the name that it was given by, or None."""
        plain = name.rpartition(".")[2]
        found = next((key for key in (name, plain) if key in self.classes), None)
        if found is None and plain != name:
            self.others.append(name)
        if found in self.unused:
            self.unused.remove(found)
        return found


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

    fastbp's own are imported when a class is asked for that is not here, or all are: what is said of them is the same
    whatever was imported before.

    Attributes
    ----------
    kind : str
        What they are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._named: dict[str, type[Any]] = {}
        self._classes: dict[str, type[Any]] = {}

    @property
    def named(self) -> dict[str, type[Any]]:
        """All by the names for users to write."""
        complete(self.kind)
        return self._named

    @property
    def classes(self) -> dict[str, type[Any]]:
        """All by `name_of`."""
        complete(self.kind)
        return self._classes

    @property
    def known(self) -> dict[str, type[Any]]:
        """All by names of either kind: fastbp's own in the order of their modules, then users'."""
        found = {**self.named, **self.classes}
        own = sorted((name for name in found if is_own(found[name])), key=lambda name: found[name].__module__)
        return {name: found[name] for name in (*own, *found)}

    def add(self, cls: type[Any], names: tuple[str, ...]) -> None:
        """Add a class; one that is defined again, as in a notebook, takes the older one's place.

        Raises
        ------
        ValueError
            If another class has one of the names.
        """
        whose, find = name_of(cls), self._found if is_own(cls) else self.find
        for name in names:
            other = find(name)
            if other is not None and name_of(other) != whose:
                taken = f"the {self.kind} {name!r} is {other.__module__}.{other.__qualname__}"
                raise ValueError(f"{taken}; {cls.__module__}.{cls.__qualname__} must have another name")
        if whose in self._classes:
            self._named = {name: other for name, other in self._named.items() if other is not self._classes[whose]}
        self._named.update(dict.fromkeys(names, cls))
        self._classes[whose] = cls

    def find(self, name: str) -> type[Any] | None:
        """Return the class of a name of either kind, or None."""
        found = self._found(name)
        if found is None:
            complete(self.kind)
            found = self._found(name)
        return found

    def _found(self, name: str) -> type[Any] | None:
        return self._named.get(name) or self._classes.get(name)


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

    def _check_readable(self) -> None:
        """Raise ValueError where a file would stand for another class.

        Classes of one function, or of a cell of a notebook that ran again, have one name: files mean the newest. Where
        that is defined by the same code it is as good.
        """
        cls = type(self)
        newest = cls.registry.find(name_of(cls))
        if newest is not cls and not (newest and _alike(newest, cls)):
            raise ValueError(
                f"the class of {cls.registry.kind} {name_of(cls)!r} is not the one that a file would stand for: "
                "another one of that name was defined after it. Make the model with the newer class, or define the "
                "two with different names"
            )


#: What Python itself puts into a class.
_OF_PYTHON = {
    "__dict__", "__weakref__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__",
    "__annotations_cache__", "registry",
}  # fmt: skip


def _alike(a: Any, b: Any) -> bool:
    """Whether two classes, or parts of them, are made by the same code with the same values."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, type):
        parts = [{k: v for k, v in vars(cls).items() if k not in _OF_PYTHON} for cls in (a, b)]
        pairs = [parts, [a.__bases__, b.__bases__]] if name_of(a) == name_of(b) else []
        return bool(pairs) and all(_alike(*pair) for pair in pairs)
    if isinstance(a, FunctionType):
        return a.__code__ == b.__code__ and _alike(_surroundings(a), _surroundings(b))
    if isinstance(a, (classmethod, staticmethod)):
        return _alike(a.__func__, b.__func__)
    if isinstance(a, property):
        return _alike([a.fget, a.fset, a.fdel], [b.fget, b.fset, b.fdel])
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_alike, a, b))
    return isinstance(a, (bool, int, float, str, bytes)) and a == b


def _surroundings(function: FunctionType) -> list[Any]:
    """Return what a function has besides its code: defaults, and variables of those around it but for its class."""
    owner, cells = function.__qualname__.rpartition(".")[0], function.__closure__ or ()
    values = [cell.cell_contents for cell in cells]
    own = [v for v in values if not (isinstance(v, type) and v.__qualname__ == owner)]  # `super()` has the class
    return [function.__defaults__, function.__kwdefaults__, own]


def row_of(family: str, name: Any, expressions: Any = None, row_name: str | None = None) -> str:
    """Return what the row of an activation, a layer or a loss is called in the table.

    Parameters
    ----------
    family : {"activation", "layer", "loss"}
    name : str
        What users call it.
    expressions : tuple of str, optional
        Of a function of a user's.
    row_name : str, optional
        What it was called where an object was pickled, or copied.

    Raises
    ------
    ValueError
        If there is none; a `NotDefinedError` where a file, or a pickle, names it.
    """
    given = _GIVEN.get(None)
    if given is not None:
        given.asked(str(name))
    if expressions is not None:
        return add_row(name, family, *as_expressions(expressions)).name
    if row_name in TABLE and TABLE[row_name].called == name:
        return row_name
    known = names_called(family)
    if name not in known and (row_name is not None or given is not None):
        raise NotDefinedError(
            f"there is no {family} {name!r} here. If it is made of Numba functions, of which only the name is written: "
            f"call fastbp.custom.{family}(..., {name!r}, derivative=...) first, as where it was made"
        )
    if family == "layer" and name not in known:
        made = f"fastbp.custom.layer(function, {name!r}) makes one"
        raise ValueError(f"there is no layer {name!r} that is made of a function: {made}")
    if name not in known:
        check_name(family, name, known, others_of(family))
    newest: Any = row_called(name)
    return str(newest.name)


def check_row(row: Row) -> None:
    """Raise ValueError where a file would stand for another row: of Numba functions it has the name alone."""
    newest: Any = row_called(row.called)
    pairs = zip(row.kernels.values(), newest.kernels.values(), strict=True)
    if any(old.foreign and not _alike(old.function, new.function) for old, new in pairs):
        raise ValueError(
            f"the {row.family} {row.called!r} is made of Numba functions, and is not the one that a file would stand "
            "for: another one of that name was made after it. Make the model with the newer one, or give the two "
            "different names"
        )


def check_readable(*parts: Any) -> bool:
    """Raise ValueError where a file would stand for another class, or function, than an object's or one that it has.

    Returns
    -------
    bool
        Whether some of the classes are a user's.
    """
    users = False
    seen: set[int] = set()
    waiting = [*parts]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Registered):
            part._check_readable()
            users = users or not is_own(type(part))
            waiting += vars(part).values()
        elif isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, dict):
            waiting += part.values()
    return users


@contextmanager
def custom_classes(classes: Mapping[str, Any]) -> Iterator[Given]:
    """Let names of a file stand for these classes, in this thread, within a with statement."""
    given = Given(classes)
    token = _GIVEN.set(given)
    try:
        yield given
    finally:
        _GIVEN.reset(token)


def _class(base: type[T], name: Any) -> type[T]:
    registry, given = base.registry, _GIVEN.get(None)
    key = given.asked(name) if given is not None and isinstance(name, str) else None
    if given is not None and key is not None:
        found = given.classes[key]
    else:
        found = registry.find(name) if isinstance(name, str) else None
    if found is None and key is None:
        if isinstance(name, str) and "." in name:
            raise NotDefinedError(
                f"the {registry.kind} {name!r} is not defined here: import or define its class first, or say which it "
                f"is, load_model(custom_objects={{{name!r}: ...}})"
            )
        check_name(registry.kind, name, registry.known, others_of(registry.kind))
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"custom_objects[{key!r}] is {found!r}; it must be a subclass of {base.__name__}")
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
        hint = foreign(kind, value, registry.known)
        if hint:
            raise TypeError(f"{kind} is {value!r}; it must be a name or an object of {base.__name__}{hint}")
    elif registry.find(value) is None:
        value, given = own_name(kind, value, registry.known)
    found = _class(base, value)
    try:
        return found(**given)
    except TypeError as error:
        raise TypeError(f"{kind} {value!r} has arguments; give an object: {error}") from error
