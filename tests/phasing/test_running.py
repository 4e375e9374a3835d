"""A confined object is the whole one, to rounding, and no transform meets a voxel outside of its box."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autophasenn.phasing.algorithms import CHIO, ER, HIO, RAAR, SF
from autophasenn.phasing.fused import Passes, compiled
from autophasenn.phasing.likelihood import Likelihood, Problem
from autophasenn.phasing.projection import BoxedProjection, ModulusProjection
from autophasenn.phasing.running import Confined, Whole
from autophasenn.phasing.schedule import AnyAlgorithm
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel
from autophasenn.physics.fourier import back_propagate, back_propagate_corner, diffract, diffract_corner, to_corner
from autophasenn.physics.pruned import Box, PrunedPair
from autophasenn.volumes import SPATIAL

SHAPE = (20, 24, 27)
PLACE = Box((3, 8, 9), (7, 10, 11))


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def support() -> torch.Tensor:
    inside = torch.rand((1, *PLACE.size), generator=drawn(1)) > 0.3
    inside[:, [0, -1]] = True
    inside[:, :, [0, -1]] = True
    inside[..., [0, -1]] = True
    return PLACE.embed(inside, SHAPE)


def start() -> torch.Tensor:
    return torch.randn((1, *SHAPE), dtype=torch.complex64, generator=drawn(2)) * support()


def counts() -> torch.Tensor:
    truth = torch.randn((1, *SHAPE), dtype=torch.complex64, generator=drawn(3)) * support()
    return torch.poisson(50 * diffract(truth).abs().square(), generator=drawn(4))


def measured(share: float) -> torch.Tensor:
    return torch.rand((1, *SHAPE), generator=drawn(5)) < share


def in_double(algorithm: AnyAlgorithm, rho: torch.Tensor, share: float, iterations: int) -> torch.Tensor:
    """The same iterations by their equations, in double precision."""
    modulus, known, inside = counts().double().sqrt(), measured(share), support()
    c, d = algorithm.outside  # type: ignore[union-attr]
    for _ in range(iterations):
        psi = diffract(rho)
        projected = back_propagate(torch.where(known, modulus * psi / psi.abs(), psi))
        rho = torch.where(inside, algorithm.inside(rho, projected), c * rho + d * projected)  # type: ignore[union-attr]
    return rho


def distance(rho: torch.Tensor, other: torch.Tensor) -> float:
    return float((rho - other).abs().square().sum().sqrt() / other.abs().square().sum().sqrt())


def confined(share: float, kernel: torch.Tensor | None = None, passes: Passes | None = None) -> Confined:
    projection = BoxedProjection(to_corner(counts()), to_corner(measured(share)), kernel=kernel, passes=passes)
    return Confined(start(), support(), projection)


def whole(share: float, kernel: torch.Tensor | None = None) -> Whole:
    model = ForwardModel(None, kernel, diffract_corner, back_propagate_corner)
    return Whole(start(), support(), ModulusProjection(to_corner(counts()), to_corner(measured(share)), model))


ALGORITHMS = [ER(), HIO(), RAAR(0.8), SF(), CHIO()]


@pytest.fixture(params=["torch", "compiled"])
def passes(request: pytest.FixtureRequest) -> Passes | None:
    """Of both ways that a wave is projected."""
    if request.param == "torch":
        return None
    pytest.importorskip("numba")
    found = compiled()
    assert found is not None
    return found


@pytest.mark.parametrize("share", [1.0, 0.8])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: type(a).__name__)
def test_a_confined_object_is_as_near_to_double_precision_as_a_whole_one(
    algorithm: AnyAlgorithm, share: float, passes: Passes | None
) -> None:
    one, other = confined(share, passes=passes), whole(share)
    torch.testing.assert_close(one.volume(), other.volume(), rtol=1e-5, atol=1e-5)
    expected = in_double(algorithm, one.volume().to(torch.complex128), share, 5)
    for run in (one, other):
        for _ in range(5):
            run.iterate(algorithm)
    assert distance(one.volume(), expected) < 4 * distance(other.volume(), expected) + 2e-7
    assert distance(one.result(0), expected * support()) < 4 * distance(other.result(0), expected * support()) + 2e-7


def test_a_confined_object_and_a_whole_one_are_the_same_through_every_change(passes: Passes | None) -> None:
    """Algorithms in turn, supports that grow and shrink, a cut, a kernel, an average."""
    kernel = gaussian_kernel((5, 5, 5), (0.5, 0.6, 0.4))[None]
    wrap = ShrinkWrap(every=2, threshold=0.3, sigma_first=2.0, sigma_last=0.8)
    half = torch.rand((1, *SHAPE), generator=drawn(6))
    runs = [confined(0.9, passes=passes), whole(0.9)]
    remembered = 0
    for iteration, algorithm in enumerate([ER(), ER(), HIO(), HIO(), SF(), SF(), ER(), RAAR(), RAAR(), ER(), ER()]):
        errors = []
        for run in runs:
            if iteration in (1, 5):
                run.multiply(half)
            if wrap.is_due(iteration):
                rho = run.volume()
                run.confine(wrap.update(rho, iteration, 11), rho)
            if iteration == 7:
                run.kernel = kernel
            errors.append(run.iterate(algorithm))
            if iteration >= 7:
                run.remember()
        remembered += iteration >= 7
        one, other = runs
        assert torch.equal(one.support, other.support)
        torch.testing.assert_close(*errors, rtol=1e-4, atol=1e-7)
        assert distance(one.volume(), other.volume()) < 1e-5
        for ours, theirs in zip(one.coherent(), other.coherent(), strict=True):
            assert distance(ours, theirs) < 2e-5
    assert distance(runs[0].result(remembered), runs[1].result(remembered)) < 1e-5


def test_planes_in_turn_give_what_all_at_once_give(monkeypatch: pytest.MonkeyPatch, passes: Passes | None) -> None:
    found = []
    for voxels in (1, 3 * SHAPE[1] * SHAPE[2], 10**9):
        monkeypatch.setattr("autophasenn.phasing.projection.CHUNK_VOXELS", voxels)
        run = confined(0.9, passes=passes)
        for algorithm in ALGORITHMS:
            run.iterate(algorithm)
        found.append(run.volume())
    for other in found[1:]:
        if passes is None:
            assert torch.equal(found[0], other)
        else:  # where a chunk ends, what is left of a vector is rounded one by one
            assert distance(found[0], other) < 1e-5


def test_many_objects_may_be_projected_at_once() -> None:
    """As a GPU does: one box for all, in one go."""
    rho, inside = torch.cat([start(), start().flip(1)]), torch.cat([support(), support().flip(1)])
    known, pattern = to_corner(measured(0.9)), to_corner(counts())
    both = Confined(rho, inside, BoxedProjection(pattern, known, starts=2))
    alone = [Confined(rho[[i]], inside[[i]], BoxedProjection(pattern, known)) for i in range(2)]
    for algorithm in ALGORITHMS[:4]:
        together = both.iterate(algorithm)
        for number, run in enumerate(alone):
            torch.testing.assert_close(run.iterate(algorithm)[0], together[number], rtol=1e-4, atol=1e-7)  # type: ignore[index]
    for number, run in enumerate(alone):
        assert distance(both.volume()[[number]], run.volume()) < 3e-6


@pytest.mark.parametrize("threads", [1, 8])
def test_the_modulus_is_the_same_on_few_threads_and_on_many(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    from autophasenn.physics.diffraction import modulus_of

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    psi = start()
    torch.testing.assert_close(modulus_of(psi, torch.empty(psi.shape)), psi.abs())


def test_the_pruned_pair_is_the_pair_but_for_the_origin() -> None:
    pair = PrunedPair(SHAPE, PLACE)
    values = PLACE.cut(start())
    wave, expected = pair.to_wave(values), diffract(start())
    torch.testing.assert_close(wave.abs(), to_corner(expected).abs(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(pair.to_box(wave), values, rtol=1e-5, atol=1e-6)
    other = torch.randn((1, *SHAPE), dtype=torch.complex64, generator=drawn(8))
    forward, backward = (wave.conj() * other).sum(), (values.conj() * pair.to_box(other)).sum()
    torch.testing.assert_close(forward, backward, rtol=1e-4, atol=1e-3)


def test_a_box_is_the_least_that_holds_the_support() -> None:
    assert Box.around(support()) == PLACE
    assert Box.around(support()[0]) == PLACE
    assert Box.around(torch.ones(SHAPE, dtype=torch.bool)) == Box((0, 0, 0), SHAPE)
    assert Box.around(torch.zeros(SHAPE, dtype=torch.bool)) == Box((0, 0, 0), (1, 1, 1))
    assert torch.equal(PLACE.embed(PLACE.cut(start()), SHAPE), start())
    assert Box.around(torch.zeros((2, *SHAPE), dtype=torch.bool).index_fill_(1, torch.tensor([4, 9]), True)) == replace(
        PLACE, start=(4, 0, 0), size=(6, *SHAPE[1:])
    )


def test_the_chi2_of_a_confined_object_is_that_of_the_conventions(passes: Passes | None) -> None:
    run = confined(0.8, passes=passes)
    modulus = diffract(run.volume()).abs()
    known, target = measured(0.8), counts().sqrt()
    expected = torch.where(known, modulus - target, 0).square().sum(SPATIAL) / torch.where(known, counts(), 0).sum(
        SPATIAL
    )
    torch.testing.assert_close(run.iterate(HIO()), expected, rtol=1e-5, atol=0)


class Spent(TorchDispatchMode):
    """Counts voxels that go through transforms, axis by axis, and bytes that are allocated, whatever the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.transformed = self.allocated = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {
            each.untyped_storage().data_ptr() for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)
        }
        found = func(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor) and each.untyped_storage().data_ptr() not in known:
                self.allocated += each.untyped_storage().nbytes()
        if "fft" in str(func):
            self.transformed += found.numel() * len(args[1])
        return found


