"""Results in napari: amplitude, phase, displacement and strain as layers in nm. `napari.yaml` tells napari of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.files.convention import RESULT
from autophasenn.files.cxi_image import image_in, process_in
from autophasenn.files.guarded import opened_result
from autophasenn.image import CrystalImage, Floats
from autophasenn.report.scales import displacement_scale, phase_scale, strain_scale

Layer = tuple[Floats, dict[str, Any], str]
"""Data, what `viewer.add_image` is given beside them, and the kind of layer."""
Reader = Callable[[Any], list[Layer]]


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """A function that reads a result, as napari asks for it; None: these are no results.

    Parameters
    ----------
    path : str or sequence of str
        Result folders, or ``.cxi`` files.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    return (
        read_layers if paths and all(_file(each).suffix == ".cxi" and _file(each).is_file() for each in paths) else None
    )


def read_layers(path: str | Sequence[str]) -> list[Layer]:
    """Layers of one or several results.

    Every volume lies where it does in the laboratory: axes x, y, z, voxels in nm (without geometry the axes and voxels of
    the detector's grid), the origin in voxel ``n // 2``. Outside of the crystal all but the amplitude are NaN, which napari
    draws as nothing. Only the amplitude and, where it is known, the strain (else the phase) are shown at first.

    Parameters
    ----------
    path : str or sequence of str
        Result folders, or ``.cxi`` files.

    Raises
    ------
    InputError
        If one of them is damaged, empty or of another program.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    return [layer for each in paths for layer in _layers(_file(each))]


def _file(path: str | Path) -> Path:
    return Path(path) / RESULT if Path(path).is_dir() else Path(path)


def _layers(file: Path) -> list[Layer]:
    with opened_result(file) as stored:
        image, process = image_in(stored), process_in(stored)
    report = process.get("report")
    report = report if isinstance(report, dict) else {}
    name = file.resolve().parent.name if file.name == RESULT else file.stem
    steps = image.spacing
    common = {
        "scale": steps,
        "translate": tuple(-(n // 2) * step for n, step in zip(image.shape, steps, strict=True)),
        "units": ("nm" if image.voxel_size is not None else "pixel",) * 3,
        "axis_labels": image.axes,
        "metadata": {
            "path": str(file),
            "status": str(report.get("status") or "unknown"),
            "message": str(report.get("message") or ""),
            "scattering_vector_per_m": None if image.scattering_vector is None else image.scattering_vector.tolist(),
        },
    }
    shown = "strain" if image.strain is not None else "phase (rad)"
    return [
        (
            values,
            {**common, "name": f"{name}: {title}", "colormap": colours, "contrast_limits": limits, "blending": blending,
             "visible": title in ("amplitude", shown)},
            "image",
        )
        for title, values, colours, limits, blending in _volumes(image)
    ]  # fmt: skip


def _volumes(image: CrystalImage) -> list[tuple[str, Floats, str, tuple[float, float], str]]:
    """Title, values, colours, limits and blending of all that there is, the lowest layer first."""
    phase = phase_scale(image.phase)
    found: list[tuple[str, Floats, str, tuple[float, float], str]] = [
        ("amplitude", image.amplitude, "gray", (0.0, 1.0), "translucent_no_depth"),
        ("phase (rad)", phase.values(image.phase), "twilight_shifted" if phase.is_cyclic else "PuOr",
         (-phase.limit, phase.limit), "translucent"),
    ]  # fmt: skip
    if image.displacement is not None:
        limit = displacement_scale(image.displacement).limit / 1e3  # of a scale in pm
        found.append(
            ("displacement (nm)", image.displacement * np.float32(1e9), "PuOr", (-limit, limit), "translucent")
        )
    if image.strain is not None:
        scale = strain_scale(image.strain)
        limit = scale.limit / scale.factor
        found.append(("strain", image.strain, "RdBu_r", (-limit, limit), "translucent"))
    for title, spread in (
        ("uncertainty of the phase (rad)", image.phase_spread),
        ("uncertainty of the amplitude", image.amplitude_spread),
    ):
        if spread is not None:
            high = float(np.nanquantile(spread, 0.99)) or 1.0
            found.append((title, spread, "viridis", (0.0, high), "translucent"))
    return found
