"""A crystal is even inside: what counting noise adds to an image goes, what the pattern asks for stays."""

from dataclasses import replace

import pytest
import torch

from autophasenn.errors import PlanError
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.evenness import RINGS, Evenness, EvenProblem, evened, placement
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import Likelihood, Problem, climb
from autophasenn.phasing.schedule import error_reduction
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import back_propagate, diffract, to_corner
from autophasenn.volumes import Pattern

SHAPE = (48, 48, 48)
SUPPORT = ShrinkWrap(threshold=0.1, sigma_last=0.7)
X, Y, Z = torch.meshgrid(*[torch.arange(n) - n // 2 for n in SHAPE], indexing="ij")
INSIDE = (X.abs() <= 6) & (Y.abs() <= 7) & (Z.abs() <= 5) & (X + Y + Z < 12)
PHASE = 0.3 * torch.sin(0.5 * X + 0.3 * Y) + 0.01 * Z * Y
EVEN = torch.polar(INSIDE.float(), PHASE)
WALL = torch.polar(INSIDE.float() * torch.where(X == 0, 0.3, 1.0), PHASE)


def moved(rho: torch.Tensor, shift: tuple[float, float, float]) -> torch.Tensor:
    """By parts of a voxel: a ramp on its wave."""
    turns = sum(s * q / n for s, q, n in zip(shift, (X, Y, Z), SHAPE, strict=True))
    return back_propagate(diffract(rho) * torch.exp(-2j * torch.pi * turns))


def measured(rho: torch.Tensor, photons: float) -> tuple[HeldOut, Retrieval]:
    """Counts of a crystal, some of them held out, and what error reduction within a loose support makes of it and noise."""
    intensity = intensity_of(diffract(rho))
    generator = torch.Generator().manual_seed(3)
    counts = torch.poisson(intensity * (photons / intensity.sum()), generator=generator)
    held_out = HeldOut.of(Pattern(counts, torch.ones_like(counts, dtype=torch.bool)), 0.02, 5)
    begun = rho * torch.polar(torch.ones(SHAPE), 0.3 * torch.randn(SHAPE, generator=generator))
    start = Retrieval(begun[None], SUPPORT.final_support(rho[None]), torch.zeros(1, 1))
    return held_out, held_out.retrieve(start, error_reduction(30))


def image_of(held_out: HeldOut, run: Retrieval) -> Retrieval:
    """The image that goes on."""
    even = evened(held_out, run, Evenness(), SUPPORT)
    assert even is not None
    return even.image or run


def ripple(rho: torch.Tensor) -> float:
    amplitude = rho.abs()[(X.abs() <= 4) & (Y.abs() <= 5) & (Z.abs() <= 3) & (X + Y + Z < 8)]
    return float(amplitude.std() / amplitude.mean())


def problem_of(held_out: HeldOut, run: Retrieval) -> EvenProblem:
    counts, used = to_corner(held_out.pattern.counts), to_corner(held_out.used[0])
    return EvenProblem(Problem(counts, used, run.support[0], Likelihood(), (0.3, 0.3, 0.3)), run.object[0], Evenness())


@pytest.mark.parametrize("photons", [1e6, 1e7])
def test_an_even_crystal_ripples_less_and_is_nearer_to_the_truth(photons: float) -> None:
    held_out, run = measured(EVEN, photons)
    found = image_of(held_out, run)
    assert found is not run
    assert held_out.score(found) < held_out.score(run)
    assert ripple(found.object[0]) < 0.5 * ripple(run.object[0])
    assert metrics.correlation(EVEN, found.object[0]) > metrics.correlation(EVEN, run.object[0])


def test_a_wall_between_two_domains_stays() -> None:
    held_out, run = measured(WALL, 1e6)
    problem = problem_of(held_out, run)
    found = image_of(held_out, run)
    assert len(problem.one) > 0
    amplitude = found.object[0].abs()
    within = (Y.abs() <= 4) & (Z.abs() <= 2)
    share = float(amplitude[within & (X == 0)].mean() / amplitude[within & (X.abs() == 3)].mean())
    assert share == pytest.approx(0.3, abs=0.05)
    assert metrics.correlation(WALL, found.object[0]) >= metrics.correlation(WALL, run.object[0]) - 1e-4


@pytest.mark.parametrize("photons", [1e6, 1e7])
def test_a_wave_of_density_that_stands_out_of_the_noise_stays(photons: float) -> None:
    wave = torch.cos(torch.pi * X / 2 + 0.4) * torch.cos(torch.pi * Y / 2 + 0.4)
    held_out, run = measured(torch.polar(INSIDE.float() * (1 + 0.05 * wave), PHASE), photons)
    inner = (X.abs() <= 4) & (Y.abs() <= 5) & (Z.abs() <= 3) & (X + Y + Z < 8)

    def height(rho: torch.Tensor) -> float:
        amplitude, form = rho.abs()[inner], wave[inner] - wave[inner].mean()
        return float((amplitude / amplitude.mean() - 1) @ form / (form @ form))

    before = height(run.object[0])
    assert before > 0.03
    assert height(image_of(held_out, run).object[0]) > 0.6 * before


@pytest.mark.parametrize(("height", "photons"), [(0.0, 1e7), (0.05, 1e6), (0.05, 3e6)])
def test_the_likelihood_asks_an_even_crystal_for_the_waves_that_the_density_has(height: float, photons: float) -> None:
    wave = torch.cos(torch.pi * X / 2 + 0.4) * torch.cos(torch.pi * Y / 2 + 0.4)
    held_out, run = measured(torch.polar(INSIDE.float() * (1 + height * wave), PHASE), photons)
    found = evened(held_out, run, Evenness(), SUPPORT)
    assert found is not None
    assert found.image is not None
    assert found.textured == (height > 0)


@pytest.mark.parametrize("edges", [(12.5, 13.4, 10.6), (12.3, 13.6, 10.5), (13.5, 11.5, 12.5), (12.2, 12.8, 11.4)])
def test_a_crystal_whose_faces_lie_between_voxels_rings_and_is_left_alone(edges: tuple[float, float, float]) -> None:
    """A block of so many voxels has its faces on voxels nowhere; held-out voxels alone would keep a worse image of some."""
    frequency = [torch.fft.fftshift(torch.fft.fftfreq(n)) for n in SHAPE]
    along = [w * torch.sinc(w * f) for w, f in zip(edges, frequency, strict=True)]
    block = back_propagate(torch.einsum("i,j,k->ijk", *along).to(torch.complex64))
    held_out, run = measured(block * torch.polar(torch.ones(SHAPE), PHASE), 1e7)
    found = evened(held_out, run, Evenness(), SUPPORT)
    assert found is not None
    assert found.image is None


@pytest.mark.parametrize("photons", [1e5, 1e6, 1e7, 5e7])
def test_a_crystal_on_its_voxels_does_not_ring_however_many_photons_it_has(photons: float) -> None:
    held_out, run = measured(EVEN, photons)
    problem = problem_of(held_out, run)
    values, _, _ = climb(problem, problem.first, None, Likelihood(evaluations=20))
    assert problem.ringing(problem.asked(values)) < RINGS


def test_an_image_that_has_no_inside_or_is_not_finite_is_left_alone() -> None:
    held_out, run = measured(torch.polar((INSIDE & (Z == 0)).float(), PHASE), 1e6)
    assert evened(held_out, run, Evenness(), SUPPORT) is None
    held_out, run = measured(EVEN, 1e6)
    assert evened(held_out, replace(run, object=run.object * torch.nan), Evenness(), SUPPORT) is None


def test_every_evaluation_is_told_and_counted() -> None:
    held_out, run = measured(EVEN, 1e6)
    told = []
    found = evened(held_out, run, Evenness(), SUPPORT, on_iteration=lambda done, most: told.append((done, most)))
    assert found is not None
    assert found.image is not None
    assert found.image.errors.shape[1] == told[-1][0]
    assert [done for done, _ in told] == list(range(1, len(told) + 1))


def test_an_image_is_kept_only_where_held_out_voxels_gain() -> None:
    """Too large a weight flattens a texture of 20 %: the held-out voxels are explained worse, and it is refused."""
    wave = torch.cos(torch.pi * X / 2 + 0.4) * torch.cos(torch.pi * Y / 2 + 0.4)
    held_out, run = measured(torch.polar(INSIDE.float() * (1 + 0.2 * wave), PHASE), 1e7)
    found = evened(held_out, run, Evenness(weight=100.0, wall=1.0), SUPPORT)
    assert found is not None
    assert found.image is None or found.textured
    assert evened(held_out, run, Evenness(margin=0.99), SUPPORT).facts() == {
        "kept": False,
        "shift_voxels": [0, 0, 0],
        "textured": False,
    }


def test_a_crystal_of_sharp_faces_is_placed_on_its_voxels() -> None:
    away = (0.3, -0.2, 0.45)
    found = placement(moved(EVEN, away), SHAPE)
    assert [f + a for f, a in zip(found, away, strict=True)] == pytest.approx([0, 0, 0], abs=0.08)
    held_out, run = measured(moved(EVEN, away), 3e6)
    even = image_of(held_out, run)
    assert ripple(even.object[0]) < 0.5 * ripple(run.object[0])


def test_the_gradient_is_that_of_the_value() -> None:
    held_out, run = measured(WALL, 1e6)
    problem = problem_of(held_out, run)
    values = problem.first
    _, _, slope, _ = problem(values)
    for place in problem.one[:3].tolist():
        for part in range(2):
            step = torch.zeros_like(values)
            step[place, part] = 0.5
            found = (problem(values + step)[0] - problem(values - step)[0]) / 1.0
            assert found == pytest.approx(float(slope[place, part]), rel=2e-2, abs=0.3)


def test_the_inverse_curvature_is_symmetric_and_positive_and_holds_short_waves_the_most() -> None:
    problem = problem_of(*measured(EVEN, 1e6))
    generator = torch.Generator().manual_seed(2)
    one, other = (torch.randn(problem.first.numel(), generator=generator) for _ in range(2))
    assert float(one @ problem.inverse_curvature(other)) == pytest.approx(
        float(other @ problem.inverse_curvature(one)), rel=1e-4
    )
    assert float(one @ problem.inverse_curvature(one)) > 0
    outwards = problem.first / torch.linalg.vector_norm(problem.first, dim=1, keepdim=True)
    centred = torch.stack(torch.meshgrid(*[torch.arange(n) for n in problem.of.box.size], indexing="ij")).sum(0)
    deep = problem.inside.flatten()[problem.of.within]
    signs = torch.where(centred.flatten()[problem.of.within] % 2 == 0, 1.0, -1.0) * deep
    short, long = (outwards * (each * deep)[:, None] for each in (signs, torch.ones_like(signs)))
    shares = [
        float((each.flatten() @ problem.inverse_curvature(each.flatten())) / each.square().sum())
        for each in (short, long)
    ]
    assert 0 < shares[0] < 0.3 < 0.7 < shares[1] <= 1


def test_what_nothing_judges_or_has_photons_enough_is_left_alone() -> None:
    held_out, run = measured(EVEN, 1e6)
    nothing_held_out = replace(held_out, free=torch.zeros_like(held_out.free))
    assert evened(nothing_held_out, run, Evenness(), SUPPORT) is None
    assert evened(held_out, run, Evenness(enough=100.0), SUPPORT) is None
    assert evened(held_out, replace(run, kernel=torch.ones(1, 1, 1, 1)), Evenness(), SUPPORT) is None


def test_no_number_that_means_nothing_is_taken() -> None:
    with pytest.raises(PlanError):
        Evenness(weight=0.0)
