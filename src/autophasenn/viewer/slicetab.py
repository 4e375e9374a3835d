"""The slices as one browser sees them: crosshair, zoom, and the plot beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autophasenn.image import Floats
from autophasenn.viewer import plots
from autophasenn.viewer.figure import written
from autophasenn.viewer.profile import profile_of, spread_of
from autophasenn.viewer.sheet import slices_figure
from autophasenn.viewer.slices import Crosshair, Drawing, Slices, Window, slices_of

if TYPE_CHECKING:
    from autophasenn.viewer.owner import Owner

STEP = 1.25
"""Of one turn of the wheel."""


class SliceTab:
    """The slices of one browser.

    Parameters
    ----------
    owner : Owner
    """

    FOLLOWS = ("quantity", "threshold", "plot")

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.window = Window()
        self._slices: list[Slices] = []
        self._crosshairs: list[Crosshair] = []
        self._ends: list[list[float]] = []
        self._line_of = 0
        owner.state.update({"slices": [], "plot_picture": "", "plot_text": "", "is_zoomed": False})

    def open(self) -> None:
        """Begin at the middle of what is open now."""
        self._slices = slices_of(self.owner.images)
        self._crosshairs = [slices.start for slices in self._slices]
        self._ends, self.window = [], Window()
        self.update()

    def drawing(self, number: int) -> Drawing:
        """How the slices of a result are drawn."""
        is_there = self.owner.state.plot == "profile" and len(self._ends) == 2 and self._has_unit_of_line(number)
        line = (self._ends[0], self._ends[1]) if is_there else None
        return Drawing(self.owner.quantity, float(self.owner.state.threshold), self.window, line)

    def update(self) -> None:
        """Draw the slices, and the plot beside them."""
        self.owner.state.slices = [
            slices.drawn(crosshair, self.drawing(number))
            for number, (slices, crosshair) in enumerate(zip(self._slices, self._crosshairs, strict=True))
        ]
        self.owner.state.is_zoomed = self.window.zoom > 1
        self._plot()

    def _has_unit_of_line(self, number: int) -> bool:
        return self.owner.images[number].unit == self.owner.images[self._line_of].unit

    # the plot

    def _numbers_of_line(self) -> list[int]:
        return [number for number in range(len(self._slices)) if self._has_unit_of_line(number)]

    def _plot(self) -> None:
        state = self.owner.state
        if state.plot == "profile" and len(self._ends) < 2:
            words = ("Click in a slice where the profile shall begin.", "Click where it shall end.")
            state.update({"plot_picture": "", "plot_text": words[len(self._ends)]})
            return
        figure, text = self._figure(state.theme)
        state.update({"plot_picture": plots.address(figure), "plot_text": text})

    def _figure(self, theme: str) -> tuple[Any, str]:
        quantity, images, names = self.owner.quantity, self.owner.images, list(self.owner.state.panes)
        if self.owner.state.plot == "profile":
            numbers = self._numbers_of_line()
            found = self._profiles()
            unit = images[self._line_of].unit
            text = f"Profile over {found[0].distance[-1]:.3g} {unit}"
            return plots.profile(theme, quantity, [names[n] for n in numbers], unit, found), text
        spreads = self._spreads()
        text = f"Histogram: {quantity.title}, mean {spreads[0].mean:.3g}, std {spreads[0].std:.3g}"
        return plots.histogram(theme, quantity, names, spreads), text.replace("-", "−")

    def _profiles(self) -> list[Any]:
        quantity = self.owner.quantity
        return [
            profile_of(self.owner.images[n], quantity.volumes[n], (self._ends[0], self._ends[1]), quantity.is_cyclic)
            for n in self._numbers_of_line()
        ]

    def _spreads(self) -> list[Any]:
        threshold, quantity = float(self.owner.state.threshold), self.owner.quantity
        return [spread_of(image, quantity, number, threshold) for number, image in enumerate(self.owner.images)]

    def plot_file(self, kind: str) -> bytes:
        """The plot as a file; `kind`: png, svg, pdf, or csv for its numbers."""
        if kind != "csv":
            return written(self._figure("light")[0], kind, "white")
        quantity, names = self.owner.quantity, list(self.owner.state.panes)
        columns: dict[str, Floats] = {}
        if self.owner.state.plot == "profile" and len(self._ends) == 2:
            unit = self.owner.images[self._line_of].unit
            for number, found in zip(self._numbers_of_line(), self._profiles(), strict=True):
                columns[f"distance ({unit})"] = found.distance
                columns[f"{quantity.title}, {names[number]}"] = found.values
                columns[f"amplitude, {names[number]}"] = found.amplitude
        else:
            for name, spread in zip(names, self._spreads(), strict=True):
                columns[quantity.title] = (spread.edges[1:] + spread.edges[:-1]) / 2
                columns[f"voxels (%), {name}"] = spread.share
        return plots.table(columns).encode()

    def figure(self, kind: str) -> bytes:
        """The slices as a file; `kind`: png, svg or pdf."""
        state = self.owner.state
        drawings = [self.drawing(number) for number in range(len(self._slices))]
        return slices_figure(self._slices, self._crosshairs, drawings, list(state.panes), state.theme, kind)

    # what the page calls

    def _numbers(self, number: Any, plane: Any, across: Any, up: Any) -> tuple[int, int, float, float]:
        """What a browser said, if there is such a slice."""
        found = int(number), int(plane), min(max(float(across), 0.0), 1.0), min(max(float(up), 0.0), 1.0)
        if not (0 <= found[0] < len(self._slices) and 0 <= found[1] < 3):
            raise ValueError(f"there is no plane {plane} of result {number}")
        return found

    def probe(self, number: int, plane: int, across: float, up: float) -> None:
        """Say what is under the pointer in a slice; both coordinates from 0 to 1."""
        number, plane, across, up = self._numbers(number, plane, across, up)
        slices = self._slices[number]
        voxel = slices.voxel_at(slices.planes[plane], self._crosshairs[number], across, up, self.window)
        self.owner.state.said = slices.said(voxel, self.owner.quantity)

    def click(self, number: int, plane: int, across: float, up: float) -> None:
        """Put the crosshair under the pointer, in a second result at the same place; or an end of the profile."""
        number, plane, across, up = self._numbers(number, plane, across, up)
        slices = self._slices[number]
        voxel = slices.voxel_at(slices.planes[plane], self._crosshairs[number], across, up, self.window)
        if self.owner.state.plot == "profile":
            if len(self._ends) == 2 or (self._ends and self._line_of != number):
                self._ends = []
            self._ends.append(slices.position(voxel))
            self._line_of = number
            self.owner.want("slices")
        else:
            self._cross(number, voxel)

    def wheel(self, number: int, plane: int, across: float, up: float, turned: float) -> None:
        """Zoom about the pointer."""
        number, plane, across, up = self._numbers(number, plane, across, up)
        slices = self._slices[number]
        voxel = slices.voxel_at(slices.planes[plane], self._crosshairs[number], across, up, self.window)
        self._zoom(STEP if float(turned) < 0 else 1 / STEP, slices, voxel)

    def zoom(self, by: float) -> None:
        """Zoom about the crosshair; 0: all of it."""
        if not self._slices:
            return
        if not by:
            self.window = Window()
            self.owner.want("slices")
        else:
            self._zoom(STEP**2 if float(by) > 0 else STEP**-2, self._slices[0], self._crosshairs[0])

    def _zoom(self, factor: float, slices: Slices, voxel: Crosshair) -> None:
        self.window = self.window.zoomed(factor, slices.from_middle(voxel), slices.side)
        self.owner.want("slices")

    def set_slice(self, number: int, axis: int, index: int) -> None:
        """Move the slice that leaves out an axis."""
        number, axis, *_ = self._numbers(number, axis, 0, 0)
        self._cross(number, self._crosshairs[number].moved(axis, int(index), self.owner.images[number].amplitude.shape))

    def voxel(self) -> tuple[int, int, int] | None:
        """Where the slices of the first result meet; None: where they met at first."""
        if not self._slices or self._crosshairs[0] == self._slices[0].start:
            return None
        return self._crosshairs[0].voxel

    def go(self, voxel: tuple[int, int, int]) -> None:
        """Have the slices meet there."""
        if self._slices:
            crosshair, shape = self._crosshairs[0], self.owner.images[0].amplitude.shape
            for axis in range(3):
                crosshair = crosshair.moved(axis, voxel[axis], shape)
            self._cross(0, crosshair)

    def _cross(self, number: int, crosshair: Crosshair) -> None:
        place = self._slices[number].position(crosshair)
        for other, image in enumerate(self.owner.images):
            if image.unit != self.owner.images[number].unit:  # a voxel is no nanometre
                continue
            voxel = Crosshair((0, 0, 0))
            for axis in range(3):
                index = round(place[axis] / image.spacing[axis]) + image.amplitude.shape[axis] // 2
                voxel = voxel.moved(axis, index, image.amplitude.shape)
            self._crosshairs[other] = crosshair if other == number else voxel
        self.owner.state.said = self._slices[number].said(crosshair, self.owner.quantity)
        self.owner.want("slices")
