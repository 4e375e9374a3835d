"""The network of Yao et al. (2022): its size, its bounded outputs, and that every part of it learns."""

import math
from typing import Literal

import pytest
import torch
from torch import nn

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.network.architectures import build
from autophasenn.network.autophasenn import AutoPhaseNN, AutoPhaseNNDesign, _with_patterson
from autophasenn.network.gathering import gathered, scattered
from autophasenn.network.loss import mean_absolute_error, unit_modulus
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import crop_or_pad

TINY = AutoPhaseNNDesign(width=2)


@pytest.fixture(scope="module")
def patterns() -> tuple[torch.Tensor, torch.Tensor]:
    samples = simulate(Polyhedra(), Experiment(), 3, range(2))
    return samples.counts, samples.masks


def test_it_has_the_parameters_of_the_published_network() -> None:
    """Pairs of 3x3x3 convolutions, 32 to 256 channels down and back, two decoders: counted by hand."""

    def convolution(before: int, after: int) -> int:
        return 27 * before * after + after

    def pair(before: int, after: int) -> int:
        return convolution(before, after) + convolution(after, after) + 2 * 2 * after

    encoder = pair(1, 32) + pair(32, 64) + pair(64, 128) + pair(128, 256)
    decoder = pair(256, 128) + pair(128, 64) + pair(64, 32) + convolution(32, 1)
    with torch.device("meta"):
        network = AutoPhaseNN()
    assert sum(parameter.numel() for parameter in network.parameters()) == encoder + 2 * decoder
    assert encoder + 2 * decoder == pytest.approx(7.0e6, rel=0.01)


@pytest.mark.parametrize("edge", [2, 4])
def test_gathered_leaves_out_the_finest_levels_and_keeps_the_channels_of_the_others(edge: Literal[2, 4]) -> None:
    with torch.device("meta"):
        whole, gathered = AutoPhaseNN(), AutoPhaseNN(AutoPhaseNNDesign(gathered=edge, patterson=True))

    def channels(part: nn.Module) -> list[int]:
        return [layer.out_channels for layer in part.modules() if isinstance(layer, nn.Conv3d)]

    left_out = 2 * (edge // 2)
    assert channels(gathered.encoder) == channels(whole.encoder)[left_out:]
    assert channels(gathered.phase)[:-1] == channels(whole.phase)[: -1 - left_out]
    assert channels(gathered.phase)[-1] == edge**3
    first = next(layer for layer in gathered.encoder.modules() if isinstance(layer, nn.Conv3d))
    assert first.in_channels == 3 * edge**3


@pytest.mark.parametrize("edge", [1, 2, 4])
def test_gathering_puts_a_cube_of_voxels_into_channels_and_scattering_undoes_it(edge: int) -> None:
    x = torch.arange(2 * 3 * 8**3.0).reshape(2, 3, 8, 8, 8)
    channels = gathered(x, edge)
    assert torch.equal(
        channels[1, edge**3 : 2 * edge**3, 0, 1, 0].reshape((edge,) * 3), x[1, 1, :edge, edge : 2 * edge, :edge]
    )
    assert torch.equal(scattered(channels, edge), x)


def test_what_it_sees_beside_the_modulus_is_the_autocorrelation_of_the_crystal() -> None:
    """Of two points: at the middle, and at plus and minus their distance with opposite phases."""
    rho = torch.zeros(1, 64, 64, 64, dtype=torch.complex64)
    rho[0, 30, 32, 32], rho[0, 35, 32, 32] = 1, 1j
    root, plus, minus = _with_patterson(diffract(rho).abs() * 3)[0]
    assert torch.allclose(root.square(), diffract(rho).abs()[0] * 3, rtol=1e-4)
    for sides, sign in ((plus, 1), (minus, -1)):
        at = sides[:, 32, 32]
        assert at[32] == pytest.approx(1, abs=1e-3)
        assert at[37] == pytest.approx(sign * math.sqrt(0.5), abs=1e-3)
        assert at[27] == pytest.approx(-sign * math.sqrt(0.5), abs=1e-3)
        assert (sides.abs() > 0.03).sum() == 3
    assert torch.allclose(plus[1:].flip(0), minus[1:, :, :], atol=0.03)


def test_amplitude_and_phase_are_bounded_and_the_support_is_cut_at_a_tenth(
    patterns: tuple[torch.Tensor, torch.Tensor],
) -> None:
    network = build(TINY, 1).train()
    with torch.no_grad():
        for decoder in (network.amplitude, network.phase):
            decoder[-1].weight *= 300  # far beyond the bounds before sigmoid and tanh
        (stage,) = network(*patterns)
    amplitude = stage.objects.abs()
    assert (amplitude <= 1 + 1e-6).all()
    largest = amplitude.amax((1, 2, 3), keepdim=True)
    assert ((amplitude == 0) | (amplitude >= 0.1 * largest)).all()
    assert (amplitude == 0).any()
    assert stage.objects.angle().abs().max() <= math.pi + 1e-6
    assert stage.objects.angle().abs().max() > 3


def test_its_wave_is_what_the_padded_object_diffracts(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    with torch.no_grad():
        (stage,) = build(TINY).eval()(*patterns)
    assert stage.objects.shape == (2, 32, 32, 32)
    assert torch.allclose(stage.waves, diffract(crop_or_pad(stage.objects, (64, 64, 64))), atol=1e-5)


def test_it_sees_the_modulus_on_any_scale_and_nothing_unmeasured(patterns: tuple[torch.Tensor, torch.Tensor]) -> None:
    counts, measured = patterns[0], patterns[1].clone()
    measured[:, :, :5] = False
    network = build(TINY).eval()
    with torch.no_grad():
        expected = network(counts, measured)[0].objects
        found = network(torch.where(measured, 50 * counts, 1e7), measured)[0].objects
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("design", [TINY, AutoPhaseNNDesign(width=2, gathered=4, patterson=True)])
def test_every_parameter_learns(patterns: tuple[torch.Tensor, torch.Tensor], design: AutoPhaseNNDesign) -> None:
    network = build(design).train()
    (stage,) = network(*patterns)
    mean_absolute_error(stage.waves, unit_modulus(*patterns), patterns[1]).mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_the_same_seed_builds_the_same_network_and_leaves_other_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    first, second, other = (build(TINY, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for mine, same, different in zip(first.parameters(), second.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, same)
        if mine.ndim > 1:
            assert not torch.equal(mine, different)


def test_a_network_without_channels_is_refused() -> None:
    with pytest.raises(PlanError, match="width is 0; give 1 or more"):
        AutoPhaseNNDesign(width=0)
