"""The surface of the crystal: where the amplitude is 0.3, with phase and strain on it, rendered off screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autophasenn.errors import InputError
from autophasenn.image import CrystalImage
from autophasenn.report.contour import Body
from autophasenn.report.opengl import off_screen

ISOVALUE = 0.3
"""Amplitude of the surface, as a fraction of the largest."""
LIGHTS = (((-0.6, 0.9, 1.0), 0.55), ((0.9, -0.6, 0.8), 0.35), ((0.0, 0.0, 1.0), 0.25))
"""Where the lights stand as seen from the camera, and how bright they are."""


PIXELS = 440
"""Side of a rendered picture: 4 inches of a figure."""


@dataclass(frozen=True)
class View:
    """A direction from which the crystal is seen, without perspective.

    Parameters
    ----------
    name : str
    towards_viewer : 3 floats
        From the crystal to the viewer, on the axes of the image.
    up : 3 floats
        A direction that is drawn upwards.
    """

    name: str
    towards_viewer: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 1.0, 0.0)

    def basis(self) -> NDArray[np.float64]:
        """Unit vectors to the right, up and towards the viewer: rows of a (3, 3) rotation."""
        towards = np.array(self.towards_viewer, dtype=np.float64)
        towards /= np.linalg.norm(towards)
        right = np.cross(self.up, towards)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(towards, right), towards])


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles of the isosurface and what was sampled at their corners.

    Parameters
    ----------
    mesh : pyvista.PolyData
        Corners in nm (or voxels), the middle of their bounding box at the origin.
    phase : float array (corners,)
        Bragg phase in rad, wrapped into -pi..pi.
    strain : float array (corners,), optional
        Dimensionless.
    """

    mesh: Any
    phase: NDArray[np.float32]
    strain: NDArray[np.float32] | None

    def half_width(self, views: Sequence[View]) -> float:
        """Half the side of the square that holds the surface in each of `views`, with a margin (nm or voxels)."""
        corners = np.asarray(self.mesh.points)
        return 1.15 * max(float(np.abs(corners @ view.basis()[:2].T).max()) for view in views)


def surface_of(
    image: CrystalImage, isovalue: float = ISOVALUE, *, cut: tuple[float, float, float] | None = None
) -> Surface:
    """Isosurface of the amplitude in and around the support; of its half behind the plane of normal `cut` where given.

    The phase is not interpolated itself: between voxels at +3.1 and -3.1 rad that would invent a 0 and draw a rainbow
    along a line where nothing happens. Its cosine and sine are, and each corner takes their angle. Where the surface
    lies just outside the support, phase and strain are those of the nearest voxel inside. Pieces of less than 1 % of
    the volume of the largest one are left out.

    Raises
    ------
    InputError
        If no voxel of the support reaches the isovalue.
    """
    inside = (image.amplitude >= isovalue) & image.support
    if not inside.any():
        raise InputError(
            f"No voxel of the support has an amplitude of {isovalue:g} or more (largest of the image: "
            f"{float(np.nanmax(image.amplitude)):g}), so there is no surface to draw. Scale the largest amplitude to 1."
        )
    fields = {"cosine": np.cos(image.phase), "sine": np.sin(image.phase)}
    if image.strain is not None:
        fields["strain"] = image.strain
    body = Body.of(image.amplitude, image.support, fields, image.spacing)
    whole = body.surface(isovalue)
    middle = np.array(whole.center, dtype=np.float32)
    mesh = whole if cut is None else body.half(isovalue, cut, middle.tolist())
    mesh.points = np.asarray(mesh.points) - middle
    strain = None if image.strain is None else np.asarray(mesh["strain"])
    return Surface(mesh, np.arctan2(mesh["sine"], mesh["cosine"]).astype(np.float32), strain)


class Renderer:
    """Pictures of one surface without perspective, so that a length is the same everywhere; each is rendered once.

    Use it as a context, so that the window is closed.

    Parameters
    ----------
    surface : Surface
    half_width : float
        From the middle of a picture to its edge, in nm (or voxels).
    pixels : int
        Side of a picture.

    Raises
    ------
    NoOpenGLError
        If nothing can be rendered on this machine.
    """

    def __init__(self, surface: Surface, half_width: float, pixels: int = PIXELS) -> None:
        self.half_width = half_width
        self._pictures: dict[tuple[str, View], NDArray[np.uint8]] = {}
        self._mesh = surface.mesh
        self._actors: dict[str, Any] = {}
        with off_screen():
            import pyvista

            plotter: Any = pyvista.Plotter(off_screen=True, window_size=[pixels, pixels], lighting="none")
        self._plotter = plotter
        plotter.set_background("white")
        for position, intensity in LIGHTS:
            plotter.add_light(pyvista.Light(position=position, intensity=intensity, light_type="camera light"))
        plotter.enable_anti_aliasing("ssaa")
        plotter.enable_parallel_projection()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def picture(self, name: str, colours: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
        """The surface from one side: uint8 (pixels, pixels, 3), white around the crystal.

        Parameters
        ----------
        name : str
            Of what the surface is coloured by.
        colours : uint8 array (corners, 3)
            RGB at each corner.
        view : View
        """
        if (name, view) not in self._pictures:
            self._show(name, colours)
            self._look(view)
            with off_screen():
                self._plotter.render()
                self._pictures[name, view] = np.array(self._plotter.screenshot(return_img=True))[..., :3]
        return self._pictures[name, view]

    def _show(self, name: str, colours: NDArray[np.uint8]) -> None:
        if name not in self._actors:
            self._actors[name] = self._plotter.add_mesh(
                self._mesh.copy(deep=False), scalars=colours, rgb=True, smooth_shading=True, ambient=0.48, diffuse=0.62,
                specular=0.12, specular_power=12, show_scalar_bar=False,
            )  # fmt: skip
        for each, actor in self._actors.items():
            actor.SetVisibility(each == name)

    def close(self) -> None:
        """Give the window back."""
        self._plotter.close()

    def _look(self, view: View) -> None:
        _, up, towards = view.basis()
        camera = self._plotter.camera
        camera.focal_point = (0, 0, 0)
        camera.position = tuple(towards * self.half_width * 10)
        camera.up = tuple(up)
        camera.parallel_scale = self.half_width
        self._plotter.reset_camera_clipping_range()


def render(
    surface: Surface, colours: NDArray[np.uint8], views: Sequence[View], half_width: float, pixels: int = PIXELS
) -> list[NDArray[np.uint8]]:
    """Square pictures of a surface in one colouring.

    Parameters
    ----------
    surface : Surface
    colours : uint8 array (corners, 3)
        RGB at each corner.
    views : sequence of View
    half_width : float
        From the middle of a picture to its edge, in nm (or voxels).
    pixels : int
        Side of a picture.

    Returns
    -------
    list of uint8 arrays (pixels, pixels, 3), one a view, white around the crystal

    Raises
    ------
    NoOpenGLError
        If nothing can be rendered on this machine.
    """
    with Renderer(surface, half_width, pixels) as renderer:
        return [renderer.picture("", colours, view) for view in views]
