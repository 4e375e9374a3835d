"""Result files: CXI 1.5 (HDF5), laid out so that PyNX, cdiutils and silx view open them.

    /cxi_version                                150
    /entry_1/instrument_1/detector_1            measured counts, mask (CXI: 0 = good pixel), sampling in q
    /entry_1/image_1                            complex object, detector frame; support, also as `mask` as PyNX has it
    /entry_1/image_1/spread                     phase (rad) and amplitude: how much variants of the object differ
    /entry_1/image_1/process_1                  program, version, command, seed, input, every parameter, results
    /entry_1/image_2                            amplitude, phase, displacement, strain on an orthogonal grid [x, y, z]
    /entry_1/data_1, /entry_1/data_2            links to the object and to the counts
    /entry_last, /entry_1/process_1             links to entry_1, and to the process of image_1

Sources: CXI file format 1.5 (cxidb.org), NeXus NXdata, PyNX ``CDI.save_obj_cxi``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from autophasenn import __version__
from autophasenn.errors import InputError
from autophasenn.files.convention import DETECTOR, IMAGE, LAB_IMAGE, NANOMETRE, PROCESS, SIGN_CONVENTION
from autophasenn.files.writing import write_atomically
from autophasenn.image import CrystalImage
from autophasenn.physics.fourier import diffract
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.volumes import Pattern, Reconstruction

# Level 1 halves the time on sparse counts (scan 54) and costs 1 % of the size of a result, which is mostly floats.
COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


@dataclass(frozen=True, eq=False)
class Result:
    """What a result file holds."""

    pattern: Pattern
    reconstruction: Reconstruction
    image: CrystalImage
    process: dict[str, Any]


def write_result(
    path: Path, pattern: Pattern, reconstruction: Reconstruction, image: CrystalImage, process: Mapping[str, Any]
) -> None:
    """Write a reconstruction with the measurement it came from.

    Parameters
    ----------
    path : Path
        Ends in ``.cxi``. Replaced in one step if it exists.
    pattern : Pattern
        On the grid of the reconstruction.
    reconstruction : Reconstruction
    image : CrystalImage
    process : mapping
        How it was made: `command` (str), `seed` (int), `input` (path, sha256), `parameters` (every one of them), and
        whatever else shall be kept; plain values that JSON knows, others are kept as text.

    Raises
    ------
    OutputError
        If the disk is full.
    """
    # In memory first: on a full disk the HDF5 library loses the error in destructors, or ends the process
    # (h5py 3.16, HDF5 1.14), where a plain write raises.
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_root(file)
        _write_detector(file, pattern)
        _write_object(file, pattern, reconstruction)
        _write_process(file, reconstruction, process)
        _write_image(file, image)
    with write_atomically(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_result(path: Path) -> Result:
    """Read a result file of this package.

    The wave is calculated from the object inside its support and scaled to the calculated counts.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no result of this package.
    """
    if not path.is_file():
        raise InputError(f"There is no result file {path}; give the .cxi file of a reconstruction.")
    try:
        with h5py.File(path, "r") as file:
            return Result(_read_pattern(file), _read_reconstruction(file), _read_image(file), _read_process(file))
    except (OSError, KeyError) as error:
        raise InputError(
            f"{path} is no result file of autophasenn, or damaged ({error}); give the .cxi file of a reconstruction."
        ) from error


def _group(file: h5py.File, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    group = file.require_group(name)
    group.attrs["NX_class"] = nx_class
    group.attrs.update(attributes)
    return group


def _dataset(group: h5py.Group, name: str, value: Any, units: str | None = None, **attributes: Any) -> h5py.Dataset:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    options = COMPRESSION if np.ndim(value) == 3 else {}
    dataset = group.create_dataset(name, data=value, **options)
    if units is not None:
        dataset.attrs["units"] = units
    dataset.attrs.update(attributes)
    return dataset


def _write_root(file: h5py.File) -> None:
    file.attrs.update(
        NX_class="NXroot", default="entry_1", creator=f"autophasenn {__version__}", h5py_version=h5py.version.version
    )
    file["cxi_version"] = 150
    entry = _group(file, "entry_1", "NXentry", default="data_1")
    entry["title"] = "Bragg coherent diffraction: crystal and strain"
    entry["program_name"] = f"autophasenn {__version__}"
    entry["end_time"] = _now()
    entry["sign_convention"] = SIGN_CONVENTION
    file["entry_last"] = h5py.SoftLink("/entry_1")
    data = _group(file, "entry_1/data_1", "NXdata", signal="data", title="Complex object, detector frame")
    data["data"] = h5py.SoftLink(f"/{IMAGE}/data")
    measured = _group(file, "entry_1/data_2", "NXdata", signal="data", title="Measured counts")
    measured["data"] = h5py.SoftLink(f"/{DETECTOR}/data")
    measured.attrs["SILX_style"] = json.dumps({"signal_scale_type": "log"})


def _write_detector(file: h5py.File, pattern: Pattern) -> None:
    _group(file, "entry_1/instrument_1", "NXinstrument")
    detector = _group(file, DETECTOR, "NXdetector")
    counts = torch.where(pattern.mask, pattern.counts, 0).cpu().numpy()
    is_integer = bool(np.all(counts == np.floor(counts))) and counts.max() < 2**32
    _dataset(detector, "data", counts.astype(np.uint32) if is_integer else counts, "counts", interpretation="image")
    bad = (~pattern.mask).to(torch.uint8)
    _dataset(detector, "mask", bad, note="CXI convention: 0 = measured, anything else = not measured")
    if pattern.reciprocal_steps is not None:
        note = "row i: step in q along axis i of the data, laboratory frame"
        _dataset(detector, "reciprocal_steps", pattern.reciprocal_steps, "1/m", note=note)
    if pattern.scattering_vector is not None:
        note = "Q of the central voxel, laboratory frame"
        _dataset(detector, "scattering_vector", pattern.scattering_vector, "1/m", note=note)


def _write_object(file: h5py.File, pattern: Pattern, reconstruction: Reconstruction) -> None:
    image = _group(file, IMAGE, "NXdata", signal="data", title="Complex object, detector frame")
    image["title"] = "Complex object rho(r) = a(r) exp(i phi(r)) in the detector frame"
    _dataset(image, "data", reconstruction.object, sign_convention=SIGN_CONVENTION, interpretation="image")
    _dataset(image, "support", reconstruction.support.to(torch.uint8), note="1 inside the crystal")
    image["mask"] = h5py.SoftLink(f"/{IMAGE}/support")
    spreads = {"phase": reconstruction.phase_spread, "amplitude": reconstruction.amplitude_spread}
    for name, values in spreads.items():
        if values is not None:
            group = _group(file, f"{IMAGE}/spread", "NXcollection")
            unit = "rad" if name == "phase" else ""
            note = "standard deviation over variants found on ways of their own; NaN outside of the support"
            _dataset(group, name, values.to(torch.float32), unit, note=note)
    image["data_type"] = "electron density"
    image["data_space"] = "real"
    image["dimensionality"] = 3
    image["is_fft_shifted"] = 0
    image["image_center"] = [n // 2 for n in pattern.shape]
    if pattern.reciprocal_steps is not None:
        vectors = direct_voxel_vectors(pattern.reciprocal_steps, pattern.shape)
        note = "row i: from one voxel to the next along axis i, laboratory frame"
        _dataset(image, "voxel_vectors", vectors, "m", note=note)
        edges = vectors.norm(dim=1) * torch.tensor(pattern.shape)
        _dataset(
            image, "image_size", edges, "m", note="length of the edges; they are not orthogonal, see voxel_vectors"
        )


def _write_process(file: h5py.File, reconstruction: Reconstruction, process: Mapping[str, Any]) -> None:
    group = _group(file, PROCESS, "NXprocess")
    group["program"] = "autophasenn"
    group["version"] = __version__
    group["date"] = _now()
    group["command"] = str(process.get("command") or "")
    if process.get("seed") is not None:
        group["seed"] = int(process["seed"])
    source = process.get("input") or {}
    if source.get("sha256") is not None:
        group["input_path"], group["input_sha256"] = str(source.get("path")), str(source["sha256"])
    group["json"] = json.dumps(dict(process), default=str)
    _write_tree(_group(file, f"{PROCESS}/configuration", "NXcollection"), process.get("parameters") or {})
    results = _group(file, f"{PROCESS}/results", "NXcollection")
    _dataset(results, "intensity", reconstruction.intensity, "counts", note="calculated, compare with detector_1/data")
    _dataset(results, "errors", reconstruction.errors, note="chi2: one row a start, one column an iteration")
    _dataset(results, "free_errors", reconstruction.free_errors, note="chi2 on held-out voxels, one a start")
    results["free_error"] = reconstruction.free_error
    results["best"] = reconstruction.best
    results["averaged"] = reconstruction.averaged
    if reconstruction.kernel is not None:
        _dataset(results, "kernel", reconstruction.kernel, note="mutual coherence, centred")
    if reconstruction.prtf is not None:
        _dataset(results, "prtf", reconstruction.prtf, note="phase retrieval transfer function per voxel")
    if reconstruction.modes is not None:
        _dataset(results, "modes", reconstruction.modes, note="share of each singular mode of the starts")
    file["entry_1/process_1"] = h5py.SoftLink(f"/{PROCESS}")


def _write_tree(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Parameters one by one, for people who browse; ``process_1/json`` has them for programs."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            child = group.create_group(str(key))
            child.attrs["NX_class"] = "NXcollection"
            _write_tree(child, value)
        elif isinstance(value, (bool, int, float, str)):
            group[str(key)] = value
        else:
            group[str(key)] = json.dumps(value, default=str)


def _write_image(file: h5py.File, image: CrystalImage) -> None:
    group = _group(file, LAB_IMAGE, "NXdata", signal="amplitude")
    frame = "laboratory frame" if image.voxel_size is not None else "detector frame, voxel units: no geometry was given"
    group["title"] = f"Crystal on an orthogonal grid [x, y, z], {frame}"
    group.attrs["title"] = "Crystal, amplitude"
    group["sign_convention"] = SIGN_CONVENTION
    _dataset(group, "amplitude", image.amplitude)
    _dataset(group, "phase", image.phase, "rad", note="unwrapped, NaN outside the support")
    _dataset(group, "support", image.support.astype(np.uint8))
    group["data"] = h5py.SoftLink(f"/{LAB_IMAGE}/amplitude")
    group["mask"] = h5py.SoftLink(f"/{LAB_IMAGE}/support")
    group["data_space"] = "real"
    group["is_fft_shifted"] = 0
    if image.displacement is not None:
        _dataset(
            group, "displacement", image.displacement / np.float32(NANOMETRE), "nm", note="u_G = -phi/|G|, along G"
        )
    if image.strain is not None:
        _dataset(group, "strain", image.strain, "", note="du_G/dr_G, dimensionless")
    group.attrs["auxiliary_signals"] = [name for name in ("phase", "displacement", "strain") if name in group]
    if image.voxel_size is not None:
        _dataset(group, "voxel_size", image.voxel_size, "m")
        _dataset(group, "image_size", np.multiply(image.voxel_size, image.amplitude.shape), "m")
        group.attrs["axes"] = ["x", "y", "z"]
        for axis, size, count in zip("xyz", image.voxel_size, image.amplitude.shape, strict=True):
            _dataset(group, axis, (np.arange(count) - count // 2) * size / NANOMETRE, "nm")
    if image.scattering_vector is not None:
        _dataset(group, "scattering_vector", image.scattering_vector, "1/m", note="laboratory frame")


def _read_pattern(file: h5py.File) -> Pattern:
    detector = file[DETECTOR]
    return Pattern(
        torch.from_numpy(detector["data"][()].astype(np.float32)),
        torch.from_numpy(detector["mask"][()] == 0),
        *(_tensor(detector, name) for name in ("reciprocal_steps", "scattering_vector")),
    )


def _read_reconstruction(file: h5py.File) -> Reconstruction:
    results = file[PROCESS]["results"]
    rho, intensity = torch.from_numpy(file[IMAGE]["data"][()]), torch.from_numpy(results["intensity"][()])
    support = torch.from_numpy(file[IMAGE]["support"][()] == 1)
    wave = diffract(rho * support)
    wave *= (intensity.sum(dtype=torch.float64) / wave.abs().square().sum(dtype=torch.float64)).sqrt()
    return Reconstruction(
        object=rho,
        support=support,
        wave=wave,
        intensity=intensity,
        errors=torch.from_numpy(results["errors"][()]),
        free_errors=torch.from_numpy(results["free_errors"][()]),
        free_error=float(results["free_error"][()]),
        best=int(results["best"][()]),
        averaged=int(results["averaged"][()]),
        kernel=_tensor(results, "kernel"),
        prtf=_tensor(results, "prtf"),
        modes=_tensor(results, "modes"),
        phase_spread=_tensor(file, f"{IMAGE}/spread/phase"),
        amplitude_spread=_tensor(file, f"{IMAGE}/spread/amplitude"),
    )


def _read_image(file: h5py.File) -> CrystalImage:
    group = file[LAB_IMAGE]
    stored = {
        name: group[name][()] for name in ("displacement", "strain", "voxel_size", "scattering_vector") if name in group
    }
    if "displacement" in stored:
        stored["displacement"] = stored["displacement"] * np.float32(NANOMETRE)
    if "voxel_size" in stored:
        stored["voxel_size"] = tuple(map(float, stored["voxel_size"]))
    return CrystalImage(group["amplitude"][()], group["phase"][()], group["support"][()] == 1, **stored)


def _read_process(file: h5py.File) -> dict[str, Any]:
    process: dict[str, Any] = json.loads(file[PROCESS]["json"].asstr()[()])
    return process


def _tensor(group: h5py.Group, name: str) -> Tensor | None:
    return torch.from_numpy(group[name][()]) if name in group else None


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
