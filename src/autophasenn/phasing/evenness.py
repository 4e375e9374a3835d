"""The most likely crystal that is even inside: counting noise makes ripples of an image that its pattern does not ask for.

    2 sum (sqrt(J) - sqrt(n))^2 + w sum_pairs delta^2 (sqrt(1 + ((a_i - a_j) / delta)^2) - 1)

The first part is the likelihood (`phasing.likelihood`). The second one is over pairs of neighbouring voxels inside of the
crystal, a is their amplitude in root counts; the phase is free. Small differences are held by a square, those of more than
delta, at a wall between domains or a void, by their size alone, so that walls stay (Charbonnier et al., IEEE Trans. Image
Process. 6, 298 (1997)). The unit is that of counting noise: the root of a count of more than about one has a variance of
1/4 whatever its mean, and so has, as the Fourier pair is orthonormal, about every voxel. Hence one weight serves patterns
of many photons; where most voxels expect less than one, their variance is less, and the weight smooths less than it might.

A crystal may have a texture. What the likelihood still asks for at the most likely even crystal is, in the amplitude, the
slope of the prior: its noise has the power of white noise times (w l / (c + w l))^2, with l the eigenvalue of a wave under
the differences of neighbours and c the curvature of the likelihood. Waves that stand far out of it may be density: then the
image is made once more with a less those waves, and held-out voxels judge (a score test as in Rao, Math. Proc. Camb. Phil.
Soc. 44, 50 (1948), with a bar that is set by hand and not by its law: a false alarm costs a few evaluations).

A pattern does not tell where between two voxels a crystal lies, but a crystal of sharp faces that lies between them rings,
as its wave ends at the window. So in turn the image is moved, by less than a voxel, to where the least of it overshoots,
and made even, a little at first: a crystal that was simulated on voxels comes back onto them. A real one of sharp faces and
many photons rings wherever it is put: the likelihood asks for more waves near the edge of the window than for others of the
same eigenvalue. Then the image is left as it is, unless it rings little and held-out voxels gain much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from autophasenn.options import Number, Positive, Share, options
from autophasenn.phasing.engine import OnIteration, Retrieval
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import Likelihood, Problem, climb
from autophasenn.phasing.support import ShrinkWrap, blur, typical_amplitude
from autophasenn.physics.ambiguity import translate
from autophasenn.physics.diffraction import intensity_of, modulus_of
from autophasenn.physics.fourier import to_corner
from autophasenn.physics.pruned import Box

MARGIN = 3
"""Voxels around the support in which the image is moved."""
PLACES = 4
"""Within a voxel, along an axis, at which the overshoot is computed: over a voxel it is nearly a cosine."""
INSIDE, INSIDE_BLUR = 0.6, 0.5
"""A voxel is inside where its amplitude, blurred by so many voxels, is this share of the typical one, and around it, too."""
NOTE = (
    "Texture of the density that does not stand out of the counting noise, of below about 5 % of it, may be smoothed; "
    "evenness: null in the plan leaves the image as it is."
)
STANDS_OUT = 4.0
"""Of the largest power that noise would give a wave: one of more is density, and stays."""
RINGING, RINGS, RINGS_ANYWHERE, FEWEST = 0.4, 1.7, 5.0, 8
"""Waves of more periods a voxel are how sharp faces between voxels ring, and no density; where what the likelihood asks for
has that many times more power there than in as many or more others that the prior holds as much, the crystal lies between
its voxels, and with so many times more wherever it were put (docs/notebook/evaluation.md). Fewer waves than the last number
tell nothing."""
SURE = 0.05
"""By what share chi2_free has to fall where the crystal rings: one that does so only as it is not yet in its place gains as
much by an even inside, and one that lies between voxels does not."""
SETTLED = 0.05
"""Of a voxel: a move by less, along each axis, is the last."""
NOT_ZERO = 1e-6
"""Amplitude, root counts, below which nothing is divided by it."""
CURVATURE = 2.0
"""Of the likelihood, in a wave of the amplitude: half of the 4 of a modulus, as the phases in reciprocal space are free."""
LEAST_WALL = 1.0
"""Of a difference that is held by its size alone, root counts: less is noise."""


@options
class Evenness:
    """How the image is made even inside, as far as its pattern allows; texture weaker than its noise may be smoothed.

    Parameters
    ----------
    weight : float
        Of the squared differences between neighbours, in units of counting noise.
    wall : float
        Share of the typical amplitude from which on a difference is held by its size alone.
    margin : float
        By what share chi2_free has to fall for the image to be kept, and may grow for a texture that the pattern asks for.
    turns : int
        How often, at most, the image is moved between its voxels, and made even there: what is even shows better where it
        belongs. The turn in which it hardly moves any more is the last.
    evaluations : int
        Of the likelihood in the last turn.
    few_evaluations : int
        In each turn before; twice as many towards a crystal with a texture.
    enough : float
        Photons a voxel of the crystal above which an image is left as it is: there the ripple of counting noise is below
        0.3 %.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    weight: Positive = 1.0
    wall: Positive = 0.1
    margin: Share = 0.005
    turns: Number = 3
    evaluations: Number = 10
    few_evaluations: Number = 6
    enough: Positive = 40_000.0

    @property
    def most_evaluations(self) -> int:
        """Of the likelihood, in all."""
        return (self.turns + 1) * self.few_evaluations + self.evaluations


