"""Photons counted: Poisson noise on the intensity, fast enough to make training patterns on the fly.

A Poisson variate of rate L is the sum of one of rate B <= L and one of rate L - B. On the CPU every voxel takes its
largest B from a ladder of rates whose quantiles are tabulated, and the little that is left is dealt out photon by photon:
their number over the volume is Poisson, and each falls in a voxel with a probability proportional to what is left
there. Both steps are exact (L. Devroye, Non-Uniform Random Variate Generation (1986), chapters III.2 and VI.1), and
together take half the time of drawing voxel by voxel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Integer, UInt8
from scipy import special
from torch import Tensor

from autophasenn.volumes import Volume

STEPS = 40
"""Steps of the ladder per unit of sqrt(rate): step j is the rate ``(j / STEPS)^2``."""
HIGHEST = 100.0
"""Top of the ladder. Voxels of a higher rate are drawn one by one."""
CELLS = 2**12
"""Equal cells of probability of the quantile tables. One rate takes 4 kB, all of them stay in the processor's cache."""
SEVERAL = 255
"""Table entry of a cell in which the quantile takes several values."""


def poisson_counts(rates: Volume, generator: torch.Generator) -> Volume:
    """Whole numbers drawn from Poisson's law.

    Parameters
    ----------
    rates : float32 tensor (n0, n1, n2)
        Expected counts, finite and >= 0.
    generator : torch.Generator
        On the device of `rates`. The kinds of devices have number sequences of their own.

    Returns
    -------
    float32 tensor (n0, n1, n2)
    """
    if rates.device.type != "cpu":
        return torch.poisson(rates, generator=generator)
    seed = int(torch.randint(2**63 - 1, (1,), generator=generator))
    random = np.random.Generator(np.random.SFC64(seed))
    flat = rates.reshape(-1)
    rest = flat.clamp_max(HIGHEST).sqrt_().mul_(STEPS)
    level = rest.to(torch.int32)
    torch.div(level, STEPS, out=rest).square_().neg_().add_(flat).clamp_min_(0)
    bright = torch.from_numpy(np.flatnonzero(flat.numpy() >= HIGHEST))
    rest[bright] = 0
    counts = _ladder(level, random)
    voxels = _dealt_out(rest, random)
    counts.index_add_(0, voxels, torch.ones(len(voxels)))
    counts[bright] = torch.from_numpy(random.poisson(flat[bright].numpy())).to(counts)
    return counts.reshape(rates.shape)


def _ladder(level: Integer[Tensor, " voxels"], random: np.random.Generator) -> Float[Tensor, " voxels"]:
    """A Poisson variate of each step of the ladder; `level` is used up."""
    cumulative, quantiles = _tables()
    cell = random.bit_generator.random_raw(-(-len(level) // 4)).view(np.uint16)[: len(level)]  # 16 random bits a voxel
    cell &= np.uint16(CELLS - 1)
    entry = level.mul_(CELLS).add_(torch.from_numpy(cell.view(np.int16)))
    counts = quantiles.index_select(0, entry)
    several = torch.from_numpy(np.flatnonzero(counts.numpy() == SEVERAL))
    counts = counts.float()
    rows, cells = np.divmod(entry[several].numpy(), CELLS)
    u = (cells + random.random(len(cells))) / CELLS
    counts[several] = torch.from_numpy(_quantile(cumulative, rows, u)).to(counts)
    return counts


def _quantile(
    cumulative: Float[np.ndarray, "levels numbers"],
    level: Integer[np.ndarray, " draws"],
    u: Float[np.ndarray, " draws"],
) -> Integer[np.ndarray, " draws"]:
    """How many values of the row `level` lie below u, by bisection."""
    found = np.zeros(u.size, np.int64)
    step = cumulative.shape[1] // 2
    while step:
        found += step * (cumulative[level, found + step - 1] < u)
        step //= 2
    return found


@lru_cache(1)
def _tables() -> tuple[Float[np.ndarray, "levels numbers"], UInt8[Tensor, " entries"]]:
    """Cumulative distribution of each step of the ladder, and its quantile in each cell, row after row."""
    levels = np.arange(int(STEPS * HIGHEST**0.5) + 1)
    cumulative = special.pdtr(np.arange(SEVERAL + 1), (levels[:, None] / STEPS) ** 2)
    edges = np.arange(CELLS + 1) / CELLS
    first = np.stack([np.searchsorted(row, edges[:-1], side="right") for row in cumulative])
    last = np.stack([np.searchsorted(row, edges[1:], side="left") for row in cumulative])
    return cumulative, torch.from_numpy(np.where(first == last, first, SEVERAL).astype(np.uint8).reshape(-1))


def _dealt_out(rates: Float[Tensor, " voxels"], random: np.random.Generator) -> Integer[Tensor, " photons"]:
    """Poisson variates of low rates, all photons at once: the voxel that each finds."""
    reach = torch.cumsum(rates, 0, dtype=torch.float64).numpy()
    photons = np.sort(random.random(random.poisson(reach[-1]))) * reach[-1]
    return torch.from_numpy(np.searchsorted(reach, photons, side="right"))
