"""The beamlines that can be read, by their name on the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autophasenn.beamlines import aps, aps34idc, diffractometers, id01, nanomax, nexus, p10, soleil
from autophasenn.beamlines.measurement import Asked, Measurement
from autophasenn.physics.diffractometer import Diffractometer


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
    example : str
        The words after ``autophasenn reconstruct`` for a usual scan, without the output.
    read : callable
        From what is asked for to what is on disk.
    circles : tuple of Diffractometer
        The circles and detectors that it has; empty where the file gives them.
    records_direct_beam : bool
        Whether the files say which pixel the direct beam meets; elsewhere it is assumed where it is not given.
    expected : callable, optional
        How many frames the complete scan will have; None where it does not tell, or not yet.
    needs_log : bool
        Whether nothing can be read without the SPEC file.
    """

    name: str
    title: str
    needs: str
    example: str
    read: Callable[[Asked], Measurement]
    circles: tuple[Diffractometer, ...] = ()
    records_direct_beam: bool = False
    expected: Callable[[Asked], int | None] | None = None
    needs_log: bool = False


_ALL = (
    Beamline(
        "34idc",
        "APS 34-ID-C",
        aps34idc.NEEDS,
        "Sample_S0054 --beamline 34idc --spec sample.spec --dark dark.tif --white whitefield.tif",
        aps34idc.read,
        (diffractometers.APS_34IDC,),
        expected=aps34idc.expected_frames,
        needs_log=True,
    ),
    Beamline(
        "28idb",
        "APS 28-ID-B",
        aps.NEEDS_28IDB,
        "Sample_S0041_00000.h5 --beamline 28idb --spec sample.spec",
        aps.read_28idb,
        (diffractometers.APS_28IDB,),
        needs_log=True,
    ),
    Beamline(
        "7idd",
        "APS 7-ID-D",
        aps.NEEDS_7IDD,
        "Sample_S0021 --beamline 7idd --spec sample.spec",
        aps.read_7idd,
        (diffractometers.APS_7IDD,),
        expected=aps.expected_7idd,
        needs_log=True,
    ),
    Beamline(
        "20ide",
        "APS 20-ID-E",
        aps.NEEDS_20IDE,
        "sample_17.asi.h5 --beamline 20ide",
        aps.read_20ide,
        (diffractometers.APS_20IDE,),
    ),
    Beamline(
        "1ide",
        "APS 1-ID-E",
        aps.NEEDS_1IDE,
        "Sample_S0033 --beamline 1ide --spec sample.spec --energy 52000 --distance 6.0",
        aps.read_1ide,
        (diffractometers.APS_1IDE,),
        expected=aps.expected_1ide,
        needs_log=True,
    ),
    Beamline(
        "id01",
        "ESRF ID01",
        id01.NEEDS,
        "sample.h5 --beamline id01 --scan 12",
        id01.read,
        (diffractometers.ID01,),
        records_direct_beam=True,
        expected=id01.expected_frames,
    ),
    Beamline(
        "id27",
        "ESRF ID27",
        id01.NEEDS_ID27,
        "sample.h5 --beamline id27 --scan 3 --distance 2.0 --direct-beam 1631,1554",
        id01.read_id27,
        (diffractometers.ID27,),
        expected=id01.expected_frames,
    ),
    Beamline(
        "bm02",
        "ESRF BM02",
        id01.NEEDS_BM02,
        "frames --beamline bm02 --spec sample.spec --scan 7 --distance 1.2 --pixel 130e-6",
        id01.read_bm02,
        (diffractometers.BM02,),
        needs_log=True,
    ),
    Beamline(
        "p10",
        "PETRA III P10",
        p10.NEEDS,
        "sample_00042 --beamline p10",
        p10.read,
        (diffractometers.P10, diffractometers.P10_EH2),
    ),
    Beamline(
        "nanomax",
        "MAX IV NanoMAX",
        nanomax.NEEDS,
        "000123.h5 --beamline nanomax",
        nanomax.read,
        (diffractometers.NANOMAX_MERLIN, diffractometers.NANOMAX_EIGER),
    ),
    Beamline(
        "sixs",
        "SOLEIL SIXS",
        soleil.NEEDS_SIXS,
        "align_00085.nxs --beamline sixs --distance 1.18",
        soleil.read_sixs,
        (diffractometers.SIXS_2019, diffractometers.SIXS_2022),
    ),
    Beamline(
        "cristal",
        "SOLEIL CRISTAL",
        soleil.NEEDS_CRISTAL,
        "mgphi-2021_00083.nxs --beamline cristal --distance 1.0",
        soleil.read_cristal,
        (diffractometers.CRISTAL,),
    ),
    Beamline(
        "i16",
        "Diamond I16",
        nexus.NEEDS,
        "1041234.nxs --beamline i16",
        nexus.read,
        records_direct_beam=True,
    ),
    Beamline(
        "nexus",
        "any NeXus file with chains of NXtransformations",
        nexus.NEEDS,
        "scan.nxs --beamline nexus",
        nexus.read,
        records_direct_beam=True,
    ),
)
BEAMLINES: dict[str, Beamline] = {b.name: b for b in _ALL}
"""Name on the command line -> beamline. A new one is a module and a line above."""
