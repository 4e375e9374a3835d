"""How quick prediction and refinement are: beside the paper's network as PyTorch runs it, and beside 600 iterations.

autophasenn benchmark --network [--against cohere] [-o OUT.json]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from autophasenn.benchmark.cohere import compare_with_cohere
from autophasenn.benchmark.iterations import quietness, transform_pair
from autophasenn.benchmark.timing import Case, alternate, jitter_of, machine
from autophasenn.devices import device_of
from autophasenn.errors import PlanError
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.inversion.methods import Inversion, MethodName, invert
from autophasenn.network import weights
from autophasenn.network.architectures import Network, build
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.predict import DEFAULT_NETWORK, SHIPPED, Inference, Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.engine import retrieve
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.preprocessing.aliens import search_for_aliens
from autophasenn.preprocessing.options import Preprocessing
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.progress import Progress, Silent
from autophasenn.volumes import Pattern
from autophasenn.waiting import load_average

REFERENCE = "the paper's network, float32"
NETWORK, READY = "network", "the paper's network, made ready"
REFINED, BELIEVED = "network + refinement", "network + refinement + confidence"
RETRIEVAL = "600 iterations"
GOALS = {(REFERENCE, NETWORK): 5.0, (RETRIEVAL, REFINED): 5.0, (RETRIEVAL, BELIEVED): 1.67, (RETRIEVAL, NETWORK): None}
"""How many times as long the first must take."""
COHERE_GOALS = {"torch": 100.0, "numpy": 100.0}
"""How many times as long as a prediction 600 iterations of cohere_core take at least, by its back end."""
BATCHES = {"cpu": (1, 4, 16), "cuda": (1, 16, 64, 256)}
SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the matrices whose product says what the machine can do."""
RUNS = 4
"""Of each batch, the first not counted."""
MOST_SECONDS_BATCH = 30.0
"""Of one batch, by the rate of the smaller ones; larger ones are left out."""
MOST_SECONDS = 120.0
"""Of the alternated rounds: on a slow machine fewer are made."""


