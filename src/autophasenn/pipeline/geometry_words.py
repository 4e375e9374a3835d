"""The geometry of a measurement in words, for a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

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
