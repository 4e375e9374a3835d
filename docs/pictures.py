"""The figures of the examples: those of this package are none of pyplot's, and the gallery would not find them."""

from __future__ import annotations

import weakref
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_drawn: weakref.WeakSet[Figure] = weakref.WeakSet()


def figures_of(names: dict[str, Any]) -> list[Figure]:
    """Figures among an example's values, its last expression included, that neither pyplot keeps nor a former block drew."""
    managed = {plt.figure(number) for number in plt.get_fignums()}
    found = [each for each in names.values() if isinstance(each, Figure) and each not in managed and each not in _drawn]
    return list(dict.fromkeys(found))


def scrape(block: Any, script: dict[str, Any], settings: dict[str, Any]) -> str:
    """What Sphinx-Gallery calls after a block: the pictures are stored, and shown below its code."""
    paths = []
    for figure, path in zip(figures_of(script["example_globals"]), script["image_path_iterator"], strict=False):
        figure.savefig(path, dpi=110)
        _drawn.add(figure)
        paths.append(path)
    return figure_rst(paths, settings["src_dir"])
