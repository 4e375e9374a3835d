"""The strain tensor of relaxed crystals whose atoms are known, from the patterns of several of their reflections.

python benchmarks/strain_tensor_truth.py -o FOLDER [--crystals 8] [--photons 1e6 1e7 1e8] [--reflections 3 4 6] [--seed 1717]
    [--waves atoms|voxels]

Each crystal of gold is relaxed atom by atom (LAMMPS), and measured in up to six reflections, each with the sample turned at
random: a pattern of 64^3 voxels with counting noise, its steps in q, its Q and the rotation of the sample. The wave is the
sum of those of all atoms where they are; with ``--waves voxels`` that of the density and the mean displacement in voxels as
large as those of the image, which no crystal has. Each pattern is inverted by `ap.reconstruct` with its defaults, and
`ap.strain_tensor` puts them together: one at a time, the same smoothed, and jointly. The truth is the gradient of the atoms'
displacements on the same grid. The folder gets the results and rows.jsonl; the same command goes on where it was
interrupted, and prints the tables: for each component the root mean square error over the root mean square of the component
itself inside of the crystal, both without their means, two voxels below the surface left out (hardly more than one of the
images').
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import ndimage, optimize

import autophasenn as ap
from autophasenn.analysis.inside import interior
from autophasenn.analysis.tensor import COMPONENTS, PLACES, Joint, StrainTensor, with_displacement
from autophasenn.crystals.atoms import RelaxedCrystal, RelaxedCrystals
from autophasenn.crystals.lattice import scattering_vector
from autophasenn.crystals.sampling import View, random_rotation
from autophasenn.physics.fourier import diffract
from autophasenn.pipeline.result import Result
from autophasenn.pipeline.strain_tensor import strain_tensor
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import PATTERN, crop_or_pad

HKL = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (0, 2, 0), (2, 0, 0), (1, 1, -1))
OVERSAMPLING = (3.0, 2.8, 3.4)
ALONE, SMOOTHED, JOINTLY = VARIANTS = ("", " smoothed", " jointly")
"""Images phased one at a time, the same with a smoother displacement, and all patterns phased together."""
BLUR = 0.7
"""Standard deviation of the smoother one, voxels of the common grid: of 0.5, 0.7, 1 and 1.5 the best at 1e7 photons."""
WINDOW = 6
"""Width of the window by which an atom is spread, fine voxels."""
LAYERS = 2
"""Voxels below the surface that are left out."""

Row = dict[str, Any]


def measured(
    crystal: RelaxedCrystal, hkl: tuple[int, int, int], photons: float, seed: int, waves: str = "voxels"
) -> ap.Pattern:
    """The pattern of a reflection, with its geometry."""
    generator = generator_of(seed, 0, Stream.VIEW)
    rotation = random_rotation(generator)
    view = View(rotation, OVERSAMPLING)
    turned = crystal.sites @ rotation.T
    extents = turned.amax(0) - turned.amin(0) + 2 * crystal.lattice_constant
    voxels = view.voxel_size(extents, 2 * crystal.lattice_constant)
    if waves == "atoms":
        places = turned - (turned.amax(0) + turned.amin(0)) / 2 + crystal.displacements @ rotation.T
        intensity = wave_of_atoms(places, crystal.bragg_phase(hkl), voxels).abs().square()
    else:
        rho = crop_or_pad(crystal.object(hkl, view)[None], PATTERN)[0]
        intensity = diffract(rho).abs().square().double()
    counts = torch.poisson(intensity * (photons / float(intensity.sum())), generator=generator)
    steps = torch.diag(2 * math.pi / (torch.tensor(PATTERN) * voxels))
    q = rotation @ scattering_vector(hkl, crystal.lattice_constant)
    return ap.Pattern(
        counts.numpy().astype(np.uint32),
        reciprocal_steps=steps.numpy(),
        scattering_vector=q.numpy(),
        sample_rotation=rotation.numpy(),
        name="".join(map(str, hkl)),
    )


def wave_of_atoms(positions: torch.Tensor, phases: torch.Tensor, voxels: torch.Tensor) -> torch.Tensor:
    """``sum exp(i (phase - q.r))`` of atoms at every q of the pattern, centred; to 1e-5 of its norm.

    Atoms are spread by a Kaiser-Bessel window on voxels of half the size, transformed, and divided by the window's transform
    (Beatty, Nishimura and Pauly, IEEE Trans. Med. Imaging 24, 799 (2005)).

    Parameters
    ----------
    positions : float64 tensor (atoms, 3)
        Metres, along the axes of the voxels.
    phases : float64 tensor (atoms,)
    voxels : float64 tensor (3,)
        Edges of a voxel of the pattern's object, metres.
    """
    beta = math.pi * math.sqrt((WINDOW / 2) ** 2 * 1.5**2 - 0.8)

    def window(x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0(beta * (1 - (2 * x / WINDOW) ** 2).clamp_min(0).sqrt()) * (2 * x.abs() <= WINDOW)

    fine = [2 * size for size in PATTERN]
    grid = torch.zeros(math.prod(fine), dtype=torch.complex128)
    for at, phase in zip((positions / voxels * 2).split(20_000), phases.split(20_000), strict=True):
        cells = torch.ceil(at - WINDOW / 2)[:, :, None] + torch.arange(WINDOW)
        weights = torch.einsum("ai,aj,ak->aijk", *window(cells - at[:, :, None]).unbind(1))
        i, j, k = (cells.long() % torch.tensor(fine)[:, None]).unbind(1)
        flat = (i[:, :, None, None] * fine[1] + j[:, None, :, None]) * fine[2] + k[:, None, None, :]
        values = weights * torch.polar(torch.ones_like(phase), phase)[:, None, None, None]
        grid.index_add_(0, flat.flatten(), values.flatten())
    wave = torch.fft.fftn(grid.reshape(fine))
    x = torch.linspace(-WINDOW / 2, WINDOW / 2, 601, dtype=torch.float64)
    for axis, size in enumerate(PATTERN):
        q = torch.arange(size) - size // 2
        transform = (window(x)[:, None] * torch.cos(x[:, None] * math.pi * q / size)).sum(0) * (x[1] - x[0])
        wave = wave.index_select(axis, q % (2 * size)) / transform.reshape([-1 if a == axis else 1 for a in range(3)])
    return wave


def truth_on(crystal: RelaxedCrystal, tensor: StrainTensor, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strain (6, nx, ny, nz) of the atoms on the grid of a tensor, and where it is known; the origin lies at `place`."""
    shape, voxel = tensor.support.shape, np.array(tensor.voxel_size)
    at = (crystal.sites.numpy() - place) / voxel + np.array(shape) // 2
    weight, moved = _gridded(at, np.ones((1, len(at))), shape)[0], _gridded(at, crystal.displacements.numpy().T, shape)
    known = weight > 0.5 * np.median(weight[tensor.support])
    field = np.where(known, moved / np.maximum(weight, 1e-9), 0)
    slopes = np.zeros((3, 3, *shape))
    for axis in range(3):
        ahead, behind = np.roll(known, -1, axis), np.roll(known, 1, axis)
        difference = (np.roll(field, -1, axis + 1) - np.roll(field, 1, axis + 1)) / (2 * voxel[axis])
        slopes[:, axis] = difference
        known = known & ahead & behind
    return np.stack([(slopes[j, k] + slopes[k, j]) / 2 for j, k in PLACES]), known


