"""Laws of the simulated measurement."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from autophasenn.crystals.experiment import BEAMLINE, Experiment, Samples, simulate
from autophasenn.crystals.seeding import Stream, generator_of
from autophasenn.crystals.shapes import clipped_block, polyhedron
from autophasenn.errors import InputError
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded

VOXEL = 0.816e-9


class Blocks:
    """Clipped cubes with two waves of phase of the given amplitude (rad)."""

    def __init__(self, phase: float = 2.0) -> None:
        self.phase = phase

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
        x = ((torch.arange(32) - 16) * VOXEL).double()
        positions = torch.stack(torch.meshgrid(x, x, x, indexing="ij"), -1)
        objects = []
        for index in indices:
            generator = generator_of(seed, index, Stream.CRYSTAL)
            facets = clipped_block(generator)
            waves = torch.randn(2, 3, generator=generator, dtype=torch.float64) * 2e8
            phase = self.phase * torch.sin(positions @ waves[0] + 1) * torch.cos(positions @ waves[1])
            amplitude = polyhedron(positions, facets.normals, facets.distances, VOXEL)
            objects.append(torch.polar(amplitude, phase).to(torch.complex64))
        return torch.stack(objects).to(device)

    def provenance(self) -> dict[str, Any]:
        return {"name": "blocks"}


def calculated(samples: Samples) -> torch.Tensor:
    return intensity_of(diffract_padded(samples.objects, (64, 64, 64)))


def relative_chi2(samples: Samples) -> torch.Tensor:
    """chi2 of the truth over what the counting noise alone gives."""
    intensity = calculated(samples)
    scale = metrics.best_scale(intensity, samples.counts, samples.masks).square()[:, None, None, None]
    chi2 = metrics.chi2_of_intensity(intensity, samples.counts, samples.masks)
    return chi2 / metrics.chi2_noise(intensity * scale, samples.counts, samples.masks)


def test_total_counts_equal_the_dose() -> None:
    samples = simulate(Blocks(), Experiment(), 1, range(4))
    for index, counts in enumerate(samples.counts):
        photons = Experiment().draw(1, index).photons
        assert 1e6 <= photons <= 1e8
        assert abs(float(counts.sum(dtype=torch.float64)) - photons) < 5 * photons**0.5


@pytest.mark.parametrize("experiment", [Experiment(), Experiment(photons=(1e5, 1e9), peak_offset=0.5)])
def test_the_truth_fits_its_pattern_as_well_as_the_noise_allows(experiment: Experiment) -> None:
    samples = simulate(Blocks(), experiment, 2, range(4))
    assert ((relative_chi2(samples) - 1).abs() < 0.03).all()
    peaks = samples.counts.flatten(1).argmax(1)
    assert (peaks == (32 * 64 + 32) * 64 + 32).all()


@pytest.mark.parametrize("experiment", [Experiment(), BEAMLINE])
def test_a_sample_is_the_same_in_every_batch(experiment: Experiment) -> None:
    together, apart = simulate(Blocks(), experiment, 3, [0, 1, 2]), simulate(Blocks(), experiment, 3, [2])
    for name in ("counts", "masks", "objects"):
        assert torch.equal(getattr(together, name)[2], getattr(apart, name)[0])
    other = simulate(Blocks(), experiment, 4, [2])
    assert not torch.equal(other.counts, apart.counts)


def test_no_index_is_said() -> None:
    with pytest.raises(InputError, match="at least one index"):
        simulate(Blocks(), Experiment(), 1, [])
