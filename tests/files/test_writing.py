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
from autophasenn.files.former import MANIFEST, Kind
from autophasenn.files.writing import check_folder, staged_folder, write_atomically

OLD, NEW_REPORT = ('{"versions": {"autophasenn": "0"}, "of": "' + of + '"}' for of in ("old", "new"))
KIND = Kind(
    ("report.json", "result.cxi", "a.cxi", "zebra.png", "stale.png", "aliens.png", "first.png", "a.json"),
    ("report.json", "a.json"),
)


def write(folder: Path, overwrite: bool = False, fail: BaseException | None = None, **contents: str) -> None:
    with staged_folder(folder, KIND, overwrite) as stage:
        for name, content in contents.items():
            (stage / name).parent.mkdir(exist_ok=True)
            (stage / name).write_text(content)
        if fail is not None:
            raise fail


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_nothing_shows_before_everything_is_written(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with staged_folder(out, KIND) as stage:
        (stage / "result.cxi").write_text("object")
        (stage / "figures").mkdir()
        (stage / "figures" / "slices.png").write_text("picture")
        assert not (out / "result.cxi").exists()
        assert stage.stat().st_dev == out.stat().st_dev  # one filesystem, so that a rename is one step
    assert contents(out).keys() == {"result.cxi", "figures/slices.png", MANIFEST}
    assert list(out.glob(".*")) == []


def test_manifest_verifies_the_result(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "object", "report.json": OLD})
    digest = hashlib.sha256(b"object").hexdigest()
    assert f"{digest}  result.cxi\n" in (tmp_path / MANIFEST).read_text()


def test_report_is_moved_into_place_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    replace = Path.replace

    def noting(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noting)
    write(tmp_path, **{"report.json": OLD, "zebra.png": "picture", "a.cxi": "object"})
    assert moved[-1] == "report.json"
    assert len(moved) == 5


