"""The network's box: any pattern in, any object back, and nothing made up on the way."""

import math

import numpy as np
import pytest
import torch

from autophasenn.errors import InputError
from autophasenn.inversion.box import NetworkBox
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import back_propagate, diffract
from crystals import polyhedron, smooth_phase

CASES = [
    ((64, 64, 64), (3.0, 3.0, 3.0)),
    ((48, 48, 48), (2.5, 3.0, 2.2)),
    ((200, 96, 96), (7.0, 4.2, 4.2)),
    ((48, 128, 80), (2.4, 5.0, 9.0)),
]
IDS = ["x".join(map(str, shape)) for shape, _ in CASES]


def crystal(shape: tuple[int, ...], oversampling: tuple[float, ...]) -> torch.Tensor:
    rng = np.random.default_rng(3)
    rho = polyhedron(shape, oversampling, rng) * np.exp(2j * smooth_phase(shape, oversampling, rng))
    return torch.from_numpy(rho).to(torch.complex64)


def counts_of(rho: torch.Tensor, photons: float = 2e7) -> torch.Tensor:
    intensity = intensity_of(diffract(rho))
    return intensity * (photons / intensity.sum())


def wave_in_box(rho: torch.Tensor, box: NetworkBox) -> torch.Tensor:
    """The wave at the places of the box, by Fourier sums over the object; 0 beyond the pattern."""
    psi = rho
    for axis, (size, step) in enumerate(zip(box.shape, box.steps, strict=True)):
        q, r = (np.arange(64) - 32) * step, np.arange(size) - size // 2
        matrix = np.exp(-2j * math.pi * q[:, None] * r / size) / math.sqrt(size)
        matrix[np.abs(q) >= size / 2] *= 0
        psi = torch.tensordot(torch.from_numpy(matrix).to(psi), psi, dims=([1], [axis])).movedim(0, axis)
    return psi.contiguous()


@pytest.mark.parametrize(("shape", "oversampling"), CASES, ids=IDS)
def test_the_box_is_well_sampled_and_no_larger_than_it_must_be(
    shape: tuple[int, int, int], oversampling: tuple[float, float, float]
) -> None:
    box = NetworkBox.of(shape, oversampling)
    for before, after, size, step in zip(oversampling, box.oversampling(oversampling), shape, box.steps, strict=True):
        assert after == pytest.approx(before / step)
        assert 2.0 <= after <= 6.0
        assert after <= 3.4 or step >= size / 64 or step == 1


@pytest.mark.parametrize(("shape", "oversampling"), CASES, ids=IDS)
def test_counts_in_the_box_are_the_intensity_at_its_places(
    shape: tuple[int, int, int], oversampling: tuple[float, float, float]
) -> None:
    rho = crystal(shape, oversampling)
    box = NetworkBox.of(shape, oversampling)
    counts, measured = box.counts_into(counts_of(rho), torch.ones(shape, dtype=torch.bool))
    exact = intensity_of(wave_in_box(rho, box))
    measured = measured & (exact > 0)
    assert measured.sum() > 0.9 * (exact > 0).sum()
    assert float(metrics.chi2_of_intensity(exact, counts, measured)) < 1e-4
    photons = counts_of(rho).sum() * (counts.sum() / counts_of(rho).sum())
    assert 0.8 * 2e7 < photons < 1.02 * 2e7, "counts are summed, not averaged: their noise stays that of counts"


@pytest.mark.parametrize(("shape", "oversampling"), CASES, ids=IDS)
def test_an_object_through_the_box_and_back_is_itself(
    shape: tuple[int, int, int], oversampling: tuple[float, float, float]
) -> None:
    rho = crystal(shape, oversampling)
    box = NetworkBox.of(shape, oversampling)
    back = box.object_onto_grid(back_propagate(wave_in_box(rho, box)))
    assert tuple(back.shape) == shape
    flat = (rho.flatten(), back.flatten())
    overlap = torch.vdot(*flat).abs() / (flat[0].norm() * flat[1].norm())
    assert overlap > 0.99, "no translation, twin or ramp is needed to match them"


def test_a_pattern_of_the_size_of_the_box_is_the_box() -> None:
    rho = crystal((64, 64, 64), (3.0, 3.0, 3.0))
    box = NetworkBox.of((64, 64, 64), (3.0, 3.0, 3.0))
    counts = counts_of(rho)
    assert box.is_whole_pattern
    assert torch.equal(box.counts_into(counts, counts >= 0)[0], counts)
    assert torch.allclose(box.object_onto_grid(rho), rho, atol=1e-5)


def test_a_gap_stays_a_gap_and_its_values_do_not_matter() -> None:
    shape, oversampling = (64, 128, 128), (3.0, 5.0, 4.5)
    box = NetworkBox.of(shape, oversampling)
    counts = counts_of(crystal(shape, oversampling))
    mask = torch.ones(shape, dtype=torch.bool)
    mask[:, 70:78] = mask[:, :, 40:46] = False
    found, measured = box.counts_into(counts, mask)
    spoiled, same = box.counts_into(torch.where(mask, counts, 1e9), mask)
    assert torch.equal(found, spoiled)
    assert torch.equal(measured, same)
    row = 32 + round((73.5 - 64) / box.steps[1])
    column = 32 + round((42.5 - 64) / box.steps[2])
    assert not measured[:, row].any()
    assert not measured[:, :, column].any()
    hidden = (8 / box.steps[1] + 6 / box.steps[2]) / 64
    assert measured.double().mean() > 1 - hidden - 3 / 64, "a gap grows by two voxels at most"
    whole, _ = box.counts_into(counts, torch.ones(shape, dtype=torch.bool))
    assert float(metrics.chi2_of_intensity(whole, found, measured)) < 2e-3, "what a gap hides is not read as zero"


def test_beyond_the_pattern_nothing_is_measured() -> None:
    box = NetworkBox.of((48, 64, 64), (3.0, 3.0, 3.0))
    counts = counts_of(crystal((48, 64, 64), (3.0, 3.0, 3.0)))
    _, measured = box.counts_into(counts, counts >= 0)
    assert measured.sum((1, 2)).tolist() == [0] * 8 + [64 * 64] * 48 + [0] * 8


def test_too_few_voxels_for_the_network_are_refused() -> None:
    with pytest.raises(InputError, match=r"8 voxels along axis 1.*--method iterative"):
        NetworkBox.of((64, 8, 64), (3.0, 3.0, 3.0))


def test_a_mask_that_hides_the_middle_is_refused() -> None:
    counts = torch.zeros(64, 64, 64)
    counts[32, 32, 32] = 100
    with pytest.raises(InputError, match="No photon"):
        NetworkBox.of((64, 64, 64), (3.0, 3.0, 3.0)).counts_into(counts, counts == 0)
