"""Scan 54 of APS 34-ID-C, read once however many tests look at it."""

from functools import cache
from pathlib import Path

from autophasenn.beamlines import read_scan
from autophasenn.volumes import Scan


@cache
def scan_54(shared_data: Path) -> Scan:
    """The whole scan with dark and white field; not to be written to."""
    root = shared_data / "scan54_34idc"
    scan = read_scan(
        "34idc",
        root / "Staff20-1a_S0054",
        spec=root / "example.spec",
        dark=root / "dark.tif",
        white=root / "whitefield.tif",
    )
    scan.frames.flags.writeable = False
    return scan
