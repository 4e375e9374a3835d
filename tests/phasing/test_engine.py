"""The loop finds what scattered, whatever algorithm it is given, and does so again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from autophasenn.errors import InputError, PlanError
from autophasenn.phasing.algorithms import CHIO, DM, ER, HIO, RAAR, SF, Algorithm
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.engine import retrieve
from autophasenn.phasing.schedule import Block, Schedule, error_reduction
from autophasenn.phasing.support import ShrinkWrap, autocorrelation_support, blur, typical_amplitude
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, count_photons, gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract, to_centre, to_corner
from autophasenn.progress import onlooker, watched_by
from crystals import polyhedron, smooth_phase

SHAPE = (32, 32, 32)
SAMPLING = (3.0, 3.2, 2.9)


def crystal(strain: float, seed: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    amplitude = polyhedron(SHAPE, SAMPLING, rng)
    return torch.from_numpy(amplitude * np.exp(1j * strain * smooth_phase(SHAPE, SAMPLING, rng))).to(torch.complex64)


def counted(rho: torch.Tensor, photons: float = 1e7) -> torch.Tensor:
    return count_photons(intensity_of(diffract(rho)), photons, torch.Generator().manual_seed(1))[None]


def everywhere() -> torch.Tensor:
    return torch.ones((1, *SHAPE), dtype=torch.bool)


@pytest.fixture(scope="module")
def rho() -> torch.Tensor:
    return crystal(1.0)


@pytest.fixture(scope="module")
def counts(rho: torch.Tensor) -> torch.Tensor:
    return counted(rho)


@pytest.mark.parametrize("algorithm", [ER(), HIO(), RAAR(), SF(), DM(), CHIO()], ids=lambda a: type(a).__name__)
def test_every_algorithm_finds_a_crystal_from_a_known_support(
    algorithm: Algorithm, rho: torch.Tensor, counts: torch.Tensor
) -> None:
    schedule = Schedule((Block(algorithm, 80), Block(ER(), 20)), 2, shrink_wrap=None)
    support = (rho.abs() > 0.1)[None]
    found = retrieve(counts, everywhere(), schedule, seeds=[1, 2], support=support)
    assert max(metrics.correlation(rho, each) for each in found.object) > 0.95


def test_the_error_of_error_reduction_never_grows(counts: torch.Tensor) -> None:
    errors = retrieve(counts, everywhere(), error_reduction(60), seeds=[0, 1]).errors
    assert bool((errors.diff(dim=1) <= 1e-5).all())
    assert bool((errors[:, -1] < 0.5 * errors[:, 0]).all())


def test_a_start_at_the_truth_stays_there(rho: torch.Tensor, counts: torch.Tensor) -> None:
    found = retrieve(counts, everywhere(), error_reduction(20), seeds=[0], start=rho[None])
    assert metrics.correlation(rho, found.object[0]) > 0.999


def test_a_start_may_have_any_scale(rho: torch.Tensor, counts: torch.Tensor) -> None:
    small, large = (
        retrieve(counts, everywhere(), error_reduction(5), seeds=[0], start=rho[None] * s) for s in (1e-3, 1e3)
    )
    torch.testing.assert_close(small.object, large.object, rtol=1e-3, atol=1e-2)


SHORT = Schedule((Block(HIO(), 15), Block(ER(), 5)), 2, ShrinkWrap(every=5), average_last=3)


def test_the_same_seed_gives_the_same_bits(counts: torch.Tensor) -> None:
    first, second = (retrieve(counts, everywhere(), SHORT, seeds=[3]) for _ in range(2))
    assert torch.equal(first.object, second.object)
    assert torch.equal(first.errors, second.errors)
    other = retrieve(counts, everywhere(), SHORT, seeds=[4])
    assert not torch.equal(first.object, other.object)


def test_a_start_does_not_depend_on_what_else_is_in_the_batch(counts: torch.Tensor) -> None:
    together = retrieve(counts, everywhere(), SHORT, seeds=[3, 4, 5])
    alone = retrieve(counts, everywhere(), SHORT, seeds=[4])
    assert torch.equal(together.object[1], alone.object[0])


def test_nor_where_each_start_finds_its_own_kernel_nor_do_its_errors(counts: torch.Tensor) -> None:
    for coherence in (None, CoherenceEstimate(first=6, every=4)):
        schedule = replace(Schedule((Block(HIO(), 12), Block(ER(), 4)), 1), coherence=coherence)
        measured = torch.ones_like(counts, dtype=torch.bool)
        both, alone = (retrieve(counts, measured, schedule, seeds=seeds) for seeds in ([3, 4], [4]))
        assert torch.equal(both.object[1], alone.object[0])
        assert torch.equal(both.errors[1], alone.errors[0])


def test_many_patterns_go_through_one_call(counts: torch.Tensor) -> None:
    other = counted(crystal(0.5, seed=8))
    both = retrieve(torch.cat([counts, other]), everywhere(), SHORT, seeds=[3, 3])
    alone = retrieve(other, everywhere(), SHORT, seeds=[3])
    torch.testing.assert_close(both.object[1], alone.object[0], rtol=1e-3, atol=1e-2)


def test_held_out_voxels_do_not_change_the_result(counts: torch.Tensor) -> None:
    measured = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(2)) > 0.05
    changed = torch.where(measured, counts, 1e6)
    first, second = (retrieve(c, measured, SHORT, seeds=[0]) for c in (counts, changed))
    assert torch.equal(first.object, second.object)


def test_another_experiment_brings_its_own_transforms(counts: torch.Tensor) -> None:
    """The centred pair, given as a forward model, does what the loop does in corner order."""
    start = crystal(0.3)[None]
    own = retrieve(counts, everywhere(), error_reduction(10), seeds=[0], start=start)
    given = retrieve(counts, everywhere(), error_reduction(10), seeds=[0], start=start, model=ForwardModel())
    torch.testing.assert_close(given.object, own.object, rtol=1e-3, atol=1e-2)
    torch.testing.assert_close(given.errors, own.errors, rtol=1e-3, atol=1e-6)


def test_a_known_kernel_is_used_and_returned(counts: torch.Tensor) -> None:
    kernel = gaussian_kernel((5, 5, 5), (0.6, 0.6, 0.6))
    for model in (None, ForwardModel()):
        found = retrieve(counts, everywhere(), error_reduction(3), seeds=[0, 1], kernel=kernel, model=model)
        assert found.kernel is not None
        assert torch.equal(found.kernel, kernel.expand(2, 5, 5, 5))


def test_numbers_that_do_not_fit_are_refused(counts: torch.Tensor) -> None:
    with pytest.raises(InputError, match="2 volumes for 3 seeds"):
        retrieve(counts.expand(2, *SHAPE), everywhere(), error_reduction(1), seeds=[0, 1, 2])


@pytest.mark.parametrize("photons", [1e6, 1e8])
def test_the_error_of_the_loop_is_exact_also_where_it_is_small(rho: torch.Tensor, photons: float) -> None:
    counts = counted(rho, photons)
    found = retrieve(counts, everywhere(), error_reduction(3), seeds=[0], start=rho[None])
    again = retrieve(counts, everywhere(), error_reduction(1), seeds=[0], start=found.object, support=found.support)
    modulus = diffract(found.object[0]).abs().double()
    difference = modulus - counts[0].double().sqrt()
    expected = float(difference.square().sum() / counts.double().sum())
    assert float(again.errors[0, 0]) == pytest.approx(expected, rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_a_gpu_finds_what_the_cpu_finds(rho: torch.Tensor, counts: torch.Tensor) -> None:
    found = retrieve(counts.cuda(), everywhere().cuda(), Schedule(repeats=1), seeds=[1])
    assert metrics.correlation(rho, found.object[0].cpu()) > 0.9


def test_a_pattern_without_counts_is_refused() -> None:
    with pytest.raises(InputError, match="no counts"):
        retrieve(torch.zeros(1, *SHAPE), everywhere(), error_reduction(1), seeds=[0])


def test_progress_is_told_after_every_iteration(counts: torch.Tensor) -> None:
    said: list[tuple[int, int]] = []
    retrieve(
        counts, everywhere(), error_reduction(3), seeds=[0], on_iteration=lambda done, total: said.append((done, total))
    )
    assert said == [(1, 3), (2, 3), (3, 3)]


def test_the_default_schedule_is_the_papers_600_iterations() -> None:
    algorithms = list(Schedule())
    assert len(algorithms) == Schedule().iterations == 600
    assert {type(a) for a in algorithms} == {ER, HIO}
    assert isinstance(algorithms[-1], ER)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Schedule(blocks=()),
        lambda: Schedule(repeats=0),
        lambda: Schedule(average_last=601),
        lambda: Block(ER(), 0),
        lambda: ShrinkWrap(threshold=1.0),
        lambda: ShrinkWrap(every=0),
        lambda: ShrinkWrap(sigma_last=0.0),
        lambda: CoherenceEstimate(width=4),
        lambda: CoherenceEstimate(every=0),
    ],
)
def test_schedules_out_of_range_are_refused(wrong: object) -> None:
    with pytest.raises(PlanError):
        wrong()  # type: ignore[operator]


def test_the_first_support_holds_the_crystal_and_is_centrosymmetric(rho: torch.Tensor, counts: torch.Tensor) -> None:
    support = to_centre(autocorrelation_support(to_corner(counts[0]), 0.1))
    inside = rho.abs() > 0.5
    assert float((support & inside).sum() / inside.sum()) > 0.8
    assert float(support.float().mean()) < 0.25


def test_blurring_keeps_the_total_and_widens_a_point_by_sigma() -> None:
    point = torch.zeros(24, 26, 28)
    point[12, 13, 14] = 1
    blurred = blur(point, 1.5)
    assert float(blurred.sum()) == pytest.approx(1, rel=1e-5)
    x = torch.arange(24.0) - 12
    assert float((blurred.sum((1, 2)) * x**2).sum()) == pytest.approx(1.5**2, rel=0.01)


def test_the_gaussian_of_shrink_wrap_narrows() -> None:
    wrap = ShrinkWrap(sigma_first=3.0, sigma_last=1.0)
    widths = [wrap.sigma(iteration, 600) for iteration in (10, 300, 590)]
    assert widths[0] == 3.0
    assert widths[2] == pytest.approx(1.0)
    assert widths[0] > widths[1] > widths[2]


def test_shrink_wrap_finds_the_crystal(rho: torch.Tensor) -> None:
    support = ShrinkWrap(threshold=0.5).update(rho, 590, 600)
    inside = rho.abs() > 0.5
    assert float((support & inside).sum() / (support | inside).sum()) > 0.8


@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.5])
def test_the_support_of_a_small_object_is_that_of_all_its_volume(sigma: float) -> None:
    generator = torch.Generator().manual_seed(6)
    wrap = ShrinkWrap(threshold=0.2, sigma_last=sigma)
    for start in (
        (14, 20, 11),
        (0, 9, 30),
    ):  # apart from the faces, and at one, whose Gaussian comes in on the other side
        rho = torch.zeros(1, 48, 50, 47, dtype=torch.complex64)
        inside = (0, *(slice(a, a + 13) for a in start))
        rho[inside] = torch.randn(13, 13, 13, dtype=torch.complex64, generator=generator)
        blurred = blur(rho.abs(), sigma)
        threshold = wrap.threshold * typical_amplitude(blurred.square())
        differ = wrap.final_support(rho) != (blurred >= threshold)
        assert ((blurred - threshold).abs()[differ] < 1e-3 * threshold.flatten()).all()
    rho[0, 40, 40, 2] = torch.nan
    assert not wrap.final_support(rho).any()


def test_one_bright_voxel_does_not_change_the_support(rho: torch.Tensor) -> None:
    wrap = ShrinkWrap(threshold=0.3)
    hot = rho.clone()
    hot[16, 16, 16] *= 4
    before, after = wrap.update(rho, 590, 600), wrap.update(hot, 590, 600)
    assert float((before & after).sum() / (before | after).sum()) > 0.95


def test_the_coherence_kernel_is_found_from_the_blur(rho: torch.Tensor) -> None:
    truth = gaussian_kernel((9, 9, 9), (1.2, 0.6, 0.9))
    coherent = to_corner(intensity_of(diffract(rho)) * 1e5)
    blurred = ForwardModel(kernel=truth, to_detector=torch.clone).blur(coherent)
    kernel = CoherenceEstimate(width=9, updates=200).update(None, coherent, blurred, torch.ones(SHAPE))
    assert float(kernel.sum()) == pytest.approx(1, rel=1e-5)
    x = torch.arange(9.0) - 4
    widths = [float((kernel.sum([a for a in range(3) if a != axis]) * x**2).sum().sqrt()) for axis in range(3)]
    assert widths == pytest.approx([1.2, 0.6, 0.9], rel=0.1)


def test_partial_coherence_is_corrected(rho: torch.Tensor) -> None:
    blurred = ForwardModel(kernel=gaussian_kernel((9, 9, 9), (0.8, 0.8, 0.8)))(rho)
    counts = count_photons(blurred, 1e8, torch.Generator().manual_seed(1))[None]
    start = rho[None].clone()
    plain = retrieve(counts, everywhere(), error_reduction(40), seeds=[0], start=start)
    schedule = Schedule(
        (Block(ER(), 40),), 1, None, None, CoherenceEstimate(first=5, every=5, updates=20, width=9), average_last=0
    )
    corrected = retrieve(counts, everywhere(), schedule, seeds=[0], start=start)
    assert corrected.kernel is not None
    assert metrics.correlation(rho, corrected.object[0]) > metrics.correlation(rho, plain.object[0])
    assert float(corrected.errors[0, -1]) < 0.3 * float(plain.errors[0, -1])


@pytest.mark.parametrize("average", [0, 3])
@pytest.mark.parametrize("last", [ER(), DM()], ids=["confined", "whole"])
def test_who_looks_on_sees_the_best_object_and_changes_no_bit(
    last: Algorithm, average: int, counts: torch.Tensor
) -> None:
    schedule = Schedule((Block(HIO(), 12), Block(last, 8)), average_last=average)
    unseen = retrieve(counts, everywhere(), schedule, seeds=[3, 4])
    told: list[tuple[float, torch.Tensor]] = []
    with watched_by(lambda chi2, seen: told.append((chi2, seen()))):
        found = retrieve(counts, everywhere(), schedule, seeds=[3, 4])
    assert onlooker() is None
    assert torch.equal(found.object, unseen.object)
    assert torch.equal(found.errors, unseen.errors)
    assert len(told) == schedule.iterations
    assert [chi2 for chi2, _ in told] == pytest.approx(found.errors.amin(0).tolist())
    best = int(found.errors[:, -1].argmin())
    assert told[-1][1].shape == SHAPE
    assert torch.equal(told[-1][1], found.object[best]) is (average == 0)
