"""Frames before they are phased: what is masked, why, and what is wrong with them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scan_34idc import SHAPE, Beamtime
from small_pattern import ALIEN, small_pattern

from autophasenn.errors import InputError
from autophasenn.pipeline.answering import answer
from autophasenn.pipeline.first_look import ALIEN as AS_ALIEN
from autophasenn.pipeline.first_look import FOUND, GIVEN, MEASURED, first_look
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.parameters import AS_BELOW, plan_file, plan_of, plan_parameters, refusals
from autophasenn.pipeline.plan import Plan, load_plan
from autophasenn.pipeline.scans_in import patterns_in, scans_in
from autophasenn.pipeline.source import Source


def test_each_masked_voxel_has_its_reason(tmp_path: Path) -> None:
    counts = small_pattern()
    counts[:, 20, :] = -1  # a gap marker
    mask = np.ones(counts.shape, bool)
    mask[:, :, :2] = False
    np.save(tmp_path / "scan.npy", counts)
    np.save(tmp_path / "mask.npy", mask)
    look = first_look(Source(str(tmp_path / "scan.npy"), mask=tmp_path / "mask.npy", mask_marks="measured"))
    assert look.why.shape == counts.shape
    assert (look.why[:, :, :2] == GIVEN).all()
    assert (look.why[:, 20, 2:] == FOUND).all()
    assert look.why[ALIEN] == AS_ALIEN, look.facts
    assert look.why[16, 16, 16] == MEASURED
    assert look.frames[16, 16, 16] == counts[16, 16, 16]
    assert look.trouble == ""
    assert "aliens" in look.facts["masked by the program"]


def test_frames_are_shown_in_the_order_of_the_file_in_which_a_mask_is_drawn_on_them(tmp_path: Path) -> None:
    right = Source().read().frames
    order = sorted(range(len(right)), key=str)  # 0, 1, 10, 11, ..., as names of files are sorted
    np.save(tmp_path / "scan.npy", right[order])
    look = first_look(Source(str(tmp_path / "scan.npy")))
    assert any("wrong order" in sentence for sentence in look.warnings), look.warnings
    measured = look.why != FOUND
    assert measured.mean() > 0.9
    assert (look.frames[measured] == right[order][measured]).all()


def test_what_cannot_be_phased_is_shown_with_its_reason(tmp_path: Path) -> None:
    np.save(tmp_path / "dark.npy", np.zeros((16, 16, 16), int))
    look = first_look(Source(str(tmp_path / "dark.npy")))
    assert look.frames.shape == (16, 16, 16)
    assert look.trouble.endswith(".")


def test_a_scan_that_has_gone_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        first_look(Source(str(tmp_path / "gone.npy")))
    said = answer(json.dumps({"question": "looked", "source": {"input": str(tmp_path / "gone.npy")}, "plan": {},
                              "force": False, "into": str(tmp_path)}))  # fmt: skip
    assert "gone.npy" in said["refusal"]


def test_a_folder_lists_its_files_and_its_scans(tmp_path: Path) -> None:
    np.save(tmp_path / "scan.npy", small_pattern())
    (tmp_path / "notes.txt").write_text("no pattern")
    for number in (1, 2):
        folder = tmp_path / "day" / f"sample_S000{number}"
        folder.mkdir(parents=True)
        for frame in range(5):
            (folder / f"frame_{frame}.tif").write_bytes(b"II*\0")
    (tmp_path / "runs").mkdir()
    np.save(tmp_path / "runs" / "mask.npy", small_pattern())
    files = [each.name for each in patterns_in(tmp_path, skip=tmp_path / "runs")]
    assert files[0] == "scan.npy"
    assert set(files[1:]) == {f"day/sample_S000{n}/frame_{i}.tif" for n in (1, 2) for i in range(5)}
    assert [each.name for each in scans_in(tmp_path, "34idc")] == ["day/sample_S0001", "day/sample_S0002"]
    assert scans_in(tmp_path, "id01") == []
    with pytest.raises(InputError, match="choose from"):
        scans_in(tmp_path, "nowhere")
    with pytest.raises(InputError):
        patterns_in(tmp_path / "gone")


def test_the_frames_of_a_scan_are_one_row_and_stacks_are_files_of_their_own(tmp_path: Path) -> None:
    frames, stacks = tmp_path / "Sample_S0054", tmp_path / "stacks"
    for folder, shape in ((frames, (8, 8)), (stacks, (5, 8, 8))):
        folder.mkdir()
        for number in range(6):
            tifffile.imwrite(folder / f"image_{number:05d}.tif", np.ones(shape, np.uint16), photometric="minisblack")
    np.save(frames / "mask.npy", np.ones((8, 8)))
    listed = {each.name: each.about for each in patterns_in(tmp_path)}
    assert listed.pop("Sample_S0054") == "6 frames of a scan: say whose it is"
    assert set(listed) == {"Sample_S0054/mask.npy", *(f"stacks/image_{number:05d}.tif" for number in range(6))}
    chosen = answer(json.dumps({"question": "looked", "source": {"input": str(frames)}, "plan": {}, "force": False,
                                "into": str(tmp_path)}))  # fmt: skip
    assert "say whose scan it is" in chosen["refusal"]


def test_every_parameter_of_the_plan_is_told_and_its_default_is_taken_back() -> None:
    told = plan_parameters()
    assert len({each.key for each in told}) == len(told) > 60
    assert {"preprocess.hot_contrast", "free_fraction", "refinement.poor"} <= {each.key for each in told}
    assert all(each.meaning for each in told), [each.key for each in told if not each.meaning]
    for each in told:
        if each.value != AS_BELOW:
            assert plan_of({each.key: each.value}) == Plan(), each.key


def test_a_changed_parameter_reaches_the_file_and_a_wrong_one_is_refused_at_its_key(tmp_path: Path) -> None:
    changed = {
        "preprocess.hot_contrast": "9.5",
        "even_density": "null",
        "confidence.number": "0",
        "confidence.average": "false",
    }
    (tmp_path / "plan.yaml").write_text(plan_file(changed))
    plan = load_plan(tmp_path / "plan.yaml")
    assert (plan.preprocess.hot_contrast, plan.even_density, plan.confidence.number) == (9.5, None, 0)
    wrong = refusals({"preprocess.hot_contrast": "0.5", "preprocess.alien_margin": "2"})
    assert list(wrong) == ["preprocess.hot_contrast"]
    assert "above 1" in wrong["preprocess.hot_contrast"]
    assert refusals({"preprocess.no_such": "1"})
    assert refusals({"preprocess.hot_contrast": "["})


def test_a_mask_drawn_on_the_frames_of_a_beamline_masks_these_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(2).poisson(3.0, SHAPE).astype(np.uint16)
    frames[4, 8, 6] = 4000
    beamtime = Beamtime(tmp_path, frames).write()
    source = Source(str(beamtime.folder), "34idc", beamtime.spec)
    before = first_look(source)
    assert before.frames.shape == SHAPE
    hand = np.zeros(SHAPE, bool)
    hand[2:4, 3:6, 1:3] = True
    np.save(tmp_path / "mask.npy", (before.why != GIVEN) & ~hand)
    after = first_look(replace(source, mask=tmp_path / "mask.npy", mask_marks="measured"))
    assert ((after.why == GIVEN) == ((before.why == GIVEN) | hand)).all()


def test_q_counts_from_the_peak_in_the_steps_of_the_geometry(tmp_path: Path) -> None:
    counts = small_pattern(alien=False)
    np.save(tmp_path / "scan.npy", counts)
    steps = [[0.0, 0.03, 0.04], [0.0, 0.0, -0.02], [0.01, 0.0, 0.0]]
    (tmp_path / "g.yaml").write_text(f"reciprocal_steps_per_nm: {steps}\nq_per_nm: [20.0, 5.0, -6.0]\n")
    look = first_look(Source(str(tmp_path / "scan.npy"), instrument=Instrument(geometry=tmp_path / "g.yaml")))
    assert look.q_steps == pytest.approx((0.05, 0.02, 0.01))
    assert look.q_peak == pytest.approx(np.unravel_index(counts.argmax(), counts.shape), abs=1)
    assert first_look(Source(str(tmp_path / "scan.npy"))).q_steps is None
