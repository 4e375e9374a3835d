"""Options that several commands share, each declared once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class NetworkName(StrEnum):
    """Which of the networks."""

    unrolled = "unrolled"
    autophasenn = "autophasenn"


Beamline = Annotated[str | None, typer.Option(help="Whose scan folder the input is, for instance 34idc.")]
Spec = Annotated[Path | None, typer.Option(help="SPEC file with the scan's motors.")]
ScanNumber = Annotated[
    int | None, typer.Option(help="Scan number in the SPEC file; left out, it is taken from the folder's name.")
]
Dark = Annotated[Path | None, typer.Option(help="Dark field of the detector.")]
White = Annotated[Path | None, typer.Option(help="White field of the detector.")]
Mask = Annotated[Path | None, typer.Option(help="Mask of a plain file, True = measured.")]

PlanFile = Annotated[
    Path | None, typer.Option(help="Parameters that differ from the default (see `autophasenn plan`).")
]
Weights = Annotated[Path | None, typer.Option(help="Weights of the network; those of the package if left out.")]
Network = Annotated[
    NetworkName | None,
    typer.Option(
        help="unrolled: phase retrieval with learned steps, the default. autophasenn: the network of Yao et al. (2022)."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Phase a pattern of oversampling below 2 all the same.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same result, bit for bit.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")]
