"""The ledger: what is entered stays, whoever is killed, and others can read it."""

import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from autophasenn.errors import InputError
from autophasenn.live.ledger import ADDED, FILE, VERSION, Ledger, ScanRecord

WRITER = """
import sys
import time
from pathlib import Path
from autophasenn.live.ledger import Ledger, ScanRecord
ledger = Ledger.open(Path(sys.argv[1]))
for number in range(10**9):
    ledger.put(ScanRecord(f"scans/{number}", str(number), "waiting", arrived=float(number)))
    ledger.change(f"scans/{number}", state="running")
    print(number, flush=True)
    time.sleep(0.001)
"""


def test_what_is_put_comes_back_newest_first(tmp_path: Path) -> None:
    old = ScanRecord("scans/a", "a", "refined", frames=3, arrived=1.5, chi2=0.1, result="scans/a/refined")
    new = ScanRecord("scans/b", "b", "failed", reason="It is empty.", arrived=2.5)
    with Ledger.open(tmp_path) as ledger:
        ledger.put(old)
        ledger.put(new)
        assert ledger.scans() == [new, old]
        assert ledger.scan("scans/a") == old
        assert ledger.scan("scans/c") is None
        assert ledger.count(["failed"]) == 1
    with Ledger.open(tmp_path) as again:
        assert again.scans() == [new, old]


def test_the_queue_of_some_states_begins_with_the_newest(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        for arrived, state in enumerate(("waiting", "waiting", "imaged", "refined")):
            ledger.put(ScanRecord(f"scans/{arrived}", "", state, arrived=float(arrived)))
        assert [scan.key for scan in ledger.queue(["waiting"])] == ["scans/1", "scans/0"]
        assert [scan.key for scan in ledger.queue(["waiting", "imaged"])] == ["scans/2", "scans/1", "scans/0"]
        assert ledger.queue(["failed"]) == []


def test_every_change_raises_the_version_and_reading_does_not(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger, Ledger.open(tmp_path) as reader:
        versions = [reader.version()]
        ledger.put(ScanRecord("scans/a", "a", "arriving"))
        versions.append(reader.version())
        ledger.change("scans/a", state="waiting", frames=7)
        versions.append(reader.version())
        assert reader.scan("scans/a").frames == 7
        assert versions == sorted(set(versions))
        assert reader.version() == versions[-1]


def test_scans_are_changed_together_or_not_at_all(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger, sqlite3.connect(tmp_path / FILE) as other:
        for key in "abc":
            ledger.put(ScanRecord(key, key, "waiting"))
        ledger.change("a", "b", frames=7)
        ledger.change(frames=8)
        assert [ledger.scan(key).frames for key in "abc"] == [7, 7, 0]
        other.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON scans WHEN NEW.key = 'c' BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        with pytest.raises(InputError, match="full"):
            ledger.change("a", "b", "c", frames=9)
        assert [ledger.scan(key).frames for key in "abc"] == [7, 7, 0]
        ledger.change("a", frames=9)
        assert ledger.scan("a").frames == 9


def test_a_killed_writer_leaves_every_finished_change(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    with writer.stdout:
        for _ in range(5):
            writer.stdout.readline()
        with Ledger.open(tmp_path) as reader:
            assert reader.count() >= 5  # read while the other writes
        os.kill(writer.pid, signal.SIGKILL)
        said = writer.stdout.read().split()
    writer.wait()
    with Ledger.open(tmp_path) as ledger:
        scans = ledger.scans()
        assert len(scans) >= int(said[-1] if said else 4) + 1
        assert {scan.state for scan in scans[1:]} == {"running"}


def test_two_processes_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(opened, [tmp_path] * 8) == [0] * 8


def opened(folder: Path) -> int:
    with Ledger.open(folder) as ledger:
        return ledger.version()


def test_facts_are_kept(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        assert ledger.fact("folder") is None
        ledger.note("folder", "/data")
        assert ledger.fact("folder") == "/data"


def test_the_example_of_the_manual_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "guide" / "live.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    with Ledger.open(Path("results")) as ledger:
        ledger.put(ScanRecord("scans/a", "a", "refined", chi2=0.5))
    exec(example)
    assert capsys.readouterr().out == "a refined 0.5 None\n"


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    with pytest.raises(InputError, match="cannot be used"):
        Ledger.open(tmp_path)
    with pytest.raises(InputError, match="cannot be used"):
        Ledger.open(tmp_path / "missing")


def test_a_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match="version 99"):
        Ledger.open(tmp_path)


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_ledger_of_a_former_version_goes_on_with_what_it_knows(tmp_path: Path, version: int) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.put(ScanRecord("scans/a", "a", "refined", chi2=0.5))
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        for column in [ADDED[later] for later in range(version + 1, VERSION + 1)]:
            connection.execute(f"ALTER TABLE scans DROP COLUMN {column}")
        connection.execute(f"PRAGMA user_version = {version}")
    with Ledger.open(tmp_path, only_reads=True) as ledger:
        assert ledger.scan("scans/a") == ScanRecord("scans/a", "a", "refined", chi2=0.5)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,), "its watcher may be at work"
    for _ in range(2):
        with Ledger.open(tmp_path) as ledger:
            assert ledger.scan("scans/a") == ScanRecord("scans/a", "a", "refined", chi2=0.5)
    with Ledger.open(tmp_path) as ledger:
        ledger.put(ScanRecord("scans/b_7", "b_7", "waiting", number=7, expected=64))
        found = ledger.scan("scans/b_7")
        assert (found.number, found.expected) == (7, 64)
