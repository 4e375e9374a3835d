"""The object and the beam that make the measured counts most likely, found together by their gradient.

    n ~ Poisson(J),   J = F [ gamma F^-1 |F rho|^2 ],   gamma(x) = exp(-(sum_i sigma_i^2 (1 - cos(2 pi x_i / N_i)))^p)

rho lies within a support. The root of a count has a variance of 1/4 whatever its mean, so the most likely object is nearly
the one of least ``2 sum (sqrt(J) - sqrt(n))^2``: chi2 itself. gamma is the degree of coherence of two points that lie x
apart: for short lengths x a Gaussian (p = 1) to an exponential (p = 1/2), whose kernel has the standard deviations sigma.
On the whole period it is a positive definite function (Schoenberg, Ann. Math. 39, 811 (1938)): no voxel of the kernel,
its transform, is negative. Maximum likelihood in phase retrieval: Thibault and Guizar-Sicairos, New J. Phys. 14, 063004
(2012); `phasing.descent` approaches it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor

from autophasenn.errors import PlanError
from autophasenn.machine import give_back_freed_memory
from autophasenn.options import Number, Positive, options
from autophasenn.phasing.descent import descend
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.projection import BoxedProjection
from autophasenn.physics.diffraction import modulus_of, root_of
from autophasenn.physics.fourier import to_centre, to_corner
from autophasenn.physics.metrics import inner_product, scale_of_modulus
from autophasenn.physics.pruned import Box, PrunedPair
from autophasenn.volumes import Mask, Volume, crop_or_pad

STEP = 3.0
"""Of the beam's parameters, over that of an object of as many photons: their curvature grows with the photons."""
FIRST_LOGIT = 1.0
"""Of 2 p - 1, to begin with: p = 0.87, between Gaussian and exponential."""
LEAST_SIGMA = 0.05
"""Of a kernel of which nothing is seen, in voxels."""
DARK = 1e-12
"""Share of the brightest voxel below which nothing is divided by."""
LARGE, GIVEN_BACK_EVERY = 2**20, 4
"""Voxels of a pattern from which on freed memory goes back to the system, and after how many evaluations: volumes of nearly
the same size leave holes that none of them fits into, 10 MB an evaluation at 4 million voxels."""
BEAM = 4
"""Parameters of a beam: three widths, and a shape."""
Valued = Callable[[Tensor, Tensor | None], tuple[float, Tensor, Tensor, Tensor | None]]
"""Of unknowns and the parameters of a beam: the value to be made small, chi2, and the slopes of the value in both."""


