"""Files of an analysis: JSON, CSV, NumPy, MATLAB, TIFF, NeXus, VTK."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from autophasenn import __version__
from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.grid import axes_of, vtk_grid
from autophasenn.analysis.profiles import PlaneCut, Profile
from autophasenn.analysis.quantity import Floats
from autophasenn.analysis.tables import csv_tables
from autophasenn.files.convention import SIGN_CONVENTION
from autophasenn.files.cxi_image import nx_dataset, nx_group

UNITS = {"phase_rad": "rad", "phase_spread_rad": "rad"}
"""Of quantities by name; others end in their unit, or have none."""


def write_files(analysis: Analysis, folder: Path) -> None:
    """Write everything but the figures into a folder that exists.

    ``analysis.json`` (every number), ``*.csv`` (tables), ``volumes.npz`` and ``volumes.mat`` (volumes and axes),
    ``<quantity>.tif`` (one page a plane of voxels along the first axis), ``analysis.nxs`` (NeXus), ``surface.vtp``,
    ``dislocations.vtp`` and ``volumes.vti`` (ParaView).

    Raises
    ------
    OSError
        If the disk is full.
    """
    (folder / "analysis.json").write_text(json.dumps(analysis.to_json(), indent=2, allow_nan=False) + "\n", "utf-8")
    for name, text in csv_tables(analysis).items():
        (folder / name).write_text(text, encoding="utf-8")
    volumes = analysis.quantities()
    arrays: dict[str, Any] = {**volumes, "support": analysis.image.support.astype(np.uint8), **_axes(analysis)}
    if len(analysis.domains.domains) > 1:
        arrays["domains"] = analysis.domains.labels
    np.savez_compressed(folder / "volumes.npz", **arrays)
    _write_mat(folder / "volumes.mat", analysis, arrays)
    _write_tiffs(folder, analysis, volumes)
    _write_nexus(folder / "analysis.nxs", analysis, volumes)
    _write_vtk(folder, analysis)


def _axes(analysis: Analysis) -> dict[str, Floats]:
    """Positions of the voxels along each axis: ``x_nm``, or ``axis_0_voxels``."""
    image = analysis.image
    return axes_of(image.axes, image.unit, image.shape, image.spacing)


def unit_of(name: str) -> str:
    """Unit of a quantity by its name: ``d_nm`` is in nm."""
    return UNITS.get(name, "nm" if name.endswith("_nm") else "")


def _write_mat(path: Path, analysis: Analysis, arrays: dict[str, Any]) -> None:
    from scipy.io import savemat

    frames = {name: frame.matrix for name, frame in analysis.frames.items()}
    about = {"frame": analysis.frame, "unit": analysis.unit, "sign_convention": SIGN_CONVENTION}
    savemat(path, {**arrays, **about, **({"frames": frames} if frames else {})}, do_compression=True)


def _write_tiffs(folder: Path, analysis: Analysis, volumes: dict[str, Floats]) -> None:
    """ImageJ reads the edges of the voxels from these: pages along axis 0, rows along axis 1, columns along axis 2."""
    import tifffile

    first, second, third = analysis.image.spacing
    for name in ("amplitude", "phase_rad", "displacement_nm", "strain"):
        if name in volumes:
            tifffile.imwrite(
                folder / f"{name}.tif",
                np.ascontiguousarray(volumes[name], np.float32),
                imagej=True,
                compression="zlib",
                resolution=(1 / third, 1 / second),
                metadata={"spacing": first, "unit": analysis.unit, "axes": "ZYX"},
            )


def _write_nexus(path: Path, analysis: Analysis, volumes: dict[str, Floats]) -> None:
    buffer = BytesIO()  # on a full disk the HDF5 library loses the error
    with h5py.File(buffer, "w") as file:
        file.attrs.update(NX_class="NXroot", default="entry", creator=f"autophasenn {__version__}")
        entry = nx_group(file, "entry", "NXentry", default="image")
        entry["title"] = f"Analysis of {analysis.name or 'a crystal'}"
        entry["sign_convention"] = SIGN_CONVENTION
        entry["json"] = json.dumps(analysis.to_json(), allow_nan=False)
        frames = nx_group(file, "entry/frames", "NXcollection")
        frames["frame_of_image"] = analysis.frame
        for frame in analysis.frames.values():
            nx_dataset(
                frames, frame.name, frame.matrix, note=f"v_{frame.name} = matrix @ v_laboratory; {frame.meaning}"
            )
        axes = _axes(analysis)
        image = nx_group(file, "entry/image", "NXdata", signal="amplitude", axes=list(axes))
        image.attrs["auxiliary_signals"] = [name for name in volumes if name != "amplitude"]
        for name, positions in axes.items():
            nx_dataset(image, name, positions, analysis.unit)
        for name, volume in volumes.items():
            nx_dataset(image, name, volume, unit_of(name))
        for profile in analysis.profiles:
            _nexus_profile(file, profile, analysis.unit)
        for plane in analysis.cuts:
            _nexus_plane(file, plane, analysis.unit)
        if analysis.strain is not None:
            found = analysis.strain.histogram
            group = nx_group(file, "entry/histogram", "NXdata", signal="all", axes=["strain"])
            nx_dataset(group, "strain", (found.edges[1:] + found.edges[:-1]) / 2, "")
            for name in ("all", "surface", "bulk"):
                nx_dataset(group, name, getattr(found, name), "voxels")
        for line in analysis.dislocations.lines:
            group = nx_group(file, f"entry/dislocations/line_{line.number}", "NXcollection")
            nx_dataset(group, "points", line.points, analysis.unit)
            nx_dataset(group, "turns", line.charge)
    path.write_bytes(buffer.getbuffer())


def _nexus_profile(file: h5py.File, profile: Profile, unit: str) -> None:
    signal = "strain" if "strain" in profile.values else "amplitude"
    name = f"entry/profiles/{profile.name.replace(' ', '_')}"
    group = nx_group(file, name, "NXdata", signal=signal, axes=["distance"], title=profile.name)
    nx_dataset(group, "distance", profile.distance, unit)
    nx_dataset(group, "positions", profile.positions, unit)
    for quantity, values in profile.values.items():
        nx_dataset(group, quantity, values, unit_of(quantity))
    if "strain_spread" in profile.values:
        group["strain_errors"] = h5py.SoftLink(f"/{name}/strain_spread")


def _nexus_plane(file: h5py.File, plane: PlaneCut, unit: str) -> None:
    signal = "strain" if "strain" in plane.values else "amplitude"
    name = f"entry/planes/{plane.name.replace(' ', '_')}"
    group = nx_group(file, name, "NXdata", signal=signal, axes=["up", "right"], title=plane.name)
    rows, columns = plane.values["amplitude"].shape
    for axis, count in (("up", rows), ("right", columns)):
        nx_dataset(group, axis, (np.arange(count) - count // 2) * plane.step, unit)
        nx_dataset(group, f"{axis}_vector", getattr(plane, axis))
    nx_dataset(group, "centre", plane.centre, unit)
    for quantity, values in plane.values.items():
        nx_dataset(group, quantity, values, unit_of(quantity))


def facet_numbers(analysis: Analysis) -> np.ndarray:
    """Number of the facet that each triangle of the surface belongs to; 0: none."""
    numbers = np.zeros(len(analysis.surface.triangles), np.int32)
    for facet in analysis.facets:
        numbers[facet.triangles] = facet.number
    return numbers


def _write_vtk(folder: Path, analysis: Analysis) -> None:
    import pyvista

    surface = analysis.surface
    mesh = surface.mesh()
    mesh.cell_data["facet"] = facet_numbers(analysis)
    for name in ("strain", "displacement"):
        values = np.full(len(analysis.facets) + 1, np.nan, np.float32)
        for facet in analysis.facets:
            mean = getattr(facet, name)
            values[facet.number] = np.nan if mean is None or mean.mean.value is None else mean.mean.value
        mesh.cell_data["facet_strain" if name == "strain" else "facet_displacement_nm"] = values[
            mesh.cell_data["facet"]
        ]
    _described(mesh, analysis).save(folder / "surface.vtp")
    lines = analysis.dislocations.lines
    if lines:
        parts = []
        for line in lines:
            part = pyvista.lines_from_points(np.asarray(line.points, np.float64))
            part.cell_data["line"] = np.full(part.n_cells, line.number, np.int32)
            part.cell_data["turns"] = np.full(part.n_cells, line.charge, np.int32)
            parts.append(part)
        _described(pyvista.merge(parts).extract_surface(algorithm="dataset_surface"), analysis).save(
            folder / "dislocations.vtp"
        )
    image = analysis.image
    grid = vtk_grid(image.shape, image.spacing, analysis.quantities())
    grid.point_data["domain"] = analysis.domains.labels.ravel(order="F")
    _described(grid, analysis).save(folder / "volumes.vti")


def _described(mesh: Any, analysis: Analysis) -> Any:
    mesh.field_data["sign_convention"] = [SIGN_CONVENTION]
    mesh.field_data["length_unit"] = [analysis.unit]
    mesh.field_data["frame"] = [analysis.frame]
    return mesh
