"""Results of several reflections read, brought into the sample frame, and their strain tensor written into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.analysis.frames import SAMPLE
from autophasenn.analysis.inside import cells_of
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.reflections import common_edge, laid_on_each_other, on_one_grid
from autophasenn.analysis.series import Shift
from autophasenn.analysis.subject import Subject
from autophasenn.analysis.tensor import Joint, StrainTensor, with_displacement
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
GAIN, WORST = 0.94, 1.05
"""chi2 on held-out voxels, phased together over phased alone, up to which the body may be that of all: in the mean of the
patterns, and of any of them (docs/notebook/analysis.md)."""
KEPT = (
    "The patterns were phased together: one density and one displacement field explain the voxels that were held out better "
    "than the images phased one at a time, whose uncertainties and disagreement are told."
)
NOT_KEPT = (
    "One density and one displacement field do not explain the voxels that were held out clearly better than the images "
    "phased one at a time, so the tensor is that of those."
)
UNJUDGED = "The patterns were not phased together, as of one no voxels are known that were held out and could judge it."


def strain_tensor(
    results: Sequence[Any],
    hkl: Sequence[Indices] | None = None,
    axes: str | None = None,
    progress: Progress | None = None,
    *,
    joint: bool = False,
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
    joint : bool
        Whether one density and one displacement field are sought that explain all patterns; they are kept where they
        explain the voxels that were held out better than the images do (`is_better`).

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
    turned = [replace(_subject(result, OPTIONS, edge), detector=None) for result in results]
    found = laid_on_each_other([each.image for each in turned], names, hkl or ())
    # Once more from the voxels that were phased, now that their places are known, so that all is interpolated once; read
    # again, as the patterns of many scans do not fit into the memory together.
    moved = [
        _subject(result, OPTIONS, edge, each.shift_back()).image for result, each in zip(results, found, strict=True)
    ]
    cells = max(cells_of(found[0].image, each.resolution_nm) for each in subjects)
    tensor = _strain_tensor(on_one_grid(moved, found), axes, cells)
    if joint:
        told.stage("phase together")
        tensor = _phased_together(tensor, results, turned, cells, told)
    return replace(tensor, notes=(*tensor.notes, *_doubts(subjects, names, has_cell=tensor.lattice is not None)))


def is_better(free_errors: Sequence[float], alone: Sequence[float]) -> bool:
    """Do patterns phased together explain their held-out voxels better: by `GAIN` in the mean, and none worse than `WORST`?

    Parameters
    ----------
    free_errors, alone : sequence of float
        chi2 of each pattern on its held-out voxels, together and one at a time; NaN where nothing can be judged.
    """
    ratios = np.array(free_errors) / np.array(alone)
    return bool(np.isfinite(ratios).all() and ratios.max() <= WORST and ratios.mean() <= GAIN)


def _phased_together(
    tensor: StrainTensor, results: Sequence[Any], subjects: Sequence[Subject], cells: float, told: Progress
) -> StrainTensor:
    import torch

    from autophasenn.phasing.held_out import HeldOut
    from autophasenn.phasing.joint import Body, Seen, together
    from autophasenn.physics.diffraction import ForwardModel
    from autophasenn.pipeline.result import Result

    seen, alone = [], []
    for result, subject, q in zip(results, subjects, tensor.q, strict=True):
        stored = Result.load(result) if isinstance(result, str | Path) else result
        steps = stored.pattern.reciprocal_steps
        assert steps is not None
        pattern = replace(stored.pattern, reciprocal_steps=steps.double() @ torch.from_numpy(subject.to_frame.T.copy()))
        if stored.plan is None:  # which voxels were held out is not known
            return replace(tensor, notes=(*tensor.notes, UNJUDGED))
        held_out = HeldOut.of(pattern, stored.plan.free_fraction, stored.report.seed or 0)
        kernel = stored.reconstruction.kernel
        model = ForwardModel(kernel=None if kernel is None else kernel[None])
        alone.append(
            held_out.free_error_of(model(stored.reconstruction.object[None])[0])
        )  # whole, as the body is judged
        seen.append(Seen(held_out, q, kernel))
    if not np.isfinite(alone).all():
        return replace(tensor, notes=(*tensor.notes, UNJUDGED))
    moved = np.tensordot(tensor.to_axes.T, np.nan_to_num(tensor.displacement_map), 1)
    edge = tensor.voxel_size[0]
    found = together(seen, Body(tensor.amplitude, moved, tensor.support, edge), on_iteration=told.advance)
    is_kept = is_better(found.free_errors, alone)
    judged = Joint(is_kept, found.free_errors, tuple(alone))
    if not is_kept:
        return replace(tensor, joint=judged, notes=(*tensor.notes, NOT_KEPT))
    body = found.body.at(edge, tensor.support.shape)
    best = with_displacement(tensor, body.displacement, body.density, judged, cells)
    return replace(best, notes=(*best.notes, KEPT))


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
