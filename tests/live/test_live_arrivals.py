"""What counts as a scan, and when it is complete."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from autophasenn.errors import InputError
from autophasenn.live.arrivals import Arrivals
from autophasenn.live.ledger import FILE, Ledger
from autophasenn.live.pictures import FrameSum
from autophasenn.live.sightings import Files, FrameFolders, Place

LONG_AGO = 1_000_000_000


class Watched:
    """A folder, its ledger, and a clock that the tests turn."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.results = root / "data", root / "results"
        self.folder.mkdir()
        self.results.mkdir()
        self.ledger = Ledger.open(self.results)
        self.now = 2_000_000_000.0
        monkeypatch.setattr("autophasenn.live.arrivals.time.time", lambda: self.now)

    def follow(self, *places: Place, largest: int = 10**9, retry: bool = False) -> None:
        self.arrivals = Arrivals(self.ledger, places or [Files(self.folder, "scans/", 2.0, 60.0)], largest, retry)

    def write(self, name: str, content: bytes = b"12345678", changed: float | None = None) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        when = self.now if changed is None else changed
        os.utime(path, (when, when))
        return path

    def look(self, after: float = 0.0) -> dict[str, str]:
        self.now += after
        self.arrivals.look()
        return {scan.name: scan.state for scan in self.ledger.scans()}


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(tmp_path, monkeypatch)
    yield made
    made.ledger.close()


def test_a_file_waits_once_it_has_not_grown_for_the_settle_time(watched: Watched) -> None:
    watched.follow()
    assert watched.look() == {}
    watched.write("a.npz")
    assert watched.look(0.5) == {"a.npz": "arriving"}
    assert watched.look(1.5) == {"a.npz": "arriving"}
    watched.write("a.npz", b"and more")
    assert watched.look(0.6) == {"a.npz": "arriving"}
    assert watched.look(1.9) == {"a.npz": "arriving"}
    assert watched.look(0.2) == {"a.npz": "waiting"}


def test_an_empty_file_may_be_written_to_for_longer(watched: Watched) -> None:
    watched.follow()
    watched.look()
    watched.write("a.npz", b"")
    watched.look(1)
    assert watched.look(59) == {"a.npz": "arriving"}
    assert watched.look(2) == {"a.npz": "waiting"}


def test_the_clock_of_the_disk_is_not_trusted_between_two_looks(watched: Watched) -> None:
    watched.follow()
    watched.look()
    watched.write("old.npz", changed=LONG_AGO)
    watched.write("future.npz", changed=watched.now + 10**6)
    assert set(watched.look(0.5).values()) == {"arriving"}
    assert set(watched.look(2.1).values()) == {"waiting"}
    for scan in watched.ledger.scans():
        assert watched.now - 2.6 - 1e-6 <= scan.arrived <= watched.now - 2.1 + 1e-6


def test_what_was_there_for_long_is_complete_at_the_first_look(watched: Watched) -> None:
    watched.write("a.npz", changed=LONG_AGO)
    watched.follow()
    assert watched.look() == {"a.npz": "waiting"}
    scan = watched.ledger.scan("scans/a.npz")
    assert scan.arrived == LONG_AGO
    assert scan.counted_from == watched.now  # what nobody watched did not wait


def test_only_patterns_are_scans_and_hidden_files_are_still_copied(watched: Watched) -> None:
    for name in ("notes.txt", ".a.npz.X1", "a.npz.part", "b.TIF", "c.h5"):
        watched.write(name, changed=LONG_AGO)
    (watched.folder / "folder.npz").mkdir()
    watched.follow()
    assert set(watched.look()) == {"b.TIF"}
    watched.follow(Files(watched.folder, "scans/", 2.0, 60.0, dataset="/entry/data"))
    assert set(watched.look()) == {"b.TIF", "c.h5"}


def test_what_a_ledger_knows_unchanged_is_left_alone_and_what_changed_waits_anew(watched: Watched) -> None:
    path = watched.write("a.npz", changed=LONG_AGO)
    watched.follow()
    watched.look()
    watched.ledger.change("scans/a.npz", state="refined", result="scans/a.npz/refined")
    watched.follow()  # a new watcher
    assert watched.look(10) == {"a.npz": "refined"}
    path.write_bytes(b"another pattern")
    assert watched.look(10) == {"a.npz": "arriving"}
    assert watched.ledger.scan("scans/a.npz").result == "scans/a.npz/refined"  # is shown until there is a newer one
    assert watched.look(3) == {"a.npz": "waiting"}


