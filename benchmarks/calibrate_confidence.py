"""Fit the confidence to simulated crystals, and see how well it holds on others.

python benchmarks/calibrate_confidence.py FOLDER [--weights FILE | --untrained] [--dataset CRYSTALS.h5]

The folder gets rows.json (every sample: correlation with the truth, evidence, warnings), confidence.json (the
calibrations, to be put beside the weights of the package), scores.json and the reliability diagrams. Interrupted, the
same command goes on.
The truth is used to calibrate and to test, and never reaches the network.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from confidence_cases import CASES, ORDINARY, Sample
from numpy.typing import NDArray
from scipy.optimize import minimize

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.stored import sha256_of
from autophasenn.files.writing import make_folder, write_atomically
from autophasenn.inversion.confidence import LEAST_DISCORD, Calibration, Evidence, confidence_of
from autophasenn.inversion.methods import Inversion, MethodName
from autophasenn.inversion.orientations import by_network, by_retrieval, invert_from_all_sides
from autophasenn.inversion.prediction import load_predictor
from autophasenn.inversion.verdict import Grounds, judge
from autophasenn.network.architectures import build
from autophasenn.network.predict import Predictor, weights_file
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.held_out import HeldOut
from autophasenn.physics import metrics
from autophasenn.physics.metrics import GOOD
from autophasenn.report.confidence import EDGES, reliability
from autophasenn.report.style import save
from autophasenn.volumes import PATTERN, Pattern, crop_or_pad

RELAXED = "relaxed atoms"
"""The case of a dataset file."""
KINDS = (MethodName.refined, MethodName.network)
"""Refined images, and predictions as they are: each has its calibration."""
WEAKENING = 1e-3
"""Of the squared slopes in what is minimised: keeps them finite where the cases can be told apart without error."""
ANCHORS = tuple(
    Evidence(LEAST_DISCORD, unexplained, misfit)
    for unexplained, misfit in itertools.product((0.1, 0.2, 0.4), (3.0, 10.0, 30.0))
)
"""What no sample shows, counted as wrong: all images alike, and a tenth or more of the pattern unexplained beyond noise.
Without them the fit takes agreement for more than it is, out there (no good sample leaves more than 0.06 unexplained)."""
UNDECIDED = Calibration(0.0, (0.0, 0.0, 0.0), {})

Row = dict[str, Any]
Scores = dict[str, float | int]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Campaign:
    """Which samples are inverted.

    Parameters
    ----------
    paper, beamline, unusual : int
        Samples of the two ordinary cases, and of each other one, of each seed.
    relaxed : int
        So many of the dataset (every fourth), for the test alone.
    seeds : (int, int)
        A fit to one is tested on the other; what is kept is fitted to both.
    inversion : Inversion
    """

    paper: int = 9
    beamline: int = 22
    unusual: int = 6
    relaxed: int = 33
    seeds: tuple[int, int] = (1001, 1002)
    inversion: Inversion = field(default_factory=Inversion)

    def places(self, dataset: DatasetFile | None) -> list[tuple[str, int, int]]:
        """Case, seed and index of every sample, all cases in turn, so that the beginning of the list is a fair one too."""
        places: list[tuple[float, tuple[str, int, int]]] = []
        for case in CASES:
            number = getattr(self, case) if case in ORDINARY else self.unusual
            places += [((i + 0.5) / number, (case, seed, i)) for i in range(number) for seed in self.seeds]
        if dataset is not None:
            chosen = range(0, len(dataset), 4)[: self.relaxed]
            places += [((i + 0.5) / len(chosen), (RELAXED, 0, index)) for i, index in enumerate(chosen)]
        return [place for _, place in sorted(places)]


def row_of(place: tuple[str, int, int], sample: Sample, predictor: Predictor, campaign: Campaign) -> Row:
    """What is kept of a sample, a row of `rows.json`: of the network's prediction, and of that refined."""
    case, seed, index = place
    options = campaign.inversion
    inside = HeldOut.of(Pattern(sample.counts, sample.measured), options.free_fraction, index)
    row: Row = {"case": case, "seed": seed, "index": index}
    for kind in KINDS:
        refinement = options.refinement if kind is MethodName.refined else None
        first = by_network(predictor, options.prediction, refinement, seed=index, deblurring=options.deblurring)(inside)
        others = by_network(
            predictor,
            options.prediction,
            refinement,
            seed=index,
            partially_coherent=first.kernel is not None,
            deblurring=options.deblurring,
        )
        again = None if refinement is None else by_retrieval(inside, refinement, seed=index)
        found = invert_from_all_sides(
            first,
            inside,
            others,
            options.confidence,
            poor=options.refinement.poor,
            agreement=options.agreement,
            from_random_start=again,
        )
        judged = confidence_of(found, inside, calibration=UNDECIDED)
        objects = (found.image.object[0], first.object[0], found.mean)
        correlation, of_first, of_mean = (metrics.correlation(sample.truth, metrics.thresholded(x)) for x in objects)
        row[kind] = {
            "correlation": correlation,
            "correlation_of_first": of_first,
            "correlation_of_mean": of_mean,
            "features": judged.features,
        }
    return row | {"warnings": list(judged.warnings)}


