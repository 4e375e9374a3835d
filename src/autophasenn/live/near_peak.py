"""The middle of a large scan, for a first image within seconds.

The network sees 64 voxels an axis around the Bragg peak, whatever the size of the detector, so the rest of its pixels need
not be corrected and searched before it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from scipy import ndimage
from torch import Tensor

from autophasenn.inversion.box import NetworkBox
from autophasenn.physics.geometry import describe
from autophasenn.preprocessing.preprocess import Preprocessed
from autophasenn.volumes import Geometry, Scan, Vectors

EDGE = 128
"""Rows and columns that are left."""


@dataclass(frozen=True)
class Shifted:
    """The geometry of frames of which only a part is left.

    Parameters
    ----------
    whole : Geometry
        Of the whole frames.
    row, column : int
        Of the first pixel that is left.
    """

    whole: Geometry
    row: int
    column: int

    def reciprocal_steps(self, pixel: tuple[float, float], frame: float | None = None) -> Vectors:
        """Steps in q at a pixel of the part."""
        return self.whole.reciprocal_steps((pixel[0] + self.row, pixel[1] + self.column), frame)

    def scattering_vector(self, pixel: tuple[float, float], frame: float | None = None) -> Float[Tensor, " 3"]:
        """Q at a pixel of the part."""
        return self.whole.scattering_vector((pixel[0] + self.row, pixel[1] + self.column), frame)

    def describe(self, pixel: tuple[float, float], frame: float | None = None) -> dict[str, Any]:
        """What a report says of the whole scan, at a pixel of the part."""
        return describe(self.whole, (pixel[0] + self.row, pixel[1] + self.column), frame)


def near_peak(scan: Scan) -> Scan:
    """At most `EDGE` rows and columns about the Bragg peak; smaller scans as they are."""
    rows, columns = scan.frames.shape[1:]
    if max(rows, columns) <= EDGE:
        return scan
    row, column = (
        min(max(0, peak - EDGE // 2), max(0, size - EDGE))
        for peak, size in zip(_brightest(scan.frames), (rows, columns), strict=True)
    )
    part = np.s_[..., row : row + EDGE, column : column + EDGE]
    return replace(
        scan,
        source={**scan.source, "first_row_and_column": [row, column]},
        frames=scan.frames[part],
        dark=None if scan.dark is None else scan.dark[part],
        white=None if scan.white is None else scan.white[part],
        mask=None if scan.mask is None else scan.mask[part],
        geometry=None if scan.geometry is None else Shifted(scan.geometry, row, column),
    )


def is_cut(scan: Scan) -> bool:
    """Is it a part of what was measured?"""
    return "first_row_and_column" in scan.source


def is_enough(prepared: Preprocessed, scan: Scan) -> bool:
    """Does the part that is left of a scan hold all that the network looks at?"""
    box = NetworkBox.of(prepared.pattern.shape, prepared.oversampling)
    reach = [64 * step * binning for step, binning in zip(box.steps, prepared.binning, strict=True)]
    return all(size < EDGE or least <= EDGE for size, least in zip(scan.frames.shape[1:], reach[1:], strict=True))


def _brightest(frames: Shaped[np.ndarray, "frames rows columns"]) -> tuple[int, int]:
    """Where the counts change most from frame to frame: neither gap markers nor hot pixels do."""
    change = np.fmax.reduce(frames, 0).astype(np.float64) - np.fmin.reduce(frames, 0)
    smooth = ndimage.median_filter(torch.from_numpy(change).nan_to_num(0.0).numpy(), 5, mode="nearest")
    row, column = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return int(row), int(column)
