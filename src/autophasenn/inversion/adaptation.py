"""A trained network that learns on from given patterns, one or many: the loss of training, without the held-out voxels.

Held-out voxels judge: chi2_free of the network's predictions, over several starts. The weights that did best are kept, those
of the beginning where no others are better by a hundredth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.experiment.augmentation import Augmentation, augment
from autophasenn.experiment.detectors import draw_window
from autophasenn.experiment.experiment import BEAMLINE
from autophasenn.inversion.prediction import Prediction, Predictions, predict
from autophasenn.network.architectures import Network
from autophasenn.network.predict import Predictor
from autophasenn.options import options
from autophasenn.phasing.engine import OnIteration
from autophasenn.phasing.held_out import HeldOut
from autophasenn.randomness import Stream, generator_of, happens
from autophasenn.training.average import Average
from autophasenn.training.beam_loss import BeamObjective, geometric_mean, held_out_misfits
from autophasenn.training.objective import Loss, Objective
from autophasenn.volumes import Pattern

GAIN = 0.99
"""Share of the first chi2_free below which other weights are better."""


@options
class Adaptation:
    """How a network learns on.

    Parameters
    ----------
    steps : int
        At most.
    batch : int
        Patterns a step, each in another orientation.
    learning_rate : float
        After `warmup`; it falls as half a cosine.
    warmup : int
        Steps in which the learning rate rises.
    average : float
        Memory of the moving average of the weights, a step.
    clip : float
        Norm to which longer gradients are shortened.
    trials : int
        How often the held-out voxels are asked.
    draws : int
        Starts of the network for each pattern of a trial.
    judges : int
        Patterns of a trial at most, spread evenly over all.
    partial_coherence : bool
        Whether the coherence of the beam is estimated, for the loss and for the misfit of held-out voxels. false: the beam
        is taken as fully coherent.
    gapped : float
        Probability that a pattern loses the voxels that would lie on gaps and bad pixels elsewhere on a detector: those of
        the training patterns "beamline". They are unmeasured, not zero.
    thinned : (float, float)
        Share of the photons that a pattern keeps, drawn from this range: fewer photons, counted as exactly.
    augmentation : Augmentation
        The orientations. The 48 symmetries of the cube alone leave every count as it was measured.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    steps: int = 40
    batch: int = 2
    learning_rate: float = 1e-3
    warmup: int = 5
    average: float = 0.9
    clip: float = 1.0
    trials: int = 5
    draws: int = 3
    judges: int = 8
    partial_coherence: bool = True
    gapped: float = 0.5
    thinned: tuple[float, float] = (0.5, 1.0)
    augmentation: Augmentation = field(default_factory=lambda: Augmentation(turned=0.0))

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.trials, self.draws, self.judges) < 1 or self.warmup < 0:
            raise PlanError(f"{self} does nothing; give steps, batch, trials, draws and judges of 1 or more.")
        if not (self.learning_rate > 0 and self.clip > 0 and 0 <= self.average < 1):
            raise PlanError(
                f"learning_rate {self.learning_rate:g} and clip {self.clip:g} must be above 0, average {self.average:g} "
                "from 0 to below 1."
            )
        if not 0 <= self.gapped <= 1:
            raise PlanError(f"gapped is {self.gapped:g}; it is a probability: give 0 to 1.")
        if not 0 < self.thinned[0] <= self.thinned[1] <= 1:
            raise PlanError(f"thinned is {self.thinned}; give two rising shares of the photons, above 0 and at most 1.")

    def rate(self, done: float, step: int) -> float:
        """Learning rate at a share of the whole, and at a step."""
        rise = min(1.0, (step + 1) / (self.warmup + 1))
        return self.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


