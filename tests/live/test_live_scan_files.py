"""Scans of beamlines that write files: found, seen to grow, complete when they are, whatever else happens to the files."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from growing import GrowingBliss
from layouts import LAYOUTS as WRITERS
from layouts import P10, Aps1ide, Aps7idd, Id01Bliss, Id01Spec

from autophasenn.beamlines import BEAMLINES, read_scan
from autophasenn.beamlines.watched import LAYOUTS, is_written
from autophasenn.errors import InputError
from autophasenn.live.arrivals import Arrivals
from autophasenn.live.ledger import Ledger
from autophasenn.live.options import SCANS, Watch
from autophasenn.live.peeking import Peeker
from autophasenn.live.scan_files import ScanFiles
from autophasenn.live.settings import Settings
from autophasenn.live.sightings import FrameFolders, Place
from autophasenn.live.stack_sum import StackSum, sum_of_frames
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.source import Source


class AtOnce(Peeker):
    """Looks in this process."""

    def ask(self, look: Callable, *arguments: object) -> object:
        return look(*arguments)


def place_in(folder: Path, name: str, detector: str | None = None) -> ScanFiles:
    return ScanFiles(folder, SCANS, LAYOUTS[name], AtOnce(), 2.0, 60.0, detector)


def settings_of(name: str, spec: Path | None = None, detector: str | None = None) -> Settings:
    instrument = Instrument(detector=detector)
    return Settings(Source(beamline=name, spec=spec, instrument=instrument))


def frames_for(layout: type) -> np.ndarray:
    experiment = layout.experiment
    return np.random.default_rng(3).poisson(0.1, (experiment.frames, *experiment.shape)).astype(np.uint32)


def places_for(root: Path, name: str, spec: Path | None) -> list[Place]:
    return Watch(root, root.parent / "results", settings_of(name, spec)).places(AtOnce())


@pytest.mark.parametrize("layout", WRITERS, ids=lambda layout: layout.__name__)
def test_a_scan_of_every_beamline_is_found_once_and_its_reader_takes_it(tmp_path: Path, layout: type) -> None:
    root = tmp_path / "data"
    root.mkdir()
    frames = frames_for(layout)
    written = layout.write(root, frames, layout.experiment)
    (place,) = places_for(root, layout.name, written.options.get("spec"))
    (seen,) = place.look()
    assert seen.frames == len(frames)
    assert seen.scan == written.options.get("scan")
    options = {**written.arguments(), "scan": seen.scan}
    np.testing.assert_array_equal(read_scan(layout.name, seen.path, **options).frames.shape, frames.shape)


class Followed:
    """A folder of BLISS files, its ledger, and a clock that the tests turn."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, name: str = "id01") -> None:
        self.folder = root / "data"
        self.folder.mkdir()
        (root / "results").mkdir()
        self.ledger = Ledger.open(root / "results")
        self.now = time.time()
        monkeypatch.setattr("autophasenn.live.arrivals.time.time", lambda: self.now)
        self.follow(name)

    def follow(self, name: str = "id01", detector: str | None = None) -> None:
        self.arrivals = Arrivals(self.ledger, [place_in(self.folder, name, detector)], 10**12)

    def look(self, after: float = 0.0) -> dict[str, str]:
        self.now += after
        self.arrivals.look()
        return {scan.name: scan.state for scan in self.ledger.scans()}


@pytest.fixture
def followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Followed]:
    made = Followed(tmp_path, monkeypatch)
    yield made
    made.ledger.close()


IMAGES = np.random.default_rng(4).poisson(3, (6, 20, 30)).astype(np.uint32)
POSITIONS = 18 + 0.01 * np.arange(6)


def test_a_scan_of_bliss_arrives_while_it_is_measured_and_waits_once_it_has_ended(followed: Followed) -> None:
    scan = GrowingBliss(followed.folder / "sample.h5", 3, POSITIONS)
    assert followed.look() == {}  # a scan that has no frame yet
    for number, image in enumerate(IMAGES):
        scan.frame(image)
        assert followed.look(30) == {"sample_3": "arriving"}
        assert followed.ledger.scan("scans/sample_3").frames == number + 1
    scan.end()
    assert followed.look(0.5) == {"sample_3": "waiting"}  # at once: it has all points that were commanded
    record = followed.ledger.scan("scans/sample_3")
    assert (record.number, record.source) == (3, str(followed.folder / "sample.h5"))
    frames = read_scan("id01", record.source, scan=record.number).frames
    np.testing.assert_array_equal(frames, IMAGES)


