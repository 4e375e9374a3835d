"""Poisson's law, in every range of rates that the counting treats in its own way."""

import numpy as np
import pytest
import torch
from scipy import stats

from autophasenn.experiment.counting import HIGHEST, STEPS, poisson_counts


def drawn(rate: float, seed: int = 1) -> torch.Tensor:
    return poisson_counts(torch.full((64, 64, 64), rate), torch.Generator().manual_seed(seed))


RATES = [1e-4, 0.5 / STEPS**2, 0.03, 0.7, 3.3, 25.0, HIGHEST - 0.2, HIGHEST + 0.2, 5e3]


@pytest.mark.parametrize("rate", RATES)
def test_counts_follow_poissons_law(rate: float) -> None:
    counts = drawn(rate).flatten().long()
    expected = stats.poisson.pmf(np.arange(int(counts.max()) + 1), rate) * counts.numel()
    found = np.bincount(counts.numpy(), minlength=len(expected))
    kept = expected > 5
    tails = max(expected[~kept].sum() + counts.numel() * stats.poisson.sf(counts.max(), rate), 1e-3)
    statistic = ((found - expected)[kept] ** 2 / expected[kept]).sum() + (found[~kept].sum() - tails) ** 2 / tails
    assert stats.chi2.sf(statistic, max(int(kept.sum()), 1)) > 1e-3


def test_voxels_of_different_rates_are_counted_independently() -> None:
    rates = torch.tensor(RATES).repeat(64**3 // len(RATES) + 1)[: 64**3].reshape(64, 64, 64)
    normal = ((poisson_counts(rates, torch.Generator().manual_seed(2)) - rates) / rates.sqrt()).flatten().double()
    lagged = torch.stack([(normal[lag:] * normal[: 64**3 - lag]).mean() for lag in (1, 2, 9, 64, 4096)])
    assert (lagged.abs() < 5 / 64**1.5).all()
    share = [float(poisson_counts(rates, torch.Generator().manual_seed(k)).sum(dtype=torch.float64)) for k in range(40)]
    total = float(rates.sum(dtype=torch.float64))
    assert abs(np.mean(share) - total) < 4 * np.sqrt(total / 40)
    assert 0.5 < np.var(share) / total < 1.7


def test_nothing_is_counted_where_nothing_is_expected() -> None:
    rates = torch.zeros(64, 64, 64)
    assert poisson_counts(rates, torch.Generator()).sum() == 0
    rates[3, 4, 5], rates[63, 63, 63] = 4.0, 1e6
    counts = poisson_counts(rates, torch.Generator().manual_seed(3))
    assert counts.sum() == counts[3, 4, 5] + counts[63, 63, 63]
    assert abs(float(counts[63, 63, 63]) - 1e6) < 5e3


def test_the_counts_replay_from_their_generator() -> None:
    rates = torch.logspace(-5, 6, 64**3).reshape(64, 64, 64)
    first, second, third = (poisson_counts(rates, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
