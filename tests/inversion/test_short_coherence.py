"""A crystal that is as wide as its beam is coherent keeps its support."""

from dataclasses import replace

import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.inversion.deblurring import DEBLURRED, Deblurring, refine_deblurred
from autophasenn.inversion.prediction import Predictions, load_predictor, predict_all
from autophasenn.network.predict import Predictor
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import kernel_of
from autophasenn.phasing.refinement import Refined, Refinement
from autophasenn.physics import metrics
from autophasenn.volumes import PATTERN, Pattern, crop_or_pad

QUICK = Deblurring(widths=(0.95,), again=0, updates=15, evaluations=15)
ONCE = Predictions(starts=1)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return load_predictor()


@pytest.fixture(scope="module")
def crystal() -> tuple[torch.Tensor, HeldOut]:
    """The truth, and its pattern in a beam of coherence lengths of 10 to 12 voxels."""
    short = Experiment(photons=(1e7, 1e7), partly_coherent=1.0, coherence_length=(10.0, 12.0))
    samples = simulate(Polyhedra(), short, 7, [0])
    pattern = Pattern(samples.counts[0], samples.masks[0])
    return crop_or_pad(samples.objects[0], PATTERN), HeldOut.of(pattern, 0.02, 0)


@pytest.fixture(scope="module")
def predicted(predictor: Predictor, crystal: tuple[torch.Tensor, HeldOut]) -> Refined:
    """What the network says of the blurred pattern, and that a kernel was kept."""
    best = predict_all(crystal[1], predictor, ONCE, seed=0)[0][0]
    best = replace(best, kernel=kernel_of((0.6, 0.3, 0.3), PATTERN))
    return Refined(best, best, (), best.errors)


def voxels(rho: torch.Tensor) -> int:
    return int((rho.abs() > 0.3 * rho.abs().max()).sum())


def test_a_partially_coherent_crystal_keeps_its_support(
    crystal: tuple[torch.Tensor, HeldOut], predicted: Refined, predictor: Predictor
) -> None:
    truth, held_out = crystal
    found = refine_deblurred(held_out, predicted, QUICK, Refinement(), predictor, ONCE, seed=0)
    assert found.best is found.last
    assert [step.name for step in found.steps] == [DEBLURRED]
    assert found.errors.shape[1] == predicted.errors.shape[1] + found.steps[0].iterations
    assert voxels(predicted.best.object) < 0.75 * voxels(truth)
    assert voxels(found.best.object) > 0.9 * voxels(truth)
    before, after = (metrics.correlation(truth, metrics.thresholded(r.best.object[0])) for r in (predicted, found))
    assert before < 0.9
    assert after > 0.95


@pytest.mark.parametrize(
    ("how", "kernel"),
    [(None, (0.6, 0.3, 0.3)), (Deblurring(), None), (Deblurring(), (0.45, 0.3, 0.3))],
    ids=["left out", "coherent", "coherent over the crystal"],
)
def test_without_the_option_or_a_kernel_that_is_wide_nothing_changes(
    how: Deblurring | None,
    kernel: tuple[float, float, float] | None,
    crystal: tuple[torch.Tensor, HeldOut],
    predicted: Refined,
    predictor: Predictor,
) -> None:
    seen = replace(predicted.best, kernel=None if kernel is None else kernel_of(kernel, PATTERN))
    found = replace(predicted, best=seen)
    assert refine_deblurred(crystal[1], found, how, Refinement(), predictor, ONCE, seed=0) is found


@pytest.mark.parametrize(
    "change",
    [
        *({"least_width": -1.0}, {"again": -1}, {"again": 1000}, {"updates": 0}, {"evaluations": 0}),
        *({"widths": widths} for widths in ((), (0.0,), (1e300,), (1.0,) * 9)),
    ],
)
def test_a_number_outside_its_range_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        replace(Deblurring(), **change)  # type: ignore[arg-type]
