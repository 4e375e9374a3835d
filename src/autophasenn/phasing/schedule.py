"""What is done in which iteration: schedules are typed values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Annotated

from pydantic import Discriminator

from autophasenn.errors import PlanError
from autophasenn.options import Count, Number, options
from autophasenn.phasing.algorithms import CHIO, DM, ER, HIO, RAAR, SF
from autophasenn.phasing.coherence import CoherenceEstimate
from autophasenn.phasing.support import ShrinkWrap

AnyAlgorithm = Annotated[ER | HIO | RAAR | DM | SF | CHIO, Discriminator("name")]


@options
class Block:
    """Some iterations of one algorithm."""

    algorithm: AnyAlgorithm
    iterations: Number


def _paper_blocks() -> tuple[Block, ...]:
    # Long stretches of HIO leave the local minima that strained crystals have; 80 at a time found one start in five.
    return (Block(ER(), 20), Block(HIO(), 170)) * 3 + (Block(ER(), 30),)


@options
class Schedule:
    """The iterations of one retrieval. The default is the paper's: 600 that alternate ER and HIO, with shrink-wrap.

    Parameters
    ----------
    blocks : tuple of Block
        Done in turn.
    repeats : int
        How often the blocks are gone through.
    shrink_wrap : ShrinkWrap, optional
        None: the first support is kept.
    break_twin_at : int, optional
        Iteration at which a random half of the object is cut away, so that the object and its twin, equally good at
        the start, do not grow on top of each other. None: never.
    coherence : CoherenceEstimate, optional
        None: the beam is taken as fully coherent.
    average_last : int
        Objects of so many last iterations are averaged (0 or 1: the last one is the result).
    """

    blocks: tuple[Block, ...] = field(default_factory=_paper_blocks)
    repeats: Number = 1
    shrink_wrap: ShrinkWrap | None = field(default_factory=ShrinkWrap)
    break_twin_at: Count | None = 10
    coherence: CoherenceEstimate | None = None
    average_last: Count = 10

    def __post_init__(self) -> None:
        if not self.blocks:
            raise PlanError("The schedule has no iteration; give it at least one block.")
        if self.average_last > self.iterations:
            raise PlanError(
                f"average_last is {self.average_last} in a schedule of {self.iterations} iterations; average no more."
            )

    @property
    def iterations(self) -> int:
        """Number of iterations in all."""
        return self.repeats * sum(block.iterations for block in self.blocks)

    def __iter__(self) -> Iterator[AnyAlgorithm]:
        """The algorithm of each iteration."""
        for _ in range(self.repeats):
            for block in self.blocks:
                for _ in range(block.iterations):
                    yield block.algorithm


def error_reduction(iterations: int) -> Schedule:
    """ER alone on a fixed support: the paper's refinement of a prediction."""
    return Schedule((Block(ER(), iterations),), 1, shrink_wrap=None, break_twin_at=None, average_last=0)