@options
class Likelihood:
    """How the most likely object is approached.

    Parameters
    ----------
    evaluations : int
        Of the likelihood and its gradient, one a step for most steps.
    of : "root" or "poisson"
        Least squares of the root of the counts, or the law of counting itself. The second finds the same object from
        many photons, but chi2 judges it by the first.
    first_sigma : float
        Standard deviation of the kernel in voxels of the network's box, to begin with.
    history : int
        Steps that the estimate of the curvature remembers.
    kernel_width : int
        Odd edge of the coherence kernel that is handed on, voxels of the pattern. The default is the whole of the network's
        box: an exponential degree of coherence has a kernel of long tails, which over a bright peak outshine all else. Of a
        larger pattern they are still cut.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    evaluations: Number = 50
    of: Literal["root", "poisson"] = "root"
    first_sigma: Positive = 0.3
    history: Number = 10
    kernel_width: Annotated[int, Ge(3)] = 63

    def __post_init__(self) -> None:
        if self.kernel_width % 2 == 0:
            raise PlanError(f"kernel_width is {self.kernel_width}; a kernel has an odd edge, of 3 voxels or more.")


def most_likely(
    counts: Volume,
    used: Mask,
    run: Retrieval,
    how: Likelihood,
    *,
    partially_coherent: bool,
    steps: Sequence[float] = (1.0, 1.0, 1.0),
    sigmas: Sequence[float] | None = None,
    on_iteration: OnIteration | None = None,
) -> Retrieval:
    """Go on from an object towards the one that makes the counts most likely.

    Parameters
    ----------
    counts : float32 tensor (1, n0, n1, n2)
    used : bool tensor (1, n0, n1, n2)
        True = measured, and not held out.
    run : Retrieval
        One object, and the support that it is confined to. Its kernel is forgotten.
    how : Likelihood
    partially_coherent : bool
        Whether the beam is found too.
    steps : 3 floats
        Voxels of the pattern a voxel of the network's box.
    sigmas : 3 floats, optional
        Standard deviations of the kernel in voxels of the pattern, to begin with (:func:`sigmas_of`). None:
        `how.first_sigma` voxels of the network's box.
    on_iteration : callable, optional
        Told after every evaluation, with their number and the most there can be.

    Returns
    -------
    Retrieval
        ``errors`` (1, evaluations): modulus error of every object that was tried. The last need not be the least.
    """
    begun = [how.first_sigma * step for step in steps] if sigmas is None else sigmas
    problem = Problem(to_corner(counts[0]), to_corner(used[0]), run.support[0], how, begun)
    beam = counts.new_zeros(BEAM) if partially_coherent else None

    def told(done: int, of: int) -> None:
        if counts.numel() > LARGE and done % GIVEN_BACK_EVERY == 0:
            give_back_freed_memory()
        if on_iteration is not None:
            on_iteration(done, of)

    values, beam, errors = climb(problem, problem.values_of(run.object[0]), beam, how, on_evaluation=told)
    kernel = None if beam is None else problem.kernel(beam.to(run.errors))[None]
    return Retrieval(problem.object_of(values)[None], run.support, errors.to(values), kernel)


def climb(
    problem: Valued,
    first: Float[Tensor, "*unknowns"],
    beam: Float[Tensor, 4] | None,
    how: Likelihood,
    *,
    inverse_curvature: Callable[[Tensor], Tensor] | None = None,
    on_evaluation: OnIteration | None = None,
) -> tuple[Float[Tensor, "*unknowns"], Float[Tensor, 4] | None, Float[Tensor, "1 evaluations"]]:
    """Towards the least value of a problem.

    Parameters
    ----------
    problem : callable
        A `Problem`, or another one that gives what it gives.
    first : float32 tensor
        To begin with: of a `Problem` real and imaginary part in the voxels of the support (voxels, 2),
        `Problem.values_of`.
    beam : float32 tensor (4,), optional
        Parameters of the beam to begin with, see `Problem.degree`; None: it is coherent.
    how : Likelihood
        Its evaluations, and its history.
    inverse_curvature : callable, optional
        Of a coherent beam: about that of the problem in its unknowns, see `phasing.descent`.
    on_evaluation : callable, optional
        Told after every evaluation, with their number and the most there can be.

    Returns
    -------
    values : float32 tensor
        As `first`.
    beam : float32 tensor (4,) or None
    errors : float64 tensor (1, evaluations)
        chi2 of every object that was tried.
    """
    voxels = first.numel()
    errors: list[Tensor] = []

    def split(x: Tensor) -> tuple[Tensor, Tensor | None]:
        return x[:voxels].reshape(first.shape), None if beam is None else x[voxels:]

    def evaluate(x: Tensor) -> tuple[float, Tensor]:
        value, error, slope, slope_in_beam = problem(*split(x))
        errors.append(error)
        if on_evaluation is not None:
            on_evaluation(len(errors), how.evaluations)
        slopes = [slope.flatten()] if slope_in_beam is None else [slope.flatten(), slope_in_beam]
        return value, torch.cat(slopes).to(first)

    beginning = first.flatten() if beam is None else torch.cat([first.flatten(), beam])
    found = descend(
        evaluate, beginning,
        evaluations=how.evaluations, history=how.history, inverse_curvature=inverse_curvature,
    )  # fmt: skip
    return *split(found), torch.stack(errors)[None]


def sigmas_of(kernel: Float[Tensor, "1 k0 k1 k2"]) -> tuple[float, float, float]:
    """Standard deviations of a coherence kernel along each axis, in voxels, as the first shape of the likelihood has them.

    From where its transform has fallen to about exp(-1/2): far from the middle a kernel is too weak to be measured.

    Parameters
    ----------
    kernel : float tensor (1, k0, k1, k2)
        With odd edges, centred, of sum 1.
    """
    power = 0.5 + 0.5 / (1 + math.exp(-FIRST_LOGIT))
    angles = math.pi * torch.arange(1, 65, device=kernel.device) / 64
    found = []
    for axis, size in enumerate(kernel.shape[1:]):
        profile = kernel[0].sum([other for other in range(3) if other != axis])
        places = torch.arange(size, device=kernel.device) - size // 2
        fallen = -(torch.cos(angles[:, None] * places) @ profile).clamp(1e-6, 1).log()
        at = int((fallen - 0.5).abs().argmin())
        square = float(fallen[at]) ** (1 / power) / (1 - math.cos(float(angles[at])))
        found.append(max(LEAST_SIGMA, math.sqrt(square)))
    return found[0], found[1], found[2]


def kernel_of(sigmas: Sequence[float], shape: Sequence[int]) -> Float[Tensor, "1 k0 k1 k2"]:
    """The coherence kernel that the likelihood begins with.

    Parameters
    ----------
    sigmas : 3 floats
        Standard deviations in voxels of the pattern.
    shape : 3 ints
        Of the pattern.

    Returns
    -------
    float32 tensor (1, k0, k1, k2), as large as the pattern but with odd edges, centred, of sum 1.
    """
    angles = [2 * math.pi / n * torch.arange(n, dtype=torch.float64) for n in shape]
    p0, p1, p2 = (sigma**2 * (1 - torch.cos(x)) for sigma, x in zip(sigmas, angles, strict=True))
    power = 0.5 + 0.5 / (1 + math.exp(-FIRST_LOGIT))
    full = to_centre(torch.fft.fftn(torch.exp(-((p0[:, None, None] + p1[:, None] + p2) ** power))).real)
    middle = crop_or_pad(full, [n - 1 + n % 2 for n in shape]).clamp_min(0)
    return (middle / middle.sum()).float()[None]


class Fit:
    """The likelihood of the counts of one pattern, and its slope in the wave.

    Parameters
    ----------
    counts : float32 tensor (n0, n1, n2)
        Corner order.
    used : bool tensor (n0, n1, n2)
        Corner order; True = measured, and not held out.
    how : Likelihood
    sigmas : 3 floats
        Standard deviations of the kernel in voxels of the pattern, to begin with.
    """

    def __init__(self, counts: Tensor, used: Tensor, how: Likelihood, sigmas: Sequence[float]) -> None:
        self.how, self.used = how, used
        self.counts = torch.where(used, counts, 0)
        self.root, self.total = root_of(self.counts), self.counts.sum(dtype=torch.float64)
        self.shape = (counts.shape[0], counts.shape[1], counts.shape[2])
        self.dark = DARK * float(self.counts.max())
        self.step = STEP / math.sqrt(float(self.total))
        half = self.shape[2] // 2 + 1
        self.angles = [
            2 * math.pi / n * torch.arange(m, device=counts.device)
            for m, n in zip((*self.shape[:2], half), self.shape, strict=True)
        ]
        self.weight = torch.full((half,), 2 / counts.numel(), device=counts.device)  # rfftn keeps one of each pair
        self.weight[[0] if self.shape[2] % 2 else [0, -1]] /= 2
        self.first = torch.tensor([math.log(sigma) for sigma in sigmas], device=counts.device)

    def scale_of(self, psi: Tensor) -> Tensor:
        """What brings a wave nearest to the counts."""
        return scale_of_modulus(modulus_of(psi), self.root, self.used)

    def of_wave(self, psi: Tensor, beam: Tensor | None) -> tuple[float, Tensor, Tensor, Tensor | None]:
        """The value to be made small, the chi2 that goes with it, and the slopes in both; no beam is a coherent one.

        That in the wave is half of the slope in its real and its imaginary part, and takes the wave's place.
        """
        intensity = modulus_of(psi).square_()
        if beam is not None:
            spectrum = torch.fft.rfftn(intensity)
            gamma, slopes_of = self.degree(beam)
            del intensity  # here memory is highest, of a large pattern
            intensity = torch.fft.irfftn(spectrum * gamma, s=self.shape)
        intensity.clamp_min_(self.dark)
        root = intensity.sqrt() if self.how.of == "poisson" else intensity.sqrt_()
        slope = (root - self.root).masked_fill_(~self.used, 0)
        misfit = inner_product(slope, slope)
        if self.how.of == "root":
            value, slope = 2 * misfit, slope.mul_(2).div_(root)
        else:
            deviance = intensity - self.counts - torch.xlogy(self.counts, intensity / self.counts.clamp_min(self.dark))
            value = torch.where(self.used, deviance, 0).sum(dtype=torch.float64)
            slope = torch.where(self.used, 1 - self.counts / intensity, 0)
        del intensity, root
        slope_in_beam = None
        if beam is not None:
            transformed = torch.fft.rfftn(slope)
            del slope
            product = torch.view_as_real(spectrum).mul_(torch.view_as_real(transformed)).sum(-1)
            del spectrum
            slope_in_beam = slopes_of(product)
            del product, slopes_of
            slope = torch.fft.irfftn(transformed.mul_(gamma), s=self.shape)
        return float(value), misfit / self.total, psi.mul_(slope), slope_in_beam

    def degree(self, beam: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Degree of coherence in the order of ``rfftn``, and what makes slopes in the beam's parameters of those in it.

        The latter overwrites what it is given.

        The parameters have the scale of the object's: logarithms of sigma, and the logit of 2 p - 1.
        """
        squared = torch.exp(2 * (self.first + self.step * beam[:3]))
        between = torch.sigmoid(FIRST_LOGIT + 4 * self.step * beam[3])
        power = 0.5 + 0.5 * between
        parts = [s * (1 - torch.cos(x)) for s, x in zip(squared, self.angles, strict=True)]
        logarithm = (parts[0][:, None, None] + parts[1][:, None] + parts[2]).clamp_min_(1e-9).log_()
        raised = (power * logarithm).exp_()
        gamma = (-raised).exp_()

        def slopes_of(slope: Tensor) -> Tensor:
            slope.mul_(self.weight).mul_(gamma).mul_(raised)
            of_power = -(slope * logarithm).sum() * 2 * self.step * between * (1 - between)
            slope.mul_((-logarithm).exp_())
            sums = slope.sum((1, 2)), slope.sum((0, 2)), slope.sum((0, 1))
            of_sigma = [-2 * self.step * power * (each @ part) for each, part in zip(sums, parts, strict=True)]
            return torch.stack([*of_sigma, of_power])

        return gamma, slopes_of

    def kernel(self, beam: Tensor) -> Tensor:
        """The transform of gamma, centred, its middle."""
        width = self.how.kernel_width
        full = to_centre(torch.fft.irfftn(self.degree(beam)[0], s=self.shape))
        middle = crop_or_pad(full, [min(width, n - 1 + n % 2) for n in self.shape]).clamp_min(0)
        return middle / middle.sum()


