"""The geometry of any file, given by hand: a diffractometer and where it stood, or three steps in q and Q.

A `geometry.yaml` holds either::

    reciprocal_steps_per_nm: [[0.0, 0.01, 0.0], [0.0, 0.0, -0.01], [0.01, 0.0, 0.0]]   # frame, row, column; x, y, z
    q_per_nm: [20.0, 5.0, -7.0]
    sample_rotation: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]   # may be left out: what the sample's circles did

or a diffractometer, by the name of a beamline or by its axes, and where it stood::

    beamline: id01      # or by its axes, sample: "mu y-, eta x-", detector: "nu y-, delta x-", columns: x+, rows: y-;
                        # beside a beamline, these take the place of its own
    motors: {mu: 0.0, eta: "17.9:0.01", phi: 3.0, nu: 4.0, delta: 36.0}   # degrees; START:STEP, or a list of one for
                                                                          # each frame, is what was scanned
    energy_ev: 9000.0
    distance_m: 0.8
    pixel_m: [55.0e-6, 55.0e-6]
    direct_beam: [250.0, 260.0]
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autophasenn.beamlines import diffractometers
from autophasenn.beamlines.assemble import as_scan
from autophasenn.beamlines.measurement import OPTION, Asked, Measurement, Motor, Ramp, Setup
from autophasenn.errors import InputError, PlanError
from autophasenn.files.boundary import reading
from autophasenn.options import Positive, options, read_mapping, typed
from autophasenn.physics.axes import axes, circles, direction
from autophasenn.physics.diffractometer import Diffractometer
from autophasenn.physics.geometry import FixedGeometry
from autophasenn.volumes import Scan

INSTRUMENTS: dict[str, Diffractometer] = {
    "34idc": diffractometers.APS_34IDC,
    "28idb": diffractometers.APS_28IDB,
    "7idd": diffractometers.APS_7IDD,
    "20ide": diffractometers.APS_20IDE,
    "1ide": diffractometers.APS_1IDE,
    "id01": diffractometers.ID01,
    "id27": diffractometers.ID27,
    "bm02": diffractometers.BM02,
    "p10": diffractometers.P10,
    "p10-eh2": diffractometers.P10_EH2,
    "nanomax": diffractometers.NANOMAX_MERLIN,
    "nanomax-eiger": diffractometers.NANOMAX_EIGER,
    "sixs-2019": diffractometers.SIXS_2019,
    "sixs": diffractometers.SIXS_2022,
    "cristal": diffractometers.CRISTAL,
}
"""Diffractometers that a geometry may name."""

Three = tuple[float, float, float]


@options
class GeometryFile:
    """What a `geometry.yaml` may say.

    Parameters
    ----------
    reciprocal_steps_per_nm : 3 x 3 numbers, optional
        Steps in q to the next frame, row and column, 1/nm, laboratory frame.
    q_per_nm : 3 numbers, optional
        Q of the Bragg peak, 1/nm, laboratory frame.
    sample_rotation : 3 x 3 numbers, optional
        Beside the steps: ``v_laboratory = sample_rotation @ v_sample``.
    beamline : str, optional
        Whose diffractometer it is.
    sample, detector : str, optional
        Its axes, outer to inner, as "mu y-, eta x-"; "x tx" is a translation. Beside `beamline`: in place of its own.
    columns, rows : str, optional
        In which the columns and rows of the detector grow while its axes stand at zero, as x+. Beside `beamline`: in place
        of its own.
    motors : mapping
        Name: degrees (metres of a translation), START:STEP, or a list of one for each frame.
    energy_ev : float, optional
    distance_m : float, optional
        From the sample to the detector.
    pixel_m : number or 2 numbers, optional
        Edge of a pixel, or from row to row and from column to column.
    direct_beam : 2 numbers, optional
        Row and column of the whole detector that the direct beam meets.
    direct_beam_at : mapping
        Where the detector's motors stood then; those that are absent stood at zero.
    first_pixel : 2 numbers, optional
        Row and column of the whole detector where the frames begin.
    binning : 2 int
        Pixels of the whole detector in one of the frames.
    tilt_deg : 3 numbers
        By which the detector is turned in its mount, about x, y, z.
    """

    reciprocal_steps_per_nm: tuple[Three, Three, Three] | None = None
    q_per_nm: Three | None = None
    sample_rotation: tuple[Three, Three, Three] | None = None
    beamline: str | None = None
    sample: str | None = None
    detector: str | None = None
    columns: str | None = None
    rows: str | None = None
    motors: Mapping[str, float | str | tuple[float, ...]] | None = None
    energy_ev: Positive | None = None
    distance_m: Positive | None = None
    pixel_m: Positive | tuple[Positive, Positive] | None = None
    direct_beam: tuple[float, float] | None = None
    direct_beam_at: Mapping[str, float] | None = None
    first_pixel: tuple[float, float] | None = None
    binning: tuple[int, int] = (1, 1)
    tilt_deg: Three = (0.0, 0.0, 0.0)


DEFAULT = GeometryFile()
"""A geometry file that says nothing."""


def read_geometry_file(path: Path) -> GeometryFile:
    """Read a `geometry.yaml`.

    Raises
    ------
    InputError
        If it is missing or no text.
    PlanError
        If it says what it cannot.
    """
    if not path.is_file():
        raise InputError(f"There is no geometry file {path}; check the path.")
    with reading(path):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no text; give a geometry file in YAML.") from error
    return typed(read_mapping(text, str(path)), GeometryFile, str(path), "the geometry")


def motor(words: str) -> tuple[str, Motor]:
    """``eta=17.9``, or ``eta=17.9:0.01`` of what is scanned, as an option gives it.

    Raises
    ------
    PlanError
        If it is neither.
    """
    match = re.fullmatch(r"\s*([^=]+?)\s*=\s*(.+?)\s*", words)
    if match is None:
        raise PlanError(f"--motor {words} cannot be understood; write NAME=DEGREES, or NAME=START:STEP.")
    return match[1], _position(match[2], f"--motor {words}")


def placed(scan: Scan, hand: GeometryFile, setup: Setup, diffractometer: str | None = None) -> Scan:
    """The scan with the geometry that is given by hand, in place of its own.

    Parameters
    ----------
    scan : Scan
        Of a plain file. What it recorded of energy, distance and pixels counts where nothing else is given.
    hand : GeometryFile
    setup : Setup
        The options of the command line; they count before the file.
    diffractometer : str, optional
        A key of `INSTRUMENTS`; counts before the file.

    Raises
    ------
    InputError, PlanError
        If what is given does not go together.
    GeometryError
        If something that the geometry needs is missing, or describes no scan of a Bragg peak.
    """
    if hand.reciprocal_steps_per_nm is not None or hand.q_per_nm is not None:
        if hand.reciprocal_steps_per_nm is None or hand.q_per_nm is None:
            raise PlanError("A geometry of steps needs both, reciprocal_steps_per_nm and q_per_nm, in 1/nm.")
        _refuse_beside_steps(hand, setup, diffractometer)
        steps = 1e9 * torch.tensor(hand.reciprocal_steps_per_nm, dtype=torch.float64)
        turn = None if hand.sample_rotation is None else torch.tensor(hand.sample_rotation, dtype=torch.float64)
        q = 1e9 * torch.tensor(hand.q_per_nm, dtype=torch.float64)
        return replace(scan, geometry=FixedGeometry(steps, q, turn))
    if hand.sample_rotation is not None:
        raise PlanError(
            "sample_rotation belongs to a geometry of steps in q; a diffractometer says it by the motors of its sample."
        )
    instrument = _instrument(hand, diffractometer)
    motors = {name: _position(value, f"The motor {name}") for name, value in (hand.motors or {}).items()}
    recorded: Mapping[str, Any] = scan.source.get("recorded", {})
    found = Measurement(
        diffractometer=instrument,
        frames=scan.frames,
        motors={},
        energy_ev=_first(hand.energy_ev, recorded.get("energy_ev")),
        distance_m=_first(hand.distance_m, recorded.get("distance_m")),
        pixel_m=_first(_pair(hand.pixel_m), recorded.get("pixel_m")),
        direct_beam=hand.direct_beam,
        direct_beam_at=hand.direct_beam_at or {},
        first_pixel=hand.first_pixel,
    )
    setup = replace(setup, motors={**motors, **setup.motors}, binning=hand.binning)
    setup = setup if any(setup.tilt_deg) else replace(setup, tilt_deg=hand.tilt_deg)
    made = as_scan(found, Asked(Path(str(scan.source.get("path", "the input"))), setup=setup), "by hand")
    return replace(scan, geometry=made.geometry, warnings=(*scan.warnings, *made.warnings))


def _instrument(hand: GeometryFile, named: str | None) -> Diffractometer:
    name = named or hand.beamline
    if name is not None:
        if name.lower() not in INSTRUMENTS:
            raise PlanError(f"The diffractometer {name!r} is not known; choose from {', '.join(sorted(INSTRUMENTS))}.")
        if named is not None and (own := [key for key in ("sample", "detector") if getattr(hand, key) is not None]):
            raise PlanError(
                f"--diffractometer {named} and `{own[0]}:` of the geometry file both say which circles there are; leave "
                "one of them out."
            )
        return _with_own_axes(INSTRUMENTS[name.lower()], hand)
    if hand.sample is None or hand.detector is None:
        raise PlanError(
            "The geometry names no diffractometer; give --diffractometer NAME (or `beamline:` in the file), or the axes as "
            '`sample: "eta x-"` and `detector: "nu y-, delta x-"`.'
        )
    return Diffractometer(
        "the diffractometer of the geometry file",
        circles(hand.sample),
        axes(hand.detector),
        direction(hand.columns or "x+"),
        direction(hand.rows or "y-"),
    )


def _with_own_axes(known: Diffractometer, hand: GeometryFile) -> Diffractometer:
    """A beamline's diffractometer with what the file says of its axes and its detector in place of its own."""
    given: dict[str, Any] = {}
    if hand.sample is not None:
        given["sample"] = circles(hand.sample)
    if hand.detector is not None:
        given["detector"] = axes(hand.detector)
    given |= {key: direction(word) for key in ("columns", "rows") if (word := getattr(hand, key)) is not None}
    return replace(known, **given) if given else known


