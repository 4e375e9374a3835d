"""A table over several sets counts what was found as statistics does, and every end of a run can be gone on from."""

import csv
import json
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from autophasenn import cli
from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.evaluation.entrants import ENTRANTS, Entrant
from autophasenn.evaluation.leaderboard import TABLES, Contest, compare, sets_of
from autophasenn.evaluation.rows import PARAMETERS, ROWS, Rows
from autophasenn.evaluation.scores import METRICS, Numbers, scores_of
from autophasenn.evaluation.standings import Standing, calibration_error, interval, standing
from autophasenn.experiment.dataset import open_dataset
from autophasenn.inversion.methods import Inversion, invert
from autophasenn.inversion.names import MethodName
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions
from autophasenn.network import weights
from autophasenn.network.architectures import build
from autophasenn.network.first_guess import FirstGuess
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction
from autophasenn.pipeline.benchmark_set import BenchmarkSet, write_benchmark_set
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.preprocessing.oversampling import estimate_oversampling
from autophasenn.report import leaderboard as pages
from autophasenn.volumes import Pattern

CRYSTALS = EXAMPLE.parent / "crystals.h5"
METHODS = ("network", "iterative:2")


@pytest.fixture(scope="module")
def contest(tmp_path_factory: pytest.TempPathFactory) -> Contest:
    """Two sets of two crystals, a network that learned nothing, and few iterations."""
    folder = tmp_path_factory.mktemp("contest")
    weights.save(
        build(UnrolledDesign(stages=1, width=4, memory=1, guess=FirstGuess(candidates=1, iterations=10))),
        {},
        folder / "a.safetensors",
    )
    write_benchmark_set(folder / "set", BenchmarkSet(5, 2, ("dim", "coarse")))
    quick = Inversion(
        retrieval=Ensemble(starts=1, polish=1, schedule=error_reduction(4)),
        prediction=Predictions(starts=1),
        refinement=Refinement(error_reduction(2), None, polish=1, partial_coherence=False, likelihood=None),
        confidence=Orientations(number=2, random_starts=0, average=False),
        even_density=None,
    )
    return Contest(sets_of([folder / "set"]), METHODS, weights=folder / "a.safetensors", inversion=quick)


