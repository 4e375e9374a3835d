"""The watcher with its real processes: every scan ends reconstructed or listed, whoever is killed."""

import json
import math
import os
import resource
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing import connection, forkserver
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from live_watching import PATIENCE, QUICK, Loop, Watching, all_in, counts, watching
from mortal import Nursery
from scan_34idc import Beamtime

from autophasenn.cli.app import command_line
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.live.crew import PROCESSES, Companion, Limits, Worker
from autophasenn.live.ledger import FILE, Ledger, ScanRecord
from autophasenn.live.lock import FILE as LOCK
from autophasenn.live.lock import only_one
from autophasenn.live.near_peak import EDGE, near_peak
from autophasenn.live.options import Watch
from autophasenn.live.settings import Settings
from autophasenn.live.sightings import Files
from autophasenn.live.streams import receive_zmq
from autophasenn.live.thumbnails import KEPT
from autophasenn.live.watcher import GONE, watch
from autophasenn.live.work import FIRST_IMAGE, Outcome, Task
from autophasenn.physics.geometry import RockingGeometry
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.volumes import Scan

ROOMY = Limits(300.0, 2**40)


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery"), loaded="autophasenn.live.watcher")
    yield made
    made.close()


def test_a_geometry_that_is_given_holds_for_plain_files(tmp_path: Path, nursery: Nursery) -> None:
    geometry = tmp_path / "geometry.yaml"
    steps = {"reciprocal_steps_per_nm": [[0.0, 0.02, 0.0], [0.0, 0.0, -0.02], [0.02, 0.0, 0.0]]}
    geometry.write_text(json.dumps({**steps, "q_per_nm": [20.0, 5.0, -7.0]}))
    with watching(tmp_path, nursery) as watch:
        watch.drop("plain")
        watch.finish("--geometry", str(geometry))
        for report in watch.results.rglob("report.json"):
            told = json.loads(report.read_text())
            assert told["q_per_nm"] == pytest.approx(np.sqrt(474), rel=0.01)
            assert told["strain"] is not None


def test_every_scan_ends_reconstructed_or_listed_and_a_stopped_watcher_goes_on(
    tmp_path: Path, nursery: Nursery
) -> None:
    with watching(tmp_path, nursery) as watch:
        watch.drop("first")
        (watch.data / "broken.npz").write_bytes(b"no archive")
        watch.drop("flat", np.ones((24, 24, 24), np.int32))
        watch.drop("thin", counts()[:, :10])
        watch.begin()
        watch.wait_for(lambda scans: scans["first.npy"].state == "refined" if "first.npy" in scans else False)
        with pytest.raises(OutputError, match="Another process"), only_one(watch.results):
            pass
        watch.data.rename(tmp_path / "gone")  # as a network mount may be for a while
        time.sleep(0.5)
        (tmp_path / "gone").rename(watch.data)
        watch.drop("last")
        watch.wait_for(lambda scans: "last.npy" in scans)
        assert watch.end(signal.SIGTERM) == 0
        assert watch.log.count("cannot be read (No such file") == 1
        stopped = watch.scans()
        assert stopped["last.npy"].state in ("arriving", "waiting", "imaged")
        assert {stopped[name].state for name in ("broken.npz", "flat.npy", "thin.npy")} == {"failed"}
        assert "No Bragg peak" in stopped["flat.npy"].reason

        np.savez(watch.data / "broken.npz", counts())
        os.utime(watch.data / "broken.npz", (1e9, 1e9))
        done = watch.finish("--retry")
        assert "flat.npy: failed" in watch.log
        assert done.pop("last.npy").state == done.pop("broken.npz").state == "refined"
        for name in ("flat.npy", "thin.npy"):  # tried in vain, and timed anew
            assert replace(done[name], counted_from=stopped[name].counted_from) == stopped[name]
        assert done["first.npy"] == stopped["first.npy"]
        watch.check_results()
        first = done["first.npy"]
        assert first.frames == 32
        assert 0 < first.seconds_to_image < first.seconds_to_refined
        assert 0 < first.chi2 < 0.05
        assert first.result == "scans/first.npy/refined"
        at_once = json.loads((watch.results / "scans/first.npy/network/report.json").read_text())
        assert at_once["confidence"]["meaning"] == FIRST_IMAGE
        for line in watch.log.splitlines():
            assert line[:4].isdigit() or line.split(":")[0] in ("refined", "failed", "unfinished", "results")


