"""Displacement vector, strain tensor and rotation of a crystal from three or more of its Bragg reflections.

Each reflection sees the displacement along its scattering vector, ``phi_i = -Q_i.u`` up to a constant and, as the centre of
its peak is not known to the last digit, a ramp. With ``Q`` the matrix whose rows are the Q_i and ``W`` the weights, the
displacement is ``u = -(Q^T W Q)^-1 Q^T W phi`` and the distortion ``du_j/dr_k`` the same combination of the phases'
gradients; its symmetric part is the strain, its antisymmetric part the rotation (Newton, Leake, Harder & Robinson, Nature
Mater. 9, 120 (2010); Hofmann et al., J. Synchrotron Rad. 24, 1048 (2017)). Strain and rotation are relative to the
crystal's own mean, weighted by scattered intensity. Where there are more reflections than three, what they disagree in
says how well all is known.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.analysis.inside import gradient_inside, interior, slope_spread
from autophasenn.analysis.quantity import ORIENTATIONS, Floats, Mean, Quantity, mean_of, plain
from autophasenn.analysis.reflections import Reflection, disagreement, phase_gradients, unexplained
from autophasenn.analysis.unit_cell import SKEWED, MeanLattice, skew_of, unit_cell_of
from autophasenn.errors import InputError

RESIDUAL = "what the reflections disagree in"
"""What uncertainties rest on where that is more than the spread of the reconstructions."""
COMPONENTS = ("xx", "yy", "zz", "yz", "xz", "xy")
"""Of the strain tensor, in the order of Voigt; shears are those of the tensor, half of the engineering ones."""
PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Row and column of each component."""
SAMPLE, CUBIC = "sample", "cubic"
"""Axes along which components are given."""


