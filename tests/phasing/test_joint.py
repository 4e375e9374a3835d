"""Patterns of several reflections phased together: what the slope, the window and the likelihood of a body are held to."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from autophasenn.phasing import joint
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.joint import SMALL, Body, Joint, JointProblem, Seen, together
from autophasenn.phasing.likelihood import Likelihood, kernel_of
from autophasenn.physics import fourier
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.physics.pruned import Box, PrunedPair, WindowedPair
from autophasenn.volumes import Pattern, crop_or_pad

A = 0.408e-9
HKL = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (2, 0, 0))
SHAPE = (32, 30, 36)
VOXEL = 8e-9
FINER = 3
"""Voxels of the body that scatters, a voxel of its pattern."""
BENT = np.random.default_rng(0).normal(size=(3, 3, 3)) * 4e3
"""Of u_i = BENT_ijk r_j r_k / 2, 1/m."""


def inside(places: np.ndarray) -> np.ndarray:
    x, y, z = places * 1e9
    return (abs(x) < 50) & (abs(y) < 42) & (abs(z) < 46) & (x + y + z < 80) & (x - y < 66)


def field(places: np.ndarray) -> np.ndarray:
    return np.einsum("ijk,j...,k...->i...", BENT, places, places) / 2


def seen(number: int, photons: float | None, kernel: torch.Tensor | None = None, is_blind: bool = False) -> Seen:
    """A body with a sharp edge, on voxels finer than its pattern's, that lie turned otherwise in each reflection."""
    turn = Rotation.from_rotvec([0.4 * number, -0.3, 0.2 * number]).as_matrix()
    fine = [FINER * n for n in SHAPE]
    middle = np.reshape([n // 2 for n in fine], (3, 1, 1, 1))
    places = np.einsum("ba,b...->a...", turn, (np.indices(fine) - middle) * VOXEL / FINER)
    q = 2 * np.pi / A * np.array(HKL[number], float)
    rho = torch.from_numpy(np.where(inside(places), np.exp(-1j * np.tensordot(q, field(places), 1)), 0))
    intensity = crop_or_pad(fourier.diffract(rho).abs().square().float(), SHAPE)
    if kernel is not None:
        intensity = ForwardModel(kernel=kernel[None]).blur(intensity[None])[0]
    intensity *= (photons or 1e7) / intensity.sum()
    counts = intensity if photons is None else torch.poisson(intensity, torch.Generator().manual_seed(number))
    mask = torch.ones(SHAPE, dtype=torch.bool)
    if is_blind:
        mask[:, 20:22] = False
    steps = torch.diag(2 * math.pi / (torch.tensor(SHAPE).double() * VOXEL)) @ torch.from_numpy(turn)
    return Seen(HeldOut.of(Pattern(counts, mask, steps, torch.from_numpy(q)), 0.02, number), q, kernel)


def body(edge: float = 5e-9, noise: float = 0.0) -> Body:
    """The truth on the grid of a strain tensor, and errors that vary from voxel to voxel in its displacement."""
    places = (np.indices((31, 31, 31)) - 15) * edge
    moved = field(places) + noise * np.random.default_rng(1).normal(size=places.shape)
    return Body(inside(places).astype(float), moved, inside(places), edge)


def error(found: Body) -> float:
    """Of the displacement, in units of its spread, without what the places of the peaks leave open."""
    there = found.at(5e-9, (31, 31, 31)).displacement
    places = (np.indices((31, 31, 31)) - 15) * 5e-9
    middle = inside(places * 1.2)
    plane = np.column_stack([places[:, middle].T, np.ones(int(middle.sum()))])

    def bent(values: np.ndarray) -> np.ndarray:
        return values - plane @ np.linalg.lstsq(plane, values, rcond=None)[0]

    true = bent(field(places)[:, middle].T)
    return float((bent(there[:, middle].T) - true).std() / true.std())


def test_a_window_takes_the_middle_of_the_wave_of_finer_voxels() -> None:
    generator = torch.Generator().manual_seed(0)
    box = Box((3, 5, 2), (9, 7, 11))
    values = torch.randn(1, *box.size, dtype=torch.complex64, generator=generator)
    pair = WindowedPair((12, 11, 14), box, 2, torch.device("cpu"))
    full = torch.fft.fftn(box.embed(values, (24, 22, 28)), dim=(-3, -2, -1), norm="ortho")
    torch.testing.assert_close(
        fourier.to_centre(pair.to_wave(values)),
        crop_or_pad(fourier.to_centre(full), (12, 11, 14)),
        rtol=1e-4,
        atol=1e-5,
    )
    same = WindowedPair((24, 22, 28), box, 1, torch.device("cpu")).to_wave(values)
    torch.testing.assert_close(same, PrunedPair((24, 22, 28), box).to_wave(values))


def test_the_way_back_through_the_window_is_the_adjoint() -> None:
    generator = torch.Generator().manual_seed(0)
    box = Box((3, 5, 2), (9, 7, 11))
    values = torch.randn(1, *box.size, dtype=torch.complex64, generator=generator)
    wave = torch.randn(1, 12, 11, 14, dtype=torch.complex64, generator=generator)
    pair = WindowedPair((12, 11, 14), box, 2, torch.device("cpu"))
    there, back = torch.vdot(wave.flatten(), pair.to_wave(values).flatten()), pair.to_box(wave).flatten()
    torch.testing.assert_close(there, torch.vdot(back, values.flatten()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("of", ["root", "poisson"])
@pytest.mark.parametrize("is_coherent", [True, False])
def test_the_slope_is_that_of_the_value(of: str, is_coherent: bool) -> None:
    kernel = None if is_coherent else crop_or_pad(kernel_of([0.5] * 3, SHAPE)[0], (9, 9, 9))
    patterns = [seen(i, 1e6, kernel, is_blind=i == 1) for i in range(3)]
    problem = JointProblem(patterns, body(noise=3e-12), Joint(Likelihood(of=of)))
    count, start = len(problem.nodes), problem.first
    _, _, slope, _ = problem(start)
    generator = torch.Generator().manual_seed(0)
    small = torch.arange(4 * count, len(start)).reshape(3, SMALL)
    for unknowns in (
        torch.arange(count),
        torch.arange(count, 4 * count),
        small[:, :4],
        *([] if is_coherent else [small[:, 4:]]),
    ):
        along = torch.zeros_like(start)
        chosen = unknowns.flatten()
        along[chosen] = slope[chosen].float() * torch.rand(len(chosen), generator=generator)
        along *= 2 / along.norm()
        difference = problem(start + along)[0] - problem(start - along)[0]
        assert difference / 2 == pytest.approx(float(slope @ along.double()), rel=0.02)


def test_an_unmeasured_and_a_held_out_voxel_mean_nothing() -> None:
    patterns = [seen(i, 1e6, is_blind=True) for i in range(3)]
    value = JointProblem(patterns, body(), Joint())
    first = value(value.first)[0]
    for each in patterns:
        each.held_out.pattern.counts[~each.held_out.used[0]] += 50
    again = JointProblem(patterns, body(), Joint())
    assert again(again.first)[0] == pytest.approx(first, rel=1e-6)


def test_the_truth_stays_where_it_is() -> None:
    patterns = [seen(i, None) for i in range(3)]
    found = together(patterns, body(), Joint(Likelihood(evaluations=30)))
    assert error(found.body) < 0.06  # the edge of the body that it begins with is a staircase
    assert max(found.free_errors) < 5e-3
    assert found.errors[-1] < found.errors[0] / 10


def test_errors_of_the_displacement_are_found_out_by_all_patterns_together() -> None:
    begin = body(noise=4e-12)
    patterns = [seen(i, 1e7) for i in range(4)]
    found = together(patterns, begin, Joint(Likelihood(evaluations=40)))
    assert error(begin) > 0.1
    assert error(found.body) < error(begin) / 3


def test_a_large_crystal_has_coarser_nodes_and_the_same_displacement(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = [seen(i, 1e7) for i in range(4)]
    fine = JointProblem(patterns, body(), Joint())
    monkeypatch.setattr(joint, "MOST_NODES", 1000)
    monkeypatch.setattr(joint, "MOST_VOXELS", 1000)
    coarse = JointProblem(patterns, body(), Joint())
    assert len(coarse.nodes) < len(fine.nodes) / 3
    begin = body(noise=4e-12)
    assert error(together(patterns, begin, Joint(Likelihood(evaluations=40))).body) < error(begin) / 2


def test_the_whole_way_is_told() -> None:
    told: list[tuple[int, int]] = []
    together(
        [seen(i, 1e6) for i in range(3)],
        body(),
        Joint(Likelihood(evaluations=4)),
        on_iteration=lambda *of: told.append(of),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
