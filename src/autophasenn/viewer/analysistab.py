"""The analysis as one browser sees it: facets, pole figure, strain layer by layer, defect lines; tables and files."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from autophasenn.advice import reworded
from autophasenn.analysis import figures
from autophasenn.analysis.analyse import Analysis, analyse
from autophasenn.analysis.dislocations import DislocationLine
from autophasenn.analysis.facet_table import Facet
from autophasenn.analysis.figures_facets import pole_figure, wulff
from autophasenn.analysis.materials import MATERIALS
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.quantity import Mean, Quantity
from autophasenn.analysis.subject import read_subject
from autophasenn.analysis.tables import csv_tables
from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.guarded import Limits
from autophasenn.report.words import with_error
from autophasenn.viewer import plots
from autophasenn.viewer.figure import written
from autophasenn.viewer.marks import Marks

Key = tuple[float, str, str]
"""Amplitude of the surface, material and reflection."""
TITLES: dict[str, tuple[str, Callable[[Analysis], Figure]]] = {
    "poles": ("Pole figure", pole_figure),
    "layers": ("Strain: histogram and layers", figures.strain),
    "wulff": ("Distance and strain of the facets", wulff),
    "lines": ("Defect lines", figures.dislocations),
    "amplitude": ("Amplitude and isosurface", figures.amplitude),
}
AGAIN = 0.5
"""Seconds until it is asked again whether another browser's analysis is done."""
LABELS = {"--material": "material", "--hkl": "reflection h k l"}
"""Fields of the page by the option of `autophasenn analyse`."""
COMMANDS = defaultdict(lambda: "reconstruct", dict.fromkeys(("--second", "--normal", "--reference"), "analyse"))
"""Of what an analysis advises and the page has no field for."""
TABLES = {"facets": "facets.csv", "edges": "edges.csv", "layers": "layers.csv", "lines": "dislocations.csv"}
"""Files of the page by what the analysis calls them."""


class AnalysisTab:
    """The analyses of what one browser has open, at the surface that it looks at.

    Parameters
    ----------
    owner : Viewer
    """

    FOLLOWS = ("threshold", "material", "hkl", "facets", "has_lines", "tab", "is_difference")

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        owner.state.materials = [
            {"title": "not known", "value": ""},
            *({"title": name, "value": name} for name in MATERIALS),
        ]
        self.forget()

    def forget(self) -> None:
        """Others were opened: analyse them when that is asked for."""
        self.found: list[Analysis] = []
        self.marks: list[Marks] = []
        self._key: Key | None = None
        self.owner.state.update({"analyses": [], "analysis_error": "", "is_analysing": False})

    @property
    def is_wanted(self) -> bool:
        """Whether anything of it is looked at."""
        state = self.owner.state
        on_crystal = state.tab == "crystal" and not state.is_difference and (state.facets != "none" or state.has_lines)
        return state.tab == "analysis" or on_crystal

    async def update(self) -> bool:
        """Analyse what is open if it must be; whether that gave anything new."""
        state = self.owner.state
        key = (round(float(state.threshold), 2), str(state.material), str(state.hkl))
        if not self.is_wanted or key == self._key:
            if self.is_wanted and state.tab == "analysis" and self.found and not state.analyses:
                await self._show()
            return False
        stored = self.owner.stored
        state.update({"is_analysing": True, "analysis_error": ""})
        state.flush()
        if self.owner.shared.analysing.locked():  # the page is drawn meanwhile
            asyncio.get_running_loop().call_later(AGAIN, self.owner.want, "analysis")
            return False
        try:
            async with self.owner.shared.analysing:
                limits = self.owner.shared.limits
                found = await asyncio.to_thread(_analyses, [image.path for image in stored], key, limits)
        except AutoPhaseNNError as error:
            found, said = [], on_page(str(error))
        else:
            said = ""
        if stored is not self.owner.stored:
            self.owner.want("analysis")
            return False
        self.found, self.marks, self._key = found, [Marks.of(each) for each in found], key
        state.update({"is_analysing": False, "analysis_error": said, "analyses": []})
        if state.tab == "analysis" and found:
            await self._show()
        return True

    async def _show(self) -> None:
        """Put tables and figures on the page."""
        drawn = await asyncio.to_thread(self._drawn)
        names = self.owner.state.names
        self.owner.state.analyses = [
            {"name": name, **_tables(analysis), "figures": each}
            for name, analysis, each in zip(names, self.found, drawn, strict=True)
        ]

    def _drawn(self) -> list[list[dict[str, str]]]:
        return [
            [{"key": key, "title": TITLES[key][0], "picture": plots.address(TITLES[key][1](each))} for key in _of(each)]
            for each in self.found
        ]

    def figure(self, what: str, number: int, kind: str) -> bytes:
        """A figure as a file; `kind`: png, svg, pdf.

        Raises
        ------
        KeyError, IndexError
            If there is none.
        """
        return written(TITLES[what][1](self.found[number]), kind, "white")

    def table(self, what: str, number: int) -> bytes:
        """A table as comma-separated values.

        Raises
        ------
        KeyError, IndexError
            If there is none.
        """
        return csv_tables(self.found[number])[TABLES[what]].encode()


