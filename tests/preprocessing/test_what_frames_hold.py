"""What the numbers of a file are: units, levels, ends of counters, blocks, order. Found, said, mended or refused."""

import numpy as np
import pytest

from autophasenn.errors import InputError, PlanError
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.preprocessing.corrections import Corrected, correct
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.preprocess import preprocess
from autophasenn.volumes import Scan
from crystals import expected_counts, polyhedron, smooth_phase

SHAPE = (32, 48, 48)


def counted(photons: float = 3e6, seed: int = 0, oversampling: float = 3.0) -> np.ndarray:
    """Whole counts of a strained crystal."""
    rng = np.random.default_rng(seed)
    rho = polyhedron(SHAPE, (oversampling,) * 3, rng) * np.exp(1j * smooth_phase(SHAPE, (oversampling,) * 3, rng))
    return rng.poisson(expected_counts(rho, photons))


N = counted()
PEAK = tuple(int(i) for i in np.unravel_index(N.argmax(), SHAPE))


def corrected(frames: np.ndarray, **said: object) -> Corrected:
    return correct(Scan(np.asarray(frames)), Preprocessing(**said))  # type: ignore[arg-type]


def noise(spread: float, level: float = 0.0) -> np.ndarray:
    return np.random.default_rng(9).normal(level, spread, SHAPE)


KEPT = {
    "int32": lambda n: n.astype(np.int32),
    "float32": lambda n: n.astype(np.float32),
    "two summed": lambda n: (n + np.random.default_rng(1).poisson(n)).astype(np.float32),
    "binned": lambda n: n.reshape(16, 2, 24, 2, 24, 2).sum((1, 3, 5)),
    "background": lambda n: n + np.random.default_rng(1).poisson(0.2, SHAPE),
    "without noise": lambda n: expected_counts(polyhedron(SHAPE, (3, 3, 3), np.random.default_rng(0)), 1e6),
}


@pytest.mark.parametrize("photons", [1e4, 1e6, 1e8])
@pytest.mark.parametrize("kept", KEPT)
def test_of_counts_nothing_is_claimed(photons, kept):
    frames = KEPT[kept](counted(photons, seed=4))
    result = corrected(frames)
    assert result.warnings == []
    assert result.facts["gain"] == 1
    assert result.facts["dark_level"] == 0
    np.testing.assert_allclose(result.counts, frames, rtol=1e-6)


@pytest.mark.parametrize("gain", [200, 7, 0.5, 0.37, 1 / N.max()])
def test_one_photon_is_one_count_whatever_its_units(gain):
    result = corrected(N * gain)
    np.testing.assert_allclose(result.counts, N, atol=1e-3, rtol=1e-5)
    assert result.facts["gain"] == pytest.approx(gain)
    assert len(result.warnings) == 1
    assert "multiples" in result.warnings[0]


def test_no_photon_is_an_alien_because_of_its_units():
    plain, scaled = preprocess(Scan(N)), preprocess(Scan(N * 200))
    assert scaled.facts["masked_fraction"] == plain.facts["masked_fraction"]
    assert len(scaled.warnings) == len(plain.warnings) + 1


def test_counts_over_a_monitor_stay_normalised_and_are_photons_on_the_whole():
    monitor = np.random.default_rng(2).uniform(0.9, 1.1, len(N))[:, None, None]
    result = corrected(N / monitor * 0.8)
    np.testing.assert_allclose(result.counts * monitor, N * np.median(monitor), rtol=0.05)
    assert "monitor" in result.warnings[0]


def test_single_photons_that_stand_out_of_read_noise_tell_the_gain_and_the_level():
    result = corrected(np.rint(200 * N + noise(20, 100)).astype(np.int32))
    assert result.facts["gain"] == pytest.approx(200, rel=0.03)
    assert result.facts["dark_level"] == pytest.approx(100, abs=2)
    assert result.facts["read_noise"] == pytest.approx(20, rel=0.15)
    low = N < 20
    np.testing.assert_array_equal(result.counts[low], N[low])


