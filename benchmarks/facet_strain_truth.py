"""How far the mean strain below facets is off, beside the uncertainty that is said of it, on crystals of known truth.

python benchmarks/facet_strain_truth.py -o FOLDER [--crystals 12] [--seed 9500] [--photons 5e6]

Each crystal (`drifting_series`: some 180 nm of facets, 64 frames of 64 x 64 pixels) is reconstructed from its counts alone,
by the default plan. Its facets are those that a perfect reconstruction shows, analysed alike. FOLDER gets rows.jsonl, a line
for each crystal as soon as it is done; the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from drifting_series import Step, write_series

import autophasenn as ap
from autophasenn.analysis.facet_series import SeenFacet, as_placed, matched, seen_facets
from autophasenn.analysis.inside import CELL, depth_of
from autophasenn.analysis.surface import surface_of
from autophasenn.campaign.measured import measured
from autophasenn.image import CrystalImage
from autophasenn.report.surface import ISOVALUE

STEEP = (0.0, 0.2, 0.5, 0.8, 1.0)
"""Bounds of abs(normal . Q) between which facets are told apart."""

Row = dict[str, Any]


def pairs_of(truth: CrystalImage, found: Sequence[SeenFacet]) -> tuple[int, list[tuple[SeenFacet, SeenFacet]]]:
    """How many facets the truth has, and those that were found, each with its true one, whichever twin the image is."""
    known = seen_facets(truth, surface_of(truth, ISOVALUE), depth_of(truth), 1.0, CELL**3)
    tried = [[as_placed(each, (0.0, 0.0, 0.0), is_twin=is_twin) for each in found] for is_twin in (False, True)]
    best = max((matched(known, each) for each in tried), key=len)
    return len(known), [(known[true], found[index]) for true, index in best.items()]


def row_of(folder: Path, crystal: int, strength: float, photons: float) -> Row:
    """A crystal reconstructed, and its facets beside the true ones."""
    scan = folder / f"crystal_{crystal}.h5"
    truth = write_series(scan, [Step(1, 300.0, 0.0, strength, crystal, photons)], seed=crystal)[1]
    result = ap.reconstruct(ap.load(scan, beamline="id01", scan=1))
    scan.unlink()
    found = measured(result.image, result.report, dict(result.source)).facets
    count, pairs = pairs_of(truth, found)
    along = truth.q_direction
    assert along is not None
    rows = [
        [abs(float(np.dot(true.normal, along))), other.strain - true.strain, other.strain_error]
        for true, other in pairs
        if true.strain is not None and other.strain is not None
    ]
    return {"crystal": crystal, "status": result.report.status, "true": count, "facets": rows}


def table(rows: Sequence[Row]) -> str:
    """By how steeply Q stands on the facet."""
    facets = np.array([each for row in rows for each in row["facets"]])
    lines = ["| abs(cos) of normal and Q | facets | off, 1e-4 (rms) | said, 1e-4 (rms) | off / said (rms) | beyond 2 |"]
    lines.append("|---|---|---|---|---|---|")
    ends = [*itertools.pairwise(STEEP), (0.0, 1.0)]
    for low, high in ends:
        cosine, off, said = facets[(facets[:, 0] >= low) & (facets[:, 0] <= high)].T
        pull = off / said
        rms = [float(np.sqrt(np.square(each).mean())) for each in (1e4 * off, 1e4 * said, pull)]
        name = "all" if (low, high) == (0.0, 1.0) else f"{low:g} to {high:g}"
        beyond = 100 * float((np.abs(pull) > 2).mean())
        lines.append(f"| {name} | {len(cosine)} | {rms[0]:.2f} | {rms[1]:.2f} | {rms[2]:.2f} | {beyond:.0f} % |")
    found, true = len(facets), sum(row["true"] for row in rows)
    return "\n".join([f"{len(rows)} crystals, {found} of {true} facets found", *lines])


def main(words: Sequence[str] | None = None) -> None:
    """Reconstruct what has not been, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--crystals", type=int, default=12)
    parser.add_argument("--seed", type=int, default=9500)
    parser.add_argument("--photons", type=float, default=5e6)
    asked = parser.parse_args(words)
    asked.output.mkdir(parents=True, exist_ok=True)
    path = asked.output / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {row["crystal"] for row in rows}
    with path.open("a") as file:
        for number, strength in enumerate(np.linspace(0.4, 1.6, asked.crystals).tolist()):
            crystal = asked.seed + number
            if crystal in done:
                continue
            rows.append(row_of(asked.output, crystal, strength, asked.photons))
            file.write(json.dumps(rows[-1]) + "\n")
            file.flush()
            print(f"crystal {crystal}: {rows[-1]['status']}", file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
