"""The loss of training on measured patterns: seen through a beam that may be coherent only in part.

A blurred pattern fits no crystal, and a network that learns from it as if the beam were coherent learns to draw what is not
there. So the diffraction of its image is blurred first, by the kernel with which that image explains the pattern best
(`phasing.coherence_rounds`): as a refinement does it, but from the prediction. The gradient takes the kernel as given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.network.architectures import Network
from autophasenn.network.estimates import Stage
from autophasenn.network.loss import unit_modulus
from autophasenn.network.predict import Inference, Predictor
from autophasenn.phasing.coherence_rounds import CoherenceRounds
from autophasenn.phasing.held_out import HeldOut
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, intensity_of
from autophasenn.training.objective import LOSSES, Loss, Objective
from autophasenn.volumes import PATTERN, SPATIAL, Counts, Masks, Pattern, crop_or_pad

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the blur that are tried: the estimate begins with one, and few steps do not take it back where there is none."""
DARK = 1e-8
"""Share of the highest intensity added everywhere: the root of 0 has no gradient, and rounding leaves less than this."""


class BeamObjective(Objective):
    """A network and its loss behind the beam of each pattern."""

    def forward(
        self, counts: Counts, measured: Masks, generators: Sequence[torch.Generator]
    ) -> Float[Tensor, " stages"]:
        """Mean loss of the patterns after every stage."""
        return losses_through_beam(self.network(counts, measured, generators), counts, measured, self.loss).mean(0)


def losses_through_beam(
    history: Sequence[Stage], counts: Counts, measured: Masks, loss: Loss
) -> Float[Tensor, "batch stages"]:
    """The loss of every pattern after every stage, through the beam of the last; see `training.objective.stage_losses`."""
    modulus, last = unit_modulus(counts, measured), history[-1].objects.detach()
    beams = [beam_of(*each) for each in zip(counts, measured, last, strict=True)]
    losses = []
    for stage in history:
        coherent = intensity_of(stage.waves)
        blurred = torch.cat([beam.blur(each[None]) for beam, each in zip(beams, coherent, strict=True)])
        seen = (blurred + DARK * blurred.detach().amax(SPATIAL, keepdim=True)).sqrt()
        losses.append(LOSSES[loss.of](seen.to(torch.complex64), modulus, measured))
    return torch.stack(losses, 1)


@torch.no_grad()
def beam_of(
    counts: Float[Tensor, "64 64 64"], measured: Bool[Tensor, "64 64 64"], rho: Complex[Tensor, "n n n"]
) -> ForwardModel:
    """The beam through which an object explains a pattern best: an estimated kernel, less blurred where that fits better."""
    grid = HeldOut(Pattern(counts, measured), torch.zeros_like(measured))
    found = grid.found(crop_or_pad(rho, PATTERN))
    kernel = CoherenceRounds().kernel(grid, found)
    coherent = ForwardModel()(metrics.thresholded(found.object))
    shares = torch.tensor(SHARES, device=counts.device)[:, None, None, None]
    seen = torch.lerp(coherent, ForwardModel(kernel=kernel).blur(coherent), shares)
    misfit = metrics.chi2_of_intensity(seen, counts.expand_as(seen), measured.expand_as(seen))
    share = SHARES[int(misfit.argmin())]
    sharp = torch.zeros_like(kernel)
    sharp[..., kernel.shape[-3] // 2, kernel.shape[-2] // 2, kernel.shape[-1] // 2] = 1
    return ForwardModel(kernel=torch.lerp(sharp, kernel, share)) if share else ForwardModel()


def held_out_misfits(
    network: Network,
    boxes: Sequence[HeldOut],
    draws: int,
    seed: int,
    *,
    partial_coherence: bool = True,
    between: Callable[[], None] | None = None,
) -> list[float]:
    """chi2_free of a network's predictions (chi2 where no photon was held out) for each pattern: geometric mean over starts.

    Parameters
    ----------
    network : Network
    boxes : sequence of HeldOut
    draws : int
        Starts of each pattern.
    seed : int
    partial_coherence : bool
        Whether the beam is estimated, from what is not held out.
    between : callable, optional
        Called before every prediction; may wait.
    """
    predictor = Predictor(network, Inference("float32"))  # what is compared must not depend on the machine
    found: list[float] = []
    for box in boxes:
        errors: list[float] = []
        for draw in range(draws):
            if between is not None:
                between()
            rho = crop_or_pad(predictor.predict(box.pattern.counts[None], box.used, seed + draw), PATTERN)
            beam = beam_of(box.pattern.counts, box.used[0], rho[0]) if partial_coherence else ForwardModel()
            counts, mask = box.pattern.counts[None], box.pattern.mask[None]
            error = float(metrics.chi2_free(rho, counts, mask, box.free[None], beam))
            errors.append(error if math.isfinite(error) else float(metrics.chi2(rho, counts, box.used, beam)))
        found.append(geometric_mean(errors))
    return found


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers; a 0 or no number at all in them is what comes out."""
    return float(torch.tensor(values, dtype=torch.float64).log().mean().exp())
