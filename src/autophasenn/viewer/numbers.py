"""The numbers of a report in words, one row a fact; what is unknown says so."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from autophasenn.report.numbers import Report
from autophasenn.report.words import SHOWN_OF_CHECKSUM, UNKNOWN, Fact, facts, lengths, number, percent
from autophasenn.viewer.results import StoredImage


def rows_of(image: StoredImage) -> list[dict[str, str]]:
    """Name, value and what it means, of every number that people ask for.

    Returns
    -------
    list of dict
        ``name``, ``value``, ``meaning``.
    """
    report = Report.from_json(image.report)
    found = [*facts(report).values(), *_measurement(report), *_provenance(report)]
    size = Fact(
        "size", f"{' × '.join(f'{edge:.0f}' for edge in image.extent)} {image.unit}", "of the box around the crystal"
    )
    return [
        {"name": _begun_large(fact.name), "value": fact.value, "meaning": fact.meaning}
        for fact in (*found[:8], size, *found[8:])
    ]


def numbers_csv(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """The numbers as they stand on the page, as comma-separated values.

    Parameters
    ----------
    names : sequence of str
        Of the results.
    rows : sequence of mapping
        ``name``, ``meaning``, and ``values`` of all results.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["number", *names, "meaning"])
    for row in rows:
        # a spreadsheet would run what begins so
        cells = [row["name"], *row["values"], row["meaning"]]
        writer.writerow([f"'{cell}" if str(cell)[:1] in ("=", "+", "@") else cell for cell in cells])
    return buffer.getvalue()


def _begun_large(name: str) -> str:
    """With a capital; a Greek letter, which is a symbol, stays as it is."""
    return name[:1].upper() + name[1:] if name[:1].isascii() else name


def _measurement(report: Report) -> list[Fact]:
    """Of the pattern and of how it was taken."""
    seen, starts = report.preprocess or {}, report.starts
    shape = UNKNOWN if not report.shape else " × ".join(map(str, report.shape))
    binning = UNKNOWN if not report.binning else " × ".join(map(str, report.binning))
    oversampling = UNKNOWN if not report.oversampling else " × ".join(f"{value:.2g}" for value in report.oversampling)
    agree = UNKNOWN if starts.number is None else f"{starts.averaged} of {starts.number} agree"
    scores = ", ".join(number(value) for value in starts.chi2_free[:8])
    return [
        Fact("photons", number(seen.get("photons")), "counts of the pattern"),
        Fact("pattern", shape, "voxels along frames, rows and columns, as it was phased"),
        Fact("binning", binning, "raw voxels that were summed"),
        Fact("oversampling", oversampling, "along frames, rows and columns; 2 is the least"),
        Fact("not measured", percent_or_none(seen.get("masked_fraction")), "share of the voxels that is masked"),
        Fact("detector voxel", lengths(report.detector_voxel_size_nm, "nm"), "edges in the detector frame"),
        Fact("starts", agree, "of which the image is made"),
        Fact("χ² of the starts", scores or UNKNOWN, "each on its held-out voxels"),
    ]  # fmt: skip


def percent_or_none(share: Any) -> str:
    """A share that may well be none at all."""
    return "none" if share == 0 else percent(share)


def _provenance(report: Report) -> list[Fact]:
    """Where the image comes from."""
    checksum, versions = report.input.sha256, report.versions or {}
    return [
        Fact("input", report.input.path or UNKNOWN, "file or folder that was read"),
        Fact("checksum", f"{checksum[:SHOWN_OF_CHECKSUM]} …" if checksum else UNKNOWN, "beginning of the input's SHA-256"),
        Fact("versions", ", ".join(f"{name} {each}" for name, each in versions.items()) or UNKNOWN, "of the programs"),
    ]  # fmt: skip


def warnings_of(image: StoredImage) -> list[str]:
    """The report's warnings, those of its confidence among them."""
    report = image.report
    found = [*_sentences(report.get("warnings")), *_sentences(_value(report.get("confidence"), "warnings"))]
    return list(dict.fromkeys(found))


VERDICTS = ("reconstructed", "unchecked", "uncertain", "poor")
"""From the best to the worst."""


def colour_of(verdict: str) -> str:
    """Of the word of a verdict; grey where there is none."""
    colours = dict(zip(VERDICTS, ("success", "info", "warning", "error"), strict=True))
    return colours.get(verdict, "info" if verdict else "")


def headline(image: StoredImage) -> dict[str, str]:
    """The verdict: a word, its colour, a sentence, and one on how far the image can be believed."""
    status = str(image.report.get("status") or UNKNOWN)
    confidence = str(_value(image.report.get("confidence"), "meaning") or "")
    return {
        "word": status,
        "colour": colour_of(status),
        "sentence": str(image.report.get("message") or ""),
        "belief": confidence,
    }


def _value(group: Any, name: str) -> Any:
    return group.get(name) if isinstance(group, Mapping) else None


def _sentences(found: Any) -> list[str]:
    return [str(sentence) for sentence in found] if isinstance(found, list) else []
