"""Laws of the simulated measurement."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from autophasenn.crystals.shapes import clipped_block, polyhedron
from autophasenn.errors import InputError
from autophasenn.experiment.beam import Coherence, Shape
from autophasenn.experiment.detectors import Window
from autophasenn.experiment.experiment import BEAMLINE, Conditions, Experiment, Samples, measure, simulate
from autophasenn.experiment.stray_light import Alien, Haze
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import twin

VOXEL = 0.816e-9


class Blocks:
    """Clipped cubes with two waves of phase of the given amplitude (rad)."""

    def __init__(self, phase: float = 2.0) -> None:
        self.phase = phase

    def objects(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
        x = ((torch.arange(32) - 16) * VOXEL).double()
        positions = torch.stack(torch.meshgrid(x, x, x, indexing="ij"), -1)
        objects = []
        for index in indices:
            generator = generator_of(seed, index, Stream.CRYSTAL)
            facets = clipped_block(generator)
            waves = torch.randn(2, 3, generator=generator, dtype=torch.float64) * 2e8
            phase = self.phase * torch.sin(positions @ waves[0] + 1) * torch.cos(positions @ waves[1])
            amplitude = polyhedron(positions, facets.normals, facets.distances, VOXEL)
            objects.append(torch.polar(amplitude, phase).to(torch.complex64))
        return torch.stack(objects).to(device)

    def provenance(self) -> dict[str, Any]:
        return {"name": "blocks"}


def calculated(samples: Samples) -> torch.Tensor:
    return intensity_of(diffract_padded(samples.objects, (64, 64, 64)))


def relative_chi2(samples: Samples) -> torch.Tensor:
    """chi2 of the truth over what the counting noise alone gives."""
    intensity = calculated(samples)
    scale = metrics.best_scale(intensity, samples.counts, samples.masks).square()[:, None, None, None]
    chi2 = metrics.chi2_of_intensity(intensity, samples.counts, samples.masks)
    return chi2 / metrics.chi2_noise(intensity * scale, samples.counts, samples.masks)


def pattern(
    conditions: Conditions, phase: float = 2.0, seed: int = 5
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return measure(Blocks(phase).objects(seed, [0])[0], conditions, torch.Generator().manual_seed(seed))


def test_total_counts_equal_the_dose() -> None:
    samples = simulate(Blocks(), Experiment(), 1, range(4))
    for index, counts in enumerate(samples.counts):
        photons = Experiment().draw(1, index).photons
        assert 1e6 <= photons <= 1e8
        assert abs(float(counts.sum(dtype=torch.float64)) - photons) < 5 * photons**0.5
        assert (counts == counts.round()).all()


GAPS = Experiment(photons=(1e5, 1e9), peak_offset=0.5, on_detector=1.0)
GAP_OVER_PEAK = Experiment(
    peak_offset=0.5, on_detector=1.0, detectors=("maxipix", "merlin-quad"), binning=(1,), gap_over_peak=True
)


@pytest.mark.parametrize(
    "experiment",
    [Experiment(), GAPS, GAP_OVER_PEAK],
    ids=["paper", "offset, gaps and bad pixels", "a gap over the peak"],
)
def test_the_truth_fits_its_pattern_as_well_as_the_noise_allows(experiment: Experiment) -> None:
    samples = simulate(Blocks(), experiment, 2, range(8))
    assert ((relative_chi2(samples) - 1).abs() < 0.05).all()
    peaks = torch.where(samples.masks, samples.counts, -1).flatten(1).argmax(1)
    assert (peaks == (32 * 64 + 32) * 64 + 32).all()
    torch.testing.assert_close(samples.objects.abs().amax((1, 2, 3)), torch.ones(8))
    assert (samples.counts[~samples.masks] == 0).all()


def test_the_truth_follows_the_peak_wherever_it_was() -> None:
    """A crystal whose peak lies far off centre, by a whole number of voxels and a fraction."""
    ramp = torch.exp(2j * torch.pi * 9.3 / 64 * (torch.arange(32) - 16))
    rho = Blocks().objects(1, [0])[0]
    counts, mask, truth = measure(rho * ramp[:, None], Conditions(1e8), torch.Generator().manual_seed(1))
    assert ((relative_chi2(Samples(counts[None], mask[None], truth[None])) - 1).abs() < 0.05).all()
    assert counts.argmax() == (32 * 64 + 32) * 64 + 32


def test_an_unstrained_crystal_has_a_centrosymmetric_pattern() -> None:
    counts, _, _ = pattern(Conditions(1e8), phase=0.0)
    difference = (counts - twin(counts)) / (counts + twin(counts)).clamp_min(1).sqrt()
    assert 0.8 < float(difference[counts > 20].std()) < 1.2
    strained, _, _ = pattern(Conditions(1e8))
    assert float(((strained - twin(strained)) / (strained + twin(strained)).clamp_min(1).sqrt()).std()) > 3


def test_friedel_the_twin_has_the_inverted_pattern() -> None:
    rho = Blocks().objects(3, [1])[0]
    calculated = intensity_of(diffract_padded(torch.stack([rho, rho.conj().resolve_conj()]), (64, 64, 64)))
    torch.testing.assert_close(calculated[1], twin(calculated[0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("shape", get_args(Shape))
@pytest.mark.parametrize("apart", [(31, 0, 0), (0, 0, 5), (0, 12, 0), (0, 31, 31), (20, -9, 15)])
def test_the_fringes_of_two_points_have_the_visibility_that_the_degree_of_coherence_states(
    shape: Any, apart: tuple[int, int, int]
) -> None:
    """Young's experiment: |1 + exp(i q.x)|^2 becomes 2 + 2 gamma(x) cos(q.x)."""
    lengths = (30.0, 12.0, 60.0)
    rho = torch.zeros(32, 32, 32, dtype=torch.complex64)
    start = tuple(31 if x < 0 else 0 for x in apart)
    rho[start] = 1
    rho[tuple(s + x for s, x in zip(start, apart, strict=True))] = 1
    intensity = intensity_of(diffract_padded(rho, (64, 64, 64)))
    blurred = Coherence(shape, lengths).blur(intensity)
    squared = sum((x / length) ** 2 for x, length in zip(apart, lengths, strict=True))
    gamma = math.exp(-squared / 2) if shape == "gaussian" else math.exp(-math.sqrt(squared))
    mean = intensity.mean()
    torch.testing.assert_close(blurred, mean + gamma * (intensity - mean), rtol=1e-4, atol=1e-4 * float(mean))


