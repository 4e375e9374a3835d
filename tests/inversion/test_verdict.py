"""One verdict: over all evidence, status, message and confidence never contradict each other."""

import itertools
import math
import re

import pytest

from autophasenn.inversion.verdict import (
    BELIEVABLE,
    DOUBTFUL,
    MOST_IF_ALONE,
    MOST_IF_POOR,
    POOR_CHI2,
    Grounds,
    Status,
    Trust,
    Verdict,
    judge,
)
from autophasenn.report.numbers import NOT_BELIEVED

NOISE = 0.001
CHI2 = {
    "down to noise": NOISE,
    "above noise": 5 * NOISE,
    "poor": 200 * NOISE,
    "too weak": 1.1 * POOR_CHI2,
    "NaN": math.nan,
}
AGREED = [(1, 1), (2, 1), (2, 2), (3, 1), (4, 2), (4, 4), (7, 1), (7, 2), (7, 3), (7, 4)]
PROBABILITIES = [None, 0.0, 0.004, 0.1999, 0.2, 0.5, 0.7999, 0.8, 0.99, 0.9992, 1.0]
CASES = [
    Grounds(
        chi2,
        1.02 * POOR_CHI2 if name == "too weak" else NOISE,
        *agreed,
        kind="start" if probability is None else "image",
        probability=probability,
        why_unknown="There is none.",
        random_starts=joined,
        is_from_random_start=won,
        is_unlike_training=unlike,
        phase_spread_rad=0.1,
    )
    for (name, chi2), agreed, probability, (joined, won), unlike in itertools.product(
        CHI2.items(), AGREED, PROBABILITIES, [(0, False), (3, False), (3, True)], [False, True]
    )
]
DOUBT = re.compile(r"may be wrong|does not explain|disagree with|none of the other|does not agree", re.IGNORECASE)


def contradictions(grounds: Grounds, verdict: Verdict) -> list[str]:
    """What a reader could not bring together."""
    status, trust, message = verdict.status, verdict.trust, verdict.message
    laws = {
        "a poor image is believed": status is Status.poor and trust not in (Trust.not_believable, Trust.unknown),
        "an uncertain image is believed": status is Status.uncertain and trust is Trust.believable,
        "a reconstructed image is doubted": status is Status.reconstructed
        and trust in (Trust.doubtful, Trust.not_believable),
        "a believable image's message doubts it": trust is Trust.believable and bool(DOUBT.search(message)),
        "a reconstructed image's message doubts it": status is Status.reconstructed and bool(DOUBT.search(message)),
        "a doubted image's message has no doubt": status is not Status.reconstructed and not DOUBT.search(message),
        "the word is not that of the number": verdict.probability is not None
        and trust
        is not (
            Trust.believable
            if verdict.probability >= BELIEVABLE
            else Trust.doubtful
            if verdict.probability >= DOUBTFUL
            else Trust.not_believable
        ),
        "the sentence does not begin with the word": not verdict.meaning.startswith(f"{trust}: "),
        "a number out of nothing": (verdict.probability is None) != (grounds.probability is None),
        "doubt added confidence": verdict.probability is not None
        and verdict.probability > (grounds.probability or 0.0),
        "certainty": bool(re.search(r"\b(0|100) %", verdict.meaning)),
    }
    return [law for law, is_broken in laws.items() if is_broken]


def test_no_evidence_gives_a_verdict_that_contradicts_itself() -> None:
    assert len(CASES) == 5 * 10 * 11 * 3 * 2
    broken = {law: grounds for grounds in CASES for law in contradictions(grounds, judge(grounds))}
    assert not broken


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("trust", Trust)
def test_every_pair_that_can_be_said_together_occurs_and_no_other(status: Status, trust: Trust) -> None:
    allowed = {
        (Status.reconstructed, Trust.believable),
        (Status.reconstructed, Trust.unknown),
        (Status.unchecked, Trust.unknown),
        (Status.uncertain, Trust.doubtful),
        (Status.uncertain, Trust.not_believable),
        (Status.uncertain, Trust.unknown),
        (Status.poor, Trust.not_believable),
        (Status.poor, Trust.unknown),
    }
    occurs = any((verdict.status, verdict.trust) == (status, trust) for verdict in map(judge, CASES))
    assert occurs == ((status, trust) in allowed)


