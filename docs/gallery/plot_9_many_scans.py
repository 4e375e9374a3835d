"""
Many scans
==========

Each scan becomes an image, and all of them one table and one plot. A scan that cannot be read stops no other, and the same
call goes on where it was interrupted. Other processes do the work, so a script has its calls below
``if __name__ == "__main__":``.
"""

import tempfile
from pathlib import Path

import numpy as np

import autophasenn as ap
from autophasenn.pipeline.example import EXAMPLE

if __name__ == "__main__":
    folder = Path(tempfile.mkdtemp())
    geometry = {name: np.load(EXAMPLE)[name] for name in ("reciprocal_steps", "scattering_vector")}
    for number, counts in enumerate(ap.simulate(2, seed=21).counts, 1):
        np.savez(folder / f"scan_{number}.npz", counts=counts.numpy(), **geometry)
    (folder / "scan_3.npz").write_bytes(b"not a scan")
    temperatures = folder / "temperatures.csv"
    temperatures.write_text("scan,temperature\n1,300\n2,320\n3,340\n")

    scans = sorted(folder.glob("scan_*.npz"))
    series = ap.reconstruct_many(
        scans, folder / "campaign", method="network", confidence=0, figures=False, metadata=temperatures
    )
    for row in series.rows:
        print(f"{row.name}: {row.status}. {row.message}")
    figure = series.plot("strain", against="temperature")
