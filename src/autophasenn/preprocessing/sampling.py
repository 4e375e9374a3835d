"""Where the voxels of a pattern lie in q; and, where light lies off the straight grid that phasing assumes, onto it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from autophasenn.errors import GeometryError
from autophasenn.physics.gridding import Curved, Offsets, offsets, straightened
from autophasenn.preprocessing.window import AxisWindow
from autophasenn.volumes import Geometry, Mask, Pattern, Volume

Windows = tuple[AxisWindow, AxisWindow, AxisWindow]
NOTABLE = 0.5
"""Voxels off the straight grid from which on it is told."""
LIGHT = 0.999
"""Share of the photons that must lie nearer to the straight grid than what is told."""


def sampled(
    counts: Volume, mask: Mask, geometry: Geometry | None, windows: Windows, limit: float
) -> tuple[Pattern, list[str]]:
    """A pattern with its steps in q and Q at its middle, the Bragg peak.

    Parameters
    ----------
    counts, mask : tensors (n0, n1, n2)
    geometry : Geometry, optional
    windows : 3 AxisWindow
        Which voxels of the scan the pattern's came from.
    limit : float
        Voxels that light may lie off the straight grid before counts are interpolated onto it.

    Returns
    -------
    pattern : Pattern
    warnings : list of sentences

    Raises
    ------
    GeometryError
        If the scanned motor jumped, so that no even grid can be made of the frames.
    """
    if geometry is None:
        return Pattern(counts, mask), []
    frame, row, column = (w.middle_of(w.size // 2) for w in windows)
    binning = torch.tensor([w.binning for w in windows], dtype=torch.float64)
    warnings: list[str] = []
    if isinstance(geometry, Curved):
        shape = (windows[0].size, windows[1].size, windows[2].size)
        middle = (float(shape[0] // 2), float(shape[1] // 2), float(shape[2] // 2))
        first = (windows[0].middle_of(0), windows[1].middle_of(0), windows[2].middle_of(0))
        by = (windows[0].binning, windows[1].binning, windows[2].binning)
        off = offsets(geometry, shape, middle, first, by)
        far, axis = light_off(counts.numpy(), mask.numpy(), off)
        told = f"Light lies up to {far:.1f} {('frames', 'rows', 'columns')[axis]} off a straight grid"
        why = "(uneven steps, or a detector so wide that the Ewald sphere bends)"
        if NOTABLE < far <= limit:
            warnings.append(f"{told} {why}; its rim is blurred a little. Give `preprocess.shape` to cut it off.")
        if far > limit:
            try:
                values, measured = straightened(counts.numpy(), mask.numpy(), off)
            except GeometryError as error:
                raise GeometryError(f"{told}, and cannot be brought onto one. {error}") from error
            counts, mask = torch.from_numpy(values), torch.from_numpy(measured)
            warnings.append(
                f"{told} {why}: its counts were interpolated onto one, so their noise is smaller than that of counting."
            )
    steps = geometry.reciprocal_steps((row, column), frame) * binning[:, None]
    return Pattern(counts, mask, steps, geometry.scattering_vector((row, column), frame)), warnings


def light_off(counts: Float[np.ndarray, "n0 n1 n2"], mask: np.ndarray, off: Offsets) -> tuple[float, int]:
    """How many voxels off the straight grid all but a thousandth of the photons are at most, and along which axis.

    Parameters
    ----------
    counts, mask : arrays (n0, n1, n2)
    off : Offsets
        Of the same voxels.
    """
    light = np.where(mask, counts, 0).clip(min=0)
    # Photons about each of the places of the detector at which the offset is known, frame by frame.
    for axis, places in ((1, off.coarse.shape[2]), (2, off.coarse.shape[3])):
        edges = np.linspace(0, light.shape[axis], places + 1).astype(int)[:-1]
        light = np.add.reduceat(light, edges, axis=axis, dtype=np.float64)
    distance = np.abs(off.coarse)
    axis = int(np.argmax([(light * d).sum() for d in distance]))
    order = np.argsort(distance[axis], axis=None)
    reached = np.cumsum(light.ravel()[order])
    index = min(int(np.searchsorted(reached, LIGHT * reached[-1])), len(order) - 1)
    return float(distance[axis].ravel()[order[index]]), axis


def middle(windows: Windows) -> tuple[tuple[float, float], float]:
    """Pixel (row, column) and frame of the scan that lie in the middle of the pattern."""
    frame, row, column = (w.middle_of(w.size // 2) for w in windows)
    return (row, column), frame
