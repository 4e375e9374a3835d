"""PETRA III P10: the master file of an Eiger beside a ``.fio`` log.

``{sample}_{scan:05d}/{detector}/{sample}_{scan:05d}_master.h5`` and ``{sample}_{scan:05d}.fio``; counts in
``entry/data/data_000001``, ``data_000002``, ..., which are links into files beside the master. Parameters are in degrees, eV
and mm.
"""

from __future__ import annotations

import hashlib
import math
import re
from pathlib import Path

import h5py
import numpy as np

from autophasenn.beamlines.diffractometers import P10, P10_EH2
from autophasenn.beamlines.fio import Fio, read_fio
from autophasenn.beamlines.measurement import Asked, Measurement, Positions, millimetres, plain
from autophasenn.beamlines.recorded import of_fio
from autophasenn.errors import GeometryError, InputError
from autophasenn.files.tree import Frames, is_stack, node, numbers, opened
from autophasenn.machine import check_room

NEEDS = "the folder of the scan ({sample}_{scan}) or its master file, and the .fio file (--spec) where it is elsewhere"


def read(asked: Asked) -> Measurement:
    """Read a scan of hutch 1, or of hutch 2 where the log has ``samth``.

    Raises
    ------
    InputError
        If a file is missing, damaged or of another layout, or there are two detectors and none is named.
    GeometryError
        If the scan moves no circle.
    """
    master, detector = _master(asked)
    log = read_fio(_log(asked, master))
    diffractometer = P10_EH2 if "samth" in {*log.columns, *log.parameters} else P10
    with opened(master) as file:
        group = node(file, "entry/data")
        names = (
            sorted(name for name in group if re.fullmatch(r"data(_\d+)?", name))
            if isinstance(group, h5py.Group)
            else []
        )
        stacks = [found for name in names if isinstance(found := node(group, name), h5py.Dataset) and is_stack(found)]
        if not stacks:
            raise InputError(f"{master} has no frames at entry/data/data_000001; give the master file of an Eiger.")
        frames = Frames(tuple(stacks)).load()
        pixel_mask = node(file, "entry/instrument/detector/detectorSpecific/pixel_mask")
        mask = None
        if isinstance(pixel_mask, h5py.Dataset) and pixel_mask.shape == frames.shape[1:]:
            mask = np.asarray(numbers(pixel_mask, "pixel mask")) == 0
    frames, warnings = _one_frame_a_point(frames, log)
    # Pixels that an Eiger does not measure hold the largest number of their type.
    if frames.dtype.kind == "u":
        dead = (frames == np.iinfo(frames.dtype).max).all(axis=0)
        mask = ~dead if mask is None else mask & ~dead
    digest = hashlib.sha256(log.path.read_bytes())
    digest.update(np.ascontiguousarray(frames).data)
    return Measurement(
        diffractometer=diffractometer,
        frames=frames,
        motors=_motors(log, diffractometer.motors),
        energy_ev=_energy(log),
        distance_m=millimetres(log.number("_distance")),
        detector=log.parameters.get("_ccd") or detector,
        mask=mask,
        checksum=digest.hexdigest(),
        source={"scan": _scan_of(master), "command": log.command, "spec": str(log.path), "file": str(master)},
        warnings=warnings,
        metadata=of_fio(log),
    )


def _master(asked: Asked) -> tuple[Path, str]:
    """The master file and the name of its detector's folder."""
    path = asked.path
    if path.is_file():
        return path, asked.detector or path.parent.name
    if not path.is_dir():
        raise InputError(f"There is no folder or file {path}; give the folder of the scan, {{sample}}_{{scan}}.")
    if asked.scan is not None and _scan_of(path) != asked.scan:
        inside = [p for p in sorted(path.glob(f"*_{asked.scan:05d}")) if p.is_dir()]
        if not inside:
            raise InputError(f"{path} holds no scan {asked.scan} (*_{asked.scan:05d}); check the number.")
        path = inside[0]
    found = sorted({*path.glob("*_master.h5"), *path.glob("*/*_master.h5")})
    if asked.detector is not None:
        found = [master for master in found if master.parent.name == asked.detector]
    if not found:
        kind = f"of the detector {asked.detector} " if asked.detector else ""
        raise InputError(f"{path} holds no master file {kind}(*/*_master.h5); give the folder of one scan.")
    if len(found) > 1:
        names = ", ".join(master.parent.name for master in found)
        raise InputError(f"{path} holds frames of {names}; say which with --detector NAME.")
    return found[0], found[0].parent.name


def _log(asked: Asked, master: Path) -> Path:
    if asked.spec is not None:
        return asked.spec
    stem = master.name.removesuffix("_master.h5")
    links = dict.fromkeys((master, master.resolve()))  # the log lies beside the file that a symbolic link names
    places = [folder / f"{stem}.fio" for each in links for folder in (each.parent, *each.parents[1:4])]
    found = [place for place in places if place.is_file()]
    if not found:
        raise InputError(f"There is no {stem}.fio beside {master} or in the folders above it; give it with --spec.")
    return found[0]


def _scan_of(path: Path) -> int | None:
    match = re.search(r"_(\d+)(?:_master\.h5)?$", path.name)
    return None if match is None else int(match[1])


def _one_frame_a_point(frames: np.ndarray, log: Fio) -> tuple[np.ndarray, tuple[str, ...]]:
    """A series takes several frames at each point: they are summed, and it is said."""
    points = len(next(iter(log.columns.values())))
    if points > 1 and len(frames) > points + 1 and len(frames) % points == 0:
        series = frames.reshape(points, -1, *frames.shape[1:])
        largest = np.iinfo(frames.dtype).max if frames.dtype.kind == "u" else None
        check_room(points * math.prod(frames.shape[1:]), str(log.path))
        summed = series.sum(axis=1, dtype=np.int64)
        if largest is not None:
            summed[(series == largest).any(axis=1)] = np.iinfo(np.uint32).max
        warning = (
            f"{log.path} records {points} points and there are {len(frames)} frames, a series of {series.shape[1]} at each "
            "point; the frames of each point are summed."
        )
        return summed.astype(np.uint32), (warning,)
    return frames, ()


def _motors(log: Fio, names: tuple[str, ...]) -> dict[str, Positions]:
    motors: dict[str, Positions] = {}
    for name in names:
        value = log.number(name)
        if name in log.columns and len(log.columns[name]) > 1:
            motors[name] = plain(log.columns[name])
        elif value is not None:
            motors[name] = value
    if not any(isinstance(value, tuple) for value in motors.values()) and "fmbenergy" not in log.columns:
        raise GeometryError(
            f"{log.path} records {log.command!r} with the columns {', '.join(list(log.columns)[:8])}, not a rocking scan; "
            f"give a scan of one of {', '.join(names)}."
        )
    return motors


def _energy(log: Fio) -> Positions | None:
    if "fmbenergy" in log.columns:
        return plain(log.columns["fmbenergy"])
    return log.number("fmbenergy")
