"""The simulated beamtime drifts away from the training, replays from its seed, and is told as it was."""

from pathlib import Path

import numpy as np
import pytest
import torch
from drifting_beamtime import COHERENCE, HOLLOW, scan
from learning_beamtime import draw, table

from autophasenn.physics.fourier import diffract_padded
from autophasenn.volumes import crop_or_pad


def test_a_scan_replays_from_its_seed_and_number() -> None:
    one, same, other = scan(3, 4, 60), scan(3, 4, 60), scan(4, 4, 60)
    assert torch.equal(one.pattern.counts, same.pattern.counts)
    assert torch.equal(one.truth, same.truth)
    assert not torch.equal(one.pattern.counts, other.pattern.counts)


def test_from_the_first_scan_to_the_last_crystals_become_hollow_and_the_beam_less_coherent() -> None:
    assert HOLLOW[0] == 0 < HOLLOW[1]
    assert COHERENCE[0] > COHERENCE[1]
    filled, blurred = [], []
    for number in (0, 59):
        shares, contrasts = [], []
        for seed in range(3):
            measured = scan(seed, number, 60)
            amplitude = measured.truth.abs()
            inside = torch.nonzero(amplitude > 0.5 * amplitude.max())
            low, high = inside.amin(0), inside.amax(0)
            shares.append(len(inside) / float((high - low + 1).prod()))
            ideal = diffract_padded(measured.truth, (64, 64, 64)).abs().square()
            ideal = ideal / ideal.sum() * measured.pattern.counts.sum()
            contrasts.append(float((measured.pattern.counts - ideal).abs().sum() / ideal.sum()))
        filled.append(np.mean(shares))
        blurred.append(np.mean(contrasts))
    assert filled[1] < 0.95 * filled[0]
    assert blurred[1] > 2 * blurred[0]
    assert crop_or_pad(measured.truth, (64, 64, 64)).shape == measured.pattern.counts.shape


def row(number: int, learned: float) -> dict:
    return {
        "scan": number,
        "correlation_package": 0.9,
        "correlation_learned": 0.9 + learned,
        "chi2_free_package": 0.04,
        "chi2_free_learned": 0.04 * (1 - learned),
        "confidence": 0.99 if number else 0.1,
        **({"round": {"kept": number == 7}} if number in (7, 11) else {}),
    }


def test_the_table_says_what_fell_and_what_rose(tmp_path: Path) -> None:
    rows = [row(number, 0.0 if number < 8 else 0.05 if number != 20 else -0.02) for number in range(30)]
    lines = table(rows).splitlines()
    assert lines[2] == ("| 1 to 15 | 14 of 15 | 0.900 -> 0.900 | 0.0400 -> 0.0391 | 7, highest 1.00 times |"), lines[2]
    assert lines[3].startswith("| 16 to 30 | 15 of 15 | 0.900 -> 0.950 |")
    assert lines[3].endswith("| 14, highest 1.02 times |")
    assert lines[-1] == "1 of 2 rounds kept"
    draw(rows, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.parametrize("number", [0, 59])
def test_the_first_scan_and_the_last_are_patterns_that_can_be_phased(number: int) -> None:
    pattern = scan(3, number, 60).pattern
    assert pattern.counts.shape == (64, 64, 64)
    assert int(pattern.counts.argmax()) == 32 * 64 * 64 + 32 * 64 + 32
