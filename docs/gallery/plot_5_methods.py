"""
Network, refinement, truth
==========================

A simulated crystal as measured at a beamline, inverted by two methods and compared with what it was.
"""

import autophasenn as ap
from autophasenn.physics.ambiguity import align
from autophasenn.volumes import crop_or_pad

sample = ap.simulate(1, seed=11)
truth = crop_or_pad(sample.objects[0], (64, 64, 64))
for method in ("network", "refined"):
    found = ap.reconstruct(sample.counts[0].numpy(), method=method)
    correlation = align(truth, crop_or_pad(found.reconstruction.object, (64, 64, 64))).correlation
    print(f"{method:8} chi2 {found.report.chi2:.4f}, correlation with the truth {correlation:.4f}")
found.plot()
