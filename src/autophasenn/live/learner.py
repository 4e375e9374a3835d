"""The process that lets the network learn on: it reads what was refined, learns, and writes weights that proved better.

It is told to rest by a flag, which it asks before every step and every prediction, and gives way to all other processes
(`NICENESS`). It may be killed at any moment, at rest too: weights are written whole or not at all, and nobody waits for it.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autophasenn.live.learned import number_in, weights_file
from autophasenn.live.work import Outcome, attempted, serve

NICENESS = 10
"""More than that of the processes that make images; it rests beside them anyway, but for the step that was begun."""
LOOK = 0.1
"""Seconds between two looks at the flag while it rests."""


@dataclass(frozen=True)
class School:
    """What holds for every lesson.

    Parameters
    ----------
    begun_with : Path
        Weights of the beginning.
    folder : Path
        Gets those that are learned.
    options : Learning
        Of `inversion.learning`.
    may_work : ctypes.c_bool, in shared memory
        Whether nothing else is to be done. It has no lock: the setter of a `multiprocessing.Event` waits until all who wait
        for it have woken, and one that was killed never does.
    """

    begun_with: Path
    folder: Path
    options: Any
    may_work: Any

    def rest(self) -> None:
        """While anything else is to be done."""
        while not self.may_work.value:
            time.sleep(LOOK)


@dataclass(frozen=True)
class Lesson:
    """One round.

    Parameters
    ----------
    number : int
        Of the round.
    begin_with : Path
        Weights in use.
    scans : tuple of (str, Path)
        Keys and folders of refined results, the newest first.
    places : tuple of int
        Of each, its own from round to round.
    """

    number: int
    begin_with: Path
    scans: tuple[tuple[str, Path], ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Learned(Outcome):
    """What became of it.

    Parameters
    ----------
    weights : Path, optional
        The new ones; None: those in use stay.
    scans : tuple of str
        From which these were learned, one round after the other.
    sentence : str
        What the judges say.
    """

    weights: Path | None = None
    scans: tuple[str, ...] = ()
    sentence: str = ""


def learn(orders: Connection, school: School, niceness: int) -> None:
    """Answer every `Lesson` that comes with what was `Learned`."""
    serve(orders, lambda: _Learner(school), niceness)


@dataclass
class _Learner:
    """Remembers the patterns of scans."""

    school: School
    _boxes: dict[tuple[str, int], Any] = field(default_factory=dict)

    def warm_up(self) -> None:
        from autophasenn.devices import use_threads

        use_threads(1)

    def outcome(self, lesson: Lesson) -> Outcome:
        return attempted(lambda: self._learn(lesson))

    def _learn(self, lesson: Lesson) -> Outcome:
        from autophasenn.inversion.learning import halves, learn_from
        from autophasenn.network import weights

        began = time.monotonic()
        network, card = weights.load(lesson.begin_with)
        boxes = self._remembered(lesson)
        options = self.school.options
        if len(boxes) < options.least:
            return Learned(sentence=f"{len(boxes)} scans can be read, and {options.least} are needed")
        number = number_in(self.school.folder, lesson.begin_with)
        place_of = {key: place for (key, _), place in zip(lesson.scans, lesson.places, strict=True)}
        places = [place_of[key] for key in boxes]
        found = learn_from(
            network,
            list(boxes.values()),
            options,
            number=lesson.number,
            places=places,
            beginning=None if not number else weights.load(self.school.begun_with)[0],
            between=self.school.rest,
        )
        if not found.is_kept or not lesson.begin_with.is_file():  # somebody may have thrown away what was learned
            return Learned(sentence=found.sentence)
        former = card["learned_from"] if number else []
        scans = tuple(dict.fromkeys((*former, *halves(list(boxes), places, lesson.number)[0])))
        path = weights_file(self.school.folder, number + 1)
        self._write(path, found, lesson, scans, time.monotonic() - began)
        return Learned(weights=path, scans=scans, sentence=found.sentence)

    def _remembered(self, lesson: Lesson) -> dict[str, Any]:
        """The scans in the network's box, by their keys; those whose results cannot be read now are left out."""
        from autophasenn.errors import AutoPhaseNNError

        boxes, known = dict[str, Any](), self._boxes
        self._boxes = {}
        for key, folder in lesson.scans:
            self.school.rest()
            try:
                place = (key, (folder / "result.cxi").stat().st_mtime_ns)
                boxes[key] = self._boxes[place] = known[place] if place in known else _box_of(folder)
            except (AutoPhaseNNError, OSError):
                continue
        return boxes

    def _write(self, path: Path, found: Any, lesson: Lesson, scans: tuple[str, ...], seconds: float) -> None:
        import torch

        from autophasenn.errors import OutputError
        from autophasenn.files.stored import sha256_of
        from autophasenn.network import weights
        from autophasenn.pipeline.summary import versions

        school = self.school
        card = {
            "method": "learned on, scan after scan",
            "number": number_in(school.folder, path),
            "since": time.time(),
            "learned_from": list(scans),
            "round": lesson.number,
            **found.facts(),
            "seconds": round(seconds, 1),
            "begun_with": {"file": lesson.begin_with.name, "sha256": sha256_of(lesson.begin_with)},
            "root": {"file": school.begun_with.name, "sha256": sha256_of(school.begun_with)},
            "options": asdict(school.options),
            "versions": versions(),
        }
        try:
            school.folder.mkdir(exist_ok=True)
            weights.save(found.network, card, path, torch.float32)
        except OSError as error:
            raise OutputError(
                f"What was learned could not be written to {path} ({error.strerror or error}), and the weights in use stay; "
                "make room there, or let yourself write to it."
            ) from error


def _box_of(folder: Path) -> Any:
    """A refined result in the network's box, with voxels held out that are the same each time."""
    from autophasenn.errors import InputError
    from autophasenn.inversion.prediction import in_network_box
    from autophasenn.pipeline.result import Result

    result = Result.load(folder)
    oversampling = result.report.oversampling
    if oversampling is None or len(oversampling) != 3:
        raise InputError(f"{folder} does not say how finely its pattern is sampled.")
    return in_network_box(result.pattern, oversampling, seed=result.report.seed or 0).inside
