"""The strain tensor of relaxed crystals whose atoms are known, from the patterns of several of their reflections.

python benchmarks/strain_tensor_truth.py -o FOLDER [--crystals 8] [--photons 1e6 1e7 1e8] [--reflections 3 4 6] [--seed 1717]

Each crystal of gold is relaxed atom by atom (LAMMPS), and measured in up to six reflections, each with the sample turned at
random: a pattern of 64^3 voxels with counting noise, its steps in q, its Q and the rotation of the sample. Each is inverted
by `ap.reconstruct` with its defaults, and `ap.strain_tensor` puts them together. The truth is the gradient of the atoms'
displacements on the same grid. The folder gets rows.jsonl; the same command goes on where it was interrupted, and prints the
tables: for each component the root mean square error over the root mean square of the component itself inside of the
crystal, both without their means, two voxels below the surface left out (hardly more than one of the images').
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy import ndimage, optimize

import autophasenn as ap
from autophasenn.analysis.inside import interior
from autophasenn.analysis.tensor import COMPONENTS, PLACES, StrainTensor
from autophasenn.crystals.atoms import RelaxedCrystal, RelaxedCrystals
from autophasenn.crystals.lattice import scattering_vector
from autophasenn.crystals.sampling import View, random_rotation
from autophasenn.physics.fourier import diffract
from autophasenn.pipeline.strain_tensor import strain_tensor
from autophasenn.randomness import Stream, generator_of
from autophasenn.volumes import PATTERN, crop_or_pad

HKL = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (0, 2, 0), (2, 0, 0), (1, 1, -1))
OVERSAMPLING = (3.0, 2.8, 3.4)
LAYERS = 2
"""Voxels below the surface that are left out."""

Row = dict[str, Any]


def measured(crystal: RelaxedCrystal, hkl: tuple[int, int, int], photons: float, seed: int) -> ap.Pattern:
    """The pattern of a reflection, with its geometry."""
    generator = generator_of(seed, 0, Stream.VIEW)
    rotation = random_rotation(generator)
    view = View(rotation, OVERSAMPLING)
    turned = crystal.sites @ rotation.T
    extents = turned.amax(0) - turned.amin(0) + 2 * crystal.lattice_constant
    voxels = view.voxel_size(extents, 2 * crystal.lattice_constant)
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


def errors_of(crystal: RelaxedCrystal, tensor: StrainTensor) -> Row:
    """Each component's error over its own spread; whichever of the crystal and its inversion fits."""
    best: Row | None = None
    for sign in (1.0, -1.0):
        inverted = RelaxedCrystal(
            crystal.lattice_constant, sign * crystal.sites, sign * crystal.displacements, crystal.energies
        )
        place = _placed(inverted, tensor)
        strain, known = truth_on(inverted, tensor, place)
        inside = interior(tensor.support, LAYERS) & known
        found = {}
        for name, each, true in zip(COMPONENTS, tensor.strain_map, strain, strict=True):
            a, b = each[inside] - each[inside].mean(), true[inside] - true[inside].mean()
            found[name] = float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)))
        row = {"errors": found, "mean": float(np.mean(list(found.values()))), "voxels": int(inside.sum())}
        if best is None or row["mean"] < best["mean"]:
            best = row
    assert best is not None
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
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    file = options.output / "rows.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    done = {(row["crystal"], row["photons"]) for row in rows}
    source = RelaxedCrystals()
    for index in range(options.crystals):
        wanted = [each for each in options.photons if (index, each) not in done]
        crystal = source.relaxed(options.seed, index) if wanted else None
        for photons in wanted:
            assert crystal is not None
            made = inverted(crystal, photons, options.seed + 100 * index, max(options.reflections))
            row: Row = {"crystal": index, "photons": photons, "statuses": [each.report.status for each in made]}
            for count in options.reflections:
                try:
                    tensor = strain_tensor(made[:count], HKL[:count], "cubic")
                except ap.InputError as error:
                    row[str(count)] = {"refused": str(error)}
                    continue
                row[str(count)] = errors_of(crystal, tensor) | {
                    "disagreement": tensor.disagreement.value,
                    "said": float(np.sqrt(np.nanmean(np.square(tensor.strain_spread))))
                    if tensor.strain_spread is not None
                    else None,
                }
            rows.append(row)
            with file.open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
    show(rows, options.reflections)
    return 0


def inverted(crystal: RelaxedCrystal, photons: float, seed: int, count: int) -> list[ap.Result]:
    """Results of the first reflections."""
    results = []
    for place, hkl in enumerate(HKL[:count]):
        results.append(ap.reconstruct(measured(crystal, hkl, photons, seed + place), seed=seed))
    return results


def show(rows: Sequence[Row], reflections: Sequence[int]) -> None:
    """A table: error over spread of every component, median over the crystals."""
    table = Table("photons", "reflections", "crystals", *COMPONENTS, "refused")
    for photons in sorted({row["photons"] for row in rows}):
        for count in reflections:
            all_of = [row[str(count)] for row in rows if row["photons"] == photons and str(count) in row]
            good = [each for each in all_of if "errors" in each]
            medians = (
                [f"{100 * np.median([e['errors'][name] for e in good]):.0f} %" for name in COMPONENTS]
                if good
                else [""] * 6
            )
            table.add_row(f"{photons:.0e}", str(count), str(len(good)), *medians, str(len(all_of) - len(good)))
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