def test_a_scan_that_was_stopped_or_whose_writer_was_killed_is_taken_as_it_is(followed: Followed) -> None:
    stopped, killed = (GrowingBliss(followed.folder / "sample.h5", number, POSITIONS) for number in (1, 2))
    for image in IMAGES[:3]:
        stopped.frame(image)
        killed.frame(image)
    stopped.end()
    assert set(followed.look().values()) == {"arriving"}
    assert followed.look(2.1) == {"sample_1": "waiting", "sample_2": "arriving"}
    assert followed.look(60) == {"sample_1": "waiting", "sample_2": "waiting"}


def test_a_further_scan_in_a_file_makes_no_scan_before_it_new(followed: Followed) -> None:
    for number in (1, 2):
        scan = GrowingBliss(followed.folder / "sample.h5", number, POSITIONS)
        for image in IMAGES:
            scan.frame(image)
        scan.end()
        states = followed.look(1)
        assert states[f"sample_{number}"] == "waiting"
        followed.ledger.change(f"scans/sample_{number}", state="refined")
        assert set(followed.look(5).values()) == {"refined"}
    os.utime(followed.folder / "sample.h5")
    followed.follow()  # another watcher
    assert followed.look(5) == {"sample_1": "refined", "sample_2": "refined"}


def test_a_scan_is_found_once_though_a_master_links_to_it_and_scans_of_counters_alone_are_passed_over(
    followed: Followed,
) -> None:
    Id01Bliss.write(followed.folder, frames_for(Id01Bliss), Id01Bliss.experiment)
    with h5py.File(followed.folder / "raw" / "sample.h5", "a") as file:
        file["13.1/title"] = "ascan piy 0 10 20 0.1"
        file["13.1/measurement/piy"] = np.arange(21.0)
        file["13.1/end_time"] = "2024"
    assert set(followed.look()) == {"raw__sample_12"}


