"""The first guess: phase retrieval at half the resolution."""

import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment.experiment import Experiment, Samples, simulate
from autophasenn.network.first_guess import FirstGuess, _extent, _start, first_guess
from autophasenn.physics.ambiguity import align
from autophasenn.physics.fourier import back_propagate, diffract
from autophasenn.volumes import crop_or_pad, twin

COARSE, COARSE_OBJECT = (32, 32, 32), (16, 16, 16)


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.fixture(scope="module")
def samples() -> Samples:
    return simulate(Polyhedra(), Experiment(), 3, range(3))


def test_it_is_the_crystal_at_half_the_resolution(samples: Samples) -> None:
    waves = diffract(crop_or_pad(samples.objects, (64, 64, 64)))
    truth = crop_or_pad(back_propagate(crop_or_pad(waves, COARSE)), COARSE_OBJECT)
    found = first_guess(samples.counts, samples.masks, generators(1, 2, 3), FirstGuess())
    for one, other in zip(truth, found, strict=True):
        assert align(one, other).correlation > 0.8


def test_a_voxel_beside_the_middle_is_two_voxels_of_the_object_away() -> None:
    """Voxel 8 of the guess lies on voxel 16 of the object, and each is twice as wide."""
    fine = torch.zeros(1, 64, 64, 64, dtype=torch.complex64)
    fine[0, 32 + 6, 32 - 4, 32 + 2] = 1
    coarse = back_propagate(crop_or_pad(diffract(fine), COARSE)).abs()
    assert [int(i) for i in torch.unravel_index(coarse.argmax(), coarse.shape)] == [0, 19, 14, 17]


def test_of_more_candidates_a_better_one_is_kept(samples: Samples) -> None:
    def misfit(candidates: int) -> float:
        found = first_guess(samples.counts, samples.masks, generators(7, 8, 9), FirstGuess(candidates, 10))
        modulus = diffract(crop_or_pad(found, COARSE)).abs()
        measured = crop_or_pad(samples.counts, COARSE).sqrt()
        modulus, measured = (volume.flatten(1) for volume in (modulus, measured))
        return float(1 - torch.cosine_similarity(modulus, measured).mean())

    assert misfit(6) < misfit(1)


def test_its_beginning_is_no_superposition_of_a_crystal_and_its_twin(samples: Samples) -> None:
    start = _start(_extent(crop_or_pad(samples.counts, COARSE)), generators(1, 2, 3))
    overlap = (start * twin(start).conj()).sum((1, 2, 3)).abs() / start.abs().square().sum((1, 2, 3))
    assert (overlap < 0.8).all()


def test_counts_of_unmeasured_voxels_and_their_scale_mean_nothing(samples: Samples) -> None:
    measured = samples.masks.clone()
    measured[:, :, 35:38] = False
    how = FirstGuess(1, 20)
    expected = first_guess(samples.counts, measured, generators(1, 2, 3), how)
    found = first_guess(torch.where(measured, 64 * samples.counts, 1e7), measured, generators(1, 2, 3), how)
    correlation = [align(one, other).correlation for one, other in zip(expected, found, strict=True)]
    assert min(correlation) > 0.999


def test_a_pattern_without_counts_and_a_guess_without_iterations_are_refused(samples: Samples) -> None:
    with pytest.raises(InputError, match="no counts"):
        first_guess(torch.zeros_like(samples.counts), samples.masks, generators(1, 2, 3), FirstGuess())
    for wrong in ({"candidates": 0}, {"iterations": 0}):
        with pytest.raises(PlanError, match="give 1 or more"):
            FirstGuess(**wrong)
    for beyond in ({"beta": 0.0}, {"beta": 1.5}, {"support_threshold": 1.0}, {"taper": -1.0}):
        with pytest.raises(PlanError, match="give"):
            FirstGuess(**beyond)
