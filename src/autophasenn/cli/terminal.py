"""What a person at a terminal sees: progress with a time estimate, tables of results, one-sentence errors."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from autophasenn.cli.interruption import CTRL_C
from autophasenn.errors import quoted

if TYPE_CHECKING:
    from autophasenn.report.numbers import Report

_STAGE_WIDTH = 36
LONGEST_WORD = 300
"""Characters of a word in an error; paths of files are rarely longer."""


def complain(sentence: str) -> None:
    """One line on standard error."""
    words = (quoted(word, LONGEST_WORD) for word in sentence.split())
    line = "".join(each if each.isprintable() else repr(each)[1:-1] for each in " ".join(words))
    print(f"Error: {line}", file=sys.stderr)


class TerminalProgress:
    """Stages of long work as bars with a time estimate on standard error; silent where that is no terminal.

    Parameters
    ----------
    is_told : bool
        Whether each stage, and each of its steps, is a line of its own where standard error is no terminal: for stages of
        few steps.
    """

    def __init__(self, is_told: bool = False) -> None:
        console = Console(stderr=True)
        self._is_told = is_told and not console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> TerminalProgress:
        """Show the bars until the `with` block ends."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the bars as they stand."""
        if kind is None:
            self._finish()
        self._bars.stop()

    def stage(self, name: str) -> None:
        """Begin a stage; the one before is done."""
        CTRL_C.raise_if_lost()
        self._finish()
        self._task = self._bars.add_task(f"{escape(name):{_STAGE_WIDTH}}", total=None)
        if self._is_told:
            print(f"{name} ...", file=sys.stderr, flush=True)

    def advance(self, done: int, total: int) -> None:
        """Say how far the stage is."""
        CTRL_C.raise_if_lost()
        if self._task is not None:
            self._bars.update(self._task, completed=done, total=total)
        if self._is_told:
            print(f"  {done} of {total}", file=sys.stderr, flush=True)

    def say(self, sentence: str) -> None:
        """A line that stays, above the bars."""
        self._bars.console.print(escape(sentence), highlight=False, soft_wrap=True)

    def _finish(self) -> None:
        if self._task is not None:
            total = self._bars.tasks[-1].total or 1
            self._bars.update(self._task, completed=total, total=total)


def show_report(report: Report, folder: Path) -> None:
    """The table of a reconstruction, its warnings, and where its pictures lie.

    Parameters
    ----------
    report : Report
        None stands for unknown.
    folder : Path
        Where the result was written.
    """
    from autophasenn.report.words import facts

    console = Console(soft_wrap=True, highlight=False)
    table = Table("quantity", "value", show_header=False, title=f"{report.method} reconstruction: {report.status}")
    known = facts(report)
    for name in SHOWN:
        table.add_row(name, known[name].value)
    console.print(table)
    console.print(escape(report.message or ""))
    if report.confidence.meaning:
        console.print(escape(report.confidence.meaning))
    for sentence in report.warnings:
        console.print(f"[yellow]Warning:[/yellow] {escape(sentence)}")
    pictures = sorted(folder.glob("*.png"))
    console.print(f"{len(pictures)} pictures" + (":" if pictures else ""))
    for picture in pictures:
        console.print(f"  {escape(str(picture))}")


def show_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """What a dry run found, one line a fact."""
    console = Console(soft_wrap=True, highlight=False)
    for name, value in facts.items():
        title = name.replace("_", " ")
        if isinstance(value, Mapping):
            console.print(f"{indent}{escape(title)}:")
            show_facts(value, indent + "  ")
        elif isinstance(value, list | tuple) and len(value) > 1 and all(isinstance(each, str) for each in value):
            console.print(f"{indent}{escape(title)}:")
            for sentence in value:
                console.print(f"{indent}  {escape(sentence)}")
        else:
            items = [str(v) for v in value] if isinstance(value, list | tuple) else [_word(value)]
            console.print(f"{indent}{escape(title)}: {escape(', '.join(items))}")


