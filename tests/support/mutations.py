"""Small valid files of every format, and seeded damage to them: what is read is right, or refused in one sentence."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import tifffile
import torch
import typer.main
from patience import at_most
from scipy.io import savemat
from small_network import network

from autophasenn import cli
from autophasenn.errors import AutoPhaseNNError
from autophasenn.experiment.dataset import DatasetFile, Description, encoded
from autophasenn.experiment.experiment import Samples
from autophasenn.files.cxi import read_result, write_result
from autophasenn.files.cxi_image import read_counts
from autophasenn.image import CrystalImage
from autophasenn.network import weights
from autophasenn.pipeline.plan import Plan, dump_plan
from autophasenn.viewer.results import read_image
from autophasenn.volumes import Pattern, Reconstruction
from crystals import expected_counts, polyhedron

SHAPE = (8, 16, 12)
STEPS, Q = 1e7 * np.eye(3), np.array([1.5e10, 0.6e10, -0.5e10])
SCAN = "Made20-1a_S0054"
SPEC = """#F made.spec
#E 1580609738

#O0 Delta  Theta  Gamma
#O1 camdist  Energy

#S 54  ascan  th -0.02 0.015  7 0.25
#D Tue Feb 04 12:28:23 2020
#P0 32.174 0.22 12.6346
#P1 500 9
#UIMDET 34idcTIM2:
#UIMR5  32 12 64 16 1
#N 2
#L Theta  Detector
"""
SLOWEST = 30.0
"""Seconds after which reading counts as hanging."""


typer.main.get_command = cache(typer.main.get_command)
"""The command line is built once, not for each of thousands of files: that takes longer than to read one."""


class Hang(BaseException):
    """Reading took too long; no reader may catch it."""


def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(expected_counts(polyhedron(SHAPE, (2, 3, 3), rng), 1e5)).astype(np.int32)


@dataclass(frozen=True)
class Format:
    """A format: how a valid file of it is made in a folder, and what reads it.

    Parameters
    ----------
    write : callable
        Folder -> the file that is damaged.
    read : callable
        File -> words of a command line, or None after it read the file itself.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], list[str] | None]


def dry_run(path: Path, *options: object) -> list[str]:
    output = path.parent / "out"
    words = [path, *options, "-o", output, "--method", "iterative", "--threads", 1, "--dry-run"]
    return ["reconstruct", *map(str, words)]


def _npy(folder: Path) -> Path:
    np.save(folder / "p.npy", counts())
    return folder / "p.npy"


def _npz(folder: Path, save: Callable[..., None] = np.savez_compressed) -> Path:
    save(folder / "p.npz", counts=counts(), mask=counts() >= 0, reciprocal_steps=STEPS, scattering_vector=Q)
    return folder / "p.npz"


def _mat(folder: Path) -> Path:
    savemat(folder / "p.mat", {"data": np.moveaxis(counts(), 0, 2)}, do_compression=True)
    return folder / "p.mat"


def _tif(folder: Path) -> Path:
    tifffile.imwrite(folder / "p.tif", counts())
    return folder / "p.tif"


def _h5(folder: Path) -> Path:
    with h5py.File(folder / "p.h5", "w") as file:
        file.create_dataset("entry/data", data=counts(), chunks=(1, *SHAPE[1:]), **hdf5plugin.Bitshuffle())
    return folder / "p.h5"


def _cxi(folder: Path) -> Path:
    with h5py.File(folder / "p.cxi", "w") as file:
        file["cxi_version"] = 150
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector.create_dataset("data", data=counts(), compression="gzip", chunks=(4, 8, 6))
        detector["mask"], detector["reciprocal_steps"] = np.zeros(SHAPE[1:], np.uint32), STEPS
        detector["scattering_vector"] = Q
    return folder / "p.cxi"


def _mask(folder: Path) -> Path:
    _npy(folder)
    np.savez(folder / "mask.npz", mask=counts() >= 0)
    return folder / "mask.npz"


def _plan(folder: Path) -> Path:
    _npy(folder)
    (folder / "plan.yaml").write_text(dump_plan(Plan()), encoding="utf-8")
    return folder / "plan.yaml"


def _spec(folder: Path) -> Path:
    (folder / SCAN).mkdir()
    for index, frame in enumerate(counts()):
        tifffile.imwrite(folder / SCAN / f"{SCAN}_{index:05d}.tif", frame)
    points = "".join(f"{theta:.7f} 3\n" for theta in np.linspace(-0.02, 0.015, 8))
    (folder / "made.spec").write_text(SPEC + points)
    return folder / "made.spec"


def _frame(folder: Path) -> Path:
    _spec(folder)
    return folder / SCAN / f"{SCAN}_00003.tif"


def _scan(path: Path) -> list[str]:
    folder = path.parent if path.suffix == ".spec" else path.parent.parent
    return dry_run(folder / SCAN, "--beamline", "34idc", "--spec", folder / "made.spec")


