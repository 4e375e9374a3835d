"""
Strain in numbers
=================

The image lies on an orthogonal grid of the laboratory frame, in metres; NaN outside of the crystal.
"""

import matplotlib.pyplot as plt
import numpy as np

import autophasenn as ap
from autophasenn.pipeline.example import EXAMPLE

image = ap.reconstruct(EXAMPLE, method="network").image
strain = image.strain[np.isfinite(image.strain)]
print(f"{strain.size} voxels of {np.round(np.array(image.voxel_size) * 1e9, 2)} nm, spread {strain.std():.1e}")

figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
limit = np.quantile(np.abs(strain), 0.99)
axes.hist(1e4 * strain, bins=np.linspace(-1e4 * limit, 1e4 * limit, 60), color="0.35")
axes.set_xlabel("strain along Q (10⁻⁴)")
axes.set_ylabel("voxels")