def _refuse_beside_steps(hand: GeometryFile, setup: Setup, diffractometer: str | None) -> None:
    """Refuse what would say a second time, or differently, what three steps and Q say."""
    own = ("reciprocal_steps_per_nm", "q_per_nm", "sample_rotation")
    beside = [f"`{key}:`" for key, value in vars(hand).items() if key not in own and value != getattr(DEFAULT, key)]
    beside += [OPTION[key] for key, value in vars(setup).items() if value != getattr(Setup(), key)]
    if diffractometer is not None:
        beside.append("--diffractometer")
    if beside:
        raise PlanError(
            f"A geometry of steps in q is complete with reciprocal_steps_per_nm and q_per_nm, and {beside[0]} is given "
            "beside them; leave it out, or give a diffractometer and where it stood in place of the steps."
        )


def _pair(edge: float | tuple[float, float] | None) -> tuple[float, float] | None:
    return (edge, edge) if isinstance(edge, float | int) else edge


def _position(value: float | str | tuple[float, ...], what: str) -> Motor:
    if isinstance(value, float | int):
        return float(value)
    if not isinstance(value, str):
        if not value:
            raise PlanError(f"{what} stands nowhere: its list is empty; give degrees, one for each frame.")
        return tuple(float(each) for each in value)
    try:
        numbers = [float(word) for word in value.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 2:
        return Ramp(*numbers)
    raise PlanError(f"{what} stands at {value!r}; give degrees, or START:STEP of what is scanned.")


def _first(given: Any, otherwise: Any) -> Any:
    return otherwise if given is None else given
