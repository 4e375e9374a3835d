"""What the autocorrelation of a crystal says before any phasing: its size, and a grid that suffices.

The autocorrelation is the transform of the intensity. Its counting noise has the same power everywhere, which is read in the
corners of its box; blurred, that power is known well, and much fainter parts of the autocorrelation stand out from it. Half
of it, ``{r : 2 r in A}``, is the crystal made symmetric: of its width in every direction.

What is not measured is filled in so that the autocorrelation stays compact: transformed, set to zero below a threshold that
falls to the counting noise, and transformed back, again and again (Elad et al., Appl. Comput. Harmon. Anal. 19, 340 (2005)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from autophasenn.phasing.support import blur
from autophasenn.physics.fourier import to_centre, to_corner
from autophasenn.volumes import SPATIAL, Mask, Volume, crop_or_pad

BLUR = 1.0
"""Standard deviation of the Gaussian, voxels."""
ABOVE_NOISE = 8.0
"""Standard deviations of the blurred noise from which the autocorrelation counts as such."""
CORNER = 0.75
"""Of the half-width of the box: what lies beyond on every axis is noise."""
OVERLAP = 8.5
"""Volume of the autocorrelation over that of the crystal: 8 if that is convex and its own inversion, some more if not."""
ROOM = 2.35
"""Width of the small box over that of the crystal."""
FILLING = 15
"""Iterations that fill in what is not measured."""
FIRST_THRESHOLD = 0.1
"""Of the middle of the autocorrelation, in the first of these."""
LAST_THRESHOLD = 5.0
"""Standard deviations of the noise of the autocorrelation, in the last."""
FOOT, FAINT = 1.35, 2.4
"""Voxels by which the radius is too large for each factor of ten in photons a voxel of the crystal, and the decadic
logarithm of those from which on it is: chosen on strained crystals of two seeds (docs/notebook/hard_crystals.md)."""
LEAST_RADIUS = 4.0
"""Of the sphere with the volume of the autocorrelation, voxels: nothing smaller is believed."""


@dataclass(frozen=True, eq=False)
class FewVoxels:
    """A pattern on the coarsest grid that holds all of it: the field of view is little more than twice the crystal.

    Parameters
    ----------
    modulus : float32 tensor (m0, m1, m2)
        Corner order; voxels of the object are those of the pattern's own.
    used : bool tensor (m0, m1, m2)
    power : float32 tensor (n0, n1, n2)
        Blurred power of the autocorrelation on the pattern's own grid, centred.
    volume : float
        Of the crystal, voxels, as the volume of the autocorrelation says.
    """

    modulus: Float[Tensor, "m0 m1 m2"]
    used: Bool[Tensor, "m0 m1 m2"]
    power: Float[Tensor, "n0 n1 n2"]
    volume: float

    @property
    def volume_within_foot(self) -> float:
        """The same without the foot of the autocorrelation, which a bright crystal lifts out of the noise.

        Of small ones with many photons `volume` is up to 2.4 times too large, and this right to about a fifth.
        """
        photons, volume = float(self.modulus.square().sum(dtype=torch.float64)), self.volume
        radius = _radius(OVERLAP * volume)
        for _ in range(6):  # to a hundredth; fewer voxels have more photons each
            foot = FOOT * max(0.0, math.log10(max(photons, 1.0) / volume) - FAINT)
            volume = min(self.volume, 4 / 3 * math.pi * max(radius - foot, LEAST_RADIUS) ** 3 / OVERLAP)
        return volume


def few_voxels(counts: Volume, measured: Mask) -> FewVoxels:
    """Size of the crystal, and its pattern resampled.

    Parameters
    ----------
    counts : float32 tensor (n0, n1, n2)
        Intensity, centred.
    measured : bool tensor (n0, n1, n2)
        What is not measured is interpolated here, and not used where the small grid has it.
    """
    spectrum = to_centre(torch.fft.fftn(to_corner(filled(counts, measured)), dim=SPATIAL))
    power = blur(spectrum.abs().square(), BLUR)
    reached = _above_noise(power)
    places = torch.nonzero(reached)
    widths = ((places.amax(0) - places.amin(0) + 2) / 2).tolist()
    size = [min(n, _even_size(ROOM * width + 2)) for n, width in zip(counts.shape, widths, strict=True)]
    small = torch.fft.ifftn(to_corner(crop_or_pad(spectrum, size)), dim=SPATIAL).real.clamp_min(0)
    used = measured
    for axis, (n, m) in enumerate(zip(counts.shape, size, strict=True)):
        nearest = ((torch.arange(m) - m // 2) * (n / m)).round().long() + n // 2
        used = used.index_select(axis, nearest.clamp(0, n - 1).to(used.device))
    used = to_corner(used)
    return FewVoxels(torch.where(used, small, 0).sqrt(), used, power, float(reached.sum()) / OVERLAP)


def filled(counts: Volume, measured: Mask) -> Volume:
    """A pattern with what was not measured filled in from the rest, as the pattern of something small.

    Parameters
    ----------
    counts : float32 tensor (n0, n1, n2)
        Intensity, centred. What is not measured is not looked at.
    measured : bool tensor (n0, n1, n2)
    """
    if bool(measured.all()):
        return counts
    result = torch.where(measured, counts, 0)
    photons = float(result.sum())
    first = FIRST_THRESHOLD * photons
    last = min(first, LAST_THRESHOLD * math.sqrt(photons))
    for number in range(FILLING if photons > 0 else 0):
        threshold = first * (last / first) ** (number / (FILLING - 1))
        autocorrelation = torch.fft.fftn(result, dim=SPATIAL)
        compact = torch.where(autocorrelation.abs() > threshold, autocorrelation, 0)
        result = torch.where(measured, counts, torch.fft.ifftn(compact, dim=SPATIAL).real.clamp_min(0))
    return result


def half_autocorrelation(few: FewVoxels) -> Float[Tensor, "m0 m1 m2"]:
    """Power of the autocorrelation at 2 r, for voxels r of the small grid, corner order; 0 beyond what it reaches."""
    result = few.power
    outside = torch.zeros((), dtype=torch.bool)
    for axis, (n, m) in enumerate(zip(few.power.shape, few.modulus.shape, strict=True)):
        place = 2 * torch.fft.fftfreq(m, 1 / m).round().long() + n // 2
        beyond = (place < 0) | (place >= n)
        result = result.index_select(axis, place.clamp(0, n - 1).to(result.device))
        outside = outside | beyond.reshape([-1 if a == axis else 1 for a in range(3)])
    return torch.where(outside.to(result.device), 0, result)


def _above_noise(power: Float[Tensor, "n0 n1 n2"]) -> Bool[Tensor, "n0 n1 n2"]:
    """Where the autocorrelation is more than noise, in one piece with its middle."""
    distances = [((torch.arange(n, device=power.device) - n // 2).abs() > CORNER * (n // 2)) for n in power.shape]
    corner = power[distances[0]][:, distances[1]][:, :, distances[2]]
    reached = power > corner.mean() + ABOVE_NOISE * corner.std()
    pieces, _ = ndimage.label(reached.cpu().numpy())
    return torch.from_numpy(pieces == pieces[tuple(n // 2 for n in power.shape)]).to(power.device)


def _radius(volume: float) -> float:
    """Of the sphere of a volume."""
    return float((3 * volume / (4 * math.pi)) ** (1 / 3))


def _even_size(least: float) -> int:
    """The next even number without prime factors above 5: quickly transformed."""
    size = 2 * math.ceil(least / 2)
    while not _is_smooth(size):
        size += 2
    return size


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1