def benchmark_network(
    network: Network | None = None,
    *,
    device: str = "cpu",
    threads: int | None = None,
    rounds: int = 7,
    compiled: bool = False,
    paper: AutoPhaseNNDesign | None = None,
    inversion: Inversion | None = None,
    cohere_environment: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Time one pattern at a time by every way to its image, in alternated rounds, and then batches.

    Parameters
    ----------
    network : Network, optional
        None: that of the package, or an untrained one: how long it takes does not depend on what it learned.
    device : str
        "cpu" or "cuda".
    threads : int, optional
        CPU threads; None: as many as torch uses.
    rounds : int
        Medians over so many are given, or over as many as two minutes allow.
    compiled : bool
        Is the network run compiled, too?
    paper : AutoPhaseNNDesign, optional
        Of the reference; None: as published.
    inversion : Inversion, optional
        What the methods do; None: the default, and its schedule of 600 iterations, one start.
    cohere_environment : Path, optional
        Virtual environment with cohere_core, whose 600 iterations are compared with a prediction; made if it is not
        there. None: no comparison.
    progress : Progress, optional

    Returns
    -------
    dict
        ``machine``; ``reference`` and ``cases`` (`timing.alternate`); ``times_as_long``: how many times as long the first
        of two takes, with ``goal`` and ``met``; ``precision``; ``patterns_per_second`` by batch; ``operations``
        (floating-point operations of the network for a pattern), ``operations_per_second`` at the best batch, and
        ``share_of_matrix_product``: of the rate of a large product of matrices in that precision; ``cohere`` (or None) as
        `compare_with_cohere` gives it, times of a whole retrieval; ``warnings`` (sentences).

    Raises
    ------
    PlanError
        If a number is below 1, the device is not there, or cohere_core cannot be installed or run.
    """
    if min(rounds, threads or 1) < 1:
        raise PlanError(f"The benchmark was given {rounds} rounds, threads {threads}; give 1 or more.")
    kind, progress = device_of(device).type, progress or Silent()
    if threads is not None:
        torch.set_num_threads(threads)
    progress.stage("Prepare")
    network = network or _shipped()
    with DatasetFile(EXAMPLE.with_name("crystals.h5")) as dataset:
        counts, measured = dataset.patterns([0]).to(device), dataset.masks([0]).to(device)
    plain = build(paper or AutoPhaseNNDesign()).eval().to(device)
    predictor, ready = (Predictor(each, device=device).warm_up() for each in (network, plain))

    def as_published() -> None:
        with torch.inference_mode():
            _waited(plain(counts, measured)[-1].objects)

    inversion = inversion or Inversion()
    without = replace(inversion, confidence=replace(inversion.confidence, number=0, average=False), even_density=None)
    pattern = Pattern(counts[0], measured[0])
    numbers, mask = counts[0].cpu().numpy(), measured[0].cpu().numpy()
    oversampling = estimate_oversampling(numbers, mask)
    aliens = search_for_aliens(numbers, mask, oversampling, Preprocessing())  # a part of every preprocessing

    def inverted(method: MethodName, inversion: Inversion = without) -> None:
        invert(pattern, oversampling, method, inversion, predictor=predictor, aliens=aliens)  # its result is on the CPU

    cases = {
        READY: _in_a_row(lambda: _waited(ready.predict(counts, measured))),
        NETWORK: _in_a_row(lambda: _waited(predictor.predict(counts, measured))),
        "network + 50 ER": Case(lambda: inverted(MethodName.er50), 1),
        REFINED: Case(lambda: inverted(MethodName.refined), 1),
        BELIEVED: Case(lambda: inverted(MethodName.refined, inversion), 1),
        RETRIEVAL: Case(lambda: _waited(retrieve(counts, measured, inversion.retrieval.schedule, seeds=[0]).object), 1),
    }
    if compiled:
        quick = Predictor(network, Inference(compiled=True), device).warm_up()
        cases["network, compiled"] = _in_a_row(lambda: _waited(quick.predict(counts, measured)))
    wave = torch.randn((1, 64, 64, 64), dtype=torch.complex64)
    host = machine(load_average(), jitter_of(lambda: transform_pair(wave)))
    progress.stage("Prediction, refinement, retrieval")
    reference, results = alternate(_in_a_row(as_published), cases, rounds, progress.advance, MOST_SECONDS)
    cohere = None
    if cohere_environment is not None:
        cohere = compare_with_cohere(
            counts[0].cpu(), cohere_environment, threads=torch.get_num_threads(), ours=cases[NETWORK],
            goals=COHERE_GOALS, progress=progress,
        )  # fmt: skip
    progress.stage("Batches")
    return {
        "machine": host | {"device": torch.cuda.get_device_name() if kind == "cuda" else kind},
        "rounds": results[NETWORK]["rounds"],
        "precision": predictor.inference.precision,
        "reference": reference,
        "cases": results,
        "times_as_long": _comparisons(results),
        "cohere": cohere,
        "warnings": quietness(host),
        **_throughput(predictor, counts, measured, progress),
    }


def _shipped() -> Network:
    """The network of the package; one that has learned nothing where it has none, which takes as long."""
    file = SHIPPED[DEFAULT_NETWORK]
    return weights.load(file)[0] if file.is_file() else build(UnrolledDesign())


def _in_a_row(run: Callable[[], None], patterns: int = 5) -> Case:
    """Several patterns one after the other, as scans come; the first alone would find the caches of another program."""

    def run_all() -> None:
        for _ in range(patterns):
            run()

    return Case(run_all, patterns)


def _comparisons(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    ratios = {REFERENCE: 1.0} | {name: result["ratio"] for name, result in results.items()}
    found = {}
    for (slow, quick), goal in GOALS.items():
        times = ratios[slow] / ratios[quick]
        found[f"{slow} / {quick}"] = {"ratio": times, "goal": goal, "met": None if goal is None else times >= goal}
    return found


def _throughput(predictor: Predictor, counts: Tensor, measured: Tensor, progress: Progress) -> dict[str, Any]:
    kind = predictor.device.type
    rates: dict[str, float] = {}
    for batch in BATCHES[kind]:
        many = copy(predictor)
        many.inference = replace(predictor.inference, batch=batch)
        run = partial(many.predict, counts.expand(batch, -1, -1, -1), measured.expand(batch, -1, -1, -1))
        if rates and RUNS * batch / max(rates.values()) > MOST_SECONDS_BATCH:
            break  # on a processor without bfloat16 a large batch takes minutes, and is no quicker
        rates[str(batch)] = batch / _least_seconds(run)
        progress.advance(len(rates), len(BATCHES[kind]))
    with FlopCounterMode(display=False) as counter:
        predictor.predict(counts, measured)
    operations, best = counter.get_total_flops(), max(rates.values())
    side = SIDE[kind]
    precision = getattr(torch, predictor.inference.precision or "float32")
    matrix = torch.randn(side, side, device=predictor.device, dtype=precision)
    peak = 2 * side**3 / _least_seconds(lambda: matrix @ matrix)
    return {
        "patterns_per_second": rates,
        "operations": operations,
        "operations_per_second": best * operations,
        "share_of_matrix_product": best * operations / peak,
    }


def _least_seconds(run: Callable[[], Tensor], repeats: int = RUNS - 1) -> float:
    """Of a few runs, the first not counted."""
    _waited(run())
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        _waited(run())
        taken.append(time.perf_counter() - began)
    return min(taken)


def _waited(result: Tensor) -> None:
    """Return when a GPU has computed it."""
    if result.is_cuda:
        torch.cuda.synchronize(result.device)
