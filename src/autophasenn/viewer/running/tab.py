"""The page that runs, as one browser has it: its draft, its form, the runs of all."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from autophasenn.errors import AutoPhaseNNError
from autophasenn.inversion.names import MethodName
from autophasenn.viewer.running.draft import Draft
from autophasenn.viewer.running.fields import BY_KEY, FIELDS, quoted, refusals
from autophasenn.viewer.running.hand import Stroke
from autophasenn.viewer.running.live import Live
from autophasenn.viewer.running.rows import best_first, row_of
from autophasenn.viewer.running.scanpart import WENT_WRONG, ScanPart
from autophasenn.viewer.running.workshop import Workshop

logger = logging.getLogger(__name__)

MOST_COMPARED = 2
DEFAULTS = {"source": "none", "instrument": "as recorded", "run": "as the plan says", "seed": "0", "device": "cpu",
            "scan": "from the name", "axes": "frame,row,column"}  # fmt: skip
"""What a field that is left empty stands for, by its key or by its group."""


class RunTab:
    """Scans, form and runs of one browser.

    Parameters
    ----------
    owner : Viewer
    workshop : Workshop, optional
        None: the page only shows results.
    """

    def __init__(self, owner: Any, workshop: Workshop | None) -> None:
        self.owner, self.state = owner, owner.state
        self.draft, self.key = Draft(), secrets.token_urlsafe(9)
        self.shown: list[str] = []
        """Numbers of the runs whose results are open."""
        self.errors: dict[str, str] = {}
        self._picked: list[str] = []
        self._has_expert, self._live = False, Live()
        self._workshop = workshop
        self._tasks: set[asyncio.Task[Any]] = set()
        self.state.update(
            {
                "has_workshop": workshop is not None, "open_folder": "" if workshop is None else str(workshop.folder),
                "open_fields": [], "open_expert": [], "open_has_expert": False, "open_runs": [], "open_picked": [],
                "open_is_by_verdict": False,
                "open_chosen": "", "open_beamline": "", "open_wrong": "", "open_side": "settings", "open_changed": [],
                "open_expert_wanted": "", "open_live": {},
            }
        )  # fmt: skip
        self.scan = ScanPart(self)
        if workshop is not None:
            workshop.listen(self.hear)
            for name, action in self._actions().items():
                owner.server.controller.trigger(f"open_{name}")(action)
            self.show_form()
            self.update()

    def _actions(self) -> dict[str, Any]:
        """What the page asks for by name, where an event needs more than a call."""
        scan = self.scan
        return {"press": scan.press, "move": scan.move, "release": scan.release, "probe": scan.probe}

    @property
    def workshop(self) -> Workshop:
        """Which the page has."""
        assert self._workshop is not None
        return self._workshop

    @property
    def beamline(self) -> str:
        """Whose scans are listed."""
        return self.draft.beamline

    @property
    def chosen(self) -> tuple[str, int | None]:
        """Input and number of the scan of the draft, as the list has them."""
        number = self.draft.values.get("scan", "")
        return self.draft.input, int(number) if number.isdigit() else None

    def begin(self) -> None:
        """The page is there."""
        if self._workshop is not None:
            self._do(self.scan.list())

    def close(self) -> None:
        """The browser has gone."""
        if self._workshop is not None:
            self._workshop.forget(self.hear)
        for task in self._tasks:
            task.cancel()

    def hear(self) -> None:
        """Something about the runs has changed."""
        self.owner.want("runs")

    # the draft

    def change(self, draft: Draft) -> None:
        """Another draft takes the place of this one, and is kept."""
        is_read_anew = draft.read_from != self.draft.read_from or self.scan.frames is None
        is_drawn_anew = draft.strokes != self.draft.strokes
        if (draft.input, draft.beamline) != (self.draft.input, self.draft.beamline):
            self.scan.forget()
        self.draft, self.errors = draft, refusals(draft.values)
        self.state.open_wrong = ""  # it was said of what was chosen before
        try:
            self.workshop.work.keep_draft(self.key, draft.as_json())
        except (AutoPhaseNNError, OSError) as error:
            self.state.open_wrong = f"What you choose is not kept: {error}"
        self.show_form()
        if is_read_anew and draft.input:
            self.scan.read()
        elif is_drawn_anew:
            self.scan.redraw()
        self.owner.say_where()

    def take(self, key: str) -> None:
        """Go on with a draft that was kept."""
        kept = self.workshop.work.draft(key) if key != self.key else None
        if kept is not None:
            self.key = key
            self.change(Draft.of(kept))
            self._do(self.scan.list())

    def choose_beamline(self, name: str) -> None:
        """List scans of another beamline; "": files."""
        known = {"", *(each["name"] for each in self.state.open_beamlines)}
        if name in known and name != self.draft.beamline:
            self.change(
                Draft(beamline=name, values=self.draft.values, plan=self.draft.plan).choosing("", "", name, None)
            )
            self._do(self.scan.list())

    def choose(self, input: str, name: str, scan: int | None) -> None:
        """Another scan."""
        self.change(self.draft.choosing(input, name, self.draft.beamline, scan))

    def set(self, key: str, text: str) -> None:
        """A field of the form changed."""
        if key in BY_KEY:
            self.change(self.draft.with_value(key, str(text).strip()))

    def set_parameter(self, key: str, text: str) -> None:
        """A parameter of the plan changed; its value as YAML has it, empty for the default."""
        if any(each["key"] == key for each in self.state.open_expert):
            self._do(self._set_parameter(key, str(text).strip()))

    async def _set_parameter(self, key: str, text: str) -> None:
        default = next(each["default"] for each in self.state.open_expert if each["key"] == key)
        draft = self.draft.with_parameter(key, "" if text == default else text)
        wrong = (await self.workshop.checked(dict(draft.plan)))["wrong"]
        with self.state:
            if not wrong:
                self.change(draft)
            self._show_expert(wrong, {key: text} if wrong else {})

    def draw(self, strokes: Sequence[Stroke]) -> None:
        """The mask by hand is another."""
        self.change(Draft(self.draft.input, self.draft.name, self.draft.beamline, self.draft.values, self.draft.plan,
                          tuple(strokes)))  # fmt: skip

    # the form

    def show_form(self) -> None:
        """All fields as the draft has them."""
        values = self.draft.values
        self.state.open_fields = [
            {
                "key": each.key, "title": each.title, "help": each.help, "kind": each.kind, "group": each.group,
                "choices": [{"value": str(c), "title": str(c) or "as it shows"} for c in each.choices],
                "value": values.get(each.key, MethodName.refined.value if each.key == "method" else ""),
                "error": self.errors.get(each.key, ""), "default": DEFAULTS.get(each.key, DEFAULTS[each.group]),
            }
            for each in FIELDS
        ]  # fmt: skip
        self.state.open_chosen, self.state.open_beamline = self.draft.name, self.draft.beamline
        self._show_expert({}, {})

    def turn_order(self) -> None:
        """The runs with the best verdict first, or the newest again."""
        self.state.open_is_by_verdict = not self.state.open_is_by_verdict
        self.owner.want("runs")

    def show_expert(self, is_open: bool) -> None:
        """All parameters of the plan, once somebody wants them."""
        self._has_expert = bool(is_open)
        self._do(self._open_expert())

    async def _open_expert(self) -> None:
        await self.workshop.about()
        with self.state:
            self.state.open_has_expert = self._has_expert
            self._show_expert({}, {})

    def find_parameter(self, words: str) -> None:
        """Only parameters whose name or meaning has some words."""
        self.state.open_expert_wanted = str(words)[:200]
        self._show_expert({}, {})

    def _show_expert(self, wrong: dict[str, str], tried: dict[str, str]) -> None:
        if not self._has_expert:
            return
        about = self.workshop.known
        wanted = self.state.open_expert_wanted.lower().split()
        self.state.open_expert = [
            {
                "key": each["key"], "default": each["value"], "choices": each["choices"], "legal": each["legal"],
                "meaning": each["meaning"], "error": wrong.get(each["key"], ""),
                "value": tried.get(each["key"], self.draft.plan.get(each["key"], each["value"])),
                "is_changed": each["key"] in self.draft.plan,
            }
            for each in about["parameters"]
            if all(word in f"{each['key']} {each['meaning']}".lower() for word in wanted)
        ]  # fmt: skip

    # the runs

    def run(self) -> None:
        """Ask for a run of what is chosen."""
        self._do(self._run())

    async def _run(self) -> None:
        state, draft, wrong = self.state, self.draft, ""
        frames = await self.scan.frames_of(draft) if draft.strokes else None
        if not draft.input:
            wrong = "Choose a scan or a file first."
        elif self.errors:
            wrong = "; ".join(f"{BY_KEY[key].title}: {sentence}" for key, sentence in self.errors.items())
        elif draft.strokes and frames is None:
            wrong = "The mask by hand lies on frames that are not there; wait until they are read, or choose the scan again."
        elif draft.strokes and self.scan.is_too_empty:
            wrong = state.open_trouble
        if not wrong:
            try:
                await self.workshop.run(draft, frames)
            except (AutoPhaseNNError, OSError) as error:
                wrong = str(error)
        with state:
            state.update({"open_wrong": wrong, "open_side": state.open_side if wrong else "runs"})

    def stop(self, key: str) -> None:
        """End a run."""
        self._try(lambda: self.workshop.queue.stop(str(key)))

    def again(self, key: str) -> None:
        """Take what a run was asked for, to change it and run it again."""

        def take() -> None:
            self.change(Draft.of(self.workshop.queue.find(str(key)).draft))
            self.state.update({"open_side": "settings", "open_wrong": ""})
            self._do(self.scan.list())

        self._try(take)

    def side(self, name: str) -> None:
        """Settings or runs."""
        if name in ("settings", "runs"):
            self.state.open_side = name

    def pick(self, key: str, is_picked: bool) -> None:
        """Tick a run, to compare it."""
        self._picked = [each for each in self._picked if each != str(key)] + ([str(key)] if is_picked else [])
        self.state.open_picked = self._picked

    def compare(self) -> None:
        """Open the results of the runs that are ticked."""
        self.open(self._picked[:MOST_COMPARED])

    def open(self, keys: Sequence[str]) -> None:
        """Open results of runs."""
        self._do(self._open([str(key) for key in keys][:MOST_COMPARED]))

    async def _open(self, keys: list[str]) -> None:
        try:
            runs = [self.workshop.queue.find(key) for key in keys]
        except AutoPhaseNNError as error:
            self.state.open_wrong = str(error)
            return
        if runs:
            self.shown = keys
            if not await self.owner.open([run.result for run in runs], [run.name for run in runs]):
                self.shown = []

    def goes(self, key: str, shown: Sequence[str]) -> bool:
        """Go on with a draft, and open the results that a link names; whether they are open already."""
        with self.state:
            if key:
                self.take(key)
        if list(shown) == self.shown:
            return True
        if shown:
            self.open(list(shown))
        else:
            self.show()
        return False

    def show(self) -> None:
        """Back to scans and runs."""
        self.shown = []
        self.owner.leave()
        with self.state:
            self.state.screen = "open"
            self.update()
            self.owner.say_where()

    def update(self) -> None:
        """The rows of the runs, the newest or the best first."""
        queue = self.workshop.queue
        rows = [row_of(run, quoted(queue.command(run))) for run in reversed(list(queue.runs.values()))]
        rows = best_first(rows) if self.state.open_is_by_verdict else rows
        if rows != self.state.open_runs:  # how far a run is changes often, and is told for itself
            self.state.open_runs = rows
        key, following = next(iter(queue.progress.items()), ("", None))
        self.state.open_live = self._live.look(queue.runs[key], following) if following is not None else {}

    def _try(self, action: Callable[[], None]) -> None:
        """Do something; what is wrong with it is said."""
        try:
            action()
        except AutoPhaseNNError as error:
            self.state.open_wrong = str(error)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._flushed(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def _flushed(self, work: Coroutine[Any, Any, None]) -> None:
        """Work that nothing waits for; the browser hears what it changed."""
        with self.state:
            await work

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("the page failed", exc_info=task.exception())
            with self.state:
                said = task.exception()
                self.state.open_wrong = str(said) if isinstance(said, AutoPhaseNNError) else WENT_WRONG
