"""One density and one displacement field that make the patterns of several reflections of a crystal most likely together.

    psi_n(q) = c_n sum_x s(x) exp(i (k_n.x - Q_n.u(x))) exp(-i q.x),   n = 1, 2, ...

s is real and u a vector, both on the nodes of one grid of the sample frame, linear between them. c_n is the scale of a
pattern and k_n says where in its voxel the Bragg peak lies. Each wave is computed on voxels finer than those of its pattern
and ends at the window of that pattern (`physics.pruned.WindowedPair`), so that the patterns need not share any axis. The
likelihood of each is that of `phasing.likelihood`, its mask and its beam included; twin and place of the images mean nothing
to it. Three patterns give six numbers a voxel to images phased one at a time, and four here.

The displacement between neighbouring nodes is held by a prior: the second differences of the mean phase ``|Q| u`` are those
of a normal law whose standard deviation a voxel of the patterns wide is `Joint.curvature`. Without it, u is free where no
photon tells anything of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import torch
from annotated_types import Ge, Le
from numpy.typing import NDArray
from scipy import ndimage, sparse
from torch import Tensor

from autophasenn.options import Positive, options
from autophasenn.phasing.engine import OnIteration
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.likelihood import BEAM, STEP, Fit, Likelihood, climb, sigmas_of
from autophasenn.physics import metrics
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import to_centre, to_corner
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.physics.pruned import Box, WindowedPair

Floats = NDArray[np.floating[Any]]

MARGIN = 2.2
"""Of the support around the body that it begins with, mean voxels of the patterns."""
MOST_NODES, MOST_VOXELS = 400_000, 2_000_000
"""Inside of the body, and of all voxels on which waves are computed: larger crystals have coarser ones."""
LEAST_SHARE = 0.3
"""Of the weights of a voxel that must lie on nodes of the support: others are outside."""
FINENESS = (1, 20)
"""Parts of a voxel to which the middle of a peak is found, in turn."""
SMALL = 1 + 3 + BEAM
"""Unknowns of a pattern beside the crystal: scale, place of the peak, beam."""


@options
class Joint:
    """How patterns are phased together.

    Parameters
    ----------
    likelihood : Likelihood
        Its evaluations are of all patterns.
    edge : float
        Of the cells of the nodes, mean voxels of the patterns.
    finer : int
        Voxels on which a wave is computed, a voxel of its pattern along each axis.
    curvature : float
        One standard deviation of the second differences of the phase, rad a voxel of the patterns squared.

    Raises
    ------
    PlanError
        If a number is outside its range.
    """

    likelihood: Likelihood = field(default_factory=lambda: Likelihood(evaluations=100))
    edge: Positive = 0.55
    finer: Annotated[int, Ge(1), Le(4)] = 2
    curvature: Positive = 0.05


@dataclass(frozen=True, eq=False)
class Body:
    """Density and displacement of a crystal on a cubic grid of the sample frame, voxel ``n // 2`` the origin.

    Parameters
    ----------
    density : float array (nx, ny, nz)
        In any unit.
    displacement : float array (3, nx, ny, nz)
        Metres; anything outside of the support.
    support : bool array (nx, ny, nz)
    edge : float
        Of a voxel, metres.
    """

    density: Floats
    displacement: Floats
    support: NDArray[np.bool_]
    edge: float

    def at(self, edge: float, shape: Sequence[int]) -> Body:
        """The same on another grid, linear between voxels; the displacement goes on outside as it is at the surface."""
        middle, size = (np.reshape([n // 2 for n in each], (3, 1, 1, 1)) for each in (shape, self.density.shape))
        places = (np.indices(tuple(shape)) - middle) * (edge / self.edge) + size
        _, nearest = ndimage.distance_transform_edt(~self.support, return_indices=True)

        def sampled(volume: Floats, outside: str) -> Floats:
            found: Floats = ndimage.map_coordinates(volume.astype(np.float64), places, order=1, mode=outside)
            return found

        moved = [sampled(each[tuple(nearest)], "nearest") for each in self.displacement]
        inside = sampled(self.support.astype(np.float64), "constant") >= 0.5
        return Body(sampled(self.density, "constant"), np.stack(moved), inside, edge)


@dataclass(frozen=True, eq=False)
class Seen:
    """A reflection as it was measured.

    Parameters
    ----------
    held_out : HeldOut
        The pattern, its steps in q of the sample frame, and which of its voxels nothing is fitted to.
    q : float array (3,)
        Scattering vector, 1/m, sample frame.
    kernel : float tensor (k0, k1, k2), optional
        Coherence kernel to begin with; None: the beam is coherent.
    """

    held_out: HeldOut
    q: Floats
    kernel: Tensor | None = None

    @property
    def vectors(self) -> Floats:
        """From one voxel of the object to the next along each axis (rows), metres, sample frame."""
        steps = self.held_out.pattern.reciprocal_steps
        assert steps is not None
        return np.asarray(direct_voxel_vectors(steps, self.held_out.pattern.shape).numpy())


@dataclass(frozen=True, eq=False)
class Together:
    """What phasing together found.

    Parameters
    ----------
    body : Body
        On the nodes.
    free_errors : tuple of float
        chi2 of each pattern on the voxels that were held out, with the scale found on the others; NaN where no photon was.
    errors : float64 tensor (evaluations,)
        chi2 of the voxels that were used, mean of the patterns, of every body that was tried.
    """

    body: Body
    free_errors: tuple[float, ...]
    errors: Tensor


def together(
    seen: Sequence[Seen], begin: Body, how: Joint | None = None, *, on_iteration: OnIteration | None = None
) -> Together:
    """Go on from a body, which images phased one at a time show, towards the one that makes all patterns most likely.

    Parameters
    ----------
    seen : sequence of Seen
        The reflections.
    begin : Body
    how : Joint, optional
    on_iteration : callable, optional
        Told after every evaluation, with their number and the most there can be.
    """
    how = how or Joint()
    problem = JointProblem(seen, begin, how)
    found, _, errors = climb(problem, problem.first, None, how.likelihood, on_evaluation=on_iteration)
    return Together(problem.body_of(found), problem.free_errors(found), errors[0])


class JointProblem:
    """The likelihood of several patterns and the prior of the displacement, and the slope in all that is unknown.

    Unknowns have the scale of an object of as many photons: the density at the nodes of the support, the change of the
    phase there, along each axis, times the typical density, and `SMALL` of each pattern.

    Parameters
    ----------
    seen : sequence of Seen
    begin : Body
    how : Joint
    """

    def __init__(self, seen: Sequence[Seen], begin: Body, how: Joint) -> None:
        mean_voxel = float(np.mean([abs(np.linalg.det(each.vectors)) ** (1 / 3) for each in seen]))
        volume = int(begin.support.sum()) * begin.edge**3
        edge = max(how.edge * mean_voxel, (volume / MOST_NODES) ** (1 / 3))
        finer = how.finer if len(seen) * volume / mean_voxel**3 * how.finer**3 <= MOST_VOXELS else 1
        margin = math.ceil(MARGIN * mean_voxel / edge)
        reach = [math.ceil(n // 2 * begin.edge / edge) + margin + 1 for n in begin.density.shape]
        self.grid = begin.at(edge, [2 * each + 1 for each in reach])
        support = ndimage.binary_dilation(self.grid.support, iterations=margin)
        self.nodes = np.flatnonzero(support)
        self.patterns = [_Pattern(each, edge, support, finer, how.likelihood) for each in seen]
        self.q = float(np.mean([np.linalg.norm(each.q) for each in seen]))
        self.displacement = self.grid.displacement.reshape(3, -1)[:, self.nodes].T
        density = np.maximum(self.grid.density.ravel()[self.nodes], 0)
        for each in self.patterns:
            each.begin(density, self.displacement)
        unit = float(np.mean([each.scale for each in self.patterns]))
        for each in self.patterns:
            each.scale /= unit
        density = density * unit
        self.step = 1 / (self.q * float(np.median(density[density > density.max() / 2])))
        # sum over nodes of (second difference / curvature)^2 / 2, as an integral over voxels of the patterns
        self.prior = mean_voxel / (2 * edge * how.curvature**2)
        self.bend = _second_differences(support)
        rest = np.zeros(3 * len(self.nodes) + SMALL * len(seen))
        self.first = torch.from_numpy(np.concatenate([density, rest])).float()

    def __call__(self, unknowns: Tensor, beam: Tensor | None = None) -> tuple[float, Tensor, Tensor, None]:
        """The value to be made small, chi2 (mean of the patterns), and the slope."""
        density, displacement, small = self._parts(unknowns)
        bent = self.bend @ (self.q * displacement)
        value = self.prior * float(np.square(bent).sum())
        in_density = np.zeros_like(density)
        in_displacement = 2 * self.prior * self.q * (self.bend.T @ bent)
        in_small, errors = np.zeros_like(small), []
        for each, own, slope in zip(self.patterns, small, in_small, strict=True):
            added, error, of_density, of_displacement, slope[:] = each(density, displacement, own)
            value += added
            in_density += of_density
            in_displacement += of_displacement
            errors.append(error)
        slope = np.concatenate([in_density, self.step * in_displacement.ravel(), in_small.ravel()])
        return value, torch.stack(errors).mean(), torch.from_numpy(slope), None

    def body_of(self, unknowns: Tensor) -> Body:
        """Density and displacement on the nodes; the density has its largest value 1."""
        density, displacement, _ = self._parts(unknowns)
        shape = self.grid.support.shape
        volumes = np.zeros((4, math.prod(shape)))
        volumes[0, self.nodes] = density / density.max()
        volumes[1:, self.nodes] = displacement.T
        inside = np.zeros(math.prod(shape), bool)
        inside[self.nodes] = True
        volumes = volumes.reshape(4, *shape)
        return Body(volumes[0], volumes[1:], inside.reshape(shape), self.grid.edge)

    def free_errors(self, unknowns: Tensor) -> tuple[float, ...]:
        """chi2 of each pattern on its held-out voxels."""
        density, displacement, small = self._parts(unknowns)
        return tuple(
            each.free_error(density, displacement, own) for each, own in zip(self.patterns, small, strict=True)
        )

    def _parts(self, unknowns: Tensor) -> tuple[Floats, Floats, Floats]:
        """Density (nodes,), displacement (nodes, 3) in metres, and the unknowns of the patterns (patterns, SMALL)."""
        x = unknowns.double().numpy()
        count = len(self.nodes)
        moved = self.displacement + self.step * x[count : 4 * count].reshape(count, 3)
        return x[:count], moved, x[4 * count :].reshape(-1, SMALL)


class _Pattern:
    """One pattern: what a body on the nodes gives there, and the slopes of its likelihood."""

    def __init__(self, seen: Seen, edge: float, support: NDArray[np.bool_], finer: int, how: Likelihood) -> None:
        self.held_out, self.q = seen.held_out, np.asarray(seen.q, np.float64)
        pattern, used = self.held_out.pattern, self.held_out.used[0]
        self.is_coherent = seen.kernel is None
        sigmas = [how.first_sigma] * 3 if seen.kernel is None else sigmas_of(seen.kernel[None])
        self.fit = Fit(to_corner(pattern.counts), to_corner(used), how, sigmas)
        self.small_step = STEP / math.sqrt(float(self.fit.total))
        places, self.weights = _onto_voxels(pattern.shape, finer, seen.vectors / edge, support)
        self.back = self.weights.T.tocsr()
        low = places.min(0)
        b0, b1, b2 = (places.max(0) - low + 1).tolist()
        self.size = (b0, b1, b2)
        self.pair = WindowedPair(pattern.shape, Box((0, 0, 0), self.size), finer, pattern.counts.device)
        self.within = torch.from_numpy(np.ravel_multi_index(tuple((places - low).T), self.size))
        centred = places - places.mean(0)
        self.radius = np.abs(centred).max(0) / finer  # voxels of the pattern's object
        self.along = centred / finer / self.radius
        self.scale, self.ramp = 1.0, np.zeros(3)

    def begin(self, density: Floats, displacement: Floats) -> None:
        """Scale, and the place of the peak: where the calculated pattern fits the counts best."""
        from skimage.registration import phase_cross_correlation

        used, shape = self.held_out.used[0], np.array(self.fit.shape)
        counts = torch.where(used, self.held_out.pattern.counts, 0)
        nothing = np.zeros(SMALL)
        for parts in FINENESS:
            seen = torch.where(used, self._intensity(density, displacement, nothing), 0)
            seen *= counts.sum() / seen.sum()
            roots = [each.sqrt().double().numpy() for each in (counts, seen)]
            shift, _, _ = phase_cross_correlation(*roots, upsample_factor=parts, normalization=None)
            self.ramp = self.ramp + 2 * np.pi * shift / shape * self.radius
        self.scale = float(metrics.best_scale(self._intensity(density, displacement, nothing), counts, used))

    def __call__(
        self, density: Floats, displacement: Floats, small: Floats
    ) -> tuple[float, Tensor, Floats, Floats, Floats]:
        """Value and chi2, and the slopes in density, displacement and the pattern's own unknowns."""
        turn, amplitude = self._turn(displacement, small), self.weights @ density
        value, error, in_wave, in_beam = self.fit.of_wave(self._wave(amplitude * turn), self._beam(small))
        box = self.pair.to_box(in_wave[None]).flatten()[self.within]
        against = 2 * np.conj(turn) * box.to(torch.complex128).numpy()
        in_phase = amplitude * against.imag  # d rho / d phase = i rho
        own = np.zeros(SMALL)
        own[0] = self.small_step * float(amplitude @ against.real)
        own[1:4] = self.small_step * (in_phase @ self.along)
        if in_beam is not None:
            own[4:] = in_beam.double().numpy()
        return value, error, self.back @ against.real, -np.outer(self.back @ in_phase, self.q), own

    def free_error(self, density: Floats, displacement: Floats, small: Floats) -> float:
        """chi2 on the held-out voxels, with the scale found on the others."""
        return self.held_out.free_error_of(self._intensity(density, displacement, small))

    def _turn(self, displacement: Floats, small: Floats) -> NDArray[np.complex128]:
        """What makes the object's values of the density."""
        phase = self.along @ (self.ramp + self.small_step * small[1:4]) - (self.weights @ displacement) @ self.q
        return np.asarray(self.scale * math.exp(self.small_step * small[0]) * np.exp(1j * phase))

    def _wave(self, rho: NDArray[np.complex128]) -> Tensor:
        values = torch.zeros(math.prod(self.size), dtype=torch.complex64)
        values[self.within] = torch.from_numpy(rho).to(torch.complex64)
        return self.pair.to_wave(values.reshape(1, *self.size))[0]

    def _beam(self, small: Floats) -> Tensor | None:
        return None if self.is_coherent else torch.from_numpy(small[4:]).float()

    def _intensity(self, density: Floats, displacement: Floats, small: Floats) -> Tensor:
        intensity = intensity_of(self._wave((self.weights @ density) * self._turn(displacement, small)))
        beam = self._beam(small)
        if beam is not None:
            gamma, _ = self.fit.degree(beam)
            intensity = torch.fft.irfftn(torch.fft.rfftn(intensity) * gamma, s=self.fit.shape).clamp_min(0)
        return to_centre(intensity)


