"""The beamlines that can be read, by their name on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autophasenn.beamlines import aps34idc
from autophasenn.beamlines.measurement import Asked, Measurement


@dataclass(frozen=True)
class Beamline:
    """What a beamline's module provides.

    Parameters
    ----------
    name : str
        On the command line.
    title : str
        Facility and beamline.
    needs : str
        What is given to read a scan, a phrase.
    read : callable
        From what is asked for to what is on disk.
    expected : callable, optional
        How many frames the complete scan will have; None where it does not tell, or not yet.
    """

    name: str
    title: str
    needs: str
    read: Callable[[Asked], Measurement]
    expected: Callable[[Asked], int | None] | None = None


BEAMLINES: dict[str, Beamline] = {
    b.name: b for b in (Beamline("34idc", "APS 34-ID-C", aps34idc.NEEDS, aps34idc.read, aps34idc.expected_frames),)
}
"""Name on the command line -> beamline. A new one is a module and a line here."""
