"""A result as a value: the image, its report and what they were made of; and the folder that it is written into."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autophasenn.arguments import path_of, raises_in_python
from autophasenn.errors import OutputError, PlanError
from autophasenn.files import cxi, vtk
from autophasenn.files.boundary import reading
from autophasenn.files.convention import RESULT
from autophasenn.files.former import Kind
from autophasenn.files.writing import check_folder, staged_folder
from autophasenn.image import CrystalImage
from autophasenn.machine import peak_memory
from autophasenn.physics.geometry import direct_voxel_vectors
from autophasenn.pipeline.pictures import draw_repeated, portfolio_of
from autophasenn.pipeline.plan import Plan, dump_plan, load_plan
from autophasenn.pipeline.summary import Shells, prtf_shells
from autophasenn.preprocessing.aliens import Aliens
from autophasenn.preprocessing.repeated import Judged
from autophasenn.report.apart import Painter
from autophasenn.report.html import html_of
from autophasenn.report.numbers import Report
from autophasenn.report.portfolio import Portfolio
from autophasenn.report.words import percent
from autophasenn.volumes import Pattern, Reconstruction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILES = (
    *("report.json", RESULT, "crystal.vti", "object_detector_frame.vts", "plan.yaml", "SHA256SUMS"),
    *("overview.png", "slices.png", "isosurface.png", "pattern.png", "convergence.png"),
    *("confidence.png (of refined, adapted and network)",),
    *("prtf.png (if two starts agree)", "aliens.png (if there are any)", "scans.png (of several)"),
)
"""What a stored result consists of."""


OVERVIEW = "overview.png"
"""The picture that is drawn first."""
KIND = Kind(tuple(each.partition(" ")[0] for each in FILES), (RESULT, "report.json"))
"""How the folder of a former result is told from others."""


@dataclass(frozen=True)
class Output:
    """Where a result goes.

    Parameters
    ----------
    folder : Path
        Created.
    overwrite : bool
        Whether a result that is there may be replaced.
    figures : bool
        Whether figures are drawn, which takes some seconds.
    plan : Path, optional
        File that the parameters were read from.
    """

    folder: Path
    overwrite: bool = False
    figures: bool = True
    plan: Path | None = None

    def check(self, inputs: Iterable[Path] = ()) -> None:
        """Refuse a folder that cannot be written, and one where a file of the result would replace one that is read.

        Parameters
        ----------
        inputs : iterable of Path
            What will be read, beside the plan.

        Raises
        ------
        OutputError
            If it holds an input where a file of the result would lie, something else and may not be overwritten, a file
            under a name of a result's that no former result put there, or cannot be written.
        """
        KIND.spare(self.folder, [*inputs, *([] if self.plan is None else [self.plan])])
        check_folder(self.folder, self.overwrite, KIND)


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The image of a crystal, how far to believe it, and what it was made of.

    Parameters
    ----------
    image : CrystalImage
        Amplitude, phase, displacement and strain on an orthogonal grid of the laboratory frame.
    report : Report
        Every number, and the verdict.
    reconstruction : Reconstruction
        The object in the detector frame.
    pattern : Pattern
        The measurement as it was phased.
    plan : Plan, optional
        Every parameter; None: those of another version of the program, see `parameters`.
    aliens : Aliens, optional
        What was masked as belonging to other crystals; None: not known.
    prtf_shells : tuple of arrays, optional
        Frequency and PRTF of each shell of abs(q); None with one start.
    source : mapping
        Where the scan came from.
    command : str
        The command line that asked for it; empty where Python did.
    parameters : mapping
        Where there is no plan: every parameter, as it was stored.
    repeated : tuple of Judged
        Of summed scans: each of them, and what became of it. Not stored but as a picture, and in `source`.
    """

    image: CrystalImage
    report: Report
    reconstruction: Reconstruction
    pattern: Pattern
    plan: Plan | None
    aliens: Aliens | None = None
    prtf_shells: Shells | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    repeated: tuple[Judged, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of the report, sentences."""
        return self.report.warnings

    @property
    def title(self) -> str:
        """Name of the file or folder that was read."""
        name = Path(self.source.get("path") or "").name
        return name.encode("utf-8", "backslashreplace").decode("utf-8")  # no picture can show bytes that are no text

    def __repr__(self) -> str:
        number = self.report.confidence.number
        trust = "" if number is None else f", confidence {percent(number)}"
        return f"<Result of {self.title or 'a pattern'}: {self.report.method}, {self.report.status}{trust}>"

    @classmethod
    def load(cls, path: Path | str) -> Result:
        """Read a stored result.

        Parameters
        ----------
        path : path
            Its folder, or its ``result.cxi``.

        Returns
        -------
        Result
            What was masked as alien is not stored, and None.

        Raises
        ------
        InputError
            If there is no result of this package, it is damaged, or `path` is none.
        """
        given = path_of(path, "The result")
        with reading(given):
            file = given / RESULT if given.is_dir() else given
        stored = cxi.read_result(file)
        plan = _stored_plan(file.with_name("plan.yaml"))
        return cls(
            image=stored.image,
            report=Report.from_json(_stored_report(file, stored.process)),
            reconstruction=stored.reconstruction,
            pattern=stored.pattern,
            plan=plan,
            prtf_shells=prtf_shells(stored.reconstruction, stored.pattern),
            source=stored.process.get("input") or {},
            command=str(stored.process.get("command") or ""),
            parameters={} if plan is not None else stored.process.get("parameters") or {},
        )

    def plot(self) -> Figure:
        """The overview: the crystal in 3-D, slices of phase and strain, the pattern measured and calculated, key numbers.

        Returns
        -------
        matplotlib Figure
            Free of pyplot; a notebook shows it, and ``savefig`` writes it.
        """
        from autophasenn.report.overview import overview

        return overview(self.image, self.pattern, self.reconstruction, self.report, title=self.title)

    def _repr_png_(self) -> bytes:
        return self._picture

    def _repr_html_(self) -> str:
        return html_of(self.report, self._picture)

    @cached_property
    def _picture(self) -> bytes:
        from autophasenn.report.style import png_of

        return png_of(self.plot())

    @raises_in_python
    def save(self, folder: Path | str, overwrite: bool = False, figures: bool = True) -> Result:
        """Write everything into a folder, whole or not at all.

        Parameters
        ----------
        folder : path
            Created.
        overwrite : bool
            Whether a result that is there may be replaced.
        figures : bool
            Whether figures are drawn.

        Returns
        -------
        Result
            The same, its report as written: with the time of writing, and what could not be drawn among its warnings.

        Raises
        ------
        OutputError
            If the folder holds something and may not be overwritten, or what no former result put there under a name of a
            result's, or cannot be written.
        """
        if folder == "":
            raise OutputError("The output folder is ''; give the path of a folder.")
        output = Output(path_of(folder, "The folder of the result"), overwrite, figures)
        output.check()
        with staged_folder(output.folder, KIND, overwrite) as stage:
            return self.written_into(stage, figures)

    def written_into(self, folder: Path, figures: bool = True, painter: Painter | None = None) -> Result:
        """Write everything into a folder that exists and is empty, the report last; of a first image what is looked at.

        Parameters
        ----------
        folder : Path
        figures : bool
            Whether figures are drawn; of a first image, the overview.
        painter : Painter, optional
            Draws them while the rest is written.

        Returns
        -------
        Result
            The same, its report as written.

        Raises
        ------
        OutputError
            If the disk is full.
        """
        began = time.perf_counter()
        with ThreadPoolExecutor(1) as threads:
            if figures and painter is not None:
                drawn = threads.submit(painter.draw, self._portfolio(), folder)
            self._write_data(folder)
            if figures and self.repeated and not self.report.is_preliminary:
                draw_repeated(folder, self.repeated, self.title)
            left_out = () if not figures else drawn.result() if painter is not None else self._draw(folder)
        written = replace(self, report=self._report_of_writing(time.perf_counter() - began, left_out))
        text = json.dumps(written.report.to_json(), indent=2, allow_nan=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        return written

    def _write_data(self, folder: Path) -> None:
        """All but figures and report."""
        pattern, found = self.pattern, self.reconstruction
        process = {
            "command": self.command,
            "seed": self.report.seed,
            "input": dict(self.source),
            "parameters": dict(self.parameters) if self.plan is None else asdict(self.plan),
            "report": self.report.to_json(),
        }
        cxi.write_result(folder / RESULT, pattern, found, self.image, process)
        if self.plan is not None:
            (folder / "plan.yaml").write_text(dump_plan(self.plan), encoding="utf-8")
        if self.report.is_preliminary:
            return
        vtk.write_image(folder / "crystal.vti", self.image)
        steps = pattern.reciprocal_steps
        vectors = None if steps is None else direct_voxel_vectors(steps, pattern.shape).numpy()
        spreads = {
            name: None if spread is None else spread.numpy()
            for name, spread in (("phase_spread", found.phase_spread), ("amplitude_spread", found.amplitude_spread))
        }
        crystal = (found.object * found.support).numpy()
        vtk.write_detector_frame(folder / "object_detector_frame.vts", crystal, vectors, spreads)

    def _draw(self, folder: Path) -> tuple[str, ...]:
        """All figures; returns a sentence for each that this machine cannot draw."""
        return self._portfolio().draw(folder)

    def _portfolio(self) -> Portfolio:
        return portfolio_of(
            self.image, self.pattern, self.reconstruction, self.report,
            aliens=self.aliens, shells=self.prtf_shells, title=self.title, is_whole=not self.report.is_preliminary,
        )  # fmt: skip

    def _report_of_writing(self, taken: float, left_out: tuple[str, ...]) -> Report:
        """The report with the time of this writing, which takes the place of that of a former one."""
        seconds = dict(self.report.seconds)
        total = (seconds.get("total") or 0.0) - (seconds.get("write") or 0.0) + taken
        seconds |= {"write": round(taken, 3), "total": round(total, 3)}
        return replace(
            self.report,
            warnings=tuple(dict.fromkeys((*self.report.warnings, *left_out))),
            seconds=seconds,
            peak_memory_bytes=peak_memory(),
        )


def _stored_report(file: Path, process: Mapping[str, Any]) -> object:
    """That of ``report.json``, which has the time of writing; else the one inside the file, which may be final already."""
    inside = process.get("report")
    try:
        beside = json.loads(file.with_name("report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return inside
    return beside if _is_preliminary(beside) == _is_preliminary(inside) else inside


def _is_preliminary(report: object) -> bool:
    return isinstance(report, Mapping) and report.get("is_preliminary") is True


def _stored_plan(path: Path) -> Plan | None:
    """None: it is not there, or of another version, or of one whose parameters had other names."""
    try:
        return load_plan(path)
    except PlanError:
        return None
