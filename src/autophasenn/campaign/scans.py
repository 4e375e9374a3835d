"""Which scans a campaign has: the name of each, the folder of its result, and whether its files are those of before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from autophasenn.errors import InputError, PlanError
from autophasenn.files.tiled_server import is_address
from autophasenn.live.ledger import ScanRecord
from autophasenn.pipeline.source import Source

UNSAFE = re.compile(r"[^\w.+-]+")
DIGITS = re.compile(r"\d+")
RESERVED = ("series", "thumbnails")
"""Folders of a campaign that hold no scan."""


@dataclass(frozen=True)
class ScanOfCampaign:
    """One scan.

    Parameters
    ----------
    key : str
        Name of the folder of its result.
    name : str
        For people.
    number : int, optional
        Of the scan; the last digits of the name where none was given.
    source : Source
    """

    key: str
    name: str
    number: int | None
    source: Source

    @property
    def path(self) -> str:
        """Its folder or file, absolute, as the ledger keeps it."""
        return str(Path(self.source.input or "").resolve())


def scans_of(sources: Sequence[Source], known: Iterable[ScanRecord] = ()) -> list[ScanOfCampaign]:
    """A scan for every source, with the folder that it had before, or one that no other has.

    Parameters
    ----------
    sources : sequence of Source
    known : iterable of ScanRecord
        Of a campaign that goes on.

    Raises
    ------
    PlanError
        If there is none, or one is given twice.
    """
    if not sources:
        raise PlanError("There is no scan to reconstruct; give files or folders, or one with --scans 12,14-16.")
    keys = {(record.source, record.number): record.key for record in known}
    taken, found = {*keys.values(), *RESERVED}, list[ScanOfCampaign]()
    seen = set[tuple[str, int | None]]()
    for source in sources:
        scan = ScanOfCampaign("", _name(source), _number(source), source)
        identity = (scan.path, scan.number)
        if identity in seen:
            raise PlanError(f"{scan.name} is given twice; give each scan once.")
        seen.add(identity)
        key = keys.get(identity) or _free(UNSAFE.sub("-", scan.name).strip(".-") or "scan", taken)
        taken.add(key)
        found.append(ScanOfCampaign(key, scan.name, scan.number, source))
    return found


def check_there(sources: Sequence[Source]) -> None:
    """Refuse scans of which no file is there, rather than fail all of them with the same words.

    Raises
    ------
    InputError
        If none is.
    """
    if sources and all(map(_is_missing, sources)):
        several = f", nor one of any other of the {len(sources)} scans" if len({s.name for s in sources}) > 1 else ""
        raise InputError(f"There is no file {sources[0].name}{several}; check the path.")


def fingerprint(source: Source) -> str:
    """What the files of a scan look like; empty where a file holds many scans, which grows while this one does not."""
    if source.input is None or source.scan is not None:
        return ""
    path = Path(source.input.rpartition(":/")[0] or source.input)
    try:
        if path.is_dir():
            return ";".join(f"{each.name} {each.stat().st_size}" for each in sorted(path.iterdir()) if each.is_file())
        state = path.stat()
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """To sort names as people do: scan 9 before scan 10."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def number_in(path: str) -> int | None:
    """The last digits in the name of a file or folder, which number scans mostly; None where there are none."""
    digits = DIGITS.findall(Path(path).stem)
    return int(digits[-1]) if digits and len(digits[-1]) < 10 else None


def _is_missing(source: Source) -> bool:
    place = source.input
    return place is not None and not is_address(place) and not Path(place.partition(":/")[0]).exists()


def _name(source: Source) -> str:
    path, _, dataset = (source.input or "example").partition(":/")
    stem = Path(path).name if Path(path).is_dir() else Path(path).stem
    if source.scan is not None and not _ends_in(stem, source.scan):
        return f"{stem} {source.scan}"
    return f"{stem} {dataset}" if dataset else stem


def _ends_in(stem: str, number: int) -> bool:
    digits = DIGITS.findall(stem)
    return bool(digits) and int(digits[-1]) == number


def _number(source: Source) -> int | None:
    if source.scan is not None:
        return int(source.scan)
    return number_in(source.input or "")


def _free(base: str, taken: set[str]) -> str:
    key, number = base, 2
    while key in taken:
        key, number = f"{base}-{number}", number + 1
    return key
