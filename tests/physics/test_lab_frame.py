"""One interpolation from skewed detector voxels to the laboratory: sizes, shapes, orientation and densities survive."""

import math

import numpy as np
import pytest
import torch

from autophasenn.errors import GeometryError, InputError
from autophasenn.physics.geometry import RockingGeometry, direct_voxel_vectors
from autophasenn.physics.lab_frame import MARGIN, detector_to_lab, orthogonal_voxel_size, spread_to_lab

SHAPE = (36, 52, 48)
SKEWED = torch.tensor([[9.0, 4.0, 3.0], [-1.0, 5.0, 1.5], [2.5, -1.5, 5.0]], dtype=torch.float64) * 1e-9
MIRRORED = SKEWED * torch.tensor([[-1.0], [1.0], [1.0]], dtype=torch.float64)
FRAMES = pytest.mark.parametrize("vectors", [SKEWED, MIRRORED], ids=["right-handed", "left-handed"])


def positions(vectors, shape=SHAPE, origin=None):
    """Laboratory position of every voxel, nm."""
    origin = [n // 2 for n in shape] if origin is None else origin
    axes = [torch.arange(n, dtype=torch.float64) - o for n, o in zip(shape, origin, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ vectors * 1e9


def lab_positions(shape, voxel_size):
    return positions(torch.diag(torch.tensor(voxel_size, dtype=torch.float64)), shape).numpy()


def gaussian(r, centre, width):
    return torch.exp(-((r - torch.tensor(centre, dtype=torch.float64)) ** 2).sum(-1) / (2 * width**2))


@FRAMES
def test_the_volume_of_a_sphere_is_right(vectors):
    inside = positions(vectors).norm(dim=-1) <= 45
    _, support, size = detector_to_lab(inside.to(torch.complex64), inside, vectors)
    volume = support.sum() * math.prod(size) * 1e27
    assert volume == pytest.approx(4 / 3 * math.pi * 45**3, rel=0.015)


@FRAMES
@pytest.mark.parametrize("voxel_size", [None, 3e-9, 7e-9])
def test_the_integral_of_the_density_is_preserved(vectors, voxel_size):
    r = positions(vectors)
    rho = (gaussian(r, [5.0, -8.0, 3.0], 14.0) * torch.exp(1j * r[..., 0] / 60)).to(torch.complex64)
    lab, _, size = detector_to_lab(rho, r.norm(dim=-1) < 60, vectors, voxel_size)
    before = complex(rho.sum()) * float(torch.linalg.det(vectors).abs())
    after = complex(lab.sum()) * math.prod(size)
    assert abs(after - before) < 5e-3 * abs(before)


@FRAMES
def test_an_ellipsoid_keeps_its_axes_and_their_directions(vectors):
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    semi_axes = torch.tensor([55.0, 40.0, 28.0], dtype=torch.float64)
    inside = ((positions(vectors) @ turn.T / semi_axes) ** 2).sum(-1) <= 1
    _, support, size = detector_to_lab(inside.to(torch.complex64), inside, vectors)
    points = lab_positions(support.shape, size)[support]
    second_moments = points.T @ points / len(points)
    expected = (turn.T @ torch.diag(semi_axes**2 / 5) @ turn).numpy()
    assert np.abs(second_moments - expected).max() < 0.02 * float(semi_axes[0] ** 2 / 5)


@FRAMES
def test_x_y_and_z_are_told_apart_and_not_mirrored(vectors):
    r = positions(vectors)
    markers = {1.0: (39.0, 0.0, 0.0), 0.7: (0.0, 30.0, 0.0), 0.4: (0.0, 0.0, 36.0)}
    rho = sum(height * gaussian(r, place, 11.0) for height, place in markers.items()).to(torch.complex64)
    lab, _, size = detector_to_lab(rho, rho.abs() > 0.02, vectors, 3e-9)
    grid = lab_positions(lab.shape, size)
    for height, place in markers.items():
        at_marker = np.linalg.norm(grid - place, axis=-1).argmin()
        assert np.abs(lab).ravel()[at_marker] == pytest.approx(height, rel=0.03)


@FRAMES
def test_a_smooth_phase_keeps_its_value_at_every_place(vectors):
    def phase(r):
        return 0.02 * r[..., 0] - 0.01 * r[..., 1] + 1e-4 * r[..., 2] ** 2

    r = positions(vectors)
    inside = r.norm(dim=-1) < 50
    rho = torch.polar(gaussian(r, [0.0, 0.0, 0.0], 60.0), phase(r)).to(torch.complex64)
    lab, support, size = detector_to_lab(rho, inside, vectors)
    grid = lab_positions(lab.shape, size)
    assert np.abs(np.angle(lab * np.exp(-1j * phase(grid))))[support].max() < 0.01


def test_cubic_voxels_along_the_axes_are_copied_not_changed():
    vectors = torch.eye(3, dtype=torch.float64)[[1, 2, 0]] * 4e-9  # axis 0 is y, 1 is z, 2 is x
    inside = positions(vectors).norm(dim=-1) <= 30
    generator = torch.Generator().manual_seed(4)
    rho = torch.where(inside, torch.randn(SHAPE, dtype=torch.complex64, generator=generator), 0)
    lab, support, _ = detector_to_lab(rho, inside, vectors)
    half = [n // 2 for n in lab.shape]
    window = tuple(slice(n // 2 - half[a], n // 2 + half[a] + 1) for n, a in zip(SHAPE, [1, 2, 0], strict=True))
    np.testing.assert_allclose(lab, rho[window].permute(2, 0, 1).numpy(), atol=1e-5)
    np.testing.assert_array_equal(support, inside[window].permute(2, 0, 1).numpy())


def test_the_origin_is_the_middle_voxel():
    origin = (17.3, 27.8, 22.5)
    r = positions(SKEWED, origin=origin)
    rho = gaussian(r, [0.0, 0.0, 0.0], 12.0).to(torch.complex64)
    lab, _, _ = detector_to_lab(rho, rho.abs() > 0.1, SKEWED, origin=origin)
    assert np.unravel_index(np.abs(lab).argmax(), lab.shape) == tuple(n // 2 for n in lab.shape)
    assert abs(lab).max() == pytest.approx(1.0, abs=0.01)


def test_the_grid_ends_just_outside_the_crystal():
    inside = positions(SKEWED).norm(dim=-1) <= 45
    _, support, size = detector_to_lab(inside.to(torch.complex64), inside, SKEWED)
    margin = MARGIN + 0.5 * SKEWED.abs().sum(0).numpy() / size + 1
    for axis in range(3):
        filled = np.flatnonzero(support.any(axis=tuple(a for a in range(3) if a != axis)))
        gap = min(filled[0], support.shape[axis] - 1 - filled[-1])
        assert MARGIN <= gap <= MARGIN + margin[axis]


def test_the_voxel_size_is_two_pi_over_the_longest_extent_in_q():
    geometry = RockingGeometry(9000.0, 0.5, (55e-6, 55e-6), 32.174, 12.6346, 0.005, (128.0, 128.0))
    steps, shape = geometry.reciprocal_steps((128.0, 128.0)), (201, 256, 256)
    vectors = direct_voxel_vectors(steps, shape)
    extents = steps.norm(dim=1) * torch.tensor(shape)
    assert orthogonal_voxel_size(vectors) == pytest.approx(2 * math.pi / float(extents.max()), rel=1e-12)
    assert orthogonal_voxel_size(vectors) <= float(vectors.norm(dim=1).min())


def test_an_empty_support_is_refused():
    empty = torch.zeros(SHAPE, dtype=torch.bool)
    with pytest.raises(InputError, match="support is empty"):
        detector_to_lab(empty.to(torch.complex64), empty, SKEWED)


def test_a_crystal_that_falls_between_the_new_voxels_is_refused():
    speck = torch.zeros(SHAPE, dtype=torch.bool)
    speck[20, 20, 20] = True
    with pytest.raises(InputError, match="vanishes"):
        detector_to_lab(speck.to(torch.complex64), speck, SKEWED, 30e-9)


@pytest.mark.parametrize("size", [0.0, -5e-9, math.nan])
def test_a_voxel_size_that_is_no_length_is_refused(size):
    inside = positions(SKEWED).norm(dim=-1) <= 45
    with pytest.raises(GeometryError, match="voxel size"):
        detector_to_lab(inside.to(torch.complex64), inside, SKEWED, size)


def test_a_voxel_size_in_the_wrong_unit_does_not_fill_the_memory():
    inside = positions(SKEWED).norm(dim=-1) <= 45
    with pytest.raises(GeometryError, match="choose larger voxels"):
        detector_to_lab(inside.to(torch.complex64), inside, SKEWED, 5e-12)


@FRAMES
def test_an_uncertainty_lies_in_the_laboratory_where_it_lay_on_the_detector_and_is_never_raised_or_dimmed(vectors):
    r = positions(vectors)
    inside = r.norm(dim=-1) < 50
    spread = torch.where(inside, 0.3 + 0.004 * r[..., 0], torch.nan).float()
    origin = (17.4, 26.3, 23.8)
    _, support, size = detector_to_lab(inside.to(torch.complex64), inside, vectors, 4e-9, origin)
    lab = spread_to_lab(spread, vectors, size[0], support.shape, origin)
    shift = positions(vectors, origin=origin)[0, 0, 0] - r[0, 0, 0]  # of the origin, nm
    x = lab_positions(support.shape, size)[..., 0] - float(shift[0])
    deep = np.linalg.norm(lab_positions(support.shape, size) - shift.numpy(), axis=-1) < 30
    np.testing.assert_allclose(lab[deep], 0.3 + 0.004 * x[deep], atol=1e-5)
    known = spread[inside]
    assert lab.min() >= float(known.min()) - 1e-6
    assert lab.max() <= float(known.max()) + 1e-6
