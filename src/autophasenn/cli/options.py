"""Options that several commands share, each declared once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from autophasenn.inversion.names import SAME_SEED
from autophasenn.markers import Marks
from autophasenn.markers import Values as ValuesKept
from autophasenn.pipeline.instrument import Instrument


class NetworkName(StrEnum):
    """Which of the networks."""

    unrolled = "unrolled"
    autophasenn = "autophasenn"


Beamline = Annotated[
    str | None, typer.Option(help="Whose scan the input is, for instance 34idc (see `autophasenn beamlines`).")
]
Spec = Annotated[Path | None, typer.Option(help="SPEC file with the scan's motors, or the .fio file of P10.")]
ScanNumber = Annotated[
    int | None, typer.Option(help="Scan number in the SPEC or master file; left out, it is taken from the name.")
]
Dark = Annotated[Path | None, typer.Option(help="Dark field of the detector.")]
White = Annotated[Path | None, typer.Option(help="White field of the detector.")]
Mask = Annotated[Path | None, typer.Option(help="Mask of frames or of a beamline's whole detector, True = measured.")]
MaskMarks = Annotated[
    Marks | None,
    typer.Option(help="What 1 stands for in the mask; left out, the values under it tell."),
]
Axes = Annotated[str | None, typer.Option(help="Axes of a plain file, as row,column,frame.")]

FRAMES = "What the frames hold (in place of what they show)"
Values = Annotated[ValuesKept | None, typer.Option(help="What the numbers of the file are.", rich_help_panel=FRAMES)]
Gain = Annotated[float | None, typer.Option(help="Units of the file a photon; 1: none.", rich_help_panel=FRAMES)]
DarkLevel = Annotated[
    float | None,
    typer.Option(help="Units of the file that a voxel without light holds; 0: none.", rich_help_panel=FRAMES),
]
Saturation = Annotated[
    float | None, typer.Option(help="Value in the file from which on a voxel is full.", rich_help_panel=FRAMES)
]
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
Seed = Annotated[int, typer.Option(min=0, help=SAME_SEED)]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; all cores if left out.")]
Workers = Annotated[int, typer.Option(min=1, max=1024, help="Processes on this machine that share the work.")]


def _pair(words: str | None) -> tuple[float, float] | None:
    """``12,34`` -> two numbers; one number counts for both."""
    if words is None:
        return None
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise typer.BadParameter(f"{words!r} are not two numbers, as in 258.5,258.")
    return numbers[0], numbers[-1]


PANEL = "Diffractometer (in place of what was recorded)"
INSTRUMENT: dict[str, Any] = {
    "energy": Annotated[float | None, typer.Option(help="Photon energy, eV.", rich_help_panel=PANEL)],
    "distance": Annotated[float | None, typer.Option(help="Sample to detector, m.", rich_help_panel=PANEL)],
    "pixel": Annotated[
        str | None, typer.Option(metavar="ROW[,COLUMN]", help="Edge of a pixel, m.", rich_help_panel=PANEL)
    ],
    "direct_beam": Annotated[
        str | None,
        typer.Option(
            metavar="ROW,COLUMN", help="Pixel of the whole detector that the direct beam meets.", rich_help_panel=PANEL
        ),
    ],
    "first_pixel": Annotated[
        str | None,
        typer.Option(
            metavar="ROW,COLUMN", help="Of the whole detector, where the frames begin.", rich_help_panel=PANEL
        ),
    ],
    "motor": Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Position in degrees (or m), or START:STEP of a scan.", rich_help_panel=PANEL
        ),
    ],
    "columns": Annotated[str | None, typer.Option(help="Where columns grow, as x-.", rich_help_panel=PANEL)],
    "rows": Annotated[str | None, typer.Option(help="Where rows grow, as y-.", rich_help_panel=PANEL)],
    "reverse": Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A motor that counts backwards.", rich_help_panel=PANEL)
    ],
    "detector": Annotated[str | None, typer.Option(help="Which, where a scan has several.", rich_help_panel=PANEL)],
    "geometry": Annotated[
        Path | None,
        typer.Option(help="geometry.yaml of a plain file (docs/guide/beamlines.md).", rich_help_panel=PANEL),
    ],
    "diffractometer": Annotated[
        str | None, typer.Option(help="Whose circles a plain file was taken with.", rich_help_panel=PANEL)
    ],
}
"""The options that make an `Instrument`, by name."""


def takes_instrument(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose last parameter is `instrument`, the options that make one."""
    given = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in given.parameters.values() if parameter.name != "instrument"]

    @functools.wraps(command)
    def with_options(**values: Any) -> None:
        said = {name: values.pop(name) for name in INSTRUMENT}
        said |= {name: _pair(said[name]) for name in ("pixel", "direct_beam", "first_pixel")}
        said |= {"motors": tuple(said.pop("motor") or ()), "reverse": tuple(said["reverse"] or ())}
        command(**values, instrument=Instrument(**said))

    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in INSTRUMENT.items()
    ]
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    with_options.__signature__ = given.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *more)}
    return with_options
