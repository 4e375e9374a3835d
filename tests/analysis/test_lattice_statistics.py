"""Lattice, refraction, size and strain statistics: against formulas, tables and simulated truth."""

import math
from dataclasses import replace

import numpy as np
import pytest
from imaged import Q_GOLD, family, image_of, octahedron

from autophasenn.analysis.analyse import analyse
from autophasenn.analysis.inside import gradient_inside, phase_error, strain_spread
from autophasenn.analysis.lattice import reflection_of
from autophasenn.analysis.materials import MATERIALS, material
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.quantity import Quantity, mean_of
from autophasenn.analysis.refraction import corrected, path_before
from autophasenn.analysis.subject import Subject
from autophasenn.errors import InputError, PlanError
from autophasenn.image import CrystalImage

CUBE = family((1, 0, 0))
GOLD = material("Au")


def cube(strain: float = 0.0, **more) -> CrystalImage:
    def displacement(r: np.ndarray) -> np.ndarray:
        return strain * np.maximum(r[..., 1], 0)

    return image_of(CUBE, np.full(6, 72.5), displacement=displacement, **more)


def test_d_and_lattice_parameter_follow_strain_and_reference() -> None:
    found = analyse(Subject(cube(2e-3)), AnalysisOptions(material="Au", reference="0.4078")).lattice
    assert found is not None
    assert found.hkl == (1, 1, 1)
    d = 2 * np.pi / Q_GOLD
    assert np.nanmin(found.d_map) == pytest.approx(d, rel=1e-6)
    assert np.nanmax(found.d_map) == pytest.approx(d * 1.002, rel=1e-6)
    np.testing.assert_allclose(found.parameter_map, found.d_map * math.sqrt(3), rtol=1e-6)
    assert found.strain.mean.value == pytest.approx(found.d.mean.value * math.sqrt(3) / 0.4078 - 1, abs=1e-7)


def test_the_reference_of_a_temperature_is_the_expanded_lattice() -> None:
    cold = analyse(Subject(cube()), AnalysisOptions(material="Au", reference="table")).lattice
    hot = analyse(Subject(cube()), AnalysisOptions(material="Au", temperature_k=793.0)).lattice
    assert cold is not None
    assert hot is not None
    assert cold.reference_nm.value == pytest.approx(0.40782 / math.sqrt(3))
    grown = hot.reference_nm.value / cold.reference_nm.value - 1
    assert grown == pytest.approx(500 * 15.6e-6, rel=0.03)  # mean expansivity of gold from 293 to 793 K
    assert hot.reference_nm.uncertainty > 0
    assert hot.strain.mean.value == pytest.approx(cold.strain.mean.value - grown, abs=1e-4)
    assert "793" in hot.reference


@pytest.mark.parametrize("name", MATERIALS)
def test_expansion_is_zero_at_room_temperature_and_grows(name: str) -> None:
    assert MATERIALS[name].expansion(293.0).value == 0
    assert MATERIALS[name].expansion(600.0).value > MATERIALS[name].expansion(400.0).value > 0
    with pytest.raises(InputError, match="lies outside"):
        MATERIALS[name].expansion(3000.0)


def test_youngs_modulus_of_gold_along_its_axes() -> None:
    """Simmons & Wang (1971) give 43 and 117 GPa along 100 and 111."""
    assert GOLD.youngs_modulus_gpa((1, 0, 0)) == pytest.approx(43, abs=1)
    assert GOLD.youngs_modulus_gpa((2, 2, 2)) == pytest.approx(117, abs=2)
    assert material("W").youngs_modulus_gpa((1, 1, 1)) == pytest.approx(410, abs=10)  # isotropic


@pytest.mark.parametrize(
    ("name", "allowed", "forbidden"),
    [("Au", (2, 0, 0), (1, 0, 0)), ("Fe", (1, 1, 0), (1, 1, 1)), ("Si", (2, 2, 0), (2, 2, 2))],
)
def test_structures_have_their_reflections(name: str, allowed: tuple, forbidden: tuple) -> None:
    assert material(name).is_allowed(allowed)
    assert not material(name).is_allowed(forbidden)


