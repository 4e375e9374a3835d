"""Patterns in HDF5 files: CXI, or any dataset by its path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from autophasenn.errors import InputError, quoted
from autophasenn.files.stored import StoredPattern
from autophasenn.files.tree import Frames, is_stack, load, node, opened, stacks
from autophasenn.files.units import EV, LENGTHS, factor_of
from autophasenn.physics.bragg import HC_EV_M, JOULE

CXI_DATA = ("entry_1/instrument_1/detector_1/data", "entry_1/data_1/data", "entry_1/image_1/data")
"""Where CXI files keep a pattern, the first that is there."""
INSTRUMENT = "entry_1/instrument_1"
CXI_MASKS = ("entry_1/instrument_1/detector_1/mask", "entry_1/data_1/mask")
EIGER = "entry/data"
"""The group in which the master file of an Eiger links to its frames."""
MAX_LISTED = 5
"""How many datasets a message lists."""


def read_cxi(path: Path) -> StoredPattern:
    """The pattern of a CXI file with its mask (there 0 = good pixel) and, in files of this package, its sampling.

    Raises
    ------
    InputError
        If it has no pattern, or those of two detectors.
    """
    with opened(path) as file:
        _refuse_two_detectors(path, file)
        found = {name: node(file, name) for name in CXI_DATA}
        name, data = next(((k, d) for k, d in found.items() if isinstance(d, h5py.Dataset)), ("", None))
        if data is None:
            raise InputError(f"{path} has no pattern at {' or '.join(CXI_DATA)}; {_what_it_holds(path, file)}")
        counts = load(data)
        if "/image_1/" in name and _is_set(file, "entry_1/image_1/is_fft_shifted"):
            raise InputError(
                f"The pattern in {path} is stored with its centre in the corners (is_fft_shifted); centre it."
            )
        steps, vector = (_numbers(data.parent, key) for key in ("reciprocal_steps", "scattering_vector"))
        return StoredPattern(counts, _read_mask(file), steps, vector, recorded=_recorded(file))


def read_cxi_mask(path: Path) -> np.ndarray:
    """The mask of a CXI file, True = measured."""
    with opened(path) as file:
        mask = _read_mask(file)
        if mask is None:
            raise InputError(f"{path} has no mask at {' or '.join(CXI_MASKS)}; {_what_it_holds(path, file)}")
        return mask


def read_dataset(path: Path, name: str | None) -> StoredPattern:
    """The dataset `name` of an HDF5 file, behind links too, or all stacks of the group `name`, one after the other.

    A CXI file in disguise and the master file of an Eiger need no name.
    """
    with opened(path) as file:
        if name is None and "cxi_version" not in file and isinstance(node(file, EIGER), h5py.Group):
            name = EIGER
        if name is not None:
            found = node(file, name)
            if isinstance(found, h5py.Group):
                parts = [
                    found[key] for key in sorted(found) if re.fullmatch(r"data_\d+", key) and _is_stack(found, key)
                ]
                if parts:
                    return StoredPattern(Frames(tuple(parts)).load())
            if not isinstance(found, h5py.Dataset):
                kind = ", which is a group" if isinstance(found, h5py.Group) else ""
                raise InputError(f"{path} has no dataset {name}{kind}; {_what_it_holds(path, file)}")
            return StoredPattern(load(found), _mask_beside(found) if "cxi_version" in file else None)
        if "cxi_version" not in file:
            raise InputError(
                f"{path} is an HDF5 file: say which dataset, as in {path}:/entry/data; {_what_it_holds(path, file)}"
            )
    return read_cxi(path)


def _refuse_two_detectors(path: Path, file: h5py.File) -> None:
    instrument = node(file, INSTRUMENT)
    names = sorted(instrument) if isinstance(instrument, h5py.Group) else []
    held = [f"/{INSTRUMENT}/{name}/data" for name in names if name.startswith("detector_")]
    held = [name for name in held if _is_stack(file, name)]
    if len(held) > 1:
        raise InputError(
            f"{path} holds frames of {len(held)} detectors; say which, as in {path}:{held[0]} or {path}:{held[1]}."
        )


def _mask_beside(data: h5py.Dataset) -> np.ndarray | None:
    """The mask of the detector whose `data` it is, in a CXI file, True = measured."""
    mask = _numbers(data.parent, "mask") if data.name.endswith("/data") else None
    return None if mask is None or mask.dtype.kind not in "biu" else np.asarray(mask == 0)


def _is_stack(group: h5py.Group, name: str) -> bool:
    found = node(group, name)
    return isinstance(found, h5py.Dataset) and is_stack(found)


def _is_set(file: h5py.File, name: str) -> bool:
    found = _numbers(file, name)
    return found is not None and bool(found.any())


def _numbers(group: h5py.Group, name: str) -> np.ndarray | None:
    """What a data set holds; None where there is none."""
    found = node(group, name)
    return load(found) if isinstance(found, h5py.Dataset) else None


def _read_mask(file: h5py.File) -> np.ndarray | None:
    """CXI file format 1.5, table of mask bits: any bit set = unusable pixel."""
    for name in CXI_MASKS:
        mask = _numbers(file, name)
        if mask is not None and mask.dtype.kind not in "biu":
            raise InputError(
                f"The mask at {name} of {file.filename} holds values of type {quoted(mask.dtype)}; a CXI mask is of whole "
                "numbers, 0 = good pixel."
            )
        if mask is not None:
            return np.asarray(mask == 0)
    return None


def _what_it_holds(path: Path, file: h5py.File) -> str:
    volumes = [
        f"{path}:{quoted(found.name if found.file == file else _link_to(file, found))} {found.shape}"
        for found in stacks(file)[: MAX_LISTED + 1]
    ]
    if not volumes:
        return "it holds no 3-D dataset."
    return "its 3-D datasets are " + ", ".join(volumes[:MAX_LISTED]) + (", ..." if len(volumes) > MAX_LISTED else ".")


def _link_to(file: h5py.File, found: h5py.Dataset) -> str:
    """Where in `file` a dataset of another file is linked to."""
    places: list[str] = []

    def note(name: str, link: object) -> None:
        if isinstance(link, h5py.ExternalLink) and link.path.strip("/") == found.name.strip("/"):
            places.append(f"/{name}")

    file.visititems_links(note)
    return places[0] if places else f" ({found.file.filename}:{found.name})"


def _recorded(file: h5py.File) -> dict[str, Any]:
    """Energy, distance and pixels, where a CXI file has them; CXI keeps energies in joules."""
    recorded: dict[str, Any] = {}

    def number(units: Mapping[str, float], *names: str) -> float | None:
        for name in names:
            found = node(file, f"entry_1/{name}")
            if isinstance(found, h5py.Dataset) and found.dtype.kind in "uif" and found.size == 1:
                return float(load(found).item()) * factor_of(found, units, 1.0)  # CXI: SI units
        return None

    energy = number(EV, "instrument_1/source_1/energy", "image_1/source_1/energy")
    length = number(LENGTHS, "instrument_1/source_1/wavelength", "instrument_1/beam_1/wavelength")
    if energy is not None and energy > 0:
        recorded["energy_ev"] = energy / JOULE if energy < 1e-10 else energy
    elif length is not None and length > 0:
        recorded["energy_ev"] = HC_EV_M / length
    distance = number(LENGTHS, "instrument_1/detector_1/distance")
    if distance is not None and distance > 0:
        recorded["distance_m"] = distance
    edges = [number(LENGTHS, f"instrument_1/detector_1/{axis}_pixel_size") for axis in "yx"]
    if edges[0] is not None and edges[1] is not None:
        recorded["pixel_m"] = (edges[0], edges[1])
    return recorded
