"""What the last step of the refinement, an even inside, makes of images: the metrics before and after.

    autophasenn benchmark-set -o results/even_4343 --sets relaxed,dim,domains,screw,beamline --number 8 --seed 4343
    python benchmarks/even_inside.py results/even_4343
    python benchmarks/even_inside.py results/even_4343 --weight 3 --unmoved

Each crystal is predicted and refined without orientations, random starts and the search for an even density. `--unmoved`
leaves the image between its voxels as it lies.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from autophasenn.evaluation.leaderboard import sets_of
from autophasenn.evaluation.scores import scores_of
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.inversion.options import Inversion
from autophasenn.inversion.prediction import load_predictor, predict_all
from autophasenn.phasing import evenness
from autophasenn.phasing.evenness import Evenness, evened
from autophasenn.phasing.held_out import HeldOut
from autophasenn.phasing.refinement import refine
from autophasenn.volumes import Pattern

NAMES = ("ssim", "correlation", "phase_mae")


def main() -> None:
    """Print a line a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+", help="Dataset files, or folders of benchmark sets.")
    parser.add_argument("--weight", type=float, default=Evenness().weight)
    parser.add_argument("--wall", type=float, default=Evenness().wall)
    parser.add_argument("--unmoved", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    options, predictor, how = Inversion(), load_predictor(), Evenness(weight=given.weight, wall=given.wall)
    if given.unmoved:
        evenness.placement = lambda *_: (0.0, 0.0, 0.0)
    for path in given.sets:
        for name, file in sets_of([path]).items():
            rows, seconds, kept, partial = [], [], 0, 0
            with DatasetFile(file) as dataset:
                for index in range(len(dataset)):
                    counts, mask, truth = (
                        each([index])[0] for each in (dataset.patterns, dataset.masks, dataset.objects)
                    )
                    inside = HeldOut.of(Pattern(counts, mask), options.free_fraction, index)
                    began = time.process_time()
                    run = refine(inside, predict_all(inside, predictor, options.prediction, seed=index)[0][0]).best
                    between = time.process_time()
                    tried = evened(inside, run, how, options.refinement.polish_support)
                    even = None if tried is None else tried.image
                    seconds.append((between - began, time.process_time() - between))
                    kept, partial = kept + (even is not None), partial + (run.kernel is not None)
                    rows.append([])
                    for found in (run, even or run):
                        numbers = scores_of(found.object[0], counts, mask, truth, found.kernel).numbers
                        rows[-1].append([*(numbers[each] for each in NAMES), inside.score(found)])
            before, after = np.array(rows, float).mean(0)
            change = np.array(rows, float)[:, 1] - np.array(rows, float)[:, 0]
            words = ", ".join(
                f"{each} {a:.5f} -> {b:.5f}" for each, a, b in zip((*NAMES, "chi2_free"), before, after, strict=True)
            )
            print(
                f"{path.name} {name}: {len(rows)} crystals, {partial} with a kernel, {kept} kept; {words}; "
                f"{(change[:, 0] < -0.001).sum()} lost SSIM, {(change[:, 1] < -0.0003).sum()} correlation; "
                f"{np.mean(seconds, 0)[0]:.2f} s and {np.mean(seconds, 0)[1]:.2f} s more",
                flush=True,
            )


if __name__ == "__main__":
    main()
