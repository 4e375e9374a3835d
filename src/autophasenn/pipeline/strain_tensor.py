"""Results of several reflections read, brought into the sample frame, and their strain tensor written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from autophasenn.analysis.frames import SAMPLE
from autophasenn.analysis.inside import cells_of
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.reflections import common_edge, laid_on_each_other, on_one_grid
from autophasenn.analysis.series import Shift
from autophasenn.analysis.subject import Subject
from autophasenn.analysis.tensor import StrainTensor
from autophasenn.analysis.tensor import strain_tensor as _strain_tensor
from autophasenn.analysis.tensor_files import FIGURE, write_files
from autophasenn.errors import InputError
from autophasenn.files.former import Kind
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.pipeline.analyse import check_formats, subject_in
from autophasenn.progress import Progress, Silent
from autophasenn.report.numbers import NOT_BELIEVED
from autophasenn.report.style import KINDS

Indices = tuple[int, int, int]
KIND = Kind(
    (
        *("strain_tensor.json", "strain_tensor.nxs", "volumes.npz", "volumes.vti"),
        *(f"{FIGURE}.{form}" for form in KINDS),
    ),
    ("strain_tensor.json",),
)
"""How the folder of a former strain tensor is told from others."""
OPTIONS = AnalysisOptions(frame=SAMPLE)


def strain_tensor(
    results: Sequence[Any],
    hkl: Sequence[Indices] | None = None,
    axes: str | None = None,
    progress: Progress | None = None,
) -> StrainTensor:
    """Strain tensor, rotation and displacement of a crystal from results of three or more of its reflections.

    Parameters
    ----------
    results : sequence of Result or path
    hkl : sequence of 3 ints, optional
        Of each result.
    axes : str, optional
        As `analysis.tensor.strain_tensor` takes it.
    progress : Progress, optional

    Raises
    ------
    InputError
        If there is no such result, the sample frame of one is unknown, the indices are not as many as the results, or as
        `analysis.reflections.laid_on_each_other` and `analysis.tensor.strain_tensor`.
    """
    told = progress or Silent()
    if hkl is not None and len(hkl) != len(results):
        raise InputError(
            f"There are {len(results)} results and the indices of {len(hkl)} reflections; give them for each result, in the "
            "same order, or for none."
        )
    told.stage("read")
    subjects = [_subject(result, AnalysisOptions()) for result in results]
    names = _names([each.name or _name_of(result) for each, result in zip(subjects, results, strict=True)])
    told.stage("analyse")
    edge = common_edge([each.image for each in subjects]) or None
    images = [_subject(result, OPTIONS, edge).image for result in results]
    found = laid_on_each_other(images, names, hkl or ())
    # Once more from the voxels that were phased, now that their places are known, so that all is interpolated once; read
    # again, as the patterns of many scans do not fit into the memory together.
    moved = [
        _subject(result, OPTIONS, edge, each.shift_back()).image for result, each in zip(results, found, strict=True)
    ]
    cells = max(cells_of(found[0].image, each.resolution_nm) for each in subjects)
    tensor = _strain_tensor(on_one_grid(moved, found), axes, cells)
    return replace(tensor, notes=(*tensor.notes, *_doubts(subjects, names, has_cell=tensor.lattice is not None)))


def _doubts(subjects: Sequence[Subject], names: Sequence[str], *, has_cell: bool) -> list[str]:
    """What the results themselves make doubtful."""
    notes = []
    by_name = list(zip(names, subjects, strict=True))
    doubted = [f"{name} ({each.status})" for name, each in by_name if each.status in NOT_BELIEVED]
    if doubted:
        notes.append(
            f"These images are not believed: {', '.join(doubted)}; a single wrong one makes the whole tensor wrong."
        )
    assumed = [name for name, each in by_name if each.is_beam_assumed]
    if assumed and has_cell:
        notes.append(
            f"The direct beam was assumed of {', '.join(assumed)}, so that the unit cell is good to about 1 %; strain is "
            "hardly touched."
        )
    return notes


def _subject(
    result: Any, options: AnalysisOptions, voxel_size_nm: float | None = None, shift: Shift = (0.0, 0.0, 0.0)
) -> Subject:
    try:
        return subject_in(result, options, voxel_size_nm, shift)
    except InputError as error:
        raise InputError(f"{_name_of(result)}: {error}") from error


def save(tensor: StrainTensor, folder: Path, formats: Sequence[str] = ("png",), *, overwrite: bool = False) -> None:
    """Write volumes, numbers and figure of a strain tensor, whole or not at all.

    Raises
    ------
    OutputError
        If the folder holds something and may not be overwritten, or cannot be written.
    PlanError
        If figures cannot be written in a format.
    """
    check(folder, formats, overwrite=overwrite)
    with staged_folder(folder, KIND, overwrite) as stage:
        write_files(tensor, stage, formats)


def check(folder: Path, formats: Sequence[str] = (), *, overwrite: bool = False) -> None:
    """Refuse what `save` would refuse, before any work is done."""
    check_formats(formats)
    check_folder(folder, overwrite, KIND)


def _name_of(result: Any) -> str:
    return str(result) if isinstance(result, str | Path) else "a result"


def _names(names: Sequence[str]) -> list[str]:
    """Each name once: those that several have get their number."""
    return [name if names.count(name) == 1 else f"{name} ({i})" for i, name in enumerate(names, 1)]
