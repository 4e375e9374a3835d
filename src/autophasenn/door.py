"""What `import autophasenn as ap` offers: patterns in, results out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.tensor import StrainTensor
from autophasenn.arguments import (
    indices_of,
    names_of,
    optional_path,
    path_of,
    points_of,
    raises_in_python,
    shown,
    whole_number,
)
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment import experiment, recipes
from autophasenn.experiment.experiment import Samples
from autophasenn.files.boundary import reading
from autophasenn.files.convention import RESULT
from autophasenn.inversion.names import COMPARED, MethodName
from autophasenn.inversion.options import Inversion, with_orientations
from autophasenn.markers import Marks
from autophasenn.network.predict import Predictor as Network
from autophasenn.network.predict import free_memory
from autophasenn.physics.symmetry import ELEMENTS
from autophasenn.pipeline.analyse import analyse as _analyse
from autophasenn.pipeline.analyse import check as _check_analysis
from autophasenn.pipeline.analyse import save as _save_analysis
from autophasenn.pipeline.arrays import Pattern
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument
from autophasenn.pipeline.plan import Plan, given_plan
from autophasenn.pipeline.reconstruct import reconstruct as _reconstruct
from autophasenn.pipeline.repeated import RepeatedScans
from autophasenn.pipeline.result import Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.pipeline.strain_tensor import check as _check_tensor
from autophasenn.pipeline.strain_tensor import save as _save_tensor
from autophasenn.pipeline.strain_tensor import strain_tensor as _strain_tensor
from autophasenn.progress import Progress
from autophasenn.viewer.apart import ViewerProcess
from autophasenn.volumes import Scan

__all__ = ["Network", "Pattern", "analyse", "evaluate", "load", "reconstruct", "simulate", "strain_tensor", "view"]


HIGHEST_PORT = 65535
HIGHEST_SEED = 2**32 - 1
"""Of a dataset; see `randomness.generator_of`."""
BYTES_A_SAMPLE = 2**21
"""Counts, mask and object of a simulated sample, and what making it takes beside them."""


@raises_in_python
def load(
    path: str | Path,
    *,
    beamline: str | None = None,
    spec: str | Path | None = None,
    scan: int | None = None,
    dark: str | Path | None = None,
    white: str | Path | None = None,
    mask: str | Path | None = None,
    instrument: Instrument = AS_RECORDED,
    axes: str | None = None,
    mask_marks: Marks | None = None,
) -> Pattern | Result:
    """Read a pattern, or a stored result.

    Parameters
    ----------
    path : str or Path
        A ``.npy``, ``.npz``, ``.tif`` or ``.cxi`` file, an HDF5 dataset (``file.h5:/path``), the folder of a scan with
        `beamline`, or the folder of a result.
    beamline : str, optional
        Whose scan folder it is, for instance ``"34idc"``.
    spec : path, optional
        SPEC file of the scan.
    scan : int, optional
        Number in the SPEC file; None: from the folder's name.
    dark, white : path, optional
        Dark field and white field of the detector.
    mask : path, optional
        Mask of the frames, of one of them, or of a beamline's whole detector, True = measured.
    instrument : Instrument
        What is known of the diffractometer better than it was recorded.
    axes : str, optional
        What the axes of a plain file are, as ``"row,column,frame"``; None: frame, row, column.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in the mask; None: as the values under it say.

    Returns
    -------
    Pattern or Result

    Raises
    ------
    InputError, GeometryError
        If it cannot be read, or is not what it should be.
    PlanError
        If options are missing or do not go together.

    Examples
    --------
    >>> from autophasenn.pipeline.example import EXAMPLE
    >>> load(EXAMPLE).shape
    (64, 64, 64)
    """
    place = path_of(path, "What is to be loaded")
    fields = (
        optional_path(dark, "The dark field"),
        optional_path(white, "The white field"),
        optional_path(mask, "The mask"),
    )
    source = Source(
        str(path), beamline, optional_path(spec, "The SPEC file"), scan, *fields, instrument, axes, mask_marks
    )
    with reading(place):
        is_result = place.name == RESULT or (place / RESULT).is_file()
    if beamline is None and mask is None and is_result:
        return Result.load(place)
    return Pattern.of(source.read())


@raises_in_python
def reconstruct(
    pattern: str | Path | ArrayLike | Scan | Result | Sequence[str | Path | ArrayLike | Scan],
    mask: str | Path | ArrayLike | None = None,
    *,
    sum: bool = False,
    method: str = MethodName.refined,
    plan: Plan | str | Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    weights: str | Path | Network | None = None,
    force: bool = False,
    confidence: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Turn a pattern into an image of the crystal and its strain.

    Parameters
    ----------
    pattern : path, array, Pattern or Result
        A file, an array of counts ``[frame, row, column]``, what :func:`load` gave, or a result whose pattern is phased
        again. With `sum`, a sequence of them.
    mask : path or array, optional
        Of a file or an array of counts, True = measured; with `sum`, of each of them.
    sum : bool
        Whether `pattern` is a sequence of repeated scans, of which those that show the same crystal are aligned and summed.
    method : str
        ``"refined"``: the network's prediction, refined. ``"adapted"``: the same, after the network learned on from this
        pattern. ``"network"``: the prediction as it is. ``"iterative"``: phase retrieval from random starts.
    plan : Plan or path, optional
        Every parameter; None: the defaults.
    seed : int
        The same seed gives the same result, bit for bit.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
    weights : path or Network, optional
        Of the network; None: those of the package.
    force : bool
        Whether a pattern whose phases are not determined (oversampling below 2) is phased all the same.
    confidence : int, optional
        Orientations that say how far to believe the image; 0: none, the quickest. None: those of the plan.
    progress : Progress, optional
        Told of stages and iterations.

    Returns
    -------
    Result
        Not yet written; see its ``save``, which leaves the pictures out with ``figures=False``.

    Raises
    ------
    InputError, GeometryError
        If the pattern is not what it should be, or cannot be phased.
    PlanError
        If a parameter is outside its range, or the device is not there.

    Examples
    --------
    >>> from autophasenn.pipeline.example import EXAMPLE
    >>> result = reconstruct(EXAMPLE, method="network")
    >>> result.report.status
    'reconstructed'
    >>> result.image.strain.shape == result.image.amplitude.shape
    True
    """
    network = weights if isinstance(weights, Network) else None
    file = None if network is not None else optional_path(weights, "The file of weights")
    run = Run(method, seed, device, file, force=force)
    parameters = given_plan(plan)
    if confidence is not None:
        number = whole_number(confidence, "confidence", 0, ELEMENTS)
        parameters = with_orientations(parameters or Plan(), number)
    if sum:
        given: Any = pattern
        if isinstance(given, str | Path | Scan | Result) or not isinstance(given, Iterable):
            raise PlanError("With sum=True the pattern is a list of scans; give two or more of one reflection.")
        several = RepeatedScans(tuple(_input_of(each, mask) for each in given))
        return _reconstruct(several, run, parameters, progress, predictor=network)
    return _reconstruct(_input_of(pattern, mask), run, parameters, progress, predictor=network)  # type: ignore[arg-type]


