"""
Arrays in, image out
====================

Counts from anywhere, with a mask that is True where the detector measured. Without the steps in reciprocal space the result
is in voxels, and says so.
"""

import numpy as np

import autophasenn as ap

sample = ap.simulate(1, seed=5)
counts = sample.counts[0].numpy()
measured = np.ones(counts.shape, bool)
measured[:, 40:43, :] = False  # a gap of the detector

result = ap.reconstruct(counts, mask=measured, method="network")
for warning in result.warnings:
    print(warning)
result.plot()
