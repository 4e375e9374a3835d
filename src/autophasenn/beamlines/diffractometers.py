"""The circles of every beamline: axis, sign and offset, outer to inner, and the way its detectors count.

Sources: bcdi 2b75755 (`experiment/diffractometer.py`), cdiutils 0.2.1 (`geometry.py`), cohere-beamlines 4.5.6
(`*/diffractometers.py`). Where they contradict each other, `docs/guide/beamlines.md` says so and which one stands here; what
differs can be turned round for a scan: `columns`, `rows` and `reverse` of :func:`autophasenn.beamlines.read_scan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from autophasenn.errors import InputError
from autophasenn.physics.axes import LAB_FRAME, Axis, axes, circles, direction
from autophasenn.physics.diffractometer import Diffractometer

AnyAxis = TypeVar("AnyAxis", bound=Axis)


def _of(
    name: str,
    sample: str,
    detector: str,
    columns: str,
    rows: str,
    *,
    frame: Sequence[str] = LAB_FRAME,
    forward: bool = False,
) -> Diffractometer:
    return Diffractometer(
        name,
        circles(sample, frame),
        axes(detector, frame),
        direction(columns, frame),
        direction(rows, frame),
        forward,
    )


APS_34IDC = _of("APS 34-ID-C", "Theta y+, Chi z- 90, Phi y+", "Delta y+, Gamma x-", "x+", "y-")
ID01 = _of("ESRF ID01", "mu y-, eta x-, phi y-", "nu y-, delta x-", "x+", "y-")
BM02 = _of("ESRF BM02", "mu y+, th x-, chi z+, phi x-", "nu y+, tth x-", "x-", "y-")
ID27 = _of("ESRF ID27", "nath y-", "eigx tx, eigy ty, eigz tz", "x-", "y-", forward=True)
P10 = _of("PETRA III P10, hutch 1", "mu y+, om x-, chi z+ 90, phi y-", "gam y+, del x-", "x-", "y-")
P10_EH2 = _of("PETRA III P10, hutch 2", "samth x-", "e2_t02 x-", "x-", "y-")
NANOMAX_MERLIN = _of("MAX IV NanoMAX, merlin", "gontheta x-, gonphi y-", "gamma y-, delta x-", "x+", "y-")
NANOMAX_EIGER = _of("MAX IV NanoMAX, eiger500k", "gontheta x-, gonphi y-", "gamma y-, delta x-", "x-", "y-")
SIXS_2019 = _of("SOLEIL SIXS 2019", "beta x-, mu y+", "beta x-, gamma y+, delta x-", "x+", "y-")
SIXS_2022 = _of("SOLEIL SIXS 2022", "mu x-, omega y+", "gamma y+, delta x-", "y+", "x-")
CRISTAL = _of("SOLEIL CRISTAL", "omega x-, phi y+", "gamma y+, delta x-", "x+", "y-")
APS_28IDB = _of(
    "APS 28-ID-B",
    "Mu z-, Eta x+, Chi y+, Phi z-",
    "Nu z-, Delta x+",
    "x-",
    "z-",
    frame=("x-", "z+", "y+"),  # there y runs along the beam, z up and x to the right when looking downstream
)
APS_7IDD = _of("APS 7-ID-D", "wedge x-, Chi z-, ThetaN x-, Phi y+", "Yaw y+, Pitch x-", "y+", "x+")
APS_1IDE = _of("APS 1-ID-E", "aero y-", "vff_eta z+, vff_r ty, vff_eta_offset tx", "x+", "y-", forward=True)
APS_20IDE = _of("APS 20-ID-E", "samRy y+", "DetX tx, DetY ty", "x+", "y-", forward=True)


def adjusted(
    diffractometer: Diffractometer, *, columns: str | None = None, rows: str | None = None, reverse: Sequence[str] = ()
) -> Diffractometer:
    """The same with other directions of the detector's pixels, or with motors that count the other way round.

    Parameters
    ----------
    diffractometer : Diffractometer
    columns, rows : str, optional
        As ``x-``.
    reverse : sequence of str
        Names of motors.

    Raises
    ------
    InputError
        If there is no such motor.
    """
    unknown = [name for name in reverse if name not in diffractometer.motors]
    if unknown:
        raise InputError(
            f"{diffractometer.name} has no axis {unknown[0]!r} to reverse; its axes are "
            f"{', '.join(diffractometer.motors)}."
        )

    return replace(
        diffractometer,
        sample=tuple(_reversed(circle) if circle.name in reverse else circle for circle in diffractometer.sample),
        detector=tuple(_reversed(axis) if axis.name in reverse else axis for axis in diffractometer.detector),
        columns=diffractometer.columns if columns is None else direction(columns),
        rows=diffractometer.rows if rows is None else direction(rows),
    )


def _reversed(axis: AnyAxis) -> AnyAxis:
    x, y, z = axis.axis
    return replace(axis, axis=(-x, -y, -z))
