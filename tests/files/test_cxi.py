"""Result files: read back what was written, where CXI, PyNX and silx look for it."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from full_disk import files_limited_to
from silx.io.nxdata import NXdata, get_default

from autophasenn.errors import InputError, OutputError
from autophasenn.files.cxi import StoredResult, read_result, write_result
from autophasenn.files.readers import read_pattern_file
from autophasenn.image import CrystalImage
from autophasenn.physics.fourier import diffract
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.volumes import Pattern, Reconstruction

SHAPE = (8, 12, 10)
LAB_SHAPE = (9, 7, 6)
STEPS = 1e8 * torch.tensor([[1.0, 0.2, 0], [0, -3, 0.1], [2, 0, -1.5]], dtype=torch.float64)
Q = torch.tensor([1.5e10, 0.6e10, -0.5e10], dtype=torch.float64)
PROCESS: dict[str, Any] = {
    "command": "autophasenn reconstruct scan -o out",
    "seed": 7,
    "input": {"path": "scan", "sha256": "ab" * 32},
    "parameters": {"phasing": {"iterations": 600, "beta": 0.9, "plan": ["ER", "HIO"], "coherence": None}},
    "versions": {"torch": "2.13.0"},
}


@pytest.fixture
def result() -> StoredResult:
    generator = torch.Generator().manual_seed(4)
    mask = torch.rand(SHAPE, generator=generator) > 0.1
    counts = torch.poisson(torch.full(SHAPE, 5.0), generator=generator)
    counts[~mask] = torch.nan
    support = torch.zeros(SHAPE, dtype=torch.bool)
    support[3:6, 4:9, 3:8] = True
    rho = torch.where(support, torch.polar(torch.rand(SHAPE, generator=generator), torch.rand(SHAPE)), 0)
    wave = 3 * diffract(rho)
    reconstruction = Reconstruction(
        object=rho,
        support=support,
        wave=wave,
        intensity=wave.abs().square(),
        errors=torch.rand(2, 5, generator=generator),
        free_errors=torch.tensor([0.1, torch.nan]),
        free_error=0.09,
        best=1,
        averaged=2,
        kernel=torch.ones(3, 3, 3) / 27,
        prtf=torch.rand(SHAPE, generator=generator),
        modes=torch.tensor([0.9, 0.1]),
        phase_spread=torch.where(support, torch.rand(SHAPE, generator=generator), torch.nan),
        amplitude_spread=torch.where(support, torch.rand(SHAPE, generator=generator), torch.nan),
    )
    inside = np.zeros(LAB_SHAPE, bool)
    inside[2:6, 2:5, 1:4] = True
    lab = [np.where(inside, np.float32(size), np.float32(np.nan)) for size in (1.2, -3e-11, 2e-4, 0.3, 0.05)]
    image = CrystalImage(
        inside.astype(np.float32), lab[0], inside, lab[1], lab[2], (4e-9, 5e-9, 6e-9), Q.numpy(), *lab[3:]
    )
    return StoredResult(Pattern(counts, mask, STEPS, Q), reconstruction, image, PROCESS)


@pytest.fixture
def path(tmp_path: Path, result: StoredResult) -> Path:
    write_result(tmp_path / "result.cxi", result.pattern, result.reconstruction, result.image, result.process)
    return tmp_path / "result.cxi"


def assert_equal_fields(one: object, other: object) -> None:
    for item in fields(one):  # type: ignore[arg-type]
        expected, value = getattr(one, item.name), getattr(other, item.name)
        if isinstance(expected, torch.Tensor | np.ndarray | float):
            torch.testing.assert_close(torch.as_tensor(value), torch.as_tensor(expected), equal_nan=True)
        else:
            assert value == expected, item.name


def test_result_is_read_back_as_it_was(path: Path, result: StoredResult) -> None:
    read = read_result(path)
    measured = torch.where(result.pattern.mask, result.pattern.counts, 0)
    assert_equal_fields(replace(result.pattern, counts=measured), read.pattern)
    assert_equal_fields(result.reconstruction, read.reconstruction)
    assert_equal_fields(result.image, read.image)
    assert read.process == PROCESS


def test_result_without_geometry_is_read_back(tmp_path: Path, result: StoredResult) -> None:
    pattern = replace(result.pattern, reciprocal_steps=None, scattering_vector=None)
    nothing = ("displacement", "strain", "voxel_size", "scattering_vector", "phase_spread", "amplitude_spread")
    image = replace(result.image, **dict.fromkeys(nothing))
    absent = dict.fromkeys(("kernel", "prtf", "modes", "phase_spread", "amplitude_spread"))
    reconstruction = replace(result.reconstruction, **absent)
    write_result(tmp_path / "result.cxi", pattern, reconstruction, image, {})
    read = read_result(tmp_path / "result.cxi")
    assert read.pattern.reciprocal_steps is None
    assert_equal_fields(reconstruction, read.reconstruction)
    assert_equal_fields(image, read.image)
    assert read.process == {}


def test_what_the_object_holds_outside_its_support_is_in_no_wave(tmp_path: Path, result: StoredResult) -> None:
    whole = torch.where(result.reconstruction.support, result.reconstruction.object, 0.05)
    reconstruction = replace(result.reconstruction, object=whole)
    write_result(tmp_path / "result.cxi", result.pattern, reconstruction, result.image, {})
    assert_equal_fields(reconstruction, read_result(tmp_path / "result.cxi").reconstruction)


def test_pynx_finds_object_and_support(path: Path, result: StoredResult) -> None:
    with h5py.File(path) as file:
        assert file["cxi_version"][()] == 150
        np.testing.assert_array_equal(file["entry_1/image_1/data"][()], result.reconstruction.object)
        for name in ("entry_last/image_1/mask", "entry_1/image_1/support"):
            np.testing.assert_array_equal(file[name][()] > 0, result.reconstruction.support)
        np.testing.assert_array_equal(file["entry_1/data_1/data"][()], result.reconstruction.object)


def test_the_spread_of_the_variants_stands_beside_the_object(path: Path, result: StoredResult) -> None:
    with h5py.File(path, "r") as file:
        spread = file["entry_1/image_1/spread"]
        assert spread["phase"].dtype == spread["amplitude"].dtype == np.float32
        assert spread["phase"].attrs["units"] == "rad"
        np.testing.assert_array_equal(np.isnan(spread["phase"]), ~result.reconstruction.support.numpy())
        np.testing.assert_array_equal(spread["amplitude"], result.reconstruction.amplitude_spread)


def test_measurement_is_kept_as_integers_with_the_cxi_mask(path: Path, result: StoredResult) -> None:
    with h5py.File(path) as file:
        detector = file["entry_1/instrument_1/detector_1"]
        assert detector["data"].dtype == np.uint32
        np.testing.assert_array_equal(detector["mask"][()] == 0, result.pattern.mask)
        assert (detector["data"][()][detector["mask"][()] != 0] == 0).all()


def test_fractional_counts_stay_fractional(tmp_path: Path, result: StoredResult) -> None:
    pattern = replace(result.pattern, counts=result.pattern.counts + 0.25)
    write_result(tmp_path / "result.cxi", pattern, result.reconstruction, result.image, PROCESS)
    kept = read_result(tmp_path / "result.cxi").pattern.counts
    torch.testing.assert_close(kept[pattern.mask], pattern.counts[pattern.mask])


def test_result_is_a_pattern_file_too(path: Path, result: StoredResult) -> None:
    scan = read_pattern_file(path)
    assert scan.mask is not None
    assert scan.geometry is not None
    np.testing.assert_array_equal(scan.mask, result.pattern.mask)
    np.testing.assert_array_equal(scan.frames[scan.mask], result.pattern.counts[result.pattern.mask])
    torch.testing.assert_close(scan.geometry.reciprocal_steps((0.0, 0.0)), STEPS)
    torch.testing.assert_close(scan.geometry.scattering_vector((0.0, 0.0)), Q)


def test_lengths_say_their_unit(path: Path) -> None:
    with h5py.File(path) as file:
        lab = file["entry_1/image_2"]
        assert lab["displacement"].attrs["units"] == "nm"
        assert np.nanmin(lab["displacement"][()]) == pytest.approx(-0.03)
        assert lab["phase"].attrs["units"] == lab["phase_spread"].attrs["units"] == "rad"
        np.testing.assert_allclose(lab["voxel_size"][()], (4e-9, 5e-9, 6e-9))
        assert lab["voxel_size"].attrs["units"] == "m"
        np.testing.assert_allclose(lab["y"][()], 5 * (np.arange(7) - 3), atol=1e-9)
        assert lab["y"].attrs["units"] == "nm"
        image = file["entry_1/image_1"]
        np.testing.assert_allclose(image["voxel_vectors"][()], direct_voxel_vectors(STEPS, SHAPE))
        edges = np.linalg.norm(image["voxel_vectors"][()], axis=1) * SHAPE
        np.testing.assert_allclose(image["image_size"][()], edges)


def test_file_states_the_sign_convention(path: Path) -> None:
    with h5py.File(path) as file:
        assert "u_G = -phi/|G|" in file["entry_1/sign_convention"].asstr()[()]


def test_process_tells_how_it_was_made(path: Path) -> None:
    with h5py.File(path) as file:
        process = file["entry_1/process_1"]
        assert process["program"].asstr()[()] == "autophasenn"
        assert process["seed"][()] == 7
        assert process["input_sha256"].asstr()[()] == "ab" * 32
        assert process["command"].asstr()[()] == PROCESS["command"]
        phasing = process["configuration/phasing"]
        assert phasing["iterations"][()] == 600
        assert phasing["plan"].asstr()[()] == '["ER", "HIO"]'
        assert phasing["coherence"].asstr()[()] == "null"


def test_silx_plots_every_image(path: Path) -> None:
    with h5py.File(path) as file:
        for name in ("data_1", "data_2", "image_1", "image_2"):
            assert NXdata(file["entry_1"][name]).is_valid
        assert NXdata(file["entry_1/image_2"]).axes_names == ["x (nm)", "y (nm)", "z (nm)"]
        assert get_default(file).signal.shape == SHAPE


def test_volumes_are_compressed_with_what_every_hdf5_has(path: Path) -> None:
    with h5py.File(path) as file:
        for name in ("image_1/data", "image_1/support", "instrument_1/detector_1/data", "image_2/amplitude"):
            assert file["entry_1"][name].compression == "gzip"


@pytest.mark.parametrize("keep", [0, 100, -100])
def test_damaged_result_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged"):
        read_result(path)


DONE = "entry_1/image_1/process_1"
EDITED: dict[str, tuple[str, Callable[[np.ndarray], object]]] = {
    "voxel size below 0": ("entry_1/image_2/voxel_size", lambda a: -a),
    "voxel size NaN": ("entry_1/image_2/voxel_size", lambda a: a * np.nan),
    "voxel size of kilometres": ("entry_1/image_2/voxel_size", lambda a: a * 0 + 1e9),
    "voxel size hardly above 0": ("entry_1/image_2/voxel_size", lambda a: a * 0 + 1e-300),
    "Q hardly above 0": ("entry_1/image_2/scattering_vector", lambda a: a * 1e-200),
    "Q beyond any": ("entry_1/image_2/scattering_vector", lambda a: a * 1e200),
    "phase NaN": ("entry_1/image_2/phase", lambda a: a * np.nan),
    "amplitude infinite": ("entry_1/image_2/amplitude", lambda a: a + np.inf),
    "amplitude below 0": ("entry_1/image_2/amplitude", lambda a: -a),
    "amplitude 0": ("entry_1/image_2/amplitude", lambda a: a * 0),
    "amplitude complex": ("entry_1/image_2/amplitude", lambda a: a + 1j),
    "support of 2": ("entry_1/image_2/support", lambda a: a + 1),
    "counts complex": ("entry_1/instrument_1/detector_1/data", lambda a: a + 1j),
    "counts NaN": ("entry_1/instrument_1/detector_1/data", lambda a: a * np.nan),
    "nothing measured": ("entry_1/instrument_1/detector_1/mask", lambda a: a * 0 + 1),
    "steps 0": ("entry_1/instrument_1/detector_1/reciprocal_steps", lambda a: a * 0),
    "steps of other voxels": ("entry_1/instrument_1/detector_1/reciprocal_steps", lambda a: a * 1.01),
    "voxels of other steps": ("entry_1/image_1/voxel_vectors", lambda a: a[::-1]),
    "voxels larger than the object's": ("entry_1/image_2/voxel_size", lambda a: a * 2),
    "Q of another reflection": ("entry_1/instrument_1/detector_1/scattering_vector", lambda a: a * 2),
    "Q of the image of another reflection": ("entry_1/image_2/scattering_vector", lambda a: a * 2),
    "Q NaN": ("entry_1/instrument_1/detector_1/scattering_vector", lambda a: a * np.nan),
    "object NaN": ("entry_1/image_1/data", lambda a: a * np.nan),
    "object 0": ("entry_1/image_1/data", lambda a: a * 0),
    "object real": ("entry_1/image_1/data", lambda a: a.real),
    "support of the object empty": ("entry_1/image_1/support", lambda a: a * 0),
    "no errors": (f"{DONE}/results/errors", lambda a: np.zeros((0, 0))),
    "best far below 0": (f"{DONE}/results/best", lambda a: -1e30),
    "best a half": (f"{DONE}/results/best", lambda a: 0.5),
    "averaged NaN": (f"{DONE}/results/averaged", lambda a: np.nan),
}


@pytest.mark.parametrize(("name", "edit"), EDITED.values(), ids=EDITED)
def test_a_result_whose_numbers_were_edited_into_nonsense_is_refused(
    path: Path, name: str, edit: Callable[[np.ndarray], object]
) -> None:
    with h5py.File(path, "r+") as file:
        values = file[name][()]
        del file[name]
        file[name] = edit(values)
    with pytest.raises(InputError, match=name) as refused:
        read_result(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("other", [">", "long"])
def test_numbers_of_another_machine_are_read(path: Path, other: str) -> None:
    here = read_result(path)
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visititems(lambda name, node: names.append(name) if isinstance(node, h5py.Dataset) else None)
        changed = 0
        for name in names:
            values = np.asarray(file[name][()])
            if name.startswith(f"{DONE}/configuration") or values.dtype.kind not in "iufc":
                continue
            long = {"f8": np.longdouble}.get(values.dtype.str[1:], values.dtype)
            del file[name]
            file[name] = values.astype(values.dtype.newbyteorder(">") if other == ">" else long)
            changed += file[name].dtype != values.dtype
        assert changed >= 3
    there = read_result(path)
    assert torch.equal(there.reconstruction.object, here.reconstruction.object)
    assert torch.equal(there.pattern.counts, here.pattern.counts)
    assert there.pattern.reciprocal_steps is not None
    assert torch.equal(there.pattern.reciprocal_steps, here.pattern.reciprocal_steps)
    assert np.array_equal(there.image.amplitude, here.image.amplitude)


def test_names_that_are_no_text_are_kept_as_escapes(tmp_path: Path, result: StoredResult) -> None:
    path = tmp_path / "result.cxi"
    named = {
        "command": "autophasenn \udcff",
        "input": {"path": "n\udcff.npz", "sha256": "0"},
        "parameters": {"a\udcff": "\udcff"},
    }
    write_result(path, result.pattern, result.reconstruction, result.image, named)
    with h5py.File(path) as file:
        assert file[f"{DONE}/command"].asstr()[()] == "autophasenn \\udcff"
        assert file[f"{DONE}/input_path"].asstr()[()] == "n\\udcff.npz"
    assert read_result(path).process["input"]["path"] == "n\udcff.npz"


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no result file"):
        read_result(tmp_path / "none.cxi")
    with h5py.File(tmp_path / "other.cxi", "w") as file:
        file["entry_1/image_1/data"] = np.ones(SHAPE, np.complex64)
    with pytest.raises(InputError, match="no result file of autophasenn"):
        read_result(tmp_path / "other.cxi")
    np.savez(tmp_path / "pattern.npz", data=np.ones(SHAPE))
    with pytest.raises(InputError, match=r"pattern\.npz does not begin as an HDF5 file.*phase a pattern first"):
        read_result(tmp_path / "pattern.npz")


def test_full_disk_keeps_the_former_file(path: Path, result: StoredResult, capfd: pytest.CaptureFixture[str]) -> None:
    """HDF5 writing straight to a full disk loses the error, or ends the process."""
    former = path.read_bytes()
    with files_limited_to(10_000), pytest.raises(OutputError, match="disk is full"):
        write_result(path, result.pattern, result.reconstruction, result.image, result.process)
    assert path.read_bytes() == former
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert capfd.readouterr().err == ""
