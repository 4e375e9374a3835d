"""Tables of an analysis: CSV files whose first row names each column with its unit."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.quantity import Mean, Quantity


def csv_tables(analysis: Analysis) -> dict[str, str]:
    """Text of every table by its file name; those that would be empty are left out."""
    tables = {
        "facets.csv": _facets(analysis),
        "edges.csv": _edges(analysis),
        "corners.csv": _corners(analysis),
        "layers.csv": _layers(analysis),
        "histogram.csv": _histogram(analysis),
        "dislocations.csv": _dislocations(analysis),
        "dislocation_points.csv": _points(analysis),
        "domains.csv": _domains(analysis),
        "profiles.csv": _profiles(analysis),
    }
    return {name: _text(*table) for name, table in tables.items() if table[1]}


def _text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return ""
    if isinstance(value, float | np.floating):
        return f"{float(value):.7g}"
    return value


Table = tuple[list[str], list[list[Any]]]


def _number(quantity: Quantity | None) -> list[Any]:
    return [None, None] if quantity is None else [quantity.value, quantity.uncertainty]


def _mean(mean: Mean | None) -> list[Any]:
    return [None, None, None] if mean is None else [*_number(mean.mean), mean.std.value]


def _hkl(hkl: Sequence[int] | None) -> str:
    return "" if hkl is None else " ".join(map(str, hkl))


def _facets(analysis: Analysis) -> Table:
    unit = analysis.unit
    frames = [name for name in analysis.frames if name != "laboratory"]
    normal = "normal_laboratory" if analysis.frames else "normal_grid"
    names = [
        *("facet", "hkl", "family", "off_deg", f"area_{unit}2", "area_error", "share"),
        *(f"distance_{unit}", "distance_error", f"roughness_{unit}", "angle_to_q_deg", "normal_error_deg"),
        *(
            "strain",
            "strain_error",
            "strain_std",
            "displacement_nm",
            "displacement_error",
            "displacement_std",
            "voxels",
        ),
        *(f"{normal}_{axis}" for axis in "xyz"),
        *(f"normal_{name}_{axis}" for name in frames for axis in "xyz"),
        *(f"centre_{axis}_{unit}" for axis in "xyz"),
    ]
    rows = [
        [
            *(facet.number, _hkl(facet.hkl), _hkl(facet.family), facet.off_deg, *_number(facet.area), facet.share),
            *(*_number(facet.distance), facet.roughness.value, facet.polar_deg, facet.normal_error_deg),
            *(*_mean(facet.strain), *_mean(facet.displacement), facet.strain.voxels if facet.strain else None),
            *facet.normal,
            *(part for name in frames for part in facet.normal_frames[name]),
            *facet.centre,
        ]
        for facet in analysis.facets
    ]
    return names, rows


def _edges(analysis: Analysis) -> Table:
    unit = analysis.unit
    ends = [f"{end}_{axis}_{unit}" for end in ("first", "last") for axis in "xyz"]
    names = ["facet", "other_facet", "hkl", "other_hkl", f"length_{unit}", "angle_between_normals_deg", *ends]
    titles = {facet.number: _hkl(facet.hkl) for facet in analysis.facets}
    rows = [
        [*edge.facets, *(titles[i] for i in edge.facets), edge.length, edge.angle_deg, *edge.ends.ravel().tolist()]
        for edge in analysis.edges
    ]
    return names, rows


def _corners(analysis: Analysis) -> Table:
    names = ["facets", *(f"{axis}_{analysis.unit}" for axis in "xyz")]
    return names, [[" ".join(map(str, each.facets)), *each.position.tolist()] for each in analysis.corners]


def _layers(analysis: Analysis) -> Table:
    unit = analysis.unit
    names = [
        *("layer", f"from_{unit}", f"to_{unit}", "voxels", "strain", "strain_error", "strain_std"),
        *("displacement_nm", "displacement_error", "displacement_std"),
    ]
    layers = () if analysis.strain is None else analysis.strain.layers
    rows = [
        [each.name, each.first, each.last, each.strain.voxels if each.strain else None, *_mean(each.strain),
         *_mean(each.displacement)]
        for each in layers
    ]  # fmt: skip
    return names, rows


def _histogram(analysis: Analysis) -> Table:
    names = ["strain_from", "strain_to", "voxels", "voxels_surface", "voxels_bulk"]
    if analysis.strain is None:
        return names, []
    found = analysis.strain.histogram
    columns = (found.edges[:-1], found.edges[1:], found.all, found.surface, found.bulk)
    return names, [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _dislocations(analysis: Analysis) -> Table:
    unit = analysis.unit
    names = [
        *("line", f"length_{unit}", "turns", "burgers_along_q_nm", "angle_to_q_deg", "closed"),
        *(f"direction_{axis}" for axis in "xyz"),
        *(f"centre_{axis}_{unit}" for axis in "xyz"),
        f"straightness_{unit}",
    ]
    rows = [
        [each.number, each.length.value, each.charge, each.burgers_along_q.value, each.angle_to_q_deg,
         int(each.is_closed), *each.direction, *each.centre, each.straightness.value]
        for each in analysis.dislocations.lines
    ]  # fmt: skip
    return names, rows


def _points(analysis: Analysis) -> Table:
    names = ["line", *(f"{axis}_{analysis.unit}" for axis in "xyz")]
    return names, [[each.number, *point] for each in analysis.dislocations.lines for point in each.points.tolist()]


def _domains(analysis: Analysis) -> Table:
    unit = analysis.unit
    names = [
        *(
            "domain",
            f"volume_{'nm3' if unit == 'nm' else 'voxels'}",
            "share",
            "phase_rad",
            "phase_spread_rad",
            "shift_nm",
        ),
        *("strain", "tilt_deg", *(f"centre_{axis}_{unit}" for axis in "xyz")),
    ]
    rows = [
        [each.number, each.volume.value, each.share, *_number(each.phase), *_number(each.shift)[:1],
         *_number(each.strain)[:1], *_number(each.tilt_deg)[:1], *each.centre]
        for each in analysis.domains.domains
    ]  # fmt: skip
    return names, rows


def _profiles(analysis: Analysis) -> Table:
    quantities = list(dict.fromkeys(name for each in analysis.profiles for name in each.values))
    unit = analysis.unit
    names = ["profile", f"distance_{unit}", *(f"{axis}_{unit}" for axis in "xyz"), *quantities]
    rows = [
        [each.name, float(distance), *position.tolist(), *(float(each.values[name][i]) for name in quantities)]
        for each in analysis.profiles
        for i, (distance, position) in enumerate(zip(each.distance, each.positions, strict=True))
    ]
    return names, rows
