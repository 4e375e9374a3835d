"""Dislocations: lines where the phase winds, at their place, with their sign; none where it does not. And domains."""

import numpy as np
import pytest
from imaged import Q_GOLD, family, image_of, octahedron, positions

from autophasenn.analysis.analyse import analyse
from autophasenn.analysis.domains import find_domains
from autophasenn.analysis.subject import DetectorObject, Subject
from autophasenn.analysis.vortices import find_vortices, plaquette_charges
from autophasenn.image import CrystalImage

CUBE = family((1, 0, 0))
D = 2 * np.pi / Q_GOLD


def winding(r: np.ndarray, line: int, at: tuple[float, float], turns: int = 1) -> np.ndarray:
    """Phase that winds right-handed about an axis through `at` (the other two coordinates, in cyclic order)."""
    first, second = (line + 1) % 3, (line + 2) % 3
    return turns * np.arctan2(r[..., second] - at[1], r[..., first] - at[0])


@pytest.mark.parametrize("line", range(3))
@pytest.mark.parametrize("turns", [1, -1])
def test_a_straight_dislocation_is_found_at_its_place_with_its_sign(line: int, turns: int) -> None:
    at = (12.0, -21.0)

    def displacement(r: np.ndarray) -> np.ndarray:
        return -winding(r, line, at, turns) / Q_GOLD

    found = analyse(Subject(image_of(CUBE, np.full(6, 70.0), displacement=displacement))).dislocations
    assert len(found.lines) == 1
    one = found.lines[0]
    first, second = (line + 1) % 3, (line + 2) % 3
    np.testing.assert_allclose(one.points[:, [first, second]], [at] * len(one.points), atol=5.0)
    assert one.direction[line] == pytest.approx(turns, abs=1e-6)  # along it the phase winds right-handed
    assert one.burgers_along_q.value == pytest.approx(-D, rel=1e-6)
    assert one.length.value == pytest.approx(140.0, abs=10.0)


def test_the_integral_of_du_around_a_line_is_its_burgers_vector() -> None:
    """The sign of `crystals.dislocations`: right-handed about the line, u grows by b."""
    import torch

    from autophasenn.crystals.dislocations import Dislocation

    axis = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    q = np.array([0.0, 0.0, Q_GOLD])
    screw = Dislocation(torch.zeros(3, dtype=torch.float64), axis, axis * D * 1e-9)
    r = torch.from_numpy(positions(40, 5.0) * 1e-9)

    def displacement(_: np.ndarray) -> np.ndarray:
        u = screw.displacement(lambda vector: r @ vector, axis)
        return u.numpy() * 1e9

    one = analyse(Subject(image_of(CUBE, np.full(6, 70.0), displacement=displacement, q=q))).dislocations.lines[0]
    along_z = one.burgers_along_q.value * np.sign(one.direction[2])
    assert along_z == pytest.approx(D, rel=1e-6)


def test_two_turns_are_two_lines_and_opposite_ones_run_opposite_ways() -> None:
    r = positions(40, 1.0)
    support = np.linalg.norm(r, axis=-1) < 16
    lines, _ = find_vortices(winding(r, 2, (0.3, 0.4), 2), support)
    assert len(lines) == 2
    pair = winding(r, 2, (6.3, 0.4)) - winding(r, 2, (-6.3, 0.4))
    lines, _ = find_vortices(pair, support)
    assert len(lines) == 2
    ways = sorted(np.sign(line.points[-1, 2] - line.points[0, 2]) * np.sign(line.points[0, 0] - 20) for line in lines)
    assert ways == [1, 1]


def test_a_loop_is_closed() -> None:
    r = positions(40, 1.0)
    around = np.hypot(r[..., 0], r[..., 1]) - 8.2
    lines, _ = find_vortices(np.arctan2(r[..., 2] - 0.4, around), np.linalg.norm(r, axis=-1) < 18)
    assert len(lines) == 1
    assert lines[0].is_closed
    np.testing.assert_allclose(np.hypot(*(lines[0].points[:, :2] - 20).T), 8.2, atol=1.2)


