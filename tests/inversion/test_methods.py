"""From a pattern of any sampling to the crystal, by the network and its refinement."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from autophasenn.errors import InputError, PlanError
from autophasenn.inversion import methods
from autophasenn.inversion.box import NetworkBox
from autophasenn.inversion.ensemble import ImageEnsemble
from autophasenn.inversion.methods import METHODS, Found, Inversion, invert, with_spread
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions, in_network_box, predict
from autophasenn.network.architectures import build
from autophasenn.network.predict import Inference, Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.evenness import Evenness
from autophasenn.phasing.held_out import hold_out
from autophasenn.phasing.refinement import Refinement, refine
from autophasenn.phasing.schedule import error_reduction
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel
from autophasenn.physics.nearest import nearest_known
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.reconstruct import describe, reconstruct, reconstruct_into
from autophasenn.pipeline.result import Output
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.volumes import Pattern, Reconstruction
from crystals import expected_counts, polyhedron, smooth_phase

OVERSAMPLING = (3.0, 3.2, 2.8)
PHOTONS = 1e7


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Without training it is phase retrieval at half the resolution, with plain stages."""
    return Predictor(build(UnrolledDesign()), Inference("float32", starts=4))


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


ONE_SIDE = Orientations(number=0)
"""Without the confidence, which takes several times as long."""


def inverted(
    pattern: Pattern, oversampling: tuple[float, float, float], predictor: Predictor, method: str = "refined", **options
) -> Found:
    return invert(pattern, oversampling, method, Inversion(confidence=ONE_SIDE, **options), predictor=predictor, seed=1)


def test_a_crystal_at_the_networks_sampling_is_found_and_nothing_is_done_that_gains_nothing(
    predictor: Predictor,
) -> None:
    rho = crystal((64, 64, 64), OVERSAMPLING)
    answer = inverted(pattern_of(rho), OVERSAMPLING, predictor)
    found = answer.reconstruction
    assert metrics.correlation(shifted_truth(rho), found.object) > 0.98
    assert found.kernel is None, "the beam was coherent"
    first = Refinement().search.iterations + Refinement().polish
    begun, *even = answer.path["iterations"]
    assert begun == {"name": "coherent beam", "grid": "box", "iterations": first}
    assert [step["name"] for step in even] == ["even inside"] * answer.path["even_inside"]["kept"]
    assert sum(step["iterations"] for step in even) <= Evenness().most_evaluations
    assert answer.warnings == ()
    before = inverted(pattern_of(rho), OVERSAMPLING, predictor, "network").reconstruction
    assert found.free_error < before.free_error


def test_a_plan_names_the_even_inside_where_it_is_made() -> None:
    for method, how, named in (
        ("refined", Inversion(), True),
        ("adapted", Inversion(), True),
        ("refined", Inversion(evenness=None), False),
        ("er50", Inversion(), False),
    ):
        words = methods.describe(pattern_of(crystal((64, 64, 64), OVERSAMPLING)), OVERSAMPLING, method, how)
        assert ("an even inside" in words["schedule"]) is named


