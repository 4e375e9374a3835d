"""`autophasenn analyse`: what it writes is read by other programs, and what cannot be is said in one sentence."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from commands import status_of
from imaged import Q_GOLD, family, image_of, octahedron, turned_onto_q
from scipy.io import loadmat

import autophasenn as ap
from autophasenn.analysis.analyse import Analysis, analyse
from autophasenn.analysis.figures import write_figures
from autophasenn.analysis.options import AnalysisOptions
from autophasenn.analysis.subject import Subject
from autophasenn.analysis.words import MOST_FACETS, facet_rows, facts
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.schedule import error_reduction
from autophasenn.pipeline.analyse import KIND, save
from autophasenn.pipeline.analyse import analyse as analyse_result
from autophasenn.pipeline.example import EXAMPLE

QUICK = ap.Plan(retrieval=Ensemble(starts=1, polish=0, schedule=error_reduction(20)))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A quick result with geometry, and one without."""
    folder = tmp_path_factory.mktemp("results")
    ap.reconstruct(EXAMPLE, method="iterative", plan=QUICK).save(folder / "known", figures=False)
    counts = np.load(EXAMPLE)["counts"]
    ap.reconstruct(counts, method="iterative", plan=QUICK).save(folder / "unknown", figures=False)
    return folder


def run(*words: object) -> int:
    return status_of("analyse", *words)


@pytest.fixture(scope="module")
def written(results: Path) -> Path:
    folder = results / "analysis"
    line = "--line=-50,0,0:50,0,0"
    assert run(results / "known", "-o", folder, "--material", "Au", line, "--formats", "none") == 0
    return folder


def test_every_number_has_its_unit_and_its_uncertainty(written: Path) -> None:
    found = json.loads((written / "analysis.json").read_text())
    assert found["unit"] == "nm"
    assert found["hkl"] == [1, 1, 1]
    assert "u_G = -phi/|G|" in found["sign_convention"]
    volume = found["size"]["volume"]
    assert volume["unit"] == "nm³"
    assert volume["value"] > volume["uncertainty"] > 0
    assert volume["basis"]
    np.testing.assert_allclose(found["frames"]["laboratory"]["matrix"], np.eye(3))
    assert found["strain"]["layers"][0]["strain"]["mean"]["value"] is not None
    assert found["options"]["material"] == "Au"


