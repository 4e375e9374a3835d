"""
A crystal and its twin
======================

The pattern is the same for an object and for its twin, the conjugate seen through the origin. Everything here that compares
two objects removes this, a shift and a global phase first.
"""

import matplotlib.pyplot as plt

import autophasenn as ap
from autophasenn.physics.ambiguity import align
from autophasenn.physics.diffraction import intensity_of
from autophasenn.physics.fourier import diffract
from autophasenn.volumes import twin

crystal = ap.simulate(1, recipe="strain-1-2", seed=3).objects[0]
other = twin(crystal)
difference = intensity_of(diffract(crystal)) - intensity_of(diffract(other))
print("largest difference of the patterns:", float(difference.abs().max()))
print("correlation once they are aligned:", round(align(crystal, other).correlation, 4))

figure, panels = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for axes, rho, name in zip(panels, (crystal, other), ("crystal", "twin"), strict=True):
    inside = rho.abs() > 0.3
    phase = rho.angle().where(inside, float("nan"))
    shown = axes.imshow(phase[:, :, 16].T, cmap="twilight", vmin=-3.14, vmax=3.14, origin="lower")
    axes.set_title(name)
figure.colorbar(shown, ax=panels, label="phase (rad)")