def test_a_reflection_that_is_forbidden_or_does_not_fit_names_the_one_that_does() -> None:
    d = 0.2355
    with pytest.raises(InputError, match=r"1 0 0 is forbidden for Au \(fcc\); d = 0.2355 nm fits 1 1 1"):
        reflection_of(d, (1, 0, 0), GOLD)
    with pytest.raises(InputError, match=r"2 0 0 of Au has d = 0.2039 nm.*fits 1 1 1"):
        reflection_of(d, (2, 0, 0), GOLD)
    with pytest.raises(InputError, match="fits no reflection of Au"):
        reflection_of(0.3, None, GOLD)
    assert reflection_of(d, (-1, 1, 1), GOLD)[0] == (-1, 1, 1)
    assert reflection_of(d, None, GOLD)[0] == (1, 1, 1)
    assert reflection_of(d, None, None) == (None, "")
    with pytest.raises(InputError, match="Unobtainium"):
        material("Unobtainium")


def test_references_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match=r"the crystal has 0.2355 nm"):
        analyse(Subject(cube()), AnalysisOptions(reference="0.9"))
    with pytest.raises(InputError, match="--material"):
        analyse(Subject(cube()), AnalysisOptions(reference="table"))
    with pytest.raises(PlanError, match="length in nm"):
        AnalysisOptions(reference="big")
    with pytest.raises(PlanError, match="direct beam"):
        AnalysisOptions(hkl=(0, 0, 0))
    with pytest.raises(PlanError, match="frame"):
        AnalysisOptions(frame="moon")


def test_paths_through_a_cube_are_the_depths_along_the_ray() -> None:
    image = cube()
    path = path_before(image, np.array([0.0, 0.0, 1.0])) * 1e9
    middle = path[20, 20]
    inside = image.support[20, 20]
    first = int(np.flatnonzero(inside)[0])
    np.testing.assert_allclose(middle[inside], 5.0 * (np.flatnonzero(inside) - first + 0.5), rtol=1e-6)
    back = path_before(image, np.array([0.0, 0.0, -1.0])) * 1e9
    np.testing.assert_allclose(middle[inside] + back[20, 20][inside], 5.0 * inside.sum(), rtol=1e-6)
    slanted = path_before(image, np.array([1.0, 0.0, 1.0]) / math.sqrt(2)) * 1e9
    assert slanted[20, 20, 20] == pytest.approx(math.sqrt(2) * middle[20], rel=0.02)


def test_refraction_that_a_simulation_put_in_is_taken_out() -> None:
    """delta and k from xraydb, the phase of the path put in with the sign of exp(i k n L)."""
    import dataclasses

    import xraydb

    true = cube(1e-3)
    density = 4 * 196.96657 / 6.02214076e23 / 0.40782e-7**3
    delta, _, _ = xraydb.xray_delta_beta("Au", density, 9000.0)
    k = 2 * math.pi / (12.39841984 / 9.0 * 1e-10)
    q = true.scattering_vector
    out = np.array([0, 0, k]) + q
    path = path_before(true, np.array([0.0, 0.0, 1.0])) + path_before(true, -out / np.linalg.norm(out))
    measured = dataclasses.replace(
        true,
        phase=(true.phase - k * delta * path).astype(np.float32),
        strain=(
            true.strain + np.tensordot(q / (q @ q), gradient_inside(k * delta * path, true.support, (5e-9,) * 3), 1)
        ).astype(np.float32),
    )
    found, said = corrected(measured, GOLD, 9000.0, np.eye(3))
    assert said.largest_phase.value > 0.2
    inside = true.support
    np.testing.assert_allclose(
        found.strain[inside] - found.strain[inside].mean(), true.strain[inside] - true.strain[inside].mean(), atol=2e-6
    )
    slope = (found.phase - true.phase)[inside]  # what is left is linear: it went into Q
    r = np.argwhere(inside) - 20
    fit = np.linalg.lstsq(np.c_[r, np.ones(len(r))], slope, rcond=None)[0]
    np.testing.assert_allclose(np.c_[r, np.ones(len(r))] @ fit, slope, atol=0.01)
    assert analyse(Subject(measured, energy_ev=9000.0), AnalysisOptions(material="Au")).refraction is not None
    left = analyse(Subject(measured, energy_ev=9000.0))
    assert left.refraction is None
    assert any("--material" in note for note in left.notes)


