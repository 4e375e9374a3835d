"""An even density tells a beam of short coherence from a crystal that fades towards its surface."""

from dataclasses import replace

import pytest
import torch

from autophasenn.phasing.engine import Retrieval
from autophasenn.phasing.even_likelihood import EvenLikelihood, evenness, most_likely_even
from autophasenn.phasing.likelihood import Likelihood, most_likely
from autophasenn.phasing.support import layer_around
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, gaussian_kernel, intensity_of
from autophasenn.physics.fourier import diffract

SHAPE = (24, 24, 24)


def test_evenness_is_zero_for_one_amplitude_and_none_and_its_slope_is_that_of_its_value() -> None:
    generator = torch.Generator().manual_seed(0)
    even = evenness(0.3, 2.0)
    angle = 6 * torch.rand(5, generator=generator)
    values = torch.view_as_real(torch.polar(torch.tensor([2.0, 2.0, 0.0, 2.0, 0.0]), angle)).clone()
    assert even(values)[0] == pytest.approx(0, abs=1e-9)
    assert float(even(values)[1].abs().max()) < 1e-5
    values = torch.randn(5, 2, generator=generator)
    slope = even(values)[1]
    for place in range(5):
        step = torch.zeros(5, 2)
        step[place, place % 2] = 1e-2
        difference = (even(values + step)[0] - even(values - step)[0]) / 2e-2
        assert difference == pytest.approx(float(slope[place, place % 2]), rel=0.02, abs=1e-3)


def test_a_faded_crystal_grows_back_where_the_beam_is_of_short_coherence() -> None:
    """It begins with an object that fades towards its surface, as coherent retrieval leaves it; without evenness, and with
    as many evaluations in the same room, it stays so.
    """
    x, y, z = torch.meshgrid(*[torch.arange(n) - n // 2 for n in SHAPE], indexing="ij")
    inside = (x.abs() <= 4) & (y.abs() <= 5) & (z.abs() <= 4) & (x + y + z < 8)
    phase = 0.3 * torch.sin(0.5 * x + 0.3 * y) + 0.02 * z * y
    truth = torch.polar(inside.float(), phase)
    kernel = gaussian_kernel((11, 11, 11), (1.0, 0.9, 1.0))
    expected = ForwardModel(kernel=kernel).blur(intensity_of(diffract(truth)))
    generator = torch.Generator().manual_seed(1)
    counts = torch.poisson(expected * (1e6 / expected.sum()), generator=generator)[None]
    faded = torch.polar(torch.exp(-(x**2 + y**2 + z**2) / 18.0) * inside, phase)
    used = torch.ones_like(counts, dtype=torch.bool)
    start = Retrieval(faded[None], inside[None], torch.zeros(1, 1))
    how = EvenLikelihood(rounds=3, likelihood=Likelihood(evaluations=30))
    told: list[int] = []

    found = most_likely_even(
        counts, used, start, how, partially_coherent=True, on_iteration=lambda done, of: told.append(done)
    )
    loose = replace(start, support=layer_around(inside.float()[None]) > 0.5)
    alone = most_likely(counts, used, loose, Likelihood(evaluations=90), partially_coherent=True)

    def correlation(run: Retrieval) -> float:
        return float(metrics.correlation(truth, metrics.thresholded(run.object[0])))

    assert correlation(start) < 0.9
    assert correlation(alone) < 0.9
    assert correlation(found) > 0.94
    assert found.kernel is not None
    assert told == sorted(told)
    assert found.errors.shape == (1, len(told))
    assert told[-1] <= how.evaluations
