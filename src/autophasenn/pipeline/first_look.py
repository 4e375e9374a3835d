"""Frames as a person looks at them before they are phased: counts, what is masked and why, geometry, what is wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.convention import NANOMETRE
from autophasenn.physics import geometry
from autophasenn.pipeline.geometry_words import direct_beam_warnings, geometry_facts
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.source import Source
from autophasenn.preprocessing.checks import check_fit_to_phase, check_geometry, check_middle
from autophasenn.preprocessing.corrections import correct
from autophasenn.preprocessing.frame_order import order_of
from autophasenn.preprocessing.preprocess import Preprocessed, preprocess
from autophasenn.preprocessing.sampling import middle
from autophasenn.volumes import Geometry, Scan

FRAMES, WHY, WORDS = "frames.npy", "why.npy", "look.json"
MEASURED, GIVEN, FOUND, ALIEN = range(4)
"""Why a voxel is not used: it is; the detector's mask, or that of a file; gaps, hot, full and dead pixels that were found;
another crystal's light."""
COUNTED = {
    "gap_pixels": "pixels in gaps",
    "dead_pixels": "dead pixels",
    "hot_pixels": "hot pixels",
    "hot_voxels": "hot voxels",
    "hot_blocks": "hot blocks",
    "saturated_voxels": "full voxels",
    "repeated_frames": "frames given twice",
    "dropped_frames": "frames left out",
    "aliens": "aliens",
}
"""Number in `Preprocessed.facts` -> what it counts."""


@dataclass(frozen=True, eq=False)
class FirstLook:
    """A scan before it is phased.

    Parameters
    ----------
    frames : float32 array (frames, rows, columns)
        Photons where the scan could be corrected, else as stored; finite and not negative, 0 where nothing was stored.
    why : uint8 array (frames, rows, columns)
        `MEASURED`, `GIVEN`, `FOUND` or `ALIEN`.
    facts : dict
        Name -> words: geometry, oversampling, photons, what was masked.
    warnings : tuple of sentences
    trouble : str
        Why it cannot be phased; empty: it can.
    q_steps : 3 floats, optional
        Length of the step in q to the next frame, row and column, 1/nm; None: the geometry is unknown, or the frames are not
        in the order of their angles.
    q_peak : 3 floats, optional
        Frame, row and column from which q counts: the middle of the pattern.
    """

    frames: np.ndarray
    why: np.ndarray
    facts: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    trouble: str = ""
    q_steps: tuple[float, ...] | None = None
    q_peak: tuple[float, ...] | None = None

    def write(self, folder: Path) -> None:
        """Into a folder, the words last."""
        np.save(folder / FRAMES, self.frames)
        np.save(folder / WHY, self.why)
        said: dict[str, Any] = {"facts": self.facts, "warnings": list(self.warnings), "trouble": self.trouble}
        said |= {"q_steps": self.q_steps, "q_peak": self.q_peak}
        (folder / WORDS).write_text(json.dumps(said), encoding="utf-8")


def first_look(source: Source, plan: Plan | None = None, *, force: bool = False) -> FirstLook:
    """Read a scan and prepare it as a reconstruction would; what it could not do is said, and the frames are there.

    Parameters
    ----------
    source : Source
    plan : Plan, optional
        None: the defaults.
    force : bool
        Whether a pattern whose phases are not determined is let through.

    Raises
    ------
    InputError, GeometryError, PlanError
        If the scan cannot be read.
    """
    plan, scan = plan or Plan(), source.read()
    frames, mask = np.asarray(scan.frames), scan.mask
    why = np.zeros(frames.shape, np.uint8)
    if mask is not None:
        why[~np.broadcast_to(mask, frames.shape)] = GIVEN
    shown = np.where(np.isfinite(frames) & (frames > 0), frames, 0).astype(np.float32)
    shown[why == GIVEN] = 0
    facts = {"frames": " x ".join(map(str, frames.shape))}
    q_steps, q_peak = None, None
    try:
        # in the order of the file, as a mask that is drawn on them will be
        corrected = correct(scan, replace(plan.preprocess, check_order=False))
        shown = corrected.counts
        why[~corrected.mask & (why == MEASURED)] = FOUND
        prepared = preprocess(scan, plan.preprocess)
        taken = order_of(shown, corrected.mask).frames if plan.preprocess.check_order else np.arange(len(why))
        if len(taken) == len(why) - int(prepared.facts["dropped_frames"]):
            ordered = why[taken]
            _mark_aliens(ordered, prepared)
            why[taken] = ordered
        facts |= _facts(scan, prepared)
        is_in_order = len(taken) == len(why) and bool((np.diff(taken) == 1).all())
        if scan.geometry is not None and is_in_order:
            q_steps, q_peak = _q_axes(scan.geometry, prepared)
        warnings = (*scan.warnings, *direct_beam_warnings(scan.geometry, *middle(prepared.window)), *prepared.warnings)
        warnings += (*check_geometry(prepared), *check_middle(prepared))
        check_fit_to_phase(prepared, force)
    except AutoPhaseNNError as error:
        return FirstLook(shown, why, facts, tuple(dict.fromkeys(scan.warnings)), str(error), q_steps, q_peak)
    return FirstLook(shown, why, facts, tuple(dict.fromkeys(warnings)), "", q_steps, q_peak)


def _q_axes(geometry: Geometry, prepared: Preprocessed) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Length of the step in q along each axis (1/nm), and the frame, row and column in the middle of the pattern."""
    pixel, frame = middle(prepared.window)
    steps = geometry.reciprocal_steps(pixel, frame).norm(dim=1)
    return tuple(NANOMETRE * float(step) for step in steps), (frame, *pixel)


def _mark_aliens(why: np.ndarray, prepared: Preprocessed) -> None:
    """From the grid of the pattern back onto that of the scan."""
    found = prepared.aliens.mask
    for axis, window in enumerate(prepared.window):
        found = np.repeat(found, window.binning, axis)
    inside, part = [], []
    for window, size, length in zip(prepared.window, why.shape, found.shape, strict=True):
        first, last = max(0, window.start), min(size, window.start + length)
        inside.append(slice(first, last))
        part.append(slice(first - window.start, last - window.start))
    seen = why[tuple(inside)]
    seen[found[tuple(part)] & (seen == MEASURED)] = ALIEN


def _facts(scan: Scan, prepared: Preprocessed) -> dict[str, str]:
    numbers: dict[str, Any] = prepared.facts
    masked = [f"{numbers[name]:g} {words}" for name, words in COUNTED.items() if numbers.get(name)]
    return {
        "photons": f"{numbers['photons']:.3g}",
        "peak (frame, row, column)": ", ".join(map(str, prepared.peak)),
        "pattern": " x ".join(map(str, prepared.pattern.shape)),
        "binning": " x ".join(map(str, prepared.binning)),
        "oversampling": " x ".join(f"{value:.2f}" for value in prepared.oversampling),
        "not measured": f"{100 * numbers['masked_fraction']:.2g} % of the pattern",
        "masked by the program": ", ".join(masked) or "nothing",
        **geometry_facts(geometry.describe(scan.geometry, *middle(prepared.window))),
    }