def test_a_cube_has_its_volume_area_and_extents() -> None:
    found = analyse(Subject(cube(spread=0.02)), AnalysisOptions(isosurface=0.5)).size
    assert found.volume.value == pytest.approx(145.0**3, rel=0.01)
    assert found.area.value == pytest.approx(6 * 145.0**2, rel=0.05)
    assert found.sphericity == pytest.approx(0.806, rel=0.04)
    assert found.extents["laboratory x"].value == pytest.approx(145.0, abs=0.5)
    assert found.extents["Q"].value == pytest.approx(145.0, abs=0.5)
    assert 0 < found.volume.uncertainty < 0.1 * found.volume.value


def test_half_of_the_plateau_is_where_a_blurred_crystal_ends() -> None:
    blurred = cube(blur=1.2)
    found = analyse(Subject(blurred), AnalysisOptions(isosurface=None))
    assert found.isosurface.used == pytest.approx(0.5, abs=0.03)
    assert found.size.volume.value == pytest.approx(145.0**3, rel=0.02)


def test_layers_tell_the_surface_from_the_bulk() -> None:
    def relaxed(r: np.ndarray) -> np.ndarray:  # strain -1e-3 in the outermost 15 nm along y
        return -1e-3 * np.sign(r[..., 1]) * np.maximum(np.abs(r[..., 1]) - 57.5, 0)

    image = image_of(CUBE, np.full(6, 72.5), displacement=relaxed, spread=0.03)
    found = analyse(Subject(image), AnalysisOptions(layer_nm=15.0)).strain
    assert found is not None
    assert [layer.name for layer in found.layers] == ["surface", "layer 2", "layer 3", "bulk"]
    surface, *others = [layer.strain.mean.value for layer in found.layers]
    assert surface < -2.5e-4
    np.testing.assert_allclose(others, 0, atol=5e-5)
    assert sum(layer.strain.voxels for layer in found.layers) == image.support.sum()
    assert found.histogram.all.sum() == pytest.approx(image.support.sum(), rel=0.01)


def test_the_least_energy_of_an_even_strain_is_that_of_uniaxial_stress() -> None:
    image = image_of(CUBE, np.full(6, 72.5), displacement=lambda r: 1e-3 * r[..., 1])
    found = analyse(Subject(image), AnalysisOptions(material="Au", hkl=(1, 1, 1))).strain
    assert found is not None
    assert found.energy_density.value == pytest.approx(
        0.5 * GOLD.youngs_modulus_gpa((1, 1, 1)) * 1e9 * 1e-6 / 1e3, rel=1e-3
    )
    assert found.energy.value == pytest.approx(
        found.energy_density.value * 1e3 * image.volume * 1e-27 / 1.602176634e-19, rel=1e-6
    )


def test_uncertainties_come_from_the_spread_where_there_is_one() -> None:
    image = cube(spread=0.05)
    expected = 0.05 / (math.sqrt(2) * Q_GOLD * 5.0)
    np.testing.assert_allclose(strain_spread(image)[image.support], expected, rtol=1e-5)
    values = np.random.default_rng(0).normal(0, 1, 8000)
    found = mean_of(values, "", np.full(8000, 0.4), cells=8.0)
    assert found.mean.uncertainty == pytest.approx(0.4 / math.sqrt(1000))
    without = mean_of(values, "", None, cells=8.0)
    assert without.mean.uncertainty == pytest.approx(values.std() / math.sqrt(1000))
    assert mean_of(np.array([np.nan]), "nm").mean == Quantity(None, "nm")


