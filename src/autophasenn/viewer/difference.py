"""What differs between two results: the second, laid over the first, is taken from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from autophasenn.errors import InputError
from autophasenn.image import Floats
from autophasenn.viewer.results import StoredImage


def difference_of(first: StoredImage, second: StoredImage) -> StoredImage:
    """The first result minus the second, on the grid of the first.

    The second is moved by whole voxels of that grid to where the amplitudes correlate best, and interpolated linearly.
    Outside of either support there is no difference; the surface keeps the amplitude of the first. The phases are compared
    up to a constant, which no measurement fixes: the difference has the mean 0, and is wrapped into -pi..pi.

    Parameters
    ----------
    first, second : StoredImage

    Raises
    ------
    InputError
        If their lengths have several units.
    """
    from scipy.ndimage import map_coordinates
    from scipy.signal import fftconvolve

    if first.unit != second.unit:
        raise InputError(
            f"{first.name} is in {first.unit} and {second.name} in {second.unit}; compare two that have a geometry, or two "
            "that have none."
        )
    ratio = np.array(first.spacing) / np.array(second.spacing)
    middle, other = (np.array([n // 2 for n in image.shape]) for image in (first, second))

    def laid(values: Floats, moved: Any, order: int) -> Floats:
        axes = [
            (np.arange(n) - m - shift) * r + o
            for n, m, shift, r, o in zip(first.shape, middle, moved, ratio, other, strict=True)
        ]
        places = np.meshgrid(*axes, indexing="ij")
        return np.asarray(map_coordinates(values, places, order=order, mode="constant", cval=0), np.float32)

    there = laid(second.amplitude, (0, 0, 0), 1)
    likeness = fftconvolve(first.amplitude, there[::-1, ::-1, ::-1], mode="same")
    best = np.unravel_index(int(likeness.argmax()), likeness.shape)
    # what is convolved with itself reversed peaks at n // 2 of the "same" part
    moved = np.array(best) - middle
    inside = first.support & (laid(second.support.astype(np.float32), moved, 0) > 0.5)
    if not inside.any():
        raise InputError(
            f"The crystals of {first.name} and {second.name} have no place in common; compare two results of one crystal."
        )
    weight = laid(second.support.astype(np.float32), moved, 1)

    def minus(name: str) -> Floats | None:
        mine, theirs = getattr(first, name), getattr(second, name)
        if mine is None or theirs is None:
            return None
        brought = laid(np.where(second.support, theirs, 0), moved, 1) / np.maximum(weight, 0.5)
        difference = np.where(inside, mine - brought, np.float32(np.nan))
        if name == "phase":
            turned = np.exp(1j * difference[inside])
            difference[inside] = np.angle(turned * np.conj(turned.mean()))
        return np.asarray(difference, np.float32)

    phase = minus("phase")
    assert phase is not None
    return replace(
        first, name=f"{first.name} − {second.name}", support=inside, phase_spread=None, amplitude_spread=None, phase=phase,
        displacement=minus("displacement"), strain=minus("strain"),
    )  # fmt: skip
