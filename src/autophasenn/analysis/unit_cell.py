"""The unit cell of a crystal from three or more of its scattering vectors and their indices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autophasenn.analysis.quantity import Floats, Quantity
from autophasenn.errors import InputError

NEARLY_CUBIC = 0.5
"""Degrees by which the angles of the cell may differ from 90, and % by which its edges may differ from each other, and the
measured scattering vectors from those of the cell, before that is said."""

SKEWED = 5.0
"""Degrees by which an angle of the cell may differ from 90 where components along its axes are asked for."""
WRONG = 10.0
"""% by which a measured scattering vector may be off that of the lattice; beyond it the indices are others."""


@dataclass(frozen=True)
class MeanLattice:
    """The unit cell that fits the measured scattering vectors and their indices.

    Parameters
    ----------
    a, b, c : Quantity
        Edges, nm.
    alpha, beta, gamma : Quantity
        Angles, degrees.
    volume : Quantity
        nm³.
    off : Quantity
        Largest difference between a measured scattering vector and that of the cell, in % of its length; unknown for three,
        which some cell fits exactly.
    """

    a: Quantity
    b: Quantity
    c: Quantity
    alpha: Quantity
    beta: Quantity
    gamma: Quantity
    volume: Quantity
    off: Quantity


def unit_cell_of(q: Floats, hkl: Floats) -> tuple[Floats, MeanLattice, list[str]]:
    """The unit cell that fits scattering vectors and their indices best.

    Parameters
    ----------
    q : float array (reflections, 3)
        1/m, sample frame.
    hkl : float array (reflections, 3)

    Returns
    -------
    turn : float array (3, 3)
        Rotation from the sample frame to the axes of the lattice.
    cell : MeanLattice
    notes : list of str
        Why it is not cubic; empty where it is.

    Raises
    ------
    InputError
        If the indices lie in a plane, make a left-handed lattice, or are `WRONG` off.
    """
    if np.linalg.matrix_rank(hkl) < 3:
        raise InputError(
            "The indices of the reflections lie in one plane and their scattering vectors do not; check them, one "
            "triple for each result, in the order of the results."
        )
    reciprocal = np.linalg.lstsq(hkl, q, rcond=None)[0]  # rows a*, b*, c* (2 pi in them), sample frame
    cell = 2 * math.pi * 1e9 * np.linalg.inv(reciprocal).T  # rows a, b, c in nm
    lengths = np.linalg.norm(cell, axis=1)
    unit = cell / lengths[:, None]
    angles = [math.degrees(math.acos(np.clip(unit[i] @ unit[j], -1, 1))) for i, j in ((1, 2), (0, 2), (0, 1))]
    off = float((np.linalg.norm(hkl @ reciprocal - q, axis=1) / np.linalg.norm(q, axis=1)).max())
    if 100 * off > WRONG:
        raise InputError(
            f"The indices of the reflections do not fit their scattering vectors, which are {100 * off:.0f} % off those of "
            "the nearest lattice; check the indices, one triple for each result, in the order of the results."
        )
    u, _, vt = np.linalg.svd(unit)
    turn = u @ vt
    if np.linalg.det(cell) < 0:
        raise InputError(
            "The indices of the reflections make a left-handed lattice of the scattering vectors; check their signs, and "
            "that they are in the order of the results."
        )
    said = []
    skew = float(max(abs(each - 90) for each in angles))
    longest = float(lengths.max() / lengths.min() - 1)
    if max(skew, 100 * longest, 100 * off) > NEARLY_CUBIC:
        said.append(
            f"The scattering vectors fit a cell of {', '.join(f'{x:.4f}' for x in lengths)} nm and "
            f"{', '.join(f'{x:.2f}' for x in angles)} degrees, not a cubic one: the angles of the circles, the direct beam "
            "or the indices are off by that much, or the lattice is not cubic. So components are along the axes of the "
            "sample unless others are asked for."
        )
    a, b, c = (Quantity(float(x), "nm") for x in lengths)
    alpha, beta, gamma = (Quantity(x, "degrees") for x in angles)
    lattice = MeanLattice(
        a,
        b,
        c,
        alpha,
        beta,
        gamma,
        Quantity(float(np.linalg.det(cell)), "nm³"),
        Quantity(100 * off if len(q) > 3 else None, "%"),
    )
    return np.asarray(turn), lattice, said


def skew_of(lattice: MeanLattice) -> float:
    """Largest difference of an angle of the cell from 90 degrees."""
    return max(abs((each.value or 90.0) - 90) for each in (lattice.alpha, lattice.beta, lattice.gamma))
