"""All of the page that depends on the opened results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autophasenn.viewer.numbers import headline, rows_of, warnings_of
from autophasenn.viewer.quantities import DOUBTFUL, NAMES, Quantity, lacking_of
from autophasenn.viewer.results import StoredImage


def facts_of(images: Sequence[StoredImage]) -> dict[str, Any]:
    """Names, numbers, verdicts and warnings of the opened results."""
    rows = [rows_of(image) for image in images]
    return {
        "names": distinct(images),
        "paths": [str(image.path) for image in images],
        "headlines": [headline(image) for image in images],
        "warnings": [warnings_of(image) for image in images],
        "rows": [{**facts[0], "values": [fact["value"] for fact in facts]} for facts in zip(*rows, strict=True)],
        "no_geometry": no_geometry(images),
    }


def choices_of(images: Sequence[StoredImage], quantities: Mapping[str, Quantity]) -> dict[str, Any]:
    """What can be chosen for the images that are drawn: quantities, axes, how far a cut and the doubt reach."""
    first, spread, lacking = images[0], quantities.get("phase_spread"), lacking_of(images)
    return {
        "axes": list(first.axes),
        "has_q": all(image.scattering_vector is not None for image in images),
        "unit": " | ".join(dict.fromkeys(image.unit for image in images)),
        "choices": [
            {
                "key": key,
                "title": NAMES[key],
                "unit": quantities[key].unit if key in quantities else "not in both",
                "lacking": key in lacking,
            }
            for key in NAMES
            if key in quantities or key in lacking
        ],
        "lacking": " ".join(lacking.values()),
        "has_spread": spread is not None,
        "most_spread": max(2 * DOUBTFUL, spread.high if spread else 0.0),
        "step": min(first.spacing) / 2,
    }


def no_geometry(images: Sequence[StoredImage]) -> str:
    """A sentence about a result in voxels beside one in nm."""
    names = [image.name for image in images if image.voxel_size is None]
    if not 0 < len(names) < len(images):
        return ""
    return f"{names[0]} has no geometry: its size is in voxels, along its grid. Each side has its own scale."


def distinct(images: Sequence[StoredImage]) -> list[str]:
    """Names that tell the results apart: folders, with their parents where the folders have the same name."""
    names = [image.name for image in images]
    if len(set(names)) < len(names):
        names = [f"{image.path.parent.parent.name}/{image.name}" for image in images]
    if len(set(names)) < len(names):
        names = [f"{name} ({number})" for number, name in enumerate(names, 1)]
    return names
