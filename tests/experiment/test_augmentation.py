"""Augmented patterns against the patterns of the transformed crystals, which are known here."""

import numpy as np
import pytest
import torch

from autophasenn.crystals.sampling import random_rotation
from autophasenn.errors import InputError
from autophasenn.experiment.augmentation import Augmentation, Transformation, augment, transform
from autophasenn.experiment.counting import poisson_counts
from autophasenn.experiment.regridding import autocorrelation_reach, regrid
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract, diffract_padded
from autophasenn.physics.symmetry import ELEMENTS, INVERSION, inverse, matrix, symmetry
from autophasenn.volumes import Pattern, crop_or_pad, twin

SHAPES = [(8, 8, 8), (7, 9, 5), (6, 7, 8)]
PEAK = torch.tensor([0.2, 0.05, 0.2])
ALL = torch.ones(64, 64, 64, dtype=torch.bool)


def noise(shape: tuple[int, int, int]) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))


def crystal(new_from_old: torch.Tensor | None = None, oversampling: float = 3.0) -> torch.Tensor:
    """A faceted, strained object (64, 64, 64), mapped: its pattern at M k is that of the plain one at k."""
    r = torch.arange(64, dtype=torch.float64) - 32
    positions = torch.stack(torch.meshgrid(r, r, r, indexing="ij"), -1)
    if new_from_old is not None:
        positions = positions @ new_from_old  # rho'(r) = rho(M^T r)
    generator = torch.Generator().manual_seed(3)
    normals = torch.nn.functional.normalize(torch.randn(12, 3, generator=generator, dtype=torch.float64), dim=1)
    half = 32 / oversampling
    distances = half * (0.6 + 0.4 * torch.rand(12, generator=generator, dtype=torch.float64))
    depth = (distances - positions @ normals.T).amin(-1)
    inside = torch.minimum(depth, half - positions.abs().amax(-1))
    x, y, z = (positions / half).unbind(-1)
    phase = 1.5 * torch.sin(2 * x + y + 0.5) * torch.cos(2.5 * z - y)
    phase = phase + positions @ PEAK.double() * (
        -2 * torch.pi * oversampling / 64
    )  # puts the peak of the plain one in the middle
    return torch.polar(torch.sigmoid(2 * inside), phase).to(torch.complex64)


def counted(rho: torch.Tensor, photons: float, mask: torch.Tensor = ALL) -> Pattern:
    intensity = intensity_of(diffract(rho))
    counts = poisson_counts(intensity * (photons / intensity.sum()), torch.Generator().manual_seed(7))
    return Pattern(counts, mask, torch.eye(3).double(), torch.zeros(3).double())


def relative_chi2(rho: torch.Tensor, pattern: Pattern) -> float:
    """chi2 of an object over what the noise alone gives."""
    assert pattern.reciprocal_steps is not None
    assert pattern.scattering_vector is not None
    recentred = pattern.scattering_vector @ torch.linalg.inv(pattern.reciprocal_steps)
    intensity = torch.roll(intensity_of(diffract(rho)), (-recentred.round().int()).tolist(), (0, 1, 2))
    scale = metrics.best_scale(intensity, pattern.counts, pattern.mask).square()
    chi2 = metrics.chi2_of_intensity(intensity, pattern.counts, pattern.mask)
    return float(chi2 / metrics.chi2_noise(intensity * scale, pattern.counts, pattern.mask))