def test_profiles_run_through_the_crystal_and_lines_that_miss_it_are_refused() -> None:
    found = analyse(Subject(cube(1e-3)), lines=[((0.0, -90.0, 0.0), (0.0, 90.0, 0.0))], planes=[(0.0, 0.0, 1.0)])
    line = found.profiles[-1]
    height = line.positions[:, 1]
    inside = np.isfinite(line.values["strain"])
    assert height[inside].min() == pytest.approx(-72.5, abs=5)
    np.testing.assert_allclose(line.values["strain"][inside & (height > 10)], 1e-3, rtol=1e-3)
    np.testing.assert_allclose(line.values["strain"][inside & (height < -10)], 0, atol=1e-8)
    assert found.cuts[-1].name == "plane 1"
    np.testing.assert_allclose(found.cuts[-1].normal, [0, 0, 1], atol=1e-12)
    with pytest.raises(InputError, match="misses the crystal"):
        analyse(Subject(cube()), lines=[((0.0, 200.0, 0.0), (0.0, 300.0, 0.0))])
    with pytest.raises(InputError, match="no length"):
        analyse(Subject(cube()), lines=[((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))])


def test_what_makes_an_image_doubtful_is_said() -> None:
    from autophasenn.analysis.subject import DetectorObject

    normals, relative = octahedron()
    image = image_of(normals, 75.0 * relative)
    cut = np.ones((8, 8, 8), bool)
    subject = Subject(image, DetectorObject(cut.astype(np.complex64), cut, np.eye(3) * 5e-9), is_beam_assumed=True)
    notes = " ".join(analyse(subject).notes)
    assert "cut by the edge" in notes
    assert "direct beam was assumed" in notes
    with pytest.raises(PlanError, match="between 0 and 1"):
        analyse(Subject(image), AnalysisOptions(isosurface=1.0))


def test_counting_noise_leaves_a_phase_open_by_half_of_what_the_object_makes_of_the_wave() -> None:
    """The Fisher information of the counts of a small body, against `phase_error` of the same body."""
    generator = np.random.default_rng(3)
    size, body = 12, 4
    places = np.argwhere(np.ones((body,) * 3)) + (size - body) // 2
    wave_of = np.exp(-2j * np.pi / size * np.argwhere(np.ones((size,) * 3)) @ places.T) / size**1.5  # unitary
    rho = 100 * np.exp(1j * generator.normal(0, 1, len(places)))
    wave = wave_of @ rho
    by_phase = (np.conj(wave / np.abs(wave))[:, None] * wave_of * (1j * rho)).real
    information = 4 * np.square(by_phase).sum(axis=0)  # a Poisson count tells its root to 1/2
    support = np.zeros((size,) * 3, bool)
    support[tuple(places.T)] = True
    image = replace(
        cube(spread=0.0),
        amplitude=np.where(support, 100, 0).astype(np.float32),
        phase=np.where(support, 0, np.nan).astype(np.float32),
        support=support,
        phase_spread=np.where(support, 1e-9, np.nan).astype(np.float32),
        **dict.fromkeys(("displacement", "strain", "amplitude_spread"), None),
    )
    error = phase_error(image, 1e4 * len(places), 1.0)[support]
    assert np.mean(1 / np.square(error)) == pytest.approx(information.mean(), rel=0.05)


def test_counting_noise_adds_to_the_spread_of_the_reconstructions() -> None:
    image = cube(spread=0.05)
    assert phase_error(image, None, 8.0) is image.phase_spread
    photons = 1e6
    n = photons * np.square(image.amplitude[image.support].astype(float))
    n *= 8.0 / np.square(image.amplitude[image.support].astype(float)).sum()
    expected = np.sqrt(0.05**2 + 1 / (2 * n))
    np.testing.assert_allclose(phase_error(image, photons, 8.0)[image.support], expected, rtol=1e-5)
    assert phase_error(cube(), photons, 8.0) is None
