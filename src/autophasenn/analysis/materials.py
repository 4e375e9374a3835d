"""Cubic materials: structure, lattice constant, thermal expansion, elastic constants, each with its source."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from autophasenn.analysis.quantity import Quantity
from autophasenn.errors import InputError

Indices = tuple[int, int, int]
ROOM = 293.0
"""Kelvin: of the lattice constants."""
TEMPERATURES = (100.0, 200.0, 293.0, 500.0, 800.0, 1100.0)
"""Kelvin: of the expansivities."""
EXPANSION_SOURCE = "Kaye & Laby, Tables of Physical and Chemical Constants, 16th ed. (1995), 2.3.5; good to 5 %"
EXPANSION_ERROR = 0.05
"""Share of the expansion: handbooks differ by so much."""
LATTICE_SOURCE = "CRC Handbook of Chemistry and Physics, 97th ed. (2016), section 12, at 293 to 298 K"
ELASTIC_SOURCE = "CRC Handbook of Chemistry and Physics, 97th ed. (2016), section 12, elastic constants at 300 K"
MOST_INDEX = 6
"""Reflections are looked for up to this Miller index."""


@dataclass(frozen=True)
class Cubic:
    """A cubic crystal.

    Parameters
    ----------
    name : str
        Chemical formula.
    structure : str
        ``fcc``, ``bcc`` or ``diamond``.
    lattice_constant_nm : float
        At 293 K.
    expansivity : tuple of float
        Linear, 1e-6/K, at `TEMPERATURES`; NaN where nothing is known.
    stiffness_gpa : (C11, C12, C44)
        At 300 K.
    atoms : int
        In the cubic cell.
    """

    name: str
    structure: str
    lattice_constant_nm: float
    expansivity: tuple[float, ...]
    stiffness_gpa: tuple[float, float, float]

    @property
    def atoms(self) -> int:
        """In the cubic cell."""
        return {"fcc": 4, "bcc": 2, "diamond": 8}[self.structure]

    def is_allowed(self, hkl: Indices) -> bool:
        """Does the structure have this reflection?"""
        if hkl == (0, 0, 0):
            return False
        if self.structure == "bcc":
            return sum(hkl) % 2 == 0
        parities = {index % 2 for index in hkl}
        if len(parities) > 1:
            return False
        return self.structure == "fcc" or parities == {1} or sum(hkl) % 4 == 0

    def reflections(self) -> Iterator[Indices]:
        """One of each family that the structure has: h >= k >= l >= 0."""
        some = range(MOST_INDEX + 1)
        yield from (hkl for hkl in product(some, some, some) if sorted(hkl)[::-1] == list(hkl) and self.is_allowed(hkl))

    def expansion(self, temperature_k: float) -> Quantity:
        """``(a(T) - a(293 K)) / a(293 K)``, the expansivity integrated between its tabulated temperatures.

        Raises
        ------
        InputError
            If the table does not reach that temperature.
        """
        known = [(t, alpha) for t, alpha in zip(TEMPERATURES, self.expansivity, strict=True) if math.isfinite(alpha)]
        temperatures, alphas = (np.array(each) for each in zip(*known, strict=True))
        if not temperatures[0] <= temperature_k <= temperatures[-1]:
            raise InputError(
                f"The expansion of {self.name} is tabulated from {temperatures[0]:g} to {temperatures[-1]:g} K, and "
                f"{temperature_k:g} K lies outside; give the reference as a lattice constant in nm (--reference)."
            )
        steps = np.linspace(ROOM, temperature_k, 201)
        change = float(np.trapezoid(np.interp(steps, temperatures, alphas), steps)) * 1e-6
        return Quantity(change, "", abs(change) * EXPANSION_ERROR, EXPANSION_SOURCE)

    def youngs_modulus_gpa(self, hkl: Indices) -> float:
        """Young's modulus along [hkl]: ``1/E = S11 - 2 (S11 - S12 - S44/2) (l1²l2² + l2²l3² + l3²l1²)`` (Nye, 1957)."""
        c11, c12, c44 = self.stiffness_gpa
        s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
        s12 = -c12 / ((c11 - c12) * (c11 + 2 * c12))
        a, b, c = (np.array(hkl, float) ** 2 / sum(i * i for i in hkl)).tolist()
        return float(1 / (s11 - 2 * (s11 - s12 - 0.5 / c44) * (a * b + b * c + c * a)))


_NONE = math.nan
MATERIALS = {
    each.name: each
    for each in (
        Cubic("Ag", "fcc", 0.40862, (14.2, 17.8, 18.9, 20.6, 23.7, 27.1), (123.99, 93.67, 46.12)),
        Cubic("Al", "fcc", 0.40496, (12.2, 20.3, 23.1, 26.4, 34.0, _NONE), (106.75, 60.41, 28.34)),
        Cubic("Au", "fcc", 0.40782, (11.8, 13.7, 14.2, 15.4, 17.0, 19.7), (192.44, 162.98, 42.00)),
        Cubic("Cu", "fcc", 0.36149, (10.3, 15.2, 16.5, 18.3, 20.3, 23.7), (168.3, 122.1, 75.7)),
        Cubic("Fe", "bcc", 0.28665, (5.6, 10.1, 11.8, 14.4, 16.2, _NONE), (226.0, 140.0, 116.0)),
        Cubic("Ni", "fcc", 0.35240, (6.6, 11.3, 13.4, 15.3, 16.8, 17.8), (248.1, 154.9, 124.2)),
        Cubic("Pd", "fcc", 0.38903, (8.0, 10.7, 11.8, 13.2, 14.5, _NONE), (227.1, 176.04, 71.73)),
        Cubic("Pt", "fcc", 0.39242, (6.6, 8.5, 8.8, 9.6, 10.3, 11.2), (346.7, 250.7, 76.5)),
        Cubic("Si", "diamond", 0.543102, (-0.4, 1.5, 2.6, 3.5, 4.1, 4.3), (165.78, 63.94, 79.62)),
        Cubic("W", "bcc", 0.31652, (2.6, 4.1, 4.5, 4.6, 5.0, 5.2), (522.39, 204.37, 160.83)),
    )
}
"""By chemical formula."""


def material(name: str) -> Cubic:
    """The material of a chemical formula.

    Raises
    ------
    InputError
        If it is not in the table.
    """
    if name not in MATERIALS:
        raise InputError(
            f"The material {name!r} is not in the table; give one of {', '.join(MATERIALS)}, or leave it out and give the "
            "lattice constant that strain is relative to (--reference)."
        )
    return MATERIALS[name]
