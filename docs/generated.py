"""The pages of the reference that the program itself writes: what every command takes, every parameter, every module."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import typer
from typer.testing import CliRunner

import autophasenn
from autophasenn import cli

INSIDE = {"cli", "live", "viewer", "benchmark"}
"""Packages that people meet by their commands."""


def write_reference(folder: Path) -> None:
    """Write the pages that are not there, or that say something else than the program does now."""
    folder.mkdir(exist_ok=True)
    pages = {"commands.md": _commands(), "plan.md": _plans()}
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


def _package(name: str) -> str:
    package = importlib.import_module(f"autophasenn.{name}")
    modules = sorted(module for _, module, _ in pkgutil.iter_modules(package.__path__) if not module.startswith("_"))
    return _modules(name, [f"{name}.{module}" for module in modules], (package.__doc__ or "").strip())


def _modules(title: str, modules: list[str], words: str = "") -> str:
    lines = [title, "=" * len(title), "", words, ""]
    for module in modules:
        lines += [module, "-" * len(module), "", f".. automodule:: autophasenn.{module}", "   :members:", ""]
    return "\n".join(lines)
