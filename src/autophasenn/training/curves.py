"""TensorBoard curves and example images of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded
from autophasenn.training.examples import Trial
from autophasenn.training.validation import Scores
from autophasenn.volumes import PATTERN

EXAMPLES = 6
DECADES = 5
"""Of intensity that an image shows."""


class Curves:
    """A folder of TensorBoard events. What a former piece wrote of later steps is hidden.

    Parameters
    ----------
    folder : Path
    step : int
        The step that the training goes on from.
    """

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None)

    def values(self, group: str, values: Mapping[str, float], samples: int) -> None:
        """Add a point to the curve of each value."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, samples)

    def examples(self, trial: Trial, scores: Scores, samples: int) -> None:
        """Add the image of the first patterns of a trial."""
        self._writer.add_image("examples", picture(trial, scores), samples)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def picture(trial: Trial, scores: Scores) -> Float[Tensor, "3 height width"]:
    """A row for each of the first patterns: measured and calculated intensity (logarithm), and the object; central slices.

    Objects have the brightness of their amplitude and the colour of their phase; the true one is the last, where it is
    known. It may be the twin of the one that was found, or be displaced.
    """
    rows = []
    for number in range(min(EXAMPLES, len(trial.counts))):
        rho = scores.objects[number]
        measured = torch.where(trial.measured[number], trial.counts[number], 0)
        tiles = [_grey(measured), _grey(intensity_of(diffract_padded(rho, PATTERN))), _coloured(rho)]
        if trial.objects is not None:
            tiles.append(_coloured(trial.objects[number]))
        rows.append(torch.cat(tiles, 2))
    return torch.cat(rows, 1)


def _grey(intensity: Float[Tensor, "n n n"]) -> Float[Tensor, "3 n n"]:
    middle = intensity[len(intensity) // 2]
    decades = (middle / middle.max().clamp_min(1e-30)).clamp_min(10.0**-DECADES).log10() / DECADES
    return (1 + decades).expand(3, -1, -1)


def _coloured(rho: Tensor) -> Float[Tensor, "3 m m"]:
    middle = rho[len(rho) // 2].repeat_interleave(2, 0).repeat_interleave(2, 1)
    turns = torch.tensor([0.0, 1 / 3, 2 / 3])[:, None, None]
    colour = 0.5 + 0.5 * torch.cos(middle.angle() - 2 * math.pi * turns)
    return colour * middle.abs() / rho.abs().max().clamp_min(1e-30)
