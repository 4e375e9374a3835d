"""What is drawn over the crystals: how long a length is, where the axes point, and where Q does."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.scales import round_length
from autophasenn.viewer.results import StoredImage
from autophasenn.viewer.scene import Scene

COLOURS = ("#d1495b", "#2a9d5c", "#3a7bd5", "#e08e0b")
"""Of the three axes and of Q."""
SHORT = 0.08
"""Length in the picture below which an arrow is a point."""


def overlay(scene: Scene, image: StoredImage, number: int = 0) -> dict[str, Any]:
    """Scale bar and axes of result `number` for the camera as it stands.

    Returns
    -------
    dict
        ``bar`` (percent of the view's height), ``bar_text``, ``axes``, a drawing of the axes as the address of a picture
        (an SVG in it cannot run anything), and ``axes_text`` for those who do not see it; what points away from the viewer
        is dashed.
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
        "axes": svg_picture("-16 -4 132 108", "".join(arrows)),
        "axes_text": "Axes: " + ", ".join(_said(name, rotation @ direction) for name, direction in directions.items()),
    }


def svg_picture(box: str, content: str) -> str:
    """A drawing as the address of a picture.

    Parameters
    ----------
    box : str
        Its ``viewBox``.
    content : str
        Elements of SVG.
    """
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif">{content}</svg>'
    return "data:image/svg+xml," + quote(drawing, safe="")


def _said(name: str, direction: NDArray[np.float64]) -> str:
    """Where an axis points, in words."""
    words = (("to the right", "to the left"), ("up", "down"), ("towards you", "away from you"))
    axis = int(np.abs(direction).argmax())
    return f"{name} {words[axis][int(direction[axis] < 0)]}"


def _arrow(name: str, direction: NDArray[np.float64], colour: str) -> str:
    right, up, towards = direction
    text = name.removeprefix("axis ")
    if abs(right) < SHORT and abs(up) < SHORT:  # it comes out of the picture, or goes into it: a name beside the middle
        ring = f'<circle cx="50" cy="50" r="3.2" fill="none" stroke-width="1.4" stroke="{colour}"/>'
        return f'{ring}<text x="43" y="60" fill="{colour}" font-size="11" font-weight="600" text-anchor="end">{text}</text>'
    dashes = ' stroke-dasharray="3 2"' if towards < -0.02 else ""
    anchor = "middle" if abs(right) < 0.3 else "start" if right > 0 else "end"
    return (
        f'<line x1="50" y1="50" x2="{50 + 30 * right:.1f}" y2="{50 - 30 * up:.1f}" stroke="{colour}" stroke-width="3"'
        f'{dashes} stroke-linecap="round"/><text x="{50 + 35 * right:.1f}" y="{50 - 40 * up:.1f}" fill="{colour}" '
        f'font-size="11" font-weight="600" text-anchor="{anchor}" dominant-baseline="central">{text}</text>'
    )
