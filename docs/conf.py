"""Sphinx's configuration: ``python -m sphinx -W -n -b html docs docs/_build``; offline, and so are the built pages."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
# a checkout that is built in place is found as well as an installed package
sys.path.append(str(HERE.parent))
# the pictures' own trainings are small: threads would cost more than they gain
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import fastbp  # noqa: E402
from fastbp.plotting import STYLE  # noqa: E402

project = "fastbp"
author = "the fastbp developers"
project_copyright = author
version = release = fastbp.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "matplotlib.sphinxext.plot_directive",
    "mathml",
    "reference",
    "spelling",
]
exclude_patterns = ["_build"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

# "numpy" is what is typed
smartquotes = False

html_theme = "furo"
html_title = f"fastbp {version}"
html_static_path = ["_static"]
html_css_files = ["fastbp.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

myst_heading_anchors = 3

default_role = "py:obj"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
# numpydoc's sections say it in words
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
toc_object_entries_show_parents = "hide"
nitpick_ignore_regex = [("py:.*", r"(numpy|scipy|matplotlib)\..*")]

plot_include_source = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = ["svg"]
# the hash: the same file from the same code
plot_rcparams = {**STYLE, "svg.hashsalt": "fastbp"}
plot_apply_rcparams = True
