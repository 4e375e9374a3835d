"""Sentences that warn of what a scan cannot give: no half of a peak, no phases below an oversampling of 2."""

from __future__ import annotations

from collections.abc import Sequence

from autophasenn.errors import InputError
from autophasenn.pipeline.aliens import Cluster
from autophasenn.pipeline.centring import MOST_CROPPED, AxisWindow

AXES = ("frame", "row", "column")


def check_peak_place(peak: tuple[int, int, int], shape: tuple[int, ...]) -> list[str]:
    """Sentences on a peak near the edge of the scan.

    Raises
    ------
    InputError
        If it lies on the edge.
    """
    warnings = []
    for name, place, size in zip(AXES, peak, shape, strict=True):
        reach = min(place, size - 1 - place)
        if reach < 2:
            raise InputError(
                f"The Bragg peak lies on the edge of the scan ({name} {place} of {size}), so that one half of it was not "
                "measured; centre the peak and measure again."
            )
        if reach < 0.25 * size:
            warnings.append(
                f"The Bragg peak lies near the edge ({name} {place} of {size}): voxels whose symmetric side was not "
                "measured float freely, or are cropped."
            )
    return warnings


def crop_warnings(windows: Sequence[AxisWindow], shape: tuple[int, ...], is_cut: Sequence[bool]) -> list[str]:
    """Sentences on axes of a scan of `shape` that lose more than a centred peak would cost them, and were not cut."""
    return [
        f"{lost} of {size} {name}s ({lost / size:.0%}) are cropped on the side far from the Bragg peak, to have it in the "
        "middle; centre the peak on the detector and in the scan to keep them."
        for name, window, size, cut in zip(AXES, windows, shape, is_cut, strict=True)
        if not cut and (lost := window.cropped(size)) > MOST_CROPPED * size
    ]


def alien_warnings(clusters: list[Cluster], lobes: list[Cluster]) -> list[str]:
    """One sentence for each alien that was masked, and each lobe that was not; their places are raw voxels."""

    def place(cluster: Cluster) -> str:
        return "about frame {}, row {}, column {}".format(*cluster.centre)

    masked = [
        f"An alien of {c.counts:.0f} photons {place(c)} was masked ({c.counterpart_ratio:.1f} times its symmetric "
        "counterpart)."
        for c in clusters
    ]
    kept = [
        f"A second peak {place(c)} has {c.counts:.0f} photons and no symmetric counterpart. It is kept as part of a "
        "strongly strained crystal; if it is another crystal, mask it."
        for c in lobes
    ]
    return masked + kept


def sampling_warnings(oversampling: tuple[float, ...], binning: tuple[int, int, int]) -> list[str]:
    """Sentences on axes sampled too coarsely; `oversampling` is that after binning."""
    warnings = []
    for axis, (value, factor) in enumerate(zip(oversampling, binning, strict=True)):
        if value < 2.0:
            remedy = "bin it less" if factor > 1 else "the crystal is too long for this detector distance or step"
            warnings.append(
                f"Oversampling along axis {axis} is about {value:.1f}, below 2: its phases are not determined; {remedy}."
            )
    return warnings
