"""What is in a file: a scan, a pattern, a dataset or a result, in numbers and in a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from autophasenn.crystals.dataset import DatasetFile
from autophasenn.errors import AutoPhaseNNError, InputError, PlanError
from autophasenn.files.cxi import PROCESS, read_result
from autophasenn.files.writing import write_atomically
from autophasenn.physics.metrics import chi2
from autophasenn.pipeline.preprocess import preprocess
from autophasenn.pipeline.reconstruct import Request, read_input
from autophasenn.pipeline.sampling import estimate_oversampling
from autophasenn.report.contact_sheet import Row, contact_sheet
from autophasenn.volumes import Scan

PICTURE = ".inspect.png"
"""What the picture's name adds to that of the file, unless it is told."""
COUNTED = 64
"""Samples of a dataset whose photons are counted, evenly spread."""


@dataclass(frozen=True)
class Finding:
    """What was found.

    Parameters
    ----------
    kind : str
        "scan", "pattern", "dataset" or "result".
    facts : dict
        Name -> number or sentence, to be shown.
    picture : Path
    report : dict, optional
        ``report.json`` of a result.
    """

    kind: str
    facts: dict[str, Any]
    picture: Path
    report: dict[str, Any] | None = None


def inspect(request: Request, picture: Path | None = None, samples: int = 8) -> Finding:
    """Look into a file or a scan's folder, and draw what is in it.

    Parameters
    ----------
    request : Request
        Its `input` names what to look into, with `beamline` and what belongs to it for a scan; nothing else of it counts.
    picture : Path, optional
        PNG file, replaced if it is there. None: beside the input, ``NAME.inspect.png``.
    samples : int
        Of a dataset, how many to draw, evenly spread.

    Raises
    ------
    InputError, GeometryError
        If it cannot be read.
    PlanError
        If options are missing for it or do not apply.
    OutputError
        If the disk is full.
    """
    if request.input is None:
        raise PlanError("There is nothing to look into; give a file, or the folder of a scan.")
    if samples < 1:
        raise PlanError(f"{samples} samples make no sheet; give 1 or more.")
    path = Path(request.input)
    picture = picture or path.with_name(path.name.split(":")[0] + PICTURE)
    if picture.suffix != ".png":
        raise PlanError(f"The picture {picture} does not end in .png; it is a PNG file.")
    if path.is_dir() and (path / "result.cxi").is_file():
        path = path / "result.cxi"
    kind = _kind(path) if request.beamline is None else "scan"
    if kind == "dataset":
        rows, facts, report = *_dataset(path, samples), None
    elif kind == "result":
        rows, facts, report = _result(path)
    else:
        rows, facts, report = *_pattern(read_input(request)), None
    try:
        with write_atomically(picture) as temporary:
            contact_sheet(rows, temporary, path.name)
    except (PermissionError, FileNotFoundError) as error:
        raise InputError(
            f"The picture {picture} cannot be written ({error.strerror}); say where it may be with -o PICTURE.png."
        ) from error
    return Finding(kind, facts, picture, report)


def _kind(path: Path) -> str:
    """By what it says of itself; "pattern" if it says nothing."""
    if not path.is_file() or not h5py.is_hdf5(path):
        return "pattern"
    try:
        with h5py.File(path, "r") as file:
            if "format" in file.attrs:
                return "dataset"
            return "result" if PROCESS in file else "pattern"
    except OSError:
        return "pattern"