def test_charge_is_conserved_through_every_cell() -> None:
    rng = np.random.default_rng(0)
    phase = rng.uniform(-np.pi, np.pi, (8, 9, 10))
    charges = plaquette_charges(phase, np.ones(phase.shape, bool))
    leaving = sum(np.diff(charge.astype(int), axis=axis) for axis, charge in enumerate(charges))
    assert any(charge.any() for charge in charges)
    assert not leaving.any()


def test_a_line_in_a_hole_of_the_support_is_found_all_the_same() -> None:
    r = positions(40, 1.0)
    core = np.hypot(r[..., 0], r[..., 1]) < 1.6
    support = (np.abs(r) < 14).all(axis=-1) & ~core
    lines, _ = find_vortices(winding(r, 2, (0.2, 0.3)), support)
    assert len(lines) == 1


@pytest.mark.parametrize("seed", range(4))
def test_a_strained_crystal_without_defects_has_no_lines_and_one_domain(seed: int) -> None:
    rng = np.random.default_rng(seed)
    waves, offsets = rng.normal(0, 0.025, (3, 3)), rng.uniform(0, 6, 3)

    def displacement(r: np.ndarray) -> np.ndarray:
        return sum(0.12 * np.sin(r @ wave + offset) for wave, offset in zip(waves, offsets, strict=True))

    normals, relative = octahedron()
    image = image_of(normals, 80.0 * relative, displacement=displacement)
    assert np.nanmax(image.phase) - np.nanmin(image.phase) > np.pi
    found = analyse(Subject(image))
    assert found.dislocations.lines == ()
    assert len(found.domains.domains) == 1


def test_lines_of_the_detectors_skewed_voxels_lie_where_they_are_in_the_laboratory() -> None:
    voxel = np.array([[4.0, 0.5, 0.0], [0.0, 5.0, 1.0], [0.0, 0.0, 6.0]])
    index = np.stack(np.meshgrid(*[np.arange(40) - 20] * 3, indexing="ij"), axis=-1)
    r = index @ voxel
    amplitude = np.clip((60 - np.abs(r).max(axis=-1)) / 5 + 0.5, 0, 1)
    rho = amplitude * np.exp(1j * winding(r, 1, (8.0, -14.0)))
    image = image_of(CUBE, np.full(6, 60.0))
    detector = DetectorObject(rho.astype(np.complex64), amplitude > 0, voxel * 1e-9)
    lines = analyse(Subject(image, detector)).dislocations.lines
    assert len(lines) == 1
    np.testing.assert_allclose(np.median(lines[0].points[:, [2, 0]], axis=0), [8.0, -14.0], atol=5.0)
    assert abs(lines[0].direction[1]) > 0.97


def test_domains_are_parted_where_the_phase_jumps() -> None:
    def stepped(r: np.ndarray) -> np.ndarray:
        return np.where(r[..., 0] > 20.0, -2.0 / Q_GOLD, 0.0)

    image = image_of(CUBE, np.full(6, 70.0), displacement=stepped)
    found = find_domains(image)
    assert [round(each.share, 2) for each in found.domains] == [0.66, 0.34]
    assert found.domains[1].phase.value == pytest.approx(2.0, abs=0.05)
    assert found.domains[1].shift.value == pytest.approx(-2.0 / Q_GOLD, rel=0.05)
    assert (found.labels[image.support] > 0).all()
    assert not found.labels[~image.support].any()


def test_an_even_gradient_however_steep_parts_no_domains() -> None:
    steep = image_of(CUBE, np.full(6, 70.0), displacement=lambda r: 0.3 * r[..., 1] / Q_GOLD)
    assert np.abs(np.diff(steep.phase[20, :, 20])[10:28]).min() > 1.0  # rad a voxel
    assert len(find_domains(steep).domains) == 1


def test_without_geometry_lines_are_in_voxels_and_have_no_burgers_vector() -> None:
    r = positions(40, 1.0)
    support = np.linalg.norm(r, axis=-1) < 15
    phase = np.where(support, winding(r, 0, (2.3, -3.4)), np.nan).astype(np.float32)
    image = CrystalImage(support.astype(np.float32), phase, support)
    lines = analyse(Subject(image)).dislocations.lines
    assert len(lines) == 1
    assert lines[0].length.unit == "voxels"
    assert lines[0].burgers_along_q.value is None
    np.testing.assert_allclose(np.median(lines[0].points[:, 1:], axis=0), [2.3, -3.4], atol=1.0)
