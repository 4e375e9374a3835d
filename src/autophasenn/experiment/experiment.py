"""From crystals to what a detector counts: the conditions of an experiment are drawn, then applied.

Every sample is measured alone, whatever batch it is asked for in, so that its bits depend on its seed and index only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.crystals.source import Objects, Source
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment.beam import Coherence, draw_coherence
from autophasenn.experiment.counting import poisson_counts
from autophasenn.experiment.detectors import DETECTORS, Window, check_detectors, draw_window
from autophasenn.experiment.placement import move, phase_ramp, roll, shift_to_middle
from autophasenn.experiment.stray_light import Alien, Haze, draw_alien, draw_haze
from autophasenn.options import PositiveRange, Share, check_rising, options
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded
from autophasenn.randomness import (
    Stream,
    check_positive,
    generator_of,
    happens,
    log_uniform,
    three,
)
from autophasenn.volumes import PATTERN_VOXELS

Counts = Float[Tensor, "64 64 64"]
"""Counts of one pattern, expected or counted."""
Crystal = Complex[Tensor, "32 32 32"]
"""One object rho(r), the middle of its 64^3 field of view."""
MOST_COUNTS = 4e9
"""Expected counts that a voxel may have: files of patterns hold whole numbers of 32 bits."""


@dataclass(frozen=True)
class Conditions:
    """All that was drawn for the measurement of one sample, but for the counting noise.

    Parameters
    ----------
    photons : float
        Dose: expected counts of the crystal's own light in the whole pattern, gaps included.
    peak_offset : tuple of 3 floats
        Voxels by which the pattern is displaced from the grid of the detector.
    coherence : Coherence, optional
        None: full.
    background : float
        Expected counts a voxel, everywhere the same.
    haze : Haze, optional
        Smooth background.
    alien : Alien, optional
    window : Window, optional
        Place on a detector. None: every voxel measures.
    """

    photons: float
    peak_offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    coherence: Coherence | None = None
    background: float = 0.0
    haze: Haze | None = None
    alien: Alien | None = None
    window: Window | None = None

    def __post_init__(self) -> None:
        check_positive("The number of photons", self.photons)
        if not 0 <= self.background < math.inf:
            raise InputError(f"The background is {self.background:g} counts a voxel; give a number from 0 upwards.")
        if not all(map(math.isfinite, self.peak_offset)):
            raise InputError(f"The offset of the peak is {self.peak_offset} voxels; give three finite numbers.")

    @property
    def leaves_gaps(self) -> bool:
        """Whether any voxel may be unmeasured."""
        return self.window is not None or (self.alien is not None and self.alien.masked)


Probable = Annotated[float, Gt(0), Le(1)]


@options
class Experiment:
    """What experiments are drawn. The defaults are those of Yao et al., npj Comput. Mater. 8, 124 (2022).

    Pairs are the least and the most of a range, drawn uniformly in the logarithm. What happens with probability 0 draws
    none of its range.

    Parameters
    ----------
    photons : (float, float)
        Photons of the crystal in a pattern.
    peak_offset : float
        Largest offset of the pattern from the grid of the detector along each axis, voxels; 1/2 is any offset.
    partly_coherent : float
        Probability of partial coherence.
    coherence_length : (float, float)
        Along each axis, voxels of the object.
    with_background : float
        Probability of a flat background.
    background : (float, float)
        Its counts a voxel.
    with_haze : float
        Probability of a smooth background.
    haze : (float, float)
        Its counts a voxel at its highest.
    with_alien : float
        Probability of light of another crystal.
    alien : (float, float)
        Its largest counts over those of the Bragg peak.
    alien_masked : float
        Probability that an alien is unmeasured, as preprocessing leaves it; else its light stays in the counts.
    on_detector : float
        Probability that the pattern has gaps and bad pixels.
    detectors : names
        Of `DETECTORS`, each as likely as the others.
    binning : ints
        Detector pixels along the edge of a voxel, each as likely as the others.
    bad_pixels : (float, float)
        Share of dead and hot pixels.
    bad_line : float
        Probability of a dead piece of a column.
    gap_over_peak : bool
        Does a gap of the detector lie over the peak? Else nobody put it there.

    Raises
    ------
    InputError
        If a range or probability is none, a voxel could get over `MOST_COUNTS`, or a detector is unknown or too small.
    """

    photons: PositiveRange = (1e6, 1e8)
    peak_offset: Annotated[float, Ge(0), Le(0.5)] = 0.0
    partly_coherent: Share = 0.0
    coherence_length: PositiveRange = (10.0, 60.0)
    with_background: Share = 0.0
    background: PositiveRange = (1e-4, 5e-2)
    with_haze: Share = 0.0
    haze: PositiveRange = (1e-3, 1e-1)
    with_alien: Share = 0.0
    alien: PositiveRange = (1e-3, 1e-1)
    alien_masked: Share = 0.7
    on_detector: Share = 0.0
    detectors: tuple[str, ...] = tuple(DETECTORS)
    binning: tuple[int, ...] = (1, 1, 2)
    bad_pixels: tuple[Probable, Probable] = (1e-5, 1e-3)
    bad_line: Share = 0.05
    gap_over_peak: bool = False

    def __post_init__(self) -> None:
        check_rising(photons=self.photons, coherence_length=self.coherence_length, background=self.background)
        check_rising(haze=self.haze, alien=self.alien, bad_pixels=self.bad_pixels)
        most = self.photons[1] * (1 + self.alien[1] * (self.with_alien > 0))
        most += self.background[1] * (self.with_background > 0) + self.haze[1] * (self.with_haze > 0)
        if most > MOST_COUNTS:
            raise PlanError(f"A voxel could get {most:g} counts, and files hold {MOST_COUNTS:g}; give fewer photons.")
        check_detectors(self.detectors, self.binning)

    def draw(self, seed: int, index: int) -> Conditions:
        """The conditions of sample `index` of `seed`."""
        g = generator_of(seed, index, Stream.EXPERIMENT)
        photons = log_uniform(g, self.photons)
        offset = three(g, -self.peak_offset, self.peak_offset)
        coherence = draw_coherence(g, self.coherence_length) if happens(g, self.partly_coherent) else None
        background = log_uniform(g, self.background) if happens(g, self.with_background) else 0.0
        haze = draw_haze(g, self.haze) if happens(g, self.with_haze) else None
        alien = draw_alien(g, self.alien, self.alien_masked) if happens(g, self.with_alien) else None
        if happens(g, self.on_detector):
            window = draw_window(
                g, self.detectors, self.binning, self.bad_pixels, self.bad_line, over_gap=self.gap_over_peak
            )
        else:
            window = None
        return Conditions(photons, offset, coherence, background, haze, alien, window)


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
    samples = Samples(  # filled in place: new memory costs as much time as the Fourier transform
        counts=torch.empty(len(indices), *(PATTERN_VOXELS,) * 3, device=device),
        masks=torch.empty(len(indices), *(PATTERN_VOXELS,) * 3, dtype=torch.bool, device=device),
        objects=torch.empty_like(objects),
    )
    for place, index in enumerate(indices):
        noise = generator_of(seed, index, Stream.COUNTING, device)
        counts, mask, truth = measure(objects[place], experiment.draw(seed, index), noise)
        samples.counts[place], samples.masks[place], samples.objects[place] = counts, mask, truth
    return samples


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
    pattern = (PATTERN_VOXELS,) * 3
    if any(conditions.peak_offset):
        offset = torch.tensor(conditions.peak_offset, dtype=torch.float64, device=rho.device)
        rho = rho * phase_ramp(offset, rho.shape, pattern)
    expected = intensity_of(diffract_padded(rho, pattern))
    expected *= (conditions.photons / expected.sum(dtype=torch.float64)).float()
    if conditions.coherence is not None:
        expected = conditions.coherence.blur(expected)
    placed = shift_to_middle(expected)
    expected, mask = on_detector(roll(expected, placed), conditions)
    counts = poisson_counts(expected, generator)
    centred = shift_to_middle(counts)
    truth = rho * phase_ramp((placed + centred).double(), rho.shape, pattern)
    place = move if conditions.leaves_gaps else roll  # a whole pattern repeats, a detector ends at its edge
    return place(counts, centred), place(mask, centred), truth


def on_detector(expected: Counts, conditions: Conditions) -> tuple[Counts, Bool[Tensor, "64 64 64"]]:
    """Other light added to the expected counts of a crystal whose peak is in the middle, and what is measured of them.

    Returns
    -------
    expected : float32 tensor (64, 64, 64)
        0 where nothing is measured.
    mask : bool tensor (64, 64, 64)
    """
    mask = torch.ones(expected.shape, dtype=torch.bool, device=expected.device)
    highest = expected.max()
    if conditions.background:
        expected = expected + conditions.background
    if conditions.haze is not None:
        expected = expected + conditions.haze.intensity(expected.device)
    if conditions.alien is not None:
        alien = conditions.alien.intensity(highest)
        if conditions.alien.masked:
            mask &= ~conditions.alien.noticed(alien, expected)
        expected = expected + alien
    if conditions.window is not None:
        mask &= conditions.window.mask().to(expected.device)
    return (expected * mask if conditions.leaves_gaps else expected), mask


BEAMLINE = Experiment(
    photons=(1e5, 1e9),
    peak_offset=0.5,
    partly_coherent=0.5,
    with_background=0.8,
    with_haze=0.3,
    with_alien=0.15,
    on_detector=0.9,
)
"""The experiment of real measurements."""