@dataclass(frozen=True)
class Joint:
    """How well one density and one displacement field explain all patterns, against images phased one at a time.

    Parameters
    ----------
    is_kept : bool
        Is the tensor that of the patterns phased together?
    free_errors : tuple of float
        chi2 of each pattern on its held-out voxels, phased together.
    free_errors_alone : tuple of float
        The same of the images phased one at a time.
    """

    is_kept: bool
    free_errors: tuple[float, ...]
    free_errors_alone: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class StrainTensor:
    """What several reflections of one crystal say together. Volumes are on a grid of the sample frame.

    Parameters
    ----------
    names : tuple of str
        Of the results, in their order.
    hkl : tuple of 3 ints or None
        Indices of each.
    q : float64 array (reflections, 3)
        1/m, sample frame.
    twins, guessed : tuple of bool
        Which images were turned into their twins, and where nothing decided that.
    alike : tuple of float
        Overlap of each body with the first one.
    axes : str
        Along which the components are: ``sample``, or ``cubic`` where the indices are known.
    to_axes : float64 array (3, 3)
        ``v_axes = to_axes @ v_sample``.
    strain : tuple of Mean
        Of each of `COMPONENTS` inside of the crystal.
    volumetric, equivalent : Mean
        Trace of the strain; von Mises' equivalent strain ``sqrt(2/3 e:e)`` of its deviator e.
    rotation : tuple of Mean
        About each axis, degrees.
    disagreement : Quantity
        Of the phase gradients, the share (root mean square) that no displacement field explains; unknown for three.
    lattice : MeanLattice, optional
    notes : tuple of str
    voxel_size : 3 floats
        Metres.
    support : bool array (nx, ny, nz)
        Where all reflections have the crystal.
    amplitude : float32 array (nx, ny, nz)
        Mean of the reflections.
    strain_map : float32 array (6, nx, ny, nz)
    strain_spread : float32 array (6, nx, ny, nz), optional
        One standard deviation of each.
    rotation_map : float32 array (3, nx, ny, nz)
        rad.
    displacement_map : float32 array (3, nx, ny, nz)
        Metres.
    joint : Joint, optional
        None: phasing together was not tried.
    """

    names: tuple[str, ...]
    hkl: tuple[tuple[int, int, int] | None, ...]
    q: Floats
    twins: tuple[bool, ...]
    guessed: tuple[bool, ...]
    alike: tuple[float, ...]
    axes: str
    to_axes: Floats
    strain: tuple[Mean, ...]
    volumetric: Mean
    equivalent: Mean
    rotation: tuple[Mean, ...]
    disagreement: Quantity
    lattice: MeanLattice | None
    notes: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    support: NDArray[np.bool_] = field(repr=False)
    amplitude: Floats = field(repr=False)
    strain_map: Floats = field(repr=False)
    strain_spread: Floats | None = field(repr=False)
    rotation_map: Floats = field(repr=False)
    displacement_map: Floats = field(repr=False)
    joint: Joint | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``strain_tensor.json`` holds; volumes are files."""
        said = plain(self)
        said["strain"] = dict(zip(COMPONENTS, said["strain"], strict=True))
        said["rotation"] = dict(zip("xyz", said["rotation"], strict=True))
        return {"format": "autophasenn-strain-tensor", "version": 1, **said}

    def volumes(self) -> dict[str, Floats]:
        """Volumes by name, the unit in it: components of strain and rotation, displacement, invariants."""
        strain = {f"strain_{name}": each for name, each in zip(COMPONENTS, self.strain_map, strict=True)}
        rotation = {f"rotation_{name}_rad": each for name, each in zip("xyz", self.rotation_map, strict=True)}
        moved = {f"displacement_{name}_nm": 1e9 * each for name, each in zip("xyz", self.displacement_map, strict=True)}
        spread = {}
        if self.strain_spread is not None:
            spread = {f"strain_{n}_spread": each for n, each in zip(COMPONENTS, self.strain_spread, strict=True)}
        invariants = {"volumetric": volumetric(self.strain_map), "equivalent": equivalent(self.strain_map)}
        return {"amplitude": self.amplitude, **strain, **invariants, **rotation, **moved, **spread}


def strain_tensor(
    reflections: Sequence[Reflection], axes: str | None = None, cells: float = 8.0, layers: int = 2
) -> StrainTensor:
    """Solve for the displacement field that several reflections share.

    Parameters
    ----------
    reflections : sequence of Reflection
        As `reflections.laid_on_each_other` gives them.
    axes : str, optional
        ``sample``, or ``cubic`` (of the lattice, by the indices); None: cubic where all indices are known and the cell is.
    cells : float
        Voxels in a cell of the resolution, inside which errors are alike.
    layers : int
        Voxels below the surface left out of means and spreads (not of the maps), as slopes are one-sided there.

    Raises
    ------
    InputError
        If the axes are to be those of the lattice and an index is unknown, or indices and scattering vectors do not fit.
    """
    if axes not in (None, SAMPLE, CUBIC):
        raise InputError(f"The axes {axes!r} are none; give {SAMPLE} or {CUBIC}.")
    q = np.stack([each.q for each in reflections])
    support = np.logical_and.reduce([each.image.support for each in reflections])
    hkl = tuple(each.hkl for each in reflections)
    notes = list(_about(reflections))
    turn: Floats = np.eye(3)
    lattice = None
    known = [each for each in hkl if each is not None]
    is_cubic = False
    if len(known) == len(hkl):
        turn, lattice, said = unit_cell_of(q, np.array(known, float))
        notes += said
        is_cubic = not said
        if axes == CUBIC and skew_of(lattice) > SKEWED:
            raise InputError(
                f"The unit cell has an angle {skew_of(lattice):.1f} degrees from 90, so there are no cubic axes; give the "
                f"axes {SAMPLE}, or check the indices."
            )
    elif axes == CUBIC:
        raise InputError(
            "Components along the axes of the lattice need the indices of all reflections; give those of each result."
        )
    along = axes or (CUBIC if is_cubic else SAMPLE)
    if along == SAMPLE:
        turn = np.eye(3)

    gradients, means = phase_gradients(reflections, support)
    spreads, rests_on = _spreads(reflections, gradients, q, support)
    weights = np.ones(len(q)) if spreads is None else _weights(spreads, support)
    solve = _solver(q, weights)
    distortion = np.tensordot(turn @ -solve, gradients, 1)  # du_j/dr_k: j along the axes, k still of the sample
    distortion = np.einsum("kl,jlxyz->jkxyz", turn, distortion)
    strain, rotation = _parts(distortion)
    moved = np.tensordot(turn @ -solve, _phases(reflections, means, support), 1)
    error = None if spreads is None else _strain_errors(turn @ -solve, turn, spreads)

    inside = interior(support, layers)
    outside = np.float32(np.nan)
    maps = [np.where(support, each, outside).astype(np.float32) for each in (strain, rotation, moved)]
    strains, trace, mises, turns = _means(strain, rotation, inside, error, cells, rests_on)
    rest = disagreement(q, gradients, inside)
    size = reflections[0].image.voxel_size
    assert size is not None
    return StrainTensor(
        tuple(each.name for each in reflections), hkl, q,
        tuple(each.is_twin for each in reflections), tuple(each.is_guess for each in reflections),
        tuple(each.alike for each in reflections), along, turn,
        strains, trace, mises, turns,
        Quantity(rest if len(q) > 3 else None), lattice, tuple(notes), size, support,
        np.mean([each.image.amplitude for each in reflections], axis=0).astype(np.float32),
        maps[0], None if error is None else np.where(support, error, outside).astype(np.float32), maps[1], maps[2],
    )  # fmt: skip


def with_displacement(
    tensor: StrainTensor, displacement: Floats, density: Floats, joint: Joint, cells: float = 8.0, layers: int = 2
) -> StrainTensor:
    """The same with the displacement that all patterns together say; what images phased one at a time spread is kept.

    Parameters
    ----------
    tensor : StrainTensor
        Of the images phased one at a time.
    displacement : float array (3, nx, ny, nz)
        Metres, components along the axes of the sample, on the tensor's grid.
    density : float array (nx, ny, nz)
    joint : Joint
    cells, layers
        As `strain_tensor` takes them.
    """
    support, turn = tensor.support, tensor.to_axes
    weight = np.square(density[support].astype(np.float64))
    weight /= weight.sum()
    slopes = np.stack([gradient_inside(each, support, tensor.voxel_size) for each in displacement]).astype(np.float64)
    means = slopes[:, :, support] @ weight
    slopes -= means[:, :, None, None, None]
    places = np.argwhere(support) * np.array(tensor.voxel_size)
    moved = np.zeros((3, *support.shape))
    moved[:, support] = displacement[:, support] - means @ places.T
    moved[:, support] -= (moved[:, support] @ weight)[:, None]
    strain, rotation = _parts(np.einsum("aj,bk,jkxyz->abxyz", turn, turn, slopes))
    rests_on = tensor.strain[0].mean.basis
    strains, trace, mises, turns = _means(
        strain, rotation, interior(support, layers), tensor.strain_spread, cells, rests_on
    )
    outside = np.float32(np.nan)
    maps = [
        np.where(support, each, outside).astype(np.float32) for each in (strain, rotation, np.tensordot(turn, moved, 1))
    ]
    return replace(
        tensor, strain=strains, volumetric=trace, equivalent=mises, rotation=turns, joint=joint,
        amplitude=density.astype(np.float32), strain_map=maps[0], rotation_map=maps[1], displacement_map=maps[2],
    )  # fmt: skip


def _parts(distortion: Floats) -> tuple[Floats, Floats]:
    """Strain (6, ...) and rotation (3, ...) of du_j/dr_k (3, 3, ...)."""
    strain = np.stack([(distortion[j, k] + distortion[k, j]) / 2 for j, k in PLACES])
    return strain, np.stack([(distortion[k, j] - distortion[j, k]) / 2 for j, k in ((1, 2), (2, 0), (0, 1))])


def _means(
    strain: Floats, rotation: Floats, inside: NDArray[np.bool_], error: Floats | None, cells: float, rests_on: str
) -> tuple[tuple[Mean, ...], Mean, Mean, tuple[Mean, ...]]:
    """Of the components, the trace, von Mises' strain and the rotations."""
    basis = None if error is None else error[:, inside]
    of_trace = None if basis is None else np.sqrt(np.square(basis[:3]).sum(0))
    return (
        tuple(
            mean_of(each[inside], "", None if basis is None else basis[i], cells, 1.0, rests_on)
            for i, each in enumerate(strain)
        ),
        mean_of(volumetric(strain)[inside], "", of_trace, cells, 1.0, rests_on),
        mean_of(equivalent(strain)[inside], "", None, cells),
        tuple(mean_of(each[inside], "degrees", None, cells, math.degrees(1)) for each in rotation),
    )


