"""Which way round a mask is: autophasenn, cohere and cdiutils store 1 = measured, bcdi and PyNX 1 = bad.

What lies under the mask tells: values that no pixel counts, the light of a Bragg peak (which a hot pixel is not, as it has
no neighbours), and how large either side is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Shaped
from scipy import ndimage

from autophasenn.errors import InputError, PlanError
from autophasenn.files.stored import StoredPattern
from autophasenn.markers import NO_COUNTS, SHORT_MARKER, Marks

CLEAR = 0.9
"""Share of the markers, or of the light, that lies on one side for it to say something."""
SMALL = 0.35
"""Share of the voxels that bad pixels rather have than measured ones."""
WIDE, FEW = 0.002, 1000
"""Share of the voxels that hold the largest value of all for it to be no count; up to which value chance explains it."""


@dataclass(frozen=True)
class Evidence:
    """What lies under the ones of a mask, as shares.

    Parameters
    ----------
    voxels : float
        Of all voxels.
    markers : float, optional
        Of the values that no pixel counts; None: there are none.
    light : float
        Of the counts, without those of lone pixels.
    """

    voxels: float
    markers: float | None
    light: float

    def __str__(self) -> str:
        said = f"{_percent(self.voxels)} of the voxels, which hold {_percent(self.light)} of the light"
        return said if self.markers is None else f"{said} and {_percent(self.markers)} of the values that are no counts"

    @property
    def by_markers(self) -> Marks | None:
        """What the values say that are no counts, where they all lie on the smaller side."""
        said = None if self.markers is None else _side(self.markers, "bad", "measured")
        return said if (self.voxels < 0.5) == (said == "bad") else None

    @property
    def by_light(self) -> Marks | None:
        """What the light says."""
        return _side(self.light, "measured", "bad")

    @property
    def by_size(self) -> Marks | None:
        """What the sizes say."""
        return "bad" if self.voxels < SMALL else "measured" if self.voxels > 1 - SMALL else None


def with_mask_as_measured(stored: StoredPattern, name: str, marks: Marks | None = None) -> StoredPattern:
    """The same, its mask 1 = measured, with a sentence where that was not how it was stored.

    Parameters
    ----------
    stored : StoredPattern
    name : str
        What messages call it.
    marks : "measured" or "bad", optional
        What 1 stands for, as the user says. None: as the values under the mask say; where they say nothing, measured.

    Raises
    ------
    InputError
        If they say that it is one, and that it is the other.
    PlanError
        If `marks` is another word, or there is no mask.
    """
    mask, counts = stored.mask, stored.counts
    if marks not in (None, "measured", "bad"):
        raise PlanError(f"1 in a mask stands for 'measured' or 'bad', not for {marks!r}.")
    if mask is None and marks is not None:
        raise PlanError(
            f"1 in a mask is said to stand for {marks!r}, and {name} has no mask; give it too, or leave that out."
        )
    if mask is None or mask.dtype.kind not in "biuf" or mask.shape not in (counts.shape, counts.shape[1:]):
        return stored
    if counts.dtype.kind not in "uif" or counts.ndim != 3 or not np.isin(mask, (0, 1)).all():
        return stored
    if marks is not None:
        return replace(stored, mask=mask == (1 if marks == "measured" else 0))
    ones = mask == 1
    if ones.all() or not ones.any():
        return stored
    seen = evidence(counts, ones)
    if _decided(seen, mask.dtype.kind == "b", name) == "measured":
        return stored
    warning = (
        f"In the mask of {name} 1 stands for {seen}: it is taken as 1 = masked, as bcdi and PyNX write it (--mask-marks "
        "measured decides otherwise)."
    )
    return replace(stored, mask=~ones, warnings=(*stored.warnings, warning))


def evidence(
    counts: Shaped[np.ndarray, "frames rows columns"], ones: Bool[np.ndarray, "*frames rows columns"]
) -> Evidence:
    """What lies under the ones of a mask of one frame, or of all."""
    largest = (
        counts.max(initial=0) if counts.dtype.kind in "iu" else np.nanmax(np.where(np.isfinite(counts), counts, 0))
    )
    is_wide = np.count_nonzero(counts == largest) > WIDE * counts.size and largest > FEW
    markers = markers_inside = light = light_inside = 0.0
    for frame, inside in zip(counts, np.broadcast_to(ones, counts.shape), strict=True):
        marked = _no_counts(frame) | (is_wide & (frame == largest))
        known = np.where(marked, 0, frame).astype(np.float64)
        known = ndimage.grey_opening(known, (2, 2))
        markers, markers_inside = markers + marked.sum(), markers_inside + (marked & inside).sum()
        light, light_inside = light + known.sum(), light_inside + known[inside].sum()
    return Evidence(
        float(np.mean(ones)),
        float(markers_inside / markers) if markers else None,
        float(light_inside / light) if light > 0 else 0.5,
    )


def _decided(seen: Evidence, is_of_truth_values: bool, name: str) -> Marks:
    """What 1 stands for. True stands for measured unless the values under it can be nothing else than bad."""
    markers, light, size = seen.by_markers, seen.by_light, seen.by_size
    said = {markers, light} - {None}
    if len(said) == 1 and (markers is not None or light == size):
        return markers or light or "measured"
    if is_of_truth_values:
        return "measured"
    if not said and (size is not None or abs(seen.light - seen.voxels) < 1 - CLEAR):
        return size if size == "bad" and seen.light < 1 - SMALL else "measured"
    raise InputError(
        f"Which way round the mask of {name} is cannot be told: 1 stands for {seen}; say it with --mask-marks measured or "
        "--mask-marks bad (in Python mask_marks)."
    )


def _no_counts(frame: np.ndarray) -> np.ndarray:
    """Where a frame holds what no pixel counts."""
    largest = np.inf if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max
    none = (frame < 0) | (frame == largest) | (frame != frame)  # NaN is no number, not even itself
    for marker in (SHORT_MARKER, *NO_COUNTS):
        none = none | (frame == marker)
    return np.asarray(none)


def _side(share: float, most: Marks, least: Marks) -> Marks | None:
    return most if share >= CLEAR else least if share <= 1 - CLEAR else None


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
