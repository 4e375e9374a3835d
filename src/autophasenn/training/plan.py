"""Every parameter of a training, as frozen values. What runs it (device, processes, minutes) is no part of the plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Discriminator

from autophasenn.errors import PlanError
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.options import Count, NotNegative, Number, Positive, Share, options
from autophasenn.training.examples import Recorded, Simulated
from autophasenn.training.objective import Loss

AnyExamples = Annotated[Simulated | Recorded, Discriminator("name")]
"""Where patterns come from."""
Memory = Annotated[float, Ge(0), Lt(1)]
"""Of a moving average, a step."""


@options
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
    learning_rate: Positive = 1e-3
    betas: tuple[Memory, Memory] = (0.9, 0.98)
    weight_decay: NotNegative = 1e-4
    clip: NotNegative = 1.0
    average: Memory = 0.998


@options
class WarmupCosine:
    """The learning rate rises in proportion to the samples seen, then falls as half a cosine.

    Parameters
    ----------
    warmup : int
        Samples until it is largest.
    last : float
        Share of it that is left at the end.
    """

    name: Literal["WarmupCosine"] = field(default="WarmupCosine", kw_only=True, repr=False)
    warmup: Count = 1000
    last: Share = 0.02

    def factor(self, seen: int, samples: int, losses: Sequence[float]) -> float:
        """Share of the learning rate after `seen` of `samples`; `losses` are those of the validations until then."""
        rise = min(1.0, (seen + 1) / (self.warmup + 1))
        return rise * (self.last + (1 - self.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, seen / samples))))


@options
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

    name: Literal["Plateau"] = field(default="Plateau", kw_only=True, repr=False)
    shrink: Annotated[float, Gt(0), Le(1)] = 0.5
    patience: Count = 2
    tolerance: Memory = 1e-4

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


@options
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

    data: AnyExamples = field(default_factory=Simulated)
    count: Number = 64
    seed: int = 0
    every: Number = 8000
    best_by: Literal["correlation", "chi2"] = "correlation"


@options
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

    seed: Count = 1
    samples: Number = 200_000
    batch: Number = 16
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    network: Annotated[UnrolledDesign | AutoPhaseNNDesign, Discriminator("name")] = field(
        default_factory=UnrolledDesign
    )
    begin_with: str | None = None
    data: tuple[AnyExamples, ...] = (Simulated(),)
    loss: Loss = field(default_factory=Loss)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Annotated[WarmupCosine | Plateau, Discriminator("name")] = field(default_factory=WarmupCosine)
    validation: Validation = field(default_factory=Validation)
    log_every: Number = 320
    checkpoint_every: Number = 1600

    def __post_init__(self) -> None:
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