def fit(rows: Sequence[Row], provenance: dict[str, Any]) -> Calibration:
    """The logistic function that makes what was found most likely, none of its slopes below 0."""
    x = np.concatenate([_evidence(rows), [anchor.logarithms for anchor in ANCHORS]])
    good = np.concatenate([_is_good(rows), np.zeros(len(ANCHORS), bool)])

    def cost(parameters: Floats) -> float:
        logit = parameters[0] - x @ parameters[1:]
        return float(np.logaddexp(0, np.where(good, -logit, logit)).mean() + WEAKENING * (parameters[1:] ** 2).sum())

    start = np.ones(1 + x.shape[1])
    found = minimize(cost, start, bounds=[(None, None)] + [(0, None)] * x.shape[1])
    intercept, first, second, third = (round(float(value), 4) for value in found.x)
    found = [row["features"]["misfit"] for row in rows if row["correlation"] >= GOOD]
    return Calibration(intercept, (first, second, third), provenance, float(math.ceil(max(found, default=1.0))))


def scores(number: Floats, rows: Sequence[Row]) -> Scores:
    """How well the confidence of samples holds.

    Parameters
    ----------
    number : float array (samples,)
        The confidence.
    rows : sequence of rows

    Returns
    -------
    dict
        ``samples``, ``good`` (share), ``mean_confidence``; ``brier``: mean squared difference from what was found, and
        ``brier_of_share`` of a confidence that is the share for all; ``ece``: mean distance of share and confidence over the
        bins of the diagram; ``warned``: share with a warning.
    """
    good = _is_good(rows)
    bins = np.digitize(number, EDGES[1:-1])
    gaps = [np.mean(bins == b) * abs(number[bins == b].mean() - good[bins == b].mean()) for b in np.unique(bins)]
    return {
        "samples": len(rows),
        "good": float(good.mean()),
        "mean_confidence": float(number.mean()),
        "brier": float(np.mean((number - good) ** 2)),
        "brier_of_share": float(good.mean() * (1 - good.mean())),
        "ece": float(sum(gaps)),
        "warned": float(np.mean([bool(row["warnings"]) for row in rows])),
    }


def numbers(calibration: Calibration, rows: Sequence[Row]) -> Floats:
    """The confidence of every sample."""
    return np.array([said_of(row, calibration) for row in rows])


def said_of(row: Row, calibration: Calibration) -> float:
    """The confidence that a user is told: calibrated, and then lowered by the verdict where that knows better."""
    features, evidence = row["features"], _evidence_of(row)
    images = features["variants"]
    grounds = Grounds(
        features["chi2"],
        features["chi2_noise"],
        images,
        round(images * features["agreeing"]),
        "image",
        probability=calibration(evidence),
        is_beyond_calibration=evidence.misfit > calibration.most_misfit,
    )
    return judge(grounds).probability or 0.0


def crossed(rows: Sequence[Row], calibration: Calibration, seeds: tuple[int, int]) -> Floats:
    """The confidence of every sample by a fit that did not see it: to the other seed; `calibration` for the dataset."""
    unseen = {
        seed: fit([row for row in rows if row["seed"] == other], {})
        for seed, other in zip(seeds, seeds[::-1], strict=True)
    }
    return np.array([said_of(row, unseen.get(row["seed"], calibration)) for row in rows])


