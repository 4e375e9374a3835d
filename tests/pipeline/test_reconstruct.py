"""The main job: whole results, honest reports, nothing half written."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import h5py
import numpy as np
import pytest
import torch

from autophasenn.errors import InputError, OutputError, PlanError
from autophasenn.files.cxi import read_result
from autophasenn.inversion.methods import METHODS
from autophasenn.phasing.algorithms import ER, HIO
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.schedule import Block, Schedule
from autophasenn.physics import metrics
from autophasenn.pipeline import example, result
from autophasenn.pipeline.plan import VERSION, Plan, load_plan
from autophasenn.pipeline.reconstruct import describe, reconstruct, reconstruct_into
from autophasenn.pipeline.result import Output, Result
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.report.numbers import Report
from autophasenn.volumes import Scan, crop_or_pad

QUICK = Plan(
    retrieval=Ensemble(starts=2, polish=20, schedule=Schedule((Block(HIO(), 80), Block(ER(), 20)), 2, average_last=5))
)

KEYS = {
    *("status", "message", "method", "chi2", "chi2_noise", "chi2_free", "seconds", "peak_memory_bytes", "shape"),
    *("oversampling", "voxel_size_nm", "q_per_nm", "d_spacing_nm", "support_voxels", "volume_nm3", "strain"),
    *("displacement_nm", "resolution_nm", "resolution_is_bound", "detector_voxel_size_nm", "warnings", "seed"),
    *("versions", "input", "starts", "preprocess", "binning", "path", "confidence", "geometry"),
    *("is_preliminary", "device", "weights", "chi2_noise_free"),
}

ITERATIVE = Run("iterative")
PICTURES = {"overview.png", "slices.png", "isosurface.png", "pattern.png", "convergence.png", "prtf.png"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("results") / "example"
    return folder, reconstruct_into(Output(folder), Source(), Run("iterative", seed=3), QUICK)


def test_the_example_is_made_by_the_project_itself() -> None:
    stored = np.load(example.EXAMPLE)
    # Another machine's FFT may round a rate across a photon: a few voxels, not the pattern.
    made = example.counts().numpy()
    assert np.mean(stored["counts"] != made) < 1e-3
    np.testing.assert_allclose(stored["counts"].sum(), made.sum(), rtol=1e-5)
    np.testing.assert_allclose(
        stored["reciprocal_steps"], example.GEOMETRY.reciprocal_steps(example.CENTRE).numpy(), rtol=1e-9, atol=1e-6
    )


def test_without_figures_a_result_has_all_the_rest(tmp_path: Path) -> None:
    report = reconstruct(Source(), Run("network")).save(tmp_path, figures=False).report
    assert {path.name for path in tmp_path.iterdir()} == {
        name for name in result.FILES if not name.split()[0].endswith("png")
    }
    assert report.chi2 < 0.1


def test_a_result_is_complete(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    names = {path.name for path in folder.iterdir()}
    assert names >= PICTURES | {"result.cxi", "crystal.vti", "object_detector_frame.vts", "report.json", "plan.yaml"}
    assert not [name for name in names if name.startswith(".")]


def test_the_report_has_every_key_of_the_conventions(finished: tuple[Path, Result]) -> None:
    folder, found = finished
    written = json.loads((folder / "report.json").read_text())
    assert written == found.report.to_json()
    assert Report.from_json(written) == found.report
    assert set(written) == KEYS
    assert set(written["seconds"]) == {
        "read", "preprocess", "network", "refine", "confidence", "postprocess", "write", "total",
        "first_picture",
    }  # fmt: skip
    assert set(written["strain"]) >= {"mean", "std", "p1", "p99"}
    assert written["seconds"]["network"] is None
    assert written["seed"] == 3
    assert len(written["input"]["sha256"]) == 64


def test_the_image_has_the_lattice_and_size_of_the_crystal_that_was_simulated(finished: tuple[Path, Result]) -> None:
    report = finished[1].report
    assert report.d_spacing_nm == pytest.approx(0.2335, rel=1e-3)
    truth = example.crystal().abs().double().sum() * abs(
        torch.linalg.det(
            example.direct_voxel_vectors(
                example.GEOMETRY.reciprocal_steps(example.CENTRE),
                [n * f for n, f in zip(example.SHAPE, example.FINER, strict=True)],
            )
        )
    )
    assert report.volume_nm3 == pytest.approx(float(truth) * 1e27, rel=0.1)


def test_the_file_alone_tells_which_algorithms_ran(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    with h5py.File(folder / "result.cxi") as file:
        stored = json.loads(file["entry_1/process_1/json"].asstr()[()])["parameters"]
        browsed = file["entry_1/process_1/configuration/retrieval/schedule/blocks"].asstr()[()]
    blocks = QUICK.retrieval.schedule.blocks
    names = [block["algorithm"]["name"] for block in stored["retrieval"]["schedule"]["blocks"]]
    assert names == [type(block.algorithm).__name__ for block in blocks]
    assert [block["algorithm"]["name"] for block in json.loads(browsed)] == names
    again = json.dumps({"version": VERSION} | stored)  # JSON is YAML
    (folder.parent / "again.yaml").write_text(again)
    assert load_plan(folder.parent / "again.yaml") == QUICK


def test_the_object_is_the_one_that_was_simulated(finished: tuple[Path, Result]) -> None:
    folder, result = finished
    stored = read_result(folder / "result.cxi")
    found = stored.reconstruction.object  # frames were binned: a smaller field of view along axis 0
    assert metrics.correlation(crop_or_pad(example.seen(), found.shape), found) > 0.97
    assert result.report.chi2 < 3 * result.report.chi2_noise


def test_the_plan_of_a_result_gives_the_result_again(finished: tuple[Path, Result], tmp_path: Path) -> None:
    folder, found = finished
    plan = load_plan(folder / "plan.yaml")
    assert plan == QUICK
    again = reconstruct(Source(), Run("iterative", seed=3), plan)
    assert again.report.chi2 == found.report.chi2
    assert torch.equal(again.reconstruction.object, read_result(folder / "result.cxi").reconstruction.object)


def test_without_geometry_the_result_is_in_voxels_and_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.load(example.EXAMPLE)["counts"])
    report = reconstruct(Source(str(tmp_path / "plain.npy")), ITERATIVE, QUICK).report
    assert report.voxel_size_nm is None
    assert report.strain is None
    assert report.resolution_nm is None
    assert any("geometry is unknown" in sentence for sentence in report.warnings)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    facts = describe(Source(), ITERATIVE, Output(tmp_path / "out"), QUICK)
    assert not (tmp_path / "out").exists()
    assert facts["pattern"][1:] == list(example.SHAPE[1:])
    assert "200 iterations" in facts["schedule"]


def test_an_existing_result_is_kept_unless_asked(finished: tuple[Path, Result]) -> None:
    folder, _ = finished
    before = (folder / "report.json").read_bytes()
    with pytest.raises(OutputError, match="overwrite"):
        reconstruct_into(Output(folder), Source(), ITERATIVE, QUICK)
    assert (folder / "report.json").read_bytes() == before


def test_a_crash_while_writing_leaves_the_old_result(
    finished: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = finished
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(result, "portfolio_of", crash)
    with pytest.raises(KeyboardInterrupt):
        found.save(folder, overwrite=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_picture_that_cannot_be_drawn_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autophasenn.report import opengl

    monkeypatch.setattr(opengl, "_has_egl_device", lambda: False)
    monkeypatch.setattr(opengl, "_has_library", lambda name: False)
    monkeypatch.setattr(opengl.sys, "platform", "linux")
    report = reconstruct_into(Output(tmp_path / "out"), Source(), ITERATIVE, QUICK).report
    assert not (tmp_path / "out" / "isosurface.png").exists()
    assert (tmp_path / "out" / "overview.png").exists()
    assert any("OpenGL" in sentence for sentence in report.warnings)


@pytest.mark.parametrize(
    ("source", "method", "error", "words"),
    [
        ({}, {"method": "magic"}, PlanError, "method"),
        ({}, {"seed": -1}, PlanError, "seed -1"),
        ({}, {"device": "cuda:7"}, PlanError, "device"),
        ({}, {"device": "nonsense"}, PlanError, "device"),
        ({"beamline": "34idc", "spec": Path("a.spec")}, {}, PlanError, "INPUT"),
        ({"input": "nowhere.npy"}, {}, InputError, "no file"),
        ({"input": "."}, {}, InputError, "folder"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    tmp_path: Path, source: dict, method: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        reconstruct_into(Output(tmp_path / "out"), Source(**source), Run(**{"method": "iterative"} | method), QUICK)
    assert not (tmp_path / "out").exists()


class Abreast:
    """A `Progress` that goes from stage to stage together with another one."""

    def __init__(self, gate: Barrier) -> None:
        self.gate = gate

    def stage(self, name: str) -> None:
        self.gate.wait(timeout=300)

    def advance(self, done: int, total: int) -> None:
        pass


def test_two_reconstructions_in_two_threads_do_not_mix_their_warnings() -> None:
    counts = np.load(example.EXAMPLE)["counts"].astype(np.int32)[16:48, 16:48, 16:48]
    scans = {"whole": Scan(counts), "clipped": Scan(np.minimum(counts, 3000), warnings=("A word of its reader.",))}
    gate = Barrier(len(scans))

    def warnings(scan: Scan) -> tuple[str, ...]:
        return reconstruct(scan, ITERATIVE, QUICK, Abreast(gate)).warnings

    with ThreadPoolExecutor() as pool:
        together = dict(zip(scans, pool.map(warnings, scans.values()), strict=True))
    alone = {name: reconstruct(scan, ITERATIVE, QUICK).warnings for name, scan in scans.items()}
    assert together == alone
    assert any("hold the largest value 3000" in sentence for sentence in alone["clipped"])
    assert "A word of its reader." in alone["clipped"]
    assert not any("largest value" in sentence for sentence in alone["whole"])


def test_the_default_method_is_the_first_of_the_list() -> None:
    assert Run().method == METHODS[0]


def test_scan_54_has_the_geometry_of_the_conventions(shared_data: Path) -> None:
    """Raw TIFF frames to strain; one short start, as it is the frame and not the phases that is tested here."""
    folder = shared_data / "scan54_34idc"
    source = Source(
        input=str(folder / "Staff20-1a_S0054"),
        beamline="34idc",
        spec=folder / "example.spec",
        dark=folder / "dark.tif",
        white=folder / "whitefield.tif",
    )
    plan = replace(
        QUICK,
        preprocess=replace(QUICK.preprocess, shape=(48, 64, 64)),
        retrieval=replace(QUICK.retrieval, starts=3),
    )
    report = reconstruct(source, ITERATIVE, plan).report
    assert report.q_per_nm == pytest.approx(26.911, rel=3e-4)
    assert report.d_spacing_nm == pytest.approx(0.23348, rel=3e-4)
    full = [
        edge * n / m
        for edge, n, m in zip(report.detector_voxel_size_nm, (48 * 3, 64, 64), (201, 256, 256), strict=True)
    ]
    assert full == pytest.approx([15.115, 5.013, 5.041], rel=3e-4)
    assert report.input.path == source.input
    assert not any(math.isnan(v) for v in (report.chi2, report.chi2_noise))
    assert 1e-5 < report.strain.std < 1e-3
