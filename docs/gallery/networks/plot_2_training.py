"""
Training a network
==================

A network learns from diffraction patterns alone: its image must diffract to the pattern. This one is so small, and sees
so few patterns, that it learns little; a plan of the same form trained the weights in the package (:doc:`training
<../../guide/training>`).
"""

import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

from autophasenn.network.first_guess import FirstGuess
from autophasenn.network.unrolled import UnrolledDesign
from autophasenn.training.machine import Machine
from autophasenn.training.plan import Optimiser, TrainingPlan, Validation, WarmupCosine
from autophasenn.training.train import dump_training_plan, train

plan = TrainingPlan(
    samples=48,
    batch=4,
    precision="32-true",
    network=UnrolledDesign(
        stages=2, width=8, blocks=(1, 1), memory=2, feedback=1, guess=FirstGuess(candidates=1, iterations=10)
    ),
    optimiser=Optimiser(learning_rate=3e-3, average=0.8),
    schedule=WarmupCosine(warmup=8),
    validation=Validation(count=2, every=12),
    log_every=8,
    checkpoint_every=48,
)
folder = Path(tempfile.mkdtemp())
(folder / "plan.yaml").write_text(dump_training_plan(plan))
print(train(folder / "run", folder / "plan.yaml", None, Machine(workers=0)))

# %%
# The folder of the training has a log, a line a step; TensorBoard shows the same.

lines = [json.loads(line) for line in (folder / "run" / "log.jsonl").read_text().splitlines()]
figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
for kind in ("training", "validation"):
    points = [(line["samples"], line["loss"]) for line in lines if line["kind"] == kind]
    axes.plot(*zip(*points, strict=True), "o-", label=kind)
axes.set_xlabel("patterns seen")
axes.set_ylabel("loss")
axes.legend()
