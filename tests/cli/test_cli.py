"""The command line hands one request to the pipeline, and leaves with a sentence and a status to rely on."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import autophasenn
from autophasenn import cli
from autophasenn.cli.terminal import TerminalProgress, show_report
from autophasenn.errors import InputError, OutputError
from autophasenn.pipeline.plan import VERSION, Plan
from autophasenn.pipeline.result import Output
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.report.apart import Painter
from autophasenn.report.numbers import Report
from autophasenn.waiting import WAITING, waiting_threads, warn_of_spinning

FACTS: dict[str, Any] = {
    "status": "done",
    "message": "All 600 iterations were done.",
    "method": "iterative",
    "chi2": 0.00531,
    "chi2_noise": 0.0049,
    "chi2_free": None,
    "seconds": {"read": 0.5, "preprocess": 0.25, "network": None, "refine": 12.0, "total": 13.0},
    "peak_memory_bytes": 3 * 2**29,
    "device": "cpu",
    "voxel_size_nm": [5.041, 5.013, 15.115],
    "d_spacing_nm": 0.233480,
    "support_voxels": 12345,
    "volume_nm3": 4.5e6,
    "strain": {"mean": 0.0, "std": 1.2e-4, "p1": -3e-4, "p99": 3e-4},
    "resolution_nm": 12.3,
    "resolution_is_bound": False,
    "warnings": ["2 starts of 5 found something else."],
}
REPORT = Report.from_json(FACTS)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run the command with these words; gives its exit status."""

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["autophasenn", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        return int(leaving.value.code or 0)

    return run


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands for `pipeline.reconstruct`: keeps what it was asked, and does what `act` says."""

    def reconstruct_into(
        output: Output, source: Source, run: Run, plan: Plan, progress: TerminalProgress, *, command: str,
        painter: Painter | None, on_first: Callable[[Path], None],
    ) -> SimpleNamespace:  # fmt: skip
        seen.source, seen.run, seen.output, seen.plan, seen.command = source, run, output, plan, command
        seen.painter, seen.on_first = painter, on_first
        return SimpleNamespace(report=seen.act())

    def describe(source: Source, run: Run, output: Output, plan: Plan) -> dict[str, Any]:
        return seen.act()

    seen = SimpleNamespace(act=lambda: REPORT, reconstruct_into=reconstruct_into, describe=describe)
    monkeypatch.setitem(sys.modules, "autophasenn.pipeline.reconstruct", seen)
    return seen


def test_version_is_printed(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"autophasenn {autophasenn.__version__}\n"


@pytest.mark.parametrize(
    ("words", "command"), [(["reconstruct", "--seed", "one"], "autophasenn reconstruct"), (["develop"], "autophasenn")]
)
def test_a_wrong_word_names_the_help_of_its_command(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str], words: list[str], command: str
) -> None:
    assert run(*words) == 2
    assert capsys.readouterr().err.endswith(f"Try `{command} --help`.\n")


def unobtainable() -> tuple[float, ...]:
    """As of a container that hides the system."""
    raise OSError("Load averages are unobtainable")


@pytest.mark.parametrize(
    ("load_average", "told"), [(0.2, "GOMP_SPINCOUNT"), (1.9, "OMP_WAIT_POLICY"), (None, "OMP_WAIT_POLICY")]
)
def test_waiting_threads_spin_on_an_idle_machine_only(
    load_average: float | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    assert list(waiting_threads(load_average, cores=2)) == [told]


@pytest.mark.parametrize(
    ("command", "load_average", "told"),
    [
        ("plan", lambda: (0.0, 0.0, 0.0), "GOMP_SPINCOUNT"),
        ("watch", lambda: (0.0, 0.0, 0.0), "OMP_WAIT_POLICY"),
        ("plan", unobtainable, "OMP_WAIT_POLICY"),
        ("plan", None, "OMP_WAIT_POLICY"),
    ],
    ids=["an idle machine", "all day", "a load not told", "a system without load"],
)
def test_a_command_that_stays_or_knows_no_load_lets_its_threads_sleep(
    command: str,
    load_average: Callable[[], tuple[float, ...]] | None,
    told: str,
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
    monkeypatch.setattr(os, "environ", {key: value for key, value in os.environ.items() if key not in names})
    if load_average is None:
        monkeypatch.delattr(os, "getloadavg", raising=False)
    else:
        monkeypatch.setattr(os, "getloadavg", load_average, raising=False)
    run(command, "--help")
    assert names & os.environ.keys() == {told}


@pytest.mark.parametrize(("first", "is_told"), [("autophasenn.experiment.dataset", True), ("torch", False)])
def test_threads_of_a_python_session_are_told_unless_torch_is_there(first: str, is_told: bool) -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    code = f"import os, {first}, autophasenn; print(bool({set(names)} & os.environ.keys()))"
    environment = {name: value for name, value in os.environ.items() if name not in names}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == str(is_told)


def test_threads_that_could_not_be_told_are_spoken_of_on_a_busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 3.0, 3.0), raising=False)
    with pytest.warns(RuntimeWarning, match="Import autophasenn first"):
        warn_of_spinning(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_spinning(1)
        monkeypatch.setenv("OMP_WAIT_POLICY", "passive")
        warn_of_spinning(2)


def test_what_the_user_says_of_waiting_threads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert waiting_threads(0.2, cores=2) == {}


@pytest.mark.parametrize("command", [[], ["reconstruct"], ["plan"]])
def test_every_command_explains_itself(
    command: list[str], run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--help") == 0
    assert "Usage: autophasenn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing command"),
        (["reconstrukt"], "reconstrukt"),
        (["reconstruct", "--example"], "--output"),
        (["reconstruct", "-o", "x"], "INPUT"),
        (["reconstruct", "scan", "--example", "-o", "x"], "INPUT"),
        (["reconstruct", "--example", "-o", "x", "--sed", "1"], "--seed"),
        (["reconstruct", "--example", "-o", "x", "--seed", "one"], "--seed"),
        (["reconstruct", "--example", "-o", "x", "--seed", "-1"], "--seed"),
        (["reconstruct", "--example", "-o", "x", "--starts", "0"], "--starts"),
        (["reconstruct", "--example", "-o", "x", "--method", "guess"], "iterative"),
        (["reconstruct", "--example", "-o", "x", "--plan", "absent.yaml"], "absent.yaml"),
    ],
)
def test_a_slip_in_the_options_is_one_sentence_and_status_2(
    words: list[str], said: str, run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize("error", [InputError("The folder has\nno frames."), OutputError("The folder has no frames.")])
def test_what_the_user_can_mend_is_one_line_and_status_2(
    error: Exception, run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    pipeline.act = fail
    assert run("reconstruct", "scan", "-o", "x") == 2
    assert capsys.readouterr().err == "Error: The folder has no frames.\n"


def test_ctrl_c_is_one_line_and_status_130(
    run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    pipeline.act = interrupt
    assert run("reconstruct", "scan", "-o", "x") == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_failure_of_the_program_keeps_its_trace_and_leaves_with_1() -> None:
    code = (
        "import sys, types\n"
        "def fail(*_): raise RuntimeError('a bug')\n"
        "sys.modules['autophasenn.pipeline.plan'] = types.SimpleNamespace(Plan=fail, dump_plan=fail)\n"
        "sys.argv = ['autophasenn', 'plan']\n"
        "from autophasenn.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "a fault of the program, not yours (RuntimeError: a bug)" in done.stderr
    (kept,) = re.findall(r"the file (\S+) says where", done.stderr)
    assert Path(kept).read_text(encoding="utf-8").rstrip().endswith("RuntimeError: a bug")
    Path(kept).unlink()


def test_source_method_and_output_are_what_was_typed(
    run: Callable[..., int], pipeline: SimpleNamespace, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("version: 2\nretrieval: {schedule: {repeats: 3}}\n")
    assert (
        run(
            *("reconstruct", "S0054", "-o", "out", "--beamline", "34idc", "--spec", "a.spec", "--scan", "54"),
            *("--dark", "dark.tif", "--white", "white.tif", "--plan", str(plan), "--starts", "2"),
            *("--seed", "7", "--device", "cuda", "--overwrite"),
            *("--method", "network", "--weights", "mine.safetensors", "--force"),
            *("--network", "autophasenn", "--no-figures", "--confidence", "0"),
        )
        == 0
    )
    assert pipeline.source == Source("S0054", "34idc", Path("a.spec"), 54, Path("dark.tif"), Path("white.tif"))
    assert pipeline.run == Run("network", 7, "cuda", Path("mine.safetensors"), "autophasenn", force=True)
    assert pipeline.output == Output(Path("out"), overwrite=True, figures=False, plan=plan)
    assert pipeline.painter is None
    assert pipeline.plan.confidence.number == 0
    assert pipeline.command.startswith("autophasenn reconstruct S0054 -o out --beamline 34idc")
    assert pipeline.plan.retrieval.schedule.repeats == 3
    assert pipeline.plan.retrieval.starts == pipeline.plan.prediction.starts == 2


def test_the_example_and_the_default_plan_are_taken_unless_told_otherwise(
    run: Callable[..., int], pipeline: SimpleNamespace
) -> None:
    assert run("reconstruct", "--example", "-o", "out") == 0
    assert pipeline.source == Source()
    assert pipeline.run == Run()
    assert not pipeline.output.overwrite
    assert pipeline.plan == Plan()


def test_a_dry_run_shows_facts_and_no_table(
    run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.act = lambda: {"shape": [64, 64, 64], "memory": None, "binning": {"rocking_axis": 2}, "mask": "[a] b"}
    assert run("reconstruct", "--example", "-o", "out", "--dry-run") == 0
    assert capsys.readouterr().out == ("shape: 64, 64, 64\nmemory: unknown\nbinning:\n  rocking axis: 2\nmask: [a] b\n")


def test_a_dry_run_needs_no_output_and_a_run_does(
    run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    pipeline.act = lambda: {"shape": [64, 64, 64]}
    assert run("reconstruct", "--example", "--dry-run") == 0
    assert run("reconstruct", "--example") == 2
    assert run("reconstruct", "a.npy", "b.npy", "--dry-run") == 2
    assert "give the folder of the result, with -o FOLDER" in capsys.readouterr().err


def test_the_printed_plan_can_be_given_back(
    run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("plan") == 0
    (tmp_path / "plan.yaml").write_text(capsys.readouterr().out)
    assert run("reconstruct", "--example", "-o", "out", "--plan", str(tmp_path / "plan.yaml")) == 0
    assert pipeline.plan == Plan()


def test_the_table_says_every_number_with_its_unit_and_where_the_pictures_are(
    run: Callable[..., int], pipeline: SimpleNamespace, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "slices.png").touch()
    assert run("reconstruct", "--example", "-o", str(tmp_path)) == 0
    captured = capsys.readouterr()
    for words in [
        "iterative reconstruction: done",
        "0.00531",
        "0.0049",
        "12.3 nm",
        "5.04 × 5.01 × 15.1 nm",
        "0.23348 nm",
        "0.00 (spread 1.2) × 10⁻⁴",
        "0.0045 µm³",
        "12345 voxels",
        "none",
        "cpu",
        "13 s (read 0.5, preprocess 0.25, refine 12)",
        "1.5 GiB",
        FACTS["message"],
        FACTS["warnings"][0],
        str(tmp_path / "slices.png"),
    ]:
        assert words in captured.out
    assert re.search(r"held-out voxels\W+unknown", captured.out)
    assert captured.err == "", "progress is for terminals only"


@pytest.mark.parametrize(
    ("method", "words"),
    [("refined", "needs several starts (--method iterative)"), ("iterative", "needs several starts")],
)
def test_the_table_says_what_a_resolution_would_need(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, method: str, words: str
) -> None:
    unmeasured = {"method": method, "resolution_nm": None, "resolution_is_bound": None}
    show_report(Report.from_json(FACTS | unmeasured), tmp_path)
    assert re.search(rf"resolution\W+{re.escape(words)} +\W\n", capsys.readouterr().out)


def test_the_table_of_a_result_without_geometry_says_unknown(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    unknown = dict.fromkeys(["voxel_size_nm", "d_spacing_nm", "strain", "volume_nm3", "resolution_nm"])
    show_report(Report.from_json(FACTS | unknown), tmp_path)
    assert capsys.readouterr().out.count("unknown") == len(unknown) + 1


def test_progress_on_a_terminal_shows_stages_and_on_a_pipe_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from autophasenn.cli.terminal import TerminalProgress\n"
        "with TerminalProgress() as progress:\n"
        "    progress.stage('Phase retrieval [1/2]'); progress.advance(3, 10)\n"
        "    progress.stage('Strain')\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    for terminal in (True, False):
        forced = {"FORCE_COLOR": "1"} if terminal else {}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment | forced
        )
        assert done.stdout == ""
        assert [w in done.stderr for w in ("Phase retrieval [1/2]", "Strain")] == [terminal] * 2


def test_long_measurements_say_on_a_pipe_what_they_do() -> None:
    code = (
        "from autophasenn.cli.terminal import TerminalProgress\n"
        "with TerminalProgress(is_told=True) as progress:\n"
        "    progress.stage('Prepare'); progress.advance(3, 10)\n"
        "    progress.stage('Batches')\n"
    )
    environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == ""
    assert done.stderr.split("\n") == ["Prepare ...", "  3 of 10", "Batches ...", ""]


def test_the_printed_plan_is_yaml(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan") == 0
    assert yaml.safe_load(capsys.readouterr().out)["version"] == VERSION
