"""`autophasenn inspect` says what is in a file, in numbers that are right and in a picture whose colours are."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from autophasenn import cli
from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import GeometryError, InputError
from autophasenn.experiment.dataset import Description, encoded
from autophasenn.experiment.experiment import Experiment, Samples, simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.files.cxi import write_result
from autophasenn.image import CrystalImage
from autophasenn.physics.fourier import diffract
from autophasenn.pipeline.example import EXAMPLE
from autophasenn.pipeline.inspect import Inspection, draw, look, picture_of, spread
from autophasenn.pipeline.prepare import prepare
from autophasenn.pipeline.simulate import Simulation
from autophasenn.pipeline.source import Source
from autophasenn.report.contact_sheet import Row, contact_sheet
from autophasenn.report.style import UNMEASURED, cyclic_map, save
from autophasenn.volumes import Pattern, Reconstruction

COARSE = 50
"""Dots per inch: drawing is quicker, and shares of a colour are the same."""


@pytest.fixture(scope="module", autouse=True)
def coarse_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autophasenn.report.style.DPI", COARSE)
        yield


def source(path: Path | str) -> Source:
    return Source(str(path))


@pytest.fixture(scope="module")
def samples() -> Samples:
    made = simulate(Polyhedra(), Experiment(), 5, range(3))
    made.masks[1, :, 20:24] = False
    return made


def write_dataset(folder: Path, samples: Samples) -> Path:
    path = folder / "crystals.h5"
    path.write_bytes(encoded(samples, Description("polyhedra", 5, {"source": {"metal": "Au", "size": [1, 2.5]}})))
    return path


@pytest.fixture
def dataset(tmp_path: Path, samples: Samples) -> Path:
    return write_dataset(tmp_path, samples)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, which is not that of the data."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory, samples: Samples) -> tuple[Inspection, Path]:
    folder = tmp_path_factory.mktemp("inspected")
    found = look(source(write_dataset(folder, samples)))
    picture = folder / picture_of(found)
    draw(found, picture)
    return found, picture


def share_of_colour(picture: Path, colour: tuple[float, ...]) -> float:
    pixels = matplotlib.image.imread(picture)[..., :3]
    return float((np.abs(pixels - np.array(colour[:3])).max(-1) < 0.02).mean())


def test_a_dataset_is_described_by_its_own_numbers(inspected: tuple[Inspection, Path], samples: Samples) -> None:
    found, picture = inspected
    assert found.kind == "dataset"
    assert found.facts["samples"] == 3
    assert found.facts["crystals"] == "metal Au, size 1 2.5"
    photons = [float(counts[mask].sum()) for counts, mask in zip(samples.counts, samples.masks, strict=True)]
    assert found.facts["photons a pattern"].endswith(f"median {np.median(photons):.2g}")
    assert found.facts["unmeasured voxels"] == f"{100 * 4 / 64 / 3:.2g} %"
    assert picture.name == "crystals.h5.inspect.png"
    assert [row.notes[0] for row in found.rows] == ["sample 0", "sample 1", "sample 2"]
    assert "6.2 % unmeasured" in found.rows[1].notes
    assert torch.equal(found.rows[2].counts, samples.counts[2])


def test_the_oversampling_of_a_row_is_about_that_of_its_object(inspected: tuple[Inspection, Path]) -> None:
    for row in inspected[0].rows:
        assert row.notes[2] == "oversampling (estimated)"
        assert row.object is not None
        inside = row.object.abs() > 0.1
        extents = [int(inside.any(2).any(1).sum()), int(inside.any(2).any(0).sum()), int(inside.any(0).any(0).sum())]
        said = [float(word) for word in row.notes[3].split()]
        np.testing.assert_allclose(said, [64 / extent for extent in extents], rtol=0.3)


def test_samples_are_spread_from_the_first_to_the_last() -> None:
    assert spread(100, 3) == [0, 50, 99] or spread(100, 3) == [0, 49, 99]
    assert spread(2, 8) == [0, 1]
    assert spread(1, 8) == [0]


def test_unmeasured_voxels_are_grey_and_only_those(samples: Samples, tmp_path: Path) -> None:
    grey = to_rgb(UNMEASURED)
    for index in (0, 1):
        row = Row(samples.counts[index], samples.masks[index], None, ["sample"])
        save(contact_sheet([row]), tmp_path / f"{index}.png")
    assert share_of_colour(tmp_path / "0.png", grey) < 1e-3
    # 4 of 64 rows of two of the three planes, which fill about a third of the picture
    assert 0.005 < share_of_colour(tmp_path / "1.png", grey) < 0.05


def test_the_phase_is_drawn_in_the_cyclic_map(tmp_path: Path) -> None:
    phases, rows = (-2.0, 0.3), []
    for phase in phases:
        rho = torch.zeros(32, 32, 32, dtype=torch.complex64)
        rho[8:24, 8:24, 8:24] = complex(np.exp(1j * phase))
        counts = diffract(rho).abs().square()
        rows.append(Row(counts, counts >= 0, rho, ["sample"]))
    save(contact_sheet(rows), tmp_path / "sheet.png")
    for phase in phases:
        own, opposite = (
            share_of_colour(tmp_path / "sheet.png", cyclic_map()((angle + np.pi) / (2 * np.pi) % 1))
            for angle in (phase, phase + np.pi)
        )
        assert own > 0.01
        assert opposite < 0.002


def test_each_sample_is_a_row_of_its_own(inspected: tuple[Inspection, Path], dataset: Path) -> None:
    one = look(source(dataset), samples=1)
    draw(one, picture_of(one))
    one_row, three_rows = (matplotlib.image.imread(picture).shape[0] for picture in (picture_of(one), inspected[1]))
    assert three_rows - one_row > 300 * COARSE / 160


def test_a_pattern_is_described_as_the_reconstruction_would_take_it(tmp_path: Path, samples: Samples) -> None:
    path = tmp_path / "pattern.npy"
    np.save(path, samples.counts[0].numpy().astype(np.uint32))
    found = look(source(path))
    assert found.kind == "pattern"
    assert found.facts["frames"] == "64 x 64 x 64"
    assert found.facts["photons"] == f"{float(samples.counts[0].sum()):.3g}"
    assert len(found.rows) == 1


def test_a_pattern_in_an_hdf5_file_is_found_by_its_path(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data"] = np.random.default_rng(1).poisson(50, (16, 16, 12))
    found = look(source(f"{tmp_path / 'scan.h5'}:/entry/data"))
    assert (found.kind, found.facts["frames"]) == ("pattern", "16 x 16 x 12")
    assert picture_of(found) == Path("scan.h5.inspect.png")


def test_a_pattern_without_a_peak_is_shown_as_it_is_with_the_reason(tmp_path: Path) -> None:
    np.save(tmp_path / "noise.npy", np.random.default_rng(1).poisson(50, (16, 16, 16)))
    found = look(source(tmp_path / "noise.npy"))
    draw(found, picture_of(found))
    assert "No Bragg peak" in found.facts["cannot be reconstructed"]
    assert picture_of(found).is_file()


def test_what_reconstruct_refuses_inspect_says_with_the_same_words(tmp_path: Path) -> None:
    path = tmp_path / "mean.npz"
    stored = np.load(EXAMPLE)
    np.savez(path, **{**stored, "scattering_vector": stored["scattering_vector"] / 100})  # planes that no crystal has
    with pytest.raises(GeometryError) as refusal:
        prepare(source(path))
    assert look(source(path)).facts["cannot be reconstructed"] == str(refusal.value)


def test_a_result_tells_its_report(tmp_path: Path) -> None:
    rho = torch.zeros(16, 16, 16, dtype=torch.complex64)
    rho[5:11, 5:11, 5:11] = 1
    wave = 100 * diffract(rho)
    intensity = wave.abs().square()
    pattern = Pattern(intensity.round(), torch.ones(16, 16, 16, dtype=torch.bool))
    errors = torch.tensor([[0.5, 0.25]])
    found = Reconstruction(
        object=rho,
        support=rho.abs() > 0,
        wave=wave,
        intensity=intensity,
        errors=errors,
        free_errors=errors[:, -1],
        free_error=0.25,
        best=0,
        averaged=1,
    )
    inside = np.ones((4, 4, 4), bool)
    image = CrystalImage(inside.astype(np.float32), np.zeros((4, 4, 4), np.float32), inside)
    report = {"status": "reconstructed", "chi2": 0.0123456, "resolution_nm": None, "strain": {"mean": 1e-4}}
    write_result(tmp_path / "result.cxi", pattern, found, image, {"seed": 7, "report": report})
    for path in (tmp_path / "result.cxi", tmp_path):
        seen = look(source(path))
        assert seen.kind == "result"
        assert (seen.facts["status"], seen.facts["chi2"]) == ("reconstructed", "0.01235")
        assert seen.facts["strain"] == "mean 0.0001"
        assert seen.facts["resolution nm"] is None
        assert picture_of(seen) == Path("result.cxi.inspect.png")
    draw(seen, picture_of(seen))
    assert share_of_colour(picture_of(seen), (1.0, 1.0, 1.0)) < 0.95


def test_a_truncated_dataset_is_refused_and_leaves_no_picture(dataset: Path) -> None:
    dataset.write_bytes(dataset.read_bytes()[:-5000])
    with pytest.raises(InputError, match="truncated"):
        look(source(dataset))
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["crystals.h5", "elsewhere"]


def test_what_the_samples_do_not_depend_on_is_not_told(tmp_path: Path, samples: Samples) -> None:
    told = {}
    for name in ("paper", "beamline"):
        description = Simulation(*recipe("polyhedra", name), 5, name).description(range(3))
        (tmp_path / f"{name}.h5").write_bytes(encoded(samples, description))
        told[name] = look(source(tmp_path / f"{name}.h5"), samples=1).facts
        assert told[name]["recipe"] == name
    assert told["paper"]["experiment"] == "photons 1e+06 1e+08"
    for words in ("alien", "haze", "detectors", "eiger-1m", "coherence length 10 60 voxels", "peak offset 0.5 voxels"):
        assert words in told["beamline"]["experiment"]
    for words in ("defects", "strong", "misfit"):
        assert words not in told["paper"]["crystals"]
        assert words in told["beamline"]["crystals"]
    assert "edge 20 nm" in told["paper"]["crystals"]
    assert "thickness 0.5 4 nm" in told["beamline"]["crystals"]


def test_an_older_dataset_tells_no_recipe(inspected: tuple[Inspection, Path]) -> None:
    assert "recipe" not in inspected[0].facts


@pytest.fixture
def said(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run `autophasenn inspect` on the dataset, one sample drawn; gives status, output, errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["autophasenn", "inspect", str(dataset), "--samples", "1", *words])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        return int(leaving.value.code or 0), *capsys.readouterr()

    return run


def test_the_command_prints_a_table_and_where_the_picture_is(
    dataset: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    status, out, err = said("-o", str(dataset.parent / "sheet.png"))
    assert (status, err) == (0, "")
    for words in ("samples", "polyhedra", "seed", "photons a pattern", str(dataset.parent / "sheet.png")):
        assert words in out
    assert (dataset.parent / "sheet.png").is_file()


def test_a_picture_that_is_there_is_replaced_with_leave_only(
    dataset: Path, elsewhere: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    for options in ([], ["-o", str(dataset.parent / "sheet.png")]):
        picture = Path(options[1]) if options else elsewhere / "crystals.h5.inspect.png"
        picture.write_text("precious")
        status, out, err = said(*options)
        assert (status, err.count("\n")) == (2, 1)
        assert "exists already" in err
        assert "polyhedra" in out
        assert picture.read_text() == "precious"
    assert said("--overwrite")[0] == 0
    assert matplotlib.image.imread(elsewhere / "crystals.h5.inspect.png").shape[0] > 100
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["crystals.h5", "elsewhere", "sheet.png"]


def test_where_no_picture_can_be_written_the_facts_are_told_and_then_why(
    dataset: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    for place in (dataset.parent / "absent" / "sheet.png", dataset / "sheet.png"):
        status, out, err = said("-o", str(place))
        assert (status, err.count("\n")) == (2, 1)
        assert f"{place} cannot be written" in err
        assert "polyhedra" in out
    assert sorted(path.name for path in dataset.parent.iterdir()) == ["crystals.h5", "elsewhere"]


def test_a_name_that_is_not_of_a_picture_is_refused_before_any_work(
    dataset: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    content = dataset.read_bytes()
    status, out, err = said("-o", str(dataset))
    assert (status, out) == (2, "")
    assert "does not end in .png" in err
    assert dataset.read_bytes() == content
