"""A strongly strained crystal found from its pattern alone, because its density is even.

Where the phase of a crystal ranges over many radians, shrink-wrap closes in on the part that diffracts into the middle of
the pattern. But the density of a crystal is known: the same everywhere. One of V voxels has the amplitude
``a = sqrt(sum I / V)`` (Parseval), and no voxel has more. With that in the projection onto the support,

    P_S rho = rho min(1, a / |rho|) in the support;  0 elsewhere,

hybrid input-output finds it within a support of about twice its volume, as the autocorrelation gives it. V is not known
either: several volumes are tried, each from random starts. Then the support becomes the V voxels of the largest blurred
amplitude and a layer around them, again and again, and the starts whose evened object explains the pattern worst are given
up. Where the best does not explain it well, its support is passed on to new random starts; at last V itself is improved.

HIO: Fienup, Appl. Opt. 21, 2758 (1982). Supports of a given volume: Marchesini, Rev. Sci. Instrum. 78, 011301 (2007). Only
the best of many starts kept: Jamieson & Talwalkar, Proc. AISTATS 51, 240 (2016), successive halving.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated

import torch
from annotated_types import Ge
from jaxtyping import Complex, Float
from torch import Tensor

from autophasenn.devices import side_by_side
from autophasenn.errors import PlanError
from autophasenn.options import Count, Number, Positive, Share, options
from autophasenn.phasing.autocorrelation import FewVoxels, few_voxels, half_autocorrelation
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.projection import scale_by
from autophasenn.phasing.support import blur, layer_around
from autophasenn.physics.diffraction import modulus_of
from autophasenn.physics.fourier import back_propagate_corner, diffract_corner, to_centre
from autophasenn.volumes import SPATIAL, Mask, Volume, crop_or_pad

NOT_ZERO = 1e-12
"""Added to amplitudes that are divided by."""
EVEN_ITERATIONS = 15
"""Of error reduction with the same amplitude in every voxel of the support, before a start is judged."""


@options
class EvenDensity:
    """How a crystal of even density is searched for.

    Parameters
    ----------
    volumes : floats
        Volumes of the crystal that are tried, as shares of what the autocorrelation says.
    bright_volumes : floats
        The same for a second search, where the first left the object of a bright crystal poor, as shares of what it says
        without its foot (`FewVoxels.volume_within_foot`). Empty: there is none.
    starts : int
        Random starts of each volume.
    loose : float
        First support over the volume.
    first : int
        Iterations within the first support.
    rounds : int
        How often the support is made anew.
    iterations : int
        Between two of these.
    survivors : int
        Starts that are kept after the first rounds.
    good : float
        Misfit of an evened object below which nothing is begun anew.
    restarts : int
        New random starts within the support of the best survivor, where that is not good.
    volume_steps : floats
        What the volume of the best is multiplied by to see whether it explains the pattern better.
    blur_first, blur_last : float
        Standard deviation of the Gaussian, in voxels, at the first and the last making of a support.
    beta : float
        Feedback of HIO.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    volumes: tuple[Positive, ...] = (0.45, 0.65, 0.9, 1.25)
    bright_volumes: tuple[Positive, ...] = (0.7, 0.85, 1.0, 1.2)
    starts: Number = 6
    loose: Annotated[float, Ge(1)] = 1.75
    first: Number = 120
    rounds: Number = 4
    iterations: Number = 40
    survivors: Number = 4
    good: Positive = 0.045
    restarts: Count = 3
    volume_steps: tuple[Positive, ...] = (0.85, 1.0, 1.18)
    blur_first: Positive = 1.5
    blur_last: Positive = 0.8
    beta: Share = 0.9

    def __post_init__(self) -> None:
        if not self.volumes or not self.volume_steps:
            raise PlanError(
                "even_density has no volumes or volume_steps to try; give at least one of each, for instance 1."
            )

    @property
    def total(self) -> int:
        """Iterations of all starts together."""
        each = self.rounds * self.iterations
        everyone = len(self.volumes) * self.starts * (self.first + each)
        second = self.restarts * (self.first + each) + self.survivors * each
        return everyone + second + 2 * len(self.volume_steps) * each


