"""A result is whole or not there: crashes, full disks and former results."""

import errno
import hashlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import files_limited_to

from autophasenn.errors import OutputError
from autophasenn.files.writing import MANIFEST, check_folder, staged_folder, write_atomically


def write(folder: Path, overwrite: bool = False, fail: BaseException | None = None, **contents: str) -> None:
    with staged_folder(folder, overwrite) as stage:
        for name, content in contents.items():
            (stage / name).parent.mkdir(exist_ok=True)
            (stage / name).write_text(content)
        if fail is not None:
            raise fail


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_nothing_shows_before_everything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with staged_folder(out) as stage:
        (stage / "result.cxi").write_text("object")
        (stage / "figures").mkdir()
        (stage / "figures" / "slices.png").write_text("picture")
        assert not (out / "result.cxi").exists()
        assert stage.stat().st_dev == out.stat().st_dev  # one filesystem, so that a rename is one step
    assert contents(out).keys() == {"result.cxi", "figures/slices.png", MANIFEST}
    assert list(out.glob(".*")) == []


def test_manifest_verifies_the_result(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "object", "report.json": "{}"})
    digest = hashlib.sha256(b"object").hexdigest()
    assert f"{digest}  result.cxi\n" in (tmp_path / MANIFEST).read_text()


def test_report_is_moved_into_place_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    replace = Path.replace

    def noting(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noting)
    write(tmp_path, **{"report.json": "{}", "zebra.png": "picture", "a.cxi": "object"})
    assert moved[-1] == "report.json"
    assert len(moved) == 4