def test_crash_leaves_the_former_result(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": OLD})
    former = contents(tmp_path)
    with pytest.raises(RuntimeError, match="crash"):
        write(tmp_path, overwrite=True, **{"result.cxi": "half"}, fail=RuntimeError("crash"))
    assert contents(tmp_path) == former
    assert list(tmp_path.glob(".*")) == []


def update(folder: Path, **contents: str) -> None:
    with staged_folder(folder, KIND, is_update=True) as stage:
        for name, content in contents.items():
            (stage / name).write_text(content)


def test_an_update_leaves_no_moment_without_a_whole_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": OLD, "first.png": "old"})
    replace = Path.replace
    seen = set()

    def looking(self: Path, target: Path) -> Path:
        moved = replace(self, target)
        seen.add(tuple((tmp_path / name).read_text() for name in ("result.cxi", "report.json")))
        return moved

    monkeypatch.setattr(Path, "replace", looking)
    update(tmp_path, **{"result.cxi": "new", "report.json": NEW_REPORT})
    assert seen == {("old", OLD), ("new", OLD), ("new", NEW_REPORT)}
    assert contents(tmp_path).keys() == {"result.cxi", "report.json", MANIFEST}


def test_an_update_that_fails_on_its_way_leaves_the_former_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": OLD})
    former, replace, times = contents(tmp_path), Path.replace, iter(range(10))

    def failing(self: Path, target: Path) -> Path:
        if next(times) == 2:
            raise OSError(errno.EIO, "input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match="unchanged"):
        update(tmp_path, **{"result.cxi": "new", "report.json": NEW_REPORT})
    assert contents(tmp_path) == former


def test_crash_leaves_no_folder_that_was_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a" / "b" / "out", fail=KeyboardInterrupt())
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from autophasenn.files.former import Kind
from autophasenn.files.writing import staged_folder

with staged_folder(Path(sys.argv[1]), Kind(("result.cxi",), ("report.json",)), overwrite=True) as stage:
    (stage / "result.cxi").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_process_leaves_the_former_result_and_the_next_run_tidies_up_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": OLD})
    process = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "result.cxi").read_text() == "old"
    assert list(tmp_path.glob(".writing-*")) != []
    with caplog.at_level(logging.INFO):
        write(tmp_path, overwrite=True, **{"result.cxi": "new", "report.json": NEW_REPORT})
    assert (caplog.text, capfd.readouterr()) == ("", ("", ""))
    assert contents(tmp_path).keys() == {"result.cxi", "report.json", MANIFEST}
    assert list(tmp_path.glob(".*")) == []


NEW = {"a.cxi": "new", "figures/b.png": "new", "zebra.png": "new", "report.json": NEW_REPORT}


def write_former(folder: Path) -> dict[str, str]:
    write(folder, **{"a.cxi": "old", "stale.png": "old", "report.json": OLD})
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
from autophasenn.files.former import Kind
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
        with staged_folder(folder, Kind(("a.cxi", "stale.png"), ("report.json", "a.json")), overwrite=True) as stage:
            for name in ("a.json", "zebra.png", "report.json"):
                (stage / name).write_text('{"versions": {"autophasenn": "0"}, "of": "new"}')
    os.wait()
"""


def test_where_a_killed_process_leaves_a_report_the_result_is_complete(tmp_path: Path) -> None:
    former = {}
    for renamed in range(8):
        former = write_former(tmp_path / str(renamed))
    subprocess.run([sys.executable, "-c", KILLED_BETWEEN_RENAMES, f"{tmp_path}{os.sep}", "8"], check=True)
    for renamed in range(8):
        left = {name: text for name, text in contents(tmp_path / str(renamed)).items() if not name.startswith(".")}
        if renamed > 1:  # the first rename is that of the manifest, which knows both results from then on
            assert "report.json" not in left
        else:
            assert {**left, MANIFEST: ""} == {**former, MANIFEST: ""}
        write(tmp_path / str(renamed), overwrite=True, **NEW)
        assert (tmp_path / str(renamed) / "report.json").read_text() == NEW_REPORT


def test_result_that_cannot_take_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    former = write_former(tmp_path)
    (tmp_path / "zebra.png").mkdir()
    with pytest.raises(OutputError, match=r"holds zebra\.png, which is no file of a former result.*move it elsewhere"):
        write(tmp_path, overwrite=True, **NEW)
    assert contents(tmp_path) == former


def test_full_disk_leaves_the_former_result(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "old", "report.json": OLD})
    former = contents(tmp_path)
    with (
        files_limited_to(10_000),
        pytest.raises(OutputError, match=r"The disk is full.*unchanged"),
        staged_folder(tmp_path, KIND, overwrite=True) as stage,
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
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "out", KIND) as stage:
        (stage / "none" / "result.cxi").write_text("object")


def test_folder_with_files_needs_leave_to_overwrite(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"not empty.*notes\.txt.*--overwrite"), staged_folder(tmp_path, KIND):
        pytest.fail("refused too late")
    assert contents(tmp_path) == {"notes.txt": "mine"}


def test_second_of_two_runs_into_one_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    second = staged_folder(out, KIND)
    (second.__enter__() / "result.cxi").write_text("second")
    write(out, **{"result.cxi": "first"})
    with pytest.raises(OutputError, match="not empty"):
        second.__exit__(None, None, None)
    assert (out / "result.cxi").read_text() == "first"


def test_stale_files_of_the_former_result_go_and_no_others(tmp_path: Path) -> None:
    write(tmp_path, **{"result.cxi": "old", "aliens.png": "old", "report.json": OLD})
    (tmp_path / "mine.txt").write_text("mine")
    with (tmp_path / MANIFEST).open("a") as manifest:  # as `sha256sum mine.txt >> SHA256SUMS` does
        manifest.write(f"{hashlib.sha256(b'mine').hexdigest()}  mine.txt\n")
    write(tmp_path, overwrite=True, **{"result.cxi": "new", "report.json": NEW_REPORT})
    left = contents(tmp_path)
    left.pop(MANIFEST)
    assert left == {"result.cxi": "new", "report.json": NEW_REPORT, "mine.txt": "mine"}


def test_manifest_cannot_name_files_outside(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    out = tmp_path / "out"
    write(out, **{"report.json": OLD})
    with (out / MANIFEST).open("a") as manifest:
        manifest.write(f"{digest}  ../mine.txt\n{digest}  {tmp_path}/mine.txt\nnonsense\n")
    write(out, overwrite=True, **{"result.cxi": "new"})
    assert (tmp_path / "mine.txt").exists()


def sums(folder: Path, *names: str) -> str:
    """What `sha256sum` prints."""
    return "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)


@pytest.mark.parametrize("name", ["report.json", "result.cxi", MANIFEST])
def test_files_of_the_user_under_the_names_of_a_result_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=rf"holds {name}, which is no file of a former result.*move it elsewhere"):
        write(tmp_path, overwrite=True, **{"report.json": NEW_REPORT, "result.cxi": "new"})
    assert contents(tmp_path) == {name: "mine"}


def test_files_that_a_manifest_of_the_user_lists_are_kept(tmp_path: Path) -> None:
    for name in ("mydata.txt", "report.json", "stale.png", "sub/b.dat"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / MANIFEST).write_text(sums(tmp_path, "mydata.txt", "report.json", "stale.png", "sub/b.dat"))
    former = contents(tmp_path)
    with pytest.raises(OutputError, match="no file of a former result"):
        write(tmp_path, overwrite=True, **{"report.json": NEW_REPORT})
    assert contents(tmp_path) == former


def test_a_file_of_a_former_result_that_was_changed_since_is_refused(tmp_path: Path) -> None:
    write(tmp_path, **{"a.json": OLD, "report.json": OLD})
    (tmp_path / "report.json").write_text("notes")
    with pytest.raises(OutputError, match=r"holds report\.json, which was changed after the result in it was written"):
        write(tmp_path, overwrite=True, **{"report.json": NEW_REPORT})
    assert (tmp_path / "report.json").read_text() == "notes"


def test_a_link_under_the_name_of_a_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("mine")
    (tmp_path / "out").mkdir()
    for name, target in (("report.json", "../outside"), ("a.cxi", "nowhere")):
        (tmp_path / "out" / name).symlink_to(target)
        with pytest.raises(OutputError, match=f"holds {name}"):
            write(tmp_path / "out", overwrite=True, **{"report.json": NEW_REPORT, "a.cxi": "new"})
        (tmp_path / "out" / name).unlink()


def test_a_file_that_cannot_be_moved_back_is_named_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former = write_former(tmp_path)
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if target.name == "zebra.png" or (self.parent.name == "former" and target.name == "a.cxi"):
            raise OSError(errno.EIO, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError, match=r"unchanged, but for a\.cxi, which lies in .*former;"):
        write(tmp_path, overwrite=True, **NEW)
    assert {name: text for name, text in contents(tmp_path).items() if ".writing" not in name} == {
        name: text for name, text in former.items() if name != "a.cxi"
    }
    assert [path.read_text() for path in tmp_path.glob(".writing-*/former/a.cxi")] == ["old"]


TWO_WRITERS = """
import os, sys
from pathlib import Path
from autophasenn.files.former import Kind
from autophasenn.files.writing import staged_folder

names = ("a.cxi", "b.png", "c.csv", "report.json")
children = []
for who in "XY":
    children.append(os.fork())
    if children[-1] == 0:
        for number in range(8):
            with staged_folder(Path(sys.argv[1]), Kind(names, ("report.json",)), overwrite=True) as stage:
                for name in names:
                    (stage / name).write_text('{"versions": {"autophasenn": "0"}, "of": "%s%d"}' % (who, number))
        os._exit(0)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def test_two_that_write_to_one_folder_leave_one_whole_result(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TWO_WRITERS, str(tmp_path)], check=True)
    names = ("a.cxi", "b.png", "c.csv", "report.json")
    assert {path.name for path in tmp_path.iterdir()} == {*names, MANIFEST}
    assert (tmp_path / MANIFEST).read_text() == sums(tmp_path, *names)
    assert len({(tmp_path / name).read_text() for name in names}) == 1


def test_the_temporary_folder_of_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    with staged_folder(tmp_path, KIND, overwrite=True) as stage:
        (stage / "report.json").write_text(NEW_REPORT)
        write(tmp_path, overwrite=True, **{"report.json": OLD})
        assert (stage / "report.json").read_text() == NEW_REPORT
    assert (tmp_path / "report.json").read_text() == NEW_REPORT


@pytest.mark.parametrize("name", ["p/" * 2000, "x" * 300, "a\0b"])
def test_a_name_that_no_folder_can_have_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="The output folder"):
        check_folder(tmp_path / name, overwrite=True)
    assert list(tmp_path.iterdir()) == []


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
        with pytest.raises(OutputError, match="cannot be written to"), staged_folder(out, KIND):
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
