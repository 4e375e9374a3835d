"""Results as layers of napari: its own check of the manifest, and what its reader gets."""

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest

from autophasenn.files.cxi_image import read_image
from autophasenn.napari_reader import get_reader, read_layers
from autophasenn.viewer.results import read_image as read_named

OLD_PYDANTIC = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""npe2 and napari use what pydantic 3 will not have."""


@OLD_PYDANTIC
def test_the_manifest_is_valid_and_leads_to_the_reader_for_folders_and_files(example_results: Path) -> None:
    npe2 = pytest.importorskip("npe2", reason="npe2, which reads plugins for napari, is not installed")
    with as_file(files("autophasenn") / "napari.yaml") as file:
        manifest = npe2.PluginManifest.from_file(file)
    manifest.validate_imports()
    manager = npe2.PluginManager()
    manager.register(manifest)
    manager.activate(manifest.name)
    for path in (example_results / "refined", example_results / "refined" / "result.cxi"):
        (found,) = manager.iter_compatible_readers([str(path)])
        assert manager.commands.get(found.command)(str(path)) is not None
    assert not list(manager.iter_compatible_readers(["frames.tif"]))


def test_layers_lie_where_the_crystal_does_in_nm(example_results: Path) -> None:
    folder = example_results / "refined"
    image, (amplitude, *others) = read_image(folder / "result.cxi"), read_layers(str(folder))
    data, about, kind = amplitude
    assert kind == "image"
    assert np.array_equal(data, image.amplitude)
    assert about["scale"] == pytest.approx(image.spacing)
    assert about["units"] == ("nm", "nm", "nm")
    assert about["axis_labels"] == ("x", "y", "z")
    place = np.array(about["translate"]) + np.array(image.centre) * about["scale"]
    assert place == pytest.approx(image.position(image.centre))
    names = [about["name"] for _, about, _ in others]
    assert [name.split(": ")[1] for name in names[:3]] == ["phase (rad)", "displacement (nm)", "strain"]
    assert all(name.startswith("refined: ") for name in names)
    strain, about, _ = others[2]
    assert np.array_equal(strain, image.strain, equal_nan=True)
    low, high = about["contrast_limits"]
    assert low == -high
    assert 0 < np.nanmean(np.abs(strain) <= high) <= 1
    assert about["metadata"]["status"] == read_named(folder).report["status"]


def test_what_is_no_result_is_left_to_other_readers(tmp_path: Path, example_results: Path) -> None:
    (tmp_path / "frames.tif").write_bytes(b"")
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "frames.tif")) is None
    assert get_reader([]) is None
    assert get_reader([str(example_results / "refined"), str(tmp_path)]) is None


@OLD_PYDANTIC
def test_napari_takes_the_layers(example_results: Path) -> None:
    components = pytest.importorskip("napari.components", reason="the extra `napari` is not installed")
    viewer = components.ViewerModel()  # all of napari but its window
    for data, about, _ in read_layers(str(example_results / "refined")):
        viewer.add_image(data, **about)
    assert viewer.layers[0].extent.world[0] == pytest.approx(viewer.layers[0].translate)
    assert str(viewer.layers[0].units[0]) == "nanometer"