def _input_of(pattern: str | Path | ArrayLike | Scan | Result, mask: str | Path | ArrayLike | None) -> Source | Scan:
    """What is read or was read."""
    if isinstance(pattern, str | Path):
        if mask is not None and not isinstance(mask, str | Path):
            raise PlanError("The mask of a file is a file too; load the counts, and give both as arrays.")
        return Source(str(pattern), mask=optional_path(mask, "The mask"))
    if isinstance(pattern, Scan | Result):
        if mask is not None:
            raise PlanError(
                "A pattern has its mask; give the mask to Pattern or load, or give the array of its counts."
            )
        return pattern if isinstance(pattern, Scan) else _pattern_of(pattern)
    if isinstance(mask, str | Path):
        raise PlanError("The mask of an array is an array too; load it, or give the file of the counts.")
    return Pattern(pattern, mask)


def _pattern_of(result: Result) -> Pattern:
    """The measurement of a result, to be phased again."""
    phased = result.pattern
    return Pattern(
        phased.counts.numpy(),
        phased.mask.numpy(),
        reciprocal_steps=phased.reciprocal_steps,
        scattering_vector=phased.scattering_vector,
        name=str(result.source.get("path") or "pattern"),
        mask_marks="measured",
    )


@raises_in_python
def view(
    result: Result | str | Path,
    other: Result | str | Path | None = None,
    *,
    port: int = 0,
    open_browser: bool = True,
) -> ViewerProcess:
    """Show a result in the web browser, or two side by side; Python goes on.

    Parameters
    ----------
    result : Result or path
        In memory, or its folder, or the results folder of ``autophasenn watch``.
    other : Result or path, optional
        To compare with.
    port : int
        Of the page; 0: any that is free.
    open_browser : bool
        Whether the page is opened in the browser of this machine.

    Returns
    -------
    ViewerProcess
        The page: its ``address``; ``wait()`` stays until it is closed, as a script wants it; ``close()`` ends it, as the end
        of Python does.

    Raises
    ------
    InputError
        If there is no such result, or the viewer is not installed.
    """
    several: tuple[object, ...] = (result,) if other is None else (result, other)
    served = whole_number(port, "port", 0, HIGHEST_PORT)
    given = [each if isinstance(each, Result) else path_of(each, "The result") for each in several]
    kept = tempfile.TemporaryDirectory(prefix="autophasenn-")
    folders = []
    for number, each in enumerate(given):
        folder = Path(kept.name) / f"result-{number + 1}" if isinstance(each, Result) else each
        if isinstance(each, Result):
            each.save(folder, figures=False)
        folders.append(folder)
    return ViewerProcess(folders, served, open_browser, kept)


