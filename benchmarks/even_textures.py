"""What the step to an even inside makes of crystals that lie between their voxels, and of densities that are not even.

    python benchmarks/even_textures.py --number 6

Convex crystals of smooth phases and 1e6 to 6e7 photons are made on a grid of four points a voxel. `off` diffracts that grid
and keeps the middle of its wave, as a detector does: faces lie anywhere, and ring. `on` diffracts the means over voxels, as
simulations on a grid do. Each is predicted and refined, then made even (`phasing.evenness`). A line has, before and after,
the means over images that are right (a correlation of 0.95): correlation and SSIM with the wave's own object; the error of
the phase gradient within the crystal (rad a voxel, rms), of which strain is made; and of the texture, smoothed by a voxel,
its height as a share of the truth's and its error (rms).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from autophasenn.inversion.options import Inversion
from autophasenn.inversion.prediction import load_predictor, predict_all
from autophasenn.phasing.evenness import Evenness, evened
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import refine
from autophasenn.phasing.support import typical_amplitude
from autophasenn.physics import metrics
from autophasenn.physics.ambiguity import align
from autophasenn.volumes import Pattern

FINE, BOX, SIZE = 4, 32, 64
DENSITIES = ("even", "wave", "cloud", "slope", "void", "shell")
"""1; a wave of 5 % and six voxels; clouds of 5 % rms and 1.5 voxels; 15 % from face to face; a void of 2.5 voxels; the outer
two voxels 10 % less dense."""
Grid = NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """The counts (64, 64, 64) of a crystal, and the object that its wave has on the voxels."""

    counts: Tensor
    object: Tensor


def simulated(seed: int, density: str, *, on_voxels: bool) -> Truth:
    """A crystal of its own size, shape, place between voxels, phase and dose."""
    random = np.random.default_rng(seed)
    along = ((np.arange(BOX * FINE) - (BOX * FINE - 1) / 2) / FINE).astype(np.float32)
    half = random.uniform(SIZE / 3.4, SIZE / 2.35) / 2  # voxels: an oversampling of 2.35 to 3.4
    place = (
        np.stack(np.meshgrid(along, along, along, indexing="ij")) - random.uniform(-0.5, 0.5, 3)[:, None, None, None]
    )
    crystal, axis = _polyhedron(random, place, half)
    phase = _phase(random, place, half)
    phase *= 10 ** random.uniform(-0.6, 0.5) / (phase[crystal].max() - phase[crystal].min())
    rho = crystal * _density(random, density, place, half, crystal, axis)
    photons = 10 ** random.uniform(6, 7.8)
    if on_voxels:
        mean = _means(rho)
        wave = _wave(mean * np.exp(1j * _means(rho * phase) / np.maximum(mean, 1e-9)), SIZE)
    else:
        wave = _wave(rho * np.exp(1j * phase), SIZE * FINE)
    intensity = wave.abs().square()
    counts = torch.poisson(intensity * (photons / intensity.sum()), generator=torch.Generator().manual_seed(seed))
    peak = np.unravel_index(int(counts.argmax()), counts.shape)
    to_middle = [SIZE // 2 - int(each) for each in peak]
    wave = torch.roll(wave, to_middle, (0, 1, 2))
    found = torch.fft.fftshift(torch.fft.ifftn(torch.fft.ifftshift(wave))).to(torch.complex64)
    return Truth(torch.roll(counts, to_middle, (0, 1, 2)).float(), found)


def _polyhedron(random: np.random.Generator, place: Grid, half: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """A turned block with eight to 21 faces more, and a normal of it."""
    block = np.linalg.qr(random.normal(size=(3, 3)))[0]
    normals = random.normal(size=(random.integers(8, 22), 3))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    faces = [*zip(normals, random.uniform(0.72, 1, len(normals)), strict=True)]
    faces += [*zip(np.concatenate([block, -block]), random.uniform(0.7, 1, 6), strict=True)]
    crystal = np.ones(place.shape[1:], bool)
    for normal, distance in faces:
        crystal &= np.tensordot(normal, place, 1) < distance * half
    return crystal, block[0]


def _phase(random: np.random.Generator, place: Grid, half: float) -> Grid:
    """Six waves of about the crystal's size."""
    waves = random.normal(size=(6, 3)) * 0.6 * np.pi / half
    heights, starts = random.normal(size=6), random.uniform(0, 2 * np.pi, 6)
    each = (a * np.sin(np.tensordot(q, place, 1) + s) for q, a, s in zip(waves, heights, starts, strict=True))
    return np.sum(list(each), 0)


