"""Where a scan comes from is checked once, and every command says the same of it."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layouts import Nanomax

from autophasenn import cli
from autophasenn.errors import InputError, PlanError
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.source import Source

SPEC = Path("a.spec")

WRONG = [
    ({"beamline": "34idc"}, "--beamline 34idc needs the SPEC file"),
    ({"beamline": "mybeamline", "spec": SPEC}, "'mybeamline' is not known"),
    ({"beamline": "34idc", "spec": SPEC, "axes": "row,column,frame"}, "--axes belongs to a plain file"),
    ({"spec": SPEC}, "--spec belongs to a scan folder"),
    ({"dark": Path("d.tif")}, "--dark belongs to a scan folder"),
    ({"white": Path("w.tif")}, "--white belongs to a scan folder"),
]


@pytest.mark.parametrize(("options", "words"), [*WRONG, ({"scan": 3}, "--scan belongs to a scan folder")])
def test_options_that_do_not_go_together_are_refused_as_they_are_given(options: dict, words: str) -> None:
    with pytest.raises(PlanError, match=words):
        Source("scan", **options)


@pytest.mark.parametrize(("options", "words"), WRONG)
@pytest.mark.parametrize(
    "command",
    [["reconstruct", "scan", "-o", "o"], ["inspect", "scan"], ["finetune", ".", "-o", "o"], ["watch", ".", "-o", "o"]],
    ids=lambda command: command[0],
)
def test_every_command_says_the_same_of_its_source(
    command: list[str],
    options: dict,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["autophasenn", *command, *given])
    with pytest.raises(SystemExit) as leaving:
        cli.main()
    captured = capsys.readouterr()
    with pytest.raises(PlanError) as told:
        Source("scan", **options)
    assert (leaving.value.code, captured.out, captured.err) == (2, "", f"Error: {told.value}\n")


def test_without_an_input_the_bundled_example_is_read() -> None:
    scan = Source().read()
    assert scan.source["path"] == str(EXAMPLE)
    np.testing.assert_array_equal(scan.frames, np.load(EXAMPLE)["counts"])


def test_what_is_shared_goes_to_every_input() -> None:
    shared = Source(beamline="34idc", spec=SPEC, dark=Path("d.tif"))
    assert shared.of("a") == Source("a", "34idc", SPEC, dark=Path("d.tif"))
    with pytest.raises(PlanError, match="as INPUT"):
        shared.read()


def test_a_mask_goes_with_a_plain_file(tmp_path: Path) -> None:
    measured = np.ones((8, 8, 8), bool)
    measured[:, 2] = False
    np.save(tmp_path / "counts.npy", np.ones((8, 8, 8), np.int32))
    np.save(tmp_path / "mask.npy", measured)
    np.testing.assert_array_equal(
        Source(str(tmp_path / "counts.npy"), mask=tmp_path / "mask.npy").read().mask, measured
    )


def test_a_mask_leaves_out_pixels_of_a_beamlines_scan_beside_those_that_its_reader_does(tmp_path: Path) -> None:
    experiment = Nanomax.experiment
    written = Nanomax.write(tmp_path, np.ones((experiment.frames, *experiment.shape), np.uint32), experiment)
    measured = np.ones(experiment.shape, bool)
    measured[100:120, 7] = False
    np.save(tmp_path / "mask.npy", measured)
    source = Source(str(written.path), "nanomax", instrument=Instrument(direct_beam=experiment.beam))
    known, both = source.read().mask, replace(source, mask=tmp_path / "mask.npy").read()
    assert not known.all()
    assert known[100:120, 7].all()
    np.testing.assert_array_equal(both.mask, known & measured)
    assert both.source["mask_path"] == str(tmp_path / "mask.npy")
    np.save(tmp_path / "mask.npy", measured[:9])
    with pytest.raises(InputError, match=r"mask\.npy has shape \(9, 515\)"):
        replace(source, mask=tmp_path / "mask.npy").read()