def volumetric(strain: Floats) -> Floats:
    """Trace of the strain: (6, ...) to (...), the relative change of volume."""
    return np.asarray(strain[0] + strain[1] + strain[2])


def equivalent(strain: Floats) -> Floats:
    """Von Mises' equivalent strain, ``sqrt(2/3 e:e)`` of the deviator e: (6, ...) to (...)."""
    mean = volumetric(strain) / 3
    normal = sum(np.square(strain[i] - mean) for i in range(3))
    shear = sum(np.square(strain[i]) for i in range(3, 6))
    return np.asarray(np.sqrt(2 / 3 * (normal + 2 * shear)))


def _solver(q: Floats, weights: Floats) -> Floats:
    """(3, reflections): the weighted least-squares solution of ``Q u = phi``."""
    normal = q.T * weights
    return np.asarray(np.linalg.solve(normal @ q, normal))


def _phases(reflections: Sequence[Reflection], slopes: Floats, support: NDArray[np.bool_]) -> Floats:
    """Bragg phases without ramps and means by intensity: rad, (reflections, nx, ny, nz), 0 outside."""
    found = np.zeros((len(reflections), *support.shape))
    for volume, each, slope in zip(found, reflections, slopes, strict=True):
        image = each.image
        assert image.voxel_size is not None
        weight = np.square(image.amplitude[support].astype(np.float64))
        values = image.phase[support] - np.argwhere(support) * np.array(image.voxel_size) @ slope
        volume[support] = values - weight @ values / weight.sum()
    return found


