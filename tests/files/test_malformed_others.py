"""Plans, SPEC files, frames and stored results of every odd kind are refused in one sentence; what is normal is read."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from mutations import FORMATS, SCAN, counts, dry_run
from refusing import refusal

from autophasenn import cli
from autophasenn.errors import AutoPhaseNNError, InputError
from autophasenn.experiment.dataset import DatasetFile
from autophasenn.files.cxi import read_result
from autophasenn.files.frames import check_numbers
from autophasenn.files.spec_text import legible
from autophasenn.network import weights
from autophasenn.viewer.results import read_image


def plan(text: str | bytes) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        np.save(folder / "p.npy", counts())
        (folder / "plan.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return dry_run(folder / "p.npy", "--plan", folder / "plan.yaml")

    return write


def piped_plan(folder: Path) -> list[str]:
    words = plan("")(folder)
    (folder / "plan.yaml").unlink()
    os.mkfifo(folder / "plan.yaml")
    return words


def spec(change: Callable[[str], str | bytes]) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        path = FORMATS["spec"].write(folder)
        changed = change(path.read_text())
        path.write_bytes(changed.encode() if isinstance(changed, str) else changed)
        return FORMATS["spec"].read(path) or []

    return write


def frames(change: Callable[[Path], object]) -> Callable[[Path], list[str]]:
    """A scan of which `change` spoils the folder of frames."""

    def write(folder: Path) -> list[str]:
        path = FORMATS["spec"].write(folder)
        change(folder / SCAN)
        return FORMATS["spec"].read(path) or []

    return write


def frame(folder: Path, index: int) -> Path:
    return folder / f"{SCAN}_{index:05d}.tif"


def one_missing_another_extra(folder: Path) -> None:
    frame(folder, 3).rename(frame(folder, 9))


def numbered_twice(folder: Path) -> None:
    frame(folder, 3).rename(folder / "again_00002.tif")


def without_numbers(folder: Path) -> None:
    for index in range(8):
        frame(folder, index).rename(folder / f"{'abcdefgh'[index]}.tif")


def in_steps_of_two(folder: Path) -> None:
    for index in reversed(range(8)):
        frame(folder, index).rename(frame(folder, 2 * index))


def piped_frame(folder: Path) -> None:
    frame(folder, 3).unlink()
    os.mkfifo(frame(folder, 3))


def piped_spec(folder: Path) -> list[str]:
    path = FORMATS["spec"].write(folder)
    path.unlink()
    os.mkfifo(path)
    return FORMATS["spec"].read(path) or []


BOMB = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
CASES: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "plan: aliases that expand": (plan(BOMB), "alias"),
    "plan: an integer that is none": (plan("version: !!int abc"), "cannot be read as YAML"),
    "plan: a timestamp that is none": (plan("version: !!timestamp abc"), "cannot be read as YAML"),
    "plan: a date that is none": (plan("version: 2024-13-45"), "plan.yaml"),
    "plan: nested 1,000 deep": (plan("version: " + "[" * 1000 + "]" * 1000), "nested too deeply"),
    "plan: an integer of 5,000 digits": (plan("version: " + "9" * 5000), "plan.yaml"),
    "plan: a hexadecimal integer of 5,000 digits": (plan("version: 0x" + "f" * 5000), "plan.yaml"),
    "plan: a parameter of 5,000 digits": (plan("version: 1\nretrieval: {starts: 0x" + "f" * 5000 + "}"), "plan.yaml"),
    "plan: a key of 100,000 letters": (plan("version: 1\n? " + "a" * 100_000 + "\n: 1"), "plan.yaml"),
    "plan: no UTF-8": (plan(b"version: 1 # \xb5m"), "cannot be read"),
    "plan: a list": (plan("[1, 2]"), "a mapping"),
    "plan: nothing": (plan(""), "a mapping"),
    "plan: a number": (plan("0x" + "f" * 5000), "a mapping"),
    "plan: a Python object": (plan("version: !!python/object/apply:os.system [true]"), "cannot be read as YAML"),
    "plan: a pipe": (piped_plan, "it is no file"),
    "spec: a pipe": (piped_spec, "it is a pipe or a device"),
    "spec: no scan": (spec(lambda _: "#F made\n"), "no SPEC file"),
    "spec: no text": (spec(lambda _: bytes(range(256)) * 20), "no SPEC file"),
    "frames: one is missing and one too many": (frames(one_missing_another_extra), "3"),
    "frames: one has the number of another": (frames(numbered_twice), "2"),
    "frames: without numbers": (frames(without_numbers), "number"),
    "frames: in steps of two": (frames(in_steps_of_two), "1"),
    "frames: a pipe": (frames(piped_frame), "it is a pipe or a device"),
}


@pytest.mark.parametrize(("write", "words"), CASES.values(), ids=CASES)
def test_an_odd_plan_or_scan_is_refused_in_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    write: Callable[[Path], list[str]],
    words: str,
) -> None:
    command = write(tmp_path)
    sentence = refusal(command, lambda: sorted(tmp_path.rglob("*")), monkeypatch, capsys)
    assert words in sentence
    assert len(sentence) <= 1000


NORMAL: dict[str, Callable[[str], str | bytes]] = {
    "line ends of Windows": lambda text: text.replace("\n", "\r\n"),
    "Latin-1": lambda text: text.replace("#D Tue", "#C 5 µm at 20 °C\n#D Tue").encode("latin-1"),
    "ten megabytes of comments": lambda text: text.replace("#P0", "#C " + "x" * 60 + "\n#P0", 1).replace(
        "#C ", ("#C " + "x" * 60 + "\n") * 160_000 + "#C ", 1
    ),
    "a comment of a megabyte": lambda text: text.replace("#D Tue", "#C " + "x" * 10**6 + "\n#D Tue"),
}


@pytest.mark.parametrize("change", NORMAL.values(), ids=NORMAL)
def test_what_beamlines_write_into_spec_files_is_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[str], str | bytes],
) -> None:
    def said(words: list[str]) -> str:
        monkeypatch.setattr(sys, "argv", ["autophasenn", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        assert leaving.value.code in (0, None)
        return capsys.readouterr().out

    (tmp_path / "plain").mkdir()
    (tmp_path / "other").mkdir()
    plain = said(spec(lambda text: text)(tmp_path / "plain"))
    assert said(spec(change)(tmp_path / "other")) == plain.replace(str(tmp_path / "plain"), str(tmp_path / "other"))


def test_a_spec_file_that_is_as_it_should_be_is_not_copied(tmp_path: Path) -> None:
    path = FORMATS["spec"].write(tmp_path)
    with legible(path) as text:
        assert text == path


def test_frames_that_follow_one_another_may_begin_anywhere(tmp_path: Path) -> None:
    check_numbers([tmp_path / f"x_{number}.tif" for number in (98, 99, 100)])
    check_numbers([tmp_path / "single.tif"])
    with pytest.raises(InputError, match=r"number 99"):
        check_numbers([tmp_path / f"x_{number}.tif" for number in (98, 100)])


def replaced(name: str, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            if name in file:
                del file[name]
            if value is not None:
                file[name] = value

    return change


def sentence_of(ask: Callable[[], object]) -> str:
    """What a refusal says; nothing where it is not refused."""
    try:
        ask()
    except AutoPhaseNNError as error:
        return str(error)
    return ""


IMAGE = "entry_1/image_1"
RESULTS: dict[str, Callable[[Path], None]] = {
    "no object": replaced(f"{IMAGE}/data", None),
    "an object of another shape": replaced(f"{IMAGE}/data", np.ones((2, 2, 2), complex)),
    "an object of text": replaced(f"{IMAGE}/data", "words"),
    "a support of another shape": replaced(f"{IMAGE}/support", np.ones((2, 2, 2), np.uint8)),
    "a process of text": replaced(f"{IMAGE}/process_1/json", "words"),
    "a process that is a list": replaced(f"{IMAGE}/process_1/json", "[1, 2]"),
    "a process that is null": replaced(f"{IMAGE}/process_1/json", "null"),
    "a process nested 100,000 deep": replaced(f"{IMAGE}/process_1/json", "[" * 100_000),
    "an object in a pipe": replaced(f"{IMAGE}/data", h5py.ExternalLink("absent.h5", "data")),
}


@pytest.mark.parametrize("change", RESULTS.values(), ids=RESULTS)
def test_an_odd_result_is_refused_by_name(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = FORMATS["result"].write(tmp_path)
    change(path)
    with pytest.raises(InputError) as refused:
        read_result(path)
    assert "result.cxi" in str(refused.value)
    assert len(str(refused.value)) <= 1000


@pytest.mark.parametrize("text", ["[1]", "1", "null", "{", "[" * 100_000, '"words"'])
def test_a_report_that_is_no_mapping_does_not_hide_the_image(tmp_path: Path, text: str) -> None:
    path = FORMATS["report"].write(tmp_path)
    path.write_text(text)
    sentence = sentence_of(lambda: read_image(path.parent).report.items())
    assert sentence == "" or "result.cxi" in sentence


@pytest.mark.parametrize("name", ["format", "version", "source", "seed", "provenance"])
@pytest.mark.parametrize("value", [np.zeros(3), "words", h5py.Empty("f4"), np.void(b"123")], ids=repr)
def test_an_attribute_of_a_dataset_of_any_kind_is_read_or_refused(tmp_path: Path, name: str, value: object) -> None:
    path = FORMATS["dataset"].write(tmp_path)
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    sentence = sentence_of(lambda: DatasetFile(path).close())
    assert sentence == "" or "crystals.h5" in sentence


def test_a_dataset_of_links_is_refused(tmp_path: Path) -> None:
    path = FORMATS["dataset"].write(tmp_path)
    with h5py.File(path, "r+") as file:
        shape = file["patterns"].shape
        del file["patterns"]
        layout = h5py.VirtualLayout(shape, np.uint32)
        layout[:] = h5py.VirtualSource("absent.h5", "patterns", shape)
        file.create_virtual_dataset("patterns", layout)
    with pytest.raises(InputError, match="another file"):
        DatasetFile(path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x08" + bytes(7) + b"{" * 8], ids=len)
def test_weights_that_are_none_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"w\.safetensors"):
        weights.load(tmp_path / "w.safetensors")


def test_a_dark_field_that_is_a_pipe_is_refused(tmp_path: Path) -> None:
    from autophasenn.files.frames import read_image as read_field

    os.mkfifo(tmp_path / "dark.tif")
    with pytest.raises(InputError, match="pipe or a device"):
        read_field(tmp_path / "dark.tif", "dark field")
    tifffile.imwrite(tmp_path / "white.tif", np.ones((4, 5), np.uint16))
    assert read_field(tmp_path / "white.tif", "white field").shape == (4, 5)
