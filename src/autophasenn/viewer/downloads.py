"""What the page offers to take away, and the thumbnails of its table: files of the results that are shown, and no others."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from autophasenn.errors import AutoPhaseNNError
from autophasenn.viewer.results import StoredImage

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

VTK = "crystal.vti"
LOADING = """
<div role="status" style="position: fixed; inset: 0; display: flex; align-items: center; justify-content: center;
 font: 1.2rem sans-serif; color: #777">Loading the viewer …</div>
"""
"""What stands on the page until its scripts are there."""
MAX_THUMBNAIL = 4 * 2**20
"""Bytes."""
NO_THUMBNAIL = "There is no such thumbnail."
PNG_START = b"\x89PNG\r\n\x1a\n"


def routes(viewer: Viewer) -> list[web.RouteDef]:
    """Of the downloads."""

    async def cxi(request: web.Request) -> web.StreamResponse:
        image = _chosen(viewer, request)
        return web.FileResponse(image.path, headers=_named(f"{image.name}.cxi", "application/x-hdf5"))

    async def vtk(request: web.Request) -> web.StreamResponse:
        image = _chosen(viewer, request)
        headers = _named(f"{image.name}.vti", "application/xml")
        beside = image.path.parent / VTK
        if beside.is_file() and beside.resolve().parent == image.path.parent:
            return web.FileResponse(beside, headers=headers)
        return web.Response(body=await asyncio.to_thread(_written, image), headers=headers)

    async def view(_: web.Request) -> web.StreamResponse:
        if viewer.scene is None or not viewer.scene.can_draw:
            raise web.HTTPNotFound(
                text="There is no picture to download: this machine cannot draw in three dimensions."
            )
        body = await viewer.view_as_png()
        return web.Response(body=body, headers=_named(f"{'_and_'.join(viewer.state.names)}.png", "image/png"))

    async def thumbnail(request: web.Request) -> web.StreamResponse:
        try:
            file = viewer.file_of_scans(request.match_info["file"])
            body = file.read_bytes() if file.suffix == ".png" and file.stat().st_size <= MAX_THUMBNAIL else b""
        except (AutoPhaseNNError, OSError, ValueError) as error:  # a name may be too long, or hold a zero byte
            raise web.HTTPNotFound(text=NO_THUMBNAIL) from error
        if not body.startswith(PNG_START):
            raise web.HTTPNotFound(text=NO_THUMBNAIL)
        return web.Response(body=body, content_type="image/png")

    async def loading(_: web.Request) -> web.StreamResponse:
        return web.Response(text=LOADING, content_type="text/html")

    async def session(_: web.Request) -> web.StreamResponse:
        return web.Response(text="")

    return [
        web.get("/loading.tpl", loading),
        web.post("/paraview/", session),  # trame asks which server to talk to, and takes this one if it is told nothing
        web.get("/download/{number:[0-9]}/result.cxi", cxi),
        web.get("/download/{number:[0-9]}/crystal.vti", vtk),
        web.get("/download/view.png", view),
        web.get("/thumbnail/{file:.+}", thumbnail),
    ]


def _chosen(viewer: Viewer, request: web.Request) -> StoredImage:
    number = int(request.match_info["number"])
    if number >= len(viewer.images) or not viewer.images[number].path.is_file():
        raise web.HTTPNotFound(text="There is no such result any more; open it anew.")
    return viewer.images[number]


def _named(name: str, kind: str) -> dict[str, str]:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    return {"Content-Disposition": f'attachment; filename="{safe}"', "Content-Type": kind}


def _written(image: StoredImage) -> bytes:
    """The VTK file of a result that was copied without it."""
    from autophasenn.files.vtk import write_image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / VTK
        write_image(path, image)
        return path.read_bytes()