@pytest.mark.parametrize("kind", ["prediction", "start"])
def test_one_image_that_fits_its_pattern_is_not_called_right_where_nothing_else_speaks_for_it(kind: str) -> None:
    """Of simulated crystals, images at the noise of their pattern were wrong, of one prediction alone."""
    verdict = judge(Grounds(NOISE, NOISE, 1, 1, kind, why_unknown="no orientations were asked for."))
    assert (verdict.status, verdict.trust) == (Status.unchecked, Trust.unknown)
    assert verdict.message == (
        f"One {kind} was made, with no other to compare it with, so it may be wrong, as images that fit can be; "
        "chi2 is 0.001, 1 times what counting noise alone gives."
    )
    assert judge(Grounds(NOISE, NOISE, 3, 3, kind)).status is Status.reconstructed


def test_every_status_but_one_is_drawn_and_told_as_not_believed() -> None:
    assert set(NOT_BELIEVED) == set(Status) - {Status.reconstructed}


def test_sentences_are_whole() -> None:
    for verdict in map(judge, CASES):
        for sentence in (verdict.message, verdict.meaning):
            assert sentence[0].isupper() or sentence[0].isdigit()
            assert sentence.endswith(".")
            assert "  " not in sentence
            assert ".." not in sentence
            assert "1 images" not in sentence
            assert "1 starts agree" not in sentence


def test_a_random_start_that_won_is_one_statement() -> None:
    """The network's orientations disagreed, three random starts joined, one of them won, and two more found the same."""
    grounds = Grounds(
        0.0011, 0.001, 7, 3, "image", 0.9992, random_starts=3, is_from_random_start=True, phase_spread_rad=0.05
    )
    verdict = judge(grounds)
    assert (verdict.status, verdict.trust) == (Status.reconstructed, Trust.believable)
    assert verdict.message == (
        "3 of 7 images agree on this image, which explains the pattern best (3 from random starts, as the network's own "
        "left doubt, and the one shown is of these); chi2 is 0.0011, 1.1 times what counting noise "
        "alone gives."
    )
    assert "more than 99 % were found" in verdict.meaning


def test_an_image_that_does_not_explain_its_pattern_is_not_believed_however_many_agree() -> None:
    verdict = judge(Grounds(0.12, 0.001, 4, 4, "image", 0.89))
    assert verdict.status is Status.poor
    assert verdict.probability == MOST_IF_POOR < DOUBTFUL
    assert "does not explain its pattern" in verdict.meaning
    assert "counts" in verdict.message


def test_an_image_whose_misfit_nobody_calibrated_is_not_believed() -> None:
    assert judge(Grounds(0.02, 0.001, 4, 4, "image", 0.95)).trust is Trust.believable
    verdict = judge(Grounds(0.02, 0.001, 4, 4, "image", 0.95, is_beyond_calibration=True))
    assert verdict.probability == MOST_IF_ALONE < BELIEVABLE


def test_of_two_that_disagree_none_is_believed() -> None:
    for probability in (None, 0.95):
        verdict = judge(Grounds(0.001, 0.001, 2, 1, "image", probability, why_unknown="There is none."))
        assert verdict.status is Status.uncertain
        assert verdict.message.startswith("The other image does not agree with this image, so it may be wrong")


def test_an_image_that_no_other_agrees_with_is_not_believed() -> None:
    verdict = judge(Grounds(0.001, 0.001, 4, 1, "image", 0.95, phase_spread_rad=0.0))
    assert verdict.probability == MOST_IF_ALONE < BELIEVABLE
    assert verdict.message.startswith("None of the other 3 images agrees with this image, so it may be wrong")
    assert "rad" not in verdict.meaning
