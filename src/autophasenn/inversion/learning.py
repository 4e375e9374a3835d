"""A network that learns on from one scan after the other, and keeps only what others agree to.

A round lets it learn (`inversion.adaptation`) from half of the scans that are remembered. The other half judges: of each,
the voxels that are held out. No gradient is taken from them in any round; in rounds in which their scan is learned from
they say where to stop. New weights are kept where chi2_free of the network's own predictions falls for most of these
scans, and rises markedly for none, neither over the former weights nor over those of the very beginning. Nobody is told
what the crystals look like.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from autophasenn.errors import PlanError
from autophasenn.inversion.adaptation import Adaptation, adapt, spread_evenly
from autophasenn.network.architectures import Network
from autophasenn.options import options
from autophasenn.phasing.held_out import HeldOut
from autophasenn.training.beam_loss import geometric_mean, held_out_misfits

T = TypeVar("T")
LEAST_JUDGES = 3
"""Fewer scans are not several."""


@options
class Learning:
    """When a network learns on, and when what it learned is kept.

    Parameters
    ----------
    least : int
        Scans from which on there is something to learn: half of them judge.
    remembered : int
        The newest so many scans are learned from and judge; older ones are forgotten.
    judges : int
        Of a round at most, spread evenly from the newest to the oldest of their half.
    draws : int
        Starts of the network for each of them.
    gain : float
        Share of the former chi2_free below which the median must fall.
    worst : float
        Share of the former chi2_free, and of that by the weights of the very beginning, above which that of no judge may
        rise.
    adaptation : Adaptation
        How a round learns.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    least: int = 6
    remembered: int = 24
    judges: int = 8
    draws: int = 3
    gain: float = 0.99
    worst: float = 1.1
    adaptation: Adaptation = field(default_factory=lambda: Adaptation(trials=2, draws=2, judges=4))

    def __post_init__(self) -> None:
        if not 2 * LEAST_JUDGES <= self.least <= self.remembered:
            raise PlanError(
                f"least {self.least} and remembered {self.remembered} do not go together; give {2 * LEAST_JUDGES} <= least "
                "<= remembered: half of the scans judge."
            )
        if self.judges < LEAST_JUDGES or self.draws < 1:
            raise PlanError(
                f"{self.judges} judges and {self.draws} draws are too few; give {LEAST_JUDGES} and 1 or more."
            )
        if not (0 < self.gain <= 1 <= self.worst):
            raise PlanError(f"gain {self.gain:g} must be above 0 and at most 1, worst {self.worst:g} 1 or more.")


@dataclass(frozen=True, eq=False)
class Round:
    """What became of a round.

    Parameters
    ----------
    network : Network
        As it had learned; that of the beginning where it learned nothing.
    options : Learning
    steps : int
        That were made.
    learned : int
        Scans that it learned from.
    before, after : tuple of float
        chi2_free of each judge by the former and by the new weights; empty where it learned nothing.
    begun : tuple of float
        The same by the weights of the very beginning; empty where these are the former ones, or those decided already.
    """

    network: Network
    options: Learning
    steps: int
    learned: int
    before: tuple[float, ...] = ()
    after: tuple[float, ...] = ()
    begun: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """What is left of the chi2_free of each judge."""
        return tuple(new / old for old, new in zip(self.before, self.after, strict=True))

    @property
    def shares_of_the_beginning(self) -> tuple[float, ...]:
        """The same of that by the weights of the very beginning."""
        return tuple(new / old for old, new in zip(self.begun, self.after, strict=True)) if self.begun else self.shares

    @property
    def is_kept(self) -> bool:
        """Do the held-out voxels of several scans agree that the new weights are better?"""
        ratios = (*self.shares, *self.shares_of_the_beginning)
        if len(self.shares) < LEAST_JUDGES or not all(map(math.isfinite, ratios)):
            return False
        return statistics.median(self.shares) < self.options.gain and max(ratios) <= self.options.worst

    def facts(self) -> dict[str, Any]:
        """For the card."""
        return {
            "steps": self.steps,
            "scans_of_the_round": self.learned,
            "chi2_free_before": list(self.before),
            "chi2_free_after": list(self.after),
            "chi2_free_of_the_beginning": list(self.begun or self.before),
        }

    @property
    def sentence(self) -> str:
        """What the judges say."""
        if not self.before:
            return f"{self.steps} steps on {self.learned} scans taught nothing"
        drift = f" and {max(self.shares_of_the_beginning):.2f} times that of the beginning" if self.begun else ""
        return (
            f"chi2_free of {len(self.before)} other scans {geometric_mean(self.before):.3g} -> "
            f"{geometric_mean(self.after):.3g}, of the worst {max(self.shares):.2f} times the former{drift}"
        )


def halves(scans: Sequence[T], places: Sequence[int], number: int) -> tuple[list[T], list[T]]:
    """Every other scan by its place is learned from, and the rest judges; in the next round it is the other way round."""
    learn: list[T] = []
    judge: list[T] = []
    for scan, place in zip(scans, places, strict=True):
        (learn if (place + number) % 2 else judge).append(scan)
    return learn, judge


def learn_from(
    network: Network,
    boxes: Sequence[HeldOut],
    options: Learning | None = None,
    *,
    number: int,
    places: Sequence[int],
    beginning: Network | None = None,
    between: Callable[[], None] | None = None,
) -> Round:
    """One round.

    Parameters
    ----------
    network : Network
        Stays as it is; a copy learns.
    boxes : sequence of HeldOut
        Scans in the network's box, the newest first; those beyond `remembered` are not looked at.
    options : Learning, optional
    number : int
        Of the round, 0 or more: its randomness; from round to round the halves change roles.
    places : sequence of int
        Of each box, such as the number of scans before it. A scan keeps its place however many come after it, so that what
        judges in one round is learned from in the next.
    beginning : Network, optional
        Than which new weights may not be worse either; None: `network` is that of the very beginning.
    between : callable, optional
        Called before every step and every prediction; may wait.
    """
    options = options or Learning()
    learners, others = halves(boxes[: options.remembered], places[: options.remembered], number)
    judges = spread_evenly(others, options.judges)
    if not learners or len(judges) < LEAST_JUDGES:  # as where many of one half cannot be read
        return Round(network, options, 0, len(learners))
    found = adapt(network, learners, options.adaptation, seed=number, between=between)
    if not found.best_step:
        return Round(network, options, found.steps, len(learners))
    how = options.adaptation.partial_coherence

    def asked(judged: Network) -> tuple[float, ...]:
        return tuple(held_out_misfits(judged, judges, options.draws, number, partial_coherence=how, between=between))

    done = Round(found.network, options, found.steps, len(learners), asked(network), asked(found.network))
    return done if beginning is None or not done.is_kept else replace(done, begun=asked(beginning))