def _dataset(path: Path, samples: int) -> tuple[list[Row], dict[str, Any]]:
    with DatasetFile(path) as dataset:
        count = len(dataset)
        rows = [_sample(dataset, index) for index in spread(count, samples)]
        photons, unmeasured = [], []
        for index in spread(count, COUNTED):
            mask = dataset.masks([index])
            photons.append(float((dataset.patterns([index]) * mask).sum(dtype=torch.float64)))
            unmeasured.append(float(1 - mask.float().mean()))
        provenance = dataset.description.provenance
        facts = {
            "samples": count,
            "source": dataset.description.source,
            "seed": dataset.description.seed,
            "size": f"{path.stat().st_size / 1e6:.1f} MB, {path.stat().st_size / count / 1e3:.0f} kB a sample",
            "photons a pattern": f"{min(photons):.2g} to {max(photons):.2g}, median {np.median(photons):.2g}",
            "unmeasured voxels": f"{100 * np.mean(unmeasured):.2g} %" if dataset.has_masks else "none",
            "truth": "known (/objects, for evaluation only)" if dataset.has_truth else "unknown",
            "crystals": _words(provenance.get("source")),
            "experiment": _words(provenance.get("experiment")),
            "versions": _words(provenance.get("versions")),
        }
    return rows, facts


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` indices below `count`, evenly spread, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, wanted))})


def _sample(dataset: DatasetFile, index: int) -> Row:
    counts, mask = dataset.patterns([index])[0], dataset.masks([index])[0]
    rho = dataset.objects([index])[0] if dataset.has_truth else None
    sampling = estimate_oversampling(counts.numpy(), mask.numpy())
    notes = [
        f"sample {index}",
        f"{float(counts[mask].sum(dtype=torch.float64)):.3g} photons",
        f"oversampling {' '.join(f'{value:.1f}' for value in sampling)}",
    ]
    if not mask.all():
        notes.append(f"{100 * (1 - float(mask.float().mean())):.2g} % unmeasured")
    return Row(counts, mask, rho, notes)


def _result(path: Path) -> tuple[list[Row], dict[str, Any], dict[str, Any]]:
    result = read_result(path)
    report = result.process.get("report") or {}
    found, pattern = result.reconstruction, result.pattern
    rho = found.object * found.support
    fit = float(chi2(rho, pattern.counts, pattern.mask))
    notes = [f"{float(pattern.counts[pattern.mask].sum(dtype=torch.float64)):.3g} photons", f"chi2 {fit:.3g}"]
    facts = {
        name.replace("_", " "): report.get(name)
        for name in ("status", "message", "method", "chi2", "chi2_noise", "shape", "voxel_size_nm", "q_per_nm")
    }
    return [Row(pattern.counts, pattern.mask, rho, notes, pattern.reciprocal_steps)], facts, report


def _pattern(scan: Scan) -> tuple[list[Row], dict[str, Any]]:
    """A scan as the reconstruction would take it; if it would not, as it is, and why."""
    frames = scan.frames
    facts: dict[str, Any] = {
        "frames": " x ".join(map(str, frames.shape)),
        "type": str(frames.dtype),
        "largest value": f"{np.nanmax(frames):g}",
        "geometry": "unknown" if scan.geometry is None else "known",
    }
    try:
        prepared = preprocess(scan)
    except AutoPhaseNNError as error:
        return [_as_stored(scan)], facts | {"cannot be reconstructed": str(error)}
    pattern = prepared.pattern
    facts |= {
        "photons": f"{prepared.facts['photons']:.3g}",
        "peak (frame, row, column)": ", ".join(map(str, prepared.peak)),
        "pattern": " x ".join(map(str, pattern.shape)),
        "binning": " x ".join(map(str, prepared.binning)),
        "oversampling": " x ".join(f"{value:.2f}" for value in prepared.oversampling),
        "unmeasured voxels": f"{100 * prepared.facts['masked_fraction']:.2f} %",
        "aliens": prepared.facts["aliens"],
        "warnings": " ".join(prepared.warnings) or "none",
    }
    notes = [
        f"{prepared.facts['photons']:.3g} photons",
        "oversampling",
        " ".join(f"{value:.1f}" for value in prepared.oversampling),
    ]
    return [Row(pattern.counts, pattern.mask, None, notes, pattern.reciprocal_steps)], facts


def _as_stored(scan: Scan) -> Row:
    counts = torch.from_numpy(scan.frames.astype(np.float32))
    mask = torch.ones_like(counts, dtype=torch.bool) if scan.mask is None else torch.from_numpy(scan.mask)
    mask = mask.expand(counts.shape) & counts.isfinite() & (counts >= 0)
    return Row(counts.nan_to_num(0).clamp_min(0), mask, None, ["as stored"])


def _words(value: Any) -> str:
    """Nested parameters on one line; what is None is left out."""
    if isinstance(value, Mapping):
        parts = ((name.replace("_", " "), below) for name, below in value.items() if below is not None)
        return ", ".join(
            f"{name} ({_words(v)})" if isinstance(v, Mapping) else f"{name} {_words(v)}" for name, v in parts
        )
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
