"""The one loop of phase retrieval: batched over patterns and starts, on any torch device.

It knows no algorithm: each iteration probes, projects onto the measured modulus, and steps. Volumes are kept in corner
order while it runs, so that no transform shifts, and one set of buffers serves all iterations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from autophasenn.errors import InputError
from autophasenn.phasing.algorithms import SupportRegion
from autophasenn.phasing.schedule import Schedule
from autophasenn.phasing.support import FIRST_SUPPORT_THRESHOLD, autocorrelation_support, random_start
from autophasenn.physics import fourier
from autophasenn.physics.diffraction import ForwardModel, intensity_of
from autophasenn.volumes import SPATIAL, Mask, ObjectVolume, Support, Volume

OnIteration = Callable[[int, int], None]
"""Called with the number of iterations done and their total."""


@dataclass(frozen=True, eq=False)
class Retrieval:
    """What the loop found, one entry a start.

    Parameters
    ----------
    object : complex64 tensor (starts, n0, n1, n2)
        Centred; in the square root of counts, so that ``|diffract(object)|**2`` compares with the counts.
    support : bool tensor (starts, n0, n1, n2)
    errors : float32 tensor (starts, iterations)
        Modulus error of the running object on the voxels that were used: chi2 as docs/conventions.md has it, but
        without the threshold, and on the scale that the object has.
    kernel : float tensor (starts, k, k, k), optional
        Mutual coherence kernel, where it was given or estimated.
    """

    object: Tensor
    support: Tensor
    errors: Tensor
    kernel: Tensor | None = None


_NO_ZERO = 1e-20
"""Added to intensities that are divided by."""


class ModulusProjection:
    """P_M: give the wave the measured modulus where it was measured; elsewhere it floats.

    With a coherence kernel K the wave is multiplied by ``sqrt(I_m / (|psi|^2 * K))`` (Clark et al. 2012, eq. 2).
    """

    def __init__(self, counts: Volume, measured: Mask, model: ForwardModel, with_errors: bool = True) -> None:
        self.model, self.with_errors = model, with_errors
        self.counts = torch.where(measured, counts, 0)
        self.measured = measured.to(torch.float32)
        self._modulus = self.counts.sqrt()
        self._total = self.counts.sum(SPATIAL, dtype=torch.float64)
        self._unmeasured = None if bool(measured.all()) else 1 - self.measured
        self._buffers: tuple[Tensor, Tensor] | None = None

    def __call__(self, rho: ObjectVolume) -> tuple[ObjectVolume, Tensor | float]:
        """Projection of `rho` (..., n0, n1, n2), and the chi2 (...) that `rho` had; NaN without errors."""
        psi = self.model.to_detector(rho)
        if self._buffers is None or self._buffers[0].shape != psi.shape:
            self._buffers = torch.empty_like(psi.real), torch.empty_like(psi.real)
        intensity, ratio = self._buffers
        parts = torch.view_as_real(psi)
        torch.mul(parts[..., 0], parts[..., 0], out=intensity).addcmul_(parts[..., 1], parts[..., 1])
        intensity.add_(_NO_ZERO)
        if self.model.kernel is not None:
            # What a kernel gives a voxel is no less than what it leaves there; the rounding of a transform over a bright
            # peak may say less, and the wave would be divided by that.
            k0, k1, k2 = (n // 2 for n in self.model.kernel.shape[-3:])
            middle = self.model.kernel[..., k0, k1, k2]
            least = intensity * middle[..., None, None, None]
            intensity = torch.maximum(self.model.blur(intensity), least).add_(_NO_ZERO)
        torch.rsqrt(intensity, out=ratio).mul_(self._modulus)
        chi2 = self._chi2(intensity, ratio) if self.with_errors else torch.nan
        if self._unmeasured is not None:
            ratio.add_(self._unmeasured)
        return self.model.to_object(psi.mul_(ratio)), chi2

    def _chi2(self, intensity: Tensor, ratio: Tensor) -> Tensor:
        """``sum (|psi| - M)^2 / sum M^2`` over measured voxels, from the two volumes at hand."""
        calculated = _total(intensity) if self._unmeasured is None else _inner(intensity, self.measured)
        overlap = _inner(intensity, ratio)  # |psi|^2 M / |psi|
        return ((calculated - 2 * overlap + self._total) / self._total).clamp_min(0).to(torch.float32)


def _total(volume: Tensor) -> Tensor:
    """Sum of each volume: plane by plane, then in double precision, for chi2 is a small difference of such sums."""
    return volume.sum((-2, -1)).sum(-1, dtype=torch.float64)


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """Sum of a b over each volume, without a volume for the product.

    Plane by plane, then in double precision: chi2 is a small difference of such sums.
    """
    a, b = torch.broadcast_tensors(a, b)
    planes = torch.linalg.vecdot(a.flatten(-2), b.flatten(-2))
    return planes.sum(-1, dtype=torch.float64)


def retrieve(
    counts: Volume,
    measured: Mask,
    schedule: Schedule,
    *,
    seeds: Sequence[int],
    start: ObjectVolume | None = None,
    support: Support | None = None,
    support_threshold: float = FIRST_SUPPORT_THRESHOLD,
    kernel: Tensor | None = None,
    model: ForwardModel | None = None,
    on_iteration: OnIteration | None = None,
    with_errors: bool = True,
) -> Retrieval:
    """Find the objects that scatter as was measured and lie within a compact support.

    Parameters
    ----------
    counts : float32 tensor (1 or starts, n0, n1, n2)
        Intensity, centred: one pattern for all starts, or one for each.
    measured : bool tensor (1 or starts, n0, n1, n2)
        True = used. Unmeasured and held-out voxels float.
    schedule : Schedule
    seeds : sequence of int
        One a start; the whole randomness. The same call gives the same bits on one machine with one number of threads.
    start : complex tensor (starts, n0, n1, n2), optional
        First objects, centred, on any scale. None: random amplitude and phase in the first support.
    support : bool tensor (1 or starts, n0, n1, n2), optional
        First support, centred. None: from `start` where it is given, else from the autocorrelation.
    support_threshold : float
        Fraction of the maximum for a support from the autocorrelation (or from the amplitude of `start`).
    kernel : float tensor (..., k, k, k), optional
        Mutual coherence kernel known from elsewhere, centred; None: full coherence until the schedule estimates one.
    model : ForwardModel, optional
        Another experiment: its transforms, which must be centred and keep the norm, and its coherence kernel; what
        was measured is said by `measured`. None: far-field diffraction.
    on_iteration : callable, optional
        Told after every iteration.
    with_errors : bool
        False: the errors are not computed (NaN), which saves a tenth to a fifth of the time of small patterns.

    Returns
    -------
    Retrieval

    Raises
    ------
    InputError
        If no voxel of a pattern is above zero, or the numbers of patterns, starts and seeds do not fit.
    """
    for name, volume in (("counts", counts), ("measured", measured), ("start", start), ("support", support)):
        if volume is not None and len(volume) not in (1, len(seeds)):
            raise InputError(
                f"{name} has {len(volume)} volumes for {len(seeds)} seeds; give one for all, or one for each."
            )
    centred = model is not None
    if model is None:
        model = ForwardModel(None, None, fourier.diffract_corner, fourier.back_propagate_corner)
    if kernel is not None:
        model = replace(model, kernel=kernel.expand(len(seeds), *kernel.shape[-3:]))
    order = (lambda x: x) if centred else fourier.to_corner
    undo = (lambda x: x) if centred else fourier.to_centre

    projection = ModulusProjection(order(counts), order(measured), model, with_errors)
    if not bool((projection.counts.sum(SPATIAL) > 0).all()):
        raise InputError("A pattern has no counts in measured voxels; there is nothing to phase. Check the mask.")
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    inside = _first_support(projection.counts, start, support, support_threshold, order, centred)
    inside = inside.expand(len(seeds), *inside.shape[-3:]).contiguous()
    rho = random_start(inside, generators) if start is None else order(start).to(torch.complex64) * inside
    rho = rho.expand(len(seeds), *rho.shape[-3:])
    rho = _scaled(rho, projection)

    region = SupportRegion(inside)
    errors = torch.empty(len(seeds), schedule.iterations, device=counts.device)
    mean = torch.zeros_like(rho) if schedule.average_last > 1 else None
    for iteration, algorithm in enumerate(schedule):
        if iteration == schedule.break_twin_at:
            rho = rho * order(_random_half_spaces(rho, generators))
        if schedule.shrink_wrap is not None and schedule.shrink_wrap.is_due(iteration):
            region = SupportRegion(schedule.shrink_wrap.update(rho, iteration, schedule.iterations))
        if schedule.coherence is not None and schedule.coherence.is_due(iteration):
            coherent = intensity_of(model.to_detector(rho * region.inside))
            estimate = schedule.coherence.update(model.kernel, coherent, projection.counts, projection.measured)
            model = projection.model = replace(model, kernel=estimate)
        projected, errors[:, iteration] = projection(algorithm.probe(rho, region))
        rho = algorithm.step(rho, projected, region)
        if mean is not None and iteration >= schedule.iterations - schedule.average_last:
            mean += rho
        if on_iteration is not None:
            on_iteration(iteration + 1, schedule.iterations)
    rho = (rho if mean is None else mean / schedule.average_last) * region.inside
    return Retrieval(undo(rho), undo(region.inside), errors, model.kernel)


def _first_support(
    counts: Volume,
    start: ObjectVolume | None,
    support: Support | None,
    threshold: float,
    order: Callable[[Tensor], Tensor],
    centred: bool,
) -> Support:
    """The support that the loop begins with, in the order of the loop."""
    if support is not None:
        return order(support)
    if start is not None:
        amplitude = order(start).abs()
        return amplitude >= threshold * amplitude.amax(SPATIAL, keepdim=True)
    if centred:
        return fourier.to_centre(autocorrelation_support(fourier.to_corner(counts), threshold))
    return autocorrelation_support(counts, threshold)


def _scaled(rho: ObjectVolume, projection: ModulusProjection) -> ObjectVolume:
    """The object with the factor that brings its calculated modulus nearest to the measured one."""
    calculated = projection.model.blur(intensity_of(projection.model.to_detector(rho)))
    overlap = ((calculated * projection.counts).sqrt()).sum(SPATIAL)
    scale = overlap / (calculated * projection.measured).sum(SPATIAL).clamp_min(1e-30)
    return rho * scale[..., None, None, None]


def _random_half_spaces(rho: ObjectVolume, generators: list[torch.Generator]) -> Tensor:
    """One where a random direction from the centre is ahead, zero behind; centred, (starts, n0, n1, n2)."""
    halves = torch.zeros(rho.shape)
    for half, generator in zip(halves, generators, strict=True):
        direction = torch.randn(3, generator=generator)
        height = torch.zeros(())
        for axis, component in enumerate(direction):
            n = half.shape[axis]
            height = height + component * (torch.arange(n) - n // 2).reshape([-1 if a == axis else 1 for a in range(3)])
        half.copy_(height >= 0)
    return halves.to(rho.device)
