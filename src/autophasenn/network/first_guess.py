"""What the unrolled network begins with: a crystal found by phase retrieval at half the resolution.

At half the resolution (the middle 32^3 voxels of the pattern) an iteration costs an eighth. The first objects are random
and not symmetric: a crystal and its twin ``rho*(-r)`` have the same pattern, and what treats both alike ends in a
superposition of them. Hybrid input-output with a shrinking support leaves such superpositions, which no network that was
trained on the misfit of its diffraction alone was seen to do (docs/guide/training.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Gt, Le
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional

from autophasenn.network.estimates import Generators
from autophasenn.options import Fraction, NotNegative, Number, options
from autophasenn.phasing.algorithms import HIO
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import back_propagate_cropped, diffract
from autophasenn.physics.metrics import chi2_of_intensity
from autophasenn.volumes import OBJECT, PATTERN, SPATIAL, Mask, Volume, crop_or_pad

COARSE_OBJECT = tuple(n // 2 for n in OBJECT)
COARSE_PATTERN = tuple(n // 2 for n in PATTERN)
CoarseObjects = Complex[Tensor, "batch 16 16 16"]


@options
class FirstGuess:
    """How the first guess is found.

    Parameters
    ----------
    candidates : int
        Objects that are begun for each pattern; the one with the least chi2 is kept.
    iterations : int
        Of hybrid input-output.
    beta : float
        Its feedback.
    support_threshold : float
        Of shrink-wrap, as a fraction of the typical amplitude.
    taper : float
        The intensity falls by ``exp(-2 taper)`` towards the faces of the coarse pattern: a sharp edge there would make
        the crystal's surface ring.
    """

    candidates: Number = 2
    iterations: Number = 40
    beta: Annotated[float, Gt(0), Le(1)] = 0.9
    support_threshold: Fraction = 0.3
    taper: NotNegative = 1.0

    @property
    def schedule(self) -> Schedule:
        """Of the retrieval."""
        shrink_wrap = ShrinkWrap(every=5, threshold=self.support_threshold, sigma_first=1.3, sigma_last=0.6)
        blocks = (Block(HIO(self.beta), self.iterations),)
        return Schedule(blocks, 1, shrink_wrap, break_twin_at=None, average_last=0)


@torch.no_grad()
def first_guess(counts: Volume, measured: Mask, generator: Generators, how: FirstGuess) -> CoarseObjects:
    """Objects at half the resolution.

    Parameters
    ----------
    counts : float tensor (batch, 64, 64, 64)
        On any scale.
    measured : bool tensor (batch, 64, 64, 64)
    generator : torch.Generator, or one for each pattern, optional
        Of the random beginnings.
    how : FirstGuess

    Returns
    -------
    complex64 tensor (batch, 16, 16, 16)
        Voxels are twice as wide as those of the network's objects, and voxel 8 lies on voxel 16 of those.

    Raises
    ------
    InputError
        If a pattern has no counts in the measured voxels of its middle.
    """
    measured = crop_or_pad(measured, COARSE_PATTERN)
    counts = torch.where(measured, crop_or_pad(counts.float(), COARSE_PATTERN), 0).clamp_min(0)
    counts = counts * _taper(how.taper, counts.device)
    counts = counts / counts.amax(SPATIAL, keepdim=True).clamp_min(torch.finfo(counts.dtype).tiny)
    extent = _extent(counts)
    starts = torch.stack([_start(extent, generator) for _ in range(how.candidates)], 1).flatten(0, 1)
    if len(counts) > 1:  # one pattern serves all of its starts
        counts, measured = (volume.repeat_interleave(how.candidates, 0) for volume in (counts, measured))
    start = crop_or_pad(starts, COARSE_PATTERN)
    found = retrieve(counts, measured, how.schedule, seeds=[0] * len(starts), start=start, with_errors=False)
    objects = crop_or_pad(found.object, COARSE_OBJECT)
    if how.candidates == 1:
        return objects
    intensity = intensity_of(diffract(crop_or_pad(objects, COARSE_PATTERN)))
    misfit = chi2_of_intensity(intensity, counts.expand_as(intensity), measured.expand_as(intensity))
    misfit = misfit.reshape(-1, how.candidates)
    first = torch.arange(len(misfit), device=counts.device) * how.candidates
    return objects[first + misfit.argmin(1)]


def _taper(strength: float, device: torch.device) -> Volume:
    q = [torch.linspace(-1, 1 - 2 / n, n, device=device) for n in COARSE_PATTERN]
    q0, q1, q2 = torch.meshgrid(*q, indexing="ij")
    return torch.exp(-2 * strength * (q0.square() + q1.square() + q2.square()))


def _extent(counts: Volume) -> Float[Tensor, "batch 16 16 16"]:
    """Square root of the autocorrelation, 1 in its centre: about as wide as the crystal."""
    patterson = back_propagate_cropped(counts.to(torch.complex64), COARSE_OBJECT).abs()
    return (patterson / patterson.amax(SPATIAL, keepdim=True).clamp_min(torch.finfo(counts.dtype).tiny)).sqrt()


def _start(extent: Float[Tensor, "batch 16 16 16"], generator: Generators) -> CoarseObjects:
    """A crystal of random smooth phase, and a random part of it, about half, darker."""

    def smooth(points: int) -> Tensor:
        noise = _noise((len(extent), 1, points, points, points), generator, extent.device)
        return functional.interpolate(noise, COARSE_OBJECT, mode="trilinear", align_corners=False)[:, 0]

    return torch.polar(extent * torch.sigmoid(4 * smooth(3)), 0.5 * smooth(6))


def _noise(shape: tuple[int, ...], generator: Generators, device: torch.device) -> Tensor:
    if isinstance(generator, Sequence):
        noise = torch.stack([torch.randn(shape[1:], generator=each, device=each.device) for each in generator])
    else:
        source = device if generator is None else generator.device
        noise = torch.randn(shape, generator=generator, device=source)
    return noise.to(device)