def _analyses(paths: Sequence[Path], key: Key, limits: Limits) -> list[Analysis]:
    threshold, material, hkl = key
    indices = tuple(int(part) for part in hkl.split()) if hkl else None
    options = AnalysisOptions(isosurface=threshold, material=material or None, hkl=indices)  # type: ignore[arg-type]
    return [analyse(read_subject(path, limits)[0], options) for path in paths]


def _of(analysis: Analysis) -> list[str]:
    """Keys of the figures that there are."""
    has = {
        "poles": bool(analysis.facets), "layers": analysis.strain is not None, "wulff": bool(analysis.facets),
        "lines": bool(analysis.dislocations.lines), "amplitude": True,
    }  # fmt: skip
    return [key for key in TITLES if has[key]]


def _tables(analysis: Analysis) -> dict[str, Any]:
    unit = analysis.unit
    return {
        "notes": [on_page(note) for note in analysis.notes],
        "facet_heads": ["Facet", "hkl", f"Area ({unit}²)", f"Distance ({unit})", "Strain (10⁻⁴)", "Displacement (pm)",
                        f"Roughness ({unit})", "To Q (°)"],
        "facets": [_facet(each) for each in analysis.facets],
        "line_heads": ["Line", f"Length ({unit})", "Turns", "b·Q̂ (nm)", "To Q (°)"],
        "lines": [_line(each) for each in analysis.dislocations.lines],
        "tables": [name for name, file in TABLES.items() if file in csv_tables(analysis)],
    }  # fmt: skip


def on_page(sentence: str) -> str:
    """A sentence of an analysis for who reads it on the page: its fields by name, and for the rest the command.

    Examples
    --------
    >>> on_page("unknown: the material (--material), a second direction (--normal)")
    'unknown: the material (“material”), a second direction (autophasenn analyse --normal)'
    """
    return reworded(
        sentence,
        lambda option: f"“{LABELS[option]}”" if option in LABELS else f"autophasenn {COMMANDS[option]} {option}",
    )


def _facet(facet: Facet) -> list[str]:
    return [
        str(facet.number),
        "–" if facet.hkl is None else facet.title.replace("-", "−"),
        "–" if facet.area.value is None else f"{facet.area.value:.0f} ({100 * facet.share:.0f} %)",
        _number(facet.distance),
        _mean(facet.strain, 1e4),
        _mean(facet.displacement, 1e3),
        _number(facet.roughness),
        "–" if facet.polar_deg is None else f"{facet.polar_deg:.0f}",
    ]


def _line(line: DislocationLine) -> list[str]:
    burgers, angle = line.burgers_along_q.value, line.angle_to_q_deg
    return [
        str(line.number) + (" (loop)" if line.is_closed else ""),
        _number(line.length),
        f"{line.charge:+d}".replace("-", "−"),
        "–" if burgers is None else f"{burgers:+.3f}".replace("-", "−"),
        "–" if angle is None else f"{angle:.0f}",
    ]


def _number(quantity: Quantity, factor: float = 1.0) -> str:
    if quantity.value is None:
        return "–"
    error = quantity.uncertainty
    return with_error(quantity.value * factor, None if error is None else error * factor)


def _mean(mean: Mean | None, factor: float) -> str:
    return "–" if mean is None else _number(mean.mean, factor)
