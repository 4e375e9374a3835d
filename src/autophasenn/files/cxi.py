"""Result files: CXI 1.5 (HDF5), laid out so that PyNX, cdiutils and silx view open them::

    /cxi_version                                150
    /entry_1/instrument_1/detector_1            measured counts, mask (CXI: 0 = good pixel), sampling in q
    /entry_1/image_1                            complex object, detector frame; support, also as `mask` as PyNX has it
    /entry_1/image_1/spread                     phase (rad) and amplitude: how much several reconstructions differ
    /entry_1/image_1/process_1                  program, version, command, seed, input, every parameter, results
    /entry_1/image_2                            amplitude, phase, displacement, strain and how uncertain amplitude and
                                                phase are, on an orthogonal grid [x, y, z]
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
from autophasenn.files.convention import DETECTOR, IMAGE, PROCESS, SIGN_CONVENTION
from autophasenn.files.cxi_image import SPREAD, image_in, nx_dataset, nx_group, object_in, process_in, write_image
from autophasenn.files.guarded import GuardedFile, opened_result
from autophasenn.files.writing import write_atomically
from autophasenn.image import CrystalImage
from autophasenn.physics.bragg import HC_EV_M, JOULE, direct_voxel_vectors
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import Pattern, Reconstruction

MANY = 10**6
"""More starts than anybody makes."""


@dataclass(frozen=True, eq=False)
class StoredResult:
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
        _write_geometry(file, (process.get("report") or {}).get("geometry") or {})
        _write_object(file, pattern, reconstruction)
        _write_process(file, reconstruction, process)
        write_image(file, image)
    with write_atomically(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_result(path: Path) -> StoredResult:
    """Read a result file of this package.

    The wave is calculated from the object inside its support and scaled to the calculated counts.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no result of this package, or if its arrays do not fit into the memory.
    """
    with opened_result(path) as stored:
        pattern, image = _read_pattern(stored), image_in(stored)
        return StoredResult(pattern, _read_reconstruction(stored, image, pattern.shape), image, process_in(stored))


def _write_root(file: h5py.File) -> None:
    file.attrs.update(
        NX_class="NXroot", default="entry_1", creator=f"autophasenn {__version__}", h5py_version=h5py.version.version
    )
    file["cxi_version"] = 150
    entry = nx_group(file, "entry_1", "NXentry", default="data_1")
    entry["title"] = "Bragg coherent diffraction: crystal and strain"
    entry["program_name"] = f"autophasenn {__version__}"
    entry["end_time"] = _now()
    entry["sign_convention"] = SIGN_CONVENTION
    file["entry_last"] = h5py.SoftLink("/entry_1")
    data = nx_group(file, "entry_1/data_1", "NXdata", signal="data", title="Complex object, detector frame")
    data["data"] = h5py.SoftLink(f"/{IMAGE}/data")
    measured = nx_group(file, "entry_1/data_2", "NXdata", signal="data", title="Measured counts")
    measured["data"] = h5py.SoftLink(f"/{DETECTOR}/data")
    measured.attrs["SILX_style"] = json.dumps({"signal_scale_type": "log"})


def _write_detector(file: h5py.File, pattern: Pattern) -> None:
    nx_group(file, "entry_1/instrument_1", "NXinstrument")
    detector = nx_group(file, DETECTOR, "NXdetector")
    counts = torch.where(pattern.mask, pattern.counts, 0).cpu().numpy()
    is_integer = bool(np.all(counts == np.floor(counts))) and counts.max() < 2**32
    nx_dataset(detector, "data", counts.astype(np.uint32) if is_integer else counts, "counts", interpretation="image")
    bad = (~pattern.mask).to(torch.uint8)
    nx_dataset(detector, "mask", bad, note="CXI convention: 0 = measured, anything else = not measured")
    if pattern.reciprocal_steps is not None:
        note = "row i: step in q along axis i of the data, laboratory frame"
        nx_dataset(detector, "reciprocal_steps", pattern.reciprocal_steps, "1/m", note=note)
    if pattern.scattering_vector is not None:
        note = "Q of the central voxel, laboratory frame"
        nx_dataset(detector, "scattering_vector", pattern.scattering_vector, "1/m", note=note)


def _write_geometry(file: h5py.File, geometry: Mapping[str, Any]) -> None:
    """Energy, distance and pixels where the CXI format and PyNX look for them; angles and direct beam beside them."""
    energy, pixel, beam = (geometry.get(name) for name in ("energy_ev", "pixel_m", "direct_beam"))
    if energy is not None:
        source = nx_group(file, "entry_1/instrument_1/source_1", "NXsource")
        nx_dataset(source, "energy", float(energy) * JOULE, "J")
        light = nx_group(file, "entry_1/instrument_1/beam_1", "NXbeam")
        nx_dataset(light, "incident_energy", float(energy), "eV")
        nx_dataset(light, "incident_wavelength", HC_EV_M / float(energy), "m")
    detector = file[DETECTOR]
    if geometry.get("distance_m") is not None:
        nx_dataset(detector, "distance", float(geometry["distance_m"]), "m")
    if pixel is not None:
        nx_dataset(detector, "y_pixel_size", float(pixel[0]), "m", note="of the frames, before binning of the pattern")
        nx_dataset(detector, "x_pixel_size", float(pixel[1]), "m", note="of the frames, before binning of the pattern")
    if beam is not None:
        note = "assumed, nobody measured it" if beam.get("assumed") else "pixel of the whole detector"
        nx_dataset(detector, "beam_center_y", float(beam["row"]), "pixel", note=note)
        nx_dataset(detector, "beam_center_x", float(beam["column"]), "pixel", note=note)
    if geometry.get("angles_deg"):
        angles = nx_group(file, "entry_1/sample_1/angles", "NXcollection")
        for name, angle in geometry["angles_deg"].items():
            nx_dataset(angles, name.replace("/", "_"), float(angle), "deg")


def _write_object(file: h5py.File, pattern: Pattern, reconstruction: Reconstruction) -> None:
    image = nx_group(file, IMAGE, "NXdata", signal="data", title="Complex object, detector frame")
    image["title"] = "Complex object rho(r) = a(r) exp(i phi(r)) in the detector frame"
    _dataset(image, "data", reconstruction.object, sign_convention=SIGN_CONVENTION, interpretation="image")
    _dataset(image, "support", reconstruction.support.to(torch.uint8), note="1 inside the crystal")
    image["mask"] = h5py.SoftLink(f"/{IMAGE}/support")
    spreads = {"phase": reconstruction.phase_spread, "amplitude": reconstruction.amplitude_spread}
    for name, values in spreads.items():
        if values is not None:
            group = nx_group(file, f"{IMAGE}/spread", "NXcollection")
            unit = "rad" if name == "phase" else ""
            _dataset(group, name, values.to(torch.float32), unit, note=SPREAD)
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
    group = nx_group(file, PROCESS, "NXprocess")
    group["program"] = "autophasenn"
    group["version"] = __version__
    group["date"] = _now()
    group["command"] = _text(process.get("command") or "")
    if process.get("seed") is not None:
        group["seed"] = int(process["seed"])
    source = process.get("input") or {}
    if source.get("sha256") is not None:
        group["input_path"], group["input_sha256"] = _text(source.get("path")), _text(source["sha256"])
    group["json"] = json.dumps(dict(process), default=str)
    _write_tree(nx_group(file, f"{PROCESS}/configuration", "NXcollection"), process.get("parameters") or {})
    results = nx_group(file, f"{PROCESS}/results", "NXcollection")
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
            child = group.create_group(_text(key))
            child.attrs["NX_class"] = "NXcollection"
            _write_tree(child, value)
        elif isinstance(value, (bool, int, float)):
            group[_text(key)] = value
        elif isinstance(value, str):
            group[_text(key)] = _text(value)
        else:
            group[_text(key)] = json.dumps(value, default=str)


def _read_pattern(stored: GuardedFile) -> Pattern:
    counts = stored.volume(f"{DETECTOR}/data").astype(np.float32)
    measured = stored.volume(f"{DETECTOR}/mask", counts.shape) == 0
    if not measured.any():
        raise ValueError(f"{DETECTOR}/mask says of no voxel that it was measured")
    if not np.isfinite(counts[measured]).all():
        raise ValueError(f"{DETECTOR}/data must be finite where it was measured")
    steps = stored.vectors(f"{DETECTOR}/reciprocal_steps", (3, 3))
    scattering_vector = stored.vectors(f"{DETECTOR}/scattering_vector", (3,))
    return Pattern(
        torch.from_numpy(counts),
        torch.from_numpy(measured),
        None if steps is None else torch.from_numpy(steps),
        None if scattering_vector is None else torch.from_numpy(scattering_vector),
    )


def _read_reconstruction(stored: GuardedFile, image: CrystalImage, shape: tuple[int, ...]) -> Reconstruction:
    results = f"{PROCESS}/results"
    density, inside = object_in(stored, image, shape)
    calculated = stored.volume(f"{results}/intensity", shape)
    if not np.isfinite(calculated).all():
        raise ValueError(f"{results}/intensity must be finite")
    errors = stored.array(f"{results}/errors", ndim=2)
    if not errors.size:
        raise ValueError(f"{results}/errors has shape {errors.shape}, and must have a row for each start")
    rho, support, intensity = torch.from_numpy(density), torch.from_numpy(inside), torch.from_numpy(calculated)
    wave = diffract(rho * support)
    wave *= (intensity.sum(dtype=torch.float64) / wave.abs().square().sum(dtype=torch.float64)).sqrt()
    return Reconstruction(
        object=rho,
        support=support,
        wave=wave,
        intensity=intensity,
        errors=torch.from_numpy(errors),
        free_errors=torch.from_numpy(stored.array(f"{results}/free_errors", ndim=1)),
        free_error=stored.number(f"{results}/free_error"),
        best=stored.whole(f"{results}/best", 0, MANY),
        averaged=stored.whole(f"{results}/averaged", 1, MANY),
        kernel=_tensor(stored, f"{results}/kernel"),
        prtf=_tensor(stored, f"{results}/prtf", shape),
        modes=_tensor(stored, f"{results}/modes"),
        phase_spread=_tensor(stored, f"{IMAGE}/spread/phase", shape),
        amplitude_spread=_tensor(stored, f"{IMAGE}/spread/amplitude", shape),
    )


def _tensor(stored: GuardedFile, name: str, shape: tuple[int, ...] | None = None) -> Tensor | None:
    found = stored.find(name, shape)
    return None if found is None else torch.from_numpy(found)


def _dataset(group: h5py.Group, name: str, value: Any, units: str | None = None, **attributes: Any) -> None:
    """As `nx_dataset`, of tensors too."""
    numbers = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    nx_dataset(group, name, numbers, units, **attributes)


def _text(value: object) -> str:
    """As HDF5 keeps text, in UTF-8: bytes of a file's name that are none are written as escapes."""
    return str(value).encode("utf-8", "backslashreplace").decode("utf-8")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
