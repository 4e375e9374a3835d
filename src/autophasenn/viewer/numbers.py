"""The numbers of a report in words, one row a fact; what is unknown says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autophasenn.viewer.results import StoredImage

UNKNOWN = "unknown"


def rows_of(image: StoredImage) -> list[dict[str, str]]:
    """Name, value and what it means, of every number that people ask for.

    Returns
    -------
    list of dict
        ``name``, ``value``, ``meaning``.
    """
    report = image.report
    ratio = _ratio(report.get("chi2"), report.get("chi2_noise"))
    confidence, strain, displacement = (report.get(name) for name in ("confidence", "strain", "displacement_nm"))
    facts = [
        ("Method", str(report.get("method") or UNKNOWN), "how the phases were found"),
        ("χ²", _number(report.get("chi2")), "misfit of the pattern, 0 is perfect"),
        ("χ² of counting noise", _number(report.get("chi2_noise")), "what a perfect object would have"),
        ("χ² / noise", ratio, "near 1: as good as the counts allow"),
        ("χ² held out", _number(report.get("chi2_free")), "misfit of voxels that were not used"),
        ("Confidence", _percent(_value(confidence, "number")), "chance that the image is right"),
        ("Resolution", _resolution(report), "full period, where the starts agree"),
        ("Voxel", _voxel(image), "edge of the grid of the image"),
        ("Size", _size(image), "of the box around the crystal"),
        ("Volume", _volume(report), f"{report.get('support_voxels') or UNKNOWN} voxels"),
        ("Plane spacing", _number(report.get("d_spacing_nm"), "nm", digits=6), "mean of the crystal, along Q"),
        ("Strain, std", _strain(_value(strain, "std")), "without the surface"),
        ("Strain, 1 to 99 %", _range(_value(strain, "p1"), _value(strain, "p99"), 1e4, "10⁻⁴"), "without the surface"),
        (
            "Displacement, 1 to 99 %",
            _range(_value(displacement, "p1"), _value(displacement, "p99"), 1e3, "pm"),
            "along Q",
        ),
        ("Seed", str(report.get("seed") if report.get("seed") is not None else UNKNOWN), "of the random starts"),
        ("Time", _number(_value(report.get("seconds"), "total"), "s"), "from reading to writing"),
    ]
    return [{"name": name, "value": value, "meaning": meaning} for name, value, meaning in facts]


def warnings_of(image: StoredImage) -> list[str]:
    """The report's warnings, those of its confidence among them."""
    report = image.report
    found = [*_sentences(report.get("warnings")), *_sentences(_value(report.get("confidence"), "warnings"))]
    return list(dict.fromkeys(found))


def headline(image: StoredImage) -> dict[str, str]:
    """The verdict: a word, its colour, a sentence, and one on how far the image can be believed."""
    status = str(image.report.get("status") or UNKNOWN)
    colour = {"reconstructed": "success", "uncertain": "warning", "poor": "error"}.get(status, "info")
    confidence = str(_value(image.report.get("confidence"), "meaning") or "")
    return {"word": status, "colour": colour, "sentence": str(image.report.get("message") or ""), "belief": confidence}


def _value(group: Any, name: str) -> Any:
    return group.get(name) if isinstance(group, Mapping) else None


def _sentences(found: Any) -> list[str]:
    return [str(sentence) for sentence in found] if isinstance(found, list) else []


def _number(value: Any, unit: str = "", digits: int = 3) -> str:
    if not isinstance(value, (int, float)) or not np.isfinite(value):
        return UNKNOWN
    return f"{value:.{digits}g} {unit}".replace("-", "−").rstrip()


def _percent(value: Any) -> str:
    return f"{100 * value:.0f} %" if isinstance(value, (int, float)) else UNKNOWN


def _ratio(chi2: Any, noise: Any) -> str:
    return _number(chi2 / noise) if isinstance(chi2, float) and isinstance(noise, float) and noise > 0 else UNKNOWN


def _range(low: Any, high: Any, factor: float, unit: str) -> str:
    if not isinstance(low, (int, float)) or not isinstance(high, (int, float)):
        return UNKNOWN
    return f"{_number(low * factor)} to {_number(high * factor)} {unit}"


def _strain(value: Any) -> str:
    return _number(value * 1e4, "10⁻⁴") if isinstance(value, (int, float)) else UNKNOWN


def _resolution(report: Mapping[str, Any]) -> str:
    sign = "≤ " if report.get("resolution_is_bound") else ""
    value = _number(report.get("resolution_nm"), "nm")
    return value if value == UNKNOWN else sign + value


def _voxel(image: StoredImage) -> str:
    return "unknown geometry" if image.voxel_size is None else f"{image.spacing[0]:.2f} nm"


def _size(image: StoredImage) -> str:
    return f"{' × '.join(f'{edge:.0f}' for edge in image.extent)} {image.unit}"


def _volume(report: Mapping[str, Any]) -> str:
    volume = report.get("volume_nm3")
    return f"{volume * 1e-9:.3g} µm³" if isinstance(volume, float) else UNKNOWN
