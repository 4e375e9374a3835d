"""From a source to a pattern that is fit to be phased."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autophasenn.pipeline.geometry_words import direct_beam_warnings
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.repeated import RepeatedScans
from autophasenn.pipeline.source import Source
from autophasenn.preprocessing.checks import check_fit_to_phase, check_geometry, check_middle
from autophasenn.preprocessing.preprocess import Preprocessed, preprocess
from autophasenn.preprocessing.repeated import SummedScan, of_the_sum
from autophasenn.preprocessing.sampling import middle
from autophasenn.progress import Progress, Silent, Stopwatch
from autophasenn.volumes import Scan


@dataclass(frozen=True)
class Prepared:
    """An input that was read and found fit to be phased.

    Parameters
    ----------
    scan : Scan
    preprocessed : Preprocessed
    warnings : tuple of str
        Of reading, preprocessing and checks, each once.
    seconds : dict
        Of reading and of preprocessing.
    """

    scan: Scan
    preprocessed: Preprocessed
    warnings: tuple[str, ...]
    seconds: dict[str, float | None]


def prepare(
    source: Source | RepeatedScans | Scan,
    plan: Plan | None = None,
    progress: Progress | None = None,
    *,
    force: bool = False,
    cut: Callable[[Scan], Scan] | None = None,
) -> Prepared:
    """Read a source and prepare its pattern.

    Parameters
    ----------
    source : Source, RepeatedScans or Scan
        A scan was read already; of repeated scans it is their sum.
    plan : Plan, optional
        None: the defaults.
    progress : Progress, optional
        Told of the stages.
    force : bool
        Whether a pattern whose phases are not determined is let through.
    cut : callable, optional
        What becomes of the scan after it was read, as for a quick image of its middle.

    Raises
    ------
    InputError, GeometryError, PlanError
        If the input is not what was asked for, or cannot be phased.
    """
    plan, progress, watch = plan or Plan(), progress or Silent(), Stopwatch()
    progress.stage("Read")
    with watch.measure("read"):
        if isinstance(source, RepeatedScans):
            scan: Scan = source.read(plan.preprocess)
        else:
            scan = source.read() if isinstance(source, Source) else source
        scan = scan if cut is None else cut(scan)
    progress.stage("Preprocess")
    with watch.measure("preprocess"):
        prepared = preprocess(scan, of_the_sum(plan.preprocess) if isinstance(scan, SummedScan) else plan.preprocess)
    told = direct_beam_warnings(scan.geometry, *middle(prepared.window))
    warnings = (*scan.warnings, *told, *prepared.warnings, *check_geometry(prepared), *check_middle(prepared))
    check_fit_to_phase(prepared, force)
    return Prepared(scan, prepared, tuple(dict.fromkeys(warnings)), dict(watch.seconds))
