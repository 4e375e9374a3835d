"""Several scans of one reflection as one source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from autophasenn.errors import PlanError, quoted
from autophasenn.pipeline.source import Source

if TYPE_CHECKING:
    from autophasenn.preprocessing.options import Preprocessing
    from autophasenn.preprocessing.repeated import SummedScan
    from autophasenn.volumes import Scan


MOST_SCANS = 1000
"""That are summed: more is a slip of the hand."""
DIGITS = 12
"""Of the number of a scan, at most."""


@dataclass(frozen=True)
class RepeatedScans:
    """Scans that are summed where they show the same crystal.

    Parameters
    ----------
    scans : tuple of Source or Scan
        Two or more of one reflection; what is to be read, or was.

    Raises
    ------
    PlanError
        If there are fewer than two, or one is given twice.
    """

    scans: tuple[Source | Scan, ...]

    def __post_init__(self) -> None:
        if len(self.scans) < 2:
            raise PlanError(f"There is {len(self.scans)} scan to sum; give two or more of one reflection.")
        for number, scan in enumerate(self.scans):
            if any(scan is other or (isinstance(scan, Source) and scan == other) for other in self.scans[:number]):
                raise PlanError(
                    f"{scan.name if isinstance(scan, Source) else 'A scan'} is given twice; give each scan once."
                )

    def files(self) -> list[Path]:
        """What is read, as far as it is named here."""
        return [file for scan in self.scans if isinstance(scan, Source) for file in scan.files()]

    def read(self, how: Preprocessing | None = None) -> SummedScan:
        """The sum.

        Parameters
        ----------
        how : Preprocessing, optional
            Detector corrections; None: the defaults.

        Raises
        ------
        InputError, GeometryError, PlanError
            If a scan cannot be read, or no two show the same crystal.
        """
        from autophasenn.preprocessing.repeated import sum_scans

        return sum_scans([scan.read() if isinstance(scan, Source) else scan for scan in self.scans], how)


def sources(source: Source, inputs: Sequence[str], numbers: Iterable[int] = ()) -> list[Source]:
    """A source for each input, or for each scan of these numbers in it.

    Parameters
    ----------
    source : Source
        What holds for all of them.
    inputs : sequence of str
    numbers : iterable of int
        Of scans in files that hold several, or in one SPEC file; where an input has ``{scan}`` in its name, as in
        ``Sample_S{scan:04d}``, of folders or files of their own.

    Raises
    ------
    PlanError
        If a name with ``{scan}`` cannot be filled in.
    """
    each = [source.of(input) for input in inputs]
    listed = list(numbers)
    return [_numbered(one, number) for one in each for number in listed] if listed else each


def _numbered(source: Source, number: int) -> Source:
    """Scan `number` of an input, or the input that has its number in its name."""
    name = source.input or ""
    if "{scan" not in name:
        return replace(source, scan=number)
    try:
        return source.of(name.format(scan=number))
    except (ValueError, KeyError, IndexError) as error:
        raise PlanError(
            f"{name} is no pattern of names ({error}); write the number of the scan as {{scan}} or {{scan:04d}}."
        ) from error


def scan_numbers(words: str) -> tuple[int, ...]:
    """``12,14-16`` -> 12, 14, 15, 16.

    Raises
    ------
    PlanError
        If it cannot be understood, or stands for more than `MOST_SCANS`.
    """
    found: list[int] = []
    for part in words.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first,)
        is_known = all(end.isdecimal() and len(end) <= DIGITS for end in ends)
        lowest, highest = (int(ends[0]), int(ends[-1])) if is_known else (1, 0)
        if highest < lowest:
            raise PlanError(f"--scans {quoted(words, 80)} cannot be understood; write numbers and ranges, as 12,14-16.")
        if len(found) + highest - lowest >= MOST_SCANS:
            raise PlanError(
                f"--scans {quoted(words, 80)} are more than {MOST_SCANS} scans; give those of one reflection that show the "
                "same crystal."
            )
        found += range(lowest, highest + 1)
    return tuple(found)
