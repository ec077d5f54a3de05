"""Formulas as MathML, which browsers draw by themselves: no script and no fonts are loaded."""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def formula(translator, node, block):
    """Write a formula; one that cannot be read is a warning."""
    try:
        text = tex2mathml(node.astext(), as_block=block)
    except MathError as error:
        logger.warning("the formula %r cannot be read: %s", node.astext(), error, location=node)
        text = translator.encode(node.astext())
    translator.body.append(f'<div class="formula">{text}</div>' if block else text)
    raise nodes.SkipNode


def setup(app):
    """Register the renderer and choose it."""
    app.add_html_math_renderer(
        "mathml",
        (lambda translator, node: formula(translator, node, False), None),
        (lambda translator, node: formula(translator, node, True), None),
    )
    app.config.html_math_renderer = "mathml"
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
