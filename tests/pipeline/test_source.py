"""Where a scan comes from is checked once, and every command says the same of it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layouts import Nanomax

from autophasenn import cli
from autophasenn.errors import InputError, PlanError
from autophasenn.pipeline.example import EXAMPLE, geometry_by_hand
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.repeated import RepeatedScans, scan_numbers, sources
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


def test_the_geometry_of_the_example_by_hand_is_that_of_its_file(tmp_path: Path) -> None:
    example, counts, geometry = Source().read(), tmp_path / "counts.npy", tmp_path / "geometry.yaml"
    np.save(counts, example.frames)
    geometry.write_text(json.dumps(geometry_by_hand()))
    by_hand = Source(str(counts), instrument=Instrument(geometry=geometry)).read()
    assert example.geometry is not None
    assert by_hand.geometry is not None
    places = ((32.0, 32.0), 32.0)
    for name in ("reciprocal_steps", "scattering_vector"):
        known, found = (getattr(each.geometry, name)(*places).numpy() for each in (example, by_hand))
        assert np.abs(found - known).max() < 1e-4 * np.abs(known).max(), name


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
    with pytest.raises(InputError, match=r"mask\.npy has 9 x 515 pixels; give one of 515 x 515"):
        replace(source, mask=tmp_path / "mask.npy").read()


WRONG_TYPES = {
    "Instrument(energy='9000')": "energy of the instrument is '9000'; give a number, eV.",
    "Instrument(energy=float('nan'))": "energy of the instrument is nan; give a number, eV.",
    "Instrument(energy=True)": "energy of the instrument is True; give a number, eV.",
    "Instrument(distance=(1, 2))": "distance of the instrument is (1, 2); give a number, metres.",
    "Instrument(pixel=55e-6)": "pixel of the instrument is 5.5e-05; give two numbers, row and column, metres.",
    "Instrument(direct_beam=('a', 1))": "direct_beam of the instrument is ('a', 1); give two numbers, row and column.",
    "Instrument(first_pixel=[1, 2, 3])": "first_pixel of the instrument is [1, 2, 3]; give two numbers",
    "Instrument(motors={'eta': 3})": "motors of the instrument is {'eta': 3}; give words in a tuple",
    "Instrument(motors='eta=3')": "motors of the instrument is 'eta=3'; give words in a tuple",
    "Instrument(columns=1)": "columns of the instrument is 1; give a direction",
    "Instrument(reverse='eta')": "reverse of the instrument is 'eta'; give names",
    "Instrument(geometry=3)": "geometry of the instrument is 3; give the path",
    "Instrument(diffractometer=3)": "diffractometer of the instrument is 3; give its name",
    "Source('scan', instrument={'energy': 9000})": "The instrument is {'energy': 9000}; give an Instrument",
    "Source('scan', 'id01', scan='12')": "scan is '12'; give the number",
    "Source('scan', 3)": "beamline is 3; give a word",
}


def test_wrong_types_of_instruments_and_sources_are_refused_in_words_and_numpys_are_right() -> None:
    """In a Python of its own: the types of all calls in this one are checked before they are made."""
    tried = f"""
import numpy as np
from autophasenn.errors import PlanError
from autophasenn.pipeline.instrument import Instrument
from autophasenn.pipeline.source import Source
for call in {list(WRONG_TYPES)!r}:
    try:
        eval(call)
        print("accepted")
    except PlanError as error:
        print(error)
right = Instrument(energy=np.float32(9000), direct_beam=[np.int64(3), 4], pixel=np.array([1e-5, 2e-5]), motors=["eta=1"])
setup = right.setup()
print(setup.energy_ev, setup.direct_beam, setup.pixel_m, setup.motors)
"""
    run = subprocess.run([sys.executable, "-c", tried], check=True, capture_output=True, text=True)
    *refused, right = run.stdout.splitlines()
    assert len(refused) == len(WRONG_TYPES)
    for sentence, words in zip(refused, WRONG_TYPES.values(), strict=True):
        assert sentence.startswith(words)
    assert right == "9000.0 (3.0, 4.0) (1e-05, 2e-05) {'eta': 1.0}"


def test_numbers_of_scans_are_written_with_commas_and_ranges() -> None:
    assert scan_numbers("12,14-16") == (12, 14, 15, 16)
    for words in ("", "12-", "16-14", "a", "1,,2"):
        with pytest.raises(PlanError, match="write numbers and ranges"):
            scan_numbers(words)
    each = sources(Source(beamline="id01"), ["sample.h5"], scan_numbers("3-4"))
    assert [(one.input, one.scan) for one in each] == [("sample.h5", 3), ("sample.h5", 4)]


def test_a_scan_is_not_summed_with_itself() -> None:
    with pytest.raises(PlanError, match=r"a\.npy is given twice"):
        RepeatedScans((Source("a.npy"), Source("b.npy"), Source("a.npy")))
    with pytest.raises(PlanError, match="There is 1 scan to sum"):
        RepeatedScans((Source("a.npy"),))
