"""Results for ParaView: ``.vti`` on the laboratory grid, ``.vts`` on the skewed voxels of the detector frame.

Lengths are nm, and voxel ``n // 2`` of the volume lies at the origin. Volumes are indexed ``[x, y, z]``; VTK counts
points with x fastest, so they are written in Fortran order.

VTK itself writes them: PyVista takes several times as long to import as the files take to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from autophasenn.files.convention import NANOMETRE, SIGN_CONVENTION
from autophasenn.files.writing import write_atomically
from autophasenn.image import CrystalImage, Floats

REACH = 2.0
"""Voxels that values are continued beyond the support, so that a contour at its surface is coloured throughout."""
MARGIN = 1
"""Empty voxels around the object in the detector frame, so that contours close."""


def write_image(path: Path, image: CrystalImage) -> None:
    """Write the crystal on its orthogonal grid.

    Point arrays: `amplitude`, `phase` (rad), `displacement_nm`, `strain`, `phase_spread` (rad), `amplitude_spread` and
    `support`. All but the first and the last are continued to the nearest voxels outside the support and NaN beyond.
    Without geometry a voxel has edge 1.

    Parameters
    ----------
    path : Path
        Ends in ``.vti``. Replaced in one step if it exists.
    image : CrystalImage

    Raises
    ------
    OutputError
        If the disk is full.
    """
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOXML import vtkXMLImageDataWriter

    spacing, shape = image.spacing, image.shape
    grid = vtkImageData()
    grid.SetDimensions(shape)
    grid.SetSpacing(spacing)
    grid.SetOrigin([-(n // 2) * step for n, step in zip(shape, spacing, strict=True)])
    volumes: dict[str, np.ndarray] = {"amplitude": image.amplitude, "phase": image.phase}
    if image.displacement is not None:
        volumes["displacement_nm"] = image.displacement / np.float32(NANOMETRE)
    if image.strain is not None:
        volumes["strain"] = image.strain
    if image.phase_spread is not None:
        volumes["phase_spread"] = image.phase_spread
    if image.amplitude_spread is not None:
        volumes["amplitude_spread"] = image.amplitude_spread
    nearest = _nearest_inside(image.support)
    for name, volume in volumes.items():
        continued = volume if name == "amplitude" else np.where(nearest[0], volume[nearest[1]], np.nan)
        _add(grid, name, continued.astype(np.float32))
    _add(grid, "support", image.support.astype(np.uint8))
    _write(vtkXMLImageDataWriter(), grid, path, image.unit)


def write_detector_frame(
    path: Path,
    rho: NDArray[np.complexfloating[Any, Any]],
    voxel_vectors: Floats | None,
    others: Mapping[str, Floats | None] | None = None,
) -> None:
    """Write the complex object on the voxels of the detector frame, cropped to the box where it is not zero.

    Point arrays: `amplitude`, `phase` (rad, wrapped), `real` and `imaginary` (colour a contour by the angle of these
    two to have no false seam at +-pi), and `others`.

    Parameters
    ----------
    path : Path
        Ends in ``.vts``. Replaced in one step if it exists.
    rho : complex array (n0, n1, n2)
    voxel_vectors : float64 array (3, 3), optional
        Row i is the vector from one voxel to the next along axis i, metres, laboratory frame. None: unit vectors.
    others : mapping of str to float array (n0, n1, n2), optional
        More point arrays; None stands for an array that is unknown.

    Raises
    ------
    OutputError
        If the disk is full.
    """
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkStructuredGrid
    from vtkmodules.vtkIOXML import vtkXMLStructuredGridWriter

    edges = np.eye(3) if voxel_vectors is None else voxel_vectors / NANOMETRE
    box = _bounding_box(rho)
    indices = np.meshgrid(
        *(np.arange(part.start, part.stop) - n // 2 for part, n in zip(box, rho.shape, strict=True)), indexing="ij"
    )
    positions = np.asarray(sum(index[..., None] * edge for index, edge in zip(indices, edges, strict=True)), np.float32)
    points = vtkPoints()
    points.SetData(numpy_to_vtk(positions.reshape(-1, 3, order="F"), deep=True))
    cropped = rho[box]
    grid = vtkStructuredGrid()
    grid.SetDimensions(cropped.shape)
    grid.SetPoints(points)
    arrays = {"amplitude": np.abs(cropped), "phase": np.angle(cropped), "real": cropped.real, "imaginary": cropped.imag}
    arrays |= {name: values[box] for name, values in (others or {}).items() if values is not None}
    for name, array in arrays.items():
        _add(grid, name, array.astype(np.float32))
    _write(vtkXMLStructuredGridWriter(), grid, path, "voxels" if voxel_vectors is None else "nm")


def _nearest_inside(support: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], tuple[NDArray[Any], ...]]:
    """Which voxels are in or near the support, and for every voxel the index of the nearest one inside."""
    if not support.any():
        return np.zeros_like(support), tuple(np.indices(support.shape))
    distance, nearest = ndimage.distance_transform_edt(~support, return_indices=True)
    return distance <= REACH, tuple(nearest)


def _bounding_box(rho: NDArray[Any]) -> tuple[slice, ...]:
    filled = np.argwhere(rho)
    if len(filled) == 0:
        return tuple(slice(0, n) for n in rho.shape)
    return tuple(
        slice(max(0, int(first) - MARGIN), min(n, int(last) + MARGIN + 1))
        for first, last, n in zip(filled.min(0), filled.max(0), rho.shape, strict=True)
    )


def _add(grid: Any, name: str, volume: NDArray[Any]) -> None:
    """A value for each point of a grid, indexed ``[x, y, z]``."""
    from vtkmodules.util.numpy_support import numpy_to_vtk

    values = numpy_to_vtk(volume.ravel(order="F"), deep=True)
    values.SetName(name)
    grid.GetPointData().AddArray(values)


def _write(writer: Any, grid: Any, path: Path, unit: str) -> None:
    """Through memory: VTK reports a full disk by an error code that is easily lost, and leaves an empty file."""
    from vtkmodules.vtkCommonCore import vtkStringArray

    grid.GetPointData().SetActiveScalars("amplitude")
    for name, words in (("sign_convention", SIGN_CONVENTION), ("length_unit", unit)):
        line = vtkStringArray()
        line.SetName(name)
        line.InsertNextValue(words)
        grid.GetFieldData().AddArray(line)
    writer.SetInputData(grid)
    writer.SetDataModeToAppended()
    writer.EncodeAppendedDataOff()
    writer.SetCompressorTypeToZLib()
    writer.SetWriteToOutputString(True)
    writer.Write()
    with write_atomically(path) as temporary:
        temporary.write_bytes(writer.GetOutputString())
