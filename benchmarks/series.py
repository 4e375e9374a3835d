"""A campaign on simulated scans of a heated crystal, killed and resumed, and its numbers against the truth.

python benchmarks/series.py -o FOLDER [--count 24] [--seed 7] [--photons 5e6] [--workers 2] [--kill-at 8]
python benchmarks/series.py -o FOLDER --overlaps

The first form writes the scans (`drifting_series`), begins ``autophasenn reconstruct ... --scans 1-24`` as a process of its
own, kills it (SIGKILL) when so many scans are done, begins it again, and prints a table of what was found beside what is
true. The second tells how much the images of one crystal overlap, and how much those of different ones, from which
`analysis.series.SAME_CRYSTAL` was chosen.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from drifting_series import heating, write_series
from facet_strain_truth import pairs_of

from autophasenn.analysis.series import place
from autophasenn.campaign.series import Series
from autophasenn.campaign.table import Row
from autophasenn.files.cxi_image import read_image
from autophasenn.image import CrystalImage
from autophasenn.live.ledger import FILE, Ledger
from autophasenn.machine import PROGRAM
from autophasenn.pipeline.postprocess import statistics

OTHERS = 8
"""Crystals that are compared with one another."""
SWITCHES = ["--no-figures"]


def main(words: Sequence[str] | None = None) -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--photons", type=float, default=5e6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-at", type=int, default=8)
    parser.add_argument("--overlaps", action="store_true")
    asked = parser.parse_args(words)
    asked.output.mkdir(parents=True, exist_ok=True)
    if asked.overlaps:
        overlaps(asked.output, asked.seed, asked.workers)
    else:
        drift(asked.output, asked.count, asked.seed, asked.photons, asked.workers, asked.kill_at)


def drift(folder: Path, count: int, seed: int, photons: float, workers: int, kill_at: int) -> None:
    """The series of one crystal."""
    steps = heating(count, photons)
    truth = write_series(folder / "heated.h5", steps, seed=seed)
    command = [
        *("reconstruct", str(folder / "heated.h5"), "--beamline", "id01", "--scans", f"1-{count}"),
        *("-o", str(folder / "campaign"), "--workers", str(workers), *SWITCHES),
    ]
    done = killed(command, folder / "campaign", kill_at)
    before = made_at(folder / "campaign")
    began = time.monotonic()
    run(command).wait()
    print(f"killed when {done} scans were done; resumed, {time.monotonic() - began:.0f} s")
    now = made_at(folder / "campaign")
    print(f"{len(now)} results, {sum(now[key] == at for key, at in before.items())} of {len(before)} not done again")
    series = Series.load(folder / "campaign")
    print(*series.notes, sep="\n")
    rows = {row.number: row for row in series.rows}
    first = steps[0].expansion
    print("| scan | K | change of d, 1e-4: true | found | off / error | strain rms, 1e-4: true | found | off / error |")
    print("|---|---|---|---|---|---|---|---|")
    pulls = []
    for step in steps:
        row = rows[step.number]
        true = (1 - first) / (1 - step.expansion) - 1  # an expansion e of the phase -G.u moves the peak to Q (1 - e)
        strain = statistics(truth[step.number])["strain"]["std"]
        found = [row.values.get(name, np.nan) for name in ("d_change", "strain_rms")]
        errors = [row.errors.get(name, np.nan) for name in ("d_change", "strain_rms")]
        off = [(f - t) / e if e > 0 else 0.0 for f, t, e in zip(found, (true, strain), errors, strict=True)]
        pulls.append(off)
        print(
            f"| {step.number} | {step.temperature_k:.0f} | {1e4 * true:.3f} | {1e4 * found[0]:.3f} ± {1e4 * errors[0]:.3f} "
            f"| {off[0]:+.1f} | {1e4 * strain:.2f} | {1e4 * found[1]:.2f} ± {1e4 * errors[1]:.2f} | {off[1]:+.1f} |"
        )
    table = np.array(pulls)
    spread = np.sqrt((table[1:] ** 2).mean(axis=0))
    print(f"rms of off / error: d {spread[0]:.2f}, strain {spread[1]:.2f}")
    facets(rows, truth)
    kelvin = [step.temperature_k for step in steps]
    change = (
        [(1 - first) / (1 - step.expansion) - 1 for step in steps],
        [rows[step.number].values["d_change"] for step in steps],
    )
    slopes = [np.polyfit(kelvin, each, 1)[0] for each in change]
    print(f"slope of the change of d: true {slopes[0]:.4e} / K, found {slopes[1]:.4e} / K")


def facets(rows: Mapping[int | None, Row], truth: Mapping[int, CrystalImage]) -> None:
    """Say how far the mean strain below facets is off, and how many facets were found."""
    off, errors, of_truth = list[float](), list[float](), 0
    for number, image in truth.items():
        count, pairs = pairs_of(image, rows[number].facets)
        of_truth += count
        for one, other in pairs:
            if None not in (one.strain, other.strain, other.strain_error):
                off.append(float(other.strain) - float(one.strain))  # type: ignore[arg-type]
                errors.append(float(other.strain_error))  # type: ignore[arg-type]
    rms, claimed = (1e4 * np.sqrt(np.square(each).mean()) for each in (off, errors))
    pull = np.sqrt(np.square(np.divide(off, errors)).mean())
    print(f"strain of facets: {len(off)} of {of_truth} found, off by {rms:.3f}e-4 rms, said {claimed:.3f}e-4,", end=" ")
    print(f"rms of off / error {pull:.2f}")


def killed(command: Sequence[str], folder: Path, at: int) -> int:
    """Begin a campaign and kill it once so many scans are done; how many were."""
    process = run(command)
    done = 0
    while process.poll() is None and done < at:
        time.sleep(0.2)
        if (folder / FILE).is_file():
            with Ledger.open(folder) as ledger:
                done = ledger.count(["refined"])
    process.send_signal(signal.SIGKILL)
    process.wait()
    return done


def run(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """``autophasenn`` with these words."""
    words = [sys.executable, "-c", PROGRAM, *command]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL)


def made_at(folder: Path) -> dict[str, int]:
    """When each result was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/report.json")}


def overlaps(folder: Path, seed: int, workers: int) -> None:
    """Images of one crystal at different strain and counts, and images of different ones."""
    same = [
        replace(step, number=number, photons=photons)
        for number, (step, photons) in enumerate(
            ((step, photons) for photons in (5e6, 2e5) for step in heating(OTHERS)[::2]), 1
        )
    ]
    others = [replace(same[0], number=20 + i, crystal=100 * seed + i) for i in range(OTHERS)]
    write_series(folder / "overlaps.h5", [*same, *others], seed=seed)
    numbers = ",".join(str(step.number) for step in (*same, *others))
    words = ["reconstruct", str(folder / "overlaps.h5"), "--beamline", "id01", "--scans", numbers]
    run([*words, "-o", str(folder / "overlaps"), "--workers", str(workers), *SWITCHES]).wait()
    series = Series.load(folder / "overlaps", aligned=False)
    images = {row.number: read_image(row.result / "result.cxi") for row in series.rows if row.result and row.is_good}
    found: dict[str, list[float]] = {"one crystal": [], "different crystals": []}
    for number, image in images.items():
        for other, onto in images.items():
            if number < other:
                is_same = other < 20
                if is_same or number >= 20:
                    placed = place([onto, image])[1]
                    found["one crystal" if is_same else "different crystals"].append(placed.alike)
    for name, values in found.items():
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        print(f"{name}: {len(values)} pairs, overlap {low:.3f} to {high:.3f}, median {middle:.3f}")
    (folder / "overlaps.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