def test_crash_leaves_the_former_result(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": "old"})
    former = contents(tmp_path)
    with pytest.raises(RuntimeError, match="crash"):
        write(tmp_path, overwrite=True, **{"result.cxi": "half"}, fail=RuntimeError("crash"))
    assert contents(tmp_path) == former
    assert list(tmp_path.glob(".*")) == []


def update(folder: Path, **contents: str) -> None:
    with staged_folder(folder, is_update=True) as stage:
        for name, content in contents.items():
            (stage / name).write_text(content)


def test_an_update_leaves_no_moment_without_a_whole_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": "old", "first.png": "old"})
    replace = Path.replace
    seen = set()

    def looking(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        seen.add(tuple((tmp_path / name).read_text() for name in ("result.cxi", "report.json")))
        return moved

    monkeypatch.setattr(Path, "replace", looking)
    update(tmp_path, **{"result.cxi": "new", "report.json": "new"})
    assert seen == {("new", "old"), ("new", "new")}
    assert contents(tmp_path).keys() == {"result.cxi", "report.json", MANIFEST}


def test_an_update_that_fails_on_its_way_leaves_the_former_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": "old"})
    former, replace, times = contents(tmp_path), Path.replace, iter(range(10))

    def failing(self: Path, target: Path) -> Path:
        if next(times) == 2:
            raise OSError(errno.EIO, "input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="unchanged"):
        update(tmp_path, **{"result.cxi": "new", "report.json": "new"})
    assert contents(tmp_path) == former


def test_crash_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a" / "b" / "out", fail=KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from autophasenn.files.writing import staged_folder

with staged_folder(Path(sys.argv[1]), overwrite=True) as stage:
    (stage / "result.cxi").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_process_leaves_the_former_result_and_the_next_run_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": "old"})
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "result.cxi").read_text() == "old"
    with caplog.at_level(logging.WARNING):
        write(tmp_path, overwrite=True, **{"result.cxi": "new"})
    assert "left by a run that did not end" in caplog.text
    assert (tmp_path / "result.cxi").read_text() == "new"


NEW = {"a.cxi": "new", "figures/b.png": "new", "zebra.png": "new", "report.json": "new"}


def write_former(folder: Path) -> dict[str, str]:
    write(folder, **{"a.cxi": "old", "stale.png": "old", "report.json": "old"})
    return contents(folder)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("renamed", range(9))
def test_failure_between_two_renames_leaves_the_former_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: int, error: BaseException
) -> None:
    former = write_former(tmp_path)
    replace, done = Path.replace, []

    def failing(self: Path, target: Path) -> Path:
        done.append(target)
        if len(done) == renamed + 1:
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write(tmp_path, overwrite=True, **NEW)
    assert len(done) > renamed
    assert contents(tmp_path) == former
    assert {path.name for path in tmp_path.iterdir()} == set(former)


KILLED_BETWEEN_RENAMES = """
import os, shutil, signal, sys
from pathlib import Path
from autophasenn.files.writing import staged_folder

replace, left = Path.replace, 0
def killing(self, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return replace(self, target)

Path.replace = killing
for left in range(int(sys.argv[2])):
    folder = Path(sys.argv[1] + str(left))
    if os.fork() == 0:
        with staged_folder(folder, overwrite=True) as stage:
            for name in ("a.cxi", "zebra.png", "report.json"):
                (stage / name).write_text("new")
    os.wait()
"""


def test_where_a_killed_process_leaves_a_report_the_result_is_complete(tmp_path: Path) -> None:
    former = {}
    for renamed in range(8):
        former = write_former(tmp_path / str(renamed))
    subprocess.run([sys.executable, "-c", KILLED_BETWEEN_RENAMES, f"{tmp_path}{os.sep}", "8"], check=True)
    for renamed in range(8):
        left = {name: text for name, text in contents(tmp_path / str(renamed)).items() if not name.startswith(".")}
        assert left == former if renamed == 0 else "report.json" not in left
        write(tmp_path / str(renamed), overwrite=True, **NEW)
        assert (tmp_path / str(renamed) / "report.json").read_text() == "new"


def test_result_that_cannot_take_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    former = write_former(tmp_path)
    (tmp_path / "zebra.png").mkdir()
    with pytest.raises(OutputError, match="could not be moved"):
        write(tmp_path, overwrite=True, **NEW)
    assert contents(tmp_path) == former


def test_full_disk_leaves_the_former_result(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": "old"})
    former = contents(tmp_path)
    with (
        files_limited_to(10_000),
        pytest.raises(OutputError, match=r"The disk is full.*unchanged"),
        staged_folder(tmp_path, overwrite=True) as stage,
    ):
        (stage / "result.cxi").write_bytes(bytes(50_000))
    assert contents(tmp_path) == former
    assert list(tmp_path.glob(".*")) == []


def test_full_disk_is_recognised_behind_another_error(tmp_path: Path) -> None:
    reason = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    behind = RuntimeError("closing failed")
    behind.__cause__ = reason
    for error in (reason, behind, RuntimeError(f"file write failed: errno = 28, error message = '{reason.strerror}'")):
        with pytest.raises(OutputError, match="The disk is full"):
            write(tmp_path / "out", fail=error)


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "out") as stage:
        (stage / "none" / "result.cxi").write_text("object")


def test_folder_with_files_needs_leave_to_overwrite(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"not empty.*notes\.txt.*--overwrite"), staged_folder(tmp_path):
        pytest.fail("refused too late")
    assert contents(tmp_path) == {"notes.txt": "mine"}


def test_second_of_two_runs_into_one_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    second = staged_folder(out)
    (second.__enter__() / "result.cxi").write_text("second")
    write(out, **{"result.cxi": "first"})
    with pytest.raises(OutputError, match="not empty"):
        second.__exit__(None, None, None)
    assert (out / "result.cxi").read_text() == "first"


def test_stale_files_of_the_former_result_go_and_no_others(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "old", "aliens.png": "old", "notes.png": "old", "report.json": "old"})
    (tmp_path / "notes.png").write_text("changed by hand")
    (tmp_path / "mine.txt").write_text("mine")
    write(tmp_path, overwrite=True, **{"result.cxi": "new", "report.json": "new"})
    left = contents(tmp_path)
    left.pop(MANIFEST)
    assert left == {"result.cxi": "new", "report.json": "new", "notes.png": "changed by hand", "mine.txt": "mine"}


def test_manifest_cannot_name_files_outside(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    out = tmp_path / "out"
    out.mkdir()
    (out / MANIFEST).write_text(f"{digest}  ../mine.txt\n{digest}  {tmp_path}/mine.txt\nnonsense\n")
    write(out, overwrite=True, **{"result.cxi": "new"})
    assert (tmp_path / "mine.txt").exists()


def test_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("file")
    for folder in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(OutputError, match="is a file or lies in one"):
            check_folder(folder, overwrite=True)


def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b" / "out", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o555)
    user = os.geteuid()
    if user == 0:  # root may write anywhere: be nobody for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(OutputError, match="cannot be written to"), staged_folder(out):
            pytest.fail("refused too late")
    finally:
        os.seteuid(user)
    assert list(out.iterdir()) == []


def test_one_file_is_replaced_whole_or_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.vti"
    for content in ("first", "second"):
        with write_atomically(path) as temporary:
            assert temporary.suffix == ".vti"
            temporary.write_text(content)
    with (
        files_limited_to(10_000),
        pytest.raises(OutputError, match="disk is full"),
        write_atomically(path) as temporary,
    ):
        temporary.write_bytes(bytes(50_000))
    assert contents(tmp_path) == {"a.vti": "second"}
