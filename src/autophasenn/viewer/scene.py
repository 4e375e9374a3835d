"""The crystals in three dimensions: surfaces, cut open, side by side under one camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.report.opengl import NoOpenGLError, off_screen
from autophasenn.report.surface import LIGHTS
from autophasenn.viewer.bodies import body_of, enlargements, reach_of
from autophasenn.viewer.marks import FACING, Marks, Name, strain_of_facets
from autophasenn.viewer.quantities import Quantity
from autophasenn.viewer.results import StoredImage

BACKGROUNDS = {"light": "#ffffff", "dark": "#14161c"}
NEUTRAL = np.array([150, 150, 156], np.uint8)
"""Colour of what is too uncertain to be coloured."""
VIEWS = {
    "corner": ((1.0, 0.7, 1.2), (0.0, 1.0, 0.0)),
    "x": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
    "y": ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "z": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
}
"""From the crystal to the viewer, and what is up."""
MARGIN = 1.08
"""How much more than the crystal is seen."""
TURN = 15.0
"""Degrees that an arrow key turns the crystal."""
LINE = 0.012
"""Radius of a defect line, as a share of the crystal's."""

Direction = tuple[float, float, float]


@dataclass(frozen=True)
class Appearance:
    """How the crystals are shown.

    Parameters
    ----------
    threshold : float
        Amplitude of the surface, as a fraction of the largest.
    quantity : str
        Key of what they are coloured by.
    cut : tuple of directions, optional
        For each crystal that along which it is cut, a vector of length 1; None: whole.
    place : float
        Where they are cut, nm (or voxels) from the origin along that direction.
    is_flipped : bool
        True: what lies beyond the cut stays, else what lies before it.
    largest_spread : float, optional
        Where the phase is more uncertain than this (rad) the surface is grey; None: coloured everywhere.
    is_shaded : bool
        False: without light and shade, so that each colour is that of the colour bar.
    facets : str
        What facets are coloured by instead of the quantity: "families", "strain"; "none".
    has_lines : bool
        Whether defect lines are drawn.
    opacity : float
        Of the surface.
    """

    threshold: float = 0.3
    quantity: str = "phase"
    cut: tuple[Direction, ...] | None = None
    place: float = 0.0
    is_flipped: bool = False
    largest_spread: float | None = None
    is_shaded: bool = True
    facets: str = "none"
    has_lines: bool = False
    opacity: float = 1.0


