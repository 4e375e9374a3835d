"""The fast source: laws of diffraction by faceted crystals, and samples that replay."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from autophasenn.crystals.defects import Defects
from autophasenn.crystals.displacement import Displacement
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.shapes import vertices
from autophasenn.crystals.source import Source
from autophasenn.errors import InputError
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import crop_or_pad, twin

UNSTRAINED = Displacement(bend=(0.0, 0.0), mean_strain=(0.0, 0.0), contraction=0.0, facet_variety=0.0, edge_variety=0.0)
PERFECT = Polyhedra(displacement=UNSTRAINED)
ANY_VIEW = Sampling(any_orientation=True, least_oversampling=2.0, most_oversampling=6.0)
EVERYTHING = Polyhedra(
    sampling=ANY_VIEW,
    displacement=Displacement(strong=0.5),
    defects=Defects(dislocation=0.7, inclusion=0.7, lamella=0.7, unevenness=0.7),
)


def pattern(rho: torch.Tensor) -> torch.Tensor:
    return intensity_of(diffract(crop_or_pad(rho, (64, 64, 64))))


def test_the_fast_source_is_a_source() -> None:
    objects = Polyhedra().objects(0, range(3))
    assert isinstance(Polyhedra(), Source)
    assert objects.shape == (3, 32, 32, 32)
    assert objects.dtype == torch.complex64
    torch.testing.assert_close(objects.abs().amax((1, 2, 3)), torch.ones(3))


@pytest.mark.parametrize("source", [Polyhedra(), EVERYTHING], ids=["paper", "everything"])
def test_a_crystal_is_the_same_to_the_last_bit_in_any_batch(source: Polyhedra) -> None:
    together = source.objects(7, range(18))
    assert torch.equal(source.objects(7, [4]), together[4:5])
    assert torch.equal(source.objects(7, [17, 3, 9]), together[[17, 3, 9]])
    assert torch.equal(source.objects(7, range(18)), together)


def test_every_seed_and_index_has_a_crystal_of_its_own() -> None:
    first, second, other = *PERFECT.objects(1, [0, 1]), PERFECT.objects(2, [0])[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_an_unstrained_crystal_is_real_and_its_pattern_centrosymmetric() -> None:
    for rho in PERFECT.objects(3, range(3)):
        assert float(rho.imag.abs().max()) == 0
        assert float(rho.real.min()) >= 0
        intensity = pattern(rho)
        torch.testing.assert_close(intensity, twin(intensity), rtol=0, atol=1e-5 * float(intensity.max()))


def test_a_strained_crystal_has_no_centrosymmetric_pattern() -> None:
    intensity = pattern(Polyhedra(displacement=Displacement(strong=1.0)).objects(3, [0])[0])
    assert float((intensity - twin(intensity)).abs().sum()) > 0.05 * float(intensity.sum())


@pytest.mark.parametrize("index", range(4))
def test_a_facet_makes_a_flare_along_its_normal(index: int) -> None:
    source = Polyhedra(displacement=UNSTRAINED, sampling=Sampling(True, 3.0, 3.0))
    crystal = source.crystal(5, index)
    facets = crystal.facets
    hull = ConvexHull(vertices(facets).numpy())
    areas = {}
    for triangle, equation in zip(hull.simplices, hull.equations, strict=True):
        a, b, c = hull.points[triangle]
        facet = int((facets.normals.numpy() @ equation[:3]).argmax())
        areas[facet] = areas.get(facet, 0) + np.linalg.norm(np.cross(b - a, c - a)) / 2
    largest = facets.normals[max(areas, key=areas.__getitem__)].numpy()

    logarithm = pattern(source.objects(5, [index])[0]).add(1e-3).log()

    def brightness(directions: np.ndarray) -> np.ndarray:
        """Mean log intensity along directions in reciprocal space, between 8 and 20 voxels from the peak."""
        in_voxels = directions @ crystal.grid.rotation.T * crystal.grid.voxel  # q index = q . voxel n / (2 pi)
        in_voxels /= np.linalg.norm(in_voxels, axis=1, keepdims=True)
        points = np.rint(32 + in_voxels[:, None] * np.arange(8, 21)[:, None]).astype(int)
        return logarithm.numpy()[tuple(np.moveaxis(points, -1, 0))].mean(1)

    others = np.random.default_rng(index).normal(size=(300, 3))
    flare = brightness(np.stack([largest, -largest]))
    assert flare.min() > np.percentile(brightness(others / np.linalg.norm(others, axis=1)[:, None]), 90)


@pytest.mark.parametrize("index", range(3))
def test_the_phase_is_minus_g_times_the_displacement(index: int) -> None:
    source = Polyhedra(sampling=ANY_VIEW)
    crystal = source.crystal(11, index)
    rho = source.objects(11, [index])[0].numpy()
    i = np.argwhere(np.abs(rho) > 0.99)
    r = (crystal.grid.centre + crystal.grid.voxel * (i - 16)) @ crystal.grid.rotation
    expected = -2 * math.pi * math.sqrt(3) / 4.08e-10 * crystal.displacement(r)
    error = np.angle(rho[tuple(i.T)] * np.exp(-1j * expected))
    assert np.abs(error).max() < 2e-3


def test_the_amplitude_is_the_crystal_whatever_the_view() -> None:
    upright, turned = (Polyhedra(displacement=UNSTRAINED, sampling=s) for s in (Sampling(), ANY_VIEW))
    for index in range(4):
        volumes = []
        for source in (upright, turned):
            crystal = source.crystal(2, index)
            volumes.append(float(source.objects(2, [index])[0].real.sum()) * float(crystal.grid.voxel.prod()))
        exact = ConvexHull(vertices(crystal.facets).numpy()).volume
        assert volumes == pytest.approx([exact, exact], rel=0.03)


@pytest.mark.parametrize("least", [2.0, 3.5])
def test_the_oversampling_is_the_pattern_over_the_extent(least: float) -> None:
    source = Polyhedra(displacement=UNSTRAINED, sampling=Sampling(True, least, least))
    for rho in source.objects(4, range(4)):
        for axis in range(3):
            profile = rho.real.amax([other for other in range(3) if other != axis])
            assert 64 / int((profile > 0.02).sum()) == pytest.approx(least, rel=0.12)


def test_crystals_lie_inside_their_box() -> None:
    amplitude = EVERYTHING.objects(9, range(8)).abs()
    for axis in (1, 2, 3):
        assert float(amplitude.select(axis, 0).max()) < 0.2
        assert float(amplitude.select(axis, 31).max()) < 0.2


def test_defects_leave_the_crystals_of_the_seed_as_they_are() -> None:
    with_defects, plain = EVERYTHING.crystal(6, 0), replace(EVERYTHING, defects=Defects()).crystal(6, 0)
    assert with_defects.defects
    assert not plain.defects
    for name in ("normals", "distances"):
        assert torch.equal(getattr(with_defects.facets, name), getattr(plain.facets, name))
    for name in ("offset", "gradient", "exponents", "coefficients"):
        np.testing.assert_array_equal(getattr(with_defects.displacement, name), getattr(plain.displacement, name))
    for name in ("rotation", "voxel", "centre"):
        np.testing.assert_array_equal(getattr(with_defects.grid, name), getattr(plain.grid, name))


def test_every_defect_changes_the_object() -> None:
    plain = Polyhedra().objects(6, range(4))
    for kind, change in (("dislocation", 0.2), ("inclusion", 0.2), ("lamella", 0.2), ("unevenness", 0.01)):
        options: dict[str, Any] = {kind: 1.0}
        changed = Polyhedra(defects=Defects(**options)).objects(6, range(4))
        assert bool(((changed - plain).abs().amax((1, 2, 3)) > change).all())
        assert bool(changed.isfinite().all())


def test_provenance_is_json_and_names_every_parameter() -> None:
    written = json.loads(json.dumps(EVERYTHING.provenance()))
    assert written["source"] == "polyhedra"
    assert written["defects"]["dislocation"] == 0.7
    assert written["displacement"]["strong"] == 0.5
    assert written["sampling"]["most_oversampling"] == 6


def test_another_metal_has_smaller_voxels_and_another_reflection_another_phase() -> None:
    gold, copper = Polyhedra().objects(1, [0]), Polyhedra(metal="Cu").objects(1, [0])
    assert float(copper.abs().sum()) == pytest.approx(float(gold.abs().sum()) * (4.08 / 3.615) ** 3, rel=0.02)
    assert not torch.allclose(Polyhedra(reflection=(2, 0, 0)).objects(1, [0]), gold, atol=0.01)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metal": "Fe"}, "'Fe'"),
        ({"reflection": (1, 1, 0)}, "forbidden"),
        ({"edge": 30e-9}, "3e-08 m does not fit"),
        ({"edge": 20e-9, "sampling": Sampling(any_orientation=True)}, "oversampling range"),
    ],
)
def test_impossible_crystals_are_refused(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Polyhedra(**options)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_makes_the_same_crystals() -> None:
    on_gpu = EVERYTHING.objects(7, range(6), "cuda")
    assert torch.equal(EVERYTHING.objects(7, [2], "cuda"), on_gpu[2:3])
    torch.testing.assert_close(on_gpu.cpu(), EVERYTHING.objects(7, range(6)), rtol=0, atol=2e-3)
