"""How far an image can be believed, from the pattern to the files; and that every method shows the same of two twins."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from real_scan import scan_54

from autophasenn.files.cxi import read_result
from autophasenn.inversion.box import NetworkBox
from autophasenn.inversion.methods import invert
from autophasenn.inversion.orientations import Orientations
from autophasenn.network.predict import Predictor
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.physics.ambiguity import align
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.postprocess import centred, postprocess
from autophasenn.pipeline.prepare import prepare
from autophasenn.pipeline.reconstruct import reconstruct
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.preprocessing.preprocess import Preprocessed, preprocess
from autophasenn.volumes import Reconstruction, twin

HALF_IN_THE_BOX = Plan(confidence=Orientations(number=2))
WITHOUT = Plan(
    confidence=Orientations(number=0),
    even_density=None,
    retrieval=Ensemble(starts=2, polish=0, schedule=Schedule((Block(HIO(), 80), Block(ER(), 20)), 2, average_last=5)),
)


@lru_cache(1)
def predictor() -> Predictor:
    return Predictor.from_file()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, Path]:
    folder = tmp_path_factory.mktemp("judged") / "example"
    result = reconstruct(Source(), Run("network"), HALF_IN_THE_BOX, predictor=predictor())
    return result.save(folder, figures=False).report.to_json(), folder


def test_the_report_says_how_far_to_believe_the_image_and_of_what_that_was_made(judged: tuple[dict, Path]) -> None:
    confidence = judged[0]["confidence"]
    assert set(confidence) == {
        *("number", "meaning", "warnings", "discord", "unexplained", "misfit", "variants", "agreeing"),
        "is_pending",
        *("phase_spread_rad", "amplitude_spread"),
    }
    assert 0 <= confidence["number"] <= 1
    assert confidence["variants"] == 2
    assert set(confidence["warnings"]) <= set(judged[0]["warnings"])
    assert judged[0]["seconds"]["confidence"] > 0


def test_the_spread_lies_on_the_voxels_of_the_object_and_ends_with_it(judged: tuple[dict, Path]) -> None:
    stored = read_result(judged[1] / "result.cxi").reconstruction
    assert stored.phase_spread is not None
    assert stored.amplitude_spread is not None
    for values in (stored.phase_spread, stored.amplitude_spread):
        assert torch.equal(values.isnan(), ~stored.support)
        assert (values[stored.support] >= 0).all()
    middle = stored.phase_spread[stored.support]
    assert float(middle.median()) == pytest.approx(judged[0]["confidence"]["phase_spread_rad"], rel=0.5)


def test_without_variants_the_confidence_is_null_and_says_why(tmp_path: Path) -> None:
    result = reconstruct(Source(), Run("network"), WITHOUT, predictor=predictor())
    result.save(tmp_path / "out", figures=False)
    assert result.report.confidence.number is None
    assert "confidence.number is 0" in result.report.confidence.meaning
    assert result.report.seconds["confidence"] is None
    assert read_result(tmp_path / "out" / "result.cxi").reconstruction.phase_spread is None


def test_values_of_the_box_are_carried_as_its_objects_are() -> None:
    """A value that rises by 1 a voxel of the box rises by 1 / (step 64 / n) ... at the place where its object lies."""
    box = NetworkBox((48, 96, 200), (1.0, 1.4, 3.0))
    ramp = torch.arange(64.0)[:, None, None].expand(64, 64, 64)
    for axis, (size, step) in enumerate(zip(box.shape, box.steps, strict=True)):
        carried = box.values_onto_grid(ramp.movedim(0, axis).contiguous()).movedim(axis, 0)[:, 0, 0]
        wanted = ((torch.arange(size) - size // 2) * step * 64 / size + 32).clamp(0, 63)
        torch.testing.assert_close(carried, wanted.float(), atol=1e-3, rtol=0)


def test_the_spread_goes_with_its_object_to_its_twin_and_to_the_middle() -> None:
    g = torch.Generator().manual_seed(0)
    inside = torch.zeros(20, 24, 22, dtype=torch.bool)
    inside[2:9, 4:13, 3:9] = True
    inside[2:5, 13:16, 3:6] = True
    rho = torch.where(inside, torch.polar(torch.rand(20, 24, 22, generator=g) + 0.5, torch.rand(20, 24, 22)), 0)
    for volume in (rho, twin(rho)):
        found = Reconstruction(
            *(volume, volume != 0, volume, volume.abs()),
            *(torch.zeros(1, 1), torch.zeros(1)),
            phase_spread=2 * volume.abs(),
            amplitude_spread=volume.abs(),
        )
        moved = centred(found, 0.3)
        assert not torch.equal(moved.object, volume)
        assert torch.equal(moved.phase_spread, 2 * moved.object.abs())
        assert torch.equal(moved.amplitude_spread, moved.object.abs())


def canonical(prepared: Preprocessed, plan: Plan, method: str, seed: int) -> torch.Tensor:
    found = invert(prepared.pattern, prepared.oversampling, method, plan, predictor=predictor(), seed=seed)
    return postprocess(found.reconstruction, prepared.pattern, plan.postprocess).reconstruction.object


def check_same_twin(images: list[torch.Tensor], least: float) -> None:
    for image in images[1:]:
        alignment = align(images[0], image)
        assert not alignment.twinned
        assert alignment.correlation > least


def test_every_method_and_start_shows_the_same_twin_of_the_example() -> None:
    prepared = prepare(Source()).preprocessed
    ways = [("refined", 0), ("refined", 1), ("network", 0), ("network", 1), ("iterative", 0)]
    check_same_twin([canonical(prepared, WITHOUT, *way) for way in ways], 0.95)


@pytest.mark.slow
def test_every_method_and_start_shows_the_same_twin_of_scan_54(shared_data: Path) -> None:
    prepared = preprocess(scan_54(shared_data), replace(WITHOUT.preprocess, shape=(64, 64, 64)))
    ways = [("refined", 0), ("refined", 1), ("network", 0), ("iterative", 0)]
    check_same_twin([canonical(prepared, WITHOUT, *way) for way in ways], 0.8)


@pytest.mark.slow
def test_every_method_shows_the_same_twin_of_cdi3dnn(shared_data: Path) -> None:
    """It is nearly its own twin (a correlation of 0.91): what decides needs the coherence of the beam and variants."""
    prepared = prepare(Source(str(shared_data / "cdi3dnn_34idc" / "ft_crop_64.tif"))).preprocessed
    plan = Plan(retrieval=Ensemble(starts=1), even_density=None)
    ways = ("refined", "network", "iterative")
    check_same_twin([canonical(prepared, plan, method, 1) for method in ways], 0.9)
