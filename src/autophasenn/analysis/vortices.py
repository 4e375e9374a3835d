"""Dislocation lines: where the phase winds. Found by its circulation around the faces of the voxel grid.

Around a dislocation of Burgers vector b the phase ``phi = -G.u`` changes by ``-G.b``, a multiple of 2 pi. The wrapped
differences of the phase along the four edges of a square of voxels (a plaquette) sum to that multiple: its charge. Charges
are conserved: through the six plaquettes around eight voxels as much goes in as comes out, so that they join up to lines,
which end only at the surface. No threshold is involved. Sign: along the direction of a line, right-handed, the phase winds
by ``+2 pi`` a unit of charge, so the part of b along Q is ``-charge d``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.analysis.quantity import Floats

CLOSING = 2
"""Voxels by which holes and tubes of the support are closed: the amplitude is low in the core of a dislocation."""
LEAST_LENGTH = 4
"""Plaquettes of the shortest line; shorter ones are noise of a few voxels, mostly at the surface."""


@dataclass(frozen=True, eq=False)
class Vortex:
    """A line around which the phase winds.

    Parameters
    ----------
    points : float array (points, 3)
        Indices of the grid (fractions), in the order of the line, along which the phase winds right-handed by `charge`
        turns.
    charge : int
        Turns of the phase; positive by the choice of the line's direction.
    is_closed : bool
        A loop.
    """

    points: Floats
    charge: int
    is_closed: bool


def region_of(support: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where lines are looked for: the support, its tubes and holes closed."""
    padded = np.pad(support, CLOSING + 1)
    ball = ndimage.iterate_structure(ndimage.generate_binary_structure(3, 1), CLOSING)
    closed = ndimage.binary_fill_holes(ndimage.binary_closing(padded, ball) | padded)
    inner = tuple(slice(CLOSING + 1, -CLOSING - 1) for _ in range(3))
    return np.asarray(closed[inner])


def plaquette_charges(phase: Floats, region: NDArray[np.bool_]) -> list[NDArray[np.int8]]:
    """Turns of the phase around every face of the grid, right-handed about each axis in turn.

    Parameters
    ----------
    phase : float array (n0, n1, n2)
        Radians, wrapped or not.
    region : bool array of the same shape
        Faces of which a corner lies outside have charge 0.

    Returns
    -------
    3 int8 arrays
        Of axis a: charge of the face whose corner of lowest indices is the voxel; the shape is that of the volume, less one
        along both other axes.
    """
    charges = []
    for axis in range(3):
        first, second = (axis + 1) % 3, (axis + 2) % 3

        def at(volume: Any, i: int, j: int, first: int = first, second: int = second) -> Any:
            cut: list[slice] = [slice(None)] * 3
            cut[first] = slice(i, volume.shape[first] - 1 + i)
            cut[second] = slice(j, volume.shape[second] - 1 + j)
            return volume[tuple(cut)]

        around = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        total = np.zeros(at(phase, 0, 0).shape, np.float32)
        inside = np.ones(total.shape, bool)
        for here, there in pairwise(around):
            step = at(phase, *there) - at(phase, *here)
            total += step - 2 * np.pi * np.round(step / (2 * np.pi))
            inside &= at(region, *here)
        turns = np.round(np.where(inside, np.nan_to_num(total), 0) / (2 * np.pi))
        charges.append(turns.astype(np.int8))
    return charges


def find_vortices(phase: Floats, support: NDArray[np.bool_]) -> tuple[tuple[Vortex, ...], int]:
    """The lines around which a phase winds, the longest first, and how many shorter ones were passed over.

    Parameters
    ----------
    phase : float array (n0, n1, n2)
        Radians, wrapped or not; outside of the support it counts only in holes and tubes of it.
    support : bool array (n0, n1, n2)
    """
    box = _box(support)
    region = region_of(support[box])
    charges = plaquette_charges(np.asarray(phase[box]), region)
    tails, heads, turns = [], [], []
    shape = np.array(region.shape) + 1  # cells between voxels; one more on each side
    for axis, charge in enumerate(charges):
        places = np.argwhere(charge)
        if len(places) == 0:
            continue
        value = charge[tuple(places.T)]
        # a face across `axis` lies between the cells before and behind it
        before, behind = places + 1, places + 1
        before = before.copy()
        before[:, axis] -= 1
        forward = value > 0
        tails.append(np.where(forward[:, None], before, behind))
        heads.append(np.where(forward[:, None], behind, before))
        turns.append(np.abs(value))
    if not tails:
        return (), 0
    tail, head = np.concatenate(tails), np.concatenate(heads)
    turn = np.concatenate(turns)
    tail, head = np.repeat(tail, turn, axis=0), np.repeat(head, turn, axis=0)
    offset = np.array([part.start for part in box]) - 0.5
    lines = _joined(tail, head, tuple((shape + 1).tolist()))
    kept = [line for line in lines if len(line) > LEAST_LENGTH]
    vortices = [
        Vortex(points.astype(float) + offset, 1, bool(len(points) > 2 and (points[0] == points[-1]).all()))
        for points in kept
    ]
    vortices.sort(key=lambda vortex: -len(vortex.points))
    return tuple(vortices), len(lines) - len(kept)


def _box(support: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The box of the support and the reach of its closing, as far as the array goes."""
    slices = []
    for axis in range(3):
        inside = np.flatnonzero(support.any(axis=tuple(a for a in range(3) if a != axis)))
        slices.append(slice(max(0, int(inside[0]) - CLOSING), int(inside[-1]) + CLOSING + 1))
    return tuple(slices)


def _joined(tail: NDArray[Any], head: NDArray[Any], shape: tuple[int, ...]) -> list[NDArray[Any]]:
    """Directed steps between cells as paths that use every step once; each starts where one begins, loops anywhere.

    Where two lines share a cell a path goes straight on.
    """
    start, end = np.ravel_multi_index(tail.T, shape), np.ravel_multi_index(head.T, shape)
    nodes, code = np.unique(np.concatenate([start, end]), return_inverse=True)
    start, end = code[: len(tail)], code[len(tail) :]
    out: dict[int, list[int]] = {}
    for step, node in enumerate(start.tolist()):
        out.setdefault(node, []).append(step)
    balance = np.bincount(start, minlength=len(nodes)) - np.bincount(end, minlength=len(nodes))
    beginnings = [node for node in np.flatnonzero(balance > 0).tolist() for _ in range(int(balance[node]))]
    left, paths = len(start), []
    while left:
        node = beginnings.pop() if beginnings else next(n for n, steps in out.items() if steps)
        path = [node]
        heading: NDArray[Any] | None = None
        while out.get(node):
            steps = out[node]
            ahead = 0
            if heading is not None and len(steps) > 1:
                ahead = max(range(len(steps)), key=lambda i: float((head[steps[i]] - tail[steps[i]]) @ heading))
            step = steps.pop(ahead)
            move = (head[step] - tail[step]).astype(float)
            heading = move if heading is None else 0.7 * heading + move
            node = int(end[step])
            path.append(node)
            left -= 1
        paths.append(np.stack(np.unravel_index(nodes[path], shape), axis=1))
    return paths
