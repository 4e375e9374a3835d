"""Many scans: one bad scan stops no other, what is done is not done again, nothing is half written."""

import csv
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from campaigns import BAD, NUMBERS, QUICK, campaign, heated
from drifting_series import Step, delta_of
from mortal import Nursery

import autophasenn as ap
from autophasenn.campaign import crew
from autophasenn.campaign.campaign import TABLE, Campaign, run_campaign, state_of
from autophasenn.campaign.scans import fingerprint, scans_of
from autophasenn.campaign.series import Series
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.inversion.options import with_starts
from autophasenn.live.ledger import FILE, Ledger, ScanRecord
from autophasenn.live.lock import only_one
from autophasenn.pipeline.plan import dump_plan
from autophasenn.pipeline.repeated import sources
from autophasenn.pipeline.result import Result
from autophasenn.pipeline.source import Source

PATIENCE = 240.0


@dataclass
class Heated:
    """A campaign that was killed and resumed, on two processes, by the command line."""

    file: Path
    folder: Path
    steps: list[Step]
    before: dict[str, int]
    after_kill: list[str]
    said: str

    def rows(self) -> dict[int, dict[str, str]]:
        with (self.folder / TABLE).open(encoding="utf-8") as file:
            return {int(row["scan"]): row for row in csv.DictReader(file)}


def written_at(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/report.json")}


def done(folder: Path) -> int:
    if not (folder / FILE).is_file():
        return 0
    with Ledger.open(folder) as ledger:
        return ledger.count(["refined"])


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heated]:
    root = tmp_path_factory.mktemp("campaign")
    file, folder, plan = root / "heated.h5", root / "campaign", root / "plan.yaml"
    steps, _ = heated(file)
    plan.write_text(dump_plan(QUICK))
    (root / "potential.csv").write_text("scan;potential (V)\n" + "".join(f"{n};{0.1 * n}\n" for n in NUMBERS))
    words = ["reconstruct", str(file), "--beamline", "id01", "--scans", f"1-{len(NUMBERS)}", "-o", str(folder)]
    words += ["--method", "iterative", "--plan", str(plan), "--workers", "2", "--no-figures"]
    words += ["--metadata", str(root / "potential.csv")]
    nursery = Nursery(root, loaded="autophasenn.campaign.written")
    try:
        running = nursery.begin(*words)
        until = time.monotonic() + PATIENCE
        while done(folder) < 2 and time.monotonic() < until and psutil.pid_exists(running.pid):
            time.sleep(0.02)
        others = psutil.Process(running.pid).children(recursive=True)
        os.kill(running.pid, signal.SIGKILL)
        assert running.end() == -signal.SIGKILL, running.said.read_text()
        assert not psutil.wait_procs(others, timeout=20)[1]  # nothing outlives it
        before = written_at(folder)
        with Ledger.open(folder) as ledger:
            after_kill = sorted(record.state for record in ledger.scans())
        (folder / "heated-3" / ".writing-left").mkdir(parents=True, exist_ok=True)
        running = nursery.begin(*words)
        status = running.end()
        said = running.said.read_text()
        assert status == 0, said
        yield Heated(file, folder, steps, before, after_kill, said)
    finally:
        nursery.close()


def test_what_was_done_before_a_kill_is_not_done_again(killed_and_resumed: Heated) -> None:
    before, now = killed_and_resumed.before, written_at(killed_and_resumed.folder)
    assert 2 <= len(before) < len(now) == len(NUMBERS) - 1
    recorded = killed_and_resumed.after_kill.count("refined")
    assert recorded >= 2
    assert sum(now[key] == at for key, at in before.items()) >= recorded
    assert f"{recorded} scans had been reconstructed before" in " ".join(killed_and_resumed.said.split())


def test_no_result_is_half_written_and_each_is_a_normal_one(killed_and_resumed: Heated) -> None:
    folder = killed_and_resumed.folder
    assert not list(folder.rglob(".writing-*"))
    for number in NUMBERS:
        result = folder / f"heated-{number}"
        if number == BAD:
            assert not result.exists()
            continue
        for line in (result / "SHA256SUMS").read_text().splitlines():
            digest, name = line.split("  ", 1)
            assert hashlib.sha256((result / name).read_bytes()).hexdigest() == digest
        loaded = ap.load(result)
        assert isinstance(loaded, Result)
        assert loaded.report.method == "iterative"
        assert loaded.plan == QUICK
        assert "--scans" in loaded.command


