"""ESRF ID01: a BLISS file, or before 2021 a SPEC file and a folder of EDF frames.

Energy in keV, angles in degrees, calibration of the detector in metres and pixels, as `instrument/{detector}` has it.
"""

from __future__ import annotations

from autophasenn.beamlines.bliss import BlissScan, bliss_checksum, bliss_scan
from autophasenn.beamlines.diffractometers import BM02, ID01, ID27
from autophasenn.beamlines.edf_folders import SpecLayout, read_spec_and_edf
from autophasenn.beamlines.measurement import Asked, Measurement, Positions, first_points, plain
from autophasenn.errors import InputError
from autophasenn.files.tree import node, numbers, opened
from autophasenn.files.units import EV, LENGTHS, in_unit
from autophasenn.physics.bragg import HC_EV_M
from autophasenn.physics.diffractometer import Diffractometer

NEEDS = "the BLISS master file (.h5) and the scan (--scan); or the folder of EDF frames and the SPEC file (--spec)"
NEEDS_BM02 = (
    "the folder of EDF frames, the SPEC file (--spec), the scan (--scan); --distance and --pixel, which they lack"
)
NEEDS_ID27 = (
    "the BLISS master file (.h5) and the scan (--scan); --distance and --direct-beam, which its files do not have"
)

ID01_SPEC = SpecLayout(
    ID01,
    motors={
        "mu": ("mu", "Mu"),
        "eta": ("eta", "Eta"),
        "phi": ("phi", "Phi"),
        "nu": ("nu", "Nu"),
        "delta": ("del", "Delta"),
    },
    energy=("nrj", "Energy"),
    counters={"mpx4inr": "maxipix", "ei2minr": "eiger2M"},
)
BM02_SPEC = SpecLayout(
    BM02,
    motors={"mu": ("mu",), "th": ("THETA",), "chi": ("CHI",), "phi": ("PHI",), "nu": ("nu", "Nu"), "tth": ("2THETA",)},
    energy=("Emono",),
    counters={"img": None},
)


def read(asked: Asked) -> Measurement:
    """Read a scan of ID01.

    Raises
    ------
    InputError
        If a file is missing, damaged or of another layout, or detector or scan are not named and there are several.
    GeometryError
        If what the geometry needs is not recorded.
    """
    if asked.spec is not None or asked.path.is_dir():
        return read_spec_and_edf(asked, ID01_SPEC)
    with opened(asked.path) as file:
        scan = bliss_scan(file, asked.scan)
        name, stack = scan.detector(asked.detector)
        frames = stack.load()
        motors = _positions(scan, ID01)
        energy = node(scan.group, "instrument/positioners/mononrj")
        energy = energy if energy is not None else node(scan.group, "instrument/monochromator/Energy")
        pixel = tuple(scan.calibration(name, f"{axis}_pixel_size") for axis in "yx")
        beam = tuple(scan.calibration(name, f"beam_center_{axis}") for axis in "yx")
        size = tuple(scan.calibration(name, dim) for dim in ("dim_j", "dim_i"))
        found = Measurement(
            diffractometer=ID01,
            frames=frames,
            motors=motors,
            energy_ev=None if energy is None else plain(in_unit(energy, "energy", EV, 1e3)),
            distance_m=scan.calibration(name, "distance"),
            detector=name,
            pixel_m=None if None in pixel else (float(pixel[0] or 0), float(pixel[1] or 0)),
            direct_beam=None if None in beam else (float(beam[0] or 0), float(beam[1] or 0)),
            whole=None if None in size else (int(size[0] or 0), int(size[1] or 0)),
            monitor=scan.counter("imon"),
            checksum=bliss_checksum(asked.path, scan, frames),
            source={"scan": scan.number, "command": scan.command, "detector": name, "group": scan.group.name},
            metadata=scan.metadata,
        )
        return found if scan.is_complete else measured_so_far(found, scan.number)


def measured_so_far(found: Measurement, number: int) -> Measurement:
    """Of a scan that still runs, as many frames and positions as there are of both."""
    moved = [*found.motors.values(), found.energy_ev]
    points = min([len(found.frames), *(len(positions) for positions in moved if isinstance(positions, tuple))])
    if points < 2:
        raise InputError(f"Scan {number} has just begun: {points} frames with positions are there; wait for more.")
    warning = (
        f"Scan {number} has no end_time (it is still measured, or was stopped); its first {points} points are used."
    )
    return first_points(found, points, warning)


def _positions(scan: BlissScan, diffractometer: Diffractometer) -> dict[str, Positions]:
    """Of every recorded motor, degrees, or metres of a stage, which is recorded in mm."""
    read = {
        motor: scan.motor(motor, LENGTHS, 1e-3) if diffractometer.is_stage(motor) else scan.motor(motor)
        for motor in diffractometer.motors
    }
    return {motor: plain(values) for motor, values in read.items() if values is not None}


def expected_frames(asked: Asked) -> int | None:
    """Frames of the complete scan: as many as there are once it has ended, before that as the command says."""
    if asked.path.is_dir():
        return None
    try:
        with opened(asked.path) as file:
            scan = bliss_scan(file, asked.scan)
            return scan.detector(asked.detector)[1].shape[0] if scan.is_complete else scan.points
    except InputError:
        return None


def read_bm02(asked: Asked) -> Measurement:
    """Read a scan of BM02; raises as :func:`read`."""
    return read_spec_and_edf(asked, BM02_SPEC)


def read_id27(asked: Asked) -> Measurement:
    """Read a scan of ID27, whose detector stands behind the sample on stages in mm; raises as :func:`read`.

    Its files hold no distance and no centre that can be relied on: both are asked for. Stages that are not recorded are
    taken for where they were when the direct beam was seen.
    """
    with opened(asked.path) as file:
        scan = bliss_scan(file, asked.scan)
        name, stack = scan.detector(asked.detector)
        frames = stack.load()
        motors = _positions(scan, ID27)
        stages = {m: v for m, v in motors.items() if ID27.is_stage(m) and isinstance(v, float)}
        for motor in ID27.motors:
            if ID27.is_stage(motor):
                motors.setdefault(motor, 0.0)
        wavelength = node(scan.group, "instrument/calibration/wavelength")
        energy = None if wavelength is None else plain(1e10 * HC_EV_M / numbers(wavelength, "wavelength"))
        return Measurement(
            diffractometer=ID27,
            frames=frames,
            motors=motors,
            energy_ev=energy,
            distance_m=None,
            detector=name,
            direct_beam_at=stages,
            checksum=bliss_checksum(asked.path, scan, frames),
            source={"scan": scan.number, "command": scan.command, "detector": name, "group": scan.group.name},
            metadata=scan.metadata,
        )
