"""The directive ``spellings``: what the table of Keras' and PyTorch's names says, as tables of a page."""

from reference import escaped, listed
from sphinx.util.docutils import SphinxDirective

from fastbp.spellings import ARGUMENTS, ATTRIBUTES, CLASSES, DEFAULTS, DIFFERENCES, MODULES, STRINGS


def quoted(value):
    """Return code."""
    return f"``{value}``"


def told(text):
    """Return advice as a sentence in rst; a name at its beginning stays as it is."""
    begins_with_a_word = text.partition(" ")[0].strip(",").isalpha()
    return escaped(text[:1].upper() + text[1:] if begins_with_a_word else text) + "."


def written(row):
    """Return what a class is here, with the arguments that belong to it."""
    given = ", ".join(f"{name}={value!r}" for name, value in row.given.items())
    place = f":py:obj:`{row.own} <fastbp.{MODULES[row.kind]}.{row.own}>`"
    return f"{place} with ``{given}``" if given else place


def attribute(row):
    """Return an attribute with what it is one of."""
    return quoted(f"{row.of.lower()}.{row.theirs}")


def names(library):
    """Return a table of the classes, strings and attributes that are taken."""
    rows = [(quoted(row.theirs), written(row)) for row in CLASSES if library in row.library and row.own]
    strings = [row for row in STRINGS if library in row.library and row.own]
    rows += [(f"the {row.kind} {quoted(repr(row.theirs))}", quoted(repr(row.own))) for row in strings]
    rows += [(attribute(row), quoted(row.own)) for row in ATTRIBUTES if library in row.library and row.own]
    return listed(rows, (45, 55), (library, "fastbp"))


def arguments(library):
    """Return a table of the arguments that are taken."""
    rows = []
    for row in ARGUMENTS:
        if library in row.library and row.own:
            own = row.own if isinstance(row.own, str) else ", ".join(row.own)
            values = ", ".join(f"``{theirs!r}`` is ``{here!r}``" for theirs, here in row.values.items())
            rows.append((quoted(row.of), quoted(row.theirs), quoted(own) + (f": {values}" if values else "")))
    return listed(rows, (40, 30, 30), ("of", library, "fastbp"))


def advice(library):
    """Return a table of what is refused, and of what to write."""
    rows = [(quoted(row.theirs), told(row.advice)) for row in CLASSES if library in row.library and row.advice]
    for row in ARGUMENTS:
        if library in row.library and row.advice:
            taken = " or ".join(quoted(repr(value)) for value in row.neutral)
            rows.append((quoted(f"{row.of}({row.theirs}=)"), told(row.advice) + (f" Taken: {taken}." if taken else "")))
    rows += [
        (f"the {row.kind} {quoted(repr(row.theirs))}", told(row.advice))
        for row in STRINGS
        if library in row.library and row.advice
    ]
    rows += [(attribute(row), told(row.advice)) for row in ATTRIBUTES if library in row.library and row.advice]
    return listed(rows, (36, 64), (library, "fastbp"))


def defaults(library):
    """Return a table of the defaults that differ."""
    field = library.lower()
    rows = [
        (quoted(row.of), quoted(row.argument), quoted(repr(row.own)), quoted(repr(getattr(row, field))))
        for row in DEFAULTS
        if getattr(row, field) is not None
    ]
    return listed(rows, (40, 24, 18, 18), ("of", "argument", "fastbp", library))


def differences(library):
    """Return a table of what has one name and is not one thing."""
    rows = [(escaped(row.name), escaped(row.here), escaped(row.there)) for row in DIFFERENCES if library in row.there]
    return listed(rows, (34, 33, 33), ("", "fastbp", "elsewhere"))


PARTS = {part.__name__: part for part in (names, arguments, advice, defaults, differences)}


class Spellings(SphinxDirective):
    """``.. spellings:: Keras arguments``: a library, and one of `PARTS`."""

    required_arguments = 2

    def run(self):
        """Return the nodes."""
        library, part = self.arguments
        return self.parse_text_to_nodes(PARTS[part](library))


def setup(app):
    """Register the directive."""
    app.add_directive("spellings", Spellings)
    return {"version": "1"}