def _spreads(
    reflections: Sequence[Reflection], gradients: Floats, q: Floats, support: NDArray[np.bool_]
) -> tuple[Floats | None, str]:
    """One standard deviation of the phase gradients of every reflection in each voxel, rad/m, and what it rests on.

    From the spread of the reconstructions where every image has it (``spread / (sqrt(2) voxel)``, an upper bound as
    neighbours err alike), made larger where the reflections disagree by more; from that alone otherwise. None: three
    reflections, and one has no spread.
    """
    slopes = [slope for each in reflections if (slope := slope_spread(each.image)) is not None]
    found = None
    if len(slopes) == len(reflections):
        found = np.stack([_gradient_spread(slope, support) for slope in slopes])
    if len(q) == 3:
        return found, ORIENTATIONS
    rows = np.tensordot(unexplained(q), gradients[:, :, support], 1)
    left = float(np.sqrt(np.square(rows).sum() / (rows.shape[1] * rows.shape[2] * (len(q) - 3))))
    if found is None:
        return np.full((len(q), *support.shape), left), RESIDUAL
    typical = float(np.sqrt(np.mean(np.square(found[:, support]))))
    if left <= typical:
        return found, ORIENTATIONS
    return found * (left / typical) if typical else np.full_like(found, left), RESIDUAL


def _weights(spreads: Floats, support: NDArray[np.bool_]) -> Floats:
    """One over the mean square of the spreads of each reflection; alike where nothing spreads."""
    squares = np.mean(np.square(spreads[:, support]), axis=1)
    return np.asarray(1 / np.maximum(squares, 1e-6 * squares.max() or 1.0))


def _gradient_spread(slope: Floats, support: NDArray[np.bool_]) -> Floats:
    """`inside.slope_spread`, the typical one where it is not known."""
    known = support & np.isfinite(slope)
    typical = float(np.median(slope[known])) if known.any() else 0.0
    return np.asarray(np.where(known, slope, typical), np.float64)


def _strain_errors(solve: Floats, turn: Floats, spreads: Floats) -> Floats:
    """One standard deviation of each component, (6, nx, ny, nz), of independent errors of the gradients."""
    found = []
    for j, k in PLACES:
        # e_jk = (sum_il S_ji T_kl g_il + S_ki T_jl g_il) / 2
        factor = (np.einsum("i,l->il", solve[j], turn[k]) + np.einsum("i,l->il", solve[k], turn[j])) / 2
        found.append(np.sqrt(np.tensordot(np.square(factor).sum(1), np.square(spreads), 1)))
    return np.stack(found)


def _about(reflections: Sequence[Reflection]) -> list[str]:
    notes = ["Strain and rotation are relative to the crystal's own mean, weighted by scattered intensity."]
    guessed = [each.name for each in reflections if each.is_guess]
    if guessed:
        notes.append(
            f"The body looks like its own inversion, so that the twin of {', '.join(guessed)} against that of the "
            "first image is a guess; more reflections decide it, where without any one of them the others lie in no plane."
        )
    notes.append("If the first image is the twin, the whole tensor is that of the inverted crystal.")
    if len(reflections) == 3:
        notes.append("Three reflections fit any phases; a fourth one tells how well they agree.")
    return notes
