"""The beamlines that can be read, by their name on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autophasenn.beamlines import aps, aps34idc, id01, nanomax, nexus, p10, soleil
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
    needs_log : bool
        Whether nothing can be read without the SPEC file.
    """

    name: str
    title: str
    needs: str
    read: Callable[[Asked], Measurement]
    expected: Callable[[Asked], int | None] | None = None
    needs_log: bool = False


_ALL = (
    Beamline("34idc", "APS 34-ID-C", aps34idc.NEEDS, aps34idc.read, aps34idc.expected_frames, needs_log=True),
    Beamline("28idb", "APS 28-ID-B", aps.NEEDS_28IDB, aps.read_28idb, needs_log=True),
    Beamline("7idd", "APS 7-ID-D", aps.NEEDS_7IDD, aps.read_7idd, aps.expected_7idd, needs_log=True),
    Beamline("20ide", "APS 20-ID-E", aps.NEEDS_20IDE, aps.read_20ide),
    Beamline("1ide", "APS 1-ID-E", aps.NEEDS_1IDE, aps.read_1ide, aps.expected_1ide, needs_log=True),
    Beamline("id01", "ESRF ID01", id01.NEEDS, id01.read, id01.expected_frames),
    Beamline("id27", "ESRF ID27", id01.NEEDS_ID27, id01.read_id27, id01.expected_frames),
    Beamline("bm02", "ESRF BM02", id01.NEEDS_BM02, id01.read_bm02, needs_log=True),
    Beamline("p10", "PETRA III P10", p10.NEEDS, p10.read),
    Beamline("nanomax", "MAX IV NanoMAX", nanomax.NEEDS, nanomax.read),
    Beamline("sixs", "SOLEIL SIXS", soleil.NEEDS_SIXS, soleil.read_sixs),
    Beamline("cristal", "SOLEIL CRISTAL", soleil.NEEDS_CRISTAL, soleil.read_cristal),
    Beamline("i16", "Diamond I16", nexus.NEEDS, nexus.read),
    Beamline("nexus", "any NeXus file with chains of NXtransformations", nexus.NEEDS, nexus.read),
)
BEAMLINES: dict[str, Beamline] = {b.name: b for b in _ALL}
"""Name on the command line -> beamline. A new one is a module and a line above."""