def test_the_48_elements_are_a_group() -> None:
    matrices = {tuple(matrix(element).flatten().tolist()) for element in range(ELEMENTS)}
    assert len(matrices) == ELEMENTS
    products = matrix(13) @ torch.stack([matrix(element) for element in range(ELEMENTS)])
    assert {tuple(product.flatten().tolist()) for product in products} == matrices
    torch.testing.assert_close(matrix(0), torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(matrix(INVERSION), -torch.eye(3, dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_element_is_undone_by_its_inverse_and_maps_the_pattern_as_the_object(shape: tuple[int, int, int]) -> None:
    rho = noise(shape)
    for element in range(ELEMENTS):
        moved = symmetry(rho, element)
        assert torch.equal(symmetry(moved, inverse(element)), rho)
        torch.testing.assert_close(diffract(moved), symmetry(diffract(rho), element))


def test_an_element_moves_voxels_as_its_matrix_says() -> None:
    for element in range(ELEMENTS):
        volume = torch.zeros(8, 8, 8)
        volume[6, 3, 5] = 1  # at (2, -1, 1) from the middle
        place = torch.nonzero(symmetry(volume, element))[0] - 4
        torch.testing.assert_close(place.double(), matrix(element) @ torch.tensor([2.0, -1.0, 1.0]).double())


@pytest.mark.parametrize("shape", SHAPES)
def test_friedel_the_inverted_pattern_is_that_of_the_conjugate_object(shape: tuple[int, int, int]) -> None:
    rho = noise(shape)
    inverted = symmetry(intensity_of(diffract(rho)), INVERSION)
    torch.testing.assert_close(inverted, intensity_of(diffract(rho.conj().resolve_conj())))
    torch.testing.assert_close(inverted, twin(intensity_of(diffract(rho))))


def test_in_its_box_an_object_transforms_as_in_the_whole_field() -> None:
    rho = crop_or_pad(noise((31, 31, 31)), (32, 32, 32))  # index 0 is empty
    for element in (1, 7, 20, 45):
        whole = crop_or_pad(symmetry(rho, element), (64, 64, 64))
        assert torch.equal(whole, symmetry(crop_or_pad(rho, (64, 64, 64)), element))
        moved = symmetry(diffract_padded(rho, (64, 64, 64)), element)
        torch.testing.assert_close(diffract_padded(symmetry(rho, element), (64, 64, 64)), moved, atol=1e-5, rtol=1e-4)


def test_mirrored_counts_are_the_measured_ones_and_the_gap_goes_with_them() -> None:
    mask = ALL.clone()
    mask[:, 40:46] = False
    pattern = counted(crystal(), 1e6, mask)
    mirrored = transform(pattern, Transformation(element=20))
    assert torch.equal(mirrored.mask, symmetry(mask, 20))
    assert torch.equal(mirrored.counts[mirrored.mask], symmetry(pattern.counts, 20)[mirrored.mask])
    assert mirrored.counts[~mirrored.mask].sum() == 0


@pytest.mark.parametrize(
    ("oversampling", "photons", "tolerance"), [(2.5, 1e5, 0.12), (2.5, 1e7, 0.35), (4.0, 1e5, 0.05), (4.0, 1e7, 0.12)]
)
def test_a_turned_pattern_is_that_of_the_turned_crystal(oversampling: float, photons: float, tolerance: float) -> None:
    """Its chi2 is that of the noise, but for what the interpolation smears of coarsely sampled speckles."""
    rotation = random_rotation(torch.Generator().manual_seed(5))
    zoom = (1.15, 1.0, 1.3)
    turned = transform(counted(crystal(None, oversampling), photons), Transformation(11, rotation, zoom))
    turn = torch.diag(torch.tensor(zoom).double()) @ rotation @ matrix(11)
    expected = crystal(turn, oversampling)
    assert 0.6 < turned.mask.float().mean() < 1
    assert relative_chi2(expected, turned) == pytest.approx(1, abs=tolerance)
    assert relative_chi2(crystal(rotation, oversampling), turned) > 3


@pytest.mark.parametrize("rate", [0.02, 0.6, 4.0, 7.0, 1e4])
def test_interpolated_counts_keep_the_statistics_of_photons(rate: float) -> None:
    counts = poisson_counts(torch.full((64, 64, 64), rate), torch.Generator().manual_seed(2)).numpy()
    rotation = random_rotation(torch.Generator().manual_seed(6)).numpy()
    new, mask = regrid(counts, ALL.numpy(), rotation, np.random.default_rng(1))
    values = new[mask].astype(np.float64)
    assert np.array_equal(values, np.round(values))
    assert values.mean() == pytest.approx(rate, rel=0.05)
    assert values.var() == pytest.approx(values.mean(), rel=0.12)


def test_unmeasured_voxels_stay_unmeasured_and_their_values_mean_nothing() -> None:
    mask = ALL.clone()
    mask[:, 40:46] = False
    mask[:, 20, 25] = False
    rotation = random_rotation(torch.Generator().manual_seed(8))
    pattern = counted(crystal(), 1e7, mask)
    spoilt = Pattern(torch.where(mask, pattern.counts, 1e9), mask)
    first, second = (transform(p, Transformation(0, rotation)) for p in (pattern, spoilt))
    assert torch.equal(first.mask, second.mask)
    assert torch.equal(first.counts, second.counts)
    k = torch.stack(torch.meshgrid(*[torch.arange(64) - 32] * 3, indexing="ij"), -1).double()
    rows = (k @ rotation)[..., 1] + 32  # where each new voxel lies in the old pattern
    assert not first.mask[(rows > 39.01) & (rows < 45.99)].any()
    assert first.mask[(rows > 30) & (rows < 38) & (k.norm(dim=-1) < 25)].float().mean() > 0.95
    assert relative_chi2(crystal(rotation), first) < 1.2


def test_no_rotation_leaves_a_pattern_sampled_too_coarsely() -> None:
    box = torch.zeros(64, 64, 64, dtype=torch.complex64)
    box[17:48, 17:48, 17:48] = 1  # oversampling 2.06, and 1.2 along the diagonals
    pattern = counted(box, 1e8)
    assert autocorrelation_reach(pattern.counts.numpy(), np.eye(3)).max() < 0.5
    for index in range(3):
        turned = augment(pattern, 1, index, Augmentation(turned=1.0, zoom=(0.5, 0.9)))
        inside = turned.mask.float()
        assert autocorrelation_reach((turned.counts * inside).numpy(), np.eye(3)).max() <= 0.5
        assert turned.counts.argmax() == (32 * 64 + 32) * 64 + 32


def test_the_steps_in_q_follow_the_grid() -> None:
    """A bright voxel off the middle keeps its place in q."""
    steps = torch.tensor([[0.3, 0.1, 0.0], [0.0, 1.1, 0.2], [0.1, 0.0, 0.9]]).double()
    counts = torch.zeros(64, 64, 64)
    counts[32, 32, 32], counts[39, 29, 36] = 1e6, 1e5
    pattern = Pattern(counts, ALL, steps, torch.tensor([1.0, 2.0, 3.0]).double())
    place = torch.tensor([7.0, -3.0, 4.0]).double() @ steps
    mirrored = transform(pattern, Transformation(element=29))
    rotation = random_rotation(torch.Generator().manual_seed(9))
    turned = transform(pattern, Transformation(29, rotation, (1.4, 1.2, 1.1)))
    for moved, tolerance in ((mirrored, 1e-9), (turned, 1.0)):
        far = moved.counts.clone()
        far[29:36, 29:36, 29:36] = 0
        k = torch.stack(torch.unravel_index(far.argmax(), far.shape)).double() - 32
        assert moved.reciprocal_steps is not None
        assert moved.scattering_vector is not None
        assert float((k @ moved.reciprocal_steps - place).norm()) <= tolerance
        torch.testing.assert_close(moved.scattering_vector, pattern.scattering_vector)


def test_an_augmented_pattern_replays() -> None:
    pattern = counted(crystal(), 1e6)
    for index in range(4):
        first, second = (augment(pattern, 3, index) for _ in range(2))
        assert torch.equal(first.counts, second.counts)
        assert torch.equal(first.mask, second.mask)
    assert not torch.equal(augment(pattern, 3, 0).counts, augment(pattern, 4, 0).counts)
    drawn = [Augmentation().draw(3, index) for index in range(200)]
    assert len({transformation.element for transformation in drawn}) == ELEMENTS
    assert 60 < sum(transformation.rotation is not None for transformation in drawn) < 140
    assert all(0.9 <= z <= 1.4 for transformation in drawn for z in transformation.zoom)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"turned": 2.0}, "0 to 1"), ({"zoom": (1.2, 0.8)}, "least first"), ({"zoom": (0.1, 1.0)}, "0.25")],
)
def test_options_out_of_range_are_said(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Augmentation(**options)


def test_an_unknown_element_is_said() -> None:
    with pytest.raises(InputError, match="0 to 47"):
        symmetry(torch.zeros(4, 4, 4), 48)
