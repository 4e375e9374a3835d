"""What the viewer reads, and what it refuses to."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from autophasenn.errors import InputError
from autophasenn.files.convention import DETECTOR, PROCESS, RESULT
from autophasenn.files.cxi import read_result
from autophasenn.files.cxi_image import read_counts
from autophasenn.files.guarded import Limits
from autophasenn.viewer.results import locate, read_image

LAB = "entry_1/image_2"


@pytest.fixture
def copied(example_results: Path, tmp_path: Path) -> Path:
    """A result that may be spoilt."""
    folder = tmp_path / "results" / "scan"
    shutil.copytree(example_results / "refined", folder)
    return folder


def test_the_image_is_that_of_the_result(example_results: Path) -> None:
    image, stored = read_image(example_results / "refined"), read_result(example_results / "refined" / RESULT)
    np.testing.assert_array_equal(image.amplitude, stored.image.amplitude)
    np.testing.assert_array_equal(image.support, stored.image.support)
    np.testing.assert_array_equal(image.strain, stored.image.strain)
    np.testing.assert_array_equal(image.displacement, stored.image.displacement)
    np.testing.assert_array_equal(image.phase_spread, stored.image.phase_spread)
    np.testing.assert_array_equal(image.amplitude_spread, stored.image.amplitude_spread)
    np.testing.assert_allclose(image.spacing, np.array(stored.image.voxel_size) * 1e9, rtol=1e-6)
    np.testing.assert_allclose(image.scattering_vector, stored.image.scattering_vector)
    assert image.report == json.loads((example_results / "refined" / "report.json").read_text())


def test_the_pattern_is_that_of_the_result(example_results: Path) -> None:
    pattern, stored = (
        read_counts(example_results / "refined" / RESULT),
        read_result(example_results / "refined" / RESULT),
    )
    np.testing.assert_array_equal(pattern.counts, stored.pattern.counts)
    np.testing.assert_array_equal(pattern.measured, stored.pattern.mask)
    np.testing.assert_array_equal(pattern.calculated, stored.reconstruction.intensity)
    np.testing.assert_allclose(pattern.steps, stored.pattern.reciprocal_steps.norm(dim=1).numpy() * 1e-9)


def test_a_file_that_was_copied_alone_has_its_report(copied: Path, tmp_path: Path) -> None:
    alone = shutil.copy(copied / RESULT, tmp_path / "alone.cxi")
    assert read_image(Path(alone)).report["chi2"] == read_image(copied).report["chi2"]


def foreign(folder: Path) -> None:
    with h5py.File(folder / RESULT, "w") as file:
        file["entry_1/image_2/amplitude"] = np.ones((4, 4, 4))


def no_hdf5(folder: Path) -> None:
    (folder / RESULT).write_bytes(b"not at all")


def cut_short(folder: Path) -> None:
    whole = (folder / RESULT).read_bytes()
    (folder / RESULT).write_bytes(whole[: len(whole) // 2])


def other_shape(folder: Path) -> None:
    with h5py.File(folder / RESULT, "r+") as file:
        del file[f"{LAB}/phase"]
        file[f"{LAB}/phase"] = np.zeros((3, 3, 3), np.float32)


def without_crystal(folder: Path) -> None:
    with h5py.File(folder / RESULT, "r+") as file:
        file[f"{LAB}/support"][...] = 0


def secret(folder: Path) -> Path:
    """A file elsewhere that must not be shown."""
    path = folder.parents[1] / "secret.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((4, 4, 4), np.float32)
    return path


def external_link(folder: Path) -> None:
    with h5py.File(folder / RESULT, "r+") as file:
        del file[f"{LAB}/phase"]
        file[f"{LAB}/phase"] = h5py.ExternalLink(secret(folder), "/data")


def external_group(folder: Path) -> None:
    other = secret(folder)
    with h5py.File(other, "r+") as file:
        file["image/amplitude"] = np.ones((4, 4, 4), np.float32)
    with h5py.File(folder / RESULT, "r+") as file:
        del file[LAB]
        file[LAB] = h5py.ExternalLink(other, "/image")


def link_through_another_file(name: str) -> Callable[[Path], None]:
    """A soft link is what stands at `name`: it leads through an external one to a copy of the result."""

    def spoil(folder: Path) -> None:
        other = folder.parents[1] / "other.cxi"
        shutil.copy(folder / RESULT, other)
        (folder / "report.json").unlink()
        with h5py.File(folder / RESULT, "r+") as file:
            file["elsewhere"] = h5py.ExternalLink(other, "/")
            if name in file:
                del file[name]
            file[name] = h5py.SoftLink(f"/elsewhere/{name}")

    return spoil


def external_storage(folder: Path) -> None:
    raw = folder.parents[1] / "secret.bin"
    raw.write_bytes(bytes(8 * 64))
    with h5py.File(folder / RESULT, "r+") as file:
        shape = file[f"{LAB}/amplitude"].shape
        del file[f"{LAB}/amplitude"]
        size = 4 * int(np.prod(shape))
        file[LAB].create_dataset("amplitude", shape, np.float32, external=[(str(raw), 0, size)])


def virtual_dataset(folder: Path) -> None:
    layout = h5py.VirtualLayout((4, 4, 4), np.float32)
    layout[:] = h5py.VirtualSource(secret(folder), "data", (4, 4, 4))
    with h5py.File(folder / RESULT, "r+") as file:
        del file[f"{LAB}/amplitude"]
        file[LAB].create_virtual_dataset("amplitude", layout)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (foreign, "no result file of autophasenn, as another program made it"),
        (no_hdf5, "damaged"),
        (cut_short, "damaged"),
        (other_shape, "damaged"),
        (without_crystal, "empty"),
        (external_link, "another file"),
        (external_group, "another file"),
        (link_through_another_file(f"{LAB}/phase"), "another file"),
        (link_through_another_file(f"{LAB}/voxel_size"), "another file"),
        (link_through_another_file(f"{PROCESS}/json"), "another file"),
        (external_storage, "another file"),
        (virtual_dataset, "another file"),
    ],
)
def test_what_is_no_whole_result_of_this_package_is_refused(
    copied: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(copied)
    with pytest.raises(InputError, match=said):
        read_image(copied)


@pytest.mark.parametrize("name", ["mask", "reciprocal_steps"])
def test_a_pattern_of_another_file_is_refused(copied: Path, name: str) -> None:
    link_through_another_file(f"{DETECTOR}/{name}")(copied)
    with pytest.raises(InputError, match="another file"):
        read_counts(copied / RESULT)


def test_a_link_out_of_the_folder_is_refused(copied: Path, example_results: Path) -> None:
    (copied / RESULT).unlink()
    (copied / RESULT).symlink_to(example_results / "refined" / RESULT)
    with pytest.raises(InputError, match="outside"):
        read_image(copied)


@pytest.mark.parametrize("path", ["../outside", "scan/../../outside", "linked"])
def test_only_what_lies_in_the_folder_of_the_results_is_shown(copied: Path, path: str) -> None:
    root = copied.parent
    shutil.copytree(copied, root.parent / "outside")
    (root / "linked").symlink_to(root.parent / "outside")
    with pytest.raises(InputError, match="outside"):
        locate(root / path, root)
    assert locate(root / "scan", root) == copied / RESULT


def test_a_report_that_is_a_link_is_not_read(copied: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"chi2": 42.0}')
    (copied / "report.json").unlink()
    (copied / "report.json").symlink_to(other)
    assert read_image(copied).report["chi2"] != 42.0


def test_files_and_volumes_above_the_limits_are_refused_before_they_are_read(copied: Path) -> None:
    with pytest.raises(InputError, match="GiB"):
        read_image(copied, limits=Limits(file_bytes=1000))
    with pytest.raises(InputError, match="memory"):
        read_image(copied, limits=Limits(memory_bytes=100_000))


def test_nothing_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=RESULT):
        locate(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        locate(tmp_path / "absent")


def test_a_folder_of_results_says_which_there_are(example_results: Path) -> None:
    with pytest.raises(InputError, match=r"holds results \(network, refined\) and is none; give one of them"):
        locate(example_results)