def test_a_bad_scan_in_the_middle_has_its_sentence_in_the_table(killed_and_resumed: Heated) -> None:
    rows = killed_and_resumed.rows()
    assert list(rows) == list(NUMBERS)
    assert rows[BAD]["status"] == "failed"
    assert rows[BAD]["message"].endswith(".")
    assert "has no frames of a detector" in rows[BAD]["message"]
    assert f"heated {BAD}: failed." in killed_and_resumed.said
    assert {row["status"] for number, row in rows.items() if number != BAD} <= {"reconstructed", "uncertain", "poor"}


def test_the_table_has_the_numbers_of_the_reports_and_the_metadata(killed_and_resumed: Heated) -> None:
    for step in killed_and_resumed.steps:
        row = killed_and_resumed.rows()[step.number]
        report = json.loads((killed_and_resumed.folder / row["result"] / "report.json").read_text())
        assert row["status"] == report["status"]
        for name, value in {
            "d_nm": report["d_spacing_nm"],
            "strain_rms": report["strain"]["std"],
            "volume_nm3": report["volume_nm3"],
            "chi2": report["chi2"],
            "photons": report["preprocess"]["photons"],
        }.items():
            assert float(row[name]) == pytest.approx(value)
        assert float(row["temperature"]) == pytest.approx(step.temperature_k, abs=0.1)
        assert float(row["potential (V)"]) == pytest.approx(0.1 * step.number)
        assert row["time"].startswith("2026-05-04T")
        assert float(row["delta"]) == pytest.approx(delta_of(step))


def test_a_drift_of_the_lattice_is_recovered_to_its_uncertainty(killed_and_resumed: Heated) -> None:
    rows = killed_and_resumed.rows()
    true = np.array([1 / (1 - step.expansion) - 1 for step in killed_and_resumed.steps])
    found = np.array([float(rows[step.number]["d_change"]) for step in killed_and_resumed.steps])
    errors = np.array([float(rows[step.number]["d_change_error"]) for step in killed_and_resumed.steps])
    assert (np.abs(found - true) <= 3 * errors).all()
    assert errors[1:].min() > 0
    assert errors.max() < 0.03 * true.max()
    kelvin = [step.temperature_k for step in killed_and_resumed.steps]
    assert np.polyfit(kelvin, found, 1)[0] == pytest.approx(1.42e-5, rel=0.02)


def test_a_finished_campaign_does_nothing_and_other_parameters_are_refused(
    killed_and_resumed: Heated, tmp_path: Path
) -> None:
    folder = killed_and_resumed.folder
    known = campaign(killed_and_resumed.file, folder, tuple(n for n in NUMBERS if n != BAD))
    before = written_at(folder)
    assert state_of(known) == {"scans": 6, "done before": 6, "to do": 0}
    ended = run_campaign(known)
    assert (ended.done, ended.former, ended.failed) == (6, 6, 0)
    assert written_at(folder) == before
    for changed, said in (
        (replace(known, run=replace(known.run, seed=1)), "begun with run.seed 0, and now it is 1"),
        (replace(known, plan=with_starts(QUICK, 3)), "plan.retrieval.starts 2, and now it is 3"),
        (replace(known, plan=replace(QUICK, deblurring=None)), "plan.deblurring.again 2, and now it is not;"),
    ):
        with pytest.raises(PlanError, match=said):
            run_campaign(changed)
        with pytest.raises(PlanError, match=said):
            state_of(changed)
    assert state_of(replace(known, overwrite=True)) == {"scans": 6, "done before": 0, "to do": 6}
    with only_one(folder), pytest.raises(OutputError, match="Another process writes to"):
        run_campaign(known)


