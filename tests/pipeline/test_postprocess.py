"""The image of a crystal does not depend on what the measurement cannot tell, and its strain is the true one."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import ndimage

from autophasenn.errors import InputError, PlanError
from autophasenn.image import CrystalImage
from autophasenn.physics import fourier
from autophasenn.physics.ambiguity import translate
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.physics.strain import phase_ramp, remove_ramp
from autophasenn.pipeline.postprocess import Postprocessing, crystal_of, postprocess, statistics
from autophasenn.volumes import Pattern, Reconstruction, twin

SHAPE = (40, 48, 44)
STEPS = torch.tensor([[1.9, 0.3, -0.2], [-0.5, 2.4, 0.8], [0.4, -0.9, 2.2]], dtype=torch.float64) * 1e7
Q = torch.tensor([1.4e10, 0.6e10, -0.5e10], dtype=torch.float64)
EXPANSION = 2e4
"""Strain gradient, 1/m: eps = EXPANSION x."""


def positions():
    """Laboratory position of every detector voxel, metres."""
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in SHAPE]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) @ direct_voxel_vectors(STEPS, SHAPE)


def strain_at(x):
    return EXPANSION * x


def crystal():
    """A truncated pyramid with soft faces; u = EXPANSION x r_G - ..., so that du_G / dr_G = EXPANSION x."""
    r = positions()
    x, y, z = r.unbind(-1)
    g = Q / Q.norm()
    # u(x, r_G) with du/dx g_x + du/dy g_y + du/dz g_z = EXPANSION x:
    u = EXPANSION * x**2 / (2 * float(g[0]))
    height = 48e-9
    faces = torch.stack([x.abs() + y.abs() - 50e-9 + 0.5 * z, z.abs() - height]).amax(0)
    amplitude = torch.sigmoid(-faces / 6e-9)
    return torch.polar(amplitude, -float(Q.norm()) * u).to(torch.complex64)


def reconstruction_of(rho, photons=1e6):
    rho = rho / rho.abs().max()
    wave = fourier.diffract(rho)
    wave = wave * math.sqrt(photons / float(wave.abs().square().sum()))
    return Reconstruction(
        object=rho,
        support=rho.abs() > 0.1,
        wave=wave,
        intensity=wave.abs().square(),
        errors=torch.zeros(1, 1),
        free_errors=torch.full((1,), math.nan),
    )


def pattern_of(reconstruction, known=True):
    mask = torch.ones(SHAPE, dtype=torch.bool)
    return Pattern(reconstruction.intensity, mask, STEPS if known else None, Q if known else None)


def image_of(rho, **options):
    reconstruction = reconstruction_of(rho)
    return postprocess(reconstruction, pattern_of(reconstruction), Postprocessing(**options)).image


def tilted(rho, ramp):
    return remove_ramp(rho, -torch.tensor(ramp, dtype=torch.float64))


def about_the_middle(volume, shape):
    """The part of `shape` (odd, as every image's) with the same middle voxel."""
    return volume[tuple(slice(n // 2 - m // 2, n // 2 + m // 2 + 1) for n, m in zip(volume.shape, shape, strict=True))]


def assert_same_image(image, expected, amplitude, strain, surface=1):
    assert image.voxel_size == expected.voxel_size
    shape = np.minimum(image.support.shape, expected.support.shape)
    fields = ("amplitude", "support", "strain", "phase")
    image, expected = (
        SimpleNamespace(**{name: about_the_middle(getattr(one, name), shape) for name in fields})
        for one in (image, expected)
    )
    both = image.support & expected.support
    assert both.sum() > (1 - amplitude) * (image.support | expected.support).sum()
    assert np.abs(image.amplitude - expected.amplitude).max() < amplitude
    assert np.nanmax(np.abs(image.strain - expected.strain)[ndimage.binary_erosion(both, iterations=surface)]) < strain
    assert np.nanmax(np.abs(image.phase - expected.phase)[both]) < 0.05


TRIVIAL = {
    "phase": lambda rho: rho * complex(math.cos(2.5), math.sin(2.5)),
    "translation": lambda rho: torch.roll(rho, (3, -5, 4), (0, 1, 2)),
    "translation over the edge": lambda rho: torch.roll(rho, (20, -24, 15), (0, 1, 2)),
    "twin": twin,
    "all": lambda rho: torch.roll(twin(rho), (-3, 2, 19), (0, 1, 2)) * complex(math.cos(4.0), math.sin(4.0)),
}


@pytest.fixture(scope="module")
def expected():
    return image_of(crystal())


@pytest.mark.parametrize("change", TRIVIAL.values(), ids=TRIVIAL.keys())
def test_what_the_measurement_cannot_tell_does_not_change_the_image(change, expected):
    assert_same_image(image_of(change(crystal())), expected, amplitude=1e-3, strain=2e-6)


def test_a_fraction_of_a_voxel_does_not_move_the_image(expected):
    moved = translate(crystal(), (0.4, -0.3, 2.25))
    assert_same_image(image_of(moved), expected, amplitude=0.08, strain=5e-5, surface=3)


def test_a_ramp_moves_q_and_not_the_image(expected):
    offset = torch.tensor([0.3, -0.4, 0.2], dtype=torch.float64)  # voxels of the pattern
    ramp = [2 * math.pi * float(o) / n for o, n in zip(offset, SHAPE, strict=True)]
    image = image_of(tilted(crystal(), ramp))
    moved = torch.from_numpy(image.scattering_vector - expected.scattering_vector)
    torch.testing.assert_close(moved, offset @ STEPS, rtol=1e-3, atol=1e3)
    assert_same_image(image, expected, amplitude=5e-3, strain=1e-5)


def test_the_strain_is_the_true_one_in_the_laboratory(expected):
    grid = np.indices(expected.support.shape)[0] - expected.support.shape[0] // 2
    x = grid * expected.voxel_size[0]
    true = strain_at(x)
    inner = ndimage.binary_erosion(expected.support, iterations=3)
    found, true = expected.strain[inner], true[inner]
    slope, _ = np.polyfit(true, found, 1)
    # The canonical image may be the twin: strain at -r.
    assert abs(slope) == pytest.approx(1.0, abs=0.01)
    assert np.abs((found - found.mean()) - slope * (true - true.mean())).max() < 5e-5


def test_the_mean_strain_is_zero_and_the_mean_planes_carry_it(expected):
    expansion = 5e-4
    r_g = positions() @ (Q / Q.norm())
    u = expansion * r_g
    stretched = crystal() * torch.polar(torch.ones_like(u), -float(Q.norm()) * u).to(torch.complex64)
    image = image_of(stretched)
    assert_same_image(image, expected, amplitude=0.01, strain=2e-5)
    ratio = statistics(image)["d_spacing_nm"] / statistics(expected)["d_spacing_nm"]
    assert ratio - 1 == pytest.approx(expansion, rel=2e-3)
    assert abs(statistics(image)["strain"]["mean"]) < 2e-5


def test_without_ramp_removal_strain_is_relative_to_the_central_voxel():
    expansion = 3e-4
    u = expansion * (positions() @ (Q / Q.norm()))
    stretched = crystal() * torch.polar(torch.ones_like(u), -float(Q.norm()) * u).to(torch.complex64)
    kept, removed = image_of(stretched, ramp_removal=False), image_of(stretched)
    np.testing.assert_array_equal(kept.scattering_vector, Q.numpy())
    # What is left of the mean strain is that of the bent crystal itself.
    own = 1 - np.linalg.norm(image_of(crystal()).scattering_vector) / float(Q.norm())
    difference = statistics(kept)["strain"]["mean"] - statistics(removed)["strain"]["mean"]
    assert difference == pytest.approx(expansion + own, abs=1e-5)


def test_displacement_is_minus_phase_over_q_and_strain_its_derivative(expected):
    q = np.linalg.norm(expected.scattering_vector)
    np.testing.assert_allclose(expected.displacement, -expected.phase / q, rtol=1e-5)
    slopes = np.gradient(expected.displacement.astype(float), *expected.voxel_size)
    along_g = sum(g * slope for g, slope in zip(expected.scattering_vector / q, slopes, strict=True))
    inner = expected.support & (expected.amplitude > 0.9)
    np.testing.assert_allclose(expected.strain[inner], along_g[inner], atol=2e-6)


def test_nothing_is_known_outside_the_crystal(expected):
    for field in (expected.phase, expected.displacement):
        np.testing.assert_array_equal(np.isnan(field), ~expected.support)
    assert np.isnan(expected.strain[~expected.support]).all()


def test_the_mean_phase_is_zero(expected):
    assert abs(np.nanmean(expected.phase.astype(float))) < 1e-5


def test_the_surface_is_where_the_amplitude_crosses_the_threshold():
    for threshold in (0.3, 0.6):
        image = image_of(crystal(), support_threshold=threshold)
        near = ndimage.binary_dilation(image.support)
        np.testing.assert_array_equal(image.support[near], image.amplitude[near] >= threshold)


def test_a_phase_of_many_turns_comes_out_unwrapped():
    r = positions()
    rho = crystal().abs() * torch.polar(torch.ones(SHAPE, dtype=torch.float64), 1.6e15 * r[..., 1] ** 2)
    image = image_of(rho.to(torch.complex64))
    assert np.nanmax(image.phase) - np.nanmin(image.phase) > 2 * math.pi
    for axis in range(3):
        assert np.nanmax(np.abs(np.diff(image.phase, axis=axis))) < math.pi


@pytest.mark.parametrize("change", TRIVIAL.values(), ids=TRIVIAL.keys())
def test_the_canonical_reconstruction_still_reproduces_its_pattern(change):
    start = reconstruction_of(change(crystal()))
    canonical = postprocess(start, pattern_of(start), Postprocessing()).reconstruction
    wave = fourier.diffract(canonical.object)
    scale = float(start.wave.norm() / start.object.norm())
    torch.testing.assert_close(canonical.wave, wave * scale, rtol=0.0, atol=1e-3 * float(start.wave.abs().max()))
    torch.testing.assert_close(canonical.wave.abs(), start.wave.abs(), rtol=1e-4, atol=1e-3)
    assert torch.equal(canonical.intensity, start.intensity)
    assert torch.equal(canonical.support, canonical.object.abs() > 0.1)


@pytest.mark.parametrize("change", TRIVIAL.values(), ids=TRIVIAL.keys())
def test_the_canonical_reconstruction_is_the_same_from_every_twin_place_and_phase(change):
    start, other = reconstruction_of(crystal()), reconstruction_of(change(crystal()))
    first = postprocess(start, pattern_of(start), Postprocessing()).reconstruction
    second = postprocess(other, pattern_of(other), Postprocessing()).reconstruction
    torch.testing.assert_close(second.object, first.object, rtol=0.0, atol=1e-4)
    assert torch.equal(second.support, first.support)


def test_the_canonical_reconstruction_keeps_its_ramp():
    start = reconstruction_of(tilted(crystal(), [0.05, -0.03, 0.02]))
    canonical = postprocess(start, pattern_of(start), Postprocessing()).reconstruction
    torch.testing.assert_close(
        phase_ramp(canonical.object, canonical.support), phase_ramp(start.object, start.support), rtol=1e-4, atol=1e-6
    )


def test_the_crystal_is_one_piece():
    rho = crystal()
    rho[2:4, 3:6, 3:6] = 0.9
    reconstruction = reconstruction_of(rho)
    inside = crystal_of(reconstruction, 0.3)
    assert not inside[:5, :7, :7].any()
    assert int(inside.sum()) == int((crystal().abs() / crystal().abs().max() >= 0.3).sum())


def test_without_geometry_the_image_has_voxel_units_on_the_detectors_grid():
    reconstruction = reconstruction_of(TRIVIAL["all"](crystal()))
    done = postprocess(reconstruction, pattern_of(reconstruction, known=False), Postprocessing())
    canonical, image = done.reconstruction, done.image
    assert image.voxel_size is None
    assert image.scattering_vector is None
    assert image.displacement is None
    assert image.strain is None
    inside = crystal_of(canonical, 0.3)
    window = tuple(slice(n // 2 - m // 2, n // 2 + m // 2 + 1) for n, m in zip(SHAPE, image.support.shape, strict=True))
    np.testing.assert_array_equal(image.support, inside[window].numpy())
    np.testing.assert_allclose(image.amplitude, canonical.object.abs()[window].numpy(), atol=1e-6)
    assert int(inside.sum()) == image.support.sum()


@pytest.mark.parametrize("known", [True, False], ids=["laboratory", "detector grid"])
@pytest.mark.parametrize("change", TRIVIAL.values(), ids=TRIVIAL.keys())
def test_the_uncertainties_lie_where_the_crystal_lies(change, known):
    """The amplitude given as an uncertainty comes out as the amplitude of the image, whatever the data cannot tell."""
    start = reconstruction_of(change(crystal()))
    spread = torch.where(start.support, start.object.abs(), torch.nan)
    start = dataclasses.replace(start, amplitude_spread=spread, phase_spread=2 * spread)
    image = postprocess(start, pattern_of(start, known), Postprocessing()).image
    assert np.isnan(image.amplitude_spread[~image.support]).all()
    assert np.isnan(image.phase_spread[~image.support]).all()
    for values in (image.amplitude_spread, image.phase_spread / 2):
        difference = np.abs(values - image.amplitude)[
            image.support
        ]  # a voxel beside it would differ by 0.08 on average
        assert difference.mean() < (0.02 if known else 1e-6)


def test_without_several_orientations_there_are_no_uncertainties():
    assert image_of(crystal()).phase_spread is None
    assert image_of(crystal()).amplitude_spread is None


def test_a_guessed_twin_is_said():
    r = positions().norm(dim=-1)
    ball = torch.sigmoid((50e-9 - r) / 6e-9).to(torch.complex64)
    guessed, clear = (reconstruction_of(rho) for rho in (ball, crystal()))
    assert "centrosymmetric" in " ".join(postprocess(guessed, pattern_of(guessed), Postprocessing()).warnings)
    assert postprocess(clear, pattern_of(clear), Postprocessing()).warnings == ()


def test_an_empty_reconstruction_is_refused():
    start = reconstruction_of(crystal())
    empty = dataclasses.replace(start, support=torch.zeros(SHAPE, dtype=torch.bool))
    with pytest.raises(InputError, match="no amplitude inside its support"):
        postprocess(empty, pattern_of(start), Postprocessing())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"support_threshold": 1.2}, "support_threshold is 1.2"),
        ({"support_threshold": 0.0}, "support_threshold is 0"),
        ({"voxel_size_nm": -1.0}, "voxel_size_nm is -1"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(PlanError, match=words):
        Postprocessing(**options)


def test_the_voxel_size_can_be_chosen():
    assert image_of(crystal(), voxel_size_nm=6.0).voxel_size == pytest.approx((6e-9,) * 3)


@pytest.mark.parametrize("asked", [25.0, 1e9])
def test_voxels_as_large_as_the_crystal_are_refused_in_words_and_the_image_is_not_lost(asked: float) -> None:
    """The crystal is 96 nm high."""
    reconstruction = reconstruction_of(crystal())
    found = postprocess(reconstruction, pattern_of(reconstruction), Postprocessing(voxel_size_nm=asked))
    expected = image_of(crystal())
    assert found.image.voxel_size == expected.voxel_size
    assert found.image.support.sum() == expected.support.sum() > 1000
    assert any("too large for this crystal" in sentence for sentence in found.warnings)


def test_statistics_tell_the_volume_and_leave_the_surface_out():
    support = np.zeros((7, 7, 7), bool)
    support[1:6, 1:6, 1:6] = True
    strain = np.where(support, 1.0, np.nan).astype(np.float32)
    strain[2:5, 2:5, 2:5] = 1e-4
    image = CrystalImage(
        amplitude=support.astype(np.float32),
        phase=np.where(support, 0, np.nan).astype(np.float32),
        support=support,
        displacement=np.where(support, 2e-11, np.nan).astype(np.float32),
        strain=strain,
        voxel_size=(4e-9, 5e-9, 6e-9),
        scattering_vector=np.array([0.0, 0.0, 2e10]),
    )
    facts = statistics(image)
    assert facts["support_voxels"] == 125
    assert facts["volume_nm3"] == pytest.approx(125 * 120)
    assert facts["strain"]["mean"] == pytest.approx(1e-4)
    assert facts["strain"]["std"] == pytest.approx(0, abs=1e-9)
    assert facts["displacement_nm"]["p99"] == pytest.approx(0.02)
    assert facts["q_per_nm"] == pytest.approx(20)
    assert facts["d_spacing_nm"] == pytest.approx(2 * math.pi / 20)
    assert statistics(image, surface_voxels=0)["strain"]["p99"] == pytest.approx(1.0)


def test_statistics_without_geometry_are_unknown_not_missing():
    support = np.ones((3, 3, 3), bool)
    facts = statistics(CrystalImage(support.astype(np.float32), np.zeros((3, 3, 3), np.float32), support))
    assert facts["support_voxels"] == 27
    for name in ("volume_nm3", "voxel_size_nm", "q_per_nm", "d_spacing_nm", "strain", "displacement_nm"):
        assert facts[name] is None


@pytest.mark.parametrize("voxels", [1, 7])
def test_a_crystal_of_a_voxel_is_a_failure_and_no_result(voxels):
    rho = torch.zeros(SHAPE, dtype=torch.complex64)
    rho[8, 8, 8 : 8 + voxels] = 1
    found = reconstruction_of(rho)
    with pytest.raises(InputError, match=rf"a crystal of {voxels} voxels?, which is none.*dark level"):
        postprocess(found, pattern_of(found), Postprocessing())