@dataclass(frozen=True, eq=False)
class _Starts:
    """Objects that are improved side by side, corner order.

    Parameters
    ----------
    rho : complex64 tensor (starts, m0, m1, m2)
    volume : float32 tensor (starts,)
        Voxels of the crystal.
    support : float32 tensor (starts, m0, m1, m2)
        1 inside.
    misfit : float32 tensor (starts,), optional
        Of the evened object.
    """

    rho: Complex[Tensor, "starts m0 m1 m2"]
    volume: Float[Tensor, " starts"]
    support: Float[Tensor, "starts m0 m1 m2"]
    misfit: Float[Tensor, " starts"] | None = None

    def chosen(self, which: Tensor) -> _Starts:
        """Some of them."""
        misfit = None if self.misfit is None else self.misfit[which]
        return _Starts(self.rho[which], self.volume[which], self.support[which], misfit)

    def best(self, number: int) -> _Starts:
        """Those of the least misfit, in that order."""
        assert self.misfit is not None
        return self.chosen(self.misfit.argsort()[:number])

    def beside(self, other: _Starts) -> _Starts:
        """Both."""
        pairs = ((self.rho, other.rho), (self.volume, other.volume), (self.support, other.support))
        return _Starts(*(torch.cat(pair) for pair in pairs))


@torch.no_grad()
def find_even(
    counts: Volume,
    measured: Mask,
    how: EvenDensity | None = None,
    *,
    seed: int,
    few: FewVoxels | None = None,
    on_iteration: OnIteration | None = None,
) -> Retrieval:
    """Find a crystal of even density, however strongly it is strained.

    Parameters
    ----------
    counts : float32 tensor (n0, n1, n2)
        Intensity, centred.
    measured : bool tensor (n0, n1, n2)
        True = used.
    how : EvenDensity, optional
    seed : int
        The whole randomness.
    few : FewVoxels, optional
        The pattern resampled, and the volume that is searched for; None: as the autocorrelation says.
    on_iteration : callable, optional
        Told the iterations done, over all starts, and their total.

    Returns
    -------
    Retrieval
        One object (1, n0, n1, n2), centred, its amplitude at most that of an even crystal; its support; and the misfit
        of its evened twin with one amplitude throughout (1, 1): 0.03 to 0.06 where it was found, as facets that cut voxels
        are not even, 0.09 and more where not.
    """
    how = how or EvenDensity()
    few = few or few_voxels(counts, measured)
    search = _Search(few, how, seed, on_iteration)
    found = search.tightened(search.begun()).best(how.survivors)
    assert found.misfit is not None
    if how.restarts and float(found.misfit[0]) > how.good:
        found = search.tightened(search.begun_anew(found.best(1), how.restarts).beside(found)).best(how.survivors)
    for _ in range(2):
        best = found.best(1)
        steps = torch.tensor(how.volume_steps)
        several = best.chosen(torch.zeros(len(steps), dtype=torch.long))
        found = search.tightened(replace(several, volume=several.volume * steps.to(several.volume)), last=True)
    best = found.best(1)
    assert best.misfit is not None
    rho = _in_the_middle(best.rho[0], best.support[0])
    support = _in_the_middle(best.support[0], best.support[0]) > 0.5
    shape = tuple(counts.shape)
    return Retrieval(crop_or_pad(rho, shape)[None], crop_or_pad(support, shape)[None], best.misfit.reshape(1, 1))


