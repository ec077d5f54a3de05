"""Directives of the reference: ``public`` for the names of a module, ``ops`` for the table; and the check of both.

A public name without a docstring, or with one that does not fit its signature, is a warning, and so is one that no
page documents: with ``-W`` the build fails.
"""

import importlib
import inspect
import re

import public
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from fastbp.kernels import table

logger = logging.getLogger(__name__)
#: As they are now: the examples of the pages add rows.
TABLE, KERNELS = dict(table.TABLE), dict(table.KERNELS)

#: What is in the families of the table.
TITLES = {
    "matmul": "Products",
    "convolution": "Convolution",
    "pooling": "Depthwise convolution and pooling",
    "activation": "Activations",
    "norm": "Normalisation",
    "graph": "Graphs",
    "random": "Random numbers",
    "image": "Images",
    "loss": "Losses",
    "optimizer": "Optimizers",
    "weighting": "Weights and penalties",
    "update": "Around an update",
    "data": "Data",
    "metric": "Metrics",
}


def summary(value):
    """Return the first paragraph of a docstring, without references to its own end."""
    text = " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())
    return re.sub(r" \[\d+\]_", "", text)


def indented(lines, by):
    """Return a text with each line indented."""
    return "\n".join(" " * by + line if line else "" for line in lines.splitlines())


