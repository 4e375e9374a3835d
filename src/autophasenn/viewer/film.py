"""A turn of the crystals as a film that every program for slides shows."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.scales import round_length

STEPS = 48
"""Pictures of one turn."""
PACE = 80
"""Milliseconds a picture."""
WIDEST = 800
"""Pixels."""


def film(pictures: Sequence[NDArray[np.uint8]], edge: float, unit: str, theme: str) -> bytes:
    """An animated GIF that goes on for ever, with a scale bar.

    Parameters
    ----------
    pictures : sequence of uint8 array (rows, columns, 3)
    edge : float
        Of a pixel, in `unit`.
    unit : str
    theme : str
        "light" or "dark".
    """
    from PIL import Image, ImageDraw, ImageFont

    rows, columns = pictures[0].shape[:2]
    smaller = min(1.0, WIDEST / columns)
    size = round(columns * smaller), round(rows * smaller)
    length = round_length(rows * edge, 0.25)
    ink = (255, 255, 255) if theme == "dark" else (0, 0, 0)
    left, bottom, width = round(0.03 * size[0]), round(0.95 * size[1]), length / edge * smaller
    font = ImageFont.load_default(size=max(12, size[1] // 28))
    frames = []
    for picture in pictures:
        frame = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(frame)
        draw.rectangle((left, bottom, round(left + width) - 1, bottom + 3), fill=ink)
        draw.text((left + width / 2, bottom - 4), f"{length:g} {unit}", fill=ink, font=font, anchor="mb")
        frames.append(frame)
    buffer = io.BytesIO()
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=PACE, loop=0)
    return buffer.getvalue()
