"""Results as the viewer reads them: the image, the pattern and the report, and nothing that was not made here.

Read without torch, whose import alone takes longer than a page may.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import psutil
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.errors import InputError, reading
from autophasenn.files.convention import DETECTOR, IMAGE, LAB_IMAGE, NANOMETRE, PROCESS

Floats = NDArray[np.floating[Any]]

CXI = "result.cxi"
"""Name of the CXI file in a result folder."""
REPORT = "report.json"


@dataclass(frozen=True)
class Limits:
    """What is refused before it is read.

    Parameters
    ----------
    file_bytes : int
        Size of a file.
    memory_bytes : int
        Of the volumes of one result, uncompressed; also never more than half of the free memory.
    """

    file_bytes: int = 4 * 2**30
    memory_bytes: int = 2 * 2**30


@dataclass(frozen=True, eq=False)
class StoredImage:
    """The crystal of one result on an orthogonal grid ``[x, y, z]``, voxel ``n // 2`` at the origin.

    Parameters
    ----------
    path : Path
        The CXI file.
    name : str
        What people call it: its folder.
    amplitude : float32 array (nx, ny, nz)
        Largest value 1.
    phase : float32 array (nx, ny, nz)
        Rad, unwrapped; NaN outside the support.
    support : bool array (nx, ny, nz)
    displacement : float32 array (nx, ny, nz), optional
        Nm, along Q; NaN outside the support.
    strain : float32 array (nx, ny, nz), optional
        Dimensionless; NaN outside the support.
    phase_spread, amplitude_spread : float32 array (nx, ny, nz), optional
        Standard deviation over the variants of the reconstruction: rad, and in units of the largest amplitude; NaN outside
        the support.
    voxel_size : 3 floats, optional
        Nm; None: the geometry is unknown, and lengths are in voxels.
    scattering_vector : float64 array (3,), optional
        1/m, laboratory frame.
    report : dict
        Content of ``report.json``.
    """

    path: Path
    name: str
    amplitude: Floats
    phase: Floats
    support: NDArray[np.bool_]
    displacement: Floats | None
    strain: Floats | None
    phase_spread: Floats | None
    amplitude_spread: Floats | None
    voxel_size: tuple[float, float, float] | None
    scattering_vector: Floats | None
    report: dict[str, Any]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Edges of a voxel, nm, or 1 where the geometry is unknown."""
        return self.voxel_size or (1.0, 1.0, 1.0)

    @property
    def unit(self) -> str:
        """Of lengths."""
        return "nm" if self.voxel_size else "voxels"

    @property
    def axes(self) -> tuple[str, str, str]:
        """How the axes are called."""
        return ("x", "y", "z") if self.voxel_size else ("axis 0", "axis 1", "axis 2")


@dataclass(frozen=True, eq=False)
class StoredPattern:
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


def locate(path: Path, within: Path | None = None) -> Path:
    """The CXI file that is meant by a result folder or by a file.

    Parameters
    ----------
    path : Path
        A folder with ``result.cxi``, or a CXI file.
    within : Path, optional
        Folder that the file must lie in, links followed.

    Raises
    ------
    InputError
        If there is none, or it lies elsewhere: through a link, or by ``..`` in the path.
    """
    with reading(path):
        home = path.resolve() if path.is_dir() else None
        file = (path / CXI if home else path).resolve()
        if not file.is_file():
            hint = f"it has no {CXI}" if home else "it does not exist"
            raise InputError(f"{path} is no result ({hint}); give the folder that `autophasenn reconstruct` wrote.")
    for folder in filter(None, (home, within and within.resolve())):
        if not file.is_relative_to(folder):
            raise InputError(f"{path} leads to {file}, outside of {folder}; only files in that folder are shown.")
    return file


