"""Dislocation lines of a subject, in nm, with the part of their Burgers vector along Q."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from autophasenn.analysis.quantity import Floats, Quantity
from autophasenn.analysis.subject import DetectorObject, Subject
from autophasenn.analysis.vortices import find_vortices

SMOOTHING = 1.5
"""Points (standard deviation) over which the steps of a line along the grid are smoothed where it is drawn."""


@dataclass(frozen=True, eq=False)
class DislocationLine:
    """A line around which the phase winds.

    Parameters
    ----------
    number : int
        From 1, the longest first.
    length : Quantity
    charge : int
        Turns of the phase around it, right-handed along its points.
    burgers_along_q : Quantity
        The part of its Burgers vector along Q, nm, for that direction of the line: ``-charge d``; None without geometry.
    direction : tuple of 3 floats
        Of the straight line that fits best, unit vector along its points.
    centre : tuple of 3 floats
        Mean of its points, from the middle of the image.
    angle_to_q_deg : float, optional
        Between direction and Q, 0 to 90.
    is_closed : bool
        A loop.
    straightness : Quantity
        Root mean square distance of its points from that line.
    points : float array (points, 3)
        On the axes of the image.
    """

    number: int
    length: Quantity
    charge: int
    burgers_along_q: Quantity
    direction: tuple[float, ...]
    centre: tuple[float, ...]
    angle_to_q_deg: float | None
    is_closed: bool
    straightness: Quantity
    points: Floats = field(repr=False)


@dataclass(frozen=True, eq=False)
class Dislocations:
    """All lines.

    Parameters
    ----------
    lines : tuple of DislocationLine
    passed_over : int
        Lines of a few voxels, which noise makes at the surface.
    """

    lines: tuple[DislocationLine, ...]
    passed_over: int


def find_dislocations(subject: Subject, to_frame: Floats, centre: Floats | None = None) -> Dislocations:
    """The lines around which the phase winds.

    Looked for on the voxels that the crystal was phased on, which no interpolation has blurred, or on those of the image
    where these are not known; given on the axes of the image.

    Parameters
    ----------
    subject : Subject
    to_frame : float array (3, 3)
        From components in the laboratory to the axes of the image.
    centre : float array (3,), optional
        Index (fractions) of the detector's grid that is the image's origin; None: the centre of mass of the crystal there.
    """
    image, detector = subject.image, subject.detector
    on_detector = detector is not None and (detector.voxel_vectors is not None or image.voxel_size is None)
    if on_detector and detector is not None:
        support = _crystal(detector, image_threshold(subject))
        vortices, short = find_vortices(np.angle(detector.rho), support)
        origin = _centre_of_mass(detector, support) if centre is None else centre
        if detector.voxel_vectors is not None and image.voxel_size is not None:
            matrix = np.asarray(detector.voxel_vectors, float) * 1e9 @ to_frame.T
        else:
            matrix, origin = np.eye(3), np.array([n // 2 for n in detector.rho.shape], float)
    else:
        vortices, short = find_vortices(image.phase, image.support)
        matrix, origin = np.diag(image.spacing), np.array([n // 2 for n in image.shape], float)
    q = image.q_direction
    d = None if image.scattering_vector is None else 2e9 * np.pi / float(np.linalg.norm(image.scattering_vector))
    lines = []
    for number, vortex in enumerate(vortices, 1):
        points = (_smoothed(vortex.points, vortex.is_closed) - origin) @ matrix
        middle = points.mean(axis=0)
        axis = np.linalg.svd(points - middle, full_matrices=False)[2][0]
        if (points[-1] - points[0]) @ axis < 0:
            axis = -axis
        away = (points - middle) - np.outer((points - middle) @ axis, axis)
        length = float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
        step = float(np.abs(np.linalg.det(matrix))) ** (1 / 3)
        lines.append(
            DislocationLine(
                number,
                Quantity(length, image.unit, step, "a voxel"),
                vortex.charge,
                Quantity(None if d is None else -vortex.charge * d, "nm"),
                tuple(axis.tolist()),
                tuple(middle.tolist()),
                None if q is None else float(np.degrees(np.arccos(np.clip(abs(axis @ q), 0, 1)))),
                vortex.is_closed,
                Quantity(float(np.sqrt((away**2).sum(axis=1).mean())), image.unit),
                points,
            )
        )
    return Dislocations(tuple(lines), short)


def image_threshold(subject: Subject) -> float:
    """Least amplitude inside the image's support: where the crystal of the detector's grid ends."""
    inside = subject.image.amplitude[subject.image.support]
    return float(np.clip(np.quantile(inside, 0.001), 0.05, 0.5)) if inside.size else 0.3


def _crystal(detector: DetectorObject, threshold: float) -> np.ndarray:
    """The largest piece of the support that is bright enough."""
    amplitude = np.abs(detector.rho) * detector.support
    pieces, _ = ndimage.label(amplitude >= threshold * amplitude.max())
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return np.asarray(pieces == sizes.argmax())


def _centre_of_mass(detector: DetectorObject, support: np.ndarray) -> Floats:
    weight = np.abs(detector.rho[support]).astype(np.float64)
    return np.asarray(weight @ np.argwhere(support) / weight.sum())


def _smoothed(points: Floats, is_closed: bool) -> Floats:
    if is_closed or len(points) < 4:
        return points
    smooth = ndimage.gaussian_filter1d(points, SMOOTHING, axis=0, mode="nearest")
    smooth[[0, -1]] = points[[0, -1]]
    return np.asarray(smooth)
