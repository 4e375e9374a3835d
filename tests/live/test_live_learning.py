"""A watcher that learns on: in idle time alone, only what other scans agree to, and never in the way of a scan."""

import ctypes
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from live_watching import QUICK, Loop, all_in, counts
from patience import at_most
from small_network import STEEP, network

from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.files.stored import sha256_of
from autophasenn.inversion.learning import Learning
from autophasenn.live.crew import PROCESSES
from autophasenn.live.learned import FACT, FULL, MOST, Standing, learned_files, weights_file
from autophasenn.live.learner import Learned, Lesson, School, _Learner
from autophasenn.live.ledger import Ledger, ScanRecord
from autophasenn.live.settings import Settings
from autophasenn.live.work import BY_LEARNED_WEIGHTS
from autophasenn.network import weights
from autophasenn.network.architectures import build
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.pipeline.plan import load_plan
from autophasenn.pipeline.reconstruct import reconstruct
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.viewer.scans import Scans

SCANS = 6
BELIEVED = QUICK.replace("number: 0", "number: 2\n  random_starts: 0")
ENDLESS = Learning(judges=3, draws=1, adaptation=replace(STEEP, steps=10**6))
LEARNING = Learning(judges=3, draws=1, adaptation=STEEP)


@pytest.fixture(scope="module")
def beamtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scans that were refined well, and their ledger."""
    root = tmp_path_factory.mktemp("beamtime")
    weights.save(network(), {}, root / "begin.safetensors", torch.float32)
    (root / "plan.yaml").write_text(BELIEVED)
    (root / "quick.yaml").write_text(QUICK)
    (root / "data").mkdir()
    with Ledger.open(root) as ledger:
        for number in range(SCANS):
            pattern, key = root / "data" / f"{number}.npy", f"scans/{number}.npy"
            np.save(pattern, np.random.default_rng(number).binomial(counts(), 0.8))
            run = Run(method="network", weights=root / "begin.safetensors")
            reconstruct(Source(str(pattern)), run, load_plan(root / "quick.yaml")).save(
                root / key / "refined", figures=False
            )
            ledger.put(
                ScanRecord(
                    key, pattern.name, "refined", arrived=float(number), confidence=0.99, result=f"{key}/refined"
                )
            )
    shutil.rmtree(root / "data")
    return root


@pytest.fixture
def root(beamtime: Path, tmp_path: Path) -> Path:
    """A copy: of the results, beside an empty folder to watch."""
    shutil.copytree(beamtime, tmp_path / "results")
    (tmp_path / "data").mkdir()
    return tmp_path


def settings_of(root: Path) -> Settings:
    return Settings(run=Run(weights=root / "results/begin.safetensors"), plan=root / "results/plan.yaml")


@pytest.fixture
def loops() -> Iterator[list[Loop]]:
    """Those that a test begins, ended whatever happens."""
    begun: list[Loop] = []
    yield begun
    for loop in begun:
        loop.end()


def begun(loops: list[Loop], root: Path, learning: Learning = LEARNING) -> Loop:
    loops.append(Loop(root, settings_of(root), learning))
    return loops[-1]


def newest(root: Path) -> Path:
    return learned_files(root / "results/learned")[0]


def has_learned(loop: Loop, number: int = 1):
    return lambda _: loop.watcher.learning.standing.weights >= number


def is_learning(loop: Loop):
    return lambda _: loop.watcher.learning.worker is not None and loop.watcher.learning.worker.task is not None


def test_weights_that_are_better_for_several_other_scans_are_kept_and_named_by_what_they_make(
    root: Path, loops: list[Loop]
) -> None:
    loop = begun(loops, root)
    loop.until(has_learned(loop))
    _, card = weights.load(newest(root))
    assert card["root"]["file"] == "begin.safetensors"
    assert len(card["learned_from"]) >= SCANS // 2
    shares = np.divide(card["chi2_free_after"], card["chi2_free_before"])
    assert len(shares) == 3
    assert np.median(shares) < LEARNING.gain
    assert shares.max() <= LEARNING.worst
    standing = Standing.read(loop.ledger.fact(FACT))
    assert standing is not None
    page = Scans(root / "results")
    page.look()
    assert page.summary.endswith(standing.words)
    assert loop.watcher.facts()["network"] == standing.words
    page.close()

    np.save(root / "data/new.npy", counts())
    loop.until(lambda scans: "new.npy" in scans and scans["new.npy"].state == "refined")
    for method in ("network", "refined"):
        report = json.loads((root / f"results/scans/new.npy/{method}/report.json").read_text())
        assert report["weights"]["file"].startswith("weights-")
        assert (BY_LEARNED_WEIGHTS in report["warnings"]) is (method == "refined"), "the first image has no confidence"


def test_a_scan_that_arrives_interrupts_learning_which_then_goes_on(root: Path, loops: list[Loop]) -> None:
    loop = begun(loops, root, ENDLESS)
    loop.until(is_learning(loop))
    learner = psutil.Process(loop.watcher.learning.worker._process.pid)
    assert learner.nice() > psutil.Process(loop.watcher.workers[1]._process.pid).nice()

    def used() -> float:
        return sum(learner.cpu_times()[:2])

    begin = used()
    loop.until(lambda _: used() > begin + 1.0)
    np.save(root / "data/new.npy", counts())
    loop.until(lambda scans: "new.npy" in scans and scans["new.npy"].state == "running")
    task, rested = loop.watcher.learning.worker.task, None
    until = time.monotonic() + 240
    while (scan := loop.ledger.scan("scans/new.npy")).state != "refined":
        loop.until(lambda _: True)
        if scan.state == "imaged" and rested is None:
            rested = used()  # the step that was begun has ended
        assert time.monotonic() < until, scan
        late = used()
    assert rested is not None
    assert late - rested < 0.5, "it works on beside the scan"
    loop.until(lambda _: used() > late + 1.0)
    assert loop.watcher.learning.worker.task is task, "the round goes on where it was"


def test_a_killed_watcher_goes_on_with_the_weights_that_were_kept(root: Path, loops: list[Loop]) -> None:
    loop = begun(loops, root)
    loop.until(has_learned(loop))
    loop.end()
    loops.clear()
    (root / "results/learned/.writing-1-weights-0099.safetensors").touch()  # as one that was killed leaves it
    kept, standing = newest(root), loop.watcher.learning.standing
    again = begun(loops, root, ENDLESS)
    assert again.watcher.learning.weights == kept
    assert again.watcher.learning.standing == standing
    assert not list((root / "results/learned").glob(".writing-*"))
    again.until(is_learning(again))
    assert again.watcher.learning.worker.task.begin_with == kept
    np.save(root / "data/new.npy", counts())
    again.until(lambda scans: "new.npy" in scans and scans["new.npy"].state in ("imaged", "refined"))
    report = json.loads((root / "results/scans/new.npy/network/report.json").read_text())
    assert report["weights"]["file"] == kept.name


def test_a_learner_that_is_killed_or_thrown_out_of_its_folder_costs_no_scan(root: Path, loops: list[Loop]) -> None:
    loop = begun(loops, root)
    loop.until(has_learned(loop))
    shutil.rmtree(root / "results/learned")
    os.kill(loop.watcher.learning.worker._process.pid, signal.SIGKILL)
    np.save(root / "data/new.npy", counts())
    loop.until(lambda scans: "new.npy" in scans and all_in("refined", "failed")(scans))
    assert loop.ledger.scan("scans/new.npy").state == "refined"
    report = json.loads((root / "results/scans/new.npy/network/report.json").read_text())
    assert report["weights"]["file"] == "begin.safetensors"


def test_a_learner_that_is_killed_at_rest_holds_nobody_up_and_begins_again(root: Path, loops: list[Loop]) -> None:
    loop = begun(loops, root, ENDLESS)
    loop.until(is_learning(loop))
    learner = psutil.Process(loop.watcher.learning.worker._process.pid)
    loop.until(lambda _: sum(learner.cpu_times()[:2]) > 1.0)
    loop.watcher.learning.rest()
    used = -1.0
    while sum(learner.cpu_times()[:2]) > used + 0.1:
        used = sum(learner.cpu_times()[:2])
        time.sleep(1.0)
    assert learner.status() == psutil.STATUS_SLEEPING
    learner.kill()
    with at_most(60, AssertionError("it took longer than 60 s")):
        loop.until(lambda _: loop.watcher.learning.worker._process.pid != learner.pid)
    np.save(root / "data/new.npy", counts())
    loop.until(lambda scans: "new.npy" in scans and scans["new.npy"].state == "refined")
    loop.ledger.change("scans/new.npy", confidence=0.99)
    loop.until(is_learning(loop))


def test_only_scans_whose_image_can_be_believed_are_learned_from_and_not_without_end(
    root: Path, loops: list[Loop]
) -> None:
    with Ledger.open(root / "results") as ledger:
        ledger.change("scans/0.npy", confidence=0.5)
    loop = begun(loops, root, replace(LEARNING, gain=1e-6))  # as where nothing is gained
    loop.until(loop.is_ready)
    assert loop.watcher.learning.is_done
    loop.ledger.change("scans/0.npy", confidence=0.99)
    assert not loop.watcher.learning.is_done
    loop.until(lambda _: loop.watcher.learning.is_done)
    rounds = loop.watcher.learning._rounds
    assert rounds == 1
    for _ in range(5):
        loop.until(lambda _: True)
    assert loop.watcher.learning._rounds == rounds


def test_no_weights_are_removed_and_of_too_many_no_more_are_learned(root: Path, loops: list[Loop]) -> None:
    folder = root / "results/learned"
    folder.mkdir()
    begin = root / "results/begin.safetensors"
    card = {"root": {"file": begin.name, "sha256": sha256_of(begin)}, "learned_from": [], "since": 0.0}
    weights.save(network(), card, weights_file(folder, 1))
    for number in range(2, MOST):
        shutil.copy(weights_file(folder, 1), weights_file(folder, number))
    loop = begun(loops, root)
    assert FULL not in loop.watcher.learning.standing.words
    loop.until(has_learned(loop, MOST))
    assert loop.watcher.learning.standing.words.endswith(FULL)
    assert [int(file.stem[-4:]) for file in learned_files(folder)] == list(range(MOST, 0, -1))
    loop.until(loop.is_ready)
    assert loop.watcher.learning._goes_on, "there would be more to learn"
    assert loop.watcher.learning.is_done


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "throws away what was learned"),
        ("damaged", "checksum is wrong.* throws away what was learned"),
        ("no card", "was not learned by a watcher"),
        ("no time", "was not learned by a watcher"),
        ("other root", "began with other weights"),
        ("other network", "began with other weights"),
    ],
)
def test_what_was_learned_and_cannot_be_used_is_refused_in_a_sentence(
    root: Path, content: bytes | str, sentence: str
) -> None:
    file = weights_file(root / "results/learned", 1)
    file.parent.mkdir()
    root_card = {"root": {"file": "a.safetensors", "sha256": "0"}, "learned_from": ["scans/a"], "since": 0.0}
    if content == "other network":
        small = build(UnrolledDesign(stages=1, width=8))
        weights.save(small, root_card, file)
    else:
        card = {"no card": {}, "no time": root_card | {"since": 1e300}}.get(content, root_card)
        weights.save(network(), card, file)
    if content == "damaged":
        whole = file.read_bytes()
        file.write_bytes(whole[:-4] + b"\0\1\2\3")
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as error:
        Loop(root, settings_of(root), LEARNING)
    assert str(file.parent) in str(error.value)


def lesson_in(root: Path, folder: Path, begun_with: Path) -> Learned:
    """What a lesson comes to that may always work."""
    may_work = PROCESSES.RawValue(ctypes.c_bool, True)
    scans = tuple((f"scans/{n}.npy", root / f"results/scans/{n}.npy/refined") for n in reversed(range(SCANS)))
    learner = _Learner(School(begun_with, folder, LEARNING, may_work))
    outcome = learner.outcome(Lesson(0, begun_with, scans, tuple(reversed(range(SCANS)))))
    assert outcome.trace is None
    return outcome


def test_a_watcher_may_begin_with_what_another_one_learned(root: Path) -> None:
    begun_with, folder = root / "weights-0200.safetensors", root / "results/learned"
    shutil.copy(root / "results/begin.safetensors", begun_with)
    outcome = lesson_in(root, folder, begun_with)
    assert outcome.weights == weights_file(folder, 1)
    assert set(outcome.scans) < {f"scans/{n}.npy" for n in range(SCANS)}
    _, card = weights.load(outcome.weights)
    assert card["root"]["file"] == begun_with.name


def test_what_was_learned_and_cannot_be_written_is_told_in_a_sentence(root: Path) -> None:
    taken = root / "taken"
    taken.touch()
    for folder, reason in ((taken, "File exists"), (root / "gone/learned", "No such file")):
        outcome = lesson_in(root, folder, root / "results/begin.safetensors")
        assert outcome.reason is not None
        assert outcome.reason.startswith("What was learned could not be written to")
        assert reason in outcome.reason
    (root / "results/learned").touch()
    with pytest.raises(OutputError, match=r"results/learned is a file"):
        Loop(root, settings_of(root), LEARNING)


@pytest.mark.parametrize("since", ["1e300", "NaN", '"noon"'])
def test_a_time_that_is_none_is_not_shown(since: str) -> None:
    assert Standing.read(f'{{"weights": 1, "scans": 6, "since": {since}}}') is None


def test_a_plan_without_confidence_is_refused(root: Path) -> None:
    (root / "results/plan.yaml").write_text(QUICK)
    with pytest.raises(PlanError, match="confidence"):
        Loop(root, settings_of(root), LEARNING)


def test_without_learning_what_was_learned_is_neither_used_nor_shown(root: Path, loops: list[Loop]) -> None:
    with Ledger.open(root / "results") as ledger:
        ledger.note(FACT, Standing(3, 12, time.time()).fact)
    loop = Loop(root, settings_of(root))
    loops.append(loop)
    assert Standing.read(loop.ledger.fact(FACT)) is None
    assert "network" not in loop.watcher.facts()