def test_a_scan_that_arrived_while_the_watcher_was_killed_goes_on_arriving(watched: Watched) -> None:
    watched.follow()
    watched.look()
    watched.write("a.npz")
    watched.look(0.5)
    watched.follow()
    assert watched.look(1) == {"a.npz": "arriving"}
    assert watched.look(2.1) == {"a.npz": "waiting"}


def test_files_that_vanish_are_listed(watched: Watched) -> None:
    watched.follow()
    watched.look()
    path = watched.write("a.npz")
    watched.look(0.5)
    path.unlink()
    assert watched.look(0.5) == {"a.npz": "failed"}
    assert "removed" in watched.ledger.scan("scans/a.npz").reason
    watched.write("a.npz")
    assert watched.look(0.5) == {"a.npz": "arriving"}


def test_a_scan_above_the_limit_is_listed_and_not_read(watched: Watched) -> None:
    watched.write("a.npz", b"1" * 1000, changed=LONG_AGO)
    watched.follow(largest=999)
    assert watched.look() == {"a.npz": "failed"}
    assert "--largest" in watched.ledger.scan("scans/a.npz").reason
    watched.follow(largest=999, retry=True)
    assert watched.look() == {"a.npz": "failed"}
    watched.follow(largest=1000, retry=True)
    assert watched.look() == {"a.npz": "waiting"}


def test_what_failed_is_tried_once_more_where_that_is_asked_for(watched: Watched) -> None:
    watched.write("a.npz", changed=LONG_AGO)
    watched.follow()
    watched.look()
    watched.ledger.change("scans/a.npz", state="failed", reason="It was so.", result="scans/a.npz/network")
    watched.follow()
    assert watched.look(1) == {"a.npz": "failed"}
    watched.follow(retry=True)
    assert watched.look(1) == {"a.npz": "waiting"}
    scan = watched.ledger.scan("scans/a.npz")
    assert (scan.reason, scan.result, scan.counted_from) == (None, "scans/a.npz/network", watched.now - 1)
    watched.ledger.change("scans/a.npz", state="failed")
    assert watched.look(1) == {"a.npz": "failed"}


def test_a_folder_is_complete_with_its_last_frame_and_not_before(watched: Watched) -> None:
    expected: dict[str, int | None] = {"s": None}
    watched.follow(FrameFolders(watched.folder, "scans/", lambda folder: expected[folder.name], 2.0, 60.0))
    for index in range(3):
        watched.write(f"s/s_{index}.tif")
        assert watched.look(5) == {"s": "arriving"}
    assert watched.ledger.scan("scans/s").frames == 3
    expected["s"] = 4
    watched.write("s/s_3.tif", b"123")  # the last one is not yet whole
    assert watched.look(1) == {"s": "arriving"}
    watched.write("s/s_3.tif")
    assert watched.look(1) == {"s": "waiting"}
    assert watched.ledger.scan("scans/s").frames == 4


def test_a_scan_that_was_stopped_is_complete_after_a_while(watched: Watched) -> None:
    watched.follow(FrameFolders(watched.folder, "scans/", lambda folder: 201, 2.0, 60.0))
    watched.look()
    watched.write("s/s_0.tif")
    watched.look(1)
    assert watched.look(59) == {"s": "arriving"}
    assert watched.ledger.scan("scans/s").expected == 201
    assert watched.look(2) == {"s": "waiting"}
    watched.write("s/s_1.tif")  # it goes on after all
    assert watched.look(10) == {"s": "arriving"}


