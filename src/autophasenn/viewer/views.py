"""What one browser looks at: each choice with the values that it may have, and all of them as a link."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from autophasenn.analysis.materials import MATERIALS
from autophasenn.viewer.quantities import DOUBTFUL, NAMES
from autophasenn.viewer.series import SCAN, column_of

Check = Callable[[Any], Any]
"""The value as it is kept; ValueError or TypeError if it can be none."""
TABS = {
    "crystal": "Crystal", "slices": "Slices", "pattern": "Pattern", "curves": "Curves", "analysis": "Analysis",
    "series": "Series",
}  # fmt: skip
"""The last one only where there is a table of scans."""
LONGEST_LINK = 4000
"""Characters."""
COLUMNS = (
    "name",
    "state",
    "verdict",
    "frames",
    "chi2",
    "chi2_free",
    "confidence",
    "strain",
    "seconds",
    "seconds_refined",
)
"""Of the table of scans, by which it can be sorted; "" is the order in which they came."""


def one_of(*allowed: Any) -> Check:
    """A choice; from a link it comes as text."""

    def check(value: Any) -> Any:
        for each in allowed:
            if value == each or (isinstance(value, str) and value == str(each)):
                return each
        raise ValueError(f"{value!r} is none of {allowed}")

    return check


def number(low: float, high: float) -> Check:
    """A finite number between two others."""

    def check(value: Any) -> float:
        found = float(value)
        if not low <= found <= high:  # NaN is not
            raise ValueError(f"{found} lies outside of {low} to {high}")
        return found

    return check


def flag(value: Any) -> bool:
    """Yes or no."""
    return bool(one_of(False, True)({"0": False, "1": True}.get(value, value) if isinstance(value, str) else value))


def text(value: Any) -> str:
    """Some words."""
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("no short text")
    return value


def indices(value: Any) -> str:
    """Three Miller indices as text, or none."""
    said = text(value).replace(",", " ").replace("−", "-").split()
    if not said:
        return ""
    numbers = [int(part) for part in said]
    if len(numbers) != 3 or not any(numbers) or max(map(abs, numbers)) > 20:
        raise ValueError("no three indices")
    return " ".join(map(str, numbers))


def direction(value: Any) -> str:
    """Three components of a vector as text, not all of them 0."""
    x, y, z = (number(-1e6, 1e6)(part) for part in text(value).replace(",", " ").replace("−", "-").split())
    if math.hypot(x, y, z) < 1e-6:
        raise ValueError("no direction")
    return f"{x:g} {y:g} {z:g}"


def number_of_series(value: Any) -> str:
    """The name of a number of the table of a series."""
    return column_of(text(value)).name


def keys(value: Any) -> list[str]:
    """Names of scans."""
    return [text(each) for each in list(value)[:100]]


VIEWED: dict[str, tuple[Check, Any]] = {
    "tab": (one_of(*TABS), "crystal"),
    "quantity": (one_of(*NAMES), "phase"),
    "threshold": (number(0.01, 1.0), 0.3),
    "cut": (one_of("none", "0", "1", "2", "q", "other"), "none"),
    "direction": (direction, "1 0 1"),
    "place": (number(-1e7, 1e7), 0.0),
    "is_flipped": (flag, False),
    "doubt": (flag, False),
    "largest_spread": (number(0.0, 10.0), DOUBTFUL),
    "is_shaded": (flag, True),
    "is_difference": (flag, False),
    "section": (one_of(0, 1, 2), 0),
    "plot": (one_of("histogram", "profile"), "histogram"),
    "facets": (one_of("none", "families", "strain"), "none"),
    "has_lines": (flag, False),
    "opacity": (number(0.1, 1.0), 1.0),
    "material": (one_of("", *MATERIALS), ""),
    "hkl": (indices, ""),
    "quantity_of_series": (number_of_series, "strain_rms"),
    "against": (text, SCAN),
}
"""Choices that a link restores and followers share, with what they are at first."""
OWN: dict[str, tuple[Check, Any]] = {
    "theme": (one_of("light", "dark"), "light"),
    "has_facts": (flag, True),
    "has_controls": (flag, True),
    "drawer": (one_of("", "controls", "facts"), ""),
    "in_browser": (flag, False),
    "picked": (keys, []),
    "follows": (flag, False),
    "follows_presenter": (flag, False),
    "presents": (flag, False),
    "sort": (one_of("", *COLUMNS), ""),
    "is_descending": (flag, False),
    "wanted": (text, ""),
    "trouble": (text, ""),
}
"""Choices of one browser alone."""
CHECKS: dict[str, Check] = {name: check for name, (check, _) in (VIEWED | OWN).items()}
"""All that a browser may write; nothing else of the page's state."""
FIRST: dict[str, Any] = {name: first for name, (_, first) in (VIEWED | OWN).items()}


