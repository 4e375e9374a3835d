"""The pattern that a coherent beam would have given: the measured one without the blur of its mutual coherence kernel.

A beam of short coherence multiplies the autocorrelation of the crystal by its degree of coherence, so that the crystal looks
smaller, and its outer part is lost by whatever takes the beam for a coherent one. Richardson-Lucy deconvolution (Richardson,
J. Opt. Soc. Am. 62, 55 (1972); Lucy, Astron. J. 79, 745 (1974)) undoes that as far as counting noise allows. What it gives
is not Poisson counts any more: it is a pattern to begin from. What is chosen at the end is judged by the counts.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.phasing.held_out import HeldOut
from autophasenn.physics.diffraction import ForwardModel
from autophasenn.volumes import Pattern

DARK = 1e-9
"""Share of the brightest voxel below which nothing is divided by."""
LEAST_SEEN = 1e-3
"""Share of a voxel's light that must fall on voxels that are used, for them to say how bright it is."""


def deblurred(held_out: HeldOut, kernel: Float[Tensor, "1 k k k"], updates: int) -> HeldOut:
    """A pattern without the blur of a kernel; its held-out voxels are filled in, and nothing is held out.

    Parameters
    ----------
    held_out : HeldOut
        Only the voxels that may be fitted to are looked at.
    kernel : float32 tensor (1, k, k, k)
        Mutual coherence kernel, centred, of sum 1, the same under inversion.
    updates : int
        Richardson-Lucy steps, from the blurred counts; more of them sharpen the pattern, and its noise.
    """
    used = held_out.used.to(held_out.pattern.counts.dtype)
    counts = held_out.pattern.counts * used
    blur = ForwardModel(kernel=kernel).blur
    seen = blur(used).clamp_min(LEAST_SEEN)
    dark = DARK * float(counts.max())
    sharp = (blur(counts) / seen).clamp_min(dark)
    for _ in range(updates):
        sharp = sharp * blur(counts / blur(sharp).clamp_min(dark)) / seen
    mask = held_out.pattern.mask
    return HeldOut(Pattern(torch.where(mask, sharp[0], 0), mask), torch.zeros_like(mask))
