"""Pictures of the frames of a scan: summed or one by one, in three sections, what is masked and why, rocking curve."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from autophasenn.report.detector import counts_scale
from autophasenn.report.planes import AXES, SECTIONS
from autophasenn.viewer import qaxes
from autophasenn.viewer.quantities import picture
from autophasenn.viewer.running.folder import read_json
from autophasenn.viewer.running.hand import Stroke, drawn

REASONS = (
    ("", ""),
    ("masked by the detector's or the file's mask", "#8a8f98"),
    ("gap, hot, full or dead, as the program found", "#e8a33d"),
    ("alien: light of another crystal", "#e05fd0"),
    ("masked by hand", "#35c4f0"),
)
"""By number in ``why.npy``, and the last one for strokes: what it is, and its colour."""
BY_HAND = 4


@dataclass(frozen=True)
class Look:
    """Where the frames are looked at.

    Parameters
    ----------
    section : int
        In `report.planes.SECTIONS`.
    is_summed : bool
        Over the axis that the section leaves out.
    index : int
        Along that axis, where it is not summed.
    """

    section: int = 0
    is_summed: bool = True
    index: int = 0


class Frames:
    """The frames that `pipeline.first_look` left in a folder; they stay on the disk.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    OSError, ValueError
        If they are not there.
    """

    def __init__(self, folder: Path) -> None:
        self.counts: NDArray[np.float32] = np.load(folder / "frames.npy", mmap_mode="r")
        self.why: NDArray[np.uint8] = np.load(folder / "why.npy")
        said = read_json(folder / "look.json") or {}
        self.facts: dict[str, str] = said.get("facts", {})
        self.warnings: list[str] = said.get("warnings", [])
        self.trouble: str = said.get("trouble", "")
        self.q_steps: list[float] | None = said.get("q_steps")
        self.q_peak: list[float] = said.get("q_peak") or [0.0, 0.0, 0.0]
        self.hand = np.zeros(self.shape, bool)
        self._sums: dict[int, NDArray[Any]] = {}
        self._shares: tuple[Look | None, list[NDArray[Any]]] = None, []

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        frames, rows, columns = self.counts.shape
        return frames, rows, columns

    def draw(self, strokes: Sequence[Stroke]) -> None:
        """Take the mask by hand."""
        self.hand = drawn(strokes, self.shape)

    def measured(self, strokes: Sequence[Stroke]) -> NDArray[np.bool_]:
        """What a reconstruction is given: all but the detector's mask and that by hand; it finds the rest itself."""
        return (self.why != 1) & ~drawn(strokes, self.shape)

    @property
    def share_left(self) -> float:
        """Of the voxels, that the mask by hand and that of the detector leave."""
        return float(((self.why != 1) & ~self.hand).mean())

    def peak(self) -> tuple[int, ...]:
        """The brightest voxel that is measured."""
        best, at = -1.0, (0, 0, 0)
        for number in range(len(self.counts)):  # frame by frame: the whole need not fit into the memory twice
            seen = np.where((self.why[number] == 0) & ~self.hand[number], self.counts[number], -1)
            place = int(seen.argmax())
            if seen.flat[place] > best:
                best = float(seen.flat[place])
                row, column = divmod(place, seen.shape[1])
                at = (number, row, column)
        return at

    def plane(self, look: Look) -> NDArray[Any]:
        """Counts (down, across)."""
        section = SECTIONS[look.section]
        if not look.is_summed:
            return section.cut(self.counts, look.index)
        if look.section not in self._sums:
            axis = section.normal
            if axis == 0:
                total = np.zeros(self.shape[1:])
                for number in range(len(self.counts)):
                    total += np.where(self.why[number] == 0, self.counts[number], 0)
            else:
                total = np.stack(
                    [
                        np.where(self.why[n] == 0, self.counts[n], 0).sum(axis - 1, dtype=np.float64)
                        for n in range(len(self.counts))
                    ]
                )
            self._sums[look.section] = total
        return section.oriented(self._sums[look.section])

    def picture(self, look: Look) -> str:
        """Counts of a plane on a logarithmic scale."""
        values = np.asarray(self.plane(look), float)
        seen = values[values > 0]
        if not seen.size:
            return picture(np.zeros((*values.shape, 3), np.uint8))
        colours, norm = counts_scale(float(seen.max()), float(seen.min()))
        raised = norm(np.maximum(values, norm.vmin or 0))
        return picture(np.asarray(colours(raised, bytes=True), np.uint8)[..., :3])

    def overlay(self, look: Look) -> str:
        """What is masked, over the same plane: a colour for each reason; in a sum the fainter, the fewer are masked."""
        section, normal = SECTIONS[look.section], SECTIONS[look.section].normal
        if self._shares[0] != look:
            why = self.why if look.is_summed else np.take(self.why, [look.index], axis=normal)
            self._shares = look, [(why == reason).mean(normal) for reason in (1, 2, 3)]
        hand = self.hand if look.is_summed else np.take(self.hand, [look.index], axis=normal)
        shares = [*self._shares[1], hand.mean(normal)]
        rgba = np.zeros((*shares[0].shape, 4))
        for (_, colour), share in zip(REASONS[1:], shares, strict=True):
            here = share > 0
            rgba[here, :3] = to_rgb(colour)
            rgba[here, 3] = 0.35 + 0.5 * share[here]
        turned = rgba if section.down < section.across else rgba.transpose(1, 0, 2)
        return _transparent((255 * turned).round().astype(np.uint8))

    def said(self, look: Look, down: float, across: float) -> str:
        """What is at a place of a plane, from 0 to 1 both ways."""
        section = SECTIONS[look.section]
        place = [look.index] * 3
        for axis, share in ((section.down, down), (section.across, across)):
            place[axis] = min(max(int(share * self.shape[axis]), 0), self.shape[axis] - 1)
        where = [(name, i) for axis, (name, i) in enumerate(zip(AXES, place, strict=True))
                 if not (look.is_summed and axis == section.normal)]  # fmt: skip
        words = ", ".join(f"{name} {i}" for name, i in where)
        if self.q_steps is not None:
            seen = [axis for axis in range(3) if not (look.is_summed and axis == section.normal)]
            chosen = [[each[axis] for axis in seen] for each in (place, self.q_peak, self.q_steps)]
            words += f", {qaxes.from_peak(*chosen)}"
        if look.is_summed:
            value = float(self.plane(look)[place[section.down], place[section.across]])
            return f"{words}: {value:,.6g} counts in all {AXES[section.normal]}s"
        at = (place[0], place[1], place[2])
        reason = REASONS[BY_HAND if self.hand[at] else int(self.why[at])][0]
        return f"{words}: {float(self.counts[at]):,.6g} counts{f', {reason}' if reason else ''}"

    def q_axes(self, look: Look) -> dict[str, Any]:
        """Ticks along the edges of a plane, as `parts.q_axes` draws them; none where the geometry is unknown."""
        found: dict[str, Any] = {"q_unit": qaxes.UNIT if self.q_steps is not None else "", "q_across": [], "q_down": []}
        section = SECTIONS[look.section]
        for edge, axis in (("across", section.across), ("down", section.down)):
            if self.q_steps is not None:
                first, step = -(self.q_peak[axis] + 0.5), self.q_steps[axis]
                found[f"q_{edge}"] = qaxes.on_edge(edge, first * step, (first + self.shape[axis]) * step)
        return found

    def rocking(self) -> NDArray[np.float64]:
        """Measured counts of each frame."""
        return np.array(
            [self.counts[n][(self.why[n] == 0) & ~self.hand[n]].sum(dtype=np.float64) for n in range(len(self.counts))]
        )

    def legend(self) -> list[dict[str, str]]:
        """Reasons that occur."""
        there = [*(bool((self.why == reason).any()) for reason in (1, 2, 3)), bool(self.hand.any())]
        return [{"text": text, "colour": colour} for (text, colour), is_there in zip(REASONS[1:], there, strict=True)
                if is_there]  # fmt: skip


def _transparent(rgba: NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, format="PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def rocking_figure(counts: NDArray[np.float64]) -> Figure:
    """The rocking curve; its colours are those of the page where it is drawn by `viewer.plots.themed`."""
    figure = Figure(figsize=(6.4, 1.7), layout="constrained")
    axes = figure.subplots()
    axes.step(np.arange(len(counts)), counts, where="mid", linewidth=1.6)
    axes.set_xlim(-0.5, len(counts) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("frame")
    axes.set_ylabel("counts")
    axes.grid(True)
    return figure
