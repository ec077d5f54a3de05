"""What is public, with signatures: `python -m tests.api` writes the list that `test_api.py` compares.

A change of it is a change for users: it belongs in the changelog, and the list into the same commit.
"""

import importlib
import inspect
import re
import sys
from pathlib import Path

LIST = Path(__file__).with_name("public_api.txt")
#: Modules whose `__all__` is public, besides those that `fastbp.__all__` has.
OTHERS = ("fastbp.kernels.cython_ext", "fastbp.kernels.table", "fastbp.program", "fastbp.sklearn")


def modules():
    """Return the public modules."""
    import fastbp

    found = [value for name in fastbp.__all__ if inspect.ismodule(value := getattr(fastbp, name))]
    return [fastbp, *sorted([*found, *map(importlib.import_module, OTHERS)], key=lambda module: module.__name__)]


def signature(function):
    """Return a signature without types: names, kinds and defaults."""
    found = inspect.signature(function)
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    text = str(found.replace(parameters=plain, return_annotation=found.empty))
    return re.sub(r" at 0x[0-9a-f]+", "", text)


def members(name, cls, public):
    """Yield the public members of a class, but those that it has from a public one."""
    from fastbp.naming import ElsewhereAttribute

    places = [base for base in cls.__mro__ if base is cls or (base not in public and base.__module__[:6] == "fastbp")]
    for member in sorted({member for base in places for member in vars(base) if not member.startswith("_")}):
        if member == "names":  # for users to write; else the class has its own name only
            if cls.names != (cls.__name__,):
                yield f"{name}.names = {cls.names}"
            continue
        value = inspect.getattr_static(cls, member)
        if isinstance(value, ElsewhereAttribute):  # `spellings.py` has the list
            continue
        value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        kind = signature(value) if inspect.isfunction(value) else ": property" if isinstance(value, property) else ""
        yield f"{name}.{member}{kind}"


def lines():
    """Return the list, one name a line."""
    found = [(module, name, getattr(module, name)) for module in modules() for name in sorted(module.__all__)]
    public = {value for _, _, value in found if inspect.isclass(value)}
    listed, written = [], {}
    for module, name, value in found:
        full = f"{module.__name__}.{name}"
        if inspect.isclass(value) or inspect.isroutine(value):
            first = written.setdefault(value, full)
            if first != full:
                listed.append(f"{full} is {first}")
                continue
        if inspect.isclass(value):
            own = inspect.isfunction(value.__init__) and value.__init__.__module__.startswith("fastbp")
            listed.append(full + (re.sub(r"self(, )?", "", signature(value.__init__), count=1) if own else ""))
            listed += members(full, value, public)
        else:
            listed.append(full + (signature(value) if inspect.isroutine(value) else ""))
    return listed


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    LIST.write_text("\n".join(lines()) + "\n", encoding="utf-8")
