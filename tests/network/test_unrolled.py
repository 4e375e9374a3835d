"""The unrolled network: its starts, its projections, and what it is blind to."""

import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.network.architectures import build
from autophasenn.network.estimates import Stage
from autophasenn.network.first_guess import FirstGuess
from autophasenn.network.loss import root_chi2, unit_modulus
from autophasenn.network.unrolled import Unrolled, UnrolledDesign, _Projection
from autophasenn.physics.ambiguity import align
from autophasenn.physics.fourier import back_propagate, diffract
from autophasenn.volumes import PATTERN, crop_or_pad

GUESS = FirstGuess(candidates=2, iterations=10)
TINY = UnrolledDesign(stages=2, width=8, blocks=(1, 1), memory=2, feedback=1, guess=GUESS)
DESIGNS = [
    TINY,
    UnrolledDesign(stages=2, width=8, blocks=(1, 1), memory=0, feedback=0, guess=FirstGuess(1, 5)),
]


@pytest.fixture(scope="module")
def patterns() -> tuple[torch.Tensor, torch.Tensor]:
    samples = simulate(Polyhedra(), Experiment(), 3, range(3))
    measured = samples.masks.clone()
    measured[0, :, 10:13] = False
    return samples.counts, measured


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def run(network: torch.nn.Module, *patterns: torch.Tensor, seeds: tuple[int, ...] = (5, 6, 7)) -> list[Stage]:
    with torch.no_grad():
        return network(*patterns, generators(*seeds))


@pytest.mark.parametrize("design", DESIGNS)
def test_every_stage_gives_a_thresholded_object_and_what_it_diffracts(
    patterns: tuple[torch.Tensor, torch.Tensor], design: UnrolledDesign
) -> None:
    history = run(build(design), *patterns)
    assert len(history) == design.stages
    for stage in history:
        assert torch.allclose(stage.waves, diffract(crop_or_pad(stage.objects, (64, 64, 64))), atol=1e-6)
        amplitude = stage.objects.abs()
        assert ((amplitude == 0) | (amplitude >= 0.0999 * amplitude.amax((1, 2, 3), keepdim=True))).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_every_parameter_learns(patterns: tuple[torch.Tensor, torch.Tensor], design: UnrolledDesign) -> None:
    network = build(design)
    with torch.no_grad():  # what begins as zero lets no gradient through to what is before it
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    counts, measured = patterns[0][:1], patterns[1][:1]
    history = network(counts, measured, generators(1))
    modulus = unit_modulus(counts, measured)
    torch.stack([root_chi2(stage.waves, modulus, measured) for stage in history]).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
        assert torch.isfinite(parameter.grad).all(), name


def test_what_is_made_of_a_pattern_does_not_depend_on_its_batch(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    network = build(TINY)
    together = run(network, *patterns)[-1].objects
    for place, seed in enumerate((5, 6, 7)):
        alone = run(network, *(volume[place : place + 1] for volume in patterns), seeds=(seed,))[-1].objects
        assert torch.allclose(alone[0], together[place], atol=1e-5 * float(together.abs().max()))


def test_another_seed_gives_another_start_and_the_same_seed_the_same(
    patterns: tuple[torch.Tensor, torch.Tensor],
) -> None:
    network = build(TINY)
    first, same, other = (run(network, *patterns, seeds=seeds)[0].objects for seeds in ((1,) * 3, (1,) * 3, (2,) * 3))
    assert torch.equal(first, same)
    assert not torch.allclose(first, other, atol=1e-2 * float(first.abs().max()))


def test_an_untrained_network_is_a_phase_retrieval() -> None:
    samples = simulate(Polyhedra(), Experiment(), 3, range(4))
    history = run(build(UnrolledDesign()), samples.counts, samples.masks, seeds=(1, 2, 3, 4))
    found = [align(truth, each).correlation for truth, each in zip(samples.objects, history[-1].objects, strict=True)]
    assert sorted(found)[1] > 0.95  # one of four may be a superposition with its twin


def test_scale_and_unmeasured_counts_mean_nothing(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    counts, measured = patterns
    network = build(TINY)
    expected = run(network, counts, measured)[-1].objects
    found = run(network, torch.where(measured, 64 * counts, 1e7), measured)[-1].objects
    assert torch.allclose(found, expected, atol=1e-4 * float(expected.abs().max()))


def test_the_projection_has_the_measured_modulus_and_keeps_phases_and_what_is_unmeasured() -> None:
    generator = torch.Generator().manual_seed(1)
    waves = torch.randn(2, 64, 64, 64, dtype=torch.complex64, generator=generator)
    modulus = torch.rand(2, 64, 64, 64, generator=generator)
    measured = torch.rand(2, 64, 64, 64, generator=generator) < 0.9
    calculated = waves.abs() * measured
    scale = (calculated * modulus).sum((1, 2, 3)) / calculated.square().sum((1, 2, 3))
    expected = torch.where(measured, modulus * torch.sgn(waves), scale[:, None, None, None] * waves)
    found = _Projection(modulus * measured, measured).of_waves(waves)
    assert torch.allclose(found, crop_or_pad(back_propagate(expected), (32, 32, 32)), atol=1e-5)


@pytest.mark.parametrize("gap", [False, True])
def test_the_projection_of_waves_that_are_dark_but_for_their_middle(gap: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    waves = torch.randn(2, 32, 32, 32, dtype=torch.complex64, generator=generator)
    measured = torch.ones(2, *PATTERN, dtype=torch.bool)
    if gap:
        measured[:, 30:34, :, 20:40] = False
    modulus = torch.rand(2, *PATTERN, generator=generator) * measured
    projection = _Projection(modulus, measured)
    expected = projection.of_waves(crop_or_pad(waves, PATTERN))
    assert torch.allclose(projection.of_middle(waves.clone()), expected, atol=1e-5 * float(expected.abs().max()))


def test_an_object_that_fits_its_pattern_is_its_own_projection(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    rho = crop_or_pad(torch.randn(2, 20, 20, 20, dtype=torch.complex64), (32, 32, 32))
    waves = diffract(crop_or_pad(rho, (64, 64, 64)))
    found = _Projection(waves.abs(), torch.ones(waves.shape, dtype=torch.bool))(rho)
    assert torch.allclose(found, rho, atol=1e-4)


def test_a_projection_that_learns_is_the_one_that_predicts(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    counts, measured = patterns
    projection = _Projection(unit_modulus(counts, measured), measured)
    rho = torch.randn(3, 32, 32, 32, dtype=torch.complex64, generator=torch.Generator().manual_seed(2))
    learning = projection(rho.clone().requires_grad_()).detach()
    assert torch.allclose(projection(rho), learning, atol=1e-6 * float(learning.abs().max()))


def test_more_stages_go_on_from_where_fewer_ended(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    network = build(TINY)
    counts, measured = (volume[:1] for volume in patterns)
    with torch.no_grad():
        two, four = (network(counts, measured, generators(1), stages) for stages in (2, 4))
    assert len(four) == 4
    assert torch.equal(four[1].objects, two[1].objects)


def test_a_network_without_layers_is_refused() -> None:
    for wrong in ({"stages": 0}, {"width": 0}, {"blocks": (0, 1)}, {"memory": -1}, {"feedback": -1}):
        with pytest.raises(PlanError, match="or more"):
            UnrolledDesign(**wrong)  # type: ignore[arg-type]
    assert isinstance(build(TINY), Unrolled)
