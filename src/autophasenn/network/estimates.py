"""What every network gives: estimates of the objects, and what they diffract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from autophasenn.physics.fourier import diffract_padded
from autophasenn.volumes import PATTERN, Objects, Waves

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One for a batch, or one a pattern: then a start does not depend on the batch that it is in."""


@dataclass(frozen=True, eq=False)
class Stage:
    """Estimates of the objects.

    Parameters
    ----------
    objects : complex tensor (batch, 32, 32, 32)
        0 where the amplitude is below 10 % of the largest (Yao et al. 2022).
    """

    objects: Objects

    @cached_property
    def waves(self) -> Waves:
        """What the objects diffract, complex (batch, 64, 64, 64); calculated when it is asked for."""
        return diffract_padded(self.objects, PATTERN)
