"""Every parameter of a training, as frozen values. What runs it (device, processes, minutes) is no part of the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from autophasenn.errors import PlanError
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.training.examples import Recorded, Simulated


@dataclass(frozen=True)
class Loss:
    """What is made small.

    Parameters
    ----------
    of : "root_chi2" or "mean_absolute_error"
        See `network.loss`; the second is the paper's.
    growth : float
        Weight of the loss of each stage over that of the one before.
    """

    of: Literal["root_chi2", "mean_absolute_error"] = "root_chi2"
    growth: float = 1.5

    def __post_init__(self) -> None:
        if not self.growth > 0:
            raise PlanError(f"growth is {self.growth:g}; the weights of the stages must be above 0. Give 1 or more.")

    def weights(self, stages: int) -> list[float]:
        """Of the stages, first to last; their sum is 1."""
        raw = [self.growth**number for number in range(stages)]
        return [weight / sum(raw) for weight in raw]


@dataclass(frozen=True)
class Optimiser:
    """How the weights move.

    Parameters
    ----------
    method : "adamw" or "muon"
        AdamW (Loshchilov & Hutter, ICLR (2019)), which without weight decay is Adam; or `muon.Muon` for the kernels and
        AdamW for the rest.
    learning_rate : float
        Largest.
    betas : (float, float)
        Memory of gradient and squared gradient.
    weight_decay : float
    clip : float
        Norm to which longer gradients are shortened. 0: none is.
    average : float
        Memory of the exponential moving average of the weights, a step, which is what is validated and kept. 0: the
        weights themselves are.
    """

    method: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.998

    def __post_init__(self) -> None:
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and self.clip >= 0):
            raise PlanError(
                f"learning_rate {self.learning_rate:g}, weight_decay {self.weight_decay:g}, clip {self.clip:g}: the first "
                "must be above 0, the others 0 or above."
            )
        if not all(0 <= memory < 1 for memory in (*self.betas, self.average)):
            raise PlanError(f"betas {self.betas} and average {self.average:g} must be at least 0 and below 1.")


@dataclass(frozen=True)
class WarmupCosine:
    """The learning rate rises in proportion to the samples seen, then falls as half a cosine.

    Parameters
    ----------
    warmup : int
        Samples until it is largest.
    last : float
        Share of it that is left at the end.
    """

    warmup: int = 1000
    last: float = 0.02

    def __post_init__(self) -> None:
        if self.warmup < 0 or not 0 <= self.last <= 1:
            raise PlanError(f"warmup {self.warmup} must be 0 or more, last {self.last:g} from 0 to 1.")

    def factor(self, seen: int, samples: int, losses: Sequence[float]) -> float:
        """Share of the learning rate after `seen` of `samples`; `losses` are those of the validations until then."""
        rise = min(1.0, (seen + 1) / (self.warmup + 1))
        return rise * (self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, seen / samples))))


@dataclass(frozen=True)
class Plateau:
    """The learning rate falls whenever the validation loss has stopped falling, as in the paper.

    Parameters
    ----------
    shrink : float
        What it is multiplied with.
    patience : int
        Validations without a new least loss that are borne.
    tolerance : float
        A loss is a new least one if it is below the least by this share.
    """

    shrink: float = 0.5
    patience: int = 2
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 < self.shrink <= 1 or self.patience < 0 or not 0 <= self.tolerance < 1:
            raise PlanError(
                f"shrink {self.shrink:g} must be above 0 and at most 1, patience {self.patience} 0 or more, tolerance "
                f"{self.tolerance:g} from 0 to 1."
            )

    def factor(self, seen: int, samples: int, losses: Sequence[float]) -> float:
        """Share of the learning rate after validations with these losses."""
        factor, least, borne = 1.0, math.inf, 0
        for loss in losses:
            if loss < least * (1 - self.tolerance):
                least, borne = loss, 0
            else:
                borne += 1
            if borne > self.patience:
                factor, borne = factor * self.shrink, 0
        return factor


@dataclass(frozen=True)
class Validation:
    """How the network is tried on patterns that it does not learn from.

    Parameters
    ----------
    data : Simulated or Recorded
        The patterns, and their objects where these are known. Objects are read for the curves alone.
    count : int
        How many, the first ones.
    seed : int
        Of simulated ones, and of the network's starts.
    every : int
        Samples of training between validations.
    best_by : "correlation" or "chi2"
        What makes a network the best one yet. Correlation takes known objects.
    """

    data: Simulated | Recorded = field(default_factory=Simulated)
    count: int = 64
    seed: int = 0
    every: int = 8000
    best_by: Literal["correlation", "chi2"] = "correlation"

    def __post_init__(self) -> None:
        if self.count < 1 or self.every < 1:
            raise PlanError(f"count {self.count} and every {self.every} of the validation must be 1 or more.")


@dataclass(frozen=True)
class TrainingPlan:
    """What is trained, on what, how long.

    Parameters
    ----------
    seed : int
        Of everything that is drawn. With the number of a sample it makes the sample again.
    samples : int
        Patterns seen in all.
    batch : int
        Patterns a step, of all processes together.
    precision : "bf16-mixed" or "32-true"
        Of the convolutions; transforms and losses are always float32.
    network : UnrolledDesign or AutoPhaseNNDesign
    begin_with : str, optional
        File of weights to begin with, of a network with the same layers. null: weights drawn from the seed.
    data : list of Simulated and Recorded
        Where the patterns come from.
    loss : Loss
    optimiser : Optimiser
    schedule : WarmupCosine or Plateau
    validation : Validation
    log_every, checkpoint_every : int
        Samples between two lines of the log, and between two checkpoints.
    """

    seed: int = 1
    samples: int = 200_000
    batch: int = 16
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    network: UnrolledDesign | AutoPhaseNNDesign = field(default_factory=UnrolledDesign)
    begin_with: str | None = None
    data: tuple[Simulated | Recorded, ...] = (Simulated(),)
    loss: Loss = field(default_factory=Loss)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: WarmupCosine | Plateau = field(default_factory=WarmupCosine)
    validation: Validation = field(default_factory=Validation)
    log_every: int = 320
    checkpoint_every: int = 1600

    def __post_init__(self) -> None:
        if min(self.samples, self.batch, self.log_every, self.checkpoint_every) < 1 or self.seed < 0:
            raise PlanError(
                f"samples {self.samples}, batch {self.batch}, log_every {self.log_every} and checkpoint_every "
                f"{self.checkpoint_every} must be 1 or more, seed {self.seed} 0 or more."
            )
        if not self.data:
            raise PlanError("data is empty; name at least one source of patterns.")
        if isinstance(self.validation.data, Simulated) and self.validation.seed == self.seed:
            raise PlanError(
                f"The seed of the validation is {self.seed}, as that of the training: it would be tried on what it learned "
                "from. Give another."
            )

    @property
    def steps(self) -> int:
        """In all; the last one may go beyond `samples`."""
        return -(-self.samples // self.batch)
