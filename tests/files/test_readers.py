"""Plain pattern files: each kind gives the same counts, and what is no pattern is refused in a sentence."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import pytest
import tifffile
import torch

from autophasenn.errors import AutoPhaseNNError, GeometryError, InputError
from autophasenn.files.readers import read_pattern_file

SHAPE = (6, 8, 10)
STEPS = np.diag([1e7, 2e7, 3e7])
Q = np.array([1e10, 2e10, -3e9])


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(3).poisson(4, SHAPE).astype(np.uint16)


def write_npy(path: Path, counts: np.ndarray) -> str:
    np.save(path / "p.npy", counts)
    return str(path / "p.npy")


def write_npz(path: Path, counts: np.ndarray) -> str:
    np.savez_compressed(path / "p.npz", anything=counts)
    return str(path / "p.npz")


def write_tiff(path: Path, counts: np.ndarray) -> str:
    tifffile.imwrite(path / "p.tif", counts)
    return str(path / "p.tif")


def write_plain_pages(path: Path, counts: np.ndarray) -> str:
    tifffile.imwrite(path / "pages.tiff", counts, metadata=None, photometric="minisblack", byteorder=">")
    return str(path / "pages.tiff")


def write_cxi(path: Path, counts: np.ndarray) -> str:
    with h5py.File(path / "p.cxi", "w") as file:
        file["cxi_version"] = 150
        file["entry_1/instrument_1/detector_1/data"] = counts
    return str(path / "p.cxi")


def write_hdf5(path: Path, counts: np.ndarray) -> str:
    with h5py.File(path / "p.h5", "w") as file:
        file.create_dataset("entry/data", data=counts, chunks=(1, *counts.shape[1:]), **hdf5plugin.Bitshuffle())
    return f"{path / 'p.h5'}:/entry/data"


WRITERS = [write_npy, write_npz, write_tiff, write_plain_pages, write_cxi, write_hdf5]


@pytest.mark.parametrize("write", WRITERS)
def test_every_kind_of_file_gives_the_stored_counts(
    tmp_path: Path, counts: np.ndarray, write: Callable[[Path, np.ndarray], str]
) -> None:
    scan = read_pattern_file(write(tmp_path, counts))
    np.testing.assert_array_equal(scan.frames, counts)
    assert scan.frames.dtype == np.uint16
    assert scan.mask is None
    assert scan.geometry is None
    torch.from_numpy(scan.frames)  # native byte order


@pytest.mark.parametrize("write", WRITERS)
def test_damaged_files_are_refused_by_name(
    tmp_path: Path, counts: np.ndarray, write: Callable[[Path, np.ndarray], str]
) -> None:
    path = write(tmp_path, counts)
    file = Path(path.split(":")[0])
    content = file.read_bytes()
    for keep in (10, len(content) // 2, len(content) - 30):
        file.write_bytes(content[:keep])
        refuse(path, file.name)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.npy").touch()
    refuse(tmp_path / "p.npy", "is empty (0 bytes)")


def refuse(
    path: Path | str, *words: str, mask_path: Path | None = None, error: type[AutoPhaseNNError] = InputError
) -> None:
    with pytest.raises(error) as caught:
        read_pattern_file(path, mask_path)
    for word in words:
        assert word in str(caught.value)
    assert str(caught.value).endswith(".")


def test_npz_brings_mask_and_geometry(tmp_path: Path, counts: np.ndarray) -> None:
    mask = np.ones(SHAPE, bool)
    mask[:, 2] = False
    np.savez(tmp_path / "p.npz", data=counts, mask=mask, reciprocal_steps=STEPS, scattering_vector=Q)
    scan = read_pattern_file(tmp_path / "p.npz")
    assert scan.mask is not None
    np.testing.assert_array_equal(scan.mask, mask)
    assert scan.geometry is not None
    np.testing.assert_array_equal(scan.geometry.reciprocal_steps((1.0, 2.0)), STEPS)
    np.testing.assert_array_equal(scan.geometry.scattering_vector((1.0, 2.0)), Q)


def test_cxi_mask_is_zero_where_the_pixel_is_good(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_cxi(tmp_path, counts)
    bad = np.zeros(SHAPE[1:], np.uint32)
    bad[3, 4], bad[5, 6] = 1, 512
    with h5py.File(path, "a") as file:
        file["entry_1/instrument_1/detector_1/mask"] = bad
    for scan in (read_pattern_file(path), read_pattern_file(write_npy(tmp_path, counts), mask_path=path)):
        assert scan.mask is not None
        np.testing.assert_array_equal(scan.mask, bad == 0)


@pytest.mark.parametrize("shape", [SHAPE, SHAPE[1:]])
@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_mask_file_is_true_where_measured(
    tmp_path: Path, counts: np.ndarray, shape: tuple[int, ...], kind: type
) -> None:
    mask = (np.arange(np.prod(shape)).reshape(shape) % 7 > 0).astype(kind)
    np.save(tmp_path / "mask.npy", mask)
    scan = read_pattern_file(write_tiff(tmp_path, counts), tmp_path / "mask.npy")
    assert scan.mask is not None
    np.testing.assert_array_equal(scan.mask, mask)
    assert len(scan.source["mask_sha256"]) == 64


def test_masked_voxels_may_hold_anything(tmp_path: Path, counts: np.ndarray) -> None:
    spoiled = counts.astype(np.float32)
    spoiled[1, 2, 3], spoiled[2, 2, 3] = np.nan, -1
    np.savez(tmp_path / "p.npz", counts=spoiled, mask=np.isfinite(spoiled) & (spoiled >= 0))
    np.testing.assert_array_equal(read_pattern_file(tmp_path / "p.npz").frames, spoiled)


def test_source_is_path_and_checksum(tmp_path: Path, counts: np.ndarray) -> None:
    one = read_pattern_file(write_npy(tmp_path, counts)).source
    other = read_pattern_file(write_npy(tmp_path, counts + 1)).source
    assert one["path"] == str(tmp_path / "p.npy")
    assert len(one["sha256"]) == 64
    assert one["sha256"] != other["sha256"]


def test_missing_file_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path / "none.npy", "There is no file")


def test_unknown_suffix_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "p.dat").touch()
    refuse(tmp_path / "p.dat", "'.dat'", ".npy", ".h5")


@pytest.mark.parametrize("shape", [(8, 10), (2, 6, 8, 10), (0, 8, 10)])
def test_what_is_no_volume_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    refuse(write_npy(tmp_path, np.ones(shape, np.uint16)), str(shape))


def test_two_dimensional_tiff_is_refused(tmp_path: Path) -> None:
    refuse(write_tiff(tmp_path, np.ones((8, 10), np.uint16)), "2 dimensions")


def test_colour_images_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "p.tif", np.ones((8, 10, 3), np.uint8), photometric="rgb")
    refuse(tmp_path / "p.tif", "colour")


def test_pages_of_different_sizes_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "p.tif") as tiff:
        tiff.write(np.ones((8, 10), np.uint16))
        tiff.write(np.ones((8, 11), np.uint16))
    refuse(tmp_path / "p.tif", "different sizes")


@pytest.mark.parametrize("value", [np.nan, np.inf, -2.0, 2.0**32 - 1])
def test_gap_markers_reach_the_corrections(tmp_path: Path, counts: np.ndarray, value: float) -> None:
    marked = counts.astype(np.float64)
    marked[1, 2, 3] = value
    np.testing.assert_array_equal(read_pattern_file(write_npy(tmp_path, marked)).frames, marked)


@contextmanager
def nobody() -> Iterator[None]:
    """Root may read everything: be somebody else for a moment."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("write", WRITERS)
