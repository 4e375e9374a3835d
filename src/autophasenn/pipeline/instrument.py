"""What the user says of the diffractometer and the detector, in place of what was recorded. Made without torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from autophasenn.errors import PlanError, quoted

if TYPE_CHECKING:
    from autophasenn.beamlines import Setup
    from autophasenn.beamlines.by_hand import GeometryFile

Pair = tuple[float, float]


def _is_number(value: object) -> bool:
    return not isinstance(value, bool) and isinstance(value, Real) and isfinite(value)


def _has_items(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, tuple | list) or hasattr(value, "__array__")


def _is_pair(value: object) -> bool:
    return _has_items(value) and len(value) == 2 and all(map(_is_number, value))


def _is_empty(value: object) -> bool:
    return isinstance(value, tuple | list) and not value


def _is_word(value: object) -> bool:
    return isinstance(value, str)


def _are_words(value: object) -> bool:
    return isinstance(value, tuple | list) and all(map(_is_word, value))


_RIGHT: dict[str, tuple[str, Callable[[object], bool]]] = {
    "energy": ("a number, eV", _is_number),
    "distance": ("a number, metres", _is_number),
    "pixel": ("two numbers, row and column, metres", _is_pair),
    "direct_beam": ("two numbers, row and column", _is_pair),
    "first_pixel": ("two numbers, row and column", _is_pair),
    "motors": ('words in a tuple, as ("eta=17.9:0.01",)', _are_words),
    "columns": ("a direction, as 'x-'", _is_word),
    "rows": ("a direction, as 'y-'", _is_word),
    "reverse": ('names of motors in a tuple, as ("eta",)', _are_words),
    "detector": ("its name", _is_word),
    "geometry": ("the path of a geometry.yaml", lambda value: isinstance(value, str | Path)),
    "diffractometer": ("its name, as 'id01'", _is_word),
}
"""What each option is, in words, and whether a value is that: from Python it may be anything."""


@dataclass(frozen=True)
class Instrument:
    """Options of the diffractometer; None: as recorded.

    Parameters
    ----------
    energy, distance : float, optional
        Photon energy, eV; from the sample to the detector, metres.
    pixel : (row, column), optional
        Edge of a pixel, metres.
    direct_beam : (row, column), optional
        Pixel of the whole detector that the direct beam meets.
    first_pixel : (row, column), optional
        Of the whole detector, where the frames begin.
    motors : tuple of str
        ``NAME=DEGREES`` (metres of a translation), or ``NAME=START:STEP``.
    columns, rows : str, optional
        In which they grow, as ``x-``.
    reverse : tuple of str
        Motors that count the other way round than in the table of circles.
    detector : str, optional
        Which detector, where a scan has several.
    geometry : Path, optional
        A geometry.yaml, of a plain file.
    diffractometer : str, optional
        Whose circles they are, of a plain file.

    Raises
    ------
    PlanError
        If a value is none of what the option can be.
    """

    energy: float | None = None
    distance: float | None = None
    pixel: Pair | None = None
    direct_beam: Pair | None = None
    first_pixel: Pair | None = None
    motors: tuple[str, ...] = ()
    columns: str | None = None
    rows: str | None = None
    reverse: tuple[str, ...] = ()
    detector: str | None = None
    geometry: Path | None = None
    diffractometer: str | None = None

    def __post_init__(self) -> None:
        for name, (meaning, is_right) in _RIGHT.items():
            value = getattr(self, name)
            if value is not None and not is_right(value):
                raise PlanError(f"{name} of the instrument is {quoted(repr(value), 80)}; give {meaning}.")

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that say something."""
        return tuple(name for name, value in vars(self).items() if value is not None and not _is_empty(value))

    def check(self, beamline: str | None) -> None:
        """Refuse options that do not go together.

        Raises
        ------
        PlanError
        """
        for_plain_files = [name for name in ("geometry", "diffractometer") if getattr(self, name) is not None]
        if beamline is not None and for_plain_files:
            raise PlanError(
                f"--{for_plain_files[0]} belongs to a plain file, and --beamline {beamline} brings its own."
            )
        if beamline is None and self.detector is not None:
            raise PlanError(
                "--detector belongs to a scan of a --beamline; of a plain file, name the data behind a colon."
            )
        if beamline is None and self.given and not for_plain_files:
            raise PlanError(
                f"--{self.given[0].replace('_', '-').replace('motors', 'motor')} needs a diffractometer; say whose circles "
                "they are with --diffractometer NAME, or give --geometry FILE."
            )

    def setup(self) -> Setup:
        """The same, as readers take it.

        Raises
        ------
        PlanError
            If a motor cannot be understood.
        """
        from autophasenn.beamlines import Setup
        from autophasenn.beamlines.by_hand import motor

        return Setup(
            energy_ev=None if self.energy is None else float(self.energy),
            distance_m=None if self.distance is None else float(self.distance),
            pixel_m=_pair(self.pixel),
            direct_beam=_pair(self.direct_beam),
            first_pixel=_pair(self.first_pixel),
            motors=dict(motor(words) for words in self.motors),
            columns=self.columns,
            rows=self.rows,
            reverse=tuple(self.reverse),
        )

    def geometry_file(self) -> GeometryFile:
        """What --geometry says; nothing where it is not given.

        Raises
        ------
        InputError, PlanError
            If the file cannot be read or says what it cannot.
        """
        from autophasenn.beamlines.by_hand import GeometryFile, read_geometry_file

        return GeometryFile() if self.geometry is None else read_geometry_file(Path(self.geometry))


def _pair(values: Pair | None) -> Pair | None:
    return None if values is None else (float(values[0]), float(values[1]))


AS_RECORDED = Instrument()
"""Nothing is said: all is as it was recorded."""
