"""
Your own data
=============

Frames in a TIFF file, a mask of the detector, and where the diffractometer stood. The frames are simulated here, so
that this page runs anywhere: put your own files in their place. Scans of a :doc:`known beamline
<../reference/by_beamline>` need no geometry file.
"""

import tempfile
from pathlib import Path

import numpy as np
import tifffile

import autophasenn as ap

folder = Path(tempfile.mkdtemp())
tifffile.imwrite(folder / "frames.tif", ap.simulate(1, seed=8).counts[0].numpy().astype(np.uint32))
measured = np.ones((64, 64), bool)
measured[:, 45:47] = False  # a gap between two chips
np.save(folder / "mask.npy", measured)

# %%
# The geometry: whose circles they are, where they stood and which one was scanned.

(folder / "geometry.yaml").write_text("""\
beamline: id01
motors: {mu: 0.0, eta: "17.9:0.01", phi: 3.0, nu: 4.0, delta: 36.0}
energy_ev: 9000.0
distance_m: 0.8
pixel_m: [55.0e-6, 55.0e-6]
direct_beam: [250.0, 260.0]
""")
pattern = ap.load(
    folder / "frames.tif", mask=folder / "mask.npy", instrument=ap.Instrument(geometry=folder / "geometry.yaml")
)
print(pattern)

# %%
# From here on it is one call. Warnings are sentences: read them.

result = ap.reconstruct(pattern, method="network")
print(result.report.message)
for warning in result.warnings:
    print("-", warning)
result.save(folder / "result", figures=False)
result.plot()
