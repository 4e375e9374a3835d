"""Dark field and white field: what they say of pixels, and whether they are of this detector at all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Shaped

from autophasenn.errors import InputError
from autophasenn.volumes import Scan

MOST_DEAD = 0.5
"""Share of the pixels that may be bad by dark and white field: more is no detector."""
MOST_LIGHT = 0.02
"""Share of all photons that may lie in pixels which are dead by the white field: more, and it is another detector's."""
FEWEST_PHOTONS = 1000.0
"""From which on that is no chance."""


def is_of_an_integrating_detector(dark: Shaped[np.ndarray, "rows columns"], threshold: float) -> bool:
    """Whether most pixels of a dark field hold more than `threshold`: a level to be subtracted, not a mark of bad pixels."""
    finite = dark[np.isfinite(dark)]
    return finite.size > 0 and float(np.median(finite)) > threshold


def apply_white_field(
    counts: Float[np.ndarray, "frames rows columns"], white: Shaped[np.ndarray, "rows columns"], dead_response: float
) -> Bool[np.ndarray, "rows columns"]:
    """Multiply counts by ``median(white) / white`` in place; return the dead pixels, which are left as they are.

    Raises
    ------
    InputError
        If the white field has no positive pixel.
    """
    white = np.where(np.isfinite(white), white, 0).astype(np.float64)
    if not (white > 0).any():
        raise InputError("The white field has no pixel above zero; give a picture of uniform illumination, or none.")
    median = float(np.median(white[white > 0]))
    dead = white <= dead_response * median
    counts *= np.where(dead, 1, median / np.where(dead, 1, white)).astype(np.float32)
    return dead


def check_fields(
    counts: Float[np.ndarray, "frames rows columns"],
    mask: Bool[np.ndarray, "frames rows columns"],
    dead: Bool[np.ndarray, "rows columns"],
    scan: Scan,
) -> list[str]:
    """Sentences on fields that do not suit the frames.

    Parameters
    ----------
    counts : float array (frames, rows, columns)
    mask : bool array (frames, rows, columns)
        Before the dead pixels are left out.
    dead : bool array (rows, columns)
        By dark and white field.
    scan : Scan
        With its fields.

    Raises
    ------
    InputError
        If they leave less than half of the pixels.
    """
    names = " and ".join(
        n for n, image in (("dark field", scan.dark), ("white field", scan.white)) if image is not None
    )
    if dead.mean() > MOST_DEAD:
        raise InputError(
            f"By the {names} {dead.mean():.0%} of the pixels are bad (preprocess.dark_threshold, preprocess.dead_response); "
            f"check that {'they are' if ' and ' in names else 'it is'} of this detector, and not one in place of the other."
        )
    if not dead.any():
        return []
    light = np.where(mask, counts, 0).sum(0, dtype=np.float64)
    total, lost = float(light.sum()), float(light[dead & ~_always_on(counts, mask)].sum())
    if total < FEWEST_PHOTONS or lost <= max(MOST_LIGHT, 2 * float(dead.mean())) * total:
        return []
    row, column = np.unravel_index(int(np.where(dead, light, 0).argmax()), light.shape)
    return [
        f"Pixels that are bad by the {names} hold {lost / total:.0%} of all photons (most at row {row}, column {column}), "
        f"as if {'they were' if ' and ' in names else 'it was'} of another detector or region; they are masked all the same."
    ]


def _always_on(counts: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Pixels that count about as much in every frame, as hot ones do."""
    measured = np.where(mask, counts, 0)
    return np.asarray(measured.min(0) > 0.3 * measured.max(0))
