"""Voxel grids and the frozen values that layers pass to each other.

Every volume is indexed ``[axis0, axis1, axis2]``; raw data of a rocking scan are ``[frame, row, column]``. The origin of
both spaces is index ``n // 2`` on every axis, so every function here keeps voxel ``n // 2`` in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.errors import InputError

Volume = Float[Tensor, "*#batch n0 n1 n2"]
"""A real volume: counts, modulus, amplitude, phase."""
Support = Bool[Tensor, "*#batch n0 n1 n2"]
"""True inside the crystal."""
Mask = Bool[Tensor, "*#batch n0 n1 n2"]
"""True where the detector measured."""
ObjectVolume = Complex[Tensor, "*#batch n0 n1 n2"]
"""Complex object rho(r) = a(r) exp(i phi(r)), detector frame."""
WaveVolume = Complex[Tensor, "*#batch n0 n1 n2"]
"""Complex diffracted wave psi(q)."""
Vectors = Float[Tensor, "3 3"]
"""Row i is the vector from one voxel to the next along axis i."""

Counts = Float[Tensor, "batch 64 64 64"]
Masks = Bool[Tensor, "batch 64 64 64"]
"""Of patterns of the size that the network inverts."""
PATTERN_VOXELS = 64
"""Voxels of the network's pattern along each axis."""
OBJECT_VOXELS = 32
"""Voxels of the network's object along each axis: the middle half of the pattern's field of view."""
PATTERN = (PATTERN_VOXELS,) * 3
OBJECT = (OBJECT_VOXELS,) * 3
Objects = Complex[Tensor, "batch 32 32 32"]
"""Objects in the network's box."""
Waves = Complex[Tensor, "batch 64 64 64"]
"""What they diffract."""

SPATIAL = (-3, -2, -1)
"""The three axes of a volume, whatever batch axes come before them."""


