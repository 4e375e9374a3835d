"""What is drawn over the crystals: how long a length is, where the axes point, and where Q does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.scales import round_length
from autophasenn.viewer.results import StoredImage
from autophasenn.viewer.scene import Scene

COLOURS = ("#d1495b", "#2a9d5c", "#3a7bd5", "#e08e0b")
"""Of the three axes and of Q."""


def overlay(scene: Scene, image: StoredImage, number: int = 0) -> dict[str, Any]:
    """Scale bar and axes of result `number` for the camera as it stands.

    Returns
    -------
    dict
        ``bar`` (percent of the view's height), ``bar_text``, and ``svg``, a drawing of the axes in 100 x 100; what points
        away from the viewer is dashed.
    """
    height = 2 * float(scene.camera.parallel_scale) / scene.enlarged[number]
    length = round_length(height, 0.25)
    rotation = scene.orientation()
    directions = dict(zip(image.axes, np.eye(3), strict=True))
    if image.scattering_vector is not None:
        directions["Q"] = image.scattering_vector / np.linalg.norm(image.scattering_vector)
    seen = zip(directions, (rotation @ direction for direction in directions.values()), COLOURS, strict=False)
    arrows = [_arrow(*arrow) for arrow in sorted(seen, key=lambda arrow: float(arrow[1][2]))]
    return {
        "bar": 100 * length / height,
        "bar_text": f"{length:g} {image.unit}",
        "svg": f'<svg viewBox="-16 -4 132 108" role="img" aria-label="Axes">{"".join(arrows)}</svg>',
    }


def _arrow(name: str, direction: NDArray[np.float64], colour: str) -> str:
    right, up, towards = direction
    text = {"z": "z beam"}.get(name, name.removeprefix("axis "))
    dashes = ' stroke-dasharray="3 2"' if towards < -0.02 else ""
    anchor = "middle" if abs(right) < 0.3 else "start" if right > 0 else "end"
    return (
        f'<line x1="50" y1="50" x2="{50 + 30 * right:.1f}" y2="{50 - 30 * up:.1f}" stroke="{colour}" stroke-width="3"'
        f'{dashes} stroke-linecap="round"/><text x="{50 + 35 * right:.1f}" y="{50 - 40 * up:.1f}" fill="{colour}" '
        f'font-size="11" font-weight="600" text-anchor="{anchor}" dominant-baseline="central">{text}</text>'
    )
