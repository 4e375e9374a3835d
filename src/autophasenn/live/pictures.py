"""The small pictures of the table: the frames so far while a scan arrives, then its crystal."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import InputError
from autophasenn.files.frames import find_frames, read_image
from autophasenn.files.writing import write_atomically

PIXELS = 240
"""Edge of a picture."""


def draw_crystal(result: Path, picture: Path) -> None:
    """The crystal of a result file, its surface coloured by phase; a slice where this machine cannot render."""
    from autophasenn.files import cxi_image
    from autophasenn.report.isosurface import FRONT
    from autophasenn.report.opengl import NoOpenGLError
    from autophasenn.report.scales import phase_scale
    from autophasenn.report.surface import render, surface_of

    image = cxi_image.read_image(result)
    scale = phase_scale(image.phase, wrap=True)
    try:
        surface = surface_of(image)
        (pixels,) = render(surface, scale.rgb(surface.phase), [FRONT], surface.half_width([FRONT]), PIXELS)
    except (NoOpenGLError, InputError):
        middle = image.phase.shape[2] // 2
        seen = np.nan_to_num(scale.rgb(image.phase[:, ::-1, middle].T), nan=255)
        pixels = np.where(image.support[:, ::-1, middle].T[..., None], seen, 255).astype(np.uint8)
    write_picture(picture, pixels)


@dataclass
class FrameSum:
    """The sum of the frames of a scan while they arrive; each is read once.

    Parameters
    ----------
    folder : Path
        Of the frames.
    sum : float64 array (rows, columns), optional
        None as long as there was no frame.
    """

    folder: Path
    sum: NDArray[np.float64] | None = None
    _counted: set[str] = field(default_factory=set)

    def update(self, seconds: float) -> bool:
        """Add frames that are new, for at most so long; were there any? The newest file may not be complete yet."""
        until, grown = time.monotonic() + seconds, False
        try:
            frames = find_frames(self.folder)[:-1]
        except (InputError, OSError):
            return False
        for path in frames:
            if path.name in self._counted or time.monotonic() > until:
                continue
            self._counted.add(path.name)
            try:
                frame = read_image(path, "frame").astype(np.float64)
                if self.sum is None or frame.shape == self.sum.shape:
                    self.sum, grown = frame if self.sum is None else self.sum + frame, True
            except Exception:  # whoever reconstructs the scan says what is wrong with it
                continue
        return grown

    def draw(self, picture: Path) -> bool:
        """The sum so far, in a logarithmic scale; is there one that can be drawn?"""
        return draw_sum(self.sum, picture)


def draw_sum(counts: NDArray[np.float64] | None, picture: Path) -> bool:
    """Draw a sum of frames, shape (rows, columns), in a logarithmic scale; is there one that can be drawn?"""
    if counts is None:
        return False
    try:
        pixels = _pixels(counts)
    except Exception:  # of a row, or of more than there is memory for
        return False
    write_picture(picture, pixels)
    return True


def _pixels(counts: NDArray[np.float64]) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    seen = np.clip(np.nan_to_num(counts), 0, None)
    step = max(1, max(seen.shape) // PIXELS)
    rows, columns = (size // step for size in seen.shape)
    blocks = seen[: rows * step, : columns * step].reshape(rows, step, columns, step).max((1, 3))
    height = np.log1p(np.minimum(blocks, np.quantile(blocks, 0.9995)))
    colours: Any = colormaps["magma"](height / max(float(height.max()), 1e-9), bytes=True)
    return np.asarray(colours[..., :3])


def write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a PNG file in one step: whoever reads it sees the former picture or the new one."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format="PNG")
