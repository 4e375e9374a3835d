"""Numbers that no detector gives are refused in a sentence, at once, and without a word of NumPy's."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from autophasenn.errors import InputError
from autophasenn.preprocessing.corrections import Corrected, correct
from autophasenn.preprocessing.hot import hot_blocks
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.preprocess import preprocess
from autophasenn.volumes import Scan
from crystals import expected_counts, polyhedron

SHAPE = (24, 32, 32)
N = np.random.default_rng(0).poisson(expected_counts(polyhedron(SHAPE, (3, 3, 3), np.random.default_rng(0)), 1e6))
HOT = (1, 2, 3)


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def corrected(frames: np.ndarray, **said: object) -> Corrected:
    return correct(Scan(frames), Preprocessing(**said))  # type: ignore[arg-type]


def one(value: float) -> np.ndarray:
    frames = N.astype(np.float64)
    frames[HOT] = value
    return frames


ABSURD: dict[str, tuple[Callable[[], np.ndarray], dict[str, object], str]] = {
    "one value beyond single precision": (lambda: one(1e308), {}, r"value of 1e\+308 is no count.*\(1, 2, 3\)"),
    "one value below": (lambda: one(-1e308), {}, r"value of -1e\+308 is no count"),
    "one value beyond what is counted": (lambda: one(1e30), {}, r"\(1, 2, 3\), holds 1e\+30 photons.* mask it"),
    "logarithms too large": (lambda: N.astype(np.float64), {"values": "log(n)"}, "many photons .taken as natural log"),
    "logarithms of integers": (lambda: N, {"values": "log10(1+n)"}, "many photons .taken as decimal log"),
    "amplitudes too large": (lambda: one(1e20), {"values": "amplitudes"}, r"holds 1e\+40 photons .taken as square"),
    "a gain of nearly none": (lambda: N, {"gain": 1e-30}, r"e\+3\d photons .by preprocess.gain 1e-30"),
    "a gain below all floats": (lambda: N, {"gain": 1e-320}, "infinitely many photons .by preprocess.gain"),
    "a gain above all values": (
        lambda: N,
        {"gain": 1e300},
        r"holds .*e-29\d photons .by preprocess.gain 1e\+300.*--gain",
    ),
    "a level far below": (lambda: N, {"dark_level": -1e30}, r"1e\+30 photons .by preprocess.dark_level -1e\+30"),
    "nothing but less than nothing": (lambda: (N / 7.3) ** 0.5 * 1e-300, {}, "photons, and it must have more than one"),
}


@pytest.mark.parametrize(("frames", "said", "words"), ABSURD.values(), ids=ABSURD)
def test_values_that_are_no_counts_are_refused_by_their_number(frames, said, words):
    with pytest.raises(InputError, match=words):
        corrected(frames(), **said)


@pytest.mark.parametrize("unit", [1e-300, 5e-324, 1e-40, 1e30])
def test_a_unit_of_any_size_is_divided_without_loss(unit):
    counted = corrected(N * unit)
    np.testing.assert_allclose(counted.counts, N, rtol=1e-6, atol=1e-6)
    assert counted.facts["gain"] == pytest.approx(unit, rel=1e-4)


def test_a_search_for_blocks_ends_whatever_the_largest_value():
    counts = N.astype(np.float64)
    counts[HOT] = np.inf
    where, blocks = hot_blocks(counts, np.ones(SHAPE, bool), 0.0)
    assert blocks == []
    assert not where.any()


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_infinity_is_refused_in_every_type_and_taken_for_no_marker(kind):
    frames = np.minimum(N, 60_000).astype(kind)
    frames[3, 4, 5] = np.inf
    with pytest.raises(InputError, match=r"1 measured voxels are NaN or infinite, the first at .* \(3, 4, 5\)"):
        corrected(frames)


@pytest.mark.parametrize("saturation", [1e-300, 1.0])
def test_a_saturation_that_removes_every_lit_voxel_is_refused(saturation):
    with pytest.raises(InputError, match=f"Every lit voxel.*saturation is {saturation:g}"):
        preprocess(Scan(N), Preprocessing(saturation=saturation))


def test_a_threshold_that_removes_every_lit_voxel_is_refused():
    with pytest.raises(InputError, match=r"count_threshold is 1e\+12 and removes every lit voxel"):
        preprocess(Scan(N), Preprocessing(count_threshold=1e12))