@pytest.mark.parametrize("kind", [np.float64, np.uint16])
def test_a_dark_level_is_subtracted_and_no_noise_is_left(kind):
    frames = N + noise(3, 100)
    result = corrected(frames if kind is np.float64 else np.rint(frames).astype(kind))
    assert result.facts["dark_level"] == pytest.approx(100, abs=1)
    assert result.facts["read_noise"] == pytest.approx(3, rel=0.15)
    assert (result.counts == 0).mean() > 0.6
    assert result.counts.sum() == pytest.approx(N.sum(), rel=0.03)
    assert len(result.warnings) == 2
    assert "Single photons do not stand out" in result.warnings[1]


@pytest.mark.parametrize("ratio", [2, 5, 7, 20])
def test_a_gain_is_either_found_or_said_to_be_unknown_and_asked_for(ratio):
    result = corrected((ratio * N + noise(1, 100)).astype(np.float32))
    is_said = any("not known, and one is assumed" in w and "--gain" in w for w in result.warnings)
    assert is_said == (ratio < 6)
    assert result.facts["gain"] == pytest.approx(1 if ratio < 6 else ratio, rel=0.01)
    given = corrected((ratio * N + noise(1, 100)).astype(np.float32), gain=float(ratio))
    assert not any("not known" in w for w in given.warnings)


def test_of_a_background_of_counts_the_gain_is_known():
    counts = N + np.random.default_rng(1).poisson(100, SHAPE)
    assert not any("not known" in w for w in corrected(counts).warnings)


def test_noise_on_both_sides_of_zero_is_no_damage():
    result = corrected(N + noise(3))
    assert result.counts.min() == 0
    assert result.counts.sum() == pytest.approx(N.sum(), rel=0.03)
    assert "both sides of zero" in result.warnings[0]


def test_the_dark_field_of_an_integrating_detector_is_subtracted():
    dark = np.random.default_rng(3).uniform(80, 120, SHAPE[1:])
    result = correct(Scan(N + noise(2) + dark, dark=dark))
    assert result.mask.all()
    assert result.counts.sum() == pytest.approx(N.sum(), rel=0.03)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("amplitudes", np.sqrt(N)),
        ("amplitudes", np.sqrt(N).astype(np.float32)),
        ("amplitudes", np.sqrt(N / N.max())),
        ("amplitudes", np.round(np.sqrt(N), 3)),
        ("fourth roots", N**0.25),
        ("log(1+n)", np.log1p(N)),
        ("log10(1+n)", np.log10(N + 1).astype(np.float32)),
        ("log10(n)", np.log10(N + 1e-6)),
    ],
)
def test_roots_and_logarithms_are_known_by_the_whole_numbers_that_they_come_from(name, stored):
    result = corrected(stored)
    assert result.facts["values"] == name
    np.testing.assert_allclose(result.counts, N, atol=1.01, rtol=2e-3)
    assert len(result.warnings) == 1


def test_what_the_user_says_of_the_values_counts_first():
    assert corrected(N * 200, gain=1.0).counts.max() == 200 * N.max()
    assert corrected(N + 100, dark_level=0.0).counts.min() >= 100
    assert corrected(N.astype(float), values="amplitudes").counts.max() == pytest.approx(N.max() ** 2)
    for wrong in ({"gain": 0.0}, {"gain": -1.0}, {"saturation": 0.0}):
        with pytest.raises(PlanError):
            Preprocessing(**wrong)