def listed(rows, widths, header):
    """Return a ``list-table`` as text."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: names"]
    lines += [f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in (header, *rows):
        for i, cell in enumerate(row):
            first, *rest = indented(cell, 7).lstrip().split("\n") if cell else [""]
            lines += [f"   {'* -' if i == 0 else '  -'} {first}", *rest]
    return "\n".join([*lines, "", ""])


class Public(SphinxDirective):
    """``.. public:: module``: a table of its public names, then what autodoc says of each."""

    required_arguments = 1

    def run(self):
        """Return the nodes."""
        place = self.arguments[0]
        module = importlib.import_module(place)
        second = public.names()[1]
        kernels = set(KERNELS) if place == "fastbp.kernels" else set()
        rows, parts = [], [f".. automodule:: {place}\n   :no-members:\n\n"]
        for name in module.__all__:
            if not public.is_public(module, name):
                continue
            full = f"{place}.{name}"
            value = getattr(module, name)
            if name not in kernels:
                text = summary(value) if callable(value) else public.comment(full)
                rows.append((f":py:obj:`{name} <{second.get(full, full)}>`", text))
            if full in second:
                continue
            if inspect.isclass(value):
                parts.append(self.of_class(full, value))
            elif callable(value):
                parts.append(f".. autofunction:: {full}\n\n")
            else:
                # autodata would take the docstring of its type where the comment stands in another module
                parts.append(f".. py:data:: {name}\n   :module: {place}\n\n   {public.comment(full)}\n\n")
        parts.insert(1, listed(rows, (32, 68), ("name", "")))
        return self.parse_text_to_nodes("".join(parts))

    @staticmethod
    def of_class(full, cls):
        """Return the text for a class: members of private bases are shown as its own."""
        lines = [f".. auto{'exception' if issubclass(cls, Exception) else 'class'}:: {full}"]
        if len(public.sources(cls)) > 1:
            stop = {base.__name__ for base in cls.__mro__ if base not in public.sources(cls)}
            lines.append(f"   :inherited-members: {', '.join(sorted(stop))}")
        lines.append("   :special-members: __call__")
        # constants of a subclass are a public base's, which says what they mean
        own = [item for base in public.sources(cls) for item in vars(base).items()]
        kinds = (property, classmethod, staticmethod)
        plain = {name for name, value in own if not callable(value) and not isinstance(value, kinds)}
        bases = (base for base in cls.__mro__ if base not in public.sources(cls))
        again = {name for base in bases for name in plain & {*vars(base), *inspect.get_annotations(base)}}
        # what scikit-learn writes into estimators says what it means in scikit-learn's pages
        again |= {name for name, value in own if type(value).__name__ == "RequestMethod"}
        lines += [f"   :exclude-members: {', '.join(sorted(again))}"] * bool(again)
        return "\n".join(lines) + "\n\n"


class Ops(SphinxDirective):
    """``.. ops:: family``: what the table says of each op, kernel by kernel; without a family an overview of all."""

    optional_arguments = 1
    final_argument_whitespace = False

    def run(self):
        """Return the nodes."""
        text = "".join(map(self.op, self.chosen())) if self.arguments else self.overview()
        return self.parse_text_to_nodes(text, allow_section_headings=True)

    def chosen(self):
        """Return the rows of the family."""
        (family,) = self.arguments
        return [row for row in TABLE.values() if row.family == family]

    @staticmethod
    def overview():
        """Return a table of all rows."""
        rows = []
        for row in TABLE.values():
            short = {name: name.removeprefix(row.name).strip("_") or name for name in row.kernels}
            kernels = ", ".join(f":py:obj:`{text} <fastbp.kernels.{name}>`" for name, text in short.items())
            rows.append((f":ref:`{row.name} <op-{row.name}>`", row.family, kernels, attributes(row)))
        return listed(rows, (30, 12, 28, 30), ("op", "family", "kernels", "attributes"))

    @staticmethod
    def op(row):
        """Return a section."""
        lines = [f".. _op-{row.name}:", "", f".. rubric:: {row.name}", "   :heading-level: 3", ""]
        if row.note:
            lines += [escaped(row.note[0].upper() + row.note[1:].rstrip(".")) + ".", ""]
        if row.attributes:
            lines += [f"Attributes: {attributes(row)}.", ""]
        if row.kinks:
            lines += [f"Kinks at {', '.join(f'{kink:g}' for kink in row.kinks)}.", ""]
        for kernel in row.kernels.values():
            lines += [f":py:obj:`~fastbp.kernels.{kernel.name}` ``{kernel.signature.strip()}``", "", "::", ""]
            lines += [*("    " + line for line in kernel.source.splitlines()), ""]
        if row.source != "-":
            lines += [f"Source: {escaped(row.source)}.", ""]
        return "\n".join([*lines, ""])


def attributes(row):
    """Return attributes with their defaults."""
    return ", ".join(f"``{name}={value:.10g}``" for name, value in row.attributes.items())


def escaped(text):
    """Return text as it is, in rst."""
    return re.sub(r"([*`|_\\])", r"\\\1", text)


def show_public_bases(app, name, cls, options, bases):
    """Show the public ancestors of a class in place of private bases."""
    known = public.public_classes()
    found = [base for base in cls.__mro__[1:] if base in known]
    first = [base for base in found if not any(base in other.__mro__[1:] for other in found)]
    built_in = [base for base in cls.__mro__[1:] if base.__module__ == "builtins" and base is not object]
    full = {id(value): place for place, value in public.names()[0].items()}
    bases[:] = [f":py:obj:`{full[id(base)]}`" for base in first] or [f"``{base.__name__}``" for base in built_in[:1]]


def plain_bases(app, domain, objtype, content):
    """Leave the line "Bases:" away where there is none to name."""
    for node in list(content.findall(nodes.paragraph)):
        if node.astext().strip() in ("Bases:", "Bases: object"):
            node.parent.remove(node)


def resolve(app, env, node, contnode):
    """Find what single backticks in docstrings mean: a public name by its end, or a parameter."""
    if node.get("reftype") != "obj" or node.get("refdomain") != "py":
        return None
    domain, target = env.domains.python_domain, node["reftarget"]
    found = domain.find_obj(env, None, None, target, "obj", 1)
    first = [match for match in found if not match[1].aliased] or found
    if len(first) == 1:
        name, entry = first[0]
        from sphinx.util.nodes import make_refnode

        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, name)
    # a single word may be a parameter, an attribute, something else of its docstring; a dotted one must be found
    return contnode if "." not in target else None


def check_docstrings(app):
    """Warn of each docstring that lacks something."""
    for problem in public.problems():
        logger.warning("public name: %s", problem)


def add_second_names(app, env):
    """Let names that stand in two modules be found by both: the second leads to the page of the first."""
    objects = env.domains.python_domain.objects
    for other, full in public.names()[1].items():
        if full in objects:
            objects[other] = objects[full]._replace(aliased=True)


def check_pages(app, env):
    """Warn of each public name that no page documents."""
    objects = env.domains.python_domain.objects
    for name in (*public.everything(), *public.names()[1]):
        if name not in objects:
            logger.warning("public name: %s is on no page; it may lack a docstring", name)
    for name, row in TABLE.items():
        if row.family not in TITLES or f"op-{name}" not in env.domains.standard_domain.anonlabels:
            logger.warning("the op %s of the family %s is on no page", name, row.family)
    if set(TITLES) != set(table.FAMILIES):
        logger.warning("families of the table: %s; with a title: %s", table.FAMILIES, tuple(TITLES))


def setup(app):
    """Register directives and checks."""
    app.add_directive("public", Public)
    app.add_directive("ops", Ops)
    app.connect("builder-inited", check_docstrings)
    app.connect("autodoc-process-bases", show_public_bases)
    app.connect("object-description-transform", plain_bases)
    app.connect("missing-reference", resolve)
    app.connect("env-updated", add_second_names)
    app.connect("env-check-consistency", check_pages)
    return {"version": "1"}