def test_file_that_may_not_be_read_is_refused(
    tmp_path: Path, counts: np.ndarray, write: Callable[[Path, np.ndarray], str]
) -> None:
    path = write(tmp_path, counts)
    for part in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        part.chmod(0o755)
    file = Path(path.split(":")[0])
    file.chmod(0)
    with nobody():
        refuse(path, file.name, "Permission denied")


def test_folder_that_may_not_be_entered_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    (tmp_path / "closed").mkdir()
    path = write_npy(tmp_path / "closed", counts)
    (tmp_path / "closed").chmod(0)
    with nobody():
        refuse(path, "cannot be read (Permission denied)")
    (tmp_path / "closed").chmod(0o755)


def test_tiff_of_an_unknown_compression_is_refused_as_such(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_plain_pages(tmp_path, counts)
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for page in tiff.pages:
            page.tags["Compression"].overwrite(tifffile.COMPRESSION.LZW)
    refuse(path, "is compressed", "LZW", "imagecodecs")


@pytest.mark.parametrize(("kind", "word"), [(np.complex64, "reconstruction"), (bool, "type bool"), ("U3", "type <U3")])
def test_other_types_than_numbers_are_refused(tmp_path: Path, counts: np.ndarray, kind: type | str, word: str) -> None:
    refuse(write_npy(tmp_path, counts.astype(kind)), word)


def test_pickled_arrays_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([{}], dtype=object), allow_pickle=True)
    refuse(tmp_path / "p.npy", "cannot be read")