@pytest.mark.parametrize(("exposures", "words"), [(1, "a Timepix counts)"), (4, "a Timepix counts, in 4 exposures")])
def test_a_timepix_that_is_full_is_said_and_masked_and_stays_the_peak(exposures, words):
    top = 11810 * exposures
    scaled = (N * (top / np.sort(N.ravel())[-3])).astype(np.int64)
    clipped = np.minimum(scaled, top)
    result = preprocess(Scan(clipped))
    assert any(f"{np.count_nonzero(clipped == top)} voxels hold" in w and words in w for w in result.warnings)
    assert result.facts["saturated_voxels"] == np.count_nonzero(clipped == top)
    assert max(abs(a - b) for a, b in zip(result.peak, PEAK, strict=True)) <= 1


def test_frames_above_the_limit_of_an_exposure_are_sums_and_not_full():
    """As those of scan 54, whose brightest voxel holds 14 times what a Timepix counts."""
    limit = float(N.max()) / 14
    assert preprocess(Scan(N, saturation=limit)).facts["saturated_voxels"] == 0
    full = preprocess(Scan(np.minimum(N, int(limit)), saturation=float(int(limit))))
    assert full.facts["saturated_voxels"] == np.count_nonzero(int(limit) <= N)


def test_the_limit_of_the_detector_masks_what_reaches_it():
    result = corrected(N, saturation=float(np.sort(N.ravel())[-5]))
    assert result.facts["saturated_voxels"] >= 5
    assert "the detector's limit" in result.warnings[0]


@pytest.mark.parametrize("top", [150, 400, 1000])
def test_a_peak_that_was_cut_off_is_said_however_low(top):
    clipped = np.minimum(N, top)
    result = corrected(clipped)
    assert result.facts["saturated_voxels"] == np.count_nonzero(clipped == top)
    assert any("Saturation" in each for each in result.warnings)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint8, np.uint16])
def test_counts_that_ran_over_the_end_of_their_type_are_refused(kind):
    span = float(np.iinfo(kind).max) - float(np.iinfo(kind).min)
    run_over = (N * (5.3 * span / N.max())).astype(np.int64).astype(kind)
    with pytest.raises(InputError, match="ran over the end of their type"):
        corrected(run_over)


def test_counts_that_only_lost_their_sign_are_mended():
    scaled = (N * (60000 / N.max())).astype(np.int64)
    result = corrected(scaled.astype(np.int16))
    np.testing.assert_allclose(result.counts, scaled)
    assert "are taken as uint16" in "".join(result.warnings).replace("the values ", "")


@pytest.mark.parametrize("frames", [slice(None), slice(3, 6)], ids=["always", "at times"])
@pytest.mark.parametrize("value", [300, 10**6])
def test_a_hot_block_is_masked_and_its_place_named(frames, value):
    spoiled = N.copy()
    spoiled[frames, 4:8, 39:43] = value
    result = preprocess(Scan(spoiled))
    first, *_, last = range(len(N))[frames]
    assert any(f"frames {first} to {last}, rows 4 to 7, columns 39 to 42" in w for w in result.warnings)
    assert result.peak == preprocess(Scan(N)).peak


