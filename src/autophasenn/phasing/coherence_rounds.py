"""The coherence of the beam, found in turn with the object: a kernel before each round of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.options import Count, Number, options
from autophasenn.phasing.algorithms import RAAR
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.phasing.support import ShrinkWrap
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract, to_corner
from autophasenn.volumes import crop_or_pad

SAME_VOXELS = (1.0, 1.0, 1.0)
"""A voxel of the pattern a voxel of the network's box."""


def narrow_search(*blocks: Block, sigma: float = 1.0, average_last: int = 0) -> Schedule:
    """A search from a start that has the crystal's shape already: its shrink-wrap is narrow from the beginning."""
    shrink_wrap = ShrinkWrap(threshold=0.35, sigma_first=sigma, sigma_last=0.5)
    return Schedule(blocks, 1, shrink_wrap, break_twin_at=None, average_last=average_last)


@options
class CoherenceRounds:
    """How object and coherence of the beam are found in turn.

    Parameters
    ----------
    rounds : int
        Of the search, before the polish. The kernel is estimated anew before each, and before the polish.
    search : Schedule
        What a round does.
    kernel_updates : int
        Richardson-Lucy steps of an estimate of the coherence kernel.
    kernel_width : int
        Odd edge of the kernel in voxels of the pattern.
    kernel_middle : int
        Voxels of the network's box, along each axis, from which it is estimated.

    Raises
    ------
    PlanError
        If a number is below its least, or the kernel does not fit.
    """

    rounds: Count = 2
    search: Schedule = field(default_factory=lambda: narrow_search(Block(RAAR(), 12)))
    kernel_updates: Number = 20
    kernel_width: Annotated[int, Ge(3)] = 11
    kernel_middle: Number = 32

    def __post_init__(self) -> None:
        if self.kernel_width % 2 == 0:
            raise PlanError(f"kernel_width is {self.kernel_width}; a kernel has an odd edge, of 3 voxels or more.")
        if self.kernel_middle < 2 * self.kernel_width:
            raise PlanError(
                f"kernel_middle is {self.kernel_middle}; a kernel of {self.kernel_width} voxels is estimated from "
                f"{2 * self.kernel_width} or more."
            )

    def kernel(
        self, held_out: HeldOut, run: Retrieval, steps: Sequence[float] = SAME_VOXELS
    ) -> Float[Tensor, "1 k k k"]:
        """The coherence kernel, estimated anew from the middle of the pattern.

        Parameters
        ----------
        held_out : HeldOut
        run : Retrieval
            One object, and the last estimate if there is one.
        steps : 3 floats
            Voxels of the pattern a voxel of the network's box.
        """
        shape = [
            min(size, 2 * round(self.kernel_middle * step / 2))
            for size, step in zip(held_out.pattern.shape, steps, strict=True)
        ]
        intensity, counts, used = (
            to_corner(crop_or_pad(volume, shape))[None]
            for volume in (intensity_of(diffract(run.object[0])), held_out.pattern.counts, held_out.used[0])
        )
        counts = torch.where(used, counts, 0)
        scale = metrics.best_scale(intensity, counts, used).square()[:, None, None, None]
        estimate = CoherenceEstimate(updates=self.kernel_updates, width=self.kernel_width)
        return estimate.update(run.kernel, intensity * scale, counts, used.to(counts.dtype))
