"""What a training sees: pattern n depends on seed and n alone, comes once, and brings no object with it."""

import hashlib
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import psutil
import pytest
import torch

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import InputError, PlanError
from autophasenn.experiment.augmentation import Augmentation
from autophasenn.experiment.dataset import DatasetFile, Description, encoded
from autophasenn.experiment.experiment import Experiment, simulate
from autophasenn.experiment.recipes import recipe
from autophasenn.physics.symmetry import ELEMENTS, symmetry
from autophasenn.training.examples import Patterns, Recorded, Simulated
from autophasenn.training.stream import Mixture, Share, batches

AS_IT_IS = Augmentation(mirrored=False, turned=0.0)
MIXTURE = Mixture(1, (Simulated(share=0.7), Simulated(recipe="beamline", share=0.3)))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "crystals.h5"
    path.write_bytes(encoded(simulate(Polyhedra(), Experiment(), 5, range(5)), Description("polyhedra", 5, {})))
    return path


def test_a_pattern_is_that_of_its_seed_and_index_in_the_experiment_of_its_source() -> None:
    seen = MIXTURE.patterns(range(8))
    sources = [MIXTURE.source_of(index) for index in range(8)]
    assert set(sources) == {0, 1}
    for index, source in enumerate(sources):
        made = simulate(*recipe("polyhedra", ("paper", "beamline")[source]), 1, [index])
        assert torch.equal(seen.counts[index], made.counts[0])
        assert torch.equal(seen.measured[index], made.masks[0])


def test_processes_that_share_a_batch_see_its_patterns() -> None:
    steps = range(1, 3)
    whole = batches(MIXTURE, Share(4), steps, workers=0)
    halves = [batches(MIXTURE, Share(4, rank, 2), steps, workers=0) for rank in (0, 1)]
    for (indices, patterns), *parts in zip(whole, *halves, strict=True):
        assert [*parts[0][0], *parts[1][0]] == list(indices)
        assert torch.equal(torch.cat([part.counts for _, part in parts]), patterns.counts)
        assert torch.equal(torch.cat([part.measured for _, part in parts]), patterns.measured)


TRAINS = """
import sys
import psutil
from autophasenn.training.stream import Share, batches
from test_stream import MIXTURE, InputError, Mixture, Recorded, digest

stream = batches(MIXTURE, Share(4), range(1, 100), workers=1)
for _ in range(2):
    indices, patterns = next(stream)
    print(list(indices), digest(patterns))
try:
    next(batches(Mixture(1, (Recorded("absent.h5"),)), Share(1), range(1), workers=1))
except InputError as error:
    print(error)
print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
sys.stdin.read()
"""


def digest(patterns: Patterns) -> str:
    return hashlib.sha256(patterns.counts.numpy().tobytes() + patterns.measured.numpy().tobytes()).hexdigest()


def test_a_process_that_works_ahead_makes_the_same_patterns_and_ends_with_the_one_it_works_for() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", TRAINS],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as trains:
        assert trains.stdout is not None
        said = [trains.stdout.readline().strip() for _ in range(4)]
        trains.kill()
    here = batches(MIXTURE, Share(4), range(1, 3), workers=0)
    assert said[:2] == [f"{list(indices)} {digest(patterns)}" for indices, patterns in here]
    assert said[2].startswith("There is no dataset file absent.h5")
    workers = [psutil.Process(pid) for pid in map(int, said[3].split()) if psutil.pid_exists(pid)]
    assert psutil.wait_procs(workers, timeout=5)[1] == []


def test_no_pattern_is_seen_twice() -> None:
    seen = [index for rank in range(3) for step in range(20) for index in Share(6, rank, 3).indices(step)]
    assert sorted(seen) == list(range(120))


def test_sources_are_drawn_in_proportion_to_their_shares() -> None:
    drawn = [MIXTURE.source_of(index) for index in range(2000)]
    assert sum(drawn) / 2000 == pytest.approx(0.3, abs=0.03)
    doubled = Mixture(1, (Simulated(share=1.4), Simulated(recipe="beamline", share=0.6)))
    assert [doubled.source_of(index) for index in range(200)] == drawn[:200]


def test_a_file_is_gone_through_in_a_new_order_each_time(file: Path) -> None:
    recorded = Recorded(str(file), augmentation=AS_IT_IS)
    orders = []
    with DatasetFile(file) as dataset:
        stored = dataset.patterns(range(5))
    for time_through in range(3):
        indices = range(5 * time_through, 5 * time_through + 5)
        seen = recorded.patterns(1, indices).counts
        orders.append([next(n for n in range(5) if torch.equal(stored[n], counts)) for counts in seen])
        assert sorted(orders[-1]) == list(range(5))
    assert len({tuple(order) for order in orders}) > 1


def test_patterns_of_a_file_are_mirrored_in_all_the_ways_of_a_cube(file: Path) -> None:
    recorded = Recorded(str(file), part=(0.0, 0.2))
    with DatasetFile(file) as dataset:
        counts, measured = dataset.patterns([0])[0], dataset.masks([0])[0]
    stored = torch.where(measured, counts, 0)
    mirrored = [symmetry(stored, element) for element in range(ELEMENTS)]
    found = set()
    for seen in recorded.patterns(1, range(20)).counts:
        same = [element for element, volume in enumerate(mirrored) if torch.equal(volume, seen)]
        assert same
        found.add(same[0])
    assert len(found) > 10


def test_the_parts_of_a_file_train_and_validate_without_a_common_sample(file: Path) -> None:
    training, validation = Recorded(str(file), part=(0.0, 0.8)), Recorded(str(file), part=(0.8, 1.0))
    assert (training.places, validation.places) == (range(4), range(4, 5))
    with DatasetFile(file) as dataset:
        trial = validation.trial(0, 64)
        assert torch.equal(trial.counts, dataset.patterns([4]))
        assert trial.objects is not None
        assert torch.equal(trial.objects, dataset.objects([4]))


def test_what_training_is_handed_has_no_place_for_an_object(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {field.name for field in fields(Patterns)} == {"counts", "measured"}

    def refuse(*_: object) -> None:
        raise AssertionError("training read the truth")

    monkeypatch.setattr(DatasetFile, "objects", refuse)
    for source in (Recorded(str(file)), *MIXTURE.sources):
        assert isinstance(source.patterns(1, range(2)), Patterns)
    with pytest.raises(AssertionError, match="read the truth"):  # the refusal works: validation does read it
        Recorded(str(file)).trial(0, 1)


def test_sources_that_cannot_be_are_refused(file: Path, tmp_path: Path) -> None:
    for wrong, words in (
        ({"share": 0.0}, "give a number above 0"),
        ({"recipe": "kitchen"}, "'kitchen' is not known; choose from paper, beamline"),
        ({"source": "lumps"}, "has no source 'lumps'; choose from polyhedra, lammps"),
        ({"metal": "Xx"}, "Xx"),
    ):
        with pytest.raises((PlanError, InputError), match=words):
            Simulated(**wrong)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="two rising shares"):
        Recorded(str(file), part=(0.8, 0.2))
    with pytest.raises(PlanError, match=r"holds no sample; the file has 5"):
        _ = Recorded(str(file), part=(0.0, 0.05)).places
    with pytest.raises(InputError, match="There is no dataset file"):
        _ = Recorded(str(tmp_path / "absent.h5")).places
