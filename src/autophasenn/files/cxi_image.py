"""The parts of a result file that are looked at, without torch: the image, both patterns, what was done.

:mod:`~autophasenn.files.cxi` says where everything stands in the file, and reads and writes the reconstruction.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import InputError
from autophasenn.files.convention import DETECTOR, IMAGE, LAB_IMAGE, NANOMETRE, PROCESS, SIGN_CONVENTION
from autophasenn.files.guarded import COMPLEX, UNLIMITED, GuardedFile, Limits, opened_result
from autophasenn.image import CrystalImage, Floats

# Level 1 halves the time on sparse counts (scan 54) and costs 1 % of the size of a result, which is mostly floats.
COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
VOXEL_SIZES = (1e-13, 1e-3)
"""That a file may state, metres."""
SAME_STEPS = 1e-3
"""How far steps in q and voxels of the object may be from those of one Fourier transform: files keep all digits."""
SAME_VOLUME = 3.0
"""Factor between the volumes of object and image; on the coarsest grids it is 1.7."""
SPREAD = "standard deviation over reconstructions from several orientations; NaN outside the support"


@dataclass(frozen=True, eq=False)
class CountsPair:
    """The measured and the calculated counts of one result.

    Parameters
    ----------
    counts, calculated : float32 array (n0, n1, n2)
    measured : bool array (n0, n1, n2)
        False: not measured, the count there means nothing.
    steps : float64 array (3,)
        Length of a voxel along each axis.
    unit : str
        Of `steps`: "1/nm", or "voxels" where the geometry is unknown.
    """

    counts: Floats
    calculated: Floats
    measured: NDArray[np.bool_]
    steps: Floats
    unit: str


def nx_group(file: h5py.File, name: str, nx_class: str, **attributes: Any) -> h5py.Group:
    """A group of a NeXus class, made where it is not there."""
    group = file.require_group(name)
    group.attrs["NX_class"] = nx_class
    group.attrs.update(attributes)
    return group


def nx_dataset(group: h5py.Group, name: str, value: Any, units: str | None = None, **attributes: Any) -> h5py.Dataset:
    """Store numbers with their unit; volumes are compressed with what every HDF5 library has."""
    dataset = group.create_dataset(name, data=value, **(COMPRESSION if np.ndim(value) == 3 else {}))
    if units is not None:
        dataset.attrs["units"] = units
    dataset.attrs.update(attributes)
    return dataset


def write_image(file: h5py.File, image: CrystalImage) -> None:
    """Store the crystal on its orthogonal grid as ``image_2``; lengths for people are nm, `voxel_size` is metres."""
    group = nx_group(file, LAB_IMAGE, "NXdata", signal="amplitude")
    frame = "laboratory frame" if image.voxel_size is not None else "detector frame, voxel units: no geometry was given"
    group["title"] = f"Crystal on an orthogonal grid [x, y, z], {frame}"
    group.attrs["title"] = "Crystal, amplitude"
    group["sign_convention"] = SIGN_CONVENTION
    nx_dataset(group, "amplitude", image.amplitude)
    nx_dataset(group, "phase", image.phase, "rad", note="unwrapped, NaN outside the support")
    nx_dataset(group, "support", image.support.astype(np.uint8))
    group["data"] = h5py.SoftLink(f"/{LAB_IMAGE}/amplitude")
    group["mask"] = h5py.SoftLink(f"/{LAB_IMAGE}/support")
    group["data_space"] = "real"
    group["is_fft_shifted"] = 0
    if image.displacement is not None:
        in_nm = image.displacement / np.float32(NANOMETRE)
        nx_dataset(group, "displacement", in_nm, "nm", note="u_G = -phi/|G|, along G")
    if image.strain is not None:
        nx_dataset(group, "strain", image.strain, "", note="du_G/dr_G, dimensionless")
    if image.phase_spread is not None:
        nx_dataset(group, "phase_spread", image.phase_spread, "rad", note=SPREAD)
    if image.amplitude_spread is not None:
        nx_dataset(group, "amplitude_spread", image.amplitude_spread, "", note=SPREAD)
    others = ("phase", "displacement", "strain", "phase_spread", "amplitude_spread")
    group.attrs["auxiliary_signals"] = [name for name in others if name in group]
    if image.voxel_size is not None:
        nx_dataset(group, "voxel_size", image.voxel_size, "m")
        nx_dataset(group, "image_size", np.multiply(image.voxel_size, image.shape), "m")
        group.attrs["axes"] = ["x", "y", "z"]
        for axis, size, count in zip("xyz", image.voxel_size, image.shape, strict=True):
            nx_dataset(group, axis, (np.arange(count) - count // 2) * size / NANOMETRE, "nm")
    if image.scattering_vector is not None:
        nx_dataset(group, "scattering_vector", image.scattering_vector, "1/m", note="laboratory frame")


def image_in(stored: GuardedFile) -> CrystalImage:
    """The image that an open result file holds.

    Raises
    ------
    InputError
        If no voxel belongs to the crystal, or the arrays do not fit into the memory.
    """
    amplitude = stored.volume(f"{LAB_IMAGE}/amplitude")
    shape = amplitude.shape
    if np.isinf(amplitude).any() or (amplitude < 0).any() or not (amplitude > 0).any():
        raise ValueError(f"{LAB_IMAGE}/amplitude must be finite, nowhere below zero, and somewhere above it")
    if not np.any(stored.volume(f"{LAB_IMAGE}/support", shape)):
        raise InputError(
            f"The image in {stored.file.filename} is empty: no voxel belongs to a crystal. Phase it again, with another "
            "seed or a looser support."
        )
    support = stored.inside(f"{LAB_IMAGE}/support", shape)
    size = stored.find(f"{LAB_IMAGE}/voxel_size", (3,))
    if size is not None and not ((size >= VOXEL_SIZES[0]) & (size <= VOXEL_SIZES[1])).all():
        raise ValueError(
            f"{LAB_IMAGE}/voxel_size is {size.tolist()} m, and must be {VOXEL_SIZES[0]:g} to {VOXEL_SIZES[1]:g}"
        )
    optional = {
        name: stored.find(f"{LAB_IMAGE}/{name}", shape)
        for name in ("displacement", "strain", "phase_spread", "amplitude_spread")
    }
    if optional["displacement"] is not None:
        optional["displacement"] = optional["displacement"] * np.float32(NANOMETRE)
    phase = stored.volume(f"{LAB_IMAGE}/phase", shape)
    if not np.isfinite(phase[support]).any():
        raise ValueError(f"{LAB_IMAGE}/phase has no finite number inside of the support")
    strain = optional["strain"]
    if strain is not None and not np.isfinite(strain[support]).any():
        optional["strain"] = None  # as of a crystal that is a voxel thin
    scattering_vector = stored.vectors(f"{LAB_IMAGE}/scattering_vector", (3,))
    _check_steps(stored, scattering_vector)
    return CrystalImage(
        amplitude=np.nan_to_num(amplitude),
        phase=phase,
        support=support,
        voxel_size=None if size is None else (float(size[0]), float(size[1]), float(size[2])),
        scattering_vector=scattering_vector,
        **optional,
    )


def _check_steps(stored: GuardedFile, scattering_vector: Floats | None) -> None:
    """Refuse steps in q that do not make the voxels of the object, ``steps @ vectors.T = diag(2 pi / shape)``.

    And a scattering vector of the image that lies outside of its pattern: the phase ramp that is taken off an object moves
    Q by less than half of the pattern.
    """
    steps = stored.vectors(f"{DETECTOR}/reciprocal_steps", (3, 3))
    if steps is None:
        return
    vectors, middle = (
        stored.find(f"{IMAGE}/voxel_vectors", (3, 3)),
        stored.vectors(f"{DETECTOR}/scattering_vector", (3,)),
    )
    shape = stored.shape(f"{IMAGE}/data")
    if len(shape) != 3:
        raise ValueError(f"{IMAGE}/data has {len(shape)} axes, not three")
    if vectors is not None and not np.abs(steps @ vectors.T * shape / (2 * math.pi) - np.eye(3)).max() < SAME_STEPS:
        raise ValueError(
            f"{DETECTOR}/reciprocal_steps and {IMAGE}/voxel_vectors contradict each other: the one do not make the other"
        )
    if middle is None or scattering_vector is None:
        return
    moved = np.linalg.solve(steps.T, scattering_vector - middle) / shape
    if not np.abs(moved).max() <= 0.5 + SAME_STEPS:
        raise ValueError(
            f"{DETECTOR}/scattering_vector and {LAB_IMAGE}/scattering_vector contradict each other: they lie "
            f"{np.abs(moved).max():.3g} patterns apart"
        )


def object_in(
    stored: GuardedFile, image: CrystalImage, shape: tuple[int, ...] | None = None
) -> tuple[NDArray[np.complexfloating[Any, Any]], NDArray[np.bool_]]:
    """The object that an image was made of, and its support, on the voxels that it was phased on.

    Both must have the same size: compared are the volumes that hold most of the squared amplitude,
    ``(sum a^2)^2 / sum a^4``, which no scale and no loose support changes.

    Parameters
    ----------
    stored : GuardedFile
    image : CrystalImage
        As `image_in` gave it.
    shape : 3 ints, optional
        That they must have.

    Returns
    -------
    complex array (n0, n1, n2), bool array (n0, n1, n2)

    Raises
    ------
    ValueError
        If the object is not finite or empty, or the volumes differ by more than `SAME_VOLUME`, as where voxels or steps in q
        were edited.
    """
    rho = stored.volume(f"{IMAGE}/data", shape, COMPLEX)
    support = stored.inside(f"{IMAGE}/support", rho.shape)
    if not (np.isfinite(rho).all() and rho[support].any()):
        raise ValueError(f"{IMAGE}/data must be finite, and somewhere not zero inside its support")
    steps = stored.vectors(f"{DETECTOR}/reciprocal_steps", (3, 3))
    if steps is not None and image.voxel_size is not None:
        voxel = (2 * math.pi) ** 3 / abs(float(np.linalg.det(steps))) / rho.size
        seen = _filled(image.amplitude[image.support]) * math.prod(image.voxel_size)
        ratio = _filled(np.abs(rho[support])) * voxel / seen
        if not 1 / SAME_VOLUME < ratio < SAME_VOLUME:
            raise ValueError(
                f"{DETECTOR}/reciprocal_steps and {LAB_IMAGE}/voxel_size contradict each other: by the one the crystal has "
                f"{ratio:.3g} times the volume that it has by the other"
            )
    return rho, support


def _filled(amplitude: Floats) -> float:
    """Number of voxels that hold most of the squared amplitude."""
    squared = np.square(amplitude, dtype=np.float64)
    return float(squared.sum() ** 2 / np.square(squared).sum())


def counts_in(stored: GuardedFile) -> CountsPair:
    """The measured and the calculated counts that an open result file holds."""
    counts = stored.volume(f"{DETECTOR}/data")
    steps = stored.vectors(f"{DETECTOR}/reciprocal_steps", (3, 3))
    return CountsPair(
        counts.astype(np.float32),
        stored.volume(f"{PROCESS}/results/intensity", counts.shape).astype(np.float32),
        stored.volume(f"{DETECTOR}/mask", counts.shape) == 0,
        np.ones(3) if steps is None else np.linalg.norm(steps, axis=1) * NANOMETRE,
        "voxels" if steps is None else "1/nm",
    )


def process_in(stored: GuardedFile) -> dict[str, Any]:
    """What was done, as `write_result` was given it: `command`, `seed`, `input`, `parameters`, `report`."""
    process = json.loads(stored.text(f"{PROCESS}/json"))
    if not isinstance(process, dict):
        raise ValueError(f"{PROCESS}/json is no object but {type(process).__name__}")
    return process


def read_image(path: Path, limits: Limits = UNLIMITED) -> CrystalImage:
    """Read the image of a result file, and nothing else of it.

    Parameters
    ----------
    path : Path
        A ``.cxi`` file of this package.
    limits : Limits
        What is refused.

    Raises
    ------
    InputError
        If the file is missing, damaged, too large, empty, or no result of this package.
    """
    with opened_result(path, limits) as stored:
        return image_in(stored)


def read_counts(path: Path, limits: Limits = UNLIMITED) -> CountsPair:
    """Read the measured and the calculated counts of a result file.

    Raises
    ------
    InputError
        As `read_image`.
    """
    with opened_result(path, limits) as stored:
        return counts_in(stored)