@pytest.mark.parametrize("shape", get_args(Shape))
def test_the_autocorrelation_is_multiplied_by_the_degree_of_coherence_and_nothing_is_negative(shape: Any) -> None:
    lengths = (10.0, 25.0, 60.0)
    x = torch.arange(-32, 32, dtype=torch.float64)
    squared = sum(
        ((p / length) ** 2 for p, length in zip(torch.meshgrid(x, x, x, indexing="ij"), lengths, strict=True))
    )
    assert isinstance(squared, torch.Tensor)
    gamma = torch.exp(-squared / 2) if shape == "gaussian" else torch.exp(-squared.sqrt())
    intensity = intensity_of(diffract_padded(Blocks().objects(5, [0])[0], (64, 64, 64)))
    expected = torch.fft.ifftn(torch.fft.fftn(intensity.double()) * torch.fft.ifftshift(gamma)).real
    highest = float(expected.max())
    assert float(expected.min()) > -1e-9 * highest
    torch.testing.assert_close(
        Coherence(shape, lengths).blur(intensity).double(), expected, rtol=1e-5, atol=1e-6 * highest
    )


@pytest.mark.parametrize("shape", get_args(Shape))
def test_partial_coherence_keeps_the_total_and_lowers_the_contrast(shape: Any) -> None:
    contrasts = []
    for coherence in (None, Coherence(shape, (30.0, 30.0, 30.0)), Coherence(shape, (12.0, 12.0, 12.0))):
        counts, _, _ = pattern(Conditions(1e9, coherence=coherence))
        assert abs(float(counts.sum(dtype=torch.float64)) / 1e9 - 1) < 3e-4
        contrasts.append(float(counts.double().square().sum()))
    assert contrasts[0] > 1.001 * contrasts[1] > 1.01 * contrasts[2]


def test_background_adds_its_counts_to_every_voxel() -> None:
    bare, _, _ = pattern(Conditions(1e6))
    flat, _, _ = pattern(Conditions(1e6, background=0.1))
    assert abs(float(flat.sum() - bare.sum()) - 0.1 * 64**3) < 5 * 2e6**0.5
    hazy, _, _ = pattern(Conditions(1e6, haze=Haze(0.5, (20.0, 0.0, 0.0), (10.0, 60.0, 60.0))))
    assert float(hazy[44:60].sum() - bare[44:60].sum()) > 10 * abs(float(hazy[:16].sum() - bare[:16].sum()))