def _gridded(at: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Sums in cells of a grid, each atom spread over the eight nearest (trilinear), then by a Gaussian of half a voxel."""
    low = np.floor(at).astype(int)
    share = at - low
    result = np.zeros((len(values), *shape))
    for corner in np.ndindex(2, 2, 2):
        cell = low + np.array(corner)
        weight = np.prod(np.where(np.array(corner), share, 1 - share), axis=1)
        inside = np.all((cell >= 0) & (cell < np.array(shape)), axis=1)
        for target, value in zip(result, values, strict=True):
            np.add.at(target, tuple(cell[inside].T), (weight * value)[inside])
    return np.stack([ndimage.gaussian_filter(each, 0.5) for each in result])


def errors_of(crystal: RelaxedCrystal, *tensors: StrainTensor) -> list[Row]:
    """Each component's error over its own spread; whichever of the crystal and its inversion fits the first tensor.

    All tensors are of one grid and support.
    """
    best: list[Row] = []
    for sign in (1.0, -1.0):
        inverted = RelaxedCrystal(
            crystal.lattice_constant, sign * crystal.sites, sign * crystal.displacements, crystal.energies
        )
        place = _placed(inverted, tensors[0])
        strain, known = truth_on(inverted, tensors[0], place)
        inside = interior(tensors[0].support, LAYERS) & known
        rows = []
        for tensor in tensors:
            found = {}
            for name, each, true in zip(COMPONENTS, tensor.strain_map, strain, strict=True):
                a, b = each[inside] - each[inside].mean(), true[inside] - true[inside].mean()
                found[name] = float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)))
            rows.append({"errors": found, "mean": float(np.mean(list(found.values()))), "voxels": int(inside.sum())})
        if not best or rows[0]["mean"] < best[0]["mean"]:
            best = rows
    return best


def _placed(crystal: RelaxedCrystal, tensor: StrainTensor) -> np.ndarray:
    """Where the origin of the grid lies in the crystal, metres: where its density fits the amplitude best."""
    shape, voxel = tensor.support.shape, np.array(tensor.voxel_size)
    sites, middle = crystal.sites.numpy()[::4], np.array(shape) // 2
    body = np.clip(tensor.amplitude / np.median(tensor.amplitude[tensor.support]), 0, 1)
    centre = (np.argwhere(tensor.support).mean(0) - middle) * voxel
    begin = sites.mean(0) - centre

    def misfit(shift: np.ndarray) -> float:
        density = _gridded((sites - begin - shift * voxel) / voxel + middle, np.ones((1, len(sites))), shape)[0]
        return float(np.square(density / np.median(density[tensor.support]) - body).sum())

    found = optimize.minimize(misfit, np.zeros(3), method="Powell", options={"xtol": 1e-2, "ftol": 1e-4})
    return np.asarray(begin + found.x * voxel)


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--crystals", type=int, default=8)
    parser.add_argument("--photons", type=float, nargs="+", default=[1e6, 1e7, 1e8])
    parser.add_argument("--reflections", type=int, nargs="+", default=[3, 4, 6])
    parser.add_argument("--seed", type=int, default=1717)
    parser.add_argument("--waves", choices=["atoms", "voxels"], default="atoms")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "rows.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    rows: dict[tuple[int, float], Row] = {(row["crystal"], row["photons"]): row for row in map(json.loads, lines)}
    source = RelaxedCrystals()
    for index in range(options.crystals):
        counts = [f"{each}{how}" for each in options.reflections for how in VARIANTS]
        wanted = [each for each in options.photons if not {*counts} <= {*rows.get((index, each), ())}]
        crystal = source.relaxed(options.seed, index) if wanted else None
        for photons in wanted:
            assert crystal is not None
            made = inverted(
                crystal, photons, options.seed + 100 * index, max(options.reflections),
                options.output / f"c{index}_p{photons:.0e}", options.waves,
            )  # fmt: skip
            row = rows.setdefault((index, photons), {"crystal": index, "photons": photons})
            row["statuses"] = [each.report.status for each in made]
            for count in options.reflections:
                row |= found_by(crystal, made[:count], row)
            with file.open("a", encoding="utf-8") as log:  # the last line of a case counts
                log.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    show(list(rows.values()), options.reflections)
    return 0


def found_by(crystal: RelaxedCrystal, made: Sequence[Result], known: Row) -> Row:
    """The errors of so many reflections by every one of `VARIANTS` that is not known."""
    count = len(made)
    missing = [how for how in VARIANTS if f"{count}{how}" not in known]
    try:
        alone = strain_tensor(made, HKL[:count], "cubic")
    except ap.InputError as error:
        return {f"{count}{how}": {"refused": str(error)} for how in missing}
    tensors, more = {ALONE: alone}, dict[str, Row]()
    if SMOOTHED in missing:
        tensors[SMOOTHED] = smoothed(alone)
    if JOINTLY in missing:
        began = time.perf_counter()
        tensors[JOINTLY] = jointly = strain_tensor(made, HKL[:count], "cubic", joint=True)
        more[JOINTLY] = {"seconds": time.perf_counter() - began}
        if jointly.joint is not None:
            more[JOINTLY] |= asdict(jointly.joint)
    errors = dict(zip(tensors, errors_of(crystal, *tensors.values()), strict=True))
    return {f"{count}{how}": errors[how] | more.get(how, {}) for how in missing}


def smoothed(tensor: StrainTensor) -> StrainTensor:
    """With the displacement averaged over neighbours, weighted by what they scatter: a Gaussian of `BLUR` voxels."""
    weight = tensor.support * np.square(tensor.amplitude.astype(np.float64))
    total = np.maximum(ndimage.gaussian_filter(weight, BLUR), 1e-6)
    moved = np.tensordot(tensor.to_axes.T, np.nan_to_num(tensor.displacement_map), 1)
    moved = np.stack([ndimage.gaussian_filter(weight * each, BLUR) / total for each in moved])
    return with_displacement(tensor, moved, tensor.amplitude, Joint(False, (), ()))


def inverted(crystal: RelaxedCrystal, photons: float, seed: int, count: int, folder: Path, waves: str) -> list[Result]:
    """Results of the first reflections, stored as `folder` with the number of each."""
    results = []
    for place, hkl in enumerate(HKL[:count]):
        stored = folder.with_name(f"{folder.name}_r{place}")
        if not stored.exists():
            ap.reconstruct(measured(crystal, hkl, photons, seed + place, waves), seed=seed).save(stored, figures=False)
        results.append(Result.load(stored))
    return results


def show(rows: Sequence[Row], reflections: Sequence[int]) -> None:
    """A table: error over spread of every component, median over the crystals."""
    table = Table("photons", "reflections", "crystals", *COMPONENTS, "kept", "refused")
    for photons in sorted({row["photons"] for row in rows}):
        for count in (f"{each}{how}" for each in reflections for how in VARIANTS):
            all_of = [row[count] for row in rows if row["photons"] == photons and count in row]
            good = [each for each in all_of if "errors" in each]
            medians = (
                [f"{100 * np.median([e['errors'][name] for e in good]):.0f} %" for name in COMPONENTS]
                if good
                else [""] * 6
            )
            kept = [each["is_kept"] for each in good if "is_kept" in each]
            table.add_row(
                f"{photons:.0e}", count, str(len(good)), *medians, str(sum(kept)) if kept else "",
                str(len(all_of) - len(good)),
            )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
