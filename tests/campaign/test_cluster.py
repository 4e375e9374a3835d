"""Scans of a campaign on a Dask cluster, on GPUs in turn, and the results of a watcher that become a series."""

import csv
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import BAD, campaign, heated
from live_watching import QUICK, counts
from typer.testing import CliRunner

from autophasenn import cli
from autophasenn.campaign.campaign import TABLE, run_campaign, state_of
from autophasenn.campaign.crew import absolute, devices_of
from autophasenn.campaign.follow import refreshed
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.live.ledger import BEGUN_WITH, Ledger
from autophasenn.live.options import Watch
from autophasenn.live.settings import Settings
from autophasenn.live.watcher import watch
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source


@pytest.fixture
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("scans") / "heated.h5"
    heated(file)
    return file


def table(folder: Path) -> dict[int, dict[str, str]]:
    with (folder / TABLE).open(encoding="utf-8") as file:
        return {int(row["scan"]): row for row in csv.DictReader(file)}


def test_a_cluster_makes_the_same_images_and_a_bad_scan_stops_none(
    scans: Path, tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scans.parent)  # the workers of a cluster stand elsewhere: names are made whole
    there = campaign(Path(scans.name), tmp_path / "there", (BAD, 5, 6), scheduler=cluster.scheduler_address)
    ended = run_campaign(there)
    assert (ended.done, ended.failed, ended.waiting) == (2, 1, 0)
    assert "has no frames of a detector" in table(there.folder)[BAD]["message"]
    here = campaign(scans, tmp_path / "here", (5,))
    run_campaign(here)
    for name in ("chi2", "d_nm", "strain_rms", "volume_nm3"):
        assert table(there.folder)[5][name] == table(here.folder)[5][name]
    assert state_of(there) == {"scans": 3, "done before": 2, "to do": 1}  # what failed is tried again


def test_a_lost_scheduler_ends_the_campaign_and_the_same_command_goes_on(
    scans: Path, tmp_path: Path, cluster: Any
) -> None:
    there = campaign(scans, tmp_path / "c", (1, 2), scheduler=cluster.scheduler_address)
    with pytest.raises(InputError, match=r"scheduler was lost; start it again, and repeat the command"):
        run_campaign(there, tell=lambda _: cluster.close())
    with Ledger.open(there.folder) as ledger:
        states = [scan.state for scan in ledger.scans()]
    assert sorted(states) == ["refined", "waiting"]
    assert state_of(replace(there, scheduler=None)) == {"scans": 2, "done before": 1, "to do": 1}


def test_a_campaign_is_worked_on_here_or_by_a_cluster(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="give one, workers or a scheduler"):
        campaign(scans, tmp_path, (1,), workers=2, scheduler="tcp://host:8786")
    words = ["reconstruct", "a.npy", "-o", str(tmp_path / "x"), "--scheduler", "tcp://host:8786"]
    said = CliRunner().invoke(cli.app, words)
    assert said.exit_code == 2
    assert "belong to several scans" in said.output


def test_workers_have_the_gpus_of_the_machine_in_turn() -> None:
    assert devices_of(Run(device="cuda"), 3, gpus=2) == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_of(Run(device="cuda:1"), 2, gpus=2) == ["cuda:1", "cuda:1"]
    assert devices_of(Run(), 2) == ["cpu", "cpu"]


def test_files_of_a_scan_get_names_that_hold_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = absolute(Source("data/S0005", beamline="34idc", spec=Path("a.spec"), mask=Path("/m.npy")))
    assert (found.input, found.spec, found.mask) == (str(tmp_path / "data/S0005"), tmp_path / "a.spec", Path("/m.npy"))
    assert absolute(Source("a.h5:/entry/data")).input == str(tmp_path / "a.h5:/entry/data")
    assert absolute(Source()).input is None


# A watcher's series


def test_what_a_watcher_makes_is_a_series_that_follows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, results, plan = tmp_path / "data", tmp_path / "results", tmp_path / "plan.yaml"
    data.mkdir()
    plan.write_text(QUICK)
    for number in (1, 2):
        np.save(data / f"scan_{number}.npy", counts())
    words = ["watch", str(data), "-o", str(results), "--plan", str(plan), "--threads", "1", "--settle", "0.1"]
    said = CliRunner().invoke(cli.app, [*words, "--once", "--no-page", "--series"])
    assert said.exit_code == 0, said.output
    assert [row["status"] for row in table(results).values()] == ["unchecked"] * 2
    assert (results / "series" / "film.gif").is_file()

    caplog.set_level(logging.INFO, "autophasenn.campaign")
    (results / TABLE).unlink()
    known, _ = refreshed(results, "scan", [])
    assert len(table(results)) == 2
    (results / TABLE).unlink()
    assert refreshed(results, "scan", known) == (known, 0.0)
    assert not (results / TABLE).exists()  # nothing is new
    with Ledger.open(results) as ledger:
        ledger.change(known[0][0], state="failed", reason="It was lost.")
    assert refreshed(results, "temperature", known)[0] != known
    assert "against the number of the scan: No scan has temperature" in caplog.text
    assert [row["status"] for row in table(results).values()] == ["failed", "unchecked"]


def test_a_watcher_writes_into_no_campaign(tmp_path: Path) -> None:
    for name in ("data", "c"):
        (tmp_path / name).mkdir()
    with Ledger.open(tmp_path / "c") as ledger:
        ledger.note(BEGUN_WITH, "{}")
    with pytest.raises(OutputError, match="holds a campaign of `autophasenn reconstruct`"):
        watch(Watch(tmp_path / "data", tmp_path / "c", Settings(Source())))