class Problem(Fit):
    """The likelihood of one pattern, and its slope in the voxels of an object.

    Parameters
    ----------
    counts, used, how, sigmas
        As `Fit` takes them.
    support : bool tensor (n0, n1, n2)
        Centred, as all objects are.
    """

    def __init__(self, counts: Tensor, used: Tensor, support: Tensor, how: Likelihood, sigmas: Sequence[float]) -> None:
        super().__init__(counts, used, how, sigmas)
        self.confine(support)

    def confine(self, support: Tensor) -> None:
        """Objects are those of this support (n0, n1, n2) from now on."""
        self.box = Box.around(support)
        self.pair = PrunedPair(self.shape, self.box)
        self.within = torch.nonzero(self.box.cut(support).flatten()).flatten()

    def projection_in(self, box: Box) -> BoxedProjection:
        """The projection onto the modulus in a box, which is the slope where the beam is coherent."""
        self._projection.confine(box)
        return self._projection

    @cached_property
    def _projection(self) -> BoxedProjection:
        return BoxedProjection(self.counts[None], self.used[None])

    def values_of(self, rho: Tensor) -> Float[Tensor, "voxels 2"]:
        """An object on the scale of the counts, its voxels in the support."""
        values = torch.view_as_real(self.box.cut(rho).flatten()[self.within])
        return (values * self.scale_of(self.pair.to_wave(self._in_box(values))[0])).contiguous()

    def object_of(self, values: Tensor) -> Tensor:
        """The inverse."""
        return self.box.embed(self._in_box(values)[0], self.pair.shape)

    def _in_box(self, values: Tensor) -> Tensor:
        """The voxels of the box (1, m0, m1, m2)."""
        rho = torch.zeros(math.prod(self.box.size), dtype=torch.complex64, device=values.device)
        rho[self.within] = torch.view_as_complex(values)
        return rho.reshape(1, *self.box.size)

    def __call__(self, values: Tensor, beam: Tensor | None) -> tuple[float, Tensor, Tensor, Tensor | None]:
        """The value to be made small, the chi2 that goes with it, and the slopes in both; no beam is a coherent one."""
        rho = self._in_box(values)
        if beam is None and self.how.of == "root":
            # grad of 2 sum (|psi| - M)^2 over what is used is 4 F^-1 (psi - P psi): P leaves the rest as it is
            projected, chi2 = self.projection_in(self.box)(rho)
            slope = 4 * torch.view_as_real((rho - projected).flatten()[self.within])
            error = torch.as_tensor(chi2)[0].double()
            return float(2 * error * self.total), error, slope, None
        value, error, in_wave, slope_in_beam = self.of_wave(self.pair.to_wave(rho)[0], beam)
        gradient = self.pair.to_box(in_wave[None]).flatten()[self.within]
        return value, error, 2 * torch.view_as_real(gradient), slope_in_beam
