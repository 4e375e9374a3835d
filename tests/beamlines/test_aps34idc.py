"""Scans of APS 34-ID-C: what is read from a folder of frames and a SPEC file, and what is refused."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from real_scan import scan_54
from scan_34idc import SHAPE, Beamtime

from autophasenn.beamlines import Setup, expected_frames, read_scan
from autophasenn.errors import AutoPhaseNNError, GeometryError, InputError
from autophasenn.physics.geometry import ScanGeometry, d_spacing, direct_voxel_vectors
from autophasenn.pipeline.geometry_words import direct_beam_warnings, geometry_facts


@pytest.fixture
def beamtime(tmp_path: Path) -> Beamtime:
    generator = np.random.default_rng(5)
    return Beamtime(tmp_path, generator.poisson(3, SHAPE).astype(np.int32)).write()


def test_frames_are_stacked_as_they_are_stored(beamtime: Beamtime) -> None:
    scan = beamtime.read()
    assert scan.frames.dtype == np.int32
    np.testing.assert_array_equal(scan.frames, beamtime.frames)
    assert scan.mask is None
    assert scan.dark is None


def test_frames_are_ordered_by_number_not_by_name(beamtime: Beamtime) -> None:
    for index in range(SHAPE[0]):
        beamtime.frame(index).rename(beamtime.folder / f"frame_{index + 5}.tif")  # frame_10 sorts before frame_5
    np.testing.assert_array_equal(beamtime.read().frames, beamtime.frames)


def test_a_scan_is_expected_to_have_as_many_frames_as_were_commanded_once_all_are_recorded(beamtime: Beamtime) -> None:
    assert expected_frames("34idc", beamtime.folder, spec=beamtime.spec) == 8
    beamtime.positions = beamtime.positions[:5]  # the scan still runs, or was stopped
    beamtime.write()
    assert expected_frames("34idc", beamtime.folder, spec=beamtime.spec) is None
    assert expected_frames("34idc", beamtime.folder, spec=beamtime.spec, scan=7) is None
    assert expected_frames("34idc", beamtime.folder, spec=beamtime.root / "none.spec") is None


def test_geometry_comes_from_the_motors(beamtime: Beamtime) -> None:
    geometry = beamtime.read().geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.energy_ev == pytest.approx(9000)
    assert geometry.detector.distance_m == pytest.approx(0.5)
    assert geometry.detector.pixel_size_m == pytest.approx((55e-6, 55e-6))
    assert (geometry.motors["Delta"], geometry.motors["Gamma"]) == (32.174, 12.6346)
    assert geometry.scanned == ("Theta",)
    assert geometry.step["Theta"] == pytest.approx(0.005)


def test_the_direct_beam_is_assumed_in_the_middle_of_the_frames_and_said_so(beamtime: Beamtime) -> None:
    scan = beamtime.read()
    geometry = scan.geometry
    assert isinstance(geometry, ScanGeometry)
    # The frames have 16 x 12 pixels and begin at row 64 and column 32 of the detector.
    assert (geometry.direct_beam, geometry.is_assumed) == ((72.0, 38.0), True)
    assert geometry.detector.first_pixel == (64.0, 32.0)
    (warning,) = direct_beam_warnings(geometry, (8.0, 6.0), 4.0)
    assert "middle of the frames, row 72, column 38, is assumed" in warning
    assert "in the middle of the whole detector, row 258.5, column 258, d would be" in warning  # the gap opened


def test_the_d_of_an_assumed_direct_beam_is_told_where_the_peak_is(beamtime: Beamtime) -> None:
    pixel, frame = (13.0, 2.0), 5.0
    geometry = beamtime.read().geometry
    (warning,) = direct_beam_warnings(geometry, pixel, frame)
    told = [float(number) for number in re.findall(r"(\d\.\d+) nm", warning)]
    given = beamtime.read(setup=Setup(direct_beam=(258.5, 258.0))).geometry
    assert direct_beam_warnings(given, pixel, frame) == ()
    expected = [1e9 * d_spacing(each.scattering_vector(pixel, frame)) for each in (geometry, given)]
    np.testing.assert_allclose(told, expected, atol=5.1e-6)
    middle = 1e9 * d_spacing(given.scattering_vector((8.0, 6.0), frame))
    assert abs(middle - expected[1]) > 1e-4  # the place matters


def test_the_direct_beam_that_is_given_is_where_q_vanishes(
    beamtime: Beamtime,
) -> None:
    scan = beamtime.read(setup=Setup(direct_beam=(70.0, 40.0), motors={"Delta": 30.0, "Gamma": 0.0}))
    geometry = scan.geometry
    assert isinstance(geometry, ScanGeometry)
    assert not geometry.is_assumed
    assert scan.warnings == ()
    k = 2 * np.pi * 9000 / 1.239841984332e-06
    turned = geometry.scattering_vector((6.0, 8.0)).numpy()  # the arm points at this pixel, 30 degrees outboard
    np.testing.assert_allclose(turned, k * np.array([0.5, 0, np.sqrt(0.75) - 1]), rtol=1e-9, atol=1e-3)


def test_distance_and_energy_that_are_given_take_the_place_of_recorded_ones(beamtime: Beamtime) -> None:
    geometry = beamtime.read(setup=Setup(distance_m=0.75, energy_ev=8500.0, pixel_m=(50e-6, 60e-6))).geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.energy_ev == 8500
    assert geometry.detector.distance_m == pytest.approx(0.75)
    assert geometry.detector.pixel_size_m == pytest.approx((50e-6, 60e-6))


def test_a_region_behind_the_gap_begins_behind_the_opened_gap(beamtime: Beamtime) -> None:
    beamtime.region = "#UIMR5  300 12 246 16 1"
    geometry = beamtime.write().read().geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.detector.first_pixel == (246.0, 304.0)


@pytest.mark.parametrize(
    ("command", "positions", "step"),
    [
        ("lup  th -0.0175 0.0175  7 0.25", 0.22 + np.linspace(-0.0175, 0.0175, 8), 0.005),
        ("dscan  th 0.0175 -0.0175  7 0.25", 0.22 + np.linspace(0.0175, -0.0175, 8), -0.005),
    ],
)
def test_relative_scans_have_the_same_step(
    beamtime: Beamtime, command: str, positions: np.ndarray, step: float
) -> None:
    beamtime.command, beamtime.positions = command, positions
    geometry = beamtime.write().read().geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.step["Theta"] == pytest.approx(step)


@pytest.mark.parametrize(
    ("command", "label", "scanned", "start"),
    [
        ("ascan  chi 89.98 90.015  7 0.25", "Chi", "Chi", 89.98),
        ("ascan  phi -5.02 -4.985  7 0.25", "Phi", "Phi", -5.02),
        ("ascan  en 8.98 9.015  7 0.25", "Energy", "energy", 8.98),
    ],
)
def test_chi_phi_and_energy_may_be_scanned(
    beamtime: Beamtime, command: str, label: str, scanned: str, start: float
) -> None:
    beamtime.command, beamtime.positions = command, start + 0.005 * np.arange(8)
    beamtime.write()
    text = beamtime.spec.read_text().replace("#O0 Delta  Theta  Gamma", "#O0 Delta  Theta  Gamma  Chi  Phi")
    text = text.replace("#P0 32.174 0.22 12.6346", "#P0 32.174 0.22 12.6346 90 -5").replace("#L Theta", f"#L {label}")
    beamtime.spec.write_text(text)
    geometry = beamtime.read().geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.scanned == (scanned,)
    assert geometry.step[scanned] == pytest.approx(5.0 if scanned == "energy" else 0.005)
    # chi = 90 stands at zero: then phi turns about y, as theta does, and chi about -z, tilted by theta.
    steps = geometry.reciprocal_steps((8.0, 6.0))
    q = geometry.scattering_vector((8.0, 6.0)).numpy()
    theta = np.radians(0.22)
    axis = {"Chi": [-np.sin(theta), 0, -np.cos(theta)], "Phi": [0, 1, 0]}.get(scanned)
    expected = q * 5 / 9000 if axis is None else -np.radians(0.005) * np.cross(axis, q)
    np.testing.assert_allclose(steps[0].numpy(), expected, rtol=3e-3, atol=1e-3 * np.linalg.norm(expected))


def test_scan_number_may_be_given_instead_of_named(beamtime: Beamtime) -> None:
    other = beamtime.folder.rename(beamtime.root / "aligned")
    assert read_scan("34idc", other, spec=beamtime.spec, scan=54).source["scan"] == 54


def test_source_says_where_the_scan_came_from(beamtime: Beamtime) -> None:
    listing = ""
    for index in range(SHAPE[0]):
        path = beamtime.frame(index)
        listing += f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
    source = beamtime.read().source
    assert source["sha256"] == hashlib.sha256(listing.encode()).hexdigest()
    assert source["beamline"] == "34idc"
    assert source["command"] == "ascan th -0.02 0.015 7 0.25"
    assert source["path"] == str(beamtime.folder)


def test_detector_images_are_cut_to_the_region_of_the_frames(beamtime: Beamtime) -> None:
    chip = np.arange(512 * 512, dtype=np.float32).reshape(512, 512)
    tifffile.imwrite(beamtime.root / "white.tif", chip)
    scan = beamtime.read(white=beamtime.root / "white.tif")
    # UIMR5 gives X (columns) first.
    np.testing.assert_array_equal(scan.white, chip[64:80, 32:44])


def test_detector_images_of_the_frames_region_are_taken_whole(beamtime: Beamtime) -> None:
    dark = np.arange(16 * 12, dtype=np.int32).reshape(16, 12)
    tifffile.imwrite(beamtime.root / "dark.tif", dark)
    np.testing.assert_array_equal(beamtime.read(dark=beamtime.root / "dark.tif").dark, dark)


def test_gap_between_chips_is_opened_and_unmeasured(beamtime: Beamtime) -> None:
    beamtime.region = "#UIMR5  252 12 246 16 1"  # columns 252-263 and rows 246-261 cross pixel 256
    tifffile.imwrite(beamtime.root / "white.tif", np.ones((512, 512), np.float32))
    scan = beamtime.write().read(white=beamtime.root / "white.tif")
    assert scan.frames.shape == (8, 16 + 5, 12 + 4)
    assert scan.mask is not None
    assert not scan.mask[10:15].any()
    assert not scan.mask[:, 4:8].any()
    assert scan.mask.sum() == 16 * 12
    np.testing.assert_array_equal(scan.frames[:, scan.mask], beamtime.frames.reshape(8, -1))
    assert scan.white is not None
    np.testing.assert_array_equal(scan.white, scan.mask)


def test_last_of_several_scans_with_one_number_is_read(beamtime: Beamtime) -> None:
    text = beamtime.spec.read_text()
    repeated = text[text.index("#S 54") :].replace("#P1 500 9", "#P1 750 9")
    beamtime.spec.write_text(text + "\n" + repeated)
    scan = beamtime.read()
    geometry = scan.geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.detector.distance_m == pytest.approx(0.75)
    assert any("2 scans with the number 54" in sentence for sentence in scan.warnings)


def refuse(beamtime: Beamtime, *words: str, error: type[AutoPhaseNNError] = InputError, **options: object) -> None:
    with pytest.raises(error) as caught:
        beamtime.read(**options)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert message.endswith(".")
    assert "\n" not in message


def test_unknown_beamline_is_refused(beamtime: Beamtime) -> None:
    with pytest.raises(InputError, match=r"'P99' is not known; choose from .*34idc"):
        read_scan("P99", beamtime.folder, spec=beamtime.spec)


def test_missing_folder_is_refused(beamtime: Beamtime) -> None:
    beamtime.name = "Made20-1a_S0099"
    refuse(beamtime, "There is no folder", "S0099")


def test_folder_without_frames_is_refused(beamtime: Beamtime) -> None:
    for path in beamtime.folder.iterdir():
        path.unlink()
    refuse(beamtime, "holds no frame")


def test_folder_without_a_scan_number_is_refused(beamtime: Beamtime) -> None:
    beamtime.folder.rename(beamtime.root / "aligned")
    beamtime.name = "aligned"
    refuse(beamtime, "does not end in a scan number", "--scan")


@pytest.mark.parametrize("keep", [0, 4, 100, 700, -1])
def test_truncated_frame_is_refused_by_name(beamtime: Beamtime, keep: int) -> None:
    content = beamtime.frame(3).read_bytes()
    beamtime.frame(3).write_bytes(content[:keep])
    refuse(beamtime, "S0054_00003.tif", "truncated")


def test_truncated_frame_of_areadetector_is_refused_by_name(shared_data: Path, beamtime: Beamtime) -> None:
    """EPICS writes the directory behind the image: tifffile reads the rest of such a file as no page at all."""
    frame = shared_data / "scan54_34idc" / "Staff20-1a_S0054" / "Staff20-1a_S0054_00100.tif"
    beamtime.frame(3).write_bytes(frame.read_bytes()[:131072])
    refuse(beamtime, "S0054_00003.tif", "truncated")


def test_frame_of_another_size_is_refused_by_name(beamtime: Beamtime) -> None:
    tifffile.imwrite(beamtime.frame(5), np.ones((16, 13), np.int32))
    refuse(beamtime, "S0054_00005.tif", "16 x 13", "16 x 12")


def test_frame_with_several_images_is_refused(beamtime: Beamtime) -> None:
    tifffile.imwrite(beamtime.frame(0), np.ones((2, 16, 12), np.int32))
    refuse(beamtime, "S0054_00000.tif", "one 2-D image")


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_gap_markers_reach_the_corrections(beamtime: Beamtime, value: float) -> None:
    beamtime.frames = beamtime.frames.astype(np.float32)
    beamtime.frames[2, 3, 4] = value
    np.testing.assert_array_equal(beamtime.write().read().frames, beamtime.frames)


def test_frame_that_cannot_be_read_is_refused_by_name(beamtime: Beamtime) -> None:
    beamtime.frame(3).unlink()
    beamtime.frame(3).mkdir()
    refuse(beamtime, "S0054_00003.tif", "cannot be read", "folder")
    beamtime.frame(3).rmdir()
    beamtime.frame(3).symlink_to("none.tif")
    refuse(beamtime, "S0054_00003.tif", "There is no frame")


def test_frame_of_an_unknown_compression_is_refused_as_such(beamtime: Beamtime) -> None:
    with tifffile.TiffFile(beamtime.frame(3), mode="r+b") as tiff:
        tiff.pages.first.tags["Compression"].overwrite(tifffile.COMPRESSION.LZW)
    refuse(beamtime, "S0054_00003.tif", "is compressed", "LZW", "imagecodecs")


def test_fewer_frames_than_points_are_refused_naming_the_first_missing(beamtime: Beamtime) -> None:
    beamtime.frame(4).unlink()
    refuse(beamtime, "7 frames", "8 points", "number 4 is the first")


def test_the_frame_that_a_stopped_scan_leaves_behind_is_left_out(
    beamtime: Beamtime,
) -> None:
    beamtime.positions = beamtime.positions[:7]
    scan = beamtime.write().read()
    np.testing.assert_array_equal(scan.frames, beamtime.frames[:7])
    assert any("8 frames" in sentence and "7 points" in sentence for sentence in scan.warnings)


def test_many_more_frames_than_points_are_refused(beamtime: Beamtime) -> None:
    beamtime.positions = beamtime.positions[:5]
    refuse(beamtime.write(), "8 frames", "5 points")


def test_two_frames_of_one_number_are_refused_by_number(beamtime: Beamtime) -> None:
    beamtime.frame(3).rename(beamtime.folder / "again_00004.tif")
    refuse(beamtime, "two frames with the number 4")


def test_missing_spec_file_is_refused(beamtime: Beamtime) -> None:
    refuse(beamtime, "There is no SPEC file", spec=beamtime.root / "none.spec")


@pytest.mark.parametrize("content", [b"", b"hello\nworld\n", b"#F example.spec\n#E 1\n", bytes(range(256)) * 20])
def test_file_that_is_not_spec_is_refused(beamtime: Beamtime, content: bytes) -> None:
    beamtime.spec.write_bytes(content)
    refuse(beamtime, "is no SPEC file")


def test_scan_that_the_spec_file_lacks_is_refused_with_those_it_has(beamtime: Beamtime) -> None:
    refuse(beamtime, "has no scan 7", "54-55", scan=7)


def test_scan_of_another_motor_is_refused(beamtime: Beamtime) -> None:
    refuse(beamtime, "labx", "not a rocking scan", error=GeometryError, scan=55)


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("timescan 1 0", "not a rocking scan"),
        ("ascan  th 0 fast  7 0.25", "unreadable command"),
        ("ascan  th 0.1 0.1  7 0.25", "does not move"),
        ("ascan  th 0 0.7  7 0.25", "records steps of 0.005"),
    ],
)
def test_command_that_is_no_rocking_scan_is_refused(beamtime: Beamtime, command: str, word: str) -> None:
    beamtime.command = command
    refuse(beamtime.write(), word, error=GeometryError)


def test_missing_motor_is_refused(beamtime: Beamtime) -> None:
    beamtime.spec.write_text(beamtime.spec.read_text().replace("Energy", "Mono"))
    refuse(beamtime, "no motor 'Energy'", error=GeometryError)


def test_missing_motor_positions_are_refused(beamtime: Beamtime) -> None:
    beamtime.motors = "#P0 32.174 0.22 12.6346"
    refuse(beamtime.write(), "Energy", "not certain", "no line #P1", "--energy", error=GeometryError)


@pytest.mark.parametrize(
    ("names", "values"),
    [("#O1 camdist  Energy", "#P1 12 500 9"), ("#O1 other  camdist  Energy", "#P1 500 9")],
)
def test_motors_are_not_guessed_from_a_line_with_more_or_fewer_positions_than_names(
    beamtime: Beamtime, names: str, values: str
) -> None:
    beamtime.motors = f"#P0 32.174 0.22 12.6346\n{values}"
    beamtime.write()
    beamtime.spec.write_text(beamtime.spec.read_text().replace("#O1 camdist  Energy", names))
    refuse(beamtime, "Energy", "not certain", "#P1 has", "--energy", error=GeometryError)
    scan = beamtime.read(setup=Setup(energy_ev=9000.0, distance_m=0.5))
    assert isinstance(scan.geometry, ScanGeometry)
    assert scan.geometry.motors["Gamma"] == 12.6346


def test_a_motor_more_than_positions_at_the_end_leaves_the_others_alone(
    beamtime: Beamtime,
) -> None:
    beamtime.spec.write_text(beamtime.spec.read_text().replace("#O1 camdist  Energy", "#O1 camdist  Energy\n#O2 new"))
    scan = beamtime.read()
    assert scan.geometry is not None
    assert any("motors from there on (new, ...) are not used, 5 before it are" in s for s in scan.warnings)


def test_unknown_detector_is_refused(beamtime: Beamtime) -> None:
    beamtime.detector = "34idcXYZ:"
    refuse(beamtime.write(), "'34idcXYZ'", "34idcTIM2", error=GeometryError)


def test_a_spec_file_cut_before_its_points_says_that_positions_are_commanded_ones(beamtime: Beamtime) -> None:
    beamtime.positions = np.zeros(0)
    scan = beamtime.write().read()
    assert isinstance(scan.geometry, ScanGeometry)
    assert scan.geometry.step["Theta"] == pytest.approx(0.005)
    assert any("records 0 points" in w and "not measured ones" in w for w in scan.warnings)


def test_detector_that_is_not_recorded_is_assumed_with_a_warning(beamtime: Beamtime) -> None:
    recorded = beamtime.read()
    text = beamtime.spec.read_text()
    beamtime.spec.write_text(text.replace("#UIMDET 34idcTIM2:\n", ""))
    assumed = beamtime.read()
    assert assumed.geometry == recorded.geometry
    (warning,) = set(assumed.warnings) - set(recorded.warnings)
    assert "no detector (#UIMDET); 34idcTIM2 is assumed, with pixels of 55 um" in warning


def test_detector_image_without_the_region_is_refused(beamtime: Beamtime) -> None:
    tifffile.imwrite(beamtime.root / "dark.tif", np.zeros((70, 512), np.int32))
    refuse(beamtime, "dark field", "70 x 512", "rows 64-79", dark=beamtime.root / "dark.tif")


def test_detector_image_is_refused_when_the_region_is_unknown(beamtime: Beamtime) -> None:
    beamtime.region = "#UIMR4 0 1 0 1"
    tifffile.imwrite(beamtime.root / "dark.tif", np.zeros((512, 512), np.int32))
    refuse(beamtime.write(), "does not say which region", dark=beamtime.root / "dark.tif")


def test_missing_detector_image_is_refused(beamtime: Beamtime) -> None:
    refuse(beamtime, "There is no white field", white=beamtime.root / "none.tif")


def test_real_scan_has_the_published_geometry(shared_data: Path) -> None:
    """Numbers on which two independent codes agree to 5e-5, the arm pointing at the middle of the frames."""
    scan = scan_54(shared_data)
    centre = (128.0, 128.0)
    (warning,) = direct_beam_warnings(scan.geometry, centre, float(len(scan.frames) // 2))
    assert "it is 0.23348 nm" in warning
    assert "d would be 0.23676 nm" in warning
    assert scan.frames.shape == (201, 256, 256)
    assert scan.frames.dtype == np.int32
    assert np.unravel_index(scan.frames.argmax(), scan.frames.shape) == (99, 126, 127)
    assert scan.geometry is not None
    assert 1e-9 * float(scan.geometry.scattering_vector(centre).norm()) == pytest.approx(26.911, rel=1e-4)
    voxels = direct_voxel_vectors(scan.geometry.reciprocal_steps(centre), scan.frames.shape).norm(dim=1)
    torch.testing.assert_close(1e9 * voxels, torch.tensor([15.115, 5.013, 5.041]).double(), rtol=1e-4, atol=0)
    assert 1e10 * d_spacing(scan.geometry.scattering_vector((126.0, 127.0))) == pytest.approx(2.335, abs=5e-4)


def test_real_scan_with_the_arm_at_the_middle_of_the_whole_detector(shared_data: Path) -> None:
    root = shared_data / "scan54_34idc"
    scan = read_scan(
        "34idc", root / "Staff20-1a_S0054", spec=root / "example.spec", setup=Setup(direct_beam=(258.5, 258.0))
    )
    geometry = scan.geometry
    assert scan.warnings == ()
    assert isinstance(geometry, ScanGeometry)
    assert 1e10 * d_spacing(geometry.scattering_vector((126.0, 127.0))) == pytest.approx(2.368, abs=5e-4)
    (warning,) = direct_beam_warnings(scan_54(shared_data).geometry, (126.0, 127.0), 99.0)
    assert f"d would be {geometry_facts(geometry.describe((126.0, 127.0), 99.0))['d']})" in warning


def test_dead_pixels_of_the_real_white_field_are_dead_in_the_real_frames(shared_data: Path) -> None:
    """Pins the orientation: with rows and columns exchanged none of them would be."""
    scan = scan_54(shared_data)
    assert scan.white is not None
    dead = scan.white == 0
    assert dead.any()
    assert not scan.frames[:, dead].any()


@pytest.mark.parametrize(("number", "first"), [(71, (0.0, 0.0)), (105, (150.0, 150.0))])
def test_two_regions_of_one_detector_give_one_d_with_one_direct_beam(
    number: int, first: tuple[float, float], shared_data: Path, tmp_path: Path
) -> None:
    """One crystal, two regions, one across the gap: 2.334 and 2.372 A as if the arm followed them."""
    cases = shared_data.parent / "cases"
    name = f"Staff20-1a_S{number:04d}"
    if not (cases / f"frames_{name}.npz").is_file():
        pytest.skip("the cases (../shared/cases) are not beside this checkout")
    (tmp_path / name).mkdir()
    for index, frame in enumerate(np.load(cases / f"frames_{name}.npz")["frames"]):
        tifffile.imwrite(tmp_path / name / f"{name}_{index:05d}.tif", frame)
    spec = cases / "three_scans.spec"
    scan = read_scan("34idc", tmp_path / name, spec=spec, setup=Setup(direct_beam=(258.5, 258.0)))
    geometry = scan.geometry
    assert isinstance(geometry, ScanGeometry)
    assert geometry.detector.first_pixel == first
    _, row, column = np.unravel_index(scan.frames.argmax(), scan.frames.shape)
    # The lattice has 2.36727 A; the light of this strained crystal is brightest 4.0e-4 above its Q, as that of the same
    # crystal in `box.npz` is. One column of pixels is 1.7e-4.
    lattice = 2 * np.pi / 26.5419 * 10
    brightest = 1e10 * d_spacing(geometry.scattering_vector((float(row), float(column))))
    with np.load(cases / "box.npz") as box:
        peak, q = np.unravel_index(box["counts"].argmax(), box["counts"].shape), box["scattering_vector"]
        there = q + (np.array(peak) - np.array(box["counts"].shape) // 2) @ box["reciprocal_steps"]
    assert lattice / brightest == pytest.approx(np.linalg.norm(there) / np.linalg.norm(q), abs=0.9e-4)
    assert scan.warnings == ()
