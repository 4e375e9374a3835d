"""Images in, answers out: `analyse` and `strain_tensor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.tensor import StrainTensor
from autophasenn.arguments import (
    in_python,
    indices_of,
    names_of,
    optional_path,
    path_of,
    points_of,
    raises_in_python,
    shown,
)
from autophasenn.errors import PlanError
from autophasenn.pipeline.analyse import analyse as _analyse
from autophasenn.pipeline.analyse import check as _check_analysis
from autophasenn.pipeline.analyse import save as _save_analysis
from autophasenn.pipeline.result import Result
from autophasenn.pipeline.strain_tensor import check as _check_tensor
from autophasenn.pipeline.strain_tensor import save as _save_tensor
from autophasenn.pipeline.strain_tensor import strain_tensor as _strain_tensor
from autophasenn.progress import Progress

T = TypeVar("T", Analysis, StrainTensor)


@raises_in_python
def analyse(
    result: Result | str | Path,
    output: str | Path | None = None,
    *,
    options: AnalysisOptions | None = None,
    lines: Sequence[tuple[tuple[float, float, float], tuple[float, float, float]]] = (),
    planes: Sequence[tuple[float, float, float]] = (),
    formats: Sequence[str] = ("png",),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Analysis:
    """Answer questions about an image: frames, lattice, strain statistics, facets, dislocations, domains, profiles.

    Parameters
    ----------
    result : Result or path
        In memory, or its folder or ``.cxi`` file.
    output : path, optional
        Folder of ``analysis.json``, the tables, volumes and figures; None: nothing is written.
    options : AnalysisOptions, optional
        Reflection, material, reference, frame, isosurface; None: what can be done without any of them.
    lines : sequence of (point, point)
        More profiles, from and to, in nm from the middle of the image.
    planes : sequence of vectors
        Normals of more planes through the centre of mass.
    formats : sequence of str
        Of the figures: ``"png"``, ``"pdf"``, ``"svg"``.
    overwrite : bool
        Whether an analysis that is there may be replaced.
    progress : Progress, optional

    Returns
    -------
    Analysis
        Its ``facets``, ``strain``, ``lattice``, ``size``, ``dislocations``, ``domains``, ``profiles``; its ``notes`` say
        what could not be done and why.

    Raises
    ------
    InputError, PlanError
        If there is no such result, or reflection, material and d do not go together.
    OutputError
        If the folder cannot be written.
    """
    folder, kinds = optional_path(output, "The output"), names_of(formats, "The formats")
    subject = result if isinstance(result, Result) else path_of(result, "The result")
    if not isinstance(options, AnalysisOptions | None):
        raise PlanError(f"The options are {shown(options)}; give AnalysisOptions, as AnalysisOptions(material='Au').")
    ends, normals = points_of(lines, "lines", (2, 3)), points_of(planes, "planes", (3,))
    if folder is not None:
        _check_analysis(folder, kinds, overwrite=overwrite)
    found = _noted_in_python(_analyse(subject, options, ends, normals, progress))
    if folder is not None:
        _save_analysis(found, folder, kinds, overwrite=overwrite)
    return found


@raises_in_python
def strain_tensor(
    results: Sequence[Result | str | Path],
    output: str | Path | None = None,
    *,
    hkl: Sequence[tuple[int, int, int]] | None = None,
    axes: str | None = None,
    joint: bool = False,
    formats: Sequence[str] = ("png",),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> StrainTensor:
    """Put three or more reflections of one crystal together: displacement, strain tensor, rotation.

    Parameters
    ----------
    results : sequence of Result or path
        Each in memory, or its folder or ``.cxi`` file; of scans whose beamline or diffractometer is known, as the images
        are brought into the frame of the sample.
    output : path, optional
        Folder of ``strain_tensor.json``, volumes and figure; None: nothing is written.
    hkl : sequence of 3 ints, optional
        Miller indices of each result; with them the mean unit cell is told, and components are along the cubic axes.
    axes : str, optional
        ``"sample"`` or ``"cubic"``: along which the components are; None: cubic where `hkl` is given.
    joint : bool
        Whether all patterns are phased together, one density and one displacement field, from where the images phased one
        at a time are; kept where that explains held-out voxels better, which the tensor's ``joint`` says.
    formats : sequence of str
        Of the figure: ``"png"``, ``"pdf"``, ``"svg"``.
    overwrite : bool
        Whether a strain tensor that is there may be replaced.
    progress : Progress, optional

    Returns
    -------
    StrainTensor
        ``strain_map`` (xx, yy, zz, yz, xz, xy; tensor components), ``rotation_map``, ``displacement_map``, their means and
        spreads, what the reflections disagree in, and ``notes``.

    Raises
    ------
    InputError
        If there are fewer than three results, one has no geometry, the scattering vectors lie in a plane, or the images
        are of different bodies.
    OutputError, PlanError
        If the folder cannot be written, or a format is none.
    """
    folder, kinds = optional_path(output, "The output"), names_of(formats, "The formats")
    if isinstance(results, str | Path | Result):
        raise PlanError("One result was given; give a list of three or more, each of another reflection.")
    given = [each if isinstance(each, Result) else path_of(each, "A result") for each in results]
    indices = None if hkl is None else [indices_of(each, "The indices of a reflection") for each in hkl]
    if folder is not None:
        _check_tensor(folder, kinds, overwrite=overwrite)
    found = _noted_in_python(_strain_tensor(given, indices, axes, progress, joint=joint))
    if folder is not None:
        _save_tensor(found, folder, kinds, overwrite=overwrite)
    return found


def _noted_in_python(found: T) -> T:
    """The same answer, its notes speaking of arguments where the command line has options."""
    return replace(found, notes=tuple(in_python(note) for note in found.notes))
