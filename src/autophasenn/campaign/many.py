"""What `import autophasenn as ap` offers for many scans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from autophasenn.arguments import optional_path, raises_in_python
from autophasenn.campaign.campaign import Campaign, run_campaign
from autophasenn.campaign.series import Series
from autophasenn.campaign.written import Wanted, write_series
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.options import with_orientations
from autophasenn.pipeline.instrument import AS_RECORDED, Instrument
from autophasenn.pipeline.plan import Plan, given_plan
from autophasenn.pipeline.repeated import sources
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.progress import Progress

__all__ = ["reconstruct_many", "series"]


@raises_in_python
def reconstruct_many(
    scans: Sequence[str | Path | Source],
    folder: str | Path,
    *,
    numbers: Sequence[int] = (),
    beamline: str | None = None,
    spec: str | Path | None = None,
    mask: str | Path | None = None,
    instrument: Instrument = AS_RECORDED,
    workers: int = 1,
    scheduler: str | None = None,
    method: str = MethodName.refined,
    plan: Plan | str | Path | None = None,
    seed: int = 0,
    device: str = "cpu",
    weights: str | Path | None = None,
    confidence: int | None = None,
    metadata: str | Path | None = None,
    figures: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Series:
    """Reconstruct many scans into one folder; what is done there already is not done again.

    A scan that cannot be reconstructed stops no other: its row says why. Processes do the work, so a script needs the usual
    ``if __name__ == "__main__":`` around its calls.

    Parameters
    ----------
    scans : sequence of path or Source
        Files or folders; with `numbers`, those that hold the scans of these numbers, or have ``{scan}`` in their names.
    folder : path
        Gets a folder a scan, ``campaign.csv`` and ``campaign.html``, and in ``series`` plots, aligned images and a film.
    numbers : sequence of int
        Of scans.
    beamline, spec, mask, instrument
        As :func:`autophasenn.load` takes them, for every scan.
    workers : int
        Processes of this machine, of one CPU thread each; with ``device="cuda"`` each on a GPU of its own, in turn.
    scheduler : str, optional
        Address of a Dask scheduler whose workers do the work instead; they see the same files under the same names.
    method, plan, seed, device, confidence
        As :func:`autophasenn.reconstruct` takes them.
    weights : path, optional
        Of the network; None: those of the package.
    metadata : path, optional
        CSV file whose first column is the scan, and the others what the series is plotted against.
    figures : bool
        Whether each result gets its figures, and the series its film.
    overwrite : bool
        Whether scans that are done are done again.
    progress : Progress, optional
        Told how many scans are done.

    Returns
    -------
    Series
        Its ``rows``, its ``notes``, its ``plot("strain", "temperature")``, its aligned ``images``.

    Raises
    ------
    InputError, PlanError, OutputError
        If parameters, weights or the folder cannot be used, or the campaign was begun with other parameters.
    """
    motors, measured = optional_path(spec, "The SPEC file"), optional_path(mask, "The mask")
    shared = Source(None, beamline, motors, mask=measured, instrument=instrument)
    found = [
        each
        for scan in scans
        for each in ([scan] if isinstance(scan, Source) else sources(shared, [str(scan)], numbers))
    ]
    parameters = given_plan(plan) or Plan()
    if confidence is not None:
        parameters = with_orientations(parameters, confidence)
    run = Run(method, seed, device, optional_path(weights, "The file of weights"))
    asked = Campaign(
        tuple(found),
        Path(folder),
        run,
        parameters,
        workers,
        figures=figures,
        overwrite=overwrite,
        metadata=optional_path(metadata, "The table of metadata"),
        scheduler=scheduler,
    )
    ended = run_campaign(asked, progress)
    made = Series.load(asked.folder, aligned=not ended.is_interrupted)
    if not ended.is_interrupted:
        write_series(made, Wanted(film=figures), progress)
    return made


@raises_in_python
def series(folder: str | Path, *, reference: str | int | None = None, metadata: str | Path | None = None) -> Series:
    """Many scans as one series: what :func:`reconstruct_many` made, or ``autophasenn watch`` has made so far.

    Parameters
    ----------
    folder : path
    reference : str or int, optional
        Name or number of the scan onto which images are aligned; None: the first that is not poor.
    metadata : path, optional
        CSV file whose first column is the scan, and the others what the series is plotted against.

    Raises
    ------
    InputError
        If there is no such folder or reference, or a file is damaged.
    """
    return Series.load(folder, reference=reference, metadata=metadata)