def test_a_killed_watcher_loses_and_doubles_nothing(tmp_path: Path, nursery: Nursery) -> None:
    moments = ("running", "imaged", "refined")
    with watching(tmp_path, nursery) as watch:
        expected, before = [], dict[Path, int]()
        for moment in moments:
            watch.drop(f"before_{moment}")
            watch.drop(f"small_{moment}", counts(24))  # is at work, or waits, when the other is killed
            watch.begin()
            later = moments[moments.index(moment) :]
            watch.wait_for(
                lambda scans, key=f"before_{moment}.npy", later=later: key in scans and scans[key].state in later
            )
            watch.kill()
            expected += [f"before_{moment}.npy", f"small_{moment}.npy"]
            before |= {path: path.stat().st_mtime_ns for path in finished(watch)}
        done = watch.finish()
        assert {name: scan.state for name, scan in done.items()} == dict.fromkeys(expected, "refined")
        assert before
        assert all(path.stat().st_mtime_ns == changed for path, changed in before.items())  # done once, then left alone
        watch.check_results()


def finished(watch: Watching) -> list[Path]:
    """Reports of what the ledger says is refined."""
    return [watch.results / scan.result / "report.json" for scan in watch.scans().values() if scan.state == "refined"]


def test_a_rocking_scan_is_shown_while_it_arrives_and_reconstructed_with_its_last_frame(
    tmp_path: Path, nursery: Nursery
) -> None:
    with watching(tmp_path, nursery) as watch:
        frames = counts().astype(np.int32)
        scan = Beamtime(
            watch.data,
            frames[:0],
            command="ascan  th -0.0775 0.0775  31 0.25",
            positions=np.linspace(-0.0775, 0.0775, 32),
        )
        scan = replace(scan, region="#UIMR5  32 32 64 32 1").write()
        other = watch.data / "Made20-1a_S0056"
        other.mkdir()
        tifffile.imwrite(other / "a_0.tif", frames[0])
        watch.begin("--beamline", "34idc", "--spec", str(scan.spec), "--abandon", "5")
        watch.wait_for(lambda scans: other.name in scans)
        for index, frame in enumerate(frames):
            tifffile.imwrite(scan.frame(index), frame)
            if index == 20:
                halfway = watch.wait_for(lambda scans: scans.get(scan.name) is not None and shown(scans[scan.name]))
        assert halfway[scan.name].state == "arriving"
        assert halfway[scan.name].thumbnail.startswith(f"scans/{scan.name}/thumbnail-")
        done = watch.wait_for(all_in("refined", "failed"))
        assert watch.end() == 0
        assert done[scan.name].state == "refined"
        assert done[scan.name].frames == 32
        assert done[scan.name].strain_std > 0
        # A browser keeps pictures by their names, so the image must not have that of the preview.
        assert done[scan.name].thumbnail != halfway[scan.name].thumbnail
        pictures = sorted(path.name for path in (watch.results / "scans" / scan.name).glob("*.png"))
        assert len(pictures) <= KEPT, "the one before stays while a browser asks for it, and no other"
        assert Path(done[scan.name].thumbnail).name == pictures[-1]
        assert "has no scan 56" in done[other.name].reason
        assert "Choose one with autophasenn reconstruct --scan." in done[other.name].reason, "watch has no --scan"
        watch.check_results()


def shown(scan: ScanRecord) -> bool:
    return scan.frames == 21 and scan.thumbnail is not None


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    plan = tmp_path / "plan.yaml"
    plan.write_text(QUICK)
    return Settings(plan=plan)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    np.save(tmp_path / "pattern.npy", counts())
    source = str(tmp_path / "pattern.npy")
    return Task("scans/a", "", "network", source, False, tmp_path / "result", tmp_path / "picture.png")


def outcome_of(worker: Worker, task: Task) -> Outcome:
    while not worker.is_free:
        connection.wait([worker.connection], 0.1)
        worker.answer()
    worker.give(task)
    while (outcome := worker.answer()) is None:
        connection.wait([worker.connection], 0.02)
    return outcome


def test_a_worker_that_goes_beyond_its_limits_is_replaced_and_says_why(settings: Settings, task: Task) -> None:
    worker = Worker("network", settings, Limits(1e-3, 2**40))
    try:
        assert "longer than 0.001 s" in outcome_of(worker, task).reason
        worker._limits = Limits(300.0, 2**20)
        assert "GiB of memory" in outcome_of(worker, task).reason
        worker._limits = ROOMY
        first = worker._process.pid
        done = outcome_of(worker, task)
        assert done.reason is None
        assert done.frames == 32
        assert task.picture.stat().st_size > 0
        assert worker._process.pid == first
        while not worker.is_free:
            worker.answer()
        worker.give(task)
        os.kill(first, signal.SIGKILL)
        while (outcome := worker.answer()) is None:
            connection.wait([worker.connection], 0.02)
        assert "killed" in outcome.reason
        assert worker._process.pid != first
    finally:
        worker.end()
    assert not psutil.pid_exists(worker._process.pid)