AXES = ((0.8, 0.6, 0.0), (-0.6, 0.8, 0.0), (0.0, 0.0, 1.0))


@pytest.mark.parametrize("kind", ["peak", "streak", "ring"])
def test_an_alien_is_seen_where_it_lies_unless_it_is_masked(kind: Any) -> None:
    alien = Alien(kind, (18.0, -10.0, 5.0), AXES, (3.0, 3.0, 3.0), 60.0, 0.05, masked=False)
    bare, _, _ = pattern(Conditions(1e7))
    counts, mask, _ = pattern(Conditions(1e7, alien=alien))
    assert mask.all()
    assert float(counts[50, 22, 37]) == pytest.approx(0.05 * float(bare.max()), rel=0.1)
    hidden, mask, truth = pattern(Conditions(1e7, alien=replace(alien, masked=True)))
    assert not mask[50, 22, 37]
    assert mask[32, 32, 32]
    assert mask.float().mean() > 0.8
    left = Samples(hidden[None], mask[None], truth[None])
    assert (
        relative_chi2(left)
        < 1.3
        < relative_chi2(replace(left, counts=counts[None], masks=torch.ones(1, 64, 64, 64) > 0))
    )


def test_a_gap_does_not_measure_in_any_frame() -> None:
    counts, mask, _ = pattern(Conditions(1e7, window=Window("maxipix", (210, 100))))
    assert not mask[:, 45:51].any()
    assert int((~mask).sum()) == 64 * 6 * 64
    assert counts[:, 45:51].sum() == 0


def shifted(mask: torch.Tensor, shift: tuple[int, ...]) -> torch.Tensor:
    """What a detector that ends at its edges measures once its window has moved."""
    padded = torch.nn.functional.pad(mask, (1, 1) * 3)
    return padded[tuple(slice(1 - s, 65 - s) for s in shift)]


def test_a_gap_over_the_peak_hides_the_brightest_voxel_of_its_pattern() -> None:
    samples = simulate(Blocks(), GAP_OVER_PEAK, 3, range(6))
    whole = torch.stack([intensity_of(diffract_padded(rho, (64, 64, 64))) for rho in samples.objects])
    hidden = torch.where(samples.masks, 0.0, whole).flatten(1).amax(1)
    assert (hidden > torch.where(samples.masks, whole, 0.0).flatten(1).amax(1)).all()


def test_nothing_was_measured_beyond_the_edge_over_which_the_peak_is_recentred() -> None:
    """A gap at the edge of the window, and peaks between voxels, of which the noise makes any the brightest."""
    window = Window("maxipix", (196, 195), bad=((20, 20, 3, 1),))
    unmoved = window.mask().expand(64, 64, 64)
    assert not unmoved[0, 59:].any()
    moves = [move for move in itertools.product((-1, 0, 1), repeat=3) if any(move)]
    met = 0
    for seed in range(6):
        conditions = Conditions(1e5, (0.499, 0.499, 0.499), background=0.5, window=window)
        counts, mask, _ = pattern(conditions, phase=0.0, seed=seed)
        assert (counts[~mask] == 0).all()
        assert counts.argmax() == (32 * 64 + 32) * 64 + 32
        if torch.equal(mask, unmoved):
            continue
        met += 1
        assert sum(torch.equal(mask, shifted(unmoved, move)) for move in moves) == 1
        bright = replace(conditions, background=0.0)
        alone = Samples(*(part[None] for part in pattern(bright, phase=0.0, seed=seed)))
        assert float((relative_chi2(alone) - 1).abs()) < 0.05
    assert met >= 3


def test_a_pattern_without_a_mask_repeats_beyond_its_edge() -> None:
    """The truth explains each voxel, those too that the second recentring brings in."""
    shifts = 0
    for seed in range(4):
        rho = Blocks(0.0).objects(seed, [0])[0]
        conditions = Conditions(1e5, (0.499, 0.499, 0.499))
        counts, mask, truth = measure(rho, conditions, torch.Generator().manual_seed(seed))
        assert mask.all()
        total = (truth * rho.conj())[15:17, 16, 16].angle().diff().item() * 64 / (2 * math.pi)
        shifts += round(total - 0.499) != 0
        assert abs(float(counts.sum()) - 1e5) < 5 * 1e5**0.5
        assert float((relative_chi2(Samples(counts[None], mask[None], truth[None])) - 1).abs()) < 0.05
    assert shifts


