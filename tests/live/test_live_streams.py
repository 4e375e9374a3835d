"""Frames of a detector stream: kept as they come, a scan when they end, and nothing that was received lost by a kill."""

import errno
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tifffile
from live_watching import counts, watching
from mortal import Nursery

from autophasenn.files.readers import read_pattern_file
from autophasenn.live.sending import series_1
from autophasenn.live.spool import OPEN, Spool, safe_name
from autophasenn.live.streams import FRAMES, NAME, PvaFrames, ZmqFrames

pytest.importorskip("zmq", reason="the extra `live` is not installed")
pytest.importorskip("p4p", reason="the extra `live` is not installed")
FRAME_STACK = np.random.default_rng(3).poisson(50, (6, 4, 5)).astype(np.uint16)


def spool_in(folder: Path, pack: bool = True, abandon: float = 60.0) -> Spool:
    return Spool(folder, pack, abandon)


def series(frames: np.ndarray = FRAME_STACK, number: int = 7) -> Iterator[list[bytes]]:
    return series_1("gold", enumerate(frames), len(frames), frames.dtype, number)


def packed(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    scan = read_pattern_file(path)
    return scan.frames, scan.mask


def test_the_last_expected_frame_makes_one_file_of_a_scan(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.begin("gold 1/a", 10, len(FRAME_STACK))
    for number, frame in enumerate(FRAME_STACK, start=10):
        assert spool.receiving == ["gold_1_a"]
        spool.frame("gold 1/a", number, frame)
    assert spool.receiving == []
    assert [path.name for path in tmp_path.iterdir()] == ["gold_1_a.npz"]
    frames, mask = packed(tmp_path / "gold_1_a.npz")
    np.testing.assert_array_equal(frames, FRAME_STACK)
    assert frames.dtype == FRAME_STACK.dtype
    assert mask is None


def test_frames_that_never_came_are_unmeasured(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.begin("a", 0, 7)
    for number in (0, 2, 3, 5):
        spool.frame("a", number, FRAME_STACK[number])
    spool.end("a")
    frames, mask = packed(tmp_path / "a.npz")
    came = np.array([True, False, True, True, False, True, False])
    np.testing.assert_array_equal(mask, np.broadcast_to(came[:, None, None], mask.shape))
    np.testing.assert_array_equal(frames[came], FRAME_STACK[[0, 2, 3, 5]])


def test_a_scan_goes_on_after_a_kill(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.begin("a", 5, 6)
    for number in range(3):
        spool.frame("a", 5 + number, FRAME_STACK[number])
    after = spool_in(tmp_path)
    assert after.receiving == ["a"]
    assert after.last("a") == 7
    after.begin("a", 8, 6)  # it knows that it has begun
    for number in range(3, 6):
        after.frame("a", 5 + number, FRAME_STACK[number])
    np.testing.assert_array_equal(packed(tmp_path / "a.npz")[0], FRAME_STACK)


def test_a_scan_of_a_known_name_takes_the_place_of_no_other(tmp_path: Path) -> None:
    for pack in (True, False):
        spool = spool_in(tmp_path / str(pack), pack)
        for _ in range(3):
            spool.begin("a", 0, 1)
            spool.frame("a", 0, FRAME_STACK[0])
        assert {path.stem for path in spool.folder.iterdir()} == {"a", "a-2", "a-3"}


def test_a_kill_after_a_scan_was_packed_leaves_it_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_in(tmp_path)
    spool.begin("a", 0, 6)

    def killed(folder: Path) -> None:
        (folder / "a_00000.tif").unlink()
        raise KeyboardInterrupt

    for number, frame in enumerate(FRAME_STACK[:-1]):
        spool.frame("a", number, frame)
    with monkeypatch.context() as patch:
        patch.setattr("autophasenn.live.spool.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            spool.frame("a", 5, FRAME_STACK[5])
    assert not (tmp_path / "a" / OPEN).exists()
    after = spool_in(tmp_path, abandon=0.0)
    after.tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    np.testing.assert_array_equal(packed(tmp_path / "a.npz")[0], FRAME_STACK)


def test_an_aborted_series_and_the_next_one_of_its_name_are_two_scans(tmp_path: Path) -> None:
    frames = ZmqFrames(spool_in(tmp_path))
    for message in list(series())[:4]:
        frames.take(message)
    for message in series(FRAME_STACK[::-1], 8):
        frames.take(message)
    np.testing.assert_array_equal(packed(tmp_path / "gold-2.npz")[0], FRAME_STACK[::-1])
    frames, mask = packed(tmp_path / "gold.npz")
    np.testing.assert_array_equal(frames[:3], FRAME_STACK[:3])
    assert mask.any(axis=(1, 2)).tolist() == [True] * 3 + [False] * 3


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_no_stream_and_loses_no_frame_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    frames = ZmqFrames(spool_in(tmp_path, abandon=0.0))
    first, *rest, last = series()
    frames.take(first)
    with monkeypatch.context() as patch:
        patch.setattr("tifffile.imwrite", full)
        for message in rest[:2]:
            frames.take(message)
    assert caplog.text.count("No space left") == 1
    with monkeypatch.context() as patch:
        patch.setattr("autophasenn.live.spool.zipfile.ZipFile", full)
        for message in (*rest[2:], last):
            frames.take(message)
        frames.spool.tidy()
        assert len(list(tmp_path.rglob("*.tif"))) == 4
    frames.spool.tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["gold.npz"]
    kept, mask = packed(tmp_path / "gold.npz")
    assert mask.any(axis=(1, 2)).tolist() == [False] * 2 + [True] * 4
    np.testing.assert_array_equal(kept[2:], FRAME_STACK[2:])


def test_a_frame_that_a_kill_cut_short_is_unmeasured(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    spool.begin("a", 0, 6)
    for number, frame in enumerate(FRAME_STACK[:5]):
        spool.frame("a", number, frame)
    (tmp_path / "a" / "a_00000.tif").write_bytes(b"")
    (tmp_path / "a" / ".a_00005.tif").write_bytes(b"II*")
    spool.end("a")
    assert packed(tmp_path / "a.npz")[1].any(axis=(1, 2)).tolist() == [False] + [True] * 4 + [False]


def test_for_a_beamline_the_folder_of_frames_is_the_scan(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, pack=False)
    spool.begin("x_S0054", 0, 2)
    for number in range(2):
        spool.frame("x_S0054", number, FRAME_STACK[number])
    names = [f"x_S0054_{number:05d}.tif" for number in range(2)]
    assert sorted(path.name for path in (tmp_path / "x_S0054").iterdir()) == names
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "x_S0054" / names[1]), FRAME_STACK[1])


def test_a_scan_without_frames_for_long_has_ended(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, abandon=0.0)
    spool.begin("empty", 0, 5)
    spool.begin("a", 0, None)
    spool.frame("a", 0, FRAME_STACK[0])
    spool.tidy()
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize(
    ("name", "safe"), [("../../etc/x", "etc_x"), ("...", "scan"), ("a b:c", "a_b_c"), ("a.1", "a.1")]
)
def test_no_name_leads_out_of_the_folder(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_a_series_whose_header_was_missed_has_its_number_for_a_name(tmp_path: Path) -> None:
    frames = ZmqFrames(spool_in(tmp_path))
    for message in list(series())[3:]:
        frames.take(message)
    assert packed(tmp_path / "series_000007.npz")[1].any(axis=(1, 2)).tolist() == [False] * 2 + [True] * 4


@pytest.mark.parametrize(
    "parts",
    [
        [b"no json"],
        [b"{}"],
        [b"[1]"],
        [json.dumps({"htype": "dimage-1.0", "series": 1, "frame": 0}).encode()],
        [
            json.dumps({"htype": "dimage-1.0", "series": 1, "frame": 0}).encode(),
            json.dumps({"shape": [5, 4], "type": "uint16", "encoding": "bs16-lz4<"}).encode(),
            b"x" * 40,
        ],
    ],
)
def test_what_is_no_frame_is_told_and_passed_over(
    tmp_path: Path, parts: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    frames = ZmqFrames(spool_in(tmp_path))
    frames.take(parts)
    assert "passed over" in caplog.text
    assert not list(tmp_path.rglob("*.tif"))


def update(
    number: int, frame: np.ndarray | None = None, codec: str = "", stamp: float = 0.0, **attributes: Any
) -> SimpleNamespace:
    """What p4p hands over of an NTNDArray."""
    image = FRAME_STACK[number % 6] if frame is None else frame
    return SimpleNamespace(
        uniqueId=number,
        value=image.ravel(),
        dimension=[SimpleNamespace(size=size) for size in reversed(image.shape)],
        codec=SimpleNamespace(name=codec, parameters=None),
        compressedSize=image.nbytes,
        timeStamp=SimpleNamespace(secondsPastEpoch=int(stamp)),
        attribute=[SimpleNamespace(name=name, value=value) for name, value in attributes.items()],
    )


def test_the_last_value_of_a_channel_is_no_frame_of_a_new_scan(tmp_path: Path) -> None:
    frames = PvaFrames("SIM:image", spool_in(tmp_path))
    frames.take(update(99, **{NAME: "old", FRAMES: 3}))
    for number in range(6):
        frames.take(update(number, **{NAME: "gold", FRAMES: 6}))
    assert [path.name for path in tmp_path.iterdir()] == ["gold.npz"]
    np.testing.assert_array_equal(packed(tmp_path / "gold.npz")[0], FRAME_STACK)


def test_a_frame_taken_since_the_client_began_is_kept_though_it_is_the_first(tmp_path: Path) -> None:
    frames = PvaFrames("SIM:image", spool_in(tmp_path))
    for number in range(6):
        frames.take(update(number, stamp=time.time(), **{NAME: "gold", FRAMES: 6}))
    np.testing.assert_array_equal(packed(tmp_path / "gold.npz")[0], FRAME_STACK)


@pytest.mark.parametrize("attributes", [{}, {NAME: "gold"}])
def test_a_channel_goes_on_with_its_scan_after_a_kill(tmp_path: Path, attributes: dict[str, str]) -> None:
    for name in ("gold", "gold-2"):
        (tmp_path / f"{name}.npz").touch()
    for some in ((9, 0, 1, 2), (2, 3), (4, 5)):
        frames = PvaFrames("SIM:image", spool_in(tmp_path))
        for number in some:
            frames.take(update(number, **attributes))
    (name,) = frames.spool.receiving
    frames.spool.end(name)
    (done,) = (path for path in tmp_path.iterdir() if path.stat().st_size)
    np.testing.assert_array_equal(packed(done)[0], FRAME_STACK)


def test_a_channel_without_attributes_begins_a_scan_where_the_numbers_begin_anew(tmp_path: Path) -> None:
    frames = PvaFrames("SIM:image", spool_in(tmp_path))
    frames.take(update(0))
    for number in (3, 4, 5, 0, 1):
        frames.take(update(number))
    frames.spool.end(frames.spool.receiving[0])
    assert sorted(len(packed(path)[0]) for path in tmp_path.iterdir()) == [2, 3]


def test_frames_that_cannot_be_kept_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = PvaFrames("SIM:image", spool_in(tmp_path))
    for number in range(5):
        frames.take(update(number, codec="blosc"))
    assert caplog.text.count("blosc") == 1
    frames.take(update(5, frame=np.ones((3, 4, 5), np.uint8)))
    frames.take(SimpleNamespace())
    assert not list(tmp_path.rglob("*.tif"))


def test_a_detector_that_ends_is_no_warning_but_a_refusal_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from p4p.client.raw import Disconnected, RemoteError

    frames = PvaFrames("SIM:image", spool_in(tmp_path))
    with caplog.at_level("INFO"):
        frames.take(Disconnected())
        frames.take(RemoteError("no such field"))
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]


@pytest.fixture
def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    for name in ("EPICS_PVA_ADDR_LIST", "EPICS_PVAS_INTF_ADDR_LIST"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("EPICS_PVA_AUTO_ADDR_LIST", "NO")
    made = Nursery(tmp_path, loaded="autophasenn.live.watcher")
    yield made
    made.close()


@contextmanager
def simulated(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    detector = subprocess.Popen([sys.executable, "-m", "autophasenn.live.simulated", *words])
    try:
        yield detector
    finally:
        detector.kill()
        detector.wait()


def test_both_streams_are_reconstructed_and_a_kill_loses_no_scan(tmp_path: Path, nursery: Nursery) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    np.save(tmp_path / "pattern.npy", counts())
    options = ("--pva", "SIM:image", "--zmq", address, "--abandon", "20")
    scan = ("--scan", str(tmp_path / "pattern.npy"), "--rate", "8", "--codec", "bslz4")
    with watching(tmp_path, nursery) as watch:
        watch.begin(*options, folder=False)
        with simulated("zmq", address, "--name", "over_zmq", *scan) as over_zmq:
            watch.wait_for(lambda scans: "over_zmq" in scans and scans["over_zmq"].frames >= 8)
            watch.kill()
            watch.begin(*options, folder=False)
            with simulated("pva", "SIM:image", "--name", "over_pva", *scan) as over_pva:
                done = watch.wait_for(
                    lambda scans: len(scans) == 2 and {scan.state for scan in scans.values()} <= {"refined", "failed"}
                )
                assert over_pva.wait() == over_zmq.wait() == 0
        assert watch.end() == 0
        assert {name: scan.state for name, scan in done.items()} == {"over_zmq": "refined", "over_pva": "refined"}
        assert {scan.frames for scan in done.values()} == {32}
        frames, mask = packed(watch.results / "frames" / "pva" / "over_pva.npz")
        np.testing.assert_array_equal(frames, counts())
        assert mask is None
        frames, mask = packed(watch.results / "frames" / "zmq" / "over_zmq.npz")
        came = np.ones(32, bool) if mask is None else mask.any(axis=(1, 2))
        assert came[:8].all()
        np.testing.assert_array_equal(frames[came], counts()[came])
        watch.check_results()