@runtime_checkable
class Geometry(Protocol):
    """What a measurement must know to place its voxels in reciprocal space (laboratory frame, 1/m)."""

    def reciprocal_steps(self, pixel: tuple[float, float], frame: float | None = None) -> Vectors:
        """Steps in q to the next frame, row and column (rows of the result), at detector pixel (row, column) of `frame`.

        Without `frame`, in the middle of the scan; in most scans all frames have the same.
        """

    def scattering_vector(self, pixel: tuple[float, float], frame: float | None = None) -> Float[Tensor, " 3"]:
        """Q at detector pixel (row, column) of `frame`."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What a detector gave, before any correction.

    Parameters
    ----------
    frames : array (frames, rows, columns)
        Raw counts as stored in the files.
    dark : array (rows, columns), optional
        Counts of the detector without beam, of the same detector region as the frames.
    white : array (rows, columns), optional
        Response to a uniform illumination, same region; 0 = dead pixel.
    mask : bool array (rows, columns) or (frames, rows, columns), optional
        True = measured. None: no pixel is known to be bad.
    geometry : Geometry, optional
        None: the result has voxel units.
    source : dict
        ``path`` (str), ``sha256`` (str), and whatever else tells where it came from (JSON-serialisable).
    warnings : tuple of str
        Sentences about what its reader had to assume.
    saturation : float, optional
        Value at which a pixel of its detector is full; summed exposures are full at multiples of it. None: not known.
    monitor : array (frames,), optional
        What a monitor of the incident beam counted, one number a frame.
    """

    frames: np.ndarray
    dark: np.ndarray | None = None
    white: np.ndarray | None = None
    mask: np.ndarray | None = None
    geometry: Geometry | None = None
    source: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    saturation: float | None = None
    monitor: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Pattern:
    """A diffraction pattern ready for phase retrieval: centred, masked, its sampling known.

    Parameters
    ----------
    counts : float32 tensor (n0, n1, n2)
        Intensity in detector counts, the brightest voxel of the Bragg peak at index ``n // 2``. Values where ``mask`` is
        False mean nothing.
    mask : bool tensor (n0, n1, n2)
        True = measured. Detector gaps, hot pixels and aliens are unmeasured, not zero.
    reciprocal_steps : float64 tensor (3, 3), optional
        Row i is the step in q (1/m, laboratory frame) from one voxel to the next along axis i. None: unknown geometry.
    scattering_vector : float64 tensor (3,), optional
        Q of the central voxel (1/m, laboratory frame).

    Raises
    ------
    InputError
        If counts are not a finite, non-negative 3-D volume with at least one count, or the mask has another shape.
    """

    counts: Tensor
    mask: Tensor
    reciprocal_steps: Tensor | None = None
    scattering_vector: Tensor | None = None

    def __post_init__(self) -> None:
        if self.counts.ndim != 3:
            raise InputError(
                f"The pattern has {self.counts.ndim} dimensions, shape {tuple(self.counts.shape)}; a Bragg pattern is a "
                "3-D volume [frame, row, column]. Give a stack of frames."
            )
        if self.mask.shape != self.counts.shape:
            raise InputError(
                f"The mask has shape {tuple(self.mask.shape)} and the pattern {tuple(self.counts.shape)}; they must be "
                "equal. Give a mask of the pattern's shape, True = measured."
            )
        if not bool(self.mask.any()):
            raise InputError("The mask leaves no measured voxel; True means measured, so the mask may be inverted.")
        measured = torch.where(self.mask, self.counts, 0)
        lowest, highest = float(measured.min()), float(measured.max())
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise InputError(
                "The pattern holds NaN or infinite counts in measured voxels; mask those voxels (False = unmeasured)."
            )
        if lowest < 0:
            raise InputError(
                f"The pattern holds negative counts (lowest {lowest:g}); intensities are counts >= 0. Subtract no "
                "background, or clip it at zero."
            )
        if highest <= 0:
            raise InputError("The pattern is empty: no voxel has a count, so there is no Bragg peak to phase.")

    def __repr__(self) -> str:
        known = "unknown" if self.reciprocal_steps is None else "known"
        size = " x ".join(map(str, self.shape))
        return f"<Pattern: {size}, {float(self.counts[self.mask].sum()):.3g} counts, geometry {known}>"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        n0, n1, n2 = self.counts.shape
        return n0, n1, n2

    def modulus(self) -> Tensor:
        """Square root of the counts, 0 where unmeasured; float32 (n0, n1, n2)."""
        return torch.where(self.mask, self.counts, 0).clamp_min(0).sqrt()

    def to(self, device: torch.device | str) -> Pattern:
        """The same pattern with its volumes on `device`."""
        return replace(self, counts=self.counts.to(device), mask=self.mask.to(device))


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What phase retrieval found, in the detector frame, on the grid of its pattern.

    Parameters
    ----------
    object : complex64 tensor (n0, n1, n2)
        rho(r), largest amplitude 1, centred, trivial ambiguities removed (see `pipeline.postprocess`).
    support : bool tensor (n0, n1, n2)
    wave : complex64 tensor (n0, n1, n2)
        psi(q) of the object scaled to the counts of the pattern; ``|wave|**2`` compares with ``pattern.counts`` where the
        coherence is full.
    intensity : float32 tensor (n0, n1, n2)
        Calculated counts, partial coherence included.
    errors : float32 tensor (starts, iterations)
        Modulus error of the running estimate (`phasing.engine.Retrieval`), one row a start.
    free_errors : float32 tensor (starts,)
        chi2 of each start on the held-out voxels; NaN where none were held out.
    free_error : float
        chi2 of `object` itself on the held-out voxels; NaN where none were held out.
    best : int
        Which start the others were aligned to.
    averaged : int
        How many starts agree and make up `object`.
    kernel : float32 tensor (k0, k1, k2), optional
        Mutual coherence kernel, centred; None: full coherence.
    prtf : float32 tensor (n0, n1, n2), optional
        Phase retrieval transfer function per voxel, of the starts that make up `object`.
    modes : float32 tensor (m,), optional
        Share of each singular mode of all aligned starts, those that disagree too.
    phase_spread, amplitude_spread : float32 tensor (n0, n1, n2), optional
        How much phase (rad) and amplitude (in units of the largest) differ between variants of the object found on ways of
        their own (`inversion.orientations`); NaN outside of the support. None: there were none.
    free_noise : float
        The chi2 that counting noise alone gives on the held-out voxels, which have fewer counts; NaN where it is not known.
    """

    object: Tensor
    support: Tensor
    wave: Tensor
    intensity: Tensor
    errors: Tensor
    free_errors: Tensor
    free_error: float = float("nan")
    best: int = 0
    averaged: int = 1
    kernel: Tensor | None = None
    prtf: Tensor | None = None
    modes: Tensor | None = None
    phase_spread: Tensor | None = None
    amplitude_spread: Tensor | None = None
    free_noise: float = float("nan")


def crop_or_pad(volume: Tensor, shape: Sequence[int], fill: float | complex = 0) -> Tensor:
    """Crop or pad the last axes to `shape` so that voxel ``n // 2`` stays voxel ``n // 2`` on each.

    Parameters
    ----------
    volume : tensor (..., n0, n1, n2)
        Any number of trailing axes may be given a size; `shape` names the last ``len(shape)``.
    shape : sequence of int
        New sizes.
    fill : number
        Value of the new voxels.

    Returns
    -------
    tensor (..., *shape)
        A new tensor, never a view of `volume`.
    """
    batch = volume.shape[: volume.ndim - len(shape)]
    result = volume.new_full((*batch, *shape), fill)
    source: list[slice] = [slice(None)] * len(batch)
    target: list[slice] = [slice(None)] * len(batch)
    for old, new in zip(volume.shape[len(batch) :], shape, strict=True):
        shift = new // 2 - old // 2
        source.append(slice(max(0, -shift), max(0, -shift) + min(old - max(0, -shift), new - max(0, shift))))
        target.append(slice(max(0, shift), max(0, shift) + source[-1].stop - source[-1].start))
    result[tuple(target)] = volume[tuple(source)]
    return result


def window_around(volume: Tensor, centre: Sequence[int], shape: Sequence[int], fill: float | complex = 0) -> Tensor:
    """The window of `shape` whose voxel ``n // 2`` is voxel `centre` of `volume`; `fill` beyond its edges."""
    result = volume.new_full(tuple(shape), fill)
    source, target = [], []
    for size, middle, new in zip(volume.shape, centre, shape, strict=True):
        start = middle - new // 2
        low, high = max(0, start), min(size, start + new)
        source.append(slice(low, max(low, high)))
        target.append(slice(low - start, max(low, high) - start))
    result[tuple(target)] = volume[tuple(source)]
    return result


