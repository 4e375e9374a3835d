"""VTK files: a voxel is where the geometry says, and carries its own values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pyvista
from full_disk import files_limited_to

from autophasenn.errors import OutputError
from autophasenn.files.vtk import write_detector_frame, write_image
from autophasenn.image import CrystalImage

SHAPE = (9, 12, 7)
VOXEL = (4e-9, 5e-9, 6e-9)
MARKED = (3, 8, 2)
ARRAYS = {"amplitude", "phase", "displacement_nm", "strain", "support", "phase_spread", "amplitude_spread"}


@pytest.fixture
def image() -> CrystalImage:
    generator = np.random.default_rng(2)
    support = np.zeros(SHAPE, bool)
    support[2:6, 3:10, 1:5] = True

    def inside(scale: float) -> np.ndarray:
        return np.where(support, scale * generator.normal(size=SHAPE), np.nan).astype(np.float32)

    amplitude = np.where(support, 0.5, 0).astype(np.float32)
    amplitude[MARKED] = 1
    q = np.array([1e10, 2e10, 0])
    spreads = np.abs(inside(0.1)), np.abs(inside(0.01))
    return CrystalImage(amplitude, inside(1), support, inside(1e-10), inside(1e-3), VOXEL, q, *spreads)


def test_marked_voxel_is_at_its_place_in_nanometres(tmp_path: Path, image: CrystalImage) -> None:
    write_image(tmp_path / "a.vti", image)
    grid = pyvista.read(tmp_path / "a.vti")
    assert grid.dimensions == SHAPE
    point = grid.points[np.argmax(grid["amplitude"])]
    expected = [(i - n // 2) * 1e9 * size for i, n, size in zip(MARKED, SHAPE, VOXEL, strict=True)]
    np.testing.assert_allclose(point, expected, rtol=1e-6)


def test_every_array_keeps_its_values_inside(tmp_path: Path, image: CrystalImage) -> None:
    write_image(tmp_path / "a.vti", image)
    grid = pyvista.read(tmp_path / "a.vti")
    assert set(grid.point_data.keys()) == ARRAYS
    inside = image.support
    np.testing.assert_array_equal(grid["support"].reshape(SHAPE, order="F"), inside)
    for name, values, unit in (
        ("phase", image.phase, 1.0),
        ("displacement_nm", image.displacement, 1e9),
        ("strain", image.strain, 1.0),
        ("phase_spread", image.phase_spread, 1.0),
        ("amplitude_spread", image.amplitude_spread, 1.0),
    ):
        assert values is not None
        read = grid[name].reshape(SHAPE, order="F")
        np.testing.assert_allclose(read[inside], unit * values[inside], rtol=1e-5)


def test_surface_contour_is_coloured_throughout(tmp_path: Path, image: CrystalImage) -> None:
    write_image(tmp_path / "a.vti", image)
    surface = pyvista.read(tmp_path / "a.vti").contour([0.3], scalars="amplitude")
    assert surface.n_points > 50
    assert np.isfinite(surface["phase"]).all()


def test_far_from_the_crystal_there_is_no_phase(tmp_path: Path, image: CrystalImage) -> None:
    write_image(tmp_path / "a.vti", image)
    assert np.isnan(pyvista.read(tmp_path / "a.vti")["phase"].reshape(SHAPE, order="F")[8, 0, 6])


def test_image_without_geometry_has_voxel_units(tmp_path: Path, image: CrystalImage) -> None:
    nothing = ("displacement", "strain", "voxel_size", "scattering_vector", "phase_spread", "amplitude_spread")
    plain = replace(image, **dict.fromkeys(nothing))
    write_image(tmp_path / "a.vti", plain)
    grid = pyvista.read(tmp_path / "a.vti")
    assert grid.spacing == (1, 1, 1)
    assert set(grid.point_data.keys()) == {"amplitude", "phase", "support"}
    assert grid.field_data["length_unit"][0] == "voxels"


def test_empty_support_is_written(tmp_path: Path, image: CrystalImage) -> None:
    write_image(tmp_path / "a.vti", replace(image, support=np.zeros(SHAPE, bool)))
    assert np.isnan(pyvista.read(tmp_path / "a.vti")["phase"]).all()


VECTORS = np.array([[1e-9, 14e-9, 0], [0.0, -5e-9, 1e-9], [5e-9, 0, -2e-9]])


def test_detector_voxel_is_at_the_sum_of_its_voxel_vectors(tmp_path: Path) -> None:
    rho = np.zeros(SHAPE, np.complex64)
    rho[2:6, 3:10, 1:5] = 0.5
    rho[MARKED] = -1j
    write_detector_frame(tmp_path / "a.vts", rho, VECTORS)
    grid = pyvista.read(tmp_path / "a.vts")
    assert grid.dimensions == (6, 9, 6)  # the box of the object and one voxel around it
    marked = int(np.argmax(grid["amplitude"]))
    offset = np.array([i - n // 2 for i, n in zip(MARKED, SHAPE, strict=True)])
    np.testing.assert_allclose(grid.points[marked], 1e9 * (offset @ VECTORS), rtol=1e-5)
    assert grid["phase"][marked] == pytest.approx(-np.pi / 2)
    assert (grid["real"][marked], grid["imaginary"][marked]) == pytest.approx((0, -1))


def test_the_spread_lies_on_the_voxels_of_its_object(tmp_path: Path) -> None:
    rho = np.zeros((6, 8, 10), np.complex64)
    rho[2:4, 3:6, 4:7] = np.random.default_rng(1).random((2, 3, 3)) + 0.1
    write_detector_frame(tmp_path / "o.vts", rho, None, {"phase_spread": 2 * np.abs(rho), "amplitude_spread": None})
    grid = pyvista.read(tmp_path / "o.vts")
    np.testing.assert_array_equal(grid["phase_spread"], 2 * grid["amplitude"])
    assert "amplitude_spread" not in grid.array_names


def test_object_at_the_edge_of_the_volume_is_written_whole(tmp_path: Path) -> None:
    write_detector_frame(tmp_path / "a.vts", np.ones(SHAPE, np.complex64), None)
    grid = pyvista.read(tmp_path / "a.vts")
    assert grid.dimensions == SHAPE
    np.testing.assert_allclose(grid.points[0], [-4, -6, -3])


def test_empty_object_is_written(tmp_path: Path) -> None:
    write_detector_frame(tmp_path / "a.vts", np.zeros(SHAPE, np.complex64), VECTORS)
    assert pyvista.read(tmp_path / "a.vts").dimensions == SHAPE


def test_files_state_the_sign_convention(tmp_path: Path, image: CrystalImage) -> None:
    write_image(tmp_path / "a.vti", image)
    write_detector_frame(tmp_path / "a.vts", np.ones(SHAPE, np.complex64), VECTORS)
    for name in ("a.vti", "a.vts"):
        assert "phi = -G.u" in pyvista.read(tmp_path / name).field_data["sign_convention"][0]


def test_full_disk_keeps_the_former_file(
    tmp_path: Path, image: CrystalImage, capfd: pytest.CaptureFixture[str]
) -> None:
    """VTK writing straight to a full disk says so on stderr only, and leaves an empty file."""
    write_image(tmp_path / "a.vti", image)
    former = (tmp_path / "a.vti").read_bytes()
    with files_limited_to(1000), pytest.raises(OutputError, match="disk is full"):
        write_image(tmp_path / "a.vti", image)
    assert (tmp_path / "a.vti").read_bytes() == former
    assert capfd.readouterr().err == ""
