"""Lengths, limits and units that a reader can grasp: how long a scale bar is, where a colour map ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from autophasenn.report.style import colour_bar, cyclic_map, named_map

MOST_SHOWN = 0.98
"""Share of the voxels whose uncertainty the colours tell apart."""
_STEPS = (1, 2, 5, 10)
_LIMITS = (1, 1.2, 1.4, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10)


def round_length(extent: float, share: float = 0.3) -> float:
    """The largest 1, 2 or 5 times a power of ten that is at most `share` of `extent` (same unit)."""
    target = extent * share
    decade = 10.0 ** np.floor(np.log10(target))
    return float(max(step * decade for step in _STEPS if step * decade <= target * (1 + 1e-9)))


def reach(values: ArrayLike, quantile: float = 0.995) -> float:
    """How far from zero the finite values go, the most extreme ``1 - quantile`` left aside; 0 if there is none."""
    finite = np.abs(np.asarray(values, dtype=np.float32))
    finite = finite[np.isfinite(finite)]
    return float(np.quantile(finite, quantile)) if finite.size else 0.0


def round_up(value: float) -> float:
    """The next round number that is not below `value`, one whose half is round too; 1 for 0."""
    if value <= 0:
        return 1.0
    decade = 10.0 ** np.floor(np.log10(value))
    return float(next(step for step in _LIMITS if step * decade >= value * (1 - 1e-9)) * decade)


@dataclass(frozen=True)
class Scale:
    """How a quantity becomes a colour.

    Parameters
    ----------
    title : str
        Name of the quantity with its unit.
    colours : Colormap
    limit : float
        Colours run over ``-limit..limit``, in the unit of `title`; of a rising scale from 0 to `limit`.
    factor : float
        SI value times `factor` is the value in the unit of `title`.
    is_cyclic : bool
        True: values are angles, wrapped into -pi..pi before they are coloured.
    extend : str
        At which ends some values lie beyond the colours: "neither", "both" or "max".
    is_rising : bool
        True: no value is negative.
    """

    title: str
    colours: Colormap
    limit: float
    factor: float = 1.0
    is_cyclic: bool = False
    extend: str = "neither"
    is_rising: bool = False

    @property
    def low(self) -> float:
        """Where the colours begin, in the unit of `title`."""
        return 0.0 if self.is_rising else -self.limit

    @property
    def norm(self) -> Normalize:
        """Values in the unit of `title`, mapped onto the colours."""
        return Normalize(self.low, self.limit)

    def colour_bar(self, figure: Figure, beside: Axes | list[Axes], label: str = "", **options: Any) -> None:
        """A colour bar of this scale with five ticks, the limits among them."""
        bar = colour_bar(figure, beside, self.colours, self.norm, label, extend=self.extend, **options)
        places = np.linspace(self.low, self.limit, 5).tolist()
        names = ["−π", "−π/2", "0", "π/2", "π"] if self.is_cyclic else [f"{x:.3g}".replace("-", "−") for x in places]
        bar.set_ticks(places, labels=names)

    def values(self, si: NDArray[Any]) -> NDArray[Any]:
        """`si` in the unit of `title`, wrapped if the scale is cyclic."""
        if self.is_cyclic:
            return np.asarray(np.arctan2(np.sin(si), np.cos(si)))
        return si * self.factor

    def rgb(self, si: NDArray[Any]) -> NDArray[np.uint8]:
        """Colours of values, uint8 (..., 3); NaN becomes the map's colour for "no value"."""
        coloured = self.colours(self.norm(np.ma.masked_invalid(self.values(si))), bytes=True)
        return np.asarray(coloured, dtype=np.uint8)[..., :3]


def phase_scale(phase: ArrayLike, *, wrap: bool = False) -> Scale:
    """Scale of a Bragg phase in rad that is NaN outside the support.

    A phase that stays within a quarter turn of zero is drawn from ``-limit`` to ``limit`` in a diverging map, where
    small differences show; one that nearly fills the circle is drawn over -pi..pi in the cyclic map. One that exceeds
    pi is unwrapped: it is drawn over its full range and the title says so, unless `wrap` asks for the cyclic map.
    """
    limit = reach(phase)
    if np.pi / 2 < limit and (limit <= np.pi or wrap):
        return Scale("phase (rad)", cyclic_map(), np.pi, is_cyclic=True)
    title = "phase (rad)" if limit <= np.pi else "phase, unwrapped (rad)"
    return _diverging(title, "PuOr", phase, limit, 1.0)


def displacement_scale(displacement: ArrayLike) -> Scale:
    """Scale of a displacement along Q in metres, drawn in pm; the map of the phase reversed, as u = -phi/|Q|."""
    return _diverging("displacement (pm)", "PuOr_r", displacement, reach(displacement), 1e12)


def strain_scale(strain: ArrayLike) -> Scale:
    """Scale of a strain, symmetric about zero: in units of 1e-4, or in % from 1 % on."""
    limit = reach(strain, 0.99)
    factor, unit = (1e2, "%") if limit >= 0.01 else (1e4, "10⁻⁴")
    return _diverging(f"strain ({unit})", "RdBu_r", strain, limit, factor)


def spread_scale(title: str, spread: ArrayLike) -> Scale:
    """Scale of an uncertainty, from 0 on in a map that rises in lightness, so that a doubtful voxel cannot be overlooked.

    The 2 % of the voxels that are the least certain, which hold hardly any amplitude, are not told apart.
    """
    limit = round_up(reach(spread, MOST_SHOWN))
    is_cut = reach(spread, 1.0) > limit
    return Scale(title, named_map("viridis"), limit, extend="max" if is_cut else "neither", is_rising=True)


def _diverging(title: str, name: str, values: ArrayLike, limit: float, factor: float) -> Scale:
    """A scale symmetric about zero whose limit is `limit` (SI) rounded up in the unit of the title."""
    rounded = round_up(limit * factor)
    is_cut = reach(values, 1.0) * factor > rounded
    return Scale(title, named_map(name, 0.08, 0.92), rounded, factor, extend="both" if is_cut else "neither")
