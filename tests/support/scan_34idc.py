"""A small scan of APS 34-ID-C on disk: frames and a SPEC file, to be spoiled by a test."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

from autophasenn.beamlines import read_scan
from autophasenn.volumes import Scan

SHAPE = (8, 16, 12)
HEADER = """#F made.spec
#E 1580609738
#D Sat Feb 01 20:15:38 2020

#O0 Delta  Theta  Gamma
#O1 camdist  Energy

"""


@dataclass
class Beamtime:
    """What a beamline leaves on disk for one small scan; each test spoils one thing."""

    root: Path
    frames: np.ndarray
    name: str = "Made20-1a_S0054"
    command: str = "ascan  th -0.02 0.015  7 0.25"
    positions: np.ndarray = field(default_factory=lambda: np.linspace(-0.02, 0.015, 8))
    motors: str = "#P0 32.174 0.22 12.6346\n#P1 500 9"
    detector: str = "34idcTIM2:"
    region: str = "#UIMR5  32 12 64 16 1"

    @property
    def folder(self) -> Path:
        return self.root / self.name

    @property
    def spec(self) -> Path:
        return self.root / "made.spec"

    def frame(self, index: int) -> Path:
        return self.folder / f"{self.name}_{index:05d}.tif"

    def write(self) -> "Beamtime":
        self.folder.mkdir(exist_ok=True)
        for index, frame in enumerate(self.frames):
            tifffile.imwrite(self.frame(index), frame)
        lines = [f"#S 54  {self.command}", "#D Tue Feb 04 12:28:23 2020", self.motors, f"#UIMDET {self.detector}"]
        lines += [self.region, "#N 2", "#L Theta  Detector", *(f"{theta:.7f} 3" for theta in self.positions)]
        other = "#S 55  ascan  labx -2.4 1.6  7 0.2\n" + "\n".join(lines[1:])
        self.spec.write_text(HEADER + "\n".join(lines) + "\n\n" + other + "\n")
        return self

    def read(self, **options: object) -> Scan:
        return read_scan("34idc", self.folder, **{"spec": self.spec, **options})  # type: ignore[arg-type]
