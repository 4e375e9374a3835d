"""Folders of numbered detector frames, one TIFF file a frame."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np

from autophasenn.errors import InputError
from autophasenn.files.arrays import tiff_explained
from autophasenn.files.boundary import check_regular
from autophasenn.machine import check_room

TIFF_SUFFIXES = (".tif", ".tiff")
READERS = 4
"""Threads that read frames: enough to hide the latency of a network disk."""


def find_frames(folder: Path) -> list[Path]:
    """The TIFF files of `folder` in the order of the last number in their names.

    Raises
    ------
    InputError
        If there is no such folder, or no TIFF file in it.
    """
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; give the folder that holds the frames of one scan.")
    names = (path for path in folder.iterdir() if not path.name.startswith("."))  # hidden: still being written
    frames = [path for path in names if path.suffix.lower() in TIFF_SUFFIXES]
    if not frames:
        raise InputError(
            f"The folder {folder} holds no frame (*.tif); give the folder that holds the frames of one scan."
        )
    return sorted(frames, key=lambda path: (frame_number(path) or 0, path.name))


def frame_number(path: Path) -> int | None:
    """The last number in the name of a frame's file; None where there is none."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def check_numbers(paths: Sequence[Path]) -> None:
    """Refuse frames whose numbers do not follow one another: one that is missing or there twice would shift the rest.

    Parameters
    ----------
    paths : sequence of Path
        In the order of `find_frames`.

    Raises
    ------
    InputError
        Naming the frame.
    """
    if len(paths) < 2:
        return
    remedy = "give a folder that holds the frames of one scan, numbered one by one"
    numbers = [(frame_number(path), path) for path in paths]
    for (former, _), (number, path) in itertools.pairwise(numbers):
        if former is None or number is None:
            nameless = next(path for number, path in numbers if number is None)
            raise InputError(f"The frame {nameless} has no number in its name, so its place is not known; {remedy}.")
        if number == former:
            raise InputError(f"The frame {path} has the same number {number} as another one; {remedy}.")
        if number != former + 1:
            raise InputError(f"The frame before {path} is missing (number {number - 1}); {remedy}.")


def read_frames(paths: Sequence[Path]) -> tuple[np.ndarray, str]:
    """Read equally large frames into one array.

    Parameters
    ----------
    paths : sequence of Path
        At least one.

    Returns
    -------
    frames : array (frames, rows, columns)
        As they are stored, gap markers, NaN and negative numbers too; native byte order.
    sha256 : str
        Checksum of names and contents: what ``sha256sum NAMES | sha256sum`` prints in the folder of the frames.

    Raises
    ------
    InputError
        If a frame is truncated or no image, or differs in size or type from the first; or the memory cannot hold them.
    """
    check_numbers(paths)
    first, first_digest = _read_frame(paths[0])
    check_room(len(paths) * first.size, str(paths[0].parent))
    frames = np.empty((len(paths), *first.shape), first.dtype)
    frames[0] = first

    def read_into(index: int) -> str:
        frame, digest = _read_frame(paths[index])
        if frame.shape != first.shape or frame.dtype != first.dtype:
            raise InputError(
                f"The frame {paths[index].name} is {_describe(frame)}, the first one is {_describe(first)}; all frames "
                "of a scan must be alike. Take the files of other measurements out of the folder."
            )
        frames[index] = frame
        return digest

    with ThreadPoolExecutor(READERS) as pool:
        digests = [first_digest, *pool.map(read_into, range(1, len(paths)))]
    listing = "".join(f"{digest}  {path.name}\n" for digest, path in zip(digests, paths, strict=True))
    return frames, hashlib.sha256(listing.encode()).hexdigest()


def read_image(path: Path, what: str) -> np.ndarray:
    """Read one detector image, called `what` in messages (dark field, white field).

    Returns
    -------
    array (rows, columns)

    Raises
    ------
    InputError
        If the file is missing, truncated or no 2-D image.
    """
    check_regular(path, what)
    return _decode(path.read_bytes(), f"The {what} {path}")


def _read_frame(path: Path) -> tuple[np.ndarray, str]:
    check_regular(path, "frame")
    content = path.read_bytes()
    return _decode(content, f"The frame {path}"), hashlib.sha256(content).hexdigest()


def _decode(content: bytes, name: str) -> np.ndarray:
    import tifffile

    with tiff_explained(name), tifffile.TiffFile(BytesIO(content)) as tiff:
        page = tiff.pages.first if len(tiff.pages) else None
        if page is not None:  # a damaged header may ask for more than the memory
            check_room(page.size, name)
            if page.compression == 1 and page.nbytes > len(content):
                raise ValueError(
                    f"it is truncated: its image would take {page.nbytes} bytes, and it has {len(content)}"
                )
        image = tiff.asarray()
    if image.size == 0:
        # The directory of EPICS areaDetector files stands behind the image: a truncated file has no page at all.
        raise InputError(f"{name} is truncated: its file ends before the image does; copy it again from the beamline.")
    if image.ndim != 2 or image.dtype.kind not in "uif":
        raise InputError(
            f"{name} is {_describe(image)}; it must be one 2-D image of counts. Give single-page TIFF files."
        )
    return image.astype(image.dtype.newbyteorder("="), copy=False)


def _describe(image: np.ndarray) -> str:
    return f"{' x '.join(map(str, image.shape))} {image.dtype.name}"