def show_table(title: str, facts: Mapping[str, Any]) -> None:
    """Facts as a table, one row each; None stands for unknown."""
    table = Table("what", "value", show_header=False, title=escape(title), title_justify="left")
    for name, value in facts.items():
        table.add_row(escape(name), escape(_word(value)))
    Console(highlight=False).print(table)


def show_rows(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of several columns; all but the first two to the right."""
    table = Table()
    for column, title in enumerate(titles):
        table.add_column(escape(title), justify="left" if column < 2 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    Console(highlight=False).print(table)


def show_sentences(sentences: Iterable[str]) -> None:
    """One a line, as notes."""
    console = Console(soft_wrap=True, highlight=False)
    for sentence in sentences:
        console.print(f"[yellow]Note:[/yellow] {escape(sentence)}")


def show_benchmark(result: Mapping[str, Any]) -> None:
    """The table of `autophasenn benchmark`: one row a case, with its ratio and goal.

    Parameters
    ----------
    result : mapping
        As `benchmark.iterations.benchmark` returns it.
    """
    console = Console(soft_wrap=True, highlight=False)
    machine, memory, cohere = result["machine"], result["memory"], result["cohere"]
    size = " x ".join(str(n) for n in result["shape"])
    table = Table(title=f"One iteration of one start, {size} complex64, {machine['threads']} threads")
    table.add_column("")
    for name in ("ms", "ratio to the pair", "goal"):
        table.add_column(name, justify="right")
    table.add_row("transform pair, forward and inverse", f"{result['pair']['milliseconds']:.2f}", "1", "")
    for name, case in result["cases"].items():
        table.add_row(name, *_timing(case, "at most"))
    if cohere is not None:
        table.add_section()
        ours = f"{cohere['ours']['milliseconds']:.2f}"
        table.add_row("ours, for the comparison", ours, "ratio to ours: 1", "")
        for name in ("torch", "numpy"):
            table.add_row(f"cohere_core {cohere['version']}, {name}", *_timing(cohere[name], "at least"))
    console.print(table)
    console.print(
        f"{escape(machine['processor'])}, {machine['cores']} cores, torch {machine['torch']}; the transform's slow tenth "
        f"takes {machine['jitter']:.2f} times its fast tenth."
    )
    console.print(
        f"Peak memory {memory['peak_bytes'] / 2**20:.0f} MiB, of which the retrieval "
        f"{memory['retrieval_bytes'] / 2**20:.0f} MiB."
    )
    for sentence in result["warnings"]:
        console.print(f"[yellow]Warning:[/yellow] {escape(sentence)}")


def show_network_benchmark(result: Mapping[str, Any]) -> None:
    """The table of `autophasenn benchmark --network`: one row a way to an image, then how they compare.

    Parameters
    ----------
    result : mapping
        As `benchmark.network.benchmark_network` returns it.
    """
    console = Console(soft_wrap=True, highlight=False)
    machine, cohere = result["machine"], result["cohere"]
    table = Table(title=f"One pattern of 64 x 64 x 64, {machine['threads']} threads, {machine['device']}")
    table.add_column("")
    for name in ("ms", "ratio", "goal"):
        table.add_column(name, justify="right")
    table.add_row("the paper's network, float32", f"{result['reference']['milliseconds']:.1f}", "1", "")
    for name, case in result["cases"].items():
        table.add_row(name, *_timing(case, "at most"))
    if cohere is not None:
        table.add_section()
        table.add_row("network, for the comparison", f"{cohere['ours']['milliseconds']:.1f}", "ratio to it: 1", "")
        for name in ("torch", "numpy"):
            table.add_row(
                f"cohere_core {cohere['version']}, {name}, {cohere['iterations']} iterations",
                *_timing(cohere[name], "at least"),
            )
    console.print(table)
    for name, compared in result["times_as_long"].items():
        goal = "" if compared["goal"] is None else f" (at least {compared['goal']:g})"
        console.print(f"{name}: {compared['ratio']:.1f}{goal}")
    rates = ", ".join(f"{rate:.1f} at {batch}" for batch, rate in result["patterns_per_second"].items())
    console.print(
        f"Patterns a second by batch: {rates}; {100 * result['share_of_matrix_product']:.0f} % of the operations that a "
        "large product of matrices in the same precision does in that time."
    )
    for sentence in result["warnings"]:
        console.print(f"[yellow]Warning:[/yellow] {escape(sentence)}")


def show_prompt_benchmark(result: Mapping[str, Any]) -> None:
    """What a user waits, of `autophasenn benchmark`: one row a command.

    Parameters
    ----------
    result : mapping
        As `benchmark.prompt.benchmark_prompt` returns it.
    """
    table = Table(title="autophasenn reconstruct, from the prompt")
    table.add_column("")
    for name in ("first picture, s", "at most", "all files, s", "at most", "peak memory, GiB"):
        table.add_column(name, justify="right")
    for name, case in result.items():
        first, files = ("" if goal is None else f"{goal:g}" for goal in case["goals"])
        table.add_row(
            name, f"{case['first_picture_seconds']:.1f}", first, f"{case['files_seconds']:.1f}", files,
            f"{case['peak_bytes'] / 2**30:.2f}",
        )  # fmt: skip
    Console(soft_wrap=True, highlight=False).print(table)


def show_evaluation(result: Mapping[str, Any], folder: Path) -> None:
    """The table of `autophasenn evaluate`: mean and median of every metric by method.

    Parameters
    ----------
    result : mapping
        As `evaluation.evaluate.evaluate` returns it.
    folder : Path
        Where the result was written.
    """
    console = Console(soft_wrap=True, highlight=False)
    methods = result["methods"]
    table = Table(title=f"{result['n']} patterns: mean (median)")
    table.add_column("")
    for method in methods:
        table.add_column(method, justify="right")
    for name in next(iter(methods.values())):
        spreads = [metrics[name] for metrics in methods.values()]
        if any(spread is not None for spread in spreads):
            table.add_row(name.replace("_", " "), *map(_spread, spreads))
    console.print(table)
    for method, words in result["what_they_do"].items():
        console.print(f"{method}: {escape(words)}.")
    for method, share in result["chi2_not_above_iterative"].items():
        console.print(f"{method}: chi2 not above that of iterative on {share:.0%} of the patterns.")
    for sentence in result["warnings"]:
        console.print(f"[yellow]Warning:[/yellow] {escape(sentence)}")
    console.print(f"written: {escape(str(folder))}")


def show_leaderboard(result: Mapping[str, Any], folder: Path) -> None:
    """The table of `autophasenn evaluate` of several datasets: how many crystals each method found in each set.

    Parameters
    ----------
    result : mapping
        As `evaluation.leaderboard.compare` returns it.
    folder : Path
        Where the result was written.
    """
    from autophasenn.report.leaderboard import shares

    console = Console(soft_wrap=True, highlight=False)
    head, *rows = shares(result["standings"])
    table = Table(title="crystals found (correlation >= 0.95)")
    table.add_column(head[0])
    for method in head[1:]:
        table.add_column(method, justify="right")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    for method, words in result["what_they_do"].items():
        console.print(f"{method}: {escape(words)}.")
    console.print(f"written: {escape(str(folder))}")


def _spread(numbers: Mapping[str, float] | None) -> str:
    if numbers is None:
        return _UNKNOWN
    return f"{numbers['mean']:.3g} ({numbers['median']:.3g})"


def _timing(case: Mapping[str, Any], bound: str) -> list[str]:
    goal = "" if case["goal"] is None else f"{bound} {case['goal']:g}: {'met' if case['met'] else 'missed'}"
    return [f"{case['milliseconds']:.2f}", f"{case['ratio']:.2f}", goal]


SHOWN = (
    *("χ²", "χ² of counting noise", "χ² of held-out voxels", "resolution", "voxel", "d spacing", "strain", "volume"),
    *("support", "network", "device", "time", "peak memory"),
)
"""Of `report.words.facts`, what the table of a result holds."""
_UNKNOWN = "unknown"


def _word(value: object) -> str:
    return _UNKNOWN if value is None else str(value)
