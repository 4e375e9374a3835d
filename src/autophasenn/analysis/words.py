"""An analysis in words: the facts that a person asks for first, and rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.quantity import Mean, Quantity
from autophasenn.report.words import with_error

MOST_FACETS = 12
"""Rows of facets that are shown; the file has all."""


def facts(analysis: Analysis) -> dict[str, str]:
    """Each fact by its name, in the order in which they are shown."""
    size, unit = analysis.size, analysis.unit
    said = {
        "frame of the volumes": analysis.frame,
        "volume": str(size.volume),
        "surface": f"{size.area} at amplitude {analysis.isosurface.used:.2g}, sphericity {size.sphericity:.2f}",
        "half of the plateau": f"amplitude {analysis.isosurface.half:.2f} would be the surface of an even crystal",
        "equivalent radius": str(size.equivalent_radius),
        "size": ", ".join(
            f"{name} {quantity.value:.4g}" for name, quantity in size.extents.items() if not name.startswith("crystal")
        )
        + f" {unit}",
    }
    if analysis.hkl is not None:
        material = f" of {analysis.material}" if analysis.material else ""
        said["reflection"] = " ".join(map(str, analysis.hkl)) + material
    lattice = analysis.lattice
    if lattice is not None:
        said["d"] = mean(lattice.d)
        if lattice.parameter is not None:
            said["lattice parameter"] = mean(lattice.parameter)
        said["strain relative to"] = f"{lattice.reference}: {strained(lattice.strain)}"
    if analysis.refraction is not None:
        found = analysis.refraction
        said["refraction corrected"] = (
            f"up to {found.largest_phase.value:.2g} rad and {100 * (found.largest_loss.value or 0):.2g} % of the amplitude, "
            f"strain by {1e4 * (found.strain_change.value or 0):.2g}e-4"
        )
    if analysis.strain is not None:
        for layer in analysis.strain.layers:
            if layer.strain is not None and layer.strain.voxels:
                depth = (
                    f"{layer.first:.3g} to {layer.last:.3g}" if layer.last is not None else f"below {layer.first:.3g}"
                )
                said[f"strain, {layer.name} ({depth} {unit})"] = strained(layer.strain)
        if analysis.strain.energy is not None:
            said["least elastic energy"] = f"{analysis.strain.energy}, {analysis.strain.energy_density}"
    said["facets"] = _facets(analysis)
    lines = analysis.dislocations.lines
    said["dislocations seen by this reflection"] = (
        "none" if not lines else ", ".join(f"{_line(line.length)}, b along Q {line.burgers_along_q}" for line in lines)
    )
    count = len(analysis.domains.domains)
    said["domains"] = (
        "one, the phase jumps nowhere"
        if count == 1
        else f"{count}: " + ", ".join(f"{100 * each.share:.0f} % at {each.phase}" for each in analysis.domains.domains)
    )
    return said


def _line(length: Quantity) -> str:
    return f"a line of {length.value:.3g} {length.unit}"


def _facets(analysis: Analysis) -> str:
    if not analysis.facets:
        return "none"
    share = sum(facet.share for facet in analysis.facets)
    said = f"{len(analysis.facets)} on {100 * share:.0f} % of the surface"
    if len(analysis.facets) > MOST_FACETS:
        said += f", the {MOST_FACETS} largest below, {len(analysis.facets) - MOST_FACETS} more in facets.csv"
    if analysis.orientation is not None:
        found = analysis.orientation
        fit = "" if found.fit_deg is None else f", {found.fit_deg:.1f} degrees off on average"
        said += f", indexed by {found.method}{fit}"
    if analysis.edges:
        said += f"; {len(analysis.edges)} edges, {len(analysis.corners)} corners"
    return said


def mean(found: Mean) -> str:
    """Mean and standard deviation."""
    if found.mean.value is None:
        return "unknown"
    return f"{found.mean}, spread {found.std.value:.2g} {found.std.unit}".rstrip()


def strained(found: Mean) -> str:
    """Mean strain ± its uncertainty, and the standard deviation, in 1e-4."""
    if found.mean.value is None:
        return "unknown"
    return f"({in_1e4(found.mean)})e-4, spread {1e4 * (found.std.value or 0):.2g}e-4"


def in_1e4(strain: Quantity) -> str:
    """A strain ± its uncertainty, in 1e-4; a dash where it is not known."""
    if strain.value is None:
        return "–"
    return with_error(1e4 * strain.value, None if strain.uncertainty is None else 1e4 * strain.uncertainty)


def facet_rows(analysis: Analysis) -> tuple[list[str], list[Sequence[str]]]:
    """Titles and rows of the facets, the largest first; without geometry there is no strain."""
    unit = analysis.unit
    titles = ["facet", "plane", "off", f"area, {unit}²", "share", f"distance, {unit}"]
    titles += [] if analysis.strain is None else ["strain, 1e-4"]
    rows: list[Sequence[str]] = []
    for facet in analysis.facets[:MOST_FACETS]:
        strain = facet.strain
        rows.append(
            [
                str(facet.number),
                "unknown" if facet.hkl is None else f"({' '.join(map(str, facet.hkl))})",
                "" if facet.off_deg is None else f"{facet.off_deg:.1f}°",
                f"{facet.area.value:.4g}",
                f"{100 * facet.share:.1f} %",
                f"{facet.distance.value:.1f} ± {facet.distance.uncertainty:.1f}",
                *([] if analysis.strain is None else ["–" if strain is None else in_1e4(strain.mean)]),
            ]
        )
    return titles, rows
