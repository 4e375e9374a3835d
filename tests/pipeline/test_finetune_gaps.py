"""Fine-tuning with gaps of the detector: they are unmeasured, never zeros."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_network import QUICK, STEEP, network

from autophasenn.crystals.polyhedra import Polyhedra
from autophasenn.errors import PlanError
from autophasenn.experiment.experiment import BEAMLINE
from autophasenn.inversion.adaptation import Adaptation, AdaptationResult, _seen, adapt
from autophasenn.inversion.orientations import Orientations
from autophasenn.inversion.prediction import Predictions
from autophasenn.network import weights
from autophasenn.phasing.held_out import HeldOut, hold_out
from autophasenn.phasing.refinement import Refinement
from autophasenn.pipeline.finetune import Finetuning, _patterns_of, finetune, sources
from autophasenn.pipeline.plan import Plan
from autophasenn.pipeline.reconstruct import describe, reconstruct_into
from autophasenn.pipeline.result import Output
from autophasenn.pipeline.run import Run
from autophasenn.pipeline.simulate import Simulation, write_dataset
from autophasenn.pipeline.source import Source
from autophasenn.progress import Silent
from autophasenn.training.beam_loss import BeamObjective, geometric_mean, held_out_misfits
from autophasenn.training.objective import Loss, Objective
from autophasenn.volumes import Pattern
from crystals import expected_counts, polyhedron

SHORT = Plan(
    prediction=Predictions(starts=1),
    refinement=Refinement(longer_search=None, likelihood=None, partial_coherence=False),
    confidence=Orientations(number=0),
)
GAPPED = replace(BEAMLINE, photons=(1e6, 1e7), with_alien=0.0, on_detector=1.0, detectors=("maxipix", "merlin-quad"))


@pytest.fixture(scope="module")
def box() -> HeldOut:
    """A pattern with a cross of gaps."""
    rng = np.random.default_rng(4)
    intensity = torch.from_numpy(expected_counts(polyhedron((64, 64, 64), (3, 3, 3), rng), 1e6)).float()
    counts = torch.poisson(intensity, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(64, 64, 64, dtype=torch.bool)
    mask[:, 20:24], mask[:, :, 41:45] = False, False
    return HeldOut(Pattern(torch.where(mask, counts, 0), mask), hold_out(mask, 0.02, 0))


def holding(box: HeldOut, counts: float) -> HeldOut:
    """The same pattern with other counts where nothing was measured."""
    return HeldOut(replace(box.pattern, counts=torch.where(box.pattern.mask, box.pattern.counts, counts)), box.free)


@pytest.mark.parametrize("objective_of", [Objective, BeamObjective])
def test_masked_voxels_change_neither_loss_nor_gradient(
    box: HeldOut, objective_of: type[Objective] | type[BeamObjective]
) -> None:
    """Nor do they where the gaps of another place on the detector were drawn; measured voxels do."""
    learner = network()
    objective = objective_of(learner, Loss())

    def loss_and_gradient(counts: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        losses = objective(counts[None], mask[None], [torch.Generator().manual_seed(0)])
        return [losses, *torch.autograd.grad(losses.sum(), list(learner.parameters()))]

    for index in range(2):
        seen = _seen([box], 1, index, replace(QUICK, gapped=1.0))
        assert not bool(seen.mask.all())
        with_zeros = loss_and_gradient(seen.counts, seen.mask)
        with_others = loss_and_gradient(torch.where(seen.mask, seen.counts, 1e4), seen.mask)
        assert all(torch.equal(one, other) for one, other in zip(with_zeros, with_others, strict=True))
        assert any(bool(gradient.any()) for gradient in with_zeros[1:])
        read_as_zeros = loss_and_gradient(seen.counts, torch.ones_like(seen.mask))
        assert not torch.equal(with_zeros[0], read_as_zeros[0])


def test_what_masked_voxels_hold_is_not_learned(box: HeldOut) -> None:
    """The whole of learning: what judges it, every step, and the weights it ends with."""
    begun = network()

    def learned(given: HeldOut) -> AdaptationResult:
        return adapt(begun, [given], replace(STEEP, gapped=1.0), seed=1)

    one, other = learned(holding(box, 0.0)), learned(holding(box, 1e4))
    assert (one.before, one.after, one.best_step) == (other.before, other.after, other.best_step)
    assert one.best_step > 0
    for mine, same in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(mine, same)


def test_gaps_take_voxels_away_and_change_no_other(box: HeldOut) -> None:
    whole = HeldOut(replace(box.pattern, mask=torch.ones_like(box.pattern.mask)), torch.zeros_like(box.free))
    every = replace(QUICK, thinned=(1.0, 1.0), gapped=1.0)
    lost = []
    for index in range(12):
        behind, free = _seen([whole], 2, index, every), _seen([whole], 2, index, replace(every, gapped=0.0))
        assert bool(free.mask.all())
        assert torch.equal(behind.counts, torch.where(behind.mask, free.counts, 0))
        assert torch.equal(behind.mask, behind.mask[:1].expand_as(behind.mask))  # pixels, whatever the frame
        assert bool(behind.mask[32, 30:35, 30:35].all())
        lost.append(float(1 - behind.mask.float().mean()))
    assert 0 < sum(value > 0.01 for value in lost) < len(lost)
    drawn = [bool(_seen([whole], 2, index, replace(every, gapped=0.5)).mask.all()) for index in range(24)]
    assert 4 < sum(drawn) < 20


class EndAfter(Silent):
    """Ctrl-C after so many steps, so that the same is learned however busy the machine is."""

    def __init__(self, steps: int) -> None:
        self.left, self.learns = steps, False

    def stage(self, name: str) -> None:
        self.learns = name == "Learn"

    def advance(self, done: int, total: int) -> None:
        self.left -= self.learns
        if self.learns and self.left == 0:
            signal.raise_signal(signal.SIGINT)


def test_a_dataset_with_gaps_is_learned_from_and_the_card_tells_what_the_weights_do(tmp_path: Path) -> None:
    data, start, output = (tmp_path / name for name in ("gaps.h5", "start.safetensors", "tuned.safetensors"))
    write_dataset(data, 2, Simulation(Polyhedra(), GAPPED, 5))
    weights.save(network(), {"seed": 0}, start)
    job = Finetuning(sources([str(data)]), output, start, minutes=60.0, options=replace(STEEP, judges=2))
    with pytest.raises(KeyboardInterrupt, match="best weights"):
        finetune(job, EndAfter(STEEP.steps))
    tuned, card = weights.load(output)
    boxes = _patterns_of(sources([str(data)])[0], 0)
    assert all(0 < float((~each.pattern.mask).float().mean()) < 0.3 for each in boxes)
    assert card["best_step"] == STEEP.steps + 1  # the one under way is finished
    assert card["chi2_free_after"] < 0.99 * card["chi2_free_before"]
    assert geometric_mean(held_out_misfits(tuned, boxes, 1, 0)) == pytest.approx(card["chi2_free_after"], rel=1e-4)
    assert geometric_mean(held_out_misfits(weights.load(start)[0], boxes, 1, 0)) == pytest.approx(
        card["chi2_free_before"], rel=1e-4
    )


def test_reconstruct_by_an_adapted_network_explains_held_out_voxels_better_than_its_start(
    box: HeldOut, tmp_path: Path
) -> None:
    """And where learning makes it worse, the result is that of the network as it was, and a warning says so."""
    start, pattern = tmp_path / "start.safetensors", tmp_path / "pattern.npz"
    weights.save(network(), {"seed": 0}, start)
    np.savez(pattern, data=box.pattern.counts.numpy().astype(np.int32), mask=box.pattern.mask.numpy())

    def report(method: str, options: Adaptation) -> dict:  # type: ignore[type-arg]
        plan = replace(SHORT, adaptation=options)
        where = Output(tmp_path / method, figures=False, overwrite=True)
        return reconstruct_into(where, Source(str(pattern)), Run(method, weights=start), plan).report.to_json()

    plain, learned = report("refined", STEEP), report("adapted", STEEP)
    assert "adapted" not in plain["path"]
    told = learned["path"]["adapted"]
    assert 0 < told["best_step"] <= told["steps"] == STEEP.steps
    assert told["chi2_free_after"] < 0.99 * told["chi2_free_before"]
    assert learned["path"]["predictions"]["chi2"][0] < 0.99 * plain["path"]["predictions"]["chi2"][0]
    assert learned["chi2_free"] <= min(learned["starts"]["chi2_free"])
    spoiled = report("adapted", replace(QUICK, steps=1, learning_rate=10.0, average=0.0))
    assert spoiled["path"]["adapted"]["best_step"] == 0
    assert spoiled["path"]["predictions"] == plain["path"]["predictions"]
    assert spoiled["chi2_free"] == plain["chi2_free"]
    assert any("no better" in sentence for sentence in spoiled["warnings"])


def test_without_held_out_voxels_nothing_can_judge_an_adapted_network(tmp_path: Path) -> None:
    """Which is said before the input is looked for."""
    source, method, output = Source("absent.npy"), Run("adapted"), Output(tmp_path / "out")
    plan = Plan(free_fraction=0.0)
    with pytest.raises(PlanError, match=r"free_fraction is 0"):
        reconstruct_into(output, source, method, plan)
    with pytest.raises(PlanError, match=r"free_fraction is 0"):
        describe(source, method, output, plan)
    assert not (tmp_path / "out").exists()