def test_what_a_broken_file_holds_is_as_it_was_and_one_that_never_was_whole_is_listed(followed: Followed) -> None:
    scan = GrowingBliss(followed.folder / "sample.h5", 1, POSITIONS)
    for image in IMAGES[:4]:
        scan.frame(image)
    assert followed.look() == {"sample_1": "arriving"}
    whole = scan.path.read_bytes()
    scan.path.write_bytes(whole[: len(whole) // 3])  # as a copy is for a while
    (followed.folder / "other.h5").write_bytes(b"no HDF5 file")
    assert followed.look(1) == {"sample_1": "arriving", "other.h5": "arriving"}
    scan.path.write_bytes(whole)
    assert followed.look(1) == {"sample_1": "arriving", "other.h5": "arriving"}
    assert followed.look(61)["other.h5"] == "waiting"
    with pytest.raises(InputError, match="HDF5"):
        read_scan("id01", followed.folder / "other.h5", scan=1)


def test_of_two_detectors_the_frames_of_the_one_that_is_asked_for_are_awaited(followed: Followed) -> None:
    scan = GrowingBliss(followed.folder / "sample.h5", 1, POSITIONS)
    for image in IMAGES[:4]:
        scan.frame(image)
    with h5py.File(scan.path, "a") as file:
        file["1.1/measurement/basler"] = np.zeros((9, 5, 5), np.uint8)
    followed.follow(detector="eiger4m")
    followed.look()
    assert followed.ledger.scan("scans/sample_1").frames == 4
    followed.follow(detector="basler")
    followed.look()
    assert followed.ledger.scan("scans/sample_1").frames == 9


@pytest.mark.parametrize("swmr", [False, True])
def test_a_file_that_a_program_has_open_for_writing_is_seen_as_that(tmp_path: Path, swmr: bool) -> None:
    path = tmp_path / "000042.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("entry/measurement/merlin/frames", data=IMAGES, chunks=(1, 20, 30), maxshape=(None, 20, 30))
        file["entry/snapshots/post_scan/energy"] = [9000.0]
        if swmr:
            file.swmr_mode = True
        file.flush()
        assert is_written(path)
        (seen,) = place_in(tmp_path, "nanomax").look()
        assert (seen.frames, seen.quiet) == (6, 60.0)
    assert not is_written(path)
    (seen,) = place_in(tmp_path, "nanomax").look()
    assert (seen.frames, seen.quiet) == (6, 2.0)
    assert not is_written(tmp_path / "none.h5")


def test_a_file_of_nexus_without_its_end_time_is_still_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "1.nxs", "w") as file:
        file["entry1/instrument/pil3/data"] = IMAGES
    (seen,) = place_in(tmp_path, "i16").look()
    assert seen.quiet == 60.0
    with h5py.File(tmp_path / "1.nxs", "a") as file:
        file["entry1/end_time"] = "2026-05-01T10:10:00"
    (seen,) = place_in(tmp_path, "i16").look()
    assert seen.quiet == 2.0


def test_a_scan_of_p10_awaits_the_points_that_were_commanded(tmp_path: Path) -> None:
    written = P10.write(tmp_path, frames_for(P10)[:, :40, :40], P10.experiment)
    (seen,) = place_in(tmp_path, "p10").look()
    assert (seen.name, seen.quiet) == ("sample_00007", 2.0)
    log = written.path / "sample_00007.fio"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:-2]) + "\n")
    (seen,) = place_in(tmp_path, "p10").look()
    assert seen.quiet == 60.0
    log.unlink()
    (seen,) = place_in(tmp_path, "p10").look()
    assert seen.quiet == 60.0
    (seen,) = place_in(written.path, "p10").look()  # who watches the folder of a scan
    assert seen.name == "sample_00007"


def test_a_scan_of_a_spec_file_awaits_its_points_and_its_images(tmp_path: Path) -> None:
    written = Id01Spec.write(tmp_path, frames_for(Id01Spec)[:, :40, :40], Id01Spec.experiment)
    last = sorted(written.path.glob("*.edf.gz"))[-1]
    (place,) = places_for(tmp_path, "id01", written.options["spec"])
    (seen,) = place.look()
    assert (seen.name, seen.frames, seen.quiet, seen.scan) == ("edf_12", 13, 2.0, 12)
    last.rename(last.with_suffix(".later"))
    (place,) = places_for(tmp_path, "id01", written.options["spec"])
    (seen,) = place.look()
    assert (seen.frames, seen.quiet) == (12, 60.0)


def test_frames_of_a_growing_file_are_summed_as_they_come_and_none_twice(tmp_path: Path) -> None:
    scan = GrowingBliss(tmp_path / "sample.h5", 1, POSITIONS)
    total = StackSum(AtOnce())
    assert not total.update(1.0)
    images = np.where(IMAGES == 9, 2**32 - 1, IMAGES).astype(np.uint32)  # pixels that are not measured
    for number, image in enumerate(images, start=1):
        scan.frame(image)
        (seen,) = place_in(tmp_path, "id01").look()
        total.stack = seen.stack
        assert total.update(1.0) == (number > 1)
        assert not total.update(1.0)
    np.testing.assert_array_equal(total.sum, np.where(IMAGES == 9, 0, IMAGES)[:-1].sum(axis=0))
    assert total.draw(tmp_path / "sum.png")
    scan.frames.unlink()
    total._counted.clear()
    assert not total.update(1.0)


def hang(path: Path) -> None:
    """As a library does on a ring of headers."""
    signal.pause()


def crash(path: Path) -> None:
    """As a decoder does that reads past an end."""
    os.kill(os.getpid(), signal.SIGSEGV)