def read_image(path: Path, within: Path | None = None, limits: Limits | None = None) -> StoredImage:
    """Read the crystal of a result, and its report.

    Parameters
    ----------
    path : Path
        A result folder, or the CXI file in it.
    within : Path, optional
        As `locate`.
    limits : Limits, optional

    Raises
    ------
    InputError
        If there is no such result, if it is damaged, too large, or was made by another program, or if the file takes
        data from elsewhere.
    """
    file_path = locate(path, within)
    with _opened(file_path, limits or Limits()) as volumes:
        amplitude = volumes.read(f"{LAB_IMAGE}/amplitude")
        shape = amplitude.shape
        support = volumes.read(f"{LAB_IMAGE}/support", shape) == 1
        if not support.any():
            raise InputError(f"The image in {file_path} is empty: no voxel belongs to a crystal. Phase it again.")
        size = volumes.vector(f"{LAB_IMAGE}/voxel_size", 1 / NANOMETRE)
        spreads = {
            f"{kind}_spread": _on_image_grid(volumes, f"{IMAGE}/spread/{kind}", shape, support, size)
            for kind in ("phase", "amplitude")
        }
        return StoredImage(
            path=file_path,
            name=file_path.parent.name or file_path.stem,
            amplitude=np.nan_to_num(amplitude),
            phase=volumes.read(f"{LAB_IMAGE}/phase", shape),
            support=support,
            displacement=volumes.find(f"{LAB_IMAGE}/displacement", shape),
            strain=volumes.find(f"{LAB_IMAGE}/strain", shape),
            voxel_size=None if size is None else (float(size[0]), float(size[1]), float(size[2])),
            scattering_vector=volumes.vector(f"{LAB_IMAGE}/scattering_vector"),
            report=_report(file_path, volumes),
            **spreads,
        )


def read_pattern(path: Path, limits: Limits | None = None) -> StoredPattern:
    """Read the measured and the calculated counts of a result.

    Raises
    ------
    InputError
        As `read_image`.
    """
    with _opened(path, limits or Limits()) as volumes:
        counts = volumes.read(f"{DETECTOR}/data")
        steps = volumes.small(f"{DETECTOR}/reciprocal_steps", (3, 3))
        return StoredPattern(
            counts.astype(np.float32),
            volumes.read(f"{PROCESS}/results/intensity", counts.shape).astype(np.float32),
            volumes.read(f"{DETECTOR}/mask", counts.shape) == 0,
            np.ones(3) if steps is None else np.linalg.norm(steps, axis=1) * NANOMETRE,
            "voxels" if steps is None else "1/nm",
        )


