"""What is tried where every image explains its pattern poorly: the search for a crystal of even density.

That search (`phasing.even_density`) finds strongly strained crystals, and takes as long as several whole inversions. Its
object is refined like any other in two ways: shrink-wrap makes some of these crystals better and destroys others. Held-out
voxels decide between both, and then between the better one and the images that were there before. Of small bright crystals
the autocorrelation says too large a volume: where such a one stays poor, it is searched for once more, with a smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from autophasenn.inversion.ensemble import EVEN_DENSITY, ImageEnsemble
from autophasenn.phasing.algorithms import RAAR
from autophasenn.phasing.autocorrelation import FewVoxels, few_voxels
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.even_density import EvenDensity, find_even
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import Refinement, refine
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.phasing.support import layer_around
from autophasenn.progress import Progress, Silent
from autophasenn.randomness import Stream, seed_of

RELEASE = Schedule((Block(RAAR(), 60),), 1, shrink_wrap=None, break_twin_at=None, average_last=20)
"""Without the cap on the amplitude, within the support that was found and the layer of voxels around it."""

OTHER_VOLUME = 0.9
"""Share of the volume below which another one is worth a second search."""
LastResort = Callable[[], Retrieval]
"""Makes one more image of the network's box."""


def by_even_density(
    inside: HeldOut,
    how: EvenDensity,
    refinement: Refinement,
    *,
    seed: int,
    progress: Progress | None = None,
) -> LastResort:
    """How a crystal of even density is searched for, and then refined.

    Parameters
    ----------
    inside : HeldOut
        The network's box. Neither the search nor the refinements are fitted to its held-out voxels.
    how : EvenDensity
    refinement : Refinement
    seed : int
    progress : Progress, optional
    """
    told = progress or Silent()

    def searched(number: int, few: FewVoxels, how: EvenDensity) -> Retrieval:
        told.stage("Even density")
        start, used = seed_of(seed, number, Stream.EVEN_DENSITY), inside.used[0]
        found = find_even(inside.pattern.counts, used, how, seed=start, few=few, on_iteration=told.advance)
        found = replace(found, support=layer_around(found.support.to(found.errors.dtype)) > 0.5)
        released = refine(inside, found, replace(refinement, search=RELEASE, longer_search=None))
        within = replace(released.best, errors=released.errors)
        refined = refine(inside, within, refinement)
        both = torch.cat([released.errors, refined.errors], 1)
        return inside.better(within, replace(refined.best, errors=both))

    def search() -> Retrieval:
        few = few_voxels(inside.pattern.counts, inside.used[0])
        first = searched(0, few, how)
        volume = few.volume_within_foot
        if not how.bright_volumes or volume > OTHER_VOLUME * few.volume:
            return first
        if not inside.misfit(first).is_poor(refinement.poor):
            return first
        second = searched(1, replace(few, volume=volume), replace(how, volumes=how.bright_volumes))
        return replace(inside.better(first, second), errors=torch.cat([first.errors, second.errors], 1))

    return search


@dataclass(frozen=True)
class Searched:
    """What the search came to.

    Parameters
    ----------
    before, found : float
        What ranks images (chi2_free, or chi2 where no photon was held out): the best one before, and the one of the search.
    """

    before: float
    found: float

    @classmethod
    def among(cls, images: ImageEnsemble) -> Searched | None:
        """Of images that the search may have joined; None: it did not."""
        if EVEN_DENSITY not in images.elements:
            return None
        place, scores = images.elements.index(EVEN_DENSITY), images.chi2.tolist()
        return cls(min(scores[:place] + scores[place + 1 :]), scores[place])

    @property
    def is_kept(self) -> bool:
        """Does it explain what was held out better?"""
        return self.found < self.before

    def facts(self) -> dict[str, Any]:
        """For the report."""
        before, found = (value if math.isfinite(value) else None for value in (self.before, self.found))
        return {"chi2_free_before": before, "chi2_free": found, "kept": self.is_kept}

    @property
    def sentence(self) -> str:
        """For people."""
        outcome = (
            f"it explains the held-out voxels better, and is shown (misfit {self.found:.3g}, before {self.before:.3g})"
            if self.is_kept
            else f"it explains the held-out voxels no better, and is not shown (misfit {self.found:.3g}, the image's "
            f"{self.before:.3g})"
        )
        return f"As chi2 was above what counting noise gives, a crystal of even density was searched for: {outcome}."