def test_tables_have_a_column_for_each_quantity_with_its_unit(written: Path) -> None:
    with (written / "facets.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    stored = json.loads((written / "analysis.json").read_text())["facets"]
    assert len(rows) == len(stored) > 5
    assert float(rows[0]["area_nm2"]) == pytest.approx(stored[0]["area"]["value"], rel=1e-5)
    assert {"distance_nm", "roughness_nm", "strain", "strain_error", "normal_laboratory_x", "normal_crystal_z"} <= set(
        rows[0]
    )
    with (written / "profiles.csv").open(newline="") as file:
        names = {row["profile"] for row in csv.DictReader(file)}
    assert names == {"along Q", "along x", "along y", "along z", "line 1"}


def test_volumes_are_the_same_in_every_format(results: Path, written: Path) -> None:
    image = ap.load(results / "known").image
    arrays = np.load(written / "volumes.npz")
    np.testing.assert_array_equal(arrays["strain"], image.strain)
    assert arrays["x_nm"][image.shape[0] // 2] == 0
    matlab = loadmat(written / "volumes.mat")
    np.testing.assert_array_equal(matlab["strain"], image.strain)
    np.testing.assert_allclose(
        matlab["frames"]["crystal"][0, 0] @ (image.scattering_vector / 1e9), [0, 0, 26.9], atol=0.2
    )
    with tifffile.TiffFile(written / "strain.tif") as stack:
        assert len(stack.pages) == image.shape[0]
        np.testing.assert_array_equal(stack.asarray(), image.strain)
        assert stack.imagej_metadata["spacing"] == pytest.approx(image.spacing[0], rel=1e-5)
        assert stack.imagej_metadata["unit"] == "nm"
    import pyvista

    grid = pyvista.read(written / "volumes.vti")
    np.testing.assert_array_equal(grid["amplitude"].reshape(image.shape, order="F"), image.amplitude)
    surface = pyvista.read(written / "surface.vtp")
    assert set(np.unique(surface["facet"])) >= {1, 2, 3}


def test_the_default_of_the_nexus_file_leads_to_the_image(written: Path) -> None:
    with h5py.File(written / "analysis.nxs") as file:
        node = file
        while "default" in node.attrs:
            node = node[node.attrs["default"]]
        assert node.attrs["NX_class"] == "NXdata"
        signal = node[node.attrs["signal"]]
        assert signal.shape == tuple(node[axis].size for axis in node.attrs["axes"])
        assert node["phase_rad"].attrs["units"] == "rad"
        assert file["entry/profiles/along_Q"].attrs["signal"] == "strain"
        assert "v_crystal = matrix @ v_laboratory" in file["entry/frames/crystal"].attrs["note"]


def test_without_geometry_what_can_be_done_is_done_and_the_rest_says_why(results: Path, capsys) -> None:
    assert run(results / "unknown", "-o", results / "voxels", "--formats", "none") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "geometry is unknown" in said
    assert "the geometry, the photon energy and the material (--material) must be known" in said
    assert "strain, 1e-4" not in said
    found = json.loads((results / "voxels" / "analysis.json").read_text())
    assert found["unit"] == "voxels"
    assert found["strain"] is None
    assert found["lattice"] is None
    assert found["size"]["volume"]["unit"] == "voxels³"
    assert len(found["facets"]) > 3
    assert not (results / "voxels" / "layers.csv").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--material", "Au", "--hkl", "1,0,0"], "forbidden for Au (fcc); d = 0.2334 nm fits 1 1 1"),
        (["--material", "Au", "--hkl", "2,0,0"], "fits 1 1 1"),
        (["--material", "Cu"], "fits no reflection of Cu"),
        (["--material", "Xx"], "not in the table"),
        (["--hkl", "1,1"], "three whole numbers"),
        (["--reference", "wide"], "length in nm"),
        (["--temperature", "500"], "material (--material)"),
        (["--isosurface", "high"], "0.3, or half"),
        (["--frame", "sample"], "sample frame is unknown"),
        (["--frame", "moon"], "laboratory, sample or crystal"),
        (["--line", "0,0,0"], "two points"),
        (["--line=-1e8,0,0:1e8,0,0"], "leaves the image by far"),
        (["--line=0,0,0:1e300,0,0"], "none above 1e+09"),
        (["--plane=1e300,1e300,1e300"], "none above 1e+09"),
        (["--line=-inf,0,0:50,0,0"], "give finite ones"),
        (["--line=nan,0,0:50,0,0"], "give finite ones"),
        (["--plane=a,b,c"], "three as in 0,1,0"),
        (["--formats", "gif"], "png, pdf or svg"),
        (["--second", "0,0,1:0,1,0", "--normal", "0,0,1"], "one direction beside Q"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_is_one_sentence(results: Path, words: list[str], sentence: str, tmp_path: Path, capsys) -> None:
    assert run(results / "known", "-o", tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert sentence in error
    assert not (tmp_path / "out").exists()


def test_every_file_of_an_analysis_is_known_as_one(written: Path) -> None:
    assert all(KIND.can_have(path.name) for path in written.iterdir())


def test_a_former_analysis_is_kept_unless_told_otherwise(results: Path, written: Path, capsys) -> None:
    assert run(results / "known", "-o", written, "--formats", "none") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (written / "analysis.json").exists()


def test_facets_beyond_the_table_and_the_mean_that_strain_is_relative_to_are_told(results: Path) -> None:
    found = ap.analyse(results / "known")
    least = -(-(MOST_FACETS + 1) // len(found.facets))
    many = replace(found, facets=found.facets * least)
    assert len(facet_rows(many)[1]) == MOST_FACETS
    more = len(many.facets) - MOST_FACETS
    assert f"the {MOST_FACETS} largest below, {more} more in facets.csv" in facts(many)["facets"]
    assert "more in" not in facts(replace(found, facets=found.facets[:MOST_FACETS]))["facets"]
    assert facts(found)["strain relative to"].startswith("mean of the crystal by scattered intensity")


def test_another_frame_turns_the_volumes_and_not_what_is_true(results: Path) -> None:
    here = ap.analyse(results / "known")
    there = ap.analyse(ap.load(results / "known"), options=AnalysisOptions(frame="crystal"))
    assert there.frame == "crystal"
    np.testing.assert_allclose(there.image.q_direction, [0, 0, 1], atol=1e-9)
    assert there.size.volume.value == pytest.approx(here.size.volume.value, rel=0.03)
    assert there.strain.inner_strain.std.value == pytest.approx(here.strain.inner_strain.std.value, rel=0.1)
    # Both in the laboratory; of facets of nearly one size another may be the largest.
    same = max(there.facets, key=lambda each: float(np.dot(each.normal, here.facets[0].normal)))
    np.testing.assert_allclose(same.normal, here.facets[0].normal, atol=0.02)
    assert same.distance.value == pytest.approx(here.facets[0].distance.value, abs=1.5)


@pytest.fixture(scope="module")
def defective() -> Analysis:
    """A small crystal with facets, a dislocation and a wall."""
    normals, relative = octahedron()
    q = Q_GOLD * np.array([0.2, 0.9, 0.4]) / np.linalg.norm([0.2, 0.9, 0.4])

    def displacement(r: np.ndarray) -> np.ndarray:
        return (np.arctan2(r[..., 1] - 12, r[..., 0] + 21) + 2.0 * (r[..., 0] > 32)) / Q_GOLD

    rotation = turned_onto_q((1, 1, 1), q, 10.0)
    image = image_of(normals, 70.0 * relative, size=36, q=q, rotation=rotation, displacement=displacement, spread=0.05)
    return analyse(Subject(image), AnalysisOptions(material="Au"))


def test_every_figure_is_drawn_in_every_format(defective: Analysis, tmp_path: Path) -> None:
    left_out = write_figures(defective, tmp_path, ("svg",))
    names = {"planes", "profiles", "amplitude", "strain", "facets", "pole_figure", "wulff", "dislocations", "domains"}
    assert {path.stem for path in tmp_path.iterdir()} | {name for name in names if name in " ".join(left_out)} == names
    for path in tmp_path.iterdir():
        assert path.read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_defects_are_written_too(defective: Analysis, tmp_path: Path) -> None:
    import pyvista

    assert save(defective, tmp_path / "out", figures=False) == ()
    assert len(defective.dislocations.lines) == 1
    assert pyvista.read(tmp_path / "out" / "dislocations.vtp").n_points == len(defective.dislocations.lines[0].points)
    assert len((tmp_path / "out" / "domains.csv").read_text().splitlines()) == 1 + len(defective.domains.domains) > 2
    with pytest.raises(ap.PlanError, match="gif"):
        save(defective, tmp_path / "other", ("gif",))
    with pytest.raises(ap.InputError):
        analyse_result(tmp_path / "nothing")


def test_the_circles_of_a_scan_give_the_sample_frame() -> None:
    from autophasenn.analysis.subject import subject_of
    from autophasenn.beamlines.diffractometers import ID01
    from autophasenn.physics.axes import rotation
    from autophasenn.pipeline.analyse import _sample_rotation

    angles = {"mu": 0.0, "eta": 12.0, "phi": -20.0, "nu": 0.0, "delta": 30.0}
    image = image_of(family((1, 0, 0)), np.full(6, 60.0), size=32)
    report = {"geometry": {"diffractometer": ID01.name, "angles_deg": angles}}
    by_name = _sample_rotation(subject_of(image, None, report, {}), report)
    np.testing.assert_allclose(by_name, rotation(ID01.sample, angles))
    told = {"geometry": {**report["geometry"], "sample_rotation": by_name.tolist()}}
    np.testing.assert_allclose(subject_of(image, None, told, {}).sample_rotation, by_name)
    damaged = {"geometry": {"sample_rotation": [[1, 0], [0, 1]], "energy_ev": "many", "direct_beam": 3}}
    assert subject_of(image, None, damaged, {}).sample_rotation is None
