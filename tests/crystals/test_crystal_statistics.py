"""The numbers that describe objects are what they say, and those of the fast source are those of relaxed atoms."""

import math
from dataclasses import asdict
from pathlib import Path

import crystal_figure
import numpy as np
import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.crystals.sampling import Sampling
from autophasenn.crystals.source import Objects
from autophasenn.crystals.statistics import SCALARS, describe, levelled, phase_spectrum, strain_rms
from autophasenn.experiment.dataset import DatasetFile, Description, encoded
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.pipeline.example import EXAMPLE

Numbers = dict[str, np.ndarray]
AXIS = torch.arange(32) - 16
BUNDLED = EXAMPLE.with_name("crystals.h5")
SEED = 24
TUNED = {
    "volume": (2457, 4636, 9153),
    "edge_width": (0.741, 1.038, 1.191),
    "peak_offset": (0.141, 0.329, 0.570),
    "phase_range": (0.502, 0.938, 2.197),
    "phase_rms": (0.0997, 0.195, 0.469),
    "strain_rms": (0.0655, 0.108, 0.160),
    "core_strain_rms": (0.0198, 0.0531, 0.1078),
}
"""10th, 50th and 90th percentile of 256 relaxed gold crystals, seed 2022, on which the fast source was tuned
(docs/physics/crystals.md)."""
RATIOS = {
    "volume": (0.8, 1.25),
    "edge_width": (0.9, 1.1),
    "peak_offset": (0.7, 1.5),
    "phase_range": (0.7, 1.4),
    "phase_rms": (0.7, 1.4),
    "strain_rms": (0.75, 1.33),
    "core_strain_rms": (0.67, 1.5),
}
"""Least and largest ratio of a median of the fast source to that of the bundled crystals."""
PERIODS = (1, 2, 4, 8, 15)
"""Across the box: shells of the spectrum that are compared."""


def ramp(offset: tuple[float, float, float]) -> torch.Tensor:
    """A phase that moves the peak by so many voxels of the pattern of 64^3."""
    x, y, z = (2 * math.pi * v / 64 * AXIS for v in offset)
    return torch.polar(torch.ones(32, 32, 32), (x[:, None, None] + y[:, None] + z).float())


def block(edge: float = 1.0) -> torch.Tensor:
    """A cube of 14 voxels at half height, whose amplitude rises over `edge` voxels."""
    profile = ((7 - (AXIS + 0.5).abs()) / edge + 0.5).clamp(0, 1)
    return (profile[:, None, None] * profile[:, None] * profile).to(torch.complex64)


def test_the_gradient_of_a_phase_is_the_same_alone_and_among_all_numbers() -> None:
    rho = simulate(Polyhedra(), Experiment(), SEED, range(1)).objects[0]
    assert strain_rms(rho) == describe(rho[None])["strain_rms"][0]


def test_an_even_block_has_volume_and_nothing_else() -> None:
    numbers = describe(block()[None])
    assert numbers["volume"][0] == pytest.approx(14**3, rel=1e-6)
    for name in ("roughness", "phase_range", "phase_rms", "strain_rms", "core_strain_rms", "peak_offset"):
        assert numbers[name][0] == pytest.approx(0, abs=1e-5)
    assert set(numbers) == {*SCALARS, "spectrum"}


def test_a_wider_edge_has_a_larger_width() -> None:
    widths = describe(torch.stack([block(edge) for edge in (1.0, 3.0, 5.0)]))["edge_width"]
    assert np.all(np.diff(widths) > 1)
    assert widths[1:] == pytest.approx([3.0, 5.0], rel=0.2)


def test_a_moved_peak_changes_its_offset_only() -> None:
    x = (0.1 * (AXIS + 0.5) ** 2 / 16).to(torch.complex64)
    bent = block() * torch.exp(1j * x)[:, None, None]
    still, moved = describe(torch.stack([bent, bent * ramp((0.3, -0.4, 0.0))])).items(), None
    for name, (here, there) in still:
        if name == "peak_offset":
            moved = there - here
        else:
            np.testing.assert_allclose(there, here, atol=2e-3)
    assert moved == pytest.approx(0.5, abs=0.01)


def test_whole_voxels_of_peak_offset_do_not_count() -> None:
    assert describe((block() * ramp((2.0, -1.0, 0.25)))[None])["peak_offset"][0] == pytest.approx(0.25, abs=1e-3)


