"""The numbers of one result that a table holds, each with its uncertainty where that is known, and the scan's metadata."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy import ndimage

from autophasenn.analysis.facet_series import SeenFacet, seen_facets
from autophasenn.analysis.inside import cells_of, depth_of, strain_spread
from autophasenn.analysis.quantity import mean_of
from autophasenn.analysis.statistics import surface_error
from autophasenn.analysis.surface import surface_of
from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.report.numbers import Report
from autophasenn.report.surface import ISOVALUE

Value = float | str


@dataclass(frozen=True)
class Column:
    """A number of the table.

    Parameters
    ----------
    name : str
        In ``campaign.csv``, unit included.
    title : str
        On plots and the page.
    unit : str
        There.
    factor : float
        From the number of the CSV to that unit.
    digits : int
        Significant ones on the page.
    aliases : tuple of str
        What else it may be called.
    """

    name: str
    title: str
    unit: str = ""
    factor: float = 1.0
    digits: int = 3
    aliases: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Title with unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


COLUMNS = (
    Column("confidence", "confidence", "%", 100.0),
    Column("d_nm", "lattice spacing d", "Å", 10.0, 6, ("d", "d_spacing", "d_spacing_nm")),
    Column("d_change", "change of d", "10⁻⁴", 1e4, 3, ("expansion", "lattice_strain")),
    Column("strain_rms", "strain, rms", "10⁻⁴", 1e4, 3, ("strain", "strain_std")),
    Column("strain_p1", "strain, 1st percentile", "10⁻⁴", 1e4),
    Column("strain_p99", "strain, 99th percentile", "10⁻⁴", 1e4),
    Column("volume_nm3", "volume", "10³ nm³", 1e-3, 4, ("volume",)),
    Column("displacement_rms_nm", "displacement, rms", "pm", 1e3, 3, ("displacement",)),
    Column("chi2", "χ²", "", 1.0, 2),
    Column("chi2_noise", "χ² of counting noise", "", 1.0, 2),
    Column("chi2_free", "χ² of held-out voxels", "", 1.0, 2),
    Column("resolution_nm", "resolution", "nm", 1.0, 3, ("resolution",)),
    Column("photons", "photons", "", 1.0, 3),
    Column("support_voxels", "support", "voxels", 1.0, 6, ("support",)),
    Column("alike", "overlap with the series", "", 1.0, 3),
    Column("seconds", "time taken", "s", 1.0, 3),
)
"""In their order; those of facets (`facet_column`) come after them."""
FACET = re.compile(r"facet[ _](\d+)(?:[ _](strain|area)(?:_nm2)?)?")


def facet_names(number: int) -> tuple[str, str]:
    """Names of the columns of strain and area of a facet."""
    return f"facet_{number}_strain", f"facet_{number}_area_nm2"


def facet_column(name: str) -> Column | None:
    """The column of ``facet 3 strain`` (or ``facet 3``), ``facet 3 area``, or its name in the CSV; None where it is none."""
    found = FACET.fullmatch(name.casefold())
    if found is None:
        return None
    number = int(found[1])
    strain, area = facet_names(number)
    if found[2] == "area":
        return Column(area, f"area of facet {number}", "nm²", 1.0, 4)
    return Column(strain, f"strain of facet {number}", "10⁻⁴", 1e4)


def columns_in(values: Iterable[Mapping[str, float]]) -> list[Column]:
    """All columns: those of every table, and those of the facets that are in the values of some row."""
    names = {name for each in values for name in each if name.startswith("facet_")}
    found = {name: each for name in names if (each := facet_column(name)) is not None}
    return [*COLUMNS, *(found[name] for name in sorted(found, key=lambda name: (int(name.split("_")[1]), name)))]


@dataclass(frozen=True)
class Measured:
    """What a table says of one result.

    Parameters
    ----------
    status, message : str
        The verdict.
    values : dict of str to float
        By the names of `COLUMNS`; what is not known is left out.
    errors : dict of str to float
        One standard deviation of some of them.
    metadata : dict
        As the beamline recorded it: name -> number or text.
    facets : tuple of SeenFacet
        The largest first; none where the geometry is unknown.
    """

    status: str = ""
    message: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    metadata: Mapping[str, Value] = field(default_factory=dict)
    facets: tuple[SeenFacet, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Measured:
        """As :meth:`to_json` gave it."""
        known = {name: stored[name] for name in cls.__dataclass_fields__ if name in stored}
        facets = tuple(
            SeenFacet(**{**each, "normal": tuple(each["normal"]), "centre": tuple(each["centre"])})
            for each in known.pop("facets", ())
        )
        return cls(**known, facets=facets)


def measured(image: CrystalImage, report: Report, source: Mapping[str, Any]) -> Measured:
    """The numbers of a result.

    The uncertainty of d is that of the mean of so many cells of the resolution; that of the strain's rms is the rms of the
    voxels' own uncertainties (as much as it can be off, whatever their signs), so it is known only where several
    orientations were reconstructed. What all scans share, as an assumed direct beam, is in none.

    Parameters
    ----------
    image : CrystalImage
    report : Report
    source : mapping
        Where the scan came from, with its metadata.
    """
    strain, moved = report.strain, report.displacement_nm
    found = {
        "confidence": report.confidence.number,
        "d_nm": report.d_spacing_nm,
        "strain_rms": None if strain is None else strain.std,
        "strain_p1": None if strain is None else strain.p1,
        "strain_p99": None if strain is None else strain.p99,
        "volume_nm3": report.volume_nm3,
        "displacement_rms_nm": None if moved is None else moved.std,
        "chi2": report.chi2,
        "chi2_noise": report.chi2_noise,
        "chi2_free": report.chi2_free,
        "resolution_nm": report.resolution_nm,
        "photons": report.preprocess.get("photons"),
        "support_voxels": report.support_voxels,
        "seconds": report.seconds.get("total"),
    }
    values = {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}
    errors, facets = _errors_and_facets(image, report, values)
    metadata = source.get("metadata")
    known = metadata if isinstance(metadata, Mapping) else {}
    return Measured(
        report.status or "",
        report.message or "",
        values,
        errors,
        {str(name): value for name, value in known.items() if isinstance(value, float | int | str)},
        facets,
    )


def _errors_and_facets(
    image: CrystalImage, report: Report, values: Mapping[str, float]
) -> tuple[dict[str, float], tuple[SeenFacet, ...]]:
    errors: dict[str, float] = {}
    facets: tuple[SeenFacet, ...] = ()
    inside = ndimage.binary_erosion(image.support)
    inside = inside if inside.any() else image.support
    cells = cells_of(image, report.resolution_nm)
    if image.strain is not None and "d_nm" in values:
        spread = strain_spread(image)
        in_it = None if spread is None else spread[inside]
        error = mean_of(image.strain[inside], "", in_it, cells).mean.uncertainty
        if error is not None:
            errors["d_nm"] = error * values["d_nm"]
        if in_it is not None and bool(np.isfinite(in_it).any()):
            errors["strain_rms"] = float(np.sqrt(np.nanmean(in_it.astype(np.float64) ** 2)))
    if "volume_nm3" in values:
        try:
            surface = surface_of(image, ISOVALUE)
        except InputError:  # of a speck there is no surface
            return errors, facets
        # The choice of the isosurface is shared by all scans.
        depth = depth_of(image)
        place, _ = surface_error(image, surface, depth, ISOVALUE)
        errors["volume_nm3"] = surface.area * place
        facets = seen_facets(image, surface, depth, place, cells, values.get("photons"))
    return {name: value for name, value in errors.items() if math.isfinite(value)}, facets