@pytest.mark.parametrize("content", [b"words, no numbers", b"\x80\x04N."])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_broken_array_file_is_refused_without_advice_to_load_it_unsafely(
    tmp_path: Path, suffix: str, content: bytes
) -> None:
    path = tmp_path / f"p{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged or no NumPy a") as refused:
        read_pattern_file(path)
    assert "pickle" not in str(refused.value)


def test_an_array_under_the_name_of_an_archive_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    Path(write_npy(tmp_path, counts)).rename(tmp_path / "p.npz")
    refuse(tmp_path / "p.npz", "no NumPy archive")


@pytest.mark.parametrize(
    ("mask", "word"),
    [
        (np.ones((6, 8, 9), bool), "(6, 8, 9)"),
        (np.full(SHAPE, 255, np.uint8), "other than 0 and 1"),
        (np.zeros(SHAPE, bool), "inverted"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path: Path, counts: np.ndarray, mask: np.ndarray, word: str) -> None:
    np.save(tmp_path / "mask.npy", mask)
    refuse(write_tiff(tmp_path, counts), word, mask_path=tmp_path / "mask.npy")


def test_cxi_without_mask_is_refused_as_a_mask(tmp_path: Path, counts: np.ndarray) -> None:
    refuse(write_npy(tmp_path, counts), "has no mask", mask_path=Path(write_cxi(tmp_path, counts)))


def test_npz_with_several_arrays_must_name_the_counts(tmp_path: Path, counts: np.ndarray) -> None:
    np.savez(tmp_path / "p.npz", first=counts, second=counts)
    refuse(tmp_path / "p.npz", "first", "second", "'counts'")


def test_half_a_geometry_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    np.savez(tmp_path / "p.npz", counts=counts, reciprocal_steps=STEPS)
    refuse(tmp_path / "p.npz", "scattering_vector")


def test_geometry_of_another_shape_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    np.savez(tmp_path / "p.npz", counts=counts, reciprocal_steps=STEPS[0], scattering_vector=Q)
    refuse(tmp_path / "p.npz", "(3, 3)")


def test_geometry_without_volume_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    np.savez(tmp_path / "p.npz", counts=counts, reciprocal_steps=np.ones((3, 3)), scattering_vector=Q)
    refuse(tmp_path / "p.npz", "no volume", error=GeometryError)


def test_hdf5_without_a_dataset_is_refused_with_those_it_has(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_hdf5(tmp_path, counts).split(":")[0]
    refuse(path, "say which dataset", f"{path}:/entry/data (6, 8, 10)")
    refuse(f"{path}:/entry/dat", "has no dataset /entry/dat", "/entry/data (6, 8, 10)")
    refuse(f"{path}:/entry", "has no dataset /entry")


def test_cxi_in_a_file_called_h5_needs_no_dataset(tmp_path: Path, counts: np.ndarray) -> None:
    path = Path(write_cxi(tmp_path, counts)).rename(tmp_path / "p.h5")
    np.testing.assert_array_equal(read_pattern_file(path).frames, counts)


def test_reconstruction_is_refused_as_a_pattern(tmp_path: Path, counts: np.ndarray) -> None:
    with h5py.File(tmp_path / "pynx.cxi", "w") as file:
        file["entry_1/image_1/data"] = counts.astype(np.complex64)
    refuse(tmp_path / "pynx.cxi", "reconstruction")


def test_pattern_with_its_centre_in_the_corners_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    with h5py.File(tmp_path / "p.cxi", "w") as file:
        file["entry_1/image_1/data"] = counts
        file["entry_1/image_1/is_fft_shifted"] = 1
    refuse(tmp_path / "p.cxi", "is_fft_shifted")


def test_cxi_without_data_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "p.cxi", "w") as file:
        file["cxi_version"] = 150
    refuse(tmp_path / "p.cxi", "has no pattern", "no 3-D dataset")


def test_real_multipage_pattern_is_read(shared_data: Path) -> None:
    scan = read_pattern_file(shared_data / "cdi3dnn_34idc" / "ft_crop_64.tif")
    assert scan.frames.shape == (64, 64, 64)
    assert scan.frames.max() == pytest.approx(6.377e6, rel=1e-3)
    assert scan.geometry is None


def test_npz_mask_file_may_hold_more_than_the_mask(tmp_path: Path, counts: np.ndarray) -> None:
    mask = counts > 2
    np.savez(tmp_path / "mask.npz", mask=mask, other=counts)
    scan = read_pattern_file(write_tiff(tmp_path, counts), tmp_path / "mask.npz")
    assert scan.mask is not None
    np.testing.assert_array_equal(scan.mask, mask)
    np.savez(tmp_path / "mask.npz", one=mask, other=counts)
    refuse(write_tiff(tmp_path, counts), "one (6, 8, 10)", "'mask'", mask_path=tmp_path / "mask.npz")


def write_eiger(folder: Path, parts: list[np.ndarray]) -> Path:
    """A master file that holds links only, and the files of frames beside it."""
    with h5py.File(folder / "master.h5", "w") as master:
        for number, part in enumerate(parts, 1):
            with h5py.File(folder / f"data_{number:06d}.h5", "w") as file:
                file.create_dataset(
                    "entry/data/data", data=part, chunks=(1, *part.shape[1:]), **hdf5plugin.Bitshuffle()
                )
            master[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(f"data_{number:06d}.h5", "entry/data/data")
    return folder / "master.h5"


def test_the_master_file_of_an_eiger_is_read_through_its_links(tmp_path: Path, counts: np.ndarray) -> None:
    master = write_eiger(tmp_path, [counts[:2], counts[2:]])
    np.testing.assert_array_equal(read_pattern_file(master).frames, counts)
    np.testing.assert_array_equal(read_pattern_file(f"{master}:/entry/data").frames, counts)
    np.testing.assert_array_equal(read_pattern_file(f"{master}:/entry/data/data_000001").frames, counts[:2])


def test_a_link_into_a_file_that_is_missing_names_it(tmp_path: Path, counts: np.ndarray) -> None:
    master = write_eiger(tmp_path, [counts[:2], counts[2:]])
    (tmp_path / "data_000002.h5").unlink()
    for name in (str(master), f"{master}:/entry/data/data_000002"):
        refuse(name, "data_000002.h5, which is missing", str(tmp_path))


def test_datasets_behind_links_are_listed(tmp_path: Path, counts: np.ndarray) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["raw/frames"] = counts
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["scan/detector"] = h5py.ExternalLink("other.h5", "/raw/frames")
    refuse(tmp_path / "p.h5", "say which dataset", f"{tmp_path / 'p.h5'}:/scan/detector {counts.shape}")


def test_a_virtual_dataset_whose_source_is_gone_is_not_read_as_zeros(tmp_path: Path, counts: np.ndarray) -> None:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["data"] = counts
    layout = h5py.VirtualLayout(counts.shape, counts.dtype)
    layout[:] = h5py.VirtualSource("source.h5", "data", counts.shape)
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    np.testing.assert_array_equal(read_pattern_file(f"{tmp_path / 'p.h5'}:/data").frames, counts)
    (tmp_path / "source.h5").unlink()
    refuse(f"{tmp_path / 'p.h5'}:/data", "source.h5", "missing")


def test_an_axis_of_one_before_the_frames_is_dropped(tmp_path: Path, counts: np.ndarray) -> None:
    np.testing.assert_array_equal(read_pattern_file(write_npy(tmp_path, counts[None])).frames, counts)


def test_axes_in_another_order_are_brought_to_frame_row_column(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_npy(tmp_path, np.moveaxis(counts, 0, 2))
    scan = read_pattern_file(path, axes=("row", "column", "frame"))
    np.testing.assert_array_equal(scan.frames, counts)
    with pytest.raises(InputError, match="each once"):
        read_pattern_file(path, axes=("row", "column", "column"))


def write_mat(folder: Path, counts: np.ndarray, **others: np.ndarray) -> Path:
    """As MATLAB keeps a stack: row, column, frame."""
    from scipy.io import savemat

    savemat(folder / "p.mat", {"data": np.moveaxis(counts, 0, 2), **others})
    return folder / "p.mat"


def write_mat73(folder: Path, counts: np.ndarray) -> Path:
    """MATLAB 7.3 is HDF5 with all axes reversed."""
    with h5py.File(folder / "p.mat", "w") as file:
        file["data"] = np.moveaxis(counts, 0, 2).T
    return folder / "p.mat"


@pytest.mark.parametrize("write", [write_mat, write_mat73])
def test_a_matlab_array_gives_its_frames(
    tmp_path: Path, counts: np.ndarray, write: Callable[[Path, np.ndarray], Path]
) -> None:
    scan = read_pattern_file(write(tmp_path, counts))
    np.testing.assert_array_equal(scan.frames, counts)
    assert any("row, column, frame" in sentence for sentence in scan.warnings)
    named = read_pattern_file(f"{tmp_path / 'p.mat'}:data", axes=("row", "column", "frame"))
    np.testing.assert_array_equal(named.frames, counts)
    assert named.warnings == ()


def test_a_matlab_file_of_two_arrays_is_asked_which(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_mat(tmp_path, counts, white=np.moveaxis(counts, 0, 2))
    refuse(path, "data", "white", ":NAME")
    refuse(f"{path}:dark", "no 3-D array 'dark'")


def test_a_mask_in_which_1_can_only_mean_masked_is_turned_and_said(tmp_path: Path, counts: np.ndarray) -> None:
    bad = np.zeros(counts.shape, np.uint8)
    bad[:, 2] = 1
    measured = np.where(bad, 0, counts)
    np.savez(tmp_path / "p.npz", data=measured, mask=bad)
    scan = read_pattern_file(tmp_path / "p.npz")
    assert scan.mask is not None
    np.testing.assert_array_equal(scan.mask, bad == 0)
    assert "taken as 1 = masked" in scan.warnings[0]
    np.savez(tmp_path / "mask.npz", mask=bad)
    apart = read_pattern_file(write_npy(tmp_path, measured), tmp_path / "mask.npz")
    np.testing.assert_array_equal(apart.mask, bad == 0)


def test_a_mask_in_which_1_means_measured_stays_as_it_is(tmp_path: Path, counts: np.ndarray) -> None:
    good = np.ones(counts.shape, np.uint8)
    good[:, 2] = 0
    np.savez(tmp_path / "p.npz", data=counts, mask=good)
    scan = read_pattern_file(tmp_path / "p.npz")
    np.testing.assert_array_equal(scan.mask, good == 1)
    assert scan.warnings == ()


def test_energy_distance_and_pixels_of_a_cxi_file_are_kept(tmp_path: Path, counts: np.ndarray) -> None:
    path = write_cxi(tmp_path, counts)
    with h5py.File(path, "r+") as file:
        file["entry_1/instrument_1/source_1/energy"] = 9000 * 1.602176634e-19  # CXI: joules
        file["entry_1/instrument_1/detector_1/distance"] = 0.8
        file["entry_1/instrument_1/detector_1/x_pixel_size"] = 75e-6
        file["entry_1/instrument_1/detector_1/y_pixel_size"] = 55e-6
    recorded = read_pattern_file(path).source["recorded"]
    assert recorded["energy_ev"] == pytest.approx(9000)
    assert recorded["distance_m"] == pytest.approx(0.8)
    assert recorded["pixel_m"] == pytest.approx((55e-6, 75e-6))
