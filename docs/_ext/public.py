"""What of fastbp is public, and whether its docstrings say what they have to.

    python docs/_ext/public.py

lists what is missing; nothing is printed where all is there.
"""

import contextlib
import functools
import importlib
import inspect
import sys
from pathlib import Path
from types import FunctionType

from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

#: Modules whose ``__all__`` is public, in the order of the reference. Most names of the last, `fastbp`, are theirs.
MODULES = tuple(
    f"fastbp.{name}"
    for name in (
        "layers", "losses", "optimizers", "schedules", "initializers", "regularizers", "constraints", "metrics",
        "callbacks", "datasets", "table", "io", "custom", "insight", "kernels", "kernels.table", "kernels.cython_ext",
        "program", "sklearn",
    )
)  # fmt: skip
MODULES += ("fastbp",)
#: numpydoc's checks that hold for every public name.
CHECKS = {
    "GL08": "no docstring",
    "GL06": "a section of an unknown name, which would be shown as text",
    "GL07": "sections in another order",
    "SS01": "no summary",
    "SS03": "a summary without a period",
    "SS06": "a summary of two lines: tables would show the half of it",
    "PR01": "a parameter that is not documented",
    "PR02": "a documented parameter that does not exist",
    "PR03": "parameters in another order than the signature",
    "PR04": "a parameter without a type",
    "PR05": "a type with a period",
    "PR10": "no space before a colon: numpydoc would take the type for the name",
    "RT01": "no Returns",
    "YD01": "no Yields",
    "EX01": "no example",
}
# left out: GL01-GL03, GL05, GL09 (where quotes and blank lines stand), SS02 (a summary may begin with a formula), SS04,
# SS05 (style), ES01, SA01 (sections that not every name needs), PR06 to PR09, RT02 to RT05 (a type often says it all),
# DP01 (nothing is deprecated)

#: Classes that users are given and never make: their attributes are documented, not what makes them.
RETURNED = (
    "insight.Blame", "insight.Finding", "insight.GradientCheck", "insight.LayerBlame", "insight.RangeTest",
    "kernels.table.Bound", "kernels.table.Kernel", "kernels.table.Operand", "kernels.table.Row", "program.Buffer",
    "program.Call", "program.CallError", "program.Plan", "Tensor", "table.Column",
)  # fmt: skip


def is_public(module, name):
    """Whether a name of a module is documented by itself: modules have pages of their own."""
    return not inspect.ismodule(getattr(module, name))


@functools.cache
def names():
    """Return the public names with what they name; and the second names of some of them with their first."""
    first, found, second = {}, {}, {}
    for place in MODULES:
        module = importlib.import_module(place)
        for name in module.__all__:
            if not is_public(module, name):
                continue
            value = getattr(module, name)
            full = f"{place}.{name}"
            # constants have no identity that says which name is whose
            known = first.setdefault(id(value), full) if callable(value) else full
            if known == full:
                found[full] = value
            else:
                second[full] = known
    return found, second


@functools.cache
def public_classes():
    """Return the public classes."""
    return [value for value in names()[0].values() if inspect.isclass(value)]


def sources(cls):
    """Return the classes whose members are documented with a class: itself and its private bases."""
    public = public_classes()
    private = (base for base in cls.__mro__[1:] if base.__module__.startswith("fastbp") and base not in public)
    return [cls, *private]


def members(cls):
    """Return the names of the public methods and properties of a class that have no public base to be documented at."""
    kinds = (FunctionType, property, classmethod, staticmethod)
    owned = {name for base in sources(cls) for name, value in vars(base).items() if isinstance(value, kinds)}
    return sorted(name for name in owned if not name.startswith("_") or name == "__call__")


@functools.cache
def everything():
    """Return all that has to be documented by full name: with the members of classes, without second names."""
    found = {}
    for name, value in names()[0].items():
        found[name] = value
        if inspect.isclass(value):
            found.update((f"{name}.{member}", inspect.getattr_static(value, member)) for member in members(value))
    return found


@functools.cache
def errors(name):
    """Return what numpydoc finds missing in the docstring of a name, as (code, message)."""
    return tuple((code, message) for code, message in validate(name)["errors"] if code in CHECKS)


def overridden(name):
    """Return the method of a public base that a method overrides, by its full name; None for any other name."""
    place, _, member = name.rpartition(".")
    cls = names()[0].get(place)
    if not inspect.isclass(cls) or not inspect.isfunction(inspect.getattr_static(cls, member)):
        return None
    known = {id(value): full for full, value in names()[0].items()}
    bases = (known[id(base)] for base in cls.__mro__[1:] if id(base) in known and member in vars(base))
    return next((f"{base}.{member}" for base in bases), None)


def inherited(name):
    """Return the errors that a method is excused for: what the method it overrides says holds for it too."""
    base = overridden(name)
    if base is None or missing(base):
        return set()
    own, other = (everything()[full] for full in (name, base))
    # a layer of several inputs has lists: input_shapes for input_shape
    same = len({tuple(name.rstrip("s") for name in inspect.signature(value).parameters) for value in (own, other)}) == 1
    return {"PR01", "RT01"} if same else set()


def wants_example(name):
    """Whether users call it or make objects of it, other than as a base says it already."""
    value = names()[0].get(name)
    if value is None:
        member = name.rpartition(".")[2]
        method = inspect.isfunction(everything()[name]) and overridden(name) is None
        # `fit` calls hooks, and the pages show pictures
        return method and not member.startswith("on_") and member != "plot"
    given = name.removeprefix("fastbp.") in RETURNED or (inspect.isclass(value) and issubclass(value, Exception))
    # of the kernels the table shows the formulas
    kernels = sys.modules["fastbp.kernels.table"].KERNELS
    return not given and name.removeprefix("fastbp.kernels.") not in kernels


def missing(name):
    """Return the errors of a name that nothing excuses, as (code, message)."""
    excused = inherited(name)
    if name.removeprefix("fastbp.") in RETURNED:
        attributes = NumpyDocString(inspect.getdoc(names()[0][name]))["Attributes"]
        excused = {"PR01"} if attributes else set()
    if not wants_example(name):
        excused |= {"EX01"}
    return [(code, message) for code, message in errors(name) if code not in excused]


def comment(name):
    """Return what the comment ``#:`` before a constant says, in its module or in the part of it that defines it."""
    place, _, constant = name.rpartition(".")
    for module in sorted(sys.modules):
        if module == place or module.startswith(place + "."):
            with contextlib.suppress(PycodeError):
                text = ModuleAnalyzer.for_module(module).find_attr_docs().get(("", constant))
                if text:
                    return " ".join(text).strip()
    return ""


def problems():
    """Return a sentence for everything that is missing."""
    found = []
    for name, value in everything().items():
        if not (callable(value) or isinstance(value, (property, classmethod, staticmethod))):
            found += [f"{name}: a constant without a comment #:"] * (not comment(name))
            continue
        found += [f"{name}: {code}, {message}" for code, message in missing(name)]
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent.parent))
    missing = problems()
    print(*missing, sep="\n", end="\n" if missing else "")
    sys.exit(bool(missing))
