"""What a measurement spoils is said in a sentence that helps, and what cannot be phased is refused before it is."""

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
import torch

from autophasenn.errors import GeometryError, InputError
from autophasenn.files.frames import find_frames, read_frames
from autophasenn.inversion.methods import Inversion, invert
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions, in_network_box, predict
from autophasenn.network.architectures import build
from autophasenn.network.predict import Predictor
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.phasing.ensemble import Ensemble
from autophasenn.phasing.refinement import Refinement
from autophasenn.phasing.schedule import error_reduction
from autophasenn.physics.metrics import chi2
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.prepare import Prepared, prepare
from autophasenn.pipeline.reconstruct import reconstruct
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.source import Source
from autophasenn.preprocessing.checks import check_fit_to_phase, check_geometry, check_middle
from autophasenn.preprocessing.preprocess import preprocess
from autophasenn.volumes import Pattern, Scan
from crystals import expected_counts, polyhedron

SHAPE = (48, 48, 48)


@cache
def example() -> Prepared:
    return prepare(Source())


def counted(rho: np.ndarray, photons: float = 1e6) -> np.ndarray:
    return np.random.default_rng(0).poisson(expected_counts(rho, photons)).astype(np.int32)


def crystal(oversampling: float = 3.0, seed: int = 0) -> np.ndarray:
    return polyhedron(SHAPE, (oversampling,) * 3, np.random.default_rng(seed))


