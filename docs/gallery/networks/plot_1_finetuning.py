"""
Fine-tuning on your own patterns
================================

The network learns on from measured patterns, without labels: voxels that it never sees judge whether it got better, and
the weights of the beginning are kept where it did not. Here it learns for a few seconds from four simulated patterns;
what makes a difference is minutes, and your own scans (:doc:`fine-tuning <../../guide/finetune>`).
"""

import tempfile
from pathlib import Path

import numpy as np

import autophasenn as ap
from autophasenn.inversion.adaptation import Adaptation
from autophasenn.pipeline.finetune import Finetuning, finetune
from autophasenn.pipeline.source import Source

folder = Path(tempfile.mkdtemp())
samples = ap.simulate(4, recipe="beamline", seed=31)
for number, counts in enumerate(samples.counts):
    np.savez(folder / f"{number}.npz", counts=counts.numpy(), mask=samples.masks[number].numpy())

quick = Adaptation(trials=2, draws=1, judges=2)
scans = tuple(Source(str(path)) for path in sorted(folder.glob("*.npz")))
told = finetune(Finetuning(scans, folder / "mine.safetensors", minutes=0.2, options=quick))
print(f"chi2_free {told['chi2_free_before']:.4f} before, {told['chi2_free_after']:.4f} after; kept: {told['kept']}")

# %%
# The weights are used like those of the package.

result = ap.reconstruct(folder / "0.npz", weights=folder / "mine.safetensors", method="network")
print(result.report.weights)
