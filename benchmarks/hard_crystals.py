"""Hard crystals by the product's path, with and without the search for an even density, or the deblurring of the pattern.

python benchmarks/hard_crystals.py -o FOLDER [--recipes strain-2-4 strain-4-8] [--number 8] [--seed 5151]
                                   [--without deblurring] [--alone]

Every crystal is simulated by the recipe of its name, and inverted by `--method refined` with the default plan and with
`even_density: null` or `deblurring: null`. With `--alone` neither has other orientations, random starts or the search, and
no confidence. The folder gets rows.jsonl, a line for each inversion as soon as it is done; the same command goes on
where it was interrupted. Where the first inversion did not do what the second leaves out, the second is not made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from confidence_cases import Sample

from autophasenn.experiment.experiment import simulate
from autophasenn.experiment.recipes import RECIPES, recipe
from autophasenn.inversion.deblurring import DEBLURRED
from autophasenn.inversion.grounds import misfit_of, verdict_on
from autophasenn.inversion.methods import Inversion, MethodName, invert
from autophasenn.inversion.prediction import load_predictor
from autophasenn.network.predict import Predictor
from autophasenn.physics import metrics
from autophasenn.physics.metrics import GOOD
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.volumes import PATTERN, Pattern, crop_or_pad

Row = dict[str, Any]


def sample_of(name: str, seed: int, index: int) -> Sample:
    """A crystal of a recipe, and its pattern."""
    samples = simulate(*recipe("polyhedra", name), seed, [index])
    return Sample(samples.counts[0], samples.masks[0], crop_or_pad(samples.objects[0], PATTERN))


def row_of(sample: Sample, predictor: Predictor, plan: Inversion, seed: int) -> Row:
    """Correlation with the truth, what the inversion says of itself, and its seconds."""
    pattern = Pattern(sample.counts, sample.measured)
    oversampling = estimate_oversampling(sample.counts.numpy(), sample.measured.numpy())
    began, cpu = time.perf_counter(), time.process_time()
    found = invert(pattern, oversampling, MethodName.refined, plan, predictor=predictor, seed=seed)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    path = found.path or {}
    return {
        "correlation": metrics.correlation(sample.truth, metrics.thresholded(found.reconstruction.object)),
        "chi2_free": found.reconstruction.free_error,
        "confidence": verdict_on(found, MethodName.refined, misfit_of(found.reconstruction, pattern)).probability,
        "image_from": path.get("image_from"),
        "even_density": path.get("even_density"),
        "deblurred": any(step["name"] == DEBLURRED for step in path["iterations"]),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
    }


def measure(
    folder: Path, recipes: Sequence[str], number: int, seed: int, *, without: str = "even_density", alone: bool = False
) -> list[Row]:
    """All rows, those that the folder already has included."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "rows.jsonl"
    rows: list[Row] = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
    predictor = load_predictor()
    plan = Inversion()
    if alone:
        plan = replace(plan, even_density=None, confidence=replace(plan.confidence, number=0))
    left_out: dict[str, Any] = {without: None}
    plans = {"with": plan, "without": replace(plan, **left_out)}
    for index in range(number):
        for name in recipes:
            for kind, plan in plans.items():
                place = {
                    "recipe": name,
                    "seed": seed,
                    "index": index,
                    "plan": kind,
                    "left_out": without,
                    "alone": alone,
                }
                if any(place.items() <= row.items() for row in rows):
                    continue
                other = next((r for r in rows if (place | {"plan": "with"}).items() <= r.items()), None)
                # Of an image from another orientation it is not known whether the first was deblurred.
                is_told = alone or without == "even_density"
                did = other is not None and other["even_density" if without == "even_density" else "deblurred"]
                if kind == "without" and other is not None and is_told and not did:
                    row = other | place
                else:
                    row = place | row_of(sample_of(name, seed, index), predictor, plan, index)
                rows.append(row)
                with kept.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    return rows


def table(rows: Sequence[Row]) -> str:
    """How many were found, by recipe and plan, and the mean seconds of the processor."""
    lines = [
        "| recipe | plan | crystals | correlation >= 0.95 | mean correlation | searched | kept | mean confidence | CPU s |"
    ]
    lines.append("|---" * 9 + "|")
    for name in dict.fromkeys(row["recipe"] for row in rows):
        for kind in ("without", "with"):
            group = [row for row in rows if row["recipe"] == name and row["plan"] == kind]
            if not group:
                continue
            searched = [row["even_density"] for row in group if row["even_density"] is not None]
            confidence = [row["confidence"] for row in group if row["confidence"] is not None]
            told = f"{sum(confidence) / len(confidence):.2f}" if confidence else "unknown"

            def mean(key: str, group: Sequence[Row] = group) -> float:
                return sum(row[key] for row in group) / len(group)

            good = sum(row["correlation"] >= GOOD for row in group)
            lines.append(
                f"| {name} | {kind} | {len(group)} | {good} | {mean('correlation'):.3f} | {len(searched)} | "
                f"{sum(each['kept'] for each in searched)} | {told} | {mean('cpu_seconds'):.0f} |"
            )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="hard_crystals", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the rows")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=["strain-2-4", "strain-4-8"])
    parser.add_argument("--number", type=int, default=8, help="crystals of each recipe")
    parser.add_argument("--seed", type=int, default=5151)
    parser.add_argument("--without", choices=["even_density", "deblurring"], default="even_density")
    parser.add_argument("--alone", action="store_true", help="no other orientations, random starts and searches")
    options = parser.parse_args(arguments)
    rows = measure(
        options.output, options.recipes, options.number, options.seed, without=options.without, alone=options.alone
    )
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
