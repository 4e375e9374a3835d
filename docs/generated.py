"""The pages of the reference that the program itself writes: what every command takes, every parameter, every module."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Sequence
from pathlib import Path

import typer
from typer.testing import CliRunner

import autophasenn
from autophasenn import cli
from autophasenn.beamlines import BEAMLINES, Beamline
from autophasenn.physics.axes import Axis, Circle
from autophasenn.physics.diffractometer import Diffractometer

INSIDE = {"cli", "live", "viewer", "benchmark"}
"""Packages that people meet by their commands."""


LONGEST = 50
"""Letters of a command's options that a page shows without scrolling."""


def write_reference(folder: Path) -> None:
    """Write the pages that are not there, or that say something else than the program does now."""
    folder.mkdir(exist_ok=True)
    pages = {"commands.md": _commands(), "plan.md": _plans(), "by_beamline.md": beamline_pages()}
    packages = sorted(name for _, name, is_package in pkgutil.iter_modules(autophasenn.__path__) if is_package)
    for package in packages:
        if package not in INSIDE:
            pages[f"{package}.rst"] = _package(package)
    pages["values.rst"] = _modules(
        "Values and the ground", ["volumes", "image", "options", "limits", "arguments", "randomness", "errors"]
    )
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def _run(*words: str) -> str:
    """What a command prints.

    Raises
    ------
    RuntimeError
        If it fails: no page shall hold its error.
    """
    result = CliRunner().invoke(cli.app, list(words), color=False, catch_exceptions=False)
    if result.exit_code != 0:
        raise RuntimeError(
            f"autophasenn {' '.join(words)} ended with status {result.exit_code}: {result.output.strip()}"
        )
    return result.output.rstrip()


def _commands() -> str:
    names = sorted(typer.main.get_command(cli.app).commands)  # type: ignore[attr-defined]
    parts = [f"## {name}\n\n```text\n{_run(name, '--help')}\n```\n" for name in names]
    return "# The command line\n\nWhat `--help` says of each command.\n\n" + "\n".join(parts)


def _plans() -> str:
    return (
        "# Every parameter\n\nThe defaults, as `autophasenn plan` prints them; limits stand in brackets.\n\n"
        f"```yaml\n{_run('plan')}\n```\n\n## Of a training\n\nAs `autophasenn plan --training` prints them.\n\n"
        f"```yaml\n{_run('plan', '--training')}\n```\n"
    )


def beamline_pages() -> str:
    """A section for each beamline that can be read, from the list that the program reads."""
    head = (
        "# By beamline\n\nFor each beamline: the files, the command, and what is assumed. Names of files are examples. Add "
        "`--dry-run` to see what was read, and what of it was assumed, before anything is done. Where a direct beam is "
        "assumed, the lattice spacing is good to about 1 %, and the report says so.\n\n"
        "Axes are those of the laboratory frame of this manual: z along the beam, y up, x outboard. `y+` turns right-handed "
        "about (0, 1, 0), `y-` about (0, -1, 0); a number is the motor value at which the circle stands at zero. More on "
        "geometry, signs and what sources disagree about: [beamlines, geometry and files](../guide/beamlines.md).\n"
    )
    return head + "".join(_beamline(each) for each in BEAMLINES.values())


def _beamline(beamline: Beamline) -> str:
    beam = (
        "*Assumed*: nothing; the files say which pixel the direct beam meets."
        if beamline.records_direct_beam
        else "*Assumed*: nothing beyond what you give."
        if "--direct-beam" in beamline.example
        else "*Assumed*, where `--direct-beam ROW,COLUMN` is left out: the direct beam in the middle of the frames."
    )
    live = (
        "\n`autophasenn watch` knows from the files when a scan is complete.\n" if beamline.expected is not None else ""
    )
    circles = "".join(f"| {_row(each)} |\n" for each in beamline.circles)
    table = f"| diffractometer | sample | detector | columns, rows |\n|---|---|---|---|\n{circles}" if circles else ""
    return (
        f"\n## {beamline.title[0].upper()}{beamline.title[1:]}\n\n*Files*: {_marked(beamline.needs)}.\n\n"
        f"    autophasenn reconstruct {_lines(beamline.example)} -o result\n\n{beam}\n{live}\n"
        f"{table or 'The circles, and where every pixel stands, are those of the file.'}\n"
    )


def _lines(words: str) -> str:
    """The words of a command, those behind the second option in a line of their own where a page is too narrow for all."""
    first, *options = words.split(" --")
    together = " --".join([first, *options])
    if len(together) <= LONGEST or len(options) <= 2:
        return together
    return " --".join([first, *options[:2]]) + " \\\n        --" + " --".join(options[2:])


def _marked(needs: str) -> str:
    """Options and file names in the type of code."""
    return re.sub(r"(?<![\w`.])(--[a-z-]+|[\w*{}.]*\{[\w*{}.]+|(?<!\.)\.[a-z]\w+)", r"`\1`", needs)


def _row(diffractometer: Diffractometer) -> str:
    sample, detector = (", ".join(map(_axis, axes)) for axes in (diffractometer.sample, diffractometer.detector))
    columns, rows = (_letter(each) for each in (diffractometer.columns, diffractometer.rows))
    return f"{diffractometer.name} | {sample} | {detector} | {columns}, {rows}"


def _axis(axis: Axis) -> str:
    if not isinstance(axis, Circle):
        return f"{axis.name} moves along {_letter(axis.axis)}"
    offset = f" {axis.offset_deg:g}" if axis.offset_deg else ""
    return f"{axis.name} {_letter(axis.axis)}{offset}"


def _letter(vector: Sequence[float]) -> str:
    """`y-` for (0, -1, 0); the numbers themselves where it is along no axis."""
    along = [
        f"{name}{'+' if value > 0 else '-'}" for name, value in zip("xyz", vector, strict=True) if abs(value) > 1e-9
    ]
    return along[0] if len(along) == 1 else f"({', '.join(f'{value:.4g}' for value in vector)})"


def _package(name: str) -> str:
    package = importlib.import_module(f"autophasenn.{name}")
    modules = sorted(module for _, module, _ in pkgutil.iter_modules(package.__path__) if not module.startswith("_"))
    return _modules(name, [f"{name}.{module}" for module in modules], (package.__doc__ or "").strip())


def _modules(title: str, modules: list[str], words: str = "") -> str:
    lines = [title, "=" * len(title), "", words, ""]
    for module in modules:
        lines += [module, "-" * len(module), "", f".. automodule:: autophasenn.{module}", "   :members:", ""]
    return "\n".join(lines)