def test_no_result_holds_the_token_of_the_page(settings: Settings, task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["autophasenn", "watch", "data", "--token", "SECRET", "--token=SECRET", "--once"])
    worker = Worker("network", replace(settings, command=command_line()), ROOMY)
    try:
        assert outcome_of(worker, task).reason is None
    finally:
        worker.end()
    files = [path for path in task.output.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"autophasenn watch data --once" in path.read_bytes()]
    assert not [path.name for path in files if b"SECRET" in path.read_bytes()]


def test_a_scan_that_is_too_coarse_is_phased_where_that_is_asked_for(settings: Settings, task: Task) -> None:
    np.save(task.source, np.load(EXAMPLE)["counts"][::2, ::2, ::2])
    for force in (False, True):
        worker = Worker("network", replace(settings, run=Run(force=force)), ROOMY)
        try:
            reason = outcome_of(worker, task).reason
        finally:
            worker.end()
        assert (reason is None) == force, reason


@pytest.mark.skipif(PROCESSES.get_start_method() != "forkserver", reason="processes are begun by no server here")
def test_a_watcher_that_is_ended_while_it_begins_its_processes_ends_in_peace(
    tmp_path: Path, settings: Settings
) -> None:
    """As a service manager does it: SIGTERM to all at once, also to what forks the workers."""
    (tmp_path / "data").mkdir()
    PROCESSES.Process(target=int).start()
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGSTOP)

    def end() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(server, signal.SIGKILL)

    ending = threading.Timer(1.0, end)
    ending.start()
    try:
        ended = watch(Watch(tmp_path / "data", tmp_path / "results", settings))
    finally:
        ending.join()
    assert ended == {"refined": 0, "failed": 0, "unfinished": 0}


def test_a_companion_that_cannot_begin_ends_the_watcher_and_one_that_had_begun_begins_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("zmq", reason="the extra `live` is not installed")
    companion = Companion("ZMQ client", receive_zmq, "no address", tmp_path, True, 60.0)
    companion.start()
    try:
        companion._process.join(PATIENCE)
        with pytest.raises(InputError, match="could not begin"):
            companion.look_after()
        monkeypatch.setattr("autophasenn.live.crew.SOON", -1.0)
        former = companion._process.pid
        companion.look_after()
        assert companion._process.pid != former
    finally:
        companion.end()