def test_scans_that_come_later_join_and_a_worker_that_dies_costs_its_scan_alone(
    killed_and_resumed: Heated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    # Less memory than Python itself takes: each process is ended, and the campaign comes to its end all the same.
    monkeypatch.setattr(crew, "MEMORY_SHARE", 1e-9)
    said: list[str] = []
    ended = run_campaign(campaign(killed_and_resumed.file, folder, (1,)), tell=said.append)
    assert (ended.done, ended.failed) == (0, 1)
    assert "It was given up: it took" in said[0]
    assert said[0].endswith("take fewer --workers, or bin the scan.")
    monkeypatch.undo()
    ended = run_campaign(campaign(killed_and_resumed.file, folder, (2,)))  # another one; the first stays in the table
    assert (ended.done, ended.failed) == (1, 0)
    assert [row.status for row in Series.load(folder).rows] == ["failed", "reconstructed"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty"):
        run_campaign(campaign(tmp_path / "none.h5", tmp_path, (1,)))
    watched = tmp_path / "watched"
    watched.mkdir()
    with Ledger.open(watched) as ledger:
        ledger.note("folder", "/data")
    with pytest.raises(OutputError, match="holds the results of a watcher"):
        run_campaign(campaign(tmp_path / "none.h5", watched, (1,)))
    for given, said in (({"workers": 0}, "0 workers"), ({"sources": ()}, "no scan to reconstruct")):
        with pytest.raises(PlanError, match=said):
            Campaign(**({"sources": (Source("a.npy"),), "folder": tmp_path / "x"} | given))  # type: ignore[arg-type]


def test_a_campaign_of_files_that_are_not_there_is_refused_in_one_sentence_and_begins_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    with pytest.raises(InputError, match=r"^There is no file \S+none.h5; check the path.$"):
        run_campaign(campaign(tmp_path / "none.h5", folder, range(100, 181)))
    missing = Campaign(tuple(sources(Source(), [str(tmp_path / name) for name in ("a.npy", "b.npy")])), folder)
    with pytest.raises(InputError, match=r"a.npy, nor one of any other of the 2 scans"):
        run_campaign(missing)
    assert not folder.exists()


def test_every_scan_has_a_folder_of_its_own_that_it_keeps(tmp_path: Path) -> None:
    given = sources(
        Source(), [str(tmp_path / name) for name in ("a/scan_3.npy", "b/scan_3.npy", "series.npz", "ü 1.npy")]
    )
    found = scans_of(given)
    assert [scan.key for scan in found] == ["scan_3", "scan_3-2", "series-2", "ü-1"]
    assert [scan.number for scan in found] == [3, 3, None, 1]
    with Ledger.open(tmp_path) as ledger:
        other = found[1]
        ledger.put(ScanRecord(other.key, other.name, "refined", source=other.path, number=other.number))
        assert next(scan.key for scan in scans_of(given[1:], ledger.scans())) == "scan_3-2"
    with pytest.raises(PlanError, match="scan_3 is given twice"):
        scans_of([given[0], given[0]])


def test_the_number_of_a_scan_may_stand_in_the_name_of_its_folder() -> None:
    shared = Source(beamline="34idc", spec=Path("a.spec"))
    found = sources(shared, ["data/S{scan:04d}"], (5, 16))
    assert [(each.input, each.scan) for each in found] == [("data/S0005", None), ("data/S0016", None)]
    assert [scan.number for scan in scans_of(found)] == [5, 16]
    with pytest.raises(PlanError, match="is no pattern of names"):
        sources(shared, ["data/S{scan:q}"], (5,))


def test_a_file_that_was_written_anew_is_reconstructed_anew(tmp_path: Path) -> None:
    file = tmp_path / "scan.npy"
    np.save(file, np.ones(3))
    before = fingerprint(Source(str(file)))
    np.save(file, np.ones(4))
    assert fingerprint(Source(str(file))) != before
    folder = tmp_path / "frames"
    folder.mkdir()
    empty = fingerprint(Source(str(folder)))
    (folder / "frame.tif").write_bytes(b"1")
    assert fingerprint(Source(str(folder))) != empty
    assert fingerprint(Source(str(file), beamline="id01", scan=3)) == ""
