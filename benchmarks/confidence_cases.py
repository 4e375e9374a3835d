"""Simulated patterns on which a confidence is calibrated: ordinary ones, and such as the network was not trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor
from torch.nn import functional

from autophasenn.crystals.displacement import Displacement
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.source import Objects, Source
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.experiment.placement import phase_ramp, roll, shift_to_middle
from autophasenn.experiment.recipes import ANY_VIEW, recipe
from autophasenn.physics.diffraction import count_photons, intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.randomness import Stream, generator_of, log_uniform
from autophasenn.volumes import OBJECT_VOXELS, PATTERN, SPATIAL, crop_or_pad

ORDINARY = ("paper", "beamline")
"""What the network is trained on."""


@dataclass(frozen=True, eq=False)
class Sample:
    """A pattern and the object behind it.

    Parameters
    ----------
    counts : float32 tensor (64, 64, 64)
    measured : bool tensor (64, 64, 64)
    truth : complex64 tensor (64, 64, 64)
    """

    counts: Float[Tensor, "64 64 64"]
    measured: Bool[Tensor, "64 64 64"]
    truth: Complex[Tensor, "64 64 64"]


@dataclass(frozen=True)
class Pairs:
    """Two crystals beside each other that diffract together. A `source.Source`.

    Parameters
    ----------
    crystals : Polyhedra
        Of which each is one; oversampled enough to leave room for the other.
    distance : int
        Between their middles, voxels, along an axis that is drawn.
    weakest : float
        Least amplitude of the second; the first has 1.
    """

    crystals: Polyhedra = field(default_factory=lambda: Polyhedra(sampling=Sampling(True, 4.8, 7.0)))
    distance: int = 17
    weakest: float = 0.5

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Objects:
        """The pairs of these indices; complex64 (len(indices), 32, 32, 32) on `device`."""
        first = self.crystals.objects(seed, [2 * index for index in indices], device)
        second = self.crystals.objects(seed, [2 * index + 1 for index in indices], device)
        for place, index in enumerate(indices):
            generator = generator_of(seed, index, Stream.MIXTURE)
            axis = int(torch.randint(3, (), generator=generator))
            strength, turn = torch.rand(2, generator=generator).tolist()
            factor = self.weakest + (1 - self.weakest) * strength
            phase = complex(math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn))
            half = self.distance // 2
            pair = first[place].roll(-half, axis) + factor * phase * second[place].roll(self.distance - half, axis)
            first[place] = pair / pair.abs().max()
        return first

    def provenance(self) -> dict[str, Any]:
        """Every parameter."""
        return {"source": "pairs", **asdict(self)}


COARSE = 1.5
"""How many times too long a crystal of the coarse case is for its box."""


def _drawn(source: Source, experiment: Experiment, seed: int, index: int) -> Sample:
    samples = simulate(source, experiment, seed, [index])
    return Sample(samples.counts[0], samples.masks[0], crop_or_pad(samples.objects[0], PATTERN))


def _coarse(seed: int, index: int) -> Sample:
    """A crystal that overfills its box: oversampling 1.33 to 1.67 along each axis."""
    rho = Polyhedra(sampling=Sampling(True, 2.0, 2.5)).objects(seed, [index])[0]
    size = [round(COARSE * OBJECT_VOXELS)] * 3
    parts = functional.interpolate(torch.stack([rho.real, rho.imag])[None], size=size, mode="trilinear")[0]
    rho = crop_or_pad(torch.complex(parts[0], parts[1]), PATTERN)
    photons = log_uniform(generator_of(seed, index, Stream.EXPERIMENT), Experiment().photons)
    counts = count_photons(intensity_of(diffract(rho)), photons, generator_of(seed, index, Stream.COUNTING))
    shift = shift_to_middle(counts)
    counts = roll(counts, shift)
    rho = rho * phase_ramp(shift.double(), PATTERN, PATTERN)
    return Sample(counts, torch.ones_like(counts, dtype=torch.bool), rho / rho.abs().amax(SPATIAL))


CASES: dict[str, Callable[[int, int], Sample]] = {
    "paper": partial(_drawn, *recipe("polyhedra", "paper")),
    "beamline": partial(_drawn, *recipe("polyhedra", "beamline")),
    "few photons": partial(_drawn, Polyhedra(sampling=ANY_VIEW), Experiment(photons=(1e4, 1e5))),
    "strong strain": partial(
        _drawn,
        Polyhedra(sampling=ANY_VIEW, displacement=Displacement(strong=1.0, strong_range=(4 * math.pi, 12 * math.pi))),
        Experiment(),
    ),
    "two particles": partial(_drawn, Pairs(), Experiment()),
    "alien": partial(
        _drawn, Polyhedra(sampling=ANY_VIEW), Experiment(with_alien=1.0, alien=(3e-2, 0.3), alien_masked=0.0)
    ),
    "coarse": _coarse,
}
"""Name -> the sample of a seed and an index. `paper` and `beamline` are the recipes of training; the others lie outside of
it: 10^4 to 10^5 photons; waves that give the phase a range of 4 pi to 12 pi; two crystals; light of another crystal that
nobody masked; oversampling 1.33 to 1.67."""