@dataclass(frozen=True, eq=False)
class AdaptationResult:
    """What became of a network.

    Parameters
    ----------
    network : Network
        The best one.
    before, after : float
        chi2_free at the beginning, and of the best: the geometric mean over patterns and starts.
    steps : int
        That were made.
    best_step : int
        After which the best one was found; 0: it is that of the beginning.
    """

    network: Network
    before: float
    after: float
    steps: int
    best_step: int

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence, where nothing was gained."""
        if self.best_step:
            return ()
        return (
            "Learning on from this pattern made the network's prediction of held-out voxels no better (chi2_free "
            f"{self.before:.3g}), so the image is that of --method refined.",
        )

    def facts(self) -> dict[str, Any]:
        """For the report."""
        return {
            "steps": self.steps,
            "best_step": self.best_step,
            "chi2_free_before": self.before,
            "chi2_free_after": self.after,
        }


def adapt(
    network: Network,
    boxes: Sequence[HeldOut],
    options: Adaptation | None = None,
    *,
    seed: int,
    share_done: Callable[[int], float] | None = None,
    on_iteration: OnIteration | None = None,
    between: Callable[[], None] | None = None,
) -> AdaptationResult:
    """Let a network learn on from patterns, on the CPU wherever they are.

    Parameters
    ----------
    network : Network
        Stays as it is; a copy learns.
    boxes : sequence of HeldOut
        Patterns of 64^3 voxels, and which of these are held out.
    options : Adaptation, optional
    seed : int
        Of orientations, photons and starts.
    share_done : callable, optional
        Share of the work that is done after so many steps; 1 or more ends it. None: by `options.steps`.
    on_iteration : callable, optional
        Told per mille.
    between : callable, optional
        Called before every step and every prediction; may wait, so that others have the machine.
    """
    options = options or Adaptation()
    done = share_done or (lambda step: step / options.steps)
    boxes = [box.to("cpu") for box in boxes]
    judges = spread_evenly(boxes, options.judges)

    def misfit_of(judged: Network) -> float:
        each = held_out_misfits(
            judged, judges, options.draws, seed, partial_coherence=options.partial_coherence, between=between
        )
        return geometric_mean(each)

    learner = deepcopy(network).cpu().train().requires_grad_(True)
    average = Average(learner, options.average)
    objective = (BeamObjective if options.partial_coherence else Objective)(learner, Loss())
    optimiser = torch.optim.AdamW(learner.parameters(), options.learning_rate, (0.9, 0.98), weight_decay=1e-4)
    best = before = misfit_of(network)
    kept, best_step, step, asked, share = network, 0, 0, 0, 0.0
    while share < 1:
        if between is not None:
            between()
        for group in optimiser.param_groups:
            group["lr"] = options.rate(share, step)
        patterns = [_seen(boxes, seed, step * options.batch + place, options) for place in range(options.batch)]
        counts, masks = torch.stack([each.counts for each in patterns]), torch.stack([each.mask for each in patterns])
        starts = [generator_of(seed, step * options.batch + place, Stream.START) for place in range(options.batch)]
        losses = objective(counts, masks, starts)
        weights = torch.tensor(Loss().weights(len(losses)), device=losses.device)
        optimiser.zero_grad()
        (weights * losses).sum().backward()
        norm = torch.nn.utils.clip_grad_norm_(learner.parameters(), options.clip)
        step += 1
        if bool(torch.isfinite(norm)):
            optimiser.step()
            average.update(learner, step)
        share = done(step)
        if on_iteration is not None:
            on_iteration(min(1000, int(1000 * share)), 1000)
        if share * options.trials >= asked + 1:
            asked = int(share * options.trials)
            misfit = misfit_of(average.network)
            if misfit < (best if best_step else GAIN * before):
                kept, best, best_step = deepcopy(average.network), misfit, step
    return AdaptationResult(kept.eval(), before, best, step, best_step)


def adapt_to(
    prediction: Prediction,
    predictor: Predictor,
    options: Adaptation,
    predictions: Predictions,
    *,
    seed: int,
    on_iteration: OnIteration | None = None,
) -> tuple[Predictor, Prediction, AdaptationResult]:
    """A network that has learned on from one pattern, what it says of it, and how it learned.

    The first two are those that were given where nothing was gained.
    """
    inside = prediction.boxed.inside
    found = adapt(predictor.network, [inside], options, seed=seed % 2**31, on_iteration=on_iteration)
    if not found.best_step:
        return predictor, prediction, found
    tuned = Predictor(found.network, predictor.inference, predictor.device)
    return tuned, predict(prediction.boxed, tuned, predictions, seed=seed), found


def spread_evenly(boxes: Sequence[HeldOut], most: int) -> list[HeldOut]:
    """So many of them at most, the first one always."""
    number = min(most, len(boxes))
    return [boxes[place * len(boxes) // number] for place in range(number)]


def _seen(boxes: Sequence[HeldOut], seed: int, index: int, options: Adaptation) -> Pattern:
    """What the network sees of a pattern: voxels not held out, in another orientation, behind gaps, of fewer photons."""
    box = boxes[index % len(boxes)]
    used = Pattern(torch.where(box.used[0], box.pattern.counts, 0), box.used[0])
    turned = augment(used, seed, index, options.augmentation)
    if happens(random := generator_of(seed, index, Stream.EXPERIMENT), options.gapped):
        turned = _behind_gaps(turned, random)
    random = generator_of(seed, index, Stream.COUNTING)
    low, high = options.thinned
    share = low + (high - low) * float(torch.rand((), generator=random))
    return replace(turned, counts=_thinned(turned.counts, share, random))


def _behind_gaps(pattern: Pattern, random: torch.Generator) -> Pattern:
    """The pattern on a detector; the peak lies off its gaps."""
    window = draw_window(random, BEAMLINE.detectors, BEAMLINE.binning, BEAMLINE.bad_pixels, BEAMLINE.bad_line)
    mask = pattern.mask & window.mask().to(pattern.mask.device)
    return replace(pattern, counts=torch.where(mask, pattern.counts, 0), mask=mask)


def _thinned(counts: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Each photon stays with a probability: what is left is Poisson's again (bright voxels: to rounding)."""
    kept = torch.binomial(counts.round(), torch.full_like(counts, share), generator=random)
    return kept if bool((kept > 0).any()) else counts