@pytest.mark.parametrize("frames", [1, 2])
def test_a_folder_that_is_complete_or_still_for_long_is_not_listed_again(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("autophasenn.live.sightings.time.monotonic", lambda: watched.now)

    def expected(folder: Path) -> int:
        asked.append(folder.name)
        return frames

    watched.write("s/s_0.tif")
    watched.follow(FrameFolders(watched.folder, "scans/", expected, 2.0, 60.0))
    for _ in range(5):
        watched.look(40)
    assert len(asked) == (1 if frames == 1 else 4)
    watched.write("s/s_1.tif")
    watched.look(1)
    assert len(asked) == (2 if frames == 1 else 5)


def test_a_link_that_leads_nowhere_hides_no_scan(watched: Watched) -> None:
    for name in ("loop", "loop.npz"):
        (watched.folder / name).symlink_to(watched.folder / name)
        (watched.folder / f"gone-{name}").symlink_to(watched.folder / "nowhere")
    watched.write("a.npz")
    watched.write("s/s_0.tif")
    folders = FrameFolders(watched.folder, "folders/", lambda folder: 1, 2.0, 60.0)
    watched.follow(folders, Files(watched.folder, "scans/", 2.0, 60.0))
    watched.look()
    assert watched.arrivals.present == {"folders/s", "scans/a.npz"}


@pytest.mark.parametrize("frames", [0, 1])
def test_a_folder_whose_hidden_files_changed_is_not_listed_for_ever(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, frames: int
) -> None:
    monkeypatch.setattr("autophasenn.live.sightings.time.monotonic", lambda: watched.now)
    place = FrameFolders(watched.folder, "scans/", lambda folder: 1, 2.0, 60.0)
    listed: list[Path] = []
    list_one = place._list
    monkeypatch.setattr(place, "_list", lambda folder: (listed.append(folder), list_one(folder))[1])
    watched.follow(place)
    folder = watched.write("s/s_0.tif").parent
    if not frames:
        (folder / "s_0.tif").unlink()
    watched.look()
    watched.write("s/.hidden").unlink()
    os.utime(folder, (watched.now, watched.now))
    for _ in range(5):
        watched.look(20)
    assert len(listed) == 2


def test_a_missing_folder_is_told_and_hides_no_other(watched: Watched) -> None:
    gone = watched.folder.parent / "gone"
    gone.mkdir()
    watched.follow(Files(gone, "gone/", 2.0, 60.0), Files(watched.folder, "scans/", 2.0, 60.0))
    watched.look()
    (gone / "b.npz").write_bytes(b"1")
    watched.look()
    gone.rename(gone.with_name("away"))
    watched.write("a.npz")
    for _ in range(2):
        with pytest.raises(InputError, match="gone"):
            watched.look(3)
    states = {scan.name: scan.state for scan in watched.ledger.scans()}
    assert states == {"a.npz": "waiting", "b.npz": "arriving"}  # it was not removed, it is out of sight
    assert watched.arrivals.present == {"scans/a.npz"}
    gone.with_name("away").rename(gone)
    assert watched.look() == {"a.npz": "waiting", "b.npz": "waiting"}
    assert watched.arrivals.present == {"scans/a.npz", "gone/b.npz"}


def test_a_scan_that_the_ledger_could_not_take_is_entered_later(watched: Watched) -> None:
    watched.follow()
    watched.look()
    path = watched.write("a.npz")
    for after, expected in ((1, "arriving"), (3, "waiting")):
        with sqlite3.connect(watched.results / FILE) as other:
            other.execute("CREATE TRIGGER a BEFORE UPDATE ON scans BEGIN SELECT RAISE(FAIL, 'full'); END")
            other.execute("CREATE TRIGGER b BEFORE INSERT ON scans BEGIN SELECT RAISE(FAIL, 'full'); END")
        with pytest.raises(InputError, match="full"):
            watched.look(after)
        with sqlite3.connect(watched.results / FILE) as other:
            other.executescript("DROP TRIGGER a; DROP TRIGGER b;")
        assert watched.look() == {"a.npz": expected}
    assert path.exists()


def test_a_name_that_is_no_text_is_told_once_and_the_others_are_followed(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write(os.fsdecode(b"gold\xe9.npz"))
    watched.write("a.npz")
    watched.follow()
    watched.look()
    assert watched.look(3) == {"a.npz": "waiting"}
    assert caplog.text.count("not UTF-8") == 1


@pytest.mark.parametrize("damage", [b"\x00\x00", b"\xff\xff"])
def test_a_damaged_frame_is_left_out_of_the_preview_wherever_it_is_damaged(tmp_path: Path, damage: bytes) -> None:
    tifffile.imwrite(tmp_path / "f_0.tif", np.ones((4, 5), np.uint16))
    whole = (tmp_path / "f_0.tif").read_bytes()
    for place in range(len(whole) - 1):
        (tmp_path / f"f_{place + 1}.tif").write_bytes(whole[:place] + damage + whole[place + 2 :])
    total = FrameSum(tmp_path)
    assert total.update(60.0)
    assert total.sum is not None


def test_what_cannot_be_drawn_is_no_preview(tmp_path: Path) -> None:
    assert not FrameSum(tmp_path, np.ones((1, 2000))).draw(tmp_path / "preview.png")
    assert not FrameSum(tmp_path).draw(tmp_path / "preview.png")


def test_the_preview_is_the_sum_of_the_frames_so_far(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).poisson(5, (6, 20, 30)).astype(np.uint16)
    total = FrameSum(tmp_path)
    assert not total.update(1.0)
    for index, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / f"f_{index}.tif", frame)
    (tmp_path / "f_2.tif").write_bytes(b"broken")
    assert total.update(10.0)
    np.testing.assert_array_equal(total.sum, frames[[0, 1, 3, 4]].sum(0))  # the newest may not be whole yet
    assert not total.update(10.0)
    assert total.draw(tmp_path / "preview.png")
    from PIL import Image

    with Image.open(tmp_path / "preview.png") as picture:
        assert picture.size == (30, 20)
