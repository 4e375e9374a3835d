"""Patterns to learn from, and patterns to be tried on: simulated ones, and those of a dataset file.

What training is handed has no field for the object: a network that learns without labels cannot read any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.experiment.augmentation import Augmentation, augment
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.experiment.experiment import simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.options import Positive, Share, options
from autophasenn.volumes import Counts, Masks, Pattern


@dataclass(frozen=True, eq=False)
class Patterns:
    """What training sees.

    Parameters
    ----------
    counts : float32 tensor (batch, 64, 64, 64)
    measured : bool tensor (batch, 64, 64, 64)
    """

    counts: Counts
    measured: Masks


@dataclass(frozen=True, eq=False)
class Trial:
    """What validation sees.

    Parameters
    ----------
    counts : float32 tensor (batch, 64, 64, 64)
    measured : bool tensor (batch, 64, 64, 64)
    objects : complex64 tensor (batch, 32, 32, 32), optional
        None: not known.
    """

    counts: Counts
    measured: Masks
    objects: Complex[Tensor, "batch 32 32 32"] | None


@options
class Simulated:
    """Patterns made while the network learns; none is seen twice.

    Parameters
    ----------
    source : str
        Of the crystals: "polyhedra" or "lammps".
    recipe : str
        How they are seen: "paper" or "beamline" (`experiment.recipes`).
    metal : str, optional
        Chemical symbol; null: gold.
    share : float
        Of all patterns, in proportion to the other shares.
    """

    name: Literal["Simulated"] = field(default="Simulated", kw_only=True, repr=False)
    source: str = "polyhedra"
    recipe: str = "paper"
    metal: str | None = None
    share: Positive = 1.0

    def __post_init__(self) -> None:
        recipe(self.source, self.recipe, self.metal)

    def patterns(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Patterns:
        """Samples `indices` of `seed`."""
        made = simulate(*recipe(self.source, self.recipe, self.metal), seed, indices, device)
        return Patterns(made.counts, made.masks)

    def trial(self, seed: int, count: int) -> Trial:
        """The first `count` samples of `seed`, with their objects."""
        made = simulate(*recipe(self.source, self.recipe, self.metal), seed, range(count))
        return Trial(made.counts, made.masks, made.objects)


@options
class Recorded:
    """Patterns of a dataset file, in a new order each time through, mirrored or turned.

    Parameters
    ----------
    file : str
        Its path.
    part : (float, float)
        Which of its samples, as shares of their number: (0, 0.8) are the first four fifths.
    augmentation : Augmentation
        What is done to them in training. Nothing is in validation.
    share : float
        Of all patterns, in proportion to the other shares.
    """

    name: Literal["Recorded"] = field(default="Recorded", kw_only=True, repr=False)
    file: str
    part: tuple[Share, Share] = (0.0, 1.0)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(turned=0.0))
    share: Positive = 1.0

    def __post_init__(self) -> None:
        if not self.part[0] < self.part[1]:
            raise PlanError(f"part is {self.part}; give two rising shares of the file, such as [0, 0.8].")

    @property
    def places(self) -> range:
        """The samples of the file that are meant.

        Raises
        ------
        PlanError
            If there are none.
        """
        first, last = (round(share * len(_opened(self.file))) for share in self.part)
        if first == last:
            raise PlanError(
                f"The part {self.part} of {self.file} holds no sample; the file has {len(_opened(self.file))}."
            )
        return range(first, last)

    def patterns(self, seed: int, indices: Sequence[int], device: torch.device | str = "cpu") -> Patterns:
        """Samples `indices` of `seed`: sample n is one of the file's in the n // N-th time through its N."""
        places = [self._place(seed, index) for index in indices]
        file = _opened(self.file)
        drawn = [
            augment(Pattern(counts, mask), seed, index, self.augmentation)
            for counts, mask, index in zip(file.patterns(places), file.masks(places), indices, strict=True)
        ]
        counts = torch.stack([pattern.counts for pattern in drawn])
        return Patterns(counts.to(device), torch.stack([pattern.mask for pattern in drawn]).to(device))

    def trial(self, seed: int, count: int) -> Trial:
        """The first `count` samples, with their objects where these are known."""
        file, places = _opened(self.file), self.places[:count]
        objects = file.objects(places) if file.has_truth else None
        return Trial(file.patterns(places), file.masks(places), objects)

    def _place(self, seed: int, index: int) -> int:
        time_through, number = divmod(index, len(self.places))
        return self.places[_order(seed, time_through, len(self.places))[number]]


@lru_cache(8)
def _opened(file: str) -> DatasetFile:
    return DatasetFile(Path(file))


@lru_cache(2)
def _order(seed: int, time_through: int, count: int) -> list[int]:
    return np.random.default_rng([seed, time_through]).permutation(count).tolist()
