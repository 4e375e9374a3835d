"""The experimental figures: one measured pattern by retrieval from random starts, by the network, and refined.

python benchmarks/compare_methods.py INPUT -o FOLDER [the options of `autophasenn reconstruct`]

The folder gets methods.png (surfaces, whole and cut open), chi2.png (chi2 against the iteration, random starts dashed,
from the prediction solid) and methods.json (the numbers).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.files.writing import make_folder, write_atomically
from autophasenn.image import CrystalImage
from autophasenn.inversion.grounds import misfit_of, verdict_on
from autophasenn.inversion.methods import MethodName, invert
from autophasenn.physics import metrics
from autophasenn.pipeline.plan import Plan, load_plan
from autophasenn.pipeline.postprocess import postprocess
from autophasenn.pipeline.prepare import prepare
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.progress import Stopwatch
from autophasenn.report.evaluation import fall_of_chi2
from autophasenn.report.methods import methods
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.report.style import save
from autophasenn.volumes import Reconstruction

ORDER = (MethodName.iterative, MethodName.network, MethodName.refined)
"""From left to right."""


def compare(source: Source, asked: Run, output: Path, plan: Plan, title: str = "") -> dict[str, Any]:
    """Invert a pattern by every method, and draw what they found.

    Parameters
    ----------
    source : Source
    asked : Run
        Seed, weights and device; each method of `ORDER` takes the place of its name.
    output : Path
        Folder of the figures.
    plan : Plan
    title : str
        Above the figure.

    Returns
    -------
    dict
        Method -> ``chi2``, ``chi2_noise``, ``chi2_free``, ``confidence``, ``seconds`` (of network and refinement, without
        the confidence), and ``correlation`` with the first method's object.

    Raises
    ------
    InputError, GeometryError, PlanError
        As `pipeline.reconstruct.reconstruct` does.
    OutputError
        If the folder cannot be written to.
    """
    prepared = prepare(source, plan).preprocessed
    predictor = asked.predictor()
    make_folder(output)
    found: dict[str, Reconstruction] = {}
    images: dict[str, CrystalImage] = {}
    numbers: dict[str, Any] = {}
    for method in ORDER:
        watch = Stopwatch()
        answer = invert(
            prepared.pattern.to(asked.torch_device()),
            prepared.oversampling,
            method,
            plan,
            predictor=predictor,
            seed=asked.seed,
            aliens=prepared.aliens if prepared.are_aliens_known else None,
            watch=watch,
        )
        done = postprocess(answer.reconstruction, prepared.pattern, plan.postprocess)
        found[method], images[method] = done.reconstruction, done.image
        chi2, noise = misfit_of(found[method], prepared.pattern)
        numbers[method] = {
            "chi2": chi2,
            "chi2_noise": noise,
            "chi2_free": found[method].free_error,
            "confidence": verdict_on(answer, method, (chi2, noise)).probability,
            "seconds": (watch.seconds["network"] or 0.0) + (watch.seconds["refine"] or 0.0),
            "correlation": metrics.correlation(found[ORDER[0]].object, found[method].object),
        }
    with write_atomically(output / "methods.json") as temporary:
        temporary.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    errors = {method: found[method].errors.double().numpy() for method in ("iterative", "refined")}
    noise = numbers["refined"]["chi2_noise"]
    predicted = numbers["network"]["chi2"]
    save(fall_of_chi2(errors, noise=noise, predicted=predicted), output / "chi2.png")
    captions = {method: _caption(each["chi2"], each["seconds"]) for method, each in numbers.items()}
    try:
        save(methods(images, captions, title=title), output / "methods.png")
    except (NoOpenGLError, InputError) as error:
        print(error, file=sys.stderr)
    return numbers


def _caption(chi2: float, seconds: float) -> str:
    return f"χ² {chi2:.2g}, {seconds:.0f} s" if seconds > 10 else f"χ² {chi2:.2g}, {seconds:.1f} s"


def main(arguments: Sequence[str]) -> int:
    """Compare and print the numbers; exit status 2 and one sentence for bad input."""
    parser = argparse.ArgumentParser(prog="compare_methods", description=__doc__)
    parser.add_argument("input", help="a scan's folder, or a file of counts")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the figures")
    parser.add_argument("--beamline", help="whose scan folder it is")
    for name in ("spec", "dark", "white", "mask", "plan", "weights"):
        parser.add_argument(f"--{name}", type=Path, help="as `autophasenn reconstruct` has it")
    parser.add_argument("--scan", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--title", default="")
    options = vars(parser.parse_args(arguments))
    plan, title = options.pop("plan"), options.pop("title")
    try:
        asked = Run(seed=options.pop("seed"), weights=options.pop("weights"))
        output = options.pop("output")
        numbers = compare(Source(**options), asked, output, Plan() if plan is None else load_plan(plan), title)
    except AutoPhaseNNError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(numbers, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
