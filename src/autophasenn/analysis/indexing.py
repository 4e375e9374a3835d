"""Which lattice planes facets are: how a cubic crystal lies, from two known directions or from the facets' angles."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations, product

import numpy as np

from autophasenn.analysis.quantity import Floats

Indices = tuple[int, int, int]
FAMILIES: tuple[Indices, ...] = (
    *((1, 1, 1), (1, 0, 0), (1, 1, 0), (3, 1, 1), (2, 1, 0), (2, 1, 1), (2, 2, 1), (3, 1, 0), (3, 3, 1), (3, 2, 0)),
    *((3, 2, 1), (3, 2, 2), (3, 3, 2), (5, 1, 1)),
)
"""Of which a facet may be, the likelier first."""
LIKELY = 3
"""So many of these say how a crystal is turned; more would fit any turn."""
TOLERANCE = 5.0
"""Degrees between a facet and the plane that it is called by, at most."""
STEP = 0.5
"""Degrees between the turns about Q that are tried."""
LEAST_EXPLAINED, FREELY_EXPLAINED = 0.6, 0.8
"""Share of the facets' area on likely planes below which an orientation about Q is not believed, and from which one is that
does not have Q along the reflection."""
PAIRS = 8
"""Of so many of the largest facets pairs are matched with pairs of likely planes."""
CLEAR = 1.15
"""By how much the best turn must fit better than the next that is not its equal by symmetry."""


@dataclass(frozen=True, eq=False)
class Orientation:
    """How the crystal's cubic axes lie in the laboratory.

    Parameters
    ----------
    matrix : float array (3, 3)
        ``v_laboratory = matrix @ v_cubic``; a rotation.
    method : str
        What it was found from.
    fit_deg : float, optional
        Mean angle between facets and their planes, weighted by area.
    is_clear : bool
        False: another turn about Q fits nearly as well.
    explained : float
        Share of the facets' area that lies on one of the likely planes.
    q_off_deg : float, optional
        Angle between Q and the reflection's planes, where the facets alone said how the crystal lies.
    second_fit_deg : float, optional
        Angle between the second direction and where the cubic axes put it: how well both known directions go together.
    """

    matrix: Floats
    method: str
    fit_deg: float | None
    is_clear: bool = True
    second_fit_deg: float | None = None
    explained: float = 0.0
    q_off_deg: float | None = None

    def indices_of(self, direction: Floats) -> tuple[Indices | None, float]:
        """Miller indices of the likely plane nearest to a direction of the laboratory, and the angle to it, degrees.

        None where no family of `FAMILIES` has a plane within `TOLERANCE`. Of two that fit, a rarer family must fit better by
        a degree for each place further down the list.
        """
        cubic = self.matrix.T @ direction
        best: tuple[float, Indices, float] | None = None
        for place, family in enumerate(FAMILIES):
            members = variants(family)
            angles = np.degrees(np.arccos(np.clip(_unit(members) @ cubic, -1, 1)))
            nearest = int(angles.argmin())
            cost = float(angles[nearest]) + 1.0 * place / 3
            if angles[nearest] <= TOLERANCE and (best is None or cost < best[0]):
                found: Indices = tuple(int(index) for index in members[nearest])  # type: ignore[assignment]
                best = (cost, found, float(angles[nearest]))
        return (None, float("nan")) if best is None else best[1:]


def variants(family: Indices) -> Floats:
    """All planes of a family of a cubic crystal: permutations and signs, float (planes, 3)."""
    found = {
        tuple(s * i for s, i in zip(signs, order, strict=True))
        for order in permutations(family)
        for signs in product((1, -1), repeat=3)
    }
    return np.array(sorted(found), float)


def family_of(hkl: Indices) -> Indices:
    """The plane that names a family: indices without sign, falling."""
    large, middle, small = sorted((abs(i) for i in hkl), reverse=True)
    return large, middle, small


def orientation_of(
    hkl: Indices,
    q_direction: Floats,
    normals: Floats,
    areas: Floats,
    second: tuple[Indices, Floats] | None = None,
) -> Orientation | None:
    """How a cubic crystal lies.

    Parameters
    ----------
    hkl : 3 ints
        Of the reflection: this plane's normal is along Q.
    q_direction : float array (3,)
        Unit vector along Q, laboratory.
    normals, areas : float arrays (facets, 3) and (facets,)
        Of the facets.
    second : (hkl, unit vector), optional
        Another plane whose normal is known. Without it the facets' angles say how the crystal is turned about Q.

    Returns
    -------
    Orientation or None
        None: there is neither a second direction nor a facet that is not along Q, or the facets fit no orientation.
    """
    if second is not None:
        cubic, lab = _triad(hkl, second[0]), _frame(q_direction, second[1])
        if cubic is None or lab is None:
            return None
        matrix = lab @ cubic.T
        off = np.degrees(np.arccos(np.clip(matrix @ _unit(np.array([second[0]], float))[0] @ second[1], -1, 1)))
        fit, explained = _fit(matrix, normals, areas)
        return Orientation(matrix, "Q and a second direction", fit, True, float(off), explained)
    if len(normals) == 0 or (np.abs(normals @ q_direction) > np.cos(np.deg2rad(TOLERANCE))).all():
        return None
    start = _frame(q_direction, np.eye(3)[int(np.abs(q_direction).argmin())])
    cubic = _triad(hkl, (0, 0, 1)) if hkl[:2] != (0, 0) else _triad(hkl, (1, 0, 0))
    assert start is not None
    assert cubic is not None
    turns = np.arange(0, 360, STEP)
    matrices = [start @ _about_first(turn) @ cubic.T for turn in turns]
    scores = np.array([_score(matrix, normals, areas) for matrix in matrices])
    best = int(scores.argmax())
    fine = turns[best] + np.linspace(-STEP, STEP, 41)
    finest = max((start @ _about_first(turn) @ cubic.T for turn in fine), key=lambda m: _score(m, normals, areas))
    others = [s for s, m in zip(scores, matrices, strict=True) if not _alike(finest, m)]
    is_clear = not others or bool(scores[best] > CLEAR * max(others))
    fit, explained = _fit(finest, normals, areas)
    if explained < LEAST_EXPLAINED:
        return _from_facets_alone(hkl, q_direction, normals, areas)
    return Orientation(finest, "Q and the angles between the facets", fit, is_clear, None, explained)


def _from_facets_alone(hkl: Indices, q_direction: Floats, normals: Floats, areas: Floats) -> Orientation | None:
    """The orientation that most facets agree on, wherever Q is: pairs of facets matched with pairs of planes."""
    large = np.argsort(-areas)[:PAIRS]
    best: tuple[float, Floats] = (0.0, np.asarray(np.eye(3)))
    for i, j in combinations(large.tolist(), 2):
        angle = float(np.clip(normals[i] @ normals[j], -1, 1))
        lab = _frame(normals[i], normals[j])
        if lab is None or abs(angle) > 0.99:
            continue
        for family in FAMILIES[:LIKELY]:
            first = _unit(np.array([family], float))[0]  # the others of its family are the same by symmetry
            for second in _LIKELY:
                cubic = _frame(first, second)
                if cubic is None or abs(np.degrees(np.arccos(angle) - np.arccos(np.clip(first @ second, -1, 1)))) > 4:
                    continue
                matrix = lab @ cubic.T
                score = _score(matrix, normals, areas)
                best = max(best, (score, matrix), key=lambda each: each[0])
    turned = _refined(best[1], normals, areas)
    fit, explained = _fit(turned, normals, areas)
    if explained < FREELY_EXPLAINED or len(normals) < 4:
        return None
    planes = _unit(variants(hkl)) @ turned.T
    nearest = int((planes @ q_direction).argmax())
    off = float(np.degrees(np.arccos(np.clip(planes[nearest] @ q_direction, -1, 1))))
    return Orientation(turned, "the angles between the facets, without Q", fit, True, None, explained, off)


def _refined(matrix: Floats, normals: Floats, areas: Floats) -> Floats:
    """The rotation that brings likely planes nearest to the facets on them (Kabsch, Acta Cryst. A 32, 922 (1976))."""
    for _ in range(3):
        cosine = normals @ matrix @ _LIKELY.T
        near = cosine.max(axis=1) > np.cos(np.deg2rad(2 * TOLERANCE))
        if near.sum() < 2:
            return matrix
        planes = _LIKELY[cosine.argmax(axis=1)[near]]
        u, _, vt = np.linalg.svd((normals[near] * areas[near, None]).T @ planes)
        matrix = np.asarray(u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt)
    return matrix


def _unit(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def _frame(first: Floats, second: Floats) -> Floats | None:
    """Columns: along `first`, along the part of `second` across it, and their cross product."""
    across = second - (second @ first) * first
    length = np.linalg.norm(across)
    if length < 1e-3:
        return None
    across = across / length
    return np.stack([first, across, np.cross(first, across)], axis=1)


def _triad(hkl: Indices, other: Indices) -> Floats | None:
    first, second = _unit(np.array([hkl, other], float))
    return _frame(first, second)


def _about_first(degrees: float) -> Floats:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


_LIKELY = np.concatenate([_unit(variants(family)) for family in FAMILIES[:LIKELY]])


def _angles(matrix: Floats, normals: Floats) -> Floats:
    return np.asarray(np.degrees(np.arccos(np.clip((normals @ matrix @ _LIKELY.T).max(axis=1), -1, 1))))


def _score(matrix: Floats, normals: Floats, areas: Floats) -> float:
    """Area of the facets that lie on likely planes, to a few degrees; small ones count by more than their area."""
    return float(np.sqrt(areas) @ np.exp(-0.5 * (_angles(matrix, normals) / 3.0) ** 2))


def _fit(matrix: Floats, normals: Floats, areas: Floats) -> tuple[float | None, float]:
    """Mean angle between facets and likely planes, of those that lie on one, and their share of the area."""
    if len(normals) == 0:
        return None, 0.0
    angles = _angles(matrix, normals)
    near = angles < TOLERANCE
    share = float(areas[near].sum() / areas.sum())
    return (float(angles[near] @ areas[near] / areas[near].sum()) if near.any() else None), share


def rotations_of_the_cube() -> Floats:
    """The 24 rotations of a cube, (24, 3, 3)."""
    found = []
    for order in permutations(range(3)):
        for signs in product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return np.array(found)


_CUBE = rotations_of_the_cube()


def _alike(one: Floats, other: Floats) -> bool:
    """Are two orientations the same to 6 degrees, after a rotation of the cube?"""
    traces = np.trace(one.T @ other @ _CUBE, axis1=1, axis2=2)
    return bool(np.degrees(np.arccos(np.clip((traces.max() - 1) / 2, -1, 1))) < 6.0)
