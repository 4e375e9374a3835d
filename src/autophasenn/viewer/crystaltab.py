"""The crystals in three dimensions, as one browser sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.viewer.figure import view_figure
from autophasenn.viewer.film import STEPS, film
from autophasenn.viewer.marks import Marks
from autophasenn.viewer.overlay import overlay
from autophasenn.viewer.quantities import Quantity
from autophasenn.viewer.scene import TURN, Appearance, Direction, Scene
from autophasenn.viewer.views import Camera

if TYPE_CHECKING:
    from autophasenn.viewer.owner import Owner

SMALL_MESH = 8 * 2**20
"""Bytes of surface that a browser takes in a moment; more is drawn on the server."""
NO_BAR: dict[str, Any] = {"title": "", "ramp": "", "ticks": [], "legend": []}
TURNS = {"ArrowLeft": (-TURN, 0.0), "ArrowRight": (TURN, 0.0), "ArrowUp": (0.0, TURN), "ArrowDown": (0.0, -TURN)}
ZOOMS = {"+": 1.25, "=": 1.25, "-": 0.8}
HOME = "Home"


class CrystalTab:
    """The scene of one browser.

    Parameters
    ----------
    owner : Owner
    """

    FOLLOWS = ("threshold", "quantity", "cut", "direction", "place", "is_flipped", "doubt", "largest_spread", "is_shaded",
               "facets", "has_lines", "opacity")  # fmt: skip

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.scene: Scene | None = None
        self._facet_strain: Quantity | None = None
        owner.state.update(
            {
                "bar": NO_BAR,
                "note": [],
                "overlays": [],
                "marks": [],
                "can_draw": True,
                "is_small": True,
                "mesh_mb": "",
                "reach": 1.0,
                "has_q": False,
            }
        )

    def open(self, *, anew: bool) -> None:
        """Make the scene of what is open; `anew`: seen from where the last one was."""
        owner = self.owner
        before, self.scene = self.scene, Scene(owner.images, owner.quantities)
        if before is not None:
            if anew:
                self.scene.look_like(before)
            before.close()
        scene = self.scene
        owner.state.update(
            {
                "reach": scene.radius,
                "can_draw": scene.can_draw,
                "in_browser": owner.state.in_browser or not scene.can_draw,
            }
        )
        self._show()
        scene.camera.AddObserver("ModifiedEvent", lambda *_: owner.want("overlay"))

    def appearance(self) -> Appearance:
        """What the controls ask for."""
        state = self.owner.state
        doubt = float(state.largest_spread) if state.doubt and state.has_spread else None
        return Appearance(
            float(state.threshold), self.owner.quantity.key, self._cuts(), float(state.place), bool(state.is_flipped), doubt,
            bool(state.is_shaded), self.painted, bool(state.has_lines) and not state.is_difference, float(state.opacity),
        )  # fmt: skip

    def _cuts(self) -> tuple[Direction, ...] | None:
        """Along what each crystal is cut: an axis, its own Q, or a direction that somebody gave."""
        state, images = self.owner.state, self.owner.images
        if state.cut == "none" or (state.cut == "q" and not state.has_q):
            return None
        if state.cut == "q":
            directions = [image.scattering_vector for image in images]
        elif state.cut == "other":
            directions = [np.array(state.direction.split(), float)] * len(images)
        else:
            directions = [np.eye(3)[int(state.cut)]] * len(images)
        return tuple(_unit(each) for each in directions if each is not None)

    def cut_as_seen(self) -> None:
        """Cut across the line of sight; what is behind stays."""
        if self.scene is not None:
            towards = ((each if abs(each) > 5e-4 else 0.0) for each in self.scene.orientation()[2])
            self.owner.state.update(
                {"cut": "other", "direction": " ".join(f"{each:.3g}" for each in towards), "is_flipped": False}
            )

    @property
    def painted(self) -> str:
        """What facets are coloured by; "none" until they are found, and where none has what was asked for."""
        asked, marks = self.owner.state.facets, [] if self.scene is None else self.scene.marks
        if self.scene is None or not marks or self.owner.state.is_difference or not any(each.facets for each in marks):
            return "none"
        return "families" if asked == "strain" and self.scene.facet_strain is None else str(asked)

    def mark(self, marks: Sequence[Marks]) -> None:
        """Draw facets and lines of these analyses from now on."""
        if self.scene is not None and len(marks) in (0, len(self.scene.bodies)):
            self.scene.mark(marks, self._facet_strain if self.owner.held else None)
            self._facet_strain = self.scene.facet_strain or self._facet_strain

    def legend(self) -> dict[str, Any]:
        """The colour bar, or the families of the facets."""
        scene = self.scene
        if scene is not None and self.painted == "families":
            found = {words: colour for each in scene.marks for words, colour in each.legend.items()}
            if len(scene.marks) > 1:  # each has its own shares
                found = {words.rsplit(" ", 2)[0] if "%" in words else words: c for words, c in found.items()}
            items = [{"words": words, "colour": colour} for words, colour in found.items()]
            return {
                "title": "Facets by family, with their share of the surface",
                "ramp": "",
                "ticks": [],
                "legend": items,
            }
        quantity = self.owner.quantity
        if scene is not None and self.painted == "strain":
            quantity = scene.facet_strain or quantity
        return {"title": quantity.title, "ramp": quantity.ramp(), "ticks": quantity.ticks(), "legend": []}

    async def update(self) -> None:
        """Draw the surface and its colour bar as the controls are."""
        state, page, bar = self.owner.state, self.owner.page, self.legend()
        if bar != state.bar:  # no bar rather than a wrong one, until the browser has the picture that it belongs to
            state.bar = NO_BAR
            state.flush()
        self._show()
        if page is not None:
            page.push()
            if bar != state.bar:
                await page.delivered()
        state.bar = bar

    def _show(self) -> None:
        assert self.scene is not None
        state, appearance = self.owner.state, self.appearance()
        self.scene.background(state.theme)
        shares = self.scene.show(appearance)
        size = self.scene.size_in_bytes()
        state.update(
            {
                "note": [_note(name, share, appearance) for name, share in zip(state.panes, shares, strict=True)],
                "is_small": size <= SMALL_MESH,
                "mesh_mb": f"{size / 2**20:.1f}",
            }
        )
        if size > SMALL_MESH and self.scene.can_draw:
            state.in_browser = False

    def update_overlay(self) -> None:
        """Scale bars and axes for the camera as it stands, and the picture of the crystals with them."""
        assert self.scene is not None
        if self.owner.page is not None:
            self.owner.page.deliver()
        units = {image.unit for image in self.owner.images}
        own = self.owner.images if len(units) > 1 else self.owner.images[:1]
        self.owner.state.overlays = [overlay(self.scene, image, number) for number, image in enumerate(own)]
        parts = len(self.owner.images)
        self.owner.state.marks = [
            {
                "words": name.words,
                "colour": name.colour,
                "left": f"calc({100 * (number + 0.5) / parts:.3f}% + {50 * right:.2f}cqh)",
                "top": f"{50 - 50 * up:.2f}%",
            }
            for number, name, (right, up) in self.scene.names(self.appearance())
        ]

    def camera(self) -> Camera | None:
        """From where this browser looks."""
        return None if self.scene is None else Camera.of(self.scene.camera_numbers())

    def look_from(self, camera: Camera) -> None:
        """Look from where somebody else did."""
        if self.scene is not None:
            self.scene.place_camera(camera.position, camera.focal, camera.up, camera.scale * self.scene.narrowness)
            self._push()

    def look(self, view: str) -> None:
        """See the crystals from a named side."""
        if self.scene is not None:
            self.scene.look(str(view))
            self._push()

    def key(self, name: str) -> None:
        """Turn or zoom by the keyboard."""
        if self.scene is None or name not in (*TURNS, *ZOOMS, HOME):
            return
        if name in TURNS:
            self.scene.turn(*TURNS[name])
        elif name in ZOOMS:
            self.scene.zoom(ZOOMS[name])
        else:
            self.scene.look("corner")
        self._push()

    def place_camera(self, camera: dict[str, Any]) -> None:
        """The browser turned the crystals itself: the server's camera follows."""
        if self.scene is not None and isinstance(camera, dict) and self.owner.state.in_browser:
            found = Camera.of([*camera["position"], *camera["focalPoint"], *camera["viewUp"], camera["parallelScale"]])
            self.scene.place_camera(found.position, found.focal, found.up, found.scale)

    def browser_ready(self) -> None:
        """The browser drew the crystals for the first time, from where it thought best: it shall look from here."""
        if self.owner.page is not None:
            self.owner.page.push_camera()

    def _push(self) -> None:
        if self.owner.page is not None:
            self.owner.page.push(camera=True)

    async def figure(self, kind: str) -> bytes:
        """The view with its colour bar, scale bar and names, for a slide; `kind`: png, svg or pdf."""
        assert self.scene is not None
        return await asyncio.to_thread(self._drawn, self.scene.picture(), kind)

    def _drawn(self, picture: NDArray[np.uint8], kind: str = "png") -> bytes:
        assert self.scene is not None
        quantity, state, scene = self.owner.quantity, self.owner.state, self.scene
        if self.painted == "strain":
            quantity = scene.facet_strain or quantity
        legend = {each["words"]: each["colour"] for each in self.legend()["legend"]}
        rows, columns = picture.shape[:2]
        names = [
            (
                (number + 0.5) * columns / len(scene.bodies) + right * rows / 2,
                (1 + up) * rows / 2,
                name.words,
                name.colour,
            )
            for number, name, (right, up) in scene.names(self.appearance())
        ]
        return view_figure(
            picture,
            quantity,
            list(state.panes),
            self.appearance(),
            self._pixels(picture),
            state.theme,
            kind,
            legend,
            names,
        )

    def _pixels(self, picture: NDArray[np.uint8]) -> list[tuple[float, str]]:
        """Edge of a pixel in the part of each result, and its unit."""
        assert self.scene is not None
        edge = 2 * self.scene.camera.parallel_scale / picture.shape[0]
        return [(edge / each, image.unit) for each, image in zip(self.scene.enlarged, self.owner.images, strict=True)]

    async def film(self) -> bytes:
        """One turn about the vertical of the picture as an animated GIF, with scale bar."""
        assert self.scene is not None
        scene, camera = self.scene, self.camera()
        assert camera is not None
        pictures = []
        try:
            for _ in range(STEPS):
                pictures.append(scene.picture())
                scene.turn(360 / STEPS, 0.0)
                await asyncio.sleep(0)
        finally:
            scene.place_camera(camera.position, camera.focal, camera.up, camera.scale * scene.narrowness)
        edge, unit = self._pixels(pictures[0])[0]
        return await asyncio.to_thread(film, pictures, edge, unit, self.owner.state.theme)

    def close(self) -> None:
        """Give the window back."""
        if self.scene is not None:
            self.scene.close()
            self.scene = None


def _unit(vector: Any) -> Direction:
    x, y, z = (float(part) for part in np.asarray(vector) / np.linalg.norm(vector))
    return x, y, z


def _note(name: str, share: float, appearance: Appearance) -> str:
    """What is said over a crystal of which little is left."""
    if share == 0:
        return (
            f"Nothing of {name} has an amplitude of {appearance.threshold:.2f} or more here: lower the threshold, or "
            "move the cut."
        )
    if share < FEW:
        return f"Only {100 * share:.1g} % of {name} has an amplitude of {appearance.threshold:.2f} or more."
    return ""


FEW = 0.002
"""Share of a crystal's voxels below which what is left of it is hardly seen."""
