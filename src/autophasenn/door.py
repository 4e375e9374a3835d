"""What `import autophasenn as ap` offers: patterns in, results out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autophasenn.analysis.analyse import Analysis
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.errors import PlanError
from autophasenn.experiment import experiment, recipes
from autophasenn.experiment.experiment import Samples
from autophasenn.files.readers import scan_of_arrays
from autophasenn.files.stored import StoredPattern
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.options import with_orientations
from autophasenn.markers import Marks
from autophasenn.network.predict import Predictor as Network
from autophasenn.pipeline.analyse import analyse as _analyse
from autophasenn.pipeline.analyse import check as _check_analysis
from autophasenn.pipeline.analyse import save as _save_analysis
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument
from autophasenn.pipeline.plan import Plan, load_plan
from autophasenn.pipeline.reconstruct import reconstruct as _reconstruct
from autophasenn.pipeline.repeated import RepeatedScans
from autophasenn.pipeline.result import RESULT, Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.progress import Progress
from autophasenn.viewer.apart import ViewerProcess
from autophasenn.volumes import Scan

__all__ = ["Network", "Pattern", "analyse", "evaluate", "load", "reconstruct", "simulate", "view"]


class Pattern(Scan):
    """A measured pattern in arrays; :func:`load` makes the same of files.

    Parameters
    ----------
    counts : array (frames, rows, columns)
        As the detector gave them: whole counts, no square root, gap markers where it wrote any.
    mask : bool array of the same shape, or of one frame's, optional
        True = measured. None: all pixels but those with gap markers.
    reciprocal_steps : array (3, 3), optional
        Row i is the step in q (1/m, laboratory frame: z along the beam, y up, x outboard) to the next frame, row and column.
        None: the result is in voxels.
    scattering_vector : array (3,), optional
        Q of the Bragg peak, same unit and frame.
    dark, white : array (rows, columns), optional
        Counts without beam, and response to uniform illumination.
    name : str
        What the result calls it.
    mask_marks : "measured" or "bad", optional
        What 1 stands for in `mask`; None: as the values under it say, else measured.

    Raises
    ------
    InputError
        If the counts are no stack of numbers, or the mask does not fit.
    GeometryError
        If steps and scattering vector describe no volume.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(3.0, (16, 32, 32))
    >>> pattern = Pattern(counts)
    >>> pattern.shape
    (16, 32, 32)
    >>> Pattern(counts[0])
    Traceback (most recent call last):
        ...
    autophasenn.errors.InputError: pattern has 2 dimensions, shape (32, 32); a pattern is a 3-D stack [frame, row, \
column]. Give all frames of a rocking scan in one array.
    """

    def __init__(
        self,
        counts: ArrayLike,
        mask: ArrayLike | None = None,
        *,
        reciprocal_steps: ArrayLike | None = None,
        scattering_vector: ArrayLike | None = None,
        dark: ArrayLike | None = None,
        white: ArrayLike | None = None,
        name: str = "pattern",
        mask_marks: Marks | None = None,
    ) -> None:
        stored = StoredPattern(np.asarray(counts), _array(mask), _array(reciprocal_steps), _array(scattering_vector))
        scan = scan_of_arrays(stored, name, mask_marks)
        super().__init__(scan.frames, _array(dark), _array(white), scan.mask, scan.geometry, scan.source, scan.warnings)

    @classmethod
    def of(cls, scan: Scan) -> Pattern:
        """The pattern of a scan that was read."""
        pattern = cls.__new__(cls)
        Scan.__init__(pattern, **{each.name: getattr(scan, each.name) for each in fields(Scan)})
        return pattern

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows and columns."""
        return self.frames.shape

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        known = "geometry unknown" if self.geometry is None else "geometry known"
        return f"<Pattern {self.source.get('path', '')}: {size} {self.frames.dtype}, {known}>"


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
    fields = _path(dark), _path(white), _path(mask)
    source = Source(str(path), beamline, _path(spec), scan, *fields, instrument, axes, mask_marks)
    if beamline is None and mask is None and ((Path(path) / RESULT).is_file() or Path(path).name == RESULT):
        return Result.load(path)
    return Pattern.of(source.read())


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
    file = None if network is not None else _path(weights)  # type: ignore[arg-type]
    run = Run(method, seed, device, file, force=force)
    if not isinstance(plan, Plan | str | Path | None):
        raise PlanError(f"The plan is a {type(plan).__name__}; give a Plan, or the path of a plan's file.")
    parameters = plan if isinstance(plan, Plan) else None if plan is None else load_plan(Path(plan))
    if confidence is not None:
        parameters = with_orientations(parameters or Plan(), confidence)
    if sum:
        given: Any = pattern
        if isinstance(given, str | Path | Scan | Result):
            raise PlanError("With sum=True the pattern is a list of scans; give two or more of one reflection.")
        several = RepeatedScans(tuple(_input_of(each, mask) for each in given))
        return _reconstruct(several, run, parameters, progress, predictor=network)
    return _reconstruct(_input_of(pattern, mask), run, parameters, progress, predictor=network)  # type: ignore[arg-type]


def _input_of(pattern: str | Path | ArrayLike | Scan | Result, mask: str | Path | ArrayLike | None) -> Source | Scan:
    """What is read or was read."""
    if isinstance(pattern, str | Path):
        if mask is not None and not isinstance(mask, str | Path):
            raise PlanError("The mask of a file is a file too; load the counts, and give both as arrays.")
        return Source(str(pattern), mask=_path(mask))
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
    shown = [each for each in (result, other) if each is not None]
    kept = tempfile.TemporaryDirectory(prefix="autophasenn-")
    folders = []
    for number, each in enumerate(shown):
        folder = Path(kept.name) / f"result-{number + 1}" if isinstance(each, Result) else Path(each)
        if isinstance(each, Result):
            each.save(folder, figures=False)
        folders.append(folder)
    return ViewerProcess(folders, port, open_browser, kept)


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
        If there is nothing to simulate, or a name is not known.

    Examples
    --------
    >>> simulate(2, seed=1).counts.shape
    torch.Size([2, 64, 64, 64])
    """
    crystals, seen = recipes.recipe(source, recipe, metal, reflection)
    return experiment.simulate(crystals, seen, seed, range(count))


def evaluate(
    dataset: str | Path,
    output: str | Path,
    *,
    methods: Sequence[str] = ("network", "refined", "iterative"),
    weights: str | Path | None = None,
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
    weights : path, optional
        Of the network; None: those of the package.
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

    asked = Evaluation(Path(dataset), tuple(methods), _path(weights), count=count, seed=seed, device=device)
    return compare(Path(output), asked, workers=workers, overwrite=overwrite, progress=progress)


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
    if output is not None:
        _check_analysis(Path(output), formats, overwrite=overwrite)
    found = _analyse(result, options, lines, planes, progress)
    if output is not None:
        _save_analysis(found, Path(output), formats, overwrite=overwrite)
    return found


def _path(name: str | Path | None) -> Path | None:
    return None if name is None else Path(name)


def _array(values: ArrayLike | None) -> np.ndarray | None:
    return None if values is None else np.asarray(values)
