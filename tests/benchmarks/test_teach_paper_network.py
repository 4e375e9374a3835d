"""What the paper's network is taught: images without trivial ambiguities, from patterns alone, the same after any end."""

from dataclasses import replace
from pathlib import Path

import pytest
import teach_paper_network as teaching
import torch
from safetensors.torch import load_file

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError
from autophasenn.network import weights
from autophasenn.network.autophasenn import AutoPhaseNNDesign
from autophasenn.physics.ambiguity import translate
from autophasenn.physics.symmetry import symmetry
from autophasenn.volumes import twin

TINY = AutoPhaseNNDesign(width=2, gathered=4, patterson=True)


@pytest.fixture(scope="module")
def crystals() -> torch.Tensor:
    return Polyhedra().objects(7, range(3))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teaching, "BLOCK", 4)
        teaching.make_pool(folder, 4, 3)
    return folder


def test_the_image_to_be_learned_does_not_depend_on_which_of_the_equivalent_ones_was_found(
    crystals: torch.Tensor,
) -> None:
    expected = teaching.chosen_twin(teaching.placed(crystals))
    moved = torch.stack([translate(rho, (0.7, -1.2, 0.4)) for rho in crystals]) * (3 * torch.exp(torch.tensor(2j)))
    for equivalent in (moved, twin(crystals), twin(moved)):
        found = teaching.chosen_twin(teaching.placed(equivalent))
        assert teaching.distance(found, expected).max() < 0.02
    assert teaching.distance(twin(expected), expected).min() > 0.1
    assert torch.allclose(teaching.distance(twin(expected), expected, or_twin=True), torch.zeros(3), atol=1e-6)


def test_the_rule_takes_the_twin_of_a_crystal_that_is_turned_through_its_middle(crystals: torch.Tensor) -> None:
    images = teaching.placed(crystals)
    inverted = symmetry(images, 7)
    mine, other = teaching.chosen_twin(images), teaching.chosen_twin(inverted)
    assert torch.allclose(other.abs(), mine.abs(), atol=1e-5)


def test_a_pool_holds_patterns_and_images_and_nothing_of_the_simulator(pool: Path) -> None:
    (block,) = [load_file(path) for path in pool.glob("*.safetensors")]
    assert set(block) == {"modulus", "image", "misfit"}
    assert block["modulus"].shape == (4, 64, 64, 64)
    assert torch.equal(block["modulus"].amax((1, 2, 3)), torch.ones(4, dtype=torch.float16))
    with pytest.raises(InputError, match="no pool"):
        teaching.Pool(pool / "none")


def test_teaching_that_was_interrupted_goes_on_as_if_it_had_not_been(pool: Path, tmp_path: Path) -> None:
    read = teaching.Pool(pool)
    whole = replace(teaching.Teaching(), samples=12, batch=2, nearer=0.3, diffraction=0.6)
    assert teaching.teach(read, tmp_path / "once", whole, TINY) == 12
    assert teaching.teach(read, tmp_path / "twice", whole, TINY, minutes=0.0) == 0
    assert teaching.teach(read, tmp_path / "twice", whole, TINY) == 12
    once, twice = (weights.load(tmp_path / name / "weights.safetensors")[0] for name in ("once", "twice"))
    for mine, other in zip(once.parameters(), twice.parameters(), strict=True):
        assert torch.equal(mine, other)
    begun = teaching.begun(TINY, whole.seed)
    assert not torch.equal(next(once.parameters()), next(begun.parameters()))
