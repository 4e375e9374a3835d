"""What `autophasenn finetune` cannot learn from, or not write: one sentence, status 2, nothing changed."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from refusing import refusal

from autophasenn.experiment.dataset import Description, encoded
from autophasenn.experiment.experiment import Samples
from crystals import expected_counts, polyhedron


def dataset(folder: Path, *, measured: bool = True) -> str:
    """Two patterns, of which the second may have no measured voxel."""
    masks = torch.ones(2, 64, 64, 64, dtype=torch.bool)
    masks[1] = measured
    samples = Samples(torch.ones(2, 64, 64, 64), masks, torch.ones(2, 32, 32, 32) + 0j)
    (folder / "scans.h5").write_bytes(encoded(samples, Description("polyhedra", 1, {})))
    return str(folder / "scans.h5")


def dataset_of(folder: Path, shape: tuple[int, ...]) -> str:
    with h5py.File(dataset(folder), "r+") as file:
        for name in ("patterns", "objects", "masks"):
            if name in file:
                del file[name]
        file["patterns"] = np.ones(shape, np.uint32)
    return str(folder / "scans.h5")


def truncated_dataset(folder: Path) -> str:
    path = Path(dataset(folder))
    path.write_bytes(path.read_bytes()[: 2 * path.stat().st_size // 3])
    return str(path)


def pattern(folder: Path, shape: tuple[int, int, int]) -> str:
    rng = np.random.default_rng(0)
    np.save(folder / "p.npy", rng.poisson(expected_counts(polyhedron(shape, (3, 3, 3), rng), 1e5)).astype(np.int32))
    return str(folder / "p.npy")


def masked_pattern(folder: Path) -> list[str]:
    np.save(folder / "mask.npy", np.zeros((32, 32, 32), bool))
    return [pattern(folder, (32, 32, 32)), "--mask", str(folder / "mask.npy")]


def dataset_with_mask(folder: Path) -> list[str]:
    np.save(folder / "mask.npy", np.ones((64, 64, 64), bool))
    return [dataset(folder), "--mask", str(folder / "mask.npy")]


def no_weights(folder: Path) -> list[str]:
    (folder / "w.safetensors").write_bytes(b"no weights")
    return [dataset(folder), "--from", str(folder / "w.safetensors")]


INPUTS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "nothing": (lambda folder: [], "Missing argument"),
    "no such file": (lambda folder: [str(folder / "absent.h5")], "There is no scan, pattern or dataset"),
    "a folder without a beamline": (lambda folder: [str(folder)], "say whose scan it is"),
    "no patterns": (lambda folder: [dataset_of(folder, (0, 64, 64, 64))], "holds no sample"),
    "a truncated dataset": (lambda folder: [truncated_dataset(folder)], "truncated"),
    "patterns of another size": (lambda folder: [dataset_of(folder, (2, 32, 32, 32))], "(2, 32, 32, 32)"),
    "a pattern too small": (lambda folder: [pattern(folder, (32, 16, 32))], "16 voxels along axis 1"),
    "a mask over a whole pattern of many": (
        lambda folder: [dataset(folder, measured=False)],
        "Pattern 1 (the first is 0)",
    ),
    "a mask over everything": (masked_pattern, "no measured voxel"),
    "a mask for a dataset": (dataset_with_mask, "brings its own masks"),
    "no weights": (no_weights, "w.safetensors"),
    "no time": (lambda folder: [dataset(folder), "--minutes", "0"], "minutes is 0"),
}


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run `autophasenn finetune`, which must refuse and change nothing; gives the sentence."""

    def run(words: list[str], output: Path) -> str:
        def everything() -> object:
            return {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}

        return refusal(["finetune", *words, "-o", str(output), "--threads", "1"], everything, monkeypatch, capsys)

    return run


@pytest.mark.parametrize(("words", "sentence"), INPUTS.values(), ids=INPUTS)
def test_what_cannot_be_learned_from_is_refused(
    tmp_path: Path, refused: Callable[..., str], words: Callable[[Path], list[str]], sentence: str
) -> None:
    assert sentence in refused(words(tmp_path), tmp_path / "tuned.safetensors")


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    words = [dataset(tmp_path)]
    (tmp_path / "old.safetensors").write_bytes(b"old")
    (tmp_path / "folder.safetensors").mkdir()
    assert "--overwrite" in refused(words, tmp_path / "old.safetensors")
    assert "is a folder" in refused(words, tmp_path / "folder.safetensors")
    assert "does not exist" in refused(words, tmp_path / "absent" / "tuned.safetensors")
    assert "must end in .safetensors" in refused(words, tmp_path / "tuned.h5")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody may write to")
def test_a_folder_where_nobody_may_write_is_refused(tmp_path: Path, refused: Callable[..., str]) -> None:
    assert "folder" in refused([dataset(tmp_path)], Path("/proc/tuned.safetensors"))