@pytest.fixture(scope="module")
def folder(contest: Contest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "all"
    result = compare(folder, contest)
    assert result == json.loads((folder / "leaderboard.json").read_text())
    return folder


def rows_of(folder: Path) -> dict[tuple[str, int, str], Numbers]:
    """All numbers but the seconds, which no two runs share."""
    return {key: row | {"seconds": None} for key, row in Rows(folder / ROWS).done.items()}


def test_every_method_is_run_on_every_crystal_of_every_set(folder: Path) -> None:
    rows = rows_of(folder)
    assert set(rows) == {(name, i, by) for name in ("dim", "coarse") for i in (0, 1) for by in METHODS}
    assert sorted(path.name for path in folder.iterdir()) == sorted((*TABLES, PARAMETERS, ROWS))
    assert rows["dim", 0, "iterative:2"]["starts"] == 2
    assert all(row["confidence"] is None for row in rows.values())


def test_a_row_is_what_the_method_finds_for_whoever_calls_it(contest: Contest, folder: Path) -> None:
    with open_dataset(contest.sets["coarse"]) as dataset:
        counts, measured, truth = dataset.patterns([1])[0], dataset.masks([1])[0], dataset.objects([1])[0]
    sampling = estimate_oversampling(counts.numpy(), measured.numpy())
    options = Entrant.of("iterative:2").inversion(contest.inversion, confidence=True)
    found = invert(Pattern(counts, measured), sampling, "iterative", options, seed=contest.seed).reconstruction
    expected = scores_of(found.object, counts, measured, truth, found.kernel).numbers
    row = rows_of(folder)["coarse", 1, "iterative:2"]
    for name in ("chi2", "correlation", "ssim", "support_iou", "phase_mae"):
        assert row[name] == pytest.approx(expected[name], rel=1e-4), name


def test_the_tables_are_those_of_the_rows(folder: Path) -> None:
    rows = rows_of(folder)
    with (folder / "leaderboard.csv").open(newline="") as file:
        table = {(line["set"], line["method"]): line for line in csv.DictReader(file)}
    assert len(table) == (2 + 1) * len(METHODS)
    for (name, method), line in table.items():
        of = [row["correlation"] for (s, _, by), row in rows.items() if by == method and name in (s, "all")]
        assert int(line["n"]) == len(of) == (4 if name == "all" else 2)
        assert float(line["correlation"]) == pytest.approx(np.mean(of))  # type: ignore[arg-type]
        assert int(line["found"]) == sum(value >= 0.95 for value in of)  # type: ignore[operator]
    with (folder / "samples.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    for page in ("leaderboard.md", "leaderboard.html"):
        text = (folder / page).read_text()
        assert all(name in text for name in ("dim", "coarse", "iterative:2", "of 2"))


class Ends:
    """Ends the work after so many rows."""

    def __init__(self, after: int) -> None:
        self.left = after

    def stage(self, name: str) -> None:
        pass

    def advance(self, done: int, total: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_ended_at_any_row_and_torn_it_goes_on_to_the_same_table(contest: Contest, folder: Path, tmp_path: Path) -> None:
    there, one = tmp_path / "ended", replace(contest, sets={"dim": contest.sets["dim"]})
    for rows in (1, 2):
        with pytest.raises(KeyboardInterrupt):
            compare(there, one, progress=Ends(rows))
        assert sum(each["n"] for each in json.loads((there / "leaderboard.json").read_text())["standings"]) > 0
        with (there / ROWS).open("a") as file:
            file.write('{"set": "dim", "ind')
    compare(there, one)
    assert rows_of(there) == {key: row for key, row in rows_of(folder).items() if key[0] == "dim"}
    assert len((there / ROWS).read_text().splitlines()) == 4


def test_a_refined_image_has_its_confidence_unless_that_is_refused(contest: Contest, tmp_path: Path) -> None:
    one = replace(contest, methods=("refined",), sets={"dim": contest.sets["dim"]}, count=1)
    judged, _ = compare(tmp_path / "judged", one)["standings"]
    assert (judged["judged"], judged["wrong"] is None, judged["brier"] is None) == (1, False, False)
    alone, _ = compare(tmp_path / "alone", replace(one, confidence=False))["standings"]
    assert (alone["judged"], alone["wrong"], alone["brier"]) == (0, None, None)


def test_an_end_by_the_clock_leaves_the_table_of_what_is_done(contest: Contest, tmp_path: Path) -> None:
    result = compare(tmp_path / "short", contest, minutes=0.0)
    (of_set, of_all) = result["standings"]
    assert (of_set["set"], of_set["n"], of_all["set"], of_all["n"]) == ("dim", 1, "all", 1)


def test_crystals_sets_and_methods_are_added_and_nothing_is_done_twice(contest: Contest, tmp_path: Path) -> None:
    there = tmp_path / "grown"
    only = replace(contest, sets={"dim": contest.sets["dim"]}, methods=("network",), count=1)
    compare(there, only)
    first = (there / ROWS).read_text()
    compare(there, replace(contest, methods=("iterative:2",), count=1))
    result = compare(there, replace(only, count=2))
    assert (there / ROWS).read_text().startswith(first)
    assert {(each["set"], each["method"], each["n"]) for each in result["standings"]} == {
        *(("dim", "network", 2), ("dim", "iterative:2", 1), ("coarse", "iterative:2", 1)),
        *(("all", "network", 1), ("all", "iterative:2", 1)),  # the crystal that both have inverted
    }


def test_rows_of_other_parameters_are_not_mixed(contest: Contest, tmp_path: Path) -> None:
    there = tmp_path / "mixed"
    one = replace(contest, sets={"dim": contest.sets["dim"]}, methods=("network",), count=1)
    compare(there, one)
    with pytest.raises(OutputError, match=r"begun with other parameters \(seed 0, now 1\)"):
        compare(there, replace(one, seed=1))
    with pytest.raises(OutputError, match=r"begun with other parameters \(dim "):
        compare(there, replace(one, sets={"dim": contest.sets["coarse"]}))
    result = compare(there, replace(one, seed=1), overwrite=True)
    assert result["common"]["seed"] == 1


def test_a_folder_of_somebody_else_is_left_alone_also_with_overwrite(contest: Contest, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="is not empty"):
        compare(tmp_path, contest, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


ROW = {"set": "dim", "index": 0, "method": "network", "numbers": dict.fromkeys(METRICS, 1.0)}


@pytest.mark.parametrize(
    "line",
    [
        *("[]", "3", "\0" * 20, "[" * 100_000),
        *(json.dumps(ROW | wrong) for wrong in ({"index": "0"}, {"index": True}, {"set": None}, {"numbers": 3})),
        *(json.dumps(ROW | {"numbers": wrong}) for wrong in ({}, ROW["numbers"] | {"seconds": "2"})),
    ],
)
def test_a_line_that_is_no_row_is_named_before_any_work(contest: Contest, tmp_path: Path, line: str) -> None:
    there, one = tmp_path / "damaged", replace(contest, methods=("network",), count=1)
    with pytest.raises(KeyboardInterrupt):
        compare(there, one, progress=Ends(0))
    before = (there / "leaderboard.json").read_bytes()
    (there / ROWS).write_text(json.dumps(ROW) + "\n" + line + "\n")
    with pytest.raises(OutputError, match=r"Line 2 of .*rows\.jsonl is damaged .*; take that line out\."):
        compare(there, one)
    assert (there / "leaderboard.json").read_bytes() == before


@pytest.mark.parametrize("text", ['{"sets": []}', '{"methods": 3}', '{"common": null}'])
def test_parameters_that_are_damaged_are_those_of_somebody_else(contest: Contest, tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path / "there", contest, progress=Ends(0))
    path = tmp_path / "there" / PARAMETERS
    path.write_text(json.dumps(json.loads(path.read_text()) | json.loads(text)))
    with pytest.raises(OutputError, match="is not empty"):
        compare(tmp_path / "there", contest)


def test_what_is_no_number_is_kept_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / ROWS
    path.write_text(
        json.dumps(ROW | {"numbers": ROW["numbers"] | {"correlation": float("nan"), "confidence": 0.5}}) + "\n"
    )
    rows = Rows(path)
    rows.add(("dim", 1, "network"), dict.fromkeys(METRICS, 0.5) | {"correlation": float("inf")})
    found = standing("dim", "network", list(Rows(path).of("dim", "network").values()))
    assert (found.n, found.found, found.judged, found.brier) == (2, None, 0, None)


@pytest.mark.parametrize(("found", "n"), [(0, 1), (0, 8), (7, 8), (8, 8), (64, 128), (125, 128)])
def test_the_interval_of_a_share_is_wilsons(found: int, n: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(found, n).proportion_ci(0.95, method="wilson")
    assert interval(found, n) == pytest.approx((expected.low, expected.high), abs=1e-6)


def row(correlation: float | None, confidence: float | None = None) -> Numbers:
    return dict.fromkeys(METRICS) | {"correlation": correlation, "confidence": confidence, "seconds": 1.0}


def test_brier_is_0_for_what_is_certain_and_right_and_a_quarter_for_what_never_tells() -> None:
    knows = standing("s", "m", [row(0.99, 1.0), row(0.5, 0.0)])
    assert (knows.brier, knows.ece, knows.wrong, knows.wrong_sure) == (0, 0, 1, 0)
    assert standing("s", "m", [row(0.99, 0.5), row(0.5, 0.5)]).brier == 0.25
    deceived = standing("s", "m", [row(0.5, 0.9), row(0.89, 0.51), row(0.92, 0.9), row(0.95, 0.9)])
    assert (deceived.found, deceived.wrong, deceived.wrong_sure) == (1, 2, 2)


def test_the_calibration_error_is_0_where_shares_are_as_promised_and_the_gap_elsewhere() -> None:
    rng = np.random.default_rng(1)
    promised = rng.uniform(size=100_000)
    came = rng.uniform(size=promised.size) < promised
    assert calibration_error(promised.tolist(), came.tolist()) < 0.01
    assert calibration_error([0.8] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.3)
    assert calibration_error([1.0, 0.0], [False, True]) == 1


def test_what_is_not_known_is_none() -> None:
    unknown = standing("s", "m", [row(None)])
    assert (unknown.n, unknown.found, unknown.share, unknown.correlation, unknown.brier) == (1, *[None] * 4)
    assert set(Standing.__annotations__) >= {"share_low", "ece"}


@pytest.mark.parametrize("name", [*ENTRANTS, "refined:4", "network:unrolled"])
def test_an_entrant_is_written_as_it_is_read(name: str) -> None:
    assert Entrant.of(name).name == name


@pytest.mark.parametrize("name", ["iterative:autophasenn", "iterative:0", "er50:soup", "network:", "iterative:²"])
def test_an_entrant_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(PlanError, match=r"after the colon; give a number of starts"):
        Entrant.of(name)


def test_starts_and_network_reach_the_method(contest: Contest) -> None:
    assert Entrant(MethodName.iterative, starts=20).inversion(Inversion(), confidence=True).retrieval.starts == 20
    assert Entrant(MethodName.refined).inversion(Inversion(), confidence=True) == Inversion()
    paper = contest.comparison("dim", Entrant.of("er50:autophasenn"))
    assert (paper.weights, paper.networks, paper.inversion.confidence.number) == (None, ("autophasenn",), 0)


def test_sets_are_told_apart_by_name_and_need_the_truth(contest: Contest, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="Two sets have the name 'dim'"):
        sets_of([contest.sets["dim"], contest.sets["dim"]])
    with pytest.raises(InputError, match="holds no benchmark set"):
        sets_of([tmp_path])


def test_foreign_names_stay_text_in_the_pages() -> None:
    seen: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.add(tag)

    rows = [asdict(standing("<script>|", "m", [row(0.99)]))]
    Tags().feed(pages.html(rows, {"m": "<img>"}))
    assert not {"script", "img"} & seen
    assert {line.count(" | ") for line in pages.markdown(rows, {}).splitlines() if "script" in line} == {1, 11}


def test_the_command_takes_files_and_the_folder_of_a_benchmark_set(contest: Contest, tmp_path: Path) -> None:
    words = ["evaluate", str(contest.sets["dim"].parent), str(CRYSTALS), "-o", str(tmp_path / "table"), "--number", "1"]
    options = ["--methods", "network", "--weights", str(contest.weights)]
    result = CliRunner().invoke(cli.app, [*words, *options])
    assert result.exit_code == 0, result.output
    assert "crystals found (correlation >= 0.95)" in result.output
    assert {name for name, _, _ in rows_of(tmp_path / "table")} == {"dim", "coarse", "crystals"}
    result = CliRunner().invoke(cli.app, ["evaluate", str(CRYSTALS), "-o", str(tmp_path / "one"), "--minutes", "1"])
    assert result.exit_code == 2
