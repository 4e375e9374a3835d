"""What a person has chosen so far: scan, mask by hand, options, plan; as a command line, as Python, and what changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autophasenn.inversion.names import MethodName
from autophasenn.viewer.running.fields import BY_KEY, FIELDS, LONGEST
from autophasenn.viewer.running.hand import MOST_STROKES, Stroke

INSTRUMENT = [each.key for each in FIELDS if each.group == "instrument"]
MOST_CHANGES = 400


@dataclass(frozen=True)
class Draft:
    """All that makes a run but the files that are made for it.

    Parameters
    ----------
    input : str
        What is read; empty: nothing is chosen.
    name : str
        What the list called it.
    beamline : str
        Empty: a plain file.
    values : dict
        Key of a field -> text; only what differs from the default.
    plan : dict
        Key of a parameter -> value as YAML has it; only what differs.
    strokes : tuple of Stroke
        The mask by hand.
    """

    input: str = ""
    name: str = ""
    beamline: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, str] = field(default_factory=dict)
    strokes: tuple[Stroke, ...] = ()

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Draft:
        """From what :meth:`as_json` made; what it cannot hold is left out."""
        strokes = []
        for each in list(kept.get("strokes", ()))[:MOST_STROKES]:
            try:
                strokes.append(Stroke.of(each))
            except (ValueError, TypeError, KeyError):
                continue
        values = {key: text for key, text in _texts(kept.get("values")).items() if key in BY_KEY}
        input, name, beamline = (str(kept.get(key, "")) for key in ("input", "name", "beamline"))
        return cls(input, name, beamline, values, _texts(kept.get("plan")), tuple(strokes))

    def as_json(self) -> dict[str, Any]:
        """Values that a JSON file holds."""
        return {
            "input": self.input, "name": self.name, "beamline": self.beamline, "values": dict(self.values),
            "plan": dict(self.plan), "strokes": [each.as_json() for each in self.strokes],
        }  # fmt: skip

    def choosing(self, input: str, name: str, beamline: str, scan: int | None) -> Draft:
        """Another scan: its mask is empty, and all that belonged to the former one alone is left out."""
        of_the_scan = ("mask", "mask_marks", "axes", "scan")
        values = {key: text for key, text in self.values.items() if key not in of_the_scan}
        if scan is not None:
            values["scan"] = str(scan)
        return replace(self, input=input, name=name, beamline=beamline, values=values, strokes=())

    def with_value(self, key: str, text: str) -> Draft:
        """A field changed; empty: as by default."""
        return replace(self, values=_changed(self.values, key, text))

    def with_parameter(self, key: str, text: str) -> Draft:
        """A parameter of the plan changed; empty: as by default."""
        return replace(self, plan=_changed(self.plan, key, text))

    @property
    def method(self) -> str:
        """By which the object is found."""
        return self.values.get("method") or MethodName.refined

    @property
    def read_from(self) -> tuple[Any, ...]:
        """All that decides which frames are read and how they are prepared."""
        values = {key: text for key, text in self.values.items() if BY_KEY[key].group != "run" or key == "force"}
        plan = {key: text for key, text in self.plan.items() if key.startswith("preprocess.")}
        return self.input, self.beamline, values, plan

    def source(self, mask: Path | None = None) -> dict[str, Any]:
        """Its source as `pipeline.answering` takes it; `mask`: that by hand, in place of a file's.

        Raises
        ------
        InputError
            If a field holds what it cannot.
        """
        said = {key: BY_KEY[key].value(text) for key, text in self.values.items() if BY_KEY[key].group != "run"}
        instrument = {key: said.pop(key) for key in INSTRUMENT if key in said}
        if mask is not None:
            said |= {"mask": str(mask), "mask_marks": "measured"}
        return {"input": self.input, "beamline": self.beamline or None, "instrument": instrument, **said}

    def command(self, output: str, mask: Path | None = None, plan: Path | None = None) -> list[str]:
        """The words of its run after ``autophasenn``.

        Raises
        ------
        InputError
            If a field holds what it cannot.
        """
        values = {key: text for key, text in self.values.items() if mask is None or key not in ("mask", "mask_marks")}
        words = ["reconstruct", self.input, "-o", output]
        if self.beamline:
            words += ["--beamline", self.beamline]
        for each in FIELDS:
            if each.key in values:
                words += each.words(values[each.key])
        if mask is not None:
            words += ["--mask", str(mask), "--mask-marks", "measured"]
        return [*words, *(["--plan", str(plan)] if plan is not None else [])]

    def python(self, output: str, mask: Path | None = None, plan: Path | None = None) -> str:
        """The same as a script.

        Raises
        ------
        InputError
            If a field holds what it cannot.
        """
        source = {key: value for key, value in self.source(mask).items() if value not in (None, {})}
        given = [repr(source.pop("input"))]
        instrument = source.pop("instrument", None)
        given += [f"{key}={value!r}" for key, value in source.items()]
        if instrument:
            said = {key: tuple(value) if isinstance(value, list) else value for key, value in instrument.items()}
            given.append(f"instrument=ap.Instrument({', '.join(f'{key}={value!r}' for key, value in said.items())})")
        run = {key: BY_KEY[key].value(text) for key, text in self.values.items() if BY_KEY[key].group == "run"}
        starts, figures = run.pop("starts", None), "" if not run.pop("no_figures", False) else ", figures=False"
        imports, how = ["import autophasenn as ap"], [f"{key}={value!r}" for key, value in run.items()]
        parameters = "" if plan is None else repr(str(plan))
        if starts is not None:
            imports.append("from autophasenn.inversion.options import with_starts")
            of = f"ap.load_plan(Path({parameters}))" if parameters else "ap.Plan()"
            imports += ["from pathlib import Path"] if parameters else []
            parameters = f"with_starts({of}, {starts})"
        how += [f"plan={parameters}"] if parameters else []
        call = "".join(f", {each}" for each in how)
        return "\n".join(
            [
                *sorted(imports, key=lambda line: ("autophasenn" in line, line.startswith("from"))),
                "",
                f"pattern = ap.load({', '.join(given)})",
                f"result = ap.reconstruct(pattern{call})",
                f"result.save({output!r}{figures})",
                "",
            ]
        )

    def changes_since(self, other: Draft | None) -> list[str]:
        """What is different from another draft, in words; nothing is said of a first one but what is not the default."""
        before = other or Draft(self.input, self.name, self.beamline)
        found = [] if (self.input, self.beamline) == (before.input, before.beamline) else [f"scan: {self.name}"]
        for now, then in ((self.values, before.values), (self.plan, before.plan)):
            for key in dict.fromkeys([*then, *now]):
                if now.get(key) != then.get(key):
                    was = f"{then.get(key, 'default')} → " if other is not None else ""
                    found.append(f"{key} {was}{now.get(key, 'default')}")
        if self.strokes != before.strokes:
            count = len(self.strokes)
            found.append(f"mask by hand: {count} stroke{'s' if count != 1 else ''}" if count else "no mask by hand")
        return found


def _changed(values: Mapping[str, str], key: str, text: str) -> dict[str, str]:
    rest = {name: value for name, value in values.items() if name != key}
    return rest | {key: text[:LONGEST]} if text else rest


def _texts(kept: Any) -> dict[str, str]:
    items: Sequence[tuple[Any, Any]] = list(kept.items())[:MOST_CHANGES] if isinstance(kept, dict) else []
    return {str(key): str(value)[:LONGEST] for key, value in items}
