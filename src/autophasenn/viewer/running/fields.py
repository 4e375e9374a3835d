"""What a person chooses for a run beside the plan: each option of `autophasenn reconstruct` as a field of a form."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autophasenn.advice import reworded
from autophasenn.errors import InputError
from autophasenn.inversion.names import SAME_SEED, MethodName

LONGEST = 2000
"""Characters of a field."""


@dataclass(frozen=True)
class Kind:
    """What a field holds.

    Parameters
    ----------
    read : callable
        Text -> value; ValueError if it is none.
    wanted : str
        What it is, in words.
    """

    read: Callable[[str], Any]
    wanted: str


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _pair(text: str) -> list[float]:
    found = [_number(word) for word in text.split(",")]
    if len(found) not in (1, 2):
        raise ValueError
    return [found[0], found[-1]]


def _file(text: str) -> str:
    path = Path(text).expanduser()
    if not path.exists():
        raise InputError(f"{text} does not exist; give a file that is there.")
    return str(path.absolute())


KINDS = {
    "text": Kind(str, "words"),
    "file": Kind(_file, "a file"),
    "number": Kind(_number, "a number"),
    "whole": Kind(int, "a whole number"),
    "pair": Kind(_pair, "two numbers, as 258.5,258"),
    "list": Kind(str.split, "words with spaces between"),
    "flag": Kind(lambda text: text == "1", "yes or no"),
    "choice": Kind(str, "one of these"),
}


@dataclass(frozen=True)
class Field:
    """An option.

    Parameters
    ----------
    key : str
        As Python calls it; on the command line ``--key`` with dashes.
    title, help : str
    kind : str
        A key of `KINDS`.
    group : str
        "source", "instrument" or "run".
    choices : tuple of str
        Of a choice; "" is the default.
    low, high : float
        Of a number.
    flag : str
        On the command line, where that is not `key`.
    """

    key: str
    title: str
    help: str
    kind: str
    group: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    flag: str = ""

    @property
    def option(self) -> str:
        """On the command line."""
        return self.flag or "--" + self.key.replace("_", "-")

    def value(self, text: str) -> Any:
        """What a text stands for.

        Raises
        ------
        InputError
            If it is none of what the field can hold, or outside of its limits.
        """
        if self.choices and text not in self.choices:
            raise InputError(f"{text!r} is not one of {', '.join(filter(None, self.choices))}.")
        try:
            found = KINDS[self.kind].read(text)
        except InputError:
            raise
        except (ValueError, OverflowError) as error:
            raise InputError(f"{text!r} is not {KINDS[self.kind].wanted}.") from error
        if isinstance(found, int | float) and not self.low <= found <= self.high:
            limits = f"{self.low:g} or more" if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"
            raise InputError(f"{text} is out of range; give {limits}.")
        return found

    def words(self, text: str) -> list[str]:
        """On the command line; none for what is left out."""
        value = self.value(text)
        if self.kind == "flag":
            return [self.option] if value else []
        if self.kind == "list":
            return [word for each in value for word in (self.option, each)]
        return [self.option, str(value) if self.kind == "file" else text]


def _source(key: str, title: str, help: str, kind: str = "file", **more: Any) -> Field:
    return Field(key, title, help, kind, "source", **more)


def _instrument(key: str, title: str, help: str, kind: str, **more: Any) -> Field:
    return Field(key, title, help, kind, "instrument", **more)


FIELDS = (
    _source("spec", "SPEC file", "With the scan's motors, or the .fio file of P10."),
    _source("scan", "Scan number", "In the SPEC or master file; left out, from the name.", "whole", low=0.0),
    _source("dark", "Dark field", "Of the detector."),
    _source("white", "White field", "Of the detector."),
    _source("mask", "Mask file", "Of frames or of the whole detector, True = measured; yours on the page comes on top."),
    _source("mask_marks", "1 in the mask is", "Left out, the values under it tell.", "choice",
            choices=("", "measured", "bad")),
    _source("axes", "Axes", "Of a plain file, as row,column,frame.", "text"),
    _instrument("energy", "Photon energy (eV)", "In place of what was recorded.", "number", low=1.0),
    _instrument("distance", "Distance (m)", "Sample to detector.", "number", low=1e-6),
    _instrument("pixel", "Pixel (m)", "Edges, as ROW,COLUMN.", "pair"),
    _instrument("direct_beam", "Direct beam", "Pixel of the whole detector that it meets, ROW,COLUMN.", "pair"),
    _instrument("first_pixel", "First pixel", "Of the whole detector, where the frames begin, ROW,COLUMN.", "pair"),
    _instrument("motors", "Motors", "NAME=VALUE in degrees, or NAME=START:STEP, with spaces between.", "list",
                flag="--motor"),
    _instrument("columns", "Columns grow", "As x-.", "text"),
    _instrument("rows", "Rows grow", "As y-.", "text"),
    _instrument("reverse", "Reversed motors", "Names of those that count backwards.", "list"),
    _instrument("detector", "Detector", "Which, where a scan has several.", "text"),
    _instrument("geometry", "geometry.yaml", "Of a plain file (docs/guide/beamlines.md).", "file"),
    _instrument("diffractometer", "Diffractometer", "Whose circles a plain file was taken with.", "text"),
    Field("method", "Method", " ".join(f"{each}: {each.words}." for each in MethodName), "choice", "run",
          tuple(MethodName)),
    Field("starts", "Starts", "Of the method; left out, as the plan says.", "whole", "run", low=1.0, high=1e4),
    Field("confidence", "Confidence", "Orientations that say how far to believe the image; 0: none, the quickest.",
          "whole", "run", low=0.0, high=48.0),
    Field("seed", "Seed", SAME_SEED, "whole", "run", low=0.0, high=2.0**62),
    Field("device", "Device", "cpu, cuda, cuda:1, ...", "text", "run"),
    Field("no_figures", "No pictures", "Only CXI, VTK and report; what this page shows is drawn from these.", "flag", "run"),
    Field("force", "Phase it all the same", "A pattern of oversampling below 2.", "flag", "run"),
)  # fmt: skip
"""In the order of the page and of the command line."""
BY_KEY = {field.key: field for field in FIELDS}

TITLES = {field.option: field.title for field in FIELDS} | {"--beamline": "Whose scans", "--plan": "All parameters"}
"""What the page has in place of options."""


def on_page(sentence: str) -> str:
    """A sentence that names options, with the fields that they are; the others are said to be of the command line.

    Examples
    --------
    >>> on_page("it has 54-55. Choose one with --scan, or give --sum.")
    'it has 54-55. Choose one with “Scan number”, or give autophasenn reconstruct --sum.'
    """
    return reworded(
        sentence, lambda option: f"“{TITLES[option]}”" if option in TITLES else f"autophasenn reconstruct {option}"
    )


def refusals(values: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with texts of fields, a sentence for each that is."""
    found = {}
    for key, text in values.items():
        try:
            BY_KEY[key].value(text)
        except InputError as error:
            found[key] = str(error)
    return found


def quoted(words: list[str]) -> str:
    """A command that a shell takes."""
    return shlex.join(words)
