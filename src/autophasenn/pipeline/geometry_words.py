"""The geometry of a measurement in words, for a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autophasenn.physics.bragg import d_spacing
from autophasenn.physics.scan_geometry import ScanGeometry
from autophasenn.volumes import Geometry

UNKNOWN = "unknown: the result has voxel units"


def geometry_facts(described: Mapping[str, Any]) -> dict[str, str]:
    """Energy, distance, pixels, direct beam, angles, step, abs(Q) and d, each a line.

    Parameters
    ----------
    described : mapping
        As `physics.geometry.describe` gives it.
    """
    q = described.get("q_per_nm")
    if q is None:
        return {"geometry": UNKNOWN}
    facts = {"geometry": described.get("diffractometer") or "three steps in q"}
    if described.get("energy_ev") is not None:
        facts["energy"] = f"{described['energy_ev']:g} eV"
    if described.get("distance_m") is not None:
        facts["distance"] = f"{described['distance_m']:.6g} m"
    if described.get("pixel_m") is not None:
        facts["pixel"] = " x ".join(f"{1e6 * edge:g}" for edge in described["pixel_m"]) + " um"
    beam = described.get("direct_beam")
    if beam is not None:
        assumed = " (assumed: d is good to about 1 %)" if beam["assumed"] else ""
        facts["direct beam"] = f"row {beam['row']:g}, column {beam['column']:g}{assumed}"
    if described.get("angles_deg"):
        facts["angles"] = ", ".join(f"{name} {value:g}" for name, value in described["angles_deg"].items()) + " degrees"
    if described.get("positions_m"):
        facts["stages"] = ", ".join(f"{name} {value:g}" for name, value in described["positions_m"].items()) + " m"
    if described.get("steps"):
        facts["step"] = ", ".join(
            f"{name} {step:.6g} {'eV' if name == 'energy' else 'm' if name in described['positions_m'] else 'degrees'}"
            for name, step in described["steps"].items()
        )
    return facts | {"|Q|": f"{q:.5g} 1/nm", "d": f"{2 * math.pi / q:.5g} nm"}


def direct_beam_warnings(geometry: Geometry | None, pixel: tuple[float, float], frame: float) -> tuple[str, ...]:
    """Where the direct beam is assumed, that it is, and what d is, and would be were it the middle of the whole detector.

    Parameters
    ----------
    geometry : Geometry, optional
    pixel : (row, column)
        Of the frames, and `frame`, where the Bragg peak is: the same at which the report gives d.
    """
    if not isinstance(geometry, ScanGeometry) or not geometry.is_assumed or geometry.direct_beam is None:
        return ()
    row, column = geometry.direct_beam
    here = 1e9 * d_spacing(geometry.scattering_vector(pixel, frame))
    sentence = (
        "Where the direct beam meets the detector is not known, and the middle of the frames, row "
        f"{row:g}, column {column:g}, is assumed, so that d is good to about 1 % (it is {here:.5g} nm"
    )
    if geometry.whole is not None and (middle := (geometry.whole[0] / 2, geometry.whole[1] / 2)) != (row, column):
        # The beam elsewhere on the detector is the peak elsewhere, the other way.
        moved = [
            at + (assumed - other) / by
            for at, assumed, other, by in zip(
                pixel, geometry.direct_beam, middle, geometry.detector.binning, strict=True
            )
        ]
        there = 1e9 * d_spacing(geometry.scattering_vector((moved[0], moved[1]), frame))
        sentence += (
            f"; were the direct beam in the middle of the whole detector, row {middle[0]:g}, column {middle[1]:g}, d would "
            f"be {there:.5g} nm"
        )
    return (f"{sentence}); give it with --direct-beam ROW,COLUMN.",)