def of_the_box_alone() -> tuple[int, int]:
    """Voxels that a transform of what fills `PLACE` has to meet, axis by axis, and those of a wave's columns."""
    (n0, n1, n2), (_, m1, m2) = SHAPE, PLACE.size
    columns = n0 * m1 * m2
    lines = n0 * n1 * m2 if 2 * m2 <= n2 else n0 * n1 * n2
    return columns + lines + n0 * n1 * n2, columns


@pytest.mark.parametrize("algorithm", [ER(), HIO()], ids=lambda a: type(a).__name__)
def test_an_iteration_is_a_transform_of_the_box_alone_there_and_back_and_little_memory(
    algorithm: AnyAlgorithm, passes: Passes | None
) -> None:
    """Exact counts, for CI: the box twice, and what torch's transforms return with a box or two beside it."""
    run = confined(1.0, passes=passes)
    for _ in range(2):
        run.iterate(algorithm)
    with Spent() as spent:
        run.iterate(algorithm)
    volume, (transformed, columns) = SHAPE[0] * SHAPE[1] * SHAPE[2], of_the_box_alone()
    assert spent.transformed == 2 * transformed
    assert transformed < 2.5 * volume  # all axes of the whole are 3
    box = PLACE.size[0] * PLACE.size[1] * PLACE.size[2]
    assert spent.allocated <= 8 * (2 * transformed + 2 * columns + 6 * box) + 4096


def test_a_likelihood_of_a_coherent_beam_is_a_transform_of_the_box_alone_there_and_back() -> None:
    used = to_corner(measured(0.9))[0]
    problem = Problem(to_corner(counts())[0], used, support()[0], Likelihood(), (0.3, 0.3, 0.3))
    values = problem.values_of(start()[0])
    with Spent() as spent:
        problem(values, None)
    assert spent.transformed == 2 * of_the_box_alone()[0]
