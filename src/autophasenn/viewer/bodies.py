"""Crystals as bodies in one scene: how large each is drawn, and what it can be coloured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from autophasenn.image import Floats
from autophasenn.report.contour import Body
from autophasenn.viewer.quantities import Quantity
from autophasenn.viewer.results import StoredImage


def body_of(image: StoredImage, quantities: Mapping[str, Quantity], number: int, enlarged: float) -> Body:
    """A crystal as its surfaces are made of it.

    Parameters
    ----------
    image : StoredImage
    quantities : mapping of str to Quantity
        What it may be coloured by.
    number : int
        Which of their volumes are the image's.
    enlarged : float
        As `enlargements` says.
    """
    fields: dict[str, Floats] = {}
    for key, quantity in quantities.items():
        volume = quantity.volumes[number]
        if quantity.is_cyclic:
            # between voxels at +3.1 and -3.1 rad the phase itself would be drawn as 0; its cosine and sine are continuous
            fields |= {f"{key} cosine": np.cos(volume), f"{key} sine": np.sin(volume)}
        elif key != "amplitude":
            fields[key] = volume
    x, y, z = (enlarged * step for step in image.spacing)
    return Body.of(image.amplitude, image.support, fields, (x, y, z))


def enlargements(images: Sequence[StoredImage]) -> list[float]:
    """How much larger than in its own unit each crystal is drawn: 1, but in voxels beside one in nm as large as that is."""
    reach = {unit: max((reach_of(i) for i in images if i.unit == unit), default=0.0) for unit in ("nm", "voxels")}
    ratio = reach["nm"] / reach["voxels"] if all(reach.values()) else 1.0
    return [ratio if image.unit == "voxels" else 1.0 for image in images]


def reach_of(image: StoredImage) -> float:
    """Distance from the origin to the farthest voxel of the crystal."""
    middle = np.array([n // 2 for n in image.support.shape])
    return float(np.linalg.norm((np.argwhere(image.support) - middle) * np.array(image.spacing), axis=1).max())