def test_levelling_leaves_no_ramp_and_no_mean_phase() -> None:
    level, slopes = levelled(block() * ramp((0.3, -0.4, 0.2)) * 1j)
    assert slopes.numpy() * 64 / (2 * math.pi) == pytest.approx([0.3, -0.4, 0.2], abs=1e-4)
    assert float(level[level.abs() > 0.5].angle().abs().max()) < 1e-3


def test_a_wave_shows_in_its_shell_of_the_spectrum() -> None:
    amplitude = np.ones((32, 32, 32))
    phase = 0.2 * np.cos(2 * math.pi * 5 * np.arange(32) / 32)[:, None, None] * amplitude
    spectrum = phase_spectrum(phase, amplitude)
    assert spectrum.argmax() == 5
    assert np.delete(spectrum, 5).max() < 1e-12


def test_the_phase_may_be_larger_than_a_turn() -> None:
    strong = 9.0 * ((AXIS + 0.5) / 6.5).square()  # 9 rad from the middle to the outermost voxels of the block
    numbers = describe((block() * torch.exp(1j * strong)[:, None, None])[None])
    assert numbers["phase_range"][0] == pytest.approx(9.0, rel=0.02)


def test_the_figure_and_its_table_are_made_from_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset, picture = tmp_path / "crystals.h5", tmp_path / "statistics.png"
    samples = simulate(Polyhedra(), Experiment(), 3, range(8))
    dataset.write_bytes(encoded(samples, Description("polyhedra", 3, {})))
    assert crystal_figure.main([str(dataset), str(picture)]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    table = capsys.readouterr().out
    assert all(name in table for name in SCALARS)


@pytest.fixture(scope="module")
def relaxed() -> Numbers:
    """Statistics of the bundled crystals relaxed by LAMMPS, on which nothing was tuned."""
    with DatasetFile(BUNDLED) as file:
        return describe(file.objects(range(len(file))))


@pytest.fixture(scope="module")
def fast_objects() -> Objects:
    """The first of them have the facets of the bundled crystals."""
    return Polyhedra().objects(SEED, range(96))


@pytest.fixture(scope="module")
def fast(fast_objects: Objects) -> Numbers:
    return describe(fast_objects)


def far_off(numbers: Numbers, expected: Numbers) -> set[str]:
    """What has a median too far from the expected one: a standard error of the 24 relaxed crystals is 5 to 20 %."""
    medians = {name: float(np.median(numbers[name]) / np.median(expected[name])) for name in RATIOS}
    shells = {p: float(np.median(numbers["spectrum"][:, p]) / np.median(expected["spectrum"][:, p])) for p in PERIODS}
    wrong = {name for name, (low, high) in RATIOS.items() if not low < medians[name] < high}
    return wrong | {f"{p} periods" for p, ratio in shells.items() if not 0.5 < ratio < 2}


def test_the_bundled_crystals_are_relaxed_atoms_in_the_view_of_the_paper() -> None:
    with DatasetFile(BUNDLED) as file:
        assert (file.description.source, file.description.seed) == ("lammps", SEED)
        assert file.description.provenance["source"]["sampling"] == asdict(Sampling())


def test_the_same_facets_fill_the_same_voxels_in_both_sources(fast: Numbers, relaxed: Numbers) -> None:
    assert fast["volume"][: len(relaxed["volume"])] == pytest.approx(relaxed["volume"], rel=0.03)


def test_the_fast_source_has_the_statistics_of_relaxed_atoms(fast: Numbers, relaxed: Numbers) -> None:
    assert far_off(fast, relaxed) == set()
    both_smooth = max(np.median(fast["roughness"]), np.median(relaxed["roughness"]))
    assert both_smooth < 1e-3


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_displacements_of_another_size_are_not_those_of_relaxed_atoms(
    factor: float, fast_objects: Objects, relaxed: Numbers
) -> None:
    phase = factor * fast_objects.angle()  # below pi, but for the strongest few
    wrong = far_off(describe(torch.polar(fast_objects.abs(), phase)), relaxed)
    assert {"phase_range", "phase_rms", "strain_rms", *(f"{p} periods" for p in PERIODS)} <= wrong


def test_the_fast_source_keeps_the_spread_it_was_tuned_to(fast: Numbers) -> None:
    for name, expected in TUNED.items():
        low, middle, high = np.percentile(fast[name], (10, 50, 90)) / expected
        assert 0.8 < middle < 1.25, name
        assert 0.6 < low < 1.6, name
        assert 0.7 < high < 1.4, name


@pytest.mark.parametrize("arguments", [[], ["only.h5"], ["missing.h5", "out.png"]])
def test_bad_arguments_are_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert crystal_figure.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
