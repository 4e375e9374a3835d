"""What the user says of the diffractometer and the detector, in place of what was recorded. Made without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from autophasenn.errors import PlanError

if TYPE_CHECKING:
    from autophasenn.beamlines import Setup
    from autophasenn.beamlines.by_hand import GeometryFile

Pair = tuple[float, float]


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

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the options that say something."""
        return tuple(name for name, value in vars(self).items() if value not in (None, ()))

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
            energy_ev=self.energy,
            distance_m=self.distance,
            pixel_m=self.pixel,
            direct_beam=self.direct_beam,
            first_pixel=self.first_pixel,
            motors=dict(motor(words) for words in self.motors),
            columns=self.columns,
            rows=self.rows,
            reverse=self.reverse,
        )

    def geometry_file(self) -> GeometryFile:
        """What --geometry says; nothing where it is not given.

        Raises
        ------
        InputError, PlanError
            If the file cannot be read or says what it cannot.
        """
        from autophasenn.beamlines.by_hand import GeometryFile, read_geometry_file

        return GeometryFile() if self.geometry is None else read_geometry_file(self.geometry)


AS_RECORDED = Instrument()
"""Nothing is said: all is as it was recorded."""
