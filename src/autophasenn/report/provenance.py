"""Nested parameters in words, on one line: what was not used is left out, lengths are in nm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANCES = {
    "peak_offset": (),
    "partly_coherent": ("coherence_length",),
    "with_background": ("background",),
    "with_haze": ("haze",),
    "with_alien": ("alien", "alien_masked"),
    "on_detector": ("detectors", "binning", "bad_pixels", "bad_line", "gap_over_peak"),
    "strong": ("strong_range",),
    "dislocation": ("most", "angles"),
    "wall": (),
    "inclusion": ("hole", "radius", "misfit"),
    "lamella": ("thickness",),
    "unevenness": ("variation",),
}
"""Probabilities and sizes, and what is of no account where they are 0."""
NM = (1e9, "nm")
UNITS: dict[str, tuple[float, str]] = {
    **dict.fromkeys(("edge", "lattice_constant_m", "shortest", "longest", "contraction"), NM),
    **dict.fromkeys(("facet_variety", "edge_variety", "depth", "thickness"), NM),
    "peak_offset": (1, "voxels"),
    "coherence_length": (1, "voxels"),
    "strong_range": (1, "rad"),
}
"""What a stored number is multiplied by, and the unit that it then has."""


def words(value: Any) -> str | None:
    """Nested values on one line; what is None or empty is left out."""
    if isinstance(value, Mapping):
        said = ((name.replace("_", " "), words(below), below) for name, below in value.items())
        named = [(name, below, isinstance(v, Mapping)) for name, below, v in said if below]
        return ", ".join(f"{name} ({below})" if nested else f"{name} {below}" for name, below, nested in named)
    if isinstance(value, list):
        return " ".join(str(words(part)) for part in value) or "none"
    return f"{value:.4g}" if isinstance(value, float) else None if value is None else str(value)


def told(parameters: Any) -> str | None:
    """The parameters of a source of crystals or an experiment, as the provenance of a dataset file holds them."""
    return words(_with_units(parameters))


def _with_units(parameters: Any) -> Any:
    if not isinstance(parameters, Mapping):
        return parameters
    idle = {name for name in CHANCES if parameters.get(name) == 0}
    idle |= {below for name in idle for below in CHANCES[name]}
    used = {name: value for name, value in parameters.items() if name not in idle}
    return {name.removesuffix("_m"): _in_unit(name, value) for name, value in used.items()}


def _in_unit(name: str, value: Any) -> Any:
    if name not in UNITS:
        return _with_units(value)
    factor, unit = UNITS[name]
    try:
        scaled = [factor * number for number in value] if isinstance(value, list) else factor * float(value)
    except (TypeError, ValueError):  # no number: a file of another hand
        return value
    return f"{words(scaled)} {unit}"
