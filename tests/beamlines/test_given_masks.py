"""A mask given beside a beamline's scan, of its frames or of the whole detector; and how full its pixels can be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from layouts import Aps34idc, Id01Bliss, Nanomax

from autophasenn.beamlines import read_scan
from autophasenn.beamlines.detectors import DETECTORS, known_detector
from autophasenn.errors import InputError
from autophasenn.pipeline.source import Source
from autophasenn.volumes import Scan

E = replace(Id01Bliss.experiment, shape=(6, 8), peak=(3, 4))
FRAMES = np.random.default_rng(0).poisson(3, (E.frames, 6, 8)).astype(np.uint32)


def read(root: Path, mask: np.ndarray, **said: object) -> Scan:
    written = Id01Bliss.write(root, FRAMES, E)
    np.save(root / "mask.npy", mask)
    return read_scan("id01", written.path, **written.arguments(**said), mask=root / "mask.npy")


@pytest.mark.parametrize("shape", [(6, 8), (E.frames, 6, 8)])
def test_a_mask_of_a_frame_or_of_all_frames_is_taken_with_a_beamline(shape: tuple[int, ...], tmp_path: Path) -> None:
    mask = np.ones(shape, bool)
    mask[..., 2, 3:5] = False
    scan = read(tmp_path, mask)
    assert scan.mask is not None
    np.testing.assert_array_equal(np.broadcast_to(scan.mask, FRAMES.shape), np.broadcast_to(mask, FRAMES.shape))
    assert not any("--mask" in sentence for sentence in scan.warnings)  # it is no longer asked for
    assert scan.source["mask_path"].endswith("mask.npy")


def test_a_mask_of_the_whole_detector_is_cut_where_the_frames_begin_and_its_gaps_stay_masked(tmp_path: Path) -> None:
    mask = np.ones((516, 516), bool)
    mask[253, 200] = False
    scan = read(tmp_path, mask, first_pixel=(252.0, 199.0))
    expected = np.ones((6, 8), bool)
    expected[1, 1] = False
    expected[3:] = False  # rows 255 to 260 of a maxipix lie between its chips
    np.testing.assert_array_equal(scan.mask, expected)


def test_a_mask_where_1_means_masked_is_turned_round_with_a_warning(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[2, 3] = 1
    scan = read(tmp_path, mask)
    assert scan.mask is not None
    np.testing.assert_array_equal(scan.mask, mask == 0)
    assert any("1 = masked" in sentence for sentence in scan.warnings)


def test_a_mask_of_another_shape_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"mask\.npy has 5 x 8 pixels; give one of 6 x 8 or 13 x 6 x 8") as caught:
        read(tmp_path, np.ones((5, 8), bool))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["stored detector", "stored region", "opened region"])
def test_a_mask_of_34idc_may_be_drawn_with_the_gap_closed_or_open(kind: str, tmp_path: Path) -> None:
    experiment = replace(Aps34idc.experiment, shape=(20, 24), peak=(10, 12), first=(250, 250))
    frames = np.random.default_rng(1).poisson(3, (experiment.frames, 20, 24)).astype(np.uint32)
    written = Aps34idc.write(tmp_path, frames, experiment)
    mask = np.ones((25, 28), np.uint8)  # with 5 rows and 4 columns of the gap
    mask[2, 20] = 0  # row 252, column 266 of the stored detector
    if kind == "stored region":
        mask = np.ones((20, 24), np.uint8)
        mask[2, 16] = 0
    if kind == "stored detector":
        mask = np.ones((512, 512), np.uint8)
        mask[252, 266] = 0
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    source = Source(str(written.path), "34idc", written.options["spec"], mask=tmp_path / "mask.tif")
    scan = source.read()
    expected = np.ones((25, 28), bool)
    expected[6:11] = expected[:, 6:10] = False
    expected[2, 20] = False
    np.testing.assert_array_equal(scan.mask, expected)
    assert scan.frames.shape == (experiment.frames, 25, 28)


def test_facts_of_a_detector_have_one_home_and_its_saturation_comes_with_the_scan(tmp_path: Path) -> None:
    timepix = known_detector("34idcTIM2")
    assert timepix is not None
    assert (timepix.stored_shape, timepix.shape) == ((512, 512), (517, 516))
    assert [timepix.opened(*pixel) for pixel in ((255, 255), (256, 256))] == [(255.0, 255.0), (261.0, 260.0)]
    names = [name.lower() for each in DETECTORS for name in (each.name, *each.aliases)]
    assert len(set(names)) == len(names)
    experiment = replace(Aps34idc.experiment, shape=(6, 8), peak=(3, 4))
    frames = np.zeros((experiment.frames, 6, 8), np.uint32)
    for layout, made, saturation in (
        (Aps34idc, experiment, 11810.0),
        (Nanomax, replace(Nanomax.experiment, shape=(6, 8)), 1e6),
    ):
        root = tmp_path / layout.name
        root.mkdir()
        written = layout.write(root, frames, made)
        assert read_scan(layout.name, written.path, **written.arguments()).saturation == saturation
