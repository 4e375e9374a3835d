"""Weights files: what is saved is loaded, what is wrong is refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from full_disk import files_limited_to
from safetensors import safe_open
from safetensors.torch import save_file

from autophasenn.errors import InputError, OutputError
from autophasenn.network import weights
from autophasenn.network.architectures import Design, build
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.network.unrolled import UnrolledDesign

TINY = UnrolledDesign(stages=2, width=8, blocks=(1, 1), memory=2)
CARD = {"samples": 96, "plan": {"seed": 1, "data": [{"recipe": "paper"}]}, "known_limits": ["few samples"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    weights.save(build(TINY, 3), CARD, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.mark.parametrize("design", [TINY, AutoPhaseNNDesign(width=2)])
@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float32, 0.0), (torch.float16, 2.0**-11), (torch.bfloat16, 2.0**-8)]
)
def test_what_is_saved_is_loaded_to_half_its_last_bit(
    tmp_path: Path, design: Design, dtype: torch.dtype, error: float
) -> None:
    network = build(design, 3)
    weights.save(network, CARD, tmp_path / "w.safetensors", dtype)
    loaded, card = weights.load(tmp_path / "w.safetensors")
    assert card == CARD
    assert loaded.design == design
    assert not loaded.training
    before = network.state_dict()
    for name, after in loaded.state_dict().items():
        assert after.dtype == before[name].dtype
        assert ((after - before[name]).abs() <= error * before[name].abs() + 1e-7 * (error > 0)).all()


@pytest.mark.parametrize("design", [UnrolledDesign(), AutoPhaseNNDesign()])
def test_the_weights_of_every_default_design_stay_below_16_megabytes(tmp_path: Path, design: Design) -> None:
    weights.save(build(design), {}, tmp_path / "w.safetensors")
    assert (tmp_path / "w.safetensors").stat().st_size <= 16e6


def test_the_header_tells_any_program_what_is_inside(path: Path) -> None:
    with path.open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    assert header["__metadata__"]["architecture"] == "unrolled"
    assert json.loads(header["__metadata__"]["design"])["width"] == 8
    assert json.loads(header["__metadata__"]["card"]) == CARD


def with_metadata(**changes: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with safe_open(path, "pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
        save_file(tensors, path, metadata | changes)

    return spoil


def without(*names: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with safe_open(path, "pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
        save_file(tensors, path, {name: value for name, value in metadata.items() if name not in names})

    return spoil


def one_bit_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "There is no file of weights"),
        (lambda path: path.write_bytes(b"PK weights"), "damaged or no safetensors file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1000]), "damaged or no safetensors file"),
        (one_bit_flipped, "checksum is wrong"),
        (with_metadata(format="other"), "no weights of autophasenn"),
        (with_metadata(version="1"), "version 1, and this program reads version 2"),
        (with_metadata(architecture="transformer"), "'transformer', not unrolled or autophasenn"),
        (with_metadata(architecture="autophasenn"), "do not fit the network autophasenn"),
        (with_metadata(design='{"width": 16}'), "do not fit the network unrolled"),
        (with_metadata(card="{"), "do not fit the network unrolled"),
        (without("card", "sha256"), "lacks card, sha256"),
    ],
)
def test_what_is_no_whole_file_of_weights_is_refused(path: Path, spoil: Callable[[Path], None], words: str) -> None:
    spoil(path)
    with pytest.raises(InputError, match=words):
        weights.load(path)


def test_another_architecture_than_the_one_asked_for_is_refused(path: Path) -> None:
    assert weights.load(path, "unrolled")[1] == CARD
    with pytest.raises(InputError, match="architecture 'unrolled', not autophasenn"):
        weights.load(path, "autophasenn")


@pytest.mark.parametrize("value", [1e5, torch.nan])
def test_what_float16_cannot_hold_is_refused(tmp_path: Path, value: float) -> None:
    network = build(TINY, 3)
    with torch.no_grad():
        next(network.parameters()).flatten()[0] = value
    with pytest.raises(InputError, match="float16 cannot, or no numbers"):
        weights.save(network, CARD, tmp_path / "w.safetensors")
    assert not any(tmp_path.iterdir())


def test_a_full_disk_leaves_the_weights_that_were_there(path: Path) -> None:
    before = path.read_bytes()
    with files_limited_to(1000), pytest.raises(OutputError, match="disk is full"):
        weights.save(build(TINY, 4), CARD, path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