def test_the_spread_of_a_moved_image_lies_on_its_crystal() -> None:
    shape, shift = (64, 64, 64), (0.4, -0.3, 0.25)
    axes = torch.meshgrid(*[torch.arange(n) - n // 2 for n in shape], indexing="ij")
    rho = torch.complex((sum(x**2 for x in axes) < 12**2).float(), torch.zeros(shape))
    spot = 0.2 * torch.exp(-sum((x - at) ** 2 for x, at in zip(axes, (2, -1, 3), strict=True)) / 8)
    objects = torch.stack([rho, rho * (1 + spot)])
    image = Retrieval(rho[None], (rho.abs() > 0)[None], torch.zeros(1, 1))
    images = ImageEnsemble(objects, (0, 1), torch.zeros(2), torch.ones(2), torch.ones(2, dtype=torch.bool), image)
    support = rho.abs() > 0
    found = Reconstruction(rho, support, rho, rho.abs(), torch.zeros(1, 1), torch.zeros(1))
    box = NetworkBox.of(shape, OVERSAMPLING)

    def middle(moved: tuple[float, float, float]) -> list[float]:
        spread = with_spread(found, box, images, moved).amplitude_spread
        assert spread is not None
        spread = spread.nan_to_num(0)
        return [float((spread * x).sum() / spread.sum()) for x in axes]

    away = [m - n for m, n in zip(middle(shift), middle((0.0, 0.0, 0.0)), strict=True)]
    assert away == pytest.approx(shift, abs=0.05)


def test_about_a_crystal_the_nearest_of_its_voxels_is_that_of_the_whole_volume() -> None:
    support = torch.zeros(30, 34, 26, dtype=torch.bool)
    support[9:20, 2:9, 12:25] = torch.rand(11, 7, 13, generator=torch.Generator().manual_seed(0)) > 0.5
    found, expected = (np.stack(f(support)) for f in (methods._nearest_inside, lambda s: nearest_known(s.numpy())))
    places = np.stack(np.indices(support.shape))
    distances = [np.linalg.norm(nearest - places, axis=0) for nearest in (found, expected)]
    assert support.numpy()[tuple(found)].all()
    near = distances[1] <= methods.AROUND
    np.testing.assert_array_equal(distances[0][near], distances[1][near])


@pytest.mark.parametrize("seed", [50_000, 20261123, 2**40])
def test_any_seed_will_do(predictor: Predictor, seed: int) -> None:
    boxed = in_network_box(pattern_of(crystal((64, 64, 64), OVERSAMPLING)), OVERSAMPLING, seed=seed)
    assert math.isfinite(predict(boxed, predictor, Predictions(starts=1), seed=seed).best.errors)


def test_a_crystal_at_another_sampling_is_found_at_its_full_resolution(predictor: Predictor) -> None:
    shape, oversampling = (48, 96, 80), (2.6, 4.4, 3.6)
    rho = crystal(shape, oversampling)
    carried = inverted(pattern_of(rho), oversampling, predictor, "network").reconstruction
    answer = inverted(pattern_of(rho), oversampling, predictor)
    found = answer.reconstruction
    assert found.object.shape == found.support.shape == found.intensity.shape == shape
    assert metrics.correlation(shifted_truth(rho), carried.object) > 0.85
    assert metrics.correlation(shifted_truth(rho), found.object) > 0.97
    steps = answer.path["iterations"]
    assert [step["grid"] for step in steps] == sorted(step["grid"] for step in steps)
    assert next(step for step in steps if step["grid"] == "pattern")["name"] == "full resolution"
    assert found.errors.shape[1] == 1 + sum(step["iterations"] for step in steps)


def test_the_papers_refinement_is_50_iterations_of_error_reduction(predictor: Predictor) -> None:
    answer = inverted(pattern_of(crystal((64, 64, 64), OVERSAMPLING)), OVERSAMPLING, predictor, "er50")
    assert answer.path["iterations"] == [{"name": "error reduction", "grid": "box", "iterations": 50}]
    errors = answer.reconstruction.errors[0, 1:]
    assert (errors.diff() <= 1e-6).all()
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_needs_a_network_or_needs_none(method: str, predictor: Predictor) -> None:
    """Which it says before it begins."""
    pattern = pattern_of(crystal((64, 64, 64), OVERSAMPLING))
    if method.needs_network:  # type: ignore[attr-defined]
        with pytest.raises(PlanError, match=f"{method} begins from a network's prediction"):
            invert(pattern, OVERSAMPLING, method)
    else:
        quick = Ensemble(starts=1, polish=0, schedule=error_reduction(2))
        found = inverted(pattern, OVERSAMPLING, None, method, retrieval=quick)  # type: ignore[arg-type]
        assert found.path is None
        assert found.confidence is None


def test_a_method_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(PlanError, match="'guess' is not known; choose from refined, adapted, er50, network, iterative"):
        invert(pattern_of(crystal((64, 64, 64), OVERSAMPLING)), OVERSAMPLING, "guess")


def test_nothing_is_fitted_to_voxels_that_were_held_out(predictor: Predictor) -> None:
    """Whatever the held-out voxels hold, the objects are the same to the last bit."""
    pattern = pattern_of(crystal((64, 64, 64), OVERSAMPLING))
    quick = Refinement(error_reduction(3), None, enough=0.0, partial_coherence=False, likelihood=None)
    free = hold_out(pattern.mask, 0.02, 3)
    assert free.any()
    spoiled = replace(pattern, counts=torch.where(free, 1e5, pattern.counts))
    objects = []
    for each in (pattern, spoiled):
        prediction = predict(in_network_box(each, OVERSAMPLING, seed=3), predictor, Predictions(poor=1.0), seed=3)
        inside = prediction.boxed.inside
        objects.append((prediction.best.object, refine(inside, prediction.best, quick).last.object))
    assert torch.equal(objects[0][0], objects[1][0])
    assert torch.equal(objects[0][1], objects[1][1])


@pytest.mark.slow
def test_a_partially_coherent_beam_is_noticed_and_its_kernel_explains_the_pattern(predictor: Predictor) -> None:
    rho = crystal((64, 64, 64), OVERSAMPLING)
    kernel = gaussian_kernel((11, 11, 11), (0.5, 0.6, 0.5))
    pattern = pattern_of(rho, kernel)
    found = inverted(pattern, OVERSAMPLING, predictor).reconstruction
    coherent = inverted(pattern, OVERSAMPLING, predictor, refinement=Refinement(partial_coherence=False)).reconstruction
    assert found.kernel is not None
    assert coherent.kernel is None
    assert found.free_error < 0.5 * coherent.free_error
    assert found.kernel.sum() == pytest.approx(1, abs=1e-4)


def test_where_refinement_spoils_the_best_before_it_is_kept_and_said(predictor: Predictor) -> None:
    """At full resolution one iteration within a support that cuts most of the crystal away."""
    shape, oversampling = (48, 96, 64), (2.6, 4.4, 3.0)
    pattern = pattern_of(crystal(shape, oversampling))
    wanted = inverted(pattern, oversampling, predictor, refinement=Refinement(partial_coherence=False))
    bad = Refinement(polish=1, partial_coherence=False, likelihood=None)
    bad = replace(
        bad,
        coherence=replace(bad.coherence, rounds=0),
        polish_support=replace(bad.polish_support, threshold=0.999),
    )
    kept = inverted(pattern, oversampling, predictor, refinement=bad)
    assert any("ended worse than it began" in sentence for sentence in kept.warnings)
    assert kept.reconstruction.free_error < 5 * wanted.reconstruction.free_error
    content = inverted(pattern, oversampling, predictor, refinement=replace(bad, enough=1e6))
    assert not any("ended worse" in sentence for sentence in content.warnings), "noise explains the image before"


def test_a_poor_prediction_is_made_again_and_the_best_comes_first(predictor: Predictor) -> None:
    boxed = in_network_box(pattern_of(crystal((64, 64, 64), OVERSAMPLING)), OVERSAMPLING, seed=0)
    prediction = predict(boxed, predictor, Predictions(starts=3, poor=1e-6), seed=0)
    errors = [float(each.errors) for each in prediction.candidates]
    assert 1 <= len(errors) <= 3
    assert errors == sorted(errors)
    assert prediction.correlations[0] == 1
    assert all(0 <= correlation <= 1 for correlation in prediction.correlations)
    assert len(predict(boxed, predictor, Predictions(starts=3, poor=1.0), seed=0).candidates) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Predictions(starts=0),
        lambda: Predictions(poor=0.0),
        lambda: Inversion(free_fraction=0.5),
        lambda: Inversion(agreement=2.0),
    ],
)
def test_options_out_of_range_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(PlanError, match=r"starts|poor|free_fraction|agreement"):
        wrong()