def test_a_library_that_crashes_or_hangs_is_a_sentence_and_the_next_look_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = GrowingBliss(tmp_path / "sample.h5", 1, POSITIONS)
    scan.frame(IMAGES[0])
    scan.frame(IMAGES[1])
    peeker = Peeker()
    try:
        with pytest.raises(InputError, match=r"crashed while it looked into .*sample\.h5"):
            peeker.ask(crash, scan.path)
        assert peeker.ask(sum_of_frames, scan.frames, "/entry_0000/instrument/eiger4m/data", 0, 8)[1] == 1
        with pytest.raises(InputError, match=r"has no frames at /none"):
            peeker.ask(sum_of_frames, scan.frames, "/none", 0, 8)
        monkeypatch.setattr("autophasenn.live.peeking.PATIENCE", 0.2)
        with pytest.raises(InputError, match=r"gave no answer within 0\.2 s"):
            peeker.ask(hang, scan.path)
    finally:
        peeker.end()


def test_every_beamline_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folders = {"34idc", "7idd", "1ide"}
    for name in BEAMLINES:
        (place,) = places_for(tmp_path / "data", name, tmp_path / "made.spec")
        assert isinstance(place, ScanFiles) == (name not in folders), name


@pytest.mark.parametrize("layout", [Aps7idd, Aps1ide], ids=lambda layout: layout.name)
def test_a_stopped_scan_of_frames_and_spec_is_taken_when_it_is_abandoned_up_to_its_last_recorded_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: type[Aps7idd]
) -> None:
    root, experiment = tmp_path / "data", replace(layout.experiment, shape=(6, 8), first=(0, 0), peak=(3, 4))
    root.mkdir()
    frames = np.random.default_rng(3).poisson(1, (experiment.frames, 6, 8)).astype(np.uint32)
    scan = layout.write(root, frames, experiment)
    watch = Watch(root, tmp_path / "results", settings_of(layout.name, scan.options["spec"]), abandon=60.0)
    (tmp_path / "results").mkdir()
    ledger, now = Ledger.open(tmp_path / "results"), time.time()
    arrivals = Arrivals(ledger, watch.places(AtOnce()), 10**12)
    clock = [now]
    monkeypatch.setattr("autophasenn.live.arrivals.time.time", lambda: clock[0])

    def states(after: float) -> set[str]:
        clock[0] = now + after
        arrivals.look()
        return {each.state for each in ledger.scans()}

    lines = scan.options["spec"].read_text().rstrip("\n").split("\n")
    log, stopped = scan.options["spec"], experiment.frames // 2
    log.write_text("\n".join(lines[: len(lines) - experiment.frames + stopped]) + "\n\n")
    for path in sorted(scan.path.iterdir())[stopped + 1 :]:
        path.unlink()
    assert states(1.0) == {"arriving"}
    assert states(50.0) == {"arriving"}
    assert states(62.0) == {"waiting"}
    read = read_scan(layout.name, scan.path, **scan.arguments())
    assert len(read.frames) == stopped
    assert any(f"the first {stopped} frames are used" in warning for warning in read.warnings)
    ledger.close()


@pytest.mark.parametrize("layout", [Aps7idd, Aps1ide], ids=lambda layout: layout.name)
def test_the_frames_of_a_scan_are_known_once_its_spec_file_has_all_points(
    tmp_path: Path, layout: type[Aps7idd]
) -> None:
    experiment = replace(layout.experiment, shape=(6, 8), first=(0, 0), peak=(3, 4))
    scan = layout.write(tmp_path, np.ones((experiment.frames, 6, 8), np.uint32), experiment)
    (place,) = places_for(tmp_path, layout.name, scan.options["spec"])
    (seen,) = place.look()
    assert (seen.frames, seen.quiet) == (experiment.frames, 0.0)


def test_a_folder_of_frames_is_listed_whatever_its_name_so_that_what_is_wrong_with_it_is_said(tmp_path: Path) -> None:
    for name in ("my scan {{7*7}}", "Staff20-1a_S0054", "notes"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ("a.txt" if name == "notes" else "a_000.tif")).write_bytes(b"a")
    place = FrameFolders(tmp_path, "scans/", lambda _: None, settle=0.0, abandon=0.0)
    assert {each.name for each in place.look()} == {"my scan {{7*7}}", "Staff20-1a_S0054"}