@dataclass(frozen=True, eq=False)
class Evened:
    """What came of it.

    Parameters
    ----------
    image : Retrieval, optional
        None: the prior was refused, and the image stays as it is.
    shift : 3 floats
        By which the image was moved, voxels.
    textured : bool
        Whether waves of density were left out of the prior.
    """

    image: Retrieval | None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    textured: bool = False

    def facts(self) -> dict[str, Any]:
        """For the report."""
        shift = [round(each, 3) for each in self.shift]
        facts = {"kept": self.image is not None, "shift_voxels": shift, "textured": self.textured}
        return facts if self.image is None else facts | {"note": NOTE}


def evened(
    held_out: HeldOut,
    run: Retrieval,
    how: Evenness,
    support: ShrinkWrap,
    likelihood: Likelihood | None = None,
    *,
    on_iteration: OnIteration | None = None,
) -> Evened | None:
    """Go on from an image towards the most likely one that is even inside, moved between its voxels as it lies best.

    Parameters
    ----------
    held_out : HeldOut
    run : Retrieval
        One object.
    how : Evenness
    support : ShrinkWrap
        Which voxels the image is confined to: its threshold, and its last Gaussian.
    likelihood : Likelihood, optional
        Its law of counting and its history.
    on_iteration : callable, optional
        Told after every evaluation, with their number and the most there can be.

    Returns
    -------
    Evened or None
        None: not tried, as no photon was held out, each voxel has `how.enough` photons, nothing of the crystal lies inside
        of it, or the beam is coherent only in part: what its kernel leaves open is more than the noise.
    """
    if run.kernel is not None or not held_out.can_judge:
        return None
    photons = float(held_out.pattern.counts[held_out.used[0]].sum(dtype=torch.float64))
    if photons > how.enough * _filled(run):
        return None
    law = likelihood or Likelihood()
    shift, found, errors = (0.0, 0.0, 0.0), run, torch.zeros(1, 0)
    if not math.isfinite(before := held_out.score(run)):
        return None

    def told(number: int, _: int) -> None:
        if on_iteration is not None:
            on_iteration(errors.shape[1] + number, how.most_evaluations)

    def climbed(problem: EvenProblem, values: Tensor, evaluations: int) -> tuple[Tensor, Retrieval]:
        values, _, new = climb(
            problem, values, None, replace(law, evaluations=evaluations),
            inverse_curvature=problem.inverse_curvature, on_evaluation=told,
        )  # fmt: skip
        every = torch.cat([errors, new.to(errors)], 1)
        return values, Retrieval(problem.of.object_of(values)[None], within, every.to(values))

    within = support.final_support(run.object)
    counts, used = to_corner(held_out.pattern.counts), to_corner(held_out.used[0])
    likely = Problem(counts, used, within[0], law, (law.first_sigma,) * 3)
    for turn in range(how.turns):
        rho, by = _moved(likely, found, within)
        shift = (shift[0] + by[0], shift[1] + by[1], shift[2] + by[2])
        within = support.final_support(rho)
        likely.confine(within[0])
        problem = EvenProblem(likely, rho[0], how)
        if not len(problem.one):
            return None
        is_last = turn == how.turns - 1 or (turn > 0 and max(map(abs, by)) < SETTLED)
        values, found = climbed(problem, problem.first, how.evaluations if is_last else how.few_evaluations)
        errors = found.errors
        if is_last:
            break  # until then it is hardly in its place, and what rings may come to rest
        within = support.final_support(found.object)
    asked, score = problem.asked(values), held_out.score(found)
    ringing = problem.ringing(asked)
    if ringing > RINGS_ANYWHERE or (ringing > RINGS and not score < before):
        return Evened(None)
    bar = (1 - max(how.margin, SURE if ringing > RINGS else 0)) * before
    best = Evened(found, shift) if score < bar else Evened(None)
    if problem.leave_out_waves(asked, translate(run.object[0], shift)):
        _, textured = climbed(problem, values, 2 * how.few_evaluations)
        if held_out.score(textured) < min(bar, (1 + how.margin) * score):
            best = Evened(textured, shift, textured=True)
    return best


