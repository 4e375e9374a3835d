"""Does a network that learns on during a beamtime see better? A beamtime of 60 scans, with and without `watch --learn`.

python benchmarks/learning_beamtime.py -o FOLDER [--scans 60] [--every 4] [--seed 3] [--minutes 60]
python benchmarks/learning_beamtime.py -o FOLDER --draw docs/figures/learning_beamtime.png

Scan after scan (`drifting_beamtime`) the network's own prediction is compared with the truth, once by the weights of the
package and once by those learned so far, before anything is learned from the scan. Then it is refined as the watcher does;
where its confidence is high it is remembered, and after every few scans there is one round of `inversion.learning`, what the
watcher's process does in idle time. FOLDER gets rows.jsonl, a line for each scan, and the weights; the same command goes on
where it was ended or its minutes were over.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drifting_beamtime import Measured, scan

from autophasenn.inversion.grounds import misfit_of, verdict_on
from autophasenn.inversion.learning import Learning, learn_from
from autophasenn.inversion.methods import MethodName, invert
from autophasenn.inversion.prediction import Boxed, in_network_box, load_predictor, predict
from autophasenn.inversion.verdict import BELIEVABLE
from autophasenn.network import weights
from autophasenn.network.predict import Predictor
from autophasenn.phasing.held_out import HeldOut
from autophasenn.physics import metrics
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.training.beam_loss import held_out_misfits
from autophasenn.volumes import PATTERN, crop_or_pad

Row = dict[str, Any]
LEARNING = Learning()
DRAWS = 2
"""Starts of the network for the chi2_free of a scan."""
ARMS = ("package", "learned")
WINDOW = 15
"""Scans of a line of the table."""


class Beamtime:
    """As far as it got.

    Parameters
    ----------
    folder : Path
    seed, scans, every : int
        Of the crystals; how many there are; after how many of them there is a round.
    """

    def __init__(self, folder: Path, seed: int, scans: int, every: int) -> None:
        self.folder, self.seed, self.scans, self.every = folder, seed, scans, every
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "rows.jsonl"
        self.rows: list[Row] = [json.loads(line) for line in kept.read_text().splitlines()] if kept.is_file() else []
        self.package = load_predictor()
        self.learned, self.number = self.package, 0
        if self.rows and self.rows[-1]["weights"]:
            self.number = self.rows[-1]["weights"]
            self._take(weights.load(self._file(self.number))[0])
        believed = [row["scan"] for row in self.rows if row["confidence"] >= BELIEVABLE]
        self.believed, newest = len(believed), believed[-LEARNING.remembered :]
        self.remembered: list[HeldOut] = [self._boxed(scan(seed, number, scans))[0].inside for number in newest[::-1]]

    def _file(self, number: int) -> Path:
        return self.folder / f"weights-{number:04d}.safetensors"

    def _take(self, network: Any) -> None:
        self.learned = Predictor(network, self.package.inference)

    def _boxed(self, measured: Measured) -> tuple[Boxed, tuple[float, float, float]]:
        pattern = measured.pattern
        oversampling = estimate_oversampling(pattern.counts.numpy(), pattern.mask.numpy())
        return in_network_box(pattern, oversampling, seed=0), oversampling

    def run(self, minutes: float) -> None:
        """Scan after scan, until the minutes are over."""
        until = time.monotonic() + 60 * minutes
        for number in range(len(self.rows), self.scans):
            if time.monotonic() > until:
                return
            row = self._next(number)
            self.rows.append(row)
            with (self.folder / "rows.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)

    def _next(self, number: int) -> Row:
        began = time.process_time()
        measured = scan(self.seed, number, self.scans)
        boxed, oversampling = self._boxed(measured)
        truth = crop_or_pad(measured.truth, PATTERN)
        row: Row = {"scan": number}
        for arm, predictor in zip(ARMS, (self.package, self.learned), strict=True):
            if arm == "learned" and predictor is self.package:
                row |= {f"{name}_learned": row[f"{name}_package"] for name in ("correlation", "chi2_free")}
                continue
            found = boxed.on_grid(predict(boxed, predictor, seed=number).best).object[0]
            row[f"correlation_{arm}"] = metrics.correlation(truth, metrics.thresholded(found))
            (row[f"chi2_free_{arm}"],) = held_out_misfits(predictor.network, [boxed.inside], DRAWS, number)
        refined = invert(measured.pattern, oversampling, MethodName.refined, predictor=self.learned, seed=0)
        verdict = verdict_on(refined, MethodName.refined, misfit_of(refined.reconstruction, measured.pattern))
        row["confidence"] = verdict.probability or 0.0
        row["correlation_refined"] = metrics.correlation(truth, metrics.thresholded(refined.reconstruction.object))
        if row["confidence"] >= BELIEVABLE:
            self.believed += 1
            self.remembered = [boxed.inside, *self.remembered][: LEARNING.remembered]
        if (number + 1) % self.every == 0 and len(self.remembered) >= LEARNING.least:
            row["round"] = self._round(number // self.every)
        row |= {"weights": self.number, "cpu_seconds": round(time.process_time() - began, 1)}
        return row

    def _round(self, number: int) -> Row:
        places = [self.believed - 1 - age for age in range(len(self.remembered))]
        found = learn_from(
            self.learned.network,
            self.remembered,
            LEARNING,
            number=number,
            places=places,
            beginning=self.package.network if self.number else None,
        )
        if found.is_kept:
            self.number += 1
            self._take(found.network)
            weights.save(found.network, found.facts(), self._file(self.number), torch.float32)
        return {"kept": found.is_kept, "shares": list(found.shares), "said": found.sentence}


def values(rows: Sequence[Row], name: str) -> np.ndarray:
    """A number of every scan."""
    return np.array([row[name] for row in rows], float)


def table(rows: Sequence[Row]) -> str:
    """The network alone, by parts of the beamtime: package -> learned."""
    lines = [
        "| scans | believed when refined | correlation, median | chi2_free, geometric mean | scans with a lower chi2_free |",
        "|---|---|---|---|---|",
    ]
    parts = [rows[first : first + WINDOW] for first in range(0, len(rows), WINDOW)]
    for part in parts:
        correlation = [np.median(values(part, f"correlation_{arm}")) for arm in ARMS]
        chi2 = [np.exp(np.log(values(part, f"chi2_free_{arm}")).mean()) for arm in ARMS]
        share = values(part, "chi2_free_learned") / values(part, "chi2_free_package")
        believed = sum(row["confidence"] >= BELIEVABLE for row in part)
        lines.append(
            f"| {part[0]['scan'] + 1} to {part[-1]['scan'] + 1} | {believed} of {len(part)} "
            f"| {correlation[0]:.3f} -> {correlation[1]:.3f} | {chi2[0]:.4f} -> {chi2[1]:.4f} "
            f"| {sum(share < 1)}, highest {share.max():.2f} times |"
        )
    rounds = [row["round"] for row in rows if "round" in row]
    return "\n".join([*lines, "", f"{sum(each['kept'] for each in rounds)} of {len(rounds)} rounds kept"])


def draw(rows: Sequence[Row], path: Path) -> None:
    """The two numbers over the scans."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    number = values(rows, "scan") + 1
    for arm, colour in zip(ARMS, ("0.55", "tab:blue"), strict=True):
        above.plot(number, values(rows, f"correlation_{arm}"), "o-", ms=3, lw=1, color=colour, label=arm)
        below.semilogy(number, values(rows, f"chi2_free_{arm}"), "o-", ms=3, lw=1, color=colour)
    for row in rows:
        if row.get("round", {}).get("kept"):
            for axes in (above, below):
                axes.axvline(row["scan"] + 1.5, color="tab:blue", lw=0.5, alpha=0.4)
    above.set_ylabel("correlation with the truth")
    below.set_ylabel("χ² of held-out voxels")
    below.set_xlabel("scan; new weights at the lines")
    above.legend(title="the network alone, weights", frameon=False)
    figure.savefig(path, dpi=110)


def main(words: Sequence[str] | None = None) -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--draw", type=Path)
    asked = parser.parse_args(words)
    torch.set_num_threads(1)
    beamtime = Beamtime(asked.output, asked.seed, asked.scans, asked.every)
    if asked.draw is None:
        beamtime.run(asked.minutes)
    else:
        draw(beamtime.rows, asked.draw)
    print(table(beamtime.rows))


if __name__ == "__main__":
    main()
