"""What the crystal is coloured by: values in the unit that people read, colours, and the words for one value."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from autophasenn.image import Floats
from autophasenn.report.scales import MOST_SHOWN, Scale, displacement_scale, phase_scale, reach, round_up, strain_scale
from autophasenn.report.style import named_map
from autophasenn.viewer.results import StoredImage

NAMES = {
    "phase": "Phase",
    "displacement": "Displacement along Q",
    "strain": "Strain along Q",
    "amplitude": "Amplitude",
    "phase_spread": "Uncertainty of the phase",
    "amplitude_spread": "Uncertainty of the amplitude",
}
"""In the order of the menu."""
DOUBTFUL = 0.3
"""Uncertainty of the phase in rad from which on it is drawn grey, unless another is asked for: a twentieth of a turn."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """One quantity of all results that are shown, on one scale.

    Parameters
    ----------
    key : str
        One of `NAMES`.
    unit : str
        Of `volumes`, as it is printed.
    colours : Colormap
    low, high : float
        Ends of the colours, in `unit`.
    volumes : list of float32 array (nx, ny, nz)
        One a result, in `unit`; NaN where there is no value.
    is_cyclic : bool
        True: angles, wrapped into -pi..pi before they are coloured.
    is_cut : bool
        Whether some values lie beyond the ends.
    called : str
        Its name; empty: that in `NAMES`.
    """

    key: str
    unit: str
    colours: Colormap
    low: float
    high: float
    volumes: list[Floats]
    is_cyclic: bool = False
    is_cut: bool = False
    called: str = ""

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.called or NAMES[self.key]} ({self.unit})"

    def rgb(self, values: Floats) -> NDArray[np.uint8]:
        """Colours of values, uint8 (..., 3); NaN becomes the map's colour for "no value"."""
        shown = np.angle(np.exp(1j * values)) if self.is_cyclic else values
        share = (np.ma.masked_invalid(shown) - self.low) / (self.high - self.low)
        return np.asarray(self.colours(share, bytes=True), dtype=np.uint8)[..., :3]

    def said(self, value: float) -> str:
        """One value with its unit; what has none says so."""
        if not np.isfinite(value):
            return "outside the crystal"
        number = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
        times = "× " if self.unit.startswith("10") else ""
        return f"{number.replace('-', '−')} {times}{self.unit}"

    def ticks(self) -> list[dict[str, Any]]:
        """Five places along the colour bar, 0 to 100 %, and what is written there."""
        places = np.linspace(self.low, self.high, 5)
        names = ["−π", "−π/2", "0", "π/2", "π"] if self.is_cyclic else [f"{x:.3g}".replace("-", "−") for x in places]
        if self.is_cut:
            names[0] = f"≤ {names[0]}" if self.low < 0 else names[0]
            names[-1] = f"≥ {names[-1]}"
        return [{"at": 25.0 * i, "text": name} for i, name in enumerate(names)]

    def ramp(self) -> str:
        """The colours from `low` to `high` as a picture: a data URI, so that every map is drawn as it is."""
        return picture(np.asarray(self.colours(np.linspace(0, 1, 256), bytes=True), np.uint8)[None, :, :3])


def quantities_of(images: Sequence[StoredImage]) -> dict[str, Quantity]:
    """What all of the images have, on scales that they share.

    The phase is drawn in a cyclic map unless it stays within a quarter turn of zero, displacement and strain symmetric
    about zero; the two uncertainties rise from zero.
    """
    found = [
        _from_scale(
            "phase", "rad", [i.phase for i in images], phase_scale(_joined([i.phase for i in images]), wrap=True)
        )
    ]
    if all(i.displacement is not None for i in images):
        metres = [i.displacement for i in images if i.displacement is not None]
        found.append(_from_scale("displacement", "pm", metres, displacement_scale(_joined(metres))))
    if all(i.strain is not None for i in images):
        strains = [i.strain for i in images if i.strain is not None]
        scale = strain_scale(_joined(strains))
        found.append(_from_scale("strain", "%" if scale.factor == 1e2 else "10⁻⁴", strains, scale))
    found.append(Quantity("amplitude", "of max", named_map("cividis"), 0.0, 1.0, [i.amplitude for i in images]))
    for key, unit in (("phase_spread", "rad"), ("amplitude_spread", "of max")):
        volumes = [getattr(i, key) for i in images]
        if all(volume is not None for volume in volumes):
            high = round_up(reach(_joined(volumes), MOST_SHOWN))
            found.append(Quantity(key, unit, named_map("viridis"), 0.0, high, volumes, is_cut=True))
    return {quantity.key: quantity for quantity in found}


def held_to(before: Mapping[str, Quantity], now: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Quantities with the colours of those before where their units are the same: in a series equal colours are equal."""
    held = {}
    for key, quantity in now.items():
        first = before.get(key)
        is_like = first is not None and (first.unit, first.is_cyclic) == (quantity.unit, quantity.is_cyclic)
        if first is None or not is_like:
            held[key] = quantity
            continue
        values = _joined(quantity.volumes)
        is_cut = not quantity.is_cyclic and bool(((values < first.low) | (values > first.high)).any())
        held[key] = replace(quantity, colours=first.colours, low=first.low, high=first.high, is_cut=is_cut)
    return held


def lacking_of(images: Sequence[StoredImage]) -> dict[str, str]:
    """What some of the images have and others do not, which nothing can be compared by: a sentence a key."""
    sentences = {}
    for key, name in NAMES.items():
        without = [image.name for image in images if getattr(image, key) is None]
        if 0 < len(without) < len(images):
            sentences[key] = f"{name} is not shown, as {without[0]} has none."
    return sentences


def _from_scale(key: str, unit: str, si: list[Floats], scale: Scale) -> Quantity:
    volumes = [values if scale.is_cyclic else scale.values(values) for values in si]
    return Quantity(
        key, unit, scale.colours, -scale.limit, scale.limit, volumes, scale.is_cyclic, scale.extend == "both"
    )


def _joined(volumes: Sequence[Floats]) -> Floats:
    return np.concatenate([volume[np.isfinite(volume)] for volume in volumes])


def picture(rgb: NDArray[np.uint8]) -> str:
    """Pixels (rows, columns, 3) as a PNG in a data URI."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