def _filled(run: Retrieval) -> float:
    """Voxels that a crystal of the typical amplitude fills."""
    power = run.object.abs().square().double()
    return float(power.sum().square() / power.square().sum())


class EvenProblem:
    """The likelihood of a pattern and the prior of an even inside, and the slope in the voxels of an object.

    Parameters
    ----------
    of : Problem
        The likelihood, and the support that objects are confined to, which stays as it is as long as this one is used.
    rho : complex64 tensor (n0, n1, n2)
        Whose inside is taken for the crystal's.
    how : Evenness
    """

    def __init__(self, of: Problem, rho: Tensor, how: Evenness) -> None:
        self.of = of
        self.first = of.values_of(rho)
        self.standing: Tensor | None = None
        amplitude = self._in_box(torch.linalg.vector_norm(self.first, dim=1))
        typical = float(typical_amplitude(amplitude.square()))
        self.weight, self.wall = how.weight, max(LEAST_WALL, how.wall * typical)
        self.inside = _inside(amplitude, typical)
        number = self._in_box(torch.arange(1, len(self.first) + 1, device=self.first.device)) - 1  # -1 outside
        number[~self.inside] = -1
        pairs = [_neighbours(number, axis) for axis in range(3)]
        self.one, self.other = torch.cat(pairs, 1)
        self._outwards = self.first / amplitude.flatten()[self.of.within].clamp_min(NOT_ZERO)[:, None]
        self._is_inside = self.inside.flatten()[self.of.within].to(self.first.dtype)
        half = self.of.box.size[2] // 2 + 1
        self._transfer = CURVATURE / (CURVATURE + self.weight * _eigenvalue(self.inside)[..., :half])

    def inverse_curvature(self, slope: Tensor) -> Tensor:
        """About that of likelihood and prior, but for a factor: the prior holds short waves of the amplitude the most.

        It is a filter of the slope in the amplitude inside of the crystal: symmetric and positive, as a part of one over
        all of the box is.
        """
        values = slope.reshape(self.first.shape)
        along = (values * self._outwards).sum(1) * self._is_inside
        smooth = torch.fft.irfftn(torch.fft.rfftn(self._in_box(along)) * self._transfer, s=self.of.box.size)
        change = (smooth.flatten()[self.of.within] - along) * self._is_inside
        return torch.addcmul(values, self._outwards, change[:, None]).flatten()

    def _in_box(self, values: Tensor) -> Tensor:
        """Values of the voxels of the support in the box around it, 0 outside of it."""
        whole = values.new_zeros(math.prod(self.of.box.size))
        whole[self.of.within] = values
        return whole.reshape(self.of.box.size)

    def asked(self, values: Tensor) -> Float[Tensor, "m0 m1 m2"]:
        """What the likelihood still asks the amplitude for."""
        _, _, slope, _ = self.of(values, None)
        return self._in_box(-(slope * values).sum(1) / torch.linalg.vector_norm(values, dim=1).clamp_min(NOT_ZERO))

    def ringing(self, asked: Float[Tensor, "m0 m1 m2"]) -> float:
        """How many times more it asks for how sharp faces between voxels ring than for others of the same eigenvalue; 0: it
        does not tell.
        """
        power, far = intensity_of(_waves(asked, self.inside)).flatten().double(), _far(self.inside).flatten()
        shell = _eigenvalue(self.inside).long().flatten()
        number = int(shell.max()) + 1

        def sums(which: Tensor) -> tuple[Tensor, Tensor]:
            return torch.bincount(shell[which], power[which], number), torch.bincount(shell[which], minlength=number)

        (outer, many), (inner, as_many) = sums(far), sums(~far)
        told = (many >= FEWEST) & (as_many >= FEWEST)
        times = outer[told] * as_many[told] / inner[told].clamp_min(torch.finfo(inner.dtype).tiny)
        return float(times.sum() / many[told].sum().clamp_min(1))

    def leave_out_waves(self, asked: Float[Tensor, "m0 m1 m2"], rho: Tensor) -> bool:
        """Let the prior be without those waves of an object that the likelihood asks for at an even crystal, if any."""
        standing = _standing_out(asked, self.inside)
        if not bool(standing.any()):
            return False
        amplitude = self._in_box(torch.linalg.vector_norm(self.of.values_of(rho), dim=1))
        wave = torch.where(standing, _waves(amplitude, self.inside), 0)
        self.standing = torch.fft.ifftn(wave).real.flatten()[self.of.within]
        return True

    def __call__(self, values: Tensor, beam: Tensor | None = None) -> tuple[float, Tensor, Tensor, None]:
        """The value to be made small, chi2, and the slope of the value."""
        value, error, slope, _ = self.of(values, beam)
        amplitude = torch.linalg.vector_norm(values, dim=1)
        uneven = amplitude if self.standing is None else amplitude - self.standing
        difference = uneven[self.one] - uneven[self.other]
        root = (1 + (difference / self.wall).square()).sqrt()
        value += self.weight * self.wall**2 * float((root - 1).sum(dtype=torch.float64))
        each = difference.mul_(self.weight).div_(root)
        in_amplitude = torch.zeros_like(amplitude).index_add_(0, self.one, each).index_add_(0, self.other, -each)
        return value, error, slope + (in_amplitude / amplitude.clamp_min(NOT_ZERO))[:, None] * values, None


