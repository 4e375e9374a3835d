"""A crystal's image knows its own size, place and units, and needs no torch."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from autophasenn.errors import InputError
from autophasenn.image import VOLUMES, CrystalImage

SHAPE = (9, 8, 7)


@pytest.fixture
def image() -> CrystalImage:
    """A block of 3 x 2 x 4 voxels of 2 x 3 x 4 nm whose far end in x is three times as bright."""
    support = np.zeros(SHAPE, bool)
    support[2:5, 4:6, 1:5] = True
    amplitude = np.where(support, np.float32(1 / 3), np.float32(0))
    amplitude[4, 4:6, 1:5] = 1
    amplitude[0, 0, 0] = 0.9  # outside the support: no part of the crystal
    phase = np.where(support, np.float32(0), np.float32(np.nan))
    return CrystalImage(
        amplitude, phase, support, voxel_size=(2e-9, 3e-9, 4e-9), scattering_vector=np.array([0.0, 3e10, 4e10])
    )


def test_lengths_are_nanometres(image: CrystalImage) -> None:
    np.testing.assert_allclose(image.spacing, (2, 3, 4))
    np.testing.assert_allclose(image.extent, (3 * 2, 2 * 3, 4 * 4))
    assert image.volume == pytest.approx(3 * 2 * 4 * 24)
    assert image.unit == "nm"
    assert image.axes == ("x", "y", "z")


def test_without_geometry_lengths_are_voxels(image: CrystalImage) -> None:
    plain = replace(image, voxel_size=None, scattering_vector=None)
    assert plain.extent == (3, 2, 4)
    assert plain.volume == 24
    assert plain.unit == "voxels"
    assert plain.axes == ("axis 0", "axis 1", "axis 2")
    assert plain.q_direction is None


def test_the_box_holds_the_support_and_nothing_more(image: CrystalImage) -> None:
    assert image.box == (slice(2, 5), slice(4, 6), slice(1, 5))
    assert image.support[image.box].sum() == image.support.sum()


def test_the_centre_is_where_the_amplitude_is_and_in_the_crystal(image: CrystalImage) -> None:
    # x: (2 + 3 + 3 x 4) / 5 = 3.4; y and z lie between two voxels
    assert image.centre[0] == 3
    assert image.support[image.centre]
    hollow = image.support.copy()
    hollow[3] = False
    assert hollow[replace(image, support=hollow).centre]


def test_an_image_without_a_crystal_has_the_middle_of_its_grid_for_a_centre(image: CrystalImage) -> None:
    empty = replace(image, support=np.zeros(SHAPE, bool))
    assert empty.centre == (4, 4, 3)
    assert empty.volume == 0
    assert empty.box == tuple(slice(0, n) for n in SHAPE)


def test_the_origin_is_voxel_n_half(image: CrystalImage) -> None:
    assert image.position((4, 4, 3)) == (0, 0, 0)
    np.testing.assert_allclose(image.position((5, 3, 6)), (2, -3, 12))


def test_the_direction_of_q_has_length_one(image: CrystalImage) -> None:
    np.testing.assert_allclose(image.q_direction, (0, 0.6, 0.8))


def test_nothing_of_an_image_can_be_replaced_in_it(image: CrystalImage) -> None:
    with pytest.raises(FrozenInstanceError):
        image.phase = image.amplitude  # type: ignore[misc]


@pytest.mark.parametrize("name", VOLUMES[1:])
def test_volumes_on_another_grid_are_refused(image: CrystalImage, name: str) -> None:
    with pytest.raises(InputError, match=r"has shape \(3, 3, 3\) and the amplitude \(9, 8, 7\)"):
        replace(image, **{name: np.zeros((3, 3, 3), bool if name == "support" else np.float32)})


def test_a_plane_is_no_image() -> None:
    flat = np.ones((4, 4), np.float32)
    with pytest.raises(InputError, match=r"shape \(4, 4\).*three axes"):
        CrystalImage(flat, flat, flat > 0)


@pytest.mark.parametrize(
    "module",
    [
        "image",
        "files.cxi_image",
        "files.vtk",
        "report.slices",
        "report.isosurface",
        "report.detector",
        "viewer.results",
        "viewer.slices",
        "viewer.pattern",
        "viewer.numbers",
    ],
)
def test_looking_at_an_image_imports_no_torch(module: str) -> None:
    code = f"import sys, autophasenn.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