@pytest.fixture
def loop(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    monkeypatch.setattr("autophasenn.live.watcher.LATER", 0.5)
    (tmp_path / "data").mkdir()
    (tmp_path / "results").mkdir()
    made = Loop(tmp_path, settings)
    yield made
    made.end()


def test_a_full_disk_or_a_mount_that_is_gone_makes_scans_wait_and_fails_none(loop: Loop) -> None:
    loop.until(loop.is_ready)
    for name in "ab":
        np.save(loop.data / f"{name}.npy", counts(24))
    loop.limit_files_to(2000)
    loop.until(lambda scans: len(scans) == 2 and all("disk is full" in (scan.reason or "") for scan in scans.values()))
    assert not loop.ledger.queue(["failed"])
    loop.data.rename(loop.data.with_name("away"))
    loop.limit_files_to(resource.RLIM_INFINITY)
    gone = loop.until(lambda scans: all(scan.reason == GONE for scan in scans.values()) and loop.is_ready())
    assert {scan.state for scan in gone.values()} == {"waiting"}
    loop.data.with_name("away").rename(loop.data)
    done = loop.until(all_in("refined", "failed"))
    assert [(scan.state, scan.reason) for scan in done.values()] == [("refined", None)] * 2


def test_a_ledger_that_cannot_be_written_for_a_while_is_told_once_a_step_and_loses_nothing(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    loop.until(loop.is_ready)
    np.save(loop.data / "a.npy", counts(24))
    loop.until(lambda scans: "a.npy" in scans and scans["a.npy"].state == "running")
    with closing(sqlite3.connect(loop.results / FILE)) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON scans BEGIN SELECT RAISE(FAIL, 'is full'); END")
        np.save(loop.data / "b.npy", counts(24))
        loop.until(lambda _: bool(loop.watcher._done))
        for _ in range(3):
            loop.until(lambda _: True)
        assert caplog.text.count("is full") == 2  # what came, what was done
        other.execute("DROP TRIGGER full")
    done = loop.until(lambda scans: len(scans) == 2 and all_in("refined", "failed")(scans))
    assert {scan.state for scan in done.values()} == {"refined"}


def test_a_scan_that_nobody_watched_is_not_late_nor_keeps_a_killed_watchers_picture(
    tmp_path: Path, settings: Settings
) -> None:
    (tmp_path / "data").mkdir()
    pattern = tmp_path / "data" / "a.npy"
    np.save(pattern, counts(24))
    os.utime(pattern, (1e9, 1e9))
    left = tmp_path / "results" / "scans" / "a.npy" / "thumbnail-1.png"  # by a watcher that was killed
    left.parent.mkdir(parents=True)
    left.touch()
    (sighting,) = Files(pattern.parent, "scans/", 0.1, 60.0).look()
    with Ledger.open(tmp_path / "results") as ledger:
        known = {"source": str(pattern), "fingerprint": sighting.fingerprint, "arrived": 1e9, "counted_from": 1e9}
        ledger.put(ScanRecord(sighting.key, sighting.name, "waiting", **known))
    loop = Loop(tmp_path, settings)
    try:
        scan = loop.until(all_in("refined", "failed"))["a.npy"]
    finally:
        loop.end()
    assert 0 < scan.seconds_to_image < scan.seconds_to_refined < PATIENCE
    pictures = sorted(path.name for path in left.parent.glob("*.png"))
    assert pictures[-1] == Path(scan.thumbnail).name
    assert left.name not in pictures, "the first image's, and the refined one's"
    assert len(pictures) == KEPT


def test_a_fault_while_looking_is_told_once_and_ends_no_watcher(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError("of a damaged file")

    monkeypatch.setattr("autophasenn.live.watcher.Arrivals.look", fail)
    for _ in range(3):
        loop.until(lambda _: True)
    assert caplog.text.count("WARNING") == 1
    assert "of a damaged file" in caplog.text


def test_a_results_folder_that_cannot_be_held_is_told_in_a_sentence(tmp_path: Path, nursery: Nursery) -> None:
    with watching(tmp_path, nursery) as watch:
        (watch.results / LOCK).mkdir(parents=True)
        watch.begin()
        running, watch.running = watch.running, None
        assert running.end() == 2
        (line,) = watch.log.splitlines()
        assert "keeps a second process out" in line


def test_a_worker_that_cannot_work_says_why(settings: Settings, tmp_path: Path) -> None:
    worker = Worker("network", replace(settings, run=Run(weights=tmp_path / "none.safetensors")), ROOMY)
    try:
        assert connection.wait([worker.connection], PATIENCE)
        with pytest.raises(InputError, match=r"none\.safetensors"):
            worker.answer()
    finally:
        worker.end()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"folder": None}, "nothing to watch"),
        ({"poll": 0.0}, "--poll is 0"),
        ({"poll": math.inf}, "--poll is inf"),
        ({"largest": math.nan}, "--largest is nan"),
        ({"settle": -1.0}, "--settle is -1"),
        ({"folder": None, "streams": ("zmq",), "notify": True}, "--notify is"),
        ({"results": Path()}, "another -o"),
    ],
)
def test_options_that_make_no_sense_are_told(tmp_path: Path, options: dict, sentence: str) -> None:
    with pytest.raises(PlanError, match=sentence):
        Watch(**{"folder": Path(), "results": tmp_path, "settings": Settings(), **options})


def test_without_a_limit_scans_of_any_size_and_any_memory_are_taken(tmp_path: Path) -> None:
    endless = Watch(Path(), tmp_path, Settings(), largest=math.inf, memory_limit=math.inf, time_limit=math.inf)
    assert endless.largest_bytes > 2**60
    assert endless.limits().memory > 2**60


def test_a_dataset_of_a_beamlines_folders_is_refused() -> None:
    with pytest.raises(PlanError, match="--dataset belongs"):
        Settings(Source(beamline="34idc", spec=Path("a.spec")), dataset="/a")


def test_a_part_of_a_scan_has_the_geometry_of_the_whole_and_holds_the_peak() -> None:
    geometry = RockingGeometry(9e3, 0.5, (55e-6, 55e-6), 32.0, 12.0, 0.005, (150.0, 200.0))
    frames = np.random.default_rng(1).poisson(1, (9, 300, 400)).astype(np.uint16)
    frames[4, 200:205, 330:335] += 1000
    frames[:, 20, 20] = 60000  # hot
    frames[:, 100:110] = 65535  # a gap
    part = near_peak(Scan(frames, dark=frames[0], mask=frames[0] < 65535, geometry=geometry))
    assert part.frames.shape == (9, EDGE, EDGE)
    assert part.dark.shape == part.mask.shape == (EDGE, EDGE)
    frame, row, column = np.unravel_index(np.where(part.frames < 60000, part.frames, 0).argmax(), part.frames.shape)
    assert abs(row - EDGE // 2) <= 3
    assert frame == 4
    shifted = (float(row), float(column))
    whole = next((float(r), float(c)) for r, c in np.argwhere(frames[4] == part.frames[4, row, column]))
    np.testing.assert_allclose(part.geometry.reciprocal_steps(shifted), geometry.reciprocal_steps(whole))
    np.testing.assert_allclose(part.geometry.scattering_vector(shifted), geometry.scattering_vector(whole))


def test_a_small_scan_is_left_as_it_is() -> None:
    scan = Scan(np.ones((5, EDGE, EDGE)))
    assert near_peak(scan) is scan