@raises_in_python
def simulate(
    count: int = 1,
    *,
    source: str = "polyhedra",
    recipe: str = "paper",
    metal: str | None = None,
    reflection: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> Samples:
    """Simulate crystals and their patterns, in memory; ``autophasenn simulate`` writes datasets of any size.

    Parameters
    ----------
    count : int
    source : str
        ``"polyhedra"``: facets with smooth strain, milliseconds a crystal. ``"lammps"``: metal relaxed atom by atom.
    recipe : str
        ``"paper"``: cubic axes along the voxels, counting noise alone. ``"beamline"``: as measured.
    metal : str, optional
        Ag, Au, Cu, Ni, Pd or Pt; None: gold.
    reflection : 3 ints, optional
        Miller indices; None: 111.
    seed : int
        With its index it makes a sample again.

    Returns
    -------
    Samples
        ``counts`` and ``masks`` (count, 64, 64, 64), and the true ``objects`` (count, 32, 32, 32).

    Raises
    ------
    InputError, PlanError
        If count or seed is no whole number in its range, so many do not fit into the memory, a name is not known, or the
        reflection is none.

    Examples
    --------
    >>> simulate(2, seed=1).counts.shape
    torch.Size([2, 64, 64, 64])
    """
    number, seed = whole_number(count, "count", 1), whole_number(seed, "seed", 0, HIGHEST_SEED)
    for name, word in (("source", source), ("recipe", recipe), ("metal", metal)):
        if not isinstance(word, str | None):
            raise PlanError(f"{name} is {shown(word)}; give a word.")
    fit = free_memory(torch.device("cpu")) // BYTES_A_SAMPLE
    if number > fit:
        raise InputError(
            f"{number} samples do not fit into the memory, and about {fit} would; write them into a file, as `autophasenn "
            "simulate` does."
        )
    crystals, seen = recipes.recipe(
        source, recipe, metal, None if reflection is None else indices_of(reflection, "The reflection")
    )
    return experiment.simulate(crystals, seen, seed, range(number))


@raises_in_python
def evaluate(
    dataset: str | Path,
    output: str | Path,
    *,
    methods: Sequence[str] = COMPARED,
    plan: Plan | str | Path | None = None,
    confidence: bool = False,
    weights: str | Path | None = None,
    network: str | None = None,
    count: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compare methods on the patterns of a dataset, in numbers and figures.

    Parameters
    ----------
    dataset : path
        As ``autophasenn simulate`` writes it.
    output : path
        Folder of ``summary.json``, the table of all samples and the figures.
    methods : sequence of str
        As :func:`reconstruct` takes them.
    plan : Plan or path, optional
        What the methods do: their starts, for instance; what comes before and after them is not looked at. None: the
        defaults.
    confidence : bool
        Whether every image gets its confidence, as :func:`reconstruct` gives it, from the orientations of the plan; several
        times as long.
    weights : path, optional
        Of the network; None: those of the package.
    network : str, optional
        ``"unrolled"`` or ``"autophasenn"``, which the weights must be of. None: any; of the package's, ``"unrolled"``.
    count : int, optional
        Only the first so many samples.
    seed : int
        Of the starts.
    device : str
    workers : int
        Processes of one thread each.
    overwrite : bool
        Whether a result that is there may be replaced.
    progress : Progress, optional

    Returns
    -------
    dict
        The content of ``summary.json`` (docs/notebook/evaluation.md).

    Raises
    ------
    InputError, PlanError, OutputError
        If dataset or weights cannot be used, a method is not known, or the folder cannot be written.
    """
    from autophasenn.evaluation.evaluate import Evaluation
    from autophasenn.evaluation.evaluate import evaluate as compare

    if not isinstance(confidence, bool):
        raise PlanError(f"confidence is {shown(confidence)}; give True or False, and the orientations in the plan.")
    run = Run(seed=seed, device=device)
    asked = Evaluation(
        path_of(dataset, "The dataset"),
        names_of(methods, "The methods"),
        optional_path(weights, "The file of weights"),
        network,
        count=None if count is None else whole_number(count, "count", 1),
        seed=int(run.seed),
        device=run.device,
        inversion=_inversion(plan),
        confidence=confidence,
    )
    folder, processes = path_of(output, "The output"), whole_number(workers, "workers", 1)
    return compare(folder, asked, workers=processes, overwrite=overwrite, progress=progress)


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
    found = _analyse(subject, options, ends, normals, progress)
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
    found = _strain_tensor(given, indices, axes, progress)
    if folder is not None:
        _save_tensor(found, folder, kinds, overwrite=overwrite)
    return found


def _inversion(plan: Plan | str | Path | None) -> Inversion:
    """What a plan says of the methods."""
    chosen = given_plan(plan) or Plan()
    return Inversion(**{each.name: getattr(chosen, each.name) for each in fields(Inversion)})