def _onto_voxels(
    shape: tuple[int, int, int], finer: int, vectors: Floats, support: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], sparse.csr_matrix]:
    """Voxels of a pattern's object, `finer` along each axis, that lie in the support; and their weights on its nodes.

    Parameters
    ----------
    shape : 3 ints
    finer : int
    vectors : float array (3, 3)
        From one voxel of the pattern's object to the next (rows), in cells of the nodes.
    support : bool array (nx, ny, nz)

    Returns
    -------
    places : int array (voxels, 3)
        From the middle of the object.
    weights : sparse array (voxels, nodes of the support)
    """
    filled = np.argwhere(support) - np.array(support.shape) // 2
    reach = np.abs(filled @ np.linalg.inv(vectors / finer)).max(0) + 1
    most = np.minimum(np.ceil(reach).astype(int), np.array(shape) * finer // 2 - 1)
    places = np.indices(2 * most + 1).reshape(3, -1).T - most
    at = places @ (vectors / finer) + np.array(support.shape) // 2
    near = np.all((at > -1) & (at < np.array(support.shape)), axis=1)
    places, at = places[near], at[near]
    number = np.full(support.shape, -1)
    number[support] = np.arange(int(support.sum()))
    low = np.floor(at).astype(int)
    rows, columns, values = [], [], []
    for corner in np.ndindex(2, 2, 2):
        cell = low + np.array(corner)
        weight = np.prod(1 - np.abs(at - cell), axis=1)
        inside = np.flatnonzero(np.all((cell >= 0) & (cell < np.array(support.shape)), axis=1) & (weight > 0))
        node = number[tuple(cell[inside].T)]
        rows.append(inside[node >= 0])
        columns.append(node[node >= 0])
        values.append(weight[inside][node >= 0])
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    weights = sparse.csr_matrix(entries, shape=(len(places), int(support.sum())))
    enough = np.asarray(weights.sum(axis=1)).ravel() > LEAST_SHARE
    return places[enough], weights[enough]


def _second_differences(support: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Second differences of what is on the nodes of a support, along each axis, wherever three neighbours lie in it."""
    number = np.full(support.shape, -1)
    number[support] = np.arange(int(support.sum()))
    parts = []
    for axis in range(3):
        lines = np.moveaxis(number, axis, 0)
        three = np.stack([lines[:-2].ravel(), lines[1:-1].ravel(), lines[2:].ravel()])
        three = three[:, (three >= 0).all(0)]
        count = three.shape[1]
        rows, values = np.tile(np.arange(count), 3), np.repeat([1.0, -2.0, 1.0], count)
        parts.append(sparse.csr_matrix((values, (rows, three.ravel())), shape=(count, int(support.sum()))))
    return sparse.vstack(parts).tocsr()
