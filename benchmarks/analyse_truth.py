"""Facets and dislocations of simulated crystals whose truth is known, as the analysis finds them.

python benchmarks/analyse_truth.py -o FOLDER [--seed 2611] [--blur 0.6]
python benchmarks/analyse_truth.py -o FOLDER --speed

32 crystals: 12 polyhedra turned at random, 8 of the relaxed gold crystals that come with the package, 12 polyhedra with
dislocations. Their true images are blurred (Gaussian, standard deviation in voxels) and analysed with the surface at half of
the plateau. The folder gets rows.jsonl, a line for each crystal as soon as it is done; the same command goes on where it was
interrupted. At last the tables are printed. The second form tells time and memory for a crystal on 2 million voxels.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - the filters of the bundled crystals
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError, cKDTree

from autophasenn.analysis.analyse import Analysis, analyse
from autophasenn.analysis.indexing import rotations_of_the_cube
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.subject import DetectorObject, Subject
from autophasenn.analysis.vortices import region_of
from autophasenn.crystals.defects import Defects
from autophasenn.crystals.dislocations import Dislocation
from autophasenn.crystals.lattice import metal, scattering_vector
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.shapes import Facets, clipped_block, vertices
from autophasenn.image import CrystalImage
from autophasenn.machine import peak_memory
from autophasenn.pipeline.analyse import save
from autophasenn.randomness import Stream, generator_of

HKL = (1, 1, 1)
KINDS = (("polyhedra", 12), ("relaxed", 8), ("dislocations", 12))
LARGE = 0.03
"""Share of the surface from which a facet must be found."""
LONG, DEEP = 4.0, 1.5
"""A dislocation must be found if so many voxels of it lie that deep below the surface, or deeper."""
NEAR_FACET, NEAR_LINE = 10.0, 2.0
"""Degrees, and voxels, within which what is found is what is true."""
FINER = 4
"""Voxels along an edge of one where time and memory are told."""

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Truth:
    """A crystal on its voxels, and what is true of it, on the axes of the voxels.

    Parameters
    ----------
    rho : complex array (n, n, n)
    voxel : float array (3,)
        nm.
    rotation : float array (3, 3)
        From the cubic axes.
    normals : float array (facets, 3)
    shares : float array (facets,)
        Of the surface.
    lines : sequence of (point in voxels, direction in voxels, turns of the phase along it)
    """

    rho: np.ndarray
    voxel: np.ndarray
    rotation: np.ndarray
    normals: np.ndarray
    shares: np.ndarray
    lines: Sequence[tuple[np.ndarray, np.ndarray, float]]


def truth_of(kind: str, seed: int, index: int) -> Truth:
    """Crystal `index` of a kind."""
    if kind == "relaxed":
        return _relaxed(index)
    sampling = Sampling(any_orientation=True, least_oversampling=2.2, most_oversampling=3.0)
    defects = Defects(dislocation=1.0) if kind == "dislocations" else Defects()
    source = Polyhedra(sampling=sampling, defects=defects)
    crystal, rho = source.crystal(seed, index), source.objects(seed, [index])[0].numpy()
    grid = crystal.grid
    G = scattering_vector(HKL, metal("Au").lattice_constant).numpy()
    lines = []
    for each in crystal.defects:
        if isinstance(each, Dislocation):
            point = (grid.rotation @ each.point.numpy() - grid.centre) / grid.voxel + np.array(rho.shape) // 2
            way = grid.rotation @ each.line.numpy() / grid.voxel
            turns = -float(G @ each.burgers.numpy()) / (2 * np.pi)
            lines.append((point, way / np.linalg.norm(way), turns))
    return Truth(rho, grid.voxel * 1e9, grid.rotation, *_facets(crystal.facets, grid.rotation), lines)


def _relaxed(index: int) -> Truth:
    with h5py.File(str(files("autophasenn") / "examples" / "crystals.h5")) as file:
        rho, seed = file["objects"][index], int(file.attrs["seed"])
        source = json.loads(file.attrs["provenance"])["source"]
    facets = clipped_block(generator_of(seed, index, Stream.CRYSTAL), source["edge"])
    voxel = np.full(3, 2e9 * source["lattice_constant_m"])
    return Truth(rho, voxel, np.eye(3), *_facets(facets, np.eye(3)), [])


def _facets(facets: Facets, rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normals on the axes of the voxels, and shares of the surface."""
    normals, distances, corners = facets.normals.numpy(), facets.distances.numpy(), vertices(facets).numpy()
    areas = []
    for normal, distance in zip(normals, distances, strict=True):
        on = corners[np.abs(corners @ normal - distance) < 1e-6 * distance]
        across = np.linalg.svd(normal[None])[2][1:]
        try:
            areas.append(ConvexHull(on @ across.T).volume if len(on) > 2 else 0.0)
        except QhullError:
            areas.append(0.0)
    return normals @ rotation.T, np.array(areas) / sum(areas)