def test_all_conditions_of_the_beamline_are_met_and_keep_the_peak() -> None:
    drawn = [BEAMLINE.draw(7, index) for index in range(60)]
    for name in ("coherence", "background", "haze", "alien", "window"):
        assert 0 < sum(bool(getattr(conditions, name)) for conditions in drawn) < 60
    assert all(1e5 <= conditions.photons <= 1e9 for conditions in drawn)
    samples = simulate(Blocks(), BEAMLINE, 7, range(12))
    assert (torch.where(samples.masks, samples.counts, -1).flatten(1).argmax(1) == (32 * 64 + 32) * 64 + 32).all()
    assert samples.masks.float().mean((1, 2, 3)).min() > 0.5


@pytest.mark.parametrize("experiment", [Experiment(), BEAMLINE], ids=["paper", "beamline"])
def test_a_sample_is_the_same_in_every_batch(experiment: Experiment) -> None:
    together, apart = simulate(Blocks(), experiment, 3, [0, 1, 2]), simulate(Blocks(), experiment, 3, [2])
    for name in ("counts", "masks", "objects"):
        assert torch.equal(getattr(together, name)[2], getattr(apart, name)[0])
    other = simulate(Blocks(), experiment, 4, [2])
    assert not torch.equal(other.counts, apart.counts)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    alone = simulate(Blocks(), BEAMLINE, 7, range(4))
    torch.set_num_threads(2)
    try:
        together = simulate(Blocks(), BEAMLINE, 7, range(4))
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone.counts, together.counts)
    assert torch.equal(alone.objects, together.objects)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"photons": (1e8, 1e6)}, "give the least first"),
        ({"photons": (0.0, 1e6)}, "above 0"),
        ({"peak_offset": 1.0}, "0 to 0.5"),
        ({"with_alien": 1.5}, "0 to 1"),
        ({"detectors": ("ccd",)}, "unknown"),
        ({"binning": (9,)}, "give 1, 2, 3, 4, 5, 6, 7"),
        ({"detectors": ()}, "no detector to choose from"),
        ({"binning": ()}, "no binning to choose from"),
        ({"photons": (1e6, 5e9)}, "give fewer photons"),
        ({"photons": (1e6, 4e9), "with_alien": 0.1}, "give fewer photons"),
        ({"with_background": 0.1, "background": (1.0, 1e10)}, "give fewer photons"),
        ({"photons": (1e6, math.nan)}, "above 0"),
        ({"haze": (-1.0, 1.0)}, "above 0"),
        ({"bad_pixels": (0.1, 2.0)}, "up to 1"),
        ({"on_detector": math.nan}, "0 to 1"),
        ({"peak_offset": math.nan}, "0 to 0.5"),
    ],
)
def test_ranges_that_cannot_be_drawn_are_said(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Experiment(**options)


def test_no_index_is_said() -> None:
    with pytest.raises(InputError, match="at least one index"):
        simulate(Blocks(), Experiment(), 1, [])


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: Conditions(math.nan), "photons is nan"),
        (lambda: Conditions(-1.0), "photons is -1"),
        (lambda: Conditions(1e6, background=-0.1), "background is -0.1"),
        (lambda: Conditions(1e6, (0.0, math.inf, 0.0)), "offset of the peak"),
        (lambda: Coherence("gaussian", (1.0, 0.0, 1.0)), "coherence length is 0"),
        (lambda: Haze(0.1, (0.0, 0.0, 0.0), (1.0, math.nan, 1.0)), "width of a haze is nan"),
        (lambda: Alien("peak", (20.0, 0.0, 0.0), AXES, (0.0, 1.0, 1.0), 60.0, 0.1, True), "width of an alien is 0"),
    ],
)
def test_conditions_that_cannot_be_are_said(made: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        made()


@pytest.mark.parametrize(("seed", "index"), [(2**32 + 5, 0), (-1, 0), (3, 2**32), (3, -1)])
def test_seeds_and_indices_that_would_draw_the_numbers_of_others_are_refused(seed: int, index: int) -> None:
    with pytest.raises(InputError, match="give a whole number from 0 to 4294967295"):
        generator_of(seed, index, Stream.CRYSTAL)
    assert generator_of(2**32 - 1, 2**32 - 1, Stream.CRYSTAL).initial_seed() >= 0