class Scene:
    """One or two crystals in one window, which nobody sees: it is drawn into pictures, or sent to the browser.

    Parameters
    ----------
    images : sequence of StoredImage
    quantities : mapping of str to Quantity
        As `quantities_of` gives them.
    """

    def __init__(self, images: Sequence[StoredImage], quantities: Mapping[str, Quantity]) -> None:
        import pyvista

        self.quantities = quantities
        self.enlarged = enlargements(images)
        self._radius = max(each * reach_of(image) for each, image in zip(self.enlarged, images, strict=True))
        self.bodies = [body_of(image, quantities, number, self.enlarged[number]) for number, image in enumerate(images)]
        with ExitStack() as stack:
            try:
                stack.enter_context(off_screen())
                self.can_draw = True
            except NoOpenGLError:
                self.can_draw = False
            self.plotter: Any = pyvista.Plotter(
                off_screen=True, shape=(1, len(images)), border=False, lighting="none", window_size=[800, 600]
            )
        for position, intensity in LIGHTS:  # for all parts of the window
            self.plotter.add_light(pyvista.Light(position=position, intensity=intensity, light_type="camera light"))
        self.marks: list[Marks] = []
        """Of each crystal, once they are analysed."""
        self.facet_strain: Quantity | None = None
        self._voxels = [int(image.support.sum()) for image in images]
        self._actors: list[dict[str, Any]] = [{} for _ in images]
        self._meshes: list[dict[str, Any]] = [{} for _ in images]
        self.plotter.link_views()
        self.camera.parallel_projection = True
        self._narrowness = self._how_narrow()
        window: Any = self.plotter.render_window
        self.window = window
        window.AddObserver("WindowResizeEvent", lambda *_: self._fit_width())
        self.look("corner")

    @property
    def camera(self) -> Any:
        """The one that all crystals are seen through."""
        return self.plotter.renderers[0].camera

    @property
    def radius(self) -> float:
        """Of the sphere about the origin that holds every crystal, nm (or voxels)."""
        return self._radius

    def show(self, appearance: Appearance) -> list[float]:
        """Draw the crystals so; of each the share of its voxels at this threshold, 0 where nothing of it is seen."""
        return [self._show(number, appearance) for number in range(len(self.bodies))]

    def _show(self, number: int, appearance: Appearance) -> float:
        body, quantity = self.bodies[number], self.quantities[appearance.quantity]
        parts: dict[str, Any] = {"surface": None, "face": None}
        above = int((body.amplitude >= appearance.threshold).sum())
        if above:
            grid = body.grid(appearance.threshold)
            surface = grid.contour([appearance.threshold], scalars="amplitude", compute_normals=True)
            plane = _plane(appearance, number)
            if plane is None:
                parts["surface"] = surface
            else:
                parts["surface"] = surface.clip(**plane)
                face = grid.slice(normal=plane["normal"], origin=plane["origin"])
                if face.n_points:
                    parts["face"] = face.clip_scalar(scalars="amplitude", value=appearance.threshold, invert=False)
        self.plotter.subplot(0, number)
        for name, mesh in parts.items():
            self._place(number, name, mesh, quantity, appearance)
        self._place_lines(number, appearance)
        if not any(mesh is not None and mesh.n_points > 0 for mesh in parts.values()):
            return 0.0
        return above / max(1, self._voxels[number])

    def _place(self, number: int, name: str, mesh: Any, quantity: Quantity, appearance: Appearance) -> None:
        actors = self._actors[number]
        self._meshes[number].pop(name, None)
        if mesh is None or mesh.n_points == 0:
            if name in actors:
                actors[name].SetVisibility(False)
            return
        mesh = mesh.extract_surface(algorithm="dataset_surface") if name == "face" else mesh
        coloured = mesh.copy(deep=False)
        coloured.clear_data()
        is_marked = appearance.facets != "none" and bool(self.marks)
        coloured.point_data["colour"] = (
            self._facet_colours(number, name, mesh, appearance) if is_marked else _colours(mesh, quantity, appearance)
        )
        if "Normals" in mesh.point_data and name == "surface":
            coloured.point_data.active_normals = mesh.point_data["Normals"]
        self._meshes[number][name] = coloured
        if name not in actors:
            is_flat = name == "face"
            actors[name] = self.plotter.add_mesh(
                coloured, scalars="colour", rgb=True, show_scalar_bar=False, reset_camera=False, render=False,
                interpolation="Flat" if is_flat else "Gouraud", specular=0.0,
            )  # fmt: skip
        else:
            actors[name].mapper.SetInputData(coloured)
        diffuse = 0.5 if appearance.is_shaded and name == "surface" else 0.0
        actors[name].prop.ambient, actors[name].prop.diffuse = 1 - diffuse, diffuse
        # of a surface that is seen through only the near side is drawn, so that no order of its triangles matters
        actors[name].prop.opacity = appearance.opacity
        actors[name].prop.culling = "back" if appearance.opacity < 1 and name == "surface" else "none"
        actors[name].SetVisibility(True)

    def mark(self, marks: Sequence[Marks], before: Quantity | None = None) -> None:
        """Draw facets and lines of these analyses from now on, their strain on the scale of before if there is one."""
        self.marks, self.facet_strain = list(marks), strain_of_facets(marks, before)

    def _facet_colours(self, number: int, name: str, mesh: Any, appearance: Appearance) -> NDArray[np.uint8]:
        """Of the surface the colour of the nearest facet; the face of a cut belongs to none."""
        marks = self.marks[number]
        if name != "surface":
            return np.full((mesh.n_points, 3), NEUTRAL, np.uint8)
        numbers = marks.numbers_at(np.asarray(mesh.points, float) / self.enlarged[number])
        scale = self.facet_strain if appearance.facets == "strain" else None
        return marks.families[numbers] if scale is None else scale.rgb(scale.volumes[number][numbers])

    def _place_lines(self, number: int, appearance: Appearance) -> None:
        """Defect lines as tubes."""
        import pyvista

        actors = self._actors[number]
        lines = self.marks[number].lines if self.marks and appearance.has_lines else ()
        self._meshes[number].pop("lines", None)
        if not lines:
            if "lines" in actors:
                actors["lines"].SetVisibility(False)
            return
        parts = []
        for points, colour in lines:
            drawn = np.asarray(self.enlarged[number] * points, np.float64)
            part = pyvista.lines_from_points(drawn).tube(radius=LINE * self.radius)
            part.clear_data()
            part.point_data["colour"] = np.tile(np.array(pyvista.Color(colour).int_rgb, np.uint8), (part.n_points, 1))
            parts.append(part)
        tubes = pyvista.merge(parts).extract_surface(algorithm="dataset_surface")
        self._meshes[number]["lines"] = tubes
        if "lines" not in actors:
            actors["lines"] = self.plotter.add_mesh(
                tubes, scalars="colour", rgb=True, show_scalar_bar=False, reset_camera=False, render=False, specular=0.0
            )
        else:
            actors["lines"].mapper.SetInputData(tubes)
        actors["lines"].SetVisibility(True)

    def names(self, appearance: Appearance) -> list[tuple[int, Name, NDArray[np.float64]]]:
        """Facets that look at the viewer and lines, with their names: number of the crystal, and place in its part of the
        window, to the right and up from its middle, in halves of its height.
        """
        rotation, found = self.orientation(), []
        focal = np.array(self.camera.focal_point)
        for number, marks in enumerate(self.marks):
            facets = marks.facets if appearance.facets != "none" else ()
            lines = marks.line_names if appearance.has_lines else ()
            for name in (*facets, *lines):
                if name.normal is not None and (rotation @ np.array(name.normal))[2] < FACING:
                    continue
                place = self.enlarged[number] * np.array(name.place)
                plane = _plane(appearance, number)
                if name.normal is not None and plane is not None:
                    is_beyond = float(np.dot(place, plane["normal"])) > appearance.place
                    if is_beyond != appearance.is_flipped:
                        continue
                seen = rotation @ (place - focal) / float(self.camera.parallel_scale)
                found.append((number, name, seen[:2]))
        return found

    def background(self, theme: str) -> None:
        """The colour behind the crystals."""
        self.plotter.set_background(BACKGROUNDS[theme], all_renderers=True)

    def look(self, view: str) -> None:
        """From one of `VIEWS`, everything in sight."""
        towards, up = VIEWS[view]
        direction = np.array(towards) / np.linalg.norm(towards)
        self.camera.focal_point = (0.0, 0.0, 0.0)
        self.camera.position = tuple(direction * self.radius * 10)
        self.camera.up = up
        self.camera.parallel_scale = MARGIN * self.radius * self._narrowness
        self._fit_depth()

    def look_like(self, other: Scene) -> None:
        """From where another scene is seen."""
        camera = other.camera
        seen = camera.parallel_scale * self._narrowness / other.narrowness
        self.place_camera(camera.position, camera.focal_point, camera.up, seen)

    def turn(self, right: float, up: float) -> None:
        """Turn the camera about the crystal by degrees."""
        self.camera.Azimuth(right)
        self.camera.Elevation(up)
        self.camera.OrthogonalizeViewUp()
        self._fit_depth()

    def zoom(self, factor: float) -> None:
        """Enlarge what is seen."""
        self.camera.parallel_scale /= factor

    @property
    def narrowness(self) -> float:
        """How much taller than wide a crystal's part of the window is, 1 at least."""
        return self._narrowness

    def camera_numbers(self) -> list[float]:
        """Position, focal point and what is up, then half of the height that is seen in a window as wide as tall."""
        camera = self.camera
        return [*camera.position, *camera.focal_point, *camera.up, camera.parallel_scale / self._narrowness]

    def place_camera(
        self, position: Sequence[float], focal: Sequence[float], up: Sequence[float], scale: float
    ) -> None:
        """Where the browser's own camera stands."""
        self.camera.position, self.camera.focal_point, self.camera.up = tuple(position), tuple(focal), tuple(up)
        self.camera.parallel_scale = scale
        self._fit_depth()

    def orientation(self) -> NDArray[np.float64]:
        """To the right, up and towards the viewer: rows of a (3, 3) rotation."""
        towards = np.array(self.camera.position) - np.array(self.camera.focal_point)
        towards /= np.linalg.norm(towards)
        right = np.cross(self.camera.up, towards)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(towards, right), towards])

    def size_in_bytes(self) -> int:
        """Of the meshes, as the browser would receive them."""
        meshes = [mesh for each in self._meshes for mesh in each.values()]
        # three floats and a normal and a colour a point, four integers a triangle
        return sum(27 * mesh.n_points + 16 * mesh.n_cells for mesh in meshes)

    def picture(self) -> NDArray[np.uint8]:
        """The view as it stands: uint8 (rows, columns, 3)."""
        self.plotter.render()
        return np.asarray(self.plotter.screenshot(return_img=True))[..., :3]

    def close(self) -> None:
        """Give the memory back; Python does not see that the window holds what observes it."""
        self.window.RemoveAllObservers()
        self.plotter.close()

    def _how_narrow(self) -> float:
        """How much taller than wide a crystal's part of the window is, 1 at least."""
        width, height = self.plotter.render_window.GetSize()
        return max(1.0, len(self.bodies) * height / max(width, 1))

    def _fit_width(self) -> None:
        """Keep in sight what is, however wide the window becomes."""
        before, self._narrowness = self._narrowness, self._how_narrow()
        self.camera.parallel_scale *= self._narrowness / before

    def _fit_depth(self) -> None:
        distance = float(np.linalg.norm(np.array(self.camera.position) - np.array(self.camera.focal_point)))
        self.camera.clipping_range = (max(distance - 2 * self.radius, 0.01 * distance), distance + 2 * self.radius)


def _plane(appearance: Appearance, number: int) -> dict[str, Any] | None:
    """Where a crystal is cut, as pyvista takes it."""
    if appearance.cut is None:
        return None
    normal = np.array(appearance.cut[number])
    return {"normal": tuple(normal), "origin": tuple(normal * appearance.place), "invert": not appearance.is_flipped}


def _colours(mesh: Any, quantity: Quantity, appearance: Appearance) -> NDArray[np.uint8]:
    data = mesh.point_data
    if quantity.is_cyclic:
        values = np.arctan2(data[f"{quantity.key} sine"], data[f"{quantity.key} cosine"])
    else:
        values = np.asarray(data[quantity.key])
    colours = quantity.rgb(values)
    if appearance.largest_spread is not None and "phase_spread" in data:
        colours[np.asarray(data["phase_spread"]) > appearance.largest_spread] = NEUTRAL
    return colours
