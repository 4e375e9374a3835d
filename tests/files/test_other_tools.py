"""Files as other programs leave them: masks of 0 and 255, frames last, links, units in CXI, places one a frame."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from autophasenn.beamlines import Setup
from autophasenn.beamlines.by_hand import placed, read_geometry_file
from autophasenn.errors import InputError
from autophasenn.files.readers import read_pattern_file

COUNTS = np.random.default_rng(3).poisson(20, (6, 8, 8)).astype(np.uint32)
DETECTOR = "entry_1/instrument_1/detector_1"


@pytest.mark.parametrize(("good", "bad"), [(255.0, 0.0), (1.0, np.nan), (1.0, 0.0)])
def test_a_mask_of_two_values_is_one_of_0_and_1(good: float, bad: float, tmp_path: Path) -> None:
    mask = np.full((8, 8), good, np.float32 if np.isnan(bad) else np.uint8)
    mask[2, 3:5] = bad
    np.savez_compressed(tmp_path / "a.npz", data=COUNTS.astype(np.int64), mask=mask)
    scan = read_pattern_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(scan.mask, mask == good)
    np.testing.assert_array_equal(scan.frames, COUNTS)


@pytest.mark.parametrize("values", [(0, 1, 7), (-1, 0), (2, 3)])
def test_a_mask_of_other_values_is_refused(values: tuple[int, ...], tmp_path: Path) -> None:
    mask = np.resize(np.array(values, np.int16), (8, 8))
    np.savez(tmp_path / "a.npz", data=COUNTS, mask=mask)
    with pytest.raises(InputError, match="holds values other than 0 and 1"):
        read_pattern_file(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(1, 6, 8, 8), (6, 1, 8, 8), (6, 8, 8, 1), (1, 1, 6, 8, 8)])
def test_axes_of_one_element_are_dropped_wherever_they_stand(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", COUNTS.reshape(shape))
    np.testing.assert_array_equal(read_pattern_file(tmp_path / "a.npy").frames, COUNTS)


def test_square_frames_that_may_be_stored_last_are_said(tmp_path: Path) -> None:
    np.save(tmp_path / "last.npy", COUNTS.transpose(1, 2, 0))
    np.save(tmp_path / "first.npy", COUNTS)
    (said,) = read_pattern_file(tmp_path / "last.npy").warnings
    assert "is 8 x 8 x 6 and is taken as frame, row, column" in said
    assert "--axes row,column,frame" in said
    turned = read_pattern_file(tmp_path / "last.npy", axes=("row", "column", "frame"))
    assert not turned.warnings
    np.testing.assert_array_equal(turned.frames, COUNTS)
    assert not read_pattern_file(tmp_path / "first.npy").warnings


def test_links_are_followed_from_the_file_that_a_symbolic_link_names(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir(), here.mkdir()
    layout = h5py.VirtualLayout(COUNTS.shape, COUNTS.dtype)
    for half in (0, 1):
        with h5py.File(there / f"part{half}.h5", "w") as file:
            file["d"] = COUNTS[3 * half : 3 * half + 3]
        layout[3 * half : 3 * half + 3] = h5py.VirtualSource(f"part{half}.h5", "d", (3, 8, 8))
    with h5py.File(there / "all.h5", "w") as file:
        file.create_virtual_dataset("entry/data", layout)
        file["link"] = h5py.ExternalLink("part1.h5", "/d")
    (here / "scan.h5").symlink_to(there / "all.h5")
    np.testing.assert_array_equal(read_pattern_file(f"{here / 'scan.h5'}:/entry/data").frames, COUNTS)
    np.testing.assert_array_equal(read_pattern_file(f"{here / 'scan.h5'}:/link").frames, COUNTS[3:])
    (there / "part1.h5").unlink()
    with pytest.raises(InputError, match=r"missing: part1\.h5"):
        read_pattern_file(f"{here / 'scan.h5'}:/entry/data")


def cxi(path: Path, units: bool) -> Path:
    """Energy, distance and pixels in SI units, as CXI says, or in others that are named."""
    values = {
        "entry_1/instrument_1/source_1/energy": (9.0, "keV") if units else (9000 * 1.602176634e-19, ""),
        f"{DETECTOR}/distance": (800.0, "mm") if units else (0.8, ""),
        f"{DETECTOR}/x_pixel_size": (75.0, "um") if units else (75e-6, ""),
        f"{DETECTOR}/y_pixel_size": (55.0, "um") if units else (55e-6, "m"),
    }
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 140
        file[f"{DETECTOR}/data"] = COUNTS
        for name, (value, unit) in values.items():
            file[name] = value
            if unit:
                file[name].attrs["units"] = unit
    return path


@pytest.mark.parametrize("units", [False, True])
def test_units_beside_the_numbers_of_a_cxi_file_count(units: bool, tmp_path: Path) -> None:
    recorded = read_pattern_file(cxi(tmp_path / "a.cxi", units)).source["recorded"]
    assert recorded["energy_ev"] == pytest.approx(9000)
    assert recorded["distance_m"] == pytest.approx(0.8)
    assert recorded["pixel_m"] == pytest.approx((55e-6, 75e-6))


def test_of_two_detectors_in_a_cxi_file_one_is_asked_for_and_comes_with_its_mask(tmp_path: Path) -> None:
    path = cxi(tmp_path / "a.cxi", units=False)
    bad = np.zeros((8, 8), np.int32)
    bad[1] = 4
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/detector_2/data"] = COUNTS + 1
        file["entry_1/instrument_1/detector_2/mask"] = bad
    with pytest.raises(InputError, match=r"frames of 2 detectors; say which, as in .*/detector_1/data or .*detector_2"):
        read_pattern_file(path)
    scan = read_pattern_file(f"{path}:/entry_1/instrument_1/detector_2/data")
    np.testing.assert_array_equal(scan.frames, COUNTS + 1)
    np.testing.assert_array_equal(scan.mask, bad == 0)


def test_a_geometry_file_gives_the_places_of_a_motor_one_a_frame(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", COUNTS)
    scan = read_pattern_file(tmp_path / "a.npy")
    places = [17.9, 17.91, 17.925, 17.93, 17.945, 17.95]

    def geometry(eta: object, pixel: str) -> object:
        text = f"beamline: id01\nmotors: {{mu: 0, eta: {eta}, phi: 0, nu: 4, delta: 36}}\nenergy_ev: 9000\n"
        (tmp_path / "g.yaml").write_text(f"{text}distance_m: 0.8\npixel_m: {pixel}\ndirect_beam: [3, 4]\n")
        return placed(scan, read_geometry_file(tmp_path / "g.yaml"), Setup()).geometry

    found = geometry(places, "55.0e-6")
    assert found.motors["eta"] == tuple(places)  # type: ignore[attr-defined]
    assert found.scanned == ("eta",)  # type: ignore[attr-defined]
    even = geometry('"17.9:0.01"', "[55.0e-6, 55.0e-6]")
    np.testing.assert_allclose(found.q(1.0, 2.0, 3.0, 0.0), even.q(1.0, 2.0, 3.0, 0.0), rtol=1e-12)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="6 frames and 3 positions of eta"):
        geometry(places[:3], "55.0e-6")
