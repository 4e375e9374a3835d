"""Lengths, limits and units that a reader can grasp: how long a scale bar is, where a colour map ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Colormap, Normalize
from numpy.typing import ArrayLike, NDArray

from autophasenn.report.style import cyclic_map, named_map

_STEPS = (1, 2, 5, 10)


def round_length(extent: float, share: float = 0.3) -> float:
    """The largest 1, 2 or 5 times a power of ten that is at most `share` of `extent` (same unit)."""
    target = extent * share
    decade = 10.0 ** np.floor(np.log10(target))
    return float(max(step * decade for step in _STEPS if step * decade <= target * (1 + 1e-9)))


def reach(values: ArrayLike, quantile: float = 0.995) -> float:
    """How far from zero the finite values go, the most extreme ``1 - quantile`` of them left aside; 0 if there is none."""
    finite = np.abs(np.asarray(values, dtype=np.float32))
    finite = finite[np.isfinite(finite)]
    return float(np.quantile(finite, quantile)) if finite.size else 0.0


def round_up(value: float) -> float:
    """The next number of two significant digits that is not below `value`; 1 for 0."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / unit - 1e-9) * unit)


@dataclass(frozen=True)
class Scale:
    """How a quantity becomes a colour.

    Parameters
    ----------
    title : str
        Name of the quantity with its unit.
    colours : Colormap
    limit : float
        Colours run over ``-limit..limit``, in the unit of `title`.
    factor : float
        SI value times `factor` is the value in the unit of `title`.
    is_cyclic : bool
        True: values are angles, wrapped into -pi..pi before they are coloured.
    """

    title: str
    colours: Colormap
    limit: float
    factor: float = 1.0
    is_cyclic: bool = False

    @property
    def norm(self) -> Normalize:
        return Normalize(-self.limit, self.limit)

    @property
    def ticks(self) -> tuple[list[float], list[str]]:
        """Five places on the colour bar (three for a cyclic map's halves of pi, labelled as such)."""
        if self.is_cyclic:
            return [-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi], ["−π", "−π/2", "0", "π/2", "π"]
        places = [-self.limit, -self.limit / 2, 0, self.limit / 2, self.limit]
        return places, [f"{place:.3g}".replace("-", "−") for place in places]

    def values(self, si: NDArray[np.floating]) -> NDArray[np.floating]:
        """`si` in the unit of `title`, wrapped if the scale is cyclic."""
        if self.is_cyclic:
            return np.angle(np.exp(1j * si))
        return si * self.factor

    def rgb(self, si: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Colours of values, uint8 (..., 3); NaN becomes the map's colour for "no value"."""
        coloured = self.colours(self.norm(np.ma.masked_invalid(self.values(si))), bytes=True)
        return np.asarray(coloured, dtype=np.uint8)[..., :3]


def phase_scale(phase: ArrayLike, *, wrap: bool = False) -> Scale:
    """Scale of a Bragg phase in rad that is NaN outside the support.

    A phase that stays within a quarter turn of zero is drawn from ``-limit`` to ``limit`` in a diverging map, where small
    differences show; one that nearly fills the circle is drawn over -pi..pi in the cyclic map. One that exceeds pi is
    unwrapped: it is drawn over its full range and the title says so, unless `wrap` asks for the cyclic map.
    """
    limit = reach(phase)
    if limit <= np.pi / 2:
        return Scale("phase (rad)", named_map("PuOr"), round_up(limit))
    if limit <= np.pi or wrap:
        return Scale("phase (rad)", cyclic_map(), np.pi, is_cyclic=True)
    return Scale("phase, unwrapped (rad)", named_map("PuOr"), round_up(limit))


def displacement_scale(displacement: ArrayLike) -> Scale:
    """Scale of a displacement along Q given in metres, drawn in pm; the map is the reverse of the phase's, as u = -phi/|Q|."""
    return Scale("displacement (pm)", named_map("PuOr_r"), round_up(reach(displacement) * 1e12), 1e12)


def strain_scale(strain: ArrayLike) -> Scale:
    """Scale of a strain, symmetric about zero: in units of 1e-4, or in % from 1 % on."""
    limit = reach(strain, 0.99)
    factor, unit = (1e2, "%") if limit >= 0.01 else (1e4, "10⁻⁴")
    return Scale(f"strain ({unit})", named_map("RdBu_r"), round_up(limit * factor), factor)
