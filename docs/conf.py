"""How the manual is built: `make docs`."""

from __future__ import annotations

import json
import os
import re
import warnings
from pathlib import Path
from typing import Any, get_origin

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["COLUMNS"] = "100"

from generated import write_reference
from offline import refuse_foreign
from pictures import scrape

import autophasenn

HERE = Path(__file__).parent

project = "AutoPhaseNN"
author = "The AutoPhaseNN developers"
project_copyright = author
version = release = autophasenn.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery/**", "paper/**", "**/README.txt"]
myst_heading_anchors = 3
suppress_warnings = ["config.cache"]  # the gallery's settings hold classes

autodoc_typehints = "none"  # the docstrings give shapes and units, which annotations cannot
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "write_computation_times": False,  # its page loads a table from another server
    "image_scrapers": ("matplotlib", scrape),
    "ignore_repr_types": r"matplotlib",
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_memory": False,
    "abort_on_example_error": True,
    "plot_gallery": True,
}

html_theme = "pydata_sphinx_theme"
html_title = f"AutoPhaseNN {release}"
html_theme_options = {
    "show_prev_next": False,
    "use_edit_page_button": False,
    "navigation_with_keys": False,
    "navbar_end": ["versions", "theme-switcher"],
}
html_show_sourcelink = False
templates_path = ["_templates"]
html_context = {"versions": json.loads((HERE / "versions.json").read_text(encoding="utf-8"))}

_LITERAL = re.compile(r"(``.*?``|`[^`]+`)")


def _as_written(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Bars and stars of formulas (``|Q|``, ``rho*``) are what they look like, not marks of the markup."""
    for number, line in enumerate(lines):
        parts = _LITERAL.split(line)
        parts[::2] = [re.sub(r"(?<!\\)([|*])(?=\S)", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def _is_left_out(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Type aliases have no signature, and matplotlib gives its subclasses a `set` of its own."""
    return True if get_origin(thing) is not None or name == "set" else None


def _stays_here(app: Any, exception: Exception | None) -> None:
    """A page that fetches anything from another server is an error: at a beamline there may be no way out."""
    if exception is None:
        refuse_foreign(Path(app.outdir))


def setup(app: Any) -> None:
    """What Sphinx calls."""
    app.connect("build-finished", _stays_here)
    app.connect("autodoc-process-docstring", _as_written, priority=100)
    app.connect("autodoc-skip-member", _is_left_out)


warnings.filterwarnings("ignore", category=DeprecationWarning)
for left in HERE.rglob("sg_execution_times.*"):
    left.unlink()  # of builds that still wrote this page
write_reference(HERE / "reference")
