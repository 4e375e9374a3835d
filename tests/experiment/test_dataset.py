"""A dataset file gives back what was put into it, and is refused where it is not what it says."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError
from autophasenn.experiment.dataset import (
    OBJECT_BITS,
    DatasetFile,
    Description,
    encoded,
    join,
    open_dataset,
    rounded,
)
from autophasenn.experiment.experiment import Experiment, Samples, simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.physics.metrics import best_scale, chi2_noise, chi2_of_intensity
from autophasenn.volumes import crop_or_pad

DESCRIPTION = Description("polyhedra", 5, {"source": {"metal": "Au"}, "indices": [0, 3]})


@pytest.fixture(scope="module")
def samples() -> Samples:
    return simulate(Polyhedra(), Experiment(), 5, range(3))


@pytest.fixture
def path(tmp_path: Path, samples: Samples) -> Path:
    path = tmp_path / "crystals.h5"
    path.write_bytes(encoded(samples, DESCRIPTION))
    return path


def with_gaps(samples: Samples) -> Samples:
    masks = samples.masks.clone()
    masks[1, 10:12] = False
    return Samples(samples.counts, masks, samples.objects)


def test_the_file_is_laid_out_as_the_conventions_say(path: Path) -> None:
    with h5py.File(path) as file:
        assert (file["patterns"].shape, file["patterns"].dtype) == ((3, 64, 64, 64), np.uint32)
        assert (file["objects"].shape, file["objects"].dtype) == ((3, 32, 32, 32), np.complex64)
        assert file["patterns"].chunks == (1, 64, 64, 64)
        assert "masks" not in file
        attributes = dict(file.attrs)
        assert attributes.pop("provenance") == '{"indices": [0, 3], "source": {"metal": "Au"}}'
        assert attributes == {"format": "autophasenn-dataset", "version": 1, "source": "polyhedra", "seed": 5}


def test_samples_are_read_back_in_the_order_asked_for(path: Path, samples: Samples) -> None:
    with open_dataset(path) as dataset:
        assert len(dataset) == 3
        assert dataset.description == DESCRIPTION
        assert torch.equal(dataset.patterns([2, 0, 2]), samples.counts[[2, 0, 2]])
        assert torch.equal(dataset.objects([1, -1]), rounded(samples.objects[[1, 2]]))
        with pytest.raises(IndexError):
            dataset.patterns([3])


def test_masks_are_kept_where_a_voxel_is_unmeasured(tmp_path: Path, samples: Samples) -> None:
    gaps = with_gaps(samples)
    (tmp_path / "gaps.h5").write_bytes(encoded(gaps, DESCRIPTION))
    with open_dataset(tmp_path / "gaps.h5") as dataset:
        assert dataset.has_masks
        assert torch.equal(dataset.masks(range(3)), gaps.masks)


def test_without_masks_everything_is_measured(path: Path) -> None:
    with open_dataset(path) as dataset:
        assert not dataset.has_masks
        assert dataset.masks([0, 1]).all()


def test_blocks_join_to_one_file_whatever_masks_they_have(path: Path, tmp_path: Path, samples: Samples) -> None:
    gaps = with_gaps(samples)
    (tmp_path / "gaps.h5").write_bytes(encoded(gaps, DESCRIPTION))
    with (tmp_path / "joined.h5").open("w+b") as file:
        assert list(join([path, tmp_path / "gaps.h5"], file, DESCRIPTION)) == [1, 2]
    with open_dataset(tmp_path / "joined.h5") as dataset:
        assert torch.equal(dataset.patterns(range(6)), samples.counts.repeat(2, 1, 1, 1))
        assert torch.equal(dataset.masks(range(6)), torch.cat([samples.masks, gaps.masks]))
        assert torch.equal(dataset.objects(range(6)), rounded(samples.objects).repeat(2, 1, 1, 1))


def test_rounding_keeps_every_value_to_half_its_last_bit(samples: Samples) -> None:
    for before, after in zip(
        *(torch.view_as_real(x) for x in (samples.objects, rounded(samples.objects))), strict=True
    ):
        assert ((after - before).abs() <= before.abs() * 2.0**-OBJECT_BITS).all()
        mantissa = after.numpy().view(np.int32) & 0x7FFFFF
        assert (mantissa % 2 ** (24 - OBJECT_BITS) == 0).all()
    assert (rounded(samples.objects) != samples.objects).any()


def chi2_over_noise(samples: Samples, path: Path) -> torch.Tensor:
    """chi2 of the truth as it is stored, relative to that of counting noise alone."""
    path.write_bytes(encoded(samples, DESCRIPTION))
    with open_dataset(path) as dataset:
        every = range(len(dataset))
        counts, measured = dataset.patterns(every), dataset.masks(every)
        calculated = intensity_of(diffract(crop_or_pad(dataset.objects(every), (64, 64, 64))))
    scale = best_scale(calculated, counts, measured)[:, None, None, None]
    return chi2_of_intensity(calculated, counts, measured) / chi2_noise(calculated * scale**2, counts, measured)


def test_the_stored_truth_explains_its_pattern_down_to_the_noise(tmp_path: Path) -> None:
    ratio = chi2_over_noise(simulate(Polyhedra(), Experiment(), 1, range(12)), tmp_path / "crystals.h5")
    assert abs(ratio.mean() - 1) < 0.01, ratio
    assert ((ratio - 1).abs() < 0.03).all(), ratio  # a percent is the scatter of the noise itself


def test_what_is_not_of_the_crystal_keeps_the_truth_from_explaining_its_pattern(tmp_path: Path) -> None:
    """Coherence, background and aliens are not in the object; view, offset and gaps are in object or mask."""
    source, beamline = recipe("polyhedra", "beamline")
    alone = replace(beamline, partly_coherent=0.0, with_background=0.0, with_haze=0.0, with_alien=0.0)
    ratio = chi2_over_noise(simulate(source, alone, 1, range(6)), tmp_path / "alone.h5")
    assert abs(ratio.mean() - 1) < 0.01, ratio
    assert chi2_over_noise(simulate(source, beamline, 1, range(6)), tmp_path / "beamline.h5").max() > 2


@pytest.mark.parametrize("value", [2.0**32, -1.0, float("nan")])
def test_counts_that_the_file_cannot_hold_are_refused(samples: Samples, value: float) -> None:
    counts = samples.counts.clone()
    counts[1, 2, 3, 4] = value
    with pytest.raises(InputError, match="holds 0 to 4294967295"):
        encoded(Samples(counts, samples.masks, samples.objects), DESCRIPTION)


def test_a_measured_dataset_has_no_truth_to_read(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["objects"]
    with open_dataset(path) as dataset:
        assert not dataset.has_truth
        assert dataset.patterns([0]).shape == (1, 64, 64, 64)
        with pytest.raises(InputError, match="has no /objects"):
            dataset.objects([0])


def set_attribute(name: str, value: Any) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    return spoil


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def incomplete(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        data = file["patterns"][:2]
        del file["patterns"]
        file.create_dataset("patterns", (3, 64, 64, 64), np.uint32, chunks=(1, 64, 64, 64))[:2] = data


def other_shape(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["objects"]
        file["objects"] = np.zeros((3, 64, 64, 64), np.complex64)


def replaced(name: str, value: Any) -> Callable[[Path], None]:
    """None: by a group."""

    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            del file[name]
            if value is None:
                file.create_group(name)
            else:
                file[name] = value

    return spoil


def without_samples(path: Path) -> None:
    for name, edge in (("patterns", 64), ("objects", 32)):
        with h5py.File(path, "r+") as file:
            kind = file[name].dtype
            del file[name]
            file.create_dataset(name, (0, edge, edge, edge), kind)


def without_seed(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file.attrs["seed"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "There is no dataset file"),
        (lambda path: path.write_text("patterns"), "damaged or no HDF5 file"),
        (truncated, "truncated"),
        (set_attribute("format", "other"), "no dataset file of autophasenn"),
        (set_attribute("version", 2), "of version 2, and this program reads version 1"),
        (without_seed, "lacks seed"),
        (other_shape, r"/objects has shape \(3, 64, 64, 64\)"),
        (incomplete, "/patterns is incomplete: it holds 2 of 3 samples"),
        (set_attribute("provenance", '{"source": '), "provenance of the dataset .* is no JSON object"),
        (set_attribute("provenance", "[1]"), "provenance of the dataset .* is no JSON object"),
        (set_attribute("provenance", 7), "provenance of the dataset .* is no JSON object"),
        (set_attribute("seed", "seven"), "seed of the dataset .* is 'seven', no whole number"),
        (set_attribute("version", [1, 1]), r"of version \[1 1\]"),
        (set_attribute("format", [1.0, 2.0]), "no dataset file of autophasenn"),
        (replaced("patterns", np.uint32(3)), r"/patterns has shape \(\)"),
        (replaced("patterns", None), "/patterns is no array"),
        (replaced("objects", None), "/objects is no array"),
        (
            replaced("patterns", np.zeros((3, 64, 64, 64), np.float32)),
            r"type float32; version 1 has \(3, 64, 64, 64\) and uint32",
        ),
        (without_samples, "holds no sample"),
    ],
)
def test_what_is_no_whole_dataset_of_this_version_is_refused(
    path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    spoil(path)
    with pytest.raises(InputError, match=words):
        DatasetFile(path)


def test_a_damaged_sample_is_said(path: Path) -> None:
    with h5py.File(path) as file:
        place = file["patterns"].id.get_chunk_info(1)
    content = bytearray(path.read_bytes())
    content[place.byte_offset : place.byte_offset + place.size] = bytes(place.size)
    path.write_bytes(content)
    with open_dataset(path) as dataset:
        assert dataset.patterns([0]).sum() > 0
        with pytest.raises(InputError, match="damaged"):
            dataset.patterns([1])


def test_the_example_of_the_manual_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "guide" / "datasets.md").read_text()
    example = re.findall(r"```python\n(.*?)```", manual, re.DOTALL)[0]
    made = simulate(Polyhedra(), Experiment(), 5, range(8))
    (tmp_path / "validation.h5").write_bytes(encoded(made, DESCRIPTION))
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    assert capsys.readouterr().out == "8 5\n"