@dataclass(frozen=True)
class Camera:
    """From where the crystals are seen, without perspective.

    Parameters
    ----------
    position, focal, up : tuple of 3 floats
        nm (or voxels) from the origin; `up` is a direction.
    scale : float
        Half of the height that is seen, nm (or voxels).
    """

    position: tuple[float, float, float]
    focal: tuple[float, float, float]
    up: tuple[float, float, float]
    scale: float

    @classmethod
    def of(cls, numbers: Sequence[Any]) -> Camera:
        """From ten numbers in the order of the parameters.

        Raises
        ------
        ValueError, TypeError
            If nothing can be seen so.
        """
        found = [float(f"{float(value):.5g}") for value in numbers]
        if len(found) != 10 or not all(map(math.isfinite, found)) or not 0 < found[9] < 1e9:
            raise ValueError("no camera")
        position, focal, up = ((found[i], found[i + 1], found[i + 2]) for i in (0, 3, 6))
        towards = [a - b for a, b in zip(position, focal, strict=True)]
        across = (
            towards[1] * up[2] - towards[2] * up[1],
            towards[2] * up[0] - towards[0] * up[2],
            towards[0] * up[1] - towards[1] * up[0],
        )
        if math.hypot(*across) <= 1e-6 * math.hypot(*towards) * math.hypot(*up):
            raise ValueError("a camera that looks along what is up")
        return cls(position, focal, up, found[9])

    def numbers(self) -> list[float]:
        """The ten."""
        return [*self.position, *self.focal, *self.up, self.scale]


@dataclass(frozen=True)
class View:
    """All that one browser looks at, and from where.

    Parameters
    ----------
    shown : tuple of str
        Keys of the scans of the table that are open; empty: the table, or the results that the viewer was started with.
    choices : dict
        A value for names in `VIEWED`; the others are as at first.
    camera : Camera, optional
    voxel : tuple of 3 ints, optional
        Where the slices meet, in the first result.
    draft : str
        Key of what is chosen on the page that runs; empty: the page only shows.
    """

    shown: tuple[str, ...] = ()
    choices: Mapping[str, Any] = field(default_factory=dict)
    camera: Camera | None = None
    voxel: tuple[int, int, int] | None = None
    draft: str = ""

    def link(self) -> str:
        """What follows ``#`` in the address; only what is not as at first."""
        said: list[tuple[str, str]] = [("draft", self.draft)] if self.draft else []
        said += [("scan", key) for key in self.shown]
        for name, (_, first) in VIEWED.items():
            value = self.choices.get(name, first)
            if value != first:
                said.append(
                    (
                        name,
                        str(int(value))
                        if isinstance(value, bool)
                        else f"{value:g}"
                        if isinstance(value, float)
                        else str(value),
                    )
                )
        if self.camera is not None:
            said.append(("camera", ",".join(f"{value:.5g}" for value in self.camera.numbers())))
        if self.voxel is not None:
            said.append(("voxel", ",".join(map(str, self.voxel))))
        return urlencode(said, quote_via=quote, safe=",/")

    @classmethod
    def of_link(cls, link: str) -> View:
        """What a link asks for; what is unknown or impossible in it is passed over."""
        shown: list[str] = []
        choices: dict[str, Any] = {}
        camera, voxel, draft = None, None, ""
        for name, said in parse_qsl(link.lstrip("#")) if len(link) <= LONGEST_LINK else []:
            try:
                if name == "scan":
                    shown.append(text(said))
                elif name == "draft":
                    draft = text(said)
                elif name == "camera":
                    camera = Camera.of(said.split(","))
                elif name == "voxel":
                    x, y, z = (max(int(index), 0) for index in said.split(","))
                    voxel = (x, y, z)
                elif name in VIEWED:
                    choices[name] = VIEWED[name][0](said)
            except (ValueError, TypeError, OverflowError):
                continue
        return cls(tuple(shown[:2]), choices, camera, voxel, draft)