@dataclass
class _Volumes:
    """A file of which volumes are read as long as the memory lasts."""

    file: h5py.File
    left: int

    @cached_property
    def centre_of_crystal(self) -> Floats:
        """Index in the detector frame."""
        return _centre_of_mass(self)

    def find(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
        """The volume, or None where the file does not have it."""
        return None if self._found(name) is None else self.read(name, shape)

    def small(self, name: str, shape: tuple[int, ...]) -> Floats | None:
        """Numbers of this shape, or None where the file does not have them."""
        node = self._found(name)
        return None if node is None or node.shape != shape else np.asarray(node[()], np.float64)

    def vector(self, name: str, factor: float = 1.0) -> Floats | None:
        """Three numbers times a factor, or None where the file does not have them."""
        found = self.small(name, (3,))
        return None if found is None else found * factor

    def text(self, name: str) -> str:
        """What a string says."""
        return str(self._there(name).asstr()[()])

    def read(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
        """A volume, as long as the memory lasts."""
        node = self._there(name)
        if node.ndim != 3 or node.dtype.kind not in "biufc" or shape not in (None, node.shape):
            raise InputError(f"{name} of {self.file.filename} is no volume of the image's shape; the file is damaged.")
        self.left -= node.size * node.dtype.itemsize
        if self.left < 0:
            raise InputError(
                f"The volumes of {self.file.filename} do not fit into the memory that the viewer allows itself; phase "
                "a smaller part of the pattern, or bin it."
            )
        return node[()]

    def _there(self, name: str) -> h5py.Dataset:
        node = self._found(name)
        if node is None:
            raise KeyError(f"it lacks {name}")
        return node

    def _found(self, name: str) -> h5py.Dataset | None:
        """The dataset, None where there is none. All is read through here: what lies in another file is refused."""
        elsewhere = InputError(f"{self.file.filename} takes {name} from another file, which is not followed.")
        node: Any = self.file
        for part in name.split("/"):
            if not isinstance(node, h5py.Group):
                raise ValueError(f"{node.name} is no group")
            link = node.get(part, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.ExternalLink):
                raise elsewhere
            node = node[part]
            if node.file.filename != self.file.filename:  # a soft link may lead through an external one
                raise elsewhere
        if not isinstance(node, h5py.Dataset):
            raise ValueError(f"{name} is no dataset")
        if node.is_virtual or node.external:
            raise elsewhere
        return node


@contextmanager
def _opened(path: Path, limits: Limits) -> Iterator[_Volumes]:
    size = path.stat().st_size
    if size > limits.file_bytes:
        raise InputError(
            f"{path} has {size / 2**30:.1f} GiB; the viewer opens up to {limits.file_bytes / 2**30:.1f} GiB."
        )
    try:
        with h5py.File(path, "r") as file:
            if not str(file.attrs.get("creator", "")).startswith("autophasenn"):
                raise InputError(f"{path} was not made by autophasenn; give the {CXI} of a reconstruction.")
            yield _Volumes(file, min(limits.memory_bytes, psutil.virtual_memory().available // 2))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} is no result of autophasenn, or damaged ({error}); phase it again.") from error


def _report(path: Path, volumes: _Volumes) -> dict[str, Any]:
    """That beside the file, which is complete; else what the file itself has of it."""
    beside = path.parent / REPORT
    try:
        if beside.resolve().parent == path.parent and beside.stat().st_size < 2**24:
            report = json.loads(beside.read_text(encoding="utf-8"))
            return report if isinstance(report, dict) else {}
    except (OSError, ValueError):
        pass  # a result that was copied alone
    report = json.loads(volumes.text(f"{PROCESS}/json")).get("report")
    return report if isinstance(report, dict) else {}


def _on_image_grid(
    volumes: _Volumes, name: str, shape: tuple[int, ...], support: NDArray[np.bool_], size: Floats | None
) -> Floats | None:
    """A volume of the detector frame on the grid of the image, NaN outside the support; None if the file lacks it.

    The image has the crystal's centre of mass at its origin, the detector frame near voxel ``n // 2``.
    """
    spread = volumes.find(name)
    if spread is None:
        return None
    vectors = volumes.small(f"{IMAGE}/voxel_vectors", (3, 3))
    centre = np.array([n // 2 for n in spread.shape], float)
    if size is None or vectors is None:
        matrix = np.eye(3)
    else:
        # index in the detector frame = inv(V)^T (position in the laboratory) + index of the crystal's centre
        matrix = np.linalg.inv(vectors / NANOMETRE).T * size
        centre = volumes.centre_of_crystal
    offset = centre - matrix @ np.array([n // 2 for n in shape])
    on_grid = ndimage.affine_transform(
        np.nan_to_num(spread).astype(np.float32), matrix, offset, output_shape=shape, order=1, mode="nearest"
    )
    return np.where(support, on_grid, np.float32(np.nan))


def _centre_of_mass(volumes: _Volumes) -> Floats:
    """Index of the crystal's centre in the detector frame, as `pipeline.postprocess` places the image."""
    support = volumes.read(f"{IMAGE}/support") == 1
    (box,) = ndimage.find_objects(support.astype(np.uint8))
    amplitude = np.abs(volumes.read(f"{IMAGE}/data", support.shape)[box]) * support[box]
    threshold = volumes.small(f"{PROCESS}/configuration/postprocess/support_threshold", ())
    if threshold is None:
        raise KeyError("it lacks its support_threshold")
    labels, _ = ndimage.label(amplitude >= threshold * amplitude.max())
    crystal = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return np.asarray(ndimage.center_of_mass(np.where(crystal, amplitude, 0))) + [part.start for part in box]
