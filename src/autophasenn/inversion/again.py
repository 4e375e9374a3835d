"""How one image of a pattern is found in the network's box: by the network, or from a random start."""

from __future__ import annotations

from collections.abc import Callable

from autophasenn.inversion.orientations import Invert
from autophasenn.inversion.prediction import Refined, ask, better, in_box
from autophasenn.network.predict import Predictor
from autophasenn.phasing.engine import Retrieval, retrieve
from autophasenn.phasing.further import Grid
from autophasenn.phasing.schedule import Schedule

SEEDS_APART = 1000
"""Random starts of one seed and the next share none below this number."""


def inversion(
    predictor: Predictor, options: Refined, *, seed: int, is_refined: bool, partially_coherent: bool
) -> Invert:
    """How a pattern is inverted in the network's box.

    Parameters
    ----------
    predictor : Predictor
    options : Refined
    seed : int
        Of the starts, the same for all variants.
    is_refined : bool
        Whether the prediction is refined, as `inversion.prediction` does it.
    partially_coherent : bool
        Whether a coherence kernel is tried: where the orientation that was measured has none, no other needs one.
    """

    def invert(grid: Grid) -> Retrieval:
        best = ask(grid, predictor, options, seed=seed)[0][0]
        return _best_in_box(grid, best, options, partially_coherent) if is_refined else best

    return invert


def from_random_start(
    inside: Grid, options: Refined, *, seed: int, partially_coherent: bool
) -> Callable[[int], Retrieval]:
    """How a random start of a number is retrieved, by the 600 iterations of the default schedule, and then refined.

    Parameters
    ----------
    inside : Grid
        The network's box.
    options : Refined
    seed : int
    partially_coherent : bool
        Whether a coherence kernel is tried.
    """

    def retrieve_again(start: int) -> Retrieval:
        counts = inside.pattern.counts[None]
        run = retrieve(counts, inside.used, Schedule(), seeds=[(seed * SEEDS_APART + start) % 2**63])
        best = inside.found(run.object[0], options.first.support_threshold)
        return _best_in_box(inside, best, options, partially_coherent)

    return retrieve_again


def _best_in_box(grid: Grid, best: Retrieval, options: Refined, partially_coherent: bool) -> Retrieval:
    for _, run in in_box(grid, best, options, partially_coherent=partially_coherent):
        best = better(grid, best, run)
    return best