def _inside(amplitude: Float[Tensor, "m0 m1 m2"], typical: float) -> Bool[Tensor, "m0 m1 m2"]:
    """Voxels that lie, as all that share a face with them, inside of the crystal."""
    filled = blur(amplitude, INSIDE_BLUR) > INSIDE * typical
    inside = filled.clone()
    for axis, size in enumerate(filled.shape):
        along = inside.transpose(0, axis)  # a view
        around = filled.transpose(0, axis)
        if size > 1:
            along[1:] &= around[:-1]
            along[:-1] &= around[1:]
        along[[0, -1]] = False
    return inside


def _waves(values: Float[Tensor, "m0 m1 m2"], inside: Bool[Tensor, "m0 m1 m2"]) -> Complex[Tensor, "m0 m1 m2"]:
    """Of what the inside of a crystal differs from its mean; 0 where there is none."""
    mean = (values * inside).sum() / inside.sum().clamp_min(1)
    return torch.fft.fftn(torch.where(inside, values - mean, 0))


def _far(values: Tensor) -> Bool[Tensor, "m0 m1 m2"]:
    """The waves that are how sharp faces between voxels ring."""
    far = torch.zeros(values.shape, dtype=torch.bool, device=values.device)
    for axis, size in enumerate(values.shape):
        far.transpose(0, axis)[torch.fft.fftfreq(size, device=values.device).abs() > RINGING] = True  # a view
    return far


def _eigenvalue(values: Tensor) -> Float[Tensor, "m0 m1 m2"]:
    """Of every wave, under the squared differences of neighbours along the axes: sum of 2 - 2 cos k."""
    total = torch.zeros(values.shape, device=values.device)
    for axis, size in enumerate(values.shape):
        along = 2 - 2 * torch.cos(2 * math.pi * torch.fft.fftfreq(size, device=values.device))
        total += along.reshape([-1 if each == axis else 1 for each in range(3)])
    return total


def _standing_out(values: Float[Tensor, "m0 m1 m2"], inside: Bool[Tensor, "m0 m1 m2"]) -> Bool[Tensor, "m0 m1 m2"]:
    """Which waves inside of the crystal are far higher than any that white noise would make.

    The power of a wave of white noise is distributed exponentially, so that of M the largest is about ln M times the mean,
    which is the median over ln 2. Over all waves: a broad texture fills whole shells of them.
    """
    power = _waves(values, inside).abs().square()
    least = power.median() / math.log(2) * max(1.0, math.log(power.numel())) * STANDS_OUT
    return (power > least) & ~_far(values)


