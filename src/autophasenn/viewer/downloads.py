"""What the page offers to take away, and the thumbnails of its table: files of the results that are shown, and no others."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from autophasenn.errors import AutoPhaseNNError
from autophasenn.files.convention import RESULT
from autophasenn.report.opengl import NoOpenGLError
from autophasenn.viewer.analysistab import TABLES, TITLES
from autophasenn.viewer.numbers import numbers_csv
from autophasenn.viewer.results import StoredImage
from autophasenn.viewer.scans import as_csv
from autophasenn.viewer.shared import Shared

if TYPE_CHECKING:
    from autophasenn.viewer.app import Viewer

VTK = "crystal.vti"
MAX_THUMBNAIL = 4 * 2**20
"""Bytes."""
NO_THUMBNAIL = "There is no such thumbnail."
NOTHING = "There is nothing to download here any more; open the page anew."
PNG_START = b"\x89PNG\r\n\x1a\n"
KINDS = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "gif": "image/gif",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "cxi": "application/x-hdf5",
    "vti": "application/xml",
}
"""Of files."""


def routes(shared: Shared, find: Callable[[str], Viewer | None], folder: str = "/") -> list[web.RouteDef]:
    """Of the downloads.

    Parameters
    ----------
    shared : Shared
    find : callable
        Gives the page of a browser by its key.
    folder : str
        Of the page, "/" at its end.
    """

    def asking(request: web.Request) -> Viewer:
        viewer = find(request.match_info["key"])
        if viewer is None:
            raise web.HTTPNotFound(text=NOTHING)
        return viewer

    async def stored(request: web.Request) -> web.StreamResponse:
        viewer, number, file = asking(request), int(request.match_info["number"]), request.match_info["file"]
        if number >= len(viewer.stored) or not viewer.stored[number].path.is_file():
            raise web.HTTPNotFound(text="There is no such result any more; open it anew.")
        image = viewer.stored[number]
        headers = _named(f"{image.name}.{file.rsplit('.', 1)[1]}")
        if file == RESULT:
            return web.FileResponse(image.path, headers=headers)
        if file == "report.json":
            return web.Response(body=json.dumps(image.report, indent=1).encode(), headers=headers)
        beside = image.path.parent / VTK
        if beside.is_file() and beside.resolve().parent == image.path.parent:
            return web.FileResponse(beside, headers=headers)
        return web.Response(body=await asyncio.to_thread(_written, image), headers=headers)

    async def drawn(request: web.Request) -> web.StreamResponse:
        viewer, what, kind = asking(request), request.match_info["what"], request.match_info["kind"]
        try:
            body = await _drawn(viewer, what, kind)
        except (IndexError, KeyError, ValueError, AssertionError, NoOpenGLError) as error:
            raise web.HTTPNotFound(text=NOTHING) from error
        about = "_and_".join(viewer.state.names) if what != "scans" else viewer.state.scans_folder
        name = about if what in ("crystal", "scans") else f"{about}_{what}"
        return web.Response(body=body, headers=_named(f"{name}.{kind}"))

    async def thumbnail(request: web.Request) -> web.StreamResponse:
        try:
            if shared.scans is None:
                raise web.HTTPNotFound(text=NO_THUMBNAIL)
            file = shared.scans.thumbnail(request.match_info["file"])
            body = file.read_bytes() if file.suffix == ".png" and file.stat().st_size <= MAX_THUMBNAIL else b""
        except (AutoPhaseNNError, OSError, ValueError) as error:  # a name may be too long, or hold a zero byte
            raise web.HTTPNotFound(text=NO_THUMBNAIL) from error
        if not body.startswith(PNG_START):
            raise web.HTTPNotFound(text=NO_THUMBNAIL)
        return web.Response(body=body, content_type="image/png")

    key = folder + "download/{key:[-_0-9A-Za-z]+}"
    return [
        web.get(key + "/{number:[0-9]}/{file:result\\.cxi|crystal\\.vti|report\\.json}", stored),
        web.get(key + "/{what:[a-z]+(?:-[0-9])?}.{kind:png|svg|pdf|gif|csv}", drawn),
        web.get(folder + "thumbnail/{file:.+}", thumbnail),
    ]


async def _drawn(viewer: Viewer, what: str, kind: str) -> bytes:
    """A file of what a browser sees."""
    if (what, kind) == ("scans", "csv") and viewer.shared.scans is not None:
        return as_csv(viewer.shared.scans.records).encode("utf-8-sig")
    if (what, kind) == ("numbers", "csv"):
        return numbers_csv(list(viewer.state.names), list(viewer.state.rows)).encode("utf-8-sig")
    if (what, kind) == ("film", "gif"):
        return await viewer.crystal.film()
    name, _, number = what.partition("-")
    if kind == "csv":
        tables: dict[str, Callable[[], bytes]] = {
            "plot": lambda: viewer.slices.plot_file("csv"),
            "curves": lambda: viewer.curves.figure(0, "csv"),
            "series": lambda: viewer.series.figure("csv"),
            **{name: lambda name=name: viewer.analysis.table(name, int(number)) for name in TABLES},  # type: ignore[misc]
        }
        return b"\xef\xbb\xbf" + await asyncio.to_thread(tables[name])
    if kind == "gif":
        raise KeyError(what)
    if what == "crystal":
        return await viewer.crystal.figure(kind)
    figures: dict[str, Callable[[], bytes]] = {
        "slices": lambda: viewer.slices.figure(kind),
        "pattern": lambda: viewer.pattern.figure(kind),
        "plot": lambda: viewer.slices.plot_file(kind),
        "curve": lambda: viewer.curves.figure(int(number), kind),
        "series": lambda: viewer.series.figure(kind),
        **{name: lambda name=name: viewer.analysis.figure(name, int(number), kind) for name in TITLES},  # type: ignore[misc]
    }
    return await asyncio.to_thread(figures[name])


def _named(name: str) -> dict[str, str]:
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "_" for c in name)
    kind = KINDS[name.rsplit(".", 1)[1]]
    return {"Content-Disposition": f'attachment; filename="{safe}"', "Content-Type": kind}


def _written(image: StoredImage) -> bytes:
    """The VTK file of a result that was copied without it."""
    from autophasenn.files.vtk import write_image

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / VTK
        write_image(path, image)
        return path.read_bytes()
