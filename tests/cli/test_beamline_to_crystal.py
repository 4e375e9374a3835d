"""From a beamline's own files to the crystal in the laboratory frame: its size, the place of its cut corner, its strain.

The crystal and its frames come from the independent forward model of `beamtime`, whose axes and files are those of the
beamline; the command line reads and reconstructs them.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from beamtime import Experiment, bilinear
from layouts import I16, Id01Bliss, Nanomax

from autophasenn import cli
from autophasenn.pipeline.result import Result

N, COARSE = 40, 8
POINTS = (12, 14, 10)
SPACING_NM = np.array([16.0, 17.0, 15.0])
SIZE_NM = np.array(POINTS) * SPACING_NM
"""Each point stands for the volume that is nearest to it."""
CUT_NM = 170.0
"""The corner towards +x, +y, +z is cut off where x + y + z is more."""
GRADIENT_PER_NM = 1e-5
"""Of the strain along Q, along Q."""

ID01 = replace(Id01Bliss.experiment, beam=(500.0, 100.0), distance=0.3, step=0.017)
CHAIN = replace(I16.experiment, distance=0.94, step=0.016)
NANOMAX = replace(Nanomax.experiment, distance=0.3, step=-0.02)


def measured(e: Experiment) -> np.ndarray:
    """Counts of the crystal as it stands in the middle frame."""
    grid = [(np.arange(n) - (n - 1) / 2) * spacing for n, spacing in zip(POINTS, SPACING_NM, strict=True)]
    points = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, 3)
    points = points[points.sum(1) < CUT_NM]
    g = 1e-9 * e.q(N // 2, *e.peak)  # 1/nm
    along = points @ (g / np.linalg.norm(g))
    scattered = np.exp(-1j * np.linalg.norm(g) * GRADIENT_PER_NM * along**2 / 2).astype(np.complex64)
    index = COARSE * np.arange(N // COARSE)
    frames = np.empty((N, N, N), np.uint32)
    rng = np.random.default_rng(4)
    for frame in range(N):
        coarse = np.array([[e.q(frame, row, column) for column in index] for row in index])
        q = np.stack([bilinear(plane, COARSE) for plane in np.moveaxis(1e-9 * coarse, -1, 0)], -1) - g
        phase = (q.reshape(-1, 3) @ points.T).astype(np.float32)
        wave = np.cos(phase) @ scattered - 1j * (np.sin(phase) @ scattered)
        frames[frame] = rng.poisson(4e4 * np.abs(wave.reshape(N, N)) ** 2 / len(points) ** 2)
    return frames


@pytest.mark.parametrize(
    ("layout", "experiment", "options"),
    [
        (Id01Bliss, ID01, ["--scan", "12"]),
        (I16, CHAIN, []),
        (Nanomax, NANOMAX, ["--direct-beam", "257.5,257.5"]),
    ],
    ids=["goniometer of BLISS", "chain of NeXus", "NanoMAX"],
)
def test_size_cut_corner_and_strain_are_where_they_were(
    layout: type, experiment: Experiment, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = replace(experiment, shape=(N, N), peak=(N // 2, N // 2), frames=N)
    written = layout.write(tmp_path, measured(e), e)  # type: ignore[attr-defined]
    words = ["reconstruct", str(written.path), "--beamline", layout.name, *options, "-o", str(tmp_path / "r")]  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "argv", ["autophasenn", *words, "--method", "iterative", "--no-figures"])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    assert not leaving.value.code
    q = 1e-9 * np.linalg.norm(e.q_lab(N // 2, N // 2, N // 2))
    assert json.loads((tmp_path / "r" / "report.json").read_text())["q_per_nm"] == pytest.approx(q, rel=1e-3)
    image = Result.load(tmp_path / "r").image
    check_crystal(np.asarray(image.amplitude), np.asarray(image.strain), 1e9 * np.asarray(image.voxel_size), e)


def check_crystal(amplitude: np.ndarray, strain: np.ndarray, voxel_nm: np.ndarray, e: Experiment) -> None:
    inside = amplitude > 0.5 * np.quantile(amplitude[amplitude > 0.3 * amplitude.max()], 0.8)
    places = np.argwhere(inside)
    low, high = places.min(0), places.max(0)
    resolution = 2 * np.pi / (N * 8.5e-3)  # nm: a voxel of the detector frame
    np.testing.assert_allclose((high - low + 1) * voxel_nm, SIZE_NM, atol=1.3 * max(resolution, float(voxel_nm.max())))
    middle = (low + high) / 2
    half = (high - low) / 2
    corners = {
        signs: float(amplitude[tuple(np.rint(middle + 0.82 * half * signs).astype(int))])
        for signs in [(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    }
    # No intensity tells a crystal from its twin, whose cut corner is opposite and whose strain is that of the other side.
    sign = min((1, -1), key=lambda s: corners[s, s, s])
    cut = corners.pop((sign, sign, sign))
    assert cut < 0.5 * min(corners.values()), (cut, corners)
    q = e.q_lab(N // 2, N // 2, N // 2)
    along = ((places - middle) * voxel_nm) @ (q / np.linalg.norm(q))
    values = strain[tuple(places.T)]
    known = np.isfinite(values) & (np.abs(along) < 0.8 * np.abs(along).max())
    slope = np.polyfit(along[known], values[known], 1)[0]
    # At 18 nm a voxel, and without refinement, about half of the gradient is seen.
    assert 0.4 < sign * slope / GRADIENT_PER_NM < 1.3
