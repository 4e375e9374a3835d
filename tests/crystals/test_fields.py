"""Sums of functions of one direction are what they say, and random displacements move no crystal rigidly."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from autophasenn.crystals.displacement import Displacement, Field
from autophasenn.crystals.fields import Grid, exponentials, linear, polyhedra
from autophasenn.crystals.shapes import clipped_block, facet_normals, vertices

N = 32
G = np.array([1.0, 1.0, 1.0]) * 2 * math.pi / 4.08e-10
VOXELS = torch.stack(torch.meshgrid(*[torch.arange(N) - N // 2] * 3, indexing="ij"), -1).double()


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(options: Displacement, seed: int) -> tuple[Field, np.ndarray]:
    """A displacement, and points that fill its crystal evenly (metres)."""
    facets = clipped_block(generator(seed))
    normals, distances = facets.normals.numpy(), facets.distances.numpy()
    field = options.draw(generator(seed + 100), normals, distances, vertices(facets).numpy(), G)
    points = VOXELS.reshape(-1, 3).numpy() * 0.8e-9
    return field, points[(points @ normals.T <= distances).all(1)]


def test_a_linear_field_grows_by_its_gradient() -> None:
    gradient = torch.randn((3, 3), generator=generator(0))
    offset = torch.randn(3, generator=generator(1))
    expected = (VOXELS @ gradient.double().T).permute(3, 0, 1, 2) + offset[:, None, None, None]
    torch.testing.assert_close(linear(gradient, offset).double(), expected, atol=2e-5, rtol=0)


def test_a_matrix_product_sums_the_exponentials() -> None:
    exponents = 0.2 * torch.randn((2, 5, 3), generator=generator(2), dtype=torch.complex64)
    coefficients = torch.randn((2, 5), generator=generator(3), dtype=torch.complex64)
    terms = torch.exp(torch.einsum("xyza,bma->bmxyz", VOXELS.to(torch.complex128), exponents.to(torch.complex128)))
    expected = torch.einsum("bm,bmxyz->bxyz", coefficients.to(torch.complex128), terms).real
    torch.testing.assert_close(exponentials(exponents, coefficients).double(), expected, atol=1e-4, rtol=1e-4)


def test_terms_that_grow_out_of_bounds_stay_finite() -> None:
    steep = torch.full((1, 1, 3), 50.0, dtype=torch.complex64)
    assert bool(exponentials(steep, torch.ones((1, 1), dtype=torch.complex64)).isfinite().all())


def test_the_amplitude_integrates_to_the_volume_of_the_polyhedron() -> None:
    for seed in range(4):
        facets = clipped_block(generator(seed), edge=20.0)
        normals, distances = (part[None].float() for part in (facets.normals, facets.distances))
        volume = ConvexHull(vertices(facets).numpy()).volume
        assert float(polyhedra(normals, distances).sum()) == pytest.approx(volume, rel=0.02)


def test_corners_lie_on_at_least_three_facets_and_outside_none() -> None:
    facets = clipped_block(generator(5))
    heights = vertices(facets) @ facets.normals.T - facets.distances
    assert bool((heights < 1e-15).all())
    assert bool(((heights.abs() < 1e-15).sum(1) >= 3).all())


def test_a_cube_has_eight_corners() -> None:
    from autophasenn.crystals.shapes import Facets

    cube = Facets(facet_normals((1, 0, 0)), torch.full((6,), 10e-9, dtype=torch.float64))
    assert sorted(map(tuple, (vertices(cube) * 1e8).round().int().tolist())) == [
        (x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)
    ]


def test_a_grid_gives_every_voxel_its_position() -> None:
    rotation = torch.linalg.qr(torch.randn((3, 3), generator=generator(6), dtype=torch.float64)).Q
    voxel, centre = np.array([1.0, 2.0, 3.0]), np.array([0.3, -0.2, 0.1])
    grid = Grid(rotation.numpy(), voxel, centre)
    position = (VOXELS.numpy() * voxel + centre) @ rotation.numpy()  # R^T (centre + voxel i)
    direction = torch.tensor([0.2, -1.0, 0.5], dtype=torch.float64)
    np.testing.assert_allclose(grid.along(direction).numpy(), position @ direction.numpy(), atol=1e-4)


@pytest.mark.parametrize("seed", range(6))
def test_displacements_neither_move_nor_turn_the_crystal(seed: int) -> None:
    waves = Displacement(mean_strain=(0.0, 0.0), contraction=0.0, facet_variety=0.0, edge_variety=0.0)
    field, points = drawn(waves, seed)
    values = field(points)
    columns = np.column_stack([np.ones(len(points)), points / 1e-8])
    constant, *slope = np.linalg.lstsq(columns, values, rcond=None)[0]
    rms = values.std()
    assert abs(constant) < 0.15 * rms
    assert np.linalg.norm(slope) < 0.4 * rms  # across 10 nm; the waves themselves slope several times as much
    bare = Field(0.0, np.zeros(3), field.exponents, field.coefficients)
    steepness = np.linalg.norm(np.linalg.lstsq(columns, bare(points), rcond=None)[0][1:])
    assert np.linalg.norm(slope) < max(0.4 * steepness, 0.1 * rms)


def test_the_mean_strain_is_the_mean_gradient_along_the_scattering_vector() -> None:
    strained = Displacement(
        bend=(1e-12, 1e-12), mean_strain=(2e-3, 0.0), contraction=0.0, facet_variety=0.0, edge_variety=0.0
    )
    field, _ = drawn(strained, 0)
    np.testing.assert_allclose(field.gradient, 2e-3 * G / np.linalg.norm(G), atol=1e-7)


def test_facets_contract_and_the_contraction_dies_out_inwards() -> None:
    relaxed = Displacement(
        bend=(1e-12, 1e-12),
        mean_strain=(0.0, 0.0),
        contraction=1e-11,
        facet_variety=0.0,
        edge_variety=0.0,
        depth=(1e-9, 1e-9),
    )
    cube = facet_normals((1, 0, 0)).numpy()
    corners = 10e-9 * np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    along_x = np.array([2e10, 0, 0])
    long_waves = Displacement(**{**relaxed.__dict__, "shortest": 1.0, "longest": 1.0})  # facets move as wholes
    field = long_waves.draw(generator(0), cube, np.full(6, 10e-9), corners, along_x)
    x = np.array([[sign * d, 0, 0] for d in (10e-9, 9e-9, 0) for sign in (1, -1)])
    outer = field(x)
    assert outer[0] == pytest.approx(-1e-11, rel=0.01)
    assert outer[1] == pytest.approx(1e-11, rel=0.01)
    assert outer[2] == pytest.approx(-1e-11 / math.e, rel=0.02)
    assert abs(outer[4]) < 1e-14


def test_the_mean_movement_of_a_facet_is_what_its_wave_leaves_of_the_contraction() -> None:
    bare = Displacement(
        bend=(0.0, 0.0), mean_strain=(0.0, 0.0), facet_variety=0.0, edge_variety=0.0, depth=(0.4e-9, 0.4e-9)
    )
    cube = facet_normals((1, 0, 0)).numpy()
    corners = 10e-9 * np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    middles = 10e-9 * cube[cube[:, 0] != 0]
    along_x = np.array([2e10, 0, 0])
    moved = [
        -np.sign(middles[:, 0]) * bare.draw(generator(seed), cube, np.full(6, 10e-9), corners, along_x)(middles)
        for seed in range(300)
    ]
    assert 0.4 < np.mean(moved) / bare.contraction < 0.62  # mean of sin(k r) / (k r) over the wavelengths: 0.51


def test_the_rms_over_the_size_is_log_normal() -> None:
    options = Displacement(
        bend=(4e-4, 4e-4), mean_strain=(0.0, 0.0), contraction=0.0, facet_variety=0.0, edge_variety=0.0
    )
    logs = []
    for seed in range(40):
        field, points = drawn(options, seed)
        size = (len(points) * 0.8e-9**3) ** (1 / 3)
        logs.append(math.log(field(points).std() / size / 4e-4))
    assert abs(np.mean(logs)) < 3 * options.spread / math.sqrt(40)
    assert 0.7 * options.spread < np.std(logs) < 1.4 * options.spread


def test_strong_strain_spans_the_range_that_was_asked_for() -> None:
    strong = Displacement(
        strong=1.0, strong_range=(3.0, 12.0), mean_strain=(0.0, 0.0), facet_variety=0.0, edge_variety=0.0
    )
    ranges = []
    for seed in range(12):
        field, points = drawn(strong, seed)
        ranges.append(np.ptp(field(points)) * np.linalg.norm(G))
    assert min(ranges) > 0.8 * 3
    assert max(ranges) < 1.4 * 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"waves": 0}, "waves is 0"),
        ({"shortest": 2e-9, "longest": 1e-9}, "wavelengths is drawn"),
        ({"strong": 1.5}, "1.5"),
        ({"bend": (-1e-4, 1e-4)}, r"bend\[0\] is"),
        ({"steepness": (2.0, math.nan)}, r"steepness\[1\] is"),
        ({"spread": -0.7}, "spread is -0.7"),
        ({"spread": math.nan}, "spread is nan"),
        ({"facet_variety": -1e-12}, "facet_variety is -1e-12"),
        ({"edge_variety": math.inf}, "edge_variety is inf"),
        ({"mean_strain": (0.0, -1e-4)}, r"mean_strain\[\d\] is"),
        ({"mean_strain": (math.nan, 0.0)}, r"mean_strain\[\d\] is"),
        ({"contraction": math.nan}, "contraction is nan"),
        ({"strong_range": (1.0, math.inf)}, r"strong_range\[\d\] is"),
        ({"depth": (2e-9, 1e-9)}, "depth is drawn"),
        ({"strong_range": (0.0, 1.0)}, r"strong_range\[\d\] is"),
    ],
)
def test_impossible_displacements_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Displacement(**options)
