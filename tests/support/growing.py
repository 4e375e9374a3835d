"""A BLISS file that grows: one group a scan, frames and positions point by point, `end_time` when it has ended."""

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

DETECTOR = "eiger4m"


class GrowingBliss:
    """A scan of eta at ID01 while it is measured.

    Parameters
    ----------
    path : Path
        Of the file of the dataset, which is made, or goes on.
    number : int
        Of the scan.
    positions : array
        Commanded, degrees.
    """

    def __init__(self, path: Path, number: int, positions: np.ndarray) -> None:
        self.path, self.group, self.positions = path, f"{number}.1", positions
        self.frames = path.parent / f"scan{number:04d}" / f"{DETECTOR}_0000.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "a", locking=False) as file:
            scan = file.create_group(self.group)
            scan["title"] = f"ascan eta {positions[0]:g} {positions[-1]:g} {len(positions) - 1} 0.1"
            scan["start_time"] = "2026-05-01T10:00:00"
            scan.create_dataset("measurement/eta", (0,), "f8", maxshape=(None,), chunks=(16,))
            place = f"/entry_0000/instrument/{DETECTOR}/data"
            scan[f"measurement/{DETECTOR}"] = h5py.ExternalLink(f"{self.frames.parent.name}/{self.frames.name}", place)
            motors = {"mu": 0.0, "eta": positions[0], "phi": 3.0, "nu": 0.0, "delta": 36.0, "mononrj": 9.0}
            for name, value in motors.items():
                scan[f"instrument/positioners/{name}"] = value
            facts = {"beam_center_y": 16, "beam_center_x": 16, "y_pixel_size": 55e-6, "x_pixel_size": 55e-6}
            for name, value in {**facts, "distance": 0.8}.items():
                scan[f"instrument/{DETECTOR}/{name}"] = value

    def frame(self, image: np.ndarray) -> None:
        """Measure one point."""
        self.frames.parent.mkdir(exist_ok=True)
        with h5py.File(self.frames, "a", locking=False) as file:
            name = f"entry_0000/instrument/{DETECTOR}/data"
            if name not in file:
                file.create_dataset(
                    name,
                    (0, *image.shape),
                    np.uint32,
                    maxshape=(None, *image.shape),
                    chunks=(1, *image.shape),
                    **hdf5plugin.Bitshuffle(cname="lz4"),
                )
            stack = file[name]
            stack.resize(len(stack) + 1, 0)
            stack[-1] = image
        with h5py.File(self.path, "a", locking=False) as file:
            eta = file[f"{self.group}/measurement/eta"]
            eta.resize(len(eta) + 1, 0)
            eta[-1] = self.positions[len(eta) - 1]

    def end(self) -> None:
        """Say that it has ended."""
        with h5py.File(self.path, "a", locking=False) as file:
            file[f"{self.group}/end_time"] = "2026-05-01T10:10:00"
