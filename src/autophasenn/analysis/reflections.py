"""Images of one crystal in several Bragg reflections, brought onto one grid of the sample frame.

Each reflection is measured with the sample turned otherwise, and phase retrieval leaves the place and the twin of each image
open. In the sample frame all show the same body, so that bodies are laid on each other: that decides the place, and the twin
as far as the body differs from its own inversion. Where it does not, and there are more reflections than three, the twins
are taken that agree best with one displacement field (`tensor`); where without one the others lie in a plane (as
without 111 of 111, -111, 1-11 and 002), that leaves open the twin of that one against theirs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from autophasenn.analysis.inside import gradient_inside
from autophasenn.analysis.quantity import Floats
from autophasenn.analysis.series import FINENESS, SAME_CRYSTAL, Shift, common_grid, on_grid, overlap, turned
from autophasenn.errors import InputError
from autophasenn.image import CrystalImage

FINER = 0.7
"""Edge of the common voxels, over the finest of the images: what is interpolated once more loses less so."""
MOST_VOXELS = 2_000_000
"""Of the common grid."""
CLEAR_SHAPE = 0.02
"""By how much the better twin's body must overlap more, else the body does not decide."""
CLEAR_FIELD = 1.1
"""How many times as much the phases must disagree with the other twin of an image, else that one may be right as well."""
LEAST_FIELD = 1e-4
"""By how much more, at least: to less than that nothing is computed."""
FLATTEST = 25.0
"""Largest ratio of the singular values of the unit vectors along Q: beyond it they lie in a plane, nearly."""
LEAST_VOXELS = 64
"""That all images must share."""


@dataclass(frozen=True, eq=False)
class Reflection:
    """An image on the common grid.

    Parameters
    ----------
    image : CrystalImage
        Axes and scattering vector of the sample frame.
    name : str
    hkl : 3 ints, optional
    is_twin : bool
        Is it the twin of the image that was given?
    is_guess : bool
        Does nothing decide between the two?
    shift : 3 floats
        By which it was moved, nm.
    alike : float
        Intersection over union of its body and that of the first one.
    """

    image: CrystalImage
    name: str = ""
    hkl: tuple[int, int, int] | None = None
    is_twin: bool = False
    is_guess: bool = False
    shift: Shift = (0.0, 0.0, 0.0)
    alike: float = 1.0

    def shift_back(self) -> Shift:
        """By which the image that was given is to be moved, before its twin is taken where that is so; metres."""
        sign = -1e-9 if self.is_twin else 1e-9
        x, y, z = (sign * part for part in self.shift)
        return x, y, z

    @property
    def q(self) -> Floats:
        """Scattering vector (3,), 1/m, sample frame."""
        assert self.image.scattering_vector is not None
        return np.asarray(self.image.scattering_vector, np.float64)


def common_edge(images: Sequence[CrystalImage]) -> float:
    """Edge of the common voxels, nm; 0 where an image has no geometry."""
    if any(image.voxel_size is None for image in images):
        return 0.0
    largest = np.max([image.extent for image in images], axis=0)
    edge = FINER * min(min(image.spacing) for image in images)
    return float(max(edge, (1.5 * math.prod(largest) / MOST_VOXELS) ** (1 / 3)))


def laid_on_each_other(
    images: Sequence[CrystalImage],
    names: Sequence[str] = (),
    hkl: Sequence[tuple[int, int, int] | None] = (),
) -> tuple[Reflection, ...]:
    """Bring images of several reflections onto one grid, place and twin of the first one.

    Parameters
    ----------
    images : sequence of CrystalImage
        Three or more; axes and scattering vectors of the sample frame.
    names : sequence of str
        What each is called in messages.
    hkl : sequence of 3 ints
        Miller indices of each, where they are known.

    Raises
    ------
    InputError
        If there are fewer than three, one has no geometry, the scattering vectors lie in a plane, or a body is not that of
        the first one.
    """
    names = list(names) or [f"image {i}" for i in range(1, len(images) + 1)]
    indices = list(hkl) or [None] * len(images)
    _check(images, names)
    voxel, shape = common_grid(images, MOST_VOXELS)
    fixed = on_grid(images[0], voxel, shape)
    placed = [[Reflection(fixed, names[0], indices[0])]]
    for image, name, index in zip(images[1:], names[1:], indices[1:], strict=True):
        placed.append(_candidates(image, fixed, name, index))
    chosen = _agreeing(placed)
    shared = np.logical_and.reduce([each.image.support for each in chosen])
    if int(shared.sum()) < LEAST_VOXELS:
        raise InputError(
            f"The images share {int(shared.sum())} voxels, too few for a strain tensor; phase the scans with a finer grid."
        )
    return chosen