def _dataset(folder: Path) -> Path:
    pattern = torch.zeros(1, 64, 64, 64)
    pattern[0, :8, :16, :12] = torch.from_numpy(counts())
    samples = Samples(pattern, torch.ones(1, 64, 64, 64) > 0, torch.ones(1, 32, 32, 32) + 0j)
    (folder / "crystals.h5").write_bytes(encoded(samples, Description("polyhedra", 1, {"recipe": "paper"})))
    return folder / "crystals.h5"


def _read_dataset(path: Path) -> None:
    with DatasetFile(path) as dataset:
        dataset.patterns([0]), dataset.masks([0])
        if dataset.has_truth:
            dataset.objects([0])


def _weights(folder: Path) -> Path:
    weights.save(network(), {"seed": 1}, folder / "small.safetensors")
    return folder / "small.safetensors"


def _result(folder: Path) -> Path:
    (folder / "out").mkdir()
    support = torch.zeros(SHAPE, dtype=torch.bool)
    support[2:6, 4:9, 3:8] = True
    object = torch.where(support, torch.ones(SHAPE) + 0j, 0)
    pattern = Pattern(torch.from_numpy(counts()).float(), torch.ones(SHAPE, dtype=torch.bool))
    found = Reconstruction(object, support, object, object.abs(), torch.ones(2, 5), torch.ones(2), 0.1, 0, 1)
    inside = support.numpy()
    lab = np.where(inside, np.float32(1), np.float32(np.nan))
    image = CrystalImage(inside.astype(np.float32), lab, inside)
    write_result(folder / "out" / "result.cxi", pattern, found, image, {"report": {"chi2": 0.1}})
    (folder / "out" / "report.json").write_text('{"status": "good", "chi2": 0.1, "voxel_size_nm": [4, 5, 6]}')
    return folder / "out" / "result.cxi"


def _read_result(path: Path) -> None:
    read_result(path)
    read_image(path.parent)
    read_counts(path)


def _report(folder: Path) -> Path:
    return _result(folder).with_name("report.json")


FORMATS: dict[str, Format] = {
    "npy": Format(_npy, dry_run),
    "npz": Format(_npz, dry_run),
    "npz, stored": Format(partial(_npz, save=np.savez), dry_run),
    "mat": Format(_mat, dry_run),
    "tif": Format(_tif, dry_run),
    "h5": Format(_h5, lambda path: dry_run(Path(f"{path}:/entry/data"))),
    "h5, listed": Format(_h5, dry_run),
    "cxi": Format(_cxi, dry_run),
    "mask": Format(_mask, lambda path: dry_run(path.with_name("p.npy"), "--mask", path)),
    "plan": Format(_plan, lambda path: dry_run(path.with_name("p.npy"), "--plan", path)),
    "spec": Format(_spec, _scan),
    "frame": Format(_frame, _scan),
    "dataset": Format(_dataset, _read_dataset),
    "weights": Format(_weights, lambda path: weights.load(path) and None),
    "result": Format(_result, _read_result),
    "report": Format(_report, lambda path: read_image(path.parent) and None),
}


def mutated(content: bytes, seed: int) -> bytes:
    """`content`, damaged in one of five ways at a place of which half lie in the first kilobyte."""
    rng = np.random.default_rng(seed)
    data = bytearray(content)
    reach = min(len(data), 1024) if rng.random() < 0.5 else len(data)
    at, length = int(rng.integers(reach)), int(2 ** rng.uniform(0, 8))
    match int(rng.integers(5)):
        case 0:
            for place in rng.integers(reach, size=int(rng.integers(1, 9))):
                data[place] ^= int(rng.integers(1, 256))
        case 1:
            del data[at:]
        case 2:
            data[at : at + length] = b""
        case 3:
            data[at:at] = rng.integers(256, size=length, dtype=np.uint8).tobytes()
        case 4:
            data[at:at] = data[at : at + length] * int(rng.integers(1, 5))
    return bytes(data)


def verdict(read: Callable[[Path], list[str] | None], path: Path, seconds: float = SLOWEST) -> str:
    """ "right" or "refused", or what is wrong with how damage to `path` was met."""
    before = everything(path)
    out, err, status, trouble = io.StringIO(), io.StringIO(), 0, ""
    argv = sys.argv
    with at_most(seconds, Hang()), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            words = read(path)
            if words is not None:
                sys.argv = ["autophasenn", *words]
                cli.main()
        except SystemExit as leaving:
            status = int(leaving.code or 0)
        except AutoPhaseNNError as error:
            status = 2
            print(f"Error: {error}", file=sys.stderr)
        except Hang:
            trouble = f"hangs for {seconds:g} s"
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"[:300]
        finally:
            sys.argv = argv
    said, told = out.getvalue(), err.getvalue()
    if trouble or everything(path) != before:
        return trouble or "a file was changed, made or removed"
    if status == 0:
        return "right" if told == "" else f"exit 0, but on standard error: {told[:300]}"
    if status != 2 or said or not told.startswith("Error: ") or told.count("\n") != 1 or len(told) > 1000:
        return f"exit {status}, {len(said)} characters on standard output: {told[:300]}"
    return "refused"


def everything(path: Path) -> dict[Path, int]:
    """The files beside a file, each with its size and time."""
    return {each: hash((each.stat().st_size, each.stat().st_mtime_ns)) for each in path.parent.rglob("*")}