def analysed(truth: Truth, blur: float) -> Analysis:
    """The blurred image, analysed."""
    rho = ndimage.gaussian_filter(truth.rho.real, blur) + 1j * ndimage.gaussian_filter(truth.rho.imag, blur)
    amplitude = np.abs(rho) / np.abs(rho).max()
    support = amplitude >= 0.3
    q = truth.rotation @ scattering_vector(HKL, metal("Au").lattice_constant).numpy()
    phase = np.where(support, np.angle(rho), np.nan).astype(np.float32)
    image = CrystalImage(
        amplitude.astype(np.float32), phase, support, voxel_size=tuple(truth.voxel * 1e-9), scattering_vector=q
    )
    detector = DetectorObject(rho, amplitude >= 0.1, np.diag(truth.voxel * 1e-9))
    return analyse(Subject(image, detector), AnalysisOptions(hkl=HKL, isosurface=None))


def row_of(kind: str, seed: int, index: int, blur: float) -> Row:
    """What is true and what was found."""
    truth = truth_of(kind, seed, index)
    began = time.process_time()
    found = analysed(truth, blur)
    seconds = time.process_time() - began
    return {
        "kind": kind,
        "index": index,
        "facets": _facets_compared(truth, found),
        "lines": _lines_compared(truth, found),
        "cpu_seconds": round(seconds, 2),
    }


def _facets_compared(truth: Truth, found: Analysis) -> Row:
    normals = np.array([facet.normal for facet in found.facets]).reshape(-1, 3)
    angles = np.degrees(np.arccos(np.clip(normals @ truth.normals.T, -1, 1)))
    large = truth.shares >= LARGE
    errors = [float(column.min()) if len(column) else 180.0 for column in angles[:, large].T]
    seen = [error for error in errors if error < NEAR_FACET]
    stray = [
        float(facet.share)
        for facet, row in zip(found.facets, angles[:, truth.shares > 0.002], strict=True)
        if row.min() > NEAR_FACET
    ]
    misoriented = None
    if found.orientation is not None:
        turned = found.orientation.matrix.T @ truth.rotation
        traces = np.trace(turned @ rotations_of_the_cube(), axis1=1, axis2=2)
        misoriented = float(np.degrees(np.arccos(np.clip((traces.max() - 1) / 2, -1, 1))))
    return {
        "true": int(large.sum()),
        "found": len(seen),
        "errors_deg": seen,
        "stray_shares": stray,
        "misoriented_deg": misoriented,
    }


def _lines_compared(truth: Truth, found: Analysis) -> Row:
    """Of each true line: how much lies well inside, how much of that a found line follows, how far off, which way round.

    Lines that meet may be joined the other way; so points are compared, not lines.
    """
    depth = ndimage.distance_transform_edt(np.pad(region_of(found.image.support), 1))[1:-1, 1:-1, 1:-1]
    centre = _centre(found, truth)
    points = [line.points / truth.voxel + centre for line in found.dislocations.lines]
    ways = [np.gradient(line, axis=0) for line in points]
    every, way_of = (np.concatenate(each) if each else np.zeros((0, 3)) for each in (points, ways))
    explained = np.zeros(len(every), bool)
    rows = []
    for point, way, turns in truth.lines:
        along = point + np.arange(-40, 40, 0.1)[:, None] * way
        places = np.round(along).astype(int)
        valid = ((places >= 0) & (places < np.array(depth.shape))).all(axis=1)
        along = along[valid][depth[tuple(places[valid].T)] > DEEP]
        away = every - point
        off = np.linalg.norm(away - np.outer(away @ way, way), axis=1)
        near = off < NEAR_LINE
        explained |= near
        followed = 0.0
        if near.any() and len(along):
            followed = float((cKDTree(every[near]).query(along)[0] < NEAR_LINE).mean())
        is_found = followed >= 0.5
        rows.append(
            {
                "length": 0.1 * len(along),
                "followed": followed,
                "distance": float(np.median(off[near])) if is_found else None,
                "is_sign_right": bool(np.sign((way_of[near] @ way).sum()) == np.sign(turns)) if is_found else None,
            }
        )
    owner = np.repeat(np.arange(len(points)), [len(each) for each in points]) if points else np.zeros(0, int)
    stray = [i for i in range(len(points)) if not explained[owner == i].any()]
    return {"true": rows, "stray": [float(found.dislocations.lines[i].length.value or 0) for i in stray]}