MISTAKES = {
    "second one": lambda f: f.reshape(-1, 2, *f.shape[1:])[:, ::-1].reshape(f.shape),
    "letters": lambda f: f[sorted(range(len(f)), key=str)],
    "even ones": lambda f: np.concatenate([f[::2], f[1::2]]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_frames_in_a_wrong_order_that_is_known_are_put_right(mistake):
    result = corrected(MISTAKES[mistake](N))
    np.testing.assert_array_equal(result.counts, N)
    assert len(result.warnings) == 1
    assert mistake in result.warnings[0]
    np.testing.assert_array_equal(corrected(MISTAKES[mistake](N), check_order=False).counts, MISTAKES[mistake](N))


@pytest.mark.parametrize("frame", [11, 22, 30, 31, 32, 33, 34, 44])
def test_one_frame_without_the_beam_puts_no_other_in_another_place(frame):
    frames = np.load(EXAMPLE)["counts"].astype(int)  # 64 frames; sorted by letters, frame 4 would come as number 33
    frames[frame] = 0
    result = corrected(frames)
    np.testing.assert_array_equal(result.counts, frames)
    assert not any("order" in each for each in result.warnings)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("beside", [-1, 1])
def test_a_line_that_counted_nothing_beside_the_brightest_is_no_extinction(axis, beside):
    frames = np.moveaxis(N.copy(), axis, 0)
    place = PEAK[axis] + beside
    frames[place] = 0
    mask = np.moveaxis(corrected(np.moveaxis(frames, 0, axis)).mask, axis, 0)
    assert not mask[place].any()
    assert np.delete(mask, place, 0).mean() > 0.99


def test_frames_in_no_order_are_refused():
    with pytest.raises(InputError, match="not in the order"):
        corrected(np.random.default_rng(5).permutation(N))


def flickering(level: float) -> np.ndarray:
    """A background that comes and goes with the beam, brighter on one side of the detector."""
    beam = np.random.default_rng(7).uniform(0.5, 1.5, len(N))[:, None, None]
    return beam * level * (1 + 0.8 * np.sin(np.arange(N.shape[2]) / 9))


@pytest.mark.parametrize("level", [0.0, 0.02, 1.0, 10.0, 30.0])
def test_frames_without_a_peak_are_said_to_hold_none_whatever_the_beam_does(level):
    frames = np.random.default_rng(8).poisson(np.broadcast_to(flickering(level), N.shape))
    with pytest.raises(InputError, match=r"there is no Bragg peak to phase|No Bragg peak stands out: .* right one"):
        preprocess(Scan(frames))


@pytest.mark.parametrize("level", [1.0, 10.0, 30.0])
def test_a_weak_peak_is_not_refused_for_a_beam_that_comes_and_goes(level):
    peak = N * (2e5 / N.sum())
    frames = np.random.default_rng(9).poisson(peak + flickering(level))
    found = preprocess(Scan(frames))
    assert np.abs(np.subtract(found.peak, preprocess(Scan(N)).peak)).max() <= 2
    assert not any("order" in each for each in found.warnings)


@pytest.mark.parametrize("oversampling", [2.0, 3.0, 4.0, 5.0])
def test_the_extinctions_of_a_box_are_no_wrong_order(oversampling):
    rng = np.random.default_rng(2)
    box = rng.poisson(expected_counts(polyhedron(SHAPE, (oversampling,) * 3, rng, facets=0), 1e7))
    assert corrected(box).facts["dropped_frames"] == 0


def test_frames_that_a_standing_motor_gave_are_left_out():
    stood = np.concatenate([N[:15], np.repeat(N[14:15], 4, 0), N[15:]])
    result = corrected(stood)
    np.testing.assert_array_equal(result.counts, N)
    assert "frames 15 to 18 are the same" in result.warnings[0]
    exposed = stood.copy()
    exposed[15:19] = np.random.default_rng(6).poisson(stood[15:19])
    assert corrected(exposed).facts["dropped_frames"] == 4


def test_a_frame_that_the_detector_gave_twice_is_unmeasured():
    stale = N.copy()
    stale[18:20] = stale[17]
    result = corrected(stale)
    assert result.facts["repeated_frames"] == 2
    assert not result.mask[18:20].any()
    assert result.mask[:18].all()


def test_fields_of_another_detector_are_said_or_refused():
    white = np.full(SHAPE[1:], 1e4)
    white[:, 18:30] = 0
    assert any("of another detector" in w for w in correct(Scan(N, white=white)).warnings)
    white[:, 14:42] = 0
    with pytest.raises(InputError, match="of this detector"):
        correct(Scan(N, white=white))
    with pytest.raises(InputError, match="of another detector"):
        correct(Scan(N, dark=white + 1e4))


def test_pixels_that_are_nan_in_every_frame_are_a_gap():
    frames = N.astype(np.float32)
    frames[:, 40:42] = np.nan
    assert "gap marker (NaN)" in corrected(frames).warnings[0]
