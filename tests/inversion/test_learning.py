"""A round of learning on: what learns, what judges, and when new weights are kept."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_network import STEEP, network

from autophasenn.errors import PlanError
from autophasenn.inversion.learning import LEAST_JUDGES, Learning, Round, halves, learn_from
from autophasenn.phasing.held_out import HeldOut
from autophasenn.volumes import Pattern
from crystals import expected_counts, polyhedron

LEARNING = Learning(judges=3, draws=1, adaptation=replace(STEEP, steps=4, trials=1))
PLACES = range(5, -1, -1)
"""Of the six scans, the newest first."""


@pytest.fixture(scope="module")
def boxes() -> list[HeldOut]:
    """Six scans of different crystals."""

    def box(seed: int) -> HeldOut:
        rng = np.random.default_rng(seed)
        intensity = torch.from_numpy(expected_counts(polyhedron((64, 64, 64), (3, 3, 3), rng), 1e6)).float()
        counts = torch.poisson(intensity, generator=torch.Generator().manual_seed(seed))
        return HeldOut.of(Pattern(counts, torch.ones_like(counts, dtype=torch.bool)), 0.02, seed)

    return [box(seed) for seed in range(6)]


@pytest.mark.parametrize("new", [0, 1, 2, 5])
@pytest.mark.parametrize("number", range(4))
def test_what_judges_in_a_round_is_learned_from_in_the_next_however_many_scans_came(number: int, new: int) -> None:
    scans, later = (list(range(last, -1, -1)) for last in (12, 12 + new))
    learn, judge = halves(scans, scans, number)
    assert sorted([*learn, *judge]) == list(range(13))
    assert abs(len(learn) - len(judge)) == 1
    learn_next, judge_next = halves(later, later, number + 1)
    assert set(judge) <= set(learn_next)
    assert set(learn) <= set(judge_next)


@pytest.mark.parametrize(
    ("shares", "is_kept"),
    [
        ((0.9, 0.95, 0.97), True),
        ((0.9, 0.95, 1.05), True),  # one may rise a little
        ((0.5, 0.5, 1.2), False),  # not markedly
        ((0.8, 0.995, 1.0), False),  # most must fall
        ((0.5, 0.5), False),  # two are not several
        ((0.5, 0.5, float("nan")), False),
        ((0.5, 0.5, float("inf")), False),
        ((), False),
    ],
)
def test_weights_that_do_not_help_several_other_scans_are_not_kept(shares: tuple[float, ...], is_kept: bool) -> None:
    assert LEAST_JUDGES == 3
    before = tuple(0.02 for _ in shares)
    after = tuple(0.02 * share for share in shares)
    assert Round(network(), Learning(), 1, 3, before, after).is_kept is is_kept


@pytest.mark.parametrize(
    ("shares", "is_kept"),
    [((1.0, 1.05, 1.1), True), ((0.5, 0.5, 1.2), False), ((0.5, 0.5, float("nan")), False)],
)
def test_small_losses_do_not_add_up_beyond_the_beginning(shares: tuple[float, ...], is_kept: bool) -> None:
    after = (0.02, 0.02, 0.02)
    begun = tuple(0.02 / share for share in shares)
    found = Round(network(), Learning(), 1, 3, (0.022, 0.022, 0.022), after, begun)
    assert max(found.shares) < Learning().gain, "better than the former ones"
    assert found.is_kept is is_kept
    assert found.facts()["chi2_free_of_the_beginning"] == list(begun)


def test_weights_that_are_worse_than_those_of_the_beginning_are_not_kept(boxes: list[HeldOut]) -> None:
    """A beginning to which the new weights come back only in part."""
    long = replace(LEARNING, adaptation=replace(LEARNING.adaptation, steps=12))
    better = learn_from(network(), boxes, long, number=1, places=PLACES).network
    how = replace(LEARNING, worst=1.0)
    found = learn_from(network(), boxes, how, number=0, places=PLACES, beginning=better)
    assert max(found.shares) < 1.0
    assert max(found.shares_of_the_beginning) > 1.0
    assert not found.is_kept
    assert "times that of the beginning" in found.sentence


def test_judges_have_no_say_in_what_is_learned_and_the_network_of_the_beginning_stays(boxes: list[HeldOut]) -> None:
    began, calls = network(), list[int]()
    found = learn_from(began, boxes, LEARNING, number=0, places=PLACES, between=lambda: calls.append(1))
    assert len(calls) >= found.steps + 2 * LEARNING.judges, "it may be stopped before every step and prediction"
    assert found.is_kept
    assert all(torch.equal(one, other) for one, other in zip(began.parameters(), network().parameters(), strict=True))
    assert len(found.before) == 3
    dark = [replace(box, pattern=Pattern(box.pattern.counts.flip(0), box.pattern.mask)) for box in boxes]
    mixed = [dark[place] if place % 2 else boxes[place] for place in range(6)]
    other = learn_from(began, mixed, LEARNING, number=0, places=PLACES)
    learned = zip(found.network.parameters(), other.network.parameters(), strict=True)
    assert all(torch.equal(one, another) for one, another in learned)
    assert other.before != found.before


def test_what_is_older_than_the_remembered_scans_is_not_looked_at(boxes: list[HeldOut]) -> None:
    how = replace(LEARNING, remembered=6)
    alone, with_older = (
        learn_from(network(), scans, how, number=1, places=range(11, 11 - len(scans), -1))
        for scans in (boxes, [*boxes, *boxes[::-1]])
    )
    assert alone.learned == with_older.learned == 3
    assert alone.after == with_older.after != ()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"least": 4}, "half of the scans judge"),
        ({"remembered": 5}, "half of the scans judge"),
        ({"judges": 2}, "too few"),
        ({"draws": 0}, "too few"),
        ({"gain": 0.0}, "above 0"),
        ({"worst": 0.9}, "1 or more"),
    ],
)
def test_options_that_make_no_sense_are_told(values: dict, sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        Learning(**values)


@pytest.mark.parametrize("places", [range(0, 12, 2), range(1, 13, 2), (0, 2, 4, 6, 1, 3)])
def test_scans_that_are_nearly_all_of_one_half_teach_nothing(boxes: list[HeldOut], places: Sequence[int]) -> None:
    begun = network()
    found = learn_from(begun, boxes, LEARNING, number=1, places=places)
    assert found.network is begun
    assert not found.is_kept
    assert "taught nothing" in found.sentence
