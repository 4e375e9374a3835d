"""
What a Bragg pattern shows
==========================

The pattern around a Bragg peak is the squared Fourier transform of the crystal: its amplitude is the shape, its phase
how far the lattice is displaced along Q. A crystal without strain has a pattern that is the same on both sides of the
peak. Strain breaks this symmetry, and so it can be found.
"""

import matplotlib.pyplot as plt
import torch

import autophasenn as ap
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract_padded

strained = ap.simulate(1, recipe="strain-1-2", seed=3).objects[0]
unstrained = strained.abs().to(torch.complex64)

figure, panels = plt.subplots(2, 2, figsize=(6.4, 5.6), layout="constrained")
for row, rho, name in zip(panels, (unstrained, strained), ("without strain", "strained"), strict=True):
    phase = rho.angle().where(rho.abs() > 0.3, float("nan"))
    crystal = row[0].imshow(phase[:, :, 16].T, cmap="twilight", vmin=-3.14, vmax=3.14, origin="lower")
    row[0].set_title(f"{name}: crystal")
    intensity = intensity_of(diffract_padded(rho, (64, 64, 64)))
    pattern = row[1].imshow((1 + 1e5 * intensity / intensity.max()).log10()[:, :, 32].T, origin="lower")
    row[1].set_title(f"{name}: pattern")
    both = intensity[1:, 1:, 1:]  # the middle voxel is the peak
    asymmetry = float((both - both.flip(0, 1, 2)).abs().sum() / both.sum())
    print(f"{name}: {asymmetry:.0%} of the light differs from that on the other side of the peak")
figure.colorbar(crystal, ax=panels[:, 0], label="phase (rad)", location="left")
figure.colorbar(pattern, ax=panels[:, 1], label="intensity, decades")