@pytest.mark.parametrize("method", ["refined", "network"])
def test_the_command_takes_a_plain_pattern_to_a_whole_result(method: str, tmp_path: Path) -> None:
    pattern = pattern_of(crystal((32, 80, 48), (2.8, 4.0, 3.0)))
    np.save(tmp_path / "pattern.npy", pattern.counts.numpy().astype(np.uint32))
    source = Source(str(tmp_path / "pattern.npy"))
    plan = Plan(confidence=Orientations(2, random_starts=0), even_density=None)
    report = reconstruct_into(Output(tmp_path / "out"), source, Run(method), plan).report
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert written["method"] == method
    assert written["seconds"]["network"] > 0
    assert (written["seconds"]["refine"] is None) == (method == "network")
    assert len(written["path"]["network_box"]["steps"]) == 3
    assert bool(written["path"]["iterations"]) == (method == "refined")
    assert all(step["iterations"] > 0 for step in written["path"]["iterations"])
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
    with pytest.raises(InputError, match=r"GiB of memory.*cut the scan"):
        reconstruct(Source(str(path)))


def test_an_axis_that_was_nowhere_measured_is_refused(tmp_path: Path) -> None:
    counts = pattern_of(crystal((48, 48, 48), (3.0, 3.0, 3.0))).counts.numpy().astype(np.uint32)
    mask = np.ones(counts.shape, bool)
    mask[:, 4:44] = False
    np.savez(tmp_path / "pattern.npz", counts=counts, mask=mask)
    with pytest.raises(InputError, match=r"planes of the pattern along axis 1 only \d have a measured voxel"):
        reconstruct_into(Output(tmp_path / "out"), Source(str(tmp_path / "pattern.npz"), mask_marks="measured"))
    assert not (tmp_path / "out").exists()
