"""The most likely object of even density, and the beam: strongly strained crystals, and beams of short coherence.

Shrink-wrap closes in on the part of a strongly strained crystal that diffracts into the middle of the pattern. And a beam
whose coherence hardly reaches across the crystal dims the outer part of the autocorrelation, as does a crystal that is
smaller, or fainter towards its surface: either explains the pattern about as well. But the density of a crystal is even:
within its surface the amplitude u, in units of the typical one a, is 1, and outside 0. So

    2 sum (sqrt(J) - sqrt(n))^2 + w a^2 sum u^2 (1 - u)^2

is made small, by the object and by the beam of `phasing.likelihood` together. The second sum is 0 for both values and lies
between them where a voxel is cut by the surface; it grows with the photons as the first does, so that one weight w serves
all doses. It is over a support with a layer to spare, which follows the object from round to round, so that the crystal may
grow back. A double well for two phases: Modica and Mortola, Boll. Un. Mat. Ital. B 14, 285 (1977).
"""

from __future__ import annotations

from dataclasses import field, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autophasenn.options import Number, Positive, options
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.likelihood import BEAM, Likelihood, Prior, Problem, climb
from autophasenn.phasing.support import ShrinkWrap, layer_around
from autophasenn.physics.fourier import to_corner
from autophasenn.volumes import Mask, Volume

NOT_ZERO = 1e-12
"""Amplitude, in units of the typical one, from which it has a phase."""


@options
class EvenLikelihood:
    """How the most likely object of even density is approached.

    Parameters
    ----------
    rounds : int
        How often the support is made anew.
    weight : float
        Of the evenness, over that of the counts.
    support : ShrinkWrap
        By its threshold and its last Gaussian the support is made; a layer of voxels is added.
    likelihood : Likelihood
        A round: its evaluations, and what they find of the beam.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    rounds: Number = 6
    weight: Positive = 0.05
    support: ShrinkWrap = field(default_factory=lambda: ShrinkWrap(threshold=0.2, sigma_last=1.0))
    likelihood: Likelihood = field(default_factory=lambda: Likelihood(evaluations=40))

    @property
    def evaluations(self) -> int:
        """Of all rounds."""
        return self.rounds * self.likelihood.evaluations


def most_likely_even(
    counts: Volume,
    used: Mask,
    run: Retrieval,
    how: EvenLikelihood | None = None,
    *,
    partially_coherent: bool,
    on_iteration: OnIteration | None = None,
) -> Retrieval:
    """Go on from an object towards the one of even density that makes the counts most likely.

    Parameters
    ----------
    counts : float32 tensor (1, n0, n1, n2)
    used : bool tensor (1, n0, n1, n2)
        True = measured, and not held out.
    run : Retrieval
        One object. Its support and its kernel are forgotten.
    how : EvenLikelihood, optional
    partially_coherent : bool
        Whether the beam is found too.
    on_iteration : callable, optional
        Told after every evaluation, with their number and the most there can be.

    Returns
    -------
    Retrieval
        Its support is that of the last round; ``errors`` (1, evaluations) are those of all rounds.
    """
    how = how or EvenLikelihood()
    beam = np.zeros(BEAM) if partially_coherent else None
    errors: list[Tensor] = []
    problem: Problem | None = None

    def told(done: int, of: int) -> None:
        if on_iteration is not None:
            on_iteration(sum(each.shape[1] for each in errors) + done, how.evaluations)

    for _ in range(how.rounds):
        support = layer_around(how.support.final_support(run.object).to(run.errors.dtype)) > 0.5
        sigmas = 3 * (how.likelihood.first_sigma,)
        problem = Problem(to_corner(counts[0]), to_corner(used[0]), support[0], how.likelihood, sigmas)
        first = problem.values_of(run.object[0])
        even = evenness(how.weight, _typical(first))
        values, beam, tried = climb(problem, first, beam, how.likelihood, prior=even, on_evaluation=told)
        errors.append(tried.to(first))
        run = replace(run, object=problem.object_of(values)[None], support=support, kernel=None)
    assert problem is not None
    kernel = None if beam is None else problem.kernel(torch.from_numpy(beam).to(run.errors))[None]
    return replace(run, errors=torch.cat(errors, 1), kernel=kernel)


def evenness(weight: float, amplitude: float) -> Prior:
    """How far an object is from one amplitude inside and none outside: ``weight a^2 sum u^2 (1 - u)^2``, u = |rho| / a.

    Parameters
    ----------
    weight : float
    amplitude : float
        a, on the scale of the root of the counts.
    """

    def prior(values: Float[Tensor, "voxels 2"]) -> tuple[float, Float[Tensor, "voxels 2"]]:
        share = torch.linalg.vector_norm(values, dim=1, keepdim=True) / amplitude
        away = share * (1 - share)
        value = weight * amplitude**2 * float(away.square().sum(dtype=torch.float64))
        in_share = 2 * weight * amplitude * away * (1 - 2 * share)
        return value, values * (in_share / (amplitude * share.clamp_min(NOT_ZERO)))

    return prior


def _typical(values: Float[Tensor, "voxels 2"]) -> float:
    """sqrt(sum a^4 / sum a^2): the amplitude of an evenly filled crystal."""
    power = values.square().sum(1)
    return float((power.square().sum() / power.sum()).sqrt())
