"""Units as files name them, in whatever letters: angles, lengths, photon energies."""

from __future__ import annotations

from collections.abc import Mapping

import h5py
import numpy as np

from autophasenn.files.tree import numbers
from autophasenn.physics.bragg import JOULE

ANGLES = {
    **dict.fromkeys(("deg", "degs", "degree", "degrees", "°"), 1.0),
    **dict.fromkeys(("rad", "rads", "radian", "radians"), 180 / np.pi),
    **dict.fromkeys(("mrad", "milliradian", "milliradians"), 0.18 / np.pi),
    **dict.fromkeys(("urad", "µrad", "μrad", "microradian", "microradians"), 0.18e-3 / np.pi),
}
"""Unit, in small letters -> degrees."""
LENGTHS = {
    **dict.fromkeys(("m", "meter", "metre", "meters", "metres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimetre", "centimeters", "centimetres"), 1e-2),
    **dict.fromkeys(("mm", "millimeter", "millimetre", "millimeters", "millimetres"), 1e-3),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometre", "micrometers"), 1e-6),
    **dict.fromkeys(("nm", "nanometer", "nanometre", "nanometers"), 1e-9),
    **dict.fromkeys(("angstrom", "angstroms", "a", "å", "ångström", "ångstrom"), 1e-10),
    **dict.fromkeys(("pm", "picometer", "picometre"), 1e-12),
}
"""Unit, in small letters -> metres."""
EV = {
    **dict.fromkeys(("ev", "electronvolt", "electronvolts", "electron volt"), 1.0),
    **dict.fromkeys(("kev", "kiloelectronvolt", "kiloelectronvolts"), 1e3),
    "meV": 1e-3,
    "mev": 1e6,
    **dict.fromkeys(("j", "joule", "joules"), 1 / JOULE),
}
"""Unit, in small letters -> eV; the milli of meV alone is told from a mega by its letter."""


def known_unit(word: str, units: Mapping[str, float]) -> float | None:
    """What a unit is in degrees, metres or eV, by its name in whatever letters; None where it is not known."""
    word = word.strip()
    return units.get(word, units.get(word.lower()))


def factor_of(found: h5py.Dataset | h5py.Group | None, units: Mapping[str, float], otherwise: float) -> float:
    """By which the numbers of a data set are multiplied.

    Parameters
    ----------
    found : h5py.Dataset or h5py.Group
        A data set, or the group of an NXpositioner, whose attribute ``units`` says in what its numbers are.
    units : mapping
        Such as `ANGLES`, `LENGTHS` and `EV`.
    otherwise : float
        Where it says nothing, or no unit that is known.
    """
    if isinstance(found, h5py.Group):
        found = next((found[name] for name in ("value", "position", "data") if name in found), found)
    unit = "" if found is None else found.attrs.get("units", "")
    if isinstance(unit, np.ndarray):
        unit = unit.ravel()[0] if unit.size else ""
    word = unit.decode("utf-8", "replace") if isinstance(unit, bytes) else str(unit)
    factor = known_unit(word, units)
    return otherwise if factor is None else factor


def in_unit(
    found: h5py.Dataset | h5py.Group, what: str, units: Mapping[str, float], otherwise: float = 1.0
) -> np.ndarray:
    """The numbers of a data set (`tree.numbers`) in degrees, metres or eV, whatever the unit beside them.

    Parameters
    ----------
    found : h5py.Dataset or h5py.Group
    what : str
        What a message calls it.
    units : mapping
        As `factor_of` takes them.
    otherwise : float
        What the numbers are multiplied by where no unit stands beside them.

    Raises
    ------
    InputError
        If it holds no numbers.
    """
    return np.asarray(numbers(found, what) * factor_of(found, units, otherwise))
