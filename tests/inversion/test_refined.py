"""From a pattern of any sampling to the crystal, by the network and its refinement."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autophasenn.errors import InputError, PlanError
from autophasenn.files.size import check_room, stored_voxels
from autophasenn.inversion.prediction import Refined, better, predict, predicted, refined
from autophasenn.network.architectures import build
from autophasenn.network.predict import Inference, Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.ensemble import hold_out
from autophasenn.phasing.further import Further, Grid, improve
from autophasenn.phasing.refine import PAPER
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel
from autophasenn.pipeline.reconstruct import describe, reconstruct, reconstruct_into
from autophasenn.pipeline.result import Output
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.volumes import Pattern
from crystals import expected_counts, polyhedron, smooth_phase

OVERSAMPLING = (3.0, 3.2, 2.8)
PHOTONS = 1e7


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Without training it is phase retrieval at half the resolution, with plain stages."""
    return Predictor(build(UnrolledDesign()), Inference("float32"))


def crystal(shape: Sequence[int], oversampling: Sequence[float], seed: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    rho = polyhedron(shape, oversampling, rng) * np.exp(1.5j * smooth_phase(shape, oversampling, rng))
    return torch.from_numpy(rho).to(torch.complex64)


def pattern_of(rho: torch.Tensor, kernel: torch.Tensor | None = None, mask: torch.Tensor | None = None) -> Pattern:
    intensity = torch.from_numpy(expected_counts(rho.numpy(), PHOTONS)).float()
    if kernel is not None:
        intensity = ForwardModel(kernel=kernel).blur(intensity)
    counts = torch.poisson(intensity, generator=torch.Generator().manual_seed(0))
    peak = [n // 2 - int(i) for n, i in zip(rho.shape, np.unravel_index(int(counts.argmax()), rho.shape), strict=True)]
    counts = torch.roll(counts, peak, (0, 1, 2))
    return Pattern(counts, counts >= 0 if mask is None else mask)


def shifted_truth(rho: torch.Tensor) -> torch.Tensor:
    """The object whose pattern has its brightest voxel in the middle: rolling a pattern is a ramp on the object."""
    from autophasenn.physics.fourier import back_propagate, diffract

    wave = diffract(rho)
    peak = np.unravel_index(int(wave.abs().argmax()), rho.shape)
    return back_propagate(torch.roll(wave, [n // 2 - int(i) for n, i in zip(rho.shape, peak, strict=True)], (0, 1, 2)))


def test_a_crystal_at_the_networks_sampling_is_found(predictor: Predictor) -> None:
    rho = crystal((64, 64, 64), OVERSAMPLING)
    prediction = predict(pattern_of(rho), OVERSAMPLING, predictor, Refined(), seed=1)
    found, facts = refined(prediction, Refined())
    assert metrics.correlation(shifted_truth(rho), found.object) > 0.98
    assert found.kernel is None, "the beam was coherent"
    assert facts["iterations"][0] == f"coherent beam: {Refined().first.iterations}"
    before, _ = predicted(prediction, Refined())
    assert found.free_error < before.free_error


@pytest.mark.parametrize("seed", [50_000, 20261123, 2**40])
def test_any_seed_will_do(predictor: Predictor, seed: int) -> None:
    counts = pattern_of(crystal((64, 64, 64), OVERSAMPLING))
    assert math.isfinite(predict(counts, OVERSAMPLING, predictor, Refined(starts=1), seed=seed).candidates[0].errors)


def test_a_crystal_at_another_sampling_is_found_at_its_full_resolution(predictor: Predictor) -> None:
    shape, oversampling = (48, 96, 80), (2.6, 4.4, 3.6)
    rho = crystal(shape, oversampling)
    prediction = predict(pattern_of(rho), oversampling, predictor, Refined(), seed=1)
    assert not prediction.box.is_whole_pattern
    carried, _ = predicted(prediction, Refined())
    found, facts = refined(prediction, Refined())
    assert found.object.shape == found.support.shape == found.intensity.shape == shape
    assert metrics.correlation(shifted_truth(rho), carried.object) > 0.85
    assert metrics.correlation(shifted_truth(rho), found.object) > 0.97
    assert facts["iterations"][-2] == f"full resolution: {Further().iterations}"
    assert facts["iterations"][-1].startswith("most likely: ")


def test_nothing_is_fitted_to_voxels_that_were_held_out(predictor: Predictor) -> None:
    """Whatever the held-out voxels hold, the object is the same to the last bit."""
    pattern = pattern_of(crystal((64, 64, 64), OVERSAMPLING))
    quick = Refined(first=PAPER, further=Further(rounds=0, polish_rounds=1, polish=3), partial_coherence=False)
    free = hold_out(pattern.mask, quick.free_fraction, 3)
    assert free.any()
    spoiled = replace(pattern, counts=torch.where(free, 1e5, pattern.counts))
    objects = []
    for each in (pattern, spoiled):
        prediction = predict(each, OVERSAMPLING, predictor, replace(quick, poor=1.0), seed=3)
        objects.append(prediction.candidates[0].object)
        box = prediction.inside
        objects.append(improve(box, prediction.candidates[0], quick.further, partially_coherent=True).object)
    assert torch.equal(objects[0], objects[2])
    assert torch.equal(objects[1], objects[3])


def test_a_partially_coherent_beam_is_noticed_and_its_kernel_explains_the_pattern(predictor: Predictor) -> None:
    rho = crystal((64, 64, 64), OVERSAMPLING)
    kernel = gaussian_kernel((11, 11, 11), (0.5, 0.6, 0.5))
    pattern = pattern_of(rho, kernel)
    prediction = predict(pattern, OVERSAMPLING, predictor, Refined(), seed=1)
    found, _ = refined(prediction, Refined())
    coherent, _ = refined(prediction, Refined(partial_coherence=False))
    assert found.kernel is not None
    assert coherent.kernel is None
    assert found.free_error < 0.5 * coherent.free_error
    assert found.kernel.sum() == pytest.approx(1, abs=1e-4)


def test_where_refinement_spoils_the_best_before_it_is_kept_and_said(
    predictor: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    """At full resolution one iteration within a support that cuts most of the crystal away."""
    shape, oversampling = (48, 96, 64), (2.6, 4.4, 3.0)
    prediction = predict(pattern_of(crystal(shape, oversampling)), oversampling, predictor, Refined(), seed=1)
    bad = Further(rounds=0, polish_rounds=1, polish=1)
    bad = replace(bad, polish_support=replace(bad.polish_support, threshold=0.999))
    kept, _ = refined(prediction, Refined(further=bad, likelihood=None, partial_coherence=False))
    assert "ended worse than it began" in caplog.text
    wanted, _ = refined(prediction, Refined(further=Further(), likelihood=None, partial_coherence=False))
    assert kept.free_error < 5 * wanted.free_error


def test_a_poor_prediction_is_made_again_and_the_best_comes_first(predictor: Predictor) -> None:
    pattern = pattern_of(crystal((64, 64, 64), OVERSAMPLING))
    strict = Refined(starts=3, poor=1e-6)
    prediction = predict(pattern, OVERSAMPLING, predictor, strict, seed=0)
    errors = [float(each.errors) for each in prediction.candidates]
    assert 1 <= len(errors) <= 3
    assert errors == sorted(errors)
    assert prediction.correlations[0] == pytest.approx(1, abs=1e-3)
    assert len(predict(pattern, OVERSAMPLING, predictor, replace(strict, poor=1.0), seed=0).candidates) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_object_that_is_not_finite_is_poor_and_any_other_is_better(value: float) -> None:
    rho = crystal((64, 64, 64), OVERSAMPLING)
    pattern = pattern_of(rho)
    for fraction in (0.02, 0.0):
        grid = Grid(pattern, hold_out(pattern.mask, fraction, 0))
        good, spoiled = grid.found(rho), grid.found(torch.where(rho.abs() == rho.abs().max(), value, rho))
        assert grid.is_poor(spoiled, 1.0)
        assert not grid.is_poor(good, 1.0)
        assert grid.score(spoiled) == math.inf
        assert better(grid, spoiled, good) is better(grid, good, spoiled) is good


@pytest.mark.parametrize(
    "change", [{"kernel_width": 10}, {"kernel_width": 1}, {"kernel_updates": 0}, {"kernel_middle": 20}]
)
def test_a_coherence_kernel_out_of_range_is_refused_before_anything_is_computed(change: dict[str, int]) -> None:
    with pytest.raises(PlanError, match=rf"refined\.further\..*{next(iter(change))}"):
        Further(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"starts": 0}, {"free_fraction": 0.5}, {"agreement": 2.0}, {"poor": 0.0}], ids=lambda c: next(iter(c))
)
def test_options_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(PlanError, match=next(iter(change))):
        Refined(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["refined", "network"])
def test_the_command_takes_a_plain_pattern_to_a_whole_result(method: str, tmp_path: Path) -> None:
    pattern = pattern_of(crystal((32, 80, 48), (2.8, 4.0, 3.0)))
    np.save(tmp_path / "pattern.npy", pattern.counts.numpy().astype(np.uint32))
    source = Source(str(tmp_path / "pattern.npy"))
    report = reconstruct_into(Output(tmp_path / "out"), source, Run(method)).report
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["method"] == method
    assert written["seconds"]["network"] > 0
    assert (written["seconds"]["refine"] is None) == (method == "network")
    assert len(written["path"]["network_box"]["steps"]) == 3
    assert bool(written["path"]["iterations"]) == (method == "refined")
    assert report.chi2 < 0.1
    assert (tmp_path / "out" / "overview.png").exists()
    assert "network box" in describe(source, Run(method), Output(tmp_path / "other"))


def test_too_coarse_a_pattern_is_refused_with_its_number_unless_forced(tmp_path: Path) -> None:
    pattern = pattern_of(crystal((48, 48, 48), (3.0, 1.5, 3.0)))
    np.save(tmp_path / "pattern.npy", pattern.counts.numpy().astype(np.uint32))
    source, output = Source(str(tmp_path / "pattern.npy")), Output(tmp_path / "out")
    with pytest.raises(InputError, match=r"oversampling of about 1\.\d+ along axis 1.*--force"):
        reconstruct_into(output, source)
    assert not (tmp_path / "out").exists()
    assert describe(source, Run(force=True), output)["pattern"] == [48, 48, 48]


def test_a_pattern_beyond_the_memory_is_refused_unread(tmp_path: Path) -> None:
    """A sparse file of a hundred terabytes of voxels takes no room on the disk."""
    header = {"descr": "<u2", "fortran_order": False, "shape": (10**4, 10**4, 10**4)}
    path = tmp_path / "huge.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + 2 * 10**12)
    assert stored_voxels(path) == 10**12
    with pytest.raises(InputError, match=r"GiB of memory.*cut the scan"):
        reconstruct(Source(str(path)))
    np.save(tmp_path / "small.npy", np.ones((4, 4, 4), np.uint16))
    check_room(tmp_path / "small.npy")


def test_an_axis_that_was_nowhere_measured_is_refused(tmp_path: Path) -> None:
    counts = pattern_of(crystal((48, 48, 48), (3.0, 3.0, 3.0))).counts.numpy().astype(np.uint32)
    mask = np.ones(counts.shape, bool)
    mask[:, 4:44] = False
    np.savez(tmp_path / "pattern.npz", counts=counts, mask=mask)
    with pytest.raises(InputError, match=r"planes of the pattern along axis 1 only \d have a measured voxel"):
        reconstruct_into(Output(tmp_path / "out"), Source(str(tmp_path / "pattern.npz")))
    assert not (tmp_path / "out").exists()


def test_a_coherence_kernel_never_divides_by_what_transforms_round_away() -> None:
    """A peak of 1e12 and an object whose wave is nearly zero elsewhere: the blurred intensity is lost in rounding."""
    rho = torch.zeros(32, 32, 32, dtype=torch.complex64)
    rho[10:22, 10:22, 10:22] = 1e4
    counts = torch.full((32, 32, 32), 5.0)
    counts[16, 16, 16] = 1e12
    grid = Grid(Pattern(counts, counts >= 0), counts < 0)
    found = improve(grid, grid.found(rho), Further(), partially_coherent=True)
    assert torch.isfinite(found.errors).all()
    assert torch.isfinite(found.object.abs()).all()
