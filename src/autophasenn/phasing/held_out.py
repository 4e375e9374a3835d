"""A pattern of which some measured voxels are held out: nothing is fitted to them, so that they can judge what was found.

chi2_free on these voxels is to phase retrieval what R_free is to crystallography (Brunger, Nature 355, 472 (1992)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, NamedTuple
from weakref import WeakKeyDictionary

import torch
from annotated_types import Ge, Le
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from autophasenn.phasing.engine import OnIteration, Retrieval, retrieve
from autophasenn.phasing.schedule import Schedule
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import ForwardModel, modulus_of, root_of
from autophasenn.physics.fourier import to_corner
from autophasenn.physics.pruned import Box, PrunedPair
from autophasenn.volumes import Mask, ObjectVolume, Pattern, Volume

FREE_FRACTION = 0.02
"""Share of the measured voxels that is held out."""
FreeFraction = Annotated[float, Ge(0), Le(0.3)]
"""Such a share: without a larger one the object would suffer."""
EDGE = 3
"""Of the cubes that are held out, voxels."""
COHERENCE_GAIN = 0.95
"""A coherence kernel is kept where chi2_free falls below this share of what full coherence gives."""
KEPT_VOXELS = 2**20
"""Of a pattern of which is kept what every object is compared with: of a larger one its memory is worth more."""
NOISE_MARGIN = 1.25
"""A chi2 of more than so many times that of counting noise is not explained by it; up to there nothing can be gained."""


class Misfit(NamedTuple):
    """How an object fits the voxels that it may be fitted to; both infinite where it is not finite."""

    chi2: float
    noise: float
    """chi2 that counting noise alone gives a perfect object."""

    @property
    def ratio(self) -> float:
        """chi2 over that of counting noise; infinite where the object is not finite."""
        return self.chi2 / self.noise if 0 < self.noise < math.inf else math.inf

    def is_poor(self, poor: float) -> bool:
        """Is more than `poor` of the pattern left that counting noise does not explain?"""
        return not self.chi2 - self.noise <= poor and self.ratio > NOISE_MARGIN


class _Corner(NamedTuple):
    """What a calculated modulus is compared with, in corner order."""

    used: Mask
    weight: Volume
    """1 where used, else 0."""
    root: Volume
    """Of the counts, 0 where they are not used."""
    total: Tensor
    """Counts that are used."""
    free: Int[Tensor, " voxels"]
    """Places of the held-out voxels."""
    free_root: Float[Tensor, " voxels"]
    free_total: Tensor

    @classmethod
    def of(cls, pattern: Pattern, free: Mask) -> _Corner:
        counts, used = to_corner(pattern.counts), to_corner(pattern.mask & ~free)
        places = torch.nonzero(to_corner(pattern.mask & free).flatten()).flatten()
        there, known = counts.flatten()[places], torch.where(used, counts, 0)
        totals = (each.sum(dtype=torch.float64) for each in (known, there))
        return cls(used, used.to(counts.dtype), root_of(known), next(totals), places, root_of(there), next(totals))

    def scale(self, modulus: Volume) -> Tensor:
        """What brings a modulus nearest to the measured one."""
        return metrics.scale_of_modulus(modulus, self.root, self.weight)

    def chi2(self, modulus: Volume) -> Tensor:
        """Of a calculated modulus, on its best scale."""
        difference = (modulus * self.scale(modulus)).sub_(self.root).mul_(self.weight)
        return metrics.inner_product(difference, difference) / self.total

    def free_chi2(self, modulus: Float[Tensor, " voxels"]) -> Tensor:
        """Of a calculated modulus on the held-out voxels, as it is."""
        misfit = (modulus - self.free_root).square().sum(dtype=torch.float64)
        return torch.where(self.free_total > 0, misfit / self.free_total, torch.nan)


def hold_out(measured: Mask, fraction: float, seed: int) -> Mask:
    """Choose measured voxels to keep out of a retrieval, in cubes of 3 x 3 x 3.

    Neighbouring voxels of an oversampled pattern determine each other, so single ones would not be free. The middle
    of the peak (a tenth of each axis) stays in: a few voxels there hold most photons and would decide alone.

    Parameters
    ----------
    measured : bool tensor (n0, n1, n2)
    fraction : float
        Share of the measured voxels.
    seed : int

    Returns
    -------
    bool tensor (n0, n1, n2); True = measured, but held out.
    """
    shape = measured.shape
    if fraction == 0:
        return torch.zeros_like(measured)
    cubes = (
        torch.rand([-(-n // EDGE) for n in shape], generator=torch.Generator().manual_seed(int(seed) % 2**63))
        < fraction
    )
    free = cubes.repeat_interleave(EDGE, 0).repeat_interleave(EDGE, 1).repeat_interleave(EDGE, 2)
    free = free[tuple(slice(n) for n in shape)].clone()
    free[tuple(slice(n // 2 - n // 20, n // 2 + n // 20 + 1) for n in shape)] = False
    return free.to(measured.device) & measured


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A pattern, and which of its voxels nothing may be fitted to.

    Parameters
    ----------
    pattern : Pattern
    free : bool tensor (n0, n1, n2)
        True = measured, but held out.
    """

    pattern: Pattern
    free: Bool[Tensor, "n0 n1 n2"]

    @classmethod
    def of(cls, pattern: Pattern, fraction: float, seed: int) -> HeldOut:
        """A pattern with a share of its voxels held out; see `hold_out`."""
        return cls(pattern, hold_out(pattern.mask, fraction, seed))

    @property
    def used(self) -> Mask:
        """True = measured and not held out, (1, n0, n1, n2)."""
        return (self.pattern.mask & ~self.free)[None]

    @property
    def can_judge(self) -> bool:
        """Was a photon held out?"""
        return bool(((self.pattern.counts > 0) & self.free).any())

    @cached_property
    def _known(self) -> tuple[WeakKeyDictionary[Retrieval, float], WeakKeyDictionary[Retrieval, Misfit]]:
        """What `free_error` and `misfit` gave already: a refinement asks for the same object again and again."""
        return WeakKeyDictionary(), WeakKeyDictionary()

    def free_error(self, run: Retrieval) -> float:
        """chi2 of an object on the held-out voxels; NaN where no photon was held out."""
        known = self._known[0]
        if run not in known:
            corner = self._corner
            known[run] = float(corner.free_chi2(self._free_modulus(run, corner)))
        return known[run]

    def free_misfit(self, run: Retrieval) -> Misfit:
        """The same and that of counting noise; NaN where no photon was held out."""
        corner = self._corner
        if not corner.free_total > 0:
            return Misfit(math.nan, math.nan)
        intensity = self._free_modulus(run, corner).square()[None, None]
        noise = metrics.noise_of_roots(intensity, torch.ones_like(intensity, dtype=torch.bool))
        return Misfit(self.free_error(run), float(noise / corner.free_total))

    def _free_modulus(self, run: Retrieval, corner: _Corner) -> Float[Tensor, " voxels"]:
        """Root of the calculated intensity on the held-out voxels, on the best scale of the others."""
        modulus = self._modulus_of(run)
        return modulus.flatten().index_select(0, corner.free) * corner.scale(modulus)

    def free_error_of(self, calculated: Volume) -> float:
        """chi2 of a calculated intensity (n0, n1, n2) on the held-out voxels, with the scale found on the others.

        `free_error` leaves out what is below 10 % of the largest amplitude of an object; here all counts that diffracts.
        """
        scale = metrics.best_scale(calculated, self.pattern.counts, self.used[0])
        return float(metrics.chi2_of_intensity(calculated, self.pattern.counts, self.free, scale=scale))

    def score(self, run: Retrieval) -> float:
        """What ranks objects: chi2_free, or chi2 where no photon was held out; infinite where the object is not finite."""
        error = self.free_error(run)
        if not math.isfinite(error):
            model = ForwardModel(kernel=run.kernel)
            error = float(metrics.chi2(run.object, self.pattern.counts[None], self.pattern.mask[None], model))
        return error if math.isfinite(error) else math.inf

    def better(self, run: Retrieval, other: Retrieval) -> Retrieval:
        """The one that explains the held-out voxels better; a coherence kernel must earn its freedom."""
        gain = COHERENCE_GAIN if run.kernel is None and other.kernel is not None else 1.0
        return other if self.score(other) < gain * self.score(run) else run

    def misfit(self, run: Retrieval) -> Misfit:
        """chi2 of an object on the voxels that are used, and that of counting noise."""
        known = self._known[1]
        if run not in known:
            known[run] = self._misfit(run)
        return known[run]

    def _misfit(self, run: Retrieval) -> Misfit:
        modulus, corner = self._modulus_of(run), self._corner
        chi2 = float(corner.chi2(modulus))
        if not math.isfinite(chi2):
            return Misfit(math.inf, math.inf)
        noise = metrics.noise_of_roots((modulus * corner.scale(modulus)).square_(), corner.used)
        return Misfit(chi2, float(noise / corner.total))

    def _modulus_of(self, run: Retrieval) -> Volume:
        """`_modulus` of an object, not to be changed. The last one is kept, as it is often asked for twice.

        Threads that judge side by side may put theirs in its place, no more.
        """
        modulus = self._last.get(run)
        if modulus is None:
            modulus = self._modulus(run.object[0], run.kernel)
            if modulus.numel() <= KEPT_VOXELS:
                self._last.clear()
                self._last[run] = modulus
        return modulus

    @cached_property
    def _last(self) -> WeakKeyDictionary[Retrieval, Volume]:
        return WeakKeyDictionary()

    def _modulus(self, rho: ObjectVolume, kernel: Tensor | None) -> Volume:
        """Root of the calculated intensity, in corner order; amplitudes below 10 % of the largest count for nothing."""
        support = metrics.support_of(rho)
        if kernel is not None:
            return root_of(to_corner(ForwardModel(kernel=kernel)((rho * support)[None])[0]))
        if not bool(torch.isfinite(torch.view_as_real(rho).sum())):
            return torch.full_like(self.pattern.counts, torch.nan)  # its support is empty, and would say nothing of it
        box = Box.around(support)
        pair = PrunedPair((rho.shape[0], rho.shape[1], rho.shape[2]), box)
        return modulus_of(pair.to_wave(box.cut(rho)[None] * box.cut(support))[0])

    @property
    def _corner(self) -> _Corner:
        is_small = self.pattern.counts.numel() <= KEPT_VOXELS
        return self._kept_corner if is_small else _Corner.of(self.pattern, self.free)

    @cached_property
    def _kept_corner(self) -> _Corner:
        return _Corner.of(self.pattern, self.free)

    def found(
        self, rho: Complex[Tensor, "n0 n1 n2"], support_threshold: float = metrics.SUPPORT_THRESHOLD
    ) -> Retrieval:
        """An object that no iteration led to, and its chi2."""
        amplitude = modulus_of(rho)
        error = self._corner.chi2(self._modulus(rho, None)).float().reshape(1, 1)
        return Retrieval(rho[None], (amplitude >= support_threshold * amplitude.max())[None], error)

    def retrieve(self, run: Retrieval, schedule: Schedule, on_iteration: OnIteration | None = None) -> Retrieval:
        """More iterations from an object, with its support and its coherence kernel."""
        return retrieve(
            self.pattern.counts[None],
            self.used,
            schedule,
            seeds=[0],
            start=run.object,
            support=run.support,
            kernel=run.kernel,
            on_iteration=on_iteration,
        )

    def to(self, device: torch.device | str) -> HeldOut:
        """The same with its volumes on `device`."""
        return replace(self, pattern=self.pattern.to(device), free=self.free.to(device))
