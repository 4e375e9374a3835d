"""Facets of crystals whose facets are known: all that are large enough, their normals, distances, areas and indices."""

import numpy as np
import pytest
from imaged import Q_GOLD, family, image_of, octahedron, positions, turned_onto_q
from scipy.spatial.transform import Rotation

from autophasenn.analysis.analyse import Analysis, analyse
from autophasenn.analysis.facet_table import ALONG_FACET
from autophasenn.analysis.facets import Plane, feature_scale, find_facets
from autophasenn.analysis.indexing import family_of, orientation_of
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.polyhedron import edges_and_corners
from autophasenn.analysis.subject import Subject
from autophasenn.analysis.surface import Surface, surface_of
from autophasenn.image import CrystalImage

Q = Q_GOLD * np.array([0.2, 0.9, 0.4]) / np.linalg.norm([0.2, 0.9, 0.4])
VOXEL = 5.0


def facets_at_half(image: CrystalImage) -> tuple[Surface, float, tuple[Plane, ...]]:
    surface = surface_of(image, 0.5)
    scale = feature_scale(surface, VOXEL)
    return surface, scale, find_facets(surface, scale)


def ball(radius: float, cut: float | None = None) -> CrystalImage:
    r = positions(36, VOXEL)
    amplitude = np.clip((radius - np.linalg.norm(r, axis=-1)) / VOXEL + 0.5, 0, 1)
    if cut is not None:
        amplitude *= np.clip((cut - r[..., 2]) / VOXEL + 0.5, 0, 1)
    support = amplitude >= 0.3
    return CrystalImage(amplitude.astype(np.float32), np.zeros(support.shape, np.float32), support)


@pytest.mark.parametrize("seed", range(4))
def test_all_facets_of_a_turned_crystal_are_found_where_they_are(seed: int) -> None:
    normals, relative = octahedron()
    rotation = Rotation.random(rng=seed).as_matrix()
    surface, _, planes = facets_at_half(image_of(normals, 75.0 * relative, rotation=rotation))
    assert len(planes) == len(normals)
    found = np.array([plane.normal for plane in planes])
    centre = surface.centroid
    for normal, distance in zip(normals @ rotation.T, 75.0 * relative, strict=True):
        angles = np.degrees(np.arccos(np.clip(found @ normal, -1, 1)))
        plane = planes[int(angles.argmin())]
        assert angles.min() < 1.5
        assert plane.distance + plane.normal @ centre == pytest.approx(distance, abs=0.3 * VOXEL)
        assert plane.roughness < 0.2 * VOXEL


def test_the_areas_of_a_cube_are_those_of_its_faces() -> None:
    surface, scale, planes = facets_at_half(image_of(family((1, 0, 0)), np.full(6, 70.0)))
    assert len(planes) == 6
    for plane in planes:
        assert plane.area == pytest.approx(140.0**2, rel=0.06)
    edges, corners = edges_and_corners(planes, surface, scale)
    assert len(edges) == 12
    assert len(corners) == 8
    for edge in edges:
        assert edge.length == pytest.approx(140.0, abs=2.0)
        assert edge.angle_deg == pytest.approx(90, abs=0.5)
    for corner in corners:
        np.testing.assert_allclose(np.abs(corner.position), 70.0, atol=1.0)


def test_a_sphere_has_no_facets_and_a_cut_one_has_one() -> None:
    assert facets_at_half(ball(75.0))[2] == ()
    found = analyse(Subject(ball(75.0, cut=45.0)), AnalysisOptions(isosurface=0.5))
    assert len(found.facets) == 1
    np.testing.assert_allclose(found.facets[0].normal, [0, 0, 1], atol=0.02)
    assert found.edges == ()
    assert any("single facet" in note for note in found.notes)


def indexed(turn_deg: float, options: AnalysisOptions) -> tuple[Analysis, np.ndarray]:
    normals, relative = octahedron()
    rotation = turned_onto_q((1, 1, 1), Q, turn_deg)
    image = image_of(normals, 75.0 * relative, rotation=rotation, q=Q)
    return analyse(Subject(image), options), rotation