def _centre(found: Analysis, truth: Truth) -> np.ndarray:
    """Index of the origin of the lines: the crystal's centre of mass, as `find_dislocations` takes it."""
    support = found.image.support
    weight = found.image.amplitude[support].astype(float)
    return np.asarray(weight @ np.argwhere(support) / weight.sum())


def tables(rows: Sequence[Row]) -> list[Table]:
    """Facets and lines by kind."""
    facets = Table("crystals", "facets of 3 % and more", "found", "normals within 2°", "median error", "largest error",
                   "strays", "orientation within 3°", title="Facets")  # fmt: skip
    lines = Table("crystals", "true lines", "found", "sign right", "median distance", "largest", "strays",
                  title="Dislocations of which 4 voxels and more lie 1.5 voxels below the surface")  # fmt: skip
    for kind in dict(KINDS):
        some = [row for row in rows if row["kind"] == kind]
        if not some:
            continue
        found = [row["facets"] for row in some]
        errors = np.array([error for each in found for error in each["errors_deg"]])
        oriented = [each["misoriented_deg"] for each in found]
        facets.add_row(
            f"{len(some)} {kind}",
            str(sum(each["true"] for each in found)),
            str(sum(each["found"] for each in found)),
            str(int((errors < 2).sum())),
            f"{np.median(errors):.2f}°",
            f"{errors.max():.1f}°",
            str(sum(len(each["stray_shares"]) for each in found)),
            f"{sum(angle is not None and angle < 3 for angle in oriented)} of {len(oriented)}",
        )
        true = [line for row in some for line in row["lines"]["true"] if line["length"] >= LONG]
        seen = [line for line in true if line["distance"] is not None]
        distances = [line["distance"] for line in seen]
        lines.add_row(
            f"{len(some)} {kind}",
            str(len(true)),
            str(len(seen)),
            str(sum(line["is_sign_right"] for line in seen)),
            f"{np.median(distances):.2f}" if distances else "",
            f"{max(distances):.2f}" if distances else "",
            str(sum(len(row["lines"]["stray"]) for row in some)),
        )
    return [facets, lines]


def speed(folder: Path, seed: int, blur: float) -> str:
    """Time and memory of the first polyhedron on voxels of a quarter of the edge, analysed and written with its figures."""
    truth = truth_of("polyhedra", seed, 0)
    fine = ndimage.zoom(truth.rho.real, FINER, order=1) + 1j * ndimage.zoom(truth.rho.imag, FINER, order=1)
    truth = replace(truth, rho=fine, voxel=truth.voxel / FINER)
    began = time.process_time()
    found = analysed(truth, FINER * blur)
    between = time.process_time()
    save(found, folder / "speed", overwrite=True)
    ended = time.process_time()
    return (
        f"{fine.size} voxels, {int(found.image.support.sum())} inside: analysed {between - began:.1f} s of CPU, files and "
        f"figures {ended - between:.1f} s, peak memory {(peak_memory() or 0) / 2**30:.2f} GiB"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Analyse what has not been, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=2611)
    parser.add_argument("--blur", type=float, default=0.6)
    parser.add_argument("--speed", action="store_true")
    asked = parser.parse_args(words)
    asked.output.mkdir(parents=True, exist_ok=True)
    if asked.speed:
        print(speed(asked.output, asked.seed, asked.blur))
        return
    path = asked.output / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(row["kind"], row["index"]) for row in rows}
    with path.open("a") as file:
        for kind, count in KINDS:
            for index in range(count):
                if (kind, index) in done:
                    continue
                rows.append(row_of(kind, asked.seed, index, asked.blur))
                file.write(json.dumps(rows[-1]) + "\n")
                file.flush()
                print(f"{kind} {index}: {rows[-1]['cpu_seconds']} s", file=sys.stderr, flush=True)
    console = Console(width=150)
    for table in tables(rows):
        console.print(table)


if __name__ == "__main__":
    main()