def _neighbours(number: Tensor, axis: int) -> Tensor:
    """Pairs of the numbers of voxels that share a face along an axis (2, pairs); -1 is no voxel."""
    low, high = number.narrow(axis, 0, number.shape[axis] - 1), number.narrow(axis, 1, number.shape[axis] - 1)
    both = (low >= 0) & (high >= 0)
    return torch.stack([low[both], high[both]])


def _moved(
    of: Problem, run: Retrieval, within: Bool[Tensor, "1 n0 n1 n2"]
) -> tuple[Complex[Tensor, "1 n0 n1 n2"], tuple[float, float, float]]:
    """The object and its move, by less than a voxel, to where the least of its projection onto the modulus overshoots."""
    shape = of.shape
    box = Box.around(within).widened(MARGIN, shape)
    projection = of.projection_in(box)
    values = box.cut(run.object) * box.cut(within)
    values = values * projection.scale_of(values)
    projected, _ = projection(values)
    shift = placement(projected[0], shape)
    return box.embed(_shifted(values[0], shift, shape), shape)[None], shift


def placement(values: Complex[Tensor, "m0 m1 m2"], shape: tuple[int, int, int]) -> tuple[float, float, float]:
    """By which parts of a voxel an object is to be moved so that the least of it lies above its typical amplitude.

    Parameters
    ----------
    values : complex64 tensor (m0, m1, m2)
        The voxels of an object in a box around it.
    shape : tuple of 3 ints
        Of the object.

    Returns
    -------
    3 floats, -0.5 to 0.5, along each axis in turn
    """
    typical = float(typical_amplitude(intensity_of(values), torch.finfo(values.real.dtype).tiny))
    shift = [0.0, 0.0, 0.0]
    angles = 2 * math.pi * torch.arange(PLACES, dtype=torch.float64) / PLACES
    for axis in range(3):
        size = values.shape[axis]
        moved = _places_along(size, shape[axis]).to(values) @ values.movedim(axis, 0).reshape(size, -1)
        amplitude = modulus_of(moved.reshape(PLACES, size, 1, -1)).flatten(1)
        over = amplitude.sub_(typical).clamp_min_(0).square_().sum(1, dtype=torch.float64).cpu()
        cosine, sine = float(over @ angles.cos()), float(over @ angles.sin())
        if cosine or sine:
            shift[axis] = math.atan2(-sine, -cosine) / (2 * math.pi)  # opposite of the largest
        values = _shifted_along(values, axis, shift[axis], shape[axis])
    return shift[0], shift[1], shift[2]


def _shifted(values: Tensor, shift: tuple[float, float, float], shape: tuple[int, int, int]) -> Tensor:
    for axis in range(3):
        values = _shifted_along(values, axis, shift[axis], shape[axis])
    return values


def _shifted_along(values: Tensor, axis: int, shift: float, size: int) -> Tensor:
    """Voxels of a box moved by so many voxels along one axis; as its wave has it, nothing comes from outside of the box."""
    if shift == 0:
        return values
    matrix = _shift_along(values.shape[axis], shift, size).to(values)
    return torch.tensordot(matrix, values, ([1], [axis])).movedim(0, axis)


@lru_cache(64)
@torch.inference_mode(False)  # kept for later, when gradients may be asked for
def _places_along(voxels: int, size: int) -> Float[Tensor, "places_and_voxels voxels"]:
    """The matrices of `_shift_along` to all places that are compared, one below the other."""
    return torch.cat([_shift_along(voxels, place / PLACES, size) for place in range(PLACES)])


def _shift_along(voxels: int, shift: float, size: int) -> Float[Tensor, "voxels voxels"]:
    """The matrix that moves so many voxels of an axis of `size` by a part of one."""
    place = torch.arange(voxels, dtype=torch.float64)
    x = math.pi * (place[:, None] - place - shift)
    x = torch.where(x.abs() < 1e-9, 1e-9, x)
    # sum over the waves of an axis, of an even number the outermost by half (Dirichlet's kernel)
    return x.sin() / (size * ((x / size).sin() if size % 2 else (x / size).tan()))
