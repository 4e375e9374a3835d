"""Patterns in, images out: `load`, `reconstruct`, `view`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike

from autophasenn.arguments import (
    optional_path,
    path_of,
    raises_in_python,
    whole_number,
)
from autophasenn.errors import PlanError
from autophasenn.files.boundary import reading
from autophasenn.files.convention import RESULT
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.options import with_orientations
from autophasenn.markers import Marks
from autophasenn.network.predict import Predictor as Network
from autophasenn.physics.symmetry import ELEMENTS
from autophasenn.pipeline.arrays import Pattern
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument
from autophasenn.pipeline.plan import Plan, given_plan
from autophasenn.pipeline.reconstruct import reconstruct as _reconstruct
from autophasenn.pipeline.repeated import RepeatedScans
from autophasenn.pipeline.result import Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.progress import Progress
from autophasenn.viewer.apart import ViewerProcess, proxy_of
from autophasenn.volumes import Scan
from autophasenn.waiting import warn_of_spinning

HIGHEST_PORT = 65535


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
        The same seed gives the same result, bit for bit, with as many threads.
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
    warn_of_spinning(torch.get_num_threads())
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
    open_browser: bool | None = None,
    proxy: str | None = None,
) -> ViewerProcess:
    """Show a result in the web browser, or two side by side, in a notebook below the cell; Python goes on.

    Parameters
    ----------
    result : Result or path
        In memory, or its folder, or the results folder of ``autophasenn watch``.
    other : Result or path, optional
        To compare with.
    port : int
        Of the page; 0: any that is free.
    open_browser : bool, optional
        Whether the page is opened in the browser of this machine; None: but in a notebook, and with a proxy.
    proxy : str, optional
        Where your browser reaches a port of this machine, if not at the port itself: ``/proxy/{port}/`` where the notebook
        server has jupyter-server-proxy. None: through that in a JupyterHub.

    Returns
    -------
    ViewerProcess
        The page: its ``address``; ``wait()`` stays until it is closed, as a script wants it; ``close()`` ends it, as the end
        of Python does.

    Raises
    ------
    InputError
        If there is no such result, the viewer is not installed, or the proxy has no place for the port.
    """
    several: tuple[object, ...] = (result,) if other is None else (result, other)
    served, through = whole_number(port, "port", 0, HIGHEST_PORT), proxy_of(proxy)
    given = [each if isinstance(each, Result) else path_of(each, "The result") for each in several]
    kept = tempfile.TemporaryDirectory(prefix="autophasenn-")
    folders = []
    for number, each in enumerate(given):
        folder = Path(kept.name) / f"result-{number + 1}" if isinstance(each, Result) else each
        if isinstance(each, Result):
            each.save(folder, figures=False)
        folders.append(folder)
    return ViewerProcess(folders, served, open_browser, through, kept)
