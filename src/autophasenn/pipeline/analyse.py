"""A result analysed: read or taken from memory, brought into the frame that is asked for, and written into a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.analyse import analyse as _analyse
from autophasenn.analysis.exports import write_files
from autophasenn.analysis.figures import write_figures
from autophasenn.analysis.frames import LABORATORY, Frame, frames_of
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.profiles import Point
from autophasenn.analysis.subject import DetectorObject, Subject, read_subject, subject_of
from autophasenn.errors import InputError, PlanError
from autophasenn.files.former import Kind
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.physics.axes import rotation
from autophasenn.progress import Progress, Silent
from autophasenn.report.style import KINDS

FORMATS = KINDS
"""Of the figures."""
TABLES = (
    "facets",
    "edges",
    "corners",
    "layers",
    "histogram",
    "dislocations",
    "dislocation_points",
    "domains",
    "profiles",
)
FIGURES = (*("planes", "profiles", "amplitude", "strain", "facets", "pole_figure", "wulff", "dislocations", "domains"),)
KIND = Kind(
    (
        *("analysis.json", "analysis.nxs", "volumes.npz", "volumes.mat", "volumes.vti"),
        *("surface.vtp", "dislocations.vtp"),
        *("amplitude.tif", "phase_rad.tif", "displacement_nm.tif", "strain.tif"),
        *(f"{table}.csv" for table in TABLES),
        *(f"{figure}.{form}" for figure in FIGURES for form in FORMATS),
    ),
    ("analysis.json",),
)
"""How the folder of a former analysis is told from others."""


def analyse(
    result: Any,
    options: AnalysisOptions | None = None,
    lines: Sequence[tuple[Point, Point]] = (),
    planes: Sequence[Point] = (),
    progress: Progress | None = None,
) -> Analysis:
    """Analyse a result.

    Parameters
    ----------
    result : Result or path
        In memory, its folder, or its ``.cxi`` file.
    options : AnalysisOptions, optional
    lines, planes
        As `analysis.analyse.analyse` takes them.
    progress : Progress, optional

    Raises
    ------
    InputError
        If there is no such result, it has no geometry and a frame is asked for, or as `analysis.analyse.analyse`.
    """
    options, told = options or AnalysisOptions(), progress or Silent()
    told.stage("read")
    subject = subject_in(result, options)
    told.stage("analyse")
    return _analyse(subject, options, lines, planes)


def subject_in(
    result: Any,
    options: AnalysisOptions,
    voxel_size_nm: float | None = None,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Subject:
    """What is analysed of a result, its image on the axes of the frame that the options say.

    Parameters
    ----------
    result : Result or path
    options : AnalysisOptions
        Its `frame` and `second` direction are used.
    voxel_size_nm : float, optional
        Of the image in another frame than the laboratory; None: as the result's own plan says.
    shift : 3 floats
        By which the image is moved along the axes of that frame, metres.

    Raises
    ------
    InputError
        If there is no such result, or the frame is unknown.
    """
    if isinstance(result, str | Path):
        subject, report = read_subject(Path(result))
    else:
        subject, report = _of_result(result)
    subject = replace(subject, sample_rotation=_sample_rotation(subject, report))
    return subject if options.frame == LABORATORY else _in_frame(subject, result, options, voxel_size_nm, shift)


def save(
    analysis: Analysis,
    folder: Path,
    formats: Sequence[str] = ("png",),
    *,
    overwrite: bool = False,
    figures: bool = True,
) -> tuple[str, ...]:
    """Write tables, volumes and figures of an analysis, whole or not at all.

    Returns
    -------
    tuple of str
        A sentence for each figure that this machine cannot draw.

    Raises
    ------
    OutputError
        If the folder holds something and may not be overwritten, or cannot be written.
    PlanError
        If figures cannot be written in a format.
    """
    check(folder, formats, overwrite=overwrite)
    with staged_folder(folder, KIND, overwrite) as stage:
        write_files(analysis, stage)
        return write_figures(analysis, stage, formats) if figures else ()


def check(folder: Path, formats: Sequence[str] = (), *, overwrite: bool = False) -> None:
    """Refuse what `save` would refuse, before any work is done."""
    check_formats(formats)
    check_folder(folder, overwrite, KIND)


def check_formats(formats: Sequence[str]) -> None:
    """Refuse figures in a format that there is not."""
    unknown = [each for each in formats if each not in FORMATS]
    if unknown:
        raise PlanError(
            f"Figures cannot be written as {unknown[0]!r}; give {', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        )


def _of_result(result: Any) -> tuple[Subject, Mapping[str, Any]]:
    from autophasenn.physics.geometry import direct_voxel_vectors

    found, steps = result.reconstruction, result.pattern.reciprocal_steps
    vectors = None if steps is None else direct_voxel_vectors(steps, result.pattern.shape).numpy()
    detector = DetectorObject(found.object.cpu().numpy(), found.support.cpu().numpy(), vectors)
    report = result.report.to_json()
    return subject_of(result.image, detector, report, dict(result.source)), report


def _sample_rotation(subject: Subject, report: Mapping[str, Any]) -> np.ndarray | None:
    """What the sample's circles did: as the report says it or, in older ones, by the names and angles of the circles."""
    geometry = report.get("geometry")
    if subject.sample_rotation is not None or not isinstance(geometry, Mapping) or not geometry.get("angles_deg"):
        return subject.sample_rotation
    from autophasenn.beamlines import diffractometers
    from autophasenn.physics.diffractometer import Diffractometer

    angles = geometry["angles_deg"]
    for each in vars(diffractometers).values():
        is_it = isinstance(each, Diffractometer) and each.name == geometry.get("diffractometer")
        if is_it and all(circle.name in angles for circle in each.sample):
            return np.asarray(rotation(each.sample, angles))
    return None


def _in_frame(
    subject: Subject,
    result: Any,
    options: AnalysisOptions,
    voxel_size_nm: float | None,
    shift: tuple[float, float, float],
) -> Subject:
    """The same with its image on the axes of another frame, interpolated once, from the voxels that it was phased on."""
    frames, notes = frames_of(subject.image.scattering_vector, subject.sample_rotation, options.second)
    if options.frame not in frames:
        raise InputError(f"The image cannot be shown in the {options.frame} frame. {' '.join(notes)}")
    import torch

    from autophasenn.pipeline.postprocess import Postprocessing, crystal_of, image_of
    from autophasenn.pipeline.result import Result

    stored = Result.load(result) if isinstance(result, str | Path) else result
    frame: Frame = frames[options.frame]
    matrix = torch.from_numpy(np.array(frame.matrix, dtype=np.float64))
    pattern = stored.pattern
    how = Postprocessing() if stored.plan is None else stored.plan.postprocess
    if pattern.reciprocal_steps is None or pattern.scattering_vector is None:
        raise InputError(
            f"The image has a geometry and its pattern none, so that it cannot be shown in the {options.frame} frame; phase "
            "the scan again."
        )
    turned = replace(
        pattern,
        reciprocal_steps=pattern.reciprocal_steps.double() @ matrix.T,
        scattering_vector=matrix @ pattern.scattering_vector.double(),
    )
    crystal = crystal_of(stored.reconstruction, how.support_threshold)
    how = how if voxel_size_nm is None else replace(how, voxel_size_nm=voxel_size_nm)
    image = image_of(stored.reconstruction, crystal, turned, how, shift)
    return replace(subject, image=image, frame=frame.name, to_frame=frame.matrix)