def calibrate(
    folder: Path,
    predictor: Predictor,
    provenance: dict[str, Any],
    campaign: Campaign,
    dataset: Path | None,
    told: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, Scores]]:
    """Invert what is missing, fit, test, and write everything into `folder`.

    Returns
    -------
    dict
        Of refined images and of predictions: `scores` of the samples of the fit; of all samples, each judged by a fit that
        did not see it; and of each case.
    """
    make_folder(folder)
    collected = _collect(folder / "rows.json", predictor, provenance, campaign, dataset, told)
    stored, result = {}, {}
    for kind in KINDS:
        rows = [row | row[kind] for row in collected]
        simulated = [row for row in rows if row["case"] != RELAXED]
        calibration = fit(simulated, {**provenance, "samples": len(simulated)})
        stored[kind] = asdict(calibration)
        number = crossed(rows, calibration, campaign.seeds)
        chosen = {case: [i for i, row in enumerate(rows) if row["case"] == case] for case in (*CASES, RELAXED)}
        by_case = {case: (number[places], [rows[i] for i in places]) for case, places in chosen.items() if places}
        fitted, tested = scores(numbers(calibration, simulated), simulated), scores(number, rows)
        result[kind] = {"fit": fitted, "test": tested} | {case: scores(*some) for case, some in by_case.items()}
        shown = {case: (confidence, _correlations(some)) for case, (confidence, some) in by_case.items()}
        save(reliability(shown, GOOD), folder / f"reliability_{kind}.png")
    for name, value in (("confidence.json", stored), ("scores.json", result)):
        _write(folder / name, value)
    return result


def _collect(
    path: Path,
    predictor: Predictor,
    provenance: dict[str, Any],
    campaign: Campaign,
    dataset: Path | None,
    told: Callable[[int, int], None] | None,
) -> list[Row]:
    known: Row = json.loads(path.read_text()) if path.is_file() else {"provenance": provenance, "rows": []}
    if known["provenance"] != json.loads(json.dumps(provenance)):
        raise InputError(f"{path} was made with {known['provenance']}, not with {provenance}; give another folder.")
    rows = {(row["case"], row["seed"], row["index"]): row for row in known["rows"]}
    file = None if dataset is None else DatasetFile(dataset)
    places = campaign.places(file)
    for number, place in enumerate(places):
        if place not in rows:
            rows[place] = row_of(place, _sample(place, file), predictor, campaign)
            _write(path, {"provenance": provenance, "rows": list(rows.values())})
        if told is not None:
            told(number + 1, len(places))
    return [rows[place] for place in places]


def _sample(place: tuple[str, int, int], file: DatasetFile | None) -> Sample:
    case, seed, index = place
    if case != RELAXED:
        return CASES[case](seed, index)
    assert file is not None
    truth = crop_or_pad(file.objects([index])[0], PATTERN)
    return Sample(file.patterns([index])[0], file.masks([index])[0], truth)


def _evidence_of(row: Row) -> Evidence:
    features = row["features"]
    return Evidence(features["discord"], features["unexplained"], features["misfit"])


def _evidence(rows: Sequence[Row]) -> Floats:
    return np.array([_evidence_of(row).logarithms for row in rows])


def _correlations(rows: Sequence[Row]) -> Floats:
    return np.array([row["correlation"] for row in rows], dtype=np.float64)


def _is_good(rows: Sequence[Row]) -> NDArray[np.bool_]:
    return np.array([row["correlation"] >= GOOD for row in rows])


def _write(path: Path, value: Any) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def main(arguments: Sequence[str]) -> int:
    """Calibrate and print the scores; exit status 2 and one sentence for bad input."""
    parser = argparse.ArgumentParser(prog="calibrate_confidence", description=__doc__)
    parser.add_argument("folder", type=Path, help="where rows, calibration, scores and figure go")
    parser.add_argument("--weights", type=Path, help="file of weights; else those of the package")
    parser.add_argument("--untrained", action="store_true", help="the network as it is before training")
    parser.add_argument("--dataset", type=Path, help="crystals to test on besides, a dataset file with the truth")
    options = parser.parse_args(arguments)
    campaign = Campaign()
    try:
        if options.untrained:
            predictor, weights = Predictor(build(UnrolledDesign())), "untrained"
        else:
            predictor = load_predictor(options.weights)
            weights = sha256_of(weights_file(options.weights))
        provenance = {
            "weights": weights,
            "orientations": campaign.inversion.confidence.number,
            "seeds": list(campaign.seeds),
        }
        result = calibrate(options.folder, predictor, provenance, campaign, options.dataset, _progress)
        print(json.dumps(result, indent=2))
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _progress(done: int, of: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {of} samples", end="\n" if done == of else "", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
