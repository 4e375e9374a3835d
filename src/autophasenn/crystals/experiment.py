"""From crystals to what a detector counts: the conditions of an experiment are drawn, then applied.

Every sample is measured alone, whatever batch it is asked for in, so that its bits depend on its seed and index only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Complex, Float, Shaped
from torch import Tensor

from autophasenn.crystals.counting import poisson_counts
from autophasenn.crystals.sampling import OBJECT_VOXELS, PATTERN_VOXELS
from autophasenn.crystals.seeding import Stream, generator_of
from autophasenn.crystals.source import Objects, Source
from autophasenn.errors import InputError
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded
from autophasenn.volumes import SPATIAL

Counts = Float[Tensor, "64 64 64"]
"""Counts of one pattern, expected or counted."""
Crystal = Complex[Tensor, "32 32 32"]
"""One object rho(r), the middle of its 64^3 field of view."""


@dataclass(frozen=True)
class Conditions:
    """All that was drawn for the measurement of one sample, but for the counting noise.

    Parameters
    ----------
    photons : float
        Dose: expected counts of the crystal's own light in the whole pattern, gaps included.
    peak_offset : tuple of 3 floats
        Voxels by which the pattern is displaced from the grid of the detector, -1/2 to 1/2.
    """

    photons: float
    peak_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Experiment:
    """What experiments are drawn. The defaults are those of Yao et al., npj Comput. Mater. 8, 124 (2022).

    Parameters
    ----------
    photons : (float, float)
        Least and most photons in a pattern, uniform in the logarithm.
    peak_offset : float
        Largest offset of the pattern from the grid of the detector along each axis, voxels; 1/2 is any offset.
    """

    photons: tuple[float, float] = (1e6, 1e8)
    peak_offset: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.photons[0] <= self.photons[1] <= 1e12:
            raise InputError(
                f"The photons of a pattern are drawn from {self.photons[0]:g} to {self.photons[1]:g}; the bounds must rise "
                "and be positive. Give, for instance, 1e6 and 1e8."
            )
        if not 0 <= self.peak_offset <= 0.5:
            raise InputError(
                f"peak_offset is {self.peak_offset:g}; give 0 to 0.5 voxels, what lies beyond is a whole one."
            )

    def draw(self, seed: int, index: int) -> Conditions:
        """The conditions of sample `index` of `seed`."""
        generator = generator_of(seed, index, Stream.EXPERIMENT)
        dose, *offset = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
        low, high = math.log(self.photons[0]), math.log(self.photons[1])
        first, second, third = (self.peak_offset * (2 * share - 1) for share in offset)
        return Conditions(math.exp(low + (high - low) * dose), (first, second, third))


@dataclass(frozen=True, eq=False)
class Samples:
    """Patterns and the objects that make them.

    Parameters
    ----------
    counts : float32 tensor (batch, 64, 64, 64)
        Whole numbers, the brightest measured voxel at index ``n // 2``; 0 where nothing was measured.
    masks : bool tensor (batch, 64, 64, 64)
        True = measured.
    objects : complex64 tensor (batch, 32, 32, 32)
        The truth: largest amplitude 1. ``|FFT(pad(object))|^2`` is the pattern up to scale and noise (and, where the
        conditions have them, partial coherence, background and aliens): the phase ramp that puts the peak where it was
        counted is part of the object.
    """

    counts: Float[Tensor, "batch 64 64 64"]
    masks: Bool[Tensor, "batch 64 64 64"]
    objects: Objects


def simulate(
    source: Source, experiment: Experiment, seed: int, indices: Sequence[int], device: torch.device | str = "cpu"
) -> Samples:
    """Samples `indices` of the dataset `seed`: crystals from `source`, measured in `experiment`.

    Sample i depends on `seed` and i only: it is the same to the last bit in any batch and on any worker, on one kind of
    device.

    Parameters
    ----------
    source : Source
    experiment : Experiment
    seed : int
    indices : sequence of int
        At least one.
    device : torch device
        Where to work and to put the samples.

    Raises
    ------
    InputError
        If there are no indices.
    """
    if not indices:
        raise InputError("There are no samples to simulate: indices is empty. Give at least one index.")
    objects = source.objects(seed, indices, device)
    measured = [
        measure(rho, experiment.draw(seed, index), generator_of(seed, index, Stream.COUNTING, device))
        for rho, index in zip(objects, indices, strict=True)
    ]
    counts, masks, truths = (torch.stack(part) for part in zip(*measured, strict=True))
    return Samples(counts, masks, truths)


def measure(
    rho: Crystal, conditions: Conditions, generator: torch.Generator
) -> tuple[Counts, Bool[Tensor, "64 64 64"], Crystal]:
    """One crystal measured under the given conditions: counts, mask, and the object that these show.

    Parameters
    ----------
    rho : complex64 tensor (32, 32, 32)
    conditions : Conditions
    generator : torch.Generator
        Of the counting noise, on the device of `rho`.
    """
    rho = rho * phase_ramp(torch.tensor(conditions.peak_offset, dtype=torch.float64, device=rho.device))
    expected = intensity_of(diffract_padded(rho, (PATTERN_VOXELS,) * 3))
    expected *= (conditions.photons / expected.sum(dtype=torch.float64)).float()
    mask = torch.ones(expected.shape, dtype=torch.bool, device=rho.device)
    counts = poisson_counts(expected, generator)
    shift = shift_to_middle(counts)
    return roll(counts, shift), roll(mask, shift), rho * phase_ramp(shift.double())


def phase_ramp(shift: Float[Tensor, " 3"]) -> Crystal:
    """exp(i q.r) that moves the pattern of an object by `shift` voxels (float64 (3,), of any size), complex64."""
    r = torch.arange(OBJECT_VOXELS, dtype=torch.float64, device=shift.device) - OBJECT_VOXELS // 2
    angle = (2 * math.pi / PATTERN_VOXELS) * shift[:, None] * r
    first, second, third = torch.polar(torch.ones_like(angle), angle).to(torch.complex64)
    return first[:, None, None] * second[:, None] * third


def shift_to_middle(counts: Counts) -> Shaped[Tensor, " 3"]:
    """By how many voxels the brightest one must move to index ``n // 2``; int64 tensor, so that no device must wait."""
    peak = torch.stack(torch.unravel_index(counts.argmax(), counts.shape))
    return PATTERN_VOXELS // 2 - peak


def roll(volume: Shaped[Tensor, "64 64 64"], shift: Shaped[Tensor, " 3"]) -> Shaped[Tensor, "64 64 64"]:
    """Move a volume by whole voxels; what leaves on one side comes back on the other."""
    if volume.device.type == "cpu":
        return torch.roll(volume, shift.tolist(), SPATIAL) if shift.any() else volume
    places = torch.arange(PATTERN_VOXELS, device=volume.device)
    for axis in range(3):
        volume = volume.index_select(axis, (places - shift[axis]) % PATTERN_VOXELS)
    return volume


BEAMLINE = Experiment(photons=(1e5, 1e9), peak_offset=0.5)
"""The experiment of real measurements."""