def test_facets_are_indexed_from_q_and_their_angles_up_to_the_symmetry_about_q() -> None:
    found, rotation = indexed(17.0, AnalysisOptions(hkl=(1, 1, 1), isosurface=0.5))
    assert {facet.family for facet in found.facets} == {(1, 1, 1), (1, 0, 0)}
    assert len({facet.hkl for facet in found.facets}) == 14
    assert found.orientation is not None
    assert found.orientation.is_clear
    assert found.orientation.fit_deg < 1.0
    truth = rotation.T @ found.orientation.matrix  # a symmetry of the cube that keeps 111
    np.testing.assert_allclose(np.abs(np.round(truth)), np.abs(truth), atol=0.05)
    np.testing.assert_allclose(truth @ [1, 1, 1], [1, 1, 1], atol=0.05)


def test_a_second_direction_gives_every_facet_its_own_indices() -> None:
    from autophasenn.analysis.frames import LABORATORY, SecondDirection

    rotation = turned_onto_q((1, 1, 1), Q, 17.0)
    known = SecondDirection((1, 0, 0), tuple(rotation[:, 0]), LABORATORY)
    found, _ = indexed(17.0, AnalysisOptions(hkl=(1, 1, 1), second=known, isosurface=0.5))
    for facet in found.facets:
        assert facet.hkl is not None
        cubic = np.array(facet.hkl) / np.linalg.norm(facet.hkl)
        np.testing.assert_allclose(rotation @ cubic, facet.normal, atol=0.03)
        assert facet.off_deg < 1.5


def test_facets_that_do_not_fit_q_are_indexed_by_their_angles_and_it_is_said() -> None:
    found, _ = indexed(0.0, AnalysisOptions(hkl=(2, 2, 0), isosurface=0.5))
    assert found.orientation is not None
    assert found.orientation.q_off_deg == pytest.approx(35.26, abs=1.0)  # between 111 and 220
    assert any("check reflection and geometry" in note for note in found.notes)


def test_facets_without_reflection_have_no_indices_and_it_is_said() -> None:
    found, _ = indexed(0.0, AnalysisOptions())
    assert {facet.hkl for facet in found.facets} == {None}
    assert any("--hkl" in note for note in found.notes)


def test_strain_and_displacement_of_a_facet_are_those_of_the_voxels_below_it() -> None:
    normals, relative = octahedron()

    def bent(r: np.ndarray) -> np.ndarray:  # strain 1e-3 in the half of positive y
        return 1e-3 * np.maximum(r[..., 1], 0)

    found = analyse(Subject(image_of(normals, 75.0 * relative, displacement=bent, spread=0.05)))
    upper = [facet for facet in found.facets if facet.normal[1] > 0.9]
    lower = [facet for facet in found.facets if facet.normal[1] < -0.9]
    assert upper
    assert lower
    assert upper[0].strain.mean.value == pytest.approx(1e-3, rel=0.05)
    assert lower[0].strain.mean.value == pytest.approx(0, abs=1e-6)
    assert upper[0].displacement.mean.value > lower[0].displacement.mean.value
    assert 0 < upper[0].strain.mean.uncertainty < 1e-3
    assert "several orientations" in upper[0].strain.mean.basis


def test_the_strain_of_a_facet_is_the_less_known_the_more_q_stands_on_it_and_the_fewer_photons_there_are() -> None:
    normals, relative = octahedron()
    image = image_of(normals, 75.0 * relative, displacement=lambda r: 1e-4 * r[..., 1], spread=0.02)

    def found(photons: float | None) -> list[tuple[float, float, float]]:
        facets = analyse(Subject(image, photons=photons)).facets
        along = image.q_direction
        return [
            (abs(float(np.dot(facet.normal, along))), facet.strain.mean.uncertainty, facet.strain.voxels)
            for facet in facets
        ]

    for photons in (None, 1e6):
        rows = sorted(found(photons))
        least, most = rows[0], rows[-1]
        # As of one voxel: the errors of independent cells, and what is alike all along the facet.
        voxel = [error / np.hypot(np.sqrt(8 / count), ALONG_FACET * cosine) for cosine, error, count in (least, most)]
        assert most[0] > least[0] + 0.5
        assert most[1] > 1.5 * least[1]
        assert voxel[0] == pytest.approx(voxel[1], rel=0.2)
    assert all(few[1] > many[1] for few, many in zip(found(1e6), found(1e8), strict=True))
    assert "counting noise" in analyse(Subject(image, photons=1e6)).facets[0].strain.mean.basis


def test_an_orientation_without_facets_is_unknown() -> None:
    assert orientation_of((1, 1, 1), Q / np.linalg.norm(Q), np.zeros((0, 3)), np.zeros(0)) is None
    assert family_of((-1, 0, 3)) == (3, 1, 0)
