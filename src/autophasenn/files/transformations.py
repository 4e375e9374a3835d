"""NXtransformations: the chain of rotations and translations that carries a sample or a detector, as axes.

A node of a NeXus chain does ``x -> R x + offset`` or ``x -> x + value vector + offset`` and names, in `depends_on`, the node
that carries it; ``.`` ends the chain. The frame is that of McStas, which is our laboratory frame: z along the beam, y up.
Rules of the NeXus manual (NXtransformations), and what files really hold: paths without a leading slash that are meant from
the root, angles without a unit, vectors that carry the length.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import h5py
import numpy as np

from autophasenn.errors import InputError
from autophasenn.files.tree import node, numbers
from autophasenn.files.units import ANGLES, LENGTHS, known_unit
from autophasenn.physics.axes import Axis, Circle, Direction, Stage

MAX_LINKS = 50


@dataclass(frozen=True)
class Chain:
    """Axes from the outermost to the innermost, and where they stand.

    Parameters
    ----------
    axes : tuple of Axis
        Rotations, and translations that move; those that stand still are in the shifts of the axes within.
    motors : dict
        Name -> degrees or metres, one or one a frame.
    shift_m : (x, y, z)
        A fixed displacement within the innermost axis, metres.
    """

    axes: tuple[Axis, ...] = ()
    motors: dict[str, float | tuple[float, ...]] = field(default_factory=dict)
    shift_m: Direction = (0.0, 0.0, 0.0)


def read_chain(start: h5py.Group, depends_on: str) -> Chain:
    """The chain that begins at the node `depends_on`, the innermost.

    Parameters
    ----------
    start : h5py.Group
        The group whose `depends_on` this is.

    Raises
    ------
    InputError
        If a node is missing, is no transformation, has an unknown unit, or carries itself.
    """
    nodes: list[h5py.Dataset | h5py.Group] = []
    at, group = depends_on.strip(), start
    while at and at != ".":
        found = _resolve(group, at)
        if any(found == earlier for earlier in nodes) or len(nodes) > MAX_LINKS:
            raise InputError(
                f"The transformation {found.name} of {start.file.filename} carries itself; its depends_on is wrong."
            )
        nodes.append(found)
        at, group = _text(found.attrs.get("depends_on", ".")), found.parent
    chain = Chain()
    for outer in reversed(nodes):
        chain = _with(chain, outer)
    return chain


def pixel_edge(found: h5py.Dataset) -> Direction:
    """The vector from one pixel to the next that `fast_pixel_direction` or `slow_pixel_direction` gives, metres."""
    value = float(np.ravel(numbers(found, "pixel direction"))[0]) * _unit(found, "units", "translation")
    x, y, z = (float(c) for c in value * _vector(found))
    return x, y, z


def _with(chain: Chain, found: h5py.Dataset | h5py.Group) -> Chain:
    """The chain with a further axis inside."""
    kind = _text(found.attrs.get("transformation_type", "")).strip().lower()
    if kind not in ("rotation", "translation"):
        raise InputError(
            f"{found.name} of {found.file.filename} stands in a chain of transformations and is {kind or 'none'!r}; a "
            "transformation is a rotation or a translation."
        )
    values = np.ravel(numbers(found, found.name)) * _unit(found, "units", kind)
    moves = values.size > 1 and bool(np.ptp(values) > 0)
    vector, offset = _vector(found), _offset(found)
    shift = np.asarray(chain.shift_m)
    name = _name(found, chain)
    if kind == "translation" and not moves:
        return replace(chain, shift_m=_triple(shift + float(values[0]) * vector + offset))
    motor = tuple(values.tolist()) if moves else float(values[0])
    motors = {**chain.motors, name: motor}
    # x -> R x + offset, and what was displaced outside of it, come to the shift of this axis.
    if kind == "translation":
        axis: Axis = Stage(name, _triple(vector), shift_m=_triple(shift + offset))
    else:
        axis = Circle(name, _triple(vector / np.linalg.norm(vector)), shift_m=_triple(shift + offset))
    return Chain((*chain.axes, axis), motors)


def _resolve(group: h5py.Group, name: str) -> h5py.Dataset | h5py.Group:
    places = [(group.file, name)] if name.startswith("/") else [(group, name), (group.file, name)]
    for where, path in places:
        found = node(where, path)
        if found is not None:
            return found
    raise InputError(
        f"The transformation {name}, on which {group.name} of {group.file.filename} depends, is not there; copy the whole "
        "file again, or give the geometry with --geometry."
    )


def _name(found: h5py.Dataset | h5py.Group, chain: Chain) -> str:
    parts = [part for part in found.name.split("/") if part and part not in ("value", "position")]
    name, number = parts[-1], 2
    taken = {axis.name for axis in chain.axes}
    while name in taken:
        name, number = f"{parts[-1]}_{number}", number + 1
    return name


def _vector(found: h5py.Dataset | h5py.Group) -> np.ndarray:
    vector = np.ravel(np.asarray(found.attrs.get("vector", ()), np.float64))
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise InputError(
            f"{found.name} of {found.file.filename} has no vector of three numbers; it is no transformation."
        )
    if not vector.any() and not (found.size == 1 and not np.ravel(numbers(found, found.name)).any()):
        raise InputError(f"{found.name} of {found.file.filename} has the vector 0 0 0, which is no axis.")
    return vector


def _offset(found: h5py.Dataset | h5py.Group) -> np.ndarray:
    offset = np.ravel(np.asarray(found.attrs.get("offset", (0, 0, 0)), np.float64))
    if offset.shape != (3,) or not offset.any():
        return np.zeros(3)
    # A translation's offset without a unit of its own has that of its value.
    is_own = "offset_units" in found.attrs or _text(found.attrs.get("transformation_type", "")).lower() == "rotation"
    return offset * _unit(found, "offset_units" if is_own else "units", "translation")


def _unit(found: h5py.Dataset | h5py.Group, name: str, kind: str) -> float:
    unit = _text(found.attrs.get(name, "")).strip()
    if not unit and kind == "rotation":
        return 1.0
    known = ANGLES if kind == "rotation" else LENGTHS
    factor = known_unit(unit, known)
    if factor is None:
        what = f"the unit {unit!r}" if unit else f"no unit ({name})"
        right = "an angle is in deg or rad" if kind == "rotation" else "a length is in m, mm or um"
        raise InputError(f"The {kind} {found.name} of {found.file.filename} has {what}; {right}.")
    return factor


def _text(value: object) -> str:
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _triple(vector: np.ndarray) -> Direction:
    x, y, z = (float(c) for c in vector)
    return x, y, z
