"""The numbers of a report in words, once: for the terminal, the figures, the viewer and the table of a watched folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeGuard

from autophasenn.report.numbers import Distribution, Report

UNKNOWN = "unknown"
PENDING = "being computed"
CERTAIN = 0.99
"""A share beyond it is "more than 99 %": nothing that is estimated is certain. Below 1 less it, "less than 1 %"."""
SHOWN_OF_CHECKSUM = 12
"""Hexadecimal digits."""
NANOMETRES_CUBED = 1e-9
"""µm³ in a nm³."""


@dataclass(frozen=True)
class Fact:
    """A number for people.

    Parameters
    ----------
    name : str
    value : str
        With its unit; `UNKNOWN` where it is.
    meaning : str
        A few words that say what it is.
    """

    name: str
    value: str
    meaning: str

    @property
    def is_known(self) -> bool:
        """Is there a value?"""
        return self.value != UNKNOWN


def number(value: object, unit: str = "", digits: int = 3, factor: float = 1.0) -> str:
    """A number with its unit, a minus sign that is one, and so many significant digits; `UNKNOWN` if it is none."""
    if not _is_number(value):
        return UNKNOWN
    return f"{value * factor:.{digits}g} {unit}".strip().replace("-", "−")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and value is not True and value is not False and math.isfinite(value)


def percent(share: object) -> str:
    """A share from 0 to 1 in percent, never 0 or 100."""
    if not _is_number(share):
        return UNKNOWN
    if share > CERTAIN:
        return f"more than {CERTAIN:.0%}".replace("%", " %")
    return f"less than {1 - CERTAIN:.0%}".replace("%", " %") if share < 1 - CERTAIN else f"{100 * share:.0f} %"


def lengths(values: Sequence[float] | None, unit: str, digits: int = 3) -> str:
    """One length where all are equal, else each of them."""
    if not values:
        return UNKNOWN
    said = [number(value, digits=digits) for value in values]
    return f"{said[0] if len(set(said)) == 1 else ' × '.join(said)} {unit}"


def interval(low: object, high: object, unit: str, factor: float = 1.0) -> str:
    """From a number to another."""
    ends = number(low, factor=factor), number(high, factor=factor)
    return UNKNOWN if UNKNOWN in ends else f"{ends[0]} to {ends[1]} {unit}"


def spread(mean: object, std: object, unit: str, factor: float = 1.0) -> str:
    """Mean and standard deviation; the latter alone where the mean is not known. ± is kept for uncertainties."""
    said = number(std, factor=factor)
    if said == UNKNOWN:
        return UNKNOWN
    # A mean that is 0 by definition comes out as 1e-12: no more digits than the standard deviation's.
    middle = f"{mean * factor:z.2f} (spread {said})" if _is_number(mean) else f"spread {said}"
    return f"{middle} {unit}".replace("-", "−")


def ratio(value: float | None, noise: float | None) -> str:
    """A misfit over that of counting noise."""
    return UNKNOWN if value is None or not noise else number(value / noise)


def resolution(report: Report) -> str:
    """Full period, or what it would need: without a PRTF it is not even known whether it would be a bound."""
    if report.resolution_is_bound is None and report.voxel_size_nm is not None:
        return "needs several starts" + ("" if report.method == "iterative" else " (--method iterative)")
    length = number(report.resolution_nm, "nm")
    return f"≤ {length}" if report.resolution_is_bound and length != UNKNOWN else length


def duration(report: Report) -> str:
    """Seconds, and those of each stage."""
    total = number(report.seconds.get("total"), "s")
    stages = [f"{name} {number(value)}" for name, value in report.seconds.items() if value and name != "total"]
    return f"{total} ({', '.join(stages)})" if stages and total != UNKNOWN else total


def _held_out(report: Report) -> str:
    """With what counting noise alone gives there."""
    noise = "" if report.chi2_noise_free is None else f", noise {number(report.chi2_noise_free)}"
    return f"{number(report.chi2_free)}{noise}"


def _confidence(report: Report) -> str:
    return PENDING if report.confidence.is_pending else percent(report.confidence.number)


def _network(report: Report) -> str:
    """Its name, and the file of its weights with the beginning of the checksum."""
    learned = report.weights
    if learned.network is None:
        return "none" if report.method == "iterative" else UNKNOWN
    checksum = f", SHA-256 {learned.sha256[:SHOWN_OF_CHECKSUM]} …" if learned.sha256 else ""
    return f"{learned.network} ({learned.file or 'given in memory'}{checksum})"


def facts(report: Report) -> dict[str, Fact]:
    """Every number that people ask for, by a short key, in the order in which they are shown.

    Parameters
    ----------
    report : Report
        Unknown numbers have the value `UNKNOWN`.
    """
    strain, displacement = report.strain or Distribution(), report.displacement_nm or Distribution()
    shown = {
        "method": (report.method or UNKNOWN, "how the phases were found"),
        "χ²": (number(report.chi2), "misfit of the pattern, 0 is perfect"),
        "χ² of counting noise": (number(report.chi2_noise), "what a perfect object would have"),
        "χ² over that of noise": (ratio(report.chi2, report.chi2_noise), "near 1: as good as the counts allow"),
        "χ² of held-out voxels": (_held_out(report), "misfit of voxels that were not used, which have fewer counts"),
        "confidence": (_confidence(report), "chance that the image is right"),
        "resolution": (resolution(report), "full period, where the starts agree"),
        "voxel": (lengths(report.voxel_size_nm, "nm"), "edge of the grid of the image"),
        "d spacing": (number(report.d_spacing_nm, "nm", 5), "of the mean lattice planes, along Q"),
        "|Q|": (number(report.q_per_nm, "nm⁻¹", 5), "2π over the d spacing"),
        "strain": (spread(strain.mean, strain.std, "× 10⁻⁴", 1e4), "mean and standard deviation, without the surface"),
        "strain, 1 to 99 %": (interval(strain.p1, strain.p99, "× 10⁻⁴", 1e4), "without the surface"),
        "displacement, 1 to 99 %": (interval(displacement.p1, displacement.p99, "pm", 1e3), "along Q"),
        "volume": (number(report.volume_nm3, "µm³", factor=NANOMETRES_CUBED), "of the crystal"),
        "support": (number(report.support_voxels, "voxels", 12), "voxels of the image inside the crystal"),
        "seed": (UNKNOWN if report.seed is None else str(report.seed), "of everything that is random"),
        "network": (_network(report), "that the image began from, and the file of its weights"),
        "device": (report.device or UNKNOWN, "on which it was computed"),
        "time": (duration(report), "from reading to writing, and by stage"),
        "peak memory": (number(report.peak_memory_bytes, "GiB", factor=2.0**-30), "of the whole job"),
    }  # fmt: skip
    return {name: Fact(name, value, meaning) for name, (value, meaning) in shown.items()}


def with_error(value: float, error: float | None, digits: int = 3) -> str:
    """A number with its uncertainty to one or two digits of that; without, to so many significant digits.

    Examples
    --------
    >>> with_error(2.34254, 0.00032, 6)
    '2.34254 ± 0.00032'
    >>> with_error(1234.5, None, 3)
    '1,230'
    """
    if error is not None and error > 0:
        places = max(0, 1 - math.floor(math.log10(error)))
        return f"{value:z.{places}f} ± {error:.{places}f}".replace("-", "−")
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):,.{max(0, places)}f}".replace("-", "−")