class _Search:
    """The steps of the search for one pattern."""

    def __init__(self, few: FewVoxels, how: EvenDensity, seed: int, on_iteration: OnIteration | None) -> None:
        self.how, self.few, self.on_iteration = how, few, on_iteration
        self.modulus, self.used = few.modulus, few.used
        self.norm = float(torch.linalg.vector_norm(self.modulus[self.used], dtype=torch.float64))
        self.everything_used = bool(self.used.all())
        self.generator = torch.Generator().manual_seed(seed % 2**63)
        self.done = 0

    def begun(self) -> _Starts:
        """Random phases in supports from the autocorrelation, iterated within them."""
        volumes = [
            min(share * self.few.volume, self.modulus.numel() / 3)
            for share in self.how.volumes
            for _ in range(self.how.starts)
        ]
        volume = torch.tensor(volumes, device=self.modulus.device).clamp_min(8)
        order = half_autocorrelation(self.few)
        return self._random(volume, _largest(order.expand(len(volume), *order.shape), self.how.loose * volume))

    def begun_anew(self, best: _Starts, number: int) -> _Starts:
        """Random phases in a support that was found, and a layer around it."""
        everyone = best.chosen(torch.zeros(number, dtype=torch.long))
        return self._random(everyone.volume, layer_around(everyone.support))

    def tightened(self, starts: _Starts, *, last: bool = False) -> _Starts:
        """The support made anew several times, then a judgement; the worse half is given up on the way, but for the last."""
        how, rounds = self.how, self.how.rounds
        for number in range(rounds):
            first = how.blur_last if last else how.blur_first
            sigma = first * (how.blur_last / first) ** (number / max(1, rounds - 1))
            support = _largest(blur(starts.rho.abs(), sigma), starts.volume)
            rho = self._capped(starts.rho, layer_around(support), starts.volume, how.iterations)
            starts = _Starts(rho, starts.volume, support)
            if not last and number == rounds // 2 - 1:
                starts = self._judged(starts).best(max(how.survivors, len(starts.volume) // 2))
        return self._judged(starts)

    def _random(self, volume: Tensor, support: Tensor) -> _Starts:
        phase = 2 * math.pi * torch.rand(support.shape, generator=self.generator)
        rho = torch.polar(support, phase.to(support.device))
        rho = rho * (self.norm / support.sum(SPATIAL).sqrt())[:, None, None, None]
        return _Starts(self._capped(rho, support, volume, self.how.first), volume, support)

    def _projected(self, rho: Tensor) -> Tensor:
        """The measured modulus, where it was measured."""
        psi = diffract_corner(rho)
        ratio = modulus_of(psi, torch.empty_like(psi.real)).add_(NOT_ZERO).reciprocal_().mul_(self.modulus)
        if not self.everything_used:
            ratio = torch.where(self.used, ratio, 1)
        return back_propagate_corner(scale_by(psi, ratio))

    def _capped(self, rho: Tensor, support: Tensor, volume: Tensor, iterations: int) -> Tensor:
        """HIO, then a few iterations of error reduction, with no amplitude above that of an even crystal.

        On a CPU every start by itself: its cache holds one.
        """
        size = 1 if rho.device.type == "cpu" else len(rho)
        parts = list(zip(rho.split(size), support.split(size), volume.split(size), strict=True))
        found = []
        for run in side_by_side(lambda part: self._capped_together(*part, iterations), parts, rho.device):
            found.append(run)
            self.done += iterations * len(run)
            if self.on_iteration is not None:
                self.on_iteration(min(self.done, self.how.total), self.how.total)
        return torch.cat(found)

    def _capped_together(self, rho: Tensor, support: Tensor, volume: Tensor, iterations: int) -> Tensor:
        most = (self.norm / volume.sqrt())[:, None, None, None] * support
        outside = 1 - support
        feedback = self.how.beta * outside
        outside = outside[..., None].expand(*outside.shape, 2).contiguous()
        modulus = torch.empty_like(most)
        for number in range(iterations):
            projected = self._projected(rho)
            share = modulus_of(projected, modulus).add_(NOT_ZERO).reciprocal_().mul_(most).clamp_max_(1)
            if number < iterations - max(5, iterations // 8):
                # P_S inside; rho - beta projected outside
                added = scale_by(projected, share.sub_(feedback))
                torch.view_as_real(rho).mul_(outside).add_(torch.view_as_real(added))
            else:
                rho = scale_by(projected, share)
        return rho

    def _judged(self, starts: _Starts) -> _Starts:
        """With the misfit of the object that has one amplitude in all of its support."""
        amplitude = (self.norm / starts.volume.sqrt())[:, None, None, None]
        rho = starts.rho
        for _ in range(EVEN_ITERATIONS):
            rho = torch.sgn(self._projected(rho)) * starts.support * amplitude
        calculated = diffract_corner(rho).abs() * self.used
        overlap = (calculated * self.modulus).sum(SPATIAL)
        norms = torch.linalg.vector_norm(calculated, dim=SPATIAL) * self.norm
        return replace(starts, misfit=2 - 2 * overlap / norms)


def _largest(values: Float[Tensor, "starts m0 m1 m2"], numbers: Tensor) -> Float[Tensor, "starts m0 m1 m2"]:
    """1 in the voxels of the largest values, so many of each start."""
    limits = [
        each.flatten().kthvalue(max(1, each.numel() - int(number))).values
        for each, number in zip(values, numbers, strict=True)
    ]
    return (values > torch.stack(limits)[:, None, None, None]).to(values.dtype)


def _in_the_middle(volume: Tensor, support: Tensor) -> Tensor:
    """A volume in corner order made centred, the middle of the support (as it lies on a circle) in the middle."""
    moved = []
    for axis, size in enumerate(support.shape):
        profile = support.sum([other for other in range(3) if other != axis])
        angle = 2 * math.pi * torch.arange(size, device=support.device) / size
        middle = torch.atan2((profile * angle.sin()).sum(), (profile * angle.cos()).sum())
        moved.append(-round(float(middle) * size / (2 * math.pi)))
    return to_centre(torch.roll(volume, moved, SPATIAL))