def said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    return any(words in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


@pytest.mark.parametrize("factor", [1e-9, 1e-10], ids=["1/nm", "1/angstrom"])
def test_a_scattering_vector_in_another_unit_is_refused_with_the_spacing_it_gives(factor: float) -> None:
    prepared = example().preprocessed
    check_geometry(prepared)
    q = prepared.pattern.scattering_vector
    wrong = replace(prepared, pattern=replace(prepared.pattern, scattering_vector=q * factor))
    with pytest.raises(GeometryError, match=rf"planes 2\.3\d*e\+?0?{-1 - round(np.log10(factor)):d} nm apart.*1/m"):
        check_geometry(wrong)


@pytest.mark.parametrize("factors", [(np.pi / 180, 1, 1), (1e-3, 1e-3, 1e-3), (1e3, 1e3, 1e3)], ids=str)
def test_steps_in_another_unit_are_told_by_the_size_of_the_crystal(
    factors: tuple[float, ...],
) -> None:
    prepared = example().preprocessed
    assert check_geometry(prepared) == ()
    steps = prepared.pattern.reciprocal_steps * torch.tensor(factors, dtype=torch.float64)[:, None]
    (warning,) = check_geometry(replace(prepared, pattern=replace(prepared.pattern, reciprocal_steps=steps)))
    assert "crystal is about" in warning


def test_a_gap_over_the_bragg_peak_is_said_and_one_beside_it_is_not() -> None:
    frames = counted(crystal())
    for rows, is_said in ((slice(34, 38), False), (slice(23, 26), True)):
        gap = frames.copy()
        gap[:, rows] = -1
        warnings = check_middle(preprocess(Scan(gap)))
        assert any("central speckle were not measured" in sentence for sentence in warnings) == is_said


@pytest.mark.parametrize(
    ("top", "words"),
    [(4095, "(the most that a 12-bit counter holds)"), (3000, "hold the largest value 3000")],
)
def test_a_flat_top_is_said_with_its_voxels_and_the_depth_of_the_counter(top: int, words: str) -> None:
    frames = counted(crystal(), 1e6)
    clipped = int((frames >= top).sum())
    assert clipped >= 4
    prepared = preprocess(Scan(np.minimum(frames, top)))
    assert any(words in sentence and f"{clipped} voxels" in sentence for sentence in prepared.warnings)
    assert not any("Saturation" in sentence for sentence in preprocess(Scan(frames)).warnings)


def test_the_largest_value_of_a_type_is_a_gap_in_all_frames_and_saturation_in_some() -> None:
    frames = counted(crystal(), 3e7)
    assert frames.max() > 65535
    clipped = np.minimum(frames, 65535).astype(np.uint16)
    number = int((clipped == 65535).sum())
    assert any(f"Saturation: {number} voxels" in sentence for sentence in preprocess(Scan(clipped)).warnings)
    gap = np.minimum(counted(crystal(), 1e6), 65534).astype(np.uint16)
    gap[:, 36:39] = 65535
    assert not any("Saturation" in sentence for sentence in preprocess(Scan(gap)).warnings)


def test_two_particles_are_said_by_the_iterative_method_too(tmp_path: Path) -> None:
    pair = crystal(6.0) + 0.8 * np.roll(crystal(6.0, 3), 13, 1)
    np.save(tmp_path / "pair.npy", counted(pair))
    np.save(tmp_path / "single.npy", counted(crystal()))
    quick = Plan(retrieval=Ensemble(starts=1, polish=0, schedule=error_reduction(40)))
    for name, is_said in (("pair", True), ("single", False)):
        found = reconstruct(Source(str(tmp_path / f"{name}.npy")), Run("iterative"), quick)
        assert any("two particles" in sentence for sentence in found.warnings) == is_said


def test_a_refinement_that_diverges_gives_the_best_state_seen_and_says_so() -> None:
    """A support of hardly a voxel, in the box and at full resolution."""
    oversampling = (2.6, 4.4, 2.6)
    counts = torch.from_numpy(counted(polyhedron((48, 96, 48), oversampling, np.random.default_rng(0)))).float()
    pattern = Pattern(counts, counts >= 0)
    predictor = Predictor(build(UnrolledDesign(stages=1, width=4, blocks=(1, 1))))
    search = Refinement().search
    assert search.shrink_wrap is not None
    absurd = replace(search, shrink_wrap=replace(search.shrink_wrap, threshold=0.999))
    refinement = Refinement(absurd, longer_search=None, polish=0, partial_coherence=False)
    refinement = replace(refinement, coherence=replace(refinement.coherence, rounds=1, search=absurd))
    options = Inversion(prediction=Predictions(starts=1), refinement=refinement, confidence=Orientations(number=0))
    options = replace(options, even_density=None, evenness=None)
    answer = invert(pattern, oversampling, "refined", options, predictor=predictor)
    assert any("No step of the refinement" in sentence for sentence in answer.warnings)
    assert any("ended worse than it began" in sentence for sentence in answer.warnings)
    boxed = in_network_box(pattern, oversampling, seed=0)
    start = predict(boxed, predictor, options.prediction, seed=0).best
    predicted = boxed.on_grid(start).object[0]
    found = answer.reconstruction.object
    assert float(chi2(found, counts, counts >= 0)) == pytest.approx(
        float(chi2(predicted, counts, counts >= 0)), rel=1e-3
    )


def test_frames_that_the_memory_cannot_hold_are_refused_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(3):
        tifffile.imwrite(tmp_path / f"frame_{index:03d}.tif", np.ones((16, 16), np.uint16))
    (tmp_path / "frame_002.tif").write_bytes(b"never read")
    free = psutil.virtual_memory()._replace(available=16 * 16 * 12 * 2)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(InputError, match=r"768 voxels, which take 0 GiB of memory, and 0\.0 GiB are free"):
        read_frames(find_frames(tmp_path))


def test_the_bundled_example_gives_none_of_these_warnings() -> None:
    assert example().warnings == ()


def test_a_mask_the_wrong_way_round_is_refused_unless_forced() -> None:
    bad = np.random.default_rng(3).random(SHAPE) < 0.05
    prepared = preprocess(Scan(counted(crystal()), mask=bad))
    with pytest.raises(InputError, match=r"True \(1\) means measured"):
        check_fit_to_phase(prepared, force=False)
    check_fit_to_phase(prepared, force=True)
    check_fit_to_phase(preprocess(Scan(counted(crystal()), mask=~bad)), force=False)
