"""A strain tensor in files, a figure and words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autophasenn import __version__
from autophasenn.analysis.exports import unit_of
from autophasenn.analysis.grid import axes_of, vtk_grid
from autophasenn.analysis.quantity import Floats
from autophasenn.analysis.tensor import COMPONENTS, CUBIC, StrainTensor
from autophasenn.analysis.words import mean, strained
from autophasenn.files.cxi_image import nx_dataset, nx_group
from autophasenn.image import CrystalImage
from autophasenn.report.annotations import scale_bar
from autophasenn.report.planes import Plane
from autophasenn.report.scales import Scale, strain_scale
from autophasenn.report.style import frame, new_figure, save, styled

PLANE = Plane(0, 1, "across z")
"""Shown: x to the right and y upwards of the sample frame."""
FIGURE = "strain_tensor"


def write_files(tensor: StrainTensor, folder: Path, kinds: Sequence[str] = ()) -> None:
    """Write ``strain_tensor.json``, ``volumes.npz``, ``strain_tensor.nxs``, ``volumes.vti`` and the figure into a folder.

    Raises
    ------
    OSError
        If the disk is full.
    """
    text = json.dumps(tensor.to_json(), indent=2, allow_nan=False)
    (folder / "strain_tensor.json").write_text(text + "\n", "utf-8")
    volumes, axes = tensor.volumes(), _axes(tensor)
    arrays: dict[str, Any] = {**volumes, "support": tensor.support, **axes}
    np.savez_compressed(folder / "volumes.npz", **arrays)
    _write_nexus(folder / "strain_tensor.nxs", tensor, volumes, axes)
    _write_vtk(folder / "volumes.vti", tensor, volumes)
    if kinds:
        drawn = figure(tensor)
        for kind in kinds:
            save(drawn, folder / f"{FIGURE}.{kind}")


@styled
def figure(tensor: StrainTensor) -> Figure:
    """The six components on the plane across z through the middle of the crystal, one scale for all."""
    body = CrystalImage(tensor.amplitude, tensor.displacement_map[0], tensor.support, voxel_size=tensor.voxel_size)
    scale = strain_scale(tensor.strain_map)
    drawn = new_figure((11.0, 6.4))
    grid = drawn.subplots(2, 3)
    for axes, name, values in zip(grid.flat, COMPONENTS, tensor.strain_map, strict=True):
        _draw(axes, body, values, scale)
        axes.set_title(rf"$\varepsilon_{{{name}}}$")
    scale.colour_bar(drawn, list(grid.flat), label=scale.title, shrink=0.8)
    along = "the cubic axes" if tensor.axes == CUBIC else "the axes of the sample frame"
    drawn.suptitle(
        f"Strain of {len(tensor.names)} reflections, components along {along}; plane across z of the sample frame"
    )
    return drawn


def facts(tensor: StrainTensor) -> dict[str, str]:
    """Each fact by its name, in the order in which they are shown."""
    said = {f"strain {name}": strained(found) for name, found in zip(COMPONENTS, tensor.strain, strict=True)}
    said |= {f"rotation about {axis}": mean(found) for axis, found in zip("xyz", tensor.rotation, strict=True)}
    said["volumetric strain"] = strained(tensor.volumetric)
    said["equivalent strain"] = strained(tensor.equivalent)
    said["components along"] = "the axes of the lattice" if tensor.axes == CUBIC else "the axes of the sample frame"
    if tensor.lattice is not None:
        cell = tensor.lattice
        said["mean unit cell"] = (
            f"{', '.join(f'{each.value:.5f}' for each in (cell.a, cell.b, cell.c))} nm; "
            f"{', '.join(f'{each.value:.3f}' for each in (cell.alpha, cell.beta, cell.gamma))} degrees"
        )
    if tensor.joint is not None:
        together, alone = (np.mean(each) for each in (tensor.joint.free_errors, tensor.joint.free_errors_alone))
        said["phased"] = (
            f"{'together' if tensor.joint.is_kept else 'one at a time'} (chi2 on held-out voxels: {together:.3g} together, "
            f"{alone:.3g} one at a time)"
        )
    if tensor.disagreement.value is not None:
        said["unexplained"] = f"{100 * tensor.disagreement.value:.1f} % of the phase gradients (root mean square)"
    return said


def reflection_rows(tensor: StrainTensor) -> tuple[list[str], list[Sequence[str]]]:
    """Titles and rows of the reflections."""
    rows: list[Sequence[str]] = []
    for name, hkl, q, is_twin, is_guess, alike in zip(
        tensor.names, tensor.hkl, tensor.q, tensor.twins, tensor.guessed, tensor.alike, strict=True
    ):
        twin = ("twin" if is_twin else "as it is") + (", a guess" if is_guess else "")
        rows.append(
            [
                name,
                "unknown" if hkl is None else " ".join(map(str, hkl)),
                " ".join(f"{part:.3f}" for part in q * 1e-9),
                twin,
                f"{100 * alike:.0f} %",
            ]
        )
    return ["reflection", "hkl", "Q in the sample frame, 1/nm", "taken", "body"], rows


def _draw(axes: Axes, body: CrystalImage, values: Floats, scale: Scale) -> None:
    shown = PLANE.cut(values, body.centre[PLANE.normal]) * scale.factor
    rows, columns = shown.shape
    width, height = columns * body.spacing[PLANE.across], rows * body.spacing[PLANE.up]
    axes.imshow(
        shown,
        origin="lower",
        extent=(0, width, 0, height),
        cmap=scale.colours,
        norm=scale.norm,
        interpolation="nearest",
    )
    frame(axes)
    scale_bar(axes, "nm")


def _axes(tensor: StrainTensor) -> dict[str, Floats]:
    return axes_of("xyz", "nm", tensor.support.shape, [1e9 * edge for edge in tensor.voxel_size])


def _write_nexus(path: Path, tensor: StrainTensor, volumes: dict[str, Floats], axes: dict[str, Floats]) -> None:
    buffer = BytesIO()  # on a full disk the HDF5 library loses the error
    with h5py.File(buffer, "w") as file:
        file.attrs.update(NX_class="NXroot", default="entry", creator=f"autophasenn {__version__}")
        entry = nx_group(file, "entry", "NXentry", default="image")
        entry["title"] = f"Strain tensor of {len(tensor.names)} reflections"
        entry["json"] = json.dumps(tensor.to_json(), allow_nan=False)
        image = nx_group(file, "entry/image", "NXdata", signal="strain_xx", axes=list(axes))
        image.attrs["auxiliary_signals"] = [name for name in volumes if name != "strain_xx"]
        for name, positions in axes.items():
            nx_dataset(image, name, positions, "nm")
        for name, volume in volumes.items():
            nx_dataset(image, name, volume, "rad" if name.endswith("_rad") else unit_of(name))
        frames = nx_group(file, "entry/frames", "NXcollection")
        frames["grid"] = "sample"
        frames["components"] = tensor.axes
        nx_dataset(frames, "to_components", tensor.to_axes, note="v_components = matrix @ v_sample")
        nx_dataset(frames, "scattering_vectors", tensor.q, "1/m")
    path.write_bytes(buffer.getbuffer())


def _write_vtk(path: Path, tensor: StrainTensor, volumes: dict[str, Floats]) -> None:
    grid = vtk_grid(tensor.support.shape, [1e9 * edge for edge in tensor.voxel_size], volumes)
    grid.field_data["length_unit"] = ["nm"]
    grid.field_data["components_along"] = [tensor.axes]
    grid.save(path)
