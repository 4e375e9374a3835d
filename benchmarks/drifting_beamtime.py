"""A simulated beamtime: scan after scan another crystal, each a little farther from those of the training.

From the first scan to the last the strain grows until the phase ranges over 2 pi, a hollow opens inside the crystals as
where they dissolve (the training knows none), and the beam loses coherence until that is the worst of the training.
Sampling, dose and orientation are drawn for each. Nothing but the counts is told to anybody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from autophasenn.crystals.displacement import Displacement
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.experiment.beam import Coherence
from autophasenn.experiment.experiment import Conditions, measure
from autophasenn.randomness import Stream, generator_of, log_uniform, three, uniform
from autophasenn.volumes import Pattern

PHASE_RANGE = (0.5 * math.pi, 2 * math.pi)
"""Of the first scan and of the last, radians."""
HOLLOW = (0.0, 0.5)
"""Radius of the hollow over that of the crystal, along each axis."""
COHERENCE = (40.0, 10.0)
"""Coherence length along each axis, voxels of the object."""
PHOTONS = (3e6, 3e7)
VIEWS = Sampling(any_orientation=True, least_oversampling=2.5, most_oversampling=4.0)
EDGE = 1.0
"""Of the hollow: half the width over which the amplitude falls, voxels."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A scan, and what is true.

    Parameters
    ----------
    pattern : Pattern
        Counts and mask, (64, 64, 64).
    truth : complex64 tensor (32, 32, 32)
    """

    pattern: Pattern
    truth: Tensor


def scan(seed: int, number: int, count: int) -> Measured:
    """Scan `number` (the first is 0) of a beamtime of `count`."""
    share = number / max(1, count - 1)
    widest = math.exp(_between([math.log(each) for each in PHASE_RANGE], share))
    crystals = Polyhedra(sampling=VIEWS, displacement=Displacement(strong=1.0, strong_range=(widest, widest)))
    rho = crystals.objects(seed, [number])[0]
    draws = generator_of(seed, number, Stream.EXPERIMENT)
    rho = _hollowed(rho, _between(HOLLOW, share), draws)
    length = math.exp(_between([math.log(each) for each in COHERENCE], share))
    lengths = [length * math.exp(uniform(draws, -0.2, 0.2)) for _ in range(3)]
    conditions = Conditions(
        log_uniform(draws, PHOTONS),
        three(draws, -0.5, 0.5),
        Coherence("gaussian", (lengths[0], lengths[1], lengths[2])),
    )
    counts, mask, truth = measure(rho, conditions, generator_of(seed, number, Stream.COUNTING))
    return Measured(Pattern(counts, mask), truth)


def _between(ends: tuple[float, float] | list[float], share: float) -> float:
    return ends[0] + share * (ends[1] - ends[0])


def _hollowed(rho: Tensor, radius: float, draws: torch.Generator) -> Tensor:
    """The crystal with an ellipsoid of its own proportions taken out, off its middle by up to a fifth of its size."""
    places = torch.nonzero(rho.abs() > 0.5 * rho.abs().max()).float()
    middle, half = places.mean(0), (places.amax(0) - places.amin(0) + 1) / 2
    middle = middle + torch.tensor(three(draws, -0.2, 0.2)) * half
    axes = torch.stack(torch.meshgrid(*(torch.arange(n).float() for n in rho.shape), indexing="ij"), -1)
    distance = (((axes - middle) / half).norm(dim=-1) - radius) * half.mean()
    return rho * torch.sigmoid(2 * distance / EDGE) if radius > 0 else rho