def bin_sum(volume: Tensor, factors: Sequence[int]) -> Tensor:
    """Sum blocks of ``factors`` voxels so that old voxel ``n // 2`` falls in new voxel ``m // 2``.

    Blocks that the edge cuts are left out.

    Parameters
    ----------
    volume : tensor (n0, n1, n2)
    factors : 3 ints >= 1

    Returns
    -------
    tensor (m0, m1, m2)
    """
    for axis, factor in enumerate(factors):
        if factor > 1:
            start, blocks = _blocks_about_the_middle(volume.shape[axis], factor)
            cut = volume.narrow(axis, start, blocks * factor)
            volume = cut.unflatten(axis, (blocks, factor)).sum(axis + 1)
    return volume


def _blocks_about_the_middle(size: int, factor: int) -> tuple[int, int]:
    """Start and number of the most blocks whose block ``m // 2`` holds voxel ``size // 2``, as near its middle as can be."""
    centre = size // 2
    for blocks in range(size // factor, 0, -1):
        starts = [s for s in range(size - blocks * factor + 1) if (centre - s) // factor == blocks // 2]
        if starts:
            return min(starts, key=lambda s: abs(centre - s - (blocks // 2) * factor - factor // 2)), blocks
    raise InputError(f"An axis of {size} voxels cannot be binned by {factor}; choose a factor of at most {size}.")


def twin(volume: Tensor) -> Tensor:
    """The twin ``conj(rho(-r))``: the other object with the same intensity. Voxel ``n // 2`` stays where it is.

    On an even axis index i goes to (n - i) mod n, which leaves index 0 in place.
    """
    flipped = volume.flip(SPATIAL)
    shifts = [1 - volume.shape[axis] % 2 for axis in SPATIAL]
    flipped = torch.roll(flipped, shifts, SPATIAL)
    return torch.conj_physical(flipped) if flipped.is_complex() else flipped