def _density(
    random: np.random.Generator,
    kind: str,
    place: Grid,
    half: float,
    crystal: NDArray[np.bool_],
    axis: NDArray[np.float64],
) -> Grid:
    one = np.ones(crystal.shape, np.float32)
    match kind:
        case "even":
            return one
        case "wave":
            direction = random.normal(size=3)
            return one + 0.05 * np.cos(np.tensordot(direction * np.pi / 3 / np.linalg.norm(direction), place, 1))
        case "cloud":
            cloud = ndimage.gaussian_filter(random.normal(size=crystal.shape).astype(np.float32), 1.5 * FINE)
            return one + 0.05 * cloud / cloud.std()
        case "slope":
            return one + 0.075 * np.tensordot(axis, place, 1) / half
        case "void":
            centre = random.uniform(-0.4, 0.4, 3) * half
            return one - (((place - centre[:, None, None, None]) ** 2).sum(0) < 2.5**2)
        case _:
            return one - 0.1 * (ndimage.distance_transform_edt(crystal) < 2 * FINE)


def _means(fine: Grid) -> Grid:
    """Over the voxels."""
    return fine.reshape(BOX, FINE, BOX, FINE, BOX, FINE).mean((1, 3, 5))


def _wave(rho: NDArray[np.complex128], size: int) -> Tensor:
    """The middle of the wave of an object on a grid of so many points."""
    full = torch.zeros(size, size, size, dtype=torch.complex64)
    start, end = (size - rho.shape[0]) // 2, (size + rho.shape[0]) // 2
    full[start:end, start:end, start:end] = torch.from_numpy(rho.astype(np.complex64))
    wave = torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(full)))
    middle = slice((size - SIZE) // 2, (size + SIZE) // 2)
    return wave[middle, middle, middle].clone()


def judged(truth: Tensor, found: Tensor) -> list[float]:
    """Correlation, SSIM, error of the phase gradient, height of the texture and its error."""
    whole, cut = align(truth, found), align(metrics.thresholded(truth), metrics.thresholded(found))
    inside = ndimage.binary_erosion(truth.abs().numpy() > 0.5 * float(typical_amplitude(truth.abs().square())))
    between = (whole.aligned * truth.conj()).numpy()
    gradients = []
    for axis in range(3):
        low, high = (np.moveaxis(each, axis, 0) for each in (between, inside))
        both = high[1:] & high[:-1]
        gradients.append(np.angle(low[1:] * low[:-1].conj())[both])
    deep = ndimage.binary_erosion(inside)
    one, other = (
        each / each.mean() - 1
        for each in (ndimage.gaussian_filter(rho.abs().numpy(), 1.0)[deep] for rho in (truth, whole.aligned))
    )
    return [
        whole.correlation,
        metrics.ssim(metrics.thresholded(truth), cut.aligned),
        float(np.sqrt(np.mean(np.concatenate(gradients) ** 2))),
        float(one @ other / (one @ one)),
        float(np.sqrt(np.mean((other - one) ** 2))),
    ]


def main() -> None:
    """Print a line for each density, on the voxels and off them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--number", type=int, default=6, help="Crystals of each kind.")
    parser.add_argument("--seed", type=int, default=6200, help="Of the first one.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    options, predictor = Inversion(), load_predictor()
    for where in ("on", "off"):
        for density in DENSITIES:
            rows, kept = [], 0
            for index in range(given.number):
                truth = simulated(given.seed + index, density, on_voxels=where == "on")
                pattern = Pattern(truth.counts, torch.ones_like(truth.counts, dtype=torch.bool))
                held_out = HeldOut.of(pattern, options.free_fraction, index)
                run = refine(held_out, predict_all(held_out, predictor, options.prediction, seed=index)[0][0]).best
                made = evened(held_out, run, Evenness(), options.refinement.polish_support)
                even = run if made is None or made.image is None else made.image
                both = [judged(truth.object, each.object[0]) for each in (run, even)]
                if both[0][0] >= metrics.GOOD:
                    rows.append(both)
                    kept += even is not run
            before, after = np.mean(rows, 0)
            names = ("correlation", "SSIM", "gradient", "height", "error")
            words = ", ".join(f"{n} {a:.4f} -> {b:.4f}" for n, a, b in zip(names, before, after, strict=True))
            print(f"{where} {density}: {kept} of {len(rows)} kept; {words}", flush=True)


if __name__ == "__main__":
    main()