def on_one_grid(images: Sequence[CrystalImage], reflections: Sequence[Reflection]) -> tuple[Reflection, ...]:
    """The same reflections of images that have been moved to their places, and have one voxel size, already."""
    turned_images = [turned(i) if each.is_twin else i for i, each in zip(images, reflections, strict=True)]
    voxel, shape = common_grid(turned_images, MOST_VOXELS)
    return tuple(
        replace(each, image=on_grid(image, voxel, shape))
        for image, each in zip(turned_images, reflections, strict=True)
    )


def phase_gradients(reflections: Sequence[Reflection], support: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Gradients of the Bragg phases inside of a body, and what was taken from them, their means by intensity.

    Of wrapped differences between neighbours, central, one-sided at the surface.

    Returns
    -------
    gradients : float array (reflections, 3, nx, ny, nz)
        rad/m; 0 outside.
    means : float array (reflections, 3)
        rad/m.
    """
    found, means = [], []
    for each in reflections:
        image = each.image
        assert image.voxel_size is not None
        gradient = gradient_inside(image.phase, support, image.voxel_size, 2 * math.pi)
        weight = np.square(image.amplitude[support].astype(np.float64))
        means.append(gradient[:, support] @ weight / weight.sum())
        found.append(np.where(support, gradient - means[-1][:, None, None, None], 0.0))
    return np.stack(found), np.stack(means)


def unexplained(q: Floats) -> Floats:
    """What projects phases of all reflections onto the part that no displacement has: (reflections, reflections).

    Parameters
    ----------
    q : float array (reflections, 3)
        Scattering vectors.
    """
    return np.asarray(np.eye(len(q)) - q @ np.linalg.pinv(q))


def disagreement(q: Floats, gradients: Floats, support: NDArray[np.bool_]) -> float:
    """Root mean square of the part of the phase gradients that no displacement field has, over that of all; 0 for three.

    Parameters
    ----------
    q : float array (reflections, 3)
    gradients : float array (reflections, 3, nx, ny, nz)
    support : bool array (nx, ny, nz)
    """
    rows = gradients[:, :, support]
    rest = unexplained(q)
    total = float(np.square(rows).sum())
    return float(np.sqrt(np.square(np.tensordot(rest, rows, 1)).sum() / total)) if total else 0.0


def _check(images: Sequence[CrystalImage], names: Sequence[str]) -> None:
    if len(images) < 3:
        raise InputError(
            f"A strain tensor needs three reflections or more whose scattering vectors lie in no plane; {len(images)} "
            f"{'was' if len(images) == 1 else 'were'} given."
        )
    for image, name in zip(images, names, strict=True):
        if image.scattering_vector is None or image.voxel_size is None:
            raise InputError(
                f"{name} has no geometry, so that its scattering vector is unknown; phase the scan again with --beamline or "
                "--geometry."
            )
        _check_image(image, name)
    directions = np.stack([np.asarray(image.q_direction, np.float64) for image in images])
    values = np.linalg.svd(directions, compute_uv=False)
    if values[2] * FLATTEST < values[0]:
        raise InputError(
            "The scattering vectors lie in one plane (or nearly), so that nothing is known of the displacement across it; "
            "add a reflection out of that plane. In the sample frame they point along "
            + ", ".join(f"({x:.2f} {y:.2f} {z:.2f})" for x, y, z in directions.tolist())
            + "."
        )


def _check_image(image: CrystalImage, name: str) -> None:
    wrong = None
    q = np.asarray(image.scattering_vector, np.float64)
    inside = np.stack([image.amplitude[image.support], image.phase[image.support]])
    if not (np.isfinite(q).all() and q.any()):
        wrong = f"has the scattering vector {q.tolist()} 1/m"
    elif missing := int((~np.isfinite(inside)).any(0).sum()):
        wrong = f"has no number in {missing} voxels of its body"
    elif not inside[0].any():
        wrong = "shows no body"
    if wrong is not None:
        raise InputError(
            f"{name} {wrong}, so that it says nothing of the crystal; phase the scan again, or leave it out."
        )


def _candidates(
    image: CrystalImage, fixed: CrystalImage, name: str, hkl: tuple[int, int, int] | None
) -> list[Reflection]:
    """The image or its twin, or both where the body does not decide, the better one first."""
    assert fixed.voxel_size is not None
    tried = []
    for is_twin in (False, True):
        each = turned(image) if is_twin else image
        shift = _shift_of_bodies(fixed, on_grid(each, fixed.voxel_size[0], fixed.shape))
        moved = on_grid(each, fixed.voxel_size[0], fixed.shape, shift)
        alike = overlap(moved.support, fixed.support)
        x, y, z = (part * edge for part, edge in zip(shift, fixed.spacing, strict=True))
        tried.append(Reflection(moved, name, hkl, is_twin, False, (x, y, z), alike))
    tried.sort(key=lambda each: each.alike, reverse=True)
    best, other = tried
    if best.alike < SAME_CRYSTAL:
        raise InputError(
            f"The body of {name} is not that of the first image: laid on each other as well as it goes, they share "
            f"{100 * best.alike:.0f} % of what either covers. Check that the scans are of one crystal, that the angles of "
            "the sample's circles are right (bodies are compared in the sample frame), and that no image is wrong."
        )
    return tried if best.alike - other.alike < CLEAR_SHAPE else [best]


def _agreeing(candidates: Sequence[Sequence[Reflection]]) -> tuple[Reflection, ...]:
    """Of all choices of twins the one whose phases agree best with one displacement field.

    A guess is each twin whose other one, whatever the rest are then, agrees about as well.
    """
    if all(len(options) == 1 for options in candidates):
        return tuple(options[0] for options in candidates)
    if len(candidates) == 3:  # any three phases agree with some displacement field
        return tuple(_guessed(options) for options in candidates)
    flat = [each for options in candidates for each in options]
    shared = np.logical_and.reduce([each.image.support for each in flat])
    rows = np.stack([phase_gradients([each], shared)[0][0][:, shared].ravel() for each in flat])
    products = rows @ rows.T  # found once, as there are 2^n choices

    def disagreeing(choice: tuple[int, ...]) -> float:
        q = np.stack([flat[i].q for i in choice])
        rest, seen = unexplained(q), products[np.ix_(choice, choice)]
        return math.sqrt(max(float(np.sum(rest * seen)), 0.0) / (float(np.trace(seen)) or 1.0))  # as `disagreement`

    ends = itertools.accumulate(map(len, candidates))
    places = [range(end - len(options), end) for options, end in zip(candidates, ends, strict=True)]
    scored = {choice: disagreeing(choice) for choice in itertools.product(*places)}
    best = min(scored, key=lambda choice: scored[choice])
    as_good = [choice for choice, score in scored.items() if score <= CLEAR_FIELD * scored[best] + LEAST_FIELD]
    return tuple(replace(flat[k], is_guess=any(choice[i] != k for choice in as_good)) for i, k in enumerate(best))


def _guessed(options: Sequence[Reflection]) -> Reflection:
    return replace(options[0], is_guess=len(options) > 1)


def _shift_of_bodies(fixed: CrystalImage, moving: CrystalImage) -> Shift:
    from skimage.registration import phase_cross_correlation

    bodies = [np.where(image.support, image.amplitude, 0).astype(np.float64) for image in (fixed, moving)]
    found, _, _ = phase_cross_correlation(*bodies, upsample_factor=2 * FINENESS, normalization=None)
    x, y, z = (float(part) for part in found)
    return x, y, z
