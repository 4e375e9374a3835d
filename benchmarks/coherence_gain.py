"""What the first coherence kernel of an object says of the rounds with one: chi2_free with both, over that without.

    python benchmarks/coherence_gain.py --seed 6161 --patterns 16

Simulated patterns of the beamline recipe, those that the first search does not explain to their noise. The rounds are kept
where they bring chi2_free below 0.95; `refinement.HOPELESS` says from which first value on they are not made.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from confidence_cases import CASES

from autophasenn.inversion.options import Inversion
from autophasenn.inversion.prediction import load_predictor, predict_all
from autophasenn.phasing import refinement
from autophasenn.phasing.held_out import COHERENCE_GAIN, HeldOut
from autophasenn.phasing.refinement import refine
from autophasenn.volumes import Pattern


def main() -> None:
    """Print a line a pattern, and how many rounds would be left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", default="beamline", choices=sorted(CASES))
    parser.add_argument("--seed", type=int, default=6161)
    parser.add_argument("--patterns", type=int, default=16)
    given = parser.parse_args()
    options, predictor = Inversion(), load_predictor()
    searched = replace(options.refinement, longer_search=None, likelihood=None)
    with_kernel = replace(searched, enough=0.0)
    hopeless, refinement.HOPELESS = refinement.HOPELESS, float("inf")
    found: list[tuple[float, float]] = []
    for index in range(given.patterns):
        sample = CASES[given.case](given.seed, index)
        inside = HeldOut.of(Pattern(sample.counts, sample.measured), options.free_fraction, index)
        start = predict_all(inside, predictor, options.prediction, seed=index)[0][0]
        run = refine(inside, start, searched, partially_coherent=False).last
        if inside.misfit(run).ratio <= options.refinement.enough:
            continue
        seen = replace(run, kernel=options.refinement.coherence.kernel(inside, run))
        rounds = refine(inside, start, with_kernel).last
        found.append((inside.score(seen) / inside.score(run), inside.score(rounds) / inside.score(run)))
        print(f"{given.case} {index}: with the first kernel {found[-1][0]:.3f}, after the rounds {found[-1][1]:.3f}")
    kept = [first for first, after in found if after < COHERENCE_GAIN]
    left_out = [after for first, after in found if first >= hopeless]
    print(
        f"{len(found)} patterns; rounds kept: {len(kept)}, where the first value is {max(kept, default=0):.3f} at most"
    )
    print(f"left out at {hopeless:g}: {len(left_out)}, of these kept else: {sum(x < COHERENCE_GAIN for x in left_out)}")


if __name__ == "__main__":
    main()
