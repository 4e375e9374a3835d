"""What is in a file: a scan, a pattern, a dataset or a result, in numbers and in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from autophasenn.errors import AutoPhaseNNError, OutputError, PlanError
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.boundary import reading
from autophasenn.files.convention import PROCESS, RESULT
from autophasenn.files.cxi import read_result
from autophasenn.files.tree import opened
from autophasenn.files.writing import write_atomically
from autophasenn.physics import geometry
from autophasenn.pipeline.geometry_words import geometry_facts
from autophasenn.pipeline.prepare import prepare
from autophasenn.pipeline.source import Source
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.preprocessing.sampling import middle
from autophasenn.report.contact_sheet import Row, as_stored, contact_sheet
from autophasenn.report.provenance import told, words
from autophasenn.report.style import save
from autophasenn.volumes import Scan, crop_or_pad

PICTURE = ".inspect.png"
"""What the picture's name adds to that of the file, unless it is told."""
REPORTED = (
    *("status", "message", "method", "seed", "chi2", "chi2_noise", "chi2_free", "resolution_nm", "voxel_size_nm"),
    *("d_spacing_nm", "support_voxels", "volume_nm3", "oversampling"),
)
"""What is told of a result's report, in this order (docs/physics/conventions.md)."""
ESTIMATED = "oversampling (estimated)"
COUNTED = 64
"""Samples of a dataset whose photons are counted, evenly spread."""


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Parameters
    ----------
    kind : str
        "scan", "pattern", "dataset" or "result".
    path : Path
        The file or folder that holds it.
    facts : dict
        Name -> number or words, to be shown; None is unknown.
    rows : list of Row
        To be drawn.
    """

    kind: str
    path: Path
    facts: dict[str, Any]
    rows: list[Row]


def look(source: Source, samples: int = 8) -> Inspection:
    """Look into a file or a scan's folder.

    Parameters
    ----------
    source : Source
    samples : int
        Of a dataset, how many to draw, evenly spread.

    Raises
    ------
    InputError, GeometryError
        If it cannot be read.
    PlanError
        If options are missing for it or do not apply.
    """
    if source.input is None:
        raise PlanError("There is nothing to look into; give a file, or the folder of a scan.")
    if samples < 1:
        raise PlanError(f"{samples} samples make no sheet; give 1 or more.")
    if source.beamline is not None:
        return _pattern(source.read(), "scan")
    path = Path(source.input)
    with reading(path):
        path = path / RESULT if (path / RESULT).is_file() else path
    kind = _kind(path)
    if kind == "pattern":
        return _pattern(source.read(), kind)
    return _dataset(path, samples) if kind == "dataset" else _result(path)


def picture_of(inspection: Inspection) -> Path:
    """Where the picture lies that nobody gave a name: in the current folder, ``NAME.inspect.png``; data stay as they are."""
    return Path(inspection.path.name + PICTURE)


def check_picture(picture: Path) -> None:
    """Is it the name of a picture?

    Raises
    ------
    PlanError
        If it is not.
    """
    if picture.suffix != ".png":
        raise PlanError(f"The picture {picture} does not end in .png; it is a PNG file.")


def draw(inspection: Inspection, picture: Path, overwrite: bool = False) -> None:
    """Draw what was found.

    Parameters
    ----------
    inspection : Inspection
    picture : Path
        PNG file to write.
    overwrite : bool
        May a picture that is there be replaced?

    Raises
    ------
    PlanError
        If its name is not that of a PNG file.
    OutputError
        If it is there, or cannot be written.
    """
    check_picture(picture)
    if picture.exists() and not overwrite:
        raise OutputError(
            f"The picture {picture} exists already and was left as it is; give another name with -o PICTURE.png, or "
            "--overwrite to replace it."
        )
    try:
        with write_atomically(picture) as temporary:
            temporary.touch()  # drawing takes a second: first see whether it can be kept
            save(contact_sheet(inspection.rows, inspection.path.name), temporary)
    except OSError as error:
        raise OutputError(
            f"The picture {picture} cannot be written ({error.strerror or error}); say where it may be with -o "
            "PICTURE.png."
        ) from error


def _kind(path: Path) -> str:
    """By what it says of itself; "pattern" if it says nothing."""
    with reading(path):
        if not path.is_file() or not h5py.is_hdf5(path):
            return "pattern"
        with opened(path) as file:
            if "format" in file.attrs:
                return "dataset"
            return "result" if PROCESS in file else "pattern"


def _dataset(path: Path, samples: int) -> Inspection:
    with DatasetFile(path) as dataset:
        count = len(dataset)
        rows = [_sample(dataset, index) for index in spread(count, samples)]
        photons, unmeasured = [], []
        for index in spread(count, COUNTED):
            mask = dataset.masks([index])
            photons.append(_photons(dataset.patterns([index]), mask))
            unmeasured.append(float(1 - mask.float().mean()))
        provenance = dataset.description.provenance
        facts = {
            "samples": count,
            "recipe": provenance.get("recipe"),
            "source": dataset.description.source,
            "seed": dataset.description.seed,
            "size": f"{path.stat().st_size / 1e6:.1f} MB, {path.stat().st_size / count / 1e3:.0f} kB a sample",
            "photons a pattern": f"{min(photons):.2g} to {max(photons):.2g}, median {np.median(photons):.2g}",
            "unmeasured voxels": f"{100 * np.mean(unmeasured):.2g} %" if dataset.has_masks else "none",
            "truth": "known (/objects, for evaluation only)" if dataset.has_truth else "unknown",
            "crystals": _of_the_crystals(provenance.get("source")),
            "experiment": told(provenance.get("experiment")),
            "versions": words(provenance.get("versions")),
        }
        if facts["recipe"] is None:  # older files do not tell
            del facts["recipe"]
    return Inspection("dataset", path, facts, rows)


def _of_the_crystals(source: Any) -> str | None:
    """Without the name of the source, which has its own line."""
    return told({k: v for k, v in source.items() if k != "source"} if isinstance(source, dict) else source)


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices below `count`, evenly spread, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, wanted))})


def _sample(dataset: DatasetFile, index: int) -> Row:
    counts, mask = dataset.patterns([index])[0], dataset.masks([index])[0]
    rho = dataset.objects([index])[0] if dataset.has_truth else None
    sampling = estimate_oversampling(counts.numpy(), mask.numpy())
    notes = [
        f"sample {index}",
        f"{_photons(counts, mask):.3g} photons",
        ESTIMATED,
        " ".join(f"{value:.1f}" for value in sampling),
    ]
    if not mask.all():
        notes.append(f"{100 * (1 - float(mask.float().mean())):.2g} % unmeasured")
    return Row(counts, mask, rho, notes)


def _result(path: Path) -> Inspection:
    result = read_result(path)
    report, found, pattern = result.process.get("report", {}), result.reconstruction, result.pattern
    strain, source = report.get("strain") or {}, report.get("input") or {}
    facts = {name.replace("_", " "): words(report.get(name)) for name in REPORTED}
    facts |= {"strain": words(strain), "made from": source.get("path"), "warnings": words(report.get("warnings"))}
    notes = [f"{_photons(pattern.counts, pattern.mask):.3g} photons", f"chi2 {words(report.get('chi2'))}"]
    rho = crop_or_pad(found.object * found.support, [n // 2 for n in pattern.shape])
    return Inspection("result", path, facts, [Row(pattern.counts, pattern.mask, rho, notes, pattern.reciprocal_steps)])


def _pattern(scan: Scan, kind: str) -> Inspection:
    """A scan as the reconstruction would take it; if it would not, as it is, and why."""
    path, frames = Path(scan.source["path"]), scan.frames
    facts: dict[str, Any] = {
        "frames": _shape(frames.shape),
        "type": str(frames.dtype),
        "largest value": f"{np.nanmax(frames):g}",
        "geometry": None if scan.geometry is None else "known",
    }
    try:
        read = prepare(scan)
    except AutoPhaseNNError as error:
        return Inspection(kind, path, facts | {"cannot be reconstructed": str(error)}, [as_stored(scan)])
    prepared = read.preprocessed
    pattern, found = prepared.pattern, prepared.facts
    if scan.geometry is not None:
        facts |= geometry_facts(geometry.describe(scan.geometry, *middle(prepared.window)))
    sampling = [f"{value:.2f}" for value in prepared.oversampling]
    facts |= {
        "photons": f"{found['photons']:.3g}",
        "peak (frame, row, column)": ", ".join(map(str, prepared.peak)),
        "pattern": _shape(pattern.shape),
        "binning": _shape(prepared.binning),
        "oversampling": " x ".join(sampling),
        "unmeasured voxels": f"{100 * found['masked_fraction']:.2g} %",
        "aliens": found["aliens"],
        "warnings": " ".join(read.warnings) or "none",
    }
    notes = [f"{found['photons']:.3g} photons", ESTIMATED, " ".join(sampling)]
    return Inspection(kind, path, facts, [Row(pattern.counts, pattern.mask, None, notes, pattern.reciprocal_steps)])


def _photons(counts: Tensor, mask: Tensor) -> float:
    return float(counts[mask].sum(dtype=torch.float64))


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
