"""What the network says of a pattern: predictions in its box of 64^3 voxels, made again as long as they are poor.

Held-out voxels are chosen in the pattern, before anything else, so that chi2_free judges every step and no step sees them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autophasenn.inversion.box import NetworkBox
from autophasenn.network.predict import Predictor
from autophasenn.options import Positive, options
from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.ensemble import AGREEMENT, Starts, as_reconstruction, singular_modes
from autophasenn.phasing.held_out import FREE_FRACTION, HeldOut
from autophasenn.physics import ambiguity
from autophasenn.randomness import Stream, seed_of
from autophasenn.volumes import PATTERN, Pattern, Reconstruction, crop_or_pad


@options
class Predictions:
    """How often the network is asked.

    Parameters
    ----------
    starts : int
        Predictions that are made at most, from different random starts, as long as all of them are poor; the one that
        fits best goes on.
    poor : float
        A prediction is poor if its chi2 is that much above what counting noise gives. It is larger than that of a refined
        object: partial coherence alone makes a right prediction fit worse than noise allows.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    starts: Starts = 3
    poor: Positive = 0.02


@dataclass(frozen=True, eq=False)
class Boxed:
    """A pattern with its held-out voxels, and the same in the network's box.

    Parameters
    ----------
    grid : HeldOut
        The whole pattern.
    inside : HeldOut
        What the network sees of it.
    box : NetworkBox
    """

    grid: HeldOut
    inside: HeldOut
    box: NetworkBox

    def on_grid(self, run: Retrieval) -> Retrieval:
        """What was found in the box, on the voxels of the pattern."""
        if self.box.is_whole_pattern:
            return run
        return self.grid.found(self.box.object_onto_grid(run.object[0]))


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network says of a pattern.

    Parameters
    ----------
    boxed : Boxed
    candidates : tuple of Retrieval
        Predictions in the box, the best first; their errors are their chi2.
    correlations : tuple of float
        Of each with the best.
    """

    boxed: Boxed
    candidates: tuple[Retrieval, ...]
    correlations: tuple[float, ...]

    @property
    def best(self) -> Retrieval:
        """The prediction that fits best."""
        return self.candidates[0]

    def facts(self, oversampling: tuple[float, float, float]) -> dict[str, Any]:
        """For the report."""
        box, inside = self.boxed.box, self.boxed.inside
        return {
            "network_box": {
                "steps": list(box.steps),
                "oversampling": list(box.oversampling(oversampling)),
                "masked_fraction": 1 - float(inside.pattern.mask.double().mean()),
            },
            "predictions": {
                "chi2": [float(each.errors) for each in self.candidates],
                "correlation": list(self.correlations),
            },
        }

    def reconstruction(self, final: Retrieval, errors: Tensor, agreement: float = AGREEMENT) -> Reconstruction:
        """An object on the pattern's grid, with what all predictions say of it."""
        objects = torch.cat([each.object for each in self.candidates])
        return as_reconstruction(
            self.boxed.grid,
            final,
            errors=torch.nn.functional.pad(errors, (0, 0, 0, len(objects) - 1), value=torch.nan),
            free_errors=[self.boxed.inside.free_error(each) for each in self.candidates],
            averaged=sum(correlation >= agreement for correlation in self.correlations),
            modes=singular_modes(objects) if len(objects) > 1 else None,
        )


def load_predictor(
    weights: Path | None = None, device: torch.device | str = "cpu", network: str | None = None
) -> Predictor:
    """The network as every method runs it; see `Predictor.from_file`.

    Raises
    ------
    InputError, PlanError
        If the weights are not those of a network, or the device is not there.
    """
    return Predictor.from_file(weights, None, device, network)


def in_network_box(
    pattern: Pattern, oversampling: tuple[float, float, float], *, free_fraction: float = FREE_FRACTION, seed: int
) -> Boxed:
    """Hold voxels out of a pattern, and put it into the network's box.

    Parameters
    ----------
    pattern : Pattern
        Of any shape; on the device that shall do the work.
    oversampling : tuple of 3 floats
    free_fraction : float
        Share of the measured voxels held out.
    seed : int
        Of the held-out voxels.

    Raises
    ------
    InputError
        If the pattern has too few voxels for the network, or no photon where the network looks.
    """
    grid = HeldOut.of(pattern, free_fraction, seed)
    box = NetworkBox.of(pattern.shape, oversampling)
    if box.is_whole_pattern:
        return Boxed(grid, grid, box)
    used, measured = box.counts_into(pattern.counts, grid.used[0])
    counts, everywhere = box.counts_into(pattern.counts, pattern.mask)
    inside = HeldOut(Pattern(torch.where(measured, used, counts), everywhere), everywhere & ~measured)
    return Boxed(grid, inside, box)


def predict(boxed: Boxed, predictor: Predictor, how: Predictions | None = None, *, seed: int) -> Prediction:
    """Ask the network, again as long as all its predictions are poor.

    Parameters
    ----------
    boxed : Boxed
    predictor : Predictor
    how : Predictions, optional
    seed : int
        Of the starts.
    """
    candidates, correlations = predict_all(boxed.inside, predictor, how or Predictions(), seed=seed)
    return Prediction(boxed, candidates, correlations)


def predict_all(
    inside: HeldOut, predictor: Predictor, how: Predictions, *, seed: int
) -> tuple[tuple[Retrieval, ...], tuple[float, ...]]:
    """Predictions in the network's box, the best first and the others brought onto it, and their correlation with it."""
    candidates: list[Retrieval] = []
    for start in range(how.starts):
        chosen = seed_of(seed, start, Stream.START, bits=32)
        rho = predictor.predict(inside.pattern.counts[None], inside.used, chosen)[0]
        candidates.append(inside.found(crop_or_pad(rho, PATTERN)))
        if not inside.misfit(candidates[-1]).is_poor(how.poor):
            break
    candidates.sort(key=lambda each: float(each.errors))
    best = candidates[0]
    alignments = [ambiguity.align(best.object[0], each.object[0]) for each in candidates[1:]]
    aligned = [best, *(inside.found(each.aligned) for each in alignments)]
    return tuple(aligned), (1.0, *(each.correlation for each in alignments))
