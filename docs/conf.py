"""Sphinx's settings: what is generated first, what runs, what is checked."""

import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

import docs_pages  # noqa: E402

import ik_mdn  # noqa: E402

docs_pages.write_pages(ROOT / "docs" / "generated")

project, author, release = "IK-MDN", "The IK-MDN authors", ik_mdn.__version__
copyright = f"2026, {author}"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
html_theme, html_title = "furo", f"IK-MDN {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = html_show_sourcelink = False
html_math_renderer = "mathml"  # what browsers draw themselves: no script, no network

# Notebooks are kept as text and run in every build; an error in a cell is an error of the build.
# While writing: sphinx-build -D nb_execution_mode=cache docs docs/_build/html
nb_execution_mode = "force"
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings are plain text with names in `backticks`.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
autosummary_generate = False
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

# Only internal links are checked: the build is offline.
linkcheck_ignore = [r"https?://.*"]


def _whole_returns(lines):
    """A colon in what is returned does not split a type from its description: there is a signature for types."""
    for i, line in enumerate(lines[:-1]):
        if line.strip() == "Returns:" and ":" in lines[i + 1]:
            text = lines[i + 1].lstrip()
            lines[i + 1] = lines[i + 1].replace(text, f": {text}")


def _plain(app, what, name, obj, options, lines):
    """Stars, bars and trailing underscores of a docstring mean themselves; code is what stands in backticks."""
    _whole_returns(lines)
    for i, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|\\])|(?<=\w)_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
        lines[i] = "".join(parts)


def _skip(app, what, name, obj, skip, options):
    """Fields of named tuples describe themselves by a number only."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def _mathml(node, as_block):
    return tex2mathml(node.astext().replace(r"\dots", r"\ldots"), as_block=as_block)


def _inline_math(writer, node):
    """A formula in a line, as MathML."""
    writer.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _block_math(writer, node):
    """A formula on lines of its own, as MathML."""
    writer.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Hooks on docstrings, and formulas without a script."""
    app.add_html_math_renderer("mathml", (_inline_math, None), (_block_math, None))
    app.connect("autodoc-process-docstring", _plain, priority=100)
    app.connect("autodoc-skip-member", _skip)
